/* What goes on without a client: expiry, garbage, leases, idle connections. Loop's thread. */
#ifndef COREDB_SERVER_BACKGROUND_H
#define COREDB_SERVER_BACKGROUND_H

#include <stdbool.h>

struct server;
struct background;

struct background *background_new(struct server *server);
void background_free(struct background *background); /* NULL is fine */

/* DEBUG SET-ACTIVE-EXPIRE. */
void background_expire(struct background *background, bool on);

#endif
