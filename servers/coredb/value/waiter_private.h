/*
 * What the files about waiters share: waiter.c, waiter_lease.c, waiter_serve.c.
 *
 * Invariants:
 * 1. A waiter's record ('W') and its places in the queues of its keys ('w') come and go together;
 *    waiter_count of a database counts the places.
 * 2. While a node has waiters, its lease ('N') is there.
 */
#ifndef COREDB_VALUE_WAITER_PRIVATE_H
#define COREDB_VALUE_WAITER_PRIVATE_H

#include "coredb/value/waiter.h"

/* Queues of a key, one per type. Those of consumer groups come last: see waiter_serve_fn. Stored. */
enum waiter_class {
    CLASS_LIST = VALUE_LIST,
    CLASS_ZSET = VALUE_ZSET,
    CLASS_STREAM = VALUE_STREAM,
    CLASS_STREAM_GROUP = 7,
};

enum waiter_class waiter_class_of(enum waiter_operation operation);

/* Whether the buffer has its bytes; else the store fails. */
bool waiter_usable(struct store *store, const struct buffer *buffer);

/* ---- Stored keys; each function but the first replaces what is in `out` ---- */

void waiter_put_id(struct buffer *out, const struct waiter_id *id);
struct waiter_id waiter_read_id(struct reader *reader);
void waiter_record_key(struct buffer *out, const struct waiter_id *id);
/* The prefix of all queues of a key. */
void waiter_queues_key(struct buffer *out, uint32_t db, rr_bytes name);
void waiter_place_key(struct buffer *out, uint32_t db, rr_bytes name, enum waiter_class class,
                      uint64_t order);

/* ---- Records ---- */

/* Reads a waiter into `out`, whose record the caller has initialised and deinitialises. */
bool waiter_load(struct store *store, const struct waiter_id *id, struct waiter *out);

/* Takes a waiter's record and its places away. */
void waiter_remove(struct store *store, const struct waiter *waiter);

/* ---- Leases ---- */

/* Renews a lease that is older than `age_ms`, or begins one. False: it is a later start's. */
bool waiter_lease_renew(struct store *store, uint64_t node, uint64_t boot, uint64_t age_ms);

/* Whether nobody answers for the waiter any more. */
bool waiter_is_dead(struct store *store, const struct waiter_id *id);

/* Takes a waiter away and tells it that it waits no more; its client may be there after all. */
void waiter_drop(struct store *store, const struct waiter *waiter);

#endif
