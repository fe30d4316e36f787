/* What the files of the applier share: the object, and the sessions' part of it. */
#ifndef NODE_APPLY_PRIVATE_H
#define NODE_APPLY_PRIVATE_H

#include "node/apply.h"

#include "command/call.h"
#include "command/command.h"
#include "node/session_table.h"

enum { REASON_BYTES_MAX = STORAGE_ERROR_BYTES_MAX + 256 };

struct applier {
    struct logger logger;
    rr_procedure *procedures; /* by name, then version; names and array are our own */
    size_t procedure_count;
    struct session_table sessions;
    raft_index index;     /* of the last entry applied */
    uint64_t time_ms;     /* the logical clock */
    bool clock_changed;   /* since the last applier_finish */
    struct buffer result; /* of the last entry */
    struct buffer key;    /* scratch, likewise the next */
    struct buffer value;
    struct storage_error error;
    char reason[REASON_BYTES_MAX];
};

/* What a session has to say of a command before it runs. */
enum session_verdict {
    SESSION_RUN = 0,      /* run it; the session is in `out`, NULL if the command has none */
    SESSION_ANSWERED = 1, /* applier->result is the answer */
};

/* Reads all sessions from the state. RR_OK, RR_CORRUPT, RR_IO, RR_NO_MEMORY. */
RR_MUST_USE rr_status apply_sessions_load(struct applier *applier, struct state *state);

/* Removes a few of the sessions that have expired at the present clock. RR_OK or RR_NO_MEMORY. */
RR_MUST_USE rr_status apply_sessions_sweep(struct applier *applier, struct state_batch *batch);

/* Opens the session `index`, pushing out the oldest if there are too many. RR_OK or
 * RR_NO_MEMORY. */
RR_MUST_USE rr_status apply_session_open(struct applier *applier, struct state_batch *batch,
                                         raft_index index);

/* Looks whether the command is new to its session. Fails as applier_apply does. */
RR_MUST_USE rr_status apply_session_check(struct applier *applier, struct state_batch *batch,
                                          raft_index index, const struct command *command,
                                          enum session_verdict *verdict, struct session **out);

/* Keeps applier->result as the session's last, under the command's sequence. RR_OK or
 * RR_NO_MEMORY. */
RR_MUST_USE rr_status apply_session_store(struct applier *applier, struct state_batch *batch,
                                          raft_index index, const struct command *command,
                                          struct session *session);

/* Runs a transaction or a call. Fails as applier_apply does. */
RR_MUST_USE rr_status apply_txn(struct applier *applier, struct state_batch *batch,
                                raft_index index, const struct command *command);
RR_MUST_USE rr_status apply_call(struct applier *applier, struct state_batch *batch,
                                 raft_index index, const struct command *command);

/* The procedure of exactly that name and version, or NULL. */
const rr_procedure *apply_find_procedure(const struct applier *applier, const struct call *call);

/* Sets applier->result to an answer without values. RR_OK or RR_NO_MEMORY. */
RR_MUST_USE rr_status apply_answer(struct applier *applier, rr_status status, raft_index index,
                                   const char *message);

#endif
