/*
 * The leader's part in changing the members: one entry at a time, each changing one member.
 *
 * To add: ask the new node who it is; make it a learner; wait until it has caught up; make it a
 * voter. That a learner is to become one stands in its record (`promote`), so a later leader goes
 * on where this one stops, and a call whose deadline has passed loses nothing. Invariants:
 *
 * 1. Only a member that has caught up and answers becomes a voter, so adding never takes the
 *    quorum away from those who have it.
 * 2. A removal leaves a majority of the remaining voters that answers.
 * 3. At most one change is proposed and undecided (`conf_pending`).
 */
#include "node/members_change.h"

#include "base/assert.h"
#include "base/memory.h"
#include "io/address.h"
#include "raft/progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    IDENTIFY_PAUSE_MS = 200, /* before the next question */
    REFUSED_PAUSE_MS = 50,   /* after consensus refused a change: another is being applied */
};

/* ---- Ends ---- */

static void change_free(struct change *change)
{
    ASSERT(change->state == CHANGE_ENDED);
    if (change->calls == 0) {
        mem_free(change);
    }
}

/* A callback that held the change has come; false if the change has ended meanwhile, and is gone. */
static bool change_called(struct change *change)
{
    ASSERT(change->calls > 0);
    change->calls--;
    if (change->state == CHANGE_ENDED) {
        change_free(change);
        return false;
    }
    return true;
}

void change_end(struct change *change, rr_status status, const char *format, ...)
{
    char text[NODE_ERROR_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    rr_node *node = change->node;
    const char *verb = change->kind == CHANGE_ADD ? "add" : "remove";
    if (status != RR_OK && status != RR_NOT_LEADER && status != RR_CLOSED) {
        LOG_WARN(&node->logger, "cannot %s node %" PRIu64 ": %s: %s", verb, change->member.id,
                 rr_status_name(status), text);
    }
    change->state = CHANGE_ENDED;
    list_remove(&change->link);
    deadline_clear(&node->deadlines, &change->deadline);
    relay_answer_text(node, change->done, change->arg, status, "%s", text);
    change_free(change);
}

void change_note(struct change *change, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(change->obstacle, sizeof(change->obstacle), format, arguments);
    va_end(arguments);
}

/* The deadline has passed. What is proposed ends when it is decided, and soon. */
static void on_deadline(void *arg)
{
    struct change *change = arg;
    switch (change->state) {
    case CHANGE_IDENTIFYING:
    case CHANGE_PAUSED:
        change_end(change, RR_TIMEOUT, "%s; nothing was changed", change->obstacle);
        return;
    case CHANGE_QUEUED:
    case CHANGE_CONFIRMING:
        change_end(change, RR_TIMEOUT, "%s; %s",
                   change->obstacle[0] == 0 ? "other changes took too long" : change->obstacle,
                   change->replacing ? "its former disk may have been removed"
                                     : "nothing was changed");
        return;
    case CHANGE_PROPOSED:
        change_end(change, RR_UNKNOWN,
                   "proposed, but not committed in time: it may yet take effect");
        return;
    case CHANGE_CATCHING_UP:
        change_end(change, RR_TIMEOUT,
                   "node %" PRIu64 " is a learner and becomes a voter when it has caught up: %s",
                   change->member.id,
                   change->obstacle[0] == 0 ? "it has not yet" : change->obstacle);
        return;
    case CHANGE_ENDED:
        break;
    }
    UNREACHABLE();
}

/* ---- Identity: who is the node that is to be added? ---- */

static void pause_identify(struct change *change, const char *why)
{
    uint64_t now_us = node_now_us(change->node);
    change_note(change, "node %" PRIu64 " at %.100s does not answer: %.100s", change->member.id,
                change->member.address, why);
    if (now_us - change->started_us >= (uint64_t)IDENTIFY_PATIENCE_MS * 1000) {
        change_end(change, RR_TIMEOUT, "%s; nothing was changed", change->obstacle);
        return;
    }
    change->state = CHANGE_PAUSED;
    change->resume_us = now_us + (uint64_t)IDENTIFY_PAUSE_MS * 1000;
}

/* RR_CONFLICT for a caller who named the node, RR_MISMATCH for the node itself: it is not to be
 * let in, however often it asks. */
static void refuse_disk(struct change *change, uint64_t known, uint64_t actual)
{
    change_end(change, change->joining ? RR_MISMATCH : RR_CONFLICT,
               "id %" PRIu64 " belongs to another disk (incarnation %016" PRIx64
               ", this one has %016" PRIx64 "): this node's data was wiped or replaced; remove "
               "node %" PRIu64 " and let the new disk join under a new id",
               change->member.id, known, actual, change->member.id);
}

bool change_replaces(const struct change *change, uint64_t known)
{
    for (uint32_t at = 0; at < change->former_count; at++) {
        if (change->former[at] == known) {
            return true;
        }
    }
    return false;
}

/* Whether the id may be taken by that disk; ends the change if not. It must be new, or the one that
 * is known, or the successor of that one, which was damaged. */
static bool disk_allowed(struct change *change, uint64_t incarnation)
{
    struct member_list *list = &change->node->members->meta.list;
    const struct member *member = member_list_find(list, change->member.id);
    const struct removed_member *removed = member_list_find_removed(list, change->member.id);
    uint64_t known = member != NULL ? member->incarnation : 0;
    known = removed != NULL ? removed->incarnation : known;
    /* A disk that nobody can name cannot be said to be the damaged one. */
    bool nameless = member != NULL && known == 0 && change->former_count > 0;
    bool same = known == 0 || incarnation == 0 || known == incarnation;
    if (nameless || (!same && !change_replaces(change, known))) {
        refuse_disk(change, known, incarnation);
        return false;
    }
    return true;
}

static void judge_identity(struct change *change, const struct relay_identity *identity)
{
    const struct member *member = &change->member;
    uint64_t cluster = change->node->self.cluster;
    if (identity->node != member->id) {
        change_end(change, RR_MISMATCH, "at %s there is node %" PRIu64 ", not node %" PRIu64,
                   member->address, identity->node, member->id);
        return;
    }
    if (identity->cluster != 0 && identity->cluster != cluster) {
        change_end(change, RR_MISMATCH,
                   "node %" PRIu64 " belongs to cluster %016" PRIx64
                   ", this is cluster %016" PRIx64,
                   member->id, identity->cluster, cluster);
        return;
    }
    if (identity->incarnation == 0 ||
        (member->incarnation != 0 && member->incarnation != identity->incarnation)) {
        change_end(change, RR_MISMATCH,
                   "the node that asks to join as node %" PRIu64 " is not the one at %s",
                   member->id, member->address);
        return;
    }
    if (disk_allowed(change, identity->incarnation)) {
        change->member.incarnation = identity->incarnation;
        change->identified = true;
        change->state = CHANGE_QUEUED;
        change->obstacle[0] = 0;
    }
}

static void identified(void *arg, const struct rpc_result *result)
{
    struct change *change = arg;
    rr_node *node = change->node;
    if (!change_called(change)) {
        return;
    }
    ASSERT(change->state == CHANGE_IDENTIFYING);
    struct relay_answer answer;
    if (!result->answered && result->status == RR_MISMATCH) {
        change_end(change, RR_MISMATCH, "node %" PRIu64 " at %s: %s", change->member.id,
                   change->member.address, result->reason);
    } else if (!result->answered) {
        pause_identify(change, result->reason);
    } else if (result->status != RR_OK || relay_answer_decode(result->body, &answer) != RR_OK ||
               answer.status != RR_OK || !answer.has_identity) {
        pause_identify(change, "its answer makes no sense");
    } else {
        judge_identity(change, &answer.identity);
    }
    changes_pump(node);
}

void change_identify(struct change *change)
{
    rr_node *node = change->node;
    struct relay_request request = {.kind = RELAY_IDENTIFY, .timeout_ms = IDENTIFY_TIMEOUT_MS};
    request.cluster = node->self.cluster;
    const struct member *self = member_list_find(&node->members->meta.list, members_self(node));
    if (self != NULL) {
        request.member = *self;
    }
    struct buffer body;
    buffer_init(&body);
    relay_request_encode(&body, &request);
    rr_status status = RR_NO_MEMORY;
    if (!body.failed) {
        status = rpc_call_address(node->peers, change->member.address, RPC_RELAY,
                                  buffer_bytes(&body), IDENTIFY_TIMEOUT_MS, identified, change);
    }
    buffer_deinit(&body);
    if (status == RR_INVALID) {
        change_end(change, RR_INVALID, "'%s' is no address", change->member.address);
    } else if (status != RR_OK) {
        pause_identify(change, rr_status_name(status));
    } else {
        change->state = CHANGE_IDENTIFYING;
        change->calls++;
    }
}

/* ---- Confirming: success without change, if this is still the leader ---- */

/* Whether what the call asks for is so already. */
static bool satisfied(const struct change *change)
{
    const struct member *member =
        member_list_find(&change->node->members->meta.list, change->member.id);
    if (change->kind == CHANGE_REMOVE || member == NULL) {
        return change->kind == CHANGE_REMOVE && member == NULL;
    }
    return member->role == change->member.role && !member->promote;
}

static void confirmed(void *arg, rr_status status, raft_index index)
{
    struct change *change = arg;
    (void)index;
    if (!change_called(change)) {
        return;
    }
    ASSERT(change->state == CHANGE_CONFIRMING);
    if (status == RR_OK && satisfied(change)) {
        change_end(change, RR_OK, "nothing had to be changed");
    } else if (status == RR_OK && node_leads(change->node)) {
        change->state = CHANGE_QUEUED;
        changes_pump(change->node);
    } else if (status == RR_CLOSED || status == RR_TIMEOUT) {
        change_end(change, status, "the leader could not confirm its view in time");
    } else {
        change_end(change, RR_NOT_LEADER, "the leader could not confirm its view");
    }
}

void change_confirm(struct change *change)
{
    change->state = CHANGE_CONFIRMING;
    change->calls++;
    confirm_index(change->node, change->deadline_us, confirmed, change);
}

/* ---- Proposing ---- */

static void proposed(void *arg, rr_status status, raft_index index)
{
    struct change *change = arg;
    rr_node *node = change->node;
    node->members->conf_pending = false;
    (void)index;
    if (!change_called(change)) {
        changes_pump(node);
        return;
    }
    ASSERT(change->state == CHANGE_PROPOSED);
    if (status == RR_OK && change->kind == CHANGE_REMOVE) {
        change_end(change, RR_OK, "node %" PRIu64 " was removed", change->member.id);
    } else if (status == RR_OK && node_leads(node)) {
        change->state = CHANGE_QUEUED; /* looked at again: there may be more to do */
        change->obstacle[0] = 0;
    } else if (status == RR_OK) {
        change_end(change, RR_NOT_LEADER, "node %" PRIu64 " leads no more", members_self(node));
    } else if (status == RR_CONFLICT) {
        change->state = CHANGE_PAUSED;
        change->resume_us = node_now_us(node) + (uint64_t)REFUSED_PAUSE_MS * 1000;
        change_note(change, "another change is being applied");
    } else {
        change_end(change, status, "%s",
                   status == RR_NOT_LEADER ? "leadership was lost before it was committed"
                                           : "proposed, but its fate is not known");
    }
    changes_pump(node);
}

void change_propose(struct change *change, enum raft_conf_operation_type type,
                    const struct member *record)
{
    rr_node *node = change->node;
    struct raft_conf_change conf = {.transition = RAFT_CONF_AUTO, .count = 1};
    conf.operations[0].type = type;
    conf.operations[0].id = change->member.id;
    conf.operations[0].incarnation = record == NULL ? 0 : record->incarnation;
    struct buffer context;
    buffer_init(&context);
    if (record != NULL) {
        members_context_encode(&context, record);
    }
    if (context.failed) {
        buffer_deinit(&context);
        change_end(change, RR_NO_MEMORY, "no memory to propose it");
        return;
    }
    conf.context = buffer_bytes(&context);
    change->state = CHANGE_PROPOSED;
    change->calls++;
    node->members->conf_pending = true;
    conf_propose(node, &conf, change->deadline_us, proposed, change);
    buffer_deinit(&context);
}

/* ---- Adding ---- */

static void add_new(struct change *change)
{
    const struct members *members = change->node->members;
    if (!change->identified) {
        change_identify(change); /* it was a member when the call came, and is none now */
        return;
    }
    if (members->meta.list.count == RAFT_MEMBERS_MAX) {
        change_end(change, RR_CONFLICT, "the cluster has %d members, which is the most it can have",
                   RAFT_MEMBERS_MAX);
        return;
    }
    struct member record = change->member;
    record.role = RR_LEARNER;
    record.promote = change->member.role == RR_VOTER;
    LOG_INFO(&change->node->logger, "adding node %" PRIu64 " at %s as a learner", record.id,
             record.address);
    change_propose(change, RAFT_CONF_ADD_LEARNER, &record);
}

/* A member already: its address stays what it is. */
static void add_known(struct change *change, const struct member *member)
{
    struct member record = *member;
    if (change->member.role == RR_VOTER) {
        if (member->role == RR_VOTER) {
            change_confirm(change);
        } else if (member->promote) {
            change->state = CHANGE_CATCHING_UP;
        } else {
            record.promote = true;
            change_propose(change, RAFT_CONF_UPDATE, &record);
        }
        return;
    }
    if (member->role == RR_LEARNER && !member->promote) {
        change_confirm(change);
    } else if (member->role == RR_LEARNER) {
        record.promote = false;
        change_propose(change, RAFT_CONF_UPDATE, &record);
    } else {
        change_end(change, RR_CONFLICT,
                   "node %" PRIu64 " is a voter; to make it a learner, remove it first",
                   member->id);
    }
}

static void advance_add(struct change *change)
{
    struct member_list *list = &change->node->members->meta.list;
    const struct member *member = member_list_find(list, change->member.id);
    if (!disk_allowed(change, change->member.incarnation)) {
        return;
    }
    if (member == NULL) {
        add_new(change);
    } else if (change->member.incarnation != 0 &&
               member->incarnation != change->member.incarnation) {
        change_replace(change, member);
    } else {
        add_known(change, member);
    }
}

/* ---- Going on ---- */

static void check_catching_up(struct change *change)
{
    rr_node *node = change->node;
    const struct member *member = member_list_find(&node->members->meta.list, change->member.id);
    if (member == NULL) {
        change_end(change, RR_CONFLICT, "node %" PRIu64 " was removed meanwhile",
                   change->member.id);
        return;
    }
    if (member->role == RR_VOTER) {
        change_end(change, RR_OK, "node %" PRIu64 " is a voter", member->id);
        return;
    }
    if (!member->promote) {
        change_end(change, RR_CONFLICT, "node %" PRIu64 " was made a mere learner meanwhile",
                   member->id);
        return;
    }
    char text[RAFT_PROGRESS_TEXT_MAX];
    change_note(change, "%.200s",
                raft_status_text(node_core(node), member->id, text, sizeof(text)));
}

static void change_advance(struct change *change)
{
    struct members *members = change->node->members;
    switch (change->state) {
    case CHANGE_PAUSED:
        if (node_now_us(change->node) < change->resume_us) {
            return;
        }
        change->state = CHANGE_QUEUED;
        change_advance(change);
        return;
    case CHANGE_QUEUED:
        if (members->conf_pending) {
            return;
        }
        if (change->kind == CHANGE_ADD) {
            advance_add(change);
        } else {
            change_remove(change);
        }
        return;
    case CHANGE_CATCHING_UP:
        check_catching_up(change);
        return;
    case CHANGE_IDENTIFYING:
    case CHANGE_PROPOSED:
    case CHANGE_CONFIRMING:
        return; /* a callback is to come */
    case CHANGE_ENDED:
        break;
    }
    UNREACHABLE();
}

void changes_pump(rr_node *node)
{
    struct members *members = node->members;
    if (!node_alive(node) || members->stopped || !node_leads(node) || members->pumping) {
        return;
    }
    members->pumping = true; /* an answer may bring about the next call */
    bool waiting = members_promote(node);
    LIST_FOREACH_SAFE(link, &members->changes) {
        change_advance(CONTAINER_OF(link, struct change, link));
    }
    members->pumping = false;
    if ((waiting || !list_empty(&members->changes)) && !timer_running(members->timer)) {
        timer_start(members->timer, MEMBERS_TICK_MS);
    }
}

/* The address in the one form that it is compared in; false if it is none. */
static bool normalize_address(struct member *member)
{
    struct address address;
    char text[ADDRESS_BYTES_MAX];
    if (address_parse(member->address, &address) != RR_OK || address.port == 0) {
        return false;
    }
    address_format(&address, text);
    snprintf(member->address, sizeof(member->address), "%s", text);
    return true;
}

void changes_serve(rr_node *node, enum change_kind kind, const struct relay_request *request,
                   uint64_t deadline_us, relay_done_fn done, void *arg)
{
    if (!node_leads(node)) {
        relay_answer_text(node, done, arg, RR_NOT_LEADER, "node %" PRIu64 " does not lead",
                          members_self(node));
        return;
    }
    struct change *change = mem_new(struct change);
    change->node = node;
    change->kind = kind;
    if (kind == CHANGE_ADD) {
        change->member = request->member;
        change->joining = request->member.incarnation != 0;
        change->former_count = request->former_count;
        memcpy(change->former, request->former, sizeof(change->former));
    } else {
        change->member.id = request->target;
    }
    change->started_us = node_now_us(node);
    change->deadline_us = deadline_us;
    change->done = done;
    change->arg = arg;
    change->state = CHANGE_QUEUED;
    list_push_back(&node->members->changes, &change->link);
    deadline_set(&node->deadlines, &change->deadline, deadline_us, on_deadline, change);
    const struct member *member = &change->member;
    if (member->id == 0 || (kind == CHANGE_ADD && !normalize_address(&change->member))) {
        change_end(change, RR_INVALID, "node %" PRIu64 " at '%s' cannot be a member", member->id,
                   member->address);
        return;
    }
    if (kind == CHANGE_ADD && member_list_find(&node->members->meta.list, member->id) == NULL) {
        change->state = CHANGE_PAUSED; /* and at once: */
        change_note(change, "node %" PRIu64 " was not asked yet", member->id);
        change_identify(change);
    }
    changes_pump(node);
}

void changes_role_changed(rr_node *node)
{
    struct members *members = node->members;
    members->catch_up_count = 0;
    if (node_alive(node) && node_leads(node)) {
        changes_pump(node);
        return;
    }
    LIST_FOREACH_SAFE(link, &members->changes) {
        struct change *change = CONTAINER_OF(link, struct change, link);
        if (change->state != CHANGE_PROPOSED) {
            change_end(change, RR_NOT_LEADER, "node %" PRIu64 " leads no more", members_self(node));
        }
    }
}

void changes_stop(rr_node *node)
{
    LIST_FOREACH_SAFE(link, &node->members->changes) {
        struct change *change = CONTAINER_OF(link, struct change, link);
        bool open = change->state == CHANGE_PROPOSED;
        change_end(change, open ? RR_UNKNOWN : RR_CLOSED, "node %" PRIu64 " is stopping",
                   members_self(node));
    }
}
