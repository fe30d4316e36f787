/*
 * What every log store must do, as tests: include it once in a program that defines suite_open
 * (and SUITE_WRITES_ON_A_THREAD, if so). Nothing here knows an implementation.
 */
#ifndef TEST_STORAGE_LOG_STORE_SUITE_H
#define TEST_STORAGE_LOG_STORE_SUITE_H

#include "base/memory.h"
#include "base/random.h"
#include "storage/child.h"
#include "storage/file.h"
#include "storage/log_helpers.h"
#include "support/test.h"

#include <semaphore.h>
#include <string.h>

/* --- Entries --- */

TEST(log_store, is_empty_at_first)
{
    struct log_store *store = open_log(test_directory());
    struct log_bounds bounds;
    struct log_recovery recovery;
    CHECK(!log_store_bounds(store, 1, &bounds));
    CHECK_STATUS(log_store_recover(store, 1, NULL, NULL, NULL, &recovery), RR_NOT_FOUND);
    struct raft_entry *entry;
    uint32_t count;
    CHECK_STATUS(log_store_read(store, 1, 1, 1, 100, 1, &entry, &count, NULL), RR_NOT_FOUND);
    CHECK(log_store_failure(store) == NULL);
    log_store_close(store);
}

TEST(log_store, returns_what_was_appended_after_reopening)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 7, 1, 50, 1);
    append_entries(store, 7, 51, 60, 3);
    check_log(store, 7, 0, 0, 60);
    log_store_close(store);

    store = open_log(directory);
    check_log(store, 7, 0, 0, 60);
    CHECK_EQ(recover(store, 7).bounds.last_term, 3);
    struct raft_entry *entries[60];
    uint32_t count;
    CHECK_OK(log_store_read(store, 7, 1, 60, SIZE_MAX, 60, entries, &count, NULL));
    CHECK_EQ(count, 60);
    for (uint32_t i = 0; i < count; i++) {
        check_entry(entries[i], i + 1, i < 50 ? 1 : 3);
        CHECK_EQ(entries[i]->size, 100);
        raft_entry_unref(entries[i]);
    }
    log_store_close(store);
}

TEST(log_store, keeps_empty_and_large_entries)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    struct raft_entry *entries[3] = {make_entry(1, 1, 0), make_entry(2, 1, 3 << 20),
                                     make_entry(3, 1, 1)};
    struct log_record record = {.group = 1, .entries = entries, .entry_count = 3};
    CHECK_OK(submit(store, &record));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(entries[i]->refs, 1);
        raft_entry_unref(entries[i]);
    }
    log_store_close(store);
    store = open_log(directory);
    uint32_t count;
    CHECK_OK(log_store_read(store, 1, 1, 3, SIZE_MAX, 3, entries, &count, NULL));
    CHECK_EQ(count, 3);
    CHECK_EQ(entries[0]->size, 0);
    CHECK_EQ(entries[1]->size, 3 << 20);
    for (uint32_t i = 0; i < 3; i++) {
        check_entry(entries[i], i + 1, 1);
        raft_entry_unref(entries[i]);
    }
    log_store_close(store);
}

TEST(log_store, reads_within_limits_but_one_entry_at_least)
{
    struct log_store *store = open_log(test_directory());
    append_entries(store, 1, 1, 10, 1); /* 100 bytes each */
    struct raft_entry *entries[10];
    uint32_t count;
    CHECK_OK(log_store_read(store, 1, 1, 10, 0, 10, entries, &count, NULL));
    CHECK_EQ(count, 1);
    raft_entry_unref(entries[0]);
    CHECK_OK(log_store_read(store, 1, 4, 10, 399, 10, entries, &count, NULL));
    CHECK_EQ(count, 3);
    for (uint32_t i = 0; i < count; i++) {
        check_entry(entries[i], 4 + i, 1);
        raft_entry_unref(entries[i]);
    }
    CHECK_OK(log_store_read(store, 1, 4, 10, 400, 10, entries, &count, NULL));
    CHECK_EQ(count, 4);
    for (uint32_t i = 0; i < count; i++) {
        raft_entry_unref(entries[i]);
    }
    CHECK_OK(log_store_read(store, 1, 2, 3, SIZE_MAX, 10, entries, &count, NULL));
    CHECK_EQ(count, 2);
    raft_entry_unref(entries[0]);
    raft_entry_unref(entries[1]);
    CHECK_OK(log_store_read(store, 1, 1, 10, SIZE_MAX, 2, entries, &count, NULL));
    CHECK_EQ(count, 2);
    raft_entry_unref(entries[0]);
    raft_entry_unref(entries[1]);
    log_store_close(store);
}

TEST(log_store, reads_nothing_without_memory)
{
    struct log_store *store = open_log(test_directory());
    append_entries(store, 1, 1, 5, 1);
    struct raft_entry *entries[5];
    uint32_t count = 99;
    for (uint64_t nth = 1;; nth++) {
        mem_fail_after(nth);
        rr_status status = log_store_read(store, 1, 1, 5, SIZE_MAX, 5, entries, &count, NULL);
        if (mem_fail_pending()) {
            mem_fail_after(0);
            CHECK_OK(status);
            break;
        }
        CHECK_STATUS(status, RR_NO_MEMORY);
        CHECK_EQ(count, 99);
    }
    for (uint32_t i = 0; i < count; i++) {
        raft_entry_unref(entries[i]);
    }
    log_store_close(store);
}

struct scanned {
    uint32_t count;
    raft_index last;
    uint32_t configurations;
};

static void note_entry(void *arg, raft_index index, raft_term term, enum raft_entry_type type,
                       struct raft_entry *entry)
{
    struct scanned *scanned = arg;
    CHECK_EQ(index, scanned->last + 1);
    CHECK_GE(term, 1);
    CHECK_EQ(type != RAFT_ENTRY_NORMAL, entry != NULL);
    if (entry != NULL) {
        CHECK_EQ(entry->index, index);
        CHECK_EQ(entry->type, type);
        CHECK_BYTES(((rr_bytes){entry->data, entry->size}), test_bytes_of("members"));
        scanned->configurations++;
    }
    scanned->last = index;
    scanned->count++;
}

TEST(log_store, hands_configurations_to_the_scan)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 1, 1, 4, 1);
    struct raft_entry *entries[2] = {
        raft_entry_new(RAFT_ENTRY_CONF_CHANGE_V2, test_bytes_of("members")),
        raft_entry_new(RAFT_ENTRY_CONF_CHANGE, test_bytes_of("members"))};
    for (uint32_t i = 0; i < 2; i++) {
        entries[i]->index = 5 + i;
        entries[i]->term = 2;
    }
    struct log_record record = {.group = 1, .entries = entries, .entry_count = 2};
    CHECK_OK(submit(store, &record));
    raft_entry_unref(entries[0]);
    raft_entry_unref(entries[1]);
    append_entries(store, 1, 7, 9, 2);
    log_store_close(store);

    store = open_log(directory);
    struct scanned scanned = {0};
    struct log_recovery recovery;
    CHECK_OK(log_store_recover(store, 1, note_entry, &scanned, NULL, &recovery));
    CHECK_EQ(scanned.count, 9);
    CHECK_EQ(scanned.configurations, 2);
    log_store_close(store);
}

TEST(log_store, finds_terms_that_fall)
{
    struct log_store *store = open_log(test_directory());
    append_entries(store, 1, 1, 4, 2);
    append_entries(store, 1, 5, 6, 1); /* no leader ever sent that */
    struct storage_error error = {0};
    struct log_recovery recovery;
    CHECK_STATUS(log_store_recover(store, 1, NULL, NULL, &error, &recovery), RR_CORRUPT);
    CHECK(strstr(error.text, "entry 5") != NULL);
    log_store_close(store);
}

/* --- Truncating, purging, resetting --- */

TEST(log_store, replaces_the_end_of_a_log)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 1, 1, 200, 1);
    append_entries(store, 1, 195, 196, 2); /* a few go */
    check_log(store, 1, 0, 0, 196);
    append_entries(store, 1, 50, 60, 3); /* many go */
    check_log(store, 1, 0, 0, 60);
    append_entries(store, 1, 1, 1, 4); /* all go */
    check_log(store, 1, 0, 0, 1);
    append_entries(store, 1, 2, 70, 4);
    log_store_close(store);

    store = open_log(directory);
    check_log(store, 1, 0, 0, 70);
    CHECK_EQ(term_at(store, 1, 55), 4);
    log_store_close(store);
}

TEST(log_store, purges_and_remembers_the_term_at_the_base)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 1, 1, 100, 1);
    append_entries(store, 1, 101, 150, 2);
    struct log_record record = {.group = 1, .purge_index = 5};
    CHECK_OK(submit(store, &record));
    check_log(store, 1, 5, 1, 150);
    record.purge_index = 120;
    CHECK_OK(submit(store, &record));
    record.purge_index = 30; /* below the base: nothing */
    CHECK_OK(submit(store, &record));
    check_log(store, 1, 120, 2, 150);
    log_store_close(store);

    store = open_log(directory);
    check_log(store, 1, 120, 2, 150);
    record.purge_index = 150; /* all of it */
    CHECK_OK(submit(store, &record));
    check_log(store, 1, 150, 2, 150);
    append_entries(store, 1, 151, 152, 3);
    log_store_close(store);

    store = open_log(directory);
    check_log(store, 1, 150, 2, 152);
    log_store_close(store);
}

TEST(log_store, purges_entries_of_the_same_frame)
{
    struct log_store *store = open_log(test_directory());
    struct raft_entry *entries[3] = {make_entry(1, 1, 8), make_entry(2, 5, 8), make_entry(3, 6, 8)};
    struct log_record records[2] = {{.group = 1, .entries = entries, .entry_count = 3},
                                    {.group = 1, .purge_index = 2}};
    struct log_frame frame = {.records = records, .record_count = 2, .sync = true};
    CHECK_OK(submit_frame(store, &frame));
    check_log(store, 1, 2, 5, 3);
    for (int i = 0; i < 3; i++) {
        raft_entry_unref(entries[i]);
    }
    log_store_close(store);
}

TEST(log_store, resets_to_a_snapshot)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 1, 1, 100, 1);
    struct raft_hard_state hard_state = {.term = 9, .vote = 2, .commit = 500};
    struct log_record record = {
        .group = 1, .reset = true, .reset_index = 500, .reset_term = 8, .hard_state = &hard_state};
    CHECK_OK(submit(store, &record));
    check_log(store, 1, 500, 8, 500);
    append_entries(store, 1, 501, 510, 9);
    log_store_close(store);

    store = open_log(directory);
    check_log(store, 1, 500, 8, 510);
    struct log_record back = {.group = 1, .reset = true, .reset_index = 505, .reset_term = 9};
    CHECK_OK(submit(store, &back)); /* within the log: entries behind it go as well */
    check_log(store, 1, 505, 9, 505);
    CHECK_EQ(recover(store, 1).hard_state.commit, 500);
    log_store_close(store);
}

TEST(log_store, forgets_a_destroyed_group)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 1, 1, 100, 1);
    append_entries(store, 2, 1, 100, 1);
    append_entries(store, 3, 1, 2, 1);
    struct log_record record = {.group = 2, .destroy = true};
    CHECK_OK(submit(store, &record));
    record.group = 77; /* never was */
    CHECK_OK(submit(store, &record));
    struct log_bounds bounds;
    CHECK(!log_store_bounds(store, 2, &bounds));
    log_store_close(store);

    store = open_log(directory);
    CHECK(!log_store_bounds(store, 2, &bounds));
    check_log(store, 1, 0, 0, 100);
    check_log(store, 3, 0, 0, 2);
    append_entries(store, 2, 1, 1, 5);
    check_log(store, 2, 0, 0, 1);
    log_store_close(store);
}

/* --- Frames, groups, hard states --- */

TEST(log_store, keeps_the_hard_state_of_each_group)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 1, 1, 10, 3);
    struct raft_hard_state one = {.term = 3, .vote = 1, .commit = 10};
    struct raft_hard_state two = {.term = UINT64_MAX, .vote = UINT64_MAX, .commit = 0};
    struct log_record records[2] = {{.group = 1, .hard_state = &one},
                                    {.group = UINT64_MAX, .hard_state = &two}};
    struct log_frame frame = {.records = records, .record_count = 2, .sync = true};
    CHECK_OK(submit_frame(store, &frame));
    log_store_close(store);

    store = open_log(directory);
    struct raft_hard_state found = recover(store, 1).hard_state;
    CHECK_EQ(found.term, 3);
    CHECK_EQ(found.vote, 1);
    CHECK_EQ(found.commit, 10);
    found = recover(store, UINT64_MAX).hard_state;
    CHECK_EQ(found.term, UINT64_MAX);
    CHECK_EQ(found.vote, UINT64_MAX);
    CHECK_EQ(found.commit, 0);
    log_store_close(store);
}

static void note_group(void *arg, raft_group group)
{
    raft_group **at = arg;
    *(*at)++ = group;
}

TEST(log_store, lists_its_groups_in_order)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    append_entries(store, 300, 1, 1, 1);
    append_entries(store, 0, 1, 1, 1);
    append_entries(store, UINT64_MAX, 1, 1, 1);
    append_entries(store, 2, 1, 1, 1);
    log_store_close(store);
    store = open_log(directory);
    raft_group groups[8];
    raft_group *at = groups;
    log_store_each_group(store, note_group, &at);
    CHECK_EQ(at - groups, 4);
    CHECK_EQ(groups[0], 0);
    CHECK_EQ(groups[1], 2);
    CHECK_EQ(groups[2], 300);
    CHECK_EQ(groups[3], UINT64_MAX);
    for (int i = 0; i < 4; i++) {
        check_log(store, groups[i], 0, 0, 1);
    }
    log_store_close(store);
}

TEST(log_store, counts_what_it_does)
{
    struct log_store *store = open_log(test_directory());
    append_entries(store, 1, 1, 10, 1);
    struct raft_hard_state hard_state = {.term = 1, .commit = 3};
    struct log_record record = {.group = 1, .hard_state = &hard_state};
    struct log_frame frame = {.records = &record, .record_count = 1, .sync = false};
    CHECK_OK(submit_frame(store, &frame));
    struct log_store_counters counters;
    log_store_counters(store, &counters);
    CHECK_EQ(counters.frames, 2);
    CHECK_EQ(counters.entries, 10);
    CHECK_GE(counters.bytes_written, 1000);
    CHECK_GE(counters.syncs, 1);
    check_log(store, 1, 0, 0, 10);
    log_store_counters(store, &counters);
    CHECK_EQ(counters.entries_read, 10);
    CHECK_EQ(counters.bytes_read, 1000);
    log_store_close(store);
}

struct order {
    int next;
    int expected;
    struct order *all;
};

static void note_order(void *arg, rr_status status)
{
    struct order *order = arg;
    CHECK_OK(status);
    CHECK_EQ(order->all->next, order->expected);
    order->all->next++;
}

TEST(log_store, completes_in_the_order_of_submission)
{
    struct log_store *store = open_log(test_directory());
    struct order all = {0};
    struct order orders[20];
    for (int i = 0; i < 20; i++) {
        orders[i] = (struct order){.expected = i, .all = &all};
        struct raft_entry *entry = make_entry((raft_index)i + 1, 1, 10);
        struct log_record record = {.group = 1, .entries = &entry, .entry_count = 1};
        struct log_frame frame = {.records = &record, .record_count = 1, .sync = i % 3 == 0};
        log_store_submit(store, &frame, note_order, &orders[i]);
        raft_entry_unref(entry);
    }
    while (all.next < 20) {
        usleep(100);
        log_store_poll(store);
    }
    check_log(store, 1, 0, 0, 20);
    log_store_close(store);
}

/* Frames whose completions submit the next one. */
struct chain {
    struct log_store *store;
    raft_index next;
    raft_index last;
};

static void submit_next(void *arg, rr_status status)
{
    struct chain *chain = arg;
    CHECK_OK(status);
    if (chain->next > chain->last) {
        return;
    }
    struct raft_entry *entry = make_entry(chain->next++, 1, 3000);
    struct log_record record = {.group = 1, .entries = &entry, .entry_count = 1};
    struct log_frame frame = {&record, 1, chain->next % 2 == 0};
    log_store_submit(chain->store, &frame, submit_next, chain);
    raft_entry_unref(entry);
}

TEST(log_store, takes_frames_from_completions)
{
    const char *directory = test_directory();
    struct chain chain = {open_log(directory), 1, 50};
    struct raft_hard_state hard_state = {.term = 1};
    struct log_record record = {.group = 1, .hard_state = &hard_state};
    struct log_frame frame = {&record, 1, true};
    log_store_submit(chain.store, &frame, submit_next, &chain);
    log_store_close(chain.store); /* completes all of them */
    CHECK_EQ(chain.next, 51);
    struct log_store *store = open_log(directory);
    check_log(store, 1, 0, 0, 50);
    log_store_close(store);
}

static void ring(void *arg)
{
    sem_post(arg);
}

static void note_end(void *arg, rr_status status)
{
    CHECK_OK(status);
    *(bool *)arg = true;
}

/* An owner that sleeps until it is woken misses no completion. */
TEST(log_store, wakes_its_owner_for_what_a_poll_completes)
{
    struct log_store *store = open_log(test_directory());
    sem_t bell;
    CHECK_EQ(sem_init(&bell, 0, 0), 0);
    log_store_set_wake(store, ring, &bell);
    for (raft_index index = 1; index <= 100; index++) {
        bool ended = false;
        struct raft_entry *entry = make_entry(index, 1, 100);
        struct log_record record = {.group = 1, .entries = &entry, .entry_count = 1};
        struct log_frame frame = {&record, 1, index % 3 != 0};
        log_store_submit(store, &frame, note_end, &ended);
        raft_entry_unref(entry);
        while (!ended) {
            CHECK_EQ(sem_wait(&bell), 0);
            log_store_poll(store);
        }
    }
    log_store_set_wake(store, NULL, NULL);
    append_entries(store, 1, 101, 110, 1);
    check_log(store, 1, 0, 0, 110);
    log_store_close(store);
    sem_destroy(&bell);
}

CHILD(leaves_a_gap)
{
    struct log_store *store = open_log(child->directory);
    append_entries(store, 1, 1, 3, 1);
    append_entries(store, 1, 5, 5, 1);
}

CHILD(commits_past_the_end)
{
    struct log_store *store = open_log(child->directory);
    struct raft_hard_state hard_state = {.term = 1, .commit = 1};
    struct log_record record = {.group = 1, .hard_state = &hard_state};
    CHECK_OK(submit(store, &record));
}

TEST(log_store, takes_a_broken_frame_for_a_fault_of_its_owner)
{
    const char *directory = test_directory();
    CHECK(child_aborts("leaves_a_gap", test_path(directory, "a")));
    CHECK(child_aborts("commits_past_the_end", test_path(directory, "b")));
}

/* --- Against a model --- */

enum { MODEL_GROUPS = 3, MODEL_ENTRIES = 4000 };

struct model_group {
    bool exists;
    struct raft_hard_state hard_state;
    raft_index base;
    raft_term base_term;
    raft_index last;
    raft_term terms[MODEL_ENTRIES];
};

static raft_term model_term(const struct model_group *model, raft_index index)
{
    return index == model->base ? model->base_term : model->terms[index];
}

static void check_model(struct log_store *store, raft_group group, const struct model_group *model)
{
    struct log_bounds bounds;
    CHECK_EQ(log_store_bounds(store, group, &bounds), model->exists);
    if (!model->exists) {
        return;
    }
    struct log_recovery recovery = recover(store, group);
    CHECK_EQ(recovery.bounds.base_index, model->base);
    CHECK_EQ(recovery.bounds.base_term, model->base_term);
    CHECK_EQ(recovery.bounds.last_index, model->last);
    CHECK_EQ(recovery.bounds.last_term, model_term(model, model->last));
    CHECK_EQ(recovery.hard_state.term, model->hard_state.term);
    CHECK_EQ(recovery.hard_state.commit, model->hard_state.commit);
    for (raft_index index = model->base + 1; index <= model->last; index++) {
        struct raft_entry *entry;
        uint32_t count;
        CHECK_OK(log_store_read(store, group, index, index, 0, 1, &entry, &count, NULL));
        check_entry(entry, index, model->terms[index]);
        raft_entry_unref(entry);
    }
}

/* A random record, and the model changed in step. `entries` gets what it refers to. */
static void draw_record(struct random *random, raft_group group, struct model_group *model,
                        struct raft_entry **entries, struct log_record *record)
{
    *record = (struct log_record){.group = group};
    uint64_t choice = random_below(random, 100);
    if (choice < 3) {
        record->destroy = true;
        *model = (struct model_group){0};
        return;
    }
    if (choice < 8 && model->last + 50 < MODEL_ENTRIES) {
        record->reset = true;
        record->reset_index = random_between(random, model->base, model->last + 20);
        record->reset_term = model_term(model, model->last) + 1;
        model->base = model->last = record->reset_index;
        model->base_term = record->reset_term;
    }
    if (choice < 70 && model->last + 50 < MODEL_ENTRIES) {
        raft_index first = model->last + 1;
        if (random_chance(random, 1, 4) && model->last > model->base) {
            first = random_between(random, model->base + 1, model->last + 1);
        }
        raft_term term = model_term(model, first - 1) + random_below(random, 2);
        term = term == 0 ? 1 : term;
        uint32_t count = (uint32_t)random_between(random, 1, 30);
        for (uint32_t i = 0; i < count; i++) {
            entries[i] = make_entry(first + i, term, random_below(random, 300));
            model->terms[first + i] = term;
        }
        record->entries = entries;
        record->entry_count = count;
        model->last = first + count - 1;
    }
    if (random_chance(random, 1, 10)) {
        record->purge_index = random_between(random, model->base, model->last);
        model->base_term = model_term(model, record->purge_index);
        model->base = record->purge_index;
    }
    if (model->hard_state.commit > model->last || random_chance(random, 1, 3)) {
        model->hard_state.term++;
        model->hard_state.commit = random_between(random, model->base, model->last);
        record->hard_state = &model->hard_state;
    }
    model->exists = true;
}

TEST(log_store, agrees_with_a_model_over_random_frames_and_restarts)
{
    struct random random;
    random_init(&random, test_seed(20240611));
    const char *directory = test_directory();
    struct model_group *models = mem_new_array(struct model_group, MODEL_GROUPS);
    struct log_store *store = open_log(directory);
    for (int step = 0; step < 400; step++) {
        struct log_record records[MODEL_GROUPS];
        struct raft_entry *entries[MODEL_GROUPS][30];
        uint32_t count = (uint32_t)random_between(&random, 1, MODEL_GROUPS);
        for (uint32_t i = 0; i < count; i++) {
            draw_record(&random, i, &models[i], entries[i], &records[i]);
        }
        struct log_frame frame = {records, count, random_chance(&random, 1, 2)};
        if (submit_frame(store, &frame) != RR_OK) {
            FAIL("step %d: %s", step, log_store_failure(store));
        }
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t j = 0; j < records[i].entry_count; j++) {
                raft_entry_unref(entries[i][j]);
            }
        }
        if (step % 20 == 19) {
            log_store_close(store);
            store = open_log(directory);
            for (uint32_t i = 0; i < MODEL_GROUPS; i++) {
                check_model(store, i, &models[i]);
            }
        }
    }
    log_store_close(store);
    mem_free(models);
}

/* --- Crashes and faults --- */

/* Writes frames for ever, each one entry for groups 1 and 2 and group 1's commit; reports the index
 * of each that completed. Frames without sync must survive a kill as well. */
CHILD(writes_frames)
{
    struct log_store *store = open_log(child->directory);
    struct log_bounds bounds = {0};
    log_store_bounds(store, 1, &bounds);
    for (raft_index index = bounds.last_index + 1;; index++) {
        struct raft_entry *entries[2] = {make_entry(index, 1, 50 + index % 5000),
                                         make_entry(index, 1, 10)};
        struct raft_hard_state hard_state = {.term = 1, .vote = 1, .commit = index};
        struct log_record records[2] = {
            {.group = 1, .entries = &entries[0], .entry_count = 1, .hard_state = &hard_state},
            {.group = 2, .entries = &entries[1], .entry_count = 1}};
        if (index % 50 == 0) {
            records[0].purge_index = index - 40;
        }
        struct log_frame frame = {records, 2, index % 4 != 0};
        if (submit_frame(store, &frame) != RR_OK) {
            _exit(5);
        }
        child_report(child, index);
        raft_entry_unref(entries[0]);
        raft_entry_unref(entries[1]);
    }
}

TEST(log_store, keeps_every_acknowledged_frame_over_kill_9)
{
    struct random random;
    random_init(&random, test_seed(77));
    const char *directory = test_directory();
    for (int round = 0; round < 8; round++) {
        raft_index acknowledged =
            child_kill_after("writes_frames", directory, random_between(&random, 1, 400));
        struct log_store *store = open_log(directory);
        struct log_recovery one = recover(store, 1);
        struct log_recovery two = recover(store, 2);
        CHECK_GE(one.bounds.last_index, acknowledged);
        CHECK_LE(one.bounds.last_index, acknowledged + 1);
        CHECK_EQ(one.bounds.last_index, two.bounds.last_index);
        CHECK_EQ(one.hard_state.commit, one.bounds.last_index);
        check_log(store, 1, one.bounds.base_index, one.bounds.base_term, one.bounds.last_index);
        check_log(store, 2, 0, 0, two.bounds.last_index);
        log_store_close(store);
    }
}

/* Faults are a thread's own: they do not reach a store that writes on another one. */
#ifndef SUITE_WRITES_ON_A_THREAD
TEST(log_store, treats_the_first_failure_as_final)
{
    for (int fault = FILE_FAULT_ERROR; fault <= FILE_FAULT_FULL; fault++) {
        const char *directory = test_directory();
        struct log_store *store = open_log(directory);
        append_entries(store, 1, 1, 10, 1);
        file_fault_after(1, (enum file_fault)fault);
        struct raft_entry *entry = make_entry(11, 1, 10);
        struct log_record record = {.group = 1, .entries = &entry, .entry_count = 1};
        CHECK_STATUS(submit(store, &record), RR_IO);
        CHECK(!file_fault_pending());
        CHECK(log_store_failure(store) != NULL);
        /* The disk is well again; the store must not go on. */
        struct log_record next = {.group = 2};
        CHECK_STATUS(submit(store, &next), RR_IO);
        CHECK_STATUS(submit(store, &record), RR_IO);
        raft_entry_unref(entry);
        log_store_close(store);

        store = open_log(directory);
        struct log_recovery recovery = recover(store, 1);
        CHECK_GE(recovery.bounds.last_index, 10);
        CHECK_LE(recovery.bounds.last_index, 11);
        log_store_close(store);
    }
}

#endif

TEST(log_store, opens_after_each_failure_to_open)
{
    const char *directory = test_directory();
    for (uint64_t nth = 1;; nth++) {
        struct log_store *store;
        struct storage_error error = {0};
        file_fault_after(nth, FILE_FAULT_ERROR);
        rr_status status = suite_open(test_path(directory, "log"), &error, &store);
        if (file_fault_pending()) {
            file_fault_after(0, FILE_FAULT_NONE);
            CHECK_OK(status);
            log_store_close(store);
            break;
        }
        CHECK_STATUS(status, RR_IO);
        CHECK(error.text[0] != 0);
    }
    struct log_store *store = open_log(test_path(directory, "log"));
    append_entries(store, 1, 1, 1, 1);
    log_store_close(store);
}

/* --- Aligning with the state --- */

static rr_status align(struct log_store *store, raft_index index, raft_term term, bool *reset)
{
    struct log_recovery recovery = {0};
    rr_status status = log_store_recover(store, 1, NULL, NULL, NULL, &recovery);
    CHECK(status == RR_OK || status == RR_NOT_FOUND);
    struct storage_error error = {0};
    status = log_store_align(store, 1, index, term, &recovery, reset, &error);
    CHECK_EQ(status == RR_OK, error.text[0] == 0);
    if (status == RR_OK && *reset) {
        struct log_recovery after = recover(store, 1);
        CHECK_EQ(after.bounds.base_index, recovery.bounds.base_index);
        CHECK_EQ(after.hard_state.commit, recovery.hard_state.commit);
        CHECK_EQ(after.hard_state.term, recovery.hard_state.term);
    }
    return status;
}

static void set_hard_state(struct log_store *store, raft_term term, raft_index commit)
{
    struct raft_hard_state hard_state = {.term = term, .vote = 3, .commit = commit};
    struct log_record record = {.group = 1, .hard_state = &hard_state};
    CHECK_OK(submit(store, &record));
}

TEST(log_store, needs_no_alignment_where_log_and_state_agree)
{
    struct log_store *store = open_log(test_directory());
    bool reset;
    CHECK_OK(align(store, 0, 0, &reset)); /* a new node */
    CHECK(!reset);
    append_entries(store, 1, 1, 100, 2);
    set_hard_state(store, 2, 60);
    CHECK_OK(align(store, 0, 0, &reset));
    CHECK(!reset);
    CHECK_OK(align(store, 60, 2, &reset));
    CHECK(!reset);
    CHECK_OK(align(store, 100, 2, &reset)); /* the commit index was not synced: no harm */
    CHECK(!reset);
    struct log_record record = {.group = 1, .purge_index = 50};
    CHECK_OK(submit(store, &record));
    CHECK_OK(align(store, 50, 2, &reset));
    CHECK(!reset);
    check_log(store, 1, 50, 2, 100);
    log_store_close(store);
}

TEST(log_store, is_reset_to_a_state_that_came_by_snapshot)
{
    const char *directory = test_directory();
    struct log_store *store = open_log(directory);
    bool reset;
    append_entries(store, 1, 1, 100, 2);
    set_hard_state(store, 2, 60);
    CHECK_OK(align(store, 500, 4, &reset)); /* past the end */
    CHECK(reset);
    check_log(store, 1, 500, 4, 500);
    struct raft_hard_state hard_state = recover(store, 1).hard_state;
    CHECK_EQ(hard_state.commit, 500);
    CHECK_EQ(hard_state.term, 4);
    CHECK_EQ(hard_state.vote, 0); /* it was cast in term 2 */

    append_entries(store, 1, 501, 600, 4);
    set_hard_state(store, 6, 510);
    CHECK_OK(align(store, 550, 5, &reset)); /* another term there */
    CHECK(reset);
    log_store_close(store);
    store = open_log(directory);
    check_log(store, 1, 550, 5, 550);
    hard_state = recover(store, 1).hard_state;
    CHECK_EQ(hard_state.term, 6);
    CHECK_EQ(hard_state.vote, 3);
    log_store_close(store);
}

TEST(log_store, detects_a_lost_state_and_a_lost_end)
{
    struct log_store *store = open_log(test_directory());
    bool reset;
    append_entries(store, 1, 1, 100, 2);
    struct log_record record = {.group = 1, .purge_index = 50};
    CHECK_OK(submit(store, &record));
    CHECK_STATUS(align(store, 49, 2, &reset), RR_CORRUPT);
    CHECK_STATUS(align(store, 0, 0, &reset), RR_CORRUPT);
    set_hard_state(store, 2, 90);
    struct log_recovery recovery = recover(store, 1);
    recovery.hard_state.commit = 101; /* as if the end were gone */
    CHECK_STATUS(log_store_align(store, 1, 80, 2, &recovery, &reset, NULL), RR_CORRUPT);
    log_store_close(store);
}

#endif
