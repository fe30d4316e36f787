/*
 * The log store on a RocksDB instance of its own: one WriteBatch and at most one sync per frame,
 * inline, so completions run before log_store_submit returns.
 */
#ifndef STORAGE_ROCKSDB_LOG_STORE_H
#define STORAGE_ROCKSDB_LOG_STORE_H

#include "storage/log_store.h"

struct rocksdb_log_store_options {
    const char *path;       /* of the instance's own directory; created */
    size_t memtable_bytes;  /* 0: 128 MiB; entries that die in memory are never written twice */
    int memtables_max;      /* 0: 4 */
    uint64_t wal_bytes_max; /* 0: 512 MiB; bounds what the rarely written hard states pin */
    int max_open_files;     /* 0: 256 */
};

/*
 * Opens or creates the store. Blocking: replays what the last run wrote.
 *
 * RR_IO, RR_NO_SPACE, RR_BUSY (open elsewhere), RR_CORRUPT (the instance or a group's record is
 * damaged), RR_MISMATCH (a newer version wrote it, or it is another kind of log), with a text.
 */
RR_MUST_USE rr_status rocksdb_log_store_open(const struct rocksdb_log_store_options *options,
                                             struct storage_error *error, struct log_store **out);

#endif
