/*
 * A table of the state in memory: what commits have written since the last table, with every
 * version of each key. A hash index finds keys, a skip list has them in order.
 *
 * One thread writes. Any number read meanwhile without a lock, each as of a commit's sequence
 * number that it was handed (under a lock or the like) after that commit had been written: versions
 * with higher numbers do not exist for it. Nothing is ever moved or removed before
 * state_table_free, so what was found lasts until then.
 */
#ifndef STORAGE_STATE_TABLE_H
#define STORAGE_STATE_TABLE_H

#include "rockraft/types.h"

struct state_table;
struct state_table_node; /* a key */

/* What a table says about a key. */
enum state_table_kind {
    STATE_TABLE_NONE = 0, /* nothing */
    STATE_TABLE_PUT = 1,
    STATE_TABLE_DELETE = 2,
};

/* An empty table that is meant to hold about `bytes`. NULL without memory. `seed` should be known to
 * nobody, so that nobody can choose keys that make it slow. */
struct state_table *state_table_new(size_t bytes, uint64_t seed);
void state_table_free(struct state_table *table); /* NULL is fine */

/* Makes room for `count` writes of keys and values of `bytes` altogether, which then cannot fail.
 * RR_NO_MEMORY: nothing has changed. Writer. */
RR_MUST_USE rr_status state_table_reserve(struct state_table *table, size_t count, size_t bytes);

/*
 * Adds a version of the key, copying both. `kind` is PUT or DELETE (without a value); `sequence` is
 * not below that of any earlier write, and within one number each key is written once. Room was
 * reserved. True: the table did not have the key before. Writer.
 */
bool state_table_write(struct state_table *table, enum state_table_kind kind, rr_bytes key,
                       rr_bytes value, uint64_t sequence);

/* Memory that the table holds, and how many keys it has. Any thread. */
size_t state_table_size(const struct state_table *table);
size_t state_table_count(const struct state_table *table);

/* --- Reading; any thread --- */

/* What the table says of the key as of `sequence`; `value` is set for a PUT. */
enum state_table_kind state_table_find(const struct state_table *table, rr_bytes key,
                                       uint64_t sequence, rr_bytes *value);

/* The first key at `key` or after it, or NULL; the last one before it, or NULL; the one after a
 * node, or NULL. Of any kind: one that is younger than the reader's sequence says NONE. */
const struct state_table_node *state_table_seek(const struct state_table *table, rr_bytes key);
const struct state_table_node *state_table_seek_before(const struct state_table *table,
                                                       rr_bytes key);
const struct state_table_node *state_table_next(const struct state_table_node *node);

rr_bytes state_table_key(const struct state_table_node *node);

/* As state_table_find, of a node's key. */
enum state_table_kind state_table_value(const struct state_table_node *node, uint64_t sequence,
                                        rr_bytes *value);

#endif
