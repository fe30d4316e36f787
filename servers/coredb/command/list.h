/* What the list commands share with those that wait for lists (blocking.c). */
#ifndef COREDB_COMMAND_LIST_H
#define COREDB_COMMAND_LIST_H

#include "coredb/command/command.h"
#include "coredb/value/list.h"

/* LEFT or RIGHT, in any case. */
bool list_end_parse(rr_bytes word, enum list_end *out);

/* Takes one element off the end of `key`, a list that is not empty, saves it, notifies, and replies
 * the element. */
void list_take(struct store *store, struct key *key, enum list_end end, struct reply *reply);

/*
 * Takes up to `count` elements (not 0), fewer when they are more than `bytes_max`, but at least one;
 * saves, notifies, and replies them as an array, the end's own first.
 */
void list_take_many(struct store *store, struct key *key, enum list_end end, uint64_t count,
                    size_t bytes_max, struct reply *reply);

/*
 * Moves an element from `source`, which is not empty, to `target`, a list or absent, or NULL for
 * the same list; saves both, notifies, signals, and replies the element.
 */
void list_transfer(struct store *store, struct key *source, enum list_end from, struct key *target,
                   enum list_end to, struct reply *reply);

/* Parses "numkeys key ... FIRST|SECOND [COUNT count]" of LMPOP, ZMPOP and their blocking forms from
 * argv[at] on; false: answered. */
struct pop_request {
    size_t first_key; /* in argv */
    size_t key_count;
    bool second; /* the second of the two words was given */
    uint64_t count;
};
bool pop_request_parse(struct exec *exec, size_t at, const char *first, const char *second,
                       struct pop_request *out);

#endif
