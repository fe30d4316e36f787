/*
 * A node's batches: how they are printed, written and applied, at once or as work for the node's
 * append and apply threads.
 */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "scenario/interaction_private.h"

/* ---- Printing ---- */

static void say_entries(struct environment *environment, const char *title,
                        struct raft_entry *const *entries, uint32_t count)
{
    if (count == 0 || environment->level == LEVEL_NONE) {
        return;
    }
    print(environment->out, "%s:\n", title);
    for (uint32_t i = 0; i < count; i++) {
        format_entry(environment->out, entries[i]);
        print(environment->out, "\n");
    }
}

static void say_batch(struct environment *environment, const struct raft_batch *batch,
                      const struct posts *messages)
{
    if (environment->level == LEVEL_NONE) {
        return;
    }
    struct buffer *out = environment->out;
    if (!batch->role_changed && !batch->hard_state_changed && batch->entry_count == 0 &&
        batch->snapshot == NULL && batch->committed_count == 0 && messages->count == 0 &&
        batch->read_count == 0) {
        print(out, "<empty Ready>");
        return;
    }
    /* A snapshot alone is printed as false, and yet durable before it is acknowledged. */
    print(out, "Ready MustSync=%s:\n", batch->sync ? "true" : "false");
    if (batch->role_changed) {
        print(out, "Lead:%" PRIu64 " State:%s\n", batch->leader, raft_role_name(batch->role));
    }
    if (batch->hard_state_changed) {
        print(out, "HardState Term:%" PRIu64, batch->hard_state.term);
        if (batch->hard_state.vote != RAFT_NO_ID) {
            print(out, " Vote:%" PRIu64, batch->hard_state.vote);
        }
        print(out, " Commit:%" PRIu64 "\n", batch->hard_state.commit);
    }
    if (batch->read_count > 0) {
        print(out, "ReadStates:\n");
        for (uint32_t i = 0; i < batch->read_count; i++) {
            const struct raft_host_read *read = &batch->reads[i];
            if (read->ready) {
                print(out, "up to read %" PRIu64 ": index %" PRIu64 "\n", read->id, read->index);
            } else {
                print(out, "up to read %" PRIu64 ": failed\n", read->id);
            }
        }
    }
    say_entries(environment, "Entries", batch->entries, batch->entry_count);
    if (batch->snapshot != NULL) {
        print(out, "Snapshot ");
        format_snapshot(out, batch->snapshot);
        print(out, "\n");
    }
    say_entries(environment, "CommittedEntries", batch->committed, batch->committed_count);
    if (messages->count > 0) {
        print(out, "Messages:\n");
        for (uint32_t i = 0; i < messages->count; i++) {
            format_post(out, &messages->items[i], true);
            print(out, "\n");
        }
    }
}

/* ---- Messages and work ---- */

static void push_message(struct posts *posts, const struct raft_message *message)
{
    struct post *post = posts_push(posts);
    post->kind = POST_MESSAGE;
    post->from = message->from;
    post->to = message->to;
    raft_message_copy(message, &post->message);
}

static void copy_entries(struct raft_message *message, struct raft_entry *const *entries,
                         uint32_t count)
{
    message->entries = mem_new_array(struct raft_entry *, count);
    for (uint32_t i = 0; i < count; i++) {
        message->entries[i] = raft_entry_ref(entries[i]);
    }
    message->entry_count = count;
}

/* The work for a node's append thread, if there is any. */
static void push_append(struct posts *posts, uint64_t id, const struct raft_batch *batch)
{
    if (batch->entry_count == 0 && !batch->hard_state_changed && batch->snapshot == NULL &&
        batch->response_count == 0) {
        return;
    }
    struct posts responses = {NULL, 0, 0};
    for (uint32_t i = 0; i < batch->response_count; i++) {
        push_message(&responses, &batch->responses[i]);
    }
    if (batch->receipt_due) {
        struct post *receipt = posts_push(&responses);
        receipt->kind = POST_APPEND_RESP;
        receipt->from = APPEND_THREAD;
        receipt->to = id;
        receipt->receipt = batch->receipt;
        receipt->message.term = batch->receipt.persisted.term;
        receipt->message.index = batch->receipt.persisted.index;
        receipt->message.log_term = batch->receipt.persisted.log_term;
        receipt->message.snapshot =
            batch->snapshot == NULL ? NULL : raft_snapshot_ref(batch->snapshot);
    }
    struct post *post = posts_push(posts);
    post->kind = POST_APPEND;
    post->from = id;
    post->to = APPEND_THREAD;
    if (batch->hard_state_changed) {
        post->hard_state = batch->hard_state;
    }
    if (batch->entry_count > 0) {
        copy_entries(&post->message, batch->entries, batch->entry_count);
    }
    post->message.snapshot = batch->snapshot == NULL ? NULL : raft_snapshot_ref(batch->snapshot);
    post->responses = responses.items;
    post->response_count = responses.count;
}

static void push_apply(struct posts *posts, uint64_t id, const struct raft_batch *batch)
{
    if (batch->committed_count == 0) {
        return;
    }
    struct post *post = posts_push(posts);
    post->kind = POST_APPLY;
    post->from = id;
    post->to = APPLY_THREAD;
    copy_entries(&post->message, batch->committed, batch->committed_count);
    post->responses = mem_new(struct post);
    post->response_count = 1;
    struct post *response = post->responses;
    response->kind = POST_APPLY_RESP;
    response->from = APPLY_THREAD;
    response->to = id;
    response->bytes = batch->committed_bytes;
    copy_entries(&response->message, batch->committed, batch->committed_count);
}

/* ---- Storing and applying ---- */

/* What a restart would begin with. */
static void apply_for_restart(struct node *node, const struct raft_entry *entry,
                              const struct raft_conf_change *change)
{
    if (entry->index <= node->applied) {
        return; /* a snapshot was stored in between */
    }
    if (change != NULL) {
        enum raft_conf_error error =
            raft_configuration_change(&node->configuration, change, &node->configuration);
        ASSERT(error == RAFT_CONF_OK || raft_host_halted(node->host) != NULL);
    }
    node->applied = entry->index;
}

static void apply(struct node *node, struct raft_entry *const *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct raft_entry *entry = entries[i];
        rr_bytes given = {node->state->data, node->state->size};
        struct raft_configuration configuration = node->state->configuration;
        struct raft_conf_change change;
        if (entry->type != RAFT_ENTRY_NORMAL) {
            rr_status status =
                raft_conf_change_decode((rr_bytes){entry->data, entry->size}, &change);
            ASSERT(status == RR_OK);
            struct raft_event event = {.type = RAFT_EVENT_CONF_APPLIED};
            event.conf_applied = &change;
            event.conf_index = entry->index;
            (void)node_step(node, &event);
            configuration = *raft_configuration(raft_host_core(node->host));
            given.size = 0;
        }
        apply_for_restart(node, entry, entry->type != RAFT_ENTRY_NORMAL ? &change : NULL);
        struct raft_snapshot *next =
            raft_snapshot_new(entry->index, entry->term, &configuration, given);
        raft_snapshot_unref(node->state);
        node->state = next;
    }
}

/* Writes to storage; NULL, or the error text. */
static const char *store(struct node *node, const struct raft_hard_state *hard_state,
                         struct raft_snapshot *snapshot, struct raft_entry *const *entries,
                         uint32_t count)
{
    if (hard_state->term != 0 || hard_state->vote != 0 || hard_state->commit != 0) {
        node->storage.hard_state = *hard_state;
    }
    if (snapshot != NULL) {
        const char *error = storage_apply_snapshot(&node->storage, snapshot);
        if (error != NULL) {
            return error;
        }
        if (snapshot->index > node->applied) {
            node->applied = snapshot->index;
            node->configuration = snapshot->configuration;
        }
    }
    storage_append(&node->storage, entries, count);
    return NULL;
}

/* ---- Processing ---- */

static void move_messages(struct posts *from, struct posts *to)
{
    for (uint32_t i = 0; i < from->count; i++) {
        *posts_push(to) = from->items[i];
    }
    from->count = 0;
    posts_deinit(from);
}

static bool finish_synchronous(struct environment *environment, struct node *node,
                               const struct raft_batch *batch, struct posts *messages)
{
    struct raft_hard_state none = {0, 0, 0};
    const char *error = store(node, batch->hard_state_changed ? &batch->hard_state : &none,
                              batch->snapshot, batch->entries, batch->entry_count);
    if (error != NULL) {
        posts_deinit(messages);
        say_error(environment, error);
        return false;
    }
    apply(node, batch->committed, batch->committed_count);
    move_messages(messages, &environment->inflight);
    raft_host_persisted(node->host, batch, node->now);
    if (batch->committed_count > 0) {
        raft_host_applied(node->host, batch->committed[batch->committed_count - 1]->index,
                          batch->committed_bytes, node->now);
    }
    return true;
}

static void finish_asynchronous(struct environment *environment, struct node *node,
                                struct posts *messages)
{
    for (uint32_t i = 0; i < messages->count; i++) {
        struct post *post = &messages->items[i];
        struct posts *to = post->kind == POST_APPEND  ? &node->append_work
                           : post->kind == POST_APPLY ? &node->apply_work
                                                      : &environment->inflight;
        *posts_push(to) = *post;
    }
    messages->count = 0;
    posts_deinit(messages);
}

bool process_ready(struct environment *environment, struct node *node)
{
    struct raft_batch batch;
    raft_host_take(node_running(environment, node), &batch);
    struct posts messages = {NULL, 0, 0};
    for (uint32_t i = 0; i < batch.message_count; i++) {
        push_message(&messages, &batch.messages[i]);
    }
    bool worked = true;
    if (node->options.asynchronous) {
        push_append(&messages, node->options.core.id, &batch);
        push_apply(&messages, node->options.core.id, &batch);
        say_batch(environment, &batch, &messages);
        finish_asynchronous(environment, node, &messages);
    } else {
        for (uint32_t i = 0; i < batch.response_count; i++) {
            if (!raft_response_is_own(&batch.responses[i])) {
                push_message(&messages, &batch.responses[i]);
            }
        }
        say_batch(environment, &batch, &messages);
        worked = finish_synchronous(environment, node, &batch, &messages);
    }
    raft_batch_deinit(&batch);
    return worked;
}

static void say_work(struct environment *environment, const struct post *work)
{
    SAY(environment, "Processing:\n");
    say_post(environment, work, false);
    SAY(environment, "\n");
}

/* The work is done: what hangs on it goes out, and the rest is freed. */
static void release_responses(struct environment *environment, struct post *work)
{
    SAY(environment, "Responses:\n");
    for (uint32_t i = 0; i < work->response_count; i++) {
        say_post(environment, &work->responses[i], true);
        SAY(environment, "\n");
        *posts_push(&environment->inflight) = work->responses[i];
    }
    work->response_count = 0;
    post_deinit(work);
}

bool process_append(struct environment *environment, struct node *node)
{
    if (node->append_work.count == 0) {
        SAY(environment, "no append work to perform");
        return true;
    }
    struct post work = posts_take(&node->append_work, 0);
    say_work(environment, &work);
    const char *error = store(node, &work.hard_state, work.message.snapshot, work.message.entries,
                              work.message.entry_count);
    if (error != NULL) {
        say_error(environment, error);
        post_deinit(&work);
        return false;
    }
    release_responses(environment, &work);
    return true;
}

bool process_apply(struct environment *environment, struct node *node)
{
    if (node->apply_work.count == 0) {
        SAY(environment, "no apply work to perform");
        return true;
    }
    struct post work = posts_take(&node->apply_work, 0);
    say_work(environment, &work);
    apply(node, work.message.entries, work.message.entry_count);
    release_responses(environment, &work);
    return true;
}
