/* The published text of entries, messages, snapshots and configurations of interaction files. */
#ifndef SCENARIO_FORMAT_H
#define SCENARIO_FORMAT_H

#include "raft/raft.h"
#include "scenario/script.h"

/* Endpoints that are no node. */
#define APPEND_THREAD UINT64_MAX
#define APPLY_THREAD (UINT64_MAX - 1)

enum post_kind {
    POST_MESSAGE,     /* between nodes, or a node's to itself */
    POST_APPEND,      /* a node to its append thread */
    POST_APPEND_RESP, /* and back */
    POST_APPLY,
    POST_APPLY_RESP,
};

/* A message as the scenario language has it: of Raft, or between a node and its storage threads.
 * Owns its message, entries and snapshot by way of `message`. */
struct post {
    enum post_kind kind;
    uint64_t from;
    uint64_t to;
    struct raft_message message;       /* also entries and snapshot of the storage kinds */
    struct raft_hard_state hard_state; /* POST_APPEND; all 0: none */
    struct raft_event receipt;         /* POST_APPEND_RESP */
    uint64_t bytes;                    /* POST_APPLY_RESP */
    struct post *responses;            /* POST_APPEND, POST_APPLY */
    uint32_t response_count;
};

void post_deinit(struct post *post);

/* "1->2 MsgApp Term:1 Log:1/4 ...", without a last newline. */
void format_post(struct buffer *out, const struct post *post, bool with_responses);

/* "1/4 EntryNormal \"x\"". */
void format_entry(struct buffer *out, const struct raft_entry *entry);

void format_snapshot(struct buffer *out, const struct raft_snapshot *snapshot);

/* Appends `text` with two spaces before each line and a newline after each. */
void format_indented(struct buffer *out, const struct buffer *text);

#endif
