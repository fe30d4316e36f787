/* Sorted sets: what zset.c and zset_range.c share. */
#ifndef COREDB_VALUE_ZSET_PRIVATE_H
#define COREDB_VALUE_ZSET_PRIVATE_H

#include "coredb/value/named.h"
#include "coredb/value/zset.h"

enum { ZSET_ORDER_TAIL_OFFSET = 9 }; /* in a key of the order: after kind and object */

/* The family of a set's members by name. */
struct named zset_members(const struct key *key);

/* As zset_add, but for the counts, which zset_counts_build makes when all are there. */
void zset_add_uncounted(struct store *store, struct key *key, rr_bytes member, double score);

/* A key of the order; without member, the smallest of that score. */
void zset_order_key(struct buffer *out, const struct key *key, double score, rr_bytes member);

/* Score and member of a key of the order, as bytes that sort like it. */
static inline rr_bytes zset_order_tail(const struct buffer *order_key)
{
    return (rr_bytes){order_key->data + ZSET_ORDER_TAIL_OFFSET,
                      order_key->size - ZSET_ORDER_TAIL_OFFSET};
}

/* The member and the score of a pair of the order. */
rr_bytes zset_order_decode(rr_bytes order_key, rr_bytes value, double *score);

#endif
