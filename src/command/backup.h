/*
 * What a client that takes a backup asks of a node, and the answers: have a snapshot ready, read it
 * in chunks, let it go.
 *
 * The client chooses a number for its backup and asks for chunks at its own pace, so a node that it
 * leaves behind owes it nothing. Decoders are safe on any input; what they return borrows from it.
 * Pure functions; any thread.
 */
#ifndef COMMAND_BACKUP_H
#define COMMAND_BACKUP_H

#include "base/buffer.h"

enum {
    BACKUP_VERSION = 1,
    BACKUP_CHUNK_BYTES_MAX = 4 * 1024 * 1024,    /* as the store of snapshots has it */
    BACKUP_MANIFEST_BYTES_MAX = 8 * 1024 * 1024, /* likewise */
};

enum backup_kind {
    BACKUP_BEGIN = 1, /* hold a snapshot that covers the writes acknowledged so far */
    BACKUP_CHUNK = 2, /* send this chunk of it */
    BACKUP_END = 3,   /* it is needed no more */
};

struct backup_request {
    enum backup_kind kind;
    uint64_t id;     /* the backup's: drawn at random by the client, never 0 */
    uint64_t covers; /* BEGIN: a snapshot from this index on will do; 0: the node asks the leader */
    uint64_t chunk;  /* CHUNK: from 0 */
};

/* Fields that the request's kind does not bring are 0. */
struct backup_answer {
    rr_status status;
    rr_bytes text;    /* for people, where `status` is not RR_OK; not terminated */
    bool preparing;   /* BEGIN, RR_BUSY: it is being made; ask again */
    uint64_t cluster; /* BEGIN */
    uint64_t node;
    uint64_t covers; /* what the snapshot was to cover: for a BEGIN after a break */
    rr_bytes manifest;
    uint64_t checksum; /* CHUNK: snapshot_chunk_checksum */
    rr_bytes bytes;
};

/* Append the bytes. Check `failed` of the buffer. */
void backup_request_encode(struct buffer *buffer, const struct backup_request *request);
void backup_answer_encode(struct buffer *buffer, enum backup_kind kind,
                          const struct backup_answer *answer);

/* RR_OK; RR_CORRUPT (malformed); RR_MISMATCH (a newer version, or a kind not known). Trailing bytes
 * are fields that a newer version added, and are skipped. */
RR_MUST_USE rr_status backup_request_decode(rr_bytes bytes, struct backup_request *out);

/* The same for the answer to a request of `kind`. A status that this version does not know reads as
 * RR_UNKNOWN. */
RR_MUST_USE rr_status backup_answer_decode(rr_bytes bytes, enum backup_kind kind,
                                           struct backup_answer *out);

#endif
