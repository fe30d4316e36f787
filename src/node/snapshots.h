/*
 * What the files of the snapshots share; what the rest of the node asks of them is in
 * node_private.h.
 *
 *   snapshots.c          the store, the latest one, making, installing, the policy, purging
 *   snapshots_send.c     to members that the log no longer reaches
 *   snapshots_receive.c  from the leader
 *   snapshots_api.c      rr_node_snapshot, rr_node_purge and their blocking forms
 *
 * Whatever touches many bytes of the disk runs on the node's worker; everything else is on the
 * node's thread. Heartbeats and writes go on meanwhile.
 */
#ifndef NODE_SNAPSHOTS_H
#define NODE_SNAPSHOTS_H

#include "node/node_private.h"
#include "storage/snapshot_writer.h"

enum {
    SNAPSHOT_RETRY_MS = 5000,  /* after one could not be made by itself */
    PURGE_INTERVAL_MS = 200,   /* between purges that a slow member holds back */
    SEND_BACKOFF_MIN_MS = 200, /* before a member that refused one is offered the next */
    SEND_BACKOFF_MAX_MS = 5000,
};

/* Numbers for metrics; the node's thread. */
struct snapshots_counters {
    uint64_t made_total;
    uint64_t make_failures_total;
    uint64_t made_us_total; /* time spent making them */
    uint64_t sent_total;
    uint64_t send_failures_total;
    uint64_t sent_bytes_total;
    uint64_t received_total; /* whole, whether installed or not */
    uint64_t receive_failures_total;
    uint64_t received_bytes_total;
    uint64_t installed_total;
    uint64_t purges_total;
    uint64_t backups_total; /* read by clients to the end */
    uint64_t backup_bytes_total;
};

/* One being made on the worker. */
struct making {
    struct worker_job job;
    bool under_way;
    uint64_t started_us;
    uint64_t retry_us; /* not before, after a failure */
    rr_status status;
    struct storage_error error;
};

struct receiving;

struct snapshots {
    struct snapshot_store *store;
    bool stopped;

    /* The latest: held, with what the core wants to know of it; NULL without one. */
    struct snapshot *latest;
    struct raft_snapshot *description;
    struct snapshot_info latest_info;

    struct making making;
    struct list waiting; /* struct request of rr_node_snapshot: for one that covers them */

    raft_index purge_wanted; /* as far as the log may go, once nobody holds it */
    uint64_t purged_us;
    struct deadline purge_again; /* while something is held back */

    struct list sends;           /* struct sending */
    struct receiving *receiving; /* NULL while none is on its way in */
    struct snapshot *installing; /* received and handed to the core, until it is installed */
    struct list backoffs;        /* struct send_backoff */
    struct list backups;         /* struct backup: what clients read (backups.h) */
    struct snapshots_counters counters;
};

/* ---- snapshots.c ---- */

/* Reads the latest snapshot of the store again. */
void snapshots_refresh(rr_node *node);

/* What was read of `snapshot` is damaged and must not be sent: the next attempt makes one anew. If the
 * state has the damaged file `in_use`, too, another would be no better, and the state must be
 * repaired. */
void snapshots_damaged(rr_node *node, struct snapshot *snapshot, bool in_use, const char *text);

/* Begins to make one, unless one is being made. */
void snapshots_make(rr_node *node);

/* Drops what may be dropped of the log; holds back for members that would be cut off. */
void snapshots_purge(rr_node *node);

/* The same for a caller who wants it gone up to `index`: only a snapshot under way holds it back. */
void snapshots_purge_asked(rr_node *node, raft_index index);

/* ---- snapshots_send.c ---- */

void sends_stop(rr_node *node);
void sends_close(rr_node *node);
/* The lowest position of a snapshot under way to a member; UINT64_MAX: none is. */
raft_index sends_floor(const rr_node *node);

/* ---- snapshots_receive.c ---- */

/* The core has installed `installing`, or has let it be. */
void receive_installed(rr_node *node);
void receive_close(rr_node *node);

/* ---- snapshots_api.c ---- */

/* Answers those whose wait is over: there is one that covers them, or none can be made. */
void snapshot_calls_settle(rr_node *node, rr_status status, const char *text);
void snapshot_calls_stop(rr_node *node);

#endif
