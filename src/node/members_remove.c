/*
 * The leader's part in removing members: those that are to go, and disks that were damaged, whose
 * nodes come back with new ones.
 */
#include "node/members_change.h"

#include "base/assert.h"

#include <inttypes.h>

enum {
    QUORUM_PATIENCE_MS = 3000, /* until a removal is refused for want of a quorum without it */
    FORMER_PATIENCE_MS =
        3000, /* until a former disk that goes on answering is believed to be alive */
};

/* Ends a change that something has kept from going on for too long. */
static void give_up_after(struct change *change, uint64_t patience_ms)
{
    if (node_now_us(change->node) - change->started_us >= patience_ms * 1000) {
        change_end(change, RR_CONFLICT, "%s", change->obstacle);
    }
}

/* Whether those who remain can go on without `id`. */
static bool quorum_without(rr_node *node, raft_id id, uint32_t *answering, uint32_t *voters)
{
    const struct raft_configuration *configuration = raft_configuration(node_core(node));
    *answering = 0;
    *voters = 0;
    for (uint32_t at = 0; at < configuration->count; at++) {
        raft_id voter = configuration->members[at].id;
        if (voter != id && raft_configuration_votes(configuration, voter)) {
            *voters += 1;
            *answering += members_answers(node, voter) ? 1 : 0;
        }
    }
    return *answering > *voters / 2;
}

/* Whether the voter can be removed now; else the change waits, or has ended. */
static bool can_be_missed(struct change *change, raft_id id)
{
    rr_node *node = change->node;
    uint32_t answering;
    uint32_t voters;
    if (members_meta_voters(&node->members->meta) == 1) {
        change_end(change, RR_CONFLICT, "node %" PRIu64 " is the last voter", id);
        return false;
    }
    if (quorum_without(node, id, &answering, &voters)) {
        return true;
    }
    change_note(change,
                "only %" PRIu32 " of the %" PRIu32 " voters that would remain answer, "
                "which is no majority; remove those that do not answer first",
                answering, voters);
    give_up_after(change, QUORUM_PATIENCE_MS);
    return false;
}

/* A leader that is to go hands over first, so that no election has to be waited for; its successor
 * is asked to remove it. False when that was tried, or there is nobody: it then removes itself. */
static bool hand_over(struct change *change)
{
    rr_node *node = change->node;
    raft_id successor = raft_transfer_candidate(node_core(node));
    if (change->handed_over || successor == RAFT_NO_ID) {
        return false;
    }
    change->handed_over = true;
    change->state = CHANGE_PAUSED;
    change->resume_us =
        node_now_us(node) + (uint64_t)node->options.public.election_timeout_max_ms * 1000;
    change_note(change, "leadership is being handed to node %" PRIu64, successor);
    struct raft_event event = {.type = RAFT_EVENT_TRANSFER};
    event.transfer = successor;
    (void)node_step(node, &event);
    return true;
}

void change_remove(struct change *change)
{
    rr_node *node = change->node;
    struct members *members = node->members;
    raft_id id = change->member.id;
    const struct member *member = member_list_find(&members->meta.list, id);
    if (member == NULL) {
        change_confirm(change);
        return;
    }
    if (member->role == RR_VOTER && !can_be_missed(change, id)) {
        return;
    }
    if (id == members_self(node) && member->role == RR_VOTER && hand_over(change)) {
        return;
    }
    LOG_INFO(&node->logger, "removing node %" PRIu64 " at %s", id, member->address);
    change_propose(change, RAFT_CONF_REMOVE, NULL);
}

/*
 * A member comes back with a new disk in the place of a damaged one. The old one is removed as what
 * it was, by those who can do without it, and the new one is then added like any new node. Nothing
 * that the old one promised is ever taken for a promise of the new one: they are two members, which
 * share an id.
 */
void change_replace(struct change *change, const struct member *member)
{
    rr_node *node = change->node;
    ASSERT(change_replaces(change, member->incarnation));
    if (!change->identified) {
        change_identify(change);
        return;
    }
    if (member->id == members_self(node) || members_answers(node, member->id)) {
        change_note(change,
                    "node %" PRIu64 " still takes part with the disk (incarnation %016" PRIx64
                    ") that is said to be damaged: is it running twice?",
                    member->id, member->incarnation);
        give_up_after(change, FORMER_PATIENCE_MS);
        return;
    }
    if (member->role == RR_VOTER && !can_be_missed(change, member->id)) {
        return;
    }
    if (member->role == RR_LEARNER && !member->promote) {
        change->member.role = RR_LEARNER;
    }
    LOG_WARN(&node->logger,
             "node %" PRIu64 " comes back with a new disk (incarnation %016" PRIx64
             ") in the place of a damaged one (%016" PRIx64 "): removing that, to add the new one",
             member->id, change->member.incarnation, member->incarnation);
    change->replacing = true;
    change_propose(change, RAFT_CONF_REMOVE, NULL);
}
