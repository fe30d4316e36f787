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

#define DEBUG_FLAGS                                                                                \
    (COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_PROTECTED)
#define ROW(name_, arity_, summary_, local_)                                                       \
    {                                                                                              \
        .name = (name_), .arity = (arity_), .flags = DEBUG_FLAGS, .group = "server",               \
        .since = "1.0.0", .summary = (summary_), .local = (local_)                                 \
    }

static const struct command subcommands[] = {
    ROW("sleep", 3, "This connection waits; others go on.", debug_sleep),
    ROW("reload", -2, "Writes a snapshot.", debug_reload),
    ROW("set-active-expire", 3, "Whether this node, leading, deletes what has expired.",
        debug_set_active_expire),
    ROW("stringmatch-len", 4, "Matches a pattern with so many zero bytes.", debug_stringmatch_len),
    ROW("jmap", 2, "Nothing.", debug_nothing),
    {.name = NULL},
};

/* ---- SHUTDOWN ---- */

static void command_shutdown(struct client *client, const rr_bytes *argv, size_t argc)
{
    bool abort_asked = false;
    bool now = false;
    for (size_t i = 1; i < argc; i++) {
        bool known = bytes_is(argv[i], "save") || bytes_is(argv[i], "nosave") ||
                     bytes_is(argv[i], "now") || bytes_is(argv[i], "force") ||
                     bytes_is(argv[i], "abort");
        if (!known || (bytes_is(argv[i], "abort") && argc > 2)) {
            reply_error_syntax(&client->reply);
            return;
        }
        now = now || bytes_is(argv[i], "now");
        abort_asked = abort_asked || bytes_is(argv[i], "abort");
    }
    if (abort_asked) {
        reply_error(&client->reply, "ERR No shutdown in progress.");
        return;
    }
    /* No reply: that the connection ends is the answer. */
    (void)client_suspend(client);
    client->server->stop(client->server->stop_arg, now);
}

const struct command commands_debug[] = {
    {.name = "debug",
     .arity = -2,
     .flags = DEBUG_FLAGS,
     .group = "server",
     .since = "1.0.0",
     .summary = "For tests.",
     .subcommands = subcommands,
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
