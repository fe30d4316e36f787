#include "raft/progress.h"

#include "base/random.h"
#include "support/test.h"

TEST(progress, a_window_is_a_queue_of_any_length)
{
    struct random random;
    random_init(&random, test_seed(5));
    struct raft_progress progress;
    raft_progress_init(&progress, 1, 1);
    struct raft_window *window = &progress.window;
    raft_index oldest = 1; /* of what is in the window */
    raft_index newest = 0;
    for (int step = 0; step < 20000; step++) {
        if (random_chance(&random, 1, 2)) {
            newest++;
            raft_window_add(window, newest, newest % 7);
        } else {
            raft_index to = random_between(&random, oldest > 0 ? oldest - 1 : 0, newest);
            raft_window_free_to(window, to);
            oldest = to + 1;
        }
        CHECK_EQ(window->count, newest + 1 - oldest);
        uint64_t bytes = 0;
        for (raft_index index = oldest; index <= newest; index++) {
            bytes += index % 7;
        }
        CHECK_EQ(window->bytes, bytes);
        struct raft_window_limits limits = {10, 30};
        CHECK_EQ(raft_window_full(window, &limits), window->count >= 10 || bytes >= 30);
    }
    raft_progress_deinit(&progress);
}

TEST(progress, says_what_it_is)
{
    struct raft_window_limits limits = {1, 0};
    char text[RAFT_PROGRESS_TEXT_MAX];
    struct raft_progress progress;
    raft_progress_init(&progress, 1, 5);
    CHECK_TEXT(raft_progress_text(&progress, false, &limits, text, sizeof(text)),
               "StateProbe match=0 next=5");
    progress.active = false;
    raft_progress_become_snapshot(&progress, 9);
    CHECK_TEXT(raft_progress_text(&progress, true, &limits, text, sizeof(text)),
               "StateSnapshot match=0 next=10 learner paused pendingSnap=9 inactive");
    raft_progress_become_probe(&progress);
    CHECK_EQ(progress.next, 10);
    raft_progress_become_replicate(&progress);
    raft_window_add(&progress.window, 1, 1);
    CHECK_TEXT(raft_progress_text(&progress, false, &limits, text, sizeof(text)),
               "StateReplicate match=0 next=1 inactive inflight=1[full]");
    raft_progress_deinit(&progress);
}

TEST(progress, takes_only_news)
{
    struct raft_progress progress;
    raft_progress_init(&progress, 1, 5);
    CHECK(raft_progress_update(&progress, 7));
    CHECK_EQ(progress.next, 8);
    CHECK(!raft_progress_update(&progress, 7));
    CHECK(!raft_progress_update(&progress, 3));
    CHECK_EQ(progress.match, 7);
    raft_progress_deinit(&progress);
}

TEST(progress, never_goes_back_below_what_matches)
{
    struct random random;
    random_init(&random, test_seed(6));
    for (int round = 0; round < 20000; round++) {
        struct raft_progress progress;
        raft_progress_init(&progress, 1, 1);
        progress.match = random_below(&random, 10);
        progress.next = progress.match + 1 + random_below(&random, 10);
        if (random_chance(&random, 1, 2)) {
            raft_index next = progress.next;
            raft_progress_become_replicate(&progress);
            progress.next = next;
        }
        progress.sent_commit = random_below(&random, 20);
        (void)raft_progress_decrease(&progress, random_below(&random, 20),
                                     random_below(&random, 20));
        CHECK_GT(progress.next, progress.match);
        raft_progress_deinit(&progress);
    }
}
