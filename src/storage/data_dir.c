/*
 * LOCK and IDENTITY. The identity is replaced as a whole, so a crash leaves the old or the new one.
 *
 * IDENTITY: "RRDATADI", u32 format, u64 cluster, u64 node, u64 incarnation, u64 checksum64 of all
 * before. The format counts for the whole directory.
 */
#include "storage/data_dir.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/codec.h"
#include "base/memory.h"
#include "storage/draw.h"
#include "storage/file.h"
#include "storage/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    FORMAT = 1,
    IDENTITY_BYTES = 8 + 4 + 8 + 8 + 8 + 8,
};

static const char lock_name[] = "LOCK";
static const char restoring_name[] = "RESTORING";
static const char identity_magic[8] = "RRDATADI";

struct data_dir {
    char path[PATH_BYTES_MAX];
    char identity_path[PATH_BYTES_MAX];
    char log_path[PATH_BYTES_MAX];
    char snapshots_path[PATH_BYTES_MAX];
    struct data_dir_identity identity;
    struct former former;
    int lock_fd;
    bool is_new;
};

static rr_status set_paths(struct data_dir *dir, const char *path, struct storage_error *error)
{
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof(dir->path)) {
        return storage_fail(error, RR_INVALID, "the data directory's path is empty or too long");
    }
    memcpy(dir->path, path, size + 1);
    rr_status status = path_join(path, "IDENTITY", dir->identity_path, error);
    if (status == RR_OK) {
        status = path_join(path, "log", dir->log_path, error);
    }
    if (status == RR_OK) {
        status = path_join(path, "snapshots", dir->snapshots_path, error);
    }
    return status;
}

static rr_status lock(struct data_dir *dir, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    rr_status status = path_join(dir->path, lock_name, path, error);
    if (status != RR_OK) {
        return status;
    }
    dir->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (dir->lock_fd < 0) {
        return storage_fail(error, RR_IO,
                            "cannot open %s: %s; make the data directory writable for this user",
                            path, strerror(errno));
    }
    if (flock(dir->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            return storage_fail(error, RR_BUSY,
                                "the data directory %s is in use by another process; stop that one "
                                "or choose another directory",
                                dir->path);
        }
        return storage_fail(error, RR_IO, "cannot lock %s: %s", path, strerror(errno));
    }
    return RR_OK;
}

static rr_status write_identity(const struct data_dir *dir,
                                const struct data_dir_identity *identity,
                                struct storage_error *error)
{
    uint8_t bytes[IDENTITY_BYTES];
    memcpy(bytes, identity_magic, sizeof(identity_magic));
    store_u32(bytes + 8, FORMAT);
    store_u64(bytes + 12, identity->cluster);
    store_u64(bytes + 20, identity->node);
    store_u64(bytes + 28, identity->incarnation);
    store_u64(bytes + 36, checksum64(bytes, 36));
    return file_replace(dir->identity_path, (rr_bytes){bytes, sizeof(bytes)}, error);
}

static rr_status decode_identity(struct data_dir *dir, rr_bytes bytes, struct storage_error *error)
{
    uint32_t format = FORMAT;
    rr_bytes content = {0};
    enum sealed sealed = sealed_open(bytes, identity_magic, &format, &content);
    if (sealed == SEALED_NEWER) {
        return storage_fail(error, RR_MISMATCH,
                            "the data directory %s has format %" PRIu32
                            ", and this version knows formats up to %d; run a newer version",
                            dir->path, format, FORMAT);
    }
    const uint8_t *at = content.data;
    if (sealed != SEALED_WHOLE || bytes.size != IDENTITY_BYTES || load_u64(at + 8) == 0) {
        return storage_fail(error, RR_CORRUPT,
                            "%s is damaged; restore it from a backup, or remove the whole data "
                            "directory and let the node join again under a new id",
                            dir->identity_path);
    }
    dir->identity.cluster = load_u64(at);
    dir->identity.node = load_u64(at + 8);
    dir->identity.incarnation = load_u64(at + 16);
    return RR_OK;
}

static rr_status read_identity(struct data_dir *dir, struct storage_error *error)
{
    struct buffer bytes;
    buffer_init(&bytes);
    rr_status status = file_read(dir->identity_path, 4096, &bytes, error);
    if (status == RR_OK) {
        status = decode_identity(dir, buffer_bytes(&bytes), error);
    } else if (status == RR_TOO_BIG) {
        status =
            storage_fail(error, RR_CORRUPT, "%s is damaged: far too large", dir->identity_path);
    }
    buffer_deinit(&bytes);
    return status;
}

static rr_status check_owner(const struct data_dir *dir, const struct data_dir_options *options,
                             struct storage_error *error)
{
    if (dir->identity.node != options->node) {
        return storage_fail(error, RR_MISMATCH,
                            "the data directory %s belongs to node %" PRIu64
                            ", not to node %" PRIu64 "; correct the node id or the directory",
                            dir->path, dir->identity.node, options->node);
    }
    if (options->cluster != 0 && dir->identity.cluster != 0 &&
        dir->identity.cluster != options->cluster) {
        return storage_fail(error, RR_MISMATCH,
                            "the data directory %s belongs to cluster %016" PRIx64
                            ", not to cluster %016" PRIx64 "; choose another directory",
                            dir->path, dir->identity.cluster, options->cluster);
    }
    return RR_OK;
}

/* A restore that did not end left its mark: whatever else there is may be incomplete. */
static rr_status refuse_unfinished(const struct data_dir *dir, struct storage_error *error)
{
    char mark[PATH_BYTES_MAX];
    rr_status status = path_join(dir->path, restoring_name, mark, error);
    if (status == RR_OK && file_exists(mark)) {
        return storage_fail(error, RR_CORRUPT,
                            "a backup was being restored into the data directory %s, and that did "
                            "not end; restore it again, or empty the directory",
                            dir->path);
    }
    return status;
}

static rr_status refuse_data(void *arg, const char *name, struct storage_error *error)
{
    const struct data_dir *dir = arg;
    if (strcmp(name, "STATE") == 0 || strcmp(name, "log") == 0 || strcmp(name, "log.new") == 0 ||
        strcmp(name, "log.old") == 0 || strcmp(name, "snapshots") == 0 ||
        strncmp(name, "state-", 6) == 0) {
        return storage_fail(error, RR_CORRUPT,
                            "the data directory %s holds %s but no IDENTITY; restore it from a "
                            "backup, or empty the directory and let the node join again under a "
                            "new id",
                            dir->path, name);
    }
    return RR_OK;
}

/* ---- Restoring ---- */

/* What any directory may hold: the lock, what mkfs leaves, a mark that was not finished. */
static bool is_neutral(const char *name)
{
    return strcmp(name, lock_name) == 0 || strcmp(name, "lost+found") == 0 ||
           strcmp(name, "RESTORING.tmp") == 0;
}

static rr_status refuse_anything(void *arg, const char *name, struct storage_error *error)
{
    const struct data_dir *dir = arg;
    if (is_neutral(name)) {
        return RR_OK;
    }
    return storage_fail(error, RR_CONFLICT,
                        "the data directory %s is not empty: it holds %s; restore into an empty or "
                        "a new directory",
                        dir->path, name);
}

static rr_status remove_leftover(void *arg, const char *name, struct storage_error *error)
{
    const struct data_dir *dir = arg;
    char path[PATH_BYTES_MAX];
    if (is_neutral(name) || strcmp(name, restoring_name) == 0) {
        return RR_OK;
    }
    rr_status status = path_join(dir->path, name, path, error);
    return status == RR_OK ? file_remove_tree(path, error) : status;
}

static rr_status begin_restore(struct data_dir *dir, const struct data_dir_options *options,
                               struct storage_error *error)
{
    char mark[PATH_BYTES_MAX];
    rr_status status = path_join(dir->path, restoring_name, mark, error);
    if (status != RR_OK) {
        return status;
    }
    if (file_exists(mark)) {
        status = directory_list(dir->path, remove_leftover, dir, error);
    } else {
        status = directory_list(dir->path, refuse_anything, dir, error);
        if (status == RR_OK) {
            status = file_replace(mark, (rr_bytes){NULL, 0}, error);
        }
    }
    if (status != RR_OK) {
        return status;
    }
    dir->identity = (struct data_dir_identity){.cluster = options->cluster, .node = options->node};
    dir->is_new = true;
    return draw_number(&dir->identity.incarnation, error);
}

rr_status data_dir_finish_restore(struct data_dir *dir, struct storage_error *error)
{
    char mark[PATH_BYTES_MAX];
    rr_status status = path_join(dir->path, restoring_name, mark, error);
    if (status == RR_OK) {
        dir->former = (struct former){.incarnation = dir->identity.incarnation, .fresh = true};
        status = former_write(dir->path, &dir->former, error);
    }
    if (status == RR_OK) {
        status = write_identity(dir, &dir->identity, error);
    }
    return status == RR_OK ? file_remove_tree(mark, error) : status;
}

/* ---- A new disk in the place of a damaged one ---- */

/* The last step: everything before it is durable. */
static rr_status set_aside(struct data_dir *dir, struct storage_error *error)
{
    struct former *former = &dir->former;
    ASSERT(former->incarnation == dir->identity.incarnation);
    rr_status status =
        former_set_aside(dir->path, former->parts, former->incarnations[former->count - 1], error);
    if (status == RR_OK) {
        former->parts = 0;
        status = former_write(dir->path, former, error);
    }
    return status;
}

/* Reads what came before, and goes on with a renewal that a crash has cut short. */
static rr_status read_former(struct data_dir *dir, struct storage_error *error)
{
    struct former *former = &dir->former;
    rr_status status = former_read(dir->path, former, error);
    if (status != RR_OK || former->incarnation == 0) {
        return status;
    }
    if (former->incarnation == dir->identity.incarnation) {
        return former->parts == 0 ? RR_OK : set_aside(dir, error);
    }
    /* IDENTITY was not written any more: nothing has happened yet. */
    bool own =
        former->count > 0 && former->incarnations[former->count - 1] == dir->identity.incarnation;
    former->count = own ? former->count - 1 : 0;
    former->incarnation = dir->identity.incarnation;
    former->parts = 0;
    former->fresh = false;
    return RR_OK;
}

static void push_former(struct former *former, uint64_t incarnation)
{
    if (former->count == FORMER_COUNT_MAX) {
        former->count--;
        memmove(former->incarnations, former->incarnations + 1,
                former->count * sizeof(former->incarnations[0]));
    }
    former->incarnations[former->count++] = incarnation;
}

rr_status data_dir_renew(struct data_dir *dir, unsigned parts, struct storage_error *error)
{
    ASSERT(parts != 0);
    ASSERT(dir->former.parts == 0);
    struct data_dir_identity identity = dir->identity;
    rr_status status = draw_number(&identity.incarnation, error);
    if (status != RR_OK) {
        return status;
    }
    struct former former = dir->former;
    push_former(&former, dir->identity.incarnation);
    former.incarnation = identity.incarnation;
    former.parts = parts;
    former.fresh = true;
    status = former_write(dir->path, &former, error);
    if (status == RR_OK) {
        status = write_identity(dir, &identity, error);
    }
    if (status != RR_OK) {
        return status;
    }
    dir->identity = identity;
    dir->former = former;
    return set_aside(dir, error);
}

bool data_dir_is_fresh(const struct data_dir *dir)
{
    return dir->former.fresh;
}

rr_status data_dir_begun(struct data_dir *dir, struct storage_error *error)
{
    if (!dir->former.fresh) {
        return RR_OK;
    }
    struct former former = dir->former;
    former.fresh = false;
    rr_status status = former_write(dir->path, &former, error);
    if (status == RR_OK) {
        dir->former = former;
    }
    return status;
}

const struct former *data_dir_former(const struct data_dir *dir)
{
    return &dir->former;
}

/* ---- Opening ---- */

static rr_status refuse_restoring(const struct data_dir *dir, struct storage_error *error)
{
    return storage_fail(error, RR_CONFLICT,
                        "the data directory %s belongs to node %" PRIu64
                        " already; restore into an empty or a new directory",
                        dir->path, dir->identity.node);
}

static rr_status create_identity(struct data_dir *dir, const struct data_dir_options *options,
                                 struct storage_error *error)
{
    rr_status status = refuse_unfinished(dir, error);
    if (status == RR_OK) {
        status = directory_list(dir->path, refuse_data, dir, error);
    }
    if (status != RR_OK) {
        return status;
    }
    dir->identity.cluster = options->cluster;
    dir->identity.node = options->node;
    dir->identity.incarnation = options->incarnation;
    if (options->incarnation == 0) {
        status = draw_number(&dir->identity.incarnation, error);
        if (status != RR_OK) {
            return status;
        }
    }
    dir->is_new = true;
    return write_identity(dir, &dir->identity, error);
}

rr_status data_dir_open(const struct data_dir_options *options, struct storage_error *error,
                        struct data_dir **out)
{
    ASSERT(options->node != 0);
    struct data_dir *dir = mem_new(struct data_dir);
    dir->lock_fd = -1;
    rr_status status = set_paths(dir, options->path, error);
    if (status != RR_OK) {
        goto fail;
    }
    if (options->must_exist && !file_exists(dir->identity_path)) {
        status = storage_fail(error, RR_NOT_FOUND, "there is no data directory at %s", dir->path);
        goto fail;
    }
    status = directory_create(dir->path, error);
    if (status == RR_NOT_FOUND) {
        status = RR_IO; /* the directory above is missing; the text says so */
    }
    if (status != RR_OK) {
        goto fail;
    }
    status = lock(dir, error);
    if (status != RR_OK) {
        goto fail;
    }
    status = read_identity(dir, error);
    if (status == RR_NOT_FOUND) {
        status = options->restoring ? begin_restore(dir, options, error)
                                    : create_identity(dir, options, error);
    } else if (status == RR_OK && options->restoring) {
        status = refuse_restoring(dir, error);
    }
    if (status == RR_OK) {
        status = check_owner(dir, options, error);
    }
    if (status == RR_OK) {
        status = read_former(dir, error);
    }
    if (status != RR_OK) {
        goto fail;
    }
    *out = dir;
    return RR_OK;

fail:
    data_dir_close(dir);
    return status;
}

void data_dir_close(struct data_dir *dir)
{
    if (dir == NULL) {
        return;
    }
    if (dir->lock_fd >= 0) {
        close(dir->lock_fd);
    }
    mem_free(dir);
}

const struct data_dir_identity *data_dir_identity(const struct data_dir *dir)
{
    return &dir->identity;
}

bool data_dir_is_new(const struct data_dir *dir)
{
    return dir->is_new;
}

rr_status data_dir_set_cluster(struct data_dir *dir, uint64_t cluster, struct storage_error *error)
{
    ASSERT(cluster != 0);
    if (dir->identity.cluster == cluster) {
        return RR_OK;
    }
    if (dir->identity.cluster != 0) {
        return storage_fail(error, RR_MISMATCH,
                            "the data directory %s belongs to cluster %016" PRIx64
                            ", and the cluster met is %016" PRIx64
                            "; correct the addresses or choose another directory",
                            dir->path, dir->identity.cluster, cluster);
    }
    struct data_dir_identity identity = dir->identity;
    identity.cluster = cluster;
    rr_status status = write_identity(dir, &identity, error);
    if (status == RR_OK) {
        dir->identity = identity;
    }
    return status;
}

const char *data_dir_path(const struct data_dir *dir)
{
    return dir->path;
}

const char *data_dir_log_path(const struct data_dir *dir)
{
    return dir->log_path;
}

const char *data_dir_snapshots_path(const struct data_dir *dir)
{
    return dir->snapshots_path;
}
