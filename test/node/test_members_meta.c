/* The configuration with addresses as bytes, and how entries change it. */
#include "node/members_meta.h"

#include "support/test.h"

#include <string.h>

static struct member a_member(uint64_t id, rr_member_role role, bool promote)
{
    struct member member;
    CHECK_OK(member_set(&member, id, role, "127.0.0.1:7000", 100 + id));
    member.promote = promote;
    return member;
}

static void found(struct members_meta *meta)
{
    struct member founder = a_member(1, RR_VOTER, false);
    members_meta_found(meta, 42, &founder, 1, 1);
}

/* Applies a change of one member; `record` may be NULL. */
static rr_status change_one(struct members_meta *meta, raft_index index,
                            enum raft_conf_operation_type type, uint64_t id,
                            const struct member *record)
{
    struct raft_conf_change change = {.count = 1};
    change.operations[0].type = type;
    change.operations[0].id = id;
    change.operations[0].incarnation = 100 + id;
    struct buffer context;
    buffer_init(&context);
    if (record != NULL) {
        members_context_encode(&context, record);
    }
    change.context = buffer_bytes(&context);
    rr_status status = members_meta_change(meta, index, 3, &change);
    buffer_deinit(&context);
    return status;
}

static void add_learner(struct members_meta *meta, raft_index index, uint64_t id)
{
    struct member member = a_member(id, RR_LEARNER, true);
    CHECK_OK(change_one(meta, index, RAFT_CONF_ADD_LEARNER, id, &member));
}

TEST(members_meta, a_founder_is_the_one_voter)
{
    struct members_meta meta;
    found(&meta);
    CHECK_EQ(meta.cluster, 42);
    CHECK_EQ(meta.index, 1);
    CHECK_EQ(members_meta_voters(&meta), 1);
    CHECK(raft_configuration_valid(&meta.configuration));
    CHECK_EQ(member_list_find(&meta.list, 1)->role, RR_VOTER);
}

TEST(members_meta, roles_follow_the_configuration)
{
    struct members_meta meta;
    found(&meta);
    add_learner(&meta, 5, 2);
    const struct member *second = member_list_find(&meta.list, 2);
    CHECK_EQ(second->role, RR_LEARNER);
    CHECK(second->promote);
    CHECK_EQ(members_meta_voters(&meta), 1);
    CHECK_OK(change_one(&meta, 6, RAFT_CONF_ADD_VOTER, 2, NULL));
    CHECK_EQ(second->role, RR_VOTER);
    CHECK(!second->promote);
    CHECK_EQ(members_meta_voters(&meta), 2);
    CHECK_EQ(meta.index, 6);
    CHECK_EQ(meta.term, 3);
}

TEST(members_meta, a_removed_member_is_remembered_by_its_disk)
{
    struct members_meta meta;
    found(&meta);
    add_learner(&meta, 5, 2);
    CHECK_OK(change_one(&meta, 6, RAFT_CONF_REMOVE, 2, NULL));
    CHECK(member_list_find(&meta.list, 2) == NULL);
    CHECK_EQ(member_list_find_removed(&meta.list, 2)->incarnation, 102);
    add_learner(&meta, 7, 2);
    CHECK(member_list_find_removed(&meta.list, 2) == NULL);
}

TEST(members_meta, what_cannot_follow_changes_nothing)
{
    struct members_meta meta;
    struct members_meta before;
    found(&meta);
    before = meta;
    /* The last voter goes. */
    CHECK_STATUS(change_one(&meta, 5, RAFT_CONF_REMOVE, 1, NULL), RR_CORRUPT);
    /* Nobody knows where it is. */
    CHECK_STATUS(change_one(&meta, 5, RAFT_CONF_ADD_LEARNER, 2, NULL), RR_CORRUPT);
    /* The context is of a member that the entry does not add. */
    struct member third = a_member(3, RR_LEARNER, true);
    CHECK_STATUS(change_one(&meta, 5, RAFT_CONF_ADD_LEARNER, 2, &third), RR_CORRUPT);
    struct raft_conf_change malformed = {.count = 1};
    malformed.operations[0].type = RAFT_CONF_ADD_LEARNER;
    malformed.operations[0].id = 2;
    malformed.context = test_bytes_of("nonsense");
    CHECK_STATUS(members_meta_change(&meta, 5, 1, &malformed), RR_CORRUPT);
    CHECK_EQ(memcmp(&before, &meta, sizeof(meta)), 0);
}

TEST(members_meta, comes_back_from_its_bytes)
{
    struct members_meta meta;
    struct members_meta read;
    struct buffer bytes;
    buffer_init(&bytes);
    found(&meta);
    add_learner(&meta, 5, 9);
    add_learner(&meta, 6, 4);
    CHECK_OK(change_one(&meta, 7, RAFT_CONF_REMOVE, 9, NULL));
    members_meta_encode(&bytes, &meta);
    CHECK_OK(members_meta_decode(buffer_bytes(&bytes), &read));
    CHECK_EQ(read.cluster, meta.cluster);
    CHECK_EQ(read.index, meta.index);
    CHECK_EQ(read.term, meta.term);
    CHECK(raft_configuration_equal(&read.configuration, &meta.configuration));
    CHECK_EQ(read.list.count, 2);
    CHECK_EQ(read.list.removed_count, 1);
    CHECK_TEXT(member_list_find(&read.list, 4)->address, "127.0.0.1:7000");
    buffer_deinit(&bytes);
}

TEST(members_meta, empty_bytes_know_no_cluster)
{
    struct members_meta meta;
    CHECK_OK(members_meta_decode((rr_bytes){NULL, 0}, &meta));
    CHECK_EQ(meta.cluster, 0);
    CHECK_EQ(meta.configuration.count, 0);
}

TEST(members_meta, damaged_bytes_are_refused)
{
    struct members_meta meta;
    struct members_meta read;
    struct buffer bytes;
    buffer_init(&bytes);
    found(&meta);
    add_learner(&meta, 5, 2);
    members_meta_encode(&bytes, &meta);
    for (size_t size = 1; size < bytes.size; size++) {
        CHECK_STATUS(members_meta_decode((rr_bytes){bytes.data, size}, &read), RR_CORRUPT);
    }
    for (size_t at = 0; at < bytes.size; at++) { /* whatever it says, it harms nobody */
        bytes.data[at] ^= 0x5a;
        (void)!members_meta_decode(buffer_bytes(&bytes), &read);
        bytes.data[at] ^= 0x5a;
    }
    bytes.data[0] = 2;
    CHECK_STATUS(members_meta_decode(buffer_bytes(&bytes), &read), RR_MISMATCH);
    buffer_deinit(&bytes);
}
