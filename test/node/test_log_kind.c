/* Nodes whose logs are of different kinds, and are moved from one to the other. */
#include "cluster.h"
#include "members_helpers.h"

#include <stdio.h>
#include <string.h>

static void set_kind(struct cluster *cluster, uint64_t id, rr_log_kind kind, bool migrate)
{
    cluster->nodes[id - 1].options.log_kind = kind;
    cluster->nodes[id - 1].options.log_migrate = migrate;
    cluster->nodes[id - 1].options.log_segment_bytes = 64 * 1024;
}

static void set_numbered(struct cluster *cluster, uint64_t id, int number)
{
    char key[32];
    char value[32];
    snprintf(key, sizeof(key), "key%d", number);
    snprintf(value, sizeof(value), "value%d", number);
    cluster_set(cluster, id, key, value);
}

static void check_numbered(struct cluster *cluster, uint64_t id, int from, int to)
{
    for (int number = from; number <= to; number++) {
        char key[32];
        char value[32];
        snprintf(key, sizeof(key), "key%d", number);
        snprintf(value, sizeof(value), "value%d", number);
        cluster_expect(cluster, id, key, value, RR_READ_LINEARIZABLE);
    }
}

TEST(log_kind, is_changed_node_by_node_while_the_cluster_goes_on)
{
    struct cluster cluster;
    cluster_prepare(&cluster, 3);
    for (uint64_t id = 1; id <= 3; id++) {
        set_kind(&cluster, id, RR_LOG_ROCKSDB, false);
        cluster.nodes[id - 1].options.snapshot_entries = 40;
        cluster.nodes[id - 1].options.snapshot_keep = 20;
    }
    cluster_open_all(&cluster);
    int number = 0;
    for (; number < 100; number++) {
        set_numbered(&cluster, 1, number);
    }
    const rr_log_kind kinds[] = {RR_LOG_SEGMENTS, RR_LOG_ROCKSDB};
    for (int round = 0; round < 2; round++) {
        for (uint64_t id = 1; id <= 3; id++) {
            uint64_t asked = id % 3 + 1;
            cluster_close_node(&cluster, id);
            set_numbered(&cluster, asked, number++);
            set_kind(&cluster, id, kinds[round], true);
            cluster_open_node(&cluster, id);
            for (int i = 0; i < 10; i++) {
                set_numbered(&cluster, id, number++);
            }
            check_numbered(&cluster, id, number - 20, number - 1);
        }
    }
    for (uint64_t id = 1; id <= 3; id++) {
        check_numbered(&cluster, id, 0, number - 1);
    }
    expect_equal_states(&cluster);
    cluster_close(&cluster);
}

/* What a moved node voted for, and how far its log goes, are its promises: it keeps them. */
TEST(log_kind, loses_nothing_of_a_single_node_that_is_moved_there_and_back)
{
    struct cluster cluster;
    cluster_prepare(&cluster, 1);
    set_kind(&cluster, 1, RR_LOG_SEGMENTS, true);
    cluster_open_all(&cluster);
    uint64_t term = 0;
    uint64_t last = 0;
    const rr_log_kind kinds[] = {RR_LOG_ROCKSDB, RR_LOG_SEGMENTS};
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 20; i++) {
            set_numbered(&cluster, 1, 20 * round + i);
        }
        rr_node_info info;
        cluster_info(&cluster, 1, &info);
        CHECK_GT(info.term, term);
        CHECK_GE(info.last_index, last + 20);
        term = info.term;
        last = info.last_index;
        cluster_close_node(&cluster, 1);
        set_kind(&cluster, 1, kinds[round % 2], true);
        cluster_open_node(&cluster, 1);
        check_numbered(&cluster, 1, 0, 20 * round + 19);
    }
    cluster_close(&cluster);
}

TEST(log_kind, is_refused_with_what_to_do_where_it_is_not_to_be_moved)
{
    struct cluster cluster;
    cluster_prepare(&cluster, 1);
    set_kind(&cluster, 1, RR_LOG_SEGMENTS, false);
    cluster_open_all(&cluster);
    cluster_set(&cluster, 1, "a", "1");
    cluster_close_node(&cluster, 1);
    set_kind(&cluster, 1, RR_LOG_ROCKSDB, false);
    char error[512] = "";
    rr_node *node = NULL;
    CHECK_STATUS(rr_node_open(&cluster.nodes[0].options, error, sizeof(error), &node), RR_MISMATCH);
    CHECK(strstr(error, "migrate_log") != NULL);
    set_kind(&cluster, 1, RR_LOG_AUTO, false);
    cluster_open_node(&cluster, 1);
    cluster_expect(&cluster, 1, "a", "1", RR_READ_LINEARIZABLE);
    cluster_close(&cluster);
}
