/*
 * The members as the transport has them, who may connect, and what refused connections tell this
 * node about itself.
 *
 * A node that is no member as far as is known here may be one that this node has not heard of yet,
 * so within the cluster strangers are let in and answered; only those known to be out are not. The
 * same goes for a member whose disk was replaced while this node was away.
 */
#include "node/members.h"

#include "io/address.h"

#include <inttypes.h>
#include <stdio.h>

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

void members_drop_peers(void *arg)
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

void members_update_peers(rr_node *node)
{
    const struct member_list *list = &node->members->meta.list;
    if (node->peers == NULL || node->members->stopped) {
        return;
    }
    for (uint32_t at = 0; at < list->count; at++) {
        const struct member *member = &list->members[at];
        if (member->id != members_self(node)) {
            set_peer(node, member->id, member->incarnation, member->address, true);
        }
    }
    retire_peers(node);
}

/* ---- Who may connect ---- */

/* A node without a cluster is claimed by one that has it as a member, by its very disk. */
static rr_status be_claimed(rr_node *node, const struct hello *other,
                            char reason[HANDSHAKE_REASON_BYTES_MAX])
{
    if (other->cluster == 0 || other->to_node != members_self(node) ||
        other->to_incarnation != members_incarnation(node)) {
        snprintf(reason, HANDSHAKE_REASON_BYTES_MAX,
                 "node %" PRIu64 " is no member of a cluster yet", members_self(node));
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

/*
 * A member with another disk than the one that is known here. Where this node follows somebody else,
 * it is up to date, or will be: the disk is wrong. Otherwise it may have been away while the disk was
 * replaced, and the other may lead now and be the one to tell it. Consensus checks by itself whose
 * votes and acknowledgements count.
 */
static rr_status meet_other_disk(rr_node *node, const struct member *member,
                                 const struct hello *other, char reason[HANDSHAKE_REASON_BYTES_MAX])
{
    raft_id leader = node_leader(node);
    struct address address;
    if ((leader == RAFT_NO_ID || leader == other->node) &&
        address_parse(other->address, &address) == RR_OK && address.port != 0) {
        set_peer(node, other->node, other->incarnation, other->address, false);
        return RR_OK;
    }
    snprintf(reason, HANDSHAKE_REASON_BYTES_MAX,
             "node %" PRIu64 " is known with another disk (%016" PRIx64 ", not %016" PRIx64
             "): was it wiped? Remove it, and let the new disk join under a new id",
             other->node, member->incarnation, other->incarnation);
    return RR_MISMATCH;
}

rr_status members_accept(void *arg, const struct hello *other, bool inbound,
                         char reason[HANDSHAKE_REASON_BYTES_MAX])
{
    rr_node *node = arg;
    if (node->asking && !inbound) {
        return RR_OK;
    }
    if (!node_alive(node) || node->members->stopped) {
        snprintf(reason, HANDSHAKE_REASON_BYTES_MAX, "node %" PRIu64 " is stopping",
                 members_self(node));
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
        return meet_other_disk(node, member, other, reason);
    }
    struct known_peer *peer = find_peer(node->members, other->node);
    if (peer != NULL && !peer->member) {
        set_peer(node, member->id, member->incarnation, member->address, true);
    }
    return RR_OK;
}

/* ---- Refusals: what others think of this node ---- */

/* Somebody looks here for a member of another cluster. */
static void claimed_by_others(rr_node *node, const struct hello *other)
{
    const char *advice = "was this node's data wiped? It founded a cluster of its own then; stop "
                         "it, and let an empty directory join the old cluster under a new id";
    if (members_alone(node)) {
        members_fail(node,
                     "node %" PRIu64 " at %s counts node %" PRIu64
                     " as a member of cluster %016" PRIx64
                     ", but this data is of cluster %016" PRIx64 ": %s",
                     other->node, other->address, members_self(node), other->cluster,
                     node->self.cluster, advice);
    } else if (log_limiter_pass(&node->members->stranger_log, node_now_us(node) / 1000, NULL)) {
        LOG_ERROR(
            &node->logger,
            "node %" PRIu64 " at %s counts node %" PRIu64 " as a member of cluster %016" PRIx64
            ", but this is a member of cluster %016" PRIx64 ": two clusters use one "
            "address or one id",
            other->node, other->address, members_self(node), other->cluster, node->self.cluster);
    }
}

/* Somebody looks for this id with another disk. */
static void looked_for_with_other_disk(rr_node *node, const struct hello *other)
{
    if (members_has_self(node)) {
        return; /* the other is behind: this disk is the one that the members agreed on */
    }
    if (members_had_disk(node, other->to_incarnation)) {
        join_through_address(node, other->address); /* it has yet to learn of the new one */
        return;
    }
    members_fail(node,
                 "node %" PRIu64 " at %s knows node %" PRIu64 " with another disk (%016" PRIx64
                 ", this one is %016" PRIx64 "): this node's data was wiped or replaced; remove "
                 "node %" PRIu64 " from the cluster and let this disk join under a new id",
                 other->node, other->address, members_self(node), other->to_incarnation,
                 members_incarnation(node), members_self(node));
}

void members_refused(void *arg, const struct refusal *refusal)
{
    rr_node *node = arg;
    const struct hello *other = refusal->other;
    if (!node_alive(node) || node->members->stopped) {
        return;
    }
    if (refusal->by_us && refusal->inbound && other != NULL &&
        other->to_node == members_self(node) && other->cluster != 0) {
        if (node->self.cluster != 0 && other->cluster != node->self.cluster) {
            claimed_by_others(node, other);
        } else if (other->to_incarnation != 0 &&
                   other->to_incarnation != members_incarnation(node)) {
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
