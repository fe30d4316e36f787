/* The public calls about snapshots and the log, from any thread. */
#include "node/backups.h"
#include "node/members.h"
#include "node/snapshots.h"

#include "base/memory.h"
#include "command/result.h"

#include <inttypes.h>

/* ---- Taking a snapshot ---- */

struct snapshot_call {
    struct request request; /* link: in snapshots->waiting */
    raft_index covers;      /* the snapshot's index is at least this */
    bool confirming;        /* a callback is to come */
    raft_term *term;        /* of the snapshot; NULL or the waiter's, who is still there */
};

static struct snapshot_call *call_of(struct request *request)
{
    return CONTAINER_OF(request, struct snapshot_call, request);
}

static void answer(struct snapshot_call *call)
{
    const struct snapshots *snapshots = call->request.node->snapshots;
    struct state_position position = snapshots->latest_info.position;
    struct buffer result;
    buffer_init(&result);
    rr_status status = result_encode(&result, RR_OK, position.index, NULL);
    if (call->term != NULL) {
        *call->term = position.term;
    }
    if (status == RR_OK) {
        request_end_bytes(&call->request, RR_OK, buffer_bytes(&result));
    } else {
        request_end_text(&call->request, status, "no memory for the answer");
    }
    buffer_deinit(&result);
}

static bool covered(const struct snapshots *snapshots, raft_index index)
{
    return snapshots->latest != NULL && snapshots->latest_info.position.index >= index;
}

/* Everything acknowledged before the call is applied here. */
static void confirmed(void *arg, rr_status status, raft_index index)
{
    struct snapshot_call *call = arg;
    rr_node *node = call->request.node;
    struct snapshots *snapshots = node->snapshots;
    call->confirming = false;
    if (status != RR_OK) {
        request_end_text(&call->request, status == RR_CLOSED ? RR_CLOSED : RR_TIMEOUT,
                         "this node could not catch up with the leader in time");
        return;
    }
    call->covers = index;
    if (covered(snapshots, index)) {
        answer(call);
        return;
    }
    if (snapshots->stopped) {
        request_end_text(&call->request, RR_CLOSED, "the node was shut down");
        return;
    }
    list_push_back(&snapshots->waiting, &call->request.link);
    snapshots->making.retry_us = 0; /* somebody asks: at once */
    snapshots_make(node);
}

static void snapshot_start(struct request *request)
{
    struct snapshot_call *call = call_of(request);
    call->confirming = true;
    confirm_index(request->node, request->deadline_us, confirmed, call);
}

static void snapshot_expire(struct request *request)
{
    if (!call_of(request)->confirming) {
        request_end_text(request, RR_TIMEOUT, "the snapshot was not ready in time");
    }
}

static void call_destroy(struct request *request)
{
    mem_free(call_of(request));
}

void snapshot_calls_settle(rr_node *node, rr_status status, const char *text)
{
    struct snapshots *snapshots = node->snapshots;
    LIST_FOREACH_SAFE(link, &snapshots->waiting) {
        struct request *request = CONTAINER_OF(link, struct request, link);
        struct snapshot_call *call = call_of(request);
        if (status != RR_OK) {
            request_end_text(request, status, text);
        } else if (covered(snapshots, call->covers)) {
            answer(call);
        }
    }
    if (!list_empty(&snapshots->waiting)) {
        snapshots_make(node); /* that one had begun before they asked */
    }
    backups_made(node, status, text);
}

void snapshot_calls_stop(rr_node *node)
{
    LIST_FOREACH_SAFE(link, &node->snapshots->waiting) {
        request_end_text(CONTAINER_OF(link, struct request, link), RR_CLOSED,
                         "the node was shut down");
    }
}

static rr_status post_snapshot(rr_node *node, uint32_t timeout_ms, raft_term *term, rr_done_fn done,
                               void *arg)
{
    struct snapshot_call *call = mem_new(struct snapshot_call);
    call->request.start = snapshot_start;
    call->request.expire = snapshot_expire;
    call->request.destroy = call_destroy;
    call->request.done = done;
    call->request.done_arg = arg;
    call->request.always = true;
    call->term = term;
    rr_status status = request_post(node, &call->request, timeout_ms);
    if (status != RR_OK) {
        mem_free(call);
    }
    return status;
}

rr_status rr_node_snapshot(rr_node *node, uint32_t timeout_ms, rr_done_fn done, void *arg)
{
    if (node == NULL || done == NULL) {
        return RR_INVALID;
    }
    return post_snapshot(node, timeout_ms, NULL, done, arg);
}

rr_status rr_node_snapshot_wait(rr_node *node, uint32_t timeout_ms, uint64_t *term, uint64_t *index)
{
    struct wait wait;
    raft_term snapshot_term = 0;
    rr_result *result = NULL;
    rr_status status = node == NULL ? RR_INVALID : wait_begin(&wait, node, true);
    if (status != RR_OK) {
        return status;
    }
    status =
        wait_end(&wait, post_snapshot(node, timeout_ms, &snapshot_term, wait_done, &wait), &result);
    if (status == RR_OK && term != NULL) {
        *term = snapshot_term;
    }
    if (status == RR_OK && index != NULL) {
        *index = rr_result_index(result);
    }
    rr_result_free(result);
    return status;
}

/* ---- Purging ---- */

struct purge_call {
    struct request request;
    raft_index index;
};

static void purge_start(struct request *request)
{
    struct purge_call *call = CONTAINER_OF(request, struct purge_call, request);
    struct snapshots *snapshots = request->node->snapshots;
    raft_index limit = snapshots->latest_info.position.index;
    raft_index index = call->index < limit ? call->index : limit;
    if (index > snapshots->purge_wanted) {
        snapshots->purge_wanted = index;
    }
    snapshots_purge_asked(request->node, index);
    request_end(request, RR_OK, NULL);
}

static void purge_expire(struct request *request)
{
    request_end_text(request, RR_TIMEOUT, "the node was too busy");
}

static void purge_destroy(struct request *request)
{
    mem_free(CONTAINER_OF(request, struct purge_call, request));
}

rr_status rr_node_purge(rr_node *node, uint64_t index, uint32_t timeout_ms, rr_done_fn done,
                        void *arg)
{
    if (node == NULL || done == NULL) {
        return RR_INVALID;
    }
    struct purge_call *call = mem_new(struct purge_call);
    call->index = index;
    call->request.start = purge_start;
    call->request.expire = purge_expire;
    call->request.destroy = purge_destroy;
    call->request.done = done;
    call->request.done_arg = arg;
    call->request.always = true;
    rr_status status = request_post(node, &call->request, timeout_ms);
    if (status != RR_OK) {
        mem_free(call);
    }
    return status;
}

rr_status rr_node_purge_wait(rr_node *node, uint64_t index, uint32_t timeout_ms)
{
    struct wait wait;
    rr_status status = node == NULL ? RR_INVALID : wait_begin(&wait, node, false);
    if (status != RR_OK) {
        return status;
    }
    return wait_end(&wait, rr_node_purge(node, index, timeout_ms, wait_done, &wait), NULL);
}
