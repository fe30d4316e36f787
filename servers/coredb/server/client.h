/*
 * A client: a connection, what it has chosen, and where it is in its requests. Loop's thread
 * throughout.
 *
 * Requests are worked on in order. A local command (command.h) writes its reply into
 * `client->reply`; it may take its time by client_suspend. Nothing else of the client runs
 * meanwhile.
 */
#ifndef COREDB_SERVER_CLIENT_H
#define COREDB_SERVER_CLIENT_H

#include "coredb/base/list.h"
#include "coredb/command/command.h"
#include "coredb/net/connection.h"
#include "coredb/resp/parser.h"
#include "coredb/resp/reply.h"
#include "coredb/server/call.h"
#include "coredb/server/transaction.h"

#include <rockraft/rockraft.h>

struct server;
struct subscriptions; /* pubsub.c's own */

enum {
    CLIENT_NAME_MAX = 64 * 1024,
    CLIENT_INPUT_PAUSE_BYTES = 1024 * 1024,  /* more input than this waits in the system */
    CLIENT_OUTPUT_PAUSE_BYTES = 1024 * 1024, /* with more unsent, no further request begins */
};

/* What a client waits for. */
enum client_state {
    CLIENT_READY,     /* for its next request */
    CLIENT_CALLING,   /* a batch is on its way */
    CLIENT_SUSPENDED, /* a local command takes its time */
    CLIENT_BLOCKED,   /* a waiter of its is registered; see blocked.h */
    CLIENT_CANCELING, /* the same, and it is being cancelled */
};

enum client_replies { REPLIES_ON, REPLIES_OFF, REPLIES_SKIP_NEXT, REPLIES_SKIP };

/* One answer of a batch, in order: `literal` bytes of `client->literals`, or an item's. */
enum { SLOT_ITEM = UINT32_MAX };
struct client_slot {
    uint32_t literal;
    uint32_t offset;               /* items: in the batch */
    const struct command *command; /* items; NULL for EXEC */
};

struct client {
    struct server *server;
    struct connection *connection;
    struct list_link link;    /* in server->clients */
    struct list_link waiting; /* in server->paused, or in no list */
    uint64_t id;
    enum client_state state;

    struct parser parser;
    bool holding;       /* the parser's request is the next to run */
    bool input_ended;   /* the other side sends no more */
    bool advancing;     /* client_advance is running */
    bool closing;       /* after the present reply */
    struct reply reply; /* of the local command that runs; also tells the protocol */

    /* What it has chosen. */
    bool authenticated;
    uint32_t db;
    rr_read_level read_level;
    enum client_replies replies;
    bool no_evict;
    struct buffer name;
    struct buffer library_name;
    struct buffer library_version;
    struct transaction transaction;
    bool in_exec; /* a command of a transaction runs: it must not suspend */
    /* An EXEC with an INFO asks for the numbers of keys when its commands have run. */
    struct buffer exec_output; /* of the batch; empty: it had no commands over the data */
    uint64_t exec_index;       /* of its entry */
    struct buffer keyspace;    /* the answer */

    /* The batch. */
    struct call call;
    struct client_slot *slots;
    size_t slot_count;
    size_t slot_capacity;
    size_t item_count;
    struct buffer literals;
    bool batch_writes;     /* goes through the log */
    bool batch_heavy;      /* takes no further command */
    bool batch_blocks;     /* its last command may wait */
    bool exec_merges;      /* it is an EXEC with local commands among others */
    bool unfinished;       /* a part has been answered; what is left in it runs next */
    size_t watch_position; /* of the next key, while WATCH runs */

    /* A blocking command. */
    uint64_t waiter;            /* its number; 0: none */
    uint64_t waiter_index;      /* the entry that registered it; 0: not known yet */
    struct client *waiter_next; /* in server->waiters */
    bool served;                /* `served_reply` is the answer */
    bool cancel_done;           /* the cancel found no waiter: its event is on its way */
    bool unblock_error;         /* CLIENT UNBLOCK ... ERROR */
    uint64_t cancel_until_ms;   /* of loop_now_ms; then its fate is told to be unknown */
    struct buffer served_reply;
    struct loop_timer *timer;

    uint64_t suspension; /* counts client_suspend */
    uint64_t last_index; /* of the last entry that it has written: for WAIT */

    /* Pub/sub. */
    struct subscriptions *subscriptions;               /* pubsub.c's; NULL: none */
    void (*drop_subscriptions)(struct client *client); /* set with it; at the end and at RESET */
    uint32_t channel_count;                            /* kept by pubsub.c, as the next two */
    uint32_t pattern_count;
    uint32_t shard_channel_count;
    uint64_t over_soft_limit_since_ms; /* 0: it is not */
    bool over_hard_limit;              /* nothing more is pushed; it is closed soon */

    /* For CLIENT LIST and limits. */
    uint64_t created_ms;
    uint64_t active_ms; /* last request, or output that was taken */
    const struct command *last_command;
    uint64_t command_count;
};

/* A connection has been accepted. */
void client_accept(void *server, struct connection *connection);

/* Ends the client and frees it, now. Not from within its own local command: use client_kill. */
void client_free(struct client *client);

/* Ends the client soon: at once if it does nothing, else after the present step. `after_reply`: what
 * has been answered still leaves. */
void client_kill(struct client *client, bool after_reply);

/* Runs requests for as long as nothing has to be waited for. */
void client_advance(struct client *client);

/* Whether so much input waits to be looked at that no more is read. Who waits for others is read
 * from on, up to client-query-buffer-limit, for only so it shows that it has gone. */
bool client_input_is_enough(const struct client *client);

/* The client of that id, or NULL. */
struct client *client_find(struct server *server, uint64_t id);

/*
 * Sends bytes that are no reply (pushes, messages of pub/sub): they come between replies. When that
 * would be more than client-output-buffer-limit allows, nothing is sent and the client ends soon.
 */
void client_push(struct client *client, rr_bytes bytes);

/* How many bytes its buffers have, in both directions and in between. */
size_t client_memory(const struct client *client);

/* Output that belongs to the order of replies. */
void client_emit(struct client *client, rr_bytes bytes);

/*
 * Within a local command: its reply comes later. Returns a ticket for client_resumable; 0: it may
 * not wait, as it runs in a transaction, and has to answer now.
 */
uint64_t client_suspend(struct client *client);
/* The client that waits with this ticket, or NULL if it has gone. Write its reply and call
 * client_resume then. */
struct client *client_resumable(struct server *server, uint64_t id, uint64_t ticket);
void client_resume(struct client *client);

/* Whether it is in the subscribed state of RESP2, where few commands are allowed. */
static inline bool client_is_subscriber(const struct client *client)
{
    return client->channel_count + client->pattern_count + client->shard_channel_count > 0;
}

/* RESET: everything that the client has chosen. */
void client_reset(struct client *client);

#endif
