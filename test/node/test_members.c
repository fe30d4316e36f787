/* ctest: timeout=180
 * Founding, joining, leaving, coming back, handing over: nodes of one cluster in this process. */
#include "members_helpers.h"

#include <pthread.h>
#include <string.h>

enum { SHORT_MS = 1500, LONG_MS = CLUSTER_PATIENCE_MS };

/* Nodes 1 to `count` of a cluster for five: the others' places are prepared. */
static void open_some(struct cluster *cluster, size_t count)
{
    cluster_prepare(cluster, CLUSTER_NODES_MAX);
    for (uint64_t id = 1; id <= count; id++) {
        cluster_open_node(cluster, id);
        await_member(cluster, id);
    }
    for (uint64_t at = 1; at <= count; at++) {
        for (uint64_t id = 1; id <= count; id++) {
            await_role(cluster, at, id, RR_VOTER);
        }
    }
}

static const char *address_of(struct cluster *cluster, uint64_t id)
{
    return cluster->nodes[id - 1].address;
}

/* ---- Founding ---- */

TEST(members, three_nodes_join_one_after_another)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    cluster_set(&cluster, 1, "a", "1");
    cluster_expect(&cluster, 2, "a", "1", RR_READ_LINEARIZABLE);
    cluster_expect(&cluster, 3, "a", "1", RR_READ_LINEARIZABLE);
    cluster_set(&cluster, 3, "b", "2");
    cluster_expect(&cluster, 1, "b", "2", RR_READ_LINEARIZABLE);
    expect_equal_states(&cluster);
    cluster_close(&cluster);
}

TEST(members, a_cluster_is_founded_once)
{
    struct cluster cluster;
    rr_node_info first;
    open_some(&cluster, 1);
    cluster_leader(&cluster);
    cluster_info(&cluster, 1, &first);
    CHECK(first.cluster_id != 0);
    CHECK_EQ(first.membership_index, 1);
    CHECK_EQ(first.membership_term, 1);
    for (int i = 0; i < 3; i++) {
        rr_node_info info;
        cluster_close_node(&cluster, 1);
        cluster_open_node(&cluster, 1);
        await_member(&cluster, 1);
        cluster_info(&cluster, 1, &info);
        CHECK_EQ(info.cluster_id, first.cluster_id);
        CHECK_EQ(info.membership_index, 1);
    }
    cluster_close(&cluster);
}

TEST(members, a_node_that_may_not_found_waits_to_be_added)
{
    struct cluster cluster;
    char error[512] = "";
    open_some(&cluster, 1);
    open_waiting(&cluster, 2);
    CHECK_STATUS(rr_node_await_member(cluster_node(&cluster, 2), 50, error, sizeof(error)),
                 RR_TIMEOUT);
    CHECK(strstr(error, "waiting to be added") != NULL);
    rr_node_info info;
    cluster_info(&cluster, 2, &info);
    CHECK_EQ(info.cluster_id, 0);
    CHECK_EQ(info.role, RR_ROLE_LEARNER);
    CHECK_OK(rr_node_add_wait(cluster_node(&cluster, 1), 2, address_of(&cluster, 2), RR_VOTER,
                              LONG_MS, error, sizeof(error)));
    await_member(&cluster, 2);
    cluster_set(&cluster, 2, "a", "1");
    cluster_close(&cluster);
}

/* ---- Joining ---- */

TEST(members, a_node_joins_through_any_member)
{
    struct cluster cluster;
    open_some(&cluster, 2);
    const char *join[] = {address_of(&cluster, 3), "127.0.0.1:1", address_of(&cluster, 2)};
    open_joining(&cluster, 3, join, 3);
    await_member(&cluster, 3);
    await_role(&cluster, 1, 3, RR_VOTER);
    cluster_close(&cluster);
}

TEST(members, adding_a_member_again_changes_nothing)
{
    struct cluster cluster;
    char error[512] = "";
    open_some(&cluster, 2);
    rr_node_info before;
    cluster_info(&cluster, 1, &before);
    for (uint64_t at = 1; at <= 2; at++) {
        CHECK_OK(rr_node_add_wait(cluster_node(&cluster, at), 2, "192.0.2.1:99", RR_VOTER, LONG_MS,
                                  error, sizeof(error)));
        CHECK_OK(rr_node_add_wait(cluster_node(&cluster, at), 1, "192.0.2.1:98", RR_VOTER, LONG_MS,
                                  error, sizeof(error)));
    }
    rr_node_info after;
    cluster_info(&cluster, 1, &after);
    CHECK_EQ(after.membership_index, before.membership_index);
    rr_member member;
    CHECK(find_member(&cluster, 1, 2, &member));
    CHECK_TEXT(member.address, address_of(&cluster, 2));
    cluster_close(&cluster);
}

TEST(members, nodes_that_join_at_the_same_time_all_get_in)
{
    struct cluster cluster;
    cluster_prepare(&cluster, 5);
    const char *join[5];
    for (int i = 0; i < 5; i++) {
        join[i] = cluster.nodes[i].address;
    }
    for (uint64_t id = 5; id >= 2; id--) {
        open_joining(&cluster, id, join, 5); /* before there is anything to join */
    }
    cluster_open_node(&cluster, 1);
    for (uint64_t id = 1; id <= 5; id++) {
        await_member(&cluster, id);
    }
    for (uint64_t at = 1; at <= 5; at++) {
        for (uint64_t id = 1; id <= 5; id++) {
            await_role(&cluster, at, id, RR_VOTER);
        }
    }
    cluster_set(&cluster, 4, "a", "1");
    expect_equal_states(&cluster);
    cluster_close(&cluster);
}

TEST(members, a_restarted_member_does_not_join_again)
{
    struct cluster cluster;
    open_some(&cluster, 3);
    rr_node_info before;
    cluster_info(&cluster, 1, &before);
    cluster_close_node(&cluster, 3);
    const char *join[] = {"127.0.0.1:1"};
    open_joining(&cluster, 3, join, 1);
    await_member(&cluster, 3);
    cluster_set(&cluster, 3, "a", "1");
    rr_node_info after;
    cluster_info(&cluster, 1, &after);
    CHECK_EQ(after.membership_index, before.membership_index);
    cluster_close(&cluster);
}

TEST(members, adding_a_node_that_is_not_there_harms_nobody)
{
    struct cluster cluster;
    char error[512] = "";
    open_some(&cluster, 1);
    rr_node_info before;
    cluster_info(&cluster, 1, &before);
    CHECK_STATUS(rr_node_add_wait(cluster_node(&cluster, 1), 2, address_of(&cluster, 2), RR_VOTER,
                                  SHORT_MS, error, sizeof(error)),
                 RR_TIMEOUT);
    CHECK(strstr(error, "nothing was changed") != NULL);
    CHECK(strstr(error, address_of(&cluster, 2)) != NULL);
    cluster_set(&cluster, 1, "a", "1");
    rr_node_info after;
    cluster_info(&cluster, 1, &after);
    CHECK_EQ(after.membership_index, before.membership_index);
    CHECK_STATUS(rr_node_add_wait(cluster_node(&cluster, 1), 2, "nonsense", RR_VOTER, SHORT_MS,
                                  error, sizeof(error)),
                 RR_INVALID);
    cluster_close(&cluster);
}

TEST(members, the_node_at_the_address_must_be_the_one_that_is_added)
{
    struct cluster cluster;
    char error[512] = "";
    open_some(&cluster, 1);
    open_waiting(&cluster, 2);
    CHECK_STATUS(rr_node_add_wait(cluster_node(&cluster, 1), 3, address_of(&cluster, 2), RR_VOTER,
                                  LONG_MS, error, sizeof(error)),
                 RR_MISMATCH);
    CHECK(strstr(error, "there is node 2") != NULL);
    cluster_close(&cluster);
}

TEST(members, a_learner_does_not_vote_until_it_is_made_a_voter)
{
    struct cluster cluster;
    char error[512] = "";
    open_some(&cluster, 1);
    open_waiting(&cluster, 2);
    rr_node *leader = cluster_node(&cluster, 1);
    CHECK_OK(rr_node_add_wait(leader, 2, address_of(&cluster, 2), RR_LEARNER, LONG_MS, error,
                              sizeof(error)));
    await_role(&cluster, 2, 2, RR_LEARNER);
    await_member(&cluster, 2);
    CHECK_OK(rr_node_add_wait(leader, 2, address_of(&cluster, 2), RR_LEARNER, LONG_MS, error,
                              sizeof(error)));
    cluster_close_node(&cluster, 2);
    cluster_set(&cluster, 1, "a", "1"); /* nobody counts on it */
    open_waiting(&cluster, 2);
    cluster_expect(&cluster, 2, "a", "1", RR_READ_LINEARIZABLE);
    rr_node_info info;
    cluster_info(&cluster, 2, &info);
    CHECK_EQ(info.role, RR_ROLE_LEARNER);
    CHECK_EQ(info.incoming_count, 1);
    CHECK_OK(rr_node_add_wait(leader, 2, address_of(&cluster, 2), RR_VOTER, LONG_MS, error,
                              sizeof(error)));
    await_role(&cluster, 2, 2, RR_VOTER);
    CHECK_STATUS(rr_node_add_wait(leader, 2, address_of(&cluster, 2), RR_LEARNER, LONG_MS, error,
                                  sizeof(error)),
                 RR_CONFLICT);
    cluster_close(&cluster);
}

TEST(members, a_learner_out_of_reach_never_becomes_a_voter_before_it_is_back)
{
    struct cluster cluster;
    char error[512] = "";
    open_some(&cluster, 1);
    open_waiting(&cluster, 2);
    rr_node *leader = cluster_node(&cluster, 1);
    CHECK_OK(rr_node_add_wait(leader, 2, address_of(&cluster, 2), RR_LEARNER, LONG_MS, error,
                              sizeof(error)));
    await_role(&cluster, 2, 2, RR_LEARNER);
    cluster_close_node(&cluster, 2);
    /* Until it counts as gone, it may still count as one that keeps pace: give it no chance. */
    write_many(&cluster, 1, "fill", 5000, 10);
    CHECK_STATUS(rr_node_add_wait(leader, 2, address_of(&cluster, 2), RR_VOTER, SHORT_MS, error,
                                  sizeof(error)),
                 RR_TIMEOUT);
    CHECK(strstr(error, "is a learner and becomes a voter") != NULL);
    cluster_set(&cluster, 1, "a", "1");
    rr_member member;
    CHECK(find_member(&cluster, 1, 2, &member));
    CHECK_EQ(member.role, RR_LEARNER);
    open_waiting(&cluster, 2);
    await_role(&cluster, 1, 2, RR_VOTER);
    await_role(&cluster, 2, 2, RR_VOTER);
    cluster_expect(&cluster, 2, "a", "1", RR_READ_LINEARIZABLE);
    cluster_close(&cluster);
}

TEST(members, the_next_leader_goes_on_with_a_promotion)
{
    struct cluster cluster;
    char error[512] = "";
    open_some(&cluster, 3);
    open_waiting(&cluster, 4);
    CHECK_OK(rr_node_add_wait(cluster_node(&cluster, 2), 4, address_of(&cluster, 4), RR_LEARNER,
                              LONG_MS, error, sizeof(error)));
    await_role(&cluster, 4, 4, RR_LEARNER);
    cluster_close_node(&cluster, 4);
    write_many(&cluster, 1, "fill", 5000, 10);
    CHECK_STATUS(rr_node_add_wait(cluster_node(&cluster, 3), 4, address_of(&cluster, 4), RR_VOTER,
                                  SHORT_MS, error, sizeof(error)),
                 RR_TIMEOUT);
    uint64_t leader = cluster_leader(&cluster);
    cluster_close_node(&cluster, leader);
    open_waiting(&cluster, 4);
    uint64_t other = leader == 2 ? 3 : 2;
    await_role(&cluster, other, 4, RR_VOTER);
    cluster_close(&cluster);
}

/* ---- Leaving ---- */

TEST(members, exactly_the_named_node_is_removed)
{
    struct cluster cluster;
    char error[512] = "";
    open_some(&cluster, 3);
    uint64_t follower = cluster_follower(&cluster);
    uint64_t gone = follower == 3 ? 2 : 3;
    uint64_t leader = cluster_leader(&cluster);
    if (gone == leader) {
        gone = 6 - leader - follower;
    }
    CHECK_OK(
        rr_node_remove_wait(cluster_node(&cluster, follower), gone, LONG_MS, error, sizeof(error)));
    await_absent(&cluster, follower, gone);
    await_absent(&cluster, leader, gone);
    rr_node_info info;
    cluster_info(&cluster, leader, &info);
    CHECK_EQ(info.incoming_count, 2);
    CHECK_EQ(info.role, RR_LEADER);
    cluster_set(&cluster, follower, "a", "1");
    /* Once more, and one that never was. */
    CHECK_OK(rr_node_remove_wait(cluster_node(&cluster, leader), gone, LONG_MS, NULL, 0));
    CHECK_OK(rr_node_remove_wait(cluster_node(&cluster, leader), 77, LONG_MS, NULL, 0));
    cluster_close(&cluster);
}

TEST(members, a_removed_node_learns_of_it_and_can_come_back_with_its_data)
{
    struct cluster cluster;
    char error[512] = "";
    cluster_prepare(&cluster, 3);
    struct log_lines *lines = log_lines_of(&cluster, 3);
    cluster_open_all(&cluster);
    cluster_set(&cluster, 1, "a", "1");
    CHECK_OK(rr_node_remove_wait(cluster_node(&cluster, 1), 3, LONG_MS, error, sizeof(error)));
    await_line(lines, "was removed from cluster");
    cluster_set(&cluster, 1, "b", "2");
    CHECK_OK(rr_node_add_wait(cluster_node(&cluster, 2), 3, address_of(&cluster, 3), RR_VOTER,
                              LONG_MS, error, sizeof(error)));
    await_role(&cluster, 3, 3, RR_VOTER);
    cluster_expect(&cluster, 3, "a", "1", RR_READ_LINEARIZABLE);
    cluster_expect(&cluster, 3, "b", "2", RR_READ_LINEARIZABLE);
    expect_equal_states(&cluster);
    cluster_close(&cluster);
    log_lines_free(lines);
}

TEST(members, a_node_that_was_removed_while_it_was_down_is_told_by_the_others)
{
    struct cluster cluster;
    char error[512] = "";
    cluster_prepare(&cluster, 3);
    struct log_lines *lines = log_lines_of(&cluster, 3);
    cluster_open_all(&cluster);
    cluster_close_node(&cluster, 3);
    CHECK_OK(rr_node_remove_wait(cluster_node(&cluster, 1), 3, LONG_MS, error, sizeof(error)));
    open_waiting(&cluster, 3);
    await_line(lines, "the other members refuse this node");
    cluster_set(&cluster, 1, "a", "1");
    cluster_close(&cluster);
    log_lines_free(lines);
}

TEST(members, the_leader_can_be_removed)
{
    struct cluster cluster;
    char error[512] = "";
    open_some(&cluster, 3);
    for (int round = 0; round < 2; round++) {
        uint64_t leader = cluster_leader(&cluster);
        uint64_t follower = cluster_follower(&cluster);
        uint64_t asked = round == 0 ? leader : follower;
        CHECK_OK(rr_node_remove_wait(cluster_node(&cluster, asked), leader, LONG_MS, error,
                                     sizeof(error)));
        await_absent(&cluster, follower, leader);
        cluster_await_other_leader(&cluster, follower, leader);
        cluster_close_node(&cluster, leader);
        cluster_set(&cluster, follower, "a", round == 0 ? "1" : "2");
    }
    uint64_t last = cluster_leader(&cluster);
    CHECK_STATUS(
        rr_node_remove_wait(cluster_node(&cluster, last), last, LONG_MS, error, sizeof(error)),
        RR_CONFLICT);
    CHECK(strstr(error, "last voter") != NULL);
    cluster_expect(&cluster, last, "a", "2", RR_READ_LINEARIZABLE);
    cluster_close(&cluster);
}

TEST(members, a_removal_that_would_take_the_quorum_away_is_refused)
{
    struct cluster cluster;
    char error[512] = "";
    open_some(&cluster, 3);
    cluster_close_node(&cluster, 3);
    uint64_t leader = cluster_leader(&cluster);
    CHECK_STATUS(rr_node_remove_wait(cluster_node(&cluster, leader), 3 - leader, LONG_MS, error,
                                     sizeof(error)),
                 RR_CONFLICT);
    CHECK(strstr(error, "no majority") != NULL);
    CHECK_OK(rr_node_remove_wait(cluster_node(&cluster, leader), 3, LONG_MS, error, sizeof(error)));
    CHECK_OK(rr_node_remove_wait(cluster_node(&cluster, leader), 3 - leader, LONG_MS, error,
                                 sizeof(error)));
    cluster_set(&cluster, leader, "a", "1");
    cluster_close(&cluster);
}

/* ---- Wiped nodes and other clusters ---- */

TEST(members, a_wiped_node_is_refused_and_replaced_under_a_new_id)
{
    struct cluster cluster;
    char error[512] = "";
    open_some(&cluster, 3);
    cluster_set(&cluster, 1, "a", "1");
    cluster_close_node(&cluster, 3);
    wipe(&cluster, 3);
    cluster_open_node(&cluster, 3);
    CHECK_STATUS(rr_node_await_member(cluster_node(&cluster, 3), LONG_MS, error, sizeof(error)),
                 RR_MISMATCH);
    CHECK(strstr(error, "wiped") != NULL);
    CHECK(strstr(error, "new id") != NULL);
    rr_status status;
    CHECK(strstr(await_halt(&cluster, 3, &status), "wiped") != NULL);
    CHECK_STATUS(status, RR_MISMATCH);
    cluster_close_node(&cluster, 3);
    CHECK_OK(rr_node_remove_wait(cluster_node(&cluster, 1), 3, LONG_MS, error, sizeof(error)));
    /* Also now: the id is not used again. */
    cluster_open_node(&cluster, 3);
    CHECK_STATUS(rr_node_await_member(cluster_node(&cluster, 3), LONG_MS, error, sizeof(error)),
                 RR_MISMATCH);
    cluster_close_node(&cluster, 3);
    cluster_open_node(&cluster, 4);
    await_member(&cluster, 4);
    cluster_expect(&cluster, 4, "a", "1", RR_READ_LINEARIZABLE);
    cluster_close(&cluster);
}

TEST(members, a_wiped_node_that_waits_to_be_added_learns_it_from_the_others)
{
    struct cluster cluster;
    open_some(&cluster, 3);
    cluster_close_node(&cluster, 3);
    wipe(&cluster, 3);
    open_waiting(&cluster, 3);
    rr_status status;
    CHECK(strstr(await_halt(&cluster, 3, &status), "wiped") != NULL);
    CHECK_STATUS(status, RR_MISMATCH);
    cluster_close(&cluster);
}

TEST(members, a_wiped_founder_does_not_found_a_second_cluster_in_silence)
{
    struct cluster cluster;
    open_some(&cluster, 3);
    cluster_set(&cluster, 1, "a", "1");
    cluster_close_node(&cluster, 1);
    wipe(&cluster, 1);
    cluster_open_node(&cluster, 1);
    rr_status status;
    const char *reason = await_halt(&cluster, 1, &status);
    CHECK_STATUS(status, RR_MISMATCH);
    CHECK(strstr(reason, "wiped") != NULL);
    CHECK(strstr(reason, "founded a cluster of its own") != NULL);
    char error[512] = "";
    CHECK_STATUS(rr_node_await_member(cluster_node(&cluster, 1), LONG_MS, error, sizeof(error)),
                 RR_MISMATCH);
    cluster_expect(&cluster, 2, "a", "1", RR_READ_LINEARIZABLE);
    cluster_close(&cluster);
}

TEST(members, a_founder_whose_addresses_belong_to_another_cluster_stops)
{
    struct cluster cluster;
    open_some(&cluster, 2);
    open_joining(&cluster, 3, NULL, 0); /* founds a cluster of its own */
    await_member(&cluster, 3);
    cluster_close_node(&cluster, 3);
    const char *join[] = {address_of(&cluster, 2)};
    open_joining(&cluster, 3, join, 1);
    rr_status status;
    const char *reason = await_halt(&cluster, 3, &status);
    CHECK_STATUS(status, RR_MISMATCH);
    CHECK(strstr(reason, "belongs to another one") != NULL);
    cluster_set(&cluster, 1, "a", "1");
    cluster_close(&cluster);
}

TEST(members, a_member_that_meets_nobody_but_another_cluster_stops)
{
    struct cluster cluster;
    open_some(&cluster, 2);
    open_joining(&cluster, 3, NULL, 0);
    await_member(&cluster, 3);
    cluster_close_node(&cluster, 1);
    cluster_close_node(&cluster, 2);
    const char *join[] = {address_of(&cluster, 3)};
    open_joining(&cluster, 2, join, 1);
    rr_status status;
    const char *reason = await_halt(&cluster, 2, &status);
    CHECK_STATUS(status, RR_MISMATCH);
    CHECK(strstr(reason, "belongs to another one") != NULL);
    cluster_set(&cluster, 3, "a", "1");
    cluster_close(&cluster);
}

TEST(members, a_member_among_its_own_goes_on_though_an_address_is_out_of_date)
{
    struct cluster cluster;
    open_some(&cluster, 2);
    open_joining(&cluster, 3, NULL, 0);
    await_member(&cluster, 3);
    cluster_close_node(&cluster, 2);
    const char *join[] = {address_of(&cluster, 3)};
    struct log_lines *lines = log_lines_of(&cluster, 2);
    open_joining(&cluster, 2, join, 1);
    await_line(lines, "belongs to another cluster");
    cluster_set(&cluster, 2, "a", "1");
    cluster_close(&cluster);
    log_lines_free(lines);
}

TEST(members, a_node_of_another_cluster_is_not_added)
{
    struct cluster cluster;
    char error[512] = "";
    open_some(&cluster, 1);
    open_joining(&cluster, 2, NULL, 0);
    await_member(&cluster, 2);
    CHECK_STATUS(rr_node_add_wait(cluster_node(&cluster, 1), 2, address_of(&cluster, 2), RR_VOTER,
                                  LONG_MS, error, sizeof(error)),
                 RR_MISMATCH);
    CHECK(strstr(error, "cluster") != NULL);
    cluster_set(&cluster, 1, "a", "1");
    cluster_set(&cluster, 2, "a", "2");
    cluster_close(&cluster);
}

TEST(members, an_id_in_use_is_not_given_to_another_node)
{
    struct cluster cluster;
    char error[512] = "";
    open_some(&cluster, 2);
    cluster.nodes[2].options.node_id = 2;
    cluster_open_node(&cluster, 3);
    CHECK_STATUS(rr_node_await_member(cluster_node(&cluster, 3), LONG_MS, error, sizeof(error)),
                 RR_MISMATCH);
    cluster_set(&cluster, 1, "a", "1");
    cluster_close(&cluster);
}

/* ---- Handing over ---- */

TEST(members, leadership_goes_to_whom_it_is_handed)
{
    struct cluster cluster;
    open_some(&cluster, 3);
    for (uint64_t id = 1; id <= 3; id++) {
        uint64_t asked = id % 3 + 1;
        CHECK_OK(rr_node_transfer_wait(cluster_node(&cluster, asked), id, LONG_MS));
        for (int i = 0; i < LONG_MS && cluster_leader(&cluster) != id; i++) {
            cluster_nap();
        }
        CHECK_EQ(cluster_leader(&cluster), id);
        cluster_set(&cluster, asked, "a", "1");
    }
    uint64_t leader = cluster_leader(&cluster);
    CHECK_OK(rr_node_transfer_wait(cluster_node(&cluster, leader), 0, LONG_MS));
    CHECK_NE(cluster_await_other_leader(&cluster, leader, leader), leader);
    CHECK_STATUS(rr_node_transfer_wait(cluster_node(&cluster, leader), 9, LONG_MS), RR_INVALID);
    cluster_close(&cluster);
}

TEST(members, a_lone_voter_has_nobody_to_hand_over_to)
{
    struct cluster cluster;
    open_some(&cluster, 1);
    CHECK_STATUS(rr_node_transfer_wait(cluster_node(&cluster, 1), 0, LONG_MS), RR_INVALID);
    CHECK_OK(rr_node_transfer_wait(cluster_node(&cluster, 1), 1, LONG_MS));
    cluster_close(&cluster);
}

static void *wait_for_membership(void *arg)
{
    char error[512] = "";
    rr_status status = rr_node_await_member(arg, LONG_MS, error, sizeof(error));
    return (void *)(uintptr_t)status;
}

TEST(members, shutting_down_does_not_wait_for_a_membership_that_never_comes)
{
    struct cluster cluster;
    pthread_t thread;
    void *status;
    cluster_prepare(&cluster, 1);
    open_waiting(&cluster, 1);
    CHECK_EQ(pthread_create(&thread, NULL, wait_for_membership, cluster_node(&cluster, 1)), 0);
    while (metric(&cluster, 1, "requests_pending") < 1) {
        cluster_nap();
    }
    CHECK_OK(rr_node_shutdown(cluster_node(&cluster, 1), LONG_MS));
    CHECK_EQ(pthread_join(thread, &status), 0);
    CHECK_STATUS((rr_status)(uintptr_t)status, RR_CLOSED);
    cluster_close(&cluster);
}
