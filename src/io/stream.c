/*
 * Streams over TCP sockets. Invariants:
 *
 * 1. Bytes wait in `queued` until the socket has them. When it is full, libuv gets the front of the
 *    first chunk, `flying` bytes, to write when there is room; the chunk stays, and does not move.
 * 2. Nothing is queued, and no callback but `closed` runs, once `closing`.
 */
#include "io/stream.h"

#include "base/assert.h"
#include "base/memory.h"
#include "io/io_private.h"
#include "io/tcp.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
    TAKE_BYTES_MIN = 16 * 1024,   /* larger writes are taken, smaller ones copied together */
    CHUNK_BYTES_MAX = 64 * 1024,  /* of writes copied together */
    VECTORS_MAX = 64,             /* chunks in one system call */
    FLYING_BYTES_MAX = 64 * 1024, /* so little is in doubt when the connection breaks */
};

/* Bytes on their way out. */
struct chunk {
    struct list_link link; /* in stream->queued, oldest first */
    struct buffer bytes;
    size_t written; /* bytes at its front that the socket has */
};

struct stream {
    uv_tcp_t tcp;
    struct loop *loop;
    const struct stream_callbacks *callbacks; /* NULL: before the start, or abandoned */
    void *arg;
    size_t queue_bytes_max;
    struct list queued;
    uv_write_t write; /* in use while something is flying */
    size_t flying;
    uint64_t accepted;
    uint64_t written; /* bytes that the socket has for sure */
    size_t doubtful;  /* after the end: flying bytes of which it may have some */
    struct deferred flush;
    bool blocked; /* the socket was full at the end of a turn; `drained` is due */
    bool paused;
    bool finishing; /* ends when everything is written */
    bool closing;
    rr_status status; /* for `closed` */
    char reason[STREAM_REASON_BYTES_MAX];
    char peer_text[ADDRESS_BYTES_MAX];
};

static void chunk_free(struct chunk *chunk)
{
    buffer_deinit(&chunk->bytes);
    mem_free(chunk);
}

static void free_chunks(struct list *chunks)
{
    struct list_link *link;
    while ((link = list_pop_front(chunks)) != NULL) {
        chunk_free(CONTAINER_OF(link, struct chunk, link));
    }
}

static void stream_freed(uv_handle_t *handle)
{
    struct stream *stream = CONTAINER_OF(handle, struct stream, tcp);
    ASSERT(stream->flying == 0);
    loop_mark(stream->loop);
    if (stream->callbacks != NULL) {
        stream->callbacks->closed(stream->arg, stream->status, stream->reason);
    }
    loop_defer_cancel(&stream->flush);
    free_chunks(&stream->queued);
    mem_free(stream);
}

static void begin_close(struct stream *stream, rr_status status, const char *reason)
{
    if (stream->closing) {
        return;
    }
    stream->closing = true;
    stream->status = status;
    snprintf(stream->reason, sizeof(stream->reason), "%s", reason);
    loop_defer_cancel(&stream->flush);
    uv_close((uv_handle_t *)&stream->tcp, stream_freed);
}

static void fail(struct stream *stream, int error)
{
    char reason[STREAM_REASON_BYTES_MAX];
    io_error_text(error, reason);
    begin_close(stream, RR_IO, reason);
}

/* Takes `size` bytes, which the socket has, from the front of the queue. */
static void drop_written(struct stream *stream, size_t size)
{
    stream->written += size;
    while (size > 0) {
        struct chunk *chunk = CONTAINER_OF(list_front(&stream->queued), struct chunk, link);
        size_t left = chunk->bytes.size - chunk->written;
        if (size < left) {
            chunk->written += size;
            return;
        }
        size -= left;
        list_remove(&chunk->link);
        chunk_free(chunk);
    }
}

static void flush(void *arg);

static void flown(uv_write_t *write, int error)
{
    struct stream *stream = CONTAINER_OF(write, struct stream, write);
    size_t size = stream->flying;
    if (stream->closing || error != 0) {
        stream->flying = 0;
        stream->doubtful = size;
        fail(stream, error == 0 ? UV_ECANCELED : error);
        return;
    }
    loop_mark(stream->loop);
    stream->flying = 0;
    drop_written(stream, size);
    flush(stream);
    if (stream->blocked && !stream->closing && stream_queued(stream) == 0) {
        stream->blocked = false;
        if (stream->callbacks != NULL && stream->callbacks->drained != NULL) {
            stream->callbacks->drained(stream->arg);
        }
    }
}

/* The socket is full: libuv takes the front of the queue and waits for room. */
static void hand_over(struct stream *stream)
{
    struct chunk *chunk = CONTAINER_OF(list_front(&stream->queued), struct chunk, link);
    size_t size = chunk->bytes.size - chunk->written;
    stream->flying = size < FLYING_BYTES_MAX ? size : FLYING_BYTES_MAX;
    stream->blocked = true;
    uv_buf_t buffer =
        uv_buf_init((char *)chunk->bytes.data + chunk->written, (unsigned)stream->flying);
    int error = uv_write(&stream->write, (uv_stream_t *)&stream->tcp, &buffer, 1, flown);
    if (error != 0) {
        stream->flying = 0; /* libuv did not take the request: `flown` will not run */
        fail(stream, error);
    }
}

/* Fills `vectors` from the front of the queue; returns how many. */
static size_t gather(const struct stream *stream, struct iovec *vectors)
{
    size_t count = 0;
    LIST_FOREACH(link, &stream->queued) {
        if (count == VECTORS_MAX) {
            break;
        }
        const struct chunk *chunk = CONTAINER_OF(link, struct chunk, link);
        vectors[count++] = (struct iovec){.iov_base = chunk->bytes.data + chunk->written,
                                          .iov_len = chunk->bytes.size - chunk->written};
    }
    return count;
}

/* Gives the socket what it takes without waiting. Returns 0 or an errno. */
static int write_now(struct stream *stream)
{
    uv_os_fd_t file;
    if (uv_fileno((uv_handle_t *)&stream->tcp, &file) != 0) {
        return EBADF;
    }
    while (!list_empty(&stream->queued)) {
        struct iovec vectors[VECTORS_MAX];
        struct msghdr message = {.msg_iov = vectors};
        message.msg_iovlen = gather(stream, vectors);
        ssize_t size;
        do {
            size = sendmsg(file, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        } while (size < 0 && errno == EINTR);
        if (size < 0) {
            return errno;
        }
        drop_written(stream, (size_t)size);
    }
    return 0;
}

static void flush(void *arg)
{
    struct stream *stream = arg;
    if (stream->closing) {
        return;
    }
    if (stream->flying > 0) {
        stream->blocked = true; /* what was written since waits behind that */
        return;
    }
    int error = write_now(stream);
    if (error == EAGAIN || error == EWOULDBLOCK) {
        hand_over(stream);
    } else if (error != 0) {
        fail(stream, uv_translate_sys_error(error));
    } else if (stream->finishing) {
        begin_close(stream, RR_CLOSED, "closed by this side");
    }
}

struct stream *stream_new(struct loop *loop)
{
    struct stream *stream = mem_new(struct stream);
    stream->loop = loop;
    stream->flush.fn = flush;
    stream->flush.arg = stream;
    list_init(&stream->queued);
    int error = uv_tcp_init(&loop->uv, &stream->tcp);
    ASSERT(error == 0); /* it makes no socket yet */
    return stream;
}

uv_tcp_t *stream_tcp(struct stream *stream)
{
    return &stream->tcp;
}

bool stream_connected(struct stream *stream)
{
    struct sockaddr_storage peer;
    int peer_size = sizeof(peer);
    uv_os_fd_t file;
    if (uv_tcp_getpeername(&stream->tcp, (struct sockaddr *)&peer, &peer_size) != 0 ||
        uv_fileno((uv_handle_t *)&stream->tcp, &file) != 0) {
        return false;
    }
    struct address address = {0};
    if (peer.ss_family == AF_INET6) {
        const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)(const void *)&peer;
        uv_ip6_name(ipv6, address.host, sizeof(address.host));
        address.port = ntohs(ipv6->sin6_port);
        address.is_ipv6 = true;
    } else {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)(const void *)&peer;
        uv_ip4_name(ipv4, address.host, sizeof(address.host));
        address.port = ntohs(ipv4->sin_port);
    }
    address_format(&address, stream->peer_text);
    unsigned unacknowledged_ms = TCP_UNACKNOWLEDGED_MS_MAX;
    return uv_tcp_nodelay(&stream->tcp, 1) == 0 &&
           uv_tcp_keepalive(&stream->tcp, 1, TCP_KEEPALIVE_S) == 0 &&
           setsockopt(file, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms,
                      sizeof(unacknowledged_ms)) == 0;
}

static void read_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
    (void)wanted;
    struct stream *stream = CONTAINER_OF(handle, struct stream, tcp);
    *out = uv_buf_init((char *)stream->loop->read_buffer, STREAM_READ_BYTES_MAX);
}

static void read_done(uv_stream_t *handle, ssize_t size, const uv_buf_t *buffer)
{
    struct stream *stream = CONTAINER_OF(handle, struct stream, tcp);
    if (size == 0) {
        return;
    }
    loop_mark(stream->loop);
    if (size == UV_EOF) {
        begin_close(stream, RR_IO, "closed by the other side");
    } else if (size < 0) {
        fail(stream, (int)size);
    } else if (stream->callbacks != NULL) {
        stream->callbacks->read(stream->arg,
                                (rr_bytes){.data = buffer->base, .size = (size_t)size});
    }
}

static void start_reading(struct stream *stream)
{
    int error = uv_read_start((uv_stream_t *)&stream->tcp, read_buffer, read_done);
    if (error != 0) {
        fail(stream, error);
    }
}

void stream_start(struct stream *stream, const struct stream_callbacks *callbacks, void *arg,
                  size_t queue_bytes_max)
{
    ASSERT(stream->callbacks == NULL);
    stream->callbacks = callbacks;
    stream->arg = arg;
    stream->queue_bytes_max = queue_bytes_max;
    start_reading(stream);
}

/* Copies a small write behind the last one, if there is room. RR_BUSY: there is none. */
static rr_status append_to_last(struct stream *stream, const struct buffer *buffer)
{
    struct list_link *link = list_back(&stream->queued);
    if (link == NULL || (stream->flying > 0 && link == list_front(&stream->queued))) {
        return RR_BUSY; /* what flies must not move */
    }
    struct chunk *last = CONTAINER_OF(link, struct chunk, link);
    if (last->bytes.size + buffer->size > CHUNK_BYTES_MAX) {
        return RR_BUSY;
    }
    size_t size_before = last->bytes.size;
    buffer_append(&last->bytes, buffer->data, buffer->size);
    if (last->bytes.failed) {
        last->bytes.failed = false;
        ASSERT(last->bytes.size == size_before);
        return RR_NO_MEMORY;
    }
    return RR_OK;
}

/* A chunk of its own for the bytes: their memory, if there are many, or a copy. */
static rr_status add_chunk(struct stream *stream, struct buffer *buffer)
{
    struct chunk *chunk = mem_try_alloc(sizeof(*chunk));
    if (chunk == NULL) {
        return RR_NO_MEMORY;
    }
    *chunk = (struct chunk){0};
    buffer_init(&chunk->bytes);
    if (buffer->size >= TAKE_BYTES_MIN && buffer->size >= buffer->capacity / 2) {
        chunk->bytes = *buffer;
        chunk->bytes.size_max = SIZE_MAX;
        buffer_init_limited(buffer, buffer->size_max);
    } else {
        buffer_append(&chunk->bytes, buffer->data, buffer->size);
        if (chunk->bytes.failed) {
            chunk_free(chunk);
            return RR_NO_MEMORY;
        }
    }
    list_push_back(&stream->queued, &chunk->link);
    return RR_OK;
}

rr_status stream_write(struct stream *stream, struct buffer *buffer)
{
    if (buffer->failed) {
        return RR_NO_MEMORY;
    }
    if (stream->closing || stream->finishing) {
        return RR_CLOSED;
    }
    size_t size = buffer->size;
    if (size == 0) {
        return RR_OK;
    }
    size_t queued = stream_queued(stream);
    if (queued > 0 &&
        (queued >= stream->queue_bytes_max || size > stream->queue_bytes_max - queued)) {
        return RR_BUSY;
    }
    rr_status status = size < TAKE_BYTES_MIN ? append_to_last(stream, buffer) : RR_BUSY;
    if (status == RR_BUSY) {
        status = add_chunk(stream, buffer);
    }
    if (status == RR_OK) {
        buffer_clear(buffer);
        stream->accepted += size;
        loop_defer_flush(stream->loop, &stream->flush);
    }
    return status;
}

void stream_pause(struct stream *stream)
{
    if (!stream->paused && !stream->closing) {
        stream->paused = true;
        uv_read_stop((uv_stream_t *)&stream->tcp);
    }
}

void stream_resume(struct stream *stream)
{
    if (stream->paused && !stream->closing && !stream->finishing) {
        stream->paused = false;
        start_reading(stream);
    }
}

uint64_t stream_accepted(const struct stream *stream)
{
    return stream->accepted;
}

uint64_t stream_written(const struct stream *stream)
{
    return stream->written + stream->flying + stream->doubtful;
}

size_t stream_queued(const struct stream *stream)
{
    return (size_t)(stream->accepted - stream_written(stream));
}

bool stream_closing(const struct stream *stream)
{
    return stream->closing || stream->finishing;
}

const char *stream_peer_text(const struct stream *stream)
{
    return stream->peer_text;
}

void stream_close(struct stream *stream)
{
    begin_close(stream, RR_CLOSED, "closed by this side");
}

void stream_finish(struct stream *stream)
{
    if (stream->closing || stream->finishing) {
        return;
    }
    uv_read_stop((uv_stream_t *)&stream->tcp);
    stream->finishing = true;
    loop_defer_flush(stream->loop, &stream->flush);
}

void stream_abandon(struct stream *stream)
{
    if (stream == NULL) {
        return;
    }
    stream->callbacks = NULL;
    if (!stream->closing && stream->flying == 0) {
        (void)write_now(stream); /* as a courtesy; whether it works no longer matters */
    }
    begin_close(stream, RR_CLOSED, "abandoned");
}
