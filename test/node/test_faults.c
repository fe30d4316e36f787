/* A disk that fails: the node stops, says why, and answers with what is certain.
 * ctest: log_kind=rocksdb */
#include "cluster.h"

#include "storage/file.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* ---- Faults are armed on the thread that meets them: the node's ---- */

struct arming {
    uint64_t nth;
    enum file_fault fault;
    atomic_bool armed;
};

static void arm(void *arg, rr_status status, const rr_result *result)
{
    (void)status;
    (void)result;
    struct arming *arming = arg;
    file_fault_after(arming->nth, arming->fault);
    atomic_store(&arming->armed, true);
}

static void arm_on(rr_node *node, uint64_t nth, enum file_fault fault)
{
    struct arming arming = {.nth = nth, .fault = fault};
    CHECK_OK(rr_node_get(node, test_bytes_of("a"), RR_READ_LOCAL, 0, arm, &arming));
    while (!atomic_load(&arming.armed)) {
        cluster_nap();
    }
}

struct halt {
    atomic_int count;
    rr_status status;
    char reason[512];
};

static void note_halt(void *arg, rr_status status, const char *reason)
{
    struct halt *halt = arg;
    halt->status = status;
    strncpy(halt->reason, reason, sizeof(halt->reason) - 1);
    atomic_fetch_add(&halt->count, 1);
}

static void await_halt(struct halt *halt)
{
    while (atomic_load(&halt->count) == 0) {
        cluster_nap();
    }
}

TEST(faults, a_failed_write_of_the_log_halts_the_node_and_leaves_the_outcome_open)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    struct halt halt = {0};
    rr_node_on_halt(node, note_halt, &halt);
    cluster_set(&cluster, 1, "a", "1");
    arm_on(node, 1, FILE_FAULT_ERROR);
    CHECK_STATUS(rr_node_set_wait(node, test_bytes_of("a"), test_bytes_of("2")), RR_UNKNOWN);
    await_halt(&halt);
    CHECK_EQ(atomic_load(&halt.count), 1);
    CHECK_STATUS(halt.status, RR_IO);
    CHECK(strstr(halt.reason, "log") != NULL);
    /* Nothing is tried again: what the disk holds is not known. */
    CHECK_STATUS(rr_node_set_wait(node, test_bytes_of("a"), test_bytes_of("3")), RR_CLOSED);
    CHECK_STATUS(rr_node_get_wait(node, test_bytes_of("a"), RR_READ_LINEARIZABLE, 0, NULL),
                 RR_CLOSED);
    rr_node_info info;
    cluster_info(&cluster, 1, &info);
    CHECK(info.halted);
    struct halt late = {0};
    rr_node_on_halt(node, note_halt, &late);
    CHECK_EQ(atomic_load(&late.count), 0); /* it was told already */
    cluster_close(&cluster);

    cluster_open_node(&cluster, 1);
    rr_result *result = NULL;
    CHECK_OK(rr_node_get_wait(cluster_node(&cluster, 1), test_bytes_of("a"), RR_READ_LINEARIZABLE,
                              0, &result));
    rr_result_free(result);
    cluster_close(&cluster);
}

TEST(faults, tells_of_a_halt_that_came_before_anybody_asked)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    cluster_set(&cluster, 1, "a", "1"); /* it leads, so the next write is the test's */
    arm_on(node, 1, FILE_FAULT_FULL);
    CHECK_STATUS(rr_node_set_wait(node, test_bytes_of("a"), test_bytes_of("2")), RR_UNKNOWN);
    struct halt halt = {0};
    rr_node_on_halt(node, note_halt, &halt);
    CHECK_EQ(atomic_load(&halt.count), 1);
    cluster_close(&cluster);
}

TEST(faults, the_others_go_on_when_the_disk_of_the_leader_fails)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    uint64_t leader = cluster_leader(&cluster);
    uint64_t other = cluster_follower(&cluster);
    rr_node *node = cluster_node(&cluster, leader);
    struct halt halt = {0};
    rr_node_on_halt(node, note_halt, &halt);
    cluster_set(&cluster, other, "a", "1");
    arm_on(node, 1, FILE_FAULT_ERROR);
    /* Passed on to the leader, which fails: the outcome is open, or the others had it already. */
    rr_status status =
        rr_node_set_wait(cluster_node(&cluster, other), test_bytes_of("a"), test_bytes_of("2"));
    CHECK(status == RR_UNKNOWN || status == RR_OK);
    await_halt(&halt);
    cluster_await_other_leader(&cluster, other, leader);
    cluster_set(&cluster, other, "a", "3");
    cluster_expect(&cluster, other, "a", "3", RR_READ_LINEARIZABLE);
    cluster_close_node(&cluster, leader);
    cluster_open_node(&cluster, leader);
    cluster_expect(&cluster, leader, "a", "3", RR_READ_LINEARIZABLE);
    cluster_close(&cluster);
}

/* Whatever operation of the disk fails while a node works, it either says so or has not noticed;
 * nothing that it acknowledged is missing after a restart. */
TEST(faults, whatever_fails_nothing_acknowledged_is_lost)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    char last[16] = "0";
    cluster_set(&cluster, 1, "k", last);
    for (uint64_t nth = 1; nth <= 12; nth++) {
        rr_node *node = cluster_node(&cluster, 1);
        arm_on(node, nth, FILE_FAULT_ERROR);
        rr_status status = RR_OK;
        char tried[16] = "";
        for (int i = 0; i < 20 && status == RR_OK; i++) {
            snprintf(tried, sizeof(tried), "%d-%d", (int)nth, i);
            status = rr_node_set_wait(node, test_bytes_of("k"), test_bytes_of(tried));
            if (status == RR_OK) {
                memcpy(last, tried, sizeof(last));
            }
        }
        cluster_close(&cluster);
        cluster_open_node(&cluster, 1);
        rr_result *result = NULL;
        rr_bytes found;
        CHECK_OK(rr_node_get_wait(cluster_node(&cluster, 1), test_bytes_of("k"),
                                  RR_READ_LINEARIZABLE, 0, &result));
        CHECK(rr_result_value(result, 0, &found));
        bool is_last = found.size == strlen(last) && memcmp(found.data, last, found.size) == 0;
        bool is_tried = found.size == strlen(tried) && memcmp(found.data, tried, found.size) == 0;
        CHECK(is_last || (is_tried && status == RR_UNKNOWN));
        rr_result_free(result);
        cluster_set(&cluster, 1, "k", last);
    }
    cluster_close(&cluster);
}
