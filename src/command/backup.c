/* Questions and answers about backups as bytes. Version, kind and number of a request, version,
 * status, flags and text of an answer keep their places in all versions. */
#include "command/backup.h"

#include "base/assert.h"
#include "base/codec.h"
#include "command/command_limits.h"

enum { ANSWER_PREPARING = 1 /* a flag */ };

void backup_request_encode(struct buffer *buffer, const struct backup_request *request)
{
    put_u8(buffer, BACKUP_VERSION);
    put_u8(buffer, (uint8_t)request->kind);
    put_u64(buffer, request->id);
    switch (request->kind) {
    case BACKUP_BEGIN:
        put_varint(buffer, request->covers);
        return;
    case BACKUP_CHUNK:
        put_varint(buffer, request->chunk);
        return;
    case BACKUP_END:
        return;
    }
    UNREACHABLE();
}

rr_status backup_request_decode(rr_bytes bytes, struct backup_request *out)
{
    struct reader reader;
    reader_init(&reader, bytes);
    uint8_t version = reader_u8(&reader);
    uint8_t kind = reader_u8(&reader);
    struct backup_request request = {.id = reader_u64(&reader)};
    if (reader.failed || version == 0 || kind == 0 || request.id == 0) {
        return RR_CORRUPT;
    }
    if (version > BACKUP_VERSION || kind > BACKUP_END) {
        return RR_MISMATCH;
    }
    request.kind = (enum backup_kind)kind;
    switch (request.kind) {
    case BACKUP_BEGIN:
        request.covers = reader_varint(&reader);
        break;
    case BACKUP_CHUNK:
        request.chunk = reader_varint(&reader);
        break;
    case BACKUP_END:
        break;
    }
    if (reader.failed) {
        return RR_CORRUPT;
    }
    *out = request;
    return RR_OK;
}

void backup_answer_encode(struct buffer *buffer, enum backup_kind kind,
                          const struct backup_answer *answer)
{
    put_u8(buffer, BACKUP_VERSION);
    put_u8(buffer, (uint8_t)answer->status);
    put_u8(buffer, answer->preparing ? ANSWER_PREPARING : 0);
    rr_bytes text = answer->text;
    text.size = text.size < MESSAGE_TEXT_BYTES_MAX ? text.size : MESSAGE_TEXT_BYTES_MAX;
    put_bytes(buffer, text);
    if (answer->status != RR_OK) {
        return;
    }
    switch (kind) {
    case BACKUP_BEGIN:
        put_u64(buffer, answer->cluster);
        put_u64(buffer, answer->node);
        put_varint(buffer, answer->covers);
        put_bytes(buffer, answer->manifest);
        return;
    case BACKUP_CHUNK:
        put_u64(buffer, answer->checksum);
        put_bytes(buffer, answer->bytes);
        return;
    case BACKUP_END:
        return;
    }
    UNREACHABLE();
}

static void read_answer_body(struct reader *reader, enum backup_kind kind,
                             struct backup_answer *answer)
{
    switch (kind) {
    case BACKUP_BEGIN:
        answer->cluster = reader_u64(reader);
        answer->node = reader_u64(reader);
        answer->covers = reader_varint(reader);
        answer->manifest = reader_bytes(reader);
        return;
    case BACKUP_CHUNK:
        answer->checksum = reader_u64(reader);
        answer->bytes = reader_bytes(reader);
        return;
    case BACKUP_END:
        return;
    }
    UNREACHABLE();
}

rr_status backup_answer_decode(rr_bytes bytes, enum backup_kind kind, struct backup_answer *out)
{
    struct reader reader;
    reader_init(&reader, bytes);
    uint8_t version = reader_u8(&reader);
    uint8_t status = reader_u8(&reader);
    uint8_t flags = reader_u8(&reader);
    struct backup_answer answer = {.text = reader_bytes(&reader)};
    if (reader.failed || version == 0 || answer.text.size > MESSAGE_TEXT_BYTES_MAX) {
        return RR_CORRUPT;
    }
    if (version > BACKUP_VERSION) {
        return RR_MISMATCH;
    }
    answer.status = status <= RR_STALE_SESSION ? (rr_status)status : RR_UNKNOWN;
    answer.preparing = (flags & ANSWER_PREPARING) != 0;
    if (answer.status == RR_OK) {
        read_answer_body(&reader, kind, &answer);
    }
    if (reader.failed || answer.manifest.size > BACKUP_MANIFEST_BYTES_MAX ||
        answer.bytes.size > BACKUP_CHUNK_BYTES_MAX) {
        return RR_CORRUPT;
    }
    *out = answer;
    return RR_OK;
}
