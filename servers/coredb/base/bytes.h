/* Small helpers over rr_bytes. */
#ifndef COREDB_BASE_BYTES_H
#define COREDB_BASE_BYTES_H

#include <rockraft/types.h>

#include <string.h>

static inline rr_bytes bytes_of(const char *text)
{
    return (rr_bytes){text, strlen(text)};
}

static inline bool bytes_equal(rr_bytes left, rr_bytes right)
{
    return left.size == right.size &&
           (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
}

/* As memcmp; a proper prefix is smaller. */
int bytes_compare(rr_bytes left, rr_bytes right);

/* Whether `bytes` is the word `text`, in any case of ASCII letters. */
bool bytes_is(rr_bytes bytes, const char *text);

/* Whether `text` matches the glob `pattern` (*, ?, [a-z], [^x], \x), as Redis's: in time bounded by
 * the product of the sizes and without recursion. */
bool bytes_match(rr_bytes pattern, rr_bytes text, bool ignore_case);

/* The slot of a key among 16,384: CRC16 of it, or of its {hash tag}. */
uint16_t bytes_slot(rr_bytes key);

/* A 64-bit hash that is the same on every machine and in every version: it is part of the stored
 * format. Not meant against attackers. */
uint64_t bytes_hash(rr_bytes bytes);

#endif
