/*
 * Several complete nodes: each a core with its host over a storage in memory. Nothing happens by
 * itself: the file says which message arrives, which batch is written and which clock ticks.
 * Here are the table of commands and the smaller ones; README.md tells where the others are.
 */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "raft/progress.h"
#include "scenario/families.h"
#include "scenario/interaction_private.h"

/* ---- The smaller commands ---- */

static void run_raft_log(struct environment *environment)
{
    struct node *node = environment_node(environment, script_number_at(environment->item, 0));
    const struct storage *storage = &node->storage;
    if (storage->count == 0) {
        SAY(environment, "log is empty: first index=%" PRIu64 ", last index=%" PRIu64,
            storage->base + 1, storage->base);
        return;
    }
    for (uint32_t i = 0; i < storage->count && environment->level != LEVEL_NONE; i++) {
        format_entry(environment->out, storage->entries[i]);
        print(environment->out, "\n");
    }
}

static void run_compact(struct environment *environment)
{
    struct node *node = environment_node(environment, script_number_at(environment->item, 0));
    raft_index index = script_number_at(environment->item, 1);
    const char *error = storage_compact(&node->storage, index);
    if (error != NULL) {
        say_error(environment, error);
        return;
    }
    raft_host_compacted(node_running(environment, node), index, node->now);
    run_raft_log(environment);
}

static void run_raft_state(struct environment *environment)
{
    for (uint32_t i = 0; i < environment->count; i++) {
        struct node *node = environment->nodes[i];
        if (node->host == NULL) {
            SAY(environment, "%" PRIu64 ": crashed\n", node->options.core.id);
            continue;
        }
        struct raft *core = raft_host_core(node->host);
        bool votes = raft_configuration_votes(raft_configuration(core), raft_self(core));
        SAY(environment, "%" PRIu64 ": %s (%s) Term:%" PRIu64 " Lead:%" PRIu64 "\n",
            raft_self(core), raft_role_name(raft_role(core)), votes ? "Voter" : "Non-Voter",
            raft_hard_state(core).term, raft_leader(core));
    }
}

static void run_status(struct environment *environment)
{
    struct node *node = environment_node(environment, script_number_at(environment->item, 0));
    struct raft *core = raft_host_core(node_running(environment, node));
    const struct raft_configuration *configuration = raft_configuration(core);
    for (uint32_t i = 0; raft_role(core) == RAFT_LEADER && i < configuration->count; i++) {
        char text[RAFT_PROGRESS_TEXT_MAX];
        raft_id id = configuration->members[i].id;
        SAY(environment, "%" PRIu64 ": %s\n", id, raft_status_text(core, id, text, sizeof(text)));
    }
}

static void propose(struct environment *environment, struct node *node, struct raft_entry *entry)
{
    (void)node_running(environment, node);
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
    event.propose.entries = &entry;
    event.propose.count = 1;
    enum raft_result result = node_step(node, &event);
    if (result != RAFT_STEP_OK) {
        say_error(environment, raft_result_text(result));
    }
    raft_entry_unref(entry);
}

static void run_propose(struct environment *environment)
{
    const struct script_case *item = environment->item;
    struct node *node = environment_node(environment, script_number_at(item, 0));
    if (item->count < 2) {
        script_fail(item, "propose takes a node and data");
    }
    const char *data = item->arguments[1].key;
    propose(environment, node, raft_entry_new(RAFT_ENTRY_NORMAL, (rr_bytes){data, strlen(data)}));
}

static bool parse_transition(const char *name, enum raft_conf_transition *out)
{
    static const char *const names[] = {"auto", "implicit", "explicit"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (enum raft_conf_transition)i;
            return true;
        }
    }
    return false;
}

static void fail_with(struct environment *environment, const char *prefix, const char *what)
{
    struct buffer text;
    buffer_init(&text);
    print(&text, "%s%s", prefix, what);
    buffer_append_byte(&text, 0);
    say_error(environment, (const char *)text.data);
    buffer_deinit(&text);
}

static void run_propose_conf_change(struct environment *environment)
{
    const struct script_case *item = environment->item;
    struct node *node = environment_node(environment, script_number_at(item, 0));
    bool v1 = false;
    enum raft_conf_transition transition = RAFT_CONF_AUTO;
    for (uint32_t i = 1; i < item->count; i++) {
        const struct script_argument *argument = &item->arguments[i];
        if (strcmp(argument->key, "v1") == 0) {
            v1 = script_boolean(item, script_value(item, argument));
        } else if (strcmp(argument->key, "transition") == 0) {
            if (!parse_transition(script_value(item, argument), &transition)) {
                fail_with(environment, "unknown transition ", argument->values[0]);
                return;
            }
        } else {
            fail_with(environment, "unknown command ", argument->key);
            return;
        }
    }
    struct raft_conf_change change;
    struct buffer error;
    buffer_init(&error);
    bool parsed = operations_parse(item->input, &change, &error);
    if (!parsed) {
        buffer_append_byte(&error, 0);
        say_error(environment, (const char *)error.data);
    }
    buffer_deinit(&error);
    if (!parsed) {
        return;
    }
    change.transition = transition;
    if (v1 && (change.count > 1 || transition != RAFT_CONF_AUTO)) {
        say_error(environment, "v1 conf change can only have one operation and no transition");
        return;
    }
    propose(
        environment, node,
        raft_conf_change_entry(v1 ? RAFT_ENTRY_CONF_CHANGE : RAFT_ENTRY_CONF_CHANGE_V2, &change));
}

static void tick(struct environment *environment, uint64_t count)
{
    struct node *node = environment_node(environment, script_number_at(environment->item, 0));
    (void)node_running(environment, node);
    for (uint64_t i = 0; i < count; i++) {
        node->now++;
        struct raft_event event = {.type = RAFT_EVENT_TIMER};
        (void)node_step(node, &event);
    }
}

static uint64_t number_of(struct environment *environment, const char *key)
{
    const struct script_argument *argument = script_find(environment->item, key);
    if (argument == NULL) {
        script_fail(environment->item, "%s needs %s=", environment->item->command, key);
    }
    return script_number(environment->item, script_value(environment->item, argument));
}

/* An event for the node of the first argument. */
static void run_event(struct environment *environment, struct raft_event event)
{
    struct node *node = environment_node(environment, script_number_at(environment->item, 0));
    (void)node_running(environment, node);
    (void)node_step(node, &event);
}

static void run_transfer(struct environment *environment)
{
    struct node *node = environment_node(environment, number_of(environment, "from"));
    (void)node_running(environment, node);
    struct raft_event event = {.type = RAFT_EVENT_TRANSFER};
    event.transfer = number_of(environment, "to");
    (void)node_step(node, &event);
}

static void run_send_snapshot(struct environment *environment)
{
    const struct script_case *item = environment->item;
    struct node *from = environment_node(environment, script_number_at(item, 0));
    uint64_t to = script_number_at(item, 1);
    struct raft *core = raft_host_core(node_running(environment, from));
    const struct raft_progress *progress = raft_progress(core, to);
    struct post *post = posts_push(&environment->inflight);
    post->kind = POST_MESSAGE;
    post->from = raft_self(core);
    post->to = to;
    post->message.type = RAFT_MSG_SNAP;
    post->message.from = post->from;
    post->message.to = to;
    post->message.term = raft_hard_state(core).term;
    post->message.session = progress != NULL ? progress->session : 0;
    post->message.snapshot = raft_snapshot_ref(from->state);
    say_post(environment, post, true);
}

/* ---- Our own commands ---- */

/* The node is gone with everything that was not stored; the network keeps what it has. */
static void run_crash(struct environment *environment)
{
    struct node *node = environment_node(environment, script_number_at(environment->item, 0));
    raft_host_free(node->host);
    node->host = NULL;
    posts_deinit(&node->append_work);
    posts_deinit(&node->apply_work);
    for (uint32_t i = 0; i < environment->inflight.count;) {
        if (environment->inflight.items[i].to == node->options.core.id &&
            post_is_local(&environment->inflight.items[i])) {
            struct post post = posts_take(&environment->inflight, i);
            post_deinit(&post);
        } else {
            i++;
        }
    }
}

static void run_restart(struct environment *environment)
{
    struct node *node = environment_node(environment, script_number_at(environment->item, 0));
    run_crash(environment);
    node->restarted = true;
    node->options.core.seed += NODES_MAX;
    node->reads = 0;
    node_start(node);
}

/* Puts the stored commit index back, as a disk does that writes it apart from the entries. */
static void run_lose_commit(struct environment *environment)
{
    struct node *node = environment_node(environment, script_number_at(environment->item, 0));
    if (node->host != NULL) {
        script_fail(environment->item, "crash the node first");
    }
    node->storage.hard_state.commit = script_number_at(environment->item, 1);
}

static void run_read_index(struct environment *environment)
{
    struct node *node = environment_node(environment, script_number_at(environment->item, 0));
    (void)node_running(environment, node);
    node->reads++;
    struct raft_event event = {.type = RAFT_EVENT_READ};
    event.read = node->reads;
    (void)node_step(node, &event);
}

static void run_lease(struct environment *environment)
{
    struct node *node = environment_node(environment, script_number_at(environment->item, 0));
    struct raft *core = raft_host_core(node_running(environment, node));
    SAY(environment, "%s\n", raft_lease_valid(core, node->now) ? "valid" : "not valid");
}

static void run_report_snapshot(struct environment *environment)
{
    const struct script_argument *ok = script_find(environment->item, "ok");
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_STATUS};
    event.snapshot_status.id = script_number_at(environment->item, 1);
    event.snapshot_status.ok =
        ok == NULL || script_boolean(environment->item, script_value(environment->item, ok));
    run_event(environment, event);
}

static void run_switch(struct environment *environment)
{
    const struct script_case *item = environment->item;
    const struct script_argument *elections = script_find(item, "elections");
    const struct script_argument *heartbeats = script_find(item, "heartbeats");
    struct raft_event event = {.type = RAFT_EVENT_SWITCH};
    event.enable.elections =
        elections == NULL || script_boolean(item, script_value(item, elections));
    event.enable.heartbeats =
        heartbeats == NULL || script_boolean(item, script_value(item, heartbeats));
    run_event(environment, event);
}

/* ---- Dispatch ---- */

/* Runs `run` for every node of the arguments, under a header when there are several. */
static void for_nodes(struct environment *environment, const char *title,
                      bool (*run)(struct environment *environment, struct node *node))
{
    const struct script_case *item = environment->item;
    for (uint32_t i = 0; i < item->count; i++) {
        struct node *node = environment_node(environment, script_number_at(item, i));
        (void)node_running(environment, node);
        bool worked;
        if (item->count == 1) {
            worked = run(environment, node);
        } else {
            SAY(environment, "> %" PRIu64 " %s\n", node->options.core.id, title);
            worked = say_indented(environment, node, run);
        }
        if (!worked) {
            return;
        }
    }
}

static void run_process_ready(struct environment *environment)
{
    for_nodes(environment, "handling Ready", process_ready);
}

static void run_process_append(struct environment *environment)
{
    for_nodes(environment, "processing append thread", process_append);
}

static void run_process_apply(struct environment *environment)
{
    for_nodes(environment, "processing apply thread", process_apply);
}

static void run_log_level(struct environment *environment)
{
    if (environment->item->count != 1 ||
        !level_parse(environment->item->arguments[0].key, &environment->level)) {
        say_error(environment, level_error);
    }
}

static void run_campaign(struct environment *environment)
{
    run_event(environment, (struct raft_event){.type = RAFT_EVENT_CAMPAIGN});
}

static void run_forget_leader(struct environment *environment)
{
    run_event(environment, (struct raft_event){.type = RAFT_EVENT_FORGET_LEADER});
}

static void run_heartbeat(struct environment *environment)
{
    run_event(environment, (struct raft_event){.type = RAFT_EVENT_HEARTBEAT});
}

static void run_report_unreachable(struct environment *environment)
{
    struct raft_event event = {.type = RAFT_EVENT_UNREACHABLE};
    event.unreachable = script_number_at(environment->item, 1);
    run_event(environment, event);
}

static void run_tick_election(struct environment *environment)
{
    tick(environment, 3);
}

static void run_tick_heartbeat(struct environment *environment)
{
    tick(environment, 1);
}

static void run_tick(struct environment *environment)
{
    tick(environment, script_number_at(environment->item, 1));
}

static void run_set_timeout(struct environment *environment)
{
    struct node *node = environment_node(environment, script_number_at(environment->item, 0));
    raft_set_randomized_timeout(raft_host_core(node_running(environment, node)),
                                number_of(environment, "timeout"));
}

static void run_breakpoint(struct environment *environment)
{
    (void)environment;
}

static const struct {
    const char *name;
    void (*run)(struct environment *environment);
} commands[] = {
    {"_breakpoint", run_breakpoint},
    {"add-nodes", run_add_nodes},
    {"campaign", run_campaign},
    {"compact", run_compact},
    {"deliver-msgs", run_deliver},
    {"forget-leader", run_forget_leader},
    {"log-level", run_log_level},
    {"process-append-thread", run_process_append},
    {"process-apply-thread", run_process_apply},
    {"process-ready", run_process_ready},
    {"propose", run_propose},
    {"propose-conf-change", run_propose_conf_change},
    {"raft-log", run_raft_log},
    {"raft-state", run_raft_state},
    {"report-unreachable", run_report_unreachable},
    {"send-snapshot", run_send_snapshot},
    {"set-randomized-election-timeout", run_set_timeout},
    {"stabilize", run_stabilize},
    {"status", run_status},
    {"tick-election", run_tick_election},
    {"tick-heartbeat", run_tick_heartbeat},
    {"transfer-leadership", run_transfer},
    /* Ours: */
    {"crash", run_crash},
    {"duplicate-msgs", run_duplicate},
    {"heartbeat", run_heartbeat},
    {"hold-msgs", run_hold},
    {"lease", run_lease},
    {"lose-commit", run_lose_commit},
    {"read-index", run_read_index},
    {"release-msgs", run_release},
    {"report-snapshot", run_report_snapshot},
    {"restart", run_restart},
    {"switch", run_switch},
    {"tick", run_tick},
};

static void run(void *arg, const struct script_case *item, struct buffer *out)
{
    struct environment *environment = arg;
    environment->out = out;
    environment->item = item;
    size_t at = 0;
    while (at < sizeof(commands) / sizeof(commands[0]) &&
           strcmp(commands[at].name, item->command) != 0) {
        at++;
    }
    if (at < sizeof(commands) / sizeof(commands[0])) {
        commands[at].run(environment);
    } else {
        say_error(environment, "unknown command");
    }
    if (out->size == 0) {
        print(out, "ok");
    }
}

static bool knows(const char *command)
{
    (void)command;
    return true;
}

static void *open(void)
{
    return mem_new(struct environment);
}

static void close(void *arg)
{
    struct environment *environment = arg;
    for (uint32_t i = 0; i < environment->count; i++) {
        node_free(environment->nodes[i]);
    }
    posts_deinit(&environment->inflight);
    posts_deinit(&environment->held);
    mem_free(environment);
}

const struct family interaction_family = {knows, open, run, close};
