/* Writing the state: an overlay collects what the entries change, and one WriteBatch records it. */
#include "storage/state.h"

#include "base/assert.h"
#include "base/memory.h"
#include "storage/state_private.h"

struct state_batch *state_batch_new(struct state *state)
{
    struct state_batch *batch = mem_new(struct state_batch);
    batch->state = state;
    overlay_init(&batch->overlay);
    buffer_init(&batch->meta);
    batch->writes = rocksdb_writebatch_create();
    return batch;
}

void state_batch_free(struct state_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    state_batch_clear(batch);
    rocksdb_writebatch_destroy(batch->writes);
    buffer_deinit(&batch->meta);
    overlay_deinit(&batch->overlay);
    mem_free(batch);
}

void state_batch_clear(struct state_batch *batch)
{
    overlay_clear(&batch->overlay);
    state_cursors_deinit(batch->state, &batch->cursors);
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

static void put(struct state_batch *batch, rr_bytes key, rr_bytes value)
{
    rocksdb_writebatch_put_cf(batch->writes, batch->state->db->family, key.data, key.size,
                              value.data, value.size);
}

/* The data; true if there was any. */
static bool build_data(struct state_batch *batch)
{
    struct state_counters *counters = &batch->state->counters;
    bool any = false;
    for (const struct overlay_node *node = batch->overlay.heads[0]; node != NULL;
         node = overlay_next(node)) {
        switch (node->kind) {
        case OVERLAY_NONE:
            continue;
        case OVERLAY_PUT:
            put(batch, node->key, node->value);
            break;
        case OVERLAY_DELETE:
            rocksdb_writebatch_delete_cf(batch->writes, batch->state->db->family, node->key.data,
                                         node->key.size);
            break;
        }
        any = true;
        counters->keys_written++;
        counters->bytes_written += node->key.size + node->value.size;
    }
    return any;
}

static rr_status write_batch(struct state_batch *batch, struct storage_error *error)
{
    struct state *state = batch->state;
    rr_status status = file_fault_check("write to the state", error);
    if (status != RR_OK) {
        return status;
    }
    char *message = NULL;
    rocksdb_write(state->db->rocks.db, state->write_options, batch->writes, &message);
    return rocks_check(message, "write to", state->db->path, error);
}

/* Tells the cache what has been written. */
static void remember_values(struct state_batch *batch)
{
    struct value_cache *values = batch->state->values;
    for (const struct overlay_node *node = batch->overlay.heads[0]; node != NULL;
         node = overlay_next(node)) {
        if (node->kind != OVERLAY_NONE) {
            value_cache_set(values, node->key, node->kind == OVERLAY_PUT ? &node->value : NULL);
        }
    }
}

rr_status state_batch_commit(struct state_batch *batch, struct storage_error *error)
{
    struct state *state = batch->state;
    if (state->failed) {
        return storage_fail(error, state->failure_status, "the state has failed before: %s",
                            state->failure.text);
    }
    bool has_data = build_data(batch);
    /* Data without its position would be applied twice after a crash. */
    ASSERT(batch->applied.index > 0 || (!has_data && !batch->has_meta));
    if (batch->applied.index == 0) {
        state_batch_clear(batch);
        return RR_OK;
    }
    uint8_t position[STATE_POSITION_BYTES];
    state_position_encode(&batch->applied, position);
    put(batch, state_key_applied, (rr_bytes){position, sizeof(position)});
    if (batch->has_meta) {
        put(batch, state_key_meta, buffer_bytes(&batch->meta));
    }
    rr_status status = write_batch(batch, &state->failure);
    rocksdb_writebatch_clear(batch->writes);
    if (status != RR_OK) {
        value_cache_clear(state->values);
        state->failed = true;
        state->failure_status = status == RR_CORRUPT ? RR_CORRUPT : RR_IO;
        return storage_fail(error, state->failure_status, "%s", state->failure.text);
    }
    remember_values(batch);
    state->applied = batch->applied;
    state->counters.commits++;
    state_batch_clear(batch);
    return RR_OK;
}
