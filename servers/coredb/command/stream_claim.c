/* XCLAIM and XAUTOCLAIM: pending entries change hands. */
#include "coredb/base/bytes.h"
#include "coredb/command/stream.h"

/* Who claims; the consumer is made when the first entry is claimed. */
struct claim {
    struct exec *exec;
    const struct stream *stream;
    struct stream_group group;
    rr_bytes name;
    struct stream_consumer consumer;
    bool has_consumer;
    bool changed; /* the group is to be saved */
    int64_t idle_min_ms;
    bool only_ids; /* JUSTID */
    size_t count;  /* of entries answered */
};

static void claim_consumer(struct claim *claim)
{
    struct store *store = claim->exec->store;
    if (claim->has_consumer) {
        return;
    }
    if (!stream_consumer_get(store, claim->stream, &claim->group, claim->name, &claim->consumer)) {
        stream_consumer_create(store, claim->stream, &claim->group, claim->name, &claim->consumer);
        key_notify(store, claim->stream->key, NOTIFY_STREAM, "xgroup-createconsumer");
    }
    claim->consumer.seen_ms = store->now_ms;
    claim->has_consumer = true;
}

static bool claim_is_idle(const struct claim *claim, const struct stream_pending *pending)
{
    int64_t idle = (int64_t)(claim->exec->store->now_ms - pending->delivered_ms);
    return claim->idle_min_ms == 0 || idle >= claim->idle_min_ms;
}

/* Deletes a pending entry that the stream no longer has. */
static void claim_forget(struct claim *claim, struct stream_id id)
{
    if (stream_pending_delete(claim->exec->store, claim->stream, &claim->group,
                              claim->has_consumer ? &claim->consumer : NULL, id)) {
        claim->changed = true;
    }
}

static void claim_entry(struct claim *claim, struct stream_id id, uint64_t delivered_ms,
                        uint64_t deliveries)
{
    struct store *store = claim->exec->store;
    rr_bytes entry;
    claim_consumer(claim);
    stream_pending_give(store, claim->stream, &claim->group, &claim->consumer, id, delivered_ms,
                        deliveries);
    claim->changed = true;
    claim->count++;
    if (claim->only_ids) {
        stream_reply_id(claim->exec->reply, id);
    } else if (stream_get(store, claim->stream, id, &entry)) {
        stream_reply_entry(claim->exec->reply, id, entry);
    }
}

static void claim_save(struct claim *claim)
{
    if (claim->has_consumer) {
        stream_consumer_save(claim->exec->store, claim->stream, &claim->group, &claim->consumer);
    }
    if (claim->changed || claim->has_consumer) {
        stream_group_save(claim->exec->store, claim->stream, &claim->group);
    }
}

/* Opens argv[1] and the group argv[2]. False: answered; in both cases the caller closes the key. */
static bool claim_open(struct claim *claim, struct exec *exec, struct key *key,
                       struct stream *stream)
{
    claim->exec = exec;
    claim->stream = stream;
    claim->name = exec->argv[3];
    if (!stream_open(exec, 1, key, stream)) {
        return false;
    }
    if (!stream_group_get(exec->store, stream, exec->argv[2], &claim->group)) {
        stream_reply_no_group(exec, exec->argv[1], exec->argv[2]);
        return false;
    }
    return true;
}

/* argv[4]; false: answered. */
static bool idle_argument(struct exec *exec, const char *text, struct claim *claim)
{
    if (!exec_integer_in(exec, 4, INT64_MIN, INT64_MAX, text, &claim->idle_min_ms)) {
        return false;
    }
    claim->idle_min_ms = claim->idle_min_ms < 0 ? 0 : claim->idle_min_ms;
    return true;
}

/* ---- XCLAIM ---- */

struct claim_options {
    bool force;
    int64_t retry_count;  /* negative: counted on */
    int64_t delivered_ms; /* negative or in the future: now */
    struct stream_id last;
};

/* A word with a number at argv[*i]; `*good` is false when it was answered. */
static bool number_option(struct exec *exec, size_t *i, const char *word, const char *error,
                          int64_t *out, bool *good)
{
    if (*i + 1 >= exec->argc || !exec_is(exec, *i, word)) {
        return false;
    }
    *good = exec_integer_in(exec, ++*i, INT64_MIN, INT64_MAX, error, out);
    return true;
}

static bool claim_option(struct exec *exec, size_t *i, struct claim *claim,
                         struct claim_options *out)
{
    bool good = true;
    if (exec_is(exec, *i, "force")) {
        out->force = true;
    } else if (exec_is(exec, *i, "justid")) {
        claim->only_ids = true;
    } else if (number_option(exec, i, "idle", "ERR Invalid IDLE option argument for XCLAIM",
                             &out->delivered_ms, &good)) {
        out->delivered_ms = (int64_t)(exec->store->now_ms - (uint64_t)out->delivered_ms);
    } else if (!number_option(exec, i, "time", "ERR Invalid TIME option argument for XCLAIM",
                              &out->delivered_ms, &good) &&
               !number_option(exec, i, "retrycount",
                              "ERR Invalid RETRYCOUNT option argument for XCLAIM",
                              &out->retry_count, &good)) {
        if (*i + 1 < exec->argc && exec_is(exec, *i, "lastid")) {
            return stream_id_argument(exec, ++*i, &out->last);
        }
        reply_error(exec->reply, "ERR Unrecognized XCLAIM option '%.*s'", (int)exec->argv[*i].size,
                    (const char *)exec->argv[*i].data);
        return false;
    }
    return good;
}

/* Reads the options after the ids; `*ids_end` is where those end. */
static bool claim_options(struct exec *exec, struct claim *claim, size_t *ids_end,
                          struct claim_options *out)
{
    struct stream_id id;
    size_t i = 5;
    *out = (struct claim_options){.retry_count = -1, .delivered_ms = -1};
    while (i < exec->argc && stream_id_parse(exec->argv[i], 0, NULL, &id)) {
        i++;
    }
    *ids_end = i;
    for (; i < exec->argc; i++) {
        if (!claim_option(exec, &i, claim, out)) {
            return false;
        }
    }
    return true;
}

static void claim_one(struct claim *claim, const struct claim_options *options, struct stream_id id)
{
    struct store *store = claim->exec->store;
    struct stream_pending pending;
    if (!stream_get(store, claim->stream, id, NULL)) {
        claim_forget(claim, id);
        return;
    }
    bool has = stream_pending_get(store, claim->stream, &claim->group, id, &pending);
    if (has ? !claim_is_idle(claim, &pending) : !options->force) {
        return;
    }
    uint64_t deliveries = has ? pending.deliveries : 1;
    if (options->retry_count >= 0) {
        deliveries = (uint64_t)options->retry_count;
    } else if (!claim->only_ids) {
        deliveries++;
    }
    bool now = options->delivered_ms < 0 || (uint64_t)options->delivered_ms > store->now_ms;
    claim_entry(claim, id, now ? store->now_ms : (uint64_t)options->delivered_ms, deliveries);
}

static void claim_all(struct claim *claim)
{
    struct exec *exec = claim->exec;
    struct claim_options options;
    size_t ids_end;
    if (!idle_argument(exec, "ERR Invalid min-idle-time argument for XCLAIM", claim) ||
        !claim_options(exec, claim, &ids_end, &options)) {
        return;
    }
    if (stream_id_compare(options.last, claim->group.last) > 0) {
        claim->group.last = options.last;
        claim->changed = true;
    }
    size_t mark = reply_later(exec->reply);
    for (size_t i = 5; i < ids_end; i++) {
        struct stream_id id;
        if (stream_id_parse(exec->argv[i], 0, NULL, &id)) {
            claim_one(claim, &options, id);
        }
    }
    reply_array_end(exec->reply, mark, claim->count);
    claim_save(claim);
}

void stream_run_xclaim(struct exec *exec)
{
    struct key key;
    struct stream stream;
    struct claim claim = {0};
    if (claim_open(&claim, exec, &key, &stream)) {
        claim_all(&claim);
    }
    key_close(&key);
}

/* ---- XAUTOCLAIM ---- */

enum {
    AUTOCLAIM_COUNT_DEFAULT = 100,
    AUTOCLAIM_ATTEMPTS = 10, /* entries looked at for each that may be claimed */
};

static const int64_t AUTOCLAIM_COUNT_MAX = INT64_MAX / 16; /* as Redis, which allocates ids */

struct autoclaim {
    struct claim *claim;
    struct stream_id from;
    int64_t left;       /* entries that may still be claimed or forgotten */
    uint64_t attempts;  /* entries that may still be looked at */
    struct buffer work; /* per entry: whether it exists (1 byte), id (16), deliveries (8) */
    struct stream_id next;
};

static bool autoclaim_visit(void *arg, const struct stream_pending *pending)
{
    struct autoclaim *autoclaim = arg;
    struct claim *claim = autoclaim->claim;
    struct stream_id id = pending->id;
    uint64_t deliveries = pending->deliveries;
    if (autoclaim->left == 0 || autoclaim->attempts == 0 || autoclaim->work.failed) {
        autoclaim->next = id;
        return false;
    }
    autoclaim->attempts--;
    bool idle = claim_is_idle(claim, pending);
    bool exists = stream_get(claim->exec->store, claim->stream, id, NULL);
    if (!exists || idle) {
        buffer_append_byte(&autoclaim->work, exists ? 1 : 0);
        stream_id_put(&autoclaim->work, id);
        buffer_put_u64(&autoclaim->work, deliveries);
        autoclaim->left--;
    }
    return true;
}

static void autoclaim_reply(struct autoclaim *autoclaim)
{
    struct claim *claim = autoclaim->claim;
    struct exec *exec = claim->exec;
    struct buffer forgotten;
    buffer_init(&forgotten);
    reply_array(exec->reply, 3);
    stream_reply_id(exec->reply, autoclaim->next);
    size_t mark = reply_later(exec->reply);
    struct reader work = reader_of(buffer_bytes(&autoclaim->work));
    while (work.left > 0) {
        bool exists = reader_u8(&work) != 0;
        struct stream_id id = stream_id_read(&work);
        uint64_t deliveries = reader_u64(&work);
        if (exists) {
            claim_entry(claim, id, exec->store->now_ms, deliveries + (claim->only_ids ? 0 : 1));
        } else {
            claim_forget(claim, id);
            stream_id_put(&forgotten, id);
        }
    }
    reply_array_end(exec->reply, mark, claim->count);
    struct reader ids = reader_of(buffer_bytes(&forgotten));
    reply_array(exec->reply, ids.left / sizeof(struct stream_id));
    while (ids.left > 0) {
        stream_reply_id(exec->reply, stream_id_read(&ids));
    }
    if (autoclaim->work.failed || forgotten.failed) {
        store_fail(exec->store, RR_NO_MEMORY);
    }
    buffer_deinit(&forgotten);
}

static bool autoclaim_arguments(struct exec *exec, struct autoclaim *out)
{
    out->left = AUTOCLAIM_COUNT_DEFAULT;
    if (!idle_argument(exec, "ERR Invalid min-idle-time argument for XAUTOCLAIM", out->claim) ||
        !stream_start_argument(exec, 5, &out->from)) {
        return false;
    }
    for (size_t i = 6; i < exec->argc; i++) {
        if (i + 1 < exec->argc && exec_is(exec, i, "count")) {
            if (!exec_integer_in(exec, ++i, 1, AUTOCLAIM_COUNT_MAX, "ERR COUNT must be > 0",
                                 &out->left)) {
                return false;
            }
        } else if (exec_is(exec, i, "justid")) {
            out->claim->only_ids = true;
        } else {
            reply_error_syntax(exec->reply);
            return false;
        }
    }
    out->attempts = (uint64_t)out->left * AUTOCLAIM_ATTEMPTS;
    return true;
}

void stream_run_xautoclaim(struct exec *exec)
{
    struct key key;
    struct stream stream;
    struct claim claim = {0};
    struct autoclaim autoclaim = {.claim = &claim};
    if (!autoclaim_arguments(exec, &autoclaim)) {
        return;
    }
    buffer_init(&autoclaim.work);
    if (claim_open(&claim, exec, &key, &stream)) {
        stream_pending_range(exec->store, &stream, &claim.group, 0, autoclaim.from, STREAM_ID_MAX,
                             false, autoclaim_visit, &autoclaim);
        autoclaim_reply(&autoclaim);
        claim_save(&claim);
    }
    key_close(&key);
    buffer_deinit(&autoclaim.work);
}
