/* The generic group: deleting, renaming, moving, copying keys, and its rows; see generic.h for
 * where the others are. */
#include "coredb/command/generic.h"

#include "coredb/base/bytes.h"
#include "coredb/value/hash.h"
#include "coredb/value/list.h"
#include "coredb/value/set.h"
#include "coredb/value/stream.h"
#include "coredb/value/zset.h"

bool generic_database(struct exec *exec, size_t i, uint32_t *out)
{
    int64_t index;
    if (!exec_integer(exec, i, &index)) {
        return false;
    }
    if (index < INT32_MIN || index > INT32_MAX) {
        reply_error(exec->reply,
                    "ERR value is out of range, value must between -2147483648 and 2147483647");
        return false;
    }
    if (index < 0 || index >= STORE_DATABASES) {
        reply_error(exec->reply, "ERR DB index is out of range");
        return false;
    }
    *out = (uint32_t)index;
    return true;
}

/* ---- Deleting and counting ---- */

static void del(struct exec *exec)
{
    int64_t deleted = 0;
    for (size_t i = 1; i < exec->argc; i++) {
        struct key key;
        key_open(exec->store, exec->argv[i], &key);
        if (key.type != VALUE_NONE) {
            key_delete(exec->store, &key);
            key_notify(exec->store, &key, NOTIFY_GENERIC, "del");
            deleted++;
        }
        key_close(&key);
    }
    reply_integer(exec->reply, deleted);
}

static void exists(struct exec *exec)
{
    int64_t found = 0;
    for (size_t i = 1; i < exec->argc; i++) {
        struct key key;
        key_open(exec->store, exec->argv[i], &key);
        found += key.type != VALUE_NONE;
        key_close(&key);
    }
    reply_integer(exec->reply, found);
}

static void type(struct exec *exec)
{
    struct key key;
    key_open(exec->store, exec->argv[1], &key);
    reply_status(exec->reply, value_type_name(key.type));
    key_close(&key);
}

/* ---- Names ---- */

static void rename_opened(struct exec *exec, struct key *from, bool only_absent)
{
    if (from->type == VALUE_NONE) {
        reply_error_no_key(exec->reply);
        return;
    }
    bool done = false;
    bool same = bytes_equal(exec->argv[1], exec->argv[2]);
    if (!same) {
        struct key to;
        key_open(exec->store, exec->argv[2], &to);
        done = !only_absent || to.type == VALUE_NONE;
        if (done) {
            key_move(exec->store, from, &to);
            key_notify(exec->store, from, NOTIFY_GENERIC, "rename_from");
            key_notify(exec->store, &to, NOTIFY_GENERIC, "rename_to");
            key_signal_ready(exec->store, &to);
        }
        key_close(&to);
    }
    if (only_absent) {
        reply_integer(exec->reply, done ? 1 : 0);
    } else {
        reply_ok(exec->reply);
    }
}

static void rename_generic(struct exec *exec, bool only_absent)
{
    struct key from;
    key_open(exec->store, exec->argv[1], &from);
    rename_opened(exec, &from, only_absent);
    key_close(&from);
}

static void rename_key(struct exec *exec)
{
    rename_generic(exec, /*only_absent=*/false);
}

static void renamenx(struct exec *exec)
{
    rename_generic(exec, /*only_absent=*/true);
}

static void move(struct exec *exec)
{
    uint32_t db;
    if (!generic_database(exec, 2, &db)) {
        return;
    }
    if (db == exec->store->db_index) {
        reply_error(exec->reply, "ERR source and destination objects are the same");
        return;
    }
    struct key from;
    struct key to;
    key_open(exec->store, exec->argv[1], &from);
    key_open_in(exec->store, db, exec->argv[1], &to);
    bool moves = from.type != VALUE_NONE && to.type == VALUE_NONE;
    if (moves) {
        key_move(exec->store, &from, &to);
        key_notify(exec->store, &from, NOTIFY_GENERIC, "move_from");
        key_notify(exec->store, &to, NOTIFY_GENERIC, "move_to");
        key_signal_ready(exec->store, &to);
    }
    reply_integer(exec->reply, moves ? 1 : 0);
    key_close(&from);
    key_close(&to);
}

/* ---- COPY ---- */

static void copy_elements(struct store *store, const struct key *from, const struct key *to)
{
    switch (from->type) {
    case VALUE_NONE:
    case VALUE_STRING:
        return;
    case VALUE_LIST:
        list_copy(store, from->object, to->object);
        return;
    case VALUE_SET:
        set_copy(store, from->object, to->object);
        return;
    case VALUE_ZSET:
        zset_copy(store, from->object, to->object);
        return;
    case VALUE_HASH:
        hash_copy(store, from->object, to->object);
        return;
    case VALUE_STREAM:
        stream_copy(store, from->object, to->object);
        return;
    }
}

void generic_copy(struct store *store, const struct key *from, struct key *to)
{
    if (to->type != VALUE_NONE) {
        key_clear(store, to);
    }
    key_create(store, to, from->type, from->encoding);
    to->count = from->count;
    to->first = from->first;
    to->expire_ms = from->expire_ms;
    buffer_clear(&to->payload);
    buffer_append_bytes(&to->payload, buffer_bytes(&from->payload));
    copy_elements(store, from, to);
    (void)key_save(store, to);
    key_signal_ready(store, to);
}

static bool parse_copy(struct exec *exec, uint32_t *db, bool *replace)
{
    *db = exec->store->db_index;
    *replace = false;
    for (size_t i = 3; i < exec->argc; i++) {
        if (exec_is(exec, i, "replace")) {
            *replace = true;
        } else if (exec_is(exec, i, "db") && i + 1 < exec->argc) {
            if (!generic_database(exec, ++i, db)) {
                return false;
            }
        } else {
            reply_error_syntax(exec->reply);
            return false;
        }
    }
    if (*db == exec->store->db_index && bytes_equal(exec->argv[1], exec->argv[2])) {
        reply_error(exec->reply, "ERR source and destination objects are the same");
        return false;
    }
    return true;
}

static void copy(struct exec *exec)
{
    uint32_t db;
    bool replace;
    if (!parse_copy(exec, &db, &replace)) {
        return;
    }
    struct key from;
    struct key to;
    key_open(exec->store, exec->argv[1], &from);
    key_open_in(exec->store, db, exec->argv[2], &to);
    bool copies = from.type != VALUE_NONE && (to.type == VALUE_NONE || replace);
    if (copies) {
        generic_copy(exec->store, &from, &to);
        key_notify(exec->store, &to, NOTIFY_GENERIC, "copy_to");
    }
    reply_integer(exec->reply, copies ? 1 : 0);
    key_close(&from);
    key_close(&to);
}

const struct command commands_generic[] = {
    {.name = "copy",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "generic",
     .since = "6.2.0",
     .summary = "Copies a key.",
     .complexity = "O(N) in the number of elements",
     .run = copy,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1), KEY_SPEC(KEY_OW | KEY_UPDATE, 2, 0, 1)}},
    {.name = "dbsize",
     .arity = 1,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "server",
     .since = "1.0.0",
     .summary = "Returns how many keys the database has.",
     .complexity = "O(1)",
     .run = generic_dbsize},
    {.name = "del",
     .arity = -2,
     .flags = COMMAND_WRITE,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Deletes keys.",
     .complexity = "O(N) in the number of keys",
     .run = del,
     .keys = {KEY_SPEC(KEY_RM | KEY_DELETE, 1, -1, 1)}},
    {.name = "dump",
     .arity = 2,
     .flags = COMMAND_READONLY,
     .group = "generic",
     .since = "2.6.0",
     .summary = "Returns the value of a key as bytes that RESTORE accepts.",
     .complexity = "O(N) in the size of the value",
     .run = generic_dump,
     .note = "In Redis 7.0's format, without compression.",
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)}},
    {.name = "exists",
     .arity = -2,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Counts which of the given keys exist.",
     .complexity = "O(N) in the number of keys",
     .run = exists,
     .keys = {KEY_SPEC(KEY_RO, 1, -1, 1)}},
    {.name = "expire",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Sets the expiry of a key, in seconds from now.",
     .complexity = "O(1)",
     .run = generic_expire,
     .keys = {KEY_SPEC(KEY_RW | KEY_UPDATE, 1, 0, 1)}},
    {.name = "expireat",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .group = "generic",
     .since = "1.2.0",
     .summary = "Sets the expiry of a key, in seconds since 1970.",
     .complexity = "O(1)",
     .run = generic_expireat,
     .keys = {KEY_SPEC(KEY_RW | KEY_UPDATE, 1, 0, 1)}},
    {.name = "expiretime",
     .arity = 2,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "generic",
     .since = "7.0.0",
     .summary = "Returns when a key expires, in seconds since 1970.",
     .complexity = "O(1)",
     .run = generic_expiretime,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)}},
    {.name = "flushall",
     .arity = -1,
     .flags = COMMAND_WRITE,
     .group = "server",
     .since = "1.0.0",
     .summary = "Deletes all keys of all databases.",
     .complexity = "O(1)",
     .run = generic_flushall},
    {.name = "flushdb",
     .arity = -1,
     .flags = COMMAND_WRITE,
     .group = "server",
     .since = "1.0.0",
     .summary = "Deletes all keys of the database.",
     .complexity = "O(1)",
     .run = generic_flushdb},
    {.name = "keys",
     .arity = 2,
     .flags = COMMAND_READONLY | COMMAND_HEAVY,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Returns all keys whose names match a pattern.",
     .complexity = "O(N) in the number of keys of the database",
     .run = generic_keys},
    {.name = "memory",
     .arity = -2,
     .flags = 0,
     .group = "server",
     .since = "4.0.0",
     .summary = "Tells about the memory that data takes.",
     .subcommands = generic_memory_subcommands},
    {.name = "move",
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Moves a key to another database.",
     .complexity = "O(1)",
     .run = move,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_UPDATE, 1, 0, 1)}},
    {.name = "object",
     .arity = -2,
     .flags = 0,
     .group = "generic",
     .since = "2.2.3",
     .summary = "Tells how values are kept.",
     .subcommands = generic_object_subcommands},
    {.name = "persist",
     .arity = 2,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .group = "generic",
     .since = "2.2.0",
     .summary = "Removes the expiry of a key.",
     .complexity = "O(1)",
     .run = generic_persist,
     .keys = {KEY_SPEC(KEY_RW | KEY_UPDATE, 1, 0, 1)}},
    {.name = "pexpire",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .group = "generic",
     .since = "2.6.0",
     .summary = "Sets the expiry of a key, in milliseconds from now.",
     .complexity = "O(1)",
     .run = generic_pexpire,
     .keys = {KEY_SPEC(KEY_RW | KEY_UPDATE, 1, 0, 1)}},
    {.name = "pexpireat",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .group = "generic",
     .since = "2.6.0",
     .summary = "Sets the expiry of a key, in milliseconds since 1970.",
     .complexity = "O(1)",
     .run = generic_pexpireat,
     .keys = {KEY_SPEC(KEY_RW | KEY_UPDATE, 1, 0, 1)}},
    {.name = "pexpiretime",
     .arity = 2,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "generic",
     .since = "7.0.0",
     .summary = "Returns when a key expires, in milliseconds since 1970.",
     .complexity = "O(1)",
     .run = generic_pexpiretime,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)}},
    {.name = "pttl",
     .arity = 2,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "generic",
     .since = "2.6.0",
     .summary = "Returns how long a key has to live, in milliseconds.",
     .complexity = "O(1)",
     .run = generic_pttl,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)}},
    {.name = "randomkey",
     .arity = 1,
     .flags = COMMAND_READONLY,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Returns the name of a random key.",
     .complexity = "O(1)",
     .run = generic_randomkey},
    {.name = "rename",
     .arity = 3,
     .flags = COMMAND_WRITE,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Gives a key another name, replacing what has that name.",
     .complexity = "O(1)",
     .run = rename_key,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, 0, 1),
              KEY_SPEC(KEY_OW | KEY_UPDATE, 2, 0, 1)}},
    {.name = "renamenx",
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Gives a key another name, unless that name is taken.",
     .complexity = "O(1)",
     .run = renamenx,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, 0, 1),
              KEY_SPEC(KEY_OW | KEY_INSERT, 2, 0, 1)}},
    {.name = "restore",
     .arity = -4,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "generic",
     .since = "2.6.0",
     .summary = "Creates a key from bytes that DUMP returned.",
     .complexity = "O(N) in the size of the value",
     .run = generic_restore,
     .note = "Every part of the value is checked, and a time to live that overflows is refused. "
             "IDLETIME and FREQ have no effect.",
     .keys = {KEY_SPEC(KEY_OW | KEY_UPDATE, 1, 0, 1)}},
    {.name = "scan",
     .arity = -2,
     .flags = COMMAND_READONLY,
     .group = "generic",
     .since = "2.8.0",
     .summary = "Visits the keys of a database in steps.",
     .complexity = "O(1) for a step",
     .run = generic_scan},
    {.name = "sort",
     .arity = -2,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_MOVABLE_KEYS | COMMAND_HEAVY,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Sorts the elements of a list, set or sorted set, and may store them.",
     .complexity = "O(N*log(N)) in the number of elements",
     .run = generic_sort,
     .note = "ALPHA compares bytes, not by a locale; equal elements keep their order. BY without a "
             "pattern leaves a set in the order of a hash of its members.",
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1),
              {.flags = KEY_RO | KEY_ACCESS, .find = KEYS_UNKNOWN},
              {.flags = KEY_OW | KEY_UPDATE, .find = KEYS_UNKNOWN}}},
    {.name = "sort_ro",
     .arity = -2,
     .flags = COMMAND_READONLY | COMMAND_MOVABLE_KEYS | COMMAND_HEAVY,
     .group = "generic",
     .since = "7.0.0",
     .summary = "Sorts the elements of a list, set or sorted set.",
     .complexity = "O(N*log(N)) in the number of elements",
     .run = generic_sort_ro,
     .note = "As SORT.",
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1),
              {.flags = KEY_RO | KEY_ACCESS, .find = KEYS_UNKNOWN}}},
    {.name = "swapdb",
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .group = "server",
     .since = "4.0.0",
     .summary = "Exchanges the contents of two databases.",
     .complexity = "O(1)",
     .run = generic_swapdb},
    {.name = "touch",
     .arity = -2,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "generic",
     .since = "3.2.1",
     .summary = "Counts which of the given keys exist.",
     .complexity = "O(N) in the number of keys",
     .run = exists,
     .keys = {KEY_SPEC(KEY_RO, 1, -1, 1)}},
    {.name = "ttl",
     .arity = 2,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Returns how long a key has to live, in seconds.",
     .complexity = "O(1)",
     .run = generic_ttl,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)}},
    {.name = "type",
     .arity = 2,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "generic",
     .since = "1.0.0",
     .summary = "Returns the type of a key.",
     .complexity = "O(1)",
     .run = type,
     .keys = {KEY_SPEC(KEY_RO, 1, 0, 1)}},
    {.name = "unlink",
     .arity = -2,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .group = "generic",
     .since = "4.0.0",
     .summary = "Deletes keys.",
     .complexity = "O(N) in the number of keys",
     .run = del,
     .keys = {KEY_SPEC(KEY_RM | KEY_DELETE, 1, -1, 1)}},
    {.name = NULL},
};
