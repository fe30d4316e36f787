/* Members and lists of them: values, their bytes, and the rules that a list keeps. */
#include "command/member.h"

#include "base/assert.h"

#include <string.h>

enum {
    MEMBER_VERSION = 1, /* of a single member and of a list */
    MEMBER_LEARNER = 1, /* flags */
    MEMBER_PROMOTE = 2,
};

/* Printable ASCII only, so that an address can be shown anywhere. */
static bool address_valid(rr_bytes address)
{
    if (address.size == 0 || address.size > ADDRESS_BYTES_MAX) {
        return false;
    }
    const uint8_t *text = address.data;
    for (size_t i = 0; i < address.size; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

static void set_address(struct member *member, rr_bytes address)
{
    memset(member->address, 0, sizeof(member->address));
    memcpy(member->address, address.data, address.size);
}

rr_status member_set(struct member *member, uint64_t id, rr_member_role role, const char *address,
                     uint64_t incarnation)
{
    size_t size = address == NULL ? 0 : strnlen(address, ADDRESS_BYTES_MAX + 1);
    rr_bytes bytes = {.data = address, .size = size};
    if (id == 0 || (role != RR_VOTER && role != RR_LEARNER) || !address_valid(bytes)) {
        return RR_INVALID;
    }
    *member = (struct member){.id = id, .incarnation = incarnation, .role = role};
    set_address(member, bytes);
    return RR_OK;
}

static void put_member(struct buffer *buffer, const struct member *member)
{
    unsigned flags = (member->role == RR_LEARNER ? MEMBER_LEARNER : 0U) |
                     (member->promote ? MEMBER_PROMOTE : 0U);
    put_varint(buffer, member->id);
    put_u64(buffer, member->incarnation);
    put_u8(buffer, (uint8_t)flags);
    put_bytes(buffer, (rr_bytes){member->address, strlen(member->address)});
}

static bool read_member(struct reader *reader, struct member *out)
{
    uint64_t id = reader_varint(reader);
    uint64_t incarnation = reader_u64(reader);
    uint8_t flags = reader_u8(reader);
    rr_bytes address = reader_bytes(reader);
    bool flags_valid =
        flags == 0 || flags == MEMBER_LEARNER || flags == (MEMBER_LEARNER | MEMBER_PROMOTE);
    if (reader->failed || id == 0 || !flags_valid || !address_valid(address)) {
        return false;
    }
    *out = (struct member){.id = id, .incarnation = incarnation};
    out->role = flags == 0 ? RR_VOTER : RR_LEARNER;
    out->promote = (flags & MEMBER_PROMOTE) != 0;
    set_address(out, address);
    return true;
}

void member_encode(struct buffer *buffer, const struct member *member)
{
    put_u8(buffer, MEMBER_VERSION);
    put_member(buffer, member);
}

/* RR_OK behind a version that is known. */
static rr_status read_version(struct reader *reader)
{
    uint8_t version = reader_u8(reader);
    if (version > MEMBER_VERSION) {
        return RR_MISMATCH;
    }
    return version == 0 ? RR_CORRUPT : RR_OK;
}

rr_status member_decode(rr_bytes bytes, struct member *out)
{
    struct reader reader;
    reader_init(&reader, bytes);
    rr_status status = read_version(&reader);
    if (status != RR_OK) {
        return status;
    }
    struct member member;
    if (!read_member(&reader, &member) || !reader_done(&reader)) {
        return RR_CORRUPT;
    }
    *out = member;
    return RR_OK;
}

void member_list_encode(struct buffer *buffer, const struct member_list *list)
{
    ASSERT(list->count <= RAFT_MEMBERS_MAX);
    ASSERT(list->removed_count <= MEMBERS_REMOVED_MAX);
    put_u8(buffer, MEMBER_VERSION);
    put_varint(buffer, list->count);
    for (uint32_t i = 0; i < list->count; i++) {
        put_member(buffer, &list->members[i]);
    }
    put_varint(buffer, list->removed_count);
    for (uint32_t i = 0; i < list->removed_count; i++) {
        put_varint(buffer, list->removed[i].id);
        put_u64(buffer, list->removed[i].incarnation);
    }
}

static bool read_members(struct reader *reader, struct member_list *list)
{
    uint64_t count = reader_varint(reader);
    if (count > RAFT_MEMBERS_MAX) {
        return false;
    }
    uint64_t previous = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct member *member = &list->members[i];
        if (!read_member(reader, member) || member->id <= previous) {
            return false;
        }
        previous = member->id;
    }
    list->count = (uint32_t)count;
    return true;
}

static bool read_removed(struct reader *reader, struct member_list *list)
{
    uint64_t count = reader_varint(reader);
    if (count > MEMBERS_REMOVED_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct removed_member removed = {.id = reader_varint(reader)};
        removed.incarnation = reader_u64(reader);
        if (removed.id == 0 || member_list_find(list, removed.id) != NULL ||
            member_list_find_removed(list, removed.id) != NULL) {
            return false;
        }
        list->removed[list->removed_count++] = removed;
    }
    return true;
}

rr_status member_list_decode(rr_bytes bytes, struct member_list *out)
{
    struct reader reader;
    reader_init(&reader, bytes);
    rr_status status = read_version(&reader);
    if (status != RR_OK) {
        return status;
    }
    struct member_list list = {0};
    if (!read_members(&reader, &list) || !read_removed(&reader, &list) || !reader_done(&reader)) {
        return RR_CORRUPT;
    }
    *out = list;
    return RR_OK;
}

struct member *member_list_find(struct member_list *list, uint64_t id)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->members[i].id == id) {
            return &list->members[i];
        }
    }
    return NULL;
}

const struct removed_member *member_list_find_removed(const struct member_list *list, uint64_t id)
{
    for (uint32_t i = 0; i < list->removed_count; i++) {
        if (list->removed[i].id == id) {
            return &list->removed[i];
        }
    }
    return NULL;
}

static void forget_removed(struct member_list *list, uint32_t at)
{
    ASSERT(at < list->removed_count);
    list->removed_count--;
    memmove(&list->removed[at], &list->removed[at + 1],
            (list->removed_count - at) * sizeof(list->removed[0]));
}

rr_status member_list_put(struct member_list *list, const struct member *member)
{
    ASSERT(member->id != 0);
    struct member *present = member_list_find(list, member->id);
    if (present != NULL) {
        *present = *member;
        return RR_OK;
    }
    if (list->count == RAFT_MEMBERS_MAX) {
        return RR_CONFLICT;
    }
    uint32_t at = list->count;
    while (at > 0 && list->members[at - 1].id > member->id) {
        list->members[at] = list->members[at - 1];
        at--;
    }
    list->members[at] = *member;
    list->count++;
    const struct removed_member *removed = member_list_find_removed(list, member->id);
    if (removed != NULL) {
        forget_removed(list, (uint32_t)(removed - list->removed));
    }
    return RR_OK;
}

bool member_list_remove(struct member_list *list, uint64_t id)
{
    struct member *member = member_list_find(list, id);
    if (member == NULL) {
        return false;
    }
    if (list->removed_count == MEMBERS_REMOVED_MAX) {
        forget_removed(list, 0);
    }
    list->removed[list->removed_count++] =
        (struct removed_member){.id = id, .incarnation = member->incarnation};
    uint32_t at = (uint32_t)(member - list->members);
    list->count--;
    memmove(&list->members[at], &list->members[at + 1],
            (list->count - at) * sizeof(list->members[0]));
    return true;
}
