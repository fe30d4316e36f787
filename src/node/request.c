/* Requests: from the caller's thread through the inbox to the node's thread, their limits, their
 * deadlines, their one end. */
#include "node/node_private.h"

#include "base/assert.h"

#include <string.h>

/* Counts the request in, under the inbox's mutex. */
static rr_status admit(rr_node *node, struct request *request)
{
    struct inbox *inbox = &node->inbox;
    const rr_options *options = &node->options.public;
    if (inbox->closed && !request->always) {
        return RR_CLOSED;
    }
    if (!request->always && (inbox->pending_count >= options->pending_max ||
                             inbox->pending_bytes + request->bytes > options->pending_bytes_max)) {
        inbox->refused++;
        return RR_BUSY;
    }
    inbox->pending_count++;
    inbox->pending_bytes += request->bytes;
    request->counted = true;
    request->node = node;
    return RR_OK;
}

rr_status request_post(rr_node *node, struct request *request, uint32_t timeout_ms)
{
    if (timeout_ms == 0) {
        timeout_ms = node->options.public.timeout_ms;
    }
    pthread_mutex_lock(&node->inbox.mutex);
    if (node->inbox.ended) {
        pthread_mutex_unlock(&node->inbox.mutex);
        return RR_CLOSED;
    }
    rr_status status = admit(node, request);
    if (status == RR_OK) {
        request->deadline_us = node_now_us(node) + (uint64_t)timeout_ms * 1000;
        bool was_empty = list_empty(&node->inbox.requests);
        list_push_back(&node->inbox.requests, &request->link);
        if (was_empty) {
            wakeup_send(node->wakeup); /* within the mutex: the bell goes when the inbox ends */
        }
    }
    pthread_mutex_unlock(&node->inbox.mutex);
    return status;
}

static void on_deadline(void *arg)
{
    struct request *request = arg;
    request->expire(request);
}

/* The node's thread has it from here. */
static void begin(struct request *request)
{
    deadline_set(&request->node->deadlines, &request->deadline, request->deadline_us, on_deadline,
                 request);
    request->start(request);
}

rr_status request_begin(rr_node *node, struct request *request, uint64_t timeout_us)
{
    pthread_mutex_lock(&node->inbox.mutex);
    rr_status status = admit(node, request);
    pthread_mutex_unlock(&node->inbox.mutex);
    if (status != RR_OK) {
        return status;
    }
    request->deadline_us = node_now_us(node) + timeout_us;
    begin(request);
    return RR_OK;
}

void inbox_take(rr_node *node)
{
    struct list taken;
    list_init(&taken);
    pthread_mutex_lock(&node->inbox.mutex);
    list_append_all(&taken, &node->inbox.requests);
    pthread_mutex_unlock(&node->inbox.mutex);
    struct list_link *link;
    while ((link = list_pop_front(&taken)) != NULL) {
        begin(CONTAINER_OF(link, struct request, link));
    }
}

void request_end(struct request *request, rr_status status, const rr_result *result)
{
    rr_node *node = request->node;
    if (list_contains(&request->link)) {
        list_remove(&request->link);
    }
    deadline_clear(&node->deadlines, &request->deadline);
    if (request->always && !node->stopping) {
        info_publish(node); /* who asked for upkeep may look at once at what it did */
    }
    if (request->done != NULL) {
        request->done(request->done_arg, status, result);
    }
    ASSERT(request->counted);
    pthread_mutex_lock(&node->inbox.mutex);
    ASSERT(node->inbox.pending_count > 0);
    ASSERT(node->inbox.pending_bytes >= request->bytes);
    node->inbox.pending_count--;
    node->inbox.pending_bytes -= request->bytes;
    pthread_mutex_unlock(&node->inbox.mutex);
    request->destroy(request);
}

void request_end_bytes(struct request *request, rr_status status, rr_bytes encoded)
{
    rr_result result;
    result_borrow(&result, encoded);
    request_end(request, status, &result);
}

void request_end_text(struct request *request, rr_status status, const char *message)
{
    rr_result result;
    result_borrow_message(&result, status, message);
    request_end(request, status, &result);
}

uint32_t request_left_ms(const struct request *request)
{
    uint64_t now_us = node_now_us(request->node);
    uint64_t left_us = request->deadline_us > now_us ? request->deadline_us - now_us : 0;
    uint64_t left_ms = left_us / 1000;
    return left_ms == 0 ? 1 : left_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)left_ms;
}
