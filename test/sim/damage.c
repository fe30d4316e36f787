/*
 * Damaged disks. A damaged disk is a new one: its node comes back under its id with another
 * incarnation, is removed as what it was, and added again as what it is.
 */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "sim.h"

bool damage_lost(const struct sim *sim, const struct raft_member *member)
{
    return member->incarnation != 0 &&
           member->incarnation != sim->nodes[member->id - 1].incarnation;
}

bool damage_left(const struct sim *sim, const struct raft_configuration *configuration)
{
    for (uint32_t i = 0; i < configuration->count; i++) {
        if (damage_lost(sim, &configuration->members[i])) {
            return true;
        }
    }
    return false;
}

/* Whether those who remain can go on without one more of the members. */
static bool can_be_missed(struct sim *sim, const struct raft_member *member)
{
    const struct raft_configuration *configuration = history_configuration(&sim->history);
    if (!workload_settled(sim) || damage_left(sim, configuration)) {
        return false;
    }
    uint32_t voters = 0;
    for (uint32_t i = 0; i < configuration->count; i++) {
        voters += (configuration->members[i].flags & RAFT_MEMBER_INCOMING) != 0;
    }
    return voters >= 3 || (member->flags & RAFT_MEMBER_LEARNER) != 0;
}

void damage_strike(struct sim *sim)
{
    const struct raft_configuration *configuration = history_configuration(&sim->history);
    const struct raft_member *member =
        &configuration->members[random_below(&sim->random, configuration->count)];
    struct node *node = &sim->nodes[member->id - 1];
    if (node->incarnation == 0 || node->stopped ||
        (!sim->profile.damage_anytime && !can_be_missed(sim, member))) {
        return;
    }
    if (node_up(node)) {
        node_crash(sim, node);
    }
    node_damage(sim, node, random_chance(&sim->random, 1, 2));
    node_start(sim, node);
}

static void only(struct raft_conf_change *change, enum raft_conf_operation_type type, raft_id id)
{
    change->count = 1;
    change->operations[0].type = type;
    change->operations[0].id = id;
}

/* A node whose new disk waits to be added, or RAFT_NO_ID. */
static raft_id waiting(struct sim *sim, const struct raft_configuration *configuration)
{
    uint32_t start = (uint32_t)random_below(&sim->random, SIM_NODES_MAX);
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        const struct node *node = &sim->nodes[(start + i) % SIM_NODES_MAX];
        if (node->damaged && node->incarnation != 0 &&
            raft_configuration_find(configuration, node->id) == NULL) {
            return node->id;
        }
    }
    return RAFT_NO_ID;
}

bool damage_repair(struct sim *sim, const struct raft_configuration *configuration,
                   struct raft_conf_change *change)
{
    memset(change, 0, sizeof(*change));
    if (damage_left(sim, configuration)) {
        if (raft_configuration_joint(configuration)) {
            return true; /* left first: a change without operations */
        }
        for (uint32_t i = 0; i < configuration->count; i++) {
            if (damage_lost(sim, &configuration->members[i])) {
                only(change, RAFT_CONF_REMOVE, configuration->members[i].id);
            }
        }
        /* Other changes meanwhile might need the disk that is no more. */
        return !sim->profile.damage_anytime || random_chance(&sim->random, 1, 2);
    }
    raft_id id = waiting(sim, configuration);
    if (id == RAFT_NO_ID || raft_configuration_joint(configuration) ||
        random_chance(&sim->random, 1, 3)) {
        return false;
    }
    bool learner = random_chance(&sim->random, 3, 4);
    only(change, learner ? RAFT_CONF_ADD_LEARNER : RAFT_CONF_ADD_VOTER, id);
    return true;
}
