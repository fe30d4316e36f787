/*
 * How our tests are written: cmocka underneath, with names that are sentences and checks that
 * show both values.
 *
 *     TEST(election, refuses_a_candidate_with_a_shorter_log)
 *     {
 *         ...
 *         CHECK_EQ(leader, 2);
 *     }
 *
 * A file of TESTs needs no main: the one in this library runs them in the order of the file.
 * `test_raft_election --list` names them, `test_raft_election shorter_log` runs those whose name
 * contains the text. A failed check ends its test. Not for use on other threads than the test's.
 */
#ifndef SUPPORT_TEST_H
#define SUPPORT_TEST_H

#include "rockraft/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* One TEST of the program; registered before main runs. */
struct test_case {
    const char *name;
    void (*run)(void **state);
    struct test_case *next;
};

/* Called by TEST; `test` is static. */
void test_register(struct test_case *test);

/* Defines a test of `suite` whose `name` is a sentence; a body in braces follows. */
#define TEST(suite, name)                                                                          \
    static void test_##suite##_##name(void **test_state);                                          \
    __attribute__((constructor)) static void register_##suite##_##name(void)                       \
    {                                                                                              \
        static struct test_case test = {#suite "." #name, test_##suite##_##name, NULL};            \
        test_register(&test);                                                                      \
    }                                                                                              \
    static void test_##suite##_##name(void **test_state __attribute__((unused)))

/* Any integer, boolean, enum or pointer, for comparing and printing. */
struct test_value {
    enum { TEST_SIGNED, TEST_UNSIGNED, TEST_POINTER } kind;
    union {
        int64_t number;
        uint64_t natural;
        const volatile void *pointer;
    } as;
};

struct test_value test_value_signed(int64_t value);
struct test_value test_value_unsigned(uint64_t value);
struct test_value test_value_pointer(const volatile void *value);

#define TEST_VALUE(value)                                                                          \
    _Generic((value), bool                                                                         \
             : test_value_unsigned, char                                                           \
             : test_value_signed, signed char                                                      \
             : test_value_signed, short                                                            \
             : test_value_signed, int                                                              \
             : test_value_signed, long                                                             \
             : test_value_signed, long long                                                        \
             : test_value_signed, unsigned char                                                    \
             : test_value_unsigned, unsigned short                                                 \
             : test_value_unsigned, unsigned                                                       \
             : test_value_unsigned, unsigned long                                                  \
             : test_value_unsigned, unsigned long long                                             \
             : test_value_unsigned, default                                                        \
             : test_value_pointer)(value)

/* The work behind the macros below; `relation` is "==", "!=", "<", "<=", ">" or ">=". */
void test_compare(struct test_value left, const char *relation, struct test_value right,
                  const char *left_text, const char *right_text, const char *file, int line);
void test_check(bool holds, const char *text, const char *file, int line);
void test_status(rr_status actual, rr_status expected, const char *text, const char *file,
                 int line);
void test_bytes(rr_bytes actual, rr_bytes expected, const char *text, const char *file, int line);
void test_text(const char *actual, const char *expected, const char *text, const char *file,
               int line);
void test_aborts(int wait_status, const char *text, const char *file, int line);

/* `condition` holds. */
#define CHECK(condition) test_check((condition), #condition, __FILE__, __LINE__)

/* Integers of any types compare as numbers, so -1 is below 1u; pointers compare as addresses. */
#define CHECK_RELATION(left, relation, right)                                                      \
    test_compare(TEST_VALUE(left), relation, TEST_VALUE(right), #left, #right, __FILE__, __LINE__)
#define CHECK_EQ(actual, expected) CHECK_RELATION(actual, "==", expected)
#define CHECK_NE(actual, other) CHECK_RELATION(actual, "!=", other)
#define CHECK_LT(actual, bound) CHECK_RELATION(actual, "<", bound)
#define CHECK_LE(actual, bound) CHECK_RELATION(actual, "<=", bound)
#define CHECK_GT(actual, bound) CHECK_RELATION(actual, ">", bound)
#define CHECK_GE(actual, bound) CHECK_RELATION(actual, ">=", bound)

/* Statuses, shown by name. */
#define CHECK_STATUS(actual, expected)                                                             \
    test_status((actual), (expected), #actual, __FILE__, __LINE__)
#define CHECK_OK(actual) CHECK_STATUS(actual, RR_OK)

/* rr_bytes, shown with escapes. */
#define CHECK_BYTES(actual, expected) test_bytes((actual), (expected), #actual, __FILE__, __LINE__)

/* C strings; NULL equals only NULL. */
#define CHECK_TEXT(actual, expected) test_text((actual), (expected), #actual, __FILE__, __LINE__)

/* `statement` ends the process with abort(), as a failed ASSERT does. It runs in a child. */
#define CHECK_ABORTS(statement)                                                                    \
    do {                                                                                           \
        pid_t child = test_fork_quietly();                                                         \
        if (child == 0) {                                                                          \
            statement;                                                                             \
            _exit(0);                                                                              \
        }                                                                                          \
        test_aborts(test_wait(child), #statement, __FILE__, __LINE__);                             \
    } while (0)

/* Forks; the child's stdout and stderr lead nowhere and it leaves no core file. */
pid_t test_fork_quietly(void);

/* Waits for `child` to end and returns its wait status. */
int test_wait(pid_t child);

/* Ends the running test as failed, with a printf-like reason. */
#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)
void test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Ends the running test as skipped, after printing why. */
void test_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The bytes of a C string literal or variable, without its zero. */
rr_bytes test_bytes_of(const char *text);

/*
 * The seed of a random test: `fixed`, or the number in the environment variable TEST_SEED. It is
 * printed, so a failing run shows how to repeat it.
 */
uint64_t test_seed(uint64_t fixed);

/*
 * A new empty directory, removed with all it holds after the test, unless TEST_KEEP is set. The
 * path is absolute and lasts as long as the test.
 */
const char *test_directory(void);

/* `directory`/`name`, for use within the test. */
const char *test_path(const char *directory, const char *name);

/*
 * A TCP port on 127.0.0.1 that nobody listens on and that no other test gets while this process
 * lives. It lies below the range that the kernel hands out by itself.
 */
uint16_t test_port(void);

#endif
