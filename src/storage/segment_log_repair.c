/*
 * See segment_log_repair.h.
 *
 * All frames that are whole are read in their order. Where some are missing between them, all that
 * was known is forgotten, for the missing ones may have changed any of it, and what the later ones
 * say is gathered anew. The log is saved if in the end
 * 1. a record of the hard state and one of entries (or a checkpoint, or a reset) came after the
 *    last gap;
 * 2. the entries from there on begin at or below the floor, have its term there, and go on without
 *    a gap to the last;
 * 3. the frames before the last gap's end are known to have been durable, so that those after it
 *    count, and no frame that is known to have been durable is missing after the last whole one.
 */
#include "storage/segment_log_repair.h"

#include "base/assert.h"
#include "base/memory.h"
#include "storage/segment_log_private.h"

#include <inttypes.h>
#include <stdio.h>

enum { GONE_SEGMENTS_MAX = 4096 }; /* in a row; more is no damage that is understood here */

struct repair {
    struct segment_log_store *store; /* its groups are what was gathered */
    const struct segment_log_floor *floor;
    struct buffer body;

    uint64_t number; /* of the last whole frame; 0 before the first */
    uint64_t checksum;
    uint64_t first;   /* the frame that the last gap ends at */
    uint64_t missing; /* frames in gaps */
    uint64_t durable; /* the highest frame that is known to have been */
    uint64_t limit;   /* frames from this one on are leftovers here: a later segment has them */

    bool hard_state_known;
    bool last_known;
    raft_index base; /* the highest that records after the last gap tell of */
    struct storage_error *text;
};

static rr_status give_up(const struct repair *repair, const char *why)
{
    return storage_fail(
        repair->text, RR_CORRUPT,
        "what is damaged cannot be spared: %s; the state has entries up to %" PRIu64, why,
        repair->floor->index);
}

static void witness(struct repair *repair, uint64_t number)
{
    repair->durable = number > repair->durable ? number : repair->durable;
}

/* --- The group --- */

static struct segment_group *the_group(const struct repair *repair)
{
    return map_get(&repair->store->groups, repair->floor->group);
}

/* Forgets the entries: the next one that is known comes after `last`. */
static struct segment_group *restart_group(struct repair *repair, raft_index last)
{
    struct segment_group *before = the_group(repair);
    struct segment_group *group = mem_new(struct segment_group);
    group->id = repair->floor->group;
    if (before != NULL) {
        group->record.hard_state = before->record.hard_state;
        segment_group_free(before);
    }
    group->record.base_index = last;
    group->last_index = last;
    map_set(&repair->store->groups, group->id, group);
    return group;
}

static void forget(struct repair *repair)
{
    restart_group(repair, 0);
    repair->hard_state_known = false;
    repair->last_known = false;
    repair->base = 0;
}

static void note_base(struct repair *repair, raft_index index)
{
    repair->base = index > repair->base ? index : repair->base;
}

/* --- Records --- */

/* One record's bytes, which lie at `offset` of the segment. */
struct place {
    uint64_t segment;
    uint64_t offset;
    rr_bytes bytes;
};

static rr_status apply(struct repair *repair, const struct place *place)
{
    const char *wrong =
        segment_log_apply(repair->store, place->segment, place->offset, place->bytes);
    return wrong == NULL ? RR_OK : give_up(repair, wrong);
}

static rr_status take_record(struct repair *repair, const struct place *place,
                             const struct segment_record *record)
{
    struct segment_group *group = the_group(repair);
    switch (record->kind) {
    case SEGMENT_RECORD_ENTRIES:
        if (!repair->last_known || record->first <= group->record.base_index) {
            restart_group(repair, record->first - 1);
        }
        repair->last_known = true;
        return apply(repair, place);
    case SEGMENT_RECORD_HARD_STATE:
        repair->hard_state_known = true;
        return apply(repair, place);
    case SEGMENT_RECORD_PURGE:
        note_base(repair, record->index);
        return repair->last_known && record->index > group->record.base_index ? apply(repair, place)
                                                                              : RR_OK;
    case SEGMENT_RECORD_RESET:
        note_base(repair, record->index);
        repair->last_known = true;
        return apply(repair, place);
    case SEGMENT_RECORD_COPY:
        return RR_OK; /* of entries long before; where they are needed, they count as missing */
    case SEGMENT_RECORD_DESTROY:
    case SEGMENT_RECORD_GROUP:
        break;
    }
    return give_up(repair, "there is a record that does not belong there");
}

/* What a checkpoint says of the group. */
static rr_status take_group(struct repair *repair, const struct segment_record *record)
{
    struct segment_group *group = the_group(repair);
    if (record->kind != SEGMENT_RECORD_GROUP || record->last_index < record->index) {
        return give_up(repair, "a checkpoint is malformed");
    }
    if (!repair->last_known) {
        group = restart_group(repair, record->last_index);
        group->record.base_term = record->last_term;
        group->last_term = record->last_term;
        repair->last_known = true;
    } else if (group->last_index != record->last_index || group->last_term != record->last_term) {
        return give_up(repair, "a checkpoint does not agree with the frames before it");
    }
    group->record.hard_state = record->hard_state;
    repair->hard_state_known = true;
    note_base(repair, record->index);
    return RR_OK;
}

static rr_status take_body(struct repair *repair, const struct segment *segment,
                           const struct segment_header *header)
{
    bool checkpoint = header->kind == SEGMENT_FRAME_CHECKPOINT;
    rr_bytes body = buffer_bytes(&repair->body);
    struct reader reader;
    reader_init(&reader, body);
    if (checkpoint) {
        reader_skip(&reader, 8);
    }
    rr_status status = RR_OK;
    struct segment_record record;
    const uint8_t *start = reader.at;
    while (status == RR_OK && segment_record_next(&reader, &record)) {
        struct place place = {
            .segment = segment->id,
            .offset = header->offset + SEGMENT_HEADER_BYTES +
                      (uint64_t)(start - (const uint8_t *)body.data),
            .bytes = {start, (size_t)(reader.at - start)},
        };
        if (record.group != repair->floor->group) {
            return give_up(repair, "the log has other groups as well");
        }
        status = checkpoint ? take_group(repair, &record) : take_record(repair, &place, &record);
        start = reader.at;
    }
    return status == RR_OK && reader.failed ? give_up(repair, "a record is malformed") : status;
}

/* --- Frames --- */

static rr_status take_frame(struct repair *repair, const struct segment *segment,
                            const struct segment_header *header)
{
    bool follows =
        header->number == repair->number + 1 && header->previous_checksum == repair->checksum;
    if (header->number <= repair->number) {
        return give_up(repair, "its frames are not in their order");
    }
    if (!follows) {
        bool begins = repair->number == 0;
        repair->missing +=
            begins ? header->kind != SEGMENT_FRAME_CHECKPOINT : header->number - repair->number - 1;
        repair->first = header->number;
        forget(repair);
    }
    witness(repair, header->durable);
    if (header->kind == SEGMENT_FRAME_CHECKPOINT) {
        witness(repair, header->number);
    }
    repair->number = header->number;
    repair->checksum = header->body_checksum;
    return take_body(repair, segment, header);
}

/* A place where no frame of this segment stands: a header there may tell of one that is missing. */
static void look_at_stray(struct repair *repair, const struct segment *segment, uint64_t offset,
                          const struct segment_header *header)
{
    if (header->log_id != repair->store->log_id || header->segment != segment->id ||
        (repair->limit != 0 && header->number >= repair->limit)) {
        return;
    }
    witness(repair, header->durable);
    if (header->offset != offset) {
        witness(repair, header->number); /* it went to a wrong place */
    }
}

/* Receives each whole frame of a segment; `stop` ends the walk. */
typedef rr_status (*frame_fn)(struct repair *repair, const struct segment *segment,
                              const struct segment_header *header, bool *stop);

static rr_status walk_frames(struct repair *repair, const struct segment *segment, frame_fn visit)
{
    uint64_t size;
    rr_status status = file_size(segment->path, &size, repair->text);
    bool stop = false;
    for (uint64_t offset = 0; status == RR_OK && !stop && offset < size;) {
        struct segment_header header = {0};
        enum segment_frame_state state;
        status = segment_log_read_frame(segment, size, offset, &header, &repair->body, &state,
                                        repair->text);
        uint64_t bytes = SEGMENT_BLOCK_BYTES;
        if (status == RR_OK && state == SEGMENT_FRAME_WHOLE && header.offset == offset &&
            (repair->store->log_id == 0 || header.log_id == repair->store->log_id)) {
            bytes = segment_frame_bytes(header.body_size);
            status = visit(repair, segment, &header, &stop);
        } else if (status == RR_OK && state != SEGMENT_FRAME_NONE) {
            look_at_stray(repair, segment, offset, &header);
        }
        offset += bytes;
    }
    return status;
}

static rr_status take_if_ours(struct repair *repair, const struct segment *segment,
                              const struct segment_header *header, bool *stop)
{
    *stop = repair->limit != 0 && header->number >= repair->limit;
    return *stop ? RR_OK : take_frame(repair, segment, header);
}

/* --- Segments --- */

/* Sees what the first whole frame of a segment is. */
static rr_status note_first(struct repair *repair, const struct segment *segment,
                            const struct segment_header *header, bool *stop)
{
    (void)segment;
    repair->store->log_id = header->log_id;
    repair->limit = header->number;
    *stop = true;
    return RR_OK;
}

/* Sets the limit for the segment at `position`: the first frame that a later one has. */
static rr_status find_limit(struct repair *repair, uint32_t position)
{
    const struct segment_log_store *store = repair->store;
    uint64_t durable = repair->durable; /* what strays say while it is looked for does not count */
    repair->limit = 0;
    rr_status status = RR_OK;
    for (uint32_t i = position + 1;
         status == RR_OK && repair->limit == 0 && i < store->segment_count; i++) {
        if (store->segments[i].fd >= 0) {
            status = walk_frames(repair, &store->segments[i], note_first);
        }
    }
    repair->durable = durable;
    return status;
}

static rr_status read_segments(struct repair *repair)
{
    const struct segment_log_store *store = repair->store;
    rr_status status = RR_OK;
    for (uint32_t i = 0; status == RR_OK && i < store->segment_count; i++) {
        const struct segment *segment = &store->segments[i];
        uint64_t before = repair->number;
        status = find_limit(repair, i);
        if (status == RR_OK && segment->fd >= 0) {
            status = walk_frames(repair, segment, take_if_ours);
        }
        if (status == RR_OK && repair->number == before) {
            witness(repair, before + 1); /* its checkpoint, at least, was there */
        }
    }
    return status;
}

/* Opens the segments that are there; others in between have no file. */
static rr_status open_segments(struct repair *repair)
{
    struct segment_log_store *store = repair->store;
    struct segment_log_ids found;
    rr_status status = segment_log_list(store->path, &found, repair->text);
    for (size_t i = 0; status == RR_OK && i < found.count; i++) {
        uint64_t next = i == 0 ? found.ids[0] : segment_newest(store)->id + 1;
        if (found.ids[i] - next > GONE_SEGMENTS_MAX) {
            status = give_up(repair, "too many of its files are missing");
        }
        for (; status == RR_OK && next <= found.ids[i]; next++) {
            char path[PATH_BYTES_MAX];
            int fd = -1;
            status = segment_log_path(store, next, path, repair->text);
            if (status == RR_OK && next == found.ids[i]) {
                status = file_open(path, &fd, repair->text);
            }
            if (status == RR_OK) {
                segment_log_add_segment(store, next, fd, path);
            }
        }
    }
    mem_free(found.ids);
    return status == RR_OK && store->segment_count == 0
               ? give_up(repair, "none of its files is there")
               : status;
}

/* --- The decision --- */

static rr_status check_gathered(struct repair *repair)
{
    const struct segment_log_floor *floor = repair->floor;
    const struct segment_group *group = the_group(repair);
    raft_index missing;
    if (repair->number == 0 || group == NULL) {
        return give_up(repair, "no frame is whole");
    }
    if (repair->durable > repair->number) {
        return give_up(repair, "its last frames are among it");
    }
    if (repair->durable + 1 < repair->first) {
        return give_up(repair, "nothing tells whether the frames after it count");
    }
    if (!repair->hard_state_known) {
        return give_up(repair, "a vote or the commit index may be among it");
    }
    if (!repair->last_known || group->record.base_index > floor->index ||
        !segment_group_whole(group, &missing)) {
        return give_up(repair, "entries that are still needed may be among it");
    }
    if (repair->base > floor->index || group->last_index < floor->index) {
        return give_up(repair, "the state does not go with the log");
    }
    /* A log that lacks the entry itself may be one that an installed snapshot has made void. */
    if (segment_group_term(group, floor->index) != floor->term) {
        return give_up(repair, "the state does not go with the log");
    }
    return group->record.hard_state.commit > group->last_index
               ? give_up(repair, "entries that were committed are among it")
               : RR_OK;
}

/* The state's position becomes the base. */
static rr_status move_base(struct repair *repair)
{
    const struct segment_log_floor *floor = repair->floor;
    struct segment_group *group = the_group(repair);
    rr_status status = RR_OK;
    if (group->record.base_index < floor->index) {
        struct buffer record;
        buffer_init(&record);
        segment_put_base(&record, SEGMENT_RECORD_PURGE, floor->group, floor->index, floor->term);
        struct place place = {.bytes = buffer_bytes(&record)};
        status = apply(repair, &place);
        buffer_deinit(&record);
    }
    struct raft_hard_state *hard_state = &group->record.hard_state;
    if (status == RR_OK && hard_state->commit < floor->index) {
        hard_state->commit = floor->index; /* what is applied is committed */
    }
    return status;
}

static rr_status write_gathered(struct repair *repair,
                                const struct segment_log_store_options *options)
{
    struct segment_log_store *store = repair->store;
    const struct segment_group *group = the_group(repair);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < group->count; i++) {
        bytes += segment_group_span(group, i)->bytes;
    }
    if (bytes > SEGMENT_BYTES_LIMIT) {
        return give_up(repair, "what is left of it is too much for one file");
    }
    struct segment_pool_options pool = {.path = options->path,
                                        .segment_bytes = store->segment_bytes};
    rr_status status = segment_pool_open(&pool, repair->text, &store->pool);
    if (status == RR_OK) {
        store->number = repair->number;
        store->previous_checksum = repair->checksum;
        status = segment_log_rewrite(store, repair->text);
    }
    if (status == RR_OK) {
        snprintf(repair->text->text, sizeof(repair->text->text),
                 "%" PRIu64
                 " frames of the log in %.400s are damaged or missing; they held nothing "
                 "but entries up to %" PRIu64
                 ", which the state contains: the log now begins after those",
                 repair->missing, store->path, repair->floor->index);
    }
    return status;
}

rr_status segment_log_store_repair(const struct segment_log_store_options *options,
                                   const struct segment_log_floor *floor,
                                   struct storage_error *text)
{
    struct repair repair = {.floor = floor, .text = text};
    rr_status status = segment_log_new(options, text, &repair.store);
    if (status != RR_OK) {
        return status;
    }
    buffer_init(&repair.body);
    forget(&repair);
    status = open_segments(&repair);
    if (status == RR_OK) {
        status = find_limit(&repair, UINT32_MAX); /* whose log it is: the oldest frame says */
    }
    if (status == RR_OK) {
        status = read_segments(&repair);
    }
    if (status == RR_OK) {
        status = check_gathered(&repair);
    }
    if (status == RR_OK) {
        status = move_base(&repair);
    }
    if (status == RR_OK) {
        status = write_gathered(&repair, options);
    }
    buffer_deinit(&repair.body);
    segment_log_free(repair.store);
    return status;
}
