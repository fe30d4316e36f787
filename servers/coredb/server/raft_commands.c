/*
 * RAFT.*: the cluster's members and leader, snapshots, and the read level of a connection. Any node
 * takes them: what the leader must do, the library passes on. SAVE and its like take snapshots, too.
 * Loop's thread, except where noted.
 */
#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/server/client.h"
#include "coredb/server/server.h"
#include "coredb/server/surface.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MEMBERS_MAX = 64, /* the library has fewer */
    TIMEOUT_DEFAULT_MS = 30000,
    TIMEOUT_MAX_MS = 3600 * 1000,
    MESSAGE_BYTES_MAX = 512,
    ADDRESS_BYTES_MAX = sizeof(((rr_member *)NULL)->address),
};

/* ---- What the node knows ---- */

static void get_info(const struct server *server, rr_node_info *info)
{
    memset(info, 0, sizeof(*info));
    info->struct_size = sizeof(*info);
    rr_node_get_info(server->node, info);
}

static size_t get_members(const struct server *server, rr_member members[MEMBERS_MAX])
{
    size_t count = rr_node_members(server->node, members, MEMBERS_MAX);
    return count < MEMBERS_MAX ? count : MEMBERS_MAX;
}

static void put_number(struct reply *reply, const char *name, uint64_t value)
{
    reply_bulk_text(reply, name);
    reply_integer(reply, (int64_t)value);
}

static void put_text(struct reply *reply, const char *name, const char *value)
{
    reply_bulk_text(reply, name);
    reply_bulk_text(reply, value);
}

static void put_boolean(struct reply *reply, const char *name, bool value)
{
    reply_bulk_text(reply, name);
    reply_boolean(reply, value);
}

static void raft_members(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    struct reply *reply = &client->reply;
    rr_member members[MEMBERS_MAX];
    rr_node_info info;
    get_info(client->server, &info);
    size_t count = get_members(client->server, members);
    reply_array(reply, count);
    for (size_t i = 0; i < count; i++) {
        reply_map(reply, 5);
        put_number(reply, "id", members[i].id);
        put_text(reply, "address", members[i].address);
        put_text(reply, "role", members[i].role == RR_VOTER ? "voter" : "learner");
        put_boolean(reply, "leader", members[i].id == info.leader);
        put_boolean(reply, "self", members[i].id == info.node_id);
    }
}

static const char *address_of(const rr_member *members, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].id == id) {
            return members[i].address;
        }
    }
    return "";
}

static void raft_info(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    struct reply *reply = &client->reply;
    rr_member members[MEMBERS_MAX];
    rr_node_info info;
    char cluster[20];
    get_info(client->server, &info);
    size_t count = get_members(client->server, members);
    snprintf(cluster, sizeof(cluster), "%016" PRIx64, info.cluster_id);
    reply_map(reply, 15);
    put_number(reply, "node_id", info.node_id);
    put_text(reply, "cluster_id", cluster);
    put_text(reply, "role", server_role_name(info.role));
    put_number(reply, "leader", info.leader);
    put_text(reply, "leader_address", address_of(members, count, info.leader));
    put_number(reply, "term", info.term);
    put_number(reply, "members", count);
    put_number(reply, "voters", info.incoming_count);
    put_boolean(reply, "changing", info.joint);
    put_number(reply, "first_index", info.first_index);
    put_number(reply, "last_index", info.last_index);
    put_number(reply, "commit_index", info.commit_index);
    put_number(reply, "applied_index", info.applied_index);
    put_number(reply, "snapshot_index", info.snapshot_index);
    put_number(reply, "membership_index", info.membership_index);
}

/* ---- What takes its time ---- */

/* A call of the library that a client waits for. */
struct request {
    struct loop_task task;
    struct server *server;
    uint64_t client;
    uint64_t ticket;
    rr_status status;
    uint64_t index;   /* of the result */
    bool is_snapshot; /* answered with the index */
    char message[MESSAGE_BYTES_MAX];
};

/* A message that says why, or else the name of the status. */
static const char *reason(const struct request *request)
{
    return request->message[0] != '\0' ? request->message : rr_status_name(request->status);
}

static void answer(const struct request *request, struct reply *reply)
{
    switch (request->status) {
    case RR_OK:
        if (request->is_snapshot) {
            reply_map(reply, 1);
            put_number(reply, "index", request->index);
        } else {
            reply_ok(reply);
        }
        return;
    case RR_UNKNOWN:
        reply_error(reply, "UNKNOWN the change may or may not take effect (%s); RAFT.MEMBERS tells",
                    reason(request));
        return;
    case RR_NOT_LEADER:
        reply_error(reply, "TRYAGAIN no leader could see to it in time: %s", reason(request));
        return;
    case RR_TIMEOUT:
        reply_error(reply, "TRYAGAIN not done in time: %s", reason(request));
        return;
    case RR_BUSY:
        reply_error(reply, "TRYAGAIN the node has too many requests: %s", reason(request));
        return;
    case RR_CLOSED:
        reply_error(reply, "CLUSTERDOWN the node is shutting down");
        return;
    default:
        reply_error(reply, "ERR %s", reason(request));
        return;
    }
}

static void finish(void *arg)
{
    struct request *request = arg;
    struct client *client = client_resumable(request->server, request->client, request->ticket);
    if (client != NULL) {
        answer(request, &client->reply);
        client_resume(client);
    }
    free(request);
}

/* The node's thread, or the loop's where the node refused. */
static void complete(void *arg, rr_status status, const rr_result *result)
{
    struct request *request = arg;
    request->status = status;
    request->index = rr_result_index(result);
    snprintf(request->message, sizeof(request->message), "%s", rr_result_message(result));
    request->task.run = finish;
    request->task.arg = request;
    loop_post(request->server->loop, &request->task);
}

/* NULL: it has been answered. */
static struct request *begin(struct client *client)
{
    struct request *request = calloc(1, sizeof(*request));
    uint64_t ticket = request != NULL ? client_suspend(client) : 0;
    if (ticket == 0) {
        free(request);
        reply_error(&client->reply, "OOM no memory for the request");
        return NULL;
    }
    request->server = client->server;
    request->client = client->id;
    request->ticket = ticket;
    return request;
}

/* What the library said at once. */
static void began(struct request *request, rr_status status)
{
    if (status != RR_OK) {
        complete(request, status, NULL);
    }
}

/* ---- Their arguments ---- */

static bool read_id(struct client *client, rr_bytes text, uint64_t *id)
{
    if (number_parse_u64(text, id) && *id != 0) {
        return true;
    }
    reply_error(&client->reply, "ERR a node's id is a number from 1");
    return false;
}

/* [TIMEOUT milliseconds] at argv[i], the last arguments. False: answered. */
static bool read_timeout(struct client *client, const rr_bytes *argv, size_t argc, size_t i,
                         uint32_t *timeout_ms)
{
    int64_t number = TIMEOUT_DEFAULT_MS;
    if (i != argc && (i + 2 != argc || !bytes_is(argv[i], "timeout"))) {
        reply_error_syntax(&client->reply);
        return false;
    }
    if (i != argc &&
        (!number_parse_i64(argv[i + 1], &number) || number < 1 || number > TIMEOUT_MAX_MS)) {
        reply_error(&client->reply, "ERR a timeout is a number of milliseconds from 1 to %d",
                    TIMEOUT_MAX_MS);
        return false;
    }
    *timeout_ms = (uint32_t)number;
    return true;
}

/* A member's address, terminated. False: answered. */
static bool read_address(struct client *client, rr_bytes text, char out[ADDRESS_BYTES_MAX])
{
    char host[256];
    uint16_t port = 0;
    const char *problem = "it is too long";
    bool fits = text.size > 0 && text.size < ADDRESS_BYTES_MAX &&
                memchr(text.data, '\0', text.size) == NULL;
    if (fits) {
        memcpy(out, text.data, text.size);
        out[text.size] = '\0';
    }
    if (!fits || rr_address_split(out, host, sizeof(host), &port, &problem) != RR_OK || port == 0) {
        reply_error(&client->reply,
                    "ERR the address is not the HOST:PORT of a node's raft "
                    "address: %s",
                    fits && port == 0 && problem[0] == '\0' ? "port 0" : problem);
        return false;
    }
    return true;
}

/* ---- The commands ---- */

static void raft_add(struct client *client, const rr_bytes *argv, size_t argc)
{
    uint64_t id = 0;
    uint32_t timeout_ms = 0;
    char address[ADDRESS_BYTES_MAX];
    size_t i = 3;
    bool learner = argc > i && bytes_is(argv[i], "learner");
    bool voter = argc > i && bytes_is(argv[i], "voter");
    i += learner || voter ? 1 : 0;
    if (!read_timeout(client, argv, argc, i, &timeout_ms) || !read_id(client, argv[1], &id) ||
        !read_address(client, argv[2], address)) {
        return;
    }
    struct request *request = begin(client);
    if (request != NULL) {
        began(request, rr_node_add(client->server->node, id, address,
                                   learner ? RR_LEARNER : RR_VOTER, timeout_ms, complete, request));
    }
}

static void raft_remove(struct client *client, const rr_bytes *argv, size_t argc)
{
    uint64_t id = 0;
    uint32_t timeout_ms = 0;
    if (!read_timeout(client, argv, argc, 2, &timeout_ms) || !read_id(client, argv[1], &id)) {
        return;
    }
    struct request *request = begin(client);
    if (request != NULL) {
        began(request, rr_node_remove(client->server->node, id, timeout_ms, complete, request));
    }
}

static void raft_transfer(struct client *client, const rr_bytes *argv, size_t argc)
{
    uint64_t id = 0;
    uint32_t timeout_ms = 0;
    bool named = argc > 1 && !bytes_is(argv[1], "timeout");
    if (!read_timeout(client, argv, argc, named ? 2 : 1, &timeout_ms) ||
        (named && !read_id(client, argv[1], &id))) {
        return;
    }
    struct request *request = begin(client);
    if (request != NULL) {
        began(request, rr_node_transfer(client->server->node, id, timeout_ms, complete, request));
    }
}

static void raft_snapshot(struct client *client, const rr_bytes *argv, size_t argc)
{
    uint32_t timeout_ms = 0;
    if (!read_timeout(client, argv, argc, 1, &timeout_ms)) {
        return;
    }
    struct request *request = begin(client);
    if (request != NULL) {
        request->is_snapshot = true;
        began(request, rr_node_snapshot(client->server->node, timeout_ms, complete, request));
    }
}

/* ---- What Redis calls saving ---- */

/* Each acknowledged write is on disk already; a snapshot lets the log before it go. */
static void command_save(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    struct request *request = begin(client);
    if (request != NULL) {
        began(request, rr_node_snapshot(client->server->node, 0, complete, request));
    }
}

static void command_bgsave(struct client *client, const rr_bytes *argv, size_t argc)
{
    if (argc > 2 || (argc == 2 && !bytes_is(argv[1], "schedule"))) {
        reply_error_syntax(&client->reply);
        return;
    }
    struct request *request = calloc(1, sizeof(*request)); /* nobody waits for it: ticket 0 */
    if (request == NULL) {
        reply_error(&client->reply, "OOM no memory for the request");
        return;
    }
    request->server = client->server;
    began(request, rr_node_snapshot(client->server->node, TIMEOUT_MAX_MS, complete, request));
    reply_status(&client->reply, "Background saving started");
}

static void command_lastsave(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    const struct server *server = client->server;
    uint64_t saved_ms = server->sampling.snapshot_ms;
    saved_ms = saved_ms > 0 ? saved_ms : server->started_ms;
    reply_integer(&client->reply, (int64_t)(saved_ms / 1000));
}

static void command_bgrewriteaof(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(&client->reply, "ERR there is no append-only file: writes are in the log of Raft, "
                                "which RAFT.SNAPSHOT shortens");
}

/* ---- Read levels, help ---- */

static void raft_read(struct client *client, const rr_bytes *argv, size_t argc)
{
    static const struct {
        const char *name;
        rr_read_level level;
    } levels[] = {
        {"linearizable", RR_READ_LINEARIZABLE}, {"lease", RR_READ_LEASE}, {"local", RR_READ_LOCAL}};
    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
        if (argc == 1 && client->read_level == levels[i].level) {
            reply_bulk_text(&client->reply, levels[i].name);
            return;
        }
        if (argc == 2 && bytes_is(argv[1], levels[i].name)) {
            client->read_level = levels[i].level;
            reply_ok(&client->reply);
            return;
        }
    }
    reply_error(&client->reply, "ERR the read levels are linearizable, lease and local");
}

static void raft_help(struct client *client, const rr_bytes *argv, size_t argc)
{
    static const char *const lines[] = {
        "RAFT.<command> [<arg> [value] ...]. Commands are:",
        "RAFT.MEMBERS",
        "    List the members as this node knows them.",
        "RAFT.INFO",
        "    Tell what this node knows of its cluster and its log.",
        "RAFT.ADD <id> <host:port> [VOTER|LEARNER] [TIMEOUT <milliseconds>]",
        "    Add the running node of that id at that raft address; it becomes a voter when it has",
        "    caught up, or stays a learner.",
        "RAFT.REMOVE <id> [TIMEOUT <milliseconds>]",
        "    Remove a member.",
        "RAFT.TRANSFER [<id>] [TIMEOUT <milliseconds>]",
        "    Hand leadership to that voter, or to the one that is most up to date.",
        "RAFT.SNAPSHOT [TIMEOUT <milliseconds>]",
        "    Take a snapshot on this node; tells the index of the log that it covers.",
        "RAFT.READ [linearizable|lease|local]",
        "    Choose, or tell, the read level of this connection.",
        "RAFT.HELP",
        "    Print this help.",
    };
    (void)argv;
    (void)argc;
    reply_lines(&client->reply, lines, sizeof(lines) / sizeof(*lines));
}

/* ---- The rows ---- */

#define LOOK (COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_EXTENSION)
#define CHANGE (LOOK | COMMAND_ADMIN | COMMAND_NO_MULTI)
#define ROW(name_, arity_, flags_, summary_, local_)                                               \
    {                                                                                              \
        .name = (name_), .arity = (arity_), .flags = (flags_), .group = "raft", .since = "7.0.0",  \
        .summary = (summary_), .complexity = "O(N) with N members", .local = (local_),             \
        .note = "not of Redis"                                                                     \
    }

#define SAVE (COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_NO_ASYNC_LOADING)
#define SAVE_ROW(name_, arity_, flags_, summary_, local_, note_)                                   \
    {                                                                                              \
        .name = (name_), .arity = (arity_), .flags = (flags_), .group = "server",                  \
        .since = "1.0.0", .summary = (summary_), .complexity = "O(1)", .local = (local_),          \
        .note = (note_)                                                                            \
    }

const struct command commands_raft[] = {
    SAVE_ROW("bgrewriteaof", 1, SAVE, "Refused: there is no append-only file.",
             command_bgrewriteaof, "refused: RAFT.SNAPSHOT shortens the log"),
    SAVE_ROW("bgsave", -1, SAVE, "Begins a snapshot of this node.", command_bgsave,
             "a snapshot of this node; every acknowledged write is on disk without it"),
    SAVE_ROW("lastsave", 1, COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST,
             "Tells when this node's last snapshot was seen.", command_lastsave,
             "of this node's snapshots, those that it makes by itself included"),
    SAVE_ROW("save", 1, SAVE | COMMAND_NO_MULTI, "Takes a snapshot of this node.", command_save,
             "a snapshot of this node; every acknowledged write is on disk without it"),
    ROW("raft.add", -3, CHANGE, "Adds a member to the cluster.", raft_add),
    ROW("raft.help", 1, LOOK, "Tells about the commands of the cluster.", raft_help),
    ROW("raft.info", 1, LOOK, "Tells what this node knows of its cluster and its log.", raft_info),
    ROW("raft.members", 1, LOOK, "Lists the members of the cluster.", raft_members),
    ROW("raft.read", -1, LOOK | COMMAND_FAST, "Chooses the read level of the connection.",
        raft_read),
    ROW("raft.remove", -2, CHANGE, "Removes a member from the cluster.", raft_remove),
    ROW("raft.snapshot", -1, CHANGE, "Takes a snapshot on this node.", raft_snapshot),
    ROW("raft.transfer", -1, CHANGE, "Hands leadership to another member.", raft_transfer),
    {.name = NULL},
};
