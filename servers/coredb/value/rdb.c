/* Reads and writes the parts of DUMP's payloads. */
#include "coredb/value/rdb.h"

#include "coredb/base/number.h"

#include <math.h>
#include <string.h>

enum {
    FOOTER_BYTES = 10,
    LENGTH_6 = 0, /* the two highest bits of a length's first byte, as the next two */
    LENGTH_14 = 1,
    LENGTH_ENCODED = 3, /* not a length: the rest says how a string is encoded */
    LENGTH_32 = 0x80,   /* a whole first byte, as the next */
    LENGTH_64 = 0x81,
    STRING_INT8 = 0,
    STRING_INT16 = 1,
    STRING_INT32 = 2,
    STRING_COMPRESSED = 3,
    INTEGER_TEXT_MAX = 11, /* "-2147483648" */
    SCORE_NAN = 253,       /* instead of the size of a score's text, as the next two */
    SCORE_INFINITE = 254,
    SCORE_MINUS_INFINITE = 255,
};

uint64_t rdb_checksum(rr_bytes bytes)
{
    static const uint64_t table[16] = {
        UINT64_C(0x0000000000000000), UINT64_C(0x7d08ff3b88be6f81), UINT64_C(0xfa11fe77117cdf02),
        UINT64_C(0x8719014c99c2b083), UINT64_C(0xdf7adabd7a6e2d6f), UINT64_C(0xa2722586f2d042ee),
        UINT64_C(0x256b24ca6b12f26d), UINT64_C(0x5863dbf1e3ac9dec), UINT64_C(0x95ac9329ac4bc9b5),
        UINT64_C(0xe8a46c1224f5a634), UINT64_C(0x6fbd6d5ebd3716b7), UINT64_C(0x12b5926535897936),
        UINT64_C(0x4ad64994d625e4da), UINT64_C(0x37deb6af5e9b8b5b), UINT64_C(0xb0c7b7e3c7593bd8),
        UINT64_C(0xcdcf48d84fe75459),
    };
    const uint8_t *data = bytes.data;
    uint64_t crc = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        crc = table[(crc ^ data[i]) & 15U] ^ crc >> 4;
        crc = table[(crc ^ data[i] >> 4) & 15U] ^ crc >> 4;
    }
    return crc;
}

/* ---- Writing ---- */

static void put_little_endian(struct buffer *out, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++) {
        buffer_append_byte(out, (uint8_t)(value >> (8 * i)));
    }
}

void rdb_put_length(struct buffer *out, uint64_t length)
{
    if (length < 1U << 6) {
        buffer_append_byte(out, (uint8_t)length);
    } else if (length < 1U << 14) {
        buffer_put_u16(out, (uint16_t)(LENGTH_14 << 14 | length));
    } else if (length <= UINT32_MAX) {
        buffer_append_byte(out, LENGTH_32);
        buffer_put_u32(out, (uint32_t)length);
    } else {
        buffer_append_byte(out, LENGTH_64);
        buffer_put_u64(out, length);
    }
}

/* Writes the string as an integer of 1, 2 or 4 bytes if it is one. */
static bool put_integer(struct buffer *out, rr_bytes bytes)
{
    int64_t value;
    if (bytes.size > INTEGER_TEXT_MAX || !number_parse_i64(bytes, &value) || value < INT32_MIN ||
        value > INT32_MAX) {
        return false;
    }
    unsigned encoding = STRING_INT32;
    if (value >= INT8_MIN && value <= INT8_MAX) {
        encoding = STRING_INT8;
    } else if (value >= INT16_MIN && value <= INT16_MAX) {
        encoding = STRING_INT16;
    }
    buffer_append_byte(out, (uint8_t)(LENGTH_ENCODED << 6 | encoding));
    put_little_endian(out, (uint64_t)value, (size_t)1 << encoding);
    return true;
}

void rdb_put_string(struct buffer *out, rr_bytes bytes)
{
    if (!put_integer(out, bytes)) {
        rdb_put_length(out, bytes.size);
        buffer_append_bytes(out, bytes);
    }
}

void rdb_put_double(struct buffer *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    put_little_endian(out, bits, 8);
}

void rdb_put_u64(struct buffer *out, uint64_t value)
{
    put_little_endian(out, value, 8);
}

void rdb_put_footer(struct buffer *out)
{
    put_little_endian(out, RDB_VERSION, 2);
    put_little_endian(out, rdb_checksum(buffer_bytes(out)), 8);
}

/* ---- Reading ---- */

static uint64_t read_little_endian(struct reader *reader, size_t width)
{
    const uint8_t *data = reader_take(reader, width).data;
    uint64_t value = 0;
    for (size_t i = reader->failed ? 0 : width; i > 0; i--) {
        value = value << 8 | data[i - 1];
    }
    return value;
}

bool rdb_verify(rr_bytes payload, rr_bytes *body)
{
    if (payload.size < FOOTER_BYTES) {
        return false;
    }
    *body = (rr_bytes){payload.data, payload.size - FOOTER_BYTES};
    struct reader footer = reader_of(payload);
    (void)reader_take(&footer, body->size);
    uint64_t version = read_little_endian(&footer, 2);
    uint64_t checksum = read_little_endian(&footer, 8);
    return version <= RDB_VERSION &&
           checksum == rdb_checksum((rr_bytes){payload.data, payload.size - 8});
}

/* Reads a length, or with `*encoded` how the string that follows is encoded. */
static uint64_t read_length(struct reader *reader, bool *encoded)
{
    uint8_t first = reader_u8(reader);
    *encoded = false;
    switch (first >> 6) {
    case LENGTH_6:
        return first & 63U;
    case LENGTH_14:
        return (first & 63U) << 8 | reader_u8(reader);
    case LENGTH_ENCODED:
        *encoded = true;
        return first & 63U;
    default:
        break;
    }
    if (first == LENGTH_32) {
        return reader_u32(reader);
    }
    if (first == LENGTH_64) {
        return reader_u64(reader);
    }
    reader->failed = true;
    return 0;
}

uint64_t rdb_read_length(struct reader *reader)
{
    bool encoded;
    uint64_t length = read_length(reader, &encoded);
    reader->failed = reader->failed || encoded;
    return reader->failed ? 0 : length;
}

/* Copies `size` bytes that are `distance` before the end of `out` to its end; they may overlap. */
static bool copy_back(struct buffer *out, size_t distance, size_t size)
{
    if (distance > out->size) {
        return false;
    }
    size_t from = out->size - distance;
    for (size_t i = 0; i < size && !out->failed; i++) {
        buffer_append_byte(out, out->data[from + i]);
    }
    return true;
}

/*
 * Expands LZF: 000lllll and l + 1 bytes; lllooooo oooooooo, l + 2 bytes from o + 1 before the end;
 * 111ooooo and a byte that adds to l = 7 before the rest of the offset.
 */
static bool expand(rr_bytes packed, size_t size, struct buffer *out)
{
    struct reader reader = reader_of(packed);
    buffer_clear(out);
    while (reader.left > 0 && !reader.failed && out->size <= size && !out->failed) {
        unsigned control = reader_u8(&reader);
        if (control < 32) {
            buffer_append_bytes(out, reader_take(&reader, control + 1));
            continue;
        }
        size_t length = control >> 5;
        if (length == 7) {
            length += reader_u8(&reader);
        }
        size_t distance = ((control & 31U) << 8 | reader_u8(&reader)) + 1;
        if (reader.failed || !copy_back(out, distance, length + 2)) {
            return false;
        }
    }
    return !reader.failed && !out->failed && out->size == size;
}

static rr_bytes read_compressed(struct reader *reader, struct buffer *scratch, size_t size_max)
{
    uint64_t packed_size = rdb_read_length(reader);
    uint64_t size = rdb_read_length(reader);
    if (packed_size > reader->left || size > size_max) {
        reader->failed = true;
    }
    if (reader->failed || !expand(reader_take(reader, packed_size), size, scratch)) {
        reader->failed = true;
        return (rr_bytes){NULL, 0};
    }
    return buffer_bytes(scratch);
}

static rr_bytes read_integer(struct reader *reader, unsigned encoding, struct buffer *scratch)
{
    size_t width = (size_t)1 << encoding;
    unsigned unused = 64 - 8 * (unsigned)width;
    int64_t value = (int64_t)(read_little_endian(reader, width) << unused) >> unused;
    char text[NUMBER_TEXT_MAX];
    buffer_clear(scratch);
    buffer_append(scratch, text, number_print_i64(value, text));
    reader->failed = reader->failed || scratch->failed;
    return buffer_bytes(scratch);
}

rr_bytes rdb_read_string(struct reader *reader, struct buffer *scratch, size_t size_max)
{
    bool encoded;
    uint64_t length = read_length(reader, &encoded);
    if (encoded && length <= STRING_INT32) {
        return read_integer(reader, (unsigned)length, scratch);
    }
    if (encoded && length == STRING_COMPRESSED) {
        return read_compressed(reader, scratch, size_max);
    }
    if (encoded || length > size_max || length > reader->left) {
        reader->failed = true;
        return (rr_bytes){NULL, 0};
    }
    return reader_take(reader, length);
}

double rdb_read_double(struct reader *reader)
{
    uint64_t bits = read_little_endian(reader, 8);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

double rdb_read_double_text(struct reader *reader)
{
    uint8_t size = reader_u8(reader);
    switch (size) {
    case SCORE_NAN:
        return NAN;
    case SCORE_INFINITE:
        return INFINITY;
    case SCORE_MINUS_INFINITE:
        return -INFINITY;
    default:
        break;
    }
    rr_bytes text = reader_take(reader, size);
    double value = 0;
    if (reader->failed || !number_parse_double(text, &value)) {
        reader->failed = true;
    }
    return value;
}

uint64_t rdb_read_u64(struct reader *reader)
{
    return read_little_endian(reader, 8);
}
