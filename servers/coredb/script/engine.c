/* The life of one script: its state, its limits, its errors. */
#include "coredb/script/engine_private.h"

#include "coredb/base/bytes.h"

#include <stdio.h>
#include <string.h>

static const char chunk_name[] = "@user_script";

static void *allocate(void *arg, void *block, size_t old_size, size_t size)
{
    struct engine *engine = arg;
    uint64_t made = engine->arena->made;
    if (size > old_size && engine->work >= SCRIPT_WORK_MAX) {
        engine->stopped = true;
        return NULL;
    }
    void *moved = arena_resize(engine->arena, block, old_size, size);
    engine->work += (engine->arena->made - made) / SCRIPT_BYTES_PER_WORK;
    return moved;
}

struct engine *engine_of(lua_State *state)
{
    void *engine = NULL;
    (void)lua_getallocf(state, &engine);
    return engine;
}

static void on_count(lua_State *state, lua_Debug *debug)
{
    (void)debug;
    struct engine *engine = engine_of(state);
    engine->work += engine->stopped ? 1 : SCRIPT_HOOK_INSTRUCTIONS;
    if (engine->work >= SCRIPT_WORK_MAX || engine->exec->store->failure != RR_OK) {
        /* From now on every instruction ends in an error, so that pcall cannot go on. */
        engine->stopped = true;
        lua_sethook(state, on_count, LUA_MASKCOUNT, 1);
        luaL_error(state, "script exceeded its limit of work");
    }
}

void engine_charge(lua_State *state, uint64_t work)
{
    struct engine *engine = engine_of(state);
    engine->work += work;
    if (engine->work >= SCRIPT_WORK_MAX || engine->exec->store->failure != RR_OK) {
        engine->stopped = true;
        lua_sethook(state, on_count, LUA_MASKCOUNT, 1);
        luaL_error(state, "script exceeded its limit of work");
    }
}

/* ---- Errors ---- */

/* The handler of errors: makes a table of the message, and notes where it came from. */
static int on_error(lua_State *state)
{
    if (!lua_istable(state, 1)) {
        lua_settop(state, 1);
        lua_newtable(state);
        const char *text = lua_tostring(state, 1);
        lua_pushfstring(state, "ERR %s",
                        text != NULL              ? text
                        : lua_isnil(state, 1)     ? "nil"
                        : lua_isboolean(state, 1) ? (lua_toboolean(state, 1) ? "true" : "false")
                                                  : lua_typename(state, lua_type(state, 1)));
        lua_setfield(state, 2, "err");
        lua_replace(state, 1);
    }
    lua_Debug where;
    if (!lua_getstack(state, 1, &where)) {
        return 1;
    }
    lua_getinfo(state, "nSl", &where);
    if (strcmp(where.what, "C") == 0 && lua_getstack(state, 2, &where)) {
        lua_getinfo(state, "nSl", &where);
    }
    lua_pushstring(state, where.source);
    lua_setfield(state, 1, "source");
    lua_pushinteger(state, where.currentline);
    lua_setfield(state, 1, "line");
    return 1;
}

static const char *field_text(lua_State *state, int table, const char *name)
{
    lua_pushstring(state, name);
    lua_rawget(state, table);
    return lua_tostring(state, -1); /* stays on the stack */
}

/* Answers with the error that is on top of the stack. */
static void write_error(lua_State *state, const struct engine *engine)
{
    struct reply *reply = engine->exec->reply;
    int at = lua_gettop(state);
    if (!lua_istable(state, at)) {
        const char *text = lua_tostring(state, at);
        reply_error(reply, "ERR %s script: %s", text == NULL ? "unknown error" : text,
                    engine->script->sha1);
        return;
    }
    const char *text = field_text(state, at, "err");
    const char *source = field_text(state, at, "source");
    const char *line = field_text(state, at, "line");
    text = text == NULL ? "ERR unknown error" : text;
    if (source == NULL || line == NULL) {
        reply_error(reply, "%s script: %s", text, engine->script->sha1);
    } else {
        reply_error(reply, "%s script: %s, on %s:%s.", text, engine->script->sha1, source, line);
    }
}

/* ---- Running ---- */

static void push_strings(lua_State *state, const rr_bytes *strings, size_t count)
{
    lua_createtable(state, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(state, strings[i].data, strings[i].size);
        lua_rawseti(state, -2, (int)i + 1);
    }
}

/* The text without its first line, if that is a shebang. */
static rr_bytes text_body(rr_bytes text)
{
    const char *data = text.data;
    if (text.size < 2 || data[0] != '#' || data[1] != '!') {
        return text;
    }
    const char *end = memchr(data, '\n', text.size);
    size_t skipped = end == NULL ? text.size : (size_t)(end - data);
    return (rr_bytes){data + skipped, text.size - skipped};
}

static int load_text(lua_State *state, rr_bytes text)
{
    rr_bytes body = text_body(text);
    if (body.size != 0 && *(const char *)body.data == LUA_SIGNATURE[0]) {
        lua_pushstring(state, "user_script:1: unexpected symbol near char(27)");
        return LUA_ERRSYNTAX;
    }
    return luaL_loadbuffer(state, body.data, body.size, chunk_name);
}

/* Runs the engine's script. */
static int run(lua_State *state)
{
    struct engine *engine = lua_touserdata(state, 1);
    const struct script *script = engine->script;
    struct reply *reply = engine->exec->reply;
    lua_settop(state, 0);
    sandbox_open(state);
    lua_sethook(state, on_count, LUA_MASKCOUNT, SCRIPT_HOOK_INSTRUCTIONS);
    push_strings(state, script->keys, script->key_count);
    sandbox_set_global(state, "KEYS");
    push_strings(state, script->arguments, script->argument_count);
    sandbox_set_global(state, "ARGV");
    lua_pushcfunction(state, on_error);
    if (load_text(state, script->text) != 0) {
        reply_error(reply, "ERR Error compiling script (new function): %s",
                    lua_tostring(state, -1));
        return 0;
    }
    if (lua_pcall(state, 0, 1, 1) != 0) {
        if (!engine->stopped) {
            write_error(state, engine);
        }
        return 0;
    }
    if (!engine->stopped) {
        convert_write(state, reply, engine->exec->store->is_query ? 0 : 15 * 1024 * 1024);
    }
    return 0;
}

static bool engine_init(struct engine *engine, struct exec *exec, const struct script *script)
{
    *engine = (struct engine){.exec = exec, .script = script, .protocol = 2};
    reply_init(&engine->answer, 2);
    buffer_init(&engine->scratch);
    engine->arena = arena_take();
    if (engine->arena != NULL) {
        engine->state = lua_newstate(allocate, engine);
    }
    return engine->state != NULL;
}

static void engine_deinit(struct engine *engine)
{
    /* What the state holds lies in the arena, and goes with it: closing it would only cost time. */
    arena_give(engine->arena);
    reply_deinit(&engine->answer);
    buffer_deinit(&engine->scratch);
}

void engine_run(struct exec *exec, const struct script *script)
{
    struct engine engine;
    uint32_t db = exec->store->db_index;
    size_t before = exec->reply->out.size;
    if (!engine_init(&engine, exec, script)) {
        store_fail(exec->store, RR_NO_MEMORY);
        engine_deinit(&engine);
        return;
    }
    int status = lua_cpcall(engine.state, run, &engine);
    if (engine.stopped) {
        reply_truncate(exec->reply, before);
        reply_error(exec->reply, "ERR script exceeded the limit of %d instructions script: %s",
                    SCRIPT_WORK_MAX, script->sha1);
    } else if (status != 0) {
        const char *text = lua_tostring(engine.state, -1);
        reply_truncate(exec->reply, before);
        reply_error(exec->reply, "ERR %s script: %s", text == NULL ? "failed" : text, script->sha1);
    }
    exec->store->db_index = db;
    engine_deinit(&engine);
}

struct compilation {
    rr_bytes text;
    char *error;
    size_t error_size;
    bool fine;
};

static int compile(lua_State *state)
{
    struct compilation *compilation = lua_touserdata(state, 1);
    compilation->fine = load_text(state, compilation->text) == 0;
    if (!compilation->fine) {
        snprintf(compilation->error, compilation->error_size, "%s", lua_tostring(state, -1));
    }
    return 0;
}

bool engine_compiles(rr_bytes text, char *error, size_t error_size)
{
    struct engine engine;
    struct compilation compilation = {text, error, error_size, false};
    snprintf(error, error_size, "not enough memory");
    if (engine_init(&engine, NULL, NULL)) {
        (void)lua_cpcall(engine.state, compile, &compilation);
    }
    engine_deinit(&engine);
    return compilation.fine;
}
