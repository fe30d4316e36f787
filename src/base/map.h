/*
 * A hash map from 64-bit numbers to pointers: groups by id, sessions by number, peers by id.
 *
 * Open addressing with linear probing and removal by shifting back, so there are no graves and the
 * speed does not decay. The map owns its table, never what the values point to. It is for numbers
 * of entries that other limits bound: a table that cannot grow ends the process. One thread at a
 * time.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
    uint64_t key;
    void *value; /* NULL in an empty slot */
};

struct map {
    struct map_slot *slots; /* NULL until the first map_set */
    size_t capacity;        /* slots, a power of two, or 0 */
    size_t count;
};

/* Makes `map` empty, without memory. A zeroed struct is an empty map, too. */
void map_init(struct map *map);

/* Frees the table and leaves an empty map; the values stay the caller's. NULL is fine. */
void map_deinit(struct map *map);

/* The value of `key`, or NULL. */
void *map_get(const struct map *map, uint64_t key);

/* Sets `key` to `value`, which is not NULL; returns the value it had before, or NULL. */
void *map_set(struct map *map, uint64_t key, void *value);

/* Removes `key` and returns the value it had, or NULL. */
void *map_remove(struct map *map, uint64_t key);

size_t map_count(const struct map *map);

/*
 * Walks all entries in no particular order, but the same one for the same history of calls.
 * `position` starts at 0; each call sets `key` (unless NULL) and `value` and moves `position` on,
 * until it returns false. The map must not change meanwhile.
 *
 *     size_t position = 0;
 *     uint64_t id;
 *     void *value;
 *     while (map_iterate(&map, &position, &id, &value)) { ... }
 */
bool map_iterate(const struct map *map, size_t *position, uint64_t *key, void **value);

#endif
