/*
 * BACKUP: "RRBACKUP", u32 format, u64 cluster, u64 node, u64 time in ms, u64 checksum64 of the
 * manifest, u64 checksum64 of all before. The snapshot lies beside it, in snapshot-<n>.
 */
#include "storage/backup_dir.h"

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/codec.h"
#include "base/memory.h"
#include "storage/file.h"
#include "storage/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    FORMAT = 1,
    MANIFEST_CHECKSUM_AT = 8 + 4 + 3 * 8,
    BACKUP_BYTES = MANIFEST_CHECKSUM_AT + 2 * 8,
};

static const char magic[8] = {'R', 'R', 'B', 'A', 'C', 'K', 'U', 'P'};
static const char file_name[] = "BACKUP";

struct backup_maker {
    char path[PATH_BYTES_MAX];
    char partial[PATH_BYTES_MAX];
    int lock; /* the partial directory itself, flocked once `locked` */
    bool locked;
    struct snapshot_store *store;
};

struct backup_dir {
    struct snapshot_store *store;
    struct snapshot *snapshot;
    struct backup_origin origin;
};

/* ---- Paths ---- */

static rr_status set_paths(struct backup_maker *maker, const char *path,
                           struct storage_error *error)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') {
        size--;
    }
    if (size == 0 || size + sizeof(".partial") > sizeof(maker->partial)) {
        return storage_fail(error, RR_TOO_BIG, "the backup's path is empty or too long");
    }
    snprintf(maker->path, sizeof(maker->path), "%.*s", (int)size, path);
    snprintf(maker->partial, sizeof(maker->partial), "%.*s.partial", (int)size, path);
    return RR_OK;
}

static rr_status refuse_anything(void *arg, const char *name, struct storage_error *error)
{
    (void)name;
    return storage_fail(error, RR_CONFLICT,
                        "%s is not empty: a backup is never written over anything; choose another "
                        "directory",
                        (const char *)arg);
}

static rr_status check_free(struct backup_maker *maker, struct storage_error *error)
{
    if (!file_exists(maker->path)) {
        return RR_OK;
    }
    return directory_list(maker->path, refuse_anything, maker->path, error);
}

static rr_status lock(struct backup_maker *maker, struct storage_error *error)
{
    maker->lock = open(maker->partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (maker->lock < 0) {
        return storage_fail(error, RR_IO, "cannot open %s: %s", maker->partial, strerror(errno));
    }
    if (flock(maker->lock, LOCK_EX | LOCK_NB) != 0) {
        return storage_fail(error, errno == EWOULDBLOCK ? RR_BUSY : RR_IO,
                            "cannot lock %s: %s; is another process making this backup?",
                            maker->partial, strerror(errno));
    }
    maker->locked = true;
    return RR_OK;
}

/* ---- Making one ---- */

static rr_status open_store(struct backup_maker *maker, struct storage_error *error)
{
    struct snapshot_store_options options = {.path = maker->partial};
    return snapshot_store_open(&options, error, &maker->store);
}

rr_status backup_maker_open(const char *path, struct storage_error *error,
                            struct backup_maker **out)
{
    struct backup_maker *maker = mem_new(struct backup_maker);
    maker->lock = -1;
    rr_status status = set_paths(maker, path, error);
    if (status == RR_OK) {
        status = check_free(maker, error);
    }
    if (status == RR_OK) {
        status = directory_create(maker->partial, error);
        status = status == RR_NOT_FOUND ? RR_IO : status; /* the directory above is missing */
    }
    if (status == RR_OK) {
        status = lock(maker, error);
    }
    if (status == RR_OK) {
        status = open_store(maker, error);
    }
    if (status != RR_OK) {
        backup_maker_close(maker);
        return status;
    }
    *out = maker;
    return RR_OK;
}

static rr_status remove_name(void *arg, const char *name, struct storage_error *error)
{
    const struct backup_maker *maker = arg;
    char path[PATH_BYTES_MAX];
    rr_status status = path_join(maker->partial, name, path, error);
    return status == RR_OK ? file_remove_tree(path, error) : status;
}

/* Another snapshot, perhaps of another cluster, cannot stay beside the one that comes: the store
 * keeps the one with the higher index. */
static rr_status remove_other(struct backup_maker *maker, rr_bytes manifest,
                              struct storage_error *error)
{
    struct snapshot *latest = snapshot_store_latest(maker->store);
    bool other = latest != NULL && bytes_compare(snapshot_manifest(latest), manifest) != 0;
    snapshot_release(latest);
    if (!other) {
        return RR_OK;
    }
    snapshot_store_close(maker->store);
    maker->store = NULL;
    rr_status status = directory_list(maker->partial, remove_name, maker, error);
    return status == RR_OK ? open_store(maker, error) : status;
}

rr_status backup_maker_begin(struct backup_maker *maker, rr_bytes manifest,
                             struct storage_error *error, struct snapshot_writer **out)
{
    rr_status status = maker->store == NULL ? open_store(maker, error) : RR_OK;
    if (status == RR_OK) {
        status = remove_other(maker, manifest, error);
    }
    if (status == RR_OK) {
        *out = NULL;
        status = snapshot_writer_begin(maker->store, manifest, error, out);
    }
    return status == RR_CONFLICT ? RR_OK : status; /* it is here already */
}

rr_status backup_maker_take(struct backup_maker *maker, struct snapshot_writer *writer,
                            struct storage_error *error)
{
    (void)maker;
    struct snapshot *snapshot = NULL;
    rr_status status = snapshot_writer_finish(writer, error, &snapshot);
    snapshot_release(snapshot);
    return status;
}

static rr_status write_origin(struct backup_maker *maker, const struct backup_origin *origin,
                              struct storage_error *error)
{
    uint8_t bytes[BACKUP_BYTES];
    char path[PATH_BYTES_MAX];
    struct snapshot *snapshot = snapshot_store_latest(maker->store);
    if (snapshot == NULL) {
        return storage_fail(error, RR_CORRUPT, "%s holds no snapshot", maker->partial);
    }
    rr_bytes manifest = snapshot_manifest(snapshot);
    memcpy(bytes, magic, sizeof(magic));
    store_u32(bytes + 8, FORMAT);
    store_u64(bytes + 12, origin->cluster);
    store_u64(bytes + 20, origin->node);
    store_u64(bytes + 28, origin->made_ms);
    store_u64(bytes + MANIFEST_CHECKSUM_AT, checksum64(manifest.data, manifest.size));
    snapshot_release(snapshot);
    store_u64(bytes + BACKUP_BYTES - 8, checksum64(bytes, BACKUP_BYTES - 8));
    rr_status status = path_join(maker->partial, file_name, path, error);
    return status == RR_OK ? file_replace(path, (rr_bytes){bytes, sizeof(bytes)}, error) : status;
}

rr_status backup_maker_publish(struct backup_maker *maker, const struct backup_origin *origin,
                               struct storage_error *error)
{
    rr_status status = write_origin(maker, origin, error);
    if (status == RR_OK) {
        status = check_free(maker, error);
    }
    if (status == RR_OK) {
        snapshot_store_close(maker->store); /* its paths are about to change */
        maker->store = NULL;
        status = file_rename(maker->partial, maker->path, error);
    }
    backup_maker_close(maker);
    return status;
}

void backup_maker_close(struct backup_maker *maker)
{
    if (maker == NULL) {
        return;
    }
    snapshot_store_close(maker->store);
    if (maker->locked) {
        (void)rmdir(maker->partial); /* if nothing has come yet */
    }
    if (maker->lock >= 0) {
        close(maker->lock);
    }
    mem_free(maker);
}

/* ---- Using one ---- */

static rr_status decode_origin(const char *path, rr_bytes bytes, struct backup_origin *origin,
                               uint64_t *manifest_checksum, struct storage_error *error)
{
    uint32_t format = FORMAT;
    rr_bytes content = {0};
    enum sealed sealed = sealed_open(bytes, magic, &format, &content);
    if (sealed == SEALED_NEWER) {
        return storage_fail(error, RR_MISMATCH,
                            "the backup has format %" PRIu32
                            ", and this version knows formats up to %d; use a newer version",
                            format, FORMAT);
    }
    if (sealed != SEALED_WHOLE || bytes.size != BACKUP_BYTES) {
        return storage_fail(error, RR_CORRUPT, "%s is damaged", path);
    }
    const uint8_t *at = content.data;
    origin->cluster = load_u64(at);
    origin->node = load_u64(at + 8);
    origin->made_ms = load_u64(at + 16);
    *manifest_checksum = load_u64(at + 24);
    return RR_OK;
}

static rr_status read_origin(const char *directory, struct backup_origin *origin,
                             uint64_t *manifest_checksum, struct storage_error *error)
{
    struct buffer bytes;
    char path[PATH_BYTES_MAX];
    buffer_init(&bytes);
    rr_status status = path_join(directory, file_name, path, error);
    if (status == RR_OK) {
        status = file_read(path, 4096, &bytes, error);
    }
    if (status == RR_NOT_FOUND) {
        status = storage_fail(error, RR_NOT_FOUND, "%s is no backup: there is no file BACKUP in it",
                              directory);
    } else if (status == RR_TOO_BIG) {
        status = storage_fail(error, RR_CORRUPT, "%s is damaged: far too large", path);
    } else if (status == RR_OK) {
        status = decode_origin(path, buffer_bytes(&bytes), origin, manifest_checksum, error);
    }
    buffer_deinit(&bytes);
    return status;
}

static rr_status open_snapshot(struct backup_dir *backup, const char *path,
                               uint64_t manifest_checksum, struct storage_error *error)
{
    struct snapshot_store_options options = {.path = path, .read_only = true};
    rr_status status = snapshot_store_open(&options, error, &backup->store);
    if (status != RR_OK) {
        return status;
    }
    backup->snapshot = snapshot_store_latest(backup->store);
    rr_bytes manifest = {0};
    if (backup->snapshot != NULL) {
        manifest = snapshot_manifest(backup->snapshot);
    }
    if (checksum64(manifest.data, manifest.size) != manifest_checksum) {
        return storage_fail(error, RR_CORRUPT,
                            "the backup %s lacks its snapshot, or has another one", path);
    }
    return RR_OK;
}

rr_status backup_dir_open(const char *path, struct storage_error *error, struct backup_dir **out)
{
    struct backup_dir *backup = mem_new(struct backup_dir);
    uint64_t manifest_checksum = 0;
    rr_status status = read_origin(path, &backup->origin, &manifest_checksum, error);
    if (status == RR_OK) {
        status = open_snapshot(backup, path, manifest_checksum, error);
    }
    if (status != RR_OK) {
        backup_dir_close(backup);
        return status;
    }
    *out = backup;
    return RR_OK;
}

void backup_dir_close(struct backup_dir *backup)
{
    if (backup == NULL) {
        return;
    }
    snapshot_release(backup->snapshot);
    snapshot_store_close(backup->store);
    mem_free(backup);
}

const struct backup_origin *backup_dir_origin(const struct backup_dir *backup)
{
    return &backup->origin;
}

struct snapshot *backup_dir_snapshot(const struct backup_dir *backup)
{
    return backup->snapshot;
}
