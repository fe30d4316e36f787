/* ctest: timeout=240 log_kind=rocksdb
 * Taking, sending and installing snapshots, purging the log: nodes of one cluster in this process.
 */
#include "members_helpers.h"

#include "base/random.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { LONG_MS = CLUSTER_PATIENCE_MS };

static void info_of(struct cluster *cluster, uint64_t id, rr_node_info *info)
{
    /* What is published is as of the last turn: one more, so that nothing is older than the call. */
    CHECK_OK(rr_node_trigger_heartbeat(cluster_node(cluster, id)));
    cluster_info(cluster, id, info);
}

/* ---- Taking ---- */

TEST(snapshots, an_empty_store_has_one_to_give)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    uint64_t term = 0;
    uint64_t index = 0;
    CHECK_OK(rr_node_snapshot_wait(cluster_node(&cluster, 1), LONG_MS, &term, &index));
    CHECK(term > 0);
    CHECK(index > 0);
    rr_node_info info;
    info_of(&cluster, 1, &info);
    CHECK_EQ(info.snapshot_index, index);
    CHECK_EQ(info.snapshot_term, term);
    uint64_t again = 0;
    CHECK_OK(rr_node_snapshot_wait(cluster_node(&cluster, 1), LONG_MS, &term, &again));
    CHECK_EQ(again, index);
    cluster_close_node(&cluster, 1);
    cluster_open_node(&cluster, 1);
    info_of(&cluster, 1, &info);
    CHECK_EQ(info.snapshot_index, index);
    CHECK_OK(rr_node_snapshot_wait(cluster_node(&cluster, 1), LONG_MS, &term, &again));
    CHECK(again >= index);
    cluster_close(&cluster);
}

TEST(snapshots, one_covers_every_write_acknowledged_before_on_any_node)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    uint64_t last[4] = {0};
    for (int i = 0; i < 12; i++) {
        uint64_t at = (uint64_t)(i % 3) + 1;
        uint64_t writer = (uint64_t)(i % 2) + 1;
        rr_result *result = NULL;
        rr_txn *txn = rr_txn_new();
        uint64_t term;
        uint64_t index;
        CHECK_OK(rr_txn_set(txn, test_bytes_of("a"), test_bytes_of("1")));
        CHECK_OK(rr_node_submit_wait(cluster_node(&cluster, writer), txn, NULL, &result));
        CHECK_OK(rr_node_snapshot_wait(cluster_node(&cluster, at), LONG_MS, &term, &index));
        CHECK_GE(index, rr_result_index(result));
        CHECK_GE(index, last[at]);
        last[at] = index;
        rr_result_free(result);
        rr_txn_free(txn);
    }
    CHECK(metric(&cluster, 1, "snapshots_made_total") >= 4);
    cluster_close(&cluster);
}

TEST(snapshots, one_cannot_be_vouched_for_without_a_leader)
{
    struct cluster cluster;
    cluster_prepare(&cluster, 1);
    open_waiting(&cluster, 1);
    CHECK_STATUS(rr_node_snapshot_wait(cluster_node(&cluster, 1), 100, NULL, NULL), RR_TIMEOUT);
    CHECK_OK(rr_node_purge_wait(cluster_node(&cluster, 1), 10, LONG_MS));
    cluster_close(&cluster);
}

TEST(snapshots, they_are_taken_by_themselves_and_the_log_is_shortened)
{
    struct cluster cluster;
    cluster_prepare(&cluster, 3);
    for (int i = 0; i < 3; i++) {
        cluster.nodes[i].options.snapshot_entries = 40;
        cluster.nodes[i].options.snapshot_keep = 10;
    }
    cluster_open_all(&cluster);
    for (int i = 0; i < 200; i++) {
        cluster_set(&cluster, 1, "key", "value");
    }
    for (uint64_t id = 1; id <= 3; id++) {
        rr_node_info info;
        for (int i = 0; i < LONG_MS; i++) {
            cluster_info(&cluster, id, &info);
            if (info.first_index > 100 && info.snapshot_index > 100) {
                break;
            }
            cluster_nap();
        }
        CHECK(info.snapshot_index > 100);
        CHECK(info.first_index > 100);
        CHECK(info.first_index <= info.snapshot_index + 1);
        CHECK_EQ(metric(&cluster, id, "snapshots_received_total"), id == 1 ? 0 : 1);
    }
    expect_equal_states(&cluster);
    cluster_close(&cluster);
}

/* ---- Purging ---- */

TEST(snapshots, the_log_is_dropped_no_further_than_the_snapshot_reaches)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    rr_node_info info;
    uint64_t term;
    uint64_t index;
    for (int i = 0; i < 20; i++) {
        cluster_set(&cluster, 1, "a", "1");
    }
    CHECK_OK(rr_node_purge_wait(node, 1000, LONG_MS));
    info_of(&cluster, 1, &info);
    CHECK_EQ(info.first_index, 2); /* there is no snapshot */
    CHECK_OK(rr_node_snapshot_wait(node, LONG_MS, &term, &index));
    CHECK_OK(rr_node_purge_wait(node, 10, LONG_MS));
    info_of(&cluster, 1, &info);
    CHECK_EQ(info.first_index, 11);
    CHECK_OK(rr_node_purge_wait(node, 5, LONG_MS));
    info_of(&cluster, 1, &info);
    CHECK_EQ(info.first_index, 11);
    cluster_set(&cluster, 1, "a", "2");
    CHECK_OK(rr_node_purge_wait(node, UINT64_MAX, LONG_MS));
    info_of(&cluster, 1, &info);
    CHECK_EQ(info.first_index, index + 1);
    cluster_close_node(&cluster, 1);
    cluster_open_node(&cluster, 1);
    cluster_expect(&cluster, 1, "a", "2", RR_READ_LINEARIZABLE);
    cluster_close(&cluster);
}

/* ---- Catching up ---- */

struct writer {
    struct cluster *cluster;
    uint64_t id;
    atomic_bool stop;
    atomic_int count;
    rr_status failure;
};

static void *write_on(void *arg)
{
    struct writer *writer = arg;
    while (!atomic_load(&writer->stop)) {
        char key[64];
        snprintf(key, sizeof(key), "busy-%d", atomic_load(&writer->count));
        rr_status status = rr_node_set_wait(cluster_node(writer->cluster, writer->id),
                                            test_bytes_of(key), test_bytes_of("x"));
        if (status != RR_OK) {
            writer->failure = status;
            return NULL;
        }
        atomic_fetch_add(&writer->count, 1);
    }
    return NULL;
}

TEST(snapshots, a_member_that_needs_purged_entries_catches_up_while_writes_go_on)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    uint64_t late = cluster_follower(&cluster);
    uint64_t leader = cluster_leader(&cluster);
    uint64_t index;
    rr_node_info info;
    cluster_close_node(&cluster, late);
    write_many(&cluster, leader, "many", 2000, 100);
    for (uint64_t id = 1; id <= 3; id++) {
        if (id != late) {
            CHECK_OK(rr_node_snapshot_wait(cluster_node(&cluster, id), LONG_MS, NULL, &index));
            CHECK_OK(rr_node_purge_wait(cluster_node(&cluster, id), index, LONG_MS));
            info_of(&cluster, id, &info);
            CHECK(info.first_index > 30);
        }
    }
    struct writer writer = {.cluster = &cluster, .id = leader};
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, write_on, &writer), 0);
    cluster_open_node(&cluster, late);
    CHECK_OK(rr_node_get_wait(cluster_node(&cluster, late), test_bytes_of("many-1999"),
                              RR_READ_LINEARIZABLE, LONG_MS, NULL));
    atomic_store(&writer.stop, true);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_OK(writer.failure);
    CHECK(atomic_load(&writer.count) > 0);
    CHECK_EQ(metric(&cluster, late, "snapshots_installed_total"), 1);
    expect_equal_states(&cluster);
    cluster_close_node(&cluster, late); /* and after a restart */
    cluster_open_node(&cluster, late);
    expect_equal_states(&cluster);
    cluster_close(&cluster);
}

/* Waits until so many bytes of a snapshot have come in. */
static void await_received(struct cluster *cluster, uint64_t id, uint64_t bytes)
{
    for (int i = 0; i < LONG_MS; i++) {
        if (metric(cluster, id, "snapshot_bytes_received_total") >= bytes) {
            return;
        }
        cluster_nap();
    }
    FAIL("node %d received too little", (int)id);
}

TEST(snapshots, a_new_member_gets_all_of_a_large_state_at_a_limited_rate)
{
    struct cluster cluster;
    cluster_prepare(&cluster, 2);
    cluster.nodes[0].options.snapshot_bytes_per_s = 16 << 20;
    cluster_open_node(&cluster, 1);
    await_member(&cluster, 1);
    write_many(&cluster, 1, "large", 400, 20 * 1000);
    struct writer writer = {.cluster = &cluster, .id = 1};
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, write_on, &writer), 0);
    cluster_open_node(&cluster, 2);
    await_member(&cluster, 2);
    atomic_store(&writer.stop, true);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_OK(writer.failure);
    CHECK(metric(&cluster, 2, "snapshot_bytes_received_total") > 2 << 20);
    CHECK_EQ(metric(&cluster, 1, "snapshots_sent_total"), 1);
    expect_equal_states(&cluster);
    cluster_close(&cluster);
}

TEST(snapshots, one_that_breaks_off_is_taken_up_again)
{
    struct cluster cluster;
    cluster_prepare(&cluster, 2);
    cluster.nodes[0].options.snapshot_bytes_per_s = 4 << 20;
    cluster_open_node(&cluster, 1);
    await_member(&cluster, 1);
    write_many(&cluster, 1, "large", 400, 20 * 1000);
    cluster_open_node(&cluster, 2);
    for (int round = 1; round <= 2; round++) {
        await_received(&cluster, 2, 1 << 20);
        CHECK_EQ(metric(&cluster, 2, "snapshots_installed_total"), 0);
        cluster_close_node(&cluster, 2);
        if (round == 2) {
            cluster_close_node(&cluster, 1);
            cluster_open_node(&cluster, 1);
        }
        cluster_open_node(&cluster, 2);
    }
    await_member(&cluster, 2);
    expect_equal_states(&cluster);
    /* What was there before the breaks was not sent again. */
    CHECK(metric(&cluster, 2, "snapshot_bytes_received_total") < 7 << 20);
    cluster_close(&cluster);
}

TEST(snapshots, what_a_leader_sends_is_not_cut_off_by_a_purge)
{
    struct cluster cluster;
    cluster_prepare(&cluster, 2);
    cluster.nodes[0].options.snapshot_bytes_per_s = 4 << 20;
    cluster_open_node(&cluster, 1);
    await_member(&cluster, 1);
    write_many(&cluster, 1, "large", 400, 20 * 1000);
    cluster_open_node(&cluster, 2);
    await_received(&cluster, 2, 1 << 20);
    uint64_t index;
    write_many(&cluster, 1, "more", 500, 100);
    CHECK_OK(rr_node_snapshot_wait(cluster_node(&cluster, 1), LONG_MS, NULL, &index));
    CHECK_OK(rr_node_purge_wait(cluster_node(&cluster, 1), index, LONG_MS));
    await_member(&cluster, 2);
    expect_equal_states(&cluster);
    CHECK_EQ(metric(&cluster, 2, "snapshots_installed_total"), 1);
    rr_node_info info;
    for (int i = 0; i < LONG_MS; i++) {
        cluster_info(&cluster, 1, &info);
        if (info.first_index == index + 1) {
            break;
        }
        cluster_nap();
    }
    CHECK_EQ(info.first_index, index + 1); /* afterwards it is gone */
    cluster_close(&cluster);
}

/* ---- Any mix ---- */

static void do_something(struct cluster *cluster, struct random *random, char *value, int step)
{
    uint64_t id = random_between(random, 1, cluster->count);
    uint64_t index;
    switch (random_below(random, 6)) {
    case 0:
        CHECK_OK(rr_node_snapshot_wait(cluster_node(cluster, id), LONG_MS, NULL, &index));
        return;
    case 1: {
        rr_node_info info;
        cluster_info(cluster, id, &info);
        index = random_below(random, info.last_index + 10);
        CHECK_OK(rr_node_purge_wait(cluster_node(cluster, id), index, LONG_MS));
        return;
    }
    case 2:
        cluster_close_node(cluster, id);
        cluster_open_node(cluster, id);
        return;
    case 3: { /* one is away while others write, and may have to be brought up */
        uint64_t other = id % cluster->count + 1;
        cluster_close_node(cluster, id);
        write_many(cluster, other, "mix", 100, 50);
        CHECK_OK(rr_node_snapshot_wait(cluster_node(cluster, other), LONG_MS, NULL, &index));
        CHECK_OK(rr_node_purge_wait(cluster_node(cluster, other), index, LONG_MS));
        cluster_open_node(cluster, id);
        return;
    }
    default:
        snprintf(value, 32, "%d", step);
        cluster_set(cluster, id, "register", value);
        return;
    }
}

TEST(snapshots, nothing_is_lost_by_any_mix_of_snapshots_purges_and_restarts)
{
    struct cluster cluster;
    struct random random;
    char value[32] = "none";
    random_init(&random, test_seed(7));
    cluster_open(&cluster, 3);
    cluster_set(&cluster, 1, "register", value);
    for (int step = 0; step < 60; step++) {
        do_something(&cluster, &random, value, step);
        if (step % 5 == 0) {
            cluster_expect(&cluster, random_between(&random, 1, 3), "register", value,
                           RR_READ_LINEARIZABLE);
        }
    }
    expect_equal_states(&cluster);
    cluster_close(&cluster);
}
