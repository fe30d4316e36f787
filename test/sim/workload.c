/* What clients and operators do while things break. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "sim.h"

static bool running(const struct sim *sim, const struct node *node)
{
    return node_up(node) && node->paused_until <= sim->now;
}

/* A node that runs; NULL if the drawn one does not. */
static struct node *any_node(struct sim *sim)
{
    struct node *node = &sim->nodes[random_below(&sim->random, SIM_NODES_MAX)];
    return running(sim, node) ? node : NULL;
}

/* One of the nodes that believe to lead, or NULL. */
static struct node *any_leader(struct sim *sim)
{
    uint32_t start = (uint32_t)random_below(&sim->random, SIM_NODES_MAX);
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        struct node *node = &sim->nodes[(start + i) % SIM_NODES_MAX];
        if (running(sim, node) && node_leads(node)) {
            return node;
        }
    }
    return NULL;
}

/* ---- Proposals and reads ---- */

static struct raft_entry *new_value(struct sim *sim)
{
    uint8_t data[256];
    size_t size = 8;
    if (random_chance(&sim->random, 1, 4)) {
        size += random_below(&sim->random, sizeof(data) - 8);
    }
    memset(data, 0, sizeof(data));
    sim->next_value++;
    store_u64(data, sim->next_value);
    return raft_entry_new(RAFT_ENTRY_NORMAL, (rr_bytes){data, size});
}

void workload_propose(struct sim *sim, struct node *node, uint32_t count)
{
    struct raft_entry *entries[8];
    ASSERT(count <= sizeof(entries) / sizeof(entries[0]));
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = new_value(sim);
    }
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
    event.propose.entries = entries;
    event.propose.count = count;
    enum raft_result result = node_step(sim, node, &event);
    sim_trace(sim, "%" PRIu64 " is asked for %u entries from value %" PRIu64 ": %s", node->id,
              count, sim->next_value - count + 1, raft_result_text(result));
    sim->counts.proposals += count;
    for (uint32_t i = 0; i < count; i++) {
        raft_entry_unref(entries[i]);
    }
}

static void propose(struct sim *sim)
{
    struct node *node = random_chance(&sim->random, 2, 3) ? any_leader(sim) : any_node(sim);
    if (node == NULL) {
        return;
    }
    uint32_t count =
        random_chance(&sim->random, 1, 3) ? (uint32_t)random_between(&sim->random, 2, 8) : 1;
    workload_propose(sim, node, count);
}

void workload_read(struct sim *sim, struct node *node)
{
    if (node->read_count == node->read_capacity) {
        node->read_capacity = node->read_capacity == 0 ? 16 : 2 * node->read_capacity;
        node->reads = mem_resize(node->reads, node->read_capacity * sizeof(*node->reads));
    }
    node->read_id++;
    node->reads[node->read_count].id = node->read_id;
    node->reads[node->read_count].required = sim->history.committed;
    node->reads[node->read_count].since = sim->now;
    node->read_count++;
    sim_trace(sim, "%" PRIu64 " is asked for read %" PRIu64 ", which must see %" PRIu64, node->id,
              node->read_id, sim->history.committed);
    struct raft_event event = {.type = RAFT_EVENT_READ};
    event.read = node->read_id;
    (void)node_step(sim, node, &event);
}

/* A leader that has a lease answers at its commit index. */
static void lease_read(struct sim *sim, const struct node *node)
{
    const struct raft *core = node_core(node);
    if (!raft_lease_valid(core, node_clock(sim, node))) {
        return;
    }
    sim->counts.lease_reads++;
    if (raft_committed_index(core) < sim->history.committed) {
        sim_fail(sim,
                 "stale lease read: node %" PRIu64 " answers at %" PRIu64 ", but %" PRIu64
                 " is committed",
                 node->id, raft_committed_index(core), sim->history.committed);
    }
}

static void read(struct sim *sim)
{
    struct node *node = random_chance(&sim->random, 1, 2) ? any_leader(sim) : any_node(sim);
    if (node == NULL) {
        return;
    }
    if (node_leads(node)) {
        lease_read(sim, node);
    }
    if (node->read_count < 1000) {
        workload_read(sim, node);
    }
}

/* ---- Membership ---- */

static void forget_settled_changes(struct sim *sim)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < sim->change_count; i++) {
        if (sim->changes[i].index > sim->history.committed) {
            sim->changes[kept] = sim->changes[i];
            kept++;
        }
    }
    sim->change_count = kept;
}

/* Whether all members would know the present configuration even after a crash of them all. */
static bool settled(const struct sim *sim)
{
    const struct raft_configuration *configuration = history_configuration(&sim->history);
    raft_index index = history_configuration_index(&sim->history);
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct node *node = &sim->nodes[configuration->members[i].id - 1];
        if (node->disk.durable_hard_state.commit < index && node->disk.flushed.applied < index) {
            return false;
        }
    }
    return true;
}

bool workload_settled(struct sim *sim)
{
    forget_settled_changes(sim);
    return sim->change_count == 0 && settled(sim) &&
           !raft_configuration_joint(history_configuration(&sim->history));
}

/* Whether the node's disk can never be needed again. */
static bool may_wipe(struct sim *sim, const struct node *node)
{
    if (!sim->profile.identity || !settled(sim) ||
        raft_configuration_find(history_configuration(&sim->history), node->id) != NULL) {
        return false;
    }
    forget_settled_changes(sim);
    for (uint32_t i = 0; i < sim->change_count; i++) {
        if (sim->changes[i].added == node->id) {
            return false;
        }
    }
    return true;
}

/* Sees to it that a node with this id runs, with a new disk perhaps. */
static void prepare_member(struct sim *sim, raft_id id, bool first)
{
    struct node *node = &sim->nodes[id - 1];
    if (node->incarnation != 0 && first && may_wipe(sim, node) &&
        random_chance(&sim->random, 1, 2)) {
        if (node_up(node)) {
            node_crash(sim, node);
        }
        node_wipe(sim, node);
    }
    if (node->incarnation == 0) {
        struct machine empty;
        memset(&empty, 0, sizeof(empty));
        node_create(sim, node, &empty);
    }
    if (!node_up(node)) {
        node_start(sim, node);
    }
}

static enum raft_conf_operation_type draw_operation(struct sim *sim,
                                                    const struct raft_configuration *configuration,
                                                    raft_id id, uint32_t voters)
{
    const struct raft_member *member = raft_configuration_find(configuration, id);
    bool room = voters < sim->profile.voters_max;
    if (member == NULL) {
        return room && random_chance(&sim->random, 1, 2) ? RAFT_CONF_ADD_VOTER
                                                         : RAFT_CONF_ADD_LEARNER;
    }
    if ((member->flags & RAFT_MEMBER_INCOMING) == 0 && room && random_chance(&sim->random, 2, 3)) {
        return RAFT_CONF_ADD_VOTER;
    }
    uint64_t draw = random_below(&sim->random, 10);
    return draw < 6 ? RAFT_CONF_REMOVE : draw < 9 ? RAFT_CONF_ADD_LEARNER : RAFT_CONF_UPDATE;
}

static void draw_change(struct sim *sim, const struct raft_configuration *configuration,
                        struct raft_conf_change *change)
{
    memset(change, 0, sizeof(*change));
    if (raft_configuration_joint(configuration) && random_chance(&sim->random, 4, 5)) {
        return; /* leave it */
    }
    if (random_chance(&sim->random, 1, 3)) {
        change->transition =
            random_chance(&sim->random, 1, 2) ? RAFT_CONF_JOINT_IMPLICIT : RAFT_CONF_JOINT_EXPLICIT;
    }
    change->count =
        random_chance(&sim->random, 1, 2) ? 1 : (uint32_t)random_between(&sim->random, 2, 5);
    uint32_t voters = 0;
    for (uint32_t i = 0; i < configuration->count; i++) {
        voters += (configuration->members[i].flags & RAFT_MEMBER_INCOMING) != 0;
    }
    for (uint32_t i = 0; i < change->count; i++) {
        raft_id id = random_between(&sim->random, 1, sim->profile.ids);
        change->operations[i].id = id;
        change->operations[i].type = draw_operation(sim, configuration, id, voters);
        voters += change->operations[i].type == RAFT_CONF_ADD_VOTER;
    }
}

/* Starts who is to be added, and notes who that is. */
static void prepare_change(struct sim *sim, struct raft_conf_change *change)
{
    for (uint32_t i = 0; i < change->count; i++) {
        struct raft_conf_operation *operation = &change->operations[i];
        if (operation->type != RAFT_CONF_ADD_VOTER && operation->type != RAFT_CONF_ADD_LEARNER) {
            continue;
        }
        bool first = true; /* mention of this id */
        for (uint32_t j = 0; j < i; j++) {
            first = first && change->operations[j].id != operation->id;
        }
        prepare_member(sim, operation->id, first);
        if (sim->profile.identity) {
            operation->incarnation = sim->nodes[operation->id - 1].incarnation;
        }
    }
}

static void note_change(struct sim *sim, const struct raft_conf_change *change, raft_index index)
{
    for (uint32_t i = 0; i < change->count; i++) {
        sim->changes[sim->change_count].index = index;
        sim->changes[sim->change_count].added = change->operations[i].id;
        sim->change_count++;
    }
}

static void change_membership(struct sim *sim)
{
    struct node *node = any_leader(sim);
    if (node == NULL) {
        return;
    }
    struct raft_conf_change change;
    const struct raft_configuration *configuration = raft_configuration(node_core(node));
    if (sim->profile.nemeses[NEMESIS_DAMAGE] == 0 || !damage_repair(sim, configuration, &change)) {
        draw_change(sim, configuration, &change);
    }
    workload_change(sim, node, &change);
}

void workload_change(struct sim *sim, struct node *node, struct raft_conf_change *change)
{
    forget_settled_changes(sim);
    if (sim->change_count + 8 > SIM_PENDING_CHANGES) {
        return;
    }
    prepare_change(sim, change);
    if (!running(sim, node) || !node_leads(node)) {
        return; /* it was wiped itself */
    }
    struct raft_entry *entry = raft_conf_change_entry(RAFT_ENTRY_CONF_CHANGE_V2, change);
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
    event.propose.entries = &entry;
    event.propose.count = 1;
    enum raft_result result = node_step(sim, node, &event);
    char text[RAFT_CONF_CHANGE_TEXT_MAX];
    sim_trace(sim, "%" PRIu64 " is asked for %s: %s", node->id,
              raft_conf_change_text(change, text, sizeof(text)), raft_result_text(result));
    if (result == RAFT_STEP_OK) {
        note_change(sim, change, raft_last_index(node_core(node)));
    }
    raft_entry_unref(entry);
}

/* ---- The rest ---- */

static void step_simple(struct sim *sim, struct node *node, enum raft_event_type type)
{
    if (node != NULL) {
        struct raft_event event = {.type = type};
        (void)node_step(sim, node, &event);
    }
}

static void transfer(struct sim *sim)
{
    struct node *node = random_chance(&sim->random, 3, 4) ? any_leader(sim) : any_node(sim);
    if (node == NULL) {
        return;
    }
    struct raft_event event = {.type = RAFT_EVENT_TRANSFER};
    event.transfer = random_between(&sim->random, 1, sim->profile.ids);
    sim_trace(sim, "%" PRIu64 " is asked to hand over to %" PRIu64, node->id, event.transfer);
    (void)node_step(sim, node, &event);
}

static void switch_timers(struct sim *sim)
{
    struct node *node = any_node(sim);
    if (node == NULL) {
        return;
    }
    struct raft_event event = {.type = RAFT_EVENT_SWITCH};
    event.enable.elections = random_chance(&sim->random, 2, 3);
    event.enable.heartbeats = random_chance(&sim->random, 2, 3);
    (void)node_step(sim, node, &event);
}

static void unreachable(struct sim *sim)
{
    struct node *node = any_leader(sim);
    if (node == NULL) {
        return;
    }
    struct raft_event event = {.type = RAFT_EVENT_UNREACHABLE};
    event.unreachable = random_between(&sim->random, 1, sim->profile.ids);
    (void)node_step(sim, node, &event);
}

static enum action draw_action(struct sim *sim)
{
    uint32_t sum = 0;
    for (int i = 0; i < ACTION_COUNT; i++) {
        sum += sim->profile.actions[i];
    }
    uint64_t draw = random_below(&sim->random, sum);
    for (int i = 0; i < ACTION_COUNT; i++) {
        if (draw < sim->profile.actions[i]) {
            return (enum action)i;
        }
        draw -= sim->profile.actions[i];
    }
    UNREACHABLE();
}

void workload_act(struct sim *sim)
{
    struct node *node = any_node(sim);
    switch (draw_action(sim)) {
    case ACTION_PROPOSE:
        propose(sim);
        return;
    case ACTION_READ:
        read(sim);
        return;
    case ACTION_MEMBERSHIP:
        change_membership(sim);
        return;
    case ACTION_TRANSFER:
        transfer(sim);
        return;
    case ACTION_CAMPAIGN:
        step_simple(sim, node, RAFT_EVENT_CAMPAIGN);
        return;
    case ACTION_HEARTBEAT:
        step_simple(sim, node, RAFT_EVENT_HEARTBEAT);
        return;
    case ACTION_FORGET_LEADER:
        step_simple(sim, node, RAFT_EVENT_FORGET_LEADER);
        return;
    case ACTION_SWITCH:
        switch_timers(sim);
        return;
    case ACTION_FLUSH:
        if (node != NULL) {
            node_flush(sim, node);
        }
        return;
    case ACTION_COMPACT:
        if (node != NULL) {
            node_flush(sim, node);
            node_compact(sim, node, sim->profile.compact_keep);
        }
        return;
    case ACTION_UNREACHABLE:
        unreachable(sim);
        return;
    case ACTION_COUNT:
        break;
    }
    UNREACHABLE();
}
