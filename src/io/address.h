/*
 * Addresses of nodes as text: "host:port", "192.0.2.1:port" or "[2001:db8::1]:port".
 *
 * Pure text; names are resolved when someone connects (tcp.h).
 */
#ifndef IO_ADDRESS_H
#define IO_ADDRESS_H

#include "base/limits.h"
#include "rockraft/types.h"

enum { ADDRESS_HOST_BYTES_MAX = 254 }; /* with the zero; a DNS name has at most 253 bytes */

/* A host and a port. Plain value. */
struct address {
    char host[ADDRESS_HOST_BYTES_MAX]; /* a name or a literal, IPv6 without brackets */
    uint16_t port;                     /* 0 only to listen: any free port */
    bool is_ipv6;                      /* `host` is an IPv6 literal */
};

/*
 * Reads `text`. The port is 1 to 5 decimal digits, 0 to 65535, without sign or space; the host is
 * not empty and holds letters, digits, '-', '_' and '.', or is an IPv6 literal in brackets.
 *
 * Returns RR_OK or RR_INVALID. Any thread.
 */
RR_MUST_USE rr_status address_parse(const char *text, struct address *out);

/* As address_parse for bytes without a zero at their end, such as a peer sends. */
RR_MUST_USE rr_status address_parse_bytes(rr_bytes text, struct address *out);

/* Writes the text that address_parse reads, with its zero. Any thread. */
void address_format(const struct address *address, char out[ADDRESS_BYTES_MAX]);

#endif
