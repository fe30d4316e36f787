/* The local commands that clients and tools ask for, and what their files share. */
#ifndef COREDB_SERVER_SURFACE_H
#define COREDB_SERVER_SURFACE_H

#include "coredb/command/command.h"

#define SURFACE_REDIS_VERSION "7.0.15"

/* Rows, ended by a NULL name. */
extern const struct command commands_connection[];
extern const struct command commands_client[];
extern const struct command commands_config[];
extern const struct command commands_debug[];
extern const struct command commands_command[];
extern const struct command commands_info[];
extern const struct command commands_memory[];
extern const struct command commands_raft[];
extern const struct command commands_slowlog[];
extern const struct command commands_latency[];
extern const struct command commands_acl[];
extern const struct command commands_cluster[];

/* Answers that argv[1] is no subcommand of `container`, or has not the right arguments. */
void surface_refuse_arguments(struct client *client, const rr_bytes *argv, const char *container);

/* Whether it is an INFO that shows how many keys there are: in EXEC, client->keyspace has them. */
bool info_wants_keyspace(const struct command *command, const rr_bytes *argv, size_t argc);

/* Whether it may be a client's name; false: answered. */
bool surface_name_is_valid(struct client *client, rr_bytes name);

#endif
