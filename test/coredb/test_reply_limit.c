/*
 * Replies that are too long and work that is too much: where a batch ends, what is undone, and what
 * memory it takes.
 *
 * ctest: timeout=240
 */
#include "stage.h"
#include "support/test.h"

#include "coredb/base/bytes.h"
#include "coredb/command/batch.h"
#include "coredb/command/command.h"
#include "coredb/command/execute.h"
#include "coredb/value/waiter.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum {
    MIB = 1024 * 1024,
    VALUE_BYTES = MIB,
    ARGUMENTS_MAX = 2000,
    ITEMS_MAX = 64,
    MEMORY_BYTES_MAX = 400 * MIB, /* while a reply is made: a few times the largest */
};

static const char write_error[] = "-ERR the reply exceeds the limit of 15728640 bytes\r\n";
static const char query_error[] = "-ERR the reply exceeds the limit of 62914560 bytes\r\n";

struct fixture {
    rr_node *node;
    struct execute execute;
    struct buffer batch;
    char *value; /* VALUE_BYTES of 'v' */
    size_t served_bytes;
    size_t served_count;
    char served[128]; /* the beginning of the last one */
};

/* On the node's thread, while the test waits for its call to end. */
static void on_events(void *arg, uint64_t index, const struct events *events)
{
    (void)index;
    struct fixture *fixture = arg;
    size_t offset = 0;
    struct event event;
    while (events_next(events, &offset, &event)) {
        if (event.kind == EVENT_SERVED) {
            fixture->served_count++;
            fixture->served_bytes += event.key.size;
            snprintf(fixture->served, sizeof(fixture->served), "%.*s", (int)event.key.size,
                     (const char *)event.key.data);
        }
    }
}

static struct fixture *fixture_new(void)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    CHECK(fixture != NULL);
    fixture->execute = (struct execute){on_events, fixture};
    fixture->value = malloc(VALUE_BYTES + 1);
    CHECK(fixture->value != NULL);
    memset(fixture->value, 'v', VALUE_BYTES);
    fixture->value[VALUE_BYTES] = '\0';
    buffer_init(&fixture->batch);
    command_table_init();
    rr_procedure procedure = {"coredb", 1, execute_procedure, &fixture->execute};
    fixture->node = stage_open_node(&procedure);
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    rr_node_close(fixture->node);
    buffer_deinit(&fixture->batch);
    free(fixture->value);
    free(fixture);
}

/* ---- Batches ---- */

static void begin(struct fixture *fixture, uint64_t waiter)
{
    struct waiter_id first = {1, 1, waiter};
    buffer_clear(&fixture->batch);
    batch_begin_commands(&fixture->batch, 2, &first, 0);
}

/* The arguments of a line of words; "@" is the large value. */
static size_t split(const struct fixture *fixture, const char *line, rr_bytes *argv)
{
    size_t argc = 0;
    while (*line != '\0') {
        size_t size = strcspn(line, " ");
        CHECK(argc < ARGUMENTS_MAX);
        argv[argc++] =
            size == 1 && *line == '@' ? bytes_of(fixture->value) : (rr_bytes){line, size};
        line += size + strspn(line + size, " ");
    }
    return argc;
}

static void add(struct fixture *fixture, const char *line)
{
    rr_bytes argv[16];
    size_t argc = split(fixture, line, argv);
    batch_add_command(&fixture->batch, 0, argv, argc);
}

/* A command and `count` times the same word. */
static void add_repeated(struct fixture *fixture, const char *command, const char *word,
                         size_t count)
{
    static rr_bytes argv[ARGUMENTS_MAX + 1];
    argv[0] = bytes_of(command);
    for (size_t i = 1; i <= count; i++) {
        argv[i] = bytes_of(word);
    }
    batch_add_command(&fixture->batch, 0, argv, count + 1);
}

/* What came back: how many items were answered, and the reply of each. */
struct answer {
    rr_result *result;
    size_t count;
    rr_bytes replies[ITEMS_MAX];
};

static struct answer take(rr_result *result)
{
    struct answer answer = {.result = result};
    rr_bytes output = {NULL, 0};
    struct reader reader;
    bool again = false;
    bool waits = false;
    uint64_t timeout_ms = 0;
    CHECK(rr_result_value(result, 0, &output));
    CHECK(batch_output_begin(&reader, output, &again) && !again);
    rr_bytes reply = {NULL, 0};
    while (batch_output_next(&reader, &waits, &timeout_ms, &reply)) {
        CHECK(answer.count < ITEMS_MAX);
        answer.replies[answer.count++] = waits ? bytes_of("waits") : reply;
    }
    return answer;
}

static struct answer write_batch(struct fixture *fixture)
{
    rr_result *result = NULL;
    CHECK_OK(
        rr_node_call_wait(fixture->node, "coredb", buffer_bytes(&fixture->batch), NULL, &result));
    return take(result);
}

static struct answer query_batch(struct fixture *fixture)
{
    rr_result *result = NULL;
    rr_query query;
    rr_query_init(&query);
    query.fn = execute_query;
    query.fn_arg = &fixture->execute;
    query.input = buffer_bytes(&fixture->batch);
    CHECK_OK(rr_node_query_wait(fixture->node, &query, &result));
    return take(result);
}

/* Runs one command in an entry and compares the beginning of its reply. */
static void check_write(struct fixture *fixture, const char *line, const char *expected)
{
    begin(fixture, 0);
    add(fixture, line);
    struct answer answer = write_batch(fixture);
    CHECK_EQ(answer.count, 1);
    rr_bytes start = answer.replies[0];
    start.size = start.size < strlen(expected) ? start.size : strlen(expected);
    CHECK_BYTES(start, bytes_of(expected));
    rr_result_free(answer.result);
}

/* How far the memory of the process has been, in bytes. */
static size_t peak_bytes(void)
{
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (size_t)usage.ru_maxrss * 1024;
}

static void fill_list(struct fixture *fixture, const char *key, size_t count)
{
    char line[64];
    snprintf(line, sizeof(line), "rpush %s @ @ @ @", key);
    for (size_t i = 0; i < count; i += 4) {
        check_write(fixture, line, ":");
    }
}

/* ---- Tests ---- */

TEST(reply_limit, a_query_ends_early_and_answers_an_error)
{
    struct fixture *fixture = fixture_new();
    check_write(fixture, "set s @", "+OK");
    fill_list(fixture, "l", 64);
    size_t before = peak_bytes();
    static const struct {
        const char *command;
        const char *word;
        size_t count;
    } cases[] = {{"mget", "s", ARGUMENTS_MAX}, {"lrange", NULL, 0}, {"sort_ro", NULL, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(fixture, 0);
        if (cases[i].word != NULL) {
            add_repeated(fixture, cases[i].command, cases[i].word, cases[i].count);
        } else {
            add(fixture, i == 1 ? "lrange l 0 -1" : "sort_ro l by nosort get # get # get #");
        }
        struct answer answer = query_batch(fixture);
        CHECK_EQ(answer.count, 1);
        CHECK_BYTES(answer.replies[0], bytes_of(query_error));
        rr_result_free(answer.result);
    }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CHECK(peak_bytes() - before < MEMORY_BYTES_MAX);
#else
    (void)before;
#endif
    fixture_free(fixture);
}

TEST(reply_limit, a_write_that_answers_too_much_does_nothing)
{
    struct fixture *fixture = fixture_new();
    fill_list(fixture, "l", 20);
    check_write(fixture, "lpop l 16", write_error);
    check_write(fixture, "llen l", ":20\r\n");
    check_write(fixture, "lpop l 10", "*10\r\n");
    check_write(fixture, "llen l", ":10\r\n");
    fixture_free(fixture);
}

/* Each reply has room by itself, but not all in one batch: what has none is left to the next. */
static void check_broken_off(struct fixture *fixture, bool is_query, const char *line, size_t most)
{
    begin(fixture, 0);
    for (size_t i = 0; i < ITEMS_MAX; i++) {
        add(fixture, line);
    }
    struct answer answer = is_query ? query_batch(fixture) : write_batch(fixture);
    CHECK_EQ(answer.count, most);
    for (size_t i = 0; i < answer.count; i++) {
        CHECK_EQ(answer.replies[i].size, VALUE_BYTES + 12);
    }
    rr_result_free(answer.result);
}

TEST(reply_limit, a_batch_is_broken_off_where_its_replies_end)
{
    struct fixture *fixture = fixture_new();
    fill_list(fixture, "l", 40);
    check_write(fixture, "set s @", "+OK");
    check_broken_off(fixture, /*is_query=*/true, "get s", 59);
    check_broken_off(fixture, /*is_query=*/false, "lpop l", 14);
    check_write(fixture, "llen l", ":26\r\n");
    fixture_free(fixture);
}

TEST(reply_limit, a_transaction_that_has_no_room_beside_others_is_left_to_the_next_batch)
{
    struct fixture *fixture = fixture_new();
    rr_bytes argv[16];
    fill_list(fixture, "l", 20);
    begin(fixture, 0);
    add(fixture, "lpop l 8");
    batch_add_exec(&fixture->batch, NULL, 0, 2);
    batch_add_exec_command(&fixture->batch, 0, argv, split(fixture, "set done 1", argv));
    batch_add_exec_command(&fixture->batch, 0, argv, split(fixture, "lpop l 8", argv));
    struct answer answer = write_batch(fixture);
    CHECK_EQ(answer.count, 1);
    rr_result_free(answer.result);
    check_write(fixture, "exists done", ":0\r\n");
    check_write(fixture, "llen l", ":12\r\n");
    fixture_free(fixture);
}

TEST(reply_limit, a_transaction_answers_the_error_in_its_place)
{
    struct fixture *fixture = fixture_new();
    rr_bytes argv[16];
    fill_list(fixture, "l", 20);
    begin(fixture, 0);
    batch_add_exec(&fixture->batch, NULL, 0, 3);
    batch_add_exec_command(&fixture->batch, 0, argv, split(fixture, "lpop l 8", argv));
    batch_add_exec_command(&fixture->batch, 0, argv, split(fixture, "lpop l 8", argv));
    batch_add_exec_command(&fixture->batch, 0, argv, split(fixture, "llen l", argv));
    struct answer answer = write_batch(fixture);
    CHECK_EQ(answer.count, 1);
    rr_bytes reply = answer.replies[0];
    size_t end = strlen(write_error) + 5;
    CHECK(reply.size > end);
    rr_bytes tail = {(const char *)reply.data + reply.size - end, end};
    CHECK(memcmp(tail.data, write_error, strlen(write_error)) == 0);
    CHECK(memcmp((const char *)tail.data + strlen(write_error), ":12\r\n", 5) == 0);
    rr_result_free(answer.result);
    fixture_free(fixture);
}

/* A stream comes to a waiting reader by RENAME: all of it would be the reply. */
TEST(reply_limit, a_waiter_is_told_when_its_reply_would_be_too_long)
{
    struct fixture *fixture = fixture_new();
    for (int i = 0; i < 20; i++) {
        check_write(fixture, "xadd big * f @", "$");
    }
    begin(fixture, 7);
    add(fixture, "xread block 0 streams small 0");
    struct answer answer = write_batch(fixture);
    CHECK_EQ(answer.count, 1);
    CHECK_BYTES(answer.replies[0], bytes_of("waits"));
    rr_result_free(answer.result);
    check_write(fixture, "rename big small", "+OK");
    CHECK_EQ(fixture->served_count, 1);
    CHECK(strncmp(fixture->served, "-ERR what came would exceed", 27) == 0);
    check_write(fixture, "xlen small", ":20\r\n");
    fixture_free(fixture);
}

/* BLMPOP takes what has room, and leaves the others. */
TEST(reply_limit, a_waiter_takes_as_many_elements_as_have_room)
{
    struct fixture *fixture = fixture_new();
    fill_list(fixture, "big", 20);
    begin(fixture, 7);
    add(fixture, "blmpop 0 1 small left count 20");
    rr_result_free(write_batch(fixture).result);
    check_write(fixture, "rename big small", "+OK");
    CHECK_EQ(fixture->served_count, 1);
    CHECK_EQ(fixture->served[0], '*');
    check_write(fixture, "llen small", ":14\r\n");
    fixture_free(fixture);
}

/* One element for all of many readers: the events of an entry are bounded. */
TEST(reply_limit, what_waiters_receive_from_one_entry_is_bounded)
{
    enum { WAITERS = 200 };
    struct fixture *fixture = fixture_new();
    for (uint64_t i = 0; i < WAITERS; i++) {
        begin(fixture, i);
        add(fixture, "xread block 0 streams s $");
        rr_result_free(write_batch(fixture).result);
    }
    check_write(fixture, "xadd s * f @", "$");
    CHECK_EQ(fixture->served_count, WAITERS);
    CHECK(fixture->served_bytes < EVENTS_BYTES_MAX + (size_t)WAITERS * 1024);
    CHECK(fixture->served_bytes > EVENTS_BYTES_MAX / 2);
    fixture_free(fixture);
}

/* ---- Work ---- */

static void fill_set(struct fixture *fixture)
{
    enum { MEMBERS = 5000 };
    static char texts[MEMBERS][16];
    static rr_bytes argv[2 + MEMBERS];
    argv[0] = bytes_of("sadd");
    argv[1] = bytes_of("s");
    for (size_t i = 0; i < MEMBERS; i++) {
        snprintf(texts[i], sizeof(texts[i]), "%zu", i);
        argv[2 + i] = bytes_of(texts[i]);
    }
    begin(fixture, 0);
    batch_add_command(&fixture->batch, 0, argv, 2 + MEMBERS);
    rr_result_free(write_batch(fixture).result);
}

static void check_reply(const struct answer *answer, size_t i, const char *expected)
{
    CHECK_BYTES(answer->replies[i], bytes_of(expected));
}

TEST(work_limit, a_command_that_would_keep_an_entry_too_long_does_nothing)
{
    struct fixture *fixture = fixture_new();
    fill_set(fixture);
    check_write(fixture, "scard s", ":5000\r\n");
    begin(fixture, 0);
    add_repeated(fixture, "sunionstore", "s", ARGUMENTS_MAX);
    struct answer answer = write_batch(fixture);
    CHECK_EQ(answer.count, 1);
    check_reply(&answer, 0, "-ERR the command is too much work for one entry of the log\r\n");
    rr_result_free(answer.result);
    check_write(fixture, "scard s", ":5000\r\n");
    fixture_free(fixture);
}

TEST(work_limit, commands_that_are_too_much_together_are_left_to_the_next_batch)
{
    struct fixture *fixture = fixture_new();
    fill_set(fixture);
    begin(fixture, 0);
    for (int i = 0; i < 3; i++) {
        add_repeated(fixture, "sunionstore", "s", 500);
    }
    add(fixture, "set a 1");
    struct answer answer = write_batch(fixture);
    CHECK_EQ(answer.count, 2);
    check_reply(&answer, 1, ":5000\r\n");
    rr_result_free(answer.result);
    check_write(fixture, "exists a", ":0\r\n");
    fixture_free(fixture);
}

TEST(work_limit, a_transaction_of_too_much_work_is_undone)
{
    struct fixture *fixture = fixture_new();
    rr_bytes argv[501];
    fill_set(fixture);
    begin(fixture, 0);
    batch_add_exec(&fixture->batch, NULL, 0, 4);
    batch_add_exec_command(&fixture->batch, 0, argv, split(fixture, "set a 1", argv));
    argv[0] = bytes_of("sunionstore");
    for (size_t i = 1; i <= 500; i++) {
        argv[i] = bytes_of("s");
    }
    for (int i = 0; i < 3; i++) {
        batch_add_exec_command(&fixture->batch, 0, argv, 501);
    }
    struct answer answer = write_batch(fixture);
    CHECK_EQ(answer.count, 1);
    check_reply(&answer, 0,
                "-ERR the transaction is too large for one entry of the log; nothing of "
                "it is applied\r\n");
    rr_result_free(answer.result);
    check_write(fixture, "exists a", ":0\r\n");
    fixture_free(fixture);
}
