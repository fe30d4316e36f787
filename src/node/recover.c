/* What the disk holds at start, brought to agreement and told to the core. */
#include "node/node_private.h"

#include "base/assert.h"
#include "base/memory.h"
#include "raft/log.h"
#include "storage/install_mark.h"

#include <inttypes.h>

struct scan {
    raft_index applied;
    struct raft_term_run *runs;
    uint32_t run_count;
    uint32_t run_capacity;
    raft_index *configurations;
    uint32_t configuration_count;
    uint32_t configuration_capacity;
};

static void scan_entry(void *arg, raft_index index, raft_term term, enum raft_entry_type type,
                       struct raft_entry *entry)
{
    (void)entry;
    struct scan *scan = arg;
    if (scan->run_count == 0 || scan->runs[scan->run_count - 1].term != term) {
        if (scan->run_count == scan->run_capacity) {
            scan->run_capacity = scan->run_capacity == 0 ? 16 : 2 * scan->run_capacity;
            scan->runs = mem_resize(scan->runs, scan->run_capacity * sizeof(*scan->runs));
        }
        scan->runs[scan->run_count] = (struct raft_term_run){index, term};
        scan->run_count++;
    }
    if (type == RAFT_ENTRY_NORMAL || index <= scan->applied) {
        return;
    }
    if (scan->configuration_count == scan->configuration_capacity) {
        scan->configuration_capacity =
            scan->configuration_capacity == 0 ? 16 : 2 * scan->configuration_capacity;
        scan->configurations = mem_resize(scan->configurations, scan->configuration_capacity *
                                                                    sizeof(*scan->configurations));
    }
    scan->configurations[scan->configuration_count] = index;
    scan->configuration_count++;
}

void recover_free(struct raft_start *start)
{
    mem_free((void *)start->runs);
    mem_free((void *)start->configurations);
    start->runs = NULL;
    start->configurations = NULL;
}

/* Whether the state may be ahead of the log, or contradict it: a snapshot was being installed, or
 * nothing was promised by this disk yet. Else the log has lost entries, and votes maybe. */
static rr_status may_differ(const rr_node *node, raft_index applied, struct storage_error *error,
                            bool *out)
{
    bool marked;
    struct state_position position;
    rr_status status = install_mark_read(node->options.data_path, &marked, &position, error);
    *out = data_dir_is_fresh(node->data_dir) || (marked && position.index == applied);
    return status;
}

/* Without the state's last entry the log has lost what came since, unless it may differ. */
static rr_status check_state(const struct log_bounds *bounds, const struct scan *scan,
                             struct state_position applied, struct storage_error *error)
{
    if (applied.index > bounds->last_index) {
        return storage_fail(error, RR_CORRUPT,
                            "the state is at entry %" PRIu64 ", but the log ends at entry %" PRIu64
                            ": it has lost entries that were there",
                            applied.index, bounds->last_index);
    }
    if (applied.index < bounds->base_index) {
        return RR_OK; /* log_store_align refuses it */
    }
    raft_term term = bounds->base_term;
    for (uint32_t i = 0; i < scan->run_count && scan->runs[i].first <= applied.index; i++) {
        term = scan->runs[i].term;
    }
    return term == applied.term ? RR_OK
                                : storage_fail(error, RR_CORRUPT,
                                               "the state's entry %" PRIu64 " is of term %" PRIu64
                                               ", and the log's of term %" PRIu64
                                               ": it has lost entries that were there",
                                               applied.index, applied.term, term);
}

rr_status recover_log(rr_node *node, struct raft_start *start, struct storage_error *error)
{
    struct state_position applied = state_applied(node->state);
    struct scan scan = {.applied = applied.index};
    struct log_recovery recovery = {0};
    bool reset = false;
    rr_status status =
        log_store_recover(node->log_store, NODE_GROUP, scan_entry, &scan, error, &recovery);
    if (status == RR_NOT_FOUND) {
        status = RR_OK; /* nothing was ever written */
    }
    bool may = true;
    if (status == RR_OK) {
        status = may_differ(node, applied.index, error, &may);
    }
    if (status == RR_OK && !may) {
        status = check_state(&recovery.bounds, &scan, applied, error);
    }
    if (status == RR_OK) {
        status = log_store_align(node->log_store, NODE_GROUP, applied.index, applied.term,
                                 &recovery, &reset, error);
    }
    if (status == RR_OK) {
        status = install_mark_clear(node->options.data_path, error);
    }
    if (status != RR_OK) {
        mem_free(scan.runs);
        mem_free(scan.configurations);
        return status;
    }
    if (reset) {
        LOG_INFO(&node->logger, "log reset to entry %" PRIu64 ", where the state is",
                 applied.index);
        scan.run_count = 0;
        scan.configuration_count = 0;
    }
    *start = (struct raft_start){
        .hard_state = recovery.hard_state,
        .base = recovery.bounds.base_index,
        .base_term = recovery.bounds.base_term,
        .applied = applied.index,
        .runs = scan.runs,
        .run_count = scan.run_count,
        .last = recovery.bounds.last_index,
        .configurations = scan.configurations,
        .configuration_count = scan.configuration_count,
        .restarted = recovery.hard_state.term > 0,
    };
    members_configuration(node, &start->configuration);
    LOG_INFO(&node->logger,
             "recovered: %" PRIu64 " entries after entry %" PRIu64 ", commit %" PRIu64
             ", applied %" PRIu64 ", term %" PRIu64,
             start->last - start->base, start->base, start->hard_state.commit, start->applied,
             start->hard_state.term);
    return RR_OK;
}
