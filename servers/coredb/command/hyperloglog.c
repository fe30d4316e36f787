/* The hyperloglog group. */
#include "coredb/value/hyperloglog.h"

#include "coredb/command/string.h"

#include <string.h>

static void reply_corrupt(struct exec *exec)
{
    reply_error(exec->reply, "INVALIDOBJ Corrupted HLL object detected");
}

/* Opens argv[i] as a HyperLogLog or an absent key. False: answered. The caller closes the key. */
static bool open_hyperloglog(struct exec *exec, size_t i, struct key *key)
{
    if (!exec_open(exec, i, VALUE_STRING, key)) {
        return false;
    }
    if (key->type == VALUE_STRING && !hyperloglog_is(buffer_bytes(&key->payload))) {
        reply_error(exec->reply, "WRONGTYPE Key is not a valid HyperLogLog string value.");
        return false;
    }
    return true;
}

/* Makes an absent key an empty HyperLogLog, not yet stored; true: it was absent. */
static bool create_hyperloglog(struct exec *exec, struct key *key)
{
    bool absent = key->type == VALUE_NONE;
    string_edit(exec, key);
    if (absent) {
        hyperloglog_create(&key->payload);
        if (key->payload.failed) {
            store_fail(exec->store, RR_NO_MEMORY);
        }
    }
    return absent;
}

/* Stores a changed HyperLogLog. */
static void save_hyperloglog(struct exec *exec, struct key *key)
{
    if (key->payload.failed) {
        store_fail(exec->store, RR_NO_MEMORY);
        return;
    }
    hyperloglog_invalidate(&key->payload);
    (void)key_save(exec->store, key);
    key_notify(exec->store, key, NOTIFY_STRING, "pfadd");
}

static void pfadd_opened(struct exec *exec, struct key *key)
{
    bool changed = create_hyperloglog(exec, key);
    for (size_t i = 2; i < exec->argc && !key->payload.failed; i++) {
        enum hyperloglog_change change = hyperloglog_add(&key->payload, exec->argv[i]);
        if (change == HYPERLOGLOG_CORRUPT) {
            reply_corrupt(exec);
            return;
        }
        changed |= change == HYPERLOGLOG_CHANGED;
    }
    if (changed) {
        save_hyperloglog(exec, key);
    }
    reply_integer(exec->reply, changed ? 1 : 0);
}

static void pfadd(struct exec *exec)
{
    struct key key;
    if (open_hyperloglog(exec, 1, &key)) {
        pfadd_opened(exec, &key);
    }
    key_close(&key);
}

/* Merges argv[i] into the registers. False: answered. */
static bool merge_key(struct exec *exec, size_t i, uint8_t *registers, bool *is_dense)
{
    struct key key;
    bool good = open_hyperloglog(exec, i, &key);
    if (good && key.type != VALUE_NONE) {
        *is_dense |= hyperloglog_is_dense(buffer_bytes(&key.payload));
        good = hyperloglog_merge(buffer_bytes(&key.payload), registers);
        if (!good) {
            reply_corrupt(exec);
        }
    }
    key_close(&key);
    return good;
}

/* Merges argv[first] and all that follow. False: answered. */
static bool merge_keys(struct exec *exec, size_t first, uint8_t *registers, bool *any_dense)
{
    memset(registers, 0, HYPERLOGLOG_REGISTERS);
    *any_dense = false;
    for (size_t i = first; i < exec->argc; i++) {
        if (!merge_key(exec, i, registers, any_dense)) {
            return false;
        }
    }
    return true;
}

/* In an entry of the log, the count is cached as Redis does; a query cannot write. */
static void pfcount_opened(struct exec *exec, struct key *key)
{
    uint64_t count = 0;
    if (key->type != VALUE_NONE && !hyperloglog_cached(buffer_bytes(&key->payload), &count)) {
        uint8_t registers[HYPERLOGLOG_REGISTERS] = {0};
        if (!hyperloglog_merge(buffer_bytes(&key->payload), registers)) {
            reply_corrupt(exec);
            return;
        }
        count = hyperloglog_estimate(registers);
        if (!exec->store->is_query) {
            hyperloglog_set_cached(&key->payload, count);
            (void)key_save(exec->store, key);
        }
    }
    reply_integer(exec->reply, (int64_t)count);
}

static void pfcount(struct exec *exec)
{
    if (exec->argc > 2) {
        uint8_t registers[HYPERLOGLOG_REGISTERS];
        bool any_dense;
        if (merge_keys(exec, 1, registers, &any_dense)) {
            reply_integer(exec->reply, (int64_t)hyperloglog_estimate(registers));
        }
        return;
    }
    struct key key;
    if (open_hyperloglog(exec, 1, &key)) {
        pfcount_opened(exec, &key);
    }
    key_close(&key);
}

/* Raises the registers of the target, which are part of the merge and thus not damaged. */
static void pfmerge_opened(struct exec *exec, struct key *key, const uint8_t *registers,
                           bool any_dense)
{
    (void)create_hyperloglog(exec, key);
    bool good = !any_dense || hyperloglog_make_dense(&key->payload);
    for (unsigned i = 0; i < HYPERLOGLOG_REGISTERS && good && !key->payload.failed; i++) {
        good = registers[i] == 0 ||
               hyperloglog_raise(&key->payload, i, registers[i]) != HYPERLOGLOG_CORRUPT;
    }
    if (!good) {
        reply_corrupt(exec);
        return;
    }
    save_hyperloglog(exec, key);
    reply_ok(exec->reply);
}

static void pfmerge(struct exec *exec)
{
    uint8_t registers[HYPERLOGLOG_REGISTERS];
    bool any_dense;
    if (!merge_keys(exec, 1, registers, &any_dense)) {
        return;
    }
    struct key key;
    if (open_hyperloglog(exec, 1, &key)) {
        pfmerge_opened(exec, &key, registers, any_dense);
    }
    key_close(&key);
}

const struct command commands_hyperloglog[] = {
    {.name = "pfadd",
     .arity = -2,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
     .group = "hyperloglog",
     .since = "2.8.9",
     .summary = "Adds elements to a HyperLogLog.",
     .complexity = "O(N) in the number of elements",
     .run = pfadd,
     .note = "Refuses a damaged HyperLogLog always, Redis when it meets the damage.",
     .keys = {KEY_SPEC(KEY_RW | KEY_INSERT, 1, 0, 1)}},
    {.name = "pfcount",
     .arity = -2,
     .flags = COMMAND_READONLY,
     .group = "hyperloglog",
     .since = "2.8.9",
     .summary = "Estimates how many different elements HyperLogLogs have seen.",
     .complexity = "O(N) in the number of keys, with a large constant",
     .run = pfcount,
     .note = "Caches the count only if it runs in one entry with writes.",
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS, 1, -1, 1)}},
    {.name = "pfmerge",
     .arity = -2,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "hyperloglog",
     .since = "2.8.9",
     .summary = "Merges HyperLogLogs into one.",
     .complexity = "O(N) in the number of keys, with a large constant",
     .run = pfmerge,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_INSERT, 1, 0, 1),
              KEY_SPEC(KEY_RO | KEY_ACCESS, 2, -1, 1)}},
    {.name = NULL},
};
