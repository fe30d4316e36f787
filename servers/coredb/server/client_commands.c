/* CLIENT: what this node knows about its connections, and what may be done to them. */
#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/command/measure.h"
#include "coredb/server/blocked.h"
#include "coredb/server/client.h"
#include "coredb/server/server.h"
#include "coredb/server/steps.h"
#include "coredb/server/surface.h"
#include "coredb/server/wait.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES_MAX = 1024, LIST_BYTES_MAX = 16 * 1024 * 1024 };

/* ---- What a client looks like ---- */

static void append_flags(const struct client *client, struct buffer *out)
{
    size_t before = out->size;
    if (client_is_subscriber(client)) {
        buffer_append_byte(out, 'P');
    }
    if (client->transaction.active) {
        buffer_append_byte(out, 'x');
    }
    if (client->state == CLIENT_BLOCKED || client->state == CLIENT_CANCELING ||
        wait_is_waiting(client)) {
        buffer_append_byte(out, 'b');
    }
    if (client->closing) {
        buffer_append_byte(out, 'c');
    }
    if (connection_is_unix(client->connection)) {
        buffer_append_byte(out, 'U');
    }
    if (client->read_level != RR_READ_LINEARIZABLE) {
        buffer_append_byte(out, 'r');
    }
    if (client->no_evict) {
        buffer_append_byte(out, 'e');
    }
    if (out->size == before) {
        buffer_append_byte(out, 'N');
    }
}

static void append_text(struct buffer *out, const char *name, const struct buffer *value)
{
    buffer_append_text(out, name);
    buffer_append_bytes(out, buffer_bytes(value));
}

/* "get", or "client|list". */
static void append_command(const struct client *client, struct buffer *out)
{
    const struct command *command = client->last_command;
    const struct measure_counts *counts =
        command != NULL ? measure_find(client->server->measure, command) : NULL;
    if (counts != NULL && counts->container != NULL) {
        buffer_append_text(out, counts->container->name);
        buffer_append_byte(out, '|');
    }
    buffer_append_text(out, command != NULL ? command->name : "NULL");
}

/* One line of CLIENT LIST, without its end. */
static void append_client(const struct client *client, struct buffer *out)
{
    char peer[CONNECTION_ADDRESS_MAX];
    char local[CONNECTION_ADDRESS_MAX];
    char line[LINE_BYTES_MAX];
    uint64_t now_ms = loop_now_ms(client->server->loop);
    connection_peer(client->connection, peer);
    connection_local(client->connection, local);
    snprintf(line, sizeof(line), "id=%" PRIu64 " addr=%s laddr=%s fd=%d", client->id, peer, local,
             connection_descriptor(client->connection));
    buffer_append_text(out, line);
    append_text(out, " name=", &client->name);
    snprintf(line, sizeof(line),
             " age=%" PRIu64 " idle=%" PRIu64 " flags=", (now_ms - client->created_ms) / 1000,
             (now_ms - client->active_ms) / 1000);
    buffer_append_text(out, line);
    append_flags(client, out);
    size_t input = parser_buffered(&client->parser);
    size_t output = connection_unsent(client->connection);
    int queued = client->transaction.active ? (int)client->transaction.count : -1;
    snprintf(line, sizeof(line),
             " db=%u sub=%u psub=%u ssub=%u multi=%d qbuf=%zu qbuf-free=%zu argv-mem=%zu "
             "multi-mem=%zu rbs=%zu rbp=%zu obl=%zu oll=0 omem=%zu tot-mem=%zu events=%s cmd=",
             client->db, client->channel_count, client->pattern_count, client->shard_channel_count,
             queued, input, client->parser.input.capacity - client->parser.input.size, (size_t)0,
             client->transaction.bytes.size, client->call.input.capacity, (size_t)0, output, output,
             sizeof(*client) + client->parser.input.capacity + output, output > 0 ? "rw" : "r");
    buffer_append_text(out, line);
    append_command(client, out);
    snprintf(line, sizeof(line), " user=default redir=-1 resp=%d", client->reply.protocol);
    buffer_append_text(out, line);
    append_text(out, " lib-name=", &client->library_name);
    append_text(out, " lib-ver=", &client->library_version);
}

static bool is_type(const struct client *client, rr_bytes type)
{
    return bytes_is(type, "pubsub") ? client_is_subscriber(client)
                                    : bytes_is(type, "normal") && !client_is_subscriber(client);
}

static bool is_known_type(rr_bytes type)
{
    return bytes_is(type, "normal") || bytes_is(type, "pubsub") || bytes_is(type, "master") ||
           bytes_is(type, "replica") || bytes_is(type, "slave");
}

static void reply_verbatim_text(struct client *client, const struct buffer *text)
{
    reply_verbatim(&client->reply, "txt", buffer_bytes(text));
}

/* All clients in the order of their ids, which is that of the list. The caller frees it; NULL: no
 * memory. */
static const struct client **sorted_clients(const struct server *server)
{
    const struct client **clients = malloc((server->client_count + 1) * sizeof(*clients));
    size_t count = 0;
    const struct list_link *head = &server->clients;
    for (const struct list_link *link = head->next; clients != NULL && link != head;
         link = link->next) {
        clients[count++] = LIST_OWNER(link, struct client, link);
    }
    return clients;
}

static const struct client *search(const struct client **clients, size_t count, uint64_t id)
{
    size_t from = 0;
    while (count > 0) {
        size_t half = count / 2;
        if (clients[from + half]->id < id) {
            from += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return clients[from] != NULL && clients[from]->id == id ? clients[from] : NULL;
}

static void append_line(const struct client *client, struct buffer *out)
{
    append_client(client, out);
    buffer_append_byte(out, '\n');
}

/* Those of the ids argv[3], ... */
static void list_by_id(const struct client *client, const rr_bytes *argv, size_t argc,
                       struct buffer *out)
{
    size_t count = client->server->client_count;
    const struct client **clients = sorted_clients(client->server);
    if (clients == NULL) {
        out->failed = true;
        return;
    }
    clients[count] = NULL;
    for (size_t i = 3; i < argc && !out->failed; i++) {
        int64_t id = 0;
        const struct client *other =
            number_parse_i64(argv[i], &id) ? search(clients, count, (uint64_t)id) : NULL;
        if (other != NULL) {
            append_line(other, out);
        }
    }
    free(clients);
}

static void list_by_type(const struct client *client, const rr_bytes *type, struct buffer *out)
{
    const struct list_link *head = &client->server->clients;
    for (const struct list_link *link = head->next; link != head; link = link->next) {
        const struct client *other = LIST_OWNER(link, struct client, link);
        if (type == NULL || is_type(other, *type)) {
            append_line(other, out);
        }
    }
}

static bool are_ids(const rr_bytes *argv, size_t argc)
{
    for (size_t i = 3; i < argc; i++) {
        int64_t id = 0;
        if (!number_parse_i64(argv[i], &id) || id <= 0) {
            return false;
        }
    }
    return true;
}

static void client_list(struct client *client, const rr_bytes *argv, size_t argc)
{
    bool by_type = argc == 4 && bytes_is(argv[2], "type");
    bool by_id = argc > 3 && bytes_is(argv[2], "id");
    if (by_type && !is_known_type(argv[3])) {
        reply_error(&client->reply, "ERR Unknown client type '%.*s'", (int)argv[3].size,
                    (const char *)argv[3].data);
        return;
    }
    if (argc > 2 && !by_type && !by_id) {
        reply_error_syntax(&client->reply);
        return;
    }
    if (by_id && !are_ids(argv, argc)) {
        reply_error(&client->reply, "ERR Invalid client ID");
        return;
    }
    struct buffer out;
    buffer_init(&out);
    out.limit = LIST_BYTES_MAX;
    if (by_id) {
        list_by_id(client, argv, argc, &out);
    } else {
        list_by_type(client, by_type ? &argv[3] : NULL, &out);
    }
    if (out.failed) {
        reply_error(&client->reply, "ERR the list exceeds the limit of %d bytes", LIST_BYTES_MAX);
    } else {
        reply_verbatim_text(client, &out);
    }
    buffer_deinit(&out);
}

static void client_info(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    struct buffer out;
    buffer_init(&out);
    append_client(client, &out);
    buffer_append_byte(&out, '\n');
    reply_verbatim_text(client, &out);
    buffer_deinit(&out);
}

/* ---- What a client says of itself ---- */

static void client_id(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_integer(&client->reply, (int64_t)client->id);
}

static void client_getname(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    if (client->name.size > 0) {
        reply_bulk(&client->reply, buffer_bytes(&client->name));
    } else {
        reply_null(&client->reply);
    }
}

static void set_text(struct client *client, struct buffer *out, rr_bytes value)
{
    if (value.size > CLIENT_NAME_MAX) {
        reply_error(&client->reply, "ERR the text exceeds the limit of %d bytes", CLIENT_NAME_MAX);
        return;
    }
    buffer_clear(out);
    buffer_append_bytes(out, value);
    reply_ok(&client->reply);
}

static void client_setname(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    if (surface_name_is_valid(client, argv[2])) {
        set_text(client, &client->name, argv[2]);
    }
}

static void client_setinfo(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    const unsigned char *text = argv[3].data;
    bool is_name = bytes_is(argv[2], "lib-name");
    if (!is_name && !bytes_is(argv[2], "lib-ver")) {
        reply_error(&client->reply, "ERR Unrecognized option '%.*s'", (int)argv[2].size,
                    (const char *)argv[2].data);
        return;
    }
    for (size_t i = 0; i < argv[3].size; i++) {
        if (text[i] < '!' || text[i] > '~') {
            reply_error(&client->reply,
                        "ERR %s cannot contain spaces, newlines or special "
                        "characters.",
                        is_name ? "lib-name" : "lib-ver");
            return;
        }
    }
    set_text(client, is_name ? &client->library_name : &client->library_version, argv[3]);
}

static void client_reply(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    if (bytes_is(argv[2], "on")) {
        client->replies = REPLIES_ON;
        reply_ok(&client->reply);
    } else if (bytes_is(argv[2], "off")) {
        client->replies = REPLIES_OFF;
    } else if (bytes_is(argv[2], "skip")) {
        if (client->replies == REPLIES_ON) {
            client->replies = REPLIES_SKIP;
        }
    } else {
        reply_error_syntax(&client->reply);
    }
}

/* ON or OFF; false: answered. */
static bool read_switch(struct client *client, rr_bytes word, bool *on)
{
    *on = bytes_is(word, "on");
    if (!*on && !bytes_is(word, "off")) {
        reply_error_syntax(&client->reply);
        return false;
    }
    reply_ok(&client->reply);
    return true;
}

static void client_no_evict(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    bool on = false;
    if (read_switch(client, argv[2], &on)) {
        client->no_evict = on;
    }
}

static void client_no_touch(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    bool on = false;
    (void)read_switch(client, argv[2], &on); /* nothing here is touched by reading */
}

/* ---- What is done to clients ---- */

struct kill_filter {
    rr_bytes address; /* empty: any, as the next two */
    rr_bytes local_address;
    rr_bytes type;
    uint64_t id; /* 0: any */
    bool no_user;
    bool skip_me;
};

static bool is_to_be_killed(const struct client *client, const struct kill_filter *filter,
                            const struct client *me)
{
    char peer[CONNECTION_ADDRESS_MAX];
    char local[CONNECTION_ADDRESS_MAX];
    connection_peer(client->connection, peer);
    connection_local(client->connection, local);
    return (filter->address.size == 0 || bytes_equal(filter->address, bytes_of(peer))) &&
           (filter->local_address.size == 0 ||
            bytes_equal(filter->local_address, bytes_of(local))) &&
           (filter->type.size == 0 || is_type(client, filter->type)) &&
           (filter->id == 0 || filter->id == client->id) && !filter->no_user &&
           !(filter->skip_me && client == me);
}

static size_t kill_all(struct client *me, const struct kill_filter *filter)
{
    size_t count = 0;
    struct list_link *head = &me->server->clients;
    struct list_link *link = head->next;
    while (link != head) {
        struct client *other = LIST_OWNER(link, struct client, link);
        link = link->next;
        if (is_to_be_killed(other, filter, me)) {
            count++;
            client_kill(other, /*after_reply=*/other == me);
        }
    }
    return count;
}

/* One pair of CLIENT KILL; false: answered. */
static bool read_filter(struct client *client, rr_bytes name, rr_bytes value,
                        struct kill_filter *filter)
{
    int64_t id = 0;
    if (bytes_is(name, "id")) {
        if (!number_parse_i64(value, &id) || id <= 0) {
            reply_error(&client->reply, "ERR client-id should be greater than 0");
            return false;
        }
        filter->id = (uint64_t)id;
    } else if (bytes_is(name, "type")) {
        if (!is_known_type(value)) {
            reply_error(&client->reply, "ERR Unknown client type '%.*s'", (int)value.size,
                        (const char *)value.data);
            return false;
        }
        filter->type = value;
    } else if (bytes_is(name, "addr")) {
        filter->address = value;
    } else if (bytes_is(name, "laddr")) {
        filter->local_address = value;
    } else if (bytes_is(name, "user")) {
        if (!bytes_equal(value, bytes_of("default"))) {
            reply_error(&client->reply, "ERR No such user '%.*s'", (int)value.size,
                        (const char *)value.data);
            return false;
        }
    } else if (bytes_is(name, "skipme") && (bytes_is(value, "yes") || bytes_is(value, "no"))) {
        filter->skip_me = bytes_is(value, "yes");
    } else {
        reply_error_syntax(&client->reply);
        return false;
    }
    return true;
}

static void command_client_kill(struct client *client, const rr_bytes *argv, size_t argc)
{
    struct kill_filter filter = {.skip_me = true};
    if (argc == 3) {
        filter.address = argv[2];
        filter.skip_me = false;
        if (kill_all(client, &filter) > 0) {
            reply_ok(&client->reply);
        } else {
            reply_error(&client->reply, "ERR No such client");
        }
        return;
    }
    for (size_t i = 2; i < argc; i += 2) {
        if (i + 1 == argc) {
            reply_error_syntax(&client->reply);
            return;
        }
        if (!read_filter(client, argv[i], argv[i + 1], &filter)) {
            return;
        }
    }
    reply_integer(&client->reply, (int64_t)kill_all(client, &filter));
}

static void client_unblock(struct client *client, const rr_bytes *argv, size_t argc)
{
    int64_t id = 0;
    bool with_error = argc == 4 && bytes_is(argv[3], "error");
    if (argc > 4 || (argc == 4 && !with_error && !bytes_is(argv[3], "timeout"))) {
        reply_error(&client->reply, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        return;
    }
    if (!number_parse_i64(argv[2], &id)) {
        reply_error_not_integer(&client->reply);
        return;
    }
    struct client *other = id > 0 ? client_find(client->server, (uint64_t)id) : NULL;
    reply_integer(&client->reply, other != NULL && blocked_end(other, with_error));
}

static void client_pause(struct client *client, const rr_bytes *argv, size_t argc)
{
    int64_t timeout_ms = 0;
    bool all = argc == 3 || bytes_is(argv[3], "all");
    if (argc > 4 || (!all && !bytes_is(argv[3], "write"))) {
        reply_error(&client->reply, "ERR CLIENT PAUSE mode must be WRITE or ALL");
        return;
    }
    if (!number_parse_i64(argv[2], &timeout_ms)) {
        reply_error(&client->reply, "ERR timeout is not an integer or out of range");
        return;
    }
    if (timeout_ms < 0) {
        reply_error(&client->reply, "ERR timeout is negative");
        return;
    }
    uint64_t now_ms = loop_now_ms(client->server->loop);
    if ((uint64_t)timeout_ms > UINT64_MAX / 4) {
        timeout_ms = INT64_MAX / 4;
    }
    server_pause(client->server, now_ms + (uint64_t)timeout_ms, all);
    reply_ok(&client->reply);
}

static void client_unpause(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    server_unpause(client->server);
    reply_ok(&client->reply);
}

static void client_getredir(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_integer(&client->reply, -1);
}

static void client_tracking(struct client *client, const rr_bytes *argv, size_t argc)
{
    if (argc == 3 && bytes_is(argv[2], "off")) {
        reply_ok(&client->reply);
    } else if (bytes_is(argv[2], "on")) {
        reply_error(&client->reply, "ERR client-side caching is not supported: CLIENT TRACKING can "
                                    "only be OFF");
    } else {
        reply_error_syntax(&client->reply);
    }
}

static void client_trackinginfo(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    struct reply *reply = &client->reply;
    reply_map(reply, 3);
    reply_bulk_text(reply, "flags");
    reply_set(reply, 1);
    reply_bulk_text(reply, "off");
    reply_bulk_text(reply, "redirect");
    reply_integer(reply, -1);
    reply_bulk_text(reply, "prefixes");
    reply_array(reply, 0);
}

static void client_caching(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(&client->reply, "ERR CLIENT CACHING can be called only when the client is in "
                                "tracking mode with OPTIN or OPTOUT mode enabled");
}

static void client_help(struct client *client, const rr_bytes *argv, size_t argc)
{
    static const char *const lines[] = {
        "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CACHING, GETREDIR, TRACKING, TRACKINGINFO: client-side caching is off.",
        "GETNAME, SETNAME <name>: this connection's name.",
        "ID, INFO: this connection.",
        "KILL <ip:port>, KILL <option> <value> [...]: end connections.",
        "LIST [TYPE (NORMAL|PUBSUB)] [ID <id> ...]: all connections.",
        "NO-EVICT (ON|OFF), NO-TOUCH (ON|OFF): kept, without effect.",
        "PAUSE <timeout> [WRITE|ALL], UNPAUSE: hold commands back.",
        "REPLY (ON|OFF|SKIP): whether this connection gets replies.",
        "SETINFO (LIB-NAME|LIB-VER) <value>: the client's library.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]: end a blocking command.",
        "HELP",
    };
    (void)argv;
    (void)argc;
    reply_lines(&client->reply, lines, sizeof(lines) / sizeof(*lines));
}

/* ---- The rows ---- */

#define OPEN (COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_SENTINEL)
#define ROW(name_, arity_, flags_, since_, summary_, local_)                                       \
    {                                                                                              \
        .name = (name_), .arity = (arity_), .flags = (flags_), .group = "connection",              \
        .since = (since_), .summary = (summary_), .complexity = "O(1)", .local = (local_)          \
    }

static const struct command subcommands[] = {
    ROW("caching", 3, OPEN, "6.0.0", "Client-side caching is not supported.", client_caching),
    ROW("getname", 2, OPEN, "2.6.9", "Answers the connection's name.", client_getname),
    ROW("getredir", 2, OPEN, "6.0.0", "Where invalidations go; tracking is not supported.",
        client_getredir),
    ROW("help", 2, COMMAND_LOADING | COMMAND_STALE | COMMAND_SENTINEL, "5.0.0",
        "Tells about the subcommands.", client_help),
    ROW("id", 2, OPEN, "5.0.0", "Answers the connection's number.", client_id),
    ROW("info", 2, OPEN, "6.2.0", "Tells about the connection.", client_info),
    ROW("kill", -3, OPEN | COMMAND_ADMIN, "2.4.0", "Ends connections.", command_client_kill),
    ROW("list", -2, OPEN | COMMAND_ADMIN, "2.4.0", "Lists the connections of this node.",
        client_list),
    ROW("no-evict", 3, OPEN | COMMAND_ADMIN, "7.0.0", "Kept, without effect.", client_no_evict),
    ROW("no-touch", 3, OPEN, "7.2.0", "Kept, without effect.", client_no_touch),
    ROW("pause", -3, OPEN | COMMAND_ADMIN, "2.9.50", "Holds commands of this node back.",
        client_pause),
    ROW("reply", 3, OPEN, "3.2.0", "Whether the connection gets replies.", client_reply),
    ROW("setinfo", 4, OPEN, "7.2.0", "Sets the name or version of the client's library.",
        client_setinfo),
    ROW("setname", 3, OPEN, "2.6.9", "Names the connection.", client_setname),
    ROW("tracking", -3, OPEN, "6.0.0", "Client-side caching is not supported; OFF is accepted.",
        client_tracking),
    ROW("trackinginfo", 2, OPEN, "6.2.0", "Tells that tracking is off.", client_trackinginfo),
    ROW("unblock", -3, OPEN | COMMAND_ADMIN, "5.0.0", "Ends a blocking command.", client_unblock),
    ROW("unpause", 2, OPEN | COMMAND_ADMIN, "6.2.0", "Lets held commands go on.", client_unpause),
    {.name = NULL},
};

const struct command commands_client[] = {
    {.name = "client",
     .arity = -2,
     .flags = COMMAND_SENTINEL,
     .group = "connection",
     .since = "2.4.0",
     .summary = "Commands about connections.",
     .complexity = "Depends on subcommand.",
     .subcommands = subcommands},
    {.name = NULL},
};
