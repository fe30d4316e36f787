/*
 * Founding a cluster: a state without data at position (1, 1) that has this node as its one voter,
 * and an empty log behind it.
 *
 * The state comes first and alone makes the founding a fact; what a crash leaves out is repeated at
 * the next start.
 */
#include "node/members.h"

#include "base/assert.h"

#include <inttypes.h>

static rr_status write_founding_state(rr_node *node, struct storage_error *error)
{
    struct buffer meta;
    buffer_init(&meta);
    members_meta_encode(&meta, &node->members->meta);
    struct state_batch *batch = state_batch_new(node->state);
    rr_status status =
        meta.failed ? RR_NO_MEMORY : state_batch_set_meta(batch, buffer_bytes(&meta));
    if (status == RR_OK) {
        state_batch_set_applied(batch, FOUNDING_INDEX, FOUNDING_TERM);
        status = state_batch_commit(batch, error);
    }
    if (status == RR_OK) {
        status = state_flush(node->state, true, error);
    }
    state_batch_free(batch);
    buffer_deinit(&meta);
    return status;
}

/* A frame that is waited for before the loop runs. */
struct written {
    bool done;
    rr_status status;
};

static void frame_written(void *arg, rr_status status)
{
    struct written *written = arg;
    written->done = true;
    written->status = status;
}

/* The log begins behind the founding state. */
static rr_status write_founding_log(rr_node *node, struct storage_error *error)
{
    struct raft_hard_state hard_state = {.term = FOUNDING_TERM, .commit = FOUNDING_INDEX};
    struct log_record record = {.group = NODE_GROUP,
                                .reset = true,
                                .reset_index = FOUNDING_INDEX,
                                .reset_term = FOUNDING_TERM,
                                .hard_state = &hard_state};
    struct log_frame frame = {.records = &record, .record_count = 1, .sync = true};
    struct written written = {0};
    log_store_submit(node->log_store, &frame, frame_written, &written);
    while (!written.done) {
        log_store_poll(node->log_store);
    }
    if (written.status != RR_OK) {
        const char *failure = log_store_failure(node->log_store);
        return storage_fail(error, written.status, "cannot found a cluster: %s",
                            failure == NULL ? rr_status_name(written.status) : failure);
    }
    return RR_OK;
}

/* Nothing was ever stored here, by a founder or by a node on its way into a cluster. */
bool members_may_found(const rr_node *node)
{
    struct log_bounds bounds;
    return node->options.public.found && node->options.public.join_count == 0 &&
           data_dir_identity(node->data_dir)->cluster == 0 &&
           state_applied(node->state).index == 0 &&
           !log_store_bounds(node->log_store, NODE_GROUP, &bounds);
}

/* The state comes first: it alone makes the founding a fact, and what follows is repeated by
 * members_open when a crash has left it out. */
rr_status members_found(rr_node *node, struct storage_error *error)
{
    struct members *members = node->members;
    struct member founder;
    rr_status status = member_set(&founder, members_self(node), RR_VOTER, node->self.address,
                                  members_incarnation(node));
    if (status != RR_OK) {
        return storage_fail(error, status, "'%s' is no address to be known by", node->self.address);
    }
    uint64_t cluster = random_u64(&node->random) ^ members_incarnation(node);
    members_meta_found(&members->meta, cluster == 0 ? 1 : cluster, &founder, FOUNDING_INDEX,
                       FOUNDING_TERM);
    status = write_founding_state(node, error);
    if (status != RR_OK) {
        return status;
    }
    LOG_INFO(&node->logger, "node %" PRIu64 " founds cluster %016" PRIx64, members_self(node),
             members->meta.cluster);
    return RR_OK;
}

rr_status members_finish_founding(rr_node *node, struct storage_error *error)
{
    struct log_bounds bounds;
    /* Once the directory has the cluster's id there was a log: it is missing then. */
    if (data_dir_identity(node->data_dir)->cluster == 0 &&
        state_applied(node->state).index == FOUNDING_INDEX &&
        node->members->meta.index == FOUNDING_INDEX &&
        !log_store_bounds(node->log_store, NODE_GROUP, &bounds)) {
        return write_founding_log(node, error);
    }
    return RR_OK;
}
