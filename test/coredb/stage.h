/*
 * A stage for commands that wait: one node in a fresh directory, whose entries run what a test says,
 * as clients that the test names, at a time that the test sets.
 *
 * Replies are text: RESP with a space for each line's end, so that "*2 $1 k $1 v " is an array.
 * What a function returns lasts until the stage is freed.
 */
#ifndef COREDB_TEST_STAGE_H
#define COREDB_TEST_STAGE_H

#include "coredb/command/command.h"
#include "coredb/value/waiter.h"

struct stage;

/* Opens a node that founds a cluster of its own in a fresh folder, with this one procedure, and
 * waits until it is a member. Its calls may take a minute. */
rr_node *stage_open_node(const rr_procedure *procedure);

struct stage *stage_new(void);
void stage_free(struct stage *stage);

/* The time of the entries from now on; at first 1,000,000. */
void stage_set_time(struct stage *stage, uint64_t now_ms);

/* Node and start of the clients that wait from now on; at first 1 and 1. */
void stage_set_node(struct stage *stage, uint64_t node, uint64_t boot);

/* Runs a command, words with single spaces, in an entry of its own, then serves waiters. The reply,
 * or "waits". The waiter's number is the count of calls of this function before. */
const char *stage_command(struct stage *stage, const char *line);
/* The number that the last stage_command had. */
uint64_t stage_number(const struct stage *stage);

/* Runs commands, one a line, as a transaction. The replies, one after another. */
const char *stage_exec(struct stage *stage, const char *lines);

/* The reply that came for a waiter as an event, NULL if none; the test fails if there were two. */
const char *stage_answer(const struct stage *stage, uint64_t number);

/* The numbers of served waiters, in the order of their events, as "3 1 2 ". */
const char *stage_order(struct stage *stage);

/* Runs code over the store in an entry of its own; `keep` false undoes what it wrote. */
typedef void (*stage_fn)(struct store *store, void *arg);
void stage_run(struct stage *stage, bool keep, stage_fn fn, void *arg);

/* Looks over all that is stored: see store_check.h. The test fails if something does not fit. */
void stage_check(struct stage *stage);

#endif
