/* The letters of notify-keyspace-events, and what subscribers get. */
#include "coredb/server/notify.h"

#include "coredb/base/bytes.h"
#include "coredb/server/pubsub.h"

#include <stdio.h>

enum {
    NOTIFY_ALL = NOTIFY_GENERIC | NOTIFY_STRING | NOTIFY_LIST | NOTIFY_SET | NOTIFY_HASH |
                 NOTIFY_ZSET | NOTIFY_EXPIRED | NOTIFY_EVICTED | NOTIFY_STREAM | NOTIFY_MODULE,
};

/* In the order in which they are shown. */
static const struct letter {
    char letter;
    uint32_t classes;
} letters[] = {
    {'A', NOTIFY_ALL},      {'g', NOTIFY_GENERIC},  {'$', NOTIFY_STRING}, {'l', NOTIFY_LIST},
    {'s', NOTIFY_SET},      {'h', NOTIFY_HASH},     {'z', NOTIFY_ZSET},   {'x', NOTIFY_EXPIRED},
    {'e', NOTIFY_EVICTED},  {'t', NOTIFY_STREAM},   {'d', NOTIFY_MODULE}, {'n', NOTIFY_NEW},
    {'K', NOTIFY_KEYSPACE}, {'E', NOTIFY_KEYEVENT}, {'m', NOTIFY_MISS},
};

enum { LETTER_COUNT = sizeof(letters) / sizeof(letters[0]) };

static uint32_t classes_of(char letter)
{
    for (size_t i = 0; i < LETTER_COUNT; i++) {
        if (letters[i].letter == letter) {
            return letters[i].classes;
        }
    }
    return 0;
}

bool notify_parse(rr_bytes text, uint32_t *classes)
{
    const char *at = text.data;
    uint32_t found = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint32_t more = classes_of(at[i]);
        if (more == 0) {
            return false;
        }
        found |= more;
    }
    *classes = found;
    return true;
}

size_t notify_print(uint32_t classes, char out[NOTIFY_TEXT_MAX])
{
    size_t length = 0;
    uint32_t shown = 0;
    for (size_t i = 0; i < LETTER_COUNT; i++) {
        uint32_t wanted = letters[i].classes;
        if ((classes & wanted) == wanted && (shown & wanted) == 0) {
            out[length++] = letters[i].letter;
            shown |= wanted == NOTIFY_ALL ? wanted | NOTIFY_NEW : wanted; /* as Redis shows it */
        }
    }
    out[length] = '\0';
    return length;
}

/* Delivers `message` to the channel "__KIND@DB__:SUBJECT". */
static void deliver(struct pubsub *pubsub, const char *kind, uint32_t db, rr_bytes subject,
                    rr_bytes message)
{
    char head[32];
    int length = snprintf(head, sizeof(head), "__%s@%u__:", kind, (unsigned)db);
    struct buffer channel;
    buffer_init(&channel);
    buffer_append(&channel, head, (size_t)length);
    buffer_append_bytes(&channel, subject);
    if (!channel.failed) {
        (void)pubsub_deliver(pubsub, false, buffer_bytes(&channel), message);
    }
    buffer_deinit(&channel);
}

void notify_deliver(struct pubsub *pubsub, uint32_t classes, const struct event *event)
{
    if ((classes & event->notify_class) == 0 ||
        pubsub_count(pubsub, PUBSUB_CHANNEL) + pubsub_count(pubsub, PUBSUB_PATTERN) == 0) {
        return;
    }
    if ((classes & NOTIFY_KEYSPACE) != 0) {
        deliver(pubsub, "keyspace", event->db, event->key, event->name);
    }
    if ((classes & NOTIFY_KEYEVENT) != 0) {
        deliver(pubsub, "keyevent", event->db, event->name, event->key);
    }
}
