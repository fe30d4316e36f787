/*
 * Counts over the order of a large sorted set, so that a rank is found in a few short reads instead
 * of a visit of all members before it.
 *
 * They are a tree whose root is in the key's metadata. The order's keys (their tails: encoded score
 * and member) are cut into blocks; a block of level 1 counts the order's keys from the end of the
 * block before it to before its own end, a block of level n + 1 likewise the blocks of level n. A
 * block is found by its end, so that the one of a tail is the first beyond it; the last of each
 * level ends behind all scores. It lies beside the order, at
 *
 *     'o' object(8) 0xFF x 7  level(1)  end  ->  elements(8) children(4)
 *
 * as no encoded score is so large. `key->first` has the number of levels in its low byte and the
 * number of the highest level's blocks above. Small sets have no level at all.
 *
 * Invariants: 1. A block's elements and children are those of its range; over a level, the elements
 * add up to the key's count. 2. The last child of a block has its end. 3. A block without elements
 * is the last child of its parent: it keeps the end that they share. 4. A block has at most
 * ZSET_COUNTS_FANOUT children.
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

/* Makes the counts of a set that has none, from an order that is complete; as is `key->count`. */
void zset_counts_build(struct store *store, struct key *key);

/* A block of level 1, or the whole order of a small set: tails from `from` to before `to`. */
struct zset_leaf {
    struct buffer from;
    struct buffer to;
    uint64_t before; /* members before it */
    uint64_t count;  /* members in it */
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
