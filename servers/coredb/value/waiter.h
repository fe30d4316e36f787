/*
 * Clients that wait for a key: BLPOP, BZPOPMIN, XREAD BLOCK and their like. A waiter is registered
 * in the replicated data by the entry of its command, is served at apply by a later entry that gives
 * the key what it waits for, and is cancelled by an entry of its own. So whatever becomes of leaders
 * and connections, it is served once or cancelled, never both.
 *
 * What the node with the connection does:
 * - It gives each blocking command an id: its node, its start (`boot`), a number never used before.
 *   `boot` ascends from start to start; a lower one is taken only when the lease of the higher has
 *   ended.
 * - The output of the batch says that the command waits, and the timeout to count from then on. The
 *   reply comes as EVENT_SERVED, perhaps before that output.
 * - At the timeout, a disconnect, CLIENT UNBLOCK or its own shutdown it proposes BATCH_CANCEL. Of a
 *   waiter that was still registered nothing was taken: it is answered nil. One that was not has been
 *   served, by an entry before this one: the event is here or comes as soon as this node has applied
 *   that far.
 * - While it has waiters it proposes BATCH_RENEW every WAITER_RENEW_MS. Waiters of a node that has
 *   not renewed for WAITER_LEASE_MS, or that has started anew, are dropped rather than served; they
 *   get an error as EVENT_SERVED, should their client still be there.
 * - Now and then it asks BATCH_WAITERS at the local level. A waiter whose output came from an index
 *   that the answer covers, that is not listed and that has had no event, was served while this
 *   node took over a snapshot: its outcome is unknown. A number that is listed and belongs to
 *   nobody (its command was answered "unknown") is to be cancelled.
 *
 * What is stored:
 *     'w' db(1) size(4) key class(1) order(8) -> node(8) boot(8) number(8): by key, in order
 *     'W' node(8) boot(8) number(8)           -> order, protocol, db, operation, keys, parameters
 *     'N' node(8)                             -> boot(8), time of the last renewal(8)
 *
 * Keys are watched by name and database: what FLUSHDB, DEL or RENAME do to a key leaves its waiters.
 * All functions: at apply, unless they say otherwise.
 */
#ifndef COREDB_VALUE_WAITER_H
#define COREDB_VALUE_WAITER_H

#include "coredb/resp/reply.h"
#include "coredb/value/key.h"

enum { WAITER_RENEW_MS = 3000, WAITER_LEASE_MS = 10000 };

/* What a waiter does once its key is there; who registers knows the parameters' format. Stored:
 * never renumber. */
enum waiter_operation {
    WAITER_LIST_POP = 1,
    WAITER_LIST_MOVE = 2,
    WAITER_LIST_MPOP = 3,
    WAITER_ZSET_POP = 4,
    WAITER_ZSET_MPOP = 5,
    WAITER_STREAM_READ = 6,
    WAITER_STREAM_READ_GROUP = 7,
};

/* What is registered. */
struct waiter_request {
    struct waiter_id id;
    uint8_t protocol; /* of the reply */
    uint8_t db;
    enum value_type type; /* what the keys must become */
    bool even_absent;     /* also called for a signalled key that is absent or of another type */
    enum waiter_operation operation;
    rr_bytes parameters;
    const rr_bytes *keys; /* one that is repeated is waited for once */
    size_t key_count;
};

/* One read back; the slices are of `record`. */
struct waiter {
    struct waiter_id id;
    uint64_t order; /* among all waiters */
    uint8_t protocol;
    uint8_t db;
    enum waiter_operation operation;
    rr_bytes parameters;
    uint32_t key_count;
    rr_bytes keys; /* as stored: see waiter_key */
    struct buffer record;
};

/* The first position of `name` among the keys of the request, or -1. */
int64_t waiter_key(const struct waiter *waiter, rr_bytes name);

/* Registers. False: `boot` is of an earlier start of the node than the last that was seen; nothing
 * is registered then. An id that is registered is registered anew. */
bool waiter_register(struct store *store, const struct waiter_request *request);

/* Takes a waiter away; whether it was registered. */
bool waiter_cancel(struct store *store, const struct waiter_id *id);

/* Renews the lease of a node's waiters. */
void waiter_renew(struct store *store, uint64_t node, uint64_t boot);

/* Appends the numbers of the registered waiters of (node, boot) to `out`, ascending, as 64-bit
 * big-endian; returns how many. Also in queries. */
size_t waiter_list(struct store *store, uint64_t node, uint64_t boot, struct buffer *out);

/* Drops up to `limit` waiters whose node has gone or started anew; returns how many. */
size_t waiter_drop_dead(struct store *store, size_t limit);
/* Whether there are any. Also in queries. */
bool waiter_has_dead(struct store *store);

/* Notes that the key may have something for those who wait on it: a list, sorted set or stream that
 * appeared or grew, a stream or group that vanished. Costs nothing where nobody waits. They are
 * served by waiter_serve_ready. */
void waiter_signal(struct store *store, uint32_t db, rr_bytes name);

/* Signals all keys of the database that are waited for: after SWAPDB and FLUSHDB. */
void waiter_signal_db(struct store *store, uint32_t db);

/*
 * Lets a waiter have what is in `key`, which has the type that its operation is for. Only
 * WAITER_STREAM_READ_GROUP is also called when the key is absent or of another type: it ends with
 * an error then. True: a reply was written and the waiter is done. False: nothing there for it,
 * nothing was changed. The key may be changed (and saved) and is closed by the caller.
 */
typedef bool (*waiter_serve_fn)(struct store *store, struct key *key, const struct waiter *waiter,
                                struct reply *reply);

/* Serves the waiters of all keys that were signalled: key by key as they became ready, on each key
 * first come, first served. Keys that serving signals come last. */
void waiter_serve_ready(struct store *store, waiter_serve_fn serve);

#endif
