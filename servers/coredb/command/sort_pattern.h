/* The patterns of SORT's BY and GET: a key's name, or a field of a hash, made from an element. */
#ifndef COREDB_COMMAND_SORT_PATTERN_H
#define COREDB_COMMAND_SORT_PATTERN_H

#include "coredb/value/store.h"

/*
 * Finds what `pattern` names for `element`: "#" is the element itself; the first * of the key's
 * name is replaced by it; "->" and a field at the end mean a field of a hash. False: nothing there,
 * a value of another type, or a pattern without a *. `out` is replaced by the value.
 */
bool sort_pattern_find(struct store *store, rr_bytes pattern, rr_bytes element, struct buffer *out);

/* Whether there is a * in it: if not, BY means not to sort. */
bool sort_pattern_varies(rr_bytes pattern);

#endif
