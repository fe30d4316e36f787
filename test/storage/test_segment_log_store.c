/* The log store in segments: the suite of all log stores, its own rules, and damage to its files. */
/* ctest: timeout=180 */
#include "storage/segment_log_store.h"

#include "storage/log_store_suite.h"

#include "base/checksum.h"
#include "storage/file_gate.h"
#include "storage/rocksdb_log_store.h"
#include "storage/segment_format.h"
#include "storage/segment_pool.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SEGMENT_BYTES = 64 * 1024, LOG_BYTES_MAX = 4 * SEGMENT_BYTES };

rr_status suite_open(const char *directory, struct storage_error *error, struct log_store **out)
{
    /* Small segments, so that the tests see many. */
    struct segment_log_store_options options = {
        .path = directory,
        .segment_bytes = SEGMENT_BYTES,
        .log_bytes_max = LOG_BYTES_MAX,
        .prepare_inline = true,
    };
    return segment_log_store_open(&options, error, out);
}

/* --- Files --- */

struct listing {
    uint32_t segments;
    uint32_t spares;
    uint64_t bytes;
    char newest[64];
    const char *directory;
};

static rr_status count_file(void *arg, const char *name, struct storage_error *error)
{
    struct listing *listing = arg;
    uint64_t size;
    CHECK_OK(file_size(test_path(listing->directory, name), &size, NULL));
    listing->bytes += size;
    listing->spares += strncmp(name, "spare-", 6) == 0;
    if (strncmp(name, "segment-", 8) == 0) {
        listing->segments++;
        if (strcmp(name, listing->newest) > 0) {
            snprintf(listing->newest, sizeof(listing->newest), "%s", name);
        }
    }
    return RR_OK;
}

static struct listing list_files(const char *directory)
{
    struct listing listing = {.directory = directory};
    CHECK_OK(directory_list(directory, count_file, &listing, NULL));
    return listing;
}

static void purge(struct log_store *store, raft_group group, raft_index index)
{
    struct log_record record = {.group = group, .purge_index = index};
    CHECK_OK(submit(store, &record));
}

TEST(segment_log_store, uses_its_files_again)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    for (raft_index index = 1; index <= 400; index++) {
        append_entries(store, 1, index, index, 1);
        if (index > 20) {
            purge(store, 1, index - 20);
        }
    }
    struct listing listing = list_files(directory);
    CHECK_LE(listing.segments, 5);
    CHECK_LE(listing.bytes, 8 * SEGMENT_BYTES);
    CHECK_GT(strcmp(listing.newest, "segment-0000000000000020"), 0);
    check_log(store, 1, 380, 1, 400);
    log_store_close(store);
}

TEST(segment_log_store, copies_forward_what_slow_groups_need)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 2, 1, 100, 3);
    append_entries(store, 2, 90, 120, 4); /* replaces the end of the first */
    purge(store, 2, 7);
    for (raft_index index = 1; index <= 400; index++) {
        append_entries(store, 1, index, index, 1);
        if (index > 20) {
            purge(store, 1, index - 20);
        }
    }
    CHECK_LE(list_files(directory).segments, 6);
    check_log(store, 2, 7, 3, 120);
    log_store_close(store);
    store = open_log(directory);
    check_log(store, 2, 7, 3, 120);
    CHECK_EQ(term_at(store, 2, 89), 3);
    CHECK_EQ(term_at(store, 2, 90), 4);
    struct raft_entry *entries[113];
    uint32_t count;
    CHECK_OK(log_store_read(store, 2, 8, 120, SIZE_MAX, 113, entries, &count, NULL));
    for (uint32_t i = 0; i < count; i++) {
        check_entry(entries[i], 8 + i, i < 82 ? 3 : 4);
        raft_entry_unref(entries[i]);
    }
    CHECK_EQ(count, 113);
    log_store_close(store);
}

TEST(segment_log_store, takes_little_for_each_restart)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 1, 1, 10, 1);
    for (int i = 0; i < 20; i++) {
        log_store_close(store);
        store = open_log(directory);
    }
    CHECK_LE(list_files(directory).bytes, 6 * SEGMENT_BYTES);
    check_log(store, 1, 0, 0, 10);
    log_store_close(store);
}

TEST(segment_log_store, gives_a_large_frame_a_segment_that_grows)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    for (raft_index index = 1; index <= 3; index++) {
        struct raft_entry *entry = make_entry(index, 1, 3 * SEGMENT_BYTES);
        struct log_record record = {.group = 1, .entries = &entry, .entry_count = 1};
        CHECK_OK(submit(store, &record));
        raft_entry_unref(entry);
        CHECK_EQ(list_files(directory).segments, index);
    }
    append_entries(store, 1, 4, 4, 1);
    purge(store, 1, 3);
    append_entries(store, 1, 5, 1000, 1);                     /* begins another segment */
    CHECK_LE(list_files(directory).bytes, 6 * SEGMENT_BYTES); /* the large files are gone */
    check_log(store, 1, 3, 1, 1000);
    log_store_close(store);
}

TEST(segment_log_store, opens_with_another_segment_size)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 1, 1, 100, 1);
    log_store_close(store);
    struct segment_log_store_options options = {
        .path = directory, .segment_bytes = 16 * 1024, .prepare_inline = true};
    CHECK_OK(segment_log_store_open(&options, NULL, &store));
    for (raft_index index = 101; index <= 150; index++) {
        append_entries(store, 1, index, index, 1);
    }
    check_log(store, 1, 0, 0, 150);
    log_store_close(store);
    store = open_log(directory);
    check_log(store, 1, 0, 0, 150);
    log_store_close(store);
}

TEST(segment_log_store, refuses_sizes_that_cannot_be)
{
    uint64_t sizes[] = {4096, 8192, 16 * 1024 + 1, (uint64_t)2 << 30};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct segment_log_store_options options = {
            .path = test_directory(), .segment_bytes = sizes[i], .prepare_inline = true};
        struct log_store *store;
        struct storage_error error = {0};
        CHECK_STATUS(segment_log_store_open(&options, &error, &store), RR_INVALID);
        CHECK(error.text[0] != 0);
    }
}

TEST(segment_log_store, and_the_one_in_rocksdb_refuse_each_others_directory)
{
    const char *directory = test_directory();
    struct log_store *store;
    struct storage_error error = {0};
    struct rocksdb_log_store_options rocksdb = {.path = test_path(directory, "rocksdb")};
    CHECK_OK(rocksdb_log_store_open(&rocksdb, NULL, &store));
    log_store_close(store);
    CHECK_STATUS(suite_open(rocksdb.path, &error, &store), RR_MISMATCH);
    CHECK(strstr(error.text, rocksdb.path) != NULL);

    rocksdb.path = test_path(directory, "segments");
    log_store_close(open_log(rocksdb.path));
    CHECK_STATUS(rocksdb_log_store_open(&rocksdb, &error, &store), RR_MISMATCH);
    CHECK(strstr(error.text, rocksdb.path) != NULL);
    log_store_close(open_log(rocksdb.path)); /* nothing was changed */
}

/* --- Spares --- */

static void count_creations(void *arg, const struct file_event *event)
{
    *(uint64_t *)arg += event->kind == FILE_EVENT_CREATE;
}

TEST(segment_pool, survives_a_full_disk_while_it_prepares)
{
    const char *directory = test_directory();
    struct segment_pool_options options = {.path = directory, .segment_bytes = 3 << 20};
    struct segment_pool *pool;
    CHECK_OK(segment_pool_open(&options, NULL, &pool));
    for (uint64_t nth = 1;; nth++) {
        struct storage_error error = {0};
        file_fault_after(nth, FILE_FAULT_FULL);
        rr_status status = segment_pool_prepare(pool, &error);
        if (file_fault_pending()) {
            file_fault_after(0, FILE_FAULT_NONE);
            CHECK_OK(status);
            break;
        }
        CHECK_STATUS(status, RR_NO_SPACE);
        CHECK(strstr(error.text, "free space") != NULL);
        CHECK_EQ(list_files(directory).bytes, 0);
    }
    CHECK_EQ(segment_pool_spares(pool), 1);
    CHECK_OK(segment_pool_prepare(pool, NULL)); /* one is enough */
    CHECK_EQ(list_files(directory).bytes, 3 << 20);
    segment_pool_close(pool);

    CHECK_OK(segment_pool_open(&options, NULL, &pool)); /* it is found again */
    CHECK_EQ(segment_pool_spares(pool), 1);
    char path[PATH_BYTES_MAX];
    int fd;
    CHECK_OK(segment_pool_take(pool, false, NULL, path, &fd));
    CHECK_EQ(segment_pool_spares(pool), 0);
    close(fd);
    segment_pool_give(pool, path);
    CHECK_EQ(segment_pool_spares(pool), 1);
    segment_pool_close(pool);
    options.segment_bytes = 1 << 20; /* of another size: removed */
    CHECK_OK(segment_pool_open(&options, NULL, &pool));
    CHECK_EQ(segment_pool_spares(pool), 0);
    CHECK_EQ(list_files(directory).bytes, 0);
    segment_pool_close(pool);
}

TEST(segment_pool, does_not_take_the_last_space_for_a_spare)
{
    const char *directory = test_directory();
    struct segment_pool_options options = {.path = directory, .segment_bytes = 1 << 20};
    struct segment_pool *pool;
    CHECK_OK(segment_pool_open(&options, NULL, &pool));
    struct storage_error error = {0};
    file_gate_set_space(directory, (1 << 20) + 1000);
    uint64_t created = 0;
    file_observe(count_creations, &created);
    CHECK_STATUS(segment_pool_prepare(pool, &error), RR_NO_SPACE);
    file_observe(NULL, NULL);
    CHECK_EQ(created, 0);
    CHECK(strstr(error.text, "free space") != NULL);
    file_gate_set_space(directory, 2 << 20);
    CHECK_OK(segment_pool_prepare(pool, &error));
    CHECK_EQ(segment_pool_spares(pool), 1);
    file_gate_set_space(NULL, 0);
    segment_pool_close(pool);
}

/* Two hundred megabytes are not written in the time between two calls. */
TEST(segment_pool, writes_little_while_somebody_waits)
{
    const char *directory = test_directory();
    struct segment_pool_options options = {
        .path = directory, .segment_bytes = 256 * 1024 * 1024, .threaded = true};
    struct segment_pool *pool;
    char path[PATH_BYTES_MAX];
    uint64_t size;
    int fd;
    CHECK_OK(segment_pool_open(&options, NULL, &pool));
    CHECK_OK(segment_pool_take(pool, true, NULL, path, &fd));
    CHECK_OK(file_size(path, &size, NULL));
    CHECK_EQ(size, 4 * 1024 * 1024);
    close(fd);
    segment_pool_close(pool);
}

TEST(segment_log_store, goes_on_in_whole_segments_after_a_small_first_one)
{
    const char *directory = test_directory();
    struct segment_log_store_options options = {.path = directory,
                                                .segment_bytes = 8 * 1024 * 1024};
    struct log_store *store;
    CHECK_OK(segment_log_store_open(&options, NULL, &store));
    for (raft_index index = 1; index <= 24; index++) {
        struct raft_entry *entry = make_entry(index, 1, 1024 * 1024);
        struct log_record record = {.group = 1, .entries = &entry, .entry_count = 1};
        CHECK_OK(submit(store, &record));
        raft_entry_unref(entry);
    }
    CHECK_GE(list_files(directory).segments, 4);
    CHECK_LE(list_files(directory).segments, 6);
    check_log(store, 1, 0, 0, 24);
    log_store_close(store);
    CHECK_OK(segment_log_store_open(&options, NULL, &store));
    check_log(store, 1, 0, 0, 24);
    log_store_close(store);
}

TEST(segment_pool, tells_that_it_could_not_recycle)
{
    const char *directory = test_directory();
    struct segment_pool_options options = {.path = directory, .segment_bytes = 1 << 20};
    struct segment_pool *pool;
    CHECK_OK(segment_pool_open(&options, NULL, &pool));
    CHECK(!segment_pool_shortage(pool, NULL));
    segment_pool_give(pool, test_path(directory, "nothing"));
    struct storage_error error = {0};
    CHECK(segment_pool_shortage(pool, &error));
    CHECK(strstr(error.text, "nothing") != NULL);
    segment_pool_close(pool);
}

/* --- Damage --- */

/* Changes one bit. */
static void flip(const char *path, uint64_t offset)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;
    CHECK_EQ(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 0x10;
    CHECK_EQ(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

CHILD(leaves_ten_frames)
{
    struct log_store *store = open_log(child->directory);
    for (raft_index index = 1; index <= 10; index++) {
        append_entries(store, 1, index, index, 1);
    }
    _exit(0);
}

/* A log with a checkpoint and ten synced frames in its only segment, as after a kill. */
static const char *make_log(const char *directory)
{
    struct child child = {.directory = directory};
    CHECK_EQ(test_wait(child_start("leaves_ten_frames", &child)), 0);
    CHECK_EQ(list_files(directory).segments, 1);
    return test_path(directory, "segment-0000000000000001");
}

/* Flips a byte of frame `number`, which begins at its block, and opens the log. */
static rr_status open_damaged(const char *directory, uint64_t number, uint64_t byte,
                              struct storage_error *error, struct log_store **store)
{
    flip(make_log(directory), number * 4096 + byte);
    return suite_open(directory, error, store);
}

/* Frame 0 is the checkpoint, frame i the entry i; a frame's header has 80 bytes, its body 120. */
TEST(segment_log_store, finds_damage_to_frames_that_others_call_durable)
{
    uint64_t bytes[] = {0, 4, 35, 75, 80, 130, 199};
    for (uint64_t number = 0; number < 10; number += 3) {
        for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
            if (number == 0 && bytes[i] > 80) {
                continue; /* the checkpoint of an empty log is shorter */
            }
            const char *directory = test_directory();
            struct log_store *store;
            struct storage_error error = {0};
            CHECK_STATUS(open_damaged(directory, number, bytes[i], &error, &store), RR_CORRUPT);
            char place[64];
            snprintf(place, sizeof(place), "segment-0000000000000001 is damaged at byte %d",
                     (int)number * 4096);
            CHECK(strstr(error.text, place) != NULL);
            CHECK(strstr(error.text, "docs/faults.md") != NULL);
        }
    }
}

TEST(segment_log_store, takes_a_bad_last_frame_for_a_torn_one)
{
    const char *directory = test_directory();
    struct log_store *store;
    CHECK_OK(open_damaged(directory, 10, 100, NULL, &store));
    check_log(store, 1, 0, 0, 9);
    append_entries(store, 1, 10, 12, 2);
    log_store_close(store);
    store = open_log(directory);
    check_log(store, 1, 0, 0, 12);
    CHECK_EQ(term_at(store, 1, 10), 2);
    log_store_close(store);
}

TEST(segment_log_store, finds_damage_to_the_last_frame_once_it_was_closed)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 1, 1, 1, 1);
    append_entries(store, 1, 2, 2, 1);
    log_store_close(store);
    flip(test_path(directory, "segment-0000000000000001"), 2 * 4096 + 100);
    CHECK_STATUS(suite_open(directory, NULL, &store), RR_CORRUPT);
}

TEST(segment_log_store, finds_a_frame_that_went_elsewhere)
{
    const char *directory = test_directory();
    int fd = open(make_log(directory), O_RDWR);
    uint8_t block[4096];
    uint8_t zeros[4096] = {0};
    CHECK_EQ(pread(fd, block, 4096, 10 * 4096), 4096);
    CHECK_EQ(pwrite(fd, zeros, 4096, 10 * 4096), 4096);
    CHECK_EQ(pwrite(fd, block, 4096, 12 * 4096), 4096);
    close(fd);
    struct log_store *store;
    struct storage_error error = {0};
    CHECK_STATUS(suite_open(directory, &error, &store), RR_CORRUPT);
    CHECK(strstr(error.text, "wrong place") != NULL);
}

TEST(segment_log_store, misses_each_of_its_segments)
{
    for (int missing = 1; missing <= 3; missing++) {
        const char *directory = test_directory();
        struct log_store *store = NULL;
        for (raft_index index = 1; index <= 4; index++) { /* a segment for each restart */
            store = open_log(directory);
            append_entries(store, 1, index, index, 1);
            log_store_close(store);
        }
        char name[64];
        snprintf(name, sizeof(name), "segment-000000000000000%d", missing);
        CHECK_EQ(unlink(test_path(directory, name)), 0);
        struct storage_error error = {0};
        CHECK_STATUS(suite_open(directory, &error, &store), RR_CORRUPT);
        CHECK(strstr(error.text, name) != NULL);
        CHECK(strstr(error.text, "missing") != NULL);
    }
}

TEST(segment_log_store, names_an_entry_that_rots_while_it_is_open)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    for (raft_index index = 1; index <= 10; index++) {
        append_entries(store, 1, index, index, 1);
    }
    flip(test_path(directory, "segment-0000000000000001"), 5 * 4096 + 150);
    struct storage_error error = {0};
    struct log_recovery recovery;
    CHECK_STATUS(log_store_recover(store, 1, NULL, NULL, &error, &recovery), RR_CORRUPT);
    CHECK(strstr(error.text, "entry 5 of group 1") != NULL);
    struct raft_entry *entries[10];
    uint32_t count;
    CHECK_STATUS(log_store_read(store, 1, 1, 10, SIZE_MAX, 10, entries, &count, NULL), RR_CORRUPT);
    CHECK_OK(log_store_read(store, 1, 6, 10, SIZE_MAX, 10, entries, &count, NULL));
    CHECK_EQ(count, 5);
    for (uint32_t i = 0; i < count; i++) {
        raft_entry_unref(entries[i]);
    }
    log_store_close(store);
}

/* A frame of a later version: its checksum is right, its version is not ours. */
TEST(segment_log_store, refuses_a_newer_version)
{
    const char *directory = test_directory();
    const char *path = make_log(directory);
    int fd = open(path, O_RDWR);
    uint8_t header[SEGMENT_HEADER_BYTES];
    CHECK_EQ(pread(fd, header, sizeof(header), 3 * 4096), (ssize_t)sizeof(header));
    header[4] = 2;
    store_u64(header + 72, checksum64(header, 72));
    CHECK_EQ(pwrite(fd, header, sizeof(header), 3 * 4096), (ssize_t)sizeof(header));
    close(fd);
    struct log_store *store;
    struct storage_error error = {0};
    CHECK_STATUS(suite_open(directory, &error, &store), RR_MISMATCH);
    CHECK(strstr(error.text, "newer") != NULL);
}

TEST(segment_log_store, fails_when_no_file_can_be_had_and_keeps_what_it_promised)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    raft_index index = 1;
    for (;; index++) { /* the next frame needs the next segment */
        struct listing listing = list_files(directory);
        append_entries(store, 1, index, index, 1);
        if (list_files(directory).segments > listing.segments) {
            break;
        }
    }
    raft_index promised = index;
    for (raft_index more = 1; more <= 40; more++) {
        struct raft_entry *entry = make_entry(index + more, 1, 10);
        struct log_record record = {.group = 1, .entries = &entry, .entry_count = 1};
        file_fault_after(3, FILE_FAULT_FULL); /* a frame is a write and a sync */
        rr_status status = submit(store, &record);
        raft_entry_unref(entry);
        if (status != RR_OK) {
            break;
        }
        promised = index + more;
    }
    CHECK(!file_fault_pending());
    CHECK_LT(promised, index + 40);
    CHECK(strstr(log_store_failure(store), "free space") != NULL);
    log_store_close(store);
    store = open_log(directory);
    check_log(store, 1, 0, 0, promised);
    log_store_close(store);
}
