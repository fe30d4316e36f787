/*
 * WAIT: clients that wait until so many replicas hold what they have written. The leader knows; the
 * servers of other nodes ask its server now and then while someone waits.
 *
 * Loop's thread.
 */
#ifndef COREDB_SERVER_WAIT_H
#define COREDB_SERVER_WAIT_H

struct messaging;
struct waits;

/* `messaging->siblings` is there. */
struct waits *waits_new(struct messaging *messaging);

/* What still waits is forgotten: its clients have gone. NULL is fine. */
void waits_free(struct waits *waits);

#endif
