/*
 * WAIT: clients that wait until so many replicas hold what they have written. The leader knows; the
 * servers of other nodes ask its server now and then while someone waits.
 *
 * Loop's thread.
 */
#ifndef COREDB_SERVER_WAIT_H
#define COREDB_SERVER_WAIT_H

#include <stdbool.h>

struct client;
struct messaging;
struct waits;

/* `messaging->siblings` is there. */
struct waits *waits_new(struct messaging *messaging);

/* What still waits is forgotten: its clients have gone. NULL is fine. */
void waits_free(struct waits *waits);

/* Whether the client waits in a WAIT. */
bool wait_is_waiting(const struct client *client);

/* CLIENT UNBLOCK: the client's WAIT ends in a moment, with what is known by then or with an error.
 * False: there is none. */
bool wait_end(struct client *client, bool with_error);

#endif
