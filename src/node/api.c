/* The public calls for writes, reads and upkeep: check, encode, hand over. */
#include "node/node_private.h"

#include "base/memory.h"
#include "command/call.h"
#include "command/command.h"
#include "node/read.h"
#include "node/txn.h"
#include "node/write.h"

#include <string.h>

/* ---- Writes ---- */

/* What the caller wants besides the command; defaults for NULL. */
static rr_status read_write_options(const rr_write_options *options, rr_write_options *out)
{
    rr_write_options_init(out);
    if (options == NULL) {
        return RR_OK;
    }
    if (options->struct_size < sizeof(options->struct_size) + sizeof(options->timeout_ms)) {
        return RR_INVALID;
    }
    memcpy(out, options, options->struct_size < sizeof(*out) ? options->struct_size : sizeof(*out));
    return (out->session == 0) == (out->sequence == 0) ? RR_OK : RR_INVALID;
}

static struct command command_of(const rr_node *node, enum command_kind kind,
                                 const rr_write_options *options)
{
    struct command command = {
        .kind = kind, .session = options->session, .sequence = options->sequence};
    if (node->options.public.result_bytes_max < COMMAND_RESULT_BYTES_MAX) {
        command.result_bytes_max = node->options.public.result_bytes_max;
    }
    return command;
}

/* Makes the write of an encoded command and hands it over. */
static rr_status post_command(rr_node *node, const struct buffer *encoded,
                              const rr_write_options *options, rr_done_fn done, void *arg)
{
    if (encoded->failed) {
        return RR_NO_MEMORY;
    }
    if (encoded->size > node->options.public.entry_bytes_max) {
        return RR_TOO_BIG;
    }
    struct raft_entry *entry = raft_entry_try_new(RAFT_ENTRY_NORMAL, encoded->size);
    if (entry == NULL) {
        return RR_NO_MEMORY;
    }
    memcpy(entry->data, encoded->data, encoded->size);
    struct write *write = write_new(entry);
    write->session = options->session;
    write->request.done = done;
    write->request.done_arg = arg;
    rr_status status = request_post(node, &write->request, options->timeout_ms);
    if (status != RR_OK) {
        write_destroy(&write->request);
    }
    return status;
}

rr_status rr_node_session(rr_node *node, uint32_t timeout_ms, rr_done_fn done, void *arg)
{
    if (node == NULL) {
        return RR_INVALID;
    }
    rr_write_options options;
    rr_write_options_init(&options);
    options.timeout_ms = timeout_ms;
    struct command command = {.kind = COMMAND_SESSION};
    struct buffer encoded;
    buffer_init(&encoded);
    command_encode(&encoded, &command);
    rr_status status = post_command(node, &encoded, &options, done, arg);
    buffer_deinit(&encoded);
    return status;
}

rr_status rr_node_submit(rr_node *node, const rr_txn *txn, const rr_write_options *options,
                         rr_done_fn done, void *arg)
{
    rr_write_options wanted;
    if (node == NULL || txn == NULL || read_write_options(options, &wanted) != RR_OK) {
        return RR_INVALID;
    }
    const struct txn_builder *builder = &txn->builder;
    if (builder->status != RR_OK) {
        return builder->status;
    }
    if (builder->condition_count == 0 && builder->operation_counts[TXN_THEN] == 0 &&
        builder->operation_counts[TXN_ELSE] == 0) {
        return RR_INVALID;
    }
    if (builder->key_bytes_max > node->options.public.key_bytes_max ||
        builder->value_bytes_max > node->options.public.value_bytes_max ||
        txn_encoded_size(builder) > COMMAND_BODY_BYTES_MAX) {
        return RR_TOO_BIG;
    }
    struct command command = command_of(node, COMMAND_TXN, &wanted);
    struct buffer encoded;
    buffer_init(&encoded);
    (void)buffer_reserve(&encoded, COMMAND_HEADER_BYTES_MAX + txn_encoded_size(builder));
    command_encode(&encoded, &command);
    txn_encode(builder, &encoded);
    rr_status status = post_command(node, &encoded, &wanted, done, arg);
    buffer_deinit(&encoded);
    return status;
}

rr_status rr_node_call(rr_node *node, const char *procedure, rr_bytes input,
                       const rr_write_options *options, rr_done_fn done, void *arg)
{
    rr_write_options wanted;
    if (node == NULL || procedure == NULL || (input.size > 0 && input.data == NULL) ||
        read_write_options(options, &wanted) != RR_OK) {
        return RR_INVALID;
    }
    struct call call = {.name = {procedure, strnlen(procedure, PROCEDURE_NAME_BYTES_MAX + 1)},
                        .input = input};
    const rr_procedure *found = applier_procedure(node->applier, call.name);
    if (found == NULL) {
        return RR_NOT_FOUND;
    }
    if (input.size > COMMAND_BODY_BYTES_MAX - COMMAND_HEADER_BYTES_MAX - PROCEDURE_NAME_BYTES_MAX) {
        return RR_TOO_BIG;
    }
    call.version = found->version;
    struct command command = command_of(node, COMMAND_CALL, &wanted);
    struct buffer encoded;
    buffer_init(&encoded);
    command_encode(&encoded, &command);
    call_encode(&encoded, &call);
    rr_status status = post_command(node, &encoded, &wanted, done, arg);
    buffer_deinit(&encoded);
    return status;
}

/* ---- Writes, blocking ---- */

rr_status rr_node_session_wait(rr_node *node, uint32_t timeout_ms, uint64_t *session)
{
    struct wait wait;
    if (node == NULL || session == NULL) {
        return RR_INVALID;
    }
    rr_status status = wait_begin(&wait, node, true);
    if (status != RR_OK) {
        return status;
    }
    rr_result *result = NULL;
    status = wait_end(&wait, rr_node_session(node, timeout_ms, wait_done, &wait), &result);
    if (status == RR_OK) {
        *session = rr_result_index(result);
        if (*session == 0) {
            status = RR_NO_MEMORY; /* of the copied result */
        }
    }
    rr_result_free(result);
    return status;
}

rr_status rr_node_submit_wait(rr_node *node, const rr_txn *txn, const rr_write_options *options,
                              rr_result **result)
{
    struct wait wait;
    if (result != NULL) {
        *result = NULL;
    }
    rr_status status = node == NULL ? RR_INVALID : wait_begin(&wait, node, result != NULL);
    if (status != RR_OK) {
        return status;
    }
    return wait_end(&wait, rr_node_submit(node, txn, options, wait_done, &wait), result);
}

rr_status rr_node_call_wait(rr_node *node, const char *procedure, rr_bytes input,
                            const rr_write_options *options, rr_result **result)
{
    struct wait wait;
    if (result != NULL) {
        *result = NULL;
    }
    rr_status status = node == NULL ? RR_INVALID : wait_begin(&wait, node, result != NULL);
    if (status != RR_OK) {
        return status;
    }
    return wait_end(&wait, rr_node_call(node, procedure, input, options, wait_done, &wait), result);
}

/* Submits `txn`, whose making ended in `status`, and frees it. */
static rr_status submit_single(rr_node *node, rr_txn *txn, rr_status status, rr_result **result)
{
    if (status == RR_OK) {
        status = rr_node_submit_wait(node, txn, NULL, result);
    }
    rr_txn_free(txn);
    return status;
}

rr_status rr_node_set_wait(rr_node *node, rr_bytes key, rr_bytes value)
{
    rr_txn *txn = rr_txn_new();
    return submit_single(node, txn, rr_txn_set(txn, key, value), NULL);
}

rr_status rr_node_delete_wait(rr_node *node, rr_bytes key)
{
    rr_txn *txn = rr_txn_new();
    return submit_single(node, txn, rr_txn_delete(txn, key), NULL);
}

rr_status rr_node_getset_wait(rr_node *node, rr_bytes key, rr_bytes value, rr_result **old)
{
    if (old != NULL) {
        *old = NULL;
    }
    rr_txn *txn = rr_txn_new();
    rr_txn_return_previous(txn, old != NULL);
    return submit_single(node, txn, rr_txn_set(txn, key, value), old);
}

/* ---- Reads ---- */

static bool bytes_valid(rr_bytes bytes)
{
    return bytes.size == 0 || bytes.data != NULL;
}

static bool level_valid(rr_read_level level)
{
    return level == RR_READ_LINEARIZABLE || level == RR_READ_LEASE || level == RR_READ_LOCAL;
}

/* Copies `bytes` to `at` and moves it on. */
static rr_bytes place(uint8_t **at, rr_bytes bytes)
{
    rr_bytes placed = {*at, bytes.size};
    if (bytes.size > 0) {
        memcpy(*at, bytes.data, bytes.size);
        *at += bytes.size;
    }
    return placed;
}

static rr_status post_read(rr_node *node, struct read *read, rr_read_level level,
                           uint32_t timeout_ms, rr_done_fn done, void *arg)
{
    bool no_lease = level == RR_READ_LEASE && !node->options.public.lease_reads;
    read->level = no_lease ? RR_READ_LINEARIZABLE : level;
    read->request.done = done;
    read->request.done_arg = arg;
    rr_status status = request_post(node, &read->request, timeout_ms);
    if (status != RR_OK) {
        read_destroy(&read->request);
    }
    return status;
}

rr_status rr_node_get(rr_node *node, rr_bytes key, rr_read_level level, uint32_t timeout_ms,
                      rr_done_fn done, void *arg)
{
    if (node == NULL || !bytes_valid(key) || !level_valid(level)) {
        return RR_INVALID;
    }
    if (key.size > KEY_BYTES_MAX) {
        return RR_TOO_BIG;
    }
    struct read *read = read_new(key.size);
    if (read == NULL) {
        return RR_NO_MEMORY;
    }
    uint8_t *at = read->memory;
    read->range.prefix = place(&at, key);
    return post_read(node, read, level, timeout_ms, done, arg);
}

rr_status rr_node_get_wait(rr_node *node, rr_bytes key, rr_read_level level, uint32_t timeout_ms,
                           rr_result **result)
{
    struct wait wait;
    if (result != NULL) {
        *result = NULL;
    }
    rr_status status = node == NULL ? RR_INVALID : wait_begin(&wait, node, result != NULL);
    if (status != RR_OK) {
        return status;
    }
    return wait_end(&wait, rr_node_get(node, key, level, timeout_ms, wait_done, &wait), result);
}

rr_status rr_node_scan(rr_node *node, const rr_scan *scan, rr_done_fn done, void *arg)
{
    rr_scan wanted;
    rr_scan_init(&wanted);
    if (node == NULL || scan == NULL || scan->struct_size < offsetof(rr_scan, level)) {
        return RR_INVALID;
    }
    memcpy(&wanted, scan, scan->struct_size < sizeof(wanted) ? scan->struct_size : sizeof(wanted));
    if (!bytes_valid(wanted.prefix) || !bytes_valid(wanted.after) || !level_valid(wanted.level)) {
        return RR_INVALID;
    }
    if (wanted.prefix.size > KEY_BYTES_MAX || wanted.after.size > KEY_BYTES_MAX) {
        return RR_TOO_BIG;
    }
    struct read *read = read_new(wanted.prefix.size + wanted.after.size);
    if (read == NULL) {
        return RR_NO_MEMORY;
    }
    size_t bytes_max = node->options.public.result_bytes_max;
    uint8_t *at = read->memory;
    read->kind = READ_SCAN;
    read->range.prefix = place(&at, wanted.prefix);
    read->range.after = place(&at, wanted.after);
    read->range.count_max = wanted.count_max;
    read->range.bytes_max =
        wanted.bytes_max == 0 || wanted.bytes_max > bytes_max ? bytes_max : wanted.bytes_max;
    return post_read(node, read, wanted.level, wanted.timeout_ms, done, arg);
}

rr_status rr_node_scan_wait(rr_node *node, const rr_scan *scan, rr_result **result)
{
    struct wait wait;
    if (result != NULL) {
        *result = NULL;
    }
    rr_status status = node == NULL ? RR_INVALID : wait_begin(&wait, node, result != NULL);
    if (status != RR_OK) {
        return status;
    }
    return wait_end(&wait, rr_node_scan(node, scan, wait_done, &wait), result);
}

rr_status rr_node_query(rr_node *node, const rr_query *query, rr_done_fn done, void *arg)
{
    rr_query wanted;
    rr_query_init(&wanted);
    if (node == NULL || query == NULL || query->struct_size < offsetof(rr_query, level)) {
        return RR_INVALID;
    }
    memcpy(&wanted, query,
           query->struct_size < sizeof(wanted) ? query->struct_size : sizeof(wanted));
    if (wanted.fn == NULL || !bytes_valid(wanted.input) || !level_valid(wanted.level)) {
        return RR_INVALID;
    }
    if (wanted.input.size > node->options.public.pending_bytes_max) {
        return RR_TOO_BIG;
    }
    struct read *read = read_new(wanted.input.size);
    if (read == NULL) {
        return RR_NO_MEMORY;
    }
    uint8_t *at = read->memory;
    read->kind = READ_QUERY;
    read->fn = wanted.fn;
    read->fn_arg = wanted.fn_arg;
    read->input = place(&at, wanted.input);
    return post_read(node, read, wanted.level, wanted.timeout_ms, done, arg);
}

rr_status rr_node_query_wait(rr_node *node, const rr_query *query, rr_result **result)
{
    struct wait wait;
    if (result != NULL) {
        *result = NULL;
    }
    rr_status status = node == NULL ? RR_INVALID : wait_begin(&wait, node, result != NULL);
    if (status != RR_OK) {
        return status;
    }
    return wait_end(&wait, rr_node_query(node, query, wait_done, &wait), result);
}

/* ---- Upkeep ---- */

/* A call that steps the core once. */
struct upkeep {
    struct request request;
    enum raft_event_type type; /* CAMPAIGN, HEARTBEAT or SWITCH */
    bool elections;
    bool heartbeats;
};

/* An election that the leader knows of: it gives its lease up first, and nobody waits for it. */
static rr_status start_election(rr_node *node)
{
    struct raft *core = node_core(node);
    raft_id self = raft_self(core);
    const struct raft_member *member = raft_configuration_find(raft_configuration(core), self);
    if (member == NULL || (member->flags & RAFT_MEMBER_LEARNER) != 0) {
        return RR_CONFLICT; /* only voters stand for election */
    }
    raft_id leader = raft_leader(core);
    struct raft_event event = {.type = RAFT_EVENT_CAMPAIGN};
    if (leader == self) {
        return RR_OK; /* there is nothing to win */
    }
    if (leader != RAFT_NO_ID) {
        event.type = RAFT_EVENT_TRANSFER;
        event.transfer = self;
    }
    (void)node_step(node, &event);
    return RR_OK;
}

static void upkeep_start(struct request *request)
{
    struct upkeep *upkeep = CONTAINER_OF(request, struct upkeep, request);
    rr_node *node = request->node;
    if (!node_alive(node)) {
        request_end(request, RR_CLOSED, NULL);
        return;
    }
    if (upkeep->type == RAFT_EVENT_CAMPAIGN) {
        request_end(request, start_election(node), NULL);
        return;
    }
    struct raft_event event = {.type = upkeep->type};
    if (upkeep->type == RAFT_EVENT_SWITCH) {
        event.enable.elections = upkeep->elections;
        event.enable.heartbeats = upkeep->heartbeats;
    }
    (void)node_step(node, &event);
    request_end(request, RR_OK, NULL);
}

static void upkeep_destroy(struct request *request)
{
    mem_free(CONTAINER_OF(request, struct upkeep, request));
}

/* Posts it and waits, or does not wait on the node's own thread. */
static rr_status run_upkeep(rr_node *node, struct upkeep wanted)
{
    if (node == NULL) {
        return RR_INVALID;
    }
    struct upkeep *upkeep = mem_new(struct upkeep);
    *upkeep = wanted;
    upkeep->request.start = upkeep_start;
    upkeep->request.destroy = upkeep_destroy;
    struct wait wait;
    bool waits = wait_begin(&wait, node, false) == RR_OK;
    if (waits) {
        upkeep->request.done = wait_done;
        upkeep->request.done_arg = &wait;
    }
    rr_status status = request_post(node, &upkeep->request, 0);
    if (status != RR_OK) {
        mem_free(upkeep);
    }
    return waits ? wait_end(&wait, status, NULL) : status;
}

rr_status rr_node_trigger_election(rr_node *node)
{
    return run_upkeep(node, (struct upkeep){.type = RAFT_EVENT_CAMPAIGN});
}

rr_status rr_node_trigger_heartbeat(rr_node *node)
{
    return run_upkeep(node, (struct upkeep){.type = RAFT_EVENT_HEARTBEAT});
}

rr_status rr_node_enable(rr_node *node, bool elections, bool heartbeats)
{
    return run_upkeep(node, (struct upkeep){.type = RAFT_EVENT_SWITCH,
                                            .elections = elections,
                                            .heartbeats = heartbeats});
}
