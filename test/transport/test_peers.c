/* Consensus messages from node to node: order, limits, reconnecting, and who is refused. */
#include "transport/samples.h"
#include "transport/world.h"

#include <string.h>

struct two {
    struct world world;
    struct node one;
    struct node two;
};

static void open_two(struct two *two)
{
    world_open(&two->world);
    node_init(&two->one, &two->world, 1);
    node_init(&two->two, &two->world, 2);
    node_start(&two->one);
    node_start(&two->two);
    node_add_peer(&two->one, &two->two);
    node_add_peer(&two->two, &two->one);
}

static void close_two(struct two *two)
{
    node_stop(&two->one);
    node_stop(&two->two);
    world_close(&two->world);
}

TEST(peers, deliver_messages_in_order)
{
    struct two two;
    open_two(&two);
    for (uint64_t index = 1; index <= 1000; index++) {
        CHECK_OK(node_send(&two.one, 2, index));
        if (index % 100 == 0) {
            loop_run_once(two.world.loop, false);
        }
    }
    WAIT_UNTIL(&two.world, two.two.messages == 1000);
    CHECK(!two.two.out_of_order);
    CHECK(peers_connected(two.one.peers, 2));
    CHECK_EQ(two.one.connected_count, 1u);
    CHECK_EQ(two.one.unreachable_count, 0u);
    CHECK_EQ(node_counters(&two.one)->connections_opened, 1u);
    CHECK_EQ(node_counters(&two.two)->connections_accepted, 1u);
    CHECK_EQ(node_counters(&two.one)->frames_sent, 1001u);
    CHECK_EQ(peers_queued(two.one.peers, 2), (size_t)0);
    close_two(&two);
}

TEST(peers, connect_only_when_there_is_something_to_send)
{
    struct two two;
    open_two(&two);
    world_run_for(&two.world, 20);
    CHECK_EQ(listener_connection_count(two.two.listener), (size_t)0);
    CHECK_STATUS(node_send(&two.one, 9, 1), RR_NOT_FOUND);
    CHECK_TEXT(peers_address(two.one.peers, 2), two.two.address_text);
    CHECK_EQ(peers_address(two.one.peers, 9), NULL);
    close_two(&two);
}

TEST(peers, come_back_after_a_restart)
{
    struct two two;
    open_two(&two);
    CHECK_OK(node_send(&two.one, 2, 1));
    WAIT_UNTIL(&two.world, two.two.messages == 1);
    node_stop(&two.two);
    WAIT_UNTIL(&two.world, !peers_connected(two.one.peers, 2));
    WAIT_UNTIL(&two.world, two.one.unreachable_count > 0);
    CHECK_EQ(two.one.disconnected_count, 1u);
    WAIT_UNTIL(&two.world, node_send(&two.one, 2, 2) == RR_IO);
    node_start(&two.two);
    uint64_t index = 10;
    while (two.two.messages == 1) {
        (void)node_send(&two.one, 2, index++);
        loop_run_once(two.world.loop, true);
    }
    CHECK_EQ(two.one.connected_count, 2u);
    CHECK_GT(node_counters(&two.one)->reconnects, 0u);
    CHECK_GT(node_counters(&two.one)->dropped_not_connected, 0u);
    CHECK(!two.two.out_of_order);
    close_two(&two);
}

TEST(peers, are_reached_at_once_when_they_connect_to_us)
{
    struct two two;
    world_open(&two.world);
    node_init(&two.one, &two.world, 1);
    node_init(&two.two, &two.world, 2);
    two.one.options.backoff_min_ms = 40 * 1000; /* longer than the test may take */
    two.one.options.backoff_max_ms = 40 * 1000;
    node_start(&two.one);
    node_start(&two.two);
    node_add_peer(&two.one, &two.two);
    node_stop(&two.two);
    (void)node_send(&two.one, 2, 1);
    WAIT_UNTIL(&two.world, two.one.unreachable_count == 1);
    CHECK_STATUS(node_send(&two.one, 2, 2), RR_IO);
    node_start(&two.two);
    node_add_peer(&two.two, &two.one);
    CHECK_OK(node_send(&two.two, 1, 5));
    WAIT_UNTIL(&two.world, peers_connected(two.one.peers, 2));
    close_two(&two);
}

TEST(peers, bound_what_waits_for_one_that_does_not_read)
{
    struct two two;
    world_open(&two.world);
    node_init(&two.one, &two.world, 1);
    node_init(&two.two, &two.world, 2);
    two.one.options.consensus_queue_bytes_max = 300 * 1000;
    node_start(&two.one);
    node_start(&two.two);
    node_add_peer(&two.one, &two.two);
    listener_pause(two.two.listener, TRAFFIC_CONSENSUS, true);
    struct raft_message message;
    sample_append(1, 20000, &message);
    message.to = 2;
    int busy = 0;
    while (busy < 1000) {
        rr_status status = peers_send(two.one.peers, &message);
        CHECK(status == RR_OK || status == RR_BUSY);
        busy += status == RR_BUSY;
        CHECK_LE(peers_queued(two.one.peers, 2), (size_t)(300 * 1000));
        loop_run_once(two.world.loop, false);
    }
    CHECK_EQ(two.two.messages, 0u);
    CHECK_EQ(node_counters(&two.one)->dropped_queue_full, 1000u);
    CHECK_GE(two.one.unreachable_count, 900u);
    uint64_t sent = node_counters(&two.one)->frames_sent - 1;
    listener_pause(two.two.listener, TRAFFIC_CONSENSUS, false);
    WAIT_UNTIL(&two.world, two.two.messages == sent);
    CHECK_EQ(peers_queued(two.one.peers, 2), (size_t)0);
    raft_message_deinit(&message);
    close_two(&two);
}

TEST(peers, bound_what_waits_for_the_handshake)
{
    struct two two;
    world_open(&two.world);
    node_init(&two.one, &two.world, 1);
    node_init(&two.two, &two.world, 2);
    two.one.options.consensus_queue_bytes_max = 100 * 1000;
    node_start(&two.one);
    node_start(&two.two);
    node_add_peer(&two.one, &two.two);
    struct raft_message message;
    sample_append(1, 30000, &message);
    message.to = 2;
    CHECK_OK(peers_send(two.one.peers, &message));
    CHECK_OK(peers_send(two.one.peers, &message));
    CHECK_OK(peers_send(two.one.peers, &message));
    CHECK_STATUS(peers_send(two.one.peers, &message), RR_BUSY);
    WAIT_UNTIL(&two.world, two.two.messages == 3);
    WAIT_UNTIL(&two.world, two.one.unreachable_count == 1);
    raft_message_deinit(&message);
    close_two(&two);
}

TEST(peers, tell_once_a_turn_that_messages_were_lost)
{
    struct two two;
    open_two(&two);
    node_stop(&two.two);
    (void)node_send(&two.one, 2, 1);
    WAIT_UNTIL(&two.world, two.one.unreachable_count == 1);
    for (int count = 0; count < 50; count++) {
        CHECK_STATUS(node_send(&two.one, 2, 1), RR_IO);
    }
    CHECK_EQ(two.one.unreachable_count, 1u);
    loop_run_once(two.world.loop, false);
    CHECK_LE(two.one.unreachable_count, 3u);
    close_two(&two);
}

TEST(peers, move_to_another_address)
{
    struct two two;
    open_two(&two);
    struct proxy proxy;
    proxy_open(&proxy, &two.world, &two.two.address);
    CHECK_OK(node_send(&two.one, 2, 1));
    WAIT_UNTIL(&two.world, two.two.messages == 1);
    CHECK_OK(peers_set(two.one.peers, 2, 102, proxy.address_text));
    CHECK(!peers_connected(two.one.peers, 2));
    CHECK_OK(node_send(&two.one, 2, 2));
    WAIT_UNTIL(&two.world, two.two.messages == 2);
    CHECK_EQ(proxy.connections, 1);
    CHECK_OK(peers_set(two.one.peers, 2, 102, proxy.address_text));
    CHECK(peers_connected(two.one.peers, 2));
    CHECK_STATUS(peers_set(two.one.peers, 2, 102, "nonsense"), RR_INVALID);
    CHECK_STATUS(peers_set(two.one.peers, 2, 102, "host:0"), RR_INVALID);
    peers_remove(two.one.peers, 2);
    peers_remove(two.one.peers, 2);
    CHECK_STATUS(node_send(&two.one, 2, 3), RR_NOT_FOUND);
    WAIT_UNTIL(&two.world, list_empty(&proxy.links));
    proxy_close(&proxy);
    close_two(&two);
}

TEST(peers, lose_only_what_a_broken_connection_held)
{
    struct two two;
    open_two(&two);
    struct proxy proxy;
    proxy_open(&proxy, &two.world, &two.two.address);
    CHECK_OK(peers_set(two.one.peers, 2, 0, proxy.address_text));
    uint64_t index = 0;
    for (int round = 0; round < 20; round++) {
        uint64_t before = two.two.messages;
        while (two.two.messages < before + 5) {
            (void)node_send(&two.one, 2, ++index);
            loop_run_once(two.world.loop, false);
        }
        proxy_cut(&proxy);
    }
    CHECK(!two.two.out_of_order);
    proxy_close(&proxy);
    close_two(&two);
}

TEST(peers, drop_a_connection_whose_bytes_are_damaged)
{
    struct two two;
    open_two(&two);
    struct proxy proxy;
    proxy_open(&proxy, &two.world, &two.two.address);
    CHECK_OK(peers_set(two.one.peers, 2, 0, proxy.address_text));
    CHECK_OK(node_send(&two.one, 2, 1));
    WAIT_UNTIL(&two.world, two.two.messages == 1);
    proxy.flip_bit_at = proxy.bytes_from_client + 30;
    CHECK_OK(node_send(&two.one, 2, 2));
    WAIT_UNTIL(&two.world, !peers_connected(two.one.peers, 2));
    CHECK_EQ(node_counters(&two.two)->corrupt_frames, 1u);
    CHECK_EQ(two.two.messages, 1u);
    CHECK(strstr(two.two.log, "damaged") != NULL);
    proxy.flip_bit_at = UINT64_MAX;
    while (two.two.messages == 1) {
        (void)node_send(&two.one, 2, 3);
        loop_run_once(two.world.loop, true);
    }
    proxy_close(&proxy);
    close_two(&two);
}

/* Sends until node 2 or node 1 has refused; both must know, and say, why. */
static void check_refused(struct two *two, bool by_two, const char *text)
{
    node_start(&two->one);
    node_start(&two->two);
    CHECK_OK(peers_set(two->one.peers, 2, 102, two->two.address_text));
    struct node *refuses = by_two ? &two->two : &two->one;
    struct node *refused = by_two ? &two->one : &two->two;
    CHECK_OK(node_send(&two->one, 2, 1));
    WAIT_UNTIL(&two->world, node_counters(refuses)->rejected_by_us > 0 &&
                                node_counters(refused)->rejected_by_other > 0);
    WAIT_UNTIL(&two->world, two->one.unreachable_count > 0);
    CHECK_EQ(two->two.messages, 0u);
    CHECK(strstr(two->one.log, text) != NULL);
    CHECK(strstr(two->two.log, text) != NULL);
    close_two(two);
}

static void init_two(struct two *two)
{
    world_open(&two->world);
    node_init(&two->one, &two->world, 1);
    node_init(&two->two, &two->world, 2);
}

TEST(peers, of_another_cluster_are_refused)
{
    struct two two;
    init_two(&two);
    two.two.options.self.cluster = 8;
    check_refused(&two, true, "other cluster");
}

TEST(peers, without_a_cluster_yet_are_accepted)
{
    struct two two;
    init_two(&two);
    two.two.options.self.cluster = 0;
    node_start(&two.one);
    node_start(&two.two);
    node_add_peer(&two.one, &two.two);
    CHECK_OK(node_send(&two.one, 2, 1));
    WAIT_UNTIL(&two.world, two.two.messages == 1);
    close_two(&two);
}

TEST(peers, with_a_wiped_disk_are_refused)
{
    struct two two;
    init_two(&two);
    two.two.options.self.incarnation = 999;
    check_refused(&two, true, "wiped");
}

TEST(peers, at_the_address_of_another_are_refused)
{
    struct two two;
    init_two(&two);
    two.two.options.self.node = 3;
    check_refused(&two, true, "other node");
}

TEST(peers, that_the_owner_does_not_know_are_refused)
{
    struct two two;
    init_two(&two);
    two.two.accept_status = RR_NOT_FOUND;
    check_refused(&two, true, "node 1 is not wanted");
}

TEST(peers, may_be_refused_by_the_side_that_connects)
{
    struct two two;
    init_two(&two);
    two.one.accept_outbound_status = RR_MISMATCH;
    check_refused(&two, false, "node 2 is not wanted");
}

TEST(peers, survive_being_freed_in_any_state)
{
    for (int turns = 0; turns < 8; turns++) {
        struct two two;
        open_two(&two);
        (void)node_send(&two.one, 2, 1);
        for (int turn = 0; turn < turns; turn++) {
            loop_run_once(two.world.loop, false);
        }
        close_two(&two);
    }
}
