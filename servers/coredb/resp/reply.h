/*
 * Writes replies in RESP2 or RESP3 into a buffer. Where the protocols differ, the function writes
 * what Redis 7 sends under the protocol of the reply.
 *
 * One thread at a time. Running out of memory, and meeting a limit, are remembered in the buffer.
 */
#ifndef COREDB_RESP_REPLY_H
#define COREDB_RESP_REPLY_H

#include "coredb/base/buffer.h"

struct reply {
    struct buffer out;
    int protocol;  /* 2 or 3 */
    bool is_error; /* the last reply begun by reply_error: for statistics, scripts and EXEC */
};

void reply_init(struct reply *reply, int protocol);
void reply_deinit(struct reply *reply); /* NULL is fine */

void reply_ok(struct reply *reply);
void reply_status(struct reply *reply, const char *text);
/* An array of such lines: what HELP answers. */
void reply_lines(struct reply *reply, const char *const *lines, size_t count);

/* An error with its code, printf-like: reply_error(reply, "ERR no such key"). CR and LF in it
 * become spaces. */
void reply_error(struct reply *reply, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The errors that many commands share, with Redis's texts. */
void reply_error_syntax(struct reply *reply);      /* ERR syntax error */
void reply_error_wrong_type(struct reply *reply);  /* WRONGTYPE ... */
void reply_error_not_integer(struct reply *reply); /* ERR value is not an integer or out of range */
void reply_error_not_float(struct reply *reply);   /* ERR value is not a valid float */
void reply_error_no_key(struct reply *reply);      /* ERR no such key */
void reply_error_out_of_range(struct reply *reply); /* ERR index out of range */
void reply_error_arity(struct reply *reply,
                       rr_bytes command); /* ERR wrong number of arguments ... */

void reply_integer(struct reply *reply, int64_t value);
void reply_bulk(struct reply *reply, rr_bytes bytes);
void reply_bulk_text(struct reply *reply, const char *text);
void reply_bulk_integer(struct reply *reply, int64_t value); /* a bulk string of its decimal */
void reply_double(struct reply *reply, double value);        /* RESP2: bulk, RESP3: double */
void reply_boolean(struct reply *reply, bool value);         /* RESP2: integer */
void reply_verbatim(struct reply *reply, const char *format3, rr_bytes bytes); /* "txt" */

void reply_null(struct reply *reply);       /* RESP2: null bulk string */
void reply_null_array(struct reply *reply); /* RESP2: null array */

/* Headers; that many replies (pairs of them, for a map) follow. */
void reply_array(struct reply *reply, size_t count);
void reply_map(struct reply *reply, size_t pairs);  /* RESP2: array of twice as many */
void reply_set(struct reply *reply, size_t count);  /* RESP2: array */
void reply_push(struct reply *reply, size_t count); /* RESP2: array */

/* When the count is known only later: the mark goes to the matching _end. Marks nest. */
size_t reply_later(struct reply *reply);
void reply_array_end(struct reply *reply, size_t mark, size_t count);
void reply_map_end(struct reply *reply, size_t mark, size_t pairs);
void reply_set_end(struct reply *reply, size_t mark, size_t count);

/* Drops everything from `size` on: what a command wrote before it failed. */
void reply_truncate(struct reply *reply, size_t size);

#endif
