/* Committed entries into the state, in order, in one batch; then the answers of those who wait. */
#include "node/node_private.h"

#include "base/assert.h"
#include "storage/install_mark.h"

#include <inttypes.h>

enum {
    BATCH_BYTES_MAX = 16 * 1024 * 1024,   /* of the state's batch; over it, commit in between */
    RESULTS_BYTES_MAX = 32 * 1024 * 1024, /* of answers kept for the commit; likewise */
};

/* Makes what the batch holds visible. */
static rr_status commit(rr_node *node, const struct raft_entry *last)
{
    struct storage_error error = {0};
    rr_status status = applier_finish(node->applier, node->batch);
    if (status != RR_OK) {
        node_halt(node, status, "cannot apply entry %" PRIu64 ": %s", last->index,
                  rr_status_name(status));
        return status;
    }
    state_batch_set_applied(node->batch, last->index, last->term);
    stall_begin(node, "a write of the state");
    status = state_batch_commit(node->batch, &error);
    stall_end(node);
    if (status == RR_CORRUPT) {
        stores_damaged(node, DAMAGE_STATE, error.text);
        return status;
    }
    if (status != RR_OK) {
        node_halt(node, status, "the state cannot be written: %s", error.text);
        return status;
    }
    node->applied_term = last->term;
    return RR_OK;
}

static rr_status execute_normal(rr_node *node, const struct raft_entry *entry)
{
    struct applied applied;
    rr_bytes payload = {entry->data, entry->size};
    rr_status status = applier_apply(node->applier, node->batch, entry->index, payload, &applied);
    if (status == RR_CORRUPT) {
        stores_damaged(node, DAMAGE_STATE, applier_reason(node->applier));
        return status;
    }
    if (status != RR_OK) {
        node_halt(node, status, "%s", applier_reason(node->applier));
        return status;
    }
    writes_entry_applied(node, entry, applied.status, applied.result);
    return RR_OK;
}

static rr_status execute_configuration(rr_node *node, const struct raft_entry *entry)
{
    struct raft_conf_change change;
    rr_status status = raft_conf_change_decode((rr_bytes){entry->data, entry->size}, &change);
    if (status != RR_OK) {
        node_halt(node, status, "the configuration change at entry %" PRIu64 " is malformed",
                  entry->index);
        return status;
    }
    struct raft_event event = {.type = RAFT_EVENT_CONF_APPLIED};
    event.conf_applied = &change;
    (void)node_step(node, &event);
    if (raft_host_halted(driver_host(node->driver)) != NULL) {
        return RR_CORRUPT; /* the driver passes the core's reason on */
    }
    status = members_conf_applied(node, entry, &change);
    if (status != RR_OK) {
        node_halt(node, status,
                  "the configuration change at entry %" PRIu64 " cannot be applied: %s",
                  entry->index, rr_status_name(status));
        return status;
    }
    writes_entry_applied(node, entry, RR_OK, (rr_bytes){0});
    return RR_OK;
}

/* Whether what the turn has gathered so far is enough to be committed by itself. */
static bool is_large(const rr_node *node)
{
    return state_batch_size(node->batch) > BATCH_BYTES_MAX ||
           node->results.size > RESULTS_BYTES_MAX;
}

/* What is applied is durable in the log, and so is the beginning that an installed snapshot gave it. */
static rr_status end_install(rr_node *node)
{
    struct storage_error error = {0};
    if (!node->install_marked) {
        return RR_OK;
    }
    rr_status status = install_mark_clear(node->options.data_path, &error);
    if (status != RR_OK) {
        node_halt(node, status, "the data directory cannot be written: %s", error.text);
    }
    node->install_marked = false;
    return status;
}

rr_status execute_entries(void *arg, struct raft_entry *const *entries, uint32_t count)
{
    rr_node *node = arg;
    rr_status status = end_install(node);
    for (uint32_t i = 0; i < count && status == RR_OK; i++) {
        const struct raft_entry *entry = entries[i];
        ASSERT(i == 0 || entry->index == entries[i - 1]->index + 1);
        status = entry->type == RAFT_ENTRY_NORMAL ? execute_normal(node, entry)
                                                  : execute_configuration(node, entry);
        if (status == RR_OK && i + 1 < count && is_large(node)) {
            status = commit(node, entry);
            if (status == RR_OK) {
                writes_answer(node);
            }
        }
    }
    if (status == RR_OK) {
        status = commit(node, entries[count - 1]);
    }
    if (status != RR_OK) {
        state_batch_clear(node->batch);
        return status;
    }
    node->counters.applied_total += count;
    return RR_OK;
}

rr_status execute_install(void *arg, const struct raft_snapshot *snapshot)
{
    rr_node *node = arg;
    struct storage_error error = {0};
    stall_begin(node, "the installing of a snapshot");
    struct state_position position = {.index = snapshot->index, .term = snapshot->term};
    rr_status status = install_mark_set(node->options.data_path, position, &error);
    node->install_marked = true;
    if (status == RR_OK) {
        status = snapshots_install(node, snapshot, &error);
    }
    stall_end(node);
    if (status == RR_OK) {
        ASSERT(state_applied(node->state).index == snapshot->index);
        status = applier_load(node->applier, node->state, &error);
    }
    if (status == RR_OK) {
        status = members_reload(node, &error);
    }
    if (status != RR_OK) {
        node_halt(node, status, "cannot install the snapshot at entry %" PRIu64 ": %s",
                  snapshot->index, error.text);
        return status;
    }
    node->applied_term = snapshot->term;
    writes_skipped(node, snapshot->index);
    return RR_OK;
}

void execute_applied(void *arg)
{
    rr_node *node = arg;
    writes_answer(node);
    reads_applied(node);
    snapshots_applied(node);
}
