/*
 * What the disk does wrong while files are read and written (file.h), at each read and each write of
 * whoever uses them: the log in segments, STATE, IDENTITY, the mark of damage, snapshots.
 */
/* ctest: timeout=180 */
#include "storage/child.h"
#include "storage/damage.h"
#include "storage/data_dir.h"
#include "storage/file.h"
#include "storage/log_helpers.h"
#include "storage/segment_log_store.h"
#include "storage/snapshot_writer.h"
#include "storage/state_helpers.h"
#include "storage/state_pointer.h"
#include "support/test.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Nothing here is about syncs, and they are slow: while there is an observer, there are none. */
static void observe_nothing(void *arg, const struct file_event *event)
{
}

__attribute__((constructor)) static void skip_syncs(void)
{
    file_observe(observe_nothing, NULL);
}

rr_status suite_open(const char *directory, struct storage_error *error, struct log_store **out)
{
    struct segment_log_store_options options = {
        .path = directory, .segment_bytes = 64 * 1024, .prepare_inline = true};
    return segment_log_store_open(&options, error, out);
}

/* --- Files --- */

TEST(file, writes_all_of_it_however_the_system_calls_end)
{
    const char *path = test_path(test_directory(), "file");
    char text[1000];
    memset(text, 'x', sizeof(text));
    for (int fault = FILE_FAULT_SHORT; fault <= FILE_FAULT_INTERRUPT; fault++) {
        bool met = true;
        for (uint64_t nth = 1; met; nth++) {
            text[0] = (char)('a' + nth);
            file_fault_after(nth, (enum file_fault)fault);
            CHECK_OK(file_replace(path, (rr_bytes){text, sizeof(text)}, NULL));
            met = !file_fault_pending();
            file_fault_after(0, FILE_FAULT_NONE);
            struct buffer read;
            buffer_init(&read);
            CHECK_OK(file_read(path, SIZE_MAX, &read, NULL));
            CHECK_BYTES(buffer_bytes(&read), ((rr_bytes){text, sizeof(text)}));
            buffer_deinit(&read);
        }
    }
}

TEST(file, reads_all_of_it_or_says_why_not)
{
    const char *path = test_path(test_directory(), "file");
    rr_bytes text = test_bytes_of("some bytes that are read");
    CHECK_OK(file_replace(path, text, NULL));
    for (int fault = FILE_FAULT_ERROR; fault <= FILE_FAULT_FLIP; fault++) {
        if (fault == FILE_FAULT_FULL || fault == FILE_FAULT_EXIT) {
            continue; /* of writes alone */
        }
        struct buffer read;
        buffer_init(&read);
        struct storage_error error = {0};
        file_read_fault_after(1, (enum file_fault)fault);
        rr_status status = file_read(path, SIZE_MAX, &read, &error);
        CHECK(!file_read_fault_pending());
        if (fault == FILE_FAULT_ERROR) {
            CHECK_STATUS(status, RR_IO);
            CHECK(strstr(error.text, "Input/output error") != NULL);
            CHECK_EQ(read.size, 0);
        } else {
            CHECK_OK(status);
            bool same = read.size == text.size && memcmp(read.data, text.data, text.size) == 0;
            CHECK_EQ(same, fault != FILE_FAULT_FLIP);
        }
        buffer_deinit(&read);
    }
}

/* --- The log in segments --- */

enum { ENTRIES = 30 };

CHILD(leaves_a_log)
{
    struct log_store *store = open_log(child->directory);
    for (raft_index index = 1; index <= ENTRIES; index++) {
        append_entries(store, 1, index, index, 1);
    }
    _exit(0); /* nothing says that the last frame is durable */
}

static void write_log(const char *directory, bool closed)
{
    if (!closed) {
        struct child child = {.directory = directory};
        CHECK_EQ(test_wait(child_start("leaves_a_log", &child)), 0);
        return;
    }
    struct log_store *store = open_log(directory);
    for (raft_index index = 1; index <= ENTRIES; index++) {
        append_entries(store, 1, index, index, 1);
    }
    log_store_close(store);
}

static void expect_log(const char *directory, raft_index last)
{
    struct log_store *store = open_log(directory);
    check_log(store, 1, 0, 0, last);
    log_store_close(store);
}

/* Opens the log with a fault at its `nth` read; whether it was met. */
static bool open_with_fault(const char *directory, uint64_t nth, enum file_fault fault,
                            rr_status *status)
{
    struct storage_error error = {0};
    struct log_store *store;
    file_read_fault_after(nth, fault);
    *status = suite_open(directory, &error, &store);
    bool met = !file_read_fault_pending();
    file_read_fault_after(0, FILE_FAULT_NONE);
    if (*status == RR_OK) {
        log_store_close(store);
    } else {
        CHECK(error.text[0] != 0);
    }
    return met;
}

/* The last frame has no later one that vouches for it, so what was read wrongly there would end the
 * log before it, and what is written again would be wrong for good. */
TEST(segment_log_store, is_unharmed_by_a_fault_of_any_read_while_it_opens)
{
    enum file_fault faults[] = {FILE_FAULT_ERROR, FILE_FAULT_SHORT, FILE_FAULT_INTERRUPT,
                                FILE_FAULT_FLIP};
    const char *directory = test_path(test_directory(), "log");
    for (int closed = 0; closed < 2; closed++) {
        for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
            bool harmless = faults[i] == FILE_FAULT_SHORT || faults[i] == FILE_FAULT_INTERRUPT;
            bool met = closed || !harmless; /* once is enough for those */
            for (uint64_t nth = 1; met; nth++) {
                CHECK_OK(file_remove_tree(directory, NULL));
                write_log(directory, closed);
                rr_status status;
                met = open_with_fault(directory, nth, faults[i], &status);
                if (faults[i] == FILE_FAULT_ERROR) {
                    CHECK_STATUS(status, met ? RR_IO : RR_OK);
                } else if (faults[i] != FILE_FAULT_FLIP) {
                    CHECK_OK(status);
                } else {
                    CHECK(status == RR_OK || status == RR_CORRUPT || status == RR_IO ||
                          status == RR_MISMATCH);
                }
                expect_log(directory, ENTRIES);
            }
        }
    }
}

TEST(segment_log_store, never_hands_out_what_was_read_wrongly)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 1, 1, ENTRIES, 1);
    struct raft_entry *entries[ENTRIES];
    uint32_t count;
    struct storage_error error = {0};
    file_read_fault_after(1, FILE_FAULT_ERROR);
    CHECK_STATUS(log_store_read(store, 1, 1, ENTRIES, 1 << 20, ENTRIES, entries, &count, &error),
                 RR_IO);
    CHECK(strstr(error.text, "Input/output error") != NULL);
    file_read_fault_after(1, FILE_FAULT_FLIP);
    CHECK_STATUS(log_store_read(store, 1, 1, ENTRIES, 1 << 20, ENTRIES, entries, &count, &error),
                 RR_CORRUPT);
    file_read_fault_after(1, FILE_FAULT_SHORT);
    CHECK_OK(log_store_read(store, 1, 1, ENTRIES, 1 << 20, ENTRIES, entries, &count, &error));
    CHECK_EQ(count, ENTRIES);
    for (uint32_t i = 0; i < count; i++) {
        check_entry(entries[i], i + 1, 1);
        raft_entry_unref(entries[i]);
    }
    log_store_close(store);
}

/* A write that ends early is no failure, wherever it is: of frames, spares, new segments. */
TEST(segment_log_store, goes_on_writing_after_any_short_or_interrupted_write)
{
    const char *directory = test_path(test_directory(), "log");
    for (int fault = FILE_FAULT_SHORT; fault <= FILE_FAULT_INTERRUPT; fault++) {
        bool met = true;
        for (uint64_t nth = 1; met; nth++) {
            CHECK_OK(file_remove_tree(directory, NULL));
            file_fault_after(nth, (enum file_fault)fault);
            write_log(directory, /*closed=*/true);
            met = !file_fault_pending();
            file_fault_after(0, FILE_FAULT_NONE);
            expect_log(directory, ENTRIES);
        }
    }
}

/* --- Small files --- */

static rr_status read_pointer(const char *directory)
{
    uint64_t number;
    return state_pointer_read(directory, &number, NULL);
}

static rr_status read_identity(const char *directory)
{
    struct data_dir_options options = {.path = directory, .node = 4};
    struct data_dir *dir;
    rr_status status = data_dir_open(&options, NULL, &dir);
    if (status == RR_OK) {
        CHECK(!data_dir_is_new(dir));
        data_dir_close(dir);
    }
    return status;
}

/* What cannot be read is not taken for missing, and what is read wrongly is noticed. */
TEST(small_files, are_never_taken_for_missing_or_for_others)
{
    const char *directory = test_directory();
    CHECK_OK(state_pointer_write(directory, 3, NULL));
    struct data_dir_options options = {.path = test_path(directory, "data"), .node = 4};
    struct data_dir *dir;
    CHECK_OK(data_dir_open(&options, NULL, &dir));
    data_dir_close(dir);
    struct {
        rr_status (*read)(const char *directory);
        const char *directory;
    } files[] = {{read_pointer, directory}, {read_identity, options.path}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        file_read_fault_after(1, FILE_FAULT_ERROR);
        CHECK_STATUS(files[i].read(files[i].directory), RR_IO);
        file_read_fault_after(1, FILE_FAULT_FLIP);
        CHECK_STATUS(files[i].read(files[i].directory), RR_CORRUPT);
        file_read_fault_after(1, FILE_FAULT_SHORT);
        CHECK_OK(files[i].read(files[i].directory));
        CHECK(!file_read_fault_pending());
    }
    struct damage damage;
    CHECK_OK(damage_mark(directory, DAMAGE_STATE, "rotten", NULL));
    file_read_fault_after(1, FILE_FAULT_ERROR);
    CHECK_STATUS(damage_read(directory, &damage, NULL), RR_IO);
    file_read_fault_after(1, FILE_FAULT_FLIP);
    CHECK_OK(damage_read(directory, &damage, NULL));
    CHECK_EQ(damage.parts, DAMAGE_ALL);
}

/* --- Snapshots --- */

/* Reads and receives a snapshot; returns the first status that is not RR_OK. */
static rr_status send(const struct snapshot *snapshot, struct snapshot_store *to)
{
    struct snapshot_writer *writer;
    rr_status status = snapshot_writer_begin(to, snapshot_manifest(snapshot), NULL, &writer);
    if (status != RR_OK) {
        return status;
    }
    struct snapshot_info info;
    snapshot_info(snapshot, &info);
    struct buffer chunk;
    buffer_init(&chunk);
    for (uint64_t i = snapshot_writer_next(writer); status == RR_OK && i < info.chunk_count; i++) {
        uint64_t checksum;
        status = snapshot_read_chunk(snapshot, i, &chunk, &checksum, NULL);
        if (status == RR_OK) {
            status = snapshot_writer_chunk(writer, i, buffer_bytes(&chunk), checksum, NULL);
        }
    }
    buffer_deinit(&chunk);
    struct snapshot *received = NULL;
    if (status != RR_OK) {
        snapshot_writer_close(writer);
        return status;
    }
    status = snapshot_writer_finish(writer, NULL, &received);
    snapshot_release(received);
    return status;
}

TEST(snapshot, arrives_whole_or_not_at_all_whatever_read_of_it_goes_wrong)
{
    const char *directory = test_directory();
    CHECK_OK(directory_create(path_in(directory, "from"), NULL));
    CHECK_OK(directory_create(path_in(directory, "to"), NULL));
    struct state *state = open_state(path_in(directory, "from"));
    struct snapshot_store *from = open_snapshots(path_in(directory, "from"));
    commit_counters(state, 1, 100, 300);
    struct snapshot *snapshot;
    CHECK_OK(snapshot_create(from, state, NULL, &snapshot));
    enum file_fault faults[] = {FILE_FAULT_ERROR, FILE_FAULT_SHORT, FILE_FAULT_FLIP};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        bool met = true;
        for (uint64_t nth = 1; met; nth++) {
            CHECK_OK(file_remove_tree(path_in(directory, "to/snapshots"), NULL));
            struct snapshot_store *to = open_snapshots(path_in(directory, "to"));
            file_read_fault_after(nth, faults[i]);
            rr_status status = send(snapshot, to);
            met = !file_read_fault_pending();
            file_read_fault_after(0, FILE_FAULT_NONE);
            CHECK_EQ(status == RR_OK, !met || faults[i] == FILE_FAULT_SHORT);
            CHECK_EQ(snapshot_store_latest_info(to, &(struct snapshot_info){0}), status == RR_OK);
            if (status != RR_OK) {
                CHECK_STATUS(status, faults[i] == FILE_FAULT_ERROR ? RR_IO : RR_CORRUPT);
                CHECK_OK(send(snapshot, to)); /* again, from where it was or from the start */
            }
            struct snapshot *received = snapshot_store_latest(to);
            CHECK_OK(snapshot_verify(received, NULL));
            snapshot_release(received);
            snapshot_store_close(to);
        }
    }
    snapshot_release(snapshot);
    snapshot_store_close(from);
    state_close(state);
}
