#include "inspect/segments.h"

#include <inttypes.h>
#include <string.h>

#include "inspect/remedy.h"

/* One reading, from segment to segment. */
struct walk {
    struct segment_reader *reader;
    const struct segment_source *source;
    struct output *output;
    bool has_chain;       /* the frames up to here are known without a gap */
    bool was_cut;         /* they once were not */
    uint64_t next_number; /* of the frame that comes next, and of the body before it; has_chain */
    uint64_t previous;
};

/* A segment while it is read. */
struct image {
    uint64_t id;
    struct slice bytes;
    char name[PATH_BYTES];
};

void segment_name(const char *directory, uint64_t id, char *name)
{
    snprintf(name, PATH_BYTES, "%s/segment-%016" PRIx64, directory, id);
}

const char *log_end_name(enum log_end end)
{
    switch (end) {
    case LOG_END_UNKNOWN:
        return "unknown";
    case LOG_END_CLOSED:
        return "closed";
    case LOG_END_OPEN:
        return "open";
    case LOG_END_TORN:
        return "torn";
    }
    return "unknown";
}

static struct slice slice_from(struct slice bytes, uint64_t offset)
{
    if (offset >= bytes.size) {
        return (struct slice){bytes.data, 0};
    }
    return (struct slice){bytes.data + offset, bytes.size - (size_t)offset};
}

static void cut_chain(struct walk *walk)
{
    walk->has_chain = false;
    walk->was_cut = true;
    walk->reader->is_whole = false;
}

static void damage(struct walk *walk, const struct image *image, uint64_t offset, const char *what)
{
    if (walk->reader->groups.no_memory) {
        output_blind(walk->output, image->name, "there is not enough memory to read this log");
    } else {
        output_damage(walk->output, image->name, offset, REMEDY_LOG, "%s", what);
    }
    cut_chain(walk);
}

static bool is_of(const struct walk *walk, const struct image *image,
                  const struct frame_header *header)
{
    return header->log == walk->reader->log && header->segment == image->id;
}

enum frame_result { FRAME_THERE, FRAME_ABSENT, FRAME_WRONG };

/* Which rule the whole header at `offset` breaks, which names this segment; NULL: none. */
static const char *header_fault(const struct walk *walk, const struct frame_header *header,
                                uint64_t offset)
{
    if (header->log != walk->reader->log) {
        return "a frame of another log stands here";
    }
    if (header->offset != offset) {
        return "a frame that names another offset stands here: the disk put it in the wrong place";
    }
    if ((header->kind == FRAME_CHECKPOINT) != (offset == 0)) {
        return offset == 0 ? "the segment does not begin with a checkpoint"
                           : "a checkpoint stands within the segment";
    }
    if (walk->has_chain && header->number != walk->next_number) {
        return "this frame has another number than the one that comes next";
    }
    if (walk->has_chain && header->previous != walk->previous) {
        return "this frame does not follow the one before it: the checksum of that body differs";
    }
    return frame_header_fault(header);
}

/* Looks for the frame that is to stand at `offset`. What is wrong is told. */
static enum frame_result find_frame(struct walk *walk, const struct image *image, uint64_t offset,
                                    struct frame_header *header, struct slice *body)
{
    struct slice bytes = slice_from(image->bytes, offset);
    switch (frame_header_read(bytes, header)) {
    case HEADER_NONE:
        return FRAME_ABSENT;
    case HEADER_NEWER:
        output_blind(walk->output, image->name, "at %" PRIu64 ": a newer version wrote this frame",
                     offset);
        cut_chain(walk);
        return FRAME_WRONG;
    case HEADER_WHOLE:
        break;
    }
    if (header->segment != image->id) {
        return FRAME_ABSENT; /* from before the file was used again */
    }
    const char *wrong = header_fault(walk, header, offset);
    if (wrong != NULL) {
        damage(walk, image, offset, wrong);
        return FRAME_WRONG;
    }
    if (!frame_body(bytes, header, body)) {
        return FRAME_ABSENT;
    }
    return FRAME_THERE;
}

static void take_frame(struct walk *walk, const struct frame_header *header,
                       const struct body_place *place)
{
    struct segment_reader *reader = walk->reader;
    walk->has_chain = true;
    walk->next_number = header->number + 1;
    walk->previous = header->body_checksum;
    reader->frames++;
    reader->last_frame = header->number;
    if (header->durable > reader->durable) {
        reader->durable = header->durable;
    }
    bool is_closing =
        header->kind == FRAME_RECORDS && header->size == 0 && header->durable == header->number - 1;
    reader->end = is_closing ? LOG_END_CLOSED : LOG_END_OPEN;
    if (reader->frame != NULL) {
        reader->frame(reader->arg, header, place);
    }
}

/* The frame that a segment begins with. After a gap, all that follows builds on it alone. */
static bool read_checkpoint(struct walk *walk, const struct image *image, struct segment_item *item)
{
    struct frame_header header;
    struct body_place place = {image->id, FRAME_HEADER_BYTES, {NULL, 0}};
    switch (find_frame(walk, image, 0, &header, &place.body)) {
    case FRAME_THERE:
        break;
    case FRAME_ABSENT:
        damage(walk, image, 0, "the segment does not begin with a whole checkpoint of this log");
        return false;
    case FRAME_WRONG:
        return false;
    }
    uint64_t oldest;
    const char *wrong = walk->has_chain ? groups_compare(&walk->reader->groups, &place, &oldest)
                                        : groups_begin(&walk->reader->groups, &place, &oldest);
    if (wrong != NULL) {
        damage(walk, image, 0, wrong);
        return false;
    }
    item->frames = 1;
    item->first_frame = header.number;
    item->used_bytes = frame_next_offset(0, header.size);
    take_frame(walk, &header, &place);
    return true;
}

/*
 * Looks behind the last frame of the newest segment, at `end`, for proof that the frame which is
 * not there was there.
 */
static void judge_end(struct walk *walk, const struct image *image, uint64_t end)
{
    char text[256];
    for (uint64_t at = end; at < image->bytes.size; at += FRAME_BLOCK_BYTES) {
        struct frame_header header;
        if (frame_header_read(slice_from(image->bytes, at), &header) != HEADER_WHOLE ||
            !is_of(walk, image, &header)) {
            continue;
        }
        if (header.offset != at) {
            snprintf(text, sizeof(text),
                     "a frame that names the offset %" PRIu64 " stands here: the disk put it "
                     "in the wrong place",
                     header.offset);
            damage(walk, image, at, text);
            return;
        }
        if (header.durable >= walk->next_number) {
            snprintf(text, sizeof(text),
                     "frame %" PRIu64 " is damaged: frame %" PRIu64 " at %" PRIu64
                     " says that it was durable",
                     walk->next_number, header.number, at);
            damage(walk, image, end, text);
            return;
        }
        walk->reader->end = LOG_END_TORN;
    }
}

/* Reads the frames after the checkpoint, up to the number `limit` (0: the newest segment). */
static void read_frames(struct walk *walk, const struct image *image, uint64_t limit,
                        struct segment_item *item)
{
    while (limit == 0 || walk->next_number < limit) {
        struct frame_header header;
        struct body_place place = {image->id, item->used_bytes + FRAME_HEADER_BYTES, {NULL, 0}};
        uint64_t at = item->used_bytes;
        enum frame_result result = find_frame(walk, image, at, &header, &place.body);
        if (result == FRAME_WRONG) {
            return;
        }
        if (result == FRAME_ABSENT && limit == 0) {
            judge_end(walk, image, at);
            return;
        }
        if (result == FRAME_ABSENT) {
            damage(walk, image, at, "a frame is damaged or missing, and a later segment needs it");
            return;
        }
        uint64_t wrong_at = place.offset;
        const char *wrong = groups_follow(&walk->reader->groups, &place, &wrong_at);
        if (wrong != NULL) {
            damage(walk, image, wrong_at, wrong);
            return;
        }
        item->frames++;
        item->used_bytes = frame_next_offset(at, header.size);
        take_frame(walk, &header, &place);
    }
}

/* The number of the frame that segment `id` begins with; 0 if its header cannot be had. */
static uint64_t first_number(const struct walk *walk, uint64_t id)
{
    struct slice bytes;
    if (!walk->source->load(walk->source->arg, id, FRAME_BLOCK_BYTES, &bytes)) {
        return 0;
    }
    struct frame_header header;
    bool is_there = frame_header_read(bytes, &header) == HEADER_WHOLE &&
                    header.log == walk->reader->log && header.segment == id && header.offset == 0;
    slice_free(&bytes);
    return is_there ? header.number : 0;
}

static void read_segment(struct walk *walk, size_t at)
{
    const struct segment_source *source = walk->source;
    struct image image = {.id = source->ids[at]};
    segment_name(source->directory, image.id, image.name);
    struct segment_item item = {.id = image.id};
    if (!source->load(source->arg, image.id, UINT64_MAX, &image.bytes)) {
        cut_chain(walk);
        return;
    }
    item.bytes = image.bytes.size;
    bool is_newest = at + 1 == source->count;
    uint64_t limit = is_newest ? 0 : first_number(walk, source->ids[at + 1]);
    walk->reader->end = LOG_END_UNKNOWN;
    if (read_checkpoint(walk, &image, &item) && (is_newest || limit != 0)) {
        read_frames(walk, &image, limit, &item);
    }
    if (!walk->has_chain) {
        walk->reader->end = LOG_END_UNKNOWN;
    }
    slice_free(&image.bytes);
    if (walk->reader->segment != NULL) {
        walk->reader->segment(walk->reader->arg, &item);
    }
}

/* What the newest segment's checkpoint says of the whole: the log's id and the oldest segment. */
static bool read_newest(struct walk *walk)
{
    const struct segment_source *source = walk->source;
    struct image image = {.id = source->ids[source->count - 1]};
    segment_name(source->directory, image.id, image.name);
    if (!source->load(source->arg, image.id, UINT64_MAX, &image.bytes)) {
        cut_chain(walk);
        return false;
    }
    struct frame_header header;
    struct slice body;
    bool is_whole = frame_header_read(image.bytes, &header) == HEADER_WHOLE &&
                    header.segment == image.id && header.offset == 0 && header.log != 0 &&
                    frame_body(image.bytes, &header, &body);
    if (is_whole) {
        struct reader reader = reader_of(body);
        walk->reader->log = header.log;
        walk->reader->oldest = read_u64(&reader);
    }
    slice_free(&image.bytes);
    return is_whole && walk->reader->oldest <= image.id;
}

/* Where to begin if the newest segment does not say: with the first that has a header. */
static void guess_log(struct walk *walk)
{
    const struct segment_source *source = walk->source;
    walk->reader->oldest = source->ids[0];
    for (size_t i = 0; i < source->count; i++) {
        struct slice bytes;
        struct frame_header header;
        if (!source->load(source->arg, source->ids[i], FRAME_BLOCK_BYTES, &bytes)) {
            continue;
        }
        bool is_there =
            frame_header_read(bytes, &header) == HEADER_WHOLE && header.segment == source->ids[i];
        slice_free(&bytes);
        if (is_there) {
            walk->reader->log = header.log;
            return;
        }
    }
}

static void check_places(struct walk *walk)
{
    char name[PATH_BYTES];
    segment_name(walk->source->directory, walk->reader->oldest, name);
    const struct groups *groups = &walk->reader->groups;
    for (size_t i = 0; i < groups->count; i++) {
        uint64_t index;
        if (group_missing(groups->list[i], &index)) {
            output_damage(walk->output, name, NO_OFFSET, REMEDY_LOG,
                          "entry %" PRIu64 " of group %" PRIu64
                          " is in no segment, though the log needs none before this one",
                          index, groups->list[i]->id);
            walk->reader->is_whole = false;
        }
    }
}

static void tell_leftover(struct walk *walk, uint64_t id)
{
    struct segment_item item = {.id = id, .is_leftover = true};
    struct slice bytes;
    if (walk->source->load(walk->source->arg, id, UINT64_MAX, &bytes)) {
        item.bytes = bytes.size;
        slice_free(&bytes);
    }
    if (walk->reader->segment != NULL) {
        walk->reader->segment(walk->reader->arg, &item);
    }
}

void segment_reader_run(struct segment_reader *reader, const struct segment_source *source,
                        struct output *output)
{
    struct walk walk = {.reader = reader, .source = source, .output = output};
    reader->is_whole = true;
    reader->end = LOG_END_UNKNOWN;
    if (source->count == 0) {
        return;
    }
    if (!read_newest(&walk)) {
        guess_log(&walk);
    }
    uint64_t expected = reader->oldest;
    for (size_t i = 0; i < source->count; i++) {
        uint64_t id = source->ids[i];
        if (id < reader->oldest) {
            tell_leftover(&walk, id);
            continue;
        }
        if (id != expected) {
            struct image missing = {.id = expected};
            segment_name(source->directory, expected, missing.name);
            damage(&walk, &missing, NO_OFFSET, "this segment is missing, and later ones need it");
        }
        read_segment(&walk, i);
        expected = id + 1;
    }
    if (!walk.was_cut) {
        check_places(&walk);
    }
}

void segment_reader_deinit(struct segment_reader *reader)
{
    groups_clear(&reader->groups);
}
