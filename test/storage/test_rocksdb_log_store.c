/* The log store on RocksDB: the suite of all log stores, and damage done to its files. */
/* ctest: timeout=180 */
#include "storage/rocksdb_log_store.h"

#include "storage/log_store_suite.h"

#include "storage/log_record.h"
#include "storage/rocks.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

rr_status suite_open(const char *directory, struct storage_error *error, struct log_store **out)
{
    /* Small memtables, so that the tests see flushed entries as well. */
    struct rocksdb_log_store_options options = {.path = directory, .memtable_bytes = 256 * 1024};
    return rocksdb_log_store_open(&options, error, out);
}

/* Opens the store's database as RocksDB sees it. */
static void open_raw(const char *directory, struct rocks *out)
{
    static const char *const families[] = {"raft_log", "hard_state"};
    rocksdb_options_t *options = rocks_options_new();
    CHECK_OK(rocks_open(directory, ROCKS_EXISTING, options, families, 2, NULL, out));
    rocksdb_options_destroy(options);
}

/* Replaces or (with a size of 0) deletes one value behind the store's back. */
static void damage(const char *directory, int family, const void *key, size_t key_size,
                   const void *value, size_t size)
{
    struct rocks rocks;
    open_raw(directory, &rocks);
    rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();
    char *message = NULL;
    if (size == 0) {
        rocksdb_delete_cf(rocks.db, options, rocks.families[family], key, key_size, &message);
    } else {
        rocksdb_put_cf(rocks.db, options, rocks.families[family], key, key_size, value, size,
                       &message);
    }
    CHECK(message == NULL);
    rocksdb_writeoptions_destroy(options);
    rocks_close(&rocks);
}

static const uint8_t key_of_5[16] = {[7] = 1, [15] = 5};

static void check_damaged(const char *directory, const char *text)
{
    struct log_store *store = open_log(directory);
    struct log_recovery recovery;
    struct storage_error error = {0};
    CHECK_STATUS(log_store_recover(store, 1, NULL, NULL, &error, &recovery), RR_CORRUPT);
    CHECK(strstr(error.text, text) != NULL);
    CHECK(strstr(error.text, "entry 5 of group 1") != NULL);
    struct raft_entry *entries[10];
    uint32_t count;
    CHECK_STATUS(log_store_read(store, 1, 1, 10, SIZE_MAX, 10, entries, &count, NULL), RR_CORRUPT);
    log_store_close(store);
}

TEST(rocksdb_log_store, names_a_missing_entry)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 1, 1, 10, 1);
    log_store_close(store);
    damage(directory, 1, key_of_5, sizeof(key_of_5), NULL, 0);
    check_damaged(directory, "missing");
}

TEST(rocksdb_log_store, names_a_damaged_entry)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 1, 1, 10, 1);
    log_store_close(store);
    struct raft_entry *entry = make_entry(6, 1, 100); /* good, but of another place */
    uint8_t value[LOG_ENTRY_HEADER_BYTES + 100];
    log_entry_header_encode(1, entry, value);
    memcpy(value + LOG_ENTRY_HEADER_BYTES, entry->data, 100);
    raft_entry_unref(entry);
    damage(directory, 1, key_of_5, sizeof(key_of_5), value, sizeof(value));
    check_damaged(directory, "checksum");
    damage(directory, 1, key_of_5, sizeof(key_of_5), value, 3);
    check_damaged(directory, "cut short");
}

TEST(rocksdb_log_store, refuses_a_damaged_hard_state)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 1, 1, 10, 1);
    log_store_close(store);
    uint8_t key[8] = {[7] = 1};
    damage(directory, 2, key, sizeof(key), "\1nonsense", 9);
    struct storage_error error = {0};
    CHECK_STATUS(suite_open(directory, &error, &store), RR_CORRUPT);
    CHECK(strstr(error.text, "hard state of group 1") != NULL);
}

struct found {
    char name[64];
};

static rr_status find_wal(void *arg, const char *name, struct storage_error *error)
{
    struct found *found = arg;
    size_t size = strlen(name);
    if (size > 4 && strcmp(name + size - 4, ".log") == 0) {
        snprintf(found->name, sizeof(found->name), "%s", name);
    }
    return RR_OK;
}

CHILD(leaves_ten_frames)
{
    struct log_store *store = open_log(child->directory);
    for (raft_index index = 1; index <= 10; index++) {
        append_entries(store, 1, index, index, 1);
    }
    _exit(0);
}

/* Leaves a WAL with ten synced frames, as after a kill, and returns its path. */
static const char *make_wal(const char *directory)
{
    struct child child = {.directory = directory};
    CHECK_EQ(test_wait(child_start("leaves_ten_frames", &child)), 0);
    struct found found = {0};
    CHECK_OK(directory_list(directory, find_wal, &found, NULL));
    return test_path(directory, found.name);
}

TEST(rocksdb_log_store, forgives_a_torn_end_but_no_damage_before_it)
{
    const char *directory = test_directory();
    const char *torn = make_wal(test_path(directory, "torn"));
    uint64_t size;
    CHECK_OK(file_size(torn, &size, NULL));
    CHECK_EQ(truncate(torn, (off_t)size - 5), 0);
    struct log_store *store = open_log(test_path(directory, "torn"));
    check_log(store, 1, 0, 0, 9);
    log_store_close(store);

    const char *rotten = make_wal(test_path(directory, "rotten"));
    CHECK_OK(file_size(rotten, &size, NULL));
    int fd = open(rotten, O_RDWR);
    uint8_t byte;
    CHECK_EQ(pread(fd, &byte, 1, (off_t)size / 2), 1);
    byte ^= 0x40;
    CHECK_EQ(pwrite(fd, &byte, 1, (off_t)size / 2), 1);
    close(fd);
    struct storage_error error = {0};
    CHECK_STATUS(suite_open(test_path(directory, "rotten"), &error, &store), RR_CORRUPT);
    CHECK(error.text[0] != 0);
}

TEST(rocksdb_log_store, is_open_once_at_a_time)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    struct log_store *second;
    struct storage_error error = {0};
    CHECK_STATUS(suite_open(directory, &error, &second), RR_BUSY);
    log_store_close(store);
}

/* --- Values --- */

TEST(log_record, finds_every_flipped_bit_of_an_entry)
{
    struct raft_entry *entry = make_entry(12, 3, 20);
    uint8_t value[LOG_ENTRY_HEADER_BYTES + 20];
    log_entry_header_encode(9, entry, value);
    memcpy(value + LOG_ENTRY_HEADER_BYTES, entry->data, 20);
    struct log_entry_view view;
    rr_bytes bytes = {value, sizeof(value)};
    CHECK_OK(log_entry_decode(9, 12, bytes, NULL, &view));
    CHECK_EQ(view.term, 3);
    CHECK_EQ(view.data.size, 20);
    CHECK_STATUS(log_entry_decode(9, 13, bytes, NULL, &view), RR_CORRUPT);
    CHECK_STATUS(log_entry_decode(8, 12, bytes, NULL, &view), RR_CORRUPT);
    for (size_t bit = 0; bit < sizeof(value) * 8; bit++) {
        value[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_NE(log_entry_decode(9, 12, bytes, NULL, &view), RR_OK);
        value[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t size = 0; size < sizeof(value); size++) {
        CHECK_NE(log_entry_decode(9, 12, (rr_bytes){value, size}, NULL, &view), RR_OK);
    }
    raft_entry_unref(entry);
}

TEST(log_record, finds_every_flipped_bit_of_a_group_record)
{
    struct log_group_record record = {{1, 2, 3}, 4, 5};
    struct log_group_record found;
    uint8_t value[LOG_GROUP_RECORD_BYTES];
    log_group_record_encode(9, &record, value);
    rr_bytes bytes = {value, sizeof(value)};
    CHECK_OK(log_group_record_decode(9, bytes, NULL, &found));
    CHECK_EQ(found.hard_state.commit, 3);
    CHECK_EQ(found.base_term, 5);
    CHECK_STATUS(log_group_record_decode(8, bytes, NULL, &found), RR_CORRUPT);
    for (size_t bit = 0; bit < sizeof(value) * 8; bit++) {
        value[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_NE(log_group_record_decode(9, bytes, NULL, &found), RR_OK);
        value[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK_STATUS(log_group_record_decode(9, (rr_bytes){value, 0}, NULL, &found), RR_CORRUPT);
}
