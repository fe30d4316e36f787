/*
 * One request and its answer.
 *
 * An exchange belongs to the HTTP thread, except between exchange_suspend and the resumption of
 * its connection: then the node's thread stores how the operation ended, touches it no more, and
 * wakes the connection.
 *
 * A handler runs once the body is complete, and does one of two things: it answers (with
 * exchange_answer, or an exchange_fail function), or it begins one operation of the node:
 *
 *     exchange_suspend(exchange, finish);
 *     exchange_begun(exchange, rr_node_get(node, ..., exchange_done, exchange));
 *
 * and `finish`, back on the HTTP thread, answers from exchange->status and exchange->result, or
 * begins another operation.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "http/route.h"
#include "http/text.h"

#include <rockraft/rockraft.h>

#include <microhttpd.h>

struct server;

enum exchange_stage {
    EXCHANGE_NEW,       /* only its target is known */
    EXCHANGE_RECEIVING, /* the body is coming in, or a handler runs */
    EXCHANGE_SUSPENDED, /* the node works on it */
    EXCHANGE_ANSWERED   /* the answer is the HTTP library's */
};

/* What an error says about a write. */
enum outcome { OUTCOME_NONE, OUTCOME_NOT_APPLIED, OUTCOME_UNKNOWN, OUTCOME_APPLIED };

struct exchange {
    struct server *server;
    struct MHD_Connection *connection;
    enum exchange_stage stage;
    uint64_t started_us; /* on the monotonic clock */

    char *target; /* as it came, terminated */
    rr_bytes path;
    rr_bytes query;
    const struct route *route; /* NULL for unknown ones */
    unsigned allowed;          /* METHOD_ bits of the path, for a 405 */

    struct text body;
    size_t body_reserved; /* of server->bodies_bytes */
    uint64_t body_size;   /* received, kept or not */
    bool refused;         /* the answer is an error already; the body is only drained */

    void (*finish)(struct exchange *exchange);
    const char *failure; /* "Failed to read: ", before the cause */
    bool wants_result;   /* on success, too */
    rr_status status;    /* of the node's operation */
    rr_result *result;   /* a copy; may be NULL */
    bool crowded;        /* too many answers are being sent for this one's result */

    struct text key; /* what the answer repeats of the request */
    struct text value;
    uint64_t number;

    struct text answer;
    unsigned answer_status;
    const char *content_type;
    unsigned retry_after_s; /* 0: no such header */
    size_t answer_reserved; /* of server->answers_bytes */
};

/* A new exchange for `target`, or NULL without memory. */
struct exchange *exchange_new(struct server *server, struct MHD_Connection *connection,
                              const char *target);

/* Frees it with all it holds. NULL is fine. */
void exchange_free(struct exchange *exchange);

/* Frees the body, once nobody needs it any more. */
void exchange_drop_body(struct exchange *exchange);

/* ---- Answers ---- */

/* Begins a JSON answer of status 200, for the handler to write. */
struct text *exchange_answer(struct exchange *exchange);

/* Answers with an error and what it means for a write; a printf-like text of up to 1023 bytes. */
void exchange_fail(struct exchange *exchange, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with the text BEFORE'KEY'AFTER, for any key. */
void exchange_fail_key(struct exchange *exchange, unsigned status, const char *before, rr_bytes key,
                       const char *after);

/* Answers with exchange->failure and the cause of exchange->status. */
void exchange_fail_operation(struct exchange *exchange);

/* Answers {"success":true,"message":"BEFORE'KEY'AFTER"}. */
void exchange_succeed_key(struct exchange *exchange, const char *before, rr_bytes key,
                          const char *after);

/* Answers {"success":true,"message":"..."}. */
void exchange_succeed(struct exchange *exchange, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- Operations of the node ---- */

/* Suspends the connection; `finish` runs when the operation has ended. */
void exchange_suspend(struct exchange *exchange, void (*finish)(struct exchange *exchange));

/* Takes the value of the call that began the operation; on failure `finish` runs with it. */
void exchange_begun(struct exchange *exchange, rr_status status);

/* An rr_done_fn for the exchange `arg`; on the node's thread. */
void exchange_done(void *arg, rr_status status, const rr_result *result);

/* ---- Parameters. Where they return false, the exchange has been answered. ---- */

/* The parameter `name` (or NAME_base64) appended to `out`; `*found` tells whether it is there. */
bool exchange_read_parameter(struct exchange *exchange, const char *name, struct text *out,
                             bool *found);

/* An unsigned number from `min` to `max`; `*number` is left as it is when absent. */
bool exchange_read_number(struct exchange *exchange, const char *name, uint64_t min, uint64_t max,
                          uint64_t *number);

/* `consistency`, linearizable unless given. */
bool exchange_read_level(struct exchange *exchange, rr_read_level *level);

/* `timeout_ms`, or `fallback`. */
bool exchange_read_timeout(struct exchange *exchange, uint64_t fallback, uint32_t *timeout_ms);

/* `timeout_ms`, `session` and `sequence` of a write. */
bool exchange_read_write_options(struct exchange *exchange, rr_write_options *options);

#endif
