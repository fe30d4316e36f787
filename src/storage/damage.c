/* DAMAGED: "RRDAMAGE", u32 format, u32 parts, bytes text, u64 checksum64 of all before. */
#include "storage/damage.h"

#include "base/checksum.h"
#include "base/codec.h"
#include "storage/file.h"
#include "storage/sealed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    FORMAT = 1,
    MARK_BYTES_MAX = 4096,
};

static const char magic[8] = "RRDAMAGE";

static rr_status mark_path(const char *directory, char out[PATH_BYTES_MAX],
                           struct storage_error *error)
{
    return path_join(directory, "DAMAGED", out, error);
}

/* False if it is not what a mark holds. */
static bool decode(rr_bytes content, struct damage *out)
{
    struct reader reader;
    reader_init(&reader, content);
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
    uint32_t format = FORMAT;
    rr_bytes content = {0};
    enum sealed sealed = SEALED_DAMAGED;
    if (status == RR_OK) {
        sealed = sealed_open(buffer_bytes(&bytes), magic, &format, &content);
    }
    if (status == RR_NOT_FOUND) {
        status = RR_OK;
    } else if (sealed == SEALED_NEWER) {
        status = storage_fail(error, RR_MISMATCH,
                              "%s has format %" PRIu32
                              ", and this program knows up to %d; run a newer one",
                              path, format, FORMAT);
    } else if (status == RR_TOO_BIG || status == RR_CORRUPT ||
               (status == RR_OK && (sealed != SEALED_WHOLE || !decode(content, out)))) {
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
