/*
 * Snapshots on disk: whole states at a log position, to bring up members that the log no longer
 * reaches. Each is a directory of files with a manifest that names their sizes and checksums; they
 * travel in chunks (snapshot_writer.h receives them).
 *
 * The store keeps the latest one; an older one goes when its last reader does. Every function may
 * be called from any thread unless it says otherwise.
 */
#ifndef STORAGE_SNAPSHOT_H
#define STORAGE_SNAPSHOT_H

#include "storage/state.h"

struct snapshot_store;
struct snapshot; /* a complete snapshot that is held: see snapshot_release */

struct snapshot_store_options {
    const char *path;     /* of its own directory; created */
    uint32_t chunk_bytes; /* made here; 0: 1 MiB; at most SNAPSHOT_STORE_CHUNK_BYTES_MAX */
    uint64_t bytes_max;   /* of a snapshot received; 0: no limit but the disk */
    uint64_t space_min;   /* to leave free on the disk when receiving one; 0: 64 MiB */
    bool read_only;       /* the directory must be there, and nothing in it is changed */
};

enum {
    SNAPSHOT_STORE_CHUNK_BYTES_MAX = 4 * 1024 * 1024, /* a chunk is one message and one buffer */
    SNAPSHOT_STORE_MANIFEST_BYTES_MAX = 8 * 1024 * 1024,
};

struct snapshot_info {
    struct state_position position; /* what it contains, exactly */
    uint64_t size;                  /* of its files */
    uint32_t file_count;
    uint32_t chunk_bytes; /* of every chunk but the last */
    uint64_t chunk_count;
};

/*
 * Opens the directory: finds the latest complete snapshot, and deletes what is left of others. One
 * that was being received is kept for snapshot_writer_begin. RR_IO, RR_NO_SPACE, RR_NO_MEMORY. A
 * damaged manifest is not an error: that snapshot is deleted. With `read_only` it is RR_CORRUPT, and
 * one of a newer version RR_MISMATCH.
 */
RR_MUST_USE rr_status snapshot_store_open(const struct snapshot_store_options *options,
                                          struct storage_error *error, struct snapshot_store **out);

/* All snapshots must have been released and writers closed. NULL is fine. */
void snapshot_store_close(struct snapshot_store *store);

/*
 * Makes a snapshot of the state as of its last commit, or of a later one that happens meanwhile:
 * position, meta and data belong exactly together, whatever the owner applies at the same time.
 * Blocks for as long as it takes to flush the state and read its files once: call it on a worker.
 *
 * `out` (unless NULL) receives the snapshot, held. RR_BUSY: another thread is making one. RR_IO,
 * RR_NO_SPACE, RR_CORRUPT, RR_NO_MEMORY: nothing is left on the disk, the last snapshot stays.
 */
RR_MUST_USE rr_status snapshot_create(struct snapshot_store *store, struct state *state,
                                      struct storage_error *error, struct snapshot **out);

/* Describes the latest snapshot; false if there is none. */
bool snapshot_store_latest_info(struct snapshot_store *store, struct snapshot_info *out);

/* The latest snapshot, held, or NULL. */
struct snapshot *snapshot_store_latest(struct snapshot_store *store);

struct snapshot *snapshot_hold(struct snapshot *snapshot); /* once more; returns it */

/* It is damaged: the store has no latest snapshot any more, if this was it, and its files go with its
 * last holder. */
void snapshot_drop(struct snapshot *snapshot);

/* Gives it back; the last holder of an outdated one deletes its files. NULL is fine. */
void snapshot_release(struct snapshot *snapshot);

void snapshot_info(const struct snapshot *snapshot, struct snapshot_info *out);

/* The caller's bytes that went with the position (state_meta). Lasts while it is held. */
rr_bytes snapshot_meta(const struct snapshot *snapshot);

/* The manifest as snapshot_writer_begin takes it: the first thing to send. Lasts while held. */
rr_bytes snapshot_manifest(const struct snapshot *snapshot);

/*
 * Replaces the contents of `out` by chunk `number`, counted from 0 and below `chunk_count`, and
 * sets `checksum` to what snapshot_writer_chunk wants with it. Chunks may be read in any order and
 * by several threads. RR_CORRUPT (a file is shorter than it was), RR_IO, RR_NO_MEMORY.
 */
RR_MUST_USE rr_status snapshot_read_chunk(const struct snapshot *snapshot, uint64_t number,
                                          struct buffer *out, uint64_t *checksum,
                                          struct storage_error *error);

/* The checksum that goes with a chunk: over its number and its bytes. */
uint64_t snapshot_chunk_checksum(uint64_t number, rr_bytes chunk);

/* Reads every file and compares sizes and checksums. RR_CORRUPT with the file's name, RR_IO. */
RR_MUST_USE rr_status snapshot_verify(const struct snapshot *snapshot, struct storage_error *error);

#endif
