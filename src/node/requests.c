/*
 * Writes: a command, or a change of the configuration, on its way into the log and back.
 *
 * What may be answered rests on one rule: an entry that was proposed at (index, term) took effect
 * exactly when the entry applied at that index has that term. Until an entry is applied there, even
 * one that this node's own log has replaced may come back with a leader who still has it, so a
 * proposed write waits for its index, or its deadline, and never ends early as "not applied".
 *
 * Invariants:
 * 1. Every write is in exactly one of the lists of struct writes, except while it is handled.
 * 2. It goes to fresh or waiting again only when no earlier attempt can take effect, or when its
 *    session makes a second one harmless (`in_doubt` then says that it may have).
 */
#include "node/node_private.h"

#include "base/assert.h"
#include "base/memory.h"
#include "command/command.h"
#include "node/write.h"

#include <stdio.h>
#include <string.h>

enum {
    RETRY_US = 20 * 1000,     /* how often a write without a leader looks again */
    PROPOSE_COUNT_MAX = 8192, /* entries of one event; the rest follows in the next turn */
    PROPOSE_BYTES_MAX = 16 * 1024 * 1024,
    RESULTS_BYTES_KEPT = 1024 * 1024, /* memory kept from turn to turn */
    CLOCK_SLOWED_BY = 16,             /* this part of the time does not pass */
};

void writes_open(rr_node *node)
{
    struct writes *writes = &node->writes;
    list_init(&writes->fresh);
    list_init(&writes->waiting);
    list_init(&writes->proposed);
    list_init(&writes->forwarded);
    map_init(&writes->by_index);
    writes->retry_us = UINT64_MAX;
    list_init(&node->applied);
}

void writes_close(rr_node *node)
{
    map_deinit(&node->writes.by_index);
}

/* ---- One write ---- */

static struct write *write_of(struct list_link *link)
{
    return CONTAINER_OF(CONTAINER_OF(link, struct request, link), struct write, request);
}

static void move(struct write *write, struct list *list)
{
    if (list_contains(&write->request.link)) {
        list_remove(&write->request.link);
    }
    list_push_back(list, &write->request.link);
}

static void forget_index(struct write *write)
{
    if (write->index == 0) {
        return;
    }
    struct map *by_index = &write->request.node->writes.by_index;
    struct write *head = map_get(by_index, write->index);
    ASSERT(head != NULL);
    if (head == write && write->same_index == NULL) {
        (void)map_remove(by_index, write->index);
    } else if (head == write) {
        (void)map_set(by_index, write->index, write->same_index);
    } else {
        while (head->same_index != write) {
            head = head->same_index;
            ASSERT(head != NULL);
        }
        head->same_index = write->same_index;
    }
    write->same_index = NULL;
    write->index = 0;
}

static void remember_index(struct write *write, raft_index index, raft_term term)
{
    write->index = index;
    write->term = term;
    write->same_index = map_set(&write->request.node->writes.by_index, index, write);
    move(write, &write->request.node->writes.proposed);
}

static void end_failed(struct write *write, rr_status status, const char *message)
{
    forget_index(write);
    write->request.node->counters.writes_failed_total++;
    request_end_text(&write->request, status, message);
}

/* Ends the write as not applied, or as in doubt if an earlier attempt may have been. */
static void end_refused(struct write *write, rr_status status, const char *message)
{
    if (write->in_doubt) {
        end_failed(write, RR_UNKNOWN, "an earlier attempt may have been applied");
    } else {
        end_failed(write, status, message);
    }
}

static void end_unknown(struct write *write, const char *message)
{
    end_failed(write, RR_UNKNOWN, message);
}

static bool has_session(const struct write *write)
{
    return write->session != 0;
}

/* Tries again later, unless its time is up: its deadline may have come while a call was under way,
 * and comes only once. */
static void wait_for_leader(struct write *write)
{
    struct writes *writes = &write->request.node->writes;
    uint64_t now_us = node_now_us(write->request.node);
    forget_index(write);
    if (write->once) {
        end_refused(write, RR_NOT_LEADER, "this node does not lead");
        return;
    }
    if (now_us >= write->request.deadline_us) {
        end_refused(write, RR_NOT_LEADER, "no leader took the request before its deadline");
        return;
    }
    move(write, &writes->waiting);
    uint64_t retry_us = now_us + RETRY_US;
    if (retry_us < writes->retry_us) {
        writes->retry_us = retry_us;
    }
}

/* The attempt is in doubt: another one only if it cannot be applied twice. */
static void doubt(struct write *write, const char *message)
{
    if (has_session(write) && !write->once) {
        write->in_doubt = true;
        wait_for_leader(write);
        return;
    }
    end_unknown(write, message);
}

void write_start(struct request *request)
{
    struct write *write = CONTAINER_OF(request, struct write, request);
    request->node->counters.writes_total++;
    move(write, &request->node->writes.fresh);
}

void write_expire(struct request *request)
{
    struct write *write = CONTAINER_OF(request, struct write, request);
    if (write->forwarded) {
        return; /* the call has the same deadline, and knows whether it was sent */
    }
    if (write->index != 0) {
        end_unknown(write, "not committed before the deadline");
        return;
    }
    end_refused(write, RR_NOT_LEADER, "no leader took the request before its deadline");
}

void write_destroy(struct request *request)
{
    struct write *write = CONTAINER_OF(request, struct write, request);
    raft_entry_unref(write->entry);
    mem_free(write);
}

struct write *write_new(struct raft_entry *entry)
{
    struct write *write = mem_new(struct write);
    write->entry = entry;
    write->request.start = write_start;
    write->request.expire = write_expire;
    write->request.destroy = write_destroy;
    write->request.bytes = sizeof(*write) + raft_entry_bytes(entry);
    return write;
}

/* ---- From other nodes ---- */

rr_status write_begin_remote(rr_node *node, rr_bytes command, uint32_t timeout_ms, rr_done_fn done,
                             void *arg)
{
    if (!node_alive(node) || !node_leads(node)) {
        return RR_NOT_LEADER;
    }
    if (node->inbox.closed) {
        return RR_CLOSED;
    }
    rr_status status = applier_check(node->applier, command);
    if (status != RR_OK) {
        return status;
    }
    if (command.size > node->options.public.entry_bytes_max) {
        return RR_TOO_BIG;
    }
    struct raft_entry *entry = raft_entry_try_new(RAFT_ENTRY_NORMAL, command.size);
    if (entry == NULL) {
        return RR_NO_MEMORY;
    }
    memcpy(entry->data, command.data, command.size);
    struct write *write = write_new(entry);
    write->once = true;
    write->request.done = done;
    write->request.done_arg = arg;
    status = request_begin(node, &write->request, (uint64_t)timeout_ms * 1000);
    if (status != RR_OK) {
        write_destroy(&write->request);
    }
    return status;
}

/* ---- Changes of the configuration ---- */

/* A write whose end goes to a conf_done_fn. */
struct conf_write {
    conf_done_fn done;
    void *arg;
};

static void on_conf_done(void *arg, rr_status status, const rr_result *result)
{
    struct conf_write *conf = arg;
    conf->done(conf->arg, status, rr_result_index(result));
    mem_free(conf);
}

void conf_propose(rr_node *node, const struct raft_conf_change *change, uint64_t deadline_us,
                  conf_done_fn done, void *arg)
{
    struct conf_write *conf = mem_new(struct conf_write);
    conf->done = done;
    conf->arg = arg;
    struct write *write = write_new(raft_conf_change_entry(RAFT_ENTRY_CONF_CHANGE_V2, change));
    write->once = true;
    write->request.always = true;
    write->request.done = on_conf_done;
    write->request.done_arg = conf;
    uint64_t now_us = node_now_us(node);
    rr_status status =
        request_begin(node, &write->request, deadline_us > now_us ? deadline_us - now_us : 1);
    ASSERT(status == RR_OK);
    loop_mark(node->loop);
}

/* ---- Proposing ---- */

static bool is_command(const struct write *write)
{
    return write->entry->type == RAFT_ENTRY_NORMAL;
}

/*
 * The time of the next entry: the wall clock's, but never behind an earlier entry's. Where the wall
 * clock is behind - it was set back, or that of an earlier leader was ahead - time goes on from the
 * latest entry's, a little slower than it should, so that the wall clock comes up with it.
 */
static uint64_t entry_time_ms(rr_node *node)
{
    struct writes *writes = &node->writes;
    uint64_t now_us = loop_now_us(node->loop);
    uint64_t passed_ms = (now_us - writes->time_since_us) / 1000;
    uint64_t time_ms = writes->time_base_ms + passed_ms - passed_ms / CLOCK_SLOWED_BY;
    uint64_t wall_ms = loop_wall_ms();
    uint64_t applied_ms = applier_time_ms(node->applier);
    uint64_t least_ms = wall_ms > applied_ms ? wall_ms : applied_ms;
    if (least_ms >= time_ms) {
        writes->time_base_ms = least_ms;
        writes->time_since_us = now_us;
        return least_ms;
    }
    return time_ms;
}

/* Time and seed go into the bytes, so a block that others may hold is not used again. */
static void stamp(rr_node *node, struct write *write)
{
    if (write->entry->index != 0) {
        struct raft_entry *old = write->entry;
        write->entry = raft_entry_new(old->type, (rr_bytes){old->data, old->size});
        raft_entry_unref(old);
    }
    if (!is_command(write)) {
        return;
    }
    command_stamp(write->entry->data, write->entry->size, entry_time_ms(node),
                  random_u64(&node->random));
}

/* Takes writes off the front of `fresh` into one event; false if there was none to take. */
static bool propose_some(rr_node *node)
{
    struct writes *writes = &node->writes;
    struct list taken;
    list_init(&taken);
    uint32_t count = 0;
    uint64_t bytes = 0;
    struct list_link *link;
    while ((link = list_front(&writes->fresh)) != NULL && count < PROPOSE_COUNT_MAX &&
           bytes < PROPOSE_BYTES_MAX) {
        struct write *write = write_of(link);
        if (node->space.level != SPACE_FINE && is_command(write) &&
            !raft_transferring(node_core(node))) {
            end_refused(write, RR_NO_SPACE, "the leader's disk is at its low-water mark");
            continue;
        }
        stamp(node, write);
        bytes += raft_entry_bytes(write->entry);
        move(write, &taken);
        count++;
    }
    if (count == 0) {
        return false;
    }
    struct raft_entry **entries = mem_new_array(struct raft_entry *, count);
    uint32_t at = 0;
    LIST_FOREACH(next, &taken) {
        entries[at] = write_of(next)->entry;
        at++;
    }
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
    event.propose.entries = entries;
    event.propose.count = count;
    enum raft_result result = node_step(node, &event);
    mem_free(entries);
    if (result == RAFT_STEP_OK) {
        raft_index index = raft_last_index(node_core(node)) - count;
        raft_term term = raft_hard_state(node_core(node)).term;
        node->counters.proposals_total += count;
        while ((link = list_front(&taken)) != NULL) {
            index++;
            remember_index(write_of(link), index, term);
        }
        return true;
    }
    /* Leadership is being handed over, or this node was removed. */
    while ((link = list_front(&taken)) != NULL) {
        wait_for_leader(write_of(link));
    }
    return true;
}

/* ---- Passing on ---- */

/* What the leader said, or that it said nothing. */
static void on_forwarded(void *arg, const struct rpc_result *result)
{
    struct write *write = arg;
    write->forwarded = false;
    if (!result->answered && !result->sent) {
        wait_for_leader(write);
        return;
    }
    if (!result->answered) {
        char message[MESSAGE_TEXT_BYTES_MAX + 1];
        snprintf(message, sizeof(message), "the leader did not answer: %.200s", result->reason);
        doubt(write, message);
        return;
    }
    /* The transport's own status is about the answer, which may have found no memory, and says
     * nothing of the command. */
    struct relay_answer answer;
    if (result->status != RR_OK || relay_answer_decode(result->body, &answer) != RR_OK) {
        doubt(write, "the leader's answer was lost or makes no sense");
        return;
    }
    rr_status status = answer.status;
    if (status == RR_NOT_LEADER || status == RR_CLOSED) {
        wait_for_leader(write); /* certainly not applied */
        return;
    }
    if (status == RR_UNKNOWN) {
        doubt(write, "the leader does not know the outcome");
        return;
    }
    write_end_answered(write, status, &answer);
}

/* A session that is gone tells that this attempt did nothing, but of an earlier one it knows
 * nothing any more. */
static bool answer_is_open(const struct write *write, rr_status status)
{
    return write->in_doubt && status == RR_STALE_SESSION;
}

void write_end_answered(struct write *write, rr_status status, const struct relay_answer *answer)
{
    if (answer_is_open(write, status)) {
        end_refused(write, status, NULL);
        return;
    }
    rr_result *opened = NULL;
    if (answer->result.size > 0 && result_open(answer->result, &opened) == RR_OK) {
        request_end(&write->request, status, opened);
        rr_result_free(opened);
        return;
    }
    char message[MESSAGE_TEXT_BYTES_MAX + 1];
    size_t size =
        answer->message.size < sizeof(message) - 1 ? answer->message.size : sizeof(message) - 1;
    if (size > 0) {
        memcpy(message, answer->message.data, size);
    }
    message[size] = '\0';
    if (status != RR_OK) {
        end_refused(write, status, message);
        return;
    }
    request_end_text(&write->request, status, message);
}

static void pass_on(rr_node *node, struct write *write, raft_id leader)
{
    rr_bytes command = {write->entry->data, write->entry->size};
    rr_status status = forward_command(node, leader, command, request_left_ms(&write->request),
                                       on_forwarded, write);
    if (status == RR_OK) {
        node->counters.writes_forwarded_total++;
        write->forwarded = true;
        move(write, &node->writes.forwarded);
        return;
    }
    if (status == RR_TOO_BIG || status == RR_NO_MEMORY) {
        end_refused(write, status, "the request cannot be passed on");
        return;
    }
    wait_for_leader(write); /* the leader's address is not known yet, or its queue is full */
}

/* ---- Turns ---- */

void writes_retry_soon(rr_node *node)
{
    node->writes.retry_us = 0;
    loop_mark(node->loop);
}

static void retry_waiting(rr_node *node)
{
    struct writes *writes = &node->writes;
    if (node_now_us(node) < writes->retry_us) {
        return;
    }
    writes->retry_us = UINT64_MAX;
    if (list_empty(&writes->waiting)) {
        return;
    }
    if (node_leader(node) == RAFT_NO_ID) {
        writes->retry_us = node_now_us(node) + RETRY_US;
        return;
    }
    list_append_all(&writes->waiting, &writes->fresh); /* those that waited come first */
    list_append_all(&writes->fresh, &writes->waiting);
}

void writes_turn(rr_node *node)
{
    struct writes *writes = &node->writes;
    retry_waiting(node);
    if (node_leads(node)) {
        while (node_leads(node) && propose_some(node)) {
        }
        return;
    }
    raft_id leader = node_leader(node);
    struct list_link *link;
    struct list taken; /* pass_on may put one back to wait, never to `fresh` */
    list_init(&taken);
    list_append_all(&taken, &writes->fresh);
    while ((link = list_front(&taken)) != NULL) {
        struct write *write = write_of(link);
        if (leader == RAFT_NO_ID || write->once) {
            wait_for_leader(write);
        } else {
            pass_on(node, write, leader);
        }
    }
}

/* ---- Applied ---- */

void writes_entry_applied(rr_node *node, const struct raft_entry *entry, rr_status status,
                          rr_bytes result)
{
    if (map_count(&node->writes.by_index) == 0) {
        return;
    }
    struct write *write = map_get(&node->writes.by_index, entry->index);
    while (write != NULL) {
        struct write *next = write->same_index;
        if (entry->term != write->term) {
            wait_for_leader(write); /* another entry took its place, for good */
            write = next;
            continue;
        }
        forget_index(write);
        bool refused = !is_command(write) && entry->type == RAFT_ENTRY_NORMAL;
        write->answer = refused ? RR_CONFLICT : status;
        write->applied_index = entry->index;
        write->answer_start = node->results.size;
        buffer_append(&node->results, result.data, result.size);
        write->answer_size = result.size;
        if (node->results.failed) {
            write->answer_size = 0;
            node->results.failed = false;
        }
        move(write, &node->applied);
        write = next;
    }
}

void writes_answer(rr_node *node)
{
    struct list_link *link;
    while ((link = list_front(&node->applied)) != NULL) {
        struct write *write = write_of(link);
        if (answer_is_open(write, write->answer)) {
            end_refused(write, write->answer, NULL);
            continue;
        }
        if (write->answer_size > 0) {
            rr_bytes bytes = {node->results.data + write->answer_start, write->answer_size};
            request_end_bytes(&write->request, write->answer, bytes);
            continue;
        }
        rr_result result;
        result_borrow_message(&result, write->answer, NULL);
        result.decoded.index = write->applied_index;
        request_end(&write->request, write->answer, &result);
    }
    if (node->results.capacity > RESULTS_BYTES_KEPT) {
        buffer_deinit(&node->results);
    }
    buffer_clear(&node->results);
}

void writes_skipped(rr_node *node, raft_index last)
{
    LIST_FOREACH_SAFE(link, &node->writes.proposed) {
        struct write *write = write_of(link);
        if (write->index <= last) {
            forget_index(write);
            doubt(write, "a snapshot took the place of the entry");
        }
    }
}

void writes_end_all(rr_node *node)
{
    struct writes *writes = &node->writes;
    struct list_link *link;
    while ((link = list_front(&writes->fresh)) != NULL ||
           (link = list_front(&writes->waiting)) != NULL) {
        end_refused(write_of(link), RR_CLOSED, "the node is shutting down");
    }
    while ((link = list_front(&writes->proposed)) != NULL ||
           (link = list_front(&node->applied)) != NULL) {
        end_unknown(write_of(link), "the node stopped before the outcome was known");
    }
}
