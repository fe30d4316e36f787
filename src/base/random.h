/*
 * Random numbers from a seed: the same seed gives the same numbers on every machine and for ever,
 * so that a simulation can be repeated. Not for secrets. One thread at a time.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

/* The state of xoshiro256**; never all zero. */
struct random {
    uint64_t state[4];
};

/* Any seed is as good as any other, 0 too. */
void random_init(struct random *random, uint64_t seed);

/* All 64 bits. */
uint64_t random_u64(struct random *random);

/* Evenly one of 0 to `bound` - 1; `bound` is at least 1. */
uint64_t random_below(struct random *random, uint64_t bound);

/* Evenly one of `low` to `high`, both included; `low` is at most `high`. */
uint64_t random_between(struct random *random, uint64_t low, uint64_t high);

/* True in `numerator` of `denominator` cases; a numerator of 0 is never true and draws nothing. */
bool random_chance(struct random *random, uint64_t numerator, uint64_t denominator);

/* Fills `size` bytes at `data`. */
void random_fill(struct random *random, void *data, uint64_t size);

#endif
