/*
 * The HTTP server: connections, bodies, limits and counters. What a request means is left to the
 * handlers.
 *
 * One thread of the HTTP library serves all connections; the functions below are for the main
 * thread unless they say otherwise.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "common/log.h"
#include "http/exchange.h"
#include "http/route.h"

#include <rockraft/config.h>
#include <rockraft/rockraft.h>

#include <microhttpd.h>
#include <stdatomic.h>

enum {
    STATUS_KIND_COUNT = 11, /* statuses that are counted apart */
    LATENCY_BUCKET_COUNT = 12
};

/* What /metrics tells of the server itself. HTTP thread. */
struct counters {
    uint64_t answers[ROUTE_COUNT + 1][STATUS_KIND_COUNT]; /* last row: unknown paths */
    uint64_t latency[LATENCY_BUCKET_COUNT];               /* not cumulated */
    uint64_t latency_sum_us;
    uint64_t received_bytes;
    uint64_t sent_bytes;
    uint64_t connections;
};

struct server {
    const rr_config *config;
    rr_node *node;
    struct log *log;
    struct MHD_Daemon *daemon;
    int listener;

    size_t bodies_bytes;         /* held for bodies; HTTP thread */
    atomic_size_t answers_bytes; /* held for results and answers; HTTP and node's thread */
    atomic_size_t active_count;  /* exchanges that have begun and not ended */
    atomic_size_t suspended_count;
    atomic_bool stopping;
    struct counters counters;
};

/* Serves `listener`, which stays the caller's, until server_stop. All arguments must outlive it.
 * NULL when the HTTP library cannot start. */
struct server *server_start(const rr_config *config, rr_node *node, struct log *log, int listener);

/* Takes no new connections, and answers new requests with 503, until the server is stopped. */
void server_quiesce(struct server *server);

/* Waits until the answers of all requests have been sent, or `timeout_ms`. */
void server_drain(struct server *server, uint32_t timeout_ms);

/* Closes all connections and frees `server`. Every operation of the node must have ended. False,
 * without doing so, when one has not. NULL is fine. */
bool server_stop(struct server *server);

/*
 * Reserves `size` bytes for answers. False when answers hold too much already; small ones always
 * pass, and so does what is reserved by `force`. HTTP and node's thread.
 */
bool server_reserve_answer(struct server *server, size_t size, bool force);
void server_release_answer(struct server *server, size_t size);

/* The places of `status` in counters.answers, and the status of a place. HTTP thread. */
size_t server_status_place(unsigned status);
unsigned server_status_at(size_t place);

/* The upper bound of a latency bucket in microseconds; UINT64_MAX for the last. */
uint64_t server_latency_bound_us(size_t bucket);

#endif
