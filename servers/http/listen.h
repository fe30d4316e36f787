/* The listening socket of the server. */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include <rockraft/types.h>

/* "http://HOST:PORT" and its zero. */
enum { LISTEN_URL_BYTES_MAX = 300 };

/*
 * Listens at `address`, a checked "host:port"; of a name's several addresses the first that works,
 * IPv4 before IPv6. `url` receives where clients find it, with the port that the kernel chose for
 * port 0. The socket does not block and is the caller's to close.
 *
 * Returns RR_OK, or RR_IO with one line in `error` that names the address.
 */
rr_status listen_open(const char *address, int *out, char url[LISTEN_URL_BYTES_MAX], char *error,
                      size_t error_size);

#endif
