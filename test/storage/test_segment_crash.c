/*
 * The segmented log on a disk that loses what was not synced, lies, or rots.
 *
 * A history is a chain of runs: open, check what was recovered, write frames, crash at some step,
 * go on with what the crash left. Before that, some images are damaged, too, and opened aside.
 *
 * - Without damage a recovery succeeds, and finds the log as some frame left it: the last one that
 *   completed with a sync, or one after it that was submitted.
 * - Damage to a frame that a later one calls durable is RR_CORRUPT. Any other damage may be seen,
 *   or cost the end of the log; what is read is the log as some frame left it even then.
 *
 * TEST_RECOVERIES=10000 asks for that many; TEST_SEED=N TEST_RECOVERIES=1 repeats history N.
 * A second test ends the process and then the machine at every pair of steps of opening.
 */
/* ctest: timeout=400 */
#include "base/checksum.h"
#include "base/codec.h"
#include "base/memory.h"
#include "storage/disk.h"
#include "storage/inspect.h"
#include "storage/log_helpers.h"
#include "storage/segment_log_store.h"
#include "support/test.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    SEGMENT_BYTES = 32 * 1024,
    GROUPS = 3,
    INDEX_MAX = 500, /* a group that reaches it is destroyed */
    RUNS = 12,       /* of a history */
    FRAMES_MAX = 40, /* of a run */
    BLOCK = 4096,
    HEADER = 80,
};

rr_status suite_open(const char *directory, struct storage_error *error, struct log_store **out)
{
    struct segment_log_store_options options = {
        .path = directory,
        .segment_bytes = SEGMENT_BYTES,
        .log_bytes_max = 4 * SEGMENT_BYTES,
        .prepare_inline = true,
    };
    return segment_log_store_open(&options, error, out);
}

/* --- The log as it should be --- */

struct group_model {
    bool exists;
    struct raft_hard_state hard_state;
    raft_index base;
    raft_term base_term;
    raft_index last;
    struct {
        uint32_t term;
        uint32_t size;
    } entries[INDEX_MAX]; /* zero outside of the log */
};

struct model {
    struct group_model groups[GROUPS];
};

static raft_term model_term(const struct group_model *model, raft_index index)
{
    return index == model->base ? model->base_term : model->entries[index].term;
}

static void model_drop(struct group_model *model, raft_index first, raft_index last)
{
    for (raft_index index = first; index <= last; index++) {
        model->entries[index].term = 0;
        model->entries[index].size = 0;
    }
}

static void model_set_base(struct group_model *model, raft_index index, raft_term term)
{
    model_drop(model, 0, index < INDEX_MAX ? index : INDEX_MAX - 1);
    model->base = index;
    model->base_term = term;
}

/* Reads all of the store into `out`. */
static void read_model(struct log_store *store, struct model *out)
{
    memset(out, 0, sizeof(*out));
    for (raft_group id = 0; id < GROUPS; id++) {
        struct group_model *group = &out->groups[id];
        struct log_bounds bounds;
        group->exists = log_store_bounds(store, id, &bounds);
        if (!group->exists) {
            continue;
        }
        struct log_recovery recovery = recover(store, id);
        group->hard_state = recovery.hard_state;
        group->base = recovery.bounds.base_index;
        group->base_term = recovery.bounds.base_term;
        group->last = recovery.bounds.last_index;
        CHECK_LT(group->last, INDEX_MAX);
        for (raft_index index = group->base + 1; index <= group->last;) {
            struct raft_entry *entries[32];
            uint32_t count;
            CHECK_OK(
                log_store_read(store, id, index, group->last, 1 << 20, 32, entries, &count, NULL));
            for (uint32_t i = 0; i < count; i++, index++) {
                check_entry(entries[i], index, entries[i]->term);
                group->entries[index].term = (uint32_t)entries[i]->term;
                group->entries[index].size = entries[i]->size;
                raft_entry_unref(entries[i]);
            }
        }
        CHECK_EQ(recovery.bounds.last_term, model_term(group, group->last));
    }
}

/* --- Random frames --- */

enum { ENTRIES_MAX = 12 };

static uint64_t draw_size(struct random *random)
{
    uint64_t choice = random_below(random, 20);
    return choice == 0  ? random_below(random, 40000)
           : choice < 4 ? random_below(random, 5000)
                        : random_below(random, 200);
}

static void draw_entries(struct random *random, struct group_model *model,
                         struct raft_entry **entries, struct log_record *record)
{
    raft_index first = model->last + 1;
    if (random_chance(random, 1, 5) && model->last > model->base) {
        first = random_between(random, model->base + 1, model->last);
    }
    raft_term term = model_term(model, first - 1) + random_chance(random, 1, 4);
    term = term == 0 ? 1 : term;
    model_drop(model, first, model->last);
    uint32_t count = (uint32_t)random_between(random, 1, ENTRIES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = make_entry(first + i, term, draw_size(random));
        model->entries[first + i].term = (uint32_t)term;
        model->entries[first + i].size = entries[i]->size;
    }
    record->entries = entries;
    record->entry_count = count;
    model->last = first + count - 1;
}

/* A random record, and the model changed in step. Group 0 lags: it hardly ever writes or purges. */
static void draw_record(struct random *random, raft_group group, struct group_model *model,
                        struct raft_entry **entries, struct log_record *record)
{
    *record = (struct log_record){.group = group};
    if (model->last + 3 * ENTRIES_MAX > INDEX_MAX || random_chance(random, 1, 100)) {
        record->destroy = true;
        memset(model, 0, sizeof(*model));
        return;
    }
    model->exists = true;
    if (random_chance(random, 1, 30)) {
        record->reset = true;
        record->reset_index = random_between(random, model->base, model->last + ENTRIES_MAX);
        record->reset_term = model_term(model, model->last) + 1;
        model_drop(model, 0, INDEX_MAX - 1);
        model_set_base(model, record->reset_index, record->reset_term);
        model->last = record->reset_index;
    }
    if (random_chance(random, group == 0 ? 1 : 6, 8)) {
        draw_entries(random, model, entries, record);
    }
    if (random_chance(random, 1, group == 0 ? 100 : 4)) {
        record->purge_index = random_between(random, model->base, model->last);
        if (record->purge_index > model->base) {
            model_set_base(model, record->purge_index, model_term(model, record->purge_index));
        }
    }
    if (model->hard_state.commit > model->last || random_chance(random, 1, 3)) {
        model->hard_state.term++;
        model->hard_state.vote = random_below(random, 4);
        model->hard_state.commit = random_between(random, model->base, model->last);
        record->hard_state = &model->hard_state;
    }
}

/* --- What rockraft-inspect says, whose reader shares no code with the store --- */

/* Whether this is one of the recoveries that the program is asked about: TEST_INSPECT=N asks for
 * each Nth. */
static bool is_inspected(uint64_t number)
{
    const char *wanted = getenv("TEST_INSPECT");
    uint64_t every = wanted == NULL ? 20 : strtoull(wanted, NULL, 10);
    return every > 0 && number % every == 0;
}

/* The directory that the log's own, DIRECTORY/log, is in. */
static const char *parent_of(const char *directory)
{
    static char parent[PATH_BYTES_MAX];
    snprintf(parent, sizeof(parent), "%.*s", (int)(strlen(directory) - strlen("/log")), directory);
    return parent;
}

/* Asks before the store opens the log, which changes it. */
static int inspect_before(uint64_t seed, const char *directory, struct inspect_group *groups)
{
    int status = inspect_log_groups(parent_of(directory), groups, GROUPS);
    if (status == INSPECT_UNREAD) {
        FAIL("seed %" PRIu64 ": rockraft-inspect cannot read the log", seed);
    }
    return status;
}

/* The program read the same as the store did. */
static void check_inspected(uint64_t seed, const struct inspect_group *groups,
                            const struct model *found)
{
    for (int id = 0; id < GROUPS; id++) {
        const struct inspect_group *said = &groups[id];
        const struct group_model *group = &found->groups[id];
        bool same = said->exists == group->exists && said->term == group->hard_state.term &&
                    said->vote == group->hard_state.vote &&
                    said->commit == group->hard_state.commit && said->base == group->base &&
                    said->base_term == group->base_term && said->last == group->last &&
                    said->last_term == model_term(group, group->last);
        if (!same) {
            FAIL("seed %" PRIu64 ": rockraft-inspect reads another group %d than the store", seed,
                 id);
        }
    }
}

/* --- A run --- */

struct history {
    uint64_t seed;
    struct random random;
    char directories[2][PATH_BYTES_MAX];
    int current;          /* of `directories` */
    struct model *models; /* as each frame of the run leaves the log, from its start on */
    uint32_t submitted;   /* frames of the run so far: models[submitted] is there */
    uint32_t promised;    /* models up to here must survive */
    struct disk *disk;    /* kept over the end of a process that is not one of the machine */
    bool kill;            /* the process alone ends */
    uint64_t crash_at;    /* the event to crash at; 0: at the end */
    uint64_t events;
    bool crashed;
    uint32_t crash_promised;
    uint32_t crash_submitted;
    struct disk_image image; /* what the crash left */
};

static uint64_t recoveries;
static uint64_t damages;
static uint64_t corruptions;

static void crash(struct history *history)
{
    history->crashed = true;
    history->crash_promised = history->promised;
    history->crash_submitted = history->submitted;
    if (history->kill) {
        disk_kill(history->disk, &history->image);
    } else {
        disk_crash(history->disk, &history->random, &history->image);
    }
}

/* A write may be torn, so the crash is after it; anything else has not happened. */
static void watch(void *arg, const struct file_event *event)
{
    struct history *history = arg;
    if (history->crashed) {
        return;
    }
    bool now = ++history->events == history->crash_at;
    if (now && event->kind != FILE_EVENT_WRITE) {
        crash(history);
        return;
    }
    disk_note(history->disk, event);
    if (now) {
        crash(history);
    }
}

struct pending {
    struct history *history;
    uint32_t number;
    bool sync;
    rr_status status;
};

static void note_done(void *arg, rr_status status)
{
    struct pending *pending = arg;
    pending->status = status;
    if (status == RR_OK && pending->sync) {
        pending->history->promised = pending->number;
    }
}

/* Submits a random frame; false once the store has failed. */
static bool submit_random(struct history *history, struct log_store *store)
{
    struct random *random = &history->random;
    struct model *model = &history->models[history->submitted + 1];
    *model = history->models[history->submitted];
    struct log_record records[GROUPS];
    struct raft_entry *entries[GROUPS][ENTRIES_MAX];
    uint32_t count = 0;
    for (raft_group id = 0; id < GROUPS; id++) {
        if (random_chance(random, 1, 2)) {
            draw_record(random, id, &model->groups[id], entries[count], &records[count]);
            count++;
        }
    }
    struct log_frame frame = {records, count, random_chance(random, 3, 4)};
    history->submitted++;
    struct pending pending = {history, history->submitted, frame.sync, RR_CLOSED};
    log_store_submit(store, &frame, note_done, &pending);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < records[i].entry_count; j++) {
            raft_entry_unref(entries[i][j]);
        }
    }
    if (pending.status != RR_OK) {
        CHECK_STATUS(pending.status, RR_IO);
        CHECK(log_store_failure(store) != NULL);
    }
    return pending.status == RR_OK;
}

/* What was recovered must be one of the models from `low` to `high`; makes it the first. */
static void check_recovered(struct history *history, struct log_store *store, uint32_t low,
                            uint32_t high)
{
    struct model *found = mem_new(struct model);
    read_model(store, found);
    for (uint32_t i = high + 1; i-- > low;) {
        if (memcmp(found, &history->models[i], sizeof(*found)) == 0) {
            history->models[0] = *found;
            history->submitted = 0;
            history->promised = 0;
            mem_free(found);
            return;
        }
    }
    FAIL("seed %" PRIu64 ": what was recovered is none of what %" PRIu32 " frames left, the first "
         "%" PRIu32 " of them durable",
         history->seed, high, low);
}

/* At the end, while it opens, or anywhere. */
static uint64_t draw_crash(struct random *random)
{
    uint64_t choice = random_below(random, 6);
    return choice == 0 ? 0 : random_between(random, 1, choice < 3 ? 16 : 140);
}

/* Opens the current directory, on a fresh disk if the last run did not leave one; NULL after a
 * fault. */
static struct log_store *start(struct history *history, bool faults)
{
    struct storage_error error = {0};
    struct log_store *store = NULL;
    const char *directory = history->directories[history->current];
    if (history->disk == NULL) {
        history->disk = disk_new(directory);
    }
    history->kill = random_chance(&history->random, 1, 4);
    history->events = 0;
    history->crashed = false;
    history->crash_at = draw_crash(&history->random);
    file_observe(watch, history);
    if (faults) {
        enum file_fault fault =
            random_chance(&history->random, 1, 2) ? FILE_FAULT_ERROR : FILE_FAULT_FULL;
        file_fault_after(random_between(&history->random, 1, 90), fault);
    }
    rr_status status = suite_open(directory, &error, &store);
    if (status == RR_OK) {
        return store;
    }
    if (!faults || file_fault_pending() || status == RR_CORRUPT) {
        FAIL("seed %" PRIu64 ": the log does not open: %s", history->seed, error.text);
    }
    return NULL;
}

/* One run: what the last one left, some frames, a crash. `low` and `high` as check_recovered. */
static void run(struct history *history, uint32_t low, uint32_t high)
{
    bool faults = random_chance(&history->random, 1, 5);
    struct inspect_group groups[GROUPS];
    bool inspected = is_inspected(recoveries);
    if (inspected) {
        int said = inspect_before(history->seed, history->directories[history->current], groups);
        if (said != INSPECT_CLEAN) {
            FAIL("seed %" PRIu64 ": rockraft-inspect finds damage after a crash", history->seed);
        }
    }
    struct log_store *store = start(history, faults);
    if (store != NULL && !history->crashed) {
        check_recovered(history, store, low, high);
        if (inspected) {
            check_inspected(history->seed, groups, &history->models[0]);
        }
    } else if (!history->crashed) {
        history->promised = low;
        history->submitted = high;
        crash(history);
    }
    if (history->crashed) {
        /* On the way up, so it is the same log to recover as before. */
        history->crash_promised = low;
        history->crash_submitted = high;
    }
    uint32_t frames = (uint32_t)random_between(&history->random, 0, FRAMES_MAX);
    for (uint32_t i = 0; store != NULL && !history->crashed && i < frames; i++) {
        if (!submit_random(history, store)) {
            break;
        }
    }
    bool closed_first = random_chance(&history->random, 1, 2);
    if (!history->crashed && !closed_first) {
        crash(history);
    }
    log_store_close(store);
    if (!history->crashed) {
        crash(history);
    }
    file_fault_after(0, FILE_FAULT_NONE);
    file_observe(NULL, NULL);
    if (!history->kill) {
        disk_free(history->disk);
        history->disk = NULL;
    }
    recoveries++;
}

/* --- Damage, by what docs/disk-format.md says --- */

struct frame {
    uint32_t file; /* of the image */
    uint64_t offset;
    uint64_t size; /* header and body */
    uint64_t number;
    uint64_t durable;
    bool checkpoint;
};

enum { IMAGE_FRAMES_MAX = 4096 };

/* The frames of an image that recovery has to read, and all headers of the newest segment. */
struct frames {
    struct frame list[IMAGE_FRAMES_MAX];
    uint32_t count;
    uint64_t last_number; /* the last one that is whole and in its turn */
};

static bool header_at(const struct disk_image *image, uint32_t file, uint64_t segment,
                      uint64_t offset, struct frame *out)
{
    const struct buffer *bytes = &image->files[file].bytes;
    const uint8_t *at = bytes->data + offset;
    if (bytes->size < HEADER || offset > bytes->size - HEADER || memcmp(at, "RRLF", 4) != 0 ||
        checksum64(at, 72) != load_u64(at + 72) || load_u64(at + 16) != segment) {
        return false;
    }
    *out = (struct frame){
        .file = file,
        .offset = offset,
        .size = HEADER + load_u64(at + 56),
        .number = load_u64(at + 32),
        .durable = load_u64(at + 40),
        .checkpoint = at[5] == 2,
    };
    return true;
}

static bool body_whole(const struct disk_image *image, const struct frame *frame)
{
    const struct buffer *bytes = &image->files[frame->file].bytes;
    const uint8_t *at = bytes->data + frame->offset;
    return frame->size <= bytes->size - frame->offset &&
           checksum64_seeded(at + HEADER, frame->size - HEADER, frame->number) == load_u64(at + 64);
}

static uint64_t round_up(uint64_t size)
{
    return (size + BLOCK - 1) / BLOCK * BLOCK;
}

static bool segment_file(const struct disk_image *image, uint64_t id, uint32_t *out)
{
    char name[64];
    snprintf(name, sizeof(name), "segment-%016" PRIx64, id);
    for (uint32_t i = 0; i < image->count; i++) {
        if (strcmp(image->files[i].name, name) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* Finds the newest segment's id and the oldest one that it asks for; false without any. */
static bool segment_range(const struct disk_image *image, uint64_t *oldest, uint64_t *newest)
{
    *newest = 0;
    for (uint32_t i = 0; i < image->count; i++) {
        uint64_t id;
        if (sscanf(image->files[i].name, "segment-%" SCNx64, &id) == 1 && id > *newest) {
            *newest = id;
            *oldest = load_u64(image->files[i].bytes.data + HEADER);
        }
    }
    return *newest > 0;
}

static void list_frames(const struct disk_image *image, struct frames *out)
{
    uint64_t oldest;
    uint64_t newest;
    out->count = 0;
    out->last_number = 0;
    if (!segment_range(image, &oldest, &newest)) {
        return;
    }
    for (uint64_t id = oldest; id <= newest; id++) {
        uint32_t file = 0;
        struct frame frame;
        struct frame next = {0};
        CHECK(segment_file(image, id, &file));
        uint32_t next_file = 0;
        if (id < newest) {
            CHECK(segment_file(image, id + 1, &next_file));
            CHECK(header_at(image, next_file, id + 1, 0, &next));
        }
        for (uint64_t offset = 0;
             header_at(image, file, id, offset, &frame) && body_whole(image, &frame) &&
             (id == newest || frame.number < next.number);
             offset += round_up(frame.size)) {
            CHECK_LT(out->count, IMAGE_FRAMES_MAX);
            out->list[out->count++] = frame;
            out->last_number = frame.number;
        }
    }
}

/* The highest frame that a header of the newest segment, or a checkpoint, says is durable. */
static uint64_t witnessed(const struct disk_image *image)
{
    uint64_t oldest;
    uint64_t newest;
    uint64_t highest = 0;
    uint32_t file;
    if (!segment_range(image, &oldest, &newest) || !segment_file(image, newest, &file)) {
        return 0;
    }
    for (uint64_t offset = 0; offset < image->files[file].bytes.size; offset += BLOCK) {
        struct frame frame;
        if (header_at(image, file, newest, offset, &frame)) {
            uint64_t durable = frame.checkpoint ? frame.number : frame.durable;
            highest = durable > highest ? durable : highest;
        }
    }
    return highest;
}

/* Changes some bytes of a random frame, mostly one of the last. */
static void do_damage(struct random *random, const struct frames *frames, struct disk_image *image)
{
    uint32_t back = random_chance(random, 1, 2) ? (uint32_t)random_below(random, 6) : UINT32_MAX;
    uint32_t chosen = back < frames->count ? frames->count - 1 - back
                                           : (uint32_t)random_below(random, frames->count);
    const struct frame *frame = &frames->list[chosen];
    struct buffer *bytes = &image->files[frame->file].bytes;
    uint64_t size = round_up(frame->size);
    size = size < bytes->size - frame->offset ? size : bytes->size - frame->offset;
    uint8_t *at = bytes->data + frame->offset;
    uint64_t sector = random_below(random, (frame->size + 511) / 512) * 512;
    uint64_t left = size - sector < 512 ? size - sector : 512;
    switch (random_below(random, 6)) {
    case 0:
    case 1: /* a bit rots */
        at[random_below(random, frame->size)] ^= (uint8_t)(1 << random_below(random, 8));
        return;
    case 2: /* a sector is lost */
        memset(at + sector, 0, left);
        return;
    case 3: /* or turned into something else */
        random_fill(random, at + sector, left);
        return;
    case 4: /* the write never happened */
        memset(at, 0, size);
        return;
    default: { /* it went elsewhere */
        struct buffer *other = &image->files[random_below(random, image->count)].bytes;
        uint64_t target = random_below(random, other->size / BLOCK + 1) * BLOCK;
        uint64_t fits = target < other->size ? other->size - target : 0;
        memmove(other->data + target, at, fits < size ? fits : size);
        if (other != bytes || target >= frame->offset + size || target + size <= frame->offset) {
            memset(at, 0, size);
        }
        return;
    }
    }
}

/* The lowest frame that is not as it was; UINT64_MAX: none. */
static uint64_t first_damaged(const struct frames *frames, const struct disk_image *before,
                              const struct disk_image *after)
{
    for (uint32_t i = 0; i < frames->count; i++) {
        const struct frame *frame = &frames->list[i];
        if (memcmp(before->files[frame->file].bytes.data + frame->offset,
                   after->files[frame->file].bytes.data + frame->offset, frame->size) != 0) {
            return frame->number;
        }
    }
    return UINT64_MAX;
}

static void copy_image(const struct disk_image *from, struct disk_image *to)
{
    to->count = from->count;
    for (uint32_t i = 0; i < from->count; i++) {
        snprintf(to->files[i].name, sizeof(to->files[i].name), "%s", from->files[i].name);
        buffer_init(&to->files[i].bytes);
        buffer_append(&to->files[i].bytes, from->files[i].bytes.data, from->files[i].bytes.size);
    }
}

/* Opens a damaged copy of the image. */
static void damage_and_check(struct history *history, struct disk_image *copy,
                             struct frames *frames)
{
    list_frames(&history->image, frames);
    if (frames->count == 0) {
        return;
    }
    copy_image(&history->image, copy);
    do_damage(&history->random, frames, copy);
    uint64_t damaged = first_damaged(frames, &history->image, copy);
    bool must_be_seen = damaged <= witnessed(copy);
    const char *directory = history->directories[1 - history->current];
    disk_image_write(copy, directory);
    disk_image_deinit(copy);
    struct inspect_group groups[GROUPS];
    bool inspected = is_inspected(damages);
    int said = inspected ? inspect_before(history->seed, directory, groups) : INSPECT_CLEAN;
    struct storage_error error = {0};
    struct log_store *store;
    rr_status status = suite_open(directory, &error, &store);
    recoveries++;
    damages++;
    corruptions += status == RR_CORRUPT;
    if (inspected && (said == INSPECT_DAMAGE) != (status == RR_CORRUPT)) {
        FAIL("seed %" PRIu64 ": opening is %s (%s), and rockraft-inspect finds %s", history->seed,
             rr_status_name(status), error.text, said == INSPECT_DAMAGE ? "damage" : "none");
    }
    if (status == RR_CORRUPT) {
        CHECK(error.text[0] != 0);
        CHECK(strstr(error.text, directory) != NULL);
        return;
    }
    if (status != RR_OK || must_be_seen) {
        FAIL("seed %" PRIu64 ": frame %" PRIu64 " of %" PRIu64
             " is damaged (%s), and opening is %s",
             history->seed, damaged, frames->last_number,
             must_be_seen ? "it was durable" : "it may be the end", rr_status_name(status));
    }
    struct model *found = mem_new(struct model);
    read_model(store, found);
    if (inspected) {
        check_inspected(history->seed, groups, found);
    }
    bool known = false;
    uint32_t low = damaged == UINT64_MAX ? history->crash_promised : 0;
    for (uint32_t i = low; i <= history->crash_submitted; i++) {
        known = known || memcmp(found, &history->models[i], sizeof(*found)) == 0;
    }
    mem_free(found);
    log_store_close(store);
    if (!known) {
        FAIL("seed %" PRIu64 ": damage to frame %" PRIu64 " gave a log that never was",
             history->seed, damaged);
    }
}

/* --- Two ends in a row --- */

/* Opens the directory until event `at`, or to the end; false if it got there. */
static bool open_until(struct history *history, uint64_t at, bool kill)
{
    const char *directory = history->directories[0];
    disk_image_write(&history->image, directory);
    disk_image_deinit(&history->image);
    if (history->disk == NULL) {
        history->disk = disk_new(directory);
    }
    history->kill = kill;
    history->events = 0;
    history->crash_at = at;
    history->crashed = false;
    file_observe(watch, history);
    struct log_store *store = open_log(directory);
    bool reached = history->crashed;
    if (!reached) {
        crash(history);
    }
    log_store_close(store);
    file_observe(NULL, NULL);
    if (!kill) {
        disk_free(history->disk);
        history->disk = NULL;
    }
    return reached;
}

/* A process is killed while it opens the log, at event `first`; then, at `second`, the machine
 * ends. False once there are fewer events. */
static bool end_twice(struct history *history, const struct disk_image *log, uint64_t first,
                      uint64_t second, bool *fewer_first)
{
    copy_image(log, &history->image);
    *fewer_first = !open_until(history, first, /*kill=*/true);
    bool reached = open_until(history, second, /*kill=*/false);
    disk_image_write(&history->image, history->directories[0]);
    disk_image_deinit(&history->image);
    struct log_store *store = open_log(history->directories[0]);
    check_recovered(history, store, 0, 0);
    log_store_close(store);
    recoveries++;
    return reached;
}

TEST(segment_crash, survives_any_two_ends_while_it_opens)
{
    static struct history history;
    static struct disk_image log;
    history.models = mem_new_array(struct model, FRAMES_MAX + 1);
    random_init(&history.random, test_seed(2));
    const char *root = test_directory();
    snprintf(history.directories[0], PATH_BYTES_MAX, "%s/0", root);
    disk_image_write(&history.image, history.directories[0]); /* empty */
    struct log_store *store = open_log(history.directories[0]);
    for (int i = 0; i < 10; i++) {
        CHECK(submit_random(&history, store));
    }
    log_store_close(store);
    history.models[0] = history.models[history.submitted];
    struct disk *disk = disk_new(history.directories[0]);
    disk_kill(disk, &log);
    disk_free(disk);
    bool fewer = false;
    for (uint64_t first = 1; !fewer; first++) {
        uint64_t second = 1;
        while (end_twice(&history, &log, first, second, &fewer)) {
            second += random_chance(&history.random, 1, 16); /* several draws of each */
        }
        CHECK_GT(second, 4);
    }
    disk_image_deinit(&log);
    mem_free(history.models);
}

/* --- Histories --- */

static void live_through(uint64_t seed, const char *root)
{
    static struct history history;
    static struct disk_image copy;
    static struct frames frames;
    struct model *models = history.models;
    memset(&history, 0, sizeof(history));
    history.models = models == NULL ? mem_new_array(struct model, FRAMES_MAX + 1) : models;
    memset(&history.models[0], 0, sizeof(history.models[0]));
    history.seed = seed;
    random_init(&history.random, seed);
    for (int i = 0; i < 2; i++) {
        snprintf(history.directories[i], PATH_BYTES_MAX, "%s/%d", root, i);
        CHECK(mkdir(history.directories[i], 0777) == 0 || errno == EEXIST);
        snprintf(history.directories[i], PATH_BYTES_MAX, "%s/%d/log", root, i);
        disk_image_write(&history.image, history.directories[i]); /* empty */
    }
    uint32_t low = 0;
    uint32_t high = 0;
    for (int i = 0; i < RUNS; i++) {
        run(&history, low, high);
        low = history.crash_promised;
        high = history.crash_submitted;
        for (int j = 0; j < 2; j++) {
            damage_and_check(&history, &copy, &frames);
        }
        disk_image_write(&history.image, history.directories[history.current]);
        disk_image_deinit(&history.image);
    }
    if (history.disk != NULL) {
        disk_free(history.disk);
    }
}

static uint64_t last_seed;

/* A check that failed does not say by itself in which history. */
static void tell_seed(void)
{
    printf("the last history was that of seed %" PRIu64 "\n", last_seed);
}

TEST(segment_crash, loses_nothing_and_accepts_no_damage)
{
    atexit(tell_seed);
    const char *wanted = getenv("TEST_RECOVERIES");
    uint64_t count = wanted == NULL ? 3000 : strtoull(wanted, NULL, 10);
    uint64_t seed = test_seed(1);
    const char *root = test_directory();
    recoveries = 0;
    while (recoveries < count) {
        last_seed = seed;
        live_through(seed++, root);
    }
    printf("%" PRIu64 " recoveries, %" PRIu64 " of damaged logs, %" PRIu64 " found corrupt\n",
           recoveries, damages, corruptions);
    CHECK_GT(corruptions, 0);
}
