/*
 * Messages between nodes (rr_node_send): from any thread to the node's, from there to the transport,
 * and those of others to the embedder. Nothing is kept, repeated or answered.
 */
#include "node/members.h"

#include "base/memory.h"
#include "transport/user_message.h"

#include <string.h>

enum {
    OUTGOING_BYTES_MAX = 16 * 1024 * 1024, /* handed over and not taken by the node's thread */
    OUTGOING_OVERHEAD_BYTES = 64,
};

/* One on its way to the node's thread. */
struct outgoing {
    struct list_link link;
    raft_id to; /* 0: every other member */
    size_t size;
    uint8_t data[];
};

void messages_open(rr_node *node)
{
    struct messages *messages = &node->messages;
    pthread_mutex_init(&messages->mutex, NULL);
    list_init(&messages->outgoing);
}

/* ---- Any thread ---- */

static rr_status post(rr_node *node, struct outgoing *outgoing)
{
    struct messages *messages = &node->messages;
    size_t cost = outgoing->size + OUTGOING_OVERHEAD_BYTES;
    pthread_mutex_lock(&messages->mutex);
    rr_status status = RR_OK;
    if (messages->closed) {
        status = RR_CLOSED;
    } else if (cost > OUTGOING_BYTES_MAX - messages->outgoing_bytes) {
        status = RR_BUSY;
    }
    bool first = list_empty(&messages->outgoing);
    if (status == RR_OK) {
        list_push_back(&messages->outgoing, &outgoing->link);
        messages->outgoing_bytes += cost;
    }
    pthread_mutex_unlock(&messages->mutex);
    if (status == RR_OK && first) {
        wakeup_send(node->wakeup);
    }
    return status;
}

rr_status rr_node_send(rr_node *node, uint64_t to, rr_bytes message)
{
    if (node == NULL || (message.size > 0 && message.data == NULL)) {
        return RR_INVALID;
    }
    if (message.size > USER_MESSAGE_BYTES_MAX) {
        return RR_TOO_BIG;
    }
    struct outgoing *outgoing = mem_try_alloc(sizeof(*outgoing) + message.size);
    if (outgoing == NULL) {
        return RR_NO_MEMORY;
    }
    *outgoing = (struct outgoing){.to = to, .size = message.size};
    if (message.size > 0) {
        memcpy(outgoing->data, message.data, message.size);
    }
    rr_status status = post(node, outgoing);
    if (status != RR_OK) {
        mem_free(outgoing);
    }
    return status;
}

void rr_node_on_message(rr_node *node, rr_message_fn fn, void *arg)
{
    if (node == NULL) {
        return;
    }
    struct messages *messages = &node->messages;
    pthread_mutex_lock(&messages->mutex);
    messages->fn = fn;
    messages->arg = arg;
    pthread_mutex_unlock(&messages->mutex);
}

/* ---- The node's thread ---- */

static void deliver(rr_node *node, raft_id from, rr_bytes message)
{
    struct messages *messages = &node->messages;
    pthread_mutex_lock(&messages->mutex);
    rr_message_fn fn = messages->fn;
    void *arg = messages->arg;
    pthread_mutex_unlock(&messages->mutex);
    if (fn != NULL) {
        fn(arg, from, message);
    }
}

void messages_receive(void *arg, const struct hello *from, rr_bytes message)
{
    rr_node *node = arg;
    if (!node_alive(node)) {
        return;
    }
    const struct member *member = member_list_find(&node->members->meta.list, from->node);
    if (member == NULL || (member->incarnation != 0 && member->incarnation != from->incarnation)) {
        node->counters.user_messages_stray_total++;
        return;
    }
    deliver(node, from->node, message);
}

/* To every other member, one of them, or this node itself. */
static void send_on(rr_node *node, const struct outgoing *outgoing)
{
    const struct member_list *list = &node->members->meta.list;
    raft_id self = members_self(node);
    rr_bytes message = {outgoing->data, outgoing->size};
    if (outgoing->to == self) {
        deliver(node, self, message);
        return;
    }
    bool found = false;
    for (uint32_t at = 0; at < list->count; at++) {
        raft_id id = list->members[at].id;
        if (id != self && (outgoing->to == RAFT_NO_ID || outgoing->to == id)) {
            found = true;
            (void)user_message_send(node->peers, id,
                                    message); /* what is dropped is counted there */
        }
    }
    if (!found && outgoing->to != RAFT_NO_ID) {
        node->counters.user_messages_stray_total++;
    }
}

/* Takes what other threads have handed over, so that they can go on. */
static void take(rr_node *node, struct list *out)
{
    struct messages *messages = &node->messages;
    list_init(out);
    pthread_mutex_lock(&messages->mutex);
    struct list_link *link;
    while ((link = list_pop_front(&messages->outgoing)) != NULL) {
        list_push_back(out, link);
    }
    messages->outgoing_bytes = 0;
    pthread_mutex_unlock(&messages->mutex);
}

void messages_turn(rr_node *node)
{
    struct list taken;
    take(node, &taken);
    struct list_link *link;
    while ((link = list_pop_front(&taken)) != NULL) {
        struct outgoing *outgoing = CONTAINER_OF(link, struct outgoing, link);
        if (node_alive(node)) {
            send_on(node, outgoing);
        }
        mem_free(outgoing);
    }
}

void messages_end(rr_node *node)
{
    pthread_mutex_lock(&node->messages.mutex);
    node->messages.closed = true;
    pthread_mutex_unlock(&node->messages.mutex);
}

void messages_close(rr_node *node)
{
    struct list_link *link;
    while ((link = list_pop_front(&node->messages.outgoing)) != NULL) {
        mem_free(CONTAINER_OF(link, struct outgoing, link));
    }
    pthread_mutex_destroy(&node->messages.mutex);
}
