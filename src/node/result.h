/*
 * The public API's result: a thin object over encoded bytes (command/result.h). Whoever makes one
 * owns it; once made it does not change, so any thread may read it.
 */
#ifndef NODE_RESULT_H
#define NODE_RESULT_H

#include "rockraft/rockraft.h"

#include "command/result.h"

struct rr_result {
    struct result decoded;
    void *memory; /* the bytes that `decoded` borrows, if they are the result's own */
};

/* On the caller's memory and over borrowed bytes that were encoded in this process, for the time of
 * a `done`: needs neither memory nor rr_result_free. */
void result_borrow(rr_result *result, rr_bytes bytes);

/* The same for an answer of nothing but a text, which is borrowed and may be NULL. */
void result_borrow_message(rr_result *result, rr_status status, const char *message);

/* A result that holds a copy of the bytes, checked: from another node. To be freed with
 * rr_result_free. RR_OK, RR_CORRUPT or RR_NO_MEMORY. */
RR_MUST_USE rr_status result_open(rr_bytes bytes, rr_result **out);

#endif
