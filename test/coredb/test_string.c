/* Strings: expiry kept and dropped, encodings, limits, arithmetic at its edges. Replies in the wide
 * are compared with redis-server by the differential test. */
#include "coredb/command/string.h"

#include "coredb/command/execute.h"
#include "stage.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

static const char *run(struct stage *stage, const char *line)
{
    return stage_exec(stage, line);
}

TEST(string, set_drops_the_expiry_unless_asked_to_keep_it)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "set a 1 ex 100"), "+OK ");
    CHECK_TEXT(run(stage, "pttl a"), ":100000 ");
    CHECK_TEXT(run(stage, "set a 2 keepttl"), "+OK ");
    CHECK_TEXT(run(stage, "ttl a"), ":100 ");
    CHECK_TEXT(run(stage, "append a 3"), ":2 ");
    CHECK_TEXT(run(stage, "incr a"), ":24 ");
    CHECK_TEXT(run(stage, "setrange a 0 5"), ":2 ");
    CHECK_TEXT(run(stage, "ttl a"), ":100 ");
    CHECK_TEXT(run(stage, "getset a 4"), "$2 54 ");
    CHECK_TEXT(run(stage, "ttl a"), ":-1 ");
    run(stage, "psetex a 5000 x");
    CHECK_TEXT(run(stage, "pttl a"), ":5000 ");
    run(stage, "mset a y");
    CHECK_TEXT(run(stage, "ttl a"), ":-1 ");
    stage_free(stage);
}

TEST(string, set_replaces_a_value_of_another_type)
{
    struct stage *stage = stage_new();
    run(stage, "rpush l a b");
    CHECK_TEXT(run(stage, "set l x get"),
               "-WRONGTYPE Operation against a key holding the wrong kind of value ");
    CHECK_TEXT(run(stage, "llen l"), ":2 ");
    CHECK_TEXT(run(stage, "set l x nx"), "$-1 ");
    CHECK_TEXT(run(stage, "set l x xx"), "+OK ");
    CHECK_TEXT(run(stage, "set l y nx get"), "$1 x ");
    CHECK_TEXT(run(stage, "get l"), "$1 x ");
    CHECK_TEXT(run(stage, "set none y xx"), "$-1 ");
    stage_free(stage);
}

TEST(string, a_time_of_expiry_must_fit_and_be_positive)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "set a 1 px 0"), "-ERR invalid expire time in 'set' command ");
    CHECK_TEXT(run(stage, "set a 1 ex 9223372036854775807"),
               "-ERR invalid expire time in 'set' command ");
    CHECK_TEXT(run(stage, "set a 1 px 9223372036854775807"),
               "-ERR invalid expire time in 'set' command ");
    CHECK_TEXT(run(stage, "setex a -1 v"), "-ERR invalid expire time in 'setex' command ");
    CHECK_TEXT(run(stage, "set a 1 ex 5 px 5"), "-ERR syntax error ");
    CHECK_TEXT(run(stage, "set a 1 ex 5 keepttl"), "-ERR syntax error ");
    CHECK_TEXT(run(stage, "exists a"), ":0 ");
    CHECK_TEXT(run(stage, "set a 1 pxat 9223372036854775807"), "+OK ");
    CHECK_TEXT(run(stage, "pexpiretime a"), ":9223372036854775807 ");
    stage_free(stage);
}

TEST(string, is_gone_at_its_time_of_expiry_and_not_before)
{
    struct stage *stage = stage_new();
    run(stage, "set a 1 px 500");
    stage_set_time(stage, 1000499);
    CHECK_TEXT(run(stage, "get a"), "$1 1 ");
    stage_set_time(stage, 1000500);
    CHECK_TEXT(run(stage, "get a"), "$-1 ");
    CHECK_TEXT(run(stage, "strlen a"), ":0 ");
    CHECK_TEXT(run(stage, "dbsize"), ":0 ");
    stage_free(stage);
}

TEST(string, getex_changes_the_expiry_only)
{
    struct stage *stage = stage_new();
    run(stage, "set a 1");
    CHECK_TEXT(run(stage, "getex a px 700"), "$1 1 ");
    CHECK_TEXT(run(stage, "pttl a"), ":700 ");
    CHECK_TEXT(run(stage, "getex a"), "$1 1 ");
    CHECK_TEXT(run(stage, "pttl a"), ":700 ");
    CHECK_TEXT(run(stage, "getex a persist"), "$1 1 ");
    CHECK_TEXT(run(stage, "pttl a"), ":-1 ");
    CHECK_TEXT(run(stage, "getex a keepttl"), "-ERR syntax error ");
    CHECK_TEXT(run(stage, "getex a pxat 1000"), "$1 1 ");
    CHECK_TEXT(run(stage, "exists a"), ":0 ");
    stage_free(stage);
}

TEST(string, increments_refuse_what_would_overflow)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "incrby n 9223372036854775807"), ":9223372036854775807 ");
    CHECK_TEXT(run(stage, "incr n"), "-ERR increment or decrement would overflow ");
    CHECK_TEXT(run(stage, "decrby n -9223372036854775808"), "-ERR decrement would overflow ");
    CHECK_TEXT(run(stage, "set n 007"), "+OK ");
    CHECK_TEXT(run(stage, "decr n"), "-ERR value is not an integer or out of range ");
    CHECK_TEXT(run(stage, "incrbyfloat f 0.1"), "$3 0.1 ");
    CHECK_TEXT(run(stage, "incrbyfloat f 0.2"), "$3 0.3 ");
    CHECK_TEXT(run(stage, "incrbyfloat f inf"), "-ERR increment would produce NaN or Infinity ");
    CHECK_TEXT(run(stage, "incrbyfloat f abc"), "-ERR value is not a valid float ");
    CHECK_TEXT(run(stage, "get f"), "$3 0.3 ");
    stage_free(stage);
}

TEST(string, encodings_follow_how_the_value_came_to_be)
{
    struct stage *stage = stage_new();
    run(stage, "set a 12345");
    CHECK_TEXT(run(stage, "object encoding a"), "$3 int ");
    CHECK_TEXT(run(stage, "append a "), ":5 ");
    CHECK_TEXT(run(stage, "object encoding a"), "$3 raw ");
    run(stage, "incr a");
    CHECK_TEXT(run(stage, "object encoding a"), "$3 int ");
    run(stage, "incrbyfloat a 1");
    CHECK_TEXT(run(stage, "get a"), "$5 12347 ");
    CHECK_TEXT(run(stage, "object encoding a"), "$6 embstr ");
    run(stage, "copy a b");
    CHECK_TEXT(run(stage, "object encoding b"), "$6 embstr ");
    run(stage, "set a 00");
    CHECK_TEXT(run(stage, "object encoding a"), "$6 embstr ");
    run(stage, "set a 12345678901234567890123456789012345678901234");
    CHECK_TEXT(run(stage, "object encoding a"), "$6 embstr ");
    run(stage, "set a 123456789012345678901234567890123456789012345");
    CHECK_TEXT(run(stage, "object encoding a"), "$3 raw ");
    stage_free(stage);
}

TEST(string, a_range_may_be_written_up_to_the_limit)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "setrange a 7999999 x"), ":8000000 ");
    CHECK_TEXT(run(stage, "setrange a 8000000 x"),
               "-ERR string exceeds maximum allowed size (proto-max-bulk-len) ");
    CHECK_TEXT(run(stage, "append a x"),
               "-ERR string exceeds maximum allowed size (proto-max-bulk-len) ");
    CHECK_TEXT(run(stage, "setrange a 9223372036854775807 x"),
               "-ERR string exceeds maximum allowed size (proto-max-bulk-len) ");
    CHECK_TEXT(run(stage, "strlen a"), ":8000000 ");
    CHECK_TEXT(run(stage, "getrange a 7999999 9000000"), "$1 x ");
    CHECK_TEXT(run(stage, "setrange none 9000000 "), ":0 ");
    CHECK_TEXT(run(stage, "exists none"), ":0 ");
    stage_free(stage);
}

TEST(string, msetnx_sets_all_or_none)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "msetnx a 1 b 2 a 3"), ":1 ");
    CHECK_TEXT(run(stage, "mget a b c"), "*3 $1 3 $1 2 $-1 ");
    CHECK_TEXT(run(stage, "msetnx c 1 b 3"), ":0 ");
    CHECK_TEXT(run(stage, "exists c"), ":0 ");
    CHECK_TEXT(run(stage, "mset a"), "-ERR wrong number of arguments for 'mset' command ");
    CHECK_TEXT(run(stage, "mset a 1 b"), "-ERR wrong number of arguments for 'mset' command ");
    stage_free(stage);
}

TEST(string, lcs_finds_the_common_part_and_where_it_is)
{
    struct stage *stage = stage_new();
    run(stage, "mset a ohmytext b mynewtext");
    CHECK_TEXT(run(stage, "lcs a b"), "$6 mytext ");
    CHECK_TEXT(run(stage, "lcs a b len"), ":6 ");
    CHECK_TEXT(run(stage, "lcs a b idx minmatchlen 4 withmatchlen"),
               "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6 ");
    CHECK_TEXT(run(stage, "lcs a none"), "$0  ");
    CHECK_TEXT(run(stage, "lcs a b idx len"),
               "-ERR If you want both the length and indexes, please just use IDX. ");
    run(stage, "setrange long 70000 x");
    CHECK_TEXT(run(stage, "lcs long long"),
               "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len ");
    stage_free(stage);
}

/* The names of the notifications that a line of commands causes. */
struct noted {
    const char *line;
    char names[256];
};

static void note(struct store *store, void *arg)
{
    struct noted *noted = arg;
    rr_bytes argv[8];
    size_t argc = 0;
    for (const char *at = noted->line; *at != '\0'; argc++) {
        size_t size = strcspn(at, " ");
        argv[argc] = (rr_bytes){at, size};
        at += size + (at[size] == ' ');
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
            strncat(noted->names, event.name.data, event.name.size);
            strcat(noted->names, " ");
        }
    }
}

static void check_notifications(struct stage *stage, const char *line, const char *names)
{
    struct noted noted = {.line = line};
    stage_run(stage, /*keep=*/true, note, &noted);
    CHECK_TEXT(noted.names, names);
}

TEST(string, notifications_tell_what_changed)
{
    struct stage *stage = stage_new();
    check_notifications(stage, "set a 1 ex 10", "set expire ");
    check_notifications(stage, "set a 1 nx", "");
    check_notifications(stage, "incr a", "incrby ");
    check_notifications(stage, "incrbyfloat a 1", "incrbyfloat ");
    check_notifications(stage, "getex a persist", "persist ");
    check_notifications(stage, "getex a persist", "");
    check_notifications(stage, "getex a exat 1", "del ");
    check_notifications(stage, "setbit a 3 0", "setbit ");
    check_notifications(stage, "setbit a 3 0", "");
    check_notifications(stage, "bitop and b a none", "set ");
    check_notifications(stage, "bitop and b none", "del ");
    check_notifications(stage, "pfadd p x", "pfadd ");
    check_notifications(stage, "pfadd p x", "");
    check_notifications(stage, "rename p q", "rename_from rename_to ");
    check_notifications(stage, "copy q p", "copy_to ");
    check_notifications(stage, "expire p -1", "del ");
    check_notifications(stage, "getdel a", "del ");
    stage_free(stage);
}
