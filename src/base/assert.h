/*
 * Assertions that stay on in releases: a consensus that doubts itself must stop, not go on.
 *
 * ASSERT checks our own logic, never outside input, and its condition has no side effects.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

/*
 * Ends the process unless `condition` holds, after printing the file, the line and the condition
 * to stderr. Any thread.
 */
#define ASSERT(condition)                                                                          \
    (__builtin_expect(!!(condition), 1) ? (void)0 : assert_failed(__FILE__, __LINE__, #condition))

/* Ends the process: the logic of the program says that this line is never reached. */
#define UNREACHABLE() assert_failed(__FILE__, __LINE__, "unreachable")

/* Checked by the compiler; usable at file scope and in a function. */
#define STATIC_ASSERT(condition) _Static_assert(condition, #condition)

/*
 * Holds a struct to a size that something counts on, such as the budget of an idle group; the
 * compiler's message then shows the condition that failed.
 */
#define STATIC_ASSERT_SIZE_MAX(type, size_max)                                                     \
    _Static_assert(sizeof(type) <= (size_max), #type " is larger than " #size_max " bytes")

/* What the macros above call. Prints "FILE:LINE: assertion failed: TEXT" and aborts. */
_Noreturn void assert_failed(const char *file, int line, const char *text)
    __attribute__((cold, noinline));

#endif
