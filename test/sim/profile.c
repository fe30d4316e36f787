#include "profile.h"

#include <string.h>

#include "base/assert.h"

/* One of a few values that stand for "little" to "much". */
static uint64_t pick(struct random *random, const uint64_t *values, size_t count)
{
    return values[random_below(random, count)];
}
#define PICK(random, ...)                                                                          \
    pick((random), (const uint64_t[]){__VA_ARGS__},                                                \
         sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void draw_core(struct raft_options *core, struct random *random)
{
    memset(core, 0, sizeof(*core));
    core->cluster = 77;
    core->group = 5;
    core->election_timeout = SIM_ELECTION_TIMEOUT;
    core->election_timeout_max = SIM_ELECTION_TIMEOUT * PICK(random, 15, 20, 20, 30) / 10;
    core->heartbeat_interval = SIM_ELECTION_TIMEOUT / PICK(random, 3, 5, 10);
    core->lease_drift_permille = PICK(random, 20, 100, 200);
    core->persist_stall = PICK(random, 0, 0, SIM_ELECTION_TIMEOUT, 3 * SIM_ELECTION_TIMEOUT);
    core->held_up = core->persist_stall;
    core->pre_vote = random_chance(random, 7, 10);
    core->check_quorum = random_chance(random, 8, 10);
    core->lease_reads = core->check_quorum && random_chance(random, 1, 2);
    core->step_down_on_removal = random_chance(random, 1, 2);
    core->validate_conf_changes = true;
    core->message_bytes_max = PICK(random, 1, 100, 500, 4000, 1000000);
    core->inflight_count_max = (uint32_t)PICK(random, 1, 2, 4, 16, 256);
    core->inflight_bytes_max = PICK(random, 0, 0, 300, 5000);
    core->uncommitted_bytes_max = PICK(random, 0, 1000, 10000, 1000000);
    core->trace_level = RAFT_TRACE_NONE;
}

static void draw_weights(uint32_t *weights, size_t count, struct random *random)
{
    for (size_t i = 0; i < count; i++) {
        weights[i] = random_chance(random, 1, 4) ? 0 : (uint32_t)random_between(random, 1, 10);
    }
}

static void draw_actions(struct profile *profile, struct random *random)
{
    draw_weights(profile->actions, ACTION_COUNT, random);
    uint32_t *actions = profile->actions;
    actions[ACTION_PROPOSE] = (uint32_t)PICK(random, 10, 20, 40);
    actions[ACTION_READ] *= 2;
    if (random_chance(random, 1, 3)) {
        actions[ACTION_MEMBERSHIP] = 0;
    } else if (random_chance(random, 1, 2)) {
        actions[ACTION_MEMBERSHIP] *= 4;
    }
    if (random_chance(random, 3, 4)) {
        /* Too many elections hide everything else. */
        actions[ACTION_CAMPAIGN] = random_chance(random, 1, 2) ? 0 : 1;
        actions[ACTION_TRANSFER] = random_chance(random, 1, 2) ? 0 : 1;
        actions[ACTION_SWITCH] = random_chance(random, 1, 2) ? 0 : 1;
        actions[ACTION_FORGET_LEADER] = random_chance(random, 1, 2) ? 0 : 1;
    }
    draw_weights(profile->nemeses, NEMESIS_DAMAGE, random);
    profile->nemeses[NEMESIS_RECONNECT] += 6;
    if (random_chance(random, 1, 20)) {
        memset(profile->nemeses, 0, sizeof(profile->nemeses)); /* a calm run */
        profile->nemeses[NEMESIS_RECONNECT] = 1;
    }
    profile->action_interval = SIM_ELECTION_TIMEOUT / PICK(random, 2, 5, 10, 30);
    profile->nemesis_interval = SIM_ELECTION_TIMEOUT * PICK(random, 5, 10, 20, 50) / 10;
    profile->compact_keep = PICK(random, 0, 0, 5, 50);
}

static void draw_world(struct profile *profile, struct random *random)
{
    static const uint64_t delays[][2] = {{1, 20}, {50, 150}, {10, 1000}, {100, 3000}, {1, 9000}};
    size_t delay = random_below(random, sizeof(delays) / sizeof(delays[0]));
    profile->delay_min = delays[delay][0];
    profile->delay_max = delays[delay][1];
    profile->loss_permille = (uint32_t)PICK(random, 0, 0, 5, 50, 200);
    profile->duplicate_permille = (uint32_t)PICK(random, 0, 0, 10, 100);
    profile->straggler_permille = (uint32_t)PICK(random, 0, 2, 10, 40);
    profile->in_order = random_chance(random, 1, 3);
    profile->turn_max = PICK(random, 0, 0, 20, 300);
    profile->write_max = PICK(random, 0, 10, 100, 1000);
    profile->sync_max = PICK(random, 1, 50, 500, 5000);
    profile->apply_max = PICK(random, 0, 20, 500, 5000);
    profile->restart_max = SIM_ELECTION_TIMEOUT * PICK(random, 1, 5, 30) / 10;
    const struct raft_options *core = &profile->host.core;
    profile->clock_drift_permille = core->lease_drift_permille / 2;
    if (!core->lease_reads && random_chance(random, 1, 3)) {
        profile->clock_drift_permille = 700;
    }
}

/* ---- Runs that are after something ---- */

static void set_weights(uint32_t *weights, size_t count, const uint32_t *values)
{
    memcpy(weights, values, count * sizeof(*weights));
}
#define SET_ACTIONS(profile, ...)                                                                  \
    set_weights((profile)->actions, ACTION_COUNT, (const uint32_t[ACTION_COUNT]){__VA_ARGS__})
#define SET_NEMESES(profile, ...)                                                                  \
    set_weights((profile)->nemeses, NEMESIS_COUNT, (const uint32_t[NEMESIS_COUNT]){__VA_ARGS__})

static void focus_on_churn(struct profile *profile, struct random *random)
{
    profile->host.core.message_bytes_max = PICK(random, 1, 1, 1, 100);
    profile->host.core.inflight_count_max = (uint32_t)PICK(random, 1, 1, 2, 16);
    profile->voters = (uint32_t)PICK(random, 3, 3, 4, 5, 5);
    profile->learners = 0;
    profile->delay_min = 1;
    profile->delay_max = PICK(random, 20, 200, 1000);
    profile->sync_max = PICK(random, 1, 50, 500, 5000);
    profile->write_max = PICK(random, 0, 10, 100);
    profile->apply_max = PICK(random, 0, 20);
    profile->restart_max = SIM_ELECTION_TIMEOUT * PICK(random, 1, 5, 20) / 10;
    profile->action_interval = SIM_ELECTION_TIMEOUT / PICK(random, 5, 20, 50);
    profile->nemesis_interval = SIM_ELECTION_TIMEOUT * PICK(random, 2, 5, 10) / 10;
    SET_ACTIONS(profile, [ACTION_PROPOSE] = 20, [ACTION_CAMPAIGN] = (uint32_t)PICK(random, 6, 20),
                [ACTION_TRANSFER] = 1, [ACTION_READ] = 2, [ACTION_COMPACT] = 1);
    SET_NEMESES(profile, [NEMESIS_PARTITION] = 6, [NEMESIS_CUT_ONE_WAY] = 2, [NEMESIS_CUT_PAIR] = 4,
                [NEMESIS_ISOLATE_LEADER] = 5, [NEMESIS_RECONNECT] = 6, [NEMESIS_CRASH] = 3,
                [NEMESIS_CRASH_LEADER] = 6, [NEMESIS_CRASH_ALL] = 1, [NEMESIS_SLOW_DISK] = 4);
}

static void focus_on_leases(struct profile *profile, struct random *random)
{
    struct raft_options *core = &profile->host.core;
    core->check_quorum = true;
    core->lease_reads = true;
    core->lease_drift_permille = PICK(random, 20, 200, 300);
    core->election_timeout_max = SIM_ELECTION_TIMEOUT * PICK(random, 11, 15) / 10;
    profile->clock_drift_permille = core->lease_drift_permille / 2;
    profile->voters = (uint32_t)PICK(random, 2, 3, 3, 5);
    profile->learners = 0;
    profile->delay_min = 1;
    profile->delay_max = PICK(random, 20, 500, 3000, 9000);
    profile->sync_max = PICK(random, 1, 50, 500);
    profile->write_max = PICK(random, 0, 10, 100);
    profile->restart_max = SIM_ELECTION_TIMEOUT * PICK(random, 1, 1, 5) / 10;
    profile->action_interval = SIM_ELECTION_TIMEOUT / PICK(random, 1, 2, 10, 30, 60);
    profile->nemesis_interval = SIM_ELECTION_TIMEOUT * PICK(random, 5, 10, 15) / 10;
    SET_ACTIONS(profile, [ACTION_PROPOSE] = 20, [ACTION_CAMPAIGN] = 12, [ACTION_TRANSFER] = 1,
                [ACTION_READ] = 6, [ACTION_COMPACT] = 1);
    SET_NEMESES(
        profile, [NEMESIS_PARTITION] = 6, [NEMESIS_CUT_ONE_WAY] = 2, [NEMESIS_CUT_PAIR] = 10,
        [NEMESIS_ISOLATE_LEADER] = 8, [NEMESIS_RECONNECT] = 8, [NEMESIS_CRASH] = 6,
        [NEMESIS_CLOCK] = 6, [NEMESIS_CRASH_FOLLOWERS] = 4, [NEMESIS_PAUSE] = 1);
}

static void focus_on_membership(struct profile *profile, struct random *random)
{
    profile->voters = (uint32_t)PICK(random, 1, 2, 3, 3, 4);
    profile->learners = (uint32_t)PICK(random, 0, 0, 1, 2);
    profile->ids =
        (uint32_t)random_between(random, profile->voters + profile->learners, SIM_NODES_MAX);
    profile->delay_min = 1;
    profile->delay_max = PICK(random, 20, 200, 1000);
    profile->sync_max = PICK(random, 1, 50, 500);
    profile->apply_max = PICK(random, 0, 500, 5000, 20000);
    profile->restart_max = SIM_ELECTION_TIMEOUT * PICK(random, 1, 5, 20) / 10;
    profile->action_interval = SIM_ELECTION_TIMEOUT / PICK(random, 5, 20, 50);
    profile->nemesis_interval = SIM_ELECTION_TIMEOUT * PICK(random, 5, 10, 20) / 10;
    SET_ACTIONS(profile, [ACTION_PROPOSE] = 6, [ACTION_MEMBERSHIP] = 20, [ACTION_CAMPAIGN] = 3,
                [ACTION_TRANSFER] = 2, [ACTION_READ] = 2, [ACTION_FLUSH] = 1, [ACTION_COMPACT] = 1);
    SET_NEMESES(profile, [NEMESIS_PARTITION] = 6, [NEMESIS_CUT_ONE_WAY] = 2, [NEMESIS_CUT_PAIR] = 4,
                [NEMESIS_ISOLATE_LEADER] = 4, [NEMESIS_RECONNECT] = 8, [NEMESIS_CRASH] = 4,
                [NEMESIS_CRASH_LEADER] = 4, [NEMESIS_CRASH_ALL] = 2, [NEMESIS_PAUSE] = 1);
}

static void focus_on_reads(struct profile *profile, struct random *random)
{
    profile->voters = (uint32_t)PICK(random, 3, 3, 5);
    profile->delay_min = 1;
    profile->delay_max = PICK(random, 200, 3000, 9000);
    profile->straggler_permille = (uint32_t)PICK(random, 0, 40, 200);
    profile->restart_max = SIM_ELECTION_TIMEOUT * PICK(random, 1, 1, 5) / 10;
    profile->action_interval = SIM_ELECTION_TIMEOUT / PICK(random, 10, 30, 60);
    SET_ACTIONS(profile, [ACTION_PROPOSE] = 10, [ACTION_READ] = 20, [ACTION_CAMPAIGN] = 1,
                [ACTION_HEARTBEAT] = 4, [ACTION_COMPACT] = 1);
    SET_NEMESES(profile, [NEMESIS_PARTITION] = 6, [NEMESIS_CUT_ONE_WAY] = 4, [NEMESIS_CUT_PAIR] = 2,
                [NEMESIS_ISOLATE_LEADER] = 6, [NEMESIS_RECONNECT] = 8, [NEMESIS_CRASH] = 4,
                [NEMESIS_CLOG] = 4);
}

static void draw_focus(struct profile *profile, struct random *random, uint32_t nodes)
{
    profile->focus = random_chance(random, 1, 2)
                         ? FOCUS_NONE
                         : (enum focus)random_between(random, 1, FOCUS_COUNT - 1);
    switch (profile->focus) {
    case FOCUS_NONE:
        break;
    case FOCUS_CHURN:
        focus_on_churn(profile, random);
        break;
    case FOCUS_LEASE:
        focus_on_leases(profile, random);
        break;
    case FOCUS_MEMBERSHIP:
        focus_on_membership(profile, random);
        break;
    case FOCUS_READS:
        focus_on_reads(profile, random);
        break;
    case FOCUS_COUNT:
        UNREACHABLE();
    }
    if (nodes > 0) {
        profile->voters = nodes;
    }
    if (profile->voters + profile->learners > SIM_NODES_MAX) {
        profile->learners = SIM_NODES_MAX - profile->voters;
    }
    if (profile->ids < profile->voters + profile->learners) {
        profile->ids = profile->voters + profile->learners;
    }
}

/* Disks that are damaged, and replaced under the same ids. The draws are from a copy, so that the
 * other seeds go on being the runs that they were. */
static void draw_damage(struct profile *profile, struct random random)
{
    if (!profile->identity || !random_chance(&random, 1, 5)) {
        return;
    }
    uint32_t sum = 0;
    for (int i = 0; i < NEMESIS_COUNT; i++) {
        sum += profile->nemeses[i];
    }
    profile->nemeses[NEMESIS_DAMAGE] = sum / (uint32_t)PICK(&random, 1, 3, 10) + 1;
    sum = 0;
    for (int i = 0; i < ACTION_COUNT; i++) {
        sum += profile->actions[i];
    }
    profile->actions[ACTION_MEMBERSHIP] += sum / (uint32_t)PICK(&random, 2, 5, 20) + 1;
    profile->damage_anytime = random_chance(&random, 1, 4);
    profile->must_heal = profile->host.core.pre_vote && !profile->damage_anytime;
}

void profile_draw(struct profile *profile, struct random *random, uint32_t nodes, uint64_t steps)
{
    memset(profile, 0, sizeof(*profile));
    draw_core(&profile->host.core, random);
    profile->host.asynchronous = random_chance(random, 9, 10);
    profile->host.merge = random_chance(random, 8, 10);
    profile->host.apply_bytes_max = PICK(random, 1, 100, 1000, 1000000);
    profile->host.cache_bytes_max = PICK(random, 0, 500, 5000, 1000000);
    uint32_t drawn = (uint32_t)PICK(random, 1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 7);
    profile->voters = nodes > 0 ? nodes : drawn;
    profile->learners = (uint32_t)PICK(random, 0, 0, 0, 1, 2);
    if (profile->voters + profile->learners > SIM_NODES_MAX) {
        profile->learners = SIM_NODES_MAX - profile->voters;
    }
    profile->ids =
        (uint32_t)random_between(random, profile->voters + profile->learners, SIM_NODES_MAX);
    profile->voters_max = (uint32_t)PICK(random, 3, 4, 5, 7);
    profile->identity = random_chance(random, 9, 10);
    profile->rounds = (uint32_t)PICK(random, 1, 1, 2, 3);
    profile->steps = steps > 0 ? steps : PICK(random, 1000, 3000, 6000, 12000);
    draw_world(profile, random);
    draw_actions(profile, random);
    draw_focus(profile, random, nodes);
    profile->must_heal = profile->host.core.pre_vote || profile->actions[ACTION_MEMBERSHIP] == 0;
    draw_damage(profile, *random);
}

const char *action_name(enum action action)
{
    static const char *const names[ACTION_COUNT] = {
        "propose",       "read",   "membership", "transfer", "campaign",   "heartbeat",
        "forget-leader", "switch", "flush",      "compact",  "unreachable"};
    ASSERT(action < ACTION_COUNT);
    return names[action];
}

const char *focus_name(enum focus focus)
{
    static const char *const names[FOCUS_COUNT] = {"none", "churn", "lease", "membership", "reads"};
    ASSERT(focus < FOCUS_COUNT);
    return names[focus];
}

const char *nemesis_name(enum nemesis nemesis)
{
    static const char *const names[NEMESIS_COUNT] = {
        "partition", "cut-one-way", "cut-pair",     "isolate-leader",  "reconnect",
        "clog",      "crash",       "crash-leader", "crash-followers", "crash-all",
        "pause",     "clock",       "slow-disk",    "damage"};
    ASSERT(nemesis < NEMESIS_COUNT);
    return names[nemesis];
}
