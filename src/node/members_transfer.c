/* Handing leadership over: one call at a time asks the core, all of them end when another leads. */
#include "node/members.h"

#include "base/assert.h"
#include "base/memory.h"

#include <inttypes.h>

static void transfer_end(struct transfer *transfer, rr_status status, const char *text)
{
    rr_node *node = transfer->node;
    list_remove(&transfer->link);
    deadline_clear(&node->deadlines, &transfer->deadline);
    relay_answer_text(node, transfer->done, transfer->arg, status, "%s", text);
    mem_free(transfer);
}

static void on_deadline(void *arg)
{
    struct transfer *transfer = arg;
    transfer_end(transfer, RR_TIMEOUT,
                 transfer->begun ? "the other voter did not take over in time"
                                 : "no other voter is up to date and answers");
}

/* Asks the core to hand over, if it is not at it already. */
static void begin(struct transfer *transfer)
{
    rr_node *node = transfer->node;
    raft_id target = transfer->target;
    if (raft_transferring(node_core(node))) {
        return;
    }
    if (target == RAFT_NO_ID) {
        target = raft_transfer_candidate(node_core(node));
    }
    if (target == RAFT_NO_ID) {
        return; /* nobody answers at the moment; the timer looks again */
    }
    transfer->begun = true;
    LOG_INFO(&node->logger, "handing leadership to node %" PRIu64, target);
    struct raft_event event = {.type = RAFT_EVENT_TRANSFER};
    event.transfer = target;
    (void)node_step(node, &event);
}

void transfers_pump(rr_node *node)
{
    struct members *members = node->members;
    struct list_link *first = list_front(&members->transfers);
    if (!node_alive(node) || members->stopped || first == NULL) {
        return;
    }
    if (node_leads(node)) {
        begin(CONTAINER_OF(first, struct transfer, link));
    }
    if (!timer_running(members->timer)) {
        timer_start(members->timer, MEMBERS_TICK_MS);
    }
}

void transfers_serve(rr_node *node, raft_id target, uint64_t deadline_us, relay_done_fn done,
                     void *arg)
{
    if (!node_leads(node)) {
        relay_answer_text(node, done, arg, RR_NOT_LEADER, "node %" PRIu64 " does not lead",
                          members_self(node));
        return;
    }
    if (target == members_self(node)) {
        relay_answer_text(node, done, arg, RR_OK, "it leads already");
        return;
    }
    const struct raft_configuration *configuration = raft_configuration(node_core(node));
    if (target != RAFT_NO_ID && !raft_configuration_votes(configuration, target)) {
        relay_answer_text(node, done, arg, RR_INVALID, "node %" PRIu64 " is no voter", target);
        return;
    }
    if (target == RAFT_NO_ID && members_meta_voters(&node->members->meta) < 2) {
        relay_answer_text(node, done, arg, RR_INVALID, "there is no other voter");
        return;
    }
    struct transfer *transfer = mem_new(struct transfer);
    transfer->node = node;
    transfer->target = target;
    transfer->done = done;
    transfer->arg = arg;
    list_push_back(&node->members->transfers, &transfer->link);
    deadline_set(&node->deadlines, &transfer->deadline, deadline_us, on_deadline, transfer);
    transfers_pump(node);
}

void transfers_role_changed(rr_node *node)
{
    if (!node_alive(node) || node_leads(node) || node_leader(node) == RAFT_NO_ID) {
        return;
    }
    LIST_FOREACH_SAFE(link, &node->members->transfers) {
        transfer_end(CONTAINER_OF(link, struct transfer, link), RR_OK, "another member leads");
    }
}

/* The core gave up, within an election timeout; the call has longer, and the timer asks anew. */
void transfers_ended(rr_node *node)
{
    transfers_pump(node);
}

void transfers_stop(rr_node *node)
{
    LIST_FOREACH_SAFE(link, &node->members->transfers) {
        transfer_end(CONTAINER_OF(link, struct transfer, link), RR_CLOSED, "the node is stopping");
    }
}
