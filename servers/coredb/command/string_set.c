/* The commands that set a whole string, and GETEX, which shares the words for expiry with SET. */
#include "coredb/command/expiry.h"
#include "coredb/command/string.h"

/* The options of SET and GETEX. */
struct set_options {
    bool only_absent;  /* NX */
    bool only_present; /* XX */
    bool get;
    bool keep_ttl;
    bool persist;
    size_t expiry_at; /* the argument with the time; 0: none */
    struct expiry_unit unit;
    uint64_t expire_ms; /* 0: none */
};

/* One word of SET; false: a syntax error. */
static bool parse_set_word(const struct exec *exec, size_t i, struct set_options *options)
{
    if (exec_is(exec, i, "nx") && !options->only_present) {
        options->only_absent = true;
    } else if (exec_is(exec, i, "xx") && !options->only_absent) {
        options->only_present = true;
    } else if (exec_is(exec, i, "get")) {
        options->get = true;
    } else if (exec_is(exec, i, "keepttl") && options->expiry_at == 0) {
        options->keep_ttl = true;
    } else {
        return false;
    }
    return true;
}

/* A word for an expiry with its time may be repeated, but not be followed by another word. */
static bool parse_expiry(const struct exec *exec, size_t i, struct set_options *options)
{
    struct expiry_unit unit;
    if (!expiry_word(exec, i, &unit) || i + 1 >= exec->argc || options->keep_ttl ||
        options->persist) {
        return false;
    }
    if (options->expiry_at != 0 && (unit.milliseconds != options->unit.milliseconds ||
                                    unit.absolute != options->unit.absolute)) {
        return false;
    }
    options->unit = unit;
    options->expiry_at = i + 1;
    return true;
}

/* Reads the words from argv[first] on; `is_set`: SET's, else GETEX's. False: answered. */
static bool parse_options(struct exec *exec, size_t first, bool is_set, struct set_options *out)
{
    *out = (struct set_options){0};
    for (size_t i = first; i < exec->argc; i++) {
        if (parse_expiry(exec, i, out)) {
            i++;
        } else if (is_set && parse_set_word(exec, i, out)) {
            continue;
        } else if (!is_set && exec_is(exec, i, "persist") && out->expiry_at == 0) {
            out->persist = true;
        } else {
            reply_error_syntax(exec->reply);
            return false;
        }
    }
    return true;
}

static bool read_expiry(struct exec *exec, struct set_options *options)
{
    return options->expiry_at == 0 ||
           expiry_read(exec, options->expiry_at, options->unit, &options->expire_ms);
}

/* Sets the opened key to argv[i] with what the options say of its expiry. */
static void set_value(struct exec *exec, struct key *key, size_t i, uint64_t expire_ms,
                      bool keep_ttl)
{
    if (!keep_ttl || key->type == VALUE_NONE) {
        key->expire_ms = 0;
    }
    if (expire_ms != 0) {
        key->expire_ms = expire_ms;
    }
    string_store(exec, key, exec->argv[i], ENCODING_AUTO);
    key_notify(exec->store, key, NOTIFY_STRING, "set");
    if (expire_ms != 0) {
        key_notify(exec->store, key, NOTIFY_GENERIC, "expire");
    }
}

static void reply_string_or_null(struct exec *exec, const struct key *key)
{
    if (key->type == VALUE_NONE) {
        reply_null(exec->reply);
    } else {
        reply_bulk(exec->reply, buffer_bytes(&key->payload));
    }
}

static void set_opened(struct exec *exec, struct key *key, const struct set_options *options)
{
    if (options->get) {
        if (key->type != VALUE_NONE && key->type != VALUE_STRING) {
            reply_error_wrong_type(exec->reply);
            return;
        }
        reply_string_or_null(exec, key);
    }
    bool absent = key->type == VALUE_NONE;
    if ((options->only_absent && !absent) || (options->only_present && absent)) {
        if (!options->get) {
            reply_null(exec->reply);
        }
        return;
    }
    set_value(exec, key, 2, options->expire_ms, options->keep_ttl);
    if (!options->get) {
        reply_ok(exec->reply);
    }
}

void string_set(struct exec *exec)
{
    struct set_options options;
    if (!parse_options(exec, 3, /*is_set=*/true, &options) || !read_expiry(exec, &options)) {
        return;
    }
    struct key key;
    key_open(exec->store, exec->argv[1], &key);
    set_opened(exec, &key, &options);
    key_close(&key);
}

void string_setnx(struct exec *exec)
{
    struct key key;
    key_open(exec->store, exec->argv[1], &key);
    bool absent = key.type == VALUE_NONE;
    if (absent) {
        set_value(exec, &key, 2, /*expire_ms=*/0, /*keep_ttl=*/false);
    }
    reply_integer(exec->reply, absent ? 1 : 0);
    key_close(&key);
}

static void set_with_expiry(struct exec *exec, struct expiry_unit unit)
{
    uint64_t expire_ms;
    if (!expiry_read(exec, 2, unit, &expire_ms)) {
        return;
    }
    struct key key;
    key_open(exec->store, exec->argv[1], &key);
    set_value(exec, &key, 3, expire_ms, /*keep_ttl=*/false);
    reply_ok(exec->reply);
    key_close(&key);
}

void string_setex(struct exec *exec)
{
    set_with_expiry(exec, (struct expiry_unit){.milliseconds = false});
}

void string_psetex(struct exec *exec)
{
    set_with_expiry(exec, (struct expiry_unit){.milliseconds = true});
}

void string_getset(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        reply_string_or_null(exec, &key);
        set_value(exec, &key, 2, /*expire_ms=*/0, /*keep_ttl=*/false);
    }
    key_close(&key);
}

static void getex_opened(struct exec *exec, struct key *key, struct set_options *options)
{
    if (key->type == VALUE_NONE) {
        reply_null(exec->reply);
        return;
    }
    if (!read_expiry(exec, options)) {
        return;
    }
    reply_string_or_null(exec, key);
    if (options->expire_ms != 0 && options->unit.absolute &&
        options->expire_ms <= exec->store->now_ms) {
        expiry_delete(exec, key);
    } else if (options->expire_ms != 0) {
        expiry_set(exec, key, options->expire_ms);
    } else if (options->persist) {
        (void)expiry_remove(exec, key);
    }
}

void string_getex(struct exec *exec)
{
    struct set_options options;
    if (!parse_options(exec, 2, /*is_set=*/false, &options)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        getex_opened(exec, &key, &options);
    }
    key_close(&key);
}
