/*
 * Sending snapshots: the transport's stream asks for chunks, a worker reads them.
 *
 * A failure is told to the core only after a pause that doubles, for the core would try again at
 * the member's next sign of life. Invariants:
 *
 * 1. There is one `sending` per member, from the core's wish until its end is told or it is
 *    cancelled.
 * 2. One job of it is under way at a time, and it is freed when none is.
 */
#include "node/snapshots.h"

#include "base/assert.h"
#include "base/memory.h"
#include "storage/snapshot_check.h"

#include <inttypes.h>

/* One snapshot to one member. */
struct sending {
    struct list_link link; /* in snapshots->sends until it is over */
    rr_node *node;
    raft_id to;
    struct snapshot *files; /* held */
    struct snapshot_info info;
    struct snapshot_send *stream; /* NULL before and after */
    struct deadline report;       /* until the core is told of the failure */
    uint64_t started_us;

    struct worker_job job; /* reads chunk `next` */
    bool reading;
    bool over; /* freed when the job is done */
    uint64_t next;
    uint64_t asked; /* one past the last chunk asked for */
    struct buffer chunk;
    struct snapshot_check check;
    bool in_use; /* the damage that the check has found is in a file of the state's, too */
    rr_status status;
    struct storage_error error;
};

/* A member that snapshots could not be sent to lately. */
struct send_backoff {
    struct list_link link; /* in snapshots->backoffs */
    raft_id to;
    uint32_t failures;
};

static struct send_backoff *backoff_of(rr_node *node, raft_id to)
{
    LIST_FOREACH(link, &node->snapshots->backoffs) {
        struct send_backoff *backoff = CONTAINER_OF(link, struct send_backoff, link);
        if (backoff->to == to) {
            return backoff;
        }
    }
    struct send_backoff *backoff = mem_new(struct send_backoff);
    backoff->to = to;
    list_push_back(&node->snapshots->backoffs, &backoff->link);
    return backoff;
}

static void forget_backoff(rr_node *node, raft_id to)
{
    struct send_backoff *backoff = backoff_of(node, to);
    list_remove(&backoff->link);
    mem_free(backoff);
}

static uint64_t next_pause_us(rr_node *node, raft_id to)
{
    struct send_backoff *backoff = backoff_of(node, to);
    uint64_t pause_ms = SEND_BACKOFF_MIN_MS;
    for (uint32_t at = 0; at < backoff->failures && pause_ms < SEND_BACKOFF_MAX_MS; at++) {
        pause_ms *= 2;
    }
    backoff->failures++;
    return (pause_ms < SEND_BACKOFF_MAX_MS ? pause_ms : SEND_BACKOFF_MAX_MS) * 1000;
}

static void sending_free(struct sending *sending)
{
    ASSERT(sending->over);
    if (!sending->reading) {
        snapshot_release(sending->files);
        snapshot_check_deinit(&sending->check);
        buffer_deinit(&sending->chunk);
        mem_free(sending);
    }
}

/* It is over: nothing is told any more. */
static void sending_end(struct sending *sending)
{
    list_remove(&sending->link);
    deadline_clear(&sending->node->deadlines, &sending->report);
    sending->over = true;
    sending_free(sending);
}

static void tell_core(rr_node *node, raft_id to, bool ok)
{
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_STATUS};
    event.snapshot_status.id = to;
    event.snapshot_status.ok = ok;
    (void)node_step(node, &event);
    snapshots_purge(node); /* it may have held the log */
}

static void report_failure(void *arg)
{
    struct sending *sending = arg;
    rr_node *node = sending->node;
    raft_id to = sending->to;
    sending_end(sending);
    if (node_alive(node)) {
        tell_core(node, to, false);
    }
}

/* The stream has failed or cannot begin. */
static void fail(struct sending *sending, const char *reason)
{
    rr_node *node = sending->node;
    node->snapshots->counters.send_failures_total++;
    LOG_WARN(&node->logger, "the snapshot at entry %" PRIu64 " did not get to node %" PRIu64 ": %s",
             sending->info.position.index, sending->to, reason);
    deadline_set(&node->deadlines, &sending->report,
                 node_now_us(node) + next_pause_us(node, sending->to), report_failure, sending);
}

/* ---- Chunks ---- */

static void read_on_worker(void *arg)
{
    struct sending *sending = arg;
    uint64_t checksum; /* the stream has its own */
    sending->in_use = false;
    sending->status = snapshot_read_chunk(sending->files, sending->next, &sending->chunk, &checksum,
                                          &sending->error);
    if (sending->status == RR_OK) {
        sending->status =
            snapshot_check_chunk(&sending->check, sending->next, buffer_bytes(&sending->chunk),
                                 &sending->in_use, &sending->error);
    }
}

static void read_done(void *arg);

static void read_next(struct sending *sending)
{
    sending->reading = true;
    sending->job.run = read_on_worker;
    sending->job.done = read_done;
    sending->job.arg = sending;
    worker_submit(sending->node->worker, &sending->job);
}

static void read_done(void *arg)
{
    struct sending *sending = arg;
    rr_node *node = sending->node;
    sending->reading = false;
    if (sending->over) {
        sending_free(sending);
        return;
    }
    if (sending->stream == NULL) {
        return; /* the stream has ended meanwhile */
    }
    if (sending->status != RR_OK) {
        LOG_ERROR(&node->logger, "cannot read the snapshot: %s", sending->error.text);
        if (sending->status == RR_CORRUPT) {
            snapshots_damaged(node, sending->files, sending->in_use, sending->error.text);
        }
    } else {
        node->snapshots->counters.sent_bytes_total += sending->chunk.size;
    }
    uint64_t chunk = sending->next;
    sending->next++;
    if (sending->status == RR_OK && sending->next < sending->asked) {
        struct buffer bytes = sending->chunk;
        buffer_init(&sending->chunk);
        read_next(sending);
        snapshot_send_supply(sending->stream, chunk, RR_OK, buffer_bytes(&bytes));
        buffer_deinit(&bytes);
        return;
    }
    snapshot_send_supply(sending->stream, chunk, sending->status, buffer_bytes(&sending->chunk));
}

static void stream_read(void *arg, struct snapshot_send *send, uint64_t chunk)
{
    struct sending *sending = arg;
    (void)send;
    if (sending->asked == 0) {
        sending->next = chunk; /* the receiver has those before already */
    }
    sending->asked = chunk + 1;
    if (!sending->reading) {
        read_next(sending);
    }
}

static void count_success(const struct sending *sending)
{
    rr_node *node = sending->node;
    node->snapshots->counters.sent_total++;
    LOG_INFO(&node->logger,
             "the snapshot at entry %" PRIu64 " is at node %" PRIu64 ", after %" PRIu64 " ms",
             sending->info.position.index, sending->to,
             (node_now_us(node) - sending->started_us) / 1000);
}

static void stream_done(void *arg, struct snapshot_send *send, rr_status status, const char *reason)
{
    struct sending *sending = arg;
    rr_node *node = sending->node;
    raft_id to = sending->to;
    (void)send;
    sending->stream = NULL;
    if (node->snapshots->stopped || !node_alive(node)) {
        sending_end(sending);
        return;
    }
    if (status != RR_OK) {
        fail(sending, reason[0] == 0 ? rr_status_name(status) : reason);
        return;
    }
    count_success(sending);
    forget_backoff(node, to);
    sending_end(sending);
    tell_core(node, to, true);
}

/* ---- Beginning and end ---- */

static struct sending *find(rr_node *node, raft_id to)
{
    LIST_FOREACH(link, &node->snapshots->sends) {
        struct sending *sending = CONTAINER_OF(link, struct sending, link);
        if (sending->to == to) {
            return sending;
        }
    }
    return NULL;
}

static void cancel(struct sending *sending)
{
    if (sending->stream != NULL) {
        snapshot_send_cancel(sending->stream);
        sending->stream = NULL;
    }
    sending_end(sending);
}

static void start_stream(struct sending *sending, const struct raft_message *message)
{
    rr_node *node = sending->node;
    struct snapshot_send_options options = {
        .to = sending->to,
        .message = message,
        .manifest = snapshot_manifest(sending->files),
        .chunk_count = sending->info.chunk_count,
        .bytes_per_second_max = node->options.public.snapshot_bytes_per_s,
        .read = stream_read,
        .done = stream_done,
        .arg = sending,
    };
    rr_status status = snapshot_send_start(node->peers, &options, &sending->stream);
    if (status != RR_OK) {
        sending->stream = NULL;
        fail(sending, rr_status_name(status));
        return;
    }
    LOG_INFO(&node->logger,
             "sending the snapshot at entry %" PRIu64 " to node %" PRIu64 ": %" PRIu64 " bytes",
             sending->info.position.index, sending->to, sending->info.size);
}

void snapshots_send(rr_node *node, const struct raft_message *message)
{
    struct snapshots *snapshots = node->snapshots;
    struct sending *before = find(node, message->to);
    if (before != NULL) {
        cancel(before);
    }
    struct sending *sending = mem_new(struct sending);
    sending->node = node;
    sending->to = message->to;
    sending->started_us = node_now_us(node);
    buffer_init(&sending->chunk);
    list_push_back(&snapshots->sends, &sending->link);
    if (snapshots->latest == NULL || snapshots->description->index != message->snapshot->index) {
        sending->info.position.index = message->snapshot->index;
        fail(sending, "a newer one took its place");
        return;
    }
    sending->files = snapshot_hold(snapshots->latest);
    snapshot_check_init(&sending->check, sending->files);
    sending->info = snapshots->latest_info;
    start_stream(sending, message);
}

/* The member has caught up, often by this very snapshot: its acknowledgement may overtake the
 * stream's own. */
void snapshots_cancel(rr_node *node, raft_id id)
{
    struct sending *sending = find(node, id);
    if (sending != NULL && sending->stream != NULL &&
        snapshot_send_progress(sending->stream) == sending->info.chunk_count) {
        count_success(sending);
    }
    if (sending != NULL) {
        cancel(sending);
    }
    forget_backoff(node, id);
}

raft_index sends_floor(const rr_node *node)
{
    raft_index floor = UINT64_MAX;
    LIST_FOREACH(link, &node->snapshots->sends) {
        const struct sending *sending = CONTAINER_OF(link, struct sending, link);
        if (sending->stream != NULL && sending->info.position.index < floor) {
            floor = sending->info.position.index;
        }
    }
    return floor;
}

void sends_stop(rr_node *node)
{
    LIST_FOREACH_SAFE(link, &node->snapshots->sends) {
        cancel(CONTAINER_OF(link, struct sending, link));
    }
}

void sends_close(rr_node *node)
{
    struct list_link *link;
    ASSERT(list_empty(&node->snapshots->sends));
    while ((link = list_pop_front(&node->snapshots->backoffs)) != NULL) {
        mem_free(CONTAINER_OF(link, struct send_backoff, link));
    }
}
