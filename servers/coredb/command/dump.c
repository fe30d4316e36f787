/* DUMP and RESTORE. */
#include "coredb/command/expiry.h"
#include "coredb/command/generic.h"
#include "coredb/command/rdb_value.h"

static void dump_opened(struct exec *exec, struct key *key)
{
    if (key->type == VALUE_NONE) {
        reply_null(exec->reply);
        return;
    }
    struct buffer payload;
    buffer_init(&payload);
    rdb_dump_value(exec->store, key, &payload);
    rdb_put_footer(&payload);
    if (payload.failed) {
        store_fail(exec->store, RR_NO_MEMORY);
    }
    reply_bulk(exec->reply, buffer_bytes(&payload));
    buffer_deinit(&payload);
}

void generic_dump(struct exec *exec)
{
    struct key key;
    key_open(exec->store, exec->argv[1], &key);
    dump_opened(exec, &key);
    key_close(&key);
}

/* ---- RESTORE ---- */

struct restore_options {
    bool replace;
    bool absolute; /* ABSTTL */
    bool idle;
    bool frequency;
};

/* IDLETIME and FREQ are checked and have no effect: neither is kept. */
static bool parse_options(struct exec *exec, struct restore_options *out)
{
    *out = (struct restore_options){0};
    int64_t number;
    for (size_t i = 4; i < exec->argc; i++) {
        bool last = i + 1 == exec->argc;
        if (exec_is(exec, i, "replace")) {
            out->replace = true;
        } else if (exec_is(exec, i, "absttl")) {
            out->absolute = true;
        } else if (exec_is(exec, i, "idletime") && !last && !out->frequency) {
            out->idle = true;
            if (!exec_integer(exec, ++i, &number)) {
                return false;
            }
            if (number < 0) {
                reply_error(exec->reply, "ERR Invalid IDLETIME value, must be >= 0");
                return false;
            }
        } else if (exec_is(exec, i, "freq") && !last && !out->idle) {
            out->frequency = true;
            if (!exec_integer(exec, ++i, &number)) {
                return false;
            }
            if (number < 0 || number > 255) {
                reply_error(exec->reply, "ERR Invalid FREQ value, must be >= 0 and <= 255");
                return false;
            }
        } else {
            reply_error_syntax(exec->reply);
            return false;
        }
    }
    return true;
}

/* Reads the time to live as a time of expiry; 0 is none. False: answered. */
static bool read_expiry(struct exec *exec, bool absolute, uint64_t *out)
{
    int64_t time;
    if (!exec_integer(exec, 2, &time)) {
        return false;
    }
    int64_t base = absolute || time == 0 ? 0 : (int64_t)exec->store->now_ms;
    if (time < 0 || __builtin_add_overflow(time, base, &time)) {
        reply_error(exec->reply, "ERR Invalid TTL value, must be >= 0");
        return false;
    }
    *out = (uint64_t)time;
    return true;
}

/* Takes back what was written since, and deletes the key that was there, if any. */
static void restore_expired(struct exec *exec, struct key *key,
                            const struct store_savepoint *savepoint)
{
    store_rollback(exec->store, savepoint);
    key_close(key);
    key_open(exec->store, exec->argv[1], key);
    if (key->type != VALUE_NONE) {
        expiry_delete(exec, key);
    }
}

/* Puts the value in place of what the key is. False: the bytes are malformed, nothing changed. */
static bool restore_body(struct exec *exec, struct key *key, rr_bytes body, uint64_t expire_ms)
{
    struct store_savepoint savepoint;
    store_save(exec->store, &savepoint);
    if (key->type != VALUE_NONE) {
        key_clear(exec->store, key);
    }
    if (!rdb_restore_value(exec->store, key, body)) {
        rr_status failure = exec->store->failure;
        store_rollback(exec->store, &savepoint);
        if (failure != RR_OK) {
            store_fail(exec->store, failure);
        }
        return false;
    }
    if (expire_ms != 0 && expire_ms <= exec->store->now_ms) {
        restore_expired(exec, key, &savepoint);
        return true;
    }
    key->expire_ms = expire_ms;
    (void)key_save(exec->store, key);
    key_signal_ready(exec->store, key);
    key_notify(exec->store, key, NOTIFY_GENERIC, "restore");
    return true;
}

static void restore_opened(struct exec *exec, struct key *key,
                           const struct restore_options *options)
{
    if (key->type != VALUE_NONE && !options->replace) {
        reply_error(exec->reply, "BUSYKEY Target key name already exists.");
        return;
    }
    uint64_t expire_ms;
    if (!read_expiry(exec, options->absolute, &expire_ms)) {
        return;
    }
    rr_bytes body;
    if (!rdb_verify(exec->argv[3], &body)) {
        reply_error(exec->reply, "ERR DUMP payload version or checksum are wrong");
        return;
    }
    if (restore_body(exec, key, body, expire_ms)) {
        reply_ok(exec->reply);
    } else {
        reply_error(exec->reply, "ERR Bad data format");
    }
}

void generic_restore(struct exec *exec)
{
    struct restore_options options;
    if (!parse_options(exec, &options)) {
        return;
    }
    struct key key;
    key_open(exec->store, exec->argv[1], &key);
    restore_opened(exec, &key, &options);
    key_close(&key);
}
