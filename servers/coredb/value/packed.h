/*
 * Reads Redis's compact collections out of DUMP's payloads: listpacks, ziplists, intsets; and
 * writes listpacks. Any bytes are safe: what is malformed ends the walk with `failed`. No I/O; any
 * thread.
 */
#ifndef COREDB_VALUE_PACKED_H
#define COREDB_VALUE_PACKED_H

#include "coredb/base/buffer.h"
#include "coredb/base/number.h"

enum packed_kind { PACKED_LISTPACK, PACKED_ZIPLIST, PACKED_INTSET };

struct packed {
    enum packed_kind kind;
    struct reader reader;
    unsigned width; /* of an intset's integers, in bytes */
    bool failed;
    char text[NUMBER_TEXT_MAX]; /* of the last element, if it is an integer */
};

/* Begins a walk over the elements in `bytes`, which is borrowed. */
void packed_begin(struct packed *packed, enum packed_kind kind, rr_bytes bytes);

/* The next element, integers as text; it lasts until the next call. False: at the end, or
 * malformed (`failed`). */
bool packed_next(struct packed *packed, rr_bytes *out);

/* The next element, which must be an integer. False: none, and `failed` is set. */
bool packed_next_integer(struct packed *packed, int64_t *out);

/* A listpack being written: begin, put, end. */
void listpack_begin(struct buffer *out);
void listpack_put(struct buffer *out, rr_bytes bytes);
void listpack_put_integer(struct buffer *out, int64_t value);
/* `out` holds nothing but the listpack; `count` is of its elements. */
void listpack_end(struct buffer *out, size_t count);

#endif
