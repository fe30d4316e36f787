/*
 * Learners that are to vote: whoever leads goes through them and makes each a voter once it keeps
 * pace, whoever asked for it and however long ago.
 */
#include "node/members.h"

#include "base/assert.h"
#include "raft/progress.h"

#include <inttypes.h>

enum { CATCH_UP_LAG_MAX = 64 }; /* entries; nearer than that, a learner keeps pace */

/* Whether the member is connected and answered lately. */
bool members_answers(rr_node *node, raft_id id)
{
    if (id == members_self(node)) {
        return true;
    }
    if (!peers_connected(node->peers, id)) {
        return false;
    }
    const struct raft_progress *progress = raft_progress(node_core(node), id);
    uint64_t lately_us = (uint64_t)node->options.public.election_timeout_max_ms * 2 * 1000;
    return progress != NULL &&
           (progress->active || (progress->acked_sent_at != 0 &&
                                 node_now_us(node) - progress->acked_sent_at < lately_us));
}

static struct catch_up *catch_up_of(rr_node *node, raft_id id)
{
    struct members *members = node->members;
    for (uint32_t at = 0; at < members->catch_up_count; at++) {
        if (members->catch_up[at].id == id) {
            return &members->catch_up[at];
        }
    }
    for (uint32_t at = members->catch_up_count; at > 0; at--) {
        if (!members_is_member(members, members->catch_up[at - 1].id)) {
            members->catch_up[at - 1] = members->catch_up[--members->catch_up_count];
        }
    }
    ASSERT(members->catch_up_count < RAFT_MEMBERS_MAX);
    struct catch_up *catch_up = &members->catch_up[members->catch_up_count++];
    *catch_up = (struct catch_up){.id = id, .since_us = node_now_us(node)};
    catch_up->target = raft_last_index(node_core(node));
    return catch_up;
}

/* Whether the learner keeps pace: it is near the log's end, or a round took less than an election
 * timeout. */
static bool caught_up(rr_node *node, raft_id id)
{
    const struct raft *core = node_core(node);
    const struct raft_progress *progress = raft_progress(core, id);
    if (progress == NULL || progress->state != RAFT_REPLICATE || !members_answers(node, id)) {
        return false;
    }
    raft_index last = raft_last_index(core);
    if (progress->match + CATCH_UP_LAG_MAX >= last) {
        return true;
    }
    struct catch_up *catch_up = catch_up_of(node, id);
    if (progress->match < catch_up->target) {
        return false;
    }
    uint64_t now_us = node_now_us(node);
    uint64_t timeout_us = (uint64_t)node->options.public.election_timeout_min_ms * 1000;
    bool fast = now_us - catch_up->since_us < timeout_us;
    catch_up->target = last;
    catch_up->since_us = now_us;
    return fast;
}

static void promoted(void *arg, rr_status status, raft_index index)
{
    rr_node *node = arg;
    (void)index;
    node->members->conf_pending = false;
    node->members->promoting = RAFT_NO_ID;
    if (status == RR_OK) {
        changes_pump(node);
    } /* else the timer tries again */
}

static void promote(rr_node *node, const struct member *member)
{
    struct raft_conf_change conf = {.transition = RAFT_CONF_AUTO, .count = 1};
    conf.operations[0].type = RAFT_CONF_ADD_VOTER;
    conf.operations[0].id = member->id;
    conf.operations[0].incarnation = member->incarnation;
    node->members->conf_pending = true;
    node->members->promoting = member->id;
    LOG_INFO(&node->logger, "node %" PRIu64 " has caught up and becomes a voter", member->id);
    uint64_t timeout_us = (uint64_t)node->options.public.timeout_ms * 1000;
    conf_propose(node, &conf, node_now_us(node) + timeout_us, promoted, node);
}

/* True while learners wait for their promotion. */
bool members_promote(rr_node *node)
{
    const struct member_list *list = &node->members->meta.list;
    bool waiting = false;
    for (uint32_t at = 0; at < list->count; at++) {
        const struct member *member = &list->members[at];
        if (member->role != RR_LEARNER || !member->promote) {
            continue;
        }
        waiting = true;
        if (!node->members->conf_pending && caught_up(node, member->id)) {
            promote(node, member);
        }
    }
    return waiting;
}
