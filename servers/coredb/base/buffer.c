/* A growing array of bytes, and the fields of coredb's own formats. */
#include "coredb/base/buffer.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 64, VARINT_MORE = 0x80 };

void buffer_init(struct buffer *buffer)
{
    *buffer = (struct buffer){0};
}

void buffer_deinit(struct buffer *buffer)
{
    if (buffer != NULL) {
        free(buffer->data);
        *buffer = (struct buffer){0};
    }
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
    buffer->failed = false;
    buffer->full = false;
}

/* Makes room for `size` bytes more; false, and failed, when there is no memory. */
static bool reserve(struct buffer *buffer, size_t size)
{
    if (buffer->failed) {
        return false;
    }
    if (buffer->limit != 0 &&
        (buffer->size > buffer->limit || size > buffer->limit - buffer->size)) {
        buffer->failed = true;
        buffer->full = true;
        return false;
    }
    if (size <= buffer->capacity - buffer->size) {
        return true;
    }
    if (size > SIZE_MAX / 4 - buffer->size) {
        buffer->failed = true;
        return false;
    }
    size_t capacity = buffer->capacity < CAPACITY_MIN ? CAPACITY_MIN : buffer->capacity;
    while (capacity < buffer->size + size) {
        capacity *= 2;
    }
    uint8_t *data = realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

uint8_t *buffer_extend(struct buffer *buffer, size_t size)
{
    if (!reserve(buffer, size)) {
        return NULL;
    }
    uint8_t *start = buffer->size == 0 ? buffer->data : buffer->data + buffer->size;
    buffer->size += size;
    return start;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (size > 0 && reserve(buffer, size)) {
        memcpy(buffer->data + buffer->size, data, size);
        buffer->size += size;
    }
}

void buffer_append_bytes(struct buffer *buffer, rr_bytes bytes)
{
    buffer_append(buffer, bytes.data, bytes.size);
}

void buffer_append_byte(struct buffer *buffer, uint8_t byte)
{
    if (reserve(buffer, 1)) {
        buffer->data[buffer->size++] = byte;
    }
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_insert(struct buffer *buffer, size_t position, const void *data, size_t size)
{
    if (size == 0 || position > buffer->size || !reserve(buffer, size)) {
        return;
    }
    memmove(buffer->data + position + size, buffer->data + position, buffer->size - position);
    memcpy(buffer->data + position, data, size);
    buffer->size += size;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    if (size == 0) {
        return;
    }
    if (size >= buffer->size) {
        buffer->size = 0;
        return;
    }
    memmove(buffer->data, buffer->data + size, buffer->size - size);
    buffer->size -= size;
}

void buffer_truncate(struct buffer *buffer, size_t size)
{
    if (size < buffer->size) {
        buffer->size = size;
    }
}

void buffer_retreat(struct buffer *buffer, size_t size)
{
    buffer_truncate(buffer, size);
    if (buffer->full) {
        buffer->failed = false;
        buffer->full = false;
    }
}

static void put_integer(struct buffer *buffer, uint64_t value, size_t width)
{
    uint8_t *out = buffer_extend(buffer, width);
    if (out == NULL) {
        return;
    }
    for (size_t i = width; i > 0; i--) {
        out[i - 1] = (uint8_t)value;
        value >>= 8;
    }
}

void buffer_put_u16(struct buffer *buffer, uint16_t value)
{
    put_integer(buffer, value, 2);
}

void buffer_put_u32(struct buffer *buffer, uint32_t value)
{
    put_integer(buffer, value, 4);
}

void buffer_put_u64(struct buffer *buffer, uint64_t value)
{
    put_integer(buffer, value, 8);
}

void buffer_put_slice(struct buffer *buffer, rr_bytes bytes)
{
    if (bytes.size > UINT32_MAX) {
        buffer->failed = true;
        return;
    }
    buffer_put_u32(buffer, (uint32_t)bytes.size);
    buffer_append_bytes(buffer, bytes);
}

void buffer_put_varint(struct buffer *buffer, uint64_t value)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    size_t size = 0;
    while (value >= VARINT_MORE) {
        bytes[size++] = (uint8_t)(value | VARINT_MORE);
        value >>= 7;
    }
    bytes[size++] = (uint8_t)value;
    buffer_append(buffer, bytes, size);
}

rr_bytes reader_take(struct reader *reader, size_t size)
{
    if (reader->failed || size > reader->left) {
        reader->failed = true;
        reader->left = 0;
        return (rr_bytes){0};
    }
    rr_bytes taken = {reader->data, size};
    if (size > 0) {
        reader->data += size;
        reader->left -= size;
    }
    return taken;
}

static uint64_t read_integer(struct reader *reader, size_t width)
{
    rr_bytes bytes = reader_take(reader, width);
    const uint8_t *data = bytes.data;
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        value = value << 8 | data[i];
    }
    return value;
}

uint8_t reader_u8(struct reader *reader)
{
    return (uint8_t)read_integer(reader, 1);
}

uint16_t reader_u16(struct reader *reader)
{
    return (uint16_t)read_integer(reader, 2);
}

uint32_t reader_u32(struct reader *reader)
{
    return (uint32_t)read_integer(reader, 4);
}

uint64_t reader_u64(struct reader *reader)
{
    return read_integer(reader, 8);
}

rr_bytes reader_slice(struct reader *reader)
{
    return reader_take(reader, reader_u32(reader));
}

uint64_t reader_varint(struct reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_u8(reader);
        uint64_t bits = byte % VARINT_MORE;
        if (bits << shift >> shift != bits) {
            break;
        }
        value |= bits << shift;
        if (byte < VARINT_MORE) {
            if (byte == 0 && shift > 0) {
                break;
            }
            return value;
        }
    }
    reader->failed = true;
    reader->left = 0;
    return 0;
}
