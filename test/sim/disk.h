/*
 * A node's disk: what was written, and what of it would outlast a crash.
 *
 * Writes are atomic frames. They reach the written log at once and the durable one when they are
 * synced; a crash keeps the frames up to some place among those that were not. The state machine's
 * store is apart from the log: it flushes when it likes, so it may be behind by any number of
 * entries.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "raft/types.h"

/* Entries behind a base, references included. */
struct disk_log {
    raft_index base;
    raft_term base_term;
    struct raft_entry **entries;
    uint32_t start; /* of the first in use */
    uint32_t count;
    uint32_t capacity;
};

/* What applying entries has led to. */
struct machine {
    raft_index applied;
    raft_term term;  /* of that entry */
    uint64_t digest; /* of all entries up to there */
    struct raft_configuration configuration;
};

struct disk_frame {
    bool has_hard_state;
    struct raft_hard_state hard_state;
    struct raft_entry **entries; /* replace the log from the first one's index on */
    uint32_t entry_count;
    struct raft_snapshot *snapshot; /* replaces log and state */
    raft_index compacted;           /* entries up to here are dropped; 0: none */
};

struct disk {
    struct disk_log written;
    struct disk_log durable;
    struct raft_hard_state durable_hard_state;
    struct machine flushed;    /* the state machine, as it would be found after a crash */
    struct disk_frame *frames; /* written, not synced; oldest first */
    uint32_t frame_count;
    uint32_t frame_capacity;
    uint64_t written_frames; /* how many ever */
    uint64_t durable_frames;
};

/* A disk that holds `machine` and nothing behind it. */
void disk_init(struct disk *disk, const struct machine *machine);
void disk_deinit(struct disk *disk);

/* Takes what the frame holds. */
void disk_write(struct disk *disk, const struct disk_frame *frame);

/* The first `upto` frames ever written are durable. */
void disk_sync(struct disk *disk, uint64_t upto);

/* Of the frames that are not durable the first `kept` outlast it. */
void disk_crash(struct disk *disk, uint32_t kept);

raft_index disk_log_last(const struct disk_log *log);
/* The entry at `index`, borrowed; it must be there. */
struct raft_entry *disk_log_at(const struct disk_log *log, raft_index index);
raft_term disk_log_term(const struct disk_log *log, raft_index index);

/* What a snapshot of `machine` says, and back. */
struct raft_snapshot *machine_snapshot(const struct machine *machine);
void machine_restore(struct machine *machine, const struct raft_snapshot *snapshot);

#endif
