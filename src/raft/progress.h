/*
 * What a leader knows of one member: how far its log matches, what to send next, and what is in
 * flight. Transitions between the three states are here; when they happen is replication.c's.
 */
#ifndef RAFT_PROGRESS_H
#define RAFT_PROGRESS_H

#include "raft/quorum.h"
#include "raft/types.h"

enum raft_progress_state {
    RAFT_PROBE = 0,     /* one append at a time, looking for the point where the logs match */
    RAFT_REPLICATE = 1, /* pipelined: `next` runs ahead of `match` */
    RAFT_SNAPSHOT = 2,  /* the log does not reach back far enough; nothing else is sent */
};

/* An append that is not acknowledged: its last index and its bytes. */
struct raft_inflight {
    raft_index index;
    uint64_t bytes;
};

/* Unacknowledged appends, oldest first; a ring that grows on demand up to the limits. */
struct raft_window {
    struct raft_inflight *items;
    uint32_t start;
    uint32_t count;
    uint32_t capacity;
    uint64_t bytes;
};

struct raft_progress {
    raft_id id;
    enum raft_progress_state state;
    bool paused; /* nothing more until an answer or a heartbeat's answer */
    bool active; /* heard of since the last quorum check */
    bool more;   /* appends could follow at once, but this step sent its share */
    enum quorum_vote vote;
    raft_index match;
    raft_index next;
    raft_index pending_snapshot; /* while in RAFT_SNAPSHOT */
    raft_index sent_commit;      /* the last commit index sent */
    struct raft_window window;
    uint64_t session;       /* of this progress; what answers must echo */
    uint64_t acked_round;   /* the highest confirmation round that was answered */
    uint64_t acked_sent_at; /* when the leader began that round; what a lease counts from */
    uint64_t read_id;       /* a read of the member's that waits, 0: none */
    uint64_t read_round;    /* the round that confirms it; 0: not begun */
    raft_index read_index;
};

struct raft_window_limits {
    uint32_t count_max;
    uint64_t bytes_max; /* 0: no limit */
};

void raft_progress_init(struct raft_progress *progress, raft_id id, raft_index next);
void raft_progress_deinit(struct raft_progress *progress);

/* Back to the start of a term: only id and session stay. */
void raft_progress_reset(struct raft_progress *progress, raft_index match, raft_index next);

void raft_progress_become_probe(struct raft_progress *progress);
void raft_progress_become_replicate(struct raft_progress *progress);
void raft_progress_become_snapshot(struct raft_progress *progress, raft_index index);

/* Whether appends must wait. */
bool raft_progress_is_paused(const struct raft_progress *progress);

bool raft_window_full(const struct raft_window *window, const struct raft_window_limits *limits);
void raft_window_add(struct raft_window *window, raft_index index, uint64_t bytes);
/* Frees everything up to and including `index`. */
void raft_window_free_to(struct raft_window *window, raft_index index);

/* An acknowledgement of `index`; false when it says nothing new. */
bool raft_progress_update(struct raft_progress *progress, raft_index index);

/* A refusal at `rejected`, with `hint` as the next guess; false when it is stale. */
bool raft_progress_decrease(struct raft_progress *progress, raft_index rejected, raft_index hint);

enum { RAFT_PROGRESS_TEXT_MAX = 256 };

/* "StateProbe match=1 next=2 learner paused inactive inflight=1[full]", terminated. */
char *raft_progress_text(const struct raft_progress *progress, bool learner,
                         const struct raft_window_limits *limits, char *text, size_t size);

#endif
