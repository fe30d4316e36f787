/*
 * Reading the state in order: what a batch has written merged with what the database holds.
 *
 * An iterator of RocksDB is expensive to make and cheap to seek, so spans keep theirs from one to
 * the next (struct state_cursors). Its bounds are part of the options that it was made with, and
 * RocksDB follows them as they change. They keep it from walking over the deleted keys beyond.
 */
#include "storage/state.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "storage/state_private.h"

enum { IDLE_CURSORS_MAX = 4 }; /* as many as ranges are commonly nested */

/* --- Cursors --- */

/* An iterator with the bounds that it minds: `low` <= key < `high`. */
struct state_cursor {
    struct state_cursor *next; /* idle */
    rocksdb_readoptions_t *options;
    rocksdb_iterator_t *iterator;
    struct buffer low;
    struct buffer high; /* empty: none */
};

static struct state_cursor *cursor_new(const rocksdb_snapshot_t *snapshot)
{
    struct state_cursor *cursor = mem_new(struct state_cursor);
    buffer_init(&cursor->low);
    buffer_init(&cursor->high);
    cursor->options = rocksdb_readoptions_create();
    if (snapshot != NULL) {
        rocksdb_readoptions_set_snapshot(cursor->options, snapshot);
    }
    return cursor;
}

static void cursor_free(struct state_cursor *cursor)
{
    if (cursor->iterator != NULL) {
        rocksdb_iter_destroy(cursor->iterator);
    }
    rocksdb_readoptions_destroy(cursor->options);
    buffer_deinit(&cursor->low);
    buffer_deinit(&cursor->high);
    mem_free(cursor);
}

/* Hands the bounds to RocksDB, which reads them where they are. An iterator that was made without
 * an upper bound knows none for ever; those of spans always have one, except for a prefix of
 * nothing but 0xff. */
static void apply_bounds(struct state_cursor *cursor, const struct state_db *db)
{
    bool has_high = cursor->high.size > 0;
    rocksdb_readoptions_set_iterate_lower_bound(cursor->options, (const char *)cursor->low.data,
                                                cursor->low.size);
    if (has_high) {
        rocksdb_readoptions_set_iterate_upper_bound(
            cursor->options, (const char *)cursor->high.data, cursor->high.size);
    }
    if (cursor->iterator == NULL) {
        cursor->iterator = rocksdb_create_iterator_cf(db->rocks.db, cursor->options, db->family);
    }
}

void state_cursors_deinit(struct state *state, struct state_cursors *cursors)
{
    while (cursors->idle != NULL) {
        struct state_cursor *cursor = cursors->idle;
        cursors->idle = cursor->next;
        cursor_free(cursor);
    }
    cursors->idle_count = 0;
    state_db_release(state, cursors->db);
    cursors->db = NULL;
}

/* Closes idle cursors that would show what is not current any more. */
static void drop_outdated(struct state *state, struct state_cursors *cursors)
{
    if (cursors->db != NULL &&
        (cursors->db != state->db || cursors->commits != state->counters.commits)) {
        state_cursors_deinit(state, cursors);
    }
    if (cursors->db == NULL) {
        cursors->db = state_db_acquire(state);
        cursors->commits = state->counters.commits;
    }
}

static struct state_cursor *cursors_take(struct state_cursors *cursors,
                                         const rocksdb_snapshot_t *snapshot)
{
    struct state_cursor *cursor = cursors->idle;
    if (cursor == NULL) {
        return cursor_new(snapshot);
    }
    cursors->idle = cursor->next;
    cursors->idle_count--;
    return cursor;
}

static void cursors_give(struct state_cursors *cursors, struct state_cursor *cursor)
{
    if (cursors->idle_count == IDLE_CURSORS_MAX) {
        cursor_free(cursor);
        return;
    }
    cursor->next = cursors->idle;
    cursors->idle = cursor;
    cursors->idle_count++;
}

/* --- Merging --- */

/* Two sorted sources becoming one: the overlay wins where both have a key. */
struct merge {
    rocksdb_iterator_t *iterator;
    bool iterator_used;            /* its pair was shown: move on before the next */
    const struct overlay *overlay; /* or NULL */
    const struct overlay_node *node;
    rr_bytes low;
    rr_bytes high; /* excluded; empty: no end */
    bool reverse;
};

struct pair {
    rr_bytes key;
    rr_bytes value;
};

/* Whether the range goes on at `key`. */
static bool reaches(const struct merge *merge, rr_bytes key)
{
    if (merge->reverse) {
        return bytes_compare(key, merge->low) >= 0;
    }
    return merge->high.size == 0 || bytes_compare(key, merge->high) < 0;
}

static const struct overlay_node *node_after(const struct merge *merge,
                                             const struct overlay_node *node)
{
    return merge->reverse ? overlay_seek_before(merge->overlay, node->key) : overlay_next(node);
}

/* Goes to the first pair of both sources. */
static void merge_begin(struct merge *merge)
{
    const struct overlay *overlay = merge->overlay;
    if (!merge->reverse) {
        rocksdb_iter_seek(merge->iterator, merge->low.data, merge->low.size);
        merge->node = overlay == NULL ? NULL : overlay_seek(overlay, merge->low);
        return;
    }
    ASSERT(merge->high.size > 0);
    rocksdb_iter_seek_for_prev(merge->iterator, merge->high.data, merge->high.size);
    merge->node = overlay == NULL ? NULL : overlay_seek_before(overlay, merge->high);
}

/* What the database has next within the range. */
static bool peek_iterator(struct merge *merge, struct pair *out)
{
    if (merge->iterator_used) {
        if (merge->reverse) {
            rocksdb_iter_prev(merge->iterator);
        } else {
            rocksdb_iter_next(merge->iterator);
        }
        merge->iterator_used = false;
    }
    if (!rocksdb_iter_valid(merge->iterator)) {
        return false;
    }
    out->key.data = rocksdb_iter_key(merge->iterator, &out->key.size);
    out->value.data = rocksdb_iter_value(merge->iterator, &out->value.size);
    return reaches(merge, out->key);
}

/* What the overlay has next within the range; it may be a deletion. */
static const struct overlay_node *peek_overlay(struct merge *merge)
{
    while (merge->node != NULL && merge->node->kind == OVERLAY_NONE) {
        merge->node = node_after(merge, merge->node);
    }
    if (merge->node == NULL || !reaches(merge, merge->node->key)) {
        return NULL;
    }
    return merge->node;
}

/* Which of the two comes first: negative the node, positive the pair, 0 both at once. */
static int compare_sources(const struct merge *merge, const struct overlay_node *node,
                           bool has_stored, const struct pair *stored)
{
    if (node == NULL) {
        return 1;
    }
    if (!has_stored) {
        return -1;
    }
    int order = bytes_compare(node->key, stored->key);
    return merge->reverse ? -order : order;
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
        int order = compare_sources(merge, node, has_stored, &stored);
        if (order > 0) {
            merge->iterator_used = true;
            *out = stored;
            return true;
        }
        merge->iterator_used = order == 0;
        merge->node = node_after(merge, node);
        if (node->kind == OVERLAY_PUT) {
            *out = (struct pair){node->key, node->value};
            return true;
        }
    }
}

static struct merge merge_of(const struct state_cursor *cursor, const struct overlay *overlay,
                             bool reverse)
{
    return (struct merge){
        .iterator = cursor->iterator,
        .overlay = overlay,
        .low = buffer_bytes(&cursor->low),
        .high = buffer_bytes(&cursor->high),
        .reverse = reverse,
    };
}

static rr_status iterator_status(rocksdb_iterator_t *iterator, const struct state_db *db,
                                 struct storage_error *error)
{
    char *message = NULL;
    rocksdb_iter_get_error(iterator, &message);
    return rocks_check(message, "read", db->path, error);
}

static rr_status no_memory(struct storage_error *error)
{
    return storage_fail(error, RR_NO_MEMORY, "no memory for the bounds of a range");
}

static bool is_empty(const struct state_cursor *cursor)
{
    return cursor->high.size > 0 &&
           bytes_compare(buffer_bytes(&cursor->low), buffer_bytes(&cursor->high)) >= 0;
}

/* --- Spans --- */

static rr_status set_span(struct state_cursor *cursor, const struct state_span *span,
                          struct storage_error *error)
{
    buffer_clear(&cursor->low);
    buffer_append(&cursor->low, span->prefix.data, span->prefix.size);
    buffer_append(&cursor->low, span->from.data, span->from.size);
    if (span->to.size == 0) {
        bytes_prefix_end(&cursor->high, span->prefix);
    } else {
        buffer_clear(&cursor->high);
        buffer_append(&cursor->high, span->prefix.data, span->prefix.size);
        buffer_append(&cursor->high, span->to.data, span->to.size);
    }
    return cursor->low.failed || cursor->high.failed ? no_memory(error) : RR_OK;
}

static rr_status visit_span(struct state_cursor *cursor, const struct state_db *db,
                            const struct overlay *overlay, const struct state_span *span,
                            state_visit_fn visit, void *visit_arg, struct storage_error *error)
{
    rr_status status = set_span(cursor, span, error);
    if (status != RR_OK || is_empty(cursor)) {
        return status;
    }
    apply_bounds(cursor, db);
    struct merge merge = merge_of(cursor, overlay, span->reverse);
    merge_begin(&merge);
    struct pair pair;
    while (next_pair(&merge, &pair) && visit(visit_arg, pair.key, pair.value)) {
    }
    return iterator_status(cursor->iterator, db, error);
}

static rr_status run_span(struct state_cursors *cursors, const struct state_db *db,
                          const rocksdb_snapshot_t *snapshot, const struct overlay *overlay,
                          const struct state_span *span, state_visit_fn visit, void *visit_arg,
                          struct storage_error *error)
{
    ASSERT(span->prefix.size > 0);
    ASSERT(*(const uint8_t *)span->prefix.data != 0);
    ASSERT(*(const uint8_t *)span->prefix.data != 0xff); /* then all have an upper bound */
    struct state_cursor *cursor = cursors_take(cursors, snapshot);
    rr_status status = visit_span(cursor, db, overlay, span, visit, visit_arg, error);
    if (status == RR_OK) {
        cursors_give(cursors, cursor);
    } else {
        cursor_free(cursor);
    }
    return status;
}

rr_status state_batch_span(struct state_batch *batch, const struct state_span *span,
                           state_visit_fn visit, void *visit_arg, struct storage_error *error)
{
    drop_outdated(batch->state, &batch->cursors);
    return run_span(&batch->cursors, batch->cursors.db, NULL, &batch->overlay, span, visit,
                    visit_arg, error);
}

rr_status state_view_span(struct state_view *view, const struct state_span *span,
                          state_visit_fn visit, void *visit_arg, struct storage_error *error)
{
    return run_span(&view->cursors, view->db, view->snapshot, NULL, span, visit, visit_arg, error);
}

/* --- Scans --- */

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

static rr_bytes larger(rr_bytes left, rr_bytes right)
{
    return bytes_compare(left, right) >= 0 ? left : right;
}

static rr_status set_range(struct state_cursor *cursor, const struct state_range *range,
                           struct storage_error *error)
{
    rr_bytes first = larger(larger(range->prefix, range->start), (rr_bytes){"\1", 1});
    buffer_append(&cursor->low, first.data, first.size);
    bytes_prefix_end(&cursor->high, range->prefix);
    return cursor->low.failed || cursor->high.failed ? no_memory(error) : RR_OK;
}

static rr_status visit_range(struct state_cursor *cursor, const struct state_db *db,
                             const struct state_range *range, state_visit_fn visit, void *visit_arg,
                             bool *more, struct storage_error *error)
{
    ASSERT(range->prefix.size == 0 || *(const uint8_t *)range->prefix.data != 0);
    rr_status status = set_range(cursor, range, error);
    if (status != RR_OK) {
        return status;
    }
    bool has_more = false;
    if (!is_empty(cursor)) {
        apply_bounds(cursor, db);
        struct merge merge = merge_of(cursor, NULL, false);
        merge_begin(&merge);
        has_more = visit_pairs(&merge, range, visit, visit_arg);
        status = iterator_status(cursor->iterator, db, error);
    }
    if (status == RR_OK && more != NULL) {
        *more = has_more;
    }
    return status;
}

static rr_status run_scan(const struct state_db *db, const rocksdb_snapshot_t *snapshot,
                          const struct state_range *range, state_visit_fn visit, void *visit_arg,
                          bool *more, struct storage_error *error)
{
    struct state_cursor *cursor = cursor_new(snapshot);
    rr_status status = visit_range(cursor, db, range, visit, visit_arg, more, error);
    cursor_free(cursor);
    return status;
}

rr_status state_scan(struct state *state, const struct state_range *range, state_visit_fn visit,
                     void *visit_arg, bool *more, struct storage_error *error)
{
    struct state_db *db = state_db_acquire(state);
    rr_status status = run_scan(db, NULL, range, visit, visit_arg, more, error);
    state_db_release(state, db);
    return status;
}

rr_status state_view_scan(struct state_view *view, const struct state_range *range,
                          state_visit_fn visit, void *visit_arg, bool *more,
                          struct storage_error *error)
{
    return run_scan(view->db, view->snapshot, range, visit, visit_arg, more, error);
}
