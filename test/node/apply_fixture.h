/* A replica for tests of applying: a state in a directory of its own, a batch, an applier. */
#ifndef NODE_APPLY_FIXTURE_H
#define NODE_APPLY_FIXTURE_H

#include "support/test.h"

#include "command/command.h"
#include "command/result.h"
#include "node/apply.h"
#include "node/txn.h"

struct replica {
    struct state *state;
    struct state_batch *batch;
    struct applier *applier;
    const char *path;
    const rr_procedure *procedures;
    size_t procedure_count;
    raft_index index;      /* of the last entry */
    struct buffer payload; /* scratch of the functions below */
    struct buffer read;
    struct result result; /* of the last entry or read; lasts until the next */
};

void replica_open(struct replica *replica, const rr_procedure *procedures, size_t count);
void replica_close(struct replica *replica);

/* Commits, closes the state and opens it again with a new applier. */
void replica_restart(struct replica *replica);

/* Applies one entry, which must not halt; returns the answer's status. Nothing is committed. */
rr_status replica_apply(struct replica *replica, rr_bytes payload);
rr_status replica_commit(struct replica *replica);

/* The same for an entry that must halt the node: returns what applier_apply did. */
rr_status replica_apply_halting(struct replica *replica, rr_bytes payload);

/* Applies a command with its header as given; the body is `txn`, which is freed. */
rr_status replica_txn(struct replica *replica, const struct command *header, rr_txn *txn);

/* Applies the call of version 1 of a procedure. */
rr_status replica_call(struct replica *replica, const struct command *header, const char *name,
                       const char *input);

/* Without session at time 1: one set; opening a session. */
void replica_set(struct replica *replica, const char *key, const char *value);
uint64_t replica_session(struct replica *replica, uint64_t time_ms);

/* Commits and reads a key; "(absent)" without one. The text lasts until the next call. */
const char *replica_get(struct replica *replica, const char *key);

/* Commits and digests the whole state, sessions and clock included. */
uint64_t replica_digest(struct replica *replica);

/* The i-th value of the last result as text, "(absent)" without one. */
const char *replica_value(struct replica *replica, size_t i);

#endif
