/*
 * Children that a test kills or that end themselves half way.
 *
 * RocksDB's background threads do not survive fork, and their pool is one per process, so a child
 * that uses RocksDB is the same program executed anew:
 *
 *     CHILD(writes_for_ever)
 *     {
 *         struct log_store *store = open(child->directory);
 *         ...
 *     }
 *
 *     pid_t pid = child_start("writes_for_ever", &(struct child){.directory = directory, .fd = 5});
 */
#ifndef TEST_STORAGE_CHILD_H
#define TEST_STORAGE_CHILD_H

#include "storage/file.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What a child is told. */
struct child {
    const char *directory;
    int fd;         /* to report to; -1: none */
    uint64_t fault; /* the step to fail at, see file_fault_after; set before the body runs */
    int fault_kind; /* an enum file_fault */
};

/* Defines what the child of this name does, in place of main; exits with 0 at its end. */
#define CHILD(name)                                                                                \
    static void child_##name(const struct child *child);                                           \
    __attribute__((constructor)) static void run_child_##name(void)                                \
    {                                                                                              \
        child_run_if_asked(#name, child_##name);                                                   \
    }                                                                                              \
    static void child_##name(const struct child *child)

void child_run_if_asked(const char *name, void (*body)(const struct child *child));

pid_t child_start(const char *name, const struct child *child);

/* Starts one that reports numbers, kills it once `reports` of them came, and returns the last. */
uint64_t child_kill_after(const char *name, const char *directory, uint64_t reports);

/* Whether the child ends by abort(), as a failed ASSERT does. */
bool child_aborts(const char *name, const char *directory);

/* Tells the parent a number. */
void child_report(const struct child *child, uint64_t number);

/*
 * Runs the child with its fault at step `nth`; returns whether the fault was met. A child that
 * meets an exit ends there; one that meets an error or nothing must end with 0, or the test fails.
 */
bool child_meets_fault(const char *name, const char *directory, uint64_t nth, int fault_kind);

/* Work on `path` with file_fault_after(nth, fault); `pending` becomes whether the fault was not met. It
 * uses no RocksDB, so it may run in a fork. */
typedef void (*child_step_fn)(const char *path, uint64_t nth, enum file_fault fault, bool *pending);

/* Runs the step, in a child if the fault is an exit, and returns whether it was not met. */
bool child_step(child_step_fn step, const char *path, uint64_t nth, enum file_fault fault);

#endif
