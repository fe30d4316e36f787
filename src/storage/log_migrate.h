/*
 * Moves a log from one kind of store to the other.
 *
 * The new log is made beside the old one, in LOG.new; when it is complete, synced, and what is read
 * back from it equals the old one, LOG becomes LOG.old, LOG.new becomes LOG, and LOG.old goes. So
 * LOG, wherever it is, is whole, and if it is not there, LOG.new is:
 *
 * | there are            | a crash came      | done by log_migrate_recover            |
 * |----------------------|-------------------|----------------------------------------|
 * | LOG, perhaps LOG.new | before the switch | LOG.new goes                           |
 * | LOG.old, LOG.new     | in it             | LOG.new becomes LOG, and LOG.old goes  |
 * | LOG, LOG.old         | after it          | LOG.old goes                           |
 *
 * Blocking; the owner sees to it that no other process uses the logs (data_dir.h).
 */
#ifndef STORAGE_LOG_MIGRATE_H
#define STORAGE_LOG_MIGRATE_H

#include "base/log.h"
#include "storage/log_store_open.h"

/* Ends what a crash has left of a move, before anything looks at the log at `path`; without one it
 * does nothing. RR_IO; RR_CORRUPT if no crash leaves what is there. */
RR_MUST_USE rr_status log_migrate_recover(const char *path, const struct logger *logger,
                                          struct storage_error *error);

/*
 * Moves the log at options->path, which is of kind `from`, to options->kind. `logger` is told how
 * far it is.
 *
 * RR_NO_SPACE (both are on the disk for a while; nothing was written if that was plain before),
 * RR_IO, RR_NO_MEMORY; RR_CORRUPT if the old log is damaged; and what opening the stores returns.
 * The old log is in its place then, or the new one is; log_migrate_recover is due again.
 */
RR_MUST_USE rr_status log_migrate(const struct log_store_open_options *options, rr_log_kind from,
                                  const struct logger *logger, struct storage_error *error);

#endif
