/*
 * Reads that never see old data (dissertation, 6.4). A leader notes its commit index, confirms
 * with a round of messages that it still leads, and only then lets the reads go at that index.
 *
 * Rounds are numbered; every heartbeat and append carries the latest and every answer echoes it, so
 * one round confirms any number of reads. A follower asks the leader for an index and reads by
 * itself. Every read ends: it is ready, or it fails and the host may ask again.
 */
#include <string.h>

#include "raft/raft_private.h"

#define NEVER UINT64_MAX

bool reads_own_term_committed(const struct raft *raft)
{
    return raft_log_matches(&raft->log, raft->log.committed, raft->term) ||
           RAFT_FAULT(read_before_own_term);
}

uint64_t reads_new_round(struct raft *raft)
{
    raft->round++;
    raft->rounds[raft->round % RAFT_ROUNDS].round = raft->round;
    raft->rounds[raft->round % RAFT_ROUNDS].began_at = raft->now;
    return raft->round;
}

static bool waiting(const struct raft_reads *reads)
{
    return reads->done < reads->wanted;
}

static void finish(struct raft *raft, enum raft_effect_type type, uint64_t id, raft_index index)
{
    struct raft_reads *reads = &raft->reads;
    ASSERT(id > reads->done);
    ASSERT(id <= reads->wanted);
    struct raft_effect *effect = raft_effect(raft, type);
    effect->read.id = id;
    effect->read.index = index;
    reads->done = id;
    if (reads->started < id) {
        reads->started = id;
    }
    reads->since = raft->now;
}

/* ---- The leader ---- */

static uint64_t acked_round_of(const struct raft *raft, const struct raft_progress *progress)
{
    return progress->id == raft->options.id ? raft->round : progress->acked_round;
}

static void answer_member(struct raft *raft, struct raft_progress *progress, bool reject)
{
    struct raft_message *message = raft_send(raft, RAFT_MSG_READ_INDEX_RESP, progress->id);
    message->read_id = progress->read_id;
    message->index = progress->read_index;
    message->reject = reject;
    progress->read_id = 0;
    progress->read_round = 0;
}

/* Lets go what the quorum has confirmed. */
static void confirm(struct raft *raft)
{
    struct raft_reads *reads = &raft->reads;
    uint64_t confirmed =
        RAFT_FAULT(read_without_round) ? raft->round : raft_quorum_value(raft, acked_round_of);
    uint32_t done = 0;
    while (done < reads->slot_count && reads->slots[done].round <= confirmed) {
        finish(raft, RAFT_EFFECT_READ_READY, reads->slots[done].id, reads->slots[done].index);
        done++;
    }
    reads->slot_count -= done;
    memmove(reads->slots, reads->slots + done, reads->slot_count * sizeof(reads->slots[0]));
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        struct raft_progress *progress = &raft->progress[i];
        if (progress->read_round != 0 && progress->read_round <= confirmed) {
            answer_member(raft, progress, false);
        }
    }
}

/* Notes the commit index for everything that waits without a round; false if nothing does. */
static bool begin(struct raft *raft)
{
    struct raft_reads *reads = &raft->reads;
    uint64_t round = raft->round + 1; /* the one that is about to begin */
    if (RAFT_FAULT(read_in_running_round) && raft->round > 0) {
        round--;
    }
    bool any = false;
    if (reads->wanted > reads->started && reads->slot_count < RAFT_READ_SLOTS) {
        struct raft_read_slot *slot = &reads->slots[reads->slot_count];
        slot->round = round;
        slot->id = reads->wanted;
        slot->index = raft->log.committed;
        reads->slot_count++;
        reads->started = reads->wanted;
        any = true;
    }
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        struct raft_progress *progress = &raft->progress[i];
        if (progress->read_id != 0 && progress->read_round == 0) {
            progress->read_round = round;
            progress->read_index = raft->log.committed;
            any = true;
        }
    }
    return any;
}

void reads_advance(struct raft *raft)
{
    /* Before an entry of the own term is committed, the commit index may be behind that of the
     * leader before (dissertation, 6.4, step 1). */
    if (raft->role != RAFT_LEADER || !reads_own_term_committed(raft)) {
        return;
    }
    confirm(raft);
    if (begin(raft)) {
        replication_heartbeat(raft);
        confirm(raft); /* a quorum of one */
    }
}

void reads_acknowledge(struct raft *raft, struct raft_progress *progress, uint64_t round)
{
    if (round <= progress->acked_round || round > raft->round) {
        return;
    }
    progress->acked_round = round;
    if (raft->rounds[round % RAFT_ROUNDS].round == round) {
        progress->acked_sent_at =
            RAFT_FAULT(lease_from_receipt) ? raft->now : raft->rounds[round % RAFT_ROUNDS].began_at;
    }
    reads_advance(raft);
}

void reads_remote_request(struct raft *raft, const struct raft_message *message)
{
    struct raft_progress *progress = raft_find_progress(raft, message->from);
    if (progress == NULL || message->read_id == 0) {
        return;
    }
    if (progress->read_id != message->read_id) {
        progress->read_id = message->read_id;
        if (!RAFT_FAULT(read_reuses_round)) {
            progress->read_round = 0; /* a later request needs a later round */
        }
    }
    reads_advance(raft);
}

/* ---- Leases ---- */

static uint64_t acked_sent_at_of(const struct raft *raft, const struct raft_progress *progress)
{
    return progress->id == raft->options.id ? raft->now : progress->acked_sent_at;
}

bool raft_lease_valid(const struct raft *raft, uint64_t now)
{
    const struct raft_options *options = &raft->options;
    if (!options->lease_reads || raft->role != RAFT_LEADER || raft->halted ||
        raft->lease_forfeited ||
        (raft->transfer_target != RAFT_NO_ID && !RAFT_FAULT(lease_kept_on_transfer)) ||
        !reads_own_term_committed(raft)) {
        return false;
    }
    uint64_t since = raft_quorum_value(raft, acked_sent_at_of);
    if (since == 0) {
        return false; /* a quorum has answered no round of this term yet */
    }
    /* Counted from when the round was sent; the followers' promises began later. */
    uint64_t length = options->election_timeout * (1000 - options->lease_drift_permille) / 1000;
    if (RAFT_FAULT(lease_without_drift)) {
        length = options->election_timeout;
    }
    return now < since + length || since == QUORUM_INFINITY;
}

/* ---- The follower ---- */

/* Asks for an index for the reads up to `id`; the same id again is the same question. */
static void ask_leader(struct raft *raft, uint64_t id)
{
    struct raft_message *message = raft_send(raft, RAFT_MSG_READ_INDEX, raft->leader);
    message->term = 0;
    message->read_id = raft->reads.offset + id;
    raft->reads.started = id;
    raft->reads.sent_at = raft->now;
}

/* Not a leader: the asker must find another. */
void reads_refuse(struct raft *raft, const struct raft_message *message)
{
    struct raft_message *response = raft_send(raft, RAFT_MSG_READ_INDEX_RESP, message->from);
    response->read_id = message->read_id;
    response->reject = true;
}

void reads_remote_answer(struct raft *raft, const struct raft_message *message)
{
    struct raft_reads *reads = &raft->reads;
    uint64_t id = message->read_id - reads->offset; /* far out of range: of an earlier life */
    if (message->from != raft->leader || id <= reads->done || id > reads->started) {
        return;
    }
    if (message->reject) {
        reads_fail(raft);
        return;
    }
    finish(raft, RAFT_EFFECT_READ_READY, RAFT_FAULT(read_answers_all) ? reads->wanted : id,
           message->index);
    if (reads->done == reads->started && waiting(reads)) {
        ask_leader(raft, reads->wanted);
    }
}

/* ---- Both ---- */

void reads_request(struct raft *raft, uint64_t id)
{
    struct raft_reads *reads = &raft->reads;
    ASSERT(id > reads->wanted);
    if (!waiting(reads)) {
        reads->since = raft->now;
    }
    bool idle = reads->done == reads->started;
    reads->wanted = id;
    if (raft->role == RAFT_LEADER) {
        reads_advance(raft);
    } else if (raft->leader == RAFT_NO_ID) {
        reads_fail(raft);
    } else if (idle) {
        ask_leader(raft, id);
    }
}

void reads_fail(struct raft *raft)
{
    struct raft_reads *reads = &raft->reads;
    reads->slot_count = 0;
    if (waiting(reads)) {
        finish(raft, RAFT_EFFECT_READ_FAILED, reads->wanted, 0);
    }
}

static uint64_t patience(const struct raft *raft)
{
    return 2 * raft->options.election_timeout_max;
}

static uint64_t retry_interval(const struct raft *raft)
{
    return 2 * raft->options.heartbeat_interval;
}

void reads_timer(struct raft *raft)
{
    struct raft_reads *reads = &raft->reads;
    if (!waiting(reads) || RAFT_FAULT(read_never_ends)) {
        return;
    }
    if (raft->now - reads->since >= patience(raft)) {
        reads_fail(raft);
    } else if (raft->role == RAFT_FOLLOWER && raft->leader != RAFT_NO_ID &&
               raft->now - reads->sent_at >= retry_interval(raft)) {
        ask_leader(raft, reads->started); /* the question or the answer may be lost */
    }
}

uint64_t reads_deadline(const struct raft *raft)
{
    const struct raft_reads *reads = &raft->reads;
    if (!waiting(reads) || RAFT_FAULT(read_never_ends)) {
        return NEVER;
    }
    uint64_t deadline = reads->since + patience(raft);
    if (raft->role == RAFT_FOLLOWER && raft->leader != RAFT_NO_ID &&
        reads->sent_at + retry_interval(raft) < deadline) {
        deadline = reads->sent_at + retry_interval(raft);
    }
    return deadline;
}
