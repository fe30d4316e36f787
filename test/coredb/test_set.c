/* Sets: counts, encodings, moves, combinations. Replies in the wide are compared with redis-server
 * by the differential test. */
#include "dice.h"
#include "stage.h"

#include "support/test.h"

#include <stdio.h>
#include <string.h>

static const char *run(struct stage *stage, const char *line)
{
    return stage_exec(stage, line);
}

static const char WRONG_TYPE[] =
    "-WRONGTYPE Operation against a key holding the wrong kind of value ";

TEST(set, counts_new_members_only_and_goes_with_the_last)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "sadd s a b a"), ":2 ");
    CHECK_TEXT(run(stage, "sadd s a c"), ":1 ");
    CHECK_TEXT(run(stage, "scard s"), ":3 ");
    CHECK_TEXT(run(stage, "sismember s b"), ":1 ");
    CHECK_TEXT(run(stage, "smismember s a x c"), "*3 :1 :0 :1 ");
    CHECK_TEXT(run(stage, "smismember none a"), "*1 :0 ");
    CHECK_TEXT(run(stage, "srem s a a x"), ":1 ");
    CHECK_TEXT(run(stage, "srem s b c"), ":2 ");
    CHECK_TEXT(run(stage, "exists s"), ":0 ");
    CHECK_TEXT(run(stage, "smembers s"), "*0 ");
    stage_free(stage);
}

static void add_numbers(struct stage *stage, const char *key, int from, int to)
{
    char line[64];
    for (int i = from; i < to; i++) {
        snprintf(line, sizeof line, "sadd %s %d", key, i);
        run(stage, line);
    }
}

TEST(set, is_an_intset_until_a_text_or_a_513th_member_comes)
{
    struct stage *stage = stage_new();
    run(stage, "sadd s 1 2 -9223372036854775808");
    CHECK_TEXT(run(stage, "object encoding s"), "$6 intset ");
    run(stage, "sadd s 9223372036854775808");
    CHECK_TEXT(run(stage, "object encoding s"), "$9 hashtable ");
    run(stage, "srem s 9223372036854775808");
    CHECK_TEXT(run(stage, "object encoding s"), "$9 hashtable ");
    run(stage, "sadd zero 01");
    CHECK_TEXT(run(stage, "object encoding zero"), "$9 hashtable ");
    add_numbers(stage, "many", 0, 512);
    CHECK_TEXT(run(stage, "object encoding many"), "$6 intset ");
    run(stage, "sadd many 512");
    CHECK_TEXT(run(stage, "object encoding many"), "$9 hashtable ");
    stage_free(stage);
}

TEST(set, moves_a_member_and_checks_both_types)
{
    struct stage *stage = stage_new();
    run(stage, "set text x");
    run(stage, "sadd a m n");
    run(stage, "sadd b m");
    CHECK_TEXT(run(stage, "smove none text m"), ":0 ");
    CHECK_TEXT(run(stage, "smove a text absent"), WRONG_TYPE);
    CHECK_TEXT(run(stage, "smove text a m"), WRONG_TYPE);
    CHECK_TEXT(run(stage, "smove a a m"), ":1 ");
    CHECK_TEXT(run(stage, "smove a a absent"), ":0 ");
    CHECK_TEXT(run(stage, "smove a b absent"), ":0 ");
    CHECK_TEXT(run(stage, "smove a b m"), ":1 ");
    CHECK_TEXT(run(stage, "scard b"), ":1 ");
    CHECK_TEXT(run(stage, "smove a c n"), ":1 ");
    CHECK_TEXT(run(stage, "exists a b c"), ":2 ");
    stage_free(stage);
}

TEST(set, pops_each_member_once)
{
    struct stage *stage = stage_new();
    add_numbers(stage, "s", 0, 300);
    int64_t sum = 0;
    for (int i = 0; i < 100; i++) {
        int size;
        int member;
        CHECK_EQ(sscanf(run(stage, "spop s"), "$%d %d ", &size, &member), 2);
        sum += member;
    }
    const char *reply = run(stage, "spop s 150");
    CHECK_EQ(strncmp(reply, "*150 ", 5), 0);
    for (const char *at = strchr(reply, '$'); at != NULL; at = strchr(at + 1, '$')) {
        sum += atoi(strchr(at, ' '));
    }
    CHECK_TEXT(run(stage, "scard s"), ":50 ");
    reply = run(stage, "spop s 9223372036854775807");
    CHECK_EQ(strncmp(reply, "*50 ", 4), 0);
    for (const char *at = strchr(reply, '$'); at != NULL; at = strchr(at + 1, '$')) {
        sum += atoi(strchr(at, ' '));
    }
    CHECK_EQ(sum, 299 * 300 / 2);
    CHECK_TEXT(run(stage, "exists s"), ":0 ");
    CHECK_TEXT(run(stage, "spop s"), "$-1 ");
    CHECK_TEXT(run(stage, "spop s 3"), "*0 ");
    CHECK_TEXT(run(stage, "spop s -1"), "-ERR value is out of range, must be positive ");
    stage_free(stage);
}

TEST(set, stores_a_result_over_any_type_and_drops_the_expiry)
{
    struct stage *stage = stage_new();
    run(stage, "sadd a 1 2 3");
    run(stage, "sadd b 2 3 x");
    run(stage, "set d text px 5000");
    CHECK_TEXT(run(stage, "sinterstore d a b"), ":2 ");
    CHECK_TEXT(run(stage, "object encoding d"), "$6 intset ");
    CHECK_TEXT(run(stage, "pttl d"), ":-1 ");
    CHECK_TEXT(run(stage, "sunionstore d a b"), ":4 ");
    CHECK_TEXT(run(stage, "object encoding d"), "$9 hashtable ");
    CHECK_TEXT(run(stage, "sdiffstore a b a"), ":1 ");
    CHECK_TEXT(run(stage, "smembers a"), "*1 $1 x ");
    CHECK_TEXT(run(stage, "sinterstore d a none"), ":0 ");
    CHECK_TEXT(run(stage, "exists d"), ":0 ");
    run(stage, "set text x");
    CHECK_TEXT(run(stage, "sinterstore a none text"), WRONG_TYPE);
    CHECK_TEXT(run(stage, "scard a"), ":1 ");
    stage_free(stage);
}

TEST(set, counts_an_intersection_up_to_a_limit)
{
    struct stage *stage = stage_new();
    run(stage, "sadd a 1 2 3 4");
    run(stage, "sadd b 2 3 4 5");
    CHECK_TEXT(run(stage, "sintercard 2 a b"), ":3 ");
    CHECK_TEXT(run(stage, "sintercard 2 a b limit 2"), ":2 ");
    CHECK_TEXT(run(stage, "sintercard 2 a b limit 0"), ":3 ");
    CHECK_TEXT(run(stage, "sintercard 2 a b limit 9"), ":3 ");
    CHECK_TEXT(run(stage, "sintercard 3 a b none"), ":0 ");
    CHECK_TEXT(run(stage, "sintercard 0 a"), "-ERR numkeys should be greater than 0 ");
    CHECK_TEXT(run(stage, "sintercard 2 a"),
               "-ERR Number of keys can't be greater than number of args ");
    CHECK_TEXT(run(stage, "sintercard 1 a limit -1"), "-ERR LIMIT can't be negative ");
    CHECK_TEXT(run(stage, "sintercard 1 a limit"), "-ERR syntax error ");
    stage_free(stage);
}

/* ---- Combinations against a model ---- */

enum { KEYS = 4, MEMBERS = 60 };

struct model {
    bool has[KEYS][MEMBERS];
};

/* What union, intersection or difference ('u', 'i', 'd') of the keys a and b and c has. */
static int expected(const struct model *model, char operation, const int keys[3])
{
    int count = 0;
    for (int m = 0; m < MEMBERS; m++) {
        bool a = model->has[keys[0]][m];
        bool b = model->has[keys[1]][m];
        bool c = model->has[keys[2]][m];
        bool in = operation == 'u' ? a || b || c : operation == 'i' ? a && b && c : a && !b && !c;
        count += in ? 1 : 0;
    }
    return count;
}

static void compare(struct stage *stage, const struct model *model, struct dice *dice)
{
    static const char *const names[] = {"sunion", "sinter", "sdiff"};
    int which = dice_below(dice, 3);
    int keys[3];
    for (int i = 0; i < 3; i++) {
        keys[i] = dice_below(dice, KEYS);
    }
    int count = expected(model, names[which][1], keys);
    char line[128];
    char wanted[32];
    snprintf(line, sizeof line, "%s k%d k%d k%d", names[which], keys[0], keys[1], keys[2]);
    snprintf(wanted, sizeof wanted, "*%d ", count);
    const char *reply = run(stage, line);
    CHECK_EQ(strncmp(reply, wanted, strlen(wanted)), 0);
    snprintf(line, sizeof line, "%sstore d k%d k%d k%d", names[which], keys[0], keys[1], keys[2]);
    snprintf(wanted, sizeof wanted, ":%d ", count);
    CHECK_TEXT(run(stage, line), wanted);
    CHECK_TEXT(run(stage, "scard d"), wanted);
    run(stage, "del e");
    snprintf(line, sizeof line, "sdiff d e k%d", keys[0]);
    if (names[which][1] != 'u') {
        CHECK_TEXT(run(stage, line), "*0 ");
    }
}

TEST(set, combinations_agree_with_a_model)
{
    struct dice dice = {test_seed(11)};
    struct stage *stage = stage_new();
    struct model model = {0};
    char line[64];
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < 10; i++) {
            /* Sets of different sizes, so that differences are found in either way. */
            int key = dice_below(&dice, KEYS);
            int member = dice_below(&dice, MEMBERS >> key);
            bool add = dice_below(&dice, 3) > 0;
            snprintf(line, sizeof line, "%s k%d %d", add ? "sadd" : "srem", key, member);
            run(stage, line);
            model.has[key][member] = add;
        }
        compare(stage, &model, &dice);
    }
    stage_free(stage);
}
