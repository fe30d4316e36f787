/* Headers in fixed places, records as varints, entries as log_record.h has them. */
#include "storage/segment_format.h"

#include "base/assert.h"
#include "base/checksum.h"

#include <string.h>

enum { VERSION = 1, CHECKSUM_OFFSET = 72 };

static const uint8_t magic[4] = {'R', 'R', 'L', 'F'};

void segment_header_encode(const struct segment_header *header, uint8_t out[SEGMENT_HEADER_BYTES])
{
    memcpy(out, magic, sizeof(magic));
    out[4] = VERSION;
    out[5] = (uint8_t)header->kind;
    out[6] = 0;
    out[7] = 0;
    store_u64(out + 8, header->log_id);
    store_u64(out + 16, header->segment);
    store_u64(out + 24, header->offset);
    store_u64(out + 32, header->number);
    store_u64(out + 40, header->durable);
    store_u64(out + 48, header->previous_checksum);
    store_u64(out + 56, header->body_size);
    store_u64(out + 64, header->body_checksum);
    store_u64(out + CHECKSUM_OFFSET, checksum64(out, CHECKSUM_OFFSET));
}

enum segment_header_state segment_header_decode(const uint8_t bytes[SEGMENT_HEADER_BYTES],
                                                struct segment_header *out)
{
    if (memcmp(bytes, magic, sizeof(magic)) != 0 ||
        load_u64(bytes + CHECKSUM_OFFSET) != checksum64(bytes, CHECKSUM_OFFSET)) {
        return SEGMENT_HEADER_NONE;
    }
    if (bytes[4] != VERSION || bytes[5] < SEGMENT_FRAME_RECORDS ||
        bytes[5] > SEGMENT_FRAME_CHECKPOINT) {
        return SEGMENT_HEADER_NEWER;
    }
    out->kind = (enum segment_frame_kind)bytes[5];
    out->log_id = load_u64(bytes + 8);
    out->segment = load_u64(bytes + 16);
    out->offset = load_u64(bytes + 24);
    out->number = load_u64(bytes + 32);
    out->durable = load_u64(bytes + 40);
    out->previous_checksum = load_u64(bytes + 48);
    out->body_size = load_u64(bytes + 56);
    out->body_checksum = load_u64(bytes + 64);
    return SEGMENT_HEADER_VALID;
}

uint64_t segment_body_checksum(uint64_t number, rr_bytes body)
{
    return checksum64_seeded(body.data, body.size, number);
}

uint64_t segment_frame_bytes(uint64_t body_size)
{
    uint64_t size = SEGMENT_HEADER_BYTES + body_size;
    return (size + SEGMENT_BLOCK_BYTES - 1) / SEGMENT_BLOCK_BYTES * SEGMENT_BLOCK_BYTES;
}

/* --- Records --- */

static void put_start(struct buffer *out, enum segment_record_kind kind, raft_group group)
{
    put_u8(out, (uint8_t)kind);
    put_varint(out, group);
}

static void put_hard_state_fields(struct buffer *out, const struct raft_hard_state *hard_state)
{
    put_varint(out, hard_state->term);
    put_varint(out, hard_state->vote);
    put_varint(out, hard_state->commit);
}

void segment_put_group(struct buffer *out, raft_group group, const struct log_group_record *record,
                       raft_index last_index, raft_term last_term)
{
    put_start(out, SEGMENT_RECORD_GROUP, group);
    put_hard_state_fields(out, &record->hard_state);
    put_varint(out, record->base_index);
    put_varint(out, record->base_term);
    put_varint(out, last_index);
    put_varint(out, last_term);
}

void segment_put_hard_state(struct buffer *out, raft_group group,
                            const struct raft_hard_state *hard_state)
{
    put_start(out, SEGMENT_RECORD_HARD_STATE, group);
    put_hard_state_fields(out, hard_state);
}

void segment_put_base(struct buffer *out, enum segment_record_kind kind, raft_group group,
                      raft_index index, raft_term term)
{
    ASSERT(kind == SEGMENT_RECORD_PURGE || kind == SEGMENT_RECORD_RESET);
    put_start(out, kind, group);
    put_varint(out, index);
    put_varint(out, term);
}

void segment_put_destroy(struct buffer *out, raft_group group)
{
    put_start(out, SEGMENT_RECORD_DESTROY, group);
}

void segment_put_entries(struct buffer *out, enum segment_record_kind kind, raft_group group,
                         raft_index first, uint32_t count, uint64_t bytes)
{
    ASSERT(kind == SEGMENT_RECORD_ENTRIES || kind == SEGMENT_RECORD_COPY);
    ASSERT(count > 0);
    put_start(out, kind, group);
    put_varint(out, first);
    put_varint(out, count);
    put_varint(out, bytes);
}

void segment_put_entry(struct buffer *out, raft_group group, const struct raft_entry *entry)
{
    uint8_t header[LOG_ENTRY_HEADER_BYTES];
    log_entry_header_encode(group, entry, header);
    put_varint(out, sizeof(header) + (uint64_t)entry->size);
    put_raw(out, header, sizeof(header));
    put_raw(out, entry->data, entry->size);
}

void segment_put_value(struct buffer *out, rr_bytes value)
{
    put_bytes(out, value);
}

uint64_t segment_entry_bytes(uint64_t size)
{
    uint64_t value = LOG_ENTRY_HEADER_BYTES + size;
    return varint_size(value) + value;
}

static void read_hard_state(struct reader *reader, struct raft_hard_state *out)
{
    out->term = reader_varint(reader);
    out->vote = reader_varint(reader);
    out->commit = reader_varint(reader);
}

static void read_entries(struct reader *reader, struct segment_record *out)
{
    out->first = reader_varint(reader);
    uint64_t count = reader_varint(reader);
    out->entries = reader_bytes(reader);
    /* The smallest entry bounds the count by the bytes, and with it all that is built from it. */
    if (count == 0 || count > out->entries.size / LOG_ENTRY_HEADER_BYTES ||
        out->entries.size > UINT32_MAX || out->first > UINT64_MAX - count) {
        reader->failed = true;
        return;
    }
    out->count = (uint32_t)count;
}

/* An index that has one after it; all that follows may count on that. */
static raft_index read_index(struct reader *reader)
{
    raft_index index = reader_varint(reader);
    reader->failed = reader->failed || index == UINT64_MAX;
    return index;
}

bool segment_record_next(struct reader *reader, struct segment_record *out)
{
    if (reader_left(reader) == 0) {
        return false;
    }
    *out = (struct segment_record){.kind = (enum segment_record_kind)reader_u8(reader)};
    out->group = reader_varint(reader);
    switch (out->kind) {
    case SEGMENT_RECORD_GROUP:
        read_hard_state(reader, &out->hard_state);
        out->index = read_index(reader);
        out->term = reader_varint(reader);
        out->last_index = read_index(reader);
        out->last_term = reader_varint(reader);
        return !reader->failed;
    case SEGMENT_RECORD_ENTRIES:
    case SEGMENT_RECORD_COPY:
        read_entries(reader, out);
        return !reader->failed;
    case SEGMENT_RECORD_HARD_STATE:
        read_hard_state(reader, &out->hard_state);
        return !reader->failed;
    case SEGMENT_RECORD_PURGE:
    case SEGMENT_RECORD_RESET:
        out->index = read_index(reader);
        out->term = reader_varint(reader);
        return !reader->failed;
    case SEGMENT_RECORD_DESTROY:
        return !reader->failed;
    }
    reader->failed = true;
    return false;
}

bool segment_entry_next(struct reader *reader, rr_bytes *value, raft_term *term)
{
    if (reader_left(reader) == 0) {
        return false;
    }
    *value = reader_bytes(reader);
    if (!reader->failed && value->size < LOG_ENTRY_HEADER_BYTES) {
        reader->failed = true;
    }
    if (reader->failed) {
        return false;
    }
    *term = log_entry_term(*value);
    return true;
}
