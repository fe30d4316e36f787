/*
 * Memory, in the two kinds that STYLE.md tells apart.
 *
 * Small fixed objects: mem_new, mem_alloc and mem_resize never return NULL; they end the process
 * when there is no memory. Memory sized by a client, a peer or a file: mem_try_alloc and
 * mem_try_resize may return NULL, and a test can make any of them do so. Both kinds are freed with
 * mem_free. Any thread.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A new zeroed object of `type`, never NULL: `struct peer *peer = mem_new(struct peer);` */
#define mem_new(type) ((type *)mem_alloc(sizeof(type)))

/* A new zeroed array of `count` objects of `type`, never NULL, for counts under a fixed limit. */
#define mem_new_array(type, count) ((type *)mem_alloc_array((count), sizeof(type)))

/* `size` zeroed bytes, never NULL, not even for size 0. The caller frees them with mem_free. */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull, warn_unused_result));

/* As mem_alloc for `count` times `size` bytes; ends the process when the product overflows. */
void *mem_alloc_array(size_t count, size_t size)
    __attribute__((malloc, returns_nonnull, warn_unused_result));

/*
 * Takes `memory` (or NULL) and returns it with `size` bytes, moved perhaps, never NULL. Bytes past
 * the old size are not cleared.
 */
void *mem_resize(void *memory, size_t size) __attribute__((returns_nonnull, warn_unused_result));

/* A copy of the string `text` in new memory, never NULL; the caller frees it. */
char *mem_copy_text(const char *text)
    __attribute__((malloc, returns_nonnull, nonnull, warn_unused_result));

/* `size` bytes, not cleared, or NULL. For size 0 a pointer that may only be freed, or NULL when a
 * test says so. */
void *mem_try_alloc(size_t size) __attribute__((malloc, warn_unused_result));

/* As mem_try_alloc, with the bytes of `data` (which may be NULL if `size` is 0) copied in. */
void *mem_try_copy(const void *data, size_t size) __attribute__((malloc, warn_unused_result));

/* `memory` (or NULL) with `size` bytes, moved perhaps; NULL on failure, and then `memory` is as it
 * was and still the caller's. */
void *mem_try_resize(void *memory, size_t size) __attribute__((warn_unused_result));

/* Frees what any of the functions above returned. NULL is fine. */
void mem_free(void *memory);

/*
 * For tests: the `nth` try-allocation from now on in this thread (1 is the next) fails once, and
 * none after it. 0 turns this off. mem_new and its kind are never touched.
 *
 * A test walks every error path of an operation by asking for 1, 2, 3... until mem_fail_pending
 * tells that the operation made fewer allocations than that:
 *
 *     for (uint64_t nth = 1;; nth++) {
 *         mem_fail_after(nth);
 *         rr_status status = operation();
 *         if (mem_fail_pending()) {
 *             break;
 *         }
 *         CHECK_STATUS(status, RR_NO_MEMORY);
 *     }
 *     mem_fail_after(0);
 */
void mem_fail_after(uint64_t nth);

/* For tests: whether the failure asked for in this thread has not happened yet. */
bool mem_fail_pending(void);

#endif
