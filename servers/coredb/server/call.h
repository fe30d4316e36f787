/*
 * One batch on its way through the node and back to the loop's thread. Loop's thread throughout.
 */
#ifndef COREDB_SERVER_CALL_H
#define COREDB_SERVER_CALL_H

#include "coredb/base/buffer.h"
#include "coredb/net/loop.h"

#include <rockraft/rockraft.h>

struct server;
struct call;

typedef void (*call_done_fn)(struct call *call);

/* While `is_pending`, it belongs to the node and must not be touched. */
struct call {
    struct loop_task task;
    struct server *server;
    call_done_fn done;
    void *arg;
    struct buffer input;  /* the batch; kept until the next call */
    struct buffer output; /* what came back */
    rr_status status;
    uint64_t index; /* of the entry, or what the query was served at */
    bool is_pending;
};

void call_init(struct call *call, struct server *server, call_done_fn done, void *arg);
void call_deinit(struct call *call);

/* Gives back the memory of a large output that is not needed any more. */
void call_shrink(struct call *call);

/* Sends `input` through the log, or reads with it on this node. `done` runs later, never within
 * this; what the node refuses at once is told by the status there, too. */
void call_write(struct call *call);
void call_query(struct call *call, rr_read_level level);

#endif
