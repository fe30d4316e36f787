/* Which handler serves which method and path. The table is constant. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include <rockraft/types.h>

struct exchange;

/* Methods as bits. */
enum {
    METHOD_GET = 1, /* HEAD, too */
    METHOD_POST = 2,
    METHOD_PUT = 4,
    METHOD_DELETE = 8
};

enum body_kind {
    BODY_IGNORED,
    BODY_JSON, /* answered with 415 under another content type */
    BODY_ANY   /* bytes, whatever the content type says */
};

struct route {
    const char *path;
    unsigned method; /* one bit */
    enum body_kind body;
    bool write;  /* its errors tell the outcome */
    bool prefix; /* the path goes on behind `path` */
    void (*handle)(struct exchange *exchange);
};

enum { ROUTE_COUNT = 25 };
extern const struct route routes[ROUTE_COUNT];

/* The bit of `method`, or 0. */
unsigned route_method(const char *method);

/* The route of `method` and `path`, or NULL; `*allowed` receives the methods that the path has, 0
 * when nothing is there. */
const struct route *route_find(unsigned method, rr_bytes path, unsigned *allowed);

/* Writes "GET, HEAD, POST" for `methods`. */
void route_write_methods(unsigned methods, char *out, size_t size);

#endif
