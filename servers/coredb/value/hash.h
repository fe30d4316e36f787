/*
 * Hashes: fields with values, one record per field (LAYOUT_HASH), their number in the key.
 *
 * These functions change the fields, `key->count` and `key->encoding`; the caller saves the key.
 * The key is one of type VALUE_HASH. Scans, random choice and visits: named.h with hash_fields.
 */
#ifndef COREDB_VALUE_HASH_H
#define COREDB_VALUE_HASH_H

#include "coredb/value/key.h"
#include "coredb/value/named.h"

/* The most fields, and the longest field or value, of the encoding listpack. */
enum { HASH_LISTPACK_ENTRIES_MAX = 512, HASH_LISTPACK_BYTES_MAX = 64 };

static inline struct named hash_fields(const struct key *key)
{
    return (struct named){LAYOUT_HASH, key->object};
}

/* `value` lasts until the next call on the store. */
bool hash_get(struct store *store, const struct key *key, rr_bytes field, rr_bytes *value);

/* Sets a field. True: it is new. Also the way in for RESTORE. */
bool hash_set(struct store *store, struct key *key, rr_bytes field, rr_bytes value);

/* True: there was such a field. */
bool hash_delete(struct store *store, struct key *key, rr_bytes field);

/* Copies all fields of one object to another, new one. */
void hash_copy(struct store *store, uint64_t from_object, uint64_t to_object);

#endif
