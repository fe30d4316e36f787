/* What breaks: links, nodes, clocks, disks. */
#include <inttypes.h>

#include "base/assert.h"
#include "sim.h"

static struct node *any_up(struct sim *sim)
{
    uint32_t start = (uint32_t)random_below(&sim->random, SIM_NODES_MAX);
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        struct node *node = &sim->nodes[(start + i) % SIM_NODES_MAX];
        if (node_up(node)) {
            return node;
        }
    }
    return NULL;
}

static struct node *leader_or_any(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        if (node_up(&sim->nodes[i]) && node_leads(&sim->nodes[i])) {
            return &sim->nodes[i];
        }
    }
    return any_up(sim);
}

static void partition(struct sim *sim)
{
    uint64_t side = random_u64(&sim->random);
    for (uint32_t from = 0; from < SIM_NODES_MAX; from++) {
        for (uint32_t to = 0; to < SIM_NODES_MAX; to++) {
            sim->links[from][to].cut = ((side >> from) & 1) != ((side >> to) & 1);
        }
    }
}

/* Between two nodes that are up, the leader often one of them. */
static struct link *any_link(struct sim *sim)
{
    const struct node *one = random_chance(&sim->random, 1, 2) ? leader_or_any(sim) : any_up(sim);
    const struct node *other = any_up(sim);
    bool turn = random_chance(&sim->random, 1, 2);
    return turn ? &sim->links[one->place][other->place] : &sim->links[other->place][one->place];
}

static void cut_one_way(struct sim *sim)
{
    for (uint64_t links = random_between(&sim->random, 1, 4); links > 0; links--) {
        any_link(sim)->cut = true;
    }
}

/* The leader and one of the others no longer hear each other. */
static void cut_pair(struct sim *sim)
{
    const struct node *one = leader_or_any(sim);
    const struct node *other = any_up(sim);
    sim->links[one->place][other->place].cut = true;
    sim->links[other->place][one->place].cut = true;
}

static void isolate(struct sim *sim, const struct node *node)
{
    uint64_t ways = random_between(&sim->random, 1, 3); /* out, in, both */
    for (uint32_t other = 0; other < SIM_NODES_MAX; other++) {
        sim->links[node->place][other].cut = (ways & 1) != 0;
        sim->links[other][node->place].cut = (ways & 2) != 0;
    }
}

static void clog_links(struct sim *sim)
{
    for (uint64_t links = random_between(&sim->random, 1, 4); links > 0; links--) {
        any_link(sim)->clogged_until =
            sim->now + random_below(&sim->random, 8 * SIM_ELECTION_TIMEOUT);
    }
}

/* At once, or between two of the next things that the node does. */
static void crash(struct sim *sim, struct node *node)
{
    if (random_chance(&sim->random, 1, 4)) {
        node_crash(sim, node);
    } else {
        node->crash_in = (uint32_t)random_between(&sim->random, 1, 30);
    }
}

/* A leader is left alone with what it believes; others, or all of them, forget what they did not
 * write. */
static void crash_followers(struct sim *sim)
{
    const struct node *leader = leader_or_any(sim);
    bool all = random_chance(&sim->random, 1, 2);
    if (random_chance(&sim->random, 3, 4)) {
        isolate(sim, leader);
    }
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        bool chosen = all || random_chance(&sim->random, 1, 2);
        if (chosen && node_up(&sim->nodes[i]) && &sim->nodes[i] != leader) {
            node_crash(sim, &sim->nodes[i]);
        }
    }
}

static void crash_all(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        if (node_up(&sim->nodes[i])) {
            node_crash(sim, &sim->nodes[i]);
        }
    }
}

/* What a lease fears most: its holder's clock is slow, all others are fast. */
static void skew_clocks(struct sim *sim)
{
    uint64_t drift = sim->profile.clock_drift_permille;
    const struct node *slow = leader_or_any(sim);
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        bool fast = &sim->nodes[i] != slow;
        node_set_rate(sim, &sim->nodes[i], fast ? 1000 + drift : 1000 - drift);
    }
}

static void change_clock(struct sim *sim, struct node *node)
{
    if (random_chance(&sim->random, 1, 3)) {
        skew_clocks(sim);
        return;
    }
    uint64_t drift = sim->profile.clock_drift_permille;
    uint64_t rate = random_between(&sim->random, 1000 - drift, 1000 + drift);
    if (random_chance(&sim->random, 1, 2)) {
        rate = random_chance(&sim->random, 1, 2) ? 1000 - drift : 1000 + drift;
    }
    node_set_rate(sim, node, rate);
}

static enum nemesis draw_nemesis(struct sim *sim)
{
    uint32_t sum = 0;
    for (int i = 0; i < NEMESIS_COUNT; i++) {
        sum += sim->profile.nemeses[i];
    }
    uint64_t draw = random_below(&sim->random, sum);
    for (int i = 0; i < NEMESIS_COUNT; i++) {
        if (draw < sim->profile.nemeses[i]) {
            return (enum nemesis)i;
        }
        draw -= sim->profile.nemeses[i];
    }
    UNREACHABLE();
}

static void strike(struct sim *sim, enum nemesis nemesis, struct node *node)
{
    switch (nemesis) {
    case NEMESIS_PARTITION:
        partition(sim);
        return;
    case NEMESIS_CUT_ONE_WAY:
        cut_one_way(sim);
        return;
    case NEMESIS_CUT_PAIR:
        cut_pair(sim);
        return;
    case NEMESIS_ISOLATE_LEADER:
        isolate(sim, leader_or_any(sim));
        return;
    case NEMESIS_RECONNECT:
        network_reconnect(sim);
        return;
    case NEMESIS_CLOG:
        clog_links(sim);
        return;
    case NEMESIS_CRASH:
        crash(sim, node);
        return;
    case NEMESIS_CRASH_LEADER:
        crash(sim, leader_or_any(sim));
        return;
    case NEMESIS_CRASH_FOLLOWERS:
        crash_followers(sim);
        return;
    case NEMESIS_CRASH_ALL:
        crash_all(sim);
        return;
    case NEMESIS_PAUSE:
        node->paused_until = sim->now + random_below(&sim->random, 5 * SIM_ELECTION_TIMEOUT);
        return;
    case NEMESIS_CLOCK:
        change_clock(sim, node);
        return;
    case NEMESIS_SLOW_DISK:
        node->slow_disk_until = sim->now + random_below(&sim->random, 10 * SIM_ELECTION_TIMEOUT);
        return;
    case NEMESIS_DAMAGE:
        damage_strike(sim);
        return;
    case NEMESIS_COUNT:
        break;
    }
    UNREACHABLE();
}

void nemesis_strike(struct sim *sim)
{
    struct node *node = any_up(sim);
    if (node == NULL) {
        return; /* until somebody restarts */
    }
    enum nemesis nemesis = draw_nemesis(sim);
    sim_trace(sim, "nemesis: %s (%" PRIu64 ")", nemesis_name(nemesis), node->id);
    strike(sim, nemesis, node);
}

void nemesis_end(struct sim *sim)
{
    network_reconnect(sim);
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        struct node *node = &sim->nodes[i];
        node->paused_until = 0;
        node->slow_disk_until = 0;
        node->crash_in = 0;
        node_set_rate(sim, node, 1000);
        for (uint32_t to = 0; to < SIM_NODES_MAX; to++) {
            sim->links[i][to].clogged_until = 0;
        }
    }
}
