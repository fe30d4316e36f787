/* What the implementations of the log store share. */
#ifndef STORAGE_LOG_STORE_PRIVATE_H
#define STORAGE_LOG_STORE_PRIVATE_H

#include "base/map.h"
#include "storage/log_store.h"

/*
 * Verifies the value of one entry and hands it to `scan` (unless NULL). `term` is the one before
 * it, and then its own. RR_CORRUPT, also if the term falls; RR_MISMATCH, RR_NO_MEMORY.
 */
RR_MUST_USE rr_status log_scan_value(raft_group group, raft_index index, rr_bytes value,
                                     log_scan_fn scan, void *scan_arg, struct storage_error *error,
                                     raft_term *term);

/* Calls `visit` for the keys of `groups`, ascending. */
void log_visit_groups(const struct map *groups, log_group_fn visit, void *visit_arg);

#endif
