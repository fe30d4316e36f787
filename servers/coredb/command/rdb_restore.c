/* Reads values as RESTORE does: every form in which Redis 5 to 7.0 dumps them. */
#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/command/rdb_value.h"
#include "coredb/value/hash.h"
#include "coredb/value/list.h"
#include "coredb/value/packed.h"
#include "coredb/value/set.h"
#include "coredb/value/zset.h"

/* How a node of a list of listpacks is kept. */
enum { NODE_PLAIN = 1, NODE_PACKED = 2 };

static void malformed(struct rdb_source *source)
{
    source->reader.failed = true;
}

rr_bytes rdb_source_string(struct rdb_source *source, struct buffer *scratch, size_t size_max)
{
    rr_bytes bytes = rdb_read_string(&source->reader, scratch, size_max);
    source->expanded += bytes.size;
    if (source->expanded > RDB_VALUE_BYTES_MAX) {
        malformed(source);
    }
    return bytes;
}

static bool goes_on(const struct rdb_source *source)
{
    return !source->reader.failed && source->store->failure == RR_OK;
}

/* ---- Elements ---- */

static void add_value(struct rdb_source *source, rr_bytes value)
{
    if (goes_on(source)) {
        list_push(source->store, source->key, LIST_TAIL, value);
    }
}

static void add_member(struct rdb_source *source, rr_bytes member)
{
    if (member.size > STORE_KEY_BYTES_MAX) {
        malformed(source);
    }
    if (goes_on(source) && !set_add(source->store, source->key, member)) {
        malformed(source);
    }
}

static void add_field(struct rdb_source *source, rr_bytes field, rr_bytes value)
{
    if (field.size > STORE_KEY_BYTES_MAX) {
        malformed(source);
    }
    if (goes_on(source) && !hash_set(source->store, source->key, field, value)) {
        malformed(source);
    }
}

static void add_scored(struct rdb_source *source, rr_bytes member, double score)
{
    if (member.size > STORE_KEY_BYTES_MAX || __builtin_isnan(score)) {
        malformed(source);
    }
    if (goes_on(source) && zset_find(source->store, source->key, member, NULL)) {
        malformed(source);
    }
    if (goes_on(source)) {
        zset_add(source->store, source->key, member, score);
    }
}

/* ---- Plain collections: a count, then the elements ---- */

static void restore_list(struct rdb_source *source)
{
    uint64_t count = rdb_read_length(&source->reader);
    for (uint64_t i = 0; i < count && goes_on(source); i++) {
        add_value(source, rdb_source_string(source, &source->first, STORE_STRING_BYTES_MAX));
    }
}

static void restore_set(struct rdb_source *source)
{
    uint64_t count = rdb_read_length(&source->reader);
    for (uint64_t i = 0; i < count && goes_on(source); i++) {
        add_member(source, rdb_source_string(source, &source->first, STORE_KEY_BYTES_MAX));
    }
}

static void restore_hash(struct rdb_source *source)
{
    uint64_t count = rdb_read_length(&source->reader);
    for (uint64_t i = 0; i < count && goes_on(source); i++) {
        rr_bytes field = rdb_source_string(source, &source->first, STORE_KEY_BYTES_MAX);
        rr_bytes value = rdb_source_string(source, &source->second, STORE_STRING_BYTES_MAX);
        add_field(source, field, value);
    }
}

static void restore_zset(struct rdb_source *source, bool text)
{
    uint64_t count = rdb_read_length(&source->reader);
    for (uint64_t i = 0; i < count && goes_on(source); i++) {
        rr_bytes member = rdb_source_string(source, &source->first, STORE_KEY_BYTES_MAX);
        double score =
            text ? rdb_read_double_text(&source->reader) : rdb_read_double(&source->reader);
        add_scored(source, member, score);
    }
}

/* ---- Compact collections: one string ---- */

static void begin_packed(struct rdb_source *source, enum packed_kind kind, struct packed *packed)
{
    rr_bytes bytes = rdb_source_string(source, &source->first, STORE_STRING_BYTES_MAX);
    packed_begin(packed, kind, bytes);
}

static void end_packed(struct rdb_source *source, const struct packed *packed)
{
    if (packed->failed) {
        malformed(source);
    }
}

static void restore_packed_values(struct rdb_source *source, enum packed_kind kind)
{
    struct packed packed;
    rr_bytes value;
    begin_packed(source, kind, &packed);
    while (goes_on(source) && packed_next(&packed, &value)) {
        add_value(source, value);
    }
    end_packed(source, &packed);
}

static void restore_packed_set(struct rdb_source *source)
{
    struct packed packed;
    rr_bytes member;
    begin_packed(source, PACKED_INTSET, &packed);
    while (goes_on(source) && packed_next(&packed, &member)) {
        add_member(source, member);
    }
    end_packed(source, &packed);
}

/* The second of a pair; the first is kept in `source->second` meanwhile. */
static rr_bytes next_pair(struct rdb_source *source, struct packed *packed, rr_bytes *first)
{
    buffer_clear(&source->second);
    buffer_append_bytes(&source->second, *first);
    *first = buffer_bytes(&source->second);
    rr_bytes second = {NULL, 0};
    if (source->second.failed || !packed_next(packed, &second)) {
        malformed(source);
    }
    return second;
}

static void restore_packed_hash(struct rdb_source *source, enum packed_kind kind)
{
    struct packed packed;
    rr_bytes field;
    begin_packed(source, kind, &packed);
    while (goes_on(source) && packed_next(&packed, &field)) {
        rr_bytes value = next_pair(source, &packed, &field);
        add_field(source, field, value);
    }
    end_packed(source, &packed);
}

static void restore_packed_zset(struct rdb_source *source, enum packed_kind kind)
{
    struct packed packed;
    rr_bytes member;
    begin_packed(source, kind, &packed);
    while (goes_on(source) && packed_next(&packed, &member)) {
        double score = 0;
        if (!number_parse_double(next_pair(source, &packed, &member), &score)) {
            malformed(source);
        }
        add_scored(source, member, score);
    }
    end_packed(source, &packed);
}

/* A list of nodes, each a ziplist, or a listpack or a plain element. */
static void restore_nodes(struct rdb_source *source, bool listpacks)
{
    uint64_t count = rdb_read_length(&source->reader);
    for (uint64_t i = 0; i < count && goes_on(source); i++) {
        uint64_t form = listpacks ? rdb_read_length(&source->reader) : NODE_PACKED;
        if (form == NODE_PLAIN) {
            add_value(source, rdb_source_string(source, &source->first, STORE_STRING_BYTES_MAX));
        } else if (form == NODE_PACKED) {
            restore_packed_values(source, listpacks ? PACKED_LISTPACK : PACKED_ZIPLIST);
        } else {
            malformed(source);
        }
    }
}

/* ---- All types ---- */

static void restore_string(struct rdb_source *source)
{
    rr_bytes bytes = rdb_source_string(source, &source->first, STORE_STRING_BYTES_MAX);
    key_create(source->store, source->key, VALUE_STRING, ENCODING_AUTO);
    buffer_clear(&source->key->payload);
    buffer_append_bytes(&source->key->payload, bytes);
}

/* Makes the key an empty collection of the type that the bytes will be. False: an unknown type. */
static bool create_for(struct rdb_source *source, enum rdb_type type)
{
    switch (type) {
    case RDB_LIST:
    case RDB_LIST_ZIPLIST:
    case RDB_LIST_ZIPLISTS:
    case RDB_LIST_LISTPACKS:
        key_create(source->store, source->key, VALUE_LIST, ENCODING_QUICKLIST);
        return true;
    case RDB_SET:
    case RDB_SET_INTSET:
        set_create(source->store, source->key);
        return true;
    case RDB_HASH:
    case RDB_HASH_ZIPLIST:
    case RDB_HASH_LISTPACK:
        key_create(source->store, source->key, VALUE_HASH, ENCODING_LISTPACK);
        return true;
    case RDB_ZSET:
    case RDB_ZSET_TEXT:
    case RDB_ZSET_ZIPLIST:
    case RDB_ZSET_LISTPACK:
        key_create(source->store, source->key, VALUE_ZSET, ENCODING_LISTPACK);
        return true;
    case RDB_STRING:
    case RDB_STREAM_OLD:
    case RDB_STREAM:
        return true;
    }
    return false;
}

static void restore_type(struct rdb_source *source, enum rdb_type type)
{
    switch (type) {
    case RDB_STRING:
        restore_string(source);
        return;
    case RDB_LIST:
        restore_list(source);
        return;
    case RDB_SET:
        restore_set(source);
        return;
    case RDB_ZSET_TEXT:
    case RDB_ZSET:
        restore_zset(source, type == RDB_ZSET_TEXT);
        return;
    case RDB_HASH:
        restore_hash(source);
        return;
    case RDB_LIST_ZIPLIST:
        restore_packed_values(source, PACKED_ZIPLIST);
        return;
    case RDB_SET_INTSET:
        restore_packed_set(source);
        return;
    case RDB_ZSET_ZIPLIST:
        restore_packed_zset(source, PACKED_ZIPLIST);
        return;
    case RDB_HASH_ZIPLIST:
        restore_packed_hash(source, PACKED_ZIPLIST);
        return;
    case RDB_LIST_ZIPLISTS:
    case RDB_LIST_LISTPACKS:
        restore_nodes(source, type == RDB_LIST_LISTPACKS);
        return;
    case RDB_HASH_LISTPACK:
        restore_packed_hash(source, PACKED_LISTPACK);
        return;
    case RDB_ZSET_LISTPACK:
        restore_packed_zset(source, PACKED_LISTPACK);
        return;
    case RDB_STREAM_OLD:
    case RDB_STREAM:
        rdb_restore_stream(source, type);
        return;
    }
}

bool rdb_restore_value(struct store *store, struct key *key, rr_bytes body)
{
    struct rdb_source source = {.store = store, .key = key, .reader = reader_of(body)};
    buffer_init(&source.first);
    buffer_init(&source.second);
    enum rdb_type type = (enum rdb_type)reader_u8(&source.reader);
    if (!source.reader.failed && create_for(&source, type)) {
        restore_type(&source, type);
    } else {
        malformed(&source);
    }
    bool empty = key->type != VALUE_STRING && key->type != VALUE_STREAM && key->count == 0;
    bool good = !source.reader.failed && source.reader.left == 0 && !empty && !key->payload.failed;
    buffer_deinit(&source.first);
    buffer_deinit(&source.second);
    return good;
}
