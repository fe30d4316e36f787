/* XINFO. */
#include "coredb/command/stream.h"

enum { FULL_COUNT_DEFAULT = 10 };

static void reply_lag(struct reply *reply, const struct stream *stream,
                      const struct stream_group *group)
{
    int64_t lag;
    reply_bulk_text(reply, "entries-read");
    if (group->entries_read == STREAM_READ_UNKNOWN) {
        reply_null(reply);
    } else {
        reply_integer(reply, group->entries_read);
    }
    reply_bulk_text(reply, "lag");
    if (stream_group_lag(stream, group, &lag)) {
        reply_integer(reply, lag);
    } else {
        reply_null(reply);
    }
}

/* ---- XINFO STREAM ---- */

/* Redis tells about its tree of nodes here; these are the numbers of imagined nodes. */
static void reply_tree(struct reply *reply, uint64_t length)
{
    uint64_t keys = length / STREAM_NODE_ENTRIES + (length % STREAM_NODE_ENTRIES > 0 ? 1 : 0);
    reply_bulk_text(reply, "radix-tree-keys");
    reply_integer(reply, (int64_t)keys);
    reply_bulk_text(reply, "radix-tree-nodes");
    reply_integer(reply, (int64_t)(keys < 2 ? keys + 1 : keys * 2 + 2));
}

static void reply_header(struct reply *reply, const struct stream *stream)
{
    reply_bulk_text(reply, "length");
    reply_integer(reply, (int64_t)stream->key->count);
    reply_tree(reply, stream->key->count);
    reply_bulk_text(reply, "last-generated-id");
    stream_reply_id(reply, stream->last);
    reply_bulk_text(reply, "max-deleted-entry-id");
    stream_reply_id(reply, stream->max_deleted);
    reply_bulk_text(reply, "entries-added");
    reply_integer(reply, (int64_t)stream->added);
    reply_bulk_text(reply, "recorded-first-entry-id");
    stream_reply_id(reply, stream->first);
}

struct edge_reply {
    struct reply *reply;
    bool found;
};

static bool edge_visit(void *arg, struct stream_id id, rr_bytes entry)
{
    struct edge_reply *edge = arg;
    stream_reply_entry(edge->reply, id, entry);
    edge->found = true;
    return false;
}

static void reply_edge(struct exec *exec, const struct stream *stream, bool last)
{
    struct edge_reply edge = {exec->reply, false};
    stream_range(exec->store, stream, STREAM_ID_MIN, STREAM_ID_MAX, last, edge_visit, &edge);
    if (!edge.found) {
        reply_null(exec->reply);
    }
}

static bool count_visit(void *arg, const struct stream_group *group)
{
    (void)group;
    ++*(int64_t *)arg;
    return true;
}

static void reply_short(struct exec *exec, const struct stream *stream)
{
    int64_t groups = 0;
    stream_group_each(exec->store, stream, count_visit, &groups);
    reply_map(exec->reply, 10);
    reply_header(exec->reply, stream);
    reply_bulk_text(exec->reply, "groups");
    reply_integer(exec->reply, groups);
    reply_bulk_text(exec->reply, "first-entry");
    reply_edge(exec, stream, false);
    reply_bulk_text(exec->reply, "last-entry");
    reply_edge(exec, stream, true);
}

/* ---- XINFO STREAM FULL ---- */

struct full {
    struct exec *exec;
    const struct stream *stream;
    const struct stream_group *group; /* while its consumers are visited */
    uint64_t limit;                   /* of entries and pending ones; 0: none */
    size_t count;
};

struct pending_reply {
    struct reply *reply;
    bool with_consumer;
    uint64_t limit;
    size_t count;
};

static bool pending_visit(void *arg, const struct stream_pending *pending)
{
    struct pending_reply *visit = arg;
    reply_array(visit->reply, visit->with_consumer ? 4 : 3);
    stream_reply_id(visit->reply, pending->id);
    if (visit->with_consumer) {
        reply_bulk(visit->reply, pending->consumer_name);
    }
    reply_integer(visit->reply, (int64_t)pending->delivered_ms);
    reply_integer(visit->reply, (int64_t)pending->deliveries);
    visit->count++;
    return visit->count != visit->limit && !visit->reply->out.failed;
}

/* What is pending for a consumer, or for the whole group (0). */
static void reply_pending(const struct full *full, const struct stream_group *group,
                          uint64_t consumer, uint64_t pending)
{
    struct reply *reply = full->exec->reply;
    reply_bulk_text(reply, "pel-count");
    reply_integer(reply, (int64_t)pending);
    reply_bulk_text(reply, "pending");
    struct pending_reply visit = {reply, consumer == 0, full->limit, 0};
    size_t mark = reply_later(reply);
    stream_pending_range(full->exec->store, full->stream, group, consumer, STREAM_ID_MIN,
                         STREAM_ID_MAX, false, pending_visit, &visit);
    reply_array_end(reply, mark, visit.count);
}

static bool full_consumer_visit(void *arg, const struct stream_consumer *consumer)
{
    const struct full *full = arg;
    struct reply *reply = full->exec->reply;
    struct stream_consumer copy = *consumer;
    reply_map(reply, 4);
    reply_bulk_text(reply, "name");
    reply_bulk(reply, copy.name);
    reply_bulk_text(reply, "seen-time");
    reply_integer(reply, (int64_t)copy.seen_ms);
    reply_pending(full, full->group, copy.number, copy.pending);
    return !reply->out.failed;
}

static bool full_group_visit(void *arg, const struct stream_group *group)
{
    struct full *full = arg;
    struct reply *reply = full->exec->reply;
    struct stream_group copy = *group;
    full->count++;
    full->group = &copy;
    reply_map(reply, 7);
    reply_bulk_text(reply, "name");
    reply_bulk(reply, copy.name);
    reply_bulk_text(reply, "last-delivered-id");
    stream_reply_id(reply, copy.last);
    reply_lag(reply, full->stream, &copy);
    reply_pending(full, &copy, 0, copy.pending);
    reply_bulk_text(reply, "consumers");
    reply_array(reply, copy.consumers);
    stream_consumer_each(full->exec->store, full->stream, &copy, full_consumer_visit, full);
    full->group = NULL;
    return !reply->out.failed;
}

static void reply_full(struct exec *exec, const struct stream *stream, uint64_t limit)
{
    struct full full = {.exec = exec, .stream = stream, .limit = limit};
    reply_map(exec->reply, 9);
    reply_header(exec->reply, stream);
    reply_bulk_text(exec->reply, "entries");
    stream_reply_range(exec->store, exec->reply, stream, STREAM_ID_MIN, STREAM_ID_MAX, false,
                       limit);
    reply_bulk_text(exec->reply, "groups");
    size_t mark = reply_later(exec->reply);
    stream_group_each(exec->store, stream, full_group_visit, &full);
    reply_array_end(exec->reply, mark, full.count);
}

/* Opens argv[2], which must exist. False: answered; in both cases the caller closes the key. */
static bool open_present(struct exec *exec, struct key *key, struct stream *stream)
{
    if (!stream_open(exec, 2, key, stream)) {
        return false;
    }
    if (key->type == VALUE_NONE) {
        reply_error_no_key(exec->reply);
        return false;
    }
    return true;
}

/* FULL [COUNT n] from argv[3] on; false: answered. */
static bool full_arguments(struct exec *exec, bool *full, uint64_t *limit)
{
    int64_t count = FULL_COUNT_DEFAULT;
    *full = exec->argc > 3;
    if (*full && (!exec_is(exec, 3, "full") || exec->argc == 5 || exec->argc > 6 ||
                  (exec->argc == 6 && !exec_is(exec, 4, "count")))) {
        stream_reply_subcommand_syntax(exec, "XINFO");
        return false;
    }
    if (exec->argc == 6 && !exec_integer(exec, 5, &count)) {
        return false;
    }
    *limit = count < 0 ? FULL_COUNT_DEFAULT : (uint64_t)count;
    return true;
}

static void run_xinfo_stream(struct exec *exec)
{
    struct key key;
    struct stream stream;
    bool full;
    uint64_t limit;
    if (open_present(exec, &key, &stream) && full_arguments(exec, &full, &limit)) {
        if (full) {
            reply_full(exec, &stream, limit);
        } else {
            reply_short(exec, &stream);
        }
    }
    key_close(&key);
}

/* ---- XINFO GROUPS and CONSUMERS ---- */

static bool group_visit(void *arg, const struct stream_group *group)
{
    struct full *full = arg;
    struct reply *reply = full->exec->reply;
    reply_map(reply, 6);
    reply_bulk_text(reply, "name");
    reply_bulk(reply, group->name);
    reply_bulk_text(reply, "consumers");
    reply_integer(reply, (int64_t)group->consumers);
    reply_bulk_text(reply, "pending");
    reply_integer(reply, (int64_t)group->pending);
    reply_bulk_text(reply, "last-delivered-id");
    stream_reply_id(reply, group->last);
    reply_lag(reply, full->stream, group);
    full->count++;
    return !reply->out.failed;
}

static void run_xinfo_groups(struct exec *exec)
{
    struct key key;
    struct stream stream;
    if (open_present(exec, &key, &stream)) {
        struct full full = {.exec = exec, .stream = &stream};
        size_t mark = reply_later(exec->reply);
        stream_group_each(exec->store, &stream, group_visit, &full);
        reply_array_end(exec->reply, mark, full.count);
    }
    key_close(&key);
}

static bool consumer_visit(void *arg, const struct stream_consumer *consumer)
{
    struct full *full = arg;
    struct reply *reply = full->exec->reply;
    int64_t idle = (int64_t)(full->exec->store->now_ms - consumer->seen_ms);
    reply_map(reply, 3);
    reply_bulk_text(reply, "name");
    reply_bulk(reply, consumer->name);
    reply_bulk_text(reply, "pending");
    reply_integer(reply, (int64_t)consumer->pending);
    reply_bulk_text(reply, "idle");
    reply_integer(reply, idle < 0 ? 0 : idle);
    return !reply->out.failed;
}

static void reply_consumers(struct exec *exec, const struct stream *stream)
{
    struct stream_group group;
    rr_bytes name = exec->argv[3];
    if (!stream_group_get(exec->store, stream, name, &group)) {
        reply_error(exec->reply, "NOGROUP No such consumer group '%.*s' for key name '%.*s'",
                    (int)name.size, (const char *)name.data, (int)stream->key->name.size,
                    (const char *)stream->key->name.data);
        return;
    }
    struct full full = {.exec = exec, .stream = stream};
    reply_array(exec->reply, group.consumers);
    stream_consumer_each(exec->store, stream, &group, consumer_visit, &full);
}

static void run_xinfo_consumers(struct exec *exec)
{
    struct key key;
    struct stream stream;
    if (open_present(exec, &key, &stream)) {
        reply_consumers(exec, &stream);
    }
    key_close(&key);
}

static void run_xinfo_help(struct exec *exec)
{
    static const char *const lines[] = {
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    Show consumers of <groupname>.",
        "GROUPS <key>",
        "    Show the stream consumer groups.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Show information about the stream.",
        "HELP",
        "    Prints this help.",
    };
    reply_lines(exec->reply, lines, sizeof lines / sizeof *lines);
}

/* ---- Rows ---- */

#define READ .flags = COMMAND_READONLY, .group = "stream"
#define KEY .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 2, 0, 1)}

/* clang-format off */
const struct command stream_xinfo_subcommands[] = {
    {.name = "consumers", .arity = 4, READ, .since = "5.0.0",
     .summary = "Tells about the consumers of a group.",
     .complexity = "O(N) for N consumers", .run = run_xinfo_consumers, KEY},
    {.name = "groups", .arity = 3, READ, .since = "5.0.0",
     .summary = "Tells about the groups of a stream.",
     .complexity = "O(N) for N groups", .run = run_xinfo_groups, KEY},
    {.name = "help", .arity = 2, .flags = COMMAND_LOADING | COMMAND_STALE, .group = "stream",
     .since = "5.0.0", .summary = "Tells about the subcommands.",
     .complexity = "O(1)", .run = run_xinfo_help},
    {.name = "stream", .arity = -3, READ, .since = "5.0.0",
     .summary = "Tells about a stream.",
     .complexity = "O(N) for N entries shown", .run = run_xinfo_stream, KEY,
     .note = "radix-tree-keys and radix-tree-nodes are estimates: there is no such tree"},
    {.name = NULL},
};
/* clang-format on */
