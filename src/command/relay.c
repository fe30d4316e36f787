/*
 * Requests and answers between nodes. Version, kind and id keep their places in all versions, so
 * that even a request that is not understood can be answered.
 */
#include "command/relay.h"

#include "base/assert.h"
#include "base/codec.h"

#include <string.h>

enum {
    RELAY_HAS_IDENTITY = 1, /* flag of an answer */
    IDENTITY_IS_MEMBER = 1, /* flag of an identity */
};

static void put_nested_member(struct buffer *buffer, const struct member *member)
{
    struct buffer nested;
    buffer_init(&nested);
    member_encode(&nested, member);
    if (!nested.failed) {
        put_bytes(buffer, buffer_bytes(&nested));
    } else {
        buffer->failed = true;
    }
    buffer_deinit(&nested);
}

static void put_former(struct buffer *buffer, const struct relay_request *request)
{
    ASSERT(request->former_count <= RELAY_FORMER_MAX);
    put_varint(buffer, request->former_count);
    for (uint32_t i = 0; i < request->former_count; i++) {
        put_u64(buffer, request->former[i]);
    }
}

void relay_request_encode(struct buffer *buffer, const struct relay_request *request)
{
    put_u8(buffer, RELAY_VERSION);
    put_u8(buffer, (uint8_t)request->kind);
    put_u64(buffer, request->id);
    put_varint(buffer, request->timeout_ms);
    put_u8(buffer, request->hops);
    put_u64(buffer, request->cluster);
    switch (request->kind) {
    case RELAY_SUBMIT:
        put_bytes(buffer, request->command);
        return;
    case RELAY_REMOVE:
    case RELAY_TRANSFER:
        put_varint(buffer, request->target);
        return;
    case RELAY_ADD:
    case RELAY_JOIN:
        put_nested_member(buffer, &request->member);
        put_former(buffer, request);
        return;
    case RELAY_IDENTIFY:
        put_nested_member(buffer, &request->member);
        return;
    }
    UNREACHABLE();
}

/* A field that came later: older peers leave it out. */
static rr_status read_former(struct reader *reader, struct relay_request *request)
{
    uint64_t count = reader_left(reader) == 0 ? 0 : reader_varint(reader);
    if (count > RELAY_FORMER_MAX) {
        return RR_CORRUPT;
    }
    request->former_count = (uint32_t)count;
    for (uint32_t i = 0; i < request->former_count; i++) {
        request->former[i] = reader_u64(reader);
        if (request->former[i] == 0) {
            return RR_CORRUPT;
        }
    }
    return RR_OK;
}

/* Reads what the kind brings: RR_OK, RR_CORRUPT or RR_MISMATCH. */
static rr_status read_request_body(struct reader *reader, struct relay_request *request)
{
    switch (request->kind) {
    case RELAY_SUBMIT:
        request->command = reader_bytes(reader);
        return request->command.size > ENTRY_BYTES_MAX ? RR_CORRUPT : RR_OK;
    case RELAY_REMOVE:
    case RELAY_TRANSFER:
        request->target = reader_varint(reader);
        return RR_OK;
    case RELAY_ADD:
    case RELAY_JOIN: {
        rr_status status = member_decode(reader_bytes(reader), &request->member);
        return status == RR_OK ? read_former(reader, request) : status;
    }
    case RELAY_IDENTIFY:
        return member_decode(reader_bytes(reader), &request->member);
    }
    UNREACHABLE();
}

rr_status relay_request_decode(rr_bytes bytes, struct relay_request *out)
{
    out->id = 0;
    struct reader reader;
    reader_init(&reader, bytes);
    uint8_t version = reader_u8(&reader);
    uint8_t kind = reader_u8(&reader);
    uint64_t id = reader_u64(&reader);
    if (reader.failed || version == 0 || kind == 0) {
        return RR_CORRUPT;
    }
    out->id = id;
    if (version > RELAY_VERSION || kind > RELAY_IDENTIFY) {
        return RR_MISMATCH;
    }
    struct relay_request request = {.kind = (enum relay_kind)kind, .id = id};
    uint64_t timeout_ms = reader_varint(&reader);
    request.timeout_ms = timeout_ms < UINT32_MAX ? (uint32_t)timeout_ms : UINT32_MAX;
    request.hops = reader_u8(&reader);
    request.cluster = reader_u64(&reader);
    rr_status status = read_request_body(&reader, &request);
    if (reader.failed) {
        return RR_CORRUPT;
    }
    if (status == RR_OK) {
        *out = request;
    }
    return status;
}

static void put_identity(struct buffer *buffer, const struct relay_identity *identity)
{
    put_u64(buffer, identity->cluster);
    put_varint(buffer, identity->node);
    put_u64(buffer, identity->incarnation);
    put_u8(buffer, identity->member ? IDENTITY_IS_MEMBER : 0);
}

void relay_answer_encode(struct buffer *buffer, const struct relay_answer *answer)
{
    put_u8(buffer, RELAY_VERSION);
    put_u8(buffer, answer->has_identity ? RELAY_HAS_IDENTITY : 0);
    put_u64(buffer, answer->id);
    put_u8(buffer, (uint8_t)answer->status);
    put_varint(buffer, answer->leader);
    put_bytes(buffer, answer->leader_address);
    rr_bytes message = answer->message;
    message.size = message.size < MESSAGE_TEXT_BYTES_MAX ? message.size : MESSAGE_TEXT_BYTES_MAX;
    put_bytes(buffer, message);
    put_bytes(buffer, answer->result);
    if (answer->has_identity) {
        put_identity(buffer, &answer->identity);
    }
}

static void read_identity(struct reader *reader, struct relay_identity *identity)
{
    identity->cluster = reader_u64(reader);
    identity->node = reader_varint(reader);
    identity->incarnation = reader_u64(reader);
    identity->member = (reader_u8(reader) & IDENTITY_IS_MEMBER) != 0;
}

static bool text_valid(rr_bytes text, size_t size_max)
{
    return text.size <= size_max && (text.size == 0 || memchr(text.data, 0, text.size) == NULL);
}

rr_status relay_answer_decode(rr_bytes bytes, struct relay_answer *out)
{
    out->id = 0;
    struct reader reader;
    reader_init(&reader, bytes);
    uint8_t version = reader_u8(&reader);
    uint8_t flags = reader_u8(&reader);
    uint64_t id = reader_u64(&reader);
    if (reader.failed || version == 0) {
        return RR_CORRUPT;
    }
    out->id = id;
    if (version > RELAY_VERSION) {
        return RR_MISMATCH;
    }
    struct relay_answer answer = {.id = id};
    uint8_t status = reader_u8(&reader);
    answer.status = status <= RR_STALE_SESSION ? (rr_status)status : RR_UNKNOWN;
    answer.leader = reader_varint(&reader);
    answer.leader_address = reader_bytes(&reader);
    answer.message = reader_bytes(&reader);
    answer.result = reader_bytes(&reader);
    answer.has_identity = (flags & RELAY_HAS_IDENTITY) != 0;
    if (answer.has_identity) {
        read_identity(&reader, &answer.identity);
    }
    if (reader.failed || !text_valid(answer.leader_address, ADDRESS_BYTES_MAX) ||
        !text_valid(answer.message, MESSAGE_TEXT_BYTES_MAX)) {
        return RR_CORRUPT;
    }
    *out = answer;
    return RR_OK;
}
