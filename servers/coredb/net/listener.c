/* Resolving, binding, listening, accepting. */
#include "coredb/net/listener.h"

#include "coredb/net/connection_private.h"
#include "coredb/net/loop_private.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct listener {
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct loop *loop; /* NULL: not started */
    listener_accept_fn accept;
    void *arg;
    int descriptor; /* until it is started */
    int backlog;
    char *path; /* of a unix socket, removed at the end; else NULL */
};

static struct listener *listener_new(int descriptor, int backlog)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL) {
        abort();
    }
    listener->descriptor = descriptor;
    listener->backlog = backlog;
    return listener;
}

/* ---- TCP ---- */

static int open_at(const struct addrinfo *info, int backlog)
{
    int type = info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = socket(info->ai_family, type, info->ai_protocol);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (info->ai_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, backlog) != 0) {
        int problem = errno;
        close(fd);
        errno = problem;
        return -1;
    }
    return fd;
}

/* The first of `infos` of `family` that works, or -1 with the last error in errno. */
static int open_family(const struct addrinfo *infos, int family, int backlog)
{
    int fd = -1;
    for (const struct addrinfo *info = infos; info != NULL && fd < 0; info = info->ai_next) {
        if (info->ai_family == family) {
            fd = open_at(info, backlog);
        }
    }
    return fd;
}

/* Where a client on this machine finds the socket: a wildcard is no address to call. */
static void describe(int fd, char *out, size_t size)
{
    struct sockaddr_storage address;
    socklen_t address_size = sizeof(address);
    char host[NI_MAXHOST] = "localhost";
    char port[NI_MAXSERV] = "0";
    if (getsockname(fd, (struct sockaddr *)&address, &address_size) == 0) {
        getnameinfo((struct sockaddr *)&address, address_size, host, sizeof(host), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    }
    if (strcmp(host, "0.0.0.0") == 0) {
        strcpy(host, "127.0.0.1");
    } else if (strcmp(host, "::") == 0) {
        strcpy(host, "::1");
    }
    bool literal = strchr(host, ':') != NULL;
    snprintf(out, size, literal ? "[%.200s]:%.8s" : "%.200s:%.8s", host, port);
}

rr_status listener_open_tcp(const char *host, uint16_t port, int backlog, struct listener **out,
                            char *address, size_t address_size, char *error, size_t error_size)
{
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *infos = NULL;
    int failure = getaddrinfo(host, service, &hints, &infos);
    if (failure != 0) {
        snprintf(error, error_size, "cannot listen at %s:%u: %s", host, port,
                 gai_strerror(failure));
        return RR_IO;
    }
    errno = EADDRNOTAVAIL;
    int fd = open_family(infos, AF_INET, backlog);
    if (fd < 0) {
        fd = open_family(infos, AF_INET6, backlog);
    }
    freeaddrinfo(infos);
    if (fd < 0) {
        snprintf(error, error_size, "cannot listen at %s:%u: %s%s", host, port, strerror(errno),
                 errno == EADDRINUSE ? " (another process listens there)" : "");
        return RR_IO;
    }
    describe(fd, address, address_size);
    *out = listener_new(fd, backlog);
    return RR_OK;
}

/* ---- Unix sockets ---- */

/* Whether somebody accepts connections at `address`. */
static bool is_alive(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return true;
    }
    bool refused = connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
                   errno == ECONNREFUSED;
    close(fd);
    return !refused;
}

/* Removes a socket that a process which is gone has left. */
static void remove_stale(const struct sockaddr_un *address)
{
    struct stat status;
    if (lstat(address->sun_path, &status) == 0 && S_ISSOCK(status.st_mode) && !is_alive(address)) {
        (void)unlink(address->sun_path);
    }
}

static int open_unix(const struct sockaddr_un *address, unsigned mode, int backlog)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    /* Nobody gets in before the mode is right: connecting works only once it listens. */
    if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 ||
        (mode != 0 && chmod(address->sun_path, mode) != 0) || listen(fd, backlog) != 0) {
        int problem = errno;
        close(fd);
        errno = problem;
        return -1;
    }
    return fd;
}

rr_status listener_open_unix(const char *path, unsigned mode, int backlog, struct listener **out,
                             char *error, size_t error_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        snprintf(error, error_size, "cannot listen at %s: the path is too long", path);
        return RR_IO;
    }
    strcpy(address.sun_path, path);
    remove_stale(&address);
    int fd = open_unix(&address, mode, backlog);
    if (fd < 0) {
        snprintf(error, error_size, "cannot listen at %s: %s", path, strerror(errno));
        return RR_IO;
    }
    *out = listener_new(fd, backlog);
    (*out)->path = strdup(path);
    if ((*out)->path == NULL) {
        abort();
    }
    return RR_OK;
}

/* ---- Accepting ---- */

static void on_connection(uv_stream_t *server, int status)
{
    struct listener *listener = server->data;
    if (status < 0) {
        return; /* no descriptor left, say; libuv tries again */
    }
    struct connection *connection =
        connection_accept(listener->loop, server, listener->path != NULL);
    if (connection != NULL) {
        listener->accept(listener->arg, connection);
    }
}

rr_status listener_start(struct listener *listener, struct loop *loop, listener_accept_fn accept,
                         void *arg)
{
    listener->accept = accept;
    listener->arg = arg;
    int failure = listener->path != NULL ? uv_pipe_init(&loop->uv, &listener->uv.pipe, 0)
                                         : uv_tcp_init(&loop->uv, &listener->uv.tcp);
    if (failure != 0) {
        return RR_IO;
    }
    listener->loop = loop;
    listener->uv.stream.data = listener;
    failure = listener->path != NULL ? uv_pipe_open(&listener->uv.pipe, listener->descriptor)
                                     : uv_tcp_open(&listener->uv.tcp, listener->descriptor);
    if (failure != 0) {
        return RR_IO;
    }
    listener->descriptor = -1;
    return uv_listen(&listener->uv.stream, listener->backlog, on_connection) == 0 ? RR_OK : RR_IO;
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    free(listener->path);
    free(listener);
}

void listener_close(struct listener *listener)
{
    if (listener == NULL) {
        return;
    }
    if (listener->path != NULL) {
        (void)unlink(listener->path);
    }
    if (listener->descriptor >= 0) {
        close(listener->descriptor);
    }
    if (listener->loop != NULL) {
        uv_close((uv_handle_t *)&listener->uv.stream, on_closed);
        return;
    }
    free(listener->path);
    free(listener);
}
