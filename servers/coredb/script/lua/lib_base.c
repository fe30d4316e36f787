/* The functions that every chunk has as globals. Addresses are not shown, bytecode not loaded. */
#include "coredb/script/lua/library.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { UNPACKED_MAX = 7999 };

static int base_assert(lua_State *state)
{
    luaL_checkany(state, 1);
    if (!lua_toboolean(state, 1)) {
        luaL_error(state, "%s", luaL_optlstring(state, 2, "assertion failed!", NULL));
    }
    return lua_gettop(state);
}

static int base_collectgarbage(lua_State *state)
{
    static const char *const options[] = {"stop", "restart",  "collect",   "count",
                                          "step", "setpause", "setstepmul"};
    const char *option = luaL_optlstring(state, 1, "collect", NULL);
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (strcmp(option, options[i]) == 0) {
            lua_pushinteger(state, 0);
            return 1;
        }
    }
    lua_pushfstring(state, "invalid option '%s'", option);
    luaL_argerror(state, 1, lua_tostring(state, -1));
}

static int base_gcinfo(lua_State *state)
{
    lua_pushinteger(state, 0);
    return 1;
}

static int base_error(lua_State *state)
{
    int level = luaL_optint(state, 2, 1);
    lua_settop(state, 1);
    if (lua_isstring(state, 1) && level > 0) {
        size_t place_size;
        size_t size;
        luaL_where(state, level);
        const char *place = lua_tolstring(state, 2, &place_size);
        const char *text = lua_tolstring(state, 1, &size);
        char whole[1200];
        if (place_size + size < sizeof(whole)) {
            memcpy(whole, place, place_size);
            memcpy(whole + place_size, text, size);
            lua_pushlstring(state, whole, place_size + size);
        } else {
            lua_settop(state, 1); /* too long for a place */
        }
    }
    return lua_error(state);
}

static int base_getmetatable(lua_State *state)
{
    luaL_checkany(state, 1);
    if (!lua_getmetatable(state, 1)) {
        lua_pushnil(state);
        return 1;
    }
    lua_pushstring(state, "__metatable");
    lua_rawget(state, -2);
    if (lua_isnil(state, -1)) {
        lua_pop(state, 1);
    }
    return 1;
}

static int base_setmetatable(lua_State *state)
{
    int type = lua_type(state, 2);
    luaL_checktype(state, 1, LUA_TTABLE);
    luaL_argcheck(state, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table expected");
    if (lua_getmetatable(state, 1)) {
        lua_pushstring(state, "__metatable");
        lua_rawget(state, -2);
        if (!lua_isnil(state, -1)) {
            luaL_error(state, "cannot change a protected metatable");
        }
    }
    lua_settop(state, 2);
    lua_setmetatable(state, 1);
    return 1;
}

static int base_next(lua_State *state)
{
    luaL_checktype(state, 1, LUA_TTABLE);
    lua_settop(state, 2);
    if (lua_next(state, 1)) {
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

static int ipairs_step(lua_State *state)
{
    int i = luaL_checkint(state, 2) + 1;
    luaL_checktype(state, 1, LUA_TTABLE);
    lua_pushinteger(state, i);
    lua_rawgeti(state, 1, i);
    return lua_isnil(state, -1) ? 0 : 2;
}

/* Upvalue: the step. */
static int base_ipairs(lua_State *state)
{
    luaL_checktype(state, 1, LUA_TTABLE);
    lua_pushvalue(state, lua_upvalueindex(1));
    lua_pushvalue(state, 1);
    lua_pushinteger(state, 0);
    return 3;
}

static int load_text(lua_State *state, const char *text, size_t size, const char *name)
{
    static const char refused[] = "attempt to load chunk with wrong mode";
    int status = LUA_ERRSYNTAX;
    if (size != 0 && text[0] == '\033') {
        lua_pushstring(state, refused);
    } else {
        status = lua_load(state, text, size, name);
    }
    if (status == LUA_OK) {
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
    return load_text(state, text, size, luaL_optlstring(state, 2, text, NULL));
}

/* Gives all that the function gives, joined. */
static int read_pieces(lua_State *state)
{
    int64_t count = 0;
    lua_newtable(state);
    for (;;) {
        lua_pushvalue(state, 1);
        lua_call(state, 0, 1);
        if (lua_isnil(state, -1) ||
            (lua_type(state, -1) == LUA_TSTRING && lua_objlen(state, -1) == 0)) {
            break;
        }
        if (!lua_isstring(state, -1)) {
            luaL_where(state, 2);
            lua_pushfstring(state, "%sreader function must return a string",
                            lua_tostring(state, -1));
            return lua_error(state);
        }
        (void)lua_tostring(state, -1);
        lua_rawseti(state, 2, ++count);
    }
    lua_pop(state, 1);
    lua_pushcfunction(state, library_concat);
    lua_pushvalue(state, 2);
    lua_call(state, 1, 1);
    return 1;
}

static int base_load(lua_State *state)
{
    luaL_checktype(state, 1, LUA_TFUNCTION);
    (void)luaL_optlstring(state, 2, NULL, NULL);
    lua_settop(state, 2);
    lua_pushcfunction(state, read_pieces);
    lua_pushvalue(state, 1);
    if (lua_pcall(state, 1, 1, 0) != LUA_OK) {
        lua_pushnil(state);
        lua_insert(state, -2);
        return 2;
    }
    size_t size;
    const char *text = lua_tolstring(state, -1, &size);
    return load_text(state, text, size, luaL_optlstring(state, 2, "=(load)", NULL));
}

static int base_pcall(lua_State *state)
{
    luaL_checkany(state, 1);
    int status = lua_pcall(state, lua_gettop(state) - 1, LUA_MULTRET, 0);
    lua_pushboolean(state, status == LUA_OK);
    lua_insert(state, 1);
    return lua_gettop(state);
}

static int base_xpcall(lua_State *state)
{
    luaL_checkany(state, 2);
    lua_settop(state, 2);
    lua_insert(state, 1);
    int status = lua_pcall(state, 0, LUA_MULTRET, 1);
    lua_pushboolean(state, status == LUA_OK);
    lua_replace(state, 1);
    return lua_gettop(state);
}

static int base_rawequal(lua_State *state)
{
    luaL_checkany(state, 1);
    luaL_checkany(state, 2);
    lua_pushboolean(state, lua_rawequal(state, 1, 2));
    return 1;
}

static int base_rawget(lua_State *state)
{
    luaL_checktype(state, 1, LUA_TTABLE);
    luaL_checkany(state, 2);
    lua_settop(state, 2);
    lua_rawget(state, 1);
    return 1;
}

static int base_rawset(lua_State *state)
{
    luaL_checktype(state, 1, LUA_TTABLE);
    luaL_checkany(state, 2);
    luaL_checkany(state, 3);
    lua_settop(state, 3);
    lua_rawset(state, 1);
    return 1;
}

static int base_select(lua_State *state)
{
    int count = lua_gettop(state);
    if (lua_type(state, 1) == LUA_TSTRING && *lua_tostring(state, 1) == '#') {
        lua_pushinteger(state, count - 1);
        return 1;
    }
    int64_t i = luaL_checkint(state, 1);
    i = i < 0 ? count + i : i > count ? count : i;
    luaL_argcheck(state, i >= 1, 1, "index out of range");
    return (int)(count - i);
}

static int base_tonumber(lua_State *state)
{
    int base = luaL_optint(state, 2, 10);
    if (base == 10) {
        luaL_checkany(state, 1);
        if (lua_isnumber(state, 1)) {
            lua_pushnumber(state, lua_tonumber(state, 1));
            return 1;
        }
        lua_pushnil(state);
        return 1;
    }
    size_t size;
    const char *text = luaL_checklstring(state, 1, &size);
    luaL_argcheck(state, base >= 2 && base <= 36, 2, "base out of range");
    lua_charge(state, size);
    char *end;
    unsigned long value = strtoul(text, &end, base);
    bool found = end != text;
    while (isspace((unsigned char)*end)) {
        end++;
    }
    if (found && *end == '\0') {
        lua_pushnumber(state, (double)value);
    } else {
        lua_pushnil(state);
    }
    return 1;
}

static int base_tostring(lua_State *state)
{
    luaL_checkany(state, 1);
    if (luaL_callmeta(state, 1, "__tostring")) {
        return 1;
    }
    switch (lua_type(state, 1)) {
    case LUA_TNUMBER:
    case LUA_TSTRING:
        lua_settop(state, 1);
        (void)lua_tostring(state, 1);
        break;
    case LUA_TBOOLEAN:
        lua_pushstring(state, lua_toboolean(state, 1) ? "true" : "false");
        break;
    case LUA_TNIL:
        lua_pushstring(state, "nil");
        break;
    default: /* an address would differ between replicas */
        lua_pushfstring(state, "%s: 0x0", luaL_typename(state, 1));
        break;
    }
    return 1;
}

static int base_type(lua_State *state)
{
    luaL_checkany(state, 1);
    lua_pushstring(state, luaL_typename(state, 1));
    return 1;
}

static int base_unpack(lua_State *state)
{
    luaL_checktype(state, 1, LUA_TTABLE);
    int64_t first = luaL_optint(state, 2, 1);
    int64_t last =
        lua_isnoneornil(state, 3) ? (int64_t)lua_objlen(state, 1) : luaL_checkint(state, 3);
    if (first > last) {
        return 0;
    }
    if (last - first >= UNPACKED_MAX - lua_gettop(state)) {
        luaL_error(state, "too many results to unpack");
    }
    lua_charge(state, (uint64_t)(last - first));
    for (int64_t i = first; i <= last; i++) {
        lua_rawgeti(state, 1, i);
    }
    return (int)(last - first + 1);
}

void lua_open_base(lua_State *state)
{
    static const luaL_Reg functions[] = {
        {"assert", base_assert},
        {"collectgarbage", base_collectgarbage},
        {"error", base_error},
        {"gcinfo", base_gcinfo},
        {"getmetatable", base_getmetatable},
        {"load", base_load},
        {"loadstring", base_loadstring},
        {"next", base_next},
        {"pcall", base_pcall},
        {"rawequal", base_rawequal},
        {"rawget", base_rawget},
        {"rawset", base_rawset},
        {"select", base_select},
        {"setmetatable", base_setmetatable},
        {"tonumber", base_tonumber},
        {"tostring", base_tostring},
        {"type", base_type},
        {"unpack", base_unpack},
        {"xpcall", base_xpcall},
        {NULL, NULL},
    };
    lua_pushvalue(state, LUA_GLOBALSINDEX);
    luaL_register(state, functions);
    lua_pushcfunction(state, base_next);
    lua_pushcclosure(state, base_pairs, 1);
    lua_setfield(state, -2, "pairs");
    lua_pushcfunction(state, ipairs_step);
    lua_pushcclosure(state, base_ipairs, 1);
    lua_setfield(state, -2, "ipairs");
    lua_pushvalue(state, -1);
    lua_setfield(state, -2, "_G");
    lua_pushstring(state, "Lua 5.1");
    lua_setfield(state, -2, "_VERSION");
    lua_pop(state, 1);
}
