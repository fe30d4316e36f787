/* How listeners make connections. */
#ifndef COREDB_NET_CONNECTION_PRIVATE_H
#define COREDB_NET_CONNECTION_PRIVATE_H

#include "coredb/net/connection.h"

#include <uv.h>

/* Accepts the next connection of `server`. NULL: there is none, or the system refuses. */
struct connection *connection_accept(struct loop *loop, uv_stream_t *server, bool is_unix);

#endif
