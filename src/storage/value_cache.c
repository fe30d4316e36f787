/*
 * A table of sets, each of a few pairs. A pair that is found moves one place up in its set, and a
 * new one takes the last place: so a long row of keys that are touched once pushes out no more than
 * the last place of each set.
 */
#include "storage/value_cache.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <string.h>

enum {
    SETS = 16 * 1024, /* a power of two */
    WAYS = 4,
    /* Key and value; together with the table at most 36 MiB. Of larger values the copying counts,
     * and RocksDB's block cache does as well. */
    PAIR_BYTES_MAX = 512,
    PAIR_BYTES_STEP = 64, /* memory comes in such steps, so that it fits the next pair too */
};

struct pair {
    uint32_t key_size;
    uint32_t value_size;
    uint32_t capacity; /* of `bytes` */
    bool present;
    uint8_t bytes[]; /* the key, then the value */
};

struct slot {
    uint64_t hash;
    struct pair *pair; /* NULL: free */
};

struct value_cache {
    struct slot slots[SETS][WAYS];
};

struct value_cache *value_cache_new(void)
{
    return mem_new(struct value_cache);
}

void value_cache_clear(struct value_cache *cache)
{
    for (size_t set = 0; set < SETS; set++) {
        for (size_t way = 0; way < WAYS; way++) {
            mem_free(cache->slots[set][way].pair);
            cache->slots[set][way] = (struct slot){0};
        }
    }
}

void value_cache_free(struct value_cache *cache)
{
    if (cache != NULL) {
        value_cache_clear(cache);
        mem_free(cache);
    }
}

static bool holds(const struct slot *slot, uint64_t hash, rr_bytes key)
{
    return slot->hash == hash && slot->pair != NULL && slot->pair->key_size == key.size &&
           memcmp(slot->pair->bytes, key.data, key.size) == 0;
}

/* Where in the set the key is; WAYS if nowhere. */
static size_t find_way(const struct slot *set, uint64_t hash, rr_bytes key)
{
    size_t way = 0;
    while (way < WAYS && !holds(&set[way], hash, key)) {
        way++;
    }
    return way;
}

static struct slot *set_of(struct value_cache *cache, uint64_t hash)
{
    return cache->slots[hash % SETS];
}

enum value_known value_cache_find(struct value_cache *cache, rr_bytes key, rr_bytes *value)
{
    uint64_t hash = checksum64(key.data, key.size);
    struct slot *set = set_of(cache, hash);
    size_t way = find_way(set, hash, key);
    if (way == WAYS) {
        return VALUE_UNKNOWN;
    }
    const struct pair *pair = set[way].pair;
    if (way > 0) {
        struct slot found = set[way];
        set[way] = set[way - 1];
        set[way - 1] = found;
    }
    if (!pair->present) {
        return VALUE_ABSENT;
    }
    *value = (rr_bytes){pair->bytes + pair->key_size, pair->value_size};
    return VALUE_PRESENT;
}

void value_cache_forget(struct value_cache *cache, rr_bytes key)
{
    uint64_t hash = checksum64(key.data, key.size);
    struct slot *set = set_of(cache, hash);
    size_t way = find_way(set, hash, key);
    if (way < WAYS) {
        mem_free(set[way].pair);
        set[way] = (struct slot){0};
    }
}

/* Makes the slot's pair hold `size` bytes; frees it where that cannot be. */
static bool make_room(struct slot *slot, size_t size)
{
    if (slot->pair != NULL && size <= slot->pair->capacity) {
        return true;
    }
    mem_free(slot->pair);
    slot->pair = NULL;
    if (size > PAIR_BYTES_MAX) {
        return false;
    }
    size_t capacity = (size + PAIR_BYTES_STEP - 1) / PAIR_BYTES_STEP * PAIR_BYTES_STEP;
    slot->pair = mem_try_alloc(sizeof(*slot->pair) + capacity);
    if (slot->pair == NULL) {
        return false;
    }
    slot->pair->capacity = (uint32_t)capacity;
    return true;
}

void value_cache_set(struct value_cache *cache, rr_bytes key, const rr_bytes *value)
{
    uint64_t hash = checksum64(key.data, key.size);
    struct slot *set = set_of(cache, hash);
    size_t way = find_way(set, hash, key);
    size_t value_size = value == NULL ? 0 : value->size;
    /* One that is too large only takes the place of an earlier value of its own. */
    if (way == WAYS && (key.size > PAIR_BYTES_MAX || value_size > PAIR_BYTES_MAX - key.size)) {
        return;
    }
    struct slot *slot = &set[way < WAYS ? way : WAYS - 1];
    if (!make_room(slot, key.size + value_size)) {
        return;
    }
    struct pair *pair = slot->pair;
    slot->hash = hash;
    pair->key_size = (uint32_t)key.size;
    pair->value_size = (uint32_t)value_size;
    pair->present = value != NULL;
    memcpy(pair->bytes, key.data, key.size);
    if (value_size > 0) {
        memcpy(pair->bytes + key.size, value->data, value_size);
    }
}
