/*
 * What Redis's replication and Redis Cluster are asked: every node here takes reads and writes, so each
 * calls itself a master, and nothing is sharded. RAFT.* (raft_commands.c) is about the real cluster.
 */
#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/server/client.h"
#include "coredb/server/server.h"
#include "coredb/server/surface.h"

static void command_cluster(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(&client->reply, "ERR This instance has cluster support disabled");
}

static void command_role(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    rr_node_info info = {.struct_size = sizeof(info)};
    rr_node_get_info(client->server->node, &info);
    reply_array(&client->reply, 3);
    reply_bulk_text(&client->reply, "master");
    reply_integer(&client->reply, (int64_t)info.applied_index);
    reply_array(&client->reply, 0);
}

static void command_replicaof(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    int64_t port = 0;
    if (bytes_is(argv[1], "no") && bytes_is(argv[2], "one")) {
        reply_ok(&client->reply); /* it is nobody's replica */
    } else if (!number_parse_i64(argv[2], &port) || port < 0 || port > 65535) {
        reply_error(&client->reply, "ERR Invalid master port");
    } else {
        reply_error(&client->reply,
                    "ERR a node is no replica of another: RAFT.ADD on a member of the "
                    "cluster, or --join at the start, makes it a member");
    }
}

static void command_failover(struct client *client, const rr_bytes *argv, size_t argc)
{
    if (argc == 2 && bytes_is(argv[1], "abort")) {
        reply_error(&client->reply, "ERR No failover in progress.");
    } else {
        reply_error(&client->reply,
                    "ERR nodes elect their leader by themselves; RAFT.TRANSFER hands it over");
    }
}

/* ---- Modules, of which there are none ---- */

static void module_list(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_array(&client->reply, 0);
}

static void module_unsupported(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(&client->reply, "ERR modules cannot be loaded here");
}

static void module_help(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_array(&client->reply, 5);
    reply_status(&client->reply, "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    reply_status(&client->reply, "LIST");
    reply_status(&client->reply, "    List the modules: there are none.");
    reply_status(&client->reply, "HELP");
    reply_status(&client->reply, "    Print this help.");
}

#define MODULE_FLAGS (COMMAND_ADMIN | COMMAND_NOSCRIPT)
#define MODULE_ROW(name_, arity_, flags_, since_, summary_, local_)                                \
    {                                                                                              \
        .name = (name_), .arity = (arity_), .flags = (flags_), .group = "server",                  \
        .since = (since_), .summary = (summary_), .complexity = "O(1)", .local = (local_)          \
    }

static const struct command module_subcommands[] = {
    MODULE_ROW("help", 2, COMMAND_LOADING | COMMAND_STALE, "5.0.0", "Tells about the subcommands.",
               module_help),
    MODULE_ROW("list", 2, MODULE_FLAGS, "4.0.0", "Lists the modules: there are none.", module_list),
    MODULE_ROW("load", -3, MODULE_FLAGS | COMMAND_NO_ASYNC_LOADING, "4.0.0", "Not supported.",
               module_unsupported),
    MODULE_ROW("loadex", -3, MODULE_FLAGS | COMMAND_NO_ASYNC_LOADING, "7.0.0", "Not supported.",
               module_unsupported),
    MODULE_ROW("unload", 3, MODULE_FLAGS | COMMAND_NO_ASYNC_LOADING, "4.0.0", "Not supported.",
               module_unsupported),
    {.name = NULL},
};

/* ---- LOLWUT ---- */

static void command_lolwut(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    static const char text[] = "Redis ver. " SURFACE_REDIS_VERSION "\n";
    reply_verbatim(&client->reply, "txt", bytes_of(text));
}

/* ---- The rows ---- */

#define REPLICA_FLAGS (COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_STALE | COMMAND_NO_ASYNC_LOADING)
#define REPLICA_NOTE                                                                               \
    "NO ONE is accepted; all else is refused: nodes become members with RAFT.ADD or --join"

const struct command commands_cluster[] = {
    {.name = "asking",
     .arity = 1,
     .flags = COMMAND_FAST,
     .group = "cluster",
     .since = "3.0.0",
     .summary = "Refused: this is no Redis Cluster.",
     .complexity = "O(1)",
     .local = command_cluster,
     .note = "as where Redis Cluster is off"},
    {.name = "cluster",
     .arity = -2,
     .group = "cluster",
     .since = "3.0.0",
     .summary = "Refused: this is no Redis Cluster.",
     .complexity = "Depends on subcommand.",
     .local = command_cluster,
     .note = "as where Redis Cluster is off: any node takes any key; RAFT.* is about the members"},
    {.name = "failover",
     .arity = -1,
     .flags = COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_STALE,
     .group = "server",
     .since = "6.2.0",
     .summary = "Refused: RAFT.TRANSFER hands leadership over.",
     .complexity = "O(1)",
     .local = command_failover,
     .note = "always refused: RAFT.TRANSFER hands leadership over"},
    {.name = "lolwut",
     .arity = -1,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "server",
     .since = "5.0.0",
     .summary = "Tells the version.",
     .complexity = "O(1)",
     .local = command_lolwut,
     .note = "tells the version, without a picture"},
    {.name = "module",
     .arity = -2,
     .group = "server",
     .since = "4.0.0",
     .summary = "Commands about modules, of which there are none.",
     .complexity = "Depends on subcommand.",
     .subcommands = module_subcommands,
     .note = "there are no modules"},
    {.name = "replicaof",
     .arity = 3,
     .flags = REPLICA_FLAGS,
     .group = "server",
     .since = "5.0.0",
     .summary = "Refused, but for NO ONE: RAFT.ADD makes members.",
     .complexity = "O(1)",
     .local = command_replicaof,
     .note = REPLICA_NOTE},
    {.name = "role",
     .arity = 1,
     .flags = COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST,
     .group = "server",
     .since = "2.8.12",
     .summary = "Tells that this node takes writes, as all do.",
     .complexity = "O(1)",
     .local = command_role,
     .note = "every node is a master without replicas, since any node takes writes; the offset is "
             "the applied index of the log; RAFT.MEMBERS lists the members"},
    {.name = "slaveof",
     .arity = 3,
     .flags = REPLICA_FLAGS,
     .group = "server",
     .since = "1.0.0",
     .summary = "As REPLICAOF.",
     .complexity = "O(1)",
     .local = command_replicaof,
     .note = REPLICA_NOTE},
    {.name = NULL},
};
