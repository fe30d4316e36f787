/* XREAD and XREADGROUP, and what those get who waited. */
#include "coredb/base/bytes.h"
#include "coredb/command/blocking.h"
#include "coredb/command/stream.h"

#include <stdlib.h>

struct read_request {
    bool grouped; /* XREADGROUP */
    bool group_given;
    rr_bytes group;
    rr_bytes consumer;
    bool no_ack;
    bool blocks;
    uint64_t timeout_ms;
    uint64_t count; /* 0: no limit */
    size_t keys_at;
    size_t stream_count;
    struct stream_id *ids; /* entries after these; of a group STREAM_ID_MAX means new ones */
};

/* ---- Arguments ---- */

/* The answer to an option of XREADGROUP in XREAD. */
static bool only_grouped(struct exec *exec, const struct read_request *request, const char *option)
{
    if (!request->grouped) {
        reply_error(exec->reply,
                    "ERR The %s option is only supported by XREADGROUP. You called XREAD instead.",
                    option);
    }
    return request->grouped;
}

static bool parse_streams(struct exec *exec, size_t keys_at, struct read_request *out)
{
    size_t rest = exec->argc - keys_at;
    if (rest % 2 != 0) {
        reply_error(exec->reply, "ERR Unbalanced XREAD list of streams: for each stream key an ID "
                                 "or '$' must be specified.");
        return false;
    }
    out->keys_at = keys_at;
    out->stream_count = rest / 2;
    return true;
}

/* The option at argv[*i]; `*i` becomes its last argument. */
static bool parse_option(struct exec *exec, size_t *i, struct read_request *out)
{
    size_t more = exec->argc - *i - 1;
    if (more >= 1 && exec_is(exec, *i, "block")) {
        if (exec->in_script) {
            rr_bytes name = exec->argv[0];
            reply_error(exec->reply,
                        "ERR %.*s command is not allowed with BLOCK option from scripts",
                        (int)name.size, (const char *)name.data);
            return false;
        }
        out->blocks = true;
        return blocking_timeout(exec, ++*i, /*in_seconds=*/false, &out->timeout_ms);
    }
    if (more >= 1 && exec_is(exec, *i, "count")) {
        int64_t count;
        if (!exec_integer(exec, ++*i, &count)) {
            return false;
        }
        out->count = count < 0 ? 0 : (uint64_t)count;
        return true;
    }
    if (more >= 1 && exec_is(exec, *i, "streams")) {
        return parse_streams(exec, *i + 1, out);
    }
    if (more >= 2 && exec_is(exec, *i, "group")) {
        out->group_given = true;
        out->group = exec->argv[*i + 1];
        out->consumer = exec->argv[*i + 2];
        *i += 2;
        return only_grouped(exec, out, "GROUP");
    }
    if (exec_is(exec, *i, "noack")) {
        out->no_ack = true;
        return only_grouped(exec, out, "NOACK");
    }
    reply_error_syntax(exec->reply);
    return false;
}

static bool parse_options(struct exec *exec, struct read_request *out)
{
    for (size_t i = 1; i < exec->argc && out->keys_at == 0; i++) {
        if (!parse_option(exec, &i, out)) {
            return false;
        }
    }
    if (out->keys_at == 0) {
        reply_error_syntax(exec->reply);
        return false;
    }
    if (out->grouped && !out->group_given) {
        reply_error(exec->reply, "ERR Missing GROUP option for XREADGROUP");
        return false;
    }
    return true;
}

static bool parse_id(struct exec *exec, const struct read_request *request,
                     const struct stream *stream, rr_bytes text, struct stream_id *out)
{
    if (bytes_equal(text, bytes_of("$"))) {
        if (request->grouped) {
            reply_error(exec->reply,
                        "ERR The $ ID is meaningless in the context of XREADGROUP: you want to "
                        "read the history of this consumer by specifying a proper ID, or use the > "
                        "ID to get new messages. The $ ID would just return an empty result set.");
            return false;
        }
        *out = stream->last;
        return true;
    }
    if (bytes_equal(text, bytes_of(">"))) {
        if (!request->grouped) {
            reply_error(exec->reply, "ERR The > ID can be specified only when calling XREADGROUP "
                                     "using the GROUP <group> <consumer> option.");
            return false;
        }
        *out = STREAM_ID_MAX;
        return true;
    }
    if (!stream_id_parse(text, 0, NULL, out)) {
        stream_reply_bad_id(exec->reply);
        return false;
    }
    return true;
}

/* Checks a stream and its group and reads its id. */
static bool check_stream(struct exec *exec, const struct read_request *request, size_t i)
{
    struct key key;
    struct stream stream;
    struct stream_group group;
    bool good = stream_open(exec, request->keys_at + i, &key, &stream);
    if (good && request->grouped &&
        !stream_group_get(exec->store, &stream, request->group, &group)) {
        reply_error(exec->reply,
                    "NOGROUP No such key '%.*s' or consumer group '%.*s' in XREADGROUP with GROUP "
                    "option",
                    (int)key.name.size, (const char *)key.name.data, (int)request->group.size,
                    (const char *)request->group.data);
        good = false;
    }
    rr_bytes text = exec->argv[request->keys_at + request->stream_count + i];
    good = good && parse_id(exec, request, &stream, text, &request->ids[i]);
    key_close(&key);
    return good;
}

static bool parse_request(struct exec *exec, struct read_request *out)
{
    if (!parse_options(exec, out)) {
        return false;
    }
    out->ids = calloc(out->stream_count, sizeof *out->ids);
    if (out->ids == NULL) {
        store_fail(exec->store, RR_NO_MEMORY);
        return false;
    }
    for (size_t i = 0; i < out->stream_count; i++) {
        if (!check_stream(exec, out, i)) {
            return false;
        }
    }
    return true;
}

/* ---- Reading for a consumer ---- */

/* A delivery: entries go to the reply at once, to the pending ones after the visit. */
struct delivery {
    struct store *store;
    const struct stream *stream;
    struct stream_group *group;
    struct stream_consumer consumer;
    struct reply *reply;
    uint64_t limit;
    size_t count;
    struct buffer pending; /* per entry: id (16 bytes), deliveries (8) */
};

static void delivery_note(struct delivery *delivery, struct stream_id id, uint64_t deliveries)
{
    stream_id_put(&delivery->pending, id);
    buffer_put_u64(&delivery->pending, deliveries);
}

static bool delivery_next(struct delivery *delivery)
{
    delivery->count++;
    return delivery->count != delivery->limit && !delivery->reply->out.failed &&
           !delivery->pending.failed;
}

static bool deliver_visit(void *arg, struct stream_id id, rr_bytes entry)
{
    struct delivery *delivery = arg;
    stream_group_deliver(delivery->stream, delivery->group, id);
    stream_reply_entry(delivery->reply, id, entry);
    delivery_note(delivery, id, 1);
    return delivery_next(delivery);
}

static bool history_visit(void *arg, const struct stream_pending *pending)
{
    struct delivery *delivery = arg;
    struct stream_id id = pending->id;
    uint64_t deliveries = pending->deliveries + 1;
    rr_bytes entry;
    if (stream_get(delivery->store, delivery->stream, id, &entry)) {
        stream_reply_entry(delivery->reply, id, entry);
        delivery_note(delivery, id, deliveries);
    } else {
        reply_array(delivery->reply, 2);
        stream_reply_id(delivery->reply, id);
        reply_null_array(delivery->reply);
    }
    return delivery_next(delivery);
}

static void delivery_store(struct delivery *delivery)
{
    if (delivery->pending.failed) {
        store_fail(delivery->store, RR_NO_MEMORY);
        return;
    }
    struct reader reader = reader_of(buffer_bytes(&delivery->pending));
    while (reader.left > 0) {
        struct stream_id id = stream_id_read(&reader);
        uint64_t deliveries = reader_u64(&reader);
        stream_pending_give(delivery->store, delivery->stream, delivery->group, &delivery->consumer,
                            id, delivery->store->now_ms, deliveries);
    }
}

/* Writes the array of entries after `after` for the consumer, which is made if need be: new ones,
 * or what is pending for it when `history`. */
static void read_for_consumer(struct store *store, const struct stream *stream,
                              struct stream_group *group, const struct read_request *request,
                              struct stream_id after, bool history, struct reply *reply)
{
    struct delivery delivery = {
        .store = store, .stream = stream, .group = group, .reply = reply, .limit = request->count};
    buffer_init(&delivery.pending);
    if (!stream_consumer_get(store, stream, group, request->consumer, &delivery.consumer)) {
        stream_consumer_create(store, stream, group, request->consumer, &delivery.consumer);
        key_notify(store, stream->key, NOTIFY_STREAM, "xgroup-createconsumer");
    }
    delivery.consumer.seen_ms = store->now_ms;
    size_t mark = reply_later(reply);
    if (!stream_id_next(&after)) {
        /* nothing lies beyond */
    } else if (history) {
        stream_pending_range(store, stream, group, delivery.consumer.number, after, STREAM_ID_MAX,
                             false, history_visit, &delivery);
    } else {
        stream_range(store, stream, after, STREAM_ID_MAX, false, deliver_visit, &delivery);
    }
    reply_array_end(reply, mark, delivery.count);
    if (history || !request->no_ack) {
        delivery_store(&delivery);
    }
    stream_consumer_save(store, stream, group, &delivery.consumer);
    stream_group_save(store, stream, group);
    buffer_deinit(&delivery.pending);
}

/* ---- The commands ---- */

/* Begins the answer of one stream among several: in RESP2 a pair of its own. */
static void begin_stream(struct reply *reply, rr_bytes name)
{
    if (reply->protocol == 2) {
        reply_array(reply, 2);
    }
    reply_bulk(reply, name);
}

/* Answers the entries of one stream, if there are any for it: true. */
static bool read_stream(struct store *store, struct key *key, const struct read_request *request,
                        struct stream_id id, struct reply *reply)
{
    struct stream stream;
    struct stream_group group;
    stream_load(&stream, key);
    if (key->type != VALUE_STREAM) {
        return false;
    }
    if (!request->grouped) {
        if (!stream_has_beyond(store, &stream, id) || !stream_id_next(&id)) {
            return false;
        }
        begin_stream(reply, key->name);
        stream_reply_range(store, reply, &stream, id, STREAM_ID_MAX, false, request->count);
        return true;
    }
    if (!stream_group_get(store, &stream, request->group, &group)) {
        return false;
    }
    bool history = stream_id_compare(id, STREAM_ID_MAX) != 0;
    if (!history && !stream_has_beyond(store, &stream, group.last)) {
        return false;
    }
    begin_stream(reply, key->name);
    read_for_consumer(store, &stream, &group, request, history ? id : group.last, history, reply);
    return true;
}

static void wait_for_streams(struct exec *exec, const struct read_request *request)
{
    struct buffer parameters;
    buffer_init(&parameters);
    buffer_put_u64(&parameters, request->count);
    if (request->grouped) {
        buffer_append_byte(&parameters, request->no_ack ? 1 : 0);
        buffer_put_slice(&parameters, request->group);
        buffer_put_slice(&parameters, request->consumer);
    } else {
        for (size_t i = 0; i < request->stream_count; i++) {
            stream_id_put(&parameters, request->ids[i]);
        }
    }
    if (parameters.failed) {
        store_fail(exec->store, RR_NO_MEMORY);
    }
    blocking_wait(exec,
                  &(struct blocking_wait){
                      .operation = request->grouped ? WAITER_STREAM_READ_GROUP : WAITER_STREAM_READ,
                      .parameters = buffer_bytes(&parameters),
                      .keys = &exec->argv[request->keys_at],
                      .key_count = request->stream_count,
                      .timeout_ms = request->timeout_ms,
                  });
    buffer_deinit(&parameters);
}

static void read_streams(struct exec *exec, const struct read_request *request)
{
    struct reply *reply = exec->reply;
    size_t before = reply->out.size;
    size_t mark = reply_later(reply);
    size_t served = 0;
    for (size_t i = 0; i < request->stream_count; i++) {
        struct key key;
        key_open(exec->store, exec->argv[request->keys_at + i], &key);
        served += read_stream(exec->store, &key, request, request->ids[i], reply) ? 1 : 0;
        key_close(&key);
    }
    if (served == 0) {
        reply_truncate(reply, before);
        if (request->blocks) {
            wait_for_streams(exec, request);
        } else {
            reply_null_array(reply);
        }
    } else if (reply->protocol == 2) {
        reply_array_end(reply, mark, served);
    } else {
        reply_map_end(reply, mark, served);
    }
}

static void run_read(struct exec *exec, bool grouped)
{
    struct read_request request = {.grouped = grouped};
    if (parse_request(exec, &request)) {
        read_streams(exec, &request);
    }
    free(request.ids);
}

void stream_run_xread(struct exec *exec)
{
    run_read(exec, false);
}

void stream_run_xreadgroup(struct exec *exec)
{
    run_read(exec, true);
}

/* ---- Serving those who wait ---- */

/* The id that a waiting XREAD named for the key. */
static struct stream_id waited_id(const struct waiter *waiter, struct reader *parameters,
                                  rr_bytes name)
{
    int64_t position = waiter_key(waiter, name);
    struct stream_id id = STREAM_ID_MAX;
    for (int64_t i = 0; i <= position; i++) {
        id = stream_id_read(parameters);
    }
    return parameters->failed ? STREAM_ID_MAX : id;
}

/* What became of the stream that a waiting XREADGROUP reads; false: it has its group. */
static bool serve_loss(struct store *store, struct key *key, rr_bytes group_name,
                       struct reply *reply)
{
    struct stream stream;
    struct stream_group group;
    if (key->type != VALUE_STREAM) {
        reply_error(reply, "UNBLOCKED the stream key no longer exists");
        return true;
    }
    stream_load(&stream, key);
    if (!stream_group_get(store, &stream, group_name, &group)) {
        reply_error(reply,
                    "NOGROUP the consumer group this client was blocked on no longer exists");
        return true;
    }
    return false;
}

bool stream_serve(struct store *store, struct key *key, const struct waiter *waiter,
                  struct reply *reply)
{
    struct reader parameters = reader_of(waiter->parameters);
    struct read_request request = {.grouped = waiter->operation == WAITER_STREAM_READ_GROUP};
    struct stream_id id = STREAM_ID_MAX;
    request.count = reader_u64(&parameters);
    if (request.grouped) {
        request.no_ack = reader_u8(&parameters) != 0;
        request.group = reader_slice(&parameters);
        request.consumer = reader_slice(&parameters);
        if (serve_loss(store, key, request.group, reply)) {
            return true;
        }
    } else {
        id = waited_id(waiter, &parameters, key->name);
    }
    size_t before = reply->out.size;
    if (reply->protocol == 2) {
        reply_array(reply, 1);
    } else {
        reply_map(reply, 1);
    }
    if (!read_stream(store, key, &request, id, reply)) {
        reply_truncate(reply, before);
        return false;
    }
    return true;
}
