/*
 * TCP: listening and connecting. What comes out are streams (stream.h). For the loop's thread.
 *
 * All connections have Nagle's algorithm off and keepalive on, and fail when sent bytes stay
 * without acknowledgement for TCP_UNACKNOWLEDGED_MS_MAX, so that a cut network is noticed.
 */
#ifndef IO_TCP_H
#define IO_TCP_H

#include "io/stream.h"

enum {
    TCP_KEEPALIVE_S = 15,
    TCP_UNACKNOWLEDGED_MS_MAX = 10 * 1000,
    TCP_ADDRESSES_MAX = 16, /* addresses tried of one name */
};

/* A socket that accepts connections. */
struct tcp_listener;

/* A connection was accepted; the stream is the callee's, who starts or abandons it in the call. */
typedef void (*tcp_accept_fn)(void *arg, struct stream *stream);

/*
 * Listens on `address`, whose host is a literal, "localhost" or a name (resolved here, which may
 * block: this is for start-up); port 0 takes a free one.
 *
 * Returns RR_OK; RR_INVALID, the host has no address; RR_CONFLICT, the port is in use; RR_IO. Then
 * `reason` (STREAM_REASON_BYTES_MAX, or NULL) says why.
 */
RR_MUST_USE rr_status tcp_listen(struct loop *loop, const struct address *address,
                                 tcp_accept_fn accept, void *arg, struct tcp_listener **out,
                                 char *reason);

/* Where it listens, with the actual port. */
void tcp_listener_address(const struct tcp_listener *listener, struct address *out);

/* Accepts no more; streams accepted before live on. No call after this one. NULL is fine. */
void tcp_listener_close(struct tcp_listener *listener);

/* An attempt to connect. */
struct tcp_connect;

/*
 * The end of an attempt: RR_OK and a stream, which is the callee's (to start or abandon in the
 * call); or RR_NOT_FOUND (the name has no address), RR_TIMEOUT or RR_IO with NULL. `reason` lasts
 * for the call.
 */
typedef void (*tcp_connect_fn)(void *arg, rr_status status, struct stream *stream,
                               const char *reason);

/*
 * Resolves the host without blocking and tries its addresses in turn until one connects; each has
 * an equal share of `timeout_ms`, which covers everything. `done` runs once, later, unless the
 * attempt is cancelled before. A port of 0 fails.
 */
struct tcp_connect *tcp_connect(struct loop *loop, const struct address *address,
                                uint64_t timeout_ms, tcp_connect_fn done, void *arg);

/* Gives up; `done` does not run any more. Not after it ran. NULL is fine. */
void tcp_connect_cancel(struct tcp_connect *connect);

#endif
