#include "transport/world.h"

#include "base/memory.h"
#include "io/tcp.h"

#include <stdio.h>
#include <string.h>

static void guard_due(void *arg)
{
    FAIL("waited for too long");
}

static void pause_due(void *arg)
{
    ((struct world *)arg)->pause_over = true;
}

void world_open(struct world *world)
{
    memset(world, 0, sizeof(*world));
    CHECK_OK(loop_open(&world->loop));
    world->guard = timer_open(world->loop, guard_due, world);
    world->pause = timer_open(world->loop, pause_due, world);
    timer_start(world->guard, 50 * 1000);
}

void world_close(struct world *world)
{
    timer_close(world->guard);
    timer_close(world->pause);
    loop_close(world->loop);
}

void world_run_for(struct world *world, uint64_t milliseconds)
{
    world->pause_over = false;
    timer_start(world->pause, milliseconds);
    WAIT_UNTIL(world, world->pause_over);
}

static rr_status node_accepts(void *arg, const struct hello *other, bool inbound,
                              char reason[HANDSHAKE_REASON_BYTES_MAX])
{
    struct node *node = arg;
    rr_status status = inbound ? node->accept_status : node->accept_outbound_status;
    if (status != RR_OK) {
        snprintf(reason, HANDSHAKE_REASON_BYTES_MAX, "node %u is not wanted",
                 (unsigned)other->node);
    }
    return status;
}

static void node_unreachable(void *arg, raft_id peer)
{
    ((struct node *)arg)->unreachable_count++;
}

static void node_connected(void *arg, raft_id peer, bool connected)
{
    struct node *node = arg;
    if (connected) {
        node->connected_count++;
    } else {
        node->disconnected_count++;
    }
}

static const struct peers_callbacks peers_callbacks = {
    .unreachable = node_unreachable,
    .connected = node_connected,
};

static void node_message(void *arg, const struct hello *from, struct raft_message *message)
{
    struct node *node = arg;
    node->messages++;
    node->out_of_order |= message->index <= node->last_index;
    node->last_index = message->index;
}

static void node_request(void *arg, const struct hello *from, uint16_t method, rr_bytes body,
                         uint32_t timeout_ms, struct responder *responder)
{
    struct node *node = arg;
    node->requests++;
    node->last_timeout_ms = timeout_ms;
    if (node->drop_asker) {
        listener_drop_node(node->listener, from->node);
    }
    if (node->hold_requests || node->drop_asker) {
        CHECK_LT(node->held_count, (size_t)WORLD_HELD_MAX);
        node->held[node->held_count++] = responder;
    } else {
        responder_answer(responder, (rr_status)method, body);
    }
}

static void node_user_message(void *arg, const struct hello *from, rr_bytes message)
{
    struct node *node = arg;
    node->user_messages++;
    node->last_user_message_from = from->node;
    node->last_user_message_size = message.size;
    snprintf(node->last_user_message, sizeof(node->last_user_message), "%.*s",
             message.size < 60 ? (int)message.size : 60,
             message.size == 0 ? "" : (const char *)message.data);
    uint64_t number = 0;
    memcpy(&number, message.size >= 8 ? message.data : &number, sizeof(number));
    node->user_messages_out_of_order |= number < node->user_message_number;
    node->user_message_number = number;
}

static void sink_begin(void *arg, struct snapshot_receive *receive, const struct hello *from,
                       const struct raft_message *message, rr_bytes manifest, uint64_t chunk_count)
{
    struct sink *sink = &((struct node *)arg)->sink;
    sink->begun++;
    sink->receive = receive;
    sink->chunk_count = chunk_count;
    sink->index = message->snapshot->index;
    snprintf(sink->manifest, sizeof(sink->manifest), "%.*s", (int)manifest.size,
             (const char *)manifest.data);
    snapshot_receive_set_context(receive, sink);
    if (sink->hold_begin) {
        return;
    }
    if (sink->begin_status == RR_OK) {
        snapshot_receive_resume(receive, sink->resume_at);
    } else {
        snapshot_receive_fail(receive, sink->begin_status, "no room");
    }
}

static void sink_chunk(void *arg, struct snapshot_receive *receive, uint64_t chunk, rr_bytes bytes)
{
    struct sink *sink = snapshot_receive_context(receive);
    CHECK_EQ(sink, &((struct node *)arg)->sink);
    CHECK_LT(chunk, (uint64_t)WORLD_CHUNKS_MAX);
    sink->chunks[chunk] = *(const uint8_t *)bytes.data;
    sink->chunks_stored++;
    if (sink->hold_acks) {
        sink->held_chunk = sink->held_count == 0 ? chunk : sink->held_chunk;
        sink->held_count++;
    } else if (sink->chunk_status == RR_OK) {
        snapshot_receive_ack(receive, chunk);
    } else {
        snapshot_receive_fail(receive, sink->chunk_status, "disk full");
    }
}

static void sink_finish(void *arg, struct snapshot_receive *receive)
{
    struct sink *sink = snapshot_receive_context(receive);
    snapshot_receive_finish(receive, sink->finish_status, "as told");
}

static void sink_end(void *arg, struct snapshot_receive *receive, rr_status status)
{
    struct sink *sink = &((struct node *)arg)->sink;
    sink->ended++;
    sink->end_status = status;
    if (sink->receive == receive) {
        sink->receive = NULL;
    }
}

static const struct listener_callbacks listener_callbacks = {
    .message = node_message,
    .request = node_request,
    .user_message = node_user_message,
    .snapshot = {.begin = sink_begin, .chunk = sink_chunk, .finish = sink_finish, .end = sink_end},
};

static void node_log(void *arg, rr_log_level level, const char *target, const char *text)
{
    struct node *node = arg;
    CHECK_TEXT(target, "transport");
    size_t length = strlen(node->log);
    snprintf(node->log + length, sizeof(node->log) - length, "%s\n", text);
}

void node_init(struct node *node, struct world *world, raft_id id)
{
    memset(node, 0, sizeof(*node));
    node->world = world;
    node->options.loop = world->loop;
    node->options.logger = (struct logger){.fn = node_log, .arg = node, .level = RR_LOG_INFO};
    node->options.random_seed = id;
    node->options.self.cluster = 7;
    node->options.self.node = id;
    node->options.self.incarnation = 100 + id;
    node->options.accept = node_accepts;
    node->options.accept_arg = node;
    node->options.backoff_min_ms = 5;
    node->options.backoff_max_ms = 40;
    CHECK_OK(address_parse("127.0.0.1:0", &node->address));
}

void node_start(struct node *node)
{
    node->transport = transport_new(&node->options);
    node->peers = peers_new(node->transport, &peers_callbacks, node);
    CHECK_OK(listener_open(node->transport, &node->address, &listener_callbacks, node,
                           &node->listener, NULL));
    listener_address(node->listener, &node->address);
    address_format(&node->address, node->address_text);
}

void node_stop(struct node *node)
{
    if (node->listener == NULL) {
        return;
    }
    listener_close(node->listener);
    node->listener = NULL;
    node_answer_all(node, RR_CLOSED, "");
    peers_free(node->peers);
    transport_free(node->transport);
}

void node_add_peer(struct node *node, const struct node *to)
{
    CHECK_OK(peers_set(node->peers, to->options.self.node, 0, to->address_text));
}

void node_answer_first(struct node *node, rr_status status, const char *body)
{
    CHECK_GT(node->held_count, (size_t)0);
    struct responder *responder = node->held[0];
    node->held_count--;
    memmove(&node->held[0], &node->held[1], node->held_count * sizeof(node->held[0]));
    responder_answer(responder, status, test_bytes_of(body));
}

void node_answer_all(struct node *node, rr_status status, const char *body)
{
    for (size_t at = 0; at < node->held_count; at++) {
        responder_answer(node->held[at], status, test_bytes_of(body));
    }
    node->held_count = 0;
}

const struct transport_counters *node_counters(const struct node *node)
{
    return transport_counters(node->transport);
}

rr_status node_send(struct node *node, raft_id to, uint64_t index)
{
    struct raft_message message = {.type = RAFT_MSG_HEARTBEAT, .to = to, .index = index};
    message.from = node->options.self.node;
    return peers_send(node->peers, &message);
}

void outcome_note(void *arg, const struct rpc_result *result)
{
    struct outcome *outcome = arg;
    outcome->done++;
    outcome->status = result->status;
    outcome->answered = result->answered;
    outcome->sent = result->sent;
    outcome->other = result->other == NULL ? RAFT_NO_ID : result->other->node;
    snprintf(outcome->body, sizeof(outcome->body), "%.*s", (int)result->body.size,
             result->body.size == 0 ? "" : (const char *)result->body.data);
    snprintf(outcome->reason, sizeof(outcome->reason), "%s", result->reason);
}

/* Two streams, each of which gets what the other reads. */
struct proxy_link {
    struct list_link link;
    struct proxy *proxy;
    struct stream *client;
    struct stream *server;
    struct tcp_connect *connect;
    struct buffer early; /* from the client, before the server is connected */
    uint64_t from_client;
    struct deferred free;
};

static void link_free(void *arg)
{
    struct proxy_link *link = arg;
    buffer_deinit(&link->early);
    mem_free(link);
}

static void link_end(struct proxy_link *link)
{
    stream_abandon(link->client);
    stream_abandon(link->server);
    tcp_connect_cancel(link->connect);
    list_remove(&link->link);
    link->free = (struct deferred){.fn = link_free, .arg = link};
    loop_defer(link->proxy->world->loop, &link->free);
}

static void pass_on(struct stream *to, rr_bytes bytes)
{
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_append(&buffer, bytes.data, bytes.size);
    rr_status status = stream_write(to, &buffer);
    (void)status;
    buffer_deinit(&buffer);
}

static void client_read(void *arg, rr_bytes bytes)
{
    struct proxy_link *link = arg;
    struct proxy *proxy = link->proxy;
    if (proxy->stalled) {
        return;
    }
    uint64_t start = link->from_client;
    link->from_client += bytes.size;
    proxy->bytes_from_client += bytes.size;
    struct buffer copy;
    buffer_init(&copy);
    buffer_append(&copy, bytes.data, bytes.size);
    if (proxy->flip_bit_at >= start && proxy->flip_bit_at - start < bytes.size) {
        copy.data[proxy->flip_bit_at - start] ^= 4;
    }
    bool cut = link->from_client >= proxy->cut_after;
    if (cut) {
        buffer_truncate(&copy, proxy->cut_after > start ? proxy->cut_after - start : 0);
    }
    if (link->server != NULL) {
        pass_on(link->server, buffer_bytes(&copy));
    } else {
        buffer_append(&link->early, copy.data, copy.size);
    }
    buffer_deinit(&copy);
    if (cut) {
        link_end(link);
    }
}

static void server_read(void *arg, rr_bytes bytes)
{
    struct proxy_link *link = arg;
    if (!link->proxy->stalled) {
        pass_on(link->client, bytes);
    }
}

static void client_closed(void *arg, rr_status status, const char *reason)
{
    struct proxy_link *link = arg;
    link->client = NULL;
    link_end(link);
}

static void server_closed(void *arg, rr_status status, const char *reason)
{
    struct proxy_link *link = arg;
    link->server = NULL;
    link_end(link);
}

static const struct stream_callbacks client_callbacks = {.read = client_read,
                                                         .closed = client_closed};
static const struct stream_callbacks server_callbacks = {.read = server_read,
                                                         .closed = server_closed};

enum { PROXY_QUEUE_BYTES_MAX = 256 * 1024 * 1024 };

static void server_connected(void *arg, rr_status status, struct stream *stream, const char *reason)
{
    struct proxy_link *link = arg;
    link->connect = NULL;
    if (status != RR_OK) {
        link_end(link);
        return;
    }
    link->server = stream;
    stream_start(stream, &server_callbacks, link, PROXY_QUEUE_BYTES_MAX);
    pass_on(stream, buffer_bytes(&link->early));
}

static void proxy_accept(void *arg, struct stream *stream)
{
    struct proxy *proxy = arg;
    struct proxy_link *link = mem_new(struct proxy_link);
    link->proxy = proxy;
    link->client = stream;
    buffer_init(&link->early);
    list_push_back(&proxy->links, &link->link);
    proxy->connections++;
    stream_start(stream, &client_callbacks, link, PROXY_QUEUE_BYTES_MAX);
    link->connect = tcp_connect(proxy->world->loop, &proxy->target, 5000, server_connected, link);
}

void proxy_open(struct proxy *proxy, struct world *world, const struct address *target)
{
    memset(proxy, 0, sizeof(*proxy));
    proxy->world = world;
    proxy->target = *target;
    proxy->flip_bit_at = UINT64_MAX;
    proxy->cut_after = UINT64_MAX;
    list_init(&proxy->links);
    struct address any;
    CHECK_OK(address_parse("127.0.0.1:0", &any));
    CHECK_OK(tcp_listen(world->loop, &any, proxy_accept, proxy, &proxy->listener, NULL));
    tcp_listener_address(proxy->listener, &proxy->address);
    address_format(&proxy->address, proxy->address_text);
}

void proxy_cut(struct proxy *proxy)
{
    struct list_link *link;
    while ((link = list_front(&proxy->links)) != NULL) {
        link_end(CONTAINER_OF(link, struct proxy_link, link));
    }
}

void proxy_close(struct proxy *proxy)
{
    proxy_cut(proxy);
    tcp_listener_close(proxy->listener);
}

static void raw_read(void *arg, rr_bytes bytes)
{
    struct raw *raw = arg;
    buffer_append(&raw->received, bytes.data, bytes.size);
}

static void raw_closed(void *arg, rr_status status, const char *reason)
{
    struct raw *raw = arg;
    raw->closed = true;
    raw->stream = NULL;
}

static const struct stream_callbacks raw_callbacks = {.read = raw_read, .closed = raw_closed};

static void raw_connected(void *arg, rr_status status, struct stream *stream, const char *reason)
{
    struct raw *raw = arg;
    CHECK_OK(status);
    raw->connect = NULL;
    raw->connected = true;
    raw->stream = stream;
    stream_start(stream, &raw_callbacks, raw, PROXY_QUEUE_BYTES_MAX);
}

void raw_open(struct raw *raw, struct world *world, const struct address *address)
{
    memset(raw, 0, sizeof(*raw));
    raw->world = world;
    buffer_init(&raw->received);
    raw->connect = tcp_connect(world->loop, address, 5000, raw_connected, raw);
    WAIT_UNTIL(world, raw->connected);
}

void raw_send(struct raw *raw, rr_bytes bytes)
{
    if (raw->stream != NULL) {
        pass_on(raw->stream, bytes);
    }
}

void raw_close(struct raw *raw)
{
    tcp_connect_cancel(raw->connect);
    stream_abandon(raw->stream);
    buffer_deinit(&raw->received);
}
