/*
 * Sets: one record per member (LAYOUT_SET) without a value, their number in the key.
 *
 * These functions change the members, `key->count` and `key->encoding`; the caller saves the key.
 * The key is one of type VALUE_SET. Scans, random choice and visits: named.h with set_members.
 */
#ifndef COREDB_VALUE_SET_H
#define COREDB_VALUE_SET_H

#include "coredb/value/key.h"
#include "coredb/value/named.h"

/* The most members of the encoding intset. */
enum { SET_INTSET_ENTRIES_MAX = 512 };

static inline struct named set_members(const struct key *key)
{
    return (struct named){LAYOUT_SET, key->object};
}

/* Makes an absent key an empty set. */
void set_create(struct store *store, struct key *key);

bool set_has(struct store *store, const struct key *key, rr_bytes member);

/* True: it is new. Also the way in for RESTORE. */
bool set_add(struct store *store, struct key *key, rr_bytes member);
/* The same for a member that is certainly new, which spares a read. */
void set_append(struct store *store, struct key *key, rr_bytes member);

/* True: it was there. */
bool set_remove(struct store *store, struct key *key, rr_bytes member);

/* The encoding that a new set of these members would have; for sets that Redis builds anew. */
enum value_encoding set_natural_encoding(struct store *store, const struct key *key);

/* Whether a member can be in an intset. */
bool set_is_integer(rr_bytes member);

/* Copies all members of one object to another, new one. */
void set_copy(struct store *store, uint64_t from_object, uint64_t to_object);

#endif
