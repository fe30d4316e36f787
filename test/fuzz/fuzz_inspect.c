/*
 * Fuzzes all that rockraft-inspect reads: segments of a log, manifests and the small files, commands
 * and members. Checksums are made right before a log is read, so that what is behind them is
 * reached. Whatever the bytes are, the reader ends, and a log that it calls whole has every entry in
 * its place.
 */
#include "inspect/manifest.h"
#include "inspect/payload.h"
#include "inspect/segments.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENTS = 3, FIRST_ID = 5 };

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* The input's segments, in memory. */
struct memory {
    struct slice parts[SEGMENTS];
};

static bool load_part(void *arg, uint64_t id, uint64_t limit, struct slice *out)
{
    const struct memory *memory = arg;
    const struct slice *part = &memory->parts[id - FIRST_ID];
    size_t size = part->size < limit ? part->size : (size_t)limit;
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    require(copy != NULL);
    if (size > 0) {
        memcpy(copy, part->data, size);
    }
    *out = (struct slice){copy, size};
    return true;
}

/* Makes the checksum of an entry right, if there is one. */
static void mend_entries(uint8_t *body, const struct record *record)
{
    struct reader reader = reader_of(record->entries);
    for (uint64_t i = 0; i < record->count; i++) {
        struct slice value = read_bytes(&reader);
        struct entry entry;
        if (reader.failed || entry_read(value, record->group, record->first + i, &entry) == NULL) {
            continue;
        }
        if (value.size < 18) {
            return;
        }
        uint8_t place[25];
        put_u64(place, record->group);
        put_u64(place + 8, record->first + i);
        put_u64(place + 16, entry.term);
        place[24] = entry.type;
        uint64_t seed = checksum((struct slice){place, sizeof(place)}, 0);
        put_u64(body + (value.data + 10 - body), checksum(entry.data, seed));
    }
}

/* Makes the checksums of what looks like a frame right. Its body ends with the segment at the
 * latest. */
static void mend_frame(uint8_t *frame, size_t room)
{
    struct reader reader = reader_of((struct slice){frame + 32, 32});
    uint64_t number = read_u64(&reader);
    read_u64(&reader);
    read_u64(&reader);
    uint64_t body_size = read_u64(&reader);
    if (body_size > room - FRAME_HEADER_BYTES) {
        body_size = room - FRAME_HEADER_BYTES;
        put_u64(frame + 56, body_size);
    }
    uint8_t *body = frame + FRAME_HEADER_BYTES;
    struct reader records = reader_of((struct slice){body, (size_t)body_size});
    struct record record;
    while (frame[5] == FRAME_RECORDS && !reader_is_done(&records) &&
           record_read(&records, FRAME_RECORDS, &record) == NULL) {
        if (record.count > 0) {
            mend_entries(body, &record);
        }
    }
    put_u64(frame + 64, checksum((struct slice){body, (size_t)body_size}, number));
    put_u64(frame + 72, checksum((struct slice){frame, 72}, 0));
}

/* Gives each frame of a segment its place and its checksums; with `chained`, also its number and
 * the checksum of the body before it. */
static void mend_segment(uint8_t *bytes, size_t size, uint64_t id, bool chained, uint64_t *number,
                         uint64_t *previous)
{
    for (size_t at = 0; at + FRAME_HEADER_BYTES <= size; at += FRAME_BLOCK_BYTES) {
        uint8_t *frame = bytes + at;
        if (memcmp(frame, "RRLF", 4) != 0) {
            continue;
        }
        put_u64(frame + 16, id);
        if (chained) {
            put_u64(frame + 24, at);
            put_u64(frame + 32, ++*number);
            put_u64(frame + 48, *previous);
        }
        mend_frame(frame, size - at);
        struct reader sum = reader_of((struct slice){frame + 64, 8});
        *previous = read_u64(&sum);
    }
}

static void check_groups(const struct groups *groups)
{
    for (size_t i = 0; i < groups->count; i++) {
        const struct group *group = groups->list[i];
        uint64_t next = group->base_index + 1;
        for (size_t s = group->spans_begin; s < group->spans_end; s++) {
            const struct span *span = &group->spans[s];
            require(span->count > 0 && span->first == next && span->start <= span->first);
            next = span->first + span->count;
        }
        require(next == group->last_index + 1);
        require(group->commit <= group->last_index);
    }
}

/* The input cut into segments: the first byte says how many, and whether they are chained. */
static void read_log(uint8_t choice, const uint8_t *data, size_t size)
{
    size_t count = 1 + choice / 2 % SEGMENTS;
    bool chained = choice % 2 == 0;
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    require(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    struct memory memory = {.parts = {{NULL, 0}}};
    uint64_t ids[SEGMENTS];
    uint64_t number = 0;
    uint64_t previous = 0;
    size_t each = size / count / FRAME_BLOCK_BYTES * FRAME_BLOCK_BYTES;
    for (size_t i = 0; i < count; i++) {
        ids[i] = FIRST_ID + i;
        size_t part = i + 1 < count ? each : size - each * (count - 1);
        memory.parts[i] = (struct slice){copy + i * each, part};
        mend_segment(copy + i * each, part, ids[i], chained, &number, &previous);
    }
    struct segment_source source = {&memory, "log", ids, count, load_part};
    struct segment_reader reader = {.arg = NULL};
    struct output output = {.file = NULL};
    segment_reader_run(&reader, &source, &output);
    require(reader.is_whole == (output.damages + output.blind == 0));
    if (reader.is_whole) {
        check_groups(&reader.groups);
    }
    segment_reader_deinit(&reader);
    free(copy);
}

/* A small file, with and without a right checksum at its end. */
static void read_small(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 8);
    require(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    put_u64(copy + size, checksum((struct slice){copy, size}, 0));
    for (int sealed = 0; sealed < 2; sealed++) {
        struct slice bytes = {copy, size + (sealed ? 8 : 0)};
        struct identity identity;
        struct former former;
        struct damage_mark mark;
        struct manifest manifest;
        uint64_t pointer;
        identity_read(bytes, &identity);
        former_read(bytes, &former);
        state_pointer_read(bytes, &pointer);
        damage_mark_read(bytes, &mark);
        if (manifest_read(bytes, &manifest) == FORM_OK) {
            struct reader reader = reader_of(manifest.files);
            struct manifest_file file;
            for (uint64_t i = 0; i < manifest.file_count; i++) {
                require(manifest_next(&reader, &file));
            }
            require(manifest_chunks(&manifest) > 0);
        }
    }
    struct output output = {.file = NULL};
    payload_print_command(&output, (struct slice){copy, size});
    payload_print_meta(&output, (struct slice){copy, size});
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    if (data[0] >= 0x80) {
        read_small(data + 1, size - 1);
    } else {
        read_log(data[0], data + 1, size - 1);
    }
    return 0;
}
