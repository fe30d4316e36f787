/*
 * A node's data directory: whose it is, and that one process at a time uses it.
 *
 * It holds LOCK (flocked while open), IDENTITY (written once, once more when the cluster is known,
 * and when the disk was damaged: FORMER) and what the other files of this layer keep: log/, STATE, state-<n>/, snapshots/.
 */
#ifndef STORAGE_DATA_DIR_H
#define STORAGE_DATA_DIR_H

#include "raft/types.h"
#include "storage/former.h"

struct data_dir;

/* Who owns a directory. The incarnation is drawn when the directory is created, so a wiped disk
 * is told apart from the one that made the promises of this node id. */
struct data_dir_identity {
    uint64_t cluster; /* 0: not known yet */
    raft_id node;     /* never 0 */
    uint64_t incarnation;
};

struct data_dir_options {
    const char *path;     /* created with its missing last component */
    raft_id node;         /* who opens it; never 0 */
    uint64_t cluster;     /* the cluster that it must belong to; 0: any, or not known yet */
    uint64_t incarnation; /* for a new directory; 0: drawn at random */
    bool must_exist;      /* RR_NOT_FOUND instead of creating a new directory */
    bool restoring;       /* see data_dir_finish_restore */
};

/*
 * Opens the directory, or makes it one of `node`. It stays locked until data_dir_close.
 *
 * Blocking; any thread; the object belongs to one. Errors, all with a text that says what to do:
 * RR_IO (cannot be created, read or written), RR_NO_SPACE, RR_BUSY (another process has it open),
 * RR_MISMATCH (it belongs to another node or cluster, or a newer version wrote it), RR_CORRUPT (the
 * identity is damaged, or missing while there is data), RR_NOT_FOUND. Nothing was changed then,
 * except that the directory and LOCK may have been created, and that what a data_dir_renew has begun
 * may have gone on.
 */
RR_MUST_USE rr_status data_dir_open(const struct data_dir_options *options,
                                    struct storage_error *error, struct data_dir **out);

/* Unlocks. NULL is fine. Everything in the directory must have been closed before. */
void data_dir_close(struct data_dir *dir);

const struct data_dir_identity *data_dir_identity(const struct data_dir *dir);

/* Whether data_dir_open made it: this node has never run here. */
bool data_dir_is_new(const struct data_dir *dir);

/*
 * Records the cluster, durably, once it is known. Does nothing if it is recorded already;
 * RR_MISMATCH if another one is, RR_IO or RR_NO_SPACE if it cannot be written (one of the two
 * identities is then on disk, whole). `cluster` is not 0.
 */
RR_MUST_USE rr_status data_dir_set_cluster(struct data_dir *dir, uint64_t cluster,
                                           struct storage_error *error);

/*
 * With `restoring`, data_dir_open takes an empty directory, or what a restore that did not end has
 * left (which it empties), and refuses any other with RR_CONFLICT. The directory has no IDENTITY
 * then but the file RESTORING, with which no node starts. When everything else is in it, durably,
 * this gives it its identity. RR_IO, RR_NO_SPACE: it may or may not have it.
 */
RR_MUST_USE rr_status data_dir_finish_restore(struct data_dir *dir, struct storage_error *error);

/* The incarnations that the directory had before it was damaged, oldest first; none, most often. */
const struct former *data_dir_former(const struct data_dir *dir);

/*
 * Makes the directory another disk, because `parts` of it (enum damage_part) are damaged: draws a
 * new incarnation, remembers the old one, and sets the parts aside in damaged-<old incarnation>. All
 * files there must have been closed. Once it has begun, data_dir_open goes on after a crash; at no
 * time is the old incarnation found without the parts.
 *
 * RR_IO, RR_NO_SPACE, RR_NO_MEMORY: the identity is the old one with everything in its place, or
 * the new one, with parts that the next data_dir_open sets aside; `dir` must be closed.
 */
RR_MUST_USE rr_status data_dir_renew(struct data_dir *dir, unsigned parts,
                                     struct storage_error *error);

/*
 * Whether nothing was promised under the directory's incarnation, after data_dir_renew or a restore:
 * a log that is missing is then no damage. data_dir_begun ends that, durably, once there is a log.
 * RR_IO, RR_NO_SPACE, RR_NO_MEMORY.
 */
bool data_dir_is_fresh(const struct data_dir *dir);
RR_MUST_USE rr_status data_dir_begun(struct data_dir *dir, struct storage_error *error);

/* The path as it was given, and those of its parts; they last as long as `dir`. */
const char *data_dir_path(const struct data_dir *dir);
const char *data_dir_log_path(const struct data_dir *dir);
const char *data_dir_snapshots_path(const struct data_dir *dir);

#endif
