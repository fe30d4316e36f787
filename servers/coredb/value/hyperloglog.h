/*
 * HyperLogLogs: strings in Redis's own format, so that a client may move them as bytes. 16,384
 * registers of 6 bits, dense or as runs (sparse), after a header of 16 bytes with a cached count.
 *
 * The bytes may come from anyone: every function but those that say so bears any contents that
 * hyperloglog_is accepts. No I/O; one thread at a time.
 */
#ifndef COREDB_VALUE_HYPERLOGLOG_H
#define COREDB_VALUE_HYPERLOGLOG_H

#include "coredb/base/buffer.h"

enum {
    HYPERLOGLOG_REGISTERS = 16384,
    HYPERLOGLOG_SPARSE_BYTES_MAX = 3000, /* a longer one becomes dense, as Redis's default */
};

/* How changing one ended. */
enum hyperloglog_change {
    HYPERLOGLOG_SAME = 0,
    HYPERLOGLOG_CHANGED = 1,
    HYPERLOGLOG_CORRUPT = 2, /* then the bytes are of no use any more: drop them */
};

/* Whether the bytes begin as a HyperLogLog; the runs of a sparse one may still be damaged. */
bool hyperloglog_is(rr_bytes bytes);
bool hyperloglog_is_dense(rr_bytes bytes);

/* Replaces the contents by an empty, sparse one. */
void hyperloglog_create(struct buffer *bytes);

/* Counts an element; the cached count becomes invalid with a change. Memory that runs out shows in
 * the buffer and counts as a change. */
enum hyperloglog_change hyperloglog_add(struct buffer *bytes, rr_bytes element);

/* Raises one register to `value` (1 to 51) if it is lower; as hyperloglog_add. */
enum hyperloglog_change hyperloglog_raise(struct buffer *bytes, unsigned index, unsigned value);

/* Makes it dense. False: damaged, nothing changed. */
bool hyperloglog_make_dense(struct buffer *bytes);

/* Raises each of `registers` to that of the bytes. False: damaged; `registers` are of no use. */
bool hyperloglog_merge(rr_bytes bytes, uint8_t registers[HYPERLOGLOG_REGISTERS]);

/* The estimated number of different elements that made these registers. */
uint64_t hyperloglog_estimate(const uint8_t registers[HYPERLOGLOG_REGISTERS]);

/* The count that the header caches. False: it is invalid. */
bool hyperloglog_cached(rr_bytes bytes, uint64_t *out);
void hyperloglog_set_cached(struct buffer *bytes, uint64_t count);
void hyperloglog_invalidate(struct buffer *bytes);

#endif
