/*
 * Applies committed entries to the state, one after another, the same on every replica; and reads
 * for users from what was applied.
 *
 * What an entry does depends on the entry and on the state alone. It owns the meaning of commands
 * (docs/command-format.md), of sessions and of the logical clock; it leaves the order of entries,
 * positions, configurations and the waiters to the driver.
 *
 * Invariants:
 * 1. What replicas hold after the same entries is equal, however the entries fell into batches.
 * 2. An entry changes the user's keys wholly or not at all.
 * 3. Whatever is answered to a session's command is in the same batch as its effect.
 */
#ifndef NODE_APPLY_H
#define NODE_APPLY_H

#include "rockraft/rockraft.h"

#include "base/log.h"
#include "raft/types.h"
#include "storage/state.h"

struct applier;

/*
 * An applier of the procedures, which are copied. RR_OK, or RR_INVALID: a name that is empty or
 * too long, no function, or two procedures of one name and version. `logger` is copied.
 */
RR_MUST_USE rr_status applier_new(const rr_procedure *procedures, size_t procedure_count,
                                  const struct logger *logger, struct applier **out);
void applier_free(struct applier *applier); /* NULL is fine */

/*
 * Reads the clock and the sessions from the state. Needed before the first entry, after a snapshot
 * was installed, and when a batch was dropped. RR_OK; RR_CORRUPT, RR_IO, RR_NO_MEMORY: the node
 * cannot go on; `error` has a text.
 */
RR_MUST_USE rr_status applier_load(struct applier *applier, struct state *state,
                                   struct storage_error *error);

/* What an entry came to. */
struct applied {
    rr_status status; /* the one in `result` */
    rr_bytes result;  /* encoded as command/result.h has it; for whoever waits for the entry */
};

/*
 * Applies the payload of the committed normal entry at `index`, which is above that of the call
 * before, into `batch`. An empty payload changes nothing and is answered RR_OK.
 *
 * The owner's thread. `out` lasts until the next call on `applier`. The batch is the caller's, who
 * calls applier_finish, sets the position and commits it; it may hold any number of entries.
 *
 * Returns RR_OK when the entry is applied, whatever its answer. Else the node must halt for the
 * reason in applier_reason, and the batch be dropped: RR_MISMATCH (a procedure or a command version
 * that this node does not have), RR_IO, RR_CORRUPT or RR_NO_MEMORY (the state could not be read or
 * the batch not written).
 */
RR_MUST_USE rr_status applier_apply(struct applier *applier, struct state_batch *batch,
                                    raft_index index, rr_bytes payload, struct applied *out);

/* Ends a batch: writes what changes with every entry, once. Before each commit. RR_OK or
 * RR_NO_MEMORY: halt. */
RR_MUST_USE rr_status applier_finish(struct applier *applier, struct state_batch *batch);

/* Why applier_apply failed: one line, static until the next call. */
const char *applier_reason(const struct applier *applier);

/* The logical clock: the latest time of any entry applied. A leader never proposes an earlier one:
 * it takes the largest of this, its own clock, and the last time it proposed. */
uint64_t applier_time_ms(const struct applier *applier);

/* The logical clock as of the moment of `view`, on the thread that uses it. RR_OK, RR_CORRUPT,
 * RR_IO, RR_NO_MEMORY. */
RR_MUST_USE rr_status apply_view_time(struct state_view *view, uint64_t *time_ms,
                                      struct storage_error *error);

/* The session count, expired ones that were not yet swept included; for metrics. */
uint32_t applier_session_count(const struct applier *applier);

/* The procedure of that name with the highest version, or NULL: what a call by name means. Lasts
 * as long as the applier, and may be called on any thread. */
const rr_procedure *applier_procedure(const struct applier *applier, rr_bytes name);

/*
 * Checks a command before it is proposed, whoever sent it: what passes neither halts a replica that
 * has the same procedures nor is answered RR_INVALID. Any thread.
 *
 * RR_OK, RR_INVALID (malformed), RR_TOO_BIG (over a limit of base/limits.h; settings are the
 * caller's to check), RR_NOT_FOUND (no procedure of that name), RR_MISMATCH (not that version of
 * it, or a command of a newer version).
 */
RR_MUST_USE rr_status applier_check(const struct applier *applier, rr_bytes payload);

/* ---- Reading for users, from what is committed to the state; any thread ---- */

/*
 * Replaces `out` by the encoded result of reading `key`, with `index` in it as what it was read at.
 * Returns the status in the result: RR_OK with one value, or RR_NOT_FOUND with none; or a failure,
 * `out` then being empty: RR_IO, RR_CORRUPT (with a text), RR_NO_MEMORY.
 */
RR_MUST_USE rr_status apply_get(struct state *state, rr_bytes key, raft_index index,
                                struct buffer *out, struct storage_error *error);

/* A page of the user's keys. */
struct apply_range {
    rr_bytes prefix;    /* empty: all keys */
    rr_bytes after;     /* only greater keys; empty: from the start, the empty key included */
    uint64_t count_max; /* 0: no limit */
    size_t bytes_max;   /* of the encoded result, but at least one pair */
};

/*
 * As apply_get, for the pairs of the range, ascending, as of one moment. RR_OK also without any. A
 * page does not end at the empty key, for `after` could not name it: it takes one pair more.
 */
RR_MUST_USE rr_status apply_scan(struct state *state, const struct apply_range *range,
                                 raft_index index, struct buffer *out, struct storage_error *error);

#endif
