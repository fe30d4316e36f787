/*
 * The members as this node has applied them, from the stored state on, and what other nodes ask.
 *
 * Invariants:
 * 1. `meta` changes by committed entries and installed snapshots alone, and always agrees with the
 *    core's configuration.
 * 2. A data directory founds a cluster at most once, and never after it has heard of one.
 */
#include "node/members.h"

#include "base/assert.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- Opening ---- */

static rr_status read_meta(rr_node *node, struct storage_error *error)
{
    struct buffer bytes;
    buffer_init(&bytes);
    rr_status status = state_meta(node->state, &bytes, error);
    if (status == RR_OK) {
        status = members_meta_decode(buffer_bytes(&bytes), &node->members->meta);
        if (status == RR_MISMATCH) {
            (void)storage_fail(error, status,
                               "the members are stored in a format of a newer version; use that");
        } else if (status != RR_OK) {
            (void)storage_fail(error, status,
                               "the stored members are damaged; remove this node from the cluster "
                               "and add it under a new id with an empty directory");
        }
    }
    buffer_deinit(&bytes);
    return status;
}

/* The directory and the state must speak of one cluster. */
static rr_status settle_cluster(rr_node *node, struct storage_error *error)
{
    uint64_t stored = data_dir_identity(node->data_dir)->cluster;
    uint64_t cluster = node->members->meta.cluster;
    if (cluster == 0) {
        return RR_OK;
    }
    if (stored != 0 && stored != cluster) {
        return storage_fail(error, RR_CORRUPT,
                            "the directory is of cluster %016" PRIx64
                            ", but its state is of cluster %016" PRIx64
                            "; do not mix the files of two nodes",
                            stored, cluster);
    }
    rr_status status = data_dir_set_cluster(node->data_dir, cluster, error);
    if (status == RR_OK) {
        node->self.cluster = cluster;
    }
    return status;
}

static void settle(void *arg);

static void on_tick(void *arg)
{
    rr_node *node = arg;
    changes_pump(node);
    transfers_pump(node);
}

rr_status members_open(rr_node *node, struct storage_error *error)
{
    struct members *members = mem_new(struct members);
    node->members = members;
    list_init(&members->awaiting);
    list_init(&members->changes);
    list_init(&members->transfers);
    members->settle.fn = settle;
    members->settle.arg = node;
    members->stranger_log.interval_ms = 10000;
    rr_status status = read_meta(node, error);
    if (status == RR_OK && members->meta.cluster == 0 && members_may_found(node)) {
        status = members_found(node, error);
    }
    if (status == RR_OK) {
        status = members_finish_founding(node, error);
    }
    if (status == RR_OK) {
        status = settle_cluster(node, error);
    }
    members->was_member = members_has_self(node);
    return status;
}

void members_configuration(const rr_node *node, struct raft_configuration *out)
{
    *out = node->members->meta.configuration;
}

void members_close(rr_node *node)
{
    struct members *members = node->members;
    if (members == NULL) {
        return;
    }
    ASSERT(list_empty(&members->changes));
    ASSERT(list_empty(&members->transfers));
    join_close(node);
    loop_defer_cancel(&members->settle);
    timer_close(members->timer);
    timer_close(members->drop_timer);
    mem_free(members);
    node->members = NULL;
}

void members_drain(rr_node *node)
{
    await_stop(node);
}

void members_stop(rr_node *node)
{
    struct members *members = node->members;
    if (members == NULL || members->stopped) {
        return;
    }
    members->stopped = true;
    join_stop(node);
    changes_stop(node);
    transfers_stop(node);
    await_stop(node);
    if (members->timer != NULL) {
        timer_stop(members->timer);
        timer_stop(members->drop_timer);
    }
}

void members_fail(rr_node *node, const char *format, ...)
{
    char reason[NODE_ERROR_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    node_halt(node, RR_MISMATCH, "%s", reason);
}

/* ---- What is known ---- */

bool members_is_member(const struct members *members, raft_id id)
{
    return raft_configuration_find(&members->meta.configuration, id) != NULL;
}

bool members_has_self(const rr_node *node)
{
    const struct raft_member *self =
        raft_configuration_find(&node->members->meta.configuration, members_self(node));
    return self != NULL &&
           (self->incarnation == 0 || self->incarnation == members_incarnation(node));
}

bool members_had_disk(const rr_node *node, uint64_t incarnation)
{
    const struct former *former = data_dir_former(node->data_dir);
    for (uint32_t at = 0; at < former->count; at++) {
        if (former->incarnations[at] == incarnation) {
            return true;
        }
    }
    return false;
}

bool members_settled(const rr_node *node)
{
    struct members *members = node->members;
    const struct member *self = member_list_find(&members->meta.list, members_self(node));
    return self != NULL && members_has_self(node) && (!self->promote || members->was_member);
}

bool members_alone(const rr_node *node)
{
    const struct members *members = node->members;
    return members->meta.list.count == 1 && members->meta.list.removed_count == 0 &&
           members_has_self(node);
}

const char *members_address(const rr_node *node, raft_id id)
{
    const struct member *member = member_list_find(&node->members->meta.list, id);
    return member == NULL ? NULL : member->address;
}

/* ---- Following the configuration ---- */

/* At the turn's end: whoever waited for this. */
static void settle(void *arg)
{
    rr_node *node = arg;
    struct storage_error error = {0};
    if (node->members->stopped) {
        return;
    }
    /* Should the log be damaged, the state on disk tells who the others are (repair.c). */
    if (state_flush(node->state, false, &error) != RR_OK) {
        LOG_WARN(&node->logger, "the state cannot be flushed: %s", error.text);
    }
    join_settle(node);
    await_settle(node);
    changes_pump(node);
}

static void log_change(rr_node *node, bool was_member)
{
    const struct members *members = node->members;
    char text[RAFT_CONFIGURATION_TEXT_MAX];
    raft_configuration_text(&members->meta.configuration, text, sizeof(text));
    LOG_INFO(&node->logger, "the members are now %s, by entry %" PRIu64, text, members->meta.index);
    bool is_member = members_has_self(node);
    if (was_member && !is_member) {
        LOG_WARN(&node->logger,
                 "node %" PRIu64 " was removed from cluster %016" PRIx64 " by entry %" PRIu64
                 ": it keeps its data, takes no part any more, and can be added again",
                 members_self(node), members->meta.cluster, members->meta.index);
    } else if (!was_member && is_member) {
        LOG_INFO(&node->logger, "node %" PRIu64 " is a member of cluster %016" PRIx64,
                 members_self(node), members->meta.cluster);
    }
}

rr_status members_conf_applied(rr_node *node, const struct raft_entry *entry,
                               const struct raft_conf_change *change)
{
    struct members *members = node->members;
    bool was_member = members_has_self(node);
    rr_status status = members_meta_change(&members->meta, entry->index, entry->term, change);
    if (status != RR_OK) {
        LOG_ERROR(&node->logger, "entry %" PRIu64 " changes the members, but cannot be understood",
                  entry->index);
        return status;
    }
    ASSERT(raft_configuration_equal(&members->meta.configuration,
                                    raft_configuration(node_core(node))));
    struct buffer meta;
    buffer_init(&meta);
    members_meta_encode(&meta, &members->meta);
    status = meta.failed ? RR_NO_MEMORY : state_batch_set_meta(node->batch, buffer_bytes(&meta));
    buffer_deinit(&meta);
    members->changes_total++;
    log_change(node, was_member);
    members_update_peers(node);
    loop_defer(node->loop, &members->settle);
    return status;
}

rr_status members_reload(rr_node *node, struct storage_error *error)
{
    struct members *members = node->members;
    bool was_member = members_has_self(node);
    rr_status status = read_meta(node, error);
    if (status == RR_OK && members->meta.cluster != node->self.cluster) {
        status = storage_fail(error, RR_MISMATCH,
                              "the snapshot is of cluster %016" PRIx64
                              ", but this node is of cluster %016" PRIx64,
                              members->meta.cluster, node->self.cluster);
    }
    if (status != RR_OK) {
        return status;
    }
    log_change(node, was_member);
    members_update_peers(node);
    loop_defer(node->loop, &members->settle);
    return RR_OK;
}

void members_start(rr_node *node)
{
    struct members *members = node->members;
    members->timer = timer_open(node->loop, on_tick, node);
    members->drop_timer = timer_open(node->loop, members_drop_peers, node);
    members_update_peers(node);
    const struct member *self = member_list_find(&members->meta.list, members_self(node));
    if (members_has_self(node) && strcmp(self->address, node->self.address) != 0) {
        LOG_WARN(&node->logger,
                 "the members know node %" PRIu64 " at %s, but its address is %s now; if that "
                 "does not lead here, remove it and add it again",
                 members_self(node), self->address, node->self.address);
    }
    join_start(node);
}

void members_role_changed(rr_node *node)
{
    if (node->members->stopped) {
        return;
    }

    changes_role_changed(node);
    transfers_role_changed(node);
}

void members_transfer_ended(rr_node *node)
{
    transfers_ended(node);
}

/* ---- Questions of other nodes ---- */

void relay_answer_text(rr_node *node, relay_done_fn done, void *arg, rr_status status,
                       const char *format, ...)
{
    char text[NODE_ERROR_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    struct relay_answer answer = {.status = status};
    answer.message = (rr_bytes){text, strlen(text)};
    answer.leader = node_alive(node) ? node_leader(node) : RAFT_NO_ID;
    const char *address = answer.leader == RAFT_NO_ID ? NULL : members_address(node, answer.leader);
    if (address != NULL) {
        answer.leader_address = (rr_bytes){address, strlen(address)};
    }
    done(arg, &answer);
}

static void serve_identify(rr_node *node, relay_done_fn done, void *arg)
{
    struct relay_answer answer = {.status = RR_OK, .has_identity = true};
    answer.identity.cluster = node->self.cluster;
    answer.identity.node = members_self(node);
    answer.identity.incarnation = members_incarnation(node);
    answer.identity.member = members_has_self(node);
    answer.leader = node_leader(node);
    const char *address = members_address(node, answer.leader);
    if (address != NULL) {
        answer.leader_address = (rr_bytes){address, strlen(address)};
    }
    done(arg, &answer);
}

/* The leader adds whoever asks, if all is well with it. */
static void serve_join(rr_node *node, const struct relay_request *request, uint64_t deadline_us,
                       relay_done_fn done, void *arg)
{
    if (!members_has_self(node)) {
        relay_answer_text(node, done, arg, RR_NOT_LEADER,
                          "node %" PRIu64 " is no member of a cluster itself", members_self(node));
        return;
    }
    if (request->cluster != 0 && request->cluster != node->self.cluster) {
        relay_answer_text(node, done, arg, RR_MISMATCH,
                          "this is cluster %016" PRIx64 ", not %016" PRIx64, node->self.cluster,
                          request->cluster);
        return;
    }
    if (request->member.incarnation == 0) {
        relay_answer_text(node, done, arg, RR_INVALID, "a node joins with its incarnation");
        return;
    }
    LOG_INFO(&node->logger, "node %" PRIu64 " at %s asks to join", request->member.id,
             request->member.address);
    struct relay_request add = *request;
    add.kind = RELAY_ADD;
    add.cluster = node->self.cluster;
    relay_to_leader(node, &add, deadline_us, done, arg);
}

/* A moment before another node's deadline, so that what is known by then still gets there. */
static uint64_t before_asker(const rr_node *node, uint64_t deadline_us)
{
    uint64_t now_us = node_now_us(node);
    uint64_t left_us = deadline_us > now_us ? deadline_us - now_us : 0;
    uint64_t margin_us = left_us / 8;
    return deadline_us - (margin_us < ANSWER_MARGIN_US ? margin_us : ANSWER_MARGIN_US);
}

void members_serve(rr_node *node, const struct hello *from, const struct relay_request *request,
                   uint64_t deadline_us, relay_done_fn done, void *arg)
{
    if (!node_alive(node) || node->members->stopped) {
        relay_answer_text(node, done, arg, RR_CLOSED, "node %" PRIu64 " is stopping",
                          members_self(node));
        return;
    }
    if (from != NULL) {
        deadline_us = before_asker(node, deadline_us);
    }
    bool for_leader = request->kind != RELAY_JOIN && request->kind != RELAY_IDENTIFY;
    if (for_leader && request->cluster != node->self.cluster) {
        relay_answer_text(node, done, arg, RR_MISMATCH,
                          "this is cluster %016" PRIx64 ", not %016" PRIx64, node->self.cluster,
                          request->cluster);
        return;
    }
    switch (request->kind) {
    case RELAY_ADD:
        changes_serve(node, CHANGE_ADD, request, deadline_us, done, arg);
        return;
    case RELAY_REMOVE:
        changes_serve(node, CHANGE_REMOVE, request, deadline_us, done, arg);
        return;
    case RELAY_TRANSFER:
        transfers_serve(node, request->target, deadline_us, done, arg);
        return;
    case RELAY_JOIN:
        serve_join(node, request, deadline_us, done, arg);
        return;
    case RELAY_IDENTIFY:
        serve_identify(node, done, arg);
        return;
    case RELAY_SUBMIT:
        break;
    }
    relay_answer_text(node, done, arg, RR_INVALID, "not a question about members");
}
