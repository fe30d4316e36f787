/*
 * Reading the state in order: what a batch has written, merged with the tables in memory and with
 * what the database holds.
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

static struct state_cursor *cursor_new(const struct state_moment *moment)
{
    struct state_cursor *cursor = mem_new(struct state_cursor);
    buffer_init(&cursor->low);
    buffer_init(&cursor->high);
    cursor->options = rocksdb_readoptions_create();
    if (moment->snapshot != NULL) {
        rocksdb_readoptions_set_snapshot(cursor->options, moment->snapshot);
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

void state_cursors_deinit(struct state_cursors *cursors)
{
    while (cursors->idle != NULL) {
        struct state_cursor *cursor = cursors->idle;
        cursors->idle = cursor->next;
        cursor_free(cursor);
    }
    cursors->idle_count = 0;
}

static struct state_cursor *cursors_take(struct state_cursors *cursors,
                                         const struct state_moment *moment)
{
    struct state_cursor *cursor = cursors->idle;
    if (cursor == NULL) {
        return cursor_new(moment);
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

enum { SOURCES_MAX = 1 + STATE_TABLES_MAX + 1 };

/* What a source has at a key. */
struct item {
    rr_bytes key;
    rr_bytes value;
    bool deleted;
};

/* One of what is merged: an overlay, a table, or the database's iterator where it is neither. */
struct source {
    const struct overlay *overlay;
    const struct overlay_node *overlay_node;
    const struct state_table *table;
    const struct state_table_node *table_node;
    struct item item; /* what it has next */
    bool ended;
    bool used; /* its item was shown or hidden: move on before the next */
};

/* Sorted sources becoming one: the first wins where several have a key. */
struct merge {
    struct source sources[SOURCES_MAX];
    uint32_t source_count;
    rocksdb_iterator_t *iterator;
    uint64_t sequence; /* tables as of this commit */
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

static void load_overlay(const struct merge *merge, struct source *source)
{
    const struct overlay_node *node = source->overlay_node;
    while (node != NULL && node->kind == OVERLAY_NONE) {
        node =
            merge->reverse ? overlay_seek_before(source->overlay, node->key) : overlay_next(node);
    }
    source->overlay_node = node;
    source->ended = node == NULL;
    if (node != NULL) {
        source->item = (struct item){node->key, node->value, node->kind == OVERLAY_DELETE};
    }
}

static void load_table(const struct merge *merge, struct source *source)
{
    const struct state_table_node *node = source->table_node;
    enum state_table_kind kind = STATE_TABLE_NONE;
    rr_bytes value = {NULL, 0};
    while (node != NULL) {
        kind = state_table_value(node, merge->sequence, &value);
        if (kind != STATE_TABLE_NONE) {
            break;
        }
        node = merge->reverse ? state_table_seek_before(source->table, state_table_key(node))
                              : state_table_next(node);
    }
    source->table_node = node;
    source->ended = node == NULL;
    if (node != NULL) {
        source->item = (struct item){state_table_key(node), value, kind == STATE_TABLE_DELETE};
    }
}

static void load_iterator(const struct merge *merge, struct source *source)
{
    source->ended = !rocksdb_iter_valid(merge->iterator);
    if (!source->ended) {
        struct item *item = &source->item;
        item->key.data = rocksdb_iter_key(merge->iterator, &item->key.size);
        item->value.data = rocksdb_iter_value(merge->iterator, &item->value.size);
        item->deleted = false;
    }
}

/* Finds out what the source has where it stands. */
static void load(const struct merge *merge, struct source *source)
{
    if (source->overlay != NULL) {
        load_overlay(merge, source);
    } else if (source->table != NULL) {
        load_table(merge, source);
    } else {
        load_iterator(merge, source);
    }
    source->used = false;
    source->ended = source->ended || !reaches(merge, source->item.key);
}

/* Goes to the source's first item in the range. */
static void begin(const struct merge *merge, struct source *source)
{
    rr_bytes low = merge->low;
    rr_bytes high = merge->high;
    if (source->overlay != NULL) {
        source->overlay_node = merge->reverse ? overlay_seek_before(source->overlay, high)
                                              : overlay_seek(source->overlay, low);
    } else if (source->table != NULL) {
        source->table_node = merge->reverse ? state_table_seek_before(source->table, high)
                                            : state_table_seek(source->table, low);
    } else if (merge->reverse) {
        rocksdb_iter_seek_for_prev(merge->iterator, high.data, high.size);
    } else {
        rocksdb_iter_seek(merge->iterator, low.data, low.size);
    }
    load(merge, source);
}

static void advance(const struct merge *merge, struct source *source)
{
    if (source->overlay != NULL) {
        source->overlay_node = merge->reverse
                                   ? overlay_seek_before(source->overlay, source->item.key)
                                   : overlay_next(source->overlay_node);
    } else if (source->table != NULL) {
        source->table_node = merge->reverse
                                 ? state_table_seek_before(source->table, source->item.key)
                                 : state_table_next(source->table_node);
    } else if (merge->reverse) {
        rocksdb_iter_prev(merge->iterator);
    } else {
        rocksdb_iter_next(merge->iterator);
    }
    load(merge, source);
}

/* The source with the next item, the first of those that have the key; NULL at the end. All that
 * have the key count as used. */
static const struct source *choose(struct merge *merge)
{
    struct source *best = NULL;
    for (uint32_t i = 0; i < merge->source_count; i++) {
        struct source *source = &merge->sources[i];
        if (source->ended) {
            continue;
        }
        int order = best == NULL ? -1 : bytes_compare(source->item.key, best->item.key);
        if (best != NULL && merge->reverse) {
            order = -order;
        }
        if (order < 0) {
            for (uint32_t j = 0; j < i; j++) {
                merge->sources[j].used = false;
            }
            best = source;
        }
        source->used = order <= 0;
    }
    return best;
}

static bool next_pair(struct merge *merge, struct pair *out)
{
    for (;;) {
        for (uint32_t i = 0; i < merge->source_count; i++) {
            struct source *source = &merge->sources[i];
            if (source->used && !source->ended) {
                advance(merge, source);
            }
        }
        const struct source *source = choose(merge);
        if (source == NULL) {
            return false;
        }
        if (!source->item.deleted) {
            *out = (struct pair){source->item.key, source->item.value};
            return true;
        }
    }
}

/* The merge of a range, at its first pair. */
static void merge_begin(struct merge *merge, const struct state_cursor *cursor,
                        const struct state_moment *moment, const struct overlay *overlay,
                        bool reverse)
{
    merge->iterator = cursor->iterator;
    merge->sequence = moment->sequence;
    merge->low = buffer_bytes(&cursor->low);
    merge->high = buffer_bytes(&cursor->high);
    merge->reverse = reverse;
    merge->source_count = 0;
    ASSERT(!reverse || merge->high.size > 0);
    if (overlay != NULL) {
        merge->sources[merge->source_count++] = (struct source){.overlay = overlay};
    }
    for (uint32_t i = 0; i < moment->layers->table_count; i++) {
        merge->sources[merge->source_count++] =
            (struct source){.table = moment->layers->tables[i]->table};
    }
    merge->sources[merge->source_count++] = (struct source){0};
    for (uint32_t i = 0; i < merge->source_count; i++) {
        begin(merge, &merge->sources[i]);
    }
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

static rr_status visit_span(struct state_cursor *cursor, const struct state_moment *moment,
                            const struct overlay *overlay, const struct state_span *span,
                            state_visit_fn visit, void *visit_arg, struct storage_error *error)
{
    rr_status status = set_span(cursor, span, error);
    if (status != RR_OK || is_empty(cursor)) {
        return status;
    }
    const struct state_db *db = moment->layers->db;
    apply_bounds(cursor, db);
    struct merge merge;
    merge_begin(&merge, cursor, moment, overlay, span->reverse);
    struct pair pair;
    while (next_pair(&merge, &pair) && visit(visit_arg, pair.key, pair.value)) {
    }
    return iterator_status(cursor->iterator, db, error);
}

static rr_status run_span(struct state_cursors *cursors, const struct state_moment *moment,
                          const struct overlay *overlay, const struct state_span *span,
                          state_visit_fn visit, void *visit_arg, struct storage_error *error)
{
    ASSERT(span->prefix.size > 0);
    ASSERT(*(const uint8_t *)span->prefix.data != 0);
    ASSERT(*(const uint8_t *)span->prefix.data != 0xff); /* then all have an upper bound */
    struct state_cursor *cursor = cursors_take(cursors, moment);
    rr_status status = visit_span(cursor, moment, overlay, span, visit, visit_arg, error);
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
    state_batch_refresh(batch);
    return run_span(&batch->cursors, &batch->moment, &batch->overlay, span, visit, visit_arg,
                    error);
}

rr_status state_view_span(struct state_view *view, const struct state_span *span,
                          state_visit_fn visit, void *visit_arg, struct storage_error *error)
{
    return run_span(&view->cursors, &view->moment, NULL, span, visit, visit_arg, error);
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

static rr_status visit_range(struct state_cursor *cursor, const struct state_moment *moment,
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
        apply_bounds(cursor, moment->layers->db);
        struct merge merge;
        merge_begin(&merge, cursor, moment, NULL, false);
        has_more = visit_pairs(&merge, range, visit, visit_arg);
        status = iterator_status(cursor->iterator, moment->layers->db, error);
    }
    if (status == RR_OK && more != NULL) {
        *more = has_more;
    }
    return status;
}

static rr_status run_scan(const struct state_moment *moment, const struct state_range *range,
                          state_visit_fn visit, void *visit_arg, bool *more,
                          struct storage_error *error)
{
    struct state_cursor *cursor = cursor_new(moment);
    rr_status status = visit_range(cursor, moment, range, visit, visit_arg, more, error);
    cursor_free(cursor);
    return status;
}

rr_status state_scan(struct state *state, const struct state_range *range, state_visit_fn visit,
                     void *visit_arg, bool *more, struct storage_error *error)
{
    struct state_moment moment = state_moment_take(state, /*lasting=*/true);
    rr_status status = run_scan(&moment, range, visit, visit_arg, more, error);
    state_moment_drop(state, &moment);
    return status;
}

rr_status state_view_scan(struct state_view *view, const struct state_range *range,
                          state_visit_fn visit, void *visit_arg, bool *more,
                          struct storage_error *error)
{
    return run_scan(&view->moment, range, visit, visit_arg, more, error);
}
