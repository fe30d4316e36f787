/*
 * What the two directions, peers.h (out) and listener.h (in), share: who this node is, whom it
 * accepts, its loop, its limits, its counters.
 *
 * Everything in this folder runs on the loop's thread. A transport outlives its peers, its
 * listener and every responder.
 */
#ifndef TRANSPORT_TRANSPORT_H
#define TRANSPORT_TRANSPORT_H

#include "base/log.h"
#include "base/random.h"
#include "io/loop.h"
#include "transport/counters.h"
#include "transport/handshake.h"

/*
 * Decides whether this node talks to `other`, which passed hello_check: membership is the owner's
 * knowledge. `inbound`: the other side connected to us. Called once per connection.
 *
 * Returns RR_OK, or any other status (RR_MISMATCH, RR_NOT_FOUND, RR_CLOSED...) and writes a text
 * of its own into `reason`; both travel to the other side, and both sides log them.
 */
typedef rr_status (*transport_accept_fn)(void *arg, const struct hello *other, bool inbound,
                                         char reason[HANDSHAKE_REASON_BYTES_MAX]);

/* A handshake that came to nothing because one side refused the other. */
struct refusal {
    bool by_us;
    bool inbound;
    const struct hello *own;   /* what this side said, or would have said */
    const struct hello *other; /* NULL: refused before the other side introduced itself */
    rr_status status;
    const char *reason;
};

/* Is told of refusals, so that an owner can learn that it, or its data, is out of place. It must
 * not close anything of the transport. */
typedef void (*transport_refused_fn)(void *arg, const struct refusal *refusal);

struct transport_options {
    struct loop *loop;
    struct logger logger;
    uint64_t random_seed; /* for the jitter of reconnects */

    /* This node. Class, versions and `to_` fields of it are ignored. */
    struct hello self;

    transport_accept_fn accept; /* NULL accepts everyone who passes hello_check */
    void *accept_arg;

    transport_refused_fn refused; /* NULL is fine */
    void *refused_arg;

    /* 0 takes the default in brackets. */
    uint32_t connect_timeout_ms;      /* for TCP [3000] */
    uint32_t handshake_timeout_ms;    /* [3000] */
    uint32_t backoff_min_ms;          /* before the first reconnect [50] */
    uint32_t backoff_max_ms;          /* doubled up to this, then a random part of it [2000] */
    size_t consensus_queue_bytes_max; /* per peer [64 MiB] */
    size_t snapshot_queue_bytes_max;  /* per snapshot [16 MiB] */
    size_t answer_queue_bytes_max;    /* per inbound connection, answers not written [64 MiB] */
    uint32_t calls_max;               /* per peer, without an answer [16384] */
    size_t call_bytes_max;            /* per peer, bodies without an answer [128 MiB] */
    size_t user_queue_bytes_max;      /* per peer, user messages that wait [16 MiB] */
    uint32_t inbound_requests_max;    /* per inbound connection, not answered [4096] */
    size_t inbound_request_bytes_max; /* per inbound connection, not answered [64 MiB] */
    uint32_t inbound_connections_max; /* [1024] */
    uint32_t addresses_max;           /* calls to explicit addresses at a time [256] */
    uint32_t address_idle_ms;         /* until such a connection is closed [10000] */
    uint32_t stall_timeout_ms;        /* a snapshot without progress [15000] */
    uint32_t finish_timeout_ms;       /* from a snapshot's last chunk to its result [120000] */
};

struct transport;

/* Copies the options. */
struct transport *transport_new(const struct transport_options *options);

/* After its peers and its listener. NULL is fine. */
void transport_free(struct transport *transport);

/* A fresh node has learned its cluster, its id or its address; handshakes from now on say so. */
void transport_set_self(struct transport *transport, const struct hello *self);

/* Lasts as long as the transport. */
const struct transport_counters *transport_counters(const struct transport *transport);

#endif
