/* Registering waiters, cancelling and listing them. */
#include "coredb/value/waiter_private.h"

#include "coredb/base/bytes.h"
#include "coredb/value/layout.h"

enum { TOUCH_MS = 1000 }; /* a registration renews a lease that is older */

enum waiter_class waiter_class_of(enum waiter_operation operation)
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

void waiter_put_id(struct buffer *out, const struct waiter_id *id)
{
    buffer_put_u64(out, id->node);
    buffer_put_u64(out, id->boot);
    buffer_put_u64(out, id->number);
}

struct waiter_id waiter_read_id(struct reader *reader)
{
    struct waiter_id id;
    id.node = reader_u64(reader);
    id.boot = reader_u64(reader);
    id.number = reader_u64(reader);
    return id;
}

void waiter_record_key(struct buffer *out, const struct waiter_id *id)
{
    buffer_clear(out);
    buffer_append_byte(out, LAYOUT_WAITER);
    waiter_put_id(out, id);
}

void waiter_queues_key(struct buffer *out, uint32_t db, rr_bytes name)
{
    buffer_clear(out);
    buffer_append_byte(out, LAYOUT_WAITER_KEY);
    buffer_append_byte(out, (uint8_t)db);
    buffer_put_slice(out, name);
}

void waiter_place_key(struct buffer *out, uint32_t db, rr_bytes name, enum waiter_class class,
                      uint64_t order)
{
    waiter_queues_key(out, db, name);
    buffer_append_byte(out, (uint8_t) class);
    buffer_put_u64(out, order);
}

bool waiter_usable(struct store *store, const struct buffer *buffer)
{
    if (buffer->failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    return !buffer->failed;
}

/* ---- Records ---- */

bool waiter_load(struct store *store, const struct waiter_id *id, struct waiter *out)
{
    struct buffer key;
    buffer_init(&key);
    waiter_record_key(&key, id);
    bool found =
        waiter_usable(store, &key) && store_get_copy(store, buffer_bytes(&key), &out->record);
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

void waiter_remove(struct store *store, const struct waiter *waiter)
{
    struct buffer key;
    buffer_init(&key);
    enum waiter_class class = waiter_class_of(waiter->operation);
    struct reader reader = reader_of(waiter->keys);
    struct store_db *db = store_db_changing(store, waiter->db);
    for (uint32_t i = 0; i < waiter->key_count && !reader.failed; i++) {
        bool repeated = reader_u8(&reader) != 0;
        waiter_place_key(&key, waiter->db, reader_slice(&reader), class, waiter->order);
        if (!repeated && waiter_usable(store, &key)) {
            store_delete(store, buffer_bytes(&key));
            db->waiter_count--;
        }
    }
    waiter_record_key(&key, &waiter->id);
    if (waiter_usable(store, &key)) {
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
    enum waiter_class class = waiter_class_of(request->operation);
    buffer_init(&key);
    buffer_init(&id);
    waiter_put_id(&id, &request->id);
    for (size_t i = 0; i < request->key_count && store->failure == RR_OK; i++) {
        waiter_place_key(&key, request->db, request->keys[i], class, order);
        if (!waiter_usable(store, &key) || !waiter_usable(store, &id)) {
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
    if (!waiter_lease_renew(store, request->id.node, request->id.boot, TOUCH_MS)) {
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
    waiter_record_key(&key, &request->id);
    if (waiter_usable(store, &key) && waiter_usable(store, &record)) {
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
    waiter_record_key(&prefix, &(struct waiter_id){node, boot, 0});
    if (waiter_usable(store, &prefix)) {
        buffer_truncate(&prefix, 1 + 16);
        store_prefix(store, buffer_bytes(&prefix), false, list_number, &listing);
    }
    buffer_deinit(&prefix);
    return listing.count;
}
