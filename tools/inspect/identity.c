#include "inspect/identity.h"

#include <string.h>

enum { MAGIC_BYTES = 8, VERSION_BYTES = 4, SEAL_BYTES = 8 };

enum form sealed_read(struct slice bytes, const char *magic, struct reader *content)
{
    if (bytes.size < MAGIC_BYTES + VERSION_BYTES + SEAL_BYTES ||
        memcmp(bytes.data, magic, MAGIC_BYTES) != 0) {
        return FORM_DAMAGED;
    }
    struct slice sealed = {bytes.data, bytes.size - SEAL_BYTES};
    struct reader seal = reader_of((struct slice){bytes.data + sealed.size, SEAL_BYTES});
    struct reader reader = reader_of(sealed);
    read_raw(&reader, MAGIC_BYTES);
    uint32_t version = read_u32(&reader);
    if (read_u64(&seal) != checksum(sealed, 0)) {
        return FORM_DAMAGED;
    }
    if (version != 1) {
        return FORM_NEWER;
    }
    *content = reader;
    return FORM_OK;
}

enum form identity_read(struct slice bytes, struct identity *out)
{
    struct reader reader;
    enum form form = sealed_read(bytes, "RRDATADI", &reader);
    if (form != FORM_OK) {
        return form;
    }
    struct identity identity = {.cluster = read_u64(&reader)};
    identity.node = read_u64(&reader);
    identity.incarnation = read_u64(&reader);
    if (!reader_is_done(&reader) || identity.node == 0) {
        return FORM_DAMAGED;
    }
    *out = identity;
    return FORM_OK;
}

enum form state_pointer_read(struct slice bytes, uint64_t *number)
{
    struct reader reader;
    enum form form = sealed_read(bytes, "RRSTATE\0", &reader);
    if (form != FORM_OK) {
        return form;
    }
    uint64_t value = read_u64(&reader);
    if (!reader_is_done(&reader)) {
        return FORM_DAMAGED;
    }
    *number = value;
    return FORM_OK;
}

enum form damage_mark_read(struct slice bytes, struct damage_mark *out)
{
    struct reader reader;
    enum form form = sealed_read(bytes, "RRDAMAGE", &reader);
    if (form != FORM_OK) {
        return form;
    }
    struct damage_mark mark = {.parts = read_u32(&reader)};
    mark.text = read_bytes(&reader);
    if (!reader_is_done(&reader)) {
        return FORM_DAMAGED;
    }
    *out = mark;
    return FORM_OK;
}

enum form former_read(struct slice bytes, struct former *out)
{
    struct reader reader;
    enum form form = sealed_read(bytes, "RRFORMER", &reader);
    if (form != FORM_OK) {
        return form;
    }
    struct former former = {.next = read_u64(&reader)};
    uint32_t bits = read_u32(&reader);
    former.left = bits & 3;
    former.fresh = (bits & 4) != 0;
    former.count = read_u32(&reader);
    if (reader.failed || bits > 7 || former.count > FORMER_MAX ||
        (former.count == 0 && former.left != 0)) {
        return FORM_DAMAGED;
    }
    for (uint32_t i = 0; i < former.count; i++) {
        former.list[i] = read_u64(&reader);
    }
    if (!reader_is_done(&reader)) {
        return FORM_DAMAGED;
    }
    *out = former;
    return FORM_OK;
}
