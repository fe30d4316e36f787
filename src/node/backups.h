/*
 * Backups that clients take from this node: a snapshot that covers what was acknowledged is held for
 * them and read chunk by chunk, at the pace of their questions (docs/backup.md).
 *
 * The client need not be a member, and is not trusted to come back: what it holds ends with
 * BACKUP_IDLE_MS without progress. On the node's thread; chunks are read on its workers.
 */
#ifndef NODE_BACKUPS_H
#define NODE_BACKUPS_H

#include "node/node_private.h"

enum {
    RPC_BACKUP = 2,             /* the transport's method of backup_request and backup_answer */
    BACKUPS_MAX = 2,            /* at a time: each may hold back the removal of a whole state */
    BACKUP_QUESTIONS_MAX = 4,   /* chunks asked for and not answered, of one backup */
    BACKUP_IDLE_MS = 15 * 1000, /* without a chunk further on than all before */
    BACKUP_BYTES_PER_S_MIN = 128 * 1024, /* a lower rate would look like a stall */
};

/* Answers one request of a client, at once or later. Takes `responder`. */
void backups_serve(rr_node *node, rr_bytes body, uint32_t timeout_ms, struct responder *responder);

/* A snapshot was made, or could not be for the reason in `text`. */
void backups_made(rr_node *node, rr_status status, const char *text);

/* Ends them all. */
void backups_stop(rr_node *node);

#endif
