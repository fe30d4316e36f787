/* The event loop. Output is sent once per turn, just before the loop waits for events. */
#include "coredb/net/loop.h"

#include "coredb/net/loop_private.h"

#include <stdlib.h>

struct loop_timer {
    uv_timer_t uv;
    loop_fn run;
    void *arg;
};

/* ---- Tasks ---- */

static struct loop_task *take_tasks(struct loop *loop, bool *stopping)
{
    pthread_mutex_lock(&loop->lock);
    struct loop_task *first = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    *stopping = loop->stopping;
    pthread_mutex_unlock(&loop->lock);
    return first;
}

/* Runs what was posted, until nothing is left. */
static void run_tasks(struct loop *loop)
{
    bool stopping = false;
    struct loop_task *task = take_tasks(loop, &stopping);
    while (task != NULL) {
        struct loop_task *next = task->next;
        task->run(task->arg);
        task = next;
    }
    if (stopping) {
        uv_stop(&loop->uv);
    }
}

static void on_wake(uv_async_t *wake)
{
    run_tasks(wake->data);
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&loop->lock);
    bool was_empty = loop->first == NULL;
    *loop->last = task;
    loop->last = &task->next;
    pthread_mutex_unlock(&loop->lock);
    if (was_empty) {
        uv_async_send(&loop->wake);
    }
}

void loop_stop(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->stopping = true;
    pthread_mutex_unlock(&loop->lock);
    uv_async_send(&loop->wake);
}

/* ---- The loop ---- */

static void on_before_poll(uv_prepare_t *prepare)
{
    connection_flush_all(prepare->data);
}

static void on_second(uv_timer_t *timer)
{
    connection_reap(timer->data, /*all=*/false);
}

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL) {
        abort();
    }
    if (uv_loop_init(&loop->uv) != 0) {
        free(loop);
        return NULL;
    }
    pthread_mutex_init(&loop->lock, NULL);
    loop->last = &loop->first;
    list_init(&loop->dirty);
    list_init(&loop->lingering);
    loop->wake.data = loop;
    loop->before_poll.data = loop;
    loop->second.data = loop;
    if (uv_async_init(&loop->uv, &loop->wake, on_wake) != 0) {
        uv_loop_close(&loop->uv);
        pthread_mutex_destroy(&loop->lock);
        free(loop);
        return NULL;
    }
    uv_prepare_init(&loop->uv, &loop->before_poll);
    uv_prepare_start(&loop->before_poll, on_before_poll);
    uv_timer_init(&loop->uv, &loop->second);
    uv_timer_start(&loop->second, on_second, 1000, 1000);
    return loop;
}

void loop_run(struct loop *loop)
{
    run_tasks(loop); /* what was posted before may have woken nobody */
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    run_tasks(loop);
    connection_reap(loop, /*all=*/true);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->before_poll, NULL);
    uv_close((uv_handle_t *)&loop->second, NULL);
    /* Runs the callbacks of all handles that are being closed; a stop of before may end it early. */
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) {
    }
    if (uv_loop_close(&loop->uv) != 0) {
        abort(); /* someone kept a timer or a connection */
    }
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return uv_now(&loop->uv);
}

/* ---- Timers ---- */

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn run, void *arg)
{
    struct loop_timer *timer = calloc(1, sizeof(*timer));
    if (timer == NULL) {
        abort();
    }
    uv_timer_init(&loop->uv, &timer->uv);
    timer->run = run;
    timer->arg = arg;
    return timer;
}

static void on_timer(uv_timer_t *uv)
{
    struct loop_timer *timer = (struct loop_timer *)(void *)uv;
    timer->run(timer->arg);
}

void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms, uint64_t repeat_ms)
{
    uv_timer_start(&timer->uv, on_timer, delay_ms, repeat_ms);
}

void loop_timer_stop(struct loop_timer *timer)
{
    uv_timer_stop(&timer->uv);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle);
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer != NULL) {
        uv_close((uv_handle_t *)&timer->uv, on_timer_closed);
    }
}
