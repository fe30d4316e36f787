/* Reading the state: single keys, ranges, views. */
#include "storage/state.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/codec.h"
#include "base/memory.h"
#include "storage/state_private.h"

#include <string.h>

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

rr_status state_batch_get(struct state_batch *batch, rr_bytes key, struct buffer *out,
                          struct storage_error *error)
{
    assert_user_key(key);
    const struct overlay_node *node = overlay_find(&batch->overlay, key);
    enum overlay_kind kind = node == NULL ? OVERLAY_NONE : node->kind;
    switch (kind) {
    case OVERLAY_NONE:
        return state_db_get(batch->state->db, batch->state->read_options, key, out, error);
    case OVERLAY_DELETE:
        buffer_clear(out);
        return RR_NOT_FOUND;
    case OVERLAY_PUT:
        buffer_clear(out);
        buffer_append(out, node->value.data, node->value.size);
        if (out->failed) {
            return storage_fail(error, RR_NO_MEMORY, "no memory for a value of %zu bytes",
                                node->value.size);
        }
        return RR_OK;
    }
    UNREACHABLE();
}

/* --- Ranges --- */

/* Two sorted sources becoming one: the overlay wins where both have a key. */
struct merge {
    rocksdb_iterator_t *iterator;
    bool iterator_used; /* its pair was shown: move on before the next */
    const struct overlay_node *node;
    rr_bytes prefix;
};

struct pair {
    rr_bytes key;
    rr_bytes value;
};

static bool has_prefix(rr_bytes key, rr_bytes prefix)
{
    return key.size >= prefix.size &&
           (prefix.size == 0 || memcmp(key.data, prefix.data, prefix.size) == 0);
}

/* What the database has next within the prefix. */
static bool peek_iterator(struct merge *merge, struct pair *out)
{
    if (merge->iterator_used) {
        rocksdb_iter_next(merge->iterator);
        merge->iterator_used = false;
    }
    if (!rocksdb_iter_valid(merge->iterator)) {
        return false;
    }
    out->key.data = rocksdb_iter_key(merge->iterator, &out->key.size);
    out->value.data = rocksdb_iter_value(merge->iterator, &out->value.size);
    return has_prefix(out->key, merge->prefix);
}

/* What the overlay has next within the prefix; it may be a deletion. */
static const struct overlay_node *peek_overlay(struct merge *merge)
{
    while (merge->node != NULL && merge->node->kind == OVERLAY_NONE) {
        merge->node = overlay_next(merge->node);
    }
    if (merge->node == NULL || !has_prefix(merge->node->key, merge->prefix)) {
        return NULL;
    }
    return merge->node;
}

static bool next_pair(struct merge *merge, struct pair *out)
{
    for (;;) {
        struct pair stored;
        bool has_stored = peek_iterator(merge, &stored);
        const struct overlay_node *node = peek_overlay(merge);
        if (!has_stored && node == NULL) {
            return false;
        }
        int order = node == NULL ? 1 : -1;
        if (has_stored && node != NULL) {
            order = bytes_compare(node->key, stored.key);
        }
        if (order > 0) {
            merge->iterator_used = true;
            *out = stored;
            return true;
        }
        merge->iterator_used = order == 0;
        merge->node = overlay_next(node);
        if (node->kind == OVERLAY_PUT) {
            *out = (struct pair){node->key, node->value};
            return true;
        }
    }
}

/* Shows the pairs until a limit, the visitor or the range ends it. */
static bool visit_pairs(struct merge *merge, const struct state_range *range, state_visit_fn visit,
                        void *visit_arg)
{
    uint64_t count = 0;
    uint64_t bytes = 0;
    bool wanted = true;
    struct pair pair;
    while (next_pair(merge, &pair)) {
        bytes += pair.key.size + pair.value.size;
        bool starts =
            range->start_excluded && count == 0 && bytes_compare(pair.key, range->start) == 0;
        if (starts) {
            bytes = 0;
            continue;
        }
        if (!wanted || (range->count_max != 0 && count >= range->count_max) ||
            (range->bytes_max != 0 && count > 0 && bytes > range->bytes_max)) {
            return true;
        }
        wanted = visit(visit_arg, pair.key, pair.value);
        count++;
    }
    return false;
}

/* The smallest bytes above all that begin with `prefix`, in `out` of the same size; the size that
 * is left, 0 if there are none. */
static size_t prefix_end(rr_bytes prefix, uint8_t *out)
{
    size_t size = prefix.size;
    if (size > 0) {
        memcpy(out, prefix.data, size);
    }
    while (size > 0 && out[size - 1] == 0xff) {
        size--;
    }
    if (size > 0) {
        out[size - 1]++;
    }
    return size;
}

static rr_bytes larger(rr_bytes left, rr_bytes right)
{
    return bytes_compare(left, right) >= 0 ? left : right;
}

rr_status state_db_scan(const struct state_db *db, const rocksdb_snapshot_t *snapshot,
                        const struct overlay *overlay, const struct state_range *range,
                        state_visit_fn visit, void *visit_arg, bool *more,
                        struct storage_error *error)
{
    ASSERT(range->prefix.size == 0 || *(const uint8_t *)range->prefix.data != 0);
    rr_bytes first = larger(larger(range->prefix, range->start), (rr_bytes){"\1", 1});
    uint8_t *end = mem_try_alloc(range->prefix.size);
    if (end == NULL) {
        return storage_fail(error, RR_NO_MEMORY, "no memory for a prefix of %zu bytes",
                            range->prefix.size);
    }
    size_t end_size = prefix_end(range->prefix, end);
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    if (snapshot != NULL) {
        rocksdb_readoptions_set_snapshot(options, snapshot);
    }
    if (end_size > 0) {
        rocksdb_readoptions_set_iterate_upper_bound(options, (const char *)end, end_size);
    }
    struct merge merge = {
        .iterator = rocksdb_create_iterator_cf(db->rocks.db, options, db->family),
        .node = overlay == NULL ? NULL : overlay_seek(overlay, first),
        .prefix = range->prefix,
    };
    /* Seeking past the upper bound is not wanted by RocksDB, and finds nothing. */
    bool has_more = false;
    if (end_size == 0 || bytes_compare(first, (rr_bytes){end, end_size}) < 0) {
        rocksdb_iter_seek(merge.iterator, first.data, first.size);
        has_more = visit_pairs(&merge, range, visit, visit_arg);
    }
    char *message = NULL;
    rocksdb_iter_get_error(merge.iterator, &message);
    rr_status status = rocks_check(message, "read", db->path, error);
    rocksdb_iter_destroy(merge.iterator);
    rocksdb_readoptions_destroy(options);
    mem_free(end);
    if (status == RR_OK && more != NULL) {
        *more = has_more;
    }
    return status;
}

rr_status state_scan(struct state *state, const struct state_range *range, state_visit_fn visit,
                     void *visit_arg, bool *more, struct storage_error *error)
{
    struct state_db *db = state_db_acquire(state);
    rr_status status = state_db_scan(db, NULL, NULL, range, visit, visit_arg, more, error);
    state_db_release(state, db);
    return status;
}

rr_status state_batch_scan(struct state_batch *batch, const struct state_range *range,
                           state_visit_fn visit, void *visit_arg, bool *more,
                           struct storage_error *error)
{
    return state_db_scan(batch->state->db, NULL, &batch->overlay, range, visit, visit_arg, more,
                         error);
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

rr_status state_view_scan(struct state_view *view, const struct state_range *range,
                          state_visit_fn visit, void *visit_arg, bool *more,
                          struct storage_error *error)
{
    return state_db_scan(view->db, view->snapshot, NULL, range, visit, visit_arg, more, error);
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
