/* Checks of arguments, and the errors they raise. */
#include "coredb/script/lua/code.h"
#include "coredb/script/lua/object.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ERROR_TEXT_MAX = 1000 };

void luaL_where(lua_State *state, int level)
{
    struct lua_place place;
    if (lua_place_of(state, level, &place) && place.line > 0) {
        lua_pushfstring(state, "%s:%d: ", place.short_source, place.line);
    } else {
        lua_pushstring(state, "");
    }
}

void luaL_error(lua_State *state, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    struct lua_place place;
    if (lua_place_of(state, 1, &place) && place.line > 0) {
        lua_pushfstring(state, "%s:%d: %s", place.short_source, place.line, text);
    } else {
        lua_pushstring(state, text);
    }
    (void)lua_error(state);
    __builtin_unreachable();
}

/* What the running function was called as, or NULL. */
static const struct note *called_as(lua_State *state)
{
    const struct thread *thread = state->thread;
    if (thread->frame_count < 2) {
        return NULL;
    }
    const struct frame *frame = &thread->frames[thread->frame_count - 1];
    const struct frame *caller = frame - 1;
    const struct proto *proto = caller->closure->proto;
    if (proto == NULL || frame->tail_calls != 0) {
        return NULL;
    }
    const struct instruction *last = &proto->code[caller->pc - 1];
    if ((last->op != OP_CALL && last->op != OP_TAILCALL) ||
        caller->base + last->a != frame->function) {
        return NULL;
    }
    for (uint32_t i = 0; i < proto->note_count; i++) {
        if (proto->notes[i].pc == caller->pc - 1 && proto->notes[i].reg == last->a) {
            return &proto->notes[i];
        }
    }
    return NULL;
}

void luaL_argerror(lua_State *state, int argument, const char *text)
{
    const struct note *note = called_as(state);
    const char *name = note == NULL || note->name == NULL ? "?" : note->name->data;
    if (note != NULL && note->kind == NOTE_METHOD && --argument == 0) {
        luaL_error(state, "calling '%s' on bad self (%s)", name, text);
    }
    luaL_error(state, "bad argument #%d to '%s' (%s)", argument, name, text);
}

void luaL_typerror(lua_State *state, int argument, const char *expected)
{
    char text[100];
    snprintf(text, sizeof(text), "%s expected, got %s", expected, luaL_typename(state, argument));
    luaL_argerror(state, argument, text);
}

double luaL_checknumber(lua_State *state, int argument)
{
    if (!lua_isnumber(state, argument)) {
        luaL_typerror(state, argument, "number");
    }
    return lua_tonumber(state, argument);
}

double luaL_optnumber(lua_State *state, int argument, double other)
{
    return lua_isnoneornil(state, argument) ? other : luaL_checknumber(state, argument);
}

int64_t luaL_checkinteger(lua_State *state, int argument)
{
    double number = luaL_checknumber(state, argument);
    if (isnan(number)) {
        return INT64_MIN;
    }
    return number >= 9223372036854775808.0   ? INT64_MAX
           : number < -9223372036854775808.0 ? INT64_MIN
                                             : (int64_t)number;
}

int64_t luaL_optinteger(lua_State *state, int argument, int64_t other)
{
    return lua_isnoneornil(state, argument) ? other : luaL_checkinteger(state, argument);
}

int luaL_checkint(lua_State *state, int argument)
{
    return (int)(uint32_t)(uint64_t)luaL_checkinteger(state, argument);
}

int luaL_optint(lua_State *state, int argument, int other)
{
    return lua_isnoneornil(state, argument) ? other : luaL_checkint(state, argument);
}

const char *luaL_checklstring(lua_State *state, int argument, size_t *size)
{
    const char *text = lua_tolstring(state, argument, size);
    if (text == NULL) {
        luaL_typerror(state, argument, "string");
    }
    return text;
}

const char *luaL_optlstring(lua_State *state, int argument, const char *other, size_t *size)
{
    if (!lua_isnoneornil(state, argument)) {
        return luaL_checklstring(state, argument, size);
    }
    if (size != NULL) {
        *size = other == NULL ? 0 : strlen(other);
    }
    return other;
}

void luaL_checktype(lua_State *state, int argument, int type)
{
    if (lua_type(state, argument) != type) {
        luaL_typerror(state, argument, lua_typename(state, type));
    }
}

void luaL_checkany(lua_State *state, int argument)
{
    if (lua_isnone(state, argument)) {
        luaL_argerror(state, argument, "value expected");
    }
}

bool luaL_callmeta(lua_State *state, int index, const char *event)
{
    if (index < 0) {
        index += lua_gettop(state) + 1;
    }
    if (!lua_getmetatable(state, index)) {
        return false;
    }
    lua_pushstring(state, event);
    lua_rawget(state, -2);
    lua_remove(state, -2);
    if (lua_isnil(state, -1)) {
        lua_pop(state, 1);
        return false;
    }
    lua_pushvalue(state, index);
    lua_call(state, 1, 1);
    return true;
}

void luaL_register(lua_State *state, const luaL_Reg *functions)
{
    for (; functions->name != NULL; functions++) {
        lua_pushcfunction(state, functions->function);
        lua_setfield(state, -2, functions->name);
    }
}
