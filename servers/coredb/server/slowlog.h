/*
 * Commands of this node's clients that took long to run: SLOWLOG, and LATENCY's events of commands.
 * A duration is that of the command itself where it ran (measure.h), as in Redis: neither the way
 * through the log nor the time in a queue is in it. Loop's thread.
 */
#ifndef COREDB_SERVER_SLOWLOG_H
#define COREDB_SERVER_SLOWLOG_H

#include "coredb/server/client.h"

struct server;
struct slowlog;

/* What an entry keeps of a command. */
enum { SLOWLOG_ARGUMENTS_MAX = 32, SLOWLOG_ARGUMENT_BYTES_MAX = 128 };

/* Non-blocking batches are known by their client: this bit and its id, in place of a waiter's
 * number. */
#define SLOWLOG_CLIENT_BIT (UINT64_C(1) << 63)

/* `server->measure` and `server->latency` are there; hears of slow commands from now on. */
struct slowlog *slowlog_new(struct server *server);
/* After the node is shut down. NULL is fine. */
void slowlog_free(struct slowlog *slowlog);

/* The settings that say what is slow may have changed. */
void slowlog_configure(struct slowlog *slowlog);

/* A local command of `client` has run. */
void slowlog_local(struct slowlog *slowlog, const struct client *client,
                   const struct command *command, const rr_bytes *argv, size_t argc,
                   uint64_t duration_ns);

#endif
