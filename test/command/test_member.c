#include "support/test.h"

#include "command/member.h"

#include <stdio.h>
#include <string.h>

static struct member member_of(uint64_t id)
{
    struct member member;
    char address[32];
    snprintf(address, sizeof(address), "host-%llu:7000", (unsigned long long)id);
    CHECK_OK(member_set(&member, id, RR_VOTER, address, id * 100));
    return member;
}

TEST(member, comes_back_as_it_was_encoded)
{
    struct buffer buffer;
    buffer_init(&buffer);
    struct member member = member_of(3);
    member.role = RR_LEARNER;
    member.promote = true;
    member_encode(&buffer, &member);
    struct member decoded;
    CHECK_OK(member_decode(buffer_bytes(&buffer), &decoded));
    CHECK_EQ(decoded.id, 3);
    CHECK_EQ(decoded.incarnation, 300);
    CHECK_EQ(decoded.role, RR_LEARNER);
    CHECK(decoded.promote);
    CHECK_TEXT(decoded.address, "host-3:7000");
    for (size_t size = 0; size < buffer.size; size++) {
        CHECK_STATUS(member_decode((rr_bytes){buffer.data, size}, &decoded), RR_CORRUPT);
    }
    buffer.data[0] = 2;
    CHECK_STATUS(member_decode(buffer_bytes(&buffer), &decoded), RR_MISMATCH);
    buffer_deinit(&buffer);
}

TEST(member, has_an_id_and_a_printable_address)
{
    struct member member;
    char text[ADDRESS_BYTES_MAX + 2];
    memset(text, 'a', sizeof(text));
    text[ADDRESS_BYTES_MAX + 1] = '\0';
    CHECK_STATUS(member_set(&member, 1, RR_VOTER, text, 0), RR_INVALID);
    text[ADDRESS_BYTES_MAX] = '\0';
    CHECK_OK(member_set(&member, 1, RR_VOTER, text, 0));
    CHECK_STATUS(member_set(&member, 0, RR_VOTER, "a:1", 0), RR_INVALID);
    CHECK_STATUS(member_set(&member, 1, RR_VOTER, "", 0), RR_INVALID);
    CHECK_STATUS(member_set(&member, 1, RR_VOTER, NULL, 0), RR_INVALID);
    CHECK_STATUS(member_set(&member, 1, RR_VOTER, "a\n:1", 0), RR_INVALID);
    CHECK_STATUS(member_set(&member, 1, (rr_member_role)2, "a:1", 0), RR_INVALID);
}

TEST(member_list, stays_sorted_and_remembers_who_was_removed)
{
    static struct member_list list;
    list = (struct member_list){0};
    for (uint64_t id = 5; id > 0; id--) {
        struct member member = member_of(id);
        CHECK_OK(member_list_put(&list, &member));
    }
    CHECK(member_list_remove(&list, 2));
    CHECK(!member_list_remove(&list, 2));
    CHECK(member_list_find(&list, 2) == NULL);
    CHECK_EQ(member_list_find_removed(&list, 2)->incarnation, 200);

    struct buffer buffer;
    buffer_init(&buffer);
    member_list_encode(&buffer, &list);
    static struct member_list decoded;
    CHECK_OK(member_list_decode(buffer_bytes(&buffer), &decoded));
    CHECK_EQ(decoded.count, 4);
    static const uint64_t ids[] = {1, 3, 4, 5};
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(decoded.members[i].id, ids[i]);
    }
    CHECK_EQ(decoded.removed_count, 1);
    for (size_t size = 0; size < buffer.size; size++) {
        CHECK_STATUS(member_list_decode((rr_bytes){buffer.data, size}, &decoded), RR_CORRUPT);
    }
    buffer_deinit(&buffer);

    struct member back = member_of(2);
    CHECK_OK(member_list_put(&list, &back));
    CHECK(member_list_find_removed(&list, 2) == NULL);
    CHECK_EQ(list.members[1].id, 2);
}

TEST(member_list, is_bounded_in_members_and_in_memory_of_removed_ones)
{
    static struct member_list list;
    list = (struct member_list){0};
    for (uint64_t id = 1; id <= RAFT_MEMBERS_MAX; id++) {
        struct member member = member_of(id);
        CHECK_OK(member_list_put(&list, &member));
    }
    struct member extra = member_of(1000);
    CHECK_STATUS(member_list_put(&list, &extra), RR_CONFLICT);
    struct member same = member_of(1);
    CHECK_OK(member_list_put(&list, &same));
    for (uint64_t id = 1001; id <= 1001 + MEMBERS_REMOVED_MAX; id++) {
        CHECK(member_list_remove(&list, id == 1001 ? 1 : id - 1));
        struct member member = member_of(id);
        CHECK_OK(member_list_put(&list, &member));
    }
    CHECK_EQ(list.count, RAFT_MEMBERS_MAX);
    CHECK_EQ(list.removed_count, MEMBERS_REMOVED_MAX);
    CHECK(member_list_find_removed(&list, 1) == NULL);
    CHECK(member_list_find_removed(&list, 1001) != NULL);
}

TEST(member_list, refuses_ids_twice_or_out_of_order)
{
    static struct member_list list;
    static struct member_list decoded;
    list = (struct member_list){.count = 2, .members = {member_of(2), member_of(2)}};
    struct buffer buffer;
    buffer_init(&buffer);
    member_list_encode(&buffer, &list);
    CHECK_STATUS(member_list_decode(buffer_bytes(&buffer), &decoded), RR_CORRUPT);
    list.members[1] = member_of(1);
    buffer_clear(&buffer);
    member_list_encode(&buffer, &list);
    CHECK_STATUS(member_list_decode(buffer_bytes(&buffer), &decoded), RR_CORRUPT);
    list.members[1] = member_of(3);
    list.removed_count = 1;
    list.removed[0].id = 3;
    buffer_clear(&buffer);
    member_list_encode(&buffer, &list);
    CHECK_STATUS(member_list_decode(buffer_bytes(&buffer), &decoded), RR_CORRUPT);
    buffer_deinit(&buffer);
}
