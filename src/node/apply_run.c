/*
 * What commands do to the user's keys: transactions and procedures. Both answer in
 * applier->result; what they return but RR_OK is a failure of this replica alone.
 */
#include "node/apply_private.h"

#include "command/result.h"
#include "command/txn.h"
#include "node/view.h"

#include <inttypes.h>
#include <stdio.h>

/* Of a result, around a procedure's output. */
enum { OUTPUT_MARGIN_BYTES = 64 };

/* ---- Transactions ---- */

/* Reads a user's key into applier->value. */
static rr_status read_user(struct applier *applier, struct state_batch *batch, rr_bytes key)
{
    rr_status status = view_user_key(&applier->key, key);
    if (status != RR_OK) {
        return status;
    }
    return state_batch_get(batch, buffer_bytes(&applier->key), &applier->value, &applier->error);
}

static rr_status check_conditions(struct applier *applier, struct state_batch *batch,
                                  const struct txn *txn, bool *hold)
{
    *hold = true;
    struct reader reader;
    reader_init(&reader, txn->conditions);
    struct txn_condition condition;
    while (*hold && txn_next_condition(&reader, &condition)) {
        rr_status status = read_user(applier, batch, condition.key);
        if (status != RR_OK && status != RR_NOT_FOUND) {
            return status;
        }
        rr_bytes value = buffer_bytes(&applier->value);
        *hold = txn_compare(condition.compare, status == RR_OK ? &value : NULL, condition.value);
    }
    return RR_OK;
}

/* Adds what the keys of the operations hold before any of them runs. RR_TOO_BIG: the answer would
 * grow over its limit. */
static rr_status write_previous(struct applier *applier, struct state_batch *batch,
                                rr_bytes operations, struct result_writer *writer)
{
    struct reader reader;
    reader_init(&reader, operations);
    struct txn_operation operation;
    while (txn_next_operation(&reader, &operation)) {
        rr_status status = read_user(applier, batch, operation.key);
        if (status != RR_OK && status != RR_NOT_FOUND) {
            return status;
        }
        bool added = status == RR_OK ? result_writer_value(writer, buffer_bytes(&applier->value))
                                     : result_writer_absent(writer);
        if (!added) {
            return result_writer_failed(writer) ? RR_NO_MEMORY : RR_TOO_BIG;
        }
    }
    return RR_OK;
}

static rr_status run_operations(struct applier *applier, struct state_batch *batch,
                                rr_bytes operations)
{
    struct reader reader;
    reader_init(&reader, operations);
    struct txn_operation operation;
    while (txn_next_operation(&reader, &operation)) {
        rr_status status = view_user_key(&applier->key, operation.key);
        if (status != RR_OK) {
            return status;
        }
        rr_bytes key = buffer_bytes(&applier->key);
        status = operation.set ? state_batch_put(batch, key, operation.value)
                               : state_batch_delete(batch, key);
        if (status != RR_OK) {
            return status;
        }
    }
    return RR_OK;
}

rr_status apply_txn(struct applier *applier, struct state_batch *batch, raft_index index,
                    const struct command *command)
{
    struct txn txn;
    rr_status status = txn_decode(command->body, &txn);
    if (status != RR_OK) {
        return apply_answer(applier, status, index, "the transaction is malformed or too big");
    }
    bool hold;
    status = check_conditions(applier, batch, &txn, &hold);
    if (status != RR_OK) {
        return status;
    }
    rr_bytes operations = txn.operations[hold ? TXN_THEN : TXN_ELSE];
    struct result_writer writer;
    result_writer_begin(&writer, &applier->result, index, command_result_bytes_max(command));
    if (txn.return_previous) {
        status = write_previous(applier, batch, operations, &writer);
    }
    if (status == RR_TOO_BIG) {
        result_writer_abandon(&writer);
        return apply_answer(applier, RR_TOO_BIG, index, "the previous values are too big");
    }
    if (status == RR_OK) {
        status = run_operations(applier, batch, operations);
    }
    if (status != RR_OK) {
        result_writer_abandon(&writer);
        return status;
    }
    struct result_end end = {.status = RR_OK, .branch = hold};
    return result_writer_finish(&writer, &end);
}

/* ---- Procedures ---- */

static rr_status answer_call(struct applier *applier, raft_index index, rr_status status,
                             const struct rr_output *output)
{
    struct result_writer writer;
    result_writer_begin(&writer, &applier->result, index, SIZE_MAX);
    if (output->used) {
        result_writer_value(&writer, buffer_bytes(&output->bytes));
    }
    struct result_end end = {.status = status};
    return result_writer_finish(&writer, &end);
}

static rr_status run_procedure(struct applier *applier, struct state_batch *batch, raft_index index,
                               const struct command *command, const rr_procedure *procedure,
                               rr_bytes input)
{
    struct rr_view view;
    view_init(&view, batch, index, applier->time_ms, command->seed, &applier->error);
    size_t size_max = command_result_bytes_max(command);
    struct rr_output output = {
        .size_max = size_max > OUTPUT_MARGIN_BYTES ? size_max - OUTPUT_MARGIN_BYTES : 0};
    buffer_init(&output.bytes);
    state_savepoint savepoint = state_batch_savepoint(batch);

    rr_status returned = procedure->fn(procedure->arg, &view, input, &output);

    rr_status status = view.failure != RR_OK ? view.failure : output.failure;
    if (status == RR_OK && (returned == RR_NO_MEMORY || returned == RR_IO)) {
        status = storage_fail(&applier->error, returned,
                              "the procedure \"%s\" failed on this node alone: %s", procedure->name,
                              rr_status_name(returned));
    }
    if (status != RR_OK || returned != RR_OK) {
        state_batch_rollback(batch, savepoint);
        returned = RR_REJECTED;
    }
    if (status == RR_OK) {
        status = answer_call(applier, index, returned, &output);
    }
    buffer_deinit(&output.bytes);
    view_deinit(&view);
    return status;
}

rr_status apply_call(struct applier *applier, struct state_batch *batch, raft_index index,
                     const struct command *command)
{
    struct call call;
    rr_status status = call_decode(command->body, &call);
    if (status != RR_OK) {
        return apply_answer(applier, status, index, "the call is malformed");
    }
    const rr_procedure *procedure = apply_find_procedure(applier, &call);
    if (procedure == NULL) {
        const rr_procedure *other = applier_procedure(applier, call.name);
        char known[64] = "none of that name";
        if (other != NULL) {
            snprintf(known, sizeof(known), "version %" PRIu32, other->version);
        }
        return storage_fail(&applier->error, RR_MISMATCH,
                            "it calls version %" PRIu32 " of the procedure \"%.*s\", and this node "
                            "has %s: start it with the procedures of the other nodes",
                            call.version, (int)call.name.size, (const char *)call.name.data, known);
    }
    return run_procedure(applier, batch, index, command, procedure, call.input);
}
