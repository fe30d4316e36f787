/* Runs batches over the data; see execute.h. */
#include "coredb/command/execute.h"

#include "coredb/base/bytes.h"
#include "coredb/command/batch.h"
#include "coredb/command/blocking.h"
#include "coredb/command/command.h"
#include "coredb/command/measure.h"

#include <stdlib.h>

enum {
    QUERY_REPLIES_BYTES_MAX = 60 * 1024 * 1024, /* the library answers 64 MiB */
    EXEC_ERRORS_BYTES_MAX = 512 * 1024, /* of errors of an EXEC whose replies are at their limit */
};

/* A batch being run. */
struct run {
    struct store store;
    struct reader reader;
    struct buffer out;
    int protocol;
    struct waiter_id waiter; /* of the next command that waits */
    struct measure *measure; /* NULL: its commands are not counted here */
    size_t answered;         /* items whose replies are in `out` */
    bool malformed;
    bool stopped; /* the next item, with its reply, is too much beside those: it is not run */
};

/* Whether the command may run here; else it has been answered. */
static bool admit(struct exec *exec)
{
    const struct command *container = NULL;
    exec->command = command_resolve(exec->argv, exec->argc, &container);
    const struct command *command = exec->command;
    if (command == NULL) {
        exec_error_unknown(exec->reply, exec->argv, exec->argc, container);
        return false;
    }
    if (!command_arity_fits(command, exec->argc)) {
        exec_error_arity(exec->reply, command, container);
        return false;
    }
    if (command->run == NULL) {
        reply_error(exec->reply, "ERR '%s' cannot run here", command->name);
        return false;
    }
    if (exec->store->is_query && (command->flags & COMMAND_WRITE) != 0) {
        store_fail(exec->store, RR_INVALID);
        return false;
    }
    return true;
}

/* The most that the replies of a batch may have. */
static size_t replies_max(const struct store *store)
{
    return store->is_query ? QUERY_REPLIES_BYTES_MAX : STORE_REPLIES_BYTES_MAX;
}

/* Runs the command with a reply and with work that grow no further than their limits. */
static void run_limited(struct exec *exec)
{
    struct store *store = exec->store;
    struct buffer *out = &exec->reply->out;
    const struct buffer *outer_reply = store->reply;
    size_t outer_limit = out->limit;
    bool outer_limits_work = store->limits_work;
    out->limit = exec->reply_bytes_max == 0 ? replies_max(store) : exec->reply_bytes_max;
    store->reply = out;
    store->limits_work = !store->is_query || outer_limits_work; /* scripts limit queries, too */
    exec->command->run(exec);
    store->limits_work = outer_limits_work;
    out->limit = outer_limit;
    store->reply = outer_reply;
}

void execute_command(struct exec *exec)
{
    struct store *store = exec->store;
    if (!admit(exec)) {
        return;
    }
    struct store_savepoint savepoint;
    size_t size = exec->reply->out.size;
    store_save(store, &savepoint);
    run_limited(exec);
    bool too_long = exec->reply->out.full;
    if (!too_long && store->failure != RR_TOO_BIG) {
        return;
    }
    exec->too_big = too_long || store->exhausted;
    store_rollback(store, &savepoint);
    buffer_retreat(&exec->reply->out, size);
    exec->reply->is_error = false;
    exec->blocked = false;
    if (too_long) {
        reply_error(exec->reply, "ERR the reply exceeds the limit of %zu bytes",
                    replies_max(store));
    } else if (store->exhausted) {
        reply_error(exec->reply, "ERR the command is too much work for one entry of the log");
    } else {
        reply_error(exec->reply, "ERR a key, an element or a value exceeds the limit");
    }
}

/* Reads db, argc and the arguments; NULL: malformed. */
static rr_bytes *read_command(struct run *run, uint32_t *argc)
{
    run->store.db_index = reader_u8(&run->reader);
    *argc = reader_u32(&run->reader);
    if (run->reader.failed || *argc == 0 || *argc > run->reader.left / 4 ||
        run->store.db_index >= STORE_DATABASES) {
        run->malformed = true;
        return NULL;
    }
    rr_bytes *argv = malloc(*argc * sizeof(*argv));
    if (argv == NULL) {
        store_fail(&run->store, RR_NO_MEMORY);
        return NULL;
    }
    for (uint32_t i = 0; i < *argc; i++) {
        argv[i] = reader_slice(&run->reader);
    }
    if (run->reader.failed) {
        run->malformed = true;
        free(argv);
        return NULL;
    }
    return argv;
}

/* What is left for the replies of the batch. */
static size_t replies_left(const struct run *run)
{
    size_t most = replies_max(&run->store);
    return run->out.size < most ? most - run->out.size : 1;
}

/* Adds the reply of an item, or takes note that it does not fit in. */
static void add_reply(struct run *run, const struct reply *reply, bool too_big)
{
    if (too_big && run->answered > 0) {
        run->stopped = true;
        return;
    }
    buffer_append_byte(&run->out, 0);
    buffer_put_slice(&run->out, buffer_bytes(&reply->out));
    run->answered++;
    if (reply->out.failed) {
        store_fail(&run->store, RR_NO_MEMORY);
    }
}

/* Runs the command and counts it, unless the batch is to run again. */
static void execute_measured(struct run *run, struct exec *exec)
{
    const struct store *store = exec->store;
    if (run->measure == NULL) {
        execute_command(exec);
        return;
    }
    uint64_t found = store->keys_found;
    uint64_t missing = store->keys_missing;
    uint64_t began_ns = measure_now_ns();
    exec->reply->is_error = false;
    execute_command(exec);
    if (exec->command == NULL || store->failure != RR_OK || store->clock_behind) {
        return;
    }
    struct measure_run ran = {exec->command, measure_now_ns() - began_ns, exec->reply->is_error};
    measure_count(run->measure, &ran);
    measure_slow(run->measure, &run->waiter, &ran, exec->argv, exec->argc);
    if ((exec->command->flags & COMMAND_READONLY) != 0) {
        measure_lookups(run->measure, store->keys_found - found, store->keys_missing - missing);
    }
}

static void run_item(struct run *run)
{
    uint32_t argc;
    rr_bytes *argv = read_command(run, &argc);
    if (argv == NULL) {
        return;
    }
    struct reply reply;
    reply_init(&reply, run->protocol);
    struct exec exec = {.store = &run->store,
                        .argv = argv,
                        .argc = argc,
                        .reply = &reply,
                        .reply_bytes_max = replies_left(run),
                        .may_block = true,
                        .waiter = &run->waiter};
    execute_measured(run, &exec);
    if (exec.blocked) {
        buffer_append_byte(&run->out, 1);
        buffer_put_u64(&run->out, exec.block_timeout_ms);
        run->waiter.number++;
        run->answered++;
    } else {
        add_reply(run, &reply, exec.too_big);
    }
    reply_deinit(&reply);
    free(argv);
}

static uint64_t modified_of(struct store *store, uint32_t db, rr_bytes name)
{
    struct key key;
    key_open_in(store, db, name, &key);
    uint64_t modified = key_watched(store, &key);
    key_close(&key);
    return modified;
}

/* Reads the watches of a transaction; true: all keys are as they were. */
static bool is_untouched(struct run *run)
{
    bool untouched = true;
    uint32_t watches = reader_u32(&run->reader);
    for (uint32_t i = 0; i < watches && !run->reader.failed; i++) {
        uint8_t db = reader_u8(&run->reader);
        rr_bytes name = reader_slice(&run->reader);
        uint64_t modified = reader_u64(&run->reader);
        if (db >= STORE_DATABASES) {
            run->malformed = true;
            return false;
        }
        untouched = untouched && modified_of(&run->store, db, name) == modified;
    }
    return untouched;
}

/* A transaction while it runs. */
struct transaction_run {
    struct reply reply;
    bool runs;    /* its commands do; else they are only read */
    bool too_big; /* one of them is */
};

static void run_next(struct run *run, struct transaction_run *transaction)
{
    uint32_t argc;
    rr_bytes *argv = read_command(run, &argc);
    if (argv != NULL && transaction->runs) {
        struct exec exec = {.store = &run->store,
                            .argv = argv,
                            .argc = argc,
                            .reply = &transaction->reply,
                            .reply_bytes_max = replies_left(run)};
        execute_measured(run, &exec);
        transaction->too_big = transaction->too_big || exec.too_big;
    }
    free(argv);
}

/* Undoes a transaction; what is left of it is read, but does not run. */
static void give_up(struct run *run, struct transaction_run *transaction,
                    const struct store_savepoint *savepoint)
{
    store_rollback(&run->store, savepoint);
    buffer_clear(&transaction->reply.out);
    reply_error(&transaction->reply, "ERR the transaction is too large for one entry of the log; "
                                     "nothing of it is applied");
    transaction->runs = false;
    transaction->too_big = true;
}

static void run_transaction(struct run *run)
{
    struct store_savepoint savepoint;
    store_save(&run->store, &savepoint);
    struct transaction_run transaction = {.runs = is_untouched(run)};
    uint32_t count = reader_u32(&run->reader);
    reply_init(&transaction.reply, run->protocol);
    if (transaction.runs) {
        reply_array(&transaction.reply, count);
    } else {
        reply_null_array(&transaction.reply);
    }
    for (uint32_t i = 0; i < count && !run->malformed && run->store.failure == RR_OK; i++) {
        run_next(run, &transaction);
        bool over = transaction.reply.out.size > replies_max(&run->store) + EXEC_ERRORS_BYTES_MAX;
        bool elsewhere = transaction.too_big && run->answered > 0;
        if (transaction.runs && (over || elsewhere || run->store.exhausted)) {
            give_up(run, &transaction, &savepoint);
        }
    }
    add_reply(run, &transaction.reply, transaction.too_big);
    reply_deinit(&transaction.reply);
}

static void run_exec(struct run *run)
{
    uint64_t began_ns = run->measure != NULL ? measure_now_ns() : 0;
    run_transaction(run);
    if (run->measure != NULL && run->store.failure == RR_OK && !run->store.clock_behind) {
        struct measure_run ran = {command_find(bytes_of("exec")), measure_now_ns() - began_ns,
                                  false};
        measure_count(run->measure, &ran);
    }
}

static void run_commands(struct run *run, bool is_query)
{
    run->protocol = reader_u8(&run->reader);
    run->waiter.node = reader_u64(&run->reader);
    run->waiter.boot = reader_u64(&run->reader);
    run->waiter.number = reader_u64(&run->reader);
    if (run->measure != NULL && !measure_is_own(run->measure, &run->waiter)) {
        run->measure = NULL;
    }
    uint64_t now_ms = reader_u64(&run->reader);
    if (is_query && now_ms > run->store.now_ms) {
        run->store.now_ms = now_ms;
    }
    buffer_append_byte(&run->out, 0);
    while (run->reader.left != 0 && !run->reader.failed && !run->malformed && !run->stopped &&
           run->store.failure == RR_OK) {
        switch (reader_u8(&run->reader)) {
        case ITEM_COMMAND:
            run_item(run);
            break;
        case ITEM_EXEC:
            run_exec(run);
            break;
        default:
            run->malformed = true;
        }
        if (!is_query) {
            waiters_serve(&run->store);
        }
    }
}

static void run_cancel(struct run *run)
{
    uint32_t count = reader_u32(&run->reader);
    for (uint32_t i = 0; i < count && !run->reader.failed; i++) {
        struct waiter_id id = {reader_u64(&run->reader), 0, 0};
        id.boot = reader_u64(&run->reader);
        id.number = reader_u64(&run->reader);
        buffer_append_byte(&run->out, waiter_cancel(&run->store, &id) ? 1 : 0);
    }
}

static void run_batch(struct run *run, bool is_query)
{
    struct store *store = &run->store;
    if (reader_u8(&run->reader) != BATCH_VERSION) {
        run->malformed = true;
        return;
    }
    uint8_t kind = reader_u8(&run->reader);
    if (is_query != (kind == BATCH_WATCH || kind == BATCH_DUE || kind == BATCH_WAITERS ||
                     kind == BATCH_KEYSPACE) &&
        kind != BATCH_COMMANDS) {
        run->malformed = true;
        return;
    }
    switch (kind) {
    case BATCH_COMMANDS:
        run_commands(run, is_query);
        break;
    case BATCH_EXPIRE:
        buffer_put_u32(&run->out, (uint32_t)key_expire_due(store, reader_u32(&run->reader)));
        waiters_serve(store);
        break;
    case BATCH_COLLECT: {
        uint32_t limit = reader_u32(&run->reader);
        key_collect_garbage(store, limit);
        waiter_drop_dead(store, limit);
        break;
    }
    case BATCH_CANCEL:
        run_cancel(run);
        break;
    case BATCH_RENEW: {
        uint64_t node = reader_u64(&run->reader);
        waiter_renew(store, node, reader_u64(&run->reader));
        break;
    }
    case BATCH_WATCH: {
        uint8_t db = reader_u8(&run->reader);
        rr_bytes name = reader_slice(&run->reader);
        buffer_put_u64(&run->out, modified_of(store, db % STORE_DATABASES, name));
        break;
    }
    case BATCH_DUE: {
        uint64_t next = key_next_expiry(store);
        bool garbage = key_has_garbage(store) || waiter_has_dead(store);
        buffer_append_byte(&run->out, garbage ? 1 : 0);
        buffer_put_u64(&run->out, next);
        buffer_put_u64(&run->out, store->clock_ms);
        break;
    }
    case BATCH_WAITERS: {
        uint64_t node = reader_u64(&run->reader);
        uint64_t boot = reader_u64(&run->reader);
        struct buffer numbers;
        buffer_init(&numbers);
        buffer_put_u32(&run->out, (uint32_t)waiter_list(store, node, boot, &numbers));
        buffer_append_bytes(&run->out, buffer_bytes(&numbers));
        buffer_deinit(&numbers);
        break;
    }
    case BATCH_KEYSPACE:
        buffer_append_byte(&run->out, STORE_DATABASES);
        for (uint32_t i = 0; i < STORE_DATABASES; i++) {
            buffer_put_u64(&run->out, store_db(store, i)->key_count);
            buffer_put_u64(&run->out, store_db(store, i)->expiring_count);
        }
        break;
    default:
        run->malformed = true;
    }
}

static rr_status finish(struct run *run, rr_output *output)
{
    if (run->out.failed) {
        store_fail(&run->store, RR_NO_MEMORY);
    }
    if (run->malformed || run->reader.failed) {
        (void)rr_output_append(output, bytes_of("malformed batch"));
        return RR_REJECTED;
    }
    if (run->store.failure == RR_NO_MEMORY) {
        return RR_NO_MEMORY; /* at apply: this node's own failure, which halts it */
    }
    if (run->store.failure != RR_OK) {
        (void)rr_output_append(output, bytes_of(rr_status_name(run->store.failure)));
        return RR_REJECTED;
    }
    return rr_output_append(output, buffer_bytes(&run->out)) == RR_OK ? RR_OK : RR_REJECTED;
}

static void init(struct run *run, const struct execute *execute, rr_view *view, bool is_query,
                 rr_bytes input)
{
    *run = (struct run){.reader = reader_of(input),
                        .protocol = 2,
                        .measure = execute != NULL ? execute->measure : NULL};
    store_init(&run->store, view, is_query, 0);
    buffer_init(&run->out);
}

static void deinit(struct run *run)
{
    store_deinit(&run->store);
    buffer_deinit(&run->out);
}

/* Counts the keys that have expired. */
static void count_expired(const struct execute *execute, const struct events *events)
{
    struct event event;
    size_t offset = 0;
    while (execute->measure != NULL && events_next(events, &offset, &event)) {
        if (event.kind == EVENT_NOTIFY && event.notify_class == NOTIFY_EXPIRED) {
            measure_expired(execute->measure);
        }
    }
}

rr_status execute_procedure(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    const struct execute *execute = arg;
    struct run run;
    init(&run, execute, view, false, input);
    run_batch(&run, false);
    store_finish(&run.store);
    rr_status status = finish(&run, output);
    if (status == RR_OK) {
        count_expired(execute, &run.store.events);
    }
    if (status == RR_OK && execute->events != NULL && run.store.events.count != 0) {
        execute->events(execute->events_arg, rr_view_index(view), &run.store.events);
    }
    deinit(&run);
    return status;
}

rr_status execute_query(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    struct run run;
    init(&run, arg, view, true, input);
    run_batch(&run, true);
    if (run.store.clock_behind && run.store.failure == RR_OK && !run.malformed) {
        buffer_clear(&run.out);
        buffer_append_byte(&run.out, 1);
    }
    rr_status status = finish(&run, output);
    deinit(&run);
    return status;
}
