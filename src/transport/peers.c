/* The peers by id, and consensus messages to them. Calls and snapshots to them are for rpc.c and
 * snapshot_send.c. */
#include "transport/peers.h"

#include "base/assert.h"
#include "base/memory.h"
#include "transport/transport_private.h"
#include "transport/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct peer *peers_find(const struct peers *peers, raft_id id)
{
    struct peer *peer = map_get(&peers->by_id, id);
    return peer == NULL || peer->stopped || peers->closing ? NULL : peer;
}

/* Has `unreachable` called, in this turn or, if it was already, in the next. */
static void report_unreachable(struct peer *peer)
{
    if (!list_contains(&peer->unreachable)) {
        list_push_back(&peer->peers->unreachable, &peer->unreachable);
        loop_mark(peer->peers->transport->loop);
    }
}

static void turn_ends(void *arg)
{
    struct peers *peers = arg;
    uint64_t turn = loop_turn(peers->transport->loop) + 1;
    if (peers->reported_turn == turn || list_empty(&peers->unreachable)) {
        return;
    }
    peers->reported_turn = turn;
    uint32_t count = 0;
    LIST_FOREACH(link, &peers->unreachable) {
        count++;
    }
    for (; count > 0 && !list_empty(&peers->unreachable); count--) {
        struct list_link *link = list_pop_front(&peers->unreachable);
        if (peers->callbacks->unreachable != NULL) {
            loop_mark(peers->transport->loop);
            peers->callbacks->unreachable(peers->arg,
                                          CONTAINER_OF(link, struct peer, unreachable)->id);
        }
    }
}

static void report_connected(struct peer *peer, bool connected)
{
    const struct peers *peers = peer->peers;
    if (peers->callbacks->connected != NULL) {
        peers->callbacks->connected(peers->arg, peer->id, connected);
    }
}

static void drop_waiting(struct peer *peer)
{
    peer->peers->transport->counters.dropped_not_connected += peer->waiting_count;
    peer->waiting_count = 0;
    buffer_deinit(&peer->waiting);
}

static void consensus_opened(void *arg)
{
    struct peer *peer = arg;
    if (peer->waiting_count > 0) {
        rr_status status =
            connection_send(peer->consensus.connection, &peer->waiting, peer->waiting_count);
        if (status == RR_OK) {
            peer->waiting_count = 0;
            buffer_deinit(&peer->waiting);
        } else {
            drop_waiting(peer);
            report_unreachable(peer);
        }
    }
    report_connected(peer, true);
}

static void consensus_frame(void *arg, const struct frame *frame)
{
    struct peer *peer = arg;
    connection_unexpected(peer->consensus.connection, frame);
}

static void consensus_failed(void *arg, rr_status status, const char *reason, uint64_t written,
                             const struct hello *other)
{
    struct peer *peer = arg;
    bool was_open = peer->consensus.wanted;
    drop_waiting(peer);
    report_unreachable(peer);
    if (was_open) {
        report_connected(peer, false);
    }
}

static const struct dialer_callbacks consensus_callbacks = {
    .opened = consensus_opened,
    .frame = consensus_frame,
    .failed = consensus_failed,
};

/* Connects the peer to where it is now. */
static void peer_start(struct peer *peer)
{
    struct transport *transport = peer->peers->transport;
    dialer_init(&peer->consensus, transport, TRAFFIC_CONSENSUS, &peer->address,
                transport->options.consensus_queue_bytes_max, &consensus_callbacks, peer);
    peer->consensus.to_node = peer->id;
    peer->consensus.to_incarnation = peer->incarnation;
    channel_init(&peer->bulk, transport, &peer->address);
    peer->bulk.dialer.to_node = peer->id;
    peer->bulk.dialer.to_incarnation = peer->incarnation;
}

/* Drops its connections. Calls and snapshots end here, and their callbacks may do anything but
 * free `peers` or remove this peer. */
static void peer_stop(struct peer *peer)
{
    ASSERT(!peer->stopped);
    peer->stopped = true;
    dialer_deinit(&peer->consensus);
    drop_waiting(peer);
    channel_deinit(&peer->bulk);
    while (!list_empty(&peer->sends)) {
        snapshot_send_end_first(&peer->sends);
    }
}

static void peer_free(struct peer *peer)
{
    peer_stop(peer);
    if (list_contains(&peer->unreachable)) {
        list_remove(&peer->unreachable);
    }
    mem_free(peer);
}

struct peers *peers_new(struct transport *transport, const struct peers_callbacks *callbacks,
                        void *arg)
{
    ASSERT(transport->peers == NULL);
    struct peers *peers = mem_new(struct peers);
    peers->transport = transport;
    peers->callbacks = callbacks;
    peers->arg = arg;
    map_init(&peers->by_id);
    list_init(&peers->unreachable);
    list_init(&peers->addresses);
    peers->hook.fn = turn_ends;
    peers->hook.arg = peers;
    loop_add_turn_hook(transport->loop, &peers->hook);
    transport->peers = peers;
    return peers;
}

/* Any peer, or NULL. */
static struct peer *any_peer(const struct peers *peers)
{
    size_t position = 0;
    void *value;
    return map_iterate(&peers->by_id, &position, NULL, &value) ? value : NULL;
}

void peers_free(struct peers *peers)
{
    if (peers == NULL) {
        return;
    }
    peers->closing = true;
    peers_drop_addresses(peers);
    for (struct peer *peer = any_peer(peers); peer != NULL; peer = any_peer(peers)) {
        peers_remove(peers, peer->id);
    }
    loop_remove_turn_hook(peers->transport->loop, &peers->hook);
    map_deinit(&peers->by_id);
    peers->transport->peers = NULL;
    mem_free(peers);
}

static bool same_place(const struct peer *peer, uint64_t incarnation, const char *address_text)
{
    return peer->incarnation == incarnation && strcmp(peer->address_text, address_text) == 0;
}

rr_status peers_set(struct peers *peers, raft_id id, uint64_t incarnation, const char *address_text)
{
    ASSERT(id != RAFT_NO_ID);
    struct address address;
    if (address_parse(address_text, &address) != RR_OK || address.port == 0) {
        return RR_INVALID;
    }
    struct peer *peer = map_get(&peers->by_id, id);
    if (peer != NULL && same_place(peer, incarnation, address_text)) {
        return RR_OK;
    }
    if (peer == NULL) {
        peer = mem_new(struct peer);
        peer->peers = peers;
        peer->id = id;
        list_init(&peer->sends);
        buffer_init(&peer->waiting);
        map_set(&peers->by_id, id, peer);
    } else {
        bool was_connected = peer->consensus.state == DIALER_OPEN;
        peer_stop(peer);
        report_unreachable(peer);
        if (was_connected) {
            report_connected(peer, false);
        }
    }
    peer->incarnation = incarnation;
    peer->address = address;
    address_format(&address, peer->address_text);
    peer->stopped = false;
    peer_start(peer);
    return RR_OK;
}

void peers_remove(struct peers *peers, raft_id id)
{
    struct peer *peer = map_remove(&peers->by_id, id);
    if (peer != NULL) {
        peer_free(peer);
    }
}

const char *peers_address(const struct peers *peers, raft_id id)
{
    const struct peer *peer = peers_find(peers, id);
    return peer == NULL ? NULL : peer->address_text;
}

bool peers_connected(const struct peers *peers, raft_id id)
{
    const struct peer *peer = peers_find(peers, id);
    return peer != NULL && peer->consensus.state == DIALER_OPEN;
}

size_t peers_queued(const struct peers *peers, raft_id id)
{
    const struct peer *peer = peers_find(peers, id);
    if (peer == NULL) {
        return 0;
    }
    return peer->consensus.state == DIALER_OPEN ? connection_queued(peer->consensus.connection)
                                                : peer->waiting.size;
}

/* Keeps the frame until the handshake is done. */
static rr_status wait_for_handshake(struct peer *peer, const struct buffer *frame)
{
    size_t queue_bytes_max = peer->peers->transport->options.consensus_queue_bytes_max;
    if (peer->waiting.size > 0 &&
        (frame->size > queue_bytes_max || peer->waiting.size > queue_bytes_max - frame->size)) {
        return RR_BUSY;
    }
    size_t size = peer->waiting.size;
    buffer_append(&peer->waiting, frame->data, frame->size);
    if (peer->waiting.failed) {
        peer->waiting.failed = false;
        buffer_truncate(&peer->waiting, size);
        return RR_NO_MEMORY;
    }
    peer->waiting_count++;
    return RR_OK;
}

static rr_status send_frame(struct peer *peer, struct buffer *frame)
{
    dialer_want(&peer->consensus);
    switch (peer->consensus.state) {
    case DIALER_CONNECTING:
    case DIALER_SHAKING_HANDS:
        return wait_for_handshake(peer, frame);
    case DIALER_OPEN:
        return connection_send(peer->consensus.connection, frame, 1);
    case DIALER_IDLE:
    case DIALER_PAUSED:
        return RR_IO;
    }
    UNREACHABLE();
}

/* Counts what was dropped; returns what peers_send does. */
static rr_status count_drop(struct transport *transport, rr_status status)
{
    if (status == RR_BUSY) {
        transport->counters.dropped_queue_full++;
        return status;
    }
    if (status == RR_NO_MEMORY) {
        transport->counters.dropped_no_memory++;
        return status;
    }
    transport->counters.dropped_not_connected++;
    return RR_IO;
}

rr_status peers_send(struct peers *peers, const struct raft_message *message)
{
    struct peer *peer = peers_find(peers, message->to);
    if (peer == NULL) {
        return RR_NOT_FOUND;
    }
    struct transport *transport = peers->transport;
    if (peer->consensus.state == DIALER_PAUSED) {
        dialer_want(&peer->consensus);
        report_unreachable(peer);
        return count_drop(transport, RR_IO);
    }
    struct buffer *frame = transport_scratch(transport);
    size_t start = frame_begin(frame, FRAME_RAFT, 0);
    rr_status status = wire_encode_message(message, frame);
    if (status == RR_TOO_BIG) {
        return status;
    }
    if (status == RR_OK) {
        frame_end(frame, start);
        status = send_frame(peer, frame);
    }
    if (status != RR_OK) {
        report_unreachable(peer);
        return count_drop(transport, status);
    }
    return RR_OK;
}

void peers_retry_now(struct peers *peers, raft_id id)
{
    struct peer *peer = peers_find(peers, id);
    if (peer == NULL) {
        return;
    }
    dialer_end_pause(&peer->consensus);
    dialer_end_pause(&peer->bulk.dialer);
}
