#include "support/test.h"

#include "base/map.h"
#include "base/random.h"

#include <string.h>

enum { KEYS = 512 };

static int value_a;
static int value_b;

TEST(map, gets_what_was_set_last)
{
    struct map map;
    map_init(&map);
    CHECK(map_get(&map, 1) == NULL);
    CHECK(map_set(&map, 1, &value_a) == NULL);
    CHECK(map_set(&map, 1, &value_b) == &value_a);
    CHECK(map_get(&map, 1) == &value_b);
    CHECK_EQ(map_count(&map), 1);
    map_deinit(&map);
}

TEST(map, takes_the_smallest_and_the_largest_key)
{
    struct map map;
    map_init(&map);
    map_set(&map, 0, &value_a);
    map_set(&map, UINT64_MAX, &value_b);
    CHECK(map_get(&map, 0) == &value_a);
    CHECK(map_remove(&map, UINT64_MAX) == &value_b);
    CHECK(map_remove(&map, UINT64_MAX) == NULL);
    CHECK_EQ(map_count(&map), 1);
    map_deinit(&map);
}

TEST(map, iterates_over_each_entry_once)
{
    struct map map;
    map_init(&map);
    char present[KEYS] = {0};
    for (uint64_t key = 0; key < KEYS; key++) {
        map_set(&map, key, &present[key]);
    }
    size_t position = 0;
    uint64_t key;
    void *value;
    while (map_iterate(&map, &position, &key, &value)) {
        CHECK(value == &present[key]);
        present[key]++;
    }
    for (key = 0; key < KEYS; key++) {
        CHECK_EQ(present[key], 1);
    }
    map_deinit(&map);
    position = 0;
    CHECK(!map_iterate(&map, &position, &key, &value));
}

/* Against a plain array: sets and removals in any order, in clusters that wrap around. */
TEST(map, agrees_with_an_array_after_many_random_changes)
{
    struct random random;
    random_init(&random, test_seed(1));
    struct map map;
    map_init(&map);
    static int objects[KEYS];
    bool present[KEYS] = {0};
    size_t count = 0;
    for (int step = 0; step < 200000; step++) {
        /* The share of removals changes, so the map fills and drains. */
        uint64_t removals = (uint64_t)(step / 10000 % 4);
        uint64_t key = random_below(&random, KEYS);
        if (random_chance(&random, removals, 4)) {
            CHECK(map_remove(&map, key) == (present[key] ? &objects[key] : NULL));
            count -= present[key];
            present[key] = false;
        } else {
            CHECK(map_set(&map, key, &objects[key]) == (present[key] ? &objects[key] : NULL));
            count += !present[key];
            present[key] = true;
        }
        uint64_t probe = random_below(&random, KEYS);
        CHECK(map_get(&map, probe) == (present[probe] ? &objects[probe] : NULL));
        CHECK_EQ(map_count(&map), count);
    }
    map_deinit(&map);
    map_deinit(NULL);
}
