/*
 * What scripts see of Lua: the functions that Redis gives them, without addresses, clocks, files
 * or bytecode. Globals cannot be set: _G is an empty table that looks everything up in another.
 */
#include "coredb/script/engine_private.h"

#include <math.h>
#include <string.h>

static const char inner_key[] = "inner globals";
static const char read_only_text[] = "Attempt to modify a readonly table";

/* Pushes the table that really holds the globals. */
static void push_inner(lua_State *state)
{
    lua_getfield(state, LUA_REGISTRYINDEX, inner_key);
}

/* Replaces argument 1, if it is _G, by the table behind it; returns whether it was. */
static bool see_through(lua_State *state)
{
    if (!lua_rawequal(state, 1, LUA_GLOBALSINDEX)) {
        return false;
    }
    push_inner(state);
    lua_replace(state, 1);
    return true;
}

/* Calls the original, the function's upvalue, with the arguments as they are. */
static int call_original(lua_State *state)
{
    lua_pushvalue(state, lua_upvalueindex(1));
    lua_insert(state, 1);
    lua_call(state, lua_gettop(state) - 1, LUA_MULTRET);
    return lua_gettop(state);
}

static int base_next(lua_State *state)
{
    luaL_checktype(state, 1, LUA_TTABLE);
    (void)see_through(state);
    lua_settop(state, 2);
    if (lua_next(state, 1) != 0) {
        return 2;
    }
    lua_pushnil(state);
    return 1;
}

/* Upvalue: next. */
static int base_pairs(lua_State *state)
{
    luaL_checktype(state, 1, LUA_TTABLE);
    lua_pushvalue(state, lua_upvalueindex(1));
    lua_pushvalue(state, 1);
    lua_pushnil(state);
    return 3;
}

static int base_rawget(lua_State *state)
{
    luaL_checktype(state, 1, LUA_TTABLE);
    luaL_checkany(state, 2);
    lua_settop(state, 2);
    (void)see_through(state);
    lua_rawget(state, 1);
    return 1;
}

static int base_changing(lua_State *state)
{
    if (lua_istable(state, 1) && lua_rawequal(state, 1, LUA_GLOBALSINDEX)) {
        lua_pushstring(state, read_only_text); /* Redis tells no place here */
        return lua_error(state);
    }
    return call_original(state);
}

static int base_tostring(lua_State *state)
{
    luaL_checkany(state, 1);
    if (luaL_callmeta(state, 1, "__tostring")) {
        return 1;
    }
    switch (lua_type(state, 1)) {
    case LUA_TNUMBER:
        lua_pushstring(state, lua_tostring(state, 1));
        break;
    case LUA_TSTRING:
        lua_pushvalue(state, 1);
        break;
    case LUA_TBOOLEAN:
        lua_pushstring(state, lua_toboolean(state, 1) ? "true" : "false");
        break;
    case LUA_TNIL:
        lua_pushliteral(state, "nil");
        break;
    default: /* an address would differ between replicas */
        lua_pushfstring(state, "%s: 0x0", luaL_typename(state, 1));
        break;
    }
    return 1;
}

static int base_collectgarbage(lua_State *state)
{
    lua_pushinteger(state, 0);
    return 1;
}

static int load_piece(lua_State *state, const char *text, size_t size, const char *name)
{
    int status;
    if (size != 0 && text[0] == LUA_SIGNATURE[0]) {
        lua_pushliteral(state, "attempt to load bytecode");
        status = LUA_ERRSYNTAX;
    } else {
        status = luaL_loadbuffer(state, text, size, name);
    }
    if (status == 0) {
        return 1;
    }
    lua_pushnil(state);
    lua_insert(state, -2);
    return 2;
}

static int base_loadstring(lua_State *state)
{
    size_t size;
    const char *text = luaL_checklstring(state, 1, &size);
    return load_piece(state, text, size, luaL_optstring(state, 2, text));
}

static int base_load(lua_State *state)
{
    luaL_checktype(state, 1, LUA_TFUNCTION);
    const char *name = luaL_optstring(state, 2, "=(load)");
    lua_settop(state, 2);
    lua_pushliteral(state, "");
    for (;;) {
        lua_pushvalue(state, 1);
        lua_call(state, 0, 1);
        if (lua_isnil(state, -1) || (lua_isstring(state, -1) && lua_objlen(state, -1) == 0)) {
            break;
        }
        if (!lua_isstring(state, -1)) {
            return luaL_error(state, "reader function must return a string");
        }
        lua_concat(state, 2);
    }
    size_t size;
    const char *text = lua_tolstring(state, 3, &size);
    return load_piece(state, text, size, name);
}

/* A new coroutine counts instructions from zero: what it may do uncounted is charged at once. */
static int coroutine_new(lua_State *state)
{
    engine_charge(state, SCRIPT_HOOK_INSTRUCTIONS);
    return call_original(state);
}

/* Functions that go through whole tables or strings in C. */
static int charged(lua_State *state)
{
    size_t size = 0;
    for (int i = 1; i <= lua_gettop(state); i++) {
        int type = lua_type(state, i);
        if (type == LUA_TSTRING) {
            size += lua_objlen(state, i) / SCRIPT_BYTES_PER_WORK;
        } else if (type == LUA_TTABLE) {
            size += lua_objlen(state, i) / 4;
        }
    }
    engine_charge(state, size);
    return call_original(state);
}

static int table_insert(lua_State *state)
{
    if (lua_gettop(state) > 2) {
        return charged(state);
    }
    return call_original(state);
}

static int table_remove(lua_State *state)
{
    if (lua_gettop(state) > 1 && lua_istable(state, 1)) {
        double from = lua_tonumber(state, 2);
        double count = (double)lua_objlen(state, 1);
        if (from >= 1 && from < count) {
            engine_charge(state, (uint64_t)(count - from) / 4);
        }
    }
    return call_original(state);
}

static int string_rep(lua_State *state)
{
    size_t size;
    (void)luaL_checklstring(state, 1, &size);
    double count = (double)luaL_checkint(state, 2);
    if (count > 0 && size == 0) {
        lua_pushliteral(state, "");
        return 1;
    }
    if (count * (double)size > ARENA_BYTES_MAX) {
        return luaL_error(state, "resulting string too large");
    }
    return call_original(state);
}

/* ---- Random numbers: the same on every replica ---- */

static uint64_t random_next(struct engine *engine)
{
    uint64_t x = engine->random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static int math_random(lua_State *state)
{
    struct engine *engine = engine_of(state);
    if (engine->random == 0) {
        engine->random = store_random(engine->exec->store) | 1;
    }
    double value = (double)(random_next(engine) >> 11) / 9007199254740992.0;
    int arguments = lua_gettop(state);
    if (arguments == 0) {
        lua_pushnumber(state, value);
        return 1;
    }
    if (arguments > 2) {
        return luaL_error(state, "wrong number of arguments");
    }
    double from = arguments == 2 ? luaL_checkint(state, 1) : 1;
    double to = luaL_checkint(state, arguments);
    luaL_argcheck(state, from <= to, arguments, "interval is empty");
    lua_pushnumber(state, from + floor(value * (to - from + 1)));
    return 1;
}

static int math_randomseed(lua_State *state)
{
    double seed = luaL_checknumber(state, 1);
    memcpy(&engine_of(state)->random, &seed, sizeof(seed));
    engine_of(state)->random |= 1;
    return 0;
}

/* ---- Assembly ---- */

static int missing_global(lua_State *state)
{
    const char *name = lua_tostring(state, 2);
    return luaL_error(state, "Script attempted to access nonexistent global variable '%s'",
                      name == NULL ? "?" : name);
}

static int set_global(lua_State *state)
{
    return luaL_error(state, "%s", read_only_text);
}

static void open_library(lua_State *state, lua_CFunction open, const char *name)
{
    lua_pushcfunction(state, open);
    lua_pushstring(state, name);
    lua_call(state, 1, 0);
}

/* Replaces the function `name` of the table on top by one with the old one as its upvalue. */
static void wrap(lua_State *state, const char *name, lua_CFunction function)
{
    lua_getfield(state, -1, name);
    lua_pushcclosure(state, function, 1);
    lua_setfield(state, -2, name);
}

static void remove_field(lua_State *state, const char *name)
{
    lua_pushnil(state);
    lua_setfield(state, -2, name);
}

/* The table of globals is on top. */
static void change_base(lua_State *state)
{
    static const char *const removed[] = {"dofile",  "loadfile", "print",  "getfenv",
                                          "setfenv", "newproxy", "module", "require"};
    static const luaL_Reg replaced[] = {{"next", base_next},
                                        {"rawget", base_rawget},
                                        {"tostring", base_tostring},
                                        {"collectgarbage", base_collectgarbage},
                                        {"gcinfo", base_collectgarbage},
                                        {"loadstring", base_loadstring},
                                        {"load", base_load},
                                        {NULL, NULL}};
    for (size_t i = 0; i < sizeof(removed) / sizeof(removed[0]); i++) {
        remove_field(state, removed[i]);
    }
    luaL_register(state, NULL, replaced);
    lua_getfield(state, -1, "next");
    lua_pushcclosure(state, base_pairs, 1);
    lua_setfield(state, -2, "pairs");
    wrap(state, "rawset", base_changing);
    wrap(state, "setmetatable", base_changing);
    lua_getfield(state, -1, "coroutine");
    wrap(state, "create", coroutine_new);
    wrap(state, "wrap", coroutine_new);
    lua_pop(state, 1);
}

static void change_libraries(lua_State *state)
{
    static const char *const of_strings[] = {"find", "match", "gsub", "byte"};
    static const char *const of_tables[] = {"concat", "sort", "maxn", "foreach", "foreachi"};
    lua_getfield(state, -1, "string");
    remove_field(state, "dump");
    wrap(state, "rep", string_rep);
    for (size_t i = 0; i < sizeof(of_strings) / sizeof(of_strings[0]); i++) {
        wrap(state, of_strings[i], charged);
    }
    lua_pop(state, 1);
    lua_getfield(state, -1, "table");
    wrap(state, "insert", table_insert);
    wrap(state, "remove", table_remove);
    for (size_t i = 0; i < sizeof(of_tables) / sizeof(of_tables[0]); i++) {
        wrap(state, of_tables[i], charged);
    }
    lua_pop(state, 1);
    lua_getfield(state, -1, "math");
    lua_pushcfunction(state, math_random);
    lua_setfield(state, -2, "random");
    lua_pushcfunction(state, math_randomseed);
    lua_setfield(state, -2, "randomseed");
    lua_pop(state, 1);
}

void sandbox_set_global(lua_State *state, const char *name)
{
    push_inner(state);
    lua_insert(state, -2);
    lua_setfield(state, -2, name);
    lua_pop(state, 1);
}

void sandbox_open(lua_State *state)
{
    open_library(state, luaopen_base, "");
    open_library(state, luaopen_string, LUA_STRLIBNAME);
    open_library(state, luaopen_table, LUA_TABLIBNAME);
    open_library(state, luaopen_math, LUA_MATHLIBNAME);
    lua_pushvalue(state, LUA_GLOBALSINDEX);
    change_base(state);
    change_libraries(state);
    lua_setfield(state, LUA_REGISTRYINDEX, inner_key);
    api_open(state);
    sandbox_set_global(state, "redis");
    json_open(state);
    sandbox_set_global(state, "cjson");
    msgpack_open(state);
    sandbox_set_global(state, "cmsgpack");
    bit_open(state);
    sandbox_set_global(state, "bit");

    /* The inner table knows what is missing; the outer one, _G, is what scripts have. */
    push_inner(state);
    lua_newtable(state);
    lua_pushcfunction(state, missing_global);
    lua_setfield(state, -2, "__index");
    lua_setmetatable(state, -2);
    lua_newtable(state); /* _G */
    lua_newtable(state); /* its metatable */
    lua_pushvalue(state, -3);
    lua_setfield(state, -2, "__index");
    lua_pushcfunction(state, set_global);
    lua_setfield(state, -2, "__newindex");
    lua_setmetatable(state, -2);
    lua_pushvalue(state, -1);
    lua_setfield(state, -3, "_G");
    lua_replace(state, LUA_GLOBALSINDEX);
    lua_pop(state, 1);
}
