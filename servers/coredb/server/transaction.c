/* What a connection has queued and watches; nothing here runs anything. */
#include "coredb/server/transaction.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/command/batch.h"

#include <stdlib.h>

void transaction_init(struct transaction *transaction)
{
    *transaction = (struct transaction){0};
    buffer_init(&transaction->bytes);
    buffer_init(&transaction->watch_bytes);
    list_init(&transaction->absent);
}

void transaction_clear(struct transaction *transaction)
{
    free(transaction->commands);
    transaction->commands = NULL;
    transaction->count = 0;
    transaction->capacity = 0;
    transaction->local_count = 0;
    transaction->has_write = false;
    transaction->active = false;
    transaction->aborted = false;
    free(transaction->argv);
    transaction->argv = NULL;
    transaction->argv_capacity = 0;
    buffer_deinit(&transaction->bytes);
    buffer_init(&transaction->bytes);
}

void transaction_unwatch(struct transaction *transaction)
{
    free(transaction->watches);
    transaction->watches = NULL;
    transaction->watch_failed = false;
    list_remove(&transaction->absent);
    transaction->watch_count = 0;
    transaction->watch_capacity = 0;
    buffer_deinit(&transaction->watch_bytes);
    buffer_init(&transaction->watch_bytes);
}

void transaction_deinit(struct transaction *transaction)
{
    transaction_clear(transaction);
    transaction_unwatch(transaction);
}

/* ---- Queueing ---- */

static bool grow(void **array, size_t *capacity, size_t count, size_t element)
{
    if (count < *capacity) {
        return true;
    }
    size_t wanted = *capacity == 0 ? 8 : *capacity * 2;
    void *memory = realloc(*array, wanted * element);
    if (memory == NULL) {
        return false;
    }
    *array = memory;
    *capacity = wanted;
    return true;
}

bool transaction_add(struct transaction *transaction, const struct command *command,
                     const rr_bytes *argv, size_t argc)
{
    size_t size = transaction->bytes.size + 16 * (transaction->count + 1);
    for (size_t i = 0; i < argc; i++) {
        size += argv[i].size + 4;
    }
    void *commands = transaction->commands;
    if (size > TRANSACTION_BYTES_MAX || !grow(&commands, &transaction->capacity, transaction->count,
                                              sizeof(*transaction->commands))) {
        return false;
    }
    transaction->commands = commands;
    transaction->commands[transaction->count++] =
        (struct transaction_command){command, transaction->bytes.size, argc};
    for (size_t i = 0; i < argc; i++) {
        buffer_put_slice(&transaction->bytes, argv[i]);
    }
    transaction->local_count += command->run == NULL;
    transaction->has_write =
        transaction->has_write || (command->flags & (COMMAND_WRITE | COMMAND_MAY_REPLICATE)) != 0;
    return !transaction->bytes.failed;
}

const rr_bytes *transaction_argv(struct transaction *transaction, size_t i)
{
    const struct transaction_command *command = &transaction->commands[i];
    if (transaction->argv_capacity < command->argc) {
        rr_bytes *argv = realloc(transaction->argv, command->argc * sizeof(*argv));
        if (argv == NULL) {
            return NULL;
        }
        transaction->argv = argv;
        transaction->argv_capacity = command->argc;
    }
    struct reader reader = reader_of((rr_bytes){transaction->bytes.data + command->offset,
                                                transaction->bytes.size - command->offset});
    for (size_t k = 0; k < command->argc; k++) {
        transaction->argv[k] = reader_slice(&reader);
    }
    return transaction->argv;
}

/* ---- Watching ---- */

static rr_bytes watched_key(const struct transaction *transaction, size_t i)
{
    const struct transaction_watch *watch = &transaction->watches[i];
    return (rr_bytes){transaction->watch_bytes.data + watch->offset, watch->size};
}

bool transaction_watches(const struct transaction *transaction, uint8_t db, rr_bytes key)
{
    for (size_t i = 0; i < transaction->watch_count; i++) {
        if (transaction->watches[i].db == db && bytes_equal(watched_key(transaction, i), key)) {
            return true;
        }
    }
    return false;
}

bool transaction_watch(struct transaction *transaction, uint8_t db, rr_bytes key, uint64_t modified)
{
    void *watches = transaction->watches;
    if (transaction->watch_count >= TRANSACTION_WATCHES_MAX ||
        transaction->watch_bytes.size + key.size + 32 * transaction->watch_count >
            TRANSACTION_BYTES_MAX / 2 ||
        !grow(&watches, &transaction->watch_capacity, transaction->watch_count,
              sizeof(*transaction->watches))) {
        return false;
    }
    transaction->watches = watches;
    transaction->watches[transaction->watch_count++] =
        (struct transaction_watch){db, modified, transaction->watch_bytes.size, key.size};
    buffer_append_bytes(&transaction->watch_bytes, key);
    return !transaction->watch_bytes.failed;
}

void transaction_appeared(struct transaction *transaction, uint8_t db, rr_bytes key)
{
    for (size_t i = 0; i < transaction->watch_count; i++) {
        const struct transaction_watch *watch = &transaction->watches[i];
        if (watch->modified == 0 && watch->db == db &&
            bytes_equal(watched_key(transaction, i), key)) {
            transaction->watch_failed = true;
        }
    }
}

/* ---- EXEC ---- */

/* SELECT within a transaction counts for the commands behind it. */
static void follow_select(const struct command *command, const rr_bytes *argv, uint32_t *db)
{
    int64_t number = 0;
    if (bytes_is(bytes_of(command->name), "select") && number_parse_i64(argv[1], &number) &&
        number >= 0 && number < STORE_DATABASES) {
        *db = (uint32_t)number;
    }
}

static bool encode_watches(struct transaction *transaction, struct buffer *batch,
                           size_t command_count)
{
    struct batch_watch *watches = NULL;
    if (transaction->watch_count > 0) {
        watches = calloc(transaction->watch_count, sizeof(*watches));
        if (watches == NULL) {
            return false;
        }
    }
    for (size_t i = 0; i < transaction->watch_count; i++) {
        watches[i] = (struct batch_watch){transaction->watches[i].db, watched_key(transaction, i),
                                          transaction->watches[i].modified};
    }
    batch_add_exec(batch, watches, transaction->watch_count, command_count);
    free(watches);
    return true;
}

bool transaction_encode(struct transaction *transaction, struct buffer *batch, uint32_t db)
{
    if (!encode_watches(transaction, batch, transaction->count - transaction->local_count)) {
        return false;
    }
    for (size_t i = 0; i < transaction->count; i++) {
        const struct transaction_command *command = &transaction->commands[i];
        const rr_bytes *argv = transaction_argv(transaction, i);
        if (argv == NULL) {
            return false;
        }
        if (command->command->run == NULL) {
            follow_select(command->command, argv, &db);
        } else {
            batch_add_exec_command(batch, (uint8_t)db, argv, command->argc);
        }
    }
    return !batch->failed;
}
