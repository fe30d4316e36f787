/*
 * The consensus core: Raft (Ongaro's dissertation) as etcd-io/raft runs it, for one group.
 *
 * It does no I/O, reads no clock and has no thread: an event goes in with the time, effects come
 * out, and the host (host.h) carries them out in order. It never sees payloads: effects name index
 * ranges, and the host keeps the entries. A step either happens as a whole or, on a refusal,
 * leaves everything as it was.
 *
 * One thread at a time owns a core. Time is any unit, as long as `now` never falls: the node counts
 * microseconds, the scenario driver ticks.
 */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include "raft/configuration.h"
#include "raft/types.h"

struct raft;

enum raft_log_level {
    RAFT_TRACE_DEBUG = 0,
    RAFT_TRACE_INFO = 1,
    RAFT_TRACE_WARN = 2,
    RAFT_TRACE_ERROR = 3,
    RAFT_TRACE_NONE = 5, /* no trace effects */
};

/* What the core asks its host while a step runs. The functions must not call back. */
struct raft_host_ops {
    /* How many of the entries `first` to `last`, all in the host's log, fit into `bytes_max`: their
     * last index, at least `first`. `bytes` receives their size. */
    raft_index (*fit)(void *host, raft_index first, raft_index last, uint64_t bytes_max,
                      uint64_t *bytes);
    /* The snapshot that the host would send now, with a position that the log has applied; false
     * while there is none. */
    bool (*snapshot)(void *host, raft_index *index, raft_term *term);
    /* For one trace line: how far entries were handed to apply and to storage. May be NULL. */
    void (*handed)(void *host, raft_index *applying, raft_index *storing);
};

struct raft_options {
    raft_id id;
    uint64_t cluster; /* identity; 0: not checked */
    raft_group group;
    uint64_t incarnation;
    uint64_t seed; /* of the randomized timeouts and of what tells this life of the node from
                    * others: a new one for every start */

    uint64_t heartbeat_interval;   /* in the unit of `now` */
    uint64_t election_timeout;     /* the minimum; also of quorum checks, leases and transfers */
    uint64_t election_timeout_max; /* the largest that is drawn, inclusive */
    uint64_t lease_drift_permille; /* how far clocks may drift apart, for leases */
    uint64_t persist_stall;        /* a leader whose disk takes longer hands over; 0: never */
    uint64_t held_up;              /* a timer event that comes so much too late shows that this node
                                    * was held up, and says nothing of others; 0: never */

    bool pre_vote;
    bool check_quorum;
    bool lease_reads;          /* followers keep the promise that a leader's lease rests on: no vote
                                * within the election timeout of hearing from it; needs check_quorum */
    bool keep_leader;          /* refuse to forget a leader; lease_reads does so anyway */
    bool step_down_on_removal; /* a removed leader steps down when the removal is applied */
    bool validate_conf_changes;

    uint64_t message_bytes_max;     /* of the entries in one append; at least one goes */
    uint32_t inflight_count_max;    /* unacknowledged appends to one member */
    uint64_t inflight_bytes_max;    /* the same in bytes; 0: no limit */
    uint64_t uncommitted_bytes_max; /* proposals over it are dropped; 0: no limit */

    enum raft_log_level trace_level;
    const struct raft_host_ops *ops;
    void *host;
};

/* What storage held at start. */
struct raft_start {
    struct raft_hard_state hard_state;
    raft_index base; /* the position before the first entry, that of a snapshot or of a purge */
    raft_term base_term;
    raft_index applied;                      /* by the state machine; at least base */
    struct raft_configuration configuration; /* as of `applied` */
    const struct raft_term_run *runs;        /* of the entries after base, ascending */
    uint32_t run_count;
    raft_index last;
    const raft_index *configurations; /* indexes of configuration entries above `applied` */
    uint32_t configuration_count;
    /* A voter that may have promised a lease before it stopped must let it run out. */
    bool restarted;
};

enum raft_event_type {
    RAFT_EVENT_TIMER,           /* `now` has passed raft_deadline, or may have */
    RAFT_EVENT_MESSAGE,         /* from a member */
    RAFT_EVENT_LOCAL_MESSAGE,   /* the node's own: acknowledgements to itself, once durable */
    RAFT_EVENT_PROPOSE,         /* entries, configuration entries among them */
    RAFT_EVENT_READ,            /* a read wants a confirmed index */
    RAFT_EVENT_PERSISTED,       /* a write of storage is durable */
    RAFT_EVENT_APPLIED,         /* entries up to an index are applied */
    RAFT_EVENT_CONF_APPLIED,    /* a configuration entry is being applied */
    RAFT_EVENT_COMPACTED,       /* the host dropped entries */
    RAFT_EVENT_SNAPSHOT_STATUS, /* a snapshot was sent, or could not be */
    RAFT_EVENT_UNREACHABLE,     /* a message to a member was lost */
    RAFT_EVENT_CAMPAIGN,        /* start an election now */
    RAFT_EVENT_HEARTBEAT,       /* a leader sends heartbeats now */
    RAFT_EVENT_TRANSFER,        /* hand leadership over */
    RAFT_EVENT_FORGET_LEADER,
    RAFT_EVENT_SWITCH, /* elections and heartbeats by timer, on or off */
    RAFT_EVENT_MORE,   /* go on with what the last step cut short */
};

struct raft_event {
    enum raft_event_type type;
    uint64_t now;
    /* CONF_APPLIED: the entry's; one that a snapshot has overtaken does nothing. 0: not known. */
    raft_index conf_index;
    union {
        const struct raft_message *message; /* borrowed; both message events */
        struct {
            struct raft_entry *const *entries; /* borrowed; term and index are not looked at */
            uint32_t count;                    /* at least 1 */
        } propose;
        uint64_t read; /* an id that rises with every read event; one answer may cover many */
        struct {
            raft_term term;      /* when the write was taken (raft_receipt) */
            raft_term log_term;  /* of `index` */
            raft_index index;    /* entries up to here; 0: none */
            raft_index snapshot; /* installed; 0: none */
            raft_term snapshot_term;
        } persisted;
        raft_index applied;
        const struct raft_conf_change *conf_applied; /* borrowed */
        raft_index compacted;
        struct {
            raft_id id;
            bool ok;
        } snapshot_status;
        raft_id unreachable;
        raft_id transfer;
        struct {
            bool elections;
            bool heartbeats;
        } enable;
    };
};

enum raft_effect_type {
    RAFT_EFFECT_SEND,            /* a message; entries are named, not held */
    RAFT_EFFECT_APPEND,          /* entries enter the log and must be persisted */
    RAFT_EFFECT_RESTORE,         /* a received snapshot replaces the log; install it */
    RAFT_EFFECT_CANCEL_SNAPSHOT, /* the member needs it no more */
    RAFT_EFFECT_READ_READY,      /* all reads up to an id may be answered once applied */
    RAFT_EFFECT_READ_FAILED,     /* all reads up to an id that are not ready: ask again */
    RAFT_EFFECT_TRANSFER_ENDED,  /* a transfer was given up while still leading */
    RAFT_EFFECT_TRACE,           /* a line for the log */
    RAFT_EFFECT_HALT,            /* the node must stop: its log lost what it acknowledged, or
                                  * contradicts what is committed; the reason is a text */
};

struct raft_effect {
    enum raft_effect_type type;
    union {
        struct {
            struct raft_message message; /* without entries and snapshot: */
            raft_index first;            /* of the entries; PROP carries the event's own */
            uint32_t entry_count;
            bool after_persist; /* only once everything persisted so far is durable */
        } send;
        struct {
            raft_index first; /* what the log had from here on is dropped */
            raft_term term;   /* of proposed entries; received ones have their own */
            uint32_t count;
            uint32_t from_event; /* the first of the event's (or message's) entries that is meant */
            struct raft_entry *own; /* or one of the core's making, with its only reference: it
                                     * takes the place of the event's */
        } append;
        raft_id cancel_snapshot;
        struct {
            uint64_t id;
            raft_index index;
        } read;
        struct {
            enum raft_log_level level;
            uint32_t text; /* where it begins in raft_effects.text; terminated */
        } trace;           /* also of HALT */
    };
};

enum {
    /* A member is sent at most two messages by the rules plus a burst of appends; each may come
     * with two trace lines. */
    RAFT_SEND_BURST_MAX = 4,
    /* Configuration entries in one proposal; a member that passes on more is not one of ours. */
    RAFT_PROPOSED_CONFIGURATIONS_MAX = 8,
    RAFT_EFFECTS_MAX = 64 + RAFT_MEMBERS_MAX * (2 * RAFT_SEND_BURST_MAX + 8),
    RAFT_EFFECTS_TEXT_MAX = 64 * 1024,
};

/* What a step asks for, in order. One may serve all the groups of a thread. */
struct raft_effects {
    uint32_t count;
    uint32_t text_size;
    struct raft_effect items[RAFT_EFFECTS_MAX];
    char text[RAFT_EFFECTS_TEXT_MAX];
};

enum raft_result {
    RAFT_STEP_OK = 0,
    RAFT_STEP_PROPOSAL_DROPPED, /* no leader, a transfer, removed, or too much uncommitted */
    RAFT_STEP_PEER_NOT_FOUND,   /* an answer from somebody who is no member here */
    RAFT_STEP_FOREIGN,          /* another cluster, group or incarnation */
    RAFT_STEP_INVALID,          /* a message that no member can send */
    RAFT_STEP_HALTED,           /* nothing happens after RAFT_EFFECT_HALT */
};

/* The published text, static. */
const char *raft_result_text(enum raft_result result);

/*
 * A core in the role of follower. The text lines of the start are left in `effects`. The caller
 * frees it with raft_free. `options` and `start` are copied; `ops` and `host` must outlast it.
 */
struct raft *raft_new(const struct raft_options *options, const struct raft_start *start,
                      uint64_t now, struct raft_effects *effects);
void raft_free(struct raft *raft);

/* Takes one event and fills `effects` from its beginning; the caller carries them out before the
 * next event. A result other than RAFT_STEP_OK may still come with trace effects. */
enum raft_result raft_step(struct raft *raft, const struct raft_event *event,
                           struct raft_effects *effects);

/* A fresh node has learned which cluster it belongs to; before, it must not have been known. */
void raft_set_cluster(struct raft *raft, uint64_t cluster);

/* The time at which the next timer event is due; UINT64_MAX: never. */
uint64_t raft_deadline(const struct raft *raft);

/* Whether an event RAFT_EVENT_MORE would send something. */
bool raft_more(const struct raft *raft);

/* What a write of everything so far will confirm when it is durable: the entries of the persisted
 * event, whose snapshot the host fills in. False when there are no entries to confirm. */
bool raft_receipt(const struct raft *raft, struct raft_event *out);

/* Accessors; cheap and without effect. */
raft_id raft_self(const struct raft *raft);
enum raft_role raft_role(const struct raft *raft);
raft_id raft_leader(const struct raft *raft);
struct raft_hard_state raft_hard_state(const struct raft *raft);
raft_index raft_base_index(const struct raft *raft);
raft_index raft_last_index(const struct raft *raft);
raft_index raft_persisted_index(const struct raft *raft);
raft_index raft_committed_index(const struct raft *raft);
raft_index raft_applied_index(const struct raft *raft);
raft_index raft_pending_snapshot(const struct raft *raft); /* 0: none */
bool raft_log_term_at(const struct raft *raft, raft_index index, raft_term *out);
const struct raft_configuration *raft_configuration(const struct raft *raft);
bool raft_transferring(const struct raft *raft);

/* Whether this leader may answer a read at its commit index without asking anybody (dissertation,
 * 6.4.1): its lease holds and an entry of its term is committed. */
bool raft_lease_valid(const struct raft *raft, uint64_t now);

/* The active voter whose log reaches furthest, to hand leadership to; RAFT_NO_ID: none. */
raft_id raft_transfer_candidate(const struct raft *raft);

/* The progress of a member, for status and metrics; false if it has none. */
struct raft_progress;
const struct raft_progress *raft_progress(const struct raft *raft, raft_id id);
/* Its text, as in "StateReplicate match=5 next=6"; returns `text`. */
char *raft_status_text(const struct raft *raft, raft_id id, char *text, size_t size);

/* For tests: the timeout that holds until the next one is drawn. */
void raft_set_randomized_timeout(struct raft *raft, uint64_t timeout);

const char *raft_role_name(enum raft_role role); /* "StateLeader"; static */

#endif
