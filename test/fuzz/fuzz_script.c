/* Fuzzes the interpreter of scripts: the input is a chunk of Lua, which is compiled and run with a
 * small budget, twice: both runs must end with the same work and the same result. */
#include "coredb/script/lua/lua.h"

#include <stdlib.h>
#include <string.h>

enum { BUDGET = 200000, TEXT_MAX = 4000, SHOWN_MAX = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    const uint8_t *data;
    size_t size;
    int status;
    uint64_t work;
    char shown[SHOWN_MAX]; /* the result or the message, as far as it fits */
};

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void set_library(lua_State *state, void (*open)(lua_State *state), const char *name)
{
    open(state);
    lua_setreadonly(state, -1, true);
    lua_setfield(state, LUA_GLOBALSINDEX, name);
}

static int run_chunk(lua_State *state)
{
    struct outcome *outcome = lua_touserdata(state, 1);
    lua_open_base(state);
    set_library(state, lua_open_string, "string");
    set_library(state, lua_open_table, "table");
    set_library(state, lua_open_math, "math");
    set_library(state, lua_open_coroutine, "coroutine");
    outcome->status = lua_load(state, (const char *)outcome->data, outcome->size, "@fuzz");
    if (outcome->status == LUA_OK) {
        outcome->status = lua_pcall(state, 0, 1, 0);
    }
    size_t size;
    const char *text = lua_tolstring(state, -1, &size);
    if (text != NULL) {
        memcpy(outcome->shown, text, size < SHOWN_MAX ? size : SHOWN_MAX);
    }
    return 0;
}

static struct outcome run(const uint8_t *data, size_t size)
{
    struct outcome outcome = {.data = data, .size = size};
    struct arena *arena = arena_take();
    check(arena != NULL);
    lua_State *state = lua_open(arena, BUDGET, NULL);
    check(state != NULL);
    int status = lua_cpcall(state, run_chunk, &outcome);
    outcome.status = status == LUA_OK ? outcome.status : status;
    outcome.work = lua_work(state);
    check(outcome.work <= BUDGET);
    arena_give(arena);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > TEXT_MAX) {
        return 0;
    }
    struct outcome first = run(data, size);
    struct outcome second = run(data, size);
    check(first.status == second.status);
    check(first.work == second.work);
    check(memcmp(first.shown, second.shown, SHOWN_MAX) == 0);
    return 0;
}
