/* Scripts through the stage; thousands of cases are compared with redis-server elsewhere. */
#include "stage.h"

#include "coredb/base/bytes.h"
#include "coredb/command/execute.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

struct eval {
    const char *text;
    const char *key;
    const char *argument;
    char out[512];
};

static void run_eval(struct store *store, void *arg)
{
    struct eval *eval = arg;
    rr_bytes argv[] = {bytes_of("eval"), bytes_of(eval->text), bytes_of("1"), bytes_of(eval->key),
                       bytes_of(eval->argument)};
    struct reply reply;
    reply_init(&reply, 2);
    struct exec exec = {.store = store, .argv = argv, .argc = 5, .reply = &reply};
    execute_command(&exec);
    size_t size = reply.out.size < sizeof(eval->out) ? reply.out.size : sizeof(eval->out) - 1;
    for (size_t i = 0, at = 0; i <= size; i++) {
        if (i == size) {
            eval->out[at] = '\0';
        } else if (reply.out.data[i] != '\r') {
            eval->out[at++] = reply.out.data[i] == '\n' ? ' ' : (char)reply.out.data[i];
        }
    }
    reply_deinit(&reply);
}

static struct eval last;

static const char *eval(struct stage *stage, const char *text)
{
    last = (struct eval){.text = text, .key = "k", .argument = "v"};
    stage_run(stage, /*keep=*/true, run_eval, &last);
    return last.out;
}

TEST(script, reads_and_writes)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(eval(stage, "return redis.call('SET', KEYS[1], ARGV[1])"), "+OK ");
    CHECK_TEXT(eval(stage, "return redis.call('GET', KEYS[1])"), "$1 v ");
    CHECK_TEXT(eval(stage, "return {1, 3.9, 'x', false, nil, 5}"), "*4 :1 :3 $1 x $-1 ");
    CHECK_TEXT(eval(stage, "return redis.call('GET', 'none')"), "$-1 ");
    CHECK_TEXT(eval(stage, "return redis.call('TYPE', KEYS[1]).ok"), "$6 string ");
    stage_check(stage);
    stage_free(stage);
}

TEST(script, keeps_what_it_wrote_before_an_error)
{
    struct stage *stage = stage_new();
    (void)eval(stage, "redis.call('SET', KEYS[1], 'x') return redis.call('LPUSH', KEYS[1], 1)");
    CHECK(strncmp(last.out, "-WRONGTYPE Operation", 20) == 0);
    CHECK(strstr(last.out, ", on @user_script:1.") != NULL);
    CHECK_TEXT(stage_command(stage, "get k"), "$1 x ");
    stage_free(stage);
}

TEST(script, is_found_by_its_digest)
{
    struct stage *stage = stage_new();
    const char *missing = "-NOSCRIPT No matching script. Please use EVAL. ";
    const char *line = "evalsha e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0";
    CHECK_TEXT(stage_command(stage, line), missing);
    CHECK_TEXT(eval(stage, "return 1"), ":1 ");
    CHECK_TEXT(stage_command(stage, line), ":1 ");
    CHECK_TEXT(stage_command(stage, "script flush"), "+OK ");
    CHECK_TEXT(stage_command(stage, line), missing);
    stage_free(stage);
}

TEST(script, ends_at_its_limits)
{
    struct stage *stage = stage_new();
    static const char *const endless[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = {} end",
        "while true do coroutine.wrap(function() end)() end",
        "local s = ('x'):rep(8000000) local n = 0 while true do n = n + 1 local r = s .. n end",
        "local function f() return f() end return f()",
    };
    for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
        CHECK_TEXT(eval(stage, endless[i]) == NULL ? "" : last.out[0] == '-' ? "-" : last.out, "-");
    }
    CHECK_TEXT(eval(stage, "return 1"), ":1 ");
    stage_free(stage);
}

TEST(script, sees_no_addresses_and_no_globals_of_others)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(eval(stage, "return tostring({})"), "$10 table: 0x0 ");
    (void)eval(stage, "x = 1");
    CHECK(strstr(last.out, "Attempt to modify a readonly table") != NULL);
    (void)eval(stage, "return x");
    CHECK(strstr(last.out, "nonexistent global variable 'x'") != NULL);
    CHECK(strstr(eval(stage, "return loadstring('\\27Lua')"), "$-1") != NULL);
    stage_free(stage);
}

static void check_found(struct stage *stage, const char *script, const char *error)
{
    (void)eval(stage, script);
    CHECK(strstr(last.out, error) != NULL);
}

TEST(script, names_what_is_wrong_in_json_as_redis_does)
{
    struct stage *stage = stage_new();
    check_found(stage, "return cjson.decode('+')", "value but found invalid number at character 1");
    check_found(stage, "return cjson.decode('[1 2]')",
                "array end but found T_NUMBER at character 4");
    check_found(stage, "return cjson.decode('{\"a\" true}')",
                "colon but found T_BOOLEAN at character 6");
    check_found(stage, "return cjson.decode('\"abc')",
                "found unexpected end of string at character 5");
    check_found(stage, "return cjson.decode('\\0')", "value but found T_END at character 1");
    check_found(stage, "return cjson.decode('[1\\0 x')",
                "array end but found T_END at character 3");
    check_found(stage, "return cjson.decode('1\\0')", "does not support UTF-16 or UTF-32");
    check_found(stage, "return cjson.decode('.5')", "value but found invalid token at character 1");
    CHECK_TEXT(eval(stage, "return cjson.decode('[0x10, +2, \"a\\nb\"]')"), "*3 :16 :2 $3 a b ");
    CHECK_TEXT(eval(stage, "return tostring(cjson.decode('-inf'))"), "$4 -inf ");
    check_found(stage, "return struct.pack('y')",
                "bad argument #1 to 'pack' (invalid format option 'y')");
    CHECK_TEXT(eval(stage, "return struct.size('x9')"), ":1 ");
    stage_free(stage);
}

TEST(script, packs_and_encodes)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(eval(stage, "return cjson.encode({1, 'a/\\n', true, {b = cjson.null}})"),
               "$27 [1,\"a\\/\\n\",true,{\"b\":null}] ");
    CHECK_TEXT(eval(stage, "return cjson.decode('[1, {\"a\": [\"\\\\u00e9\"]}]')[2].a[1]"),
               "$2 \xc3\xa9 ");
    CHECK_TEXT(eval(stage, "return cmsgpack.unpack(cmsgpack.pack({1, 'x', -300}))"),
               "*3 :1 $1 x :-300 ");
    CHECK_TEXT(eval(stage, "return bit.tohex(bit.bxor(255, 15))"), "$8 000000f0 ");
    stage_free(stage);
}
