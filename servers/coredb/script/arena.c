/* Memory of scripts: size classes, four to each doubling. */
#include "coredb/script/arena.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Blocks of a class are never joined to others, so more is mapped than may be in use. */
#define MAPPED_BYTES (4 * (size_t)ARENA_BYTES_MAX)

enum { KEPT_BYTES = 1024 * 1024, SMALL_STEP = 16, SMALL_MAX = 256, SMALL_CLASSES = 16 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct arena *unused;

static struct arena *map_new(void)
{
    struct arena *arena = calloc(1, sizeof(*arena));
    if (arena == NULL) {
        return NULL;
    }
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *memory = mmap(NULL, MAPPED_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (memory == MAP_FAILED) {
        free(arena);
        return NULL;
    }
    arena->memory = memory;
    return arena;
}

struct arena *arena_take(void)
{
    pthread_mutex_lock(&mutex);
    struct arena *arena = unused;
    if (arena != NULL) {
        unused = arena->next;
    }
    pthread_mutex_unlock(&mutex);
    return arena != NULL ? arena : map_new();
}

void arena_give(struct arena *arena)
{
    if (arena == NULL) {
        return;
    }
    if (arena->top > KEPT_BYTES) {
        (void)madvise(arena->memory + KEPT_BYTES, arena->top - KEPT_BYTES, MADV_DONTNEED);
    }
    arena->top = 0;
    arena->used = 0;
    memset(arena->free_blocks, 0, sizeof(arena->free_blocks));
    pthread_mutex_lock(&mutex);
    arena->next = unused;
    unused = arena;
    pthread_mutex_unlock(&mutex);
}

/* The class that `size`, from 1 to ARENA_BYTES_MAX, belongs to, and the size of its blocks. */
static size_t class_of(size_t size, size_t *block_size)
{
    if (size <= SMALL_MAX) {
        size_t class = (size - 1) / SMALL_STEP;
        *block_size = (class + 1) * SMALL_STEP;
        return class;
    }
    unsigned bits = 63u - (unsigned)__builtin_clzll((unsigned long long)size - 1);
    size_t step = (size_t)1 << (bits - 2);
    size_t quarter = (size - 1 - ((size_t)1 << bits)) / step;
    *block_size = ((size_t)1 << bits) + (quarter + 1) * step;
    return SMALL_CLASSES + (bits - 8) * 4 + quarter;
}

static void *take_block(struct arena *arena, size_t class, size_t size)
{
    if (arena->used + size > ARENA_BYTES_MAX) {
        return NULL;
    }
    void *block = arena->free_blocks[class];
    if (block != NULL) {
        memcpy(&arena->free_blocks[class], block, sizeof(void *));
    } else if (size <= MAPPED_BYTES - arena->top) {
        block = arena->memory + arena->top;
        arena->top += size;
    } else {
        return NULL;
    }
    arena->used += size;
    return block;
}

static void give_block(struct arena *arena, void *block, size_t class, size_t size)
{
    memcpy(block, &arena->free_blocks[class], sizeof(void *));
    arena->free_blocks[class] = block;
    arena->used -= size;
}

void *arena_resize(struct arena *arena, void *block, size_t old_size, size_t size)
{
    size_t old_class = 0;
    size_t old_block_size = 0;
    if (block != NULL) {
        old_class = class_of(old_size, &old_block_size);
    }
    if (size == 0) {
        if (block != NULL) {
            give_block(arena, block, old_class, old_block_size);
        }
        return NULL;
    }
    if (size > ARENA_BYTES_MAX) {
        return NULL;
    }
    size_t block_size;
    size_t class = class_of(size, &block_size);
    if (block != NULL && class == old_class) {
        return block;
    }
    void *moved = take_block(arena, class, block_size);
    if (moved == NULL) {
        /* Lua relies on making a block smaller; the old one stays, and is later freed as one of
         * its new class. */
        return block != NULL && size < old_size ? block : NULL;
    }
    if (block != NULL) {
        memcpy(moved, block, old_size < size ? old_size : size);
        give_block(arena, block, old_class, old_block_size);
    }
    return moved;
}
