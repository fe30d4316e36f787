/*
 * What keys were last read as, so that hot ones need not be looked up in RocksDB,
 * which takes many times as long. Small pairs only; it may forget any of them at any time, and is
 * never wrong about one that it knows. Keys that are known to be absent count as well.
 *
 * The owner tells it of every change. One thread at a time.
 */
#ifndef STORAGE_VALUE_CACHE_H
#define STORAGE_VALUE_CACHE_H

#include "rockraft/types.h"

struct value_cache;

enum value_known {
    VALUE_UNKNOWN,
    VALUE_ABSENT,
    VALUE_PRESENT,
};

struct value_cache *value_cache_new(void);
void value_cache_free(struct value_cache *cache); /* NULL is fine */

/* Forgets everything. */
void value_cache_clear(struct value_cache *cache);

/* `value` is set when it is present, and lasts until the next change of the cache. */
enum value_known value_cache_find(struct value_cache *cache, rr_bytes key, rr_bytes *value);

/* Nothing is known about the key from now on. */
void value_cache_forget(struct value_cache *cache, rr_bytes key);

/* The key has this value from now on, or is absent (NULL). Copies what it keeps. */
void value_cache_set(struct value_cache *cache, rr_bytes key, const rr_bytes *value);

#endif
