/* One node by itself: everything that needs no other. ctest: log_kind=rocksdb,segments-thread */
#include "cluster.h"

#include <stdio.h>
#include <string.h>

TEST(single, answers_a_read_with_what_was_written)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    cluster_set(&cluster, 1, "fruit", "apple");
    cluster_expect(&cluster, 1, "fruit", "apple", RR_READ_LINEARIZABLE);
    cluster_expect(&cluster, 1, "fruit", "apple", RR_READ_LEASE);
    cluster_expect(&cluster, 1, "fruit", "apple", RR_READ_LOCAL);
    CHECK_STATUS(rr_node_get_wait(cluster_node(&cluster, 1), test_bytes_of("stone"),
                                  RR_READ_LINEARIZABLE, 0, NULL),
                 RR_NOT_FOUND);
    cluster_close(&cluster);
}

TEST(single, keeps_its_data_over_a_restart)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    cluster_set(&cluster, 1, "a", "1");
    cluster_set(&cluster, 1, "b", "2");
    for (int i = 0; i < 3; i++) {
        cluster_close_node(&cluster, 1);
        cluster_open_node(&cluster, 1);
        cluster_expect(&cluster, 1, "a", "1", RR_READ_LINEARIZABLE);
        cluster_expect(&cluster, 1, "b", "2", RR_READ_LINEARIZABLE);
        cluster_set(&cluster, 1, "a", "1");
    }
    rr_node_info info;
    cluster_info(&cluster, 1, &info);
    CHECK_EQ(info.role, RR_LEADER);
    CHECK_EQ(info.incoming_count, 1);
    cluster_close(&cluster);
}

TEST(single, runs_a_transaction_as_one_entry)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    cluster_set(&cluster, 1, "a", "old");
    rr_txn *txn = rr_txn_new();
    CHECK_OK(rr_txn_if(txn, test_bytes_of("a"), RR_EQUAL, test_bytes_of("old")));
    CHECK_OK(rr_txn_set(txn, test_bytes_of("a"), test_bytes_of("new")));
    CHECK_OK(rr_txn_set(txn, test_bytes_of("b"), test_bytes_of("too")));
    rr_txn_return_previous(txn, true);
    rr_result *result = NULL;
    CHECK_OK(rr_node_submit_wait(node, txn, NULL, &result));
    CHECK(rr_result_branch(result));
    CHECK_EQ(rr_result_count(result), 2);
    rr_bytes value;
    CHECK(rr_result_value(result, 0, &value));
    CHECK_BYTES(value, test_bytes_of("old"));
    CHECK(!rr_result_value(result, 1, &value));
    uint64_t index = rr_result_index(result);
    rr_result_free(result);
    CHECK_OK(rr_node_submit_wait(node, txn, NULL, &result));
    CHECK(!rr_result_branch(result));
    CHECK_EQ(rr_result_index(result), index + 1);
    rr_result_free(result);
    rr_txn_free(txn);
    cluster_close(&cluster);
}

TEST(single, gives_the_previous_value_of_a_getset)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    rr_result *old = NULL;
    rr_bytes value;
    CHECK_OK(rr_node_getset_wait(node, test_bytes_of("k"), test_bytes_of("1"), &old));
    CHECK(!rr_result_value(old, 0, &value));
    rr_result_free(old);
    CHECK_OK(rr_node_getset_wait(node, test_bytes_of("k"), test_bytes_of("2"), &old));
    CHECK(rr_result_value(old, 0, &value));
    CHECK_BYTES(value, test_bytes_of("1"));
    rr_result_free(old);
    CHECK_OK(rr_node_delete_wait(node, test_bytes_of("k")));
    CHECK_STATUS(rr_node_get_wait(node, test_bytes_of("k"), RR_READ_LEASE, 0, NULL), RR_NOT_FOUND);
    cluster_close(&cluster);
}

TEST(single, scans_in_pages_that_go_on_where_the_last_one_ended)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    rr_txn *txn = rr_txn_new();
    for (int i = 0; i < 250; i++) {
        char key[16];
        snprintf(key, sizeof(key), "p/%03d", i);
        CHECK_OK(rr_txn_set(txn, test_bytes_of(key), test_bytes_of("x")));
    }
    CHECK_OK(rr_node_submit_wait(node, txn, NULL, NULL));
    rr_txn_free(txn);
    const size_t limits[] = {0, 7, 100, 200};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        char after[16] = "";
        size_t seen = 0;
        bool more = true;
        while (more) {
            rr_scan scan;
            rr_scan_init(&scan);
            scan.prefix = test_bytes_of("p/");
            scan.after = test_bytes_of(after);
            scan.count_max = limits[i];
            rr_result *result = NULL;
            CHECK_OK(rr_node_scan_wait(node, &scan, &result));
            size_t count = rr_result_count(result);
            CHECK_GT(count, 0);
            seen += count;
            more = rr_result_more(result);
            rr_bytes last = rr_result_key(result, count - 1);
            CHECK_EQ(last.size, 5);
            memcpy(after, last.data, last.size);
            rr_result_free(result);
        }
        CHECK_EQ(seen, 250);
    }
    cluster_close(&cluster);
}

static rr_status add_up(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    (void)arg;
    rr_bytes key = test_bytes_of("sum");
    rr_bytes value;
    uint64_t sum = 0;
    if (rr_view_get(view, key, &value) == RR_OK) {
        memcpy(&sum, value.data, sizeof(sum));
    }
    uint64_t operand;
    memcpy(&operand, input.data, sizeof(operand));
    if (operand > 1000) {
        (void)rr_output_append(output, test_bytes_of("too large"));
        return RR_REJECTED;
    }
    sum += operand;
    rr_bytes bytes = {&sum, sizeof(sum)};
    (void)rr_view_put(view, key, bytes);
    return rr_output_append(output, bytes);
}

TEST(single, runs_a_procedure_at_apply)
{
    static const rr_procedure procedures[] = {{"add_up", 1, add_up, NULL}};
    struct cluster cluster;
    cluster_prepare(&cluster, 1);
    cluster.nodes[0].options.procedures = procedures;
    cluster.nodes[0].options.procedure_count = 1;
    cluster_open_all(&cluster);
    rr_node *node = cluster_node(&cluster, 1);
    uint64_t total = 0;
    for (uint64_t i = 1; i <= 10; i++) {
        rr_result *result = NULL;
        rr_bytes value;
        CHECK_OK(rr_node_call_wait(node, "add_up", (rr_bytes){&i, sizeof(i)}, NULL, &result));
        CHECK(rr_result_value(result, 0, &value));
        memcpy(&total, value.data, sizeof(total));
        rr_result_free(result);
    }
    CHECK_EQ(total, 55);
    uint64_t large = 2000;
    rr_result *result = NULL;
    rr_bytes value;
    CHECK_STATUS(
        rr_node_call_wait(node, "add_up", (rr_bytes){&large, sizeof(large)}, NULL, &result),
        RR_REJECTED);
    CHECK(rr_result_value(result, 0, &value));
    CHECK_BYTES(value, test_bytes_of("too large"));
    rr_result_free(result);
    CHECK_STATUS(rr_node_call_wait(node, "nothing", test_bytes_of(""), NULL, NULL), RR_NOT_FOUND);
    cluster_close(&cluster);
}

TEST(single, applies_a_repeated_sequence_of_a_session_once)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    rr_write_options options;
    rr_write_options_init(&options);
    CHECK_OK(rr_node_session_wait(node, 0, &options.session));
    CHECK_NE(options.session, 0);
    options.sequence = 1;
    rr_txn *txn = rr_txn_new();
    rr_txn_return_previous(txn, true);
    CHECK_OK(rr_txn_set(txn, test_bytes_of("k"), test_bytes_of("v")));
    for (int i = 0; i < 3; i++) {
        rr_result *result = NULL;
        rr_bytes value;
        CHECK_OK(rr_node_submit_wait(node, txn, &options, &result));
        CHECK(!rr_result_value(result, 0, &value)); /* as it was the first time */
        rr_result_free(result);
    }
    options.sequence = 2;
    CHECK_OK(rr_node_submit_wait(node, txn, &options, NULL));
    options.sequence = 1;
    CHECK_STATUS(rr_node_submit_wait(node, txn, &options, NULL), RR_STALE_SESSION);
    options.session = 0;
    CHECK_STATUS(rr_node_submit_wait(node, txn, &options, NULL), RR_INVALID);
    rr_txn_free(txn);
    cluster_close(&cluster);
}

TEST(single, refuses_what_is_over_its_limits)
{
    struct cluster cluster;
    cluster_prepare(&cluster, 1);
    cluster.nodes[0].options.key_bytes_max = 10;
    cluster.nodes[0].options.value_bytes_max = 1000;
    cluster.nodes[0].options.entry_bytes_max = 1500;
    cluster_open_all(&cluster);
    rr_node *node = cluster_node(&cluster, 1);
    static char bytes[2000];
    rr_bytes key = {bytes, 10};
    CHECK_OK(rr_node_set_wait(node, key, (rr_bytes){bytes, 1000}));
    CHECK_STATUS(rr_node_set_wait(node, key, (rr_bytes){bytes, 1001}), RR_TOO_BIG);
    CHECK_STATUS(rr_node_set_wait(node, (rr_bytes){bytes, 11}, key), RR_TOO_BIG);
    rr_txn *txn = rr_txn_new();
    CHECK_STATUS(rr_node_submit_wait(node, txn, NULL, NULL), RR_INVALID); /* empty */
    CHECK_OK(rr_txn_set(txn, (rr_bytes){bytes, 1}, (rr_bytes){bytes, 900}));
    CHECK_OK(rr_txn_set(txn, (rr_bytes){bytes, 2}, (rr_bytes){bytes, 900}));
    CHECK_STATUS(rr_node_submit_wait(node, txn, NULL, NULL), RR_TOO_BIG);
    rr_txn_free(txn);
    cluster_close(&cluster);
}

TEST(single, refuses_writes_when_the_disk_is_nearly_full)
{
    struct cluster cluster;
    cluster_prepare(&cluster, 1);
    cluster.nodes[0].options.disk_low_bytes = UINT64_MAX;
    cluster_open_all(&cluster);
    rr_node *node = cluster_node(&cluster, 1);
    CHECK_STATUS(rr_node_set_wait(node, test_bytes_of("a"), test_bytes_of("b")), RR_NO_SPACE);
    CHECK_STATUS(rr_node_get_wait(node, test_bytes_of("a"), RR_READ_LINEARIZABLE, 0, NULL),
                 RR_NOT_FOUND);
    cluster_close(&cluster);
}

TEST(single, says_what_is_wrong_with_an_option)
{
    rr_options options;
    rr_node *node = NULL;
    char error[256];
    rr_options_init(&options);
    options.node_id = 1;
    options.data_path = test_directory();
    options.election_timeout_min_ms = 70;
    CHECK_STATUS(rr_node_open(&options, error, sizeof(error), &node), RR_INVALID);
    CHECK(strstr(error, "election_timeout_min_ms") != NULL);
    rr_options_init(&options);
    CHECK_STATUS(rr_node_open(&options, error, sizeof(error), &node), RR_INVALID);
    CHECK(strstr(error, "node_id") != NULL);
    options.node_id = 1;
    options.data_path = test_directory();
    options.raft_address = "no port";
    CHECK_STATUS(rr_node_open(&options, error, sizeof(error), &node), RR_INVALID);
    CHECK(strstr(error, "raft_address") != NULL);
}

TEST(single, refuses_a_directory_in_use_and_an_address_in_use)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_options options = cluster.nodes[0].options;
    rr_node *node = NULL;
    char error[256];
    CHECK_STATUS(rr_node_open(&options, error, sizeof(error), &node), RR_IO);
    CHECK(strstr(error, "listen") != NULL);
    options.raft_address = "127.0.0.1:0";
    CHECK_STATUS(rr_node_open(&options, error, sizeof(error), &node), RR_BUSY);
    cluster_close(&cluster);
}

/* What a callback on the node's thread got from a blocking call. */
struct attempt {
    rr_node *node;
    _Atomic int status; /* -1 until then */
};

static void wait_on_node_thread(void *arg, rr_status status, const rr_result *result)
{
    (void)status;
    (void)result;
    struct attempt *attempt = arg;
    attempt->status = (int)rr_node_set_wait(attempt->node, test_bytes_of("a"), test_bytes_of("b"));
}

TEST(single, refuses_to_wait_on_its_own_thread)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    struct attempt attempt = {cluster_node(&cluster, 1), -1};
    CHECK_OK(rr_node_get(attempt.node, test_bytes_of("a"), RR_READ_LOCAL, 0, wait_on_node_thread,
                         &attempt));
    while (attempt.status == -1) {
        cluster_nap();
    }
    CHECK_EQ(attempt.status, RR_INVALID);
    cluster_close(&cluster);
}

TEST(single, answers_closed_after_a_shutdown)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    cluster_set(&cluster, 1, "a", "1");
    CHECK_OK(rr_node_shutdown(node, 5000));
    CHECK_STATUS(rr_node_set_wait(node, test_bytes_of("a"), test_bytes_of("b")), RR_CLOSED);
    CHECK_STATUS(rr_node_get_wait(node, test_bytes_of("a"), RR_READ_LOCAL, 0, NULL), RR_CLOSED);
    CHECK_OK(rr_node_shutdown(node, 5000));
    cluster_close(&cluster);
}
