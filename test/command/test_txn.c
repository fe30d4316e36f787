#include "support/test.h"

#include "base/memory.h"
#include "command/txn.h"

#include <string.h>

static rr_status add_set(struct txn_builder *builder, enum txn_branch branch, const char *key,
                         const char *value)
{
    struct txn_operation operation = {test_bytes_of(key), true, test_bytes_of(value)};
    return txn_builder_operation(builder, branch, &operation);
}

static rr_status add_delete(struct txn_builder *builder, enum txn_branch branch, const char *key)
{
    struct txn_operation operation = {.key = test_bytes_of(key)};
    return txn_builder_operation(builder, branch, &operation);
}

static rr_status add_condition(struct txn_builder *builder, const char *key, rr_compare compare,
                               const char *value)
{
    struct txn_condition condition = {test_bytes_of(key), compare, test_bytes_of(value)};
    return txn_builder_condition(builder, &condition);
}

static void build_example(struct txn_builder *builder)
{
    txn_builder_init(builder);
    CHECK_OK(add_set(builder, TXN_ELSE, "e", ""));
    CHECK_OK(add_condition(builder, "c", RR_LESS_EQUAL, "v"));
    CHECK_OK(add_set(builder, TXN_THEN, "t", "1"));
    CHECK_OK(add_condition(builder, "", RR_EXISTS, "not kept"));
    CHECK_OK(add_delete(builder, TXN_THEN, "u"));
    builder->return_previous = true;
}

static rr_bytes encode(const struct txn_builder *builder, struct buffer *buffer)
{
    buffer_init(buffer);
    txn_encode(builder, buffer);
    CHECK_EQ(buffer->size, txn_encoded_size(builder));
    return buffer_bytes(buffer);
}

TEST(txn, comes_back_as_it_was_built)
{
    struct txn_builder builder;
    struct buffer buffer;
    struct txn txn;
    build_example(&builder);
    CHECK_OK(txn_decode(encode(&builder, &buffer), &txn));
    CHECK(txn.return_previous);
    CHECK_EQ(txn.condition_count, 2);
    CHECK_EQ(txn.operation_counts[TXN_THEN], 2);
    CHECK_EQ(txn.operation_counts[TXN_ELSE], 1);

    struct reader reader;
    reader_init(&reader, txn.conditions);
    struct txn_condition condition;
    CHECK(txn_next_condition(&reader, &condition));
    CHECK_BYTES(condition.key, test_bytes_of("c"));
    CHECK_EQ(condition.compare, RR_LESS_EQUAL);
    CHECK_BYTES(condition.value, test_bytes_of("v"));
    CHECK(txn_next_condition(&reader, &condition));
    CHECK_BYTES(condition.key, test_bytes_of(""));
    CHECK_BYTES(condition.value, test_bytes_of(""));
    CHECK(!txn_next_condition(&reader, &condition));

    reader_init(&reader, txn.operations[TXN_THEN]);
    struct txn_operation operation;
    CHECK(txn_next_operation(&reader, &operation));
    CHECK(operation.set);
    CHECK_BYTES(operation.key, test_bytes_of("t"));
    CHECK_BYTES(operation.value, test_bytes_of("1"));
    CHECK(txn_next_operation(&reader, &operation));
    CHECK(!operation.set);
    CHECK_BYTES(operation.key, test_bytes_of("u"));
    CHECK(!txn_next_operation(&reader, &operation));
    buffer_deinit(&buffer);
    txn_builder_deinit(&builder);
}

/* docs/command-format.md shows these bytes. */
TEST(txn, has_the_documented_bytes)
{
    struct txn_builder builder;
    struct buffer buffer;
    build_example(&builder);
    static const uint8_t expected[] = {1, 2,   2, 1,   7, 1, 'c', 1, 'v', 0,   0, 1,
                                       1, 't', 1, '1', 0, 1, 'u', 1, 1,   'e', 0};
    CHECK_BYTES(encode(&builder, &buffer), ((rr_bytes){expected, sizeof(expected)}));
    buffer_deinit(&buffer);
    txn_builder_deinit(&builder);
}

TEST(txn, is_malformed_wherever_it_is_cut)
{
    struct txn_builder builder;
    struct buffer buffer;
    struct txn txn;
    build_example(&builder);
    rr_bytes bytes = encode(&builder, &buffer);
    for (size_t size = 0; size < bytes.size; size++) {
        CHECK_STATUS(txn_decode((rr_bytes){bytes.data, size}, &txn), RR_INVALID);
    }
    buffer_append_byte(&buffer, 0);
    CHECK_STATUS(txn_decode(buffer_bytes(&buffer), &txn), RR_INVALID);
    buffer_deinit(&buffer);
    txn_builder_deinit(&builder);
}

TEST(txn, refuses_unknown_flags_comparisons_and_operations)
{
    struct txn txn;
    static const uint8_t flags[] = {2, 0, 0, 0};
    static const uint8_t compare[] = {0, 1, 0, 0, 8, 0, 0};
    static const uint8_t operation[] = {0, 0, 1, 0, 2, 0, 0};
    CHECK_STATUS(txn_decode((rr_bytes){flags, sizeof(flags)}, &txn), RR_INVALID);
    CHECK_STATUS(txn_decode((rr_bytes){compare, sizeof(compare)}, &txn), RR_INVALID);
    CHECK_STATUS(txn_decode((rr_bytes){operation, sizeof(operation)}, &txn), RR_INVALID);

    struct txn_builder builder;
    txn_builder_init(&builder);
    CHECK_STATUS(add_condition(&builder, "k", (rr_compare)8, ""), RR_INVALID);
    txn_builder_deinit(&builder);
}

/* Encodes what the builder would refuse: one operation with a key and a value of these sizes. */
static rr_status decode_sized(size_t key_size, size_t value_size)
{
    struct buffer buffer;
    buffer_init(&buffer);
    static const uint8_t head[] = {0, 0, 1, 0, 1};
    put_raw(&buffer, head, sizeof(head));
    put_varint(&buffer, key_size);
    memset(buffer_extend(&buffer, key_size), 'k', key_size);
    put_varint(&buffer, value_size);
    memset(buffer_extend(&buffer, value_size), 'v', value_size);
    struct txn txn;
    rr_status status = txn_decode(buffer_bytes(&buffer), &txn);
    buffer_deinit(&buffer);
    return status;
}

TEST(txn, keeps_to_the_limits_of_keys_values_and_counts)
{
    CHECK_OK(decode_sized(KEY_BYTES_MAX, VALUE_BYTES_MAX));
    CHECK_STATUS(decode_sized(KEY_BYTES_MAX + 1, 1), RR_TOO_BIG);
    CHECK_STATUS(decode_sized(1, VALUE_BYTES_MAX + 1), RR_TOO_BIG);
    struct txn txn;
    static const uint8_t counts[] = {0, 0, 0x81, 0x80, 1, 0};
    CHECK_STATUS(txn_decode((rr_bytes){counts, sizeof(counts)}, &txn), RR_TOO_BIG);
    static const uint8_t huge[] = {0,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 1,    1,    0};
    CHECK_STATUS(txn_decode((rr_bytes){huge, sizeof(huge)}, &txn), RR_TOO_BIG);

    struct txn_builder builder;
    txn_builder_init(&builder);
    for (int i = 0; i < TXN_OPERATIONS_MAX; i++) {
        CHECK_OK(add_delete(&builder, i % 2 == 0 ? TXN_THEN : TXN_ELSE, "k"));
    }
    CHECK_STATUS(add_condition(&builder, "k", RR_EXISTS, ""), RR_TOO_BIG);
    txn_builder_deinit(&builder);
}

TEST(txn, never_grows_over_the_size_of_an_entry)
{
    struct txn_builder builder;
    txn_builder_init(&builder);
    void *value = mem_alloc(VALUE_BYTES_MAX);
    struct txn_operation operation = {test_bytes_of("k"), true, {value, VALUE_BYTES_MAX}};
    CHECK_OK(txn_builder_operation(&builder, TXN_THEN, &operation));
    CHECK_STATUS(txn_builder_operation(&builder, TXN_ELSE, &operation), RR_TOO_BIG);
    CHECK_EQ(builder.value_bytes_max, VALUE_BYTES_MAX);
    CHECK_EQ(builder.key_bytes_max, 1);
    mem_free(value);
    txn_builder_deinit(&builder);
}

TEST(txn, remembers_that_an_operation_was_refused)
{
    struct txn_builder builder;
    txn_builder_init(&builder);
    struct txn_operation bad = {.key = {NULL, 3}};
    CHECK_STATUS(txn_builder_operation(&builder, TXN_THEN, &bad), RR_INVALID);
    CHECK_STATUS(add_set(&builder, TXN_THEN, "k", "v"), RR_INVALID);
    CHECK_STATUS(builder.status, RR_INVALID);
    CHECK_EQ(builder.operation_counts[TXN_THEN], 0);
    txn_builder_deinit(&builder);
}

TEST(txn, reports_every_allocation_that_fails_while_it_is_built)
{
    for (uint64_t nth = 1;; nth++) {
        struct txn_builder builder;
        txn_builder_init(&builder);
        mem_fail_after(nth);
        for (int i = 0; i < 40; i++) {
            add_set(&builder, TXN_THEN, "key", "value");
            add_set(&builder, TXN_ELSE, "key", "value");
            add_condition(&builder, "key", RR_EQUAL, "value");
        }
        rr_status status = builder.status;
        txn_builder_deinit(&builder);
        if (mem_fail_pending()) {
            break;
        }
        CHECK_STATUS(status, RR_NO_MEMORY);
    }
    mem_fail_after(0);
}

TEST(txn, compares_an_absent_key_as_documented)
{
    for (int compare = RR_EXISTS; compare <= RR_LESS_EQUAL; compare++) {
        bool expected = compare == RR_NOT_EXISTS || compare == RR_NOT_EQUAL;
        CHECK_EQ(txn_compare((rr_compare)compare, NULL, test_bytes_of("x")), expected);
    }
}

TEST(txn, compares_values_as_bytes_with_a_proper_prefix_first)
{
    static const char *const ascending[] = {"", "a", "aa", "ab", "b", "\x7f", "\x80", "\xff"};
    enum { COUNT = sizeof(ascending) / sizeof(ascending[0]) };
    for (int left = 0; left < COUNT; left++) {
        for (int right = 0; right < COUNT; right++) {
            rr_bytes value = test_bytes_of(ascending[left]);
            rr_bytes operand = test_bytes_of(ascending[right]);
            CHECK(txn_compare(RR_EXISTS, &value, operand));
            CHECK(!txn_compare(RR_NOT_EXISTS, &value, operand));
            CHECK_EQ(txn_compare(RR_EQUAL, &value, operand), left == right);
            CHECK_EQ(txn_compare(RR_NOT_EQUAL, &value, operand), left != right);
            CHECK_EQ(txn_compare(RR_GREATER, &value, operand), left > right);
            CHECK_EQ(txn_compare(RR_LESS, &value, operand), left < right);
            CHECK_EQ(txn_compare(RR_GREATER_EQUAL, &value, operand), left >= right);
            CHECK_EQ(txn_compare(RR_LESS_EQUAL, &value, operand), left <= right);
        }
    }
}
