/* Resolving, binding and listening. */
#include "http/listen.h"

#include <rockraft/config.h>

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Longer than the wait of any client for a thousand others to be accepted. */
enum { BACKLOG = 4096 };

static int open_at(const struct addrinfo *info)
{
    int type = info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = socket(info->ai_family, type, info->ai_protocol);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    int off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (info->ai_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    }
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int problem = errno;
        close(fd);
        errno = problem;
        return -1;
    }
    return fd;
}

/* The first of `infos` of `family` that works, or -1 with the last error in errno. */
static int open_family(const struct addrinfo *infos, int family)
{
    int fd = -1;
    for (const struct addrinfo *info = infos; info != NULL && fd < 0; info = info->ai_next) {
        if (info->ai_family == family) {
            fd = open_at(info);
        }
    }
    return fd;
}

/* Where a client on this machine finds the socket: a wildcard is no address to call. */
static void describe(int fd, char url[LISTEN_URL_BYTES_MAX])
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    char host[NI_MAXHOST] = "localhost";
    char port[NI_MAXSERV] = "0";
    if (getsockname(fd, (struct sockaddr *)&address, &size) == 0) {
        getnameinfo((struct sockaddr *)&address, size, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV);
    }
    if (strcmp(host, "0.0.0.0") == 0) {
        strcpy(host, "127.0.0.1");
    } else if (strcmp(host, "::") == 0) {
        strcpy(host, "::1");
    }
    bool literal = strchr(host, ':') != NULL;
    snprintf(url, LISTEN_URL_BYTES_MAX, literal ? "http://[%.200s]:%.8s" : "http://%.200s:%.8s",
             host, port);
}

rr_status listen_open(const char *address, int *out, char url[LISTEN_URL_BYTES_MAX], char *error,
                      size_t error_size)
{
    char host[256];
    uint16_t port_number = 0;
    const char *problem = "";
    if (rr_address_split(address, host, sizeof(host), &port_number, &problem) != RR_OK) {
        snprintf(error, error_size, "%s is no address: %s", address, problem);
        return RR_IO;
    }
    char port[8];
    snprintf(port, sizeof(port), "%u", port_number);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *infos = NULL;
    int failure = getaddrinfo(host, port, &hints, &infos);
    if (failure != 0) {
        snprintf(error, error_size, "cannot listen for HTTP at %s: %s", address,
                 gai_strerror(failure));
        return RR_IO;
    }
    errno = EADDRNOTAVAIL;
    int fd = open_family(infos, AF_INET);
    if (fd < 0) {
        fd = open_family(infos, AF_INET6);
    }
    freeaddrinfo(infos);
    if (fd < 0) {
        snprintf(error, error_size, "cannot listen for HTTP at %s: %s%s", address, strerror(errno),
                 errno == EADDRINUSE ? " (another process listens there)" : "");
        return RR_IO;
    }
    describe(fd, url);
    *out = fd;
    return RR_OK;
}
