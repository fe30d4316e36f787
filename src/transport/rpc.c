/*
 * The asking side: calls over a channel's connection. Invariants:
 *
 * 1. A call is in `unsent`, or in `handed` and `calls`, until the moment before its `done` runs.
 * 2. A call is handed to the connection only while little is queued there: of one whose deadline
 *    passes in `unsent`, it is certain that the peer never gets it.
 * 3. `done` is run last: it may remove the peer and with it the channel.
 */
#include "transport/rpc.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "transport/transport_private.h"

#include <string.h>

enum {
    HANDED_BYTES_MAX = 1024 * 1024, /* queued at the connection before calls wait in `unsent` */
    DEADLINE_GRAIN_MS = 5,          /* deadlines this close to one another end together */
};

/* A request without its answer yet. */
struct call {
    struct list_link link; /* in channel->unsent, or handed, or a list about to be reported */
    uint64_t number;
    uint16_t method;
    uint64_t deadline_ms;
    uint64_t end;       /* once handed: the connection has it when so many bytes are written */
    struct buffer body; /* until handed */
    size_t body_size;
    rpc_done_fn done;
    void *arg;
};

/* Takes the call out of the channel; it is the caller's to report. */
static void withdraw(struct channel *channel, struct call *call)
{
    ASSERT(channel->count > 0);
    ASSERT(channel->bytes >= call->body_size);
    list_remove(&call->link);
    (void)map_remove(&channel->calls, call->number);
    channel->count--;
    channel->bytes -= call->body_size;
    if (channel->count == 0) {
        channel->idle_ms = loop_now_ms(channel->transport->loop);
    }
}

/* The end of a call that is in no list. */
static void report(struct call *call, const struct rpc_result *result)
{
    rpc_done_fn done = call->done;
    void *arg = call->arg;
    buffer_deinit(&call->body);
    mem_free(call);
    done(arg, result);
}

/* Withdraws the calls of `from`, to be reported by report_all. */
static void withdraw_all(struct channel *channel, struct list *from, struct list *to)
{
    LIST_FOREACH_SAFE(link, from) {
        struct call *call = CONTAINER_OF(link, struct call, link);
        withdraw(channel, call);
        list_push_back(to, &call->link);
    }
}

static void report_all(struct list *calls, const struct rpc_result *result)
{
    struct list_link *link;
    while ((link = list_pop_front(calls)) != NULL) {
        report(CONTAINER_OF(link, struct call, link), result);
    }
}

static struct rpc_result failure(rr_status status, bool sent, const char *reason)
{
    return (struct rpc_result){.status = status, .sent = sent, .reason = reason};
}

/* Ends every call: those of which `written` says that the peer can have them with RR_UNKNOWN, the
 * others with `status`. */
static void end_all(struct channel *channel, rr_status status, const char *reason, uint64_t written,
                    const struct hello *other)
{
    struct list unsent;
    struct list unknown;
    list_init(&unsent);
    list_init(&unknown);
    LIST_FOREACH_SAFE(link, &channel->handed) {
        struct call *call = CONTAINER_OF(link, struct call, link);
        withdraw(channel, call);
        list_push_back(call->end <= written ? &unknown : &unsent, &call->link);
        if (call->end <= written) {
            channel->transport->counters.requests_unknown++;
        } else {
            channel->transport->counters.requests_failed++;
        }
    }
    channel->transport->counters.requests_failed += channel->count;
    withdraw_all(channel, &channel->unsent, &unsent);
    struct hello other_copy = {0};
    if (other != NULL) {
        other_copy = *other;
    }
    struct rpc_result result = failure(RR_UNKNOWN, true, reason);
    result.other = other == NULL ? NULL : &other_copy;
    report_all(&unknown, &result);
    result.status = status;
    result.sent = false;
    report_all(&unsent, &result);
}

/* Sets the timer to `due_ms`, unless it is due before. */
static void arm(struct channel *channel, uint64_t due_ms)
{
    if (due_ms >= channel->armed_ms) {
        return;
    }
    channel->armed_ms = due_ms;
    uint64_t now_ms = loop_now_ms(channel->transport->loop);
    timer_start(channel->deadlines, due_ms > now_ms ? due_ms - now_ms : 0);
}

/* The frame of a request, whose body follows the header to the end. */
static void encode_request(const struct call *call, rr_bytes body, uint64_t now_ms,
                           struct buffer *buffer)
{
    uint64_t left_ms = call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 0;
    size_t start = frame_begin(buffer, FRAME_REQUEST, 0);
    put_varint(buffer, sizeof(uint64_t) + sizeof(uint16_t) + sizeof(uint32_t));
    put_u64(buffer, call->number);
    put_u16(buffer, call->method);
    put_u32(buffer, left_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)left_ms);
    put_raw(buffer, body.data, body.size);
    frame_end(buffer, start);
}

/* Gives the call, which is in no list, to the connection. */
static rr_status hand(struct channel *channel, struct call *call, rr_bytes body)
{
    struct connection *connection = channel->dialer.connection;
    struct buffer *frame = transport_scratch(channel->transport);
    encode_request(call, body, loop_now_ms(channel->transport->loop), frame);
    rr_status status = connection_send(connection, frame, 1);
    if (status == RR_OK) {
        call->end = connection_accepted(connection);
        list_push_back(&channel->handed, &call->link);
        map_set(&channel->calls, call->number, call);
        channel->transport->counters.requests_sent++;
    }
    return status;
}

static bool room_at_connection(const struct channel *channel)
{
    return channel->dialer.state == DIALER_OPEN && connection_usable(channel->dialer.connection) &&
           connection_queued(channel->dialer.connection) < HANDED_BYTES_MAX;
}

/* Hands on what waits, as far as there is room. */
static void pump(void *arg)
{
    struct channel *channel = arg;
    while (!list_empty(&channel->unsent) && room_at_connection(channel)) {
        struct call *call = CONTAINER_OF(list_front(&channel->unsent), struct call, link);
        list_remove(&call->link);
        if (hand(channel, call, buffer_bytes(&call->body)) != RR_OK) {
            list_push_front(&channel->unsent, &call->link);
            arm(channel, loop_now_ms(channel->transport->loop) + DEADLINE_GRAIN_MS);
            return; /* without memory: tried again then */
        }
        buffer_deinit(&call->body);
    }
    channel_pump_messages(channel);
}

/* Moves the calls of `from` whose deadline has passed; returns the next deadline. */
static uint64_t collect_due(struct channel *channel, struct list *from, uint64_t now_ms,
                            struct list *due)
{
    uint64_t next_ms = UINT64_MAX;
    LIST_FOREACH_SAFE(link, from) {
        struct call *call = CONTAINER_OF(link, struct call, link);
        if (call->deadline_ms <= now_ms) {
            withdraw(channel, call);
            list_push_back(due, &call->link);
        } else if (call->deadline_ms < next_ms) {
            next_ms = call->deadline_ms;
        }
    }
    return next_ms;
}

static uint64_t count_links(const struct list *list)
{
    uint64_t count = 0;
    LIST_FOREACH(link, list) {
        count++;
    }
    return count;
}

static void deadline_due(void *arg)
{
    struct channel *channel = arg;
    channel->armed_ms = UINT64_MAX;
    pump(channel);
    uint64_t now_ms = loop_now_ms(channel->transport->loop);
    struct list unsent;
    struct list unknown;
    list_init(&unsent);
    list_init(&unknown);
    uint64_t next_ms = collect_due(channel, &channel->unsent, now_ms, &unsent);
    uint64_t next_handed_ms = collect_due(channel, &channel->handed, now_ms, &unknown);
    next_ms = next_handed_ms < next_ms ? next_handed_ms : next_ms;
    if (next_ms != UINT64_MAX) {
        arm(channel, next_ms < now_ms + DEADLINE_GRAIN_MS ? now_ms + DEADLINE_GRAIN_MS : next_ms);
    }
    channel->transport->counters.requests_failed += count_links(&unsent);
    channel->transport->counters.requests_unknown += count_links(&unknown);
    struct rpc_result result = failure(RR_TIMEOUT, false, "the deadline passed before it was sent");
    report_all(&unsent, &result);
    result = failure(RR_UNKNOWN, true, "no answer before the deadline");
    report_all(&unknown, &result);
}

/* The calls that came while no attempt is due. */
static void refuse_unsent(void *arg)
{
    struct channel *channel = arg;
    if (channel->dialer.state != DIALER_PAUSED) {
        return;
    }
    struct list unsent;
    list_init(&unsent);
    channel->transport->counters.requests_failed += channel->count;
    withdraw_all(channel, &channel->unsent, &unsent);
    struct rpc_result result =
        failure(RR_IO, false, "out of reach; the next attempt to connect is not due yet");
    report_all(&unsent, &result);
}

static void receive_response(struct channel *channel, const struct frame *frame)
{
    struct reader reader;
    reader_init(&reader, frame->body);
    struct reader header;
    reader_init(&header, reader_bytes(&reader));
    uint64_t number = reader_u64(&header);
    uint8_t status = reader_u8(&header);
    if (reader.failed || header.failed) {
        connection_protocol_error(channel->dialer.connection, "a response that makes no sense");
        return;
    }
    struct call *call = map_get(&channel->calls, number);
    if (call == NULL) {
        channel->transport->counters.answers_dropped++;
        return;
    }
    withdraw(channel, call);
    pump(channel);
    struct hello other = *connection_other(channel->dialer.connection);
    struct rpc_result result = {.answered = true, .sent = true, .other = &other, .reason = ""};
    result.status = status_decode(status, RR_UNKNOWN);
    result.body = reader_raw(&reader, reader_left(&reader));
    report(call, &result);
}

static void channel_frame(void *arg, const struct frame *frame)
{
    struct channel *channel = arg;
    if (frame->type == FRAME_RESPONSE) {
        receive_response(channel, frame);
    } else {
        connection_unexpected(channel->dialer.connection, frame);
    }
}

static void channel_failed(void *arg, rr_status status, const char *reason, uint64_t written,
                           const struct hello *other)
{
    struct channel *channel = arg;
    channel_drop_messages(channel);
    end_all(channel, status == RR_MISMATCH ? RR_MISMATCH : RR_IO, reason, written, other);
}

static const struct dialer_callbacks channel_callbacks = {
    .opened = pump,
    .frame = channel_frame,
    .drained = pump,
    .failed = channel_failed,
};

void channel_init(struct channel *channel, struct transport *transport,
                  const struct address *address)
{
    *channel = (struct channel){.transport = transport, .armed_ms = UINT64_MAX};
    dialer_init(&channel->dialer, transport, TRAFFIC_BULK, address,
                SIZE_MAX /* check_room bounds it */, &channel_callbacks, channel);
    map_init(&channel->calls);
    list_init(&channel->handed);
    list_init(&channel->unsent);
    list_init(&channel->messages);
    channel->deadlines = timer_open(transport->loop, deadline_due, channel);
    channel->refuse.fn = refuse_unsent;
    channel->refuse.arg = channel;
    channel->idle_ms = loop_now_ms(transport->loop);
}

void channel_deinit(struct channel *channel)
{
    uint64_t written = 0;
    if (channel->dialer.connection != NULL) {
        written = UINT64_MAX; /* what is queued may still be written as the connection is dropped */
    }
    dialer_deinit(&channel->dialer);
    timer_close(channel->deadlines);
    loop_defer_cancel(&channel->refuse);
    channel_drop_messages(channel);
    struct list none;
    list_init(&none);
    end_all(channel, RR_CLOSED, "given up by this side", written, NULL);
    map_deinit(&channel->calls);
}

static rr_status check_room(const struct channel *channel, rr_bytes body)
{
    const struct transport_options *options = &channel->transport->options;
    if (body.size > RPC_BODY_BYTES_MAX) {
        return RR_TOO_BIG;
    }
    bool full = channel->count >= options->calls_max ||
                (channel->count > 0 && (channel->bytes >= options->call_bytes_max ||
                                        body.size > options->call_bytes_max - channel->bytes));
    if (full) {
        channel->transport->counters.requests_busy++;
    }
    return full ? RR_BUSY : RR_OK;
}

/* Sends the call at once, or queues it with a copy of `body`. */
static rr_status place(struct channel *channel, struct call *call, rr_bytes body)
{
    if (list_empty(&channel->unsent) && room_at_connection(channel)) {
        return hand(channel, call, body);
    }
    buffer_append(&call->body, body.data, body.size);
    if (call->body.failed) {
        return RR_NO_MEMORY;
    }
    list_push_back(&channel->unsent, &call->link);
    dialer_want(&channel->dialer);
    if (channel->dialer.state == DIALER_PAUSED) {
        loop_defer(channel->transport->loop, &channel->refuse);
    }
    return RR_OK;
}

rr_status channel_call(struct channel *channel, uint16_t method, rr_bytes body, uint32_t timeout_ms,
                       rpc_done_fn done, void *arg)
{
    rr_status status = check_room(channel, body);
    if (status != RR_OK) {
        return status;
    }
    struct call *call = mem_try_alloc(sizeof(*call));
    if (call == NULL) {
        return RR_NO_MEMORY;
    }
    *call = (struct call){.number = ++channel->next_number, .method = method};
    buffer_init(&call->body);
    call->deadline_ms = loop_now_ms(channel->transport->loop) + timeout_ms;
    call->body_size = body.size;
    call->done = done;
    call->arg = arg;
    status = place(channel, call, body);
    if (status != RR_OK) {
        buffer_deinit(&call->body);
        mem_free(call);
        return status == RR_CLOSED ? RR_BUSY : status;
    }
    channel->count++;
    channel->bytes += body.size;
    arm(channel, call->deadline_ms);
    return RR_OK;
}

rr_status rpc_call(struct peers *peers, raft_id to, uint16_t method, rr_bytes body,
                   uint32_t timeout_ms, rpc_done_fn done, void *arg)
{
    struct peer *peer = peers_find(peers, to);
    if (peer == NULL) {
        return RR_NOT_FOUND;
    }
    return channel_call(&peer->bulk, method, body, timeout_ms, done, arg);
}

static void channel_to_address_free(struct peers *peers, struct channel *channel)
{
    list_remove(&channel->link);
    peers->address_count--;
    channel_deinit(channel);
    mem_free(channel);
}

/* Closes the connections to addresses that nobody has used for a while. */
static void close_idle(void *arg)
{
    struct peers *peers = arg;
    uint32_t idle_ms = peers->transport->options.address_idle_ms;
    uint64_t now_ms = loop_now_ms(peers->transport->loop);
    LIST_FOREACH_SAFE(link, &peers->addresses) {
        struct channel *channel = CONTAINER_OF(link, struct channel, link);
        if (channel->count == 0 && now_ms - channel->idle_ms >= idle_ms) {
            channel_to_address_free(peers, channel);
        }
    }
    if (!list_empty(&peers->addresses)) {
        timer_start(peers->address_timer, idle_ms);
    }
}

void peers_drop_addresses(struct peers *peers)
{
    struct list_link *link;
    while ((link = list_front(&peers->addresses)) != NULL) {
        channel_to_address_free(peers, CONTAINER_OF(link, struct channel, link));
    }
    timer_close(peers->address_timer);
    peers->address_timer = NULL;
}

static bool same_address(const struct address *left, const struct address *right)
{
    return left->port == right->port && strcmp(left->host, right->host) == 0;
}

/* The channel to `address`, a new one if need be, or NULL when there are too many. */
static struct channel *channel_to_address(struct peers *peers, const struct address *address)
{
    LIST_FOREACH(link, &peers->addresses) {
        struct channel *channel = CONTAINER_OF(link, struct channel, link);
        if (same_address(&channel->dialer.address, address)) {
            return channel;
        }
    }
    if (peers->address_count >= peers->transport->options.addresses_max) {
        peers->transport->counters.requests_busy++;
        return NULL;
    }
    struct channel *channel = mem_new(struct channel);
    channel_init(channel, peers->transport, address);
    list_push_back(&peers->addresses, &channel->link);
    peers->address_count++;
    if (peers->address_timer == NULL) {
        peers->address_timer = timer_open(peers->transport->loop, close_idle, peers);
    }
    if (!timer_running(peers->address_timer)) {
        timer_start(peers->address_timer, peers->transport->options.address_idle_ms);
    }
    return channel;
}

rr_status rpc_call_address(struct peers *peers, const char *address_text, uint16_t method,
                           rr_bytes body, uint32_t timeout_ms, rpc_done_fn done, void *arg)
{
    struct address address;
    if (address_parse(address_text, &address) != RR_OK || address.port == 0) {
        return RR_INVALID;
    }
    if (peers->closing) {
        return RR_CLOSED;
    }
    struct channel *channel = channel_to_address(peers, &address);
    if (channel == NULL) {
        return RR_BUSY;
    }
    dialer_end_pause(&channel->dialer);
    return channel_call(channel, method, body, timeout_ms, done, arg);
}
