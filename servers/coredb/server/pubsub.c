/*
 * A topic is a name that someone has subscribed to; a subscription joins a topic and a subscriber.
 * Both are found in balanced trees (tsearch), so that no choice of names makes them slow.
 */
#include "coredb/server/pubsub.h"

#include "coredb/base/bytes.h"
#include "coredb/resp/reply.h"

#include <search.h>
#include <stdint.h>
#include <stdlib.h>

struct topic {
    struct list_link link; /* in pubsub->topics[kind] */
    enum pubsub_kind kind;
    struct list_link subscriptions; /* oldest first */
    size_t count;                   /* of them */
    rr_bytes name;                  /* behind this struct, but in a topic that is searched for */
};

struct subscription {
    struct list_link of_topic;
    struct list_link of_subscriber;
    struct topic *topic;
    struct subscriber *subscriber;
};

struct pubsub {
    void *topics_by_name; /* tree of struct topic */
    void *subscriptions;  /* tree of struct subscription, by topic and subscriber */
    struct list_link topics[PUBSUB_KINDS];
    size_t counts[PUBSUB_KINDS];
};

static int compare_topics(const void *left, const void *right)
{
    const struct topic *a = left;
    const struct topic *b = right;
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    return bytes_compare(a->name, b->name);
}

static int compare_pointers(const void *left, const void *right)
{
    uintptr_t a = (uintptr_t)left;
    uintptr_t b = (uintptr_t)right;
    return a < b ? -1 : a > b;
}

static int compare_subscriptions(const void *left, const void *right)
{
    const struct subscription *a = left;
    const struct subscription *b = right;
    int order = compare_pointers(a->subscriber, b->subscriber);
    return order != 0 ? order : compare_pointers(a->topic, b->topic);
}

struct pubsub *pubsub_new(void)
{
    struct pubsub *pubsub = calloc(1, sizeof(*pubsub));
    if (pubsub == NULL) {
        abort();
    }
    for (int kind = 0; kind < PUBSUB_KINDS; kind++) {
        list_init(&pubsub->topics[kind]);
    }
    return pubsub;
}

void pubsub_free(struct pubsub *pubsub)
{
    free(pubsub);
}

void subscriber_init(struct subscriber *subscriber, struct pubsub *pubsub, const int *protocol,
                     pubsub_push_fn push, void *arg)
{
    *subscriber = (struct subscriber){.pubsub = pubsub, .protocol = protocol};
    subscriber->push = push;
    subscriber->arg = arg;
    for (int kind = 0; kind < PUBSUB_KINDS; kind++) {
        list_init(&subscriber->subscriptions[kind]);
    }
}

/* ---- Topics ---- */

static struct topic *find_topic(const struct pubsub *pubsub, enum pubsub_kind kind, rr_bytes name)
{
    struct topic wanted = {.kind = kind, .name = name};
    struct topic *const *found = tfind(&wanted, &pubsub->topics_by_name, compare_topics);
    return found == NULL ? NULL : *found;
}

static struct topic *add_topic(struct pubsub *pubsub, enum pubsub_kind kind, rr_bytes name)
{
    struct topic *topic = malloc(sizeof(*topic) + name.size);
    if (topic == NULL) {
        return NULL;
    }
    *topic = (struct topic){.kind = kind, .name = {topic + 1, name.size}};
    if (name.size > 0) {
        memcpy(topic + 1, name.data, name.size);
    }
    list_init(&topic->subscriptions);
    if (tsearch(topic, &pubsub->topics_by_name, compare_topics) == NULL) {
        free(topic);
        return NULL;
    }
    list_append(&pubsub->topics[kind], &topic->link);
    pubsub->counts[kind]++;
    return topic;
}

static void drop_if_unused(struct pubsub *pubsub, struct topic *topic)
{
    if (topic->count > 0) {
        return;
    }
    (void)tdelete(topic, &pubsub->topics_by_name, compare_topics);
    list_remove(&topic->link);
    pubsub->counts[topic->kind]--;
    free(topic);
}

/* ---- Subscriptions ---- */

static size_t subscription_bytes(rr_bytes name)
{
    return sizeof(struct subscription) + sizeof(struct topic) + name.size;
}

static struct subscription *find_subscription(const struct subscriber *subscriber,
                                              struct topic *topic)
{
    struct subscription wanted = {.topic = topic, .subscriber = (struct subscriber *)subscriber};
    struct subscription *const *found =
        tfind(&wanted, &subscriber->pubsub->subscriptions, compare_subscriptions);
    return found == NULL ? NULL : *found;
}

/* Joins the two; NULL: no memory. */
static struct subscription *join(struct subscriber *subscriber, struct topic *topic)
{
    struct subscription *subscription = malloc(sizeof(*subscription));
    if (subscription == NULL) {
        return NULL;
    }
    *subscription = (struct subscription){.topic = topic, .subscriber = subscriber};
    if (tsearch(subscription, &subscriber->pubsub->subscriptions, compare_subscriptions) == NULL) {
        free(subscription);
        return NULL;
    }
    list_append(&topic->subscriptions, &subscription->of_topic);
    list_append(&subscriber->subscriptions[topic->kind], &subscription->of_subscriber);
    topic->count++;
    subscriber->counts[topic->kind]++;
    subscriber->bytes += subscription_bytes(topic->name);
    return subscription;
}

static void end_subscription(struct subscription *subscription)
{
    struct subscriber *subscriber = subscription->subscriber;
    struct topic *topic = subscription->topic;
    (void)tdelete(subscription, &subscriber->pubsub->subscriptions, compare_subscriptions);
    list_remove(&subscription->of_topic);
    list_remove(&subscription->of_subscriber);
    topic->count--;
    subscriber->counts[topic->kind]--;
    subscriber->bytes -= subscription_bytes(topic->name);
    free(subscription);
    drop_if_unused(subscriber->pubsub, topic);
}

rr_status subscriber_add(struct subscriber *subscriber, enum pubsub_kind kind, rr_bytes name)
{
    struct pubsub *pubsub = subscriber->pubsub;
    struct topic *topic = find_topic(pubsub, kind, name);
    if (topic != NULL && find_subscription(subscriber, topic) != NULL) {
        return RR_OK;
    }
    if (subscriber->bytes + subscription_bytes(name) > PUBSUB_SUBSCRIBER_BYTES_MAX) {
        return RR_BUSY;
    }
    if (topic == NULL) {
        topic = add_topic(pubsub, kind, name);
    }
    if (topic == NULL) {
        return RR_NO_MEMORY;
    }
    if (join(subscriber, topic) == NULL) {
        drop_if_unused(pubsub, topic);
        return RR_NO_MEMORY;
    }
    return RR_OK;
}

bool subscriber_remove(struct subscriber *subscriber, enum pubsub_kind kind, rr_bytes name)
{
    struct topic *topic = find_topic(subscriber->pubsub, kind, name);
    struct subscription *subscription = topic == NULL ? NULL : find_subscription(subscriber, topic);
    if (subscription == NULL) {
        return false;
    }
    end_subscription(subscription);
    return true;
}

bool subscriber_first(const struct subscriber *subscriber, enum pubsub_kind kind, rr_bytes *name)
{
    const struct list_link *head = &subscriber->subscriptions[kind];
    if (list_is_empty(head)) {
        return false;
    }
    *name = LIST_OWNER(head->next, struct subscription, of_subscriber)->topic->name;
    return true;
}

void subscriber_deinit(struct subscriber *subscriber)
{
    for (int kind = 0; kind < PUBSUB_KINDS; kind++) {
        struct list_link *head = &subscriber->subscriptions[kind];
        while (!list_is_empty(head)) {
            end_subscription(LIST_OWNER(head->next, struct subscription, of_subscriber));
        }
    }
}

/* ---- Delivery ---- */

/* A message to be handed out, made in each protocol when the first one needs it. */
struct delivery {
    const char *word;        /* "message", ... */
    const rr_bytes *pattern; /* NULL: none */
    rr_bytes channel;
    rr_bytes message;
    struct reply replies[2]; /* RESP2, RESP3 */
};

static void delivery_begin(struct delivery *delivery, const char *word, const rr_bytes *pattern,
                           rr_bytes channel, rr_bytes message)
{
    *delivery =
        (struct delivery){.word = word, .pattern = pattern, .channel = channel, .message = message};
    reply_init(&delivery->replies[0], 2);
    reply_init(&delivery->replies[1], 3);
}

static void delivery_end(struct delivery *delivery)
{
    reply_deinit(&delivery->replies[0]);
    reply_deinit(&delivery->replies[1]);
}

static void hand(struct delivery *delivery, const struct subscriber *subscriber)
{
    struct reply *reply = &delivery->replies[*subscriber->protocol == 3];
    if (reply->out.size == 0) {
        reply_push(reply, delivery->pattern == NULL ? 3 : 4);
        reply_bulk_text(reply, delivery->word);
        if (delivery->pattern != NULL) {
            reply_bulk(reply, *delivery->pattern);
        }
        reply_bulk(reply, delivery->channel);
        reply_bulk(reply, delivery->message);
    }
    if (!reply->out.failed) { /* without memory it is lost, as messages may be */
        subscriber->push(subscriber->arg, buffer_bytes(&reply->out));
    }
}

static size_t deliver_to_topic(const struct topic *topic, const char *word, rr_bytes channel,
                               rr_bytes message)
{
    struct delivery delivery;
    delivery_begin(&delivery, word, topic->kind == PUBSUB_PATTERN ? &topic->name : NULL, channel,
                   message);
    for (const struct list_link *link = topic->subscriptions.next; link != &topic->subscriptions;
         link = link->next) {
        hand(&delivery, LIST_OWNER(link, struct subscription, of_topic)->subscriber);
    }
    delivery_end(&delivery);
    return topic->count;
}

size_t pubsub_deliver(struct pubsub *pubsub, bool shard, rr_bytes channel, rr_bytes message)
{
    const struct topic *topic = find_topic(pubsub, shard ? PUBSUB_SHARD : PUBSUB_CHANNEL, channel);
    size_t count = 0;
    if (topic != NULL) {
        count += deliver_to_topic(topic, shard ? "smessage" : "message", channel, message);
    }
    if (shard) {
        return count;
    }
    const struct list_link *head = &pubsub->topics[PUBSUB_PATTERN];
    for (const struct list_link *link = head->next; link != head; link = link->next) {
        topic = LIST_OWNER(link, struct topic, link);
        if (bytes_match(topic->name, channel, false)) {
            count += deliver_to_topic(topic, "pmessage", channel, message);
        }
    }
    return count;
}

/* ---- Looking ---- */

void pubsub_each(const struct pubsub *pubsub, enum pubsub_kind kind, pubsub_visit_fn visit,
                 void *arg)
{
    const struct list_link *head = &pubsub->topics[kind];
    for (const struct list_link *link = head->next; link != head; link = link->next) {
        const struct topic *topic = LIST_OWNER(link, struct topic, link);
        visit(arg, topic->name, topic->count);
    }
}

size_t pubsub_subscribers(const struct pubsub *pubsub, enum pubsub_kind kind, rr_bytes name)
{
    const struct topic *topic = find_topic(pubsub, kind, name);
    return topic == NULL ? 0 : topic->count;
}

size_t pubsub_count(const struct pubsub *pubsub, enum pubsub_kind kind)
{
    return pubsub->counts[kind];
}
