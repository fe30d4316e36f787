/* The header of a command: encoding, decoding, stamping, and the check before proposing. */
#include "command/command.h"

#include "base/assert.h"
#include "base/codec.h"
#include "command/call.h"
#include "command/txn.h"

enum {
    TIME_OFFSET = 2, /* behind version and kind */
    SEED_OFFSET = TIME_OFFSET + 8,
};

void command_encode(struct buffer *buffer, const struct command *command)
{
    ASSERT(command->session == 0 || command->sequence > 0);
    put_u8(buffer, COMMAND_VERSION);
    put_u8(buffer, (uint8_t)command->kind);
    put_u64(buffer, command->time_ms);
    if (command->kind == COMMAND_CALL) {
        put_u64(buffer, command->seed);
    }
    put_varint(buffer, command->session);
    if (command->session != 0) {
        put_varint(buffer, command->sequence);
    }
    bool limited = command->result_bytes_max < COMMAND_RESULT_BYTES_MAX;
    put_varint(buffer, limited ? command->result_bytes_max : 0);
    put_raw(buffer, command->body.data, command->body.size);
}

/* Whether a command of this kind has a body and may belong to a session. */
static bool kind_has_body(enum command_kind kind)
{
    switch (kind) {
    case COMMAND_NOOP:
    case COMMAND_SESSION:
        return false;
    case COMMAND_TXN:
    case COMMAND_CALL:
        return true;
    }
    UNREACHABLE();
}

rr_status command_decode(rr_bytes bytes, struct command *out)
{
    struct reader reader;
    reader_init(&reader, bytes);
    uint8_t version = reader_u8(&reader);
    if (version > COMMAND_VERSION) {
        return RR_MISMATCH;
    }
    uint8_t kind = reader_u8(&reader);
    if (version == 0 || kind > COMMAND_SESSION) {
        return RR_CORRUPT;
    }
    struct command command = {.kind = (enum command_kind)kind};
    command.time_ms = reader_u64(&reader);
    command.seed = command.kind == COMMAND_CALL ? reader_u64(&reader) : 0;
    command.session = reader_varint(&reader);
    command.sequence = command.session != 0 ? reader_varint(&reader) : 0;
    command.result_bytes_max = reader_varint(&reader);
    command.body = reader_raw(&reader, reader_left(&reader));
    bool sequence_missing = command.session != 0 && command.sequence == 0;
    bool too_much = !kind_has_body(command.kind) && (command.session != 0 || command.body.size > 0);
    if (reader.failed || sequence_missing || too_much ||
        command.result_bytes_max >= COMMAND_RESULT_BYTES_MAX) {
        return RR_CORRUPT;
    }
    *out = command;
    return RR_OK;
}

void command_stamp(uint8_t *bytes, size_t size, uint64_t time_ms, uint64_t seed)
{
    ASSERT(size >= SEED_OFFSET);
    ASSERT(bytes[0] == COMMAND_VERSION);
    store_u64(bytes + TIME_OFFSET, time_ms);
    if (bytes[1] == COMMAND_CALL) {
        ASSERT(size >= SEED_OFFSET + 8);
        store_u64(bytes + SEED_OFFSET, seed);
    }
}

static rr_status check_body(const struct command *command)
{
    struct txn txn;
    struct call call;
    switch (command->kind) {
    case COMMAND_NOOP:
    case COMMAND_SESSION:
        return RR_OK;
    case COMMAND_TXN:
        return txn_decode(command->body, &txn);
    case COMMAND_CALL:
        return call_decode(command->body, &call);
    }
    UNREACHABLE();
}

rr_status command_check(rr_bytes bytes)
{
    if (bytes.size > ENTRY_BYTES_MAX) {
        return RR_TOO_BIG;
    }
    struct command command;
    rr_status status = command_decode(bytes, &command);
    if (status != RR_OK) {
        return status == RR_CORRUPT ? RR_INVALID : status;
    }
    return check_body(&command);
}

size_t command_result_bytes_max(const struct command *command)
{
    return command->result_bytes_max == 0 ? COMMAND_RESULT_BYTES_MAX : command->result_bytes_max;
}
