/* Moving a log from one kind of store to the other, and every way to be interrupted in it. */
/* ctest: timeout=240 */
#include "storage/log_migrate.h"

#include "base/codec.h"
#include "base/random.h"
#include "storage/child.h"
#include "storage/file.h"
#include "storage/file_gate.h"
#include "storage/log_helpers.h"
#include "storage/state_helpers.h"
#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { GROUPS = 3, SEGMENT_BYTES = 64 * 1024 };

static const struct logger silent;

/* Opens the log of the data directory `directory` as `kind`, moved if need be. */
static rr_status open_as(const char *directory, rr_log_kind kind, bool migrate,
                         struct storage_error *error, struct log_store **out)
{
    struct log_store_open_options options = {
        .path = path_in(directory, "log"),
        .kind = kind,
        .segment_bytes = SEGMENT_BYTES,
        .migrate = migrate,
    };
    return log_store_open(&options, &silent, error, out);
}

static struct log_store *must_open(const char *directory, rr_log_kind kind)
{
    struct storage_error error;
    struct log_store *store;
    if (open_as(directory, kind, /*migrate=*/true, &error, &store) != RR_OK) {
        FAIL("the log does not open: %s", error.text);
    }
    return store;
}

rr_status suite_open(const char *directory, struct storage_error *error, struct log_store **out)
{
    return open_as(directory, RR_LOG_AUTO, /*migrate=*/false, error, out);
}

static rr_log_kind kind_of(const char *directory)
{
    rr_log_kind kind;
    CHECK_OK(log_store_kind(path_in(directory, "log"), NULL, &kind));
    return kind;
}

static rr_log_kind other(rr_log_kind kind)
{
    return kind == RR_LOG_ROCKSDB ? RR_LOG_SEGMENTS : RR_LOG_ROCKSDB;
}

/* --- Logs to move --- */

/* What is drawn next for a group must fit what came before. */
struct drawn {
    raft_term term;
    raft_index commit;
};

static void draw_entries(struct log_store *store, struct random *random, raft_group group,
                         struct drawn *drawn)
{
    struct log_bounds bounds = {0};
    log_store_bounds(store, group, &bounds);
    raft_index kept = bounds.base_index > drawn->commit ? bounds.base_index : drawn->commit;
    raft_index first = random_between(random, kept + 1, bounds.last_index + 1);
    drawn->term += random_below(random, 2);
    struct raft_entry *entries[40];
    uint32_t count = (uint32_t)random_between(random, 1, 40);
    for (uint32_t i = 0; i < count; i++) {
        size_t size = (size_t)(random_chance(random, 1, 50) ? 200000 : random_below(random, 2000));
        entries[i] = make_entry(first + i, drawn->term, size);
        entries[i]->type = (enum raft_entry_type)(random_chance(random, 1, 10) ? 2 : 0);
    }
    struct log_record record = {.group = group, .entries = entries, .entry_count = count};
    CHECK_OK(submit(store, &record));
    for (uint32_t i = 0; i < count; i++) {
        raft_entry_unref(entries[i]);
    }
}

static void draw_step(struct log_store *store, struct random *random, raft_group group,
                      struct drawn *drawn)
{
    draw_entries(store, random, group, drawn);
    struct log_bounds bounds;
    CHECK(log_store_bounds(store, group, &bounds));
    struct log_record record = {.group = group};
    struct raft_hard_state hard_state = {.term = drawn->term + random_below(random, 3),
                                         .vote = random_below(random, 4)};
    if (random_chance(random, 1, 8)) {
        record.reset = true;
        record.reset_index = bounds.last_index + random_below(random, 100);
        record.reset_term = bounds.last_term;
        drawn->commit = record.reset_index;
    } else if (random_chance(random, 1, 2)) {
        raft_index low = bounds.base_index > drawn->commit ? bounds.base_index : drawn->commit;
        drawn->commit = random_between(random, low, bounds.last_index);
        record.purge_index = random_chance(random, 1, 3) ? drawn->commit : 0;
    }
    hard_state.commit = drawn->commit;
    record.hard_state = &hard_state;
    CHECK_OK(submit(store, &record));
}

/* A log of `kind` with groups 1, 8, 15 ... (as far as `steps` reach) and one without entries. */
static void make_log(const char *directory, rr_log_kind kind, uint64_t seed, int steps)
{
    struct random random;
    random_init(&random, seed);
    struct log_store *store = must_open(directory, kind);
    struct drawn drawn[GROUPS] = {{1, 0}, {1, 0}, {1, 0}};
    for (int i = 0; i < steps; i++) {
        uint64_t group = random_below(&random, GROUPS);
        draw_step(store, &random, 1 + 7 * group, &drawn[group]);
    }
    struct raft_hard_state hard_state = {.term = 12, .vote = 3};
    struct log_record vote = {.group = 4711, .hard_state = &hard_state};
    CHECK_OK(submit(store, &vote));
    log_store_close(store);
}

/* --- What is in a log --- */

struct dump {
    struct log_store *store;
    struct buffer bytes;
};

static void dump_entries(struct dump *dump, raft_group group, const struct log_bounds *bounds)
{
    for (raft_index index = bounds->base_index + 1; index <= bounds->last_index; index++) {
        struct raft_entry *entry;
        uint32_t count;
        CHECK_OK(log_store_read(dump->store, group, index, index, 0, 1, &entry, &count, NULL));
        put_u64(&dump->bytes, entry->index);
        put_u64(&dump->bytes, entry->term);
        put_u64(&dump->bytes, entry->type);
        put_u64(&dump->bytes, entry->size);
        put_raw(&dump->bytes, entry->data, entry->size);
        raft_entry_unref(entry);
    }
}

static void dump_group(void *arg, raft_group group)
{
    struct dump *dump = arg;
    struct log_recovery recovery = recover(dump->store, group);
    put_u64(&dump->bytes, group);
    put_u64(&dump->bytes, recovery.hard_state.term);
    put_u64(&dump->bytes, recovery.hard_state.vote);
    put_u64(&dump->bytes, recovery.hard_state.commit);
    put_u64(&dump->bytes, recovery.bounds.base_index);
    put_u64(&dump->bytes, recovery.bounds.base_term);
    put_u64(&dump->bytes, recovery.bounds.last_index);
    put_u64(&dump->bytes, recovery.bounds.last_term);
    dump_entries(dump, group, &recovery.bounds);
}

/* Everything in the log, of whatever kind it is, after ending what was cut short; the caller frees
 * it. */
static struct buffer dump_log(const char *directory)
{
    struct dump dump = {0};
    CHECK_OK(suite_open(directory, NULL, &dump.store));
    buffer_init(&dump.bytes);
    log_store_each_group(dump.store, dump_group, &dump);
    CHECK(!dump.bytes.failed);
    log_store_close(dump.store);
    return dump.bytes;
}

static void check_same(const char *directory, const struct buffer *before)
{
    struct buffer now = dump_log(directory);
    CHECK_EQ(now.size, before->size);
    CHECK(memcmp(now.data, before->data, now.size) == 0);
    buffer_deinit(&now);
    CHECK(!file_exists(path_in(directory, "log.new")));
    CHECK(!file_exists(path_in(directory, "log.old")));
}

/* --- Moving --- */

TEST(log_migrate, moves_any_log_there_and_back)
{
    uint64_t seed = test_seed(4040);
    for (int round = 0; round < 6; round++) {
        const char *directory = test_directory();
        rr_log_kind kind = round % 2 == 0 ? RR_LOG_ROCKSDB : RR_LOG_SEGMENTS;
        make_log(directory, kind, seed + (uint64_t)round, 1 + 12 * round);
        CHECK_EQ(kind_of(directory), kind);
        struct buffer before = dump_log(directory);
        log_store_close(must_open(directory, other(kind)));
        CHECK_EQ(kind_of(directory), other(kind));
        check_same(directory, &before);
        log_store_close(must_open(directory, other(kind))); /* nothing more to do */
        check_same(directory, &before);
        log_store_close(must_open(directory, kind));
        CHECK_EQ(kind_of(directory), kind);
        check_same(directory, &before);
        buffer_deinit(&before);
    }
}

TEST(log_migrate, leaves_a_log_alone_that_it_was_not_asked_to_move)
{
    const rr_log_kind kinds[] = {RR_LOG_ROCKSDB, RR_LOG_SEGMENTS};
    for (int i = 0; i < 2; i++) {
        const char *directory = test_directory();
        make_log(directory, kinds[i], 1, 3);
        struct buffer before = dump_log(directory);
        struct storage_error error = {0};
        struct log_store *store;
        CHECK_STATUS(open_as(directory, other(kinds[i]), /*migrate=*/false, &error, &store),
                     RR_MISMATCH);
        CHECK(strstr(error.text, "migrate_log") != NULL);
        /* With nothing special asked for it stays what it is, also where it might be moved. */
        CHECK_OK(open_as(directory, RR_LOG_AUTO, /*migrate=*/true, &error, &store));
        log_store_close(store);
        CHECK_EQ(kind_of(directory), kinds[i]);
        check_same(directory, &before);
        buffer_deinit(&before);
    }
}

TEST(log_migrate, refuses_a_directory_with_files_of_both_kinds)
{
    const char *directory = test_directory();
    make_log(directory, RR_LOG_SEGMENTS, 1, 3);
    int fd;
    CHECK_OK(file_create(path_in(directory, "log/CURRENT"), &fd, NULL));
    close(fd);
    struct storage_error error = {0};
    struct log_store *store;
    CHECK_STATUS(open_as(directory, RR_LOG_AUTO, false, &error, &store), RR_CORRUPT);
    CHECK(strstr(error.text, "two kinds") != NULL);
}

/* --- Interrupted --- */

/* What is open to a child: moves the log of its directory to the other kind. */
CHILD(moves_to_segments)
{
    struct storage_error error;
    struct log_store *store;
    rr_status status = open_as(child->directory, RR_LOG_SEGMENTS, true, &error, &store);
    if (status == RR_OK) {
        log_store_close(store);
    }
}

CHILD(moves_to_rocksdb)
{
    struct storage_error error;
    struct log_store *store;
    rr_status status = open_as(child->directory, RR_LOG_ROCKSDB, true, &error, &store);
    if (status == RR_OK) {
        log_store_close(store);
    }
}

/* Makes the log ready to be moved to `to`. */
static void move_back(const char *directory, rr_log_kind to)
{
    if (kind_of(directory) == to) {
        log_store_close(must_open(directory, other(to)));
    }
}

/* Ends the process at each step of a move in turn. The log is whole after each, of either kind. */
static void walk_exits(rr_log_kind to)
{
    const char *name = to == RR_LOG_SEGMENTS ? "moves_to_segments" : "moves_to_rocksdb";
    const char *directory = test_directory();
    make_log(directory, other(to), test_seed(99), 4);
    struct buffer before = dump_log(directory);
    uint64_t nth = 1;
    for (; child_meets_fault(name, directory, nth, FILE_FAULT_EXIT); nth++) {
        if (nth % 3 == 0) {
            continue; /* the next move finds what this one left */
        }
        check_same(directory, &before);
        move_back(directory, to);
    }
    CHECK_GT(nth, 20);
    CHECK_EQ(kind_of(directory), to);
    check_same(directory, &before);
    buffer_deinit(&before);
}

TEST(log_migrate, survives_an_end_at_each_step_to_segments)
{
    walk_exits(RR_LOG_SEGMENTS);
}

TEST(log_migrate, survives_an_end_at_each_step_to_rocksdb)
{
    walk_exits(RR_LOG_ROCKSDB);
}

/* Fails each step of a move in turn. The log is as it was, and can be moved afterwards. */
static void walk_failures(rr_log_kind to, enum file_fault fault)
{
    const char *directory = test_directory();
    make_log(directory, other(to), test_seed(98), 4);
    struct buffer before = dump_log(directory);
    for (uint64_t nth = 1;; nth++) {
        struct storage_error error = {0};
        struct log_store *store;
        file_fault_after(nth, fault);
        rr_status status = open_as(directory, to, true, &error, &store);
        bool met = !file_fault_pending();
        file_fault_after(0, FILE_FAULT_NONE);
        if (status == RR_OK) {
            log_store_close(store);
        } else {
            CHECK(met);
            CHECK(error.text[0] != 0);
            CHECK(status == RR_IO || status == RR_NO_SPACE);
        }
        check_same(directory, &before);
        if (!met) {
            CHECK_GT(nth, 20);
            break;
        }
        move_back(directory, to);
    }
    CHECK_EQ(kind_of(directory), to);
    buffer_deinit(&before);
}

TEST(log_migrate, survives_a_failure_of_each_step_to_segments)
{
    walk_failures(RR_LOG_SEGMENTS, FILE_FAULT_ERROR);
}

TEST(log_migrate, survives_a_failure_of_each_step_to_rocksdb)
{
    walk_failures(RR_LOG_ROCKSDB, FILE_FAULT_FULL);
}

/* A bit of the new log is read wrongly. What is known to be damaged then is not the old one. */
TEST(log_migrate, takes_no_fault_of_the_new_log_for_damage_to_the_old_one)
{
    const char *directory = test_directory();
    make_log(directory, RR_LOG_ROCKSDB, test_seed(97), 4);
    struct buffer before = dump_log(directory);
    int failures = 0;
    for (uint64_t nth = 1;; nth++) {
        struct storage_error error = {0};
        struct log_store *store;
        file_read_fault_after(nth, FILE_FAULT_FLIP);
        rr_status status = open_as(directory, RR_LOG_SEGMENTS, true, &error, &store);
        bool met = !file_read_fault_pending();
        file_read_fault_after(0, FILE_FAULT_NONE);
        if (status == RR_OK) {
            log_store_close(store);
        } else if (kind_of(directory) == RR_LOG_ROCKSDB) {
            CHECK_STATUS(status, RR_IO);
            failures++;
        }
        check_same(directory, &before);
        if (!met) {
            break;
        }
        move_back(directory, RR_LOG_SEGMENTS);
    }
    CHECK_GT(failures, 0);
    buffer_deinit(&before);
}

static void rename_in(const char *directory, const char *from, const char *to)
{
    CHECK_OK(file_rename(path_in(directory, from), path_in(directory, to), NULL));
}

TEST(log_migrate, refuses_what_no_move_leaves_behind)
{
    const char *directory = test_directory();
    struct storage_error error = {0};
    struct log_store *store;
    make_log(directory, RR_LOG_ROCKSDB, 1, 3);
    rename_in(directory, "log", "log.old");
    CHECK_STATUS(open_as(directory, RR_LOG_AUTO, true, &error, &store), RR_CORRUPT);
    rename_in(directory, "log.old", "log.new");
    CHECK_STATUS(open_as(directory, RR_LOG_AUTO, true, &error, &store), RR_CORRUPT);
    CHECK(!file_exists(path_in(directory, "log")));
    rename_in(directory, "log.new", "log");
    CHECK_OK(directory_create(path_in(directory, "log.new"), NULL));
    CHECK_OK(directory_create(path_in(directory, "log.old"), NULL));
    CHECK_STATUS(open_as(directory, RR_LOG_AUTO, true, &error, &store), RR_CORRUPT);
    CHECK(strstr(error.text, "LOG.old") != NULL);
    CHECK_EQ(kind_of(directory), RR_LOG_ROCKSDB);
}

TEST(log_migrate, does_not_begin_without_room_for_both_logs)
{
    const char *directory = test_directory();
    make_log(directory, RR_LOG_ROCKSDB, 1, 3);
    struct buffer before = dump_log(directory);
    struct storage_error error = {0};
    struct log_store *store;
    file_gate_set_space(directory, 32 * 1024 * 1024);
    CHECK_STATUS(open_as(directory, RR_LOG_SEGMENTS, true, &error, &store), RR_NO_SPACE);
    file_gate_set_space(NULL, 0);
    CHECK(strstr(error.text, "32 are free") != NULL);
    check_same(directory, &before);
    CHECK_EQ(kind_of(directory), RR_LOG_ROCKSDB);
    buffer_deinit(&before);
}

TEST(log_migrate, moves_no_damaged_log)
{
    const char *directory = test_directory();
    struct log_store *store = must_open(directory, RR_LOG_SEGMENTS);
    append_entries(store, 1, 1, 100, 1);
    log_store_close(store);
    const char *path = path_in(directory, "log/segment-0000000000000001");
    int fd;
    CHECK_OK(file_open(path, &fd, NULL));
    CHECK_OK(file_write_at(fd, path, 5000, test_bytes_of("x"), NULL));
    close(fd);
    struct storage_error error = {0};
    CHECK_STATUS(open_as(directory, RR_LOG_ROCKSDB, true, &error, &store), RR_CORRUPT);
    CHECK(strstr(error.text, "segment-") != NULL);
    CHECK_EQ(kind_of(directory), RR_LOG_SEGMENTS);
    CHECK(!file_exists(path_in(directory, "log.new")));
}
