/* The memory of this process. Any thread, except where noted. */
#ifndef COREDB_SERVER_MEMORY_H
#define COREDB_SERVER_MEMORY_H

#include <stdint.h>

struct server;

/* In bytes. */
struct memory {
    uint64_t resident;  /* of the process, as is the next */
    uint64_t peak;      /* the most that ever was resident */
    uint64_t allocated; /* asked for and not freed; `resident` where the allocator does not tell */
    uint64_t active;    /* in pages that hold some of it */
    uint64_t mapped;    /* all pages that the allocator holds */
    const char *allocator; /* "jemalloc" or "libc" */
};

void memory_look(struct memory *out);

/* What all clients' buffers take, about. Loop's thread. */
uint64_t memory_of_clients(const struct server *server);

/* part / whole; 1 if there is nothing. */
double memory_ratio(uint64_t part, uint64_t whole);

#endif
