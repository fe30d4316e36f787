/*
 * Start and stop. The order matters:
 *
 * 1. The configuration is checked before anything is opened, and the HTTP port is taken before
 *    anything is created, so that a failure leaves nothing behind.
 * 2. HTTP answers as soon as the node runs; membership is awaited in the background.
 * 3. To stop, the port closes first, then the node hands over and answers what is pending, then
 *    the answers are sent, and only then connections and node are closed.
 */
#include "http/app.h"

#include "common/service.h"
#include "http/listen.h"
#include "http/options.h"
#include "http/server.h"

#include <stdio.h>
#include <unistd.h>

enum { DRAIN_TIMEOUT_MS = 2000 };

/* The process. */
struct app {
    struct service service;
    int listener;
    struct server *server;
    char url[LISTEN_URL_BYTES_MAX];
};

/* What a newcomer needs to know, where a script can read it, too. */
static void print_summary(const struct app *app, bool embedded)
{
    service_print_summary(&app->service);
    printf("listening on %s\n", app->url);
    if (embedded) {
        printf("\nTry it:\n"
               "  curl -X POST %s/set -H 'content-type: application/json' \\\n"
               "       -d '{\"key\":\"hello\",\"value\":\"world\"}'\n"
               "  curl '%s/get?key=hello'\n"
               "  curl %s/health\n\n",
               app->url, app->url, app->url);
    }
    fflush(stdout);
}

static int start(struct app *app, bool embedded)
{
    char error[512] = "";
    if (listen_open(app->service.config.server_address, &app->listener, app->url, error,
                    sizeof(error)) != RR_OK) {
        return service_start_failed(&app->service, SERVICE_FAILED, error);
    }
    int code = service_open_log(&app->service, "http");
    if (code == 0) {
        code = service_open_node(&app->service, NULL, 0);
    }
    if (code != 0) {
        return code;
    }
    app->server =
        server_start(&app->service.config, app->service.node, app->service.log, app->listener);
    if (app->server == NULL) {
        return service_start_failed(&app->service, SERVICE_FAILED, "cannot start the HTTP server");
    }
    print_summary(app, embedded);
    return service_await_member(&app->service);
}

static void stop(struct app *app)
{
    service_begin_stop(&app->service);
    if (app->server != NULL) {
        server_quiesce(app->server);
    }
    service_shutdown_node(&app->service);
    if (app->server != NULL) {
        server_drain(app->server, DRAIN_TIMEOUT_MS);
    }
    if (!server_stop(app->server)) {
        /* The node owes an answer, so neither may be freed. The library forbids this. */
        log_write(app->service.log, RR_LOG_ERROR, "an operation of the node never ended");
        _exit(SERVICE_FAILED);
    }
    rr_node_close(app->service.node);
    log_write(app->service.log, RR_LOG_INFO, "stopped");
}

static int run(struct app *app, const char *path)
{
    int code = service_load_config(&app->service, path, "http_addr", NULL, "127.0.0.1:8000");
    if (code != 0) {
        return code;
    }
    service_catch_signals(&app->service);
    code = start(app, path == NULL);
    if (code == 0) {
        code = service_wait_for_end(&app->service);
    }
    if (app->service.node != NULL) {
        stop(app);
    }
    if (app->listener >= 0) {
        close(app->listener);
    }
    return code;
}

int app_run(int argument_count, char **arguments)
{
    const char *path = NULL;
    switch (options_read(argument_count, arguments, &path)) {
    case OPTIONS_HELP:
        options_print_help(arguments[0]);
        return 0;
    case OPTIONS_VERSION:
        printf("rockraft-http %s\n", RR_VERSION);
        return 0;
    case OPTIONS_WRONG:
        return SERVICE_WRONG;
    case OPTIONS_RUN:
        break;
    }
    struct app app = {.listener = -1};
    service_init(&app.service, "rockraft-http");
    int code = run(&app, path);
    service_deinit(&app.service);
    return code;
}
