/* What the files of the generic group share. */
#ifndef COREDB_COMMAND_GENERIC_H
#define COREDB_COMMAND_GENERIC_H

#include "coredb/command/command.h"

/* Reads argv[i] as the number of a database, with the errors of MOVE and COPY. False: answered. */
bool generic_database(struct exec *exec, size_t i, uint32_t *out);

/* Makes `to` a copy of `from`, of any type and with its expiry; what it was is forgotten. Saves it
 * and signals waiters, without a notification. */
void generic_copy(struct store *store, const struct key *from, struct key *to);

/* EXPIRE and its kin, PERSIST, TTL and its kin: generic_expiry.c. */
void generic_expire(struct exec *exec);
void generic_expireat(struct exec *exec);
void generic_pexpire(struct exec *exec);
void generic_pexpireat(struct exec *exec);
void generic_persist(struct exec *exec);
void generic_ttl(struct exec *exec);
void generic_pttl(struct exec *exec);
void generic_expiretime(struct exec *exec);
void generic_pexpiretime(struct exec *exec);

/* KEYS, SCAN, RANDOMKEY: scan.c. */
void generic_keys(struct exec *exec);
void generic_scan(struct exec *exec);
void generic_randomkey(struct exec *exec);

/* FLUSHDB, FLUSHALL, SWAPDB, DBSIZE: generic_database.c. */
void generic_dbsize(struct exec *exec);
void generic_flushdb(struct exec *exec);
void generic_flushall(struct exec *exec);
void generic_swapdb(struct exec *exec);

/* The subcommands of OBJECT and MEMORY: generic_object.c. */
extern const struct command generic_object_subcommands[];
extern const struct command generic_memory_subcommands[];

/* MEMORY USAGE, and its row. */
void generic_memory_usage(struct exec *exec);
#define GENERIC_MEMORY_USAGE                                                                       \
    {                                                                                              \
        .name = "usage", .arity = -3, .flags = COMMAND_READONLY, .group = "server",                \
        .since = "4.0.0", .summary = "Estimates the bytes that a key and its value take.",         \
        .complexity = "O(1)", .run = generic_memory_usage, .keys = {KEY_SPEC(KEY_RO, 2, 0, 1)},    \
        .note = "An estimate of what is stored, other than Redis's of memory."                     \
    }

/* DUMP and RESTORE: dump.c. SORT and SORT_RO: sort.c. */
void generic_dump(struct exec *exec);
void generic_restore(struct exec *exec);
void generic_sort(struct exec *exec);
void generic_sort_ro(struct exec *exec);

#endif
