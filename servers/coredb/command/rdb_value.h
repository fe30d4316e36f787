/*
 * Values of keys as the bytes of DUMP, and back. Both sides are Redis 7.0's format, so that values
 * can move between the two in either direction.
 */
#ifndef COREDB_COMMAND_RDB_VALUE_H
#define COREDB_COMMAND_RDB_VALUE_H

#include "coredb/value/key.h"
#include "coredb/value/rdb.h"

enum { RDB_VALUE_BYTES_MAX = 64 * 1024 * 1024 }; /* written, or expanded when read */

/* Appends the type and the value of an existing key: all but the footer. A value that is larger
 * than RDB_VALUE_BYTES_MAX fails the store with RR_TOO_BIG. */
void rdb_dump_value(struct store *store, struct key *key, struct buffer *out);
/* The part of it about streams. */
void rdb_dump_stream(struct store *store, struct key *key, struct buffer *out);

/* A value being read from bytes that anyone may have made. */
struct rdb_source {
    struct store *store;
    struct key *key;
    struct reader reader;
    struct buffer first; /* scratch: what strings were expanded to, as the next */
    struct buffer second;
    size_t expanded; /* bytes of strings so far, in all */
};

/* Makes the absent `key` what the body of a payload (see rdb_verify) says, all but the metadata,
 * which the caller saves. False: malformed; the caller takes back what was written. */
bool rdb_restore_value(struct store *store, struct key *key, rr_bytes body);
/* The part of it about streams: after the type. */
void rdb_restore_stream(struct rdb_source *source, enum rdb_type type);
/* The next string, borrowed from the reader or from `scratch`. */
rr_bytes rdb_source_string(struct rdb_source *source, struct buffer *scratch, size_t size_max);

#endif
