#include "node.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "raft/progress.h"
#include "sim.h"

#define NEVER UINT64_MAX

enum {
    ENTRY_COST_MAX = 1024, /* of what the workload proposes, and configurations */
    MESSAGES_PER_STEP_MAX = SIM_NODES_MAX * (RAFT_SEND_BURST_MAX + 2),
};

/* Room for one more at the end of an array. */
#define GROW(array, count, capacity)                                                               \
    do {                                                                                           \
        if ((count) == (capacity)) {                                                               \
            (capacity) = (capacity) == 0 ? 16 : 2 * (capacity);                                    \
            (array) = mem_resize((array), (capacity) * sizeof(*(array)));                          \
        }                                                                                          \
    } while (0)

#define REMOVE_FIRST(array, count)                                                                 \
    do {                                                                                           \
        (count)--;                                                                                 \
        memmove((array), (array) + 1, (count) * sizeof(*(array)));                                 \
    } while (0)

struct raft *node_core(const struct node *node)
{
    return raft_host_core(node->host);
}

bool node_leads(const struct node *node)
{
    return raft_role(node_core(node)) == RAFT_LEADER;
}

/* ---- The clock ---- */

uint64_t node_clock(const struct sim *sim, const struct node *node)
{
    return node->local_base + (sim->now - node->global_base) * node->rate / 1000;
}

/* When the node's clock will show `local`. */
static uint64_t global_time(const struct node *node, uint64_t local)
{
    if (local <= node->local_base) {
        return node->global_base;
    }
    return node->global_base + ((local - node->local_base) * 1000 + node->rate - 1) / node->rate;
}

static void plan(struct sim *sim, struct node *node, enum event_type type, uint64_t time)
{
    struct event event = {.time = time, .type = type};
    event.node = node->place;
    event.epoch = node->epoch;
    queue_push(&sim->queue, &event);
}

static void plan_wake(struct sim *sim, struct node *node)
{
    uint64_t deadline = raft_deadline(node_core(node));
    if (deadline == NEVER) {
        return;
    }
    uint64_t time = global_time(node, deadline);
    if (time < sim->now) {
        time = sim->now;
    }
    if (time < node->wake_at) {
        node->wake_at = time;
        plan(sim, node, EVENT_WAKE, time);
    }
}

void node_set_rate(struct sim *sim, struct node *node, uint64_t rate)
{
    node->local_base = node_clock(sim, node);
    node->global_base = sim->now;
    node->rate = rate;
    if (node_up(node)) {
        plan_wake(sim, node);
    }
}

/* ---- Storage, as the host sees it ---- */

static rr_status on_read(void *arg, raft_index first, raft_index last, uint64_t bytes_max,
                         uint32_t count_max, struct raft_entry **out, uint32_t *count)
{
    const struct node *node = arg;
    const struct disk_log *log = &node->disk.written;
    uint64_t bytes = 0;
    *count = 0;
    for (raft_index index = first; index <= last && *count < count_max; index++) {
        struct raft_entry *entry = disk_log_at(log, index);
        bytes += raft_entry_bytes(entry);
        if (*count > 0 && bytes > bytes_max) {
            break;
        }
        out[*count] = raft_entry_ref(entry);
        (*count)++;
    }
    return RR_OK;
}

static struct raft_snapshot *on_snapshot(void *arg)
{
    const struct node *node = arg;
    if (node->machine.applied < raft_base_index(node_core(node)) || node->machine.applied == 0) {
        return NULL;
    }
    return machine_snapshot(&node->machine);
}

static const struct raft_host_storage host_storage = {on_read, on_snapshot};

struct trace_arg {
    struct sim *sim;
    const struct node *node;
};

static struct trace_arg trace_args[SIM_NODES_MAX];

static void on_trace(void *arg, enum raft_log_level level, const char *text)
{
    (void)level;
    const struct trace_arg *trace = arg;
    sim_trace(trace->sim, "  %" PRIu64 ": %s", trace->node->id, text);
}

/* ---- Crash points ---- */

/* Counts down to a planned crash; true from then on. What is called after it does not happen. */
static bool crash_point(struct node *node)
{
    if (node->crash_in > 0) {
        node->crash_in--;
        node->crashing = node->crash_in == 0;
    }
    return node->crashing;
}

/* ---- Checks after a step ---- */

static void check_limits(struct sim *sim, const struct node *node)
{
    const struct raft *core = node_core(node);
    const struct raft_options *options = &sim->profile.host.core;
    const struct raft_configuration *configuration = raft_configuration(core);
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_progress *progress = raft_progress(core, configuration->members[i].id);
        if (progress->window.count > options->inflight_count_max) {
            sim_fail(sim,
                     "node %" PRIu64 " has %u messages in flight to %" PRIu64 ", more than allowed",
                     node->id, progress->window.count, progress->id);
        }
    }
}

static void check_step(struct sim *sim, struct node *node)
{
    const char *reason = raft_host_halted(node->host);
    if (reason != NULL) {
        sim_fail(sim, "node %" PRIu64 " halted: %s", node->id, reason);
    }
    const struct raft *core = node_core(node);
    struct raft_hard_state state = raft_hard_state(core);
    enum raft_role role = raft_role(core);
    if (role == RAFT_LEADER && (node->seen_role != RAFT_LEADER || node->seen_term != state.term)) {
        history_lead(sim, node);
    }
    if (state.commit > node->seen_committed) {
        raft_index from = node->seen_committed;
        node->seen_committed = state.commit;
        history_commit(sim, node, from, state.commit);
    }
    if (role == RAFT_LEADER) {
        check_limits(sim, node);
    }
    node->seen_role = role;
    node->seen_term = state.term;
}

/* ---- Turns ---- */

static void plan_take(struct sim *sim, struct node *node)
{
    if (!node->take_planned && (raft_host_pending(node->host) || raft_more(node_core(node)))) {
        node->take_planned = true;
        plan(sim, node, EVENT_TAKE, sim->now + sim_duration(sim, sim->profile.turn_max));
    }
}

/* What follows any step: checks, the next timer, the end of the turn. */
static void after_step(struct sim *sim, struct node *node)
{
    sim->steps++;
    node->turn_steps++;
    check_step(sim, node);
    plan_wake(sim, node);
    plan_take(sim, node);
}

static void check_prevote(struct sim *sim, const struct node *node, raft_term before)
{
    if (raft_hard_state(node_core(node)).term != before) {
        sim_fail(sim, "node %" PRIu64 " changed its term because somebody asked for a pre-vote",
                 node->id);
    }
}

enum raft_result node_step(struct sim *sim, struct node *node, struct raft_event *event)
{
    ASSERT(node_up(node));
    event->now = node_clock(sim, node);
    raft_term before = raft_hard_state(node_core(node)).term;
    enum raft_result result = raft_host_step(node->host, event);
    if (event->type == RAFT_EVENT_MESSAGE) {
        if (result == RAFT_STEP_INVALID) {
            sim_fail(sim, "node %" PRIu64 " refuses a message as impossible: %s", node->id,
                     sim_message_text(event->message));
        }
        if (event->message->type == RAFT_MSG_PRE_VOTE) {
            check_prevote(sim, node, before);
        }
    }
    sim_note(sim, (uint64_t)event->type << 8 | node->place);
    sim_note(sim, event->now);
    after_step(sim, node);
    return result;
}

/* ---- Messages leave ---- */

/* What an answer promises must be durable by the time it leaves. */
static void check_promise(struct sim *sim, struct node *node, const struct raft_message *message)
{
    const struct disk *disk = &node->disk;
    if (message->reject) {
        return;
    }
    if (message->type == RAFT_MSG_VOTE && disk->durable_hard_state.term < message->term) {
        sim_fail(sim,
                 "durability: node %" PRIu64 " asks for votes in term %" PRIu64
                 " before that is durable",
                 node->id, message->term);
    }
    /* Of an earlier term: it was durable then, and has been replaced since. */
    if (message->type == RAFT_MSG_APP_RESP && message->term >= disk->durable_hard_state.term &&
        message->index > disk_log_last(&disk->durable)) {
        sim_fail(sim,
                 "durability: node %" PRIu64 " acknowledges entry %" PRIu64 ", but only %" PRIu64
                 " is durable: %s",
                 node->id, message->index, disk_log_last(&disk->durable),
                 sim_message_text(message));
    }
    if (message->type != RAFT_MSG_VOTE_RESP) {
        return;
    }
    const struct raft_hard_state *state = &disk->durable_hard_state;
    if (state->term < message->term ||
        (state->term == message->term && state->vote != message->to)) {
        sim_fail(sim,
                 "durability: node %" PRIu64 " votes for %" PRIu64 " in term %" PRIu64
                 ", but the vote is not durable",
                 node->id, message->to, message->term);
    }
    if (node->granted_term == message->term && node->granted_to != message->to) {
        sim_fail(sim, "node %" PRIu64 " votes for %" PRIu64 " and %" PRIu64 " in term %" PRIu64,
                 node->id, node->granted_to, message->to, message->term);
    }
    node->granted_term = message->term;
    node->granted_to = message->to;
}

/* Sends what the batch holds, and leaves it without. */
static void send_messages(struct sim *sim, struct node *node, struct raft_message *messages,
                          uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct raft_message *message = &messages[i];
        if (message->to == node->id || crash_point(node)) {
            continue; /* raft_batch_deinit drops it */
        }
        check_promise(sim, node, message);
        struct raft_message sent = *message;
        message->entries = NULL;
        message->entry_count = 0;
        message->snapshot = NULL;
        network_send(sim, node->place, &sent);
    }
}

/* ---- Reads ---- */

static void answer_reads(struct sim *sim, struct node *node, const struct raft_host_read *answer)
{
    uint32_t done = 0;
    while (done < node->read_count && node->reads[done].id <= answer->id) {
        const struct pending_read *read = &node->reads[done];
        if (answer->ready && answer->index < read->required) {
            sim_fail(sim,
                     "stale read: node %" PRIu64 " answers read %" PRIu64 " at %" PRIu64
                     ", but %" PRIu64 " had been committed when it began",
                     node->id, read->id, answer->index, read->required);
        }
        done++;
    }
    if (answer->ready && answer->index > sim->history.committed) {
        sim_fail(sim, "node %" PRIu64 " answers a read at %" PRIu64 ", which nobody has committed",
                 node->id, answer->index);
    }
    sim_note(sim, answer->id ^ answer->index << 20);
    sim_trace(sim, "%" PRIu64 " reads up to %" PRIu64 " %s at %" PRIu64, node->id, answer->id,
              answer->ready ? "ready" : "failed", answer->index);
    if (answer->ready) {
        node->reads_ready += done;
        sim->counts.reads_ready += done;
    } else {
        sim->counts.reads_failed += done;
    }
    node->read_count -= done;
    if (node->read_count > 0) {
        memmove(node->reads, node->reads + done, node->read_count * sizeof(*node->reads));
    }
}

/* ---- Applying ---- */

static void plan_apply(struct sim *sim, struct node *node)
{
    if (!node->apply_planned && node->apply_job_count > 0) {
        node->apply_planned = true;
        plan(sim, node, EVENT_APPLY, sim->now + sim_duration(sim, sim->profile.apply_max));
    }
}

static void queue_committed(struct sim *sim, struct node *node, struct raft_batch *batch)
{
    if (batch->committed_count == 0) {
        return;
    }
    GROW(node->apply_jobs, node->apply_job_count, node->apply_job_capacity);
    struct apply_job *job = &node->apply_jobs[node->apply_job_count];
    job->entries = batch->committed;
    job->count = batch->committed_count;
    job->done = 0;
    job->bytes = batch->committed_bytes;
    node->apply_job_count++;
    batch->committed = NULL;
    batch->committed_count = 0;
    plan_apply(sim, node);
}

static void apply_job_deinit(struct apply_job *job)
{
    for (uint32_t i = 0; i < job->count; i++) {
        raft_entry_unref(job->entries[i]);
    }
    mem_free(job->entries);
}

static void apply_one(struct sim *sim, struct node *node, const struct raft_entry *entry)
{
    struct raft_conf_change change;
    if (!history_apply(sim, node, entry, &node->machine, &change)) {
        return;
    }
    struct raft_event event = {.type = RAFT_EVENT_CONF_APPLIED};
    event.conf_applied = &change;
    (void)node_step(sim, node, &event);
    if (!raft_configuration_equal(raft_configuration(node_core(node)),
                                  &node->machine.configuration)) {
        sim_fail(sim,
                 "node %" PRIu64 " has another configuration after entry %" PRIu64
                 " than its state machine",
                 node->id, entry->index);
    }
}

static void report_applied(struct sim *sim, struct node *node, raft_index index, uint64_t bytes)
{
    raft_host_applied(node->host, index, bytes, node_clock(sim, node));
    after_step(sim, node);
}

/* A snapshot has come or is on its way to the disk: nothing that was handed out before counts. */
static void drop_apply_jobs(struct sim *sim, struct node *node)
{
    while (node->apply_job_count > 0) {
        struct apply_job job = node->apply_jobs[0];
        REMOVE_FIRST(node->apply_jobs, node->apply_job_count);
        apply_job_deinit(&job);
        report_applied(sim, node, 0, job.bytes);
    }
}

static void apply_some(struct sim *sim, struct node *node)
{
    if (raft_pending_snapshot(node_core(node)) != 0) {
        drop_apply_jobs(sim, node);
    }
    if (node->apply_job_count == 0) {
        return; /* a snapshot took their place */
    }
    struct apply_job *job = &node->apply_jobs[0];
    uint32_t left = job->count - job->done;
    uint32_t count = (uint32_t)random_between(&sim->random, 1, left);
    for (uint32_t i = 0; i < count; i++) {
        if (crash_point(node)) {
            return;
        }
        struct raft_entry *entry = job->entries[job->done];
        job->done++;
        apply_one(sim, node, entry);
        if (raft_pending_snapshot(node_core(node)) != 0) {
            return; /* not by our doing, but the next event sorts it out */
        }
    }
    raft_index index = job->entries[job->done - 1]->index;
    uint64_t bytes = 0;
    if (job->done == job->count) {
        bytes = job->bytes;
        struct apply_job done = *job;
        REMOVE_FIRST(node->apply_jobs, node->apply_job_count);
        apply_job_deinit(&done);
    }
    report_applied(sim, node, index, bytes);
}

/* ---- The disk ---- */

static bool has_write(const struct raft_batch *batch)
{
    return batch->entry_count > 0 || batch->hard_state_changed || batch->snapshot != NULL;
}

static void plan_write(struct sim *sim, struct node *node)
{
    bool waiting = node->disk_job_count > 0 && !node->disk_jobs[node->disk_job_count - 1].written;
    if (!node->write_planned && waiting) {
        node->write_planned = true;
        plan(sim, node, EVENT_WRITE, sim->now + sim_duration(sim, sim->profile.write_max));
    }
}

static void plan_sync(struct sim *sim, struct node *node)
{
    uint64_t duration = 1 + sim_duration(sim, sim->profile.sync_max);
    if (sim->now < node->slow_disk_until) {
        duration += SIM_ELECTION_TIMEOUT;
    }
    struct event event = {.time = sim->now + duration, .type = EVENT_SYNC};
    event.node = node->place;
    event.epoch = node->epoch;
    event.upto = node->disk.written_frames;
    queue_push(&sim->queue, &event);
    node->sync_planned = true;
}

static void queue_batch(struct sim *sim, struct node *node, const struct raft_batch *batch)
{
    GROW(node->disk_jobs, node->disk_job_count, node->disk_job_capacity);
    struct disk_job *job = &node->disk_jobs[node->disk_job_count];
    job->batch = *batch;
    job->first = batch->entry_count > 0 ? batch->entries[0]->index : 0;
    job->written = false;
    job->frame = 0;
    node->disk_job_count++;
    plan_write(sim, node);
}

/* What the core takes for durable is, and nothing on its way to the disk replaces it. */
static void check_persisted(struct sim *sim, const struct node *node)
{
    const struct raft *core = node_core(node);
    const struct disk_log *durable = &node->disk.durable;
    raft_index persisted = raft_persisted_index(core);
    raft_term term;
    if (raft_pending_snapshot(core) != 0 || persisted <= durable->base ||
        !raft_log_term_at(core, persisted, &term)) {
        return;
    }
    bool durable_now =
        persisted <= disk_log_last(durable) && disk_log_term(durable, persisted) == term;
    bool replaced = false;
    for (uint32_t i = 0; i < node->disk_job_count; i++) {
        raft_index first = node->disk_jobs[i].first;
        replaced = replaced || (first != 0 && first <= persisted);
    }
    if (!durable_now || replaced) {
        sim_fail(sim,
                 "durability: node %" PRIu64 " takes entry %" PRIu64
                 " for durable, but the disk %s it",
                 node->id, persisted, replaced ? "is about to replace" : "does not have");
    }
}

static void install(struct sim *sim, struct node *node, const struct raft_snapshot *snapshot)
{
    drop_apply_jobs(sim, node);
    if (snapshot->index > node->machine.applied) {
        machine_restore(&node->machine, snapshot);
        history_check_machine(sim, node, &node->machine);
        sim->counts.restores++;
    }
}

/* The batch is durable: its answers leave, the host is told. */
static void complete(struct sim *sim, struct node *node, struct raft_batch *batch)
{
    if (batch->snapshot != NULL) {
        install(sim, node, batch->snapshot);
    }
    bool send_first = random_chance(&sim->random, 1, 2);
    if (send_first) {
        send_messages(sim, node, batch->responses, batch->response_count);
    }
    if (crash_point(node)) {
        return;
    }
    raft_host_persisted(node->host, batch, node_clock(sim, node));
    after_step(sim, node);
    check_persisted(sim, node);
    if (!send_first) {
        send_messages(sim, node, batch->responses, batch->response_count);
    }
    queue_committed(sim, node, batch); /* what was held back, when synchronous */
}

/* Completes in order what needs no more waiting. */
static void complete_jobs(struct sim *sim, struct node *node)
{
    while (node->disk_job_count > 0 && !node->crashing) {
        struct disk_job *job = &node->disk_jobs[0];
        bool sync = job->batch.sync || job->batch.snapshot != NULL;
        if (!job->written || (sync && job->frame > node->disk.durable_frames)) {
            break;
        }
        struct raft_batch batch = job->batch;
        REMOVE_FIRST(node->disk_jobs, node->disk_job_count);
        complete(sim, node, &batch);
        raft_batch_deinit(&batch);
    }
    bool waits = node->disk_job_count > 0 && node->disk_jobs[0].written;
    if (waits && !node->sync_planned) {
        plan_sync(sim, node);
    }
    if (node->take_planned || !node_up(node) || node->crashing) {
        return;
    }
    plan_take(sim, node); /* a synchronous node waited for this */
}

static void write_frame(struct node *node, struct disk_job *job)
{
    struct raft_batch *batch = &job->batch;
    if (!has_write(batch)) {
        job->frame = node->disk.written_frames;
        return;
    }
    struct disk_frame frame;
    memset(&frame, 0, sizeof(frame));
    frame.has_hard_state = batch->hard_state_changed;
    frame.hard_state = batch->hard_state;
    frame.entries = batch->entries;
    frame.entry_count = batch->entry_count;
    frame.snapshot = batch->snapshot != NULL ? raft_snapshot_ref(batch->snapshot) : NULL;
    batch->entries = NULL;
    batch->entry_count = 0;
    disk_write(&node->disk, &frame);
    job->frame = node->disk.written_frames;
}

/* The disk takes some of the batches that wait. */
static void write_some(struct sim *sim, struct node *node)
{
    uint32_t count = (uint32_t)random_between(&sim->random, 1, 4);
    for (uint32_t i = 0; i < node->disk_job_count && count > 0; i++) {
        struct disk_job *job = &node->disk_jobs[i];
        if (job->written) {
            continue;
        }
        if (crash_point(node)) {
            return;
        }
        write_frame(node, job);
        job->written = true;
        count--;
    }
    plan_write(sim, node);
    complete_jobs(sim, node);
}

static void sync_some(struct sim *sim, struct node *node, uint64_t upto)
{
    if (crash_point(node)) {
        return;
    }
    disk_sync(&node->disk, upto);
    check_persisted(sim, node);
    if (crash_point(node)) {
        return;
    }
    complete_jobs(sim, node);
}

/* ---- Batches ---- */

static void record_entries(struct sim *sim, struct node *node, const struct raft_batch *batch)
{
    for (uint32_t i = 0; i < batch->entry_count; i++) {
        raft_term previous = 0;
        if (i > 0) {
            previous = batch->entries[i - 1]->term;
        } else {
            bool known = raft_log_term_at(node_core(node), batch->entries[i]->index - 1, &previous);
            ASSERT(known);
        }
        history_write(sim, node, batch->entries[i], previous);
    }
}

/* Configurations take effect when applied, so whoever has an entry must have what it was told with
 * the entry about the ones before: both are in one write. */
static void check_commit_written(struct sim *sim, const struct node *node,
                                 const struct raft_batch *batch)
{
    if (batch->entry_count > 0 &&
        batch->hard_state.commit != raft_committed_index(node_core(node))) {
        sim_fail(sim,
                 "node %" PRIu64 " writes entries with commit %" PRIu64 ", but knows of %" PRIu64,
                 node->id, batch->hard_state.commit, raft_committed_index(node_core(node)));
    }
}

/* Memory that others could make grow: entries are kept for the cache, or until they are durable and
 * applied, and a turn sends no more than its events can ask for. */
static void check_memory(struct sim *sim, struct node *node, const struct raft_batch *batch)
{
    const struct raft *core = node_core(node);
    raft_index kept = raft_persisted_index(core) < raft_applied_index(core)
                          ? raft_persisted_index(core)
                          : raft_applied_index(core);
    uint64_t bytes_max =
        sim->profile.host.cache_bytes_max + (raft_last_index(core) - kept + 1) * ENTRY_COST_MAX;
    if (raft_host_cache_bytes(node->host) > bytes_max) {
        sim_fail(sim, "memory: node %" PRIu64 " keeps %" PRIu64 " bytes of entries", node->id,
                 raft_host_cache_bytes(node->host));
    }
    uint64_t messages = (uint64_t)batch->message_count + batch->response_count;
    if (messages > (uint64_t)MESSAGES_PER_STEP_MAX * (node->turn_steps + 1)) {
        sim_fail(sim, "memory: node %" PRIu64 " sends %" PRIu64 " messages after %u steps",
                 node->id, messages, node->turn_steps);
    }
    node->turn_steps = 0;
}

static void trace_batch(struct sim *sim, const struct node *node, const struct raft_batch *batch)
{
    sim_trace(sim,
              "%" PRIu64 " batch: term=%" PRIu64 " vote=%" PRIu64 " commit=%" PRIu64
              " entries=%u snapshot=%d sync=%d messages=%u responses=%u committed=%u",
              node->id, batch->hard_state.term, batch->hard_state.vote, batch->hard_state.commit,
              batch->entry_count, batch->snapshot != NULL, batch->sync, batch->message_count,
              batch->response_count, batch->committed_count);
    sim_note(sim, batch->hard_state.term << 32 ^ batch->hard_state.commit);
    sim_note(sim, (uint64_t)batch->entry_count << 40 ^ (uint64_t)batch->message_count << 20 ^
                      batch->response_count);
}

static void take(struct sim *sim, struct node *node)
{
    bool asynchronous = sim->profile.host.asynchronous;
    if (!asynchronous && (node->disk_job_count > 0 || node->apply_job_count > 0)) {
        return; /* one batch at a time; its end plans the next */
    }
    if (raft_more(node_core(node))) {
        struct raft_event event = {.type = RAFT_EVENT_MORE};
        (void)node_step(sim, node, &event);
    }
    if (!raft_host_pending(node->host) || crash_point(node)) {
        return;
    }
    struct raft_batch batch;
    raft_host_take(node->host, &batch);
    trace_batch(sim, node, &batch);
    record_entries(sim, node, &batch);
    check_commit_written(sim, node, &batch);
    check_memory(sim, node, &batch);
    send_messages(sim, node, batch.messages, batch.message_count);
    for (uint32_t i = 0; i < batch.read_count; i++) {
        answer_reads(sim, node, &batch.reads[i]);
    }
    if (crash_point(node)) {
        raft_batch_deinit(&batch);
        return;
    }
    if (asynchronous) {
        queue_committed(sim, node, &batch);
    }
    bool nothing = !has_write(&batch) && batch.response_count == 0 && !batch.receipt_due;
    if (nothing && asynchronous) {
        raft_batch_deinit(&batch);
    } else {
        queue_batch(sim, node, &batch);
    }
    plan_take(sim, node);
}

/* ---- Events ---- */

static void wake(struct sim *sim, struct node *node)
{
    if (node_clock(sim, node) >= raft_deadline(node_core(node))) {
        struct raft_event event = {.type = RAFT_EVENT_TIMER};
        (void)node_step(sim, node, &event);
    } else {
        plan_wake(sim, node);
    }
}

static void deliver(struct sim *sim, struct node *node, struct raft_message *message)
{
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    event.message = message;
    sim_trace(sim, "%" PRIu64 " receives %s", node->id, sim_message_text(message));
    enum raft_result result = node_step(sim, node, &event);
    if (result != RAFT_STEP_OK) {
        sim_trace(sim, "%" PRIu64 " %s", node->id, raft_result_text(result));
    }
}

static void report(struct sim *sim, struct node *node, const struct event *what)
{
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_STATUS};
    if (what->type == EVENT_UNREACHABLE) {
        event.type = RAFT_EVENT_UNREACHABLE;
        event.unreachable = what->report.peer;
    } else {
        event.snapshot_status.id = what->report.peer;
        event.snapshot_status.ok = what->report.ok;
    }
    (void)node_step(sim, node, &event);
}

void node_handle(struct sim *sim, struct node *node, struct event *event)
{
    switch (event->type) {
    case EVENT_DELIVER:
        deliver(sim, node, &event->message);
        break;
    case EVENT_WAKE:
        node->wake_at = NEVER;
        wake(sim, node);
        break;
    case EVENT_TAKE:
        node->take_planned = false;
        take(sim, node);
        break;
    case EVENT_WRITE:
        node->write_planned = false;
        write_some(sim, node);
        break;
    case EVENT_SYNC:
        node->sync_planned = false;
        sync_some(sim, node, event->upto);
        break;
    case EVENT_APPLY:
        node->apply_planned = false;
        apply_some(sim, node);
        if (!node->crashing) {
            plan_apply(sim, node);
            plan_take(sim, node);
        }
        break;
    case EVENT_REPORT:
    case EVENT_UNREACHABLE:
        report(sim, node, event);
        break;
    case EVENT_RESTART:
    case EVENT_ACTION:
    case EVENT_NEMESIS:
        UNREACHABLE();
    }
    if (node->crashing) {
        node_crash(sim, node);
    }
}

/* ---- Flushing and compaction ---- */

void node_flush(struct sim *sim, struct node *node)
{
    (void)sim;
    if (node->machine.applied > node->disk.flushed.applied) {
        node->disk.flushed = node->machine;
    }
}

void node_compact(struct sim *sim, struct node *node, uint64_t keep)
{
    raft_index index = node->disk.flushed.applied;
    if (index > raft_applied_index(node_core(node))) {
        index = raft_applied_index(node_core(node));
    }
    if (index < keep || index - keep <= node->disk.written.base ||
        raft_pending_snapshot(node_core(node)) != 0) {
        return;
    }
    struct disk_frame frame;
    memset(&frame, 0, sizeof(frame));
    frame.compacted = index - keep;
    if (frame.compacted > disk_log_last(&node->disk.written)) {
        return; /* a snapshot that is not written yet */
    }
    sim_trace(sim, "%" PRIu64 " compacts up to %" PRIu64, node->id, frame.compacted);
    disk_write(&node->disk, &frame);
    raft_host_compacted(node->host, index - keep, node_clock(sim, node));
    after_step(sim, node);
}

/* ---- Lives ---- */

void node_create(struct sim *sim, struct node *node, const struct machine *machine)
{
    ASSERT(node->incarnation == 0);
    sim->next_incarnation++;
    node->incarnation = sim->next_incarnation;
    disk_init(&node->disk, machine);
    node->granted_term = 0;
}

void node_damage(struct sim *sim, struct node *node, bool keep_machine)
{
    ASSERT(!node_up(node));
    struct machine machine = {0};
    if (keep_machine) {
        machine = node->disk.flushed;
    }
    node_wipe(sim, node);
    node_create(sim, node, &machine);
    node->damaged = true;
    node->disk.durable_hard_state.term = machine.term;
    node->disk.durable_hard_state.commit = machine.applied;
    sim_trace(sim, "%" PRIu64 " has disk %" PRIu64 " now, at entry %" PRIu64, node->id,
              node->incarnation, machine.applied);
}

void node_wipe(struct sim *sim, struct node *node)
{
    ASSERT(!node_up(node));
    sim_trace(sim, "%" PRIu64 " loses its disk", node->id);
    disk_deinit(&node->disk);
    node->incarnation = 0;
    node->damaged = false;
}

static void fill_options(struct sim *sim, struct node *node, struct raft_host_options *options)
{
    *options = sim->profile.host;
    options->core.id = node->id;
    options->core.incarnation = sim->profile.identity ? node->incarnation : 0;
    options->core.seed = random_u64(&sim->random);
    options->storage = &host_storage;
    options->storage_arg = node;
    if (sim_traced(sim)) {
        trace_args[node->place].sim = sim;
        trace_args[node->place].node = node;
        options->core.trace_level = RAFT_TRACE_DEBUG;
        options->trace = on_trace;
        options->trace_arg = &trace_args[node->place];
    }
}

/* What a start would find on the disk. The arrays are the caller's to free. */
static void fill_start(const struct node *node, struct raft_start *start,
                       struct raft_term_run **runs, raft_index **configurations)
{
    const struct disk_log *log = &node->disk.durable;
    memset(start, 0, sizeof(*start));
    start->hard_state = node->disk.durable_hard_state;
    start->base = log->base;
    start->base_term = log->base_term;
    start->applied = node->disk.flushed.applied;
    start->configuration = node->disk.flushed.configuration;
    start->last = disk_log_last(log);
    start->restarted = node->epoch > 0;
    *runs = mem_new_array(struct raft_term_run, log->count + 1);
    *configurations = mem_new_array(raft_index, log->count + 1);
    for (raft_index index = log->base + 1; index <= start->last; index++) {
        const struct raft_entry *entry = disk_log_at(log, index);
        if (start->run_count == 0 || (*runs)[start->run_count - 1].term != entry->term) {
            (*runs)[start->run_count].first = index;
            (*runs)[start->run_count].term = entry->term;
            start->run_count++;
        }
        if (index > start->applied && entry->type != RAFT_ENTRY_NORMAL) {
            (*configurations)[start->configuration_count] = index;
            start->configuration_count++;
        }
    }
    start->runs = *runs;
    start->configurations = *configurations;
}

static void reset_life(struct sim *sim, struct node *node)
{
    node->stopped = false;
    node->crashing = false;
    node->crash_in = 0;
    node->take_planned = false;
    node->write_planned = false;
    node->sync_planned = false;
    node->apply_planned = false;
    node->wake_at = NEVER;
    node->paused_until = 0;
    node->read_id = 0;
    node->reads_ready = 0;
    node->local_base = random_between(&sim->random, 1, 1000 * SIM_ELECTION_TIMEOUT);
    node->global_base = sim->now;
}

void node_start(struct sim *sim, struct node *node)
{
    ASSERT(!node_up(node));
    ASSERT(node->incarnation != 0);
    reset_life(sim, node);
    struct raft_host_options options;
    fill_options(sim, node, &options);
    struct raft_start start;
    struct raft_term_run *runs;
    raft_index *configurations;
    fill_start(node, &start, &runs, &configurations);
    sim_trace(sim,
              "%" PRIu64 " starts: term=%" PRIu64 " vote=%" PRIu64 " commit=%" PRIu64
              " base=%" PRIu64 " applied=%" PRIu64 " last=%" PRIu64,
              node->id, start.hard_state.term, start.hard_state.vote, start.hard_state.commit,
              start.base, start.applied, start.last);
    node->machine = node->disk.flushed;
    node->host = raft_host_new(&options, &start, node_clock(sim, node));
    mem_free(runs);
    mem_free(configurations);
    const struct raft *core = node_core(node);
    node->seen_role = RAFT_FOLLOWER;
    node->seen_term = raft_hard_state(core).term;
    node->seen_committed = raft_committed_index(core);
    if (node->machine.applied >= sim->history.base) {
        history_check_machine(sim, node, &node->machine);
        history_commit(sim, node, node->machine.applied, node->seen_committed);
    }
    plan_wake(sim, node);
    plan_take(sim, node);
}

static void end_life(struct node *node)
{
    raft_host_free(node->host);
    node->host = NULL;
    node->epoch++;
    for (uint32_t i = 0; i < node->disk_job_count; i++) {
        raft_batch_deinit(&node->disk_jobs[i].batch);
    }
    for (uint32_t i = 0; i < node->apply_job_count; i++) {
        apply_job_deinit(&node->apply_jobs[i]);
    }
    node->disk_job_count = 0;
    node->apply_job_count = 0;
    node->read_count = 0;
}

void node_crash(struct sim *sim, struct node *node)
{
    ASSERT(node_up(node));
    uint32_t kept = (uint32_t)random_between(&sim->random, 0, node->disk.frame_count);
    sim_trace(sim, "%" PRIu64 " crashes; %u of %u unsynced frames are kept", node->id, kept,
              node->disk.frame_count);
    sim_note(sim, kept);
    sim->counts.crashes++;
    end_life(node);
    disk_crash(&node->disk, kept);
    plan(sim, node, EVENT_RESTART, sim->now + sim_duration(sim, sim->profile.restart_max));
}

void node_deinit(struct node *node)
{
    if (node_up(node)) {
        end_life(node);
    }
    if (node->incarnation != 0) {
        disk_deinit(&node->disk);
    }
    mem_free(node->disk_jobs);
    mem_free(node->apply_jobs);
    mem_free(node->reads);
}
