/*
 * Streams in the format of DUMP. Entries lie in nodes: a master id, and a listpack of
 *     entries, deleted ones, fields, names of the fields..., 0
 * then per entry: flags, ms and seq relative to the master's, the number of fields and names with
 * values, or only values if the flags say that the names are the master's; the number of elements.
 * Every entry written here has a node of its own.
 */
#include "coredb/command/rdb_value.h"
#include "coredb/value/packed.h"
#include "coredb/value/stream_group.h"

enum {
    ENTRY_DELETED = 1, /* flags */
    ENTRY_SAME_FIELDS = 2,
    ENTRY_PREFIX = 3, /* flags, ms, seq: elements before the values */
    STREAM_ID_BYTES = 16,
};

/* ---- Writing ---- */

struct dump {
    struct store *store;
    const struct stream *stream;
    const struct stream_group *group; /* of the consumers and pending entries being written */
    struct buffer *out;
    struct buffer node;
};

static bool fits(const struct dump *dump)
{
    return !dump->out->failed && !dump->node.failed && dump->out->size <= RDB_VALUE_BYTES_MAX;
}

static void put_id(struct buffer *out, struct stream_id id)
{
    rdb_put_length(out, id.ms);
    rdb_put_length(out, id.seq);
}

/* Puts every second of the slices, from the first or the second on. */
static void put_alternate(struct buffer *node, rr_bytes entry, bool names)
{
    struct reader reader;
    uint32_t count = stream_entry_begin(entry, &reader);
    for (uint32_t i = 0; i < count && !reader.failed; i++) {
        rr_bytes bytes = reader_slice(&reader);
        if ((i % 2 == 0) == names) {
            listpack_put(node, bytes);
        }
    }
}

static bool dump_entry(void *arg, struct stream_id id, rr_bytes entry)
{
    struct dump *dump = arg;
    struct buffer *node = &dump->node;
    struct reader reader;
    uint32_t fields = stream_entry_begin(entry, &reader) / 2;
    listpack_begin(node);
    listpack_put_integer(node, 1);
    listpack_put_integer(node, 0);
    listpack_put_integer(node, fields);
    put_alternate(node, entry, /*names=*/true);
    listpack_put_integer(node, 0);
    listpack_put_integer(node, ENTRY_SAME_FIELDS);
    listpack_put_integer(node, 0);
    listpack_put_integer(node, 0);
    put_alternate(node, entry, /*names=*/false);
    listpack_put_integer(node, (int64_t)fields + ENTRY_PREFIX);
    listpack_end(node, 4 + ENTRY_PREFIX + 1 + (size_t)fields * 2);
    rdb_put_length(dump->out, STREAM_ID_BYTES);
    stream_id_put(dump->out, id);
    rdb_put_length(dump->out, node->size);
    buffer_append_bytes(dump->out, buffer_bytes(node));
    return fits(dump);
}

static bool dump_pending(void *arg, const struct stream_pending *pending)
{
    struct dump *dump = arg;
    stream_id_put(dump->out, pending->id);
    rdb_put_u64(dump->out, pending->delivered_ms);
    rdb_put_length(dump->out, pending->deliveries);
    return fits(dump);
}

static bool dump_pending_id(void *arg, const struct stream_pending *pending)
{
    struct dump *dump = arg;
    stream_id_put(dump->out, pending->id);
    return fits(dump);
}

static bool dump_consumer(void *arg, const struct stream_consumer *consumer)
{
    struct dump *dump = arg;
    rdb_put_string(dump->out, consumer->name);
    rdb_put_u64(dump->out, consumer->seen_ms);
    rdb_put_length(dump->out, consumer->pending);
    stream_pending_range(dump->store, dump->stream, dump->group, consumer->number, STREAM_ID_MIN,
                         STREAM_ID_MAX, /*reverse=*/false, dump_pending_id, dump);
    return fits(dump);
}

static bool dump_group(void *arg, const struct stream_group *group)
{
    struct dump *dump = arg;
    dump->group = group;
    rdb_put_string(dump->out, group->name);
    put_id(dump->out, group->last);
    rdb_put_length(dump->out, (uint64_t)group->entries_read);
    rdb_put_length(dump->out, group->pending);
    stream_pending_range(dump->store, dump->stream, group, /*consumer=*/0, STREAM_ID_MIN,
                         STREAM_ID_MAX, /*reverse=*/false, dump_pending, dump);
    rdb_put_length(dump->out, group->consumers);
    stream_consumer_each(dump->store, dump->stream, group, dump_consumer, dump);
    return fits(dump);
}

static bool count_group(void *arg, const struct stream_group *group)
{
    ++*(uint64_t *)arg;
    return true;
}

void rdb_dump_stream(struct store *store, struct key *key, struct buffer *out)
{
    struct stream stream;
    stream_load(&stream, key);
    struct dump dump = {.store = store, .stream = &stream, .out = out};
    buffer_init(&dump.node);
    rdb_put_length(out, key->count);
    stream_range(store, &stream, STREAM_ID_MIN, STREAM_ID_MAX, /*reverse=*/false, dump_entry,
                 &dump);
    rdb_put_length(out, key->count);
    put_id(out, stream.last);
    put_id(out, stream.first);
    put_id(out, stream.max_deleted);
    rdb_put_length(out, stream.added);
    uint64_t groups = 0;
    stream_group_each(store, &stream, count_group, &groups);
    rdb_put_length(out, groups);
    stream_group_each(store, &stream, dump_group, &dump);
    if (dump.node.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    buffer_deinit(&dump.node);
}

/* ---- Reading ---- */

struct restore {
    struct rdb_source *source;
    struct stream stream;
    struct stream_id newest; /* of the entries read so far */
    uint64_t entries;
    struct buffer names; /* slices: those of the node's master */
    struct buffer entry; /* in stored form */
};

static void malformed(struct restore *restore)
{
    restore->source->reader.failed = true;
}

static bool goes_on(const struct restore *restore)
{
    return !restore->source->reader.failed && restore->source->store->failure == RR_OK;
}

static struct stream_id read_id(struct restore *restore)
{
    struct reader *reader = &restore->source->reader;
    uint64_t ms = rdb_read_length(reader);
    return (struct stream_id){ms, rdb_read_length(reader)};
}

/* Reads a number of things that each take an element of the listpack. */
static int64_t packed_count(struct restore *restore, struct packed *packed)
{
    int64_t count = 0;
    if (!packed_next_integer(packed, &count) || count < 0 || count > (int64_t)packed->reader.left) {
        malformed(restore);
        return 0;
    }
    return count;
}

/* Appends `count` elements as slices. */
static void read_slices(struct restore *restore, struct packed *packed, int64_t count,
                        struct buffer *out)
{
    rr_bytes bytes;
    for (int64_t i = 0; i < count && goes_on(restore); i++) {
        if (!packed_next(packed, &bytes)) {
            malformed(restore);
            return;
        }
        buffer_put_slice(out, bytes);
    }
}

/* Makes the entry's stored form: the master's names with the values that follow. */
static void read_values(struct restore *restore, struct packed *packed, int64_t fields)
{
    struct reader names = reader_of(buffer_bytes(&restore->names));
    for (int64_t i = 0; i < fields && goes_on(restore); i++) {
        buffer_put_slice(&restore->entry, reader_slice(&names));
        read_slices(restore, packed, 1, &restore->entry);
    }
}

static void put_entry(struct restore *restore, struct stream_id id)
{
    struct rdb_source *source = restore->source;
    if (restore->entries > 0 && stream_id_compare(id, restore->newest) <= 0) {
        malformed(restore);
    }
    if (restore->entry.failed || restore->names.failed) {
        store_fail(source->store, RR_NO_MEMORY);
    }
    source->expanded += restore->entry.size;
    if (source->expanded > RDB_VALUE_BYTES_MAX) {
        malformed(restore);
    }
    if (goes_on(restore)) {
        stream_put(source->store, &restore->stream, id, buffer_bytes(&restore->entry));
        restore->newest = id;
        restore->entries++;
    }
}

static void restore_entry(struct restore *restore, struct packed *packed, struct stream_id master,
                          int64_t master_fields)
{
    int64_t flags = 0;
    int64_t ms = 0;
    int64_t seq = 0;
    int64_t elements = 0;
    if (!packed_next_integer(packed, &flags) || !packed_next_integer(packed, &ms) ||
        !packed_next_integer(packed, &seq)) {
        malformed(restore);
        return;
    }
    bool same = (flags & ENTRY_SAME_FIELDS) != 0;
    int64_t fields = same ? master_fields : packed_count(restore, packed);
    buffer_clear(&restore->entry);
    buffer_put_u32(&restore->entry, (uint32_t)fields * 2);
    if (same) {
        read_values(restore, packed, fields);
    } else {
        read_slices(restore, packed, fields * 2, &restore->entry);
    }
    if (!packed_next_integer(packed, &elements)) {
        malformed(restore);
    }
    if ((flags & ENTRY_DELETED) == 0) {
        struct stream_id id = {master.ms + (uint64_t)ms, master.seq + (uint64_t)seq};
        put_entry(restore, id);
    }
}

static void restore_node(struct restore *restore)
{
    struct rdb_source *source = restore->source;
    rr_bytes id = rdb_source_string(source, &source->second, STREAM_ID_BYTES);
    struct reader id_reader = reader_of(id);
    struct stream_id master = stream_id_read(&id_reader);
    rr_bytes node = rdb_source_string(source, &source->first, STORE_STRING_BYTES_MAX);
    if (id_reader.failed || id_reader.left > 0) {
        malformed(restore);
        return;
    }
    struct packed packed;
    packed_begin(&packed, PACKED_LISTPACK, node);
    int64_t valid = packed_count(restore, &packed);
    int64_t deleted = packed_count(restore, &packed);
    int64_t fields = packed_count(restore, &packed);
    buffer_clear(&restore->names);
    read_slices(restore, &packed, fields, &restore->names);
    int64_t zero = 0;
    if (!packed_next_integer(&packed, &zero) || zero != 0) {
        malformed(restore);
    }
    for (int64_t i = 0; i < valid + deleted && goes_on(restore); i++) {
        restore_entry(restore, &packed, master, fields);
    }
    rr_bytes none;
    if (packed_next(&packed, &none) || packed.failed) {
        malformed(restore);
    }
}

/* Reads what a stream remembers besides its entries. */
static void restore_header(struct restore *restore, enum rdb_type type)
{
    struct stream *stream = &restore->stream;
    uint64_t count = rdb_read_length(&restore->source->reader);
    stream->last = read_id(restore);
    stream->added = count;
    if (type == RDB_STREAM) {
        (void)read_id(restore); /* of the first entry, which is looked for below */
        stream->max_deleted = read_id(restore);
        stream->added = rdb_read_length(&restore->source->reader);
    }
    if (count != restore->entries || stream->added < count ||
        stream_id_compare(stream->last, restore->newest) < 0) {
        malformed(restore);
    }
    if (goes_on(restore)) {
        stream->key->count = count;
        stream_find_first(restore->source->store, stream);
    }
}

/* ---- Groups ---- */

/* A pending entry before its consumer is known. */
struct pending {
    struct stream_id id;
    uint64_t delivered_ms;
    uint64_t deliveries;
    bool owned;
};

static struct stream_id read_raw_id(struct reader *reader)
{
    struct reader id = reader_of(reader_take(reader, STREAM_ID_BYTES));
    return reader->failed ? STREAM_ID_MIN : stream_id_read(&id);
}

/* Reads the pending entries of a group, ascending by id, into `out`. */
static uint64_t read_pending(struct restore *restore, struct buffer *out)
{
    struct reader *reader = &restore->source->reader;
    uint64_t count = rdb_read_length(reader);
    struct stream_id last = STREAM_ID_MIN;
    for (uint64_t i = 0; i < count && goes_on(restore); i++) {
        struct pending pending = {.id = read_raw_id(reader)};
        pending.delivered_ms = rdb_read_u64(reader);
        pending.deliveries = rdb_read_length(reader);
        if (i > 0 && stream_id_compare(pending.id, last) <= 0) {
            malformed(restore);
        }
        last = pending.id;
        buffer_append(out, &pending, sizeof(pending));
    }
    if (out->failed) {
        store_fail(restore->source->store, RR_NO_MEMORY);
    }
    return count;
}

static struct pending *find_pending(struct buffer *pendings, struct stream_id id)
{
    struct pending *all = (struct pending *)(void *)pendings->data;
    size_t low = 0;
    size_t high = pendings->size / sizeof(struct pending);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = stream_id_compare(all[middle].id, id);
        if (order == 0) {
            return &all[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* Reads a consumer and gives it its entries; returns how many. */
static uint64_t restore_consumer(struct restore *restore, struct stream_group *group,
                                 struct buffer *pendings)
{
    struct rdb_source *source = restore->source;
    rr_bytes name = rdb_source_string(source, &source->second, STORE_KEY_BYTES_MAX);
    uint64_t seen_ms = rdb_read_u64(&source->reader);
    uint64_t count = rdb_read_length(&source->reader);
    struct stream_consumer consumer;
    if (goes_on(restore) &&
        stream_consumer_get(source->store, &restore->stream, group, name, &consumer)) {
        malformed(restore);
    }
    if (!goes_on(restore)) {
        return 0;
    }
    stream_consumer_create(source->store, &restore->stream, group, name, &consumer);
    consumer.seen_ms = seen_ms;
    for (uint64_t i = 0; i < count && goes_on(restore); i++) {
        struct pending *pending = find_pending(pendings, read_raw_id(&source->reader));
        if (pending == NULL || pending->owned) {
            malformed(restore);
            return 0;
        }
        pending->owned = true;
        stream_pending_give(source->store, &restore->stream, group, &consumer, pending->id,
                            pending->delivered_ms, pending->deliveries);
    }
    stream_consumer_save(source->store, &restore->stream, group, &consumer);
    return count;
}

static void restore_consumers(struct restore *restore, struct stream_group *group)
{
    struct buffer pendings;
    buffer_init(&pendings);
    uint64_t pending = read_pending(restore, &pendings);
    uint64_t owned = 0;
    uint64_t count = rdb_read_length(&restore->source->reader);
    for (uint64_t i = 0; i < count && goes_on(restore); i++) {
        owned += restore_consumer(restore, group, &pendings);
    }
    if (owned != pending) {
        malformed(restore);
    }
    buffer_deinit(&pendings);
}

static void restore_group(struct restore *restore, enum rdb_type type)
{
    struct rdb_source *source = restore->source;
    struct stream_group group = {0};
    /* The name must outlive strings that are read later. */
    struct buffer name;
    buffer_init(&name);
    buffer_append_bytes(&name, rdb_source_string(source, &source->first, STORE_KEY_BYTES_MAX));
    struct stream_id last = read_id(restore);
    int64_t entries_read = STREAM_READ_UNKNOWN;
    if (type == RDB_STREAM) {
        entries_read = (int64_t)rdb_read_length(&source->reader);
    }
    if (name.failed) {
        store_fail(source->store, RR_NO_MEMORY);
    }
    if (entries_read < STREAM_READ_UNKNOWN ||
        (goes_on(restore) &&
         stream_group_get(source->store, &restore->stream, buffer_bytes(&name), &group))) {
        malformed(restore);
    }
    if (goes_on(restore)) {
        group = (struct stream_group){
            .name = buffer_bytes(&name), .last = last, .entries_read = entries_read};
        stream_group_save(source->store, &restore->stream, &group);
        restore_consumers(restore, &group);
        stream_group_save(source->store, &restore->stream, &group);
    }
    buffer_deinit(&name);
}

void rdb_restore_stream(struct rdb_source *source, enum rdb_type type)
{
    struct restore restore = {.source = source, .stream = {.key = source->key}};
    buffer_init(&restore.names);
    buffer_init(&restore.entry);
    stream_create(source->store, &restore.stream);
    uint64_t nodes = rdb_read_length(&source->reader);
    for (uint64_t i = 0; i < nodes && goes_on(&restore); i++) {
        restore_node(&restore);
    }
    restore_header(&restore, type);
    uint64_t groups = rdb_read_length(&source->reader);
    for (uint64_t i = 0; i < groups && goes_on(&restore); i++) {
        restore_group(&restore, type);
    }
    if (goes_on(&restore)) {
        stream_save(source->store, &restore.stream);
    }
    buffer_deinit(&restore.names);
    buffer_deinit(&restore.entry);
}
