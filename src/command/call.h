/* A procedure's call as bytes: the body of a COMMAND_CALL. Pure functions; any thread. */
#ifndef COMMAND_CALL_H
#define COMMAND_CALL_H

#include "base/buffer.h"
#include "command/command_limits.h"

struct call {
    rr_bytes name;    /* 1 to PROCEDURE_NAME_BYTES_MAX bytes */
    uint32_t version; /* exactly this one runs, on every replica */
    rr_bytes input;
};

/* Appends the call. */
void call_encode(struct buffer *buffer, const struct call *call);

/* Borrows from `body`. RR_OK or RR_INVALID. */
RR_MUST_USE rr_status call_decode(rr_bytes body, struct call *out);

#endif
