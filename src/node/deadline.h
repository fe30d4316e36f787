/*
 * Deadlines of many requests: a wheel of slots, so that setting and taking back cost the same
 * however many there are. They come due up to DEADLINE_TICK_MS late, never early.
 *
 * No clock of its own: the owner asks when to be woken and tells the time. One thread.
 */
#ifndef NODE_DEADLINE_H
#define NODE_DEADLINE_H

#include "base/list.h"

#include <stdint.h>

enum {
    DEADLINE_TICK_MS = 4,
    DEADLINE_SLOTS = 4096, /* one turn of the wheel is 16 s, longer than most requests wait */
};

/* One deadline; zeroed while it is not set. */
struct deadline {
    struct list_link link;
    uint64_t due_us;
    void (*fn)(void *arg);
    void *arg;
};

struct deadlines {
    struct list slots[DEADLINE_SLOTS];
    uint64_t tick;     /* the next to be looked at */
    uint64_t earliest; /* no slot before this tick holds anything */
    size_t count;
};

void deadlines_init(struct deadlines *deadlines, uint64_t now_us);

/* Has `fn(arg)` called once, by deadlines_run, when `due_us` has passed; not set before. */
void deadline_set(struct deadlines *deadlines, struct deadline *deadline, uint64_t due_us,
                  void (*fn)(void *arg), void *arg);

/* Takes it back; nothing happens if it is not set. */
void deadline_clear(struct deadlines *deadlines, struct deadline *deadline);

/* Calls what is due. A call may set and clear any deadline. */
void deadlines_run(struct deadlines *deadlines, uint64_t now_us);

/* When to call deadlines_run next, perhaps too early; UINT64_MAX: nothing is set. */
uint64_t deadlines_next(struct deadlines *deadlines);

#endif
