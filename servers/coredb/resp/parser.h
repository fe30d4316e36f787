/*
 * Reads requests: arrays of bulk strings, and lines of words ("inline"). Incremental: bytes come
 * as they come, and how they were cut makes no difference.
 *
 * Memory follows what has arrived, never what was announced. A request with an argument over
 * PARSER_ARGUMENT_BYTES_MAX, or beyond the limits of a whole one, is dropped as it arrives and comes
 * out marked as too big, without arguments; the connection stays usable.
 *
 * One thread at a time.
 */
#ifndef COREDB_RESP_PARSER_H
#define COREDB_RESP_PARSER_H

#include "coredb/base/buffer.h"

enum {
    PARSER_ARGUMENT_BYTES_MAX = 8000000,              /* larger ones are dropped */
    PARSER_REQUEST_BYTES_MAX = 8 * 1024 * 1024 - 512, /* with 4 bytes per argument: fits a batch */
    PARSER_ARGUMENTS_MAX = 1024 * 1024,               /* more are dropped */
    PARSER_LINE_BYTES_MAX = 64 * 1024,                /* of an inline request or a length */
    PARSER_BULK_BYTES_MAX = 512 * 1024 * 1024,        /* a larger announcement is an error */
    PARSER_NEW_ARGUMENTS_MAX = 10, /* of a client that has not authenticated, as the next */
    PARSER_NEW_BULK_BYTES_MAX = 16384,
};

enum parser_result {
    PARSER_MORE,    /* the next request is not complete */
    PARSER_REQUEST, /* see `argv` */
    PARSER_ERROR,   /* see `error`; from now on always this */
};

struct parser_slice {
    size_t offset; /* from `start` */
    size_t size;
};

struct parser {
    struct buffer input;
    size_t start;    /* of the request that is being read or has been returned, in `input` */
    size_t position; /* from `start`: the next byte to read */
    size_t scanned;  /* from `position`: bytes known to hold no end of a line */
    enum { PARSER_BETWEEN, PARSER_ARRAY, PARSER_DONE } state;
    uint64_t arguments_left; /* of an array */
    bool in_bulk;            /* an argument's header has been read; `bulk_left` bytes follow */
    uint64_t bulk_left;
    size_t kept_bytes;
    struct parser_slice *slices;
    size_t count;
    size_t capacity;
    rr_bytes *argv_memory;
    size_t argv_capacity;

    bool authenticated;    /* set by the owner; false: the stricter limits */
    bool too_big;          /* the request was dropped: `count` is 0 */
    bool argument_too_big; /* because of one argument */
    const char *error;
    char error_memory[48];
};

void parser_init(struct parser *parser);
void parser_deinit(struct parser *parser); /* NULL is fine */

/* Adds bytes that have arrived. A request that parser_next returned stays valid, but its `argv` must
 * be asked for again. False: no memory. */
bool parser_feed(struct parser *parser, rr_bytes bytes);

/* Reads the next request, and forgets the one returned before. Empty requests are skipped. */
enum parser_result parser_next(struct parser *parser);

/* The request that parser_next has returned: `parser->count` arguments, at least 1 unless too_big.
 * Valid until the next call on the parser. NULL: no memory. */
const rr_bytes *parser_argv(struct parser *parser);

/* How many bytes wait, the present request included. */
static inline size_t parser_buffered(const struct parser *parser)
{
    return parser->input.size - parser->start;
}

/* Gives memory back that an idle connection does not need. */
void parser_shrink(struct parser *parser);

#endif
