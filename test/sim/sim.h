/*
 * One run of the simulator: several cores on their hosts, a network, disks and clocks that fail,
 * clients and operators. One thread, virtual time; the seed decides everything.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "history.h"
#include "node.h"
#include "profile.h"
#include "queue.h"

struct sim_options {
    uint64_t seed;
    uint32_t nodes; /* voters at the start; 0: drawn */
    uint64_t steps; /* 0: drawn */
    bool trace;     /* print what happens */
    uint32_t tail;  /* print the last lines of that when the run fails */
};

struct link {
    bool cut;               /* nothing that is sent arrives */
    uint64_t clogged_until; /* what is sent arrives later than this */
    uint64_t last_arrival;  /* for links in order */
};

/* A change of membership whose entry is neither committed nor replaced. */
struct pending_change {
    raft_index index;
    raft_id added; /* 0: none */
};

enum { SIM_PENDING_CHANGES = 64 };

struct sim {
    struct sim_options options;
    struct profile profile;
    struct random random;
    struct queue queue;
    struct history history;
    uint64_t now;
    uint64_t events_now;  /* that happened at this time */
    uint64_t steps;       /* of cores */
    uint64_t steps_until; /* the trouble of this round ends there */
    bool healing;
    uint64_t hash; /* of all that happened; equal runs have equal ones */
    uint64_t next_value;
    uint64_t next_incarnation;
    struct node nodes[SIM_NODES_MAX];
    struct link links[SIM_NODES_MAX][SIM_NODES_MAX];
    struct pending_change changes[SIM_PENDING_CHANGES];
    uint32_t change_count;
    struct {
        uint64_t proposals;
        uint64_t reads_ready;
        uint64_t reads_failed;
        uint64_t lease_reads;
        uint64_t crashes;
        uint64_t restores;
        uint64_t leaders;
        uint64_t configurations;
        uint64_t messages;
    } counts;
};

struct sim_result {
    uint64_t steps;
    uint64_t hash;
};

/* Runs to the end; does not return when something is wrong. */
struct sim_result sim_run(const struct sim_options *options);

/* Ends the process with status 1 after printing what is wrong, the command that repeats it and the
 * last events. */
_Noreturn void sim_fail(const struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- run.c ---- */

/* A duration of at most `max`; short ones are common. */
uint64_t sim_duration(struct sim *sim, uint64_t max);
void sim_handle(struct sim *sim, struct event *event);

/* ---- trace.c ---- */

/* Adds to the hash of the run. */
void sim_note(struct sim *sim, uint64_t value);

/* Whether anybody looks at trace lines. */
bool sim_traced(const struct sim *sim);
void sim_trace(const struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sim_trace_tail(void);
void sim_trace_profile(const struct sim *sim);
const char *sim_message_text(const struct raft_message *message); /* static until the next call */

/* ---- network.c ---- */

/* Takes the message; `from` is the sender, whatever the message says. */
void network_send(struct sim *sim, uint32_t from, struct raft_message *message);
void network_reconnect(struct sim *sim);

/* ---- damage.c ---- */

/* Damages the disk of a member, which comes back under its id with a new incarnation: with nothing,
 * or with what its state machine held. */
void damage_strike(struct sim *sim);
/* What the leader with this configuration is to propose for a disk that was damaged; false if there
 * is nothing to be done. */
bool damage_repair(struct sim *sim, const struct raft_configuration *configuration,
                   struct raft_conf_change *change);
/* Whether the member is there by a disk that is no more, and whether `configuration` has such. */
bool damage_lost(const struct sim *sim, const struct raft_member *member);
bool damage_left(const struct sim *sim, const struct raft_configuration *configuration);

/* ---- workload.c, nemesis.c, heal.c ---- */
/* Whether no change of the members is under way, and all would know them even after a crash. */
bool workload_settled(struct sim *sim);
/* Has the leader propose a change. */
void workload_change(struct sim *sim, struct node *leader, struct raft_conf_change *change);
void workload_act(struct sim *sim);
/* Marker proposals and reads while healing. */
void workload_propose(struct sim *sim, struct node *node, uint32_t count);
void workload_read(struct sim *sim, struct node *node);
void nemesis_strike(struct sim *sim);
void nemesis_end(struct sim *sim);
/* Repairs the world and demands progress; returns when there was. */
void heal(struct sim *sim);

#endif
