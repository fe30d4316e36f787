/* "host:port" in configurations and requests. Resolving the host is left to whoever dials. */
#include "rockraft/config.h"

#include <arpa/inet.h>
#include <string.h>

enum { HOST_BYTES_MAX = 253 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* `text` is "digits to its end" for a number up to 65535. */
static bool parse_port(const char *text, uint16_t *port)
{
    uint32_t number = 0;
    size_t count = 0;
    for (; is_digit(text[count]) && count < 6; count++) {
        number = number * 10 + (uint32_t)(text[count] - '0');
    }
    if (count == 0 || text[count] != '\0' || number > UINT16_MAX) {
        return false;
    }
    *port = (uint16_t)number;
    return true;
}

/* A DNS name or an IPv4 address; underscores occur in container networks. */
static bool is_name(const char *host)
{
    for (const char *c = host; *c != '\0'; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        if (!letter && !is_digit(*c) && *c != '.' && *c != '-' && *c != '_') {
            return false;
        }
    }
    return host[0] != '\0' && host[0] != '.' && host[0] != '-';
}

static const char *split(const char *address, char *host, size_t host_size, uint16_t *port)
{
    const char *start = address;
    const char *end = strchr(address, ':');
    bool literal = address[0] == '[';
    if (literal) {
        start = address + 1;
        end = strchr(address, ']');
        if (end == NULL || end[1] != ':') {
            return "an IPv6 address ends with \"]:PORT\"";
        }
    }
    if (end == NULL) {
        return "the port is missing";
    }
    size_t size = (size_t)(end - start);
    if (size == 0) {
        return "the host is missing";
    }
    if (size > HOST_BYTES_MAX || size >= host_size) {
        return "the host is too long";
    }
    if (!literal && strchr(end + 1, ':') != NULL) {
        return "an IPv6 address is written in brackets, as in \"[::1]:7000\"";
    }
    memcpy(host, start, size);
    host[size] = '\0';
    struct in6_addr ignored;
    if (literal ? inet_pton(AF_INET6, host, &ignored) != 1 : !is_name(host)) {
        return literal ? "the host is no IPv6 address" : "the host has a character that none has";
    }
    if (!parse_port(literal ? end + 2 : end + 1, port)) {
        return "the port is no number up to 65535";
    }
    return NULL;
}

rr_status rr_address_split(const char *address, char *host, size_t host_size, uint16_t *port,
                           const char **problem)
{
    char found_host[HOST_BYTES_MAX + 1];
    uint16_t found_port = 0;
    const char *found = split(address, found_host, sizeof(found_host), &found_port);
    if (found == NULL && strlen(found_host) >= host_size) {
        found = "the host is too long";
    }
    if (found != NULL) {
        if (problem != NULL) {
            *problem = found;
        }
        return RR_INVALID;
    }
    memcpy(host, found_host, strlen(found_host) + 1);
    *port = found_port;
    return RR_OK;
}
