/*
 * The data under one view: what commands read and write while a batch runs at apply, or what they
 * read in a query.
 *
 * A view call that fails is remembered in `failure`, later ones do nothing and find nothing, and
 * the executor looks after each command: so commands need no check of their own after each call.
 *
 * Invariants:
 * 1. What is written depends on the view and the batch alone, never on a clock, a setting, an
 *    address or a random number of this process.
 * 2. The records of databases are written once, by store_finish; in between they are here.
 *
 * The thread that runs the procedure or the query; one batch at a time.
 */
#ifndef COREDB_VALUE_STORE_H
#define COREDB_VALUE_STORE_H

#include "coredb/base/buffer.h"
#include "coredb/value/event.h"

#include <rockraft/rockraft.h>

enum {
    STORE_DATABASES = 16,
    STORE_KEY_BYTES_MAX = 60000,      /* of a key's name, a field or a member */
    STORE_STRING_BYTES_MAX = 8000000, /* of a string value or an element */
    STORE_WORK_MAX =
        6000000, /* one of the commands of an entry may copy about a million elements */
    STORE_REPLIES_BYTES_MAX = 15 * 1024 * 1024, /* of an entry, and of one who waited: the library
                                                 * relays 16 MiB */
};

/* One of the databases that SELECT chooses. */
struct store_db {
    bool loaded;
    bool changed;
    uint64_t generation; /* of the metadata that counts; older ones are garbage. From 1 on */
    uint64_t key_count;
    uint64_t expiring_count; /* keys with an expiry */
    uint64_t waiter_count;   /* registrations of waiters on keys of this database */
    uint64_t swapped;        /* log index of the last SWAPDB of it; 0: never */
};

struct store {
    rr_view *view;
    bool is_query;     /* nothing may be written */
    uint64_t now_ms;   /* the time by which keys expire */
    uint64_t clock_ms; /* the logical clock: equal to now_ms but in a query */
    bool clock_behind; /* a query met a key that has expired at now_ms, but not at clock_ms */
    uint32_t ordinal;  /* objects made by this entry so far */
    uint32_t db_index; /* the selected database */
    struct store_db dbs[STORE_DATABASES];
    struct events events;
    struct buffer ready; /* keys that waiters may be served from: per key u8 db, slice name */
    uint64_t keys_found; /* by lookups so far; statistics alone */
    uint64_t keys_missing;
    rr_status failure;          /* of the first view call that failed, or RR_OK */
    const struct buffer *reply; /* of the command that runs, or NULL: once it is full, reading more
                                 * fails as RR_TOO_BIG */
    uint64_t work_left;         /* of the entry's commands; see store_work */
    bool limits_work;           /* a command of an entry runs: it is charged */
    bool exhausted;             /* a command failed because no work was left */
    struct buffer key;          /* scratch of store_key_* and lookups */
};

/* `now_ms` is used for queries only (the wall clock; never behind the logical one after this). */
void store_init(struct store *store, rr_view *view, bool is_query, uint64_t now_ms);
void store_deinit(struct store *store);

/* Writes the records of databases that changed. Last thing of a procedure. */
void store_finish(struct store *store);

/* A place to go back to: data, databases' records, events. */
struct store_savepoint {
    rr_savepoint view;
    struct store_db dbs[STORE_DATABASES];
    struct events_mark events;
    size_t ready_size;
};
void store_save(struct store *store, struct store_savepoint *out);
/* Undoes everything since, and forgets `failure` if it is RR_TOO_BIG, which all replicas come to;
 * what befell this node alone stays. What the reply holds is the caller's to undo. */
void store_rollback(struct store *store, const struct store_savepoint *savepoint);

/* The record of a database, loaded when first asked for. Call store_db_changed before changing. */
struct store_db *store_db(struct store *store, uint32_t index);
struct store_db *store_db_changing(struct store *store, uint32_t index);

/* ---- Raw access, with the sticky failure ---- */

/* Whether `key` exists; `value` then lasts until the next call on the store. */
bool store_get(struct store *store, rr_bytes key, rr_bytes *value);
/* The same into `out`, whose contents are replaced. */
bool store_get_copy(struct store *store, rr_bytes key, struct buffer *out);
bool store_has(struct store *store, rr_bytes key);
void store_put(struct store *store, rr_bytes key, rr_bytes value);
void store_delete(struct store *store, rr_bytes key);

/* Visits pairs with from <= key < to in ascending order, or descending from the greatest if
 * `reverse`. The visitor may read the store, and returns false to stop; it must not write: collect
 * first. */
void store_range(struct store *store, rr_bytes from, rr_bytes to, bool reverse, rr_visit_fn visit,
                 void *arg);
/* All pairs whose key starts with `prefix`. */
void store_prefix(struct store *store, rr_bytes prefix, bool reverse, rr_visit_fn visit, void *arg);

/* Deletes up to `limit` pairs whose key starts with `prefix`; returns how many there were. Fewer
 * than `limit` means that none is left. */
size_t store_delete_prefix(struct store *store, rr_bytes prefix, size_t limit);

/*
 * Charges the command that runs for work. All of an entry's commands together have
 * STORE_WORK_MAX units, of about a microsecond each, since nothing else can run on any replica
 * meanwhile; a command that needs more fails as RR_TOO_BIG. Raw access charges itself: this is for
 * work of other kinds. Queries, and who is served after waiting, are not charged.
 *
 * False: the command has failed.
 */
bool store_work(struct store *store, uint64_t units);

/* Takes note of a failure of other origin (memory). */
void store_fail(struct store *store, rr_status status);

/* A new object's id: unique for all time, 0 is none. An entry makes a million at most; more fail as
 * RR_TOO_BIG. */
uint64_t store_new_object(struct store *store);

uint64_t store_random(struct store *store);
/* Uniform below `bound`, which is not 0. */
uint64_t store_random_below(struct store *store, uint64_t bound);

#endif
