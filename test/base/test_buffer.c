#include "support/test.h"

#include "base/buffer.h"
#include "base/memory.h"

TEST(buffer, holds_what_was_appended)
{
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_append(&buffer, NULL, 0);
    buffer_append_text(&buffer, "rock");
    buffer_append_byte(&buffer, '-');
    buffer_append(&buffer, "raft", 4);
    CHECK_BYTES(buffer_bytes(&buffer), test_bytes_of("rock-raft"));
    buffer_deinit(&buffer);
    CHECK_EQ(buffer.size, 0);
}

TEST(buffer, grows_past_its_first_memory)
{
    struct buffer buffer;
    buffer_init(&buffer);
    for (unsigned i = 0; i < 100000; i++) {
        buffer_append_byte(&buffer, (uint8_t)i);
    }
    CHECK_EQ(buffer.size, 100000);
    CHECK_EQ(buffer.data[99999], (uint8_t)99999);
    CHECK(!buffer.failed);
    buffer_deinit(&buffer);
}

TEST(buffer, consumes_from_the_front)
{
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_append_text(&buffer, "abcdef");
    buffer_consume(&buffer, 2);
    CHECK_BYTES(buffer_bytes(&buffer), test_bytes_of("cdef"));
    buffer_consume(&buffer, 4);
    buffer_consume(&buffer, 0);
    CHECK_EQ(buffer.size, 0);
    CHECK_ABORTS(buffer_consume(&buffer, 1));
    buffer_deinit(&buffer);
}

TEST(buffer, fails_for_good_past_its_limit)
{
    struct buffer buffer;
    buffer_init_limited(&buffer, 5);
    buffer_append_text(&buffer, "abc");
    buffer_append_text(&buffer, "def");
    CHECK(buffer.failed);
    CHECK_BYTES(buffer_bytes(&buffer), test_bytes_of("abc"));
    buffer_append_byte(&buffer, 'd');
    CHECK_EQ(buffer.size, 3);
    buffer_clear(&buffer);
    buffer_append_text(&buffer, "abcde");
    CHECK(!buffer.failed);
    CHECK_EQ(buffer.size, 5);
    buffer_deinit(&buffer);
}

TEST(buffer, fails_on_a_size_that_overflows)
{
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_append_byte(&buffer, 1);
    CHECK(!buffer_reserve(&buffer, SIZE_MAX));
    CHECK(buffer.failed);
    buffer_deinit(&buffer);
}

TEST(buffer, fails_without_memory_and_keeps_what_it_had)
{
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_append_text(&buffer, "abc");
    mem_fail_after(1);
    CHECK(buffer_extend(&buffer, 1000) == NULL);
    CHECK(buffer.failed);
    CHECK_BYTES(buffer_bytes(&buffer), test_bytes_of("abc"));
    CHECK(buffer_steal(&buffer, NULL) == NULL);
    CHECK(!buffer.failed);
    buffer_deinit(&buffer);
}

TEST(buffer, hands_its_memory_over)
{
    struct buffer buffer;
    buffer_init_limited(&buffer, 10);
    buffer_append_text(&buffer, "abc");
    size_t size;
    uint8_t *data = buffer_steal(&buffer, &size);
    CHECK_BYTES(((rr_bytes){data, size}), test_bytes_of("abc"));
    CHECK_EQ(buffer.size, 0);
    CHECK_EQ(buffer.size_max, 10);
    mem_free(data);
    buffer_append_text(&buffer, "later");
    buffer_truncate(&buffer, 2);
    CHECK_BYTES(buffer_bytes(&buffer), test_bytes_of("la"));
    buffer_deinit(&buffer);
}

/* Growing doubles the memory, but never to more than the limit. */
TEST(buffer, reserves_up_to_its_limit)
{
    struct buffer buffer;
    buffer_init_limited(&buffer, 100);
    CHECK(buffer_reserve(&buffer, 65));
    CHECK(buffer_reserve(&buffer, 100));
    CHECK_EQ(buffer.capacity, 100);
    CHECK(!buffer_reserve(&buffer, 101));
    buffer_deinit(&buffer);
}
