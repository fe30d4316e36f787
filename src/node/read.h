/* A read under way: what reads.c keeps and api.c makes. The node's thread, except for making one. */
#ifndef NODE_READ_H
#define NODE_READ_H

#include "node/node_private.h"

struct read;

/* What a read needs on a worker. */
struct read_job {
    struct worker_job job;
    struct read *read;
    struct buffer result;
    uint64_t seed;        /* of a query's random numbers */
    atomic_int cancelled; /* the rr_status that a query is to end with; RR_OK: it is not */
    rr_status status;
    struct storage_error error;
};

enum read_kind { READ_GET, READ_SCAN, READ_QUERY };

struct read {
    struct request request; /* its link: a list of struct reads or of a round */
    rr_read_level level;
    enum read_kind kind;
    struct apply_range range; /* of a get, `prefix` is the key; borrows from `memory` */
    rr_query_fn fn;           /* of a query, as the next two */
    void *fn_arg;
    rr_bytes input;       /* borrows from `memory` */
    raft_index index;     /* what it was served at; of a query, the view knows */
    struct read_job *job; /* NULL unless a worker has it */
    uint8_t memory[];
};

/* With `memory_size` bytes for what `range` borrows; NULL without memory. The caller sets the rest
 * and posts the request, or frees it with read_destroy. Any thread. */
struct read *read_new(size_t memory_size);
void read_start(struct request *request);
void read_expire(struct request *request);
void read_destroy(struct request *request);

/*
 * Runs a query on the node's thread, or a worker's: query.c. Returns what the function did, with the
 * encoded answer in `out`; or with `out` empty why there is none: what reads were refused with
 * (RR_BUSY: too much for the node's thread), RR_IO, RR_CORRUPT, RR_NO_MEMORY.
 */
RR_MUST_USE rr_status query_run(struct read *read, struct buffer *out, struct storage_error *error);
RR_MUST_USE rr_status query_run_on_worker(struct read_job *job);

#endif
