/*
 * Receiving a snapshot: the transport hands over chunks, a worker writes them; once all is verified
 * the leader's message goes to the core, which has it installed in the same turn.
 *
 * Invariants:
 * 1. One job at a time: the beginning, each chunk in order, the end, the clearing up.
 * 2. `receive` is NULL once the stream has ended; what is written is then kept for the next one.
 */
#include "node/members_meta.h"
#include "node/snapshots.h"

#include "base/assert.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>

enum receiving_step {
    RECEIVING_BEGIN,
    RECEIVING_CHUNKS,
    RECEIVING_FINISH,
    RECEIVING_CLOSE, /* of a stream that has ended too early */
};

struct received_chunk {
    uint64_t number;
    struct buffer bytes;
};

/* One snapshot on its way in. */
struct receiving {
    rr_node *node;
    struct snapshot_receive *receive; /* NULL: the stream is gone */
    raft_id from;
    struct raft_message message; /* its own copy */
    struct buffer manifest;
    uint64_t chunk_count;
    enum receiving_step step;
    bool finish_wanted;
    bool waits_for_install;

    struct received_chunk chunks[SNAPSHOT_WINDOW]; /* a ring: those not written yet */
    uint32_t chunk_first;
    uint32_t chunks_waiting;

    struct worker_job job;
    bool working;
    struct snapshot_writer *writer;
    struct snapshot *snapshot; /* complete */
    rr_status status;
    struct storage_error error;
};

static void receiving_free(struct receiving *receiving)
{
    ASSERT(!receiving->working);
    ASSERT(receiving->writer == NULL);
    raft_message_deinit(&receiving->message);
    buffer_deinit(&receiving->manifest);
    for (uint32_t at = 0; at < SNAPSHOT_WINDOW; at++) {
        buffer_deinit(&receiving->chunks[at].bytes);
    }
    snapshot_release(receiving->snapshot);
    receiving->node->snapshots->receiving = NULL;
    mem_free(receiving);
}

/* ---- Work ---- */

static void run_begin(struct receiving *receiving)
{
    receiving->status =
        snapshot_writer_begin(receiving->node->snapshots->store, buffer_bytes(&receiving->manifest),
                              &receiving->error, &receiving->writer);
    if (receiving->status == RR_CONFLICT) { /* it is here already, whole */
        receiving->snapshot = snapshot_store_latest(receiving->node->snapshots->store);
    }
}

static void run(void *arg)
{
    struct receiving *receiving = arg;
    struct received_chunk *chunk = &receiving->chunks[receiving->chunk_first];
    receiving->status = RR_OK;
    switch (receiving->step) {
    case RECEIVING_BEGIN:
        run_begin(receiving);
        return;
    case RECEIVING_CHUNKS: {
        rr_bytes bytes = buffer_bytes(&chunk->bytes);
        receiving->status =
            snapshot_writer_chunk(receiving->writer, chunk->number, bytes,
                                  snapshot_chunk_checksum(chunk->number, bytes), &receiving->error);
        return;
    }
    case RECEIVING_FINISH:
        receiving->status =
            snapshot_writer_finish(receiving->writer, &receiving->error, &receiving->snapshot);
        receiving->writer = NULL;
        return;
    case RECEIVING_CLOSE:
        snapshot_writer_close(receiving->writer);
        receiving->writer = NULL;
        return;
    }
    UNREACHABLE();
}

static void ran(void *arg);

static void work(struct receiving *receiving, enum receiving_step step)
{
    ASSERT(!receiving->working);
    receiving->step = step;
    receiving->working = true;
    receiving->job.run = run;
    receiving->job.done = ran;
    receiving->job.arg = receiving;
    worker_submit(receiving->node->worker, &receiving->job);
}

/* The stream has ended: puts everything away, in the background if there is a file open. */
static void clear_up(struct receiving *receiving)
{
    if (receiving->working || receiving->waits_for_install) {
        return;
    }
    if (receiving->writer == NULL) {
        receiving_free(receiving);
    } else if (receiving->node->snapshots->stopped) {
        return; /* receive_close does it: the workers are ending */
    } else {
        work(receiving, RECEIVING_CLOSE);
    }
}

static void fail(struct receiving *receiving, rr_status status, const char *reason)
{
    rr_node *node = receiving->node;
    node->snapshots->counters.receive_failures_total++;
    LOG_WARN(&node->logger, "cannot take the snapshot of node %" PRIu64 ": %s: %s", receiving->from,
             rr_status_name(status), reason);
    if (receiving->receive != NULL) {
        snapshot_receive_fail(receiving->receive, status, reason);
    } else {
        clear_up(receiving); /* no end of a stream will do it */
    }
}

/* ---- Steps ---- */

/* Whether what was announced and what the files say is one thing. */
static bool positions_agree(struct receiving *receiving)
{
    struct snapshot_info info;
    if (receiving->snapshot != NULL) {
        snapshot_info(receiving->snapshot, &info);
    } else {
        snapshot_writer_info(receiving->writer, &info);
    }
    return info.position.index == receiving->message.snapshot->index &&
           info.position.term == receiving->message.snapshot->term &&
           info.chunk_count == receiving->chunk_count;
}

static uint64_t left_to_receive(const struct receiving *receiving)
{
    struct snapshot_info info;
    snapshot_writer_info(receiving->writer, &info);
    uint64_t have = snapshot_writer_next(receiving->writer) * info.chunk_bytes;
    return have < info.size ? info.size - have : 0;
}

static void begun(struct receiving *receiving)
{
    bool is_here = receiving->status == RR_CONFLICT && receiving->snapshot != NULL;
    if (receiving->status != RR_OK && !is_here) {
        fail(receiving, receiving->status, receiving->error.text);
        return;
    }
    if (!positions_agree(receiving)) {
        fail(receiving, RR_CORRUPT, "the message and the manifest are of different snapshots");
        return;
    }
    if (!is_here && !space_has(receiving->node, left_to_receive(receiving))) {
        fail(receiving, RR_NO_SPACE, "the disk has too little space left");
        return;
    }
    uint64_t next = is_here ? receiving->chunk_count : snapshot_writer_next(receiving->writer);
    receiving->step = RECEIVING_CHUNKS;
    LOG_INFO(&receiving->node->logger,
             "receiving the snapshot at entry %" PRIu64 " from node %" PRIu64 ": chunk %" PRIu64
             " of %" PRIu64,
             receiving->message.snapshot->index, receiving->from, next, receiving->chunk_count);
    snapshot_receive_resume(receiving->receive, next);
}

static void wrote_chunk(struct receiving *receiving)
{
    struct received_chunk *chunk = &receiving->chunks[receiving->chunk_first];
    if (receiving->status != RR_OK) {
        fail(receiving, receiving->status, receiving->error.text);
        return;
    }
    receiving->node->snapshots->counters.received_bytes_total += chunk->bytes.size;
    uint64_t number = chunk->number;
    buffer_deinit(&chunk->bytes);
    receiving->chunk_first = (receiving->chunk_first + 1) % SNAPSHOT_WINDOW;
    receiving->chunks_waiting--;
    if (receiving->chunks_waiting > 0) {
        work(receiving, RECEIVING_CHUNKS);
    }
    snapshot_receive_ack(receiving->receive, number);
}

/* Whether it is a state of this cluster, with the members that the message announced. */
static bool is_of_cluster(const struct receiving *receiving)
{
    struct members_meta *meta = mem_new(struct members_meta);
    bool is =
        members_meta_decode(snapshot_meta(receiving->snapshot), meta) == RR_OK &&
        meta->cluster == receiving->node->self.cluster &&
        raft_configuration_equal(&meta->configuration, &receiving->message.snapshot->configuration);
    mem_free(meta);
    return is;
}

/* Everything is there and verified: the core decides. */
static void hand_to_core(struct receiving *receiving)
{
    rr_node *node = receiving->node;
    struct snapshots *snapshots = node->snapshots;
    if (!is_of_cluster(receiving)) {
        fail(receiving, RR_MISMATCH, "it does not hold the members that it was announced with");
        return;
    }
    snapshots->counters.received_total++;
    snapshots_refresh(node);
    snapshot_release(snapshots->installing);
    snapshots->installing = receiving->snapshot;
    receiving->snapshot = NULL;
    receiving->waits_for_install = true;
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    event.message = &receiving->message;
    enum raft_result result = node_step(node, &event);
    if (result != RAFT_STEP_OK) {
        LOG_WARN(&node->logger, "the snapshot is not wanted: %s", raft_result_text(result));
    }
    if (raft_pending_snapshot(node_core(node)) != receiving->message.snapshot->index) {
        receive_installed(node); /* the core needs it no more, and has said so to the leader */
    }
}

static void finished(struct receiving *receiving)
{
    if (receiving->status != RR_OK) {
        fail(receiving, receiving->status, receiving->error.text);
        return;
    }
    hand_to_core(receiving);
}

static void ran(void *arg)
{
    struct receiving *receiving = arg;
    rr_node *node = receiving->node;
    receiving->working = false;
    bool alive = node_alive(node) && !node->snapshots->stopped;
    if (receiving->receive == NULL && alive && receiving->step == RECEIVING_FINISH &&
        receiving->status == RR_OK) {
        finished(receiving); /* the sender did not wait, but all of it is here */
        return;
    }
    if (receiving->receive == NULL) {
        clear_up(receiving);
        return;
    }
    if (!alive) {
        return; /* the stream ends with the node */
    }
    switch (receiving->step) {
    case RECEIVING_BEGIN:
        begun(receiving);
        break;
    case RECEIVING_CHUNKS:
        wrote_chunk(receiving);
        break;
    case RECEIVING_FINISH:
        finished(receiving);
        break;
    case RECEIVING_CLOSE:
        break;
    }
}

void receive_installed(rr_node *node)
{
    struct snapshots *snapshots = node->snapshots;
    struct receiving *receiving = snapshots->receiving;
    snapshot_release(snapshots->installing);
    snapshots->installing = NULL;
    if (receiving == NULL || !receiving->waits_for_install) {
        return;
    }
    receiving->waits_for_install = false;
    if (receiving->receive != NULL) {
        snapshot_receive_finish(receiving->receive, RR_OK, "");
    } else {
        clear_up(receiving);
    }
}

/* ---- What the transport calls ---- */

/* Why the offer is refused; NULL: it is taken. */
static const char *refuse_offer(rr_node *node, const struct hello *from,
                                const struct raft_message *message, rr_status *status)
{
    *status = RR_MISMATCH;
    if (message->to != node->options.public.node_id || message->from != from->node ||
        message->group != NODE_GROUP || !raft_message_valid(message)) {
        return "the snapshot is not for this node";
    }
    *status = RR_CONFLICT;
    if (message->term < raft_hard_state(node_core(node)).term) {
        return "its sender leads no more";
    }
    if (message->snapshot->index <= raft_committed_index(node_core(node))) {
        return "this node has all of it already";
    }
    *status = RR_BUSY;
    if (node->snapshots->receiving != NULL) {
        return "another one is being put away";
    }
    return NULL;
}

static void on_begin(void *arg, struct snapshot_receive *receive, const struct hello *from,
                     const struct raft_message *message, rr_bytes manifest, uint64_t chunk_count)
{
    rr_node *node = arg;
    rr_status status;
    if (!node_alive(node) || node->snapshots->stopped) {
        snapshot_receive_fail(receive, RR_CLOSED, "the node is stopping");
        return;
    }
    const char *refusal = refuse_offer(node, from, message, &status);
    if (refusal != NULL) {
        if (status == RR_CONFLICT) { /* the core's answer tells the leader where this node is */
            struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
            event.message = message;
            (void)node_step(node, &event);
        }
        snapshot_receive_fail(receive, status, refusal);
        return;
    }
    struct receiving *receiving = mem_new(struct receiving);
    receiving->node = node;
    receiving->receive = receive;
    receiving->from = message->from;
    receiving->chunk_count = chunk_count;
    raft_message_copy(message, &receiving->message);
    buffer_init(&receiving->manifest);
    buffer_append(&receiving->manifest, manifest.data, manifest.size);
    node->snapshots->receiving = receiving;
    snapshot_receive_set_context(receive, receiving);
    if (receiving->manifest.failed) {
        fail(receiving, RR_NO_MEMORY, "no memory for the manifest");
        return;
    }
    work(receiving, RECEIVING_BEGIN);
}

static void on_chunk(void *arg, struct snapshot_receive *receive, uint64_t number, rr_bytes bytes)
{
    struct receiving *receiving = snapshot_receive_context(receive);
    (void)arg;
    ASSERT(receiving != NULL);
    ASSERT(receiving->chunks_waiting < SNAPSHOT_WINDOW);
    uint32_t at = (receiving->chunk_first + receiving->chunks_waiting) % SNAPSHOT_WINDOW;
    struct received_chunk *chunk = &receiving->chunks[at];
    chunk->number = number;
    buffer_init(&chunk->bytes);
    buffer_append(&chunk->bytes, bytes.data, bytes.size);
    if (chunk->bytes.failed) {
        fail(receiving, RR_NO_MEMORY, "no memory for a chunk");
        return;
    }
    receiving->chunks_waiting++;
    if (!receiving->working) {
        work(receiving, RECEIVING_CHUNKS);
    }
}

static void on_finish(void *arg, struct snapshot_receive *receive)
{
    struct receiving *receiving = snapshot_receive_context(receive);
    (void)arg;
    ASSERT(receiving != NULL);
    ASSERT(!receiving->working);
    if (receiving->snapshot != NULL) {
        hand_to_core(receiving);
    } else {
        work(receiving, RECEIVING_FINISH);
    }
}

static void on_end(void *arg, struct snapshot_receive *receive, rr_status status)
{
    struct receiving *receiving = snapshot_receive_context(receive);
    (void)arg;
    (void)status;
    if (receiving != NULL) {
        receiving->receive = NULL;
        clear_up(receiving);
    }
}

const struct snapshot_receive_callbacks snapshots_receive_callbacks = {
    .begin = on_begin,
    .chunk = on_chunk,
    .finish = on_finish,
    .end = on_end,
};

void receive_close(rr_node *node)
{
    struct receiving *receiving = node->snapshots->receiving;
    if (receiving == NULL) {
        return;
    }
    ASSERT(receiving->receive == NULL);
    receiving->waits_for_install = false;
    snapshot_writer_close(receiving->writer);
    receiving->writer = NULL;
    receiving_free(receiving);
}
