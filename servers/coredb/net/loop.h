/*
 * The thread that owns all clients: an event loop with timers, and tasks that other threads hand
 * over. What is not said to be for any thread is for the loop's own.
 */
#ifndef COREDB_NET_LOOP_H
#define COREDB_NET_LOOP_H

#include <rockraft/types.h>

struct loop;
struct loop_timer;

typedef void (*loop_fn)(void *arg);

/* What another thread hands over; a part of the sender's own struct, free again when `run` runs. */
struct loop_task {
    struct loop_task *next;
    loop_fn run;
    void *arg;
};

/* Any thread. NULL: the system has no descriptor left. */
struct loop *loop_new(void);

/* After loop_run has returned, or before it was called. Runs the tasks that are left. NULL is
 * fine. */
void loop_free(struct loop *loop);

/* Works until loop_stop. The thread that calls it is the loop's. */
void loop_run(struct loop *loop);

/* Any thread. */
void loop_stop(struct loop *loop);

/* Has `task` run on the loop's thread; tasks of one thread run in order. Any thread. */
void loop_post(struct loop *loop, struct loop_task *task);

/* Milliseconds of a monotonic clock, as of the beginning of the turn. */
uint64_t loop_now_ms(const struct loop *loop);

/* A timer that is not set. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_fn run, void *arg);
/* Runs once after `delay_ms`, and then every `repeat_ms` unless that is 0. Replaces what was set. */
void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms, uint64_t repeat_ms);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer); /* NULL is fine */

#endif
