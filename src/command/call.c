/* The body of a call: name, version, and the input up to the end. */
#include "command/call.h"

#include "base/assert.h"
#include "base/codec.h"

void call_encode(struct buffer *buffer, const struct call *call)
{
    ASSERT(call->name.size >= 1);
    ASSERT(call->name.size <= PROCEDURE_NAME_BYTES_MAX);
    put_bytes(buffer, call->name);
    put_varint(buffer, call->version);
    put_raw(buffer, call->input.data, call->input.size);
}

rr_status call_decode(rr_bytes body, struct call *out)
{
    struct reader reader;
    reader_init(&reader, body);
    struct call call = {.name = reader_bytes(&reader)};
    uint64_t version = reader_varint(&reader);
    call.input = reader_raw(&reader, reader_left(&reader));
    if (reader.failed || version > UINT32_MAX || call.name.size == 0 ||
        call.name.size > PROCEDURE_NAME_BYTES_MAX) {
        return RR_INVALID;
    }
    call.version = (uint32_t)version;
    *out = call;
    return RR_OK;
}
