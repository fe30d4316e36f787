/* DEBUG: the part that tests need. SHUTDOWN. */
#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/server/background.h"
#include "coredb/server/client.h"
#include "coredb/server/server.h"
#include "coredb/server/steps.h"
#include "coredb/server/surface.h"

#include <stdlib.h>

/* ---- DEBUG ---- */

/* A sleep, or a snapshot, that a client waits for. */
struct wait {
    struct loop_task task;
    struct loop_timer *timer;
    struct server *server;
    uint64_t client;
    uint64_t ticket;
    rr_status status;
};

static void end_wait(void *arg)
{
    struct wait *wait = arg;
    struct client *client = client_resumable(wait->server, wait->client, wait->ticket);
    loop_timer_free(wait->timer);
    if (client != NULL) {
        if (wait->status == RR_OK) {
            reply_ok(&client->reply);
        } else {
            steps_status_error(&client->reply, wait->status, /*reads_only=*/true);
        }
        client_resume(client);
    }
    free(wait);
}

/* NULL: it may not wait here, and has been answered. */
static struct wait *begin_wait(struct client *client)
{
    struct wait *wait = calloc(1, sizeof(*wait));
    uint64_t ticket = wait != NULL ? client_suspend(client) : 0;
    if (ticket == 0) {
        free(wait);
        reply_ok(&client->reply);
        return NULL;
    }
    wait->server = client->server;
    wait->client = client->id;
    wait->ticket = ticket;
    return wait;
}

static void debug_sleep(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    double seconds = 0;
    if (!number_parse_double(argv[2], &seconds) || seconds < 0 || seconds > 3600) {
        reply_error_not_float(&client->reply);
        return;
    }
    struct wait *wait = begin_wait(client);
    if (wait != NULL) {
        wait->timer = loop_timer_new(client->server->loop, end_wait, wait);
        loop_timer_set(wait->timer, (uint64_t)(seconds * 1000), 0);
    }
}

/* The node's thread. */
static void on_snapshot(void *arg, rr_status status, const rr_result *result)
{
    struct wait *wait = arg;
    (void)result;
    wait->status = status;
    wait->task.run = end_wait;
    wait->task.arg = wait;
    loop_post(wait->server->loop, &wait->task);
}

static void debug_reload(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    struct wait *wait = begin_wait(client);
    if (wait == NULL) {
        return;
    }
    rr_status status = rr_node_snapshot(client->server->node, 0, on_snapshot, wait);
    if (status != RR_OK) {
        on_snapshot(wait, status, NULL);
    }
}

static void debug_set_active_expire(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    int64_t on = 0;
    if (!number_parse_i64(argv[2], &on)) {
        reply_error_not_integer(&client->reply);
        return;
    }
    background_expire(client->server->background, on != 0);
    reply_ok(&client->reply);
}

static void debug_stringmatch_len(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    int64_t size = 0;
    enum { SIZE_MAX_HERE = 1024 * 1024 };
    if (!number_parse_i64(argv[2], &size) || size < 0 || size > SIZE_MAX_HERE) {
        reply_error_not_integer(&client->reply);
        return;
    }
    char *text = calloc((size_t)size + 1, 1);
    if (text == NULL) {
        reply_error(&client->reply, "OOM no memory for the request");
        return;
    }
    reply_integer(&client->reply,
                  bytes_match(argv[3], (rr_bytes){text, (size_t)size}, /*ignore_case=*/false));
    free(text);
}

static void debug_nothing(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_ok(&client->reply);
}

static void debug_help(struct client *client, const rr_bytes *argv, size_t argc)
{
    static const char *const lines[] = {
        "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "JMAP",
        "    Do nothing.",
        "RELOAD",
        "    Write a snapshot.",
        "SET-ACTIVE-EXPIRE (0|1)",
        "    Whether this node, leading, deletes what has expired.",
        "SLEEP <seconds>",
        "    This connection waits; others go on.",
        "STRINGMATCH-LEN <length> <pattern>",
        "    Match a pattern with so many zero bytes.",
        "HELP",
        "    Print this help.",
    };
    (void)argv;
    (void)argc;
    reply_array(&client->reply, sizeof(lines) / sizeof(*lines));
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        reply_status(&client->reply, lines[i]);
    }
}

/* As in Redis, they are no commands of their own. */
static void command_debug(struct client *client, const rr_bytes *argv, size_t argc)
{
    static const struct {
        const char *name;
        size_t argc_min;
        size_t argc_max;
        command_local_fn run;
    } known[] = {{"help", 2, 2, debug_help},
                 {"jmap", 2, 2, debug_nothing},
                 {"reload", 2, SIZE_MAX, debug_reload},
                 {"set-active-expire", 3, 3, debug_set_active_expire},
                 {"sleep", 3, 3, debug_sleep},
                 {"stringmatch-len", 4, 4, debug_stringmatch_len}};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (bytes_is(argv[1], known[i].name) && argc >= known[i].argc_min &&
            argc <= known[i].argc_max) {
            known[i].run(client, argv, argc);
            return;
        }
    }
    surface_refuse_arguments(client, argv, "DEBUG");
}

/* ---- SHUTDOWN ---- */

/* What may follow SHUTDOWN. */
struct shutdown_words {
    bool save;
    bool nosave;
    bool now;
    bool force;
    bool abort;
};

static bool read_words(const rr_bytes *argv, size_t argc, struct shutdown_words *words)
{
    const struct {
        const char *name;
        bool *said;
    } known[] = {{"save", &words->save},
                 {"nosave", &words->nosave},
                 {"now", &words->now},
                 {"force", &words->force},
                 {"abort", &words->abort}};
    for (size_t i = 1; i < argc; i++) {
        size_t k = 0;
        while (k < sizeof(known) / sizeof(*known) && !bytes_is(argv[i], known[k].name)) {
            k++;
        }
        if (k == sizeof(known) / sizeof(*known)) {
            return false;
        }
        *known[k].said = true;
    }
    return !(words->save && words->nosave) && !(words->abort && argc > 2);
}

static void command_shutdown(struct client *client, const rr_bytes *argv, size_t argc)
{
    struct shutdown_words words = {0};
    if (!read_words(argv, argc, &words)) {
        reply_error_syntax(&client->reply);
        return;
    }
    if (words.abort) {
        reply_error(&client->reply, "ERR No shutdown in progress.");
        return;
    }
    /* No reply: that the connection ends is the answer. */
    (void)client_suspend(client);
    client->server->stop(client->server->stop_arg, words.now);
}

const struct command commands_debug[] = {
    {.name = "debug",
     .arity = -2,
     .flags =
         COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_PROTECTED,
     .group = "server",
     .since = "1.0.0",
     .summary = "For tests.",
     .local = command_debug,
     .note = "a few subcommands; off unless enable-debug-command says otherwise"},
    {.name = "shutdown",
     .arity = -1,
     .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE |
              COMMAND_NO_MULTI | COMMAND_SENTINEL | COMMAND_ALLOW_BUSY,
     .group = "server",
     .since = "1.0.0",
     .summary = "Ends this node in good order.",
     .complexity = "O(1)",
     .local = command_shutdown,
     .note = "SAVE and NOSAVE make no difference, as every acknowledged write is on disk"},
    {.name = NULL},
};
