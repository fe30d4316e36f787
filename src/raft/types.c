/* Reference counts of entries and snapshots, and what a message holds. No rule of Raft is here. */
#include "raft/types.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "raft/configuration.h"

struct raft_entry *raft_entry_try_new(enum raft_entry_type type, size_t size)
{
    ASSERT(size <= UINT32_MAX);
    struct raft_entry *entry = mem_try_alloc(sizeof(*entry) + size);
    if (entry == NULL) {
        return NULL;
    }
    entry->refs = 1;
    entry->size = (uint32_t)size;
    entry->term = 0;
    entry->index = 0;
    entry->type = type;
    return entry;
}

struct raft_entry *raft_entry_new(enum raft_entry_type type, rr_bytes data)
{
    ASSERT(data.size <= UINT32_MAX);
    struct raft_entry *entry = mem_alloc(sizeof(*entry) + data.size);
    entry->refs = 1;
    entry->size = (uint32_t)data.size;
    entry->type = type;
    if (data.size > 0) {
        memcpy(entry->data, data.data, data.size);
    }
    return entry;
}

struct raft_entry *raft_entry_ref(struct raft_entry *entry)
{
    ASSERT(entry->refs > 0);
    ASSERT(entry->refs < UINT32_MAX);
    entry->refs++;
    return entry;
}

void raft_entry_unref(struct raft_entry *entry)
{
    if (entry == NULL) {
        return;
    }
    ASSERT(entry->refs > 0);
    entry->refs--;
    if (entry->refs == 0) {
        mem_free(entry);
    }
}

struct raft_snapshot *raft_snapshot_new(raft_index index, raft_term term,
                                        const struct raft_configuration *configuration,
                                        rr_bytes data)
{
    struct raft_snapshot *snapshot = mem_new(struct raft_snapshot);
    snapshot->refs = 1;
    snapshot->index = index;
    snapshot->term = term;
    snapshot->configuration = *configuration;
    snapshot->size = data.size;
    if (data.size > 0) {
        snapshot->data = mem_alloc(data.size);
        memcpy(snapshot->data, data.data, data.size);
    }
    return snapshot;
}

struct raft_snapshot *raft_snapshot_ref(struct raft_snapshot *snapshot)
{
    ASSERT(snapshot->refs > 0);
    ASSERT(snapshot->refs < UINT32_MAX);
    snapshot->refs++;
    return snapshot;
}

void raft_snapshot_unref(struct raft_snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    ASSERT(snapshot->refs > 0);
    snapshot->refs--;
    if (snapshot->refs == 0) {
        mem_free(snapshot->data);
        mem_free(snapshot);
    }
}

const char *raft_message_type_name(enum raft_message_type type)
{
    switch (type) {
    case RAFT_MSG_PROP:
        return "MsgProp";
    case RAFT_MSG_APP:
        return "MsgApp";
    case RAFT_MSG_APP_RESP:
        return "MsgAppResp";
    case RAFT_MSG_VOTE:
        return "MsgVote";
    case RAFT_MSG_VOTE_RESP:
        return "MsgVoteResp";
    case RAFT_MSG_SNAP:
        return "MsgSnap";
    case RAFT_MSG_HEARTBEAT:
        return "MsgHeartbeat";
    case RAFT_MSG_HEARTBEAT_RESP:
        return "MsgHeartbeatResp";
    case RAFT_MSG_TRANSFER_LEADER:
        return "MsgTransferLeader";
    case RAFT_MSG_TIMEOUT_NOW:
        return "MsgTimeoutNow";
    case RAFT_MSG_READ_INDEX:
        return "MsgReadIndex";
    case RAFT_MSG_READ_INDEX_RESP:
        return "MsgReadIndexResp";
    case RAFT_MSG_PRE_VOTE:
        return "MsgPreVote";
    case RAFT_MSG_PRE_VOTE_RESP:
        return "MsgPreVoteResp";
    }
    UNREACHABLE();
}

static bool entries_valid(const struct raft_message *message)
{
    raft_term term = message->log_term;
    for (uint32_t i = 0; i < message->entry_count; i++) {
        const struct raft_entry *entry = message->entries[i];
        if (entry->index != message->index + 1 + i || entry->term < term || entry->term == 0 ||
            entry->term > message->term) {
            return false;
        }
        term = entry->term;
    }
    return true;
}

bool raft_message_valid(const struct raft_message *message)
{
    if (message->from == RAFT_NO_ID || message->to == RAFT_NO_ID) {
        return false;
    }
    if ((message->type == RAFT_MSG_SNAP) != (message->snapshot != NULL)) {
        return false;
    }
    switch (message->type) {
    case RAFT_MSG_PROP:
        return message->term == 0 && message->entry_count > 0;
    case RAFT_MSG_READ_INDEX:
        return message->term == 0 && message->entry_count == 0;
    case RAFT_MSG_APP:
        return message->term > 0 && message->index <= UINT64_MAX / 2 && entries_valid(message);
    case RAFT_MSG_SNAP:
        return message->term > 0 && message->entry_count == 0 && message->snapshot->index > 0 &&
               message->snapshot->index <= UINT64_MAX / 2 &&
               raft_configuration_valid(&message->snapshot->configuration);
    case RAFT_MSG_PRE_VOTE_RESP: /* a refusal may come from a node that never saw a term */
    case RAFT_MSG_READ_INDEX_RESP:
        return (message->term > 0 || message->reject) && message->entry_count == 0;
    case RAFT_MSG_APP_RESP:
    case RAFT_MSG_VOTE:
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_HEARTBEAT_RESP:
    case RAFT_MSG_TRANSFER_LEADER:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_PRE_VOTE:
        return message->term > 0 && message->entry_count == 0;
    }
    return false; /* a number that is no type */
}

void raft_message_deinit(struct raft_message *message)
{
    for (uint32_t i = 0; i < message->entry_count; i++) {
        raft_entry_unref(message->entries[i]);
    }
    mem_free(message->entries);
    raft_snapshot_unref(message->snapshot);
    message->entries = NULL;
    message->entry_count = 0;
    message->snapshot = NULL;
}

void raft_message_copy(const struct raft_message *message, struct raft_message *out)
{
    *out = *message;
    if (message->entry_count > 0) {
        out->entries = mem_new_array(struct raft_entry *, message->entry_count);
        for (uint32_t i = 0; i < message->entry_count; i++) {
            out->entries[i] = raft_entry_ref(message->entries[i]);
        }
    } else {
        out->entries = NULL;
    }
    if (message->snapshot != NULL) {
        raft_snapshot_ref(out->snapshot);
    }
}
