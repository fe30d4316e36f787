/* Commands of hashes. */
#include "coredb/value/hash.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/command/command.h"
#include "coredb/command/named.h"

#include <math.h>

/* Makes an absent key an empty hash. */
static void create_if_absent(struct exec *exec, struct key *key)
{
    if (key->type == VALUE_NONE) {
        key_create(exec->store, key, VALUE_HASH, ENCODING_LISTPACK);
    }
}

/* ---- Writing fields ---- */

static void save(struct exec *exec, struct key *key, const char *event)
{
    key_save(exec->store, key);
    key_notify(exec->store, key, NOTIFY_HASH, event);
}

/* Sets argv[2] on, pairs of field and value; returns how many fields are new. */
static int64_t set_pairs(struct exec *exec, struct key *key)
{
    int64_t added = 0;
    create_if_absent(exec, key);
    for (size_t i = 2; i + 1 < exec->argc; i += 2) {
        added += hash_set(exec->store, key, exec->argv[i], exec->argv[i + 1]) ? 1 : 0;
    }
    save(exec, key, "hset");
    return added;
}

static void run_hset(struct exec *exec)
{
    if (exec->argc % 2 != 0) {
        reply_error_arity(exec->reply, bytes_of(exec->command->name));
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_HASH, &key)) {
        reply_integer(exec->reply, set_pairs(exec, &key));
    }
    key_close(&key);
}

static void run_hmset(struct exec *exec)
{
    if (exec->argc % 2 != 0) {
        reply_error_arity(exec->reply, bytes_of(exec->command->name));
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_HASH, &key)) {
        set_pairs(exec, &key);
        reply_ok(exec->reply);
    }
    key_close(&key);
}

static void run_hsetnx(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_HASH, &key)) {
        bool is_new = !hash_get(exec->store, &key, exec->argv[2], NULL);
        if (is_new) {
            set_pairs(exec, &key);
        }
        reply_integer(exec->reply, is_new ? 1 : 0);
    }
    key_close(&key);
}

static void run_hdel(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_HASH, &key)) {
        int64_t deleted = 0;
        for (size_t i = 2; i < exec->argc && key.count > 0; i++) {
            deleted += hash_delete(exec->store, &key, exec->argv[i]) ? 1 : 0;
        }
        if (deleted > 0) {
            bool gone = key_save(exec->store, &key);
            key_notify(exec->store, &key, NOTIFY_HASH, "hdel");
            if (gone) {
                key_notify(exec->store, &key, NOTIFY_GENERIC, "del");
            }
        }
        reply_integer(exec->reply, deleted);
    }
    key_close(&key);
}

static void hincrby_opened(struct exec *exec, struct key *key, int64_t increment)
{
    rr_bytes found;
    int64_t value = 0;
    if (hash_get(exec->store, key, exec->argv[2], &found) && !number_parse_i64(found, &value)) {
        reply_error(exec->reply, "ERR hash value is not an integer");
        return;
    }
    if (__builtin_add_overflow(value, increment, &value)) {
        reply_error(exec->reply, "ERR increment or decrement would overflow");
        return;
    }
    char text[NUMBER_TEXT_MAX];
    size_t size = number_print_i64(value, text);
    create_if_absent(exec, key);
    hash_set(exec->store, key, exec->argv[2], (rr_bytes){text, size});
    save(exec, key, "hincrby");
    reply_integer(exec->reply, value);
}

static void run_hincrby(struct exec *exec)
{
    int64_t increment;
    if (!exec_integer(exec, 3, &increment)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_HASH, &key)) {
        hincrby_opened(exec, &key, increment);
    }
    key_close(&key);
}

static void hincrbyfloat_opened(struct exec *exec, struct key *key, long double increment)
{
    rr_bytes found;
    long double value = 0;
    if (hash_get(exec->store, key, exec->argv[2], &found) &&
        !number_parse_long_double(found, &value)) {
        reply_error(exec->reply, "ERR hash value is not a float");
        return;
    }
    value += increment;
    if (isnan(value) || isinf(value)) {
        reply_error(exec->reply, "ERR increment would produce NaN or Infinity");
        return;
    }
    char text[NUMBER_LONG_DOUBLE_MAX];
    rr_bytes printed = {text, number_print_long_double(value, text)};
    create_if_absent(exec, key);
    hash_set(exec->store, key, exec->argv[2], printed);
    save(exec, key, "hincrbyfloat");
    reply_bulk(exec->reply, printed);
}

static void run_hincrbyfloat(struct exec *exec)
{
    long double increment;
    if (!number_parse_long_double(exec->argv[3], &increment)) {
        reply_error_not_float(exec->reply);
        return;
    }
    if (isinf(increment)) {
        reply_error(exec->reply, "ERR value is NaN or Infinity");
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_HASH, &key)) {
        hincrbyfloat_opened(exec, &key, increment);
    }
    key_close(&key);
}

/* ---- Reading fields ---- */

static void reply_field(struct exec *exec, const struct key *key, rr_bytes field)
{
    rr_bytes value;
    if (hash_get(exec->store, key, field, &value)) {
        reply_bulk(exec->reply, value);
    } else {
        reply_null(exec->reply);
    }
}

static void run_hget(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_HASH, &key)) {
        reply_field(exec, &key, exec->argv[2]);
    }
    key_close(&key);
}

static void run_hmget(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_HASH, &key)) {
        reply_array(exec->reply, exec->argc - 2);
        for (size_t i = 2; i < exec->argc; i++) {
            reply_field(exec, &key, exec->argv[i]);
        }
    }
    key_close(&key);
}

static void run_hexists(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_HASH, &key)) {
        reply_integer(exec->reply, hash_get(exec->store, &key, exec->argv[2], NULL) ? 1 : 0);
    }
    key_close(&key);
}

static void run_hstrlen(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_HASH, &key)) {
        rr_bytes value = {0};
        hash_get(exec->store, &key, exec->argv[2], &value);
        reply_integer(exec->reply, (int64_t)value.size);
    }
    key_close(&key);
}

static void run_hlen(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_HASH, &key)) {
        reply_integer(exec->reply, (int64_t)key.count);
    }
    key_close(&key);
}

/* ---- Reading all ---- */

enum parts { FIELDS = 1, VALUES = 2, BOTH = FIELDS | VALUES };

struct parts_visit {
    struct reply *reply;
    enum parts parts;
};

static bool reply_parts(void *arg, rr_bytes field, rr_bytes value)
{
    const struct parts_visit *visit = arg;
    if (visit->parts & FIELDS) {
        reply_bulk(visit->reply, field);
    }
    if (visit->parts & VALUES) {
        reply_bulk(visit->reply, value);
    }
    return !visit->reply->out.failed;
}

static void get_all(struct exec *exec, enum parts parts)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_HASH, &key)) {
        if (parts == BOTH) {
            reply_map(exec->reply, key.count);
        } else {
            reply_array(exec->reply, key.count);
        }
        if (key.count > 0) {
            struct parts_visit visit = {exec->reply, parts};
            named_each(exec->store, hash_fields(&key), reply_parts, &visit);
        }
    }
    key_close(&key);
}

static void run_hgetall(struct exec *exec)
{
    get_all(exec, BOTH);
}

static void run_hkeys(struct exec *exec)
{
    get_all(exec, FIELDS);
}

static void run_hvals(struct exec *exec)
{
    get_all(exec, VALUES);
}

static void run_hscan(struct exec *exec)
{
    uint64_t cursor;
    if (!exec_cursor(exec, 2, &cursor)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_HASH, &key)) {
        named_scan_reply(exec, &key, hash_fields(&key), cursor, named_value_bulk);
    }
    key_close(&key);
}

static void run_hrandfield(struct exec *exec)
{
    struct named_random wanted;
    if (!named_random_arguments(exec, "withvalues", &wanted)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_HASH, &key)) {
        named_random_reply(exec, &key, hash_fields(&key), &wanted, named_value_bulk);
    }
    key_close(&key);
}

/* ---- Rows ---- */

#define READ(flags_) .flags = COMMAND_READONLY | (flags_), .group = "hash"
#define WRITE(flags_) .flags = COMMAND_WRITE | (flags_), .group = "hash"
#define KEY(flags_) .keys = {KEY_SPEC(flags_, 1, 0, 1)}

static const char order_note[] =
    "fields come in the order of a hash of their names; a small hash of Redis keeps the order in "
    "which they were set";
static const char random_note[] =
    "a negative count so large that the reply would exceed the limit is refused";

/* clang-format off */
const struct command commands_hash[] = {
    {.name = "hdel", .arity = -3, WRITE(COMMAND_FAST), .since = "2.0.0",
     .summary = "Deletes fields, and the hash when none is left.",
     .complexity = "O(N) for N fields", .run = run_hdel, KEY(KEY_RW | KEY_DELETE)},
    {.name = "hexists", .arity = 3, READ(COMMAND_FAST), .since = "2.0.0",
     .summary = "Tells whether a field exists.",
     .complexity = "O(1)", .run = run_hexists, KEY(KEY_RO)},
    {.name = "hget", .arity = 3, READ(COMMAND_FAST), .since = "2.0.0",
     .summary = "Gets the value of a field.",
     .complexity = "O(1)", .run = run_hget, KEY(KEY_RO | KEY_ACCESS)},
    {.name = "hgetall", .arity = 2, READ(0), .since = "2.0.0",
     .summary = "Gets all fields with their values.",
     .complexity = "O(N) for N fields of the hash", .run = run_hgetall,
     KEY(KEY_RO | KEY_ACCESS),
     .note = order_note},
    {.name = "hincrby", .arity = 4, WRITE(COMMAND_DENYOOM | COMMAND_FAST), .since = "2.0.0",
     .summary = "Adds an integer to the integer in a field.",
     .complexity = "O(1)", .run = run_hincrby, KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE)},
    {.name = "hincrbyfloat", .arity = 4, WRITE(COMMAND_DENYOOM | COMMAND_FAST), .since = "2.6.0",
     .summary = "Adds a decimal number to the number in a field.",
     .complexity = "O(1)", .run = run_hincrbyfloat, KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE)},
    {.name = "hkeys", .arity = 2, READ(0), .since = "2.0.0",
     .summary = "Gets the names of all fields.",
     .complexity = "O(N) for N fields of the hash", .run = run_hkeys, KEY(KEY_RO | KEY_ACCESS),
     .note = order_note},
    {.name = "hlen", .arity = 2, READ(COMMAND_FAST), .since = "2.0.0",
     .summary = "Counts the fields.",
     .complexity = "O(1)", .run = run_hlen, KEY(KEY_RO)},
    {.name = "hmget", .arity = -3, READ(COMMAND_FAST), .since = "2.0.0",
     .summary = "Gets the values of several fields.",
     .complexity = "O(N) for N fields", .run = run_hmget, KEY(KEY_RO | KEY_ACCESS)},
    {.name = "hmset", .arity = -4, WRITE(COMMAND_DENYOOM | COMMAND_FAST), .since = "2.0.0",
     .summary = "Sets fields to values; HSET does the same and tells more.",
     .complexity = "O(N) for N fields", .run = run_hmset, KEY(KEY_RW | KEY_UPDATE)},
    {.name = "hrandfield", .arity = -2, READ(0), .since = "6.2.0",
     .summary = "Gets random fields.",
     .complexity = "O(N) for N fields returned", .run = run_hrandfield,
     KEY(KEY_RO | KEY_ACCESS), .note = random_note},
    {.name = "hscan", .arity = -3, READ(0), .since = "2.8.0",
     .summary = "Goes through fields and values step by step.",
     .complexity = "O(1) for a step, O(N) for all", .run = run_hscan, KEY(KEY_RO | KEY_ACCESS)},
    {.name = "hset", .arity = -4, WRITE(COMMAND_DENYOOM | COMMAND_FAST), .since = "2.0.0",
     .summary = "Sets fields to values and counts the new ones.",
     .complexity = "O(N) for N fields", .run = run_hset, KEY(KEY_RW | KEY_UPDATE)},
    {.name = "hsetnx", .arity = 4, WRITE(COMMAND_DENYOOM | COMMAND_FAST), .since = "2.0.0",
     .summary = "Sets a field unless it exists.",
     .complexity = "O(1)", .run = run_hsetnx, KEY(KEY_RW | KEY_INSERT)},
    {.name = "hstrlen", .arity = 3, READ(COMMAND_FAST), .since = "3.2.0",
     .summary = "Gets the length of a field's value.",
     .complexity = "O(1)", .run = run_hstrlen, KEY(KEY_RO)},
    {.name = "hvals", .arity = 2, READ(0), .since = "2.0.0",
     .summary = "Gets the values of all fields.",
     .complexity = "O(N) for N fields of the hash", .run = run_hvals, KEY(KEY_RO | KEY_ACCESS),
     .note = order_note},
    {.name = NULL},
};
/* clang-format on */
