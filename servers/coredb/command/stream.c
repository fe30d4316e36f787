/* Commands on the entries of streams, and the rows of all commands of streams. */
#include "coredb/command/stream.h"

#include "coredb/base/bytes.h"

/* ---- XADD and XTRIM: arguments ---- */

enum { TRIM_LIMIT_DEFAULT = 100 * STREAM_NODE_ENTRIES };

struct add_arguments {
    struct stream_trim trim;
    bool limit_given;
    bool no_create;
    bool id_given;
    bool seq_given;
    struct stream_id id;
    size_t id_at; /* XADD: where the id stands */
};

/* MAXLEN or MINID at argv[*i] with what follows; `*i` becomes the last argument of it. */
static bool parse_threshold(struct exec *exec, size_t *i, bool by_id, struct stream_trim *trim)
{
    if (trim->wanted) {
        reply_error(exec->reply, "ERR syntax error, MAXLEN and MINID options at the same time are "
                                 "not compatible");
        return false;
    }
    size_t at = *i + 1;
    trim->approximate = at + 1 < exec->argc && exec_is(exec, at, "~");
    if (trim->approximate || (at + 1 < exec->argc && exec_is(exec, at, "="))) {
        at++;
    }
    if (by_id) {
        if (!stream_id_argument(exec, at, &trim->minid)) {
            return false;
        }
    } else {
        int64_t maxlen;
        if (!exec_integer(exec, at, &maxlen)) {
            return false;
        }
        if (maxlen < 0) {
            reply_error(exec->reply, "ERR The MAXLEN argument must be >= 0.");
            return false;
        }
        trim->maxlen = (uint64_t)maxlen;
    }
    trim->wanted = true;
    trim->by_id = by_id;
    *i = at;
    return true;
}

static bool parse_limit(struct exec *exec, size_t i, struct add_arguments *out)
{
    int64_t limit;
    if (!exec_integer(exec, i, &limit)) {
        return false;
    }
    if (limit < 0) {
        reply_error(exec->reply, "ERR The LIMIT argument must be >= 0.");
        return false;
    }
    out->trim.limit = (uint64_t)limit;
    out->limit_given = true;
    return true;
}

/* The argument argv[*i], which is none of the options: XADD's id. */
static bool parse_id(struct exec *exec, size_t i, struct add_arguments *out)
{
    out->id_at = i;
    if (bytes_equal(exec->argv[i], bytes_of("*"))) {
        return true;
    }
    if (!stream_id_parse(exec->argv[i], 0, &out->seq_given, &out->id)) {
        stream_reply_bad_id(exec->reply);
        return false;
    }
    out->id_given = true;
    return true;
}

static bool check_trim(struct exec *exec, bool is_add, struct add_arguments *out)
{
    struct stream_trim *trim = &out->trim;
    if (trim->limit > 0 && !trim->wanted) {
        reply_error(exec->reply, "ERR syntax error, LIMIT cannot be used without specifying a "
                                 "trimming strategy");
        return false;
    }
    if (!is_add && !trim->wanted) {
        reply_error(exec->reply, "ERR syntax error, XTRIM must be called with a trimming strategy");
        return false;
    }
    if (out->limit_given && !trim->approximate) {
        reply_error(exec->reply,
                    "ERR syntax error, LIMIT cannot be used without the special ~ option");
        return false;
    }
    if (!out->limit_given) {
        trim->limit = trim->approximate ? TRIM_LIMIT_DEFAULT : 0;
    }
    return true;
}

static bool add_arguments(struct exec *exec, bool is_add, struct add_arguments *out)
{
    *out = (struct add_arguments){0};
    for (size_t i = 2; i < exec->argc && out->id_at == 0; i++) {
        bool more = i + 1 < exec->argc;
        bool good = true;
        if (is_add && bytes_equal(exec->argv[i], bytes_of("*"))) {
            good = parse_id(exec, i, out);
        } else if (more && exec_is(exec, i, "maxlen")) {
            good = parse_threshold(exec, &i, false, &out->trim);
        } else if (more && exec_is(exec, i, "minid")) {
            good = parse_threshold(exec, &i, true, &out->trim);
        } else if (more && exec_is(exec, i, "limit")) {
            good = parse_limit(exec, ++i, out);
        } else if (is_add && exec_is(exec, i, "nomkstream")) {
            out->no_create = true;
        } else if (is_add) {
            good = parse_id(exec, i, out);
        } else {
            reply_error_syntax(exec->reply);
            good = false;
        }
        if (!good) {
            return false;
        }
    }
    return check_trim(exec, is_add, out);
}

/* ---- XADD ---- */

/* The id that the new entry gets; false: answered. */
static bool next_id(struct exec *exec, const struct stream *stream,
                    const struct add_arguments *arguments, struct stream_id *out)
{
    struct stream_id id = arguments->id;
    bool later = true;
    if (!arguments->id_given) {
        id = (struct stream_id){exec->store->now_ms, 0};
        if (id.ms <= stream->last.ms) {
            id = stream->last;
            later = stream_id_next(&id);
        }
    } else if (!arguments->seq_given && id.ms == stream->last.ms) {
        id.seq = stream->last.seq + 1; /* 0 after the greatest, which is refused below */
    }
    if (!later || stream_id_compare(id, stream->last) <= 0) {
        reply_error(exec->reply, "ERR The ID specified in XADD is equal or smaller than the target "
                                 "stream top item");
        return false;
    }
    *out = id;
    return true;
}

static void trim(struct exec *exec, struct stream *stream, const struct stream_trim *trim)
{
    if (trim->wanted && stream_trim(exec->store, stream, trim) > 0) {
        key_notify(exec->store, stream->key, NOTIFY_STREAM, "xtrim");
    }
}

static void add_entry(struct exec *exec, struct stream *stream,
                      const struct add_arguments *arguments)
{
    struct stream_id id;
    if (stream_id_compare(stream->last, STREAM_ID_MAX) == 0) {
        reply_error(exec->reply, "ERR The stream has exhausted the last possible ID, unable to add "
                                 "more items");
        return;
    }
    if (!next_id(exec, stream, arguments, &id)) {
        return;
    }
    if (stream->key->type == VALUE_NONE) {
        stream_create(exec->store, stream);
    }
    size_t first = arguments->id_at + 1;
    stream_append(exec->store, stream, id, &exec->argv[first], exec->argc - first);
    key_notify(exec->store, stream->key, NOTIFY_STREAM, "xadd");
    trim(exec, stream, &arguments->trim);
    stream_save(exec->store, stream);
    key_signal_ready(exec->store, stream->key);
    stream_reply_id(exec->reply, id);
}

static void run_xadd(struct exec *exec)
{
    struct add_arguments arguments;
    if (!add_arguments(exec, true, &arguments)) {
        return;
    }
    size_t fields = arguments.id_at == 0 ? 0 : exec->argc - arguments.id_at - 1;
    if (fields < 2 || fields % 2 != 0) {
        reply_error_arity(exec->reply, bytes_of(exec->command->name));
        return;
    }
    if (arguments.id_given && arguments.seq_given &&
        stream_id_compare(arguments.id, STREAM_ID_MIN) == 0) {
        reply_error(exec->reply, "ERR The ID specified in XADD must be greater than 0-0");
        return;
    }
    struct key key;
    struct stream stream;
    if (stream_open(exec, 1, &key, &stream)) {
        if (key.type == VALUE_NONE && arguments.no_create) {
            reply_null(exec->reply);
        } else {
            add_entry(exec, &stream, &arguments);
        }
    }
    key_close(&key);
}

static void run_xtrim(struct exec *exec)
{
    struct add_arguments arguments;
    if (!add_arguments(exec, false, &arguments)) {
        return;
    }
    struct key key;
    struct stream stream;
    if (stream_open(exec, 1, &key, &stream)) {
        uint64_t before = key.count;
        trim(exec, &stream, &arguments.trim);
        if (key.count < before) {
            stream_save(exec->store, &stream);
        }
        reply_integer(exec->reply, (int64_t)(before - key.count));
    }
    key_close(&key);
}

/* ---- XDEL and XSETID ---- */

static void delete_entries(struct exec *exec, struct stream *stream)
{
    struct stream_id id;
    for (size_t i = 2; i < exec->argc; i++) {
        if (!stream_id_argument(exec, i, &id)) {
            return;
        }
    }
    int64_t deleted = 0;
    for (size_t i = 2; i < exec->argc; i++) {
        if (stream_id_parse(exec->argv[i], 0, NULL, &id)) {
            deleted += stream_delete(exec->store, stream, id) ? 1 : 0;
        }
    }
    if (deleted > 0) {
        if (!stream_get(exec->store, stream, stream->first, NULL)) {
            stream_find_first(exec->store, stream);
        }
        stream_save(exec->store, stream);
        key_notify(exec->store, stream->key, NOTIFY_STREAM, "xdel");
    }
    reply_integer(exec->reply, deleted);
}

static void run_xdel(struct exec *exec)
{
    struct key key;
    struct stream stream;
    if (stream_open(exec, 1, &key, &stream)) {
        if (key.type == VALUE_NONE) {
            reply_integer(exec->reply, 0);
        } else {
            delete_entries(exec, &stream);
        }
    }
    key_close(&key);
}

struct setid {
    struct stream_id last;
    bool added_given;
    int64_t added;
    struct stream_id max_deleted; /* 0-0: not given */
};

static bool setid_arguments(struct exec *exec, struct setid *out)
{
    *out = (struct setid){0};
    if (!stream_id_argument(exec, 2, &out->last)) {
        return false;
    }
    for (size_t i = 3; i < exec->argc; i += 2) {
        bool more = i + 1 < exec->argc;
        if (more && exec_is(exec, i, "entriesadded")) {
            if (!exec_integer(exec, i + 1, &out->added)) {
                return false;
            }
            if (out->added < 0) {
                reply_error(exec->reply, "ERR entries_added must be positive");
                return false;
            }
            out->added_given = true;
        } else if (more && exec_is(exec, i, "maxdeletedid")) {
            if (!stream_id_argument(exec, i + 1, &out->max_deleted)) {
                return false;
            }
            if (stream_id_compare(out->last, out->max_deleted) < 0) {
                reply_error(exec->reply, "ERR The ID specified in XSETID is smaller than the "
                                         "provided max_deleted_entry_id");
                return false;
            }
        } else {
            reply_error_syntax(exec->reply);
            return false;
        }
    }
    return true;
}

static void set_id(struct exec *exec, struct stream *stream, const struct setid *wanted)
{
    if (stream->key->type == VALUE_NONE) {
        reply_error_no_key(exec->reply);
    } else if (stream_has_beyond(exec->store, stream, wanted->last)) {
        reply_error(exec->reply, "ERR The ID specified in XSETID is smaller than the target stream "
                                 "top item");
    } else if (wanted->added_given && (uint64_t)wanted->added < stream->key->count) {
        reply_error(exec->reply, "ERR The entries_added specified in XSETID is smaller than the "
                                 "target stream length");
    } else {
        stream->last = wanted->last;
        stream->added = wanted->added_given ? (uint64_t)wanted->added : stream->added;
        if (stream_id_compare(wanted->max_deleted, STREAM_ID_MIN) != 0) {
            stream->max_deleted = wanted->max_deleted;
        }
        stream_save(exec->store, stream);
        key_notify(exec->store, stream->key, NOTIFY_STREAM, "xsetid");
        reply_ok(exec->reply);
    }
}

static void run_xsetid(struct exec *exec)
{
    struct setid wanted;
    if (!setid_arguments(exec, &wanted)) {
        return;
    }
    struct key key;
    struct stream stream;
    if (stream_open(exec, 1, &key, &stream)) {
        set_id(exec, &stream, &wanted);
    }
    key_close(&key);
}

/* ---- XLEN, XRANGE, XREVRANGE ---- */

static void run_xlen(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_STREAM, &key)) {
        reply_integer(exec->reply, (int64_t)key.count);
    }
    key_close(&key);
}

/* COUNT from argv[4] on; -1: none. */
static bool count_argument(struct exec *exec, int64_t *count)
{
    *count = -1;
    for (size_t i = 4; i < exec->argc; i += 2) {
        if (i + 1 >= exec->argc || !exec_is(exec, i, "count")) {
            reply_error_syntax(exec->reply);
            return false;
        }
        if (!exec_integer(exec, i + 1, count)) {
            return false;
        }
        *count = *count < 0 ? 0 : *count;
    }
    return true;
}

static void run_range(struct exec *exec, bool reverse)
{
    struct stream_id from;
    struct stream_id to;
    int64_t count;
    if (!stream_start_argument(exec, reverse ? 3 : 2, &from) ||
        !stream_end_argument(exec, reverse ? 2 : 3, &to) || !count_argument(exec, &count)) {
        return;
    }
    struct key key;
    struct stream stream;
    if (stream_open(exec, 1, &key, &stream)) {
        if (key.type == VALUE_NONE) {
            reply_array(exec->reply, 0);
        } else if (count == 0) {
            reply_null_array(exec->reply);
        } else {
            stream_reply_range(exec->store, exec->reply, &stream, from, to, reverse,
                               count < 0 ? 0 : (uint64_t)count);
        }
    }
    key_close(&key);
}

static void run_xrange(struct exec *exec)
{
    run_range(exec, false);
}

static void run_xrevrange(struct exec *exec)
{
    run_range(exec, true);
}

/* ---- Rows ---- */

#define READ(flags_) .flags = COMMAND_READONLY | (flags_), .group = "stream"
#define WRITE(flags_) .flags = COMMAND_WRITE | (flags_), .group = "stream"
#define KEY(flags_) .keys = {KEY_SPEC(flags_, 1, 0, 1)}
#define KEY_STREAMS(from_)                                                                         \
    .keys = {{.flags = KEY_RO | KEY_ACCESS,                                                        \
              .keyword = "STREAMS",                                                                \
              .begin = (from_),                                                                    \
              .find = KEYS_RANGE,                                                                  \
              .last = -1,                                                                          \
              .step = 1,                                                                           \
              .limit = 2}}

static const char wait_note[] =
    "who waits goes on where a transaction deletes again what it added; Redis answers no entries. "
    "A "
    "client that waits on a node that the others have not heard of for 10 seconds gets -UNBLOCKED";
static const char trim_note[] = "`~` trims by imagined nodes of 100 entries, whatever their size; "
                                "Redis's nodes are smaller when "
                                "entries are large";

/* clang-format off */
const struct command commands_stream[] = {
    {.name = "xack", .arity = -4, WRITE(COMMAND_FAST), .since = "5.0.0",
     .summary = "Acknowledges entries that a group has pending.",
     .complexity = "O(1) for each entry", .run = stream_run_xack, KEY(KEY_RW | KEY_UPDATE)},
    {.name = "xadd", .arity = -5, WRITE(COMMAND_DENYOOM | COMMAND_FAST), .since = "5.0.0",
     .summary = "Appends an entry, and may trim the stream.",
     .complexity = "O(1), and O(N) for N entries trimmed", .run = run_xadd,
     KEY(KEY_RW | KEY_UPDATE), .note = trim_note},
    {.name = "xautoclaim", .arity = -6, WRITE(COMMAND_FAST), .since = "6.2.0",
     .summary = "Gives entries that are pending for long to a consumer.",
     .complexity = "O(N) for N entries looked at", .run = stream_run_xautoclaim,
     KEY(KEY_RW | KEY_DELETE)},
    {.name = "xclaim", .arity = -6, WRITE(COMMAND_FAST), .since = "5.0.0",
     .summary = "Gives pending entries to a consumer.",
     .complexity = "O(N) for N entries", .run = stream_run_xclaim, KEY(KEY_RW | KEY_UPDATE)},
    {.name = "xdel", .arity = -3, WRITE(COMMAND_FAST), .since = "5.0.0",
     .summary = "Deletes entries.",
     .complexity = "O(1) for each entry", .run = run_xdel, KEY(KEY_RW | KEY_DELETE)},
    {.name = "xgroup", .arity = -2, .group = "stream", .since = "5.0.0",
     .summary = "Manages groups of consumers.", .subcommands = stream_xgroup_subcommands},
    {.name = "xinfo", .arity = -2, .group = "stream", .since = "5.0.0",
     .summary = "Tells about streams, groups and consumers.",
     .subcommands = stream_xinfo_subcommands},
    {.name = "xlen", .arity = 2, READ(COMMAND_FAST), .since = "5.0.0",
     .summary = "Counts the entries.",
     .complexity = "O(1)", .run = run_xlen, KEY(KEY_RO)},
    {.name = "xpending", .arity = -3, READ(0), .since = "5.0.0",
     .summary = "Tells what a group has pending.",
     .complexity = "O(N) for N entries returned or consumers", .run = stream_run_xpending,
     KEY(KEY_RO | KEY_ACCESS)},
    {.name = "xrange", .arity = -4, READ(0), .since = "5.0.0",
     .summary = "Gets the entries between two ids.",
     .complexity = "O(N) for N entries returned", .run = run_xrange, KEY(KEY_RO | KEY_ACCESS)},
    {.name = "xread", .arity = -4, READ(COMMAND_BLOCKING | COMMAND_MOVABLE_KEYS), .since = "5.0.0",
     .summary = "Gets the entries of streams after an id, and may wait for some.",
     .complexity = "O(N) for N entries returned", .run = stream_run_xread, KEY_STREAMS(1),
     .note = wait_note},
    {.name = "xreadgroup", .arity = -7, WRITE(COMMAND_BLOCKING | COMMAND_MOVABLE_KEYS),
     .since = "5.0.0",
     .summary = "Gets entries for a consumer of a group, and may wait for some.",
     .complexity = "O(N) for N entries returned", .run = stream_run_xreadgroup, KEY_STREAMS(4),
     .note = wait_note},
    {.name = "xrevrange", .arity = -4, READ(0), .since = "5.0.0",
     .summary = "Gets the entries between two ids, latest first.",
     .complexity = "O(N) for N entries returned", .run = run_xrevrange, KEY(KEY_RO | KEY_ACCESS)},
    {.name = "xsetid", .arity = -3, WRITE(COMMAND_DENYOOM | COMMAND_FAST), .since = "5.0.0",
     .summary = "Sets the id that a stream ended with; for copies of streams.",
     .complexity = "O(1)", .run = run_xsetid, KEY(KEY_RW | KEY_UPDATE),
     .note = "counts as a change of the key for WATCH"},
    {.name = "xtrim", .arity = -4, WRITE(0), .since = "5.0.0",
     .summary = "Removes the oldest entries.",
     .complexity = "O(N) for N entries removed", .run = run_xtrim, KEY(KEY_RW | KEY_DELETE),
     .note = trim_note},
    {.name = NULL},
};
/* clang-format on */
