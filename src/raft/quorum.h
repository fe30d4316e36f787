/*
 * Majorities, of one set of voters or of both halves of a joint configuration (paper, section 6).
 *
 * Plain arithmetic over arrays: who the voters are and what they answered is the caller's.
 */
#ifndef RAFT_QUORUM_H
#define RAFT_QUORUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an empty half commits: it never holds the other one back. */
#define QUORUM_INFINITY UINT64_MAX

enum quorum_vote { QUORUM_VOTE_MISSING = 0, QUORUM_VOTE_NO = 1, QUORUM_VOTE_YES = 2 };

enum quorum_result { QUORUM_PENDING = 1, QUORUM_LOST = 2, QUORUM_WON = 3 };

/* The largest value that a majority of the `count` voters has reached; sorts `values` in place.
 * A voter without an answer counts as 0. QUORUM_INFINITY without voters. */
uint64_t quorum_committed(uint64_t *values, size_t count);

/* The same for a joint configuration: the smaller of its halves. */
uint64_t quorum_joint_committed(uint64_t *incoming, size_t incoming_count, uint64_t *outgoing,
                                size_t outgoing_count);

/* How an election among `yes` + `no` + `missing` voters stands; won without voters. */
enum quorum_result quorum_vote(size_t yes, size_t no, size_t missing);

/* Of both halves: won by both, or lost by one, or pending. */
enum quorum_result quorum_joint_vote(enum quorum_result incoming, enum quorum_result outgoing);

#endif
