#include "inspect/bytes.h"

#include <string.h>
#include <xxhash.h>

struct reader reader_of(struct slice bytes)
{
    static const uint8_t nothing;
    const uint8_t *data = bytes.data == NULL ? &nothing : bytes.data;
    return (struct reader){data, data + bytes.size, false};
}

struct slice read_raw(struct reader *reader, uint64_t size)
{
    if (reader->failed || size > (uint64_t)(reader->end - reader->at)) {
        reader->failed = true;
        return (struct slice){reader->end, 0};
    }
    struct slice bytes = {reader->at, (size_t)size};
    reader->at += size;
    return bytes;
}

static uint64_t read_little(struct reader *reader, size_t size)
{
    struct slice bytes = read_raw(reader, size);
    uint64_t value = 0;
    for (size_t i = bytes.size; i-- > 0;) {
        value = value << 8 | bytes.data[i];
    }
    return value;
}

uint8_t read_u8(struct reader *reader)
{
    return (uint8_t)read_little(reader, 1);
}

uint32_t read_u32(struct reader *reader)
{
    return (uint32_t)read_little(reader, 4);
}

uint64_t read_u64(struct reader *reader)
{
    return read_little(reader, 8);
}

uint64_t read_be64(struct reader *reader)
{
    struct slice bytes = read_raw(reader, 8);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        value = value << 8 | bytes.data[i];
    }
    return value;
}

uint64_t read_varint(struct reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = read_u8(reader);
        if (reader->failed) {
            return 0;
        }
        bool is_last = (byte & 0x80) == 0;
        bool is_too_long = shift > 0 && byte == 0;
        bool is_too_big = shift == 63 && byte > 1;
        if (is_too_long || is_too_big) {
            break;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (is_last) {
            return value;
        }
    }
    reader->failed = true;
    return 0;
}

struct slice read_bytes(struct reader *reader)
{
    uint64_t size = read_varint(reader);
    return read_raw(reader, size);
}

struct slice read_rest(struct reader *reader)
{
    return read_raw(reader, (uint64_t)(reader->end - reader->at));
}

bool reader_is_done(const struct reader *reader)
{
    return !reader->failed && reader->at == reader->end;
}

uint64_t checksum(struct slice bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.size, seed);
}

void put_u64(uint8_t *out, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}
