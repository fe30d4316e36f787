/* What the files of the script engine share. All functions run on the thread of the script. */
#ifndef COREDB_SCRIPT_ENGINE_PRIVATE_H
#define COREDB_SCRIPT_ENGINE_PRIVATE_H

#include "coredb/command/command.h"
#include "coredb/script/arena.h"
#include "coredb/script/engine.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

/* Work is counted in instructions of Lua; functions of C and memory are charged besides. */
enum {
    SCRIPT_WORK_MAX = 50000000,
    SCRIPT_HOOK_INSTRUCTIONS = 1000,
    SCRIPT_BYTES_PER_WORK = 32, /* memory given out is charged one instruction for so much */
    SCRIPT_CALL_WORK = 20,      /* a command */
};

/* A script being run. */
struct engine {
    struct exec *exec;
    const struct script *script;
    struct arena *arena;
    lua_State *state;
    uint64_t work;       /* instructions so far */
    int protocol;        /* of replies to the script: 2 or 3 */
    struct reply answer; /* of the command that the script called last; kept for its memory */
    uint64_t random;     /* state of math.random */
    struct buffer scratch;
    bool stopped; /* beyond a limit, or the store has failed */
};

/* The engine that a state belongs to. */
struct engine *engine_of(lua_State *state);

/* Counts work; raises an error when there was too much. */
void engine_charge(lua_State *state, uint64_t work);

/* ---- sandbox.c ---- */

/* Makes the environment that scripts see: index LUA_GLOBALSINDEX is it afterwards. */
void sandbox_open(lua_State *state);
/* Sets a global of the environment to the value on top, which is popped. */
void sandbox_set_global(lua_State *state, const char *name);

/* ---- api.c ---- */

void api_open(lua_State *state); /* pushes the table `redis` */

/* ---- convert.c ---- */

/* Reads the reply of `reply` and pushes it. An error becomes a table with `err`. Charges. */
void convert_push_reply(lua_State *state, rr_bytes reply);
/* Writes the value on top as a reply, and pops it. */
void convert_write(lua_State *state, struct reply *reply, size_t bytes_max);

/* ---- Libraries: each pushes its table ---- */

void json_open(lua_State *state);
void msgpack_open(lua_State *state);
void bit_open(lua_State *state);

#endif
