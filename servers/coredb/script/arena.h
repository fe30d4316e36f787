/*
 * The memory of one script. How much it has and when it has no more depends on what was asked for
 * alone, so it is the same on every replica.
 *
 * One thread at a time uses an arena.
 */
#ifndef COREDB_SCRIPT_ARENA_H
#define COREDB_SCRIPT_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ARENA_BYTES_MAX = 64 * 1024 * 1024, /* in use at once by a script, rounded up to size classes */
    ARENA_CLASSES = 96,
};

struct arena {
    uint8_t *memory;
    size_t top;  /* memory from here on was never given out */
    size_t used; /* bytes of blocks in use */
    void *free_blocks[ARENA_CLASSES];
    struct arena *next; /* while it is unused */
};

/* Takes an unused arena, empty, or maps a new one. NULL: no memory. Any thread. */
struct arena *arena_take(void);
/* Gives it back; it keeps little memory. NULL is fine. Any thread. */
void arena_give(struct arena *arena);

/* As realloc and free in one: `size` 0 frees. NULL: beyond the limit; the old block is as before. */
void *arena_resize(struct arena *arena, void *block, size_t old_size, size_t size);

#endif
