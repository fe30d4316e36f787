/* DAMAGED: "RRDAMAGE", u32 format, u32 parts, bytes text, u64 checksum64 of all before. */
#include "storage/damage.h"

#include "base/checksum.h"
#include "base/codec.h"
#include "storage/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    FORMAT = 1,
    HEADER_BYTES = 8 + 4 + 4,
    MARK_BYTES_MAX = 4096,
};

static const char magic[8] = "RRDAMAGE";

static rr_status mark_path(const char *directory, char out[PATH_BYTES_MAX],
                           struct storage_error *error)
{
    return path_join(directory, "DAMAGED", out, error);
}

/* False if the bytes are no whole mark. */
static bool decode(rr_bytes bytes, struct damage *out)
{
    const uint8_t *at = bytes.data;
    if (bytes.size < HEADER_BYTES + 8 || memcmp(at, magic, sizeof(magic)) != 0 ||
        load_u64(at + bytes.size - 8) != checksum64(at, bytes.size - 8)) {
        return false;
    }
    struct reader reader;
    reader_init(&reader, (rr_bytes){at + 12, bytes.size - 12 - 8});
    out->parts = reader_u32(&reader);
    rr_bytes text = reader_bytes(&reader);
    if (!reader_done(&reader) || out->parts == 0 || text.size >= sizeof(out->text)) {
        return false;
    }
    memcpy(out->text, text.data, text.size);
    out->text[text.size] = 0;
    return true;
}

rr_status damage_read(const char *directory, struct damage *out, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    rr_status status = mark_path(directory, path, error);
    if (status != RR_OK) {
        return status;
    }
    struct buffer bytes;
    buffer_init(&bytes);
    status = file_read(path, MARK_BYTES_MAX, &bytes, error);
    *out = (struct damage){0};
    if (status == RR_NOT_FOUND) {
        status = RR_OK;
    } else if (status == RR_OK && bytes.size >= 12 &&
               memcmp(bytes.data, magic, sizeof(magic)) == 0 && load_u32(bytes.data + 8) > FORMAT) {
        status = storage_fail(error, RR_MISMATCH,
                              "%s has format %" PRIu32
                              ", and this program knows up to %d; run a newer one",
                              path, load_u32(bytes.data + 8), FORMAT);
    } else if (status == RR_TOO_BIG || status == RR_CORRUPT ||
               (status == RR_OK && !decode(buffer_bytes(&bytes), out))) {
        out->parts = DAMAGE_ALL;
        snprintf(out->text, sizeof(out->text), "the mark of damage %.200s is itself damaged", path);
        status = RR_OK;
    }
    buffer_deinit(&bytes);
    return status;
}

rr_status damage_mark(const char *directory, enum damage_part part, const char *text,
                      struct storage_error *error)
{
    struct damage before;
    char path[PATH_BYTES_MAX];
    rr_status status = mark_path(directory, path, error);
    if (status == RR_OK) {
        status = damage_read(directory, &before, error);
    }
    if (status != RR_OK) {
        return status;
    }
    if (before.parts == 0) {
        snprintf(before.text, sizeof(before.text), "%s", text);
    }
    struct buffer bytes;
    buffer_init(&bytes);
    put_raw(&bytes, magic, sizeof(magic));
    put_u32(&bytes, FORMAT);
    put_u32(&bytes, before.parts | (unsigned)part);
    put_bytes(&bytes, (rr_bytes){before.text, strlen(before.text)});
    put_u64(&bytes, checksum64(bytes.data, bytes.size));
    if (bytes.failed) {
        status = storage_fail(error, RR_NO_MEMORY, "no memory for the mark of damage");
    } else {
        status = file_replace(path, buffer_bytes(&bytes), error);
    }
    buffer_deinit(&bytes);
    return status;
}

rr_status damage_clear(const char *directory, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    rr_status status = mark_path(directory, path, error);
    return status == RR_OK ? file_remove_tree(path, error) : status;
}
