/* FORMER: "RRFORMER", u32 format, u64 incarnation, u32 parts, u32 count, u64 each, u64 checksum64 of
 * all before. */
#include "storage/former.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/codec.h"
#include "storage/file.h"
#include "storage/sealed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    FORMAT = 1,
    FRESH = 4,               /* beside the parts */
    FIXED_BYTES = 8 + 4 + 4, /* before the list */
    FILE_BYTES_MAX = 4096,
};

static const char magic[8] = "RRFORMER";

static bool decode(rr_bytes content, struct former *out)
{
    const uint8_t *at = content.data;
    if (content.size < FIXED_BYTES) {
        return false;
    }
    uint32_t bits = load_u32(at + 8);
    out->incarnation = load_u64(at);
    out->parts = bits & DAMAGE_ALL;
    out->fresh = (bits & FRESH) != 0;
    out->count = load_u32(at + 12);
    if (out->incarnation == 0 || out->count > FORMER_COUNT_MAX || bits > (DAMAGE_ALL | FRESH) ||
        (out->parts != 0 && out->count == 0) ||
        content.size != FIXED_BYTES + 8 * (size_t)out->count) {
        return false;
    }
    for (uint32_t i = 0; i < out->count; i++) {
        out->incarnations[i] = load_u64(at + FIXED_BYTES + 8 * (size_t)i);
    }
    return true;
}

rr_status former_read(const char *directory, struct former *out, struct storage_error *error)
{
    *out = (struct former){0};
    char path[PATH_BYTES_MAX];
    struct buffer bytes;
    buffer_init(&bytes);
    rr_status status = path_join(directory, "FORMER", path, error);
    if (status == RR_OK) {
        status = file_read(path, FILE_BYTES_MAX, &bytes, error);
    }
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
                              ", and this version knows formats up to %d; run a newer version",
                              path, format, FORMAT);
    } else if (status == RR_TOO_BIG ||
               (status == RR_OK && (sealed != SEALED_WHOLE || !decode(content, out)))) {
        *out = (struct former){0};
        status = storage_fail(error, RR_CORRUPT,
                              "%s is damaged; remove this node from the cluster, and let an empty "
                              "data directory join under a new id",
                              path);
    }
    buffer_deinit(&bytes);
    return status;
}

rr_status former_write(const char *directory, const struct former *former,
                       struct storage_error *error)
{
    ASSERT(former->incarnation != 0);
    ASSERT(former->parts == 0 || former->count > 0);
    ASSERT(former->count <= FORMER_COUNT_MAX);
    char path[PATH_BYTES_MAX];
    rr_status status = path_join(directory, "FORMER", path, error);
    if (status != RR_OK) {
        return status;
    }
    struct buffer bytes;
    buffer_init(&bytes);
    put_raw(&bytes, magic, sizeof(magic));
    put_u32(&bytes, FORMAT);
    put_u64(&bytes, former->incarnation);
    put_u32(&bytes, former->parts | (former->fresh ? FRESH : 0U));
    put_u32(&bytes, former->count);
    for (uint32_t i = 0; i < former->count; i++) {
        put_u64(&bytes, former->incarnations[i]);
    }
    put_u64(&bytes, checksum64(bytes.data, bytes.size));
    status = bytes.failed ? storage_fail(error, RR_NO_MEMORY, "no memory to write %s", path)
                          : file_replace(path, buffer_bytes(&bytes), error);
    buffer_deinit(&bytes);
    return status;
}

/* ---- Setting aside ---- */

struct move {
    const char *directory;
    char aside[PATH_BYTES_MAX];
    unsigned parts;
};

/* What the name belongs to; 0: neither. */
static unsigned part_of(const char *name)
{
    if (strncmp(name, "log", 3) == 0) {
        return DAMAGE_LOG; /* with what a change of the log's kind may have left beside it */
    }
    if (strcmp(name, "STATE") == 0 || strncmp(name, "state-", 6) == 0 ||
        strcmp(name, "snapshots") == 0) {
        return DAMAGE_STATE;
    }
    return 0;
}

static rr_status move_part(void *arg, const char *name, struct storage_error *error)
{
    const struct move *move = arg;
    if ((part_of(name) & move->parts) == 0) {
        return RR_OK;
    }
    char from[PATH_BYTES_MAX];
    char to[PATH_BYTES_MAX];
    rr_status status = path_join(move->directory, name, from, error);
    if (status == RR_OK) {
        status = path_join(move->aside, name, to, error);
    }
    return status == RR_OK ? file_rename(from, to, error) : status;
}

/* The mark has done its work when all that it names is set aside. */
static rr_status clear_mark(const char *directory, unsigned parts, struct storage_error *error)
{
    struct damage damage;
    rr_status status = damage_read(directory, &damage, error);
    if (status == RR_OK && damage.parts != 0 && (damage.parts & ~parts) == 0) {
        status = damage_clear(directory, error);
    }
    return status;
}

rr_status former_set_aside(const char *directory, unsigned parts, uint64_t incarnation,
                           struct storage_error *error)
{
    struct move move = {.directory = directory, .parts = parts};
    char name[32];
    snprintf(name, sizeof(name), "damaged-%016" PRIx64, incarnation);
    rr_status status = path_join(directory, name, move.aside, error);
    if (status == RR_OK) {
        status = directory_create(move.aside, error);
    }
    if (status == RR_OK) {
        status = directory_list(directory, move_part, &move, error);
    }
    return status == RR_OK ? clear_mark(directory, parts, error) : status;
}
