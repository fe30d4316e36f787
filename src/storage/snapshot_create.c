/*
 * Making a snapshot: a checkpoint of the state, a look into it, a manifest, one rename.
 *
 * The position is read from the checkpoint itself, after it was made: it lies in the same batch as
 * the data, so the two agree whatever was applied meanwhile.
 */
#include "storage/snapshot.h"

#include "base/assert.h"
#include "base/memory.h"
#include "storage/snapshot_private.h"
#include "storage/state_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The names of a checkpoint's files, to be sorted. */
struct names {
    char (*names)[MANIFEST_NAME_BYTES_MAX];
    size_t count;
    size_t capacity;
};

static rr_status add_name(void *arg, const char *name, struct storage_error *error)
{
    struct names *names = arg;
    if (!manifest_name_allowed(name)) {
        return storage_fail(error, RR_IO, "a checkpoint holds a file of an unknown kind: %s", name);
    }
    if (names->count == names->capacity) {
        size_t capacity = names->capacity == 0 ? 64 : names->capacity * 2;
        void *grown = mem_try_resize(names->names, capacity * sizeof(names->names[0]));
        if (grown == NULL) {
            return storage_fail(error, RR_NO_MEMORY, "no memory for the names of a snapshot");
        }
        names->names = grown;
        names->capacity = capacity;
    }
    strcpy(names->names[names->count++], name);
    return RR_OK;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(left, right);
}

/* The entry of the latest snapshot for the same file under another link, if it has one: RocksDB
 * never changes a table, so its checksum need not be computed again. */
static const struct manifest_file *known_file(const struct snapshot *latest, const char *path,
                                              const char *name)
{
    size_t size = strlen(name);
    if (latest == NULL || size < 4 || strcmp(name + size - 4, ".sst") != 0) {
        return NULL;
    }
    char latest_path[PATH_BYTES_MAX];
    struct stat a;
    struct stat b;
    if (path_join(latest->path, name, latest_path, NULL) != RR_OK || stat(path, &a) != 0 ||
        stat(latest_path, &b) != 0 || a.st_ino != b.st_ino || a.st_dev != b.st_dev) {
        return NULL;
    }
    const struct manifest *manifest = &latest->manifest;
    for (uint32_t i = 0; i < manifest->file_count; i++) {
        if (strcmp(manifest->files[i].name, name) == 0) {
            return manifest->files[i].size == (uint64_t)a.st_size ? &manifest->files[i] : NULL;
        }
    }
    return NULL;
}

static rr_status add_file(const struct snapshot_store *store, const struct snapshot *latest,
                          const char *name, struct manifest *manifest, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    rr_status status = path_join(store->making_path, name, path, error);
    if (status != RR_OK) {
        return status;
    }
    uint64_t size;
    uint64_t checksum;
    const struct manifest_file *known = known_file(latest, path, name);
    if (known != NULL) {
        size = known->size;
        checksum = known->checksum;
    } else {
        status = file_size(path, &size, error);
        if (status == RR_OK) {
            status = file_checksum(path, size, &checksum, error);
        }
        if (status != RR_OK) {
            return status;
        }
    }
    status = manifest_add(manifest, name, size, checksum);
    if (status != RR_OK) {
        return storage_fail(error, status, "the snapshot has too many files or too little memory");
    }
    return RR_OK;
}

/* Fills the manifest from the finished checkpoint. */
static rr_status describe(const struct snapshot_store *store, const struct snapshot *latest,
                          struct manifest *manifest, struct storage_error *error)
{
    manifest->chunk_bytes = store->chunk_bytes;
    rr_status status =
        state_inspect(store->making_path, &manifest->position, &manifest->meta, error);
    if (status == RR_OK) {
        status = snapshot_remove_strangers(store->making_path, error);
    }
    if (status == RR_OK && manifest->position.index == 0) {
        status = storage_fail(error, RR_NOT_FOUND, "nothing was applied yet: no snapshot");
    }
    struct names names = {0};
    if (status == RR_OK) {
        status = directory_list(store->making_path, add_name, &names, error);
    }
    if (status == RR_OK) {
        qsort(names.names, names.count, sizeof(names.names[0]), compare_names);
    }
    for (size_t i = 0; status == RR_OK && i < names.count; i++) {
        status = add_file(store, latest, names.names[i], manifest, error);
    }
    mem_free(names.names);
    return status;
}

static rr_status write_manifest(const struct snapshot_store *store, const struct manifest *manifest,
                                struct buffer *encoded, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    manifest_encode(manifest, encoded);
    if (encoded->failed || encoded->size > SNAPSHOT_STORE_MANIFEST_BYTES_MAX) {
        return storage_fail(error, RR_NO_MEMORY, "the manifest of the snapshot is too large");
    }
    rr_status status = path_join(store->making_path, SNAPSHOT_MANIFEST_NAME, path, error);
    return status == RR_OK ? file_replace(path, buffer_bytes(encoded), error) : status;
}

static rr_status make(struct snapshot_store *store, struct state *state,
                      const struct snapshot *latest, struct storage_error *error,
                      struct snapshot **out)
{
    struct manifest manifest;
    struct buffer encoded;
    manifest_init(&manifest);
    buffer_init(&encoded);
    rr_status status = state_checkpoint(state, store->making_path, error);
    if (status == RR_OK) {
        status = describe(store, latest, &manifest, error);
    }
    if (status == RR_OK) {
        status = write_manifest(store, &manifest, &encoded, error);
    }
    if (status == RR_OK) {
        return snapshot_store_add(store, store->making_path, &manifest, &encoded, error, out);
    }
    manifest_deinit(&manifest);
    buffer_deinit(&encoded);
    return status;
}

/* The latest snapshot, held, if it holds just what the state holds now. */
static struct snapshot *still_good(struct snapshot_store *store, struct state *state)
{
    struct snapshot *latest = snapshot_store_latest(store);
    if (latest == NULL) {
        return NULL;
    }
    struct state_view *view = state_view_open(state);
    struct state_position position;
    bool good = state_view_applied(view, &position, NULL) == RR_OK &&
                position.index == latest->manifest.position.index &&
                position.term == latest->manifest.position.term;
    state_view_close(view);
    if (!good) {
        snapshot_release(latest);
        return NULL;
    }
    return latest;
}

rr_status snapshot_create(struct snapshot_store *store, struct state *state,
                          struct storage_error *error, struct snapshot **out)
{
    pthread_mutex_lock(&store->mutex);
    bool busy = store->making;
    store->making = true;
    pthread_mutex_unlock(&store->mutex);
    if (busy) {
        return storage_fail(error, RR_BUSY, "a snapshot is being made already");
    }
    rr_status status = RR_OK;
    struct snapshot *snapshot = still_good(store, state);
    if (snapshot == NULL) {
        struct snapshot *latest = snapshot_store_latest(store);
        status = file_remove_tree(store->making_path, error);
        if (status == RR_OK) {
            status = make(store, state, latest, error, &snapshot);
        }
        snapshot_release(latest);
    }
    if (status != RR_OK) {
        rr_status removed = file_remove_tree(store->making_path, NULL);
        (void)removed;
    }
    pthread_mutex_lock(&store->mutex);
    store->making = false;
    pthread_mutex_unlock(&store->mutex);
    if (status != RR_OK) {
        return status;
    }
    if (out != NULL) {
        *out = snapshot;
    } else {
        snapshot_release(snapshot);
    }
    return RR_OK;
}
