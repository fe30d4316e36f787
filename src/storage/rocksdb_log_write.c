/* Writing frames: one WriteBatch each, which also brings the groups in memory up to date. */
#include "base/assert.h"
#include "base/memory.h"
#include "storage/rocksdb_log_private.h"

#include <inttypes.h>

/* Up to so many entries are deleted one by one: point tombstones cost readers less. */
enum { POINT_DELETES_MAX = 16 };

/* Deletes the entries from `first` to `last`, both included. */
static void delete_entries(struct rocksdb_log_store *store, raft_group group, raft_index first,
                           raft_index last)
{
    rocksdb_column_family_handle_t *family = store->rocks.families[LOG_FAMILY_ENTRIES];
    uint8_t key[LOG_KEY_BYTES];
    if (first > last) {
        return;
    }
    log_key_encode(group, first, key);
    if (last - first >= POINT_DELETES_MAX) {
        uint8_t end[LOG_KEY_BYTES];
        log_key_encode(group, last + 1, end);
        rocksdb_writebatch_delete_range_cf(store->batch, family, (const char *)key, LOG_KEY_BYTES,
                                           (const char *)end, LOG_KEY_BYTES);
        return;
    }
    for (raft_index index = first; index <= last; index++) {
        log_key_encode(group, index, key);
        rocksdb_writebatch_delete_cf(store->batch, family, (const char *)key, LOG_KEY_BYTES);
    }
}

static void put_entry(struct rocksdb_log_store *store, raft_group group,
                      const struct raft_entry *entry)
{
    uint8_t key[LOG_KEY_BYTES];
    uint8_t header[LOG_ENTRY_HEADER_BYTES];
    log_key_encode(group, entry->index, key);
    log_entry_header_encode(group, entry, header);
    /* In parts, so that the data is copied once, by RocksDB. */
    const char *keys[] = {(const char *)key};
    const size_t key_sizes[] = {sizeof(key)};
    const char *values[] = {(const char *)header, (const char *)entry->data};
    const size_t value_sizes[] = {sizeof(header), entry->size};
    rocksdb_writebatch_putv_cf(store->batch, store->rocks.families[LOG_FAMILY_ENTRIES], 1, keys,
                               key_sizes, 2, values, value_sizes);
    store->counters.entries++;
    store->counters.bytes_written += sizeof(header) + entry->size;
}

static void append(struct rocksdb_log_store *store, struct log_group *group,
                   const struct log_record *record)
{
    raft_index first = record->entries[0]->index;
    ASSERT(first > group->record.base_index);
    ASSERT(first <= group->last_index + 1);
    raft_index index = first;
    for (uint32_t i = 0; i < record->entry_count; i++, index++) {
        ASSERT(record->entries[i]->index == index);
        put_entry(store, group->id, record->entries[i]);
    }
    delete_entries(store, group->id, index, group->last_index);
    group->last_index = index - 1;
    group->last_term = record->entries[record->entry_count - 1]->term;
}

/* Finds the value of an entry in the database and calls for its decoding. */
static rr_status get_entry(struct rocksdb_log_store *store, raft_group group, raft_index index,
                           struct storage_error *error, raft_term *term)
{
    uint8_t key[LOG_KEY_BYTES];
    log_key_encode(group, index, key);
    char *message = NULL;
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned_cf(
        store->rocks.db, store->read_options, store->rocks.families[LOG_FAMILY_ENTRIES],
        (const char *)key, LOG_KEY_BYTES, &message);
    rr_status status = rocks_check(message, "read", store->path, error);
    if (status != RR_OK) {
        return status;
    }
    if (slice == NULL) {
        return storage_fail(error, RR_CORRUPT,
                            "entry %" PRIu64 " of group %" PRIu64 " is missing: %s", index, group,
                            LOG_DAMAGE_ADVICE);
    }
    rr_bytes value;
    value.data = rocksdb_pinnableslice_value(slice, &value.size);
    struct log_entry_view view;
    status = log_entry_decode(group, index, value, error, &view);
    if (status == RR_OK) {
        *term = view.term;
    }
    rocksdb_pinnableslice_destroy(slice);
    return status;
}

/* The term of an entry that the group holds, perhaps only by the records up to `at` of `frame`. */
static rr_status term_of(struct rocksdb_log_store *store, const struct log_frame *frame,
                         uint32_t at, raft_index index, raft_term *out)
{
    raft_group group = frame->records[at].group;
    for (uint32_t i = at + 1; i-- > 0;) {
        const struct log_record *record = &frame->records[i];
        if (record->group != group || record->entry_count == 0) {
            continue;
        }
        raft_index first = record->entries[0]->index;
        if (index >= first && index - first < record->entry_count) {
            *out = record->entries[index - first]->term;
            return RR_OK;
        }
    }
    return get_entry(store, group, index, &store->failure, out);
}

static rr_status purge(struct rocksdb_log_store *store, struct log_group *group,
                       const struct log_frame *frame, uint32_t at)
{
    raft_index index = frame->records[at].purge_index;
    ASSERT(index <= group->last_index);
    if (index <= group->record.base_index) {
        return RR_OK;
    }
    raft_term term = 0;
    rr_status status = term_of(store, frame, at, index, &term);
    if (status != RR_OK) {
        return status;
    }
    delete_entries(store, group->id, log_group_first(group), index);
    group->record.base_index = index;
    group->record.base_term = term;
    return RR_OK;
}

static void destroy(struct rocksdb_log_store *store, const struct log_record *record)
{
    ASSERT(!record->reset);
    ASSERT(record->entry_count == 0);
    ASSERT(record->purge_index == 0);
    ASSERT(record->hard_state == NULL);
    struct log_group *group = map_remove(&store->groups, record->group);
    if (group == NULL) {
        return;
    }
    delete_entries(store, group->id, log_group_first(group), group->last_index);
    uint8_t key[8];
    store_be64(key, group->id);
    rocksdb_writebatch_delete_cf(store->batch, store->rocks.families[LOG_FAMILY_HARD_STATE],
                                 (const char *)key, sizeof(key));
    mem_free(group);
}

static void put_group_record(struct rocksdb_log_store *store, const struct log_group *group)
{
    uint8_t key[8];
    uint8_t value[LOG_GROUP_RECORD_BYTES];
    store_be64(key, group->id);
    log_group_record_encode(group->id, &group->record, value);
    rocksdb_writebatch_put_cf(store->batch, store->rocks.families[LOG_FAMILY_HARD_STATE],
                              (const char *)key, sizeof(key), (const char *)value, sizeof(value));
    store->counters.bytes_written += sizeof(value);
}

struct log_group *rocksdb_log_add_group(struct rocksdb_log_store *store, raft_group id)
{
    struct log_group *group = mem_new(struct log_group);
    group->id = id;
    map_set(&store->groups, id, group);
    return group;
}

/* Puts one record into the batch and makes the group in memory what it will be. */
static rr_status build_record(struct rocksdb_log_store *store, const struct log_frame *frame,
                              uint32_t at)
{
    const struct log_record *record = &frame->records[at];
    if (record->destroy) {
        destroy(store, record);
        return RR_OK;
    }
    struct log_group *group = map_get(&store->groups, record->group);
    bool changed = group == NULL || record->reset || record->hard_state != NULL;
    if (group == NULL) {
        group = rocksdb_log_add_group(store, record->group);
    }
    if (record->reset) {
        delete_entries(store, group->id, log_group_first(group), group->last_index);
        group->record.base_index = record->reset_index;
        group->record.base_term = record->reset_term;
        group->last_index = record->reset_index;
        group->last_term = record->reset_term;
    }
    if (record->entry_count > 0) {
        append(store, group, record);
    }
    if (record->purge_index > group->record.base_index) {
        rr_status status = purge(store, group, frame, at);
        if (status != RR_OK) {
            return status;
        }
        changed = true;
    }
    if (record->hard_state != NULL) {
        ASSERT(record->hard_state->commit <= group->last_index);
        group->record.hard_state = *record->hard_state;
    }
    if (changed) {
        put_group_record(store, group);
    }
    return RR_OK;
}

static rr_status write_frame(struct rocksdb_log_store *store, const struct log_frame *frame)
{
    for (uint32_t i = 0; i < frame->record_count; i++) {
        rr_status status = build_record(store, frame, i);
        if (status != RR_OK) {
            return status;
        }
    }
    rr_status status = file_fault_check("write to the log", &store->failure);
    if (status != RR_OK) {
        return status;
    }
    char *message = NULL;
    rocksdb_write(store->rocks.db, frame->sync ? store->sync_options : store->write_options,
                  store->batch, &message);
    rocksdb_writebatch_clear(store->batch);
    store->counters.frames++;
    store->counters.syncs += frame->sync;
    return rocks_check(message, "write to", store->path, &store->failure);
}

void rocksdb_log_submit(struct log_store *base, const struct log_frame *frame, log_done_fn done,
                        void *done_arg)
{
    struct rocksdb_log_store *store = rocksdb_log_self(base);
    /* The first error is final: RocksDB would recover by itself and leave a hole in the log. */
    if (!store->failed && write_frame(store, frame) != RR_OK) {
        store->failed = true;
    }
    done(done_arg, store->failed ? RR_IO : RR_OK);
}
