/* DEBUG: the part that tests need. SHUTDOWN. */
#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/command/batch.h"
#include "coredb/server/background.h"
#include "coredb/server/client.h"
#include "coredb/server/server.h"
#include "coredb/server/steps.h"
#include "coredb/server/surface.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- DEBUG OBJECT ---- */

/* The bytes of a bulk reply, without its frame; false: it is none. */
static bool bulk_of(rr_bytes reply, rr_bytes *out)
{
    const char *text = reply.data;
    const char *end =
        reply.size > 1 && text[0] == '$' && text[1] != '-' ? memchr(text, '\n', reply.size) : NULL;
    if (end == NULL) {
        return false;
    }
    size_t begin = (size_t)(end - text) + 1;
    *out = (rr_bytes){text + begin, reply.size - begin - 2};
    return reply.size >= begin + 2;
}

static void answer_object(struct client *client, const struct call *call)
{
    enum { FRAME_BYTES = 10 }; /* of DUMP, around the value */
    struct reader output;
    bool again = false;
    bool waits = false;
    uint64_t timeout_ms = 0;
    rr_bytes replies[2] = {{NULL, 0}, {NULL, 0}};
    rr_bytes encoding;
    rr_bytes dump;
    bool known = call->status == RR_OK &&
                 batch_output_begin(&output, buffer_bytes(&call->output), &again) && !again;
    for (size_t i = 0; known && i < 2; i++) {
        known = batch_output_next(&output, &waits, &timeout_ms, &replies[i]);
    }
    if (call->status != RR_OK) {
        steps_status_error(&client->reply, call->status, /*reads_only=*/true);
    } else if (!known || !bulk_of(replies[0], &encoding) || !bulk_of(replies[1], &dump)) {
        reply_error_no_key(&client->reply);
    } else {
        char text[200];
        snprintf(text, sizeof(text),
                 "Value at:0x0 refcount:1 encoding:%.*s serializedlength:%zu lru:0 "
                 "lru_seconds_idle:0",
                 (int)(encoding.size < 32 ? encoding.size : 32), (const char *)encoding.data,
                 dump.size > FRAME_BYTES ? dump.size - FRAME_BYTES : 0);
        reply_status(&client->reply, text);
    }
}

static void object_done(struct call *call)
{
    struct client *client = call->arg;
    if (client->connection == NULL) {
        client_destroy(client);
        return;
    }
    client->state = CLIENT_READY;
    answer_object(client, call);
    buffer_clear(&call->input);
    steps_answer(client);
    client_advance(client);
}

/* A key that has expired by the wall clock, but not by the log's, is told as absent. */
static void debug_object(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    if (client->in_exec) {
        reply_error(&client->reply, "ERR DEBUG OBJECT cannot run in a transaction");
        return;
    }
    const rr_bytes encoding[] = {bytes_of("object"), bytes_of("encoding"), argv[2]};
    const rr_bytes dump[] = {bytes_of("dump"), argv[2]};
    struct waiter_id nobody = {0};
    struct buffer *input = &client->call.input;
    buffer_clear(input);
    batch_begin_commands(input, 2, &nobody, server_wall_ms());
    batch_add_command(input, (uint8_t)client->db, encoding, 3);
    batch_add_command(input, (uint8_t)client->db, dump, 2);
    client->call.done = object_done;
    client->state = CLIENT_CALLING;
    call_query(&client->call, client->read_level);
}

/* ---- Small ones ---- */

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
        "OBJECT <key>",
        "    Tell about the value of a key.",
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
    reply_lines(&client->reply, lines, sizeof(lines) / sizeof(*lines));
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
                 {"object", 3, 3, debug_object},
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
