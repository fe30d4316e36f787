/* What the files of the script engine share. All functions run on the thread of the script. */
#ifndef COREDB_SCRIPT_ENGINE_PRIVATE_H
#define COREDB_SCRIPT_ENGINE_PRIVATE_H

#include "coredb/command/command.h"
#include "coredb/script/arena.h"
#include "coredb/script/engine.h"

#include "coredb/script/lua/lua.h"

/* Work is counted in units of about 10 ns, an instruction of Lua; what takes longer costs more. */
enum {
    SCRIPT_WORK_MAX = 200000000,
    SCRIPT_BYTES_PER_WORK = 4, /* of strings that are read by bytes */
    SCRIPT_CALL_WORK = 300,    /* a command, besides what it does in the store */
    SCRIPT_WORK_PER_STORE_WORK = 100,
    SCRIPT_STORE_SHARE =
        50, /* charged to the script for a unit of the store, which has a limit, too */
};

/* A script being run. */
struct engine {
    struct exec *exec;
    const struct script *script;
    struct arena *arena;
    lua_State *state;
    int protocol;        /* of replies to the script: 2 or 3 */
    struct reply answer; /* of the command that the script called last; kept for its memory */
    uint64_t random;     /* state of math.random */
    struct buffer scratch;
    rr_bytes *words; /* of the command being called */
    size_t word_capacity;
    uint64_t store_charged; /* units of the script for what its commands did in the store */
};

/* The engine that a state belongs to. */
struct engine *engine_of(lua_State *state);

/* ---- sandbox.c ---- */

/* Makes the globals that scripts see. */
void sandbox_open(lua_State *state);
/* Lets nobody change the globals and the libraries from here on. */
void sandbox_close(lua_State *state);

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
void struct_open(lua_State *state);

#endif
