/*
 * What commands of hashes, sets and sorted sets share over records by name: a step of their SCAN
 * and their random members.
 */
#ifndef COREDB_COMMAND_NAMED_H
#define COREDB_COMMAND_NAMED_H

#include "coredb/command/command.h"
#include "coredb/value/named.h"

/* Writes a stored value as one reply. */
typedef void (*named_value_fn)(struct reply *reply, rr_bytes value);

/* A named_value_fn: the value as it is. */
void named_value_bulk(struct reply *reply, rr_bytes value);

/*
 * HSCAN, SSCAN, ZSCAN from `cursor` on: reads MATCH and COUNT from argv[3] on and answers the next
 * cursor with an array of names, each followed by its value unless `value` is NULL. A key with a
 * compact encoding is answered as a whole, as in Redis.
 */
void named_scan_reply(struct exec *exec, const struct key *key, struct named family,
                      uint64_t cursor, named_value_fn value);

/* What HRANDFIELD, SRANDMEMBER, ZRANDMEMBER ask for. */
struct named_random {
    bool single;   /* one name or null, not an array */
    int64_t count; /* negative: so many draws with repetition */
    bool with_values;
};

/* Reads a count from argv[2] and the word `with` (NULL: there is none) from argv[3]. False:
 * answered an error. */
bool named_random_arguments(struct exec *exec, const char *with, struct named_random *out);

/* Answers random names of `family`; `key` may be absent. `value` is called when values were asked
 * for. */
void named_random_reply(struct exec *exec, const struct key *key, struct named family,
                        const struct named_random *wanted, named_value_fn value);

#endif
