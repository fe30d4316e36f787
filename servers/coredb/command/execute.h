/*
 * Runs batches over the data: the procedure "coredb" at apply, and the query on the node that was
 * asked.
 */
#ifndef COREDB_COMMAND_EXECUTE_H
#define COREDB_COMMAND_EXECUTE_H

#include "coredb/value/event.h"

#include <rockraft/rockraft.h>

struct exec;    /* command.h */
struct measure; /* measure.h */

/* Receives the events of the batch at log index `index` after it has succeeded. The node's thread;
 * must not block. */
typedef void (*execute_events_fn)(void *arg, uint64_t index, const struct events *events);

/* What the procedure's `arg` points to. Lives as long as the node. */
struct execute {
    execute_events_fn events; /* NULL: nobody wants them */
    void *events_arg;
    struct measure *measure; /* NULL: nothing is counted */
};

/* The procedure, version 1, to be registered under "coredb". */
rr_status execute_procedure(void *execute, rr_view *view, rr_bytes input, rr_output *output);

/* The query; `execute` may be NULL. RR_REJECTED with a text: the batch is not one that may run as
 * a query, or is malformed. */
rr_status execute_query(void *execute, rr_view *view, rr_bytes input, rr_output *output);

/* Runs one command as a script or EXEC does: resolved, arity checked, with a savepoint; exactly one
 * reply is written. `exec` is complete but for `command`. */
void execute_command(struct exec *exec);

#endif
