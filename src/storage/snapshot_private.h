/* What the files of the snapshots share: the store and its list, one snapshot, its directory. */
#ifndef STORAGE_SNAPSHOT_PRIVATE_H
#define STORAGE_SNAPSHOT_PRIVATE_H

#include "storage/file.h"
#include "storage/manifest.h"
#include "storage/snapshot.h"

#include <pthread.h>

/* The manifest's file in a snapshot's directory, and the directories in work. */
#define SNAPSHOT_MANIFEST_NAME "SNAPSHOT"
#define SNAPSHOT_MAKING_NAME "making"
#define SNAPSHOT_INCOMING_NAME "incoming"

struct snapshot {
    struct snapshot_store *store;
    uint32_t refs; /* under the store's mutex */
    bool outdated; /* under the store's mutex: its files go with the last reference */
    uint64_t number;
    char path[PATH_BYTES_MAX];
    struct manifest manifest;
    struct buffer encoded; /* the manifest's bytes */
};

struct snapshot_store {
    char path[PATH_BYTES_MAX];
    char making_path[PATH_BYTES_MAX];
    char incoming_path[PATH_BYTES_MAX];
    uint32_t chunk_bytes;
    uint64_t bytes_max;
    uint64_t space_min;
    bool read_only;

    pthread_mutex_t mutex;   /* over all below */
    struct snapshot *latest; /* holds one reference; NULL without a snapshot */
    uint32_t live_count;     /* snapshots in memory */
    uint64_t next_number;
    bool making;  /* a thread is within snapshot_create */
    bool writing; /* there is a writer */
};

/*
 * Makes the finished directory `from` (with its manifest inside, all synced) a snapshot of the
 * store, under a name of its own, and the latest unless a newer one is there. Takes the contents
 * of `manifest` and `encoded`, whatever comes. `out` receives a reference.
 */
RR_MUST_USE rr_status snapshot_store_add(struct snapshot_store *store, const char *from,
                                         struct manifest *manifest, struct buffer *encoded,
                                         struct storage_error *error, struct snapshot **out);

/* Deletes the files of the directory that no snapshot has, such as logs that RocksDB left. */
RR_MUST_USE rr_status snapshot_remove_strangers(const char *path, struct storage_error *error);

/* Reads and decodes the manifest in a snapshot's directory. */
RR_MUST_USE rr_status snapshot_read_manifest(const char *path, struct buffer *encoded,
                                             struct manifest *manifest,
                                             struct storage_error *error);

/* Compares every file of the manifest in `path` with its size and checksum. */
RR_MUST_USE rr_status snapshot_verify_files(const char *path, const struct manifest *manifest,
                                            struct storage_error *error);

#endif
