/* The life of one script: its state, its limits, its errors. */
#include "coredb/script/engine_private.h"

#include "coredb/base/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char chunk_name[] = "@user_script";

struct engine *engine_of(lua_State *state)
{
    return lua_owner(state);
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
    struct lua_place where;
    if (!lua_place_of(state, 1, &where)) {
        return 1;
    }
    if (where.is_c) {
        (void)lua_place_of(state, 2, &where);
    }
    lua_pushstring(state, where.source);
    lua_setfield(state, 1, "source");
    lua_pushinteger(state, where.line);
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
    lua_createtable(state, count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(state, strings[i].data, strings[i].size);
        lua_rawseti(state, -2, (int64_t)i + 1);
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
    if (body.size != 0 && *(const char *)body.data == '\033') {
        lua_pushstring(state, "user_script:1: unexpected symbol near char(27)");
        return LUA_ERRSYNTAX;
    }
    return lua_load(state, body.data, body.size, chunk_name);
}

/* Runs the engine's script. */
static int run(lua_State *state)
{
    struct engine *engine = lua_touserdata(state, 1);
    const struct script *script = engine->script;
    struct reply *reply = engine->exec->reply;
    lua_settop(state, 0);
    sandbox_open(state);
    push_strings(state, script->keys, script->key_count);
    lua_setfield(state, LUA_GLOBALSINDEX, "KEYS");
    push_strings(state, script->arguments, script->argument_count);
    lua_setfield(state, LUA_GLOBALSINDEX, "ARGV");
    sandbox_close(state);
    lua_pushcfunction(state, on_error);
    if (load_text(state, script->text) != LUA_OK) {
        reply_error(reply, "ERR Error compiling script (new function): %s",
                    lua_tostring(state, -1));
        return 0;
    }
    if (lua_pcall(state, 0, 1, 1) != LUA_OK) {
        write_error(state, engine);
        return 0;
    }
    convert_write(state, reply, engine->exec->store->is_query ? 0 : STORE_REPLIES_BYTES_MAX);
    return 0;
}

static bool engine_init(struct engine *engine, struct exec *exec, const struct script *script,
                        uint64_t budget)
{
    *engine = (struct engine){.exec = exec, .script = script, .protocol = 2};
    reply_init(&engine->answer, 2);
    buffer_init(&engine->scratch);
    engine->arena = arena_take();
    if (engine->arena != NULL) {
        engine->state = lua_open(engine->arena, budget, engine);
    }
    return engine->state != NULL;
}

static void engine_deinit(struct engine *engine)
{
    /* What the state holds lies in the arena, and goes with it. */
    arena_give(engine->arena);
    reply_deinit(&engine->answer);
    buffer_deinit(&engine->scratch);
    free(engine->words);
}

/* What a script may do: no more than what is left to its entry. */
static uint64_t budget_of(const struct store *store)
{
    return store->work_left < SCRIPT_WORK_MAX / SCRIPT_WORK_PER_STORE_WORK
               ? store->work_left * SCRIPT_WORK_PER_STORE_WORK
               : SCRIPT_WORK_MAX;
}

/* Answers for a script that was ended for its work. */
static void write_spent(struct engine *engine, uint64_t budget,
                        const struct store_savepoint *savepoint)
{
    struct store *store = engine->exec->store;
    if (store->failure == RR_OK && budget < SCRIPT_WORK_MAX) {
        (void)store_work(store, UINT64_MAX); /* it is the entry's work that is used up */
    }
    if (store->failure == RR_OK) {
        store_rollback(store, savepoint);
    }
    reply_error(engine->exec->reply,
                "ERR script used up its budget of work, %d units; nothing of it is applied "
                "script: %s",
                SCRIPT_WORK_MAX, engine->script->sha1);
}

/* Runs it, with the store's work limited. */
static void run_within(struct exec *exec, const struct script *script)
{
    struct engine engine;
    struct store *store = exec->store;
    struct store_savepoint savepoint;
    uint32_t db = store->db_index;
    size_t before = exec->reply->out.size;
    uint64_t budget = budget_of(store);
    store_save(store, &savepoint);
    if (!engine_init(&engine, exec, script, budget)) {
        store_fail(store, RR_NO_MEMORY);
        engine_deinit(&engine);
        return;
    }
    int status = lua_cpcall(engine.state, run, &engine);
    if (status != LUA_OK) {
        reply_truncate(exec->reply, before);
    }
    if (status == LUA_ERRSPENT) {
        write_spent(&engine, budget, &savepoint);
    } else if (status != LUA_OK) {
        const char *text = lua_tostring(engine.state, -1);
        reply_error(exec->reply, "ERR %s script: %s", text == NULL ? "failed" : text, script->sha1);
    }
    uint64_t work = lua_work(engine.state);
    work = work > engine.store_charged ? work - engine.store_charged : 0;
    (void)store_work(store, work / SCRIPT_WORK_PER_STORE_WORK);
    store->db_index = db;
    engine_deinit(&engine);
}

void engine_run(struct exec *exec, const struct script *script)
{
    struct store *store = exec->store;
    bool limits_work = store->limits_work;
    if (store->is_query) {
        store->work_left = STORE_WORK_MAX; /* a query has no limit else */
        store->exhausted = false;
    }
    store->limits_work = true;
    run_within(exec, script);
    store->limits_work = limits_work;
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
    compilation->fine = load_text(state, compilation->text) == LUA_OK;
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
    if (engine_init(&engine, NULL, NULL, SCRIPT_WORK_MAX)) {
        (void)lua_cpcall(engine.state, compile, &compilation);
    }
    engine_deinit(&engine);
    return compilation.fine;
}
