/*
 * The manifest's bytes: "RRSNAPSH", u32 format, u64 index, u64 term, u32 chunk_bytes, the caller's
 * bytes, varint count of files; for each its name as bytes, varint size, u64 checksum; at the end
 * u64 checksum64 of all before.
 */
#include "storage/manifest.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/codec.h"
#include "base/memory.h"

#include <string.h>

enum {
    FORMAT = 1,
    MAGIC_BYTES = 8,
    FILE_BYTES_MIN = 1 + 1 + 1 + 8,
};

static const char magic[] = "RRSNAPSH";

void manifest_init(struct manifest *manifest)
{
    *manifest = (struct manifest){0};
    buffer_init(&manifest->meta);
}

void manifest_deinit(struct manifest *manifest)
{
    buffer_deinit(&manifest->meta);
    mem_free(manifest->files);
    manifest_init(manifest);
}

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool manifest_name_allowed(const char *name)
{
    size_t size = strlen(name);
    if (size >= MANIFEST_NAME_BYTES_MAX || strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                        "abcdefghijklmnopqrstuvwxyz"
                                                        "0123456789-.") != size) {
        return false;
    }
    if (strcmp(name, "CURRENT") == 0 || begins_with(name, "MANIFEST-") ||
        begins_with(name, "OPTIONS-")) {
        return true;
    }
    return size > 4 && name[0] >= '0' && name[0] <= '9' && strcmp(name + size - 4, ".sst") == 0;
}

rr_status manifest_add(struct manifest *manifest, const char *name, uint64_t size,
                       uint64_t checksum)
{
    ASSERT(manifest_name_allowed(name));
    ASSERT(size > 0);
    uint32_t count = manifest->file_count;
    ASSERT(count == 0 || strcmp(manifest->files[count - 1].name, name) < 0);
    if (count == MANIFEST_FILES_MAX || size > UINT64_MAX / 2 - manifest->size) {
        return RR_TOO_BIG;
    }
    if ((count & (count - 1)) == 0) { /* full at every power of two */
        size_t capacity = count == 0 ? 1 : (size_t)count * 2;
        void *files = mem_try_resize(manifest->files, capacity * sizeof(manifest->files[0]));
        if (files == NULL) {
            return RR_NO_MEMORY;
        }
        manifest->files = files;
    }
    struct manifest_file *file = &manifest->files[count];
    strcpy(file->name, name);
    file->size = size;
    file->checksum = checksum;
    file->offset = manifest->size;
    manifest->size += size;
    manifest->file_count++;
    return RR_OK;
}

void manifest_encode(const struct manifest *manifest, struct buffer *out)
{
    size_t start = out->size;
    put_raw(out, magic, MAGIC_BYTES);
    put_u32(out, FORMAT);
    put_u64(out, manifest->position.index);
    put_u64(out, manifest->position.term);
    put_u32(out, manifest->chunk_bytes);
    put_bytes(out, buffer_bytes(&manifest->meta));
    put_varint(out, manifest->file_count);
    for (uint32_t i = 0; i < manifest->file_count; i++) {
        const struct manifest_file *file = &manifest->files[i];
        put_bytes(out, (rr_bytes){file->name, strlen(file->name)});
        put_varint(out, file->size);
        put_u64(out, file->checksum);
    }
    put_u64(out, out->failed ? 0 : checksum64(out->data + start, out->size - start));
}

static rr_status malformed(struct storage_error *error, const char *what)
{
    return storage_fail(error, RR_CORRUPT, "a snapshot's manifest is malformed: %s", what);
}

static rr_status decode_file(struct reader *reader, struct storage_error *error,
                             struct manifest *manifest)
{
    rr_bytes name_bytes = reader_bytes(reader);
    uint64_t size = reader_varint(reader);
    uint64_t checksum = reader_u64(reader);
    char name[MANIFEST_NAME_BYTES_MAX] = {0};
    if (reader->failed || name_bytes.size == 0 || name_bytes.size >= sizeof(name)) {
        return malformed(error, "a file is cut short or its name too long");
    }
    memcpy(name, name_bytes.data, name_bytes.size);
    uint32_t count = manifest->file_count;
    if (strlen(name) != name_bytes.size || !manifest_name_allowed(name) || size == 0 ||
        (count > 0 && strcmp(manifest->files[count - 1].name, name) >= 0)) {
        return malformed(error, "a file's name or size is not allowed");
    }
    rr_status status = manifest_add(manifest, name, size, checksum);
    if (status == RR_OK) {
        return RR_OK;
    }
    return status == RR_TOO_BIG ? malformed(error, "it is too big")
                                : storage_fail(error, status, "no memory for a manifest");
}

static rr_status decode_fields(struct reader *reader, struct storage_error *error,
                               struct manifest *manifest)
{
    manifest->position.index = reader_u64(reader);
    manifest->position.term = reader_u64(reader);
    manifest->chunk_bytes = reader_u32(reader);
    rr_bytes meta = reader_bytes(reader);
    uint64_t file_count = reader_varint(reader);
    if (reader->failed || manifest->position.index == 0 || manifest->chunk_bytes == 0 ||
        manifest->chunk_bytes > SNAPSHOT_STORE_CHUNK_BYTES_MAX || file_count == 0 ||
        file_count > reader_left(reader) / FILE_BYTES_MIN) {
        return malformed(error, "a number is out of range");
    }
    buffer_append(&manifest->meta, meta.data, meta.size);
    if (manifest->meta.failed) {
        return storage_fail(error, RR_NO_MEMORY, "no memory for a manifest");
    }
    for (uint64_t i = 0; i < file_count; i++) {
        rr_status status = decode_file(reader, error, manifest);
        if (status != RR_OK) {
            return status;
        }
    }
    return reader_done(reader) ? RR_OK : malformed(error, "there are bytes behind its end");
}

rr_status manifest_decode(rr_bytes bytes, struct storage_error *error, struct manifest *manifest)
{
    const uint8_t *at = bytes.data;
    if (bytes.size < MAGIC_BYTES + 4 + 8 || bytes.size > SNAPSHOT_STORE_MANIFEST_BYTES_MAX ||
        memcmp(at, magic, MAGIC_BYTES) != 0) {
        return malformed(error, "it does not look like one");
    }
    uint32_t format = load_u32(at + MAGIC_BYTES);
    if (format > FORMAT) {
        return storage_fail(error, RR_MISMATCH,
                            "a snapshot's manifest has format %u, and this program knows up to %d; "
                            "run a newer one",
                            (unsigned)format, FORMAT);
    }
    size_t size = bytes.size - 8;
    if (format != FORMAT || checksum64(at, size) != load_u64(at + size)) {
        return malformed(error, "it fails its checksum");
    }
    struct reader reader;
    reader_init(&reader, (rr_bytes){at + MAGIC_BYTES + 4, size - MAGIC_BYTES - 4});
    return decode_fields(&reader, error, manifest);
}

uint64_t manifest_chunk_count(const struct manifest *manifest)
{
    return (manifest->size + manifest->chunk_bytes - 1) / manifest->chunk_bytes;
}

size_t manifest_chunk_size(const struct manifest *manifest, uint64_t number)
{
    ASSERT(number < manifest_chunk_count(manifest));
    uint64_t left = manifest->size - number * manifest->chunk_bytes;
    return left < manifest->chunk_bytes ? (size_t)left : manifest->chunk_bytes;
}

uint32_t manifest_file_at(const struct manifest *manifest, uint64_t offset)
{
    ASSERT(offset < manifest->size);
    uint32_t low = 0;
    uint32_t high = manifest->file_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (manifest->files[middle].offset <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

void manifest_info(const struct manifest *manifest, struct snapshot_info *out)
{
    out->position = manifest->position;
    out->size = manifest->size;
    out->file_count = manifest->file_count;
    out->chunk_bytes = manifest->chunk_bytes;
    out->chunk_count = manifest_chunk_count(manifest);
}
