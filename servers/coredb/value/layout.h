/*
 * How coredb's data lies in the library's keyspace; docs/coredb-format.md shows it byte by byte.
 * Each function replaces the contents of `out` by a key or a prefix of keys.
 */
#ifndef COREDB_VALUE_LAYOUT_H
#define COREDB_VALUE_LAYOUT_H

#include "coredb/base/buffer.h"

enum layout_kind {
    LAYOUT_DB = 'd',
    LAYOUT_META = 'm',
    LAYOUT_EXPIRY = 'x',
    LAYOUT_HASH = 'h',
    LAYOUT_SET = 's',
    LAYOUT_LIST = 'l',
    LAYOUT_ZSET = 'z',
    LAYOUT_ZSET_ORDER = 'o',
    LAYOUT_STREAM = 't',
    LAYOUT_STREAM_GROUPS = 'u',
    LAYOUT_GARBAGE = 'g',
    LAYOUT_GARBAGE_GENERATION = 'G',
    LAYOUT_WAITER_KEY = 'w',
    LAYOUT_WAITER = 'W',
    LAYOUT_WAITER_NODE = 'N',
    LAYOUT_SCRIPT = 'S',
    LAYOUT_FUNCTIONS = 'F',
};

/* Where a key stands in the order of SCAN: slot, then hash. Never 0. */
uint64_t layout_position(rr_bytes name);

void layout_db(struct buffer *out, uint32_t db);
void layout_meta(struct buffer *out, uint64_t generation, rr_bytes key);
void layout_meta_generation(struct buffer *out, uint64_t generation);
void layout_meta_position(struct buffer *out, uint64_t generation, uint64_t position);
void layout_expiry(struct buffer *out, uint64_t expire_ms, uint64_t generation, rr_bytes key);

/* kind, object: the prefix of all sub-keys of that kind. */
void layout_object(struct buffer *out, enum layout_kind kind, uint64_t object);
/* kind, object, position, name: fields and members. The position is a hash of the name, never 0. */
void layout_named(struct buffer *out, enum layout_kind kind, uint64_t object, rr_bytes name);
/* kind, object, position: where a scan by position begins. */
void layout_position_prefix(struct buffer *out, enum layout_kind kind, uint64_t object,
                            uint64_t position);
/* kind, object, place: a list's element, by its signed place. */
void layout_place(struct buffer *out, enum layout_kind kind, uint64_t object, int64_t place);

void layout_garbage(struct buffer *out, uint64_t object);
void layout_garbage_generation(struct buffer *out, uint64_t generation);

/* What of a key follows its fixed part: of META and of named sub-keys the name (after 17 bytes). */
enum { LAYOUT_NAME_OFFSET = 17, LAYOUT_EXPIRY_NAME_OFFSET = 17 };
rr_bytes layout_name(rr_bytes stored_key);
uint64_t layout_u64_at(rr_bytes stored_key, size_t offset);

/* The smallest key greater than all that start with the contents of `prefix`, in place. */
void layout_end(struct buffer *prefix);

#endif
