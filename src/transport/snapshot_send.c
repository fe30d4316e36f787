/*
 * The sender of a snapshot: BEGIN, the receiver's RESUME, chunks within the window, FINISH when all
 * are acknowledged, the receiver's RESULT. Invariants:
 *
 * 1. acked <= supplied <= asked <= chunk_count, and asked - acked <= SNAPSHOT_WINDOW.
 * 2. It is freed at the end of a turn only, for it may be on the stack of its own `read`.
 */
#include "base/assert.h"
#include "base/checksum.h"
#include "base/codec.h"
#include "base/memory.h"
#include "transport/transport_private.h"
#include "transport/wire.h"

#include <stdio.h>

enum send_state {
    SEND_CONNECTING,
    SEND_OFFERED, /* waits for RESUME */
    SEND_CHUNKS,
    SEND_FINISHING, /* waits for RESULT */
    SEND_ENDED,     /* `done` is due, unless silent */
};

struct snapshot_send {
    struct list_link link; /* in peer->sends until it has ended */
    struct transport *transport;
    struct dialer dialer;
    enum send_state state;
    struct buffer offer; /* the BEGIN frame, until it is sent */
    void (*read)(void *arg, struct snapshot_send *send, uint64_t chunk);
    void (*done)(void *arg, struct snapshot_send *send, rr_status status, const char *reason);
    void *arg;
    uint64_t chunk_count;
    uint64_t asked;    /* the next chunk to ask the source for */
    uint64_t supplied; /* the next chunk that the source is to supply */
    uint64_t acked;    /* the next chunk that the receiver is to acknowledge */
    uint64_t bytes_per_second_max;
    uint64_t next_read_us; /* the rate allows no read before */
    struct timer *rate;
    struct timer *stall;
    struct deferred end;
    bool silent; /* `done` has run, or is not wanted */
    rr_status status;
    char reason[HANDSHAKE_REASON_BYTES_MAX];
};

/* Stops everything and leaves the rest to the end of the turn. */
static void end_send(struct snapshot_send *send, rr_status status, const char *reason)
{
    if (send->state == SEND_ENDED) {
        return;
    }
    send->state = SEND_ENDED;
    send->status = status;
    snprintf(send->reason, sizeof(send->reason), "%s", reason);
    if (status == RR_OK) {
        send->transport->counters.snapshots_sent++;
    } else {
        send->transport->counters.snapshots_failed++;
    }
    dialer_deinit(&send->dialer);
    timer_stop(send->rate);
    timer_stop(send->stall);
    loop_defer(send->transport->loop, &send->end);
}

static void run_done(struct snapshot_send *send)
{
    if (!send->silent) {
        send->silent = true;
        send->done(send->arg, send, send->status, send->reason);
    }
}

static void send_over(void *arg)
{
    struct snapshot_send *send = arg;
    run_done(send);
    if (list_contains(&send->link)) {
        list_remove(&send->link);
    }
    timer_close(send->rate);
    timer_close(send->stall);
    buffer_deinit(&send->offer);
    mem_free(send);
}

void snapshot_send_end_first(struct list *sends)
{
    struct snapshot_send *send = CONTAINER_OF(list_front(sends), struct snapshot_send, link);
    list_remove(&send->link);
    end_send(send, RR_CLOSED, "given up by this side");
    run_done(send);
}

void snapshot_send_cancel(struct snapshot_send *send)
{
    send->silent = true;
    end_send(send, RR_CLOSED, "cancelled");
}

uint64_t snapshot_send_progress(const struct snapshot_send *send)
{
    return send->acked;
}

static void stalled(void *arg)
{
    end_send(arg, RR_TIMEOUT, "no progress");
}

static void expect_progress(struct snapshot_send *send, uint64_t extra_ms)
{
    timer_start(send->stall, send->transport->options.stall_timeout_ms + extra_ms);
}

static bool transmit(struct snapshot_send *send, struct buffer *frame)
{
    rr_status status = connection_send(send->dialer.connection, frame, 1);
    if (status != RR_OK) {
        end_send(send, status == RR_CLOSED ? RR_IO : status, "cannot queue a frame");
    }
    return status == RR_OK;
}

static void send_finish(struct snapshot_send *send)
{
    send->state = SEND_FINISHING;
    struct buffer *frame = transport_scratch(send->transport);
    frame_end(frame, frame_begin(frame, FRAME_SNAPSHOT_FINISH, 0));
    if (transmit(send, frame)) {
        timer_start(send->stall, send->transport->options.finish_timeout_ms);
    }
}

/* Whether the rate allows a read now; else the timer will. */
static bool rate_allows(struct snapshot_send *send)
{
    uint64_t now_us = loop_now_us(send->transport->loop);
    if (now_us >= send->next_read_us) {
        return true;
    }
    uint64_t wait_ms = (send->next_read_us - now_us + 999) / 1000;
    timer_start(send->rate, wait_ms);
    if (send->asked == send->acked) {
        expect_progress(send, wait_ms);
    }
    return false;
}

/* Asks the source for what the window and the rate allow. `read` may supply at once, and may end
 * the stream. */
static void ask(struct snapshot_send *send)
{
    while (send->state == SEND_CHUNKS && send->asked < send->chunk_count &&
           send->asked - send->acked < SNAPSHOT_WINDOW && rate_allows(send)) {
        uint64_t chunk = send->asked++;
        /* Until its size is known, the largest: the rate holds for a source that answers late. */
        if (send->bytes_per_second_max > 0) {
            uint64_t now_us = loop_now_us(send->transport->loop);
            send->next_read_us = now_us > send->next_read_us ? now_us : send->next_read_us;
            send->next_read_us +=
                (uint64_t)SNAPSHOT_CHUNK_BYTES_MAX * 1000000 / send->bytes_per_second_max;
        }
        send->read(send->arg, send, chunk);
    }
    if (send->state == SEND_CHUNKS && send->acked == send->chunk_count) {
        send_finish(send);
    }
}

static void rate_due(void *arg)
{
    ask(arg);
}

void snapshot_send_supply(struct snapshot_send *send, uint64_t chunk, rr_status status,
                          rr_bytes bytes)
{
    if (send->state == SEND_ENDED) {
        return;
    }
    ASSERT(send->state == SEND_CHUNKS);
    ASSERT(chunk == send->supplied);
    ASSERT(chunk < send->asked);
    if (status != RR_OK) {
        end_send(send, status, "the source failed");
        return;
    }
    ASSERT(bytes.size > 0);
    ASSERT(bytes.size <= SNAPSHOT_CHUNK_BYTES_MAX);
    send->supplied++;
    if (send->bytes_per_second_max > 0) {
        uint64_t unused = SNAPSHOT_CHUNK_BYTES_MAX - bytes.size;
        send->next_read_us -= unused * 1000000 / send->bytes_per_second_max;
        if (timer_running(send->rate)) {
            timer_start(send->rate, 0); /* it counted on a full chunk */
        }
    }
    struct buffer *frame = transport_scratch(send->transport);
    size_t start = frame_begin(frame, FRAME_SNAPSHOT_CHUNK, 0);
    put_u64(frame, chunk);
    put_u64(frame, checksum64_seeded(bytes.data, bytes.size, chunk));
    put_raw(frame, bytes.data, bytes.size);
    frame_end(frame, start);
    if (transmit(send, frame)) {
        send->transport->counters.snapshot_chunks_sent++;
    }
}

static void receive_resume(struct snapshot_send *send, struct reader *reader)
{
    uint64_t chunk = reader_u64(reader);
    if (send->state != SEND_OFFERED || reader->failed || chunk > send->chunk_count) {
        end_send(send, RR_CORRUPT, "a position to resume at that makes no sense");
        return;
    }
    send->asked = chunk;
    send->supplied = chunk;
    send->acked = chunk;
    send->state = SEND_CHUNKS;
    expect_progress(send, 0);
    ask(send);
}

static void receive_ack(struct snapshot_send *send, struct reader *reader)
{
    uint64_t chunk = reader_u64(reader);
    if (send->state != SEND_CHUNKS || reader->failed || chunk != send->acked ||
        chunk >= send->supplied) {
        end_send(send, RR_CORRUPT, "an acknowledgement that makes no sense");
        return;
    }
    send->acked++;
    expect_progress(send, 0);
    ask(send);
}

static void receive_result(struct snapshot_send *send, rr_bytes body)
{
    struct reader reader;
    reader_init(&reader, body);
    uint8_t number = reader_u8(&reader);
    if (!reader.failed && number == RR_OK) {
        bool finished = send->state == SEND_FINISHING;
        end_send(send, finished ? RR_OK : RR_CORRUPT, finished ? "" : "a result before the end");
        return;
    }
    rr_status status;
    char reason[HANDSHAKE_REASON_BYTES_MAX];
    if (reject_decode(body, &status, reason) != RR_OK) {
        end_send(send, RR_CORRUPT, "a result that makes no sense");
        return;
    }
    end_send(send, status, reason);
}

static void send_frame_received(void *arg, const struct frame *frame)
{
    struct snapshot_send *send = arg;
    struct reader reader;
    reader_init(&reader, frame->body);
    switch (frame->type) {
    case FRAME_SNAPSHOT_RESUME:
        receive_resume(send, &reader);
        return;
    case FRAME_SNAPSHOT_ACK:
        receive_ack(send, &reader);
        return;
    case FRAME_SNAPSHOT_RESULT:
        receive_result(send, frame->body);
        return;
    default:
        connection_unexpected(send->dialer.connection, frame);
    }
}

static void send_opened(void *arg)
{
    struct snapshot_send *send = arg;
    send->state = SEND_OFFERED;
    if (transmit(send, &send->offer)) {
        buffer_deinit(&send->offer);
        expect_progress(send, 0);
    }
}

static void send_failed(void *arg, rr_status status, const char *reason, uint64_t written,
                        const struct hello *other)
{
    bool kept = status == RR_MISMATCH || status == RR_CORRUPT || status == RR_TIMEOUT;
    end_send(arg, kept ? status : RR_IO, reason);
}

static const struct dialer_callbacks send_callbacks = {
    .opened = send_opened,
    .frame = send_frame_received,
    .failed = send_failed,
};

/* The BEGIN frame. */
static rr_status encode_offer(const struct snapshot_send_options *options, struct buffer *frame)
{
    struct buffer message;
    buffer_init(&message);
    rr_status status = wire_encode_message(options->message, &message);
    if (status == RR_OK) {
        size_t start = frame_begin(frame, FRAME_SNAPSHOT_BEGIN, 0);
        put_varint(frame, sizeof(uint64_t));
        put_u64(frame, options->chunk_count);
        put_bytes(frame, buffer_bytes(&message));
        put_bytes(frame, options->manifest);
        frame_end(frame, start);
        status = frame->failed ? RR_NO_MEMORY : RR_OK;
    }
    buffer_deinit(&message);
    return status;
}

/* A low rate must not look like a stall to the receiver. */
static uint64_t rate_within_reason(const struct transport *transport, uint64_t bytes_per_second_max)
{
    uint64_t least =
        (uint64_t)SNAPSHOT_CHUNK_BYTES_MAX * 2 * 1000 / transport->options.stall_timeout_ms + 1;
    return bytes_per_second_max > 0 && bytes_per_second_max < least ? least : bytes_per_second_max;
}

rr_status snapshot_send_start(struct peers *peers, const struct snapshot_send_options *options,
                              struct snapshot_send **out)
{
    struct peer *peer = peers_find(peers, options->to);
    if (peer == NULL) {
        return RR_NOT_FOUND;
    }
    if (options->manifest.size > SNAPSHOT_MANIFEST_BYTES_MAX ||
        wire_message_size_max(options->message) > MESSAGE_BYTES_MAX / 4) {
        return RR_TOO_BIG;
    }
    struct buffer offer;
    buffer_init(&offer);
    rr_status status = encode_offer(options, &offer);
    if (status != RR_OK) {
        buffer_deinit(&offer);
        return status;
    }
    struct transport *transport = peers->transport;
    struct snapshot_send *send = mem_new(struct snapshot_send);
    send->transport = transport;
    send->offer = offer;
    send->read = options->read;
    send->done = options->done;
    send->arg = options->arg;
    send->chunk_count = options->chunk_count;
    send->bytes_per_second_max = rate_within_reason(transport, options->bytes_per_second_max);
    send->rate = timer_open(transport->loop, rate_due, send);
    send->stall = timer_open(transport->loop, stalled, send);
    send->end.fn = send_over;
    send->end.arg = send;
    list_push_back(&peer->sends, &send->link);
    dialer_init(&send->dialer, transport, TRAFFIC_SNAPSHOT, &peer->address,
                transport->options.snapshot_queue_bytes_max, &send_callbacks, send);
    send->dialer.to_node = peer->id;
    send->dialer.to_incarnation = peer->incarnation;
    dialer_want(&send->dialer);
    *out = send;
    return RR_OK;
}
