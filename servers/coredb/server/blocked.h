/*
 * Clients that wait for a key, from the connection's side; value/waiter.h has the rules. Loop's
 * thread.
 */
#ifndef COREDB_SERVER_BLOCKED_H
#define COREDB_SERVER_BLOCKED_H

#include "coredb/server/client.h"

/* Gives the client the number of a waiter, before its batch leaves. */
void blocked_prepare(struct client *client);
/* Its batch has been answered, and it does not wait. */
void blocked_forget(struct client *client);
/* Its batch says that it waits, from `index` on and for `timeout_ms` (0: for ever). */
void blocked_begin(struct client *client, uint64_t timeout_ms, uint64_t index);
/* Its batch's fate is unknown: should a waiter be there, it is taken away. */
void blocked_unknown(struct client *client);
/* The client goes: what it may have registered is taken away. */
void blocked_forsake(struct client *client);

/* CLIENT UNBLOCK, of a WAIT too; false: it does not wait. */
bool blocked_end(struct client *client, bool with_error);

/* EVENT_SERVED for a waiter of this start of this node. */
void blocked_served(struct server *server, uint64_t number, rr_bytes reply);

/* The background's part: renews the lease and looks for waiters that went unseen. Every
 * WAITER_RENEW_MS. */
void blocked_tick(struct server *server);
/* This node stops. */
void blocked_cancel_all(struct server *server);

#endif
