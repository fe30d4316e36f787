/*
 * Listpack: u32 size, u16 count, elements, 0xff; an element is its encoding and data, then its own
 * size (seven bits a byte, for walks backwards). Ziplist: u32 size, u32 tail, u16 count, elements,
 * 0xff; an element is the size of the one before, its encoding, data. Intset: u32 width, u32 count,
 * integers. All little-endian. Sizes for walks backwards are passed over.
 */
#include "coredb/value/packed.h"

enum {
    LISTPACK_HEADER_BYTES = 6,
    ZIPLIST_HEADER_BYTES = 10,
    PACKED_END = 0xff,
    ZIPLIST_LONG = 254, /* the size of the element before is in 4 more bytes */
    LISTPACK_COUNT_UNKNOWN = 0xffff,
};

static int64_t read_signed(struct reader *reader, unsigned width)
{
    const uint8_t *data = reader_take(reader, width).data;
    uint64_t value = 0;
    for (unsigned i = reader->failed ? 0 : width; i > 0; i--) {
        value = value << 8 | data[i - 1];
    }
    unsigned unused = 64 - 8 * width;
    return (int64_t)(value << unused) >> unused;
}

static uint32_t read_u32(struct reader *reader)
{
    return (uint32_t)read_signed(reader, 4);
}

void packed_begin(struct packed *packed, enum packed_kind kind, rr_bytes bytes)
{
    *packed = (struct packed){.kind = kind, .reader = reader_of(bytes)};
    struct reader *reader = &packed->reader;
    uint32_t first = read_u32(reader); /* the size, or an intset's width */
    switch (kind) {
    case PACKED_LISTPACK:
        (void)reader_take(reader, LISTPACK_HEADER_BYTES - 4);
        packed->failed = first != bytes.size;
        break;
    case PACKED_ZIPLIST:
        (void)reader_take(reader, ZIPLIST_HEADER_BYTES - 4);
        packed->failed = first != bytes.size;
        break;
    case PACKED_INTSET: {
        uint64_t count = read_u32(reader);
        packed->width = first;
        packed->failed = (first != 2 && first != 4 && first != 8) || reader->left != count * first;
        break;
    }
    }
    packed->failed = packed->failed || reader->failed;
}

/* An element: bytes, or an integer when `is_integer`. */
struct item {
    bool is_integer;
    int64_t integer;
    rr_bytes bytes;
};

static struct item integer_item(int64_t value)
{
    return (struct item){.is_integer = true, .integer = value};
}

static struct item bytes_item(struct reader *reader, uint32_t size)
{
    return (struct item){.bytes = reader_take(reader, size)};
}

/* ---- Listpacks ---- */

static struct item listpack_element(struct reader *reader)
{
    uint8_t first = reader_u8(reader);
    if (first < 0x80) {
        return integer_item(first);
    }
    if (first < 0xc0) {
        return bytes_item(reader, first & 0x3fU);
    }
    if (first < 0xe0) {
        unsigned value = (first & 0x1fU) << 8 | reader_u8(reader);
        return integer_item(value < 1U << 12 ? (int64_t)value : (int64_t)value - (1 << 13));
    }
    if (first < 0xf0) {
        uint32_t size = (first & 0x0fU) << 8;
        return bytes_item(reader, size | reader_u8(reader));
    }
    switch (first) {
    case 0xf0:
        return bytes_item(reader, read_u32(reader));
    case 0xf1:
        return integer_item(read_signed(reader, 2));
    case 0xf2:
        return integer_item(read_signed(reader, 3));
    case 0xf3:
        return integer_item(read_signed(reader, 4));
    case 0xf4:
        return integer_item(read_signed(reader, 8));
    default:
        reader->failed = true;
        return integer_item(0);
    }
}

/* How many bytes tell the size of an element of `size` bytes. */
static unsigned listpack_back_bytes(size_t size)
{
    if (size <= 127) {
        return 1;
    }
    if (size < 16383) {
        return 2;
    }
    if (size < 2097151) {
        return 3;
    }
    return size < 268435455 ? 4 : 5;
}

static struct item listpack_next(struct reader *reader)
{
    size_t left = reader->left;
    struct item item = listpack_element(reader);
    (void)reader_take(reader, listpack_back_bytes(left - reader->left));
    return item;
}

/* ---- Ziplists ---- */

static struct item ziplist_element(struct reader *reader)
{
    uint8_t first = reader_u8(reader);
    if (first < 0x40) {
        return bytes_item(reader, first);
    }
    if (first < 0x80) {
        uint32_t size = (first & 0x3fU) << 8;
        return bytes_item(reader, size | reader_u8(reader));
    }
    if (first < 0xc0) {
        return bytes_item(reader, reader_u32(reader));
    }
    switch (first) {
    case 0xc0:
        return integer_item(read_signed(reader, 2));
    case 0xd0:
        return integer_item(read_signed(reader, 4));
    case 0xe0:
        return integer_item(read_signed(reader, 8));
    case 0xf0:
        return integer_item(read_signed(reader, 3));
    case 0xfe:
        return integer_item(read_signed(reader, 1));
    default:
        break;
    }
    if (first < 0xf1 || first > 0xfd) {
        reader->failed = true;
    }
    return integer_item((first & 0x0f) - 1);
}

static struct item ziplist_next(struct reader *reader)
{
    if (reader_u8(reader) >= ZIPLIST_LONG) {
        (void)reader_take(reader, 4);
    }
    return ziplist_element(reader);
}

/* ---- All ---- */

/* Whether the walk is at its end, which must be that of the bytes, too. */
static bool at_end(struct packed *packed)
{
    struct reader *reader = &packed->reader;
    if (packed->kind == PACKED_INTSET) {
        return reader->left == 0;
    }
    if (reader->left == 0) {
        packed->failed = true; /* the end mark is missing */
        return true;
    }
    if (reader->data[0] != PACKED_END) {
        return false;
    }
    packed->failed = reader->left != 1;
    return true;
}

static bool next_item(struct packed *packed, struct item *out)
{
    if (packed->failed || at_end(packed)) {
        return false;
    }
    switch (packed->kind) {
    case PACKED_LISTPACK:
        *out = listpack_next(&packed->reader);
        break;
    case PACKED_ZIPLIST:
        *out = ziplist_next(&packed->reader);
        break;
    case PACKED_INTSET:
        *out = integer_item(read_signed(&packed->reader, packed->width));
        break;
    }
    packed->failed = packed->reader.failed;
    return !packed->failed;
}

bool packed_next(struct packed *packed, rr_bytes *out)
{
    struct item item = {0};
    if (!next_item(packed, &item)) {
        return false;
    }
    *out = item.bytes;
    if (item.is_integer) {
        *out = (rr_bytes){packed->text, number_print_i64(item.integer, packed->text)};
    }
    return true;
}

bool packed_next_integer(struct packed *packed, int64_t *out)
{
    struct item item = {0};
    if (!next_item(packed, &item) ||
        (!item.is_integer && !number_parse_i64(item.bytes, &item.integer))) {
        packed->failed = true;
        return false;
    }
    *out = item.integer;
    return true;
}

/* ---- Writing listpacks ---- */

static void put_little_endian(struct buffer *out, uint64_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++) {
        buffer_append_byte(out, (uint8_t)(value >> (8 * i)));
    }
}

void listpack_begin(struct buffer *out)
{
    buffer_clear(out);
    put_little_endian(out, 0, LISTPACK_HEADER_BYTES);
}

/* The size of the element that began at `start`, the most significant seven bits first; all bytes
 * but the first have the highest bit set. */
static void put_back_size(struct buffer *out, size_t start)
{
    size_t size = out->size - start;
    unsigned count = listpack_back_bytes(size);
    for (unsigned i = count; i > 0; i--) {
        unsigned bits = (size >> (7 * (i - 1))) & 127U;
        buffer_append_byte(out, (uint8_t)(i == count ? bits : bits | 128U));
    }
}

void listpack_put_integer(struct buffer *out, int64_t value)
{
    size_t start = out->size;
    if (value >= 0 && value < 0x80) {
        buffer_append_byte(out, (uint8_t)value);
    } else if (value >= -(1 << 12) && value < 1 << 12) {
        buffer_put_u16(out, (uint16_t)(0xc000U | ((uint64_t)value & 0x1fffU)));
    } else if (value >= INT16_MIN && value <= INT16_MAX) {
        buffer_append_byte(out, 0xf1);
        put_little_endian(out, (uint64_t)value, 2);
    } else if (value >= -(1 << 23) && value < 1 << 23) {
        buffer_append_byte(out, 0xf2);
        put_little_endian(out, (uint64_t)value, 3);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        buffer_append_byte(out, 0xf3);
        put_little_endian(out, (uint64_t)value, 4);
    } else {
        buffer_append_byte(out, 0xf4);
        put_little_endian(out, (uint64_t)value, 8);
    }
    put_back_size(out, start);
}

void listpack_put(struct buffer *out, rr_bytes bytes)
{
    int64_t value;
    if (number_parse_i64(bytes, &value)) {
        listpack_put_integer(out, value);
        return;
    }
    size_t start = out->size;
    if (bytes.size < 1U << 6) {
        buffer_append_byte(out, (uint8_t)(0x80U | bytes.size));
    } else if (bytes.size < 1U << 12) {
        buffer_put_u16(out, (uint16_t)(0xe000U | bytes.size));
    } else {
        buffer_append_byte(out, 0xf0);
        put_little_endian(out, bytes.size, 4);
    }
    buffer_append_bytes(out, bytes);
    put_back_size(out, start);
}

void listpack_end(struct buffer *out, size_t count)
{
    buffer_append_byte(out, PACKED_END);
    if (out->failed) {
        return;
    }
    size_t known = count < LISTPACK_COUNT_UNKNOWN ? count : LISTPACK_COUNT_UNKNOWN;
    for (unsigned i = 0; i < 4; i++) {
        out->data[i] = (uint8_t)(out->size >> (8 * i));
    }
    out->data[4] = (uint8_t)known;
    out->data[5] = (uint8_t)(known >> 8);
}
