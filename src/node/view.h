/*
 * What a procedure sees of the store while its entry is applied, or a query while it runs, and what
 * they answer: the bodies of rr_view_* and rr_output_*. One lives on the stack of whoever runs them,
 * for the time of one call, and is used by that thread alone.
 */
#ifndef NODE_VIEW_H
#define NODE_VIEW_H

#include "rockraft/rockraft.h"

#include "base/random.h"
#include "raft/types.h"
#include "storage/state.h"

#include <stdatomic.h>

struct rr_view {
    struct state_batch *batch;   /* NULL on a worker */
    struct state_view *snapshot; /* what is read there */
    raft_index index;
    uint64_t time_ms;
    struct random random;
    struct buffer key;     /* the key of the present call with its kind */
    struct buffer value;   /* the value last read */
    state_savepoint begin; /* of the procedure's writes: what the user's savepoints count from */
    bool read_only;        /* a query's */
    uint64_t pairs_left;   /* how much a query may still read, keys and values counted */
    uint64_t bytes_left;
    const atomic_int *cancelled; /* NULL, or an rr_status that ends a query's reads; RR_OK: none */
    rr_status refused;           /* RR_OK, or what a query's reads were refused with */
    bool scanning;     /* within a visitor: writing would pull the pairs from under the scan */
    rr_status failure; /* RR_OK, or why the node must halt, whatever the procedure returns */
    struct storage_error *error; /* the text of `failure` */
};

struct rr_output {
    struct buffer bytes;
    size_t size_max;   /* what the command allows */
    bool used;         /* something was appended, were it empty */
    rr_status failure; /* as the view's */
};

/* A procedure's. `error` must outlast the view. */
void view_init(struct rr_view *view, struct state_batch *batch, raft_index index, uint64_t time_ms,
               uint64_t seed, struct storage_error *error);

/* A query's, over a batch without contents and as much of it as does not keep others waiting. */
void view_init_query(struct rr_view *view, struct state_batch *batch, raft_index index,
                     uint64_t time_ms, uint64_t seed, struct storage_error *error);

/* A query's on a worker, until `cancelled` becomes other than RR_OK. */
void view_init_snapshot(struct rr_view *view, struct state_view *snapshot, raft_index index,
                        uint64_t time_ms, uint64_t seed, const atomic_int *cancelled,
                        struct storage_error *error);
void view_deinit(struct rr_view *view);

/* Replaces the contents of `out` by the kind byte and the user's key. RR_OK or RR_NO_MEMORY. */
RR_MUST_USE rr_status view_user_key(struct buffer *out, rr_bytes key);

#endif
