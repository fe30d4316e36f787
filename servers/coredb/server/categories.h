/* The categories that Redis sorts commands into for its access lists. Any thread. */
#ifndef COREDB_SERVER_CATEGORIES_H
#define COREDB_SERVER_CATEGORIES_H

#include "coredb/command/command.h"

/* One bit per category: of a command, or of a subcommand of `container` (else NULL). */
uint32_t categories_of(const struct command *container, const struct command *command);

/* The name of category `i`, without "@"; NULL at the end. */
const char *categories_name(size_t i);

/* The bit of a name in any case, or 0. */
uint32_t categories_find(rr_bytes name);

#endif
