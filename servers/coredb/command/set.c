/* Commands of sets; those of several sets are in set_combine.c. */
#include "coredb/value/set.h"

#include "coredb/base/bytes.h"
#include "coredb/command/command.h"
#include "coredb/command/named.h"
#include "coredb/command/set_combine.h"

static void run_sadd(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_SET, &key)) {
        int64_t added = 0;
        if (key.type == VALUE_NONE) {
            set_create(exec->store, &key);
        }
        for (size_t i = 2; i < exec->argc; i++) {
            added += set_add(exec->store, &key, exec->argv[i]) ? 1 : 0;
        }
        if (added > 0) {
            key_save(exec->store, &key);
            key_notify(exec->store, &key, NOTIFY_SET, "sadd");
        }
        reply_integer(exec->reply, added);
    }
    key_close(&key);
}

/* Stores a set that has lost members, with its notifications. */
static void save_smaller(struct exec *exec, struct key *key, const char *event)
{
    bool gone = key_save(exec->store, key);
    key_notify(exec->store, key, NOTIFY_SET, event);
    if (gone) {
        key_notify(exec->store, key, NOTIFY_GENERIC, "del");
    }
}

static void run_srem(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_SET, &key)) {
        int64_t removed = 0;
        for (size_t i = 2; i < exec->argc && key.count > 0; i++) {
            removed += set_remove(exec->store, &key, exec->argv[i]) ? 1 : 0;
        }
        if (removed > 0) {
            save_smaller(exec, &key, "srem");
        }
        reply_integer(exec->reply, removed);
    }
    key_close(&key);
}

static void move_member(struct exec *exec, struct key *from, struct key *to, rr_bytes member)
{
    if (bytes_equal(from->name, to->name)) {
        reply_integer(exec->reply, set_has(exec->store, from, member) ? 1 : 0);
        return;
    }
    if (!set_remove(exec->store, from, member)) {
        reply_integer(exec->reply, 0);
        return;
    }
    save_smaller(exec, from, "srem");
    if (to->type == VALUE_NONE) {
        set_create(exec->store, to);
    }
    if (set_add(exec->store, to, member)) {
        key_save(exec->store, to);
        key_notify(exec->store, to, NOTIFY_SET, "sadd");
    }
    reply_integer(exec->reply, 1);
}

static void smove_from(struct exec *exec, struct key *from)
{
    if (from->type == VALUE_NONE) {
        reply_integer(exec->reply, 0);
        return;
    }
    struct key to;
    if (exec_open(exec, 2, VALUE_SET, &to)) {
        move_member(exec, from, &to, exec->argv[3]);
    }
    key_close(&to);
}

static void run_smove(struct exec *exec)
{
    struct key from;
    key_open(exec->store, exec->argv[1], &from);
    if (from.type != VALUE_NONE && from.type != VALUE_SET) {
        reply_error_wrong_type(exec->reply);
    } else {
        smove_from(exec, &from);
    }
    key_close(&from);
}

/* ---- Reading ---- */

static void run_sismember(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_SET, &key)) {
        reply_integer(exec->reply, set_has(exec->store, &key, exec->argv[2]) ? 1 : 0);
    }
    key_close(&key);
}

static void run_smismember(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_SET, &key)) {
        reply_array(exec->reply, exec->argc - 2);
        for (size_t i = 2; i < exec->argc; i++) {
            reply_integer(exec->reply, set_has(exec->store, &key, exec->argv[i]) ? 1 : 0);
        }
    }
    key_close(&key);
}

static void run_scard(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_SET, &key)) {
        reply_integer(exec->reply, (int64_t)key.count);
    }
    key_close(&key);
}

static bool reply_member(void *reply, rr_bytes member, rr_bytes value)
{
    (void)value;
    reply_bulk(reply, member);
    return !((struct reply *)reply)->out.failed;
}

static void reply_all(struct exec *exec, const struct key *key)
{
    reply_set(exec->reply, key->count);
    if (key->count > 0) {
        named_each(exec->store, set_members(key), reply_member, exec->reply);
    }
}

static void run_smembers(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_SET, &key)) {
        reply_all(exec, &key);
    }
    key_close(&key);
}

static void run_sscan(struct exec *exec)
{
    uint64_t cursor;
    if (!exec_cursor(exec, 2, &cursor)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_SET, &key)) {
        named_scan_reply(exec, &key, set_members(&key), cursor, NULL);
    }
    key_close(&key);
}

/* ---- Random members ---- */

static void run_srandmember(struct exec *exec)
{
    struct named_random wanted;
    if (!named_random_arguments(exec, NULL, &wanted)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_SET, &key)) {
        named_random_reply(exec, &key, set_members(&key), &wanted, NULL);
    }
    key_close(&key);
}

static void pop_one(struct exec *exec, struct key *key)
{
    struct named_sampler sampler;
    named_sampler_init(&sampler, exec->store, set_members(key), key->count, 1);
    rr_bytes member;
    if (key->type == VALUE_SET && named_sampler_draw(&sampler, &member, NULL)) {
        reply_bulk(exec->reply, member);
        set_remove(exec->store, key, member);
        save_smaller(exec, key, "spop");
    } else {
        reply_null(exec->reply);
    }
    named_sampler_deinit(&sampler);
}

static void pop_all(struct exec *exec, struct key *key)
{
    reply_all(exec, key);
    key_notify(exec->store, key, NOTIFY_SET, "spop");
    key_delete(exec->store, key);
    key_notify(exec->store, key, NOTIFY_GENERIC, "del");
}

static void pop_some(struct exec *exec, struct key *key, uint64_t count)
{
    enum { REBUILD_FACTOR = 5 }; /* Redis builds a new set of the few members that remain */
    struct named_list list;
    named_list_init(&list);
    list.names_only = true;
    named_pick(exec->store, set_members(key), key->count, count, &list);
    reply_set(exec->reply, list.count);
    for (size_t i = 0; i < list.count; i++) {
        rr_bytes member = named_list_at(&list, i, NULL);
        reply_bulk(exec->reply, member);
        set_remove(exec->store, key, member);
    }
    if (key->count <= count / REBUILD_FACTOR) {
        key->encoding = set_natural_encoding(exec->store, key);
    }
    save_smaller(exec, key, "spop");
    named_list_deinit(&list);
}

static void run_spop(struct exec *exec)
{
    int64_t count = 0;
    if (exec->argc > 3) {
        reply_error_syntax(exec->reply);
        return;
    }
    if (exec->argc == 3 &&
        !exec_integer_in(exec, 2, 0, INT64_MAX, "ERR value is out of range, must be positive",
                         &count)) {
        return;
    }
    struct key key;
    if (!exec_open(exec, 1, VALUE_SET, &key)) {
        /* answered */
    } else if (exec->argc == 2) {
        pop_one(exec, &key);
    } else if (count == 0 || key.type == VALUE_NONE) {
        reply_set(exec->reply, 0);
    } else if ((uint64_t)count >= key.count) {
        pop_all(exec, &key);
    } else {
        pop_some(exec, &key, (uint64_t)count);
    }
    key_close(&key);
}

/* ---- Rows ---- */

#define READ(flags_) .flags = COMMAND_READONLY | (flags_), .group = "set"
#define WRITE(flags_) .flags = COMMAND_WRITE | (flags_), .group = "set"
#define KEY(flags_) .keys = {KEY_SPEC(flags_, 1, 0, 1)}
#define KEYS(flags_) .keys = {KEY_SPEC(flags_, 1, -1, 1)}
#define KEYS_STORE(flags_)                                                                         \
    .keys = {KEY_SPEC(flags_, 1, 0, 1), KEY_SPEC(KEY_RO | KEY_ACCESS, 2, -1, 1)}

static const char order_note[] =
    "members come in the order of a hash of them; a small set of integers is sorted in Redis";
static const char random_note[] =
    "a negative count so large that the reply would exceed the limit is refused";

/* clang-format off */
const struct command commands_set[] = {
    {.name = "sadd", .arity = -3, WRITE(COMMAND_DENYOOM | COMMAND_FAST), .since = "1.0.0",
     .summary = "Adds members and counts the new ones.",
     .complexity = "O(N) for N members", .run = run_sadd, KEY(KEY_RW | KEY_INSERT)},
    {.name = "scard", .arity = 2, READ(COMMAND_FAST), .since = "1.0.0",
     .summary = "Counts the members.",
     .complexity = "O(1)", .run = run_scard, KEY(KEY_RO)},
    {.name = "sdiff", .arity = -2, READ(0), .since = "1.0.0",
     .summary = "Gets the members of the first set that no other has.",
     .complexity = "O(N) for N members in all sets", .run = set_run_sdiff,
     KEYS(KEY_RO | KEY_ACCESS)},
    {.name = "sdiffstore", .arity = -3, WRITE(COMMAND_DENYOOM), .since = "1.0.0",
     .summary = "Stores the members of the first set that no other has.",
     .complexity = "O(N) for N members in all sets", .run = set_run_sdiffstore,
     KEYS_STORE(KEY_OW | KEY_UPDATE)},
    {.name = "sinter", .arity = -2, READ(0), .since = "1.0.0",
     .summary = "Gets the members that all sets have.",
     .complexity = "O(N*M) for N members of the smallest of M sets", .run = set_run_sinter,
     KEYS(KEY_RO | KEY_ACCESS)},
    {.name = "sintercard", .arity = -3, READ(COMMAND_MOVABLE_KEYS), .since = "7.0.0",
     .summary = "Counts the members that all sets have, up to a limit.",
     .complexity = "O(N*M) for N members of the smallest of M sets", .run = set_run_sintercard,
     .keys = {KEY_SPEC_COUNTED(KEY_RO | KEY_ACCESS, 1)}},
    {.name = "sinterstore", .arity = -3, WRITE(COMMAND_DENYOOM), .since = "1.0.0",
     .summary = "Stores the members that all sets have.",
     .complexity = "O(N*M) for N members of the smallest of M sets", .run = set_run_sinterstore,
     KEYS_STORE(KEY_RW | KEY_UPDATE)},
    {.name = "sismember", .arity = 3, READ(COMMAND_FAST), .since = "1.0.0",
     .summary = "Tells whether a set has a member.",
     .complexity = "O(1)", .run = run_sismember, KEY(KEY_RO)},
    {.name = "smembers", .arity = 2, READ(0), .since = "1.0.0",
     .summary = "Gets all members.",
     .complexity = "O(N) for N members", .run = run_smembers, KEY(KEY_RO | KEY_ACCESS),
     .note = order_note},
    {.name = "smismember", .arity = -3, READ(COMMAND_FAST), .since = "6.2.0",
     .summary = "Tells which of several members a set has.",
     .complexity = "O(N) for N members asked for", .run = run_smismember,
     KEY(KEY_RO | KEY_ACCESS)},
    {.name = "smove", .arity = 4, WRITE(COMMAND_FAST), .since = "1.0.0",
     .summary = "Moves a member to another set.",
     .complexity = "O(1)", .run = run_smove,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, 0, 1),
              KEY_SPEC(KEY_RW | KEY_INSERT, 2, 0, 1)}},
    {.name = "spop", .arity = -2, WRITE(COMMAND_FAST), .since = "1.0.0",
     .summary = "Removes random members and gets them.",
     .complexity = "O(N) for N members removed", .run = run_spop,
     KEY(KEY_RW | KEY_ACCESS | KEY_DELETE)},
    {.name = "srandmember", .arity = -2, READ(0), .since = "1.0.0",
     .summary = "Gets random members.",
     .complexity = "O(N) for N members returned", .run = run_srandmember,
     KEY(KEY_RO | KEY_ACCESS), .note = random_note},
    {.name = "srem", .arity = -3, WRITE(COMMAND_FAST), .since = "1.0.0",
     .summary = "Removes members, and the set when none is left.",
     .complexity = "O(N) for N members", .run = run_srem, KEY(KEY_RW | KEY_DELETE)},
    {.name = "sscan", .arity = -3, READ(0), .since = "2.8.0",
     .summary = "Goes through the members step by step.",
     .complexity = "O(1) for a step, O(N) for all", .run = run_sscan, KEY(KEY_RO | KEY_ACCESS)},
    {.name = "sunion", .arity = -2, READ(0), .since = "1.0.0",
     .summary = "Gets the members that any of the sets has.",
     .complexity = "O(N) for N members in all sets", .run = set_run_sunion,
     KEYS(KEY_RO | KEY_ACCESS)},
    {.name = "sunionstore", .arity = -3, WRITE(COMMAND_DENYOOM), .since = "1.0.0",
     .summary = "Stores the members that any of the sets has.",
     .complexity = "O(N) for N members in all sets", .run = set_run_sunionstore,
     KEYS_STORE(KEY_OW | KEY_UPDATE)},
    {.name = NULL},
};
/* clang-format on */
