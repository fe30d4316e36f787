/*
 * An answer as bytes: what rr_result shows, what a session keeps of its last write, and what one
 * node tells another.
 *
 * Values are found by a table of offsets at the end, so that decoding needs no memory and any value
 * is reached at once.
 */
#ifndef COMMAND_RESULT_H
#define COMMAND_RESULT_H

#include "rockraft/types.h"

#include "base/buffer.h"
#include "command/command_limits.h"

/* ---- Writing ---- */

/*
 * Writes one result to the end of a buffer. Memory that cannot be had, or the buffer's limit, shows
 * in `failed` of the buffers and in what result_writer_finish returns.
 */
struct result_writer {
    struct buffer *buffer;
    struct buffer offsets;
    size_t start; /* of this result in `buffer` */
    size_t size_max;
    uint32_t count;
    bool pairs;
};

/* Begins a result of at most `size_max` bytes, table included (SIZE_MAX: no limit). */
void result_writer_begin(struct result_writer *writer, struct buffer *buffer, uint64_t index,
                         size_t size_max);

/* Adds a value, an absent value, a pair. A result holds values or pairs, not both. False, and
 * nothing is added, when it would grow past its limit or a buffer has failed. */
bool result_writer_value(struct result_writer *writer, rr_bytes value);
bool result_writer_absent(struct result_writer *writer);
bool result_writer_pair(struct result_writer *writer, rr_bytes key, rr_bytes value);

/* Whether memory was missing, as against a limit that was met. */
bool result_writer_failed(const struct result_writer *writer);

/* How many bytes the result would have if it ended now, without a message. */
size_t result_writer_size(const struct result_writer *writer);

struct result_end {
    rr_status status;
    bool branch;         /* transactions: the conditions held */
    bool more;           /* scans: there is more after the last key */
    const char *message; /* NULL or "": none; cut at MESSAGE_TEXT_BYTES_MAX */
};

/*
 * Ends the result; the writer is done and holds no memory. RR_OK, or RR_NO_MEMORY: then the buffer
 * has failed, or is as it was before result_writer_begin.
 */
RR_MUST_USE rr_status result_writer_finish(struct result_writer *writer,
                                           const struct result_end *end);

/* Gives the result up: the buffer is as it was before, unless it has failed. */
void result_writer_abandon(struct result_writer *writer);

/* A result without values, in one call. RR_OK or RR_NO_MEMORY. */
RR_MUST_USE rr_status result_encode(struct buffer *buffer, rr_status status, uint64_t index,
                                    const char *message);

/* ---- Reading ---- */

/* A decoded result; it borrows its bytes. Zeroed but for a `message`, it is an empty answer. */
struct result {
    rr_status status;
    uint64_t index;
    bool branch;
    bool more;
    bool pairs;
    uint32_t count;
    const char *message; /* terminated, never NULL; "" if none */
    const uint8_t *bytes;
    size_t items_end;       /* offset in `bytes` behind the last item */
    const uint8_t *offsets; /* little-endian 32-bit numbers, one for each item */
};

/* Checks all of `bytes`: RR_OK or RR_CORRUPT. Bytes from this process may skip the check of each
 * item with result_decode_trusted, which takes the same time for any count. */
RR_MUST_USE rr_status result_decode(rr_bytes bytes, struct result *out);
void result_decode_trusted(rr_bytes bytes, struct result *out);

/* The i-th value; false when it is absent or there is none (`value` is then empty). */
bool result_value(const struct result *result, size_t i, rr_bytes *value);

/* All of the encoded bytes. */
rr_bytes result_bytes(const struct result *result);

/* The i-th key of pairs, or empty. */
rr_bytes result_key(const struct result *result, size_t i);

#endif
