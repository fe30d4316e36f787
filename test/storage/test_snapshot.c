/* ctest: timeout=300 */
#include "storage/snapshot.h"

#include "base/random.h"
#include "storage/child.h"
#include "storage/file.h"
#include "storage/manifest.h"
#include "storage/snapshot_check.h"
#include "storage/snapshot_private.h"
#include "storage/snapshot_writer.h"
#include "storage/state_helpers.h"
#include "support/test.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static struct snapshot *create(struct snapshot_store *store, struct state *state)
{
    struct storage_error error;
    struct snapshot *snapshot;
    if (snapshot_create(store, state, &error, &snapshot) != RR_OK) {
        FAIL("no snapshot: %s", error.text);
    }
    return snapshot;
}

static rr_status count_name(void *arg, const char *name, struct storage_error *error)
{
    ++*(int *)arg;
    return RR_OK;
}

/* How many things there are in `directory`/snapshots. */
static int snapshot_names(const char *directory)
{
    int count = 0;
    CHECK_OK(directory_list(path_in(directory, "snapshots"), count_name, &count, NULL));
    return count;
}

/* Sends a snapshot into another store, from the chunk that is wanted on. */
static rr_status transfer(const struct snapshot *snapshot, struct snapshot_store *to,
                          struct snapshot **out)
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
    while (status == RR_OK && snapshot_writer_next(writer) < info.chunk_count) {
        uint64_t number = snapshot_writer_next(writer);
        uint64_t checksum;
        status = snapshot_read_chunk(snapshot, number, &chunk, &checksum, NULL);
        if (status == RR_OK) {
            status = snapshot_writer_chunk(writer, number, buffer_bytes(&chunk), checksum, NULL);
        }
    }
    buffer_deinit(&chunk);
    if (status != RR_OK) {
        snapshot_writer_close(writer);
        return status;
    }
    return snapshot_writer_finish(writer, NULL, out);
}

/* --- Making and keeping --- */

TEST(snapshot, describes_the_latest_over_restarts)
{
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    struct snapshot_store *store = open_snapshots(directory);
    struct snapshot_info info;
    CHECK(!snapshot_store_latest_info(store, &info));
    CHECK(snapshot_store_latest(store) == NULL);
    CHECK_STATUS(snapshot_create(store, state, NULL, NULL), RR_NOT_FOUND);
    commit_counters(state, 1, 120, 100);
    struct snapshot *snapshot = create(store, state);
    CHECK_BYTES(snapshot_meta(snapshot), test_bytes_of("120"));
    CHECK_OK(snapshot_verify(snapshot, NULL));
    snapshot_release(snapshot);
    CHECK(snapshot_store_latest_info(store, &info));
    CHECK_EQ(info.position.index, 120);
    CHECK_EQ(info.position.term, 2);
    CHECK_EQ(info.chunk_bytes, 4096);
    CHECK_EQ(info.chunk_count, (info.size + 4095) / 4096);
    commit_counters(state, 121, 130, 100);
    CHECK_OK(snapshot_create(store, state, NULL, NULL));
    CHECK_EQ(snapshot_names(directory), 1);
    snapshot_store_close(store);
    state_close(state);

    store = open_snapshots(directory);
    CHECK(snapshot_store_latest_info(store, &info));
    CHECK_EQ(info.position.index, 130);
    snapshot = snapshot_store_latest(store);
    CHECK_OK(snapshot_verify(snapshot, NULL));
    CHECK_BYTES(snapshot_meta(snapshot), test_bytes_of("130"));
    snapshot_release(snapshot);
    snapshot_store_close(store);
}

TEST(snapshot, is_the_same_again_while_nothing_changes)
{
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    struct snapshot_store *store = open_snapshots(directory);
    commit_counters(state, 1, 10, 0);
    struct snapshot *one = create(store, state);
    struct snapshot *two = create(store, state);
    CHECK(one == two);
    snapshot_release(one);
    snapshot_release(two);
    snapshot_store_close(store);
    state_close(state);
}

TEST(snapshot, lasts_as_long_as_somebody_holds_it)
{
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    struct snapshot_store *store = open_snapshots(directory);
    commit_counters(state, 1, 10, 100);
    struct snapshot *old = create(store, state);
    commit_counters(state, 11, 20, 100);
    snapshot_release(create(store, state));
    CHECK_EQ(snapshot_names(directory), 2);
    CHECK_OK(snapshot_verify(old, NULL));
    CHECK(snapshot_hold(old) == old);
    snapshot_release(old);
    CHECK_EQ(snapshot_names(directory), 2);
    snapshot_release(old);
    CHECK_EQ(snapshot_names(directory), 1);
    snapshot_store_close(store);
    state_close(state);
}

struct maker {
    struct state *state;
    struct snapshot_store *store;
    atomic_bool stop;
    atomic_int made;
    int wrong;
};

/* Makes snapshots and checks that each holds exactly what its manifest says. */
static void *make_snapshots(void *arg)
{
    struct maker *maker = arg;
    while (!atomic_load(&maker->stop)) {
        struct snapshot *snapshot;
        rr_status status = snapshot_create(maker->store, maker->state, NULL, &snapshot);
        if (status == RR_NOT_FOUND) {
            continue; /* nothing applied yet */
        }
        if (status != RR_OK) {
            maker->wrong++;
            break;
        }
        struct snapshot_info info;
        snapshot_info(snapshot, &info);
        char meta[32];
        snprintf(meta, sizeof(meta), "%" PRIu64, info.position.index);
        rr_bytes found = snapshot_meta(snapshot);
        if (found.size != strlen(meta) || memcmp(found.data, meta, found.size) != 0 ||
            info.position.term != 1 + info.position.index / 100 ||
            snapshot_verify(snapshot, NULL) != RR_OK) {
            maker->wrong++;
        }
        snapshot_release(snapshot);
        maker->made++;
    }
    return NULL;
}

TEST(snapshot, agrees_with_its_position_while_entries_are_applied)
{
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    struct maker maker = {.state = state, .store = open_snapshots(directory)};
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, make_snapshots, &maker), 0);
    raft_index index = 0;
    while (index < 3000 || (maker.made < 5 && index < 100000)) {
        commit_counters(state, index + 1, index + 100, 1000);
        index += 100;
    }
    atomic_store(&maker.stop, true);
    pthread_join(thread, NULL);
    CHECK_EQ(maker.wrong, 0);
    CHECK_GT(maker.made, 1);
    /* The last one, installed elsewhere, is a state in which data and position agree. */
    struct snapshot *last = snapshot_store_latest(maker.store);
    struct snapshot_info info;
    snapshot_info(last, &info);
    struct state *other = open_state(test_directory());
    CHECK_OK(state_install(other, last, NULL));
    CHECK_EQ(check_counters(other), info.position.index);
    state_close(other);
    snapshot_release(last);
    snapshot_store_close(maker.store);
    state_close(state);
}

CHILD(makes_a_snapshot)
{
    uint64_t fault = child->fault;
    file_fault_after(0, FILE_FAULT_NONE);
    struct state *state = open_state(child->directory);
    struct snapshot_store *store = open_snapshots(child->directory);
    raft_index applied = state_applied(state).index;
    commit_counters(state, applied + 1, applied + 50, 1000);
    file_fault_after(fault, (enum file_fault)child->fault_kind);
    rr_status status = snapshot_create(store, state, NULL, NULL);
    /* The removal of the old one may fail without harm. */
    if (status != RR_OK && file_fault_pending()) {
        _exit(5);
    }
    bool met = !file_fault_pending();
    uint64_t left = met ? 0 : 1;
    file_fault_after(0, FILE_FAULT_NONE);
    if (status != RR_OK) {
        struct snapshot_info info;
        if (snapshot_store_latest_info(store, &info) && info.position.index > applied) {
            _exit(6);
        }
    }
    snapshot_store_close(store);
    state_close(state);
    file_fault_after(left, FILE_FAULT_ERROR);
}

TEST(snapshot, leaves_the_last_one_after_a_fault_at_any_step)
{
    for (int fault = FILE_FAULT_ERROR; fault <= FILE_FAULT_EXIT; fault++) {
        const char *directory = test_directory();
        struct state *state = open_state(directory);
        struct snapshot_store *store = open_snapshots(directory);
        commit_counters(state, 1, 50, 1000);
        snapshot_release(create(store, state));
        snapshot_store_close(store);
        state_close(state);
        raft_index last = 50;
        for (uint64_t nth = 1;; nth++) {
            bool met = child_meets_fault("makes_a_snapshot", directory, nth, fault);
            store = open_snapshots(directory);
            struct snapshot *snapshot = snapshot_store_latest(store);
            CHECK(snapshot != NULL);
            CHECK_OK(snapshot_verify(snapshot, NULL));
            struct snapshot_info info;
            snapshot_info(snapshot, &info);
            CHECK_GE(info.position.index, last);
            last = info.position.index;
            CHECK_EQ(snapshot_names(directory), 1);
            snapshot_release(snapshot);
            snapshot_store_close(store);
            if (!met) {
                CHECK_GT(nth, 8);
                break;
            }
        }
    }
}

TEST(snapshot, is_deleted_where_its_manifest_is_damaged)
{
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    struct snapshot_store *store = open_snapshots(directory);
    commit_counters(state, 1, 10, 0);
    snapshot_release(create(store, state));
    snapshot_store_close(store);
    const char *path = path_in(directory, "snapshots/snapshot-1/SNAPSHOT");
    CHECK_OK(file_replace(path, test_bytes_of("nonsense"), NULL));
    store = open_snapshots(directory);
    struct snapshot_info info;
    CHECK(!snapshot_store_latest_info(store, &info));
    CHECK_EQ(snapshot_names(directory), 0);
    snapshot_release(create(store, state));
    snapshot_store_close(store);
    state_close(state);
}

TEST(snapshot, finds_a_rotten_file)
{
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    struct snapshot_store *store = open_snapshots(directory);
    commit_counters(state, 1, 10, 0);
    struct snapshot *snapshot = create(store, state);
    int fd = open(path_in(directory, "snapshots/snapshot-1/CURRENT"), O_RDWR);
    CHECK_GE(fd, 0);
    CHECK_EQ(pwrite(fd, "X", 1, 0), 1);
    struct storage_error error = {0};
    CHECK_STATUS(snapshot_verify(snapshot, &error), RR_CORRUPT);
    CHECK(strstr(error.text, "CURRENT fails its checksum") != NULL);
    CHECK_EQ(ftruncate(fd, 3), 0);
    CHECK_STATUS(snapshot_verify(snapshot, &error), RR_CORRUPT);
    close(fd);
    CHECK_EQ(unlink(path_in(directory, "snapshots/snapshot-1/CURRENT")), 0);
    CHECK_STATUS(snapshot_verify(snapshot, &error), RR_CORRUPT);
    CHECK(strstr(error.text, "is missing") != NULL);
    struct buffer chunk;
    buffer_init(&chunk);
    uint64_t checksum;
    rr_status status = RR_OK;
    struct snapshot_info info;
    snapshot_info(snapshot, &info);
    for (uint64_t i = 0; i < info.chunk_count && status == RR_OK; i++) {
        status = snapshot_read_chunk(snapshot, i, &chunk, &checksum, NULL);
    }
    CHECK_STATUS(status, RR_CORRUPT);
    buffer_deinit(&chunk);
    snapshot_release(snapshot);
    snapshot_store_close(store);
    state_close(state);
}

/* Reads the snapshot's chunks from `first` on, as a sender does, until the check complains. */
static rr_status check_chunks(const struct snapshot *snapshot, uint64_t first, bool *in_use,
                              struct storage_error *error)
{
    struct snapshot_info info;
    snapshot_info(snapshot, &info);
    struct snapshot_check check;
    snapshot_check_init(&check, snapshot);
    struct buffer chunk;
    buffer_init(&chunk);
    rr_status status = RR_OK;
    for (uint64_t i = first; i < info.chunk_count && status == RR_OK; i++) {
        uint64_t checksum;
        CHECK_OK(snapshot_read_chunk(snapshot, i, &chunk, &checksum, NULL));
        status = snapshot_check_chunk(&check, i, buffer_bytes(&chunk), in_use, error);
    }
    buffer_deinit(&chunk);
    snapshot_check_deinit(&check);
    return status;
}

TEST(snapshot, is_checked_while_it_is_read_to_be_sent)
{
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    struct snapshot_store *store = open_snapshots(directory);
    commit_counters(state, 1, 3000, 1500); /* tables of several pieces */
    struct snapshot *snapshot = create(store, state);
    const struct manifest *manifest = &snapshot->manifest;
    bool in_use = false;
    for (uint64_t first = 0; first < 5; first++) {
        CHECK_OK(check_chunks(snapshot, first * 100, &in_use, NULL));
    }
    for (uint32_t i = 0; i < manifest->file_count; i++) {
        const struct manifest_file *file = &manifest->files[i];
        bool is_table = strstr(file->name, ".sst") != NULL;
        if (is_table) { /* as the state's, unless that has merged its tables since */
            const char *second = path_in(directory, "second-name");
            CHECK_OK(file_remove_tree(second, NULL));
            CHECK_OK(file_link(path_in(snapshot->path, file->name), second, NULL));
        }
        int fd = open(path_in(snapshot->path, file->name), O_RDWR);
        CHECK_GE(fd, 0);
        uint8_t byte;
        off_t at = (off_t)(file->size / 2);
        CHECK_EQ(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        CHECK_EQ(pwrite(fd, &byte, 1, at), 1);
        struct storage_error error = {0};
        CHECK_STATUS(check_chunks(snapshot, 0, &in_use, &error), RR_CORRUPT);
        CHECK(strstr(error.text, file->name) != NULL);
        CHECK(in_use || !is_table);
        CHECK(!in_use || strcmp(file->name, "CURRENT") != 0); /* which is copied */
        byte ^= 1;
        CHECK_EQ(pwrite(fd, &byte, 1, at), 1);
        close(fd);
    }
    CHECK_OK(check_chunks(snapshot, 0, &in_use, NULL));
    snapshot_release(snapshot);
    snapshot_store_close(store);
    state_close(state);
}

TEST(snapshot, is_gone_once_it_was_dropped)
{
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    struct snapshot_store *store = open_snapshots(directory);
    commit_counters(state, 1, 10, 0);
    struct snapshot *snapshot = create(store, state);
    struct snapshot *again = snapshot_hold(snapshot);
    snapshot_drop(snapshot);
    snapshot_drop(snapshot); /* another sender may have met it as well */
    CHECK(snapshot_store_latest(store) == NULL);
    snapshot_release(snapshot);
    CHECK_EQ(snapshot_names(directory), 1); /* somebody still reads it */
    snapshot_release(again);
    CHECK_EQ(snapshot_names(directory), 0);
    snapshot_release(create(store, state));
    CHECK_EQ(snapshot_names(directory), 1);
    snapshot_store_close(store);
    state_close(state);
}

/* --- Sending and receiving --- */

/* A sender's state and snapshot, and an empty receiver. */
struct pair {
    const char *from_directory;
    const char *to_directory;
    struct state *state;
    struct snapshot_store *from;
    struct snapshot_store *to;
    struct snapshot *snapshot;
    struct snapshot_info info;
    struct buffer chunk;
    uint64_t checksum;
};

static void pair_init(struct pair *pair)
{
    *pair = (struct pair){.from_directory = test_directory(), .to_directory = test_directory()};
    pair->state = open_state(pair->from_directory);
    pair->from = open_snapshots(pair->from_directory);
    pair->to = open_snapshots(pair->to_directory);
    commit_counters(pair->state, 1, 250, 1000);
    pair->snapshot = create(pair->from, pair->state);
    snapshot_info(pair->snapshot, &pair->info);
    buffer_init(&pair->chunk);
    CHECK_GT(pair->info.chunk_count, 20);
}

static void pair_deinit(struct pair *pair)
{
    buffer_deinit(&pair->chunk);
    snapshot_release(pair->snapshot);
    snapshot_store_close(pair->from);
    snapshot_store_close(pair->to);
    state_close(pair->state);
}

static struct snapshot_writer *begin(struct pair *pair)
{
    struct snapshot_writer *writer;
    CHECK_OK(snapshot_writer_begin(pair->to, snapshot_manifest(pair->snapshot), NULL, &writer));
    return writer;
}

/* Reads a chunk and hands it to the writer. */
static rr_status send_chunk(struct pair *pair, struct snapshot_writer *writer, uint64_t number)
{
    CHECK_OK(snapshot_read_chunk(pair->snapshot, number, &pair->chunk, &pair->checksum, NULL));
    return snapshot_writer_chunk(writer, number, buffer_bytes(&pair->chunk), pair->checksum, NULL);
}

TEST(snapshot, arrives_whole_and_installs)
{
    struct pair pair;
    pair_init(&pair);
    struct snapshot *received;
    CHECK_OK(transfer(pair.snapshot, pair.to, &received));
    CHECK_BYTES(snapshot_manifest(received), snapshot_manifest(pair.snapshot));
    struct state *state = open_state(pair.to_directory);
    commit_counters(state, 1, 7, 100);
    CHECK_OK(state_install(state, received, NULL));
    CHECK_EQ(check_counters(state), 250);
    CHECK_EQ(digest_of(state), digest_of(pair.state));
    snapshot_release(received);
    commit_counters(state, 251, 300, 100);
    commit_counters(pair.state, 251, 300, 100);
    CHECK_EQ(digest_of(state), digest_of(pair.state));
    state_close(state);
    state = open_state(pair.to_directory);
    CHECK_EQ(check_counters(state), 300);
    CHECK_EQ(digest_of(state), digest_of(pair.state));
    /* And on to a third one. */
    struct snapshot_writer *writer;
    CHECK_STATUS(snapshot_writer_begin(pair.to, snapshot_manifest(pair.snapshot), NULL, &writer),
                 RR_CONFLICT);
    state_close(state);
    pair_deinit(&pair);
}

TEST(snapshot, refuses_damaged_early_and_senseless_chunks)
{
    struct pair pair;
    pair_init(&pair);
    struct snapshot_writer *writer = begin(&pair);
    CHECK_EQ(snapshot_writer_next(writer), 0);
    CHECK_STATUS(send_chunk(&pair, writer, 1), RR_CONFLICT);
    CHECK_OK(send_chunk(&pair, writer, 0));
    CHECK_OK(send_chunk(&pair, writer, 0)); /* a repeat */
    CHECK_EQ(snapshot_writer_next(writer), 1);
    CHECK_OK(snapshot_read_chunk(pair.snapshot, 1, &pair.chunk, &pair.checksum, NULL));
    pair.chunk.data[100] ^= 1;
    CHECK_STATUS(snapshot_writer_chunk(writer, 1, buffer_bytes(&pair.chunk), pair.checksum, NULL),
                 RR_CORRUPT);
    pair.chunk.data[100] ^= 1;
    rr_bytes shorter = {pair.chunk.data, pair.chunk.size - 1};
    CHECK_STATUS(
        snapshot_writer_chunk(writer, 1, shorter, snapshot_chunk_checksum(1, shorter), NULL),
        RR_CORRUPT);
    CHECK_STATUS(snapshot_writer_chunk(writer, 1, buffer_bytes(&pair.chunk),
                                       snapshot_chunk_checksum(2, buffer_bytes(&pair.chunk)), NULL),
                 RR_CORRUPT);
    CHECK_STATUS(snapshot_writer_chunk(writer, pair.info.chunk_count, shorter, 0, NULL),
                 RR_CORRUPT);
    CHECK_STATUS(snapshot_writer_chunk(writer, UINT64_MAX, shorter, 0, NULL), RR_CORRUPT);
    CHECK_EQ(snapshot_writer_next(writer), 1);
    struct snapshot *received;
    CHECK_STATUS(snapshot_writer_finish(writer, NULL, &received), RR_CONFLICT);
    writer = begin(&pair);
    CHECK_EQ(snapshot_writer_next(writer), 1);
    struct snapshot_writer *second;
    CHECK_STATUS(snapshot_writer_begin(pair.to, snapshot_manifest(pair.snapshot), NULL, &second),
                 RR_BUSY);
    snapshot_writer_close(writer);
    CHECK_OK(transfer(pair.snapshot, pair.to, &received));
    snapshot_release(received);
    pair_deinit(&pair);
}

TEST(snapshot, goes_on_where_it_was_after_breaks_and_restarts)
{
    struct random random;
    random_init(&random, test_seed(5));
    struct pair pair;
    pair_init(&pair);
    uint64_t next = 0;
    while (next < pair.info.chunk_count) {
        struct snapshot_writer *writer = begin(&pair);
        CHECK_EQ(snapshot_writer_next(writer), next);
        uint64_t end = next + random_between(&random, 1, 20);
        while (next < end && next < pair.info.chunk_count) {
            CHECK_OK(send_chunk(&pair, writer, next));
            next++;
        }
        snapshot_writer_close(writer);
        if (random_chance(&random, 1, 2)) {
            snapshot_store_close(pair.to);
            pair.to = open_snapshots(pair.to_directory);
        }
    }
    struct snapshot *received;
    CHECK_OK(snapshot_writer_finish(begin(&pair), NULL, &received));
    snapshot_release(received);
    pair_deinit(&pair);
}

TEST(snapshot, gives_way_to_another_that_comes)
{
    struct pair pair;
    pair_init(&pair);
    struct snapshot_writer *writer = begin(&pair);
    CHECK_OK(send_chunk(&pair, writer, 0));
    snapshot_writer_close(writer);
    commit_counters(pair.state, 251, 300, 1000);
    struct snapshot *newer = create(pair.from, pair.state);
    struct snapshot *received;
    CHECK_OK(transfer(newer, pair.to, &received));
    snapshot_release(received);
    /* An older one that comes late does not become the latest, but is usable. */
    CHECK_OK(transfer(pair.snapshot, pair.to, &received));
    struct snapshot_info info;
    CHECK(snapshot_store_latest_info(pair.to, &info));
    CHECK_EQ(info.position.index, 300);
    snapshot_release(received);
    CHECK_EQ(snapshot_names(pair.to_directory), 1);
    writer = begin(&pair);
    CHECK_OK(send_chunk(&pair, writer, 0));
    snapshot_writer_discard(writer);
    CHECK_EQ(snapshot_names(pair.to_directory), 1);
    snapshot_release(newer);
    pair_deinit(&pair);
}

TEST(snapshot, is_thrown_away_where_its_files_are_not_what_was_promised)
{
    struct pair pair;
    pair_init(&pair);
    struct snapshot_writer *writer = begin(&pair);
    for (uint64_t i = 0; i < pair.info.chunk_count; i++) {
        CHECK_OK(send_chunk(&pair, writer, i));
    }
    int fd = open(path_in(pair.to_directory, "snapshots/incoming/CURRENT"), O_WRONLY);
    CHECK_EQ(pwrite(fd, "X", 1, 0), 1); /* as a disk may do it */
    close(fd);
    struct snapshot *received;
    CHECK_STATUS(snapshot_writer_finish(writer, NULL, &received), RR_CORRUPT);
    CHECK_EQ(snapshot_names(pair.to_directory), 0);
    CHECK_OK(transfer(pair.snapshot, pair.to, &received));
    snapshot_release(received);
    pair_deinit(&pair);
}

TEST(snapshot, is_thrown_away_where_it_lies_about_its_position)
{
    struct pair pair;
    pair_init(&pair);
    struct manifest manifest;
    manifest_init(&manifest);
    CHECK_OK(manifest_decode(snapshot_manifest(pair.snapshot), NULL, &manifest));
    manifest.position.index++;
    struct buffer lie;
    buffer_init(&lie);
    manifest_encode(&manifest, &lie);
    struct snapshot_writer *writer;
    CHECK_OK(snapshot_writer_begin(pair.to, buffer_bytes(&lie), NULL, &writer));
    for (uint64_t i = 0; i < pair.info.chunk_count; i++) {
        CHECK_OK(send_chunk(&pair, writer, i));
    }
    struct snapshot *received;
    struct storage_error error;
    CHECK_STATUS(snapshot_writer_finish(writer, &error, &received), RR_CORRUPT);
    CHECK(strstr(error.text, "250 instead of 251") != NULL);
    CHECK_EQ(snapshot_names(pair.to_directory), 0);
    buffer_deinit(&lie);
    manifest_deinit(&manifest);
    pair_deinit(&pair);
}

TEST(snapshot, is_refused_where_it_does_not_fit)
{
    struct pair pair;
    pair_init(&pair);
    struct snapshot_store_options options = {.path = path_in(pair.to_directory, "small"),
                                             .bytes_max = pair.info.size - 1};
    struct snapshot_store *small;
    CHECK_OK(snapshot_store_open(&options, NULL, &small));
    struct snapshot_writer *writer;
    CHECK_STATUS(snapshot_writer_begin(small, snapshot_manifest(pair.snapshot), NULL, &writer),
                 RR_TOO_BIG);
    snapshot_store_close(small);
    options.bytes_max = 0;
    options.space_min = UINT64_MAX / 2;
    CHECK_OK(snapshot_store_open(&options, NULL, &small));
    struct storage_error error = {0};
    CHECK_STATUS(snapshot_writer_begin(small, snapshot_manifest(pair.snapshot), &error, &writer),
                 RR_NO_SPACE);
    CHECK(strstr(error.text, "free space") != NULL);
    snapshot_store_close(small);
    pair_deinit(&pair);
}

/* The parent's snapshot is received in a child that fails at one step. */
CHILD(receives_a_snapshot)
{
    uint64_t fault = child->fault;
    file_fault_after(0, FILE_FAULT_NONE);
    struct snapshot_store *from = open_snapshots(path_in(child->directory, "from"));
    struct snapshot_store *to = open_snapshots(path_in(child->directory, "to"));
    struct snapshot *snapshot = snapshot_store_latest(from);
    file_fault_after(fault, (enum file_fault)child->fault_kind);
    struct snapshot *received = NULL;
    rr_status status = transfer(snapshot, to, &received);
    if ((status == RR_OK) != file_fault_pending()) {
        _exit(5);
    }
    snapshot_release(received);
    snapshot_release(snapshot);
    snapshot_store_close(to);
    snapshot_store_close(from);
}

TEST(snapshot, arrives_after_a_fault_at_any_step)
{
    struct pair pair;
    pair_init(&pair);
    for (int fault = FILE_FAULT_ERROR; fault <= FILE_FAULT_EXIT; fault++) {
        const char *directory = test_directory();
        CHECK_EQ(symlink(pair.from_directory, path_in(directory, "from")), 0);
        for (uint64_t nth = 1;; nth += 3) { /* every third, from the beginning each time */
            CHECK_OK(file_remove_tree(path_in(directory, "to"), NULL));
            CHECK_OK(directory_create(path_in(directory, "to"), NULL));
            bool met = child_meets_fault("receives_a_snapshot", directory, nth, fault);
            struct snapshot_store *to = open_snapshots(path_in(directory, "to"));
            struct snapshot *received = snapshot_store_latest(to);
            if (received == NULL) {
                CHECK_OK(transfer(pair.snapshot, to, &received));
            }
            CHECK_OK(snapshot_verify(received, NULL));
            CHECK_EQ(snapshot_names(path_in(directory, "to")), 1);
            snapshot_release(received);
            snapshot_store_close(to);
            if (!met) {
                CHECK_GT(nth, 20);
                break;
            }
        }
    }
    pair_deinit(&pair);
}

/* --- Manifests --- */

TEST(manifest, finds_every_flipped_bit_and_every_cut)
{
    struct pair pair;
    pair_init(&pair);
    rr_bytes good = snapshot_manifest(pair.snapshot);
    uint8_t *copy = malloc(good.size);
    memcpy(copy, good.data, good.size);
    for (size_t bit = 0; bit < good.size * 8; bit++) {
        struct manifest manifest;
        manifest_init(&manifest);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_NE(manifest_decode((rr_bytes){copy, good.size}, NULL, &manifest), RR_OK);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        manifest_deinit(&manifest);
    }
    for (size_t size = 0; size < good.size; size++) {
        struct manifest manifest;
        manifest_init(&manifest);
        CHECK_NE(manifest_decode((rr_bytes){copy, size}, NULL, &manifest), RR_OK);
        manifest_deinit(&manifest);
    }
    free(copy);
    pair_deinit(&pair);
}

TEST(manifest, allows_no_name_that_leads_elsewhere)
{
    CHECK(manifest_name_allowed("CURRENT"));
    CHECK(manifest_name_allowed("000123.sst"));
    CHECK(manifest_name_allowed("MANIFEST-000005"));
    CHECK(manifest_name_allowed("OPTIONS-000007"));
    const char *bad[] = {"",
                         ".",
                         "..",
                         "../CURRENT",
                         "/etc/passwd",
                         "x/000001.sst",
                         "SNAPSHOT",
                         ".sst",
                         "LOG",
                         "000012.log",
                         "MANIFEST-/../x",
                         "IDENTITY",
                         "OPTIONS-000000000000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(!manifest_name_allowed(bad[i]));
    }
}

/* --- Installing --- */

TEST(state_install, refuses_a_snapshot_behind_the_state)
{
    struct pair pair;
    pair_init(&pair);
    commit_counters(pair.state, 251, 251, 0);
    CHECK_STATUS(state_install(pair.state, pair.snapshot, NULL), RR_CONFLICT);
    CHECK_EQ(check_counters(pair.state), 251);
    pair_deinit(&pair);
}

TEST(state_install, leaves_open_views_their_old_state)
{
    struct pair pair;
    pair_init(&pair);
    struct state *state = open_state(pair.to_directory);
    commit_counters(state, 1, 7, 0);
    struct state_view *view = state_view_open(state);
    CHECK_OK(state_install(state, pair.snapshot, NULL));
    CHECK_EQ(counter_of(view), 7);
    CHECK(file_exists(path_in(pair.to_directory, "state-1")));
    state_view_close(view);
    CHECK(!file_exists(path_in(pair.to_directory, "state-1")));
    CHECK_EQ(check_counters(state), 250);
    state_close(state);
    pair_deinit(&pair);
}

static bool count_pair(void *arg, rr_bytes key, rr_bytes value)
{
    CHECK_GT(key.size + value.size, 0);
    *(size_t *)arg += 1;
    return true;
}

/* What reading has kept of the old state must not show in the new one. */
TEST(state_install, shows_a_batch_the_new_state)
{
    struct pair pair;
    pair_init(&pair);
    struct state *state = open_state(pair.to_directory);
    commit_counters(state, 1, 7, 0);
    struct state_batch *batch = state_batch_new(state);
    struct state_span span = {.prefix = {"key", 3}};
    size_t count = 0;
    struct buffer value;
    buffer_init(&value);
    CHECK_OK(state_batch_span(batch, &span, count_pair, &count, NULL));
    CHECK_EQ(count, 7);
    CHECK_OK(state_batch_get(batch, test_bytes_of("counter"), &value, NULL));
    CHECK_BYTES(buffer_bytes(&value), test_bytes_of("7"));
    CHECK_STATUS(state_batch_get(batch, test_bytes_of("key-100"), &value, NULL), RR_NOT_FOUND);
    CHECK_OK(state_install(state, pair.snapshot, NULL));
    count = 0;
    CHECK_OK(state_batch_span(batch, &span, count_pair, &count, NULL));
    CHECK_EQ(count, 250);
    CHECK_OK(state_batch_get(batch, test_bytes_of("counter"), &value, NULL));
    CHECK_BYTES(buffer_bytes(&value), test_bytes_of("250"));
    CHECK_OK(state_batch_get(batch, test_bytes_of("key-100"), &value, NULL));
    buffer_deinit(&value);
    state_batch_free(batch);
    CHECK(!file_exists(path_in(pair.to_directory, "state-1")));
    state_close(state);
    pair_deinit(&pair);
}

TEST(state_install, keeps_the_state_where_the_snapshot_is_damaged)
{
    struct pair pair;
    pair_init(&pair);
    struct state *state = open_state(pair.to_directory);
    commit_counters(state, 1, 7, 0);
    const char *current = path_in(pair.from_directory, "snapshots/snapshot-1/CURRENT");
    CHECK_OK(file_replace(current, test_bytes_of("MANIFEST-999999\n"), NULL));
    CHECK_NE(state_install(state, pair.snapshot, NULL), RR_OK);
    CHECK(state_failure(state) == NULL);
    CHECK_EQ(unlink(current), 0);
    CHECK_STATUS(state_install(state, pair.snapshot, NULL), RR_CORRUPT);
    CHECK_EQ(check_counters(state), 7);
    CHECK(!file_exists(path_in(pair.to_directory, "state-2")));
    commit_counters(state, 8, 9, 0);
    state_close(state);
    pair_deinit(&pair);
}

CHILD(installs_a_snapshot)
{
    uint64_t fault = child->fault;
    file_fault_after(0, FILE_FAULT_NONE);
    struct snapshot_store *from = open_snapshots(path_in(child->directory, "from"));
    struct snapshot *snapshot = snapshot_store_latest(from);
    struct state *state = open_state(path_in(child->directory, "to"));
    file_fault_after(fault, (enum file_fault)child->fault_kind);
    rr_status status = state_install(state, snapshot, NULL);
    /* A link that fails becomes a copy, and the old directory may stay for a while. */
    if (status != RR_OK && file_fault_pending()) {
        _exit(5);
    }
    uint64_t left = file_fault_pending() ? 1 : 0;
    file_fault_after(0, FILE_FAULT_NONE);
    raft_index applied = state_applied(state).index;
    if (applied != (status == RR_OK ? 250u : 7u) || check_counters(state) != applied ||
        (status == RR_OK && state_failure(state) != NULL)) {
        _exit(6);
    }
    snapshot_release(snapshot);
    snapshot_store_close(from);
    state_close(state);
    file_fault_after(left, FILE_FAULT_ERROR);
}

TEST(state_install, leaves_one_whole_state_after_a_fault_at_any_step)
{
    struct pair pair;
    pair_init(&pair);
    uint64_t digest = digest_of(pair.state);
    for (int fault = FILE_FAULT_ERROR; fault <= FILE_FAULT_EXIT; fault++) {
        int old = 0;
        int new = 0;
        for (uint64_t nth = 1;; nth++) {
            const char *directory = test_directory();
            const char *to = path_in(directory, "to");
            CHECK_EQ(symlink(pair.from_directory, path_in(directory, "from")), 0);
            CHECK_OK(directory_create(to, NULL));
            struct state *state = open_state(to);
            commit_counters(state, 1, 7, 100);
            state_close(state);
            bool met = child_meets_fault("installs_a_snapshot", directory, nth, fault);

            state = open_state(to);
            raft_index applied = check_counters(state);
            CHECK(applied == 7 || applied == 250);
            CHECK(applied == 7 || digest_of(state) == digest);
            old += applied == 7;
            new += applied == 250;
            int names = 0;
            CHECK_OK(directory_list(to, count_name, &names, NULL));
            CHECK_LE(names, 3); /* STATE, one state, perhaps STATE.tmp */
            CHECK_OK(state_install(state, pair.snapshot, NULL)); /* again, or for the first time */
            CHECK_EQ(digest_of(state), digest);
            state_close(state);
            if (!met) {
                CHECK_EQ(applied, 250);
                break;
            }
        }
        CHECK_GT(old, 5);
        CHECK_GT(new, 2);
    }
    pair_deinit(&pair);
}
