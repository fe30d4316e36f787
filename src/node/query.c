/*
 * Queries: functions of the embedder's that read the state as of one moment. Small ones run on the
 * node's thread, between two commits; others are broken off there and run again on a worker, over a
 * view of the state that stays as it is.
 */
#include "node/read.h"

#include "base/assert.h"
#include "node/view.h"

enum {
    OUTPUT_MARGIN_BYTES = 64, /* of a result, around the output */
};

/* ---- The answer ---- */

/* Statuses travel as one byte of known values. */
static rr_status known_status(rr_status status)
{
    return status >= RR_OK && status <= RR_STALE_SESSION ? status : RR_REJECTED;
}

static rr_status encode(const struct rr_output *output, rr_status status, raft_index index,
                        struct buffer *out)
{
    struct result_writer writer;
    result_writer_begin(&writer, out, index, SIZE_MAX);
    if (output->used) {
        result_writer_value(&writer, buffer_bytes(&output->bytes));
    }
    struct result_end end = {.status = status};
    rr_status finished = result_writer_finish(&writer, &end);
    return finished == RR_OK ? status : finished;
}

/* Calls the function; see query_run. */
static rr_status answer(const struct read *read, struct rr_view *view, struct buffer *out)
{
    size_t size_max = read->request.node->options.public.result_bytes_max;
    struct rr_output output = {
        .size_max = size_max > OUTPUT_MARGIN_BYTES ? size_max - OUTPUT_MARGIN_BYTES : 0};
    buffer_init(&output.bytes);

    rr_status returned = read->fn(read->fn_arg, view, read->input, &output);

    rr_status status = view->failure;
    if (status == RR_OK) {
        status = view->refused != RR_OK ? view->refused : output.failure;
    }
    if (status == RR_OK) {
        status = encode(&output, known_status(returned), view->index, out);
    }
    buffer_deinit(&output.bytes);
    return status;
}

/* ---- Where it runs ---- */

rr_status query_run(struct read *read, struct buffer *out, struct storage_error *error)
{
    rr_node *node = read->request.node;
    ASSERT(state_batch_size(node->batch) == 0); /* what is applied is committed */
    struct rr_view view;
    view_init_query(&view, node->batch, read->index, applier_time_ms(node->applier),
                    random_u64(&node->random), error);
    buffer_clear(out);
    rr_status status = answer(read, &view, out);
    view_deinit(&view);
    return status;
}

/* The moment that `snapshot` shows. */
static rr_status run_over(struct read_job *job, struct state_view *snapshot)
{
    struct state_position applied;
    uint64_t time_ms;
    rr_status status = state_view_applied(snapshot, &applied, &job->error);
    if (status == RR_OK) {
        status = apply_view_time(snapshot, &time_ms, &job->error);
    }
    if (status != RR_OK) {
        return status;
    }
    ASSERT(applied.index >= job->read->index);
    struct rr_view view;
    view_init_snapshot(&view, snapshot, applied.index, time_ms, job->seed, &job->cancelled,
                       &job->error);
    status = answer(job->read, &view, &job->result);
    view_deinit(&view);
    return status;
}

rr_status query_run_on_worker(struct read_job *job)
{
    rr_status status = (rr_status)atomic_load(&job->cancelled);
    if (status == RR_OK) {
        struct state_view *snapshot = state_view_open(job->read->request.node->state);
        status = run_over(job, snapshot);
        state_view_close(snapshot);
    }
    if (job->result.size == 0 && job->error.text[0] == '\0') {
        (void)storage_fail(&job->error, status, "the query was broken off: %s",
                           rr_status_name(status));
    }
    return status;
}
