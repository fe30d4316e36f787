/* TESTs over cmocka: registering, running, and checks that show both values. */
#include "support/test.h"

#include "support/test_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

enum { SHOWN_BYTES_MAX = 256 };

static struct test_case *first_test;
static struct test_case **next_test = &first_test;

void test_register(struct test_case *test)
{
    *next_test = test;
    next_test = &test->next;
}

void test_list(void)
{
    for (const struct test_case *test = first_test; test != NULL; test = test->next) {
        printf("%s\n", test->name);
    }
}

/* Runs after each test, whether it passed or not. */
static int clean_up(void **state)
{
    (void)state;
    test_remove_directories();
    return 0;
}

int test_run_all(const char *part)
{
    size_t count = 0;
    for (const struct test_case *test = first_test; test != NULL; test = test->next) {
        count += strstr(test->name, part) != NULL;
    }
    if (count == 0) {
        fprintf(stderr, "no test has \"%s\" in its name\n", part);
        return 2;
    }
    struct CMUnitTest *tests = calloc(count, sizeof(*tests));
    if (tests == NULL) {
        return 2;
    }
    size_t at = 0;
    for (const struct test_case *test = first_test; test != NULL; test = test->next) {
        if (strstr(test->name, part) != NULL) {
            tests[at++] = (struct CMUnitTest){
                .name = test->name, .test_func = test->run, .teardown_func = clean_up};
        }
    }
    int failed = _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
    free(tests);
    return failed == 0 ? 0 : 1;
}

void test_fail(const char *file, int line, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    print_error("%s:%d: %s\n", file, line, text);
    _fail(file, line);
}

void test_skip(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    print_message("skipped: %s\n", text);
    skip();
}

void test_check(bool holds, const char *text, const char *file, int line)
{
    if (!holds) {
        test_fail(file, line, "%s does not hold", text);
    }
}

struct test_value test_value_signed(int64_t value)
{
    return (struct test_value){.kind = TEST_SIGNED, .as.number = value};
}

struct test_value test_value_unsigned(uint64_t value)
{
    return (struct test_value){.kind = TEST_UNSIGNED, .as.natural = value};
}

struct test_value test_value_pointer(const volatile void *value)
{
    return (struct test_value){.kind = TEST_POINTER, .as.pointer = value};
}

/* The magnitude of a value that is not negative. */
static uint64_t natural_of(struct test_value value)
{
    switch (value.kind) {
    case TEST_SIGNED:
        return (uint64_t)value.as.number;
    case TEST_UNSIGNED:
        return value.as.natural;
    case TEST_POINTER:
        return (uint64_t)(uintptr_t)value.as.pointer;
    }
    abort();
}

/* Less than 0, 0 or more than 0 as `left` is below, equal to or above `right`. */
static int order_of(struct test_value left, struct test_value right)
{
    bool left_negative = left.kind == TEST_SIGNED && left.as.number < 0;
    bool right_negative = right.kind == TEST_SIGNED && right.as.number < 0;
    if (left_negative && right_negative) {
        return (left.as.number > right.as.number) - (left.as.number < right.as.number);
    }
    if (left_negative || right_negative) {
        return left_negative ? -1 : 1;
    }
    return (natural_of(left) > natural_of(right)) - (natural_of(left) < natural_of(right));
}

static bool holds(int order, const char *relation)
{
    bool or_equal = relation[1] == '=';
    switch (relation[0]) {
    case '=':
        return order == 0;
    case '!':
        return order != 0;
    case '<':
        return order < 0 || (or_equal && order == 0);
    default:
        return order > 0 || (or_equal && order == 0);
    }
}

static void show_value(struct test_value value, char *text, size_t size)
{
    switch (value.kind) {
    case TEST_SIGNED:
        snprintf(text, size, "%lld", (long long)value.as.number);
        return;
    case TEST_UNSIGNED:
        snprintf(text, size, "%llu", (unsigned long long)value.as.natural);
        return;
    case TEST_POINTER:
        snprintf(text, size, "0x%llx", (unsigned long long)(uintptr_t)value.as.pointer);
        return;
    }
}

void test_compare(struct test_value left, const char *relation, struct test_value right,
                  const char *left_text, const char *right_text, const char *file, int line)
{
    if (holds(order_of(left, right), relation)) {
        return;
    }
    char left_value[32];
    char right_value[32];
    show_value(left, left_value, sizeof(left_value));
    show_value(right, right_value, sizeof(right_value));
    test_fail(file, line, "%s is %s, not %s %s, which is %s", left_text, left_value, relation,
              right_text, right_value);
}

void test_status(rr_status actual, rr_status expected, const char *text, const char *file, int line)
{
    if (actual != expected) {
        test_fail(file, line, "%s is \"%s\" (%d), not \"%s\"", text, rr_status_name(actual),
                  (int)actual, rr_status_name(expected));
    }
}

/* Writes the first bytes with escapes, as in a C string. */
static void show_bytes(rr_bytes bytes, char *text, size_t size)
{
    const unsigned char *data = bytes.data;
    size_t used = 0;
    for (size_t i = 0; i < bytes.size && used + 8 < size; i++) {
        bool plain = data[i] >= ' ' && data[i] < 127 && data[i] != '\\' && data[i] != '"';
        used += (size_t)snprintf(text + used, size - used, plain ? "%c" : "\\x%02x", data[i]);
    }
    snprintf(text + used, size - used, "%s", used + 8 < size ? "" : "...");
}

void test_bytes(rr_bytes actual, rr_bytes expected, const char *text, const char *file, int line)
{
    bool equal = actual.size == expected.size &&
                 (actual.size == 0 || memcmp(actual.data, expected.data, actual.size) == 0);
    if (equal) {
        return;
    }
    char actual_text[SHOWN_BYTES_MAX];
    char expected_text[SHOWN_BYTES_MAX];
    show_bytes(actual, actual_text, sizeof(actual_text));
    show_bytes(expected, expected_text, sizeof(expected_text));
    test_fail(file, line, "%s is \"%s\" (%zu bytes), not \"%s\" (%zu bytes)", text, actual_text,
              actual.size, expected_text, expected.size);
}

void test_text(const char *actual, const char *expected, const char *text, const char *file,
               int line)
{
    bool equal =
        actual == NULL || expected == NULL ? actual == expected : strcmp(actual, expected) == 0;
    if (!equal) {
        test_fail(file, line, "%s is \"%s\", not \"%s\"", text, actual == NULL ? "NULL" : actual,
                  expected == NULL ? "NULL" : expected);
    }
}

rr_bytes test_bytes_of(const char *text)
{
    return (rr_bytes){.data = text, .size = strlen(text)};
}

pid_t test_fork_quietly(void)
{
    fflush(stdout);
    fflush(stderr);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        if (freopen("/dev/null", "w", stderr) == NULL ||
            freopen("/dev/null", "w", stdout) == NULL) {
            _exit(1);
        }
    }
    return child;
}

int test_wait(pid_t child)
{
    int wait_status = 0;
    if (child < 0 || waitpid(child, &wait_status, 0) != child) {
        test_fail(__FILE__, __LINE__, "no child to wait for");
    }
    return wait_status;
}

void test_aborts(int wait_status, const char *text, const char *file, int line)
{
    if (!WIFSIGNALED(wait_status) || WTERMSIG(wait_status) != SIGABRT) {
        test_fail(file, line, "%s does not abort (wait status 0x%x)", text, (unsigned)wait_status);
    }
}

uint64_t test_seed(uint64_t fixed)
{
    const char *chosen = getenv("TEST_SEED");
    uint64_t seed = chosen == NULL ? fixed : strtoull(chosen, NULL, 0);
    print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}
