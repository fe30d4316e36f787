/* ctest: timeout=300 label=slow
 * Members come, go, restart and hand over in a random order while writes go on: nothing that was
 * acknowledged is lost, and in the end all hold the same. */
#include "members_helpers.h"

#include "base/random.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { STEPS = 40, LONG_MS = CLUSTER_PATIENCE_MS };

/* What is known of the nodes: those that are members, and those that run. */
struct churn {
    struct cluster cluster;
    struct random random;
    bool member[CLUSTER_NODES_MAX + 1];
    bool away[CLUSTER_NODES_MAX + 1]; /* a member that does not run */
};

/* Writes "count" = 1, 2, 3... through node 1, which always runs. */
struct counting {
    struct cluster *cluster;
    atomic_bool stop;
    atomic_int acknowledged;
    rr_status failure; /* other than not knowing: a leader that is closed at once says nothing */
};

static void *count_on(void *arg)
{
    struct counting *counting = arg;
    int next = 1;
    while (!atomic_load(&counting->stop)) {
        char value[32];
        snprintf(value, sizeof(value), "%d", next);
        rr_status status = rr_node_set_wait(cluster_node(counting->cluster, 1),
                                            test_bytes_of("count"), test_bytes_of(value));
        if (status == RR_OK) {
            atomic_store(&counting->acknowledged, next);
            next++;
        } else if (status != RR_UNKNOWN) {
            counting->failure = status;
        }
    }
    return NULL;
}

static int count_members(const struct churn *churn, bool running)
{
    int count = 0;
    for (int id = 1; id <= CLUSTER_NODES_MAX; id++) {
        count += churn->member[id] && !(running && churn->away[id]) ? 1 : 0;
    }
    return count;
}

static void add(struct churn *churn, uint64_t id)
{
    char error[512] = "";
    rr_status status =
        rr_node_add_wait(cluster_node(&churn->cluster, 1), id, churn->cluster.nodes[id - 1].address,
                         RR_VOTER, LONG_MS, error, sizeof(error));
    if (status != RR_OK) {
        FAIL("adding node %d: %s: %s", (int)id, rr_status_name(status), error);
    }
    churn->member[id] = true;
}

static void remove_member(struct churn *churn, uint64_t id)
{
    char error[512] = "";
    rr_status status =
        rr_node_remove_wait(cluster_node(&churn->cluster, 1), id, LONG_MS, error, sizeof(error));
    if (status != RR_OK) {
        FAIL("removing node %d: %s: %s", (int)id, rr_status_name(status), error);
    }
    churn->member[id] = false;
    churn->away[id] = false;
}

/* One of the nodes 2 to 5 meets a change that leaves a majority running. */
static void step(struct churn *churn)
{
    uint64_t id = random_between(&churn->random, 2, CLUSTER_NODES_MAX);
    struct cluster_node *node = &churn->cluster.nodes[id - 1];
    int members = count_members(churn, false);
    int running = count_members(churn, true);
    switch (random_below(&churn->random, 5)) {
    case 0:
    case 1:
        if (!churn->member[id]) {
            if (node->node == NULL) {
                open_waiting(&churn->cluster, id);
            }
            add(churn, id);
        }
        return;
    case 2:
        if (churn->member[id] && members > 1 &&
            2 * (running - (churn->away[id] ? 0 : 1)) > members - 1) {
            remove_member(churn, id);
        }
        return;
    case 3:
        if (node->node == NULL) {
            open_waiting(&churn->cluster, id);
            churn->away[id] = false;
        } else if (!churn->member[id] || 2 * (running - 1) > members) {
            cluster_close_node(&churn->cluster, id);
            churn->away[id] = churn->member[id];
        }
        return;
    default: {
        uint64_t target = churn->member[id] && !churn->away[id] ? id : 1;
        rr_status status = rr_node_transfer_wait(cluster_node(&churn->cluster, 1), target, LONG_MS);
        CHECK(status == RR_OK || status == RR_TIMEOUT || status == RR_UNKNOWN);
        return;
    }
    }
}

TEST(members_churn, loses_nothing_and_ends_with_equal_states)
{
    struct churn churn = {0};
    struct counting counting = {.cluster = &churn.cluster};
    pthread_t thread;
    random_init(&churn.random, test_seed(11));
    cluster_prepare(&churn.cluster, CLUSTER_NODES_MAX);
    for (int id = 0; id < CLUSTER_NODES_MAX; id++) {
        churn.cluster.nodes[id].options.snapshot_entries = 200;
        churn.cluster.nodes[id].options.snapshot_keep = 20;
    }
    cluster_open_node(&churn.cluster, 1);
    await_member(&churn.cluster, 1);
    churn.member[1] = true;
    CHECK_EQ(pthread_create(&thread, NULL, count_on, &counting), 0);
    for (int at = 0; at < STEPS; at++) {
        step(&churn);
    }
    for (uint64_t id = 2; id <= CLUSTER_NODES_MAX; id++) {
        if (churn.cluster.nodes[id - 1].node == NULL) {
            open_waiting(&churn.cluster, id);
        }
        if (!churn.member[id]) {
            add(&churn, id);
        }
    }
    atomic_store(&counting.stop, true);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_OK(counting.failure);
    CHECK_GT(atomic_load(&counting.acknowledged), STEPS);
    char value[32];
    snprintf(value, sizeof(value), "%d", atomic_load(&counting.acknowledged));
    for (uint64_t id = 1; id <= CLUSTER_NODES_MAX; id++) {
        await_role(&churn.cluster, id, id, RR_VOTER);
        cluster_expect(&churn.cluster, id, "count", value, RR_READ_LINEARIZABLE);
    }
    expect_equal_states(&churn.cluster);
    cluster_close(&churn.cluster);
}
