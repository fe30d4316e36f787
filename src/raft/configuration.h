/*
 * Configurations and the arithmetic of changing them: simple changes of one voter, and joint
 * consensus for any other change (paper, section 6; the rules are etcd-io/raft's).
 *
 * Pure functions on plain values. A failed change leaves its input as it was.
 */
#ifndef RAFT_CONFIGURATION_H
#define RAFT_CONFIGURATION_H

#include "raft/types.h"

enum raft_conf_operation_type {
    RAFT_CONF_ADD_VOTER = 0,
    RAFT_CONF_REMOVE = 1,
    RAFT_CONF_UPDATE = 2, /* changes no membership; carries a context only */
    RAFT_CONF_ADD_LEARNER = 3,
};

struct raft_conf_operation {
    enum raft_conf_operation_type type;
    raft_id id;           /* 0: the operation is skipped */
    uint64_t incarnation; /* of an added member's disk; 0: not known */
};

enum raft_conf_transition {
    RAFT_CONF_AUTO = 0,           /* joint only when more than one operation needs it */
    RAFT_CONF_JOINT_IMPLICIT = 1, /* joint, left by the leader on its own */
    RAFT_CONF_JOINT_EXPLICIT = 2, /* joint, left by an empty change */
};

enum { RAFT_CONF_OPERATIONS_MAX = 2 * RAFT_MEMBERS_MAX };

/* The payload of a configuration entry. AUTO without operations leaves a joint configuration. */
struct raft_conf_change {
    enum raft_conf_transition transition;
    uint32_t count;
    struct raft_conf_operation operations[RAFT_CONF_OPERATIONS_MAX];
    rr_bytes context; /* the host's own, borrowed: addresses of members, say */
};

enum raft_conf_error {
    RAFT_CONF_OK = 0,
    RAFT_CONF_REMOVED_ALL_VOTERS,
    RAFT_CONF_SIMPLE_IN_JOINT,
    RAFT_CONF_MORE_THAN_ONE,
    RAFT_CONF_ALREADY_JOINT,
    RAFT_CONF_ZERO_VOTERS,
    RAFT_CONF_NOT_JOINT,
    RAFT_CONF_TOO_MANY_MEMBERS,
};

/* The published text of the error, static. */
const char *raft_conf_error_text(enum raft_conf_error error);

/* A new entry of `type` with one reference that holds `change`. */
struct raft_entry *raft_conf_change_entry(enum raft_entry_type type,
                                          const struct raft_conf_change *change);

/* Reads what raft_conf_change_entry wrote; `out->context` borrows from `data`. An empty payload is
 * the change that leaves a joint configuration. RR_OK or RR_CORRUPT. */
RR_MUST_USE rr_status raft_conf_change_decode(rr_bytes data, struct raft_conf_change *out);

/* Whether the change goes through a joint configuration, and whether it leaves one. */
bool raft_conf_change_enters_joint(const struct raft_conf_change *change);
bool raft_conf_change_leaves_joint(const struct raft_conf_change *change);

/* Whether `change` has removed `member`, of the configuration that it led to, before it added it
 * again: what was known of it is void. An outgoing voter is never removed. */
bool raft_conf_change_renews(const struct raft_conf_change *change,
                             const struct raft_member *member);

/* Applies `change` in the manner that it asks for. `out` may be `from`; it is written on success
 * only. */
RR_MUST_USE enum raft_conf_error raft_configuration_change(const struct raft_configuration *from,
                                                           const struct raft_conf_change *change,
                                                           struct raft_configuration *out);

/* The three manners by themselves. */
RR_MUST_USE enum raft_conf_error
raft_configuration_simple(const struct raft_configuration *from,
                          const struct raft_conf_operation *operations, size_t count,
                          struct raft_configuration *out);
RR_MUST_USE enum raft_conf_error
raft_configuration_enter_joint(const struct raft_configuration *from, bool auto_leave,
                               const struct raft_conf_operation *operations, size_t count,
                               struct raft_configuration *out);
RR_MUST_USE enum raft_conf_error
raft_configuration_leave_joint(const struct raft_configuration *from,
                               struct raft_configuration *out);

bool raft_configuration_joint(const struct raft_configuration *configuration);

/* The member's record, or NULL. */
const struct raft_member *raft_configuration_find(const struct raft_configuration *configuration,
                                                  raft_id id);

/* Whether `id` votes in either half. */
bool raft_configuration_votes(const struct raft_configuration *configuration, raft_id id);

/* Whether stored or received bytes made a configuration that can exist: ids ascending, flags that
 * go together, voters present unless empty. */
bool raft_configuration_valid(const struct raft_configuration *configuration);

/* Whether a majority of the one always meets a majority of the other, by the shape of the change:
 * at most one incoming voter differs, or the one is joint and has the other as one of its halves. */
bool raft_configuration_adjacent(const struct raft_configuration *from,
                                 const struct raft_configuration *to);

bool raft_configuration_equal(const struct raft_configuration *a,
                              const struct raft_configuration *b);

/* Room for the longest text of a configuration, and of a change. */
enum {
    RAFT_CONFIGURATION_TEXT_MAX = 64 + 4 * RAFT_MEMBERS_MAX * 17,
    RAFT_CONF_CHANGE_TEXT_MAX = 64 + RAFT_CONF_OPERATIONS_MAX * 72,
};

/* "voters=(1 2)&&(1) learners=(3) autoleave", terminated; returns `text`. */
char *raft_configuration_text(const struct raft_configuration *configuration, char *text,
                              size_t size);

/* "transition:ConfChangeTransitionAuto changes:{type:ConfChangeAddNode node_id:3}". */
char *raft_conf_change_text(const struct raft_conf_change *change, char *text, size_t size);

#endif
