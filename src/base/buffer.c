/* The growable byte buffer: doubles its memory, or says once and for all that it could not. */
#include "base/buffer.h"

#include "base/assert.h"
#include "base/memory.h"

#include <string.h>

enum { BUFFER_CAPACITY_MIN = 64 };

void buffer_init(struct buffer *buffer)
{
    buffer_init_limited(buffer, SIZE_MAX);
}

void buffer_init_limited(struct buffer *buffer, size_t size_max)
{
    *buffer = (struct buffer){.size_max = size_max};
}

void buffer_deinit(struct buffer *buffer)
{
    if (buffer == NULL) {
        return;
    }
    mem_free(buffer->data);
    buffer_init_limited(buffer, buffer->size_max);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
    buffer->failed = false;
}

/* The next capacity that holds `needed` bytes: doubled, but not past the limit. */
static size_t grown_capacity(const struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity < BUFFER_CAPACITY_MIN ? BUFFER_CAPACITY_MIN : 0;
    if (capacity == 0) {
        capacity = buffer->capacity <= SIZE_MAX / 2 ? buffer->capacity * 2 : SIZE_MAX;
    }
    if (capacity > buffer->size_max) {
        capacity = buffer->size_max;
    }
    return capacity < needed ? needed : capacity;
}

bool buffer_reserve(struct buffer *buffer, size_t size)
{
    if (buffer->failed) {
        return false;
    }
    if (size <= buffer->capacity - buffer->size && buffer->size + size <= buffer->size_max) {
        return true;
    }
    size_t needed;
    if (__builtin_add_overflow(buffer->size, size, &needed) || needed > buffer->size_max) {
        buffer->failed = true;
        return false;
    }
    size_t capacity = grown_capacity(buffer, needed);
    uint8_t *data = mem_try_resize(buffer->data, capacity);
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
    if (!buffer_reserve(buffer, size)) {
        return NULL;
    }
    uint8_t *start = buffer->data + buffer->size;
    buffer->size += size;
    return start;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (size == 0) {
        return;
    }
    ASSERT(data != NULL);
    uint8_t *start = buffer_extend(buffer, size);
    if (start != NULL) {
        memcpy(start, data, size);
    }
}

void buffer_append_byte(struct buffer *buffer, uint8_t byte)
{
    uint8_t *start = buffer_extend(buffer, 1);
    if (start != NULL) {
        *start = byte;
    }
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_truncate(struct buffer *buffer, size_t size)
{
    ASSERT(size <= buffer->size);
    buffer->size = size;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    ASSERT(size <= buffer->size);
    buffer->size -= size;
    if (buffer->size > 0 && size > 0) {
        memmove(buffer->data, buffer->data + size, buffer->size);
    }
}

rr_bytes buffer_bytes(const struct buffer *buffer)
{
    return (rr_bytes){.data = buffer->data, .size = buffer->size};
}

uint8_t *buffer_steal(struct buffer *buffer, size_t *size)
{
    if (buffer->failed) {
        buffer_deinit(buffer);
    }
    uint8_t *data = buffer->data;
    if (size != NULL) {
        *size = buffer->size;
    }
    buffer_init_limited(buffer, buffer->size_max);
    return data;
}
