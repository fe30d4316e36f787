/* Encoding and decoding. Byte order is spelled out, so it is the same on every machine. */
#include "base/codec.h"

#include "base/assert.h"

/* Writes the lowest `size` bytes of `value`, lowest first; the compiler makes it one store. */
static void store_little(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t load_little(const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

void store_u32(uint8_t *at, uint32_t value)
{
    store_little(at, value, 4);
}

void store_u64(uint8_t *at, uint64_t value)
{
    store_little(at, value, 8);
}

void store_be64(uint8_t *at, uint64_t value)
{
    store_little(at, __builtin_bswap64(value), 8);
}

uint32_t load_u32(const uint8_t *at)
{
    return (uint32_t)load_little(at, 4);
}

uint64_t load_u64(const uint8_t *at)
{
    return load_little(at, 8);
}

uint64_t load_be64(const uint8_t *at)
{
    return __builtin_bswap64(load_little(at, 8));
}

static void put_little(struct buffer *buffer, uint64_t value, size_t size)
{
    uint8_t *at = buffer_extend(buffer, size);
    if (at != NULL) {
        store_little(at, value, size);
    }
}

void put_u8(struct buffer *buffer, uint8_t value)
{
    buffer_append_byte(buffer, value);
}

void put_u16(struct buffer *buffer, uint16_t value)
{
    put_little(buffer, value, 2);
}

void put_u32(struct buffer *buffer, uint32_t value)
{
    put_little(buffer, value, 4);
}

void put_u64(struct buffer *buffer, uint64_t value)
{
    put_little(buffer, value, 8);
}

void put_be64(struct buffer *buffer, uint64_t value)
{
    put_little(buffer, __builtin_bswap64(value), 8);
}

size_t varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

void put_varint(struct buffer *buffer, uint64_t value)
{
    uint8_t *at = buffer_extend(buffer, varint_size(value));
    if (at == NULL) {
        return;
    }
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at = (uint8_t)value;
}

void put_bytes(struct buffer *buffer, rr_bytes bytes)
{
    put_varint(buffer, bytes.size);
    buffer_append(buffer, bytes.data, bytes.size);
}

void put_raw(struct buffer *buffer, const void *data, size_t size)
{
    buffer_append(buffer, data, size);
}

void reader_init(struct reader *reader, rr_bytes bytes)
{
    static const uint8_t nothing[1];
    const uint8_t *start = bytes.size == 0 ? nothing : bytes.data;
    ASSERT(start != NULL);
    *reader = (struct reader){.at = start, .end = start + bytes.size};
}

static void fail(struct reader *reader)
{
    reader->failed = true;
    reader->at = reader->end;
}

/* Moves past `size` bytes and returns where they start, or NULL after setting `failed`. */
static const uint8_t *take(struct reader *reader, size_t size)
{
    if (reader->failed || size > (size_t)(reader->end - reader->at)) {
        fail(reader);
        return NULL;
    }
    const uint8_t *start = reader->at;
    reader->at += size;
    return start;
}

static uint64_t read_little(struct reader *reader, size_t size)
{
    const uint8_t *at = take(reader, size);
    return at == NULL ? 0 : load_little(at, size);
}

uint8_t reader_u8(struct reader *reader)
{
    return (uint8_t)read_little(reader, 1);
}

uint16_t reader_u16(struct reader *reader)
{
    return (uint16_t)read_little(reader, 2);
}

uint32_t reader_u32(struct reader *reader)
{
    return (uint32_t)read_little(reader, 4);
}

uint64_t reader_u64(struct reader *reader)
{
    return read_little(reader, 8);
}

uint64_t reader_be64(struct reader *reader)
{
    return __builtin_bswap64(read_little(reader, 8));
}

uint64_t reader_varint(struct reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t *at = take(reader, 1);
        if (at == NULL) {
            return 0;
        }
        uint64_t bits = *at & 0x7f;
        bool last = (*at & 0x80) == 0;
        bool overflows = shift == 63 && bits > 1;
        bool longer_than_needed = last && bits == 0 && shift > 0;
        if (overflows || longer_than_needed) {
            break;
        }
        value |= bits << shift;
        if (last) {
            return value;
        }
    }
    fail(reader);
    return 0;
}

rr_bytes reader_bytes(struct reader *reader)
{
    uint64_t size = reader_varint(reader);
    if (size > reader_left(reader)) {
        fail(reader);
        return (rr_bytes){0};
    }
    return reader_raw(reader, (size_t)size);
}

rr_bytes reader_raw(struct reader *reader, size_t size)
{
    const uint8_t *at = take(reader, size);
    return at == NULL ? (rr_bytes){0} : (rr_bytes){.data = at, .size = size};
}

void reader_skip(struct reader *reader, size_t size)
{
    (void)take(reader, size);
}

size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

bool reader_done(const struct reader *reader)
{
    return !reader->failed && reader->at == reader->end;
}
