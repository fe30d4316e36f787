/*
 * Start and stop. The order matters:
 *
 * 1. The configuration is checked before anything is opened, and the port of the clients is taken before
 *    anything is created, so that a failure leaves nothing behind.
 * 2. the port answers as soon as the node runs; membership is awaited in the background.
 * 3. To stop, the port closes first, then the node hands over and answers what is pending, then
 *    the answers are sent, and only then connections and node are closed.
 */
#include "coredb/server/app.h"

#include "common/log.h"
#include "common/parents.h"
#include "coredb/base/bytes.h"
#include "coredb/command/execute.h"
#include "coredb/command/listing.h"
#include "coredb/net/listener.h"
#include "coredb/server/messaging.h"
#include "coredb/server/options.h"
#include "coredb/server/server.h"
#include "coredb/server/settings.h"
#include "coredb/server/surface.h"

#include <rockraft/config.h>
#include <rockraft/rockraft.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    EXIT_FAILED = 1,
    EXIT_WRONG = 2,

    /* Together under the ten seconds that supervisors grant after SIGTERM. */
    SHUTDOWN_TIMEOUT_MS = 5000,
    WATCHDOG_S = 9,

    /* How long the background waits before it looks whether the process stops. */
    MEMBER_POLL_MS = 250,
    MEMBER_REPORT_MS = 15000
};

/* The process. The main thread's, except where noted. */
struct app {
    rr_config *config;
    struct log *log;
    struct options options;
    struct settings *settings;
    struct loop *loop;
    struct server *server;
    rr_node *node;
    int signals;  /* a signalfd */
    int failures; /* an eventfd: `failure` has been set */

    pthread_mutex_t lock;
    bool failed;       /* under `lock`, as the next */
    char failure[640]; /* the first reason to end with a failure */

    pthread_t loop_thread;
    bool loop_runs;
    atomic_bool stop_asked; /* by SHUTDOWN */

    pthread_t member_thread;
    bool member_thread_runs;
    atomic_bool stopping; /* read by the member thread */
};

/* Ends the process soon, with the first reason that anyone gave. Any thread. */
static void app_fail(struct app *app, const char *reason)
{
    pthread_mutex_lock(&app->lock);
    bool first = !app->failed;
    if (first) {
        app->failed = true;
        snprintf(app->failure, sizeof(app->failure), "%s", reason);
    }
    pthread_mutex_unlock(&app->lock);
    uint64_t one = 1;
    if (first && write(app->failures, &one, sizeof(one)) < 0) {
        _exit(EXIT_FAILED);
    }
}

static void on_halt(void *arg, rr_status status, const char *reason)
{
    char text[512];
    snprintf(text, sizeof(text), "the node halted: %s (%s)", reason, rr_status_name(status));
    app_fail(arg, text);
}

/* ---- Membership, awaited on a thread of its own ---- */

static void describe_join(const rr_config *config, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < config->join_count && used < size; i++) {
        int added = snprintf(out + used, size - used, "%s%s", i > 0 ? ", " : "", config->join[i]);
        used += added > 0 ? (size_t)added : 0;
    }
}

/* Waits for one turn more; false when there is nothing left to wait for. */
static bool member_wait(struct app *app, uint64_t started_us, uint64_t *reported_us)
{
    char error[256] = "";
    rr_status status = rr_node_await_member(app->node, MEMBER_POLL_MS, error, sizeof(error));
    if (status == RR_OK) {
        log_write(app->log, RR_LOG_INFO, "this node is a member of its cluster");
        return false;
    }
    if (status == RR_CLOSED) {
        return false;
    }
    char text[600];
    char members[256];
    describe_join(app->config, members, sizeof(members));
    if (status != RR_TIMEOUT) {
        snprintf(text, sizeof(text), "cannot become a member of the cluster: %s",
                 error[0] != '\0' ? error : rr_status_name(status));
        app_fail(app, text);
        return false;
    }
    uint64_t now_us = server_monotonic_us();
    uint64_t limit_ms = app->config->join_timeout_ms;
    if (app->config->join_count > 0 && limit_ms > 0 && now_us - started_us > limit_ms * 1000) {
        snprintf(text, sizeof(text),
                 "could not join the cluster through %s within %" PRIu64 " ms%s%s", members,
                 limit_ms, error[0] != '\0' ? ": " : "", error);
        app_fail(app, text);
        return false;
    }
    if (now_us - *reported_us > (uint64_t)MEMBER_REPORT_MS * 1000) {
        *reported_us = now_us;
        log_write(app->log, RR_LOG_WARN, "still waiting to become a member%s%s%s%s",
                  members[0] != '\0' ? " through " : "", members, error[0] != '\0' ? ": " : "",
                  error);
    }
    return true;
}

static void *await_member(void *arg)
{
    struct app *app = arg;
    uint64_t started_us = server_monotonic_us();
    uint64_t reported_us = started_us;
    while (!atomic_load(&app->stopping) && member_wait(app, started_us, &reported_us)) {
    }
    return NULL;
}

/* ---- Starting ---- */

static int start_failed(const struct app *app, int code, const char *text)
{
    fprintf(stderr, "coredb: %s\n", text);
    if (app->log != NULL && app->config->log_file != NULL) {
        log_write(app->log, RR_LOG_ERROR, "%s", text);
    }
    return code;
}

static int load_config(struct app *app)
{
    const char *path = app->options.config_path;
    if (path == NULL) {
        app->config = rr_config_new("127.0.0.1:6379");
    } else {
        char error[1024] = "";
        rr_status status = rr_config_load(path, "server_addr", &app->config, error, sizeof(error));
        if (status != RR_OK) {
            fprintf(stderr, "coredb: %s\n", error);
            return EXIT_WRONG;
        }
    }
    return options_apply(&app->options, app->config) ? 0 : EXIT_WRONG;
}

/* From here on signals come through the descriptor, on no thread but this. */
static void catch_signals(struct app *app)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    app->signals = signalfd(-1, &set, SFD_CLOEXEC);
    app->failures = eventfd(0, EFD_CLOEXEC);
    if (app->signals < 0 || app->failures < 0) {
        abort();
    }
}

static int open_log(struct app *app, const char **filter)
{
    char error[1024] = "";
    app->log = log_open(app->config, "coredb", filter, error, sizeof(error));
    return app->log != NULL ? 0 : start_failed(app, EXIT_FAILED, error);
}

static int open_node(struct app *app, const char *filter)
{
    rr_options options;
    rr_options_init(&options);
    rr_config_to_options(app->config, &options);
    rr_procedure procedure = {"coredb", 1, execute_procedure, &app->server->execute};
    options.procedures = &procedure;
    options.procedure_count = 1;
    options.log = log_line;
    options.log_arg = app->log;
    options.log_level = rr_log_filter_level(filter, NULL);
    char error[512] = "";
    (void)parents_make(app->config->data_path); /* what is wrong shows when the node opens */
    rr_status status = rr_node_open(&options, error, sizeof(error), &app->node);
    if (status == RR_OK) {
        rr_node_on_halt(app->node, on_halt, app);
        return 0;
    }
    char text[600];
    snprintf(text, sizeof(text), "cannot start node %" PRIu64 ": %s", app->config->node_id,
             error[0] != '\0' ? error : rr_status_name(status));
    app->node = NULL;
    return start_failed(app, status == RR_INVALID ? EXIT_WRONG : EXIT_FAILED, text);
}

/* What a newcomer needs to know, where a script can read it, too. */
static void print_summary(const struct app *app)
{
    const rr_config *config = app->config;
    printf("coredb %s: node %" PRIu64 ", raft at %s (known to peers as %s), data in %s\n",
           RR_VERSION, config->node_id, config->raft_address, config->advertise_address,
           config->data_path);
    if (config->join_count > 0) {
        char members[512];
        describe_join(config, members, sizeof(members));
        printf("joins through %s unless it is a member already\n", members);
    }
    if (config->log_file != NULL) {
        printf("logs to %s\n", config->log_file);
    }
    const char *path = settings_text(app->settings, SETTING_UNIXSOCKET);
    if (path[0] != '\0') {
        printf("listening on %s\n", path);
    }
    printf("listening on %s\n", app->server->address);
    if (app->options.config_path == NULL) {
        const char *port = strrchr(app->server->address, ':') + 1;
        printf("\nTry it:\n"
               "  redis-cli -p %s set hello world\n"
               "  redis-cli -p %s get hello\n\n",
               port, port);
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
    if (rr_address_split(app->config->server_address, host, sizeof(host), &port, &problem) !=
        RR_OK) {
        return start_failed(app, EXIT_WRONG, problem);
    }
    if (listener_open_tcp(host, port, backlog, &server->listeners[server->listener_count],
                          server->address, sizeof(server->address), error,
                          sizeof(error)) != RR_OK) {
        return start_failed(app, EXIT_FAILED, error);
    }
    server->listener_count++;
    const char *path = settings_text(app->settings, SETTING_UNIXSOCKET);
    unsigned mode = (unsigned)settings_number(app->settings, SETTING_UNIXSOCKETPERM);
    if (path[0] == '\0') {
        return 0;
    }
    if (listener_open_unix(path, mode, backlog, &server->listeners[server->listener_count], error,
                           sizeof(error)) != RR_OK) {
        return start_failed(app, EXIT_FAILED, error);
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
    const char *path = realpath(app->config->data_path, data);
    (void)settings_set(app->settings, SETTING_PORT, bytes_of(port != NULL ? port + 1 : "0"), true,
                       error, sizeof(error));
    (void)settings_set(app->settings, SETTING_DIR,
                       bytes_of(path != NULL ? path : app->config->data_path), true, error,
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
    atomic_store(&app->stop_asked, true);
    uint64_t one = 1;
    if (write(app->failures, &one, sizeof(one)) < 0) {
        _exit(EXIT_FAILED);
    }
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
    command_table_add(commands_pubsub);
    command_table_add(commands_wait);
    command_table_init();
}

static int start(struct app *app)
{
    app->loop = loop_new();
    if (app->loop == NULL) {
        return start_failed(app, EXIT_FAILED, "cannot start an event loop");
    }
    app->server = server_new(app->loop, NULL, app->settings, app->config);
    app->server->stop = on_stop;
    app->server->stop_arg = app;
    const char *filter = NULL;
    int code = open_listeners(app);
    if (code == 0) {
        code = open_log(app, &filter);
    }
    if (code == 0) {
        app->server->log = app->log;
        code = open_node(app, filter);
    }
    if (code != 0) {
        return code;
    }
    fill_settings(app);
    if (server_start(app->server, app->node) != RR_OK) {
        return start_failed(app, EXIT_FAILED, "cannot listen");
    }
    settings_on_change(app->settings, on_setting, app);
    settings_tell(app->settings, SETTING_NOTIFY);
    app->loop_runs = pthread_create(&app->loop_thread, NULL, run_loop, app->loop) == 0;
    app->member_thread_runs =
        app->loop_runs && pthread_create(&app->member_thread, NULL, await_member, app) == 0;
    if (!app->member_thread_runs) {
        return start_failed(app, EXIT_FAILED, "cannot start a thread");
    }
    print_summary(app);
    return 0;
}

/* ---- Running and stopping ---- */

/* Sleeps until there is a reason to end, and returns the exit status. */
static int wait_for_end(struct app *app)
{
    struct pollfd events[2] = {{.fd = app->signals, .events = POLLIN},
                               {.fd = app->failures, .events = POLLIN}};
    for (;;) {
        if (poll(events, 2, -1) < 0 && errno != EINTR) {
            return EXIT_FAILED;
        }
        if ((events[1].revents & POLLIN) != 0 && atomic_load(&app->stop_asked)) {
            log_write(app->log, RR_LOG_INFO, "stopping: SHUTDOWN");
            return 0;
        }
        if ((events[1].revents & POLLIN) != 0) {
            pthread_mutex_lock(&app->lock);
            log_write(app->log, RR_LOG_ERROR, "stopping: %s", app->failure);
            fprintf(stderr, "coredb: %s\n", app->failure);
            pthread_mutex_unlock(&app->lock);
            return EXIT_FAILED;
        }
        struct signalfd_siginfo signal_info;
        if ((events[0].revents & POLLIN) == 0 ||
            read(app->signals, &signal_info, sizeof(signal_info)) != sizeof(signal_info)) {
            continue;
        }
        if (signal_info.ssi_signo == SIGHUP) {
            log_reopen(app->log);
            continue;
        }
        log_write(app->log, RR_LOG_INFO, "stopping: signal %u", signal_info.ssi_signo);
        return 0;
    }
}

static void give_up(int signal_number)
{
    static const char text[] = "coredb: could not stop in time\n";
    (void)signal_number;
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(EXIT_FAILED);
}

/* A disk that does not answer must not keep the process alive, nor a second SIGINT unheard. */
static void set_watchdog(void)
{
    signal(SIGALRM, give_up);
    alarm(WATCHDOG_S);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

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
    set_watchdog();
    atomic_store(&app->stopping, true);
    if (app->loop_runs) {
        on_loop(app, server_quiesce);
    }
    if (rr_node_shutdown(app->node, SHUTDOWN_TIMEOUT_MS) != RR_OK) {
        log_write(app->log, RR_LOG_WARN, "not every request could be finished in time");
    }
    if (app->member_thread_runs) {
        pthread_join(app->member_thread, NULL);
    }
    if (app->loop_runs) {
        on_loop(app, server_close_clients);
        loop_stop(app->loop);
        pthread_join(app->loop_thread, NULL);
    }
    rr_node_close(app->node);
}

static void app_deinit(struct app *app)
{
    server_free(app->server);
    loop_free(app->loop);
    settings_free(app->settings);
    close(app->signals);
    close(app->failures);
    log_close(app->log);
    rr_config_free(app->config);
    pthread_mutex_destroy(&app->lock);
}

int app_run(int argument_count, char **arguments)
{
    struct app app = {.signals = -1, .failures = -1, .lock = PTHREAD_MUTEX_INITIALIZER};
    add_commands();
    app.settings = settings_new();
    switch (options_read(argument_count, arguments, &app.options, app.settings)) {
    case OPTIONS_HELP:
        options_print_help(arguments[0]);
        settings_free(app.settings);
        return 0;
    case OPTIONS_VERSION:
        printf("coredb %s\n", RR_VERSION);
        settings_free(app.settings);
        return 0;
    case OPTIONS_COMMANDS:
        listing_print(stdout);
        settings_free(app.settings);
        return 0;
    case OPTIONS_WRONG:
        settings_free(app.settings);
        return EXIT_WRONG;
    case OPTIONS_RUN:
        break;
    }
    int code = load_config(&app);
    if (code != 0) {
        rr_config_free(app.config);
        settings_free(app.settings);
        return code;
    }
    catch_signals(&app);
    code = start(&app);
    if (code == 0) {
        code = wait_for_end(&app);
    }
    if (app.node != NULL) {
        stop(&app);
        log_write(app.log, RR_LOG_INFO, "stopped");
    }
    app_deinit(&app);
    return code;
}
