/* The table `table`. Sorting is by merging: stable, and never worse than n log n comparisons. */
#include "coredb/script/lua/library.h"

#include <string.h>

enum { MOVED_PER_UNIT = 2 };

static int64_t length(lua_State *state)
{
    luaL_checktype(state, 1, LUA_TTABLE);
    return (int64_t)lua_objlen(state, 1);
}

static int table_insert(lua_State *state)
{
    int64_t end = length(state) + 1;
    int64_t at;
    switch (lua_gettop(state)) {
    case 2:
        at = end;
        break;
    case 3:
        at = luaL_checkint(state, 2);
        end = at > end ? at : end;
        break;
    default:
        luaL_error(state, "wrong number of arguments to 'insert'");
    }
    for (int64_t i = end; i > at; i--) {
        lua_charge(state, 1);
        lua_rawgeti(state, 1, i - 1);
        lua_rawseti(state, 1, i);
    }
    lua_rawseti(state, 1, at);
    return 0;
}

static int table_remove(lua_State *state)
{
    int64_t end = length(state);
    int64_t at = luaL_optint(state, 2, (int)end);
    if (at < 1 || at > end) {
        return 0;
    }
    lua_rawgeti(state, 1, at);
    for (; at < end; at++) {
        lua_charge(state, 1);
        lua_rawgeti(state, 1, at + 1);
        lua_rawseti(state, 1, at);
    }
    lua_pushnil(state);
    lua_rawseti(state, 1, end);
    return 1;
}

int library_concat(lua_State *state)
{
    size_t separator_size;
    luaL_checktype(state, 1, LUA_TTABLE);
    const char *separator = luaL_optlstring(state, 2, "", &separator_size);
    int64_t first = luaL_optint(state, 3, 1);
    int64_t last = lua_isnoneornil(state, 4) ? length(state) : luaL_checkint(state, 4);
    struct builder builder;
    builder_init(&builder, state);
    for (int64_t i = first; i <= last; i++) {
        lua_charge(state, 2);
        lua_rawgeti(state, 1, i);
        if (!lua_isstring(state, -1)) {
            luaL_error(state, "invalid value (%s) at index %d in table for 'concat'",
                       luaL_typename(state, -1), (int)i);
        }
        size_t size;
        const char *text = lua_tolstring(state, -1, &size);
        builder_add(&builder, text, size);
        lua_pop(state, 1);
        if (i != last) {
            builder_add(&builder, separator, separator_size);
        }
    }
    builder_finish(&builder);
    return 1;
}

/* ---- Sorting ---- */

static bool is_less(lua_State *state, struct value one, struct value other)
{
    lua_charge(state, 2);
    if (lua_isnil(state, 2)) {
        return vm_less(state, one, other);
    }
    lua_pushvalue(state, 2);
    stack_push(state, one);
    stack_push(state, other);
    lua_call(state, 2, 1);
    bool less = lua_toboolean(state, -1);
    lua_pop(state, 1);
    return less;
}

/* Merges the runs [start, middle) and [middle, end) of one table into the other. Both have all
 * their values, and are reached by the script only through neither, so they stay as they are. */
static void merge(lua_State *state, const struct table *from, struct table *to, uint32_t start,
                  uint32_t middle, uint32_t end)
{
    uint32_t left = start;
    uint32_t right = middle;
    for (uint32_t i = start; i < end; i++) {
        bool take_right = left == middle ||
                          (right < end && is_less(state, from->array[right], from->array[left]));
        to->array[i] = from->array[take_right ? right : left];
        left += !take_right;
        right += take_right;
    }
}

static struct table *push_copy(lua_State *state, uint32_t count)
{
    lua_createtable(state, count, 0);
    int place = lua_gettop(state);
    for (uint32_t i = 1; i <= count; i++) {
        lua_rawgeti(state, 1, i);
        if (lua_isnil(state, -1)) {
            luaL_error(state, "attempt to compare nil with %s", i == 1 ? "nil" : "number");
        }
        lua_rawseti(state, place, i);
    }
    lua_charge(state, count / MOVED_PER_UNIT);
    return state->thread->stack[state->thread->top - 1].table;
}

static int table_sort(lua_State *state)
{
    uint32_t count = (uint32_t)length(state);
    if (!lua_isnoneornil(state, 2)) {
        luaL_checktype(state, 2, LUA_TFUNCTION);
    }
    lua_settop(state, 2);
    struct table *from = push_copy(state, count);
    struct table *to = push_copy(state, count);
    for (uint32_t width = 1; width < count; width *= 2) {
        for (uint32_t start = 0; start < count; start += 2 * width) {
            uint32_t middle = count - start > width ? start + width : count;
            uint32_t end = count - start > 2 * width ? start + 2 * width : count;
            merge(state, from, to, start, middle, end);
        }
        struct table *swapped = from;
        from = to;
        to = swapped;
    }
    lua_charge(state, count / MOVED_PER_UNIT);
    for (uint32_t i = 0; i < count; i++) {
        stack_push(state, from->array[i]);
        lua_rawseti(state, 1, i + 1);
    }
    return 0;
}

/* ---- What Lua 5.1 has from before ---- */

static int table_maxn(lua_State *state)
{
    double max = 0;
    luaL_checktype(state, 1, LUA_TTABLE);
    for (lua_pushnil(state); lua_next(state, 1); lua_pop(state, 1)) {
        lua_charge(state, 2);
        if (lua_type(state, -2) == LUA_TNUMBER && lua_tonumber(state, -2) > max) {
            max = lua_tonumber(state, -2);
        }
    }
    lua_pushnumber(state, max);
    return 1;
}

static int table_getn(lua_State *state)
{
    lua_pushinteger(state, length(state));
    return 1;
}

static int table_setn(lua_State *state)
{
    luaL_checktype(state, 1, LUA_TTABLE);
    luaL_error(state, "'setn' is obsolete");
}

static int table_foreachi(lua_State *state)
{
    int64_t count = length(state);
    luaL_checktype(state, 2, LUA_TFUNCTION);
    for (int64_t i = 1; i <= count; i++) {
        lua_pushvalue(state, 2);
        lua_pushinteger(state, i);
        lua_rawgeti(state, 1, i);
        lua_call(state, 2, 1);
        if (!lua_isnil(state, -1)) {
            return 1;
        }
        lua_pop(state, 1);
    }
    return 0;
}

static int table_foreach(lua_State *state)
{
    luaL_checktype(state, 1, LUA_TTABLE);
    luaL_checktype(state, 2, LUA_TFUNCTION);
    for (lua_pushnil(state); lua_next(state, 1); lua_pop(state, 2)) {
        lua_pushvalue(state, 2);
        lua_pushvalue(state, -3);
        lua_pushvalue(state, -3);
        lua_call(state, 2, 1);
        if (!lua_isnil(state, -1)) {
            return 1;
        }
    }
    return 0;
}

void lua_open_table(lua_State *state)
{
    static const luaL_Reg functions[] = {
        {"concat", library_concat},   {"foreach", table_foreach},
        {"foreachi", table_foreachi}, {"getn", table_getn},
        {"insert", table_insert},     {"maxn", table_maxn},
        {"remove", table_remove},     {"setn", table_setn},
        {"sort", table_sort},         {NULL, NULL},
    };
    lua_newtable(state);
    luaL_register(state, functions);
}
