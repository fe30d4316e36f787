/*
 * A disk that does not answer: says so while it does not, so that an operator sees why the node
 * stands still. A thread of its own watches the node's thread, which cannot speak while it waits; a
 * log that is synced on a thread (`log_sync_thread`) is watched by the node's.
 */
#include "node/node_private.h"

#include "base/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

struct stall {
    uint64_t limit_us;
    /* What the node's thread waits for; `since_us` 0: for nothing. */
    _Atomic(const char *) what;
    atomic_uint_fast64_t since_us;
    atomic_uint_fast64_t told_us; /* the `since_us` that the watching thread has told of */
    atomic_uint_fast64_t total;

    uint64_t write_since_us; /* a write on the log's thread that was told of; the node's thread */

    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool stop;
};

static void tell(rr_node *node, const char *what, uint64_t waited_us)
{
    atomic_fetch_add(&node->stall->total, 1);
    LOG_WARN(&node->logger,
             "the disk of %s has not ended %s for %" PRIu64 " ms: until it does this node can "
             "neither lead nor acknowledge; look at the disk, and at what else uses it",
             node->options.data_path, what, waited_us / 1000);
}

static void tell_end(rr_node *node, const char *what, uint64_t waited_us)
{
    LOG_WARN(&node->logger, "the disk ended %s after %" PRIu64 " ms", what, waited_us / 1000);
}

/* ---- The node's thread ---- */

void stall_begin(rr_node *node, const char *what)
{
    struct stall *stall = node->stall;
    atomic_store_explicit(&stall->what, what, memory_order_relaxed);
    atomic_store_explicit(&stall->since_us, node_now_us(node), memory_order_release);
}

void stall_end(rr_node *node)
{
    struct stall *stall = node->stall;
    uint64_t since_us = atomic_exchange(&stall->since_us, 0);
    if (atomic_load(&stall->told_us) == since_us) {
        tell_end(node, atomic_load(&stall->what), node_now_us(node) - since_us);
    }
}

void stall_look(rr_node *node)
{
    struct stall *stall = node->stall;
    static const char what[] = "a write of the log";
    uint64_t since_us = driver_unwritten_since(node->driver);
    uint64_t now_us = node_now_us(node);
    if (stall->write_since_us != 0 && stall->write_since_us != since_us) {
        tell_end(node, what, now_us - stall->write_since_us);
        stall->write_since_us = 0;
    }
    if (since_us != 0 && stall->write_since_us == 0 && now_us - since_us >= stall->limit_us) {
        stall->write_since_us = since_us;
        tell(node, what, now_us - since_us);
    }
}

uint64_t stall_total(const rr_node *node)
{
    return atomic_load(&node->stall->total);
}

/* ---- The thread that watches ---- */

static void look(rr_node *node)
{
    struct stall *stall = node->stall;
    uint64_t since_us = atomic_load_explicit(&stall->since_us, memory_order_acquire);
    const char *what = atomic_load(&stall->what);
    uint64_t now_us = node_now_us(node);
    if (since_us == 0 || since_us == atomic_load(&stall->told_us) || now_us < since_us ||
        now_us - since_us < stall->limit_us) {
        return;
    }
    atomic_store(&stall->told_us, since_us);
    tell(node, what, now_us - since_us);
}

static void *run(void *arg)
{
    rr_node *node = arg;
    struct stall *stall = node->stall;
    pthread_mutex_lock(&stall->mutex);
    while (!stall->stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        uint64_t ns = (uint64_t)until.tv_nsec + stall->limit_us / 2 * 1000;
        until.tv_sec += (time_t)(ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        int waited = 0;
        while (!stall->stop && waited != ETIMEDOUT) {
            waited = pthread_cond_timedwait(&stall->changed, &stall->mutex, &until);
        }
        pthread_mutex_unlock(&stall->mutex);
        look(node);
        pthread_mutex_lock(&stall->mutex);
    }
    pthread_mutex_unlock(&stall->mutex);
    return NULL;
}

/* ---- Opening and closing ---- */

rr_status stall_open(rr_node *node, uint64_t limit_us, char error[NODE_ERROR_BYTES_MAX])
{
    struct stall *stall = mem_new(struct stall);
    node->stall = stall;
    stall->limit_us = limit_us;
    pthread_mutex_init(&stall->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&stall->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    stall->started = pthread_create(&stall->thread, NULL, run, node) == 0;
    if (!stall->started) {
        snprintf(error, NODE_ERROR_BYTES_MAX, "cannot create the thread that watches the disk");
        return RR_IO;
    }
    return RR_OK;
}

void stall_close(rr_node *node)
{
    struct stall *stall = node->stall;
    if (stall == NULL) {
        return;
    }
    pthread_mutex_lock(&stall->mutex);
    stall->stop = true;
    pthread_cond_signal(&stall->changed);
    pthread_mutex_unlock(&stall->mutex);
    if (stall->started) {
        pthread_join(stall->thread, NULL);
    }
    pthread_cond_destroy(&stall->changed);
    pthread_mutex_destroy(&stall->mutex);
    mem_free(stall);
    node->stall = NULL;
}
