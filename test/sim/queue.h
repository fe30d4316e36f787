/*
 * What will happen, in the order of virtual time; at equal times in the order of adding.
 *
 * Events live in slots that are used again; a message in one belongs to the event.
 */
#ifndef SIM_QUEUE_H
#define SIM_QUEUE_H

#include "raft/raft.h"

enum event_type {
    EVENT_DELIVER,     /* a message reaches its member */
    EVENT_WAKE,        /* a node's timer */
    EVENT_TAKE,        /* a node's turn ends */
    EVENT_WRITE,       /* a node's disk takes the next batch */
    EVENT_SYNC,        /* what was written is durable */
    EVENT_APPLY,       /* a node's state machine goes on */
    EVENT_REPORT,      /* the fate of a snapshot becomes known to its sender */
    EVENT_UNREACHABLE, /* the loss of a message becomes known to its sender */
    EVENT_RESTART,     /* a crashed node comes back */
    EVENT_ACTION,      /* the clients and the operator do something */
    EVENT_NEMESIS,     /* something breaks */
};

struct event {
    uint64_t time;
    enum event_type type;
    uint32_t node;  /* whom it concerns, as a place in sim.nodes */
    uint32_t epoch; /* of that node; events of an earlier life are void, messages excepted */
    union {
        struct raft_message message;
        struct {
            raft_id peer;
            bool ok;
        } report;
        uint64_t upto; /* SYNC: how many frames */
    };
};

struct queue_key {
    uint64_t time;
    uint64_t order;
    uint32_t slot;
};

struct queue {
    struct queue_key *heap;
    uint32_t count;
    uint32_t capacity;
    struct event *slots;
    uint32_t *free_slots;
    uint32_t free_count;
    uint32_t slot_capacity;
    uint64_t order;
};

void queue_init(struct queue *queue);
/* Messages in events that never came are freed. */
void queue_deinit(struct queue *queue);

/* Takes what the event holds. */
void queue_push(struct queue *queue, const struct event *event);

/* Moves the earliest event into `out`; false when there is none. */
bool queue_pop(struct queue *queue, struct event *out);

#endif
