/* Hashes: counts, encodings, expiry, refusals. Replies in the wide are compared with redis-server by
 * the differential test. */
#include "stage.h"

#include "support/test.h"

#include <stdio.h>
#include <string.h>

static const char *run(struct stage *stage, const char *line)
{
    return stage_exec(stage, line);
}

static const char LONG_TEXT[] = "ABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDEFGHIJABCDE";

TEST(hash, counts_new_fields_only_and_goes_with_the_last)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "hset h a 1 b 2 a 3"), ":2 ");
    CHECK_TEXT(run(stage, "hset h a 4 c 5"), ":1 ");
    CHECK_TEXT(run(stage, "hmset h d 6"), "+OK ");
    CHECK_TEXT(run(stage, "hlen h"), ":4 ");
    CHECK_TEXT(run(stage, "hmget h a b none d"), "*4 $1 4 $1 2 $-1 $1 6 ");
    CHECK_TEXT(run(stage, "hsetnx h a 9"), ":0 ");
    CHECK_TEXT(run(stage, "hsetnx h e 77"), ":1 ");
    CHECK_TEXT(run(stage, "hget h e"), "$2 77 ");
    CHECK_TEXT(run(stage, "hstrlen h e"), ":2 ");
    CHECK_TEXT(run(stage, "hstrlen h none"), ":0 ");
    CHECK_TEXT(run(stage, "hexists h e"), ":1 ");
    CHECK_TEXT(run(stage, "hexists none e"), ":0 ");
    CHECK_TEXT(run(stage, "hdel h a a b none c"), ":3 ");
    CHECK_TEXT(run(stage, "hdel h d e x"), ":2 ");
    CHECK_TEXT(run(stage, "exists h"), ":0 ");
    CHECK_TEXT(run(stage, "hgetall h"), "*0 ");
    CHECK_TEXT(run(stage, "dbsize"), ":0 ");
    stage_free(stage);
}

TEST(hash, refuses_an_odd_number_of_arguments_before_the_type)
{
    struct stage *stage = stage_new();
    run(stage, "set s x");
    CHECK_TEXT(run(stage, "hset s a 1 b"), "-ERR wrong number of arguments for 'hset' command ");
    CHECK_TEXT(run(stage, "hmset s a 1 b"), "-ERR wrong number of arguments for 'hmset' command ");
    static const char *const wrong[] = {"hset s a 1",
                                        "hmset s a 1",
                                        "hsetnx s a 1",
                                        "hget s a",
                                        "hmget s a",
                                        "hdel s a",
                                        "hincrby s a 1",
                                        "hlen s",
                                        "hkeys s",
                                        "hvals s",
                                        "hgetall s",
                                        "hexists s a",
                                        "hincrbyfloat s a 1",
                                        "hstrlen s a",
                                        "hscan s 0",
                                        "hrandfield s"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_TEXT(run(stage, wrong[i]),
                   "-WRONGTYPE Operation against a key holding the wrong kind of value ");
    }
    CHECK_TEXT(run(stage, "get s"), "$1 x ");
    stage_free(stage);
}

TEST(hash, turns_into_a_hashtable_for_good)
{
    struct stage *stage = stage_new();
    char line[256];
    run(stage, "hset h f 1");
    CHECK_TEXT(run(stage, "object encoding h"), "$8 listpack ");
    snprintf(line, sizeof line, "hset h f %.64s", LONG_TEXT);
    run(stage, line);
    CHECK_TEXT(run(stage, "object encoding h"), "$8 listpack ");
    snprintf(line, sizeof line, "hset h f %s", LONG_TEXT);
    run(stage, line);
    CHECK_TEXT(run(stage, "object encoding h"), "$9 hashtable ");
    run(stage, "hset h f 1");
    CHECK_TEXT(run(stage, "object encoding h"), "$9 hashtable ");
    snprintf(line, sizeof line, "hincrby i %s 1", LONG_TEXT);
    CHECK_TEXT(run(stage, line), ":1 ");
    CHECK_TEXT(run(stage, "object encoding i"), "$9 hashtable ");
    for (int i = 0; i < 512; i++) {
        snprintf(line, sizeof line, "hset many f%d v", i);
        run(stage, line);
    }
    CHECK_TEXT(run(stage, "object encoding many"), "$8 listpack ");
    run(stage, "hset many one_more v");
    CHECK_TEXT(run(stage, "object encoding many"), "$9 hashtable ");
    run(stage, "hdel many one_more f1 f2");
    CHECK_TEXT(run(stage, "object encoding many"), "$9 hashtable ");
    stage_free(stage);
}

TEST(hash, adds_to_integers_within_their_range)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "hincrby h f 9223372036854775807"), ":9223372036854775807 ");
    CHECK_TEXT(run(stage, "hincrby h f 1"), "-ERR increment or decrement would overflow ");
    CHECK_TEXT(run(stage, "hincrby h f -9223372036854775808"), ":-1 ");
    CHECK_TEXT(run(stage, "hincrby h f -9223372036854775808"),
               "-ERR increment or decrement would overflow ");
    CHECK_TEXT(run(stage, "hincrby none f 1x"), "-ERR value is not an integer or out of range ");
    CHECK_TEXT(run(stage, "exists none"), ":0 ");
    run(stage, "hset h text abc");
    CHECK_TEXT(run(stage, "hincrby h text 1"), "-ERR hash value is not an integer ");
    stage_free(stage);
}

TEST(hash, adds_to_decimals_as_redis_prints_them)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "hincrbyfloat h f 10.5"), "$4 10.5 ");
    CHECK_TEXT(run(stage, "hincrbyfloat h f 0.1"), "$4 10.6 ");
    CHECK_TEXT(run(stage, "hincrbyfloat h f 5.0e3"), "$22 5010.60000000000000009 ");
    CHECK_TEXT(run(stage, "hincrbyfloat h f -5010.6"), "$1 0 ");
    CHECK_TEXT(run(stage, "hincrbyfloat h f inf"), "-ERR value is NaN or Infinity ");
    CHECK_TEXT(run(stage, "hincrbyfloat h f nan"), "-ERR value is not a valid float ");
    run(stage, "hset h text abc inf inf");
    CHECK_TEXT(run(stage, "hincrbyfloat h text 1"), "-ERR hash value is not a float ");
    CHECK_TEXT(run(stage, "hincrbyfloat h inf 1"), "-ERR increment would produce NaN or Infinity ");
    CHECK_TEXT(run(stage, "hget h f"), "$1 0 ");
    stage_free(stage);
}

TEST(hash, keeps_its_expiry_when_fields_change)
{
    struct stage *stage = stage_new();
    run(stage, "hset h a 1 b 2");
    run(stage, "pexpire h 5000");
    run(stage, "hset h c 3");
    run(stage, "hincrby h c 1");
    run(stage, "hdel h a");
    CHECK_TEXT(run(stage, "pttl h"), ":5000 ");
    stage_set_time(stage, 1005001);
    CHECK_TEXT(run(stage, "hlen h"), ":0 ");
    CHECK_TEXT(run(stage, "hset h z 1"), ":1 ");
    CHECK_TEXT(run(stage, "pttl h"), ":-1 ");
    CHECK_TEXT(run(stage, "hkeys h"), "*1 $1 z ");
    stage_free(stage);
}

TEST(hash, a_hash_that_was_deleted_leaves_no_fields)
{
    struct stage *stage = stage_new();
    run(stage, "hset h a 1");
    run(stage, "del h");
    run(stage, "hset h b 2");
    CHECK_TEXT(run(stage, "hgetall h"), "*2 $1 b $1 2 ");
    run(stage, "rename h i");
    CHECK_TEXT(run(stage, "hgetall i"), "*2 $1 b $1 2 ");
    CHECK_TEXT(run(stage, "hgetall h"), "*0 ");
    stage_free(stage);
}

TEST(hash, a_small_one_is_scanned_in_one_step_and_filtered)
{
    struct stage *stage = stage_new();
    run(stage, "hset h apple 1");
    CHECK_TEXT(run(stage, "hscan h 0"), "*2 $1 0 *2 $5 apple $1 1 ");
    CHECK_TEXT(run(stage, "hscan h 0 match a* count 1"), "*2 $1 0 *2 $5 apple $1 1 ");
    CHECK_TEXT(run(stage, "hscan h 0 match b*"), "*2 $1 0 *0 ");
    CHECK_TEXT(run(stage, "hscan none 0 nonsense"), "*2 $1 0 *0 ");
    CHECK_TEXT(run(stage, "hscan h 0 nonsense"), "-ERR syntax error ");
    CHECK_TEXT(run(stage, "hscan h x"), "-ERR invalid cursor ");
    stage_free(stage);
}

TEST(hash, random_fields_with_limits_of_the_count)
{
    struct stage *stage = stage_new();
    run(stage, "hset h a 1");
    CHECK_TEXT(run(stage, "hrandfield h"), "$1 a ");
    CHECK_TEXT(run(stage, "hrandfield none"), "$-1 ");
    CHECK_TEXT(run(stage, "hrandfield none 2"), "*0 ");
    CHECK_TEXT(run(stage, "hrandfield h 5"), "*1 $1 a ");
    CHECK_TEXT(run(stage, "hrandfield h 0"), "*0 ");
    CHECK_TEXT(run(stage, "hrandfield h -3"), "*3 $1 a $1 a $1 a ");
    CHECK_TEXT(run(stage, "hrandfield h -2 withvalues"), "*4 $1 a $1 1 $1 a $1 1 ");
    CHECK_TEXT(run(stage, "hrandfield h -9223372036854775808"),
               "-ERR value is out of range, value must between -9223372036854775807 and "
               "9223372036854775807 ");
    CHECK_TEXT(run(stage, "hrandfield h 9223372036854775807 withvalues"),
               "-ERR value is out of range ");
    CHECK_TEXT(run(stage, "hrandfield h 1 withvalue"), "-ERR syntax error ");
    /* Not even begun: the reply would be larger than any may be. */
    const char *reply = run(stage, "hrandfield h -9223372036854775807");
    CHECK_EQ(strncmp(reply, "-ERR", 4), 0);
    stage_free(stage);
}
