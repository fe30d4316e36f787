/*
 * The event loop: one loop is one thread, and everything opened on it belongs to that thread.
 *
 * A turn is: timers, then whatever the sockets and other threads have brought, then the turn's end.
 * At its end, if anything happened, run in this order:
 *
 *   1. the deferred calls, once each,
 *   2. the turn hooks, in the order in which they were added; steps 1 and 2 repeat while they bring
 *      about more, a bounded number of times, after which the rest waits for the next turn,
 *   3. the writes: every stream that something was written to sends it in one system call.
 *
 * So whoever batches (the node) does so in a hook, and what it writes leaves in the same turn.
 * Functions are for the loop's thread except where they say otherwise.
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include "base/list.h"
#include "rockraft/types.h"

struct loop;

/* Opens a loop, which the calling thread need not be the one to run. Returns RR_OK or RR_IO. */
RR_MUST_USE rr_status loop_open(struct loop **out);

/*
 * Frees the loop. Everything opened on it must have been closed before; what closing still takes
 * (callbacks of streams closed but not abandoned) is run here. NULL is fine.
 */
void loop_close(struct loop *loop);

/* Runs turns, sleeping in between, until loop_stop; returns after the turn in which it is called.
 * The thread that calls this is the loop's. A stop from before the run counts. */
void loop_run(struct loop *loop);

/* Runs one turn, sleeping until something happens if `wait`; for tests and embedders' own loops. */
void loop_run_once(struct loop *loop, bool wait);

/* Makes loop_run return. Any thread. */
void loop_stop(struct loop *loop);

/* Microseconds on a clock that never goes back, is never set, and counts the time that the machine
 * sleeps; its zero means nothing. Read anew at every call. Any thread. */
uint64_t loop_now_us(const struct loop *loop);

/* The same in milliseconds. */
uint64_t loop_now_ms(const struct loop *loop);

/* Milliseconds since 1970, by a clock that people may set. Any thread. */
uint64_t loop_wall_ms(void);

/* A call at the end of the turn. Owned by the caller, zeroed before its first use. */
struct deferred {
    struct list_link link;
    void (*fn)(void *arg);
    void *arg;
};

/* Gives the sockets at once what was written to streams, instead of at the end of the turn: for what
 * should leave before something slow begins. Runs nobody's callbacks. */
void loop_flush(struct loop *loop);

/* Has `deferred->fn` called once at the end of this turn, never from within this function; does
 * nothing if that is so already. It may be deferred anew from its own call. */
void loop_defer(struct loop *loop, struct deferred *deferred);

/* Takes the call back; does nothing if none is due. */
void loop_defer_cancel(struct deferred *deferred);

/* What runs at the end of every turn in which something happened. Owned by the caller. */
struct turn_hook {
    struct list_link link;
    void (*fn)(void *arg);
    void *arg;
};

/* Adds `hook`, whose fn and arg are set and whose link is zeroed, behind the hooks there are. */
void loop_add_turn_hook(struct loop *loop, struct turn_hook *hook);

/* Removes `hook`, also from within a hook; does nothing if it was never added. */
void loop_remove_turn_hook(struct loop *loop, struct turn_hook *hook);

/* The number of the turn, for what is to happen once in each. */
uint64_t loop_turn(const struct loop *loop);

/* Says that something happened, so that the hooks run at the end of this turn, and once more if
 * they are running now. Everything that arrives through the loop says so by itself. */
void loop_mark(struct loop *loop);

/* A bell that other threads ring. */
struct wakeup;

/* `fn` runs on the loop's thread some time after each wakeup_send; sends that come before it runs
 * are one. */
struct wakeup *wakeup_open(struct loop *loop, void (*fn)(void *arg), void *arg);

/* Any thread, also a signal handler, until wakeup_close. */
void wakeup_send(struct wakeup *wakeup);

/* No call after this one. NULL is fine. */
void wakeup_close(struct wakeup *wakeup);

#endif
