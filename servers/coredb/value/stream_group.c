/* Groups of consumers. */
#include "coredb/value/stream_group.h"

#include "coredb/base/bytes.h"
#include "coredb/value/layout.h"

enum record { GROUP = 'g', CONSUMER = 'c', PENDING = 'p', OWNED = 'q' };

enum {
    GROUP_NAME_OFFSET = 10,    /* after kind, object, record */
    CONSUMER_NAME_OFFSET = 18, /* and the group's number */
    PENDING_ID_OFFSET = 18,
    OWNED_ID_OFFSET = 26, /* and the consumer's number */
    DELETE_PORTION = 1000,
};

/* ---- Keys ---- */

static void put_record(struct buffer *out, const struct stream *stream, enum record record)
{
    layout_object(out, LAYOUT_STREAM_GROUPS, stream->key->object);
    buffer_append_byte(out, (uint8_t)record);
}

static void put_numbered(struct buffer *out, const struct stream *stream, enum record record,
                         uint64_t group)
{
    put_record(out, stream, record);
    buffer_put_u64(out, group);
}

static rr_bytes checked(struct store *store, const struct buffer *key)
{
    if (key->failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    return buffer_bytes(key);
}

static rr_bytes group_key(struct store *store, const struct stream *stream, rr_bytes name)
{
    put_record(&store->key, stream, GROUP);
    buffer_append_bytes(&store->key, name);
    return checked(store, &store->key);
}

static rr_bytes consumer_key(struct store *store, const struct stream *stream, uint64_t group,
                             rr_bytes name)
{
    put_numbered(&store->key, stream, CONSUMER, group);
    buffer_append_bytes(&store->key, name);
    return checked(store, &store->key);
}

static rr_bytes pending_key(struct store *store, const struct stream *stream, uint64_t group,
                            struct stream_id id)
{
    put_numbered(&store->key, stream, PENDING, group);
    stream_id_put(&store->key, id);
    return checked(store, &store->key);
}

static rr_bytes owned_key(struct store *store, const struct stream *stream, uint64_t group,
                          uint64_t consumer, struct stream_id id)
{
    put_numbered(&store->key, stream, OWNED, group);
    buffer_put_u64(&store->key, consumer);
    stream_id_put(&store->key, id);
    return checked(store, &store->key);
}

static rr_bytes rest_of(rr_bytes key, size_t offset)
{
    if (key.size < offset) {
        return (rr_bytes){0};
    }
    return (rr_bytes){(const uint8_t *)key.data + offset, key.size - offset};
}

/* ---- Groups ---- */

static void group_read(rr_bytes value, rr_bytes name, struct stream_group *out)
{
    struct reader reader = reader_of(value);
    *out = (struct stream_group){.name = name};
    out->number = reader_u64(&reader);
    out->last = stream_id_read(&reader);
    out->entries_read = (int64_t)reader_u64(&reader);
    out->pending = reader_u64(&reader);
    out->consumers = reader_u64(&reader);
}

bool stream_group_get(struct store *store, const struct stream *stream, rr_bytes name,
                      struct stream_group *out)
{
    rr_bytes value;
    if (stream->key->type != VALUE_STREAM ||
        !store_get(store, group_key(store, stream, name), &value)) {
        return false;
    }
    group_read(value, name, out);
    return true;
}

void stream_group_save(struct store *store, const struct stream *stream, struct stream_group *group)
{
    if (group->number == 0) {
        group->number = store_new_object(store);
    }
    struct buffer value;
    buffer_init(&value);
    buffer_put_u64(&value, group->number);
    stream_id_put(&value, group->last);
    buffer_put_u64(&value, (uint64_t)group->entries_read);
    buffer_put_u64(&value, group->pending);
    buffer_put_u64(&value, group->consumers);
    store_put(store, group_key(store, stream, group->name), checked(store, &value));
    buffer_deinit(&value);
}

static void delete_prefix(struct store *store, const struct buffer *prefix)
{
    rr_bytes bytes = checked(store, prefix);
    while (store->failure == RR_OK &&
           store_delete_prefix(store, bytes, DELETE_PORTION) == DELETE_PORTION) {
    }
}

void stream_group_delete(struct store *store, const struct stream *stream,
                         const struct stream_group *group)
{
    static const enum record records[] = {CONSUMER, PENDING, OWNED};
    struct buffer prefix;
    buffer_init(&prefix);
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        put_numbered(&prefix, stream, records[i], group->number);
        delete_prefix(store, &prefix);
    }
    buffer_deinit(&prefix);
    store_delete(store, group_key(store, stream, group->name));
}

struct group_visit {
    stream_group_fn visit;
    void *arg;
};

static bool visit_group(void *arg, rr_bytes key, rr_bytes value)
{
    const struct group_visit *visit = arg;
    struct stream_group group;
    group_read(value, rest_of(key, GROUP_NAME_OFFSET), &group);
    return visit->visit(visit->arg, &group);
}

void stream_group_each(struct store *store, const struct stream *stream, stream_group_fn visit,
                       void *arg)
{
    struct buffer prefix;
    buffer_init(&prefix);
    put_record(&prefix, stream, GROUP);
    store_prefix(store, checked(store, &prefix), false, visit_group,
                 &(struct group_visit){visit, arg});
    buffer_deinit(&prefix);
}

/* ---- How far groups have read ---- */

static bool is_zero(struct stream_id id)
{
    return id.ms == 0 && id.seq == 0;
}

/* Whether entries may be missing among those after `from`, by XDEL. */
static bool has_gaps_after(const struct stream *stream, struct stream_id from)
{
    return stream->key->count > 0 && !is_zero(stream->max_deleted) &&
           stream_id_compare(stream->first, stream->max_deleted) <= 0 &&
           stream_id_compare(from, stream->max_deleted) <= 0;
}

int64_t stream_entries_until(const struct stream *stream, struct stream_id id)
{
    uint64_t added = stream->added; /* any number: XSETID sets it */
    uint64_t length = stream->key->count;
    int to_last = stream_id_compare(id, stream->last);
    if (added == 0) {
        return 0;
    }
    if (to_last == 0 || (length == 0 && to_last < 0)) {
        return (int64_t)added;
    }
    if (to_last > 0) {
        return STREAM_READ_UNKNOWN;
    }
    if (is_zero(stream->max_deleted) || stream_id_compare(stream->max_deleted, stream->first) < 0) {
        int to_first = stream_id_compare(id, stream->first);
        if (to_first <= 0) {
            return (int64_t)(added - length + (to_first == 0 ? 1 : 0));
        }
    }
    return STREAM_READ_UNKNOWN;
}

void stream_group_deliver(const struct stream *stream, struct stream_group *group,
                          struct stream_id id)
{
    if (stream_id_compare(id, group->last) <= 0) {
        return;
    }
    if (group->entries_read != STREAM_READ_UNKNOWN && !has_gaps_after(stream, id)) {
        group->entries_read = (int64_t)((uint64_t)group->entries_read + 1);
    } else if (stream->added > 0) {
        group->entries_read = stream_entries_until(stream, id);
    }
    group->last = id;
}

bool stream_group_lag(const struct stream *stream, const struct stream_group *group, int64_t *out)
{
    int64_t entries_read = group->entries_read;
    if (stream->added == 0) {
        *out = 0;
        return true;
    }
    if (entries_read == STREAM_READ_UNKNOWN || has_gaps_after(stream, group->last)) {
        entries_read = stream_entries_until(stream, group->last);
        if (entries_read == STREAM_READ_UNKNOWN) {
            return false;
        }
    }
    *out = (int64_t)(stream->added - (uint64_t)entries_read);
    return true;
}

/* ---- Consumers ---- */

static void consumer_read(rr_bytes value, rr_bytes name, struct stream_consumer *out)
{
    struct reader reader = reader_of(value);
    *out = (struct stream_consumer){.name = name};
    out->number = reader_u64(&reader);
    out->seen_ms = reader_u64(&reader);
    out->pending = reader_u64(&reader);
}

bool stream_consumer_get(struct store *store, const struct stream *stream,
                         const struct stream_group *group, rr_bytes name,
                         struct stream_consumer *out)
{
    rr_bytes value;
    if (!store_get(store, consumer_key(store, stream, group->number, name), &value)) {
        return false;
    }
    consumer_read(value, name, out);
    return true;
}

void stream_consumer_save(struct store *store, const struct stream *stream,
                          const struct stream_group *group, const struct stream_consumer *consumer)
{
    struct buffer value;
    buffer_init(&value);
    buffer_put_u64(&value, consumer->number);
    buffer_put_u64(&value, consumer->seen_ms);
    buffer_put_u64(&value, consumer->pending);
    store_put(store, consumer_key(store, stream, group->number, consumer->name),
              checked(store, &value));
    buffer_deinit(&value);
}

void stream_consumer_create(struct store *store, const struct stream *stream,
                            struct stream_group *group, rr_bytes name, struct stream_consumer *out)
{
    *out = (struct stream_consumer){
        .name = name, .number = store_new_object(store), .seen_ms = store->now_ms};
    group->consumers++;
    stream_consumer_save(store, stream, group, out);
}

struct ids {
    struct stream_id ids[DELETE_PORTION];
    size_t count;
};

static bool collect_id(void *arg, const struct stream_pending *pending)
{
    struct ids *ids = arg;
    ids->ids[ids->count++] = pending->id;
    return ids->count < DELETE_PORTION;
}

void stream_consumer_delete(struct store *store, const struct stream *stream,
                            struct stream_group *group, const struct stream_consumer *consumer)
{
    struct ids ids;
    do {
        ids.count = 0;
        stream_pending_range(store, stream, group, consumer->number, STREAM_ID_MIN, STREAM_ID_MAX,
                             false, collect_id, &ids);
        for (size_t i = 0; i < ids.count; i++) {
            store_delete(store, pending_key(store, stream, group->number, ids.ids[i]));
            store_delete(store,
                         owned_key(store, stream, group->number, consumer->number, ids.ids[i]));
        }
        group->pending -= ids.count;
    } while (ids.count == DELETE_PORTION && store->failure == RR_OK);
    store_delete(store, consumer_key(store, stream, group->number, consumer->name));
    group->consumers--;
}

struct consumer_visit {
    stream_consumer_fn visit;
    void *arg;
};

static bool visit_consumer(void *arg, rr_bytes key, rr_bytes value)
{
    const struct consumer_visit *visit = arg;
    struct stream_consumer consumer;
    consumer_read(value, rest_of(key, CONSUMER_NAME_OFFSET), &consumer);
    return visit->visit(visit->arg, &consumer);
}

void stream_consumer_each(struct store *store, const struct stream *stream,
                          const struct stream_group *group, stream_consumer_fn visit, void *arg)
{
    struct buffer prefix;
    buffer_init(&prefix);
    put_numbered(&prefix, stream, CONSUMER, group->number);
    store_prefix(store, checked(store, &prefix), false, visit_consumer,
                 &(struct consumer_visit){visit, arg});
    buffer_deinit(&prefix);
}

/* ---- Pending entries ---- */

static void pending_read(rr_bytes value, struct stream_id id, struct stream_pending *out)
{
    struct reader reader = reader_of(value);
    *out = (struct stream_pending){.id = id};
    out->consumer = reader_u64(&reader);
    out->delivered_ms = reader_u64(&reader);
    out->deliveries = reader_u64(&reader);
    out->consumer_name = reader_take(&reader, reader.left);
}

bool stream_pending_get(struct store *store, const struct stream *stream,
                        const struct stream_group *group, struct stream_id id,
                        struct stream_pending *out)
{
    rr_bytes value;
    if (!store_get(store, pending_key(store, stream, group->number, id), &value)) {
        return false;
    }
    pending_read(value, id, out);
    return true;
}

/* Takes an entry away from its owner, whose count follows; the entry's record stays. */
static void disown(struct store *store, const struct stream *stream,
                   const struct stream_group *group, struct stream_consumer *known,
                   const struct stream_pending *pending)
{
    if (known != NULL && known->number == pending->consumer) {
        known->pending--;
    } else {
        struct buffer name; /* outlives the lookup */
        struct stream_consumer owner;
        buffer_init(&name);
        buffer_append_bytes(&name, pending->consumer_name);
        if (stream_consumer_get(store, stream, group, checked(store, &name), &owner)) {
            owner.pending--;
            stream_consumer_save(store, stream, group, &owner);
        }
        buffer_deinit(&name);
    }
    store_delete(store, owned_key(store, stream, group->number, pending->consumer, pending->id));
}

void stream_pending_give(struct store *store, const struct stream *stream,
                         struct stream_group *group, struct stream_consumer *consumer,
                         struct stream_id id, uint64_t delivered_ms, uint64_t deliveries)
{
    struct stream_pending old;
    bool had = stream_pending_get(store, stream, group, id, &old);
    bool same = had && old.consumer == consumer->number;
    if (!same) {
        if (had) {
            disown(store, stream, group, consumer, &old);
        } else {
            group->pending++;
        }
        consumer->pending++;
        store_put(store, owned_key(store, stream, group->number, consumer->number, id),
                  (rr_bytes){0});
    }
    struct buffer value;
    buffer_init(&value);
    buffer_put_u64(&value, consumer->number);
    buffer_put_u64(&value, delivered_ms);
    buffer_put_u64(&value, deliveries);
    buffer_append_bytes(&value, consumer->name);
    store_put(store, pending_key(store, stream, group->number, id), checked(store, &value));
    buffer_deinit(&value);
}

bool stream_pending_delete(struct store *store, const struct stream *stream,
                           struct stream_group *group, struct stream_consumer *consumer,
                           struct stream_id id)
{
    struct stream_pending pending;
    if (!stream_pending_get(store, stream, group, id, &pending)) {
        return false;
    }
    disown(store, stream, group, consumer, &pending);
    store_delete(store, pending_key(store, stream, group->number, id));
    group->pending--;
    return true;
}

struct pending_visit {
    struct store *store;
    const struct stream *stream;
    const struct stream_group *group;
    bool owned; /* the keys are those of OWNED */
    stream_pending_fn visit;
    void *arg;
};

static bool visit_pending(void *arg, rr_bytes key, rr_bytes value)
{
    const struct pending_visit *visit = arg;
    size_t offset = visit->owned ? OWNED_ID_OFFSET : PENDING_ID_OFFSET;
    struct stream_id id = {layout_u64_at(key, offset), layout_u64_at(key, offset + 8)};
    struct stream_pending pending;
    if (!visit->owned) {
        pending_read(value, id, &pending);
    } else if (!stream_pending_get(visit->store, visit->stream, visit->group, id, &pending)) {
        return true;
    }
    return visit->visit(visit->arg, &pending);
}

void stream_pending_range(struct store *store, const struct stream *stream,
                          const struct stream_group *group, uint64_t consumer,
                          struct stream_id from, struct stream_id to, bool reverse,
                          stream_pending_fn visit, void *arg)
{
    if (stream_id_compare(from, to) > 0) {
        return;
    }
    struct buffer begin;
    struct buffer end;
    buffer_init(&begin);
    buffer_init(&end);
    put_numbered(&begin, stream, consumer != 0 ? OWNED : PENDING, group->number);
    if (consumer != 0) {
        buffer_put_u64(&begin, consumer);
    }
    buffer_append_bytes(&end, buffer_bytes(&begin));
    stream_id_put(&begin, from);
    stream_id_put(&end, to);
    buffer_append_byte(&end, 0); /* `to` itself is within */
    struct pending_visit pending = {store, stream, group, consumer != 0, visit, arg};
    store_range(store, checked(store, &begin), checked(store, &end), reverse, visit_pending,
                &pending);
    buffer_deinit(&begin);
    buffer_deinit(&end);
}

/* ---- A look over all ---- */

struct check {
    struct store *store;
    const struct stream *stream;
    const struct stream_group *group;
    uint64_t records;   /* that groups, consumers and pending entries make up */
    uint64_t consumers; /* of the group */
    uint64_t owned;     /* pending entries of its consumers */
    uint64_t pending;   /* of the group */
    bool good;
};

static bool check_pending(void *arg, const struct stream_pending *pending)
{
    struct check *check = arg;
    check->good = check->good && pending->consumer != 0;
    check->pending++;
    check->records++;
    return true;
}

struct owner_check {
    struct check *check;
    const struct stream_consumer *consumer;
    uint64_t owned;
};

static bool check_owned(void *arg, const struct stream_pending *pending)
{
    struct owner_check *owner = arg;
    struct check *check = owner->check;
    check->good = check->good && pending->consumer == owner->consumer->number &&
                  bytes_equal(pending->consumer_name, owner->consumer->name);
    owner->owned++;
    check->records++;
    return true;
}

static bool check_consumer(void *arg, const struct stream_consumer *consumer)
{
    struct check *check = arg;
    struct owner_check owner = {check, consumer, 0};
    stream_pending_range(check->store, check->stream, check->group, consumer->number, STREAM_ID_MIN,
                         STREAM_ID_MAX, false, check_owned, &owner);
    check->good = check->good && owner.owned == consumer->pending;
    check->owned += owner.owned;
    check->consumers++;
    check->records++;
    return true;
}

static bool check_group(void *arg, const struct stream_group *group)
{
    struct check *check = arg;
    check->group = group;
    check->consumers = 0;
    check->owned = 0;
    check->pending = 0;
    stream_pending_range(check->store, check->stream, group, 0, STREAM_ID_MIN, STREAM_ID_MAX, false,
                         check_pending, check);
    stream_consumer_each(check->store, check->stream, group, check_consumer, check);
    check->good = check->good && check->pending == group->pending &&
                  check->owned == group->pending && check->consumers == group->consumers;
    check->records++;
    return true;
}

static bool count_record(void *arg, rr_bytes key, rr_bytes value)
{
    (void)key;
    (void)value;
    ++*(uint64_t *)arg;
    return true;
}

bool stream_groups_check(struct store *store, const struct stream *stream)
{
    struct check check = {.store = store, .stream = stream, .good = true};
    uint64_t records = 0;
    struct buffer prefix;
    buffer_init(&prefix);
    layout_object(&prefix, LAYOUT_STREAM_GROUPS, stream->key->object);
    store_prefix(store, checked(store, &prefix), false, count_record, &records);
    buffer_deinit(&prefix);
    stream_group_each(store, stream, check_group, &check);
    return check.good && check.records == records;
}
