/* What the files of this folder share: the inside of a loop, and how a stream is made. */
#ifndef IO_IO_PRIVATE_H
#define IO_IO_PRIVATE_H

#include "io/loop.h"
#include "io/stream.h"

#include <stdatomic.h>
#include <uv.h>

struct loop {
    uv_loop_t uv;
    uv_prepare_t before_sleep; /* ends a turn that timers and closed streams made busy */
    uv_check_t after_sleep;    /* ends a turn that sockets and threads made busy */
    uv_idle_t no_sleep;        /* started while the end of the turn left something to do */
    uv_async_t stop_bell;
    atomic_bool stop_wanted;
    uint64_t turn;             /* turns that have ended */
    bool marked;               /* something happened: the hooks are to run */
    struct list deferred;      /* struct deferred */
    struct list flushes;       /* struct deferred: the writes of step 3 */
    struct list hooks;         /* struct turn_hook */
    struct list_link *hook_at; /* the hook to run next, while hooks run; else NULL */
    uint8_t *read_buffer;      /* STREAM_READ_BYTES_MAX, for every read */
};

/* Has `flush->fn` called in step 3 of the turn's end. */
void loop_defer_flush(struct loop *loop, struct deferred *flush);

/* A text for a libuv error into `reason`, STREAM_REASON_BYTES_MAX. */
void io_error_text(int error, char *reason);

/* A stream around a socket that is neither open nor connected yet. It lives until it is abandoned
 * or handed to a user. */
struct stream *stream_new(struct loop *loop);

uv_tcp_t *stream_tcp(struct stream *stream);

/* The socket is connected: sets its options and the peer's text. False if it broke already. */
bool stream_connected(struct stream *stream);

#endif
