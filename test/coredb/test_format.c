/* The stored forms: what is written reads back, has one form, and what is damaged is refused. */
#include "coredb/base/bytes.h"
#include "coredb/command/batch.h"
#include "coredb/value/key_record.h"
#include "coredb/value/layout.h"
#include "dice.h"
#include "support/test.h"

#include <string.h>

/* ---- Varints ---- */

static void check_varint(uint64_t value, size_t size)
{
    struct buffer bytes;
    buffer_init(&bytes);
    buffer_put_varint(&bytes, value);
    CHECK_EQ(bytes.size, size);
    struct reader reader = reader_of(buffer_bytes(&bytes));
    CHECK_EQ(reader_varint(&reader), value);
    CHECK(!reader.failed);
    CHECK_EQ(reader.left, 0);
    buffer_deinit(&bytes);
}

TEST(format, varints_take_a_byte_for_seven_bits)
{
    check_varint(0, 1);
    for (unsigned bits = 1; bits <= 64; bits++) {
        check_varint(UINT64_MAX >> (64 - bits), (bits + 6) / 7);
        check_varint(UINT64_C(1) << (bits - 1), (bits + 6) / 7);
    }
}

static void check_no_varint(const char *bytes, size_t size)
{
    struct reader reader = reader_of((rr_bytes){bytes, size});
    CHECK_EQ(reader_varint(&reader), 0);
    CHECK(reader.failed);
}

TEST(format, varints_that_are_cut_too_long_or_too_large_are_refused)
{
    check_no_varint("", 0);
    check_no_varint("\x80", 1);
    check_no_varint("\xff\xff", 2);
    check_no_varint("\x80\x00", 2);
    check_no_varint("\xff\x80\x00", 3);
    check_no_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
    check_no_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11);
}

/* ---- Records of keys ---- */

static rr_bytes encode(const struct key_record *record, struct buffer *out)
{
    buffer_clear(out);
    key_record_encode(out, record);
    CHECK(!out->failed);
    return buffer_bytes(out);
}

static void check_same(const struct key_record *left, const struct key_record *right)
{
    CHECK_EQ(left->type, right->type);
    CHECK_EQ(left->encoding, right->encoding);
    CHECK_EQ(left->expire_ms, right->expire_ms);
    CHECK_EQ(left->modified, right->modified);
    CHECK_EQ(left->object, right->object);
    CHECK_EQ(left->count, right->count);
    CHECK_EQ(left->first, right->first);
    CHECK_BYTES(left->payload, right->payload);
}

static uint64_t some_number(struct dice *dice)
{
    return dice_next(dice) >> dice_below(dice, 64);
}

static struct key_record some_record(struct dice *dice)
{
    static const struct {
        enum value_type type;
        enum value_encoding encoding;
    } kinds[] = {
        {VALUE_STRING, ENCODING_AUTO},   {VALUE_STRING, ENCODING_RAW},
        {VALUE_STRING, ENCODING_EMBSTR}, {VALUE_LIST, ENCODING_QUICKLIST},
        {VALUE_SET, ENCODING_INTSET},    {VALUE_SET, ENCODING_HASHTABLE},
        {VALUE_ZSET, ENCODING_LISTPACK}, {VALUE_ZSET, ENCODING_SKIPLIST},
        {VALUE_HASH, ENCODING_LISTPACK}, {VALUE_HASH, ENCODING_HASHTABLE},
        {VALUE_STREAM, ENCODING_STREAM},
    };
    static const char payload[] = "payload with anything \xff\x80 in it";
    int kind = dice_below(dice, sizeof kinds / sizeof kinds[0]);
    struct key_record record = {
        .type = kinds[kind].type,
        .encoding = kinds[kind].encoding,
        .expire_ms = dice_below(dice, 2) == 0 ? 0 : some_number(dice),
        .modified = some_number(dice),
        .payload = {payload, (size_t)dice_below(dice, sizeof payload)},
    };
    if (record.type != VALUE_STRING) {
        record.object = some_number(dice) | 1;
        record.count = some_number(dice);
        record.first = dice_below(dice, 2) == 0 ? 0 : (int64_t)(0 - some_number(dice));
    }
    return record;
}

TEST(format, records_of_keys_read_back)
{
    struct dice dice = {test_seed(1)};
    struct buffer bytes;
    buffer_init(&bytes);
    for (int i = 0; i < 100000; i++) {
        struct key_record record = some_record(&dice);
        struct key_record read;
        CHECK(key_record_decode(encode(&record, &bytes), &read));
        check_same(&read, &record);
        CHECK_LE(bytes.size - record.payload.size, KEY_RECORD_HEAD_BYTES_MAX);
    }
    buffer_deinit(&bytes);
}

TEST(format, the_record_of_a_small_string_takes_few_bytes_besides)
{
    struct buffer bytes;
    buffer_init(&bytes);
    struct key_record record = {
        .type = VALUE_STRING, .modified = 100000000, .payload = bytes_of("value")};
    CHECK_EQ(encode(&record, &bytes).size, 6 + 5);
    record.expire_ms = 1800000000000;
    CHECK_EQ(encode(&record, &bytes).size, 12 + 5);
    buffer_deinit(&bytes);
}

TEST(format, a_record_cut_behind_its_head_is_a_record)
{
    struct buffer bytes;
    buffer_init(&bytes);
    struct key_record record = {.type = VALUE_LIST,
                                .encoding = ENCODING_QUICKLIST,
                                .expire_ms = UINT64_MAX,
                                .modified = UINT64_MAX,
                                .object = UINT64_MAX,
                                .count = UINT64_MAX,
                                .first = INT64_MIN,
                                .payload = bytes_of("payload")};
    struct key_record read;
    CHECK_EQ(encode(&record, &bytes).size, KEY_RECORD_HEAD_BYTES_MAX + record.payload.size);
    for (size_t size = 0; size < KEY_RECORD_HEAD_BYTES_MAX; size++) {
        CHECK(!key_record_decode((rr_bytes){bytes.data, size}, &read));
    }
    CHECK(key_record_decode((rr_bytes){bytes.data, KEY_RECORD_HEAD_BYTES_MAX}, &read));
    record.payload.size = 0;
    check_same(&read, &record);
    buffer_deinit(&bytes);
}

/* Whatever is read is what would be written: no two records mean the same. */
TEST(format, damaged_records_are_refused_or_are_the_one_form_of_another)
{
    struct dice dice = {test_seed(1)};
    struct buffer bytes;
    struct buffer again;
    buffer_init(&bytes);
    buffer_init(&again);
    int refused = 0;
    for (int i = 0; i < 300000; i++) {
        struct key_record record = some_record(&dice);
        encode(&record, &bytes);
        for (int damages = dice_below(&dice, 3); damages >= 0; damages--) {
            size_t at = (size_t)dice_below(&dice, (int)bytes.size);
            bytes.data[at] ^= (uint8_t)(1 << dice_below(&dice, 8));
        }
        buffer_truncate(&bytes, (size_t)dice_below(&dice, (int)bytes.size * 2));
        struct key_record read;
        if (key_record_decode(buffer_bytes(&bytes), &read)) {
            CHECK_BYTES(encode(&read, &again), buffer_bytes(&bytes));
        } else {
            refused++;
        }
    }
    CHECK_GT(refused, 30000);
    buffer_deinit(&bytes);
    buffer_deinit(&again);
}

TEST(format, records_of_other_versions_types_and_encodings_are_refused)
{
    struct key_record read;
    CHECK(key_record_decode(bytes_of("\x11\x01\x05value"), &read));
    CHECK(!key_record_decode(bytes_of("\x21\x01\x05value"), &read)); /* version 2 */
    CHECK(!key_record_decode(bytes_of("\x01\x01\x05value"), &read)); /* version 0 */
    CHECK(!key_record_decode(bytes_of("\x10\x01\x05value"), &read)); /* no type */
    CHECK(!key_record_decode(bytes_of("\x17\x01\x05value"), &read)); /* an unknown one */
    CHECK(!key_record_decode(bytes_of("\x11\x08\x05value"), &read)); /* an encoding never stored */
    CHECK(!key_record_decode(bytes_of("\x11\x05\x05value"), &read)); /* another type's */
    CHECK(!key_record_decode(bytes_of("\x11\x41\x05value"), &read)); /* an unknown flag */
    CHECK(!key_record_decode(bytes_of("\x11\x21\x05value"), &read)); /* a string with a place */
    CHECK(!key_record_decode((rr_bytes){"\x11\x11\x05\x00", 4}, &read));     /* an expiry of 0 */
    CHECK(!key_record_decode((rr_bytes){"\x13\x04\x05\x00\x01", 5}, &read)); /* no object */
    CHECK(key_record_decode((rr_bytes){"\x13\x04\x05\x09\x01", 5}, &read));
}

/* ---- docs/coredb-format.md ---- */

#define BYTES(literal) ((rr_bytes){literal, sizeof(literal) - 1})

TEST(format, names_have_the_documented_hashes)
{
    CHECK_EQ(bytes_hash(bytes_of("")), 0x48218226ff3cd4bfU);
    CHECK_EQ(bytes_hash(bytes_of("key")), 0x4f2ae544fd631de7U);
    CHECK_EQ(bytes_hash(bytes_of("123456789")), 0x054a0d14eb3bcf4bU);
    CHECK_EQ(layout_position(bytes_of("key")) >> 50, 12539);
    CHECK_EQ(layout_position(bytes_of("a{key}b")) >> 50, 12539);
}

TEST(format, keys_have_the_documented_bytes)
{
    struct buffer bytes;
    buffer_init(&bytes);
    layout_meta(&bytes, 1, bytes_of("key"));
    CHECK_BYTES(buffer_bytes(&bytes), BYTES("\x6d\0\0\0\0\0\0\0\x01\xc3\xed\x3c\xab\x95\x13\xf5\x8c"
                                            "key"));
    struct key_record string = {
        .type = VALUE_STRING, .modified = 300, .payload = bytes_of("value")};
    CHECK_BYTES(encode(&string, &bytes), BYTES("\x11\0\xac\x02value"));
    struct key_record list = {.type = VALUE_LIST,
                              .encoding = ENCODING_QUICKLIST,
                              .expire_ms = 1800000000000,
                              .modified = 300,
                              .object = (7U << 20) + 1,
                              .count = 2,
                              .first = -1};
    CHECK_BYTES(encode(&list, &bytes), BYTES("\x12\x36\xac\x02\x80\xa0\xf1\xc2\xb1\x34"
                                             "\x81\x80\xc0\x03\x02\x01"));
    buffer_deinit(&bytes);
}

TEST(format, a_batch_has_the_documented_bytes)
{
    struct buffer bytes;
    buffer_init(&bytes);
    batch_begin_commands(&bytes, 2, &(struct waiter_id){1, 2, 3}, 0);
    batch_add_command(&bytes, 0, (rr_bytes[]){bytes_of("GET"), bytes_of("key")}, 2);
    CHECK_BYTES(buffer_bytes(&bytes), BYTES("\x01\0\x02"
                                            "\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03"
                                            "\0\0\0\0\0\0\0\0"
                                            "\0\0\0\0\0\x02\0\0\0\x03GET\0\0\0\x03key"));
    buffer_deinit(&bytes);
}
