/*
 * Backups of a live cluster, and new clusters made from them; docs/backup.md tells how to use them.
 *
 * A backup is a directory with the state of one log position, checksummed. It is taken from any
 * member over its raft address, and holds every write that was acknowledged before the call. It is
 * restored into the data directory of a new node, which is a cluster of its own with another cluster
 * id, so that it never mixes with the old one or with another restore of the same backup.
 *
 * The calls block. Any thread may make them; none is the thread of a node.
 */
#ifndef ROCKRAFT_BACKUP_H
#define ROCKRAFT_BACKUP_H

#include <rockraft/rockraft.h>
#include <rockraft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RR_BACKUP_MEMBERS_MAX = 31 };

/* What a backup holds. */
typedef struct rr_backup_info {
    size_t struct_size; /* set by the caller to sizeof(rr_backup_info) */
    uint64_t cluster;   /* that it is of */
    uint64_t node;      /* that it was taken from */
    uint64_t index;     /* the last entry in it, and its term */
    uint64_t term;
    uint64_t bytes; /* of its files */
    uint32_t file_count;
    uint32_t member_count;
    uint64_t made_ms;                         /* when it was complete, in milliseconds since 1970 */
    rr_member members[RR_BACKUP_MEMBERS_MAX]; /* as of `index`, ascending by id */
} rr_backup_info;

/* How far a call is. `event` is what just happened, as text for people, or NULL: only bytes were
 * moved. All lasts for the call. */
typedef struct rr_backup_progress {
    uint64_t bytes_done; /* of `bytes`; may fall when another node has to be asked */
    uint64_t bytes;      /* 0: not known yet */
    const char *event;
} rr_backup_progress;

/* Called on the caller's thread now and then, at least once a second. False ends the call with
 * RR_CLOSED. It must not end the process's thread by other means. */
typedef bool (*rr_backup_progress_fn)(void *arg, const rr_backup_progress *progress);

typedef struct rr_backup_options {
    size_t struct_size;             /* set by rr_backup_options_init */
    const char *const *from;        /* raft addresses, "host:port", of members; one suffices */
    size_t from_count;              /* 1 to 31 */
    const char *path;               /* the backup's directory: not there yet, or empty */
    uint64_t bytes_per_s;           /* 0: no limit; below 128 KiB counts as that */
    uint32_t timeout_ms;            /* without a byte: then it is given up [600000] */
    rr_backup_progress_fn progress; /* NULL is fine */
    void *progress_arg;
} rr_backup_options;

RR_API void rr_backup_options_init(rr_backup_options *options);

/*
 * Takes a backup. The first node of `from` that can gives it; when one fails half way, it is asked
 * again, and then the next. Nothing is at `path` until all is there, verified and durable; an attempt
 * that did not end leaves "PATH.partial", from which the next one may go on.
 *
 * Returns RR_OK with `info` (unless NULL); or, with a line in `error` (unless NULL) that says what to
 * do: RR_INVALID (options), RR_CONFLICT (there is something at `path`), RR_BUSY (another process is
 * making this very backup), RR_TIMEOUT (no node gave it in time), RR_MISMATCH (they are of different
 * clusters, or of a version without backups), RR_NOT_FOUND (none is a member), RR_CORRUPT (what they
 * have is damaged), RR_CLOSED (`progress` ended it), RR_NO_SPACE, RR_IO, RR_NO_MEMORY.
 */
RR_API RR_MUST_USE rr_status rr_backup_save(const rr_backup_options *options, rr_backup_info *info,
                                            char *error, size_t error_size);

/*
 * Reads all of a backup and compares it with its checksums; changes nothing. RR_OK with `info`
 * (unless NULL), RR_NOT_FOUND (it is none), RR_CORRUPT, RR_MISMATCH (a newer version made it),
 * RR_IO, RR_NO_MEMORY.
 */
RR_API RR_MUST_USE rr_status rr_backup_verify(const char *path, rr_backup_info *info, char *error,
                                              size_t error_size);

typedef struct rr_restore_options {
    size_t struct_size;    /* set by rr_restore_options_init */
    const char *path;      /* of the backup */
    const char *data_path; /* the node's data directory: not there yet, or empty */
    uint64_t node_id;      /* not 0; any, also one of the old cluster's */
    const char *address;   /* "host:port" at which other nodes reach it: its raft address */
    rr_backup_progress_fn progress; /* NULL is fine */
    void *progress_arg;
} rr_restore_options;

RR_API void rr_restore_options_init(rr_restore_options *options);

/*
 * Makes the data directory of a new cluster whose one member is `node_id`, with the state of the
 * backup: keys, sessions, clock and indexes go on where they were. The node is then started as usual,
 * and others join it with empty directories.
 *
 * The backup is verified on the way and not changed. A crash or a failure leaves a directory from
 * which no node starts, and which the same call takes again; or the finished one.
 *
 * `info` (unless NULL) receives what the backup holds, and `cluster` (unless NULL) the new cluster's
 * id. RR_OK; RR_INVALID (options); RR_CONFLICT (the directory is not empty); RR_BUSY (a process uses
 * it); and as rr_backup_verify, RR_NO_SPACE.
 */
RR_API RR_MUST_USE rr_status rr_backup_restore(const rr_restore_options *options,
                                               rr_backup_info *info, uint64_t *cluster, char *error,
                                               size_t error_size);

#ifdef __cplusplus
}
#endif

#endif
