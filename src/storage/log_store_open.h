/*
 * Opens a node's log: finds out which kind its directory has, and chooses the store for it.
 */
#ifndef STORAGE_LOG_STORE_OPEN_H
#define STORAGE_LOG_STORE_OPEN_H

#include "base/log.h"
#include "storage/log_store.h"

struct log_store_open_options {
    const char *path;       /* of the log's own directory; created */
    rr_log_kind kind;       /* RR_LOG_AUTO: what is there, or the default for a new log */
    uint64_t segment_bytes; /* of segments; see segment_log_store.h, as the next */
    bool sync_on_thread;
};

/* The kind of log in the directory; RR_LOG_AUTO: there is none. RR_IO; RR_CORRUPT if there are files
 * of both. */
RR_MUST_USE rr_status log_store_kind(const char *path, struct storage_error *error,
                                     rr_log_kind *out);

/*
 * Opens or creates the log; the owner sees to it that no other process has it open (data_dir.h).
 * Blocking. `logger` is told which kind it is.
 *
 * RR_MISMATCH if the log is of another kind than the one asked for; otherwise what the function
 * that opens the store returns; with a text.
 */
RR_MUST_USE rr_status log_store_open(const struct log_store_open_options *options,
                                     const struct logger *logger, struct storage_error *error,
                                     struct log_store **out);

#endif
