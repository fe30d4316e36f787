/*
 * Fuzzes what a segmented log reads back: any bytes as a frame's header, as the records of a
 * checkpoint (up to the length that the first byte says), and as those of a frame after it. What is
 * accepted must leave the positions of entries in order, and each counted where it is.
 */
#include "base/assert.h"
#include "base/memory.h"
#include "storage/segment_log_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENTS = 2 };

static uint64_t check_group(const struct segment_group *group)
{
    raft_index next = 0;
    for (uint32_t i = 0; i < group->count; i++) {
        const struct segment_span *span = segment_group_span(group, i);
        ASSERT(span->count > 0);
        ASSERT(span->first >= next);
        next = span->first + span->count;
        ASSERT(next > group->record.base_index + 1);
        ASSERT(segment_group_find(group, next - 1) == i);
    }
    ASSERT(group->count == 0 || next <= group->last_index + 1);
    ASSERT(group->record.base_index <= group->last_index);
    raft_index missing;
    if (segment_group_whole(group, &missing)) {
        segment_group_term(group, group->last_index);
    }
    return group->count;
}

static void check_store(struct segment_log_store *store)
{
    uint64_t spans = 0;
    size_t position = 0;
    void *value;
    while (map_iterate(&store->groups, &position, NULL, &value)) {
        spans += check_group(value);
    }
    ASSERT(spans == store->segments[0].live + store->segments[1].live);
}

static void free_groups(struct segment_log_store *store)
{
    size_t position = 0;
    void *value;
    while (map_iterate(&store->groups, &position, NULL, &value)) {
        segment_group_free(value);
    }
    map_deinit(&store->groups);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct segment_header header;
    if (size >= SEGMENT_HEADER_BYTES &&
        segment_header_decode(data, &header) == SEGMENT_HEADER_VALID) {
        uint8_t again[SEGMENT_HEADER_BYTES];
        segment_header_encode(&header, again);
    }
    if (size < 1 || data[0] > size - 1) {
        return 0;
    }
    struct segment segments[SEGMENTS] = {{.id = 7}, {.id = 8}};
    struct segment_log_store store = {.segments = segments, .segment_count = SEGMENTS};
    map_init(&store.groups);
    rr_bytes checkpoint = {data + 1, data[0]};
    rr_bytes records = {data + 1 + data[0], size - 1 - data[0]};
    if (segment_log_apply_checkpoint(&store, checkpoint) == NULL) {
        ASSERT(segment_log_check_checkpoint(&store, checkpoint) == NULL);
        check_store(&store);
        if (segment_log_apply(&store, 7, 4096, records) == NULL) {
            check_store(&store);
            /* The same once more, as by frames of the next segment. */
            const char *wrong = segment_log_apply(&store, 8, 0, records);
            if (wrong == NULL) {
                check_store(&store);
            }
        }
    }
    free_groups(&store);
    return 0;
}
