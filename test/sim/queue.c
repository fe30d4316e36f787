/* A binary heap of small keys; the events themselves stay where they are. */
#include "queue.h"

#include <string.h>

#include "base/memory.h"

void queue_init(struct queue *queue)
{
    memset(queue, 0, sizeof(*queue));
}

void queue_deinit(struct queue *queue)
{
    for (uint32_t i = 0; i < queue->count; i++) {
        struct event *event = &queue->slots[queue->heap[i].slot];
        if (event->type == EVENT_DELIVER) {
            raft_message_deinit(&event->message);
        }
    }
    mem_free(queue->heap);
    mem_free(queue->slots);
    mem_free(queue->free_slots);
    memset(queue, 0, sizeof(*queue));
}

static bool earlier(const struct queue_key *a, const struct queue_key *b)
{
    return a->time < b->time || (a->time == b->time && a->order < b->order);
}

static uint32_t take_slot(struct queue *queue)
{
    if (queue->free_count == 0) {
        uint32_t capacity = queue->slot_capacity == 0 ? 256 : 2 * queue->slot_capacity;
        queue->slots = mem_resize(queue->slots, capacity * sizeof(*queue->slots));
        queue->free_slots = mem_resize(queue->free_slots, capacity * sizeof(*queue->free_slots));
        for (uint32_t slot = capacity; slot > queue->slot_capacity; slot--) {
            queue->free_slots[queue->free_count] = slot - 1;
            queue->free_count++;
        }
        queue->slot_capacity = capacity;
    }
    queue->free_count--;
    return queue->free_slots[queue->free_count];
}

void queue_push(struct queue *queue, const struct event *event)
{
    if (queue->count == queue->capacity) {
        queue->capacity = queue->capacity == 0 ? 256 : 2 * queue->capacity;
        queue->heap = mem_resize(queue->heap, queue->capacity * sizeof(*queue->heap));
    }
    struct queue_key key = {event->time, queue->order, take_slot(queue)};
    queue->order++;
    queue->slots[key.slot] = *event;
    uint32_t at = queue->count;
    queue->count++;
    while (at > 0 && earlier(&key, &queue->heap[(at - 1) / 2])) {
        queue->heap[at] = queue->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    queue->heap[at] = key;
}

bool queue_pop(struct queue *queue, struct event *out)
{
    if (queue->count == 0) {
        return false;
    }
    uint32_t slot = queue->heap[0].slot;
    *out = queue->slots[slot];
    queue->free_slots[queue->free_count] = slot;
    queue->free_count++;
    queue->count--;
    struct queue_key last = queue->heap[queue->count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= queue->count) {
            break;
        }
        if (child + 1 < queue->count && earlier(&queue->heap[child + 1], &queue->heap[child])) {
            child++;
        }
        if (!earlier(&queue->heap[child], &last)) {
            break;
        }
        queue->heap[at] = queue->heap[child];
        at = child;
    }
    queue->heap[at] = last;
    return true;
}
