/*
 * The coredb servers of the other nodes, and what they tell one another without the log
 * (rr_node_send): messages published, questions about replicas. At most once, in order, with gaps.
 *
 * A message may be larger than the library carries: it travels in parts.
 *
 *     part: u8 version (1) | u64 number of the message | u32 its size | u32 offset | bytes
 *     message: u8 kind | body; the kinds below say what. Unknown kinds are dropped.
 *
 * Loop's thread.
 */
#ifndef COREDB_SERVER_SIBLINGS_H
#define COREDB_SERVER_SIBLINGS_H

#include "coredb/base/buffer.h"

#include <rockraft/rockraft.h>

struct loop;
struct siblings;

enum sibling_kind {
    SIBLING_PUBLISH = 1,       /* slice channel | slice message */
    SIBLING_PUBLISH_SHARD = 2, /* the same */
    SIBLING_REPLICAS_ASK = 3,  /* u64 number | u64 index */
    SIBLING_REPLICAS_TELL = 4, /* u64 number | u32 count */
    SIBLING_KINDS = 5,
};

enum {
    SIBLING_MESSAGE_BYTES_MAX = 20 * 1024 * 1024,
    SIBLING_PART_BYTES_MAX = 512 * 1024, /* of a message */
    SIBLING_INBOX_BYTES_MAX = 64 * 1024 * 1024,
};

/* A message of node `from`; the body is what follows the kind, and lasts for the call. */
typedef void (*sibling_fn)(void *arg, uint64_t from, rr_bytes body);

/* `node` must be shut down before siblings_free. */
struct siblings *siblings_new(rr_node *node, struct loop *loop);
void siblings_free(struct siblings *siblings); /* NULL is fine */

/* Has `fn` called for messages of that kind; before siblings_start. */
void siblings_on(struct siblings *siblings, enum sibling_kind kind, sibling_fn fn, void *arg);

/* Messages are taken from now on. */
void siblings_start(struct siblings *siblings);

/* Sends to node `to`, or with 0 to all others. The body's parts are those of `head` and `tail` one
 * behind the other. What cannot be sent is dropped and counted. */
void siblings_send(struct siblings *siblings, uint64_t to, enum sibling_kind kind, rr_bytes head,
                   rr_bytes tail);

/* Messages that did not leave here, or that came in faster than they were handled. */
uint64_t siblings_dropped(struct siblings *siblings);

#endif
