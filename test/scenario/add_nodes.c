/* add-nodes: the options of new nodes, and the state that they start from. */
#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "scenario/interaction_private.h"

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
    options->storage = &node_storage;
    options->trace = say_trace;
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
            say_error(environment, "max inflight messages must be greater than 0");
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
            say_error(environment, (const char *)text.data);
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
    node_start(node);
}

void run_add_nodes(struct environment *environment)
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
        say_error(environment, "index must be specified as > 1 due to bootstrap");
        return;
    }
    if ((options.core.lease_reads || options.core.keep_leader) && !options.core.check_quorum) {
        say_error(environment,
                  "CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased");
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
