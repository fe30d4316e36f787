/*
 * The members as this node has applied them: founding, following the configuration, who may
 * connect. Adding and removing are members_change.c's, joining is members_join.c's.
 *
 * Invariants:
 * 1. `meta` changes by committed entries and installed snapshots alone, and always agrees with the
 *    core's configuration.
 * 2. A data directory founds a cluster at most once, and never after it has heard of one.
 */
#include "node/members.h"

#include "base/assert.h"
#include "base/memory.h"
#include "io/address.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static raft_id self_id(const rr_node *node)
{
    return node->options.public.node_id;
}

static uint64_t self_incarnation(const rr_node *node)
{
    return data_dir_identity(node->data_dir)->incarnation;
}

/* ---- Founding ---- */

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
static bool may_found(const rr_node *node)
{
    struct log_bounds bounds;
    return node->options.public.found && node->options.public.join_count == 0 &&
           data_dir_identity(node->data_dir)->cluster == 0 &&
           state_applied(node->state).index == 0 &&
           !log_store_bounds(node->log_store, NODE_GROUP, &bounds);
}

/* The state comes first: it alone makes the founding a fact, and what follows is repeated by
 * members_open when a crash has left it out. */
static rr_status found(rr_node *node, struct storage_error *error)
{
    struct members *members = node->members;
    struct member founder;
    rr_status status =
        member_set(&founder, self_id(node), RR_VOTER, node->self.address, self_incarnation(node));
    if (status != RR_OK) {
        return storage_fail(error, status, "'%s' is no address to be known by", node->self.address);
    }
    uint64_t cluster = random_u64(&node->random) ^ self_incarnation(node);
    members_meta_found(&members->meta, cluster == 0 ? 1 : cluster, &founder, FOUNDING_INDEX,
                       FOUNDING_TERM);
    status = write_founding_state(node, error);
    if (status != RR_OK) {
        return status;
    }
    LOG_INFO(&node->logger, "node %" PRIu64 " founds cluster %016" PRIx64, self_id(node),
             members->meta.cluster);
    return RR_OK;
}

static rr_status finish_founding(rr_node *node, struct storage_error *error)
{
    struct log_bounds bounds;
    if (state_applied(node->state).index == FOUNDING_INDEX &&
        node->members->meta.index == FOUNDING_INDEX &&
        !log_store_bounds(node->log_store, NODE_GROUP, &bounds)) {
        return write_founding_log(node, error);
    }
    return RR_OK;
}

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

static void drop_peers(void *arg);
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
    if (status == RR_OK && members->meta.cluster == 0 && may_found(node)) {
        status = found(node, error);
    }
    if (status == RR_OK) {
        status = finish_founding(node, error);
    }
    if (status == RR_OK) {
        status = settle_cluster(node, error);
    }
    members->was_member = members_is_member(members, self_id(node));
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

bool members_settled(const rr_node *node)
{
    struct members *members = node->members;
    const struct member *self = member_list_find(&members->meta.list, self_id(node));
    return self != NULL && (!self->promote || members->was_member);
}

bool members_alone(const rr_node *node)
{
    const struct members *members = node->members;
    return members->meta.list.count == 1 && members->meta.list.removed_count == 0 &&
           members_is_member(members, self_id(node));
}

const char *members_address(const rr_node *node, raft_id id)
{
    const struct member *member = member_list_find(&node->members->meta.list, id);
    return member == NULL ? NULL : member->address;
}

/* ---- Peers ---- */

static struct known_peer *find_peer(struct members *members, raft_id id)
{
    for (uint32_t at = 0; at < members->peer_count; at++) {
        if (members->peers[at].id == id) {
            return &members->peers[at];
        }
    }
    return NULL;
}

/* Tells the transport where `id` is; the configuration's word goes before the peer's own. */
static void set_peer(rr_node *node, raft_id id, uint64_t incarnation, const char *address,
                     bool member)
{
    struct members *members = node->members;
    struct known_peer *peer = find_peer(members, id);
    if (peer == NULL) {
        uint32_t room = member ? RAFT_MEMBERS_MAX + STRANGERS_MAX : STRANGERS_MAX;
        if (members->peer_count >= room) {
            return;
        }
        peer = &members->peers[members->peer_count++];
        *peer = (struct known_peer){.id = id};
    }
    peer->member = member;
    peer->drop_us = 0;
    if (peers_set(node->peers, id, incarnation, address) != RR_OK) {
        LOG_ERROR(&node->logger, "node %" PRIu64 " cannot be reached: '%s' is no address", id,
                  address);
    }
}

static void drop_peers(void *arg)
{
    rr_node *node = arg;
    struct members *members = node->members;
    uint64_t now_us = node_now_us(node);
    uint64_t next_us = UINT64_MAX;
    for (uint32_t at = members->peer_count; at > 0; at--) {
        struct known_peer *peer = &members->peers[at - 1];
        if (peer->drop_us == 0) {
            continue;
        }
        if (peer->drop_us > now_us) {
            next_us = peer->drop_us < next_us ? peer->drop_us : next_us;
            continue;
        }
        raft_id id = peer->id;
        members->peer_count--;
        *peer = members->peers[members->peer_count];
        peers_remove(node->peers, id);
        listener_drop_node(node->listener, id);
    }
    if (next_us != UINT64_MAX && !members->stopped) {
        timer_start(members->drop_timer, (next_us - now_us) / 1000 + 1);
    }
}

/* Has the peers that are no members any more forgotten, a while from now: until then the last
 * messages to them, among them the one that says so, may still leave. */
static void retire_peers(rr_node *node)
{
    struct members *members = node->members;
    bool due = false;
    for (uint32_t at = 0; at < members->peer_count; at++) {
        struct known_peer *peer = &members->peers[at];
        if (!peer->member || members_is_member(members, peer->id)) {
            continue;
        }
        peer->member = false;
        peer->drop_us = node_now_us(node) + (uint64_t)REMOVED_GRACE_MS * 1000;
        due = true;
    }
    if (due && !timer_running(members->drop_timer)) {
        timer_start(members->drop_timer, REMOVED_GRACE_MS + 1);
    }
}

static void update_peers(rr_node *node)
{
    const struct member_list *list = &node->members->meta.list;
    if (node->peers == NULL || node->members->stopped) {
        return;
    }
    for (uint32_t at = 0; at < list->count; at++) {
        const struct member *member = &list->members[at];
        if (member->id != self_id(node)) {
            set_peer(node, member->id, member->incarnation, member->address, true);
        }
    }
    retire_peers(node);
}

/* ---- Following the configuration ---- */

/* At the turn's end: whoever waited for this. */
static void settle(void *arg)
{
    rr_node *node = arg;
    if (node->members->stopped) {
        return;
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
    bool is_member = members_is_member(members, self_id(node));
    if (was_member && !is_member) {
        LOG_WARN(&node->logger,
                 "node %" PRIu64 " was removed from cluster %016" PRIx64 " by entry %" PRIu64
                 ": it keeps its data, takes no part any more, and can be added again",
                 self_id(node), members->meta.cluster, members->meta.index);
    } else if (!was_member && is_member) {
        LOG_INFO(&node->logger, "node %" PRIu64 " is a member of cluster %016" PRIx64,
                 self_id(node), members->meta.cluster);
    }
}

rr_status members_conf_applied(rr_node *node, const struct raft_entry *entry,
                               const struct raft_conf_change *change)
{
    struct members *members = node->members;
    bool was_member = members_is_member(members, self_id(node));
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
    update_peers(node);
    loop_defer(node->loop, &members->settle);
    return status;
}

rr_status members_reload(rr_node *node, struct storage_error *error)
{
    struct members *members = node->members;
    bool was_member = members_is_member(members, self_id(node));
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
    update_peers(node);
    loop_defer(node->loop, &members->settle);
    return RR_OK;
}

void members_start(rr_node *node)
{
    struct members *members = node->members;
    members->timer = timer_open(node->loop, on_tick, node);
    members->drop_timer = timer_open(node->loop, drop_peers, node);
    update_peers(node);
    const struct member *self = member_list_find(&members->meta.list, self_id(node));
    if (self != NULL && strcmp(self->address, node->self.address) != 0) {
        LOG_WARN(&node->logger,
                 "the members know node %" PRIu64 " at %s, but its address is %s now; if that "
                 "does not lead here, remove it and add it again",
                 self_id(node), self->address, node->self.address);
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

/* ---- Refusals: what others think of this node ---- */

/* Somebody looks here for a member of another cluster. */
static void claimed_by_others(rr_node *node, const struct hello *other)
{
    const char *advice = "was this node's data wiped? It founded a cluster of its own then; stop "
                         "it, and let an empty directory join the old cluster under a new id";
    if (members_alone(node)) {
        members_fail(
            node,
            "node %" PRIu64 " at %s counts node %" PRIu64 " as a member of cluster %016" PRIx64
            ", but this data is of cluster %016" PRIx64 ": %s",
            other->node, other->address, self_id(node), other->cluster, node->self.cluster, advice);
    } else if (log_limiter_pass(&node->members->stranger_log, node_now_us(node) / 1000, NULL)) {
        LOG_ERROR(&node->logger,
                  "node %" PRIu64 " at %s counts node %" PRIu64
                  " as a member of cluster %016" PRIx64
                  ", but this is a member of cluster %016" PRIx64 ": two clusters use one "
                  "address or one id",
                  other->node, other->address, self_id(node), other->cluster, node->self.cluster);
    }
}

/* Somebody looks for this id with another disk. */
static void looked_for_with_other_disk(rr_node *node, const struct hello *other)
{
    if (members_is_member(node->members, self_id(node))) {
        return; /* the other is behind: this disk is the one that the members agreed on */
    }
    members_fail(node,
                 "node %" PRIu64 " at %s knows node %" PRIu64 " with another disk (%016" PRIx64
                 ", this one is %016" PRIx64 "): this node's data was wiped or replaced; remove "
                 "node %" PRIu64 " from the cluster and let this disk join under a new id",
                 other->node, other->address, self_id(node), other->to_incarnation,
                 self_incarnation(node), self_id(node));
}

void members_refused(void *arg, const struct refusal *refusal)
{
    rr_node *node = arg;
    const struct hello *other = refusal->other;
    if (!node_alive(node) || node->members->stopped) {
        return;
    }
    if (refusal->by_us && refusal->inbound && other != NULL && other->to_node == self_id(node) &&
        other->cluster != 0) {
        if (node->self.cluster != 0 && other->cluster != node->self.cluster) {
            claimed_by_others(node, other);
        } else if (other->to_incarnation != 0 && other->to_incarnation != self_incarnation(node)) {
            looked_for_with_other_disk(node, other);
        }
        return;
    }
    if (!refusal->by_us && refusal->status == RR_NOT_FOUND && !node->members->refused &&
        node->self.cluster != 0) {
        node->members->refused = true;
        LOG_WARN(&node->logger, "the other members refuse this node: %s; it can be added again",
                 refusal->reason);
    }
}

/* ---- Who may connect ---- */

/* A node without a cluster is claimed by one that has it as a member, by its very disk. */
static rr_status be_claimed(rr_node *node, const struct hello *other,
                            char reason[HANDSHAKE_REASON_BYTES_MAX])
{
    if (other->cluster == 0 || other->to_node != self_id(node) ||
        other->to_incarnation != self_incarnation(node)) {
        snprintf(reason, HANDSHAKE_REASON_BYTES_MAX,
                 "node %" PRIu64 " is no member of a cluster yet", self_id(node));
        return RR_NOT_FOUND;
    }
    struct storage_error error = {{0}};
    rr_status status = node_set_cluster(node, other->cluster, &error);
    if (status != RR_OK) {
        snprintf(reason, HANDSHAKE_REASON_BYTES_MAX, "cannot record the cluster: %.200s",
                 error.text);
        return status;
    }
    LOG_INFO(&node->logger, "node %" PRIu64 " of cluster %016" PRIx64 " takes this node in",
             other->node, other->cluster);
    return RR_OK;
}

/* A node that is no member as far as is known here: this one may be behind, and then needs the
 * other's address to answer. */
static rr_status meet_stranger(rr_node *node, const struct hello *other,
                               char reason[HANDSHAKE_REASON_BYTES_MAX])
{
    const struct members *members = node->members;
    bool removed = member_list_find_removed(&members->meta.list, other->node) != NULL;
    raft_id leader = node_leader(node);
    if (removed && leader != RAFT_NO_ID && leader != other->node) {
        snprintf(reason, HANDSHAKE_REASON_BYTES_MAX,
                 "node %" PRIu64 " was removed from cluster %016" PRIx64, other->node,
                 members->meta.cluster);
        return RR_NOT_FOUND;
    }
    struct address address;
    if (address_parse(other->address, &address) == RR_OK && address.port != 0) {
        set_peer(node, other->node, other->incarnation, other->address, false);
    }
    return RR_OK;
}

rr_status members_accept(void *arg, const struct hello *other, bool inbound,
                         char reason[HANDSHAKE_REASON_BYTES_MAX])
{
    rr_node *node = arg;
    if (!node_alive(node) || node->members->stopped) {
        snprintf(reason, HANDSHAKE_REASON_BYTES_MAX, "node %" PRIu64 " is stopping", self_id(node));
        return RR_CLOSED;
    }
    if (!inbound || other->class == TRAFFIC_BULK) {
        return RR_OK; /* questions may come from anybody: each is judged by itself */
    }
    if (node->self.cluster == 0) {
        rr_status status = be_claimed(node, other, reason);
        if (status != RR_OK) {
            return status;
        }
    }
    if (other->cluster != node->self.cluster || other->node == RAFT_NO_ID) {
        snprintf(reason, HANDSHAKE_REASON_BYTES_MAX,
                 "node %" PRIu64 " is no member of cluster %016" PRIx64, other->node,
                 node->self.cluster);
        return RR_MISMATCH;
    }
    const struct member *member = member_list_find(&node->members->meta.list, other->node);
    if (member == NULL) {
        return meet_stranger(node, other, reason);
    }
    if (member->incarnation != 0 && member->incarnation != other->incarnation) {
        snprintf(reason, HANDSHAKE_REASON_BYTES_MAX,
                 "node %" PRIu64 " is known with another disk (%016" PRIx64 ", not %016" PRIx64
                 "): was it wiped? Remove it, and let the new disk join under a new id",
                 other->node, member->incarnation, other->incarnation);
        return RR_MISMATCH;
    }
    return RR_OK;
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
    answer.identity.node = self_id(node);
    answer.identity.incarnation = self_incarnation(node);
    answer.identity.member = members_is_member(node->members, self_id(node));
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
    if (!members_is_member(node->members, self_id(node))) {
        relay_answer_text(node, done, arg, RR_NOT_LEADER,
                          "node %" PRIu64 " is no member of a cluster itself", self_id(node));
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
    struct member target = {.id = request->target};
    if (!node_alive(node) || node->members->stopped) {
        relay_answer_text(node, done, arg, RR_CLOSED, "node %" PRIu64 " is stopping",
                          self_id(node));
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
        changes_serve(node, CHANGE_ADD, &request->member, deadline_us, done, arg);
        return;
    case RELAY_REMOVE:
        changes_serve(node, CHANGE_REMOVE, &target, deadline_us, done, arg);
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
