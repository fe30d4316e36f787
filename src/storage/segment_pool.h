/*
 * Files to make segments of: `spare-<n>`, written full of zeros and synced ahead of need, or
 * segments that nobody needs any more.
 *
 * A file of full size takes a frame without a change of its metadata, so that a sync is one write
 * of the disk. What a spare holds means nothing: a segment's frames name their segment.
 *
 * The owner's thread makes all calls; with `threaded` the pool prepares and recycles on a thread of
 * its own. A failure there is no failure of the log: what is missing is made when it is needed,
 * and only then its failure is final.
 */
#ifndef STORAGE_SEGMENT_POOL_H
#define STORAGE_SEGMENT_POOL_H

#include "storage/file.h"

struct segment_pool;

struct segment_pool_options {
    const char *path; /* the log's directory; exists */
    uint64_t segment_bytes;
    bool threaded; /* false: nothing is prepared ahead, and freed files are recycled at once */
};

/* Adopts spares of the right size that are in the directory, and removes others. RR_IO. */
RR_MUST_USE rr_status segment_pool_open(const struct segment_pool_options *options,
                                        struct storage_error *error, struct segment_pool **out);

/*
 * Takes a spare out of the pool: it is open as `fd` at `path`, for the caller to rename. Without
 * one: a new file, which is empty, to grow as it is written; with `prewrite` a small one, written
 * full, so that a start takes little time; without a thread always of full size.
 *
 * RR_IO or RR_NO_SPACE.
 */
RR_MUST_USE rr_status segment_pool_take(struct segment_pool *pool, bool prewrite,
                                        struct storage_error *error, char path[PATH_BYTES_MAX],
                                        int *fd);

/* The file at `path`, which nobody has open, is not needed any more: it becomes a spare or goes. */
void segment_pool_give(struct segment_pool *pool, const char *path);

/* Makes a spare unless there is one: what the pool's thread does. RR_IO or RR_NO_SPACE; nothing is
 * left of the file then. */
RR_MUST_USE rr_status segment_pool_prepare(struct segment_pool *pool, struct storage_error *error);

/* Says that a file will be taken before long: the pool's thread makes one, unless there is a spare.
 * Without it none is made ahead, so that a log that hardly grows has no file to spare. */
void segment_pool_want(struct segment_pool *pool);

/* How many spares are ready. */
unsigned segment_pool_spares(struct segment_pool *pool);

/* Whether the last attempt to prepare or recycle failed; then `error` tells why. */
bool segment_pool_shortage(struct segment_pool *pool, struct storage_error *error);

/* Ends the thread, and leaves the spares where they are. NULL is fine. */
void segment_pool_close(struct segment_pool *pool);

#endif
