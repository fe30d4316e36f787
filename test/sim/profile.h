/*
 * What kind of run a seed is: sizes, options of the core, how the network, clocks and disks behave,
 * and what clients and operators do. Everything is drawn from the seed; no run has it all, since
 * much of one thing hides another.
 */
#ifndef SIM_PROFILE_H
#define SIM_PROFILE_H

#include "base/random.h"
#include "raft/host.h"

enum {
    SIM_NODES_MAX = 8,
    /* The minimum election timeout, in units of virtual time; all else is measured by it. */
    SIM_ELECTION_TIMEOUT = 10000,
};

/* What clients and operators do; a weight each. */
enum action {
    ACTION_PROPOSE,
    ACTION_READ,
    ACTION_MEMBERSHIP,
    ACTION_TRANSFER,
    ACTION_CAMPAIGN,
    ACTION_HEARTBEAT,
    ACTION_FORGET_LEADER,
    ACTION_SWITCH,
    ACTION_FLUSH,
    ACTION_COMPACT,
    ACTION_UNREACHABLE,
    ACTION_COUNT,
};

/* What breaks. */
enum nemesis {
    NEMESIS_PARTITION,
    NEMESIS_CUT_ONE_WAY,
    NEMESIS_CUT_PAIR,
    NEMESIS_ISOLATE_LEADER,
    NEMESIS_RECONNECT,
    NEMESIS_CLOG,
    NEMESIS_CRASH,
    NEMESIS_CRASH_LEADER,
    NEMESIS_CRASH_FOLLOWERS,
    NEMESIS_CRASH_ALL,
    NEMESIS_PAUSE,
    NEMESIS_CLOCK,
    NEMESIS_SLOW_DISK,
    NEMESIS_DAMAGE,
    NEMESIS_COUNT,
};

/* What a run is after. */
enum focus {
    FOCUS_NONE,
    FOCUS_CHURN,      /* short leaderships, short messages */
    FOCUS_LEASE,      /* leases at the limit of clocks and delays */
    FOCUS_MEMBERSHIP, /* configurations that follow fast and are applied late */
    FOCUS_READS,      /* late answers */
    FOCUS_COUNT,
};

struct profile {
    enum focus focus;
    uint32_t voters;   /* at the start */
    uint32_t learners; /* at the start */
    uint32_t ids;      /* that may ever be members */
    uint32_t voters_max;
    uint64_t steps;  /* of cores, before the last healing */
    uint32_t rounds; /* of trouble and healing */

    struct raft_host_options host; /* of every node, but for identity, seed and storage */
    bool must_heal; /* progress is demanded in the end; without pre-votes, a change of members may
                     * leave the terms of those who know of it behind for ever, as published */
    bool identity;  /* members have incarnations; without, only answers of former members are at
                    * risk, and no id is ever used for a new disk */

    uint64_t delay_min; /* of messages */
    uint64_t delay_max;
    uint32_t loss_permille;
    uint32_t duplicate_permille;
    uint32_t straggler_permille; /* a copy that arrives long after */
    bool in_order;               /* per link */

    uint64_t clock_drift_permille; /* each clock's rate is within 1000 +- this */
    uint64_t turn_max;             /* how long a node gathers events before it takes a batch */
    uint64_t write_max;            /* until a batch is written */
    uint64_t sync_max;             /* and from then until it is durable */
    uint64_t apply_max;            /* between pieces of applying */
    uint64_t restart_max;

    uint64_t action_interval;
    uint64_t nemesis_interval;
    uint32_t actions[ACTION_COUNT];
    uint32_t nemeses[NEMESIS_COUNT];
    uint64_t compact_keep; /* entries that a compaction leaves at least */
    bool damage_anytime;   /* disks are damaged although the cluster may not get over it */
};

/* `nodes`: voters at the start, 0 to draw them. `steps` likewise. */
void profile_draw(struct profile *profile, struct random *random, uint32_t nodes, uint64_t steps);

const char *action_name(enum action action);
const char *nemesis_name(enum nemesis nemesis);
const char *focus_name(enum focus focus);

#endif
