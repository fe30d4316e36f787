/*
 * A backup on disk: a directory with a snapshot and the file BACKUP, which tells whose it is.
 *
 * It is made under the name "PATH.partial", where a broken attempt leaves what it has for the next,
 * and gets its own name by one rename when it is complete, verified and durable. So a directory with
 * BACKUP in it under a name of the operator's choice is always a whole one.
 *
 * Blocking; any thread, one at a time for an object.
 */
#ifndef STORAGE_BACKUP_DIR_H
#define STORAGE_BACKUP_DIR_H

#include "storage/snapshot_writer.h"

/* What BACKUP says besides. */
struct backup_origin {
    uint64_t cluster;
    raft_id node;     /* that it was taken from */
    uint64_t made_ms; /* when it was complete, since 1970 */
};

/* ---- Making one ---- */

struct backup_maker;

/*
 * Opens or creates "PATH.partial". RR_CONFLICT: there is something at `path` (an empty directory is
 * fine). RR_BUSY: another process is making this backup. RR_IO, RR_NO_SPACE, RR_TOO_BIG.
 */
RR_MUST_USE rr_status backup_maker_open(const char *path, struct storage_error *error,
                                        struct backup_maker **out);

/*
 * Begins the snapshot of `manifest`, or goes on with it; what there is of another goes. `out` is the
 * writer for its chunks, to be ended by backup_maker_take or snapshot_writer_close before anything
 * else is done, or NULL if that snapshot is here already, whole. Fails as snapshot_writer_begin
 * does, but never with RR_CONFLICT.
 */
RR_MUST_USE rr_status backup_maker_begin(struct backup_maker *maker, rr_bytes manifest,
                                         struct storage_error *error, struct snapshot_writer **out);

/* All chunks are there: verifies them, as snapshot_writer_finish, which takes `writer`. */
RR_MUST_USE rr_status backup_maker_take(struct backup_maker *maker, struct snapshot_writer *writer,
                                        struct storage_error *error);

/* Gives the backup, whose snapshot is whole, its file BACKUP and its name. Takes `maker` in any
 * case. RR_CONFLICT: meanwhile something has come to be at the path. RR_IO, RR_NO_SPACE. */
RR_MUST_USE rr_status backup_maker_publish(struct backup_maker *maker,
                                           const struct backup_origin *origin,
                                           struct storage_error *error);

/* Leaves what there is for the next attempt. NULL is fine. */
void backup_maker_close(struct backup_maker *maker);

/* ---- Using one ---- */

struct backup_dir;

/*
 * Opens a backup for reading; nothing in it is changed. Files are compared with their checksums by
 * snapshot_verify alone. RR_NOT_FOUND (no backup at all), RR_CORRUPT, RR_MISMATCH (a newer version
 * made it), RR_IO, RR_NO_MEMORY.
 */
RR_MUST_USE rr_status backup_dir_open(const char *path, struct storage_error *error,
                                      struct backup_dir **out);
void backup_dir_close(struct backup_dir *backup); /* NULL is fine */

/* Both last as long as `backup`. */
const struct backup_origin *backup_dir_origin(const struct backup_dir *backup);
struct snapshot *backup_dir_snapshot(const struct backup_dir *backup);

#endif
