/*
 * The receiver of a snapshot. Invariants:
 *
 * 1. acked <= next <= chunk_count, and next - acked <= SNAPSHOT_WINDOW.
 * 2. One that has not concluded is in listener->receives, alone in its group.
 * 3. After a result the connection stays until the sender has read it: closing with unread chunks
 *    in the socket would take the result away from it.
 */
#include "base/assert.h"
#include "base/checksum.h"
#include "base/codec.h"
#include "base/memory.h"
#include "transport/transport_private.h"
#include "transport/wire.h"

enum { LINGER_MS = 5000 };

enum receive_state {
    RECEIVE_OFFERED, /* the owner is to resume */
    RECEIVE_CHUNKS,
    RECEIVE_FINISHING, /* the owner is to finish */
    RECEIVE_CONCLUDED, /* `end` is due */
};

struct snapshot_receive {
    struct inbound *inbound; /* outlives it */
    raft_group group;
    void *context;
    enum receive_state state;
    uint64_t chunk_count;
    uint64_t next;  /* the chunk that comes next */
    uint64_t acked; /* the chunk that the owner answers next */
    struct timer *stall;
    struct deferred end;
    rr_status status;
};

static const struct snapshot_receive_callbacks *callbacks_of(const struct inbound *inbound)
{
    return &inbound->listener->callbacks->snapshot;
}

/* Its last callback. */
static void receive_over(void *arg)
{
    struct snapshot_receive *receive = arg;
    struct inbound *inbound = receive->inbound;
    inbound->receive = NULL;
    callbacks_of(inbound)->end(inbound->listener->arg, receive, receive->status);
    timer_close(receive->stall);
    mem_free(receive);
}

/* Frees the group for another; `end` comes later. */
static void conclude(struct snapshot_receive *receive, rr_status status)
{
    if (receive->state == RECEIVE_CONCLUDED) {
        return;
    }
    struct transport_counters *counters = &receive->inbound->transport->counters;
    if (status == RR_OK) {
        counters->snapshots_received++;
    } else {
        counters->snapshots_failed++;
    }
    receive->state = RECEIVE_CONCLUDED;
    receive->status = status;
    timer_stop(receive->stall);
    (void)map_remove(&receive->inbound->listener->receives, receive->group);
    loop_defer(receive->inbound->transport->loop, &receive->end);
}

static void end_now(struct inbound *inbound, rr_status status)
{
    struct snapshot_receive *receive = inbound->receive;
    if (receive != NULL) {
        conclude(receive, status);
        loop_defer_cancel(&receive->end);
        receive_over(receive);
    }
}

void inbound_end_receive(struct inbound *inbound, rr_status status)
{
    end_now(inbound, status == RR_OK ? RR_IO : status);
    timer_close(inbound->linger);
    inbound->linger = NULL;
}

static bool transmit(struct inbound *inbound, struct buffer *frame)
{
    rr_status status = connection_send(inbound->connection, frame, 1);
    if (status != RR_OK) {
        connection_close(inbound->connection, status, "cannot queue a frame");
    }
    return status == RR_OK;
}

static void linger_over(void *arg)
{
    struct inbound *inbound = arg;
    connection_close(inbound->connection, RR_CLOSED, "the snapshot is over");
}

/* The last frame of this side. */
static void send_result(struct inbound *inbound, rr_status status, const char *reason)
{
    struct buffer *frame = transport_scratch(inbound->transport);
    size_t start = frame_begin(frame, FRAME_SNAPSHOT_RESULT, 0);
    reject_encode(status, reason, frame);
    frame_end(frame, start);
    if (inbound->linger == NULL && transmit(inbound, frame)) {
        inbound->linger = timer_open(inbound->transport->loop, linger_over, inbound);
        timer_start(inbound->linger, LINGER_MS);
    }
}

static void expect_progress(struct snapshot_receive *receive)
{
    timer_start(receive->stall, receive->inbound->transport->options.stall_timeout_ms);
}

/* Whether it is this side's turn to say something. */
static bool owes(const struct snapshot_receive *receive)
{
    return receive->state == RECEIVE_OFFERED || receive->state == RECEIVE_FINISHING ||
           receive->acked < receive->next;
}

static void stalled(void *arg)
{
    struct snapshot_receive *receive = arg;
    if (owes(receive)) {
        expect_progress(receive);
        return;
    }
    connection_close(receive->inbound->connection, RR_TIMEOUT, "the snapshot makes no progress");
}

void snapshot_receive_resume(struct snapshot_receive *receive, uint64_t chunk)
{
    if (receive->state == RECEIVE_CONCLUDED) {
        return;
    }
    ASSERT(receive->state == RECEIVE_OFFERED);
    ASSERT(chunk <= receive->chunk_count);
    receive->state = RECEIVE_CHUNKS;
    receive->next = chunk;
    receive->acked = chunk;
    expect_progress(receive);
    struct buffer *frame = transport_scratch(receive->inbound->transport);
    size_t start = frame_begin(frame, FRAME_SNAPSHOT_RESUME, 0);
    put_u64(frame, chunk);
    frame_end(frame, start);
    (void)transmit(receive->inbound, frame);
}

void snapshot_receive_ack(struct snapshot_receive *receive, uint64_t chunk)
{
    if (receive->state == RECEIVE_CONCLUDED) {
        return;
    }
    ASSERT(receive->state == RECEIVE_CHUNKS);
    ASSERT(chunk == receive->acked);
    ASSERT(chunk < receive->next);
    receive->acked++;
    expect_progress(receive);
    struct buffer *frame = transport_scratch(receive->inbound->transport);
    size_t start = frame_begin(frame, FRAME_SNAPSHOT_ACK, 0);
    put_u64(frame, chunk);
    frame_end(frame, start);
    (void)transmit(receive->inbound, frame);
}

void snapshot_receive_finish(struct snapshot_receive *receive, rr_status status, const char *reason)
{
    if (receive->state == RECEIVE_CONCLUDED) {
        return;
    }
    ASSERT(receive->state == RECEIVE_FINISHING);
    send_result(receive->inbound, status, reason);
    conclude(receive, status);
}

void snapshot_receive_fail(struct snapshot_receive *receive, rr_status status, const char *reason)
{
    ASSERT(status != RR_OK);
    if (receive->state == RECEIVE_CONCLUDED) {
        return;
    }
    send_result(receive->inbound, status, reason);
    conclude(receive, status);
}

void snapshot_receive_set_context(struct snapshot_receive *receive, void *context)
{
    receive->context = context;
}

void *snapshot_receive_context(const struct snapshot_receive *receive)
{
    return receive->context;
}

/* Whether the group is free for a snapshot from this connection; one from the same node gives way:
 * its sender has begun anew. */
static bool make_way(struct inbound *inbound, raft_group group)
{
    struct snapshot_receive *receive = map_get(&inbound->listener->receives, group);
    if (receive == NULL) {
        return true;
    }
    struct inbound *holder = receive->inbound;
    if (holder->other.node == RAFT_NO_ID || holder->other.node != inbound->other.node) {
        return false;
    }
    connection_close(holder->connection, RR_CONFLICT, "another stream took its place");
    end_now(holder, RR_CONFLICT);
    return true;
}

static void offer(struct inbound *inbound, const struct raft_message *message, rr_bytes manifest,
                  uint64_t chunk_count)
{
    if (callbacks_of(inbound)->begin == NULL) {
        send_result(inbound, RR_INVALID, "no snapshots are taken here");
        return;
    }
    if (!make_way(inbound, message->group)) {
        send_result(inbound, RR_BUSY, "a snapshot from another node is on its way in");
        return;
    }
    struct snapshot_receive *receive = mem_new(struct snapshot_receive);
    receive->inbound = inbound;
    receive->group = message->group;
    receive->chunk_count = chunk_count;
    receive->end.fn = receive_over;
    receive->end.arg = receive;
    receive->stall = timer_open(inbound->transport->loop, stalled, receive);
    inbound->receive = receive;
    map_set(&inbound->listener->receives, receive->group, receive);
    expect_progress(receive);
    callbacks_of(inbound)->begin(inbound->listener->arg, receive, &inbound->other, message,
                                 manifest, chunk_count);
}

static void receive_begin(struct inbound *inbound, const struct frame *frame)
{
    struct reader reader;
    reader_init(&reader, frame->body);
    struct reader header;
    reader_init(&header, reader_bytes(&reader));
    uint64_t chunk_count = reader_u64(&header);
    rr_bytes message_bytes = reader_bytes(&reader);
    rr_bytes manifest = reader_bytes(&reader);
    if (reader.failed || header.failed || manifest.size > SNAPSHOT_MANIFEST_BYTES_MAX ||
        inbound->receive != NULL) {
        connection_protocol_error(inbound->connection, "an offer of a snapshot without sense");
        return;
    }
    struct raft_message message;
    rr_status status = wire_decode_message(message_bytes, &message);
    if (status == RR_NO_MEMORY) {
        send_result(inbound, RR_NO_MEMORY, "no memory for the message");
        return;
    }
    if (status != RR_OK) {
        connection_protocol_error(inbound->connection, "an offer of a snapshot without sense");
        return;
    }
    if (message.type == RAFT_MSG_SNAP) {
        offer(inbound, &message, manifest, chunk_count);
    } else {
        connection_protocol_error(inbound->connection, "an offer of what is no snapshot");
    }
    raft_message_deinit(&message);
}

static void receive_chunk(struct inbound *inbound, const struct frame *frame)
{
    struct snapshot_receive *receive = inbound->receive;
    struct reader reader;
    reader_init(&reader, frame->body);
    uint64_t chunk = reader_u64(&reader);
    uint64_t checksum = reader_u64(&reader);
    rr_bytes bytes = reader_raw(&reader, reader_left(&reader));
    if (receive == NULL || receive->state != RECEIVE_CHUNKS || reader.failed ||
        chunk != receive->next || chunk >= receive->chunk_count ||
        receive->next - receive->acked >= SNAPSHOT_WINDOW || bytes.size == 0 ||
        bytes.size > SNAPSHOT_CHUNK_BYTES_MAX) {
        connection_protocol_error(inbound->connection, "a chunk that has no place");
        return;
    }
    if (checksum64_seeded(bytes.data, bytes.size, chunk) != checksum) {
        connection_protocol_error(inbound->connection, "a chunk that fails its checksum");
        return;
    }
    receive->next++;
    inbound->transport->counters.snapshot_chunks_received++;
    expect_progress(receive);
    callbacks_of(inbound)->chunk(inbound->listener->arg, receive, chunk, bytes);
}

static void receive_finish(struct inbound *inbound)
{
    struct snapshot_receive *receive = inbound->receive;
    if (receive == NULL || receive->state != RECEIVE_CHUNKS ||
        receive->acked != receive->chunk_count) {
        connection_protocol_error(inbound->connection, "the end of a snapshot before its end");
        return;
    }
    receive->state = RECEIVE_FINISHING;
    callbacks_of(inbound)->finish(inbound->listener->arg, receive);
}

void inbound_snapshot_frame(struct inbound *inbound, const struct frame *frame)
{
    if (inbound->linger != NULL) {
        return; /* what the sender wrote before it read the result */
    }
    switch (frame->type) {
    case FRAME_SNAPSHOT_BEGIN:
        receive_begin(inbound, frame);
        return;
    case FRAME_SNAPSHOT_CHUNK:
        receive_chunk(inbound, frame);
        return;
    case FRAME_SNAPSHOT_FINISH:
        receive_finish(inbound);
        return;
    default:
        connection_unexpected(inbound->connection, frame);
    }
}
