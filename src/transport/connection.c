/*
 * A stream with frames: finds them in what arrives, shakes hands, then hands them on. Invariants:
 *
 * 1. Until the handshake is done, frames are small and at most one is taken.
 * 2. While paused nothing is read, so `leftover` holds at most one read's bytes.
 * 3. A connection is freed when its stream has ended, or at the end of the turn in which it was
 *    abandoned: whoever called back into its owner may still stand on it.
 */
#include "transport/transport_private.h"

#include "base/assert.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum connection_state {
    CONNECTION_WAITS_FOR_HELLO,
    CONNECTION_WAITS_FOR_WELCOME,
    CONNECTION_OPEN,
    CONNECTION_ENDING, /* `status` and `reason` say why */
};

struct connection {
    struct transport *transport;
    struct stream *stream;
    const struct connection_callbacks *callbacks; /* NULL once abandoned */
    void *arg;
    enum connection_state state;
    bool inbound;
    bool introduced; /* `other` is set */
    struct hello own;
    struct hello other;
    struct frame_parser parser;
    struct timer *handshake_timer; /* NULL once done */
    unsigned paused;               /* PAUSED_* */
    struct buffer leftover;        /* read, but not looked at because of a pause */
    struct deferred redeliver;
    struct deferred reap;
    rr_status status;
    char reason[HANDSHAKE_REASON_BYTES_MAX];
};

static void connection_free(void *arg)
{
    struct connection *connection = arg;
    loop_defer_cancel(&connection->redeliver);
    loop_defer_cancel(&connection->reap);
    timer_close(connection->handshake_timer);
    frame_parser_deinit(&connection->parser);
    buffer_deinit(&connection->leftover);
    mem_free(connection);
}

/* Notes the first reason for the end. */
static void begin_ending(struct connection *connection, rr_status status, const char *reason)
{
    if (connection->state == CONNECTION_OPEN) {
        connection->transport->counters.connections_lost++;
    }
    if (connection->state != CONNECTION_ENDING) {
        connection->state = CONNECTION_ENDING;
        connection->status = status;
        snprintf(connection->reason, sizeof(connection->reason), "%s", reason);
    }
}

void connection_close(struct connection *connection, rr_status status, const char *reason)
{
    begin_ending(connection, status, reason);
    stream_close(connection->stream);
}

void connection_finish(struct connection *connection)
{
    begin_ending(connection, RR_CLOSED, "closed by this side");
    stream_finish(connection->stream);
}

void connection_abandon(struct connection *connection)
{
    if (connection == NULL) {
        return;
    }
    begin_ending(connection, RR_CLOSED, "abandoned");
    connection->callbacks = NULL;
    stream_abandon(connection->stream);
    connection->stream = NULL;
    timer_close(connection->handshake_timer);
    connection->handshake_timer = NULL;
    loop_defer(connection->transport->loop, &connection->reap);
}

static void stream_closed(void *arg, rr_status status, const char *reason)
{
    struct connection *connection = arg;
    begin_ending(connection, status, reason);
    connection->callbacks->closed(connection->arg, connection->status, connection->reason);
    connection_free(connection);
}

static void stream_drained(void *arg)
{
    struct connection *connection = arg;
    if (connection->state == CONNECTION_OPEN && connection->callbacks->drained != NULL) {
        connection->callbacks->drained(connection->arg);
    }
}

/* A line about the other side of `connection`, limited. */
static void log_limited(struct connection *connection, struct log_limiter *limiter,
                        const char *what, const char *why)
{
    struct transport *transport = connection->transport;
    uint64_t suppressed = 0;
    if (log_limiter_pass(limiter, loop_now_ms(transport->loop), &suppressed)) {
        char others[48] = "";
        if (suppressed > 0) {
            snprintf(others, sizeof(others), "; %" PRIu64 " like it not shown", suppressed);
        }
        LOG_WARN(&transport->logger, "%s %s (%s): %s%s", what, stream_peer_text(connection->stream),
                 connection->introduced ? connection->other.address : "unknown", why, others);
    }
}

static void handshake_time_over(void *arg)
{
    struct connection *connection = arg;
    connection->transport->counters.handshake_timeouts++;
    connection_close(connection, RR_TIMEOUT, "no handshake in time");
}

/* What came is not our protocol, or is damaged. */
static void not_understood(struct connection *connection, const char *why)
{
    struct transport *transport = connection->transport;
    if (connection->state == CONNECTION_OPEN) {
        transport->counters.corrupt_frames++;
        log_limited(connection, &transport->protocol_log, "dropped the connection with", why);
    } else {
        transport->counters.garbage++;
        log_limited(connection, &transport->garbage_log, "dropped what is no peer of ours,", why);
    }
    connection_close(connection, RR_CORRUPT, why);
}

void connection_protocol_error(struct connection *connection, const char *text)
{
    if (connection->state != CONNECTION_OPEN) {
        return;
    }
    struct transport *transport = connection->transport;
    transport->counters.malformed++;
    log_limited(connection, &transport->protocol_log, "dropped the connection with", text);
    connection_close(connection, RR_CORRUPT, text);
}

static bool known_type(uint8_t type)
{
    return (type >= FRAME_HELLO && type <= FRAME_REJECT) || type == FRAME_RAFT ||
           (type >= FRAME_REQUEST && type <= FRAME_USER_MESSAGE) ||
           (type >= FRAME_SNAPSHOT_BEGIN && type <= FRAME_SNAPSHOT_RESULT);
}

void connection_unexpected(struct connection *connection, const struct frame *frame)
{
    if (known_type(frame->type)) {
        connection_protocol_error(connection, "a frame that has no place here");
    } else {
        connection->transport->counters.unknown_frames++;
    }
}

static rr_status send_frames(struct connection *connection, struct buffer *frames, uint64_t count)
{
    uint64_t size = frames->size;
    rr_status status = stream_write(connection->stream, frames);
    if (status == RR_OK) {
        connection->transport->counters.frames_sent += count;
        connection->transport->counters.bytes_sent += size;
    }
    return status;
}

rr_status connection_send(struct connection *connection, struct buffer *frames, uint64_t count)
{
    return connection->state == CONNECTION_OPEN ? send_frames(connection, frames, count)
                                                : RR_CLOSED;
}

/* Frames of the handshake fit into any queue; without memory the connection ends. */
static void send_hello(struct connection *connection, enum frame_type type,
                       const struct hello *hello)
{
    struct buffer *buffer = transport_scratch(connection->transport);
    size_t start = frame_begin(buffer, type, 0);
    hello_encode(hello, buffer);
    frame_end(buffer, start);
    rr_status status = send_frames(connection, buffer, 1);
    if (status != RR_OK) {
        connection_close(connection, status, "no memory for the handshake");
    }
}

/* Tells the owner that one side refused the other. */
static void report_refusal(struct connection *connection, bool by_us, rr_status status,
                           const char *reason)
{
    const struct transport_options *options = &connection->transport->options;
    if (options->refused == NULL) {
        return;
    }
    struct refusal refusal = {
        .by_us = by_us,
        .inbound = connection->inbound,
        .own = &connection->own,
        .other = connection->introduced ? &connection->other : NULL,
        .status = status,
        .reason = reason,
    };
    options->refused(options->refused_arg, &refusal);
}

/* Refuses the other side: tells it, logs it, ends. */
static void reject(struct connection *connection, rr_status status, const char *reason)
{
    struct transport *transport = connection->transport;
    transport->counters.rejected_by_us++;
    log_limited(connection, &transport->reject_log,
                connection->inbound ? "refused the connection from" : "gave up the connection to",
                reason);
    struct buffer *buffer = transport_scratch(transport);
    size_t start = frame_begin(buffer, FRAME_REJECT, 0);
    reject_encode(status, reason, buffer);
    frame_end(buffer, start);
    begin_ending(connection, RR_MISMATCH, reason);
    if (send_frames(connection, buffer, 1) == RR_OK) {
        stream_finish(connection->stream);
    } else {
        stream_close(connection->stream);
    }
    report_refusal(connection, true, status, reason);
}

static void become_open(struct connection *connection)
{
    timer_close(connection->handshake_timer);
    connection->handshake_timer = NULL;
    connection->state = CONNECTION_OPEN;
    frame_parser_limit(&connection->parser, FRAME_BODY_BYTES_MAX);
    if (connection->inbound) {
        connection->transport->counters.connections_accepted++;
    } else {
        connection->transport->counters.connections_opened++;
    }
    if (connection->callbacks->opened != NULL) {
        connection->callbacks->opened(connection->arg);
    }
}

/* The rules, then the owner. */
static rr_status judge(struct connection *connection, uint16_t *version,
                       char reason[HANDSHAKE_REASON_BYTES_MAX])
{
    const struct transport_options *options = &connection->transport->options;
    rr_status status = hello_check(&connection->own, &connection->other, version, reason);
    if (status == RR_OK && options->accept != NULL) {
        snprintf(reason, HANDSHAKE_REASON_BYTES_MAX, "not accepted");
        status =
            options->accept(options->accept_arg, &connection->other, connection->inbound, reason);
    }
    return status;
}

static bool introduce(struct connection *connection, const struct frame *frame)
{
    rr_status status = hello_decode(frame->body, &connection->other);
    connection->introduced = status == RR_OK;
    if (status != RR_OK) {
        not_understood(connection, "a hello that makes no sense");
    }
    return status == RR_OK;
}

static void receive_hello(struct connection *connection, const struct frame *frame)
{
    if (frame->type != FRAME_HELLO) {
        not_understood(connection, "it does not begin with a hello");
        return;
    }
    if (!introduce(connection, frame)) {
        return;
    }
    connection->own = transport_hello(connection->transport, connection->other.class);
    uint16_t version = 0;
    char reason[HANDSHAKE_REASON_BYTES_MAX];
    rr_status status = judge(connection, &version, reason);
    if (connection->state == CONNECTION_ENDING) {
        return;
    }
    if (status != RR_OK) {
        reject(connection, status, reason);
        return;
    }
    struct hello welcome = connection->own;
    welcome.version_min = version;
    welcome.version_max = version;
    send_hello(connection, FRAME_WELCOME, &welcome);
    if (connection->state != CONNECTION_ENDING) {
        become_open(connection);
    }
}

static void receive_reject(struct connection *connection, const struct frame *frame)
{
    rr_status status;
    char reason[HANDSHAKE_REASON_BYTES_MAX];
    if (reject_decode(frame->body, &status, reason) != RR_OK) {
        not_understood(connection, "a rejection that makes no sense");
        return;
    }
    connection->transport->counters.rejected_by_other++;
    char text[HANDSHAKE_REASON_BYTES_MAX];
    snprintf(text, sizeof(text), "refused: %.240s", reason);
    log_limited(connection, &connection->transport->reject_log, "we are refused by", reason);
    connection_close(connection, RR_MISMATCH, text);
    report_refusal(connection, false, status, reason);
}

static void receive_welcome(struct connection *connection, const struct frame *frame)
{
    if (frame->type == FRAME_REJECT) {
        receive_reject(connection, frame);
        return;
    }
    if (frame->type != FRAME_WELCOME) {
        not_understood(connection, "no welcome for our hello");
        return;
    }
    if (!introduce(connection, frame)) {
        return;
    }
    uint16_t version = 0;
    char reason[HANDSHAKE_REASON_BYTES_MAX];
    rr_status status = judge(connection, &version, reason);
    if (connection->state == CONNECTION_ENDING) {
        return;
    }
    if (status != RR_OK) {
        reject(connection, status, reason);
    } else {
        become_open(connection);
    }
}

static void receive(struct connection *connection, const struct frame *frame)
{
    connection->transport->counters.frames_received++;
    switch (connection->state) {
    case CONNECTION_WAITS_FOR_HELLO:
        receive_hello(connection, frame);
        return;
    case CONNECTION_WAITS_FOR_WELCOME:
        receive_welcome(connection, frame);
        return;
    case CONNECTION_OPEN:
        if (frame->type == FRAME_REJECT) {
            receive_reject(connection, frame);
        } else {
            connection->callbacks->frame(connection->arg, frame);
        }
        return;
    case CONNECTION_ENDING:
        return;
    }
    UNREACHABLE();
}

static const char *parser_failure_text(rr_status failed)
{
    switch (failed) {
    case RR_TOO_BIG:
        return "a frame over the limit";
    case RR_NO_MEMORY:
        return "no memory for a frame";
    default:
        return "bytes that are no frame, or damaged";
    }
}

/* Hands on the frames in `input` until a pause; what is left then is kept. */
static void deliver(struct connection *connection, rr_bytes input)
{
    struct frame frame;
    while (connection->state != CONNECTION_ENDING && connection->paused == 0 &&
           frame_parser_next(&connection->parser, &input, &frame)) {
        receive(connection, &frame);
    }
    if (connection->state == CONNECTION_ENDING) {
        return;
    }
    if (connection->parser.failed != RR_OK) {
        not_understood(connection, parser_failure_text(connection->parser.failed));
        return;
    }
    buffer_append(&connection->leftover, input.data, input.size);
    if (connection->leftover.failed) {
        connection_close(connection, RR_NO_MEMORY, "no memory for what was read");
    }
}

static void stream_read(void *arg, rr_bytes bytes)
{
    struct connection *connection = arg;
    connection->transport->counters.bytes_received += bytes.size;
    deliver(connection, bytes);
}

/* A pause is over: first what was read before it. */
static void redeliver(void *arg)
{
    struct connection *connection = arg;
    struct buffer leftover = connection->leftover;
    buffer_init(&connection->leftover);
    deliver(connection, buffer_bytes(&leftover));
    buffer_deinit(&leftover);
    if (connection->state != CONNECTION_ENDING && connection->paused == 0) {
        stream_resume(connection->stream);
    }
}

void connection_pause(struct connection *connection, unsigned why)
{
    connection->paused |= why;
    if (connection->state != CONNECTION_ENDING) {
        stream_pause(connection->stream);
        loop_defer_cancel(&connection->redeliver);
    }
}

void connection_resume(struct connection *connection, unsigned why)
{
    bool was_paused = connection->paused != 0;
    connection->paused &= ~why;
    if (was_paused && connection->paused == 0 && connection->state != CONNECTION_ENDING) {
        loop_defer(connection->transport->loop, &connection->redeliver);
    }
}

static const struct stream_callbacks stream_callbacks = {
    .read = stream_read,
    .drained = stream_drained,
    .closed = stream_closed,
};

static struct connection *connection_new(struct transport *transport, struct stream *stream,
                                         size_t queue_bytes_max,
                                         const struct connection_callbacks *callbacks, void *arg)
{
    struct connection *connection = mem_new(struct connection);
    connection->transport = transport;
    connection->stream = stream;
    connection->callbacks = callbacks;
    connection->arg = arg;
    connection->redeliver.fn = redeliver;
    connection->redeliver.arg = connection;
    connection->reap.fn = connection_free;
    connection->reap.arg = connection;
    frame_parser_init(&connection->parser, HANDSHAKE_BYTES_MAX);
    buffer_init(&connection->leftover);
    connection->handshake_timer = timer_open(transport->loop, handshake_time_over, connection);
    timer_start(connection->handshake_timer, transport->options.handshake_timeout_ms);
    stream_start(stream, &stream_callbacks, connection, queue_bytes_max);
    return connection;
}

struct connection *connection_from_connect(struct transport *transport, struct stream *stream,
                                           const struct hello *own, size_t queue_bytes_max,
                                           const struct connection_callbacks *callbacks, void *arg)
{
    struct connection *connection =
        connection_new(transport, stream, queue_bytes_max, callbacks, arg);
    connection->own = *own;
    connection->state = CONNECTION_WAITS_FOR_WELCOME;
    send_hello(connection, FRAME_HELLO, own);
    return connection;
}

struct connection *connection_from_accept(struct transport *transport, struct stream *stream,
                                          size_t queue_bytes_max,
                                          const struct connection_callbacks *callbacks, void *arg)
{
    struct connection *connection =
        connection_new(transport, stream, queue_bytes_max, callbacks, arg);
    connection->inbound = true;
    connection->state = CONNECTION_WAITS_FOR_HELLO;
    return connection;
}

const struct hello *connection_other(const struct connection *connection)
{
    return connection->introduced ? &connection->other : NULL;
}

bool connection_usable(const struct connection *connection)
{
    return connection->state == CONNECTION_OPEN;
}

uint64_t connection_accepted(const struct connection *connection)
{
    return stream_accepted(connection->stream);
}

uint64_t connection_written(const struct connection *connection)
{
    return stream_written(connection->stream);
}

size_t connection_queued(const struct connection *connection)
{
    return stream_queued(connection->stream);
}

const char *connection_peer_text(const struct connection *connection)
{
    return stream_peer_text(connection->stream);
}
