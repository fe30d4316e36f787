/* Counters by command; they are only ever added to, so relaxed order does. */
#include "coredb/command/measure.h"

#include "coredb/value/event.h"

#include <stdlib.h>
#include <time.h>

enum {
    FIRST_BUCKET_BITS = 7, /* 128 ns */
    STEP_BITS = 3,         /* eight buckets in each doubling */
    STEPS = 1 << STEP_BITS,
};

/* ---- Buckets ---- */

static size_t bucket_of(uint64_t ns)
{
    if (ns >> FIRST_BUCKET_BITS == 0) {
        return 0;
    }
    unsigned bits = 63 - (unsigned)__builtin_clzll(ns);
    size_t step = (size_t)(ns >> (bits - STEP_BITS)) & (STEPS - 1);
    size_t bucket = (bits - FIRST_BUCKET_BITS) * STEPS + step + 1;
    return bucket < MEASURE_BUCKETS ? bucket : MEASURE_BUCKETS - 1;
}

/* The longest duration in a bucket. */
static uint64_t bucket_end(size_t bucket)
{
    if (bucket == 0) {
        return (1U << FIRST_BUCKET_BITS) - 1;
    }
    unsigned bits = FIRST_BUCKET_BITS + (unsigned)((bucket - 1) / STEPS);
    uint64_t step = (bucket - 1) % STEPS;
    return ((uint64_t)1 << bits) + ((step + 1) << (bits - STEP_BITS)) - 1;
}

static uint64_t load(const atomic_uint_least64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static void add(atomic_uint_least64_t *number, uint64_t amount)
{
    atomic_fetch_add_explicit(number, amount, memory_order_relaxed);
}

uint64_t measure_within(const struct measure_counts *counts, uint64_t ns)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < MEASURE_BUCKETS && bucket_end(i) <= ns; i++) {
        sum += load(&counts->buckets[i]);
    }
    return sum;
}

uint64_t measure_percentile_ns(const struct measure_counts *counts, double percent)
{
    uint64_t all = 0;
    for (size_t i = 0; i < MEASURE_BUCKETS; i++) {
        all += load(&counts->buckets[i]);
    }
    double wanted = (double)all * percent / 100;
    uint64_t sum = 0;
    for (size_t i = 0; i < MEASURE_BUCKETS; i++) {
        sum += load(&counts->buckets[i]);
        if (sum > 0 && (double)sum >= wanted) {
            return bucket_end(i);
        }
    }
    return 0;
}

/* ---- The table ---- */

static size_t place_of(const struct measure *measure, const struct command *command)
{
    uint64_t hash = (uint64_t)(uintptr_t)command * 0x9E3779B97F4A7C15u;
    return (size_t)(hash >> 32) & (measure->capacity - 1);
}

static void insert(struct measure *measure, const struct command *container,
                   const struct command *command)
{
    struct measure_counts *counts = calloc(1, sizeof(*counts));
    if (counts == NULL) {
        abort();
    }
    counts->command = command;
    counts->container = container;
    size_t place = place_of(measure, command);
    while (measure->table[place] != NULL) {
        place = (place + 1) & (measure->capacity - 1);
    }
    measure->table[place] = counts;
}

static size_t count_all(void)
{
    size_t position = 0;
    size_t count = 0;
    const struct command *command;
    while ((command = command_next(&position)) != NULL) {
        const struct command *sub = command->subcommands;
        for (count++; sub != NULL && sub->name != NULL; sub++) {
            count++;
        }
    }
    return count;
}

struct measure *measure_new(void)
{
    struct measure *measure = calloc(1, sizeof(*measure));
    if (measure == NULL) {
        abort();
    }
    measure->capacity = 64;
    while (measure->capacity < 2 * count_all()) {
        measure->capacity *= 2;
    }
    measure->table = calloc(measure->capacity, sizeof(struct measure_counts *));
    if (measure->table == NULL) {
        abort();
    }
    atomic_store(&measure->slow_ns, UINT64_MAX);
    size_t position = 0;
    const struct command *command;
    while ((command = command_next(&position)) != NULL) {
        insert(measure, NULL, command);
        const struct command *sub = command->subcommands;
        for (; sub != NULL && sub->name != NULL; sub++) {
            insert(measure, command, sub);
        }
    }
    return measure;
}

void measure_free(struct measure *measure)
{
    if (measure == NULL) {
        return;
    }
    for (size_t i = 0; i < measure->capacity; i++) {
        free(measure->table[i]);
    }
    free(measure->table);
    free(measure);
}

struct measure_counts *measure_find(const struct measure *measure, const struct command *command)
{
    size_t place = place_of(measure, command);
    while (measure->table[place] != NULL && measure->table[place]->command != command) {
        place = (place + 1) & (measure->capacity - 1);
    }
    return measure->table[place];
}

struct measure_counts *measure_next(const struct measure *measure, size_t *position)
{
    while (*position < measure->capacity) {
        struct measure_counts *counts = measure->table[(*position)++];
        if (counts != NULL) {
            return counts;
        }
    }
    return NULL;
}

/* ---- Counting ---- */

uint64_t measure_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void measure_count(struct measure *measure, const struct measure_run *run)
{
    struct measure_counts *counts = measure_find(measure, run->command);
    if (counts == NULL) {
        return;
    }
    add(&counts->calls, 1);
    add(&counts->failed, run->failed ? 1 : 0);
    add(&counts->total_ns, run->duration_ns);
    add(&counts->buckets[bucket_of(run->duration_ns)], 1);
}

bool measure_is_own(const struct measure *measure, const struct waiter_id *who)
{
    return who->node == measure->node && who->boot == measure->boot;
}

void measure_slow(const struct measure *measure, const struct waiter_id *who,
                  const struct measure_run *run, const rr_bytes *argv, size_t argc)
{
    if (measure->slow != NULL && run->duration_ns >= load(&measure->slow_ns)) {
        measure->slow(measure->slow_arg, who, run, argv, argc);
    }
}

void measure_lookups(struct measure *measure, uint64_t found, uint64_t missing)
{
    add(&measure->hits, found);
    add(&measure->misses, missing);
}

void measure_expired(struct measure *measure)
{
    add(&measure->expired, 1);
}

void measure_rejected(struct measure *measure, const struct command *command)
{
    struct measure_counts *counts = measure_find(measure, command);
    if (counts != NULL) {
        add(&counts->rejected, 1);
    }
}

void measure_reset(struct measure *measure)
{
    size_t position = 0;
    struct measure_counts *counts;
    while ((counts = measure_next(measure, &position)) != NULL) {
        atomic_store(&counts->calls, 0);
        atomic_store(&counts->failed, 0);
        atomic_store(&counts->rejected, 0);
        atomic_store(&counts->total_ns, 0);
        for (size_t i = 0; i < MEASURE_BUCKETS; i++) {
            atomic_store(&counts->buckets[i], 0);
        }
    }
    atomic_store(&measure->hits, 0);
    atomic_store(&measure->misses, 0);
    atomic_store(&measure->expired, 0);
}
