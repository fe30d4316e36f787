/* BITFIELD and BITFIELD_RO; their rows are in bitmap.c. */
#ifndef COREDB_COMMAND_BITFIELD_H
#define COREDB_COMMAND_BITFIELD_H

#include "coredb/command/command.h"

/* The place of a bit within a string, the highest bit of the first byte being 0: argv[i] as Redis
 * limits it (below 2^32). With `width` not 0, "#n" means n times the width. False: answered. */
bool bitmap_offset(struct exec *exec, size_t i, unsigned width, uint64_t *out);

void bitfield(struct exec *exec);
void bitfield_ro(struct exec *exec);

#endif
