/*
 * Commands that wait for a key, and how those who wait are served. value/waiter.h tells the whole
 * story; here are its commands. When a wait ends in a timeout, the connection answers a null array
 * whatever the command, as Redis does.
 */
#ifndef COREDB_COMMAND_BLOCKING_H
#define COREDB_COMMAND_BLOCKING_H

#include "coredb/command/command.h"
#include "coredb/value/waiter.h"

/* Parses argv[i] as a timeout in seconds, or in whole milliseconds; false: answered. */
bool blocking_timeout(struct exec *exec, size_t i, bool in_seconds, uint64_t *timeout_ms);

/* What to wait for. */
struct blocking_wait {
    enum waiter_operation operation;
    rr_bytes parameters;
    const rr_bytes *keys;
    size_t key_count;
    uint64_t timeout_ms; /* 0: for ever */
    bool null_bulk;      /* where nobody may wait the answer is null rather than a null array */
};

/*
 * Registers the client as a waiter, and nothing is replied yet. Where it may not wait (in EXEC and
 * scripts) the answer is null at once; in a query, the batch is run again through the log.
 */
void blocking_wait(struct exec *exec, const struct blocking_wait *wait);

/* Serves all whose keys became ready. The executor calls it after each command or transaction; it
 * costs nothing when no key did. */
void waiters_serve(struct store *store);

#endif
