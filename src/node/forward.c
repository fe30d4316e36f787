/*
 * Passing on to the leader, both ends: commands of writes (requests.c decides when), and changes of
 * members, which wait here for a leader; and serving what other nodes ask.
 */
#include "node/backups.h"

#include "base/assert.h"
#include "base/memory.h"

#include <string.h>

enum { RELAY_RETRY_US = 20 * 1000 };

/* ---- Asking ---- */

/* Encodes the request into node->scratch; false without memory. */
static bool encode_request(rr_node *node, const struct relay_request *request)
{
    buffer_clear(&node->scratch);
    relay_request_encode(&node->scratch, request);
    return !node->scratch.failed;
}

rr_status forward_command(rr_node *node, raft_id leader, rr_bytes command, uint32_t timeout_ms,
                          rpc_done_fn done, void *arg)
{
    struct relay_request request = {.kind = RELAY_SUBMIT,
                                    .timeout_ms = timeout_ms,
                                    .cluster = node->self.cluster,
                                    .command = command};
    if (!encode_request(node, &request)) {
        return RR_NO_MEMORY;
    }
    return rpc_call(node->peers, leader, RPC_RELAY, buffer_bytes(&node->scratch), timeout_ms, done,
                    arg);
}

/* A request for the leader that is not a write: kept until somebody has answered it. */
struct relay {
    struct list_link link; /* in node->relays while nobody is being asked; else zeroed */
    struct deadline deadline;
    rr_node *node;
    struct relay_request request;
    uint64_t deadline_us;
    bool in_doubt; /* a leader that leads no more may have begun it */
    relay_done_fn done;
    void *arg;
};

static void relay_end(struct relay *relay, const struct relay_answer *answer)
{
    if (list_contains(&relay->link)) {
        list_remove(&relay->link);
    }
    deadline_clear(&relay->node->deadlines, &relay->deadline);
    relay->done(relay->arg, answer);
    mem_free(relay);
}

static void relay_end_text(struct relay *relay, rr_status status, const char *text)
{
    struct relay_answer answer = {.status = status, .leader = node_leader(relay->node)};
    answer.message = (rr_bytes){text, strlen(text)};
    relay_end(relay, &answer);
}

/* No leader takes it any more. */
static void relay_give_up(struct relay *relay, rr_status status, const char *text)
{
    if (relay->in_doubt) {
        status = RR_UNKNOWN;
        text = "an earlier leader may have begun it, and no other has taken it";
    }
    relay_end_text(relay, status, text);
}

static void relay_expire(void *arg)
{
    relay_give_up(arg, RR_NOT_LEADER, "no leader took the request before its deadline");
}

static void relay_wait(struct relay *relay)
{
    rr_node *node = relay->node;
    uint64_t now_us = node_now_us(node);
    if (!node_alive(node)) {
        relay_give_up(relay, RR_CLOSED, "the node is shutting down");
        return;
    }
    if (now_us >= relay->deadline_us) {
        relay_expire(relay);
        return;
    }
    if (!list_contains(&relay->deadline.link)) {
        deadline_set(&node->deadlines, &relay->deadline, relay->deadline_us, relay_expire, relay);
    }
    list_push_back(&node->relays, &relay->link);
    if (now_us + RELAY_RETRY_US < node->relays_retry_us) {
        node->relays_retry_us = now_us + RELAY_RETRY_US;
    }
}

/* Nobody serves it to its end: ask again. Of adding, which takes several steps, the first may have
 * been done. */
static bool is_refusal(struct relay *relay, rr_status status)
{
    bool refused = status == RR_NOT_LEADER || status == RR_CLOSED;
    relay->in_doubt |= refused && relay->request.kind == RELAY_ADD;
    return refused;
}

static void on_served_here(void *arg, const struct relay_answer *answer)
{
    struct relay *relay = arg;
    if (is_refusal(relay, answer->status)) {
        relay_wait(relay);
        return;
    }
    relay_end(relay, answer);
}

static void on_served_there(void *arg, const struct rpc_result *result)
{
    struct relay *relay = arg;
    struct relay_answer answer;
    if (!result->answered) {
        if (result->sent) {
            relay_end_text(relay, RR_UNKNOWN, result->reason);
        } else {
            relay_wait(relay);
        }
        return;
    }
    /* The transport's own status is about the answer alone. */
    if (result->status != RR_OK || relay_answer_decode(result->body, &answer) != RR_OK) {
        relay_end_text(relay, RR_UNKNOWN, "the leader's answer was lost or makes no sense");
        return;
    }
    if (is_refusal(relay, answer.status)) {
        relay_wait(relay);
        return;
    }
    relay_end(relay, &answer);
}

static uint32_t left_ms(const rr_node *node, uint64_t deadline_us)
{
    uint64_t now_us = node_now_us(node);
    uint64_t left = deadline_us > now_us ? (deadline_us - now_us) / 1000 : 0;
    return left == 0 ? 1 : left > UINT32_MAX ? UINT32_MAX : (uint32_t)left;
}

static void relay_ask(struct relay *relay)
{
    rr_node *node = relay->node;
    raft_id leader = node_leader(node);
    relay->request.timeout_ms = left_ms(node, relay->deadline_us);
    /* From here on, whoever was asked tells when the time is up. */
    if (node_leads(node)) {
        list_remove(&relay->link);
        deadline_clear(&node->deadlines, &relay->deadline);
        members_serve(node, NULL, &relay->request, relay->deadline_us, on_served_here, relay);
        return;
    }
    rr_status status = encode_request(node, &relay->request)
                           ? rpc_call(node->peers, leader, RPC_RELAY, buffer_bytes(&node->scratch),
                                      relay->request.timeout_ms, on_served_there, relay)
                           : RR_NO_MEMORY;
    if (status == RR_OK) {
        list_remove(&relay->link);
        deadline_clear(&node->deadlines, &relay->deadline);
    }
}

void relay_to_leader(rr_node *node, const struct relay_request *request, uint64_t deadline_us,
                     relay_done_fn done, void *arg)
{
    struct relay *relay = mem_new(struct relay);
    relay->node = node;
    relay->request = *request;
    relay->request.cluster = node->self.cluster;
    relay->deadline_us = deadline_us;
    relay->done = done;
    relay->arg = arg;
    deadline_set(&node->deadlines, &relay->deadline, deadline_us, relay_expire, relay);
    list_push_back(&node->relays, &relay->link);
    relays_retry_soon(node);
}

void relays_open(rr_node *node)
{
    list_init(&node->relays);
    node->relays_retry_us = UINT64_MAX;
}

void relays_retry_soon(rr_node *node)
{
    node->relays_retry_us = 0;
    loop_mark(node->loop);
}

void relays_turn(rr_node *node)
{
    uint64_t now_us = node_now_us(node);
    if (now_us < node->relays_retry_us) {
        return;
    }
    node->relays_retry_us = UINT64_MAX;
    if (list_empty(&node->relays)) {
        return;
    }
    node->relays_retry_us = now_us + RELAY_RETRY_US;
    if (node_leader(node) == RAFT_NO_ID) {
        return;
    }
    struct list taken;
    list_init(&taken);
    list_append_all(&taken, &node->relays);
    struct list_link *link;
    while ((link = list_front(&taken)) != NULL) {
        struct relay *relay = CONTAINER_OF(link, struct relay, link);
        relay_ask(relay);
        if (list_front(&taken) == link) { /* it could not be asked: later again */
            list_remove(link);
            list_push_back(&node->relays, link);
        }
    }
}

void relays_end_all(rr_node *node)
{
    struct list_link *link;
    while ((link = list_front(&node->relays)) != NULL) {
        relay_give_up(CONTAINER_OF(link, struct relay, link), RR_CLOSED,
                      "the node is shutting down");
    }
}

/* ---- Serving ---- */

/* A request of another node, until it is answered. */
struct served {
    rr_node *node;
    struct responder *responder;
    uint64_t id;
};

static void respond(struct served *served, struct relay_answer *answer)
{
    rr_node *node = served->node;
    answer->id = served->id;
    answer->leader = node_leader(node);
    const char *address =
        answer->leader == RAFT_NO_ID ? NULL : members_address(node, answer->leader);
    if (address != NULL) {
        answer->leader_address = (rr_bytes){address, strlen(address)};
    }
    struct buffer bytes; /* not the scratch buffer: what the answer points to may be in it */
    buffer_init(&bytes);
    relay_answer_encode(&bytes, answer);
    if (bytes.failed) {
        /* The transport's status says enough: it did happen, or did not, but nobody can tell. */
        responder_answer(served->responder, RR_UNKNOWN, (rr_bytes){0});
    } else {
        responder_answer(served->responder, RR_OK, buffer_bytes(&bytes));
    }
    buffer_deinit(&bytes);
    mem_free(served);
}

static void respond_status(struct served *served, rr_status status)
{
    struct relay_answer answer = {.status = status};
    respond(served, &answer);
}

static void on_submitted(void *arg, rr_status status, const rr_result *result)
{
    struct relay_answer answer = {.status = status};
    if (result != NULL && result->decoded.bytes != NULL) {
        answer.result = result_bytes(&result->decoded);
    }
    const char *message = rr_result_message(result);
    answer.message = (rr_bytes){message, strlen(message)};
    respond(arg, &answer);
}

static void on_members_served(void *arg, const struct relay_answer *answer)
{
    struct relay_answer copy = *answer;
    respond(arg, &copy);
}

void forward_serve(void *arg, const struct hello *from, uint16_t method, rr_bytes body,
                   uint32_t timeout_ms, struct responder *responder)
{
    rr_node *node = arg;
    if (method == RPC_BACKUP) {
        backups_serve(node, body, timeout_ms, responder);
        return;
    }
    if (method != RPC_RELAY) {
        responder_answer(responder, RR_INVALID, (rr_bytes){0});
        return;
    }
    struct relay_request request;
    struct served *served = mem_new(struct served);
    served->node = node;
    served->responder = responder;
    rr_status status = relay_request_decode(body, &request);
    served->id = request.id;
    if (status != RR_OK) {
        respond_status(served, status == RR_MISMATCH ? RR_MISMATCH : RR_INVALID);
        return;
    }
    if (!node_alive(node)) {
        respond_status(served, RR_CLOSED);
        return;
    }
    if (request.kind != RELAY_SUBMIT) {
        uint64_t deadline_us = node_now_us(node) + (uint64_t)timeout_ms * 1000;
        members_serve(node, from, &request, deadline_us, on_members_served, served);
        return;
    }
    if (request.cluster == 0 || request.cluster != node->self.cluster) {
        respond_status(served, RR_MISMATCH);
        return;
    }
    status = write_begin_remote(node, request.command, timeout_ms, on_submitted, served);
    if (status != RR_OK) {
        respond_status(served, status);
    }
}
