/*
 * The bytes of a segmented log: frame headers and the records in a frame's body. docs/disk-format.md
 * describes them. Pure: no I/O.
 *
 * A decoder accepts only what fits its input; what a record says of the log is for the caller to
 * judge.
 */
#ifndef STORAGE_SEGMENT_FORMAT_H
#define STORAGE_SEGMENT_FORMAT_H

#include "base/codec.h"
#include "raft/types.h"
#include "storage/log_record.h"

enum {
    SEGMENT_BLOCK_BYTES = 4096, /* every frame begins at a multiple of it */
    SEGMENT_HEADER_BYTES = 80,
};

enum segment_frame_kind {
    SEGMENT_FRAME_RECORDS = 1,
    SEGMENT_FRAME_CHECKPOINT = 2, /* the first of each segment: u64 oldest segment, GROUP records */
};

struct segment_header {
    enum segment_frame_kind kind;
    uint64_t log_id;  /* drawn when the log was created */
    uint64_t segment; /* where the frame belongs: this segment, at this offset */
    uint64_t offset;
    uint64_t number;            /* of the frame; each has the next one */
    uint64_t durable;           /* the highest frame known durable when this one was written */
    uint64_t previous_checksum; /* of the body before */
    uint64_t body_size;
    uint64_t body_checksum;
};

void segment_header_encode(const struct segment_header *header, uint8_t out[SEGMENT_HEADER_BYTES]);

enum segment_header_state {
    SEGMENT_HEADER_NONE,  /* no header is here, or a damaged one */
    SEGMENT_HEADER_VALID, /* `out` is set */
    SEGMENT_HEADER_NEWER, /* whole, but of a version that this program does not know */
};

enum segment_header_state segment_header_decode(const uint8_t bytes[SEGMENT_HEADER_BYTES],
                                                struct segment_header *out);

/* Of the body of frame `number`. */
uint64_t segment_body_checksum(uint64_t number, rr_bytes body);

/* What a frame takes in its segment: header and body, up to the next block. */
uint64_t segment_frame_bytes(uint64_t body_size);

enum segment_record_kind {
    SEGMENT_RECORD_GROUP = 1,   /* a group as it is: in checkpoints alone */
    SEGMENT_RECORD_ENTRIES = 2, /* the log continues with these at `first`; what was there goes */
    SEGMENT_RECORD_COPY = 3,    /* entries that the group has already, in a place of their own */
    SEGMENT_RECORD_HARD_STATE = 4,
    SEGMENT_RECORD_PURGE = 5, /* the base is now (index, term) */
    SEGMENT_RECORD_RESET = 6, /* the same, and no entries are left */
    SEGMENT_RECORD_DESTROY = 7,
};

struct segment_record {
    enum segment_record_kind kind;
    raft_group group;
    struct raft_hard_state hard_state; /* GROUP, HARD_STATE */
    raft_index index;                  /* GROUP, PURGE, RESET: of the base */
    raft_term term;
    raft_index last_index; /* GROUP */
    raft_term last_term;
    raft_index first; /* ENTRIES, COPY */
    uint32_t count;   /* never 0 */
    rr_bytes entries; /* borrowed; for segment_entry_next */
};

void segment_put_group(struct buffer *out, raft_group group, const struct log_group_record *record,
                       raft_index last_index, raft_term last_term);
void segment_put_hard_state(struct buffer *out, raft_group group,
                            const struct raft_hard_state *hard_state);

/* PURGE or RESET. */
void segment_put_base(struct buffer *out, enum segment_record_kind kind, raft_group group,
                      raft_index index, raft_term term);
void segment_put_destroy(struct buffer *out, raft_group group);

/* What stands before `count` entries (ENTRIES or COPY); segment_put_entry or segment_put_value for
 * each of them must follow. `bytes` is what those write together. */
void segment_put_entries(struct buffer *out, enum segment_record_kind kind, raft_group group,
                         raft_index first, uint32_t count, uint64_t bytes);
void segment_put_entry(struct buffer *out, raft_group group, const struct raft_entry *entry);

/* An entry whose value (log_record.h) is known already. */
void segment_put_value(struct buffer *out, rr_bytes value);

/* What segment_put_entry writes for an entry with a payload of `size` bytes. */
uint64_t segment_entry_bytes(uint64_t size);

/* More than any record takes, beside its entries. */
enum { SEGMENT_RECORD_BYTES_MAX = 1 + 8 * VARINT_BYTES_MAX };

/* Takes the next record off the body. False at its end, and for a malformed one: then the reader
 * has failed. */
bool segment_record_next(struct reader *reader, struct segment_record *out);

/* The value of the next entry of a record, as log_entry_decode takes it, with its term (which is
 * not verified). False at the end, and for a malformed one: then the reader has failed. */
bool segment_entry_next(struct reader *reader, rr_bytes *value, raft_term *term);

#endif
