/* Listening, and connecting to each address of a name in turn. What is written and read on the
 * connections is for stream.c. */
#include "io/tcp.h"

#include "base/assert.h"
#include "base/memory.h"
#include "io/io_private.h"
#include "io/timer.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

enum { BACKLOG = 512 };

struct tcp_listener {
    uv_tcp_t tcp;
    struct loop *loop;
    tcp_accept_fn accept;
    void *arg;
    struct address address;
};

/* An address of either family. */
union endpoint {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

/* Whether the host is a literal; then `out` is it. */
static bool parse_literal(const struct address *address, union endpoint *out)
{
    return uv_ip4_addr(address->host, address->port, &out->ipv4) == 0 ||
           uv_ip6_addr(address->host, address->port, &out->ipv6) == 0;
}

static void endpoint_from(const struct addrinfo *info, union endpoint *out)
{
    if (info->ai_family == AF_INET6) {
        memcpy(&out->ipv6, info->ai_addr, sizeof(out->ipv6));
    } else {
        memcpy(&out->ipv4, info->ai_addr, sizeof(out->ipv4));
    }
}

static const struct addrinfo resolve_hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

static void service_text(const struct address *address, char out[8])
{
    snprintf(out, 8, "%u", (unsigned)address->port);
}

/* Blocks for names. */
static rr_status resolve_now(struct loop *loop, const struct address *address, union endpoint *out,
                             char *reason)
{
    if (parse_literal(address, out)) {
        return RR_OK;
    }
    uv_getaddrinfo_t request;
    char service[8];
    service_text(address, service);
    int error = uv_getaddrinfo(&loop->uv, &request, NULL, address->host, service, &resolve_hints);
    if (error != 0) {
        io_error_text(error, reason);
        return RR_INVALID;
    }
    endpoint_from(request.addrinfo, out);
    uv_freeaddrinfo(request.addrinfo);
    return RR_OK;
}

static void connection_waiting(uv_stream_t *server, int error)
{
    struct tcp_listener *listener = CONTAINER_OF(server, struct tcp_listener, tcp);
    if (error != 0) {
        return; /* out of files, for example: libuv tries again with the next connection */
    }
    struct stream *stream = stream_new(listener->loop);
    if (uv_accept(server, (uv_stream_t *)stream_tcp(stream)) != 0 || !stream_connected(stream)) {
        stream_abandon(stream);
        return;
    }
    loop_mark(listener->loop);
    listener->accept(listener->arg, stream);
}

static void listener_freed(uv_handle_t *handle)
{
    mem_free(CONTAINER_OF(handle, struct tcp_listener, tcp));
}

/* Notes the address with the port that the system chose. */
static int note_address(struct tcp_listener *listener, const struct address *address)
{
    union endpoint bound;
    int size = sizeof(bound);
    int error = uv_tcp_getsockname(&listener->tcp, &bound.any, &size);
    if (error == 0) {
        listener->address = *address;
        bool is_ipv6 = bound.any.sa_family == AF_INET6;
        listener->address.port = ntohs(is_ipv6 ? bound.ipv6.sin6_port : bound.ipv4.sin_port);
    }
    return error;
}

rr_status tcp_listen(struct loop *loop, const struct address *address, tcp_accept_fn accept,
                     void *arg, struct tcp_listener **out, char *reason)
{
    char unwanted[STREAM_REASON_BYTES_MAX];
    reason = reason == NULL ? unwanted : reason;
    union endpoint endpoint;
    rr_status status = resolve_now(loop, address, &endpoint, reason);
    if (status != RR_OK) {
        return status;
    }
    struct tcp_listener *listener = mem_new(struct tcp_listener);
    listener->loop = loop;
    listener->accept = accept;
    listener->arg = arg;
    uv_tcp_init(&loop->uv, &listener->tcp);
    int error = uv_tcp_bind(&listener->tcp, &endpoint.any, 0);
    if (error == 0) {
        error = uv_listen((uv_stream_t *)&listener->tcp, BACKLOG, connection_waiting);
    }
    if (error == 0) {
        error = note_address(listener, address);
    }
    if (error != 0) {
        io_error_text(error, reason);
        tcp_listener_close(listener);
        return error == UV_EADDRINUSE ? RR_CONFLICT : RR_IO;
    }
    *out = listener;
    return RR_OK;
}

void tcp_listener_address(const struct tcp_listener *listener, struct address *out)
{
    *out = listener->address;
}

void tcp_listener_close(struct tcp_listener *listener)
{
    if (listener != NULL) {
        uv_close((uv_handle_t *)&listener->tcp, listener_freed);
    }
}

/*
 * An attempt. It is freed when it has reported, or was cancelled, and libuv holds none of its
 * requests any more.
 */
struct tcp_connect {
    struct loop *loop;
    struct address address;
    tcp_connect_fn done; /* NULL once called or cancelled */
    void *arg;
    uint64_t deadline_ms;
    struct timer *timer;  /* for the address at hand */
    struct deferred next; /* tries the next address, or reports that there is none */
    uv_getaddrinfo_t resolve;
    bool resolving; /* libuv holds `resolve` */
    union endpoint endpoints[TCP_ADDRESSES_MAX];
    size_t endpoint_count;
    size_t endpoint_at;             /* the next to try */
    struct socket_attempt *attempt; /* NULL between attempts */
    rr_status status;               /* of the last failure */
    char reason[STREAM_REASON_BYTES_MAX];
};

/* One socket that tries to connect; libuv holds it until it calls back. */
struct socket_attempt {
    uv_connect_t request;
    struct tcp_connect *owner; /* NULL once given up */
    struct stream *stream;
};

static void connect_free_if_over(struct tcp_connect *connect)
{
    if (connect->done == NULL && !connect->resolving) {
        mem_free(connect);
    }
}

/* Ends everything that is under way for this attempt. */
static void connect_disarm(struct tcp_connect *connect)
{
    connect->done = NULL;
    timer_close(connect->timer);
    connect->timer = NULL;
    loop_defer_cancel(&connect->next);
    if (connect->resolving) {
        uv_cancel((uv_req_t *)&connect->resolve);
    }
    if (connect->attempt != NULL) {
        connect->attempt->owner = NULL;
        stream_abandon(connect->attempt->stream);
        connect->attempt = NULL;
    }
}

static void report(struct tcp_connect *connect, rr_status status, struct stream *stream)
{
    tcp_connect_fn done = connect->done;
    loop_mark(connect->loop);
    connect_disarm(connect);
    done(connect->arg, status, stream, connect->reason);
    connect_free_if_over(connect);
}

static void socket_done(uv_connect_t *request, int error)
{
    struct socket_attempt *attempt = CONTAINER_OF(request, struct socket_attempt, request);
    struct tcp_connect *connect = attempt->owner;
    struct stream *stream = attempt->stream;
    mem_free(attempt);
    if (connect == NULL) {
        return;
    }
    connect->attempt = NULL;
    if (error == 0 && stream_connected(stream)) {
        connect->reason[0] = 0;
        report(connect, RR_OK, stream);
        return;
    }
    io_error_text(error == 0 ? UV_ECONNRESET : error, connect->reason);
    connect->status = RR_IO;
    stream_abandon(stream);
    loop_defer(connect->loop, &connect->next);
}

/* Begins with the next address, for an equal share of the time that is left. */
static void try_next(void *arg)
{
    struct tcp_connect *connect = arg;
    uint64_t now_ms = loop_now_ms(connect->loop);
    if (connect->endpoint_at < connect->endpoint_count && now_ms >= connect->deadline_ms) {
        connect->status = RR_TIMEOUT;
        snprintf(connect->reason, sizeof(connect->reason), "no answer in time");
    }
    if (connect->endpoint_at == connect->endpoint_count || now_ms >= connect->deadline_ms) {
        report(connect, connect->status, NULL);
        return;
    }
    size_t left = connect->endpoint_count - connect->endpoint_at;
    timer_start(connect->timer, (connect->deadline_ms - now_ms + left - 1) / left);
    struct socket_attempt *attempt = mem_new(struct socket_attempt);
    attempt->owner = connect;
    attempt->stream = stream_new(connect->loop);
    union endpoint *endpoint = &connect->endpoints[connect->endpoint_at++];
    int error =
        uv_tcp_connect(&attempt->request, stream_tcp(attempt->stream), &endpoint->any, socket_done);
    if (error == 0) {
        connect->attempt = attempt;
        return;
    }
    io_error_text(error, connect->reason);
    connect->status = RR_IO;
    stream_abandon(attempt->stream);
    mem_free(attempt);
    loop_defer(connect->loop, &connect->next);
}

static void time_over(void *arg)
{
    struct tcp_connect *connect = arg;
    connect->status = RR_TIMEOUT;
    snprintf(connect->reason, sizeof(connect->reason), "no answer in time");
    if (connect->attempt == NULL) {
        report(connect, RR_TIMEOUT, NULL);
        return;
    }
    connect->attempt->owner = NULL;
    stream_abandon(connect->attempt->stream);
    connect->attempt = NULL;
    try_next(connect);
}

static void resolved(uv_getaddrinfo_t *request, int error, struct addrinfo *infos)
{
    struct tcp_connect *connect = CONTAINER_OF(request, struct tcp_connect, resolve);
    connect->resolving = false;
    if (connect->done == NULL) {
        uv_freeaddrinfo(infos);
        connect_free_if_over(connect);
        return;
    }
    for (const struct addrinfo *info = infos; info != NULL; info = info->ai_next) {
        bool known = info->ai_family == AF_INET || info->ai_family == AF_INET6;
        if (known && connect->endpoint_count < TCP_ADDRESSES_MAX) {
            endpoint_from(info, &connect->endpoints[connect->endpoint_count++]);
        }
    }
    uv_freeaddrinfo(infos);
    connect->status = RR_NOT_FOUND;
    io_error_text(error == 0 ? UV_EAI_NONAME : error, connect->reason);
    try_next(connect);
}

/* Finds the addresses to try, now or with `resolved`. */
static void start_resolving(struct tcp_connect *connect)
{
    if (connect->address.port == 0) {
        connect->status = RR_IO;
        snprintf(connect->reason, sizeof(connect->reason), "port 0 is for listening only");
        loop_defer(connect->loop, &connect->next);
        return;
    }
    if (parse_literal(&connect->address, &connect->endpoints[0])) {
        connect->endpoint_count = 1;
        loop_defer(connect->loop, &connect->next);
        return;
    }
    char service[8];
    service_text(&connect->address, service);
    int error = uv_getaddrinfo(&connect->loop->uv, &connect->resolve, resolved,
                               connect->address.host, service, &resolve_hints);
    connect->resolving = error == 0;
    if (error != 0) {
        connect->status = RR_NOT_FOUND;
        io_error_text(error, connect->reason);
        loop_defer(connect->loop, &connect->next);
    }
}

struct tcp_connect *tcp_connect(struct loop *loop, const struct address *address,
                                uint64_t timeout_ms, tcp_connect_fn done, void *arg)
{
    struct tcp_connect *connect = mem_new(struct tcp_connect);
    connect->loop = loop;
    connect->address = *address;
    connect->done = done;
    connect->arg = arg;
    connect->deadline_ms = loop_now_ms(loop) + timeout_ms;
    connect->timer = timer_open(loop, time_over, connect);
    connect->next.fn = try_next;
    connect->next.arg = connect;
    timer_start(connect->timer, timeout_ms);
    start_resolving(connect);
    return connect;
}

void tcp_connect_cancel(struct tcp_connect *connect)
{
    if (connect != NULL) {
        connect_disarm(connect);
        connect_free_if_over(connect);
    }
}
