#include "support/test.h"

#include "base/assert.h"
#include "base/memory.h"

#include <string.h>

struct object {
    uint64_t numbers[4];
};

TEST(memory, gives_zeroed_objects)
{
    struct object *object = mem_new(struct object);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(object->numbers[i], 0);
    }
    mem_free(object);
    mem_free(NULL);
}

TEST(memory, keeps_the_contents_when_it_resizes)
{
    char *text = mem_copy_text("rockraft");
    text = mem_resize(text, 1000);
    CHECK_TEXT(text, "rockraft");
    mem_free(text);
    mem_free(mem_resize(NULL, 0));
}

TEST(memory, ends_the_process_when_a_small_object_has_none)
{
    CHECK_ABORTS(mem_free(mem_new_array(struct object, SIZE_MAX / 8)));
}

TEST(memory, fails_the_allocation_that_a_test_asks_for)
{
    mem_fail_after(2);
    void *first = mem_try_alloc(10);
    CHECK(first != NULL);
    CHECK(mem_fail_pending());
    CHECK(mem_try_resize(first, 20) == NULL);
    CHECK(!mem_fail_pending());
    void *moved = mem_try_resize(first, 20);
    CHECK(moved != NULL);
    mem_free(moved);
}

TEST(memory, never_fails_small_objects_for_a_test)
{
    mem_fail_after(1);
    struct object *object = mem_new(struct object);
    CHECK(mem_fail_pending());
    mem_fail_after(0);
    CHECK(!mem_fail_pending());
    mem_free(object);
}

TEST(memory, copies_bytes_or_returns_null)
{
    char *copy = mem_try_copy("abc", 3);
    CHECK(memcmp(copy, "abc", 3) == 0);
    mem_free(copy);
    mem_free(mem_try_copy(NULL, 0));
    mem_fail_after(1);
    CHECK(mem_try_copy("abc", 3) == NULL);
}

TEST(memory, asserts_in_every_build)
{
    CHECK_ABORTS(ASSERT(1 + 1 == 3));
    CHECK_ABORTS(UNREACHABLE());
    ASSERT(1 + 1 == 2);
}
