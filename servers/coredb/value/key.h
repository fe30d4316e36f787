/*
 * Keys and their metadata: what every type has in common. A key is one record with its type,
 * expiry, modification index and, for strings, the value itself; collections keep their elements
 * in sub-keys of `object`.
 *
 * A key whose expiry has passed does not exist: opening it at apply deletes it; in a query it only
 * looks absent.
 */
#ifndef COREDB_VALUE_KEY_H
#define COREDB_VALUE_KEY_H

#include "coredb/value/key_record.h"
#include "coredb/value/store.h"

struct key {
    rr_bytes name; /* the caller's, for as long as the key is used */
    uint32_t db;
    uint64_t generation;
    bool exists;          /* in the store, as opened or since saved */
    enum value_type type; /* VALUE_NONE: does not exist */
    enum value_encoding encoding;
    uint64_t expire_ms;        /* 0: never */
    uint64_t modified;         /* log index of the last change; 0 when absent */
    uint64_t object;           /* 0: none (strings) */
    uint64_t count;            /* elements of a collection; a collection with none is deleted */
    int64_t first;             /* lists: the place of the first element; sorted sets: levels and
                                * blocks of the counts (zset_counts.h); else 0 */
    struct buffer payload;     /* a string's bytes; a stream's header (stream.c); else empty */
    uint64_t stored_expire_ms; /* as in the store, private to key.c */
};

/* Looks `name` up in the selected database (or in `db`). Always initialises `key`, which the
 * caller ends with key_close. */
void key_open(struct store *store, rr_bytes name, struct key *key);
void key_open_in(struct store *store, uint32_t db, rr_bytes name, struct key *key);
void key_close(struct key *key);

/* What WATCH goes by: the log index of the last change of the key, or of a SWAPDB that brought it
 * where it is; 0 for an absent one. */
uint64_t key_watched(struct store *store, const struct key *key);

/* Makes an absent key a new, empty one of `type` with `encoding`; sub-keyed types get an object.
 * Nothing is stored before key_save. */
void key_create(struct store *store, struct key *key, enum value_type type,
                enum value_encoding encoding);

/*
 * Stores the metadata as it stands, and the modification index with it: after every change of the
 * key or of its elements. A collection with `count` 0 (streams excepted) is deleted instead; true
 * is returned when that happened. Keeps counters and the expiry index.
 */
bool key_save(struct store *store, struct key *key);

/* Stores the encoding of an existing key, nothing else of which has changed: to those who watch the
 * key that is no change. */
void key_save_encoding(struct store *store, struct key *key);

/* Deletes an existing key with all its elements. */
void key_delete(struct store *store, struct key *key);

/* Takes the elements away from the key (they become garbage) and makes it absent; the metadata in
 * the store stays until a key_create and key_save replaces it: for SET and the *STORE commands,
 * which overwrite. Expiry is forgotten, too. */
void key_clear(struct store *store, struct key *key);

/* Sets key `name` in the selected database to the string, whatever it was; `keep_ttl` as SET's. */
void key_set_string(struct store *store, struct key *key, rr_bytes value, bool keep_ttl);

/* Gives the record of `from` (with its elements) to `to`, which is deleted first if it exists, and
 * deletes `from`: RENAME and MOVE, O(1). Names and databases are those of the two. */
void key_move(struct store *store, struct key *from, struct key *to);

/* Frees the elements of an object: at once if few, else a garbage record is left. */
void key_drop_object(struct store *store, enum value_type type, uint64_t object, uint64_t count);

/* Whether the key of a record that a visitor met has expired at the store's time: then it is to be
 * skipped. Notes clock_behind, as key_open does. */
bool key_record_expired(struct store *store, const struct key_record *record);

/* Work left behind: deletes up to `limit` sub-keys of garbage; returns how many. At apply only. */
size_t key_collect_garbage(struct store *store, size_t limit);
bool key_has_garbage(struct store *store);

/* Deletes up to `limit` keys that have expired, oldest first, with their notifications; returns
 * how many. At apply only. key_next_expiry: the earliest expiry of any key, 0 if none has one. */
size_t key_expire_due(struct store *store, size_t limit);
uint64_t key_next_expiry(struct store *store);

/* FLUSHDB: the database is empty at once, its records become garbage. */
void key_flush(struct store *store, uint32_t db);

/* A notification of the keyspace about `key`, and what else depends on its change. */
void key_notify(struct store *store, const struct key *key, enum notify_class notify_class,
                const char *event);

/* Waiters on the key may now find something: lists, sorted sets and streams that grew or appeared.
 * They are served after the command or transaction (waiter.h). */
void key_signal_ready(struct store *store, const struct key *key);

#endif
