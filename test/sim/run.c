/* The loop of a run: from the first members to the last healing. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim.h"

enum { EVENTS_AT_ONCE_MAX = 100 * 1000 };

uint64_t sim_duration(struct sim *sim, uint64_t max)
{
    if (max == 0) {
        return 0;
    }
    uint64_t below = random_chance(&sim->random, 1, 2) ? max : max / 10;
    return random_below(&sim->random, below + 1);
}

static void plan_action(struct sim *sim)
{
    struct event event = {.type = EVENT_ACTION};
    event.time = sim->now + 1 + random_below(&sim->random, 2 * sim->profile.action_interval);
    queue_push(&sim->queue, &event);
}

static void plan_nemesis(struct sim *sim)
{
    struct event event = {.type = EVENT_NEMESIS};
    event.time = sim->now + 1 + random_below(&sim->random, 2 * sim->profile.nemesis_interval);
    queue_push(&sim->queue, &event);
}

/* A node that is paused gets its events when it goes on. */
static bool defer(struct sim *sim, struct event *event)
{
    const struct node *node = &sim->nodes[event->node];
    if (node->paused_until <= sim->now) {
        return false;
    }
    event->time = node->paused_until + random_below(&sim->random, 3);
    queue_push(&sim->queue, event);
    return true;
}

static void handle_node_event(struct sim *sim, struct event *event)
{
    struct node *node = &sim->nodes[event->node];
    bool message = event->type == EVENT_DELIVER;
    if (!node_up(node) || (!message && event->epoch != node->epoch)) {
        if (message) {
            raft_message_deinit(&event->message);
        }
        return;
    }
    if (defer(sim, event)) {
        return;
    }
    node_handle(sim, node, event);
    if (message) {
        raft_message_deinit(&event->message);
    }
}

void sim_handle(struct sim *sim, struct event *event)
{
    ASSERT(event->time >= sim->now);
    sim->events_now = event->time > sim->now ? 0 : sim->events_now + 1;
    if (sim->events_now > EVENTS_AT_ONCE_MAX) {
        sim_fail(sim, "something goes on for ever without time passing");
    }
    sim->now = event->time;
    sim_note(sim, event->time ^ (uint64_t)event->type << 56);
    switch (event->type) {
    case EVENT_DELIVER:
    case EVENT_WAKE:
    case EVENT_TAKE:
    case EVENT_WRITE:
    case EVENT_SYNC:
    case EVENT_APPLY:
    case EVENT_REPORT:
    case EVENT_UNREACHABLE:
        handle_node_event(sim, event);
        return;
    case EVENT_RESTART: {
        struct node *node = &sim->nodes[event->node];
        if (event->epoch == node->epoch && !node_up(node) && !node->stopped) {
            node_start(sim, node);
        }
        return;
    }
    case EVENT_ACTION:
        if (!sim->healing) {
            workload_act(sim);
            plan_action(sim);
        }
        return;
    case EVENT_NEMESIS:
        if (!sim->healing) {
            nemesis_strike(sim);
            plan_nemesis(sim);
        }
        return;
    }
    UNREACHABLE();
}

/* Trouble, until the steps of this round are done. */
static void trouble(struct sim *sim)
{
    sim->healing = false;
    plan_action(sim);
    plan_nemesis(sim);
    struct event event;
    while (sim->steps < sim->steps_until) {
        bool any = queue_pop(&sim->queue, &event);
        ASSERT(any);
        sim_handle(sim, &event);
    }
}

static void first_machine(const struct sim *sim, struct machine *machine)
{
    memset(machine, 0, sizeof(*machine));
    machine->applied = 10;
    machine->term = 1;
    machine->digest = 4711;
    uint32_t count = sim->profile.voters + sim->profile.learners;
    machine->configuration.count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct raft_member *member = &machine->configuration.members[i];
        member->id = i + 1;
        member->incarnation = sim->profile.identity ? i + 1 : 0; /* as node_create counts */
        member->flags = i < sim->profile.voters ? RAFT_MEMBER_INCOMING : RAFT_MEMBER_LEARNER;
    }
}

static void begin(struct sim *sim, const struct sim_options *options)
{
    memset(sim, 0, sizeof(*sim));
    sim->options = *options;
    random_init(&sim->random, options->seed);
    profile_draw(&sim->profile, &sim->random, options->nodes, options->steps);
    queue_init(&sim->queue);
    sim_trace_profile(sim);
    struct machine machine;
    first_machine(sim, &machine);
    history_init(&sim->history, &machine);
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        struct node *node = &sim->nodes[i];
        node->place = i;
        node->id = i + 1;
        node->rate = 1000;
        if (i < machine.configuration.count) {
            node_create(sim, node, &machine);
            node->disk.durable_hard_state.term = machine.term;
            node->disk.durable_hard_state.commit = machine.applied;
            node_start(sim, node);
        }
    }
}

static void end(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        node_deinit(&sim->nodes[i]);
    }
    queue_deinit(&sim->queue);
    history_deinit(&sim->history);
}

struct sim_result sim_run(const struct sim_options *options)
{
    static struct sim sim; /* large */
    begin(&sim, options);
    for (uint32_t round = 1; round <= sim.profile.rounds; round++) {
        sim.steps_until = sim.profile.steps * round / sim.profile.rounds;
        trouble(&sim);
        nemesis_end(&sim);
        heal(&sim);
    }
    sim_trace(&sim,
              "end: steps=%" PRIu64 " committed=%" PRIu64 " proposals=%" PRIu64 " reads=%" PRIu64
              "/%" PRIu64 " lease=%" PRIu64 " crashes=%" PRIu64 " restores=%" PRIu64
              " leaders=%" PRIu64 " configurations=%" PRIu64 " messages=%" PRIu64,
              sim.steps, sim.history.committed, sim.counts.proposals, sim.counts.reads_ready,
              sim.counts.reads_failed, sim.counts.lease_reads, sim.counts.crashes,
              sim.counts.restores, sim.counts.leaders, sim.counts.configurations,
              sim.counts.messages);
    struct sim_result result = {sim.steps, sim.hash};
    end(&sim);
    return result;
}

static void print_node(const struct node *node)
{
    if (node->incarnation == 0) {
        return;
    }
    if (!node_up(node)) {
        fprintf(stderr, "node %" PRIu64 " is down\n", node->id);
        return;
    }
    const struct raft *core = node_core(node);
    struct raft_hard_state state = raft_hard_state(core);
    char text[RAFT_CONFIGURATION_TEXT_MAX];
    fprintf(stderr,
            "node %" PRIu64 " (disk %" PRIu64 "): %s term=%" PRIu64 " vote=%" PRIu64
            " leader=%" PRIu64 " base=%" PRIu64 " applied=%" PRIu64 "/%" PRIu64 " commit=%" PRIu64
            " persisted=%" PRIu64 " last=%" PRIu64 " pending_snapshot=%" PRIu64 " %s\n",
            node->id, node->incarnation, raft_role_name(raft_role(core)), state.term, state.vote,
            raft_leader(core), raft_base_index(core), node->machine.applied,
            raft_applied_index(core), state.commit, raft_persisted_index(core),
            raft_last_index(core), raft_pending_snapshot(core),
            raft_configuration_text(raft_configuration(core), text, sizeof(text)));
}

static void print_nodes(const struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        print_node(&sim->nodes[i]);
    }
    char text[RAFT_CONFIGURATION_TEXT_MAX];
    fprintf(stderr, "committed: %" PRIu64 ", configuration of entry %" PRIu64 ": %s\n",
            sim->history.committed, history_configuration_index(&sim->history),
            raft_configuration_text(history_configuration(&sim->history), text, sizeof(text)));
}

_Noreturn void sim_fail(const struct sim *sim, const char *format, ...)
{
    sim_trace_tail();
    if (sim_traced(sim)) {
        print_nodes(sim);
    }
    fprintf(stderr, "seed %" PRIu64 ", step %" PRIu64 ", time %" PRIu64 "%s: ", sim->options.seed,
            sim->steps, sim->now, sim->healing ? ", healing" : "");
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    fflush(NULL);
    _Exit(1);
}
