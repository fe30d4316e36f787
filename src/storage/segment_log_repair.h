/*
 * Saves a damaged log in segments where nothing is lost by it: what is damaged held only entries
 * that the state on disk contains, and later frames tell the hard state and where the log ends.
 *
 * A log of one group. Blocking; while the store is not open.
 */
#ifndef STORAGE_SEGMENT_LOG_REPAIR_H
#define STORAGE_SEGMENT_LOG_REPAIR_H

#include "storage/segment_log_store.h"

/* The group's state on this disk contains the entries up to this one, and a crash does not take
 * them from it. */
struct segment_log_floor {
    raft_group group;
    raft_index index;
    raft_term term;
};

/*
 * Writes what follows the floor into a new segment, so that the store opens with the floor as its
 * base, the hard state as it was and every later entry. After a crash at any point the log is as
 * damaged as before, or repaired.
 *
 * Call it when opening or recovering the store said RR_CORRUPT. `text` then says what was done, or
 * why nothing is: RR_CORRUPT (a vote, a commit index or entries after the floor may be among what
 * is missing: the log is as it was), RR_INVALID (options), RR_IO, RR_NO_SPACE, RR_NO_MEMORY,
 * RR_MISMATCH.
 */
RR_MUST_USE rr_status segment_log_store_repair(const struct segment_log_store_options *options,
                                               const struct segment_log_floor *floor,
                                               struct storage_error *text);

#endif
