/*
 * The configuration with all that the node keeps beside it, as the state's meta holds it, and the
 * context of the entries that change it.
 *
 * A state or a snapshot thus knows its members, their addresses and its cluster by itself. Pure
 * functions; whoever holds a value owns it.
 */
#ifndef NODE_MEMBERS_META_H
#define NODE_MEMBERS_META_H

#include "base/buffer.h"
#include "command/member.h"
#include "raft/configuration.h"

/* As of a log position. Large: not for the stack of a deep call. */
struct members_meta {
    uint64_t cluster;                        /* 0: nothing is known, and the rest is empty */
    struct raft_configuration configuration; /* what Raft counts by */
    raft_index index;                        /* of the entry that made it */
    raft_term term;                          /* of that entry */
    struct member_list list; /* the same ids as the configuration's, and those removed */
};

/* Appends the bytes; `failed` of the buffer tells about memory. */
void members_meta_encode(struct buffer *buffer, const struct members_meta *meta);

/* Empty bytes are an empty meta. RR_OK; RR_CORRUPT, malformed or contradicting itself; RR_MISMATCH,
 * a newer version. `out` is written on RR_OK only. */
RR_MUST_USE rr_status members_meta_decode(rr_bytes bytes, struct members_meta *out);

/* The cluster's first: `founder` alone, a voter, at (index, term). */
void members_meta_found(struct members_meta *meta, uint64_t cluster, const struct member *founder,
                        raft_index index, raft_term term);

/* The context of an entry that adds `member`, or replaces what is known of it: address, role,
 * `promote`. An entry that removes a member needs none. */
void members_context_encode(struct buffer *buffer, const struct member *member);

/*
 * What a committed change of the configuration makes of `meta`. The roles are taken from the
 * configuration, whatever the context says. RR_OK; RR_CORRUPT, the entry is malformed or cannot
 * follow: `meta` is then unchanged, and the node cannot go on.
 */
RR_MUST_USE rr_status members_meta_change(struct members_meta *meta, raft_index index,
                                          raft_term term, const struct raft_conf_change *change);

/* How many vote, in either half of a joint configuration. */
uint32_t members_meta_voters(const struct members_meta *meta);

#endif
