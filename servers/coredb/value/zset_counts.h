/*
 * Counts over the order of a large sorted set, so that a rank is found in a few short reads instead
 * of a visit of all members before it.
 *
 * They are a tree whose root is in the key's metadata. The order's keys (their tails: encoded score
 * and member) are cut into blocks at separators; a block of level 1 counts the order's keys from
 * its separator to before the next, a block of level n + 1 likewise cuts the separators of level n.
 * The first block of each level has the empty separator. A block lies beside the order, at
 *
 *     'o' object(8) 0xFF x 7  level(1)  separator  ->  elements(8) children(4)
 *
 * behind all scores, as no encoded score is so large. `key->first` has the number of levels in its
 * low byte and the number of the highest level's blocks above. Small sets have no level at all.
 *
 * Invariants: 1. A block's elements and children are those of its range; over a level, the elements
 * add up to the key's count. 2. A separator of level n + 1 is one of level n. 3. A block without
 * elements is the first child of its parent: it keeps the separator that they share. 4. A block has at most ZSET_COUNTS_FANOUT children.
 */
#ifndef COREDB_VALUE_ZSET_COUNTS_H
#define COREDB_VALUE_ZSET_COUNTS_H

#include "coredb/value/key.h"

static inline bool zset_counts_exist(const struct key *key)
{
    return key->first != 0;
}

/* Follow an addition to the order, and a removal; `tail` is what of the order's key comes after
 * the object. `key->count` and the order have changed already. */
void zset_counts_add(struct store *store, struct key *key, rr_bytes tail);
void zset_counts_remove(struct store *store, struct key *key, rr_bytes tail);

/* A block of level 1, or the whole order of a small set. */
struct zset_leaf {
    struct buffer from; /* the tail at which it begins: its separator */
    struct buffer to;   /* where it ends, unless `last` */
    bool last;          /* it ends with the order */
    uint64_t before;    /* members before it */
    uint64_t count;     /* members in it */
};

/* The leaf that `tail` is in or would be in. */
void zset_counts_find(struct store *store, const struct key *key, rr_bytes tail,
                      struct zset_leaf *out);
/* The leaf with the member of that rank, which is below the key's count. */
void zset_counts_at(struct store *store, const struct key *key, uint64_t rank,
                    struct zset_leaf *out);
void zset_leaf_deinit(struct zset_leaf *leaf);

/* Whether the invariants hold: for tests. */
bool zset_counts_check(struct store *store, const struct key *key);

#endif
