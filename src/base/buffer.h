/*
 * A growable run of bytes, for encoders and for bytes on their way in or out.
 *
 * What cannot grow, for want of memory or for its limit, sets `failed`, and from then on nothing
 * changes the bytes until buffer_clear: an encoder writes everything and checks once at its end.
 * One thread at a time.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "rockraft/types.h"

struct buffer {
    uint8_t *data;   /* from mem_try_alloc; NULL while capacity is 0 */
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes at `data` */
    size_t size_max; /* growing past this fails; SIZE_MAX for no limit */
    bool failed;     /* an append was refused; what `data` holds is then incomplete */
};

/* An empty buffer without memory and without a limit. */
void buffer_init(struct buffer *buffer);

/* An empty buffer that never holds more than `size_max` bytes. */
void buffer_init_limited(struct buffer *buffer, size_t size_max);

/* Frees the bytes and leaves an empty buffer with the same limit. NULL is fine. */
void buffer_deinit(struct buffer *buffer);

/* Forgets the bytes and a failure; keeps the memory. */
void buffer_clear(struct buffer *buffer);

/* Makes room for `size` more bytes, so that so many do not fail. False if there is none, or if the
 * buffer had failed before; then it has failed. */
bool buffer_reserve(struct buffer *buffer, size_t size);

/* Copies `size` bytes to the end; `data` may be NULL when `size` is 0, and must not lie within the
 * buffer. On failure nothing is appended. */
void buffer_append(struct buffer *buffer, const void *data, size_t size);

void buffer_append_byte(struct buffer *buffer, uint8_t byte);

/* Appends the bytes of a C string without its zero. */
void buffer_append_text(struct buffer *buffer, const char *text);

/*
 * Adds `size` bytes to the end for the caller to fill and returns where they start, or NULL on
 * failure. The pointer lasts until the next call that appends.
 */
uint8_t *buffer_extend(struct buffer *buffer, size_t size);

/* Shortens the buffer to `size` bytes, which is no more than it has. */
void buffer_truncate(struct buffer *buffer, size_t size);

/* Removes the first `size` bytes, which the buffer has; the rest moves to the front. */
void buffer_consume(struct buffer *buffer, size_t size);

/* The bytes in use, borrowed until the buffer changes. */
rr_bytes buffer_bytes(const struct buffer *buffer);

/*
 * Hands the memory over: returns `data`, sets `size` (unless NULL) and leaves an empty buffer. The
 * caller frees it with mem_free. NULL if the buffer failed (the bytes are then freed) or if it
 * never had memory.
 */
uint8_t *buffer_steal(struct buffer *buffer, size_t *size);

#endif
