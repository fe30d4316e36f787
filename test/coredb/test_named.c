/* Records by name: scans that miss nothing, and random choice that favours none. */
#include "dice.h"
#include "stage.h"

#include "coredb/base/bytes.h"
#include "coredb/value/named.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

static const struct named FAMILY = {LAYOUT_HASH, 77};

static rr_bytes name_of(const char *prefix, int i, char out[64])
{
    int size = snprintf(out, 64, "%s%d", prefix, i);
    return (rr_bytes){out, (size_t)size};
}

static int number_of(rr_bytes name)
{
    char text[64] = {0};
    CHECK_LT(name.size, sizeof text);
    memcpy(text, name.data, name.size);
    const char *digits = strrchr(text, ':');
    CHECK(digits != NULL);
    return atoi(digits + 1);
}

/* `count` records named by a prefix that ends with a colon, and a number. */
struct fill {
    const char *prefix;
    int count;
};

static void fill(struct store *store, void *arg)
{
    const struct fill *fill = arg;
    char text[64];
    for (int i = 0; i < fill->count; i++) {
        CHECK(named_put(store, FAMILY, name_of(fill->prefix, i, text), (rr_bytes){"v", 1}));
    }
    CHECK(!named_put(store, FAMILY, name_of(fill->prefix, 0, text), (rr_bytes){"v", 1}));
}

static struct stage *stage_with(const char *prefix, int count)
{
    struct stage *stage = stage_new();
    struct fill wanted = {prefix, count};
    stage_run(stage, /*keep=*/true, fill, &wanted);
    return stage;
}

/* ---- Scans ---- */

enum { LASTING = 500, PASSING = 500 };

struct seen {
    int times[LASTING + PASSING];
    int visits;
};

static bool see(void *arg, rr_bytes name, rr_bytes value)
{
    struct seen *seen = arg;
    CHECK_BYTES(value, ((rr_bytes){"v", 1}));
    seen->times[number_of(name)]++;
    seen->visits++;
    return true;
}

static void scan_among_changes(struct store *store, void *arg)
{
    struct dice *dice = arg;
    struct seen seen = {0};
    uint64_t cursor = 0;
    char text[64];
    do {
        uint64_t count = 1 + (uint64_t)dice_below(dice, 20);
        int before = seen.visits;
        cursor = named_scan(store, FAMILY, cursor, count, see, &seen);
        CHECK(cursor == 0 || (uint64_t)(seen.visits - before) >= count);
        for (int i = 0; i < 10; i++) {
            int passing = LASTING + dice_below(dice, PASSING);
            rr_bytes name = name_of("n:", passing, text);
            if (!named_delete(store, FAMILY, name)) {
                named_write(store, FAMILY, name, (rr_bytes){"v", 1});
            }
        }
    } while (cursor != 0);
    for (int i = 0; i < LASTING; i++) {
        CHECK_EQ(seen.times[i], 1);
    }
}

TEST(named, a_scan_returns_what_is_present_throughout)
{
    struct dice dice = {test_seed(4)};
    struct stage *stage = stage_with("n:", LASTING);
    for (int i = 0; i < 20; i++) {
        stage_run(stage, /*keep=*/true, scan_among_changes, &dice);
    }
    stage_free(stage);
}

static bool refuse(void *arg, rr_bytes name, rr_bytes value)
{
    (void)name;
    (void)value;
    ++*(int *)arg;
    return false;
}

static void scan_refusing(struct store *store, void *arg)
{
    (void)arg;
    int visits = 0;
    int steps = 0;
    uint64_t cursor = 0;
    do {
        cursor = named_scan(store, FAMILY, cursor, 1000, refuse, &visits);
        steps++;
    } while (cursor != 0);
    CHECK_EQ(visits, 40);
    CHECK_EQ(steps, 40);
}

TEST(named, a_scan_goes_on_where_the_visitor_had_enough)
{
    struct stage *stage = stage_with("n:", 40);
    stage_run(stage, /*keep=*/false, scan_refusing, NULL);
    stage_free(stage);
}

static void copy_and_compare(struct store *store, void *arg)
{
    struct named copy = {LAYOUT_HASH, 78};
    struct seen seen = {0};
    (void)arg;
    named_copy(store, FAMILY, copy);
    named_each(store, copy, see, &seen);
    CHECK_EQ(seen.visits, 1000);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(seen.times[i], 1);
    }
    memset(&seen, 0, sizeof seen);
    named_each(store, FAMILY, see, &seen);
    CHECK_EQ(seen.visits, 1000);
}

TEST(named, a_copy_has_all_records)
{
    struct stage *stage = stage_with("n:", 1000);
    stage_run(stage, /*keep=*/false, copy_and_compare, NULL);
    stage_free(stage);
}

/* ---- Random choice ---- */

struct choice {
    int count;
    int draws;
    int wanted; /* distinct ones at a time; 0: draws with replacement */
    int *times;
};

static void draw_singly(struct store *store, struct choice *choice)
{
    for (int i = 0; i < choice->draws; i++) {
        struct named_sampler sampler;
        rr_bytes name;
        rr_bytes value;
        named_sampler_init(&sampler, store, FAMILY, (uint64_t)choice->count, 1);
        CHECK(named_sampler_draw(&sampler, &name, &value));
        CHECK_BYTES(value, ((rr_bytes){"v", 1}));
        choice->times[number_of(name)]++;
        named_sampler_deinit(&sampler);
    }
}

static void draw_distinct(struct store *store, struct choice *choice)
{
    for (int i = 0; i < choice->draws; i += choice->wanted) {
        struct named_list list;
        named_list_init(&list);
        named_pick(store, FAMILY, (uint64_t)choice->count, (uint64_t)choice->wanted, &list);
        CHECK_EQ(list.count, choice->wanted);
        int *before = calloc((size_t)choice->count, sizeof *before);
        CHECK(before != NULL);
        for (size_t k = 0; k < list.count; k++) {
            int number = number_of(named_list_at(&list, k, NULL));
            CHECK_EQ(before[number]++, 0);
            choice->times[number]++;
        }
        free(before);
        named_list_deinit(&list);
    }
}

static void choose(struct store *store, void *arg)
{
    struct choice *choice = arg;
    if (choice->wanted == 0) {
        draw_singly(store, choice);
    } else {
        draw_distinct(store, choice);
    }
}

/* Every record comes up as often as chance lets it: within seven standard deviations, which chance
 * exceeds once in 10^11. */
static void check_uniform(const char *prefix, int count, int wanted)
{
    enum { EXPECTED = 49, DEVIATION = 7 };
    struct stage *stage = stage_with(prefix, count);
    struct choice choice = {.count = count, .draws = count * EXPECTED, .wanted = wanted};
    choice.times = calloc((size_t)count, sizeof *choice.times);
    CHECK(choice.times != NULL);
    stage_run(stage, /*keep=*/false, choose, &choice);
    int lowest = choice.times[0];
    int highest = choice.times[0];
    for (int i = 1; i < count; i++) {
        lowest = choice.times[i] < lowest ? choice.times[i] : lowest;
        highest = choice.times[i] > highest ? choice.times[i] : highest;
    }
    CHECK_GT(lowest, EXPECTED - 6 * DEVIATION);
    CHECK_LT(highest, EXPECTED + 8 * DEVIATION);
    free(choice.times);
    stage_free(stage);
}

TEST(named, single_draws_from_a_small_family_are_uniform)
{
    check_uniform("n:", 100, 0);
}

TEST(named, single_draws_from_a_large_family_are_uniform)
{
    check_uniform("n:", 600, 0);
}

TEST(named, names_with_one_hash_tag_are_drawn_like_others)
{
    check_uniform("{tag}:", 600, 0);
}

TEST(named, few_distinct_records_of_a_large_family_are_uniform)
{
    check_uniform("n:", 1000, 7);
}

TEST(named, many_distinct_records_are_uniform)
{
    check_uniform("n:", 280, 140);
}

/* Keys of one slot, as layout_meta places them. */
static void draw_keys_of_one_slot(struct store *store, void *arg)
{
    enum { KEYS = 600, DRAWS = 3000 };
    const struct named keys = {LAYOUT_META, 999};
    int times[KEYS] = {0};
    int drawn = 0;
    char text[64];
    struct buffer key;
    (void)arg;
    buffer_init(&key);
    for (int i = 0; i < KEYS; i++) {
        layout_meta(&key, keys.id, name_of("{tag}:", i, text));
        store_put(store, buffer_bytes(&key), (rr_bytes){"v", 1});
    }
    buffer_deinit(&key);
    for (int i = 0; i < DRAWS; i++) {
        struct named_sampler sampler;
        rr_bytes name;
        named_sampler_init(&sampler, store, keys, KEYS, 1);
        CHECK(named_sampler_draw(&sampler, &name, NULL));
        CHECK(!sampler.holds_all);
        drawn += times[number_of(name)]++ == 0 ? 1 : 0;
        named_sampler_deinit(&sampler);
    }
    CHECK_GT(drawn, KEYS * 2 / 3); /* about 5 of 6 are to be expected */
}

TEST(named, keys_of_one_slot_are_drawn_without_reading_all)
{
    struct stage *stage = stage_new();
    stage_run(stage, /*keep=*/false, draw_keys_of_one_slot, NULL);
    stage_free(stage);
}

static void pick_more_than_there_are(struct store *store, void *arg)
{
    struct named_list list;
    (void)arg;
    named_list_init(&list);
    named_pick(store, FAMILY, 30, UINT64_MAX, &list);
    CHECK_EQ(list.count, 30);
    named_list_clear(&list);
    named_pick(store, FAMILY, 30, 0, &list);
    CHECK_EQ(list.count, 0);
    named_list_deinit(&list);
}

TEST(named, picks_all_when_more_are_wanted_and_none_when_none)
{
    struct stage *stage = stage_with("n:", 30);
    stage_run(stage, /*keep=*/false, pick_more_than_there_are, NULL);
    stage_free(stage);
}

/* ---- Lists ---- */

TEST(named, an_index_finds_every_entry_and_no_other)
{
    struct named_list list;
    struct named_index index;
    char text[64];
    named_list_init(&list);
    named_index_init(&index, &list);
    CHECK_EQ(named_index_find(&index, bytes_of("n:0")), NAMED_NONE);
    for (int i = 0; i < 5000; i++) {
        CHECK(named_index_add(&index, name_of("n:", i, text), bytes_of("v")));
        CHECK(!named_index_add(&index, name_of("n:", i, text), bytes_of("w")));
    }
    CHECK_EQ(list.count, 5000);
    for (int i = 0; i < 5000; i++) {
        rr_bytes value;
        CHECK_EQ(named_index_find(&index, name_of("n:", i, text)), i);
        CHECK_EQ(number_of(named_list_at(&list, (size_t)i, &value)), i);
        CHECK_BYTES(value, bytes_of("v"));
    }
    CHECK_EQ(named_index_find(&index, bytes_of("n:5000")), NAMED_NONE);
    named_index_deinit(&index);
    named_list_deinit(&list);
}
