/*
 * An interpreter of Lua 5.1 for scripts that run at apply: what one does depends on its text and
 * arguments alone, and all work is paid for from a budget, in the interpreter as in its libraries.
 *
 * The interface is that of Lua 5.1's stack, so that who knows one knows the other, with these
 * differences: no userdata but light ones, no weak tables, no finalizers, no environments of
 * functions, no bytecode; tables can be made read-only; pairs() goes through an array, then through
 * the other keys in the order of their insertion.
 *
 * Invariants:
 * 1. Nothing that a script can observe depends on an address, a clock or the seed of hashes.
 * 2. Work that can grow with sizes charges the budget; once that is spent, control goes to the
 *    outermost lua_pcall, past all others.
 * 3. Memory is collected between instructions only, never inside of a function in C.
 *
 * One thread at a time uses a state. Functions raise errors by longjmp.
 */
#ifndef COREDB_SCRIPT_LUA_LUA_H
#define COREDB_SCRIPT_LUA_LUA_H

#include "coredb/script/arena.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lua_State lua_State;
typedef int (*lua_CFunction)(lua_State *state);
typedef double lua_Number;

enum lua_type {
    LUA_TNONE = -1,
    LUA_TNIL = 0,
    LUA_TBOOLEAN,
    LUA_TLIGHTUSERDATA,
    LUA_TNUMBER,
    LUA_TSTRING,
    LUA_TTABLE,
    LUA_TFUNCTION,
    LUA_TTHREAD,
};

enum lua_status {
    LUA_OK = 0,
    LUA_ERRRUN,
    LUA_ERRSYNTAX,
    LUA_ERRMEM,
    LUA_ERRERR,
    LUA_ERRSPENT, /* the budget is used up, or the state was abandoned */
};

enum {
    LUA_MULTRET = -1,
    LUA_REGISTRYINDEX = -10000,
    LUA_GLOBALSINDEX = -10001,
    LUA_C_DEPTH_MAX = 200, /* calls of C within calls of C; also nested syntax */
};

static inline int lua_upvalueindex(int i)
{
    return LUA_GLOBALSINDEX - i;
}

/* A state in `arena`, which it fills and which ends it: there is no close. NULL: no memory.
 * `owner` is what lua_owner answers. */
lua_State *lua_open(struct arena *arena, uint64_t budget, void *owner);
void *lua_owner(lua_State *state);

/* Takes `units` from the budget. Does not return when it is used up. */
void lua_charge(lua_State *state, uint64_t units);
/* How much of the budget is used. */
uint64_t lua_work(const lua_State *state);
/* Ends everything as if the budget were used up. Does not return. */
_Noreturn void lua_abandon(lua_State *state);

/* ---- Stack ---- */

int lua_gettop(lua_State *state);
void lua_settop(lua_State *state, int index);
void lua_pushvalue(lua_State *state, int index);
void lua_insert(lua_State *state, int index);
void lua_replace(lua_State *state, int index);
void lua_remove(lua_State *state, int index);

static inline void lua_pop(lua_State *state, int count)
{
    lua_settop(state, -count - 1);
}

/* ---- Reading; the pointers last while the value is reachable ---- */

int lua_type(lua_State *state, int index);
const char *lua_typename(lua_State *state, int type);
bool lua_rawequal(lua_State *state, int one, int other);
double lua_tonumber(lua_State *state, int index); /* 0 if it is none */
bool lua_isnumber(lua_State *state, int index);   /* a number or a text of one */
bool lua_isstring(lua_State *state, int index);   /* a string or a number */
bool lua_toboolean(lua_State *state, int index);
/* Turns a number into a string in place. NULL: neither. */
const char *lua_tolstring(lua_State *state, int index, size_t *size);
size_t lua_objlen(lua_State *state, int index);
void *lua_touserdata(lua_State *state, int index);

static inline const char *lua_tostring(lua_State *state, int index)
{
    return lua_tolstring(state, index, NULL);
}
static inline bool lua_isnil(lua_State *state, int index)
{
    return lua_type(state, index) == LUA_TNIL;
}
static inline bool lua_isboolean(lua_State *state, int index)
{
    return lua_type(state, index) == LUA_TBOOLEAN;
}
static inline bool lua_isnone(lua_State *state, int index)
{
    return lua_type(state, index) == LUA_TNONE;
}
static inline bool lua_isnoneornil(lua_State *state, int index)
{
    return lua_type(state, index) <= 0;
}
static inline bool lua_istable(lua_State *state, int index)
{
    return lua_type(state, index) == LUA_TTABLE;
}

/* ---- Pushing ---- */

void lua_pushnil(lua_State *state);
void lua_pushboolean(lua_State *state, bool value);
void lua_pushnumber(lua_State *state, double value);
void lua_pushlstring(lua_State *state, const char *data, size_t size);
void lua_pushstring(lua_State *state, const char *text); /* NULL: nil */
/* As printf, bounded to 1,000 bytes. Returns the text. */
const char *lua_pushfstring(lua_State *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void lua_pushlightuserdata(lua_State *state, void *value);
void lua_pushcclosure(lua_State *state, lua_CFunction function, int upvalue_count);

static inline void lua_pushinteger(lua_State *state, int64_t value)
{
    lua_pushnumber(state, (double)value);
}
static inline void lua_pushcfunction(lua_State *state, lua_CFunction function)
{
    lua_pushcclosure(state, function, 0);
}

/* ---- Tables, raw ---- */

void lua_createtable(lua_State *state, size_t array_size, size_t hash_size);
static inline void lua_newtable(lua_State *state)
{
    lua_createtable(state, 0, 0);
}
void lua_setfield(lua_State *state, int index, const char *name); /* a table only */
void lua_rawget(lua_State *state, int index);
void lua_rawgeti(lua_State *state, int index, int64_t key);
/* These refuse read-only tables by an error, and bad keys. */
void lua_rawset(lua_State *state, int index);
void lua_rawseti(lua_State *state, int index, int64_t key);
/* Pops a key, pushes the next pair, or nothing and returns false. */
bool lua_next(lua_State *state, int index);
bool lua_getmetatable(lua_State *state, int index);
void lua_setmetatable(lua_State *state, int index); /* of a table, or of all strings */
/* Whether the table is read-only: for scripts, and for lua_rawset. */
void lua_setreadonly(lua_State *state, int index, bool value);

/* ---- Calls and errors ---- */

void lua_call(lua_State *state, int arguments, int results);
/* `handler` is the index of a function that makes the error value from another, or 0. */
int lua_pcall(lua_State *state, int arguments, int results, int handler);
/* Runs `function` with `arg` as a light userdata, with nothing else on its stack. */
int lua_cpcall(lua_State *state, lua_CFunction function, void *arg);
_Noreturn int lua_error(lua_State *state);

/* Compiles a chunk and pushes the function, or a message. `name` as in Lua: "@x", "=x", text. */
int lua_load(lua_State *state, const char *text, size_t size, const char *name);

/* Where the code is that runs `level` calls up (0: the running function). */
struct lua_place {
    const char *source;
    char short_source[64];
    int line; /* -1: in C, or not known */
    bool is_c;
};
bool lua_place_of(lua_State *state, int level, struct lua_place *out);

/* ---- Checks of arguments ---- */

_Noreturn void luaL_error(lua_State *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
_Noreturn void luaL_argerror(lua_State *state, int argument, const char *text);
_Noreturn void luaL_typerror(lua_State *state, int argument, const char *expected);
void luaL_where(lua_State *state, int level);
double luaL_checknumber(lua_State *state, int argument);
double luaL_optnumber(lua_State *state, int argument, double other);
/* Cut off towards zero; outside of the range of int64_t its nearest. */
int64_t luaL_checkinteger(lua_State *state, int argument);
int64_t luaL_optinteger(lua_State *state, int argument, int64_t other);
/* As Lua's int: the lower 32 bits of luaL_checkinteger. */
int luaL_checkint(lua_State *state, int argument);
int luaL_optint(lua_State *state, int argument, int other);
const char *luaL_checklstring(lua_State *state, int argument, size_t *size);
const char *luaL_optlstring(lua_State *state, int argument, const char *other, size_t *size);
void luaL_checktype(lua_State *state, int argument, int type);
void luaL_checkany(lua_State *state, int argument);
bool luaL_callmeta(lua_State *state, int index, const char *event);

static inline void luaL_argcheck(lua_State *state, bool fine, int argument, const char *text)
{
    if (!fine) {
        luaL_argerror(state, argument, text);
    }
}
static inline const char *luaL_typename(lua_State *state, int index)
{
    return lua_typename(state, lua_type(state, index));
}

typedef struct luaL_Reg {
    const char *name;
    lua_CFunction function;
} luaL_Reg;
/* Puts the functions into the table on top; a NULL name ends them. */
void luaL_register(lua_State *state, const luaL_Reg *functions);

/* ---- Libraries: the first puts its functions into the globals, others push their table ---- */

void lua_open_base(lua_State *state);
void lua_open_string(lua_State *state); /* also the metatable of strings */
void lua_open_table(lua_State *state);
void lua_open_math(lua_State *state); /* without random numbers */
void lua_open_coroutine(lua_State *state);

#endif
