/* BLPOP and its like on lists and sorted sets, and what waiters of all types do when served. */
#include "coredb/command/blocking.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/command/list.h"
#include "coredb/command/stream.h"
#include "coredb/command/zset.h"

/* Of one reply to a BLMPOP that waited: no more is taken then. With the element that passes it the
 * reply still keeps within STORE_REPLIES_BYTES_MAX. */
enum { SERVED_BYTES_MAX = 6 * 1024 * 1024 };

/* ---- Waiting ---- */

/* Seconds become milliseconds, rounded up. What has no place in 64 bits is "negative" in Redis. */
static bool seconds_to_ms(rr_bytes text, int64_t *out)
{
    long double seconds;
    if (!number_parse_long_double(text, &seconds)) {
        return false;
    }
    long double exact = seconds * 1000;
    if (!(exact > -0x1p63L && exact < 0x1p63L)) {
        *out = INT64_MIN;
        return true;
    }
    *out = (int64_t)exact;
    if ((long double)*out < exact && *out < INT64_MAX) {
        ++*out;
    }
    return true;
}

bool blocking_timeout(struct exec *exec, size_t i, bool in_seconds, uint64_t *timeout_ms)
{
    int64_t timeout;
    if (in_seconds) {
        if (!seconds_to_ms(exec->argv[i], &timeout)) {
            reply_error(exec->reply, "ERR timeout is not a float or out of range");
            return false;
        }
    } else if (!number_parse_i64(exec->argv[i], &timeout)) {
        reply_error(exec->reply, "ERR timeout is not an integer or out of range");
        return false;
    }
    if (timeout < 0) {
        reply_error(exec->reply, "ERR timeout is negative");
        return false;
    }
    *timeout_ms = (uint64_t)timeout;
    return true;
}

void blocking_wait(struct exec *exec, const struct blocking_wait *wait)
{
    if (exec->store->is_query || !exec->may_block || exec->waiter == NULL) {
        if (exec->store->is_query && exec->may_block) {
            exec->store->clock_behind = true;
        }
        if (wait->null_bulk) {
            reply_null(exec->reply);
        } else {
            reply_null_array(exec->reply);
        }
        return;
    }
    struct waiter_request request = {
        .id = *exec->waiter,
        .protocol = (uint8_t)exec->reply->protocol,
        .db = (uint8_t)exec->store->db_index,
        .operation = wait->operation,
        .parameters = wait->parameters,
        .keys = wait->keys,
        .key_count = wait->key_count,
    };
    if (!waiter_register(exec->store, &request)) {
        reply_error(exec->reply, "TRYAGAIN this node's clock is behind its last start");
        return;
    }
    exec->blocked = true;
    exec->block_timeout_ms = wait->timeout_ms;
}

/* Waits on argv[first] and `key_count` keys in all, with the parameters, which end here. */
static void wait_on(struct exec *exec, enum waiter_operation operation, struct buffer *parameters,
                    size_t first, size_t key_count, uint64_t timeout_ms)
{
    if (parameters->failed) {
        store_fail(exec->store, RR_NO_MEMORY);
    }
    blocking_wait(exec, &(struct blocking_wait){.operation = operation,
                                                .parameters = buffer_bytes(parameters),
                                                .keys = &exec->argv[first],
                                                .key_count = key_count,
                                                .timeout_ms = timeout_ms,
                                                .null_bulk = operation == WAITER_LIST_MOVE});
    buffer_deinit(parameters);
}

/* ---- Lists ---- */

static void reply_taken(struct store *store, struct key *key, enum list_end end,
                        struct reply *reply)
{
    reply_array(reply, 2);
    reply_bulk(reply, key->name);
    list_take(store, key, end, reply);
}

static bool serve_list_pop(struct store *store, struct key *key, struct reader *parameters,
                           struct reply *reply)
{
    enum list_end end = (enum list_end)reader_u8(parameters);
    reply_taken(store, key, end, reply);
    return true;
}

static bool serve_list_move(struct store *store, struct key *key, struct reader *parameters,
                            struct reply *reply)
{
    enum list_end from = (enum list_end)reader_u8(parameters);
    enum list_end to = (enum list_end)reader_u8(parameters);
    rr_bytes name = reader_slice(parameters);
    struct key target;
    if (bytes_equal(name, key->name)) {
        list_transfer(store, key, from, NULL, to, reply);
        return true;
    }
    key_open_in(store, key->db, name, &target);
    if (target.type == VALUE_NONE || target.type == VALUE_LIST) {
        list_transfer(store, key, from, &target, to, reply);
    } else {
        reply_error_wrong_type(reply);
    }
    key_close(&target);
    return true;
}

static bool serve_list_mpop(struct store *store, struct key *key, struct reader *parameters,
                            struct reply *reply)
{
    enum list_end end = (enum list_end)reader_u8(parameters);
    uint64_t count = reader_u64(parameters);
    reply_array(reply, 2);
    reply_bulk(reply, key->name);
    list_take_many(store, key, end, count, SERVED_BYTES_MAX, reply);
    return true;
}

/* Opens the first of the keys that exists. True: `*found` is open, or WRONGTYPE was answered and
 * `found` is closed; false: none is there. */
static bool open_first(struct exec *exec, size_t first, size_t count, enum value_type type,
                       struct key *key, bool *found)
{
    for (size_t i = 0; i < count; i++) {
        bool fits = exec_open(exec, first + i, type, key);
        if (fits && key->type != VALUE_NONE) {
            *found = true;
            return true;
        }
        key_close(key);
        if (!fits) {
            *found = false;
            return true;
        }
    }
    return false;
}

static void block_pop(struct exec *exec, enum list_end end)
{
    uint64_t timeout_ms;
    struct key key;
    bool found;
    size_t key_count = exec->argc - 2;
    if (!blocking_timeout(exec, exec->argc - 1, /*in_seconds=*/true, &timeout_ms)) {
        return;
    }
    if (!open_first(exec, 1, key_count, VALUE_LIST, &key, &found)) {
        struct buffer parameters;
        buffer_init(&parameters);
        buffer_append_byte(&parameters, (uint8_t)end);
        wait_on(exec, WAITER_LIST_POP, &parameters, 1, key_count, timeout_ms);
    } else if (found) {
        reply_taken(exec->store, &key, end, exec->reply);
        key_close(&key);
    }
}

static void blocking_blpop(struct exec *exec)
{
    block_pop(exec, LIST_HEAD);
}

static void blocking_brpop(struct exec *exec)
{
    block_pop(exec, LIST_TAIL);
}

/* Writes what WAITER_LIST_MOVE keeps; it is also what an immediate move works from. */
static void put_move(struct buffer *out, enum list_end from, enum list_end to, rr_bytes target)
{
    buffer_append_byte(out, (uint8_t)from);
    buffer_append_byte(out, (uint8_t)to);
    buffer_put_slice(out, target);
}

static void block_move(struct exec *exec, enum list_end from, enum list_end to, size_t timeout)
{
    uint64_t timeout_ms;
    struct key source;
    bool found;
    if (!blocking_timeout(exec, timeout, /*in_seconds=*/true, &timeout_ms)) {
        return;
    }
    struct buffer parameters;
    buffer_init(&parameters);
    put_move(&parameters, from, to, exec->argv[2]);
    if (!open_first(exec, 1, 1, VALUE_LIST, &source, &found)) {
        wait_on(exec, WAITER_LIST_MOVE, &parameters, 1, 1, timeout_ms);
        return;
    }
    if (parameters.failed) {
        store_fail(exec->store, RR_NO_MEMORY);
    }
    if (found) {
        struct reader reader = reader_of(buffer_bytes(&parameters));
        (void)serve_list_move(exec->store, &source, &reader, exec->reply);
        key_close(&source);
    }
    buffer_deinit(&parameters);
}

static void blocking_blmove(struct exec *exec)
{
    enum list_end from;
    enum list_end to;
    if (!list_end_parse(exec->argv[3], &from) || !list_end_parse(exec->argv[4], &to)) {
        reply_error_syntax(exec->reply);
        return;
    }
    block_move(exec, from, to, 5);
}

static void blocking_brpoplpush(struct exec *exec)
{
    block_move(exec, LIST_TAIL, LIST_HEAD, 3);
}

/* Waits as BLMPOP or BZMPOP. */
static void wait_for_many(struct exec *exec, enum waiter_operation operation,
                          const struct pop_request *request, uint64_t timeout_ms)
{
    struct buffer parameters;
    buffer_init(&parameters);
    buffer_append_byte(&parameters, request->second ? 1 : 0);
    buffer_put_u64(&parameters, request->count);
    wait_on(exec, operation, &parameters, request->first_key, request->key_count, timeout_ms);
}

static void blocking_blmpop(struct exec *exec)
{
    struct pop_request request;
    uint64_t timeout_ms;
    struct key key;
    bool found;
    if (!pop_request_parse(exec, 2, "left", "right", &request) ||
        !blocking_timeout(exec, 1, /*in_seconds=*/true, &timeout_ms)) {
        return;
    }
    if (!open_first(exec, request.first_key, request.key_count, VALUE_LIST, &key, &found)) {
        wait_for_many(exec, WAITER_LIST_MPOP, &request, timeout_ms);
    } else if (found) {
        reply_array(exec->reply, 2);
        reply_bulk(exec->reply, key.name);
        list_take_many(exec->store, &key, request.second ? LIST_TAIL : LIST_HEAD, request.count,
                       SIZE_MAX, exec->reply);
        key_close(&key);
    }
}

/* ---- Sorted sets ---- */

static void reply_zset_popped(struct store *store, struct key *key, bool highest,
                              struct reply *reply)
{
    reply_array(reply, 3);
    reply_bulk(reply, key->name);
    zset_pop(store, reply, key, highest, 1, /*nested=*/false);
}

static void reply_zset_many(struct store *store, struct key *key, bool highest, uint64_t count,
                            struct reply *reply)
{
    uint64_t taken = count < key->count ? count : key->count;
    reply_array(reply, 2);
    reply_bulk(reply, key->name);
    reply_array(reply, taken);
    zset_pop(store, reply, key, highest, taken, /*nested=*/true);
}

static bool serve_zset_pop(struct store *store, struct key *key, struct reader *parameters,
                           struct reply *reply)
{
    bool highest = reader_u8(parameters) != 0;
    reply_zset_popped(store, key, highest, reply);
    return true;
}

static bool serve_zset_mpop(struct store *store, struct key *key, struct reader *parameters,
                            struct reply *reply)
{
    bool highest = reader_u8(parameters) != 0;
    uint64_t count = reader_u64(parameters);
    reply_zset_many(store, key, highest, count, reply);
    return true;
}

static void block_zset_pop(struct exec *exec, bool highest)
{
    uint64_t timeout_ms;
    struct key key;
    bool found;
    size_t key_count = exec->argc - 2;
    if (!blocking_timeout(exec, exec->argc - 1, /*in_seconds=*/true, &timeout_ms)) {
        return;
    }
    if (!open_first(exec, 1, key_count, VALUE_ZSET, &key, &found)) {
        struct buffer parameters;
        buffer_init(&parameters);
        buffer_append_byte(&parameters, highest ? 1 : 0);
        wait_on(exec, WAITER_ZSET_POP, &parameters, 1, key_count, timeout_ms);
    } else if (found) {
        reply_zset_popped(exec->store, &key, highest, exec->reply);
        key_close(&key);
    }
}

static void blocking_bzpopmin(struct exec *exec)
{
    block_zset_pop(exec, false);
}

static void blocking_bzpopmax(struct exec *exec)
{
    block_zset_pop(exec, true);
}

static void blocking_bzmpop(struct exec *exec)
{
    struct pop_request request;
    uint64_t timeout_ms;
    struct key key;
    bool found;
    if (!pop_request_parse(exec, 2, "min", "max", &request) ||
        !blocking_timeout(exec, 1, /*in_seconds=*/true, &timeout_ms)) {
        return;
    }
    if (!open_first(exec, request.first_key, request.key_count, VALUE_ZSET, &key, &found)) {
        wait_for_many(exec, WAITER_ZSET_MPOP, &request, timeout_ms);
    } else if (found) {
        reply_zset_many(exec->store, &key, request.second, request.count, exec->reply);
        key_close(&key);
    }
}

/* ---- Serving ---- */

static bool serve(struct store *store, struct key *key, const struct waiter *waiter,
                  struct reply *reply)
{
    struct reader parameters = reader_of(waiter->parameters);
    switch (waiter->operation) {
    case WAITER_LIST_POP:
        return serve_list_pop(store, key, &parameters, reply);
    case WAITER_LIST_MOVE:
        return serve_list_move(store, key, &parameters, reply);
    case WAITER_LIST_MPOP:
        return serve_list_mpop(store, key, &parameters, reply);
    case WAITER_ZSET_POP:
        return serve_zset_pop(store, key, &parameters, reply);
    case WAITER_ZSET_MPOP:
        return serve_zset_mpop(store, key, &parameters, reply);
    case WAITER_STREAM_READ:
    case WAITER_STREAM_READ_GROUP:
        return stream_serve(store, key, waiter, reply);
    }
    return false;
}

void waiters_serve(struct store *store)
{
    if (store->ready.size > 0) {
        waiter_serve_ready(store, serve);
    }
}

/* ---- The table ---- */

#define WAITING_NOTE                                                                               \
    "A client that waits on a node that the others have not heard of for 10 seconds gets "         \
    "-UNBLOCKED, and nothing is taken."

const struct command commands_blocking[] = {
    {.name = "blmove",
     .arity = 6,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_NOSCRIPT | COMMAND_BLOCKING,
     .group = "list",
     .since = "6.2.0",
     .summary = "Moves an element from one list to another, and waits for it if there is none.",
     .complexity = "O(1)",
     .run = blocking_blmove,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, 0, 1),
              KEY_SPEC(KEY_RW | KEY_INSERT, 2, 0, 1)},
     .note = WAITING_NOTE},
    {.name = "blmpop",
     .arity = -5,
     .flags = COMMAND_WRITE | COMMAND_BLOCKING | COMMAND_MOVABLE_KEYS,
     .group = "list",
     .since = "7.0.0",
     .summary = "Takes elements off the first list that has any, and waits for one that has.",
     .complexity = "O(N+M) in the number of keys and of elements returned",
     .run = blocking_blmpop,
     .keys = {KEY_SPEC_COUNTED(KEY_RW | KEY_ACCESS | KEY_DELETE, 2)},
     .note = WAITING_NOTE " After a wait no more is taken once the reply has 6 MiB."},
    {.name = "blpop",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_NOSCRIPT | COMMAND_BLOCKING,
     .group = "list",
     .since = "2.0.0",
     .summary = "Takes the head off the first list that has one, and waits for one that has.",
     .complexity = "O(N) in the number of keys",
     .run = blocking_blpop,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, -2, 1)},
     .note = WAITING_NOTE},
    {.name = "brpop",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_NOSCRIPT | COMMAND_BLOCKING,
     .group = "list",
     .since = "2.0.0",
     .summary = "Takes the tail off the first list that has one, and waits for one that has.",
     .complexity = "O(N) in the number of keys",
     .run = blocking_brpop,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, -2, 1)},
     .note = WAITING_NOTE},
    {.name = "brpoplpush",
     .arity = 4,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_NOSCRIPT | COMMAND_BLOCKING,
     .group = "list",
     .since = "2.2.0",
     .summary = "Moves a tail to the head of another list, and waits for it if there is none.",
     .complexity = "O(1)",
     .run = blocking_brpoplpush,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, 0, 1),
              KEY_SPEC(KEY_RW | KEY_INSERT, 2, 0, 1)},
     .note = WAITING_NOTE},
    {.name = "bzmpop",
     .arity = -5,
     .flags = COMMAND_WRITE | COMMAND_BLOCKING | COMMAND_MOVABLE_KEYS,
     .group = "sorted-set",
     .since = "7.0.0",
     .summary = "Takes members off the first sorted set that has any, and waits for one that has.",
     .complexity = "O(K) + O(M*log(N)) in the number of keys, of members taken and in the set",
     .run = blocking_bzmpop,
     .keys = {KEY_SPEC_COUNTED(KEY_RW | KEY_ACCESS | KEY_DELETE, 2)},
     .note = WAITING_NOTE},
    {.name = "bzpopmax",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_NOSCRIPT | COMMAND_BLOCKING | COMMAND_FAST,
     .group = "sorted-set",
     .since = "5.0.0",
     .summary = "Takes the highest member of the first sorted set that has one, or waits.",
     .complexity = "O(log(N)) in the size of the set",
     .run = blocking_bzpopmax,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, -2, 1)},
     .note = WAITING_NOTE},
    {.name = "bzpopmin",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_NOSCRIPT | COMMAND_BLOCKING | COMMAND_FAST,
     .group = "sorted-set",
     .since = "5.0.0",
     .summary = "Takes the lowest member of the first sorted set that has one, or waits.",
     .complexity = "O(log(N)) in the size of the set",
     .run = blocking_bzpopmin,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, -2, 1)},
     .note = WAITING_NOTE},
    {.name = NULL},
};
