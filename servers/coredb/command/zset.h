/*
 * The sorted-set commands: what their files share, and what blocking pops and geo commands use of
 * them.
 */
#ifndef COREDB_COMMAND_ZSET_H
#define COREDB_COMMAND_ZSET_H

#include "coredb/command/command.h"
#include "coredb/value/zset.h"
#include "coredb/value/zset_entries.h"

/* ---- Replies ---- */

/* The array around `count` members; without scores, or with them each in a pair of its own
 * (RESP3) or one after another (RESP2). */
void zset_reply_begin(struct reply *reply, uint64_t count, bool with_scores);
/* The same when the count is known only later. */
void zset_reply_end(struct reply *reply, size_t mark, uint64_t count, bool with_scores);
void zset_reply_member(struct reply *reply, rr_bytes member, double score, bool with_scores);

/* Answers with the entries in their order; they are settled. */
void zset_reply_entries(struct exec *exec, const struct zset_entries *entries, bool with_scores);

/* ---- Writing ---- */

/* Replaces argv[i] by a sorted set of the entries, tells of `event` (or that the key is gone) and
 * answers how many there are. */
void zset_store_entries(struct exec *exec, size_t i, struct zset_entries *entries,
                        const char *event);

/* ZADD's loop for pairs that are parsed already; GEOADD is the same. */
enum zset_add_flag {
    ZSET_ADD_NX = 1 << 0,
    ZSET_ADD_XX = 1 << 1,
    ZSET_ADD_GT = 1 << 2,
    ZSET_ADD_LT = 1 << 3,
    ZSET_ADD_CH = 1 << 4,
    ZSET_ADD_INCR = 1 << 5,
};
/* The members are at argv[member], argv[member + step], ...; argv[1] is the key. Answers. */
void zset_add_all(struct exec *exec, uint32_t flags, const double *scores, size_t member,
                  size_t step, size_t count);

/*
 * Takes `count` members with the lowest or highest scores from an open key, at most all it has, and
 * writes each as member and score: in an array of its own if `nested`. The array around them is the
 * caller's. Saves the key and notifies. At apply only; for blocking pops, too.
 */
void zset_pop(struct store *store, struct reply *reply, struct key *key, bool highest,
              uint64_t count, bool nested);

/* ---- Arguments ---- */

/* Parses argv[min] and argv[max] as a range by score or by member; false: answered. */
bool zset_score_range(struct exec *exec, size_t min, size_t max, struct zset_range *out);
bool zset_member_range(struct exec *exec, size_t min, size_t max, struct zset_range *out);

/* ---- Commands by file; the rows are in zset.c ---- */

/* zset_range.c */
void command_zrange(struct exec *exec);
void command_zrevrange(struct exec *exec);
void command_zrangebyscore(struct exec *exec);
void command_zrevrangebyscore(struct exec *exec);
void command_zrangebylex(struct exec *exec);
void command_zrevrangebylex(struct exec *exec);
void command_zrangestore(struct exec *exec);
void command_zcount(struct exec *exec);
void command_zlexcount(struct exec *exec);
void command_zremrangebyrank(struct exec *exec);
void command_zremrangebyscore(struct exec *exec);
void command_zremrangebylex(struct exec *exec);

/* zset_combine.c */
void command_zunion(struct exec *exec);
void command_zunionstore(struct exec *exec);
void command_zinter(struct exec *exec);
void command_zinterstore(struct exec *exec);
void command_zintercard(struct exec *exec);
void command_zdiff(struct exec *exec);
void command_zdiffstore(struct exec *exec);

/* zset_read.c */
void command_zcard(struct exec *exec);
void command_zscore(struct exec *exec);
void command_zmscore(struct exec *exec);
void command_zrank(struct exec *exec);
void command_zrevrank(struct exec *exec);
void command_zrandmember(struct exec *exec);
void command_zscan(struct exec *exec);

#endif
