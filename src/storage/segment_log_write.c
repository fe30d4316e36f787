/* Writing frames: encoding them, bringing the groups up to date, and the next segment. */
#include "base/assert.h"
#include "base/checksum.h"
#include "base/memory.h"
#include "storage/segment_log_private.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum {
    FRAME_MEMORY_KEPT = 4 * 1024 * 1024, /* a larger frame's memory is freed after it */
    COPY_FRAME_BYTES = 1024 * 1024,      /* about what one frame copies forward */
    COPY_SHARE = 4, /* what is copied at a time takes about a quarter of the new segment */
};

/* --- Encoding --- */

/* Begins a frame in store->frame with room for `size_max` bytes of body. */
static rr_status begin_frame(struct segment_log_store *store, uint64_t size_max,
                             struct storage_error *error)
{
    ASSERT(size_max < UINT32_MAX / 2); /* offsets in a segment have 32 bits */
    ASSERT(store->frame.size == 0);
    uint64_t bytes = segment_frame_bytes(size_max);
    if (!buffer_reserve(&store->frame, (size_t)bytes)) {
        buffer_deinit(&store->frame);
        return storage_fail(error, RR_NO_MEMORY, "no memory for a frame of %" PRIu64 " bytes",
                            bytes);
    }
    uint8_t *header = buffer_extend(&store->frame, SEGMENT_HEADER_BYTES);
    memset(header, 0, SEGMENT_HEADER_BYTES);
    return RR_OK;
}

/* Completes the frame in store->frame, which is the next one of `segment`, at `offset`. */
static void end_frame(struct segment_log_store *store, enum segment_frame_kind kind,
                      uint64_t segment, uint64_t offset)
{
    struct buffer *frame = &store->frame;
    ASSERT(!frame->failed);
    rr_bytes body = {frame->data + SEGMENT_HEADER_BYTES, frame->size - SEGMENT_HEADER_BYTES};
    store->number++;
    uint64_t durable = store->writer == NULL ? 0 : segment_writer_durable(store->writer, NULL);
    struct segment_header header = {
        .kind = kind,
        .log_id = store->log_id,
        .segment = segment,
        .offset = offset,
        .number = store->number,
        .durable = durable > store->durable ? durable : store->durable,
        .previous_checksum = store->previous_checksum,
        .body_size = body.size,
        .body_checksum = segment_body_checksum(store->number, body),
    };
    ASSERT(header.durable < header.number);
    segment_header_encode(&header, frame->data);
    store->previous_checksum = header.body_checksum;
    size_t padding = (size_t)segment_frame_bytes(body.size) - frame->size;
    if (padding > 0) {
        memset(buffer_extend(frame, padding), 0, padding);
    }
    store->counters.bytes_written += body.size;
}

static void forget_frame(struct segment_log_store *store)
{
    if (store->frame.capacity > FRAME_MEMORY_KEPT) {
        buffer_deinit(&store->frame);
    }
    buffer_clear(&store->frame);
}

/* Applies what was encoded from `start` on. What does not fit the log is the owner's fault. */
static void apply_encoded(struct segment_log_store *store, size_t start)
{
    rr_bytes records = {store->frame.data + start, store->frame.size - start};
    const char *wrong =
        segment_log_apply(store, segment_newest(store)->id, store->offset + start, records);
    ASSERT(wrong == NULL);
}

static void put_entries(struct segment_log_store *store, const struct log_record *record)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < record->entry_count; i++) {
        ASSERT(record->entries[i]->index == record->entries[0]->index + i);
        bytes += segment_entry_bytes(record->entries[i]->size);
    }
    segment_put_entries(&store->frame, SEGMENT_RECORD_ENTRIES, record->group,
                        record->entries[0]->index, record->entry_count, bytes);
    for (uint32_t i = 0; i < record->entry_count; i++) {
        segment_put_entry(&store->frame, record->group, record->entries[i]);
    }
    store->counters.entries += record->entry_count;
}

static void put_purge(struct segment_log_store *store, const struct log_record *record)
{
    const struct segment_group *group = map_get(&store->groups, record->group);
    ASSERT(group != NULL);
    ASSERT(record->purge_index <= group->last_index);
    if (record->purge_index > group->record.base_index) {
        segment_put_base(&store->frame, SEGMENT_RECORD_PURGE, record->group, record->purge_index,
                         segment_group_term(group, record->purge_index));
    }
}

/* Each field is applied before the next is encoded, which may depend on it. */
static void put_record(struct segment_log_store *store, const struct log_record *record)
{
    static const struct raft_hard_state nothing;
    struct buffer *frame = &store->frame;
    size_t start = frame->size;
    if (record->destroy) {
        ASSERT(!record->reset);
        ASSERT(record->entry_count == 0);
        ASSERT(record->purge_index == 0);
        ASSERT(record->hard_state == NULL);
        segment_put_destroy(frame, record->group);
        apply_encoded(store, start);
        return;
    }
    if (map_get(&store->groups, record->group) == NULL) {
        segment_put_hard_state(frame, record->group, &nothing);
    }
    if (record->reset) {
        segment_put_base(frame, SEGMENT_RECORD_RESET, record->group, record->reset_index,
                         record->reset_term);
    }
    if (record->entry_count > 0) {
        put_entries(store, record);
    }
    apply_encoded(store, start);
    start = frame->size;
    if (record->purge_index > 0) {
        put_purge(store, record);
    }
    if (record->hard_state != NULL) {
        segment_put_hard_state(frame, record->group, record->hard_state);
        const struct segment_group *group = map_get(&store->groups, record->group);
        ASSERT(record->hard_state->commit <= group->last_index);
    }
    apply_encoded(store, start);
}

/* At least what the frame's body takes. */
static uint64_t body_bytes_max(const struct log_frame *frame)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < frame->record_count; i++) {
        const struct log_record *record = &frame->records[i];
        bytes += 4 * (uint64_t)SEGMENT_RECORD_BYTES_MAX;
        for (uint32_t j = 0; j < record->entry_count; j++) {
            bytes += segment_entry_bytes(record->entries[j]->size);
        }
    }
    return bytes;
}

/* --- Writing --- */

static rr_status sync_newest(struct segment_log_store *store, struct storage_error *error)
{
    struct segment *newest = segment_newest(store);
    rr_status status = file_sync_data(newest->fd, newest->path, error);
    if (status == RR_OK) {
        store->durable = store->number;
        store->counters.syncs++;
    }
    return status;
}

/* Writes the frame in store->frame behind the others, here and now. */
static rr_status write_now(struct segment_log_store *store, bool sync, struct storage_error *error)
{
    struct segment *newest = segment_newest(store);
    rr_status status =
        file_write_at(newest->fd, newest->path, store->offset, buffer_bytes(&store->frame), error);
    store->offset += store->frame.size;
    forget_frame(store);
    return status == RR_OK && sync ? sync_newest(store, error) : status;
}

static void hand_to_writer(struct segment_log_store *store, bool sync, log_done_fn done,
                           void *done_arg)
{
    struct segment *newest = segment_newest(store);
    struct segment_write write = {
        .fd = newest->fd,
        .path = newest->path,
        .segment = newest->id,
        .offset = store->offset,
        .bytes = store->frame,
        .sync = sync,
        .number = store->number,
        .done = done,
        .done_arg = done_arg,
    };
    store->offset += store->frame.size;
    buffer_init(&store->frame);
    segment_writer_submit(store->writer, &write);
}

/* --- The next segment --- */

/* The oldest segment that anybody needs; the one that begins, if no other. */
static uint64_t oldest_needed(const struct segment_log_store *store, uint64_t next)
{
    for (uint32_t i = 0; i < store->segment_count; i++) {
        if (store->segments[i].live > 0) {
            return store->segments[i].id;
        }
    }
    return next;
}

static rr_status encode_checkpoint(struct segment_log_store *store, uint64_t id, uint64_t oldest,
                                   struct storage_error *error)
{
    uint64_t bytes = 8 + (uint64_t)map_count(&store->groups) * SEGMENT_RECORD_BYTES_MAX;
    rr_status status = begin_frame(store, bytes, error);
    if (status != RR_OK) {
        return status;
    }
    put_u64(&store->frame, oldest);
    size_t position = 0;
    void *value;
    while (map_iterate(&store->groups, &position, NULL, &value)) {
        const struct segment_group *group = value;
        segment_put_group(&store->frame, group->id, &group->record, group->last_index,
                          group->last_term);
    }
    end_frame(store, SEGMENT_FRAME_CHECKPOINT, id, 0);
    return RR_OK;
}

/* Gives up the segments before `oldest`; a durable checkpoint says that nobody needs them. */
static void give_up_segments(struct segment_log_store *store, uint64_t oldest)
{
    uint32_t count = (uint32_t)(oldest - store->segments[0].id);
    for (uint32_t i = 0; i < count; i++) {
        struct segment *segment = &store->segments[i];
        ASSERT(segment->live == 0);
        close(segment->fd);
        segment_pool_give(store->pool, segment->path);
        mem_free(segment->path);
    }
    store->segment_count -= count;
    memmove(store->segments, store->segments + count,
            store->segment_count * sizeof(store->segments[0]));
}

/* Writes the checkpoint in store->frame to the file and gives it the segment's name, durably. */
static rr_status name_segment(struct segment_log_store *store, uint64_t id, int fd,
                              const char *spare, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    rr_status status = segment_log_path(store, id, path, error);
    if (status == RR_OK) {
        status = file_write_at(fd, spare, 0, buffer_bytes(&store->frame), error);
    }
    if (status == RR_OK) {
        status = file_sync(fd, spare, error);
    }
    if (status == RR_OK) {
        status = file_rename(spare, path, error);
    }
    if (status != RR_OK) {
        close(fd);
        return status;
    }
    segment_log_add_segment(store, id, fd, path);
    return RR_OK;
}

rr_status segment_log_begin(struct segment_log_store *store, bool prewrite,
                            struct storage_error *error)
{
    uint64_t id = store->segment_count == 0 ? 1 : segment_newest(store)->id + 1;
    uint64_t oldest = oldest_needed(store, id);
    char spare[PATH_BYTES_MAX];
    int fd;
    rr_status status = segment_pool_take(store->pool, prewrite, error, spare, &fd);
    if (status != RR_OK) {
        return status;
    }
    uint64_t size;
    status = file_size(spare, &size, error);
    if (status == RR_OK) {
        status = encode_checkpoint(store, id, oldest, error);
    }
    if (status != RR_OK) {
        close(fd);
        return status;
    }
    store->limit = size > 0 ? size : store->segment_bytes;
    store->next_wanted = false;
    status = name_segment(store, id, fd, spare, error);
    store->begin = store->frame.size;
    store->offset = store->begin;
    forget_frame(store);
    if (status != RR_OK) {
        return status;
    }
    store->durable = store->number;
    give_up_segments(store, oldest);
    return RR_OK;
}

/* --- Copying forward --- */

/* Adds the entries of the span that its group still holds to the frame; their positions change. */
static rr_status copy_span(struct segment_log_store *store, struct segment_group *group,
                           uint32_t position, struct buffer *bytes, struct storage_error *error)
{
    struct segment_span span = *segment_group_span(group, position);
    raft_index first =
        span.first > group->record.base_index ? span.first : group->record.base_index + 1;
    rr_bytes values;
    rr_status status = segment_log_read_span(store, &span, bytes, error, &values);
    if (status != RR_OK) {
        return status;
    }
    struct reader reader;
    reader_init(&reader, values);
    const uint8_t *start = NULL;
    rr_bytes value;
    raft_term term;
    for (raft_index index = span.first; index < span.first + span.count; index++) {
        if (index == first) {
            start = reader.at;
        }
        if (!segment_entry_next(&reader, &value, &term)) {
            value = (rr_bytes){0}; /* which the decoder refuses */
        }
        struct log_entry_view view;
        status = log_entry_decode(group->id, index, value, error, &view);
        if (status != RR_OK) {
            return status;
        }
    }
    size_t size = (size_t)(reader.at - start);
    /* Up to two blocks of padding follow in the end. */
    if (!buffer_reserve(&store->frame, size + SEGMENT_RECORD_BYTES_MAX + 2 * SEGMENT_BLOCK_BYTES)) {
        return storage_fail(error, RR_NO_MEMORY, "no memory to copy %zu bytes of log", size);
    }
    size_t record = store->frame.size;
    segment_put_entries(&store->frame, SEGMENT_RECORD_COPY, group->id, first,
                        (uint32_t)(span.first + span.count - first), size);
    put_raw(&store->frame, start, size);
    apply_encoded(store, record);
    return RR_OK;
}

static rr_status end_copy_frame(struct segment_log_store *store, struct storage_error *error)
{
    end_frame(store, SEGMENT_FRAME_RECORDS, segment_newest(store)->id, store->offset);
    return write_now(store, /*sync=*/false, error);
}

/* Copies what the group has in segments before `before`, while `left` lasts. */
static rr_status copy_group(struct segment_log_store *store, struct segment_group *group,
                            uint64_t before, uint64_t *left, struct buffer *bytes,
                            struct storage_error *error)
{
    for (uint32_t i = 0; i<group->count && * left> 0; i++) {
        if (segment_group_span(group, i)->segment >= before) {
            continue;
        }
        uint64_t size = segment_group_span(group, i)->bytes;
        rr_status status = RR_OK;
        if (store->frame.size == 0) {
            status = begin_frame(store, COPY_FRAME_BYTES, error);
        }
        if (status == RR_OK) {
            status = copy_span(store, group, i, bytes, error);
        }
        if (status == RR_OK && store->frame.size >= COPY_FRAME_BYTES) {
            status = end_copy_frame(store, error);
        }
        if (status != RR_OK) {
            return status;
        }
        *left -= size < *left ? size : *left;
    }
    return RR_OK;
}

/* Copies some of what is needed of the oldest segment into the newest, so that it can go. */
static rr_status copy_forward(struct segment_log_store *store, struct storage_error *error)
{
    uint64_t left = store->segment_bytes / COPY_SHARE;
    struct buffer bytes;
    buffer_init(&bytes);
    rr_status status = RR_OK;
    size_t position = 0;
    void *value;
    while (status == RR_OK && left > 0 && store->segments[0].live > 0 &&
           map_iterate(&store->groups, &position, NULL, &value)) {
        status = copy_group(store, value, store->segments[0].id + 1, &left, &bytes, error);
    }
    if (status == RR_OK && store->frame.size > 0) {
        status = end_copy_frame(store, error);
    }
    buffer_deinit(&bytes);
    return status;
}

/* Copies what the groups have into the newest segment. */
static rr_status copy_all(struct segment_log_store *store, struct storage_error *error)
{
    struct buffer bytes;
    buffer_init(&bytes);
    rr_status status = RR_OK;
    size_t position = 0;
    void *value;
    while (status == RR_OK && map_iterate(&store->groups, &position, NULL, &value)) {
        uint64_t left = UINT64_MAX;
        status = copy_group(store, value, segment_newest(store)->id, &left, &bytes, error);
    }
    if (status == RR_OK && store->frame.size > 0) {
        status = end_copy_frame(store, error);
    }
    buffer_deinit(&bytes);
    return status;
}

rr_status segment_log_rewrite(struct segment_log_store *store, struct storage_error *error)
{
    uint64_t id = segment_newest(store)->id + 1;
    char spare[PATH_BYTES_MAX];
    char path[PATH_BYTES_MAX];
    int fd;
    rr_status status = segment_log_path(store, id, path, error);
    if (status == RR_OK) {
        status = segment_pool_take(store->pool, /*prewrite=*/false, error, spare, &fd);
    }
    if (status != RR_OK) {
        return status;
    }
    segment_log_add_segment(store, id, fd, spare);
    /* An attempt that was cut short may have left frames of this very segment in it. */
    status = file_truncate(fd, spare, 0, error);
    if (status != RR_OK) {
        return status;
    }
    store->offset = 0;
    store->durable = store->number;
    status = encode_checkpoint(store, id, /*oldest=*/id, error);
    if (status == RR_OK) {
        status = write_now(store, /*sync=*/false, error);
    }
    if (status == RR_OK) {
        status = copy_all(store, error);
    }
    if (status == RR_OK) {
        status = file_sync(fd, spare, error);
    }
    return status == RR_OK ? file_rename(spare, path, error) : status;
}

/* Goes on in a new segment. Waits for the frames that a writer has not written yet. */
static rr_status roll(struct segment_log_store *store, struct storage_error *error)
{
    rr_status status = RR_OK;
    if (store->writer != NULL) {
        status = segment_writer_drain(store->writer, error);
        if (status == RR_OK && segment_writer_durable(store->writer, NULL) == store->number) {
            store->durable = store->number;
        }
    }
    if (status == RR_OK && store->durable < store->number) {
        status = sync_newest(store, error);
    }
    if (status == RR_OK) {
        status = segment_log_begin(store, /*prewrite=*/false, error);
    }
    if (status == RR_OK && store->segment_count > 1 &&
        store->segment_count > store->log_bytes_max / store->segment_bytes) {
        status = copy_forward(store, error);
    }
    return status;
}

/* --- Submitting --- */

/* Whether a frame of so many bytes goes into the next segment. One that is too large for any goes
 * into an empty one, whose file grows. */
static bool needs_roll(const struct segment_log_store *store, uint64_t bytes)
{
    return store->offset > store->begin &&
           (store->offset >= store->limit || bytes > store->limit - store->offset);
}

/* In the middle of a segment the next one is made ready. */
static void want_next(struct segment_log_store *store)
{
    if (!store->next_wanted && store->offset >= store->limit / 2) {
        store->next_wanted = true;
        segment_pool_want(store->pool);
    }
}

/* Makes the frame in store->frame and hands it to the writer, or writes it. */
static rr_status write_frame(struct segment_log_store *store, const struct log_frame *frame,
                             log_done_fn done, void *done_arg, struct storage_error *error)
{
    uint64_t body_max = body_bytes_max(frame);
    rr_status status = RR_OK;
    if (needs_roll(store, segment_frame_bytes(body_max))) {
        status = roll(store, error);
    }
    if (status == RR_OK) {
        status = begin_frame(store, body_max, error);
    }
    if (status != RR_OK) {
        return status;
    }
    for (uint32_t i = 0; i < frame->record_count; i++) {
        put_record(store, &frame->records[i]);
    }
    end_frame(store, SEGMENT_FRAME_RECORDS, segment_newest(store)->id, store->offset);
    store->counters.frames++;
    want_next(store);
    if (store->writer != NULL) {
        hand_to_writer(store, frame->sync, done, done_arg);
        return RR_OK;
    }
    return write_now(store, frame->sync, error);
}

rr_status segment_log_write_witness(struct segment_log_store *store, struct storage_error *error)
{
    ASSERT(store->writer == NULL);
    rr_status status = RR_OK;
    if (store->durable < store->number) {
        status = sync_newest(store, error);
    }
    if (status == RR_OK) {
        status = begin_frame(store, 0, error);
    }
    if (status != RR_OK) {
        return status;
    }
    end_frame(store, SEGMENT_FRAME_RECORDS, segment_newest(store)->id, store->offset);
    return write_now(store, /*sync=*/true, error);
}

/* Ends the frame RR_IO, in its turn. */
static void refuse(struct segment_log_store *store, log_done_fn done, void *done_arg)
{
    if (store->writer == NULL) {
        done(done_arg, RR_IO);
        return;
    }
    segment_writer_fail(store->writer, &store->failure);
    struct segment_write nothing = {.fd = -1, .done = done, .done_arg = done_arg};
    segment_writer_submit(store->writer, &nothing);
}

void segment_log_submit(struct log_store *base, const struct log_frame *frame, log_done_fn done,
                        void *done_arg)
{
    struct segment_log_store *store = segment_log_self(base);
    const char *late = store->writer == NULL ? NULL : segment_writer_failure(store->writer);
    if (!store->failed && late != NULL) {
        storage_fail(&store->failure, RR_IO, "%s", late);
        store->failed = true;
    }
    if (store->failed) {
        refuse(store, done, done_arg);
        return;
    }
    if (write_frame(store, frame, done, done_arg, &store->failure) != RR_OK) {
        store->failed = true;
        refuse(store, done, done_arg);
        return;
    }
    if (store->writer == NULL) {
        done(done_arg, RR_OK);
    }
}
