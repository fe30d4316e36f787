/* ctest: timeout=180
 * A disk that stands still: others lead meanwhile, nothing is lost, and the node says why. Nodes of
 * one cluster in this process, with logs in segments.
 */
#include "members_helpers.h"

#include "storage/file_gate.h"

#include <stdatomic.h>
#include <stdio.h>

static void prepare(struct cluster *cluster, size_t count, bool on_thread)
{
    cluster_prepare(cluster, count);
    for (size_t i = 0; i < count; i++) {
        rr_options *options = &cluster->nodes[i].options;
        options->log_kind = RR_LOG_SEGMENTS;
        options->log_segment_bytes = 1024 * 1024;
        options->log_sync_thread = on_thread;
    }
}

/* From here on the log of the node waits. */
static void stop_log(struct cluster *cluster, uint64_t id)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/log/", cluster->nodes[id - 1].path);
    file_gate_close(path);
}

static void await_leader_after(struct cluster *cluster, uint64_t old)
{
    for (uint64_t id = 1; id <= cluster->count; id++) {
        if (id != old) {
            (void)cluster_await_other_leader(cluster, id, old);
        }
    }
}

struct call {
    atomic_int ended; /* how often */
    rr_status status;
};

static void call_done(void *arg, rr_status status, const rr_result *result)
{
    struct call *call = arg;
    (void)result;
    call->status = status;
    atomic_fetch_add(&call->ended, 1);
}

static void begin_write(struct cluster *cluster, uint64_t id, const char *key, struct call *call)
{
    rr_txn *txn = rr_txn_new();
    CHECK_OK(rr_txn_set(txn, test_bytes_of(key), test_bytes_of("x")));
    CHECK_OK(rr_node_submit(cluster_node(cluster, id), txn, NULL, call_done, call));
    rr_txn_free(txn);
}

static void await_end(struct call *call)
{
    for (int i = 0; i < CLUSTER_PATIENCE_MS && atomic_load(&call->ended) == 0; i++) {
        cluster_nap();
    }
    CHECK_EQ(atomic_load(&call->ended), 1);
}

/* Whether the key is there agrees with how the write ended. */
static void check_outcome(struct cluster *cluster, uint64_t id, const char *key,
                          const struct call *call)
{
    rr_status status = rr_node_get_wait(cluster_node(cluster, id), test_bytes_of(key),
                                        RR_READ_LINEARIZABLE, 0, NULL);
    CHECK(status == RR_OK || status == RR_NOT_FOUND);
    if (call->status == RR_OK) {
        CHECK_OK(status);
    } else if (call->status != RR_UNKNOWN) {
        CHECK_STATUS(status, RR_NOT_FOUND);
    }
}

static void leader_stalls(bool on_thread)
{
    struct cluster cluster;
    prepare(&cluster, 3, on_thread);
    cluster_open_all(&cluster);
    uint64_t leader = cluster_leader(&cluster);
    cluster_set(&cluster, leader, "before", "1");
    struct call call = {0};
    stop_log(&cluster, leader);
    begin_write(&cluster, leader, "during", &call);
    await_leader_after(&cluster, leader);
    CHECK_GT(file_gate_waiting(), 0);
    uint64_t other = leader % 3 + 1;
    cluster_set(&cluster, other, "after", "1");
    cluster_expect(&cluster, other, "before", "1", RR_READ_LINEARIZABLE);
    file_gate_open();
    await_end(&call);
    cluster_expect(&cluster, leader, "after", "1", RR_READ_LINEARIZABLE);
    check_outcome(&cluster, leader, "during", &call);
    cluster_set(&cluster, leader, "again", "1");
    expect_equal_states(&cluster);
    cluster_close(&cluster);
}

TEST(stall, a_leader_whose_log_stands_still_on_a_thread_hands_over)
{
    leader_stalls(true);
}

TEST(stall, a_leader_that_stands_still_with_its_log_is_replaced)
{
    leader_stalls(false);
}

/* On a thread, the node goes on: its clients' calls end in their time. */
TEST(stall, a_write_ends_unknown_at_its_deadline_while_the_log_is_stalled)
{
    struct cluster cluster;
    prepare(&cluster, 1, true);
    cluster_open_all(&cluster);
    cluster_set(&cluster, 1, "before", "1");
    stop_log(&cluster, 1);
    rr_write_options options;
    rr_write_options_init(&options);
    options.timeout_ms = 200;
    rr_txn *txn = rr_txn_new();
    CHECK_OK(rr_txn_set(txn, test_bytes_of("during"), test_bytes_of("1")));
    CHECK_STATUS(rr_node_submit_wait(cluster_node(&cluster, 1), txn, &options, NULL), RR_UNKNOWN);
    rr_txn_free(txn);
    cluster_expect(&cluster, 1, "before", "1", RR_READ_LOCAL);
    file_gate_open();
    cluster_set(&cluster, 1, "after", "1");
    cluster_expect(&cluster, 1, "during", "1", RR_READ_LINEARIZABLE); /* it was before it */
    cluster_close(&cluster);
}

static void follower_stalls(bool on_thread)
{
    struct cluster cluster;
    prepare(&cluster, 3, on_thread);
    cluster_open_all(&cluster);
    uint64_t follower = cluster_follower(&cluster);
    uint64_t leader = cluster_leader(&cluster);
    stop_log(&cluster, follower);
    for (int i = 0; i < 50; i++) {
        cluster_set(&cluster, leader, "a", "1");
    }
    CHECK_EQ(cluster_leader(&cluster), leader);
    file_gate_open();
    cluster_expect(&cluster, follower, "a", "1", RR_READ_LINEARIZABLE);
    expect_equal_states(&cluster);
    cluster_close(&cluster);
}

TEST(stall, a_follower_whose_log_stands_still_holds_nobody_up)
{
    follower_stalls(true);
    follower_stalls(false);
}

static void stall_is_told(bool on_thread)
{
    struct cluster cluster;
    prepare(&cluster, 1, on_thread);
    struct log_lines *lines = log_lines_of(&cluster, 1);
    cluster_open_all(&cluster);
    struct call call = {0};
    stop_log(&cluster, 1);
    begin_write(&cluster, 1, "a", &call);
    await_line(lines, "has not ended a write of the log");
    file_gate_open();
    await_line(lines, "the disk ended a write of the log");
    await_end(&call);
    CHECK_OK(call.status);
    for (int i = 0; i < CLUSTER_PATIENCE_MS && metric(&cluster, 1, "disk_stalls_total") == 0; i++) {
        cluster_nap();
    }
    CHECK_GT(metric(&cluster, 1, "disk_stalls_total"), 0);
    cluster_close(&cluster);
    log_lines_free(lines);
}

TEST(stall, the_node_says_what_it_waits_for)
{
    stall_is_told(true);
    stall_is_told(false);
}
