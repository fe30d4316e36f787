/* A read under way: what reads.c keeps and api.c makes. The node's thread, except for making one. */
#ifndef NODE_READ_H
#define NODE_READ_H

#include "node/node_private.h"

struct read;

/* What a scan needs on a worker. */
struct scan_job {
    struct worker_job job;
    struct read *read;
    struct buffer result;
    rr_status status;
    struct storage_error error;
};

struct read {
    struct request request; /* its link: a list of struct reads or of a round; none on a worker */
    rr_read_level level;
    bool is_scan;
    struct apply_range range; /* of a get, `prefix` is the key; borrows from `memory` */
    raft_index index;         /* what it was served at */
    struct scan_job *job;     /* NULL unless a worker has it */
    uint8_t memory[];
};

/* With `memory_size` bytes for what `range` borrows; NULL without memory. The caller sets the rest
 * and posts the request, or frees it with read_destroy. Any thread. */
struct read *read_new(size_t memory_size);
void read_start(struct request *request);
void read_expire(struct request *request);
void read_destroy(struct request *request);

#endif
