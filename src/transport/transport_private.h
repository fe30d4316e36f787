/*
 * What the files of this folder share, from the bottom up: the transport, a connection (a stream
 * with frames and a handshake), a dialer (which makes connections to one place, again and again),
 * a channel (calls over a dialer), a peer, and what a listener's parts know of one another.
 */
#ifndef TRANSPORT_TRANSPORT_PRIVATE_H
#define TRANSPORT_TRANSPORT_PRIVATE_H

#include "base/map.h"
#include "io/tcp.h"
#include "io/timer.h"
#include "transport/frame.h"
#include "transport/listener.h"
#include "transport/transport.h"

struct transport {
    struct loop *loop;
    struct logger logger;
    struct transport_options options; /* with the defaults filled in */
    struct random random;
    struct transport_counters counters;
    struct buffer scratch; /* for encoding one frame */
    struct peers *peers;   /* NULL until there are any */
    struct log_limiter garbage_log;
    struct log_limiter reject_log;
    struct log_limiter protocol_log;
};

/* The empty scratch buffer; whoever uses it is done with it before anyone else runs. */
struct buffer *transport_scratch(struct transport *transport);

/* This node's hello for a connection of `class`. */
struct hello transport_hello(const struct transport *transport, enum traffic_class class);

/* ---- connection.c ---- */

struct connection;

struct connection_callbacks {
    /* The handshake is done. NULL is fine. */
    void (*opened)(void *arg);

    /* A frame after the handshake. */
    void (*frame)(void *arg, const struct frame *frame);

    /* As a stream's. NULL is fine. */
    void (*drained)(void *arg);

    /* It has ended, and is freed after the call; exactly once unless abandoned. RR_MISMATCH, either
     * side refused; RR_CORRUPT, the other side broke the protocol; RR_TIMEOUT, no handshake in
     * time; RR_IO, RR_CLOSED as a stream's; or what connection_close was given. */
    void (*closed)(void *arg, rr_status status, const char *reason);
};

/* Why a connection does not read at the moment; one bit each. */
enum {
    PAUSED_BY_OWNER = 1,
    PAUSED_BY_REQUESTS = 2,
    PAUSED_BY_ANSWERS = 4,
};

/* Takes the stream of a connection that this side made, and introduces this side as `own`. */
struct connection *connection_from_connect(struct transport *transport, struct stream *stream,
                                           const struct hello *own, size_t queue_bytes_max,
                                           const struct connection_callbacks *callbacks, void *arg);

/* Takes the stream of a connection that the other side made. */
struct connection *connection_from_accept(struct transport *transport, struct stream *stream,
                                          size_t queue_bytes_max,
                                          const struct connection_callbacks *callbacks, void *arg);

/* Who the other side is, once it said so; else NULL. */
const struct hello *connection_other(const struct connection *connection);

/* Whether the handshake is done and the end has not begun. */
bool connection_usable(const struct connection *connection);

/* Sends whole frames, `count` of them; as stream_write. */
RR_MUST_USE rr_status connection_send(struct connection *connection, struct buffer *frames,
                                      uint64_t count);

/* Sends no more after what is queued, and ends. */
void connection_finish(struct connection *connection);

void connection_pause(struct connection *connection, unsigned why);
void connection_resume(struct connection *connection, unsigned why);

/* As stream_accepted, stream_written and stream_queued. */
uint64_t connection_accepted(const struct connection *connection);
uint64_t connection_written(const struct connection *connection);
size_t connection_queued(const struct connection *connection);

/* The other side's numeric address. */
const char *connection_peer_text(const struct connection *connection);

/* The other side said what makes no sense: counted, logged, the end. */
void connection_protocol_error(struct connection *connection, const char *text);

/* A frame of a type that this side does not expect: skipped if it is a newer version's. */
void connection_unexpected(struct connection *connection, const struct frame *frame);

/* Ends it; `closed` follows with `status` and `reason`. */
void connection_close(struct connection *connection, rr_status status, const char *reason);

/* Ends it without `closed`. NULL is fine. */
void connection_abandon(struct connection *connection);

/* ---- dialer.c ---- */

enum dialer_state {
    DIALER_IDLE,
    DIALER_CONNECTING,
    DIALER_SHAKING_HANDS,
    DIALER_OPEN,
    DIALER_PAUSED, /* after a failure, until the timer is due */
};

struct dialer_callbacks {
    void (*opened)(void *arg);
    void (*frame)(void *arg, const struct frame *frame);
    void (*drained)(void *arg); /* NULL is fine */

    /* The attempt failed, or the connection was lost; it is PAUSED now. `written` is as
     * connection_written at the end, `other` as connection_other. The callee may deinit it. */
    void (*failed)(void *arg, rr_status status, const char *reason, uint64_t written,
                   const struct hello *other);
};

/* Makes one connection at a time to one place. */
struct dialer {
    struct transport *transport;
    enum traffic_class class;
    raft_id to_node; /* 0: whoever is there */
    uint64_t to_incarnation;
    struct address address;
    size_t queue_bytes_max;
    const struct dialer_callbacks *callbacks;
    void *arg;
    enum dialer_state state;
    bool wanted; /* connect again when the pause ends */
    bool tried;  /* there was an attempt before */
    bool failure_logged;
    uint32_t failures; /* in a row */
    uint64_t opened_ms;
    struct tcp_connect *connect;
    struct connection *connection;
    struct timer *pause;
};

void dialer_init(struct dialer *dialer, struct transport *transport, enum traffic_class class,
                 const struct address *address, size_t queue_bytes_max,
                 const struct dialer_callbacks *callbacks, void *arg);

/* Drops everything; no callback runs any more. A zeroed one is fine. */
void dialer_deinit(struct dialer *dialer);

/* There is something to send: connects if it is idle, or at the end of the pause. */
void dialer_want(struct dialer *dialer);

/* Ends a pause; connects if it is wanted. */
void dialer_end_pause(struct dialer *dialer);

/* ---- rpc.c ---- */

/* The calls to one place. */
struct channel {
    struct transport *transport;
    struct dialer dialer;
    struct map calls;   /* by number: those handed to the connection */
    struct list handed; /* the same, in the order of sending */
    struct list unsent; /* oldest first */
    uint32_t count;     /* both */
    size_t bytes;       /* bodies of both */
    uint64_t next_number;
    struct timer *deadlines;
    uint64_t armed_ms;      /* what the timer is set to; UINT64_MAX: not set */
    struct deferred refuse; /* ends the unsent calls: no connection at the moment */
    struct list messages;   /* user_message.c's: those that wait, oldest first */
    size_t message_bytes;   /* of them */
    struct list_link link;  /* among the channels to addresses; else zeroed */
    uint64_t idle_ms;       /* since when it has no calls; for those */
};

void channel_init(struct channel *channel, struct transport *transport,
                  const struct address *address);

/* Ends all calls, from within: those not written with RR_CLOSED. */
void channel_deinit(struct channel *channel);

/* As rpc_call. */
RR_MUST_USE rr_status channel_call(struct channel *channel, uint16_t method, rr_bytes body,
                                   uint32_t timeout_ms, rpc_done_fn done, void *arg);

/* ---- user_message.c ---- */

/* Hands on what waits, as far as there is room. */
void channel_pump_messages(struct channel *channel);

/* Drops what waits, counted. */
void channel_drop_messages(struct channel *channel);

/* ---- peers.c ---- */

struct peer {
    struct peers *peers;
    raft_id id;
    uint64_t incarnation;
    struct address address;
    char address_text[ADDRESS_BYTES_MAX];
    struct dialer consensus;
    struct buffer waiting; /* frames for the handshake to end */
    uint64_t waiting_count;
    struct list_link unreachable; /* in peers->unreachable while that is to be reported */
    struct channel bulk;
    struct list sends; /* struct snapshot_send */
    bool stopped;      /* its calls and snapshots are being ended: it takes no new ones */
};

struct peers {
    struct transport *transport;
    const struct peers_callbacks *callbacks;
    void *arg;
    struct map by_id; /* struct peer */
    struct list unreachable;
    uint64_t reported_turn; /* the last in which `unreachable` was called, plus 1 */
    struct turn_hook hook;
    struct list addresses; /* struct channel, for rpc_call_address */
    uint32_t address_count;
    struct timer *address_timer; /* closes idle ones */
    bool closing;                /* peers_free is at work: nothing new is taken */
};

/* NULL for one that is unknown, or that takes nothing new. */
struct peer *peers_find(const struct peers *peers, raft_id id);

/* Ends all connections to addresses, for peers_free. */
void peers_drop_addresses(struct peers *peers);

/* ---- snapshot_send.c ---- */

/* Ends and frees the first one in `sends`, with RR_CLOSED. */
void snapshot_send_end_first(struct list *sends);

/* ---- listener.c, responder.c, snapshot_receive.c ---- */

/* An inbound connection. */
struct inbound {
    struct list_link link; /* in listener->inbounds */
    struct listener *listener;
    struct transport *transport;
    struct connection *connection;
    bool open;
    struct hello other;     /* once open */
    struct list responders; /* not answered yet */
    uint32_t request_count; /* of them */
    size_t request_bytes;
    struct snapshot_receive *receive; /* NULL without one */
    struct timer *linger;             /* after a snapshot's result: until the sender has read it */
};

struct listener {
    struct transport *transport;
    const struct listener_callbacks *callbacks;
    void *arg;
    struct tcp_listener *tcp;
    struct list inbounds;
    size_t inbound_count;
    struct map receives; /* by group: struct snapshot_receive */
    bool paused[TRAFFIC_CLASS_COUNT + 1];
};

/* A REQUEST frame has come. */
void inbound_request(struct inbound *inbound, const struct frame *frame);

/* What is queued for the asker has left. */
void inbound_requests_drained(struct inbound *inbound);

/* The connection is gone: its responders live on without it. */
void inbound_detach_responders(struct inbound *inbound);

/* A frame on a connection of the snapshot class. */
void inbound_snapshot_frame(struct inbound *inbound, const struct frame *frame);

/* Ends the snapshot of a connection that is gone, if there is one, and what belongs to it. */
void inbound_end_receive(struct inbound *inbound, rr_status status);

#endif
