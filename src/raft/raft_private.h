/*
 * The core's state and what its files share: raft.c takes events, election.c elects, replication.c
 * replicates and commits, follower.c follows, reads.c confirms reads, membership.c switches
 * configurations.
 */
#ifndef RAFT_RAFT_PRIVATE_H
#define RAFT_RAFT_PRIVATE_H

#include <inttypes.h>

#include "base/assert.h"
#include "base/random.h"
#include "raft/fault.h"
#include "raft/log.h"
#include "raft/progress.h"
#include "raft/raft.h"

enum {
    /* Read rounds of this node's own that may wait for confirmation at once; further reads share
     * the next one. */
    RAFT_READ_SLOTS = 4,
    /* Confirmation rounds whose beginning is remembered, for leases; more than a slow member is
     * behind in practice, and an answer to an older one is merely not used. */
    RAFT_ROUNDS = 32,
};

struct raft_read_slot {
    uint64_t round; /* confirms it */
    uint64_t id;    /* and all reads up to it */
    raft_index index;
};

/* Reads of this node; `done <= started <= wanted`, all ids of read events. */
struct raft_reads {
    uint64_t offset;  /* added to ids in messages: a node that restarts counts from 1 again, and
                       * must not take the answer to a question of its former life */
    uint64_t wanted;  /* the last id asked for */
    uint64_t started; /* up to here a round or a message to the leader carries them */
    uint64_t done;    /* up to here they were answered */
    uint64_t since;   /* when the oldest that waits began to */
    uint64_t sent_at; /* follower: when the leader was asked last */
    uint32_t slot_count;
    struct raft_read_slot slots[RAFT_READ_SLOTS]; /* leader: oldest first */
};

struct raft {
    struct raft_options options;
    struct raft_window_limits window_limits;
    struct random random;
    uint64_t now;

    raft_term term;
    raft_id vote;
    enum raft_role role;
    raft_id leader;
    struct raft_log log;
    struct raft_configuration configuration;
    struct raft_progress *progress; /* one for each member of the configuration, in its order */
    uint64_t sessions;              /* the last session number given to a progress */

    raft_index pending_conf; /* the last configuration entry that may not be applied yet */
    raft_id transfer_target;
    bool lease_forfeited; /* MsgTimeoutNow left in this term: its election ignores the lease */
    uint64_t uncommitted_bytes;
    raft_index pending_snapshot; /* received, not durable yet; 0: none */
    raft_term pending_snapshot_term;

    uint64_t election_base; /* when the election counter was last 0 */
    uint64_t heartbeat_base;
    bool excused; /* the last election timeout was not counted, as this node was held up */
    uint64_t randomized_timeout;
    uint64_t promised_until; /* no vote before, for the sake of some leader's lease */
    uint64_t persist_since;  /* when the oldest unfinished write began; 0: none is unfinished */
    bool elections_off;
    bool heartbeats_off;
    bool halted;

    uint64_t round; /* the last confirmation round that began; never reset */
    struct {
        uint64_t round;
        uint64_t began_at;
    } rounds[RAFT_ROUNDS];
    struct raft_reads reads;

    /* The step under way. */
    struct raft_effects *effects;
    const struct raft_message *received; /* from another member; NULL in other steps */
    struct raft_entry *const *fresh; /* entries that enter the log and that the host does not have
                                      * yet: fresh_first and on; NULL: empty ones */
    raft_index fresh_first;
    uint32_t fresh_count;
};

/* ---- raft.c: effects, roles, small helpers ---- */

struct raft_effect *raft_effect(struct raft *raft, enum raft_effect_type type);
void raft_trace(struct raft *raft, enum raft_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define TRACE(raft, level, ...)                                                                    \
    do {                                                                                           \
        if ((raft)->options.trace_level <= RAFT_TRACE_##level) {                                   \
            raft_trace((raft), RAFT_TRACE_##level, __VA_ARGS__);                                   \
        }                                                                                          \
    } while (0)
void raft_halt(struct raft *raft, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A message to `to` with identity and the current term filled in; valid until the next effect. */
struct raft_message *raft_send(struct raft *raft, enum raft_message_type type, raft_id to);
/* The same, to be held back until everything persisted so far is durable. */
struct raft_message *raft_send_after_persist(struct raft *raft, enum raft_message_type type,
                                             raft_id to);

struct raft_progress *raft_find_progress(struct raft *raft, raft_id id);
bool raft_is_learner(const struct raft *raft, raft_id id);
/* "[PROGRESS]" for a trace line; the text is static and lasts until the next call. */
const char *raft_progress_describe(struct raft *raft, const struct raft_progress *progress);
/* Whether the configuration has this node as a member, and by the disk that it has now. */
bool raft_is_own_disk(const struct raft *raft);
bool raft_promotable(const struct raft *raft);
void raft_set_leader(struct raft *raft, raft_id leader);
void raft_become_follower(struct raft *raft, raft_term term, raft_id leader);
void raft_reset(struct raft *raft, raft_term term);
void raft_set_committed(struct raft *raft, raft_index index);

/* The value that a quorum of both halves has reached, of whatever `value` reads. */
uint64_t raft_quorum_value(const struct raft *raft,
                           uint64_t (*value)(const struct raft *raft,
                                             const struct raft_progress *progress));
/* How the quorum stands by `vote`. */
enum quorum_result raft_quorum_vote(const struct raft *raft,
                                    enum quorum_vote (*vote)(const struct raft_progress *progress));

/* ---- election.c ---- */
void election_campaign(struct raft *raft);               /* MsgHup */
void election_transfer(struct raft *raft, raft_id from); /* MsgTimeoutNow */
void election_vote_request(struct raft *raft, const struct raft_message *message);
void election_vote_answer(struct raft *raft, const struct raft_message *message);
/* A request for a vote or its refusal tells what is committed; that is so whatever its term. */
void election_learn_commit(struct raft *raft, const struct raft_message *message);

/* ---- replication.c: the leader's side ---- */
void replication_append_own(struct raft *raft, struct raft_entry *entry);
/* `own`: the entries are the core's, not the event's. */
enum raft_result replication_propose(struct raft *raft, struct raft_entry *const *entries,
                                     uint32_t count, bool own);
void replication_broadcast(struct raft *raft);
bool replication_try_append(struct raft *raft, struct raft_progress *progress, bool even_if_empty);
void replication_flush(struct raft *raft, struct raft_progress *progress);
bool replication_commit(struct raft *raft);
void replication_heartbeat(struct raft *raft);
void replication_append_answer(struct raft *raft, const struct raft_message *message);
void replication_heartbeat_answer(struct raft *raft, const struct raft_message *message);
void replication_snapshot_status(struct raft *raft, raft_id id, bool ok);
void replication_unreachable(struct raft *raft, raft_id id);
void replication_transfer(struct raft *raft, raft_id to);
void replication_abort_transfer(struct raft *raft);
void replication_check_quorum(struct raft *raft, bool excused);

/* ---- follower.c ---- */
void follower_append(struct raft *raft, const struct raft_message *message);
void follower_heartbeat(struct raft *raft, const struct raft_message *message);
void follower_snapshot(struct raft *raft, const struct raft_message *message);

/* ---- reads.c ---- */
void reads_request(struct raft *raft, uint64_t id);
void reads_remote_request(struct raft *raft, const struct raft_message *message);
void reads_refuse(struct raft *raft, const struct raft_message *message);
void reads_remote_answer(struct raft *raft, const struct raft_message *message);
uint64_t reads_new_round(struct raft *raft);
/* A member's answer carried `round`. */
void reads_acknowledge(struct raft *raft, struct raft_progress *progress, uint64_t round);
/* Begins and answers what has become possible: a commit, another quorum. */
void reads_advance(struct raft *raft);
/* Fails everything that waits. */
void reads_fail(struct raft *raft);
void reads_timer(struct raft *raft);
uint64_t reads_deadline(const struct raft *raft);
bool reads_own_term_committed(const struct raft *raft);

/* ---- membership.c ---- */
/* Installs `configuration` with a progress for each member; kept where one was. */
void membership_switch(struct raft *raft, const struct raft_configuration *configuration);
void membership_apply(struct raft *raft, const struct raft_conf_change *change);
void membership_leave_automatically(struct raft *raft);
/* Why `change` cannot be proposed now, or NULL. The text is static until the next call. */
const char *membership_refuse(struct raft *raft, const struct raft_conf_change *change);

#endif
