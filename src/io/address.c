/* Reading and writing of addresses. */
#include "io/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* 1 to 5 digits up to 65535. */
static bool parse_port(const char *text, size_t size, uint16_t *out)
{
    if (size == 0 || size > 5) {
        return false;
    }
    uint32_t port = 0;
    for (size_t at = 0; at < size; at++) {
        if (text[at] < '0' || text[at] > '9') {
            return false;
        }
        port = port * 10 + (uint32_t)(text[at] - '0');
    }
    if (port > UINT16_MAX) {
        return false;
    }
    *out = (uint16_t)port;
    return true;
}

static bool host_character(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') || character == '-' || character == '_' ||
           character == '.';
}

static bool copy_host(const char *text, size_t size, bool is_ipv6, struct address *out)
{
    if (size == 0 || size >= sizeof(out->host)) {
        return false;
    }
    for (size_t at = 0; at < size; at++) {
        if (!is_ipv6 && !host_character(text[at])) {
            return false;
        }
    }
    memcpy(out->host, text, size);
    out->host[size] = 0;
    out->is_ipv6 = is_ipv6;
    struct in6_addr parsed;
    return !is_ipv6 || inet_pton(AF_INET6, out->host, &parsed) == 1;
}

rr_status address_parse_bytes(rr_bytes text, struct address *out)
{
    if (text.size == 0 || text.size >= ADDRESS_BYTES_MAX ||
        memchr(text.data, 0, text.size) != NULL) {
        return RR_INVALID;
    }
    const char *start = text.data;
    size_t colon = text.size;
    while (colon > 0 && start[colon - 1] != ':') {
        colon--;
    }
    if (colon == 0) {
        return RR_INVALID;
    }
    struct address address = {0};
    if (!parse_port(start + colon, text.size - colon, &address.port)) {
        return RR_INVALID;
    }
    size_t host_size = colon - 1;
    bool is_ipv6 = host_size >= 2 && start[0] == '[' && start[host_size - 1] == ']';
    if (is_ipv6) {
        start++;
        host_size -= 2;
    }
    if (!copy_host(start, host_size, is_ipv6, &address)) {
        return RR_INVALID;
    }
    *out = address;
    return RR_OK;
}

rr_status address_parse(const char *text, struct address *out)
{
    return address_parse_bytes((rr_bytes){.data = text, .size = strlen(text)}, out);
}

void address_format(const struct address *address, char out[ADDRESS_BYTES_MAX])
{
    if (address->is_ipv6) {
        snprintf(out, ADDRESS_BYTES_MAX, "[%s]:%u", address->host, (unsigned)address->port);
    } else {
        snprintf(out, ADDRESS_BYTES_MAX, "%s:%u", address->host, (unsigned)address->port);
    }
}
