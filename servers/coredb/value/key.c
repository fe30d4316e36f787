/* Keys and their metadata; see key.h. */
#include "coredb/value/key.h"

#include "coredb/base/bytes.h"
#include "coredb/value/layout.h"
#include "coredb/value/waiter.h"

/* More sub-keys than these are left as garbage. */
enum { DROP_AT_ONCE_MAX = 64 };

static bool expired(struct store *store, uint64_t expire_ms)
{
    if (expire_ms == 0 || expire_ms > store->now_ms) {
        return false;
    }
    if (expire_ms > store->clock_ms) {
        store->clock_behind = true;
    }
    return true;
}

bool key_record_expired(struct store *store, const struct key_record *record)
{
    return expired(store, record->expire_ms);
}

void key_notify(struct store *store, const struct key *key, enum notify_class notify_class,
                const char *event)
{
    events_notify(&store->events, notify_class, key->db, event, key->name);
}

void key_signal_ready(struct store *store, const struct key *key)
{
    waiter_signal(store, key->db, key->name);
}

static void signal_gone(struct store *store, const struct key *key)
{
    if (key->type == VALUE_STREAM) {
        key_signal_ready(store, key);
    }
}

void key_open(struct store *store, rr_bytes name, struct key *key)
{
    key_open_in(store, store->db_index, name, key);
}

void key_open_in(struct store *store, uint32_t db, rr_bytes name, struct key *key)
{
    memset(key, 0, sizeof(*key));
    buffer_init(&key->payload);
    key->name = name;
    key->db = db;
    key->generation = store_db(store, db)->generation;
    layout_meta(&store->key, key->generation, name);
    rr_bytes value;
    struct key_record record;
    if (!store_get(store, buffer_bytes(&store->key), &value)) {
        store->keys_missing++;
        return;
    }
    if (!key_record_decode(value, &record)) {
        store_fail(store, RR_CORRUPT);
        return;
    }
    key->exists = true;
    key->type = record.type;
    key->encoding = record.encoding;
    key->expire_ms = key->stored_expire_ms = record.expire_ms;
    key->modified = record.modified;
    key->object = record.object;
    key->count = record.count;
    key->first = record.first;
    if (expired(store, record.expire_ms)) {
        store->keys_missing++;
        if (store->is_query) {
            key->exists = false;
            key->type = VALUE_NONE;
            key->modified = key->expire_ms = key->stored_expire_ms = key->count = 0;
        } else {
            key_delete(store, key);
            key_notify(store, key, NOTIFY_EXPIRED, "expired");
        }
        return;
    }
    store->keys_found++;
    buffer_append_bytes(&key->payload, record.payload);
    if (key->payload.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
}

void key_close(struct key *key)
{
    buffer_deinit(&key->payload);
}

uint64_t key_watched(struct store *store, const struct key *key)
{
    if (key->type == VALUE_NONE) {
        return 0;
    }
    uint64_t swapped = store_db(store, key->db)->swapped;
    return key->modified > swapped ? key->modified : swapped;
}

static bool has_object(enum value_type type)
{
    return type != VALUE_STRING && type != VALUE_NONE;
}

void key_create(struct store *store, struct key *key, enum value_type type,
                enum value_encoding encoding)
{
    key->type = type;
    key->encoding = encoding;
    key->expire_ms = 0;
    key->count = 0;
    key->first = 0;
    key->object = has_object(type) ? store_new_object(store) : 0;
    buffer_clear(&key->payload);
}

static void set_expiry_index(struct store *store, const struct key *key, uint64_t expire_ms)
{
    struct store_db *db = store_db_changing(store, key->db);
    if (key->stored_expire_ms != 0) {
        layout_expiry(&store->key, key->stored_expire_ms, key->generation, key->name);
        store_delete(store, buffer_bytes(&store->key));
        db->expiring_count--;
    }
    if (expire_ms != 0) {
        layout_expiry(&store->key, expire_ms, key->generation, key->name);
        store_put(store, buffer_bytes(&store->key), (rr_bytes){NULL, 0});
        db->expiring_count++;
    }
}

static void put_record(struct store *store, struct key *key)
{
    struct buffer value;
    buffer_init(&value);
    key_record_encode(&value, &(struct key_record){.type = key->type,
                                                   .encoding = key->encoding,
                                                   .expire_ms = key->expire_ms,
                                                   .modified = key->modified,
                                                   .object = key->object,
                                                   .count = key->count,
                                                   .first = key->first,
                                                   .payload = buffer_bytes(&key->payload)});
    if (value.failed || key->payload.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    layout_meta(&store->key, key->generation, key->name);
    store_put(store, buffer_bytes(&store->key), buffer_bytes(&value));
    buffer_deinit(&value);
}

bool key_save(struct store *store, struct key *key)
{
    if (key->count == 0 && has_object(key->type) && key->type != VALUE_STREAM) {
        key_delete(store, key);
        return true;
    }
    if (key->expire_ms != key->stored_expire_ms) {
        set_expiry_index(store, key, key->expire_ms);
        key->stored_expire_ms = key->expire_ms;
    }
    key->modified = rr_view_index(store->view);
    put_record(store, key);
    if (!key->exists) {
        key->exists = true;
        store_db_changing(store, key->db)->key_count++;
        key_notify(store, key, NOTIFY_NEW, "new");
    }
    return false;
}

void key_save_encoding(struct store *store, struct key *key)
{
    put_record(store, key);
}

static void remove_record(struct store *store, struct key *key)
{
    if (!key->exists) {
        return;
    }
    if (key->stored_expire_ms != 0) {
        set_expiry_index(store, key, 0);
    }
    layout_meta(&store->key, key->generation, key->name);
    store_delete(store, buffer_bytes(&store->key));
    store_db_changing(store, key->db)->key_count--;
}

static void make_absent(struct key *key)
{
    key->type = VALUE_NONE;
    key->expire_ms = 0;
    key->modified = 0;
    key->object = 0;
    key->count = 0;
    key->first = 0;
    buffer_clear(&key->payload);
}

void key_delete(struct store *store, struct key *key)
{
    signal_gone(store, key);
    if (key->object != 0) {
        key_drop_object(store, key->type, key->object, key->count);
    }
    remove_record(store, key);
    make_absent(key);
    key->exists = false;
    key->stored_expire_ms = 0;
}

void key_clear(struct store *store, struct key *key)
{
    signal_gone(store, key);
    if (key->object != 0) {
        key_drop_object(store, key->type, key->object, key->count);
    }
    make_absent(key);
}

void key_set_string(struct store *store, struct key *key, rr_bytes value, bool keep_ttl)
{
    uint64_t expire_ms = keep_ttl ? key->expire_ms : 0;
    key_clear(store, key);
    key_create(store, key, VALUE_STRING, ENCODING_AUTO);
    key->expire_ms = expire_ms;
    buffer_append_bytes(&key->payload, value);
    if (key->payload.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    key_save(store, key);
}

void key_move(struct store *store, struct key *from, struct key *to)
{
    if (to->type != VALUE_NONE) {
        key_clear(store, to);
    }
    to->type = from->type;
    to->encoding = from->encoding;
    to->expire_ms = from->expire_ms;
    to->object = from->object;
    to->count = from->count;
    to->first = from->first;
    buffer_clear(&to->payload);
    buffer_append_bytes(&to->payload, buffer_bytes(&from->payload));
    if (to->payload.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    signal_gone(store, from);
    remove_record(store, from);
    make_absent(from);
    from->exists = false;
    from->stored_expire_ms = 0;
    key_save(store, to);
}

/* The kinds of sub-keys that a type has. */
static size_t kinds_of(enum value_type type, enum layout_kind kinds[2])
{
    switch (type) {
    case VALUE_LIST:
        kinds[0] = LAYOUT_LIST;
        return 1;
    case VALUE_SET:
        kinds[0] = LAYOUT_SET;
        return 1;
    case VALUE_HASH:
        kinds[0] = LAYOUT_HASH;
        return 1;
    case VALUE_ZSET:
        kinds[0] = LAYOUT_ZSET;
        kinds[1] = LAYOUT_ZSET_ORDER;
        return 2;
    case VALUE_STREAM:
        kinds[0] = LAYOUT_STREAM;
        kinds[1] = LAYOUT_STREAM_GROUPS;
        return 2;
    case VALUE_NONE:
    case VALUE_STRING:
        break;
    }
    return 0;
}

/* Deletes up to `limit` sub-keys; whether none is left. */
static bool drop_some(struct store *store, enum value_type type, uint64_t object, size_t limit,
                      size_t *deleted)
{
    enum layout_kind kinds[2];
    size_t kind_count = kinds_of(type, kinds);
    struct buffer prefix;
    buffer_init(&prefix);
    bool finished = true;
    for (size_t i = 0; i < kind_count && finished; i++) {
        layout_object(&prefix, kinds[i], object);
        size_t count = store_delete_prefix(store, buffer_bytes(&prefix), limit);
        *deleted += count;
        finished = count < limit;
        limit -= count;
    }
    buffer_deinit(&prefix);
    return finished;
}

void key_drop_object(struct store *store, enum value_type type, uint64_t object, uint64_t count)
{
    size_t deleted = 0;
    if (count <= DROP_AT_ONCE_MAX &&
        drop_some(store, type, object, 2 * DROP_AT_ONCE_MAX + 2, &deleted)) {
        return;
    }
    uint8_t byte = (uint8_t)type;
    layout_garbage(&store->key, object);
    store_put(store, buffer_bytes(&store->key), (rr_bytes){&byte, 1});
}

struct first_pair {
    struct buffer key;
    struct buffer value;
    bool found;
};

static bool take_first(void *arg, rr_bytes key, rr_bytes value)
{
    struct first_pair *first = arg;
    buffer_clear(&first->key);
    buffer_clear(&first->value);
    buffer_append_bytes(&first->key, key);
    buffer_append_bytes(&first->value, value);
    first->found = true;
    return false;
}

static bool first_of(struct store *store, uint8_t kind, struct first_pair *first)
{
    first->found = false;
    store_prefix(store, (rr_bytes){&kind, 1}, false, take_first, first);
    if (first->key.failed || first->value.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    return first->found && store->failure == RR_OK;
}

static void first_init(struct first_pair *first)
{
    buffer_init(&first->key);
    buffer_init(&first->value);
}

static void first_deinit(struct first_pair *first)
{
    buffer_deinit(&first->key);
    buffer_deinit(&first->value);
}

static size_t collect_objects(struct store *store, size_t limit, struct first_pair *first)
{
    size_t deleted = 0;
    while (deleted < limit && first_of(store, LAYOUT_GARBAGE, first)) {
        uint64_t object = layout_u64_at(buffer_bytes(&first->key), 1);
        enum value_type type = (enum value_type)first->value.data[0];
        if (drop_some(store, type, object, limit - deleted, &deleted)) {
            store_delete(store, buffer_bytes(&first->key));
            deleted++;
        }
    }
    return deleted;
}

/* Pairs taken down in one visit: a seek for each would walk over all that was deleted before. */
struct gathered {
    struct buffer pairs; /* slice key, slice value, of a record only the beginning */
    size_t count;
    size_t limit;
};

static bool gather(void *arg, rr_bytes key, rr_bytes value)
{
    struct gathered *gathered = arg;
    size_t size = value.size < KEY_RECORD_HEAD_BYTES_MAX ? value.size : KEY_RECORD_HEAD_BYTES_MAX;
    buffer_put_slice(&gathered->pairs, key);
    buffer_put_slice(&gathered->pairs, (rr_bytes){value.data, size});
    return ++gathered->count < gathered->limit;
}

/* Takes down the first `limit` pairs, at least 1, whose key starts with `prefix`. */
static void gather_first(struct store *store, rr_bytes prefix, size_t limit, struct gathered *out)
{
    *out = (struct gathered){.limit = limit};
    buffer_init(&out->pairs);
    store_prefix(store, prefix, false, gather, out);
    if (out->pairs.failed) {
        store_fail(store, RR_NO_MEMORY);
        out->count = 0;
    }
}

/* Deletes up to `limit` records of a generation that is gone; returns how many. */
static size_t collect_metas(struct store *store, uint64_t generation, size_t limit)
{
    struct buffer prefix;
    struct gathered metas;
    buffer_init(&prefix);
    layout_meta_generation(&prefix, generation);
    gather_first(store, buffer_bytes(&prefix), limit, &metas);
    buffer_deinit(&prefix);
    struct reader reader = reader_of(buffer_bytes(&metas.pairs));
    for (size_t i = 0; i < metas.count; i++) {
        rr_bytes stored = reader_slice(&reader);
        struct key_record record;
        if (!key_record_decode(reader_slice(&reader), &record)) {
            store_fail(store, RR_CORRUPT);
            break;
        }
        if (record.object != 0) {
            key_drop_object(store, record.type, record.object, record.count);
        }
        if (record.expire_ms != 0) {
            layout_expiry(&store->key, record.expire_ms, generation, layout_name(stored));
            store_delete(store, buffer_bytes(&store->key));
        }
        store_delete(store, stored);
    }
    buffer_deinit(&metas.pairs);
    return metas.count;
}

size_t key_collect_garbage(struct store *store, size_t limit)
{
    struct first_pair first;
    first_init(&first);
    size_t deleted = collect_objects(store, limit, &first);
    while (deleted < limit && first_of(store, LAYOUT_GARBAGE_GENERATION, &first)) {
        uint64_t generation = layout_u64_at(buffer_bytes(&first.key), 1);
        deleted += collect_metas(store, generation, limit - deleted);
        if (deleted < limit) {
            store_delete(store, buffer_bytes(&first.key));
            deleted++;
        }
    }
    first_deinit(&first);
    return deleted;
}

bool key_has_garbage(struct store *store)
{
    struct first_pair first;
    first_init(&first);
    bool found = first_of(store, LAYOUT_GARBAGE, &first) ||
                 first_of(store, LAYOUT_GARBAGE_GENERATION, &first);
    first_deinit(&first);
    return found;
}

/* Deletes the key that a row of the expiry index, which is due, is about. */
static void expire_row(struct store *store, rr_bytes stored)
{
    uint64_t generation = layout_u64_at(stored, 9);
    rr_bytes name = {(const uint8_t *)stored.data + LAYOUT_EXPIRY_NAME_OFFSET,
                     stored.size - LAYOUT_EXPIRY_NAME_OFFSET};
    for (uint32_t i = 0; i < STORE_DATABASES; i++) {
        if (store_db(store, i)->generation == generation) {
            struct key key;
            key_open_in(store, i, name, &key); /* deletes it, and the row */
            key_close(&key);
            return;
        }
    }
    store_delete(store, stored); /* of a database that was flushed */
}

size_t key_expire_due(struct store *store, size_t limit)
{
    uint8_t kind = LAYOUT_EXPIRY;
    struct gathered rows;
    if (limit == 0) {
        return 0;
    }
    gather_first(store, (rr_bytes){&kind, 1}, limit, &rows);
    struct reader reader = reader_of(buffer_bytes(&rows.pairs));
    size_t count = 0;
    for (; count < rows.count; count++) {
        rr_bytes stored = reader_slice(&reader);
        (void)reader_slice(&reader);
        if (stored.size < LAYOUT_EXPIRY_NAME_OFFSET || layout_u64_at(stored, 1) > store->clock_ms) {
            break;
        }
        expire_row(store, stored);
    }
    buffer_deinit(&rows.pairs);
    return count;
}

uint64_t key_next_expiry(struct store *store)
{
    struct first_pair first;
    first_init(&first);
    uint64_t expire_ms =
        first_of(store, LAYOUT_EXPIRY, &first) ? layout_u64_at(buffer_bytes(&first.key), 1) : 0;
    first_deinit(&first);
    return expire_ms;
}

void key_flush(struct store *store, uint32_t db)
{
    struct store_db *record = store_db_changing(store, db);
    if (record->key_count != 0) {
        layout_garbage_generation(&store->key, record->generation);
        store_put(store, buffer_bytes(&store->key), (rr_bytes){NULL, 0});
        record->generation = store_new_object(store);
    }
    record->key_count = 0;
    record->expiring_count = 0;
    waiter_signal_db(store, db);
}
