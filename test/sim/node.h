/*
 * A node: a core on its host, a disk, a clock, a state machine, and the loop that joins them.
 *
 * A turn is a number of events and then a batch. Its messages leave at once, what it persists is
 * queued for the disk, its committed entries for the state machine. A crash may come between any
 * two of these.
 */
#ifndef SIM_NODE_H
#define SIM_NODE_H

#include "disk.h"
#include "queue.h"
#include "raft/host.h"

struct sim;

/* A batch on its way to the disk. */
struct disk_job {
    struct raft_batch batch;
    raft_index first; /* of its entries; 0: none */
    bool written;
    uint64_t frame; /* how many frames were written with it */
};

/* Committed entries of one batch. */
struct apply_job {
    struct raft_entry **entries;
    uint32_t count;
    uint32_t done;
    uint64_t bytes;
};

struct pending_read {
    uint64_t id;
    raft_index required; /* what had been committed anywhere when it began */
    uint64_t since;
};

struct node {
    uint32_t place; /* in sim.nodes */
    raft_id id;
    uint64_t incarnation; /* of the disk; 0: there never was one */
    uint32_t epoch;       /* counts lives */
    bool damaged;         /* the disk is a new one in the place of a damaged one */
    bool stopped;         /* by the operator: no member, does not come back by itself */
    uint64_t paused_until;

    /* The clock: local = local_base + (now - global_base) * rate / 1000. */
    uint64_t local_base;
    uint64_t global_base;
    uint64_t rate;

    struct disk disk;
    uint64_t slow_disk_until;

    /* What a vote, once sent, binds; kept as long as the disk is. */
    raft_term granted_term;
    raft_id granted_to;

    /* ---- While it is up ---- */
    struct raft_host *host; /* NULL: down */
    struct machine machine;
    bool crashing;     /* goes down as soon as the code has returned to the event loop */
    uint32_t crash_in; /* at the how-manieth point from now; 0: not planned */
    bool take_planned;
    bool write_planned;
    bool sync_planned;
    bool apply_planned;
    uint32_t turn_steps; /* since the last batch */
    uint64_t wake_at;    /* the earliest planned timer event */

    struct disk_job *disk_jobs; /* not durable yet, oldest first */
    uint32_t disk_job_count;
    uint32_t disk_job_capacity;
    struct apply_job *apply_jobs;
    uint32_t apply_job_count;
    uint32_t apply_job_capacity;
    struct pending_read *reads; /* oldest first */
    uint32_t read_count;
    uint32_t read_capacity;
    uint64_t read_id;
    uint64_t reads_ready; /* in this life */

    /* As of the last check. */
    enum raft_role seen_role;
    raft_term seen_term;
    raft_index seen_committed;
};

static inline bool node_up(const struct node *node)
{
    return node->host != NULL;
}

struct raft *node_core(const struct node *node);
bool node_leads(const struct node *node);
uint64_t node_clock(const struct sim *sim, const struct node *node);

/* A disk of its own with `machine` on it, and the identity that goes with it. */
void node_create(struct sim *sim, struct node *node, const struct machine *machine);
/* Exchanges the disk of a node that is down for a new one, with the same state machine or none. */
void node_damage(struct sim *sim, struct node *node, bool keep_machine);
/* Throws the disk away. */
void node_wipe(struct sim *sim, struct node *node);
void node_deinit(struct node *node);

void node_start(struct sim *sim, struct node *node);
void node_crash(struct sim *sim, struct node *node);
void node_set_rate(struct sim *sim, struct node *node, uint64_t rate);

/* Steps the core, checks what came of it, and sees to it that the turn ends. `event->now` is set
 * here. */
enum raft_result node_step(struct sim *sim, struct node *node, struct raft_event *event);

/* One of the node's own events is due. */
void node_handle(struct sim *sim, struct node *node, struct event *event);

/* Makes the state machine's state outlast crashes; drops log that it makes superfluous. */
void node_flush(struct sim *sim, struct node *node);
void node_compact(struct sim *sim, struct node *node, uint64_t keep);

#endif
