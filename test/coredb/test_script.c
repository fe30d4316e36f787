/* ctest: timeout=240 */
/* Scripts through the stage; thousands of cases are compared with redis-server elsewhere. */
#include "stage.h"

#include "coredb/base/bytes.h"
#include "coredb/command/execute.h"
#include "coredb/script/lua/lua.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

struct eval {
    const char *text;
    const char *key;
    const char *argument;
    uint64_t work; /* what is left to the entry; 0: all */
    char out[512];
};

static void run_eval(struct store *store, void *arg)
{
    struct eval *eval = arg;
    rr_bytes argv[] = {bytes_of("eval"), bytes_of(eval->text), bytes_of("1"), bytes_of(eval->key),
                       bytes_of(eval->argument)};
    struct reply reply;
    reply_init(&reply, 2);
    store->work_left = eval->work != 0 ? eval->work : store->work_left;
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

TEST(script, is_told_when_its_work_is_used_up)
{
    struct stage *stage = stage_new();
    (void)eval(stage, "redis.call('set', 'w', 1) while true do end");
    CHECK(strstr(last.out, "-ERR script used up its budget of work") != NULL);
    CHECK_TEXT(stage_command(stage, "exists w"), ":0 ");
    stage_free(stage);
}

/* Each goes on for ever unless its work is paid for: in the interpreter, in libraries, in commands. */
static const char *const endless[] = {
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "local f = coroutine.wrap(function() while true do coroutine.yield() end end) while true do "
    "f() end",
    "while true do coroutine.wrap(function() end)() end",
    "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "local s = ('x'):rep(8000000) while true do local r = s .. 'y' end",
    "local a, b = ('x'):rep(8000000), ('x'):rep(8000000) while true do local c = a < b end",
    "local a, b = ('x'):rep(8000000), ('x'):rep(8000000) while true do local c = a == b end",
    "local s = ('1'):rep(1000000) while true do local n = s + 1 end",
    "local s = ('a'):rep(100000) while true do s:find('.-.-.-.-.-b') end",
    "local s = ('a'):rep(100000) while true do s:find('a*a*a*a*a*b') end",
    "local s = ('a'):rep(100000) while true do s:gsub('', 'x') end",
    "local s = ('('):rep(100000) while true do s:find('%b()') end",
    "local s = ('a'):rep(1000000) while true do s:find(('a'):rep(1000) .. 'b', 1, true) end",
    "while true do local s = ('x'):rep(8000000) end",
    "while true do ('%99.99f'):format(1e300) end",
    "while true do math.fmod(1e300, 3.1) end",
    "local t = {} for i = 1, 200000 do t[i + 0.5] = i end for k in pairs(t) do t[k] = nil end "
    "while true do next(t) end",
    "local t = {} while true do table.insert(t, 1, 1) end",
    "local t = {} for i = 1, 100000 do t[i] = -i end "
    "while true do table.sort(t, function(a, b) return a < b end) end",
    "local t = {} for i = 1, 7000 do t[i] = i end local f = function(...) return ... end "
    "while true do f(unpack(t)) end",
    "local function f(n) if n == 0 then return 1 end return 1, 2, 3, 4, 5, 6, 7, 8, f(n - 1) end "
    "while true do f(3000) end",
    "local t = {1} for i = 1, 60 do t = {t, t} end return cjson.encode(t)",
    "local t = {1} for i = 1, 14 do t = {t, t, t, t, t} end return cmsgpack.pack(t)",
    "local s = '[' .. ('1,'):rep(100000) .. '1]' while true do cjson.decode(s) end",
    "while true do loadstring(('a = a + 1 '):rep(10000)) end",
    "while true do redis.sha1hex(('x'):rep(1000000)) end",
    "while true do redis.pcall('nosuch') end",
    "while true do redis.call('get', 'k') end",
    "while true do redis.call('incr', 'n') end",
    "redis.call('set', 'b', ('x'):rep(8000000)) while true do redis.call('bitcount', 'b') end",
    "redis.call('set', 'b', ('a'):rep(4000)) while true do redis.call('lcs', 'b', 'b') end",
};

enum { LITTLE_WORK = 100000 }; /* of STORE_WORK_MAX, so that the test is quick */

TEST(script, that_would_go_on_for_ever_ends_and_leaves_nothing)
{
    for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
        struct stage *stage = stage_new();
        char text[1000];
        snprintf(text, sizeof(text), "redis.call('set', 'w', 1) %s", endless[i]);
        last = (struct eval){.text = text, .key = "k", .argument = "v", .work = LITTLE_WORK};
        stage_run(stage, /*keep=*/true, run_eval, &last);
        bool spent = strstr(last.out, "-ERR the command is too much work for one entry") != NULL;
        if (!spent) {
            printf("%s: %s\n", endless[i], last.out);
        }
        CHECK(spent);
        CHECK_TEXT(stage_command(stage, "exists w"), ":0 ");
        CHECK_TEXT(eval(stage, "return 1"), ":1 ");
        stage_free(stage);
    }
}

TEST(script, is_bounded_in_memory_and_depth)
{
    struct stage *stage = stage_new();
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"local s = 'x' while true do s = s .. s end", "not enough memory"},
        {"local t = {} while true do t[#t + 1] = {} end", "not enough memory"},
        {"local function f() return 1 + f() end return f()", "stack overflow"},
        {"local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end "
         "return t.x",
         "C stack overflow"},
        {"return loadstring(('('):rep(1000))() ", "attempt to call a nil value"},
        {"return ('x'):rep(200):find(('x?'):rep(1000))", "pattern too complex"},
        {"return unpack({}, 1, 1e6)", "too many results to unpack"},
        {"local t = {} t[1] = t return cjson.encode(t)", "excessive nesting"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)eval(stage, cases[i].text);
        if (last.out[0] != '-' || strstr(last.out, cases[i].error) == NULL) {
            printf("%s: %s\n", cases[i].text, last.out);
        }
        CHECK(last.out[0] == '-' && strstr(last.out, cases[i].error) != NULL);
    }
    CHECK_TEXT(eval(stage, "return 1"), ":1 ");
    stage_free(stage);
}

TEST(script, of_an_ordinary_size_has_work_enough)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(eval(stage, "local n = 0 for i = 1, 1000000 do n = n + i % 7 end return n"),
               ":2999998 ");
    CHECK_TEXT(eval(stage, "redis.call('set', 'big', ('x '):rep(3900000)) "
                           "local s = redis.call('get', 'big'):upper() return #s"),
               ":7800000 ");
    CHECK_TEXT(eval(stage, "local s = redis.call('get', 'big') local n = 0 "
                           "for i = 1, #s, 100 do n = n + s:byte(i) end return n"),
               ":9360000 ");
    CHECK_TEXT(eval(stage, "local t = {} for i = 1, 100000 do t[i] = 'k' .. i end table.sort(t) "
                           "return #table.concat(t, ',')"),
               ":688894 ");
    CHECK_TEXT(eval(stage, "for i = 1, 20000 do redis.call('rpush', 'l', i) end "
                           "local n = 0 for _, v in ipairs(redis.call('lrange', 'l', 0, -1)) do "
                           "n = n + v end return n"),
               ":200010000 ");
    stage_free(stage);
}

/* Keys come in the order of their insertion, whatever they are, and an array first. */
TEST(script, goes_through_tables_in_one_order)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(eval(stage, "local t = {z = 1, [true] = 2, 10, [{}] = 3, a = 4, 20, [0.5] = 5} "
                           "local r = {} for _, v in pairs(t) do r[#r + 1] = v end return r"),
               "*7 :10 :20 :1 :2 :3 :4 :5 ");
    CHECK_TEXT(eval(stage, "local t = {} for i = 1, 100 do t[{}] = i end t[1] = 0 local r = {} "
                           "for k, v in pairs(t) do r[#r + 1] = v t[k] = nil end "
                           "return {#r, r[1], r[2], r[101], next(t)}"),
               "*4 :101 :0 :1 :100 ");
    stage_free(stage);
}

TEST(script, takes_zeros_of_either_sign_as_one_key)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(eval(stage, "local z = -1 * 0 local t = {[0] = 1} t[z] = 2 local n = 0 "
                           "for _ in pairs(t) do n = n + 1 end return {n, t[0], t[z]}"),
               "*3 :1 :2 :2 ");
    stage_free(stage);
}

TEST(script, takes_a_key_in_a_list_once)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(eval(stage, "local t = {[2] = 'x', 1, 2, 3} local n = 0 "
                           "for _ in pairs(t) do n = n + 1 end return {n, t[2], #t}"),
               "*3 :3 :2 :3 ");
    CHECK_TEXT(eval(stage, "return #{1, 2, 3, [4] = 4}"), ":4 ");
    CHECK_TEXT(eval(stage, "local t = {[2] = 5, 1, nil, 3} return {t[1], t[2] == nil, t[3]}"),
               "*3 :1 :1 :3 ");
    stage_free(stage);
}

TEST(script, begins_with_a_hash_sign_only_if_that_is_a_shebang)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(eval(stage, "#!lua\nreturn 1"), ":1 ");
    CHECK_TEXT(eval(stage, "return loadstring('#x\\nreturn 1')"), "$-1 ");
    CHECK(strstr(eval(stage, "#x\nreturn 1"), "user_script:1: unexpected symbol near '#'") != NULL);
    stage_free(stage);
}

TEST(script, does_not_show_a_null_character_as_what_an_error_is_near)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(eval(stage, "return {(select(2, loadstring('\\0', '=x'))), "
                           "(select(2, loadstring('\\1', '=x')))}"),
               "*2 $22 x:1: unexpected symbol $37 x:1: unexpected symbol near 'char(1)' ");
    stage_free(stage);
}

TEST(script, is_told_why_a_reader_of_text_failed)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(eval(stage, "local f, e = load(function() error('z', 0) end) "
                           "return {tostring(f), e}"),
               "*2 $3 nil $1 z ");
    CHECK_TEXT(eval(stage, "local i = 0 return load(function() i = i + 1 "
                           "return ({'return ', 1, '+2', ''})[i] end)()"),
               ":3 ");
    stage_free(stage);
}

static int run_chunk(lua_State *state)
{
    const char *text = lua_touserdata(state, 1);
    lua_open_base(state);
    lua_open_string(state);
    lua_setfield(state, LUA_GLOBALSINDEX, "string");
    lua_open_table(state);
    lua_setfield(state, LUA_GLOBALSINDEX, "table");
    CHECK_EQ(lua_load(state, text, strlen(text), "@chunk"), LUA_OK);
    lua_call(state, 0, 0);
    return 0;
}

static uint64_t work_of(const char *text)
{
    struct arena *arena = arena_take();
    CHECK(arena != NULL);
    lua_State *state = lua_open(arena, 100000000, NULL); /* with a secret for hashes of its own */
    CHECK(state != NULL);
    CHECK_EQ(lua_cpcall(state, run_chunk, (void *)(uintptr_t)text), LUA_OK);
    uint64_t work = lua_work(state);
    arena_give(arena);
    return work;
}

TEST(script, costs_the_same_whatever_the_hashes_and_the_addresses)
{
    static const char *const chunks[] = {
        "local t = {} for i = 1, 3000 do t['k' .. i] = i end for i = 1, 3000, 2 do t['k' .. i] = "
        "nil "
        "end for k in pairs(t) do t[k] = nil end",
        "local t = {} for i = 1, 2000 do t[{}] = i t[i / 7] = i end for k, v in pairs(t) do t[k] = "
        "v "
        "+ 1 end",
        "local t = {} for i = 1, 500 do t[i] = ('x'):rep(200) .. i end table.sort(t) local u = {} "
        "for _, v in ipairs(t) do u[v] = 1 end local s = table.concat(t) return s:gsub('x+', '')",
        "local t = {} for i = 1, 30000 do t[i % 100 + 1] = {i, function() return i end} end",
    };
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        uint64_t first = work_of(chunks[i]);
        struct arena *elsewhere = arena_take(); /* so the next has another */
        for (int run = 0; run < 3; run++) {
            CHECK_EQ(work_of(chunks[i]), first);
        }
        arena_give(elsewhere);
    }
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
