/* Messages between nodes: lost, doubled, delayed, reordered, held up, and now and then delivered
 * long after anybody expects them. */
#include "base/assert.h"
#include "sim.h"

static void plan_delivery(struct sim *sim, uint32_t to, struct raft_message *message, uint64_t time)
{
    struct event event = {.time = time, .type = EVENT_DELIVER};
    event.node = to;
    event.message = *message;
    queue_push(&sim->queue, &event);
}

/* A node learns what became of what it sent. */
static void plan_report(struct sim *sim, uint32_t from, enum event_type type, raft_id peer, bool ok,
                        uint64_t time)
{
    struct event event = {.time = time, .type = type};
    event.node = from;
    event.epoch = sim->nodes[from].epoch;
    event.report.peer = peer;
    event.report.ok = ok;
    queue_push(&sim->queue, &event);
}

static uint64_t delay(struct sim *sim)
{
    uint64_t time = random_between(&sim->random, sim->profile.delay_min, sim->profile.delay_max);
    if (random_chance(&sim->random, 1, 200)) {
        time *= 1 + random_below(&sim->random, 20);
    }
    return time;
}

static uint64_t arrival(struct sim *sim, struct link *link)
{
    uint64_t time = sim->now + delay(sim);
    if (time < link->clogged_until) {
        time = link->clogged_until + random_below(&sim->random, 1 + sim->profile.delay_max);
    }
    if (sim->profile.in_order) {
        if (time <= link->last_arrival) {
            time = link->last_arrival + 1;
        }
        link->last_arrival = time;
    }
    return time;
}

static void drop(struct sim *sim, uint32_t from, struct raft_message *message)
{
    sim_trace(sim, "%u lost %s", from + 1, sim_message_text(message));
    if (message->type == RAFT_MSG_SNAP) {
        plan_report(sim, from, EVENT_REPORT, message->to, false,
                    sim->now + sim_duration(sim, 2 * SIM_ELECTION_TIMEOUT));
    } else if (random_chance(&sim->random, 1, 10)) {
        plan_report(sim, from, EVENT_UNREACHABLE, message->to, false,
                    sim->now + sim_duration(sim, SIM_ELECTION_TIMEOUT));
    }
    raft_message_deinit(message);
}

static void plan_copy(struct sim *sim, uint32_t to, const struct raft_message *message,
                      uint64_t time)
{
    struct raft_message copy;
    raft_message_copy(message, &copy);
    plan_delivery(sim, to, &copy, time);
}

void network_send(struct sim *sim, uint32_t from, struct raft_message *message)
{
    const struct profile *profile = &sim->profile;
    sim->counts.messages++;
    ASSERT(message->to >= 1);
    ASSERT(message->to <= SIM_NODES_MAX);
    uint32_t to = (uint32_t)message->to - 1;
    struct link *link = &sim->links[from][to];
    if (link->cut || random_chance(&sim->random, profile->loss_permille, 1000)) {
        drop(sim, from, message);
        return;
    }
    uint64_t time = arrival(sim, link);
    if (random_chance(&sim->random, profile->duplicate_permille, 1000)) {
        plan_copy(sim, to, message, arrival(sim, link));
    }
    if (random_chance(&sim->random, profile->straggler_permille, 1000)) {
        plan_copy(sim, to, message, time + random_below(&sim->random, 30 * SIM_ELECTION_TIMEOUT));
    }
    if (message->type == RAFT_MSG_SNAP) {
        plan_report(sim, from, EVENT_REPORT, message->to, true,
                    time + sim_duration(sim, SIM_ELECTION_TIMEOUT));
    }
    sim_trace(sim, "%u sends %s", from + 1, sim_message_text(message));
    sim_note(sim, (uint64_t)message->type << 48 ^ message->index << 8 ^ message->to);
    plan_delivery(sim, to, message, time);
}

void network_reconnect(struct sim *sim)
{
    for (uint32_t from = 0; from < SIM_NODES_MAX; from++) {
        for (uint32_t to = 0; to < SIM_NODES_MAX; to++) {
            sim->links[from][to].cut = false;
        }
    }
}
