/* Fuzzes every decoder of src/command: the first byte chooses one, the rest is its input. What
 * decodes is walked to its last byte, and where an encoder exists gives the same bytes again. */
#include "base/assert.h"
#include "command/backup.h"
#include "command/call.h"
#include "command/command.h"
#include "command/member.h"
#include "command/relay.h"
#include "command/result.h"
#include "command/txn.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

/* Reads all bytes, so that a sanitizer sees any that are out of bounds. */
static void touch(rr_bytes bytes)
{
    const uint8_t *at = bytes.data;
    for (size_t i = 0; i < bytes.size; i++) {
        sink += at[i];
    }
}

static void expect_same(struct buffer *encoded, rr_bytes input)
{
    ASSERT(encoded->failed || encoded->size == input.size);
    ASSERT(encoded->failed || input.size == 0 ||
           memcmp(encoded->data, input.data, input.size) == 0);
    buffer_deinit(encoded);
}

static void fuzz_txn(rr_bytes input)
{
    struct txn txn;
    if (txn_decode(input, &txn) != RR_OK) {
        return;
    }
    struct txn_builder builder;
    txn_builder_init(&builder);
    builder.return_previous = txn.return_previous;
    struct reader reader;
    reader_init(&reader, txn.conditions);
    struct txn_condition condition;
    while (txn_next_condition(&reader, &condition)) {
        touch(condition.key);
        txn_compare(condition.compare, &condition.key, condition.value);
        txn_builder_condition(&builder, &condition);
    }
    ASSERT(reader_done(&reader));
    for (int branch = TXN_THEN; branch <= TXN_ELSE; branch++) {
        reader_init(&reader, txn.operations[branch]);
        struct txn_operation operation;
        while (txn_next_operation(&reader, &operation)) {
            touch(operation.value);
            txn_builder_operation(&builder, (enum txn_branch)branch, &operation);
        }
        ASSERT(reader_done(&reader));
    }
    ASSERT(builder.status == RR_OK);
    struct buffer encoded;
    buffer_init(&encoded);
    txn_encode(&builder, &encoded);
    expect_same(&encoded, input);
    txn_builder_deinit(&builder);
}

static void fuzz_command(rr_bytes input)
{
    struct command command;
    (void)!command_check(input);
    if (command_decode(input, &command) != RR_OK) {
        return;
    }
    struct buffer encoded;
    buffer_init(&encoded);
    command_encode(&encoded, &command);
    expect_same(&encoded, input);
    if (command.kind == COMMAND_TXN) {
        fuzz_txn(command.body);
    }
}

static void fuzz_call(rr_bytes input)
{
    struct call call;
    if (call_decode(input, &call) == RR_OK) {
        struct buffer encoded;
        buffer_init(&encoded);
        call_encode(&encoded, &call);
        expect_same(&encoded, input);
    }
}

static void fuzz_result(rr_bytes input)
{
    struct result result;
    if (result_decode(input, &result) != RR_OK) {
        return;
    }
    sink += (unsigned)strlen(result.message);
    for (size_t i = 0; i < result.count; i++) {
        rr_bytes value;
        result_value(&result, i, &value);
        touch(value);
        touch(result_key(&result, i));
    }
    rr_bytes all = result_bytes(&result);
    ASSERT(all.size == input.size);
}

static void fuzz_members(rr_bytes input)
{
    struct member member;
    if (member_decode(input, &member) == RR_OK) {
        struct buffer encoded;
        buffer_init(&encoded);
        member_encode(&encoded, &member);
        expect_same(&encoded, input);
    }
    static struct member_list list;
    if (member_list_decode(input, &list) == RR_OK) {
        struct buffer encoded;
        buffer_init(&encoded);
        member_list_encode(&encoded, &list);
        expect_same(&encoded, input);
    }
}

static void fuzz_relay(rr_bytes input)
{
    struct relay_request request;
    if (relay_request_decode(input, &request) == RR_OK) {
        touch(request.command);
        sink += (unsigned)strlen(request.member.address);
        for (uint32_t i = 0; i < request.former_count; i++) {
            sink += (unsigned)request.former[i];
        }
    }
    struct relay_answer answer;
    if (relay_answer_decode(input, &answer) == RR_OK) {
        touch(answer.leader_address);
        touch(answer.message);
        fuzz_result(answer.result);
    }
}

static void fuzz_backup(rr_bytes input)
{
    struct backup_request request;
    if (backup_request_decode(input, &request) == RR_OK) {
        ASSERT(request.id != 0);
        sink += (unsigned)(request.covers + request.chunk);
    }
    for (int kind = BACKUP_BEGIN; kind <= BACKUP_END; kind++) {
        struct backup_answer answer;
        if (backup_answer_decode(input, (enum backup_kind)kind, &answer) == RR_OK) {
            ASSERT(answer.bytes.size <= BACKUP_CHUNK_BYTES_MAX);
            touch(answer.text);
            touch(answer.manifest);
            touch(answer.bytes);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    rr_bytes input = {data + 1, size - 1};
    switch (data[0] % 7) {
    case 0:
        fuzz_command(input);
        break;
    case 1:
        fuzz_txn(input);
        break;
    case 2:
        fuzz_call(input);
        break;
    case 3:
        fuzz_result(input);
        break;
    case 4:
        fuzz_members(input);
        break;
    case 5:
        fuzz_relay(input);
        break;
    default:
        fuzz_backup(input);
        break;
    }
    return 0;
}
