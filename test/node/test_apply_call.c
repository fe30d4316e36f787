#include "node/apply_fixture.h"

#include "command/call.h"

#include <stdio.h>
#include <string.h>

static rr_status reject_after_writing(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    rr_view_put(view, test_bytes_of("new"), test_bytes_of("x"));
    rr_view_put(view, test_bytes_of("old"), test_bytes_of("x"));
    rr_view_delete(view, test_bytes_of("other"));
    rr_output_append(output, test_bytes_of("because"));
    return input.size == 0 ? RR_REJECTED : RR_TOO_BIG;
}

/* Returns the status named by the input. */
static rr_status fail_here(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    CHECK_OK(rr_view_put(view, test_bytes_of("new"), test_bytes_of("x")));
    return *(const char *)input.data == 'm' ? RR_NO_MEMORY : RR_IO;
}

/* Output: what it reads of its own writes and of the state. */
static rr_status read_own_writes(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    rr_bytes value;
    CHECK_OK(rr_view_get(view, test_bytes_of("old"), &value));
    CHECK_OK(rr_output_append(output, value));
    CHECK_OK(rr_view_put(view, test_bytes_of("old"), input));
    CHECK_OK(rr_view_get(view, test_bytes_of("old"), &value));
    CHECK_OK(rr_output_append(output, value));
    CHECK_OK(rr_view_delete(view, test_bytes_of("other")));
    CHECK_STATUS(rr_view_get(view, test_bytes_of("other"), &value), RR_NOT_FOUND);
    CHECK_EQ(value.size, 0);
    return RR_OK;
}

struct walk {
    rr_view *view;
    rr_output *output;
    size_t left;
};

static bool walk_pair(void *arg, rr_bytes key, rr_bytes value)
{
    struct walk *walk = arg;
    CHECK_OK(rr_output_append(walk->output, key));
    CHECK_OK(rr_output_append(walk->output, test_bytes_of("=")));
    CHECK_OK(rr_output_append(walk->output, value));
    CHECK_OK(rr_output_append(walk->output, test_bytes_of(" ")));
    /* Reading within a scan is fine, writing is not. */
    rr_bytes again;
    CHECK_OK(rr_view_get(walk->view, key, &again));
    CHECK_BYTES(again, value);
    CHECK_STATUS(rr_view_put(walk->view, key, value), RR_INVALID);
    CHECK_STATUS(rr_view_delete(walk->view, key), RR_INVALID);
    return --walk->left > 0;
}

/* Input: the prefix; writes three keys first, one over a committed one. */
static rr_status scan_own_writes(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    CHECK_OK(rr_view_put(view, test_bytes_of("o"), test_bytes_of("1")));
    CHECK_OK(rr_view_put(view, test_bytes_of("other"), test_bytes_of("2")));
    CHECK_OK(rr_view_delete(view, test_bytes_of("old")));
    struct walk walk = {view, output, 3};
    CHECK_OK(rr_view_scan(view, input, (rr_bytes){0}, walk_pair, &walk));
    CHECK_OK(rr_output_append(output, test_bytes_of("| ")));
    walk.left = 1;
    CHECK_OK(rr_view_scan(view, input, test_bytes_of("o"), walk_pair, &walk));
    CHECK_OK(rr_view_put(view, test_bytes_of("after"), test_bytes_of("the scan")));
    return RR_OK;
}

/* Input: "<from> <to> <+ or ->". */
static rr_status range_own_writes(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    char from[16];
    char to[16];
    char order;
    CHECK_EQ(sscanf(input.data, "%15[^|]|%15[^|]|%c", from, to, &order), 3);
    CHECK_OK(rr_view_put(view, test_bytes_of("o"), test_bytes_of("1")));
    CHECK_OK(rr_view_put(view, test_bytes_of("other"), test_bytes_of("2")));
    CHECK_OK(rr_view_delete(view, test_bytes_of("old")));
    struct walk walk = {view, output, 9};
    rr_range range = {.from = test_bytes_of(from[0] == '*' ? "" : from),
                      .to = test_bytes_of(to[0] == '*' ? "" : to),
                      .reverse = order == '-'};
    CHECK_OK(rr_view_range(view, &range, walk_pair, &walk));
    CHECK_STATUS(rr_view_range(view, NULL, walk_pair, &walk), RR_INVALID);
    CHECK_STATUS(rr_view_range(view, &range, NULL, &walk), RR_INVALID);
    range.to = (rr_bytes){NULL, 1};
    CHECK_STATUS(rr_view_range(view, &range, walk_pair, &walk), RR_INVALID);
    return RR_OK;
}

static bool roll_back_in_visit(void *arg, rr_bytes key, rr_bytes value)
{
    rr_view_rollback(arg, 0);
    return true;
}

static void check_value(rr_view *view, const char *key, const char *expected)
{
    rr_bytes value;
    if (expected == NULL) {
        CHECK_STATUS(rr_view_get(view, test_bytes_of(key), &value), RR_NOT_FOUND);
        return;
    }
    CHECK_OK(rr_view_get(view, test_bytes_of(key), &value));
    CHECK_BYTES(value, test_bytes_of(expected));
}

static rr_status roll_back(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    CHECK_EQ(rr_view_savepoint(view), 0);
    CHECK_OK(rr_view_put(view, test_bytes_of("a"), test_bytes_of("1")));
    rr_savepoint outer = rr_view_savepoint(view);
    CHECK_OK(rr_view_put(view, test_bytes_of("a"), test_bytes_of("2")));
    CHECK_OK(rr_view_delete(view, test_bytes_of("old")));
    rr_savepoint inner = rr_view_savepoint(view);
    CHECK_OK(rr_view_put(view, test_bytes_of("old"), test_bytes_of("3")));
    CHECK_OK(rr_view_put(view, test_bytes_of("b"), test_bytes_of("3")));
    rr_view_rollback(view, inner);
    check_value(view, "b", NULL);
    check_value(view, "old", NULL);
    check_value(view, "a", "2");
    rr_view_rollback(view, outer);
    check_value(view, "old", "before");
    check_value(view, "a", "1");
    rr_view_rollback(view, inner); /* has ended */
    rr_view_rollback(view, UINT64_MAX);
    CHECK_OK(rr_view_put(view, test_bytes_of("b"), test_bytes_of("4")));
    CHECK_OK(rr_view_range(view, &(rr_range){0}, roll_back_in_visit, view));
    check_value(view, "b", "4");
    rr_view_rollback(view, outer);
    check_value(view, "b", NULL);
    return RR_OK;
}

static rr_status fill_output(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    size_t appended = 0;
    while (rr_output_append(output, test_bytes_of("0123456789")) == RR_OK) {
        appended += 10;
    }
    CHECK_STATUS(rr_output_append(output, test_bytes_of("0123456789")), RR_TOO_BIG);
    *(size_t *)arg = appended;
    return RR_OK;
}

static rr_status tell_circumstances(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    char text[128];
    snprintf(text, sizeof(text), "%llu %llu %llu %llu", (unsigned long long)rr_view_index(view),
             (unsigned long long)rr_view_time_ms(view), (unsigned long long)rr_view_random(view),
             (unsigned long long)rr_view_random(view));
    CHECK_OK(rr_output_append(output, test_bytes_of(text)));
    return RR_OK;
}

static rr_status break_limits(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    static uint8_t zeros[VALUE_BYTES_MAX + 1];
    rr_bytes long_key = {zeros, KEY_BYTES_MAX + 1};
    rr_bytes long_value = {zeros, sizeof(zeros)};
    CHECK_STATUS(rr_view_put(view, long_key, input), RR_TOO_BIG);
    CHECK_STATUS(rr_view_put(view, input, long_value), RR_TOO_BIG);
    CHECK_STATUS(rr_view_delete(view, long_key), RR_TOO_BIG);
    CHECK_STATUS(rr_view_put(view, (rr_bytes){NULL, 1}, input), RR_INVALID);
    CHECK_STATUS(rr_view_get(view, (rr_bytes){NULL, 1}, &long_key), RR_INVALID);
    CHECK_STATUS(rr_output_append(output, (rr_bytes){NULL, 1}), RR_INVALID);
    return RR_OK;
}

static size_t filled;

static const rr_procedure procedures[] = {
    {"reject", 1, reject_after_writing, NULL}, {"own-writes", 1, read_own_writes, NULL},
    {"scan", 1, scan_own_writes, NULL},        {"fill", 1, fill_output, &filled},
    {"range", 1, range_own_writes, NULL},      {"rollback", 1, roll_back, NULL},
    {"tell", 1, tell_circumstances, NULL},     {"limits", 1, break_limits, NULL},
    {"versions", 3, tell_circumstances, NULL}, {"versions", 1, break_limits, NULL},
    {"versions", 2, break_limits, NULL},       {"fail-here", 1, fail_here, NULL},
};

static void open_replica(struct replica *replica)
{
    replica_open(replica, procedures, sizeof(procedures) / sizeof(procedures[0]));
    replica_set(replica, "old", "before");
    replica_set(replica, "other", "there");
}

static const struct command plain = {.time_ms = 1};

TEST(apply_call, undoes_every_write_of_a_refusal_and_keeps_its_output)
{
    struct replica replica;
    open_replica(&replica);
    uint64_t digest = replica_digest(&replica);
    replica_set(&replica, "entry before it", "in the same batch");
    CHECK_STATUS(replica_call(&replica, &plain, "reject", ""), RR_REJECTED);
    CHECK_EQ(replica.result.count, 1);
    CHECK_TEXT(replica_value(&replica, 0), "because");
    CHECK_STATUS(replica_call(&replica, &plain, "reject", "any status"), RR_REJECTED);
    CHECK_TEXT(replica_get(&replica, "new"), "(absent)");
    CHECK_TEXT(replica_get(&replica, "old"), "before");
    CHECK_TEXT(replica_get(&replica, "other"), "there");
    CHECK_TEXT(replica_get(&replica, "entry before it"), "in the same batch");
    rr_txn *txn = rr_txn_new();
    CHECK_OK(rr_txn_delete(txn, test_bytes_of("entry before it")));
    CHECK_OK(replica_txn(&replica, &plain, txn));
    CHECK_EQ(replica_digest(&replica), digest);
    replica_close(&replica);
}

TEST(apply_call, reads_and_scans_its_own_writes)
{
    struct replica replica;
    open_replica(&replica);
    CHECK_OK(replica_call(&replica, &plain, "own-writes", "-after"));
    CHECK_TEXT(replica_value(&replica, 0), "before-after");
    CHECK_EQ(replica.result.index, 3);
    CHECK_TEXT(replica_get(&replica, "old"), "-after");
    CHECK_TEXT(replica_get(&replica, "other"), "(absent)");
    replica_set(&replica, "ox", "3");
    replica_session(&replica, 1);
    CHECK_OK(replica_call(&replica, &plain, "scan", "o"));
    CHECK_TEXT(replica_value(&replica, 0), "o=1 other=2 ox=3 | other=2 ");
    CHECK_OK(replica_call(&replica, &plain, "scan", ""));
    CHECK_TEXT(replica_value(&replica, 0), "after=the scan o=1 other=2 | other=2 ");
    replica_close(&replica);
}

TEST(apply_call, visits_ranges_either_way_over_its_own_writes)
{
    struct replica replica;
    open_replica(&replica);
    replica_set(&replica, "", "the empty key");
    replica_set(&replica, "\xff\xff", "the last");
    static const char *const cases[][2] = {
        {"*|*|+", "=the empty key o=1 other=2 \xff\xff=the last "},
        {"*|*|-", "\xff\xff=the last other=2 o=1 =the empty key "},
        {"o|other|+", "o=1 "},
        {"o|other|-", "o=1 "},
        {"old|*|-", "\xff\xff=the last other=2 "},
        {"*|ol|-", "o=1 =the empty key "},
        {"p|o|-", ""},
        {"p|o|+", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_OK(replica_call(&replica, &plain, "range", cases[i][0]));
        CHECK_TEXT(cases[i][1][0] == 0 ? "(absent)" : cases[i][1], replica_value(&replica, 0));
    }
    replica_close(&replica);
}

TEST(apply_call, rolls_back_to_savepoints_and_never_beyond_its_own_writes)
{
    struct replica replica;
    open_replica(&replica);
    replica_set(&replica, "entry before it", "in the same batch");
    CHECK_OK(replica_call(&replica, &plain, "rollback", ""));
    CHECK_TEXT(replica_get(&replica, "a"), "1");
    CHECK_TEXT(replica_get(&replica, "b"), "(absent)");
    CHECK_TEXT(replica_get(&replica, "old"), "before");
    CHECK_TEXT(replica_get(&replica, "entry before it"), "in the same batch");
    replica_close(&replica);
}

TEST(apply_call, limits_its_output_to_what_the_command_allows)
{
    struct replica replica;
    open_replica(&replica);
    struct command header = {.result_bytes_max = 1000};
    CHECK_OK(replica_call(&replica, &header, "fill", ""));
    rr_bytes value;
    CHECK(result_value(&replica.result, 0, &value));
    CHECK_EQ(value.size, filled);
    CHECK_GE(filled, 900);
    CHECK_LE(result_bytes(&replica.result).size, 1000);
    header.result_bytes_max = 1;
    CHECK_OK(replica_call(&replica, &header, "fill", ""));
    CHECK_EQ(replica.result.count, 0);
    CHECK_OK(replica_call(&replica, &plain, "fill", ""));
    CHECK_LE(result_bytes(&replica.result).size, COMMAND_RESULT_BYTES_MAX);
    CHECK_GE(filled, COMMAND_RESULT_BYTES_MAX - 100);
    replica_close(&replica);
}

TEST(apply_call, sees_the_time_and_the_random_numbers_of_its_entry)
{
    struct replica replica;
    open_replica(&replica);
    struct command header = {.time_ms = 5000, .seed = 42};
    CHECK_OK(replica_call(&replica, &header, "tell", ""));
    char first[128];
    snprintf(first, sizeof(first), "%s", replica_value(&replica, 0));
    CHECK(strncmp(first, "3 5000 ", 7) == 0);
    header.time_ms = 4000; /* behind: the clock stays */
    CHECK_OK(replica_call(&replica, &header, "tell", ""));
    CHECK(strncmp(replica_value(&replica, 0), "4 5000 ", 7) == 0);
    CHECK_TEXT(replica_value(&replica, 0) + 7, first + 7);
    header.seed = 43;
    CHECK_OK(replica_call(&replica, &header, "tell", ""));
    CHECK_NE(strcmp(replica_value(&replica, 0) + 7, first + 7), 0);
    replica_close(&replica);
}

TEST(apply_call, refuses_single_writes_over_the_limits)
{
    struct replica replica;
    open_replica(&replica);
    uint64_t digest = replica_digest(&replica);
    CHECK_OK(replica_call(&replica, &plain, "limits", "k"));
    CHECK_EQ(replica.result.count, 0);
    CHECK_EQ(replica_digest(&replica), digest);
    replica_close(&replica);
}

TEST(apply_call, gives_a_retry_in_a_session_the_first_output)
{
    struct replica replica;
    open_replica(&replica);
    uint64_t session = replica_session(&replica, 1);
    struct command header = {.session = session, .sequence = 1, .seed = 1};
    CHECK_OK(replica_call(&replica, &header, "tell", ""));
    char first[128];
    snprintf(first, sizeof(first), "%s", replica_value(&replica, 0));
    header.seed = 2;
    CHECK_OK(replica_call(&replica, &header, "tell", ""));
    CHECK_TEXT(replica_value(&replica, 0), first);
    header.sequence = 2;
    CHECK_STATUS(replica_call(&replica, &header, "reject", ""), RR_REJECTED);
    CHECK_STATUS(replica_call(&replica, &header, "reject", ""), RR_REJECTED);
    CHECK_TEXT(replica_value(&replica, 0), "because");
    CHECK_EQ(replica.result.index, 6);
    replica_close(&replica);
}

static rr_bytes call_payload(struct buffer *buffer, const char *name, uint32_t version,
                             const char *input)
{
    buffer_clear(buffer);
    command_encode(buffer, &(struct command){.kind = COMMAND_CALL});
    call_encode(buffer, &(struct call){test_bytes_of(name), version, test_bytes_of(input)});
    return buffer_bytes(buffer);
}

TEST(apply_call, halts_on_a_procedure_that_this_node_lacks)
{
    struct replica replica;
    struct buffer buffer;
    buffer_init(&buffer);
    open_replica(&replica);
    rr_bytes payload = call_payload(&buffer, "nothing", 1, "");
    CHECK_STATUS(applier_check(replica.applier, payload), RR_NOT_FOUND);
    CHECK_STATUS(replica_apply_halting(&replica, payload), RR_MISMATCH);
    CHECK(strstr(applier_reason(replica.applier), "version 1 of the procedure \"nothing\""));
    payload = call_payload(&buffer, "versions", 4, "");
    CHECK_STATUS(applier_check(replica.applier, payload), RR_MISMATCH);
    CHECK_STATUS(replica_apply_halting(&replica, payload), RR_MISMATCH);
    CHECK(strstr(applier_reason(replica.applier), "this node has version 3"));
    buffer_deinit(&buffer);
    replica_close(&replica);
}

TEST(apply_call, halts_on_a_failure_of_this_node_alone)
{
    struct replica replica;
    struct buffer buffer;
    buffer_init(&buffer);
    open_replica(&replica);
    rr_bytes payload = call_payload(&buffer, "fail-here", 1, "memory");
    CHECK_STATUS(replica_apply_halting(&replica, payload), RR_NO_MEMORY);
    CHECK(strstr(applier_reason(replica.applier), "\"fail-here\" failed on this node alone"));
    CHECK_TEXT(replica_get(&replica, "new"), "(absent)");
    payload = call_payload(&buffer, "fail-here", 1, "io");
    CHECK_STATUS(replica_apply_halting(&replica, payload), RR_IO);
    buffer_deinit(&buffer);
    replica_close(&replica);
}

TEST(apply_call, finds_procedures_by_name_and_version)
{
    struct replica replica;
    struct buffer buffer;
    buffer_init(&buffer);
    open_replica(&replica);
    const rr_procedure *found = applier_procedure(replica.applier, test_bytes_of("versions"));
    CHECK_EQ(found->version, 3);
    CHECK(applier_procedure(replica.applier, test_bytes_of("")) == NULL);
    CHECK(applier_procedure(replica.applier, test_bytes_of("version")) == NULL);
    CHECK(applier_procedure(replica.applier, test_bytes_of("versions!")) == NULL);
    CHECK(applier_procedure(replica.applier, test_bytes_of("zzz")) == NULL);
    for (uint32_t version = 1; version <= 3; version++) {
        CHECK_OK(replica_apply(&replica, call_payload(&buffer, "versions", version, "")));
        CHECK_EQ(replica.result.count, version == 3 ? 1 : 0);
    }
    buffer_deinit(&buffer);
    replica_close(&replica);
}

TEST(applier, refuses_procedures_that_are_wrong_or_there_twice)
{
    struct logger silent = logger_silent();
    struct applier *applier;
    char name[PROCEDURE_NAME_BYTES_MAX + 2];
    memset(name, 'n', sizeof(name));
    name[PROCEDURE_NAME_BYTES_MAX + 1] = '\0';
    const rr_procedure wrong[][2] = {
        {{"twice", 1, fill_output, NULL}, {"twice", 1, fill_output, NULL}},
        {{"fine", 1, fill_output, NULL}, {"", 1, fill_output, NULL}},
        {{"fine", 1, fill_output, NULL}, {NULL, 1, fill_output, NULL}},
        {{"fine", 1, fill_output, NULL}, {"none", 1, NULL, NULL}},
        {{"fine", 1, fill_output, NULL}, {name, 1, fill_output, NULL}},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CHECK_STATUS(applier_new(wrong[i], 2, &silent, &applier), RR_INVALID);
    }
    CHECK_OK(applier_new(wrong[1], 1, &silent, &applier));
    applier_free(applier);
}
