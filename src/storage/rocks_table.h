/*
 * A file that RocksDB takes in whole, past its log and its memtable; in C++, because the C interface
 * has no way to sync such a file in small steps, to leave it unchanged when it is taken in, or to keep
 * it when that fails.
 */
#ifndef STORAGE_ROCKS_TABLE_H
#define STORAGE_ROCKS_TABLE_H

#include "storage/rocks.h"

struct rocks_table;

/* Options of a database that is to take in files. Before it is opened; any thread. */
void rocks_table_allow(rocksdb_options_t *options);

/* Creates the file, which is compressed and indexed as the state's are. Blocking; any thread. Then
 * keys are added in ascending order, each once, and rocks_table_finish ends it. RR_IO, RR_NO_SPACE,
 * RR_CORRUPT (keys out of order); `error` is filled in. */
RR_MUST_USE rr_status rocks_table_open(const char *path, struct storage_error *error,
                                       struct rocks_table **out);
RR_MUST_USE rr_status rocks_table_put(struct rocks_table *table, rr_bytes key, rr_bytes value,
                                      struct storage_error *error);
RR_MUST_USE rr_status rocks_table_delete(struct rocks_table *table, rr_bytes key,
                                         struct storage_error *error);

/* Writes the rest and syncs the file. `size` is then the file's. */
RR_MUST_USE rr_status rocks_table_finish(struct rocks_table *table, uint64_t *size,
                                         struct storage_error *error);

/* An unfinished file stays where it is. NULL is fine. */
void rocks_table_close(struct rocks_table *table);

/*
 * Makes the contents of a finished file part of `family`, newer than all that it has, all at once
 * and durable when this returns. The file, on the same file system, is moved. Where this fails,
 * what is durable is unknown: the database has the file or not when it is opened next. Blocking; any
 * thread.
 */
RR_MUST_USE rr_status rocks_table_ingest(struct rocks *rocks,
                                         rocksdb_column_family_handle_t *family, const char *path,
                                         struct storage_error *error);

#endif
