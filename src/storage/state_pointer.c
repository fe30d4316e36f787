/* STATE: "RRSTATE" and a zero, u32 format, u64 number, u64 checksum64 of all before. */
#include "storage/state_pointer.h"

#include "base/checksum.h"
#include "base/codec.h"
#include "storage/sealed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FORMAT = 1,
    POINTER_BYTES = 8 + 4 + 8 + 8,
};

static const char magic[8] = "RRSTATE";
static const char name_prefix[] = "state-";

static rr_status decode(rr_bytes bytes, const char *path, uint64_t *number,
                        struct storage_error *error)
{
    uint32_t format = FORMAT;
    rr_bytes content = {0};
    enum sealed sealed = sealed_open(bytes, magic, &format, &content);
    if (sealed == SEALED_NEWER) {
        return storage_fail(error, RR_MISMATCH,
                            "%s has format %" PRIu32
                            ", and this program knows up to %d; run a newer one",
                            path, format, FORMAT);
    }
    if (sealed != SEALED_WHOLE || bytes.size != POINTER_BYTES) {
        return storage_fail(error, RR_CORRUPT, "%s is damaged (docs/faults.md)", path);
    }
    *number = load_u64(content.data);
    return RR_OK;
}

rr_status state_pointer_read(const char *directory, uint64_t *number, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    rr_status status = path_join(directory, "STATE", path, error);
    if (status != RR_OK) {
        return status;
    }
    struct buffer bytes;
    buffer_init(&bytes);
    status = file_read(path, 4096, &bytes, error);
    if (status == RR_OK) {
        status = decode(buffer_bytes(&bytes), path, number, error);
    } else if (status == RR_TOO_BIG) {
        status = storage_fail(error, RR_CORRUPT, "%s is damaged: far too large", path);
    }
    buffer_deinit(&bytes);
    return status;
}

rr_status state_pointer_write(const char *directory, uint64_t number, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    rr_status status = path_join(directory, "STATE", path, error);
    if (status != RR_OK) {
        return status;
    }
    uint8_t bytes[POINTER_BYTES];
    memcpy(bytes, magic, sizeof(magic));
    store_u32(bytes + 8, FORMAT);
    store_u64(bytes + 12, number);
    store_u64(bytes + 20, checksum64(bytes, 20));
    return file_replace(path, (rr_bytes){bytes, sizeof(bytes)}, error);
}

rr_status state_pointer_path(const char *directory, uint64_t number, char out[PATH_BYTES_MAX],
                             struct storage_error *error)
{
    char name[32];
    snprintf(name, sizeof(name), "%s%" PRIu64, name_prefix, number);
    return path_join(directory, name, out, error);
}

bool state_pointer_parse_name(const char *name, uint64_t *number)
{
    size_t size = sizeof(name_prefix) - 1;
    if (strncmp(name, name_prefix, size) != 0 || name[size] < '0' || name[size] > '9') {
        return false;
    }
    char *end;
    *number = strtoull(name + size, &end, 10);
    return *end == 0;
}
