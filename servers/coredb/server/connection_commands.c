/* The commands of a connection and its transactions: AUTH, HELLO, MULTI, WATCH, ... */
#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/command/batch.h"
#include "coredb/server/client.h"
#include "coredb/server/server.h"
#include "coredb/server/steps.h"
#include "coredb/server/surface.h"

#include <string.h>

/* ---- Small ones ---- */

void command_ping(struct client *client, const rr_bytes *argv, size_t argc)
{
    struct reply *reply = &client->reply;
    if (argc > 2) {
        reply_error_arity(reply, bytes_of("ping"));
    } else if (client_is_subscriber(client) && reply->protocol == 2) {
        reply_array(reply, 2);
        reply_bulk_text(reply, "pong");
        reply_bulk(reply, argc == 2 ? argv[1] : (rr_bytes){NULL, 0});
    } else if (argc == 2) {
        reply_bulk(reply, argv[1]);
    } else {
        reply_status(reply, "PONG");
    }
}

void command_echo(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    reply_bulk(&client->reply, argv[1]);
}

void command_quit(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_ok(&client->reply);
    client->closing = true;
}

void command_reset(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    client_reset(client);
    reply_status(&client->reply, "RESET");
}

void command_select(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    int64_t number = 0;
    if (!number_parse_i64(argv[1], &number)) {
        reply_error_not_integer(&client->reply);
    } else if (number < INT32_MIN || number > INT32_MAX) {
        reply_error(&client->reply, "ERR value is out of range, value must between %d and %d",
                    INT32_MIN, INT32_MAX);
    } else if (number < 0 || number >= STORE_DATABASES) {
        reply_error(&client->reply, "ERR DB index is out of range");
    } else {
        client->db = (uint32_t)number;
        reply_ok(&client->reply);
    }
}

static void command_time(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    uint64_t now_us = server_wall_us();
    reply_array(&client->reply, 2);
    reply_bulk_integer(&client->reply, (int64_t)(now_us / 1000000));
    reply_bulk_integer(&client->reply, (int64_t)(now_us % 1000000));
}

static void command_readonly(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    client->read_level = RR_READ_LEASE;
    reply_ok(&client->reply);
}

static void command_readwrite(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    client->read_level =
        (rr_read_level)settings_number(client->server->settings, SETTING_READ_LEVEL);
    reply_ok(&client->reply);
}

/* ---- AUTH and HELLO ---- */

/* In a time that does not tell where the two differ. */
static bool same_secret(rr_bytes given, rr_bytes wanted)
{
    const unsigned char *left = given.data;
    const unsigned char *right = wanted.data;
    unsigned difference = given.size != wanted.size;
    for (size_t i = 0; i < given.size; i++) {
        difference |= (unsigned)left[i] ^ (wanted.size > 0 ? right[i % wanted.size] : 1u);
    }
    return difference == 0;
}

/* False: answered. */
static bool authenticate(struct client *client, rr_bytes user, rr_bytes password)
{
    rr_bytes wanted = bytes_of(settings_text(client->server->settings, SETTING_REQUIREPASS));
    bool known = bytes_equal(user, bytes_of("default"));
    if (!known || (wanted.size > 0 && !same_secret(password, wanted))) {
        reply_error(&client->reply,
                    "WRONGPASS invalid username-password pair or user is disabled.");
        return false;
    }
    client->authenticated = true;
    client->parser.authenticated = true;
    return true;
}

static void command_auth(struct client *client, const rr_bytes *argv, size_t argc)
{
    if (argc > 3) {
        reply_error_syntax(&client->reply);
        return;
    }
    if (argc == 2 && settings_text(client->server->settings, SETTING_REQUIREPASS)[0] == '\0') {
        reply_error(&client->reply,
                    "ERR AUTH <password> called without any password configured for the default "
                    "user. Are you sure your configuration is correct?");
        return;
    }
    if (authenticate(client, argc == 2 ? bytes_of("default") : argv[1], argv[argc - 1])) {
        reply_ok(&client->reply);
    }
}

void surface_refuse_arguments(struct client *client, const rr_bytes *argv, const char *container)
{
    reply_error(&client->reply,
                "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.",
                (int)(argv[1].size < 128 ? argv[1].size : 128), (const char *)argv[1].data,
                container);
}

bool surface_name_is_valid(struct client *client, rr_bytes name)
{
    const unsigned char *text = name.data;
    for (size_t i = 0; i < name.size; i++) {
        if (text[i] < '!' || text[i] > '~') {
            reply_error(&client->reply, "ERR Client names cannot contain spaces, newlines or "
                                        "special characters.");
            return false;
        }
    }
    return true;
}

static void tell_hello(struct client *client)
{
    struct reply *reply = &client->reply;
    reply_map(reply, 7);
    reply_bulk_text(reply, "server");
    reply_bulk_text(reply, "redis");
    reply_bulk_text(reply, "version");
    reply_bulk_text(reply, SURFACE_REDIS_VERSION);
    reply_bulk_text(reply, "proto");
    reply_integer(reply, reply->protocol);
    reply_bulk_text(reply, "id");
    reply_integer(reply, (int64_t)client->id);
    reply_bulk_text(reply, "mode");
    reply_bulk_text(reply, "standalone");
    reply_bulk_text(reply, "role");
    /* Any node takes writes, so that no client looks for another. */
    reply_bulk_text(reply, "master");
    reply_bulk_text(reply, "modules");
    reply_array(reply, 0);
}

static void command_hello(struct client *client, const rr_bytes *argv, size_t argc)
{
    struct reply *reply = &client->reply;
    int64_t protocol = reply->protocol;
    if (argc > 1 && !number_parse_i64(argv[1], &protocol)) {
        reply_error(reply, "ERR Protocol version is not an integer or out of range");
        return;
    }
    if (protocol != 2 && protocol != 3) {
        reply_error(reply, "NOPROTO unsupported protocol version");
        return;
    }
    rr_bytes name = {NULL, 0};
    bool named = false;
    for (size_t i = 2; i < argc; i++) {
        if (bytes_is(argv[i], "auth") && argc - i > 2) {
            if (!authenticate(client, argv[i + 1], argv[i + 2])) {
                return;
            }
            i += 2;
        } else if (bytes_is(argv[i], "setname") && argc - i > 1) {
            name = argv[++i];
            named = true;
            if (!surface_name_is_valid(client, name)) {
                return;
            }
        } else {
            reply_error(reply, "ERR Syntax error in HELLO option '%.*s'",
                        (int)(argv[i].size < 128 ? argv[i].size : 128), (const char *)argv[i].data);
            return;
        }
    }
    if (!client->authenticated) {
        reply_error(reply, "NOAUTH HELLO must be called with the client already authenticated, "
                           "otherwise the HELLO AUTH <user> <pass> option can be used to "
                           "authenticate the client and select the RESP protocol version at the "
                           "same time");
        return;
    }
    if (named) {
        buffer_clear(&client->name);
        buffer_append_bytes(&client->name, name);
    }
    reply->protocol = (int)protocol;
    tell_hello(client);
}

/* ---- Transactions ---- */

void command_multi(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    if (client->transaction.active) {
        reply_error(&client->reply, "ERR MULTI calls can not be nested");
        return;
    }
    client->transaction.active = true;
    reply_ok(&client->reply);
}

/* Dispatch sees to EXEC before it comes here. */
void command_exec(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(&client->reply, "ERR EXEC without MULTI");
}

void command_discard(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    if (!client->transaction.active) {
        reply_error(&client->reply, "ERR DISCARD without MULTI");
        return;
    }
    transaction_clear(&client->transaction);
    transaction_unwatch(&client->transaction);
    reply_ok(&client->reply);
}

void command_unwatch(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    transaction_unwatch(&client->transaction);
    reply_ok(&client->reply);
}

static void watch_next(struct client *client);

static void watch_done(struct call *call)
{
    struct client *client = call->arg;
    struct reader reader = reader_of(buffer_bytes(&call->output));
    uint64_t modified = reader_u64(&reader);
    bool absent = call->status == RR_OK && modified == 0;
    if (client->connection == NULL) {
        server_watch_end(client->server, &client->transaction, /*absent=*/false);
        client_destroy(client);
        return;
    }
    server_watch_end(client->server, &client->transaction, absent);
    client->state = CLIENT_READY;
    const rr_bytes *argv = parser_argv(&client->parser);
    if (call->status != RR_OK || reader.failed || argv == NULL) {
        client->transaction.watch_failed = true;
        steps_status_error(&client->reply, call->status != RR_OK ? call->status : RR_NO_MEMORY,
                           /*reads_only=*/true);
    } else if (!transaction_watch(&client->transaction, (uint8_t)client->db,
                                  argv[client->watch_position], modified)) {
        client->transaction.watch_failed = true;
        reply_error(&client->reply, "ERR too many keys are watched");
    } else {
        client->watch_position++;
        watch_next(client);
        if (client->state != CLIENT_READY) {
            return;
        }
    }
    buffer_clear(&call->input);
    steps_answer(client);
    client_advance(client);
}

/* Asks for the modification index of the next key; the request stays with the parser. */
static void watch_next(struct client *client)
{
    const rr_bytes *argv = parser_argv(&client->parser);
    size_t argc = client->parser.count;
    while (client->watch_position < argc &&
           transaction_watches(&client->transaction, (uint8_t)client->db,
                               argv[client->watch_position])) {
        client->watch_position++;
    }
    if (client->watch_position == argc) {
        reply_ok(&client->reply);
        return;
    }
    buffer_clear(&client->call.input);
    batch_watch_query(&client->call.input, (uint8_t)client->db, argv[client->watch_position]);
    client->call.done = watch_done;
    client->state = CLIENT_CALLING;
    server_watch_begin(client->server);
    call_query(&client->call, RR_READ_LINEARIZABLE);
}

void command_watch(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    if (client->transaction.active) {
        reply_error(&client->reply, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    if (argv == NULL) {
        return;
    }
    client->watch_position = 1;
    watch_next(client);
}

/* ---- The rows ---- */

#define ANYTIME (COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST)

const struct command commands_connection[] = {
    {.name = "auth",
     .arity = -2,
     .flags = ANYTIME | COMMAND_NO_AUTH | COMMAND_SENTINEL | COMMAND_ALLOW_BUSY,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Proves who the client is.",
     .complexity = "O(N) where N is the number of passwords defined for the user",
     .local = command_auth},
    {.name = "echo",
     .arity = 2,
     .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Answers what it was given.",
     .complexity = "O(1)",
     .local = command_echo},
    {.name = "hello",
     .arity = -1,
     .flags = ANYTIME | COMMAND_NO_AUTH | COMMAND_SENTINEL | COMMAND_ALLOW_BUSY,
     .group = "connection",
     .since = "6.0.0",
     .summary = "Chooses the protocol, and tells about the server.",
     .complexity = "O(1)",
     .local = command_hello},
    {.name = "ping",
     .arity = -1,
     .flags = COMMAND_FAST | COMMAND_SENTINEL,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Answers PONG, or what it was given.",
     .complexity = "O(1)",
     .local = command_ping},
    {.name = "quit",
     .arity = -1,
     .flags = ANYTIME | COMMAND_NO_AUTH | COMMAND_ALLOW_BUSY,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Ends the connection.",
     .complexity = "O(1)",
     .local = command_quit},
    {.name = "reset",
     .arity = 1,
     .flags = ANYTIME | COMMAND_NO_AUTH | COMMAND_ALLOW_BUSY,
     .group = "connection",
     .since = "6.2.0",
     .summary = "Forgets everything that the connection has chosen.",
     .complexity = "O(1)",
     .local = command_reset},
    {.name = "select",
     .arity = 2,
     .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST,
     .group = "connection",
     .since = "1.0.0",
     .summary = "Chooses the database of the connection.",
     .complexity = "O(1)",
     .local = command_select},
    {.name = "time",
     .arity = 1,
     .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST,
     .group = "server",
     .since = "2.6.0",
     .summary = "Answers this node's clock.",
     .complexity = "O(1)",
     .local = command_time},
    {.name = "readonly",
     .arity = 1,
     .flags = COMMAND_FAST | COMMAND_LOADING | COMMAND_STALE,
     .group = "cluster",
     .since = "3.0.0",
     .summary = "Reads of this connection may be served by the leader's lease.",
     .complexity = "O(1)",
     .local = command_readonly,
     .note = "chooses the read level lease instead of reads from replicas"},
    {.name = "readwrite",
     .arity = 1,
     .flags = COMMAND_FAST | COMMAND_LOADING | COMMAND_STALE,
     .group = "cluster",
     .since = "3.0.0",
     .summary = "Reads of this connection have the default read level again.",
     .complexity = "O(1)",
     .local = command_readwrite,
     .note = "chooses the default read level"},
    {.name = "multi",
     .arity = 1,
     .flags = ANYTIME | COMMAND_ALLOW_BUSY,
     .group = "transactions",
     .since = "1.2.0",
     .summary = "Begins a transaction: what follows is queued.",
     .complexity = "O(1)",
     .local = command_multi},
    {.name = "exec",
     .arity = 1,
     .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
     .group = "transactions",
     .since = "1.2.0",
     .summary = "Runs what was queued, all of it at once.",
     .complexity = "Depends on commands in the transaction",
     .local = command_exec},
    {.name = "discard",
     .arity = 1,
     .flags = ANYTIME | COMMAND_ALLOW_BUSY,
     .group = "transactions",
     .since = "2.0.0",
     .summary = "Gives a transaction up.",
     .complexity = "O(N), when N is the number of queued commands",
     .local = command_discard},
    {.name = "watch",
     .arity = -2,
     .flags = ANYTIME | COMMAND_ALLOW_BUSY,
     .group = "transactions",
     .since = "2.2.0",
     .summary = "The next EXEC does nothing if one of these keys has changed by then.",
     .complexity = "O(1) for every key.",
     .local = command_watch,
     .note =
         "A key that is absent at WATCH and at EXEC counts as unchanged if this node has not seen "
         "it between.",
     .keys = {KEY_SPEC(KEY_RO, 1, -1, 1)}},
    {.name = "unwatch",
     .arity = 1,
     .flags = ANYTIME | COMMAND_ALLOW_BUSY,
     .group = "transactions",
     .since = "2.2.0",
     .summary = "Forgets all watched keys.",
     .complexity = "O(1)",
     .local = command_unwatch},
    {.name = NULL},
};
