/*
 * The server: all clients, the node that they work on, and what is done in the background. Loop's
 * thread, except where noted.
 */
#ifndef COREDB_SERVER_SERVER_H
#define COREDB_SERVER_SERVER_H

#include "coredb/base/list.h"
#include "coredb/command/execute.h"
#include "coredb/net/listener.h"
#include "coredb/net/loop.h"
#include "coredb/server/call.h"
#include "coredb/server/sampling.h"
#include "coredb/server/settings.h"

#include <rockraft/config.h>
#include <rockraft/rockraft.h>

#include <stdatomic.h>

struct client;
struct log;
struct background;
struct transaction;
struct latency;
struct measure;
struct slowlog;

enum { SERVER_WAITER_BUCKETS = 1024, SERVER_LISTENERS_MAX = 17 };

/* Counters since the start or CONFIG RESETSTAT. */
struct server_statistics {
    uint64_t connections;
    uint64_t rejected_connections;
    uint64_t evicted_clients; /* closed for maxmemory-clients */
    uint64_t commands;
    uint64_t errors;
    uint64_t unknown_outcomes;
    uint64_t input_bytes_before; /* of connection_totals, when they were reset */
    uint64_t output_bytes_before;
};

/* What happens on the data, told to whoever wants it (pub/sub). Loop's thread. */
typedef void (*server_event_fn)(void *arg, const struct event *event);

struct server {
    struct loop *loop;
    rr_node *node;
    struct log *log;
    struct settings *settings;
    const rr_config *config;
    struct execute execute; /* the procedure's argument */
    uint64_t node_id;
    uint64_t boot; /* ascends from start to start */
    char run_id[41];
    uint64_t started_ms;               /* wall clock */
    void (*stop)(void *arg, bool now); /* ends the process; set by the app */
    void *stop_arg;
    const char *config_path; /* of the configuration file; NULL: there is none. Set by the app */

    struct listener *listeners[SERVER_LISTENERS_MAX];
    size_t listener_count;
    char address[300]; /* "host:port" of the first */

    struct list_link clients;
    size_t client_count;
    uint64_t last_client_id;
    struct list_link paused; /* clients that CLIENT PAUSE holds */
    uint64_t paused_until_ms;
    bool paused_all; /* not only writes */
    struct loop_timer *pause_timer;

    struct client *waiters[SERVER_WAITER_BUCKETS]; /* by number */
    size_t waiter_count;
    size_t blocked_count; /* registered and not yet answered or cancelled; WAITs too */
    uint64_t last_waiter;

    size_t calls_pending;
    bool quiescing; /* no new request begins */
    struct background *background;
    uint64_t orphans_until_ms; /* waiters without a client may turn up until then */

    server_event_fn on_event; /* notifications and published messages; NULL: nobody */
    void *on_event_arg;
    /* Any thread: which of them are wanted at all. */
    atomic_uint notify_wanted; /* of enum notify_class */
    atomic_bool publish_wanted;

    /* Transactions with a watched key that was absent; see server_watch_end. */
    struct list_link absent_watchers;
    size_t watch_calls;          /* of WATCH, on their way */
    atomic_bool appeared_wanted; /* any thread: whether it matters here that a key appears */

    /* Entries up to this one may have been applied before this start of the process: who listens now
     * has heard of them, or has missed them. Any thread. */
    atomic_uint_least64_t replayed_index;

    struct server_statistics statistics;
    struct sampling sampling;
    struct measure *measure; /* of commands; the node's threads add to it */
    struct slowlog *slowlog;
    struct latency *latency;
};

/* Main thread, before the loop runs. */
struct server *server_new(struct loop *loop, struct log *log, struct settings *settings,
                          const rr_config *config);

/* After the loop has ended and the node is shut down. */
void server_free(struct server *server);

/* The node is open: accepts clients from now on. Before the loop runs. */
rr_status server_start(struct server *server, rr_node *node);

/* Stops listening and starting requests, and cancels what waits. */
void server_quiesce(struct server *server);

/* Ends all clients; what has been answered still leaves. */
void server_close_clients(struct server *server);

/*
 * WATCH begins and ends a question for a key's modification index; an absent key has none. What
 * appears and is gone again before EXEC would look unchanged there, but its client may have read it:
 * so from the beginning on it is noted here when such keys appear.
 */
void server_watch_begin(struct server *server);
void server_watch_end(struct server *server, struct transaction *transaction, bool absent);

/* Whether keys may have appeared unseen since: in a snapshot that the node has got, and not made. It
 * does not tell the two apart. */
bool server_watch_missed(const struct server *server, const struct transaction *transaction);

/* CLIENT PAUSE and UNPAUSE; `until_ms` is of loop_now_ms. */
void server_pause(struct server *server, uint64_t until_ms, bool all);
void server_unpause(struct server *server);

/* Wall clock, and one that only goes forward. Any thread. */
/* An error reply is sent. */
void server_count_error(struct server *server, rr_bytes reply);

/* A call ended so. */
void server_count_status(struct server *server, rr_status status);

/* A role as INFO and RAFT.INFO name it. Any thread. */
const char *server_role_name(rr_role role);

uint64_t server_wall_ms(void);
uint64_t server_wall_us(void);

#endif
