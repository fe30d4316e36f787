/*
 * Requests and their answers between nodes, over bulk connections: forwarded writes and reads,
 * membership, join and identify. The transport knows neither methods nor bodies.
 *
 * The side that asks uses rpc_call; the side that answers gets requests from listener.h and
 * answers each through its responder. Loop's thread.
 */
#ifndef TRANSPORT_RPC_H
#define TRANSPORT_RPC_H

#include "transport/peers.h"

enum { RPC_BODY_BYTES_MAX = MESSAGE_BYTES_MAX - 1024 };

/* How a call ended. Lasts for the call of rpc_done_fn. */
struct rpc_result {
    /*
     * With `answered`, what the other side's handler said. Without:
     *   RR_IO        the peer could not be reached (sent is false)
     *   RR_MISMATCH  ... and it, or this node, refused the handshake (sent is false)
     *   RR_TIMEOUT   the deadline passed before the request was written (sent is false)
     *   RR_CLOSED    peers_free or peers_remove before it was written (sent is false)
     *   RR_UNKNOWN   it was written, and the deadline passed or the connection broke (sent is true)
     */
    rr_status status;
    bool answered;
    bool sent;     /* false: the peer certainly never received the request, and never will */
    rr_bytes body; /* of the answer; empty without one */
    const struct hello *other; /* who answered, or refused; NULL when nobody was reached */
    const char *reason;        /* text for people; "" with an answer */
};

typedef void (*rpc_done_fn)(void *arg, const struct rpc_result *result);

/*
 * Asks the peer `to`. `body` is copied. `done` runs exactly once, later, never from within this
 * function (but from within peers_free and peers_remove).
 *
 * Returns RR_OK; or, and then `done` never runs: RR_NOT_FOUND (no such peer), RR_BUSY (too many
 * calls or bytes without an answer), RR_TOO_BIG or RR_NO_MEMORY. A peer in its pause after a failed
 * attempt gives RR_OK, and `done` comes with RR_IO at the end of the turn.
 */
RR_MUST_USE rr_status rpc_call(struct peers *peers, raft_id to, uint16_t method, rr_bytes body,
                               uint32_t timeout_ms, rpc_done_fn done, void *arg);

/*
 * The same to whoever is at `address`, "host:port": for nodes whose id is not known yet. Always
 * attempts to connect, at once. Connections to addresses are shared by calls and closed when idle.
 *
 * Returns also RR_INVALID, the address is none that one can connect to; RR_CLOSED, peers_free is
 * at work; but not RR_NOT_FOUND.
 */
RR_MUST_USE rr_status rpc_call_address(struct peers *peers, const char *address, uint16_t method,
                                       rr_bytes body, uint32_t timeout_ms, rpc_done_fn done,
                                       void *arg);

/* A request that waits for its one answer. It outlives the connection that it came by. */
struct responder;

/*
 * Answers and frees the responder; to be called exactly once, in the request's callback or any
 * time later, before the transport is freed. `body` is copied. If the connection is gone, the
 * answer is dropped and counted. A body over RPC_BODY_BYTES_MAX, or one for which there is no
 * memory, is answered with RR_TOO_BIG or RR_NO_MEMORY and no body.
 */
void responder_answer(struct responder *responder, rr_status status, rr_bytes body);

/* Whether the asker still waits, as far as this side knows: its connection is open and its deadline
 * has not passed. Work for others may be skipped, but must still be answered. */
bool responder_wanted(const struct responder *responder);

#endif
