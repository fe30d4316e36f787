/*
 * The modification index, which WATCH goes by: a command that changes a key changes it, one that
 * changes nothing does not. The table was taken down from Redis 7.0.15: for each row, whether EXEC
 * failed after the setup, a WATCH of k and the command by another client.
 *
 * ctest: timeout=180
 */
#include "coredb/base/bytes.h"
#include "coredb/value/key.h"
#include "stage.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

struct row {
    const char *setup; /* commands, with semicolons between them */
    const char *command;
    bool fails; /* EXEC */
};

static const struct row rows[] = {
    {"set k a", "set k b", true},
    {"set k a", "set k a", true},
    {"set k a", "set k b nx", false},
    {"set k a", "set k b xx", true},
    {"", "set k b xx", false},
    {"", "set k b nx", true},
    {"set k a", "set k b get", true},
    {"set k a", "get k", false},
    {"set k a", "getset k a", true},
    {"set k a", "getdel k", true},
    {"", "getdel k", false},
    {"set k a", "getex k", false},
    {"set k a", "getex k ex 100", true},
    {"set k a", "getex k persist", false},
    {"set k a ex 100", "getex k persist", true},
    {"set k a", "setnx k b", false},
    {"", "setnx k b", true},
    {"set k a", "setex k 100 a", true},
    {"set k a", "psetex k 100000 a", true},
    {"set k a", "append k b", true},
    {"", "append k b", true},
    {"set k 1", "incr k", true},
    {"set k 1", "incrby k 0", true},
    {"set k 1", "incrbyfloat k 0", true},
    {"set k a", "incr k", false},
    {"set k a", "setrange k 0 b", true},
    {"", "setrange k 0 b", true},
    {"set k a", "setrange k 10 b", true},
    {"set k a", "mset k b j c", true},
    {"set k a", "msetnx k b j c", false},
    {"", "msetnx k b j c", true},
    {"set k a", "setbit k 0 1", true},
    {"set k a", "setbit k 7 1", false},
    {"set k a", "bitop not k k", true},
    {"set k a", "bitop and k none none", true},
    {"", "bitop and k none none", false},
    {"set k a", "bitfield k set u8 0 1", true},
    {"set k a", "bitfield k get u8 0", false},
    {"set k a", "bitfield k incrby u8 0 0", false},
    {"set k a", "bitfield k overflow fail incrby u2 0 3", false},
    {"", "pfadd k", true},
    {"", "pfadd k a", true},
    {"pfadd k a", "pfadd k a", false},
    {"pfadd k a", "pfadd k b c d e", true},
    {"pfadd k a", "pfcount k", true},
    {"pfadd k a", "pfmerge k k", true},
    {"pfadd k a", "pfmerge k none", true},
    {"", "pfmerge k", true},
    {"rpush k a", "rpush k b", true},
    {"rpush k a", "lpush k b", true},
    {"rpush k a", "rpushx k b", true},
    {"", "rpushx k b", false},
    {"rpush k a b", "lpop k", true},
    {"rpush k a", "lpop k", true},
    {"rpush k a", "lpop k 0", false},
    {"", "lpop k", false},
    {"rpush k a b", "rpop k 2", true},
    {"rpush k a b", "lset k 0 c", true},
    {"rpush k a b", "lset k 9 c", false},
    {"rpush k a b", "lset k 0 a", true},
    {"rpush k a b", "linsert k before a x", true},
    {"rpush k a b", "linsert k before nope x", false},
    {"rpush k a b", "lrem k 0 a", true},
    {"rpush k a b", "lrem k 0 nope", false},
    {"rpush k a b", "ltrim k 0 -1", true},
    {"rpush k a b", "ltrim k 0 0", true},
    {"rpush k a b", "ltrim k 5 9", true},
    {"", "ltrim k 0 0", false},
    {"rpush k a b", "lmove k j left right", true},
    {"rpush j a b", "lmove j k left right", true},
    {"rpush k a b", "lmove k k left right", true},
    {"rpush k a", "lmove k k left right", true},
    {"rpush k a", "rpoplpush k k", true},
    {"", "lmove k j left right", false},
    {"rpush k a b", "lmpop 1 k left", true},
    {"", "lmpop 1 k left", false},
    {"rpush k a b", "blpop k 0", true},
    {"rpush k a b", "lrange k 0 -1", false},
    {"rpush k a b", "blmove k j left left 0", true},
    {"hset k f v", "hset k f w", true},
    {"hset k f v", "hset k f v", true},
    {"hset k f v", "hset k g v", true},
    {"hset k f v", "hmset k f v", true},
    {"hset k f v", "hsetnx k f w", false},
    {"hset k f v", "hsetnx k g w", true},
    {"hset k f 1", "hincrby k f 0", true},
    {"hset k f 1", "hincrby k f 1", true},
    {"hset k f 1", "hincrbyfloat k f 0", true},
    {"hset k f v", "hdel k f", true},
    {"hset k f v g w", "hdel k f", true},
    {"hset k f v", "hdel k nope", false},
    {"hset k f v", "hgetall k", false},
    {"", "hdel k f", false},
    {"sadd k a", "sadd k b", true},
    {"sadd k a", "sadd k a", false},
    {"sadd k a", "srem k a", true},
    {"sadd k a b", "srem k nope", false},
    {"sadd k a b", "spop k", true},
    {"sadd k a b", "spop k 0", false},
    {"sadd k a b", "spop k 5", true},
    {"", "spop k", false},
    {"sadd k a b", "smove k j a", true},
    {"sadd k a b", "smove k j nope", false},
    {"sadd k a b", "smove k k a", false},
    {"sadd j a b", "smove j k a", true},
    {"sadd k a;sadd j a", "smove j k a", false},
    {"sadd k a b", "sinterstore k k k", true},
    {"sadd k a b", "sinterstore k none", true},
    {"", "sinterstore k none", false},
    {"sadd k a b", "sunionstore k k", true},
    {"sadd k a b", "sdiffstore k k k", true},
    {"sadd k a b", "sismember k a", false},
    {"zadd k 1 a", "zadd k 2 a", true},
    {"zadd k 1 a", "zadd k 1 a", false},
    {"zadd k 1 a", "zadd k 1 b", true},
    {"zadd k 1 a", "zadd k nx 2 a", false},
    {"zadd k 1 a", "zadd k xx 2 b", false},
    {"zadd k 1 a", "zadd k gt 0 a", false},
    {"", "zadd k xx 2 b", false},
    {"zadd k 1 a", "zincrby k 0 a", false},
    {"zadd k 1 a", "zincrby k 1 a", true},
    {"zadd k 1 a", "zadd k incr 0 a", false},
    {"zadd k 1 a", "zrem k a", true},
    {"zadd k 1 a", "zrem k b", false},
    {"zadd k 1 a", "zpopmin k", true},
    {"zadd k 1 a", "zpopmin k 0", false},
    {"", "zpopmin k", false},
    {"zadd k 1 a", "zmpop 1 k min", true},
    {"zadd k 1 a 2 b", "bzpopmin k 0", true},
    {"zadd k 1 a", "zrangestore k k 0 -1", true},
    {"zadd k 1 a", "zrangestore k none 0 -1", true},
    {"", "zrangestore k none 0 -1", false},
    {"zadd k 1 a", "zunionstore k 1 k", true},
    {"zadd k 1 a", "zinterstore k 1 none", true},
    {"", "zinterstore k 1 none", false},
    {"zadd k 1 a", "zdiffstore k 1 k", true},
    {"zadd k 1 a", "zremrangebyrank k 0 0", true},
    {"zadd k 1 a", "zremrangebyrank k 5 9", false},
    {"zadd k 1 a", "zremrangebyscore k 5 9", false},
    {"zadd k 1 a", "zremrangebyscore k 1 9", true},
    {"zadd k 1 a", "zremrangebylex k [a [a", true},
    {"zadd k 1 a", "zscore k a", false},
    {"", "geoadd k 13.361389 38.115556 p", true},
    {"geoadd k 13.361389 38.115556 p", "geoadd k 13.361389 38.115556 p", false},
    {"geoadd k 13.361389 38.115556 p", "geoadd k nx 15 38 p", false},
    {"geoadd k 13.361389 38.115556 p", "geosearchstore k k fromlonlat 0 0 byradius 1 m", true},
    {"geoadd k 13.361389 38.115556 p", "georadius k 0 0 1 m store k", true},
    {"", "xadd k 5-0 f v", true},
    {"xadd k 5-0 f v", "xadd k 4-0 f v", false},
    {"", "xadd k nomkstream * f v", false},
    {"xadd k 5-0 f v", "xdel k 5-0", true},
    {"xadd k 5-0 f v", "xdel k 6-0", false},
    {"xadd k 5-0 f v", "xtrim k maxlen 0", true},
    {"xadd k 5-0 f v", "xtrim k maxlen 5", false},
    {"xadd k 5-0 f v", "xsetid k 9-0", true}, /* not in Redis, which forgets it */
    {"xadd k 5-0 f v", "xgroup create k g 0", false},
    {"xadd k 5-0 f v;xgroup create k g 0", "xgroup create k g 0", false},
    {"", "xgroup create k g 0 mkstream", true},
    {"xadd k 5-0 f v;xgroup create k g 0", "xgroup setid k g 0", false},
    {"xadd k 5-0 f v;xgroup create k g 0", "xgroup destroy k g", false},
    {"xadd k 5-0 f v;xgroup create k g 0", "xgroup destroy k nope", false},
    {"xadd k 5-0 f v;xgroup create k g 0", "xgroup createconsumer k g c", false},
    {"xadd k 5-0 f v;xgroup create k g 0;xgroup createconsumer k g c",
     "xgroup createconsumer k g c", false},
    {"xadd k 5-0 f v;xgroup create k g 0", "xgroup delconsumer k g c", false},
    {"xadd k 5-0 f v;xgroup create k g 0;xgroup createconsumer k g c", "xgroup delconsumer k g c",
     false},
    {"xadd k 5-0 f v;xgroup create k g 0", "xreadgroup group g c streams k >", false},
    {"xadd k 5-0 f v;xgroup create k g $", "xreadgroup group g c streams k >", false},
    {"xadd k 5-0 f v;xgroup create k g $;xreadgroup group g c streams k >",
     "xreadgroup group g c streams k >", false},
    {"xadd k 5-0 f v;xgroup create k g 0;xreadgroup group g c streams k >",
     "xreadgroup group g c streams k 0", false},
    {"xadd k 5-0 f v;xgroup create k g 0;xreadgroup group g c streams k >", "xack k g 5-0", false},
    {"xadd k 5-0 f v;xgroup create k g 0", "xack k g 5-0", false},
    {"xadd k 5-0 f v;xgroup create k g 0;xreadgroup group g c streams k >", "xclaim k g d 0 5-0",
     false},
    {"xadd k 5-0 f v;xgroup create k g 0;xreadgroup group g c streams k >",
     "xclaim k g d 100000 5-0", false},
    {"xadd k 5-0 f v;xgroup create k g 0;xreadgroup group g c streams k >", "xautoclaim k g d 0 0",
     false},
    {"xadd k 5-0 f v;xgroup create k g 0;xreadgroup group g c streams k >",
     "xautoclaim k g c 100000 0", false},
    {"xadd k 5-0 f v", "xread streams k 0", false},
    {"set k a", "del k", true},
    {"", "del k", false},
    {"set k a", "unlink k", true},
    {"set k a", "expire k 100", true},
    {"set k a", "expire k 100 xx", false},
    {"set k a", "expire k -1", true},
    {"", "expire k 100", false},
    {"set k a", "pexpireat k 99999999999999", true},
    {"set k a ex 100", "persist k", true},
    {"set k a", "persist k", false},
    {"set k a", "rename k j", true},
    {"set j a", "rename j k", true},
    {"set j a;set k b", "rename j k", true},
    {"set k a", "rename k k", false},
    {"set j a;set k b", "renamenx j k", false},
    {"set j a", "renamenx j k", true},
    {"set k a", "copy k j", false},
    {"set j a", "copy j k", true},
    {"set j a;set k b", "copy j k", false},
    {"set j a;set k b", "copy j k replace", true},
    {"set k a", "move k 1", true},
    {"set k a", "touch k", false},
    {"set k a", "dump k", false},
    {"set k a", "object encoding k", false},
    {"set k a", "flushdb", true},
    {"", "flushdb", false},
    {"set k a", "flushall", true},
    {"set k a", "swapdb 0 1", true},
    {"", "swapdb 0 1", false},
    {"set k a", "swapdb 1 2", false},
    {"set k a", "swapdb 0 0", false},
    {"rpush k b a", "sort k alpha", false},
    {"rpush k b a", "sort k alpha store k", true},
    {"rpush k b a", "sort none store k", true},
    {"", "sort none store k", false},
    {"set k a", "exists k", false},
    {"set k a", "restore k 0 x", false},
    {"set k a", "randomkey", false},
};

static void read_modified(struct store *store, void *arg)
{
    struct key key;
    key_open_in(store, 0, bytes_of("k"), &key);
    *(uint64_t *)arg = key_watched(store, &key);
    key_close(&key);
}

static uint64_t modified(struct stage *stage)
{
    uint64_t index = 0;
    stage_run(stage, /*keep=*/true, read_modified, &index);
    return index;
}

static void write_both(struct store *store, void *arg)
{
    (void)arg;
    for (uint32_t db = 0; db < 2; db++) {
        struct key key;
        key_open_in(store, db, bytes_of("k"), &key);
        key_set_string(store, &key, bytes_of(db == 0 ? "a" : "b"), /*keep_ttl=*/false);
        key_close(&key);
    }
}

static void run_all(struct stage *stage, const char *commands)
{
    char line[256];
    while (*commands != '\0') {
        size_t size = strcspn(commands, ";");
        CHECK_LT(size, sizeof line);
        snprintf(line, sizeof line, "%.*s", (int)size, commands);
        stage_command(stage, line);
        commands += size + (commands[size] == ';' ? 1U : 0U);
    }
}

TEST(watch, is_failed_by_the_commands_that_fail_it_in_redis)
{
    struct stage *stage = stage_new();
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        stage_command(stage, "flushall");
        run_all(stage, rows[i].setup);
        uint64_t before = modified(stage);
        stage_command(stage, rows[i].command);
        bool fails = modified(stage) != before;
        if (fails != rows[i].fails) {
            printf("after \"%s\", \"%s\" %s WATCH\n", rows[i].setup, rows[i].command,
                   fails ? "fails" : "does not fail");
            wrong++;
        }
    }
    CHECK_EQ(wrong, 0);
    stage_free(stage);
}

TEST(watch, is_failed_by_an_expiry)
{
    struct stage *stage = stage_new();
    stage_set_time(stage, 5000);
    stage_command(stage, "set k a px 100");
    uint64_t before = modified(stage);
    stage_set_time(stage, 5099);
    CHECK_EQ(modified(stage), before);
    stage_set_time(stage, 5100);
    CHECK_EQ(modified(stage), 0);
    stage_free(stage);
}

TEST(watch, is_failed_by_what_serving_a_waiter_does)
{
    struct stage *stage = stage_new();
    stage_command(stage, "rpush k a");
    CHECK_TEXT(stage_command(stage, "blmove source k left right 0"), "waits");
    uint64_t before = modified(stage);
    CHECK_TEXT(stage_command(stage, "rpush source b"), ":1 ");
    CHECK_NE(modified(stage), before);
    CHECK_TEXT(stage_command(stage, "llen k"), ":2 ");
    stage_command(stage, "del k");
    CHECK_TEXT(stage_command(stage, "blpop k 0"), "waits");
    CHECK_TEXT(stage_exec(stage, "rpush k a b\nllen k"), ":2 :2 ");
    before = modified(stage);
    CHECK_NE(before, 0);
    CHECK_TEXT(stage_command(stage, "lpop k"), "$1 b ");
    CHECK_EQ(modified(stage), 0);
    stage_free(stage);
}

/* A key that was deleted and made anew is another one, though its value is the same. */
TEST(watch, is_failed_by_a_key_made_anew)
{
    struct stage *stage = stage_new();
    stage_command(stage, "set k a");
    uint64_t before = modified(stage);
    stage_exec(stage, "del k\nset k a");
    CHECK_NE(modified(stage), before);
    before = modified(stage);
    stage_exec(stage, "flushall\nset k a");
    CHECK_NE(modified(stage), before);
    before = modified(stage);
    stage_exec(stage, "rename k j\nrename j k");
    CHECK_NE(modified(stage), before);
    stage_free(stage);
}

TEST(watch, is_failed_by_a_swap_of_keys_written_together)
{
    struct stage *stage = stage_new();
    stage_run(stage, /*keep=*/true, write_both, NULL);
    uint64_t before = modified(stage);
    CHECK_TEXT(stage_command(stage, "swapdb 0 1"), "+OK ");
    CHECK_TEXT(stage_command(stage, "get k"), "$1 b ");
    CHECK_NE(modified(stage), before);
    before = modified(stage);
    CHECK_TEXT(stage_command(stage, "swapdb 2 1"), "+OK ");
    CHECK_EQ(modified(stage), before);
    stage_free(stage);
}
