/* What procedures and queries do to the store: reads and writes of user keys. */
#include "node/view.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "command/command_limits.h"
#include "node/apply_keys.h"

/* What a query may read on the node's thread, where everything else waits for it: about a
 * millisecond's worth. */
enum { INLINE_PAIRS_MAX = 1000, INLINE_BYTES_MAX = 256 * 1024 };

void view_init(struct rr_view *view, struct state_batch *batch, raft_index index, uint64_t time_ms,
               uint64_t seed, struct storage_error *error)
{
    *view = (struct rr_view){.batch = batch, .index = index, .time_ms = time_ms, .error = error};
    view->begin = state_batch_savepoint(batch);
    random_init(&view->random, seed);
    buffer_init(&view->key);
    buffer_init(&view->value);
}

void view_init_query(struct rr_view *view, struct state_batch *batch, raft_index index,
                     uint64_t time_ms, uint64_t seed, struct storage_error *error)
{
    view_init(view, batch, index, time_ms, seed, error);
    view->read_only = true;
    view->pairs_left = INLINE_PAIRS_MAX;
    view->bytes_left = INLINE_BYTES_MAX;
}

void view_init_snapshot(struct rr_view *view, struct state_view *snapshot, raft_index index,
                        uint64_t time_ms, uint64_t seed, const atomic_int *cancelled,
                        struct storage_error *error)
{
    *view = (struct rr_view){.snapshot = snapshot,
                             .index = index,
                             .time_ms = time_ms,
                             .read_only = true,
                             .pairs_left = UINT64_MAX,
                             .bytes_left = UINT64_MAX,
                             .cancelled = cancelled,
                             .error = error};
    random_init(&view->random, seed);
    buffer_init(&view->key);
    buffer_init(&view->value);
}

void view_deinit(struct rr_view *view)
{
    if (view != NULL) {
        buffer_deinit(&view->key);
        buffer_deinit(&view->value);
    }
}

rr_status view_user_key(struct buffer *out, rr_bytes key)
{
    buffer_clear(out);
    buffer_append_byte(out, APPLY_KEY_USER);
    buffer_append(out, key.data, key.size);
    return out->failed ? RR_NO_MEMORY : RR_OK;
}

static bool bytes_valid(rr_bytes bytes)
{
    return bytes.data != NULL || bytes.size == 0;
}

/* What this replica could not do others may have done: the node must halt. */
static rr_status fail(struct rr_view *view, rr_status status)
{
    if (view->failure == RR_OK) {
        view->failure = status;
    }
    return status;
}

/* RR_OK, or why a query reads no more. */
static rr_status check_read(rr_view *view)
{
    if (!view->read_only || view->refused != RR_OK) {
        return view->refused;
    }
    if (view->cancelled != NULL) {
        view->refused = (rr_status)atomic_load(view->cancelled);
    } else if (view->pairs_left == 0 || view->bytes_left == 0) {
        view->refused = RR_BUSY;
    }
    return view->refused;
}

static void count_read(rr_view *view, size_t size)
{
    if (view->read_only) {
        view->pairs_left--;
        view->bytes_left -= size < view->bytes_left ? size : view->bytes_left;
    }
}

static rr_status read_key(rr_view *view, rr_bytes key)
{
    if (view->batch == NULL) {
        return state_view_get(view->snapshot, key, &view->value, view->error);
    }
    return state_batch_get(view->batch, key, &view->value, view->error);
}

rr_status rr_view_get(rr_view *view, rr_bytes key, rr_bytes *value)
{
    *value = (rr_bytes){0};
    if (!bytes_valid(key)) {
        return RR_INVALID;
    }
    rr_status status = check_read(view);
    if (status != RR_OK) {
        return status;
    }
    status = view_user_key(&view->key, key);
    if (status == RR_OK) {
        status = read_key(view, buffer_bytes(&view->key));
        count_read(view, key.size + (status == RR_OK ? view->value.size : 0));
    }
    if (status == RR_OK) {
        *value = buffer_bytes(&view->value);
        return RR_OK;
    }
    return status == RR_NOT_FOUND ? status : fail(view, status);
}

/* RR_OK when the procedure may write this now. The limits are the same on all replicas. */
static rr_status check_write(const struct rr_view *view, rr_bytes key, rr_bytes value)
{
    if (view->scanning || view->read_only || !bytes_valid(key) || !bytes_valid(value)) {
        return RR_INVALID;
    }
    return key.size > KEY_BYTES_MAX || value.size > VALUE_BYTES_MAX ? RR_TOO_BIG : RR_OK;
}

rr_status rr_view_put(rr_view *view, rr_bytes key, rr_bytes value)
{
    rr_status status = check_write(view, key, value);
    if (status != RR_OK) {
        return status;
    }
    status = view_user_key(&view->key, key);
    if (status == RR_OK) {
        status = state_batch_put(view->batch, buffer_bytes(&view->key), value);
    }
    return status == RR_OK ? RR_OK : fail(view, status);
}

rr_status rr_view_delete(rr_view *view, rr_bytes key)
{
    rr_status status = check_write(view, key, (rr_bytes){0});
    if (status != RR_OK) {
        return status;
    }
    status = view_user_key(&view->key, key);
    if (status == RR_OK) {
        status = state_batch_delete(view->batch, buffer_bytes(&view->key));
    }
    return status == RR_OK ? RR_OK : fail(view, status);
}

/* ---- Ranges ---- */

struct visit {
    rr_view *view;
    rr_visit_fn visit;
    void *arg;
};

static bool visit_user_pair(void *arg, rr_bytes key, rr_bytes value)
{
    const struct visit *visit = arg;
    ASSERT(key.size >= 1);
    if (check_read(visit->view) != RR_OK) {
        return false;
    }
    count_read(visit->view, key.size + value.size);
    rr_bytes user_key = {(const uint8_t *)key.data + 1, key.size - 1};
    return visit->visit(visit->arg, user_key, value);
}

static rr_status visit_span(rr_view *view, const struct state_span *span, struct visit *visit)
{
    if (view->batch == NULL) {
        return state_view_span(view->snapshot, span, visit_user_pair, visit, view->error);
    }
    return state_batch_span(view->batch, span, visit_user_pair, visit, view->error);
}

static rr_status visit_range(rr_view *view, const rr_range *range, rr_visit_fn visit_fn, void *arg)
{
    static const uint8_t kind = APPLY_KEY_USER;
    rr_status status = check_read(view);
    if (status != RR_OK) {
        return status;
    }
    struct state_span span = {
        .prefix = {&kind, 1}, .from = range->from, .to = range->to, .reverse = range->reverse};
    struct visit visit = {.view = view, .visit = visit_fn, .arg = arg};
    bool nested = view->scanning;
    view->scanning = true;
    status = visit_span(view, &span, &visit);
    view->scanning = nested;
    return status == RR_OK ? view->refused : fail(view, status);
}

rr_status rr_view_range(rr_view *view, const rr_range *range, rr_visit_fn visit, void *arg)
{
    if (range == NULL || !bytes_valid(range->from) || !bytes_valid(range->to) || visit == NULL) {
        return RR_INVALID;
    }
    return visit_range(view, range, visit, arg);
}

/* The first key after `after`: the same with a zero byte; nothing for nothing. */
static void append_successor(struct buffer *out, rr_bytes after)
{
    buffer_append(out, after.data, after.size);
    if (after.size > 0) {
        buffer_append_byte(out, 0);
    }
}

rr_status rr_view_scan(rr_view *view, rr_bytes prefix, rr_bytes after, rr_visit_fn visit, void *arg)
{
    if (!bytes_valid(prefix) || !bytes_valid(after) || visit == NULL) {
        return RR_INVALID;
    }
    /* Not the view's own buffers: the visitor may read. */
    struct buffer start;
    struct buffer end;
    buffer_init(&start);
    buffer_init(&end);
    append_successor(&start, after);
    bytes_prefix_end(&end, prefix);
    rr_status status = RR_NO_MEMORY;
    if (start.failed || end.failed) {
        (void)fail(view, status);
    } else {
        bool after_is_first = bytes_compare(buffer_bytes(&start), prefix) >= 0;
        rr_range range = {.from = after_is_first ? buffer_bytes(&start) : prefix,
                          .to = buffer_bytes(&end)};
        status = visit_range(view, &range, visit, arg);
    }
    buffer_deinit(&start);
    buffer_deinit(&end);
    return status;
}

/* ---- Undoing ---- */

/* Counted from the procedure's begin: how entries share batches must not show, not even to one who
 * makes savepoints up. */
rr_savepoint rr_view_savepoint(rr_view *view)
{
    return view->batch == NULL ? 0 : state_batch_savepoint(view->batch) - view->begin;
}

void rr_view_rollback(rr_view *view, rr_savepoint savepoint)
{
    if (!view->scanning && savepoint < rr_view_savepoint(view)) {
        state_batch_rollback(view->batch, view->begin + (state_savepoint)savepoint);
    }
}

/* ---- The entry ---- */

uint64_t rr_view_time_ms(const rr_view *view)
{
    return view->time_ms;
}

uint64_t rr_view_random(rr_view *view)
{
    return random_u64(&view->random);
}

uint64_t rr_view_index(const rr_view *view)
{
    return view->index;
}

rr_status rr_output_append(rr_output *output, rr_bytes bytes)
{
    if (!bytes_valid(bytes)) {
        return RR_INVALID;
    }
    if (bytes.size > output->size_max - output->bytes.size) {
        return RR_TOO_BIG;
    }
    buffer_append(&output->bytes, bytes.data, bytes.size);
    if (output->bytes.failed) {
        return output->failure = RR_NO_MEMORY;
    }
    output->used = true;
    return RR_OK;
}
