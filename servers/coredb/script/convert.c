/* Values of Lua and replies, in both directions, by Redis's rules. */
#include "coredb/script/engine_private.h"

#include "coredb/base/number.h"

#include <stdlib.h>
#include <string.h>

/* ---- Replies to Lua ---- */

struct source {
    const char *at;
    const char *end;
};

/* The rest of the line; replies are our own, so it is complete. */
static rr_bytes read_line(struct source *source)
{
    const char *start = source->at;
    const char *end = memchr(start, '\r', (size_t)(source->end - start));
    if (end == NULL) {
        source->at = source->end;
        return (rr_bytes){start, (size_t)(source->end - start)};
    }
    source->at = end + 2;
    return (rr_bytes){start, (size_t)(end - start)};
}

static int64_t read_integer(struct source *source)
{
    int64_t value = 0;
    (void)number_parse_i64(read_line(source), &value);
    return value;
}

static void push_one(lua_State *state, struct source *source);

static void push_field_line(lua_State *state, struct source *source, const char *name)
{
    rr_bytes line = read_line(source);
    lua_newtable(state);
    lua_pushlstring(state, line.data, line.size);
    lua_setfield(state, -2, name);
    if (strcmp(name, "err") == 0) {
        lua_pushboolean(state, 1);
        lua_setfield(state, -2, "ignore_error_stats_update");
    }
}

static void push_array(lua_State *state, struct source *source)
{
    int64_t count = read_integer(source);
    if (count < 0) {
        lua_pushboolean(state, 0);
        return;
    }
    lua_createtable(state, (size_t)count, 0);
    for (int64_t i = 1; i <= count; i++) {
        push_one(state, source);
        lua_rawseti(state, -2, i);
    }
}

/* {map = {...}} or {set = {...}}. */
static void push_aggregate(lua_State *state, struct source *source, const char *name)
{
    bool is_map = strcmp(name, "map") == 0;
    int64_t count = read_integer(source);
    lua_newtable(state);
    lua_createtable(state, 0, (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        push_one(state, source);
        if (is_map) {
            push_one(state, source);
        } else {
            lua_pushboolean(state, 1);
        }
        if (lua_isnil(state, -2)) {
            lua_pop(state, 2);
        } else {
            lua_rawset(state, -3);
        }
    }
    lua_setfield(state, -2, name);
}

static void push_bulk(lua_State *state, struct source *source, bool verbatim)
{
    int64_t size = read_integer(source);
    if (size < 0) {
        lua_pushboolean(state, 0);
        return;
    }
    const char *data = source->at;
    source->at += size + 2;
    if (!verbatim) {
        lua_pushlstring(state, data, (size_t)size);
        return;
    }
    lua_newtable(state);
    lua_newtable(state);
    lua_pushlstring(state, data + 4, (size_t)size - 4);
    lua_setfield(state, -2, "string");
    lua_pushlstring(state, data, 3);
    lua_setfield(state, -2, "format");
    lua_setfield(state, -2, "verbatim_string");
}

static void push_one(lua_State *state, struct source *source)
{
    if (source->at >= source->end) {
        lua_pushboolean(state, 0);
        return;
    }
    switch (*source->at++) {
    case '+':
        push_field_line(state, source, "ok");
        break;
    case '-':
        push_field_line(state, source, "err");
        break;
    case ':':
        lua_pushnumber(state, (lua_Number)read_integer(source));
        break;
    case '$':
        push_bulk(state, source, false);
        break;
    case '=':
        push_bulk(state, source, true);
        break;
    case '*':
    case '>':
        push_array(state, source);
        break;
    case '%':
        push_aggregate(state, source, "map");
        break;
    case '~':
        push_aggregate(state, source, "set");
        break;
    case '_':
        (void)read_line(source);
        lua_pushnil(state);
        break;
    case '#':
        lua_pushboolean(state, *source->at == 't');
        (void)read_line(source);
        break;
    case ',': {
        double value = 0;
        (void)number_parse_double(read_line(source), &value);
        lua_newtable(state);
        lua_pushnumber(state, value);
        lua_setfield(state, -2, "double");
        break;
    }
    default:
        (void)read_line(source);
        lua_pushboolean(state, 0);
        break;
    }
}

void convert_push_reply(lua_State *state, rr_bytes reply)
{
    lua_charge(state, SCRIPT_CALL_WORK + reply.size / SCRIPT_BYTES_PER_WORK);
    struct source source = {reply.data, (const char *)reply.data + reply.size};
    push_one(state, &source);
}

/* ---- Lua to replies ---- */

enum { NESTING_MAX = 1500, WRITTEN_BYTES_MAX = 64 * 1024 * 1024, WRITTEN_VALUE_WORK = 10 };

struct target {
    struct reply *reply;
    size_t bytes_max;
    bool full;
};

static void write_value(lua_State *state, struct target *target, int depth);

/* Pushes the raw field of the table on top; false and nothing pushed if it has another type. */
static bool raw_field(lua_State *state, const char *name, int type)
{
    lua_pushstring(state, name);
    lua_rawget(state, -2);
    int found = lua_type(state, -1);
    if (found == type || (type == LUA_TSTRING && found == LUA_TNUMBER)) {
        return true;
    }
    lua_pop(state, 1);
    return false;
}

/* Pairs of the table on top, or its keys alone. Pops it. */
static void write_pairs(lua_State *state, struct target *target, bool is_map, int depth)
{
    size_t mark = reply_later(target->reply);
    size_t count = 0;
    lua_pushnil(state);
    while (!target->full && lua_next(state, -2) != 0) {
        count++;
        lua_pushvalue(state, -2);
        write_value(state, target, depth + 1);
        if (is_map) {
            write_value(state, target, depth + 1);
        } else {
            lua_pop(state, 1);
        }
    }
    if (is_map) {
        reply_map_end(target->reply, mark, count);
    } else {
        reply_set_end(target->reply, mark, count);
    }
}

static void write_array(lua_State *state, struct target *target, int depth)
{
    size_t mark = reply_later(target->reply);
    size_t count = 0;
    for (int i = 1; !target->full; i++) {
        lua_rawgeti(state, -1, i);
        if (lua_isnil(state, -1)) {
            lua_pop(state, 1);
            break;
        }
        write_value(state, target, depth + 1);
        count++;
    }
    reply_array_end(target->reply, mark, count);
}

static void write_table(lua_State *state, struct target *target, int depth)
{
    struct reply *reply = target->reply;
    int top = lua_gettop(state);
    if (raw_field(state, "err", LUA_TSTRING)) {
        reply_error(reply, "%s", lua_tostring(state, -1));
    } else if (raw_field(state, "ok", LUA_TSTRING)) {
        /* Line ends must not get into a status. */
        struct buffer *scratch = &engine_of(state)->scratch;
        buffer_clear(scratch);
        for (const char *c = lua_tostring(state, -1); *c != '\0'; c++) {
            buffer_append_byte(scratch, *c == '\r' || *c == '\n' ? ' ' : (uint8_t)*c);
        }
        buffer_append_byte(scratch, 0);
        reply_status(reply, scratch->failed ? "" : (const char *)scratch->data);
    } else if (raw_field(state, "double", LUA_TNUMBER)) {
        reply_double(reply, lua_tonumber(state, -1));
    } else if (raw_field(state, "map", LUA_TTABLE)) {
        write_pairs(state, target, true, depth);
    } else if (raw_field(state, "set", LUA_TTABLE)) {
        write_pairs(state, target, false, depth);
    } else {
        write_array(state, target, depth);
    }
    lua_settop(state, top);
}

static void write_value(lua_State *state, struct target *target, int depth)
{
    struct reply *reply = target->reply;
    lua_charge(state, WRITTEN_VALUE_WORK);
    if (reply->out.size > target->bytes_max) {
        target->full = true;
        lua_pop(state, 1);
        return;
    }
    if (depth > NESTING_MAX) {
        reply_error(reply, "ERR reached lua stack limit");
        lua_pop(state, 1);
        return;
    }
    switch (lua_type(state, -1)) {
    case LUA_TSTRING: {
        rr_bytes text;
        text.data = lua_tolstring(state, -1, &text.size);
        lua_charge(state, text.size / SCRIPT_BYTES_PER_WORK);
        reply_bulk(reply, text);
        break;
    }
    case LUA_TNUMBER: {
        double value = lua_tonumber(state, -1);
        bool fits = value > -9223372036854775808.0 && value < 9223372036854775808.0;
        reply_integer(reply, fits ? (int64_t)value : INT64_MIN);
        break;
    }
    case LUA_TBOOLEAN:
        if (engine_of(state)->protocol >= 3) {
            reply_boolean(reply, lua_toboolean(state, -1));
        } else if (lua_toboolean(state, -1)) {
            reply_integer(reply, 1);
        } else {
            reply_null(reply);
        }
        break;
    case LUA_TTABLE:
        write_table(state, target, depth);
        break;
    default:
        reply_null(reply);
        break;
    }
    lua_pop(state, 1);
}

void convert_write(lua_State *state, struct reply *reply, size_t bytes_max)
{
    size_t before = reply->out.size;
    struct target target = {reply, before + (bytes_max == 0 ? WRITTEN_BYTES_MAX : bytes_max),
                            false};
    write_value(state, &target, 0);
    if (target.full) {
        reply_truncate(reply, before);
        reply_error(reply, "ERR the reply of a script exceeds the limit");
    }
}
