/*
 * Snapshots from node to node: opaque bytes in numbered chunks, over a connection of their own,
 * with a window, a limit on the rate, resumption, and a timeout on progress.
 *
 * What the bytes are, where they come from and where they go is the owner's. Both ends may take
 * their time: a chunk that is asked for, or handed over, is answered by a call, at once or later
 * (from a worker's `done`). A stream that breaks is not repaired: the sender starts another one,
 * and the receiver's owner says where to go on. Loop's thread.
 */
#ifndef TRANSPORT_SNAPSHOT_STREAM_H
#define TRANSPORT_SNAPSHOT_STREAM_H

#include "transport/peers.h"

enum {
    SNAPSHOT_CHUNK_BYTES_MAX = 1024 * 1024,
    SNAPSHOT_MANIFEST_BYTES_MAX = 8 * 1024 * 1024, /* names, sizes, checksums of the files */
    SNAPSHOT_WINDOW = 4, /* chunks under way: asked of the source but not acknowledged */
};

/* ---- The sender ---- */

struct snapshot_send;

struct snapshot_send_options {
    raft_id to;
    const struct raft_message *message; /* the SNAP message; copied */
    rr_bytes manifest;                  /* copied */
    uint64_t chunk_count;
    /* 0: no limit. A chunk leaves at least every half stall timeout, however low this is. */
    uint64_t bytes_per_second_max;

    /* Asks for chunk `chunk`, ascending, each once; answered by snapshot_send_supply. */
    void (*read)(void *arg, struct snapshot_send *send, uint64_t chunk);

    /*
     * The stream has ended and `send` is freed after the call; runs exactly once, never from
     * within snapshot_send_start. RR_OK: the receiver's owner has installed the snapshot. Else:
     * what the receiver's owner said, or RR_IO (no connection), RR_TIMEOUT (no progress),
     * RR_MISMATCH (the handshake), RR_CORRUPT (the other side makes no sense), RR_CLOSED
     * (peers_free, peers_remove), what snapshot_send_supply was given. `reason` lasts for the
     * call.
     */
    void (*done)(void *arg, struct snapshot_send *send, rr_status status, const char *reason);
    void *arg;
};

/* Begins to send. Returns RR_OK; RR_NOT_FOUND, no such peer; RR_TOO_BIG, the manifest or message;
 * RR_NO_MEMORY. Unless RR_OK, `done` never runs. */
RR_MUST_USE rr_status snapshot_send_start(struct peers *peers,
                                          const struct snapshot_send_options *options,
                                          struct snapshot_send **out);

/*
 * The answer to `read`: RR_OK and the chunk's bytes (1 to SNAPSHOT_CHUNK_BYTES_MAX, copied), or why
 * there are none, which ends the stream. In the order of asking; may be called from within `read`.
 * Not after `done`.
 */
void snapshot_send_supply(struct snapshot_send *send, uint64_t chunk, rr_status status,
                          rr_bytes bytes);

/* Ends the stream; `done` does not run any more, and `send` is freed. Also from within `read`. */
void snapshot_send_cancel(struct snapshot_send *send);

/* The chunks that the receiver has, of those under options.chunk_count. */
uint64_t snapshot_send_progress(const struct snapshot_send *send);

/* ---- The receiver; listener.h calls these callbacks ---- */

/* One snapshot on its way in. One per group: a second one is refused with RR_BUSY, unless it comes
 * from the same node; then it takes the first one's place. */
struct snapshot_receive;

struct snapshot_receive_callbacks {
    /*
     * A snapshot is offered. Answered by snapshot_receive_resume or snapshot_receive_fail, in the
     * call or later. `message` (a SNAP message whose `to` and `from` the owner checks) and
     * `manifest` last for the call; who keeps the message's snapshot takes a reference.
     */
    void (*begin)(void *arg, struct snapshot_receive *receive, const struct hello *from,
                  const struct raft_message *message, rr_bytes manifest, uint64_t chunk_count);

    /* Chunk `chunk` is here, ascending from the position resumed at, up to SNAPSHOT_WINDOW of them
     * before the first is answered. `bytes` last for the call. Answered by snapshot_receive_ack,
     * in order of arrival, or snapshot_receive_fail. */
    void (*chunk)(void *arg, struct snapshot_receive *receive, uint64_t chunk, rr_bytes bytes);

    /* All chunks are here and acknowledged: install. Answered by snapshot_receive_finish. */
    void (*finish)(void *arg, struct snapshot_receive *receive);

    /*
     * The stream has ended, `receive` is freed after the call, and nothing more is to be answered.
     * Runs exactly once for every `begin`, also after snapshot_receive_fail and
     * snapshot_receive_finish, never from within them. RR_OK: finished with RR_OK. RR_CONFLICT:
     * another took its place.
     */
    void (*end)(void *arg, struct snapshot_receive *receive, rr_status status);
};

/* Accepts: go on at chunk `chunk`, 0 to the number of chunks (then `finish` comes next). */
void snapshot_receive_resume(struct snapshot_receive *receive, uint64_t chunk);

/* The chunk is stored: room for another. */
void snapshot_receive_ack(struct snapshot_receive *receive, uint64_t chunk);

/* The answer to `finish`: RR_OK, installed; or why not. */
void snapshot_receive_finish(struct snapshot_receive *receive, rr_status status,
                             const char *reason);

/* Refuses or gives up, at any time before `end`; the sender learns `status` and `reason`. */
void snapshot_receive_fail(struct snapshot_receive *receive, rr_status status, const char *reason);

/* A pointer for the owner's use, NULL at first. */
void snapshot_receive_set_context(struct snapshot_receive *receive, void *context);
void *snapshot_receive_context(const struct snapshot_receive *receive);

#endif
