#include "node/deadline.h"

#include "base/assert.h"

enum { TICK_US = DEADLINE_TICK_MS * 1000 };

void deadlines_init(struct deadlines *deadlines, uint64_t now_us)
{
    for (int i = 0; i < DEADLINE_SLOTS; i++) {
        list_init(&deadlines->slots[i]);
    }
    deadlines->tick = now_us / TICK_US;
    deadlines->earliest = deadlines->tick;
    deadlines->count = 0;
}

/* The first tick that lies wholly past `due_us`. */
static uint64_t tick_of(uint64_t due_us)
{
    return due_us / TICK_US + 1;
}

void deadline_set(struct deadlines *deadlines, struct deadline *deadline, uint64_t due_us,
                  void (*fn)(void *arg), void *arg)
{
    deadline->due_us = due_us;
    deadline->fn = fn;
    deadline->arg = arg;
    uint64_t tick = tick_of(due_us);
    if (tick < deadlines->tick) {
        tick = deadlines->tick;
    }
    if (tick < deadlines->earliest) {
        deadlines->earliest = tick;
    }
    list_push_back(&deadlines->slots[tick % DEADLINE_SLOTS], &deadline->link);
    deadlines->count++;
}

void deadline_clear(struct deadlines *deadlines, struct deadline *deadline)
{
    if (list_contains(&deadline->link)) {
        list_remove(&deadline->link);
        ASSERT(deadlines->count > 0);
        deadlines->count--;
    }
}

/* Calls what is due of one slot; the rest is of later turns of the wheel. A call may change the
 * slot, so its members move to a list of their own first. */
static void run_slot(struct deadlines *deadlines, struct list *slot, uint64_t now_us)
{
    struct list due;
    struct list later;
    list_init(&due);
    list_init(&later);
    list_append_all(&due, slot);
    struct list_link *link;
    while ((link = list_pop_front(&due)) != NULL) {
        struct deadline *deadline = CONTAINER_OF(link, struct deadline, link);
        if (deadline->due_us > now_us) {
            list_push_back(&later, link);
            continue;
        }
        deadlines->count--;
        deadline->fn(deadline->arg);
    }
    list_append_all(slot, &later);
}

void deadlines_run(struct deadlines *deadlines, uint64_t now_us)
{
    uint64_t last = now_us / TICK_US;
    if (last >= deadlines->tick + DEADLINE_SLOTS) {
        deadlines->tick = last - DEADLINE_SLOTS + 1; /* all slots, once each */
    }
    while (deadlines->tick <= last) {
        struct list *slot = &deadlines->slots[deadlines->tick % DEADLINE_SLOTS];
        deadlines->tick++;
        if (!list_empty(slot)) {
            run_slot(deadlines, slot, now_us);
        }
    }
}

/* A deadline of a later turn of the wheel counts as one of this turn: that only wakes the owner once
 * too often. */
uint64_t deadlines_next(struct deadlines *deadlines)
{
    if (deadlines->count == 0) {
        return UINT64_MAX;
    }
    if (deadlines->earliest < deadlines->tick) {
        deadlines->earliest = deadlines->tick;
    }
    for (int i = 0; i < DEADLINE_SLOTS; i++) {
        if (!list_empty(&deadlines->slots[deadlines->earliest % DEADLINE_SLOTS])) {
            break;
        }
        deadlines->earliest++;
    }
    return deadlines->earliest * TICK_US;
}
