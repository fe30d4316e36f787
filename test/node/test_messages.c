/* Messages between nodes: to all and to one, dropped when nobody is there, bounded, members only. */
#include "cluster.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* What one node was sent. */
struct box {
    pthread_mutex_t mutex;
    uint64_t count;
    uint64_t bytes;
    uint64_t from[CLUSTER_NODES_MAX + 1]; /* by sender: how many */
    uint64_t last[CLUSTER_NODES_MAX + 1]; /* by sender: the number in the last one */
    bool out_of_order;
};

static void note(void *arg, uint64_t from, rr_bytes message)
{
    struct box *box = arg;
    uint64_t number = 0;
    memcpy(&number, message.size >= sizeof(number) ? message.data : &number, sizeof(number));
    pthread_mutex_lock(&box->mutex);
    box->count++;
    box->bytes += message.size;
    if (from <= CLUSTER_NODES_MAX) {
        box->out_of_order |= number != 0 && number <= box->last[from];
        box->from[from]++;
        box->last[from] = number;
    }
    pthread_mutex_unlock(&box->mutex);
}

static uint64_t count_from(struct box *box, uint64_t from)
{
    pthread_mutex_lock(&box->mutex);
    uint64_t count = box->from[from];
    pthread_mutex_unlock(&box->mutex);
    return count;
}

static uint64_t last_from(struct box *box, uint64_t from)
{
    pthread_mutex_lock(&box->mutex);
    uint64_t last = box->last[from];
    pthread_mutex_unlock(&box->mutex);
    return last;
}

static void listen_to(struct cluster *cluster, struct box *boxes, uint64_t id)
{
    boxes[id] = (struct box){.mutex = PTHREAD_MUTEX_INITIALIZER};
    rr_node_on_message(cluster_node(cluster, id), note, &boxes[id]);
}

static void listen_all(struct cluster *cluster, struct box *boxes)
{
    for (uint64_t id = 1; id <= cluster->count; id++) {
        listen_to(cluster, boxes, id);
    }
}

static rr_status send_number(struct cluster *cluster, uint64_t id, uint64_t to, uint64_t number)
{
    return rr_node_send(cluster_node(cluster, id), to, (rr_bytes){&number, sizeof(number)});
}

/* Sends until one has arrived: the first ones may find no connection. */
static void send_until_arrived(struct cluster *cluster, struct box *boxes, uint64_t id, uint64_t to)
{
    uint64_t before = count_from(&boxes[to], id);
    for (int at = 0; count_from(&boxes[to], id) == before; at++) {
        CHECK_LT(at, CLUSTER_PATIENCE_MS);
        CHECK_OK(send_number(cluster, id, to, 0));
        cluster_nap();
    }
}

static void await_last(struct box *box, uint64_t from, uint64_t number)
{
    for (int at = 0; last_from(box, from) != number; at++) {
        CHECK_LT(at, CLUSTER_PATIENCE_MS);
        cluster_nap();
    }
}

struct metric {
    const char *name;
    double value;
};

static void find_metric(void *arg, const char *name, const char *help, bool counter, double value)
{
    struct metric *metric = arg;
    if (strcmp(name, metric->name) == 0) {
        metric->value = value;
    }
}

static double metric_of(struct cluster *cluster, uint64_t id, const char *name)
{
    struct metric metric = {.name = name, .value = -1};
    rr_node_metrics(cluster_node(cluster, id), find_metric, &metric);
    CHECK(metric.value >= 0);
    return metric.value;
}

TEST(messages, reach_every_other_member_or_one)
{
    struct cluster cluster;
    struct box boxes[CLUSTER_NODES_MAX + 1];
    cluster_open(&cluster, 3);
    listen_all(&cluster, boxes);
    for (uint64_t id = 1; id <= 3; id++) {
        for (uint64_t to = 1; to <= 3; to++) {
            send_until_arrived(&cluster, boxes, id, to); /* to itself, too */
        }
    }
    for (uint64_t id = 1; id <= 3; id++) {
        uint64_t own = count_from(&boxes[id], id);
        for (uint64_t number = 1; number <= 1000; number++) {
            CHECK_OK(send_number(&cluster, id, 0, number));
        }
        for (uint64_t to = 1; to <= 3; to++) {
            if (to != id) {
                await_last(&boxes[to], id, 1000);
            }
        }
        CHECK_EQ(count_from(&boxes[id], id), own);
    }
    for (uint64_t id = 1; id <= 3; id++) {
        CHECK(!boxes[id].out_of_order);
    }
    cluster_close(&cluster);
}

TEST(messages, are_refused_when_they_make_no_sense)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    static uint8_t bytes[(1 << 20) + 1];
    CHECK_STATUS(rr_node_send(NULL, 1, (rr_bytes){0}), RR_INVALID);
    CHECK_STATUS(rr_node_send(node, 1, (rr_bytes){NULL, 1}), RR_INVALID);
    CHECK_STATUS(rr_node_send(node, 1, (rr_bytes){bytes, sizeof(bytes)}), RR_TOO_BIG);
    CHECK_OK(rr_node_send(node, 0, (rr_bytes){bytes, sizeof(bytes) - 1})); /* there is nobody */
    CHECK_OK(rr_node_send(node, 77, (rr_bytes){bytes, 1}));
    for (int at = 0; metric_of(&cluster, 1, "user_messages_dropped_total") < 1; at++) {
        CHECK_LT(at, CLUSTER_PATIENCE_MS); /* node 77 is no member */
        cluster_nap();
    }
    CHECK_OK(rr_node_shutdown(node, CLUSTER_PATIENCE_MS));
    CHECK_STATUS(rr_node_send(node, 1, (rr_bytes){bytes, 1}), RR_CLOSED);
    cluster_close(&cluster);
}

TEST(messages, are_dropped_while_a_member_is_away_and_arrive_when_it_is_back)
{
    struct cluster cluster;
    struct box boxes[CLUSTER_NODES_MAX + 1];
    cluster_open(&cluster, 3);
    listen_all(&cluster, boxes);
    send_until_arrived(&cluster, boxes, 1, 3);
    cluster_close_node(&cluster, 3);
    double dropped = metric_of(&cluster, 1, "user_messages_dropped_total");
    for (int at = 0; metric_of(&cluster, 1, "user_messages_dropped_total") == dropped; at++) {
        CHECK_LT(at, CLUSTER_PATIENCE_MS);
        CHECK_OK(send_number(&cluster, 1, 0, 0));
        cluster_nap();
    }
    send_until_arrived(&cluster, boxes, 1, 2); /* the other one gets them all the same */
    cluster_open_node(&cluster, 3);
    listen_to(&cluster, boxes, 3);
    send_until_arrived(&cluster, boxes, 1, 3);
    send_until_arrived(&cluster, boxes, 3, 1);
    cluster_close(&cluster);
}

/* Far more than the queues hold, from a thread per node, while writes go on. */
static void *flood(void *arg)
{
    static const uint8_t bytes[100 * 1000];
    rr_node *node = arg;
    uint64_t refused = 0;
    for (int at = 0; at < 1500; at++) {
        rr_status status = rr_node_send(node, 0, (rr_bytes){bytes, sizeof(bytes)});
        CHECK(status == RR_OK || status == RR_BUSY);
        refused += status == RR_BUSY;
    }
    return (void *)(uintptr_t)refused;
}

TEST(messages, leave_room_for_writes_when_they_flood)
{
    struct cluster cluster;
    struct box boxes[CLUSTER_NODES_MAX + 1];
    cluster_open(&cluster, 3);
    listen_all(&cluster, boxes);
    uint64_t leader = cluster_leader(&cluster);
    rr_node_info before;
    cluster_info(&cluster, leader, &before);
    pthread_t threads[3];
    for (uint64_t id = 1; id <= 3; id++) {
        CHECK_EQ(pthread_create(&threads[id - 1], NULL, flood, cluster_node(&cluster, id)), 0);
    }
    uint64_t other = cluster_follower(&cluster);
    for (int at = 0; at < 50; at++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", at);
        cluster_set(&cluster, other, "k", value);
    }
    cluster_expect(&cluster, other, "k", "49", RR_READ_LINEARIZABLE);
    uint64_t refused = 0;
    for (int at = 0; at < 3; at++) {
        void *result;
        CHECK_EQ(pthread_join(threads[at], &result), 0);
        refused += (uint64_t)(uintptr_t)result;
    }
    for (uint64_t id = 1; id <= 3; id++) {
        for (uint64_t to = 1; to <= 3; to++) {
            send_until_arrived(&cluster, boxes, id, to);
        }
    }
    uint64_t arrived = 0;
    for (uint64_t id = 1; id <= 3; id++) {
        pthread_mutex_lock(&boxes[id].mutex);
        arrived += boxes[id].bytes;
        pthread_mutex_unlock(&boxes[id].mutex);
    }
    CHECK_GT(arrived, 0u);
    CHECK_LE(arrived, UINT64_C(6) * 1500 * 100 * 1000 + 100 * 1000);
    printf("%u refused, %u bytes arrived\n", (unsigned)refused, (unsigned)arrived);
    cluster_close(&cluster);
}

/* ---- What replicas hold ---- */

/* Asks whoever leads at the time: on a busy machine that may change meanwhile. */
static void await_replicas(struct cluster *cluster, uint64_t index, size_t count)
{
    for (int at = 0;; at++) {
        uint64_t leader = cluster_leader(cluster);
        if (rr_node_replicas(cluster_node(cluster, leader), index) == count) {
            return;
        }
        CHECK_LT(at, CLUSTER_PATIENCE_MS);
        cluster_nap();
    }
}

/* Sets "k" and tells the index: info may be as of a moment before the write was answered. */
static uint64_t set_somewhere(struct cluster *cluster, uint64_t id, const char *value)
{
    rr_txn *txn = rr_txn_new();
    CHECK_OK(rr_txn_set(txn, test_bytes_of("k"), test_bytes_of(value)));
    rr_result *result = NULL;
    CHECK_OK(rr_node_submit_wait(cluster_node(cluster, id), txn, NULL, &result));
    uint64_t index = rr_result_index(result);
    rr_result_free(result);
    rr_txn_free(txn);
    return index;
}

TEST(replicas, are_counted_by_the_leader_as_they_store_an_index)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    await_replicas(&cluster, set_somewhere(&cluster, 1, "1"), 2);
    uint64_t leader = cluster_leader(&cluster);
    CHECK_EQ(rr_node_replicas(cluster_node(&cluster, leader), UINT64_MAX), (size_t)0);
    uint64_t away = cluster_follower(&cluster);
    CHECK_EQ(rr_node_replicas(cluster_node(&cluster, away), 1), (size_t)0);
    cluster_close_node(&cluster, away);
    uint64_t index = set_somewhere(&cluster, leader, "2");
    await_replicas(&cluster, index, 1);
    cluster_open_node(&cluster, away);
    await_replicas(&cluster, index, 2);
    cluster_close(&cluster);
}
