/* The bytes of batches; see batch.h. */
#include "coredb/command/batch.h"

static void put_argv(struct buffer *out, uint8_t db, const rr_bytes *argv, size_t argc)
{
    buffer_append_byte(out, db);
    buffer_put_u32(out, (uint32_t)argc);
    for (size_t i = 0; i < argc; i++) {
        buffer_put_slice(out, argv[i]);
    }
}

void batch_begin_commands(struct buffer *out, int protocol, const struct waiter_id *waiter,
                          uint64_t now_ms)
{
    buffer_append_byte(out, BATCH_VERSION);
    buffer_append_byte(out, BATCH_COMMANDS);
    buffer_append_byte(out, (uint8_t)protocol);
    buffer_put_u64(out, waiter->node);
    buffer_put_u64(out, waiter->boot);
    buffer_put_u64(out, waiter->number);
    buffer_put_u64(out, now_ms);
}

void batch_add_command(struct buffer *out, uint8_t db, const rr_bytes *argv, size_t argc)
{
    buffer_append_byte(out, ITEM_COMMAND);
    put_argv(out, db, argv, argc);
}

bool batch_output_begin(struct reader *reader, rr_bytes output, bool *again)
{
    *reader = reader_of(output);
    *again = reader_u8(reader) == 1;
    return !reader->failed;
}

bool batch_output_next(struct reader *reader, bool *waits, uint64_t *timeout_ms, rr_bytes *reply)
{
    if (reader->left == 0) {
        return false;
    }
    *waits = reader_u8(reader) == 1;
    *timeout_ms = 0;
    if (*waits) {
        *timeout_ms = reader_u64(reader);
    } else {
        *reply = reader_slice(reader);
    }
    return !reader->failed;
}

void batch_add_exec(struct buffer *out, const struct batch_watch *watches, size_t watch_count,
                    size_t command_count)
{
    buffer_append_byte(out, ITEM_EXEC);
    buffer_put_u32(out, (uint32_t)watch_count);
    for (size_t i = 0; i < watch_count; i++) {
        buffer_append_byte(out, watches[i].db);
        buffer_put_slice(out, watches[i].key);
        buffer_put_u64(out, watches[i].modified);
    }
    buffer_put_u32(out, (uint32_t)command_count);
}

void batch_add_exec_command(struct buffer *out, uint8_t db, const rr_bytes *argv, size_t argc)
{
    put_argv(out, db, argv, argc);
}

static void begin(struct buffer *out, enum batch_kind kind)
{
    buffer_append_byte(out, BATCH_VERSION);
    buffer_append_byte(out, (uint8_t)kind);
}

void batch_expire(struct buffer *out, uint32_t limit)
{
    begin(out, BATCH_EXPIRE);
    buffer_put_u32(out, limit);
}

void batch_collect(struct buffer *out, uint32_t limit)
{
    begin(out, BATCH_COLLECT);
    buffer_put_u32(out, limit);
}

void batch_cancel(struct buffer *out, const struct waiter_id *waiters, size_t count)
{
    begin(out, BATCH_CANCEL);
    buffer_put_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        buffer_put_u64(out, waiters[i].node);
        buffer_put_u64(out, waiters[i].boot);
        buffer_put_u64(out, waiters[i].number);
    }
}

void batch_renew(struct buffer *out, uint64_t node, uint64_t boot)
{
    begin(out, BATCH_RENEW);
    buffer_put_u64(out, node);
    buffer_put_u64(out, boot);
}

void batch_watch_query(struct buffer *out, uint8_t db, rr_bytes key)
{
    begin(out, BATCH_WATCH);
    buffer_append_byte(out, db);
    buffer_put_slice(out, key);
}

void batch_keyspace(struct buffer *out)
{
    begin(out, BATCH_KEYSPACE);
}

void batch_due(struct buffer *out)
{
    begin(out, BATCH_DUE);
}

void batch_waiters(struct buffer *out, uint64_t node, uint64_t boot)
{
    begin(out, BATCH_WAITERS);
    buffer_put_u64(out, node);
    buffer_put_u64(out, boot);
}
