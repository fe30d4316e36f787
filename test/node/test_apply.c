#include "node/apply_fixture.h"

#include "command/call.h"
#include "node/result.h"

#include <string.h>

static const struct command plain = {.time_ms = 1};

TEST(apply, sets_and_deletes)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    replica_set(&replica, "key", "value");
    CHECK_EQ(replica.result.index, 1);
    CHECK(replica.result.branch);
    CHECK_EQ(replica.result.count, 0);
    CHECK_TEXT(replica_get(&replica, "key"), "value");
    CHECK_TEXT(replica_get(&replica, "ke"), "(absent)");

    rr_txn *txn = rr_txn_new();
    CHECK_OK(rr_txn_delete(txn, test_bytes_of("key")));
    CHECK_OK(replica_txn(&replica, &plain, txn));
    CHECK_TEXT(replica_get(&replica, "key"), "(absent)");
    replica_close(&replica);
}

TEST(apply, keeps_empty_keys_and_values_apart_from_absent_ones)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    CHECK_TEXT(replica_get(&replica, ""), "(absent)");
    replica_set(&replica, "", "nameless");
    replica_set(&replica, "k", "");
    CHECK_TEXT(replica_get(&replica, ""), "nameless");
    CHECK_TEXT(replica_get(&replica, "k"), "");
    CHECK_EQ(replica.result.count, 1);
    replica_close(&replica);
}

/* rockraft-http.md's table of comparisons, for a key that holds "m" and for an absent one. */
TEST(apply, follows_the_table_of_comparisons)
{
    static const struct {
        rr_compare compare;
        bool below, same, above, absent; /* operands "a", "m", "z" against "m"; the absent key */
    } table[] = {
        {RR_EXISTS, true, true, true, false},         {RR_NOT_EXISTS, false, false, false, true},
        {RR_EQUAL, false, true, false, false},        {RR_NOT_EQUAL, true, false, true, true},
        {RR_GREATER, true, false, false, false},      {RR_LESS, false, false, true, false},
        {RR_GREATER_EQUAL, true, true, false, false}, {RR_LESS_EQUAL, false, true, true, false},
    };
    struct replica replica;
    replica_open(&replica, NULL, 0);
    replica_set(&replica, "present", "m");
    for (size_t row = 0; row < sizeof(table) / sizeof(table[0]); row++) {
        const struct {
            const char *key, *operand;
            bool holds;
        } cases[] = {{"present", "a", table[row].below},
                     {"present", "m", table[row].same},
                     {"present", "z", table[row].above},
                     {"absent", "a", table[row].absent},
                     {"absent", "", table[row].absent}};
        for (size_t i = 0; i < 5; i++) {
            rr_txn *txn = rr_txn_new();
            CHECK_OK(rr_txn_if(txn, test_bytes_of(cases[i].key), table[row].compare,
                               test_bytes_of(cases[i].operand)));
            CHECK_OK(rr_txn_set(txn, test_bytes_of("took"), test_bytes_of("then")));
            CHECK_OK(rr_txn_else_set(txn, test_bytes_of("took"), test_bytes_of("else")));
            CHECK_OK(replica_txn(&replica, &plain, txn));
            CHECK_EQ(replica.result.branch, cases[i].holds);
            CHECK_TEXT(replica_get(&replica, "took"), cases[i].holds ? "then" : "else");
        }
    }
    replica_close(&replica);
}

TEST(apply, joins_conditions_by_and)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    replica_set(&replica, "a", "1");
    for (int b_exists = 0; b_exists < 2; b_exists++) {
        rr_txn *txn = rr_txn_new();
        CHECK_OK(rr_txn_if(txn, test_bytes_of("a"), RR_EQUAL, test_bytes_of("1")));
        CHECK_OK(rr_txn_if(txn, test_bytes_of("b"), RR_EXISTS, test_bytes_of("")));
        CHECK_OK(replica_txn(&replica, &plain, txn));
        CHECK_EQ(replica.result.branch, b_exists == 1);
        replica_set(&replica, "b", "");
    }
    replica_close(&replica);
}

/* The last operation on a key wins; previous values are those before the whole transaction. */
TEST(apply, runs_operations_in_order_and_returns_what_was_before_them_all)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    replica_set(&replica, "k", "old");
    rr_txn *txn = rr_txn_new();
    rr_txn_return_previous(txn, true);
    CHECK_OK(rr_txn_set(txn, test_bytes_of("k"), test_bytes_of("first")));
    CHECK_OK(rr_txn_delete(txn, test_bytes_of("k")));
    CHECK_OK(rr_txn_set(txn, test_bytes_of("new"), test_bytes_of("n")));
    CHECK_OK(rr_txn_set(txn, test_bytes_of("k"), test_bytes_of("last")));
    CHECK_OK(rr_txn_delete(txn, test_bytes_of("new")));
    CHECK_OK(rr_txn_else_set(txn, test_bytes_of("not"), test_bytes_of("run")));
    CHECK_OK(replica_txn(&replica, &plain, txn));
    CHECK_EQ(replica.result.count, 5);
    CHECK_TEXT(replica_value(&replica, 0), "old");
    CHECK_TEXT(replica_value(&replica, 1), "old");
    CHECK_TEXT(replica_value(&replica, 2), "(absent)");
    CHECK_TEXT(replica_value(&replica, 3), "old");
    CHECK_TEXT(replica_value(&replica, 4), "(absent)");
    CHECK_TEXT(replica_get(&replica, "k"), "last");
    CHECK_TEXT(replica_get(&replica, "new"), "(absent)");
    CHECK_TEXT(replica_get(&replica, "not"), "(absent)");
    replica_close(&replica);
}

TEST(apply, returns_previous_values_of_the_else_branch)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    replica_set(&replica, "k", "");
    rr_txn *txn = rr_txn_new();
    rr_txn_return_previous(txn, true);
    CHECK_OK(rr_txn_if(txn, test_bytes_of("k"), RR_NOT_EXISTS, test_bytes_of("")));
    CHECK_OK(rr_txn_else_delete(txn, test_bytes_of("k")));
    CHECK_OK(replica_txn(&replica, &plain, txn));
    CHECK(!replica.result.branch);
    CHECK_EQ(replica.result.count, 1);
    CHECK_TEXT(replica_value(&replica, 0), "");
    CHECK_TEXT(replica_get(&replica, "k"), "(absent)");
    replica_close(&replica);
}

/* Nothing is committed between these entries. */
TEST(apply, sees_the_entries_before_it_in_the_same_batch)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    for (int round = 0; round < 3; round++) {
        rr_txn *txn = rr_txn_new();
        CHECK_OK(rr_txn_if(txn, test_bytes_of("k"), RR_NOT_EXISTS, test_bytes_of("")));
        CHECK_OK(rr_txn_set(txn, test_bytes_of("k"), test_bytes_of("v")));
        CHECK_OK(rr_txn_else_delete(txn, test_bytes_of("k")));
        CHECK_OK(replica_txn(&replica, &plain, txn));
        CHECK_EQ(replica.result.branch, round % 2 == 0);
    }
    CHECK_TEXT(replica_get(&replica, "k"), "v");
    replica_close(&replica);
}

TEST(apply, changes_nothing_when_previous_values_are_over_the_limit)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    replica_set(&replica, "k", "a value of some forty bytes, give or take");
    for (uint64_t limit = 20; limit <= 100; limit += 80) {
        rr_txn *txn = rr_txn_new();
        rr_txn_return_previous(txn, true);
        CHECK_OK(rr_txn_delete(txn, test_bytes_of("k")));
        struct command header = {.result_bytes_max = limit};
        CHECK_STATUS(replica_txn(&replica, &header, txn), limit < 40 ? RR_TOO_BIG : RR_OK);
        CHECK_EQ(replica.result.count, limit < 40 ? 0 : 1);
        CHECK_EQ(strcmp(replica_get(&replica, "k"), "(absent)") == 0, limit >= 40);
    }
    replica_close(&replica);
}

TEST(apply, answers_the_empty_entry_and_a_noop_without_changing_user_keys)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    uint64_t digest = replica_digest(&replica);
    CHECK_OK(replica_apply(&replica, (rr_bytes){0}));
    CHECK_EQ(replica_digest(&replica), digest);
    struct buffer buffer;
    buffer_init(&buffer);
    command_encode(&buffer, &(struct command){.kind = COMMAND_NOOP, .time_ms = 500});
    CHECK_OK(replica_apply(&replica, buffer_bytes(&buffer)));
    CHECK_EQ(applier_time_ms(replica.applier), 500);
    CHECK_EQ(replica.result.index, 2);
    buffer_deinit(&buffer);
    replica_close(&replica);
}

TEST(apply, keeps_its_clock_from_going_back_and_over_a_restart)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    static const uint64_t times[] = {1000, 900, 1000, 1001, 0};
    static const uint64_t clock[] = {1000, 1000, 1000, 1001, 1001};
    for (int i = 0; i < 5; i++) {
        struct command header = {.time_ms = times[i]};
        CHECK_OK(replica_txn(&replica, &header, rr_txn_new()));
        CHECK_EQ(applier_time_ms(replica.applier), clock[i]);
    }
    replica_restart(&replica);
    CHECK_EQ(applier_time_ms(replica.applier), 1001);
    CHECK_EQ(replica.index, 5);
    replica_close(&replica);
}

TEST(apply, answers_malformed_entries_alike_and_goes_on)
{
    static const char *const bodies[] = {"\x01", "\x01\x01 no header", "\x00\x00", "\x01\x09 kind"};
    struct replica replica;
    replica_open(&replica, NULL, 0);
    uint64_t digest = replica_digest(&replica);
    for (size_t i = 0; i < 4; i++) {
        rr_bytes payload = {bodies[i], i == 2 ? 2 : strlen(bodies[i])};
        CHECK_STATUS(applier_check(replica.applier, payload), RR_INVALID);
        CHECK_STATUS(replica_apply(&replica, payload), RR_INVALID);
    }
    struct buffer buffer;
    buffer_init(&buffer);
    command_encode(&buffer, &(struct command){.kind = COMMAND_TXN, .body = test_bytes_of("\x02")});
    CHECK_STATUS(replica_apply(&replica, buffer_bytes(&buffer)), RR_INVALID);
    buffer_clear(&buffer);
    command_encode(&buffer, &(struct command){.kind = COMMAND_CALL, .body = test_bytes_of("\x02")});
    CHECK_STATUS(replica_apply(&replica, buffer_bytes(&buffer)), RR_INVALID);
    CHECK_NE(replica.result.message[0], '\0');
    CHECK_EQ(replica_digest(&replica), digest);
    buffer_deinit(&buffer);
    replica_close(&replica);
}

TEST(apply, halts_on_a_command_of_a_newer_version)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    rr_bytes payload = test_bytes_of("\x02 from the future");
    CHECK_STATUS(applier_check(replica.applier, payload), RR_MISMATCH);
    CHECK_STATUS(replica_apply_halting(&replica, payload), RR_MISMATCH);
    CHECK(strstr(applier_reason(replica.applier), "entry 1") != NULL);
    CHECK(strstr(applier_reason(replica.applier), "newer version") != NULL);
    replica_close(&replica);
}

/* ---- The public objects around it ---- */

TEST(rr_txn, tells_misuse_and_keeps_it_in_mind)
{
    rr_txn *txn = rr_txn_new();
    CHECK_STATUS(rr_txn_set(NULL, test_bytes_of("k"), test_bytes_of("v")), RR_INVALID);
    CHECK_STATUS(rr_txn_if(NULL, test_bytes_of("k"), RR_EXISTS, (rr_bytes){0}), RR_INVALID);
    CHECK_STATUS(rr_txn_else_set(txn, (rr_bytes){NULL, 1}, test_bytes_of("v")), RR_INVALID);
    CHECK_STATUS(rr_txn_set(txn, test_bytes_of("k"), test_bytes_of("v")), RR_INVALID);
    CHECK_STATUS(txn->builder.status, RR_INVALID);
    rr_txn_free(txn);
    rr_txn_free(NULL);
    rr_txn_return_previous(NULL, true);
}

TEST(rr_result, answers_for_null_and_copies_itself)
{
    rr_bytes value;
    CHECK_EQ(rr_result_index(NULL), 0);
    CHECK_EQ(rr_result_count(NULL), 0);
    CHECK(!rr_result_branch(NULL));
    CHECK(!rr_result_more(NULL));
    CHECK(!rr_result_value(NULL, 0, &value));
    CHECK_EQ(rr_result_key(NULL, 0).size, 0);
    CHECK_TEXT(rr_result_message(NULL), "");
    CHECK(rr_result_copy(NULL) == NULL);
    rr_result_free(NULL);

    struct buffer buffer;
    buffer_init(&buffer);
    struct result_writer writer;
    result_writer_begin(&writer, &buffer, 9, SIZE_MAX);
    CHECK(result_writer_value(&writer, test_bytes_of("v")));
    struct result_end end = {.status = RR_OK, .branch = true, .message = "m"};
    CHECK_OK(result_writer_finish(&writer, &end));
    rr_result borrowed;
    result_borrow(&borrowed, buffer_bytes(&buffer));
    rr_result *copy = rr_result_copy(&borrowed);
    buffer_deinit(&buffer);
    CHECK_EQ(rr_result_index(copy), 9);
    CHECK(rr_result_branch(copy));
    CHECK_TEXT(rr_result_message(copy), "m");
    CHECK(rr_result_value(copy, 0, &value));
    CHECK_BYTES(value, test_bytes_of("v"));
    rr_result_free(copy);

    result_borrow_message(&borrowed, RR_BUSY, "later");
    copy = rr_result_copy(&borrowed);
    CHECK_TEXT(rr_result_message(copy), "later");
    CHECK_EQ(rr_result_count(copy), 0);
    rr_result_free(copy);
    rr_result *opened;
    CHECK_STATUS(result_open(test_bytes_of("nonsense"), &opened), RR_CORRUPT);
}
