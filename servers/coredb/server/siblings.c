/*
 * Out: parts, at once. In: the node's thread appends parts to an inbox and rings the loop, which
 * puts them together by sender.
 */
#include "coredb/server/siblings.h"

#include "coredb/net/loop.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    PART_VERSION = 1,
    SENDERS_MAX = 64, /* more than a cluster has members */
};

/* What has come of one sender's message. */
struct assembly {
    uint64_t from; /* 0: free */
    uint64_t number;
    uint32_t total;
    struct buffer bytes;
};

struct siblings {
    rr_node *node;
    struct loop *loop;
    uint64_t next_number;
    uint64_t dropped; /* on the loop's thread */
    struct {
        sibling_fn fn;
        void *arg;
    } handlers[SIBLING_KINDS];
    struct assembly assemblies[SENDERS_MAX];
    struct buffer part;     /* scratch for sending */
    struct buffer handling; /* what the inbox held; empty between turns */

    pthread_mutex_t lock;
    struct buffer inbox; /* under `lock`, as the rest: u64 from, slice part; one after another */
    struct loop_task task;
    bool posted;
    uint64_t inbox_dropped;
};

struct siblings *siblings_new(rr_node *node, struct loop *loop)
{
    struct siblings *siblings = calloc(1, sizeof(*siblings));
    if (siblings == NULL) {
        abort();
    }
    siblings->node = node;
    siblings->loop = loop;
    pthread_mutex_init(&siblings->lock, NULL);
    buffer_init(&siblings->inbox);
    buffer_init(&siblings->handling);
    buffer_init(&siblings->part);
    for (int i = 0; i < SENDERS_MAX; i++) {
        buffer_init(&siblings->assemblies[i].bytes);
    }
    return siblings;
}

void siblings_free(struct siblings *siblings)
{
    if (siblings == NULL) {
        return;
    }
    for (int i = 0; i < SENDERS_MAX; i++) {
        buffer_deinit(&siblings->assemblies[i].bytes);
    }
    buffer_deinit(&siblings->part);
    buffer_deinit(&siblings->handling);
    buffer_deinit(&siblings->inbox);
    pthread_mutex_destroy(&siblings->lock);
    free(siblings);
}

void siblings_on(struct siblings *siblings, enum sibling_kind kind, sibling_fn fn, void *arg)
{
    siblings->handlers[kind].fn = fn;
    siblings->handlers[kind].arg = arg;
}

uint64_t siblings_dropped(struct siblings *siblings)
{
    pthread_mutex_lock(&siblings->lock);
    uint64_t dropped = siblings->inbox_dropped;
    pthread_mutex_unlock(&siblings->lock);
    return dropped + siblings->dropped;
}

/* ---- Out ---- */

/* Appends what lies in `bytes` between the message's offsets `from` and `to`, when `bytes` begins
 * at `at` in the message. */
static void append_overlap(struct buffer *out, rr_bytes bytes, size_t at, size_t from, size_t to)
{
    size_t first = from > at ? from - at : 0;
    size_t end = to > at ? to - at : 0;
    if (end > bytes.size) {
        end = bytes.size;
    }
    if (first < end) {
        buffer_append(out, (const uint8_t *)bytes.data + first, end - first);
    }
}

void siblings_send(struct siblings *siblings, uint64_t to, enum sibling_kind kind, rr_bytes head,
                   rr_bytes tail)
{
    uint8_t kind_byte = (uint8_t)kind;
    size_t total = 1 + head.size + tail.size;
    if (total > SIBLING_MESSAGE_BYTES_MAX) {
        siblings->dropped++;
        return;
    }
    siblings->next_number++;
    struct buffer *part = &siblings->part;
    for (size_t offset = 0; offset < total; offset += SIBLING_PART_BYTES_MAX) {
        size_t end =
            total - offset > SIBLING_PART_BYTES_MAX ? offset + SIBLING_PART_BYTES_MAX : total;
        buffer_clear(part);
        buffer_append_byte(part, PART_VERSION);
        buffer_put_u64(part, siblings->next_number);
        buffer_put_u32(part, (uint32_t)total);
        buffer_put_u32(part, (uint32_t)offset);
        append_overlap(part, (rr_bytes){&kind_byte, 1}, 0, offset, end);
        append_overlap(part, head, 1, offset, end);
        append_overlap(part, tail, 1 + head.size, offset, end);
        if (part->failed || rr_node_send(siblings->node, to, buffer_bytes(part)) != RR_OK) {
            siblings->dropped++;
            return; /* the rest would be of no use */
        }
    }
}

/* ---- In ---- */

static void dispatch(struct siblings *siblings, uint64_t from, rr_bytes message)
{
    struct reader reader = reader_of(message);
    uint8_t kind = reader_u8(&reader);
    if (reader.failed || kind >= SIBLING_KINDS || siblings->handlers[kind].fn == NULL) {
        siblings->dropped++;
        return;
    }
    siblings->handlers[kind].fn(siblings->handlers[kind].arg, from,
                                reader_take(&reader, reader.left));
}

/* The sender's assembly, or a free one. NULL: too many senders at work. */
static struct assembly *assembly_of(struct siblings *siblings, uint64_t from)
{
    struct assembly *found = NULL;
    for (int i = 0; i < SENDERS_MAX; i++) {
        struct assembly *assembly = &siblings->assemblies[i];
        if (assembly->from == from) {
            return assembly;
        }
        if (assembly->from == 0) {
            found = assembly;
        }
    }
    return found;
}

static void assembly_drop(struct assembly *assembly)
{
    buffer_deinit(&assembly->bytes);
    buffer_init(&assembly->bytes);
    assembly->from = 0;
}

/* Adds a part of a message that has several; the message is handled with its last. */
static void assemble(struct siblings *siblings, uint64_t from, uint64_t number, uint32_t total,
                     uint32_t offset, rr_bytes bytes)
{
    struct assembly *assembly = assembly_of(siblings, from);
    if (assembly == NULL) {
        siblings->dropped++;
        return;
    }
    if (assembly->from != 0 && assembly->number != number) {
        siblings->dropped++; /* parts of the one before were lost */
        assembly_drop(assembly);
    }
    if (assembly->from == 0 && offset == 0) {
        assembly->from = from;
        assembly->number = number;
        assembly->total = total;
    }
    if (assembly->from == 0) {
        return; /* its beginning was lost, and is counted where it was */
    }
    if (assembly->total != total || assembly->bytes.size != offset || bytes.size > total - offset) {
        siblings->dropped++;
        assembly_drop(assembly);
        return;
    }
    buffer_append_bytes(&assembly->bytes, bytes);
    if (assembly->bytes.failed) {
        siblings->dropped++;
        assembly_drop(assembly);
    } else if (assembly->bytes.size == total) {
        dispatch(siblings, from, buffer_bytes(&assembly->bytes));
        assembly_drop(assembly);
    }
}

static void handle_part(struct siblings *siblings, uint64_t from, rr_bytes part)
{
    struct reader reader = reader_of(part);
    uint8_t version = reader_u8(&reader);
    uint64_t number = reader_u64(&reader);
    uint32_t total = reader_u32(&reader);
    uint32_t offset = reader_u32(&reader);
    rr_bytes bytes = reader_take(&reader, reader.left);
    if (reader.failed || version != PART_VERSION || total > SIBLING_MESSAGE_BYTES_MAX ||
        offset > total || bytes.size == 0) {
        siblings->dropped++;
        return;
    }
    if (offset == 0 && bytes.size == total) {
        dispatch(siblings, from, bytes);
        return;
    }
    assemble(siblings, from, number, total, offset, bytes);
}

/* The loop's thread: all that has come since the last time. */
static void handle_inbox(void *arg)
{
    struct siblings *siblings = arg;
    pthread_mutex_lock(&siblings->lock);
    struct buffer taken = siblings->inbox;
    siblings->inbox = siblings->handling;
    siblings->handling = taken;
    siblings->posted = false;
    pthread_mutex_unlock(&siblings->lock);
    struct reader reader = reader_of(buffer_bytes(&siblings->handling));
    while (reader.left > 0 && !reader.failed) {
        uint64_t from = reader_u64(&reader);
        rr_bytes part = reader_slice(&reader);
        handle_part(siblings, from, part);
    }
    if (siblings->handling.capacity > SIBLING_PART_BYTES_MAX) {
        buffer_deinit(&siblings->handling); /* after a flood */
        buffer_init(&siblings->handling);
    }
    buffer_clear(&siblings->handling);
}

/* The node's thread. */
static void on_message(void *arg, uint64_t from, rr_bytes part)
{
    struct siblings *siblings = arg;
    pthread_mutex_lock(&siblings->lock);
    struct buffer *inbox = &siblings->inbox;
    size_t size = inbox->size;
    bool room = size < SIBLING_INBOX_BYTES_MAX && part.size < SIBLING_INBOX_BYTES_MAX - size;
    if (room) {
        buffer_put_u64(inbox, from);
        buffer_put_slice(inbox, part);
        if (inbox->failed) {
            inbox->failed = false;
            buffer_truncate(inbox, size);
            room = false;
        }
    }
    siblings->inbox_dropped += room ? 0 : 1;
    bool post = room && !siblings->posted;
    siblings->posted |= post;
    pthread_mutex_unlock(&siblings->lock);
    if (post) {
        loop_post(siblings->loop, &siblings->task);
    }
}

void siblings_start(struct siblings *siblings)
{
    siblings->task = (struct loop_task){.run = handle_inbox, .arg = siblings};
    rr_node_on_message(siblings->node, on_message, siblings);
}
