/*
 * The log store on RocksDB.
 *
 * Families: raft_log (be64 group | be64 index -> entry), hard_state (be64 group -> group record).
 * A group's bounds are kept in memory; the group record holds its base, so that
 * 1. every seek starts at the first entry that is left: entries purged are covered by tombstones
 *    of whole ranges, and walking over those costs milliseconds;
 * 2. entries beyond the last index never exist: a truncation deletes them in the same batch.
 */
#include "storage/rocksdb_log_store.h"

#include "base/assert.h"
#include "base/memory.h"
#include "storage/log_store_private.h"
#include "storage/rocksdb_log_private.h"

#include <inttypes.h>
#include <string.h>

static const struct rocksdb_log_store *self_const(const struct log_store *store)
{
    return (const struct rocksdb_log_store *)(const void *)store;
}

static void rocksdb_poll(struct log_store *base)
{
}

static void rocksdb_set_wake(struct log_store *base, log_wake_fn wake, void *wake_arg)
{
}

/* --- Reading --- */

/* What the iterator stands on, if it is the entry `index` of `group`. */
static rr_status current_value(const rocksdb_iterator_t *iterator, raft_group group,
                               raft_index index, struct storage_error *error, rr_bytes *out)
{
    uint8_t wanted[LOG_KEY_BYTES];
    log_key_encode(group, index, wanted);
    size_t size = 0;
    const char *key = rocksdb_iter_valid(iterator) ? rocksdb_iter_key(iterator, &size) : NULL;
    if (size != LOG_KEY_BYTES || memcmp(key, wanted, LOG_KEY_BYTES) != 0) {
        char *message = NULL;
        rocksdb_iter_get_error(iterator, &message);
        if (message != NULL) {
            return rocks_check(message, "read", "the log", error);
        }
        return storage_fail(error, RR_CORRUPT,
                            "entry %" PRIu64 " of group %" PRIu64 " is missing: %s", index, group,
                            LOG_DAMAGE_ADVICE);
    }
    out->data = rocksdb_iter_value(iterator, &out->size);
    return RR_OK;
}

static rocksdb_iterator_t *seek(struct rocksdb_log_store *store,
                                const rocksdb_readoptions_t *options, raft_group group,
                                raft_index index)
{
    uint8_t key[LOG_KEY_BYTES];
    log_key_encode(group, index, key);
    rocksdb_iterator_t *iterator = rocksdb_create_iterator_cf(
        store->rocks.db, options, store->rocks.families[LOG_FAMILY_ENTRIES]);
    rocksdb_iter_seek(iterator, (const char *)key, LOG_KEY_BYTES);
    return iterator;
}

static rr_status rocksdb_recover(struct log_store *base, raft_group id, log_scan_fn scan,
                                 void *scan_arg, struct storage_error *error,
                                 struct log_recovery *out)
{
    struct rocksdb_log_store *store = rocksdb_log_self(base);
    struct log_group *group = map_get(&store->groups, id);
    if (group == NULL) {
        return storage_fail(error, RR_NOT_FOUND, "the log has no group %" PRIu64, id);
    }
    raft_term term = group->record.base_term;
    rr_status status = RR_OK;
    rocksdb_iterator_t *iterator = seek(store, store->scan_options, id, log_group_first(group));
    for (raft_index index = log_group_first(group); status == RR_OK && index <= group->last_index;
         index++) {
        rr_bytes value;
        status = current_value(iterator, id, index, error, &value);
        if (status == RR_OK) {
            status = log_scan_value(id, index, value, scan, scan_arg, error, &term);
        }
        if (status == RR_OK) {
            rocksdb_iter_next(iterator);
        }
    }
    rocksdb_iter_destroy(iterator);
    if (status != RR_OK) {
        return status;
    }
    group->last_term = term;
    out->hard_state = group->record.hard_state;
    out->bounds.base_index = group->record.base_index;
    out->bounds.base_term = group->record.base_term;
    out->bounds.last_index = group->last_index;
    out->bounds.last_term = group->last_term;
    return RR_OK;
}

static bool rocksdb_bounds(const struct log_store *base, raft_group id, struct log_bounds *out)
{
    const struct log_group *group = map_get(&self_const(base)->groups, id);
    if (group == NULL) {
        return false;
    }
    out->base_index = group->record.base_index;
    out->base_term = group->record.base_term;
    out->last_index = group->last_index;
    out->last_term = group->last_term;
    return true;
}

static rr_status rocksdb_read(struct log_store *base, raft_group id, raft_index first,
                              raft_index last, size_t bytes_max, uint32_t entries_max,
                              struct raft_entry **out, uint32_t *count, struct storage_error *error)
{
    struct rocksdb_log_store *store = rocksdb_log_self(base);
    const struct log_group *group = map_get(&store->groups, id);
    if (group == NULL || first < log_group_first(group) || first > group->last_index) {
        return storage_fail(error, RR_NOT_FOUND,
                            "the log has no entry %" PRIu64 " of group %" PRIu64, first, id);
    }
    ASSERT(last <= group->last_index);
    uint32_t entry_count = 0;
    size_t bytes = 0;
    rr_status status = RR_OK;
    rocksdb_iterator_t *iterator = seek(store, store->read_options, id, first);
    for (raft_index index = first; index <= last && entry_count < entries_max; index++) {
        rr_bytes value;
        status = current_value(iterator, id, index, error, &value);
        if (status != RR_OK) {
            break;
        }
        size_t size = value.size < LOG_ENTRY_HEADER_BYTES ? 0 : value.size - LOG_ENTRY_HEADER_BYTES;
        if (entry_count > 0 && (bytes > bytes_max || size > bytes_max - bytes)) {
            break;
        }
        status = log_entry_load(id, index, value, error, &out[entry_count]);
        if (status != RR_OK) {
            break;
        }
        bytes += out[entry_count]->size;
        entry_count++;
        rocksdb_iter_next(iterator);
    }
    rocksdb_iter_destroy(iterator);
    if (status != RR_OK) {
        while (entry_count > 0) {
            raft_entry_unref(out[--entry_count]);
        }
        return status;
    }
    store->counters.entries_read += entry_count;
    store->counters.bytes_read += bytes;
    *count = entry_count;
    return RR_OK;
}

static void rocksdb_each_group(const struct log_store *base, log_group_fn visit, void *visit_arg)
{
    log_visit_groups(&self_const(base)->groups, visit, visit_arg);
}

static void rocksdb_counters(const struct log_store *base, struct log_store_counters *out)
{
    *out = self_const(base)->counters;
}

/* It keeps no room ahead of need. */
static bool rocksdb_shortage(const struct log_store *base, struct storage_error *error)
{
    (void)base;
    (void)error;
    return false;
}

static const char *rocksdb_failure(const struct log_store *base)
{
    const struct rocksdb_log_store *store = self_const(base);
    return store->failed ? store->failure.text : NULL;
}

/* --- Opening and closing --- */

static void rocksdb_log_store_close(struct log_store *base)
{
    struct rocksdb_log_store *store = rocksdb_log_self(base);
    size_t position = 0;
    void *value;
    while (map_iterate(&store->groups, &position, NULL, &value)) {
        mem_free(value);
    }
    map_deinit(&store->groups);
    rocksdb_writebatch_destroy(store->batch);
    rocksdb_writeoptions_destroy(store->write_options);
    rocksdb_writeoptions_destroy(store->sync_options);
    rocksdb_readoptions_destroy(store->read_options);
    rocksdb_readoptions_destroy(store->scan_options);
    rocks_close(&store->rocks);
    mem_free(store);
}

static const struct log_store_operations operations = {
    .submit = rocksdb_log_submit,
    .poll = rocksdb_poll,
    .set_wake = rocksdb_set_wake,
    .recover = rocksdb_recover,
    .bounds = rocksdb_bounds,
    .read = rocksdb_read,
    .each_group = rocksdb_each_group,
    .counters = rocksdb_counters,
    .failure = rocksdb_failure,
    .shortage = rocksdb_shortage,
    .close = rocksdb_log_store_close,
};

static rocksdb_options_t *make_options(const struct rocksdb_log_store_options *wanted)
{
    rocksdb_options_t *options = rocks_options_new();
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(
        options, wanted->memtable_bytes != 0 ? wanted->memtable_bytes : 128u * 1024 * 1024);
    rocksdb_options_set_max_write_buffer_number(
        options, wanted->memtables_max != 0 ? wanted->memtables_max : 4);
    rocksdb_options_set_max_total_wal_size(
        options, wanted->wal_bytes_max != 0 ? wanted->wal_bytes_max : 512u * 1024 * 1024);
    rocksdb_options_set_max_open_files(options,
                                       wanted->max_open_files != 0 ? wanted->max_open_files : 256);
    /* A record cut short at the very end was never acknowledged; any other damage must be seen.
     * RocksDB's default would drop everything behind the damage without a word. */
    rocksdb_options_set_wal_recovery_mode(options,
                                          rocksdb_tolerate_corrupted_tail_records_recovery);
    return options;
}

/* Finds the last entry of a group. A damaged one is left for recovery to report. */
static rr_status find_last(struct rocksdb_log_store *store, struct log_group *group,
                           rocksdb_iterator_t *iterator, struct storage_error *error)
{
    uint8_t key[LOG_KEY_BYTES];
    log_key_encode(group->id, UINT64_MAX, key);
    rocksdb_iter_seek_for_prev(iterator, (const char *)key, LOG_KEY_BYTES);
    group->last_index = group->record.base_index;
    group->last_term = group->record.base_term;
    if (!rocksdb_iter_valid(iterator)) {
        char *message = NULL;
        rocksdb_iter_get_error(iterator, &message);
        return rocks_check(message, "read", store->path, error);
    }
    rr_bytes found;
    found.data = rocksdb_iter_key(iterator, &found.size);
    if (found.size != LOG_KEY_BYTES || load_be64(found.data) != group->id) {
        return RR_OK;
    }
    raft_index index = load_be64((const uint8_t *)found.data + 8);
    if (index <= group->record.base_index) {
        return storage_fail(error, RR_CORRUPT,
                            "group %" PRIu64 " holds entry %" PRIu64 ", which its base %" PRIu64
                            " says is purged: %s",
                            group->id, index, group->record.base_index, LOG_DAMAGE_ADVICE);
    }
    rr_bytes value;
    value.data = rocksdb_iter_value(iterator, &value.size);
    struct log_entry_view view;
    group->last_index = index;
    group->last_term =
        log_entry_decode(group->id, index, value, NULL, &view) == RR_OK ? view.term : 0;
    return RR_OK;
}

static rr_status load_groups(struct rocksdb_log_store *store, struct storage_error *error)
{
    rocksdb_iterator_t *entries = rocksdb_create_iterator_cf(
        store->rocks.db, store->scan_options, store->rocks.families[LOG_FAMILY_ENTRIES]);
    rocksdb_iterator_t *iterator = rocksdb_create_iterator_cf(
        store->rocks.db, store->scan_options, store->rocks.families[LOG_FAMILY_HARD_STATE]);
    rr_status status = RR_OK;
    for (rocksdb_iter_seek_to_first(iterator); status == RR_OK && rocksdb_iter_valid(iterator);
         rocksdb_iter_next(iterator)) {
        rr_bytes key;
        rr_bytes value;
        key.data = rocksdb_iter_key(iterator, &key.size);
        value.data = rocksdb_iter_value(iterator, &value.size);
        if (key.size != 8) {
            status = storage_fail(error, RR_CORRUPT, "%s holds a malformed key: %s", store->path,
                                  LOG_DAMAGE_ADVICE);
            break;
        }
        struct log_group_record record;
        raft_group id = load_be64(key.data);
        status = log_group_record_decode(id, value, error, &record);
        if (status == RR_OK) {
            struct log_group *group = rocksdb_log_add_group(store, id);
            group->record = record;
            status = find_last(store, group, entries, error);
        }
    }
    if (status == RR_OK) {
        char *message = NULL;
        rocksdb_iter_get_error(iterator, &message);
        status = rocks_check(message, "read", store->path, error);
    }
    rocksdb_iter_destroy(iterator);
    rocksdb_iter_destroy(entries);
    return status;
}

/* Refuses the files of the other kind of log: RocksDB would make an empty one beside them. */
static rr_status refuse_segment(void *arg, const char *name, struct storage_error *error)
{
    if (strncmp(name, "segment-", 8) == 0) {
        return storage_fail(error, RR_MISMATCH,
                            "%s holds a log in segments, not one in RocksDB: a directory keeps the "
                            "kind that it was made with",
                            (const char *)arg);
    }
    return RR_OK;
}

static rr_status open_database(struct rocksdb_log_store *store,
                               const struct rocksdb_log_store_options *wanted,
                               struct storage_error *error)
{
    static const char *const families[] = {"raft_log", "hard_state"};
    rr_status status = directory_create(wanted->path, error);
    if (status == RR_OK) {
        status = directory_list(wanted->path, refuse_segment, store->path, error);
    }
    if (status != RR_OK) {
        return status;
    }
    rocksdb_options_t *options = make_options(wanted);
    status = rocks_open(wanted->path, ROCKS_CREATE, options, families, 2, error, &store->rocks);
    rocksdb_options_destroy(options);
    return status;
}

rr_status rocksdb_log_store_open(const struct rocksdb_log_store_options *options,
                                 struct storage_error *error, struct log_store **out)
{
    if (strlen(options->path) >= PATH_BYTES_MAX) {
        return storage_fail(error, RR_INVALID, "the log's path is too long");
    }
    struct rocksdb_log_store *store = mem_new(struct rocksdb_log_store);
    store->store.operations = &operations;
    strcpy(store->path, options->path);
    map_init(&store->groups);
    store->batch = rocksdb_writebatch_create();
    store->write_options = rocksdb_writeoptions_create();
    store->sync_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(store->sync_options, 1);
    store->read_options = rocksdb_readoptions_create();
    store->scan_options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(store->scan_options, 0);
    rocksdb_readoptions_set_readahead_size(store->scan_options, 1024 * 1024);
    rr_status status = open_database(store, options, error);
    if (status == RR_OK) {
        status = load_groups(store, error);
    }
    if (status != RR_OK) {
        rocksdb_log_store_close(&store->store);
        return status;
    }
    *out = &store->store;
    return RR_OK;
}
