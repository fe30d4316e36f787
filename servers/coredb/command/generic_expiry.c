/* The commands about when a key expires. */
#include "coredb/command/expiry.h"
#include "coredb/command/generic.h"

/* On what condition EXPIRE acts. */
struct expire_options {
    bool only_without; /* NX: only if it has no expiry */
    bool only_with;    /* XX */
    bool only_later;   /* GT: than the one it has; none is the latest */
    bool only_sooner;  /* LT */
};

static bool parse_options(struct exec *exec, struct expire_options *out)
{
    *out = (struct expire_options){0};
    for (size_t i = 3; i < exec->argc; i++) {
        if (exec_is(exec, i, "nx")) {
            out->only_without = true;
        } else if (exec_is(exec, i, "xx")) {
            out->only_with = true;
        } else if (exec_is(exec, i, "gt")) {
            out->only_later = true;
        } else if (exec_is(exec, i, "lt")) {
            out->only_sooner = true;
        } else {
            rr_bytes option = exec->argv[i];
            int shown = option.size > 4096 ? 4096 : (int)option.size; /* reply_error cuts anyway */
            reply_error(exec->reply, "ERR Unsupported option %.*s", shown,
                        option.size == 0 ? "" : (const char *)option.data);
            return false;
        }
    }
    if (out->only_without && (out->only_with || out->only_later || out->only_sooner)) {
        reply_error(exec->reply,
                    "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (out->only_later && out->only_sooner) {
        reply_error(exec->reply, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* Reads argv[2] as a time since 1970, which may lie before it. False: answered. */
static bool read_time(struct exec *exec, struct expiry_unit unit, int64_t *out)
{
    int64_t time;
    if (!exec_integer(exec, 2, &time)) {
        return false;
    }
    int64_t base = unit.absolute ? 0 : (int64_t)exec->store->now_ms;
    if ((!unit.milliseconds && __builtin_mul_overflow(time, INT64_C(1000), &time)) ||
        __builtin_add_overflow(time, base, &time)) {
        expiry_refuse(exec);
        return false;
    }
    *out = time;
    return true;
}

static bool conditions_hold(const struct key *key, const struct expire_options *options,
                            int64_t time)
{
    bool expires = key->expire_ms != 0;
    int64_t current = (int64_t)key->expire_ms;
    if ((options->only_without && expires) || (options->only_with && !expires)) {
        return false;
    }
    if (options->only_later && (!expires || time <= current)) {
        return false;
    }
    return !options->only_sooner || !expires || time < current;
}

static void expire(struct exec *exec, struct expiry_unit unit)
{
    struct expire_options options;
    int64_t time;
    if (!parse_options(exec, &options) || !read_time(exec, unit, &time)) {
        return;
    }
    struct key key;
    key_open(exec->store, exec->argv[1], &key);
    bool acts = key.type != VALUE_NONE && conditions_hold(&key, &options, time);
    if (acts && time <= (int64_t)exec->store->now_ms) {
        expiry_delete(exec, &key);
    } else if (acts) {
        expiry_set(exec, &key, (uint64_t)time);
    }
    reply_integer(exec->reply, acts ? 1 : 0);
    key_close(&key);
}

void generic_expire(struct exec *exec)
{
    expire(exec, (struct expiry_unit){.milliseconds = false, .absolute = false});
}

void generic_pexpire(struct exec *exec)
{
    expire(exec, (struct expiry_unit){.milliseconds = true, .absolute = false});
}

void generic_expireat(struct exec *exec)
{
    expire(exec, (struct expiry_unit){.milliseconds = false, .absolute = true});
}

void generic_pexpireat(struct exec *exec)
{
    expire(exec, (struct expiry_unit){.milliseconds = true, .absolute = true});
}

void generic_persist(struct exec *exec)
{
    struct key key;
    key_open(exec->store, exec->argv[1], &key);
    bool removed = key.type != VALUE_NONE && expiry_remove(exec, &key);
    reply_integer(exec->reply, removed ? 1 : 0);
    key_close(&key);
}

/* Answers the time to live, or the time of expiry itself if `unit` is absolute. */
static void reply_expiry(struct exec *exec, struct expiry_unit unit)
{
    struct key key;
    key_open(exec->store, exec->argv[1], &key);
    if (key.type == VALUE_NONE) {
        reply_integer(exec->reply, -2);
    } else if (key.expire_ms == 0) {
        reply_integer(exec->reply, -1);
    } else {
        uint64_t base = unit.absolute ? 0 : exec->store->now_ms;
        uint64_t time = key.expire_ms > base ? key.expire_ms - base : 0;
        reply_integer(exec->reply, (int64_t)(unit.milliseconds ? time : (time + 500) / 1000));
    }
    key_close(&key);
}

void generic_ttl(struct exec *exec)
{
    reply_expiry(exec, (struct expiry_unit){.milliseconds = false, .absolute = false});
}

void generic_pttl(struct exec *exec)
{
    reply_expiry(exec, (struct expiry_unit){.milliseconds = true, .absolute = false});
}

void generic_expiretime(struct exec *exec)
{
    reply_expiry(exec, (struct expiry_unit){.milliseconds = false, .absolute = true});
}

void generic_pexpiretime(struct exec *exec)
{
    reply_expiry(exec, (struct expiry_unit){.milliseconds = true, .absolute = true});
}
