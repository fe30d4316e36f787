/*
 * What the files of the segmented log share: segment_log_index.c keeps where entries are,
 * segment_log_write.c writes frames, segment_log_recover.c reads them back, segment_log_store.c
 * answers the rest; segment_log_repair.c saves what it can of a damaged one.
 */
#ifndef STORAGE_SEGMENT_LOG_PRIVATE_H
#define STORAGE_SEGMENT_LOG_PRIVATE_H

#include "base/list.h"
#include "base/map.h"
#include "storage/file.h"
#include "storage/log_store_private.h"
#include "storage/segment_format.h"
#include "storage/segment_log_store.h"
#include "storage/segment_pool.h"
#include "storage/segment_writer.h"

enum {
    /* An entry is read with the span that it is in, so this bounds what one read costs; and what a
     * log of tiny entries costs in memory, at 40 bytes a span. */
    SEGMENT_SPAN_BYTES_MAX = 32 * 1024,
};

/* Entries of one term that follow one another, in the log and in a segment. */
struct segment_span {
    raft_index first; /* of the entry at `offset`; may be at or below the group's base */
    raft_term term;
    uint64_t segment;
    uint32_t offset; /* in the segment's file */
    uint32_t bytes;
    uint32_t count;
};

/* A group as the last submitted frame leaves it. */
struct segment_group {
    raft_group id;
    struct log_group_record record;
    raft_index last_index;
    raft_term last_term;
    struct segment_span *spans; /* from `head` on, by index, without overlap */
    uint32_t head;
    uint32_t count; /* from `head` on */
    uint32_t capacity;
};

/* A file of the log. */
struct segment {
    uint64_t id;
    int fd;
    char *path;
    uint64_t live; /* spans in it */
};

struct segment_log_store {
    struct log_store store; /* first */
    char path[PATH_BYTES_MAX];
    uint64_t segment_bytes;
    uint64_t log_bytes_max;
    struct segment_pool *pool;
    struct segment_writer *writer; /* NULL: frames are written by the owner */
    struct map groups;             /* of struct segment_group */
    struct segment *segments;      /* by id, without a gap; the last is written */
    uint32_t segment_count;
    uint64_t log_id;
    uint64_t limit; /* of the newest segment, but for a frame that fits none: what was prewritten */
    bool next_wanted; /* the pool was told that the next segment comes */
    uint64_t begin;   /* where the newest segment's first frame after its checkpoint goes */
    uint64_t offset;  /* of the next frame */
    uint64_t number;  /* of the last frame */
    uint64_t durable; /* the highest frame known to be, without a writer */
    uint64_t previous_checksum;
    struct buffer frame; /* being built; empty between frames */
    struct log_store_counters counters;
    bool failed;
    struct storage_error failure; /* why, once failed */
};

static inline struct segment_log_store *segment_log_self(struct log_store *store)
{
    return CONTAINER_OF(store, struct segment_log_store, store);
}

static inline const struct segment_log_store *segment_log_self_const(const struct log_store *store)
{
    return (const struct segment_log_store *)(const void *)store;
}

static inline struct segment *segment_newest(struct segment_log_store *store)
{
    return &store->segments[store->segment_count - 1];
}

/* --- segment_log_index.c --- */

/*
 * Brings the groups up to date with the records, which are at `offset` of the segment. NULL if
 * they fit the log; else what is wrong with them, and then the groups are of no more use.
 */
const char *segment_log_apply(struct segment_log_store *store, uint64_t segment, uint64_t offset,
                              rr_bytes records);

/* The same for a checkpoint's records: they make the groups, without their entries... */
const char *segment_log_apply_checkpoint(struct segment_log_store *store, rr_bytes records);

/* ... or must say of each group what is known of it. */
const char *segment_log_check_checkpoint(struct segment_log_store *store, rr_bytes records);

/* The position of the span in group->spans that holds `index`, which is above the base; or the
 * number of spans. */
uint32_t segment_group_find(const struct segment_group *group, raft_index index);

static inline struct segment_span *segment_group_span(const struct segment_group *group,
                                                      uint32_t position)
{
    return &group->spans[group->head + position];
}

/* The term of an entry that the group holds, or of its base. */
raft_term segment_group_term(const struct segment_group *group, raft_index index);

/* Whether the spans hold every entry above the base; else `missing` is the first that they lack. */
bool segment_group_whole(const struct segment_group *group, raft_index *missing);

void segment_group_free(struct segment_group *group);

/* --- segment_log_write.c --- */

void segment_log_submit(struct log_store *store, const struct log_frame *frame, log_done_fn done,
                        void *done_arg);

/* Begins the next segment with a checkpoint, and gives up the oldest ones that nobody needs. All
 * frames are durable. `prewrite` see segment_pool_take. */
RR_MUST_USE rr_status segment_log_begin(struct segment_log_store *store, bool prewrite,
                                        struct storage_error *error);

/* Writes a frame without records, so that the one before is known to be durable. */
RR_MUST_USE rr_status segment_log_write_witness(struct segment_log_store *store,
                                                struct storage_error *error);

/* Writes all entries that the groups have into one new segment that needs no other, durably before
 * it has its name: what was there before is then left over. Nothing was submitted. RR_IO,
 * RR_NO_SPACE, RR_CORRUPT (an entry fails its checksum), RR_NO_MEMORY. */
RR_MUST_USE rr_status segment_log_rewrite(struct segment_log_store *store,
                                          struct storage_error *error);

/* --- segment_log_recover.c --- */

/* The segments that a directory has, ids ascending; the caller frees `ids`. */
struct segment_log_ids {
    const char *path; /* of the directory */
    uint64_t *ids;
    size_t count;
};

RR_MUST_USE rr_status segment_log_list(const char *path, struct segment_log_ids *out,
                                       struct storage_error *error);

enum segment_frame_state {
    SEGMENT_FRAME_NONE, /* nothing of this segment is here */
    SEGMENT_FRAME_TORN, /* a header whose body is not whole */
    SEGMENT_FRAME_WHOLE,
};

/* Reads what is at `offset` of a file of `size` bytes. The body is left in `body`. RR_IO,
 * RR_MISMATCH (a newer version's), RR_NO_MEMORY. */
RR_MUST_USE rr_status segment_log_read_frame(const struct segment *segment, uint64_t size,
                                             uint64_t offset, struct segment_header *header,
                                             struct buffer *body, enum segment_frame_state *state,
                                             struct storage_error *error);

/* Reads the directory: all but the new segment that has to begin. */
RR_MUST_USE rr_status segment_log_load(struct segment_log_store *store,
                                       struct storage_error *error);

/* The path of a segment's file. */
RR_MUST_USE rr_status segment_log_path(const struct segment_log_store *store, uint64_t id,
                                       char out[PATH_BYTES_MAX], struct storage_error *error);

/* Adds a file behind the others; the descriptor is the store's from now on. */
void segment_log_add_segment(struct segment_log_store *store, uint64_t id, int fd,
                             const char *path);

/* --- segment_log_store.c --- */

/* A store without anything yet. RR_INVALID. */
RR_MUST_USE rr_status segment_log_new(const struct segment_log_store_options *options,
                                      struct storage_error *error, struct segment_log_store **out);

/* Frees everything; what was written stays as it is. */
void segment_log_free(struct segment_log_store *store);

/* The bytes of a span: those of a frame in flight, or read into `buffer`. RR_IO, RR_CORRUPT (the
 * file is too short), RR_NO_MEMORY. */
RR_MUST_USE rr_status segment_log_read_span(struct segment_log_store *store,
                                            const struct segment_span *span, struct buffer *buffer,
                                            struct storage_error *error, rr_bytes *out);

#endif
