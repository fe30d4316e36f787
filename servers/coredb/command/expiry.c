/* Reads times of expiry from arguments, and gives and takes expiries. */
#include "coredb/command/expiry.h"

bool expiry_word(const struct exec *exec, size_t i, struct expiry_unit *out)
{
    static const struct {
        const char *word;
        struct expiry_unit unit;
    } words[] = {
        {"ex", {.milliseconds = false, .absolute = false}},
        {"px", {.milliseconds = true, .absolute = false}},
        {"exat", {.milliseconds = false, .absolute = true}},
        {"pxat", {.milliseconds = true, .absolute = true}},
    };
    for (size_t word = 0; word < sizeof(words) / sizeof(words[0]); word++) {
        if (exec_is(exec, i, words[word].word)) {
            *out = words[word].unit;
            return true;
        }
    }
    return false;
}

void expiry_refuse(struct exec *exec)
{
    reply_error(exec->reply, "ERR invalid expire time in '%s' command", exec->command->name);
}

bool expiry_read(struct exec *exec, size_t i, struct expiry_unit unit, uint64_t *out_ms)
{
    int64_t time;
    if (!exec_integer(exec, i, &time)) {
        return false;
    }
    int64_t base = unit.absolute ? 0 : (int64_t)exec->store->now_ms;
    if (time <= 0 || (!unit.milliseconds && time > INT64_MAX / 1000)) {
        expiry_refuse(exec);
        return false;
    }
    if (!unit.milliseconds) {
        time *= 1000;
    }
    if (time > INT64_MAX - base) {
        expiry_refuse(exec);
        return false;
    }
    *out_ms = (uint64_t)(time + base);
    return true;
}

void expiry_delete(struct exec *exec, struct key *key)
{
    key_delete(exec->store, key);
    key_notify(exec->store, key, NOTIFY_GENERIC, "del");
}

void expiry_set(struct exec *exec, struct key *key, uint64_t expire_ms)
{
    key->expire_ms = expire_ms;
    (void)key_save(exec->store, key);
    key_notify(exec->store, key, NOTIFY_GENERIC, "expire");
}

bool expiry_remove(struct exec *exec, struct key *key)
{
    if (key->expire_ms == 0) {
        return false;
    }
    key->expire_ms = 0;
    (void)key_save(exec->store, key);
    key_notify(exec->store, key, NOTIFY_GENERIC, "persist");
    return true;
}
