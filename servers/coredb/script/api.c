/* The table `redis` of scripts: commands, replies, and what Redis has besides. */
#include "coredb/script/engine_private.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/command/execute.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALL_ARGUMENTS_MAX = 8000, SHA1_WORK = 50 };

/* Raises or returns the error: a table, as Redis's. */
static int fail(lua_State *state, bool raise, const char *text)
{
    lua_newtable(state);
    lua_pushstring(state, text);
    lua_setfield(state, -2, "err");
    if (raise) {
        (void)lua_error(state);
    }
    return 1;
}

/* Replaces a number on the stack by its text, as Redis gives it to commands. */
static void number_to_text(lua_State *state, int at)
{
    char text[NUMBER_TEXT_MAX];
    double value = lua_tonumber(state, at);
    size_t size;
    if (fabs(value) < 9007199254740992.0 && value == floor(value)) {
        size = number_print_i64((int64_t)value, text);
    } else {
        int printed = snprintf(text, sizeof(text), "%.17g", value);
        size = printed < 0 ? 0 : (size_t)printed;
    }
    lua_pushlstring(state, text, size);
    lua_replace(state, at);
}

/* Commands of the server that a script may call; they need no connection. */
static bool call_special(struct engine *engine, const rr_bytes *argv, size_t argc)
{
    struct reply *reply = &engine->answer;
    struct store *store = engine->exec->store;
    if (bytes_is(argv[0], "ping") && argc <= 2) {
        if (argc == 2) {
            reply_bulk(reply, argv[1]);
        } else {
            reply_status(reply, "PONG");
        }
    } else if (bytes_is(argv[0], "echo") && argc == 2) {
        reply_bulk(reply, argv[1]);
    } else if (bytes_is(argv[0], "time") && argc == 1) {
        reply_array(reply, 2);
        reply_bulk_integer(reply, (int64_t)(store->now_ms / 1000));
        reply_bulk_integer(reply, (int64_t)(store->now_ms % 1000 * 1000));
    } else if (bytes_is(argv[0], "select") && argc == 2) {
        int64_t db;
        if (!number_parse_i64(argv[1], &db)) {
            reply_error(reply, "ERR value is not an integer or out of range");
        } else if (db < 0 || db >= STORE_DATABASES) {
            reply_error(reply, "ERR DB index is out of range");
        } else {
            store->db_index = (uint32_t)db;
            reply_ok(reply);
        }
    } else if (bytes_is(argv[0], "publish") && argc == 3) {
        if (events_publish(&store->events, argv[1], argv[2])) {
            reply_integer(reply, 0);
        } else {
            reply_error(reply, "ERR too many messages in one script");
        }
    } else {
        return false;
    }
    return true;
}

/* What forbids the command; NULL: nothing. */
static const char *refuse(const struct engine *engine, const rr_bytes *argv, size_t argc)
{
    const struct command *container = NULL;
    const struct command *command = command_resolve(argv, argc, &container);
    if (command == NULL) {
        return "ERR Unknown Redis command called from script";
    }
    if (!command_arity_fits(command, argc)) {
        return "ERR Wrong number of args calling Redis command from script";
    }
    if (command->run == NULL || (command->flags & COMMAND_NOSCRIPT) != 0) {
        return "ERR This Redis command is not allowed from script";
    }
    bool writes = (command->flags & COMMAND_WRITE) != 0;
    if (writes && (engine->script->read_only || engine->exec->store->is_query)) {
        return "ERR Write commands are not allowed from read-only scripts.";
    }
    return NULL;
}

/* Room for the words of a command; NULL: no memory. */
static rr_bytes *reserve_words(struct engine *engine, size_t count)
{
    if (count > engine->word_capacity) {
        rr_bytes *words = realloc(engine->words, count * sizeof(*words));
        if (words == NULL) {
            return NULL;
        }
        engine->words = words;
        engine->word_capacity = count;
    }
    return engine->words;
}

static int call(lua_State *state, bool raise)
{
    struct engine *engine = engine_of(state);
    int argc = lua_gettop(state);
    if (argc == 0) {
        return fail(state, raise,
                    "ERR Please specify at least one argument for this redis lib call");
    }
    if (argc > CALL_ARGUMENTS_MAX) {
        return fail(state, raise, "ERR too many arguments of a command");
    }
    rr_bytes *argv = reserve_words(engine, (size_t)argc);
    if (argv == NULL) {
        store_fail(engine->exec->store, RR_NO_MEMORY);
        lua_abandon(state);
    }
    for (int i = 0; i < argc; i++) {
        if (lua_type(state, i + 1) == LUA_TNUMBER) {
            number_to_text(state, i + 1);
        }
        if (lua_type(state, i + 1) != LUA_TSTRING) {
            return fail(state, raise,
                        "ERR Lua redis lib command arguments must be strings or integers");
        }
        argv[i].data = lua_tolstring(state, i + 1, &argv[i].size);
    }
    struct reply *answer = &engine->answer;
    struct store *store = engine->exec->store;
    uint64_t before = store->work_left;
    buffer_clear(&answer->out);
    answer->protocol = engine->protocol;
    answer->is_error = false;
    if (!call_special(engine, argv, (size_t)argc)) {
        const char *refusal = refuse(engine, argv, (size_t)argc);
        if (refusal != NULL) {
            return fail(state, raise, refusal);
        }
        struct exec exec = {
            .store = store, .argv = argv, .argc = (size_t)argc, .reply = answer, .in_script = true};
        execute_command(&exec);
        if (store->exhausted) {
            store_fail(store, RR_TOO_BIG); /* the script as a whole is too much for its entry */
        }
    }
    if (answer->out.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    if (store->failure != RR_OK) {
        lua_abandon(state); /* the whole batch is undone */
    }
    uint64_t charged = (before - store->work_left) * SCRIPT_STORE_SHARE;
    engine->store_charged += charged;
    lua_charge(state, charged);
    bool is_error = answer->out.size != 0 && answer->out.data[0] == '-';
    convert_push_reply(state, buffer_bytes(&answer->out));
    if (is_error && raise) {
        (void)lua_error(state);
    }
    return 1;
}

static int redis_call(lua_State *state)
{
    return call(state, true);
}

static int redis_pcall(lua_State *state)
{
    return call(state, false);
}

static int redis_error_reply(lua_State *state)
{
    if (lua_gettop(state) != 1 || lua_type(state, 1) != LUA_TSTRING) {
        return fail(state, false, "ERR wrong number or type of arguments");
    }
    const char *text = lua_tostring(state, 1);
    text += text[0] == '-';
    lua_newtable(state);
    if (strchr(text, ' ') == NULL) {
        lua_pushfstring(state, "ERR %s", text);
    } else {
        lua_pushstring(state, text);
    }
    lua_setfield(state, -2, "err");
    return 1;
}

static int redis_status_reply(lua_State *state)
{
    if (lua_gettop(state) != 1 || lua_type(state, 1) != LUA_TSTRING) {
        return fail(state, false, "ERR wrong number or type of arguments");
    }
    lua_newtable(state);
    lua_pushvalue(state, 1);
    lua_setfield(state, -2, "ok");
    return 1;
}

static int redis_sha1hex(lua_State *state)
{
    if (lua_gettop(state) != 1) {
        return fail(state, true, "ERR wrong number of arguments");
    }
    rr_bytes text = {"", 0};
    const char *data = lua_tolstring(state, 1, &text.size);
    if (data != NULL) {
        text.data = data;
    }
    lua_charge(state, SHA1_WORK + text.size / 2);
    char hex[SHA1_HEX_SIZE + 1];
    sha1_hex(text, hex);
    lua_pushstring(state, hex);
    return 1;
}

static int redis_log(lua_State *state)
{
    if (lua_gettop(state) < 2) {
        return fail(state, true, "ERR redis.log() requires two arguments or more.");
    }
    if (lua_type(state, 1) != LUA_TNUMBER) {
        return fail(state, true, "ERR First argument must be a number (log level).");
    }
    double level = lua_tonumber(state, 1);
    if (!(level >= 0 && level <= 3)) {
        return fail(state, true, "ERR Invalid debug level.");
    }
    return 0;
}

static int redis_setresp(lua_State *state)
{
    if (lua_gettop(state) != 1) {
        return fail(state, true, "ERR redis.setresp() requires one argument.");
    }
    double version = lua_tonumber(state, 1);
    if (version != 2 && version != 3) {
        return fail(state, true, "ERR RESP version must be 2 or 3.");
    }
    engine_of(state)->protocol = (int)version;
    return 0;
}

static int redis_replicate_commands(lua_State *state)
{
    lua_pushboolean(state, 1);
    return 1;
}

static int redis_breakpoint(lua_State *state)
{
    lua_pushboolean(state, 0);
    return 1;
}

static int redis_set_repl(lua_State *state)
{
    if (lua_gettop(state) != 1) {
        return fail(state, true, "ERR redis.set_repl() requires two arguments.");
    }
    double flags = lua_tonumber(state, 1);
    if (!(flags >= 0 && flags <= 3)) {
        return fail(state, true,
                    "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, "
                    "REPL_ALL or REPL_NONE.");
    }
    return 0;
}

static int nothing(lua_State *state)
{
    (void)state;
    return 0;
}

void api_open(lua_State *state)
{
    static const luaL_Reg functions[] = {
        {"call", redis_call},
        {"pcall", redis_pcall},
        {"error_reply", redis_error_reply},
        {"status_reply", redis_status_reply},
        {"sha1hex", redis_sha1hex},
        {"log", redis_log},
        {"setresp", redis_setresp},
        {"replicate_commands", redis_replicate_commands},
        {"breakpoint", redis_breakpoint},
        {"set_repl", redis_set_repl},
        {"debug", nothing},
        {"acl_check_cmd", redis_replicate_commands},
        {NULL, NULL},
    };
    static const struct {
        const char *name;
        int value;
    } constants[] = {{"LOG_DEBUG", 0},  {"LOG_VERBOSE", 1},
                     {"LOG_NOTICE", 2}, {"LOG_WARNING", 3},
                     {"REPL_NONE", 0},  {"REPL_AOF", 1},
                     {"REPL_SLAVE", 2}, {"REPL_REPLICA", 2},
                     {"REPL_ALL", 3},   {"REDIS_VERSION_NUM", 0x0007000f}};
    lua_newtable(state);
    luaL_register(state, functions);
    for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
        lua_pushinteger(state, constants[i].value);
        lua_setfield(state, -2, constants[i].name);
    }
    lua_pushstring(state, "7.0.15");
    lua_setfield(state, -2, "REDIS_VERSION");
}
