/* Calls of procedures while nobody leads: they wait, and tell what is certain. ctest: timeout=240 */
#include "cluster.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

/* Input: a key. Adds one to its number, and answers it. */
static rr_status count_up(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    uint64_t number = 0;
    rr_bytes value;
    if (rr_view_get(view, input, &value) == RR_OK) {
        memcpy(&number, value.data, sizeof(number));
    }
    number++;
    value = (rr_bytes){&number, sizeof(number)};
    rr_status status = rr_view_put(view, input, value);
    return status == RR_OK ? rr_output_append(output, value) : status;
}

static void open_counting(struct cluster *cluster)
{
    static const rr_procedure procedures[] = {{"count", 1, count_up, NULL}};
    cluster_prepare(cluster, 3);
    for (size_t i = 0; i < cluster->count; i++) {
        cluster->nodes[i].options.procedures = procedures;
        cluster->nodes[i].options.procedure_count = 1;
    }
    cluster_open_all(cluster);
}

/* What a call came to. */
struct outcome {
    atomic_bool ended;
    rr_status status;
    uint64_t number;
};

static void note_outcome(void *arg, rr_status status, const rr_result *result)
{
    struct outcome *outcome = arg;
    outcome->status = status;
    rr_bytes value;
    if (rr_result_value(result, 0, &value)) {
        memcpy(&outcome->number, value.data, sizeof(outcome->number));
    }
    atomic_store(&outcome->ended, true);
}

static void call_count(rr_node *node, const char *key, uint32_t timeout_ms, struct outcome *outcome)
{
    rr_write_options options;
    rr_write_options_init(&options);
    options.timeout_ms = timeout_ms;
    *outcome = (struct outcome){0};
    CHECK_OK(rr_node_call(node, "count", test_bytes_of(key), &options, note_outcome, outcome));
}

static void await_outcome(struct outcome *outcome)
{
    for (int at = 0; !atomic_load(&outcome->ended); at++) {
        CHECK_LT(at, 2 * CLUSTER_PATIENCE_MS);
        cluster_nap();
    }
}

/* What the key's number is for all nodes. */
static uint64_t number_of(struct cluster *cluster, uint64_t id, const char *key)
{
    rr_result *result = NULL;
    rr_bytes value;
    uint64_t number = 0;
    rr_status status = rr_node_get_wait(cluster_node(cluster, id), test_bytes_of(key),
                                        RR_READ_LINEARIZABLE, CLUSTER_PATIENCE_MS, &result);
    CHECK(status == RR_OK || status == RR_NOT_FOUND);
    if (rr_result_value(result, 0, &value)) {
        memcpy(&number, value.data, sizeof(number));
    }
    rr_result_free(result);
    return number;
}

static void close_but(struct cluster *cluster, uint64_t stays)
{
    for (uint64_t id = 1; id <= 3; id++) {
        if (id != stays) {
            cluster_close_node(cluster, id);
        }
    }
}

static void open_but(struct cluster *cluster, uint64_t stays)
{
    for (uint64_t id = 1; id <= 3; id++) {
        if (id != stays) {
            cluster_open_node(cluster, id);
        }
    }
}

static void await_no_leader(struct cluster *cluster, uint64_t id)
{
    rr_node_info info;
    cluster_info(cluster, id, &info);
    for (int at = 0; info.leader != 0; at++) {
        CHECK_LT(at, CLUSTER_PATIENCE_MS);
        cluster_nap();
        cluster_info(cluster, id, &info);
    }
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

TEST(calls, wait_for_a_leader_until_there_is_one)
{
    struct cluster cluster;
    open_counting(&cluster);
    uint64_t stays = cluster_follower(&cluster);
    close_but(&cluster, stays);
    await_no_leader(&cluster, stays);
    struct outcome outcomes[20];
    for (size_t i = 0; i < 20; i++) {
        call_count(cluster_node(&cluster, stays), "k", 2 * CLUSTER_PATIENCE_MS, &outcomes[i]);
    }
    open_but(&cluster, stays);
    uint64_t sum = 0;
    for (size_t i = 0; i < 20; i++) {
        await_outcome(&outcomes[i]);
        CHECK_OK(outcomes[i].status);
        sum += outcomes[i].number;
    }
    CHECK_EQ(sum, 210); /* 1 to 20, each once */
    CHECK_EQ(number_of(&cluster, stays, "k"), 20);
    cluster_close(&cluster);
}

/* As a client sees it: none of the calls that begin while the cluster elects is refused. */
TEST(calls, go_through_an_election_on_any_node_that_is_left)
{
    struct cluster cluster;
    open_counting(&cluster);
    for (int round = 0; round < 3; round++) {
        uint64_t leader = cluster_leader(&cluster);
        uint64_t before = number_of(&cluster, leader, "k");
        cluster_close_node(&cluster, leader);
        struct outcome outcomes[10];
        for (size_t i = 0; i < 10; i++) {
            uint64_t id = 1 + (leader + i % 2) % 3;
            call_count(cluster_node(&cluster, id), "k", CLUSTER_PATIENCE_MS, &outcomes[i]);
        }
        uint64_t applied = 0;
        uint64_t unknown = 0;
        for (size_t i = 0; i < 10; i++) {
            await_outcome(&outcomes[i]);
            /* Unknown: one was passed on just before the connection to the old leader broke. */
            CHECK(outcomes[i].status == RR_OK || outcomes[i].status == RR_UNKNOWN);
            applied += outcomes[i].status == RR_OK;
            unknown += outcomes[i].status == RR_UNKNOWN;
        }
        cluster_open_node(&cluster, leader);
        uint64_t after = number_of(&cluster, leader, "k");
        CHECK_GE(after, before + applied);
        CHECK_LE(after, before + applied + unknown);
    }
    cluster_close(&cluster);
}

TEST(calls, are_refused_at_their_deadline_and_never_applied_without_a_leader)
{
    struct cluster cluster;
    open_counting(&cluster);
    uint64_t stays = cluster_follower(&cluster);
    close_but(&cluster, stays);
    await_no_leader(&cluster, stays);
    struct outcome outcome;
    uint64_t begin_ms = now_ms();
    call_count(cluster_node(&cluster, stays), "k", 500, &outcome);
    await_outcome(&outcome);
    CHECK_STATUS(outcome.status, RR_NOT_LEADER);
    CHECK_GE(now_ms() - begin_ms, 500);
    open_but(&cluster, stays);
    cluster_set(&cluster, stays, "other", "1"); /* whatever was in the log is applied by now */
    CHECK_EQ(number_of(&cluster, stays, "k"), 0);
    cluster_close(&cluster);
}

TEST(calls, are_unknown_at_their_deadline_once_the_leader_has_stored_them)
{
    struct cluster cluster;
    open_counting(&cluster);
    uint64_t leader = cluster_leader(&cluster);
    rr_node *node = cluster_node(&cluster, leader);
    struct outcome outcome;
    rr_node_info before;
    rr_node_info after;
    /* Until the leader has noticed that it is alone, it takes calls into its log. */
    do {
        cluster_info(&cluster, leader, &before);
        close_but(&cluster, leader);
        call_count(node, "k", 500, &outcome);
        await_outcome(&outcome);
        cluster_info(&cluster, leader, &after);
        open_but(&cluster, leader);
        leader = cluster_leader(&cluster);
        node = cluster_node(&cluster, leader);
    } while (outcome.status == RR_NOT_LEADER && number_of(&cluster, leader, "k") == 0);
    CHECK_STATUS(outcome.status, RR_UNKNOWN);
    CHECK_GT(after.last_index, before.last_index);
    cluster_set(&cluster, leader, "other", "1");
    CHECK_LE(number_of(&cluster, leader, "k"), 1);
    cluster_close(&cluster);
}
