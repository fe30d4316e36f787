/*
 * The loop over libuv's: its turns, their ends, and bells for other threads.
 *
 * libuv's order is timers, prepare, poll, check, close callbacks. A turn ends in prepare, for what
 * timers and close callbacks did, and in check, for what poll did.
 */
#include "base/assert.h"
#include "base/memory.h"
#include "io/io_private.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SETTLE_ROUNDS_MAX = 16 };

void io_error_text(int error, char *reason)
{
    uv_strerror_r(error, reason, STREAM_REASON_BYTES_MAX);
}

/* Calls what was deferred up to now; what these calls defer waits for the next round. */
static void run_deferred(struct list *list)
{
    struct list due;
    list_init(&due);
    list_append_all(&due, list);
    struct list_link *link;
    while ((link = list_pop_front(&due)) != NULL) {
        struct deferred *deferred = CONTAINER_OF(link, struct deferred, link);
        deferred->fn(deferred->arg);
    }
}

static void run_hooks(struct loop *loop)
{
    loop->hook_at = loop->hooks.head.next;
    while (loop->hook_at != &loop->hooks.head) {
        struct turn_hook *hook = CONTAINER_OF(loop->hook_at, struct turn_hook, link);
        loop->hook_at = loop->hook_at->next;
        hook->fn(hook->arg);
    }
    loop->hook_at = NULL;
}

static bool unsettled(const struct loop *loop)
{
    return loop->marked || !list_empty(&loop->deferred) || !list_empty(&loop->flushes);
}

/* The end of a turn. */
static void settle(struct loop *loop)
{
    for (int round = 0; round < SETTLE_ROUNDS_MAX && unsettled(loop); round++) {
        if (!list_empty(&loop->deferred)) {
            loop->marked = true;
            run_deferred(&loop->deferred);
        }
        if (loop->marked) {
            loop->marked = false;
            run_hooks(loop);
        }
        if (!loop->marked && list_empty(&loop->deferred)) {
            run_deferred(&loop->flushes);
        }
    }
    run_deferred(&loop->flushes);
}

static void nothing(uv_idle_t *idle)
{
    (void)idle;
}

static void end_turn(struct loop *loop)
{
    settle(loop);
    loop->turn++;
    if (unsettled(loop)) {
        uv_idle_start(&loop->no_sleep, nothing);
    } else {
        uv_idle_stop(&loop->no_sleep);
    }
}

static void before_sleep(uv_prepare_t *handle)
{
    end_turn(handle->data);
}

static void after_sleep(uv_check_t *handle)
{
    end_turn(handle->data);
}

static void stop_rung(uv_async_t *handle)
{
    (void)handle;
}

rr_status loop_open(struct loop **out)
{
    struct loop *loop = mem_new(struct loop);
    if (uv_loop_init(&loop->uv) != 0) {
        mem_free(loop);
        return RR_IO;
    }
    if (uv_async_init(&loop->uv, &loop->stop_bell, stop_rung) != 0) {
        int closed = uv_loop_close(&loop->uv);
        ASSERT(closed == 0);
        mem_free(loop);
        return RR_IO;
    }
    loop->uv.data = loop;
    list_init(&loop->deferred);
    list_init(&loop->flushes);
    list_init(&loop->hooks);
    loop->read_buffer = mem_alloc(STREAM_READ_BYTES_MAX);
    uv_prepare_init(&loop->uv, &loop->before_sleep);
    uv_check_init(&loop->uv, &loop->after_sleep);
    uv_idle_init(&loop->uv, &loop->no_sleep);
    loop->before_sleep.data = loop;
    loop->after_sleep.data = loop;
    uv_prepare_start(&loop->before_sleep, before_sleep);
    uv_check_start(&loop->after_sleep, after_sleep);
    *out = loop;
    return RR_OK;
}

void loop_close(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    settle(loop);
    uv_close((uv_handle_t *)&loop->before_sleep, NULL);
    uv_close((uv_handle_t *)&loop->after_sleep, NULL);
    uv_close((uv_handle_t *)&loop->no_sleep, NULL);
    uv_close((uv_handle_t *)&loop->stop_bell, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    settle(loop);
    int closed = uv_loop_close(&loop->uv);
    ASSERT(closed == 0);
    ASSERT(list_empty(&loop->hooks));
    mem_free(loop->read_buffer);
    mem_free(loop);
}

static void run_turn(struct loop *loop, uv_run_mode mode)
{
    uv_run(&loop->uv, mode);
    end_turn(loop);
}

/* Writing to a closed socket raises SIGPIPE in this thread; a library must not change the process's
 * handlers, so the signal is blocked while the loop runs, and taken away after. Returns whether it
 * was this call that blocked it. */
static bool block_sigpipe(void)
{
    sigset_t pipe_only;
    sigset_t before;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    return sigismember(&before, SIGPIPE) == 0;
}

static void unblock_sigpipe(bool blocked_by_us)
{
    if (!blocked_by_us) {
        return;
    }
    sigset_t pipe_only;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    struct timespec at_once = {0};
    while (sigtimedwait(&pipe_only, NULL, &at_once) == SIGPIPE) {
    }
    pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL);
}

void loop_run(struct loop *loop)
{
    bool blocked = block_sigpipe();
    while (!atomic_load(&loop->stop_wanted)) {
        run_turn(loop, UV_RUN_ONCE);
    }
    atomic_store(&loop->stop_wanted, false);
    unblock_sigpipe(blocked);
}

void loop_run_once(struct loop *loop, bool wait)
{
    bool blocked = block_sigpipe();
    run_turn(loop, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    unblock_sigpipe(blocked);
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stop_wanted, true);
    uv_async_send(&loop->stop_bell);
}

uint64_t loop_now_us(const struct loop *loop)
{
    (void)loop;
    /* Leases rest on it, so it must not stand still while the machine sleeps and others go on. */
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop_now_us(loop) / 1000;
}

uint64_t loop_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void loop_defer(struct loop *loop, struct deferred *deferred)
{
    if (!list_contains(&deferred->link)) {
        list_push_back(&loop->deferred, &deferred->link);
    }
}

void loop_defer_flush(struct loop *loop, struct deferred *flush)
{
    if (!list_contains(&flush->link)) {
        list_push_back(&loop->flushes, &flush->link);
    }
}

void loop_flush(struct loop *loop)
{
    run_deferred(&loop->flushes);
}

void loop_defer_cancel(struct deferred *deferred)
{
    if (list_contains(&deferred->link)) {
        list_remove(&deferred->link);
    }
}

void loop_add_turn_hook(struct loop *loop, struct turn_hook *hook)
{
    list_push_back(&loop->hooks, &hook->link);
}

void loop_remove_turn_hook(struct loop *loop, struct turn_hook *hook)
{
    if (!list_contains(&hook->link)) {
        return;
    }
    if (loop->hook_at == &hook->link) {
        loop->hook_at = hook->link.next;
    }
    list_remove(&hook->link);
}

uint64_t loop_turn(const struct loop *loop)
{
    return loop->turn;
}

void loop_mark(struct loop *loop)
{
    loop->marked = true;
}

struct wakeup {
    uv_async_t async;
    struct loop *loop;
    void (*fn)(void *arg);
    void *arg;
};

static void wakeup_rung(uv_async_t *async)
{
    struct wakeup *wakeup = CONTAINER_OF(async, struct wakeup, async);
    loop_mark(wakeup->loop);
    wakeup->fn(wakeup->arg);
}

struct wakeup *wakeup_open(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    struct wakeup *wakeup = mem_new(struct wakeup);
    wakeup->loop = loop;
    wakeup->fn = fn;
    wakeup->arg = arg;
    int error = uv_async_init(&loop->uv, &wakeup->async, wakeup_rung);
    ASSERT(error == 0); /* the loop's own bell has made the file descriptor that all share */
    return wakeup;
}

void wakeup_send(struct wakeup *wakeup)
{
    uv_async_send(&wakeup->async);
}

static void wakeup_closed(uv_handle_t *handle)
{
    mem_free(CONTAINER_OF(handle, struct wakeup, async));
}

void wakeup_close(struct wakeup *wakeup)
{
    if (wakeup != NULL) {
        uv_close((uv_handle_t *)&wakeup->async, wakeup_closed);
    }
}
