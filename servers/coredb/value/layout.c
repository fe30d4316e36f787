/* The stored keys, field by field. */
#include "coredb/value/layout.h"

#include "coredb/base/bytes.h"

enum { HASH_BITS = 50 };

uint64_t layout_position(rr_bytes name)
{
    uint64_t hash = bytes_hash(name) >> (64 - HASH_BITS);
    uint64_t position = (uint64_t)bytes_slot(name) << HASH_BITS | hash;
    return position == 0 ? 1 : position;
}

static void begin(struct buffer *out, uint8_t kind)
{
    buffer_clear(out);
    buffer_append_byte(out, kind);
}

void layout_db(struct buffer *out, uint32_t db)
{
    begin(out, LAYOUT_DB);
    buffer_append_byte(out, (uint8_t)db);
}

void layout_meta_generation(struct buffer *out, uint64_t generation)
{
    begin(out, LAYOUT_META);
    buffer_put_u64(out, generation);
}

void layout_meta_position(struct buffer *out, uint64_t generation, uint64_t position)
{
    layout_meta_generation(out, generation);
    buffer_put_u64(out, position);
}

void layout_meta(struct buffer *out, uint64_t generation, rr_bytes key)
{
    layout_meta_position(out, generation, layout_position(key));
    buffer_append_bytes(out, key);
}

void layout_expiry(struct buffer *out, uint64_t expire_ms, uint64_t generation, rr_bytes key)
{
    begin(out, LAYOUT_EXPIRY);
    buffer_put_u64(out, expire_ms);
    buffer_put_u64(out, generation);
    buffer_append_bytes(out, key);
}

void layout_object(struct buffer *out, enum layout_kind kind, uint64_t object)
{
    begin(out, (uint8_t)kind);
    buffer_put_u64(out, object);
}

void layout_position_prefix(struct buffer *out, enum layout_kind kind, uint64_t object,
                            uint64_t position)
{
    layout_object(out, kind, object);
    buffer_put_u64(out, position);
}

/* Not by slot: members with one hash tag would lie close together, and random choice needs them
 * spread evenly. */
static uint64_t member_position(rr_bytes name)
{
    uint64_t hash = bytes_hash(name);
    return hash == 0 ? 1 : hash;
}

void layout_named(struct buffer *out, enum layout_kind kind, uint64_t object, rr_bytes name)
{
    layout_position_prefix(out, kind, object, member_position(name));
    buffer_append_bytes(out, name);
}

void layout_place(struct buffer *out, enum layout_kind kind, uint64_t object, int64_t place)
{
    layout_object(out, kind, object);
    buffer_put_u64(out, (uint64_t)place ^ (UINT64_C(1) << 63));
}

void layout_garbage(struct buffer *out, uint64_t object)
{
    layout_object(out, LAYOUT_GARBAGE, object);
}

void layout_garbage_generation(struct buffer *out, uint64_t generation)
{
    layout_object(out, LAYOUT_GARBAGE_GENERATION, generation);
}

rr_bytes layout_name(rr_bytes stored_key)
{
    if (stored_key.size < LAYOUT_NAME_OFFSET) {
        return (rr_bytes){0};
    }
    return (rr_bytes){(const uint8_t *)stored_key.data + LAYOUT_NAME_OFFSET,
                      stored_key.size - LAYOUT_NAME_OFFSET};
}

uint64_t layout_u64_at(rr_bytes stored_key, size_t offset)
{
    if (stored_key.size < offset) {
        return 0;
    }
    struct reader reader = {(const uint8_t *)stored_key.data + offset, stored_key.size - offset,
                            false};
    return reader_u64(&reader);
}

void layout_end(struct buffer *prefix)
{
    while (prefix->size > 0 && prefix->data[prefix->size - 1] == UINT8_MAX) {
        prefix->size--;
    }
    if (prefix->size > 0) {
        prefix->data[prefix->size - 1]++;
    }
}
