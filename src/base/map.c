/*
 * The hash map. Invariants:
 *
 * 1. The table has at least one empty slot, so every probe ends.
 * 2. Between a key's home slot and the slot it is in, no slot is empty.
 */
#include "base/map.h"

#include "base/assert.h"
#include "base/memory.h"

enum { MAP_CAPACITY_MIN = 8 };

/* Spreads neighbouring keys over the table: the finalizer known from splitmix64. */
static uint64_t mix(uint64_t key)
{
    key ^= key >> 30;
    key *= UINT64_C(0xbf58476d1ce4e5b9);
    key ^= key >> 27;
    key *= UINT64_C(0x94d049bb133111eb);
    return key ^ (key >> 31);
}

static size_t home_slot(const struct map *map, uint64_t key)
{
    return (size_t)mix(key) & (map->capacity - 1);
}

/* The slot that holds `key`, or the empty one where it would go. */
static struct map_slot *find_slot(const struct map *map, uint64_t key)
{
    size_t at = home_slot(map, key);
    while (map->slots[at].value != NULL && map->slots[at].key != key) {
        at = (at + 1) & (map->capacity - 1);
    }
    return &map->slots[at];
}

void map_init(struct map *map)
{
    *map = (struct map){0};
}

void map_deinit(struct map *map)
{
    if (map == NULL) {
        return;
    }
    mem_free(map->slots);
    map_init(map);
}

void *map_get(const struct map *map, uint64_t key)
{
    return map->count == 0 ? NULL : find_slot(map, key)->value;
}

static void grow(struct map *map)
{
    struct map old = *map;
    map->capacity = old.capacity == 0 ? MAP_CAPACITY_MIN : old.capacity * 2;
    map->slots = mem_new_array(struct map_slot, map->capacity);
    for (size_t at = 0; at < old.capacity; at++) {
        if (old.slots[at].value != NULL) {
            *find_slot(map, old.slots[at].key) = old.slots[at];
        }
    }
    mem_free(old.slots);
}

void *map_set(struct map *map, uint64_t key, void *value)
{
    ASSERT(value != NULL);
    if ((map->count + 1) * 4 > map->capacity * 3) {
        grow(map);
    }
    struct map_slot *slot = find_slot(map, key);
    void *before = slot->value;
    if (before == NULL) {
        map->count++;
    }
    *slot = (struct map_slot){.key = key, .value = value};
    return before;
}

/*
 * Fills the hole at `hole` with the next entries that may stand there, so that invariant 2 holds
 * without a mark for the removed entry.
 */
static void close_hole(struct map *map, size_t hole)
{
    size_t mask = map->capacity - 1;
    for (size_t at = (hole + 1) & mask; map->slots[at].value != NULL; at = (at + 1) & mask) {
        size_t home = home_slot(map, map->slots[at].key);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole].value = NULL;
}

void *map_remove(struct map *map, uint64_t key)
{
    if (map->count == 0) {
        return NULL;
    }
    struct map_slot *slot = find_slot(map, key);
    void *before = slot->value;
    if (before != NULL) {
        close_hole(map, (size_t)(slot - map->slots));
        map->count--;
    }
    return before;
}

size_t map_count(const struct map *map)
{
    return map->count;
}

bool map_iterate(const struct map *map, size_t *position, uint64_t *key, void **value)
{
    for (size_t at = *position; at < map->capacity; at++) {
        if (map->slots[at].value != NULL) {
            if (key != NULL) {
                *key = map->slots[at].key;
            }
            *value = map->slots[at].value;
            *position = at + 1;
            return true;
        }
    }
    *position = map->capacity;
    return false;
}
