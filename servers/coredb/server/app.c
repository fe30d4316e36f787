/*
 * Start and stop. The order matters:
 *
 * 1. The configuration is checked before anything is opened, and the port of the clients is taken
 *    before anything is created, so that a failure leaves nothing behind.
 * 2. The port answers as soon as the node runs; membership is awaited in the background.
 * 3. To stop, the port closes first, then the node hands over and answers what is pending, then
 *    the answers are sent, and only then connections and node are closed.
 */
#include "coredb/server/app.h"

#include "common/service.h"
#include "coredb/base/bytes.h"
#include "coredb/command/execute.h"
#include "coredb/command/listing.h"
#include "coredb/net/listener.h"
#include "coredb/server/messaging.h"
#include "coredb/server/options.h"
#include "coredb/server/server.h"
#include "coredb/server/settings.h"
#include "coredb/server/surface.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The process. The main thread's, except where noted. */
struct app {
    struct service service;
    struct options options;
    struct settings *settings;
    struct loop *loop;
    struct server *server;
    pthread_t loop_thread;
    bool loop_runs;
};

/* ---- Starting ---- */

/* The library's limits of sizes are for other servers: coredb's own rely on the defaults. */
static bool check_limits(const struct app *app)
{
    const rr_config *config = &app->service.config;
    const struct {
        const char *name;
        uint64_t value;
    } limits[] = {{"key_bytes_max", config->key_bytes_max},
                  {"value_bytes_max", config->value_bytes_max},
                  {"entry_bytes_max", config->entry_bytes_max},
                  {"result_bytes_max", config->result_bytes_max}};
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        if (limits[i].value != RR_CONFIG_UNSET) {
            char text[128];
            snprintf(text, sizeof(text),
                     "limits.%s: coredb has limits of its own, leave this out of the configuration",
                     limits[i].name);
            (void)service_start_failed(&app->service, SERVICE_WRONG, text);
            return false;
        }
    }
    return true;
}

static int load_config(struct app *app)
{
    const char *path = app->options.config_path;
    int code = service_load_config(&app->service, path, "server_addr", "coredb", "127.0.0.1:6379");
    if (code != 0) {
        options_explain(path);
        return code;
    }
    return options_apply(&app->options, &app->service.config, app->settings) && check_limits(app)
               ? 0
               : SERVICE_WRONG;
}

/* What may surprise whoever started this. */
static void warn(const struct app *app)
{
    for (size_t i = SETTING_COUNT; i < settings_count(app->settings); i++) {
        if (app->options.given[i]) {
            log_write(app->service.log, RR_LOG_WARN,
                      "%s is known to CONFIG GET, but changes nothing here",
                      settings_name(app->settings, i));
        }
    }
    const char *address = app->service.config.server_address;
    char host[256];
    uint16_t port = 0;
    bool open = rr_address_split(address, host, sizeof(host), &port, NULL) == RR_OK &&
                strncmp(host, "127.", 4) != 0 && strcmp(host, "::1") != 0 &&
                strcmp(host, "localhost") != 0;
    if (open && settings_text(app->settings, SETTING_REQUIREPASS)[0] == '\0' &&
        settings_number(app->settings, SETTING_PROTECTED) == 0) {
        log_write(
            app->service.log, RR_LOG_WARN,
            "whoever reaches %s may read and change everything: --requirepass sets a password",
            address);
    }
}

/* What a newcomer needs to know, where a script can read it, too. */
static void print_summary(const struct app *app)
{
    service_print_summary(&app->service);
    const char *path = settings_text(app->settings, SETTING_UNIXSOCKET);
    if (path[0] != '\0') {
        printf("listening on %s\n", path);
    }
    printf("listening on %s\n", app->server->address);
    if (app->options.config_path == NULL && !app->options.waits && app->options.join_count == 0) {
        const char *port = strrchr(app->server->address, ':') + 1;
        printf("\nTry it:\n"
               "  redis-cli -p %s set hello world\n"
               "  redis-cli -p %s get hello\n"
               "  redis-cli -p %s raft.help\n\n",
               port, port, port);
    }
    fflush(stdout);
}

/* Takes the ports. */
static int open_listeners(struct app *app)
{
    struct server *server = app->server;
    int backlog = (int)settings_number(app->settings, SETTING_TCP_BACKLOG);
    char error[512] = "";
    char host[256];
    uint16_t port = 0;
    const char *problem = "";
    if (rr_address_split(app->service.config.server_address, host, sizeof(host), &port, &problem) !=
        RR_OK) {
        return service_start_failed(&app->service, SERVICE_WRONG, problem);
    }
    if (listener_open_tcp(host, port, backlog, &server->listeners[server->listener_count],
                          server->address, sizeof(server->address), error,
                          sizeof(error)) != RR_OK) {
        return service_start_failed(&app->service, SERVICE_FAILED, error);
    }
    server->listener_count++;
    const char *path = settings_text(app->settings, SETTING_UNIXSOCKET);
    unsigned mode = (unsigned)settings_number(app->settings, SETTING_UNIXSOCKETPERM);
    if (path[0] == '\0') {
        return 0;
    }
    if (listener_open_unix(path, mode, backlog, &server->listeners[server->listener_count], error,
                           sizeof(error)) != RR_OK) {
        return service_start_failed(&app->service, SERVICE_FAILED, error);
    }
    server->listener_count++;
    return 0;
}

/* CONFIG GET shows what is in force. */
static void fill_settings(struct app *app)
{
    char error[128];
    const char *port = strrchr(app->server->address, ':');
    char data[4096];
    const char *path = realpath(app->service.config.data_path, data);
    (void)settings_set(app->settings, SETTING_PORT, bytes_of(port != NULL ? port + 1 : "0"), true,
                       error, sizeof(error));
    (void)settings_set(app->settings, SETTING_DIR,
                       bytes_of(path != NULL ? path : app->service.config.data_path), true, error,
                       sizeof(error));
}

/* A setting was changed by CONFIG SET; the loop's thread. */
static void on_setting(void *arg, size_t i)
{
    struct app *app = arg;
    if (i == SETTING_NOTIFY) {
        messaging_set_notify(app->server, (uint32_t)settings_number(app->settings, SETTING_NOTIFY));
    }
}

/* SHUTDOWN; the loop's thread. */
static void on_stop(void *arg, bool now)
{
    struct app *app = arg;
    (void)now;
    service_ask_stop(&app->service);
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void add_commands(void)
{
    command_table_add(commands_connection);
    command_table_add(commands_client);
    command_table_add(commands_config);
    command_table_add(commands_debug);
    command_table_add(commands_command);
    command_table_add(commands_info);
    command_table_add(commands_raft);
    command_table_add(commands_memory);
    command_table_add(commands_slowlog);
    command_table_add(commands_latency);
    command_table_add(commands_acl);
    command_table_add(commands_cluster);
    command_table_add(commands_pubsub);
    command_table_add(commands_wait);
    command_table_init();
}

/* Opens what can fail for reasons of the machine's. */
static int open_all(struct app *app)
{
    rr_procedure procedure = {"coredb", 1, execute_procedure, &app->server->execute};
    int code = open_listeners(app);
    if (code == 0) {
        code = service_open_log(&app->service, "coredb");
    }
    if (code == 0) {
        app->server->log = app->service.log;
        code = service_open_node(&app->service, &procedure, 1);
    }
    return code;
}

static int start(struct app *app)
{
    app->loop = loop_new();
    if (app->loop == NULL) {
        return service_start_failed(&app->service, SERVICE_FAILED, "cannot start an event loop");
    }
    app->server = server_new(app->loop, NULL, app->settings, &app->service.config);
    app->server->stop = on_stop;
    app->server->stop_arg = app;
    app->server->config_path = app->options.config_path;
    int code = open_all(app);
    if (code != 0) {
        return code;
    }
    fill_settings(app);
    if (server_start(app->server, app->service.node) != RR_OK) {
        return service_start_failed(&app->service, SERVICE_FAILED, "cannot listen");
    }
    settings_on_change(app->settings, on_setting, app);
    settings_tell(app->settings, SETTING_NOTIFY);
    app->loop_runs = pthread_create(&app->loop_thread, NULL, run_loop, app->loop) == 0;
    if (!app->loop_runs) {
        return service_start_failed(&app->service, SERVICE_FAILED, "cannot start a thread");
    }
    code = service_await_member(&app->service);
    if (code == 0) {
        warn(app);
        print_summary(app);
    }
    return code;
}

/* ---- Stopping ---- */

/* Runs `fn` on the loop's thread and waits for it. */
struct errand {
    struct loop_task task;
    void (*fn)(struct server *server);
    struct server *server;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
};

static void run_errand(void *arg)
{
    struct errand *errand = arg;
    errand->fn(errand->server);
    pthread_mutex_lock(&errand->lock);
    errand->done = true;
    pthread_cond_signal(&errand->changed);
    pthread_mutex_unlock(&errand->lock);
}

static void on_loop(struct app *app, void (*fn)(struct server *server))
{
    struct errand errand = {.fn = fn,
                            .server = app->server,
                            .lock = PTHREAD_MUTEX_INITIALIZER,
                            .changed = PTHREAD_COND_INITIALIZER};
    errand.task.run = run_errand;
    errand.task.arg = &errand;
    loop_post(app->loop, &errand.task);
    pthread_mutex_lock(&errand.lock);
    while (!errand.done) {
        pthread_cond_wait(&errand.changed, &errand.lock);
    }
    pthread_mutex_unlock(&errand.lock);
    pthread_cond_destroy(&errand.changed);
    pthread_mutex_destroy(&errand.lock);
}

static void stop(struct app *app)
{
    service_begin_stop(&app->service);
    if (app->loop_runs) {
        on_loop(app, server_quiesce);
    }
    service_shutdown_node(&app->service);
    if (app->loop_runs) {
        on_loop(app, server_close_clients);
        loop_stop(app->loop);
        pthread_join(app->loop_thread, NULL);
    }
    rr_node_close(app->service.node);
    log_write(app->service.log, RR_LOG_INFO, "stopped");
}

static int run(struct app *app)
{
    int code = load_config(app);
    if (code != 0) {
        return code;
    }
    service_catch_signals(&app->service);
    code = start(app);
    if (code == 0) {
        code = service_wait_for_end(&app->service);
    }
    if (app->service.node != NULL) {
        stop(app);
    }
    server_free(app->server);
    loop_free(app->loop);
    return code;
}

int app_run(int argument_count, char **arguments)
{
    struct app app = {0};
    service_init(&app.service, "coredb");
    add_commands();
    app.settings = settings_new();
    int code = 0;
    switch (options_read(argument_count, arguments, &app.options, app.settings)) {
    case OPTIONS_HELP:
        options_print_help(arguments[0]);
        break;
    case OPTIONS_VERSION:
        printf("coredb %s\n", RR_VERSION);
        break;
    case OPTIONS_COMMANDS:
        listing_print(stdout);
        break;
    case OPTIONS_WRONG:
        code = SERVICE_WRONG;
        break;
    case OPTIONS_RUN:
        code = run(&app);
        break;
    }
    settings_free(app.settings);
    service_deinit(&app.service);
    return code;
}
