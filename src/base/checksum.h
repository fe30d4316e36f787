/*
 * Checksums of what is stored and sent: XXH3, whose results are the same on every machine and in
 * every version of the library since 0.8. They find damage; they do not withstand an attacker.
 * Any thread.
 */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* XXH3 in 64 bits with seed 0. `data` may be NULL when `size` is 0. */
uint64_t checksum64(const void *data, size_t size);

/* XXH3 in 64 bits with `seed`: equal bytes in different roles get different checksums. */
uint64_t checksum64_seeded(const void *data, size_t size, uint64_t seed);

/* The low 32 bits of checksum64, for small frames. */
uint32_t checksum32(const void *data, size_t size);

#endif
