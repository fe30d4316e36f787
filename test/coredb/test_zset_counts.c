/*
 * Counts over the order of sorted sets, with a fanout of 4 instead of 256: trees of many levels
 * with few members. Random changes against a sorted array.
 */
#define ZSET_COUNTS_FANOUT 4
#include "coredb/value/zset_counts.c" /* NOLINT: instead of the library's */

#include "coredb/value/zset.h"
#include "coredb/value/zset_private.h"
#include "stage.h"
#include "support/test.h"

#include <stdio.h>

enum { MEMBERS = 400, ROUNDS = 6000 };

/* The model: the score of each member, or absent. */
struct model {
    uint64_t seed;
    uint64_t state;
    bool present[MEMBERS];
    int score[MEMBERS];
    int sorted[MEMBERS]; /* members in order */
    int count;
    unsigned levels; /* the most that were seen */
};

static uint64_t draw(struct model *model, uint64_t bound)
{
    model->state = model->state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (model->state >> 33) % bound;
}

static struct model *sorting; /* for the comparison below */

static int compare(const void *left, const void *right)
{
    int a = *(const int *)left;
    int b = *(const int *)right;
    return sorting->score[a] != sorting->score[b] ? sorting->score[a] - sorting->score[b] : a - b;
}

static void sort_model(struct model *model)
{
    model->count = 0;
    for (int i = 0; i < MEMBERS; i++) {
        if (model->present[i]) {
            model->sorted[model->count++] = i;
        }
    }
    sorting = model;
    qsort(model->sorted, (size_t)model->count, sizeof model->sorted[0], compare);
}

static rr_bytes name_of(int member, char out[16])
{
    snprintf(out, 16, "m%04d", member);
    return bytes_of(out);
}

static void change(struct store *store, struct key *key, struct model *model, bool shrinking)
{
    int member = (int)draw(model, MEMBERS);
    int score = (int)draw(model, 30);
    char name[16];
    name_of(member, name);
    if (!model->present[member]) {
        if (!shrinking || draw(model, 4) == 0) {
            zset_add(store, key, bytes_of(name), score);
            model->present[member] = true;
            model->score[member] = score;
        }
    } else if (draw(model, 10) < (shrinking ? 9U : 3U)) {
        zset_remove(store, key, bytes_of(name), model->score[member]);
        model->present[member] = false;
    } else if (score != model->score[member]) {
        zset_change(store, key, bytes_of(name), model->score[member], score);
        model->score[member] = score;
    }
}

struct expected {
    const struct model *model;
    int at;
    int step;
    int visited;
};

static bool visit(void *arg, rr_bytes member, double score)
{
    struct expected *expected = arg;
    char name[16];
    int wanted = expected->model->sorted[expected->at];
    CHECK_BYTES(member, name_of(wanted, name));
    CHECK(score == expected->model->score[wanted]);
    expected->at += expected->step;
    expected->visited++;
    return true;
}

static void compare_ranges(struct store *store, struct key *key, struct model *model)
{
    uint64_t first = draw(model, (uint64_t)model->count);
    uint64_t last = first + draw(model, 20);
    struct zset_range range = {.kind = ZSET_BY_RANK, .first = first, .last = last};
    int end = last < (uint64_t)model->count ? (int)last : model->count - 1;
    struct expected forwards = {model, (int)first, 1, 0};
    zset_visit(store, key, &range, false, visit, &forwards);
    CHECK_EQ(forwards.visited, end - (int)first + 1);
    struct expected backwards = {model, end, -1, 0};
    zset_visit(store, key, &range, true, visit, &backwards);
    CHECK_EQ(backwards.visited, end - (int)first + 1);

    int at = (int)draw(model, (uint64_t)model->count);
    char name[16];
    int member = model->sorted[at];
    CHECK_EQ(zset_rank(store, key, name_of(member, name), model->score[member]), at);

    int low = (int)draw(model, 30);
    int high = (int)draw(model, 30);
    bool open = draw(model, 2) == 0;
    struct zset_range scores = {
        .kind = ZSET_BY_SCORE, .min = {.score = low, .open = open}, .max = {.score = high}};
    uint64_t count = 0;
    for (int i = 0; i < model->count; i++) {
        int score = model->score[model->sorted[i]];
        count += (open ? score > low : score >= low) && score <= high ? 1U : 0U;
    }
    CHECK_EQ(zset_count(store, key, &scores), count);
}

static void change_and_compare(struct store *store, void *arg)
{
    struct model *model = arg;
    struct key key;
    key_open(store, bytes_of("z"), &key);
    if (key.type == VALUE_NONE) {
        key_create(store, &key, VALUE_ZSET, ENCODING_LISTPACK);
    }
    for (int round = 0; round < ROUNDS; round++) {
        change(store, &key, model, round % 2000 > 1400);
        if (key.count > 0 && round % 7 == 0) {
            sort_model(model);
            CHECK_EQ(key.count, model->count);
            CHECK(zset_counts_check(store, &key));
            compare_ranges(store, &key, model);
        }
        model->levels = levels_of(&key) > model->levels ? levels_of(&key) : model->levels;
    }
    key_save(store, &key);
    key_close(&key);
}

TEST(zset_counts, agree_with_a_sorted_array_after_random_changes)
{
    struct model *model = calloc(1, sizeof *model);
    CHECK(model != NULL);
    const char *seed = getenv("SEED");
    model->seed = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)getpid();
    model->state = model->seed;
    printf("SEED=%llu\n", (unsigned long long)model->seed);
    struct stage *stage = stage_new();
    stage_run(stage, /*keep=*/true, change_and_compare, model);
    CHECK_GE(model->levels, 3U);
    stage_free(stage);
    free(model);
}

/* What it is to lose all members from the front, from the back, and by ranges. */
static void fill_and_drain(struct store *store, void *arg)
{
    struct key key;
    char name[16];
    (void)arg;
    key_open(store, bytes_of("y"), &key);
    key_create(store, &key, VALUE_ZSET, ENCODING_LISTPACK);
    for (int i = 0; i < 300; i++) {
        zset_add(store, &key, name_of(i, name), i);
    }
    CHECK_GE(levels_of(&key), 3U);
    for (int i = 0; i < 100; i++) {
        zset_remove(store, &key, name_of(i, name), i);
        zset_remove(store, &key, name_of(299 - i, name), 299 - i);
        CHECK(zset_counts_check(store, &key));
    }
    struct zset_range range = {.kind = ZSET_BY_RANK, .first = 10, .last = 97};
    CHECK_EQ(zset_remove_range(store, &key, &range), 88);
    CHECK(zset_counts_check(store, &key));
    CHECK_EQ(zset_rank(store, &key, name_of(199, name), 199), 11);
    for (int i = 100; i < 110; i++) {
        zset_remove(store, &key, name_of(i, name), i);
    }
    zset_remove(store, &key, name_of(198, name), 198);
    CHECK_EQ(key.count, 1);
    zset_remove(store, &key, name_of(199, name), 199);
    CHECK_EQ(levels_of(&key), 0U);
    CHECK(zset_counts_check(store, &key));
    CHECK(key_save(store, &key));
    key_close(&key);
}

TEST(zset_counts, vanish_with_the_members)
{
    struct stage *stage = stage_new();
    stage_run(stage, /*keep=*/true, fill_and_drain, NULL);
    stage_free(stage);
}

/* Sets of each size, built as a whole, then changed. */
static void build_and_change(struct store *store, void *arg)
{
    struct key key;
    char name[16];
    (void)arg;
    for (int size = 1; size < 200; size++) {
        key_open(store, bytes_of("b"), &key);
        key_create(store, &key, VALUE_ZSET, ENCODING_LISTPACK);
        for (int i = 0; i < size; i++) {
            zset_add_uncounted(store, &key, name_of(i * 7 % size, name), i * 7 % size);
        }
        for (int i = 0; i < size; i++) { /* where 7 divides the size, some were not there yet */
            if (!zset_find(store, &key, name_of(i, name), NULL)) {
                zset_add_uncounted(store, &key, name_of(i, name), i);
            }
        }
        key.count = (uint64_t)size;
        zset_counts_build(store, &key);
        CHECK(zset_counts_check(store, &key));
        CHECK_EQ(zset_rank(store, &key, name_of(size - 1, name), size - 1), size - 1);
        for (int i = 0; i < 20; i++) {
            zset_add(store, &key, name_of(1000 + i, name), i * 10);
            CHECK(zset_counts_check(store, &key));
        }
        for (int i = 0; i < size; i++) {
            zset_remove(store, &key, name_of(i, name), i);
            CHECK(zset_counts_check(store, &key));
        }
        CHECK(!key_save(store, &key)); /* it is not empty */
        key_delete(store, &key);
        key_close(&key);
    }
}

TEST(zset_counts, are_built_for_a_complete_order)
{
    struct stage *stage = stage_new();
    stage_run(stage, /*keep=*/true, build_and_change, NULL);
    stage_check(stage);
    stage_free(stage);
}
