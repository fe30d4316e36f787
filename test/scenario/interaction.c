/*
 * Several complete nodes: each a core with its host over a storage in memory. Nothing happens by
 * itself: the file says which message arrives, which batch is written and which clock ticks.
 *
 * The published commands come first, then our own: crash, restart, lose-commit, read-index, lease,
 * report-snapshot, tick, heartbeat, switch, hold-msgs, release-msgs, duplicate-msgs.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "raft/host.h"
#include "raft/progress.h"
#include "scenario/families.h"
#include "scenario/format.h"

enum level { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR, LEVEL_FATAL, LEVEL_NONE };

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"};

/* A list of messages that keeps its order. */
struct posts {
    struct post *items;
    uint32_t count;
    uint32_t capacity;
};

/* What a node's disk holds. */
struct storage {
    struct raft_hard_state hard_state;
    struct raft_snapshot *snapshot; /* NULL: none */
    raft_index base;
    raft_term base_term;
    struct raft_entry **entries;
    uint32_t count;
    uint32_t capacity;
};

struct node {
    struct environment *environment;
    struct raft_host_options options;
    struct raft_host *host; /* NULL: crashed */
    bool restarted;
    uint64_t now; /* ticks */
    struct storage storage;
    struct raft_snapshot *state; /* the last element of the published history */
    /* What the state machine would restart from: unlike the history, it knows received snapshots. */
    raft_index applied;
    struct raft_configuration configuration;
    struct posts append_work;
    struct posts apply_work;
    uint64_t reads;
};

enum { NODES_MAX = 32 };

struct environment {
    uint32_t count;
    struct node *nodes[NODES_MAX]; /* id 1 first */
    struct posts inflight;
    struct posts held; /* on a long way: out of `inflight` until they are released */
    enum level level;
    struct buffer *out;
    const struct script_case *item;
};

/* ---- Lists of messages ---- */

static struct post *posts_push(struct posts *posts)
{
    if (posts->count == posts->capacity) {
        posts->capacity = posts->capacity == 0 ? 16 : 2 * posts->capacity;
        posts->items = mem_resize(posts->items, posts->capacity * sizeof(*posts->items));
    }
    struct post *post = &posts->items[posts->count];
    memset(post, 0, sizeof(*post));
    posts->count++;
    return post;
}

/* Takes the message at `at` out; the caller owns it. */
static struct post posts_take(struct posts *posts, uint32_t at)
{
    struct post post = posts->items[at];
    posts->count--;
    memmove(posts->items + at, posts->items + at + 1, (posts->count - at) * sizeof(*posts->items));
    return post;
}

static void posts_deinit(struct posts *posts)
{
    for (uint32_t i = 0; i < posts->count; i++) {
        post_deinit(&posts->items[i]);
    }
    mem_free(posts->items);
    memset(posts, 0, sizeof(*posts));
}

/* ---- Output ---- */

/* Text of the driver's own; hidden with the level NONE. */
#define SAY(environment, ...)                                                                      \
    do {                                                                                           \
        if ((environment)->level != LEVEL_NONE) {                                                  \
            print((environment)->out, __VA_ARGS__);                                                \
        }                                                                                          \
    } while (0)

static void on_trace(void *arg, enum raft_log_level level, const char *text)
{
    struct environment *environment = arg;
    if (environment->level != LEVEL_NONE && (int)environment->level <= (int)level) {
        print(environment->out, "%s %s\n", level_names[level], text);
    }
}

static void say_post(struct environment *environment, const struct post *post, bool with_responses)
{
    if (environment->level != LEVEL_NONE) {
        format_post(environment->out, post, with_responses);
    }
}

/* Runs `run` for the node with its output indented. */
static bool indented(struct environment *environment, struct node *node,
                     bool (*run)(struct environment *environment, struct node *node))
{
    struct buffer *outer = environment->out;
    struct buffer inner;
    buffer_init(&inner);
    environment->out = &inner;
    bool worked = run(environment, node);
    environment->out = outer;
    format_indented(outer, &inner);
    buffer_deinit(&inner);
    return worked;
}

/* The error text of a failed command. */
static void fail(struct environment *environment, const char *text)
{
    if (environment->level == LEVEL_NONE) {
        buffer_clear(environment->out);
    }
    print(environment->out, "%s", text);
}

/* ---- Storage ---- */

static raft_index storage_last(const struct storage *storage)
{
    return storage->base + storage->count;
}

static void storage_truncate(struct storage *storage, raft_index last)
{
    while (storage->count > 0 && storage_last(storage) > last) {
        storage->count--;
        raft_entry_unref(storage->entries[storage->count]);
    }
}

static void storage_append(struct storage *storage, struct raft_entry *const *entries,
                           uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i]->index <= storage->base) {
            continue;
        }
        storage_truncate(storage, entries[i]->index - 1);
        ASSERT(entries[i]->index == storage_last(storage) + 1);
        if (storage->count == storage->capacity) {
            storage->capacity = storage->capacity == 0 ? 16 : 2 * storage->capacity;
            storage->entries =
                mem_resize(storage->entries, storage->capacity * sizeof(*storage->entries));
        }
        storage->entries[storage->count] = raft_entry_ref(entries[i]);
        storage->count++;
    }
}

/* NULL, or the error text. */
static const char *storage_apply_snapshot(struct storage *storage, struct raft_snapshot *snapshot)
{
    if (storage->snapshot != NULL && storage->snapshot->index > 0 &&
        storage->snapshot->index >= snapshot->index) {
        return "requested index is older than the existing snapshot";
    }
    raft_snapshot_unref(storage->snapshot);
    storage->snapshot = raft_snapshot_ref(snapshot);
    storage_truncate(storage, storage->base);
    storage->base = snapshot->index;
    storage->base_term = snapshot->term;
    return NULL;
}

static const char *storage_compact(struct storage *storage, raft_index index)
{
    if (index <= storage->base || index > storage_last(storage)) {
        return "requested index is unavailable due to compaction";
    }
    uint32_t dropped = (uint32_t)(index - storage->base);
    storage->base_term = storage->entries[dropped - 1]->term;
    for (uint32_t i = 0; i < dropped; i++) {
        raft_entry_unref(storage->entries[i]);
    }
    storage->count -= dropped;
    memmove(storage->entries, storage->entries + dropped,
            storage->count * sizeof(*storage->entries));
    storage->base = index;
    return NULL;
}

static void storage_deinit(struct storage *storage)
{
    storage_truncate(storage, storage->base);
    mem_free(storage->entries);
    raft_snapshot_unref(storage->snapshot);
}

static rr_status on_read(void *arg, raft_index first, raft_index last, uint64_t bytes_max,
                         uint32_t count_max, struct raft_entry **out, uint32_t *count)
{
    struct node *node = arg;
    uint64_t bytes = 0;
    *count = 0;
    for (raft_index index = first; index <= last && *count < count_max; index++) {
        ASSERT(index > node->storage.base && index <= storage_last(&node->storage));
        struct raft_entry *entry = node->storage.entries[index - node->storage.base - 1];
        bytes += raft_entry_bytes(entry);
        if (*count > 0 && bytes > bytes_max) {
            break;
        }
        out[*count] = raft_entry_ref(entry);
        (*count)++;
    }
    return RR_OK;
}

static struct raft_snapshot *on_snapshot(void *arg)
{
    struct node *node = arg;
    return raft_snapshot_ref(node->state);
}

static const struct raft_host_storage storage_functions = {on_read, on_snapshot};

/* ---- Nodes ---- */

static struct node *find_node(struct environment *environment, uint64_t id)
{
    if (id == 0 || id > environment->count) {
        script_fail(environment->item, "there is no node %" PRIu64, id);
    }
    return environment->nodes[id - 1];
}

static struct raft_host *running(struct environment *environment, struct node *node)
{
    if (node->host == NULL) {
        script_fail(environment->item, "node %" PRIu64 " is not running", node->options.core.id);
    }
    return node->host;
}

static enum raft_result step(struct node *node, struct raft_event *event)
{
    event->now = node->now;
    enum raft_result result = raft_host_step(node->host, event);
    while (raft_more(raft_host_core(node->host))) {
        struct raft_event more = {.type = RAFT_EVENT_MORE, .now = node->now};
        (void)raft_host_step(node->host, &more);
    }
    const char *halted = raft_host_halted(node->host);
    if (halted != NULL) {
        SAY(node->environment, "HALT %s\n", halted);
    }
    return result;
}

static void start_node(struct node *node)
{
    struct storage *storage = &node->storage;
    struct raft_start start;
    memset(&start, 0, sizeof(start));
    start.hard_state = storage->hard_state;
    start.base = storage->base;
    start.base_term = storage->base_term;
    start.applied = node->applied;
    start.configuration = node->configuration;
    start.last = storage_last(storage);
    start.restarted = node->restarted;
    struct raft_term_run *runs = mem_new_array(struct raft_term_run, storage->count + 1);
    raft_index *configurations = mem_new_array(raft_index, storage->count + 1);
    for (uint32_t i = 0; i < storage->count; i++) {
        const struct raft_entry *entry = storage->entries[i];
        runs[i].first = entry->index;
        runs[i].term = entry->term;
        if (entry->type != RAFT_ENTRY_NORMAL && entry->index > start.applied) {
            configurations[start.configuration_count] = entry->index;
            start.configuration_count++;
        }
    }
    start.runs = runs;
    start.run_count = storage->count;
    start.configurations = configurations;
    node->host = raft_host_new(&node->options, &start, node->now);
    mem_free(runs);
    mem_free(configurations);
}

static void node_free(struct node *node)
{
    raft_host_free(node->host);
    storage_deinit(&node->storage);
    raft_snapshot_unref(node->state);
    posts_deinit(&node->append_work);
    posts_deinit(&node->apply_work);
    mem_free(node);
}

/* ---- Operations ---- */

/* The id of a token; false, with the published text, when it is no number. */
static bool parse_id(const char *digits, size_t size, uint64_t *out, struct buffer *error)
{
    const char *reason = NULL;
    uint64_t id = 0;
    for (size_t i = 0; i < size; i++) {
        if (!isdigit((unsigned char)digits[i])) {
            reason = "invalid syntax";
            break;
        }
        uint64_t digit = (uint64_t)(digits[i] - '0');
        if (id > (UINT64_MAX - digit) / 10) {
            reason = "value out of range";
        }
        id = id * 10 + digit;
    }
    if (reason != NULL) {
        print(error, "strconv.ParseUint: parsing \"%.*s\": %s", (int)size, digits, reason);
        return false;
    }
    *out = id;
    return true;
}

bool operations_parse(const char *input, struct raft_conf_change *out, struct buffer *error)
{
    memset(out, 0, sizeof(*out));
    const char *at = input;
    while (*input != '\0') {
        size_t size = strcspn(at, " ");
        if (size < 2) {
            print(error, "unknown token %.*s", (int)size, at);
            return false;
        }
        static const char letters[] = "vrul"; /* in the order of raft_conf_operation_type */
        const char *letter = strchr(letters, at[0]);
        if (letter == NULL) {
            print(error, "unknown input: %.*s", (int)size, at);
            return false;
        }
        if (out->count == RAFT_CONF_OPERATIONS_MAX) {
            print(error, "more than %d operations", RAFT_CONF_OPERATIONS_MAX);
            return false;
        }
        struct raft_conf_operation *operation = &out->operations[out->count];
        operation->type = (enum raft_conf_operation_type)(letter - letters);
        if (!parse_id(at + 1, size - 1, &operation->id, error)) {
            return false;
        }
        out->count++;
        if (at[size] == '\0') {
            break;
        }
        at += size + 1;
    }
    return true;
}

/* ---- add-nodes ---- */

static void put_ids(struct buffer *buffer, const struct script_case *item,
                    const struct script_argument *argument)
{
    put_varint(buffer, argument == NULL ? 0 : argument->count);
    for (uint32_t i = 0; argument != NULL && i < argument->count; i++) {
        put_varint(buffer, script_number(item, argument->values[i]));
    }
}

static void add_members(struct raft_configuration *configuration, const struct script_case *item,
                        const struct script_argument *argument, uint8_t flag)
{
    for (uint32_t i = 0; argument != NULL && i < argument->count; i++) {
        if (configuration->count == RAFT_MEMBERS_MAX) {
            script_fail(item, "more than %d members", RAFT_MEMBERS_MAX);
        }
        uint64_t id = script_number(item, argument->values[i]);
        uint32_t at = configuration->count;
        while (at > 0 && configuration->members[at - 1].id > id) {
            configuration->members[at] = configuration->members[at - 1];
            at--;
        }
        memset(&configuration->members[at], 0, sizeof(configuration->members[at]));
        configuration->members[at].id = id;
        configuration->members[at].flags = flag;
        configuration->count++;
    }
}

static void default_options(struct environment *environment, struct raft_host_options *options)
{
    memset(options, 0, sizeof(*options));
    struct raft_options *core = &options->core;
    core->heartbeat_interval = 1;
    core->election_timeout = 3;
    core->election_timeout_max = 5;
    core->validate_conf_changes = true;
    core->message_bytes_max = UINT64_MAX;
    core->inflight_count_max = INT32_MAX;
    core->trace_level = RAFT_TRACE_DEBUG;
    options->as_published = true;
    options->apply_bytes_max = UINT64_MAX;
    options->cache_bytes_max = UINT64_MAX;
    options->storage = &storage_functions;
    options->trace = on_trace;
    options->trace_arg = environment;
}

/* The published keys, then our own. False: `value` is wrong, and the error is printed. */
static bool set_option(struct environment *environment, struct raft_host_options *options,
                       const struct script_argument *argument)
{
    const struct script_case *item = environment->item;
    const char *key = argument->key;
    const char *value = script_value(item, argument);
    struct raft_options *core = &options->core;
    if (strcmp(key, "inflight") == 0) {
        uint64_t count = script_number(item, value);
        if (count == 0) {
            fail(environment, "max inflight messages must be greater than 0");
            return false;
        }
        core->inflight_count_max = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
    } else if (strcmp(key, "async-storage-writes") == 0) {
        options->asynchronous = script_boolean(item, value);
    } else if (strcmp(key, "prevote") == 0) {
        core->pre_vote = script_boolean(item, value);
    } else if (strcmp(key, "checkquorum") == 0) {
        core->check_quorum = script_boolean(item, value);
    } else if (strcmp(key, "max-committed-size-per-ready") == 0) {
        uint64_t size = script_number(item, value);
        options->apply_bytes_max = size > 0 ? size : UINT64_MAX;
    } else if (strcmp(key, "disable-conf-change-validation") == 0) {
        core->validate_conf_changes = !script_boolean(item, value);
    } else if (strcmp(key, "step-down-on-removal") == 0) {
        core->step_down_on_removal = script_boolean(item, value);
    } else if (strcmp(key, "read-only") == 0) {
        core->keep_leader = strcmp(value, "lease-based") == 0;
        if (!core->keep_leader && strcmp(value, "safe") != 0) {
            struct buffer text;
            buffer_init(&text);
            print(&text, "invalid read-only option \"%s\"", value);
            buffer_append_byte(&text, 0);
            fail(environment, (const char *)text.data);
            buffer_deinit(&text);
            return false;
        }
    } else if (strcmp(key, "leases") == 0) {
        core->lease_reads = script_boolean(item, value);
    } else if (strcmp(key, "max-message-size") == 0) {
        core->message_bytes_max = script_number(item, value);
    } else if (strcmp(key, "inflight-bytes") == 0) {
        core->inflight_bytes_max = script_number(item, value);
    } else if (strcmp(key, "max-uncommitted-size") == 0) {
        core->uncommitted_bytes_max = script_number(item, value);
    } else if (strcmp(key, "lease-drift-permille") == 0) {
        core->lease_drift_permille = script_number(item, value);
    } else if (strcmp(key, "persist-stall") == 0) {
        core->persist_stall = script_number(item, value);
    } else if (strcmp(key, "cluster") == 0) {
        core->cluster = script_number(item, value);
    } else if (strcmp(key, "incarnation") == 0) {
        core->incarnation = script_number(item, value);
    } else if (strcmp(key, "merge") == 0) {
        options->merge = script_boolean(item, value);
    } else {
        script_fail(item, "unknown option %s", key);
    }
    return true;
}

static void add_node(struct environment *environment, const struct raft_host_options *options,
                     struct raft_snapshot *state)
{
    struct node *node = mem_new(struct node);
    node->environment = environment;
    node->options = *options;
    node->options.core.id = environment->count + 1;
    node->options.core.seed = environment->count + 1; /* and another one for each restart */
    node->options.storage_arg = node;
    node->state = raft_snapshot_ref(state);
    node->applied = state->index;
    node->configuration = state->configuration;
    environment->nodes[environment->count] = node;
    environment->count++;
    if (state->index > 0) {
        (void)storage_apply_snapshot(&node->storage, state);
    }
    start_node(node);
}

static void run_add_nodes(struct environment *environment)
{
    const struct script_case *item = environment->item;
    uint64_t count = script_number_at(item, 0);
    struct raft_host_options options;
    default_options(environment, &options);
    const struct script_argument *voters = script_find(item, "voters");
    const struct script_argument *learners = script_find(item, "learners");
    bool bootstrapped = false;
    raft_index index = 0;
    for (uint32_t i = 1; i < item->count; i++) {
        const struct script_argument *argument = &item->arguments[i];
        if (strcmp(argument->key, "voters") == 0 || strcmp(argument->key, "learners") == 0 ||
            strcmp(argument->key, "content") == 0) {
            bootstrapped = true;
        } else if (strcmp(argument->key, "index") == 0) {
            index = script_number(item, script_value(item, argument));
            bootstrapped = true;
        } else if (!set_option(environment, &options, argument)) {
            return;
        }
    }
    if (bootstrapped && index <= 1) {
        fail(environment, "index must be specified as > 1 due to bootstrap");
        return;
    }
    if ((options.core.lease_reads || options.core.keep_leader) && !options.core.check_quorum) {
        fail(environment, "CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased");
        return;
    }
    if (count > NODES_MAX - environment->count) {
        script_fail(item, "more than %d nodes", NODES_MAX);
    }
    struct raft_configuration configuration;
    memset(&configuration, 0, sizeof(configuration));
    add_members(&configuration, item, voters, RAFT_MEMBER_INCOMING);
    add_members(&configuration, item, learners, RAFT_MEMBER_LEARNER);
    if (!raft_configuration_valid(&configuration)) {
        script_fail(item, "these voters and learners make no configuration");
    }
    struct buffer given;
    buffer_init(&given);
    if (bootstrapped) {
        put_ids(&given, item, voters);
        put_ids(&given, item, learners);
    }
    struct raft_snapshot *state =
        raft_snapshot_new(index, bootstrapped ? 1 : 0, &configuration, buffer_bytes(&given));
    for (uint64_t i = 0; i < count; i++) {
        add_node(environment, &options, state);
    }
    raft_snapshot_unref(state);
    buffer_deinit(&given);
}

/* ---- Batches ---- */

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
            (void)step(node, &event);
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
        fail(environment, error);
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

static bool process_ready(struct environment *environment, struct node *node)
{
    struct raft_batch batch;
    raft_host_take(running(environment, node), &batch);
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
            if (!raft_batch_is_own(&batch, &batch.responses[i])) {
                push_message(&messages, &batch.responses[i]);
            }
        }
        say_batch(environment, &batch, &messages);
        worked = finish_synchronous(environment, node, &batch, &messages);
    }
    raft_batch_deinit(&batch);
    return worked;
}

static bool process_append(struct environment *environment, struct node *node)
{
    if (node->append_work.count == 0) {
        SAY(environment, "no append work to perform");
        return true;
    }
    struct post work = posts_take(&node->append_work, 0);
    SAY(environment, "Processing:\n");
    say_post(environment, &work, false);
    SAY(environment, "\n");
    const char *error = store(node, &work.hard_state, work.message.snapshot, work.message.entries,
                              work.message.entry_count);
    if (error != NULL) {
        fail(environment, error);
        post_deinit(&work);
        return false;
    }
    SAY(environment, "Responses:\n");
    for (uint32_t i = 0; i < work.response_count; i++) {
        say_post(environment, &work.responses[i], true);
        SAY(environment, "\n");
        *posts_push(&environment->inflight) = work.responses[i];
    }
    work.response_count = 0;
    post_deinit(&work);
    return true;
}

static bool process_apply(struct environment *environment, struct node *node)
{
    if (node->apply_work.count == 0) {
        SAY(environment, "no apply work to perform");
        return true;
    }
    struct post work = posts_take(&node->apply_work, 0);
    SAY(environment, "Processing:\n");
    say_post(environment, &work, false);
    SAY(environment, "\n");
    apply(node, work.message.entries, work.message.entry_count);
    SAY(environment, "Responses:\n");
    for (uint32_t i = 0; i < work.response_count; i++) {
        say_post(environment, &work.responses[i], true);
        SAY(environment, "\n");
        *posts_push(&environment->inflight) = work.responses[i];
    }
    work.response_count = 0;
    post_deinit(&work);
    return true;
}

/* Runs `run` for every node of the arguments, under a header when there are several. */
static void for_nodes(struct environment *environment, const char *title,
                      bool (*run)(struct environment *environment, struct node *node))
{
    const struct script_case *item = environment->item;
    for (uint32_t i = 0; i < item->count; i++) {
        struct node *node = find_node(environment, script_number_at(item, i));
        (void)running(environment, node);
        bool worked;
        if (item->count == 1) {
            worked = run(environment, node);
        } else {
            SAY(environment, "> %" PRIu64 " %s\n", node->options.core.id, title);
            worked = indented(environment, node, run);
        }
        if (!worked) {
            return;
        }
    }
}

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
    return step(node, &event);
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
        result = step(node, &event);
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

static bool is_local(const struct post *post)
{
    return post->kind != POST_MESSAGE || post->from == post->to;
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
        if (post->to == id && type_wanted(post, type) && !(drop && is_local(post))) {
            struct post moved = posts_take(&environment->inflight, i);
            *posts_push(&taken) = moved;
        } else {
            i++;
        }
    }
    struct node *node =
        drop && (id == 0 || id > environment->count) ? NULL : find_node(environment, id);
    for (uint32_t i = 0; i < taken.count; i++) {
        if (drop) {
            SAY(environment, "dropped: ");
        }
        say_post(environment, &taken.items[i], true);
        SAY(environment, "\n");
        if (!drop) {
            (void)running(environment, node);
            deliver(environment, node, &taken.items[i]);
        }
    }
    uint32_t count = taken.count;
    posts_deinit(&taken);
    return count;
}

static void run_deliver(struct environment *environment)
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
            (void)indented(environment, nodes[i], process_ready);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i]->host != NULL && has_messages(environment, nodes[i])) {
            done = true;
            SAY(environment, "> %" PRIu64 " receiving messages\n", nodes[i]->options.core.id);
            (void)indented(environment, nodes[i], deliver_all);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i]->append_work.count > 0) {
            done = true;
            SAY(environment, "> %" PRIu64 " processing append thread\n", nodes[i]->options.core.id);
            while (nodes[i]->append_work.count > 0) {
                (void)indented(environment, nodes[i], process_append);
            }
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i]->apply_work.count > 0) {
            done = true;
            SAY(environment, "> %" PRIu64 " processing apply thread\n", nodes[i]->options.core.id);
            while (nodes[i]->apply_work.count > 0) {
                (void)indented(environment, nodes[i], process_apply);
            }
        }
    }
    return done;
}

static bool parse_level(const char *name, enum level *out)
{
    for (int i = LEVEL_DEBUG; i <= LEVEL_NONE; i++) {
        if (strcasecmp(name, level_names[i]) == 0) {
            *out = (enum level)i;
            return true;
        }
    }
    return false;
}

static const char bad_level[] = "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]";

static void run_stabilize(struct environment *environment)
{
    const struct script_case *item = environment->item;
    struct node *nodes[SCRIPT_ARGUMENTS_MAX];
    uint32_t count = 0;
    enum level level = environment->level;
    for (uint32_t i = 0; i < item->count; i++) {
        const struct script_argument *argument = &item->arguments[i];
        if (!argument->has_value) {
            nodes[count] = find_node(environment, script_number_at(item, i));
            count++;
        } else if (strcmp(argument->key, "log-level") != 0) {
            script_fail(item, "unknown argument %s", argument->key);
        } else if (!parse_level(script_value(item, argument), &level)) {
            fail(environment, bad_level);
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

/* ---- The smaller commands ---- */

static void run_raft_log(struct environment *environment)
{
    struct node *node = find_node(environment, script_number_at(environment->item, 0));
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
    struct node *node = find_node(environment, script_number_at(environment->item, 0));
    raft_index index = script_number_at(environment->item, 1);
    const char *error = storage_compact(&node->storage, index);
    if (error != NULL) {
        fail(environment, error);
        return;
    }
    raft_host_compacted(running(environment, node), index, node->now);
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
    struct node *node = find_node(environment, script_number_at(environment->item, 0));
    struct raft *core = raft_host_core(running(environment, node));
    const struct raft_configuration *configuration = raft_configuration(core);
    for (uint32_t i = 0; raft_role(core) == RAFT_LEADER && i < configuration->count; i++) {
        char text[RAFT_PROGRESS_TEXT_MAX];
        raft_id id = configuration->members[i].id;
        SAY(environment, "%" PRIu64 ": %s\n", id, raft_status_text(core, id, text, sizeof(text)));
    }
}

static void propose(struct environment *environment, struct node *node, struct raft_entry *entry)
{
    (void)running(environment, node);
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
    event.propose.entries = &entry;
    event.propose.count = 1;
    enum raft_result result = step(node, &event);
    if (result != RAFT_STEP_OK) {
        fail(environment, raft_result_text(result));
    }
    raft_entry_unref(entry);
}

static void run_propose(struct environment *environment)
{
    const struct script_case *item = environment->item;
    struct node *node = find_node(environment, script_number_at(item, 0));
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
    fail(environment, (const char *)text.data);
    buffer_deinit(&text);
}

static void run_propose_conf_change(struct environment *environment)
{
    const struct script_case *item = environment->item;
    struct node *node = find_node(environment, script_number_at(item, 0));
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
        fail(environment, (const char *)error.data);
    }
    buffer_deinit(&error);
    if (!parsed) {
        return;
    }
    change.transition = transition;
    if (v1 && (change.count > 1 || transition != RAFT_CONF_AUTO)) {
        fail(environment, "v1 conf change can only have one operation and no transition");
        return;
    }
    propose(
        environment, node,
        raft_conf_change_entry(v1 ? RAFT_ENTRY_CONF_CHANGE : RAFT_ENTRY_CONF_CHANGE_V2, &change));
}

static void tick(struct environment *environment, uint64_t count)
{
    struct node *node = find_node(environment, script_number_at(environment->item, 0));
    (void)running(environment, node);
    for (uint64_t i = 0; i < count; i++) {
        node->now++;
        struct raft_event event = {.type = RAFT_EVENT_TIMER};
        (void)step(node, &event);
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
    struct node *node = find_node(environment, script_number_at(environment->item, 0));
    (void)running(environment, node);
    (void)step(node, &event);
}

static void run_transfer(struct environment *environment)
{
    struct node *node = find_node(environment, number_of(environment, "from"));
    (void)running(environment, node);
    struct raft_event event = {.type = RAFT_EVENT_TRANSFER};
    event.transfer = number_of(environment, "to");
    (void)step(node, &event);
}

static void run_send_snapshot(struct environment *environment)
{
    const struct script_case *item = environment->item;
    struct node *from = find_node(environment, script_number_at(item, 0));
    uint64_t to = script_number_at(item, 1);
    struct raft *core = raft_host_core(running(environment, from));
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
    struct node *node = find_node(environment, script_number_at(environment->item, 0));
    raft_host_free(node->host);
    node->host = NULL;
    posts_deinit(&node->append_work);
    posts_deinit(&node->apply_work);
    for (uint32_t i = 0; i < environment->inflight.count;) {
        if (environment->inflight.items[i].to == node->options.core.id &&
            is_local(&environment->inflight.items[i])) {
            struct post post = posts_take(&environment->inflight, i);
            post_deinit(&post);
        } else {
            i++;
        }
    }
}

static void run_restart(struct environment *environment)
{
    struct node *node = find_node(environment, script_number_at(environment->item, 0));
    run_crash(environment);
    node->restarted = true;
    node->options.core.seed += NODES_MAX;
    node->reads = 0;
    start_node(node);
}

/* Whether the message is among those that "TO... [type=T] [from=ID]" names. */
static bool chosen(struct environment *environment, const struct post *post)
{
    const struct script_case *item = environment->item;
    const struct script_argument *type = script_find(item, "type");
    const struct script_argument *from = script_find(item, "from");
    if (is_local(post) || !type_wanted(post, type == NULL ? NULL : script_value(item, type)) ||
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
static void run_hold(struct environment *environment)
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
static void run_release(struct environment *environment)
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
static void run_duplicate(struct environment *environment)
{
    for (uint32_t i = 0; i < environment->inflight.count; i++) {
        if (chosen(environment, &environment->inflight.items[i])) {
            struct post copy = environment->inflight.items[i];
            raft_message_copy(&environment->inflight.items[i].message, &copy.message);
            *posts_push(&environment->held) = copy;
        }
    }
}

/* Puts the stored commit index back, as a disk does that writes it apart from the entries. */
static void run_lose_commit(struct environment *environment)
{
    struct node *node = find_node(environment, script_number_at(environment->item, 0));
    if (node->host != NULL) {
        script_fail(environment->item, "crash the node first");
    }
    node->storage.hard_state.commit = script_number_at(environment->item, 1);
}

static void run_read_index(struct environment *environment)
{
    struct node *node = find_node(environment, script_number_at(environment->item, 0));
    (void)running(environment, node);
    node->reads++;
    struct raft_event event = {.type = RAFT_EVENT_READ};
    event.read = node->reads;
    (void)step(node, &event);
}

static void run_lease(struct environment *environment)
{
    struct node *node = find_node(environment, script_number_at(environment->item, 0));
    struct raft *core = raft_host_core(running(environment, node));
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
        !parse_level(environment->item->arguments[0].key, &environment->level)) {
        fail(environment, bad_level);
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
    struct node *node = find_node(environment, script_number_at(environment->item, 0));
    raft_set_randomized_timeout(raft_host_core(running(environment, node)),
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
        fail(environment, "unknown command");
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
