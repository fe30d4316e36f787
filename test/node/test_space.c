/* ctest: timeout=180
 * A disk that is nearly full: who takes what, and who leads. Nodes of one cluster in this process.
 */
#include "members_helpers.h"

#include "storage/file_gate.h"

#include <stdio.h>

enum { MIB = 1024 * 1024, FINE = 0, LOW = 1, SHORT = 2 };

static void prepare(struct cluster *cluster, size_t count)
{
    cluster_prepare(cluster, count);
    for (size_t i = 0; i < count; i++) {
        cluster->nodes[i].options.disk_low_bytes = 16 * MIB;
    }
}

static void set_space(struct cluster *cluster, uint64_t id, uint64_t bytes)
{
    file_gate_set_space(cluster->nodes[id - 1].path, bytes);
}

static void await_metric(struct cluster *cluster, uint64_t id, const char *name, uint64_t least)
{
    for (int i = 0; i < CLUSTER_PATIENCE_MS; i++) {
        if (metric(cluster, id, name) >= least) {
            return;
        }
        cluster_nap();
    }
    FAIL("%s of node %d never reached %d", name, (int)id, (int)least);
}

static void await_level(struct cluster *cluster, uint64_t id, uint64_t level)
{
    for (int i = 0; i < CLUSTER_PATIENCE_MS; i++) {
        if (metric(cluster, id, "disk_low") == level) {
            return;
        }
        cluster_nap();
    }
    FAIL("node %d never took its disk for level %d", (int)id, (int)level);
}

static void await_log_end(struct cluster *cluster, uint64_t id, uint64_t index)
{
    await_metric(cluster, id, "log_last_index", index);
}

TEST(space, a_leader_with_a_low_disk_hands_over_and_no_write_fails)
{
    struct cluster cluster;
    prepare(&cluster, 3);
    cluster_open_all(&cluster);
    uint64_t leader = cluster_leader(&cluster);
    cluster_set(&cluster, leader, "a", "1");
    set_space(&cluster, leader, 10 * MIB);
    uint64_t other = cluster_await_other_leader(&cluster, leader, leader);
    await_level(&cluster, leader, LOW);
    cluster_set(&cluster, other, "a", "2");
    cluster_set(&cluster, leader, "b", "2"); /* passed on */
    cluster_expect(&cluster, leader, "a", "2", RR_READ_LINEARIZABLE);
    /* It does not take leadership back while it is low, and does once it is not. */
    CHECK_NE(rr_node_transfer_wait(cluster_node(&cluster, other), leader, 2000), RR_OK);
    CHECK_EQ(cluster_leader(&cluster), other);
    file_gate_set_space(NULL, 0);
    await_level(&cluster, leader, FINE);
    CHECK_OK(rr_node_transfer_wait(cluster_node(&cluster, other), leader, CLUSTER_PATIENCE_MS));
    cluster_set(&cluster, leader, "a", "3");
    cluster_close(&cluster);
}

TEST(space, a_cluster_that_is_low_everywhere_keeps_its_leader_and_answers_reads)
{
    struct cluster cluster;
    prepare(&cluster, 3);
    cluster_open_all(&cluster);
    cluster_set(&cluster, 1, "a", "1");
    file_gate_set_space("/", 10 * MIB);
    for (uint64_t id = 1; id <= 3; id++) {
        await_level(&cluster, id, LOW);
    }
    uint64_t leader = cluster_leader(&cluster);
    /* Each of the others was asked and did not take it. */
    for (uint64_t id = 1; id <= 3; id++) {
        if (id != leader) {
            await_metric(&cluster, id, "disk_dropped_total", 1);
        }
    }
    CHECK_STATUS(
        rr_node_set_wait(cluster_node(&cluster, 1), test_bytes_of("a"), test_bytes_of("2")),
        RR_NO_SPACE);
    cluster_expect(&cluster, 2, "a", "1", RR_READ_LINEARIZABLE);
    CHECK_EQ(cluster_leader(&cluster), leader);
    file_gate_set_space(NULL, 0);
    await_level(&cluster, leader, FINE);
    cluster_set(&cluster, 1, "a", "2");
    cluster_close(&cluster);
}

TEST(space, a_follower_that_is_short_takes_no_entries_and_votes_and_catches_up)
{
    struct cluster cluster;
    prepare(&cluster, 3);
    cluster_open_all(&cluster);
    uint64_t follower = cluster_follower(&cluster);
    uint64_t leader = cluster_leader(&cluster);
    cluster_set(&cluster, leader, "a", "1");
    rr_node_info info;
    cluster_info(&cluster, leader, &info);
    await_log_end(&cluster, follower, info.last_index);
    set_space(&cluster, follower, 3 * MIB);
    await_level(&cluster, follower, SHORT);
    uint64_t end = metric(&cluster, follower, "log_last_index");
    for (int i = 0; i < 20; i++) {
        cluster_set(&cluster, leader, "b", "1");
    }
    await_metric(&cluster, follower, "disk_dropped_total", 1);
    CHECK_EQ(metric(&cluster, follower, "log_last_index"), end);
    CHECK_STATUS(rr_node_snapshot_wait(cluster_node(&cluster, follower), 500, NULL, NULL),
                 RR_TIMEOUT); /* it cannot catch up with what was acknowledged */

    /* The third has every entry, and needs this one's vote. */
    cluster_close_node(&cluster, leader);
    uint64_t other = cluster_await_other_leader(&cluster, follower, leader);
    CHECK_NE(other, follower);
    CHECK_EQ(metric(&cluster, follower, "log_last_index"), end);
    file_gate_set_space(NULL, 0);
    cluster_expect(&cluster, follower, "b", "1", RR_READ_LINEARIZABLE);
    cluster_set(&cluster, follower, "c", "1");
    cluster_open_node(&cluster, leader);
    cluster_expect(&cluster, leader, "c", "1", RR_READ_LINEARIZABLE);
    cluster_close(&cluster);
}

TEST(space, a_node_that_is_short_makes_no_snapshot)
{
    struct cluster cluster;
    prepare(&cluster, 1);
    cluster_open_all(&cluster);
    rr_node *node = cluster_node(&cluster, 1);
    cluster_set(&cluster, 1, "a", "1");
    set_space(&cluster, 1, 3 * MIB);
    await_level(&cluster, 1, SHORT);
    CHECK_STATUS(rr_node_snapshot_wait(node, CLUSTER_PATIENCE_MS, NULL, NULL), RR_NO_SPACE);
    cluster_expect(&cluster, 1, "a", "1", RR_READ_LINEARIZABLE);
    file_gate_set_space(NULL, 0);
    await_level(&cluster, 1, FINE);
    CHECK_OK(rr_node_snapshot_wait(node, CLUSTER_PATIENCE_MS, NULL, NULL));
    cluster_close(&cluster);
}

TEST(space, the_log_is_shortened_when_the_disk_is_low)
{
    struct cluster cluster;
    prepare(&cluster, 1);
    cluster.nodes[0].options.snapshot_entries = 1000000;
    cluster.nodes[0].options.snapshot_keep = 5;
    cluster_open_all(&cluster);
    for (int i = 0; i < 50; i++) {
        cluster_set(&cluster, 1, "a", "1");
    }
    CHECK_EQ(metric(&cluster, 1, "snapshots_made_total"), 0);
    set_space(&cluster, 1, 10 * MIB);
    await_metric(&cluster, 1, "log_first_index", 40);
    CHECK_EQ(metric(&cluster, 1, "snapshots_made_total"), 1);
    file_gate_set_space(NULL, 0);
    cluster_close(&cluster);
}

TEST(space, a_snapshot_is_not_received_without_room_for_it)
{
    struct cluster cluster;
    prepare(&cluster, 3);
    cluster_open_all(&cluster);
    uint64_t follower = cluster_follower(&cluster);
    uint64_t leader = cluster_leader(&cluster);
    cluster_close_node(&cluster, follower);
    for (int i = 0; i < 10; i++) {
        cluster_set(&cluster, leader, "a", "1");
    }
    for (uint64_t id = 1; id <= 3; id++) {
        if (id != follower) {
            rr_node *node = cluster_node(&cluster, id);
            CHECK_OK(rr_node_snapshot_wait(node, CLUSTER_PATIENCE_MS, NULL, NULL));
            CHECK_OK(rr_node_purge_wait(node, UINT64_MAX, CLUSTER_PATIENCE_MS));
        }
    }
    set_space(&cluster, follower, 10 * MIB);
    cluster_open_node(&cluster, follower);
    await_metric(&cluster, follower, "snapshot_receive_failures_total", 1);
    CHECK_EQ(metric(&cluster, follower, "snapshots_installed_total"), 0);
    file_gate_set_space(NULL, 0);
    cluster_expect(&cluster, follower, "a", "1", RR_READ_LINEARIZABLE);
    await_metric(&cluster, follower, "snapshots_installed_total", 1);
    cluster_close(&cluster);
}
