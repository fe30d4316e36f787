/*
 * The sending side. A message goes to the connection at once, or waits in the channel's list while
 * the connection is being made or has more than a little in its queue, so that calls, which are
 * handed over first, never wait behind many messages.
 */
#include "transport/user_message.h"

#include "base/codec.h"
#include "base/memory.h"
#include "transport/transport_private.h"

#include <string.h>

enum {
    HANDED_BYTES_MAX = 256 * 1024, /* queued at the connection before messages wait */
    WAITING_OVERHEAD_BYTES = 64,   /* what one that waits costs besides its bytes */
};

/* A message that waits, as the frame that it will be. */
struct waiting {
    struct list_link link;
    struct buffer frame;
};

static size_t cost(size_t frame_size)
{
    return frame_size + WAITING_OVERHEAD_BYTES;
}

/* Whether the connection takes a message now. If not, `drained` is certain to follow. */
static bool has_room(const struct channel *channel)
{
    const struct connection *connection = channel->dialer.connection;
    if (channel->dialer.state != DIALER_OPEN || !connection_usable(connection)) {
        return false;
    }
    if (connection_queued(connection) >= HANDED_BYTES_MAX) {
        loop_flush(channel->transport->loop);
    }
    return connection_queued(connection) < HANDED_BYTES_MAX;
}

static rr_status hand(struct channel *channel, struct buffer *frame)
{
    rr_status status = connection_send(channel->dialer.connection, frame, 1);
    if (status == RR_OK) {
        channel->transport->counters.user_messages_sent++;
    }
    return status;
}

static void drop_first(struct channel *channel)
{
    struct waiting *waiting =
        CONTAINER_OF(list_pop_front(&channel->messages), struct waiting, link);
    buffer_deinit(&waiting->frame);
    mem_free(waiting);
}

void channel_pump_messages(struct channel *channel)
{
    while (!list_empty(&channel->messages) && has_room(channel)) {
        struct waiting *waiting =
            CONTAINER_OF(list_front(&channel->messages), struct waiting, link);
        size_t size = waiting->frame.size;
        if (hand(channel, &waiting->frame) != RR_OK) {
            channel->transport->counters.user_messages_dropped++;
        }
        channel->message_bytes -= cost(size);
        drop_first(channel);
    }
}

void channel_drop_messages(struct channel *channel)
{
    while (!list_empty(&channel->messages)) {
        channel->transport->counters.user_messages_dropped++;
        drop_first(channel);
    }
    channel->message_bytes = 0;
}

static rr_status keep(struct channel *channel, const struct buffer *frame)
{
    size_t bytes_max = channel->transport->options.user_queue_bytes_max;
    size_t wanted = cost(frame->size);
    if (wanted > bytes_max || channel->message_bytes > bytes_max - wanted) {
        return RR_BUSY;
    }
    struct waiting *waiting = mem_try_alloc(sizeof(*waiting));
    if (waiting == NULL) {
        return RR_NO_MEMORY;
    }
    *waiting = (struct waiting){0};
    buffer_init(&waiting->frame);
    buffer_append(&waiting->frame, frame->data, frame->size);
    if (waiting->frame.failed) {
        mem_free(waiting);
        return RR_NO_MEMORY;
    }
    list_push_back(&channel->messages, &waiting->link);
    channel->message_bytes += wanted;
    return RR_OK;
}

/* Sends or keeps the frame. */
static rr_status place(struct channel *channel, struct buffer *frame)
{
    if (list_empty(&channel->messages) && has_room(channel)) {
        return hand(channel, frame);
    }
    dialer_want(&channel->dialer);
    return channel->dialer.state == DIALER_PAUSED ? RR_IO : keep(channel, frame);
}

rr_status user_message_send(struct peers *peers, raft_id to, rr_bytes body)
{
    struct peer *peer = peers_find(peers, to);
    if (peer == NULL) {
        return RR_NOT_FOUND;
    }
    if (body.size > USER_MESSAGE_BYTES_MAX) {
        return RR_TOO_BIG;
    }
    struct transport *transport = peers->transport;
    struct buffer *frame = transport_scratch(transport);
    size_t start = frame_begin(frame, FRAME_USER_MESSAGE, 0);
    put_bytes(frame, (rr_bytes){0}); /* the header: nothing is in it yet */
    put_raw(frame, body.data, body.size);
    if (frame->failed) {
        return RR_NO_MEMORY;
    }
    frame_end(frame, start);
    rr_status status = place(&peer->bulk, frame);
    if (status != RR_OK && status != RR_NO_MEMORY) {
        transport->counters.user_messages_dropped++;
        return status == RR_BUSY ? RR_BUSY : RR_IO;
    }
    return status;
}

rr_status user_message_decode(rr_bytes bytes, rr_bytes *out)
{
    struct reader reader;
    reader_init(&reader, bytes);
    (void)reader_bytes(&reader);
    if (reader.failed) {
        return RR_CORRUPT;
    }
    if (reader_left(&reader) > USER_MESSAGE_BYTES_MAX) {
        return RR_TOO_BIG;
    }
    *out = reader_raw(&reader, reader_left(&reader));
    return RR_OK;
}
