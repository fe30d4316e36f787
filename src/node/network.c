/* The transport as the node uses it: who this node is, consensus messages in and out. */
#include "node/node_private.h"

#include "io/address.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void on_unreachable(void *arg, raft_id peer)
{
    struct raft_event event = {.type = RAFT_EVENT_UNREACHABLE};
    event.unreachable = peer;
    (void)node_step(arg, &event);
}

static const struct peers_callbacks peers_callbacks = {.unreachable = on_unreachable};

/* Whether the message is from whom the connection said it is from. */
static bool is_genuine(const struct hello *from, const struct raft_message *message)
{
    switch (message->type) {
    case RAFT_MSG_PROP: /* our nodes pass proposals on as requests */
    case RAFT_MSG_SNAP: /* and snapshots in streams of their own */
        return false;
    case RAFT_MSG_TRANSFER_LEADER: /* names the member that is to lead */
        return true;
    case RAFT_MSG_APP:
    case RAFT_MSG_APP_RESP:
    case RAFT_MSG_VOTE:
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_HEARTBEAT_RESP:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_READ_INDEX:
    case RAFT_MSG_READ_INDEX_RESP:
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_PRE_VOTE_RESP:
        return message->from == from->node && message->from_incarnation == from->incarnation;
    }
    return false; /* a type of a newer version */
}

static void on_message(void *arg, const struct hello *from, struct raft_message *message)
{
    rr_node *node = arg;
    if (!node_alive(node) || node->self.cluster == 0) {
        return;
    }
    if (message->cluster != node->self.cluster || !is_genuine(from, message)) {
        node->counters.dropped_messages_total++;
        return;
    }
    if (!space_takes(node, message)) {
        node->counters.space_dropped_total++;
        return;
    }
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    event.message = message;
    enum raft_result result = node_step(node, &event);
    if (result == RAFT_STEP_FOREIGN || result == RAFT_STEP_INVALID) {
        node->counters.dropped_messages_total++;
        LOG_DEBUG(&node->logger, "dropped a message of node %" PRIu64 ": %s", from->node,
                  raft_result_text(result));
    }
}

/* The callbacks of all nodes are the same. The part about snapshots is not a constant expression,
 * so it is filled in once per node. */
static void fill_callbacks(struct listener_callbacks *callbacks)
{
    callbacks->message = on_message;
    callbacks->request = forward_serve;
    callbacks->user_message = messages_receive;
    callbacks->snapshot = snapshots_receive_callbacks;
}

static rr_status listen_on(rr_node *node, char error[NODE_ERROR_BYTES_MAX])
{
    struct address address;
    rr_status status = address_parse(node->options.raft_address, &address);
    char reason[STREAM_REASON_BYTES_MAX] = "";
    if (status == RR_OK) {
        fill_callbacks(&node->listener_callbacks);
        status = listener_open(node->transport, &address, &node->listener_callbacks, node,
                               &node->listener, reason);
    }
    if (status != RR_OK) {
        snprintf(error, NODE_ERROR_BYTES_MAX,
                 "cannot listen on %s: %s; is another process using the address?",
                 node->options.raft_address, reason);
        return status == RR_INVALID ? RR_INVALID : RR_IO;
    }
    return RR_OK;
}

/* What is told to peers; the port as it is when any free one was asked for. */
static rr_status choose_address(rr_node *node, char error[NODE_ERROR_BYTES_MAX])
{
    struct address address;
    if (address_parse(node->options.advertise_address, &address) != RR_OK) {
        return RR_INVALID;
    }
    if (address.port == 0) {
        struct address actual;
        listener_address(node->listener, &actual);
        address.port = actual.port;
    }
    char text[ADDRESS_BYTES_MAX];
    address_format(&address, text);
    if (strlen(text) >= sizeof(node->self.address)) {
        snprintf(error, NODE_ERROR_BYTES_MAX, "advertise_address: %s is too long", text);
        return RR_INVALID;
    }
    snprintf(node->self.address, sizeof(node->self.address), "%s", text);
    return RR_OK;
}

rr_status network_open(rr_node *node, char error[NODE_ERROR_BYTES_MAX])
{
    node->self.node = node->options.public.node_id;
    struct transport_options options = {
        .loop = node->loop,
        .logger = logger_named(&node->logger, "transport"),
        .random_seed = random_u64(&node->random),
        .self = node->self,
        .accept = members_accept,
        .accept_arg = node,
        .refused = members_refused,
        .refused_arg = node,
    };
    node->transport = transport_new(&options);
    node->peers = peers_new(node->transport, &peers_callbacks, node);
    rr_status status = listen_on(node, error);
    return status == RR_OK ? choose_address(node, error) : status;
}

void network_send(void *arg, const struct raft_message *message)
{
    rr_node *node = arg;
    if (message->type == RAFT_MSG_SNAP) {
        snapshots_send(node, message);
        return;
    }
    (void)peers_send(node->peers, message); /* what is lost shows as unreachable */
}

void network_close(rr_node *node)
{
    listener_close(node->listener);
    node->listener = NULL;
    peers_free(node->peers);
    node->peers = NULL;
    transport_free(node->transport);
    node->transport = NULL;
}
