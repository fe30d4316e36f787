/* Keys that became ready, and serving those who wait for them. */
#include "coredb/value/waiter_private.h"

#include "coredb/base/bytes.h"
#include "coredb/value/layout.h"

enum {
    PAGE = 64,                 /* waiters that are looked at in one go */
    DEDUPLICATED_BYTES = 4096, /* of ready keys; in longer lists a key may stand twice */
    ORDER_SIZE = 8,
    TAKEN = UINT8_MAX, /* instead of the database of a ready key that is being or was served */
};

/* ---- Keys that became ready ---- */

static bool stop_at_first(void *arg, rr_bytes key, rr_bytes value)
{
    (void)key;
    (void)value;
    *(bool *)arg = true;
    return false;
}

static bool anybody_waits(struct store *store, uint32_t db, rr_bytes name)
{
    bool found = false;
    struct buffer prefix;
    buffer_init(&prefix);
    waiter_queues_key(&prefix, db, name);
    if (waiter_usable(store, &prefix)) {
        store_prefix(store, buffer_bytes(&prefix), false, stop_at_first, &found);
    }
    buffer_deinit(&prefix);
    return found;
}

/* Whether a short list of ready keys has the key; in a long one, nobody looks. */
static bool ready_already(const struct buffer *ready, uint32_t db, rr_bytes name)
{
    if (ready->size > DEDUPLICATED_BYTES) {
        return false;
    }
    struct reader reader = reader_of(buffer_bytes(ready));
    while (reader.left > 0 && !reader.failed) {
        uint8_t other_db = reader_u8(&reader);
        rr_bytes other = reader_slice(&reader);
        if (other_db == db && bytes_equal(other, name)) {
            return true;
        }
    }
    return false;
}

static void ready_add(struct store *store, uint32_t db, rr_bytes name)
{
    buffer_append_byte(&store->ready, (uint8_t)db);
    buffer_put_slice(&store->ready, name);
    (void)waiter_usable(store, &store->ready);
}

void waiter_signal(struct store *store, uint32_t db, rr_bytes name)
{
    if (!store->is_query && store_db(store, db)->waiter_count > 0 &&
        !ready_already(&store->ready, db, name) && anybody_waits(store, db, name)) {
        ready_add(store, db, name);
    }
}

/* The waited-for keys of a database, each once: their places stand together. */
struct waited {
    struct store *store;
    struct buffer last;
};

static bool waited_visit(void *arg, rr_bytes key, rr_bytes value)
{
    struct waited *waited = arg;
    (void)value;
    struct reader reader = {(const uint8_t *)key.data + 1, key.size - 1, false};
    uint8_t db = reader_u8(&reader);
    rr_bytes name = reader_slice(&reader);
    if (waited->last.size != name.size + 1 || waited->last.data[0] != db ||
        memcmp(waited->last.data + 1, name.data, name.size) != 0) {
        buffer_clear(&waited->last);
        buffer_append_byte(&waited->last, db);
        buffer_append_bytes(&waited->last, name);
        ready_add(waited->store, db, name);
    }
    return waited->store->failure == RR_OK && waiter_usable(waited->store, &waited->last);
}

void waiter_signal_db(struct store *store, uint32_t db)
{
    if (store->is_query || store_db(store, db)->waiter_count == 0) {
        return;
    }
    const uint8_t prefix[2] = {LAYOUT_WAITER_KEY, (uint8_t)db};
    struct waited waited = {.store = store};
    buffer_init(&waited.last);
    store_prefix(store, (rr_bytes){prefix, sizeof(prefix)}, false, waited_visit, &waited);
    buffer_deinit(&waited.last);
}

/* ---- Serving ---- */

/* A part of a queue. */
struct page {
    struct waiter_id ids[PAGE];
    uint64_t last; /* order of the last one */
    size_t count;
};

static bool page_add(void *arg, rr_bytes key, rr_bytes value)
{
    struct page *page = arg;
    struct reader reader = reader_of(value);
    page->last = layout_u64_at(key, key.size - ORDER_SIZE);
    page->ids[page->count++] = waiter_read_id(&reader);
    return page->count < PAGE;
}

/* Reads the part of a queue with orders greater than `after`. */
static void page_read(struct store *store, uint32_t db, rr_bytes name, enum waiter_class class,
                      uint64_t after, struct page *out)
{
    struct buffer from;
    struct buffer to;
    buffer_init(&from);
    buffer_init(&to);
    out->count = 0;
    waiter_place_key(&from, db, name, class, after + 1);
    waiter_place_key(&to, db, name, class, UINT64_MAX);
    if (waiter_usable(store, &from) && waiter_usable(store, &to)) {
        store_range(store, buffer_bytes(&from), buffer_bytes(&to), false, page_add, out);
    }
    buffer_deinit(&from);
    buffer_deinit(&to);
}

/* Tells a waiter why it is not served, and takes it away. */
static void refuse(struct store *store, const struct waiter *waiter)
{
    struct reply reply;
    reply_init(&reply, waiter->protocol);
    reply_error(&reply,
                "ERR what came would exceed the limits of a reply to a command that waited; "
                "nothing was taken");
    if (waiter_usable(store, &reply.out)) {
        (void)events_served(&store->events, &waiter->id, buffer_bytes(&reply.out));
    }
    waiter_remove(store, waiter);
    reply_deinit(&reply);
}

/* Serves one waiter if the key has something for it. */
static void serve_one(struct store *store, struct key *key, const struct waiter *waiter,
                      waiter_serve_fn serve)
{
    struct store_savepoint savepoint;
    struct reply reply;
    store_save(store, &savepoint);
    reply_init(&reply, waiter->protocol);
    reply.out.limit = STORE_REPLIES_BYTES_MAX;
    store->reply = &reply.out;
    bool served = serve(store, key, waiter, &reply);
    store->reply = NULL;
    bool fits = !reply.out.full && store->failure != RR_TOO_BIG;
    if (served && fits && waiter_usable(store, &reply.out)) {
        fits = events_served(&store->events, &waiter->id, buffer_bytes(&reply.out));
        waiter_remove(store, waiter);
    }
    if (!fits) {
        store_rollback(store, &savepoint);
        refuse(store, waiter);
    }
    reply_deinit(&reply);
}

/* Goes on with the next of a queue; false: the key has nothing more for this queue. */
static bool serve_next(struct store *store, uint32_t db, rr_bytes name, enum waiter_class class,
                       const struct waiter_id *id, waiter_serve_fn serve)
{
    struct key key;
    key_open_in(store, db, name, &key);
    bool fits = class == CLASS_STREAM_GROUP || (int)key.type == (int)class;
    if (fits) {
        struct waiter waiter;
        buffer_init(&waiter.record);
        if (waiter_load(store, id, &waiter)) {
            if (waiter_is_dead(store, id)) {
                waiter_drop(store, &waiter);
            } else {
                serve_one(store, &key, &waiter, serve);
            }
        }
        buffer_deinit(&waiter.record);
    }
    key_close(&key);
    return fits && store->failure == RR_OK;
}

static void serve_queue(struct store *store, uint32_t db, rr_bytes name, enum waiter_class class,
                        waiter_serve_fn serve)
{
    struct page page = {.last = 0};
    bool more;
    do {
        page_read(store, db, name, class, page.last, &page);
        more = page.count == PAGE;
        for (size_t i = 0; i < page.count; i++) {
            if (!serve_next(store, db, name, class, &page.ids[i], serve)) {
                more = false;
                break;
            }
        }
    } while (more);
}

static void serve_key(struct store *store, uint32_t db, rr_bytes name, waiter_serve_fn serve)
{
    struct key key;
    key_open_in(store, db, name, &key);
    enum value_type type = key.type;
    key_close(&key);
    if (type == VALUE_LIST || type == VALUE_ZSET || type == VALUE_STREAM) {
        serve_queue(store, db, name, (enum waiter_class)type, serve);
    }
    serve_queue(store, db, name, CLASS_STREAM_GROUP, serve);
}

void waiter_serve_ready(struct store *store, waiter_serve_fn serve)
{
    size_t offset = 0;
    struct buffer name;
    buffer_init(&name);
    while (offset < store->ready.size && store->failure == RR_OK) {
        struct reader reader = {store->ready.data + offset, store->ready.size - offset, false};
        uint8_t db = reader_u8(&reader);
        store->ready.data[offset] = TAKEN; /* from here on it can become ready again */
        buffer_clear(&name);               /* a copy: serving may append to the list */
        buffer_append_bytes(&name, reader_slice(&reader));
        offset = store->ready.size - reader.left;
        if (waiter_usable(store, &name)) {
            serve_key(store, db, buffer_bytes(&name), serve);
        }
    }
    buffer_deinit(&name);
    buffer_clear(&store->ready);
}
