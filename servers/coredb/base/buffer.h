/*
 * A growing array of bytes. Memory that runs out is remembered (`failed`) and later appends do
 * nothing, so that a writer checks once at its end. One thread at a time.
 */
#ifndef COREDB_BASE_BUFFER_H
#define COREDB_BASE_BUFFER_H

#include <rockraft/types.h>

struct buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t limit; /* appends that would pass this size fail; 0: none */
    bool failed;
    bool full; /* failed because of the limit, not for memory */
};

void buffer_init(struct buffer *buffer);
void buffer_deinit(struct buffer *buffer); /* NULL is fine */

/* Forgets the contents and the failure, keeps the memory and the limit. */
void buffer_clear(struct buffer *buffer);

void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_append_bytes(struct buffer *buffer, rr_bytes bytes);
void buffer_append_byte(struct buffer *buffer, uint8_t byte);
void buffer_append_text(struct buffer *buffer, const char *text);

/* Appends `size` bytes of no particular value and returns them, or NULL without memory. */
uint8_t *buffer_extend(struct buffer *buffer, size_t size);

/* Puts bytes in at `position`, moving what follows. */
void buffer_insert(struct buffer *buffer, size_t position, const void *data, size_t size);

/* Takes `size` bytes away from the front. */
void buffer_consume(struct buffer *buffer, size_t size);

/* Shortens to `size`. */
void buffer_truncate(struct buffer *buffer, size_t size);

/* The same, and forgets that the limit was met. */
void buffer_retreat(struct buffer *buffer, size_t size);

static inline rr_bytes buffer_bytes(const struct buffer *buffer)
{
    return (rr_bytes){buffer->data, buffer->size};
}

/* ---- Fields of coredb's own formats: big-endian integers, bytes after a 32-bit size; varints: 7
 * bits in each byte, the lowest first, the high bit set in all but the last ---- */

enum { VARINT_BYTES_MAX = 10 };

void buffer_put_u16(struct buffer *buffer, uint16_t value);
void buffer_put_u32(struct buffer *buffer, uint32_t value);
void buffer_put_u64(struct buffer *buffer, uint64_t value);
void buffer_put_slice(struct buffer *buffer, rr_bytes bytes);
void buffer_put_varint(struct buffer *buffer, uint64_t value);

/* Reads such fields. What is missing reads as 0 or empty, and `failed` is set for good. */
struct reader {
    const uint8_t *data;
    size_t left;
    bool failed;
};

static inline struct reader reader_of(rr_bytes bytes)
{
    return (struct reader){bytes.data, bytes.size, false};
}

uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
uint64_t reader_varint(struct reader *reader);            /* one that could be shorter fails */
rr_bytes reader_take(struct reader *reader, size_t size); /* borrowed */
rr_bytes reader_slice(struct reader *reader);             /* borrowed */

#endif
