/* MULTI and WATCH of one connection: what has been queued and what is watched. */
#ifndef COREDB_SERVER_TRANSACTION_H
#define COREDB_SERVER_TRANSACTION_H

#include "coredb/base/buffer.h"
#include "coredb/base/list.h"
#include "coredb/command/command.h"

struct client;

enum {
    TRANSACTION_BYTES_MAX = 8 * 1024 * 1024 - 4096, /* queued: one batch */
    TRANSACTION_WATCHES_MAX = 65536,
};

struct transaction_command {
    const struct command *command;
    size_t offset; /* of its slices in `bytes` */
    size_t argc;
};

struct transaction_watch {
    uint8_t db;
    uint64_t modified;
    size_t offset; /* of the key in `watch_bytes` */
    size_t size;
};

struct transaction {
    bool active;  /* since MULTI */
    bool aborted; /* EXEC will refuse: a command could not be queued */
    struct transaction_command *commands;
    size_t count;
    size_t capacity;
    size_t local_count; /* of the commands; the others are over the data */
    bool has_write;
    struct buffer bytes;
    bool watch_failed; /* EXEC will not execute: a key may have changed unseen */
    struct transaction_watch *watches;
    size_t watch_count;
    size_t watch_capacity;
    struct buffer watch_bytes;
    struct list_link absent;  /* in server->absent_watchers: it watches a key that was not there */
    uint64_t absent_snapshot; /* the node's snapshot then */
    rr_bytes *argv;           /* scratch, `argv_capacity` */
    size_t argv_capacity;
};

void transaction_init(struct transaction *transaction);
void transaction_deinit(struct transaction *transaction);

/* Forgets what is queued and ends MULTI; what is watched stays. */
void transaction_clear(struct transaction *transaction);
void transaction_unwatch(struct transaction *transaction);

/* Queues a request. False: too much, or no memory. */
bool transaction_add(struct transaction *transaction, const struct command *command,
                     const rr_bytes *argv, size_t argc);

/* The arguments of a queued command, until the next call. NULL: no memory. */
const rr_bytes *transaction_argv(struct transaction *transaction, size_t i);

/* Whether the key is watched already. */
bool transaction_watches(const struct transaction *transaction, uint8_t db, rr_bytes key);
bool transaction_watch(struct transaction *transaction, uint8_t db, rr_bytes key,
                       uint64_t modified);

/* The key has appeared: who watched it while it was absent executes no more. */
void transaction_appeared(struct transaction *transaction, uint8_t db, rr_bytes key);

/* Appends the EXEC item to a batch; `db` is the database selected before. */
bool transaction_encode(struct transaction *transaction, struct buffer *batch, uint32_t db);

#endif
