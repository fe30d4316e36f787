/*
 * What the files that change members share: members_change.c, members_remove.c.
 *
 * On the leader's node thread. What ends a change frees it, at once or when its callbacks have come.
 */
#ifndef NODE_MEMBERS_CHANGE_H
#define NODE_MEMBERS_CHANGE_H

#include "node/members.h"

/* Answers, and takes it out of the list. */
void change_end(struct change *change, rr_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Why it is not done yet. */
void change_note(struct change *change, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Asks the new node who it is. */
void change_identify(struct change *change);

/* Proposes one operation with the member's record as its context; NULL: none. */
void change_propose(struct change *change, enum raft_conf_operation_type type,
                    const struct member *record);

/* What is asked for is so already: success, if this node still leads. */
void change_confirm(struct change *change);

/* Whether the disk that is to be added takes the place of the one that is known, which was damaged. */
bool change_replaces(const struct change *change, uint64_t known);

/* Goes on with a removal; with the removal of a damaged disk, after which its successor is added. */
void change_remove(struct change *change);
void change_replace(struct change *change, const struct member *member);

#endif
