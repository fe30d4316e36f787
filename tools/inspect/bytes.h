/*
 * Reading bytes as docs/disk-format.md writes them. Pure functions.
 *
 * This program reads what nodes write with code of its own: it includes nothing of src/, so that
 * the document is all that both have in common.
 */
#ifndef INSPECT_BYTES_H
#define INSPECT_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes; `data` is never NULL where `size` is not 0. */
struct slice {
    const uint8_t *data;
    size_t size;
};

/* Walks over a slice. Once something was missing or malformed, `failed` stays set and all that is
 * read is 0 or empty. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

struct reader reader_of(struct slice bytes);

uint8_t read_u8(struct reader *reader);
uint32_t read_u32(struct reader *reader);
uint64_t read_u64(struct reader *reader);
uint64_t read_be64(struct reader *reader);

/* 7 bits a byte, lowest first; only the shortest form is accepted. */
uint64_t read_varint(struct reader *reader);

/* So many bytes as they are; as long as the slice that is read. */
struct slice read_raw(struct reader *reader, uint64_t size);

/* A varint size and so many bytes. */
struct slice read_bytes(struct reader *reader);

/* All that is left. */
struct slice read_rest(struct reader *reader);

/* Whether all was read, and nothing was missing. */
bool reader_is_done(const struct reader *reader);

/* XXH3 in 64 bits. */
uint64_t checksum(struct slice bytes, uint64_t seed);

/* Writes `value` at `out` as 8 bytes, lowest first. */
void put_u64(uint8_t *out, uint64_t value);

#endif
