/* Commands of any type of key: expiry, names, copies, databases, scans. Replies in the wide are
 * compared with redis-server by the differential test. */
#include "stage.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

static const char *run(struct stage *stage, const char *line)
{
    return stage_exec(stage, line);
}

TEST(generic, expire_acts_on_its_conditions)
{
    struct stage *stage = stage_new();
    run(stage, "set a 1");
    CHECK_TEXT(run(stage, "expire a 100 xx"), ":0 ");
    CHECK_TEXT(run(stage, "expire a 100 gt"), ":0 ");
    CHECK_TEXT(run(stage, "expire a 100 lt"), ":1 ");
    CHECK_TEXT(run(stage, "expire a 200 nx"), ":0 ");
    CHECK_TEXT(run(stage, "expire a 100 gt"), ":0 ");
    CHECK_TEXT(run(stage, "expire a 200 gt xx"), ":1 ");
    CHECK_TEXT(run(stage, "ttl a"), ":200 ");
    CHECK_TEXT(run(stage, "pexpire a 1 lt"), ":1 ");
    CHECK_TEXT(run(stage, "expire a 1 nx gt"),
               "-ERR NX and XX, GT or LT options at the same time are not compatible ");
    CHECK_TEXT(run(stage, "expire a 1 gt lt"),
               "-ERR GT and LT options at the same time are not compatible ");
    CHECK_TEXT(run(stage, "expire a 1 foo"), "-ERR Unsupported option foo ");
    CHECK_TEXT(run(stage, "expire none 1"), ":0 ");
    stage_free(stage);
}

TEST(generic, expire_refuses_what_does_not_fit_and_deletes_what_is_past)
{
    struct stage *stage = stage_new();
    run(stage, "set a 1");
    CHECK_TEXT(run(stage, "expire a 9223372036854775807"),
               "-ERR invalid expire time in 'expire' command ");
    CHECK_TEXT(run(stage, "expire a -9223372036854775808"),
               "-ERR invalid expire time in 'expire' command ");
    CHECK_TEXT(run(stage, "pexpire a 9223372036854775807"),
               "-ERR invalid expire time in 'pexpire' command ");
    CHECK_TEXT(run(stage, "pexpireat a 9223372036854775807"), ":1 ");
    CHECK_TEXT(run(stage, "expiretime a"), ":9223372036854776 ");
    CHECK_TEXT(run(stage, "pexpireat a -9223372036854775808"), ":1 ");
    CHECK_TEXT(run(stage, "exists a"), ":0 ");
    run(stage, "rpush l a b");
    CHECK_TEXT(run(stage, "expire l 0"), ":1 ");
    CHECK_TEXT(run(stage, "type l"), "+none ");
    stage_free(stage);
}

TEST(generic, a_time_to_live_is_told_in_each_unit)
{
    struct stage *stage = stage_new();
    run(stage, "set a 1 px 1500");
    CHECK_TEXT(run(stage, "pttl a"), ":1500 ");
    CHECK_TEXT(run(stage, "ttl a"), ":2 ");
    CHECK_TEXT(run(stage, "pexpiretime a"), ":1001500 ");
    CHECK_TEXT(run(stage, "expiretime a"), ":1002 ");
    CHECK_TEXT(run(stage, "ttl none"), ":-2 ");
    CHECK_TEXT(run(stage, "persist a"), ":1 ");
    CHECK_TEXT(run(stage, "persist a"), ":0 ");
    CHECK_TEXT(run(stage, "pttl a"), ":-1 ");
    stage_free(stage);
}

TEST(generic, rename_takes_the_expiry_along_and_replaces_the_target)
{
    struct stage *stage = stage_new();
    run(stage, "rpush a x y");
    run(stage, "expire a 100");
    run(stage, "set b old");
    CHECK_TEXT(run(stage, "renamenx a b"), ":0 ");
    CHECK_TEXT(run(stage, "rename a b"), "+OK ");
    CHECK_TEXT(run(stage, "lrange b 0 -1"), "*2 $1 x $1 y ");
    CHECK_TEXT(run(stage, "ttl b"), ":100 ");
    CHECK_TEXT(run(stage, "rename b b"), "+OK ");
    CHECK_TEXT(run(stage, "renamenx b b"), ":0 ");
    CHECK_TEXT(run(stage, "rename a b"), "-ERR no such key ");
    CHECK_TEXT(run(stage, "dbsize"), ":1 ");
    stage_free(stage);
}

/* The whole value of a key, by the command of its type. */
static const char *read_value(struct stage *stage, const char *command, const char *key,
                              const char *options)
{
    char line[128];
    snprintf(line, sizeof line, "%s %s%s", command, key, options);
    return run(stage, line);
}

TEST(generic, a_copy_is_its_own_value)
{
    static const struct {
        const char *make;
        const char *read; /* a command, and what comes after the key */
        const char *options;
        const char *change;
    } types[] = {
        {"rpush k a b c", "lrange", " 0 -1", "lset c 0 x"},
        {"sadd k 1 2 3", "smembers", "", "sadd c 4"},
        {"hset k f v g w", "hgetall", "", "hset c f x"},
        {"zadd k 1 a 2 b", "zrange", " 0 -1 withscores", "zadd c 9 a"},
        {"xadd k 1-1 f v", "xrange", " - +", "xadd c 2-1 f v"},
        {"set k text", "get", "", "append c x"},
    };
    struct stage *stage = stage_new();
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        run(stage, types[i].make);
        run(stage, "expire k 100");
        const char *before = read_value(stage, types[i].read, "k", types[i].options);
        CHECK_TEXT(run(stage, "copy k c"), ":1 ");
        CHECK_TEXT(run(stage, "copy k c"), ":0 ");
        CHECK_TEXT(read_value(stage, types[i].read, "c", types[i].options), before);
        CHECK_TEXT(run(stage, "ttl c"), ":100 ");
        run(stage, types[i].change);
        CHECK(strcmp(read_value(stage, types[i].read, "c", types[i].options), before) != 0);
        CHECK_TEXT(read_value(stage, types[i].read, "k", types[i].options), before);
        CHECK_TEXT(run(stage, "copy k c replace"), ":1 ");
        CHECK_TEXT(read_value(stage, types[i].read, "c", types[i].options), before);
        CHECK_TEXT(run(stage, "del k c"), ":2 ");
    }
    CHECK_TEXT(run(stage, "copy k k"), "-ERR source and destination objects are the same ");
    CHECK_TEXT(run(stage, "copy k k db 16"), "-ERR DB index is out of range ");
    stage_free(stage);
}

TEST(generic, keys_move_between_databases_once)
{
    struct stage *stage = stage_new();
    run(stage, "rpush a x");
    run(stage, "set b 1 ex 100");
    CHECK_TEXT(run(stage, "move a 3"), ":1 ");
    CHECK_TEXT(run(stage, "move a 3"), ":0 ");
    CHECK_TEXT(run(stage, "copy b a db 3"), ":0 ");
    CHECK_TEXT(run(stage, "copy b a db 3 replace"), ":1 ");
    CHECK_TEXT(run(stage, "move b 0"), "-ERR source and destination objects are the same ");
    CHECK_TEXT(run(stage, "move b 16"), "-ERR DB index is out of range ");
    CHECK_TEXT(run(stage, "swapdb 0 3"), "+OK ");
    CHECK_TEXT(run(stage, "get a"), "$1 1 ");
    CHECK_TEXT(run(stage, "ttl a"), ":100 ");
    CHECK_TEXT(run(stage, "dbsize"), ":1 ");
    CHECK_TEXT(run(stage, "swapdb 0 16"), "-ERR DB index is out of range ");
    CHECK_TEXT(run(stage, "swapdb x 0"), "-ERR invalid first DB index ");
    stage_set_time(stage, 2000000);
    CHECK_TEXT(run(stage, "exists a"), ":0 ");
    stage_free(stage);
}

TEST(generic, flushing_empties_one_database_or_all)
{
    struct stage *stage = stage_new();
    run(stage, "set a 1");
    run(stage, "set b 1");
    run(stage, "move b 2");
    CHECK_TEXT(run(stage, "flushdb async"), "+OK ");
    CHECK_TEXT(run(stage, "dbsize"), ":0 ");
    CHECK_TEXT(run(stage, "keys *"), "*0 ");
    CHECK_TEXT(run(stage, "randomkey"), "$-1 ");
    run(stage, "swapdb 0 2");
    CHECK_TEXT(run(stage, "keys *"), "*1 $1 b ");
    CHECK_TEXT(run(stage, "flushall sync"), "+OK ");
    CHECK_TEXT(run(stage, "keys *"), "*0 ");
    CHECK_TEXT(run(stage, "flushall now"), "-ERR syntax error ");
    stage_free(stage);
}

/* Walks SCAN with some options; returns how many keys it answered, none twice. */
static int scan_all(struct stage *stage, const char *options)
{
    static char seen[1000];
    memset(seen, 0, sizeof seen);
    char cursor[32] = "0";
    int found = 0;
    do {
        char line[128];
        snprintf(line, sizeof line, "scan %s%s", cursor, options);
        const char *reply = run(stage, line);
        CHECK(sscanf(reply, "*2 $%*d %31s", cursor) == 1);
        for (const char *at = strstr(reply, "key:"); at != NULL; at = strstr(at + 1, "key:")) {
            int number = atoi(at + 4);
            CHECK(number >= 0 && number < 1000 && !seen[number]);
            seen[number] = 1;
            found++;
        }
    } while (strcmp(cursor, "0") != 0);
    return found;
}

TEST(generic, a_scan_visits_each_key_once)
{
    struct stage *stage = stage_new();
    char line[64];
    for (int i = 0; i < 300; i++) {
        snprintf(line, sizeof line, i % 3 == 0 ? "rpush key:%d x" : "set key:%d x", i);
        run(stage, line);
    }
    CHECK_EQ(scan_all(stage, ""), 300);
    CHECK_EQ(scan_all(stage, " count 1"), 300);
    CHECK_EQ(scan_all(stage, " count 1000000"), 300);
    CHECK_EQ(scan_all(stage, " type list"), 100);
    CHECK_EQ(scan_all(stage, " match key:1?"), 10);
    CHECK_EQ(scan_all(stage, " match key:1? type STRING count 7"), 7); /* less 12, 15, 18 */
    CHECK_TEXT(run(stage, "scan x"), "-ERR invalid cursor ");
    CHECK_TEXT(run(stage, "scan 18446744073709551616"), "-ERR invalid cursor ");
    CHECK_TEXT(run(stage, "scan 0 count 0"), "-ERR syntax error ");
    run(stage, "expire key:1 10");
    stage_set_time(stage, 1010000);
    CHECK_EQ(scan_all(stage, ""), 299);
    stage_free(stage);
}

TEST(generic, a_random_key_is_one_that_has_not_expired)
{
    struct stage *stage = stage_new();
    char line[64];
    for (int i = 0; i < 200; i++) {
        snprintf(line, sizeof line, "set key:%d x px 10", i);
        run(stage, line);
    }
    run(stage, "set last x");
    stage_set_time(stage, 1000010);
    for (int i = 0; i < 5; i++) {
        CHECK_TEXT(run(stage, "randomkey"), "$4 last ");
    }
    stage_free(stage);
}

TEST(generic, object_and_memory_tell_of_keys_that_exist)
{
    struct stage *stage = stage_new();
    run(stage, "set a 5");
    run(stage, "rpush l aaaaaaaaaa bbbbbbbbbb");
    CHECK_TEXT(run(stage, "object refcount a"), ":2147483647 ");
    CHECK_TEXT(run(stage, "object refcount l"), ":1 ");
    CHECK_TEXT(run(stage, "object idletime l"), ":0 ");
    CHECK_TEXT(run(stage, "object encoding none"), "$-1 ");
    CHECK_TEXT(run(stage, "memory usage none"), "$-1 ");
    int string_bytes = atoi(run(stage, "memory usage a") + 1);
    int list_bytes = atoi(run(stage, "memory usage l samples 0") + 1);
    CHECK_GT(string_bytes, 2);
    CHECK_GT(list_bytes, string_bytes + 20);
    CHECK_TEXT(run(stage, "memory usage a samples -1"), "-ERR syntax error ");
    stage_free(stage);
}
