/* OBJECT and MEMORY: how a value is kept, as far as there is a truth to tell. */
#include "coredb/base/number.h"
#include "coredb/command/generic.h"
#include "coredb/command/string.h"
#include "coredb/value/list.h"
#include "coredb/value/named.h"

/* ---- OBJECT ---- */

enum { SHARED_INTEGERS = 10000 }; /* Redis has one object for each of them */

static enum value_encoding encoding_of(const struct key *key)
{
    return key->type == VALUE_STRING ? string_encoding(key->encoding, buffer_bytes(&key->payload))
                                     : key->encoding;
}

static void object_encoding(struct exec *exec)
{
    struct key key;
    key_open(exec->store, exec->argv[2], &key);
    if (key.type == VALUE_NONE) {
        reply_null(exec->reply);
    } else {
        reply_bulk_text(exec->reply, value_encoding_name(encoding_of(&key)));
    }
    key_close(&key);
}

static void object_refcount(struct exec *exec)
{
    struct key key;
    key_open(exec->store, exec->argv[2], &key);
    int64_t number;
    if (key.type == VALUE_NONE) {
        reply_null(exec->reply);
    } else if (encoding_of(&key) == ENCODING_INT &&
               number_parse_i64(buffer_bytes(&key.payload), &number) && number >= 0 &&
               number < SHARED_INTEGERS) {
        reply_integer(exec->reply, INT32_MAX);
    } else {
        reply_integer(exec->reply, 1);
    }
    key_close(&key);
}

static void object_idletime(struct exec *exec)
{
    struct key key;
    key_open(exec->store, exec->argv[2], &key);
    if (key.type == VALUE_NONE) {
        reply_null(exec->reply);
    } else {
        reply_integer(exec->reply, 0);
    }
    key_close(&key);
}

static void object_freq(struct exec *exec)
{
    struct key key;
    key_open(exec->store, exec->argv[2], &key);
    if (key.type == VALUE_NONE) {
        reply_null(exec->reply);
    } else {
        reply_error(exec->reply,
                    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. "
                    "Please note that when switching between policies at runtime LRU and LFU data "
                    "will take some time to adjust.");
    }
    key_close(&key);
}

static void object_help(struct exec *exec)
{
    static const char *const lines[] = {
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Return the encoding that Redis would use for the value of <key>.",
        "FREQ <key>",
        "    Access frequencies are not kept: answers an error.",
        "IDLETIME <key>",
        "    Times of access are not kept: answers 0.",
        "REFCOUNT <key>",
        "    Return the number of references that Redis would hold to the value.",
        "HELP",
        "    Print this help.",
    };
    reply_lines(exec->reply, lines, sizeof(lines) / sizeof(lines[0]));
}

/* ---- MEMORY USAGE ---- */

enum {
    USAGE_KEY_BYTES = 56,     /* metadata of a key and its place in the index */
    USAGE_ELEMENT_BYTES = 40, /* key and index of an element */
    USAGE_SAMPLES = 5,
};

/* Adds up the sizes of some elements. */
struct sampling {
    uint64_t left;
    uint64_t taken;
    uint64_t bytes;
};

static bool sample_named(void *arg, rr_bytes name, rr_bytes value)
{
    struct sampling *sampling = arg;
    sampling->taken++;
    sampling->bytes += name.size + value.size;
    return --sampling->left > 0;
}

static bool sample_listed(void *arg, uint64_t index, rr_bytes value)
{
    return sample_named(arg, value, (rr_bytes){NULL, 0});
}

/* The bytes of all elements, by the average of `samples` of them. */
static uint64_t element_bytes(struct store *store, const struct key *key, uint64_t samples)
{
    struct sampling sampling = {.left = samples};
    switch (key->type) {
    case VALUE_NONE:
    case VALUE_STRING:
        return 0;
    case VALUE_LIST:
        list_visit(store, key, 0, key->count, /*reverse=*/false, sample_listed, &sampling);
        break;
    case VALUE_SET:
        named_each(store, (struct named){LAYOUT_SET, key->object}, sample_named, &sampling);
        break;
    case VALUE_ZSET: /* each member stands there twice */
        named_each(store, (struct named){LAYOUT_ZSET, key->object}, sample_named, &sampling);
        sampling.bytes *= 2;
        break;
    case VALUE_HASH:
        named_each(store, (struct named){LAYOUT_HASH, key->object}, sample_named, &sampling);
        break;
    case VALUE_STREAM:
        named_each(store, (struct named){LAYOUT_STREAM, key->object}, sample_named, &sampling);
        break;
    }
    uint64_t average = sampling.taken == 0 ? 0 : sampling.bytes / sampling.taken;
    return key->count * (average + USAGE_ELEMENT_BYTES);
}

/* Reads the options; 0 samples are all of them. False: answered. */
static bool parse_samples(struct exec *exec, uint64_t *out)
{
    int64_t samples = USAGE_SAMPLES;
    for (size_t i = 3; i < exec->argc; i += 2) {
        if (!exec_is(exec, i, "samples") || i + 1 >= exec->argc) {
            reply_error_syntax(exec->reply);
            return false;
        }
        if (!exec_integer(exec, i + 1, &samples)) {
            return false;
        }
        if (samples < 0) {
            reply_error_syntax(exec->reply);
            return false;
        }
    }
    *out = samples == 0 ? UINT64_MAX : (uint64_t)samples;
    return true;
}

void generic_memory_usage(struct exec *exec)
{
    uint64_t samples;
    if (!parse_samples(exec, &samples)) {
        return;
    }
    struct key key;
    key_open(exec->store, exec->argv[2], &key);
    if (key.type == VALUE_NONE) {
        reply_null(exec->reply);
    } else {
        uint64_t bytes = USAGE_KEY_BYTES + key.name.size + key.payload.size +
                         element_bytes(exec->store, &key, samples);
        reply_integer(exec->reply, (int64_t)bytes);
    }
    key_close(&key);
}

static void memory_help(struct exec *exec)
{
    static const char *const lines[] = {
        "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "USAGE <key> [SAMPLES <count>]",
        "    Return an estimate of the bytes that <key> and its value take. Of a collection,",
        "    up to <count> elements are measured (default: 5, 0 means all).",
        "HELP",
        "    Print this help.",
    };
    reply_lines(exec->reply, lines, sizeof(lines) / sizeof(lines[0]));
}

const struct command generic_memory_subcommands[] = {
    {.name = "help",
     .arity = 2,
     .flags = COMMAND_LOADING | COMMAND_STALE,
     .group = "server",
     .since = "4.0.0",
     .summary = "Describes the subcommands of MEMORY.",
     .complexity = "O(1)",
     .run = memory_help},
    GENERIC_MEMORY_USAGE,
    {.name = NULL},
};

const struct command generic_object_subcommands[] = {
    {.name = "encoding",
     .arity = 3,
     .flags = COMMAND_READONLY,
     .group = "generic",
     .since = "2.2.3",
     .summary = "Returns the encoding that Redis would use for a value.",
     .complexity = "O(1)",
     .run = object_encoding,
     .keys = {KEY_SPEC(KEY_RO, 2, 0, 1)}},
    {.name = "freq",
     .arity = 3,
     .flags = COMMAND_READONLY,
     .group = "generic",
     .since = "4.0.0",
     .summary = "Refuses: access frequencies are not kept.",
     .complexity = "O(1)",
     .run = object_freq,
     .note = "Access frequencies are not kept; answers as Redis without LFU.",
     .keys = {KEY_SPEC(KEY_RO, 2, 0, 1)}},
    {.name = "help",
     .arity = 2,
     .flags = COMMAND_LOADING | COMMAND_STALE,
     .group = "generic",
     .since = "6.2.0",
     .summary = "Describes the subcommands of OBJECT.",
     .complexity = "O(1)",
     .run = object_help},
    {.name = "idletime",
     .arity = 3,
     .flags = COMMAND_READONLY,
     .group = "generic",
     .since = "2.2.3",
     .summary = "Returns 0 for a key that exists: times of access are not kept.",
     .complexity = "O(1)",
     .run = object_idletime,
     .note = "Times of access are not kept; answers 0.",
     .keys = {KEY_SPEC(KEY_RO, 2, 0, 1)}},
    {.name = "refcount",
     .arity = 3,
     .flags = COMMAND_READONLY,
     .group = "generic",
     .since = "2.2.3",
     .summary = "Returns how many references Redis would hold to a value.",
     .complexity = "O(1)",
     .run = object_refcount,
     .keys = {KEY_SPEC(KEY_RO, 2, 0, 1)}},
    {.name = NULL},
};
