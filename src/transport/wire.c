/*
 * Consensus messages in three sections, each after its size: fields, entries, snapshot. Within a
 * section, fields stand in a fixed order; new ones go to the end.
 */
#include "transport/wire.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"

#include <string.h>

enum {
    FLAG_REJECT = 1,
    FLAG_TRANSFER = 2,

    CONFIGURATION_AUTO_LEAVE = 1,
    MEMBER_FLAGS_ALL = RAFT_MEMBER_INCOMING | RAFT_MEMBER_OUTGOING | RAFT_MEMBER_LEARNER |
                       RAFT_MEMBER_LEARNER_NEXT,

    /* Bounds on sizes: every number at its longest. */
    FIELDS_BYTES_MAX = 16 * VARINT_BYTES_MAX,
    SECTIONS_BYTES = 3 * 4,
    ENTRY_HEADER_BYTES_MIN = 3, /* type, term and index have been there since version 1 */
    ENTRY_HEADER_BYTES_MAX = 1 + 2 * VARINT_BYTES_MAX,
    ENTRY_BYTES_AROUND_MAX = 1 + ENTRY_HEADER_BYTES_MAX + VARINT_BYTES_MAX,
    ENTRY_BYTES_MIN = 1 + ENTRY_HEADER_BYTES_MIN + 1,
    MEMBER_BYTES_MAX = VARINT_BYTES_MAX + 8 + 1,
    CONFIGURATION_BYTES_MAX = 1 + VARINT_BYTES_MAX + RAFT_MEMBERS_MAX * (1 + MEMBER_BYTES_MAX),
};

static size_t begin_section(struct buffer *buffer)
{
    size_t start = buffer->size;
    put_u32(buffer, 0);
    return start;
}

static void end_section(struct buffer *buffer, size_t start)
{
    if (!buffer->failed) {
        store_u32(buffer->data + start, (uint32_t)(buffer->size - start - sizeof(uint32_t)));
    }
}

static void encode_fields(const struct raft_message *message, struct buffer *buffer)
{
    put_u8(buffer, (uint8_t)message->type);
    put_u8(buffer, (uint8_t)((message->reject ? FLAG_REJECT : 0) |
                             (message->transfer ? FLAG_TRANSFER : 0)));
    put_varint(buffer, message->from);
    put_varint(buffer, message->to);
    put_varint(buffer, message->term);
    put_varint(buffer, message->log_term);
    put_varint(buffer, message->index);
    put_varint(buffer, message->commit);
    put_varint(buffer, message->reject_hint);
    put_varint(buffer, message->round);
    put_varint(buffer, message->read_id);
    put_varint(buffer, message->session);
    put_varint(buffer, message->group);
    put_u64(buffer, message->cluster);
    put_u64(buffer, message->from_incarnation);
    put_u64(buffer, message->to_incarnation);
}

static void encode_entry(const struct raft_entry *entry, struct buffer *buffer)
{
    put_varint(buffer, 1 + varint_size(entry->term) + varint_size(entry->index));
    put_u8(buffer, (uint8_t)entry->type);
    put_varint(buffer, entry->term);
    put_varint(buffer, entry->index);
    put_bytes(buffer, (rr_bytes){.data = entry->data, .size = entry->size});
}

void wire_encode_configuration(const struct raft_configuration *configuration,
                               struct buffer *buffer)
{
    put_u8(buffer, configuration->auto_leave ? CONFIGURATION_AUTO_LEAVE : 0);
    put_varint(buffer, configuration->count);
    for (uint32_t at = 0; at < configuration->count; at++) {
        const struct raft_member *member = &configuration->members[at];
        put_varint(buffer, varint_size(member->id) + sizeof(uint64_t) + 1);
        put_varint(buffer, member->id);
        put_u64(buffer, member->incarnation);
        put_u8(buffer, member->flags);
    }
}

static size_t configuration_size(const struct raft_configuration *configuration)
{
    size_t size = 1 + varint_size(configuration->count);
    for (uint32_t at = 0; at < configuration->count; at++) {
        size_t member_size = varint_size(configuration->members[at].id) + sizeof(uint64_t) + 1;
        size += varint_size(member_size) + member_size;
    }
    return size;
}

static void encode_snapshot(const struct raft_snapshot *snapshot, struct buffer *buffer)
{
    put_varint(buffer, snapshot->index);
    put_varint(buffer, snapshot->term);
    put_varint(buffer, configuration_size(&snapshot->configuration));
    wire_encode_configuration(&snapshot->configuration, buffer);
    put_bytes(buffer, (rr_bytes){.data = snapshot->data, .size = snapshot->size});
}

size_t wire_entry_size_max(const struct raft_entry *entry)
{
    return ENTRY_BYTES_AROUND_MAX + (size_t)entry->size;
}

size_t wire_message_size_max(const struct raft_message *message)
{
    size_t size = SECTIONS_BYTES + FIELDS_BYTES_MAX + VARINT_BYTES_MAX;
    for (uint32_t at = 0; at < message->entry_count; at++) {
        size += wire_entry_size_max(message->entries[at]);
    }
    if (message->snapshot != NULL) {
        size += 4 * VARINT_BYTES_MAX + CONFIGURATION_BYTES_MAX + message->snapshot->size;
    }
    return size;
}

static void encode_sections(const struct raft_message *message, struct buffer *buffer)
{
    size_t section = begin_section(buffer);
    encode_fields(message, buffer);
    end_section(buffer, section);

    section = begin_section(buffer);
    put_varint(buffer, message->entry_count);
    for (uint32_t at = 0; at < message->entry_count; at++) {
        encode_entry(message->entries[at], buffer);
    }
    end_section(buffer, section);

    section = begin_section(buffer);
    if (message->snapshot != NULL) {
        encode_snapshot(message->snapshot, buffer);
    }
    end_section(buffer, section);
}

rr_status wire_encode_message(const struct raft_message *message, struct buffer *buffer)
{
    if (message->entry_count > WIRE_ENTRIES_MAX ||
        wire_message_size_max(message) > MESSAGE_BYTES_MAX ||
        (message->snapshot != NULL && message->snapshot->size > WIRE_SNAPSHOT_DATA_BYTES_MAX)) {
        return RR_TOO_BIG;
    }
    if (buffer->failed) {
        return RR_NO_MEMORY;
    }
    size_t start = buffer->size;
    encode_sections(message, buffer);
    if (buffer->failed) {
        buffer->failed = false;
        buffer_truncate(buffer, start);
        return RR_NO_MEMORY;
    }
    return RR_OK;
}

/* A field that an older version may not have written. */
static uint64_t optional_varint(struct reader *reader)
{
    return reader_left(reader) == 0 ? 0 : reader_varint(reader);
}

static uint64_t optional_u64(struct reader *reader)
{
    return reader_left(reader) == 0 ? 0 : reader_u64(reader);
}

static uint8_t optional_u8(struct reader *reader)
{
    return reader_left(reader) == 0 ? 0 : reader_u8(reader);
}

/* The next section, empty if an older version did not write it. */
static rr_bytes read_section(struct reader *reader)
{
    if (reader_left(reader) == 0) {
        return (rr_bytes){0};
    }
    return reader_raw(reader, reader_u32(reader));
}

static rr_status decode_fields(rr_bytes bytes, struct raft_message *message)
{
    struct reader reader;
    reader_init(&reader, bytes);
    uint8_t type = reader_u8(&reader);
    uint8_t flags = reader_u8(&reader);
    message->reject = (flags & FLAG_REJECT) != 0;
    message->transfer = (flags & FLAG_TRANSFER) != 0;
    message->from = optional_varint(&reader);
    message->to = optional_varint(&reader);
    message->term = optional_varint(&reader);
    message->log_term = optional_varint(&reader);
    message->index = optional_varint(&reader);
    message->commit = optional_varint(&reader);
    message->reject_hint = optional_varint(&reader);
    message->round = optional_varint(&reader);
    message->read_id = optional_varint(&reader);
    message->session = optional_varint(&reader);
    message->group = optional_varint(&reader);
    message->cluster = optional_u64(&reader);
    message->from_incarnation = optional_u64(&reader);
    message->to_incarnation = optional_u64(&reader);
    if (reader.failed) {
        return RR_CORRUPT;
    }
    if (type < RAFT_MSG_PROP || type > RAFT_MSG_PRE_VOTE_RESP) {
        return RR_INVALID;
    }
    message->type = (enum raft_message_type)type;
    return RR_OK;
}

static rr_status decode_entry(struct reader *reader, struct raft_entry **out)
{
    rr_bytes header = reader_bytes(reader);
    rr_bytes data = reader_bytes(reader);
    struct reader fields;
    reader_init(&fields, header);
    uint8_t type = reader_u8(&fields);
    raft_term term = reader_varint(&fields);
    raft_index index = reader_varint(&fields);
    if (reader->failed || fields.failed) {
        return RR_CORRUPT;
    }
    if (type > RAFT_ENTRY_CONF_CHANGE_V2) {
        return RR_INVALID;
    }
    if (data.size > ENTRY_BYTES_MAX) {
        return RR_TOO_BIG;
    }
    struct raft_entry *entry = raft_entry_try_new((enum raft_entry_type)type, data.size);
    if (entry == NULL) {
        return RR_NO_MEMORY;
    }
    if (data.size > 0) {
        memcpy(entry->data, data.data, data.size);
    }
    entry->term = term;
    entry->index = index;
    *out = entry;
    return RR_OK;
}

/* Fills `message->entries` one by one, so that raft_message_deinit can end it at any point. */
static rr_status decode_entries(rr_bytes bytes, struct raft_message *message)
{
    struct reader reader;
    reader_init(&reader, bytes);
    uint64_t count = optional_varint(&reader);
    if (reader.failed || count > reader_left(&reader) / ENTRY_BYTES_MIN) {
        return RR_CORRUPT;
    }
    if (count > WIRE_ENTRIES_MAX) {
        return RR_TOO_BIG;
    }
    if (count == 0) {
        return RR_OK;
    }
    message->entries = mem_try_alloc((size_t)count * sizeof(struct raft_entry *));
    if (message->entries == NULL) {
        return RR_NO_MEMORY;
    }
    while (message->entry_count < count) {
        rr_status status = decode_entry(&reader, &message->entries[message->entry_count]);
        if (status != RR_OK) {
            return status;
        }
        message->entry_count++;
    }
    return RR_OK;
}

rr_status wire_decode_configuration(rr_bytes bytes, struct raft_configuration *out)
{
    struct raft_configuration configuration = {0};
    struct reader reader;
    reader_init(&reader, bytes);
    configuration.auto_leave = (optional_u8(&reader) & CONFIGURATION_AUTO_LEAVE) != 0;
    uint64_t count = optional_varint(&reader);
    if (count > RAFT_MEMBERS_MAX) {
        return RR_TOO_BIG;
    }
    raft_id last = RAFT_NO_ID;
    while (configuration.count < count) {
        struct reader fields;
        reader_init(&fields, reader_bytes(&reader));
        struct raft_member member = {.id = reader_varint(&fields)};
        member.incarnation = reader_u64(&fields);
        member.flags = reader_u8(&fields);
        if (reader.failed || fields.failed || member.id <= last || member.flags == 0) {
            return RR_CORRUPT;
        }
        if ((member.flags & ~MEMBER_FLAGS_ALL) != 0) {
            return RR_INVALID;
        }
        last = member.id;
        configuration.members[configuration.count++] = member;
    }
    if (reader.failed) {
        return RR_CORRUPT;
    }
    *out = configuration;
    return RR_OK;
}

static rr_status decode_snapshot(rr_bytes bytes, struct raft_message *message)
{
    if (bytes.size == 0) {
        return RR_OK;
    }
    struct reader reader;
    reader_init(&reader, bytes);
    raft_index index = reader_varint(&reader);
    raft_term term = reader_varint(&reader);
    rr_bytes configuration_bytes = reader_bytes(&reader);
    rr_bytes data = reader_bytes(&reader);
    if (reader.failed) {
        return RR_CORRUPT;
    }
    if (data.size > WIRE_SNAPSHOT_DATA_BYTES_MAX) {
        return RR_TOO_BIG;
    }
    struct raft_configuration configuration;
    rr_status status = wire_decode_configuration(configuration_bytes, &configuration);
    if (status == RR_OK) {
        message->snapshot = raft_snapshot_new(index, term, &configuration, data);
    }
    return status;
}

/* The core relies on this: who has what, and entries that follow one another. */
static rr_status check_shape(const struct raft_message *message)
{
    if ((message->type == RAFT_MSG_SNAP) != (message->snapshot != NULL)) {
        return RR_CORRUPT;
    }
    if (message->entry_count == 0 || message->type == RAFT_MSG_PROP) {
        return RR_OK;
    }
    if (message->type != RAFT_MSG_APP) {
        return RR_CORRUPT;
    }
    raft_term term = message->log_term;
    for (uint32_t at = 0; at < message->entry_count; at++) {
        const struct raft_entry *entry = message->entries[at];
        if (message->index > UINT64_MAX - 1 - at || entry->index != message->index + 1 + at ||
            entry->term < term || entry->term > message->term) {
            return RR_CORRUPT;
        }
        term = entry->term;
    }
    return RR_OK;
}

rr_status wire_decode_message(rr_bytes bytes, struct raft_message *out)
{
    struct reader reader;
    reader_init(&reader, bytes);
    rr_bytes fields = read_section(&reader);
    rr_bytes entries = read_section(&reader);
    rr_bytes snapshot = read_section(&reader);
    if (reader.failed) {
        return RR_CORRUPT;
    }
    struct raft_message message = {0};
    rr_status status = decode_fields(fields, &message);
    if (status == RR_OK) {
        status = decode_entries(entries, &message);
    }
    if (status == RR_OK) {
        status = decode_snapshot(snapshot, &message);
    }
    if (status == RR_OK) {
        status = check_shape(&message);
    }
    if (status != RR_OK) {
        raft_message_deinit(&message);
        return status;
    }
    *out = message;
    return RR_OK;
}
