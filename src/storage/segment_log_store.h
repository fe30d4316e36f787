/*
 * The log store in segments: files of its own in which all groups share one log. A frame is one
 * write and at most one sync, of a file whose blocks are there already.
 *
 * Invariants, beside those of log_store.h:
 * 1. Frames have numbers without a gap. Each names its place (log, segment, offset) and the body
 *    before it, so that neither an older frame in a recycled file nor one that the disk put
 *    elsewhere is taken for it.
 * 2. A segment begins with a checkpoint: every group's hard state and bounds. It is durable, and
 *    all frames before it are, before the file gets the name segment-<id>. So a segment without a
 *    whole checkpoint is damage, and so is a bad frame in any segment but the newest.
 * 3. A checkpoint names the oldest segment that is needed. Files before that are recycled only
 *    once the checkpoint is durable; from there to the newest none may be missing.
 * 4. What recovery reads back is written and synced once more, names as well, before anything
 *    builds on it: it may have been in memory alone, even after a sync that failed. Then a new
 *    segment begins.
 *
 * Recovery, at the first bad frame of the newest segment, looks at each later block. A frame there
 * that says the bad one was durable, or that stands in the wrong place, is proof of damage:
 * RR_CORRUPT, with the file and the offset. Anything else is the end of the log, torn by a crash.
 * Damage to the last frames is seen only if a frame after them (the next one, or what closing
 * writes) witnesses them: without that it looks like a torn end.
 *
 * When it fails: the first error of a frame is final (log_store.h, 5). An error while files are
 * prepared or recycled is not: a spare is kept for when the disk is full, and only when no file can
 * be had does the frame that needs one fail. log_store_shortage tells of it before.
 */
#ifndef STORAGE_SEGMENT_LOG_STORE_H
#define STORAGE_SEGMENT_LOG_STORE_H

#include "storage/log_store.h"

enum {
    SEGMENT_BYTES_UNIT = 4096,
    SEGMENT_BYTES_MIN = 4 * SEGMENT_BYTES_UNIT,
    SEGMENT_BYTES_LIMIT = 1024 * 1024 * 1024,
};

struct segment_log_store_options {
    const char *path;       /* of the log's own directory; created */
    uint64_t segment_bytes; /* 0: 64 MiB; SEGMENT_BYTES_MIN to SEGMENT_BYTES_LIMIT, a multiple of
                             * SEGMENT_BYTES_UNIT. May change between runs */
    uint64_t log_bytes_max; /* 0: 1 GiB; above it, what slow groups keep in old segments is copied
                             * forward, a little with each new segment */
    bool sync_on_thread;    /* completions come from log_store_poll */
    bool prepare_inline;    /* no thread prepares files: they are made when needed. For tests */
};

/*
 * Opens or creates the store; the owner sees to it that no other process has it open (data_dir.h).
 * Blocking: reads all of it, writes its end once more and begins a new
 * segment.
 *
 * RR_INVALID (options), RR_IO, RR_NO_SPACE, RR_NO_MEMORY, RR_CORRUPT (see above), RR_MISMATCH (a
 * newer version wrote it, or it is another kind of log), with a text.
 */
RR_MUST_USE rr_status segment_log_store_open(const struct segment_log_store_options *options,
                                             struct storage_error *error, struct log_store **out);

#endif
