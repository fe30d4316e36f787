/* Lists: what each command does to places, counts and expiry. Replies in the wide are compared with
 * redis-server by the differential test. */
#include "stage.h"

#include "coredb/value/list.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

static const char *run(struct stage *stage, const char *line)
{
    return stage_exec(stage, line);
}

TEST(list, pushes_to_both_ends_and_reads_by_index)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "rpush k b c"), ":2 ");
    CHECK_TEXT(run(stage, "lpush k a z"), ":4 ");
    CHECK_TEXT(run(stage, "lrange k 0 -1"), "*4 $1 z $1 a $1 b $1 c ");
    CHECK_TEXT(run(stage, "lindex k 0"), "$1 z ");
    CHECK_TEXT(run(stage, "lindex k -1"), "$1 c ");
    CHECK_TEXT(run(stage, "lindex k 4"), "$-1 ");
    CHECK_TEXT(run(stage, "lindex k -5"), "$-1 ");
    CHECK_TEXT(run(stage, "lindex k -9223372036854775808"), "$-1 ");
    CHECK_TEXT(run(stage, "lrange k -9223372036854775808 9223372036854775807"),
               "*4 $1 z $1 a $1 b $1 c ");
    CHECK_TEXT(run(stage, "lrange k 2 1"), "*0 ");
    CHECK_TEXT(run(stage, "lpushx none a"), ":0 ");
    CHECK_TEXT(run(stage, "rpushx k d"), ":5 ");
    CHECK_TEXT(run(stage, "llen k"), ":5 ");
    stage_free(stage);
}

TEST(list, inserts_and_removes_within_moving_either_side)
{
    struct stage *stage = stage_new();
    run(stage, "rpush k a b c d e f");
    CHECK_TEXT(run(stage, "linsert k before b 1"), ":7 ");
    CHECK_TEXT(run(stage, "linsert k after e 2"), ":8 ");
    CHECK_TEXT(run(stage, "linsert k after f 3"), ":9 ");
    CHECK_TEXT(run(stage, "linsert k before a 0"), ":10 ");
    CHECK_TEXT(run(stage, "linsert k before none 0"), ":-1 ");
    CHECK_TEXT(run(stage, "lrange k 0 -1"),
               "*10 $1 0 $1 a $1 1 $1 b $1 c $1 d $1 e $1 2 $1 f $1 3 ");
    CHECK_TEXT(run(stage, "lrem k 0 a"), ":1 ");
    CHECK_TEXT(run(stage, "lrem k 0 f"), ":1 ");
    CHECK_TEXT(run(stage, "lrem k 0 0"), ":1 ");
    CHECK_TEXT(run(stage, "lrem k 0 3"), ":1 ");
    CHECK_TEXT(run(stage, "lrange k 0 -1"), "*6 $1 1 $1 b $1 c $1 d $1 e $1 2 ");
    stage_free(stage);
}

TEST(list, removes_from_the_head_or_the_tail_as_many_as_asked)
{
    struct stage *stage = stage_new();
    run(stage, "rpush k x a x b x c x");
    CHECK_TEXT(run(stage, "lrem k 2 x"), ":2 ");
    CHECK_TEXT(run(stage, "lrange k 0 -1"), "*5 $1 a $1 b $1 x $1 c $1 x ");
    CHECK_TEXT(run(stage, "lrem k -1 x"), ":1 ");
    CHECK_TEXT(run(stage, "lrange k 0 -1"), "*4 $1 a $1 b $1 x $1 c ");
    CHECK_TEXT(run(stage, "lrem k -9223372036854775808 x"), ":1 ");
    CHECK_TEXT(run(stage, "lrem k 0 x"), ":0 ");
    CHECK_TEXT(run(stage, "lrange k 0 -1"), "*3 $1 a $1 b $1 c ");
    stage_free(stage);
}

TEST(list, vanishes_with_its_last_element)
{
    struct stage *stage = stage_new();
    static const char *const last[] = {
        "lpop k",
        "rpop k 5",
        "lrem k 0 a",
        "ltrim k 1 0",
        "lmove k other left left",
        "lmpop 1 k left",
        "rpoplpush k other",
    };
    for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
        run(stage, "rpush k a");
        CHECK_TEXT(run(stage, "exists k"), ":1 ");
        run(stage, last[i]);
        CHECK_TEXT(run(stage, "exists k"), ":0 ");
    }
    stage_free(stage);
}

TEST(list, keeps_its_expiry_while_it_changes)
{
    struct stage *stage = stage_new();
    run(stage, "rpush k a b c d");
    run(stage, "pexpire k 5000");
    run(stage, "rpush k e");
    run(stage, "lpop k");
    run(stage, "ltrim k 0 2");
    run(stage, "linsert k before c x");
    run(stage, "rpoplpush k k");
    CHECK_TEXT(run(stage, "pttl k"), ":5000 ");
    stage_set_time(stage, 1005001);
    CHECK_TEXT(run(stage, "llen k"), ":0 ");
    stage_free(stage);
}

TEST(list, finds_positions_from_either_end)
{
    struct stage *stage = stage_new();
    run(stage, "rpush k a b c a b c a");
    CHECK_TEXT(run(stage, "lpos k a"), ":0 ");
    CHECK_TEXT(run(stage, "lpos k a rank 2"), ":3 ");
    CHECK_TEXT(run(stage, "lpos k a rank -1"), ":6 ");
    CHECK_TEXT(run(stage, "lpos k a rank -2 count 0"), "*2 :3 :0 ");
    CHECK_TEXT(run(stage, "lpos k a count 2"), "*2 :0 :3 ");
    CHECK_TEXT(run(stage, "lpos k c maxlen 2"), "$-1 ");
    CHECK_TEXT(run(stage, "lpos k c maxlen 2 rank -1"), ":5 ");
    CHECK_TEXT(run(stage, "lpos k b rank -9223372036854775808"), ":4 ");
    CHECK_TEXT(run(stage, "lpos k b rank 9223372036854775807"), "$-1 ");
    CHECK_TEXT(run(stage, "lpos none b count 1"), "*0 ");
    stage_free(stage);
}

TEST(list, moves_within_one_list)
{
    struct stage *stage = stage_new();
    run(stage, "rpush k a b c");
    CHECK_TEXT(run(stage, "lmove k k left right"), "$1 a ");
    CHECK_TEXT(run(stage, "lmove k k right right"), "$1 a ");
    CHECK_TEXT(run(stage, "lmove k k left left"), "$1 b ");
    CHECK_TEXT(run(stage, "lrange k 0 -1"), "*3 $1 b $1 c $1 a ");
    stage_free(stage);
}

TEST(list, refuses_other_types_and_changes_nothing)
{
    struct stage *stage = stage_new();
    const char *wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value ";
    run(stage, "set s x");
    run(stage, "rpush k a b");
    CHECK_TEXT(run(stage, "lpush s a"), wrong);
    CHECK_TEXT(run(stage, "lmove k s left left"), wrong);
    CHECK_TEXT(run(stage, "lmove s k left left"), wrong);
    CHECK_TEXT(run(stage, "lmpop 2 none s left"), wrong);
    CHECK_TEXT(run(stage, "get k"), wrong);
    CHECK_TEXT(run(stage, "lrange k 0 -1"), "*2 $1 a $1 b ");
    CHECK_TEXT(run(stage, "get s"), "$1 x ");
    CHECK_TEXT(run(stage, "object encoding k"), "$9 quicklist ");
    stage_free(stage);
}

/* ---- Against an array ---- */

enum { MODEL_MAX = 600, STEPS = 4000 };

struct model {
    uint32_t values[MODEL_MAX];
    size_t count;
    uint64_t random;
};

static uint64_t next_random(struct model *model)
{
    model->random = model->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return model->random >> 33;
}

static size_t below(struct model *model, size_t bound)
{
    return (size_t)(next_random(model) % bound);
}

static void model_insert(struct model *model, size_t at, uint32_t value)
{
    memmove(&model->values[at + 1], &model->values[at], (model->count - at) * sizeof(uint32_t));
    model->values[at] = value;
    model->count++;
}

static void model_remove(struct model *model, size_t at)
{
    model->count--;
    memmove(&model->values[at], &model->values[at + 1], (model->count - at) * sizeof(uint32_t));
}

struct comparison {
    const struct model *model;
    size_t next;
    size_t step; /* SIZE_MAX: descending */
};

static bool compare(void *arg, uint64_t index, rr_bytes value)
{
    struct comparison *comparison = arg;
    CHECK_EQ(index, comparison->next);
    CHECK_EQ(value.size, sizeof(uint32_t));
    CHECK_EQ(memcmp(value.data, &comparison->model->values[index], sizeof(uint32_t)), 0);
    comparison->next += comparison->step;
    return true;
}

static void check_range(struct store *store, struct key *key, struct model *model, size_t start,
                        size_t count)
{
    struct comparison ascending = {model, start, 1};
    struct comparison descending = {model, start + count - 1, SIZE_MAX};
    list_visit(store, key, start, count, false, compare, &ascending);
    CHECK_EQ(ascending.next, start + count);
    list_visit(store, key, start, count, true, compare, &descending);
    CHECK_EQ(descending.next, start - 1);
}

static void remove_some(struct store *store, struct key *key, struct model *model)
{
    uint64_t indexes[MODEL_MAX] = {0};
    size_t count = 0;
    size_t every = 1 + below(model, 8);
    size_t begin = below(model, model->count);
    size_t end = begin + below(model, model->count - begin) + 1;
    for (size_t i = begin; i < end; i++) {
        if (below(model, every) == 0) {
            indexes[count++] = i;
        }
    }
    list_remove(store, key, indexes, count);
    for (size_t i = count; i-- > 0;) {
        model_remove(model, (size_t)indexes[i]);
    }
}

static void keep_some(struct store *store, struct key *key, struct model *model)
{
    size_t start = below(model, model->count);
    size_t count = 1 + below(model, model->count - start);
    list_keep(store, key, start, count);
    memmove(model->values, &model->values[start], count * sizeof(uint32_t));
    model->count = count;
}

static void step(struct store *store, struct key *key, struct model *model)
{
    uint32_t value = (uint32_t)next_random(model);
    rr_bytes bytes = {&value, sizeof(value)};
    size_t choice = below(model, 32);
    size_t at = below(model, model->count + 1);
    if (model->count < MODEL_MAX && choice < 12) {
        list_push(store, key, choice % 2 == 0 ? LIST_HEAD : LIST_TAIL, bytes);
        model_insert(model, choice % 2 == 0 ? 0 : model->count, value);
    } else if (model->count < MODEL_MAX && choice < 22) {
        list_insert(store, key, at, bytes);
        model_insert(model, at, value);
    } else if (model->count > 1 && choice < 26) {
        struct buffer popped;
        buffer_init(&popped);
        size_t index = choice % 2 == 0 ? 0 : model->count - 1;
        list_pop(store, key, choice % 2 == 0 ? LIST_HEAD : LIST_TAIL, &popped);
        CHECK_BYTES(buffer_bytes(&popped), ((rr_bytes){&model->values[index], sizeof(uint32_t)}));
        model_remove(model, index);
        buffer_deinit(&popped);
    } else if (at < model->count && choice < 29) {
        list_set(store, key, at, bytes);
        model->values[at] = value;
    } else if (model->count > 1 && choice < 31) {
        remove_some(store, key, model);
    } else if (model->count > 1 && below(model, 6) == 0) {
        keep_some(store, key, model);
    }
}

static void random_steps(struct store *store, void *arg)
{
    struct model *model = arg;
    struct key key;
    key_open(store, test_bytes_of("model"), &key);
    key_create(store, &key, VALUE_LIST, ENCODING_QUICKLIST);
    list_push(store, &key, LIST_TAIL, (rr_bytes){&model->values[0], sizeof(uint32_t)});
    model->count = 1;
    for (size_t i = 0; i < STEPS; i++) {
        step(store, &key, model);
        if (model->count == 0) { /* removing may take all, as a command would then delete it */
            list_push(store, &key, LIST_TAIL, (rr_bytes){&model->values[0], sizeof(uint32_t)});
            model->count = 1;
        }
        CHECK_EQ(key.count, model->count);
        if (i % 16 == 0) {
            size_t start = below(model, model->count);
            check_range(store, &key, model, start, 1 + below(model, model->count - start));
            check_range(store, &key, model, 0, model->count);
        }
    }
    (void)key_save(store, &key);

    struct key copy;
    key_open(store, test_bytes_of("copy"), &copy);
    key_create(store, &copy, VALUE_LIST, ENCODING_QUICKLIST);
    copy.count = key.count;
    copy.first = key.first;
    list_copy(store, key.object, copy.object);
    check_range(store, &copy, model, 0, model->count);
    (void)key_save(store, &copy);
    key_close(&copy);
    key_close(&key);
    CHECK_OK(store->failure);
}

TEST(list, does_what_an_array_does)
{
    struct stage *stage = stage_new();
    struct model model = {.random = test_seed(20261)};
    stage_run(stage, /*keep=*/true, random_steps, &model);
    stage_check(stage);
    stage_free(stage);
}
