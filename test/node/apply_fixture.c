#include "node/apply_fixture.h"

#include "command/call.h"
#include "node/view.h"

#include <stdio.h>
#include <string.h>

static void open_state(struct replica *replica)
{
    struct storage_error error = {0};
    struct logger silent = logger_silent();
    struct state_options options = {.path = replica->path, .block_cache_bytes = 1 << 20};
    CHECK_OK(state_open(&options, &error, &replica->state));
    replica->batch = state_batch_new(replica->state);
    CHECK_OK(
        applier_new(replica->procedures, replica->procedure_count, &silent, &replica->applier));
    CHECK_OK(applier_load(replica->applier, replica->state, &error));
    replica->index = state_applied(replica->state).index;
}

static void close_state(struct replica *replica)
{
    state_batch_free(replica->batch);
    applier_free(replica->applier);
    state_close(replica->state);
}

void replica_open(struct replica *replica, const rr_procedure *procedures, size_t count)
{
    *replica = (struct replica){
        .path = test_directory(), .procedures = procedures, .procedure_count = count};
    buffer_init(&replica->payload);
    buffer_init(&replica->read);
    open_state(replica);
}

void replica_close(struct replica *replica)
{
    close_state(replica);
    buffer_deinit(&replica->payload);
    buffer_deinit(&replica->read);
}

void replica_restart(struct replica *replica)
{
    CHECK_OK(replica_commit(replica));
    close_state(replica);
    open_state(replica);
}

rr_status replica_apply(struct replica *replica, rr_bytes payload)
{
    struct applied applied;
    rr_status status =
        applier_apply(replica->applier, replica->batch, ++replica->index, payload, &applied);
    if (status != RR_OK) {
        FAIL("%s", applier_reason(replica->applier));
    }
    CHECK_OK(result_decode(applied.result, &replica->result));
    CHECK_STATUS(applied.status, replica->result.status);
    return applied.status;
}

rr_status replica_apply_halting(struct replica *replica, rr_bytes payload)
{
    struct applied applied;
    return applier_apply(replica->applier, replica->batch, ++replica->index, payload, &applied);
}

rr_status replica_commit(struct replica *replica)
{
    struct storage_error error = {0};
    rr_status status = applier_finish(replica->applier, replica->batch);
    if (status != RR_OK) {
        return status;
    }
    if (replica->index > 0) {
        state_batch_set_applied(replica->batch, replica->index, 1);
    }
    return state_batch_commit(replica->batch, &error);
}

rr_status replica_txn(struct replica *replica, const struct command *header, rr_txn *txn)
{
    struct command command = *header;
    command.kind = COMMAND_TXN;
    buffer_clear(&replica->payload);
    command_encode(&replica->payload, &command);
    txn_encode(&txn->builder, &replica->payload);
    rr_txn_free(txn);
    CHECK_OK(applier_check(replica->applier, buffer_bytes(&replica->payload)));
    return replica_apply(replica, buffer_bytes(&replica->payload));
}

rr_status replica_call(struct replica *replica, const struct command *header, const char *name,
                       const char *input)
{
    struct command command = *header;
    command.kind = COMMAND_CALL;
    struct call call = {test_bytes_of(name), 1, test_bytes_of(input)};
    buffer_clear(&replica->payload);
    command_encode(&replica->payload, &command);
    call_encode(&replica->payload, &call);
    CHECK_OK(applier_check(replica->applier, buffer_bytes(&replica->payload)));
    return replica_apply(replica, buffer_bytes(&replica->payload));
}

void replica_set(struct replica *replica, const char *key, const char *value)
{
    rr_txn *txn = rr_txn_new();
    CHECK_OK(rr_txn_set(txn, test_bytes_of(key), test_bytes_of(value)));
    CHECK_OK(replica_txn(replica, &(struct command){.time_ms = 1}, txn));
}

uint64_t replica_session(struct replica *replica, uint64_t time_ms)
{
    struct command command = {.kind = COMMAND_SESSION, .time_ms = time_ms};
    buffer_clear(&replica->payload);
    command_encode(&replica->payload, &command);
    CHECK_OK(replica_apply(replica, buffer_bytes(&replica->payload)));
    return replica->result.index;
}

static const char *text_of(bool present, rr_bytes value)
{
    static char text[256];
    if (!present) {
        return "(absent)";
    }
    snprintf(text, sizeof(text), "%.*s", (int)value.size,
             value.size == 0 ? "" : (const char *)value.data);
    return text;
}

const char *replica_value(struct replica *replica, size_t i)
{
    rr_bytes value;
    bool present = result_value(&replica->result, i, &value);
    return text_of(present, value);
}

const char *replica_get(struct replica *replica, const char *key)
{
    struct storage_error error = {0};
    CHECK_OK(replica_commit(replica));
    rr_status status =
        apply_get(replica->state, test_bytes_of(key), replica->index, &replica->read, &error);
    CHECK(status == RR_OK || status == RR_NOT_FOUND);
    CHECK_OK(result_decode(buffer_bytes(&replica->read), &replica->result));
    CHECK_STATUS(replica->result.status, status);
    CHECK_EQ(replica->result.count, status == RR_OK ? 1 : 0);
    CHECK_EQ(replica->result.index, replica->index);
    return replica_value(replica, 0);
}

uint64_t replica_digest(struct replica *replica)
{
    struct storage_error error = {0};
    uint64_t digest = 0;
    CHECK_OK(replica_commit(replica));
    struct state_view *view = state_view_open(replica->state);
    CHECK_OK(state_view_digest(view, &digest, &error));
    state_view_close(view);
    return digest;
}
