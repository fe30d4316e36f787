/*
 * Who on this node has subscribed to what, and the delivery of messages to them. Where messages
 * come from - clients here, other nodes, entries of the log - is for others.
 *
 * Loop's thread.
 */
#ifndef COREDB_SERVER_PUBSUB_H
#define COREDB_SERVER_PUBSUB_H

#include "coredb/base/list.h"

#include <rockraft/types.h>

/* Names and bookkeeping of one client's subscriptions. */
enum { PUBSUB_SUBSCRIBER_BYTES_MAX = 64 * 1024 * 1024 };

enum pubsub_kind { PUBSUB_CHANNEL = 0, PUBSUB_PATTERN = 1, PUBSUB_SHARD = 2, PUBSUB_KINDS = 3 };

struct pubsub;

/*
 * Receives one message as bytes of the subscriber's protocol, which last for the call. It must not
 * change anyone's subscriptions: a client that takes too little is to be ended later.
 */
typedef void (*pubsub_push_fn)(void *arg, rr_bytes bytes);

/* A client as a subscriber; part of the client. */
struct subscriber {
    struct pubsub *pubsub;
    const int *protocol; /* the owner's: 2 or 3 at the time of a message */
    pubsub_push_fn push;
    void *arg;
    struct list_link subscriptions[PUBSUB_KINDS]; /* in the order in which they were made */
    size_t counts[PUBSUB_KINDS];
    size_t bytes;
};

struct pubsub *pubsub_new(void);
void pubsub_free(struct pubsub *pubsub); /* after all its subscribers. NULL is fine */

void subscriber_init(struct subscriber *subscriber, struct pubsub *pubsub, const int *protocol,
                     pubsub_push_fn push, void *arg);
/* Ends its subscriptions. */
void subscriber_deinit(struct subscriber *subscriber);

/* Subscribes; RR_OK also when it had. RR_BUSY: over the limit; RR_NO_MEMORY. */
RR_MUST_USE rr_status subscriber_add(struct subscriber *subscriber, enum pubsub_kind kind,
                                     rr_bytes name);
/* Ends one subscription; false: there was none. */
bool subscriber_remove(struct subscriber *subscriber, enum pubsub_kind kind, rr_bytes name);
/* The name of its oldest subscription of that kind, until it ends. False: there is none. */
bool subscriber_first(const struct subscriber *subscriber, enum pubsub_kind kind, rr_bytes *name);

/*
 * Hands `message` to the subscribers here of channel `channel` and of patterns that match it, or
 * with `shard` to those of the shard channel. Returns to how many; one counts once for each of its
 * subscriptions that fit.
 */
size_t pubsub_deliver(struct pubsub *pubsub, bool shard, rr_bytes channel, rr_bytes message);

/* Calls `visit` for every name of that kind that someone has subscribed to. */
typedef void (*pubsub_visit_fn)(void *arg, rr_bytes name, size_t subscribers);
void pubsub_each(const struct pubsub *pubsub, enum pubsub_kind kind, pubsub_visit_fn visit,
                 void *arg);

/* How many have subscribed to `name`. */
size_t pubsub_subscribers(const struct pubsub *pubsub, enum pubsub_kind kind, rr_bytes name);

/* How many names of that kind there are. */
size_t pubsub_count(const struct pubsub *pubsub, enum pubsub_kind kind);

#endif
