/* The answering side: requests on an inbound connection, and the handles that answer them. */
#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "transport/transport_private.h"

struct responder {
    struct list_link link;   /* in inbound->responders */
    struct inbound *inbound; /* NULL once the connection is gone */
    struct transport *transport;
    uint64_t number; /* the asker's */
    uint64_t deadline_ms;
    size_t body_size;
};

static bool too_many(const struct inbound *inbound)
{
    const struct transport_options *options = &inbound->transport->options;
    return inbound->request_count >= options->inbound_requests_max ||
           inbound->request_bytes >= options->inbound_request_bytes_max;
}

/* Half of the limit, so that reading does not stop and go with every request. */
static bool few_enough(const struct inbound *inbound)
{
    const struct transport_options *options = &inbound->transport->options;
    return inbound->request_count <= options->inbound_requests_max / 2 &&
           inbound->request_bytes <= options->inbound_request_bytes_max / 2;
}

static struct responder *responder_new(struct inbound *inbound, uint64_t number, uint32_t left_ms,
                                       size_t body_size)
{
    struct responder *responder = mem_new(struct responder);
    responder->inbound = inbound;
    responder->transport = inbound->transport;
    responder->number = number;
    responder->deadline_ms = loop_now_ms(inbound->transport->loop) + left_ms;
    responder->body_size = body_size;
    list_push_back(&inbound->responders, &responder->link);
    inbound->request_count++;
    inbound->request_bytes += body_size;
    if (too_many(inbound)) {
        connection_pause(inbound->connection, PAUSED_BY_REQUESTS);
    }
    return responder;
}

void inbound_request(struct inbound *inbound, const struct frame *frame)
{
    struct reader reader;
    reader_init(&reader, frame->body);
    struct reader header;
    reader_init(&header, reader_bytes(&reader));
    uint64_t number = reader_u64(&header);
    uint16_t method = reader_u16(&header);
    uint32_t left_ms = reader_u32(&header);
    if (reader.failed || header.failed) {
        connection_protocol_error(inbound->connection, "a request that makes no sense");
        return;
    }
    inbound->transport->counters.requests_received++;
    rr_bytes body = reader_raw(&reader, reader_left(&reader));
    struct responder *responder = responder_new(inbound, number, left_ms, body.size);
    const struct listener *listener = inbound->listener;
    if (listener->callbacks->request == NULL) {
        responder_answer(responder, RR_INVALID, (rr_bytes){0});
        return;
    }
    listener->callbacks->request(listener->arg, &inbound->other, method, body, left_ms, responder);
}

static rr_status send_answer(struct inbound *inbound, uint64_t number, rr_status status,
                             rr_bytes body)
{
    struct buffer *frame = transport_scratch(inbound->transport);
    size_t start = frame_begin(frame, FRAME_RESPONSE, 0);
    put_varint(frame, sizeof(uint64_t) + 1);
    put_u64(frame, number);
    put_u8(frame, (uint8_t)status);
    put_raw(frame, body.data, body.size);
    frame_end(frame, start);
    return connection_send(inbound->connection, frame, 1);
}

/* Sends the answer, or one that says why not; an asker that takes no answers is dropped. */
static void answer_to(struct inbound *inbound, uint64_t number, rr_status status, rr_bytes body)
{
    if (body.size > RPC_BODY_BYTES_MAX) {
        status = RR_TOO_BIG;
        body = (rr_bytes){0};
    }
    rr_status sent = send_answer(inbound, number, status, body);
    if (sent == RR_NO_MEMORY) {
        sent = send_answer(inbound, number, RR_NO_MEMORY, (rr_bytes){0});
    }
    if (sent != RR_OK) {
        inbound->transport->counters.answers_dropped++;
        connection_close(inbound->connection, sent, "it does not take its answers");
        return;
    }
    size_t queued_max = inbound->transport->options.answer_queue_bytes_max / 2;
    if (connection_queued(inbound->connection) > queued_max) {
        /* What is queued after that waits for the socket, so `drained` will come. */
        loop_flush(inbound->transport->loop);
    }
    if (connection_queued(inbound->connection) > queued_max) {
        connection_pause(inbound->connection, PAUSED_BY_ANSWERS);
    }
}

void responder_answer(struct responder *responder, rr_status status, rr_bytes body)
{
    struct inbound *inbound = responder->inbound;
    if (inbound == NULL || !connection_usable(inbound->connection)) {
        responder->transport->counters.answers_dropped++;
    } else {
        answer_to(inbound, responder->number, status, body);
    }
    if (inbound != NULL) {
        ASSERT(inbound->request_count > 0);
        list_remove(&responder->link);
        inbound->request_count--;
        inbound->request_bytes -= responder->body_size;
        if (few_enough(inbound)) {
            connection_resume(inbound->connection, PAUSED_BY_REQUESTS);
        }
    }
    mem_free(responder);
}

bool responder_wanted(const struct responder *responder)
{
    return responder->inbound != NULL && connection_usable(responder->inbound->connection) &&
           loop_now_ms(responder->transport->loop) < responder->deadline_ms;
}

void inbound_requests_drained(struct inbound *inbound)
{
    connection_resume(inbound->connection, PAUSED_BY_ANSWERS);
}

void inbound_detach_responders(struct inbound *inbound)
{
    struct list_link *link;
    while ((link = list_pop_front(&inbound->responders)) != NULL) {
        CONTAINER_OF(link, struct responder, link)->inbound = NULL;
    }
}
