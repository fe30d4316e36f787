/*
 * What a procedure sees of the store while its entry is applied, and what it answers: the bodies of
 * rr_view_* and rr_output_*. One lives on the applier's stack for the time of one call.
 */
#ifndef NODE_VIEW_H
#define NODE_VIEW_H

#include "rockraft/rockraft.h"

#include "base/random.h"
#include "raft/types.h"
#include "storage/state.h"

struct rr_view {
    struct state_batch *batch;
    raft_index index;
    uint64_t time_ms;
    struct random random;
    struct buffer key;     /* the key of the present call with its kind */
    struct buffer value;   /* the value last read */
    state_savepoint begin; /* of the procedure's writes: what the user's savepoints count from */
    bool scanning;         /* within a visitor: writing would pull the pairs from under the scan */
    rr_status failure;     /* RR_OK, or why the node must halt, whatever the procedure returns */
    struct storage_error *error; /* the text of `failure` */
};

struct rr_output {
    struct buffer bytes;
    size_t size_max;   /* what the command allows */
    bool used;         /* something was appended, were it empty */
    rr_status failure; /* as the view's */
};

/* `error` must outlast the view. */
void view_init(struct rr_view *view, struct state_batch *batch, raft_index index, uint64_t time_ms,
               uint64_t seed, struct storage_error *error);
void view_deinit(struct rr_view *view);

/* Replaces the contents of `out` by the kind byte and the user's key. RR_OK or RR_NO_MEMORY. */
RR_MUST_USE rr_status view_user_key(struct buffer *out, rr_bytes key);

#endif
