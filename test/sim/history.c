#include "history.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/memory.h"
#include "raft/raft.h"
#include "sim.h"

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t mixed = (a ^ (b + UINT64_C(0x9e3779b97f4a7c15) + (a << 6) + (a >> 2)));
    mixed *= UINT64_C(0xff51afd7ed558ccd);
    return mixed ^ (mixed >> 33);
}

static uint64_t entry_hash(const struct raft_entry *entry)
{
    uint64_t hash = checksum64(entry->data, entry->size);
    return mix(mix(hash, (uint64_t)entry->type), entry->term);
}

/* ---- Start and end ---- */

static void push_configuration(struct history *history, raft_index index,
                               const struct raft_configuration *configuration)
{
    if (history->configuration_count == history->configuration_capacity) {
        history->configuration_capacity += 16;
        history->configurations =
            mem_resize(history->configurations,
                       history->configuration_capacity * sizeof(*history->configurations));
    }
    struct history_configuration *last = &history->configurations[history->configuration_count];
    last->index = index;
    last->configuration = *configuration;
    history->configuration_count++;
}

static struct history_entry *push_entry(struct history *history, raft_index index)
{
    raft_index at = index - history->base;
    if (at >= history->entry_capacity) {
        history->entry_capacity = history->entry_capacity == 0 ? 1024 : 2 * history->entry_capacity;
        history->entries =
            mem_resize(history->entries, history->entry_capacity * sizeof(*history->entries));
    }
    memset(&history->entries[at], 0, sizeof(history->entries[at]));
    return &history->entries[at];
}

void history_init(struct history *history, const struct machine *start)
{
    memset(history, 0, sizeof(*history));
    history->base = start->applied;
    history->committed = start->applied;
    struct history_entry *first = push_entry(history, start->applied);
    first->term = start->term;
    first->commit_term = start->term;
    first->digest = start->digest;
    push_configuration(history, start->applied, &start->configuration);
    history->written_capacity = 4096;
    history->written = mem_new_array(struct history_written, history->written_capacity);
    history->leader_capacity = 256;
    history->leaders = mem_new_array(raft_id, history->leader_capacity);
}

void history_deinit(struct history *history)
{
    for (uint32_t i = 0; i < history->written_capacity; i++) {
        raft_entry_unref(history->written[i].configuration);
    }
    mem_free(history->written);
    mem_free(history->entries);
    mem_free(history->configurations);
    mem_free(history->leaders);
    memset(history, 0, sizeof(*history));
}

const struct raft_configuration *history_configuration(const struct history *history)
{
    return &history->configurations[history->configuration_count - 1].configuration;
}

raft_index history_configuration_index(const struct history *history)
{
    return history->configurations[history->configuration_count - 1].index;
}

const struct history_entry *history_at(const struct history *history, raft_index index)
{
    ASSERT(index >= history->base);
    ASSERT(index <= history->committed);
    return &history->entries[index - history->base];
}

/* ---- Log matching ---- */

static struct history_written *find_written(struct history *history, raft_term term,
                                            raft_index index)
{
    uint64_t at = mix(term, index) & (history->written_capacity - 1);
    while (history->written[at].term != 0 &&
           (history->written[at].term != term || history->written[at].index != index)) {
        at = (at + 1) & (history->written_capacity - 1);
    }
    return &history->written[at];
}

static void grow_written(struct history *history)
{
    struct history_written *old = history->written;
    uint32_t old_capacity = history->written_capacity;
    history->written_capacity *= 2;
    history->written = mem_new_array(struct history_written, history->written_capacity);
    for (uint32_t i = 0; i < old_capacity; i++) {
        if (old[i].term != 0) {
            *find_written(history, old[i].term, old[i].index) = old[i];
        }
    }
    mem_free(old);
}

void history_write(struct sim *sim, const struct node *node, const struct raft_entry *entry,
                   raft_term previous_term)
{
    struct history *history = &sim->history;
    uint64_t hash = entry_hash(entry);
    struct history_written *written = find_written(history, entry->term, entry->index);
    if (written->term != 0) {
        if (written->hash != hash || written->previous_term != previous_term) {
            sim_fail(sim,
                     "log matching: node %" PRIu64 " writes another entry %" PRIu64
                     " of term %" PRIu64 " (after one of term %" PRIu64
                     ", first seen after %" PRIu64 ")",
                     node->id, entry->index, entry->term, previous_term, written->previous_term);
        }
        return;
    }
    written->term = entry->term;
    written->index = entry->index;
    written->previous_term = previous_term;
    written->hash = hash;
    if (entry->type != RAFT_ENTRY_NORMAL) {
        written->configuration = raft_entry_ref((struct raft_entry *)entry);
    }
    history->written_count++;
    if (2 * history->written_count > history->written_capacity) {
        grow_written(history);
    }
}

/* ---- Leaders ---- */

/* Whether the log of `core` has the committed entry at `index`. */
static bool holds(const struct history *history, const struct raft *core, raft_index index)
{
    raft_index base = raft_base_index(core);
    if (index < base) {
        index = base; /* what a snapshot stands for */
    }
    raft_term term;
    if (index > history->committed) {
        return true;
    }
    return raft_log_term_at(core, index, &term) && term == history_at(history, index)->term;
}

static void check_one_leader(struct sim *sim, const struct node *node, raft_term term)
{
    struct history *history = &sim->history;
    while (term >= history->leader_capacity) {
        uint64_t capacity = 2 * history->leader_capacity;
        history->leaders = mem_resize(history->leaders, capacity * sizeof(*history->leaders));
        memset(history->leaders + history->leader_capacity, 0,
               history->leader_capacity * sizeof(*history->leaders));
        history->leader_capacity = capacity;
    }
    if (history->leaders[term] != RAFT_NO_ID) {
        sim_fail(sim,
                 "election safety: node %" PRIu64 " leads term %" PRIu64 ", which node %" PRIu64
                 " has led",
                 node->id, term, history->leaders[term]);
    }
    history->leaders[term] = node->id;
}

void history_lead(struct sim *sim, const struct node *node)
{
    struct history *history = &sim->history;
    const struct raft *core = node_core(node);
    raft_term term = raft_hard_state(core).term;
    check_one_leader(sim, node, term);
    raft_index index = history->committed;
    while (index > history->base && history_at(history, index)->commit_term >= term) {
        index--;
    }
    if (!holds(history, core, index)) {
        sim_fail(sim,
                 "leader completeness: node %" PRIu64 " leads term %" PRIu64
                 " without entry %" PRIu64 ", committed in term %" PRIu64,
                 node->id, term, index, history_at(history, index)->commit_term);
    }
    sim->counts.leaders++;
}

/* ---- Configurations ---- */

static bool is_quorum(const struct raft_configuration *configuration, uint8_t half, uint32_t set)
{
    uint32_t members = 0;
    uint32_t present = 0;
    for (uint32_t i = 0; i < configuration->count; i++) {
        if ((configuration->members[i].flags & half) != 0) {
            members++;
            present += (set >> configuration->members[i].id) & 1;
        }
    }
    return members == 0 || present > members / 2;
}

static bool is_joint_quorum(const struct raft_configuration *configuration, uint32_t set)
{
    return is_quorum(configuration, RAFT_MEMBER_INCOMING, set) &&
           is_quorum(configuration, RAFT_MEMBER_OUTGOING, set);
}

/* Whether every quorum of the one has a member in every quorum of the other. */
static bool quorums_meet(const struct raft_configuration *a, const struct raft_configuration *b)
{
    uint32_t all = (2u << SIM_NODES_MAX) - 2; /* ids 1 to SIM_NODES_MAX */
    for (uint32_t set = 0; set <= all; set += 2) {
        if (is_joint_quorum(a, set) && is_joint_quorum(b, all & ~set)) {
            return false;
        }
    }
    return true;
}

static void commit_configuration(struct sim *sim, const struct node *node, raft_index index,
                                 const struct raft_entry *entry)
{
    struct history *history = &sim->history;
    struct raft_conf_change change;
    if (raft_conf_change_decode((rr_bytes){entry->data, entry->size}, &change) != RR_OK) {
        sim_fail(sim, "node %" PRIu64 " commits a configuration that cannot be read", node->id);
    }
    struct raft_configuration next;
    const struct raft_configuration *current = history_configuration(history);
    enum raft_conf_error error = raft_configuration_change(current, &change, &next);
    if (error != RAFT_CONF_OK) {
        sim_fail(sim,
                 "node %" PRIu64 " commits configuration entry %" PRIu64
                 ", which cannot be applied: %s",
                 node->id, index, raft_conf_error_text(error));
    }
    if (!quorums_meet(current, &next)) {
        sim_fail(sim,
                 "quorum intersection: the configuration of entry %" PRIu64
                 " has a quorum that meets none of one before",
                 index);
    }
    push_configuration(history, index, &next);
    sim->counts.configurations++;
}

static const struct raft_configuration *configuration_at(const struct history *history,
                                                         raft_index index)
{
    uint32_t at = history->configuration_count - 1;
    while (history->configurations[at].index > index) {
        ASSERT(at > 0);
        at--;
    }
    return &history->configurations[at].configuration;
}

/* ---- Commit ---- */

static void commit_new(struct sim *sim, const struct node *node, raft_index index,
                       raft_term commit_term)
{
    struct history *history = &sim->history;
    raft_term term;
    bool known = raft_log_term_at(node_core(node), index, &term);
    if (!known) {
        sim_fail(sim,
                 "node %" PRIu64 " commits entry %" PRIu64 ", which nobody committed before, "
                 "without having it",
                 node->id, index);
    }
    const struct history_written *written = find_written(history, term, index);
    if (written->term == 0) {
        sim_fail(sim,
                 "node %" PRIu64 " commits entry %" PRIu64 " of term %" PRIu64
                 ", which nobody wrote",
                 node->id, index, term);
    }
    uint64_t before = history_at(history, index - 1)->digest;
    struct history_entry *entry = push_entry(history, index);
    entry->term = term;
    entry->commit_term = commit_term;
    entry->digest = mix(before, written->hash);
    entry->configuration = written->configuration != NULL;
    history->committed = index;
    if (written->configuration != NULL) {
        commit_configuration(sim, node, index, written->configuration);
    }
}

/* What has just been committed must be known to whoever leads in a later term, and makes every
 * lease that is older a lie. */
static void check_other_leaders(struct sim *sim, const struct node *node, raft_term commit_term)
{
    struct history *history = &sim->history;
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        const struct node *other = &sim->nodes[i];
        if (other == node || !node_up(other) || !node_leads(other)) {
            continue;
        }
        const struct raft *core = node_core(other);
        raft_term term = raft_hard_state(core).term;
        if (term > commit_term && !holds(history, core, history->committed)) {
            sim_fail(sim,
                     "leader completeness: node %" PRIu64 ", leader of term %" PRIu64
                     ", lacks entry %" PRIu64 ", committed in term %" PRIu64,
                     other->id, term, history->committed, commit_term);
        }
        if (raft_committed_index(core) < history->committed &&
            raft_lease_valid(core, node_clock(sim, other))) {
            sim_fail(sim,
                     "lease: node %" PRIu64 " would answer a read at %" PRIu64
                     " although node %" PRIu64 " has committed %" PRIu64,
                     other->id, raft_committed_index(core), node->id, history->committed);
        }
    }
}

void history_commit(struct sim *sim, struct node *node, raft_index from, raft_index to)
{
    struct history *history = &sim->history;
    const struct raft *core = node_core(node);
    raft_term commit_term = raft_hard_state(core).term;
    raft_index old = history->committed < to ? history->committed : to;
    if (from < raft_base_index(core)) {
        from = raft_base_index(core) - 1; /* a snapshot jumped; its base counts */
    }
    for (raft_index index = from + 1; index <= old; index++) {
        if (!holds(history, core, index)) {
            sim_fail(sim,
                     "state machine safety: node %" PRIu64 " commits another entry %" PRIu64
                     " than was committed",
                     node->id, index);
        }
    }
    if (to <= history->committed) {
        return;
    }
    while (history->committed < to) {
        commit_new(sim, node, history->committed + 1, commit_term);
    }
    check_other_leaders(sim, node, commit_term);
}

/* ---- Applying ---- */

bool history_apply(struct sim *sim, const struct node *node, const struct raft_entry *entry,
                   struct machine *machine, struct raft_conf_change *change)
{
    struct history *history = &sim->history;
    if (entry->index != machine->applied + 1) {
        sim_fail(sim, "node %" PRIu64 " is told to apply entry %" PRIu64 " after %" PRIu64,
                 node->id, entry->index, machine->applied);
    }
    if (entry->index > history->committed) {
        sim_fail(sim, "node %" PRIu64 " applies entry %" PRIu64 ", which nobody has committed",
                 node->id, entry->index);
    }
    machine->digest = mix(machine->digest, entry_hash(entry));
    machine->applied = entry->index;
    machine->term = entry->term;
    if (machine->digest != history_at(history, entry->index)->digest) {
        sim_fail(sim,
                 "state machine safety: node %" PRIu64 " applies another entry %" PRIu64
                 " (of term %" PRIu64 ") than was committed",
                 node->id, entry->index, entry->term);
    }
    if (entry->type == RAFT_ENTRY_NORMAL) {
        return false;
    }
    rr_status status = raft_conf_change_decode((rr_bytes){entry->data, entry->size}, change);
    ASSERT(status == RR_OK);
    machine->configuration = *configuration_at(history, entry->index);
    return true;
}

void history_check_machine(struct sim *sim, const struct node *node, const struct machine *machine)
{
    struct history *history = &sim->history;
    if (machine->applied > history->committed ||
        machine->digest != history_at(history, machine->applied)->digest ||
        machine->term != history_at(history, machine->applied)->term ||
        !raft_configuration_equal(&machine->configuration,
                                  configuration_at(history, machine->applied))) {
        sim_fail(sim, "node %" PRIu64 " has a state at %" PRIu64 " that is not what was committed",
                 node->id, machine->applied);
    }
}
