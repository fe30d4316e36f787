#include "support/test.h"

#include "base/list.h"

struct item {
    int number;
    struct list_link link;
};

static int front_number(const struct list *list)
{
    return CONTAINER_OF(list_front(list), struct item, link)->number;
}

TEST(list, keeps_the_order_of_pushes)
{
    struct list list;
    list_init(&list);
    struct item first = {.number = 1};
    struct item second = {.number = 2};
    struct item third = {.number = 3};
    list_push_back(&list, &second.link);
    list_push_back(&list, &third.link);
    list_push_front(&list, &first.link);

    int expected = 1;
    LIST_FOREACH(link, &list) {
        CHECK_EQ(CONTAINER_OF(link, struct item, link)->number, expected);
        expected++;
    }
    CHECK_EQ(expected, 4);
    CHECK(list_back(&list) == &third.link);
}

TEST(list, allows_removing_the_link_that_a_safe_walk_is_at)
{
    struct list list;
    list_init(&list);
    struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    for (int i = 0; i < 4; i++) {
        list_push_back(&list, &items[i].link);
    }
    LIST_FOREACH_SAFE(link, &list) {
        if (CONTAINER_OF(link, struct item, link)->number % 2 == 0) {
            list_remove(link);
        }
    }
    CHECK_EQ(front_number(&list), 1);
    CHECK(!list_contains(&items[0].link));
    CHECK(list_contains(&items[1].link));
}

TEST(list, pops_until_it_is_empty)
{
    struct list list;
    list_init(&list);
    struct item item = {.number = 7};
    list_push_back(&list, &item.link);

    CHECK(list_pop_front(&list) == &item.link);
    CHECK(list_pop_front(&list) == NULL);
    CHECK(list_empty(&list));
    CHECK(list_back(&list) == NULL);
}

TEST(list, appends_all_of_another_list)
{
    struct list to;
    struct list from;
    list_init(&to);
    list_init(&from);
    struct item first = {.number = 1};
    struct item second = {.number = 2};
    list_append_all(&to, &from);
    CHECK(list_empty(&to));

    list_push_back(&from, &first.link);
    list_append_all(&to, &from);
    list_push_back(&from, &second.link);
    list_append_all(&to, &from);
    CHECK(list_empty(&from));
    CHECK_EQ(front_number(&to), 1);
    CHECK(list_back(&to) == &second.link);
}

TEST(list, refuses_a_link_that_is_in_a_list_already)
{
    struct list list;
    list_init(&list);
    struct item item = {.number = 1};
    list_push_back(&list, &item.link);
    CHECK_ABORTS(list_push_back(&list, &item.link));
}
