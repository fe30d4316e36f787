/*
 * Results: a header, the items, the message, the offsets of the items, and two sizes at the very
 * end, so that a writer need not know beforehand what comes.
 */
#include "command/result.h"

#include "base/assert.h"
#include "base/codec.h"

#include <string.h>

enum {
    RESULT_VERSION = 1,
    STATUS_OFFSET = 1, /* behind the version; the flags follow, then the index */
    FLAGS_OFFSET = 2,
    TRAILER_BYTES = 8, /* message size and item count */
    FLAG_BRANCH = 1,
    FLAG_MORE = 2,
    FLAG_PAIRS = 4,
    FLAGS_KNOWN = FLAG_BRANCH | FLAG_MORE | FLAG_PAIRS,
};

/* ---- Writing ---- */

void result_writer_begin(struct result_writer *writer, struct buffer *buffer, uint64_t index,
                         size_t size_max)
{
    *writer = (struct result_writer){.buffer = buffer, .start = buffer->size};
    writer->size_max = size_max < UINT32_MAX ? size_max : UINT32_MAX;
    buffer_init(&writer->offsets);
    put_u8(buffer, RESULT_VERSION);
    put_u8(buffer, 0); /* status and flags are known at the end */
    put_u8(buffer, 0);
    put_varint(buffer, index);
}

bool result_writer_failed(const struct result_writer *writer)
{
    return writer->buffer->failed || writer->offsets.failed;
}

size_t result_writer_size(const struct result_writer *writer)
{
    return writer->buffer->size - writer->start + writer->offsets.size + TRAILER_BYTES;
}

/* Whether an item of so many bytes may be added; notes where it will be if so. */
static bool add_item(struct result_writer *writer, size_t size)
{
    size_t used = result_writer_size(writer) + 4;
    if (used > writer->size_max || size > writer->size_max - used) {
        return false;
    }
    size_t offset = writer->buffer->size - writer->start;
    if (!buffer_reserve(writer->buffer, size)) {
        return false;
    }
    put_u32(&writer->offsets, (uint32_t)offset);
    if (writer->offsets.failed) {
        return false;
    }
    writer->count++;
    return true;
}

bool result_writer_value(struct result_writer *writer, rr_bytes value)
{
    ASSERT(!writer->pairs);
    if (!add_item(writer, varint_size((uint64_t)value.size + 1) + value.size)) {
        return false;
    }
    put_varint(writer->buffer, (uint64_t)value.size + 1);
    put_raw(writer->buffer, value.data, value.size);
    return true;
}

bool result_writer_absent(struct result_writer *writer)
{
    ASSERT(!writer->pairs);
    if (!add_item(writer, 1)) {
        return false;
    }
    put_u8(writer->buffer, 0);
    return true;
}

bool result_writer_pair(struct result_writer *writer, rr_bytes key, rr_bytes value)
{
    ASSERT(writer->pairs || writer->count == 0);
    size_t size = varint_size(key.size) + key.size + varint_size(value.size) + value.size;
    if (!add_item(writer, size)) {
        return false;
    }
    writer->pairs = true;
    put_bytes(writer->buffer, key);
    put_bytes(writer->buffer, value);
    return true;
}

/* The message with its zero, cut at its limit; nothing for none. Returns how many bytes. */
static size_t put_message(struct buffer *buffer, const char *message)
{
    size_t size = message == NULL ? 0 : strnlen(message, MESSAGE_TEXT_BYTES_MAX);
    if (size == 0) {
        return 0;
    }
    put_raw(buffer, message, size);
    put_u8(buffer, 0);
    return size + 1;
}

rr_status result_writer_finish(struct result_writer *writer, const struct result_end *end)
{
    struct buffer *buffer = writer->buffer;
    size_t message_size = put_message(buffer, end->message);
    put_raw(buffer, writer->offsets.data, writer->offsets.size);
    put_u32(buffer, (uint32_t)message_size);
    put_u32(buffer, writer->count);
    if (result_writer_failed(writer)) {
        result_writer_abandon(writer);
        return RR_NO_MEMORY;
    }
    unsigned flags = (end->branch ? FLAG_BRANCH : 0U) | (end->more ? FLAG_MORE : 0U) |
                     (writer->pairs ? FLAG_PAIRS : 0U);
    buffer->data[writer->start + STATUS_OFFSET] = (uint8_t)end->status;
    buffer->data[writer->start + FLAGS_OFFSET] = (uint8_t)flags;
    buffer_deinit(&writer->offsets);
    return RR_OK;
}

void result_writer_abandon(struct result_writer *writer)
{
    buffer_truncate(writer->buffer, writer->start);
    buffer_deinit(&writer->offsets);
}

rr_status result_encode(struct buffer *buffer, rr_status status, uint64_t index,
                        const char *message)
{
    struct result_writer writer;
    result_writer_begin(&writer, buffer, index, SIZE_MAX);
    struct result_end end = {.status = status, .message = message};
    return result_writer_finish(&writer, &end);
}

/* ---- Reading ---- */

/* Reads all but the items; leaves `reader` where they begin and ends it where they end. */
static bool decode_frame(rr_bytes bytes, struct result *out, struct reader *reader)
{
    reader_init(reader, bytes);
    uint8_t version = reader_u8(reader);
    uint8_t status = reader_u8(reader);
    uint8_t flags = reader_u8(reader);
    uint64_t index = reader_varint(reader);
    size_t left = reader_left(reader);
    if (reader->failed || version != RESULT_VERSION || status > RR_STALE_SESSION ||
        (flags & ~FLAGS_KNOWN) != 0 || left < TRAILER_BYTES) {
        return false;
    }
    const uint8_t *end = reader->end;
    uint64_t message_size = load_u32(end - 8);
    uint64_t count = load_u32(end - 4);
    if (message_size + 4 * count > left - TRAILER_BYTES) {
        return false;
    }
    const uint8_t *offsets = end - TRAILER_BYTES - 4 * count;
    const uint8_t *message = offsets - message_size;
    *out = (struct result){.status = (rr_status)status,
                           .index = index,
                           .branch = (flags & FLAG_BRANCH) != 0,
                           .more = (flags & FLAG_MORE) != 0,
                           .pairs = (flags & FLAG_PAIRS) != 0,
                           .count = (uint32_t)count,
                           .message = message_size == 0 ? "" : (const char *)message,
                           .bytes = bytes.data,
                           .items_end = (size_t)(message - (const uint8_t *)bytes.data),
                           .offsets = offsets};
    reader->end = message;
    return message_size == 0 || strnlen(out->message, message_size) + 1 == message_size;
}

static void skip_item(struct reader *reader, bool pairs)
{
    if (pairs) {
        reader_bytes(reader);
        reader_bytes(reader);
        return;
    }
    uint64_t size = reader_varint(reader);
    if (size > 0) {
        reader_skip(reader, (size_t)(size - 1));
    }
}

rr_status result_decode(rr_bytes bytes, struct result *out)
{
    struct result result;
    struct reader reader;
    if (!decode_frame(bytes, &result, &reader)) {
        return RR_CORRUPT;
    }
    for (uint32_t i = 0; i < result.count; i++) {
        uint32_t offset = load_u32(result.offsets + 4 * (size_t)i);
        if (reader.failed || offset != (size_t)(reader.at - result.bytes)) {
            return RR_CORRUPT;
        }
        skip_item(&reader, result.pairs);
    }
    if (!reader_done(&reader)) {
        return RR_CORRUPT;
    }
    *out = result;
    return RR_OK;
}

void result_decode_trusted(rr_bytes bytes, struct result *out)
{
    struct reader reader;
    bool sound = decode_frame(bytes, out, &reader);
    ASSERT(sound);
}

static void read_item(const struct result *result, size_t i, struct reader *reader)
{
    uint32_t offset = load_u32(result->offsets + 4 * i);
    ASSERT(offset <= result->items_end);
    reader_init(reader, (rr_bytes){result->bytes + offset, result->items_end - offset});
}

bool result_value(const struct result *result, size_t i, rr_bytes *value)
{
    *value = (rr_bytes){0};
    if (i >= result->count) {
        return false;
    }
    struct reader reader;
    read_item(result, i, &reader);
    if (result->pairs) {
        reader_bytes(&reader);
        *value = reader_bytes(&reader);
        return true;
    }
    uint64_t size = reader_varint(&reader);
    if (size == 0) {
        return false;
    }
    *value = reader_raw(&reader, (size_t)(size - 1));
    return true;
}

rr_bytes result_bytes(const struct result *result)
{
    const uint8_t *end = result->offsets + 4 * (size_t)result->count + TRAILER_BYTES;
    return (rr_bytes){result->bytes, (size_t)(end - result->bytes)};
}

rr_bytes result_key(const struct result *result, size_t i)
{
    if (i >= result->count || !result->pairs) {
        return (rr_bytes){0};
    }
    struct reader reader;
    read_item(result, i, &reader);
    return reader_bytes(&reader);
}
