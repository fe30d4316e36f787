/*
 * Receiving a snapshot into the directory `incoming`: first the manifest, then the chunks in order.
 *
 * How far it is, is read off the files' sizes, so there is nothing to keep in step with them; what
 * a crash may have torn is found by the checksums at the end.
 */
#include "storage/snapshot_writer.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "storage/snapshot_private.h"
#include "storage/state_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct snapshot_writer {
    struct snapshot_store *store;
    struct manifest manifest;
    struct buffer encoded;
    uint64_t next; /* chunk */
    int fd;        /* of the file being written, or -1 */
    uint32_t file; /* its place in the manifest */
};

static rr_status file_path(const struct snapshot_writer *writer, uint32_t file,
                           char out[PATH_BYTES_MAX], struct storage_error *error)
{
    return path_join(writer->store->incoming_path, writer->manifest.files[file].name, out, error);
}

/* --- Beginning --- */

/* Sets `next` from what is there: every whole chunk before the first missing byte. */
static rr_status find_next(struct snapshot_writer *writer, struct storage_error *error)
{
    const struct manifest *manifest = &writer->manifest;
    uint64_t received = 0;
    for (uint32_t i = 0; i < manifest->file_count; i++) {
        char path[PATH_BYTES_MAX];
        uint64_t size = 0;
        rr_status status = file_path(writer, i, path, error);
        if (status == RR_OK) {
            status = file_size(path, &size, error);
        }
        if (status != RR_OK && status != RR_NOT_FOUND) {
            return status;
        }
        uint64_t wanted = manifest->files[i].size;
        received += size < wanted ? size : wanted;
        if (size < wanted) {
            break;
        }
    }
    writer->next = received == manifest->size ? manifest_chunk_count(manifest)
                                              : received / manifest->chunk_bytes;
    return RR_OK;
}

static rr_status check_room(const struct snapshot_writer *writer, struct storage_error *error)
{
    const struct snapshot_store *store = writer->store;
    if (writer->manifest.size > store->bytes_max) {
        return storage_fail(error, RR_TOO_BIG,
                            "the snapshot has %" PRIu64 " bytes, and the limit is %" PRIu64,
                            writer->manifest.size, store->bytes_max);
    }
    uint64_t available;
    rr_status status = file_space_available(store->path, &available, error);
    if (status != RR_OK) {
        return status;
    }
    uint64_t done = writer->next * writer->manifest.chunk_bytes;
    uint64_t left = writer->manifest.size > done ? writer->manifest.size - done : 0;
    if (available < store->space_min || available - store->space_min < left) {
        return storage_fail(error, RR_NO_SPACE,
                            "the snapshot needs %" PRIu64 " bytes more, and the disk of %s has "
                            "%" PRIu64 "; free space on it",
                            left, store->path, available);
    }
    return RR_OK;
}

/* Whether `incoming` holds the beginning of this very snapshot. */
static bool is_continuation(const struct snapshot_writer *writer)
{
    struct buffer encoded;
    struct manifest manifest;
    buffer_init(&encoded);
    manifest_init(&manifest);
    bool same =
        snapshot_read_manifest(writer->store->incoming_path, &encoded, &manifest, NULL) == RR_OK &&
        bytes_compare(buffer_bytes(&encoded), buffer_bytes(&writer->encoded)) == 0;
    manifest_deinit(&manifest);
    buffer_deinit(&encoded);
    return same;
}

static rr_status start_afresh(struct snapshot_writer *writer, struct storage_error *error)
{
    const char *incoming = writer->store->incoming_path;
    char path[PATH_BYTES_MAX];
    rr_status status = file_remove_tree(incoming, error);
    if (status == RR_OK) {
        status = check_room(writer, error);
    }
    if (status == RR_OK) {
        status = directory_create(incoming, error);
    }
    if (status == RR_OK) {
        status = path_join(incoming, SNAPSHOT_MANIFEST_NAME, path, error);
    }
    return status == RR_OK ? file_replace(path, buffer_bytes(&writer->encoded), error) : status;
}

static rr_status begin(struct snapshot_writer *writer, rr_bytes manifest,
                       struct storage_error *error)
{
    rr_status status = manifest_decode(manifest, error, &writer->manifest);
    if (status != RR_OK) {
        return status;
    }
    buffer_append(&writer->encoded, manifest.data, manifest.size);
    if (writer->encoded.failed) {
        return storage_fail(error, RR_NO_MEMORY, "no memory for a manifest");
    }
    struct snapshot *latest = snapshot_store_latest(writer->store);
    bool exists = latest != NULL && bytes_compare(snapshot_manifest(latest), manifest) == 0;
    snapshot_release(latest);
    if (exists) {
        return storage_fail(error, RR_CONFLICT, "the snapshot at index %" PRIu64 " is here already",
                            writer->manifest.position.index);
    }
    if (!is_continuation(writer)) {
        return start_afresh(writer, error);
    }
    status = find_next(writer, error);
    return status == RR_OK ? check_room(writer, error) : status;
}

rr_status snapshot_writer_begin(struct snapshot_store *store, rr_bytes manifest,
                                struct storage_error *error, struct snapshot_writer **out)
{
    pthread_mutex_lock(&store->mutex);
    bool busy = store->writing;
    store->writing = true;
    pthread_mutex_unlock(&store->mutex);
    if (busy) {
        return storage_fail(error, RR_BUSY, "a snapshot is being received already");
    }
    struct snapshot_writer *writer = mem_new(struct snapshot_writer);
    writer->store = store;
    writer->fd = -1;
    manifest_init(&writer->manifest);
    buffer_init(&writer->encoded);
    rr_status status = begin(writer, manifest, error);
    if (status != RR_OK) {
        snapshot_writer_close(writer);
        return status;
    }
    *out = writer;
    return RR_OK;
}

/* --- Receiving --- */

void snapshot_writer_info(const struct snapshot_writer *writer, struct snapshot_info *out)
{
    manifest_info(&writer->manifest, out);
}

uint64_t snapshot_writer_next(const struct snapshot_writer *writer)
{
    return writer->next;
}

static void close_file(struct snapshot_writer *writer)
{
    if (writer->fd >= 0) {
        close(writer->fd);
        writer->fd = -1;
    }
}

/* Writes a part of one file, which stays open for the next part. */
static rr_status write_part(struct snapshot_writer *writer, uint32_t file, uint64_t offset,
                            rr_bytes part, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    rr_status status = file_path(writer, file, path, error);
    if (status != RR_OK) {
        return status;
    }
    if (writer->fd < 0 || writer->file != file) {
        close_file(writer);
        writer->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
        if (writer->fd < 0) {
            return storage_fail(error, errno == ENOSPC ? RR_NO_SPACE : RR_IO,
                                "cannot create %s: %s", path, strerror(errno));
        }
        writer->file = file;
    }
    status = file_write_at(writer->fd, path, offset, part, error);
    if (status == RR_OK && offset + part.size == writer->manifest.files[file].size) {
        /* Each file as it is done, so that finishing does not wait for all of them at once. */
        status = file_sync(writer->fd, path, error);
    }
    return status;
}

static rr_status write_chunk(struct snapshot_writer *writer, rr_bytes chunk,
                             struct storage_error *error)
{
    const struct manifest *manifest = &writer->manifest;
    uint64_t offset = writer->next * manifest->chunk_bytes;
    const uint8_t *at = chunk.data;
    size_t left = chunk.size;
    for (uint32_t i = manifest_file_at(manifest, offset); left > 0; i++) {
        const struct manifest_file *file = &manifest->files[i];
        uint64_t rest = file->offset + file->size - offset;
        size_t size = rest < left ? (size_t)rest : left;
        rr_status status =
            write_part(writer, i, offset - file->offset, (rr_bytes){at, size}, error);
        if (status != RR_OK) {
            return status;
        }
        at += size;
        offset += size;
        left -= size;
    }
    return RR_OK;
}

rr_status snapshot_writer_chunk(struct snapshot_writer *writer, uint64_t number, rr_bytes chunk,
                                uint64_t checksum, struct storage_error *error)
{
    if (number >= manifest_chunk_count(&writer->manifest)) {
        return storage_fail(error, RR_CORRUPT, "the snapshot has no chunk %" PRIu64, number);
    }
    if (number < writer->next) {
        return RR_OK;
    }
    if (number > writer->next) {
        return storage_fail(error, RR_CONFLICT,
                            "chunk %" PRIu64 " came while %" PRIu64 " was wanted", number,
                            writer->next);
    }
    if (chunk.size != manifest_chunk_size(&writer->manifest, number) ||
        checksum != snapshot_chunk_checksum(number, chunk)) {
        return storage_fail(error, RR_CORRUPT, "chunk %" PRIu64 " of a snapshot fails its checksum",
                            number);
    }
    rr_status status = write_chunk(writer, chunk, error);
    if (status == RR_OK) {
        writer->next++;
    }
    return status;
}

/* --- Ending --- */

/* Files that were complete when an earlier run ended may not have been synced by it. */
static rr_status sync_files(const struct snapshot_writer *writer, struct storage_error *error)
{
    rr_status status = RR_OK;
    for (uint32_t i = 0; status == RR_OK && i < writer->manifest.file_count; i++) {
        char path[PATH_BYTES_MAX];
        status = file_path(writer, i, path, error);
        if (status != RR_OK) {
            break;
        }
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            return storage_fail(error, RR_IO, "cannot open %s: %s", path, strerror(errno));
        }
        status = file_sync(fd, path, error);
        close(fd);
    }
    return status == RR_OK ? directory_sync(writer->store->incoming_path, error) : status;
}

/* The files are what the manifest says; but is the manifest true? */
static rr_status check_contents(const struct snapshot_writer *writer, struct storage_error *error)
{
    const struct manifest *manifest = &writer->manifest;
    struct state_position position;
    struct buffer meta;
    buffer_init(&meta);
    rr_status status = state_inspect(writer->store->incoming_path, &position, &meta, error);
    if (status == RR_OK &&
        (position.index != manifest->position.index || position.term != manifest->position.term ||
         bytes_compare(buffer_bytes(&meta), buffer_bytes(&manifest->meta)) != 0)) {
        status = storage_fail(error, RR_CORRUPT,
                              "the snapshot is at index %" PRIu64 " instead of %" PRIu64
                              ", or has another configuration than its manifest",
                              position.index, manifest->position.index);
    }
    buffer_deinit(&meta);
    return status;
}

static rr_status finish(struct snapshot_writer *writer, struct storage_error *error,
                        struct snapshot **out)
{
    const char *incoming = writer->store->incoming_path;
    if (writer->next < manifest_chunk_count(&writer->manifest)) {
        return storage_fail(error, RR_CONFLICT, "the snapshot lacks chunks from %" PRIu64 " on",
                            writer->next);
    }
    close_file(writer);
    rr_status status = snapshot_verify_files(incoming, &writer->manifest, error);
    if (status == RR_OK) {
        status = check_contents(writer, error);
    }
    if (status == RR_OK) {
        status = snapshot_remove_strangers(incoming, error);
    }
    if (status == RR_OK) {
        status = sync_files(writer, error);
    }
    if (status != RR_OK) {
        return status;
    }
    return snapshot_store_add(writer->store, incoming, &writer->manifest, &writer->encoded, error,
                              out);
}

rr_status snapshot_writer_finish(struct snapshot_writer *writer, struct storage_error *error,
                                 struct snapshot **out)
{
    rr_status status = finish(writer, error, out);
    if (status == RR_CORRUPT || status == RR_MISMATCH) {
        snapshot_writer_discard(writer);
    } else {
        snapshot_writer_close(writer);
    }
    return status;
}

void snapshot_writer_close(struct snapshot_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    struct snapshot_store *store = writer->store;
    close_file(writer);
    manifest_deinit(&writer->manifest);
    buffer_deinit(&writer->encoded);
    mem_free(writer);
    pthread_mutex_lock(&store->mutex);
    store->writing = false;
    pthread_mutex_unlock(&store->mutex);
}

void snapshot_writer_discard(struct snapshot_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    close_file(writer);
    /* What cannot be removed now is replaced by the next snapshot that comes. */
    rr_status status = file_remove_tree(writer->store->incoming_path, NULL);
    (void)status;
    snapshot_writer_close(writer);
}
