#include "support/test.h"

#include "base/codec.h"
#include "base/random.h"

static struct reader reader_of(const struct buffer *buffer)
{
    struct reader reader;
    reader_init(&reader, buffer_bytes(buffer));
    return reader;
}

/* A reader of bytes written out in the test. */
#define READER(...)                                                                                \
    reader_of(&(struct buffer){.data = (uint8_t[]){__VA_ARGS__},                                   \
                               .size = sizeof((uint8_t[]){__VA_ARGS__})})

TEST(codec, reads_back_what_it_wrote)
{
    struct buffer buffer;
    buffer_init(&buffer);
    put_u8(&buffer, 0xfe);
    put_u16(&buffer, 0xfedc);
    put_u32(&buffer, 0xfedcba98);
    put_u64(&buffer, UINT64_C(0xfedcba9876543210));
    put_be64(&buffer, UINT64_C(0x0123456789abcdef));
    put_varint(&buffer, 300);
    put_bytes(&buffer, test_bytes_of("value"));
    put_raw(&buffer, "raw", 3);
    CHECK(!buffer.failed);

    struct reader reader = reader_of(&buffer);
    CHECK_EQ(reader_u8(&reader), 0xfe);
    CHECK_EQ(reader_u16(&reader), 0xfedc);
    CHECK_EQ(reader_u32(&reader), 0xfedcba98);
    CHECK_EQ(reader_u64(&reader), UINT64_C(0xfedcba9876543210));
    CHECK_EQ(reader_be64(&reader), UINT64_C(0x0123456789abcdef));
    CHECK_EQ(reader_varint(&reader), 300);
    CHECK_BYTES(reader_bytes(&reader), test_bytes_of("value"));
    CHECK_EQ(reader_left(&reader), 3);
    CHECK(!reader_done(&reader));
    CHECK_BYTES(reader_raw(&reader, 3), test_bytes_of("raw"));
    CHECK(reader_done(&reader));
    buffer_deinit(&buffer);
}

/* The formats on disk and wire rest on these bytes: they never change. */
TEST(codec, writes_these_very_bytes)
{
    struct buffer buffer;
    buffer_init(&buffer);
    put_u32(&buffer, 0x01020304);
    put_be64(&buffer, 0x0102);
    put_varint(&buffer, 0);
    put_varint(&buffer, 127);
    put_varint(&buffer, 128);
    put_varint(&buffer, 16384);
    put_bytes(&buffer, test_bytes_of("a"));
    static const uint8_t expected[] = {4, 3, 2,    1,    0,    0,    0,    0,    0,    0,  1,
                                       2, 0, 0x7f, 0x80, 0x01, 0x80, 0x80, 0x01, 0x01, 'a'};
    CHECK_BYTES(buffer_bytes(&buffer), ((rr_bytes){expected, sizeof(expected)}));
    buffer_deinit(&buffer);

    uint8_t memory[8];
    store_u32(memory, 0x01020304);
    CHECK_EQ(memory[0], 4);
    CHECK_EQ(load_u32(memory), 0x01020304);
    store_u64(memory, 7);
    CHECK_EQ(memory[0], 7);
    CHECK_EQ(load_u64(memory), 7);
    store_be64(memory, 7);
    CHECK_EQ(memory[7], 7);
    CHECK_EQ(load_be64(memory), 7);
}

TEST(codec, reads_back_varints_of_every_size)
{
    struct buffer buffer;
    buffer_init(&buffer);
    for (unsigned bits = 0; bits < 64; bits++) {
        uint64_t power = UINT64_C(1) << bits;
        uint64_t values[] = {power - 1, power, power + 1, ~power, UINT64_MAX};
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
            buffer_clear(&buffer);
            put_varint(&buffer, values[i]);
            CHECK_EQ(buffer.size, varint_size(values[i]));
            CHECK_LE(buffer.size, VARINT_BYTES_MAX);
            struct reader reader = reader_of(&buffer);
            CHECK_EQ(reader_varint(&reader), values[i]);
            CHECK(reader_done(&reader));
        }
    }
    buffer_deinit(&buffer);
}

TEST(codec, refuses_a_varint_longer_than_needed)
{
    struct reader zero = READER(0x80, 0x00);
    CHECK_EQ(reader_varint(&zero), 0);
    CHECK(zero.failed);
    struct reader one = READER(0x81, 0x80, 0x00);
    CHECK_EQ(reader_varint(&one), 0);
    CHECK(one.failed);
}

TEST(codec, refuses_a_varint_of_more_than_64_bits)
{
    struct reader large = READER(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02);
    reader_varint(&large);
    CHECK(large.failed);
    struct reader endless = READER(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0);
    reader_varint(&endless);
    CHECK(endless.failed);
    struct reader largest = READER(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01);
    CHECK_EQ(reader_varint(&largest), UINT64_MAX);
    CHECK(!largest.failed);
}

TEST(codec, stays_failed_once_it_ran_out_of_bytes)
{
    struct reader reader = READER(1, 2, 3);
    CHECK_EQ(reader_u32(&reader), 0);
    CHECK(reader.failed);
    CHECK_EQ(reader_u8(&reader), 0);
    CHECK_EQ(reader_left(&reader), 0);
    CHECK_EQ(reader_varint(&reader), 0);
    CHECK_EQ(reader_raw(&reader, 0).size, 0);
    CHECK(!reader_done(&reader));
}

TEST(codec, refuses_bytes_and_skips_past_the_end)
{
    struct reader bytes = READER(3, 'a', 'b');
    CHECK_EQ(reader_bytes(&bytes).size, 0);
    CHECK(bytes.failed);
    struct reader huge = READER(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 'a');
    CHECK_EQ(reader_bytes(&huge).size, 0);
    CHECK(huge.failed);
    struct reader skip = READER(1, 2);
    reader_skip(&skip, 2);
    CHECK(reader_done(&skip));
    reader_skip(&skip, 1);
    CHECK(skip.failed);
}

TEST(codec, reads_nothing_from_nothing)
{
    struct reader reader;
    reader_init(&reader, (rr_bytes){NULL, 0});
    CHECK(reader_done(&reader));
    CHECK_EQ(reader_bytes(&reader).size, 0);
    CHECK(reader.failed);
}

TEST(codec, leaves_the_writing_to_a_buffer_that_failed)
{
    struct buffer buffer;
    buffer_init_limited(&buffer, 3);
    put_u16(&buffer, 1);
    put_varint(&buffer, 300);
    put_u8(&buffer, 1);
    put_bytes(&buffer, test_bytes_of("a"));
    CHECK(buffer.failed);
    CHECK_EQ(buffer.size, 2);
    buffer_deinit(&buffer);
}
