#include "support/test.h"

#include "base/codec.h"
#include "base/memory.h"
#include "command/result.h"

#include <string.h>

static void check_empty(const struct result *result, size_t i)
{
    rr_bytes value = {"x", 1};
    CHECK(!result_value(result, i, &value));
    CHECK_EQ(value.size, 0);
}

static rr_status write_values(struct buffer *buffer)
{
    struct result_writer writer;
    result_writer_begin(&writer, buffer, 300, SIZE_MAX);
    bool added = result_writer_value(&writer, test_bytes_of("one")) &&
                 result_writer_absent(&writer) && result_writer_value(&writer, test_bytes_of(""));
    struct result_end end = {.status = added ? RR_OK : RR_NO_MEMORY, .branch = true};
    return result_writer_finish(&writer, &end);
}

TEST(result, tells_present_empty_and_absent_values_apart)
{
    struct buffer buffer;
    struct result result;
    buffer_init(&buffer);
    CHECK_OK(write_values(&buffer));
    CHECK_OK(result_decode(buffer_bytes(&buffer), &result));
    CHECK_STATUS(result.status, RR_OK);
    CHECK_EQ(result.index, 300);
    CHECK(result.branch);
    CHECK(!result.more);
    CHECK_TEXT(result.message, "");
    CHECK_EQ(result.count, 3);
    rr_bytes value;
    CHECK(result_value(&result, 0, &value));
    CHECK_BYTES(value, test_bytes_of("one"));
    check_empty(&result, 1);
    CHECK(result_value(&result, 2, &value));
    CHECK_EQ(value.size, 0);
    check_empty(&result, 3);
    CHECK_EQ(result_key(&result, 0).size, 0);
    CHECK_BYTES(result_bytes(&result), buffer_bytes(&buffer));
    buffer_deinit(&buffer);
}

/* docs/command-format.md shows these bytes. */
TEST(result, has_the_documented_bytes)
{
    struct buffer buffer;
    buffer_init(&buffer);
    CHECK_OK(write_values(&buffer));
    static const uint8_t expected[] = {1, 0, 1, 0xac, 2, 4, 'o', 'n', 'e', 0, 1, 5, 0, 0, 0, 9,
                                       0, 0, 0, 10,   0, 0, 0,   0,   0,   0, 0, 3, 0, 0, 0};
    CHECK_BYTES(buffer_bytes(&buffer), ((rr_bytes){expected, sizeof(expected)}));
    buffer_deinit(&buffer);
}

TEST(result, holds_pairs_with_a_mark_that_there_are_more)
{
    struct buffer buffer;
    struct result result;
    buffer_init(&buffer);
    put_raw(&buffer, "before", 6);
    struct result_writer writer;
    result_writer_begin(&writer, &buffer, 7, SIZE_MAX);
    CHECK(result_writer_pair(&writer, test_bytes_of(""), test_bytes_of("v")));
    CHECK(result_writer_pair(&writer, test_bytes_of("key"), test_bytes_of("")));
    size_t size = result_writer_size(&writer);
    CHECK_OK(result_writer_finish(&writer, &(struct result_end){.more = true}));
    CHECK_EQ(buffer.size - 6, size);

    CHECK_OK(result_decode((rr_bytes){buffer.data + 6, buffer.size - 6}, &result));
    CHECK(result.pairs);
    CHECK(result.more);
    CHECK_EQ(result.count, 2);
    CHECK_EQ(result_key(&result, 0).size, 0);
    CHECK_BYTES(result_key(&result, 1), test_bytes_of("key"));
    rr_bytes value;
    CHECK(result_value(&result, 0, &value));
    CHECK_BYTES(value, test_bytes_of("v"));
    CHECK(result_value(&result, 1, &value));
    CHECK_EQ(value.size, 0);
    check_empty(&result, 2);
    buffer_deinit(&buffer);
}

TEST(result, carries_a_status_and_a_message)
{
    struct buffer buffer;
    struct result result;
    buffer_init(&buffer);
    CHECK_OK(result_encode(&buffer, RR_STALE_SESSION, UINT64_MAX, "too late"));
    CHECK_OK(result_decode(buffer_bytes(&buffer), &result));
    CHECK_STATUS(result.status, RR_STALE_SESSION);
    CHECK_EQ(result.index, UINT64_MAX);
    CHECK_TEXT(result.message, "too late");
    check_empty(&result, 0);

    char text[MESSAGE_TEXT_BYTES_MAX + 10];
    memset(text, 'm', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    buffer_clear(&buffer);
    CHECK_OK(result_encode(&buffer, RR_OK, 0, text));
    CHECK_OK(result_decode(buffer_bytes(&buffer), &result));
    CHECK_EQ(strlen(result.message), MESSAGE_TEXT_BYTES_MAX);
    buffer_deinit(&buffer);
}

TEST(result, refuses_what_would_grow_over_its_limit)
{
    struct buffer buffer;
    buffer_init(&buffer);
    struct result_writer writer;
    result_writer_begin(&writer, &buffer, 1, 40);
    rr_bytes ten = test_bytes_of("0123456789");
    CHECK(result_writer_value(&writer, ten));
    CHECK(!result_writer_value(&writer, ten));
    CHECK(!result_writer_failed(&writer));
    CHECK(result_writer_value(&writer, test_bytes_of("")));
    CHECK_OK(result_writer_finish(&writer, &(struct result_end){.status = RR_OK}));
    CHECK_LE(buffer.size, 40);
    struct result result;
    CHECK_OK(result_decode(buffer_bytes(&buffer), &result));
    CHECK_EQ(result.count, 2);
    buffer_deinit(&buffer);
}

TEST(result, reports_every_allocation_that_fails)
{
    for (uint64_t nth = 1;; nth++) {
        struct buffer buffer;
        buffer_init(&buffer);
        mem_fail_after(nth);
        struct result_writer writer;
        result_writer_begin(&writer, &buffer, 1, SIZE_MAX);
        for (int i = 0; i < 100; i++) {
            result_writer_value(&writer, test_bytes_of("value"));
        }
        rr_status status = result_writer_finish(&writer, &(struct result_end){.status = RR_OK});
        bool pending = mem_fail_pending();
        mem_fail_after(0);
        CHECK_STATUS(status, pending ? RR_OK : RR_NO_MEMORY);
        buffer_deinit(&buffer);
        if (pending) {
            break;
        }
    }
}

TEST(result, is_refused_wherever_it_is_cut)
{
    struct buffer buffer;
    struct result result;
    buffer_init(&buffer);
    CHECK_OK(write_values(&buffer));
    for (size_t size = 0; size < buffer.size; size++) {
        CHECK_STATUS(result_decode((rr_bytes){buffer.data, size}, &result), RR_CORRUPT);
    }
    buffer_deinit(&buffer);
}

/* Whatever one byte is changed to, the result is refused or can be read within its bytes. */
TEST(result, can_be_read_whatever_byte_is_damaged)
{
    struct buffer buffer;
    buffer_init(&buffer);
    CHECK_OK(write_values(&buffer));
    for (size_t at = 0; at < buffer.size; at++) {
        uint8_t sound = buffer.data[at];
        for (int byte = 0; byte < 256; byte++) {
            buffer.data[at] = (uint8_t)byte;
            struct result result;
            if (result_decode(buffer_bytes(&buffer), &result) != RR_OK) {
                continue;
            }
            for (size_t i = 0; i < result.count; i++) {
                rr_bytes value;
                result_value(&result, i, &value);
                CHECK_LE(value.size, buffer.size);
                CHECK_LE(result_key(&result, i).size, buffer.size);
            }
        }
        buffer.data[at] = sound;
    }
    buffer_deinit(&buffer);
}
