/* EVAL and its kin, SCRIPT, FUNCTION. The texts of scripts are data, found on every node. */
#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/command/command.h"
#include "coredb/script/engine.h"
#include "coredb/value/layout.h"

#include <ctype.h>
#include <string.h>

static void script_key(struct buffer *out, const char *sha1)
{
    buffer_clear(out);
    buffer_append_byte(out, LAYOUT_SCRIPT);
    buffer_append_text(out, sha1);
}

static bool script_exists(struct store *store, const char *sha1)
{
    struct buffer key;
    buffer_init(&key);
    script_key(&key, sha1);
    bool exists = store_has(store, buffer_bytes(&key));
    buffer_deinit(&key);
    return exists;
}

static void script_store(struct store *store, const char *sha1, rr_bytes text)
{
    if (script_exists(store, sha1)) {
        return;
    }
    struct buffer key;
    buffer_init(&key);
    script_key(&key, sha1);
    store_put(store, buffer_bytes(&key), text);
    buffer_deinit(&key);
}

/* ---- The first line ---- */

/* Takes the next word off; empty at the end. */
static rr_bytes next_word(rr_bytes *line)
{
    const char *at = line->data;
    const char *end = at + line->size;
    while (at != end && *at == ' ') {
        at++;
    }
    const char *start = at;
    while (at != end && *at != ' ') {
        at++;
    }
    *line = (rr_bytes){at, (size_t)(end - at)};
    return (rr_bytes){start, (size_t)(at - start)};
}

/* Reads "flag,flag"; false: answered. */
static bool read_flags(struct exec *exec, rr_bytes flags, bool *no_writes)
{
    static const char *const known[] = {"no-writes", "allow-oom", "allow-stale", "no-cluster",
                                        "allow-cross-slot-keys"};
    const char *at = flags.data;
    const char *end = at + flags.size;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        rr_bytes flag = {at, (size_t)((comma == NULL ? end : comma) - at)};
        bool found = false;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            found = found || bytes_equal(flag, bytes_of(known[i]));
        }
        if (!found) {
            reply_error(exec->reply, "ERR Unexpected flag in script shebang: %.*s",
                        (int)(flag.size > 128 ? 128 : flag.size), (const char *)flag.data);
            return false;
        }
        *no_writes = *no_writes || bytes_equal(flag, bytes_of("no-writes"));
        at = comma == NULL ? end : comma + 1;
    }
    return true;
}

struct shebang {
    bool given;
    bool no_writes;
};

/* Reads the line #!lua flags=... if there is one; false: answered. */
static bool read_shebang(struct exec *exec, rr_bytes text, struct shebang *out)
{
    *out = (struct shebang){false, false};
    const char *data = text.data;
    if (text.size < 2 || data[0] != '#' || data[1] != '!') {
        return true;
    }
    const char *end = memchr(data, '\n', text.size);
    if (end == NULL) {
        reply_error(exec->reply, "ERR Invalid script shebang");
        return false;
    }
    out->given = true;
    rr_bytes line = {data, (size_t)(end - data)};
    rr_bytes engine = next_word(&line);
    if (!bytes_equal(engine, bytes_of("#!lua"))) {
        reply_error(exec->reply, "ERR Unexpected engine in script shebang: %.*s",
                    (int)(engine.size > 128 ? 128 : engine.size), (const char *)engine.data);
        return false;
    }
    for (rr_bytes word = next_word(&line); word.size != 0; word = next_word(&line)) {
        if (word.size < 6 || memcmp(word.data, "flags=", 6) != 0) {
            reply_error(exec->reply, "ERR Unknown lua shebang option: %.*s",
                        (int)(word.size > 128 ? 128 : word.size), (const char *)word.data);
            return false;
        }
        rr_bytes flags = {(const char *)word.data + 6, word.size - 6};
        if (!read_flags(exec, flags, &out->no_writes)) {
            return false;
        }
    }
    return true;
}

/* ---- EVAL ---- */

static bool key_count(struct exec *exec, size_t *out)
{
    int64_t count;
    if (!exec_integer(exec, 2, &count)) {
        return false;
    }
    if (count > (int64_t)exec->argc - 3) {
        reply_error(exec->reply, "ERR Number of keys can't be greater than number of args");
        return false;
    }
    if (count < 0) {
        reply_error(exec->reply, "ERR Number of keys can't be negative");
        return false;
    }
    *out = (size_t)count;
    return true;
}

static void run_text(struct exec *exec, rr_bytes text, const char *sha1, bool read_only, bool store)
{
    size_t keys;
    struct shebang shebang;
    if (!key_count(exec, &keys) || !read_shebang(exec, text, &shebang)) {
        return;
    }
    char error[256];
    if (store && !script_exists(exec->store, sha1)) {
        if (!engine_compiles(text, error, sizeof(error))) {
            reply_error(exec->reply, "ERR Error compiling script (new function): %s", error);
            return;
        }
        script_store(exec->store, sha1, text);
    }
    if (read_only && shebang.given && !shebang.no_writes) {
        reply_error(exec->reply,
                    "ERR Can not execute a script with write flag using *_ro command.");
        return;
    }
    struct script script = {
        .text = text,
        .keys = exec->argv + 3,
        .key_count = keys,
        .arguments = exec->argv + 3 + keys,
        .argument_count = exec->argc - 3 - keys,
        .read_only = read_only || shebang.no_writes,
    };
    memcpy(script.sha1, sha1, sizeof(script.sha1));
    engine_run(exec, &script);
}

static void run_eval(struct exec *exec)
{
    char sha1[SHA1_HEX_SIZE + 1];
    sha1_hex(exec->argv[1], sha1);
    run_text(exec, exec->argv[1], sha1, false, true);
}

static void run_eval_ro(struct exec *exec)
{
    char sha1[SHA1_HEX_SIZE + 1];
    sha1_hex(exec->argv[1], sha1);
    run_text(exec, exec->argv[1], sha1, true, false);
}

/* argv[i] as a digest in small letters; false: it cannot be one. */
static bool read_sha1(const struct exec *exec, size_t i, char out[SHA1_HEX_SIZE + 1])
{
    rr_bytes word = exec->argv[i];
    if (word.size != SHA1_HEX_SIZE) {
        return false;
    }
    for (size_t c = 0; c < SHA1_HEX_SIZE; c++) {
        out[c] = (char)tolower(((const unsigned char *)word.data)[c]);
        if (!isxdigit((unsigned char)out[c])) {
            return false;
        }
    }
    out[SHA1_HEX_SIZE] = '\0';
    return true;
}

static void run_by_sha1(struct exec *exec, bool read_only)
{
    size_t keys;
    if (exec->argv[1].size == SHA1_HEX_SIZE && !key_count(exec, &keys)) {
        return;
    }
    char sha1[SHA1_HEX_SIZE + 1];
    struct buffer key;
    struct buffer text;
    buffer_init(&key);
    buffer_init(&text);
    bool found = read_sha1(exec, 1, sha1);
    if (found) {
        script_key(&key, sha1);
        found = store_get_copy(exec->store, buffer_bytes(&key), &text);
    }
    if (found) {
        run_text(exec, buffer_bytes(&text), sha1, read_only, false);
    } else {
        reply_error(exec->reply, "NOSCRIPT No matching script. Please use EVAL.");
    }
    buffer_deinit(&key);
    buffer_deinit(&text);
}

static void run_evalsha(struct exec *exec)
{
    run_by_sha1(exec, false);
}

static void run_evalsha_ro(struct exec *exec)
{
    run_by_sha1(exec, true);
}

/* ---- SCRIPT ---- */

static void run_script_load(struct exec *exec)
{
    rr_bytes text = exec->argv[2];
    char sha1[SHA1_HEX_SIZE + 1];
    char error[256];
    struct shebang shebang;
    sha1_hex(text, sha1);
    if (!read_shebang(exec, text, &shebang)) {
        return;
    }
    if (!engine_compiles(text, error, sizeof(error))) {
        reply_error(exec->reply, "ERR Error compiling script (new function): %s", error);
        return;
    }
    script_store(exec->store, sha1, text);
    reply_bulk_text(exec->reply, sha1);
}

static void run_script_exists(struct exec *exec)
{
    reply_array(exec->reply, exec->argc - 2);
    for (size_t i = 2; i < exec->argc; i++) {
        char sha1[SHA1_HEX_SIZE + 1];
        bool exists = read_sha1(exec, i, sha1) && script_exists(exec->store, sha1);
        reply_integer(exec->reply, exists ? 1 : 0);
    }
}

static void run_script_flush(struct exec *exec)
{
    if (exec->argc > 3 ||
        (exec->argc == 3 && !exec_is(exec, 2, "sync") && !exec_is(exec, 2, "async"))) {
        reply_error(exec->reply, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
        return;
    }
    uint8_t prefix = LAYOUT_SCRIPT;
    while (store_delete_prefix(exec->store, (rr_bytes){&prefix, 1}, 1000) == 1000) {
    }
    reply_ok(exec->reply);
}

static void run_not_busy(struct exec *exec)
{
    reply_error(exec->reply, "NOTBUSY No scripts in execution right now.");
}

static void run_script_debug(struct exec *exec)
{
    if (exec_is(exec, 2, "no")) {
        reply_ok(exec->reply);
        return;
    }
    reply_error(exec->reply, "ERR scripts cannot be debugged here");
}

/* ---- FUNCTION ---- */

static void run_function_flush(struct exec *exec)
{
    if (exec->argc > 3 ||
        (exec->argc == 3 && !exec_is(exec, 2, "sync") && !exec_is(exec, 2, "async"))) {
        reply_error(exec->reply, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
        return;
    }
    reply_ok(exec->reply);
}

static void run_function_list(struct exec *exec)
{
    reply_array(exec->reply, 0);
}

static void run_function_unsupported(struct exec *exec)
{
    reply_error(exec->reply, "ERR functions are not supported, use scripts");
}

static void run_function_delete(struct exec *exec)
{
    reply_error(exec->reply, "ERR Library not found");
}

static void run_fcall(struct exec *exec)
{
    reply_error(exec->reply, "ERR Function not found");
}

/* ---- Rows ---- */

#define SCRIPTING(flags_) .flags = (flags_), .group = "scripting"
#define LOGGED COMMAND_WRITE | COMMAND_NOSCRIPT

static const char eval_note[] =
    "a script ends after 200,000,000 units of work of about 10 ns, with nothing of it applied, "
    "and has 64 MiB of memory. Its random numbers and the time are the same on all nodes; pairs() "
    "goes in order of insertion; tables cannot be weak, and there is no string.dump";
static const char function_note[] = "there are no functions; scripts are shared by all nodes";

/* clang-format off */
static const struct command script_subcommands[] = {
    {.name = "debug", .arity = 3, SCRIPTING(COMMAND_READONLY | COMMAND_NOSCRIPT), .since = "3.2.0",
     .summary = "Sets the mode of debugging; only NO.", .run = run_script_debug,
     .note = "scripts cannot be debugged"},
    {.name = "exists", .arity = -3, SCRIPTING(COMMAND_READONLY | COMMAND_NOSCRIPT), .since = "2.6.0",
     .summary = "Tells which scripts are stored.", .run = run_script_exists},
    {.name = "flush", .arity = -2, SCRIPTING(LOGGED), .since = "2.6.0",
     .summary = "Removes all scripts.", .run = run_script_flush},
    {.name = "kill", .arity = 2, SCRIPTING(COMMAND_READONLY | COMMAND_NOSCRIPT | COMMAND_ALLOW_BUSY),
     .since = "2.6.0", .summary = "Would end a running script; none runs for long.",
     .run = run_not_busy},
    {.name = "load", .arity = 3, SCRIPTING(LOGGED | COMMAND_STALE), .since = "2.6.0",
     .summary = "Stores a script and answers its digest.", .run = run_script_load},
    {.name = NULL},
};

static const struct command function_subcommands[] = {
    {.name = "delete", .arity = 3, SCRIPTING(LOGGED), .since = "7.0.0",
     .summary = "Deletes a library; there are none.", .run = run_function_delete,
     .note = function_note},
    {.name = "flush", .arity = -2, SCRIPTING(LOGGED), .since = "7.0.0",
     .summary = "Deletes all libraries; there are none.", .run = run_function_flush},
    {.name = "kill", .arity = 2, SCRIPTING(COMMAND_READONLY | COMMAND_NOSCRIPT | COMMAND_ALLOW_BUSY),
     .since = "7.0.0", .summary = "Would end a running function.", .run = run_not_busy},
    {.name = "list", .arity = -2, SCRIPTING(COMMAND_READONLY | COMMAND_NOSCRIPT), .since = "7.0.0",
     .summary = "Lists libraries; there are none.", .run = run_function_list,
     .note = function_note},
    {.name = "load", .arity = -3, SCRIPTING(LOGGED | COMMAND_DENYOOM), .since = "7.0.0",
     .summary = "Would load a library.", .run = run_function_unsupported, .note = function_note},
    {.name = NULL},
};

#define SCRIPT_KEYS(flags_) .keys = {KEY_SPEC_COUNTED(flags_, 2)}
#define EVAL_FLAGS COMMAND_NOSCRIPT | COMMAND_STALE | COMMAND_SKIP_MONITOR | COMMAND_MOVABLE_KEYS

const struct command commands_script[] = {
    {.name = "eval", .arity = -3, SCRIPTING(EVAL_FLAGS | COMMAND_WRITE), .since = "2.6.0",
     .summary = "Runs a script in Lua.", .complexity = "Depends on the script.", .run = run_eval,
     SCRIPT_KEYS(KEY_RW | KEY_ACCESS | KEY_UPDATE), .note = eval_note},
    {.name = "evalsha", .arity = -3, SCRIPTING(EVAL_FLAGS | COMMAND_WRITE), .since = "2.6.0",
     .summary = "Runs a stored script.", .complexity = "Depends on the script.",
     .run = run_evalsha, SCRIPT_KEYS(KEY_RW | KEY_ACCESS | KEY_UPDATE), .note = eval_note},
    {.name = "eval_ro", .arity = -3, SCRIPTING(EVAL_FLAGS | COMMAND_READONLY), .since = "7.0.0",
     .summary = "Runs a script that only reads.", .complexity = "Depends on the script.",
     .run = run_eval_ro, SCRIPT_KEYS(KEY_RO | KEY_ACCESS),
     .note = "the script is not stored for EVALSHA"},
    {.name = "evalsha_ro", .arity = -3, SCRIPTING(EVAL_FLAGS | COMMAND_READONLY), .since = "7.0.0",
     .summary = "Runs a stored script that only reads.", .complexity = "Depends on the script.",
     .run = run_evalsha_ro, SCRIPT_KEYS(KEY_RO | KEY_ACCESS), .note = eval_note},
    {.name = "script", .arity = -2, SCRIPTING(0), .since = "2.6.0",
     .summary = "Commands about stored scripts.", .subcommands = script_subcommands},
    {.name = "function", .arity = -2, SCRIPTING(0), .since = "7.0.0",
     .summary = "Commands about functions.", .subcommands = function_subcommands},
    {.name = "fcall", .arity = -3, SCRIPTING(EVAL_FLAGS | COMMAND_READONLY), .since = "7.0.0",
     .summary = "Would call a function.", .run = run_fcall,
     SCRIPT_KEYS(KEY_RW | KEY_ACCESS | KEY_UPDATE), .note = function_note},
    {.name = "fcall_ro", .arity = -3, SCRIPTING(EVAL_FLAGS | COMMAND_READONLY), .since = "7.0.0",
     .summary = "Would call a function that only reads.", .run = run_fcall,
     SCRIPT_KEYS(KEY_RO | KEY_ACCESS), .note = function_note},
    {.name = NULL},
};
/* clang-format on */
