/* xoshiro256** by Blackman and Vigna, its state filled by splitmix64 as they advise. */
#include "base/random.h"

#include "base/assert.h"
#include "base/codec.h"

#include <string.h>

static uint64_t splitmix(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = *state;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

void random_init(struct random *random, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++) {
        random->state[i] = splitmix(&seed);
    }
}

uint64_t random_u64(struct random *random)
{
    uint64_t *state = random->state;
    uint64_t result = rotate_left(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate_left(state[3], 45);
    return result;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    ASSERT(bound > 0);
    /* Numbers under 2^64 mod bound would favour small results; they are drawn again. */
    uint64_t unfair = (0 - bound) % bound;
    for (;;) {
        uint64_t drawn = random_u64(random);
        if (drawn >= unfair) {
            return drawn % bound;
        }
    }
}

uint64_t random_between(struct random *random, uint64_t low, uint64_t high)
{
    ASSERT(low <= high);
    uint64_t span = high - low;
    return span == UINT64_MAX ? random_u64(random) : low + random_below(random, span + 1);
}

bool random_chance(struct random *random, uint64_t numerator, uint64_t denominator)
{
    return numerator > 0 && random_below(random, denominator) < numerator;
}

void random_fill(struct random *random, void *data, uint64_t size)
{
    uint8_t *at = data;
    while (size > 0) {
        uint8_t bytes[8];
        store_u64(bytes, random_u64(random));
        uint64_t part = size < sizeof(bytes) ? size : sizeof(bytes);
        memcpy(at, bytes, part);
        at += part;
        size -= part;
    }
}
