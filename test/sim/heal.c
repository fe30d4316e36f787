/*
 * The end of trouble: links, clocks, disks and nodes are well again, nobody changes anything, and
 * the members must get somewhere. What only costs liveness is found here.
 */
#include <inttypes.h>

#include "base/assert.h"
#include "sim.h"

enum {
    PATIENCE = 100 * SIM_ELECTION_TIMEOUT,
    LOOK_INTERVAL = SIM_ELECTION_TIMEOUT / 2,
    MARKER_PATIENCE = 20 * SIM_ELECTION_TIMEOUT, /* then the client asks again */
};

struct healing {
    raft_index marker; /* must be applied by all; 0: nothing was proposed that could be */
    raft_term marker_term;
    uint64_t marker_since;
};

static const struct raft_configuration *members(const struct sim *sim)
{
    return history_configuration(&sim->history);
}

static struct node *member(struct sim *sim, uint32_t i)
{
    return &sim->nodes[members(sim)->members[i].id - 1];
}

static void step(struct sim *sim, struct node *node, struct raft_event event)
{
    (void)node_step(sim, node, &event);
}

static void start_all(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        struct node *node = &sim->nodes[i];
        if (node->incarnation == 0) {
            continue;
        }
        if (!node_up(node)) {
            node_start(sim, node);
        }
        struct raft_event event = {.type = RAFT_EVENT_SWITCH};
        event.enable.elections = true;
        event.enable.heartbeats = true;
        step(sim, node, event);
    }
}

/* A former member that nobody tells goes on asking for votes. It may be needed until the last
 * member knows that it is not, and is stopped then, as an operator would. */
static void stop_former_members(struct sim *sim)
{
    raft_index index = history_configuration_index(&sim->history);
    for (uint32_t i = 0; i < members(sim)->count; i++) {
        bool lost = damage_lost(sim, &members(sim)->members[i]);
        if (!lost && member(sim, i)->machine.applied < index) {
            return;
        }
    }
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        struct node *node = &sim->nodes[i];
        if (node_up(node) && raft_configuration_find(members(sim), node->id) == NULL) {
            node_crash(sim, node);
            node->stopped = true;
        }
    }
}

/* The member that leads the latest term, or NULL. */
static struct node *leader(struct sim *sim)
{
    struct node *best = NULL;
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        struct node *node = &sim->nodes[i];
        if (node_up(node) && node_leads(node) &&
            (best == NULL || node->seen_term > best->seen_term)) {
            best = node;
        }
    }
    return best;
}

/* Proposes a marker if there is none that may yet be committed. */
static void propose_marker(struct sim *sim, struct healing *healing)
{
    struct node *node = leader(sim);
    bool waiting = healing->marker != 0 && node != NULL &&
                   healing->marker_term == node->seen_term &&
                   sim->now < healing->marker_since + MARKER_PATIENCE;
    if (node == NULL || waiting) {
        return;
    }
    raft_index before = raft_last_index(node_core(node));
    workload_propose(sim, node, 1);
    if (raft_last_index(node_core(node)) > before) {
        healing->marker = raft_last_index(node_core(node));
        healing->marker_term = node->seen_term;
        healing->marker_since = sim->now;
    }
}

/* A change that was under way may have added them. */
static void start_members(struct sim *sim)
{
    for (uint32_t i = 0; i < members(sim)->count; i++) {
        if (!node_up(member(sim, i))) {
            node_start(sim, member(sim, i));
        }
    }
}

/* Every member must be able to read. */
static void ask_for_reads(struct sim *sim)
{
    for (uint32_t i = 0; i < members(sim)->count; i++) {
        struct node *node = member(sim, i);
        if (node->read_count == 0 && node->reads_ready == 0) {
            workload_read(sim, node);
        }
    }
}

/* What `node` still lacks, or NULL. */
static const char *lack(const struct sim *sim, const struct healing *healing,
                        const struct node *node)
{
    const struct raft *core = node_core(node);
    if (node->machine.applied < healing->marker) {
        return "has not applied what was proposed";
    }
    if (raft_last_index(core) != sim->history.committed) {
        return "has a log that does not end with what is committed";
    }
    if (raft_committed_index(core) != sim->history.committed) {
        return "does not know what is committed";
    }
    if (raft_persisted_index(core) != sim->history.committed) {
        return "has not persisted what is committed";
    }
    if (node->machine.applied != sim->history.committed ||
        raft_applied_index(core) != sim->history.committed) {
        return "has not applied what is committed";
    }
    if (node->read_count > 0) {
        return "has a read that does not end";
    }
    return node->reads_ready == 0 ? "cannot read" : NULL;
}

/* Why the cluster is not well yet, or NULL. `which` receives the member. */
static const char *trouble_left(struct sim *sim, const struct healing *healing, raft_id *which)
{
    *which = RAFT_NO_ID;
    if (leader(sim) == NULL) {
        return "there is no leader";
    }
    if (healing->marker == 0) {
        return "the leader takes no proposals";
    }
    if (members(sim)->auto_leave) {
        return "the joint configuration is not left";
    }
    for (uint32_t i = 0; i < members(sim)->count; i++) {
        const char *reason = lack(sim, healing, member(sim, i));
        if (reason != NULL) {
            *which = member(sim, i)->id;
            return reason;
        }
    }
    return NULL;
}

static void run_for(struct sim *sim, uint64_t duration)
{
    uint64_t until = sim->now + duration;
    for (;;) {
        if (sim->queue.count == 0 || sim->queue.heap[0].time > until) {
            sim->now = until;
            return;
        }
        struct event event;
        bool any = queue_pop(&sim->queue, &event);
        ASSERT(any);
        sim_handle(sim, &event);
    }
}

/* Disks that are no more have to leave before their members can be well. */
static void replace_damaged(struct sim *sim)
{
    struct node *node = leader(sim);
    struct raft_conf_change change;
    if (node != NULL && damage_left(sim, raft_configuration(node_core(node))) &&
        damage_repair(sim, raft_configuration(node_core(node)), &change)) {
        workload_change(sim, node, &change);
    }
}

/* Asks for reads anew and waits until nothing is missing. */
static void wait_until_well(struct sim *sim, struct healing *healing)
{
    healing->marker = 0;
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        sim->nodes[i].reads_ready = 0;
    }
    uint64_t until = sim->now + (sim->profile.must_heal ? PATIENCE : PATIENCE / 5);
    raft_id which;
    for (;;) {
        start_members(sim);
        stop_former_members(sim);
        replace_damaged(sim);
        propose_marker(sim, healing);
        ask_for_reads(sim);
        run_for(sim, LOOK_INTERVAL);
        start_members(sim);
        const char *reason = trouble_left(sim, healing, &which);
        if (reason == NULL) {
            return;
        }
        if (sim->now >= until && !sim->profile.must_heal) {
            return;
        }
        if (sim->now >= until) {
            sim_fail(sim, "no progress: %s (node %" PRIu64 ")", reason, which);
        }
    }
}

/* Leadership goes where it is asked to, or stays; either way the cluster stays well. */
static void transfer(struct sim *sim)
{
    struct node *from = leader(sim);
    if (from == NULL) {
        return;
    }
    struct raft_event event = {.type = RAFT_EVENT_TRANSFER};
    event.transfer = raft_transfer_candidate(node_core(from));
    if (event.transfer != RAFT_NO_ID) {
        step(sim, from, event);
    }
}

void heal(struct sim *sim)
{
    struct profile saved = sim->profile;
    struct profile *profile = &sim->profile;
    sim->healing = true;
    sim_trace(sim, "---- healing ----");
    profile->loss_permille = 0;
    profile->duplicate_permille = 0;
    profile->straggler_permille = 0;
    profile->delay_min = 1;
    profile->delay_max = SIM_ELECTION_TIMEOUT / 100;
    profile->sync_max = SIM_ELECTION_TIMEOUT / 100;
    profile->write_max = 10;
    profile->turn_max = 10;
    profile->apply_max = 10;
    start_all(sim);
    struct healing healing = {0};
    wait_until_well(sim, &healing);
    sim_trace(sim, "---- well; a transfer ----");
    transfer(sim);
    wait_until_well(sim, &healing);
    sim_trace(sim, "---- healed ----");
    *profile = saved;
}
