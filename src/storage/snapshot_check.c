/* See snapshot_check.h. The sums are those of file_checksum, piece by piece. */
#include "storage/snapshot_check.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "storage/snapshot_private.h"

#include <sys/stat.h>

enum { PIECE_BYTES = 1024 * 1024 };

void snapshot_check_init(struct snapshot_check *check, const struct snapshot *snapshot)
{
    *check = (struct snapshot_check){.snapshot = snapshot};
    buffer_init(&check->piece);
}

void snapshot_check_deinit(struct snapshot_check *check)
{
    buffer_deinit(&check->piece);
}

static void end_piece(struct snapshot_check *check)
{
    check->sum = checksum64_seeded(check->piece.data, check->piece.size, check->sum);
    buffer_clear(&check->piece);
}

/* Adds bytes to the sum of the file that they are of. */
static bool add(struct snapshot_check *check, const uint8_t *at, size_t size)
{
    while (size > 0) {
        size_t room = PIECE_BYTES - check->piece.size;
        size_t part = size < room ? size : room;
        buffer_append(&check->piece, at, part);
        if (check->piece.failed) {
            return false;
        }
        if (check->piece.size == PIECE_BYTES) {
            end_piece(check);
        }
        at += part;
        size -= part;
    }
    return true;
}

/* Whether another directory has the file as well: the state's tables are linked, not copied. */
static bool is_in_use(const struct snapshot *snapshot, const struct manifest_file *file)
{
    char path[PATH_BYTES_MAX];
    struct stat status;
    return path_join(snapshot->path, file->name, path, NULL) == RR_OK && stat(path, &status) == 0 &&
           status.st_nlink > 1;
}

static rr_status end_file(struct snapshot_check *check, const struct manifest_file *file,
                          bool *in_use, struct storage_error *error)
{
    if (check->piece.size > 0) {
        end_piece(check);
    }
    if (!check->from_start || check->sum == file->checksum) {
        return RR_OK;
    }
    *in_use = is_in_use(check->snapshot, file);
    return storage_fail(error, RR_CORRUPT, "the snapshot's file %s/%s fails its checksum",
                        check->snapshot->path, file->name);
}

rr_status snapshot_check_chunk(struct snapshot_check *check, uint64_t number, rr_bytes chunk,
                               bool *in_use, struct storage_error *error)
{
    const struct manifest *manifest = &check->snapshot->manifest;
    uint64_t offset = number * manifest->chunk_bytes;
    ASSERT(chunk.size == manifest_chunk_size(manifest, number));
    if (offset != check->next) {
        check->from_start = false;
    }
    const uint8_t *at = chunk.data;
    size_t left = chunk.size;
    for (uint32_t i = manifest_file_at(manifest, offset); left > 0; i++) {
        const struct manifest_file *file = &manifest->files[i];
        if (offset == file->offset) {
            check->from_start = true;
            check->sum = 0;
            buffer_clear(&check->piece);
        }
        uint64_t rest = file->offset + file->size - offset;
        size_t size = rest < left ? (size_t)rest : left;
        if (check->from_start && !add(check, at, size)) {
            return storage_fail(error, RR_NO_MEMORY, "no memory to check a snapshot");
        }
        if (size == rest) {
            rr_status status = end_file(check, file, in_use, error);
            if (status != RR_OK) {
                return status;
            }
        }
        at += size;
        offset += size;
        left -= size;
    }
    check->next = offset;
    return RR_OK;
}
