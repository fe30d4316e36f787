/*
 * Opening and closing the state, and the database behind it. What it consists of is in
 * state_layers.c, reading in state_read.c, writing in state_batch.c, tables on their way to disk in
 * state_flush.c, replacing in state_install.c.
 */
#include "storage/state.h"

#include "base/assert.h"
#include "base/memory.h"
#include "storage/draw.h"
#include "storage/rocks_table.h"
#include "storage/state_pointer.h"
#include "storage/state_private.h"

#include <inttypes.h>
#include <string.h>

enum {
    FAMILY_STATE = 1,
    LEVEL0_FILES_MAX = 20, /* each is one more to look into for a read */
};

static const char *const families[] = {"state"};

/* --- The database --- */

/* Options of a state, which rocks_table.cpp repeats; `state` is NULL for a look from outside. */
static rocksdb_options_t *make_options(const struct state *state)
{
    rocksdb_options_t *options = rocks_options_new();
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    rocksdb_options_set_wal_recovery_mode(options, rocksdb_absolute_consistency_recovery);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_filter_policy(table,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_format_version(table, 5);
    if (state != NULL) {
        rocksdb_block_based_options_set_block_cache(table, state->cache);
        /* A table goes to level 0, and from there to the last one, rather than to one of those
         * between, each of which is one more to look into. */
        rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
        /* What holds back those who write tables (state_flush.c). */
        rocksdb_options_set_level0_slowdown_writes_trigger(options, LEVEL0_FILES_MAX);
        rocksdb_options_set_level0_stop_writes_trigger(options, LEVEL0_FILES_MAX);
        rocksdb_options_set_max_open_files(options, state->max_open_files);
        rocks_table_allow(options);
    }
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
    return options;
}

static rr_status remove_empty_log(void *arg, const char *name, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    uint64_t file_bytes;
    size_t size = strlen(name);
    if (size < 4 || strcmp(name + size - 4, ".log") != 0) {
        return RR_OK;
    }
    rr_status status = path_join(arg, name, path, error);
    if (status == RR_OK) {
        status = file_size(path, &file_bytes, error);
    }
    if (status != RR_OK || file_bytes > 0) {
        return status;
    }
    return file_remove_tree(path, error);
}

/* RocksDB begins a log each time, though we write none, and would delete them only after its memtable
 * was written, which never has anything. */
static rr_status remove_empty_logs(const char *path, struct storage_error *error)
{
    char directory[PATH_BYTES_MAX];
    strcpy(directory, path);
    return directory_list(path, remove_empty_log, directory, error);
}

rr_status state_db_open(struct state *state, const char *path, enum rocks_mode mode,
                        struct storage_error *error, struct state_db **out)
{
    rr_status status = mode == ROCKS_READ_ONLY ? RR_OK : remove_empty_logs(path, error);
    if (status != RR_OK) {
        return status;
    }
    struct state_db *db = mem_new(struct state_db);
    strcpy(db->path, path);
    db->refs = 1;
    rocksdb_options_t *options = make_options(state);
    status = rocks_open(path, mode, options, families, 1, error, &db->rocks);
    rocksdb_options_destroy(options);
    if (status != RR_OK) {
        mem_free(db);
        return status;
    }
    db->family = db->rocks.families[FAMILY_STATE];
    *out = db;
    return RR_OK;
}

void state_db_release(struct state *state, struct state_db *db)
{
    if (db == NULL) {
        return;
    }
    pthread_mutex_lock(&state->mutex);
    ASSERT(db->refs > 0);
    db->refs--;
    bool last = db->refs == 0;
    bool obsolete = db->obsolete;
    pthread_mutex_unlock(&state->mutex);
    if (!last) {
        return;
    }
    rocks_close(&db->rocks);
    if (obsolete) {
        /* What cannot be removed now is removed when the state is opened next. */
        rr_status status = file_remove_tree(db->path, NULL);
        (void)status;
    }
    mem_free(db);
}

rr_status state_inspect(const char *path, struct state_position *position, struct buffer *meta,
                        struct storage_error *error)
{
    struct state_db *db;
    rr_status status = state_db_open(NULL, path, ROCKS_READ_ONLY, error, &db);
    if (status != RR_OK) {
        return status;
    }
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    status = state_db_position(db, options, position, error);
    if (status == RR_OK) {
        status = state_db_meta(db, options, meta, error);
    }
    rocksdb_readoptions_destroy(options);
    rocks_close(&db->rocks);
    mem_free(db);
    return status;
}

/* --- Opening --- */

static rr_status refuse_orphans(void *arg, const char *name, struct storage_error *error)
{
    const struct state *state = arg;
    uint64_t number;
    if (state_pointer_parse_name(name, &number) && number != 1) {
        return storage_fail(error, RR_CORRUPT,
                            "%s/STATE is missing, and there is %s (docs/faults.md)", state->path,
                            name);
    }
    return RR_OK;
}

/* Creates the first state. A crash before STATE is written leaves an empty state-1, which is then
 * taken; one with contents means that STATE was lost. */
static rr_status create_state(struct state *state, struct storage_error *error,
                              struct state_db **out)
{
    char path[PATH_BYTES_MAX];
    rr_status status = directory_list(state->path, refuse_orphans, state, error);
    if (status == RR_OK) {
        status = state_pointer_path(state->path, 1, path, error);
    }
    if (status == RR_OK) {
        status = directory_create(path, error);
    }
    if (status == RR_OK) {
        status = state_db_open(state, path, ROCKS_CREATE, error, out);
    }
    if (status == RR_OK) {
        status = state_db_position(*out, state->read_options, &state->applied, error);
    }
    if (status == RR_OK && state->applied.index != 0) {
        status = storage_fail(error, RR_CORRUPT,
                              "%s/STATE is missing, and state-1 is at index %" PRIu64
                              " (docs/faults.md)",
                              state->path, state->applied.index);
    }
    state->number = 1;
    return status == RR_OK ? state_pointer_write(state->path, 1, error) : status;
}

static rr_status open_current(struct state *state, struct storage_error *error,
                              struct state_db **out)
{
    char path[PATH_BYTES_MAX];
    rr_status status = state_pointer_path(state->path, state->number, path, error);
    if (status != RR_OK) {
        return status;
    }
    if (!file_exists(path)) {
        return storage_fail(error, RR_CORRUPT, "%s is missing (docs/faults.md)", path);
    }
    status = state_db_open(state, path, ROCKS_EXISTING, error, out);
    if (status != RR_OK) {
        return status;
    }
    return state_db_position(*out, state->read_options, &state->applied, error);
}

static rr_status remove_leftover(void *arg, const char *name, struct storage_error *error)
{
    const struct state *state = arg;
    uint64_t number;
    if (!state_pointer_parse_name(name, &number) || number == state->number) {
        return RR_OK;
    }
    char path[PATH_BYTES_MAX];
    rr_status status = path_join(state->path, name, path, error);
    return status == RR_OK ? file_remove_tree(path, error) : status;
}

static struct state *state_new(const struct state_options *options)
{
    struct state *state = mem_new(struct state);
    strcpy(state->path, options->path);
    state->memtable_bytes =
        options->memtable_bytes != 0 ? options->memtable_bytes : 64u * 1024 * 1024;
    state->max_open_files = options->max_open_files != 0 ? options->max_open_files : 512;
    state->cache = rocksdb_cache_create_lru(
        options->block_cache_bytes != 0 ? options->block_cache_bytes : 64u * 1024 * 1024);
    state->read_options = rocksdb_readoptions_create();
    state->values = value_cache_new();
    state->write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(state->write_options, 1);
    pthread_mutex_init(&state->flush_mutex, NULL);
    pthread_mutex_init(&state->write_mutex, NULL);
    pthread_mutex_init(&state->mutex, NULL);
    pthread_cond_init(&state->work, NULL);
    pthread_cond_init(&state->flushed, NULL);
    return state;
}

/* Puts the first table over the database. */
static rr_status begin(struct state *state, struct state_db *db, struct storage_error *error)
{
    struct state_memory *memory = state_memory_new(state);
    if (memory == NULL) {
        return storage_fail(error, RR_NO_MEMORY, "no memory for a table of the state");
    }
    state_layers_replace(state, db, memory);
    return state_flusher_start(state, error);
}

rr_status state_open(const struct state_options *options, struct storage_error *error,
                     struct state **out)
{
    if (strlen(options->path) >= PATH_BYTES_MAX) {
        return storage_fail(error, RR_INVALID, "the data directory's path is too long");
    }
    struct state *state = state_new(options);
    struct state_db *db = NULL;
    rr_status status = draw_number(&state->seed, error);
    if (status == RR_OK) {
        status = state_pointer_read(state->path, &state->number, error);
    }
    if (status == RR_OK) {
        status = open_current(state, error, &db);
    } else if (status == RR_NOT_FOUND) {
        status = create_state(state, error, &db);
    }
    if (status == RR_OK) {
        status = directory_list(state->path, remove_leftover, state, error);
    }
    if (status == RR_OK) {
        status = begin(state, db, error);
    }
    state_db_release(state, db);
    if (status != RR_OK) {
        state_close(state);
        return status;
    }
    *out = state;
    return RR_OK;
}

void state_close(struct state *state)
{
    if (state == NULL) {
        return;
    }
    if (state->layers != NULL && !atomic_load(&state->failed)) {
        rr_status status = state_flush(state, true, NULL);
        (void)status; /* the log still has what was not flushed */
    }
    state_flusher_stop(state);
    if (state->layers != NULL) {
        ASSERT(state->layers->refs == 1);
        state_layers_release(state, state->layers);
    }
    state_layers_free_unused(state);
    pthread_cond_destroy(&state->flushed);
    pthread_cond_destroy(&state->work);
    pthread_mutex_destroy(&state->mutex);
    pthread_mutex_destroy(&state->write_mutex);
    pthread_mutex_destroy(&state->flush_mutex);
    rocksdb_writeoptions_destroy(state->write_options);
    rocksdb_readoptions_destroy(state->read_options);
    rocksdb_cache_destroy(state->cache);
    value_cache_free(state->values);
    mem_free(state);
}

/* --- The rest --- */

struct state_position state_applied(const struct state *state)
{
    return state->applied;
}

const char *state_failure(const struct state *state)
{
    return atomic_load(&state->failed) ? state->failure.text : NULL;
}

rr_status state_persisted(struct state *state, struct state_position *out,
                          struct storage_error *error)
{
    struct state_layers *layers = state_layers_acquire(state);
    rr_status status = state_db_position(layers->db, state->read_options, out, error);
    state_layers_release(state, layers);
    return status;
}

rr_status state_meta(struct state *state, struct buffer *out, struct storage_error *error)
{
    struct state_moment moment = state_moment_take(state, /*lasting=*/false);
    rr_status status = state_moment_meta(&moment, out, error);
    state_moment_drop(state, &moment);
    return status;
}

rr_status state_checkpoint(struct state *state, const char *path, struct storage_error *error)
{
    rr_status status = file_fault_check("make a checkpoint", error);
    if (status == RR_OK) {
        status = state_flush(state, true, error);
    }
    if (status != RR_OK) {
        return status;
    }
    struct state_layers *layers = state_layers_acquire(state);
    char *message = NULL;
    rocksdb_checkpoint_t *checkpoint =
        rocksdb_checkpoint_object_create(layers->db->rocks.db, &message);
    if (message == NULL) {
        /* The database is whole commits at any time, and nothing of it is in memory alone. */
        rocksdb_checkpoint_create(checkpoint, path, 0, &message);
        rocksdb_checkpoint_object_destroy(checkpoint);
    }
    status = rocks_check(message, "make the checkpoint", path, error);
    state_layers_release(state, layers);
    return status;
}

static uint64_t property(const struct state_db *db, const char *name)
{
    uint64_t value = 0;
    return rocksdb_property_int_cf(db->rocks.db, db->family, name, &value) == 0 ? value : 0;
}

void state_counters(struct state *state, struct state_counters *out)
{
    *out = state->counters;
    struct state_layers *layers = state_layers_acquire(state);
    out->keys_estimated = property(layers->db, "rocksdb.estimate-num-keys");
    out->disk_bytes = property(layers->db, "rocksdb.live-sst-files-size");
    out->memory_bytes = property(layers->db, "rocksdb.cur-size-all-mem-tables");
    for (uint32_t i = 0; i < layers->table_count; i++) {
        out->memory_bytes += state_table_size(layers->tables[i]->table);
    }
    state_layers_release(state, layers);
    pthread_mutex_lock(&state->mutex);
    out->tables_written = state->flush_counters.tables;
    out->table_keys = state->flush_counters.keys;
    out->table_bytes = state->flush_counters.bytes;
    out->stalls = state->flush_counters.stalls;
    out->stall_us = state->flush_counters.stall_us;
    pthread_mutex_unlock(&state->mutex);
}
