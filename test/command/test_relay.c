#include "support/test.h"

#include "command/relay.h"

#include <string.h>

static struct relay_request request_of(enum relay_kind kind)
{
    struct relay_request request = {.kind = kind,
                                    .id = UINT64_MAX,
                                    .timeout_ms = 5000,
                                    .hops = 2,
                                    .cluster = 0x1122334455667788};
    request.command = test_bytes_of("command");
    request.target = 9;
    CHECK_OK(member_set(&request.member, 4, RR_LEARNER, "four:7000", 44));
    request.former_count = 2;
    request.former[0] = 42;
    request.former[1] = UINT64_MAX;
    return request;
}

TEST(relay, brings_every_kind_of_request_across)
{
    for (int kind = RELAY_SUBMIT; kind <= RELAY_IDENTIFY; kind++) {
        struct buffer buffer;
        buffer_init(&buffer);
        struct relay_request request = request_of((enum relay_kind)kind);
        relay_request_encode(&buffer, &request);
        struct relay_request decoded;
        CHECK_OK(relay_request_decode(buffer_bytes(&buffer), &decoded));
        CHECK_EQ(decoded.kind, kind);
        CHECK_EQ(decoded.id, UINT64_MAX);
        CHECK_EQ(decoded.timeout_ms, 5000);
        CHECK_EQ(decoded.hops, 2);
        CHECK_EQ(decoded.cluster, request.cluster);
        switch ((enum relay_kind)kind) {
        case RELAY_SUBMIT:
            CHECK_BYTES(decoded.command, request.command);
            break;
        case RELAY_REMOVE:
        case RELAY_TRANSFER:
            CHECK_EQ(decoded.target, 9);
            break;
        case RELAY_ADD:
        case RELAY_JOIN:
        case RELAY_IDENTIFY:
            CHECK_EQ(decoded.member.id, 4);
            CHECK_EQ(decoded.member.incarnation, 44);
            CHECK_TEXT(decoded.member.address, "four:7000");
            break;
        }
        bool has_former = kind == RELAY_ADD || kind == RELAY_JOIN;
        CHECK_EQ(decoded.former_count, has_former ? 2 : 0);
        CHECK(!has_former || (decoded.former[0] == 42 && decoded.former[1] == UINT64_MAX));
        for (size_t size = 0; size < buffer.size; size++) {
            rr_bytes cut = {buffer.data, size};
            if (has_former && size == buffer.size - 17) { /* as an older peer writes it */
                CHECK_OK(relay_request_decode(cut, &decoded));
                CHECK_EQ(decoded.former_count, 0);
                continue;
            }
            CHECK_STATUS(relay_request_decode(cut, &decoded), RR_CORRUPT);
            CHECK_EQ(decoded.id, size < 10 ? 0 : UINT64_MAX);
        }
        buffer_append_byte(&buffer, 77);
        CHECK_OK(relay_request_decode(buffer_bytes(&buffer), &decoded));
        buffer_deinit(&buffer);
    }
}

TEST(relay, takes_no_former_incarnations_that_cannot_be)
{
    struct buffer buffer;
    buffer_init(&buffer);
    struct relay_request request = request_of(RELAY_JOIN);
    struct relay_request decoded;
    request.former_count = RELAY_FORMER_MAX;
    for (uint32_t i = 0; i < RELAY_FORMER_MAX; i++) {
        request.former[i] = i + 1;
    }
    relay_request_encode(&buffer, &request);
    CHECK_OK(relay_request_decode(buffer_bytes(&buffer), &decoded));
    CHECK_EQ(decoded.former[RELAY_FORMER_MAX - 1], RELAY_FORMER_MAX);
    size_t at = buffer.size - 8 * RELAY_FORMER_MAX - 1;
    CHECK_EQ(buffer.data[at], RELAY_FORMER_MAX);
    buffer.data[at] = RELAY_FORMER_MAX + 1;
    CHECK_STATUS(relay_request_decode(buffer_bytes(&buffer), &decoded), RR_CORRUPT);
    buffer.data[at] = 1;
    memset(buffer.data + at + 1, 0, 8);
    CHECK_STATUS(relay_request_decode(buffer_bytes(&buffer), &decoded), RR_CORRUPT);
    buffer_deinit(&buffer);
}

TEST(relay, can_answer_a_request_that_it_does_not_understand)
{
    struct buffer buffer;
    buffer_init(&buffer);
    struct relay_request request = request_of(RELAY_REMOVE);
    relay_request_encode(&buffer, &request);
    struct relay_request decoded;
    buffer.data[0] = RELAY_VERSION + 1;
    CHECK_STATUS(relay_request_decode(buffer_bytes(&buffer), &decoded), RR_MISMATCH);
    CHECK_EQ(decoded.id, UINT64_MAX);
    buffer.data[0] = RELAY_VERSION;
    buffer.data[1] = RELAY_IDENTIFY + 1;
    CHECK_STATUS(relay_request_decode(buffer_bytes(&buffer), &decoded), RR_MISMATCH);
    CHECK_EQ(decoded.id, UINT64_MAX);
    buffer_deinit(&buffer);
}

TEST(relay, brings_answers_across)
{
    struct buffer buffer;
    buffer_init(&buffer);
    struct relay_answer answer = {.id = 5,
                                  .status = RR_NOT_LEADER,
                                  .leader = 3,
                                  .leader_address = test_bytes_of("three:7000"),
                                  .message = test_bytes_of("ask node 3"),
                                  .result = test_bytes_of("result"),
                                  .has_identity = true,
                                  .identity = {1, 2, 3, true}};
    relay_answer_encode(&buffer, &answer);
    struct relay_answer decoded;
    CHECK_OK(relay_answer_decode(buffer_bytes(&buffer), &decoded));
    CHECK_EQ(decoded.id, 5);
    CHECK_STATUS(decoded.status, RR_NOT_LEADER);
    CHECK_EQ(decoded.leader, 3);
    CHECK_BYTES(decoded.leader_address, answer.leader_address);
    CHECK_BYTES(decoded.message, answer.message);
    CHECK_BYTES(decoded.result, answer.result);
    CHECK(decoded.has_identity);
    CHECK_EQ(decoded.identity.cluster, 1);
    CHECK_EQ(decoded.identity.node, 2);
    CHECK_EQ(decoded.identity.incarnation, 3);
    CHECK(decoded.identity.member);
    for (size_t size = 0; size < buffer.size; size++) {
        CHECK_STATUS(relay_answer_decode((rr_bytes){buffer.data, size}, &decoded), RR_CORRUPT);
    }
    buffer_deinit(&buffer);
}

TEST(relay, reads_a_status_of_the_future_as_unknown_and_cuts_long_messages)
{
    char text[MESSAGE_TEXT_BYTES_MAX + 100];
    memset(text, 'm', sizeof(text));
    struct buffer buffer;
    buffer_init(&buffer);
    struct relay_answer answer = {.status = (rr_status)99, .message = {text, sizeof(text)}};
    relay_answer_encode(&buffer, &answer);
    struct relay_answer decoded;
    CHECK_OK(relay_answer_decode(buffer_bytes(&buffer), &decoded));
    CHECK_STATUS(decoded.status, RR_UNKNOWN);
    CHECK_EQ(decoded.message.size, MESSAGE_TEXT_BYTES_MAX);
    CHECK(!decoded.has_identity);
    buffer_deinit(&buffer);
}
