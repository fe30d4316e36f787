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

#include "coredb/value/store.h"

/* Stored: never renumber. */
enum value_type {
    VALUE_NONE = 0,
    VALUE_STRING = 1,
    VALUE_LIST = 2,
    VALUE_SET = 3,
    VALUE_ZSET = 4,
    VALUE_HASH = 5,
    VALUE_STREAM = 6,
};

/* What OBJECT ENCODING answers; kept by the writers of each type after Redis 7.0's rules with
 * default thresholds. Stored: never renumber. */
enum value_encoding {
    ENCODING_AUTO = 0, /* strings: int, embstr or raw by the value */
    ENCODING_RAW = 1,
    ENCODING_LISTPACK = 2,
    ENCODING_HASHTABLE = 3,
    ENCODING_INTSET = 4,
    ENCODING_SKIPLIST = 5,
    ENCODING_QUICKLIST = 6,
    ENCODING_STREAM = 7,
    ENCODING_INT = 8, /* answers only, never stored, as the next */
    ENCODING_EMBSTR = 9,
};

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
    int64_t first;             /* lists: the place of the first element; else 0 */
    struct buffer payload;     /* a string's bytes; a stream's header; else empty */
    uint64_t stored_expire_ms; /* as in the store, private to key.c */
};

/* Looks `name` up in the selected database (or in `db`). Always initialises `key`, which the
 * caller ends with key_close. */
void key_open(struct store *store, rr_bytes name, struct key *key);
void key_open_in(struct store *store, uint32_t db, rr_bytes name, struct key *key);
void key_close(struct key *key);

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

/* What a visitor of keys sees: metadata decoded from a pair of layout_meta; false: malformed, or
 * expired (then skip it; in a query clock_behind is set as by key_open). The payload is borrowed. */
struct key_record {
    enum value_type type;
    enum value_encoding encoding;
    uint64_t expire_ms;
    uint64_t modified;
    uint64_t object;
    uint64_t count;
    int64_t first;
    rr_bytes payload;
};
bool key_record_decode(rr_bytes value, struct key_record *out);
/* Whether it has expired at the store's time; notes clock_behind. */
bool key_record_expired(struct store *store, const struct key_record *record);

const char *value_type_name(enum value_type type); /* as TYPE: "string", "none", ... */
const char *value_encoding_name(enum value_encoding encoding);

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
