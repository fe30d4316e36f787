/* What a run leaves behind: its hash, and lines for whoever reads it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

enum { TAIL_LINES_MAX = 2000, TAIL_LINE_BYTES = 432 };

/* The last lines, in a ring; one run at a time is traced in a process. */
static struct {
    char lines[TAIL_LINES_MAX][TAIL_LINE_BYTES];
    uint64_t count;
    uint32_t kept;
} tail;

void sim_note(struct sim *sim, uint64_t value)
{
    uint64_t mixed = (sim->hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    sim->hash = mixed ^ (mixed >> 29);
}

bool sim_traced(const struct sim *sim)
{
    return sim->options.trace || sim->options.tail > 0;
}

void sim_trace(const struct sim *sim, const char *format, ...)
{
    if (!sim_traced(sim)) {
        return;
    }
    char line[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (sim->options.trace) {
        printf("%8" PRIu64 " %s\n", sim->now, line);
    }
    if (sim->options.tail > 0) {
        tail.kept = sim->options.tail < TAIL_LINES_MAX ? sim->options.tail : TAIL_LINES_MAX;
        snprintf(tail.lines[tail.count % TAIL_LINES_MAX], TAIL_LINE_BYTES, "%8" PRIu64 " %s",
                 sim->now, line);
        tail.count++;
    }
}

void sim_trace_tail(void)
{
    uint64_t first = tail.count > tail.kept ? tail.count - tail.kept : 0;
    for (uint64_t i = first; i < tail.count; i++) {
        fprintf(stderr, "%s\n", tail.lines[i % TAIL_LINES_MAX]);
    }
}

const char *sim_message_text(const struct raft_message *message)
{
    static char text[320];
    int size = snprintf(text, sizeof(text),
                        "%" PRIu64 "->%" PRIu64 " %s term=%" PRIu64 " log=%" PRIu64 "/%" PRIu64,
                        message->from, message->to, raft_message_type_name(message->type),
                        message->term, message->log_term, message->index);
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"commit", message->commit},
        {"entries", message->entry_count},
        {"reject", message->reject},
        {"hint", message->reject_hint},
        {"transfer", message->transfer},
        {"round", message->round},
        {"read", message->read_id},
        {"session", message->session},
        {"snapshot", message->snapshot != NULL ? message->snapshot->index : 0},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (fields[i].value != 0 && (size_t)size < sizeof(text)) {
            size += snprintf(text + size, sizeof(text) - (size_t)size, " %s=%" PRIu64,
                             fields[i].name, fields[i].value);
        }
    }
    return text;
}

static void trace_weights(const struct sim *sim)
{
    const struct profile *profile = &sim->profile;
    char text[400];
    int size = 0;
    for (int i = 0; i < ACTION_COUNT; i++) {
        size += snprintf(text + size, sizeof(text) - (size_t)size, " %s=%u",
                         action_name((enum action)i), profile->actions[i]);
    }
    sim_trace(sim, "actions:%s", text);
    size = 0;
    for (int i = 0; i < NEMESIS_COUNT; i++) {
        size += snprintf(text + size, sizeof(text) - (size_t)size, " %s=%u",
                         nemesis_name((enum nemesis)i), profile->nemeses[i]);
    }
    sim_trace(sim, "nemeses:%s", text);
}

void sim_trace_profile(const struct sim *sim)
{
    if (!sim_traced(sim)) {
        return;
    }
    const struct profile *profile = &sim->profile;
    const struct raft_options *core = &profile->host.core;
    sim_trace(sim, "focus=%s", focus_name(profile->focus));
    sim_trace(sim,
              "voters=%u learners=%u ids=%u steps=%" PRIu64 " rounds=%u async=%d merge=%d "
              "identity=%d",
              profile->voters, profile->learners, profile->ids, profile->steps, profile->rounds,
              profile->host.asynchronous, profile->host.merge, profile->identity);
    sim_trace(sim,
              "pre_vote=%d check_quorum=%d lease=%d step_down=%d timeout_max=%" PRIu64
              " heartbeat=%" PRIu64 " drift=%" PRIu64 " message_bytes=%" PRIu64
              " inflight=%u/%" PRIu64 " uncommitted=%" PRIu64,
              core->pre_vote, core->check_quorum, core->lease_reads, core->step_down_on_removal,
              core->election_timeout_max, core->heartbeat_interval, core->lease_drift_permille,
              core->message_bytes_max, core->inflight_count_max, core->inflight_bytes_max,
              core->uncommitted_bytes_max);
    sim_trace(sim,
              "delay=%" PRIu64 "-%" PRIu64 " loss=%u duplicate=%u straggler=%u in_order=%d "
              "clocks=%" PRIu64 " turn=%" PRIu64 " write=%" PRIu64 " sync=%" PRIu64
              " apply=%" PRIu64 " restart=%" PRIu64,
              profile->delay_min, profile->delay_max, profile->loss_permille,
              profile->duplicate_permille, profile->straggler_permille, profile->in_order,
              profile->clock_drift_permille, profile->turn_max, profile->write_max,
              profile->sync_max, profile->apply_max, profile->restart_max);
    trace_weights(sim);
}
