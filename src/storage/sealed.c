/* See sealed.h. */
#include "storage/sealed.h"

#include "base/checksum.h"
#include "base/codec.h"

#include <string.h>

enum { MAGIC_BYTES = 8, HEADER_BYTES = MAGIC_BYTES + 4, CHECKSUM_BYTES = 8 };

enum sealed sealed_open(rr_bytes bytes, const char magic[8], uint32_t *format, rr_bytes *content)
{
    const uint8_t *at = bytes.data;
    if (bytes.size < HEADER_BYTES || memcmp(at, magic, MAGIC_BYTES) != 0) {
        return SEALED_DAMAGED;
    }
    uint32_t known = *format;
    uint32_t found = load_u32(at + MAGIC_BYTES);
    if (found > known) {
        *format = found;
        return SEALED_NEWER;
    }
    if (found != known || bytes.size < HEADER_BYTES + CHECKSUM_BYTES) {
        return SEALED_DAMAGED;
    }
    size_t end = bytes.size - CHECKSUM_BYTES;
    if (load_u64(at + end) != checksum64(at, end)) {
        return SEALED_DAMAGED;
    }
    *content = (rr_bytes){at + HEADER_BYTES, end - HEADER_BYTES};
    return SEALED_WHOLE;
}
