/*
 * The inbound side: accepts connections, has each introduce itself, and hands on what its class
 * allows it to say. What is not a peer, and what breaks the protocol, is dropped, counted and
 * logged, at a bounded rate. Loop's thread.
 */
#ifndef TRANSPORT_LISTENER_H
#define TRANSPORT_LISTENER_H

#include "io/stream.h"
#include "transport/rpc.h"
#include "transport/snapshot_stream.h"

struct listener;

/* `from` is who the connection's other side said it was, and lasts for the call. */
struct listener_callbacks {
    /*
     * A consensus message. Its references are dropped after the call: who wants to keep them copies
     * the struct and zeroes `*message`. Whether its sender and receiver are who they should be is
     * for the owner to check.
     */
    void (*message)(void *arg, const struct hello *from, struct raft_message *message);

    /* A request, to be answered through `responder`. `body` lasts for the call; `timeout_ms` is
     * what is left of the asker's deadline. */
    void (*request)(void *arg, const struct hello *from, uint16_t method, rr_bytes body,
                    uint32_t timeout_ms, struct responder *responder);

    /* A message of the embedder's there, user_message.h; lasts for the call. */
    void (*user_message)(void *arg, const struct hello *from, rr_bytes message);

    /* All NULL: snapshots are refused. */
    struct snapshot_receive_callbacks snapshot;
};

/*
 * Listens on `address` (port 0: any). `callbacks` outlives it; each of its functions may be NULL:
 * messages are then dropped, requests refused with RR_INVALID. If peers_new was called on the same
 * transport, before or after, a node that connects ends the pause of the peer of its id.
 *
 * Returns RR_OK, or as tcp_listen and its `reason` (STREAM_REASON_BYTES_MAX, or NULL).
 */
RR_MUST_USE rr_status listener_open(struct transport *transport, const struct address *address,
                                    const struct listener_callbacks *callbacks, void *arg,
                                    struct listener **out, char *reason);

/* Where it listens, with the actual port. */
void listener_address(const struct listener *listener, struct address *out);

/* Inbound connections at the moment, handshakes included. */
size_t listener_connection_count(const struct listener *listener);

/* Stops (or goes on) reading from connections of `class`, new ones too: the owner has enough to
 * do. */
void listener_pause(struct listener *listener, enum traffic_class class, bool paused);

/* Drops the connections whose other side is `node`, such as one that was removed. */
void listener_drop_node(struct listener *listener, raft_id node);

/*
 * Drops all connections; snapshots on their way in end with RR_CLOSED, from within this function;
 * responders live on. Not from within one of its callbacks. NULL is fine.
 */
void listener_close(struct listener *listener);

#endif
