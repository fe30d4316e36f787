/* The skip list and its arena. */
#include "storage/overlay.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/memory.h"

#include <string.h>

enum {
    CHUNK_BYTES = 64 * 1024,
    ALIGNMENT = 8,
    UNDOS_FIRST = 64,
};

struct overlay_chunk {
    struct overlay_chunk *next;
    size_t used;
    size_t capacity;
    uint64_t bytes[]; /* aligned for nodes */
};

void overlay_init(struct overlay *overlay, uint64_t seed)
{
    *overlay = (struct overlay){.random = seed != 0 ? seed : 1};
}

void overlay_clear(struct overlay *overlay)
{
    memset(overlay->heads, 0, sizeof(overlay->heads));
    overlay->undo_count = 0;
    overlay->size = 0;
    struct overlay_chunk *chunk = overlay->chunks;
    while (chunk != NULL && chunk->next != NULL) {
        struct overlay_chunk *next = chunk->next;
        mem_free(chunk);
        chunk = next;
    }
    overlay->chunks = chunk;
    if (chunk != NULL) {
        chunk->used = 0;
    }
}

void overlay_deinit(struct overlay *overlay)
{
    overlay_clear(overlay);
    mem_free(overlay->chunks);
    mem_free(overlay->undos);
    overlay_init(overlay, overlay->random);
}

/* --- Memory --- */

/* Makes room for an allocation in the newest chunk. Large ones get a chunk of their own size. */
static bool add_chunk(struct overlay *overlay, size_t size)
{
    size_t capacity = size > CHUNK_BYTES ? size : CHUNK_BYTES;
    struct overlay_chunk *chunk = mem_try_alloc(sizeof(*chunk) + capacity);
    if (chunk == NULL) {
        return false;
    }
    chunk->used = 0;
    chunk->capacity = capacity;
    chunk->next = overlay->chunks;
    overlay->chunks = chunk;
    return true;
}

/* Aligned memory that lasts until overlay_clear, or NULL. */
static void *take(struct overlay *overlay, size_t size)
{
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct overlay_chunk *chunk = overlay->chunks;
    if (chunk == NULL || chunk->capacity - chunk->used < size) {
        if (!add_chunk(overlay, size)) {
            return NULL;
        }
        chunk = overlay->chunks;
    }
    void *memory = (uint8_t *)chunk->bytes + chunk->used;
    chunk->used += size;
    overlay->size += size;
    return memory;
}

/* A copy in the arena; false without memory. */
static bool copy(struct overlay *overlay, rr_bytes bytes, rr_bytes *out)
{
    *out = (rr_bytes){NULL, 0};
    if (bytes.size == 0) {
        return true;
    }
    void *memory = take(overlay, bytes.size);
    if (memory == NULL) {
        return false;
    }
    memcpy(memory, bytes.data, bytes.size);
    *out = (rr_bytes){memory, bytes.size};
    return true;
}

static bool reserve_undo(struct overlay *overlay)
{
    if (overlay->undo_count < overlay->undo_capacity) {
        return true;
    }
    size_t capacity = overlay->undo_capacity == 0 ? UNDOS_FIRST : overlay->undo_capacity * 2;
    void *undos = mem_try_resize(overlay->undos, capacity * sizeof(overlay->undos[0]));
    if (undos == NULL) {
        return false;
    }
    overlay->undos = undos;
    overlay->undo_capacity = capacity;
    return true;
}

/* --- The list --- */

/* For each level, where a node of `key` is or would be linked. */
struct place {
    struct overlay_node **links[OVERLAY_LEVELS_MAX];
};

static struct overlay_node *find_place(struct overlay *overlay, rr_bytes key, struct place *out)
{
    struct overlay_node **links = overlay->heads;
    for (int level = OVERLAY_LEVELS_MAX - 1; level >= 0; level--) {
        while (links[level] != NULL && bytes_compare(links[level]->key, key) < 0) {
            links = links[level]->next;
        }
        out->links[level] = &links[level];
    }
    return *out->links[0];
}

const struct overlay_node *overlay_seek(const struct overlay *overlay, rr_bytes key)
{
    struct overlay_node *const *links = overlay->heads;
    for (int level = OVERLAY_LEVELS_MAX - 1; level >= 0; level--) {
        while (links[level] != NULL && bytes_compare(links[level]->key, key) < 0) {
            links = links[level]->next;
        }
    }
    return links[0];
}

const struct overlay_node *overlay_seek_before(const struct overlay *overlay, rr_bytes key)
{
    const struct overlay_node *before = NULL;
    struct overlay_node *const *links = overlay->heads;
    for (int level = OVERLAY_LEVELS_MAX - 1; level >= 0; level--) {
        while (links[level] != NULL && bytes_compare(links[level]->key, key) < 0) {
            before = links[level];
            links = before->next;
        }
    }
    return before;
}

const struct overlay_node *overlay_find(const struct overlay *overlay, rr_bytes key)
{
    const struct overlay_node *node = overlay_seek(overlay, key);
    return node != NULL && bytes_compare(node->key, key) == 0 ? node : NULL;
}

/* 1, and one more in a quarter of the cases each. */
static int draw_level(struct overlay *overlay)
{
    overlay->random ^= overlay->random << 13;
    overlay->random ^= overlay->random >> 7;
    overlay->random ^= overlay->random << 17;
    uint64_t bits = overlay->random >> 8;
    int level = 1;
    while (level < OVERLAY_LEVELS_MAX && (bits & 3) == 0) {
        bits >>= 2;
        level++;
    }
    return level;
}

/* A node of kind NONE, linked in; NULL without memory. */
static struct overlay_node *add_node(struct overlay *overlay, rr_bytes key,
                                     const struct place *place)
{
    int level = draw_level(overlay);
    rr_bytes key_copy;
    if (!copy(overlay, key, &key_copy)) {
        return NULL;
    }
    struct overlay_node *node =
        take(overlay, sizeof(*node) + (size_t)level * sizeof(node->next[0]));
    if (node == NULL) {
        return NULL;
    }
    node->key = key_copy;
    node->value = (rr_bytes){NULL, 0};
    node->kind = OVERLAY_NONE;
    for (int i = 0; i < level; i++) {
        node->next[i] = *place->links[i];
        *place->links[i] = node;
    }
    return node;
}

rr_status overlay_write(struct overlay *overlay, enum overlay_kind kind, rr_bytes key,
                        rr_bytes value)
{
    ASSERT(kind == OVERLAY_PUT || value.size == 0);
    rr_bytes value_copy;
    if (!reserve_undo(overlay) || !copy(overlay, value, &value_copy)) {
        return RR_NO_MEMORY;
    }
    struct place place;
    struct overlay_node *node = find_place(overlay, key, &place);
    if (node == NULL || bytes_compare(node->key, key) != 0) {
        node = add_node(overlay, key, &place);
        if (node == NULL) {
            return RR_NO_MEMORY;
        }
    }
    overlay->undos[overlay->undo_count++] =
        (struct overlay_undo){.node = node, .value = node->value, .kind = node->kind};
    node->kind = kind;
    node->value = value_copy;
    return RR_OK;
}

void overlay_undo_to(struct overlay *overlay, size_t undo_count)
{
    ASSERT(undo_count <= overlay->undo_count);
    while (overlay->undo_count > undo_count) {
        const struct overlay_undo *undo = &overlay->undos[--overlay->undo_count];
        undo->node->kind = undo->kind;
        undo->node->value = undo->value;
    }
}
