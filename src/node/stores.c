/*
 * Opening what is on the disk, and repairing damage where nothing is lost by it.
 *
 * The order: what an earlier run has found damaged; snapshots; the state, made anew from the latest
 * snapshot where it is damaged; the log, of which the state's position tells what it may lack. What
 * cannot be repaired so is for a cluster to repair, or for the operator.
 */
#include "node/snapshots.h"

#include "base/assert.h"
#include "storage/log_store_repair.h"
#include "storage/state_rebuild.h"

#include <inttypes.h>
#include <string.h>

/* ---- The state ---- */

static void close_state(rr_node *node)
{
    state_batch_free(node->batch);
    node->batch = NULL;
    state_close(node->state);
    node->state = NULL;
}

/* Opens the state and reads what is read of it before anything else. */
static rr_status try_state(rr_node *node, struct storage_error *error)
{
    const rr_options *options = &node->options.public;
    struct state_options state_options = {
        .path = node->options.data_path,
        .memtable_bytes = options->memtable_bytes,
        .block_cache_bytes = options->block_cache_bytes,
        .max_open_files = (int)options->max_open_files,
    };
    rr_status status = state_open(&state_options, error, &node->state);
    if (status != RR_OK) {
        return status;
    }
    node->batch = state_batch_new(node->state);
    node->applied_term = state_applied(node->state).term;
    status = applier_load(node->applier, node->state, error);
    if (status == RR_OK) {
        struct buffer meta;
        buffer_init(&meta);
        status = state_meta(node->state, &meta, error);
        buffer_deinit(&meta);
    }
    if (status != RR_OK) {
        close_state(node);
    }
    return status;
}

/* Opens the state and reads all of it. */
static rr_status try_whole_state(rr_node *node, struct storage_error *error)
{
    rr_status status = try_state(node, error);
    if (status != RR_OK) {
        return status;
    }
    uint64_t digest;
    struct state_view *view = state_view_open(node->state);
    status = state_view_digest(view, &digest, error);
    state_view_close(view);
    if (status != RR_OK) {
        close_state(node);
    }
    return status;
}

static struct log_store_open_options log_options(const rr_node *node)
{
    const rr_options *options = &node->options.public;
    return (struct log_store_open_options){
        .path = data_dir_log_path(node->data_dir),
        .kind = options->log_kind,
        .segment_bytes = options->log_segment_bytes,
        .sync_on_thread = options->log_sync_thread,
        .migrate = options->log_migrate,
    };
}

/* RR_CORRUPT if the log begins after the latest snapshot, as one does that was repaired: the two make
 * no state. A log that is damaged itself does not say; `trust` then has it pass. */
static rr_status check_snapshot_reaches(rr_node *node, bool trust, struct storage_error *error)
{
    struct log_store_open_options options = log_options(node);
    struct logger logger = logger_named(&node->logger, "storage");
    struct log_bounds bounds;
    struct log_store *log;
    raft_index snapshot = node->snapshots->latest_info.position.index;
    rr_status status = log_store_open(&options, &logger, error, &log);
    if (status != RR_OK) {
        return status == RR_CORRUPT && trust ? RR_OK : status;
    }
    if (log_store_bounds(log, NODE_GROUP, &bounds) && bounds.base_index > snapshot) {
        status = storage_fail(error, RR_CORRUPT,
                              "the snapshot at entry %" PRIu64
                              " is too old for the log, which begins after entry %" PRIu64,
                              snapshot, bounds.base_index);
    }
    log_store_close(log);
    return status;
}

/* Puts the latest snapshot in the place of the state, which is not open, and opens that. The log, if
 * it is open already, goes on where the snapshot ends. */
static rr_status rebuild_state(rr_node *node, const char *why, bool trust,
                               struct storage_error *error)
{
    struct snapshots *snapshots = node->snapshots;
    if (snapshots->latest == NULL) {
        return storage_fail(error, RR_CORRUPT, "%.400s; there is no snapshot to rebuild it from",
                            why);
    }
    struct storage_error cause;
    rr_status status =
        node->log_store == NULL ? check_snapshot_reaches(node, trust, &cause) : RR_OK;
    if (status == RR_OK) {
        status = state_rebuild(node->options.data_path, snapshots->latest, &cause);
    }
    if (status != RR_OK) {
        return storage_fail(error, status, "%.350s; it cannot be rebuilt from the snapshot: %.350s",
                            why, cause.text);
    }
    LOG_WARN(&node->logger,
             "the state was damaged: %s; it was rebuilt from the snapshot at entry %" PRIu64
             ", and the log has the rest",
             why, snapshots->latest_info.position.index);
    return try_state(node, error);
}

/* The state is damaged. STATE alone is written anew without asking a snapshot. */
static rr_status repair_state(rr_node *node, const char *why, bool trust,
                              struct storage_error *error)
{
    bool written = false;
    struct storage_error cause;
    rr_status status = state_rebuild_pointer(node->options.data_path, &written, &cause);
    if (status == RR_OK && written) {
        LOG_WARN(&node->logger,
                 "the state was damaged: %s; STATE names the only one that there is again", why);
        status = try_state(node, error);
        if (status != RR_CORRUPT) {
            return status;
        }
    }
    return rebuild_state(node, why, trust, error);
}

static rr_status open_state(rr_node *node, const struct damage *mark, struct storage_error *error)
{
    struct storage_error why = {0};
    struct storage_error whole;
    rr_status status = RR_CORRUPT;
    if ((mark->parts & DAMAGE_STATE) == 0) {
        status = try_state(node, &why);
    } else {
        (void)storage_fail(&why, RR_CORRUPT, "%s", mark->text);
    }
    if (status == RR_CORRUPT) {
        status = repair_state(node, why.text, false, error);
    } else if (status != RR_OK) {
        *error = why;
    }
    if (status == RR_CORRUPT && (mark->parts & DAMAGE_STATE) != 0 &&
        try_whole_state(node, &whole) == RR_OK) {
        LOG_WARN(&node->logger, "all of the state can be read now: it is used as it is");
        status = RR_OK;
    }
    if (status == RR_CORRUPT) {
        status = repair_state(node, why.text, true, error);
    }
    if (status == RR_CORRUPT) {
        node->damage.parts = DAMAGE_ALL; /* a log without its state is of no use */
    }
    return status;
}

/* ---- The log ---- */

/* Any thread. */
static void wake_for_log(void *arg)
{
    rr_node *node = arg;
    wakeup_send(node->wakeup); /* the turn polls the log */
}

static rr_status try_log(rr_node *node, struct storage_error *error)
{
    struct log_store_open_options options = log_options(node);
    struct logger logger = logger_named(&node->logger, "storage");
    rr_status status = log_store_open(&options, &logger, error, &node->log_store);
    if (status == RR_OK) {
        log_store_set_wake(node->log_store, wake_for_log, node);
    }
    return status;
}

/* The log, which is closed, is damaged: saves it if the state makes up for what is lost, and opens
 * it. `error` tells what is wrong, and if need be why that stays so. */
static rr_status repair_log(rr_node *node, struct storage_error *error)
{
    struct log_store_open_options options = log_options(node);
    struct state_position applied = state_applied(node->state);
    struct storage_error text = {0};
    rr_status status = log_store_repair(&options, NODE_GROUP, applied.index, applied.term, &text);
    if (status == RR_OK) {
        LOG_WARN(&node->logger, "the log was damaged: %s; %s", error->text, text.text);
        return try_log(node, error);
    }
    struct storage_error why = *error;
    node->damage.parts = status == RR_CORRUPT ? DAMAGE_LOG : 0;
    return storage_fail(error, status, "%.380s; %.380s", why.text, text.text);
}

/* ---- Both ---- */

/* The state ends before the log begins, as one does that was lost: the snapshot may reach. */
static rr_status catch_up_state(rr_node *node, struct storage_error *error)
{
    struct log_bounds bounds;
    raft_index applied = state_applied(node->state).index;
    const struct snapshots *snapshots = node->snapshots;
    if (!log_store_bounds(node->log_store, NODE_GROUP, &bounds) || applied >= bounds.base_index ||
        snapshots->latest == NULL || snapshots->latest_info.position.index < bounds.base_index) {
        return RR_OK; /* what is wrong then, recovery tells */
    }
    struct storage_error why;
    (void)storage_fail(&why, RR_CORRUPT,
                       "it is at entry %" PRIu64 ", and the log begins after entry %" PRIu64,
                       applied, bounds.base_index);
    close_state(node);
    return rebuild_state(node, why.text, true, error);
}

rr_status stores_open(rr_node *node, struct storage_error *error)
{
    struct damage mark;
    rr_status status = damage_read(node->options.data_path, &mark, error);
    if (status == RR_OK && mark.parts != 0) {
        LOG_WARN(&node->logger, "the last run has found damage: %s", mark.text);
    }
    if (status == RR_OK) {
        status = snapshots_open(node, error);
    }
    if (status == RR_OK) {
        status = open_state(node, &mark, error);
    }
    if (status == RR_OK) {
        status = try_log(node, error);
        if (status == RR_CORRUPT) {
            status = repair_log(node, error);
        }
    }
    return status == RR_OK ? catch_up_state(node, error) : status;
}

rr_status stores_recover(rr_node *node, struct raft_start *start, struct storage_error *error)
{
    rr_status status = recover_log(node, start, error);
    if (status == RR_CORRUPT) {
        log_store_close(node->log_store);
        node->log_store = NULL;
        status = repair_log(node, error);
        if (status == RR_OK) {
            status = recover_log(node, start, error);
        }
        if (status == RR_CORRUPT) {
            node->damage.parts |= DAMAGE_LOG;
        }
    }
    if (status == RR_OK) {
        status = damage_clear(node->options.data_path, error);
        if (status != RR_OK) {
            recover_free(start);
        }
    }
    return status;
}

/* ---- While it runs ---- */

void stores_damaged(rr_node *node, enum damage_part part, const char *text)
{
    struct storage_error error = {0};
    if (node->halted) {
        return;
    }
    if (damage_mark(node->options.data_path, part, text, &error) != RR_OK) {
        LOG_ERROR(&node->logger, "the damage cannot be marked for the next start: %s", error.text);
    }
    node_halt(node, RR_CORRUPT,
              "%s is damaged: %s; the next start repairs it if it can, or says what to do",
              part == DAMAGE_LOG ? "the log" : "the state", text);
}
