/*
 * The store of snapshots: which there are, which is the latest, who holds them. A complete one is
 * the directory snapshot-<n>; it got that name by one rename, after everything in it was synced.
 */
#include "storage/snapshot.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/memory.h"
#include "storage/snapshot_private.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char name_prefix[] = "snapshot-";

/* --- Holding --- */

/* Counts one reference down. `outdated` marks it first. The caller holds no mutex. */
static void release(struct snapshot *snapshot, bool outdated)
{
    if (snapshot == NULL) {
        return;
    }
    struct snapshot_store *store = snapshot->store;
    pthread_mutex_lock(&store->mutex);
    ASSERT(snapshot->refs > 0);
    snapshot->outdated = snapshot->outdated || outdated;
    snapshot->refs--;
    bool last = snapshot->refs == 0;
    if (last) {
        store->live_count--;
    }
    pthread_mutex_unlock(&store->mutex);
    if (!last) {
        return;
    }
    if (snapshot->outdated && !snapshot->store->read_only) {
        /* What cannot be removed now is removed when the store is opened next. */
        rr_status status = file_remove_tree(snapshot->path, NULL);
        (void)status;
    }
    manifest_deinit(&snapshot->manifest);
    buffer_deinit(&snapshot->encoded);
    mem_free(snapshot);
}

void snapshot_release(struct snapshot *snapshot)
{
    release(snapshot, false);
}

struct snapshot *snapshot_hold(struct snapshot *snapshot)
{
    pthread_mutex_lock(&snapshot->store->mutex);
    ASSERT(snapshot->refs > 0);
    snapshot->refs++;
    pthread_mutex_unlock(&snapshot->store->mutex);
    return snapshot;
}

void snapshot_drop(struct snapshot *snapshot)
{
    struct snapshot_store *store = snapshot->store;
    pthread_mutex_lock(&store->mutex);
    bool latest = store->latest == snapshot;
    if (latest) {
        store->latest = NULL;
    }
    pthread_mutex_unlock(&store->mutex);
    if (latest) {
        release(snapshot, true);
    }
}

struct snapshot *snapshot_store_latest(struct snapshot_store *store)
{
    pthread_mutex_lock(&store->mutex);
    struct snapshot *snapshot = store->latest;
    if (snapshot != NULL) {
        snapshot->refs++;
    }
    pthread_mutex_unlock(&store->mutex);
    return snapshot;
}

bool snapshot_store_latest_info(struct snapshot_store *store, struct snapshot_info *out)
{
    struct snapshot *snapshot = snapshot_store_latest(store);
    if (snapshot == NULL) {
        return false;
    }
    snapshot_info(snapshot, out);
    snapshot_release(snapshot);
    return true;
}

/* --- Adding --- */

static rr_status number_path(const struct snapshot_store *store, uint64_t number,
                             char out[PATH_BYTES_MAX], struct storage_error *error)
{
    char name[48];
    snprintf(name, sizeof(name), "%s%" PRIu64, name_prefix, number);
    return path_join(store->path, name, out, error);
}

/* A snapshot with one reference, which takes the contents of `manifest` and `encoded`. */
static struct snapshot *snapshot_new(struct snapshot_store *store, uint64_t number,
                                     const char *path, struct manifest *manifest,
                                     struct buffer *encoded)
{
    struct snapshot *snapshot = mem_new(struct snapshot);
    snapshot->store = store;
    snapshot->refs = 1;
    snapshot->number = number;
    strcpy(snapshot->path, path);
    snapshot->manifest = *manifest;
    snapshot->encoded = *encoded;
    manifest_init(manifest);
    buffer_init(encoded);
    pthread_mutex_lock(&store->mutex);
    store->live_count++;
    pthread_mutex_unlock(&store->mutex);
    return snapshot;
}

/* Makes `snapshot` the latest unless the store has a newer one; the other is outdated. */
static void publish(struct snapshot_store *store, struct snapshot *snapshot)
{
    pthread_mutex_lock(&store->mutex);
    struct snapshot *latest = store->latest;
    bool newer =
        latest == NULL || snapshot->manifest.position.index >= latest->manifest.position.index;
    if (newer) {
        snapshot->refs++;
        store->latest = snapshot;
    } else {
        snapshot->outdated = true;
    }
    pthread_mutex_unlock(&store->mutex);
    if (newer) {
        release(latest, true);
    }
}

rr_status snapshot_store_add(struct snapshot_store *store, const char *from,
                             struct manifest *manifest, struct buffer *encoded,
                             struct storage_error *error, struct snapshot **out)
{
    pthread_mutex_lock(&store->mutex);
    uint64_t number = store->next_number++;
    pthread_mutex_unlock(&store->mutex);
    char path[PATH_BYTES_MAX];
    rr_status status = number_path(store, number, path, error);
    if (status == RR_OK) {
        status = file_rename(from, path, error);
        if (status != RR_OK) {
            /* It may have its new name already, only not durably. */
            rr_status removed = file_remove_tree(path, NULL);
            (void)removed;
        }
    }
    if (status != RR_OK) {
        manifest_deinit(manifest);
        buffer_deinit(encoded);
        return status;
    }
    struct snapshot *snapshot = snapshot_new(store, number, path, manifest, encoded);
    publish(store, snapshot);
    *out = snapshot;
    return RR_OK;
}

rr_status snapshot_read_manifest(const char *path, struct buffer *encoded,
                                 struct manifest *manifest, struct storage_error *error)
{
    char file[PATH_BYTES_MAX];
    rr_status status = path_join(path, SNAPSHOT_MANIFEST_NAME, file, error);
    if (status == RR_OK) {
        status = file_read(file, SNAPSHOT_STORE_MANIFEST_BYTES_MAX, encoded, error);
    }
    if (status == RR_OK) {
        status = manifest_decode(buffer_bytes(encoded), error, manifest);
    }
    return status;
}

static rr_status remove_stranger(void *arg, const char *name, struct storage_error *error)
{
    if (manifest_name_allowed(name) || strcmp(name, SNAPSHOT_MANIFEST_NAME) == 0) {
        return RR_OK;
    }
    char path[PATH_BYTES_MAX];
    rr_status status = path_join(arg, name, path, error);
    return status == RR_OK ? file_remove_tree(path, error) : status;
}

rr_status snapshot_remove_strangers(const char *path, struct storage_error *error)
{
    return directory_list(path, remove_stranger, (void *)(uintptr_t)path, error);
}

/* --- Opening --- */

/* Loads one complete snapshot and keeps it if it is newer than the one found before. Whatever
 * cannot be used is deleted, and so is the older one. */
static rr_status load(struct snapshot_store *store, uint64_t number, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    rr_status status = number_path(store, number, path, error);
    if (status != RR_OK) {
        return status;
    }
    if (number >= store->next_number) {
        store->next_number = number + 1;
    }
    struct manifest manifest;
    struct buffer encoded;
    manifest_init(&manifest);
    buffer_init(&encoded);
    status = snapshot_read_manifest(path, &encoded, &manifest, error);
    if (status == RR_OK) {
        struct snapshot *snapshot = snapshot_new(store, number, path, &manifest, &encoded);
        publish(store, snapshot);
        snapshot_release(snapshot);
        return RR_OK;
    }
    manifest_deinit(&manifest);
    buffer_deinit(&encoded);
    if (store->read_only) {
        return status == RR_NOT_FOUND || status == RR_TOO_BIG ? RR_CORRUPT : status;
    }
    if (status == RR_CORRUPT || status == RR_NOT_FOUND || status == RR_TOO_BIG) {
        return file_remove_tree(path, error);
    }
    return status == RR_MISMATCH ? RR_OK : status; /* a newer version's: leave it alone */
}

static rr_status load_name(void *arg, const char *name, struct storage_error *error)
{
    struct snapshot_store *store = arg;
    size_t prefix = sizeof(name_prefix) - 1;
    if (strncmp(name, name_prefix, prefix) == 0 && name[prefix] >= '0' && name[prefix] <= '9') {
        char *end;
        uint64_t number = strtoull(name + prefix, &end, 10);
        if (*end == 0) {
            return load(store, number, error);
        }
    }
    return RR_OK;
}

/* Removes an unfinished snapshot. RocksDB builds checkpoints under a name with ".tmp". */
static rr_status remove_making(struct snapshot_store *store, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    rr_status status = path_join(store->path, SNAPSHOT_MAKING_NAME ".tmp", path, error);
    if (status == RR_OK) {
        status = file_remove_tree(path, error);
    }
    return status == RR_OK ? file_remove_tree(store->making_path, error) : status;
}

rr_status snapshot_store_open(const struct snapshot_store_options *options,
                              struct storage_error *error, struct snapshot_store **out)
{
    ASSERT(options->chunk_bytes <= SNAPSHOT_STORE_CHUNK_BYTES_MAX);
    if (strlen(options->path) >= PATH_BYTES_MAX) {
        return storage_fail(error, RR_INVALID, "the path of the snapshots is too long");
    }
    struct snapshot_store *store = mem_new(struct snapshot_store);
    pthread_mutex_init(&store->mutex, NULL);
    strcpy(store->path, options->path);
    store->chunk_bytes = options->chunk_bytes != 0 ? options->chunk_bytes : 1024 * 1024;
    store->bytes_max = options->bytes_max != 0 ? options->bytes_max : UINT64_MAX;
    store->space_min = options->space_min != 0 ? options->space_min : 64u * 1024 * 1024;
    store->read_only = options->read_only;
    store->next_number = 1;
    rr_status status = path_join(store->path, SNAPSHOT_MAKING_NAME, store->making_path, error);
    if (status == RR_OK) {
        status = path_join(store->path, SNAPSHOT_INCOMING_NAME, store->incoming_path, error);
    }
    if (status == RR_OK && !store->read_only) {
        status = directory_create(store->path, error);
    }
    if (status == RR_OK && !store->read_only) {
        status = remove_making(store, error);
    }
    if (status == RR_OK) {
        status = directory_list(store->path, load_name, store, error);
    }
    if (status != RR_OK) {
        snapshot_store_close(store);
        return status;
    }
    *out = store;
    return RR_OK;
}

void snapshot_store_close(struct snapshot_store *store)
{
    if (store == NULL) {
        return;
    }
    ASSERT(!store->making);
    ASSERT(!store->writing);
    release(store->latest, false);
    ASSERT(store->live_count == 0);
    pthread_mutex_destroy(&store->mutex);
    mem_free(store);
}

/* --- Describing and reading --- */

void snapshot_info(const struct snapshot *snapshot, struct snapshot_info *out)
{
    manifest_info(&snapshot->manifest, out);
}

rr_bytes snapshot_meta(const struct snapshot *snapshot)
{
    return buffer_bytes(&snapshot->manifest.meta);
}

rr_bytes snapshot_manifest(const struct snapshot *snapshot)
{
    return buffer_bytes(&snapshot->encoded);
}

uint64_t snapshot_chunk_checksum(uint64_t number, rr_bytes chunk)
{
    return checksum64_seeded(chunk.data, chunk.size, number);
}

/* Reads a part of one file. */
static rr_status read_part(const struct snapshot *snapshot, const struct manifest_file *file,
                           uint64_t offset, uint8_t *out, size_t size, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    rr_status status = path_join(snapshot->path, file->name, path, error);
    if (status != RR_OK) {
        return status;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return storage_fail(error, RR_CORRUPT, "the snapshot's file %s cannot be opened", path);
    }
    status = file_read_at(fd, path, offset, out, size, error);
    close(fd);
    return status;
}

rr_status snapshot_read_chunk(const struct snapshot *snapshot, uint64_t number, struct buffer *out,
                              uint64_t *checksum, struct storage_error *error)
{
    const struct manifest *manifest = &snapshot->manifest;
    size_t left = manifest_chunk_size(manifest, number);
    buffer_clear(out);
    uint8_t *at = buffer_extend(out, left);
    if (at == NULL) {
        return storage_fail(error, RR_NO_MEMORY, "no memory for a chunk of %zu bytes", left);
    }
    uint64_t offset = number * manifest->chunk_bytes;
    for (uint32_t i = manifest_file_at(manifest, offset); left > 0; i++) {
        const struct manifest_file *file = &manifest->files[i];
        uint64_t rest = file->offset + file->size - offset;
        size_t size = rest < left ? (size_t)rest : left;
        rr_status status = read_part(snapshot, file, offset - file->offset, at, size, error);
        if (status != RR_OK) {
            buffer_clear(out);
            return status;
        }
        at += size;
        offset += size;
        left -= size;
    }
    *checksum = snapshot_chunk_checksum(number, buffer_bytes(out));
    return RR_OK;
}

rr_status snapshot_verify_files(const char *path, const struct manifest *manifest,
                                struct storage_error *error)
{
    for (uint32_t i = 0; i < manifest->file_count; i++) {
        const struct manifest_file *file = &manifest->files[i];
        char file_path[PATH_BYTES_MAX];
        uint64_t checksum;
        rr_status status = path_join(path, file->name, file_path, error);
        if (status == RR_OK) {
            status = file_checksum(file_path, file->size, &checksum, error);
        }
        if (status == RR_NOT_FOUND) {
            return storage_fail(error, RR_CORRUPT, "the snapshot's file %s is missing", file_path);
        }
        if (status != RR_OK) {
            return status;
        }
        if (checksum != file->checksum) {
            return storage_fail(error, RR_CORRUPT, "the snapshot's file %s fails its checksum",
                                file_path);
        }
    }
    return RR_OK;
}

rr_status snapshot_verify(const struct snapshot *snapshot, struct storage_error *error)
{
    return snapshot_verify_files(snapshot->path, &snapshot->manifest, error);
}
