/*
 * A client's connection: bytes in by a callback, bytes out from a buffer. Output is sent once per
 * turn of the loop, with as few calls to the system as possible.
 *
 * Loop's thread throughout.
 */
#ifndef COREDB_NET_CONNECTION_H
#define COREDB_NET_CONNECTION_H

#include "coredb/base/buffer.h"
#include "coredb/net/loop.h"

struct connection;

/* What the owner of a connection hears of it. It may end the connection within each of these. */
struct connection_events {
    void (*received)(void *arg, rr_bytes bytes); /* the bytes last for the call */
    void (*sent)(void *arg); /* all output has left, after a time when some had to wait, or as
                              * connection_await_sent asked */
    void (*ended)(void *arg, bool orderly); /* the other side sends no more, or (not orderly) the
                                             * connection is broken. Comes once at most. */
};

enum { CONNECTION_ADDRESS_MAX = 128 };

/* Reading begins at once; `events` must live as long as the connection. */
void connection_start(struct connection *connection, const struct connection_events *events,
                      void *arg);

/* Where to append output, until the next call on the connection. */
struct buffer *connection_output(struct connection *connection);
/* Output has been appended: it leaves at the end of the turn. */
void connection_send(struct connection *connection);
/* Has `sent` called once all output has left, even if it leaves at once. */
void connection_await_sent(struct connection *connection);
/* How many bytes wait to be sent. */
size_t connection_unsent(const struct connection *connection);

/* Switches reading; what arrives meanwhile stays with the system. */
void connection_read(struct connection *connection, bool on);

/* Closes at once; no callback comes any more, and the connection must not be used. */
void connection_close(struct connection *connection);

/* Sends what waits and closes then, in the background and for a few seconds at most. No callback
 * comes any more, and the connection must not be used. */
void connection_finish(struct connection *connection);

/* 0: off. In seconds. Nothing for unix sockets. */
void connection_keepalive(struct connection *connection, unsigned seconds);

/* "host:port" or "path:0" of the other and of this side, as CLIENT LIST shows them. */
void connection_peer(const struct connection *connection, char out[CONNECTION_ADDRESS_MAX]);
void connection_local(const struct connection *connection, char out[CONNECTION_ADDRESS_MAX]);
bool connection_is_unix(const struct connection *connection);
int connection_descriptor(const struct connection *connection);

/* Bytes received and sent by all connections of the process. */
struct connection_totals {
    uint64_t received;
    uint64_t sent;
};
const struct connection_totals *connection_totals(void);

#endif
