/*
 * Reading a segmented log back, and telling a torn end from damage. What is read is checked in
 * three ways: each frame against its checksums and the one before it, each record against the log
 * so far, and each checkpoint against all that was read before it.
 */
#include "base/assert.h"
#include "base/memory.h"
#include "storage/draw.h"
#include "storage/segment_log_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TAIL_PIECE_BYTES = 256 * SEGMENT_BLOCK_BYTES };

rr_status segment_log_path(const struct segment_log_store *store, uint64_t id,
                           char out[PATH_BYTES_MAX], struct storage_error *error)
{
    char name[32];
    snprintf(name, sizeof(name), "segment-%016" PRIx64, id);
    return path_join(store->path, name, out, error);
}

void segment_log_add_segment(struct segment_log_store *store, uint64_t id, int fd, const char *path)
{
    ASSERT(store->segment_count == 0 || segment_newest(store)->id + 1 == id);
    store->segments =
        mem_resize(store->segments, (store->segment_count + 1) * sizeof(store->segments[0]));
    store->segments[store->segment_count++] =
        (struct segment){.id = id, .fd = fd, .path = mem_copy_text(path)};
}

/* --- Frames --- */

/* RR_CORRUPT, with where it is. */
static rr_status damaged(const struct segment *segment, uint64_t offset, const char *what,
                         struct storage_error *error)
{
    return storage_fail(error, RR_CORRUPT, "%s is damaged at byte %" PRIu64 ": %s; %s",
                        segment->path, offset, what, LOG_DAMAGE_ADVICE);
}

/* RR_IO: what was whole is not, or the reverse. The medium may be well, and must not be judged, nor
 * written, by what was read. */
static rr_status unsteady(const struct segment *segment, uint64_t offset,
                          struct storage_error *error)
{
    return storage_fail(error, RR_IO,
                        "%s reads now in one way and now in another at byte %" PRIu64
                        ": check the disk, its cable and the memory, then start again",
                        segment->path, offset);
}

rr_status segment_log_read_frame(const struct segment *segment, uint64_t size, uint64_t offset,
                                 struct segment_header *header, struct buffer *body,
                                 enum segment_frame_state *state, struct storage_error *error)
{
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    *state = SEGMENT_FRAME_NONE;
    if (size < SEGMENT_HEADER_BYTES || offset > size - SEGMENT_HEADER_BYTES) {
        return RR_OK;
    }
    rr_status status =
        file_read_at(segment->fd, segment->path, offset, bytes, sizeof(bytes), error);
    if (status != RR_OK) {
        return status;
    }
    switch (segment_header_decode(bytes, header)) {
    case SEGMENT_HEADER_NONE:
        return RR_OK;
    case SEGMENT_HEADER_NEWER:
        return storage_fail(error, RR_MISMATCH,
                            "%s was written by a newer version of this program; run that one",
                            segment->path);
    case SEGMENT_HEADER_VALID:
        break;
    }
    if (header->segment != segment->id) {
        return RR_OK; /* the file was recycled */
    }
    *state = SEGMENT_FRAME_TORN;
    if (header->body_size > size - offset - SEGMENT_HEADER_BYTES) {
        return RR_OK;
    }
    buffer_clear(body);
    uint8_t *at = buffer_extend(body, (size_t)header->body_size);
    if (at == NULL && header->body_size > 0) {
        return storage_fail(error, RR_NO_MEMORY, "no memory for a frame of %" PRIu64 " bytes",
                            header->body_size);
    }
    status = file_read_at(segment->fd, segment->path, offset + SEGMENT_HEADER_BYTES, at,
                          (size_t)header->body_size, error);
    if (status == RR_OK &&
        segment_body_checksum(header->number, buffer_bytes(body)) == header->body_checksum) {
        *state = SEGMENT_FRAME_WHOLE;
    }
    return status;
}

/* Reads the frame that a segment begins with. There is always one (segment_log_store.h, 2). */
static rr_status read_checkpoint(const struct segment *segment, struct segment_header *header,
                                 struct buffer *body, uint64_t *oldest, struct storage_error *error)
{
    uint64_t size;
    enum segment_frame_state state;
    rr_status status = file_size(segment->path, &size, error);
    if (status == RR_OK) {
        status = segment_log_read_frame(segment, size, 0, header, body, &state, error);
    }
    if (status != RR_OK) {
        return status;
    }
    if (state != SEGMENT_FRAME_WHOLE || header->kind != SEGMENT_FRAME_CHECKPOINT ||
        header->offset != 0 || body->size < 8 || load_u64(body->data) == 0 ||
        load_u64(body->data) > segment->id) {
        return damaged(segment, 0, "the checkpoint that a segment begins with is not there", error);
    }
    *oldest = load_u64(body->data);
    return RR_OK;
}

/* --- The end of the newest segment --- */

/* What a later block says about frame `number`, which is bad: NULL, or why that is damage. */
static const char *look_at_block(const struct segment_log_store *store,
                                 const struct segment *segment, uint64_t offset,
                                 const uint8_t *block, uint64_t number)
{
    struct segment_header header;
    if (segment_header_decode(block, &header) != SEGMENT_HEADER_VALID ||
        header.log_id != store->log_id || header.segment != segment->id) {
        return NULL;
    }
    if (header.offset != offset) {
        return "a frame was written to a wrong place after it";
    }
    return header.durable >= number ? "a frame after it says that the one here was durable" : NULL;
}

/* Frame `number` at `offset` is bad. Whether that is damage: RR_CORRUPT; or the end: RR_OK. */
static rr_status check_tail(struct segment_log_store *store, const struct segment *segment,
                            uint64_t size, uint64_t offset, uint64_t number,
                            struct storage_error *error)
{
    uint8_t *piece = mem_alloc(TAIL_PIECE_BYTES);
    rr_status status = RR_OK;
    uint64_t at = offset;
    while (status == RR_OK && at < size && size - at >= SEGMENT_HEADER_BYTES) {
        size_t left = size - at < TAIL_PIECE_BYTES ? (size_t)(size - at) : TAIL_PIECE_BYTES;
        status = file_read_at(segment->fd, segment->path, at, piece, left, error);
        for (size_t i = 0; status == RR_OK && left - i >= SEGMENT_HEADER_BYTES;) {
            const char *what = look_at_block(store, segment, at + i, piece + i, number);
            if (what != NULL) {
                status = damaged(segment, offset, what, error);
            }
            i = left - i < SEGMENT_BLOCK_BYTES ? left : i + SEGMENT_BLOCK_BYTES;
        }
        at += left;
    }
    mem_free(piece);
    return status;
}

/* --- Reading a segment --- */

/* Whether the header is of the frame that is due: NULL, or what is wrong with it. */
static const char *check_sequence(const struct segment_log_store *store,
                                  const struct segment_header *header, uint64_t offset)
{
    if (header->log_id != store->log_id || header->offset != offset) {
        return "a frame of another place";
    }
    if (header->number != store->number + 1 || header->durable > store->number ||
        header->previous_checksum != store->previous_checksum) {
        return "a frame that does not follow the one before it";
    }
    return header->kind == SEGMENT_FRAME_RECORDS ? NULL : "a second checkpoint";
}

/* Takes a whole frame in. */
static rr_status take_frame(struct segment_log_store *store, const struct segment *segment,
                            const struct segment_header *header, const struct buffer *body,
                            struct storage_error *error)
{
    const char *wrong = segment_log_apply(store, segment->id, store->offset + SEGMENT_HEADER_BYTES,
                                          buffer_bytes(body));
    if (wrong != NULL) {
        return damaged(segment, store->offset, wrong, error);
    }
    store->number = header->number;
    store->previous_checksum = header->body_checksum;
    store->durable = header->durable > store->durable ? header->durable : store->durable;
    store->offset += segment_frame_bytes(header->body_size);
    return RR_OK;
}

/* The log seems to end here. Where a second look finds a frame, the first one was wrong. */
static rr_status check_steady(const struct segment *segment, uint64_t size, uint64_t offset,
                              struct buffer *body, struct storage_error *error)
{
    struct segment_header header;
    enum segment_frame_state state;
    file_drop_cache(segment->fd);
    rr_status status = segment_log_read_frame(segment, size, offset, &header, body, &state, error);
    return status == RR_OK && state == SEGMENT_FRAME_WHOLE ? unsteady(segment, offset, error)
                                                           : status;
}

/* Reads the frames of a segment up to number `last`; of the newest one (`last` is 0) up to the
 * first that is not whole. */
static rr_status read_frames(struct segment_log_store *store, const struct segment *segment,
                             uint64_t last, struct buffer *body, struct storage_error *error)
{
    uint64_t size;
    rr_status status = file_size(segment->path, &size, error);
    while (status == RR_OK && (last == 0 || store->number < last)) {
        struct segment_header header;
        enum segment_frame_state state;
        status = segment_log_read_frame(segment, size, store->offset, &header, body, &state, error);
        if (status != RR_OK) {
            return status;
        }
        const char *wrong =
            state == SEGMENT_FRAME_NONE ? NULL : check_sequence(store, &header, store->offset);
        if (wrong != NULL) {
            return damaged(segment, store->offset, wrong, error);
        }
        if (state != SEGMENT_FRAME_WHOLE && last == 0) {
            status = check_steady(segment, size, store->offset, body, error);
            if (status != RR_OK) {
                return status;
            }
        }
        if (state != SEGMENT_FRAME_WHOLE) {
            return last == 0
                       ? check_tail(store, segment, size, store->offset, store->number + 1, error)
                       : damaged(segment, store->offset,
                                 "a frame before the newest segment is not whole", error);
        }
        status = take_frame(store, segment, &header, body, error);
    }
    return status;
}

/* Takes in the checkpoint of a segment: the first one makes the groups, the others must agree. */
static rr_status take_checkpoint(struct segment_log_store *store, const struct segment *segment,
                                 bool first, struct buffer *body, struct storage_error *error)
{
    struct segment_header header;
    uint64_t oldest;
    rr_status status = read_checkpoint(segment, &header, body, &oldest, error);
    if (status != RR_OK) {
        return status;
    }
    rr_bytes records = {body->data + 8, body->size - 8};
    const char *wrong;
    if (first) {
        wrong = segment_log_apply_checkpoint(store, records);
    } else if (header.number != store->number + 1 ||
               header.previous_checksum != store->previous_checksum) {
        wrong = "a checkpoint that does not follow the frame before it";
    } else {
        wrong = segment_log_check_checkpoint(store, records);
    }
    if (wrong == NULL && header.log_id != store->log_id) {
        wrong = "a segment of another log";
    }
    if (wrong != NULL) {
        return damaged(segment, 0, wrong, error);
    }
    store->number = header.number;
    store->durable = header.number;
    store->previous_checksum = header.body_checksum;
    store->offset = segment_frame_bytes(header.body_size);
    return RR_OK;
}

static rr_status read_segments(struct segment_log_store *store, struct buffer *body,
                               struct storage_error *error)
{
    for (uint32_t i = 0; i < store->segment_count; i++) {
        const struct segment *segment = &store->segments[i];
        uint64_t last = 0;
        rr_status status = RR_OK;
        if (i + 1 < store->segment_count) {
            struct segment_header next;
            uint64_t oldest;
            status = read_checkpoint(segment + 1, &next, body, &oldest, error);
            last = status == RR_OK ? next.number - 1 : 0;
        }
        if (status == RR_OK) {
            status = take_checkpoint(store, segment, i == 0, body, error);
        }
        if (status == RR_OK && last > 0 && last < store->number) {
            status = damaged(segment + 1, 0, "a checkpoint of frames that came before", error);
        }
        if (status == RR_OK) {
            status = read_frames(store, segment, last, body, error);
        }
        if (status != RR_OK) {
            return status;
        }
    }
    return RR_OK;
}

/* --- Afterwards --- */

/* Every entry that a group has must have been read. */
static rr_status check_groups(struct segment_log_store *store, struct storage_error *error)
{
    size_t position = 0;
    void *value;
    while (map_iterate(&store->groups, &position, NULL, &value)) {
        const struct segment_group *group = value;
        raft_index missing;
        if (!segment_group_whole(group, &missing)) {
            return storage_fail(error, RR_CORRUPT,
                                "entry %" PRIu64 " of group %" PRIu64 " is missing in %s: %s",
                                missing, group->id, store->path, LOG_DAMAGE_ADVICE);
        }
        if (group->record.hard_state.commit > group->last_index) {
            return storage_fail(error, RR_CORRUPT,
                                "group %" PRIu64 " in %s has lost entries that were committed: %s",
                                group->id, store->path, LOG_DAMAGE_ADVICE);
        }
    }
    return RR_OK;
}

/* Reads the frame whose header is known once more, header and all, and writes it in its place. */
static rr_status write_frame_again(const struct segment *segment,
                                   const struct segment_header *header, struct buffer *frame,
                                   struct storage_error *error)
{
    buffer_clear(frame);
    uint8_t *at = buffer_extend(frame, (size_t)(SEGMENT_HEADER_BYTES + header->body_size));
    if (at == NULL) {
        return storage_fail(error, RR_NO_MEMORY, "no memory for a frame of %" PRIu64 " bytes",
                            header->body_size);
    }
    rr_status status =
        file_read_at(segment->fd, segment->path, header->offset, at, frame->size, error);
    if (status != RR_OK) {
        return status;
    }
    struct segment_header again;
    rr_bytes body = {at + SEGMENT_HEADER_BYTES, (size_t)header->body_size};
    if (segment_header_decode(at, &again) != SEGMENT_HEADER_VALID ||
        again.body_checksum != header->body_checksum ||
        segment_body_checksum(header->number, body) != header->body_checksum) {
        return unsteady(segment, header->offset, error);
    }
    return file_write_at(segment->fd, segment->path, header->offset, buffer_bytes(frame), error);
}

/* Writes the frames that no later one calls durable once more and syncs them: their pages may be
 * in memory alone, and clean, if a sync has failed. */
static rr_status write_end_again(struct segment_log_store *store, struct buffer *body,
                                 struct storage_error *error)
{
    const struct segment *newest = segment_newest(store);
    uint64_t number = 0;
    for (uint64_t offset = 0; offset < store->offset;) {
        uint8_t bytes[SEGMENT_HEADER_BYTES];
        struct segment_header header;
        rr_status status =
            file_read_at(newest->fd, newest->path, offset, bytes, sizeof(bytes), error);
        if (status == RR_OK && (segment_header_decode(bytes, &header) != SEGMENT_HEADER_VALID ||
                                header.offset != offset)) {
            status = unsteady(newest, offset, error);
        }
        if (status == RR_OK && header.number > store->durable) {
            status = write_frame_again(newest, &header, body, error);
        }
        if (status != RR_OK) {
            return status;
        }
        number = header.number;
        offset += segment_frame_bytes(header.body_size);
    }
    ASSERT(number == store->number);
    rr_status status = file_sync(newest->fd, newest->path, error);
    if (status == RR_OK) {
        store->durable = store->number;
    }
    return status;
}

/* --- The directory --- */

static rr_status find_segment(void *arg, const char *name, struct storage_error *error)
{
    struct segment_log_ids *found = arg;
    if (strcmp(name, "CURRENT") == 0) {
        return storage_fail(error, RR_MISMATCH,
                            "%s holds a log in RocksDB, not one in segments: a directory keeps the "
                            "kind that it was made with",
                            found->path);
    }
    uint64_t id;
    int length = 0;
    if (sscanf(name, "segment-%16" SCNx64 "%n", &id, &length) != 1 || length != 24 ||
        name[length] != 0) {
        return RR_OK;
    }
    found->ids = mem_resize(found->ids, (found->count + 1) * sizeof(found->ids[0]));
    found->ids[found->count++] = id;
    return RR_OK;
}

static int compare_ids(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

rr_status segment_log_list(const char *path, struct segment_log_ids *out,
                           struct storage_error *error)
{
    *out = (struct segment_log_ids){.path = path};
    rr_status status = directory_list(path, find_segment, out, error);
    if (status == RR_OK && out->count > 0) {
        qsort(out->ids, out->count, sizeof(out->ids[0]), compare_ids);
    }
    return status;
}

/* The oldest segment that the newest one asks for, and whose log it is. */
static rr_status ask_newest(struct segment_log_store *store, uint64_t id, struct buffer *body,
                            uint64_t *oldest, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    struct segment newest = {.id = id, .path = path};
    struct segment_header header;
    rr_status status = segment_log_path(store, id, path, error);
    if (status == RR_OK) {
        status = file_open(path, &newest.fd, error);
    }
    if (status != RR_OK) {
        return status;
    }
    status = read_checkpoint(&newest, &header, body, oldest, error);
    if (status == RR_OK) {
        store->log_id = header.log_id;
    }
    close(newest.fd);
    return status;
}

/* Opens the segments from `oldest` on, and gives up what is before. */
static rr_status open_segments(struct segment_log_store *store, const struct segment_log_ids *found,
                               uint64_t oldest, struct storage_error *error)
{
    uint64_t next = oldest;
    for (size_t i = 0; i < found->count; i++) {
        char path[PATH_BYTES_MAX];
        rr_status status = segment_log_path(store, found->ids[i], path, error);
        if (status != RR_OK) {
            return status;
        }
        if (found->ids[i] < oldest) {
            segment_pool_give(store->pool, path);
            continue;
        }
        if (found->ids[i] != next) {
            break;
        }
        int fd;
        status = file_open(path, &fd, error);
        if (status != RR_OK) {
            return status;
        }
        segment_log_add_segment(store, next, fd, path);
        next++;
    }
    if (next == found->ids[found->count - 1] + 1) {
        return RR_OK;
    }
    char path[PATH_BYTES_MAX];
    rr_status status = segment_log_path(store, next, path, error);
    return status == RR_OK
               ? storage_fail(error, RR_CORRUPT, "%s is missing: %s", path, LOG_DAMAGE_ADVICE)
               : status;
}

static rr_status load_found(struct segment_log_store *store, struct segment_log_ids *found,
                            struct buffer *body, struct storage_error *error)
{
    uint64_t oldest = 0;
    rr_status status = ask_newest(store, found->ids[found->count - 1], body, &oldest, error);
    if (status == RR_OK) {
        /* Names, too, may be in memory alone: none may be lost beside a later one that is kept. */
        status = directory_sync(store->path, error);
    }
    if (status == RR_OK) {
        status = open_segments(store, found, oldest, error);
    }
    if (status == RR_OK) {
        status = read_segments(store, body, error);
    }
    if (status == RR_OK) {
        status = check_groups(store, error);
    }
    return status == RR_OK ? write_end_again(store, body, error) : status;
}

rr_status segment_log_load(struct segment_log_store *store, struct storage_error *error)
{
    struct segment_log_ids found;
    struct buffer body;
    buffer_init(&body);
    rr_status status = segment_log_list(store->path, &found, error);
    if (status == RR_OK && found.count > 0) {
        status = load_found(store, &found, &body, error);
    } else if (status == RR_OK) {
        status = draw_number(&store->log_id, error);
    }
    buffer_deinit(&body);
    mem_free(found.ids);
    return status;
}
