/*
 * Writing tables to disk: the oldest first, each as one file in the order of its keys, with the
 * newest version of each. RocksDB takes the file in at once, so the database is always the state of
 * some commit.
 *
 * A thread does it; one that waits for it does it too. Only then does a table leave memory. The
 * first error is final: the log has everything, and a restart begins anew.
 */
#include "storage/state.h"

#include "base/assert.h"
#include "storage/rocks_table.h"
#include "storage/state_private.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static uint64_t now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

/* --- Failure --- */

void state_fail(struct state *state, rr_status status, const char *reason)
{
    pthread_mutex_lock(&state->mutex);
    if (!atomic_load(&state->failed)) {
        state->failure_status = status == RR_CORRUPT ? RR_CORRUPT : RR_IO;
        storage_fail(&state->failure, state->failure_status, "%s", reason);
        atomic_store(&state->failed, true);
    }
    pthread_cond_broadcast(&state->flushed);
    pthread_mutex_unlock(&state->mutex);
}

rr_status state_check(const struct state *state, struct storage_error *error)
{
    if (atomic_load(&state->failed)) {
        return storage_fail(error, state->failure_status, "the state has failed before: %s",
                            state->failure.text);
    }
    return RR_OK;
}

/* --- One table --- */

static rr_status write_keys(struct rocks_table *file, const struct state_table *table,
                            struct storage_error *error)
{
    rr_status status = RR_OK;
    const struct state_table_node *node = state_table_seek(table, (rr_bytes){"", 0});
    for (; node != NULL && status == RR_OK; node = state_table_next(node)) {
        rr_bytes value;
        switch (state_table_value(node, UINT64_MAX, &value)) {
        case STATE_TABLE_PUT:
            status = rocks_table_put(file, state_table_key(node), value, error);
            break;
        case STATE_TABLE_DELETE:
            status = rocks_table_delete(file, state_table_key(node), error);
            break;
        case STATE_TABLE_NONE:
            UNREACHABLE();
        }
    }
    return status;
}

static rr_status write_file(const struct state_table *table, const char *path, uint64_t *size,
                            struct storage_error *error)
{
    struct rocks_table *file = NULL;
    rr_status status = rocks_table_open(path, error, &file);
    if (status == RR_OK) {
        status = write_keys(file, table, error);
    }
    if (status == RR_OK) {
        status = rocks_table_finish(file, size, error);
    }
    rocks_table_close(file);
    return status;
}

/* RocksDB takes in files without end, each one more for a read to look into until they are merged.
 * An empty write waits as others do while too many are there, and tells what has gone wrong in
 * merging them. */
static rr_status wait_for_merges(const struct state *state, struct state_db *db,
                                 struct storage_error *error)
{
    rocksdb_writebatch_t *nothing = rocksdb_writebatch_create();
    char *message = NULL;
    rocksdb_write(db->rocks.db, state->write_options, nothing, &message);
    rocksdb_writebatch_destroy(nothing);
    return rocks_check(message, "merge tables of", db->path, error);
}

/* A crash may have left a file of this name that the database has under another name as well: it is
 * removed, never written to. */
static rr_status write_table(const struct state *state, struct state_db *db,
                             const struct state_table *table, uint64_t *size,
                             struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    rr_status status = path_join(db->path, STATE_TABLE_FILE, path, error);
    if (status == RR_OK) {
        status = wait_for_merges(state, db, error);
    }
    if (status == RR_OK && file_exists(path)) {
        status = file_remove_tree(path, error);
    }
    if (status == RR_OK) {
        status = write_file(table, path, size, error);
    }
    return status == RR_OK ? rocks_table_ingest(&db->rocks, db->family, path, error) : status;
}

static void count_table(struct state *state, const struct state_table *table, uint64_t size)
{
    pthread_mutex_lock(&state->mutex);
    state->flush_counters.tables++;
    state->flush_counters.keys += state_table_count(table);
    state->flush_counters.bytes += size;
    pthread_mutex_unlock(&state->mutex);
}

/* Writes the table at the end of `layers`. A failure that is not about a database that was replaced
 * meanwhile is the state's. */
static rr_status write_last(struct state *state, struct state_layers *layers,
                            struct storage_error *error)
{
    const struct state_table *table = layers->tables[layers->table_count - 1]->table;
    uint64_t size = 0;
    struct storage_error cause = {{0}};
    rr_status status = write_table(state, layers->db, table, &size, &cause);
    if (status == RR_OK) {
        count_table(state, table, size);
        state_layers_shorten(state, layers);
    } else if (state_layers_are_current(state, layers)) {
        state_fail(state, status, cause.text);
        return state_check(state, error);
    }
    return RR_OK;
}

/* Writes the oldest table that waits, if its number is at most `number`; `done` if there is none.
 * As state_check. */
static rr_status write_oldest(struct state *state, uint64_t number, bool *done,
                              struct storage_error *error)
{
    pthread_mutex_lock(&state->flush_mutex);
    rr_status status = state_check(state, error);
    struct state_layers *layers = state_layers_acquire(state);
    const struct state_memory *oldest = layers->tables[layers->table_count - 1];
    *done = layers->table_count == 1 || oldest->number > number;
    if (status == RR_OK && !*done) {
        status = write_last(state, layers, error);
    }
    state_layers_release(state, layers);
    pthread_mutex_unlock(&state->flush_mutex);
    return status;
}

/* --- The thread --- */

/* Has the table of this number wait to be written, unless it does. */
static rr_status freeze(struct state *state, uint64_t number, bool *full,
                        struct storage_error *error)
{
    rr_status status = RR_OK;
    *full = false;
    pthread_mutex_lock(&state->write_mutex);
    if (state->active->number == number) {
        status = state_layers_freeze(state, full, error);
    }
    pthread_mutex_unlock(&state->write_mutex);
    return status;
}

/* Has the first table wait to be written, if it has this number; where there is no room for another
 * yet, the thread does it later. */
static rr_status freeze_in_time(struct state *state, uint64_t number, struct storage_error *error)
{
    bool full;
    rr_status status = freeze(state, number, &full, error);
    if (status == RR_OK && full) {
        pthread_mutex_lock(&state->mutex);
        state->asked = number;
        pthread_cond_signal(&state->work);
        pthread_mutex_unlock(&state->mutex);
    }
    return status;
}

/* Whether a table waits for the thread, or one is to wait and can; under the mutex. */
static bool has_table(const struct state *state)
{
    uint32_t count = state->layers->table_count;
    bool asked = state->asked != 0 && count < STATE_TABLES_MAX;
    return !atomic_load(&state->failed) && (asked || (count > 1 && state->helpers == 0));
}

static bool wait_for_work(struct state *state)
{
    pthread_mutex_lock(&state->mutex);
    while (!state->stopping && state->unused == NULL && !has_table(state)) {
        pthread_cond_wait(&state->work, &state->mutex);
    }
    bool stopping = state->stopping;
    pthread_mutex_unlock(&state->mutex);
    return !stopping;
}

static uint64_t take_asked(struct state *state)
{
    pthread_mutex_lock(&state->mutex);
    uint64_t number = state->asked;
    state->asked = 0;
    pthread_mutex_unlock(&state->mutex);
    return number;
}

static void *run_flusher(void *arg)
{
    struct state *state = arg;
    while (wait_for_work(state)) {
        state_layers_free_unused(state);
        uint64_t number = take_asked(state);
        rr_status status = number == 0 ? RR_OK : freeze_in_time(state, number, NULL);
        (void)status; /* without memory the next table has it as well */
        bool done;
        status = write_oldest(state, UINT64_MAX, &done, NULL);
        (void)status; /* state_failure has it */
    }
    return NULL;
}

rr_status state_flusher_start(struct state *state, struct storage_error *error)
{
    int result = pthread_create(&state->flusher, NULL, run_flusher, state);
    if (result != 0) {
        return storage_fail(error, RR_IO, "cannot start a thread: %s", strerror(result));
    }
    state->flusher_runs = true;
    return RR_OK;
}

void state_flusher_stop(struct state *state)
{
    if (!state->flusher_runs) {
        return;
    }
    pthread_mutex_lock(&state->mutex);
    state->stopping = true;
    pthread_cond_signal(&state->work);
    pthread_mutex_unlock(&state->mutex);
    pthread_join(state->flusher, NULL);
    state->flusher_runs = false;
}

/* --- Those who ask --- */

rr_status state_wait_for_room(struct state *state, struct storage_error *error)
{
    uint64_t start_us = now_us();
    pthread_mutex_lock(&state->mutex);
    while (state->layers->table_count == STATE_TABLES_MAX && !atomic_load(&state->failed)) {
        pthread_cond_wait(&state->flushed, &state->mutex);
    }
    state->flush_counters.stalls++;
    state->flush_counters.stall_us += now_us() - start_us;
    pthread_mutex_unlock(&state->mutex);
    return state_check(state, error);
}

/* Lets those who wait do the thread's work: they would come last at the mutex. */
static void change_helpers(struct state *state, int by)
{
    pthread_mutex_lock(&state->mutex);
    state->helpers = (uint32_t)((int)state->helpers + by);
    pthread_cond_signal(&state->work);
    pthread_mutex_unlock(&state->mutex);
}

/* The number of the table that has everything until now. */
static uint64_t current_number(struct state *state)
{
    pthread_mutex_lock(&state->mutex);
    uint64_t number = state->layers->tables[0]->number;
    pthread_mutex_unlock(&state->mutex);
    return number;
}

static rr_status flush_and_wait(struct state *state, uint64_t number, struct storage_error *error)
{
    bool full = true;
    bool done = false;
    rr_status status = RR_OK;
    change_helpers(state, 1);
    while (status == RR_OK && (full || !done)) {
        if (full) {
            status = freeze(state, number, &full, error);
        }
        if (status == RR_OK) {
            status = write_oldest(state, number, &done, error);
        }
    }
    change_helpers(state, -1);
    return status;
}

rr_status state_flush(struct state *state, bool wait, struct storage_error *error)
{
    rr_status status = file_fault_check("flush the state", error);
    if (status == RR_OK) {
        status = state_check(state, error);
    }
    if (status != RR_OK) {
        return status;
    }
    uint64_t number = current_number(state);
    if (wait) {
        return flush_and_wait(state, number, error);
    }
    return freeze_in_time(state, number, error);
}
