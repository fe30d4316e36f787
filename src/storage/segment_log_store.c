/* The log store in segments: opening, reading, closing, and what is known without reading. */
#include "storage/segment_log_store.h"

#include "base/assert.h"
#include "base/memory.h"
#include "storage/segment_log_private.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum {
    SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024,
};

/* --- Reading --- */

rr_status segment_log_read_span(struct segment_log_store *store, const struct segment_span *span,
                                struct buffer *buffer, struct storage_error *error, rr_bytes *out)
{
    if (store->writer != NULL) {
        const uint8_t *found =
            segment_writer_find(store->writer, span->segment, span->offset, span->bytes);
        if (found != NULL) {
            *out = (rr_bytes){found, span->bytes};
            return RR_OK;
        }
    }
    const struct segment *segment = &store->segments[span->segment - store->segments[0].id];
    buffer_clear(buffer);
    uint8_t *at = buffer_extend(buffer, span->bytes);
    if (at == NULL) {
        return storage_fail(error, RR_NO_MEMORY, "no memory for %u bytes of the log", span->bytes);
    }
    rr_status status =
        file_read_at(segment->fd, segment->path, span->offset, at, span->bytes, error);
    *out = buffer_bytes(buffer);
    return status;
}

/* Receives the value of one entry. Not RR_OK ends the walk, RR_OK in `stop` as well. */
struct walk {
    rr_status (*visit)(void *arg, raft_index index, rr_bytes value, struct storage_error *error,
                       bool *stop);
    void *arg;
};

/* Visits the entries of a span from `from` on. */
static rr_status walk_span(struct segment_log_store *store, const struct segment_group *group,
                           const struct segment_span *span, raft_index from,
                           const struct walk *walk, struct buffer *buffer,
                           struct storage_error *error, bool *stop)
{
    rr_bytes bytes;
    rr_status status = segment_log_read_span(store, span, buffer, error, &bytes);
    if (status != RR_OK) {
        return status;
    }
    struct reader reader;
    reader_init(&reader, bytes);
    raft_index end = span->first + span->count;
    for (raft_index index = span->first; status == RR_OK && !*stop && index < end; index++) {
        rr_bytes value;
        raft_term term;
        if (!segment_entry_next(&reader, &value, &term)) {
            return storage_fail(error, RR_CORRUPT,
                                "entry %" PRIu64 " of group %" PRIu64 " is cut short: %s", index,
                                group->id, LOG_DAMAGE_ADVICE);
        }
        if (index >= from) {
            status = walk->visit(walk->arg, index, value, error, stop);
        }
    }
    return status;
}

/* Visits the entries from `from` to the end. */
static rr_status walk_group(struct segment_log_store *store, const struct segment_group *group,
                            raft_index from, const struct walk *walk, struct storage_error *error)
{
    struct buffer buffer;
    buffer_init(&buffer);
    rr_status status = RR_OK;
    bool stop = false;
    for (uint32_t i = segment_group_find(group, from); status == RR_OK && !stop && i < group->count;
         i++) {
        status = walk_span(store, group, segment_group_span(group, i), from, walk, &buffer, error,
                           &stop);
    }
    buffer_deinit(&buffer);
    return status;
}

struct scan {
    raft_group group;
    log_scan_fn scan;
    void *scan_arg;
    raft_term term;
};

static rr_status scan_value(void *arg, raft_index index, rr_bytes value,
                            struct storage_error *error, bool *stop)
{
    struct scan *scan = arg;
    return log_scan_value(scan->group, index, value, scan->scan, scan->scan_arg, error,
                          &scan->term);
}

static void get_bounds(const struct segment_group *group, struct log_bounds *out)
{
    out->base_index = group->record.base_index;
    out->base_term = group->record.base_term;
    out->last_index = group->last_index;
    out->last_term = group->last_term;
}

static rr_status segment_recover(struct log_store *base, raft_group id, log_scan_fn scan,
                                 void *scan_arg, struct storage_error *error,
                                 struct log_recovery *out)
{
    struct segment_log_store *store = segment_log_self(base);
    const struct segment_group *group = map_get(&store->groups, id);
    if (group == NULL) {
        return storage_fail(error, RR_NOT_FOUND, "the log has no group %" PRIu64, id);
    }
    struct scan state = {id, scan, scan_arg, group->record.base_term};
    struct walk walk = {scan_value, &state};
    rr_status status = walk_group(store, group, group->record.base_index + 1, &walk, error);
    if (status != RR_OK) {
        return status;
    }
    out->hard_state = group->record.hard_state;
    get_bounds(group, &out->bounds);
    return RR_OK;
}

static bool segment_bounds(const struct log_store *base, raft_group id, struct log_bounds *out)
{
    const struct segment_group *group = map_get(&segment_log_self_const(base)->groups, id);
    if (group == NULL) {
        return false;
    }
    get_bounds(group, out);
    return true;
}

struct load {
    raft_group group;
    raft_index last;
    size_t bytes_left;
    uint32_t entries_max;
    struct raft_entry **entries;
    uint32_t count;
};

static rr_status load_value(void *arg, raft_index index, rr_bytes value,
                            struct storage_error *error, bool *stop)
{
    struct load *load = arg;
    size_t size = value.size - LOG_ENTRY_HEADER_BYTES; /* segment_entry_next saw to it */
    if (load->count > 0 && size > load->bytes_left) {
        *stop = true;
        return RR_OK;
    }
    rr_status status =
        log_entry_load(load->group, index, value, error, &load->entries[load->count]);
    if (status != RR_OK) {
        return status;
    }
    load->count++;
    load->bytes_left -= size < load->bytes_left ? size : load->bytes_left;
    *stop = index == load->last || load->count == load->entries_max;
    return RR_OK;
}

static rr_status segment_read(struct log_store *base, raft_group id, raft_index first,
                              raft_index last, size_t bytes_max, uint32_t entries_max,
                              struct raft_entry **out, uint32_t *count, struct storage_error *error)
{
    struct segment_log_store *store = segment_log_self(base);
    const struct segment_group *group = map_get(&store->groups, id);
    if (group == NULL || first <= group->record.base_index || first > group->last_index) {
        return storage_fail(error, RR_NOT_FOUND,
                            "the log has no entry %" PRIu64 " of group %" PRIu64, first, id);
    }
    ASSERT(last <= group->last_index);
    struct load load = {
        .group = id,
        .last = last,
        .bytes_left = bytes_max,
        .entries_max = entries_max,
        .entries = out,
    };
    struct walk walk = {load_value, &load};
    rr_status status = walk_group(store, group, first, &walk, error);
    if (status != RR_OK) {
        while (load.count > 0) {
            raft_entry_unref(out[--load.count]);
        }
        return status;
    }
    ASSERT(load.count > 0);
    store->counters.entries_read += load.count;
    for (uint32_t i = 0; i < load.count; i++) {
        store->counters.bytes_read += out[i]->size;
    }
    *count = load.count;
    return RR_OK;
}

/* --- The rest of the interface --- */

static void segment_poll(struct log_store *base)
{
    struct segment_log_store *store = segment_log_self(base);
    if (store->writer != NULL) {
        segment_writer_poll(store->writer);
    }
}

static void segment_set_wake(struct log_store *base, log_wake_fn wake, void *wake_arg)
{
    struct segment_log_store *store = segment_log_self(base);
    if (store->writer != NULL) {
        segment_writer_set_wake(store->writer, wake, wake_arg);
    }
}

static void segment_each_group(const struct log_store *base, log_group_fn visit, void *visit_arg)
{
    log_visit_groups(&segment_log_self_const(base)->groups, visit, visit_arg);
}

static void segment_counters(const struct log_store *base, struct log_store_counters *out)
{
    const struct segment_log_store *store = segment_log_self_const(base);
    *out = store->counters;
    if (store->writer != NULL) {
        uint64_t syncs;
        segment_writer_durable(store->writer, &syncs);
        out->syncs += syncs;
    }
}

static const char *segment_failure(const struct log_store *base)
{
    const struct segment_log_store *store = segment_log_self_const(base);
    if (store->failed) {
        return store->failure.text;
    }
    return store->writer == NULL ? NULL : segment_writer_failure(store->writer);
}

/* The next segment's file could not be prepared. */
static bool segment_shortage(const struct log_store *base, struct storage_error *error)
{
    return segment_pool_shortage(segment_log_self_const(base)->pool, error);
}

/* --- Opening and closing --- */

void segment_log_free(struct segment_log_store *store)
{
    segment_writer_close(store->writer);
    segment_pool_close(store->pool);
    for (uint32_t i = 0; i < store->segment_count; i++) {
        if (store->segments[i].fd >= 0) {
            close(store->segments[i].fd);
        }
        mem_free(store->segments[i].path);
    }
    mem_free(store->segments);
    size_t position = 0;
    void *value;
    while (map_iterate(&store->groups, &position, NULL, &value)) {
        segment_group_free(value);
    }
    map_deinit(&store->groups);
    buffer_deinit(&store->frame);
    mem_free(store);
}

/* Ends what was submitted and the writer with it. */
static void finish_writer(struct segment_log_store *store)
{
    rr_status status = RR_OK;
    while (!segment_writer_idle(store->writer)) { /* completions may submit */
        status = segment_writer_drain(store->writer, &store->failure);
        segment_writer_poll(store->writer);
    }
    uint64_t durable = segment_writer_durable(store->writer, NULL);
    store->durable = durable > store->durable ? durable : store->durable;
    store->failed = store->failed || status != RR_OK;
    segment_writer_close(store->writer);
    store->writer = NULL;
}

static void segment_log_close(struct log_store *base)
{
    struct segment_log_store *store = segment_log_self(base);
    if (store->writer != NULL) {
        finish_writer(store);
    }
    if (!store->failed) {
        /* For the next recovery's sake alone: all that was promised is durable without it. */
        struct storage_error error;
        rr_status status = segment_log_write_witness(store, &error);
        (void)status;
    }
    segment_log_free(store);
}

static const struct log_store_operations operations = {
    .submit = segment_log_submit,
    .poll = segment_poll,
    .set_wake = segment_set_wake,
    .recover = segment_recover,
    .bounds = segment_bounds,
    .read = segment_read,
    .each_group = segment_each_group,
    .counters = segment_counters,
    .failure = segment_failure,
    .shortage = segment_shortage,
    .close = segment_log_close,
};

/* Begins a new segment, and cuts the one before to what was read of it: a restart costs what was
 * written, not a whole segment. */
static rr_status begin_first(struct segment_log_store *store, struct storage_error *error)
{
    uint64_t before = store->segment_count == 0 ? 0 : segment_newest(store)->id;
    uint64_t end = store->offset;
    rr_status status = segment_log_begin(store, /*prewrite=*/true, error);
    if (status != RR_OK || store->segment_count < 2) {
        return status;
    }
    const struct segment *segment = &store->segments[store->segment_count - 2];
    ASSERT(segment->id == before);
    return file_truncate(segment->fd, segment->path, end, error);
}

static rr_status open_store(struct segment_log_store *store,
                            const struct segment_log_store_options *options,
                            struct storage_error *error)
{
    rr_status status = directory_create(store->path, error);
    if (status != RR_OK) {
        return status;
    }
    struct segment_pool_options pool = {
        .path = store->path,
        .segment_bytes = store->segment_bytes,
        .threaded = !options->prepare_inline,
    };
    status = segment_pool_open(&pool, error, &store->pool);
    if (status == RR_OK) {
        status = segment_log_load(store, error);
    }
    if (status == RR_OK) {
        status = begin_first(store, error);
    }
    if (status == RR_OK && options->sync_on_thread) {
        status = segment_writer_open(error, &store->writer);
    }
    return status;
}

rr_status segment_log_new(const struct segment_log_store_options *options,
                          struct storage_error *error, struct segment_log_store **out)
{
    uint64_t segment_bytes =
        options->segment_bytes == 0 ? SEGMENT_BYTES_DEFAULT : options->segment_bytes;
    if (strlen(options->path) >= PATH_BYTES_MAX) {
        return storage_fail(error, RR_INVALID, "the log's path is too long");
    }
    if (segment_bytes < SEGMENT_BYTES_MIN || segment_bytes > SEGMENT_BYTES_LIMIT ||
        segment_bytes % SEGMENT_BLOCK_BYTES != 0) {
        return storage_fail(error, RR_INVALID,
                            "a segment has %d bytes to %d, in whole blocks of %d",
                            SEGMENT_BYTES_MIN, SEGMENT_BYTES_LIMIT, SEGMENT_BLOCK_BYTES);
    }
    struct segment_log_store *store = mem_new(struct segment_log_store);
    store->store.operations = &operations;
    strcpy(store->path, options->path);
    store->segment_bytes = segment_bytes;
    store->log_bytes_max = options->log_bytes_max == 0 ? (uint64_t)1 << 30 : options->log_bytes_max;
    map_init(&store->groups);
    buffer_init(&store->frame);
    *out = store;
    return RR_OK;
}

rr_status segment_log_store_open(const struct segment_log_store_options *options,
                                 struct storage_error *error, struct log_store **out)
{
    struct segment_log_store *store;
    rr_status status = segment_log_new(options, error, &store);
    if (status != RR_OK) {
        return status;
    }
    status = open_store(store, options, error);
    if (status != RR_OK) {
        segment_log_free(store);
        return status;
    }
    *out = &store->store;
    return RR_OK;
}
