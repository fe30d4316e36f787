#include "support/test.h"

#include "command/call.h"
#include "command/command.h"
#include "command/txn.h"

static rr_bytes encode(struct buffer *buffer, const struct command *command)
{
    buffer_init(buffer);
    command_encode(buffer, command);
    CHECK(!buffer->failed);
    return buffer_bytes(buffer);
}

static void check_round_trip(const struct command *command)
{
    struct buffer buffer;
    struct command decoded;
    CHECK_OK(command_decode(encode(&buffer, command), &decoded));
    CHECK_EQ(decoded.kind, command->kind);
    CHECK_EQ(decoded.time_ms, command->time_ms);
    CHECK_EQ(decoded.seed, command->kind == COMMAND_CALL ? command->seed : 0);
    CHECK_EQ(decoded.session, command->session);
    CHECK_EQ(decoded.sequence, command->sequence);
    CHECK_EQ(decoded.result_bytes_max, command->result_bytes_max);
    CHECK_BYTES(decoded.body, command->body);
    buffer_deinit(&buffer);
}

TEST(command, comes_back_as_it_was_encoded)
{
    check_round_trip(&(struct command){.kind = COMMAND_NOOP, .time_ms = 77});
    check_round_trip(&(struct command){.kind = COMMAND_SESSION, .time_ms = UINT64_MAX});
    check_round_trip(&(struct command){.kind = COMMAND_TXN, .body = test_bytes_of("body")});
    check_round_trip(&(struct command){.kind = COMMAND_CALL,
                                       .time_ms = 1700000000000,
                                       .seed = 0x0102030405060708,
                                       .session = UINT64_MAX,
                                       .sequence = 1,
                                       .result_bytes_max = 4096,
                                       .body = test_bytes_of("x")});
}

/* docs/command-format.md shows these bytes. */
TEST(command, has_the_documented_bytes)
{
    struct buffer buffer;
    struct command command = {.kind = COMMAND_CALL,
                              .time_ms = 0x0102,
                              .seed = 3,
                              .session = 300,
                              .sequence = 5,
                              .body = test_bytes_of("B")};
    static const uint8_t expected[] = {1, 2, 2, 1, 0, 0, 0,    0, 0, 0, 3,  0,
                                       0, 0, 0, 0, 0, 0, 0xac, 2, 5, 0, 'B'};
    CHECK_BYTES(encode(&buffer, &command), ((rr_bytes){expected, sizeof(expected)}));
    buffer_deinit(&buffer);
}

TEST(command, takes_time_and_seed_after_it_was_encoded)
{
    struct buffer buffer;
    struct command command = {.kind = COMMAND_CALL, .body = test_bytes_of("call")};
    encode(&buffer, &command);
    command_stamp(buffer.data, buffer.size, 123, 456);
    struct command decoded;
    CHECK_OK(command_decode(buffer_bytes(&buffer), &decoded));
    CHECK_EQ(decoded.time_ms, 123);
    CHECK_EQ(decoded.seed, 456);
    CHECK_BYTES(decoded.body, command.body);
    buffer_deinit(&buffer);

    command.kind = COMMAND_TXN;
    encode(&buffer, &command);
    command_stamp(buffer.data, buffer.size, 9, 456);
    CHECK_OK(command_decode(buffer_bytes(&buffer), &decoded));
    CHECK_EQ(decoded.time_ms, 9);
    CHECK_EQ(decoded.seed, 0);
    CHECK_BYTES(decoded.body, command.body);
    buffer_deinit(&buffer);
}

TEST(command, tells_a_newer_version_from_malformed_bytes)
{
    struct command out;
    static const uint8_t newer[] = {2, 9, 9};
    static const uint8_t zero[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t kind[] = {1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t sequence[] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0};
    static const uint8_t session_of_noop[] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, 0};
    static const uint8_t body_of_noop[] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    CHECK_STATUS(command_decode((rr_bytes){newer, sizeof(newer)}, &out), RR_MISMATCH);
    CHECK_STATUS(command_decode((rr_bytes){zero, sizeof(zero)}, &out), RR_CORRUPT);
    CHECK_STATUS(command_decode((rr_bytes){kind, sizeof(kind)}, &out), RR_CORRUPT);
    CHECK_STATUS(command_decode((rr_bytes){sequence, sizeof(sequence)}, &out), RR_CORRUPT);
    CHECK_STATUS(command_decode((rr_bytes){session_of_noop, sizeof(session_of_noop)}, &out),
                 RR_CORRUPT);
    CHECK_STATUS(command_decode((rr_bytes){body_of_noop, sizeof(body_of_noop)}, &out), RR_CORRUPT);
    CHECK_STATUS(command_decode((rr_bytes){NULL, 0}, &out), RR_CORRUPT);
}

TEST(command, is_malformed_wherever_its_header_is_cut)
{
    struct buffer buffer;
    struct command command = {.kind = COMMAND_CALL, .session = 300, .sequence = 300};
    rr_bytes bytes = encode(&buffer, &command);
    for (size_t size = 0; size < bytes.size; size++) {
        struct command out;
        CHECK_STATUS(command_decode((rr_bytes){bytes.data, size}, &out), RR_CORRUPT);
    }
    buffer_deinit(&buffer);
}

TEST(command, is_checked_with_its_body)
{
    struct buffer buffer;
    struct command command = {.kind = COMMAND_CALL};
    encode(&buffer, &command);
    CHECK_STATUS(command_check(buffer_bytes(&buffer)), RR_INVALID);
    call_encode(&buffer, &(struct call){.name = test_bytes_of("p"), .version = 1});
    CHECK_OK(command_check(buffer_bytes(&buffer)));
    buffer_deinit(&buffer);

    command.kind = COMMAND_TXN;
    encode(&buffer, &command);
    CHECK_STATUS(command_check(buffer_bytes(&buffer)), RR_INVALID);
    struct txn_builder builder;
    txn_builder_init(&builder);
    txn_encode(&builder, &buffer);
    CHECK_OK(command_check(buffer_bytes(&buffer)));
    buffer_append_byte(&buffer, 0);
    CHECK_STATUS(command_check(buffer_bytes(&buffer)), RR_INVALID);
    CHECK(buffer_extend(&buffer, ENTRY_BYTES_MAX) != NULL);
    CHECK_STATUS(command_check(buffer_bytes(&buffer)), RR_TOO_BIG);
    buffer_deinit(&buffer);
}

TEST(command, limits_its_answer_to_what_every_answer_is_limited_to)
{
    struct command command = {0};
    CHECK_EQ(command_result_bytes_max(&command), COMMAND_RESULT_BYTES_MAX);
    command.result_bytes_max = 10;
    CHECK_EQ(command_result_bytes_max(&command), 10);

    struct buffer buffer;
    command.result_bytes_max = SIZE_MAX;
    struct command decoded;
    CHECK_OK(command_decode(encode(&buffer, &command), &decoded));
    CHECK_EQ(command_result_bytes_max(&decoded), COMMAND_RESULT_BYTES_MAX);
    buffer_deinit(&buffer);
}

TEST(call, comes_back_as_it_was_encoded)
{
    struct buffer buffer;
    buffer_init(&buffer);
    struct call call = {test_bytes_of("move-money"), UINT32_MAX, test_bytes_of("input")};
    call_encode(&buffer, &call);
    struct call decoded;
    CHECK_OK(call_decode(buffer_bytes(&buffer), &decoded));
    CHECK_BYTES(decoded.name, call.name);
    CHECK_EQ(decoded.version, call.version);
    CHECK_BYTES(decoded.input, call.input);
    buffer_deinit(&buffer);
}

TEST(call, refuses_a_name_or_version_out_of_bounds)
{
    struct call out;
    uint8_t bytes[80] = {0};
    CHECK_STATUS(call_decode((rr_bytes){bytes, 2}, &out), RR_INVALID);
    bytes[0] = PROCEDURE_NAME_BYTES_MAX;
    CHECK_OK(call_decode((rr_bytes){bytes, 66}, &out));
    CHECK_STATUS(call_decode((rr_bytes){bytes, 65}, &out), RR_INVALID);
    bytes[0] = PROCEDURE_NAME_BYTES_MAX + 1;
    CHECK_STATUS(call_decode((rr_bytes){bytes, 70}, &out), RR_INVALID);
    static const uint8_t version[] = {1, 'p', 0x80, 0x80, 0x80, 0x80, 0x10};
    CHECK_STATUS(call_decode((rr_bytes){version, sizeof(version)}, &out), RR_INVALID);
}
