#include "inspect/manifest.h"

#include <string.h>

enum { CHUNK_BYTES_MAX = 4 << 20, FILES_MAX = 65536 };

/* CURRENT, MANIFEST-*, OPTIONS-* or *.sst: a file of a RocksDB checkpoint. */
static bool may_be_named(const char *name)
{
    size_t size = strlen(name);
    if (strchr(name, '/') != NULL) {
        return false;
    }
    return strcmp(name, "CURRENT") == 0 || strncmp(name, "MANIFEST-", 9) == 0 ||
           strncmp(name, "OPTIONS-", 8) == 0 || (size > 4 && strcmp(name + size - 4, ".sst") == 0);
}

bool manifest_next(struct reader *reader, struct manifest_file *out)
{
    struct slice name = read_bytes(reader);
    out->size = read_varint(reader);
    out->checksum = read_u64(reader);
    bool is_whole = !reader->failed && name.size > 0 && name.size <= MANIFEST_NAME_BYTES_MAX &&
                    memchr(name.data, 0, name.size) == NULL && out->size > 0;
    if (!is_whole) {
        return false;
    }
    memcpy(out->name, name.data, name.size);
    out->name[name.size] = 0;
    return may_be_named(out->name);
}

enum form manifest_read(struct slice bytes, struct manifest *out)
{
    struct reader reader;
    enum form form = sealed_read(bytes, "RRSNAPSH", &reader);
    if (form != FORM_OK) {
        return form;
    }
    struct manifest manifest = {.index = read_u64(&reader)};
    manifest.term = read_u64(&reader);
    manifest.chunk_bytes = read_u32(&reader);
    manifest.meta = read_bytes(&reader);
    manifest.file_count = read_varint(&reader);
    if (reader.failed || manifest.index == 0 || manifest.chunk_bytes == 0 ||
        manifest.chunk_bytes > CHUNK_BYTES_MAX || manifest.file_count == 0 ||
        manifest.file_count > FILES_MAX) {
        return FORM_DAMAGED;
    }
    manifest.files = (struct slice){reader.at, (size_t)(reader.end - reader.at)};
    char last[MANIFEST_NAME_BYTES_MAX + 1] = "";
    for (uint64_t i = 0; i < manifest.file_count; i++) {
        struct manifest_file file;
        if (!manifest_next(&reader, &file) || strcmp(last, file.name) >= 0 ||
            file.size > UINT64_MAX / 2 - manifest.bytes) {
            return FORM_DAMAGED;
        }
        manifest.bytes += file.size;
        memcpy(last, file.name, sizeof(last));
    }
    if (!reader_is_done(&reader)) {
        return FORM_DAMAGED;
    }
    *out = manifest;
    return FORM_OK;
}

uint64_t manifest_chunks(const struct manifest *manifest)
{
    return (manifest->bytes + manifest->chunk_bytes - 1) / manifest->chunk_bytes;
}

uint64_t manifest_file_checksum(struct slice bytes)
{
    uint64_t sum = 0;
    for (size_t at = 0; at < bytes.size; at += SNAPSHOT_PIECE_BYTES) {
        size_t left = bytes.size - at;
        size_t size = left < SNAPSHOT_PIECE_BYTES ? left : SNAPSHOT_PIECE_BYTES;
        sum = checksum((struct slice){bytes.data + at, size}, sum);
    }
    return sum;
}
