/* Reads for users: the state's pairs of the user kind, as an encoded result. */
#include "node/apply.h"

#include "base/assert.h"
#include "command/result.h"
#include "node/view.h"

rr_status apply_get(struct state *state, rr_bytes key, raft_index index, struct buffer *out,
                    struct storage_error *error)
{
    struct buffer user_key;
    struct buffer value;
    buffer_init(&user_key);
    buffer_init(&value);
    buffer_clear(out);
    rr_status status = view_user_key(&user_key, key);
    if (status == RR_OK) {
        status = state_get(state, buffer_bytes(&user_key), &value, error);
    }
    if (status == RR_OK || status == RR_NOT_FOUND) {
        struct result_writer writer;
        result_writer_begin(&writer, out, index, SIZE_MAX);
        if (status == RR_OK) {
            result_writer_value(&writer, buffer_bytes(&value));
        }
        struct result_end end = {.status = status};
        rr_status finished = result_writer_finish(&writer, &end);
        status = finished == RR_OK ? status : finished;
    }
    buffer_deinit(&user_key);
    buffer_deinit(&value);
    return status;
}

struct page {
    struct result_writer writer;
    const struct apply_range *range;
    bool at_empty_key; /* the last pair has the empty key: the page must not end here */
    bool refused;      /* a pair did not fit */
};

static bool visit_pair(void *arg, rr_bytes key, rr_bytes value)
{
    struct page *page = arg;
    ASSERT(key.size >= 1);
    rr_bytes user_key = {(const uint8_t *)key.data + 1, key.size - 1};
    size_t size = result_writer_size(&page->writer) + key.size + value.size + 16;
    bool must_take = page->writer.count == 0 || page->at_empty_key;
    if (!must_take && size > page->range->bytes_max) {
        page->refused = true;
        return false;
    }
    if (!result_writer_pair(&page->writer, user_key, value)) {
        page->refused = true;
        return false;
    }
    page->at_empty_key = user_key.size == 0;
    return page->at_empty_key || page->range->count_max == 0 ||
           page->writer.count < page->range->count_max;
}

static rr_status scan_page(struct state *state, const struct state_range *keys, struct page *page,
                           raft_index index, struct buffer *out, struct storage_error *error)
{
    result_writer_begin(&page->writer, out, index, SIZE_MAX);
    bool more = false;
    rr_status status = state_scan(state, keys, visit_pair, page, &more, error);
    if (status == RR_OK && result_writer_failed(&page->writer)) {
        status = RR_NO_MEMORY;
    }
    if (status != RR_OK) {
        result_writer_abandon(&page->writer);
        return status;
    }
    struct result_end end = {.status = RR_OK, .more = more || page->refused};
    return result_writer_finish(&page->writer, &end);
}

rr_status apply_scan(struct state *state, const struct apply_range *range, raft_index index,
                     struct buffer *out, struct storage_error *error)
{
    struct buffer prefix;
    struct buffer start;
    buffer_init(&prefix);
    buffer_init(&start);
    buffer_clear(out);
    rr_status status = view_user_key(&prefix, range->prefix);
    if (status == RR_OK) {
        status = view_user_key(&start, range->after);
    }
    if (status == RR_OK) {
        struct state_range keys = {.prefix = buffer_bytes(&prefix),
                                   .start = buffer_bytes(&start),
                                   .start_excluded = range->after.size > 0};
        struct page page = {.range = range};
        status = scan_page(state, &keys, &page, index, out, error);
    }
    buffer_deinit(&prefix);
    buffer_deinit(&start);
    return status;
}
