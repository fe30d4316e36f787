/* The order of bytes. */
#include "base/bytes.h"

#include <string.h>

int bytes_compare(rr_bytes left, rr_bytes right)
{
    size_t size = left.size < right.size ? left.size : right.size;
    int order = size == 0 ? 0 : memcmp(left.data, right.data, size);
    return order != 0 ? order : (left.size > right.size) - (left.size < right.size);
}

void bytes_prefix_end(struct buffer *out, rr_bytes prefix)
{
    buffer_clear(out);
    buffer_append(out, prefix.data, prefix.size);
    if (out->failed) {
        return;
    }
    size_t size = prefix.size;
    while (size > 0 && out->data[size - 1] == 0xff) {
        size--;
    }
    buffer_truncate(out, size);
    if (size > 0) {
        out->data[size - 1]++;
    }
}
