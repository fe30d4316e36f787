/* The wheel of deadlines. */
#include "node/deadline.h"

#include "base/random.h"
#include "support/test.h"

#include <string.h>

struct alarm {
    struct deadline deadline;
    uint64_t now_us; /* of the run that called it; 0: not called */
};

static struct deadlines deadlines;
static uint64_t now_us;

static void ring(void *arg)
{
    struct alarm *alarm = arg;
    CHECK_EQ(alarm->now_us, 0);
    alarm->now_us = now_us;
}

static void run(uint64_t at_us)
{
    now_us = at_us;
    deadlines_run(&deadlines, at_us);
}

TEST(deadline, comes_never_early_and_at_most_a_tick_late)
{
    struct alarm alarms[300];
    struct random random;
    random_init(&random, test_seed(1));
    memset(alarms, 0, sizeof(alarms));
    uint64_t start = 1000 * 1000 * 1000;
    deadlines_init(&deadlines, start);
    for (size_t i = 0; i < 300; i++) {
        uint64_t due =
            start + random_below(&random, 60 * 1000 * 1000); /* some turns of the wheel */
        deadline_set(&deadlines, &alarms[i].deadline, due, ring, &alarms[i]);
    }
    uint64_t at = start;
    while (deadlines_next(&deadlines) != UINT64_MAX) {
        uint64_t next = deadlines_next(&deadlines);
        CHECK_LE(next, at + (uint64_t)DEADLINE_TICK_MS * 1000 * DEADLINE_SLOTS * 4);
        at = next > at ? next : at + 1;
        run(at);
    }
    for (size_t i = 0; i < 300; i++) {
        CHECK_NE(alarms[i].now_us, 0);
        CHECK_GE(alarms[i].now_us, alarms[i].deadline.due_us);
        CHECK_LE(alarms[i].now_us, alarms[i].deadline.due_us + DEADLINE_TICK_MS * 1000);
    }
}

TEST(deadline, rings_all_that_passed_during_a_long_sleep)
{
    struct alarm alarms[50];
    memset(alarms, 0, sizeof(alarms));
    deadlines_init(&deadlines, 0);
    for (uint64_t i = 0; i < 50; i++) {
        deadline_set(&deadlines, &alarms[i].deadline, i * 1000 * 1000, ring, &alarms[i]);
    }
    run(45 * 1000 * 1000 + 500);
    for (uint64_t i = 0; i < 50; i++) {
        CHECK_EQ(alarms[i].now_us != 0, i <= 45);
    }
    CHECK_EQ(deadlines.count, 4);
}

TEST(deadline, never_rings_after_it_was_cleared)
{
    struct alarm alarm = {0};
    deadlines_init(&deadlines, 0);
    deadline_set(&deadlines, &alarm.deadline, 5000, ring, &alarm);
    deadline_clear(&deadlines, &alarm.deadline);
    deadline_clear(&deadlines, &alarm.deadline);
    CHECK_EQ(deadlines_next(&deadlines), UINT64_MAX);
    run(1000 * 1000);
    CHECK_EQ(alarm.now_us, 0);
}

static struct alarm second;

static void clear_the_second(void *arg)
{
    struct alarm *alarm = arg;
    alarm->now_us = now_us;
    deadline_clear(&deadlines, &second.deadline);
}

TEST(deadline, may_be_cleared_by_one_that_rings_at_the_same_time)
{
    struct alarm first = {0};
    memset(&second, 0, sizeof(second));
    deadlines_init(&deadlines, 0);
    deadline_set(&deadlines, &first.deadline, 5000, clear_the_second, &first);
    deadline_set(&deadlines, &second.deadline, 5000, ring, &second);
    run(20 * 1000);
    CHECK_NE(first.now_us, 0);
    CHECK_EQ(second.now_us, 0);
    CHECK_EQ(deadlines.count, 0);
}

TEST(deadline, of_the_past_rings_at_the_next_run)
{
    struct alarm alarm = {0};
    deadlines_init(&deadlines, 1000 * 1000);
    run(1000 * 1000);
    deadline_set(&deadlines, &alarm.deadline, 10, ring, &alarm);
    run(1004 * 1000);
    CHECK_NE(alarm.now_us, 0);
}
