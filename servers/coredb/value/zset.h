/*
 * Sorted sets: members with a score, found by name and visited in the order of (score, member).
 *
 * Each member has two sub-keys, 'z' by name with its score and 'o' by order. Large sets keep counts
 * of ranges of the order besides, so that a rank is found without passing all before it: see
 * zset_counts.h. The functions change `key->count`, `key->encoding` and `key->first`; the caller
 * saves the key afterwards.
 */
#ifndef COREDB_VALUE_ZSET_H
#define COREDB_VALUE_ZSET_H

#include "coredb/value/key.h"

/* Redis's default thresholds of the encoding: beyond them a set is and stays a skiplist. */
enum { ZSET_LISTPACK_ENTRIES = 128, ZSET_LISTPACK_VALUE = 64 };

/* Scores as 8 bytes that sort like them. Never NaN. */
uint64_t zset_score_encode(double score);
double zset_score_decode(uint64_t encoded);

/* ---- One member ---- */

/* Whether `member` is there; `score` may be NULL. */
bool zset_find(struct store *store, const struct key *key, rr_bytes member, double *score);

/* Adds a member that is not there. An oversized one fails the store with RR_TOO_BIG. */
void zset_add(struct store *store, struct key *key, rr_bytes member, double score);

/* Gives a member whose score is `old` the score `score`. */
void zset_change(struct store *store, struct key *key, rr_bytes member, double old, double score);

/* Takes a member with that score away. */
void zset_remove(struct store *store, struct key *key, rr_bytes member, double score);

/* ---- Ranges ---- */

enum zset_range_kind { ZSET_BY_RANK, ZSET_BY_SCORE, ZSET_BY_LEX };

/* One end of a range by score or by member. */
struct zset_bound {
    bool open;      /* the value itself is outside */
    bool unlimited; /* by member: "-" as minimum, "+" as maximum */
    bool nothing;   /* by member: "+" as minimum, "-" as maximum: beyond all members */
    double score;
    rr_bytes member; /* the caller's */
};

struct zset_range {
    enum zset_range_kind kind;
    uint64_t first; /* by rank: from `first` to `last` inclusive, counted from the lowest */
    uint64_t last;
    struct zset_bound min;
    struct zset_bound max;
};

/* Slices last for the call. False ends the visit. The visitor may read the store, not write. */
typedef bool (*zset_visit_fn)(void *arg, rr_bytes member, double score);

/*
 * Visits the members in the range, from the lowest or, with `reverse`, from the highest on. By
 * member, scores should all be equal; if they are not, the visit goes as Redis's over a listpack:
 * it starts at the first member not below the minimum and ends before the first above the maximum.
 */
void zset_visit(struct store *store, const struct key *key, const struct zset_range *range,
                bool reverse, zset_visit_fn visit, void *arg);

/* All members in order. */
void zset_visit_all(struct store *store, const struct key *key, zset_visit_fn visit, void *arg);

/* How many members are in the range. */
uint64_t zset_count(struct store *store, const struct key *key, const struct zset_range *range);

/* Takes all members in the range away and returns how many they were. Memory stays bounded. */
uint64_t zset_remove_range(struct store *store, struct key *key, const struct zset_range *range);

/* How many members stand before this one, which is there with `score`. */
uint64_t zset_rank(struct store *store, const struct key *key, rr_bytes member, double score);

/* ---- Whole sets ---- */

/* Copies all sub-keys of one object to another, which has none: for COPY, which gives the new key
 * the old one's `count`, `first` and `encoding`. */
void zset_copy(struct store *store, uint64_t from, uint64_t to);

#endif
