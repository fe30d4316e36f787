/*
 * Spikes of latency by event, as LATENCY shows them: at most one sample a second and event, the
 * worst of that second. Loop's thread.
 */
#ifndef COREDB_SERVER_LATENCY_H
#define COREDB_SERVER_LATENCY_H

#include <stdint.h>

struct latency;

struct latency *latency_new(void);
void latency_free(struct latency *latency); /* NULL is fine */

/* `event` took so long; its text is kept as it is, and there are few of them. */
void latency_add(struct latency *latency, const char *event, uint64_t duration_ms);

#endif
