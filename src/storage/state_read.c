/* Reading the state: single keys and views. Ranges of keys are in state_range.c. */
#include "storage/state.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/codec.h"
#include "base/memory.h"
#include "storage/state_private.h"

/* --- Single keys --- */

rr_status state_db_get(const struct state_db *db, const rocksdb_readoptions_t *options,
                       rr_bytes key, struct buffer *out, struct storage_error *error)
{
    buffer_clear(out);
    char *message = NULL;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned_cf(db->rocks.db, options, db->family, key.data, key.size, &message);
    rr_status status = rocks_check(message, "read", db->path, error);
    if (status != RR_OK) {
        return status;
    }
    if (slice == NULL) {
        return RR_NOT_FOUND;
    }
    size_t size;
    const char *value = rocksdb_pinnableslice_value(slice, &size);
    buffer_append(out, value, size);
    rocksdb_pinnableslice_destroy(slice);
    if (out->failed) {
        return storage_fail(error, RR_NO_MEMORY, "no memory for a value of %zu bytes", size);
    }
    return RR_OK;
}

static void assert_user_key(rr_bytes key)
{
    ASSERT(key.size > 0);
    ASSERT(*(const uint8_t *)key.data != 0);
}

rr_status state_get(struct state *state, rr_bytes key, struct buffer *out,
                    struct storage_error *error)
{
    assert_user_key(key);
    struct state_moment moment = state_moment_take(state, /*lasting=*/false);
    rr_status status = state_moment_get(&moment, key, out, error);
    state_moment_drop(state, &moment);
    return status;
}

void state_batch_refresh(struct state_batch *batch)
{
    struct state *state = batch->state;
    struct state_moment *moment = &batch->moment;
    if (moment->layers != NULL && moment->sequence == atomic_load(&state->sequence)) {
        return;
    }
    state_cursors_deinit(&batch->cursors);
    state_moment_drop(state, moment);
    *moment = state_moment_take(state, /*lasting=*/false);
}

/* What the database has of a key that no table mentions; on the owner's thread, which has the
 * cache. */
static rr_status get_stored(struct state_batch *batch, rr_bytes key, struct buffer *out,
                            struct storage_error *error)
{
    struct value_cache *values = batch->state->values;
    rr_bytes value = {0};
    enum value_known known = value_cache_find(values, key, &value);
    if (known != VALUE_UNKNOWN) {
        return state_copy_value(known == VALUE_PRESENT, value, out, error);
    }
    const struct state_moment *moment = &batch->moment;
    rr_status status = state_db_get(moment->layers->db, moment->options, key, out, error);
    if (status == RR_OK) {
        value = buffer_bytes(out);
        value_cache_set(values, key, &value);
    } else if (status == RR_NOT_FOUND) {
        value_cache_set(values, key, NULL);
    }
    return status;
}

/* As of the last commit. */
static rr_status get_committed(struct state_batch *batch, rr_bytes key, struct buffer *out,
                               struct storage_error *error)
{
    state_batch_refresh(batch);
    rr_bytes value = {0};
    enum state_table_kind kind = state_moment_find(&batch->moment, key, &value);
    if (kind == STATE_TABLE_NONE) {
        return get_stored(batch, key, out, error);
    }
    return state_copy_value(kind == STATE_TABLE_PUT, value, out, error);
}

rr_status state_batch_get(struct state_batch *batch, rr_bytes key, struct buffer *out,
                          struct storage_error *error)
{
    assert_user_key(key);
    const struct overlay_node *node = overlay_find(&batch->overlay, key);
    if (node == NULL || node->kind == OVERLAY_NONE) {
        return get_committed(batch, key, out, error);
    }
    return state_copy_value(node->kind == OVERLAY_PUT, node->value, out, error);
}

/* --- Views --- */

struct state_view *state_view_open(struct state *state)
{
    struct state_view *view = mem_new(struct state_view);
    view->state = state;
    view->moment = state_moment_take(state, /*lasting=*/true);
    return view;
}

void state_view_close(struct state_view *view)
{
    if (view == NULL) {
        return;
    }
    state_cursors_deinit(&view->cursors);
    state_moment_drop(view->state, &view->moment);
    mem_free(view);
}

rr_status state_view_get(struct state_view *view, rr_bytes key, struct buffer *out,
                         struct storage_error *error)
{
    assert_user_key(key);
    return state_moment_get(&view->moment, key, out, error);
}

rr_status state_view_applied(struct state_view *view, struct state_position *out,
                             struct storage_error *error)
{
    return state_moment_position(&view->moment, out, error);
}

/* Key and value with their sizes, so that no two different lists of pairs give the same bytes. */
static bool add_to_digest(void *arg, rr_bytes key, rr_bytes value)
{
    uint64_t *digest = arg;
    uint8_t sizes[16];
    store_u64(sizes, key.size);
    store_u64(sizes + 8, value.size);
    *digest = checksum64_seeded(sizes, sizeof(sizes), *digest);
    *digest = checksum64_seeded(key.data, key.size, *digest);
    *digest = checksum64_seeded(value.data, value.size, *digest);
    return true;
}

rr_status state_view_digest(struct state_view *view, uint64_t *out, struct storage_error *error)
{
    uint64_t digest = 0;
    struct state_range all = {0};
    rr_status status = state_view_scan(view, &all, add_to_digest, &digest, NULL, error);
    if (status == RR_OK) {
        *out = digest;
    }
    return status;
}
