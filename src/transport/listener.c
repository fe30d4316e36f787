/* Inbound connections: who may say what, by class. Requests and snapshots are for responder.c and
 * snapshot_receive.c. */
#include "transport/listener.h"

#include "base/assert.h"
#include "base/memory.h"
#include "transport/transport_private.h"
#include "transport/user_message.h"
#include "transport/wire.h"

static void inbound_opened(void *arg)
{
    struct inbound *inbound = arg;
    struct listener *listener = inbound->listener;
    inbound->open = true;
    inbound->other = *connection_other(inbound->connection);
    if (listener->paused[inbound->other.class]) {
        connection_pause(inbound->connection, PAUSED_BY_OWNER);
    }
    struct peers *peers = inbound->transport->peers;
    if (peers != NULL && inbound->other.node != RAFT_NO_ID) {
        peers_retry_now(peers, inbound->other.node);
    }
}

static void receive_message(struct inbound *inbound, const struct frame *frame)
{
    struct transport_counters *counters = &inbound->transport->counters;
    struct raft_message message;
    rr_status status = wire_decode_message(frame->body, &message);
    if (status == RR_NO_MEMORY) {
        counters->dropped_no_memory++;
        return;
    }
    if (status == RR_INVALID) {
        counters->malformed++; /* a newer version's message: not for us, but no damage */
        return;
    }
    if (status != RR_OK) {
        connection_protocol_error(inbound->connection, "a consensus message that makes no sense");
        return;
    }
    const struct listener *listener = inbound->listener;
    if (listener->callbacks->message != NULL) {
        listener->callbacks->message(listener->arg, &inbound->other, &message);
    }
    raft_message_deinit(&message);
}

static void receive_user_message(struct inbound *inbound, const struct frame *frame)
{
    rr_bytes message;
    if (user_message_decode(frame->body, &message) != RR_OK) {
        connection_protocol_error(inbound->connection, "a message that makes no sense");
        return;
    }
    inbound->transport->counters.user_messages_received++;
    const struct listener *listener = inbound->listener;
    if (listener->callbacks->user_message != NULL) {
        listener->callbacks->user_message(listener->arg, &inbound->other, message);
    }
}

static void inbound_frame(void *arg, const struct frame *frame)
{
    struct inbound *inbound = arg;
    switch (inbound->other.class) {
    case TRAFFIC_CONSENSUS:
        if (frame->type == FRAME_RAFT) {
            receive_message(inbound, frame);
            return;
        }
        break;
    case TRAFFIC_BULK:
        if (frame->type == FRAME_REQUEST) {
            inbound_request(inbound, frame);
            return;
        }
        if (frame->type == FRAME_USER_MESSAGE) {
            receive_user_message(inbound, frame);
            return;
        }
        break;
    case TRAFFIC_SNAPSHOT:
        inbound_snapshot_frame(inbound, frame);
        return;
    }
    connection_unexpected(inbound->connection, frame);
}

static void inbound_drained(void *arg)
{
    inbound_requests_drained(arg);
}

/* What is left when the connection is gone, or about to be. */
static void inbound_free(struct inbound *inbound, rr_status status)
{
    inbound_detach_responders(inbound);
    inbound_end_receive(inbound, status);
    list_remove(&inbound->link);
    inbound->listener->inbound_count--;
    mem_free(inbound);
}

static void inbound_closed(void *arg, rr_status status, const char *reason)
{
    struct inbound *inbound = arg;
    if (inbound->open) {
        LOG_DEBUG(&inbound->transport->logger, "the %s connection from %s ended: %s",
                  traffic_class_name(inbound->other.class),
                  connection_peer_text(inbound->connection), reason);
    }
    inbound_free(inbound, status);
}

static const struct connection_callbacks inbound_callbacks = {
    .opened = inbound_opened,
    .frame = inbound_frame,
    .drained = inbound_drained,
    .closed = inbound_closed,
};

static void accepted(void *arg, struct stream *stream)
{
    struct listener *listener = arg;
    struct transport *transport = listener->transport;
    if (listener->inbound_count >= transport->options.inbound_connections_max) {
        transport->counters.connections_refused++;
        stream_abandon(stream);
        return;
    }
    struct inbound *inbound = mem_new(struct inbound);
    inbound->listener = listener;
    inbound->transport = transport;
    list_init(&inbound->responders);
    list_push_back(&listener->inbounds, &inbound->link);
    listener->inbound_count++;
    inbound->connection = connection_from_accept(
        transport, stream, transport->options.answer_queue_bytes_max, &inbound_callbacks, inbound);
}

rr_status listener_open(struct transport *transport, const struct address *address,
                        const struct listener_callbacks *callbacks, void *arg,
                        struct listener **out, char *reason)
{
    struct listener *listener = mem_new(struct listener);
    listener->transport = transport;
    listener->callbacks = callbacks;
    listener->arg = arg;
    list_init(&listener->inbounds);
    map_init(&listener->receives);
    rr_status status =
        tcp_listen(transport->loop, address, accepted, listener, &listener->tcp, reason);
    if (status != RR_OK) {
        listener_close(listener);
        return status;
    }
    *out = listener;
    return RR_OK;
}

void listener_address(const struct listener *listener, struct address *out)
{
    tcp_listener_address(listener->tcp, out);
}

size_t listener_connection_count(const struct listener *listener)
{
    return listener->inbound_count;
}

void listener_pause(struct listener *listener, enum traffic_class class, bool paused)
{
    listener->paused[class] = paused;
    LIST_FOREACH(link, &listener->inbounds) {
        struct inbound *inbound = CONTAINER_OF(link, struct inbound, link);
        if (!inbound->open || inbound->other.class != class) {
            continue;
        }
        if (paused) {
            connection_pause(inbound->connection, PAUSED_BY_OWNER);
        } else {
            connection_resume(inbound->connection, PAUSED_BY_OWNER);
        }
    }
}

void listener_drop_node(struct listener *listener, raft_id node)
{
    LIST_FOREACH(link, &listener->inbounds) {
        struct inbound *inbound = CONTAINER_OF(link, struct inbound, link);
        if (inbound->open && inbound->other.node == node) {
            connection_close(inbound->connection, RR_CLOSED, "dropped by this side");
        }
    }
}

void listener_close(struct listener *listener)
{
    if (listener == NULL) {
        return;
    }
    tcp_listener_close(listener->tcp);
    struct list_link *link;
    while ((link = list_front(&listener->inbounds)) != NULL) {
        struct inbound *inbound = CONTAINER_OF(link, struct inbound, link);
        connection_abandon(inbound->connection);
        inbound_free(inbound, RR_CLOSED);
    }
    map_deinit(&listener->receives);
    mem_free(listener);
}
