/* What benchmarks of storage share: clocks, samples, a line of figures. Each program includes it once. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "storage/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SAMPLES_MAX = 1000000 };

static uint64_t samples[SAMPLES_MAX]; /* nanoseconds */
static size_t sample_count;

static inline uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline uint64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline int compare_samples(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static inline void add_sample(uint64_t ns)
{
    if (sample_count < SAMPLES_MAX) {
        samples[sample_count++] = ns;
    }
}

struct figures {
    double p50; /* us */
    double p99;
    double cpu;     /* us per item */
    double written; /* bytes per byte of payload */
};

/* One line: per call, and per item of which `items` are in a call. */
static inline struct figures report(const char *what, unsigned items, uint64_t elapsed,
                                    uint64_t cpu)
{
    qsort(samples, sample_count, sizeof(samples[0]), compare_samples);
    double calls = (double)sample_count;
    struct figures figures = {
        .p50 = (double)samples[sample_count / 2] / 1000,
        .p99 = (double)samples[sample_count * 99 / 100] / 1000,
        .cpu = (double)cpu / calls / items / 1000,
    };
    printf("%-34s %5u  p50 %8.1f us  p99 %8.1f us  %9.0f items/s  cpu %6.2f us/item\n", what, items,
           figures.p50, figures.p99, calls * items * 1e9 / (double)elapsed, figures.cpu);
    fflush(stdout);
    sample_count = 0;
    return figures;
}

static inline void require(rr_status status, const struct storage_error *error)
{
    if (status != RR_OK) {
        fprintf(stderr, "%s\n", error->text);
        exit(1);
    }
}

/* Bytes that this process has caused to be written, on all its threads. */
static inline uint64_t bytes_written(void)
{
    FILE *file = fopen("/proc/self/io", "r");
    char line[128];
    uint64_t bytes = 0;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, "write_bytes: %" SCNu64, &bytes);
    }
    if (file != NULL) {
        fclose(file);
    }
    return bytes;
}

static inline const char *part(const char *directory, const char *name)
{
    static char paths[8][4096];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

#endif
