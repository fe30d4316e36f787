/*
 * The network: messages are delivered, dropped, held back and doubled as the file says; stabilize
 * lets nodes and network run until there is nothing left to do.
 */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "raft/progress.h"
#include "scenario/interaction_private.h"

/* ---- Delivering ---- */

static bool is_answer(enum raft_message_type type)
{
    return type == RAFT_MSG_APP_RESP || type == RAFT_MSG_VOTE_RESP ||
           type == RAFT_MSG_PRE_VOTE_RESP || type == RAFT_MSG_HEARTBEAT_RESP;
}

/* send-snapshot makes messages that no core sends, and answers to them come back: those of a node
 * that is in term 0 have no term, and those of a node that does not lead no session. They are
 * delivered all the same. */
static enum raft_result deliver_message(struct node *node, struct raft_message *message)
{
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    event.message = message;
    struct raft *core = raft_host_core(node->host);
    const struct raft_progress *progress = raft_progress(core, message->from);
    if (message->type == RAFT_MSG_SNAP && raft_role(core) == RAFT_LEADER &&
        message->term == raft_hard_state(core).term) {
        return RAFT_STEP_OK; /* a core that met another leader of its term would halt */
    }
    bool answer = is_answer(message->type);
    if (answer && message->session == 0 && progress != NULL) {
        message->session = progress->session;
    }
    if (message->term == 0 && message->type != RAFT_MSG_PROP &&
        message->type != RAFT_MSG_READ_INDEX) {
        if (answer && progress == NULL) {
            return RAFT_STEP_PEER_NOT_FOUND;
        }
        event.type = RAFT_EVENT_LOCAL_MESSAGE;
    }
    return node_step(node, &event);
}

static void deliver(struct environment *environment, struct node *node, struct post *post)
{
    struct raft_event event;
    memset(&event, 0, sizeof(event));
    enum raft_result result = RAFT_STEP_OK;
    switch (post->kind) {
    case POST_MESSAGE:
        result = deliver_message(node, &post->message);
        break;
    case POST_APPEND_RESP:
        event = post->receipt;
        result = node_step(node, &event);
        break;
    case POST_APPLY_RESP:
        raft_host_applied(node->host, post->message.entries[post->message.entry_count - 1]->index,
                          post->bytes, node->now);
        break;
    case POST_APPEND:
    case POST_APPLY:
        UNREACHABLE();
    }
    if (result != RAFT_STEP_OK) {
        SAY(environment, "%s\n", raft_result_text(result));
    }
}

static bool type_wanted(const struct post *post, const char *type)
{
    if (type == NULL) {
        return true;
    }
    switch (post->kind) {
    case POST_MESSAGE:
        return strcmp(raft_message_type_name(post->message.type), type) == 0;
    case POST_APPEND_RESP:
        return strcmp("MsgStorageAppendResp", type) == 0;
    case POST_APPLY_RESP:
        return strcmp("MsgStorageApplyResp", type) == 0;
    case POST_APPEND:
    case POST_APPLY:
        return false;
    }
    UNREACHABLE();
}

/* Delivers or drops what waits for `id` now; returns how many messages that were. */
static uint32_t deliver_to(struct environment *environment, uint64_t id, bool drop,
                           const char *type)
{
    struct posts taken = {NULL, 0, 0};
    for (uint32_t i = 0; i < environment->inflight.count;) {
        const struct post *post = &environment->inflight.items[i];
        if (post->to == id && type_wanted(post, type) && !(drop && post_is_local(post))) {
            struct post moved = posts_take(&environment->inflight, i);
            *posts_push(&taken) = moved;
        } else {
            i++;
        }
    }
    struct node *node =
        drop && (id == 0 || id > environment->count) ? NULL : environment_node(environment, id);
    for (uint32_t i = 0; i < taken.count; i++) {
        if (drop) {
            SAY(environment, "dropped: ");
        }
        say_post(environment, &taken.items[i], true);
        SAY(environment, "\n");
        if (!drop) {
            (void)node_running(environment, node);
            deliver(environment, node, &taken.items[i]);
        }
    }
    uint32_t count = taken.count;
    posts_deinit(&taken);
    return count;
}

void run_deliver(struct environment *environment)
{
    const struct script_case *item = environment->item;
    const struct script_argument *argument = script_find(item, "type");
    const char *type = argument != NULL ? script_value(item, argument) : NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < item->count; i++) {
        argument = &item->arguments[i];
        if (!argument->has_value) {
            count += deliver_to(environment, script_number_at(item, i), false, type);
        } else if (strcmp(argument->key, "drop") == 0) {
            for (uint32_t j = 0; j < argument->count; j++) {
                count +=
                    deliver_to(environment, script_number(item, argument->values[j]), true, type);
            }
        } else if (strcmp(argument->key, "type") != 0) {
            script_fail(item, "unknown argument %s", argument->key);
        }
    }
    if (count == 0) {
        SAY(environment, "no messages\n");
    }
}

/* ---- Held and doubled messages ---- */

/* Whether the message is among those that "TO... [type=T] [from=ID]" names. */
static bool chosen(struct environment *environment, const struct post *post)
{
    const struct script_case *item = environment->item;
    const struct script_argument *type = script_find(item, "type");
    const struct script_argument *from = script_find(item, "from");
    if (post_is_local(post) || !type_wanted(post, type == NULL ? NULL : script_value(item, type)) ||
        (from != NULL && post->from != script_number(item, script_value(item, from)))) {
        return false;
    }
    for (uint32_t i = 0; i < item->count; i++) {
        if (!item->arguments[i].has_value && script_number_at(item, i) == post->to) {
            return true;
        }
    }
    return false;
}

/* The network loses sight of messages, without losing them. */
void run_hold(struct environment *environment)
{
    for (uint32_t i = 0; i < environment->inflight.count;) {
        if (!chosen(environment, &environment->inflight.items[i])) {
            i++;
            continue;
        }
        struct post post = posts_take(&environment->inflight, i);
        SAY(environment, "held: ");
        say_post(environment, &post, true);
        SAY(environment, "\n");
        *posts_push(&environment->held) = post;
    }
}

/* Messages that were held are under way again, behind all others. */
void run_release(struct environment *environment)
{
    for (uint32_t i = 0; i < environment->held.count;) {
        if (!chosen(environment, &environment->held.items[i])) {
            i++;
            continue;
        }
        struct post post = posts_take(&environment->held, i);
        *posts_push(&environment->inflight) = post;
    }
}

/* The network makes a second message of one, and holds it. */
void run_duplicate(struct environment *environment)
{
    for (uint32_t i = 0; i < environment->inflight.count; i++) {
        if (chosen(environment, &environment->inflight.items[i])) {
            struct post copy = environment->inflight.items[i];
            raft_message_copy(&environment->inflight.items[i].message, &copy.message);
            *posts_push(&environment->held) = copy;
        }
    }
}

/* ---- stabilize ---- */

static bool deliver_all(struct environment *environment, struct node *node)
{
    (void)deliver_to(environment, node->options.core.id, false, NULL);
    return true;
}

static bool has_messages(const struct environment *environment, const struct node *node)
{
    for (uint32_t i = 0; i < environment->inflight.count; i++) {
        if (environment->inflight.items[i].to == node->options.core.id) {
            return true;
        }
    }
    return false;
}

/* One pass over the nodes; false if it did nothing. */
static bool stabilize_once(struct environment *environment, struct node **nodes, uint32_t count)
{
    bool done = false;
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i]->host != NULL && raft_host_pending(nodes[i]->host)) {
            done = true;
            SAY(environment, "> %" PRIu64 " handling Ready\n", nodes[i]->options.core.id);
            (void)say_indented(environment, nodes[i], process_ready);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i]->host != NULL && has_messages(environment, nodes[i])) {
            done = true;
            SAY(environment, "> %" PRIu64 " receiving messages\n", nodes[i]->options.core.id);
            (void)say_indented(environment, nodes[i], deliver_all);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i]->append_work.count > 0) {
            done = true;
            SAY(environment, "> %" PRIu64 " processing append thread\n", nodes[i]->options.core.id);
            while (nodes[i]->append_work.count > 0) {
                (void)say_indented(environment, nodes[i], process_append);
            }
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i]->apply_work.count > 0) {
            done = true;
            SAY(environment, "> %" PRIu64 " processing apply thread\n", nodes[i]->options.core.id);
            while (nodes[i]->apply_work.count > 0) {
                (void)say_indented(environment, nodes[i], process_apply);
            }
        }
    }
    return done;
}

void run_stabilize(struct environment *environment)
{
    const struct script_case *item = environment->item;
    struct node *nodes[SCRIPT_ARGUMENTS_MAX];
    uint32_t count = 0;
    enum level level = environment->level;
    for (uint32_t i = 0; i < item->count; i++) {
        const struct script_argument *argument = &item->arguments[i];
        if (!argument->has_value) {
            nodes[count] = environment_node(environment, script_number_at(item, i));
            count++;
        } else if (strcmp(argument->key, "log-level") != 0) {
            script_fail(item, "unknown argument %s", argument->key);
        } else if (!level_parse(script_value(item, argument), &level)) {
            say_error(environment, level_error);
            return;
        }
    }
    if (count == 0) {
        count = environment->count;
        memcpy(nodes, environment->nodes, count * sizeof(nodes[0]));
    }
    enum level before = environment->level;
    environment->level = level;
    while (stabilize_once(environment, nodes, count)) {
    }
    environment->level = before;
}
