/* The data under one view: databases' records and raw access; see store.h. */
#include "coredb/value/store.h"

#include "coredb/value/layout.h"

#include <string.h>

enum {
    OBJECT_ORDINAL_BITS = 20,
    DB_RECORD_VERSION = 1,
    /* Units of work, as measured. */
    WORK_GET = 3,
    WORK_WRITE = 4,
    WORK_DELETE = 8, /* ranges of the same entry pass it again and again */
    WORK_RANGE = 8,
    WORK_VISIT = 1,
    WORK_READ_BYTES = 1024, /* so many for one more unit */
    WORK_WRITE_BYTES = 64,  /* the entry's writes are in memory until it ends */
};

void store_init(struct store *store, rr_view *view, bool is_query, uint64_t now_ms)
{
    memset(store, 0, sizeof(*store));
    store->view = view;
    store->is_query = is_query;
    store->clock_ms = rr_view_time_ms(view);
    store->now_ms = is_query && now_ms > store->clock_ms ? now_ms : store->clock_ms;
    store->keys_found = 0;
    store->keys_missing = 0;
    store->failure = RR_OK;
    store->work_left = STORE_WORK_MAX;
    events_init(&store->events);
    buffer_init(&store->ready);
    buffer_init(&store->key);
}

void store_deinit(struct store *store)
{
    events_deinit(&store->events);
    buffer_deinit(&store->ready);
    buffer_deinit(&store->key);
}

void store_fail(struct store *store, rr_status status)
{
    if (store->failure == RR_OK) {
        store->failure = status;
    }
}

static bool decode_db(rr_bytes value, struct store_db *out)
{
    struct reader reader = reader_of(value);
    uint8_t version = reader_u8(&reader);
    out->generation = reader_varint(&reader);
    out->key_count = reader_varint(&reader);
    out->expiring_count = reader_varint(&reader);
    out->waiter_count = reader_varint(&reader);
    out->swapped = reader_varint(&reader);
    return !reader.failed && reader.left == 0 && version == DB_RECORD_VERSION;
}

static void encode_db(struct buffer *out, const struct store_db *db)
{
    buffer_append_byte(out, DB_RECORD_VERSION);
    buffer_put_varint(out, db->generation);
    buffer_put_varint(out, db->key_count);
    buffer_put_varint(out, db->expiring_count);
    buffer_put_varint(out, db->waiter_count);
    buffer_put_varint(out, db->swapped);
}

static void load(struct store *store, uint32_t index)
{
    struct store_db *db = &store->dbs[index];
    rr_bytes value;
    struct buffer key;
    buffer_init(&key);
    layout_db(&key, index);
    /* No two databases ever share a generation: flushes take new ones from store_new_object. */
    db->generation = index + 1;
    if (store_get(store, buffer_bytes(&key), &value)) {
        if (!decode_db(value, db)) {
            store_fail(store, RR_CORRUPT);
        }
    }
    db->loaded = true;
    buffer_deinit(&key);
}

struct store_db *store_db(struct store *store, uint32_t index)
{
    if (!store->dbs[index].loaded) {
        load(store, index);
    }
    return &store->dbs[index];
}

struct store_db *store_db_changing(struct store *store, uint32_t index)
{
    struct store_db *db = store_db(store, index);
    db->changed = true;
    return db;
}

void store_finish(struct store *store)
{
    struct buffer key;
    struct buffer value;
    buffer_init(&key);
    buffer_init(&value);
    for (uint32_t i = 0; i < STORE_DATABASES; i++) {
        const struct store_db *db = &store->dbs[i];
        if (!db->changed) {
            continue;
        }
        layout_db(&key, i);
        buffer_clear(&value);
        encode_db(&value, db);
        if (value.failed) {
            store_fail(store, RR_NO_MEMORY);
        }
        store_put(store, buffer_bytes(&key), buffer_bytes(&value));
    }
    buffer_deinit(&key);
    buffer_deinit(&value);
}

void store_save(struct store *store, struct store_savepoint *out)
{
    out->view = store->is_query ? 0 : rr_view_savepoint(store->view);
    memcpy(out->dbs, store->dbs, sizeof(out->dbs));
    out->events = events_position(&store->events);
    out->ready_size = store->ready.size;
}

void store_rollback(struct store *store, const struct store_savepoint *savepoint)
{
    if (!store->is_query) {
        rr_view_rollback(store->view, savepoint->view);
    }
    memcpy(store->dbs, savepoint->dbs, sizeof(store->dbs));
    events_undo(&store->events, savepoint->events);
    buffer_truncate(&store->ready, savepoint->ready_size);
    if (store->failure == RR_TOO_BIG) {
        store->failure = RR_OK;
    }
}

/* False: the store has failed, or does so now, as what is read would find no room. */
static bool may_read(struct store *store)
{
    if (store->failure == RR_OK && store->reply != NULL && store->reply->full) {
        store_fail(store, RR_TOO_BIG);
    }
    return store->failure == RR_OK;
}

bool store_work(struct store *store, uint64_t units)
{
    if (!store->limits_work || store->failure != RR_OK) {
        return store->failure == RR_OK;
    }
    if (units > store->work_left) {
        store->work_left = 0;
        store->exhausted = true;
        store_fail(store, RR_TOO_BIG);
        return false;
    }
    store->work_left -= units;
    return true;
}

bool store_get(struct store *store, rr_bytes key, rr_bytes *value)
{
    if (!may_read(store) || !store_work(store, WORK_GET)) {
        return false;
    }
    rr_status status = rr_view_get(store->view, key, value);
    if (status == RR_OK) {
        return store_work(store, value->size / WORK_READ_BYTES);
    }
    if (status != RR_NOT_FOUND) {
        store_fail(store, status);
    }
    return false;
}

bool store_get_copy(struct store *store, rr_bytes key, struct buffer *out)
{
    rr_bytes value;
    if (!store_get(store, key, &value)) {
        return false;
    }
    buffer_clear(out);
    buffer_append_bytes(out, value);
    if (out->failed) {
        store_fail(store, RR_NO_MEMORY);
        return false;
    }
    return true;
}

bool store_has(struct store *store, rr_bytes key)
{
    rr_bytes value;
    return store_get(store, key, &value);
}

void store_put(struct store *store, rr_bytes key, rr_bytes value)
{
    if (store_work(store, WORK_WRITE + (key.size + value.size) / WORK_WRITE_BYTES)) {
        rr_status status = rr_view_put(store->view, key, value);
        if (status != RR_OK) {
            store_fail(store, status);
        }
    }
}

void store_delete(struct store *store, rr_bytes key)
{
    if (store_work(store, WORK_DELETE + key.size / WORK_WRITE_BYTES)) {
        rr_status status = rr_view_delete(store->view, key);
        if (status != RR_OK) {
            store_fail(store, status);
        }
    }
}

/* A visitor that ends with the room for replies, and with the work. */
struct range_visit {
    struct store *store;
    rr_visit_fn visit;
    void *arg;
};

static bool visit_within_limits(void *arg, rr_bytes key, rr_bytes value)
{
    const struct range_visit *range = arg;
    const struct buffer *reply = range->store->reply;
    return store_work(range->store, WORK_VISIT + (key.size + value.size) / WORK_READ_BYTES) &&
           range->visit(range->arg, key, value) && !reply->full;
}

void store_range(struct store *store, rr_bytes from, rr_bytes to, bool reverse, rr_visit_fn visit,
                 void *arg)
{
    if (!may_read(store) || !store_work(store, WORK_RANGE)) {
        return;
    }
    rr_range range = {.from = from, .to = to, .reverse = reverse};
    struct range_visit limited = {store, visit, arg};
    rr_status status = store->reply == NULL
                           ? rr_view_range(store->view, &range, visit, arg)
                           : rr_view_range(store->view, &range, visit_within_limits, &limited);
    if (status != RR_OK) {
        store_fail(store, status);
    }
}

void store_prefix(struct store *store, rr_bytes prefix, bool reverse, rr_visit_fn visit, void *arg)
{
    struct buffer from;
    struct buffer to;
    buffer_init(&from);
    buffer_init(&to);
    buffer_append_bytes(&from, prefix);
    buffer_append_bytes(&to, prefix);
    layout_end(&to);
    if (from.failed || to.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    store_range(store, buffer_bytes(&from), buffer_bytes(&to), reverse, visit, arg);
    buffer_deinit(&from);
    buffer_deinit(&to);
}

struct collected {
    struct buffer keys;
    size_t count;
    size_t limit;
};

static bool collect(void *arg, rr_bytes key, rr_bytes value)
{
    struct collected *collected = arg;
    (void)value;
    buffer_put_slice(&collected->keys, key);
    return ++collected->count < collected->limit;
}

size_t store_delete_prefix(struct store *store, rr_bytes prefix, size_t limit)
{
    struct collected collected = {.limit = limit};
    if (limit == 0) {
        return 0;
    }
    buffer_init(&collected.keys);
    store_prefix(store, prefix, false, collect, &collected);
    if (collected.keys.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    struct reader reader = reader_of(buffer_bytes(&collected.keys));
    for (size_t i = 0; i < collected.count && store->failure == RR_OK; i++) {
        store_delete(store, reader_slice(&reader));
    }
    buffer_deinit(&collected.keys);
    return collected.count;
}

uint64_t store_new_object(struct store *store)
{
    if (store->ordinal + 1 == UINT32_C(1) << OBJECT_ORDINAL_BITS) {
        store_fail(store, RR_TOO_BIG);
        return 0;
    }
    return rr_view_index(store->view) << OBJECT_ORDINAL_BITS | ++store->ordinal;
}

uint64_t store_random(struct store *store)
{
    return rr_view_random(store->view);
}

uint64_t store_random_below(struct store *store, uint64_t bound)
{
    /* Numbers above the greatest multiple of `bound` would favour the small remainders. */
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    uint64_t value;
    do {
        value = store_random(store);
    } while (value >= limit);
    return value % bound;
}
