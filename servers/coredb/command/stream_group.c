/* XGROUP, XACK and XPENDING. */
#include "coredb/base/bytes.h"
#include "coredb/command/stream.h"

/* ---- XGROUP ---- */

/* A key and group that a subcommand works on: argv[2] and argv[3]. */
struct group_target {
    struct key key;
    struct stream stream;
    struct stream_group group;
    bool has_group;
};

/* Opens them. False: answered; in both cases the caller closes the key. */
static bool target_open(struct exec *exec, bool may_create, bool needs_group,
                        struct group_target *out)
{
    out->has_group = false;
    if (!stream_open(exec, 2, &out->key, &out->stream)) {
        return false;
    }
    if (out->key.type == VALUE_NONE) {
        if (!may_create) {
            reply_error(exec->reply, "ERR The XGROUP subcommand requires the key to exist. Note "
                                     "that for CREATE you may want to use the MKSTREAM option to "
                                     "create an empty stream automatically.");
        }
        return may_create;
    }
    rr_bytes name = exec->argv[3];
    out->has_group = stream_group_get(exec->store, &out->stream, name, &out->group);
    if (needs_group && !out->has_group) {
        reply_error(exec->reply, "NOGROUP No such consumer group '%.*s' for key name '%.*s'",
                    (int)name.size, (const char *)name.data, (int)out->key.name.size,
                    (const char *)out->key.name.data);
        return false;
    }
    return true;
}

struct group_options {
    bool make_stream;
    int64_t entries_read;
};

static bool group_options(struct exec *exec, bool is_create, struct group_options *out)
{
    *out = (struct group_options){.entries_read = STREAM_READ_UNKNOWN};
    for (size_t i = 5; i < exec->argc; i++) {
        if (is_create && exec_is(exec, i, "mkstream")) {
            out->make_stream = true;
        } else if (i + 1 < exec->argc && exec_is(exec, i, "entriesread")) {
            if (!exec_integer(exec, ++i, &out->entries_read)) {
                return false;
            }
            if (out->entries_read < 0 && out->entries_read != STREAM_READ_UNKNOWN) {
                reply_error(exec->reply, "ERR value for ENTRIESREAD must be positive or -1");
                return false;
            }
        } else {
            stream_reply_subcommand_syntax(exec, "XGROUP");
            return false;
        }
    }
    return true;
}

/* Options may be repeated, as far as Redis has room for; it looks for the key first. False: answered. */
static bool not_too_many(struct exec *exec, size_t argc_max)
{
    if (exec->argc > argc_max) {
        stream_reply_subcommand_syntax(exec, "XGROUP");
    }
    return exec->argc <= argc_max;
}

/* argv[4]: an id, or $ for the last one. SETID also knows - and +. */
static bool group_id(struct exec *exec, const struct stream *stream, bool with_ends,
                     struct stream_id *out)
{
    if (with_ends && bytes_equal(exec->argv[4], bytes_of("-"))) {
        *out = STREAM_ID_MIN;
        return true;
    }
    if (with_ends && bytes_equal(exec->argv[4], bytes_of("+"))) {
        *out = STREAM_ID_MAX;
        return true;
    }
    if (bytes_equal(exec->argv[4], bytes_of("$"))) {
        *out = stream->last;
        return true;
    }
    return stream_id_argument(exec, 4, out);
}

static void create_group(struct exec *exec, struct group_target *target, int64_t entries_read)
{
    struct stream_id last;
    if (!group_id(exec, &target->stream, false, &last)) {
        return;
    }
    if (target->has_group) {
        reply_error(exec->reply, "BUSYGROUP Consumer Group name already exists");
        return;
    }
    if (target->key.type == VALUE_NONE) {
        stream_create(exec->store, &target->stream);
        stream_save(exec->store, &target->stream);
    }
    struct stream_group group = {.name = exec->argv[3], .last = last, .entries_read = entries_read};
    stream_group_save(exec->store, &target->stream, &group);
    key_notify(exec->store, &target->key, NOTIFY_STREAM, "xgroup-create");
    reply_ok(exec->reply);
}

static void run_xgroup_create(struct exec *exec)
{
    struct group_options options;
    if (!group_options(exec, true, &options)) {
        return;
    }
    struct group_target target;
    if (target_open(exec, options.make_stream, false, &target) && not_too_many(exec, 8)) {
        create_group(exec, &target, options.entries_read);
    }
    key_close(&target.key);
}

static void run_xgroup_setid(struct exec *exec)
{
    struct group_options options;
    if (!group_options(exec, false, &options)) {
        return;
    }
    struct group_target target;
    if (target_open(exec, false, true, &target) && not_too_many(exec, 7) &&
        group_id(exec, &target.stream, true, &target.group.last)) {
        target.group.entries_read = options.entries_read;
        stream_group_save(exec->store, &target.stream, &target.group);
        key_notify(exec->store, &target.key, NOTIFY_STREAM, "xgroup-setid");
        reply_ok(exec->reply);
    }
    key_close(&target.key);
}

static void run_xgroup_destroy(struct exec *exec)
{
    struct group_target target;
    if (target_open(exec, false, false, &target)) {
        if (target.has_group) {
            stream_group_delete(exec->store, &target.stream, &target.group);
            key_notify(exec->store, &target.key, NOTIFY_STREAM, "xgroup-destroy");
            key_signal_ready(exec->store, &target.key); /* who waits there gets an error */
        }
        reply_integer(exec->reply, target.has_group ? 1 : 0);
    }
    key_close(&target.key);
}

static void run_xgroup_createconsumer(struct exec *exec)
{
    struct group_target target;
    struct stream_consumer consumer;
    if (target_open(exec, false, true, &target)) {
        bool exists = stream_consumer_get(exec->store, &target.stream, &target.group, exec->argv[4],
                                          &consumer);
        if (!exists) {
            stream_consumer_create(exec->store, &target.stream, &target.group, exec->argv[4],
                                   &consumer);
            stream_group_save(exec->store, &target.stream, &target.group);
            key_notify(exec->store, &target.key, NOTIFY_STREAM, "xgroup-createconsumer");
        }
        reply_integer(exec->reply, exists ? 0 : 1);
    }
    key_close(&target.key);
}

static void run_xgroup_delconsumer(struct exec *exec)
{
    struct group_target target;
    struct stream_consumer consumer = {0};
    if (target_open(exec, false, true, &target)) {
        if (stream_consumer_get(exec->store, &target.stream, &target.group, exec->argv[4],
                                &consumer)) {
            stream_consumer_delete(exec->store, &target.stream, &target.group, &consumer);
            stream_group_save(exec->store, &target.stream, &target.group);
            key_notify(exec->store, &target.key, NOTIFY_STREAM, "xgroup-delconsumer");
        }
        reply_integer(exec->reply, (int64_t)consumer.pending);
    }
    key_close(&target.key);
}

static void run_xgroup_help(struct exec *exec)
{
    static const char *const lines[] = {
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [option]",
        "    Create a new consumer group. Options are:",
        "    * MKSTREAM",
        "      Create the empty stream if it does not exist.",
        "    * ENTRIESREAD entries_read",
        "      Set the group's entries_read counter (internal use).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Create a new consumer in the specified group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove the specified consumer.",
        "DESTROY <key> <groupname>",
        "    Remove the specified group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set the current group ID and entries_read counter.",
        "HELP",
        "    Prints this help.",
    };
    reply_lines(exec->reply, lines, sizeof lines / sizeof *lines);
}

/* ---- XACK ---- */

static void acknowledge(struct exec *exec, const struct stream *stream, struct stream_group *group)
{
    struct stream_id id;
    for (size_t i = 3; i < exec->argc; i++) {
        if (!stream_id_argument(exec, i, &id)) {
            return;
        }
    }
    int64_t acknowledged = 0;
    for (size_t i = 3; i < exec->argc; i++) {
        if (stream_id_parse(exec->argv[i], 0, NULL, &id)) {
            acknowledged += stream_pending_delete(exec->store, stream, group, NULL, id) ? 1 : 0;
        }
    }
    if (acknowledged > 0) {
        stream_group_save(exec->store, stream, group);
    }
    reply_integer(exec->reply, acknowledged);
}

void stream_run_xack(struct exec *exec)
{
    struct key key;
    struct stream stream;
    struct stream_group group;
    if (!stream_open(exec, 1, &key, &stream)) {
        /* answered */
    } else if (!stream_group_get(exec->store, &stream, exec->argv[2], &group)) {
        reply_integer(exec->reply, 0);
    } else {
        acknowledge(exec, &stream, &group);
    }
    key_close(&key);
}

/* ---- XPENDING ---- */

struct pending_request {
    int64_t idle_ms;
    struct stream_id from;
    struct stream_id to;
    int64_t count;
    size_t consumer_at; /* 0: all consumers */
};

static bool pending_arguments(struct exec *exec, struct pending_request *out)
{
    size_t at = 3;
    *out = (struct pending_request){0};
    if (exec->argc < 6 || exec->argc > 9) {
        reply_error_syntax(exec->reply);
        return false;
    }
    if (exec_is(exec, 3, "idle")) {
        if (!exec_integer(exec, 4, &out->idle_ms)) {
            return false;
        }
        if (exec->argc < 8) {
            reply_error_syntax(exec->reply);
            return false;
        }
        at = 5;
    }
    if (!exec_integer(exec, at + 2, &out->count) || !stream_start_argument(exec, at, &out->from) ||
        !stream_end_argument(exec, at + 1, &out->to)) {
        return false;
    }
    out->consumer_at = at + 3 < exec->argc ? at + 3 : 0;
    return true;
}

static bool edge_visit(void *arg, const struct stream_pending *pending)
{
    *(struct stream_id *)arg = pending->id;
    return false;
}

static void reply_edge(struct exec *exec, const struct stream *stream,
                       const struct stream_group *group, bool last)
{
    struct stream_id id = STREAM_ID_MIN;
    stream_pending_range(exec->store, stream, group, 0, STREAM_ID_MIN, STREAM_ID_MAX, last,
                         edge_visit, &id);
    stream_reply_id(exec->reply, id);
}

struct busy_reply {
    struct reply *reply;
    size_t count;
};

static bool busy_visit(void *arg, const struct stream_consumer *consumer)
{
    struct busy_reply *busy = arg;
    if (consumer->pending > 0) {
        reply_array(busy->reply, 2);
        reply_bulk(busy->reply, consumer->name);
        reply_bulk_integer(busy->reply, (int64_t)consumer->pending);
        busy->count++;
    }
    return !busy->reply->out.failed;
}

static void pending_summary(struct exec *exec, const struct stream *stream,
                            const struct stream_group *group)
{
    reply_array(exec->reply, 4);
    reply_integer(exec->reply, (int64_t)group->pending);
    if (group->pending == 0) {
        reply_null(exec->reply);
        reply_null(exec->reply);
        reply_null_array(exec->reply);
        return;
    }
    reply_edge(exec, stream, group, false);
    reply_edge(exec, stream, group, true);
    struct busy_reply busy = {exec->reply, 0};
    size_t mark = reply_later(exec->reply);
    stream_consumer_each(exec->store, stream, group, busy_visit, &busy);
    reply_array_end(exec->reply, mark, busy.count);
}

struct pending_reply {
    struct reply *reply;
    uint64_t now_ms;
    int64_t idle_ms;
    int64_t left;
    size_t count;
};

static bool pending_visit(void *arg, const struct stream_pending *pending)
{
    struct pending_reply *visit = arg;
    int64_t idle = (int64_t)(visit->now_ms - pending->delivered_ms);
    if (visit->idle_ms != 0 && idle < visit->idle_ms) {
        return true;
    }
    reply_array(visit->reply, 4);
    stream_reply_id(visit->reply, pending->id);
    reply_bulk(visit->reply, pending->consumer_name);
    reply_integer(visit->reply, idle < 0 ? 0 : idle);
    reply_integer(visit->reply, (int64_t)pending->deliveries);
    visit->count++;
    return --visit->left > 0 && !visit->reply->out.failed;
}

static void pending_details(struct exec *exec, const struct stream *stream,
                            const struct stream_group *group, const struct pending_request *request)
{
    struct stream_consumer consumer = {0};
    if (request->count <= 0 ||
        (request->consumer_at > 0 &&
         !stream_consumer_get(exec->store, stream, group, exec->argv[request->consumer_at],
                              &consumer))) {
        reply_array(exec->reply, 0);
        return;
    }
    struct pending_reply visit = {exec->reply, exec->store->now_ms, request->idle_ms,
                                  request->count, 0};
    size_t mark = reply_later(exec->reply);
    stream_pending_range(exec->store, stream, group, consumer.number, request->from, request->to,
                         false, pending_visit, &visit);
    reply_array_end(exec->reply, mark, visit.count);
}

void stream_run_xpending(struct exec *exec)
{
    struct pending_request request;
    if (exec->argc != 3 && !pending_arguments(exec, &request)) {
        return;
    }
    struct key key;
    struct stream stream;
    struct stream_group group;
    if (!stream_open(exec, 1, &key, &stream)) {
        /* answered */
    } else if (!stream_group_get(exec->store, &stream, exec->argv[2], &group)) {
        stream_reply_no_group(exec, exec->argv[1], exec->argv[2]);
    } else if (exec->argc == 3) {
        pending_summary(exec, &stream, &group);
    } else {
        pending_details(exec, &stream, &group, &request);
    }
    key_close(&key);
}

/* ---- Rows ---- */

#define KEY(flags_) .keys = {KEY_SPEC(flags_, 2, 0, 1)}

/* clang-format off */
const struct command stream_xgroup_subcommands[] = {
    {.name = "create", .arity = -5, .flags = COMMAND_WRITE | COMMAND_DENYOOM, .group = "stream",
     .since = "5.0.0", .summary = "Makes a group.",
     .complexity = "O(1)", .run = run_xgroup_create, KEY(KEY_RW | KEY_INSERT)},
    {.name = "createconsumer", .arity = 5, .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "stream", .since = "6.2.0", .summary = "Makes a consumer in a group.",
     .complexity = "O(1)", .run = run_xgroup_createconsumer, KEY(KEY_RW | KEY_INSERT)},
    {.name = "delconsumer", .arity = 5, .flags = COMMAND_WRITE, .group = "stream",
     .since = "5.0.0", .summary = "Deletes a consumer with what is pending for it.",
     .complexity = "O(N) for N pending entries", .run = run_xgroup_delconsumer,
     KEY(KEY_RW | KEY_DELETE)},
    {.name = "destroy", .arity = 4, .flags = COMMAND_WRITE, .group = "stream", .since = "5.0.0",
     .summary = "Deletes a group.",
     .complexity = "O(N) for N pending entries", .run = run_xgroup_destroy,
     KEY(KEY_RW | KEY_DELETE)},
    {.name = "help", .arity = 2, .flags = COMMAND_LOADING | COMMAND_STALE, .group = "stream",
     .since = "5.0.0", .summary = "Tells about the subcommands.",
     .complexity = "O(1)", .run = run_xgroup_help},
    {.name = "setid", .arity = -5, .flags = COMMAND_WRITE, .group = "stream", .since = "5.0.0",
     .summary = "Sets how far a group has read.",
     .complexity = "O(1)", .run = run_xgroup_setid, KEY(KEY_RW | KEY_UPDATE)},
    {.name = NULL},
};
/* clang-format on */
