/*
 * Nodes of nothing but transport, on one loop, in one process; a proxy that breaks connections
 * between them; and a plain client that says anything to them.
 */
#ifndef TEST_TRANSPORT_WORLD_H
#define TEST_TRANSPORT_WORLD_H

#include "io/timer.h"
#include "support/test.h"
#include "transport/listener.h"

enum { WORLD_HELD_MAX = 6000, WORLD_CHUNKS_MAX = 64 };

struct world {
    struct loop *loop;
    struct timer *guard; /* fails the test when it takes too long */
    struct timer *pause;
    bool pause_over;
};

void world_open(struct world *world);
void world_close(struct world *world);

/* Runs turns until `condition` holds. */
#define WAIT_UNTIL(world, condition)                                                               \
    do {                                                                                           \
        while (!(condition)) {                                                                     \
            loop_run_once((world)->loop, true);                                                    \
        }                                                                                          \
    } while (0)

/* Runs turns for so long: for what must not happen. */
void world_run_for(struct world *world, uint64_t milliseconds);

/* One side of a snapshot as the tests' owner sees it. */
struct sink {
    struct snapshot_receive *receive; /* the one under way */
    int begun;
    int ended;
    rr_status end_status;
    uint64_t resume_at;
    uint64_t chunk_count;
    char manifest[64];
    uint8_t chunks[WORLD_CHUNKS_MAX]; /* the first byte of each chunk stored */
    uint64_t chunks_stored;
    bool hold_acks;      /* the test answers */
    uint64_t held_chunk; /* the first one not answered */
    uint64_t held_count;
    bool hold_begin;
    rr_status begin_status; /* RR_OK: resume */
    rr_status chunk_status; /* RR_OK: acknowledge */
    rr_status finish_status;
    raft_index index;
};

struct node {
    struct world *world;
    struct transport_options options; /* set before node_start */
    struct address address;           /* where it listens; the port stays over restarts */
    char address_text[ADDRESS_BYTES_MAX];
    struct transport *transport;
    struct peers *peers;
    struct listener *listener; /* NULL while stopped */

    rr_status accept_status;
    rr_status accept_outbound_status;

    uint64_t messages;
    uint64_t last_index;
    bool out_of_order;
    uint64_t unreachable_count;
    uint64_t connected_count;
    uint64_t disconnected_count;

    bool hold_requests; /* else each is answered at once with its own body, status by its method */
    bool drop_asker;    /* ... or not at all, and its connection is dropped */
    uint64_t requests;
    uint32_t last_timeout_ms;
    struct responder *held[WORLD_HELD_MAX];
    size_t held_count;

    uint64_t user_messages;
    char last_user_message[64];
    size_t last_user_message_size;
    raft_id last_user_message_from;
    uint64_t user_message_number; /* the last one's first 8 bytes */
    bool user_messages_out_of_order;

    struct sink sink;
    char log[8192]; /* what it logged */
};

/* A node of cluster 7 with disk 100 + `id`, not started. */
void node_init(struct node *node, struct world *world, raft_id id);

/* Opens the transport, the peers and the listener, the latter where it was before. */
void node_start(struct node *node);

/* Closes all three. Held responders are answered first. */
void node_stop(struct node *node);

/* Makes `to` a peer of `node`, without a check of its disk. */
void node_add_peer(struct node *node, const struct node *to);

/* Answers the oldest or all held requests. */
void node_answer_first(struct node *node, rr_status status, const char *body);
void node_answer_all(struct node *node, rr_status status, const char *body);

const struct transport_counters *node_counters(const struct node *node);

/* Sends a heartbeat with `index` as its number. */
rr_status node_send(struct node *node, raft_id to, uint64_t index);

/* How a call ended. */
struct outcome {
    int done;
    rr_status status;
    bool answered;
    bool sent;
    char body[64];
    raft_id other;
    char reason[200];
};

/* An rpc_done_fn; the argument is a struct outcome. */
void outcome_note(void *arg, const struct rpc_result *result);

/* Between a client and `target`: passes bytes on, or not. */
struct proxy {
    struct world *world;
    struct tcp_listener *listener;
    struct address address;
    char address_text[ADDRESS_BYTES_MAX];
    struct address target;
    struct list links;
    bool stalled;               /* passes nothing on */
    uint64_t flip_bit_at;       /* flips a bit of this byte from the client; UINT64_MAX: none */
    uint64_t cut_after;         /* closes after so many bytes from the client; UINT64_MAX: never */
    uint64_t bytes_from_client; /* of all links */
    int connections;
};

void proxy_open(struct proxy *proxy, struct world *world, const struct address *target);
void proxy_cut(struct proxy *proxy); /* closes what is open */
void proxy_close(struct proxy *proxy);

/* A plain connection. */
struct raw {
    struct world *world;
    struct tcp_connect *connect;
    struct stream *stream;
    struct buffer received;
    bool connected;
    bool closed;
};

void raw_open(struct raw *raw, struct world *world, const struct address *address);
void raw_send(struct raw *raw, rr_bytes bytes);
void raw_close(struct raw *raw);

#endif
