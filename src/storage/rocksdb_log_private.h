/* What the files of the log store on RocksDB share. Writing is in rocksdb_log_write.c. */
#ifndef STORAGE_ROCKSDB_LOG_PRIVATE_H
#define STORAGE_ROCKSDB_LOG_PRIVATE_H

#include "base/codec.h"
#include "base/list.h"
#include "base/map.h"
#include "storage/file.h"
#include "storage/log_record.h"
#include "storage/log_store.h"
#include "storage/rocks.h"

enum {
    LOG_KEY_BYTES = 16,
    LOG_FAMILY_ENTRIES = 1,
    LOG_FAMILY_HARD_STATE = 2,
};

/* A group as the last submitted frame leaves it. */
struct log_group {
    raft_group id;
    struct log_group_record record;
    raft_index last_index;
    raft_term last_term; /* 0: not known, the entry could not be read */
};

struct rocksdb_log_store {
    struct log_store store; /* first */
    struct rocks rocks;
    rocksdb_writeoptions_t *write_options; /* sync off */
    rocksdb_writeoptions_t *sync_options;  /* sync on */
    rocksdb_readoptions_t *read_options;
    rocksdb_readoptions_t *scan_options; /* for one pass over everything */
    rocksdb_writebatch_t *batch;         /* empty between frames */
    struct map groups;                   /* of struct log_group */
    struct log_store_counters counters;
    bool failed;
    struct storage_error failure; /* why, once failed */
    char path[PATH_BYTES_MAX];
};

static inline struct rocksdb_log_store *rocksdb_log_self(struct log_store *store)
{
    return CONTAINER_OF(store, struct rocksdb_log_store, store);
}

static inline void log_key_encode(raft_group group, raft_index index, uint8_t out[LOG_KEY_BYTES])
{
    store_be64(out, group);
    store_be64(out + 8, index);
}

static inline raft_index log_group_first(const struct log_group *group)
{
    return group->record.base_index + 1;
}

/* A new group without entries, known to the store. */
struct log_group *rocksdb_log_add_group(struct rocksdb_log_store *store, raft_group id);

/* Writes one frame, and completes it; the first failure is kept in the store. */
void rocksdb_log_submit(struct log_store *store, const struct log_frame *frame, log_done_fn done,
                        void *done_arg);

#endif
