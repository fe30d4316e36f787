/*
 * One-shot timers, in milliseconds. For the loop's thread.
 */
#ifndef IO_TIMER_H
#define IO_TIMER_H

#include "io/loop.h"

struct timer;

/* A timer that is not running. `fn` runs on the loop's thread and may start it again. */
struct timer *timer_open(struct loop *loop, void (*fn)(void *arg), void *arg);

/* Has the timer's function called once, not before `delay_ms` have passed from now; replaces what
 * was due before. */
void timer_start(struct timer *timer, uint64_t delay_ms);

/* Nothing is due any more. */
void timer_stop(struct timer *timer);

/* Whether a call is due. */
bool timer_running(const struct timer *timer);

/* Frees the timer; no call after this one. NULL is fine. */
void timer_close(struct timer *timer);

#endif
