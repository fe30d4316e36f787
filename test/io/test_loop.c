/* The loop's turns: what runs when, and that it wakes for timers and other threads. */
#include "io/loop.h"

#include "base/memory.h"
#include "io/timer.h"
#include "support/test.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* What happened, in order, as letters. */
struct journal {
    struct loop *loop;
    char text[64];
    struct deferred deferred;
    struct turn_hook first;
    struct turn_hook second;
    int again; /* how often the first hook asks for another round */
    struct timer *timer;
    uint64_t fired_us;
};

static void note(struct journal *journal, char letter)
{
    size_t length = strlen(journal->text);
    if (length + 1 < sizeof(journal->text)) {
        journal->text[length] = letter;
        journal->text[length + 1] = 0;
    }
}

static void deferred_ran(void *arg)
{
    note(arg, 'd');
}

static void first_ran(void *arg)
{
    struct journal *journal = arg;
    note(journal, '1');
    if (journal->again > 0) {
        journal->again--;
        loop_mark(journal->loop);
    }
}

static void second_ran(void *arg)
{
    note(arg, '2');
}

static void timer_ran(void *arg)
{
    struct journal *journal = arg;
    note(journal, 't');
    journal->fired_us = loop_now_us(journal->loop);
}

static void open_journal(struct journal *journal)
{
    memset(journal, 0, sizeof(*journal));
    CHECK_OK(loop_open(&journal->loop));
    journal->deferred = (struct deferred){.fn = deferred_ran, .arg = journal};
    journal->first = (struct turn_hook){.fn = first_ran, .arg = journal};
    journal->second = (struct turn_hook){.fn = second_ran, .arg = journal};
    loop_add_turn_hook(journal->loop, &journal->first);
    loop_add_turn_hook(journal->loop, &journal->second);
    journal->timer = timer_open(journal->loop, timer_ran, journal);
}

static void close_journal(struct journal *journal)
{
    timer_close(journal->timer);
    loop_remove_turn_hook(journal->loop, &journal->first);
    loop_remove_turn_hook(journal->loop, &journal->second);
    loop_close(journal->loop);
}

TEST(loop, runs_hooks_only_in_turns_in_which_something_happened)
{
    struct journal journal;
    open_journal(&journal);
    loop_run_once(journal.loop, false);
    CHECK_TEXT(journal.text, "");
    loop_mark(journal.loop);
    loop_run_once(journal.loop, false);
    CHECK_TEXT(journal.text, "12");
    close_journal(&journal);
}

TEST(loop, runs_deferred_calls_before_the_hooks)
{
    struct journal journal;
    open_journal(&journal);
    loop_defer(journal.loop, &journal.deferred);
    loop_defer(journal.loop, &journal.deferred);
    loop_run_once(journal.loop, false);
    CHECK_TEXT(journal.text, "d12");
    loop_defer(journal.loop, &journal.deferred);
    loop_defer_cancel(&journal.deferred);
    loop_run_once(journal.loop, false);
    CHECK_TEXT(journal.text, "d12");
    close_journal(&journal);
}

TEST(loop, repeats_the_hooks_while_they_ask_for_it)
{
    struct journal journal;
    open_journal(&journal);
    journal.again = 2;
    loop_mark(journal.loop);
    loop_run_once(journal.loop, false);
    CHECK_TEXT(journal.text, "121212");
    close_journal(&journal);
}

static void removes_the_second(void *arg)
{
    struct journal *journal = arg;
    note(journal, 'r');
    loop_remove_turn_hook(journal->loop, &journal->second);
}

TEST(loop, lets_a_hook_remove_the_next_one)
{
    struct journal journal;
    open_journal(&journal);
    journal.first.fn = removes_the_second;
    loop_mark(journal.loop);
    loop_run_once(journal.loop, false);
    CHECK_TEXT(journal.text, "r");
    close_journal(&journal);
}

TEST(loop, ends_the_turn_of_a_timer_before_it_sleeps_again)
{
    struct journal journal;
    open_journal(&journal);
    uint64_t start_us = loop_now_us(journal.loop);
    timer_start(journal.timer, 3);
    CHECK(timer_running(journal.timer));
    while (journal.fired_us == 0) {
        loop_run_once(journal.loop, true);
    }
    CHECK_TEXT(journal.text, "t12");
    CHECK_GE(journal.fired_us - start_us, 3000);
    CHECK(!timer_running(journal.timer));
    close_journal(&journal);
}

TEST(loop, forgets_a_timer_that_was_stopped_or_closed)
{
    struct journal journal;
    open_journal(&journal);
    timer_start(journal.timer, 0);
    timer_stop(journal.timer);
    struct timer *closed = timer_open(journal.loop, timer_ran, &journal);
    timer_start(closed, 0);
    timer_close(closed);
    loop_run_once(journal.loop, false);
    loop_run_once(journal.loop, false);
    CHECK_TEXT(journal.text, "");
    close_journal(&journal);
}

struct bell {
    struct loop *loop;
    struct wakeup *wakeup;
    int rung;
};

static void bell_rung(void *arg)
{
    struct bell *bell = arg;
    bell->rung++;
    loop_stop(bell->loop);
}

static void *ring(void *arg)
{
    struct bell *bell = arg;
    for (int count = 0; count < 100; count++) {
        wakeup_send(bell->wakeup);
    }
    return NULL;
}

TEST(loop, wakes_for_another_thread)
{
    struct bell bell = {0};
    CHECK_OK(loop_open(&bell.loop));
    bell.wakeup = wakeup_open(bell.loop, bell_rung, &bell);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, ring, &bell), 0);
    loop_run(bell.loop);
    pthread_join(thread, NULL);
    CHECK_GE(bell.rung, 1);
    wakeup_close(bell.wakeup);
    loop_close(bell.loop);
}

TEST(loop, counts_a_stop_from_before_it_runs)
{
    struct loop *loop;
    CHECK_OK(loop_open(&loop));
    loop_stop(loop);
    loop_run(loop);
    loop_close(loop);
    loop_close(NULL);
}

TEST(loop, tells_the_wall_clock)
{
    CHECK_GT(loop_wall_ms(), UINT64_C(1600000000000));
}
