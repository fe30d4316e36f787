/* The log in segments. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/inspect.h"

/* One look at a log in segments. */
struct look {
    const struct place *place;
    const char *directory;
    const struct request *request;
    uint64_t *ids;
    size_t id_count;
    uint64_t spares;
    uint64_t spare_bytes;
    uint64_t shown; /* entries */
};

static bool load_segment(void *arg, uint64_t id, uint64_t limit, struct slice *out)
{
    const struct look *look = arg;
    char name[PATH_BYTES];
    segment_name(look->directory, id, name);
    enum load_result result = place_load(look->place, name, limit, out);
    if (result == LOAD_MISSING) {
        output_blind(look->place->output, name, "it went away while it was read");
    }
    return result == LOAD_DONE;
}

static void show_record(struct look *look, const struct record *record)
{
    struct output *output = look->place->output;
    output_begin(output, "record");
    output_text(output, "record", record_name(record->kind));
    output_number(output, "group", record->group);
    switch (record->kind) {
    case RECORD_GROUP:
    case RECORD_HARD_STATE:
        output_number(output, "term", record->term);
        output_number(output, "vote", record->vote);
        output_number(output, "commit", record->commit);
        break;
    case RECORD_ENTRIES:
    case RECORD_COPY:
        output_number(output, "first", record->first);
        output_number(output, "count", record->count);
        output_number(output, "bytes", record->entries.size);
        break;
    case RECORD_PURGE:
    case RECORD_RESET:
    case RECORD_DESTROY:
        break;
    }
    if (record->kind == RECORD_GROUP || record->kind == RECORD_PURGE ||
        record->kind == RECORD_RESET) {
        output_number(output, "base", record->base_index);
        output_number(output, "base_term", record->base_term);
    }
    if (record->kind == RECORD_GROUP) {
        output_number(output, "last", record->last_index);
        output_number(output, "last_term", record->last_term);
    }
    output_end(output);
}

static void show_frame(void *arg, const struct frame_header *header, const struct body_place *place)
{
    struct look *look = arg;
    if (look->request->has_segment && look->request->segment != header->segment) {
        return;
    }
    struct output *output = look->place->output;
    output_begin(output, "frame");
    output_number(output, "number", header->number);
    output_number(output, "segment", header->segment);
    output_number(output, "offset", header->offset);
    output_number(output, "bytes", header->size);
    output_number(output, "durable", header->durable);
    output_text(output, "body", header->kind == FRAME_CHECKPOINT ? "checkpoint" : "records");
    struct reader reader = reader_of(place->body);
    if (header->kind == FRAME_CHECKPOINT) {
        output_number(output, "oldest", read_u64(&reader));
    }
    output_end(output);
    struct record record;
    while (!reader_is_done(&reader) && record_read(&reader, header->kind, &record) == NULL) {
        show_record(look, &record);
    }
}

static void show_segment(void *arg, const struct segment_item *segment)
{
    struct look *look = arg;
    struct output *output = look->place->output;
    output_begin(output, "segment");
    output_number(output, "id", segment->id);
    output_number(output, "bytes", segment->bytes);
    if (segment->is_leftover) {
        output_flag(output, "leftover", true);
    } else {
        output_number(output, "first_frame", segment->first_frame);
        output_number(output, "frames", segment->frames);
        output_number(output, "used_bytes", segment->used_bytes);
    }
    output_end(output);
}

/* Prints the entries of a span that are asked for, out of its segment's bytes. */
static bool show_span(struct look *look, const struct group *group, const struct span *span,
                      struct slice bytes)
{
    if (span->offset > bytes.size) {
        return false;
    }
    struct reader reader =
        reader_of((struct slice){bytes.data + span->offset, bytes.size - span->offset});
    for (uint64_t index = span->start; index < span->first + span->count; index++) {
        struct slice value = read_bytes(&reader);
        struct entry entry;
        if (reader.failed || entry_read(value, group->id, index, &entry) != NULL) {
            return false;
        }
        if (index < span->first || !request_wants(look->request, group->id, index)) {
            continue;
        }
        if (look->shown++ == look->request->limit) {
            return true;
        }
        inspect_entry(look->place, look->request, group->id, index, &entry);
    }
    return true;
}

static void show_entries(struct look *look, const struct groups *groups)
{
    struct slice bytes = {NULL, 0};
    uint64_t loaded = UINT64_MAX;
    for (size_t i = 0; i < groups->count; i++) {
        const struct group *group = groups->list[i];
        for (size_t s = group->spans_begin; s < group->spans_end; s++) {
            const struct span *span = &group->spans[s];
            if (look->shown > look->request->limit || span->first > look->request->to ||
                span->first + span->count <= look->request->from ||
                (look->request->has_group && look->request->group != group->id)) {
                continue;
            }
            if (loaded != span->segment) {
                slice_free(&bytes);
                loaded = span->segment;
                if (!load_segment(look, span->segment, UINT64_MAX, &bytes)) {
                    loaded = UINT64_MAX;
                    continue;
                }
            }
            if (!show_span(look, group, span, bytes)) {
                char name[PATH_BYTES];
                segment_name(look->directory, span->segment, name);
                output_blind(look->place->output, name, "it changed while it was read");
            }
        }
    }
    slice_free(&bytes);
}

static bool list_segments(struct look *look)
{
    struct names names = {NULL, 0};
    if (place_list(look->place, look->directory, &names) != LOAD_DONE) {
        return false;
    }
    look->ids = calloc(names.count + 1, sizeof(*look->ids));
    for (size_t i = 0; i < names.count && look->ids != NULL; i++) {
        char path[PATH_BYTES];
        uint64_t number;
        uint64_t size;
        snprintf(path, sizeof(path), "%s/%s", look->directory, names.list[i]);
        if (name_number(names.list[i], "segment-", 16, &number) && strlen(names.list[i]) == 24) {
            look->ids[look->id_count++] = number;
        } else if (name_number(names.list[i], "spare-", 16, &number)) {
            place_type(look->place, path, &size);
            look->spares++;
            look->spare_bytes += size;
        } else {
            output_note(look->place->output, path, NO_OFFSET, "no part of a log in segments");
        }
    }
    names_free(&names);
    if (look->ids == NULL) {
        output_blind(look->place->output, look->directory, "no memory");
    }
    return look->ids != NULL;
}

static void show_log(const struct look *look, const struct segment_reader *reader)
{
    struct output *output = look->place->output;
    output_begin(output, "log");
    output_text(output, "log", "segments");
    output_id(output, "id", reader->log);
    output_number(output, "segments", look->id_count);
    output_number(output, "oldest", reader->oldest);
    output_number(output, "frames", reader->frames);
    output_number(output, "last_frame", reader->last_frame);
    output_number(output, "durable_frame", reader->durable);
    output_text(output, "end", log_end_name(reader->end));
    output_number(output, "groups", reader->groups.count);
    output_number(output, "spares", look->spares);
    output_number(output, "spare_bytes", look->spare_bytes);
    output_end(output);
}

static struct group_bounds bounds_of(const struct group *group)
{
    return (struct group_bounds){
        .is_known = true,
        .term = group->term,
        .vote = group->vote,
        .commit = group->commit,
        .base_index = group->base_index,
        .base_term = group->base_term,
        .last_index = group->last_index,
        .last_term = group->last_term,
    };
}

static uint64_t term_of(const struct group *group, uint64_t index)
{
    if (index == group->base_index) {
        return group->base_term;
    }
    for (size_t i = group->spans_begin; i < group->spans_end; i++) {
        const struct span *span = &group->spans[i];
        if (index >= span->first && index - span->first < span->count) {
            return span->term;
        }
    }
    return 0;
}

static void tell_facts(const struct segment_reader *reader, uint64_t applied_index,
                       struct log_facts *out)
{
    out->is_there = reader->groups.count > 0;
    out->is_whole = reader->is_whole;
    const struct group *group = groups_find(&reader->groups, 0);
    if (group == NULL) {
        return;
    }
    out->bounds = bounds_of(group);
    out->applied_term = term_of(group, applied_index);
}

void inspect_segments(const struct place *place, const struct request *request,
                      const char *directory, uint64_t applied_index, struct log_facts *out)
{
    struct look look = {.place = place, .directory = directory, .request = request};
    if (!list_segments(&look)) {
        out->is_whole = false;
        return;
    }
    struct segment_source source = {&look, directory, look.ids, look.id_count, load_segment};
    struct segment_reader reader = {
        .frame = request->frames ? show_frame : NULL,
        .segment = request->segments ? show_segment : NULL,
        .arg = &look,
    };
    segment_reader_run(&reader, &source, place->output);
    if (request->log) {
        show_log(&look, &reader);
    }
    for (size_t i = 0; i < reader.groups.count && request->groups; i++) {
        const struct group *group = reader.groups.list[i];
        struct group_bounds bounds = bounds_of(group);
        inspect_group(place, group->id, &bounds);
    }
    if (request->entries) {
        show_entries(&look, &reader.groups);
    }
    tell_facts(&reader, applied_index, out);
    segment_reader_deinit(&reader);
    free(look.ids);
}
