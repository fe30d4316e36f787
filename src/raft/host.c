#include "raft/host.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "raft/fault.h"

/* Messages that wait for the next batch. */
struct outbox {
    struct raft_message *messages;
    uint32_t count;
    uint32_t capacity;
};

/* Consecutive entries, references included. */
struct entry_range {
    struct raft_entry **entries;
    uint32_t start; /* of the first in use: those before it were evicted */
    uint32_t count;
    uint32_t capacity;
    raft_index first;
};

struct raft_host {
    struct raft_host_options options;
    struct raft *core;
    struct raft_effects *effects;

    struct entry_range cache; /* up to the end of the log */
    uint64_t cache_bytes;
    struct entry_range fetched; /* read from storage for the step under way */
    struct raft_snapshot *offered;

    raft_index storing;  /* entries up to here were handed out to be persisted */
    raft_index applying; /* and up to here to be applied */
    uint64_t applying_bytes;
    bool apply_paused;
    struct raft_snapshot *restoring; /* received, not handed out yet */

    struct outbox immediate;
    struct outbox after_persist;
    struct raft_host_read *reads;
    uint32_t read_count;
    uint32_t read_capacity;
    raft_id *cancelled;
    uint32_t cancelled_count;
    uint32_t cancelled_capacity;
    bool transfer_ended;

    enum raft_role reported_role; /* in the last batch */
    raft_id reported_leader;
    struct raft_hard_state reported_hard_state;

    bool halted;
    char halt_reason[512];
};

/* Room for one more in an array of its own. */
#define GROW(array, count, capacity)                                                               \
    do {                                                                                           \
        if ((count) == (capacity)) {                                                               \
            (capacity) = (capacity) == 0 ? 8 : 2 * (capacity);                                     \
            (array) = mem_resize((array), (capacity) * sizeof(*(array)));                          \
        }                                                                                          \
    } while (0)

static void halt(struct raft_host *host, const char *reason)
{
    if (!host->halted) {
        host->halted = true;
        snprintf(host->halt_reason, sizeof(host->halt_reason), "%s", reason);
    }
}

/* ---- Entries ---- */

static raft_index range_end(const struct entry_range *range)
{
    return range->first + range->count; /* one past the last */
}

static bool range_holds(const struct entry_range *range, raft_index index)
{
    return index >= range->first && index < range_end(range);
}

static struct raft_entry *range_at(const struct entry_range *range, raft_index index)
{
    ASSERT(range_holds(range, index));
    return range->entries[range->start + (index - range->first)];
}

static void range_clear(struct entry_range *range)
{
    for (uint32_t i = 0; i < range->count; i++) {
        raft_entry_unref(range->entries[range->start + i]);
    }
    range->start = 0;
    range->count = 0;
}

/* Takes the reference. */
static void range_push(struct entry_range *range, struct raft_entry *entry)
{
    if (range->start + range->count == range->capacity && range->start > range->capacity / 2) {
        memmove(range->entries, range->entries + range->start,
                range->count * sizeof(*range->entries));
        range->start = 0;
    }
    if (range->start + range->count == range->capacity) {
        range->capacity = range->capacity == 0 ? 16 : 2 * range->capacity;
        range->entries = mem_resize(range->entries, range->capacity * sizeof(*range->entries));
    }
    range->entries[range->start + range->count] = entry;
    range->count++;
}

static void cache_push(struct raft_host *host, struct raft_entry *entry)
{
    ASSERT(entry->index == range_end(&host->cache));
    host->cache_bytes += raft_entry_bytes(entry);
    range_push(&host->cache, entry);
}

static void cache_truncate(struct raft_host *host, raft_index first)
{
    struct entry_range *cache = &host->cache;
    while (cache->count > 0 && range_end(cache) > first) {
        struct raft_entry *entry = range_at(cache, range_end(cache) - 1);
        host->cache_bytes -= raft_entry_bytes(entry);
        cache->count--;
        raft_entry_unref(entry);
    }
    if (cache->count == 0) {
        cache->start = 0;
        cache->first = first;
    }
    ASSERT(range_end(cache) == first);
}

/* Drops what storage holds as well and nobody needs soon. */
static void cache_evict(struct raft_host *host)
{
    struct entry_range *cache = &host->cache;
    raft_index keep = raft_persisted_index(host->core);
    if (host->applying < keep) {
        keep = host->applying;
    }
    while (host->cache_bytes > host->options.cache_bytes_max && cache->count > 0 &&
           cache->first <= keep) {
        struct raft_entry *entry = range_at(cache, cache->first);
        host->cache_bytes -= raft_entry_bytes(entry);
        raft_entry_unref(entry);
        cache->start++;
        cache->first++;
        cache->count--;
    }
}

enum { FETCH_COUNT_MAX = 1024 };

/* Reads entries that are not cached; false after a failure, which halts the host. */
static bool fetch(struct raft_host *host, raft_index first, raft_index last, uint64_t bytes_max)
{
    struct raft_entry *entries[FETCH_COUNT_MAX];
    uint32_t count = 0;
    rr_status status = host->options.storage->read(host->options.storage_arg, first, last,
                                                   bytes_max, FETCH_COUNT_MAX, entries, &count);
    if (status != RR_OK) {
        char text[128];
        snprintf(text, sizeof(text),
                 "entries %" PRIu64 " to %" PRIu64 " of the log cannot be read: %s", first, last,
                 rr_status_name(status));
        halt(host, text);
        return false;
    }
    ASSERT(count > 0);
    range_clear(&host->fetched);
    host->fetched.first = first;
    for (uint32_t i = 0; i < count; i++) {
        ASSERT(entries[i]->index == first + i);
        range_push(&host->fetched, entries[i]);
    }
    return true;
}

/* The entry at `index` as of now, borrowed; NULL after a failure to read. */
static struct raft_entry *entry_at(struct raft_host *host, raft_index index, raft_index last,
                                   uint64_t bytes_max)
{
    if (range_holds(&host->cache, index)) {
        return range_at(&host->cache, index);
    }
    if (!range_holds(&host->fetched, index)) {
        raft_index end = host->cache.first - 1; /* the cache goes on from there */
        if (!fetch(host, index, last < end ? last : end, bytes_max)) {
            return NULL;
        }
    }
    return range_at(&host->fetched, index);
}

/* ---- What the core asks ---- */

static raft_index on_fit(void *arg, raft_index first, raft_index last, uint64_t bytes_max,
                         uint64_t *bytes)
{
    struct raft_host *host = arg;
    *bytes = 0;
    raft_index at = first - 1;
    while (at < last) {
        if (at >= first && !range_holds(&host->cache, at + 1) &&
            !range_holds(&host->fetched, at + 1)) {
            return at; /* a message holds what one read gives */
        }
        struct raft_entry *entry = entry_at(host, at + 1, last, bytes_max - *bytes);
        uint64_t size = entry == NULL ? 0 : raft_entry_bytes(entry);
        if (at >= first && (entry == NULL || *bytes + size > bytes_max)) {
            break;
        }
        *bytes += size;
        at++;
    }
    return at;
}

static bool on_snapshot(void *arg, raft_index *index, raft_term *term)
{
    struct raft_host *host = arg;
    raft_snapshot_unref(host->offered);
    host->offered = host->options.storage->snapshot(host->options.storage_arg);
    if (host->offered == NULL) {
        return false;
    }
    *index = host->offered->index;
    *term = host->offered->term;
    return true;
}

static void on_handed(void *arg, raft_index *applying, raft_index *storing)
{
    const struct raft_host *host = arg;
    *applying = host->applying;
    *storing = host->storing;
}

static const struct raft_host_ops core_ops = {on_fit, on_snapshot, on_handed};

/* ---- Effects ---- */

static struct raft_message *push(struct outbox *outbox)
{
    GROW(outbox->messages, outbox->count, outbox->capacity);
    struct raft_message *message = &outbox->messages[outbox->count];
    outbox->count++;
    return message;
}

static uint64_t message_bytes(const struct raft_message *message)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < message->entry_count; i++) {
        bytes += raft_entry_bytes(message->entries[i]);
    }
    return bytes;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The append goes on where the earlier one ends: one message says both. */
static bool fold_append(struct raft_host *host, struct raft_message *earlier,
                        struct raft_message *message)
{
    if (earlier->index + earlier->entry_count != message->index ||
        (earlier->entry_count > 0 && message->entry_count > 0 &&
         message_bytes(earlier) + message_bytes(message) > host->options.core.message_bytes_max)) {
        return false;
    }
    uint32_t count = earlier->entry_count + message->entry_count;
    if (message->entry_count > 0) {
        earlier->entries = mem_resize(earlier->entries, count * sizeof(*earlier->entries));
        memcpy(earlier->entries + earlier->entry_count, message->entries,
               message->entry_count * sizeof(*message->entries));
        earlier->entry_count = count;
        mem_free(message->entries);
    }
    earlier->commit = larger(earlier->commit, message->commit);
    earlier->round = larger(earlier->round, message->round);
    return true;
}

/* Folds `message` into one that waits already, taking its references; false if it must go by
 * itself. Only the latest of a type to a member is looked at: order stays as it was. */
static bool fold(struct raft_host *host, struct outbox *outbox, struct raft_message *message)
{
    uint32_t i = outbox->count;
    while (i > 0 && (outbox->messages[i - 1].to != message->to ||
                     outbox->messages[i - 1].type != message->type)) {
        i--;
    }
    if (i == 0) {
        return false;
    }
    struct raft_message *earlier = &outbox->messages[i - 1];
    if (earlier->term != message->term || earlier->session != message->session || earlier->reject ||
        message->reject) {
        return false;
    }
    switch (message->type) {
    case RAFT_MSG_APP:
        return fold_append(host, earlier, message);
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_HEARTBEAT_RESP:
        earlier->commit = larger(earlier->commit, message->commit);
        earlier->round = larger(earlier->round, message->round);
        return true;
    case RAFT_MSG_APP_RESP:
        earlier->index = larger(earlier->index, message->index);
        earlier->round = larger(earlier->round, message->round);
        return true;
    case RAFT_MSG_READ_INDEX:
        earlier->read_id = larger(earlier->read_id, message->read_id);
        return true;
    case RAFT_MSG_PROP:
    case RAFT_MSG_VOTE:
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_SNAP:
    case RAFT_MSG_TRANSFER_LEADER:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_READ_INDEX_RESP:
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_PRE_VOTE_RESP:
        return false;
    }
    UNREACHABLE();
}

/* The entries that a message names, as of this step. False after a failure to read. */
static bool fill_entries(struct raft_host *host, const struct raft_event *event,
                         const struct raft_effect *effect, struct raft_message *message)
{
    uint32_t count = effect->send.entry_count;
    if (count == 0) {
        return true;
    }
    struct raft_entry *const *proposed = NULL;
    if (message->type == RAFT_MSG_PROP) {
        proposed =
            event->type == RAFT_EVENT_PROPOSE ? event->propose.entries : event->message->entries;
    }
    message->entries = mem_new_array(struct raft_entry *, count);
    for (uint32_t i = 0; i < count; i++) {
        raft_index index = effect->send.first + i;
        struct raft_entry *entry = proposed != NULL
                                       ? proposed[i]
                                       : entry_at(host, index, effect->send.first + count - 1,
                                                  host->options.core.message_bytes_max);
        if (entry == NULL) {
            return false;
        }
        message->entries[i] = raft_entry_ref(entry);
        message->entry_count++;
    }
    return true;
}

/* Of the faults that can be planted: the message leaves before what it says is durable. */
static bool planted_haste(const struct raft_event *event, const struct raft_message *message)
{
    if (message->to == message->from) {
        return false;
    }
    bool answer = message->type == RAFT_MSG_APP_RESP;
    bool snapshot = event->type == RAFT_EVENT_MESSAGE && event->message->type == RAFT_MSG_SNAP;
    return (RAFT_FAULT(ack_before_durable) && answer) ||
           (RAFT_FAULT(snapshot_acked_early) && answer && snapshot) ||
           (RAFT_FAULT(vote_before_durable) && message->type == RAFT_MSG_VOTE_RESP) ||
           (RAFT_FAULT(votes_asked_early) && message->type == RAFT_MSG_VOTE);
}

/* Of what is committed: it is not published that requests for votes and their refusals tell. */
static void take_back_news(struct raft_message *message)
{
    bool request = message->type == RAFT_MSG_VOTE || message->type == RAFT_MSG_PRE_VOTE;
    bool answer = message->type == RAFT_MSG_VOTE_RESP || message->type == RAFT_MSG_PRE_VOTE_RESP;
    if (request || answer) {
        message->commit = 0;
    }
    if (answer) {
        message->log_term = 0;
    }
}

static void do_send(struct raft_host *host, const struct raft_event *event,
                    const struct raft_effect *effect)
{
    struct raft_message message = effect->send.message;
    if (host->options.as_published) {
        take_back_news(&message);
    }
    if (message.type == RAFT_MSG_SNAP) {
        ASSERT(host->offered != NULL);
        message.snapshot = raft_snapshot_ref(host->offered);
    }
    if (!fill_entries(host, event, effect, &message)) {
        raft_message_deinit(&message);
        return;
    }
    bool waits = effect->send.after_persist ||
                 (message.type == RAFT_MSG_VOTE && !host->options.as_published);
    waits = waits && !planted_haste(event, &message);
    struct outbox *outbox = waits ? &host->after_persist : &host->immediate;
    if (!host->options.merge || !fold(host, outbox, &message)) {
        *push(outbox) = message;
    }
}

static void do_append(struct raft_host *host, const struct raft_event *event,
                      const struct raft_effect *effect)
{
    raft_index first = effect->append.first;
    cache_truncate(host, first);
    if (host->storing >= first) {
        host->storing = first - 1;
    }
    struct raft_entry *own = effect->append.own;
    bool received = event->type == RAFT_EVENT_MESSAGE && event->message->type == RAFT_MSG_APP;
    struct raft_entry *const *entries = NULL;
    if (own == NULL) {
        entries =
            event->type == RAFT_EVENT_PROPOSE ? event->propose.entries : event->message->entries;
    }
    for (uint32_t i = 0; i < effect->append.count; i++) {
        struct raft_entry *entry =
            own != NULL ? own : raft_entry_ref(entries[effect->append.from_event + i]);
        if (!received) {
            /* A proposal gets its place. Whoever else holds the block may be proposing it again,
             * so a shared one is not written to. */
            if (entry->index != 0 || entry->term != 0) {
                struct raft_entry *copy =
                    raft_entry_new(entry->type, (rr_bytes){entry->data, entry->size});
                raft_entry_unref(entry);
                entry = copy;
            }
            entry->index = first + i;
            entry->term = effect->append.term;
        }
        cache_push(host, entry);
    }
}

static void do_restore(struct raft_host *host, const struct raft_event *event)
{
    struct raft_snapshot *snapshot = event->message->snapshot;
    raft_snapshot_unref(host->restoring);
    host->restoring = raft_snapshot_ref(snapshot);
    range_clear(&host->cache);
    host->cache.first = snapshot->index + 1;
    host->cache_bytes = 0;
    host->storing = snapshot->index;
}

static void do_effect(struct raft_host *host, const struct raft_event *event,
                      const struct raft_effect *effect)
{
    switch (effect->type) {
    case RAFT_EFFECT_SEND:
        do_send(host, event, effect);
        return;
    case RAFT_EFFECT_APPEND:
        do_append(host, event, effect);
        return;
    case RAFT_EFFECT_RESTORE:
        do_restore(host, event);
        return;
    case RAFT_EFFECT_CANCEL_SNAPSHOT:
        GROW(host->cancelled, host->cancelled_count, host->cancelled_capacity);
        host->cancelled[host->cancelled_count] = effect->cancel_snapshot;
        host->cancelled_count++;
        return;
    case RAFT_EFFECT_READ_READY:
    case RAFT_EFFECT_READ_FAILED:
        GROW(host->reads, host->read_count, host->read_capacity);
        host->reads[host->read_count].id = effect->read.id;
        host->reads[host->read_count].index = effect->read.index;
        host->reads[host->read_count].ready = effect->type == RAFT_EFFECT_READ_READY;
        host->read_count++;
        return;
    case RAFT_EFFECT_TRANSFER_ENDED:
        host->transfer_ended = true;
        return;
    case RAFT_EFFECT_TRACE:
        if (host->options.trace != NULL) {
            host->options.trace(host->options.trace_arg, effect->trace.level,
                                host->effects->text + effect->trace.text);
        }
        return;
    case RAFT_EFFECT_HALT:
        halt(host, host->effects->text + effect->trace.text);
        return;
    }
    UNREACHABLE();
}

static void do_effects(struct raft_host *host, const struct raft_event *event)
{
    for (uint32_t i = 0; i < host->effects->count; i++) {
        do_effect(host, event, &host->effects->items[i]);
    }
    range_clear(&host->fetched);
}

enum raft_result raft_host_step(struct raft_host *host, const struct raft_event *event)
{
    if (host->halted) {
        return RAFT_STEP_HALTED;
    }
    enum raft_result result = raft_step(host->core, event, host->effects);
    do_effects(host, event);
    if (event->type == RAFT_EVENT_PERSISTED && host->applying < raft_applied_index(host->core)) {
        host->applying = raft_applied_index(host->core); /* a snapshot was installed */
        host->apply_paused = host->applying_bytes >= host->options.apply_bytes_max;
    }
    return result;
}

/* ---- Start and end ---- */

struct raft_host *raft_host_new(const struct raft_host_options *options,
                                const struct raft_start *start, uint64_t now)
{
    struct raft_host *host = mem_new(struct raft_host);
    host->options = *options;
    host->options.core.ops = &core_ops;
    host->options.core.host = host;
    host->effects = mem_new(struct raft_effects);
    host->core = raft_new(&host->options.core, start, now, host->effects);
    host->cache.first = start->last + 1;
    host->storing = start->last;
    host->applying = start->applied;
    if (RAFT_FAULT(applied_again) && start->applied > start->base) {
        host->applying--;
    }
    host->reported_role = raft_role(host->core);
    host->reported_leader = raft_leader(host->core);
    host->reported_hard_state = raft_hard_state(host->core);
    struct raft_event none = {.type = RAFT_EVENT_TIMER, .now = now};
    do_effects(host, &none);
    return host;
}

static void outbox_clear(struct outbox *outbox)
{
    for (uint32_t i = 0; i < outbox->count; i++) {
        raft_message_deinit(&outbox->messages[i]);
    }
    mem_free(outbox->messages);
    memset(outbox, 0, sizeof(*outbox));
}

void raft_host_free(struct raft_host *host)
{
    if (host == NULL) {
        return;
    }
    range_clear(&host->cache);
    range_clear(&host->fetched);
    mem_free(host->cache.entries);
    mem_free(host->fetched.entries);
    outbox_clear(&host->immediate);
    outbox_clear(&host->after_persist);
    raft_snapshot_unref(host->offered);
    raft_snapshot_unref(host->restoring);
    mem_free(host->reads);
    mem_free(host->cancelled);
    raft_free(host->core);
    mem_free(host->effects);
    mem_free(host);
}

struct raft *raft_host_core(struct raft_host *host)
{
    return host->core;
}

const char *raft_host_halted(const struct raft_host *host)
{
    return host->halted ? host->halt_reason : NULL;
}

uint64_t raft_host_cache_bytes(const struct raft_host *host)
{
    return host->cache_bytes;
}

/* ---- Batches ---- */

static bool role_changed(const struct raft_host *host)
{
    return raft_role(host->core) != host->reported_role ||
           raft_leader(host->core) != host->reported_leader;
}

static bool hard_state_changed(const struct raft_host *host)
{
    struct raft_hard_state state = raft_hard_state(host->core);
    const struct raft_hard_state *reported = &host->reported_hard_state;
    bool zero = state.term == 0 && state.vote == RAFT_NO_ID && state.commit == 0;
    return !zero && (state.term != reported->term || state.vote != reported->vote ||
                     state.commit != reported->commit);
}

/* How far entries may be handed out to apply now. */
static raft_index apply_end(const struct raft_host *host)
{
    if (raft_pending_snapshot(host->core) != 0 || host->apply_paused || host->halted) {
        return host->applying;
    }
    raft_index end = raft_committed_index(host->core);
    raft_index persisted = raft_persisted_index(host->core);
    return host->options.asynchronous && persisted < end ? persisted : end;
}

bool raft_host_pending(const struct raft_host *host)
{
    return role_changed(host) || hard_state_changed(host) || host->restoring != NULL ||
           host->immediate.count > 0 || host->after_persist.count > 0 ||
           host->storing < raft_last_index(host->core) || apply_end(host) > host->applying ||
           host->read_count > 0;
}

static void take_entries(struct raft_host *host, struct raft_batch *out)
{
    raft_index last = raft_last_index(host->core);
    if (host->storing >= last) {
        return;
    }
    uint32_t count = (uint32_t)(last - host->storing);
    out->entries = mem_new_array(struct raft_entry *, count);
    for (uint32_t i = 0; i < count; i++) {
        out->entries[i] = raft_entry_ref(range_at(&host->cache, host->storing + 1 + i));
    }
    out->entry_count = count;
    host->storing = last;
}

static uint64_t varint_bytes(uint64_t value)
{
    uint64_t bytes = 1;
    while (value >= 128) {
        value >>= 7;
        bytes++;
    }
    return bytes;
}

/* The size by which applying is paced: that of the entry's published encoding. */
static uint64_t apply_bytes(const struct raft_entry *entry)
{
    uint64_t bytes = 1 + varint_bytes(entry->term) + 1 + varint_bytes(entry->index);
    bytes += entry->type != RAFT_ENTRY_NORMAL ? 2 : 0;
    bytes += entry->size > 0 ? 1 + varint_bytes(entry->size) + entry->size : 0;
    return bytes;
}

static void take_committed(struct raft_host *host, struct raft_batch *out)
{
    raft_index end = apply_end(host);
    if (end <= host->applying) {
        return;
    }
    uint64_t bytes_max = host->options.apply_bytes_max - host->applying_bytes;
    uint32_t count_max =
        end - host->applying < UINT32_MAX ? (uint32_t)(end - host->applying) : UINT32_MAX;
    uint32_t capacity = 0;
    for (uint32_t i = 0; i < count_max; i++) {
        struct raft_entry *entry = entry_at(host, host->applying + 1 + i, end, bytes_max);
        if (entry == NULL) {
            break;
        }
        uint64_t size = apply_bytes(entry);
        if (i > 0 && (size > bytes_max || out->committed_bytes > bytes_max - size)) {
            break;
        }
        GROW(out->committed, out->committed_count, capacity);
        out->committed[i] = raft_entry_ref(entry);
        out->committed_count++;
        out->committed_bytes += size;
    }
    range_clear(&host->fetched);
    host->applying += out->committed_count;
    host->applying_bytes += out->committed_bytes;
    host->apply_paused =
        host->applying_bytes >= host->options.apply_bytes_max || out->committed_count < count_max;
}

static void take_outbox(struct outbox *outbox, struct raft_message **messages, uint32_t *count)
{
    *messages = outbox->messages;
    *count = outbox->count;
    memset(outbox, 0, sizeof(*outbox));
}

static void take_state(struct raft_host *host, struct raft_batch *out)
{
    out->role_changed = role_changed(host);
    out->role = raft_role(host->core);
    out->leader = raft_leader(host->core);
    out->hard_state_changed = hard_state_changed(host);
    out->hard_state = raft_hard_state(host->core);
    out->sync = out->entry_count > 0 || out->hard_state.term != host->reported_hard_state.term ||
                out->hard_state.vote != host->reported_hard_state.vote;
    host->reported_role = out->role;
    host->reported_leader = out->leader;
    if (RAFT_FAULT(vote_not_synced)) {
        out->sync = out->entry_count > 0;
    }
    if (RAFT_FAULT(commit_written_apart) && out->entry_count > 0) {
        out->hard_state.commit = host->reported_hard_state.commit;
    }
    if (out->hard_state_changed) {
        host->reported_hard_state = out->hard_state;
    }
    if (RAFT_FAULT(vote_not_written)) {
        out->hard_state.vote = RAFT_NO_ID;
    }
}

void raft_host_take(struct raft_host *host, struct raft_batch *out)
{
    memset(out, 0, sizeof(*out));
    take_entries(host, out);
    take_state(host, out);
    take_committed(host, out);
    out->receipt_due = raft_receipt(host->core, &out->receipt);
    if (host->restoring != NULL) {
        out->snapshot = host->restoring;
        out->receipt_due = true;
        out->receipt.persisted.snapshot = host->restoring->index;
        out->receipt.persisted.snapshot_term = host->restoring->term;
        host->restoring = NULL;
    }
    take_outbox(&host->immediate, &out->messages, &out->message_count);
    take_outbox(&host->after_persist, &out->responses, &out->response_count);
    out->reads = host->reads;
    out->read_count = host->read_count;
    host->reads = NULL;
    host->read_count = 0;
    host->read_capacity = 0;
    out->cancelled_snapshots = host->cancelled;
    out->cancelled_snapshot_count = host->cancelled_count;
    host->cancelled = NULL;
    host->cancelled_count = 0;
    host->cancelled_capacity = 0;
    out->transfer_ended = host->transfer_ended;
    host->transfer_ended = false;
    cache_evict(host);
}

static void free_entries(struct raft_entry **entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        raft_entry_unref(entries[i]);
    }
    mem_free(entries);
}

void raft_batch_deinit(struct raft_batch *batch)
{
    free_entries(batch->entries, batch->entry_count);
    free_entries(batch->committed, batch->committed_count);
    raft_snapshot_unref(batch->snapshot);
    for (uint32_t i = 0; i < batch->message_count; i++) {
        raft_message_deinit(&batch->messages[i]);
    }
    for (uint32_t i = 0; i < batch->response_count; i++) {
        raft_message_deinit(&batch->responses[i]);
    }
    mem_free(batch->messages);
    mem_free(batch->responses);
    mem_free(batch->reads);
    mem_free(batch->cancelled_snapshots);
    memset(batch, 0, sizeof(*batch));
}

bool raft_response_is_own(const struct raft_message *response)
{
    return response->to == response->from;
}

void raft_host_persisted(struct raft_host *host, const struct raft_batch *batch, uint64_t now)
{
    for (uint32_t i = 0; i < batch->response_count; i++) {
        if (raft_response_is_own(&batch->responses[i])) {
            struct raft_event event = {.type = RAFT_EVENT_LOCAL_MESSAGE, .now = now};
            event.message = &batch->responses[i];
            (void)raft_host_step(host, &event);
        }
    }
    if (batch->receipt_due) {
        struct raft_event event = batch->receipt;
        event.now = now;
        (void)raft_host_step(host, &event);
    }
}

void raft_host_applied(struct raft_host *host, raft_index index, uint64_t bytes, uint64_t now)
{
    ASSERT(bytes <= host->applying_bytes);
    host->applying_bytes -= bytes;
    host->apply_paused = host->applying_bytes >= host->options.apply_bytes_max;
    struct raft_event event = {.type = RAFT_EVENT_APPLIED, .now = now};
    event.applied = index;
    (void)raft_host_step(host, &event);
}

void raft_host_compacted(struct raft_host *host, raft_index index, uint64_t now)
{
    struct raft_event event = {.type = RAFT_EVENT_COMPACTED, .now = now};
    event.compacted = index;
    (void)raft_host_step(host, &event);
}
