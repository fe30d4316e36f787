/*
 * Looks over all that coredb has stored, and tells what does not fit together:
 *
 * - the counters of each database are those of its keys, keys with an expiry and waiters;
 * - the expiry index has exactly the keys with an expiry;
 * - every key stands at its position, and its object is its own;
 * - each collection has as many sub-keys as it says: a list without gaps, of a sorted set each
 *   member in the order with its score, and counts over the order that are right;
 * - sub-keys of no key, and keys of no database, are known as garbage, and no garbage is in use.
 */
#ifndef COREDB_TEST_STORE_CHECK_H
#define COREDB_TEST_STORE_CHECK_H

#include "coredb/value/store.h"

/* True if all is well, else `problem` says what was found first. Time and memory in proportion to
 * all that is stored. At apply or in a query, before any change that is not finished. */
bool store_check(struct store *store, char *problem, size_t problem_size);

#endif
