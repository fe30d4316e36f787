/* Sorted sets: order, options, encodings, expiry, notifications. Replies in the wide are compared
 * with redis-server by the differential test. */
#include "stage.h"

#include "coredb/base/bytes.h"
#include "coredb/command/execute.h"
#include "coredb/value/zset.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *run(struct stage *stage, const char *line)
{
    return stage_exec(stage, line);
}

/* A key named by `arg` and what was found of it. */
struct probe {
    const char *name;
    struct key key; /* closed already */
    const char *command;
    char notes[512]; /* "name key " of each notification */
};

static void look(struct store *store, void *arg)
{
    struct probe *probe = arg;
    key_open(store, bytes_of(probe->name), &probe->key);
    key_close(&probe->key);
}

static struct key key_of(struct stage *stage, const char *name)
{
    struct probe probe = {.name = name};
    stage_run(stage, /*keep=*/true, look, &probe);
    return probe.key;
}

static enum value_encoding encoding_of(struct stage *stage, const char *name)
{
    return key_of(stage, name).encoding;
}

static void give_expiry(struct store *store, void *arg)
{
    struct key key;
    key_open(store, bytes_of(arg), &key);
    key.expire_ms = store->now_ms + 1000;
    key_save(store, &key);
    key_close(&key);
}

static void listen_to(struct store *store, void *arg)
{
    struct probe *probe = arg;
    rr_bytes argv[16];
    size_t argc = 0;
    char words[256];
    snprintf(words, sizeof words, "%s", probe->command);
    char *rest = words;
    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
        CHECK(argc < 16);
        argv[argc++] = bytes_of(word);
    }
    struct reply reply;
    reply_init(&reply, 2);
    struct exec exec = {.store = store, .argv = argv, .argc = argc, .reply = &reply};
    execute_command(&exec);
    reply_deinit(&reply);
    size_t offset = 0;
    struct event event;
    while (events_next(&store->events, &offset, &event)) {
        if (event.kind == EVENT_NOTIFY && event.notify_class != NOTIFY_NEW) {
            size_t size = strlen(probe->notes);
            snprintf(probe->notes + size, sizeof probe->notes - size, "%.*s %.*s ",
                     (int)event.name.size, (const char *)event.name.data, (int)event.key.size,
                     (const char *)event.key.data);
        }
    }
}

/* The notifications of one command. */
static const char *notes_of(struct stage *stage, const char *command)
{
    static struct probe probe;
    probe = (struct probe){.command = command};
    stage_run(stage, /*keep=*/true, listen_to, &probe);
    return probe.notes;
}

TEST(zset, encodes_scores_so_that_they_sort)
{
    static const double scores[] = {-HUGE_VAL, -1e300,   -1.5, -1, -4.9e-324, -0.0,
                                    0.0,       4.9e-324, 1,    2,  1e300,     HUGE_VAL};
    for (size_t i = 0; i < sizeof scores / sizeof scores[0]; i++) {
        uint64_t encoded = zset_score_encode(scores[i]);
        double decoded = zset_score_decode(encoded);
        CHECK(memcmp(&decoded, &scores[i], sizeof decoded) == 0);
        if (i > 0) {
            CHECK_LT(zset_score_encode(scores[i - 1]), encoded);
        }
    }
}

TEST(zset, orders_by_score_then_by_bytes)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "zadd z 2 b 1 z 2 a -inf n inf p 2 B"), ":6 ");
    CHECK_TEXT(run(stage, "zrange z 0 -1 withscores"),
               "*12 $1 n $4 -inf $1 z $1 1 $1 B $1 2 $1 a $1 2 $1 b $1 2 $1 p $3 inf ");
    CHECK_TEXT(run(stage, "zrevrange z 1 2"), "*2 $1 b $1 a ");
    CHECK_TEXT(run(stage, "zrank z a"), ":3 ");
    CHECK_TEXT(run(stage, "zrevrank z a"), ":2 ");
    CHECK_TEXT(run(stage, "zrank z none"), "$-1 ");
    CHECK_TEXT(run(stage, "zincrby z -3 b"), "$2 -1 ");
    CHECK_TEXT(run(stage, "zincrby z incr b"), "-ERR syntax error ");
    CHECK_TEXT(run(stage, "zrange z 0 1"), "*2 $1 n $1 b ");
    CHECK_TEXT(run(stage, "zmscore z p none n"), "*3 $3 inf $-1 $4 -inf ");
    stage_free(stage);
}

TEST(zset, adds_only_what_the_options_let)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "zadd z xx 1 a"), ":0 ");
    CHECK_EQ(key_of(stage, "z").type, VALUE_NONE);
    CHECK_TEXT(run(stage, "zadd z nx 1 a"), ":1 ");
    CHECK_TEXT(run(stage, "zadd z nx 2 a 2 b"), ":1 ");
    CHECK_TEXT(run(stage, "zadd z gt ch 0 a 3 b 4 c"), ":2 ");
    CHECK_TEXT(run(stage, "zadd z lt ch 0 a 9 b"), ":1 ");
    CHECK_TEXT(run(stage, "zadd z xx gt incr -1 a"), "$-1 ");
    CHECK_TEXT(run(stage, "zadd z nx incr 5 d"), "$1 5 ");
    CHECK_TEXT(run(stage, "zadd z nx incr 5 d"), "$-1 ");
    CHECK_TEXT(run(stage, "zrange z 0 -1 withscores"),
               "*8 $1 a $1 0 $1 b $1 3 $1 c $1 4 $1 d $1 5 ");
    stage_free(stage);
}

TEST(zset, refuses_a_sum_that_is_not_a_number_and_changes_nothing)
{
    struct stage *stage = stage_new();
    run(stage, "zadd z inf a");
    uint64_t modified = key_of(stage, "z").modified;
    CHECK_TEXT(run(stage, "zincrby z -inf a"), "-ERR resulting score is not a number (NaN) ");
    CHECK_TEXT(run(stage, "zadd z ch inf a"), ":0 ");
    CHECK_EQ(key_of(stage, "z").modified, modified);
    CHECK_TEXT(run(stage, "zadd z 1 a nan b"), "-ERR value is not a valid float ");
    CHECK_TEXT(run(stage, "zscore z a"), "$3 inf ");
    stage_free(stage);
}

TEST(zset, keeps_a_negative_zero_where_redis_does)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "zadd small -0 a"), ":1 ");
    CHECK_TEXT(run(stage, "zscore small a"), "$1 0 ");
    char line[128];
    char name[71];
    memset(name, 'm', 70);
    name[70] = '\0';
    snprintf(line, sizeof line, "zadd large -0 a 1 %s -0 b 0 c", name);
    CHECK_TEXT(run(stage, line), ":4 ");
    CHECK_TEXT(run(stage, "zscore large a"), "$1 0 ");
    CHECK_TEXT(run(stage, "zscore large b"), "$2 -0 ");
    CHECK_TEXT(run(stage, "zrange large 0 2 withscores"), "*6 $1 a $1 0 $1 b $2 -0 $1 c $1 0 ");
    CHECK_TEXT(run(stage, "zadd large ch 0 b"), ":0 ");
    CHECK_TEXT(run(stage, "zrangebyscore large 0 0"), "*3 $1 a $1 b $1 c ");
    CHECK_TEXT(run(stage, "zrem large b"), ":1 ");
    CHECK_TEXT(run(stage, "zcount large -1 0"), ":2 ");
    stage_free(stage);
}

TEST(zset, changes_its_encoding_once_and_for_all)
{
    struct stage *stage = stage_new();
    char line[64];
    for (int i = 0; i < 128; i++) {
        snprintf(line, sizeof line, "zadd z %d m%d", i, i);
        run(stage, line);
    }
    CHECK_EQ(encoding_of(stage, "z"), ENCODING_LISTPACK);
    run(stage, "zadd z 5 m128");
    CHECK_EQ(encoding_of(stage, "z"), ENCODING_SKIPLIST);
    run(stage, "zremrangebyrank z 1 -1");
    CHECK_TEXT(run(stage, "zcard z"), ":1 ");
    CHECK_EQ(encoding_of(stage, "z"), ENCODING_SKIPLIST);
    run(stage, "zunionstore z 1 z");
    CHECK_EQ(encoding_of(stage, "z"), ENCODING_LISTPACK);
    run(stage, "zadd z 1 0123456789012345678901234567890123456789012345678901234567890123");
    CHECK_EQ(encoding_of(stage, "z"), ENCODING_LISTPACK);
    run(stage, "zadd z 1 01234567890123456789012345678901234567890123456789012345678901234");
    CHECK_EQ(encoding_of(stage, "z"), ENCODING_SKIPLIST);
    stage_free(stage);
}

TEST(zset, answers_ranges_by_score_with_open_ends_and_limits)
{
    struct stage *stage = stage_new();
    run(stage, "zadd z 1 a 2 b 3 c 4 d");
    CHECK_TEXT(run(stage, "zrangebyscore z (1 3"), "*2 $1 b $1 c ");
    CHECK_TEXT(run(stage, "zrangebyscore z -inf +inf limit 1 2"), "*2 $1 b $1 c ");
    CHECK_TEXT(run(stage, "zrangebyscore z -inf +inf limit 3 -1"), "*1 $1 d ");
    CHECK_TEXT(run(stage, "zrangebyscore z -inf +inf limit -1 9"), "*0 ");
    CHECK_TEXT(run(stage, "zrangebyscore z -inf +inf limit 0 0"), "*0 ");
    CHECK_TEXT(run(stage, "zrevrangebyscore z 3 (1 withscores"), "*4 $1 c $1 3 $1 b $1 2 ");
    CHECK_TEXT(run(stage, "zrange z (4 1 byscore rev limit 0 2"), "*2 $1 c $1 b ");
    CHECK_TEXT(run(stage, "zcount z (1 (4"), ":2 ");
    CHECK_TEXT(run(stage, "zcount z (2 2"), ":0 ");
    CHECK_TEXT(run(stage, "zcount z 3 2"), ":0 ");
    CHECK_TEXT(run(stage, "zrangebyscore z ((1 2"), "-ERR min or max is not a float ");
    CHECK_TEXT(run(stage, "zrange z 0 -1 limit 0 1"),
               "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or "
               "BYLEX ");
    stage_free(stage);
}

TEST(zset, answers_ranges_by_member)
{
    struct stage *stage = stage_new();
    run(stage, "zadd z 0 a 0 aa 0 b 0 c");
    CHECK_TEXT(run(stage, "zrangebylex z - +"), "*4 $1 a $2 aa $1 b $1 c ");
    CHECK_TEXT(run(stage, "zrangebylex z (a [b"), "*2 $2 aa $1 b ");
    CHECK_TEXT(run(stage, "zrangebylex z [a (aa"), "*1 $1 a ");
    CHECK_TEXT(run(stage, "zrangebylex z + -"), "*0 ");
    CHECK_TEXT(run(stage, "zrangebylex z - -"), "*0 ");
    CHECK_TEXT(run(stage, "zrevrangebylex z [b - limit 1 5"), "*2 $2 aa $1 a ");
    CHECK_TEXT(run(stage, "zlexcount z [aa +"), ":3 ");
    CHECK_TEXT(run(stage, "zlexcount z a b"), "-ERR min or max not valid string range item ");
    CHECK_TEXT(run(stage, "zremrangebylex z (a (c"), ":2 ");
    CHECK_TEXT(run(stage, "zrange z 0 -1"), "*2 $1 a $1 c ");
    stage_free(stage);
}

/* Not specified, but then as Redis's listpacks do: up to the first member beyond the end. */
TEST(zset, answers_ranges_by_member_over_several_scores)
{
    struct stage *stage = stage_new();
    run(stage, "zadd z 1 b 2 a 3 d 4 c");
    CHECK_TEXT(run(stage, "zrangebylex z [b [c"), "*2 $1 b $1 a ");
    CHECK_TEXT(run(stage, "zrevrangebylex z [c [b"), "*2 $1 c $1 d ");
    CHECK_TEXT(run(stage, "zrangebylex z [d +"), "*0 ");
    stage_free(stage);
}

TEST(zset, counts_ranks_from_both_ends_without_overflow)
{
    struct stage *stage = stage_new();
    run(stage, "zadd z 1 a 2 b 3 c");
    CHECK_TEXT(run(stage, "zrange z -9223372036854775808 9223372036854775807"),
               "*3 $1 a $1 b $1 c ");
    CHECK_TEXT(run(stage, "zrange z -2 -2"), "*1 $1 b ");
    CHECK_TEXT(run(stage, "zrevrange z -1 5"), "*1 $1 a ");
    CHECK_TEXT(run(stage, "zrange z 3 9"), "*0 ");
    CHECK_TEXT(run(stage, "zremrangebyrank z 5 9"), ":0 ");
    CHECK_TEXT(run(stage, "zremrangebyrank z -9223372036854775808 -2"), ":2 ");
    CHECK_TEXT(run(stage, "zrange z 0 -1"), "*1 $1 c ");
    stage_free(stage);
}

TEST(zset, pops_from_either_end)
{
    struct stage *stage = stage_new();
    run(stage, "zadd z 1 a 2 b 3 c 4 d");
    CHECK_TEXT(run(stage, "zpopmin z"), "*2 $1 a $1 1 ");
    CHECK_TEXT(run(stage, "zpopmax z 0"), "*0 ");
    CHECK_TEXT(run(stage, "zpopmax z 2"), "*4 $1 d $1 4 $1 c $1 3 ");
    CHECK_TEXT(run(stage, "zpopmin z -1"), "-ERR value is out of range, must be positive ");
    CHECK_TEXT(run(stage, "zmpop 2 none z max count 9223372036854775807"),
               "*2 $1 z *1 *2 $1 b $1 2 ");
    CHECK_TEXT(run(stage, "zmpop 1 z min"), "*-1 ");
    CHECK_EQ(key_of(stage, "z").type, VALUE_NONE);
    stage_free(stage);
}

TEST(zset, combines_with_weights_and_plain_sets)
{
    struct stage *stage = stage_new();
    run(stage, "zadd a 1 x 2 y");
    run(stage, "zadd b 10 y 20 z");
    run(stage, "sadd s x z");
    CHECK_TEXT(run(stage, "zunion 3 a b s weights 2 1 5 withscores"),
               "*6 $1 x $1 7 $1 y $2 14 $1 z $2 25 ");
    CHECK_TEXT(run(stage, "zunion 2 a b aggregate min withscores"),
               "*6 $1 x $1 1 $1 y $1 2 $1 z $2 20 ");
    CHECK_TEXT(run(stage, "zinter 2 a b aggregate max withscores"), "*2 $1 y $2 10 ");
    CHECK_TEXT(run(stage, "zdiff 2 a s withscores"), "*2 $1 y $1 2 ");
    CHECK_TEXT(run(stage, "zintercard 2 b s limit 0"), ":1 ");
    CHECK_TEXT(run(stage, "zinterstore s 2 a s"), ":1 ");
    CHECK_TEXT(run(stage, "zrange s 0 -1 withscores"), "*2 $1 x $1 2 ");
    CHECK_TEXT(run(stage, "zdiffstore s 1 none"), ":0 ");
    CHECK_EQ(key_of(stage, "s").type, VALUE_NONE);
    stage_free(stage);
}

TEST(zset, turns_what_is_not_a_number_into_zero_when_combining)
{
    struct stage *stage = stage_new();
    run(stage, "zadd a inf x 0 y");
    run(stage, "zadd b -inf x");
    CHECK_TEXT(run(stage, "zunion 2 a b withscores"), "*4 $1 x $1 0 $1 y $1 0 ");
    CHECK_TEXT(run(stage, "zunion 1 a weights inf withscores"), "*4 $1 y $1 0 $1 x $3 inf ");
    CHECK_TEXT(run(stage, "zinter 2 a b withscores"), "*2 $1 x $1 0 ");
    stage_free(stage);
}

TEST(zset, unites_many_times_the_same_set_in_little_memory)
{
    struct stage *stage = stage_new();
    char line[64];
    for (int i = 0; i < 500; i++) {
        snprintf(line, sizeof line, "zadd z %d m%d", i, i);
        run(stage, line);
    }
    CHECK_TEXT(run(stage, "zunionstore d 30 z z z z z z z z z z z z z z z z z z z z z z z z z z z "
                          "z z z"),
               ":500 ");
    CHECK_TEXT(run(stage, "zscore d m499"), "$5 14970 ");
    CHECK_TEXT(run(stage, "zrank d m499"), ":499 ");
    stage_free(stage);
}

TEST(zset, keeps_its_expiry_when_modified_and_loses_it_when_stored_over)
{
    struct stage *stage = stage_new();
    char name[] = "z";
    run(stage, "zadd z 1 a 2 b");
    stage_run(stage, /*keep=*/true, give_expiry, name);
    uint64_t expiry = key_of(stage, "z").expire_ms;
    CHECK_NE(expiry, 0);
    run(stage, "zadd z 3 c");
    run(stage, "zpopmin z");
    run(stage, "zremrangebyscore z 3 3");
    CHECK_EQ(key_of(stage, "z").expire_ms, expiry);
    CHECK_TEXT(run(stage, "zrangestore z z 0 -1"), ":1 ");
    CHECK_EQ(key_of(stage, "z").expire_ms, 0);
    stage_free(stage);
}

#define LONG_MEMBER "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm"

TEST(zset, a_stored_range_loses_the_sign_of_zeros_as_long_as_it_is_compact)
{
    struct stage *stage = stage_new();
    run(stage, "zadd z 1 " LONG_MEMBER);
    run(stage, "zadd z -0 a 2 b");
    CHECK_TEXT(run(stage, "zscore z a"), "$2 -0 ");
    run(stage, "zrangestore d z 0 -1");
    CHECK_TEXT(run(stage, "zscore d a"), "$1 0 ");
    run(stage, "zrangestore d z 2 0 byscore rev");
    CHECK_TEXT(run(stage, "zscore d a"), "$2 -0 ");
    stage_free(stage);
}

TEST(zset, refuses_keys_of_other_types)
{
    struct stage *stage = stage_new();
    run(stage, "sadd s a");
    static const char *const commands[] = {
        "zadd s 1 a",           "zrem s a",  "zrange s 0 -1",
        "zscore s a",           "zrank s a", "zcount s 0 1",
        "zlexcount s - +",      "zpopmin s", "zremrangebyrank s 0 1",
        "zrandmember s",        "zscan s 0", "zmpop 1 s min",
        "zrangestore d s 0 -1", "zcard s",
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        CHECK_TEXT(run(stage, commands[i]),
                   "-WRONGTYPE Operation against a key holding the wrong kind of value ");
    }
    run(stage, "rpush l a");
    CHECK_TEXT(run(stage, "zunion 2 s l"),
               "-WRONGTYPE Operation against a key holding the wrong kind of value ");
    stage_free(stage);
}

TEST(zset, tells_of_its_changes)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(notes_of(stage, "zadd z 1 a 2 b"), "zadd z ");
    CHECK_TEXT(notes_of(stage, "zadd z 1 a"), "");
    CHECK_TEXT(notes_of(stage, "zincrby z 1 a"), "zincr z ");
    CHECK_TEXT(notes_of(stage, "zrem z a none"), "zrem z ");
    CHECK_TEXT(notes_of(stage, "zpopmax z"), "zpopmax z del z ");
    CHECK_TEXT(notes_of(stage, "zadd z 1 a 2 b 3 c"), "zadd z ");
    CHECK_TEXT(notes_of(stage, "zremrangebyscore z 3 3"), "zremrangebyscore z ");
    CHECK_TEXT(notes_of(stage, "zunionstore d 1 z"), "zunionstore d ");
    CHECK_TEXT(notes_of(stage, "zunionstore d 1 none"), "del d ");
    CHECK_TEXT(notes_of(stage, "zunionstore d 1 none"), "");
    CHECK_TEXT(notes_of(stage, "zremrangebyrank z 0 -1"), "zremrangebyrank z del z ");
    stage_free(stage);
}

TEST(zset, visits_every_member_once_in_a_scan)
{
    struct stage *stage = stage_new();
    char line[64];
    for (int i = 0; i < 300; i++) {
        snprintf(line, sizeof line, "zadd z %d m%03d", i, i);
        run(stage, line);
    }
    bool seen[300] = {false};
    int visits = 0;
    char cursor[32] = "0";
    do {
        snprintf(line, sizeof line, "zscan z %s count 20", cursor);
        const char *reply = run(stage, line);
        CHECK_EQ(sscanf(reply, "*2 $%*d %31s", cursor), 1);
        for (const char *at = strstr(reply, " m"); at != NULL; at = strstr(at + 1, " m")) {
            int number = -1;
            CHECK_EQ(sscanf(at, " m%3d", &number), 1);
            CHECK(number >= 0 && number < 300 && !seen[number]);
            seen[number] = true;
            visits++;
        }
    } while (strcmp(cursor, "0") != 0);
    CHECK_EQ(visits, 300);
    stage_free(stage);
}
