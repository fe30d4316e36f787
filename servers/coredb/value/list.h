/*
 * Lists: each element is a sub-key under its place, a number that ascends from head to tail without
 * gaps. `key->first` is the head's place, so both ends grow and shrink with one write, and an index
 * is found with one read; within the list, the shorter side moves.
 *
 * The key given is an open one of type VALUE_LIST. Functions change `count` and `first` and leave
 * key_save to the caller. Indexes count from 0 at the head and are below `count`.
 */
#ifndef COREDB_VALUE_LIST_H
#define COREDB_VALUE_LIST_H

#include "coredb/value/key.h"

/* Which end. */
enum list_end { LIST_HEAD = 0, LIST_TAIL = 1 };

void list_push(struct store *store, struct key *key, enum list_end end, rr_bytes value);

/* Takes an element off the end of a list that is not empty; `out` is replaced by it. */
void list_pop(struct store *store, struct key *key, enum list_end end, struct buffer *out);

/* Takes `count` elements, at most all, off an end unseen. */
void list_drop(struct store *store, struct key *key, enum list_end end, uint64_t count);

/* Keeps `count` elements (not 0) from `start` on. */
void list_keep(struct store *store, struct key *key, uint64_t start, uint64_t count);

/* Reads one element; it lasts until the next call on the store. */
bool list_get(struct store *store, const struct key *key, uint64_t index, rr_bytes *out);

void list_set(struct store *store, const struct key *key, uint64_t index, rr_bytes value);

/* Puts an element in before `index`, which may be `count`. */
void list_insert(struct store *store, struct key *key, uint64_t index, rr_bytes value);

/* Removes the elements at the ascending `indexes`. */
void list_remove(struct store *store, struct key *key, const uint64_t *indexes, size_t count);

/* Called for each element; must not write to the store; false ends the visit. */
typedef bool (*list_visit_fn)(void *arg, uint64_t index, rr_bytes value);

/* Visits `count` elements from `start` on, ascending, or descending from the last of them. */
void list_visit(struct store *store, const struct key *key, uint64_t start, uint64_t count,
                bool reverse, list_visit_fn visit, void *arg);

/* Copies all elements to another object, which has none: its key takes `count` and `first` over. */
void list_copy(struct store *store, uint64_t from_object, uint64_t to_object);

#endif
