/* Three nodes: elections, forwarding, reads anywhere, restarts, deadlines.
 * ctest: timeout=240 log_kind=rocksdb,segments-thread */
#include "cluster.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

TEST(cluster, takes_writes_and_linearizable_reads_on_any_node)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    for (int i = 0; i < 30; i++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", i);
        cluster_set(&cluster, 1 + (uint64_t)i % 3, "k", value);
        for (uint64_t id = 1; id <= 3; id++) {
            cluster_expect(&cluster, id, "k", value, RR_READ_LINEARIZABLE);
            cluster_expect(&cluster, id, "k", value, RR_READ_LEASE);
        }
    }
    cluster_close(&cluster);
}

TEST(cluster, elects_another_leader_when_the_leader_is_closed)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    uint64_t first = cluster_leader(&cluster);
    uint64_t other = cluster_follower(&cluster);
    cluster_set(&cluster, other, "a", "1");
    cluster_close_node(&cluster, first);
    cluster_set(&cluster, other, "b", "2"); /* waits through the election */
    cluster_expect(&cluster, other, "a", "1", RR_READ_LINEARIZABLE);
    CHECK_NE(cluster_leader(&cluster), first);
    cluster_open_node(&cluster, first);
    cluster_expect(&cluster, first, "b", "2", RR_READ_LINEARIZABLE);
    cluster_close(&cluster);
}

TEST(cluster, keeps_its_data_when_all_nodes_restart)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    for (int round = 0; round < 3; round++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", round);
        cluster_set(&cluster, 2, "k", value);
        cluster_close(&cluster);
        for (uint64_t id = 1; id <= 3; id++) {
            cluster_open_node(&cluster, id);
        }
        cluster_expect(&cluster, 3, "k", value, RR_READ_LINEARIZABLE);
    }
    cluster_close(&cluster);
}

/* ---- Many writes while leaders go ---- */

enum { WRITERS = 4, WRITES_MAX = 4000 };

struct writer {
    struct cluster *cluster;
    uint64_t via;
    int number;
    atomic_bool *stop;
    int count;
    rr_status results[WRITES_MAX];
};

static void *write_on(void *arg)
{
    struct writer *writer = arg;
    rr_node *node = cluster_node(writer->cluster, writer->via);
    while (!atomic_load(writer->stop) && writer->count < WRITES_MAX) {
        char key[32];
        snprintf(key, sizeof(key), "w%d/%d", writer->number, writer->count);
        writer->results[writer->count] =
            rr_node_set_wait(node, test_bytes_of(key), test_bytes_of("x"));
        writer->count++;
    }
    return NULL;
}

static void check_writes(struct cluster *cluster, const struct writer *writer)
{
    int good = 0;
    for (int i = 0; i < writer->count; i++) {
        char key[32];
        snprintf(key, sizeof(key), "w%d/%d", writer->number, i);
        rr_status found = rr_node_get_wait(cluster_node(cluster, writer->via), test_bytes_of(key),
                                           RR_READ_LINEARIZABLE, 0, NULL);
        if (writer->results[i] == RR_OK) {
            CHECK_STATUS(found, RR_OK);
            good++;
        } else if (writer->results[i] != RR_UNKNOWN) {
            CHECK_STATUS(found, RR_NOT_FOUND);
        }
    }
    CHECK_GT(good, 0);
}

TEST(cluster, loses_nothing_that_was_acknowledged_while_leaders_are_closed)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    atomic_bool stop = false;
    static struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.cluster = &cluster, .via = 3, .number = i, .stop = &stop};
        CHECK_EQ(pthread_create(&threads[i], NULL, write_on, &writers[i]), 0);
    }
    for (int round = 0; round < 4; round++) {
        uint64_t closed = 1 + (uint64_t)round % 2; /* node 3 carries the writers */
        cluster_set(&cluster, 3, "round", "begins");
        CHECK_OK(rr_node_trigger_election(cluster_node(&cluster, closed)));
        cluster_set(&cluster, 3, "round", "goes on");
        cluster_close_node(&cluster, closed);
        cluster_set(&cluster, 3, "round", "without it");
        cluster_open_node(&cluster, closed);
        cluster_expect(&cluster, closed, "round", "without it", RR_READ_LINEARIZABLE);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < WRITERS; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        check_writes(&cluster, &writers[i]);
    }
    cluster_close(&cluster);
}

/* ---- Sessions ---- */

static rr_status increment(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    (void)arg;
    (void)input;
    uint64_t count = 0;
    rr_bytes value;
    if (rr_view_get(view, test_bytes_of("count"), &value) == RR_OK) {
        memcpy(&count, value.data, sizeof(count));
    }
    count++;
    rr_bytes bytes = {&count, sizeof(count)};
    (void)rr_view_put(view, test_bytes_of("count"), bytes);
    return rr_output_append(output, bytes);
}

struct counting {
    rr_node *node;
    atomic_bool stop;
    uint64_t count;
    rr_status failure;
};

/* Increments until it is told to stop; repeats a call whose outcome is open. */
static void *count_up(void *arg)
{
    struct counting *counting = arg;
    rr_write_options options;
    rr_write_options_init(&options);
    counting->failure = rr_node_session_wait(counting->node, 0, &options.session);
    while (counting->failure == RR_OK && !atomic_load(&counting->stop)) {
        options.sequence++;
        rr_result *result = NULL;
        rr_status status;
        do {
            rr_result_free(result);
            status = rr_node_call_wait(counting->node, "increment", test_bytes_of(""), &options,
                                       &result);
        } while (status == RR_UNKNOWN || status == RR_NOT_LEADER || status == RR_BUSY);
        uint64_t seen = 0;
        rr_bytes value;
        counting->count++;
        if (status == RR_OK && rr_result_value(result, 0, &value)) {
            memcpy(&seen, value.data, sizeof(seen));
        }
        counting->failure = status;
        if (status == RR_OK && seen != counting->count) {
            counting->failure = RR_CORRUPT; /* one was lost, or counted twice */
        }
        rr_result_free(result);
    }
    return NULL;
}

TEST(cluster, applies_the_calls_of_a_session_exactly_once_while_leaders_change)
{
    static const rr_procedure procedures[] = {{"increment", 1, increment, NULL}};
    struct cluster cluster;
    cluster_prepare(&cluster, 3);
    for (int i = 0; i < 3; i++) {
        cluster.nodes[i].options.procedures = procedures;
        cluster.nodes[i].options.procedure_count = 1;
    }
    cluster_open_all(&cluster);
    struct counting counting = {.node = cluster_node(&cluster, 3)};
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, count_up, &counting), 0);
    for (int round = 0; round < 4; round++) {
        uint64_t closed = 1 + (uint64_t)round % 2;
        CHECK_OK(rr_node_trigger_election(cluster_node(&cluster, closed)));
        cluster_set(&cluster, 3, "round", "goes on");
        cluster_close_node(&cluster, closed);
        cluster_set(&cluster, 3, "round", "without it");
        cluster_open_node(&cluster, closed);
        cluster_expect(&cluster, closed, "round", "without it", RR_READ_LINEARIZABLE);
    }
    atomic_store(&counting.stop, true);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_OK(counting.failure);
    CHECK_GT(counting.count, 0);
    cluster_close(&cluster);
}

/* ---- Without a quorum ---- */

TEST(cluster, ends_requests_at_their_deadline_without_a_quorum)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    uint64_t leader = cluster_leader(&cluster);
    cluster_set(&cluster, leader, "a", "1");
    for (uint64_t id = 1; id <= 3; id++) {
        if (id != leader) {
            cluster_close_node(&cluster, id);
        }
    }
    rr_node *node = cluster_node(&cluster, leader);
    rr_txn *txn = rr_txn_new();
    CHECK_OK(rr_txn_set(txn, test_bytes_of("a"), test_bytes_of("2")));
    rr_write_options options;
    rr_write_options_init(&options);
    options.timeout_ms = 300;
    rr_status status = rr_node_submit_wait(node, txn, &options, NULL);
    CHECK(status == RR_UNKNOWN || status == RR_NOT_LEADER);
    /* By now it has stepped down: nobody takes the next one, and that is certain. */
    rr_node_info info;
    do {
        cluster_info(&cluster, leader, &info);
        cluster_nap();
    } while (info.leader != 0);
    CHECK_STATUS(rr_node_submit_wait(node, txn, &options, NULL), RR_NOT_LEADER);
    rr_txn_free(txn);
    CHECK_STATUS(rr_node_get_wait(node, test_bytes_of("a"), RR_READ_LINEARIZABLE, 300, NULL),
                 RR_TIMEOUT);
    CHECK_STATUS(rr_node_get_wait(node, test_bytes_of("a"), RR_READ_LEASE, 300, NULL), RR_TIMEOUT);
    cluster_expect(&cluster, leader, "a", "1", RR_READ_LOCAL);
    cluster_close(&cluster);
}

static void note_status(void *arg, rr_status status, const rr_result *result)
{
    (void)result;
    _Atomic int *noted = arg;
    atomic_store(noted, (int)status);
}

TEST(cluster, finishes_requests_when_the_quorum_comes_back)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    uint64_t leader = cluster_leader(&cluster);
    uint64_t other = cluster_follower(&cluster);
    for (uint64_t id = 1; id <= 3; id++) {
        if (id != other) {
            cluster_close_node(&cluster, id);
        }
    }
    (void)leader;
    rr_txn *txn = rr_txn_new();
    CHECK_OK(rr_txn_set(txn, test_bytes_of("late"), test_bytes_of("yes")));
    _Atomic int written = -1;
    _Atomic int read = -1;
    rr_node *node = cluster_node(&cluster, other);
    CHECK_OK(rr_node_submit(node, txn, NULL, note_status, (void *)&written));
    CHECK_OK(rr_node_get(node, test_bytes_of("late"), RR_READ_LINEARIZABLE, 0, note_status,
                         (void *)&read));
    rr_txn_free(txn);
    for (uint64_t id = 1; id <= 3; id++) {
        if (id != other) {
            cluster_open_node(&cluster, id);
        }
    }
    while (atomic_load(&written) == -1 || atomic_load(&read) == -1) {
        cluster_nap();
    }
    CHECK_EQ(atomic_load(&written), RR_OK);
    CHECK(atomic_load(&read) == RR_OK || atomic_load(&read) == RR_NOT_FOUND);
    cluster_expect(&cluster, other, "late", "yes", RR_READ_LINEARIZABLE);
    cluster_close(&cluster);
}

TEST(cluster, says_busy_when_its_queue_is_full)
{
    enum { PENDING_MAX = 10 };
    struct cluster cluster;
    cluster_prepare(&cluster, 2);
    cluster.nodes[0].options.pending_max = PENDING_MAX;
    cluster_open_all(&cluster);
    cluster_close_node(&cluster, 2);
    rr_node *node = cluster_node(&cluster, 1);
    rr_txn *txn = rr_txn_new();
    CHECK_OK(rr_txn_set(txn, test_bytes_of("a"), test_bytes_of("1")));
    _Atomic int statuses[PENDING_MAX + 1];
    int taken = 0;
    rr_status status = RR_OK;
    while (taken < PENDING_MAX + 1 && status == RR_OK) {
        statuses[taken] = -1;
        status = rr_node_submit(node, txn, NULL, note_status, (void *)&statuses[taken]);
        taken += status == RR_OK;
    }
    CHECK_STATUS(status, RR_BUSY);
    CHECK_LE(taken, PENDING_MAX);
    CHECK_GT(taken, 0);
    cluster_open_node(&cluster, 2);
    for (int i = 0; i < taken; i++) {
        while (atomic_load(&statuses[i]) == -1) {
            cluster_nap();
        }
        CHECK_EQ(atomic_load(&statuses[i]), RR_OK);
    }
    CHECK_OK(rr_node_submit_wait(node, txn, NULL, NULL));
    rr_txn_free(txn);
    cluster_close(&cluster);
}

/* ---- Shutting down ---- */

TEST(cluster, finishes_what_it_has_when_it_is_shut_down)
{
    enum { COUNT = 500 };
    struct cluster cluster;
    cluster_open(&cluster, 3);
    uint64_t leader = cluster_leader(&cluster);
    uint64_t other = cluster_follower(&cluster);
    static _Atomic int statuses[COUNT];
    rr_node *node = cluster_node(&cluster, leader);
    for (int i = 0; i < COUNT; i++) {
        char key[16];
        snprintf(key, sizeof(key), "s%d", i);
        rr_txn *txn = rr_txn_new();
        CHECK_OK(rr_txn_set(txn, test_bytes_of(key), test_bytes_of("1")));
        statuses[i] = -1;
        CHECK_OK(rr_node_submit(node, txn, NULL, note_status, (void *)&statuses[i]));
        rr_txn_free(txn);
    }
    CHECK_OK(rr_node_shutdown(node, CLUSTER_PATIENCE_MS));
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQ(atomic_load(&statuses[i]), RR_OK);
    }
    for (int i = 0; i < COUNT; i++) {
        char key[16];
        snprintf(key, sizeof(key), "s%d", i);
        cluster_expect(&cluster, other, key, "1", RR_READ_LINEARIZABLE);
    }
    cluster_close(&cluster);
}

TEST(cluster, hands_leadership_over_when_the_leader_is_shut_down)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    uint64_t leader = cluster_leader(&cluster);
    CHECK_OK(rr_node_shutdown(cluster_node(&cluster, leader), CLUSTER_PATIENCE_MS));
    /* At once: until its successor works, the old leader is there to refuse what comes for it. */
    int successors = 0;
    for (uint64_t id = 1; id <= 3; id++) {
        rr_node_info info;
        cluster_info(&cluster, id, &info);
        successors += id != leader && info.role == RR_LEADER;
    }
    CHECK_EQ(successors, 1);
    rr_node_info old;
    cluster_info(&cluster, leader, &old);
    CHECK_EQ(old.role, RR_FOLLOWER);
    CHECK_EQ(old.applied_term, old.term);
    cluster_close(&cluster);
}

/* ---- Upkeep ---- */

TEST(cluster, makes_a_follower_the_leader_when_asked_for_an_election)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    for (uint64_t id = 1; id <= 3; id++) {
        rr_node_info info;
        cluster_info(&cluster, id, &info);
        for (int i = 0; info.role != RR_LEADER && i < CLUSTER_PATIENCE_MS; i++) {
            if (i % 500 == 0) {
                CHECK_OK(rr_node_trigger_election(cluster_node(&cluster, id)));
            }
            cluster_nap();
            cluster_info(&cluster, id, &info);
        }
        CHECK_EQ(info.role, RR_LEADER);
    }
    CHECK_OK(rr_node_trigger_heartbeat(cluster_node(&cluster, 1)));
    cluster_close(&cluster);
}

TEST(cluster, never_elects_a_node_whose_elections_are_off)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    uint64_t leader = cluster_leader(&cluster);
    uint64_t quiet = cluster_follower(&cluster);
    CHECK_OK(rr_node_enable(cluster_node(&cluster, quiet), false, true));
    CHECK_OK(rr_node_enable(cluster_node(&cluster, leader), true, false)); /* sends nothing */
    uint64_t next = cluster_await_other_leader(&cluster, quiet, leader);
    CHECK_NE(next, quiet);
    cluster_close(&cluster);
}
