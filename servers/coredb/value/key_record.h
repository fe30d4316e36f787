/*
 * The record of a key: its metadata and, for strings, the value. Its bytes:
 *
 *     u8 version (1) in the high 4 bits, type in the low ones
 *     u8 flags in the high 4 bits (1 expiry, 2 first), encoding in the low ones
 *     varint modified | varint expire_ms, with the flag
 *     all but strings: varint object | varint count | varint first, with the flag, as zigzag
 *     payload: the rest
 *
 * Each record has one form only: what is 0 has no flag, varints are as short as they can be.
 */
#ifndef COREDB_VALUE_KEY_RECORD_H
#define COREDB_VALUE_KEY_RECORD_H

#include "coredb/base/buffer.h"

/* Stored: never renumber. */
enum value_type {
    VALUE_NONE = 0,
    VALUE_STRING = 1,
    VALUE_LIST = 2,
    VALUE_SET = 3,
    VALUE_ZSET = 4,
    VALUE_HASH = 5,
    VALUE_STREAM = 6,
};

/* What OBJECT ENCODING answers; kept by the writers of each type after Redis 7.0's rules with
 * default thresholds. Stored: never renumber. */
enum value_encoding {
    ENCODING_AUTO = 0, /* strings: int, embstr or raw by the value, as in a SET */
    ENCODING_RAW = 1,
    ENCODING_LISTPACK = 2,
    ENCODING_HASHTABLE = 3,
    ENCODING_INTSET = 4,
    ENCODING_SKIPLIST = 5,
    ENCODING_QUICKLIST = 6,
    ENCODING_STREAM = 7,
    ENCODING_INT = 8,    /* answers only, never stored */
    ENCODING_EMBSTR = 9, /* also strings that look like an integer, but are none: of INCRBYFLOAT */
};

/* What stands before the payload has at most so many bytes; a record that is cut there is one, too. */
enum { KEY_RECORD_VERSION = 1, KEY_RECORD_HEAD_BYTES_MAX = 2 + 5 * VARINT_BYTES_MAX };

struct key_record {
    enum value_type type;
    enum value_encoding encoding;
    uint64_t expire_ms; /* 0: never */
    uint64_t modified;  /* log index of the last change */
    uint64_t object;    /* not of strings */
    uint64_t count;     /* of elements; not of strings */
    int64_t first;      /* of lists and sorted sets: see struct key */
    rr_bytes payload;   /* borrowed */
};

/* Appends the record; memory that ran out is remembered by `out`. */
void key_record_encode(struct buffer *out, const struct key_record *record);

/* Reads a record, whose payload is then a part of `value`. False: it is not one of this version in
 * its one form. */
bool key_record_decode(rr_bytes value, struct key_record *out);

const char *value_type_name(enum value_type type); /* as TYPE: "string", "none", ... */
const char *value_encoding_name(enum value_encoding encoding);

#endif
