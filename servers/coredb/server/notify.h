/*
 * Notifications of the keyspace: the setting notify-keyspace-events, and the messages that an event
 * becomes. Loop's thread, but for the functions on settings.
 */
#ifndef COREDB_SERVER_NOTIFY_H
#define COREDB_SERVER_NOTIFY_H

#include "coredb/value/event.h"

struct pubsub;

enum { NOTIFY_TEXT_MAX = 16 };

/* Reads the setting, such as "KEA". False: it has a letter that means nothing. */
bool notify_parse(rr_bytes text, uint32_t *classes);

/* The setting as Redis shows it ("AKE"), terminated; returns its length. */
size_t notify_print(uint32_t classes, char out[NOTIFY_TEXT_MAX]);

/* Delivers an EVENT_NOTIFY to subscribers here if the setting `classes` asks for it. */
void notify_deliver(struct pubsub *pubsub, uint32_t classes, const struct event *event);

#endif
