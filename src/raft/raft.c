/*
 * Takes events: the rules that terms obey (paper, 5.1), time, and who handles what. The rules of
 * the single subjects are in election.c, replication.c, follower.c, reads.c and membership.c.
 */
#include "raft/raft.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "raft/raft_private.h"
#include "raft/text.h"

#define NEVER UINT64_MAX

/* ---- Effects ---- */

struct raft_effect *raft_effect(struct raft *raft, enum raft_effect_type type)
{
    struct raft_effects *effects = raft->effects;
    ASSERT(effects->count < RAFT_EFFECTS_MAX);
    struct raft_effect *effect = &effects->items[effects->count];
    effects->count++;
    memset(effect, 0, sizeof(*effect));
    effect->type = type;
    return effect;
}

/* Formats into the step's text; cut when there is no room. */
__attribute__((format(printf, 2, 0))) static uint32_t
put_text(struct raft_effects *effects, const char *format, va_list arguments)
{
    uint32_t at = effects->text_size;
    size_t left = sizeof(effects->text) - at;
    ASSERT(left > 0);
    int size = vsnprintf(effects->text + at, left, format, arguments);
    ASSERT(size >= 0);
    effects->text_size += (uint32_t)((size_t)size < left ? (size_t)size : left - 1);
    if (effects->text_size < sizeof(effects->text) - 1) {
        effects->text_size++; /* past the terminating zero */
    }
    return at;
}

void raft_trace(struct raft *raft, enum raft_log_level level, const char *format, ...)
{
    /* Lines must never take the place of messages. */
    if (raft->effects->count + RAFT_EFFECTS_MAX / 4 >= RAFT_EFFECTS_MAX) {
        return;
    }
    struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_TRACE);
    va_list arguments;
    va_start(arguments, format);
    effect->trace.text = put_text(raft->effects, format, arguments);
    va_end(arguments);
    effect->trace.level = level;
}

void raft_halt(struct raft *raft, const char *format, ...)
{
    raft->halted = true;
    struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_HALT);
    va_list arguments;
    va_start(arguments, format);
    effect->trace.text = put_text(raft->effects, format, arguments);
    va_end(arguments);
    effect->trace.level = RAFT_TRACE_ERROR;
}

static struct raft_message *send(struct raft *raft, enum raft_message_type type, raft_id to,
                                 bool after_persist)
{
    struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_SEND);
    effect->send.after_persist = after_persist;
    struct raft_message *message = &effect->send.message;
    message->type = type;
    message->from = raft->options.id;
    message->to = to;
    message->term = raft->term;
    message->cluster = raft->options.cluster;
    message->group = raft->options.group;
    message->from_incarnation = raft->options.incarnation;
    const struct raft_member *member = raft_configuration_find(&raft->configuration, to);
    message->to_incarnation = member != NULL ? member->incarnation : 0;
    if (raft->received != NULL && raft->received->from == to &&
        raft->received->from_incarnation != 0) {
        /* Who asked is who is answered, replaced since this node's configuration or not. */
        message->to_incarnation = raft->received->from_incarnation;
    }
    return message;
}

struct raft_message *raft_send(struct raft *raft, enum raft_message_type type, raft_id to)
{
    ASSERT(to != raft->options.id);
    return send(raft, type, to, false);
}

struct raft_message *raft_send_after_persist(struct raft *raft, enum raft_message_type type,
                                             raft_id to)
{
    return send(raft, type, to, true);
}

/* ---- Members and quorums ---- */

struct raft_progress *raft_find_progress(struct raft *raft, raft_id id)
{
    const struct raft_member *member = raft_configuration_find(&raft->configuration, id);
    return member == NULL ? NULL : &raft->progress[member - raft->configuration.members];
}

bool raft_is_learner(const struct raft *raft, raft_id id)
{
    const struct raft_member *member = raft_configuration_find(&raft->configuration, id);
    return member != NULL && (member->flags & RAFT_MEMBER_LEARNER) != 0;
}

const char *raft_progress_describe(struct raft *raft, const struct raft_progress *progress)
{
    static _Thread_local char text[RAFT_PROGRESS_TEXT_MAX];
    return raft_progress_text(progress, raft_is_learner(raft, progress->id), &raft->window_limits,
                              text, sizeof(text));
}

bool raft_is_own_disk(const struct raft *raft)
{
    const struct raft_member *self =
        raft_configuration_find(&raft->configuration, raft->options.id);
    return self != NULL &&
           (self->incarnation == 0 || raft->options.incarnation == 0 ||
            self->incarnation == raft->options.incarnation || RAFT_FAULT(new_disk_stands));
}

bool raft_promotable(const struct raft *raft)
{
    /* A configuration that counts this node's former disk does not count this one, which knows
     * nothing of what that one promised. */
    return raft_is_own_disk(raft) && !raft_is_learner(raft, raft->options.id) &&
           raft->pending_snapshot == 0;
}

uint64_t raft_quorum_value(const struct raft *raft,
                           uint64_t (*value)(const struct raft *raft,
                                             const struct raft_progress *progress))
{
    uint64_t incoming[RAFT_MEMBERS_MAX];
    uint64_t outgoing[RAFT_MEMBERS_MAX];
    size_t incoming_count = 0;
    size_t outgoing_count = 0;
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        uint8_t flags = raft->configuration.members[i].flags;
        if ((flags & RAFT_MEMBER_INCOMING) != 0 ||
            ((flags & RAFT_MEMBER_LEARNER) != 0 && RAFT_FAULT(learners_commit))) {
            incoming[incoming_count] = value(raft, &raft->progress[i]);
            incoming_count++;
        }
        if ((flags & RAFT_MEMBER_OUTGOING) != 0 && !RAFT_FAULT(joint_commit_by_incoming)) {
            outgoing[outgoing_count] = value(raft, &raft->progress[i]);
            outgoing_count++;
        }
    }
    return quorum_joint_committed(incoming, incoming_count, outgoing, outgoing_count);
}

static enum quorum_result half_vote(const struct raft *raft, uint8_t half,
                                    enum quorum_vote (*vote)(const struct raft_progress *progress))
{
    size_t count[3] = {0, 0, 0};
    if (half == RAFT_MEMBER_INCOMING && RAFT_FAULT(learners_vote)) {
        half |= RAFT_MEMBER_LEARNER;
    }
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        if ((raft->configuration.members[i].flags & half) != 0) {
            count[vote(&raft->progress[i])]++;
        }
    }
    return quorum_vote(count[QUORUM_VOTE_YES], count[QUORUM_VOTE_NO], count[QUORUM_VOTE_MISSING]);
}

enum quorum_result raft_quorum_vote(const struct raft *raft,
                                    enum quorum_vote (*vote)(const struct raft_progress *progress))
{
    if (RAFT_FAULT(joint_vote_by_incoming)) {
        return half_vote(raft, RAFT_MEMBER_INCOMING, vote);
    }
    return quorum_joint_vote(half_vote(raft, RAFT_MEMBER_INCOMING, vote),
                             half_vote(raft, RAFT_MEMBER_OUTGOING, vote));
}

/* ---- Roles ---- */

void raft_set_leader(struct raft *raft, raft_id leader)
{
    if (raft->leader != leader) {
        if (!RAFT_FAULT(reads_survive_demotion)) {
            reads_fail(raft);
        }
        raft->leader = leader;
    }
}

static void draw_timeout(struct raft *raft)
{
    raft->randomized_timeout = random_between(&raft->random, raft->options.election_timeout,
                                              raft->options.election_timeout_max);
}

void raft_reset(struct raft *raft, raft_term term)
{
    if (raft->role == RAFT_LEADER && !RAFT_FAULT(reads_survive_demotion)) {
        reads_fail(raft);
    }
    if (raft->term != term) {
        ASSERT(term > raft->term);
        raft->term = term;
        raft->vote = RAFT_NO_ID;
    }
    raft_set_leader(raft, RAFT_NO_ID);
    raft->election_base = raft->now;
    raft->heartbeat_base = raft->now;
    raft->excused = false;
    draw_timeout(raft);
    raft->transfer_target = RAFT_NO_ID;
    raft->lease_forfeited = false;
    raft->pending_conf = 0;
    raft->uncommitted_bytes = 0;
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        struct raft_progress *progress = &raft->progress[i];
        if (progress->state == RAFT_SNAPSHOT) {
            raft_effect(raft, RAFT_EFFECT_CANCEL_SNAPSHOT)->cancel_snapshot = progress->id;
        }
        bool self = progress->id == raft->options.id;
        raft_index match = RAFT_FAULT(match_survives_election) && progress->match <= raft->log.last
                               ? progress->match
                               : 0;
        raft_progress_reset(progress, self ? raft->log.last : match, raft->log.last + 1);
    }
}

void raft_become_follower(struct raft *raft, raft_term term, raft_id leader)
{
    raft_reset(raft, term);
    raft_set_leader(raft, leader);
    raft->role = RAFT_FOLLOWER;
    TRACE(raft, INFO, "%" PRIx64 " became follower at term %" PRIu64, raft->options.id, raft->term);
}

void raft_set_committed(struct raft *raft, raft_index index)
{
    ASSERT(index >= raft->log.committed);
    ASSERT(index <= raft->log.last);
    raft->log.committed = index;
}

/* ---- Start and end ---- */

static void check_options(const struct raft_options *options)
{
    ASSERT(options->id != RAFT_NO_ID);
    ASSERT(options->heartbeat_interval > 0);
    ASSERT(options->election_timeout > options->heartbeat_interval);
    ASSERT(options->election_timeout_max >= options->election_timeout);
    ASSERT(options->lease_drift_permille < 1000);
    ASSERT(!options->lease_reads || options->check_quorum);
    ASSERT(options->inflight_count_max > 0);
    ASSERT(options->ops != NULL);
}

static void load_log(struct raft *raft, const struct raft_start *start)
{
    struct raft_log *log = &raft->log;
    raft_log_init(log, start->base, start->base_term);
    uint32_t run = 0;
    uint32_t configuration = 0;
    for (raft_index index = start->base + 1; index <= start->last; index++) {
        while (run + 1 < start->run_count && start->runs[run + 1].first <= index) {
            run++;
        }
        ASSERT(run < start->run_count);
        bool is_configuration = configuration < start->configuration_count &&
                                start->configurations[configuration] == index;
        configuration += is_configuration;
        raft_log_append(log, start->runs[run].term, is_configuration);
    }
    ASSERT(configuration == start->configuration_count);
    log->persisted = log->last;
}

static void trace_start(struct raft *raft)
{
    char voters[RAFT_MEMBERS_MAX * 17 + 1];
    struct text text;
    text_init(&text, voters, sizeof(voters));
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        raft_id id = raft->configuration.members[i].id;
        if (raft_configuration_votes(&raft->configuration, id)) {
            text_append(&text, "%s%" PRIx64, text.size > 0 ? "," : "", id);
        }
    }
    TRACE(raft, INFO,
          "newRaft %" PRIx64 " [peers: [%s], term: %" PRIu64 ", commit: %" PRIu64
          ", applied: %" PRIu64 ", lastindex: %" PRIu64 ", lastterm: %" PRIu64 "]",
          raft->options.id, voters, raft->term, raft->log.committed, raft->log.applied,
          raft->log.last, raft_log_last_term(&raft->log));
}

struct raft *raft_new(const struct raft_options *options, const struct raft_start *start,
                      uint64_t now, struct raft_effects *effects)
{
    check_options(options);
    ASSERT(start->applied >= start->base);
    ASSERT(start->applied <= start->last);
    ASSERT(start->hard_state.commit <= start->last);
    struct raft *raft = mem_new(struct raft);
    effects->count = 0;
    effects->text_size = 0;
    raft->effects = effects;
    raft->options = *options;
    raft->window_limits.count_max = options->inflight_count_max;
    raft->window_limits.bytes_max = options->inflight_bytes_max;
    random_init(&raft->random, options->seed);
    raft->reads.offset = RAFT_FAULT(read_of_former_life) ? 0 : random_u64(&raft->random) >> 2;
    raft->now = now;
    raft->persist_since = NEVER;
    load_log(raft, start);
    raft_index committed =
        start->hard_state.commit > start->applied ? start->hard_state.commit : start->applied;
    raft_set_committed(raft, committed > start->base ? committed : start->base);
    membership_switch(raft, &start->configuration);
    raft->term = start->hard_state.term;
    raft->vote = RAFT_FAULT(vote_forgotten) ? RAFT_NO_ID : start->hard_state.vote;
    raft_log_applied(&raft->log, start->applied);
    if (options->lease_reads && start->restarted && !RAFT_FAULT(restart_wait_missing)) {
        raft->promised_until = now + options->election_timeout;
    }
    raft_become_follower(raft, raft->term, RAFT_NO_ID);
    trace_start(raft);
    raft->effects = NULL;
    return raft;
}

void raft_free(struct raft *raft)
{
    if (raft == NULL) {
        return;
    }
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        raft_progress_deinit(&raft->progress[i]);
    }
    mem_free(raft->progress);
    raft_log_deinit(&raft->log);
    mem_free(raft);
}

void raft_set_cluster(struct raft *raft, uint64_t cluster)
{
    ASSERT(raft->options.cluster == 0 || raft->options.cluster == cluster);
    raft->options.cluster = cluster;
}

/* ---- Messages: the term rules ---- */

/* Whether a vote now could break a promise: of CheckQuorum, not to disturb a leader that was heard
 * of within the election timeout, or of a lease. `remaining` receives for how long. */
static bool vote_is_barred(const struct raft *raft, const struct raft_message *message,
                           uint64_t *remaining)
{
    if (message->transfer) {
        return false; /* the leader gave its lease up before it asked for this election */
    }
    uint64_t elapsed = raft->now - raft->election_base;
    if (message->term > raft->term && raft->options.check_quorum && raft->leader != RAFT_NO_ID &&
        elapsed < raft->options.election_timeout) {
        *remaining = raft->options.election_timeout - elapsed;
        return true;
    }
    if (raft->options.lease_reads && raft->leader == RAFT_NO_ID &&
        raft->now < raft->promised_until && !RAFT_FAULT(lease_promise_forgotten)) {
        *remaining = raft->promised_until - raft->now;
        return true;
    }
    return false;
}

static bool is_vote_request(const struct raft_message *message)
{
    return message->type == RAFT_MSG_VOTE || message->type == RAFT_MSG_PRE_VOTE;
}

/* Lines about a vote share their beginning and end; `what` is "ignored", "rejected" ... */
static void trace_barred(struct raft *raft, const struct raft_message *message, uint64_t remaining)
{
    TRACE(raft, INFO,
          "%" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 ", vote: %" PRIx64
          "] ignored %s from %" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64
          "] at term %" PRIu64 ": lease is not expired (remaining ticks: %" PRIu64 ")",
          raft->options.id, raft_log_last_term(&raft->log), raft->log.last, raft->vote,
          raft_message_type_name(message->type), message->from, message->log_term, message->index,
          raft->term, remaining);
}

/* A message of a later term. */
static void adopt_higher_term(struct raft *raft, const struct raft_message *message)
{
    if ((message->type == RAFT_MSG_PRE_VOTE && !RAFT_FAULT(prevote_raises_term)) ||
        (message->type == RAFT_MSG_PRE_VOTE_RESP && !message->reject)) {
        return; /* a pre-vote is about a term that may never come */
    }
    TRACE(raft, INFO,
          "%" PRIx64 " [term: %" PRIu64 "] received a %s message with higher term from %" PRIx64
          " [term: %" PRIu64 "]",
          raft->options.id, raft->term, raft_message_type_name(message->type), message->from,
          message->term);
    bool from_leader = message->type == RAFT_MSG_APP || message->type == RAFT_MSG_HEARTBEAT ||
                       message->type == RAFT_MSG_SNAP;
    raft_become_follower(raft, message->term, from_leader ? message->from : RAFT_NO_ID);
}

/* A message of an earlier term is answered only where the sender would be stuck without. */
static void refuse_lower_term(struct raft *raft, const struct raft_message *message)
{
    if ((message->type == RAFT_MSG_HEARTBEAT || message->type == RAFT_MSG_APP) &&
        (raft->options.check_quorum || raft->options.pre_vote)) {
        raft_send_after_persist(raft, RAFT_MSG_APP_RESP, message->from);
        return;
    }
    if (message->type == RAFT_MSG_PRE_VOTE) {
        TRACE(raft, INFO,
              "%" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64 ", vote: %" PRIx64
              "] rejected MsgPreVote from %" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64
              "] at term %" PRIu64,
              raft->options.id, raft_log_last_term(&raft->log), raft->log.last, raft->vote,
              message->from, message->log_term, message->index, raft->term);
        raft_send_after_persist(raft, RAFT_MSG_PRE_VOTE_RESP, message->from)->reject = true;
        return;
    }
    TRACE(raft, INFO,
          "%" PRIx64 " [term: %" PRIu64 "] ignored a %s message with lower term from %" PRIx64
          " [term: %" PRIu64 "]",
          raft->options.id, raft->term, raft_message_type_name(message->type), message->from,
          message->term);
}

/* ---- Messages: by role ---- */

static void leader_message(struct raft *raft, const struct raft_message *message)
{
    switch (message->type) {
    case RAFT_MSG_APP_RESP:
        replication_append_answer(raft, message);
        return;
    case RAFT_MSG_HEARTBEAT_RESP:
        replication_heartbeat_answer(raft, message);
        return;
    case RAFT_MSG_TRANSFER_LEADER:
        replication_transfer(raft, message->from);
        return;
    case RAFT_MSG_READ_INDEX:
        reads_remote_request(raft, message);
        return;
    case RAFT_MSG_APP:
    case RAFT_MSG_SNAP:
    case RAFT_MSG_HEARTBEAT:
        /* Election safety (paper, 5.2) is broken: nothing that follows can be trusted. */
        raft_halt(raft, "members %" PRIx64 " and %" PRIx64 " both lead term %" PRIu64,
                  raft->options.id, message->from, raft->term);
        return;
    case RAFT_MSG_PROP:
    case RAFT_MSG_VOTE:
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_READ_INDEX_RESP:
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_PRE_VOTE_RESP:
        return;
    }
    UNREACHABLE();
}

/* What a leader of this term sends: whoever campaigned in it stops. */
static void heard_from_leader(struct raft *raft, raft_id leader)
{
    if (raft->role != RAFT_FOLLOWER) {
        raft_become_follower(raft, raft->term, leader);
    }
    raft->election_base = raft->now;
    raft_set_leader(raft, leader);
    if (raft->options.lease_reads) {
        raft->promised_until = raft->now + raft->options.election_timeout;
    }
}

static void forward_transfer(struct raft *raft, raft_id target)
{
    if (raft->leader == RAFT_NO_ID) {
        TRACE(raft, INFO, "%" PRIx64 " no leader at term %" PRIu64 "; dropping leader transfer msg",
              raft->options.id, raft->term);
        return;
    }
    struct raft_message *message = raft_send(raft, RAFT_MSG_TRANSFER_LEADER, raft->leader);
    message->from = target;
    message->from_incarnation = 0; /* it is the target's name, not our own */
}

static void timeout_now(struct raft *raft, const struct raft_message *message)
{
    if (raft->role != RAFT_FOLLOWER) {
        TRACE(raft, DEBUG,
              "%" PRIx64 " [term %" PRIu64 " state %s] ignored MsgTimeoutNow from %" PRIx64,
              raft->options.id, raft->term, raft_role_name(raft->role), message->from);
        return;
    }
    election_transfer(raft, message->from);
}

static void other_message(struct raft *raft, const struct raft_message *message)
{
    switch (message->type) {
    case RAFT_MSG_APP:
        heard_from_leader(raft, message->from);
        follower_append(raft, message);
        return;
    case RAFT_MSG_HEARTBEAT:
        heard_from_leader(raft, message->from);
        follower_heartbeat(raft, message);
        return;
    case RAFT_MSG_SNAP:
        heard_from_leader(raft, message->from);
        follower_snapshot(raft, message);
        return;
    case RAFT_MSG_TRANSFER_LEADER:
        if (raft->role == RAFT_FOLLOWER) {
            forward_transfer(raft, message->from);
        }
        return;
    case RAFT_MSG_TIMEOUT_NOW:
        timeout_now(raft, message);
        return;
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_PRE_VOTE_RESP:
        election_vote_answer(raft, message);
        return;
    case RAFT_MSG_READ_INDEX:
        reads_refuse(raft, message);
        return;
    case RAFT_MSG_READ_INDEX_RESP:
        reads_remote_answer(raft, message);
        return;
    case RAFT_MSG_PROP:
    case RAFT_MSG_APP_RESP:
    case RAFT_MSG_HEARTBEAT_RESP:
    case RAFT_MSG_VOTE:
    case RAFT_MSG_PRE_VOTE:
        return;
    }
    UNREACHABLE();
}

/* Proposals, of this node or passed on. A follower passes them on in turn. */
static enum raft_result propose(struct raft *raft, struct raft_entry *const *entries,
                                uint32_t count, raft_id origin)
{
    ASSERT(count > 0);
    if (raft->role == RAFT_LEADER) {
        return replication_propose(raft, entries, count, false);
    }
    if (raft->role != RAFT_FOLLOWER || raft->leader == RAFT_NO_ID) {
        TRACE(raft, INFO, "%" PRIx64 " no leader at term %" PRIu64 "; dropping proposal",
              raft->options.id, raft->term);
        return RAFT_STEP_PROPOSAL_DROPPED;
    }
    struct raft_message *message = raft_send(raft, RAFT_MSG_PROP, raft->leader);
    message->from = origin;
    message->term = 0;
    if (origin != raft->options.id) {
        message->from_incarnation = 0;
    }
    raft->effects->items[raft->effects->count - 1].send.entry_count = count;
    return RAFT_STEP_OK;
}

static bool is_answer(enum raft_message_type type)
{
    return type == RAFT_MSG_APP_RESP || type == RAFT_MSG_VOTE_RESP ||
           type == RAFT_MSG_PRE_VOTE_RESP || type == RAFT_MSG_HEARTBEAT_RESP ||
           type == RAFT_MSG_READ_INDEX_RESP;
}

static bool is_about_votes(enum raft_message_type type)
{
    return type == RAFT_MSG_VOTE || type == RAFT_MSG_VOTE_RESP || type == RAFT_MSG_PRE_VOTE ||
           type == RAFT_MSG_PRE_VOTE_RESP;
}

static bool is_about_heartbeats(enum raft_message_type type)
{
    return type == RAFT_MSG_HEARTBEAT || type == RAFT_MSG_HEARTBEAT_RESP;
}

/* Identity: every name that the message carries must be the one that we know. */
static bool is_foreign(const struct raft *raft, const struct raft_message *message)
{
    const struct raft_options *options = &raft->options;
    if (message->to != options->id || message->group != options->group) {
        return true;
    }
    if (message->cluster != 0 && options->cluster != 0 && message->cluster != options->cluster) {
        return true;
    }
    if (RAFT_FAULT(incarnation_unchecked) ||
        (RAFT_FAULT(former_acknowledgement) && message->type == RAFT_MSG_APP_RESP) ||
        (RAFT_FAULT(votes_of_any_disk) && is_about_votes(message->type)) ||
        (RAFT_FAULT(heartbeats_of_any_disk) && is_about_heartbeats(message->type))) {
        return false;
    }
    if (message->to_incarnation != 0 && options->incarnation != 0 &&
        message->to_incarnation != options->incarnation) {
        return true;
    }
    /* Only what is counted depends on the sender's disk. A leader may be one that was replaced
     * after the configuration that this node still knows, and is the one to tell it. */
    const struct raft_member *member = raft_configuration_find(&raft->configuration, message->from);
    return is_answer(message->type) && member != NULL && member->incarnation != 0 &&
           message->from_incarnation != 0 && member->incarnation != message->from_incarnation;
}

static enum raft_result check_outside(struct raft *raft, const struct raft_message *message)
{
    if (!raft_message_valid(message)) {
        return RAFT_STEP_INVALID;
    }
    if (is_foreign(raft, message)) {
        return RAFT_STEP_FOREIGN;
    }
    if (is_answer(message->type) && raft_find_progress(raft, message->from) == NULL) {
        return RAFT_STEP_PEER_NOT_FOUND;
    }
    return RAFT_STEP_OK;
}

static enum raft_result on_message(struct raft *raft, const struct raft_message *message)
{
    if (message->type == RAFT_MSG_PROP) {
        return propose(raft, message->entries, message->entry_count, message->from);
    }
    bool refusal = message->reject &&
                   (message->type == RAFT_MSG_VOTE_RESP || message->type == RAFT_MSG_PRE_VOTE_RESP);
    if (is_vote_request(message) || refusal) {
        election_learn_commit(raft, message);
    }
    uint64_t remaining;
    if (is_vote_request(message) && message->term >= raft->term &&
        vote_is_barred(raft, message, &remaining)) {
        trace_barred(raft, message, remaining);
        return RAFT_STEP_OK;
    }
    if (message->term > raft->term) {
        adopt_higher_term(raft, message);
    } else if (message->term != 0 && message->term < raft->term &&
               !(RAFT_FAULT(old_votes_counted) && message->type == RAFT_MSG_VOTE_RESP) &&
               !(RAFT_FAULT(old_leader_followed) && message->type == RAFT_MSG_APP)) {
        refuse_lower_term(raft, message);
        return RAFT_STEP_OK;
    }
    if (is_vote_request(message)) {
        election_vote_request(raft, message);
    } else if (raft->role == RAFT_LEADER) {
        leader_message(raft, message);
    } else {
        other_message(raft, message);
    }
    return RAFT_STEP_OK;
}

/* ---- Time ---- */

static void check_stalled_disk(struct raft *raft, raft_id target)
{
    if (raft->options.persist_stall == 0 || raft->persist_since == NEVER ||
        raft->now - raft->persist_since < raft->options.persist_stall || target == RAFT_NO_ID) {
        return;
    }
    TRACE(raft, WARN,
          "%" PRIx64 " a write has not become durable for too long; handing over to %" PRIx64,
          raft->options.id, target);
    replication_transfer(raft, target);
}

/*
 * Whether the election timeout that ended at `due` does not count, since this node was held up: what
 * it works at, a large entry perhaps, the others work at as well, and have not answered, or a leader
 * not asked. Never twice in a row: then the next one is awaited in vain. No promise rests on it.
 */
static bool is_excused(struct raft *raft, uint64_t due)
{
    uint64_t held_up = raft->options.held_up;
    raft->excused = !raft->excused && held_up != 0 && raft->now - due >= held_up;
    return raft->excused;
}

static void leader_timer(struct raft *raft)
{
    uint64_t due = raft->election_base + raft->options.election_timeout;
    if (raft->now >= due) {
        raft->election_base = raft->now;
        raft_id target = raft_transfer_candidate(raft); /* the check makes all members inactive */
        if (raft->options.check_quorum) {
            replication_check_quorum(raft, is_excused(raft, due));
        }
        if (raft->role == RAFT_LEADER) {
            replication_abort_transfer(raft);
            check_stalled_disk(raft, target);
        }
    }
    if (raft->role == RAFT_LEADER && !raft->heartbeats_off &&
        raft->now - raft->heartbeat_base >= raft->options.heartbeat_interval) {
        raft->heartbeat_base = raft->now;
        replication_heartbeat(raft);
    }
}

/* When a node that does not lead stands for election. */
static uint64_t election_due(const struct raft *raft)
{
    uint64_t due = raft->election_base + raft->randomized_timeout;
    return due > raft->promised_until ? due : raft->promised_until;
}

static void on_timer(struct raft *raft)
{
    if (raft->role == RAFT_LEADER) {
        leader_timer(raft);
    } else if (!raft->elections_off && raft_promotable(raft) && raft->now >= election_due(raft)) {
        bool excused = is_excused(raft, election_due(raft));
        raft->election_base = raft->now;
        if (!excused) {
            election_campaign(raft);
        }
    }
    reads_timer(raft);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t raft_deadline(const struct raft *raft)
{
    uint64_t deadline = reads_deadline(raft);
    if (raft->role == RAFT_LEADER) {
        deadline = earlier(deadline, raft->election_base + raft->options.election_timeout);
        if (!raft->heartbeats_off) {
            deadline = earlier(deadline, raft->heartbeat_base + raft->options.heartbeat_interval);
        }
    } else if (!raft->elections_off && raft_promotable(raft)) {
        deadline = earlier(deadline, election_due(raft));
    }
    return deadline;
}

/* ---- Storage and applying ---- */

static void persisted_entries(struct raft *raft, raft_index index, raft_term term)
{
    raft_term own;
    if (!raft_log_term(&raft->log, index, &own)) {
        TRACE(raft, INFO, "entry at index %" PRIu64 " missing from unstable log; ignoring", index);
        return;
    }
    if (index <= raft->log.persisted) {
        if (index == raft->pending_snapshot) {
            TRACE(raft, INFO, "entry at index %" PRIu64 " matched unstable snapshot; ignoring",
                  index);
        } else {
            TRACE(raft, INFO, "entry at index %" PRIu64 " missing from unstable log; ignoring",
                  index);
        }
        return;
    }
    if (own != term && !RAFT_FAULT(stale_receipt)) {
        TRACE(raft, INFO,
              "entry at (index,term)=(%" PRIu64 ",%" PRIu64 ") mismatched with entry at (%" PRIu64
              ",%" PRIu64 ") in unstable log; ignoring",
              index, term, index, own);
        return;
    }
    raft->log.persisted = index;
    raft->persist_since = index < raft->log.last ? raft->now : NEVER;
}

static void on_persisted(struct raft *raft, const struct raft_event *event)
{
    ASSERT(event->persisted.term <= raft->term);
    if (event->persisted.index > 0) {
        if (event->persisted.term < raft->term && !RAFT_FAULT(stale_receipt)) {
            /* An older write of the same entries may yet be replaced by one in the queue. */
            TRACE(raft, INFO,
                  "%" PRIx64 " [term: %" PRIu64 "] ignored entry appends from a "
                  "MsgStorageAppendResp message with lower term [term: %" PRIu64 "]",
                  raft->options.id, raft->term, event->persisted.term);
        } else {
            persisted_entries(raft, event->persisted.index, event->persisted.log_term);
        }
    }
    if (event->persisted.snapshot == 0) {
        return;
    }
    if (event->persisted.snapshot == raft->pending_snapshot &&
        event->persisted.snapshot_term == raft->pending_snapshot_term) {
        raft->pending_snapshot = 0;
        raft->pending_snapshot_term = 0;
    }
    /* Whatever came after it: the state machine is that far. */
    if (event->persisted.snapshot > raft->log.applied) {
        raft_log_applied(&raft->log, event->persisted.snapshot);
    }
}

static void on_applied(struct raft *raft, raft_index index)
{
    if (index > raft->log.applied) {
        raft_log_applied(&raft->log, index);
    }
    if (raft->role == RAFT_LEADER) {
        membership_leave_automatically(raft);
    }
}

/* ---- Steps ---- */

static enum raft_result dispatch(struct raft *raft, const struct raft_event *event)
{
    switch (event->type) {
    case RAFT_EVENT_TIMER:
        on_timer(raft);
        return RAFT_STEP_OK;
    case RAFT_EVENT_MESSAGE: {
        enum raft_result result = check_outside(raft, event->message);
        if (result == RAFT_STEP_OK) {
            raft->received = event->message;
            result = on_message(raft, event->message);
            raft->received = NULL;
        }
        return result;
    }
    case RAFT_EVENT_LOCAL_MESSAGE:
        return on_message(raft, event->message);
    case RAFT_EVENT_PROPOSE:
        return propose(raft, event->propose.entries, event->propose.count, raft->options.id);
    case RAFT_EVENT_READ:
        reads_request(raft, event->read);
        return RAFT_STEP_OK;
    case RAFT_EVENT_PERSISTED:
        on_persisted(raft, event);
        return RAFT_STEP_OK;
    case RAFT_EVENT_APPLIED:
        on_applied(raft, event->applied);
        return RAFT_STEP_OK;
    case RAFT_EVENT_CONF_APPLIED:
        if (event->conf_index == 0 || event->conf_index > raft->log.base) {
            membership_apply(raft, event->conf_applied);
        }
        return RAFT_STEP_OK;
    case RAFT_EVENT_COMPACTED:
        raft_log_compact(&raft->log, event->compacted);
        return RAFT_STEP_OK;
    case RAFT_EVENT_SNAPSHOT_STATUS:
        replication_snapshot_status(raft, event->snapshot_status.id, event->snapshot_status.ok);
        return RAFT_STEP_OK;
    case RAFT_EVENT_UNREACHABLE:
        replication_unreachable(raft, event->unreachable);
        return RAFT_STEP_OK;
    case RAFT_EVENT_CAMPAIGN:
        election_campaign(raft);
        return RAFT_STEP_OK;
    case RAFT_EVENT_HEARTBEAT:
        if (raft->role == RAFT_LEADER) {
            raft->heartbeat_base = raft->now;
            replication_heartbeat(raft);
        }
        return RAFT_STEP_OK;
    case RAFT_EVENT_TRANSFER:
        if (raft->role == RAFT_LEADER) {
            replication_transfer(raft, event->transfer);
        } else if (raft->role == RAFT_FOLLOWER) {
            forward_transfer(raft, event->transfer);
        }
        return RAFT_STEP_OK;
    case RAFT_EVENT_FORGET_LEADER:
        if (raft->role != RAFT_FOLLOWER) {
            return RAFT_STEP_OK;
        }
        if (raft->options.lease_reads || raft->options.keep_leader) {
            TRACE(raft, ERROR, "ignoring MsgForgetLeader due to ReadOnlyLeaseBased");
        } else if (raft->leader != RAFT_NO_ID) {
            TRACE(raft, INFO, "%" PRIx64 " forgetting leader %" PRIx64 " at term %" PRIu64,
                  raft->options.id, raft->leader, raft->term);
            raft_set_leader(raft, RAFT_NO_ID);
        }
        return RAFT_STEP_OK;
    case RAFT_EVENT_SWITCH:
        raft->elections_off = !event->enable.elections;
        raft->heartbeats_off = !event->enable.heartbeats;
        return RAFT_STEP_OK;
    case RAFT_EVENT_MORE:
        for (uint32_t i = 0; i < raft->configuration.count && raft->role == RAFT_LEADER; i++) {
            if (raft->progress[i].more) {
                replication_flush(raft, &raft->progress[i]);
            }
        }
        return RAFT_STEP_OK;
    }
    UNREACHABLE();
}

static bool appends(const struct raft_effects *effects)
{
    for (uint32_t i = 0; i < effects->count; i++) {
        if (effects->items[i].type == RAFT_EFFECT_APPEND) {
            return true;
        }
    }
    return false;
}

/* What holds between any two steps, whatever came in. */
static void check_step(const struct raft *raft, const struct raft_hard_state *before,
                       enum raft_role role_before)
{
    const struct raft_log *log = &raft->log;
    ASSERT(raft->term >= before->term);
    ASSERT(raft->term > before->term || before->vote == RAFT_NO_ID || raft->vote == before->vote);
    ASSERT(log->committed >= before->commit);
    ASSERT(log->base <= log->committed);
    ASSERT(log->committed <= log->last);
    ASSERT(log->applied <= log->committed);
    ASSERT(log->persisted <= log->last);
    ASSERT(log->persisted >= log->base);
    ASSERT(raft->pending_snapshot == 0 || raft->pending_snapshot == log->base);
    ASSERT(raft->halted || log->applied >= log->base || raft->pending_snapshot != 0);
    ASSERT(raft->role != RAFT_LEADER || raft->leader == raft->options.id);
    ASSERT(raft->role != RAFT_CANDIDATE || raft->vote == raft->options.id);
    ASSERT(raft->role != RAFT_CANDIDATE || raft->leader == RAFT_NO_ID);
    ASSERT(raft->role != RAFT_PRE_CANDIDATE || raft->leader == RAFT_NO_ID);
    ASSERT(raft->role == RAFT_LEADER || raft->transfer_target == RAFT_NO_ID);
    ASSERT(raft->role != RAFT_LEADER || role_before == RAFT_LEADER || raft->term >= before->term);
    ASSERT(raft->reads.done <= raft->reads.started);
    ASSERT(raft->reads.started <= raft->reads.wanted);
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        const struct raft_progress *progress = &raft->progress[i];
        ASSERT(progress->id == raft->configuration.members[i].id);
        ASSERT(raft->role != RAFT_LEADER || progress->match < progress->next);
        ASSERT(raft->role != RAFT_LEADER || progress->match <= log->last);
        ASSERT(raft->role != RAFT_LEADER || progress->next <= log->last + 1);
        ASSERT(progress->acked_round <= raft->round);
    }
}

enum raft_result raft_step(struct raft *raft, const struct raft_event *event,
                           struct raft_effects *effects)
{
    ASSERT(event->now >= raft->now);
    effects->count = 0;
    effects->text_size = 0;
    if (raft->halted) {
        return RAFT_STEP_HALTED;
    }
    struct raft_hard_state before = raft_hard_state(raft);
    enum raft_role role_before = raft->role;
    raft->now = event->now;
    raft->effects = effects;
    raft->fresh_count = 0;
    enum raft_result result = dispatch(raft, event);
    if (raft->persist_since == NEVER && appends(effects)) {
        raft->persist_since = raft->now;
    }
    check_step(raft, &before, role_before);
    raft->effects = NULL;
    return result;
}

const char *raft_result_text(enum raft_result result)
{
    switch (result) {
    case RAFT_STEP_OK:
        return "ok";
    case RAFT_STEP_PROPOSAL_DROPPED:
        return "raft proposal dropped";
    case RAFT_STEP_PEER_NOT_FOUND:
        return "raft: cannot step as peer not found";
    case RAFT_STEP_FOREIGN:
        return "raft: message of another cluster, group or incarnation";
    case RAFT_STEP_INVALID:
        return "raft: message that no member can send";
    case RAFT_STEP_HALTED:
        return "raft: halted";
    }
    UNREACHABLE();
}

/* ---- Accessors ---- */

bool raft_more(const struct raft *raft)
{
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        if (raft->progress[i].more) {
            return true;
        }
    }
    return false;
}

bool raft_receipt(const struct raft *raft, struct raft_event *out)
{
    bool entries = raft->log.persisted < raft->log.last;
    memset(out, 0, sizeof(*out));
    out->type = RAFT_EVENT_PERSISTED;
    out->persisted.term = raft->term;
    if (entries) {
        out->persisted.index = raft->log.last;
        out->persisted.log_term = raft_log_last_term(&raft->log);
    }
    return entries;
}

raft_id raft_self(const struct raft *raft)
{
    return raft->options.id;
}

enum raft_role raft_role(const struct raft *raft)
{
    return raft->role;
}

raft_id raft_leader(const struct raft *raft)
{
    return raft->leader;
}

struct raft_hard_state raft_hard_state(const struct raft *raft)
{
    struct raft_hard_state state = {raft->term, raft->vote, raft->log.committed};
    return state;
}

raft_index raft_base_index(const struct raft *raft)
{
    return raft->log.base;
}

raft_index raft_last_index(const struct raft *raft)
{
    return raft->log.last;
}

raft_index raft_persisted_index(const struct raft *raft)
{
    return raft->log.persisted;
}

raft_index raft_committed_index(const struct raft *raft)
{
    return raft->log.committed;
}

raft_index raft_applied_index(const struct raft *raft)
{
    return raft->log.applied;
}

raft_index raft_pending_snapshot(const struct raft *raft)
{
    return raft->pending_snapshot;
}

bool raft_log_term_at(const struct raft *raft, raft_index index, raft_term *out)
{
    return raft_log_term(&raft->log, index, out);
}

const struct raft_configuration *raft_configuration(const struct raft *raft)
{
    return &raft->configuration;
}

bool raft_transferring(const struct raft *raft)
{
    return raft->transfer_target != RAFT_NO_ID;
}

const struct raft_progress *raft_progress(const struct raft *raft, raft_id id)
{
    return raft_find_progress((struct raft *)raft, id);
}

char *raft_status_text(const struct raft *raft, raft_id id, char *text, size_t size)
{
    const struct raft_progress *progress = raft_progress(raft, id);
    ASSERT(progress != NULL);
    return raft_progress_text(progress, raft_is_learner(raft, id), &raft->window_limits, text,
                              size);
}

void raft_set_randomized_timeout(struct raft *raft, uint64_t timeout)
{
    raft->randomized_timeout = timeout;
}

const char *raft_role_name(enum raft_role role)
{
    switch (role) {
    case RAFT_FOLLOWER:
        return "StateFollower";
    case RAFT_CANDIDATE:
        return "StateCandidate";
    case RAFT_LEADER:
        return "StateLeader";
    case RAFT_PRE_CANDIDATE:
        return "StatePreCandidate";
    }
    UNREACHABLE();
}
