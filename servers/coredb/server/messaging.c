/* Joins pub/sub, the other nodes' servers and the events of the log. */
#include "coredb/server/messaging.h"

#include "coredb/server/notify.h"
#include "coredb/server/pubsub.h"
#include "coredb/server/siblings.h"
#include "coredb/server/wait.h"

#include <stdlib.h>

/* A message that an entry published: every node delivers it to its own. */
static void on_event(void *arg, const struct event *event)
{
    struct messaging *messaging = arg;
    switch (event->kind) {
    case EVENT_NOTIFY:
        notify_deliver(messaging->pubsub, messaging->notify_classes, event);
        return;
    case EVENT_PUBLISH:
        (void)pubsub_deliver(messaging->pubsub, false, event->name, event->key);
        return;
    case EVENT_SERVED:
        return;
    }
}

static void deliver_sibling(struct messaging *messaging, bool shard, rr_bytes body)
{
    struct reader reader = reader_of(body);
    rr_bytes channel = reader_slice(&reader);
    rr_bytes message = reader_slice(&reader);
    if (!reader.failed) {
        (void)pubsub_deliver(messaging->pubsub, shard, channel, message);
    }
}

static void on_publish(void *arg, uint64_t from, rr_bytes body)
{
    (void)from;
    deliver_sibling(arg, false, body);
}

static void on_publish_shard(void *arg, uint64_t from, rr_bytes body)
{
    (void)from;
    deliver_sibling(arg, true, body);
}

void messaging_open(struct server *server)
{
    struct messaging *messaging = calloc(1, sizeof(*messaging));
    if (messaging == NULL) {
        abort();
    }
    messaging->server = server;
    messaging->pubsub = pubsub_new();
    messaging->siblings = siblings_new(server->node, server->loop);
    messaging->waits = waits_new(messaging);
    siblings_on(messaging->siblings, SIBLING_PUBLISH, on_publish, messaging);
    siblings_on(messaging->siblings, SIBLING_PUBLISH_SHARD, on_publish_shard, messaging);
    siblings_start(messaging->siblings);
    server->on_event = on_event;
    server->on_event_arg = messaging;
}

void messaging_close(struct server *server)
{
    struct messaging *messaging = messaging_of(server);
    if (messaging == NULL) {
        return;
    }
    server->on_event = NULL;
    server->on_event_arg = NULL;
    waits_free(messaging->waits);
    siblings_free(messaging->siblings);
    pubsub_free(messaging->pubsub);
    free(messaging);
}

void messaging_update_wanted(struct messaging *messaging)
{
    bool any = pubsub_count(messaging->pubsub, PUBSUB_CHANNEL) > 0 ||
               pubsub_count(messaging->pubsub, PUBSUB_PATTERN) > 0;
    atomic_store(&messaging->server->notify_wanted, any ? messaging->notify_classes : 0);
    atomic_store(&messaging->server->publish_wanted, any);
}

void messaging_set_notify(struct server *server, uint32_t classes)
{
    struct messaging *messaging = messaging_of(server);
    messaging->notify_classes = classes;
    messaging_update_wanted(messaging);
}

size_t messaging_publish(struct messaging *messaging, bool shard, rr_bytes channel,
                         rr_bytes message)
{
    struct buffer head;
    buffer_init(&head);
    buffer_put_slice(&head, channel);
    buffer_put_u32(&head, (uint32_t)message.size);
    if (!head.failed) {
        siblings_send(messaging->siblings, 0, shard ? SIBLING_PUBLISH_SHARD : SIBLING_PUBLISH,
                      buffer_bytes(&head), message);
    }
    buffer_deinit(&head);
    return pubsub_deliver(messaging->pubsub, shard, channel, message);
}
