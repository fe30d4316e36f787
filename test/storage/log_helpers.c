/* Shared by the tests of log stores. */
#include "storage/log_helpers.h"

#include "base/memory.h"
#include "support/test.h"

#include <string.h>

struct log_store *open_log(const char *directory)
{
    struct storage_error error;
    struct log_store *store;
    rr_status status = suite_open(directory, &error, &store);
    if (status != RR_OK) {
        FAIL("the log does not open: %s", error.text);
    }
    return store;
}

static void note(void *arg, rr_status status)
{
    *(int *)arg = (int)status;
}

rr_status submit_frame(struct log_store *store, const struct log_frame *frame)
{
    int status = -1;
    log_store_submit(store, frame, note, &status);
    while (status < 0) {
        usleep(100);
        log_store_poll(store);
    }
    return (rr_status)status;
}

rr_status submit(struct log_store *store, const struct log_record *record)
{
    struct log_frame frame = {.records = record, .record_count = 1, .sync = true};
    return submit_frame(store, &frame);
}

/* The bytes that belong to a place in the log. */
static uint8_t byte_at(raft_index index, raft_term term, size_t i)
{
    return (uint8_t)(index * 31 + term * 7 + i);
}

struct raft_entry *make_entry(raft_index index, raft_term term, size_t size)
{
    struct raft_entry *entry = raft_entry_try_new(RAFT_ENTRY_NORMAL, size);
    entry->index = index;
    entry->term = term;
    for (size_t i = 0; i < size; i++) {
        entry->data[i] = byte_at(index, term, i);
    }
    return entry;
}

void check_entry(const struct raft_entry *entry, raft_index index, raft_term term)
{
    CHECK_EQ(entry->index, index);
    CHECK_EQ(entry->term, term);
    for (size_t i = 0; i < entry->size; i++) {
        if (entry->data[i] != byte_at(index, term, i)) {
            FAIL("entry %d has a wrong byte at %zu", (int)index, i);
        }
    }
}

void append_entries(struct log_store *store, raft_group group, raft_index first, raft_index last,
                    raft_term term)
{
    uint32_t count = (uint32_t)(last - first + 1);
    struct raft_entry **entries = mem_new_array(struct raft_entry *, count);
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = make_entry(first + i, term, 100);
    }
    struct log_record record = {.group = group, .entries = entries, .entry_count = count};
    rr_status status = submit(store, &record);
    for (uint32_t i = 0; i < count; i++) {
        raft_entry_unref(entries[i]);
    }
    mem_free(entries);
    CHECK_OK(status);
}

struct log_recovery recover(struct log_store *store, raft_group group)
{
    struct log_recovery recovery;
    struct storage_error error;
    rr_status status = log_store_recover(store, group, NULL, NULL, &error, &recovery);
    if (status != RR_OK) {
        FAIL("group %d does not recover: %s", (int)group, error.text);
    }
    return recovery;
}

void check_log(struct log_store *store, raft_group group, raft_index base_index,
               raft_term base_term, raft_index last_index)
{
    struct log_bounds bounds;
    CHECK(log_store_bounds(store, group, &bounds));
    CHECK_EQ(bounds.base_index, base_index);
    CHECK_EQ(bounds.base_term, base_term);
    CHECK_EQ(bounds.last_index, last_index);
    struct log_recovery recovery = recover(store, group);
    CHECK_EQ(recovery.bounds.base_index, base_index);
    CHECK_EQ(recovery.bounds.base_term, base_term);
    CHECK_EQ(recovery.bounds.last_index, last_index);
    for (raft_index index = base_index + 1; index <= last_index;) {
        struct raft_entry *entries[16];
        uint32_t count;
        CHECK_OK(
            log_store_read(store, group, index, last_index, 1 << 20, 16, entries, &count, NULL));
        CHECK_GE(count, 1);
        for (uint32_t i = 0; i < count; i++, index++) {
            CHECK_EQ(entries[i]->index, index);
            raft_entry_unref(entries[i]);
        }
    }
    struct raft_entry *entry;
    uint32_t count;
    CHECK_STATUS(
        log_store_read(store, group, last_index + 1, last_index + 1, 100, 1, &entry, &count, NULL),
        RR_NOT_FOUND);
    if (base_index > 0) {
        CHECK_STATUS(
            log_store_read(store, group, base_index, base_index, 100, 1, &entry, &count, NULL),
            RR_NOT_FOUND);
    }
}

raft_term term_at(struct log_store *store, raft_group group, raft_index index)
{
    struct raft_entry *entry;
    uint32_t count;
    CHECK_OK(log_store_read(store, group, index, index, 0, 1, &entry, &count, NULL));
    raft_term term = entry->term;
    raft_entry_unref(entry);
    return term;
}
