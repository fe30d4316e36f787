/*
 * The parts that a payload of DUMP is made of, in the format of Redis's RDB files: lengths, strings
 * (also as integers and compressed), doubles, the checksum. What a payload may hold is in
 * command/dump.c and command/restore.c. No I/O; any thread.
 */
#ifndef COREDB_VALUE_RDB_H
#define COREDB_VALUE_RDB_H

#include "coredb/base/buffer.h"

/* The version that Redis 7.0 writes, and the highest that it reads. */
enum { RDB_VERSION = 10 };

/* The types of values. Those written are the plain ones and RDB_STREAM; all but the first stream
 * types are read. */
enum rdb_type {
    RDB_STRING = 0,
    RDB_LIST = 1,
    RDB_SET = 2,
    RDB_ZSET_TEXT = 3, /* scores as text */
    RDB_HASH = 4,
    RDB_ZSET = 5,
    RDB_LIST_ZIPLIST = 10,
    RDB_SET_INTSET = 11,
    RDB_ZSET_ZIPLIST = 12,
    RDB_HASH_ZIPLIST = 13,
    RDB_LIST_ZIPLISTS = 14,
    RDB_STREAM_OLD = 15, /* of Redis 5 and 6 */
    RDB_HASH_LISTPACK = 16,
    RDB_ZSET_LISTPACK = 17,
    RDB_LIST_LISTPACKS = 18,
    RDB_STREAM = 19,
};

/* CRC-64 (Jones), as RDB files end with. */
uint64_t rdb_checksum(rr_bytes bytes);

/* ---- Writing ---- */

void rdb_put_length(struct buffer *out, uint64_t length);
void rdb_put_string(struct buffer *out, rr_bytes bytes);
void rdb_put_double(struct buffer *out, double value);
void rdb_put_u64(struct buffer *out, uint64_t value); /* little-endian */
/* Adds version and checksum of all that is in `out`. */
void rdb_put_footer(struct buffer *out);

/* ---- Reading: any bytes are safe; `reader->failed` is set by what is malformed ---- */

/* Whether the payload ends with a version that is understood and the right checksum; `body` is then
 * what is before them. */
bool rdb_verify(rr_bytes payload, rr_bytes *body);

uint64_t rdb_read_length(struct reader *reader);
/* Borrowed from the reader, or from `scratch` (replaced) if it was encoded. At most `size_max`
 * bytes; a longer string is malformed. */
rr_bytes rdb_read_string(struct reader *reader, struct buffer *scratch, size_t size_max);
double rdb_read_double(struct reader *reader);
double rdb_read_double_text(struct reader *reader);
uint64_t rdb_read_u64(struct reader *reader); /* little-endian */

#endif
