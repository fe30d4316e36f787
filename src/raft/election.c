/* Elections: standing for them, voting in them and counting (paper, 5.2 and 5.4.1; dissertation,
 * 9.6 for pre-votes and 3.10 for transfers). */
#include "raft/raft_private.h"

enum campaign { CAMPAIGN_PRE_ELECTION, CAMPAIGN_ELECTION, CAMPAIGN_TRANSFER };

static void become_pre_candidate(struct raft *raft)
{
    ASSERT(raft->role != RAFT_LEADER);
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        raft->progress[i].vote = QUORUM_VOTE_MISSING;
    }
    raft_set_leader(raft, RAFT_NO_ID);
    raft->role = RAFT_PRE_CANDIDATE;
    TRACE(raft, INFO, "%" PRIx64 " became pre-candidate at term %" PRIu64, raft->options.id,
          raft->term);
}

static void become_candidate(struct raft *raft)
{
    ASSERT(raft->role != RAFT_LEADER);
    raft_reset(raft, raft->term + 1);
    raft->vote = raft->options.id;
    raft->role = RAFT_CANDIDATE;
    TRACE(raft, INFO, "%" PRIx64 " became candidate at term %" PRIu64, raft->options.id,
          raft->term);
}

static void become_leader(struct raft *raft)
{
    ASSERT(raft->role == RAFT_CANDIDATE);
    raft_reset(raft, raft->term);
    raft_set_leader(raft, raft->options.id);
    raft->role = RAFT_LEADER;
    struct raft_progress *self = raft_find_progress(raft, raft->options.id);
    ASSERT(self != NULL);
    raft_progress_become_replicate(self);
    self->active = true;
    /* Entries of earlier terms may hold a configuration that is not applied yet. */
    raft->pending_conf = RAFT_FAULT(pending_conf_forgotten) ? 0 : raft->log.last;
    /* Nothing of an earlier term commits by itself (5.4.2): this entry carries it along. */
    replication_append_own(raft, raft_entry_new(RAFT_ENTRY_NORMAL, (rr_bytes){NULL, 0}));
    TRACE(raft, INFO, "%" PRIx64 " became leader at term %" PRIu64, raft->options.id, raft->term);
}

static void request_vote(struct raft *raft, raft_id to, enum raft_message_type type, raft_term term,
                         bool transfer)
{
    TRACE(raft, INFO,
          "%" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 "] sent %s request to %" PRIx64
          " at term %" PRIu64,
          raft->options.id, raft_log_last_term(&raft->log), raft->log.last,
          raft_message_type_name(type), to, raft->term);
    struct raft_message *message = raft_send(raft, type, to);
    message->term = term;
    message->index = raft->log.last;
    message->log_term = raft_log_last_term(&raft->log);
    message->commit = raft->log.committed;
    message->transfer = transfer;
}

static void campaign(struct raft *raft, enum campaign kind)
{
    ASSERT(raft_promotable(raft));
    bool pre = kind == CAMPAIGN_PRE_ELECTION;
    if (pre) {
        become_pre_candidate(raft);
    } else {
        become_candidate(raft);
    }
    raft_term term = pre ? raft->term + 1 : raft->term;
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        raft_id id = raft->configuration.members[i].id;
        if (!raft_configuration_votes(&raft->configuration, id)) {
            continue;
        }
        if (id == raft->options.id) {
            /* The own vote counts like any other: once it is durable. */
            raft_send_after_persist(raft, pre ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP, id)
                ->term = term;
        } else {
            request_vote(raft, id, pre ? RAFT_MSG_PRE_VOTE : RAFT_MSG_VOTE, term,
                         kind == CAMPAIGN_TRANSFER);
        }
    }
}

/* Whether this node may stand at all; says why not. */
static bool may_campaign(struct raft *raft)
{
    if (raft->role == RAFT_LEADER) {
        TRACE(raft, DEBUG, "%" PRIx64 " ignoring MsgHup because already leader", raft->options.id);
        return false;
    }
    if (!raft_promotable(raft)) {
        TRACE(raft, WARN, "%" PRIx64 " is unpromotable and can not campaign", raft->options.id);
        return false;
    }
    /* Configurations take effect when applied. A node that is a committed one behind would count
     * the wrong voters; one that holds two unapplied ones may have lost the news that the first is
     * committed, and would be two steps behind: only without validation is the second proposed
     * before that. */
    if ((raft_log_configurations_committed(&raft->log) > 0 &&
         !RAFT_FAULT(campaign_before_applied)) ||
        (raft->options.validate_conf_changes && raft_log_configurations_pending(&raft->log) > 1)) {
        TRACE(raft, WARN,
              "%" PRIx64 " cannot campaign at term %" PRIu64
              " since there are still pending configuration changes to apply",
              raft->options.id, raft->term);
        return false;
    }
    return true;
}

void election_campaign(struct raft *raft)
{
    if (!may_campaign(raft)) {
        return;
    }
    if (raft->options.lease_reads && raft->now < raft->promised_until) {
        TRACE(raft, WARN,
              "%" PRIx64 " cannot campaign at term %" PRIu64
              " since a leader may still hold a lease; transfer leadership instead",
              raft->options.id, raft->term);
        return;
    }
    TRACE(raft, INFO, "%" PRIx64 " is starting a new election at term %" PRIu64, raft->options.id,
          raft->term);
    campaign(raft, raft->options.pre_vote ? CAMPAIGN_PRE_ELECTION : CAMPAIGN_ELECTION);
}

void election_transfer(struct raft *raft, raft_id from)
{
    TRACE(raft, INFO,
          "%" PRIx64 " [term %" PRIu64 "] received MsgTimeoutNow from %" PRIx64
          " and starts an election to get leadership.",
          raft->options.id, raft->term, from);
    if (!may_campaign(raft)) {
        return;
    }
    TRACE(raft, INFO, "%" PRIx64 " is starting a new election at term %" PRIu64, raft->options.id,
          raft->term);
    campaign(raft, CAMPAIGN_TRANSFER);
}

/* ---- Voting ---- */

static void trace_vote(struct raft *raft, const char *what, const struct raft_message *message,
                       const char *preposition)
{
    TRACE(raft, INFO,
          "%" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 ", vote: %" PRIx64
          "] %s %s %s %" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 "] at term %" PRIu64,
          raft->options.id, raft_log_last_term(&raft->log), raft->log.last, raft->vote, what,
          raft_message_type_name(message->type), preposition, message->from, message->log_term,
          message->index, raft->term);
}

/*
 * Configurations take effect when they are applied, so those who do not know of a commit yet can
 * block those who do, in two ways. A node that knows itself to be no voter any more will not stand,
 * but refuses its vote to a shorter log that still counts it. And one that knows itself to be no
 * voter yet will not stand either, but refuses its vote to a shorter log that counts it already.
 * So requests and refusals tell what is committed.
 */
static void tell_commit(struct raft *raft, const struct raft_message *request,
                        struct raft_message *refusal)
{
    raft_index index = request->index < raft->log.committed ? request->index : raft->log.committed;
    bool votes =
        raft_configuration_votes(&raft->configuration, raft->options.id) && raft_is_own_disk(raft);
    if (!votes && raft_log_term(&raft->log, index, &refusal->log_term)) {
        refusal->commit = index;
    }
}

void election_learn_commit(struct raft *raft, const struct raft_message *message)
{
    bool request = message->type == RAFT_MSG_VOTE || message->type == RAFT_MSG_PRE_VOTE;
    /* The entry of this term that both logs have, and all before it. */
    raft_index shared = request ? message->index : message->commit;
    if (raft->role == RAFT_LEADER || message->commit <= raft->log.committed ||
        message->commit > shared || !raft_log_matches(&raft->log, shared, message->log_term)) {
        return;
    }
    raft_set_committed(raft, message->commit);
    if (raft->role != RAFT_FOLLOWER && raft_log_configurations_committed(&raft->log) > 0) {
        raft_become_follower(raft, raft->term, RAFT_NO_ID); /* until it is applied */
    }
}

void election_vote_request(struct raft *raft, const struct raft_message *message)
{
    bool pre = message->type == RAFT_MSG_PRE_VOTE;
    enum raft_message_type answer = pre ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP;
    bool free = raft->vote == message->from || RAFT_FAULT(vote_twice) ||
                (raft->vote == RAFT_NO_ID && raft->leader == RAFT_NO_ID) ||
                (pre && message->term > raft->term);
    if (!free || !raft_log_up_to_date(&raft->log, message->index, message->log_term)) {
        trace_vote(raft, "rejected", message, "from");
        struct raft_message *refusal = raft_send_after_persist(raft, answer, message->from);
        refusal->reject = true;
        tell_commit(raft, message, refusal);
        return;
    }
    trace_vote(raft, "cast", message, "for");
    /* A pre-vote is granted for the term that was asked about; our own is lower. */
    raft_send_after_persist(raft, answer, message->from)->term = message->term;
    if (!pre) {
        ASSERT(message->term == raft->term);
        raft->election_base = raft->now;
        raft->vote = message->from;
    }
}

/* ---- Counting ---- */

static enum quorum_vote vote_of(const struct raft_progress *progress)
{
    return progress->vote;
}

static uint32_t count_votes(const struct raft *raft, enum quorum_vote vote)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        count += (raft->configuration.members[i].flags & RAFT_MEMBER_LEARNER) == 0 &&
                 raft->progress[i].vote == vote;
    }
    return count;
}

void election_vote_answer(struct raft *raft, const struct raft_message *message)
{
    bool pre = message->type == RAFT_MSG_PRE_VOTE_RESP;
    if (raft->role != (pre ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE)) {
        return;
    }
    TRACE(raft, INFO, "%" PRIx64 " received %s%s from %" PRIx64 " at term %" PRIu64,
          raft->options.id, raft_message_type_name(message->type),
          message->reject ? " rejection" : "", message->from, raft->term);
    struct raft_progress *progress = raft_find_progress(raft, message->from);
    if (progress != NULL && progress->vote == QUORUM_VOTE_MISSING) {
        progress->vote = message->reject ? QUORUM_VOTE_NO : QUORUM_VOTE_YES;
    }
    TRACE(raft, INFO,
          "%" PRIx64 " has received %" PRIu32 " %s votes and %" PRIu32 " vote rejections",
          raft->options.id, count_votes(raft, QUORUM_VOTE_YES),
          raft_message_type_name(message->type), count_votes(raft, QUORUM_VOTE_NO));
    switch (raft_quorum_vote(raft, vote_of)) {
    case QUORUM_WON:
        if (pre) {
            campaign(raft, CAMPAIGN_ELECTION);
        } else {
            become_leader(raft);
            replication_broadcast(raft);
        }
        return;
    case QUORUM_LOST:
        raft_become_follower(raft, raft->term, RAFT_NO_ID);
        return;
    case QUORUM_PENDING:
        return;
    }
    UNREACHABLE();
}
