/*
 * Connections over libuv's streams.
 *
 * Output is appended to `output`. At the end of a turn as much as the system takes is sent; what it
 * does not take moves to `sending`, and while that is on its way `output` gathers again.
 */
#include "coredb/net/connection.h"

#include "coredb/net/connection_private.h"
#include "coredb/net/loop_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    KEPT_BYTES = 32 * 1024, /* a larger buffer that is empty is given back */
    LINGER_MS = 2000,       /* how long a finished connection may take to send what is left */
};

struct connection {
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct loop *loop;
    const struct connection_events *events; /* NULL: finished, or not started */
    void *arg;
    struct buffer output;
    struct buffer sending;
    struct list_link dirty;
    struct list_link lingering;
    uint64_t linger_until_ms;
    bool is_unix;
    bool is_sending; /* `sending` is with libuv */
    bool is_reading;
    bool is_awaited; /* the owner wants to know when all output has left */
    bool is_broken;  /* a write failed, or the memory for output did */
    bool is_shut;    /* nothing more will be sent */
    bool is_closing;
};

static struct connection_totals totals;

const struct connection_totals *connection_totals(void)
{
    return &totals;
}

/* ---- The end ---- */

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    buffer_deinit(&connection->output);
    buffer_deinit(&connection->sending);
    free(connection);
}

void connection_close(struct connection *connection)
{
    if (connection->is_closing) {
        return;
    }
    connection->is_closing = true;
    connection->events = NULL;
    list_remove(&connection->dirty);
    list_remove(&connection->lingering);
    uv_close((uv_handle_t *)&connection->uv.stream, on_closed);
}

/* Tells the owner that the other side is gone; without one the connection is closed. */
static void end(struct connection *connection, bool orderly)
{
    connection_read(connection, false);
    if (connection->events == NULL) {
        connection_close(connection);
        return;
    }
    connection->events->ended(connection->arg, orderly);
}

void connection_reap(struct loop *loop, bool all)
{
    struct list_link *link = loop->lingering.next;
    while (link != &loop->lingering) {
        struct connection *connection = LIST_OWNER(link, struct connection, lingering);
        link = link->next;
        if (all || uv_now(&loop->uv) >= connection->linger_until_ms) {
            connection_close(connection);
        }
    }
}

/* ---- Output ---- */

static void on_shut(uv_shutdown_t *request, int status)
{
    if (status < 0 && status != UV_ECANCELED) {
        connection_close(request->data);
    }
}

/* All that a finished connection had to send has left: the other side may now end it, which
 * spares it a reset that would drop what it has not read yet. */
static void shut(struct connection *connection)
{
    if (connection->is_shut) {
        return;
    }
    connection->is_shut = true;
    connection->shutdown.data = connection;
    if (uv_shutdown(&connection->shutdown, &connection->uv.stream, on_shut) != 0) {
        connection_close(connection);
    }
}

static void release(struct buffer *buffer)
{
    if (buffer->capacity > KEPT_BYTES) {
        buffer_deinit(buffer);
        buffer_init(buffer);
    } else {
        buffer_clear(buffer);
    }
}

static void fail(struct connection *connection)
{
    if (!connection->is_broken) {
        connection->is_broken = true;
        end(connection, /*orderly=*/false);
    }
}

static void flush(struct connection *connection);

static void on_written(uv_write_t *request, int status)
{
    struct connection *connection = request->data;
    connection->is_sending = false;
    if (connection->is_closing) {
        return;
    }
    if (status < 0) {
        fail(connection);
        return;
    }
    totals.sent += connection->sending.size;
    release(&connection->sending);
    connection->is_awaited = true;
    flush(connection);
}

/* Gives `output` from `offset` on to libuv, which sends it when the system takes it. */
static void send_later(struct connection *connection, size_t offset)
{
    buffer_deinit(&connection->sending);
    connection->sending = connection->output;
    buffer_init(&connection->output);
    buffer_consume(&connection->sending, offset);
    connection->is_sending = true;
    connection->write.data = connection;
    uv_buf_t bytes =
        uv_buf_init((char *)connection->sending.data, (unsigned)connection->sending.size);
    if (uv_write(&connection->write, &connection->uv.stream, &bytes, 1, on_written) != 0) {
        connection->is_sending = false;
        fail(connection);
    }
}

/* Sends what the system takes now. */
static void flush(struct connection *connection)
{
    struct buffer *output = &connection->output;
    if (connection->is_sending || connection->is_broken) {
        return;
    }
    if (output->failed) {
        fail(connection);
        return;
    }
    if (output->size > 0) {
        uv_buf_t bytes = uv_buf_init((char *)output->data, (unsigned)output->size);
        int written = uv_try_write(&connection->uv.stream, &bytes, 1);
        if (written < 0 && written != UV_EAGAIN) {
            fail(connection);
            return;
        }
        size_t sent = written > 0 ? (size_t)written : 0;
        totals.sent += sent;
        if (sent < output->size) {
            send_later(connection, sent);
            return;
        }
        release(output);
    }
    if (connection->events == NULL) {
        shut(connection);
    } else if (connection->is_awaited) {
        connection->is_awaited = false;
        connection->events->sent(connection->arg);
    }
}

void connection_flush_all(struct loop *loop)
{
    while (!list_is_empty(&loop->dirty)) {
        struct connection *connection = LIST_OWNER(loop->dirty.next, struct connection, dirty);
        list_remove(&connection->dirty);
        flush(connection);
    }
}

struct buffer *connection_output(struct connection *connection)
{
    return &connection->output;
}

void connection_send(struct connection *connection)
{
    if (!list_is_linked(&connection->dirty)) {
        list_append(&connection->loop->dirty, &connection->dirty);
    }
}

void connection_await_sent(struct connection *connection)
{
    connection->is_awaited = true;
    connection_send(connection);
}

size_t connection_unsent(const struct connection *connection)
{
    return connection->output.size + (connection->is_sending ? connection->sending.size : 0);
}

void connection_finish(struct connection *connection)
{
    if (connection->is_closing) {
        return;
    }
    if (connection->is_broken) {
        connection_close(connection);
        return;
    }
    connection->events = NULL;
    connection->linger_until_ms = uv_now(&connection->loop->uv) + LINGER_MS;
    list_append(&connection->loop->lingering, &connection->lingering);
    connection_read(connection, true); /* to see its end; what comes is dropped */
    connection_send(connection);
}

/* ---- Input ---- */

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct connection *connection = handle->data;
    (void)suggested;
    *out = uv_buf_init((char *)connection->loop->read_buffer, LOOP_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;
    if (size < 0) {
        end(connection, size == UV_EOF);
        return;
    }
    if (size > 0) {
        totals.received += (uint64_t)size;
        if (connection->events != NULL) {
            connection->events->received(connection->arg, (rr_bytes){buffer->base, (size_t)size});
        }
    }
}

void connection_read(struct connection *connection, bool on)
{
    if (on == connection->is_reading || connection->is_closing) {
        return;
    }
    if (on && uv_read_start(&connection->uv.stream, give_buffer, on_read) != 0) {
        return; /* the stream has ended; its owner has been or will be told */
    }
    if (!on) {
        uv_read_stop(&connection->uv.stream);
    }
    connection->is_reading = on;
}

/* ---- The beginning ---- */

struct connection *connection_accept(struct loop *loop, uv_stream_t *server, bool is_unix)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL) {
        abort();
    }
    connection->loop = loop;
    connection->is_unix = is_unix;
    buffer_init(&connection->output);
    buffer_init(&connection->sending);
    list_init(&connection->dirty);
    list_init(&connection->lingering);
    int failure = is_unix ? uv_pipe_init(&loop->uv, &connection->uv.pipe, 0)
                          : uv_tcp_init(&loop->uv, &connection->uv.tcp);
    if (failure != 0) {
        free(connection);
        return NULL;
    }
    connection->uv.stream.data = connection;
    if (uv_accept(server, &connection->uv.stream) != 0) {
        connection_close(connection);
        return NULL;
    }
    if (!is_unix) {
        uv_tcp_nodelay(&connection->uv.tcp, 1);
    }
    return connection;
}

void connection_start(struct connection *connection, const struct connection_events *events,
                      void *arg)
{
    connection->events = events;
    connection->arg = arg;
    connection_read(connection, true);
}

void connection_keepalive(struct connection *connection, unsigned seconds)
{
    if (!connection->is_unix) {
        uv_tcp_keepalive(&connection->uv.tcp, seconds > 0, seconds > 0 ? seconds : 1);
    }
}

/* ---- Addresses ---- */

static void describe(const struct sockaddr *address, char out[CONNECTION_ADDRESS_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    uint16_t port = 0;
    bool literal = address->sa_family == AF_INET6;
    if (literal) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        uv_ip6_name(in6, host, sizeof(host));
        port = ntohs(in6->sin6_port);
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        uv_ip4_name(in, host, sizeof(host));
        port = ntohs(in->sin_port);
    }
    snprintf(out, CONNECTION_ADDRESS_MAX, literal ? "[%s]:%u" : "%s:%u", host, port);
}

static void describe_pipe(const struct connection *connection, char out[CONNECTION_ADDRESS_MAX])
{
    char path[CONNECTION_ADDRESS_MAX - 4] = "";
    size_t size = sizeof(path);
    if (uv_pipe_getsockname(&connection->uv.pipe, path, &size) != 0) {
        path[0] = '\0';
    }
    snprintf(out, CONNECTION_ADDRESS_MAX, "%s:0", path);
}

void connection_peer(const struct connection *connection, char out[CONNECTION_ADDRESS_MAX])
{
    struct sockaddr_storage address = {.ss_family = AF_INET};
    int size = sizeof(address);
    if (connection->is_unix) {
        describe_pipe(connection, out);
        return;
    }
    (void)uv_tcp_getpeername(&connection->uv.tcp, (struct sockaddr *)&address, &size);
    describe((struct sockaddr *)&address, out);
}

void connection_local(const struct connection *connection, char out[CONNECTION_ADDRESS_MAX])
{
    struct sockaddr_storage address = {.ss_family = AF_INET};
    int size = sizeof(address);
    if (connection->is_unix) {
        describe_pipe(connection, out);
        return;
    }
    (void)uv_tcp_getsockname(&connection->uv.tcp, (struct sockaddr *)&address, &size);
    describe((struct sockaddr *)&address, out);
}

bool connection_is_unix(const struct connection *connection)
{
    return connection->is_unix;
}

int connection_descriptor(const struct connection *connection)
{
    uv_os_fd_t descriptor = -1;
    (void)uv_fileno((const uv_handle_t *)&connection->uv.stream, &descriptor);
    return descriptor;
}
