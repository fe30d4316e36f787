/*
 * Receiving a snapshot in chunks, each checked, in order, and taken up again after a broken
 * connection or a restart.
 *
 *     status = snapshot_writer_begin(store, manifest, &error, &writer);
 *     ... ask the sender for snapshot_writer_next(writer), hand each answer to
 *         snapshot_writer_chunk, until next == count ...
 *     status = snapshot_writer_finish(writer, &error, &snapshot);
 *     status = state_install(state, snapshot, &error);
 *
 * One thread at a time uses a writer; its calls block on the disk.
 */
#ifndef STORAGE_SNAPSHOT_WRITER_H
#define STORAGE_SNAPSHOT_WRITER_H

#include "storage/snapshot.h"

struct snapshot_writer;

/*
 * Starts to receive the snapshot that `manifest` (as it came from a peer, and not trusted)
 * describes, or goes on with it if it is the one that was being received before, in this run or an
 * earlier one. Another unfinished one is deleted. There is one writer at a time.
 *
 * RR_CONFLICT: that very snapshot is complete here already: snapshot_store_latest has it. RR_BUSY:
 * there is a writer. RR_CORRUPT: the manifest is malformed. RR_MISMATCH: a newer version made it.
 * RR_TOO_BIG: over the store's limit. RR_NO_SPACE, RR_IO, RR_NO_MEMORY.
 */
RR_MUST_USE rr_status snapshot_writer_begin(struct snapshot_store *store, rr_bytes manifest,
                                            struct storage_error *error,
                                            struct snapshot_writer **out);

/* What is being received. */
void snapshot_writer_info(const struct snapshot_writer *writer, struct snapshot_info *out);

/* The number of the chunk that is wanted next; equal to `chunk_count` when all are there. */
uint64_t snapshot_writer_next(const struct snapshot_writer *writer);

/*
 * Takes one chunk. The wanted one is written; one before it is ignored (RR_OK), so that repeats do
 * no harm. RR_CONFLICT: it is a later one. RR_CORRUPT: wrong checksum or size, or a number past the
 * end. Both change nothing, and the chunk wanted is still snapshot_writer_next. RR_IO, RR_NO_SPACE:
 * close the writer; begin again when the disk is well.
 */
RR_MUST_USE rr_status snapshot_writer_chunk(struct snapshot_writer *writer, uint64_t number,
                                            rr_bytes chunk, uint64_t checksum,
                                            struct storage_error *error);

/*
 * Verifies all files, makes them durable, checks that their contents are at the position that the
 * manifest promises, and makes them a snapshot of the store, which becomes the latest unless a
 * newer one is there. Takes `writer` in any case. `out` receives the snapshot, held.
 *
 * RR_CONFLICT: chunks are missing (what is there is kept for the next begin). RR_CORRUPT: the files
 * are not what the manifest says; all of it is deleted. RR_IO, RR_NO_SPACE, RR_NO_MEMORY.
 */
RR_MUST_USE rr_status snapshot_writer_finish(struct snapshot_writer *writer,
                                             struct storage_error *error, struct snapshot **out);

/* Stops receiving and keeps what is there for the next begin. NULL is fine. */
void snapshot_writer_close(struct snapshot_writer *writer);

/* Stops receiving and deletes what is there. */
void snapshot_writer_discard(struct snapshot_writer *writer);

#endif
