/*
 * The table's index, list and arena.
 *
 * 1. A node or version is filled in before a release store links it; readers follow links with
 *    acquire loads. So whatever a reader reaches is whole.
 * 2. A key's versions hang at its node, the newest first, with falling sequence numbers.
 * 3. The hash index has as many buckets as it will ever need, because readers could not follow it
 *    growing.
 */
#include "storage/state_table.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/memory.h"

#include <stdatomic.h>
#include <string.h>

enum {
    LEVELS_MAX = 12, /* good for 4^12 keys */
    CHUNK_BYTES_MIN = 4 * 1024,
    CHUNK_BYTES_MAX = 256 * 1024,
    CHUNKS = 16, /* that a small table is made of, at least */
    ALIGNMENT = 8,
    BYTES_PER_BUCKET = 256, /* a small key takes about as much, with its node and one version */
    BUCKETS_MIN = 64,
};

struct version {
    struct version *older;
    uint64_t sequence;
    uint32_t size; /* of the value */
    enum state_table_kind kind;
    uint8_t value[];
};

typedef _Atomic(struct state_table_node *) node_link;

struct state_table_node {
    _Atomic(struct version *) newest;
    struct state_table_node *chain; /* the next one of its bucket */
    uint64_t hash;
    rr_bytes key;
    node_link next[]; /* as many as its level */
};

struct chunk {
    struct chunk *next;
    size_t used;
    size_t capacity;
    uint64_t bytes[]; /* aligned for nodes */
};

struct state_table {
    node_link heads[LEVELS_MAX];
    node_link *buckets;
    size_t bucket_mask;
    struct chunk *chunks; /* newest first */
    size_t chunk_bytes;   /* of most of them */
    atomic_size_t size;
    atomic_size_t count;
    uint64_t seed;   /* of the hashes */
    uint64_t random; /* for the levels; never 0 */
};

static size_t chunk_bytes_for(size_t bytes)
{
    size_t each = bytes / CHUNKS;
    if (each < CHUNK_BYTES_MIN) {
        return CHUNK_BYTES_MIN;
    }
    return each < CHUNK_BYTES_MAX ? each : CHUNK_BYTES_MAX;
}

struct state_table *state_table_new(size_t bytes, uint64_t seed)
{
    size_t buckets = BUCKETS_MIN;
    while (buckets < bytes / BYTES_PER_BUCKET) {
        buckets *= 2;
    }
    struct state_table *table = mem_try_alloc(sizeof(*table));
    node_link *memory = mem_try_alloc(buckets * sizeof(*memory));
    if (table == NULL || memory == NULL) {
        mem_free(table);
        mem_free(memory);
        return NULL;
    }
    memset(table, 0, sizeof(*table));
    memset(memory, 0, buckets * sizeof(*memory));
    table->buckets = memory;
    table->bucket_mask = buckets - 1;
    table->chunk_bytes = chunk_bytes_for(bytes);
    table->seed = seed;
    table->random = seed != 0 ? seed : 1;
    atomic_store(&table->size, sizeof(*table) + buckets * sizeof(*memory));
    return table;
}

void state_table_free(struct state_table *table)
{
    if (table == NULL) {
        return;
    }
    while (table->chunks != NULL) {
        struct chunk *chunk = table->chunks;
        table->chunks = chunk->next;
        mem_free(chunk);
    }
    mem_free(table->buckets);
    mem_free(table);
}

size_t state_table_size(const struct state_table *table)
{
    return atomic_load_explicit(&table->size, memory_order_relaxed);
}

size_t state_table_count(const struct state_table *table)
{
    return atomic_load_explicit(&table->count, memory_order_relaxed);
}

/* --- Memory --- */

static size_t aligned(size_t size)
{
    return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

rr_status state_table_reserve(struct state_table *table, size_t count, size_t bytes)
{
    size_t each = sizeof(struct state_table_node) + LEVELS_MAX * sizeof(node_link) +
                  sizeof(struct version) + (size_t)2 * ALIGNMENT;
    size_t needed = count * each + bytes;
    struct chunk *chunk = table->chunks;
    if (chunk != NULL && chunk->capacity - chunk->used >= needed) {
        return RR_OK;
    }
    size_t capacity = needed > table->chunk_bytes ? aligned(needed) : table->chunk_bytes;
    chunk = mem_try_alloc(sizeof(*chunk) + capacity);
    if (chunk == NULL) {
        return RR_NO_MEMORY;
    }
    *chunk = (struct chunk){.next = table->chunks, .capacity = capacity};
    table->chunks = chunk;
    size_t size = state_table_size(table) + sizeof(*chunk) + capacity;
    atomic_store_explicit(&table->size, size, memory_order_relaxed);
    return RR_OK;
}

/* Aligned memory out of what was reserved. */
static void *take(struct state_table *table, size_t size)
{
    size = aligned(size);
    struct chunk *chunk = table->chunks;
    ASSERT(chunk != NULL);
    ASSERT(chunk->capacity - chunk->used >= size);
    void *memory = (uint8_t *)chunk->bytes + chunk->used;
    chunk->used += size;
    return memory;
}

/* --- Writing --- */

/* 1, and one more in a quarter of the cases each. */
static int draw_level(struct state_table *table)
{
    table->random ^= table->random << 13;
    table->random ^= table->random >> 7;
    table->random ^= table->random << 17;
    uint64_t bits = table->random >> 8;
    int level = 1;
    while (level < LEVELS_MAX && (bits & 3) == 0) {
        bits >>= 2;
        level++;
    }
    return level;
}

static struct state_table_node *follow(const node_link *link)
{
    return atomic_load_explicit(link, memory_order_acquire);
}

/* The links that a new node of `key` goes into. */
static void find_links(struct state_table *table, rr_bytes key, node_link *out[LEVELS_MAX])
{
    node_link *links = table->heads;
    const struct state_table_node *beyond = NULL; /* compared already: the key is before it */
    for (int level = LEVELS_MAX - 1; level >= 0; level--) {
        struct state_table_node *node = follow(&links[level]);
        while (node != beyond && node != NULL && bytes_compare(node->key, key) < 0) {
            links = node->next;
            node = follow(&links[level]);
        }
        beyond = node;
        out[level] = &links[level];
    }
}

/* Links a new node with its first version into the list, and then into the index. */
static void add_node(struct state_table *table, uint64_t hash, rr_bytes key,
                     struct version *version)
{
    int level = draw_level(table);
    struct state_table_node *node =
        take(table, sizeof(*node) + (size_t)level * sizeof(node->next[0]));
    node->key = (rr_bytes){memcpy(take(table, key.size), key.data, key.size), key.size};
    node->hash = hash;
    atomic_init(&node->newest, version);
    node_link *bucket = &table->buckets[hash & table->bucket_mask];
    node->chain = follow(bucket);
    node_link *links[LEVELS_MAX];
    find_links(table, key, links);
    for (int i = 0; i < level; i++) {
        atomic_init(&node->next[i], follow(links[i]));
        atomic_store_explicit(links[i], node, memory_order_release);
    }
    atomic_store_explicit(bucket, node, memory_order_release);
    atomic_fetch_add_explicit(&table->count, 1, memory_order_relaxed);
}

static struct state_table_node *find_node(const struct state_table *table, uint64_t hash,
                                          rr_bytes key)
{
    struct state_table_node *node = follow(&table->buckets[hash & table->bucket_mask]);
    while (node != NULL && (node->hash != hash || node->key.size != key.size ||
                            memcmp(node->key.data, key.data, key.size) != 0)) {
        node = node->chain;
    }
    return node;
}

bool state_table_write(struct state_table *table, enum state_table_kind kind, rr_bytes key,
                       rr_bytes value, uint64_t sequence)
{
    ASSERT(kind != STATE_TABLE_NONE);
    ASSERT(kind == STATE_TABLE_PUT || value.size == 0);
    ASSERT(key.size > 0);
    ASSERT(value.size <= UINT32_MAX);
    struct version *version = take(table, sizeof(*version) + value.size);
    *version = (struct version){.sequence = sequence, .size = (uint32_t)value.size, .kind = kind};
    if (value.size > 0) {
        memcpy(version->value, value.data, value.size);
    }
    uint64_t hash = checksum64_seeded(key.data, key.size, table->seed);
    struct state_table_node *node = find_node(table, hash, key);
    if (node == NULL) {
        add_node(table, hash, key, version);
        return true;
    }
    version->older = atomic_load_explicit(&node->newest, memory_order_relaxed);
    ASSERT(version->older->sequence < sequence);
    atomic_store_explicit(&node->newest, version, memory_order_release);
    return false;
}

/* --- Reading --- */

enum state_table_kind state_table_value(const struct state_table_node *node, uint64_t sequence,
                                        rr_bytes *value)
{
    const struct version *version = atomic_load_explicit(&node->newest, memory_order_acquire);
    while (version != NULL && version->sequence > sequence) {
        version = version->older;
    }
    if (version == NULL) {
        return STATE_TABLE_NONE;
    }
    *value = (rr_bytes){version->value, version->size};
    return version->kind;
}

enum state_table_kind state_table_find(const struct state_table *table, rr_bytes key,
                                       uint64_t sequence, rr_bytes *value)
{
    const struct state_table_node *node =
        find_node(table, checksum64_seeded(key.data, key.size, table->seed), key);
    return node == NULL ? STATE_TABLE_NONE : state_table_value(node, sequence, value);
}

/* The node after the last one before `key`; that last one, or NULL, is put into `before`. */
static const struct state_table_node *seek(const struct state_table *table, rr_bytes key,
                                           const struct state_table_node **before)
{
    *before = NULL;
    const node_link *links = table->heads;
    const struct state_table_node *node = NULL;
    const struct state_table_node *beyond = NULL;
    for (int level = LEVELS_MAX - 1; level >= 0; level--) {
        node = follow(&links[level]);
        while (node != NULL && node != beyond && bytes_compare(node->key, key) < 0) {
            *before = node;
            links = node->next;
            node = follow(&links[level]);
        }
        beyond = node;
    }
    return node;
}

const struct state_table_node *state_table_seek(const struct state_table *table, rr_bytes key)
{
    const struct state_table_node *before;
    return seek(table, key, &before);
}

const struct state_table_node *state_table_seek_before(const struct state_table *table,
                                                       rr_bytes key)
{
    const struct state_table_node *before;
    const struct state_table_node *after = seek(table, key, &before);
    (void)after;
    return before;
}

const struct state_table_node *state_table_next(const struct state_table_node *node)
{
    return follow(&node->next[0]);
}

rr_bytes state_table_key(const struct state_table_node *node)
{
    return node->key;
}
