/*
 * Saves a damaged log where the state makes up for what is lost, whichever kind it is of.
 */
#ifndef STORAGE_LOG_STORE_REPAIR_H
#define STORAGE_LOG_STORE_REPAIR_H

#include "storage/log_store_open.h"

/*
 * The log, which is not open, has one group, and the state on this disk contains its entries up to
 * `index`, the last of which has `term`. Blocking. See segment_log_repair.h.
 *
 * RR_OK: `text` says what was done. RR_CORRUPT: it says why nothing is; a log in RocksDB is never
 * saved. RR_IO, RR_NO_SPACE, RR_NO_MEMORY, RR_MISMATCH, RR_INVALID.
 */
RR_MUST_USE rr_status log_store_repair(const struct log_store_open_options *options,
                                       raft_group group, raft_index index, raft_term term,
                                       struct storage_error *text);

#endif
