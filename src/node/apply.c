/* The applier: its procedures, the clock, and the way of an entry through its session. */
#include "node/apply.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "command/call.h"
#include "command/result.h"
#include "node/apply_keys.h"
#include "node/apply_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLOCK_VERSION = 1 };

static const uint8_t clock_key[] = {APPLY_KEY_CLOCK};

/* ---- The object ---- */

static int compare_names(rr_bytes left, rr_bytes right)
{
    size_t common = left.size < right.size ? left.size : right.size;
    int order = memcmp(left.data, right.data, common);
    return order != 0 ? order : (left.size > right.size) - (left.size < right.size);
}

static rr_bytes name_of(const rr_procedure *procedure)
{
    return (rr_bytes){procedure->name, strlen(procedure->name)};
}

static int compare_procedures(const void *left, const void *right)
{
    const rr_procedure *a = left;
    const rr_procedure *b = right;
    int order = compare_names(name_of(a), name_of(b));
    return order != 0 ? order : (a->version > b->version) - (a->version < b->version);
}

static bool procedure_valid(const rr_procedure *procedure)
{
    if (procedure->name == NULL || procedure->fn == NULL) {
        return false;
    }
    size_t size = strnlen(procedure->name, PROCEDURE_NAME_BYTES_MAX + 1);
    return size >= 1 && size <= PROCEDURE_NAME_BYTES_MAX;
}

static rr_status copy_procedures(struct applier *applier, const rr_procedure *procedures,
                                 size_t count)
{
    applier->procedures = mem_new_array(rr_procedure, count);
    for (size_t i = 0; i < count; i++) {
        if (!procedure_valid(&procedures[i])) {
            return RR_INVALID;
        }
        applier->procedures[i] = procedures[i];
        applier->procedures[i].name = mem_copy_text(procedures[i].name);
        applier->procedure_count++;
    }
    if (count > 0) {
        qsort(applier->procedures, count, sizeof(*procedures), compare_procedures);
    }
    for (size_t i = 1; i < count; i++) {
        if (compare_procedures(&applier->procedures[i - 1], &applier->procedures[i]) == 0) {
            return RR_INVALID;
        }
    }
    return RR_OK;
}

rr_status applier_new(const rr_procedure *procedures, size_t procedure_count,
                      const struct logger *logger, struct applier **out)
{
    struct applier *applier = mem_new(struct applier);
    applier->logger = logger_named(logger, "node");
    session_table_init(&applier->sessions);
    buffer_init(&applier->result);
    buffer_init(&applier->key);
    buffer_init(&applier->value);
    rr_status status = copy_procedures(applier, procedures, procedure_count);
    if (status != RR_OK) {
        applier_free(applier);
        return status;
    }
    *out = applier;
    return RR_OK;
}

void applier_free(struct applier *applier)
{
    if (applier == NULL) {
        return;
    }
    for (size_t i = 0; i < applier->procedure_count; i++) {
        mem_free((char *)applier->procedures[i].name);
    }
    mem_free(applier->procedures);
    session_table_deinit(&applier->sessions);
    buffer_deinit(&applier->result);
    buffer_deinit(&applier->key);
    buffer_deinit(&applier->value);
    mem_free(applier);
}

/* Reads the record in `value`, unless `status` says that there is none. */
static rr_status decode_clock(rr_status status, rr_bytes value, uint64_t *out,
                              struct storage_error *error)
{
    if (status == RR_NOT_FOUND) {
        *out = 0;
        return RR_OK;
    }
    if (status != RR_OK) {
        return status;
    }
    struct reader reader;
    reader_init(&reader, value);
    uint8_t version = reader_u8(&reader);
    uint64_t time_ms = reader_u64(&reader);
    if (version != CLOCK_VERSION || !reader_done(&reader)) {
        return storage_fail(error, RR_CORRUPT, "the logical clock is damaged");
    }
    *out = time_ms;
    return RR_OK;
}

static rr_status load_clock(struct applier *applier, struct state *state)
{
    rr_bytes key = {clock_key, sizeof(clock_key)};
    rr_status status = state_get(state, key, &applier->value, &applier->error);
    return decode_clock(status, buffer_bytes(&applier->value), &applier->time_ms, &applier->error);
}

rr_status apply_view_time(struct state_view *view, uint64_t *time_ms, struct storage_error *error)
{
    rr_bytes key = {clock_key, sizeof(clock_key)};
    struct buffer value;
    buffer_init(&value);
    rr_status status = state_view_get(view, key, &value, error);
    status = decode_clock(status, buffer_bytes(&value), time_ms, error);
    buffer_deinit(&value);
    return status;
}

rr_status applier_load(struct applier *applier, struct state *state, struct storage_error *error)
{
    applier->error.text[0] = '\0';
    applier->clock_changed = false;
    applier->index = state_applied(state).index;
    rr_status status = load_clock(applier, state);
    if (status == RR_OK) {
        status = apply_sessions_load(applier, state);
    }
    if (status != RR_OK) {
        return storage_fail(error, status, "%s", applier->error.text);
    }
    LOG_DEBUG(&applier->logger, "loaded %" PRIu32 " client sessions at entry %" PRIu64,
              session_table_count(&applier->sessions), applier->index);
    return RR_OK;
}

const char *applier_reason(const struct applier *applier)
{
    return applier->reason;
}

uint64_t applier_time_ms(const struct applier *applier)
{
    return applier->time_ms;
}

uint32_t applier_session_count(const struct applier *applier)
{
    return session_table_count(&applier->sessions);
}

/* How many procedures sort before this name and version. */
static size_t procedures_before(const struct applier *applier, rr_bytes name, uint64_t version)
{
    size_t low = 0;
    size_t high = applier->procedure_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const rr_procedure *procedure = &applier->procedures[middle];
        int order = compare_names(name_of(procedure), name);
        if (order < 0 || (order == 0 && procedure->version < version)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const rr_procedure *applier_procedure(const struct applier *applier, rr_bytes name)
{
    size_t after = procedures_before(applier, name, (uint64_t)UINT32_MAX + 1);
    if (name.size == 0 || after == 0) {
        return NULL;
    }
    const rr_procedure *procedure = &applier->procedures[after - 1];
    return compare_names(name_of(procedure), name) == 0 ? procedure : NULL;
}

const rr_procedure *apply_find_procedure(const struct applier *applier, const struct call *call)
{
    size_t at = procedures_before(applier, call->name, call->version);
    if (at == applier->procedure_count) {
        return NULL;
    }
    const rr_procedure *procedure = &applier->procedures[at];
    bool same =
        procedure->version == call->version && compare_names(name_of(procedure), call->name) == 0;
    return same ? procedure : NULL;
}

rr_status applier_check(const struct applier *applier, rr_bytes payload)
{
    rr_status status = command_check(payload);
    struct command command;
    struct call call;
    if (status != RR_OK || command_decode(payload, &command) != RR_OK ||
        command.kind != COMMAND_CALL || call_decode(command.body, &call) != RR_OK) {
        return status;
    }
    if (apply_find_procedure(applier, &call) != NULL) {
        return RR_OK;
    }
    return applier_procedure(applier, call.name) == NULL ? RR_NOT_FOUND : RR_MISMATCH;
}

/* ---- Answers and halts ---- */

rr_status apply_answer(struct applier *applier, rr_status status, raft_index index,
                       const char *message)
{
    buffer_clear(&applier->result);
    return result_encode(&applier->result, status, index, message);
}

/* Notes why the node must halt at this entry, and returns `status`. */
__attribute__((format(printf, 4, 5))) static rr_status
halt(struct applier *applier, rr_status status, raft_index index, const char *format, ...)
{
    int start = snprintf(applier->reason, sizeof(applier->reason),
                         "cannot apply entry %" PRIu64 ": ", index);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(applier->reason + start, sizeof(applier->reason) - (size_t)start, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- Entries ---- */

static rr_status run_command(struct applier *applier, struct state_batch *batch, raft_index index,
                             const struct command *command)
{
    switch (command->kind) {
    case COMMAND_NOOP:
        return apply_answer(applier, RR_OK, index, NULL);
    case COMMAND_SESSION:
        return apply_session_open(applier, batch, index);
    case COMMAND_TXN:
        return apply_txn(applier, batch, index, command);
    case COMMAND_CALL:
        return apply_call(applier, batch, index, command);
    }
    UNREACHABLE();
}

/* Runs the command unless its session has the answer already, and lets the session keep it. */
static rr_status run_once(struct applier *applier, struct state_batch *batch, raft_index index,
                          const struct command *command)
{
    enum session_verdict verdict;
    struct session *session;
    rr_status status = apply_session_check(applier, batch, index, command, &verdict, &session);
    if (status != RR_OK || verdict == SESSION_ANSWERED) {
        return status;
    }
    status = run_command(applier, batch, index, command);
    if (status != RR_OK || session == NULL) {
        return status;
    }
    return apply_session_store(applier, batch, index, command, session);
}

static rr_status apply_command(struct applier *applier, struct state_batch *batch, raft_index index,
                               rr_bytes payload)
{
    struct command command;
    rr_status status = command_decode(payload, &command);
    if (status == RR_MISMATCH) {
        return storage_fail(&applier->error, status,
                            "a newer version of this software wrote it: upgrade this node");
    }
    if (status != RR_OK) {
        return apply_answer(applier, RR_INVALID, index, "the command is malformed");
    }
    if (command.time_ms > applier->time_ms) {
        applier->time_ms = command.time_ms;
        applier->clock_changed = true;
    }
    status = apply_sessions_sweep(applier, batch);
    return status == RR_OK ? run_once(applier, batch, index, &command) : status;
}

rr_status applier_apply(struct applier *applier, struct state_batch *batch, raft_index index,
                        rr_bytes payload, struct applied *out)
{
    ASSERT(index > applier->index);
    applier->index = index;
    applier->error.text[0] = '\0';
    buffer_clear(&applier->result);
    rr_status status = payload.size == 0 ? apply_answer(applier, RR_OK, index, NULL)
                                         : apply_command(applier, batch, index, payload);
    if (status != RR_OK) {
        const char *text = applier->error.text;
        return halt(applier, status, index, "%s", text[0] == '\0' ? rr_status_name(status) : text);
    }
    struct result result;
    result_decode_trusted(buffer_bytes(&applier->result), &result);
    *out = (struct applied){.status = result.status, .result = buffer_bytes(&applier->result)};
    return RR_OK;
}

rr_status applier_finish(struct applier *applier, struct state_batch *batch)
{
    if (!applier->clock_changed) {
        return RR_OK;
    }
    buffer_clear(&applier->value);
    put_u8(&applier->value, CLOCK_VERSION);
    put_u64(&applier->value, applier->time_ms);
    if (applier->value.failed) {
        return RR_NO_MEMORY;
    }
    rr_bytes key = {clock_key, sizeof(clock_key)};
    rr_status status = state_batch_put(batch, key, buffer_bytes(&applier->value));
    applier->clock_changed = status != RR_OK;
    return status;
}
