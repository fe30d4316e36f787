/* A generator of random numbers for tests, seeded with test_seed. The library's own (base/random.h)
 * cannot be linked together with coredb's parts: names would clash. */
#ifndef COREDB_TEST_DICE_H
#define COREDB_TEST_DICE_H

#include <stdint.h>

struct dice {
    uint64_t state;
};

/* SplitMix64. */
static inline uint64_t dice_next(struct dice *dice)
{
    dice->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t value = dice->state;
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static inline int dice_below(struct dice *dice, int bound)
{
    return (int)(dice_next(dice) % (uint64_t)bound);
}

#endif
