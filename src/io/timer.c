/* Timers over libuv's. */
#include "io/timer.h"

#include "base/memory.h"
#include "io/io_private.h"

struct timer {
    uv_timer_t uv;
    struct loop *loop;
    void (*fn)(void *arg);
    void *arg;
};

static void timer_due(uv_timer_t *uv)
{
    struct timer *timer = CONTAINER_OF(uv, struct timer, uv);
    loop_mark(timer->loop);
    timer->fn(timer->arg);
}

struct timer *timer_open(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    struct timer *timer = mem_new(struct timer);
    timer->loop = loop;
    timer->fn = fn;
    timer->arg = arg;
    uv_timer_init(&loop->uv, &timer->uv);
    return timer;
}

void timer_start(struct timer *timer, uint64_t delay_ms)
{
    /* libuv counts from the begin of the turn, and would call too early after a long one. Its clock
     * is cut to milliseconds: one more, so that `delay_ms` have passed for sure. */
    uv_update_time(&timer->loop->uv);
    uv_timer_start(&timer->uv, timer_due, delay_ms == 0 ? 0 : delay_ms + 1, 0);
}

void timer_stop(struct timer *timer)
{
    uv_timer_stop(&timer->uv);
}

bool timer_running(const struct timer *timer)
{
    return uv_is_active((const uv_handle_t *)&timer->uv) != 0;
}

static void timer_closed(uv_handle_t *handle)
{
    mem_free(CONTAINER_OF(handle, struct timer, uv));
}

void timer_close(struct timer *timer)
{
    if (timer != NULL) {
        uv_close((uv_handle_t *)&timer->uv, timer_closed);
    }
}
