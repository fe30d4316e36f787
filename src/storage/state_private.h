/* What the files of the state share: the database behind it, and the state's own records. */
#ifndef STORAGE_STATE_PRIVATE_H
#define STORAGE_STATE_PRIVATE_H

#include "storage/file.h"
#include "storage/overlay.h"
#include "storage/rocks.h"
#include "storage/state.h"
#include "storage/value_cache.h"

#include <pthread.h>

/* One open state-<n>. Reads hold it, so that an installation can replace it beside them; the last
 * to let go closes it. */
struct state_db {
    struct rocks rocks;
    rocksdb_column_family_handle_t *family; /* in rocks.families */
    char path[PATH_BYTES_MAX];
    uint32_t refs; /* under the state's mutex */
    bool obsolete; /* under the state's mutex: delete the directory when it is closed */
};

struct state {
    char path[PATH_BYTES_MAX]; /* the data directory */
    size_t memtable_bytes;
    int max_open_files;
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *read_options;
    rocksdb_readoptions_t *persisted_options; /* sees only what was flushed */
    rocksdb_writeoptions_t *write_options;    /* without the WAL */

    pthread_mutex_t mutex; /* over `db` and its `refs` */
    struct state_db *db;   /* holds one reference */

    /* The owner's alone. */
    uint64_t number; /* of the directory in use */
    struct state_position applied;
    bool failed;
    rr_status failure_status; /* RR_IO or RR_CORRUPT, once failed */
    struct storage_error failure;
    struct state_counters counters;
    struct value_cache *values;              /* of the last commit */
    struct state_batch *batch_with_contents; /* the one that is not empty, or NULL */
};

struct state_cursor;

/* Iterators that wait for their next range: making one costs more than a short range does. They
 * show the database as it was when the first of them was made. */
struct state_cursors {
    struct state_cursor *idle;
    uint32_t idle_count;
    struct state_db *db; /* holds a reference while there are any; else NULL */
    uint64_t commits;    /* how many the state had when the first was made */
};

struct state_batch {
    struct state *state;
    struct overlay overlay;
    struct state_cursors cursors;  /* of the database as the batch sees it */
    struct state_position applied; /* index 0: not set */
    bool has_meta;
    struct buffer meta;           /* the record's value */
    rocksdb_writebatch_t *writes; /* empty between commits */
};

struct state_view {
    struct state *state;
    struct state_db *db;
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *options;
    struct state_cursors cursors;
};

/* The state's own keys: a zero byte and a letter. */
extern const rr_bytes state_key_applied;
extern const rr_bytes state_key_meta;

/* Opens a state directory as a database with one reference. */
RR_MUST_USE rr_status state_db_open(struct state *state, const char *path, enum rocks_mode mode,
                                    struct storage_error *error, struct state_db **out);

/* The current database, with a reference for the caller; any thread. */
struct state_db *state_db_acquire(struct state *state);
void state_db_release(struct state *state, struct state_db *db); /* NULL is fine */

/* Reads a key into `out`, whose contents are replaced. `error` names no key: keys are the user's. */
RR_MUST_USE rr_status state_db_get(const struct state_db *db, const rocksdb_readoptions_t *options,
                                   rr_bytes key, struct buffer *out, struct storage_error *error);

/* Reads the position; (0, 0) if none was written. */
RR_MUST_USE rr_status state_db_position(const struct state_db *db,
                                        const rocksdb_readoptions_t *options,
                                        struct state_position *out, struct storage_error *error);

/* Reads the caller's own bytes; empty if none were written. */
RR_MUST_USE rr_status state_db_meta(const struct state_db *db, const rocksdb_readoptions_t *options,
                                    struct buffer *out, struct storage_error *error);

/* Closes all; none may be in use. Zeroed is fine. */
void state_cursors_deinit(struct state *state, struct state_cursors *cursors);

enum { STATE_POSITION_BYTES = 1 + 8 + 8 + 8 }; /* version, index, term, checksum */
void state_position_encode(const struct state_position *position,
                           uint8_t out[STATE_POSITION_BYTES]);

/* The value of the meta record: version, checksum, bytes. */
void state_meta_encode(rr_bytes meta, struct buffer *out);

/* Reads position and meta of a state directory that nobody writes, without changing it. */
RR_MUST_USE rr_status state_inspect(const char *path, struct state_position *position,
                                    struct buffer *meta, struct storage_error *error);

/* Links or copies the files of a snapshot into the directory `target`, durably; what was there goes.
 * RR_CORRUPT if the snapshot lacks a file. */
RR_MUST_USE rr_status state_place_files(const struct snapshot *snapshot, const char *target,
                                        struct storage_error *error);

/* Makes a checkpoint of the state, flushed, at `path`, which must not exist. Any thread. */
RR_MUST_USE rr_status state_checkpoint(struct state *state, const char *path,
                                       struct storage_error *error);

#endif
