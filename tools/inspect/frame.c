#include "inspect/frame.h"

#include <string.h>

enum { ENTRY_TYPE_MAX = 2 };

enum header_result frame_header_read(struct slice bytes, struct frame_header *out)
{
    if (bytes.size < FRAME_HEADER_BYTES || memcmp(bytes.data, "RRLF", 4) != 0) {
        return HEADER_NONE;
    }
    struct slice covered = {bytes.data, FRAME_HEADER_BYTES - 8};
    struct reader reader = reader_of((struct slice){bytes.data, FRAME_HEADER_BYTES});
    read_u32(&reader);
    uint8_t version = read_u8(&reader);
    uint8_t kind = read_u8(&reader);
    read_raw(&reader, 2);
    struct frame_header header = {.kind = kind};
    header.log = read_u64(&reader);
    header.segment = read_u64(&reader);
    header.offset = read_u64(&reader);
    header.number = read_u64(&reader);
    header.durable = read_u64(&reader);
    header.previous = read_u64(&reader);
    header.size = read_u64(&reader);
    header.body_checksum = read_u64(&reader);
    if (read_u64(&reader) != checksum(covered, 0)) {
        return HEADER_NONE;
    }
    if (version != 1 || (kind != FRAME_RECORDS && kind != FRAME_CHECKPOINT)) {
        return HEADER_NEWER;
    }
    *out = header;
    return HEADER_WHOLE;
}

const char *frame_header_fault(const struct frame_header *header)
{
    if (header->number == 0) {
        return "its header has the number 0";
    }
    if (header->durable >= header->number) {
        return "its header calls itself durable";
    }
    if (header->number == 1 && header->previous != 0) {
        return "it is the first frame, and its header names one before it";
    }
    return NULL;
}

bool frame_body(struct slice bytes, const struct frame_header *header, struct slice *body)
{
    if (header->size > bytes.size - FRAME_HEADER_BYTES) {
        return false;
    }
    *body = (struct slice){bytes.data + FRAME_HEADER_BYTES, (size_t)header->size};
    return checksum(*body, header->number) == header->body_checksum;
}

uint64_t frame_next_offset(uint64_t offset, uint64_t body_size)
{
    uint64_t end = offset + FRAME_HEADER_BYTES + body_size;
    return (end + FRAME_BLOCK_BYTES - 1) / FRAME_BLOCK_BYTES * FRAME_BLOCK_BYTES;
}

static void read_fields(struct reader *reader, struct record *record)
{
    switch (record->kind) {
    case RECORD_GROUP:
        record->term = read_varint(reader);
        record->vote = read_varint(reader);
        record->commit = read_varint(reader);
        record->base_index = read_varint(reader);
        record->base_term = read_varint(reader);
        record->last_index = read_varint(reader);
        record->last_term = read_varint(reader);
        return;
    case RECORD_ENTRIES:
    case RECORD_COPY:
        record->first = read_varint(reader);
        record->count = read_varint(reader);
        record->entries = read_bytes(reader);
        return;
    case RECORD_HARD_STATE:
        record->term = read_varint(reader);
        record->vote = read_varint(reader);
        record->commit = read_varint(reader);
        return;
    case RECORD_PURGE:
    case RECORD_RESET:
        record->base_index = read_varint(reader);
        record->base_term = read_varint(reader);
        return;
    case RECORD_DESTROY:
        return;
    }
    reader->failed = true;
}

/* The rules that a record keeps or breaks by itself. */
static const char *record_fault(const struct record *record)
{
    bool has_entries = record->kind == RECORD_ENTRIES || record->kind == RECORD_COPY;
    if (has_entries && record->count == 0) {
        return "a record has no entries";
    }
    if (has_entries && (record->first == 0 || record->count >= UINT64_MAX - record->first)) {
        return "a record's entries have indexes that there are not";
    }
    if (record->base_index == UINT64_MAX || record->last_index == UINT64_MAX ||
        record->commit == UINT64_MAX) {
        return "a record has an index that there is not";
    }
    if (record->kind == RECORD_GROUP && record->base_index > record->last_index) {
        return "a group's base is after its last entry";
    }
    if (record->kind == RECORD_GROUP && record->base_index == record->last_index &&
        record->base_term != record->last_term) {
        return "a group without entries has a last entry of another term than its base";
    }
    return NULL;
}

const char *record_read(struct reader *reader, enum frame_kind kind, struct record *out)
{
    struct record record = {.kind = (enum record_kind)read_u8(reader)};
    record.group = read_varint(reader);
    bool is_group = record.kind == RECORD_GROUP;
    if (!reader->failed && is_group != (kind == FRAME_CHECKPOINT)) {
        return is_group ? "a group's record outside a checkpoint"
                        : "a checkpoint has a record of another kind than GROUP";
    }
    read_fields(reader, &record);
    if (reader->failed) {
        return "a record is malformed";
    }
    *out = record;
    return record_fault(&record);
}

const char *record_name(enum record_kind kind)
{
    switch (kind) {
    case RECORD_GROUP:
        return "group";
    case RECORD_ENTRIES:
        return "entries";
    case RECORD_COPY:
        return "copy";
    case RECORD_HARD_STATE:
        return "hard-state";
    case RECORD_PURGE:
        return "purge";
    case RECORD_RESET:
        return "reset";
    case RECORD_DESTROY:
        return "destroy";
    }
    return "unknown";
}

const char *entry_read(struct slice value, uint64_t group, uint64_t index, struct entry *out)
{
    struct reader reader = reader_of(value);
    uint8_t version = read_u8(&reader);
    struct entry entry = {.type = read_u8(&reader)};
    entry.term = read_u64(&reader);
    entry.checksum = read_u64(&reader);
    entry.data = read_rest(&reader);
    if (reader.failed) {
        return "it is too short";
    }
    *out = entry;
    uint8_t place[25];
    put_u64(place, group);
    put_u64(place + 8, index);
    put_u64(place + 16, entry.term);
    place[24] = entry.type;
    uint64_t seed = checksum((struct slice){place, sizeof(place)}, 0);
    if (checksum(entry.data, seed) != entry.checksum) {
        return "its checksum fails";
    }
    if (version != 1) {
        return "it has another version than 1";
    }
    if (entry.type > ENTRY_TYPE_MAX) {
        return "its type is none that there is";
    }
    return entry.term == 0 ? "its term is 0" : NULL;
}

const char *entry_type_name(uint8_t type)
{
    static const char *const names[] = {"normal", "change", "change-v2"};
    return type <= ENTRY_TYPE_MAX ? names[type] : "unknown";
}
