/*
 * A two-way stream of bytes to another process, with a bounded queue of writes.
 *
 * Streams come from tcp.h. Users see no sockets, so that TLS can later stand behind these same
 * functions. For the loop's thread.
 *
 * A stream ends in one of three ways, and is then freed by itself:
 *   - it fails or the other side ends it: `closed` runs once;
 *   - stream_close or stream_finish: `closed` runs once, later, never from within these;
 *   - stream_abandon: no callback runs any more.
 * Until then it belongs to whoever tcp.h gave it to. A callback may call any of the functions.
 */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include "base/buffer.h"
#include "io/address.h"
#include "io/loop.h"

struct stream;

enum {
    STREAM_READ_BYTES_MAX = 64 * 1024, /* one read; a loop has one such buffer for all streams */
    STREAM_REASON_BYTES_MAX = 160,     /* a text that says why a stream ended */
};

struct stream_callbacks {
    /* Bytes have arrived; they are the stream's and last until the call returns. At most
     * STREAM_READ_BYTES_MAX. */
    void (*read)(void *arg, rr_bytes bytes);

    /* The queue of writes has become empty after it had not been at the end of a turn. NULL is
     * fine. */
    void (*drained)(void *arg);

    /* The stream has ended, and is freed after the call; stream_written still works in it.
     * RR_CLOSED: by stream_close or stream_finish. RR_IO: it failed, or the other side ended it.
     * `reason` is text for people and lasts for the call. */
    void (*closed)(void *arg, rr_status status, const char *reason);
};

/* Sets the callbacks, begins to read, and limits the queue of writes to `queue_bytes_max`. To be
 * called once, right when the stream was handed over. `callbacks` outlives the stream. */
void stream_start(struct stream *stream, const struct stream_callbacks *callbacks, void *arg,
                  size_t queue_bytes_max);

/*
 * Queues the bytes of `buffer` and leaves it empty: a large one's memory is taken, a small one is
 * copied behind what is queued. They are sent at the end of the turn. An empty queue takes a write
 * of any size, others hold at most the limit.
 *
 * Returns RR_OK; RR_BUSY, the queue is full; RR_NO_MEMORY (or the buffer had failed); RR_CLOSED,
 * the stream is ending. Unless RR_OK, nothing was queued and the buffer is unchanged.
 */
RR_MUST_USE rr_status stream_write(struct stream *stream, struct buffer *buffer);

/* Stops reading, so that the other side must stop sending; what is read already was delivered. */
void stream_pause(struct stream *stream);

/* Goes on reading. */
void stream_resume(struct stream *stream);

/* Bytes accepted by stream_write since the start. */
uint64_t stream_accepted(const struct stream *stream);

/* An upper bound on how many of these the other side can ever receive: bytes past it certainly
 * never left. */
uint64_t stream_written(const struct stream *stream);

/* Accepted bytes that have not left yet. */
size_t stream_queued(const struct stream *stream);

/* Whether nothing can be written or read any more; `closed` is still to come. */
bool stream_closing(const struct stream *stream);

/* The other side's numeric address, for log lines. Static to the stream. */
const char *stream_peer_text(const struct stream *stream);

/* Ends the stream at once; queued writes are lost. */
void stream_close(struct stream *stream);

/* Reads no more, writes what is queued, then ends the stream. */
void stream_finish(struct stream *stream);

/* As stream_close, and no callback runs after this call. What the socket takes at once of the
 * queue is still sent. NULL is fine. */
void stream_abandon(struct stream *stream);

#endif
