/*
 * A batch: the bytes of one call of the procedure "coredb" or of one query. Commands of one
 * connection in order, or work of the server's own.
 *
 *     u8 version (1) | u8 kind | body
 *     BATCH_COMMANDS: u8 protocol | u64 node | u64 boot | u64 number of the first waiter
 *                     | u64 now_ms (queries; 0 in entries) | items
 *     item:           u8 ITEM_COMMAND | u8 db | u32 argc | argc slices
 *                   | u8 ITEM_EXEC | u32 watches | per watch: u8 db, slice key, u64 modified
 *                     | u32 commands | per command: u8 db, u32 argc, slices
 *     BATCH_EXPIRE:   u32 limit -> u32 keys that expired
 *     BATCH_COLLECT:  u32 limit
 *     BATCH_CANCEL:   u32 count | per waiter: u64 node, u64 boot, u64 number
 *                     -> per waiter u8: 1 it was registered and is gone now, 0 it was not
 *     BATCH_RENEW:    u64 node | u64 boot
 *     BATCH_WATCH:    (a query) u8 db | slice key -> u64 modified (0: absent)
 *     BATCH_DUE:      (a query) -> u8 whether there is garbage, or a waiter whose node is gone
 *                     | u64 next expiry (0: none) | u64 logical clock
 *     BATCH_WAITERS:  (a query) u64 node | u64 boot -> u32 count | u64 numbers, ascending: the
 *                     waiters of that start of the node that are registered
 *     BATCH_KEYSPACE: (a query) -> u8 databases | per database: u64 keys, u64 keys with an expiry
 *
 * Output of BATCH_COMMANDS: u8 (1: a query that must go through the log, nothing follows) | per
 * item: u8 0 and a slice with the reply, or u8 1 and u64 timeout in ms, 0 for ever (waits; the reply
 * comes as an event; see value/waiter.h). There are fewer replies than items, but at least one, when
 * more would pass the limit of a batch: the items that are left have not run and are to be sent again.
 */
#ifndef COREDB_COMMAND_BATCH_H
#define COREDB_COMMAND_BATCH_H

#include "coredb/base/buffer.h"
#include "coredb/value/event.h"

enum { BATCH_VERSION = 1, BATCH_BYTES_MAX = 8 * 1024 * 1024, BATCH_COMMANDS_MAX = 4096 };

enum batch_kind {
    BATCH_COMMANDS = 0,
    BATCH_EXPIRE = 1,
    BATCH_COLLECT = 2,
    BATCH_CANCEL = 3,
    BATCH_RENEW = 4,
    BATCH_WATCH = 5,
    BATCH_DUE = 6,
    BATCH_WAITERS = 7,
    BATCH_KEYSPACE = 8,
};

enum batch_item { ITEM_COMMAND = 0, ITEM_EXEC = 1 };

/* A key that a client watches, and what its modification index was. */
struct batch_watch {
    uint8_t db;
    rr_bytes key;
    uint64_t modified;
};

/* Writing. `waiter` is the id that the first command that waits would get; later ones count on. */
void batch_begin_commands(struct buffer *out, int protocol, const struct waiter_id *waiter,
                          uint64_t now_ms);
void batch_add_command(struct buffer *out, uint8_t db, const rr_bytes *argv, size_t argc);
void batch_add_exec(struct buffer *out, const struct batch_watch *watches, size_t watch_count,
                    size_t command_count);
/* As many of these as batch_add_exec said. */
void batch_add_exec_command(struct buffer *out, uint8_t db, const rr_bytes *argv, size_t argc);

void batch_expire(struct buffer *out, uint32_t limit);
void batch_collect(struct buffer *out, uint32_t limit);
void batch_cancel(struct buffer *out, const struct waiter_id *waiters, size_t count);
void batch_renew(struct buffer *out, uint64_t node, uint64_t boot);
void batch_watch_query(struct buffer *out, uint8_t db, rr_bytes key);
void batch_keyspace(struct buffer *out);
void batch_due(struct buffer *out);
void batch_waiters(struct buffer *out, uint64_t node, uint64_t boot);

/* Reading an output of BATCH_COMMANDS: `again` is whether a query must go through the log. False:
 * malformed, or at the end. */
bool batch_output_begin(struct reader *reader, rr_bytes output, bool *again);
bool batch_output_next(struct reader *reader, bool *waits, uint64_t *timeout_ms, rr_bytes *reply);

#endif
