/*
 * A thread that writes and syncs frames in their order, so that the owner need not wait for the
 * disk. Frames that queue up while one sync runs share the next.
 *
 * The owner's thread makes all calls. The first failure is final: what comes after it ends RR_IO
 * without touching the disk.
 */
#ifndef STORAGE_SEGMENT_WRITER_H
#define STORAGE_SEGMENT_WRITER_H

#include "base/buffer.h"
#include "storage/error.h"
#include "storage/log_store.h"

struct segment_writer;

/* One frame's way to the disk. */
struct segment_write {
    int fd;           /* open, and `path` there, until segment_writer_drain */
    const char *path; /* for texts */
    uint64_t segment; /* for segment_writer_find */
    uint64_t offset;
    struct buffer bytes; /* taken */
    bool sync;
    uint64_t number; /* of the frame */
    log_done_fn done;
    void *done_arg;
};

/* RR_IO if there is no thread to be had. */
RR_MUST_USE rr_status segment_writer_open(struct storage_error *error, struct segment_writer **out);

void segment_writer_set_wake(struct segment_writer *writer, log_wake_fn wake, void *wake_arg);

/* Queues the frame. Its `done` runs from segment_writer_poll. */
void segment_writer_submit(struct segment_writer *writer, const struct segment_write *write);

/* Runs the completions that are due. They may submit. */
void segment_writer_poll(struct segment_writer *writer);

/* Whether all that was submitted has completed. */
bool segment_writer_idle(const struct segment_writer *writer);

/* Blocks until everything submitted is written; runs no completions. RR_IO if the writer failed. */
RR_MUST_USE rr_status segment_writer_drain(struct segment_writer *writer,
                                           struct storage_error *error);

/* Makes the writer fail, unless it has: the owner met an error of its own. */
void segment_writer_fail(struct segment_writer *writer, const struct storage_error *error);

/* Why the writer failed, or NULL while it has not. Lasts as long as the writer. */
const char *segment_writer_failure(struct segment_writer *writer);

/* The highest frame that is durable; `syncs` (unless NULL) counts the syncs so far. */
uint64_t segment_writer_durable(struct segment_writer *writer, uint64_t *syncs);

/* The `size` bytes at `offset` of the segment, if a frame that has not completed holds them; else
 * NULL, and then they are in the file. Lasts until segment_writer_poll. */
const uint8_t *segment_writer_find(const struct segment_writer *writer, uint64_t segment,
                                   uint64_t offset, size_t size);

/* Ends the thread. It is idle. NULL is fine. */
void segment_writer_close(struct segment_writer *writer);

#endif
