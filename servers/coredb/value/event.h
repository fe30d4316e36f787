/*
 * What a batch causes besides its writes and its reply: notifications of the keyspace, messages
 * published inside a transaction or a script, answers to waiting clients. Collected while the
 * batch runs, handed to this process's server after it has succeeded, on every node. Nothing of it
 * is stored.
 */
#ifndef COREDB_VALUE_EVENT_H
#define COREDB_VALUE_EVENT_H

#include "coredb/base/buffer.h"

/* The classes of keyspace notifications, as in notify-keyspace-events. */
enum notify_class {
    NOTIFY_GENERIC = 1 << 0,   /* g */
    NOTIFY_STRING = 1 << 1,    /* $ */
    NOTIFY_LIST = 1 << 2,      /* l */
    NOTIFY_SET = 1 << 3,       /* s */
    NOTIFY_HASH = 1 << 4,      /* h */
    NOTIFY_ZSET = 1 << 5,      /* z */
    NOTIFY_EXPIRED = 1 << 6,   /* x */
    NOTIFY_EVICTED = 1 << 7,   /* e */
    NOTIFY_STREAM = 1 << 8,    /* t */
    NOTIFY_MISS = 1 << 9,      /* m */
    NOTIFY_MODULE = 1 << 10,   /* d */
    NOTIFY_NEW = 1 << 11,      /* n */
    NOTIFY_KEYSPACE = 1 << 12, /* K; a setting only, as the next */
    NOTIFY_KEYEVENT = 1 << 13, /* E */
};

/* Identifies a waiting client for all time: the node of its connection, that node's start, and a
 * number that the node gave. */
struct waiter_id {
    uint64_t node;
    uint64_t boot;
    uint64_t number;
};

enum event_kind {
    EVENT_NOTIFY = 0,  /* class, db, name, key */
    EVENT_PUBLISH = 1, /* name: channel, key: message */
    EVENT_SERVED = 2,  /* waiter, key: the reply, in the protocol that the waiter asked for */
};

struct event {
    enum event_kind kind;
    uint32_t notify_class;
    uint32_t db;
    struct waiter_id waiter;
    rr_bytes name; /* these two are borrowed from the list */
    rr_bytes key;
};

enum { EVENTS_BYTES_MAX = 64 * 1024 * 1024 }; /* of a batch, but for short replies */

struct events {
    struct buffer bytes; /* encoded, one after another */
    size_t count;
};

struct events_mark {
    size_t size;
    size_t count;
};

void events_init(struct events *events);
void events_deinit(struct events *events);
struct events_mark events_position(const struct events *events);
void events_undo(struct events *events, struct events_mark mark);

/* A notification that has no room is dropped, as those to a slow subscriber are. */
void events_notify(struct events *events, enum notify_class notify_class, uint32_t db,
                   const char *name, rr_bytes key);
/* False: there is no room, and nothing was added. For a short reply there always is. */
bool events_publish(struct events *events, rr_bytes channel, rr_bytes message);
bool events_served(struct events *events, const struct waiter_id *waiter, rr_bytes reply);

/* Reads the next event; begin with `*offset` 0. False at the end. */
bool events_next(const struct events *events, size_t *offset, struct event *out);

#endif
