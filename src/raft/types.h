/*
 * The vocabulary of consensus that storage and transport share with the core: positions, entries,
 * configurations as they are stored and sent, snapshot descriptions and messages.
 *
 * The terms are those of the Raft paper and of etcd-io/raft, whose messages the core uses exactly.
 */
#ifndef RAFT_TYPES_H
#define RAFT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rockraft/types.h>

#include "base/limits.h"

typedef uint64_t raft_id;    /* a member; 0 is nobody and never a member */
typedef uint64_t raft_index; /* a log position; the first entry has index 1 */
typedef uint64_t raft_term;
typedef uint64_t raft_group;

#define RAFT_NO_ID ((raft_id)0)

enum raft_role {
    RAFT_FOLLOWER = 0,
    RAFT_CANDIDATE = 1,
    RAFT_LEADER = 2,
    RAFT_PRE_CANDIDATE = 3,
};

enum raft_entry_type {
    RAFT_ENTRY_NORMAL = 0,
    RAFT_ENTRY_CONF_CHANGE = 1,    /* one operation, never joint (the first version) */
    RAFT_ENTRY_CONF_CHANGE_V2 = 2, /* any number of operations; none: leave the joint one */
};

/*
 * One log entry: a block with its own count of references, so that the log cache, the messages in
 * flight and the frames being written share the bytes. The count is not atomic: all holders live
 * on one thread. Once index and term are set, nothing but `refs` changes.
 */
struct raft_entry {
    uint32_t refs;
    uint32_t size; /* of `data` */
    raft_term term;
    raft_index index;
    enum raft_entry_type type;
    uint8_t data[];
};

/* A new entry with one reference and a copy of `data`; ends the process without memory. Term and
 * index are 0 until the core assigns them. */
struct raft_entry *raft_entry_new(enum raft_entry_type type, rr_bytes data);

/* The same, but NULL without memory: for sizes that a peer or a client chose. The data is left for
 * the caller to fill. */
struct raft_entry *raft_entry_try_new(enum raft_entry_type type, size_t size);

/* What an entry counts as in limits by bytes: its payload and about what goes around it. */
static inline uint64_t raft_entry_bytes(const struct raft_entry *entry)
{
    return (uint64_t)entry->size + 32;
}

struct raft_entry *raft_entry_ref(struct raft_entry *entry);
void raft_entry_unref(struct raft_entry *entry); /* NULL is allowed; the last one frees */

/* What a voter must remember across a restart (paper, figure 2), and how far it knew the log to be
 * committed. All zero: nothing yet. */
struct raft_hard_state {
    raft_term term;
    raft_id vote;
    raft_index commit;
};

/* Entries from `first` up to the next run, or the end, have this term. */
struct raft_term_run {
    raft_index first;
    raft_term term;
};

/* One member and where it counts. A voter that becomes a learner stays in the outgoing half until
 * the joint configuration is left; that is what LEARNER_NEXT marks. */
enum {
    RAFT_MEMBER_INCOMING = 1,     /* votes in the incoming (or only) half */
    RAFT_MEMBER_OUTGOING = 2,     /* votes in the outgoing half of a joint configuration */
    RAFT_MEMBER_LEARNER = 4,      /* receives the log, never votes */
    RAFT_MEMBER_LEARNER_NEXT = 8, /* becomes a learner when the joint configuration is left */
};

struct raft_member {
    raft_id id;
    uint64_t incarnation; /* of the member's disk; 0: not known, not checked */
    uint8_t flags;        /* RAFT_MEMBER_*, never 0 */
};

/* A configuration, ids ascending, each once. Joint exactly when some member is OUTGOING. */
struct raft_configuration {
    bool auto_leave; /* the leader leaves the joint configuration by itself */
    uint32_t count;
    struct raft_member members[RAFT_MEMBERS_MAX];
};

/* A state machine's state at a log position. Counted like entries, one thread. */
struct raft_snapshot {
    uint32_t refs;
    raft_index index;
    raft_term term;
    struct raft_configuration configuration; /* as of `index` */
    uint8_t *data;                           /* the host's own; the core never looks */
    size_t size;
};

struct raft_snapshot *raft_snapshot_new(raft_index index, raft_term term,
                                        const struct raft_configuration *configuration,
                                        rr_bytes data);
struct raft_snapshot *raft_snapshot_ref(struct raft_snapshot *snapshot);
void raft_snapshot_unref(struct raft_snapshot *snapshot); /* NULL is allowed */

enum raft_message_type {
    RAFT_MSG_PROP = 1, /* a follower passes proposals on to the leader */
    RAFT_MSG_APP = 2,
    RAFT_MSG_APP_RESP = 3,
    RAFT_MSG_VOTE = 4,
    RAFT_MSG_VOTE_RESP = 5,
    RAFT_MSG_SNAP = 6,
    RAFT_MSG_HEARTBEAT = 7,
    RAFT_MSG_HEARTBEAT_RESP = 8,
    RAFT_MSG_TRANSFER_LEADER = 9,
    RAFT_MSG_TIMEOUT_NOW = 10,
    RAFT_MSG_READ_INDEX = 11,
    RAFT_MSG_READ_INDEX_RESP = 12,
    RAFT_MSG_PRE_VOTE = 13,
    RAFT_MSG_PRE_VOTE_RESP = 14,
};

/* etcd's name of the type, such as "MsgAppResp"; static text. */
const char *raft_message_type_name(enum raft_message_type type);

/*
 * A message between members. Fields that a type does not use are 0. `entries` and `snapshot` are
 * counted references that belong to whoever holds the message (raft_message_deinit).
 */
struct raft_message {
    enum raft_message_type type;
    bool reject;   /* APP_RESP and votes: refused; READ_INDEX_RESP: not served */
    bool transfer; /* VOTE: an election that the leader asked for; ignores its lease */
    raft_id from;  /* set by the sender; a passed-on proposal keeps its origin */
    raft_id to;
    raft_term term;     /* 0: PROP and READ_INDEX, which any term may carry */
    raft_term log_term; /* of `index`; in a rejection, of `reject_hint` */
    raft_index index;   /* APP: the entry before `entries`; votes: the last entry; APP_RESP:
                              * the last entry held, or the refused position; READ_INDEX_RESP: the
                              * index to apply before answering */
    raft_index commit;
    raft_index reject_hint; /* where to probe next */
    uint64_t round;         /* the leader's confirmation round, echoed by the answer */
    uint64_t read_id;       /* READ_INDEX and its answer: the highest read that shares it */
    uint64_t session;       /* of the follower's progress, echoed by the answer: an answer from
                              * before a removal never counts after the member was added again */
    uint64_t cluster;       /* identity of sender and receiver; 0: not checked */
    raft_group group;
    uint64_t from_incarnation;
    uint64_t to_incarnation;
    struct raft_entry **entries; /* an array of its own */
    uint32_t entry_count;
    struct raft_snapshot *snapshot; /* SNAP only */
};

/* Whether a member could have sent it: its entries follow `index` and one another, their terms do
 * not fall or pass the message's, a snapshot is there where the type needs it and its configuration
 * can exist. Everything received from outside is asked this first. */
bool raft_message_valid(const struct raft_message *message);

/* Drops the references and the array that the message holds; it may then be reused. */
void raft_message_deinit(struct raft_message *message);

/* Makes `out` a message of its own with references of its own. */
void raft_message_copy(const struct raft_message *message, struct raft_message *out);

#endif
