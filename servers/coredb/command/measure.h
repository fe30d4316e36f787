/*
 * What commands cost on this node: how often they ran, how long, what they found. For INFO, SLOWLOG
 * and LATENCY; what a command does never depends on it.
 *
 * Counted are commands of this node's own clients, where they run: a read on this node, a write as
 * this node applies it, without the time on its way through the log. Expired keys are counted on
 * every node. Any thread, except where noted.
 */
#ifndef COREDB_COMMAND_MEASURE_H
#define COREDB_COMMAND_MEASURE_H

#include "coredb/base/buffer.h"
#include "coredb/command/command.h"

#include <stdatomic.h>

/* The first bucket is up to 127 ns, then there are eight in each doubling. */
enum { MEASURE_BUCKETS = 250 };

/* One command's. */
struct measure_counts {
    const struct command *command;
    const struct command *container; /* NULL: none */
    atomic_uint_least64_t calls;
    atomic_uint_least64_t failed;   /* answered an error */
    atomic_uint_least64_t rejected; /* refused before they ran */
    atomic_uint_least64_t total_ns;
    atomic_uint_least64_t buckets[MEASURE_BUCKETS]; /* by duration */
};

/* A command that ran. */
struct measure_run {
    const struct command *command;
    uint64_t duration_ns;
    bool failed;
};

/* A slow one: who sent it, and its arguments, which last for the call. */
typedef void (*measure_slow_fn)(void *arg, const struct waiter_id *who,
                                const struct measure_run *run, const rr_bytes *argv, size_t argc);

struct measure {
    struct measure_counts **table; /* by the command's address */
    size_t capacity;
    uint64_t node; /* whose clients' commands are counted: this start of this node */
    uint64_t boot;
    atomic_uint_least64_t slow_ns; /* from here on `slow` is called; UINT64_MAX: never */
    measure_slow_fn slow;
    void *slow_arg;
    atomic_uint_least64_t hits; /* keys that reads found, or did not */
    atomic_uint_least64_t misses;
    atomic_uint_least64_t expired; /* keys */
};

/* Main thread, when the table of commands is complete. */
struct measure *measure_new(void);
void measure_free(struct measure *measure); /* NULL is fine */

/* A clock that only goes forward. */
uint64_t measure_now_ns(void);

/* The counts of a command or subcommand; NULL: not in the table. */
struct measure_counts *measure_find(const struct measure *measure, const struct command *command);

/* All counts, in the order of the table: *position begins at 0; NULL at the end. */
struct measure_counts *measure_next(const struct measure *measure, size_t *position);

/* Whether commands of that sender are counted here. */
bool measure_is_own(const struct measure *measure, const struct waiter_id *who);

void measure_count(struct measure *measure, const struct measure_run *run);
/* Tells of it if it was slow. */
void measure_slow(const struct measure *measure, const struct waiter_id *who,
                  const struct measure_run *run, const rr_bytes *argv, size_t argc);
/* Keys that a read looked up. */
void measure_lookups(struct measure *measure, uint64_t found, uint64_t missing);
/* A key has expired. */
void measure_expired(struct measure *measure);
void measure_rejected(struct measure *measure, const struct command *command);

/* All counts begin anew: CONFIG RESETSTAT. */
void measure_reset(struct measure *measure);

/* How many of a command's runs took at most `ns`, and the duration that `percent` of them did not
 * exceed: both as exact as the buckets are, within an eighth. */
uint64_t measure_within(const struct measure_counts *counts, uint64_t ns);
uint64_t measure_percentile_ns(const struct measure_counts *counts, double percent);

#endif
