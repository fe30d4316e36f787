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
    struct state_db *db = state_db_acquire(state);
    rr_status status = state_db_get(db, state->read_options, key, out, error);
    state_db_release(state, db);
    return status;
}

/* Replaces the contents of `out` by a value that is in memory. */
static rr_status copy_value(rr_bytes value, struct buffer *out, struct storage_error *error)
{
    buffer_clear(out);
    buffer_append(out, value.data, value.size);
    if (out->failed) {
        return storage_fail(error, RR_NO_MEMORY, "no memory for a value of %zu bytes", value.size);
    }
    return RR_OK;
}

/* As of the last commit; on the owner's thread, which has the cache. */
static rr_status get_committed(struct state *state, rr_bytes key, struct buffer *out,
                               struct storage_error *error)
{
    rr_bytes value;
    switch (value_cache_find(state->values, key, &value)) {
    case VALUE_PRESENT:
        return copy_value(value, out, error);
    case VALUE_ABSENT:
        buffer_clear(out);
        return RR_NOT_FOUND;
    case VALUE_UNKNOWN:
        break;
    }
    rr_status status = state_db_get(state->db, state->read_options, key, out, error);
    if (status == RR_OK) {
        value = buffer_bytes(out);
        value_cache_set(state->values, key, &value);
    } else if (status == RR_NOT_FOUND) {
        value_cache_set(state->values, key, NULL);
    }
    return status;
}

rr_status state_batch_get(struct state_batch *batch, rr_bytes key, struct buffer *out,
                          struct storage_error *error)
{
    assert_user_key(key);
    const struct overlay_node *node = overlay_find(&batch->overlay, key);
    enum overlay_kind kind = node == NULL ? OVERLAY_NONE : node->kind;
    switch (kind) {
    case OVERLAY_NONE:
        return get_committed(batch->state, key, out, error);
    case OVERLAY_DELETE:
        buffer_clear(out);
        return RR_NOT_FOUND;
    case OVERLAY_PUT:
        return copy_value(node->value, out, error);
    }
    UNREACHABLE();
}

/* --- Views --- */

struct state_view *state_view_open(struct state *state)
{
    struct state_view *view = mem_new(struct state_view);
    view->state = state;
    view->db = state_db_acquire(state);
    view->snapshot = rocksdb_create_snapshot(view->db->rocks.db);
    view->options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(view->options, view->snapshot);
    return view;
}

void state_view_close(struct state_view *view)
{
    if (view == NULL) {
        return;
    }
    state_cursors_deinit(view->state, &view->cursors);
    rocksdb_readoptions_destroy(view->options);
    rocksdb_release_snapshot(view->db->rocks.db, view->snapshot);
    state_db_release(view->state, view->db);
    mem_free(view);
}

rr_status state_view_get(struct state_view *view, rr_bytes key, struct buffer *out,
                         struct storage_error *error)
{
    assert_user_key(key);
    return state_db_get(view->db, view->options, key, out, error);
}

rr_status state_view_applied(struct state_view *view, struct state_position *out,
                             struct storage_error *error)
{
    return state_db_position(view->db, view->options, out, error);
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
