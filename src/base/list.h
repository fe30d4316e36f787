/*
 * An intrusive doubly linked list: the link lives in the object, so that adding and removing need
 * no memory and no search.
 *
 * A list owns nothing. One thread uses a list and its members at a time. A zeroed link is in no
 * list, and list_remove leaves it so.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/assert.h"

#include <stdbool.h>
#include <stddef.h>

/* The object of `type` whose field `member` is at `pointer`. */
#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* What an object holds to be in a list; zeroed while it is in none. */
struct list_link {
    struct list_link *previous;
    struct list_link *next;
};

/* A ring through `head`, which is no member itself. */
struct list {
    struct list_link head;
};

/*
 * Runs its body for each link from front to back. The body must not remove `link`:
 *
 *     LIST_FOREACH (link, &node->requests) {
 *         struct request *request = CONTAINER_OF(link, struct request, link);
 */
#define LIST_FOREACH(name, list)                                                                   \
    for (struct list_link *name = (list)->head.next; name != &(list)->head; name = name->next)

/* As LIST_FOREACH, and the body may remove (and free) the link that it is at, but no other. */
#define LIST_FOREACH_SAFE(name, list)                                                              \
    for (struct list_link *name = (list)->head.next, *name##_next = name->next;                    \
         name != &(list)->head; name = name##_next, name##_next = name->next)

/* Makes `list` empty. */
static inline void list_init(struct list *list)
{
    list->head.previous = &list->head;
    list->head.next = &list->head;
}

static inline bool list_empty(const struct list *list)
{
    return list->head.next == &list->head;
}

/* Whether `link` is in a list. */
static inline bool list_contains(const struct list_link *link)
{
    return link->next != NULL;
}

/* Puts `link`, which is in no list, in front of `before`, a member or the head. */
static inline void list_insert_before(struct list_link *before, struct list_link *link)
{
    ASSERT(link->next == NULL);
    link->previous = before->previous;
    link->next = before;
    before->previous->next = link;
    before->previous = link;
}

static inline void list_push_back(struct list *list, struct list_link *link)
{
    list_insert_before(&list->head, link);
}

static inline void list_push_front(struct list *list, struct list_link *link)
{
    list_insert_before(list->head.next, link);
}

/* Takes `link` out of the list that it is in; the link is zeroed. */
static inline void list_remove(struct list_link *link)
{
    ASSERT(link->next != NULL);
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link->previous = NULL;
    link->next = NULL;
}

/* The first member, which stays in the list, or NULL. */
static inline struct list_link *list_front(const struct list *list)
{
    return list_empty(list) ? NULL : list->head.next;
}

/* The last member, which stays in the list, or NULL. */
static inline struct list_link *list_back(const struct list *list)
{
    return list_empty(list) ? NULL : list->head.previous;
}

/* Removes the first member and returns it, or NULL when there is none. */
static inline struct list_link *list_pop_front(struct list *list)
{
    struct list_link *link = list_front(list);
    if (link != NULL) {
        list_remove(link);
    }
    return link;
}

/* Moves all members of `from` to the end of `to`, in their order; `from` is then empty. */
static inline void list_append_all(struct list *to, struct list *from)
{
    if (list_empty(from)) {
        return;
    }
    from->head.next->previous = to->head.previous;
    to->head.previous->next = from->head.next;
    from->head.previous->next = &to->head;
    to->head.previous = from->head.previous;
    list_init(from);
}

#endif
