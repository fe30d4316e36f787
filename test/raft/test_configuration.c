#include "raft/configuration.h"

#include <string.h>

#include "base/random.h"
#include "support/test.h"

enum { IDS = 8 };

static struct raft_conf_change random_change(struct random *random)
{
    struct raft_conf_change change;
    memset(&change, 0, sizeof(change));
    change.transition = (enum raft_conf_transition)random_below(random, 3);
    change.count = (uint32_t)random_below(random, 5);
    for (uint32_t i = 0; i < change.count; i++) {
        change.operations[i].type = (enum raft_conf_operation_type)random_below(random, 4);
        change.operations[i].id = random_below(random, IDS + 1);
        change.operations[i].incarnation = random_below(random, 3);
    }
    return change;
}

static uint32_t voters(const struct raft_configuration *configuration, uint8_t half)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < configuration->count; i++) {
        if ((configuration->members[i].flags & half) != 0) {
            set |= 1u << configuration->members[i].id;
        }
    }
    return set;
}

static bool is_majority(uint32_t set, uint32_t of)
{
    return 2 * __builtin_popcount(set & of) > __builtin_popcount(of);
}

/* Whether some set of nodes wins in `a` while all others win in `b`. */
static bool two_could_win(const struct raft_configuration *a, const struct raft_configuration *b)
{
    uint32_t halves[2][2] = {
        {voters(a, RAFT_MEMBER_INCOMING), voters(a, RAFT_MEMBER_OUTGOING)},
        {voters(b, RAFT_MEMBER_INCOMING), voters(b, RAFT_MEMBER_OUTGOING)},
    };
    for (uint32_t set = 0; set < 1u << (IDS + 1); set++) {
        bool wins_a =
            is_majority(set, halves[0][0]) && (halves[0][1] == 0 || is_majority(set, halves[0][1]));
        bool wins_b = is_majority(~set, halves[1][0]) &&
                      (halves[1][1] == 0 || is_majority(~set, halves[1][1]));
        if (wins_a && wins_b) {
            return true;
        }
    }
    return false;
}

TEST(configuration, quorums_before_and_after_any_change_have_a_member_in_common)
{
    struct random random;
    random_init(&random, test_seed(2));
    struct raft_configuration configuration;
    memset(&configuration, 0, sizeof(configuration));
    configuration.count = 1;
    configuration.members[0].id = 1;
    configuration.members[0].flags = RAFT_MEMBER_INCOMING;
    struct raft_configuration older = configuration;
    int apart = 0; /* pairs with two majorities that do not meet */
    int changed = 0;
    for (int round = 0; round < 3000; round++) {
        struct raft_conf_change change = random_change(&random);
        struct raft_configuration next;
        memset(&next, 0xAB, sizeof(next));
        struct raft_configuration untouched = next;
        if (raft_configuration_change(&configuration, &change, &next) != RAFT_CONF_OK) {
            CHECK(memcmp(&next, &untouched, sizeof(next)) == 0);
            continue;
        }
        CHECK(raft_configuration_valid(&next));
        CHECK(!two_could_win(&configuration, &next));
        CHECK(!two_could_win(&next, &configuration));
        CHECK(raft_configuration_adjacent(&configuration, &next));
        if (two_could_win(&older, &next)) {
            CHECK(!raft_configuration_adjacent(&older, &next));
            apart++;
        }
        older = configuration;
        configuration = next;
        changed++;
    }
    CHECK_GT(changed, 300);
    CHECK_GT(apart, 10);
}

TEST(configuration, a_change_survives_encoding_and_no_prefix_of_it_is_readable)
{
    struct random random;
    random_init(&random, test_seed(3));
    for (int round = 0; round < 500; round++) {
        struct raft_conf_change change = random_change(&random);
        change.context = test_bytes_of("host:1");
        struct raft_entry *entry = raft_conf_change_entry(RAFT_ENTRY_CONF_CHANGE_V2, &change);
        struct raft_conf_change read;
        CHECK_OK(raft_conf_change_decode((rr_bytes){entry->data, entry->size}, &read));
        CHECK_EQ(read.transition, change.transition);
        CHECK_EQ(read.count, change.count);
        CHECK(memcmp(read.operations, change.operations,
                     change.count * sizeof(change.operations[0])) == 0);
        CHECK_BYTES(read.context, change.context);
        for (uint32_t size = 1; size < entry->size; size++) {
            CHECK_STATUS(raft_conf_change_decode((rr_bytes){entry->data, size}, &read), RR_CORRUPT);
        }
        raft_entry_unref(entry);
    }
}

TEST(configuration, an_empty_payload_leaves_the_joint_configuration)
{
    struct raft_conf_change change;
    CHECK_OK(raft_conf_change_decode((rr_bytes){NULL, 0}, &change));
    CHECK(raft_conf_change_leaves_joint(&change));
    CHECK(!raft_conf_change_enters_joint(&change));
}

TEST(configuration, refuses_bytes_that_are_no_change)
{
    struct raft_conf_change change;
    const uint8_t version[] = {2, 0, 0, 0};
    const uint8_t transition[] = {1, 3, 0, 0};
    const uint8_t operation[] = {1, 0, 1, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    const uint8_t count[] = {1, 0, 0xFF, 0xFF, 0x03};
    CHECK_STATUS(raft_conf_change_decode((rr_bytes){version, sizeof(version)}, &change),
                 RR_CORRUPT);
    CHECK_STATUS(raft_conf_change_decode((rr_bytes){transition, sizeof(transition)}, &change),
                 RR_CORRUPT);
    CHECK_STATUS(raft_conf_change_decode((rr_bytes){operation, sizeof(operation)}, &change),
                 RR_CORRUPT);
    CHECK_STATUS(raft_conf_change_decode((rr_bytes){count, sizeof(count)}, &change), RR_CORRUPT);
}

TEST(configuration, refuses_more_members_than_a_group_can_have)
{
    struct raft_configuration configuration;
    memset(&configuration, 0, sizeof(configuration));
    struct raft_conf_operation operation = {.type = RAFT_CONF_ADD_VOTER};
    for (raft_id id = 1; id <= RAFT_MEMBERS_MAX; id++) {
        operation.id = RAFT_MEMBERS_MAX + 1 - id;
        CHECK_EQ(raft_configuration_simple(&configuration, &operation, 1, &configuration),
                 RAFT_CONF_OK);
    }
    CHECK_EQ(configuration.members[0].id, 1);
    operation.id = 99;
    CHECK_EQ(raft_configuration_simple(&configuration, &operation, 1, &configuration),
             RAFT_CONF_TOO_MANY_MEMBERS);
    char text[RAFT_CONFIGURATION_TEXT_MAX];
    raft_configuration_text(&configuration, text, sizeof(text));
    CHECK(text[strlen(text) - 1] == ')');
}

TEST(configuration, knows_configurations_that_cannot_exist)
{
    struct raft_configuration one;
    memset(&one, 0, sizeof(one));
    CHECK(raft_configuration_valid(&one));
    one.count = 2;
    one.members[0] = (struct raft_member){1, 0, RAFT_MEMBER_INCOMING};
    one.members[1] = (struct raft_member){2, 0, RAFT_MEMBER_LEARNER};
    CHECK(raft_configuration_valid(&one));
    struct raft_configuration bad = one;
    bad.members[1].id = 1;
    CHECK(!raft_configuration_valid(&bad));
    bad = one;
    bad.members[0].id = RAFT_NO_ID;
    CHECK(!raft_configuration_valid(&bad));
    bad = one;
    bad.members[0].flags = RAFT_MEMBER_LEARNER;
    CHECK(!raft_configuration_valid(&bad));
    bad = one;
    bad.members[1].flags = RAFT_MEMBER_LEARNER | RAFT_MEMBER_INCOMING;
    CHECK(!raft_configuration_valid(&bad));
    bad = one;
    bad.auto_leave = true;
    CHECK(!raft_configuration_valid(&bad));
    bad = one;
    bad.count = RAFT_MEMBERS_MAX + 1;
    CHECK(!raft_configuration_valid(&bad));
}

TEST(configuration, a_member_that_is_removed_and_added_is_new_unless_it_votes_on)
{
    struct raft_conf_change change;
    memset(&change, 0, sizeof(change));
    change.count = 2;
    change.operations[0] = (struct raft_conf_operation){RAFT_CONF_REMOVE, 2, 0};
    change.operations[1] = (struct raft_conf_operation){RAFT_CONF_ADD_LEARNER, 2, 0};
    struct raft_member learner = {2, 0, RAFT_MEMBER_LEARNER};
    struct raft_member voter = {2, 0, RAFT_MEMBER_OUTGOING | RAFT_MEMBER_LEARNER_NEXT};
    struct raft_member other = {3, 0, RAFT_MEMBER_LEARNER};
    CHECK(raft_conf_change_renews(&change, &learner));
    CHECK(!raft_conf_change_renews(&change, &voter));
    CHECK(!raft_conf_change_renews(&change, &other));
}
