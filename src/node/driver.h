/*
 * Drives one core: takes events, and at the end of a turn carries out what the core asks for.
 * Messages leave at once; everything to be persisted goes into one frame of the log; what waits for
 * it goes when it is durable; committed entries are handed to be applied.
 *
 * It reaches the world through one table of functions, so that the simulator runs this very driver
 * with a disk, a network and a clock of its own. One thread.
 *
 * Invariants:
 * 1. Batches complete in the order in which they were taken.
 * 2. Nothing that waits for durability leaves before every earlier frame is durable.
 * 3. Committed entries are applied in the turn that hands them out: none is left when an event is
 *    taken, so an installed snapshot never meets entries under way.
 * 4. After a failed write nothing is sent, written or applied any more.
 */
#ifndef NODE_DRIVER_H
#define NODE_DRIVER_H

#include "raft/host.h"
#include "storage/log_store.h"

struct driver;

/* Everything that the driver asks of its surroundings. None of them may step the driver, except
 * where it says so. */
struct driver_world {
    /* Clock: microseconds that never fall. */
    uint64_t (*now_us)(void *arg);

    /* Network: sends a message, which stays the driver's and may be lost. SNAP goes here as well;
     * its end is told by RAFT_EVENT_SNAPSHOT_STATUS. */
    void (*send)(void *arg, const struct raft_message *message);
    void (*cancel_snapshot)(void *arg, raft_id to);
    /* What was sent leaves now: something that takes its time follows. */
    void (*flush)(void *arg);

    /* Disk: the log, as log_store.h has it. */
    void (*log_submit)(void *arg, const struct log_frame *frame, log_done_fn done, void *done_arg);
    rr_status (*log_read)(void *arg, raft_index first, raft_index last, uint64_t bytes_max,
                          uint32_t count_max, struct raft_entry **out, uint32_t *count);
    struct raft_snapshot *(*offer_snapshot)(void *arg);

    /* State: makes the received snapshot the state, durably. Anything but RR_OK halts. */
    rr_status (*install)(void *arg, const struct raft_snapshot *snapshot);

    /* State: applies the entries, in order, and makes them visible. May step the core with
     * CONF_APPLIED for the configuration entries among them. Anything but RR_OK halts. */
    rr_status (*apply)(void *arg, struct raft_entry *const *entries, uint32_t count);

    /* The core knows that the entries are applied: answers may be given, which may propose anew
     * in a later turn. May step. */
    void (*applied)(void *arg);

    /* News for the node; may step. */
    void (*role_changed)(void *arg, enum raft_role role, raft_id leader);
    void (*read_done)(void *arg, const struct raft_host_read *read);
    void (*transfer_ended)(void *arg);

    /* The driver has stopped for good. */
    void (*halt)(void *arg, rr_status status, const char *reason);
};

struct driver_options {
    struct raft_host_options host; /* without storage */
    raft_group group;
    const struct driver_world *world; /* outlives the driver */
    void *world_arg;
};

struct driver_counters {
    uint64_t batches;
    uint64_t frames;
    uint64_t messages;
};

struct driver *driver_new(const struct driver_options *options, const struct raft_start *start);

/* Ends all it does, without a word: nothing is sent, written or applied any more, and frames of the
 * log that complete later change nothing. */
void driver_stop(struct driver *driver);

/* NULL is fine. Drops what is under way; no frame of the log may complete after it, so the log is
 * closed before. */
void driver_free(struct driver *driver);

/* Steps the core; `event->now` is set here. Its effects are carried out by driver_turn. */
enum raft_result driver_step(struct driver *driver, struct raft_event *event);

/* Carries out what is pending, for `budget_us` at most and one round at least; true if some is left
 * for another turn. */
bool driver_turn(struct driver *driver, uint64_t budget_us);

/* Tells the core the time, if its deadline has passed. To be called when everything that had
 * arrived by then was stepped: a node that was held up must not take its own delay for a silent
 * leader. */
void driver_timer(struct driver *driver);

/* When the core wants driver_timer; UINT64_MAX: never. */
uint64_t driver_deadline(const struct driver *driver);

/* Drops the log up to `index`, which is applied and which the state has on disk. */
void driver_purge(struct driver *driver, raft_index index);

/* Writes what was put off (a commit index). At intervals, and before closing. */
void driver_flush(struct driver *driver);

/* When the oldest write that is not durable yet was handed to the log; 0: none is under way. */
uint64_t driver_unwritten_since(const struct driver *driver);

struct raft *driver_core(const struct driver *driver);
struct raft_host *driver_host(const struct driver *driver);
const struct driver_counters *driver_counters(const struct driver *driver);

#endif
