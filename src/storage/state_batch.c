/* Writing the state: an overlay collects what the entries change, and a commit puts it into the
 * table in memory. */
#include "storage/state.h"

#include "base/assert.h"
#include "base/memory.h"
#include "storage/state_private.h"

struct state_batch *state_batch_new(struct state *state)
{
    struct state_batch *batch = mem_new(struct state_batch);
    batch->state = state;
    overlay_init(&batch->overlay, state->seed);
    buffer_init(&batch->meta);
    return batch;
}

void state_batch_free(struct state_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    state_batch_clear(batch);
    buffer_deinit(&batch->meta);
    overlay_deinit(&batch->overlay);
    mem_free(batch);
}

void state_batch_clear(struct state_batch *batch)
{
    overlay_clear(&batch->overlay);
    state_cursors_deinit(&batch->cursors);
    state_moment_drop(batch->state, &batch->moment);
    buffer_clear(&batch->meta);
    batch->has_meta = false;
    batch->applied = (struct state_position){0, 0};
    if (batch->state->batch_with_contents == batch) {
        batch->state->batch_with_contents = NULL;
    }
}

/* Notes that the batch is not empty any more. */
static void touch(struct state_batch *batch)
{
    struct state *state = batch->state;
    ASSERT(state->batch_with_contents == NULL || state->batch_with_contents == batch);
    state->batch_with_contents = batch;
}

static rr_status write(struct state_batch *batch, enum overlay_kind kind, rr_bytes key,
                       rr_bytes value)
{
    ASSERT(key.size > 0);
    ASSERT(*(const uint8_t *)key.data != 0);
    touch(batch);
    return overlay_write(&batch->overlay, kind, key, value);
}

rr_status state_batch_put(struct state_batch *batch, rr_bytes key, rr_bytes value)
{
    return write(batch, OVERLAY_PUT, key, value);
}

rr_status state_batch_delete(struct state_batch *batch, rr_bytes key)
{
    return write(batch, OVERLAY_DELETE, key, (rr_bytes){NULL, 0});
}

state_savepoint state_batch_savepoint(struct state_batch *batch)
{
    return batch->overlay.undo_count;
}

void state_batch_rollback(struct state_batch *batch, state_savepoint savepoint)
{
    overlay_undo_to(&batch->overlay, savepoint);
}

void state_batch_set_applied(struct state_batch *batch, raft_index index, raft_term term)
{
    ASSERT(index >= batch->state->applied.index);
    ASSERT(index >= batch->applied.index);
    ASSERT(index > 0);
    touch(batch);
    batch->applied = (struct state_position){index, term};
}

rr_status state_batch_set_meta(struct state_batch *batch, rr_bytes meta)
{
    touch(batch);
    state_meta_encode(meta, &batch->meta);
    batch->has_meta = !batch->meta.failed;
    return batch->has_meta ? RR_OK : RR_NO_MEMORY;
}

size_t state_batch_size(const struct state_batch *batch)
{
    return batch->overlay.size + batch->overlay.undo_count * sizeof(struct overlay_undo);
}

/* --- The commit --- */

/* What a commit will write. */
struct extent {
    size_t count;
    size_t bytes; /* of keys and values */
};

static void extend(struct extent *extent, size_t bytes)
{
    extent->count++;
    extent->bytes += bytes;
}

/* Of the data alone. */
static struct extent measure(const struct state_batch *batch)
{
    struct extent extent = {0};
    for (const struct overlay_node *node = batch->overlay.heads[0]; node != NULL;
         node = overlay_next(node)) {
        if (node->kind != OVERLAY_NONE) {
            extend(&extent, node->key.size + node->value.size);
        }
    }
    return extent;
}

/* Makes room in the first table, or puts another in front of it. */
static rr_status make_room(struct state *state, const struct extent *extent, bool *full,
                           struct storage_error *error)
{
    rr_status status = RR_OK;
    *full = false;
    if (state_table_size(state->active->table) >= state->memtable_bytes) {
        status = state_layers_freeze(state, full, error);
    }
    if (status != RR_OK || *full) {
        return status;
    }
    status = state_table_reserve(state->active->table, extent->count, extent->bytes);
    if (status != RR_OK) {
        return storage_fail(error, status, "no memory for a commit of %zu bytes", extent->bytes);
    }
    return RR_OK;
}

/* The cache has nothing of keys that are in a table: it would not learn of their changes. */
static void write_data(struct state_batch *batch, uint64_t sequence)
{
    struct state *state = batch->state;
    for (const struct overlay_node *node = batch->overlay.heads[0]; node != NULL;
         node = overlay_next(node)) {
        if (node->kind == OVERLAY_NONE) {
            continue;
        }
        enum state_table_kind kind =
            node->kind == OVERLAY_PUT ? STATE_TABLE_PUT : STATE_TABLE_DELETE;
        if (state_table_write(state->active->table, kind, node->key, node->value, sequence)) {
            value_cache_forget(state->values, node->key);
        }
    }
}

static void write_records(struct state_batch *batch, uint64_t sequence)
{
    struct state_table *table = batch->state->active->table;
    uint8_t position[STATE_POSITION_BYTES];
    state_position_encode(&batch->applied, position);
    state_table_write(table, STATE_TABLE_PUT, state_key_applied,
                      (rr_bytes){position, sizeof(position)}, sequence);
    if (batch->has_meta) {
        state_table_write(table, STATE_TABLE_PUT, state_key_meta, buffer_bytes(&batch->meta),
                          sequence);
    }
}

static struct extent measure_all(const struct state_batch *batch, const struct extent *data)
{
    struct extent extent = *data;
    extend(&extent, state_key_applied.size + STATE_POSITION_BYTES);
    if (batch->has_meta) {
        extend(&extent, state_key_meta.size + batch->meta.size);
    }
    return extent;
}

/* Writes everything and shows it, unless there is no room. */
static rr_status try_commit(struct state_batch *batch, const struct extent *extent, bool *full,
                            struct storage_error *error)
{
    struct state *state = batch->state;
    pthread_mutex_lock(&state->write_mutex);
    rr_status status = make_room(state, extent, full, error);
    if (status == RR_OK && !*full) {
        uint64_t sequence = atomic_load(&state->sequence) + 1;
        write_data(batch, sequence);
        write_records(batch, sequence);
        atomic_store_explicit(&state->sequence, sequence, memory_order_release);
    }
    pthread_mutex_unlock(&state->write_mutex);
    return status;
}

static rr_status commit(struct state_batch *batch, const struct extent *data,
                        struct storage_error *error)
{
    struct extent extent = measure_all(batch, data);
    bool full = true;
    rr_status status = RR_OK;
    while (status == RR_OK && full) {
        status = try_commit(batch, &extent, &full, error);
        if (status == RR_OK && full) {
            status = state_wait_for_room(batch->state, error);
        }
    }
    return status;
}

rr_status state_batch_commit(struct state_batch *batch, struct storage_error *error)
{
    struct state *state = batch->state;
    rr_status status = state_check(state, error);
    if (status != RR_OK) {
        return status;
    }
    struct extent data = measure(batch);
    /* Data without its position would be applied twice after a crash. */
    ASSERT(batch->applied.index > 0 || (data.count == 0 && !batch->has_meta));
    if (batch->applied.index > 0) {
        status = commit(batch, &data, error);
        if (status != RR_OK) {
            return status;
        }
        state->applied = batch->applied;
        state->counters.commits++;
        state->counters.keys_written += data.count;
        state->counters.bytes_written += data.bytes;
    }
    state_batch_clear(batch);
    return RR_OK;
}
