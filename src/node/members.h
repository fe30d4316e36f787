/*
 * What the files of the members share; what the rest of the node asks of them is in node_private.h.
 *
 *   members_meta    the configuration with addresses as bytes, and how entries change it
 *   members.c       opening, what was applied, questions of other nodes
 *   members_found.c  a cluster's first state
 *   members_peers.c  where the others are, who may connect, what their refusals mean
 *   members_join.c  a new node's way in: asking the addresses of `join`
 *   members_change.c  the leader's part: adding;   members_remove.c  removing
 *   members_promote.c  its learners that are to vote
 *   members_transfer.c  handing leadership over
 *   members_api.c   rr_node_await_member, rr_node_add, _remove, _transfer and their blocking forms
 *
 * Raft's entries alone decide who is a member. All of it runs on the node's thread.
 */
#ifndef NODE_MEMBERS_H
#define NODE_MEMBERS_H

#include "node/members_meta.h"
#include "node/node_private.h"

enum {
    FOUNDING_INDEX = 1, /* where a cluster begins: a state without entries, by snapshot alone */
    FOUNDING_TERM = 1,

    MEMBERS_TICK_MS = 20,                 /* how often the leader looks at what waits */
    IDENTIFY_TIMEOUT_MS = 2000,           /* of one question */
    IDENTIFY_PATIENCE_MS = 5000,          /* of them all: a new node must be running */
    ANSWER_MARGIN_US = 200 * 1000,        /* kept of another node's deadline for the way back */
    REMOVED_GRACE_MS = 2000,              /* a removed node is still told of its removal */
    STRANGERS_MAX = 2 * RAFT_MEMBERS_MAX, /* peers known by their own word alone */
    /* Those of the options, those of the members, and as many that looked for a former disk. */
    JOIN_ADDRESSES_MAX = 3 * RAFT_MEMBERS_MAX,
};

/* A peer as the transport has it. */
struct known_peer {
    raft_id id;
    bool member;      /* of the applied configuration; else it introduced itself, or is leaving */
    uint64_t drop_us; /* when to forget it; 0: not due */
};

/* How far a learner that is to vote has come (dissertation, 4.2.1): rounds of replication, each
 * up to where the log ended when it began. */
struct catch_up {
    raft_id id;
    raft_index target;
    uint64_t since_us;
};

enum change_kind {
    CHANGE_ADD,
    CHANGE_REMOVE,
};

enum change_state {
    CHANGE_IDENTIFYING, /* the new node is being asked who it is */
    CHANGE_PAUSED,      /* until it is asked again */
    CHANGE_QUEUED,      /* waits for its turn to be proposed */
    CHANGE_PROPOSED,
    CHANGE_CATCHING_UP, /* a learner that is to become a voter */
    CHANGE_CONFIRMING,  /* nothing is to be done, if this node still leads */
    CHANGE_ENDED,       /* answered; a callback is still to come */
};

/* One call to add or remove, on the leader, from its arrival to its answer. */
struct change {
    struct list_link link; /* in members->changes, oldest first; in none once ended */
    rr_node *node;
    enum change_kind kind;
    enum change_state state;
    struct member member; /* to be removed: the id alone. Incarnation 0: not known yet */
    bool joining;         /* the node itself asks, and gave its incarnation */
    bool replacing;       /* the removal of its damaged disk was proposed */
    uint32_t former_count;
    uint64_t former[RELAY_FORMER_MAX]; /* its damaged disks */
    bool identified;                   /* it was asked who it is, and all is well */
    bool handed_over;                  /* a leader that removes itself has tried to hand over */
    uint64_t started_us;
    uint64_t resume_us; /* PAUSED: when to go on */
    uint64_t deadline_us;
    struct deadline deadline;
    uint32_t calls;     /* callbacks that are still to come and hold a pointer to this */
    char obstacle[256]; /* why it is not done yet; for the answer at the deadline */
    relay_done_fn done;
    void *arg;
};

/* A call to hand leadership over. */
struct transfer {
    struct list_link link; /* in members->transfers */
    rr_node *node;
    raft_id target; /* 0: whoever is best */
    bool begun;
    struct deadline deadline;
    relay_done_fn done;
    void *arg;
};

/* A new node's way into a cluster. */
enum join_state {
    JOIN_IDLE,    /* a member, or nobody to ask */
    JOIN_PAUSED,  /* until the timer */
    JOIN_ASKING,  /* who is at the address? */
    JOIN_JOINING, /* the request is with a member */
};

struct join {
    enum join_state state;
    bool checking; /* a member that only looks whether the addresses are of its cluster */
    uint64_t started_us;
    char (*addresses)[ADDRESS_BYTES_MAX + 1];
    size_t count;
    size_t at;                         /* the address under way */
    bool answered[JOIN_ADDRESSES_MAX]; /* checking: the addresses that gave an answer */
    uint32_t failures;                 /* rounds without success */
    uint64_t cluster;                  /* of the node that is asked to let us in */
    uint32_t calls;                    /* outstanding */
    struct timer *timer;
    struct log_limiter limiter;
    char progress[NODE_ERROR_BYTES_MAX]; /* for rr_node_await_member at its deadline */
};

struct members {
    struct members_meta meta; /* as of the last entry applied, perhaps not committed yet */
    bool was_member;          /* at start */
    bool refused;             /* told by others that it was removed; logged once */
    struct known_peer peers[RAFT_MEMBERS_MAX + STRANGERS_MAX];
    uint32_t peer_count;
    struct list awaiting; /* struct request: rr_node_await_member */
    struct join join;

    struct list changes;   /* struct change */
    struct list transfers; /* struct transfer */
    bool pumping;          /* within changes_pump */
    bool conf_pending;     /* a change is proposed and not decided */
    raft_id promoting;     /* it is this member's promotion; 0: a call's */
    struct catch_up catch_up[RAFT_MEMBERS_MAX];
    uint32_t catch_up_count;
    struct timer *timer;      /* the leader's look at what waits */
    struct timer *drop_timer; /* forgets peers */
    struct deferred settle;   /* after the applied configuration has changed */
    struct log_limiter stranger_log;
    uint64_t changes_total; /* applied here since start */
    bool stopped;
};

/* ---- members.c ---- */

/* This node, and its disk. */
static inline raft_id members_self(const rr_node *node)
{
    return node->options.public.node_id;
}

static inline uint64_t members_incarnation(const rr_node *node)
{
    return data_dir_identity(node->data_dir)->incarnation;
}

/* Whether the id is in the applied configuration. */
bool members_is_member(const struct members *members, raft_id id);

/* Whether this node is, by the disk that it has; a former one, that was damaged, may still be. */
bool members_has_self(const rr_node *node);

/* Whether the incarnation is one that this node had before its disk was damaged. */
bool members_had_disk(const rr_node *node, uint64_t incarnation);

/* Whether this node is what it set out to be: a member, and not one that is yet to be promoted
 * (unless it was a member before it started). */
bool members_settled(const rr_node *node);

/* The one member of a cluster that it founded, which never had another. */
bool members_alone(const rr_node *node);

/* The node belongs elsewhere, or is wanted nowhere: halts with RR_MISMATCH and the reason. */
void members_fail(rr_node *node, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- members_found.c ---- */

/* Whether nothing was ever stored here, by a founder or by a node on its way into a cluster. */
bool members_may_found(const rr_node *node);
RR_MUST_USE rr_status members_found(rr_node *node, struct storage_error *error);
/* Repeats what a crash has left out of a founding. */
RR_MUST_USE rr_status members_finish_founding(rr_node *node, struct storage_error *error);

/* ---- members_peers.c ---- */

/* Tells the transport of the members applied, and has those removed forgotten after a while. */
void members_update_peers(rr_node *node);
void members_drop_peers(void *node); /* forgets those that are due */

/* ---- members_promote.c ---- */

/* Whether the member is connected and answered lately; on the leader. */
bool members_answers(rr_node *node, raft_id id);
/* Proposes the next promotion that is due. True while learners wait for theirs. */
bool members_promote(rr_node *node);

/* ---- members_join.c ---- */

void join_start(rr_node *node); /* if it is not a member and there are addresses to ask */
/* Somebody at this address knows the cluster. Does nothing for a member. */
void join_through_address(rr_node *node, const char *address);
void join_settle(rr_node *node); /* it may have become a member */
void join_stop(rr_node *node);
void join_close(rr_node *node);

/* ---- members_change.c ---- */

void changes_serve(rr_node *node, enum change_kind kind, const struct relay_request *request,
                   uint64_t deadline_us, relay_done_fn done, void *arg);
void changes_pump(rr_node *node);         /* does what can be done now */
void changes_role_changed(rr_node *node); /* ends what only a leader can do */
void changes_stop(rr_node *node);

/* ---- members_transfer.c ---- */

void transfers_serve(rr_node *node, raft_id target, uint64_t deadline_us, relay_done_fn done,
                     void *arg);
void transfers_role_changed(rr_node *node);
void transfers_ended(rr_node *node); /* the core gave the transfer up */
void transfers_pump(rr_node *node);
void transfers_stop(rr_node *node);

/* ---- members_api.c ---- */

void await_settle(rr_node *node); /* answers those who wait for membership */
void await_stop(rr_node *node);

/* Calls `done` with an answer of nothing but a status and a text. */
void relay_answer_text(rr_node *node, relay_done_fn done, void *arg, rr_status status,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));

/* ---- members_confirm.c ---- */

/*
 * Asks the leader, as a linearizable read does, and waits until this node has applied what the
 * answer covers: every write acknowledged before the call. `done` runs once, perhaps from within,
 * with RR_OK and the applied index, or why not: RR_TIMEOUT, RR_CLOSED, RR_NO_MEMORY...
 */
typedef void (*confirm_done_fn)(void *arg, rr_status status, raft_index index);
void confirm_index(rr_node *node, uint64_t deadline_us, confirm_done_fn done, void *arg);

#endif
