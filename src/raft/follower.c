/* What a follower does with what its leader sends (paper, 5.3 and section 7). */
#include "raft/raft_private.h"

/* An answer to the leader: held back until all that it speaks of is durable. */
static struct raft_message *answer(struct raft *raft, const struct raft_message *message)
{
    struct raft_message *response = raft_send_after_persist(raft, RAFT_MSG_APP_RESP, message->from);
    response->round = message->round;
    response->session = message->session;
    return response;
}

/* The first entry that this log lacks or holds with another term; the count if it has them all. */
static uint32_t find_conflict(struct raft *raft, const struct raft_message *message)
{
    for (uint32_t i = 0; i < message->entry_count; i++) {
        const struct raft_entry *entry = message->entries[i];
        raft_term own;
        if (!raft_log_term(&raft->log, entry->index, &own) ||
            (RAFT_FAULT(append_truncates) && entry->index > raft->log.committed)) {
            return i;
        }
        if (own != entry->term && !RAFT_FAULT(conflict_kept)) {
            TRACE(raft, INFO,
                  "found conflict at index %" PRIu64 " [existing term: %" PRIu64
                  ", conflicting term: %" PRIu64 "]",
                  entry->index, own, entry->term);
            return i;
        }
    }
    return message->entry_count;
}

static void trace_truncation(struct raft *raft, raft_index first)
{
    if (first == raft->log.last + 1) {
        return;
    }
    if (first <= raft->log.persisted + 1) {
        TRACE(raft, INFO, "replace the unstable entries from index %" PRIu64, first);
    } else {
        TRACE(raft, INFO, "truncate the unstable entries before index %" PRIu64, first);
    }
}

/* Takes over the message's entries from the `from`-th on, in place of what is there. */
static void take_entries(struct raft *raft, const struct raft_message *message, uint32_t from)
{
    raft_index first = message->entries[from]->index;
    trace_truncation(raft, first);
    raft_log_truncate(&raft->log, first - 1);
    for (uint32_t i = from; i < message->entry_count; i++) {
        raft_log_append(&raft->log, message->entries[i]->term,
                        message->entries[i]->type != RAFT_ENTRY_NORMAL);
    }
    struct raft_effect *effect = raft_effect(raft, RAFT_EFFECT_APPEND);
    effect->append.first = first;
    effect->append.count = message->entry_count - from;
    effect->append.from_event = from;
}

static void refuse(struct raft *raft, const struct raft_message *message)
{
    raft_term own = 0;
    (void)raft_log_term(&raft->log, message->index, &own);
    TRACE(raft, DEBUG,
          "%" PRIx64 " [logterm: %" PRIu64 ", index: %" PRIu64
          "] rejected MsgApp [logterm: %" PRIu64 ", index: %" PRIu64 "] from %" PRIx64,
          raft->options.id, own, message->index, message->log_term, message->index, message->from);
    /* The hint skips whole terms that the leader cannot have here. */
    raft_index start = message->index < raft->log.last ? message->index : raft->log.last;
    raft_term hint_term;
    raft_index hint = raft_log_find_term(&raft->log, start, message->log_term, &hint_term);
    struct raft_message *response = answer(raft, message);
    response->index = message->index;
    response->reject = true;
    response->reject_hint = hint;
    response->log_term = hint_term;
}

void follower_append(struct raft *raft, const struct raft_message *message)
{
    if (message->index < raft->log.committed) {
        answer(raft, message)->index = raft->log.committed;
        return;
    }
    if (!raft_log_matches(&raft->log, message->index, message->log_term) &&
        !(RAFT_FAULT(append_unchecked) && message->index <= raft->log.last)) {
        refuse(raft, message);
        return;
    }
    raft_index last_new = message->index + message->entry_count;
    uint32_t from = find_conflict(raft, message);
    if (from < message->entry_count) {
        if (message->entries[from]->index <= raft->log.committed) {
            raft_halt(raft,
                      "entry %" PRIu64 " from member %" PRIx64
                      " conflicts with a committed one (commit %" PRIu64 ")",
                      message->entries[from]->index, message->from, raft->log.committed);
            return;
        }
        take_entries(raft, message, from);
    }
    raft_index commit = message->commit < last_new ? message->commit : last_new;
    if (commit > raft->log.committed) {
        raft_set_committed(raft, commit);
    }
    answer(raft, message)->index = last_new;
}

void follower_heartbeat(struct raft *raft, const struct raft_message *message)
{
    if (message->commit > raft->log.committed) {
        if (message->commit > raft->log.last) {
            /* The leader counts only what we acknowledged as durable. */
            raft_halt(raft,
                      "the log ends at %" PRIu64 ", but member %" PRIx64
                      " knows that this node acknowledged up to %" PRIu64
                      ": the disk lost acknowledged entries; replace this node by a new one",
                      raft->log.last, message->from, message->commit);
            return;
        }
        raft_set_committed(raft, message->commit);
    }
    struct raft_message *response = raft_send(raft, RAFT_MSG_HEARTBEAT_RESP, message->from);
    response->round = message->round;
    response->session = message->session;
}

static bool restore(struct raft *raft, const struct raft_snapshot *snapshot)
{
    struct raft_log *log = &raft->log;
    if (snapshot->index <= log->committed) {
        return false;
    }
    if (raft_configuration_find(&snapshot->configuration, raft->options.id) == NULL) {
        TRACE(raft, WARN,
              "%" PRIx64 " attempted to restore snapshot [index: %" PRIu64
              "] but it is not in its configuration",
              raft->options.id, snapshot->index);
        return false;
    }
    if (raft_log_matches(log, snapshot->index, snapshot->term)) {
        TRACE(raft, INFO,
              "%" PRIx64 " [commit: %" PRIu64 ", lastindex: %" PRIu64 ", lastterm: %" PRIu64
              "] fast-forwarded commit to snapshot [index: %" PRIu64 ", term: %" PRIu64 "]",
              raft->options.id, log->committed, log->last, raft_log_last_term(log), snapshot->index,
              snapshot->term);
        raft_set_committed(raft, snapshot->index);
        return false;
    }
    raft_index applying = log->applied;
    raft_index storing = log->last;
    if (raft->options.ops->handed != NULL) {
        raft->options.ops->handed(raft->options.host, &applying, &storing);
    }
    TRACE(raft, INFO,
          "log [committed=%" PRIu64 ", applied=%" PRIu64 ", applying=%" PRIu64
          ", unstable.offset=%" PRIu64 ", unstable.offsetInProgress=%" PRIu64
          ", len(unstable.Entries)=%" PRIu64 "] starts to restore snapshot [index: %" PRIu64
          ", term: %" PRIu64 "]",
          log->committed, log->applied, applying, log->persisted + 1, storing + 1,
          log->last - log->persisted, snapshot->index, snapshot->term);
    raft_log_restore(log, snapshot->index, snapshot->term);
    raft->pending_snapshot = snapshot->index;
    raft->pending_snapshot_term = snapshot->term;
    raft->persist_since = UINT64_MAX; /* what was being written is void */
    (void)raft_effect(raft, RAFT_EFFECT_RESTORE);
    if (!RAFT_FAULT(snapshot_keeps_configuration)) {
        membership_switch(raft, &snapshot->configuration);
    }
    TRACE(raft, INFO,
          "%" PRIx64 " [commit: %" PRIu64 ", lastindex: %" PRIu64 ", lastterm: %" PRIu64
          "] restored snapshot [index: %" PRIu64 ", term: %" PRIu64 "]",
          raft->options.id, log->committed, log->last, raft_log_last_term(log), snapshot->index,
          snapshot->term);
    return true;
}

void follower_snapshot(struct raft *raft, const struct raft_message *message)
{
    const struct raft_snapshot *snapshot = message->snapshot;
    bool restored = restore(raft, snapshot);
    TRACE(raft, INFO,
          "%" PRIx64 " [commit: %" PRIu64 "] %s snapshot [index: %" PRIu64 ", term: %" PRIu64 "]",
          raft->options.id, raft->log.committed, restored ? "restored" : "ignored", snapshot->index,
          snapshot->term);
    answer(raft, message)->index = restored ? raft->log.last : raft->log.committed;
}
