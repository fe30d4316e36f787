/*
 * Ending in good order: nothing new is taken, leadership goes to another voter, and what was taken
 * is finished; when the time is up, the rest ends with what is certain about it.
 */
#include "node/node_private.h"

#include "base/assert.h"
#include "base/memory.h"

#include <inttypes.h>

struct shutdown {
    struct request request; /* always, without a count of its own to wait for */
    uint64_t transfer_us;   /* when to ask for it again */
    bool led;
    uint64_t successor_us; /* when to wait for the successor no longer; 0: not waiting */
};

enum { TRANSFER_AGAIN_US = 100 * 1000 };

static void finish(rr_node *node, rr_status status)
{
    struct shutdown *shutdown = node->shutdown;
    node->shutdown = NULL;
    node_stop(node);
    request_end(&shutdown->request, status, NULL);
}

/*
 * Whether the successor works: an entry of its term is applied here. Until then the other nodes may
 * still pass writes on to this one, and its refusal tells them that nothing was done, which they
 * could not know if it were gone. The core's election timer sees to it that this is asked again.
 */
static bool succeeded(rr_node *node, uint64_t now_us)
{
    struct shutdown *shutdown = node->shutdown;
    if (shutdown->successor_us == 0) {
        shutdown->successor_us =
            now_us + (uint64_t)node->options.public.election_timeout_max_ms * 1000;
    }
    return now_us >= shutdown->successor_us ||
           state_applied(node->state).term == raft_hard_state(node_core(node)).term;
}

/* Whether nobody has to be waited for to take over. */
static bool handed_over(rr_node *node)
{
    struct shutdown *shutdown = node->shutdown;
    uint64_t now_us = node_now_us(node);
    if (!node_alive(node)) {
        return true;
    }
    if (!node_leads(node)) {
        return !shutdown->led || succeeded(node, now_us);
    }
    raft_id target = raft_transfer_candidate(node_core(node));
    if (target == RAFT_NO_ID) {
        return true;
    }
    shutdown->led = true;
    shutdown->successor_us = 0;
    if (!raft_transferring(node_core(node)) && now_us >= shutdown->transfer_us) {
        LOG_INFO(&node->logger, "handing leadership to node %" PRIu64 " before stopping", target);
        shutdown->transfer_us = now_us + TRANSFER_AGAIN_US;
        struct raft_event event = {.type = RAFT_EVENT_TRANSFER};
        event.transfer = target;
        (void)node_step(node, &event);
    }
    return false;
}

void shutdown_turn(rr_node *node)
{
    if (node->shutdown == NULL) {
        return;
    }
    bool over = handed_over(node);
    pthread_mutex_lock(&node->inbox.mutex);
    uint32_t pending = node->inbox.pending_count;
    pthread_mutex_unlock(&node->inbox.mutex);
    ASSERT(pending > 0); /* this one */
    if (over && pending == 1) {
        finish(node, RR_OK);
    }
}

void shutdown_transfer_ended(rr_node *node)
{
    if (node->shutdown != NULL) {
        node->shutdown->transfer_us = 0;
        loop_mark(node->loop);
    }
}

static void on_start(struct request *request)
{
    rr_node *node = request->node;
    if (node->shutdown != NULL) {
        request_end(request, RR_CONFLICT, NULL); /* another thread's is under way */
        return;
    }
    node->shutdown = CONTAINER_OF(request, struct shutdown, request);
    LOG_INFO(&node->logger, "shutting down");
    pthread_mutex_lock(&node->inbox.mutex);
    node->inbox.closed = true;
    pthread_mutex_unlock(&node->inbox.mutex);
    atomic_store(&node->phase, NODE_DRAINING);
    members_drain(node);
    loop_mark(node->loop);
}

static void on_expire(struct request *request)
{
    finish(request->node, RR_TIMEOUT);
}

static void on_destroy(struct request *request)
{
    mem_free(CONTAINER_OF(request, struct shutdown, request));
}

rr_status shutdown_post(rr_node *node, uint32_t timeout_ms, rr_done_fn done, void *arg)
{
    struct shutdown *shutdown = mem_new(struct shutdown);
    shutdown->request.start = on_start;
    shutdown->request.expire = on_expire;
    shutdown->request.destroy = on_destroy;
    shutdown->request.done = done;
    shutdown->request.done_arg = arg;
    shutdown->request.always = true;
    rr_status status = request_post(node, &shutdown->request, timeout_ms == 0 ? 1 : timeout_ms);
    if (status != RR_OK) {
        mem_free(shutdown);
    }
    return status;
}
