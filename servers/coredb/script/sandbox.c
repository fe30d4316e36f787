/*
 * What scripts see: the functions that Redis gives them, none of which knows a clock, an address
 * or a file. The globals and the libraries cannot be changed.
 */
#include "coredb/script/engine_private.h"

#include <math.h>
#include <string.h>

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
        luaL_error(state, "wrong number of arguments");
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

/* As Redis has it: an error that is a table with `err` arrives as that text. */
static int protected_call(lua_State *state)
{
    luaL_checkany(state, 1);
    int status = lua_pcall(state, lua_gettop(state) - 1, LUA_MULTRET, 0);
    if (status != LUA_OK && lua_istable(state, -1)) {
        lua_pushstring(state, "err");
        lua_rawget(state, -2);
        if (lua_isstring(state, -1)) {
            lua_replace(state, -2);
        } else {
            lua_pop(state, 1);
        }
    }
    lua_pushboolean(state, status == LUA_OK);
    lua_insert(state, 1);
    return lua_gettop(state);
}

/* ---- Assembly ---- */

static int missing_global(lua_State *state)
{
    const char *name = lua_tostring(state, 2);
    luaL_error(state, "Script attempted to access nonexistent global variable '%s'",
               name == NULL ? "?" : name);
}

/* The library on top becomes a global that cannot be changed. */
static void set_library(lua_State *state, const char *name)
{
    lua_setreadonly(state, -1, true);
    lua_setfield(state, LUA_GLOBALSINDEX, name);
}

void sandbox_open(lua_State *state)
{
    static const luaL_Reg random[] = {
        {"random", math_random}, {"randomseed", math_randomseed}, {NULL, NULL}};
    static const struct {
        const char *name;
        void (*open)(lua_State *state);
    } libraries[] = {
        {"string", lua_open_string}, {"table", lua_open_table}, {"coroutine", lua_open_coroutine},
        {"redis", api_open},         {"cjson", json_open},      {"cmsgpack", msgpack_open},
        {"bit", bit_open},           {"struct", struct_open},
    };
    lua_open_base(state);
    lua_pushcfunction(state, protected_call);
    lua_setfield(state, LUA_GLOBALSINDEX, "pcall");
    lua_open_math(state);
    luaL_register(state, random);
    set_library(state, "math");
    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        libraries[i].open(state);
        set_library(state, libraries[i].name);
    }
}

void sandbox_close(lua_State *state)
{
    lua_newtable(state);
    lua_pushcfunction(state, missing_global);
    lua_setfield(state, -2, "__index");
    lua_setreadonly(state, -1, true);
    lua_setmetatable(state, LUA_GLOBALSINDEX);
    lua_setreadonly(state, LUA_GLOBALSINDEX, true);
}
