/*
 * A node and its disk: storage in memory, the host over it, and how a node starts from what is
 * stored. What is written when is batch.c's.
 */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "scenario/interaction_private.h"

/* ---- Storage ---- */

static raft_index storage_last(const struct storage *storage)
{
    return storage->base + storage->count;
}

static void storage_truncate(struct storage *storage, raft_index last)
{
    while (storage->count > 0 && storage_last(storage) > last) {
        storage->count--;
        raft_entry_unref(storage->entries[storage->count]);
    }
}

void storage_append(struct storage *storage, struct raft_entry *const *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i]->index <= storage->base) {
            continue;
        }
        storage_truncate(storage, entries[i]->index - 1);
        ASSERT(entries[i]->index == storage_last(storage) + 1);
        if (storage->count == storage->capacity) {
            storage->capacity = storage->capacity == 0 ? 16 : 2 * storage->capacity;
            storage->entries =
                mem_resize(storage->entries, storage->capacity * sizeof(*storage->entries));
        }
        storage->entries[storage->count] = raft_entry_ref(entries[i]);
        storage->count++;
    }
}

/* NULL, or the error text. */
const char *storage_apply_snapshot(struct storage *storage, struct raft_snapshot *snapshot)
{
    if (storage->snapshot != NULL && storage->snapshot->index > 0 &&
        storage->snapshot->index >= snapshot->index) {
        return "requested index is older than the existing snapshot";
    }
    raft_snapshot_unref(storage->snapshot);
    storage->snapshot = raft_snapshot_ref(snapshot);
    storage_truncate(storage, storage->base);
    storage->base = snapshot->index;
    storage->base_term = snapshot->term;
    return NULL;
}

const char *storage_compact(struct storage *storage, raft_index index)
{
    if (index <= storage->base || index > storage_last(storage)) {
        return "requested index is unavailable due to compaction";
    }
    uint32_t dropped = (uint32_t)(index - storage->base);
    storage->base_term = storage->entries[dropped - 1]->term;
    for (uint32_t i = 0; i < dropped; i++) {
        raft_entry_unref(storage->entries[i]);
    }
    storage->count -= dropped;
    memmove(storage->entries, storage->entries + dropped,
            storage->count * sizeof(*storage->entries));
    storage->base = index;
    return NULL;
}

static void storage_deinit(struct storage *storage)
{
    storage_truncate(storage, storage->base);
    mem_free(storage->entries);
    raft_snapshot_unref(storage->snapshot);
}

static rr_status on_read(void *arg, raft_index first, raft_index last, uint64_t bytes_max,
                         uint32_t count_max, struct raft_entry **out, uint32_t *count)
{
    struct node *node = arg;
    uint64_t bytes = 0;
    *count = 0;
    for (raft_index index = first; index <= last && *count < count_max; index++) {
        ASSERT(index > node->storage.base && index <= storage_last(&node->storage));
        struct raft_entry *entry = node->storage.entries[index - node->storage.base - 1];
        bytes += raft_entry_bytes(entry);
        if (*count > 0 && bytes > bytes_max) {
            break;
        }
        out[*count] = raft_entry_ref(entry);
        (*count)++;
    }
    return RR_OK;
}

static struct raft_snapshot *on_snapshot(void *arg)
{
    struct node *node = arg;
    return raft_snapshot_ref(node->state);
}

const struct raft_host_storage node_storage = {on_read, on_snapshot};

/* ---- Nodes ---- */

struct raft_host *node_running(struct environment *environment, struct node *node)
{
    if (node->host == NULL) {
        script_fail(environment->item, "node %" PRIu64 " is not running", node->options.core.id);
    }
    return node->host;
}

enum raft_result node_step(struct node *node, struct raft_event *event)
{
    event->now = node->now;
    enum raft_result result = raft_host_step(node->host, event);
    while (raft_more(raft_host_core(node->host))) {
        struct raft_event more = {.type = RAFT_EVENT_MORE, .now = node->now};
        (void)raft_host_step(node->host, &more);
    }
    const char *halted = raft_host_halted(node->host);
    if (halted != NULL) {
        SAY(node->environment, "HALT %s\n", halted);
    }
    return result;
}

void node_start(struct node *node)
{
    struct storage *storage = &node->storage;
    struct raft_start start;
    memset(&start, 0, sizeof(start));
    start.hard_state = storage->hard_state;
    start.base = storage->base;
    start.base_term = storage->base_term;
    start.applied = node->applied;
    start.configuration = node->configuration;
    start.last = storage_last(storage);
    start.restarted = node->restarted;
    struct raft_term_run *runs = mem_new_array(struct raft_term_run, storage->count + 1);
    raft_index *configurations = mem_new_array(raft_index, storage->count + 1);
    for (uint32_t i = 0; i < storage->count; i++) {
        const struct raft_entry *entry = storage->entries[i];
        runs[i].first = entry->index;
        runs[i].term = entry->term;
        if (entry->type != RAFT_ENTRY_NORMAL && entry->index > start.applied) {
            configurations[start.configuration_count] = entry->index;
            start.configuration_count++;
        }
    }
    start.runs = runs;
    start.run_count = storage->count;
    start.configurations = configurations;
    node->host = raft_host_new(&node->options, &start, node->now);
    mem_free(runs);
    mem_free(configurations);
}

void node_free(struct node *node)
{
    raft_host_free(node->host);
    storage_deinit(&node->storage);
    raft_snapshot_unref(node->state);
    posts_deinit(&node->append_work);
    posts_deinit(&node->apply_work);
    mem_free(node);
}
