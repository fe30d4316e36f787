/* SORT: orders, patterns, limits, what is stored. Replies in the wide are compared with redis-server
 * by the differential test. */
#include "stage.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

static const char *run(struct stage *stage, const char *line)
{
    return stage_exec(stage, line);
}

TEST(sort, sorts_numbers_and_texts_either_way)
{
    struct stage *stage = stage_new();
    run(stage, "rpush l 10 9 -1 1e1 2.5");
    CHECK_TEXT(run(stage, "sort l"), "*5 $2 -1 $3 2.5 $1 9 $2 10 $3 1e1 ");
    CHECK_TEXT(run(stage, "sort l desc"), "*5 $3 1e1 $2 10 $1 9 $3 2.5 $2 -1 ");
    CHECK_TEXT(run(stage, "sort l alpha"), "*5 $2 -1 $2 10 $3 1e1 $3 2.5 $1 9 ");
    CHECK_TEXT(run(stage, "sort l limit 1 2"), "*2 $3 2.5 $1 9 ");
    CHECK_TEXT(run(stage, "sort l limit 9223372036854775807 9223372036854775807"), "*0 ");
    CHECK_TEXT(run(stage, "sort l limit -5 -1 alpha desc"), "*5 $1 9 $3 2.5 $3 1e1 $2 10 $2 -1 ");
    run(stage, "rpush l x");
    CHECK_TEXT(run(stage, "sort l"), "-ERR One or more scores can't be converted into double ");
    CHECK_TEXT(run(stage, "sort none"), "*0 ");
    run(stage, "set s x");
    CHECK_TEXT(run(stage, "sort s"),
               "-WRONGTYPE Operation against a key holding the wrong kind of value ");
    stage_free(stage);
}

TEST(sort, looks_weights_and_values_up)
{
    struct stage *stage = stage_new();
    run(stage, "sadd k 1 2 3");
    run(stage, "mset w_1 30 w_2 20 w_3 10 v_1 a v_3 c");
    run(stage, "hset h_1 f x");
    run(stage, "hset h_2 f y");
    CHECK_TEXT(run(stage, "sort k by w_*"), "*3 $1 3 $1 2 $1 1 ");
    CHECK_TEXT(run(stage, "sort k by w_* get # get v_*"), "*6 $1 3 $1 c $1 2 $-1 $1 1 $1 a ");
    CHECK_TEXT(run(stage, "sort k get h_*->f"), "*3 $1 x $1 y $-1 ");
    CHECK_TEXT(run(stage, "sort k by h_*->f alpha"), "*3 $1 3 $1 1 $1 2 ");
    CHECK_TEXT(run(stage, "sort k get nostar"), "*3 $-1 $-1 $-1 ");
    CHECK_TEXT(run(stage, "sort k get v_*->"), "*3 $-1 $-1 $-1 ");
    stage_free(stage);
}

TEST(sort, without_order_reads_only_what_is_asked_for)
{
    struct stage *stage = stage_new();
    run(stage, "rpush l c a b d");
    run(stage, "zadd z 1 one 2 two 3 three");
    CHECK_TEXT(run(stage, "sort l by nosort limit 1 2"), "*2 $1 a $1 b ");
    CHECK_TEXT(run(stage, "sort l by nosort desc limit 0 2"), "*2 $1 d $1 b ");
    CHECK_TEXT(run(stage, "sort z by nosort limit 1 5"), "*2 $3 two $5 three ");
    CHECK_TEXT(run(stage, "sort z by nosort desc limit 0 1"), "*1 $5 three ");
    CHECK_TEXT(run(stage, "sort z by nosort desc limit 5 1"), "*0 ");
    stage_free(stage);
}

TEST(sort, stores_a_list_over_whatever_was_there)
{
    struct stage *stage = stage_new();
    run(stage, "sadd k 3 1 2");
    run(stage, "set d old ex 100");
    CHECK_TEXT(run(stage, "sort k store d"), ":3 ");
    CHECK_TEXT(run(stage, "lrange d 0 -1"), "*3 $1 1 $1 2 $1 3 ");
    CHECK_TEXT(run(stage, "ttl d"), ":-1 ");
    CHECK_TEXT(run(stage, "sort d desc store d"), ":3 ");
    CHECK_TEXT(run(stage, "lrange d 0 -1"), "*3 $1 3 $1 2 $1 1 ");
    CHECK_TEXT(run(stage, "sort k get v_* store d"), ":3 ");
    CHECK_TEXT(run(stage, "lrange d 0 -1"), "*3 $0  $0  $0  ");
    CHECK_TEXT(run(stage, "sort k by nosort store d"), ":3 ");
    CHECK_TEXT(run(stage, "lrange d 0 -1"), "*3 $1 1 $1 2 $1 3 ");
    CHECK_TEXT(run(stage, "sort none store d"), ":0 ");
    CHECK_TEXT(run(stage, "exists d"), ":0 ");
    CHECK_TEXT(run(stage, "sort_ro k store d"), "-ERR syntax error ");
    stage_free(stage);
}

TEST(sort, equal_elements_keep_their_order_among_many)
{
    struct stage *stage = stage_new();
    char line[128];
    for (int i = 0; i < 257; i++) {
        snprintf(line, sizeof line, "rpush l %d", i);
        run(stage, line);
        snprintf(line, sizeof line, "set w_%d %c", i, 'a' + i % 2);
        run(stage, line);
    }
    const char *at = run(stage, "sort l by w_* alpha");
    at = strchr(at, ' ') + 1;
    for (int i = 0; i < 257; i++) {
        int number;
        CHECK(sscanf(at, "$%*d %d", &number) == 1);
        CHECK_EQ(number, i < 129 ? i * 2 : (i - 129) * 2 + 1);
        at = strchr(strchr(at, ' ') + 1, ' ') + 1;
    }
    stage_free(stage);
}
