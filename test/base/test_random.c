#include "support/test.h"

#include "base/checksum.h"
#include "base/random.h"

#include <string.h>

TEST(random, repeats_itself_from_the_same_seed)
{
    struct random one;
    struct random other;
    random_init(&one, 42);
    random_init(&other, 42);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(random_u64(&one), random_u64(&other));
    }
    random_init(&other, 43);
    CHECK_NE(random_u64(&one), random_u64(&other));
}

/* Seeds written down in tests and issues must go on meaning the same run. */
TEST(random, starts_with_these_numbers_for_ever)
{
    struct random random;
    random_init(&random, 0);
    CHECK_EQ(random_u64(&random), UINT64_C(0x99ec5f36cb75f2b4));
    CHECK_EQ(random_u64(&random), UINT64_C(0xbf6e1f784956452a));
}

TEST(random, stays_below_its_bound_and_reaches_all_values)
{
    struct random random;
    random_init(&random, 1);
    int seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        seen[random_below(&random, 7)]++;
    }
    for (int i = 0; i < 7; i++) {
        CHECK_GT(seen[i], 800);
        CHECK_LT(seen[i], 1200);
    }
    CHECK_EQ(random_below(&random, 1), 0);
    CHECK_ABORTS(random_below(&random, 0));
}

TEST(random, draws_between_two_bounds_that_count)
{
    struct random random;
    random_init(&random, 1);
    bool low = false;
    bool high = false;
    for (int i = 0; i < 100; i++) {
        uint64_t drawn = random_between(&random, 5, 7);
        CHECK(drawn >= 5 && drawn <= 7);
        low |= drawn == 5;
        high |= drawn == 7;
    }
    CHECK(low && high);
    CHECK_EQ(random_between(&random, 9, 9), 9);
    random_between(&random, 0, UINT64_MAX);
}

TEST(random, takes_chances_as_often_as_it_should)
{
    struct random random;
    random_init(&random, 1);
    int taken = 0;
    for (int i = 0; i < 10000; i++) {
        taken += random_chance(&random, 1, 4);
        CHECK(!random_chance(&random, 0, 4));
        CHECK(random_chance(&random, 4, 4));
    }
    CHECK_GT(taken, 2300);
    CHECK_LT(taken, 2700);
}

TEST(random, fills_exactly_the_bytes_given)
{
    struct random random;
    for (size_t size = 0; size < 20; size++) {
        uint8_t bytes[24];
        memset(bytes, 0, sizeof(bytes));
        random_init(&random, 9);
        random_fill(&random, bytes, size);
        for (size_t i = size; i < sizeof(bytes); i++) {
            CHECK_EQ(bytes[i], 0);
        }
    }
}

/* XXH3's published results; they are in every file and every frame. */
TEST(checksum, has_these_values_for_ever)
{
    CHECK_EQ(checksum64(NULL, 0), UINT64_C(0x2d06800538d394c2));
    CHECK_EQ(checksum64("rockraft", 8), checksum64_seeded("rockraft", 8, 0));
    CHECK_NE(checksum64("rockraft", 8), checksum64_seeded("rockraft", 8, 1));
    CHECK_EQ(checksum32(NULL, 0), 0x38d394c2U);
}
