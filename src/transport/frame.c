/* Writing frames into a buffer, and finding them in what arrives. */
#include "transport/frame.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/codec.h"

#include <string.h>

enum {
    SIZE_AT = 0,
    TYPE_AT = 4,
    FLAGS_AT = 5, /* two bytes after it are 0, for later use */
    BODY_CHECKSUM_AT = 8,
    HEADER_CHECKSUM_AT = 16,
    KEPT_BYTES_MAX = 256 * 1024, /* memory of a body that is kept for the next */
};

STATIC_ASSERT(HEADER_CHECKSUM_AT + sizeof(uint32_t) == FRAME_HEADER_BYTES);

/* "RockRaft": another protocol's checksums would not pass for ours. */
static const uint64_t header_seed = UINT64_C(0x526f636b52616674);

static uint32_t header_checksum(const uint8_t *header)
{
    return (uint32_t)checksum64_seeded(header, HEADER_CHECKSUM_AT, header_seed);
}

size_t frame_begin(struct buffer *buffer, enum frame_type type, uint8_t flags)
{
    size_t start = buffer->size;
    uint8_t *header = buffer_extend(buffer, FRAME_HEADER_BYTES);
    if (header != NULL) {
        memset(header, 0, FRAME_HEADER_BYTES);
        header[TYPE_AT] = (uint8_t)type;
        header[FLAGS_AT] = flags;
    }
    return start;
}

void frame_end(struct buffer *buffer, size_t start)
{
    if (buffer->failed) {
        return;
    }
    ASSERT(buffer->size >= start + FRAME_HEADER_BYTES);
    uint8_t *header = buffer->data + start;
    size_t body_size = buffer->size - start - FRAME_HEADER_BYTES;
    ASSERT(body_size <= FRAME_BODY_BYTES_MAX);
    store_u32(header + SIZE_AT, (uint32_t)body_size);
    store_u64(header + BODY_CHECKSUM_AT, checksum64(header + FRAME_HEADER_BYTES, body_size));
    store_u32(header + HEADER_CHECKSUM_AT, header_checksum(header));
}

void frame_parser_init(struct frame_parser *parser, size_t body_bytes_max)
{
    *parser = (struct frame_parser){.body_bytes_max = body_bytes_max, .failed = RR_OK};
    buffer_init(&parser->body);
}

void frame_parser_deinit(struct frame_parser *parser)
{
    if (parser != NULL) {
        buffer_deinit(&parser->body);
    }
}

void frame_parser_limit(struct frame_parser *parser, size_t body_bytes_max)
{
    parser->body_bytes_max = body_bytes_max;
}

/* What a whole header says: RR_OK and the body's size, or why it is refused. */
static rr_status check_header(const struct frame_parser *parser, const uint8_t *header,
                              size_t *body_size)
{
    if (load_u32(header + HEADER_CHECKSUM_AT) != header_checksum(header)) {
        return RR_CORRUPT;
    }
    *body_size = load_u32(header + SIZE_AT);
    return *body_size > parser->body_bytes_max ? RR_TOO_BIG : RR_OK;
}

static bool finish_frame(struct frame_parser *parser, const uint8_t *header, rr_bytes body,
                         struct frame *out)
{
    if (load_u64(header + BODY_CHECKSUM_AT) != checksum64(body.data, body.size)) {
        parser->failed = RR_CORRUPT;
        return false;
    }
    *out = (struct frame){.type = header[TYPE_AT], .flags = header[FLAGS_AT], .body = body};
    return true;
}

static const uint8_t *take(rr_bytes *input, size_t size)
{
    ASSERT(size <= input->size);
    const uint8_t *start = input->data;
    input->data = start + size;
    input->size -= size;
    return start;
}

/* A frame that lies in the input as a whole needs no copy. */
static bool next_in_place(struct frame_parser *parser, rr_bytes *input, struct frame *out)
{
    const uint8_t *header = take(input, FRAME_HEADER_BYTES);
    rr_bytes body = {.size = parser->body_size};
    body.data = take(input, body.size);
    return finish_frame(parser, header, body, out);
}

/* Completes the header from the input, as far as it goes. Whether it is complete, and good. */
static bool collect_header(struct frame_parser *parser, rr_bytes *input)
{
    size_t missing = FRAME_HEADER_BYTES - parser->header_size;
    size_t size = input->size < missing ? input->size : missing;
    if (size > 0) {
        memcpy(parser->header + parser->header_size, take(input, size), size);
        parser->header_size += size;
    }
    if (parser->header_size < FRAME_HEADER_BYTES) {
        return false;
    }
    parser->failed = check_header(parser, parser->header, &parser->body_size);
    return parser->failed == RR_OK;
}

/* Completes the body from the input, as far as it goes. */
static bool collect_body(struct frame_parser *parser, rr_bytes *input)
{
    size_t missing = parser->body_size - parser->body.size;
    size_t size = input->size < missing ? input->size : missing;
    if (size > 0) {
        buffer_append(&parser->body, take(input, size), size);
    }
    if (parser->body.failed) {
        parser->failed = RR_NO_MEMORY;
        return false;
    }
    return parser->body.size == parser->body_size;
}

/* The last frame has been used: its memory may serve the next one, unless it is much. */
static void forget_body(struct frame_parser *parser)
{
    if (parser->body.capacity > KEPT_BYTES_MAX) {
        buffer_deinit(&parser->body);
    }
    buffer_clear(&parser->body);
}

bool frame_parser_next(struct frame_parser *parser, rr_bytes *input, struct frame *out)
{
    if (parser->failed != RR_OK) {
        return false;
    }
    if (parser->header_size == 0) {
        forget_body(parser);
        if (input->size >= FRAME_HEADER_BYTES) {
            parser->failed = check_header(parser, input->data, &parser->body_size);
            if (parser->failed != RR_OK) {
                return false;
            }
            if (input->size - FRAME_HEADER_BYTES >= parser->body_size) {
                return next_in_place(parser, input, out);
            }
        }
    }
    if (parser->header_size < FRAME_HEADER_BYTES && !collect_header(parser, input)) {
        return false;
    }
    if (!collect_body(parser, input)) {
        return false;
    }
    parser->header_size = 0;
    return finish_frame(parser, parser->header, buffer_bytes(&parser->body), out);
}

size_t frame_parser_pending(const struct frame_parser *parser)
{
    return parser->header_size == 0 ? 0 : parser->header_size + parser->body.size;
}
