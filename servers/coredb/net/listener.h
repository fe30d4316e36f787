/* Listening sockets. Loop's thread, but for the opening, which may come before it runs. */
#ifndef COREDB_NET_LISTENER_H
#define COREDB_NET_LISTENER_H

#include "coredb/net/connection.h"
#include "coredb/net/loop.h"

struct listener;

/* A new connection, which the callee starts, finishes or closes. */
typedef void (*listener_accept_fn)(void *arg, struct connection *connection);

/*
 * Takes `host`:`port`; of a name's several addresses the first that works, IPv4 before IPv6. Port
 * 0: the kernel chooses. Nothing is accepted before listener_start. `address` receives
 * "host:port" where a client on this machine finds it.
 *
 * RR_OK, or RR_IO with one line in `error`.
 */
RR_MUST_USE rr_status listener_open_tcp(const char *host, uint16_t port, int backlog,
                                        struct listener **out, char *address, size_t address_size,
                                        char *error, size_t error_size);

/* The same at a path, where a socket that nobody listens at any more is replaced. `mode` 0: as the
 * umask says. */
RR_MUST_USE rr_status listener_open_unix(const char *path, unsigned mode, int backlog,
                                         struct listener **out, char *error, size_t error_size);

/* Before loop_run or on its thread. RR_OK or RR_IO. */
RR_MUST_USE rr_status listener_start(struct listener *listener, struct loop *loop,
                                     listener_accept_fn accept, void *arg);

/* Closes; a started one on the loop's thread. NULL is fine. */
void listener_close(struct listener *listener);

#endif
