/*
 * The leader's side: proposing, sending the log, counting acknowledgements, committing, and the
 * messages around it (paper, 5.3 and 5.4; the flow control is etcd-io/raft's).
 */
#include "raft/raft_private.h"

/* ---- Appending ---- */

/* Tells the host, and ourselves once it is durable: an own entry counts like a follower's. */
static void acknowledge_self(struct raft *raft)
{
    struct raft_message *message =
        raft_send_after_persist(raft, RAFT_MSG_APP_RESP, raft->options.id);
    message->index = raft->log.last;
    if (RAFT_FAULT(own_log_counted_early)) {
        raft_find_progress(raft, raft->options.id)->match = raft->log.last;
    }
}

/* Appends `count` of the event's entries from `from_event` on, or, of the core's making, `own`, whose
 * reference is taken. */
static void append(struct raft *raft, uint32_t from_event, uint32_t count, struct raft_entry *own,
                   bool configuration)
{
    struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_APPEND);
    effect->append.first = raft->log.last + 1;
    effect->append.term = raft->term;
    effect->append.count = count;
    effect->append.from_event = from_event;
    effect->append.own = own;
    for (uint32_t i = 0; i < count; i++) {
        raft_log_append(&raft->log, raft->term, configuration);
    }
}

void replication_append_own(struct raft *raft, struct raft_entry *entry)
{
    raft->fresh = NULL;
    raft->fresh_first = raft->log.last + 1;
    raft->fresh_count = 1;
    append(raft, 0, 1, entry, entry->type != RAFT_ENTRY_NORMAL);
    acknowledge_self(raft);
}

static bool fits_uncommitted(struct raft *raft, struct raft_entry *const *entries, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += raft_entry_bytes(entries[i]);
    }
    if (raft->options.uncommitted_bytes_max == 0) {
        return true;
    }
    /* An empty log takes anything, or one that is too big would never get through. */
    if (raft->uncommitted_bytes > 0 &&
        raft->uncommitted_bytes + bytes > raft->options.uncommitted_bytes_max) {
        return false;
    }
    raft->uncommitted_bytes += bytes;
    return true;
}

/* Whether a configuration entry may stand; a refused one becomes an empty entry in its place. */
static bool accept_configuration(struct raft *raft, const struct raft_entry *entry)
{
    struct raft_conf_change change;
    rr_bytes data = {entry->data, entry->size};
    const char *reason = "not readable";
    if (raft_conf_change_decode(data, &change) == RR_OK) {
        reason = membership_refuse(raft, &change);
        if (reason == NULL || !raft->options.validate_conf_changes) {
            raft->pending_conf = raft->log.last + 1;
            return true;
        }
    }
    char change_text[RAFT_CONF_CHANGE_TEXT_MAX];
    char configuration_text[RAFT_CONFIGURATION_TEXT_MAX];
    TRACE(raft, INFO, "%" PRIx64 " ignoring conf change %s at config %s: %s", raft->options.id,
          raft_conf_change_text(&change, change_text, sizeof(change_text)),
          raft_configuration_text(&raft->configuration, configuration_text,
                                  sizeof(configuration_text)),
          reason);
    return false;
}

/* Appends one configuration entry, or what takes its place. */
static void append_configuration(struct raft *raft, struct raft_entry *entry, uint32_t from_event,
                                 bool own)
{
    if (!accept_configuration(raft, entry)) {
        struct raft_entry *empty = raft_entry_new(RAFT_ENTRY_NORMAL, (rr_bytes){NULL, 0});
        uint64_t saved = raft_entry_bytes(entry) - raft_entry_bytes(empty);
        raft->uncommitted_bytes -=
            saved < raft->uncommitted_bytes ? saved : raft->uncommitted_bytes;
        append(raft, 0, 1, empty, false);
        return;
    }
    append(raft, from_event, 1, own ? raft_entry_ref(entry) : NULL, true);
}

static uint32_t count_configurations(struct raft_entry *const *entries, uint32_t count)
{
    uint32_t configurations = 0;
    for (uint32_t i = 0; i < count; i++) {
        configurations += entries[i]->type != RAFT_ENTRY_NORMAL;
    }
    return configurations;
}

enum raft_result replication_propose(struct raft *raft, struct raft_entry *const *entries,
                                     uint32_t count, bool own)
{
    if (raft_find_progress(raft, raft->options.id) == NULL) {
        return RAFT_STEP_PROPOSAL_DROPPED;
    }
    if (raft->transfer_target != RAFT_NO_ID) {
        TRACE(raft, DEBUG,
              "%" PRIx64 " [term %" PRIu64 "] transfer leadership to %" PRIx64
              " is in progress; dropping proposal",
              raft->options.id, raft->term, raft->transfer_target);
        return RAFT_STEP_PROPOSAL_DROPPED;
    }
    if (count_configurations(entries, count) > RAFT_PROPOSED_CONFIGURATIONS_MAX ||
        !fits_uncommitted(raft, entries, count)) {
        return RAFT_STEP_PROPOSAL_DROPPED;
    }
    raft->fresh = entries;
    raft->fresh_first = raft->log.last + 1;
    raft->fresh_count = count;
    uint32_t start = 0; /* of the run of normal entries that is not appended yet */
    for (uint32_t i = 0; i <= count; i++) {
        bool configuration = i < count && entries[i]->type != RAFT_ENTRY_NORMAL;
        if (i < count && !configuration) {
            continue;
        }
        if (i > start) {
            append(raft, start, i - start, NULL, false);
        }
        if (configuration) {
            append_configuration(raft, entries[i], i, own);
        }
        start = i + 1;
    }
    acknowledge_self(raft);
    replication_broadcast(raft);
    return RAFT_STEP_OK;
}

/* ---- Sending ---- */

/* How far `first` to `last` fits into one message; the host sizes what it has, and what this step
 * appends is sized here. */
static raft_index fit(struct raft *raft, raft_index first, raft_index last, uint64_t *bytes)
{
    uint64_t bytes_max = raft->options.message_bytes_max;
    raft_index known_last =
        raft->fresh_count > 0 && raft->fresh_first <= last ? raft->fresh_first - 1 : last;
    *bytes = 0;
    raft_index at = first - 1;
    if (first <= known_last) {
        at = raft->options.ops->fit(raft->options.host, first, known_last, bytes_max, bytes);
        ASSERT(at >= first);
        ASSERT(at <= known_last);
    }
    if (at < known_last) {
        return at;
    }
    while (at < last) {
        const struct raft_entry *entry =
            raft->fresh == NULL ? NULL : raft->fresh[at + 1 - raft->fresh_first];
        uint64_t size = entry == NULL ? 0 : raft_entry_bytes(entry);
        if (at >= first && *bytes + size > bytes_max) {
            break;
        }
        *bytes += size;
        at++;
    }
    return at;
}

static bool try_snapshot(struct raft *raft, struct raft_progress *progress)
{
    if (!progress->active) {
        TRACE(raft, DEBUG, "ignore sending snapshot to %" PRIx64 " since it is not recently active",
              progress->id);
        return false;
    }
    raft_index index;
    raft_term term;
    if (!raft->options.ops->snapshot(raft->options.host, &index, &term)) {
        TRACE(raft, DEBUG,
              "%" PRIx64 " failed to send snapshot to %" PRIx64
              " because snapshot is temporarily unavailable",
              raft->options.id, progress->id);
        return false;
    }
    ASSERT(index > 0);
    TRACE(raft, DEBUG,
          "%" PRIx64 " [firstindex: %" PRIu64 ", commit: %" PRIu64 "] sent snapshot[index: %" PRIu64
          ", term: %" PRIu64 "] to %" PRIx64 " [%s]",
          raft->options.id, raft->log.base + 1, raft->log.committed, index, term, progress->id,
          raft_progress_describe(raft, progress));
    raft_progress_become_snapshot(progress, index);
    TRACE(raft, DEBUG, "%" PRIx64 " paused sending replication messages to %" PRIx64 " [%s]",
          raft->options.id, progress->id, raft_progress_describe(raft, progress));
    struct raft_message *message = raft_send(raft, RAFT_MSG_SNAP, progress->id);
    message->session = progress->session;
    message->round = raft->round;
    return true;
}

/* After an append was sent: the window, and whether the next one must wait. */
static void sent(struct raft *raft, struct raft_progress *progress, raft_index last, uint32_t count,
                 uint64_t bytes)
{
    if (progress->state == RAFT_REPLICATE) {
        if (count > 0) {
            progress->next = last + 1;
            raft_window_add(&progress->window, last, bytes);
        }
        progress->paused = raft_window_full(&progress->window, &raft->window_limits);
    } else {
        ASSERT(progress->state == RAFT_PROBE);
        if (count > 0) {
            progress->paused = true;
        }
    }
    progress->sent_commit = raft->log.committed;
}

bool replication_try_append(struct raft *raft, struct raft_progress *progress, bool even_if_empty)
{
    if (raft_progress_is_paused(progress)) {
        return false;
    }
    raft_index previous = progress->next - 1;
    raft_term previous_term;
    if (!raft_log_term(&raft->log, previous, &previous_term)) {
        return try_snapshot(raft, progress);
    }
    raft_index last = previous;
    uint64_t bytes = 0;
    bool full = progress->state == RAFT_REPLICATE &&
                raft_window_full(&progress->window, &raft->window_limits);
    if (!full && progress->next <= raft->log.last) {
        last = fit(raft, progress->next, raft->log.last, &bytes);
    }
    if (last == previous && !even_if_empty) {
        return false;
    }
    struct raft_message *message = raft_send(raft, RAFT_MSG_APP, progress->id);
    message->index = previous;
    message->log_term = previous_term;
    message->commit = raft->log.committed;
    message->round = raft->round;
    message->session = progress->session;
    struct raft_effect *effect = &raft->effects->items[raft->effects->count - 1];
    effect->send.first = previous + 1;
    effect->send.entry_count = (uint32_t)(last - previous);
    sent(raft, progress, last, effect->send.entry_count, bytes);
    return true;
}

/* Sends what can be sent, up to this step's share; `more` asks the host for another step. */
void replication_flush(struct raft *raft, struct raft_progress *progress)
{
    progress->more = false;
    for (int i = 0; i < RAFT_SEND_BURST_MAX; i++) {
        if (!replication_try_append(raft, progress, false)) {
            return;
        }
    }
    progress->more = !raft_progress_is_paused(progress) && progress->next <= raft->log.last;
}

void replication_broadcast(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        if (raft->progress[i].id != raft->options.id) {
            (void)replication_try_append(raft, &raft->progress[i], true);
        }
    }
}

void replication_heartbeat(struct raft *raft)
{
    ASSERT(raft->role == RAFT_LEADER);
    uint64_t round = reads_new_round(raft);
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        struct raft_progress *progress = &raft->progress[i];
        if (progress->id == raft->options.id) {
            continue;
        }
        struct raft_message *message = raft_send(raft, RAFT_MSG_HEARTBEAT, progress->id);
        /* No further than the member acknowledged: beyond it, its log may be another. */
        message->commit =
            progress->match < raft->log.committed && !RAFT_FAULT(heartbeat_commit_unlimited)
                ? progress->match
                : raft->log.committed;
        message->round = round;
        message->session = progress->session;
        progress->sent_commit = message->commit;
    }
}

/* ---- Committing ---- */

static uint64_t match_of(const struct raft *raft, const struct raft_progress *progress)
{
    (void)raft;
    return progress->match;
}

static void release_uncommitted(struct raft *raft, raft_index first, raft_index last)
{
    if (raft->options.uncommitted_bytes_max == 0 || raft->uncommitted_bytes == 0 ||
        RAFT_FAULT(uncommitted_not_released)) {
        return;
    }
    while (first <= last) { /* in pieces, as the host reads them */
        uint64_t bytes = 0;
        first = raft->options.ops->fit(raft->options.host, first, last, UINT64_MAX, &bytes) + 1;
        raft->uncommitted_bytes =
            bytes < raft->uncommitted_bytes ? raft->uncommitted_bytes - bytes : 0;
    }
}

bool replication_commit(struct raft *raft)
{
    raft_index index = raft_quorum_value(raft, match_of);
    if (index == QUORUM_INFINITY || index <= raft->log.committed) {
        return false;
    }
    ASSERT(index <= raft->log.last);
    /* Only an entry of the own term commits by counting (paper, 5.4.2 and figure 8). */
    if (!raft_log_matches(&raft->log, index, raft->term) && !RAFT_FAULT(commit_of_earlier_term)) {
        return false;
    }
    release_uncommitted(raft, raft->log.committed + 1, index);
    raft_set_committed(raft, index);
    reads_advance(raft);
    return true;
}

/* ---- Answers ---- */

/* The progress that an answer belongs to, or NULL for one that says nothing about it. */
static struct raft_progress *find_answering(struct raft *raft, const struct raft_message *message)
{
    struct raft_progress *progress = raft_find_progress(raft, message->from);
    if (progress == NULL) {
        TRACE(raft, DEBUG, "%" PRIx64 " no progress available for %" PRIx64, raft->options.id,
              message->from);
        return NULL;
    }
    if (message->from != raft->options.id && message->session != progress->session &&
        !RAFT_FAULT(former_acknowledgement)) {
        return NULL; /* from before the member was removed and added again */
    }
    return progress;
}

static void refused(struct raft *raft, struct raft_progress *progress,
                    const struct raft_message *message)
{
    TRACE(raft, DEBUG,
          "%" PRIx64 " received MsgAppResp(rejected, hint: (index %" PRIu64 ", term %" PRIu64
          ")) from %" PRIx64 " for index %" PRIu64,
          raft->options.id, message->reject_hint, message->log_term, message->from, message->index);
    raft_index hint = message->reject_hint;
    if (message->log_term > 0) {
        raft_term term;
        hint = raft_log_find_term(&raft->log, hint, message->log_term, &term);
    }
    if (RAFT_FAULT(refusal_ignored) || !raft_progress_decrease(progress, message->index, hint)) {
        return;
    }
    TRACE(raft, DEBUG, "%" PRIx64 " decreased progress of %" PRIx64 " to [%s]", raft->options.id,
          message->from, raft_progress_describe(raft, progress));
    if (progress->state == RAFT_REPLICATE) {
        raft_progress_become_probe(progress);
    }
    (void)replication_try_append(raft, progress, true);
}

static void cancel_snapshot(struct raft *raft, const struct raft_progress *progress)
{
    raft_effect(raft, RAFT_EFFECT_CANCEL_SNAPSHOT)->cancel_snapshot = progress->id;
}

static void leave_probe_or_snapshot(struct raft *raft, struct raft_progress *progress,
                                    raft_index index)
{
    switch (progress->state) {
    case RAFT_PROBE:
        raft_progress_become_replicate(progress);
        return;
    case RAFT_SNAPSHOT:
        /* Whatever brought the member this far, the log takes over from here. */
        if (progress->match + 1 >= raft->log.base + 1) {
            TRACE(raft, DEBUG,
                  "%" PRIx64 " recovered from needing snapshot, resumed sending replication "
                  "messages to %" PRIx64 " [%s]",
                  raft->options.id, progress->id, raft_progress_describe(raft, progress));
            cancel_snapshot(raft, progress);
            raft_progress_become_probe(progress);
            raft_progress_become_replicate(progress);
        }
        return;
    case RAFT_REPLICATE:
        if (!RAFT_FAULT(window_not_freed)) {
            raft_window_free_to(&progress->window, index);
        }
        return;
    }
    UNREACHABLE();
}

/* The transfer's target has the whole log: it may start its election. */
static void send_timeout_now(struct raft *raft, raft_id to)
{
    raft->lease_forfeited = !RAFT_FAULT(lease_kept_on_transfer);
    (void)raft_send(raft, RAFT_MSG_TIMEOUT_NOW, to);
}

static void accepted(struct raft *raft, struct raft_progress *progress, raft_index index)
{
    bool updated = raft_progress_update(progress, index);
    if (!updated && !(index == progress->match && progress->state == RAFT_PROBE)) {
        return;
    }
    leave_probe_or_snapshot(raft, progress, index);
    bool self = progress->id == raft->options.id;
    if (replication_commit(raft)) {
        replication_broadcast(raft);
    } else if (!self && raft->log.committed > progress->sent_commit &&
               progress->sent_commit < progress->next - 1) {
        (void)replication_try_append(raft, progress, true);
    }
    if (self) {
        return;
    }
    replication_flush(raft, progress);
    if (progress->id == raft->transfer_target && progress->match == raft->log.last) {
        TRACE(raft, INFO, "%" PRIx64 " sent MsgTimeoutNow to %" PRIx64 " after received MsgAppResp",
              raft->options.id, progress->id);
        send_timeout_now(raft, progress->id);
    }
}

void replication_append_answer(struct raft *raft, const struct raft_message *message)
{
    struct raft_progress *progress = find_answering(raft, message);
    if (progress == NULL) {
        return;
    }
    if (message->index > raft->log.last) {
        return; /* no member acknowledges or refuses what it was never sent */
    }
    progress->active = !RAFT_FAULT(answers_not_noticed);
    reads_acknowledge(raft, progress, message->round);
    if (message->reject) {
        refused(raft, progress, message);
    } else {
        accepted(raft, progress, message->index);
    }
}

void replication_heartbeat_answer(struct raft *raft, const struct raft_message *message)
{
    struct raft_progress *progress = find_answering(raft, message);
    if (progress == NULL) {
        return;
    }
    progress->active = !RAFT_FAULT(answers_not_noticed);
    progress->paused = progress->paused && RAFT_FAULT(pause_not_ended);
    if (progress->match < raft->log.last || progress->state == RAFT_PROBE) {
        (void)replication_try_append(raft, progress, true);
    }
    reads_acknowledge(raft, progress, message->round);
}

/* ---- News about members ---- */

static struct raft_progress *find_reported(struct raft *raft, raft_id id)
{
    if (raft->role != RAFT_LEADER) {
        return NULL;
    }
    struct raft_progress *progress = raft_find_progress(raft, id);
    if (progress == NULL) {
        TRACE(raft, DEBUG, "%" PRIx64 " no progress available for %" PRIx64, raft->options.id, id);
    }
    return progress;
}

void replication_snapshot_status(struct raft *raft, raft_id id, bool ok)
{
    struct raft_progress *progress = find_reported(raft, id);
    if (progress == NULL || progress->state != RAFT_SNAPSHOT ||
        RAFT_FAULT(snapshot_status_ignored)) {
        return;
    }
    if (!ok) {
        progress->pending_snapshot = 0;
    }
    raft_progress_become_probe(progress);
    TRACE(raft, DEBUG,
          "%" PRIx64 " snapshot %s, resumed sending replication messages to %" PRIx64 " [%s]",
          raft->options.id, ok ? "succeeded" : "failed", id,
          raft_progress_describe(raft, progress));
    /* After a success the acknowledgement resumes, after a failure the next heartbeat's answer. */
    progress->paused = true;
}

void replication_unreachable(struct raft *raft, raft_id id)
{
    struct raft_progress *progress = find_reported(raft, id);
    if (progress == NULL) {
        return;
    }
    if (progress->state == RAFT_REPLICATE) {
        raft_progress_become_probe(progress);
    }
    TRACE(raft, DEBUG,
          "%" PRIx64 " failed to send message to %" PRIx64 " because it is unreachable [%s]",
          raft->options.id, id, raft_progress_describe(raft, progress));
}

static enum quorum_vote activity(const struct raft_progress *progress)
{
    return progress->active ? QUORUM_VOTE_YES : QUORUM_VOTE_NO;
}

void replication_check_quorum(struct raft *raft, bool excused)
{
    if (!excused && raft_quorum_vote(raft, activity) != QUORUM_WON) {
        TRACE(raft, WARN, "%" PRIx64 " stepped down to follower since quorum is not active",
              raft->options.id);
        raft_become_follower(raft, raft->term, RAFT_NO_ID);
    }
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        if (raft->progress[i].id != raft->options.id) {
            raft->progress[i].active = false;
        }
    }
}

/* ---- Transfer (dissertation, 3.10) ---- */

void replication_abort_transfer(struct raft *raft)
{
    if (raft->transfer_target != RAFT_NO_ID && !RAFT_FAULT(transfer_never_ends)) {
        raft->transfer_target = RAFT_NO_ID;
        (void)raft_effect(raft, RAFT_EFFECT_TRANSFER_ENDED);
    }
}

/* Whether a transfer to `to` may begin; one that is under way gives way to another. */
static bool may_transfer(struct raft *raft, raft_id to)
{
    if (raft_is_learner(raft, to)) {
        TRACE(raft, DEBUG, "%" PRIx64 " is learner. Ignored transferring leadership",
              raft->options.id);
        return false;
    }
    if (raft->transfer_target == to) {
        TRACE(raft, INFO,
              "%" PRIx64 " [term %" PRIu64 "] transfer leadership to %" PRIx64
              " is in progress, ignores request to same node %" PRIx64,
              raft->options.id, raft->term, to, to);
        return false;
    }
    if (raft->transfer_target != RAFT_NO_ID) {
        TRACE(raft, INFO,
              "%" PRIx64 " [term %" PRIu64 "] abort previous transferring leadership to %" PRIx64,
              raft->options.id, raft->term, raft->transfer_target);
        replication_abort_transfer(raft);
    }
    if (to == raft->options.id) {
        TRACE(raft, DEBUG, "%" PRIx64 " is already leader. Ignored transferring leadership to self",
              raft->options.id);
        return false;
    }
    return true;
}

void replication_transfer(struct raft *raft, raft_id to)
{
    struct raft_progress *progress = find_reported(raft, to);
    if (progress == NULL || !may_transfer(raft, to)) {
        return;
    }
    TRACE(raft, INFO, "%" PRIx64 " [term %" PRIu64 "] starts to transfer leadership to %" PRIx64,
          raft->options.id, raft->term, to);
    raft->election_base = raft->now;
    raft->transfer_target = to;
    if (progress->match == raft->log.last) {
        TRACE(raft, INFO,
              "%" PRIx64 " sends MsgTimeoutNow to %" PRIx64 " immediately as %" PRIx64
              " already has up-to-date log",
              raft->options.id, to, to);
        send_timeout_now(raft, to);
    } else {
        (void)replication_try_append(raft, progress, true);
    }
}

raft_id raft_transfer_candidate(const struct raft *raft)
{
    const struct raft_progress *best = NULL;
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        const struct raft_progress *progress = &raft->progress[i];
        bool votes = (raft->configuration.members[i].flags & RAFT_MEMBER_INCOMING) != 0;
        if (votes && progress->id != raft->options.id && progress->active &&
            (best == NULL || progress->match > best->match)) {
            best = progress;
        }
    }
    return best == NULL ? RAFT_NO_ID : best->id;
}
