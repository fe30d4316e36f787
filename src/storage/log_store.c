/* Hands calls on to the implementation, has what these share, and aligns a log with the applied state. */
#include "storage/log_store.h"

#include "base/assert.h"
#include "base/memory.h"
#include "storage/log_record.h"
#include "storage/log_store_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

void log_store_submit(struct log_store *store, const struct log_frame *frame, log_done_fn done,
                      void *done_arg)
{
    store->operations->submit(store, frame, done, done_arg);
}

void log_store_poll(struct log_store *store)
{
    store->operations->poll(store);
}

void log_store_set_wake(struct log_store *store, log_wake_fn wake, void *wake_arg)
{
    store->operations->set_wake(store, wake, wake_arg);
}

rr_status log_store_recover(struct log_store *store, raft_group group, log_scan_fn scan,
                            void *scan_arg, struct storage_error *error, struct log_recovery *out)
{
    return store->operations->recover(store, group, scan, scan_arg, error, out);
}

bool log_store_bounds(const struct log_store *store, raft_group group, struct log_bounds *out)
{
    return store->operations->bounds(store, group, out);
}

rr_status log_store_read(struct log_store *store, raft_group group, raft_index first,
                         raft_index last, size_t bytes_max, uint32_t entries_max,
                         struct raft_entry **out, uint32_t *count, struct storage_error *error)
{
    ASSERT(first <= last);
    ASSERT(entries_max > 0);
    return store->operations->read(store, group, first, last, bytes_max, entries_max, out, count,
                                   error);
}

void log_store_each_group(const struct log_store *store, log_group_fn visit, void *visit_arg)
{
    store->operations->each_group(store, visit, visit_arg);
}

void log_store_counters(const struct log_store *store, struct log_store_counters *out)
{
    store->operations->counters(store, out);
}

const char *log_store_failure(const struct log_store *store)
{
    return store->operations->failure(store);
}

bool log_store_shortage(const struct log_store *store, struct storage_error *error)
{
    return store->operations->shortage(store, error);
}

void log_store_close(struct log_store *store)
{
    if (store != NULL) {
        store->operations->close(store);
    }
}

/* --- For implementations --- */

rr_status log_scan_value(raft_group group, raft_index index, rr_bytes value, log_scan_fn scan,
                         void *scan_arg, struct storage_error *error, raft_term *term)
{
    struct log_entry_view view;
    rr_status status = log_entry_decode(group, index, value, error, &view);
    if (status != RR_OK) {
        return status;
    }
    if (view.term < *term) {
        return storage_fail(error, RR_CORRUPT,
                            "entry %" PRIu64 " of group %" PRIu64 " has term %" PRIu64
                            ", the one before it %" PRIu64 ": %s",
                            index, group, view.term, *term, LOG_DAMAGE_ADVICE);
    }
    *term = view.term;
    if (scan == NULL) {
        return RR_OK;
    }
    struct raft_entry *entry = NULL;
    if (view.type != RAFT_ENTRY_NORMAL) {
        status = log_entry_load(group, index, value, error, &entry);
        if (status != RR_OK) {
            return status;
        }
    }
    scan(scan_arg, index, view.term, view.type, entry);
    raft_entry_unref(entry);
    return RR_OK;
}

static int compare_groups(const void *left, const void *right)
{
    raft_group a = *(const raft_group *)left;
    raft_group b = *(const raft_group *)right;
    return (a > b) - (a < b);
}

void log_visit_groups(const struct map *groups, log_group_fn visit, void *visit_arg)
{
    size_t count = map_count(groups);
    raft_group *ids = mem_new_array(raft_group, count);
    size_t position = 0;
    for (size_t i = 0; i < count; i++) {
        void *value;
        bool found = map_iterate(groups, &position, &ids[i], &value);
        ASSERT(found);
    }
    qsort(ids, count, sizeof(ids[0]), compare_groups);
    for (size_t i = 0; i < count; i++) {
        visit(visit_arg, ids[i]);
    }
    mem_free(ids);
}

/* --- Aligning --- */

/* How a frame that somebody waits for has ended. */
struct wait {
    bool done;
    rr_status status;
};

static void end_wait(void *arg, rr_status status)
{
    struct wait *wait = arg;
    wait->done = true;
    wait->status = status;
}

/* Submits the frame and waits for it; only at start, when there is no loop to serve yet. */
static rr_status submit_and_wait(struct log_store *store, const struct log_frame *frame,
                                 struct storage_error *error)
{
    struct wait wait = {0};
    log_store_submit(store, frame, end_wait, &wait);
    while (!wait.done) {
        usleep(200);
        log_store_poll(store);
    }
    if (wait.status != RR_OK) {
        return storage_fail(error, wait.status, "%s", log_store_failure(store));
    }
    return RR_OK;
}

/* Whether the log has the entry at `index`, or its base, with `term`. */
static rr_status log_agrees(struct log_store *store, raft_group group,
                            const struct log_bounds *bounds, raft_index index, raft_term term,
                            struct storage_error *error, bool *out)
{
    if (index == bounds->base_index) {
        *out = term == bounds->base_term;
        return RR_OK;
    }
    if (index > bounds->last_index) {
        *out = false;
        return RR_OK;
    }
    struct raft_entry *entry;
    uint32_t count;
    rr_status status = log_store_read(store, group, index, index, 0, 1, &entry, &count, error);
    if (status == RR_OK) {
        *out = entry->term == term;
        raft_entry_unref(entry);
    }
    return status;
}

rr_status log_store_align(struct log_store *store, raft_group group, raft_index applied_index,
                          raft_term applied_term, struct log_recovery *recovery, bool *reset,
                          struct storage_error *error)
{
    if (reset != NULL) {
        *reset = false;
    }
    struct log_bounds *bounds = &recovery->bounds;
    if (applied_index < bounds->base_index) {
        return storage_fail(error, RR_CORRUPT,
                            "the state of group %" PRIu64 " is at index %" PRIu64
                            ", and the log only begins after %" PRIu64 ": %s",
                            group, applied_index, bounds->base_index, LOG_DAMAGE_ADVICE);
    }
    bool agrees = false;
    rr_status status =
        log_agrees(store, group, bounds, applied_index, applied_term, error, &agrees);
    if (status != RR_OK) {
        return status;
    }
    if (agrees && recovery->hard_state.commit > bounds->last_index) {
        return storage_fail(error, RR_CORRUPT,
                            "the log of group %" PRIu64 " ends at %" PRIu64
                            ", before its commit index %" PRIu64 ": %s",
                            group, bounds->last_index, recovery->hard_state.commit,
                            LOG_DAMAGE_ADVICE);
    }
    if (agrees) {
        return RR_OK;
    }
    struct raft_hard_state hard_state = recovery->hard_state;
    if (hard_state.commit > applied_index) {
        return storage_fail(error, RR_CORRUPT,
                            "the log of group %" PRIu64 " has lost the entries from %" PRIu64
                            " up to its commit index %" PRIu64 ": %s",
                            group, applied_index, hard_state.commit, LOG_DAMAGE_ADVICE);
    }
    hard_state.commit = applied_index;
    if (hard_state.term < applied_term) {
        /* The entry's term was seen, so a vote of an older term is void. */
        hard_state.term = applied_term;
        hard_state.vote = RAFT_NO_ID;
    }
    struct log_record record = {
        .group = group,
        .reset = true,
        .reset_index = applied_index,
        .reset_term = applied_term,
        .hard_state = &hard_state,
    };
    struct log_frame frame = {.records = &record, .record_count = 1, .sync = true};
    status = submit_and_wait(store, &frame, error);
    if (status != RR_OK) {
        return status;
    }
    recovery->hard_state = hard_state;
    *bounds = (struct log_bounds){applied_index, applied_term, applied_index, applied_term};
    if (reset != NULL) {
        *reset = true;
    }
    return RR_OK;
}
