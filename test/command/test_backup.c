#include "support/test.h"

#include "command/backup.h"

TEST(backup, brings_every_kind_of_request_across)
{
    for (int kind = BACKUP_BEGIN; kind <= BACKUP_END; kind++) {
        struct buffer buffer;
        buffer_init(&buffer);
        struct backup_request request = {.kind = (enum backup_kind)kind, .id = UINT64_MAX};
        request.covers = kind == BACKUP_BEGIN ? 300 : 0;
        request.chunk = kind == BACKUP_CHUNK ? 70000 : 0;
        backup_request_encode(&buffer, &request);
        struct backup_request decoded;
        CHECK_OK(backup_request_decode(buffer_bytes(&buffer), &decoded));
        CHECK_EQ(decoded.kind, kind);
        CHECK_EQ(decoded.id, UINT64_MAX);
        CHECK_EQ(decoded.covers, request.covers);
        CHECK_EQ(decoded.chunk, request.chunk);
        for (size_t size = 0; size < buffer.size; size++) {
            rr_bytes cut = {buffer.data, size};
            CHECK_STATUS(backup_request_decode(cut, &decoded), RR_CORRUPT);
        }
        buffer_append_byte(&buffer, 77);
        CHECK_OK(backup_request_decode(buffer_bytes(&buffer), &decoded));
        buffer.data[0] = BACKUP_VERSION + 1;
        CHECK_STATUS(backup_request_decode(buffer_bytes(&buffer), &decoded), RR_MISMATCH);
        buffer.data[0] = BACKUP_VERSION;
        buffer.data[1] = BACKUP_END + 1;
        CHECK_STATUS(backup_request_decode(buffer_bytes(&buffer), &decoded), RR_MISMATCH);
        buffer_deinit(&buffer);
    }
}

TEST(backup, asks_for_none_without_a_number)
{
    struct buffer buffer;
    buffer_init(&buffer);
    struct backup_request request = {.kind = BACKUP_END};
    backup_request_encode(&buffer, &request);
    CHECK_STATUS(backup_request_decode(buffer_bytes(&buffer), &request), RR_CORRUPT);
    buffer_deinit(&buffer);
}

TEST(backup, brings_every_kind_of_answer_across)
{
    for (int kind = BACKUP_BEGIN; kind <= BACKUP_END; kind++) {
        struct buffer buffer;
        buffer_init(&buffer);
        struct backup_answer answer = {.status = RR_OK,
                                       .cluster = 77,
                                       .node = 3,
                                       .covers = 1234,
                                       .manifest = test_bytes_of("manifest"),
                                       .checksum = 99,
                                       .bytes = test_bytes_of("chunk")};
        backup_answer_encode(&buffer, (enum backup_kind)kind, &answer);
        struct backup_answer decoded;
        CHECK_OK(backup_answer_decode(buffer_bytes(&buffer), (enum backup_kind)kind, &decoded));
        CHECK_OK(decoded.status);
        CHECK(!decoded.preparing);
        if (kind == BACKUP_BEGIN) {
            CHECK_EQ(decoded.cluster, 77);
            CHECK_EQ(decoded.node, 3);
            CHECK_EQ(decoded.covers, 1234);
            CHECK_BYTES(decoded.manifest, answer.manifest);
        }
        if (kind == BACKUP_CHUNK) {
            CHECK_EQ(decoded.checksum, 99);
            CHECK_BYTES(decoded.bytes, answer.bytes);
        }
        for (size_t size = 0; size < buffer.size; size++) {
            rr_bytes cut = {buffer.data, size};
            CHECK_STATUS(backup_answer_decode(cut, (enum backup_kind)kind, &decoded), RR_CORRUPT);
        }
        buffer_deinit(&buffer);
    }
}

TEST(backup, says_why_there_is_none)
{
    struct buffer buffer;
    buffer_init(&buffer);
    struct backup_answer answer = {
        .status = RR_BUSY, .text = test_bytes_of("a moment"), .preparing = true};
    backup_answer_encode(&buffer, BACKUP_BEGIN, &answer);
    struct backup_answer decoded;
    CHECK_OK(backup_answer_decode(buffer_bytes(&buffer), BACKUP_BEGIN, &decoded));
    CHECK_STATUS(decoded.status, RR_BUSY);
    CHECK(decoded.preparing);
    CHECK_BYTES(decoded.text, answer.text);
    buffer.data[1] = 200;
    CHECK_OK(backup_answer_decode(buffer_bytes(&buffer), BACKUP_BEGIN, &decoded));
    CHECK_STATUS(decoded.status, RR_UNKNOWN);
    buffer.data[0] = BACKUP_VERSION + 1;
    CHECK_STATUS(backup_answer_decode(buffer_bytes(&buffer), BACKUP_BEGIN, &decoded), RR_MISMATCH);
    buffer_deinit(&buffer);
}
