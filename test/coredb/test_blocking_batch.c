/* Waiting through the procedure itself: what a batch's output and events tell the connection. */
#include "stage.h"
#include "support/test.h"

#include "coredb/base/bytes.h"
#include "coredb/command/batch.h"
#include "coredb/command/command.h"
#include "coredb/command/execute.h"

#include <stdio.h>
#include <string.h>

enum { SERVED_MAX = 8 };

/* A node, and the waiters that its entries served. */
struct fixture {
    rr_node *node;
    struct execute execute;
    struct waiter_id served[SERVED_MAX];
    char replies[SERVED_MAX][64];
    size_t served_count;
};

/* On the node's thread, while the test waits for its call to end. */
static void on_events(void *arg, uint64_t index, const struct events *events)
{
    (void)index;
    struct fixture *fixture = arg;
    size_t offset = 0;
    struct event event;
    while (events_next(events, &offset, &event)) {
        if (event.kind == EVENT_SERVED && fixture->served_count < SERVED_MAX) {
            size_t i = fixture->served_count++;
            fixture->served[i] = event.waiter;
            snprintf(fixture->replies[i], sizeof(fixture->replies[i]), "%.*s", (int)event.key.size,
                     (const char *)event.key.data);
        }
    }
}

static struct fixture *fixture_new(void)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    CHECK(fixture != NULL);
    fixture->execute = (struct execute){on_events, fixture};
    command_table_init();
    rr_procedure procedure = {"coredb", 1, execute_procedure, &fixture->execute};
    fixture->node = stage_open_node(&procedure);
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    rr_node_close(fixture->node);
    free(fixture);
}

/* Runs a batch as an entry; the result is the caller's to free. */
static rr_result *call(struct fixture *fixture, struct buffer *batch, rr_bytes *output)
{
    rr_result *result = NULL;
    CHECK_OK(rr_node_call_wait(fixture->node, "coredb", buffer_bytes(batch), NULL, &result));
    CHECK(rr_result_value(result, 0, output));
    buffer_clear(batch);
    return result;
}

static rr_result *ask(struct fixture *fixture, struct buffer *batch, rr_bytes *output)
{
    rr_query query;
    rr_result *result = NULL;
    rr_query_init(&query);
    query.fn = execute_query;
    query.input = buffer_bytes(batch);
    query.level = RR_READ_LOCAL;
    CHECK_OK(rr_node_query_wait(fixture->node, &query, &result));
    CHECK(rr_result_value(result, 0, output));
    buffer_clear(batch);
    return result;
}

static void begin(struct buffer *batch, uint64_t number)
{
    batch_begin_commands(batch, 2, &(struct waiter_id){1, 5, number}, 0);
}

static void add(struct buffer *batch, const char *word, const char *key, const char *value)
{
    rr_bytes argv[] = {bytes_of(word), bytes_of(key), bytes_of(value)};
    batch_add_command(batch, 0, argv, 3);
}

/* The next item of an output waits, with this timeout. */
static void check_waits(struct reader *reader, uint64_t expected_ms)
{
    bool waits = false;
    uint64_t timeout_ms = 0;
    rr_bytes reply;
    CHECK(batch_output_next(reader, &waits, &timeout_ms, &reply));
    CHECK(waits);
    CHECK_EQ(timeout_ms, expected_ms);
}

static void check_reply(struct reader *reader, const char *expected)
{
    bool waits = true;
    uint64_t timeout_ms;
    rr_bytes reply;
    CHECK(batch_output_next(reader, &waits, &timeout_ms, &reply));
    CHECK(!waits);
    CHECK_BYTES(reply, bytes_of(expected));
}

static struct reader output_reader(rr_bytes output)
{
    struct reader reader = {0};
    bool again = true;
    CHECK(batch_output_begin(&reader, output, &again));
    CHECK(!again);
    return reader;
}

TEST(blocking_batch, tells_who_waits_and_serves_by_events)
{
    struct fixture *fixture = fixture_new();
    struct buffer batch;
    rr_bytes output;
    buffer_init(&batch);
    begin(&batch, 10);
    add(&batch, "blpop", "a", "1.5");
    add(&batch, "rpush", "c", "x");
    add(&batch, "blpop", "b", "0");
    rr_result *result = call(fixture, &batch, &output);
    struct reader reader = output_reader(output);
    check_waits(&reader, 1500);
    check_reply(&reader, ":1\r\n");
    check_waits(&reader, 0);
    CHECK_EQ(reader.left, 0);
    rr_result_free(result);
    CHECK_EQ(fixture->served_count, 0);

    begin(&batch, 12);
    add(&batch, "rpush", "b", "y");
    add(&batch, "llen", "b", "");
    result = call(fixture, &batch, &output);
    reader = output_reader(output);
    check_reply(&reader, ":1\r\n");
    rr_result_free(result);
    CHECK_EQ(fixture->served_count, 1);
    CHECK_EQ(fixture->served[0].node, 1);
    CHECK_EQ(fixture->served[0].boot, 5);
    CHECK_EQ(fixture->served[0].number, 11);
    CHECK_TEXT(fixture->replies[0], "*2\r\n$1\r\nb\r\n$1\r\ny\r\n");
    buffer_deinit(&batch);
    fixture_free(fixture);
}

TEST(blocking_batch, lists_and_cancels_waiters)
{
    struct fixture *fixture = fixture_new();
    struct buffer batch;
    rr_bytes output;
    buffer_init(&batch);
    begin(&batch, 1);
    add(&batch, "blpop", "a", "0");
    add(&batch, "blpop", "b", "0");
    rr_result_free(call(fixture, &batch, &output));

    batch_waiters(&batch, 1, 5);
    rr_result *result = ask(fixture, &batch, &output);
    struct reader reader = reader_of(output);
    CHECK_EQ(reader_u32(&reader), 2);
    CHECK_EQ(reader_u64(&reader), 1);
    CHECK_EQ(reader_u64(&reader), 2);
    CHECK_EQ(reader.left, 0);
    rr_result_free(result);

    struct waiter_id ids[] = {{1, 5, 1}, {1, 5, 3}, {1, 4, 2}};
    batch_cancel(&batch, ids, 3);
    result = call(fixture, &batch, &output);
    CHECK_BYTES(output, ((rr_bytes){"\1\0\0", 3}));
    rr_result_free(result);

    begin(&batch, 3);
    add(&batch, "rpush", "a", "x");
    rr_result_free(call(fixture, &batch, &output));
    CHECK_EQ(fixture->served_count, 0);
    begin(&batch, 3);
    add(&batch, "rpush", "b", "x");
    rr_result_free(call(fixture, &batch, &output));
    CHECK_EQ(fixture->served_count, 1);
    CHECK_EQ(fixture->served[0].number, 2);
    buffer_deinit(&batch);
    fixture_free(fixture);
}

/* Whether BATCH_DUE sees something to do. */
static bool is_due(struct fixture *fixture, struct buffer *batch)
{
    rr_bytes output;
    batch_due(batch);
    rr_result *result = ask(fixture, batch, &output);
    struct reader reader = reader_of(output);
    bool due = reader_u8(&reader) != 0;
    rr_result_free(result);
    return due;
}

TEST(blocking_batch, clears_away_waiters_of_an_earlier_start)
{
    struct fixture *fixture = fixture_new();
    struct buffer batch;
    rr_bytes output;
    buffer_init(&batch);
    begin(&batch, 1);
    add(&batch, "blpop", "a", "0");
    rr_result_free(call(fixture, &batch, &output));
    CHECK(!is_due(fixture, &batch));
    batch_renew(&batch, 1, 6);
    rr_result_free(call(fixture, &batch, &output));
    CHECK(is_due(fixture, &batch));
    batch_collect(&batch, 100);
    rr_result_free(call(fixture, &batch, &output));
    CHECK(!is_due(fixture, &batch));
    CHECK_EQ(fixture->served_count, 1);
    CHECK_EQ(strncmp(fixture->replies[0], "-UNBLOCKED ", 11), 0);
    buffer_deinit(&batch);
    fixture_free(fixture);
}

TEST(blocking_batch, a_read_that_would_wait_goes_through_the_log)
{
    struct fixture *fixture = fixture_new();
    struct buffer batch;
    rr_bytes output;
    rr_bytes argv[] = {bytes_of("xread"),   bytes_of("block"), bytes_of("0"),
                       bytes_of("streams"), bytes_of("s"),     bytes_of("$")};
    buffer_init(&batch);
    begin(&batch, 1);
    batch_add_command(&batch, 0, argv, 6);
    rr_result *result = ask(fixture, &batch, &output);
    struct reader reader;
    bool again = false;
    CHECK(batch_output_begin(&reader, output, &again));
    CHECK(again);
    rr_result_free(result);
    begin(&batch, 1);
    batch_add_command(&batch, 0, argv, 6);
    result = call(fixture, &batch, &output);
    reader = output_reader(output);
    check_waits(&reader, 0);
    rr_result_free(result);
    buffer_deinit(&batch);
    fixture_free(fixture);
}
