/*
 * What rockraft-inspect, whose reader shares no code with the store, says of a log.
 *
 * The program is the one beside the test's (build/bin).
 */
#ifndef TEST_STORAGE_INSPECT_H
#define TEST_STORAGE_INSPECT_H

#include "storage/log_store.h"

enum { INSPECT_CLEAN = 0, INSPECT_DAMAGE = 1, INSPECT_UNREAD = 2 };

/* A group as the program prints it. */
struct inspect_group {
    bool exists;
    uint64_t term, vote, commit, base, base_term, last, last_term;
};

/*
 * Runs `rockraft-inspect hard-state` for the log in `directory`/log and returns its exit status.
 * `groups` has room for those with ids below `count`; a group of another id fails the test.
 */
int inspect_log_groups(const char *directory, struct inspect_group *groups, uint32_t count);

/* Receives a line of the program's output. */
typedef void (*inspect_line_fn)(void *arg, const char *line);

/* Runs the program with these arguments, up to a NULL, and returns its exit status. */
int inspect_run(const char *const *arguments, inspect_line_fn each, void *arg);

#endif
