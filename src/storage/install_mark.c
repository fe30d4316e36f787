/* INSTALLING: "RRINSTAL", u32 format, u64 index, u64 term, u64 checksum64 of all before. */
#include "storage/install_mark.h"

#include "base/buffer.h"
#include "base/checksum.h"
#include "base/codec.h"
#include "storage/file.h"
#include "storage/sealed.h"

#include <string.h>

enum {
    FORMAT = 1,
    MARK_BYTES = 8 + 4 + 8 + 8 + 8,
};

static const char magic[8] = "RRINSTAL";

static rr_status mark_path(const char *directory, char out[PATH_BYTES_MAX],
                           struct storage_error *error)
{
    return path_join(directory, "INSTALLING", out, error);
}

rr_status install_mark_set(const char *directory, struct state_position position,
                           struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    uint8_t bytes[MARK_BYTES];
    memcpy(bytes, magic, sizeof(magic));
    store_u32(bytes + 8, FORMAT);
    store_u64(bytes + 12, position.index);
    store_u64(bytes + 20, position.term);
    store_u64(bytes + 28, checksum64(bytes, 28));
    rr_status status = mark_path(directory, path, error);
    return status == RR_OK ? file_replace(path, (rr_bytes){bytes, sizeof(bytes)}, error) : status;
}

rr_status install_mark_read(const char *directory, bool *marked, struct state_position *out,
                            struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    struct buffer bytes;
    buffer_init(&bytes);
    *marked = false;
    rr_status status = mark_path(directory, path, error);
    if (status == RR_OK) {
        status = file_read(path, MARK_BYTES, &bytes, error);
    }
    uint32_t format = FORMAT;
    rr_bytes content = {0};
    if (status == RR_OK && bytes.size == MARK_BYTES &&
        sealed_open(buffer_bytes(&bytes), magic, &format, &content) == SEALED_WHOLE) {
        const uint8_t *at = content.data;
        *marked = true;
        *out = (struct state_position){.index = load_u64(at), .term = load_u64(at + 8)};
    }
    buffer_deinit(&bytes);
    bool none = status == RR_NOT_FOUND || status == RR_TOO_BIG || status == RR_CORRUPT;
    return none ? RR_OK : status;
}

rr_status install_mark_clear(const char *directory, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    rr_status status = mark_path(directory, path, error);
    return status == RR_OK ? file_remove_tree(path, error) : status;
}
