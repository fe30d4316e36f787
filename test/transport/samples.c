#include "transport/samples.h"

#include "base/memory.h"

#include <string.h>

/* Small and large numbers alike. */
static uint64_t any_number(struct random *random)
{
    return random_u64(random) >> random_below(random, 64);
}

static rr_bytes any_bytes(struct random *random, uint8_t *memory, size_t size_max)
{
    size_t size = random_below(random, size_max + 1);
    if (size > 0) {
        random_fill(random, memory, size);
    }
    return (rr_bytes){.data = memory, .size = size};
}

static void add_entries(struct random *random, struct raft_message *message)
{
    uint8_t memory[300];
    message->entry_count = (uint32_t)random_below(random, 6);
    if (message->entry_count == 0) {
        return;
    }
    message->entries = mem_new_array(struct raft_entry *, message->entry_count);
    for (uint32_t at = 0; at < message->entry_count; at++) {
        enum raft_entry_type type = (enum raft_entry_type)random_below(random, 3);
        message->entries[at] = raft_entry_new(type, any_bytes(random, memory, sizeof(memory)));
        if (message->type == RAFT_MSG_APP) {
            message->entries[at]->index = message->index + 1 + at;
            message->entries[at]->term = message->log_term;
        }
    }
}

static void add_snapshot(struct random *random, struct raft_message *message)
{
    uint8_t memory[300];
    struct raft_configuration configuration = {.auto_leave = random_chance(random, 1, 2)};
    configuration.count = (uint32_t)random_below(random, RAFT_MEMBERS_MAX + 1);
    raft_id id = 0;
    for (uint32_t at = 0; at < configuration.count; at++) {
        id += 1 + random_below(random, 1000);
        configuration.members[at] = (struct raft_member){
            .id = id,
            .incarnation = any_number(random),
            .flags = (uint8_t)random_between(random, 1, 15),
        };
    }
    message->snapshot = raft_snapshot_new(any_number(random), any_number(random), &configuration,
                                          any_bytes(random, memory, sizeof(memory)));
}

void sample_message(struct random *random, struct raft_message *out)
{
    struct raft_message message = {0};
    message.type =
        (enum raft_message_type)random_between(random, RAFT_MSG_PROP, RAFT_MSG_PRE_VOTE_RESP);
    message.reject = random_chance(random, 1, 2);
    message.transfer = random_chance(random, 1, 2);
    message.from = any_number(random);
    message.to = any_number(random);
    message.log_term = any_number(random) / 2;
    message.term = message.log_term + any_number(random) / 2;
    message.index = any_number(random) / 2;
    message.commit = any_number(random);
    message.reject_hint = any_number(random);
    message.round = any_number(random);
    message.read_id = any_number(random);
    message.session = any_number(random);
    message.cluster = any_number(random);
    message.group = any_number(random);
    message.from_incarnation = any_number(random);
    message.to_incarnation = any_number(random);
    if (message.type == RAFT_MSG_APP || message.type == RAFT_MSG_PROP) {
        add_entries(random, &message);
    }
    if (message.type == RAFT_MSG_SNAP) {
        add_snapshot(random, &message);
    }
    *out = message;
}

void sample_append(uint32_t count, uint32_t size, struct raft_message *out)
{
    struct raft_message message = {.type = RAFT_MSG_APP, .term = 3, .log_term = 3, .index = 10};
    message.entries = mem_new_array(struct raft_entry *, count);
    message.entry_count = count;
    uint8_t *data = mem_alloc(size);
    memset(data, 'e', size);
    for (uint32_t at = 0; at < count; at++) {
        message.entries[at] =
            raft_entry_new(RAFT_ENTRY_NORMAL, (rr_bytes){.data = data, .size = size});
        message.entries[at]->index = message.index + 1 + at;
        message.entries[at]->term = 3;
    }
    mem_free(data);
    *out = message;
}

static bool entries_equal(const struct raft_message *left, const struct raft_message *right)
{
    if (left->entry_count != right->entry_count) {
        return false;
    }
    for (uint32_t at = 0; at < left->entry_count; at++) {
        const struct raft_entry *one = left->entries[at];
        const struct raft_entry *other = right->entries[at];
        if (one->type != other->type || one->term != other->term || one->index != other->index ||
            one->size != other->size || memcmp(one->data, other->data, one->size) != 0) {
            return false;
        }
    }
    return true;
}

static bool snapshots_equal(const struct raft_snapshot *left, const struct raft_snapshot *right)
{
    if (left == NULL || right == NULL) {
        return left == right;
    }
    const struct raft_configuration *one = &left->configuration;
    const struct raft_configuration *other = &right->configuration;
    if (one->auto_leave != other->auto_leave || one->count != other->count) {
        return false;
    }
    for (uint32_t at = 0; at < one->count; at++) {
        if (one->members[at].id != other->members[at].id ||
            one->members[at].incarnation != other->members[at].incarnation ||
            one->members[at].flags != other->members[at].flags) {
            return false;
        }
    }
    return left->index == right->index && left->term == right->term && left->size == right->size &&
           (left->size == 0 || memcmp(left->data, right->data, left->size) == 0);
}

bool sample_equal(const struct raft_message *left, const struct raft_message *right)
{
    return left->type == right->type && left->reject == right->reject &&
           left->transfer == right->transfer && left->from == right->from &&
           left->to == right->to && left->term == right->term &&
           left->log_term == right->log_term && left->index == right->index &&
           left->commit == right->commit && left->reject_hint == right->reject_hint &&
           left->round == right->round && left->read_id == right->read_id &&
           left->session == right->session && left->cluster == right->cluster &&
           left->group == right->group && left->from_incarnation == right->from_incarnation &&
           left->to_incarnation == right->to_incarnation && entries_equal(left, right) &&
           snapshots_equal(left->snapshot, right->snapshot);
}
