/*
 * What this server has to do with messages: pub/sub of its clients, the servers of the other nodes,
 * clients that wait for replicas. Loop's thread, except where noted.
 */
#ifndef COREDB_SERVER_MESSAGING_H
#define COREDB_SERVER_MESSAGING_H

#include "coredb/command/command.h"
#include "coredb/server/server.h"

struct pubsub;
struct siblings;
struct waits;

struct messaging {
    struct server *server;
    struct pubsub *pubsub;
    struct siblings *siblings;
    struct waits *waits;
    uint32_t notify_classes; /* of notify-keyspace-events */
};

/* The rows of its commands, ended by a NULL name. */
extern const struct command commands_pubsub[];
extern const struct command commands_wait[];

/* Begins; `server->node` is open, and the loop may or may not run yet. */
void messaging_open(struct server *server);

/* After the node is shut down and all clients are gone. Fine if it was never opened. */
void messaging_close(struct server *server);

/* What messaging_open made. */
static inline struct messaging *messaging_of(const struct server *server)
{
    return server->on_event_arg;
}

/* notify-keyspace-events has this value now (notify_parse). */
void messaging_set_notify(struct server *server, uint32_t classes);

/* Subscriptions have come or gone: tells the node's thread what is worth its while. */
void messaging_update_wanted(struct messaging *messaging);

/* Publishes to the subscribers of all nodes; returns how many of them are on this one. */
size_t messaging_publish(struct messaging *messaging, bool shard, rr_bytes channel,
                         rr_bytes message);

#endif
