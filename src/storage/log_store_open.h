/*
 * Opens a node's log: finds out which kind its directory has, chooses the store for it, and has it
 * moved to another kind where that is asked for (log_migrate.h).
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
    bool migrate; /* a log of another kind is moved, not refused */
};

/* "a log in segments" and the like; a static text. */
const char *log_store_kind_name(rr_log_kind kind);

/* The kind of log in the directory; RR_LOG_AUTO: there is none. RR_IO; RR_CORRUPT if there are files
 * of both. */
RR_MUST_USE rr_status log_store_kind(const char *path, struct storage_error *error,
                                     rr_log_kind *out);

/* Opens or creates a log of options->kind, which is not RR_LOG_AUTO, and looks at no other. Blocking.
 * What the function that opens the store returns. */
RR_MUST_USE rr_status log_store_open_kind(const struct log_store_open_options *options,
                                          struct storage_error *error, struct log_store **out);

/*
 * Opens or creates the log; the owner sees to it that no other process has it open (data_dir.h).
 * Blocking, and as long as it takes to move the log. `logger` is told about that.
 *
 * RR_MISMATCH if the log is of another kind than the one asked for and is not to be moved; RR_CORRUPT
 * if there are files of both; RR_NO_SPACE to move it; otherwise what the function that opens the store
 * returns; with a text.
 */
RR_MUST_USE rr_status log_store_open(const struct log_store_open_options *options,
                                     const struct logger *logger, struct storage_error *error,
                                     struct log_store **out);

#endif
