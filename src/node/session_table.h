/*
 * The client sessions of the cluster, in memory as they are in the state: found by id, ordered by
 * last use, so that the one unused for longest is at hand without a search.
 *
 * It is a copy of the sessions' records, whose order of use is the order of log indexes; so all
 * replicas hold the same table, and one that restarts gets it back by loading. It writes nothing.
 * The applier's thread.
 */
#ifndef NODE_SESSION_TABLE_H
#define NODE_SESSION_TABLE_H

#include "base/list.h"
#include "base/map.h"
#include "command/command_limits.h"
#include "raft/types.h"

struct session {
    struct list_link link;
    uint64_t id;           /* the index of the entry that opened it */
    uint64_t sequence;     /* of the last command applied; 0: none yet */
    uint64_t used_ms;      /* the clock when an entry last used it */
    raft_index used_index; /* that entry */
};

struct session_table {
    struct map by_id;
    struct list by_use; /* oldest use first */
};

void session_table_init(struct session_table *table);
void session_table_deinit(struct session_table *table);

uint32_t session_table_count(const struct session_table *table);

/* The session, or NULL. It may have expired: see session_expired. */
struct session *session_table_find(const struct session_table *table, uint64_t id);

/* Adds a session that is used by the entry `index`, later than all others. */
struct session *session_table_add(struct session_table *table, uint64_t id, raft_index index,
                                  uint64_t time_ms);

/* Notes that the entry `index`, later than every use before, uses the session. */
void session_table_use(struct session_table *table, struct session *session, raft_index index,
                       uint64_t time_ms);

/* The session unused for longest, or NULL. */
struct session *session_table_oldest(const struct session_table *table);

/* Removes and frees it. */
void session_table_remove(struct session_table *table, struct session *session);

/* Replaces the table by `sessions`, in any order, ids different; they are sorted in place. False if
 * there are more than SESSIONS_MAX or two were used by one entry: they were not of one table. */
RR_MUST_USE bool session_table_load(struct session_table *table, struct session *sessions,
                                    size_t count);

/* Whether nobody used it for SESSION_IDLE_MS_MAX, seen from `time_ms`. Such a session is gone for
 * whoever asks, though it may take a few entries until it is swept. */
bool session_expired(const struct session *session, uint64_t time_ms);

#endif
