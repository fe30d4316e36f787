/* What the files of net/ share. */
#ifndef COREDB_NET_LOOP_PRIVATE_H
#define COREDB_NET_LOOP_PRIVATE_H

#include "coredb/base/list.h"
#include "coredb/net/loop.h"

#include <pthread.h>
#include <uv.h>

enum { LOOP_READ_BYTES = 64 * 1024 };

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_prepare_t before_poll;
    uv_timer_t second; /* for connections that linger */

    pthread_mutex_t lock;
    struct loop_task *first; /* under `lock`, as the next two */
    struct loop_task **last;
    bool stopping;

    struct list_link dirty;     /* connections with output that nobody has begun to send */
    struct list_link lingering; /* connections that their owners have finished */
    uint8_t read_buffer[LOOP_READ_BYTES];
};

/* Sends what waits on all connections in loop->dirty. */
void connection_flush_all(struct loop *loop);

/* Ends lingering connections whose time is over; all of them if `all`. */
void connection_reap(struct loop *loop, bool all);

#endif
