/*
 * What all nodes together have done, seen from above, and what must hold of it.
 *
 * 1. Election safety: a term has one leader.
 * 2. Log matching: (term, index) names one entry with one predecessor, wherever it is written.
 * 3. Leader completeness: what was committed in an earlier term is in a later leader's log.
 * 4. State machine safety: at an index all nodes commit and apply the same entry, in order, once.
 * 5. Quorums of configurations that follow one another meet.
 *
 * A breach ends the run through sim_fail.
 */
#ifndef SIM_HISTORY_H
#define SIM_HISTORY_H

#include "disk.h"
#include "raft/configuration.h"

struct sim;
struct node;

struct history_entry {
    raft_term term;
    raft_term commit_term; /* of the node that first knew it to be committed */
    uint64_t digest;       /* of all entries up to here */
    bool configuration;
};

/* An entry that some node wrote. */
struct history_written {
    raft_term term; /* 0: an empty slot */
    raft_index index;
    raft_term previous_term;
    uint64_t hash;
    struct raft_entry *configuration; /* with a reference, if it is such an entry */
};

struct history_configuration {
    raft_index index; /* of its entry */
    struct raft_configuration configuration;
};

struct history {
    raft_index base;
    raft_index committed;          /* the largest that any node knows */
    struct history_entry *entries; /* of base and on */
    uint32_t entry_capacity;
    struct history_configuration *configurations; /* ascending; the first is the initial one */
    uint32_t configuration_count;
    uint32_t configuration_capacity;
    struct history_written *written; /* a hash table */
    uint32_t written_count;
    uint32_t written_capacity;
    raft_id *leaders; /* by term */
    uint64_t leader_capacity;
};

void history_init(struct history *history, const struct machine *start);
void history_deinit(struct history *history);

/* The committed configuration that nobody has superseded, and the index of its entry. */
const struct raft_configuration *history_configuration(const struct history *history);
raft_index history_configuration_index(const struct history *history);

const struct history_entry *history_at(const struct history *history, raft_index index);

/* `node` is about to write `entry`, behind one of `previous_term`. */
void history_write(struct sim *sim, const struct node *node, const struct raft_entry *entry,
                   raft_term previous_term);

/* `node` has become leader; its log is as its core says. */
void history_lead(struct sim *sim, const struct node *node);

/* `node` knows entries after `from` and up to `to` to be committed. */
void history_commit(struct sim *sim, struct node *node, raft_index from, raft_index to);

/* `node` applies `entry` to its machine, which is changed. A configuration entry changes the
 * machine's configuration; `change` receives it then, and the result is true. */
bool history_apply(struct sim *sim, const struct node *node, const struct raft_entry *entry,
                   struct machine *machine, struct raft_conf_change *change);

/* A machine that came by a snapshot. */
void history_check_machine(struct sim *sim, const struct node *node, const struct machine *machine);

#endif
