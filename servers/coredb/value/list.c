/*
 * Lists over their sub-keys. The places first .. first + count - 1 are all there, and no others;
 * whatever removes or inserts within a list moves the fewer elements of those before and behind.
 */
#include "coredb/value/list.h"

#include "coredb/value/layout.h"

enum {
    MOVED_BYTES_MAX = 1024 * 1024, /* of a list that are in memory while it is copied */
    DROP_SINGLY = 64, /* elements of a list that is cut, at least; more may become garbage */
};

static rr_bytes place_key(struct store *store, const struct key *key, uint64_t index)
{
    layout_place(&store->key, LAYOUT_LIST, key->object, key->first + (int64_t)index);
    return buffer_bytes(&store->key);
}

void list_push(struct store *store, struct key *key, enum list_end end, rr_bytes value)
{
    if (end == LIST_HEAD) {
        key->first--;
        store_put(store, place_key(store, key, 0), value);
    } else {
        store_put(store, place_key(store, key, key->count), value);
    }
    key->count++;
}

/* Takes the end away without its sub-key. */
static void shrink(struct key *key, enum list_end end)
{
    key->count--;
    if (end == LIST_HEAD) {
        key->first++;
    }
}

void list_pop(struct store *store, struct key *key, enum list_end end, struct buffer *out)
{
    rr_bytes place = place_key(store, key, end == LIST_HEAD ? 0 : key->count - 1);
    if (!store_get_copy(store, place, out)) {
        buffer_clear(out);
    }
    store_delete(store, place);
    shrink(key, end);
}

void list_drop(struct store *store, struct key *key, enum list_end end, uint64_t count)
{
    for (uint64_t i = 0; i < count && store->failure == RR_OK; i++) {
        store_delete(store, place_key(store, key, end == LIST_HEAD ? 0 : key->count - 1));
        shrink(key, end);
    }
}

/* Pairs of a list, collected to be written. */
struct collected {
    struct buffer bytes; /* u64 index (or place), slice value, again and again */
    size_t bytes_max;
};

static bool collect(void *arg, uint64_t index, rr_bytes value)
{
    struct collected *collected = arg;
    buffer_put_u64(&collected->bytes, index);
    buffer_put_slice(&collected->bytes, value);
    return collected->bytes.size < collected->bytes_max;
}

/* Moves what is kept to a new object and leaves the old one as garbage. */
static void keep_elsewhere(struct store *store, struct key *key, uint64_t start, uint64_t count)
{
    struct key kept = *key;
    struct buffer value;
    buffer_init(&value);
    kept.object = store_new_object(store);
    kept.first = 0;
    kept.count = 0;
    for (uint64_t i = 0; i < count && store->failure == RR_OK; i++) {
        if (store_get_copy(store, place_key(store, key, start + i), &value)) {
            list_push(store, &kept, LIST_TAIL, buffer_bytes(&value));
        }
    }
    buffer_deinit(&value);
    key_drop_object(store, VALUE_LIST, key->object, key->count);
    key->object = kept.object;
    key->first = kept.first;
    key->count = kept.count;
}

void list_keep(struct store *store, struct key *key, uint64_t start, uint64_t count)
{
    uint64_t dropped = key->count - count;
    if (dropped > DROP_SINGLY && dropped / 4 > count) {
        keep_elsewhere(store, key, start, count);
        return;
    }
    list_drop(store, key, LIST_HEAD, start);
    list_drop(store, key, LIST_TAIL, key->count - count);
}

bool list_get(struct store *store, const struct key *key, uint64_t index, rr_bytes *out)
{
    return store_get(store, place_key(store, key, index), out);
}

void list_set(struct store *store, const struct key *key, uint64_t index, rr_bytes value)
{
    store_put(store, place_key(store, key, index), value);
}

/* Gives the element at `from` the place of index `to`. */
static void move(struct store *store, const struct key *key, int64_t from, int64_t to,
                 struct buffer *scratch)
{
    if (store_get_copy(store, place_key(store, key, (uint64_t)from), scratch)) {
        store_put(store, place_key(store, key, (uint64_t)to), buffer_bytes(scratch));
    }
}

void list_insert(struct store *store, struct key *key, uint64_t index, rr_bytes value)
{
    struct buffer scratch;
    buffer_init(&scratch);
    if (index < key->count / 2) {
        key->first--;
        for (uint64_t i = 0; i < index && store->failure == RR_OK; i++) {
            move(store, key, (int64_t)i + 1, (int64_t)i, &scratch);
        }
    } else {
        for (uint64_t i = key->count; i > index && store->failure == RR_OK; i--) {
            move(store, key, (int64_t)i - 1, (int64_t)i, &scratch);
        }
    }
    key->count++;
    list_set(store, key, index, value);
    buffer_deinit(&scratch);
}

/* Closes the gaps at `indexes` by moving what is behind the first of them forward. */
static void close_gaps_forward(struct store *store, struct key *key, const uint64_t *indexes,
                               size_t count, struct buffer *scratch)
{
    size_t gaps = 0;
    for (uint64_t i = indexes[0]; i < key->count && store->failure == RR_OK; i++) {
        if (gaps < count && indexes[gaps] == i) {
            gaps++;
        } else {
            move(store, key, (int64_t)i, (int64_t)(i - gaps), scratch);
        }
    }
    list_drop(store, key, LIST_TAIL, count);
}

/* The same by moving what is before the last of them backward. */
static void close_gaps_backward(struct store *store, struct key *key, const uint64_t *indexes,
                                size_t count, struct buffer *scratch)
{
    size_t gaps = 0;
    for (uint64_t i = indexes[count - 1] + 1; i-- > 0 && store->failure == RR_OK;) {
        if (gaps < count && indexes[count - 1 - gaps] == i) {
            gaps++;
        } else {
            move(store, key, (int64_t)i, (int64_t)(i + gaps), scratch);
        }
    }
    list_drop(store, key, LIST_HEAD, count);
}

void list_remove(struct store *store, struct key *key, const uint64_t *indexes, size_t count)
{
    if (count == 0) {
        return;
    }
    struct buffer scratch;
    buffer_init(&scratch);
    uint64_t behind_first = key->count - indexes[0];
    uint64_t before_last = indexes[count - 1] + 1;
    if (behind_first <= before_last) {
        close_gaps_forward(store, key, indexes, count, &scratch);
    } else {
        close_gaps_backward(store, key, indexes, count, &scratch);
    }
    buffer_deinit(&scratch);
}

/* A visit of sub-keys that tells the visitor indexes. */
struct visit {
    list_visit_fn visit;
    void *arg;
    uint64_t base; /* the place of index 0, as stored */
};

enum { PLACE_OFFSET = 9 };

static bool visit_place(void *arg, rr_bytes key, rr_bytes value)
{
    struct visit *visit = arg;
    return visit->visit(visit->arg, layout_u64_at(key, PLACE_OFFSET) - visit->base, value);
}

/* Visits the places from `from` (biased as in the key) on, `count` of them. */
static void visit_places(struct store *store, uint64_t object, uint64_t from, uint64_t count,
                         bool reverse, struct visit *visit)
{
    struct buffer begin;
    struct buffer end;
    buffer_init(&begin);
    buffer_init(&end);
    layout_object(&begin, LAYOUT_LIST, object);
    layout_object(&end, LAYOUT_LIST, object);
    buffer_put_u64(&begin, from);
    buffer_put_u64(&end, from + count);
    if (begin.failed || end.failed) {
        store_fail(store, RR_NO_MEMORY);
    } else {
        store_range(store, buffer_bytes(&begin), buffer_bytes(&end), reverse, visit_place, visit);
    }
    buffer_deinit(&begin);
    buffer_deinit(&end);
}

static uint64_t biased(int64_t place)
{
    return (uint64_t)place ^ (UINT64_C(1) << 63);
}

void list_visit(struct store *store, const struct key *key, uint64_t start, uint64_t count,
                bool reverse, list_visit_fn visit, void *arg)
{
    if (count > 0) {
        struct visit state = {visit, arg, biased(key->first)};
        visit_places(store, key->object, biased(key->first + (int64_t)start), count, reverse,
                     &state);
    }
}

/* Writes what was collected (with biased places) to `object`; returns the place after the last. */
static uint64_t write_collected(struct store *store, uint64_t object, rr_bytes collected)
{
    uint64_t next = 0;
    struct reader reader = reader_of(collected);
    while (reader.left > 0 && store->failure == RR_OK) {
        uint64_t place = reader_u64(&reader);
        rr_bytes value = reader_slice(&reader);
        layout_object(&store->key, LAYOUT_LIST, object);
        buffer_put_u64(&store->key, place);
        store_put(store, buffer_bytes(&store->key), value);
        next = place + 1;
    }
    return next;
}

void list_copy(struct store *store, uint64_t from_object, uint64_t to_object)
{
    struct collected collected = {.bytes_max = MOVED_BYTES_MAX};
    buffer_init(&collected.bytes);
    struct visit visit = {collect, &collected, /*base=*/0};
    uint64_t from = 0;
    for (;;) {
        buffer_clear(&collected.bytes);
        visit_places(store, from_object, from, UINT64_MAX - from, false, &visit);
        if (collected.bytes.failed) {
            store_fail(store, RR_NO_MEMORY);
        }
        if (collected.bytes.size == 0 || store->failure != RR_OK) {
            break;
        }
        from = write_collected(store, to_object, buffer_bytes(&collected.bytes));
    }
    buffer_deinit(&collected.bytes);
}
