/*
 * Frames of a log in segments, and the records in them, as docs/disk-format.md has them. Pure
 * functions; all that is returned borrows from the bytes given.
 */
#ifndef INSPECT_FRAME_H
#define INSPECT_FRAME_H

#include "inspect/bytes.h"

enum { FRAME_BLOCK_BYTES = 4096, FRAME_HEADER_BYTES = 80 };

enum frame_kind { FRAME_RECORDS = 1, FRAME_CHECKPOINT = 2 };

struct frame_header {
    uint8_t kind;
    uint64_t log;
    uint64_t segment;
    uint64_t offset;
    uint64_t number;
    uint64_t durable;
    uint64_t previous; /* body checksum of the frame before */
    uint64_t size;     /* of the body */
    uint64_t body_checksum;
};

enum header_result {
    HEADER_NONE,  /* no magic, or its checksum fails */
    HEADER_WHOLE, /* its checksum holds; it may yet break rules (frame_header_fault) */
    HEADER_NEWER, /* its checksum holds, and its version or kind is not known */
};

/* The header at the beginning of `bytes`. */
enum header_result frame_header_read(struct slice bytes, struct frame_header *out);

/* Which rule a whole header breaks by itself; NULL: none. */
const char *frame_header_fault(const struct frame_header *header);

/* Whether the body is all there, at the end of `bytes` that begin with the header, and whole. */
bool frame_body(struct slice bytes, const struct frame_header *header, struct slice *body);

/* Where the frame after one at `offset` begins. */
uint64_t frame_next_offset(uint64_t offset, uint64_t body_size);

enum record_kind {
    RECORD_GROUP = 1,
    RECORD_ENTRIES = 2,
    RECORD_COPY = 3,
    RECORD_HARD_STATE = 4,
    RECORD_PURGE = 5,
    RECORD_RESET = 6,
    RECORD_DESTROY = 7,
};

/* What a record says. Fields that its kind has not are 0. */
struct record {
    enum record_kind kind;
    uint64_t group;
    uint64_t term, vote, commit;
    uint64_t base_index, base_term; /* of PURGE and RESET, too */
    uint64_t last_index, last_term;
    uint64_t first, count; /* entries */
    struct slice entries;  /* `count` times bytes */
};

/* Reads the next record of a body of kind `kind`. NULL, or what is wrong with it. */
const char *record_read(struct reader *reader, enum frame_kind kind, struct record *out);

const char *record_name(enum record_kind kind);

/* A value as in raft_log. */
struct entry {
    uint8_t type;
    uint64_t term;
    uint64_t checksum;
    struct slice data;
};

/* Reads an entry's value, and verifies it as the one at `index` of `group`. NULL, or what is wrong;
 * with a checksum that fails, `out` is filled all the same. */
const char *entry_read(struct slice value, uint64_t group, uint64_t index, struct entry *out);

/* "normal", "change", "change-v2" */
const char *entry_type_name(uint8_t type);

#endif
