/* Strings of bytes in their order: bytes first, then sizes, as RocksDB compares keys. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include "base/buffer.h"

/* Negative, 0 or positive, as memcmp. */
int bytes_compare(rr_bytes left, rr_bytes right);

/* Replaces the contents of `out` by the smallest bytes above all that begin with `prefix`; by
 * nothing if there are none. The buffer may fail. */
void bytes_prefix_end(struct buffer *out, rr_bytes prefix);

#endif
