/*
 * Where the entries of each group are, from the records of frames: the same code for a frame that
 * was just encoded and for one that recovery reads, so that both come to the same log.
 */
#include "base/assert.h"
#include "base/memory.h"
#include "storage/segment_log_private.h"

#include <string.h>

static raft_index span_last(const struct segment_span *span)
{
    return span->first + span->count - 1;
}

/* Counts the span in its segment, or no longer. Recovery begins at the oldest segment, so every
 * span's is there. */
static void count_live(struct segment_log_store *store, const struct segment_span *span, int by)
{
    uint64_t position = span->segment - store->segments[0].id;
    ASSERT(position < store->segment_count);
    struct segment *segment = &store->segments[position];
    ASSERT(by > 0 || segment->live > 0);
    segment->live += (uint64_t)(int64_t)by;
}

/* Removes `count` spans at `position`. */
static void remove_spans(struct segment_log_store *store, struct segment_group *group,
                         uint32_t position, uint32_t count)
{
    ASSERT(position + count <= group->count);
    for (uint32_t i = 0; i < count; i++) {
        count_live(store, segment_group_span(group, position + i), -1);
    }
    if (position == 0) {
        group->head += count;
    } else {
        memmove(segment_group_span(group, position), segment_group_span(group, position + count),
                (group->count - position - count) * sizeof(group->spans[0]));
    }
    group->count -= count;
    if (group->count == 0) {
        mem_free(group->spans);
        group->spans = NULL;
        group->head = 0;
        group->capacity = 0;
    }
}

/* Room for one more span behind the others. */
static void reserve_span(struct segment_group *group)
{
    if (group->head + group->count < group->capacity) {
        return;
    }
    if (group->head > group->count) {
        memmove(group->spans, segment_group_span(group, 0), group->count * sizeof(group->spans[0]));
        group->head = 0;
        return;
    }
    ASSERT(group->capacity <= UINT32_MAX / 4);
    group->capacity = group->capacity == 0 ? 2 : group->capacity * 2;
    group->spans = mem_resize(group->spans, group->capacity * sizeof(group->spans[0]));
}

static void insert_span(struct segment_log_store *store, struct segment_group *group,
                        uint32_t position, const struct segment_span *span)
{
    reserve_span(group);
    memmove(segment_group_span(group, position + 1), segment_group_span(group, position),
            (group->count - position) * sizeof(group->spans[0]));
    *segment_group_span(group, position) = *span;
    group->count++;
    count_live(store, span, 1);
}

/* The first span that ends at or above `index`. */
static uint32_t find_end(const struct segment_group *group, raft_index index)
{
    uint32_t low = 0;
    uint32_t high = group->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (span_last(segment_group_span(group, middle)) < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t segment_group_find(const struct segment_group *group, raft_index index)
{
    uint32_t position = find_end(group, index);
    if (position < group->count && segment_group_span(group, position)->first > index) {
        return group->count;
    }
    return position;
}

raft_term segment_group_term(const struct segment_group *group, raft_index index)
{
    if (index == group->record.base_index) {
        return group->record.base_term;
    }
    uint32_t position = segment_group_find(group, index);
    ASSERT(position < group->count);
    return segment_group_span(group, position)->term;
}

bool segment_group_whole(const struct segment_group *group, raft_index *missing)
{
    raft_index next = group->record.base_index + 1;
    for (uint32_t i = 0; i < group->count; i++) {
        const struct segment_span *span = segment_group_span(group, i);
        if (span->first > next) {
            break;
        }
        next = span_last(span) + 1;
    }
    *missing = next;
    return next == group->last_index + 1;
}

void segment_group_free(struct segment_group *group)
{
    mem_free(group->spans);
    mem_free(group);
}

/* --- Records --- */

/* Drops the entries from `first` on. A span of which only purged ones would be left goes as well. */
static void truncate_from(struct segment_log_store *store, struct segment_group *group,
                          raft_index first)
{
    uint32_t position = find_end(group, first);
    if (position == group->count) {
        return;
    }
    struct segment_span *span = segment_group_span(group, position);
    if (span->first < first && first > group->record.base_index + 1) {
        span->count = (uint32_t)(first - span->first); /* `bytes` may then be more than needed */
        position++;
    }
    remove_spans(store, group, position, group->count - position);
}

static void purge_to(struct segment_log_store *store, struct segment_group *group, raft_index index)
{
    remove_spans(store, group, 0, find_end(group, index + 1));
}

/* Adds the spans of a record's entries, which lie at `offset`, behind the others. */
static const char *append_spans(struct segment_log_store *store, struct segment_group *group,
                                uint64_t segment, uint64_t offset,
                                const struct segment_record *record)
{
    struct reader reader;
    reader_init(&reader, record->entries);
    struct segment_span span = {0};
    uint32_t count = 0;
    rr_bytes value;
    raft_term term;
    const uint8_t *start = reader.at;
    for (; segment_entry_next(&reader, &value, &term); count++) {
        uint32_t size = (uint32_t)(reader.at - start);
        if (span.count > 0 && (term != span.term || size > SEGMENT_SPAN_BYTES_MAX - span.bytes)) {
            insert_span(store, group, group->count, &span);
            span.count = 0;
        }
        if (span.count == 0) {
            span = (struct segment_span){
                .first = record->first + count,
                .term = term,
                .segment = segment,
                .offset =
                    (uint32_t)(offset + (uint64_t)(start - (const uint8_t *)record->entries.data)),
            };
        }
        span.count++;
        span.bytes += size;
        start = reader.at;
        if (span.bytes > SEGMENT_SPAN_BYTES_MAX) {
            insert_span(store, group, group->count, &span); /* one large entry */
            span.count = 0;
            span.bytes = 0;
        }
    }
    if (span.count > 0) {
        insert_span(store, group, group->count, &span);
    }
    if (reader.failed || count != record->count) {
        return "entries that do not fill their record";
    }
    group->last_index = record->first + count - 1;
    group->last_term = term;
    return NULL;
}

static const char *apply_entries(struct segment_log_store *store, struct segment_group *group,
                                 uint64_t segment, uint64_t offset,
                                 const struct segment_record *record)
{
    if (record->first <= group->record.base_index || record->first > group->last_index + 1) {
        return "entries that do not follow the log";
    }
    truncate_from(store, group, record->first);
    return append_spans(store, group, segment, offset, record);
}

/* The entries of one span in a new place. Where recovery has not seen the old one, because it lies
 * before the oldest segment, there is nothing to replace. */
static const char *apply_copy(struct segment_log_store *store, struct segment_group *group,
                              uint64_t segment, uint64_t offset,
                              const struct segment_record *record)
{
    raft_index first = record->first;
    raft_index last = first + record->count - 1;
    if (first <= group->record.base_index || last > group->last_index) {
        return "a copy of entries that are not in the log";
    }
    struct reader reader;
    reader_init(&reader, record->entries);
    rr_bytes value;
    raft_term term = 0;
    if (!segment_entry_next(&reader, &value, &term)) {
        return "a copy without entries";
    }
    struct segment_span span = {
        .first = first,
        .term = term,
        .segment = segment,
        .offset = (uint32_t)offset,
        .bytes = (uint32_t)record->entries.size,
        .count = record->count,
    };
    uint32_t position = find_end(group, first);
    if (position == group->count || segment_group_span(group, position)->first > last) {
        insert_span(store, group, position, &span);
        return NULL;
    }
    struct segment_span *old = segment_group_span(group, position);
    bool begins =
        old->first == first || (old->first < first && first == group->record.base_index + 1);
    if (!begins || span_last(old) != last || old->term != term) {
        return "a copy of other entries than the log has";
    }
    count_live(store, old, -1);
    count_live(store, &span, 1);
    *old = span;
    return NULL;
}

static const char *apply_purge(struct segment_log_store *store, struct segment_group *group,
                               const struct segment_record *record)
{
    if (record->index <= group->record.base_index || record->index > group->last_index) {
        return "a purge of entries that are not in the log";
    }
    purge_to(store, group, record->index);
    group->record.base_index = record->index;
    group->record.base_term = record->term;
    return NULL;
}

static const char *apply_reset(struct segment_log_store *store, struct segment_group *group,
                               const struct segment_record *record)
{
    remove_spans(store, group, 0, group->count);
    group->record.base_index = record->index;
    group->record.base_term = record->term;
    group->last_index = record->index;
    group->last_term = record->term;
    return NULL;
}

static struct segment_group *add_group(struct segment_log_store *store, raft_group id)
{
    struct segment_group *group = mem_new(struct segment_group);
    group->id = id;
    map_set(&store->groups, id, group);
    return group;
}

static void destroy(struct segment_log_store *store, raft_group id)
{
    struct segment_group *group = map_remove(&store->groups, id);
    if (group != NULL) {
        remove_spans(store, group, 0, group->count);
        segment_group_free(group);
    }
}

/* `offset` is where the record ends: its entries end there, too. */
static const char *apply_record(struct segment_log_store *store, uint64_t segment, uint64_t offset,
                                const struct segment_record *record)
{
    if (record->kind == SEGMENT_RECORD_DESTROY) {
        destroy(store, record->group);
        return NULL;
    }
    struct segment_group *group = map_get(&store->groups, record->group);
    if (group == NULL) {
        group = add_group(store, record->group);
    }
    switch (record->kind) {
    case SEGMENT_RECORD_ENTRIES:
        return apply_entries(store, group, segment, offset - record->entries.size, record);
    case SEGMENT_RECORD_COPY:
        return apply_copy(store, group, segment, offset - record->entries.size, record);
    case SEGMENT_RECORD_HARD_STATE:
        group->record.hard_state = record->hard_state;
        return NULL;
    case SEGMENT_RECORD_PURGE:
        return apply_purge(store, group, record);
    case SEGMENT_RECORD_RESET:
        return apply_reset(store, group, record);
    case SEGMENT_RECORD_GROUP:
    case SEGMENT_RECORD_DESTROY:
        break;
    }
    return "a record that does not belong there";
}

const char *segment_log_apply(struct segment_log_store *store, uint64_t segment, uint64_t offset,
                              rr_bytes records)
{
    struct reader reader;
    reader_init(&reader, records);
    struct segment_record record;
    while (segment_record_next(&reader, &record)) {
        uint64_t end = offset + (uint64_t)(reader.at - (const uint8_t *)records.data);
        const char *wrong = apply_record(store, segment, end, &record);
        if (wrong != NULL) {
            return wrong;
        }
    }
    return reader.failed ? "a malformed record" : NULL;
}

/* --- Checkpoints --- */

const char *segment_log_apply_checkpoint(struct segment_log_store *store, rr_bytes records)
{
    struct reader reader;
    reader_init(&reader, records);
    struct segment_record record;
    while (segment_record_next(&reader, &record)) {
        if (record.kind != SEGMENT_RECORD_GROUP || record.last_index < record.index ||
            map_get(&store->groups, record.group) != NULL) {
            return "a malformed checkpoint";
        }
        struct segment_group *group = add_group(store, record.group);
        group->record.hard_state = record.hard_state;
        group->record.base_index = record.index;
        group->record.base_term = record.term;
        group->last_index = record.last_index;
        group->last_term = record.last_term;
    }
    return reader.failed ? "a malformed checkpoint" : NULL;
}

static bool agrees(const struct segment_group *group, const struct segment_record *record)
{
    return group != NULL && group->record.hard_state.term == record->hard_state.term &&
           group->record.hard_state.vote == record->hard_state.vote &&
           group->record.hard_state.commit == record->hard_state.commit &&
           group->record.base_index == record->index && group->record.base_term == record->term &&
           group->last_index == record->last_index && group->last_term == record->last_term;
}

const char *segment_log_check_checkpoint(struct segment_log_store *store, rr_bytes records)
{
    struct reader reader;
    reader_init(&reader, records);
    struct segment_record record;
    size_t count = 0;
    for (; segment_record_next(&reader, &record); count++) {
        if (record.kind != SEGMENT_RECORD_GROUP ||
            !agrees(map_get(&store->groups, record.group), &record)) {
            return "a checkpoint that does not agree with the frames before it";
        }
    }
    if (reader.failed || count != map_count(&store->groups)) {
        return "a checkpoint that does not agree with the frames before it";
    }
    return NULL;
}
