/* Calls of the node, whose answers come back over the loop's queue. */
#include "coredb/server/call.h"

#include "coredb/command/execute.h"
#include "coredb/server/server.h"

enum { KEPT_BYTES = 32 * 1024 };

void call_init(struct call *call, struct server *server, call_done_fn done, void *arg)
{
    *call = (struct call){.server = server, .done = done, .arg = arg};
    buffer_init(&call->input);
    buffer_init(&call->output);
}

void call_deinit(struct call *call)
{
    buffer_deinit(&call->input);
    buffer_deinit(&call->output);
}

static void shrink(struct buffer *buffer)
{
    if (buffer->capacity > KEPT_BYTES) {
        buffer_deinit(buffer);
        buffer_init(buffer);
    }
}

void call_shrink(struct call *call)
{
    if (!call->is_pending) {
        shrink(&call->output);
    }
}

static void finish(void *arg)
{
    struct call *call = arg;
    call->is_pending = false;
    call->server->calls_pending--;
    call->done(call);
}

/* The node's thread, or the loop's where the node refused. */
static void complete(void *arg, rr_status status, const rr_result *result)
{
    struct call *call = arg;
    rr_bytes value = {NULL, 0};
    call->status = status;
    call->index = rr_result_index(result);
    if (rr_result_value(result, 0, &value)) {
        buffer_append_bytes(&call->output, value);
    }
    if (call->output.failed) {
        /* A write took effect, but its answer is lost. */
        call->status = RR_UNKNOWN;
    }
    loop_post(call->server->loop, &call->task);
}

static void begin(struct call *call)
{
    call->is_pending = true;
    call->server->calls_pending++;
    call->task.run = finish;
    call->task.arg = call;
    shrink(&call->output);
    buffer_clear(&call->output);
}

void call_write(struct call *call)
{
    begin(call);
    rr_status status = call->input.failed
                           ? RR_NO_MEMORY
                           : rr_node_call(call->server->node, "coredb", buffer_bytes(&call->input),
                                          NULL, complete, call);
    if (status != RR_OK) {
        complete(call, status, NULL);
    }
}

void call_query(struct call *call, rr_read_level level)
{
    begin(call);
    rr_query query;
    rr_query_init(&query);
    query.fn = execute_query;
    query.fn_arg = &call->server->execute;
    query.input = buffer_bytes(&call->input);
    query.level = level;
    rr_status status = call->input.failed
                           ? RR_NO_MEMORY
                           : rr_node_query(call->server->node, &query, complete, call);
    if (status != RR_OK) {
        complete(call, status, NULL);
    }
}
