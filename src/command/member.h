/*
 * Members with what consensus does not know of them: the host's part of a configuration, kept in
 * the state beside it and carried as the context of the entries that change it.
 *
 * Pure values; whoever holds one owns it.
 */
#ifndef COMMAND_MEMBER_H
#define COMMAND_MEMBER_H

#include "rockraft/rockraft.h"

#include "base/buffer.h"
#include "base/codec.h"
#include "command/command_limits.h"

struct member {
    uint64_t id;          /* never 0 */
    uint64_t incarnation; /* of its disk; 0: not known */
    rr_member_role role;  /* a learner that is to become a voter is a learner with `promote` */
    bool promote;         /* becomes a voter when it has caught up, whoever leads then */
    char address[ADDRESS_BYTES_MAX + 1]; /* "host:port", terminated, not empty */
};

/* A member that was removed: its id is not used again but by the same disk. */
struct removed_member {
    uint64_t id;
    uint64_t incarnation;
};

struct member_list {
    uint32_t count;
    uint32_t removed_count;
    struct member members[RAFT_MEMBERS_MAX];            /* ids ascending */
    struct removed_member removed[MEMBERS_REMOVED_MAX]; /* oldest first, none of them a member */
};

/* Sets all fields. RR_OK, or RR_INVALID: an id of 0, or an address that is empty or too long. */
RR_MUST_USE rr_status member_set(struct member *member, uint64_t id, rr_member_role role,
                                 const char *address, uint64_t incarnation);

/* One member. RR_OK or RR_CORRUPT. */
void member_encode(struct buffer *buffer, const struct member *member);
RR_MUST_USE rr_status member_decode(rr_bytes bytes, struct member *out);

/* A whole list, under a version. RR_OK, RR_CORRUPT or RR_MISMATCH (a newer version). */
void member_list_encode(struct buffer *buffer, const struct member_list *list);
RR_MUST_USE rr_status member_list_decode(rr_bytes bytes, struct member_list *out);

/* The member, or NULL; it lasts until the list changes. */
struct member *member_list_find(struct member_list *list, uint64_t id);

/* What is remembered of the removed member, or NULL. */
const struct removed_member *member_list_find_removed(const struct member_list *list, uint64_t id);

/* Adds the member or replaces the one of its id, which then is no removed one. RR_OK, or
 * RR_CONFLICT when there are RAFT_MEMBERS_MAX others. */
RR_MUST_USE rr_status member_list_put(struct member_list *list, const struct member *member);

/* Moves the member to the removed ones; false when there is none. */
bool member_list_remove(struct member_list *list, uint64_t id);

#endif
