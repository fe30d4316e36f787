/*
 * Waiters in the stored data.
 *
 * Invariants:
 * 1. A waiter's record ('W') and its places in the queues of its keys ('w') come and go together;
 *    waiter_count of a database counts the places.
 * 2. While a node has waiters, its lease ('N') is there.
 */
#include "coredb/value/waiter.h"

#include "coredb/base/bytes.h"
#include "coredb/value/layout.h"

enum {
    PAGE = 64,                 /* waiters, or nodes, that are looked at in one go */
    TOUCH_MS = 1000,           /* a registration renews a lease that is older */
    DEDUPLICATED_BYTES = 4096, /* of ready keys; in longer lists a key may stand twice */
    ORDER_SIZE = 8,
    TAKEN = UINT8_MAX, /* instead of the database of a ready key that is being or was served */
};

/* Queues of a key, one per type. Those of consumer groups come last: see waiter_serve_fn. Stored. */
enum waiter_class {
    CLASS_LIST = VALUE_LIST,
    CLASS_ZSET = VALUE_ZSET,
    CLASS_STREAM = VALUE_STREAM,
    CLASS_STREAM_GROUP = 7,
};

static enum waiter_class operation_class(enum waiter_operation operation)
{
    switch (operation) {
    case WAITER_LIST_POP:
    case WAITER_LIST_MOVE:
    case WAITER_LIST_MPOP:
        return CLASS_LIST;
    case WAITER_ZSET_POP:
    case WAITER_ZSET_MPOP:
        return CLASS_ZSET;
    case WAITER_STREAM_READ:
        return CLASS_STREAM;
    case WAITER_STREAM_READ_GROUP:
        return CLASS_STREAM_GROUP;
    }
    return CLASS_LIST;
}

/* ---- Stored keys ---- */

static void put_id(struct buffer *out, const struct waiter_id *id)
{
    buffer_put_u64(out, id->node);
    buffer_put_u64(out, id->boot);
    buffer_put_u64(out, id->number);
}

static struct waiter_id read_id(struct reader *reader)
{
    struct waiter_id id;
    id.node = reader_u64(reader);
    id.boot = reader_u64(reader);
    id.number = reader_u64(reader);
    return id;
}

static void record_key(struct buffer *out, const struct waiter_id *id)
{
    buffer_clear(out);
    buffer_append_byte(out, LAYOUT_WAITER);
    put_id(out, id);
}

static void node_key(struct buffer *out, uint64_t node)
{
    buffer_clear(out);
    buffer_append_byte(out, LAYOUT_WAITER_NODE);
    buffer_put_u64(out, node);
}

/* The prefix of all queues of a key. */
static void queues_key(struct buffer *out, uint32_t db, rr_bytes name)
{
    buffer_clear(out);
    buffer_append_byte(out, LAYOUT_WAITER_KEY);
    buffer_append_byte(out, (uint8_t)db);
    buffer_put_slice(out, name);
}

static void place_key(struct buffer *out, uint32_t db, rr_bytes name, enum waiter_class class,
                      uint64_t order)
{
    queues_key(out, db, name);
    buffer_append_byte(out, (uint8_t) class);
    buffer_put_u64(out, order);
}

/* Whether the buffer has its bytes; else the store fails. */
static bool usable(struct store *store, const struct buffer *buffer)
{
    if (buffer->failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    return !buffer->failed;
}

/* ---- Leases of nodes ---- */

struct lease {
    uint64_t node;
    uint64_t boot;
    uint64_t renewed_ms;
};

static bool lease_decode(rr_bytes value, struct lease *out)
{
    struct reader reader = reader_of(value);
    out->boot = reader_u64(&reader);
    out->renewed_ms = reader_u64(&reader);
    return !reader.failed;
}

static bool lease_load(struct store *store, uint64_t node, struct lease *out)
{
    struct buffer key;
    rr_bytes value;
    buffer_init(&key);
    node_key(&key, node);
    out->node = node;
    bool found = usable(store, &key) && store_get(store, buffer_bytes(&key), &value) &&
                 lease_decode(value, out);
    buffer_deinit(&key);
    return found;
}

static bool lease_ended(const struct store *store, const struct lease *lease)
{
    return store->now_ms > lease->renewed_ms && store->now_ms - lease->renewed_ms > WAITER_LEASE_MS;
}

static void lease_store(struct store *store, uint64_t node, uint64_t boot)
{
    struct buffer key;
    struct buffer value;
    buffer_init(&key);
    buffer_init(&value);
    node_key(&key, node);
    buffer_put_u64(&value, boot);
    buffer_put_u64(&value, store->now_ms);
    if (usable(store, &key) && usable(store, &value)) {
        store_put(store, buffer_bytes(&key), buffer_bytes(&value));
    }
    buffer_deinit(&key);
    buffer_deinit(&value);
}

/* Renews a lease that is older than `age_ms`, or begins one. False: it is a later start's. */
static bool lease_renew(struct store *store, uint64_t node, uint64_t boot, uint64_t age_ms)
{
    struct lease lease;
    if (lease_load(store, node, &lease)) {
        if (boot < lease.boot && !lease_ended(store, &lease)) {
            return false;
        }
        if (boot == lease.boot && store->now_ms - lease.renewed_ms < age_ms) {
            return true;
        }
    }
    lease_store(store, node, boot);
    return true;
}

void waiter_renew(struct store *store, uint64_t node, uint64_t boot)
{
    (void)lease_renew(store, node, boot, 0);
}

/* ---- Records ---- */

static bool waiter_load(struct store *store, const struct waiter_id *id, struct waiter *out)
{
    struct buffer key;
    buffer_init(&key);
    record_key(&key, id);
    bool found = usable(store, &key) && store_get_copy(store, buffer_bytes(&key), &out->record);
    buffer_deinit(&key);
    if (!found) {
        return false;
    }
    struct reader reader = reader_of(buffer_bytes(&out->record));
    out->id = *id;
    out->order = reader_u64(&reader);
    out->protocol = reader_u8(&reader);
    out->db = reader_u8(&reader);
    out->operation = (enum waiter_operation)reader_u8(&reader);
    out->parameters = reader_slice(&reader);
    out->key_count = reader_u32(&reader);
    out->keys = (rr_bytes){reader.data, reader.left};
    return !reader.failed;
}

int64_t waiter_key(const struct waiter *waiter, rr_bytes name)
{
    struct reader reader = reader_of(waiter->keys);
    for (uint32_t i = 0; i < waiter->key_count && !reader.failed; i++) {
        (void)reader_u8(&reader);
        if (bytes_equal(reader_slice(&reader), name)) {
            return i;
        }
    }
    return -1;
}

/* Takes a waiter's record and its places away. */
static void waiter_remove(struct store *store, const struct waiter *waiter)
{
    struct buffer key;
    buffer_init(&key);
    enum waiter_class class = operation_class(waiter->operation);
    struct reader reader = reader_of(waiter->keys);
    struct store_db *db = store_db_changing(store, waiter->db);
    for (uint32_t i = 0; i < waiter->key_count && !reader.failed; i++) {
        bool repeated = reader_u8(&reader) != 0;
        place_key(&key, waiter->db, reader_slice(&reader), class, waiter->order);
        if (!repeated && usable(store, &key)) {
            store_delete(store, buffer_bytes(&key));
            db->waiter_count--;
        }
    }
    record_key(&key, &waiter->id);
    if (usable(store, &key)) {
        store_delete(store, buffer_bytes(&key));
    }
    buffer_deinit(&key);
}

bool waiter_cancel(struct store *store, const struct waiter_id *id)
{
    struct waiter waiter;
    buffer_init(&waiter.record);
    bool found = waiter_load(store, id, &waiter);
    if (found) {
        waiter_remove(store, &waiter);
    }
    buffer_deinit(&waiter.record);
    return found;
}

/* Queues a waiter on its keys and appends them to its record, each with whether it was there before
 * (1 byte, then a slice). */
static void queue_on_keys(struct store *store, const struct waiter_request *request, uint64_t order,
                          struct buffer *record)
{
    struct buffer key;
    struct buffer id;
    struct store_db *db = store_db_changing(store, request->db);
    enum waiter_class class = operation_class(request->operation);
    buffer_init(&key);
    buffer_init(&id);
    put_id(&id, &request->id);
    for (size_t i = 0; i < request->key_count && store->failure == RR_OK; i++) {
        place_key(&key, request->db, request->keys[i], class, order);
        if (!usable(store, &key) || !usable(store, &id)) {
            break;
        }
        bool repeated = store_has(store, buffer_bytes(&key));
        if (!repeated) {
            store_put(store, buffer_bytes(&key), buffer_bytes(&id));
            db->waiter_count++;
        }
        buffer_append_byte(record, repeated ? 1 : 0);
        buffer_put_slice(record, request->keys[i]);
    }
    buffer_deinit(&key);
    buffer_deinit(&id);
}

bool waiter_register(struct store *store, const struct waiter_request *request)
{
    if (!lease_renew(store, request->id.node, request->id.boot, TOUCH_MS)) {
        return false;
    }
    (void)waiter_cancel(store, &request->id);
    struct buffer key;
    struct buffer record;
    buffer_init(&key);
    buffer_init(&record);
    uint64_t order = store_new_object(store);
    buffer_put_u64(&record, order);
    buffer_append_byte(&record, request->protocol);
    buffer_append_byte(&record, request->db);
    buffer_append_byte(&record, (uint8_t)request->operation);
    buffer_put_slice(&record, request->parameters);
    buffer_put_u32(&record, (uint32_t)request->key_count);
    queue_on_keys(store, request, order, &record);
    record_key(&key, &request->id);
    if (usable(store, &key) && usable(store, &record)) {
        store_put(store, buffer_bytes(&key), buffer_bytes(&record));
    }
    buffer_deinit(&key);
    buffer_deinit(&record);
    return true;
}

struct listing {
    struct buffer *out;
    size_t count;
};

static bool list_number(void *arg, rr_bytes key, rr_bytes value)
{
    struct listing *listing = arg;
    (void)value;
    buffer_put_u64(listing->out, layout_u64_at(key, 1 + 16));
    listing->count++;
    return !listing->out->failed;
}

size_t waiter_list(struct store *store, uint64_t node, uint64_t boot, struct buffer *out)
{
    struct listing listing = {out, 0};
    struct buffer prefix;
    buffer_init(&prefix);
    record_key(&prefix, &(struct waiter_id){node, boot, 0});
    if (usable(store, &prefix)) {
        buffer_truncate(&prefix, 1 + 16);
        store_prefix(store, buffer_bytes(&prefix), false, list_number, &listing);
    }
    buffer_deinit(&prefix);
    return listing.count;
}

/* ---- Waiters of nodes that are gone ---- */

/* Tells a waiter that it waits no more; its client may be there after all. */
static void waiter_drop(struct store *store, const struct waiter *waiter)
{
    struct reply reply;
    reply_init(&reply, waiter->protocol);
    reply_error(&reply, "UNBLOCKED force unblock from blocking operation, the client's node was "
                        "out of reach for too long; nothing was taken");
    if (usable(store, &reply.out)) {
        events_served(&store->events, &waiter->id, buffer_bytes(&reply.out));
    }
    reply_deinit(&reply);
    waiter_remove(store, waiter);
}

/* Some waiters of a node, found by their records. */
struct found {
    struct waiter_id ids[PAGE];
    size_t count;
    size_t wanted;
};

static bool found_add(void *arg, rr_bytes key, rr_bytes value)
{
    struct found *found = arg;
    (void)value;
    struct reader reader = {(const uint8_t *)key.data + 1, key.size - 1, false};
    found->ids[found->count++] = read_id(&reader);
    return found->count < found->wanted;
}

/* Finds up to `wanted` waiters of the node that began with boots from `first` to `last`. */
static void find_boots(struct store *store, uint64_t node, uint64_t first, uint64_t last,
                       size_t wanted, struct found *out)
{
    struct buffer from;
    struct buffer to;
    buffer_init(&from);
    buffer_init(&to);
    out->count = 0;
    out->wanted = wanted < PAGE ? wanted : PAGE;
    record_key(&from, &(struct waiter_id){node, first, 0});
    record_key(&to, &(struct waiter_id){node, last, UINT64_MAX});
    buffer_append_byte(&to, 0); /* behind the last number itself */
    if (out->wanted > 0 && usable(store, &from) && usable(store, &to)) {
        store_range(store, buffer_bytes(&from), buffer_bytes(&to), false, found_add, out);
    }
    buffer_deinit(&from);
    buffer_deinit(&to);
}

/* Finds waiters that nobody answers for any more: all if the lease has ended, else those of other
 * starts of the node. */
static void find_dead(struct store *store, const struct lease *lease, size_t wanted,
                      struct found *out)
{
    if (lease_ended(store, lease)) {
        find_boots(store, lease->node, 0, UINT64_MAX, wanted, out);
        return;
    }
    out->count = 0;
    if (lease->boot > 0) {
        find_boots(store, lease->node, 0, lease->boot - 1, wanted, out);
    }
    if (out->count == 0 && lease->boot < UINT64_MAX) {
        find_boots(store, lease->node, lease->boot + 1, UINT64_MAX, wanted, out);
    }
}

struct leases {
    struct lease leases[PAGE]; /* members of a cluster are fewer */
    size_t count;
};

static bool leases_add(void *arg, rr_bytes key, rr_bytes value)
{
    struct leases *leases = arg;
    struct lease *lease = &leases->leases[leases->count];
    lease->node = layout_u64_at(key, 1);
    if (lease_decode(value, lease)) {
        leases->count++;
    }
    return leases->count < PAGE;
}

static void find_leases(struct store *store, struct leases *out)
{
    const uint8_t kind = LAYOUT_WAITER_NODE;
    out->count = 0;
    store_prefix(store, (rr_bytes){&kind, 1}, false, leases_add, out);
}

bool waiter_has_dead(struct store *store)
{
    struct leases leases;
    find_leases(store, &leases);
    for (size_t i = 0; i < leases.count; i++) {
        struct found found;
        if (lease_ended(store, &leases.leases[i])) {
            return true;
        }
        find_dead(store, &leases.leases[i], 1, &found);
        if (found.count > 0) {
            return true;
        }
    }
    return false;
}

static size_t drop_dead_of(struct store *store, const struct lease *lease, size_t limit)
{
    size_t dropped = 0;
    struct found found;
    struct waiter waiter;
    buffer_init(&waiter.record);
    do {
        find_dead(store, lease, limit - dropped, &found);
        for (size_t i = 0; i < found.count; i++) {
            if (waiter_load(store, &found.ids[i], &waiter)) {
                waiter_drop(store, &waiter);
            }
        }
        dropped += found.count;
    } while (found.count > 0 && dropped < limit && store->failure == RR_OK);
    buffer_deinit(&waiter.record);
    if (dropped < limit && lease_ended(store, lease) && store->failure == RR_OK) {
        struct buffer key;
        buffer_init(&key);
        node_key(&key, lease->node);
        if (usable(store, &key)) {
            store_delete(store, buffer_bytes(&key));
        }
        buffer_deinit(&key);
    }
    return dropped;
}

size_t waiter_drop_dead(struct store *store, size_t limit)
{
    size_t dropped = 0;
    struct leases leases;
    find_leases(store, &leases);
    for (size_t i = 0; i < leases.count && dropped < limit; i++) {
        dropped += drop_dead_of(store, &leases.leases[i], limit - dropped);
    }
    return dropped;
}

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
    queues_key(&prefix, db, name);
    if (usable(store, &prefix)) {
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
    (void)usable(store, &store->ready);
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
    return waited->store->failure == RR_OK && usable(waited->store, &waited->last);
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
    page->ids[page->count++] = read_id(&reader);
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
    place_key(&from, db, name, class, after + 1);
    place_key(&to, db, name, class, UINT64_MAX);
    if (usable(store, &from) && usable(store, &to)) {
        store_range(store, buffer_bytes(&from), buffer_bytes(&to), false, page_add, out);
    }
    buffer_deinit(&from);
    buffer_deinit(&to);
}

static bool waiter_is_dead(struct store *store, const struct waiter_id *id)
{
    struct lease lease;
    return !lease_load(store, id->node, &lease) || lease.boot != id->boot ||
           lease_ended(store, &lease);
}

/* Serves one waiter if the key has something for it. */
static void serve_one(struct store *store, struct key *key, const struct waiter *waiter,
                      waiter_serve_fn serve)
{
    struct reply reply;
    reply_init(&reply, waiter->protocol);
    if (serve(store, key, waiter, &reply)) {
        waiter_remove(store, waiter);
        if (usable(store, &reply.out)) {
            events_served(&store->events, &waiter->id, buffer_bytes(&reply.out));
        }
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
        if (usable(store, &name)) {
            serve_key(store, db, buffer_bytes(&name), serve);
        }
    }
    buffer_deinit(&name);
    buffer_clear(&store->ready);
}
