/* The string group: reading, editing in place, several keys at once. Setting a whole value is in
 * string_set.c, numbers in string_number.c, LCS in string_lcs.c. */
#include "coredb/command/string.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"

/* The greatest string that Redis embeds in its object. */
enum { EMBSTR_BYTES_MAX = 44 };

void string_store(struct exec *exec, struct key *key, rr_bytes value, enum value_encoding encoding)
{
    if (key->type != VALUE_STRING) {
        uint64_t expire_ms = key->expire_ms;
        if (key->type != VALUE_NONE) {
            key_clear(exec->store, key);
        }
        key_create(exec->store, key, VALUE_STRING, encoding);
        key->expire_ms = expire_ms;
    }
    key->encoding = encoding;
    buffer_clear(&key->payload);
    buffer_append_bytes(&key->payload, value);
    (void)key_save(exec->store, key);
}

void string_edit(struct exec *exec, struct key *key)
{
    if (key->type == VALUE_NONE) {
        key_create(exec->store, key, VALUE_STRING, ENCODING_RAW);
    }
    key->encoding = ENCODING_RAW;
}

bool string_extend(struct exec *exec, struct key *key, size_t size)
{
    size_t old_size = key->payload.size;
    if (old_size >= size) {
        return true;
    }
    uint8_t *added = buffer_extend(&key->payload, size - old_size);
    if (added == NULL) {
        store_fail(exec->store, RR_NO_MEMORY);
        return false;
    }
    memset(added, 0, size - old_size);
    return true;
}

bool string_size_fits(struct exec *exec, uint64_t left, uint64_t right)
{
    if (left > STORE_STRING_BYTES_MAX || right > STORE_STRING_BYTES_MAX - left) {
        reply_error(exec->reply, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        return false;
    }
    return true;
}

enum value_encoding string_encoding(enum value_encoding stored, rr_bytes bytes)
{
    int64_t number;
    if (stored == ENCODING_RAW || bytes.size > EMBSTR_BYTES_MAX) {
        return ENCODING_RAW;
    }
    return stored == ENCODING_AUTO && number_parse_i64(bytes, &number) ? ENCODING_INT
                                                                       : ENCODING_EMBSTR;
}

static void get(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        if (key.type == VALUE_NONE) {
            reply_null(exec->reply);
        } else {
            reply_bulk(exec->reply, buffer_bytes(&key.payload));
        }
    }
    key_close(&key);
}

static void getdel(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        if (key.type == VALUE_NONE) {
            reply_null(exec->reply);
        } else {
            reply_bulk(exec->reply, buffer_bytes(&key.payload));
            key_delete(exec->store, &key);
            key_notify(exec->store, &key, NOTIFY_GENERIC, "del");
        }
    }
    key_close(&key);
}

static void string_length(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        reply_integer(exec->reply, (int64_t)key.payload.size);
    }
    key_close(&key);
}

static void append(struct exec *exec)
{
    struct key key;
    rr_bytes tail = exec->argv[2];
    if (exec_open(exec, 1, VALUE_STRING, &key) &&
        string_size_fits(exec, key.payload.size, tail.size)) {
        if (key.type == VALUE_NONE) {
            string_store(exec, &key, tail, ENCODING_AUTO);
        } else {
            string_edit(exec, &key);
            buffer_append_bytes(&key.payload, tail);
            (void)key_save(exec->store, &key);
        }
        key_notify(exec->store, &key, NOTIFY_STRING, "append");
        reply_integer(exec->reply, (int64_t)key.payload.size);
    }
    key_close(&key);
}

static void setrange_opened(struct exec *exec, struct key *key, uint64_t offset)
{
    rr_bytes value = exec->argv[3];
    if (value.size == 0) {
        reply_integer(exec->reply, (int64_t)key->payload.size);
        return;
    }
    if (!string_size_fits(exec, offset, value.size)) {
        return;
    }
    string_edit(exec, key);
    if (string_extend(exec, key, offset + value.size)) {
        memcpy(key->payload.data + offset, value.data, value.size);
    }
    (void)key_save(exec->store, key);
    key_notify(exec->store, key, NOTIFY_STRING, "setrange");
    reply_integer(exec->reply, (int64_t)key->payload.size);
}

static void setrange(struct exec *exec)
{
    int64_t offset;
    if (!exec_integer(exec, 2, &offset)) {
        return;
    }
    if (offset < 0) {
        reply_error(exec->reply, "ERR offset is out of range");
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        setrange_opened(exec, &key, (uint64_t)offset);
    }
    key_close(&key);
}

/* The part of `value` from `start` to `end`, both inclusive and counted from the end if
 * negative. */
static rr_bytes substring(rr_bytes value, int64_t start, int64_t end)
{
    int64_t size = (int64_t)value.size;
    if (start < 0 && end < 0 && start > end) {
        return (rr_bytes){NULL, 0};
    }
    start = start < 0 ? start + size : start;
    end = end < 0 ? end + size : end;
    start = start < 0 ? 0 : start;
    end = end < 0 ? 0 : end;
    end = end >= size ? size - 1 : end;
    if (start > end || size == 0) {
        return (rr_bytes){NULL, 0};
    }
    return (rr_bytes){(const uint8_t *)value.data + start, (size_t)(end - start + 1)};
}

static void getrange(struct exec *exec)
{
    int64_t start;
    int64_t end;
    if (!exec_integer(exec, 2, &start) || !exec_integer(exec, 3, &end)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        reply_bulk(exec->reply, substring(buffer_bytes(&key.payload), start, end));
    }
    key_close(&key);
}

static void mget(struct exec *exec)
{
    reply_array(exec->reply, exec->argc - 1);
    for (size_t i = 1; i < exec->argc; i++) {
        struct key key;
        key_open(exec->store, exec->argv[i], &key);
        if (key.type == VALUE_STRING) {
            reply_bulk(exec->reply, buffer_bytes(&key.payload));
        } else {
            reply_null(exec->reply);
        }
        key_close(&key);
    }
}

/* Whether names and values come in pairs; false: answered. */
static bool has_pairs(struct exec *exec)
{
    if (exec->argc % 2 == 0) {
        reply_error_arity(exec->reply, bytes_of(exec->command->name));
        return false;
    }
    return true;
}

static void set_pairs(struct exec *exec)
{
    for (size_t i = 1; i + 1 < exec->argc; i += 2) {
        struct key key;
        key_open(exec->store, exec->argv[i], &key);
        key.expire_ms = 0;
        string_store(exec, &key, exec->argv[i + 1], ENCODING_AUTO);
        key_notify(exec->store, &key, NOTIFY_STRING, "set");
        key_close(&key);
    }
}

static void mset(struct exec *exec)
{
    if (has_pairs(exec)) {
        set_pairs(exec);
        reply_ok(exec->reply);
    }
}

static bool any_exists(struct exec *exec)
{
    bool exists = false;
    for (size_t i = 1; i < exec->argc && !exists; i += 2) {
        struct key key;
        key_open(exec->store, exec->argv[i], &key);
        exists = key.type != VALUE_NONE;
        key_close(&key);
    }
    return exists;
}

static void msetnx(struct exec *exec)
{
    if (!has_pairs(exec)) {
        return;
    }
    bool refused = any_exists(exec);
    if (!refused) {
        set_pairs(exec);
    }
    reply_integer(exec->reply, refused ? 0 : 1);
}

const struct command commands_string[] = {
    {.name = "append",
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
     .group = "string",
     .since = "2.0.0",
     .summary = "Adds bytes to the end of a string, which is created if absent.",
     .complexity = "O(N) in the size of the string",
     .run = append,
     .keys = {KEY_SPEC(KEY_RW | KEY_INSERT, 1, 0, 1)}},
    {.name = "decr",
     .arity = 2,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
     .group = "string",
     .since = "1.0.0",
     .summary = "Takes one from the integer that a string holds.",
     .complexity = "O(1)",
     .run = string_decr,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_UPDATE, 1, 0, 1)}},
    {.name = "decrby",
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
     .group = "string",
     .since = "1.0.0",
     .summary = "Takes a number from the integer that a string holds.",
     .complexity = "O(1)",
     .run = string_decrby,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_UPDATE, 1, 0, 1)}},
    {.name = "get",
     .arity = 2,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "string",
     .since = "1.0.0",
     .summary = "Returns a string.",
     .complexity = "O(N) in the size of the string",
     .run = get,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)}},
    {.name = "getdel",
     .arity = 2,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .group = "string",
     .since = "6.2.0",
     .summary = "Returns a string and deletes its key.",
     .complexity = "O(N) in the size of the string",
     .run = getdel,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, 0, 1)}},
    {.name = "getex",
     .arity = -2,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .group = "string",
     .since = "6.2.0",
     .summary = "Returns a string and sets or removes the expiry of its key.",
     .complexity = "O(N) in the size of the string",
     .run = string_getex,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_UPDATE, 1, 0, 1)}},
    {.name = "getrange",
     .arity = 4,
     .flags = COMMAND_READONLY,
     .group = "string",
     .since = "2.4.0",
     .summary = "Returns a part of a string, by its first and last byte.",
     .complexity = "O(N) in the size of the string",
     .run = getrange,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)}},
    {.name = "getset",
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
     .group = "string",
     .since = "1.0.0",
     .summary = "Sets a string and returns what it was.",
     .complexity = "O(N) in the sizes of both strings",
     .run = string_getset,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_UPDATE, 1, 0, 1)}},
    {.name = "incr",
     .arity = 2,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
     .group = "string",
     .since = "1.0.0",
     .summary = "Adds one to the integer that a string holds.",
     .complexity = "O(1)",
     .run = string_incr,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_UPDATE, 1, 0, 1)}},
    {.name = "incrby",
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
     .group = "string",
     .since = "1.0.0",
     .summary = "Adds a number to the integer that a string holds.",
     .complexity = "O(1)",
     .run = string_incrby,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_UPDATE, 1, 0, 1)}},
    {.name = "incrbyfloat",
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
     .group = "string",
     .since = "2.6.0",
     .summary = "Adds a number to the decimal that a string holds.",
     .complexity = "O(1)",
     .run = string_incrbyfloat,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_UPDATE, 1, 0, 1)}},
    {.name = "lcs",
     .arity = -3,
     .flags = COMMAND_READONLY,
     .group = "string",
     .since = "7.0.0",
     .summary = "Finds the longest common subsequence of two strings.",
     .complexity = "O(N*M) in the sizes of the strings",
     .run = string_lcs,
     .note = "The table of lengths is limited to 64 MiB, not 512.",
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 1, 1)}},
    {.name = "mget",
     .arity = -2,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "string",
     .since = "1.0.0",
     .summary = "Returns the strings of several keys.",
     .complexity = "O(N) in the sizes of the strings",
     .run = mget,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, -1, 1)}},
    {.name = "mset",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "string",
     .since = "1.0.1",
     .summary = "Sets several strings at once.",
     .complexity = "O(N) in the number of keys",
     .run = mset,
     .keys = {KEY_SPEC(KEY_OW | KEY_UPDATE, 1, -1, 2)}},
    {.name = "msetnx",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "string",
     .since = "1.0.1",
     .summary = "Sets several strings at once, unless one of the keys exists.",
     .complexity = "O(N) in the number of keys",
     .run = msetnx,
     .keys = {KEY_SPEC(KEY_OW | KEY_INSERT, 1, -1, 2)}},
    {.name = "psetex",
     .arity = 4,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "string",
     .since = "2.6.0",
     .summary = "Sets a string with an expiry in milliseconds.",
     .complexity = "O(1)",
     .run = string_psetex,
     .keys = {KEY_SPEC(KEY_OW | KEY_UPDATE, 1, 0, 1)}},
    {.name = "set",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "string",
     .since = "1.0.0",
     .summary = "Sets a string, on conditions and with an expiry if asked.",
     .complexity = "O(1)",
     .run = string_set,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_UPDATE | KEY_VARIABLE, 1, 0, 1)}},
    {.name = "setex",
     .arity = 4,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "string",
     .since = "2.0.0",
     .summary = "Sets a string with an expiry in seconds.",
     .complexity = "O(1)",
     .run = string_setex,
     .keys = {KEY_SPEC(KEY_OW | KEY_UPDATE, 1, 0, 1)}},
    {.name = "setnx",
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
     .group = "string",
     .since = "1.0.0",
     .summary = "Sets a string unless its key exists.",
     .complexity = "O(1)",
     .run = string_setnx,
     .keys = {KEY_SPEC(KEY_OW | KEY_INSERT, 1, 0, 1)}},
    {.name = "setrange",
     .arity = 4,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "string",
     .since = "2.2.0",
     .summary = "Overwrites a part of a string, padded with zeros if it is short.",
     .complexity = "O(N) in the size of the string",
     .run = setrange,
     .keys = {KEY_SPEC(KEY_RW | KEY_UPDATE, 1, 0, 1)}},
    {.name = "strlen",
     .arity = 2,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "string",
     .since = "2.2.0",
     .summary = "Returns how many bytes a string has.",
     .complexity = "O(N) in the size of the string",
     .run = string_length,
     .keys = {KEY_SPEC(KEY_RO, 1, 0, 1)}},
    {.name = "substr",
     .arity = 4,
     .flags = COMMAND_READONLY,
     .group = "string",
     .since = "1.0.0",
     .summary = "Returns a part of a string; the old name of GETRANGE.",
     .complexity = "O(N) in the size of the string",
     .run = getrange,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)}},
    {.name = NULL},
};
