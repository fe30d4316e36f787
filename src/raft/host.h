/*
 * The host of one core: keeps the entries, carries out effects as far as that needs no I/O, and
 * gathers the rest into batches. The node, the simulator and the scenario driver all run cores
 * through it; they differ in what they do with a batch.
 *
 * A turn: step any number of events, take the batch, send its messages at once, write what it
 * persists as one atomic write, and when that is durable call raft_host_persisted and send its
 * responses; apply its committed entries and call raft_host_applied. Batches become durable in the
 * order they were taken; several may be under way.
 *
 * One thread. No I/O; what storage must provide is asked through raft_host_storage.
 */
#ifndef RAFT_HOST_H
#define RAFT_HOST_H

#include "raft/raft.h"

struct raft_host;

/* What the host asks of the log store. The functions must not call back. */
struct raft_host_storage {
    /* Reads entries from `first` on, not beyond `last`: as many as fit into `bytes_max` and
     * `count_max`, at least one. `out` receives references. Anything but RR_OK halts the host. */
    rr_status (*read)(void *storage, raft_index first, raft_index last, uint64_t bytes_max,
                      uint32_t count_max, struct raft_entry **out, uint32_t *count);
    /* A reference to a description of the snapshot to send now, or NULL while there is none. Its
     * position must be at or above the log's base, and applied. */
    struct raft_snapshot *(*snapshot)(void *storage);
};

struct raft_host_options {
    struct raft_options core; /* `ops` and `host` are set by raft_host_new */
    bool asynchronous;        /* entries are applied only once they are durable here */
    bool merge;               /* messages of one batch to one member are folded together */
    /* Messages exactly as published, for the scenario driver, in the two places where the core's
     * differ for safety and progress. Vote requests leave before the own vote is durable (unsafe:
     * after a crash that forgets it, the answers elect this node in the same term again, perhaps
     * with a shorter log), and neither they nor refusals tell what is committed. */
    bool as_published;
    uint64_t apply_bytes_max; /* handed out to apply and not reported applied; at least one entry */
    uint64_t cache_bytes_max; /* durable and applied entries kept in memory for slow members */
    const struct raft_host_storage *storage;
    void *storage_arg;
    /* Receives the core's trace lines as they happen; may be NULL. */
    void (*trace)(void *arg, enum raft_log_level level, const char *text);
    void *trace_arg;
};

struct raft_host_read {
    uint64_t id;      /* all reads up to this one that had no answer yet */
    bool ready;       /* or failed: ask again */
    raft_index index; /* what must be applied before they are answered */
};

/* What has to be done since the last batch. Owned by whoever took it; references included. */
struct raft_batch {
    bool role_changed;
    enum raft_role role;
    raft_id leader;

    /* One atomic write, if any of it is there. `sync`, or a snapshot (which the published text of a
     * batch leaves out of `sync`): it must be durable before `responses` leave and before it is
     * reported; otherwise it may be written lazily. */
    bool hard_state_changed;
    struct raft_hard_state hard_state;
    struct raft_entry **entries; /* replace the log from the first one's index on */
    uint32_t entry_count;
    struct raft_snapshot *snapshot; /* install it; the log restarts behind it */
    bool sync;

    struct raft_message *messages; /* send now, even before the write */
    uint32_t message_count;
    struct raft_message *responses; /* send when the write is durable; those to the node itself
                                     * are delivered by raft_host_persisted */
    uint32_t response_count;
    bool receipt_due;
    struct raft_event receipt; /* what raft_host_persisted reports */

    struct raft_entry **committed; /* apply in order */
    uint32_t committed_count;
    uint64_t committed_bytes;

    struct raft_host_read *reads;
    uint32_t read_count;
    raft_id *cancelled_snapshots;
    uint32_t cancelled_snapshot_count;
    bool transfer_ended; /* given up; this node still leads */
};

struct raft_host *raft_host_new(const struct raft_host_options *options,
                                const struct raft_start *start, uint64_t now);
void raft_host_free(struct raft_host *host);

/* The core, for its accessors. */
struct raft *raft_host_core(struct raft_host *host);

/* Steps the core and gathers what it asks for. */
enum raft_result raft_host_step(struct raft_host *host, const struct raft_event *event);

/* Whether a batch would hold anything that must be done now. Cancelled snapshots and an ended
 * transfer ride along with the next batch; a leader's heartbeats are never far. */
bool raft_host_pending(const struct raft_host *host);

/* Moves everything gathered into `out`, which the caller ends with raft_batch_deinit. */
void raft_host_take(struct raft_host *host, struct raft_batch *out);
void raft_batch_deinit(struct raft_batch *batch);

/* The batch's write is durable: delivers its responses to the node itself and its receipt. The
 * other responses are the caller's to send (raft_response_is_own tells which are not). */
void raft_host_persisted(struct raft_host *host, const struct raft_batch *batch, uint64_t now);
bool raft_response_is_own(const struct raft_message *response);

/* Entries up to `index` are applied, `bytes` of what batches handed out. Configuration entries
 * among them were passed to raft_host_step as RAFT_EVENT_CONF_APPLIED, in their order. */
void raft_host_applied(struct raft_host *host, raft_index index, uint64_t bytes, uint64_t now);

/* The storage has dropped the entries up to `index`. */
void raft_host_compacted(struct raft_host *host, raft_index index, uint64_t now);

/* The reason why the host must stop, or NULL. From then on steps do nothing. */
const char *raft_host_halted(const struct raft_host *host);

/* Bytes of entries held in memory, for metrics and limits. */
uint64_t raft_host_cache_bytes(const struct raft_host *host);

#endif
