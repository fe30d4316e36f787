/* Writes values as DUMP does: plain collections, element by element. */
#include "coredb/command/rdb_value.h"
#include "coredb/value/hash.h"
#include "coredb/value/list.h"
#include "coredb/value/set.h"
#include "coredb/value/zset.h"

static bool fits(const struct buffer *out)
{
    return !out->failed && out->size <= RDB_VALUE_BYTES_MAX;
}

static bool dump_listed(void *arg, uint64_t index, rr_bytes value)
{
    struct buffer *out = arg;
    rdb_put_string(out, value);
    return fits(out);
}

static bool dump_member(void *arg, rr_bytes name, rr_bytes value)
{
    struct buffer *out = arg;
    rdb_put_string(out, name);
    return fits(out);
}

static bool dump_field(void *arg, rr_bytes name, rr_bytes value)
{
    struct buffer *out = arg;
    rdb_put_string(out, name);
    rdb_put_string(out, value);
    return fits(out);
}

static bool dump_scored(void *arg, rr_bytes member, double score)
{
    struct buffer *out = arg;
    rdb_put_string(out, member);
    rdb_put_double(out, score);
    return fits(out);
}

static void begin(struct buffer *out, enum rdb_type type, const struct key *key)
{
    buffer_append_byte(out, (uint8_t)type);
    rdb_put_length(out, key->count);
}

void rdb_dump_value(struct store *store, struct key *key, struct buffer *out)
{
    switch (key->type) {
    case VALUE_NONE:
        break;
    case VALUE_STRING:
        buffer_append_byte(out, RDB_STRING);
        rdb_put_string(out, buffer_bytes(&key->payload));
        break;
    case VALUE_LIST:
        begin(out, RDB_LIST, key);
        list_visit(store, key, 0, key->count, /*reverse=*/false, dump_listed, out);
        break;
    case VALUE_SET:
        begin(out, RDB_SET, key);
        named_each(store, set_members(key), dump_member, out);
        break;
    case VALUE_ZSET:
        begin(out, RDB_ZSET, key);
        zset_visit_all(store, key, dump_scored, out);
        break;
    case VALUE_HASH:
        begin(out, RDB_HASH, key);
        named_each(store, hash_fields(key), dump_field, out);
        break;
    case VALUE_STREAM:
        buffer_append_byte(out, RDB_STREAM);
        rdb_dump_stream(store, key, out);
        break;
    }
    if (!fits(out)) {
        store_fail(store, out->failed ? RR_NO_MEMORY : RR_TOO_BIG);
    }
}
