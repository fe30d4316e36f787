/* Allocation over the C library's, with an exit for small objects and a test hook for large ones. */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many try-allocations of this thread until one fails; 0 for never. */
static _Thread_local uint64_t fail_countdown;

/* There is no way on: a consensus step never stops half way. */
static _Noreturn void die_without_memory(size_t size)
{
    fprintf(stderr, "out of memory: %zu bytes for a fixed object\n", size);
    fflush(stderr);
    abort();
}

static bool must_fail(void)
{
    if (fail_countdown == 0) {
        return false;
    }
    fail_countdown--;
    return fail_countdown == 0;
}

void *mem_alloc(size_t size)
{
    void *memory = calloc(1, size == 0 ? 1 : size);
    if (memory == NULL) {
        die_without_memory(size);
    }
    return memory;
}

void *mem_alloc_array(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        die_without_memory(SIZE_MAX);
    }
    return mem_alloc(total);
}

void *mem_resize(void *memory, size_t size)
{
    void *moved = realloc(memory, size == 0 ? 1 : size);
    if (moved == NULL) {
        die_without_memory(size);
    }
    return moved;
}

char *mem_copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(mem_alloc(size), text, size);
}

void *mem_try_alloc(size_t size)
{
    if (must_fail()) {
        return NULL;
    }
    return malloc(size == 0 ? 1 : size);
}

void *mem_try_copy(const void *data, size_t size)
{
    void *copy = mem_try_alloc(size);
    if (copy != NULL && size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

void *mem_try_resize(void *memory, size_t size)
{
    if (must_fail()) {
        return NULL;
    }
    return realloc(memory, size == 0 ? 1 : size);
}

void mem_free(void *memory)
{
    free(memory);
}

void mem_fail_after(uint64_t nth)
{
    fail_countdown = nth;
}

bool mem_fail_pending(void)
{
    return fail_countdown != 0;
}
