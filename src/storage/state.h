/*
 * The applied state: an ordered map from bytes to bytes, with the log position that it stands for.
 *
 * A commit writes data and position into a table in memory. When that is full, a thread writes it to
 * disk, at once and whole. The log makes durable what is in memory, and a restart applies it again.
 * After any crash the state is that of some earlier commit, whole. The log may be purged up to
 * state_persisted, never further.
 *
 * Keys are not empty, and their first byte is not 0, which is kept for the state's own records.
 *
 * Threads: opening, batches, installing and closing belong to one owner. Functions marked "any
 * thread" may run beside them and beside each other, until state_close.
 */
#ifndef STORAGE_STATE_H
#define STORAGE_STATE_H

#include "base/buffer.h"
#include "raft/types.h"
#include "storage/error.h"

struct state;
struct state_batch;
struct state_view;
struct snapshot;

/* A log position. */
struct state_position {
    raft_index index;
    raft_term term;
};

struct state_options {
    const char *path;         /* the data directory: holds STATE and state-<n>/ */
    size_t memtable_bytes;    /* 0: 64 MiB; of a table in memory, of which there are up to three */
    size_t block_cache_bytes; /* 0: 64 MiB; shared by all that is read from disk */
    int max_open_files;       /* 0: 512 */
};

/*
 * Opens the current state, or creates an empty one at position (0, 0). Deletes what an unfinished
 * installation left. Blocking.
 *
 * RR_IO, RR_NO_SPACE, RR_BUSY (open elsewhere), RR_CORRUPT (damaged, or its directory is missing),
 * RR_MISMATCH (a newer version wrote it), with a text.
 */
RR_MUST_USE rr_status state_open(const struct state_options *options, struct storage_error *error,
                                 struct state **out);

/* Flushes, then closes; a failure to flush only means that more is applied again. No view may be
 * open and no other thread may be within a call. NULL is fine. */
void state_close(struct state *state);

/* The position of the last commit. Owner. */
struct state_position state_applied(const struct state *state);

/* The position that has reached the disk: never above state_applied. Any thread. RR_IO,
 * RR_CORRUPT. */
RR_MUST_USE rr_status state_persisted(struct state *state, struct state_position *out,
                                      struct storage_error *error);

/* Writes what is in memory to disk; with `wait` until it is there, by the calling thread. The owner
 * calls it without `wait` at intervals, so that the log can be purged on a quiet node. Any thread. As
 * state_check; RR_NO_MEMORY. */
RR_MUST_USE rr_status state_flush(struct state *state, bool wait, struct storage_error *error);

/* The caller's own bytes that go with the position (the encoded configuration), as of the last
 * commit; empty before the first. Replaces the contents of `out`. Any thread. RR_IO, RR_CORRUPT,
 * RR_NO_MEMORY. */
RR_MUST_USE rr_status state_meta(struct state *state, struct buffer *out,
                                 struct storage_error *error);

/* Why a table could not be written, or an installation failed, for good; or NULL. Lasts as long as
 * the state. Any thread. */
const char *state_failure(const struct state *state);

/* RR_OK, or how it has failed: RR_CORRUPT where it has met damage, RR_IO otherwise, and the reason.
 * Commits and flushes end so from then on; what was committed can still be read. The owner asks at
 * intervals, because tables are written in the background. Any thread. */
RR_MUST_USE rr_status state_check(const struct state *state, struct storage_error *error);

struct state_counters {
    uint64_t commits;
    uint64_t keys_written;   /* puts and deletes in commits */
    uint64_t bytes_written;  /* of their keys and values */
    uint64_t tables_written; /* from memory to disk */
    uint64_t table_keys;     /* puts and deletes in them: the last of each key alone */
    uint64_t table_bytes;    /* of their files */
    uint64_t stalls;         /* commits that waited for a table to be written */
    uint64_t stall_us;
    uint64_t keys_estimated; /* RocksDB's guess, of what is on disk */
    uint64_t disk_bytes;     /* of live files */
    uint64_t memory_bytes;   /* of tables in memory */
};

/* Owner. */
void state_counters(struct state *state, struct state_counters *out);

/* --- Reading --- */

/* Which keys, in ascending order. Zeroed, it means all. */
struct state_range {
    rr_bytes prefix;     /* only keys that begin so */
    rr_bytes start;      /* only keys from here on; empty: from the first */
    bool start_excluded; /* and not `start` itself: the next page after a page's last key */
    uint64_t count_max;  /* pairs; 0: no limit */
    uint64_t bytes_max;  /* of keys and values; at least one pair is visited; 0: no limit */
};

/* Receives one pair, borrowed until it returns. False ends the scan after this pair. */
typedef bool (*state_visit_fn)(void *arg, rr_bytes key, rr_bytes value);

/*
 * The keys that are `prefix` (not empty) followed by k with `from` <= k < `to`; an empty `to` means
 * no upper end. For many short ranges: what reading one needs is kept for the next.
 */
struct state_span {
    rr_bytes prefix;
    rr_bytes from;
    rr_bytes to;
    bool reverse; /* descending, from the greatest key */
};

/* Replaces the contents of `out` by the key's value as of the last commit. RR_NOT_FOUND (`out` is
 * then empty), RR_NO_MEMORY, RR_IO, RR_CORRUPT. Any thread. */
RR_MUST_USE rr_status state_get(struct state *state, rr_bytes key, struct buffer *out,
                                struct storage_error *error);

/*
 * Visits the pairs of `range` as of one moment. `more` (unless NULL) tells whether a limit or the
 * visitor ended the scan before the range did. Any thread. RR_IO, RR_CORRUPT.
 */
RR_MUST_USE rr_status state_scan(struct state *state, const struct state_range *range,
                                 state_visit_fn visit, void *visit_arg, bool *more,
                                 struct storage_error *error);

/*
 * The state of one moment, for several reads that must agree. It stays as it is while commits and
 * even an installation go on, and keeps the old data on disk meanwhile: close it soon. Any thread;
 * one at a time uses a view.
 */
struct state_view *state_view_open(struct state *state);
void state_view_close(struct state_view *view); /* NULL is fine */

RR_MUST_USE rr_status state_view_get(struct state_view *view, rr_bytes key, struct buffer *out,
                                     struct storage_error *error);
RR_MUST_USE rr_status state_view_scan(struct state_view *view, const struct state_range *range,
                                      state_visit_fn visit, void *visit_arg, bool *more,
                                      struct storage_error *error);
/* Visits the pairs of `span`. The visitor may read the view. */
RR_MUST_USE rr_status state_view_span(struct state_view *view, const struct state_span *span,
                                      state_visit_fn visit, void *visit_arg,
                                      struct storage_error *error);
RR_MUST_USE rr_status state_view_applied(struct state_view *view, struct state_position *out,
                                         struct storage_error *error);

/* A number over all pairs of the caller (not over the position): equal states have equal digests
 * on every machine. Reads everything. */
RR_MUST_USE rr_status state_view_digest(struct state_view *view, uint64_t *out,
                                        struct storage_error *error);

/* --- Writing --- */

/*
 * What the entries of one loop turn change, kept in memory until one commit. Reads through the
 * batch see the batch. Several writes of a key become one. All calls on the owner's thread; at most
 * one batch with contents at a time.
 */
struct state_batch *state_batch_new(struct state *state);
void state_batch_free(struct state_batch *batch); /* drops what was not committed; NULL is fine */

/* Sets or deletes a key, copying both. RR_NO_MEMORY: nothing was changed. */
RR_MUST_USE rr_status state_batch_put(struct state_batch *batch, rr_bytes key, rr_bytes value);
RR_MUST_USE rr_status state_batch_delete(struct state_batch *batch, rr_bytes key);

/* As state_get, over the state as it will be after the commit. */
RR_MUST_USE rr_status state_batch_get(struct state_batch *batch, rr_bytes key, struct buffer *out,
                                      struct storage_error *error);

/* Visits the pairs of `span` in the state as it will be after the commit. The visitor may read the
 * batch, in ranges of its own too, but must not write to it. RR_NO_MEMORY, RR_IO, RR_CORRUPT. */
RR_MUST_USE rr_status state_batch_span(struct state_batch *batch, const struct state_span *span,
                                       state_visit_fn visit, void *visit_arg,
                                       struct storage_error *error);

/*
 * A place to go back to: state_batch_rollback undoes every put and delete since. Savepoints nest,
 * and end with a rollback to an earlier one or the commit; one that is not needed is forgotten.
 * Position and meta are not undone.
 */
typedef size_t state_savepoint;
state_savepoint state_batch_savepoint(struct state_batch *batch);
void state_batch_rollback(struct state_batch *batch, state_savepoint savepoint);

/* The position and the caller's own bytes that the commit will record. The index never goes
 * back. RR_NO_MEMORY. */
void state_batch_set_applied(struct state_batch *batch, raft_index index, raft_term term);
RR_MUST_USE rr_status state_batch_set_meta(struct state_batch *batch, rr_bytes meta);

/* Memory that the batch holds: commit when it has grown large. */
size_t state_batch_size(const struct state_batch *batch);

/*
 * Makes everything visible at once: data, position and meta. The batch is then empty and can be
 * used again. Does nothing to an empty batch. Writes to memory alone, but where there are three tables
 * already it waits until one of them is on disk.
 *
 * As state_check: nothing of the batch is visible, and the owner must stop. RR_NO_MEMORY: nothing has
 * changed.
 */
RR_MUST_USE rr_status state_batch_commit(struct state_batch *batch, struct storage_error *error);

/* Drops what was not committed. Also lets go of what was kept for reading, which may hold back the
 * removal of old files: so a batch that is read without being committed is cleared now and then. */
void state_batch_clear(struct state_batch *batch);

/* --- Installing --- */

/*
 * Replaces the whole state by `snapshot`, which stays where it is. Crash-safe: whenever the process
 * dies, state_open finds either the old state or the new one, complete. Views that are open keep
 * the old state. Batches must be empty. Blocking: links and opens the files; the time does not
 * grow with their size, except across file systems.
 *
 * Afterwards the owner resets the log to the snapshot's position (log_record.reset); for a crash
 * before that, it calls log_store_align at start.
 *
 * RR_CORRUPT: the snapshot is damaged. RR_CONFLICT: it is behind the state. RR_IO, RR_NO_SPACE. The
 * old state is then still in use, unless state_failure says otherwise. Owner.
 */
RR_MUST_USE rr_status state_install(struct state *state, struct snapshot *snapshot,
                                    struct storage_error *error);

#endif
