#include "raft/quorum.h"

#include "base/random.h"
#include "support/test.h"

/* The largest value that a majority has reached, found by trying each. */
static uint64_t committed_by_trial(const uint64_t *values, size_t count)
{
    uint64_t best = 0;
    for (size_t i = 0; i < count; i++) {
        size_t reached = 0;
        for (size_t j = 0; j < count; j++) {
            reached += values[j] >= values[i];
        }
        if (2 * reached > count && values[i] > best) {
            best = values[i];
        }
    }
    return count == 0 ? QUORUM_INFINITY : best;
}

TEST(quorum, commits_the_largest_value_that_a_majority_has_reached)
{
    struct random random;
    random_init(&random, test_seed(1));
    for (int round = 0; round < 20000; round++) {
        uint64_t values[9];
        size_t count = random_below(&random, 10);
        for (size_t i = 0; i < count; i++) {
            values[i] = random_below(&random, 6);
        }
        uint64_t expected = committed_by_trial(values, count);
        CHECK_EQ(quorum_committed(values, count), expected);
    }
}

TEST(quorum, commits_by_both_halves)
{
    uint64_t incoming[] = {7, 3, 5};
    uint64_t outgoing[] = {9, 2};
    CHECK_EQ(quorum_joint_committed(incoming, 3, outgoing, 2), 2);
    CHECK_EQ(quorum_joint_committed(incoming, 3, outgoing, 0), 5);
    CHECK_EQ(quorum_joint_committed(incoming, 0, outgoing, 0), QUORUM_INFINITY);
}

TEST(quorum, an_election_is_won_lost_or_open)
{
    for (size_t yes = 0; yes < 6; yes++) {
        for (size_t no = 0; no < 6; no++) {
            for (size_t missing = 0; missing < 6; missing++) {
                size_t count = yes + no + missing;
                enum quorum_result result = quorum_vote(yes, no, missing);
                CHECK_EQ(result == QUORUM_WON, count == 0 || 2 * yes > count);
                CHECK_EQ(result == QUORUM_LOST, count != 0 && 2 * (yes + missing) <= count);
            }
        }
    }
}

TEST(quorum, an_election_by_two_halves_needs_both)
{
    CHECK_EQ(quorum_joint_vote(QUORUM_WON, QUORUM_WON), QUORUM_WON);
    CHECK_EQ(quorum_joint_vote(QUORUM_WON, QUORUM_PENDING), QUORUM_PENDING);
    CHECK_EQ(quorum_joint_vote(QUORUM_PENDING, QUORUM_LOST), QUORUM_LOST);
    CHECK_EQ(quorum_joint_vote(QUORUM_LOST, QUORUM_WON), QUORUM_LOST);
}
