/*
 * Durable files and directories, on the POSIX calls: every function says what is on disk when it
 * returns. Blocking; any thread, but one at a time for the same path.
 *
 * Failures are RR_NO_SPACE (the disk or the quota is full), RR_NOT_FOUND (there is no such file)
 * or RR_IO, with the text filled in.
 */
#ifndef STORAGE_FILE_H
#define STORAGE_FILE_H

#include "base/buffer.h"
#include "storage/error.h"

#include <sys/types.h>

enum { PATH_BYTES_MAX = 4096 };

/* "directory/name" into `out`; RR_TOO_BIG when it does not fit PATH_BYTES_MAX. */
RR_MUST_USE rr_status path_join(const char *directory, const char *name, char out[PATH_BYTES_MAX],
                                struct storage_error *error);

/* Whether something is at `path`; a path that cannot be looked at counts as missing. */
bool file_exists(const char *path);

/* Creates the directory and syncs its parent; one that is there already is fine. */
RR_MUST_USE rr_status directory_create(const char *path, struct storage_error *error);

/* Makes the names in the directory durable: after creating, renaming or unlinking in it. */
RR_MUST_USE rr_status directory_sync(const char *path, struct storage_error *error);

/* Makes the name `path` durable, by syncing the directory that it is in. */
RR_MUST_USE rr_status directory_sync_parent(const char *path, struct storage_error *error);

/*
 * Calls `visit` for each name in the directory except . and .., in no particular order, until it
 * does not return RR_OK; that is then the result. RR_NOT_FOUND without the directory.
 */
typedef rr_status (*directory_visit_fn)(void *arg, const char *name, struct storage_error *error);
RR_MUST_USE rr_status directory_list(const char *path, directory_visit_fn visit, void *arg,
                                     struct storage_error *error);

/* Removes what is at `path` with everything under it, following no links, and syncs its parent;
 * nothing there is fine. */
RR_MUST_USE rr_status file_remove_tree(const char *path, struct storage_error *error);

/* Replaces the file by `bytes`, or creates it: afterwards, and after a crash at any point, it holds
 * either all of the old bytes or all of the new ones, and durably the new ones on RR_OK. Uses
 * "name.tmp" beside it. */
RR_MUST_USE rr_status file_replace(const char *path, rr_bytes bytes, struct storage_error *error);

/* Appends the whole file to `out`. RR_NOT_FOUND without one, RR_TOO_BIG if it is larger than
 * `size_max`, RR_NO_MEMORY. */
RR_MUST_USE rr_status file_read(const char *path, size_t size_max, struct buffer *out,
                                struct storage_error *error);

/* The size of a regular file. RR_NOT_FOUND without one. */
RR_MUST_USE rr_status file_size(const char *path, uint64_t *out, struct storage_error *error);

/* Renames within one file system and syncs the parents, a common one once. */
RR_MUST_USE rr_status file_rename(const char *from, const char *to, struct storage_error *error);

/* A second name `to` for the file, without copying; not durable before directory_sync_parent. */
RR_MUST_USE rr_status file_link(const char *from, const char *to, struct storage_error *error);

/* Copies a regular file and syncs the copy; its name is not durable before directory_sync_parent.*/
RR_MUST_USE rr_status file_copy(const char *from, const char *to, struct storage_error *error);

/*
 * The checksum of a file of `size` bytes: checksum64_seeded over each piece of 1 MiB in turn (the
 * last may be shorter), seeded with the result before it, 0 at first. RR_CORRUPT if the file has
 * another size, RR_NOT_FOUND.
 */
RR_MUST_USE rr_status file_checksum(const char *path, uint64_t size, uint64_t *out,
                                    struct storage_error *error);

/* Opens a regular file for reading and writing, or creates a new one: RR_NOT_FOUND without one,
 * RR_IO if it is there already. The caller closes `out`. A new name is not durable before
 * directory_sync_parent. */
RR_MUST_USE rr_status file_open(const char *path, int *out, struct storage_error *error);
RR_MUST_USE rr_status file_create(const char *path, int *out, struct storage_error *error);

/* Writes all bytes at `offset` of an open file; syncs an open file, or its data and size alone;
 * cuts or extends it. `path` is for the text (and an observer) alone. */
RR_MUST_USE rr_status file_sync_data(int fd, const char *path, struct storage_error *error);
RR_MUST_USE rr_status file_write_at(int fd, const char *path, uint64_t offset, rr_bytes bytes,
                                    struct storage_error *error);
RR_MUST_USE rr_status file_sync(int fd, const char *path, struct storage_error *error);
RR_MUST_USE rr_status file_truncate(int fd, const char *path, uint64_t size,
                                    struct storage_error *error);

/* Lets the kernel forget the file's pages, which are synced. A hint: it cannot fail. */
void file_drop_cache(int fd);

/* Reads exactly `size` bytes at `offset`; RR_CORRUPT if the file ends before. */
RR_MUST_USE rr_status file_read_at(int fd, const char *path, uint64_t offset, void *out,
                                   size_t size, struct storage_error *error);

/* Bytes that an unprivileged process may still write on the file system of `path`. */
RR_MUST_USE rr_status file_space_available(const char *path, uint64_t *out,
                                           struct storage_error *error);

/* --- Faults, for tests --- */

enum file_fault {
    FILE_FAULT_NONE = 0,
    FILE_FAULT_ERROR = 1, /* the operation fails with EIO; a write has written half its bytes */
    FILE_FAULT_FULL = 2,  /* the same with ENOSPC */
    FILE_FAULT_EXIT = 3,  /* the process ends on the spot, as by kill -9, with FILE_FAULT_EXIT_CODE;
                           * a write has written half its bytes */
    FILE_FAULT_SHORT = 4, /* a write writes half its bytes and says so; nothing else fails */
    FILE_FAULT_INTERRUPT = 5, /* a write is interrupted by a signal; likewise */
    FILE_FAULT_FLIP = 6,      /* reads alone: one bit is not as it is on the disk */
};

enum { FILE_FAULT_EXIT_CODE = 117 };

/*
 * The `nth` operation that changes the disk, from now on in this thread (1 is the next), meets
 * `fault`, once. Such operations are every create, write, sync, truncate, link, rename and unlink
 * of this file, and every write, flush, open and checkpoint that this layer asks of RocksDB. 0
 * turns it off. See mem_fail_after for how a test walks all of them.
 */
void file_fault_after(uint64_t nth, enum file_fault fault);

/* Whether the fault asked for in this thread has not happened yet. */
bool file_fault_pending(void);

/* The same for the `nth` read of this thread through this file: ERROR, SHORT, INTERRUPT or FLIP. */
void file_read_fault_after(uint64_t nth, enum file_fault fault);
bool file_read_fault_pending(void);

/* What an operation of this file did to the disk. */
enum file_event_kind {
    FILE_EVENT_CREATE = 1,
    FILE_EVENT_WRITE,
    FILE_EVENT_TRUNCATE,
    FILE_EVENT_SYNC,
    FILE_EVENT_SYNC_FAILED, /* by a fault: what was to be synced may be in memory alone, for ever */
    FILE_EVENT_RENAME,
    FILE_EVENT_REMOVE,
    FILE_EVENT_SYNC_DIRECTORY,
};

struct file_event {
    enum file_event_kind kind;
    const char *path;
    const char *to;  /* RENAME: the new path */
    uint64_t offset; /* WRITE: where; TRUNCATE: the new size */
    rr_bytes bytes;  /* WRITE */
};

typedef void (*file_observe_fn)(void *arg, const struct file_event *event);

/*
 * Tells `observe` each change that file_create, _write_at, _truncate, _sync, _sync_data, _rename,
 * _remove_tree (of a file) and the syncs of directories make in this thread, right before it is
 * made. While there is an observer nothing is really synced: it is the observer that decides what
 * a crash leaves. NULL ends it.
 */
void file_observe(file_observe_fn observe, void *arg);

/* For operations of RocksDB: RR_OK, or the status and text of the fault that `what` has to meet. */
RR_MUST_USE rr_status file_fault_check(const char *what, struct storage_error *error);

#endif
