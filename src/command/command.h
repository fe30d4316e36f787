/*
 * The payload of a normal log entry: what is to be done, and all that replicas could not agree on
 * by themselves (time, randomness, limits).
 *
 * An empty payload is Raft's own entry at the start of a term and is no command. The body is
 * described by txn.h and call.h; other kinds have none. Pure functions; any thread.
 */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include "base/buffer.h"
#include "command/command_limits.h"

enum { COMMAND_VERSION = 1 };

/* New kinds and new meanings of a body take a new COMMAND_VERSION: a replica that does not know the
 * version halts, while one that did not know a kind would answer RR_INVALID where others act. */
enum command_kind {
    COMMAND_NOOP = 0,    /* nothing but the time: moves the logical clock on */
    COMMAND_TXN = 1,     /* a transaction */
    COMMAND_CALL = 2,    /* a procedure's call */
    COMMAND_SESSION = 3, /* opens a client session, whose id is the entry's index */
};

struct command {
    enum command_kind kind;
    uint64_t time_ms; /* the leader's clock since 1970, never behind an earlier entry's; 0 until the
                       * leader sets it */
    uint64_t seed;    /* calls only: seeds rr_view_random; 0 until the leader sets it */
    uint64_t session; /* 0: none; transactions and calls only */
    uint64_t sequence;         /* within the session, from 1; 0 without one */
    uint64_t result_bytes_max; /* the answer's limit if below COMMAND_RESULT_BYTES_MAX; 0: that */
    rr_bytes body;             /* borrowed */
};

/*
 * Appends the bytes of `command`. Where the body is still to be made, leave it empty and append it
 * to the same buffer afterwards: it is everything up to the end.
 */
void command_encode(struct buffer *buffer, const struct command *command);

/*
 * Reads the header and finds the body, which is not looked at; it borrows from `bytes`.
 * RR_OK, RR_CORRUPT (malformed, also: empty) or RR_MISMATCH (written by a newer version).
 */
RR_MUST_USE rr_status command_decode(rr_bytes bytes, struct command *out);

/*
 * Sets time and seed in encoded bytes that command_decode accepts: the leader's part, just before
 * it proposes. `seed` is used by a call alone.
 */
void command_stamp(uint8_t *bytes, size_t size, uint64_t time_ms, uint64_t seed);

/*
 * Checks a whole command, body and limits included, before it is proposed: what passes is never
 * answered RR_INVALID at apply. RR_OK, RR_INVALID, RR_TOO_BIG (over a limit of command_limits.h) or
 * RR_MISMATCH (a newer version).
 */
RR_MUST_USE rr_status command_check(rr_bytes bytes);

/* The largest answer that the command allows, COMMAND_RESULT_BYTES_MAX at most. */
size_t command_result_bytes_max(const struct command *command);

#endif
