/* Functions of the user's that read. ctest: timeout=240 */
#include "cluster.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static rr_query query_of(rr_query_fn fn, void *arg, rr_read_level level)
{
    rr_query query;
    rr_query_init(&query);
    query.fn = fn;
    query.fn_arg = arg;
    query.level = level;
    return query;
}

/* Puts `count` keys "n/00000".. with `value`, in transactions of 500. */
static void put_numbers(rr_node *node, size_t count, const char *value)
{
    for (size_t i = 0; i < count;) {
        rr_txn *txn = rr_txn_new();
        for (size_t end = i + 500; i < end && i < count; i++) {
            char key[32];
            snprintf(key, sizeof(key), "n/%05zu", i);
            CHECK_OK(rr_txn_set(txn, test_bytes_of(key), test_bytes_of(value)));
        }
        CHECK_OK(rr_node_submit_wait(node, txn, NULL, NULL));
        rr_txn_free(txn);
    }
}

/* ---- Answers and levels ---- */

/* Input: a status as a digit. Answers the values of "a" and "b". */
static rr_status read_both(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    CHECK_EQ(input.size, 1);
    const char *const keys[] = {"a", "b"};
    for (int i = 0; i < 2; i++) {
        rr_bytes value;
        CHECK_OK(rr_view_get(view, test_bytes_of(keys[i]), &value));
        CHECK_OK(rr_output_append(output, value));
    }
    CHECK_GT(rr_view_time_ms(view), 0);
    *(uint64_t *)arg = rr_view_index(view);
    return (rr_status)(*(const char *)input.data - '0');
}

TEST(query, answers_at_each_level_on_each_node)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    for (int i = 0; i < 10; i++) {
        char number[2] = {(char)('0' + i), 0};
        char both[3] = {'x', (char)('0' + i), 0};
        cluster_set(&cluster, 1, "a", "x");
        cluster_set(&cluster, 2, "b", number);
        for (uint64_t id = 1; id <= 3; id++) {
            uint64_t index = 0;
            rr_query query =
                query_of(read_both, &index, i % 2 == 0 ? RR_READ_LINEARIZABLE : RR_READ_LEASE);
            query.input = test_bytes_of("0");
            rr_result *result = NULL;
            rr_bytes value;
            CHECK_OK(rr_node_query_wait(cluster_node(&cluster, id), &query, &result));
            CHECK(rr_result_value(result, 0, &value));
            CHECK_BYTES(value, test_bytes_of(both));
            CHECK_EQ(rr_result_count(result), 1);
            CHECK_EQ(rr_result_index(result), index);
            CHECK_GT(index, 0);
            rr_result_free(result);
        }
    }
    uint64_t leader = cluster_leader(&cluster);
    for (uint64_t id = 1; id <= 3; id++) {
        if (id != leader) {
            cluster_close_node(&cluster, id);
        }
    }
    uint64_t index = 0;
    rr_query query = query_of(read_both, &index, RR_READ_LINEARIZABLE);
    query.input = test_bytes_of("0");
    query.timeout_ms = 300;
    CHECK_STATUS(rr_node_query_wait(cluster_node(&cluster, leader), &query, NULL), RR_TIMEOUT);
    query.level = RR_READ_LOCAL;
    CHECK_OK(rr_node_query_wait(cluster_node(&cluster, leader), &query, NULL));
    cluster_close(&cluster);
}

TEST(query, passes_on_what_the_function_returned_with_its_output)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    cluster_set(&cluster, 1, "a", "1");
    cluster_set(&cluster, 1, "b", "2");
    uint64_t index;
    rr_query query = query_of(read_both, &index, RR_READ_LOCAL);
    const rr_status statuses[] = {RR_OK, RR_NOT_FOUND, RR_BUSY, RR_TOO_BIG};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        char digit[2] = {(char)('0' + (int)statuses[i]), 0};
        query.input = test_bytes_of(digit);
        rr_result *result = NULL;
        rr_bytes value;
        CHECK_STATUS(rr_node_query_wait(node, &query, &result), statuses[i]);
        CHECK(rr_result_value(result, 0, &value));
        CHECK_BYTES(value, test_bytes_of("12"));
        rr_result_free(result);
    }
    query.input = test_bytes_of("o"); /* '0' + 63: no status that is known */
    CHECK_STATUS(rr_node_query_wait(node, &query, NULL), RR_REJECTED);
    cluster_close(&cluster);
}

static rr_status try_to_write(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    rr_savepoint savepoint = rr_view_savepoint(view);
    CHECK_STATUS(rr_view_put(view, test_bytes_of("a"), test_bytes_of("2")), RR_INVALID);
    CHECK_STATUS(rr_view_delete(view, test_bytes_of("a")), RR_INVALID);
    rr_view_rollback(view, savepoint);
    rr_bytes value;
    CHECK_OK(rr_view_get(view, test_bytes_of("a"), &value));
    return rr_output_append(output, value);
}

TEST(query, writes_nothing)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    cluster_set(&cluster, 1, "a", "1");
    rr_query query = query_of(try_to_write, NULL, RR_READ_LINEARIZABLE);
    rr_result *result = NULL;
    rr_bytes value;
    CHECK_OK(rr_node_query_wait(cluster_node(&cluster, 1), &query, &result));
    CHECK(rr_result_value(result, 0, &value));
    CHECK_BYTES(value, test_bytes_of("1"));
    rr_result_free(result);
    cluster_expect(&cluster, 1, "a", "1", RR_READ_LINEARIZABLE);
    cluster_close(&cluster);
}

TEST(query, refuses_misuse_at_once)
{
    struct cluster cluster;
    cluster_prepare(&cluster, 1);
    cluster.nodes[0].options.pending_bytes_max = 100000;
    cluster_open_all(&cluster);
    rr_node *node = cluster_node(&cluster, 1);
    rr_query query = query_of(NULL, NULL, RR_READ_LOCAL);
    CHECK_STATUS(rr_node_query_wait(node, &query, NULL), RR_INVALID);
    query.fn = try_to_write;
    CHECK_STATUS(rr_node_query_wait(NULL, &query, NULL), RR_INVALID);
    CHECK_STATUS(rr_node_query_wait(node, NULL, NULL), RR_INVALID);
    query.level = (rr_read_level)3;
    CHECK_STATUS(rr_node_query_wait(node, &query, NULL), RR_INVALID);
    query.level = RR_READ_LOCAL;
    query.input = (rr_bytes){NULL, 1};
    CHECK_STATUS(rr_node_query_wait(node, &query, NULL), RR_INVALID);
    static const char large[100001];
    query.input = (rr_bytes){large, sizeof(large)};
    CHECK_STATUS(rr_node_query_wait(node, &query, NULL), RR_TOO_BIG);
    query.input = (rr_bytes){0};
    query.struct_size = 4;
    CHECK_STATUS(rr_node_query_wait(node, &query, NULL), RR_INVALID);
    cluster_close(&cluster);
}

/* ---- On a worker ---- */

enum reading { BY_KEYS, BY_RANGE, BY_SCAN, BACKWARDS };

/* One query that reads all numbers in one of these ways, and what its runs came to. */
struct tour {
    enum reading reading;
    size_t keys;
    int runs;
    rr_status first_status; /* of the reads of the first run, if that was broken off */
    pthread_t threads[2];
    size_t pairs;
    size_t bytes;
};

static bool tour_pair(void *arg, rr_bytes key, rr_bytes value)
{
    struct tour *tour = arg;
    tour->pairs++;
    tour->bytes += value.size;
    return key.size > 0;
}

static rr_status tour_keys(struct tour *tour, rr_view *view)
{
    for (size_t i = 0; i < tour->keys; i++) {
        char key[32];
        rr_bytes value;
        snprintf(key, sizeof(key), "n/%05zu", i);
        rr_status status = rr_view_get(view, test_bytes_of(key), &value);
        if (status != RR_OK) {
            return status;
        }
        tour_pair(tour, test_bytes_of(key), value);
    }
    return RR_OK;
}

static rr_status run_tour(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    struct tour *tour = arg;
    CHECK_LT(tour->runs, 2);
    tour->threads[tour->runs++] = pthread_self();
    tour->pairs = 0;
    tour->bytes = 0;
    rr_range range = {.from = test_bytes_of("n/"),
                      .to = test_bytes_of("n0"),
                      .reverse = tour->reading == BACKWARDS};
    rr_status status = RR_OK;
    switch (tour->reading) {
    case BY_KEYS:
        status = tour_keys(tour, view);
        break;
    case BY_RANGE:
    case BACKWARDS:
        status = rr_view_range(view, &range, tour_pair, tour);
        break;
    case BY_SCAN:
        status = rr_view_scan(view, test_bytes_of("n/"), (rr_bytes){0}, tour_pair, tour);
        break;
    }
    CHECK_OK(rr_output_append(output, test_bytes_of("answer")));
    if (status != RR_OK) {
        rr_bytes value;
        tour->first_status = status;
        CHECK_STATUS(rr_view_get(view, test_bytes_of("n/00000"), &value), status);
        return RR_OK; /* dropped, whatever it is */
    }
    return rr_output_append(output, input);
}

static void check_tour(rr_node *node, struct tour tour, bool on_worker)
{
    for (int reading = BY_KEYS; reading <= BACKWARDS; reading++) {
        struct tour run = tour;
        run.reading = (enum reading)reading;
        rr_query query = query_of(run_tour, &run, RR_READ_LINEARIZABLE);
        query.input = test_bytes_of("!");
        rr_result *result = NULL;
        rr_bytes value;
        CHECK_OK(rr_node_query_wait(node, &query, &result));
        CHECK(rr_result_value(result, 0, &value));
        CHECK_BYTES(value, test_bytes_of("answer!"));
        CHECK_EQ(run.pairs, tour.keys);
        CHECK_EQ(run.bytes, tour.bytes);
        CHECK_EQ(run.runs, on_worker ? 2 : 1);
        CHECK_STATUS(run.first_status, on_worker ? RR_BUSY : RR_OK);
        CHECK(!on_worker || !pthread_equal(run.threads[0], run.threads[1]));
        rr_result_free(result);
    }
}

TEST(query, runs_again_on_a_worker_when_it_reads_much)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    put_numbers(node, 1000, "value");
    check_tour(node, (struct tour){.keys = 1000, .bytes = 5000}, false);
    put_numbers(node, 1001, "value");
    check_tour(node, (struct tour){.keys = 1001, .bytes = 5005}, true);
    cluster_close(&cluster);
}

TEST(query, runs_again_on_a_worker_when_it_reads_large_values)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    static char value[100 * 1024 + 1];
    memset(value, 'v', sizeof(value) - 1);
    put_numbers(node, 3, value); /* the last one goes over the limit, and is still read */
    check_tour(node, (struct tour){.keys = 3, .bytes = 300u * 1024}, false);
    put_numbers(node, 4, value);
    check_tour(node, (struct tour){.keys = 4, .bytes = 400u * 1024}, true);
    cluster_close(&cluster);
}

/* ---- One moment ---- */

enum { CELLS = 1500, FEW_CELLS = 3 };

/* Writes its own index and time into all cells from input's number of them on. */
static rr_status stamp_cells(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    uint64_t stamp[2] = {rr_view_index(view), rr_view_time_ms(view)};
    uint32_t count;
    memcpy(&count, input.data, sizeof(count));
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "c%05u", (unsigned)i);
        rr_status status = rr_view_put(view, test_bytes_of(key), (rr_bytes){stamp, sizeof(stamp)});
        if (status != RR_OK) {
            return status;
        }
    }
    return RR_OK;
}

struct cells {
    uint64_t index;
    uint64_t time_ms;
    size_t count;
};

static bool check_cell(void *arg, rr_bytes key, rr_bytes value)
{
    struct cells *cells = arg;
    uint64_t stamp[2];
    CHECK_EQ(value.size, sizeof(stamp));
    memcpy(stamp, value.data, sizeof(stamp));
    CHECK_EQ(stamp[0], cells->index);
    CHECK_EQ(stamp[1], cells->time_ms);
    cells->count++;
    return key.size > 0;
}

/* Input: how many cells there are. Nothing but stamps is written, so all cells must bear the index
 * and the clock of the view's moment. */
static rr_status check_cells(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    struct cells cells = {.index = rr_view_index(view), .time_ms = rr_view_time_ms(view)};
    uint32_t count;
    memcpy(&count, input.data, sizeof(count));
    rr_range range = {.from = test_bytes_of("c"), .reverse = cells.index % 2 == 0};
    rr_status status = rr_view_range(view, &range, check_cell, &cells);
    if (status == RR_OK) {
        CHECK_EQ(cells.count, count);
    }
    return status;
}

struct stamping {
    rr_node *node;
    uint32_t count;
    atomic_bool stop;
    rr_status failure;
};

static void *stamp_until_stopped(void *arg)
{
    struct stamping *stamping = arg;
    while (!atomic_load(&stamping->stop) && stamping->failure == RR_OK) {
        stamping->failure =
            rr_node_call_wait(stamping->node, "stamp",
                              (rr_bytes){&stamping->count, sizeof(stamping->count)}, NULL, NULL);
    }
    return NULL;
}

static void check_moments(uint32_t count, int queries)
{
    static const rr_procedure procedures[] = {{"stamp", 1, stamp_cells, NULL}};
    struct cluster cluster;
    cluster_prepare(&cluster, 1);
    cluster.nodes[0].options.procedures = procedures;
    cluster.nodes[0].options.procedure_count = 1;
    cluster_open_all(&cluster);
    rr_node *node = cluster_node(&cluster, 1);
    rr_bytes input = {&count, sizeof(count)};
    CHECK_OK(rr_node_call_wait(node, "stamp", input, NULL, NULL));
    struct stamping stamping = {.node = node, .count = count};
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, stamp_until_stopped, &stamping), 0);
    uint64_t last = 0;
    for (int i = 0; i < queries; i++) {
        rr_query query =
            query_of(check_cells, NULL, i % 2 == 0 ? RR_READ_LINEARIZABLE : RR_READ_LOCAL);
        query.input = input;
        rr_result *result = NULL;
        CHECK_OK(rr_node_query_wait(node, &query, &result));
        CHECK_GE(rr_result_index(result), last);
        last = rr_result_index(result);
        rr_result_free(result);
    }
    atomic_store(&stamping.stop, true);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_OK(stamping.failure);
    cluster_close(&cluster);
}

TEST(query, sees_one_moment_while_writes_go_on)
{
    check_moments(FEW_CELLS, 300);
}

TEST(query, sees_one_moment_from_a_worker_too)
{
    check_moments(CELLS, 60);
}

/* ---- Breaking off ---- */

struct reading_on {
    atomic_int runs;
    atomic_int ended_with;
};

static bool skip_pair(void *arg, rr_bytes key, rr_bytes value)
{
    return true;
}

/* Reads on until it is refused. */
static rr_status read_on(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    struct reading_on *reading = arg;
    atomic_fetch_add(&reading->runs, 1);
    rr_range all = {0};
    rr_status status;
    do {
        status = rr_view_range(view, &all, skip_pair, NULL);
    } while (status == RR_OK);
    atomic_store(&reading->ended_with, (int)status);
    return RR_OK;
}

TEST(query, ends_at_its_deadline_on_a_worker)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    put_numbers(node, 1001, "value");
    struct reading_on reading = {0};
    rr_query query = query_of(read_on, &reading, RR_READ_LINEARIZABLE);
    query.timeout_ms = 200;
    rr_result *result = NULL;
    CHECK_STATUS(rr_node_query_wait(node, &query, &result), RR_TIMEOUT);
    CHECK_EQ(atomic_load(&reading.runs), 2);
    CHECK_EQ(atomic_load(&reading.ended_with), RR_TIMEOUT);
    CHECK(strlen(rr_result_message(result)) > 0);
    rr_result_free(result);
    cluster_expect(&cluster, 1, "n/00000", "value", RR_READ_LINEARIZABLE);
    cluster_close(&cluster);
}

static void note_status(void *arg, rr_status status, const rr_result *result)
{
    (void)result;
    atomic_store((atomic_int *)arg, (int)status);
}

TEST(query, ends_closed_when_the_node_stops_while_a_worker_has_it)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    put_numbers(node, 1001, "value");
    struct reading_on reading = {0};
    rr_query query = query_of(read_on, &reading, RR_READ_LINEARIZABLE);
    atomic_int ended = -1;
    query.timeout_ms = CLUSTER_PATIENCE_MS;
    CHECK_OK(rr_node_query(node, &query, note_status, &ended));
    while (atomic_load(&reading.runs) < 2) {
        cluster_nap();
    }
    CHECK_STATUS(rr_node_shutdown(node, 100), RR_TIMEOUT);
    CHECK_EQ(atomic_load(&ended), RR_CLOSED);
    CHECK_EQ(atomic_load(&reading.ended_with), RR_CLOSED);
    CHECK_STATUS(rr_node_query_wait(node, &query, NULL), RR_CLOSED);
    cluster_close(&cluster);
}
