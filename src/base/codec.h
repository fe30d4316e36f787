/*
 * Numbers and byte strings in bytes, field by field: the one way in which anything leaves the
 * process for disk or network.
 *
 * Fixed numbers are little endian, except the _be64 ones, whose bytes sort as the numbers do.
 * A varint holds 7 bits a byte, lowest first, the high bit set on all but the last; it takes at
 * most 10 bytes, and only the shortest form is accepted, so equal values have equal bytes.
 *
 * Writers append to a buffer, whose sticky `failed` is checked once at the end. A reader never
 * reads past its end: the first value that is cut short or malformed sets its sticky `failed`, and
 * from then on everything reads as 0 or empty. Check `failed` before the values are used.
 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include "base/buffer.h"

enum { VARINT_BYTES_MAX = 10 };

void put_u8(struct buffer *buffer, uint8_t value);
void put_u16(struct buffer *buffer, uint16_t value);
void put_u32(struct buffer *buffer, uint32_t value);
void put_u64(struct buffer *buffer, uint64_t value);
void put_be64(struct buffer *buffer, uint64_t value);
void put_varint(struct buffer *buffer, uint64_t value);

/* The size as a varint, then the bytes. */
void put_bytes(struct buffer *buffer, rr_bytes bytes);

/* The bytes alone; the reader must know their size. */
void put_raw(struct buffer *buffer, const void *data, size_t size);

/* How many bytes put_varint writes for `value`. */
size_t varint_size(uint64_t value);

/* The same to and from memory that has room, for headers whose fields are filled in later. */
void store_u32(uint8_t *at, uint32_t value);
void store_u64(uint8_t *at, uint64_t value);
void store_be64(uint8_t *at, uint64_t value);
uint32_t load_u32(const uint8_t *at);
uint64_t load_u64(const uint8_t *at);
uint64_t load_be64(const uint8_t *at);

/* A position in borrowed bytes, which must outlast it and everything read from it. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

void reader_init(struct reader *reader, rr_bytes bytes);

uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
uint64_t reader_be64(struct reader *reader);

/* Fails on more than 64 bits and on a form longer than needed. */
uint64_t reader_varint(struct reader *reader);

/* A size as a varint, then so many bytes, borrowed from the input. */
rr_bytes reader_bytes(struct reader *reader);

/* The next `size` bytes, borrowed from the input. */
rr_bytes reader_raw(struct reader *reader, size_t size);

/* Moves past `size` bytes; fails when there are fewer. */
void reader_skip(struct reader *reader, size_t size);

/* How many bytes are left; 0 after a failure. */
size_t reader_left(const struct reader *reader);

/* Whether everything was read, and nothing failed: the usual last check of a decoder. */
bool reader_done(const struct reader *reader);

#endif
