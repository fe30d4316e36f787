/* The list of a batch's events, encoded one after another. */
#include "coredb/value/event.h"

#include "coredb/base/bytes.h"

void events_init(struct events *events)
{
    buffer_init(&events->bytes);
    events->count = 0;
}

void events_deinit(struct events *events)
{
    if (events != NULL) {
        buffer_deinit(&events->bytes);
    }
}

struct events_mark events_position(const struct events *events)
{
    return (struct events_mark){events->bytes.size, events->count};
}

void events_undo(struct events *events, struct events_mark mark)
{
    buffer_truncate(&events->bytes, mark.size);
    events->count = mark.count;
}

enum {
    EVENT_BYTES = 1 + 2 * 4 + 3 * 8 + 2 * 4, /* without what its name and key have */
    EVENT_SMALL_BYTES_MAX = 1024, /* of a reply for which there is always room: an error, say */
};

static bool has_room(size_t used, const struct event *event)
{
    if (event->kind == EVENT_SERVED && event->key.size <= EVENT_SMALL_BYTES_MAX) {
        return true;
    }
    size_t left = used < EVENTS_BYTES_MAX ? EVENTS_BYTES_MAX - used : 0;
    return left >= EVENT_BYTES && event->name.size <= left - EVENT_BYTES &&
           event->key.size <= left - EVENT_BYTES - event->name.size;
}

static bool add(struct events *events, const struct event *event)
{
    struct buffer *bytes = &events->bytes;
    if (!has_room(bytes->size, event)) {
        return false;
    }
    buffer_append_byte(bytes, (uint8_t)event->kind);
    buffer_put_u32(bytes, event->notify_class);
    buffer_put_u32(bytes, event->db);
    buffer_put_u64(bytes, event->waiter.node);
    buffer_put_u64(bytes, event->waiter.boot);
    buffer_put_u64(bytes, event->waiter.number);
    buffer_put_slice(bytes, event->name);
    buffer_put_slice(bytes, event->key);
    events->count++;
    return true;
}

void events_notify(struct events *events, enum notify_class notify_class, uint32_t db,
                   const char *name, rr_bytes key)
{
    (void)add(events, &(struct event){.kind = EVENT_NOTIFY,
                                      .notify_class = notify_class,
                                      .db = db,
                                      .name = bytes_of(name),
                                      .key = key});
}

bool events_publish(struct events *events, rr_bytes channel, rr_bytes message)
{
    return add(events, &(struct event){.kind = EVENT_PUBLISH, .name = channel, .key = message});
}

bool events_served(struct events *events, const struct waiter_id *waiter, rr_bytes reply)
{
    return add(events, &(struct event){.kind = EVENT_SERVED, .waiter = *waiter, .key = reply});
}

bool events_next(const struct events *events, size_t *offset, struct event *out)
{
    if (*offset >= events->bytes.size) {
        return false;
    }
    struct reader reader = {events->bytes.data + *offset, events->bytes.size - *offset, false};
    out->kind = (enum event_kind)reader_u8(&reader);
    out->notify_class = reader_u32(&reader);
    out->db = reader_u32(&reader);
    out->waiter.node = reader_u64(&reader);
    out->waiter.boot = reader_u64(&reader);
    out->waiter.number = reader_u64(&reader);
    out->name = reader_slice(&reader);
    out->key = reader_slice(&reader);
    *offset = events->bytes.size - reader.left;
    return !reader.failed;
}
