/*
 * A RocksDB database, read alone: nothing in its directory changes, and no log of RocksDB's own is
 * written.
 */
#ifndef INSPECT_ROCKS_H
#define INSPECT_ROCKS_H

#include "inspect/bytes.h"

struct rocks;

enum { ROCKS_FAMILIES_MAX = 4 };

/*
 * Opens the database at `path` with the column families named, in order; "default" is opened
 * besides. What stands in its WAL is read into memory, and a WAL that ends within a record is as it
 * may be. NULL, and `error` is a text that the caller frees.
 */
struct rocks *rocks_open(const char *path, const char *const *families, unsigned count,
                         char **error);
void rocks_close(struct rocks *rocks);

/* Receives a pair; false ends the walk. */
typedef bool (*rocks_visit)(void *arg, struct slice key, struct slice value);

/* Calls `visit` for all pairs of a family (its place in the list) from `from` on in the order of
 * keys, with checksums verified. NULL, or why it ended; the caller frees it. */
char *rocks_each(struct rocks *rocks, unsigned family, struct slice from, rocks_visit visit,
                 void *arg);

/* How many SST files there are, and their bytes. */
void rocks_files(struct rocks *rocks, uint64_t *count, uint64_t *bytes);

/* About how many keys a family has. */
uint64_t rocks_keys(struct rocks *rocks, unsigned family);

/* Verifies every block of every SST file. NULL, or what is wrong; the caller frees it. */
char *rocks_verify(struct rocks *rocks);

#endif
