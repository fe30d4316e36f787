/* What the files of the state share: the database behind it, and the state's own records. */
#ifndef STORAGE_STATE_PRIVATE_H
#define STORAGE_STATE_PRIVATE_H

#include "storage/file.h"
#include "storage/overlay.h"
#include "storage/rocks.h"
#include "storage/state.h"
#include "storage/state_table.h"
#include "storage/value_cache.h"

#include <pthread.h>
#include <stdatomic.h>

/* One open state-<n>. Layers hold it, so that an installation can replace it beside readers; the
 * last to let go closes it. Nothing is ever in RocksDB's own memtable: tables come as whole files. */
struct state_db {
    struct rocks rocks;
    rocksdb_column_family_handle_t *family; /* in rocks.families */
    char path[PATH_BYTES_MAX];
    uint32_t refs; /* under the state's mutex */
    bool obsolete; /* under the state's mutex: delete the directory when it is closed */
};

/* The one that is written to, and others that wait to be written to disk. */
enum { STATE_TABLES_MAX = 3 };

/* A table in memory, held by the layers that have it. */
struct state_memory {
    struct state_table *table;
    uint64_t number;           /* ascending; never 0 */
    uint32_t refs;             /* under the state's mutex */
    struct state_memory *next; /* in state->unused */
};

/*
 * What the state consists of: tables in memory over the database. It never changes (but for what is
 * written to the first table); state->layers is replaced by another.
 */
struct state_layers {
    struct state_memory *tables[STATE_TABLES_MAX]; /* newest first; the first is written to */
    uint32_t table_count;
    struct state_db *db;
    const rocksdb_snapshot_t
        *snapshot;                  /* has what was taken out of the tables, and nothing newer */
    rocksdb_readoptions_t *options; /* with the snapshot */
    uint32_t refs;                  /* under the state's mutex */
};

/*
 * The state of one moment, as readers hold it. While it is the last commit, the database needs no
 * snapshot: whatever is added to it is in the tables as well. Snapshots cost merges, which must keep
 * what they show, so they are not held without need.
 */
struct state_moment {
    struct state_layers *layers;        /* NULL: none */
    uint64_t sequence;                  /* of the last commit that it shows */
    const rocksdb_snapshot_t *snapshot; /* of the database; or NULL */
    rocksdb_readoptions_t *options;     /* with the snapshot; its own only if there is one */
};

struct state_flush_counters {
    uint64_t tables; /* written to disk */
    uint64_t keys;   /* in them */
    uint64_t bytes;  /* of their files */
    uint64_t stalls; /* commits that waited for room */
    uint64_t stall_us;
};

struct state {
    char path[PATH_BYTES_MAX]; /* the data directory */
    size_t memtable_bytes;
    int max_open_files;
    uint64_t seed; /* drawn at random; of what is in memory alone */
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *read_options;
    rocksdb_writeoptions_t *write_options; /* without the WAL */

    pthread_mutex_t flush_mutex; /* whoever writes a table to disk has it */

    pthread_mutex_t write_mutex; /* over the contents of the first table, and which that is */
    struct state_memory *active; /* that table; held by `layers` */

    pthread_mutex_t mutex;       /* over what follows, and all `refs` */
    struct state_layers *layers; /* holds one reference */
    struct state_memory *unused; /* for the flusher to free, which takes a moment */
    uint64_t memory_count;       /* numbers given out */
    struct storage_error failure;
    rr_status failure_status;
    uint32_t helpers; /* that write tables in the thread's place */
    uint64_t asked;   /* number of a table to write once there is room for another; or 0 */
    bool stopping;
    pthread_cond_t work;    /* for the flusher: a table waits, `asked`, `unused`, or `stopping` */
    pthread_cond_t flushed; /* a table was written, or the state has failed */
    struct state_flush_counters flush_counters;

    _Atomic uint64_t sequence; /* of the last commit; the owner's to change */
    atomic_bool failed;        /* set once, after `failure`, under the mutex */
    pthread_t flusher;
    bool flusher_runs;

    /* The owner's alone. */
    uint64_t number; /* of the directory in use */
    struct state_position applied;
    struct state_counters counters;
    struct value_cache *values;              /* of keys that are in no table of `layers` */
    struct state_batch *batch_with_contents; /* the one that is not empty, or NULL */
};

struct state_cursor;

/* Iterators that wait for their next range: making one costs more than a short range does. */
struct state_cursors {
    struct state_cursor *idle;
    uint32_t idle_count;
};

struct state_batch {
    struct state *state;
    struct overlay overlay;
    struct state_moment moment;    /* what it was read over last */
    struct state_cursors cursors;  /* of the moment */
    struct state_position applied; /* index 0: not set */
    bool has_meta;
    struct buffer meta; /* the record's value */
};

struct state_view {
    struct state *state;
    struct state_moment moment;
    struct state_cursors cursors;
};

/* The state's own keys: a zero byte and a letter. */
extern const rr_bytes state_key_applied;
extern const rr_bytes state_key_meta;

/* Opens a state directory as a database with one reference. */
RR_MUST_USE rr_status state_db_open(struct state *state, const char *path, enum rocks_mode mode,
                                    struct storage_error *error, struct state_db **out);

/* Closes it, and removes it if it is obsolete, unless somebody else holds it. NULL is fine. */
void state_db_release(struct state *state, struct state_db *db);

/* Reads a key of the database into `out`, whose contents are replaced. `error` names no key: keys are the user's. */
RR_MUST_USE rr_status state_db_get(const struct state_db *db, const rocksdb_readoptions_t *options,
                                   rr_bytes key, struct buffer *out, struct storage_error *error);

/* Reads the position; (0, 0) if none was written. */
RR_MUST_USE rr_status state_db_position(const struct state_db *db,
                                        const rocksdb_readoptions_t *options,
                                        struct state_position *out, struct storage_error *error);

/* Reads the caller's own bytes; empty if none were written. */
RR_MUST_USE rr_status state_db_meta(const struct state_db *db, const rocksdb_readoptions_t *options,
                                    struct buffer *out, struct storage_error *error);

/* --- Layers (state_layers.c) --- */

/* An empty table for the state, without references; NULL without memory. Any thread. */
struct state_memory *state_memory_new(struct state *state);
void state_memory_free(struct state_memory *memory); /* NULL is fine */

/* Makes `db` under the empty table `memory`, which it takes, the state in place of what was there;
 * that database becomes obsolete. Owner, with write_mutex if others have the state. */
void state_layers_replace(struct state *state, struct state_db *db, struct state_memory *memory);

/* Puts an empty table in front, so that the first one can be written to disk; nothing if that one is
 * empty. `full` tells whether there are too many for that. The caller has write_mutex. RR_NO_MEMORY:
 * nothing has changed. */
RR_MUST_USE rr_status state_layers_freeze(struct state *state, bool *full,
                                          struct storage_error *error);

/* The current layers, held; any thread. */
struct state_layers *state_layers_acquire(struct state *state);
void state_layers_release(struct state *state, struct state_layers *layers); /* NULL is fine */

/* Takes out the table at the end of `before`, which is in the database now; nothing if another
 * database was installed meanwhile. The caller has flush_mutex. */
void state_layers_shorten(struct state *state, const struct state_layers *before);

/* Whether no other database was installed since. Any thread. */
bool state_layers_are_current(struct state *state, const struct state_layers *layers);

/* Frees what nobody holds any more. */
void state_layers_free_unused(struct state *state);

/* The state now, held until state_moment_drop; any thread. It stays as it is if it is `lasting`;
 * otherwise only until the next commit. */
struct state_moment state_moment_take(struct state *state, bool lasting);
void state_moment_drop(struct state *state, struct state_moment *moment); /* without any is fine */

/* Reads a key, the state's own ones too, as of the moment. As state_db_get. */
RR_MUST_USE rr_status state_moment_get(const struct state_moment *moment, rr_bytes key,
                                       struct buffer *out, struct storage_error *error);
RR_MUST_USE rr_status state_moment_position(const struct state_moment *moment,
                                            struct state_position *out,
                                            struct storage_error *error);
RR_MUST_USE rr_status state_moment_meta(const struct state_moment *moment, struct buffer *out,
                                        struct storage_error *error);

/* What the tables say of a key as of the moment. */
enum state_table_kind state_moment_find(const struct state_moment *moment, rr_bytes key,
                                        rr_bytes *value);

/* Answers a read from memory: replaces the contents of `out` by the value, or, where the key is known
 * not to be `present`, RR_NOT_FOUND with nothing in it. RR_NO_MEMORY. */
RR_MUST_USE rr_status state_copy_value(bool present, rr_bytes value, struct buffer *out,
                                       struct storage_error *error);

/* What the batch is read over is the last commit from now on. */
void state_batch_refresh(struct state_batch *batch);

/* Closes all; none may be in use. Zeroed is fine. */
void state_cursors_deinit(struct state_cursors *cursors);

/* --- Writing tables to disk (state_flush.c) --- */

/* Starts the thread that writes tables; ends it. RR_IO. */
RR_MUST_USE rr_status state_flusher_start(struct state *state, struct storage_error *error);
void state_flusher_stop(struct state *state);

/* Waits until there is room for another table. As state_check. */
RR_MUST_USE rr_status state_wait_for_room(struct state *state, struct storage_error *error);

/* The state has failed for good; any thread. The first reason stays. */
void state_fail(struct state *state, rr_status status, const char *reason);

/* A table on its way to disk; what a crash has left of one means nothing. */
#define STATE_TABLE_FILE "table.tmp"

/* --- Records --- */

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
