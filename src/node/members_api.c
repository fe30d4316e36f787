/*
 * The public calls about members, from any thread: each becomes a request, which the node's thread
 * has the leader serve, wherever that is. Adding and removing are asked again when their fate is
 * unknown, for doing them twice does no harm.
 */
#include "node/members.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { AGAIN_MIN_MS = 100 }; /* left of the deadline for one more attempt */

/* ---- Adding, removing, transferring ---- */

struct member_call {
    struct request request;
    struct relay_request relay;
    bool again; /* an unknown fate is followed by another attempt */
};

static struct member_call *call_of(struct request *request)
{
    return CONTAINER_OF(request, struct member_call, request);
}

static void call_answered(void *arg, const struct relay_answer *answer);

static void call_start(struct request *request)
{
    struct member_call *call = call_of(request);
    relay_to_leader(request->node, &call->relay, request->deadline_us, call_answered, call);
}

static void call_answered(void *arg, const struct relay_answer *answer)
{
    struct member_call *call = arg;
    char text[MESSAGE_TEXT_BYTES_MAX + 1];
    if (answer->status == RR_UNKNOWN && call->again && node_alive(call->request.node) &&
        request_left_ms(&call->request) > AGAIN_MIN_MS) {
        call_start(&call->request);
        return;
    }
    size_t size = answer->message.size < sizeof(text) ? answer->message.size : sizeof(text) - 1;
    if (size > 0) {
        memcpy(text, answer->message.data, size);
    }
    text[size] = 0;
    request_end_text(&call->request, answer->status, text);
}

/* The leader, or whoever looks for it, answers at the deadline. */
static void call_expire(struct request *request)
{
    (void)request;
}

static void call_destroy(struct request *request)
{
    mem_free(call_of(request));
}

static rr_status post(rr_node *node, struct member_call *call, uint32_t timeout_ms, rr_done_fn done,
                      void *arg)
{
    call->request.start = call_start;
    call->request.expire = call_expire;
    call->request.destroy = call_destroy;
    call->request.done = done;
    call->request.done_arg = arg;
    call->request.always = true;
    call->request.bytes = sizeof(*call);
    rr_status status = request_post(node, &call->request, timeout_ms);
    if (status != RR_OK) {
        mem_free(call);
    }
    return status;
}

rr_status rr_node_add(rr_node *node, uint64_t id, const char *address, rr_member_role role,
                      uint32_t timeout_ms, rr_done_fn done, void *arg)
{
    if (node == NULL || done == NULL) {
        return RR_INVALID;
    }
    struct member_call *call = mem_new(struct member_call);
    call->relay.kind = RELAY_ADD;
    call->again = true;
    rr_status status = member_set(&call->relay.member, id, role, address, 0);
    if (status != RR_OK) {
        mem_free(call);
        return status;
    }
    return post(node, call, timeout_ms, done, arg);
}

rr_status rr_node_remove(rr_node *node, uint64_t id, uint32_t timeout_ms, rr_done_fn done,
                         void *arg)
{
    if (node == NULL || done == NULL || id == 0) {
        return RR_INVALID;
    }
    struct member_call *call = mem_new(struct member_call);
    call->relay.kind = RELAY_REMOVE;
    call->relay.target = id;
    call->again = true;
    return post(node, call, timeout_ms, done, arg);
}

rr_status rr_node_transfer(rr_node *node, uint64_t id, uint32_t timeout_ms, rr_done_fn done,
                           void *arg)
{
    if (node == NULL || done == NULL) {
        return RR_INVALID;
    }
    struct member_call *call = mem_new(struct member_call);
    call->relay.kind = RELAY_TRANSFER;
    call->relay.target = id;
    return post(node, call, timeout_ms, done, arg);
}

/* ---- Waiting for membership ---- */

/* The node has halted, for a reason that may be the answer, or is stopping. */
static void end_stopped(struct request *request)
{
    const rr_node *node = request->node;
    bool refused = node->halted && node->halt_status == RR_MISMATCH;
    request_end_text(request, refused ? RR_MISMATCH : RR_CLOSED,
                     node->halted ? node->halt_reason : "the node was shut down");
}

static void await_start(struct request *request)
{
    rr_node *node = request->node;
    if (node->halted || node->members->stopped) {
        end_stopped(request);
        return;
    }
    if (members_settled(node)) {
        request_end(request, RR_OK, NULL);
        return;
    }
    list_push_back(&node->members->awaiting, &request->link);
}

static void await_expire(struct request *request)
{
    const struct members *members = request->node->members;
    const char *text = members->join.progress;
    if (members_has_self(request->node)) {
        text = "this node is a learner and becomes a voter when it has caught up";
    }
    request_end_text(request, RR_TIMEOUT, text[0] == 0 ? "still trying to join" : text);
}

static void await_destroy(struct request *request)
{
    mem_free(request);
}

void await_settle(rr_node *node)
{
    struct list *awaiting = &node->members->awaiting;
    while (members_settled(node) && !list_empty(awaiting)) {
        request_end(CONTAINER_OF(list_front(awaiting), struct request, link), RR_OK, NULL);
    }
}

void await_stop(rr_node *node)
{
    struct list *awaiting = &node->members->awaiting;
    while (!list_empty(awaiting)) {
        end_stopped(CONTAINER_OF(list_front(awaiting), struct request, link));
    }
}

static rr_status post_await(rr_node *node, uint32_t timeout_ms, struct wait *wait)
{
    struct request *request = mem_new(struct request);
    request->start = await_start;
    request->expire = await_expire;
    request->destroy = await_destroy;
    request->done = wait_done;
    request->done_arg = wait;
    request->always = true;
    rr_status status = request_post(node, request, timeout_ms);
    if (status != RR_OK) {
        mem_free(request);
    }
    return status;
}

/* ---- Blocking forms ---- */

static void copy_error(const rr_result *result, rr_status status, char *error, size_t error_size)
{
    const char *text = rr_result_message(result);
    if (error != NULL && error_size > 0 && status != RR_OK) {
        snprintf(error, error_size, "%s", text[0] == 0 ? rr_status_name(status) : text);
    }
}

/* A node that halted before the call could be taken says why, too. */
static rr_status halted_status(rr_node *node, rr_status status, char *error, size_t error_size)
{
    if (status != RR_CLOSED) {
        return status;
    }
    pthread_mutex_lock(&node->halt_mutex);
    if (node->halted) {
        status = node->halt_status == RR_MISMATCH ? RR_MISMATCH : RR_CLOSED;
        if (error != NULL && error_size > 0) {
            snprintf(error, error_size, "%s", node->halt_reason);
        }
    }
    pthread_mutex_unlock(&node->halt_mutex);
    return status;
}

rr_status rr_node_await_member(rr_node *node, uint32_t timeout_ms, char *error, size_t error_size)
{
    struct wait wait;
    rr_result *result = NULL;
    rr_status status = node == NULL ? RR_INVALID : wait_begin(&wait, node, true);
    if (status != RR_OK) {
        return status;
    }
    status = wait_end(&wait, post_await(node, timeout_ms, &wait), &result);
    copy_error(result, status, error, error_size);
    rr_result_free(result);
    return halted_status(node, status, error, error_size);
}

rr_status rr_node_add_wait(rr_node *node, uint64_t id, const char *address, rr_member_role role,
                           uint32_t timeout_ms, char *error, size_t error_size)
{
    struct wait wait;
    rr_result *result = NULL;
    rr_status status = node == NULL ? RR_INVALID : wait_begin(&wait, node, true);
    if (status != RR_OK) {
        return status;
    }
    status = wait_end(&wait, rr_node_add(node, id, address, role, timeout_ms, wait_done, &wait),
                      &result);
    copy_error(result, status, error, error_size);
    rr_result_free(result);
    return status;
}

rr_status rr_node_remove_wait(rr_node *node, uint64_t id, uint32_t timeout_ms, char *error,
                              size_t error_size)
{
    struct wait wait;
    rr_result *result = NULL;
    rr_status status = node == NULL ? RR_INVALID : wait_begin(&wait, node, true);
    if (status != RR_OK) {
        return status;
    }
    status = wait_end(&wait, rr_node_remove(node, id, timeout_ms, wait_done, &wait), &result);
    copy_error(result, status, error, error_size);
    rr_result_free(result);
    return status;
}

rr_status rr_node_transfer_wait(rr_node *node, uint64_t id, uint32_t timeout_ms)
{
    struct wait wait;
    rr_status status = node == NULL ? RR_INVALID : wait_begin(&wait, node, false);
    if (status != RR_OK) {
        return status;
    }
    return wait_end(&wait, rr_node_transfer(node, id, timeout_ms, wait_done, &wait), NULL);
}
