/*
 * Members with scores kept in memory: the result of a command before it is answered or stored.
 * One thread at a time. Memory that runs out is remembered (`failed`).
 */
#ifndef COREDB_VALUE_ZSET_ENTRIES_H
#define COREDB_VALUE_ZSET_ENTRIES_H

#include "coredb/value/zset.h"

struct zset_entry {
    const uint8_t *member; /* set by the sorting functions and zset_entries_settle */
    size_t offset;         /* of the member in `members` */
    size_t size;
    double score;
    uint64_t sequence; /* of its addition; orders entries that are equal otherwise */
};

struct zset_entries {
    struct buffer members;
    struct zset_entry *list;
    size_t count;
    size_t capacity;
    uint64_t sequence;
    bool failed;
};

/* How the scores of one member in several sets become one; a NaN becomes 0. */
enum zset_aggregate { ZSET_SUM, ZSET_MIN, ZSET_MAX };
void zset_aggregate(enum zset_aggregate aggregate, double *score, double other);

void zset_entries_init(struct zset_entries *entries);
void zset_entries_deinit(struct zset_entries *entries); /* NULL is fine */

void zset_entries_add(struct zset_entries *entries, rr_bytes member, double score);

/* Sets `member` of each entry; it lasts until the next addition. */
void zset_entries_settle(struct zset_entries *entries);

/* Makes entries with the same member one, in the order of their addition. */
void zset_entries_merge(struct zset_entries *entries, enum zset_aggregate aggregate);

/* Sorts as a sorted set does, by score and member, and settles. */
void zset_entries_sort(struct zset_entries *entries);

static inline rr_bytes zset_entry_member(const struct zset_entry *entry)
{
    return (rr_bytes){entry->member, entry->size};
}

/* Replaces `key`, whatever it was, by a sorted set of the entries, each member of which is there
 * once; without entries the key is deleted. Settles. Nothing is told of it. */
void zset_entries_store(struct store *store, struct key *key, struct zset_entries *entries);

#endif
