/* Entries of streams. */
#include "coredb/value/stream.h"

#include "coredb/base/number.h"
#include "coredb/value/layout.h"

#include <string.h>

enum {
    ID_OFFSET = 9,         /* of an entry's id in its key */
    TRIM_PORTION = 1000,   /* entries removed between two visits */
    COPY_BYTES = 1u << 20, /* of a portion of stream_copy, about */
};

/* ---- Ids ---- */

int stream_id_compare(struct stream_id left, struct stream_id right)
{
    if (left.ms != right.ms) {
        return left.ms < right.ms ? -1 : 1;
    }
    return left.seq < right.seq ? -1 : left.seq > right.seq;
}

bool stream_id_next(struct stream_id *id)
{
    if (id->seq < UINT64_MAX) {
        id->seq++;
        return true;
    }
    if (id->ms == UINT64_MAX) {
        return false;
    }
    *id = (struct stream_id){id->ms + 1, 0};
    return true;
}

bool stream_id_previous(struct stream_id *id)
{
    if (id->seq > 0) {
        id->seq--;
        return true;
    }
    if (id->ms == 0) {
        return false;
    }
    *id = (struct stream_id){id->ms - 1, UINT64_MAX};
    return true;
}

size_t stream_id_print(struct stream_id id, char out[STREAM_ID_TEXT_MAX])
{
    char text[NUMBER_TEXT_MAX];
    size_t size = number_print_u64(id.ms, text);
    memcpy(out, text, size);
    out[size++] = '-';
    size_t rest = number_print_u64(id.seq, text);
    memcpy(out + size, text, rest);
    return size + rest;
}

void stream_id_put(struct buffer *out, struct stream_id id)
{
    buffer_put_u64(out, id.ms);
    buffer_put_u64(out, id.seq);
}

struct stream_id stream_id_read(struct reader *reader)
{
    uint64_t ms = reader_u64(reader);
    uint64_t seq = reader_u64(reader);
    return (struct stream_id){ms, seq};
}

/* ---- The stream's own record ---- */

void stream_load(struct stream *stream, struct key *key)
{
    struct reader reader = reader_of(buffer_bytes(&key->payload));
    *stream = (struct stream){.key = key};
    if (key->type != VALUE_STREAM) {
        return;
    }
    stream->last = stream_id_read(&reader);
    stream->first = stream_id_read(&reader);
    stream->max_deleted = stream_id_read(&reader);
    stream->added = reader_u64(&reader);
}

void stream_create(struct store *store, struct stream *stream)
{
    key_create(store, stream->key, VALUE_STREAM, ENCODING_STREAM);
    *stream = (struct stream){.key = stream->key};
}

void stream_save(struct store *store, struct stream *stream)
{
    struct buffer *out = &stream->key->payload;
    buffer_clear(out);
    stream_id_put(out, stream->last);
    stream_id_put(out, stream->first);
    stream_id_put(out, stream->max_deleted);
    buffer_put_u64(out, stream->added);
    if (out->failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    key_save(store, stream->key);
}

/* ---- Entries ---- */

static void entry_key(struct buffer *out, const struct stream *stream, struct stream_id id)
{
    layout_object(out, LAYOUT_STREAM, stream->key->object);
    stream_id_put(out, id);
}

/* The same in the store's scratch buffer. */
static rr_bytes scratch_key(struct store *store, const struct stream *stream, struct stream_id id)
{
    entry_key(&store->key, stream, id);
    if (store->key.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    return buffer_bytes(&store->key);
}

void stream_put(struct store *store, struct stream *stream, struct stream_id id, rr_bytes entry)
{
    store_put(store, scratch_key(store, stream, id), entry);
    stream->key->count++;
}

void stream_append(struct store *store, struct stream *stream, struct stream_id id,
                   const rr_bytes *fields, size_t count)
{
    struct buffer entry;
    buffer_init(&entry);
    buffer_put_u32(&entry, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        buffer_put_slice(&entry, fields[i]);
    }
    if (entry.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    stream_put(store, stream, id, buffer_bytes(&entry));
    buffer_deinit(&entry);
    stream->last = id;
    stream->added++;
    if (stream->key->count == 1) {
        stream->first = id;
    }
}

bool stream_get(struct store *store, const struct stream *stream, struct stream_id id,
                rr_bytes *entry)
{
    rr_bytes found;
    return store_get(store, scratch_key(store, stream, id), entry == NULL ? &found : entry);
}

uint32_t stream_entry_begin(rr_bytes entry, struct reader *reader)
{
    *reader = reader_of(entry);
    return reader_u32(reader);
}

struct range {
    stream_visit_fn visit;
    void *arg;
};

static bool range_visit(void *arg, rr_bytes key, rr_bytes value)
{
    const struct range *range = arg;
    struct stream_id id = {layout_u64_at(key, ID_OFFSET), layout_u64_at(key, ID_OFFSET + 8)};
    return range->visit(range->arg, id, value);
}

void stream_range(struct store *store, const struct stream *stream, struct stream_id from,
                  struct stream_id to, bool reverse, stream_visit_fn visit, void *arg)
{
    /* Beginning at the first entry spares a walk over what was trimmed before it. */
    if (stream_id_compare(from, stream->first) < 0) {
        from = stream->first;
    }
    if (stream->key->count == 0 || stream_id_compare(from, to) > 0) {
        return;
    }
    struct buffer begin;
    struct buffer end;
    buffer_init(&begin);
    buffer_init(&end);
    entry_key(&begin, stream, from);
    entry_key(&end, stream, to);
    buffer_append_byte(&end, 0); /* `to` itself is within */
    if (begin.failed || end.failed) {
        store_fail(store, RR_NO_MEMORY);
    } else {
        store_range(store, buffer_bytes(&begin), buffer_bytes(&end), reverse, range_visit,
                    &(struct range){visit, arg});
    }
    buffer_deinit(&begin);
    buffer_deinit(&end);
}

static bool has_visit(void *arg, struct stream_id id, rr_bytes entry)
{
    (void)id;
    (void)entry;
    *(bool *)arg = true;
    return false;
}

bool stream_has_beyond(struct store *store, const struct stream *stream, struct stream_id id)
{
    bool found = false;
    if (stream_id_next(&id)) {
        stream_range(store, stream, id, STREAM_ID_MAX, false, has_visit, &found);
    }
    return found;
}

bool stream_delete(struct store *store, struct stream *stream, struct stream_id id)
{
    if (!stream_get(store, stream, id, NULL)) {
        return false;
    }
    store_delete(store, scratch_key(store, stream, id));
    stream->key->count--;
    if (stream_id_compare(id, stream->max_deleted) > 0) {
        stream->max_deleted = id;
    }
    return true;
}

static bool first_visit(void *arg, struct stream_id id, rr_bytes entry)
{
    (void)entry;
    *(struct stream_id *)arg = id;
    return false;
}

void stream_find_first(struct store *store, struct stream *stream)
{
    struct stream_id first = STREAM_ID_MIN;
    stream_range(store, stream, STREAM_ID_MIN, STREAM_ID_MAX, false, first_visit, &first);
    stream->first = first;
}

/* ---- Trimming ---- */

struct portion {
    struct stream_id ids[TRIM_PORTION];
    size_t count;
    size_t wanted;
    struct stream_id next; /* the entry after them, if `has_next` */
    bool has_next;
};

static bool portion_visit(void *arg, struct stream_id id, rr_bytes entry)
{
    (void)entry;
    struct portion *portion = arg;
    if (portion->count == portion->wanted) {
        portion->next = id;
        portion->has_next = true;
        return false;
    }
    portion->ids[portion->count++] = id;
    return true;
}

/* Removes the first `count` entries. */
static void remove_front(struct store *store, struct stream *stream, uint64_t count)
{
    while (count > 0 && store->failure == RR_OK) {
        struct portion portion = {.wanted = count < TRIM_PORTION ? count : TRIM_PORTION};
        stream_range(store, stream, STREAM_ID_MIN, STREAM_ID_MAX, false, portion_visit, &portion);
        for (size_t i = 0; i < portion.count; i++) {
            store_delete(store, scratch_key(store, stream, portion.ids[i]));
        }
        stream->key->count -= portion.count;
        stream->first = portion.has_next ? portion.next : STREAM_ID_MIN;
        if (portion.count == 0) {
            return; /* cannot be, unless the store has failed */
        }
        count -= portion.count;
    }
}

struct below {
    uint64_t count;
    uint64_t limit;
};

static bool below_visit(void *arg, struct stream_id id, rr_bytes entry)
{
    (void)id;
    (void)entry;
    struct below *below = arg;
    return ++below->count < below->limit;
}

/* How many entries lie before `minid`, counted up to `limit`. */
static uint64_t count_below(struct store *store, const struct stream *stream,
                            struct stream_id minid, uint64_t limit)
{
    struct below below = {0, limit};
    if (stream_id_previous(&minid)) {
        stream_range(store, stream, STREAM_ID_MIN, minid, false, below_visit, &below);
    }
    return below.count;
}

/* How many of the first `surplus` entries are in nodes that hold none but those. */
static uint64_t whole_nodes(const struct stream *stream, uint64_t surplus, uint64_t limit)
{
    uint64_t length = stream->key->count;
    uint64_t gone = stream->added > length ? stream->added - length : 0;
    uint64_t node = STREAM_NODE_ENTRIES - gone % STREAM_NODE_ENTRIES;
    uint64_t removed = 0;
    while (removed < length) {
        node = node < length - removed ? node : length - removed;
        if (removed + node > surplus || (limit > 0 && removed + node > limit)) {
            break;
        }
        removed += node;
        node = STREAM_NODE_ENTRIES;
    }
    return removed;
}

uint64_t stream_trim(struct store *store, struct stream *stream, const struct stream_trim *trim)
{
    uint64_t length = stream->key->count;
    uint64_t surplus;
    if (trim->by_id) {
        uint64_t limit = trim->approximate && trim->limit > 0 ? trim->limit : UINT64_MAX;
        surplus = count_below(store, stream, trim->minid, limit);
    } else {
        surplus = length > trim->maxlen ? length - trim->maxlen : 0;
    }
    if (trim->approximate && surplus > 0) {
        surplus = whole_nodes(stream, surplus, trim->limit);
    }
    remove_front(store, stream, surplus);
    return surplus;
}

/* ---- Copies ---- */

struct copy {
    struct buffer pairs; /* slices: key and value in turn */
    struct buffer next;  /* where the next portion begins; empty at the end */
};

static bool copy_visit(void *arg, rr_bytes key, rr_bytes value)
{
    struct copy *copy = arg;
    buffer_put_slice(&copy->pairs, key);
    buffer_put_slice(&copy->pairs, value);
    if (copy->pairs.size < COPY_BYTES) {
        return true;
    }
    buffer_append_bytes(&copy->next, key);
    buffer_append_byte(&copy->next, 0);
    return false;
}

static void copy_write(struct store *store, enum layout_kind kind, uint64_t to_object,
                       rr_bytes pairs)
{
    struct reader reader = reader_of(pairs);
    struct buffer key;
    buffer_init(&key);
    while (reader.left > 0 && store->failure == RR_OK) {
        rr_bytes from = reader_slice(&reader);
        rr_bytes value = reader_slice(&reader);
        layout_object(&key, kind, to_object);
        buffer_append(&key, (const uint8_t *)from.data + ID_OFFSET, from.size - ID_OFFSET);
        if (key.failed) {
            store_fail(store, RR_NO_MEMORY);
        }
        store_put(store, buffer_bytes(&key), value);
    }
    buffer_deinit(&key);
}

static void copy_kind(struct store *store, enum layout_kind kind, uint64_t from_object,
                      uint64_t to_object)
{
    struct copy copy;
    struct buffer begin;
    struct buffer end;
    buffer_init(&copy.pairs);
    buffer_init(&copy.next);
    buffer_init(&begin);
    buffer_init(&end);
    layout_object(&begin, kind, from_object);
    layout_object(&end, kind, from_object);
    layout_end(&end);
    while (begin.size > 0 && store->failure == RR_OK) {
        buffer_clear(&copy.pairs);
        buffer_clear(&copy.next);
        store_range(store, buffer_bytes(&begin), buffer_bytes(&end), false, copy_visit, &copy);
        if (copy.pairs.failed || copy.next.failed || begin.failed || end.failed) {
            store_fail(store, RR_NO_MEMORY);
            break;
        }
        copy_write(store, kind, to_object, buffer_bytes(&copy.pairs));
        buffer_clear(&begin);
        buffer_append_bytes(&begin, buffer_bytes(&copy.next));
    }
    buffer_deinit(&copy.pairs);
    buffer_deinit(&copy.next);
    buffer_deinit(&begin);
    buffer_deinit(&end);
}

void stream_copy(struct store *store, uint64_t from_object, uint64_t to_object)
{
    copy_kind(store, LAYOUT_STREAM, from_object, to_object);
    copy_kind(store, LAYOUT_STREAM_GROUPS, from_object, to_object);
}
