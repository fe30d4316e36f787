/* Transactions: the builder, the decoder that checks all of one, and the walks over its parts. */
#include "command/txn.h"

#include "base/assert.h"

#include <string.h>

enum {
    TXN_HEADER_BYTES_MAX = 1 + 3 * VARINT_BYTES_MAX,
    TXN_RETURN_PREVIOUS = 1, /* a flag; the others are 0 */
    OPERATION_DELETE = 0,
    OPERATION_SET = 1,
};

void txn_builder_init(struct txn_builder *builder)
{
    *builder = (struct txn_builder){.status = RR_OK};
    buffer_init(&builder->conditions);
    buffer_init(&builder->operations[TXN_THEN]);
    buffer_init(&builder->operations[TXN_ELSE]);
}

void txn_builder_deinit(struct txn_builder *builder)
{
    if (builder == NULL) {
        return;
    }
    buffer_deinit(&builder->conditions);
    buffer_deinit(&builder->operations[TXN_THEN]);
    buffer_deinit(&builder->operations[TXN_ELSE]);
}

static size_t parts_size(const struct txn_builder *builder)
{
    return builder->conditions.size + builder->operations[TXN_THEN].size +
           builder->operations[TXN_ELSE].size;
}

static uint32_t parts_count(const struct txn_builder *builder)
{
    return builder->condition_count + builder->operation_counts[TXN_THEN] +
           builder->operation_counts[TXN_ELSE];
}

static bool bytes_valid(rr_bytes bytes)
{
    return bytes.data != NULL || bytes.size == 0;
}

/* Whether one more part of this key and value can be taken: RR_OK or why not. */
static rr_status check_part(const struct txn_builder *builder, rr_bytes key, rr_bytes value)
{
    if (!bytes_valid(key) || !bytes_valid(value)) {
        return RR_INVALID;
    }
    if (key.size > KEY_BYTES_MAX || value.size > VALUE_BYTES_MAX ||
        parts_count(builder) == TXN_OPERATIONS_MAX) {
        return RR_TOO_BIG;
    }
    size_t size = 1 + 2 * VARINT_BYTES_MAX + key.size + value.size;
    if (TXN_HEADER_BYTES_MAX + parts_size(builder) + size > COMMAND_BODY_BYTES_MAX) {
        return RR_TOO_BIG;
    }
    return RR_OK;
}

static void note_sizes(struct txn_builder *builder, rr_bytes key, rr_bytes value)
{
    if (key.size > builder->key_bytes_max) {
        builder->key_bytes_max = key.size;
    }
    if (value.size > builder->value_bytes_max) {
        builder->value_bytes_max = value.size;
    }
}

static bool compare_takes_value(rr_compare compare)
{
    return compare != RR_EXISTS && compare != RR_NOT_EXISTS;
}

rr_status txn_builder_condition(struct txn_builder *builder, const struct txn_condition *condition)
{
    if (builder->status != RR_OK) {
        return builder->status;
    }
    if ((unsigned)condition->compare > RR_LESS_EQUAL) {
        return builder->status = RR_INVALID;
    }
    bool takes_value = compare_takes_value(condition->compare);
    rr_bytes value = takes_value ? condition->value : (rr_bytes){0};
    builder->status = check_part(builder, condition->key, value);
    if (builder->status != RR_OK) {
        return builder->status;
    }
    struct buffer *part = &builder->conditions;
    put_u8(part, (uint8_t)condition->compare);
    put_bytes(part, condition->key);
    if (takes_value) {
        put_bytes(part, value);
    }
    builder->condition_count++;
    note_sizes(builder, condition->key, value);
    return builder->status = part->failed ? RR_NO_MEMORY : RR_OK;
}

rr_status txn_builder_operation(struct txn_builder *builder, enum txn_branch branch,
                                const struct txn_operation *operation)
{
    if (builder->status != RR_OK) {
        return builder->status;
    }
    rr_bytes value = operation->set ? operation->value : (rr_bytes){0};
    builder->status = check_part(builder, operation->key, value);
    if (builder->status != RR_OK) {
        return builder->status;
    }
    struct buffer *part = &builder->operations[branch];
    put_u8(part, operation->set ? OPERATION_SET : OPERATION_DELETE);
    put_bytes(part, operation->key);
    if (operation->set) {
        put_bytes(part, value);
    }
    builder->operation_counts[branch]++;
    note_sizes(builder, operation->key, value);
    return builder->status = part->failed ? RR_NO_MEMORY : RR_OK;
}

size_t txn_encoded_size(const struct txn_builder *builder)
{
    return 1 + varint_size(builder->condition_count) +
           varint_size(builder->operation_counts[TXN_THEN]) +
           varint_size(builder->operation_counts[TXN_ELSE]) + parts_size(builder);
}

void txn_encode(const struct txn_builder *builder, struct buffer *buffer)
{
    ASSERT(builder->status == RR_OK);
    ASSERT(txn_encoded_size(builder) <= COMMAND_BODY_BYTES_MAX);
    put_u8(buffer, builder->return_previous ? TXN_RETURN_PREVIOUS : 0);
    put_varint(buffer, builder->condition_count);
    put_varint(buffer, builder->operation_counts[TXN_THEN]);
    put_varint(buffer, builder->operation_counts[TXN_ELSE]);
    put_raw(buffer, builder->conditions.data, builder->conditions.size);
    put_raw(buffer, builder->operations[TXN_THEN].data, builder->operations[TXN_THEN].size);
    put_raw(buffer, builder->operations[TXN_ELSE].data, builder->operations[TXN_ELSE].size);
}

bool txn_next_condition(struct reader *reader, struct txn_condition *out)
{
    if (reader_left(reader) == 0) {
        return false;
    }
    uint8_t compare = reader_u8(reader);
    if (compare > RR_LESS_EQUAL) {
        reader->failed = true;
        return false;
    }
    struct txn_condition condition = {.compare = (rr_compare)compare};
    condition.key = reader_bytes(reader);
    if (compare_takes_value(condition.compare)) {
        condition.value = reader_bytes(reader);
    }
    *out = condition;
    return !reader->failed;
}

bool txn_next_operation(struct reader *reader, struct txn_operation *out)
{
    if (reader_left(reader) == 0) {
        return false;
    }
    uint8_t kind = reader_u8(reader);
    if (kind > OPERATION_SET) {
        reader->failed = true;
        return false;
    }
    struct txn_operation operation = {.set = kind == OPERATION_SET};
    operation.key = reader_bytes(reader);
    if (operation.set) {
        operation.value = reader_bytes(reader);
    }
    *out = operation;
    return !reader->failed;
}

static bool part_fits(rr_bytes key, rr_bytes value)
{
    return key.size <= KEY_BYTES_MAX && value.size <= VALUE_BYTES_MAX;
}

/* What lies between two positions of a reader. */
static rr_bytes bytes_since(const struct reader *reader, const uint8_t *start)
{
    return (rr_bytes){.data = start, .size = (size_t)(reader->at - start)};
}

static rr_status decode_conditions(struct reader *reader, struct txn *txn)
{
    const uint8_t *start = reader->at;
    bool fits = true;
    for (uint32_t i = 0; i < txn->condition_count; i++) {
        struct txn_condition condition;
        if (!txn_next_condition(reader, &condition)) {
            return RR_INVALID;
        }
        fits = fits && part_fits(condition.key, condition.value);
    }
    txn->conditions = bytes_since(reader, start);
    return fits ? RR_OK : RR_TOO_BIG;
}

static rr_status decode_operations(struct reader *reader, struct txn *txn, enum txn_branch branch)
{
    const uint8_t *start = reader->at;
    bool fits = true;
    for (uint32_t i = 0; i < txn->operation_counts[branch]; i++) {
        struct txn_operation operation;
        if (!txn_next_operation(reader, &operation)) {
            return RR_INVALID;
        }
        fits = fits && part_fits(operation.key, operation.value);
    }
    txn->operations[branch] = bytes_since(reader, start);
    return fits ? RR_OK : RR_TOO_BIG;
}

rr_status txn_decode(rr_bytes body, struct txn *out)
{
    struct reader reader;
    reader_init(&reader, body);
    uint8_t flags = reader_u8(&reader);
    uint64_t conditions = reader_varint(&reader);
    uint64_t then_count = reader_varint(&reader);
    uint64_t else_count = reader_varint(&reader);
    if (reader.failed || (flags & ~TXN_RETURN_PREVIOUS) != 0) {
        return RR_INVALID;
    }
    if (conditions > TXN_OPERATIONS_MAX || then_count > TXN_OPERATIONS_MAX ||
        else_count > TXN_OPERATIONS_MAX ||
        conditions + then_count + else_count > TXN_OPERATIONS_MAX) {
        return RR_TOO_BIG;
    }
    struct txn txn = {.return_previous = flags == TXN_RETURN_PREVIOUS,
                      .condition_count = (uint32_t)conditions,
                      .operation_counts = {(uint32_t)then_count, (uint32_t)else_count}};
    rr_status status = decode_conditions(&reader, &txn);
    if (status == RR_OK) {
        status = decode_operations(&reader, &txn, TXN_THEN);
    }
    if (status == RR_OK) {
        status = decode_operations(&reader, &txn, TXN_ELSE);
    }
    if (status != RR_OK) {
        return status;
    }
    if (!reader_done(&reader)) {
        return RR_INVALID;
    }
    *out = txn;
    return RR_OK;
}

/* Below, at or above 0 as `left` sorts before, with or after `right`; a proper prefix first. */
static int compare_bytes(rr_bytes left, rr_bytes right)
{
    size_t common = left.size < right.size ? left.size : right.size;
    int order = common == 0 ? 0 : memcmp(left.data, right.data, common);
    if (order != 0) {
        return order;
    }
    return (left.size > right.size) - (left.size < right.size);
}

bool txn_compare(rr_compare compare, const rr_bytes *value, rr_bytes operand)
{
    if (value == NULL) {
        return compare == RR_NOT_EXISTS || compare == RR_NOT_EQUAL;
    }
    switch (compare) {
    case RR_EXISTS:
        return true;
    case RR_NOT_EXISTS:
        return false;
    case RR_EQUAL:
        return compare_bytes(*value, operand) == 0;
    case RR_NOT_EQUAL:
        return compare_bytes(*value, operand) != 0;
    case RR_GREATER:
        return compare_bytes(*value, operand) > 0;
    case RR_LESS:
        return compare_bytes(*value, operand) < 0;
    case RR_GREATER_EQUAL:
        return compare_bytes(*value, operand) >= 0;
    case RR_LESS_EQUAL:
        return compare_bytes(*value, operand) <= 0;
    }
    UNREACHABLE();
}
