/* Times of expiry as arguments: what SET, GETEX, SETEX and RESTORE share. */
#ifndef COREDB_COMMAND_EXPIRY_H
#define COREDB_COMMAND_EXPIRY_H

#include "coredb/command/command.h"

/* What the number of an argument means. */
struct expiry_unit {
    bool milliseconds; /* else seconds */
    bool absolute;     /* since 1970; else from now on */
};

/* Whether argv[i] is one of the words EX, PX, EXAT, PXAT, and what it means then. */
bool expiry_word(const struct exec *exec, size_t i, struct expiry_unit *out);

/* Reads argv[i], a positive number, as a time of expiry since 1970. False: answered that it is no
 * integer, or "invalid expire time in '...' command". */
bool expiry_read(struct exec *exec, size_t i, struct expiry_unit unit, uint64_t *out_ms);

/* Answers "invalid expire time in '...' command". */
void expiry_refuse(struct exec *exec);

/* Deletes the key as its expiry has passed already, with the notification "del". */
void expiry_delete(struct exec *exec, struct key *key);

/* Gives the key an expiry in the future and saves it, with the notification "expire". */
void expiry_set(struct exec *exec, struct key *key, uint64_t expire_ms);

/* Takes the key's expiry away and saves it, with the notification "persist"; false: it had none. */
bool expiry_remove(struct exec *exec, struct key *key);

#endif
