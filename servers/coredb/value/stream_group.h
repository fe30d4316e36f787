/*
 * Groups of consumers of a stream: how far each group has read, its consumers, and which entries
 * are pending: delivered to a consumer and not acknowledged.
 *
 * Stored below LAYOUT_STREAM_GROUPS of the stream's object, after a byte for the kind of record:
 *     'g' name                         -> number, last id (16), entries read, pending, consumers
 *     'c' group number, consumer name  -> number, seen_ms, pending
 *     'p' group number, id (16)        -> consumer number, delivered_ms, deliveries, its name
 *     'q' group number, consumer number, id (16)  -> nothing
 * Numbers are 8 bytes each. Those of groups and consumers are unique for all time.
 *
 * Counts are kept in the structs by the functions here; who changed a group or a consumer stores it
 * with _save. A name in a struct is the caller's. Nothing here touches the key's own record.
 */
#ifndef COREDB_VALUE_STREAM_GROUP_H
#define COREDB_VALUE_STREAM_GROUP_H

#include "coredb/value/stream.h"

enum { STREAM_READ_UNKNOWN = -1 };

struct stream_group {
    rr_bytes name;
    uint64_t number;
    struct stream_id last; /* the greatest id that was delivered */
    int64_t entries_read;  /* or STREAM_READ_UNKNOWN */
    uint64_t pending;
    uint64_t consumers;
};

struct stream_consumer {
    rr_bytes name;
    uint64_t number;
    uint64_t seen_ms;
    uint64_t pending;
};

struct stream_pending {
    struct stream_id id;
    uint64_t consumer;      /* its number */
    rr_bytes consumer_name; /* when read: lasts as the value of store_get */
    uint64_t delivered_ms;
    uint64_t deliveries;
};

/* ---- Groups ---- */

/* Looks a group up. */
bool stream_group_get(struct store *store, const struct stream *stream, rr_bytes name,
                      struct stream_group *out);
/* Stores a group; one with number 0 is new and gets a number. */
void stream_group_save(struct store *store, const struct stream *stream,
                       struct stream_group *group);
/* Deletes a group with everything in it. */
void stream_group_delete(struct store *store, const struct stream *stream,
                         const struct stream_group *group);

typedef bool (*stream_group_fn)(void *arg, const struct stream_group *group);
/* Visits the groups in order of their names. The visitor may read the store. */
void stream_group_each(struct store *store, const struct stream *stream, stream_group_fn visit,
                       void *arg);

/* How many entries were added up to `id`, if that can be told; else STREAM_READ_UNKNOWN. */
int64_t stream_entries_until(const struct stream *stream, struct stream_id id);
/* Notes that the entry `id` was delivered to the group: `last` and `entries_read`. */
void stream_group_deliver(const struct stream *stream, struct stream_group *group,
                          struct stream_id id);
/* How many entries the group has yet to read; false: it cannot be told. */
bool stream_group_lag(const struct stream *stream, const struct stream_group *group, int64_t *out);

/* ---- Consumers ---- */

bool stream_consumer_get(struct store *store, const struct stream *stream,
                         const struct stream_group *group, rr_bytes name,
                         struct stream_consumer *out);
/* Makes a new one, seen now. The group's count grows. */
void stream_consumer_create(struct store *store, const struct stream *stream,
                            struct stream_group *group, rr_bytes name, struct stream_consumer *out);
void stream_consumer_save(struct store *store, const struct stream *stream,
                          const struct stream_group *group, const struct stream_consumer *consumer);
/* Deletes a consumer and what is pending for it. */
void stream_consumer_delete(struct store *store, const struct stream *stream,
                            struct stream_group *group, const struct stream_consumer *consumer);

typedef bool (*stream_consumer_fn)(void *arg, const struct stream_consumer *consumer);
/* Visits the consumers in order of their names. The visitor may read the store. */
void stream_consumer_each(struct store *store, const struct stream *stream,
                          const struct stream_group *group, stream_consumer_fn visit, void *arg);

/* ---- Pending entries ---- */

bool stream_pending_get(struct store *store, const struct stream *stream,
                        const struct stream_group *group, struct stream_id id,
                        struct stream_pending *out);
/* Gives an entry to a consumer, whoever had it; counts of the group, of `consumer` and of the
 * former owner (which is saved) follow. */
void stream_pending_give(struct store *store, const struct stream *stream,
                         struct stream_group *group, struct stream_consumer *consumer,
                         struct stream_id id, uint64_t delivered_ms, uint64_t deliveries);
/* Deletes a pending entry; true: there was one. `consumer` (may be NULL) is the one whose counts
 * the caller holds; another owner is saved here. */
bool stream_pending_delete(struct store *store, const struct stream *stream,
                           struct stream_group *group, struct stream_consumer *consumer,
                           struct stream_id id);

/* The visitor may read the store and returns false to stop. */
typedef bool (*stream_pending_fn)(void *arg, const struct stream_pending *pending);
/* Visits the pending entries from <= id <= to in order of their ids, of one consumer (its number)
 * or of all (0). */
void stream_pending_range(struct store *store, const struct stream *stream,
                          const struct stream_group *group, uint64_t consumer,
                          struct stream_id from, struct stream_id to, bool reverse,
                          stream_pending_fn visit, void *arg);

/* Whether all counts agree with what is stored, and nothing else is stored: for tests. Reads all
 * records of the stream's groups. */
bool stream_groups_check(struct store *store, const struct stream *stream);

#endif
