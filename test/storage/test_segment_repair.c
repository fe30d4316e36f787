/*
 * A damaged log in segments is saved where the state makes up for what is lost, and never otherwise.
 *
 * TEST_ROUNDS=N asks for so many random logs, TEST_SEED=N repeats one run of them.
 */
#include "base/memory.h"
#include "base/random.h"
#include "storage/child.h"
#include "storage/file.h"
#include "storage/log_helpers.h"
#include "storage/segment_log_repair.h"
#include "storage/state_helpers.h"
#include "support/test.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GROUP = 3, BLOCK = 4096, SEGMENT_BYTES = 16 * BLOCK };

/* Nothing here is about syncs, and they are slow: while there is an observer, there are none. */
static void observe_nothing(void *arg, const struct file_event *event)
{
}

__attribute__((constructor)) static void skip_syncs(void)
{
    file_observe(observe_nothing, NULL);
}

static const struct segment_log_store_options *options_for(const char *directory)
{
    static struct segment_log_store_options options;
    options = (struct segment_log_store_options){
        .path = directory, .segment_bytes = SEGMENT_BYTES, .prepare_inline = true};
    return &options;
}

rr_status suite_open(const char *directory, struct storage_error *error, struct log_store **out)
{
    return segment_log_store_open(options_for(directory), error, out);
}

static rr_status open_status(const char *directory)
{
    struct storage_error error = {0};
    struct log_store *store;
    rr_status status = suite_open(directory, &error, &store);
    if (status == RR_OK) {
        log_store_close(store);
    }
    return status;
}

static rr_status repair(const char *directory, raft_index index, raft_term term,
                        struct storage_error *text)
{
    struct segment_log_floor floor = {.group = GROUP, .index = index, .term = term};
    return segment_log_store_repair(options_for(directory), &floor, text);
}

static const char *segment_path(const char *directory, unsigned id)
{
    char name[32];
    snprintf(name, sizeof(name), "segment-%016x", id);
    return path_in(directory, name);
}

/* Zeroes `size` bytes. */
static void wipe(const char *path, uint64_t offset, size_t size)
{
    uint8_t zeros[BLOCK] = {0};
    int fd = open(path, O_WRONLY);
    CHECK_GE(fd, 0);
    CHECK_EQ(pwrite(fd, zeros, size, (off_t)offset), (ssize_t)size);
    close(fd);
}

/* One frame with the entries from `first` to `last`, term 2, and a hard state, synced. */
static void write_frame(struct log_store *store, raft_index first, raft_index last)
{
    struct raft_entry *entries[64];
    for (raft_index index = first; index <= last; index++) {
        entries[index - first] = make_entry(index, 2, 50);
    }
    struct raft_hard_state hard_state = {.term = 2, .vote = 7, .commit = first - 1};
    struct log_record record = {
        .group = GROUP,
        .entries = entries,
        .entry_count = (uint32_t)(last - first + 1),
        .hard_state = &hard_state,
    };
    CHECK_OK(submit(store, &record));
    for (raft_index index = first; index <= last; index++) {
        raft_entry_unref(entries[index - first]);
    }
}

/* Frame i (of one block each, behind the checkpoint) holds entry i. As after a kill. */
CHILD(leaves_frames)
{
    struct log_store *store = open_log(child->directory);
    for (raft_index index = 1; index <= 40; index++) {
        write_frame(store, index, index);
    }
    _exit(0);
}

enum { FRAMES = 40, FRAMES_IN_SEGMENT = SEGMENT_BYTES / BLOCK - 1 };

static const char *make_log(void)
{
    const char *directory = test_directory();
    struct child child = {.directory = directory};
    CHECK_EQ(test_wait(child_start("leaves_frames", &child)), 0);
    return directory;
}

static void damage_frame(const char *directory, raft_index index)
{
    unsigned segment = (unsigned)((index - 1) / FRAMES_IN_SEGMENT) + 1;
    uint64_t block = (index - 1) % FRAMES_IN_SEGMENT + 1;
    wipe(segment_path(directory, segment), block * BLOCK + 100, 20);
}

/* Checks that the log begins after `base` and has the rest as it was. */
static void check_saved(const char *directory, raft_index base)
{
    for (int times = 0; times < 2; times++) {
        struct log_store *store = open_log(directory);
        struct log_recovery recovery = recover(store, GROUP);
        CHECK_EQ(recovery.hard_state.term, 2);
        CHECK_EQ(recovery.hard_state.vote, 7);
        CHECK_EQ(recovery.hard_state.commit, base > FRAMES - 1 ? base : FRAMES - 1);
        check_log(store, GROUP, base, 2, FRAMES + (unsigned)times);
        bool reset;
        CHECK_OK(log_store_align(store, GROUP, base, 2, &recovery, &reset, NULL));
        CHECK(!reset);
        if (times == 0) {
            struct raft_entry *entry = make_entry(FRAMES + 1, 2, 50);
            struct log_record record = {.group = GROUP, .entries = &entry, .entry_count = 1};
            CHECK_OK(submit(store, &record));
            raft_entry_unref(entry);
        }
        log_store_close(store);
    }
}

TEST(segment_repair, saves_a_log_whose_damaged_entries_the_state_has)
{
    for (raft_index damaged = 1; damaged <= FRAMES; damaged++) {
        const char *directory = make_log();
        damage_frame(directory, damaged);
        if (damaged == FRAMES) {
            CHECK_OK(open_status(directory)); /* as if torn */
            continue;
        }
        CHECK_STATUS(open_status(directory), RR_CORRUPT);
        struct storage_error text = {0};
        CHECK_STATUS(repair(directory, damaged - 1, 2, &text), RR_CORRUPT);
        CHECK(strstr(text.text, "state") != NULL);
        CHECK_STATUS(open_status(directory), RR_CORRUPT); /* nothing was changed */
        /* The entry at the floor must be there itself, or a checkpoint that knows its term. */
        raft_index floor = damaged % FRAMES_IN_SEGMENT == 0 ? damaged : damaged + 1;
        if (floor > damaged) {
            CHECK_STATUS(repair(directory, damaged, 2, &text), RR_CORRUPT);
        }
        CHECK_STATUS(repair(directory, floor, 1, &text), RR_CORRUPT);
        CHECK_OK(repair(directory, floor, 2, &text));
        CHECK(strstr(text.text, "1 frames") != NULL);
        check_saved(directory, floor);
    }
}

/* A checkpoint says nothing that the frames around it do not say. */
TEST(segment_repair, saves_a_log_without_one_of_its_checkpoints)
{
    for (unsigned segment = 1; segment <= 3; segment++) {
        const char *directory = make_log();
        wipe(segment_path(directory, segment), 0, BLOCK);
        CHECK_STATUS(open_status(directory), RR_CORRUPT);
        raft_index first = (segment - 1) * FRAMES_IN_SEGMENT + 1;
        struct storage_error text = {0};
        CHECK_OK(repair(directory, first, 2, &text));
        check_saved(directory, first);
    }
}

TEST(segment_repair, saves_a_log_without_one_of_its_old_files)
{
    const char *directory = make_log();
    CHECK_EQ(unlink(segment_path(directory, 2)), 0);
    CHECK_STATUS(open_status(directory), RR_CORRUPT);
    struct storage_error text = {0};
    CHECK_STATUS(repair(directory, 2 * FRAMES_IN_SEGMENT - 1, 2, &text), RR_CORRUPT);
    CHECK_OK(repair(directory, 2 * FRAMES_IN_SEGMENT, 2, &text));
    check_saved(directory, 2 * FRAMES_IN_SEGMENT);
}

TEST(segment_repair, does_not_save_a_log_whose_end_is_gone)
{
    /* The newest file has its name, so at least its first frame was durable. */
    const char *directory = make_log();
    int fd = open(segment_path(directory, 3), O_WRONLY | O_TRUNC);
    CHECK_GE(fd, 0);
    close(fd);
    struct storage_error text = {0};
    CHECK_STATUS(open_status(directory), RR_CORRUPT);
    CHECK_STATUS(repair(directory, 10, 2, &text), RR_CORRUPT);
    CHECK(strstr(text.text, "last frames") != NULL);

    /* A frame that tells of others before it which nobody finds. */
    directory = make_log();
    damage_frame(directory, FRAMES - 2);
    damage_frame(directory, FRAMES - 1);
    wipe(segment_path(directory, 3), ((FRAMES - 1) % FRAMES_IN_SEGMENT + 1) * BLOCK + 100, 20);
    CHECK_STATUS(open_status(directory), RR_CORRUPT);
    CHECK_STATUS(repair(directory, FRAMES - 3, 2, &text), RR_CORRUPT);
    CHECK(strstr(text.text, "last frames") != NULL);
}

/* After the damage come entries alone: the vote before it may have been another one. */
TEST(segment_repair, does_not_guess_a_vote)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    write_frame(store, 1, 5);
    append_entries(store, GROUP, 6, 6, 2);
    append_entries(store, GROUP, 7, 7, 2);
    log_store_close(store);
    wipe(segment_path(directory, 1), BLOCK, 100);
    struct storage_error text = {0};
    CHECK_STATUS(open_status(directory), RR_CORRUPT);
    CHECK_STATUS(repair(directory, 6, 2, &text), RR_CORRUPT);
    CHECK(strstr(text.text, "vote") != NULL);
}

TEST(segment_repair, leaves_a_log_of_several_groups_alone)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, GROUP, 1, 3, 2);
    append_entries(store, GROUP + 1, 1, 3, 2);
    write_frame(store, 4, 5);
    log_store_close(store);
    wipe(segment_path(directory, 1), BLOCK, 100);
    struct storage_error text = {0};
    CHECK_STATUS(open_status(directory), RR_CORRUPT);
    CHECK_STATUS(repair(directory, 4, 2, &text), RR_CORRUPT);
    CHECK(strstr(text.text, "other groups") != NULL);
}

/* --- At every step --- */

CHILD(repairs)
{
    struct storage_error text = {0};
    rr_status status = repair(child->directory, 20, 2, &text);
    if (status != RR_OK && (file_fault_pending() || text.text[0] == 0 || status == RR_CORRUPT)) {
        _exit(5);
    }
}

TEST(segment_repair, leaves_a_damaged_or_a_saved_log_after_a_fault_at_any_step)
{
    for (int fault = FILE_FAULT_ERROR; fault <= FILE_FAULT_EXIT; fault++) {
        int damaged = 0;
        bool met = true;
        for (uint64_t nth = 1; met; nth++) {
            const char *directory = make_log();
            damage_frame(directory, 12);
            met = child_meets_fault("repairs", directory, nth, fault);
            rr_status status = open_status(directory);
            if (status != RR_OK) {
                damaged++;
                CHECK_STATUS(status, RR_CORRUPT);
                struct storage_error text = {0};
                CHECK_OK(repair(directory, 20, 2, &text));
            }
            check_saved(directory, 20);
        }
        CHECK_GT(damaged, 2);
    }
}

/* The file that the first attempt began is used again by the second, which has less to write: the state
 * got further in between, from a snapshot. */
TEST(segment_repair, is_not_mistaken_about_what_an_earlier_attempt_left)
{
    bool met = true;
    for (uint64_t nth = 1; met; nth++) {
        const char *directory = make_log();
        damage_frame(directory, 12);
        struct storage_error text = {0};
        file_fault_after(nth, FILE_FAULT_ERROR);
        rr_status status = repair(directory, 20, 2, &text);
        met = !file_fault_pending();
        file_fault_after(0, FILE_FAULT_NONE);
        if (status != RR_OK && open_status(directory) != RR_OK) {
            CHECK_OK(repair(directory, FRAMES, 2, &text));
            check_saved(directory, FRAMES);
        }
    }
}

/* --- Random logs --- */

enum { INDEX_MAX = 4096 };

/* The group as the last frame leaves it. */
struct model {
    raft_index base;
    raft_index last;
    raft_term term;
    raft_term terms[INDEX_MAX];
    struct raft_hard_state hard_state;
};

static void write_random_frame(struct log_store *store, struct random *random, struct model *model)
{
    struct raft_entry *entries[16];
    struct log_record record = {.group = GROUP};
    raft_index first = model->last + 1;
    if (random_chance(random, 1, 6) && model->last > model->hard_state.commit) {
        first = random_between(random, model->hard_state.commit + 1, model->last);
    }
    if (random_chance(random, 3, 4)) {
        record.entry_count = (uint32_t)random_between(random, 1, 12);
        record.entries = entries;
        model->term += random_chance(random, 1, 8);
        model->last = first + record.entry_count - 1;
        CHECK_LT(model->last, INDEX_MAX);
        size_t size = random_chance(random, 1, 6) ? 3000 : 60;
        for (uint32_t i = 0; i < record.entry_count; i++) {
            model->terms[first + i] = model->term;
            entries[i] = make_entry(first + i, model->term, size);
        }
    }
    if (record.entry_count == 0 || random_chance(random, 1, 3)) {
        raft_index commit = random_between(random, model->hard_state.commit, model->last);
        model->hard_state.term = model->term;
        model->hard_state.commit = commit;
        model->hard_state.vote = random_below(random, 5);
        record.hard_state = &model->hard_state;
    }
    if (random_chance(random, 1, 12) && model->hard_state.commit > model->base) {
        model->base = random_between(random, model->base + 1, model->hard_state.commit);
        record.purge_index = model->base;
    }
    CHECK_OK(submit(store, &record));
    for (uint32_t i = 0; i < record.entry_count; i++) {
        raft_entry_unref(entries[i]);
    }
}

static void make_random_log(const char *directory, struct random *random, struct model *model)
{
    *model = (struct model){.term = 1};
    unsigned runs = (unsigned)random_between(random, 1, 3);
    for (unsigned run = 0; run < runs; run++) {
        struct log_store *store = open_log(directory);
        unsigned frames = (unsigned)random_between(random, 1, 80);
        for (unsigned i = 0; i < frames; i++) {
            write_random_frame(store, random, model);
        }
        log_store_close(store); /* which says that all of them are durable */
    }
}

struct files {
    char names[64][64];
    uint32_t count;
};

static rr_status add_name(void *arg, const char *name, struct storage_error *error)
{
    struct files *files = arg;
    (void)error;
    if (strncmp(name, "segment-", 8) == 0 && files->count < 64) {
        snprintf(files->names[files->count++], sizeof(files->names[0]), "%s", name);
    }
    return RR_OK;
}

/* The last frame alone says that the one before is durable, so it is spared: the first block from
 * the end that is not empty. */
static uint64_t spared_end(const char *path)
{
    struct buffer bytes;
    buffer_init(&bytes);
    CHECK_OK(file_read(path, SIZE_MAX, &bytes, NULL));
    uint64_t end = bytes.size / BLOCK;
    while (end > 0 && memcmp(bytes.data + (end - 1) * BLOCK, "RRLF", 4) != 0) {
        end--;
    }
    buffer_deinit(&bytes);
    return end == 0 ? 0 : (end - 1) * BLOCK;
}

static void damage_somewhere(const char *directory, struct random *random)
{
    struct files files = {0};
    CHECK_OK(directory_list(directory, add_name, &files, NULL));
    uint32_t newest = 0;
    for (uint32_t i = 1; i < files.count; i++) {
        newest = strcmp(files.names[i], files.names[newest]) > 0 ? i : newest;
    }
    uint32_t chosen = (uint32_t)random_below(random, files.count);
    const char *path = path_in(directory, files.names[chosen]);
    if (chosen != newest && random_chance(random, 1, 20)) {
        CHECK_EQ(unlink(path), 0);
        return;
    }
    uint64_t size;
    CHECK_OK(file_size(path, &size, NULL));
    uint64_t end = chosen == newest ? spared_end(path) : size;
    if (end > 0) {
        uint64_t at = random_below(random, end);
        uint64_t room = end - at < BLOCK ? end - at : BLOCK;
        wipe(path, at, (size_t)random_between(random, 1, room));
    }
}

static void check_model(const char *directory, const struct model *model, raft_index base)
{
    struct log_store *store = open_log(directory);
    struct log_recovery recovery = recover(store, GROUP);
    raft_index commit = model->hard_state.commit;
    CHECK_EQ(recovery.hard_state.term, model->hard_state.term);
    CHECK_EQ(recovery.hard_state.vote, model->hard_state.vote);
    CHECK_EQ(recovery.hard_state.commit, commit > base ? commit : base);
    CHECK_EQ(recovery.bounds.base_index, base);
    CHECK_EQ(recovery.bounds.last_index, model->last);
    for (raft_index index = base + 1; index <= model->last; index++) {
        CHECK_EQ(term_at(store, GROUP, index), model->terms[index]);
    }
    log_store_close(store);
}

TEST(segment_repair, is_never_wrong_about_a_random_log)
{
    const char *rounds_text = getenv("TEST_ROUNDS");
    unsigned rounds = rounds_text == NULL ? 150 : (unsigned)atoi(rounds_text);
    struct random random;
    random_init(&random, test_seed(20));
    unsigned saved = 0;
    unsigned refused = 0;
    struct model *model = mem_new(struct model);
    const char *directory = test_path(test_directory(), "log");
    for (unsigned round = 0; round < rounds; round++) {
        CHECK_OK(file_remove_tree(directory, NULL));
        make_random_log(directory, &random, model);
        raft_index floor = random_between(&random, model->base, model->hard_state.commit);
        for (uint64_t spots = random_between(&random, 1, 3); spots > 0; spots--) {
            damage_somewhere(directory, &random);
        }
        rr_status status = open_status(directory);
        if (status == RR_OK) {
            check_model(directory, model, model->base);
            continue;
        }
        CHECK_STATUS(status, RR_CORRUPT);
        struct storage_error text = {0};
        status = repair(directory, floor, model->terms[floor], &text);
        if (status == RR_OK) {
            saved++;
            check_model(directory, model, floor);
        } else {
            refused++;
            CHECK_STATUS(status, RR_CORRUPT);
        }
    }
    printf("%u logs: %u saved, %u refused\n", rounds, saved, refused);
    CHECK_GT(saved, rounds / 10);
    CHECK_GT(refused, rounds / 10);
    mem_free(model);
}
