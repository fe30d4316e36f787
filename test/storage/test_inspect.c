/*
 * rockraft-inspect reads a log as the store does that wrote it: bounds, hard states and every byte of
 * every entry, over random histories of several groups. It looks while the store has segments open, too,
 * but not at RocksDB's files, which RocksDB's own threads change. (What it says of damaged segments is in test_segment_crash.c.)
 */
/* ctest: timeout=180 */
#include "base/memory.h"
#include "base/random.h"
#include "storage/inspect.h"
#include "storage/log_helpers.h"
#include "storage/rocksdb_log_store.h"
#include "storage/segment_log_store.h"
#include "support/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { GROUPS = 4, ENTRIES_MAX = 8, SEGMENT_BYTES = 32 * 1024, BYTES_MAX = 20000, STEPS = 1500 };

static rr_log_kind kind;

rr_status suite_open(const char *directory, struct storage_error *error, struct log_store **out)
{
    if (kind == RR_LOG_ROCKSDB) {
        /* Little memory, so that there are SST files, too. */
        struct rocksdb_log_store_options options = {.path = directory, .memtable_bytes = 64 * 1024};
        return rocksdb_log_store_open(&options, error, out);
    }
    struct segment_log_store_options options = {
        .path = directory,
        .segment_bytes = SEGMENT_BYTES,
        .log_bytes_max = 4 * SEGMENT_BYTES,
        .prepare_inline = true,
    };
    return segment_log_store_open(&options, error, out);
}

/* --- Random records --- */

static struct raft_entry *draw_entry(struct random *random, raft_index index, raft_term term)
{
    size_t size =
        random_chance(random, 1, 20) ? random_below(random, BYTES_MAX) : random_below(random, 300);
    enum raft_entry_type type = (enum raft_entry_type)random_below(random, 3);
    struct raft_entry *entry = raft_entry_try_new(type, size);
    CHECK(entry != NULL);
    entry->index = index;
    entry->term = term;
    random_fill(random, entry->data, size);
    return entry;
}

static void write_entries(struct random *random, struct log_store *store, raft_group group,
                          const struct log_bounds *bounds)
{
    raft_index first = bounds->last_index + 1;
    raft_term term = bounds->last_term;
    if (random_chance(random, 1, 6) && bounds->last_index > bounds->base_index) {
        first = random_between(random, bounds->base_index + 1, bounds->last_index);
    }
    term += term == 0 || random_chance(random, 1, 4);
    struct raft_entry *entries[ENTRIES_MAX];
    uint32_t count = (uint32_t)random_between(random, 1, ENTRIES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = draw_entry(random, first + i, term);
    }
    /* A commit index that a truncation leaves behind must not be there. */
    struct raft_hard_state hard_state = {
        .term = term,
        .vote = random_below(random, 5),
        .commit = random_between(random, bounds->base_index, first + count - 1),
    };
    struct log_record record = {
        .group = group, .entries = entries, .entry_count = count, .hard_state = &hard_state};
    CHECK_OK(submit(store, &record));
    for (uint32_t i = 0; i < count; i++) {
        raft_entry_unref(entries[i]);
    }
}

static void write_random(struct random *random, struct log_store *store)
{
    raft_group group = random_below(random, GROUPS);
    struct log_bounds bounds = {0};
    log_store_bounds(store, group, &bounds);
    struct log_record record = {.group = group};
    uint64_t choice = random_below(random, 60);
    if (choice == 0) {
        record.destroy = true;
    } else if (choice == 1) {
        record.reset = true;
        record.reset_index = bounds.last_index + random_below(random, 50);
        record.reset_term = bounds.last_term + 1;
    } else if (choice < 10 && group > 0) { /* group 0 lags, and its entries are copied forward */
        record.purge_index = random_between(random, bounds.base_index, bounds.last_index);
    } else {
        write_entries(random, store, group, &bounds);
        return;
    }
    CHECK_OK(submit(store, &record));
}

/* --- What the program says --- */

/* All that the program printed. */
struct said {
    int groups_status;
    struct inspect_group groups[GROUPS];
    int entries_status;
    char **entries; /* lines */
    size_t count;
};

static void keep_line(void *arg, const char *line)
{
    struct said *said = arg;
    said->entries = mem_resize(said->entries, (said->count + 1) * sizeof(*said->entries));
    said->entries[said->count++] = mem_copy_text(line);
}

static void ask(const char *directory, struct said *out)
{
    *out = (struct said){.count = 0};
    out->groups_status = inspect_log_groups(directory, out->groups, GROUPS);
    const char *arguments[] = {"entries", directory, "--data", "--json", NULL};
    out->entries_status = inspect_run(arguments, keep_line, out);
}

static void check_data(const struct raft_entry *entry, const char *line)
{
    const char *hex = strstr(line, "\"data\":\"");
    CHECK(hex != NULL);
    hex += strlen("\"data\":\"");
    CHECK_EQ(strspn(hex, "0123456789abcdef"), 2 * (size_t)entry->size);
    for (uint32_t i = 0; i < entry->size; i++) {
        unsigned byte;
        CHECK_EQ(sscanf(hex + 2 * i, "%2x", &byte), 1);
        CHECK_EQ(byte, entry->data[i]);
    }
}

static void check_line(struct log_store *store, const char *line)
{
    static const char *const types[] = {"normal", "change", "change-v2"};
    uint64_t group;
    uint64_t index;
    uint64_t term;
    uint64_t bytes;
    char type[16];
    CHECK_EQ(sscanf(line,
                    "{\"kind\":\"entry\",\"group\":%" SCNu64 ",\"index\":%" SCNu64
                    ",\"term\":%" SCNu64 ",\"type\":\"%15[a-z0-9-]\",\"bytes\":%" SCNu64,
                    &group, &index, &term, type, &bytes),
             5);
    struct raft_entry *entry;
    uint32_t count;
    CHECK_OK(log_store_read(store, group, index, index, BYTES_MAX, 1, &entry, &count, NULL));
    CHECK_EQ(term, entry->term);
    CHECK_EQ(bytes, entry->size);
    CHECK_TEXT(types[entry->type], type);
    check_data(entry, line);
    raft_entry_unref(entry);
}

static void check_group(struct log_store *store, raft_group id, const struct inspect_group *said)
{
    struct log_recovery recovery = recover(store, id);
    CHECK_EQ(said->term, recovery.hard_state.term);
    CHECK_EQ(said->vote, recovery.hard_state.vote);
    CHECK_EQ(said->commit, recovery.hard_state.commit);
    CHECK_EQ(said->base, recovery.bounds.base_index);
    CHECK_EQ(said->base_term, recovery.bounds.base_term);
    CHECK_EQ(said->last, recovery.bounds.last_index);
    CHECK_EQ(said->last_term, recovery.bounds.last_term);
}

/* Whether it said what the store has. */
static void check_said(struct log_store *store, struct said *said)
{
    CHECK_EQ(said->groups_status, INSPECT_CLEAN);
    CHECK_EQ(said->entries_status, INSPECT_CLEAN);
    uint64_t entries = 0;
    for (raft_group id = 0; id < GROUPS; id++) {
        struct log_bounds bounds;
        bool exists = log_store_bounds(store, id, &bounds);
        CHECK_EQ(said->groups[id].exists, exists);
        if (exists) {
            check_group(store, id, &said->groups[id]);
            entries += bounds.last_index - bounds.base_index;
        }
    }
    CHECK_EQ(said->count, entries);
    for (size_t i = 0; i < said->count; i++) {
        check_line(store, said->entries[i]);
        mem_free(said->entries[i]);
    }
    mem_free(said->entries);
}

/* Asks, with the store open or closed, and compares. */
static struct log_store *compare(const char *directory, const char *log, struct log_store *store,
                                 bool open)
{
    struct said said;
    if (!open) {
        log_store_close(store);
    }
    ask(directory, &said);
    if (!open) {
        store = open_log(log);
    }
    check_said(store, &said);
    return store;
}

static void live_through(rr_log_kind which)
{
    kind = which;
    struct random random;
    random_init(&random, test_seed(7));
    const char *directory = test_directory();
    char log[512];
    snprintf(log, sizeof(log), "%s/log", directory);
    struct log_store *store = open_log(log);
    for (int i = 0; i < STEPS; i++) {
        write_random(&random, store);
        if (random_chance(&random, 1, 150)) {
            bool open = which == RR_LOG_SEGMENTS && random_chance(&random, 1, 2);
            store = compare(directory, log, store, open);
        }
    }
    log_store_close(compare(directory, log, store, /*open=*/false));
}

TEST(inspect, reads_segments_as_the_store_does)
{
    live_through(RR_LOG_SEGMENTS);
}

TEST(inspect, reads_a_log_in_rocksdb_as_the_store_does)
{
    live_through(RR_LOG_ROCKSDB);
}
