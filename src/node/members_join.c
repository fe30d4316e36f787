/*
 * A new node's way into a cluster: it asks the addresses of `join` in turn who they are, has the
 * first member among them let it in, and tries again for as long as the node runs.
 *
 * What ends it is the applied configuration with this node in it, whoever brought that about; or a
 * refusal that asking again cannot change, which halts the node. A member asks as well, until it
 * meets others of its cluster: whether the addresses belong to that cluster.
 */
#include "node/members.h"

#include "base/assert.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    JOIN_TIMEOUT_MS = 15000, /* of one request; what it began goes on without it */
    JOIN_PAUSE_MIN_MS = 200,
    JOIN_PAUSE_MAX_MS = 5000,
    JOIN_SETTLE_MS = 1000, /* from the answer to the configuration that has this node in it */
    JOIN_LOG_MS = 10000,   /* between two lines that say the same */
    MEETING_MS = 5000,     /* from the start until a member among others has met one of them */
};

static size_t address_count(const rr_node *node)
{
    return node->members->join.count;
}

static const char *address_at(const rr_node *node)
{
    return node->members->join.addresses[node->members->join.at];
}

/* Notes, and now and then logs, how it goes. */
static void report(rr_node *node, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void report(rr_node *node, const char *format, ...)
{
    struct join *join = &node->members->join;
    char text[sizeof(join->progress)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    bool news = strcmp(text, join->progress) != 0;
    if (log_limiter_pass(&join->limiter, node_now_us(node) / 1000, NULL) || news) {
        LOG_INFO(&node->logger, "not a member yet: %s", text);
    }
    memcpy(join->progress, text, sizeof(text));
}

static bool going_on(const rr_node *node)
{
    return node_alive(node) && !node->members->stopped && node->members->join.state != JOIN_IDLE;
}

static void pause_for(rr_node *node, uint64_t pause_ms)
{
    struct join *join = &node->members->join;
    join->state = JOIN_PAUSED;
    timer_start(join->timer, pause_ms);
}

static void ask(rr_node *node);

/* Whether this address is this node's own, by its text. */
static bool is_own(const rr_node *node, const char *address)
{
    return strcmp(address, node->options.raft_address) == 0 ||
           strcmp(address, node->options.advertise_address) == 0 ||
           strcmp(address, node->self.address) == 0;
}

/* Goes on with the next address, after a pause when all had their turn. */
static void next_address(rr_node *node)
{
    struct join *join = &node->members->join;
    join->at++;
    if (join->at < address_count(node)) {
        ask(node);
        return;
    }
    join->at = 0;
    uint64_t pause_ms = JOIN_PAUSE_MIN_MS;
    for (uint32_t round = 0; round < join->failures && pause_ms < JOIN_PAUSE_MAX_MS; round++) {
        pause_ms *= 2;
    }
    if (pause_ms > JOIN_PAUSE_MAX_MS) {
        pause_ms = JOIN_PAUSE_MAX_MS;
    }
    join->failures++;
    pause_for(node, pause_ms - random_below(&node->random, pause_ms / 4 + 1));
}

/* One more address to ask, unless it is among them, or is this node's own. */
static void add_address(rr_node *node, const char *address)
{
    struct join *join = &node->members->join;
    for (size_t at = 0; at < join->count; at++) {
        if (strcmp(join->addresses[at], address) == 0) {
            return;
        }
    }
    if (is_own(node, address) || join->count == JOIN_ADDRESSES_MAX ||
        strlen(address) > ADDRESS_BYTES_MAX) {
        return;
    }
    strcpy(join->addresses[join->count], address);
    join->count++;
}

static rr_status call(rr_node *node, const struct relay_request *request, rpc_done_fn done)
{
    struct buffer body;
    buffer_init(&body);
    relay_request_encode(&body, request);
    rr_status status = RR_NO_MEMORY;
    if (!body.failed) {
        status = rpc_call_address(node->peers, address_at(node), RPC_RELAY, buffer_bytes(&body),
                                  request->timeout_ms, done, node);
    }
    buffer_deinit(&body);
    return status;
}

/* This node as it asks to be added. */
static rr_status describe_self(rr_node *node, struct member *out)
{
    return member_set(out, members_self(node), RR_VOTER, node->self.address,
                      members_incarnation(node));
}

/* What came back, as an answer; the status says what went wrong, and `text` more. */
static rr_status read_answer(const struct rpc_result *result, struct relay_answer *answer,
                             char text[256])
{
    if (!result->answered) {
        snprintf(text, 256, "%.255s", result->reason);
        return result->status;
    }
    if (result->status != RR_OK) {
        snprintf(text, 256, "it answers: %s", rr_status_name(result->status));
        return result->status;
    }
    if (relay_answer_decode(result->body, answer) != RR_OK) {
        snprintf(text, 256, "its answer makes no sense");
        return RR_CORRUPT;
    }
    snprintf(text, 256, "%.*s", (int)(answer->message.size < 255 ? answer->message.size : 255),
             answer->message.size == 0 ? "" : (const char *)answer->message.data);
    return answer->status;
}

/* ---- Joining ---- */

static void joined(void *arg, const struct rpc_result *result)
{
    rr_node *node = arg;
    struct join *join = &node->members->join;
    join->calls--;
    if (!going_on(node)) {
        return;
    }
    ASSERT(join->state == JOIN_JOINING);
    struct relay_answer answer = {0};
    char text[256];
    rr_status status = read_answer(result, &answer, text);
    switch (status) {
    case RR_OK:
        report(node, "cluster %016" PRIx64 " has added node %" PRIu64 "; waiting for its data",
               join->cluster, members_self(node));
        join->failures = 0;
        pause_for(node, JOIN_SETTLE_MS);
        return;
    case RR_MISMATCH:
    case RR_INVALID:
        members_fail(node, "node %" PRIu64 " cannot join through %s: %s", members_self(node),
                     address_at(node), text);
        return;
    default:
        report(node, "%s: %s: %s", address_at(node), rr_status_name(status), text);
        next_address(node);
        return;
    }
}

static void join_through(rr_node *node, uint64_t cluster)
{
    struct join *join = &node->members->join;
    struct relay_request request = {.kind = RELAY_JOIN, .timeout_ms = JOIN_TIMEOUT_MS};
    request.cluster = cluster;
    const struct former *former = data_dir_former(node->data_dir);
    STATIC_ASSERT((int)RELAY_FORMER_MAX == (int)FORMER_COUNT_MAX);
    request.former_count = former->count;
    memcpy(request.former, former->incarnations, sizeof(request.former));
    rr_status status = describe_self(node, &request.member);
    if (status == RR_OK) {
        status = call(node, &request, joined);
    }
    if (status != RR_OK) {
        report(node, "%s: %s", address_at(node), rr_status_name(status));
        next_address(node);
        return;
    }
    join->cluster = cluster;
    join->state = JOIN_JOINING;
    join->calls++;
    report(node, "asking cluster %016" PRIx64 " through %s to add node %" PRIu64, cluster,
           address_at(node), members_self(node));
}

/* ---- Asking ---- */

static void judge_for_join(rr_node *node, const struct relay_identity *identity)
{
    uint64_t incarnation = members_incarnation(node);
    if (identity->node == members_self(node) && identity->incarnation == incarnation) {
        next_address(node); /* it is this node, under another name */
        return;
    }
    if (identity->node == members_self(node) && identity->member) {
        members_fail(node,
                     "at %s there is a node %" PRIu64 " already, with another disk; ids are "
                     "unique and not used again: give this node another id",
                     address_at(node), identity->node);
        return;
    }
    if (identity->cluster == 0 || !identity->member) {
        report(node, "%s is no member of a cluster yet", address_at(node));
        next_address(node);
        return;
    }
    join_through(node, identity->cluster);
}

/* Whether the handshake failed because the two nodes know different clusters. The refusal comes
 * before the other side introduces itself, so there is its text alone (hello_check). */
static bool is_of_other_cluster(const struct rpc_result *result)
{
    return !result->answered && result->status == RR_MISMATCH &&
           strstr(result->reason, "other cluster") != NULL;
}

/* The addresses to join through and this node's data do not go together. */
static void fail_for_cluster(rr_node *node, const char *text)
{
    if (node->members->join.checking && members_alone(node)) {
        members_fail(node,
                     "node %" PRIu64 " founded cluster %016" PRIx64 ", but %s belongs to another "
                     "one (%s): two clusters must not exist side by side; if this node's data was "
                     "wiped, let it join under a new id with an empty directory",
                     members_self(node), node->self.cluster, address_at(node), text);
    } else {
        members_fail(node,
                     "this node's data is of cluster %016" PRIx64 ", but %s belongs to another one "
                     "(%s); to join that, begin with a new id and an empty directory",
                     node->self.cluster, address_at(node), text);
    }
}

/* Whether any other member of this node's cluster is connected. */
static bool meets_its_own(const rr_node *node)
{
    const struct member_list *list = &node->members->meta.list;
    for (uint32_t at = 0; at < list->count; at++) {
        if (list->members[at].id != members_self(node) &&
            peers_connected(node->peers, list->members[at].id)) {
            return true;
        }
    }
    return false;
}

/* An address that is out of date does not stop a member among its own. One that meets nobody but
 * another cluster was given the wrong data or the wrong addresses. */
static void met_other_cluster(rr_node *node, const char *text)
{
    struct join *join = &node->members->join;
    uint64_t now_us = node_now_us(node);
    bool patient = now_us - join->started_us < (uint64_t)MEETING_MS * 1000;
    if (!join->checking || members_alone(node) || (!patient && !meets_its_own(node))) {
        fail_for_cluster(node, text);
        return;
    }
    if (log_limiter_pass(&join->limiter, now_us / 1000, NULL)) {
        LOG_WARN(&node->logger,
                 "%s is an address to join through, but belongs to another cluster "
                 "(%s)",
                 address_at(node), text);
    }
    next_address(node);
}

static void asked(void *arg, const struct rpc_result *result)
{
    rr_node *node = arg;
    struct join *join = &node->members->join;
    join->calls--;
    if (!going_on(node)) {
        return;
    }
    ASSERT(join->state == JOIN_ASKING);
    struct relay_answer answer = {0};
    char text[256];
    rr_status status = read_answer(result, &answer, text);
    if (is_of_other_cluster(result)) {
        met_other_cluster(node, text);
        return;
    }
    if (status != RR_OK || !answer.has_identity) {
        if (!join->checking) {
            report(node, "%s does not answer: %s", address_at(node), text);
        }
        next_address(node);
    } else if (join->checking) {
        join->answered[join->at] = true;
        next_address(node);
    } else {
        judge_for_join(node, &answer.identity);
    }
}

static void ask(rr_node *node)
{
    struct join *join = &node->members->join;
    struct relay_request request = {.kind = RELAY_IDENTIFY, .timeout_ms = IDENTIFY_TIMEOUT_MS};
    request.cluster = node->self.cluster;
    rr_status status = describe_self(node, &request.member);
    if (join->checking && join->answered[join->at]) {
        next_address(node);
        return;
    }
    if (status == RR_OK) {
        status = call(node, &request, asked);
    }
    if (status != RR_OK) {
        report(node, "%s: %s", address_at(node), rr_status_name(status));
        next_address(node);
        return;
    }
    join->state = JOIN_ASKING;
    join->calls++;
}

/* Whether there is an address left that has not answered a check. */
static bool check_goes_on(const rr_node *node)
{
    const struct join *join = &node->members->join;
    for (size_t at = 0; at < join->count; at++) {
        if (!join->answered[at]) {
            return members_alone(node) || !meets_its_own(node);
        }
    }
    return false;
}

static void on_timer(void *arg)
{
    rr_node *node = arg;
    struct join *join = &node->members->join;
    if (!going_on(node)) {
        return;
    }
    ASSERT(join->state == JOIN_PAUSED);
    if (join->checking && !check_goes_on(node)) {
        join->state = JOIN_IDLE;
        return;
    }
    join->at = 0;
    ask(node);
}

/* ---- Beginning and end ---- */

/* Whom to ask: those given and, for a member whose disk was damaged, those that it knew. One that
 * was removed does not ask those: it was to go. */
static void gather_addresses(rr_node *node)
{
    struct join *join = &node->members->join;
    struct member_list *list = &node->members->meta.list;
    const struct member *self = member_list_find(list, members_self(node));
    bool damaged = self != NULL && members_had_disk(node, self->incarnation);
    join->addresses = mem_resize(NULL, JOIN_ADDRESSES_MAX * sizeof(join->addresses[0]));
    for (size_t at = 0; at < node->options.public.join_count; at++) {
        add_address(node, node->options.join[at]);
    }
    for (uint32_t at = 0; at < list->count && damaged; at++) {
        if (list->members[at].id != members_self(node)) {
            add_address(node, list->members[at].address);
        }
    }
}

void join_start(rr_node *node)
{
    struct join *join = &node->members->join;
    join->limiter.interval_ms = JOIN_LOG_MS;
    join->timer = timer_open(node->loop, on_timer, node);
    bool member = members_has_self(node);
    join->started_us = node_now_us(node);
    join->checking = member;
    gather_addresses(node);
    if (address_count(node) > 0) {
        pause_for(node, 0);
    } else if (!member) {
        report(node, "there is no address to join through; waiting to be added");
    }
}

void join_through_address(rr_node *node, const char *address)
{
    struct join *join = &node->members->join;
    if (members_has_self(node) || join->timer == NULL) {
        return;
    }
    add_address(node, address);
    if (join->state == JOIN_IDLE && join->count > 0) {
        join->checking = false;
        pause_for(node, 0);
    }
}

void join_settle(rr_node *node)
{
    struct join *join = &node->members->join;
    if (join->state != JOIN_IDLE && !join->checking &&
        members_is_member(node->members, members_self(node))) {
        join->state = JOIN_IDLE;
        timer_stop(join->timer);
    }
}

void join_stop(rr_node *node)
{
    struct join *join = &node->members->join;
    join->state = JOIN_IDLE;
    if (join->timer != NULL) {
        timer_stop(join->timer);
    }
}

void join_close(rr_node *node)
{
    struct join *join = &node->members->join;
    timer_close(join->timer);
    mem_free(join->addresses);
}
