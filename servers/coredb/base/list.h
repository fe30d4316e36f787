/* Intrusive doubly linked lists. A link is in at most one list; one thread at a time. */
#ifndef COREDB_BASE_LIST_H
#define COREDB_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A list's head, or the place of an element in one. Unlinked: points to itself. */
struct list_link {
    struct list_link *next;
    struct list_link *previous;
};

#define LIST_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct list_link *link)
{
    link->next = link;
    link->previous = link;
}

static inline bool list_is_empty(const struct list_link *head)
{
    return head->next == head;
}

static inline bool list_is_linked(const struct list_link *link)
{
    return link->next != link;
}

static inline void list_append(struct list_link *head, struct list_link *link)
{
    link->previous = head->previous;
    link->next = head;
    head->previous->next = link;
    head->previous = link;
}

/* Fine for one that is in no list. */
static inline void list_remove(struct list_link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}

#endif
