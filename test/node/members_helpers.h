/*
 * What tests of members and snapshots need beyond cluster.h: nodes opened in other ways, what they
 * log, how they halt, waiting for what they publish.
 */
#ifndef TEST_NODE_MEMBERS_HELPERS_H
#define TEST_NODE_MEMBERS_HELPERS_H

#include "cluster.h"

/* Opens the node of that id with `join_count` addresses to join through (none: it founds). */
void open_joining(struct cluster *cluster, uint64_t id, const char *const *join, size_t join_count);

/* Opens it so that it neither founds nor joins. */
void open_waiting(struct cluster *cluster, uint64_t id);

/* Waits until it is a member, in the role that it joins for. */
void await_member(struct cluster *cluster, uint64_t id);

/* Waits until node `at` lists `id` in that role, or lists it not at all. */
void await_role(struct cluster *cluster, uint64_t at, uint64_t id, rr_member_role role);
void await_absent(struct cluster *cluster, uint64_t at, uint64_t id);

/* Whether node `at` lists `id`; `out` (unless NULL) receives the record. */
bool find_member(struct cluster *cluster, uint64_t at, uint64_t id, rr_member *out);

/* Removes everything in the directory of a closed node. */
void wipe(struct cluster *cluster, uint64_t id);

/* Waits until every open node has applied what the leader has, and all hold the same. */
void expect_equal_states(struct cluster *cluster);

/* One metric of a node by name. */
uint64_t metric(struct cluster *cluster, uint64_t id, const char *name);

/* Keeps the lines that a node logs, for tests that look for one. Set up before it is opened. */
struct log_lines;
struct log_lines *log_lines_of(struct cluster *cluster, uint64_t id);

/* Waits for a line that contains `part`. */
void await_line(struct log_lines *lines, const char *part);
void log_lines_free(struct log_lines *lines);

/* Waits until the node halts; returns with why. The reason lasts until the next call. */
const char *await_halt(struct cluster *cluster, uint64_t id, rr_status *status);

/* Writes `count` pairs of keys "PREFIX-number" through the node, `size` bytes each. */
void write_many(struct cluster *cluster, uint64_t id, const char *prefix, int count, size_t size);

#endif
