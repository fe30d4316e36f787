/* The bytes of the meta and of contexts, and how a change leads from one meta to the next. */
#include "node/members_meta.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"

#include <string.h>

enum {
    META_VERSION = 1,
    CONTEXT_VERSION = 1,
    META_AUTO_LEAVE = 1, /* a flag */
};

void members_meta_encode(struct buffer *buffer, const struct members_meta *meta)
{
    const struct raft_configuration *configuration = &meta->configuration;
    put_u8(buffer, META_VERSION);
    put_u64(buffer, meta->cluster);
    put_varint(buffer, meta->index);
    put_varint(buffer, meta->term);
    put_u8(buffer, configuration->auto_leave ? META_AUTO_LEAVE : 0);
    put_varint(buffer, configuration->count);
    for (uint32_t at = 0; at < configuration->count; at++) {
        put_varint(buffer, configuration->members[at].id);
        put_u64(buffer, configuration->members[at].incarnation);
        put_u8(buffer, configuration->members[at].flags);
    }
    member_list_encode(buffer, &meta->list);
}

static bool read_configuration(struct reader *reader, struct raft_configuration *out)
{
    uint8_t flags = reader_u8(reader);
    uint64_t count = reader_varint(reader);
    if (reader->failed || flags > META_AUTO_LEAVE || count > RAFT_MEMBERS_MAX) {
        return false;
    }
    out->auto_leave = flags == META_AUTO_LEAVE;
    out->count = (uint32_t)count;
    for (uint32_t at = 0; at < out->count; at++) {
        out->members[at].id = reader_varint(reader);
        out->members[at].incarnation = reader_u64(reader);
        out->members[at].flags = reader_u8(reader);
    }
    return !reader->failed && raft_configuration_valid(out);
}

/* Whether both speak of the same members. */
static bool agree(const struct raft_configuration *configuration, const struct member_list *list)
{
    if (configuration->count != list->count) {
        return false;
    }
    for (uint32_t at = 0; at < list->count; at++) {
        if (configuration->members[at].id != list->members[at].id) {
            return false;
        }
    }
    return true;
}

static rr_status decode(rr_bytes bytes, struct members_meta *meta)
{
    struct reader reader;
    reader_init(&reader, bytes);
    uint8_t version = reader_u8(&reader);
    if (version > META_VERSION) {
        return RR_MISMATCH;
    }
    meta->cluster = reader_u64(&reader);
    meta->index = reader_varint(&reader);
    meta->term = reader_varint(&reader);
    if (reader.failed || version == 0 || meta->cluster == 0 ||
        !read_configuration(&reader, &meta->configuration)) {
        return RR_CORRUPT;
    }
    rr_status status = member_list_decode(reader_raw(&reader, reader_left(&reader)), &meta->list);
    if (status == RR_OK && !agree(&meta->configuration, &meta->list)) {
        status = RR_CORRUPT;
    }
    return status;
}

rr_status members_meta_decode(rr_bytes bytes, struct members_meta *out)
{
    struct members_meta *meta = mem_new(struct members_meta);
    rr_status status = bytes.size == 0 ? RR_OK : decode(bytes, meta);
    if (status == RR_OK) {
        *out = *meta;
    }
    mem_free(meta);
    return status;
}

void members_meta_found(struct members_meta *meta, uint64_t cluster, const struct member *founder,
                        raft_index index, raft_term term)
{
    ASSERT(cluster != 0);
    ASSERT(founder->role == RR_VOTER);
    memset(meta, 0, sizeof(*meta));
    meta->cluster = cluster;
    meta->index = index;
    meta->term = term;
    meta->configuration.count = 1;
    meta->configuration.members[0] = (struct raft_member){
        .id = founder->id, .incarnation = founder->incarnation, .flags = RAFT_MEMBER_INCOMING};
    rr_status status = member_list_put(&meta->list, founder);
    ASSERT(status == RR_OK);
}

void members_context_encode(struct buffer *buffer, const struct member *member)
{
    put_u8(buffer, CONTEXT_VERSION);
    member_encode(buffer, member);
}

/* Puts the context's member into the list. An empty context has none. */
static rr_status apply_context(struct member_list *list, rr_bytes context)
{
    if (context.size == 0) {
        return RR_OK;
    }
    struct reader reader;
    struct member member;
    reader_init(&reader, context);
    uint8_t version = reader_u8(&reader);
    if (version != CONTEXT_VERSION) {
        return RR_CORRUPT;
    }
    rr_status status = member_decode(reader_raw(&reader, reader_left(&reader)), &member);
    return status == RR_OK ? member_list_put(list, &member) : status;
}

/* Brings the list in line with the configuration, which decides who is a member and who votes. */
static rr_status follow(struct members_meta *meta)
{
    const struct raft_configuration *configuration = &meta->configuration;
    for (uint32_t at = meta->list.count; at > 0; at--) {
        uint64_t id = meta->list.members[at - 1].id;
        if (raft_configuration_find(configuration, id) == NULL) {
            (void)member_list_remove(&meta->list, id);
        }
    }
    if (!agree(configuration, &meta->list)) {
        return RR_CORRUPT; /* a member whose address nobody knows */
    }
    for (uint32_t at = 0; at < configuration->count; at++) {
        struct member *member = &meta->list.members[at];
        bool learner = (configuration->members[at].flags & RAFT_MEMBER_LEARNER) != 0;
        member->role = learner ? RR_LEARNER : RR_VOTER;
        member->promote = learner && member->promote;
    }
    return RR_OK;
}

rr_status members_meta_change(struct members_meta *meta, raft_index index, raft_term term,
                              const struct raft_conf_change *change)
{
    struct members_meta *next = mem_new(struct members_meta);
    *next = *meta;
    next->index = index;
    next->term = term;
    rr_status status = RR_CORRUPT;
    if (raft_configuration_change(&meta->configuration, change, &next->configuration) ==
        RAFT_CONF_OK) {
        status = apply_context(&next->list, change->context);
    }
    if (status == RR_OK) {
        status = follow(next);
    }
    if (status == RR_OK) {
        *meta = *next;
    }
    mem_free(next);
    return status == RR_OK ? RR_OK : RR_CORRUPT;
}

uint32_t members_meta_voters(const struct members_meta *meta)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < meta->configuration.count; at++) {
        if ((meta->configuration.members[at].flags &
             (RAFT_MEMBER_INCOMING | RAFT_MEMBER_OUTGOING)) != 0) {
            count++;
        }
    }
    return count;
}
