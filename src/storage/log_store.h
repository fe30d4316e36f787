/*
 * The durable log and hard state of any number of groups, behind one interface with several
 * implementations (rocksdb_log_store.h, segment_log_store.h).
 *
 * The owner submits frames; completions arrive in the order of submission, either before
 * log_store_submit returns or from log_store_poll, so that an implementation may sync inline, on a
 * thread, or several frames deep. One thread owns a store and makes every call.
 *
 * Invariants:
 * 1. A frame is atomic: after a crash all of its records are there or none.
 * 2. A frame is there only if every frame submitted before it is.
 * 3. Once done(RR_OK) ran for a frame with `sync`, it and all before it survive power loss.
 * 4. The entries of a group are those from base + 1 to last, without a gap. The entry at the base
 *    is known by its term alone; index and term are 0 before the first purge or reset.
 * 5. The first error is final. What the disk holds after a failed write or sync is unknown, so
 *    every later frame ends RR_IO without touching the disk. The owner must stop.
 */
#ifndef STORAGE_LOG_STORE_H
#define STORAGE_LOG_STORE_H

#include "raft/types.h"
#include "storage/error.h"

/*
 * What one frame changes in one group. A record takes effect in the order of its fields; fields
 * that are zero change nothing. A frame may hold several records of the same group, which then take
 * effect in their order. A group exists from its first record on.
 */
struct log_record {
    raft_group group;

    /* Forget the group: entries, base and hard state. No other field may be set then. */
    bool destroy;

    /* Forget all entries and set the base to (reset_index, reset_term): a snapshot was installed.
     * The hard state stays, unless it is given as well. */
    bool reset;
    raft_index reset_index;
    raft_term reset_term;

    /* Contiguous entries. The first is at most one past the last that the group holds, and above
     * its base; whatever the group holds from there on is dropped (a truncation). The store takes
     * references of its own if it needs the entries after log_store_submit. */
    struct raft_entry *const *entries;
    uint32_t entry_count;

    /* Drop the entries up to and including this one, which becomes the base. Not above the last
     * entry; at or below the base it changes nothing. */
    raft_index purge_index;

    /* NULL: unchanged. `commit` is at most the last entry that this record leaves: an installed
     * snapshot's reset and the commit index that it brings belong into one record. */
    const struct raft_hard_state *hard_state;
};

struct log_frame {
    const struct log_record *records;
    uint32_t record_count;
    bool sync; /* durable when it completes. Wanted for entries, term and vote, and a reset; not
                * for a commit index or a purge alone */
};

/* Ends a frame: RR_OK, or RR_IO for the first failure and ever after. May call log_store_submit,
 * not log_store_close. */
typedef void (*log_done_fn)(void *arg, rr_status status);

/* Called from any thread when log_store_poll has something to do; must not block. */
typedef void (*log_wake_fn)(void *arg);

/* What the store knows of a group without reading its entries. */
struct log_bounds {
    raft_index base_index;
    raft_term base_term;
    raft_index last_index; /* equal to base_index without entries */
    raft_term last_term;
};

/* A group's recovered state. */
struct log_recovery {
    struct raft_hard_state hard_state;
    struct log_bounds bounds;
};

/*
 * Receives each entry of a group in order. `entry` is given for configuration entries and NULL for
 * others; it is borrowed until the call returns, and may be referenced to keep it.
 */
typedef void (*log_scan_fn)(void *arg, raft_index index, raft_term term, enum raft_entry_type type,
                            struct raft_entry *entry);

typedef void (*log_group_fn)(void *arg, raft_group group);

struct log_store_counters {
    uint64_t frames;
    uint64_t entries;       /* appended */
    uint64_t bytes_written; /* of entries with their headers, and of group records */
    uint64_t syncs;
    uint64_t entries_read;
    uint64_t bytes_read;
};

/* An implementation. Each operation is described at the function of its name below. */
struct log_store;
struct log_store_operations {
    void (*submit)(struct log_store *store, const struct log_frame *frame, log_done_fn done,
                   void *done_arg);
    void (*poll)(struct log_store *store);
    void (*set_wake)(struct log_store *store, log_wake_fn wake, void *wake_arg);
    rr_status (*recover)(struct log_store *store, raft_group group, log_scan_fn scan,
                         void *scan_arg, struct storage_error *error, struct log_recovery *out);
    bool (*bounds)(const struct log_store *store, raft_group group, struct log_bounds *out);
    rr_status (*read)(struct log_store *store, raft_group group, raft_index first, raft_index last,
                      size_t bytes_max, uint32_t entries_max, struct raft_entry **out,
                      uint32_t *count, struct storage_error *error);
    void (*each_group)(const struct log_store *store, log_group_fn visit, void *visit_arg);
    void (*counters)(const struct log_store *store, struct log_store_counters *out);
    const char *(*failure)(const struct log_store *store);
    bool (*shortage)(const struct log_store *store, struct storage_error *error);
    void (*close)(struct log_store *store);
};

/* The first member of every implementation's struct. */
struct log_store {
    const struct log_store_operations *operations;
};

/*
 * Submits `frame`, which is borrowed until this returns. `done` runs exactly once, on the owner's
 * thread, after those of all frames before: during this call or from log_store_poll. Frames that
 * break the rules of struct log_record end in an assertion: they are the owner's own doing.
 */
void log_store_submit(struct log_store *store, const struct log_frame *frame, log_done_fn done,
                      void *done_arg);

/* Runs the completions that are due. Never blocks. */
void log_store_poll(struct log_store *store);

/* Sets whom to wake when completions are due; the wake may come from another thread. NULL: nobody.
 * Stores that complete within log_store_submit never call it. */
void log_store_set_wake(struct log_store *store, log_wake_fn wake, void *wake_arg);

/*
 * Reads everything that is left of a group, once after opening: each entry goes to `scan` (unless
 * NULL), with its checksum verified and without a gap. The whole log is read.
 *
 * RR_NOT_FOUND: the store has no such group. RR_CORRUPT: an entry, a gap or the group's record is
 * damaged; the text names the index and what to do. RR_IO, RR_NO_MEMORY. On failure `scan` may have
 * run for the entries before.
 */
RR_MUST_USE rr_status log_store_recover(struct log_store *store, raft_group group, log_scan_fn scan,
                                        void *scan_arg, struct storage_error *error,
                                        struct log_recovery *out);

/* The group's bounds, with all submitted frames in effect; false without such a group. */
bool log_store_bounds(const struct log_store *store, raft_group group, struct log_bounds *out);

/*
 * Reads entries from `first` to `last` (both included, at most `last_index`), as many as fit
 * `entries_max` and `bytes_max` of payload, but at least one. `out` has room for `entries_max`;
 * each entry in it is a reference that the caller drops. Frames that have completed are seen;
 * whether those in flight are is open, so the owner keeps their entries until then.
 *
 * RR_NOT_FOUND: `first` is not above the base, or above the last entry, or there is no such group.
 * RR_CORRUPT: an entry fails its checksum or is missing; nothing is returned then, and the text
 * names it. RR_IO, RR_NO_MEMORY.
 */
RR_MUST_USE rr_status log_store_read(struct log_store *store, raft_group group, raft_index first,
                                     raft_index last, size_t bytes_max, uint32_t entries_max,
                                     struct raft_entry **out, uint32_t *count,
                                     struct storage_error *error);

/* Calls `visit` for every group, ids ascending. The store must not be changed meanwhile. */
void log_store_each_group(const struct log_store *store, log_group_fn visit, void *visit_arg);

void log_store_counters(const struct log_store *store, struct log_store_counters *out);

/* Why the store failed, or NULL while it has not. Lasts as long as the store. */
const char *log_store_failure(const struct log_store *store);

/* Whether the store could not get the room that it keeps ahead of need; then `error` tells why. The
 * owner should submit no more entries, so that what is left holds votes and purges. A store that
 * keeps none never says so. */
bool log_store_shortage(const struct log_store *store, struct storage_error *error);

/* Completes what was submitted (the completions still run) and closes. NULL is fine. */
void log_store_close(struct log_store *store);

/*
 * Makes the log of a group agree with the applied state (applied_index, applied_term) at start:
 * the step that a crash between installing a snapshot and resetting the log has left out, and that
 * a lost state shows itself in. Blocks until it is durable.
 *
 * - The log holds the applied entry with that term, or has it as its base: nothing to do.
 * - The log ends before it, or holds another term there: the state came by snapshot. The log is
 *   reset to (applied_index, applied_term), and the hard state's commit raised to it.
 * - The log begins after it: entries that the state lacks are purged. RR_CORRUPT, with a text.
 * - The log ends before its own commit index: its end was lost. RR_CORRUPT, with a text.
 *
 * `recovery` is what log_store_recover returned, or all zero for a group that does not exist; it
 * is brought up to date. `reset` (unless NULL) tells whether the log was reset: what the scan saw
 * is then void. RR_IO, RR_NO_MEMORY as well.
 */
RR_MUST_USE rr_status log_store_align(struct log_store *store, raft_group group,
                                      raft_index applied_index, raft_term applied_term,
                                      struct log_recovery *recovery, bool *reset,
                                      struct storage_error *error);

#endif
