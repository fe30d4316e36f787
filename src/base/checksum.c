/* XXH3 from libxxhash, under names of our own. */
#include "base/checksum.h"

#include <xxhash.h>

uint64_t checksum64(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}

uint64_t checksum64_seeded(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}

uint32_t checksum32(const void *data, size_t size)
{
    return (uint32_t)checksum64(data, size);
}
