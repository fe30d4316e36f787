/* A write under way: what requests.c keeps, and api.c and forward.c make. The node's thread, except
 * for making one. */
#ifndef NODE_WRITE_H
#define NODE_WRITE_H

#include "node/node_private.h"

struct write {
    struct request request; /* its link: one of the lists of struct writes, or node->applied */
    struct raft_entry *entry;
    uint64_t session;         /* of the command; 0: none */
    bool once;                /* never tried again here: whoever asked decides */
    bool in_doubt;            /* an earlier attempt may have been applied */
    bool forwarded;           /* a call to the leader is under way */
    raft_index index;         /* where it was proposed; 0: not in the log */
    raft_term term;           /* of that */
    struct write *same_index; /* the next one that waits for the same index, from another term */

    /* Once applied: */
    rr_status answer;
    raft_index applied_index;
    size_t answer_start; /* in node->results */
    size_t answer_size;
};

/* Takes `entry`, which is this write's alone. The caller sets session, done and done_arg, and posts
 * the request, or frees it with write_destroy. Any thread. */
struct write *write_new(struct raft_entry *entry);
void write_start(struct request *request);
void write_expire(struct request *request);
void write_destroy(struct request *request);

/* Ends the write with the leader's answer. */
void write_end_answered(struct write *write, rr_status status, const struct relay_answer *answer);

#endif
