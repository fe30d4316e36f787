/* The stack that functions in C work with; and a new state. */
#include "coredb/script/lua/code.h"
#include "coredb/script/lua/object.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { PUSHED_TEXT_MAX = 1000, COLLECT_FIRST = 1024 * 1024 };

/* ---- A new state ---- */

static uint64_t seed_part(void)
{
    uint64_t part = 0;
    /* Without random bytes, hashes can be foretold: then scripts are slow, not wrong. */
    (void)!getrandom(&part, sizeof(part), GRND_NONBLOCK);
    return part;
}

static void fill(lua_State *state)
{
    static const char *const events[EVENT_COUNT] = {
        "__index", "__newindex", "__call", "__add",    "__sub", "__mul", "__div", "__mod",
        "__pow",   "__unm",      "__len",  "__concat", "__eq",  "__lt",  "__le"};
    static const char no_memory[] = "not enough memory";
    state->no_memory = string_new(state, no_memory, sizeof(no_memory) - 1);
    state->main = thread_new(state);
    state->thread = state->main;
    state->main->status = THREAD_RUNNING;
    state->registry = table_new(state, 0, 0);
    state->globals = table_new(state, 0, 0);
    for (int i = 0; i < EVENT_COUNT; i++) {
        state->events[i] = string_new(state, events[i], strlen(events[i]));
    }
    (void)stack_reserve(state, 1);
}

lua_State *lua_open(struct arena *arena, uint64_t budget, void *owner)
{
    lua_State *state = arena_resize(arena, NULL, 0, sizeof(*state));
    if (state == NULL) {
        return NULL;
    }
    *state = (lua_State){.arena = arena,
                         .owner = owner,
                         .budget = budget,
                         .left = budget,
                         .allocated_max = COLLECT_FIRST,
                         .seed = {seed_part(), seed_part()}};
    struct landing landing = {.outer = NULL};
    state->landing = &landing;
    if (setjmp(landing.jump) != 0) {
        return NULL; /* what there is lies in the arena */
    }
    fill(state);
    state->landing = NULL;
    return state;
}

void *lua_owner(lua_State *state)
{
    return state->owner;
}

/* ---- Places on the stack ---- */

static uint32_t base_of(const lua_State *state)
{
    const struct thread *thread = state->thread;
    return thread->frame_count == 0 ? 0 : thread->frames[thread->frame_count - 1].base;
}

/* The value at `index`, or NULL: there is none. */
static struct value *slot(lua_State *state, int index)
{
    struct thread *thread = state->thread;
    if (index > 0) {
        uint32_t at = base_of(state) + (uint32_t)index - 1;
        return at < thread->top ? &thread->stack[at] : NULL;
    }
    if (index > LUA_REGISTRYINDEX) {
        return &thread->stack[thread->top - (uint32_t)-index];
    }
    struct closure *closure = thread->frames[thread->frame_count - 1].closure;
    uint32_t number = (uint32_t)(LUA_GLOBALSINDEX - index);
    return number >= 1 && number <= closure->slot_count ? &closure->slots[number - 1] : NULL;
}

static struct value value_at(lua_State *state, int index)
{
    if (index == LUA_REGISTRYINDEX) {
        return value_of_table(state->registry);
    }
    if (index == LUA_GLOBALSINDEX) {
        return value_of_table(state->globals);
    }
    const struct value *found = slot(state, index);
    return found == NULL ? value_nil() : *found;
}

static struct table *table_at(lua_State *state, int index)
{
    return value_at(state, index).table;
}

int lua_gettop(lua_State *state)
{
    return (int)(state->thread->top - base_of(state));
}

void lua_settop(lua_State *state, int index)
{
    struct thread *thread = state->thread;
    if (index < 0) {
        thread->top -= (uint32_t)(-index - 1);
        return;
    }
    uint32_t top = base_of(state) + (uint32_t)index;
    while (thread->top < top) {
        stack_push(state, value_nil());
    }
    thread->top = top;
}

void lua_pushvalue(lua_State *state, int index)
{
    stack_push(state, value_at(state, index));
}

void lua_insert(lua_State *state, int index)
{
    struct thread *thread = state->thread;
    struct value *to = slot(state, index);
    struct value moved = thread->stack[thread->top - 1];
    size_t count = (size_t)(&thread->stack[thread->top - 1] - to);
    lua_charge(state, count / 4);
    memmove(to + 1, to, count * sizeof(*to));
    *to = moved;
}

void lua_remove(lua_State *state, int index)
{
    struct thread *thread = state->thread;
    struct value *at = slot(state, index);
    size_t count = (size_t)(&thread->stack[thread->top - 1] - at);
    lua_charge(state, count / 4);
    memmove(at, at + 1, count * sizeof(*at));
    thread->top--;
}

void lua_replace(lua_State *state, int index)
{
    struct thread *thread = state->thread;
    *slot(state, index) = thread->stack[thread->top - 1];
    thread->top--;
}

/* ---- Reading ---- */

int lua_type(lua_State *state, int index)
{
    if (index == LUA_REGISTRYINDEX || index == LUA_GLOBALSINDEX) {
        return LUA_TTABLE;
    }
    const struct value *found = slot(state, index);
    return found == NULL ? LUA_TNONE : found->type;
}

const char *lua_typename(lua_State *state, int type)
{
    static const char *const names[] = {"nil",    "boolean", "userdata", "number",
                                        "string", "table",   "function", "thread"};
    (void)state;
    return type < 0 ? "no value" : names[type];
}

bool lua_rawequal(lua_State *state, int one, int other)
{
    struct value first = value_at(state, one);
    struct value second = value_at(state, other);
    return vm_raw_equal(state, &first, &second);
}

double lua_tonumber(lua_State *state, int index)
{
    struct value value = value_at(state, index);
    double number;
    return value_number(state, &value, &number) ? number : 0;
}

bool lua_isnumber(lua_State *state, int index)
{
    struct value value = value_at(state, index);
    double number;
    return value_number(state, &value, &number);
}

bool lua_isstring(lua_State *state, int index)
{
    int type = lua_type(state, index);
    return type == LUA_TSTRING || type == LUA_TNUMBER;
}

bool lua_toboolean(lua_State *state, int index)
{
    struct value value = value_at(state, index);
    return value_is_true(&value);
}

const char *lua_tolstring(lua_State *state, int index, size_t *size)
{
    struct value *value = slot(state, index);
    if (value != NULL && value->type == LUA_TNUMBER) {
        char text[NUMBER_TEXT_SIZE];
        size_t text_size = number_text(state, value->number, text);
        *value = value_of_string(string_new(state, text, text_size));
    }
    if (value == NULL || value->type != LUA_TSTRING) {
        if (size != NULL) {
            *size = 0;
        }
        return NULL;
    }
    if (size != NULL) {
        *size = value->string->size;
    }
    return value->string->data;
}

size_t lua_objlen(lua_State *state, int index)
{
    struct value value = value_at(state, index);
    if (value.type == LUA_TSTRING) {
        return value.string->size;
    }
    return value.type == LUA_TTABLE ? table_length(value.table) : 0;
}

void *lua_touserdata(lua_State *state, int index)
{
    struct value value = value_at(state, index);
    return value.type == LUA_TLIGHTUSERDATA ? value.pointer : NULL;
}

/* ---- Pushing ---- */

void lua_pushnil(lua_State *state)
{
    stack_push(state, value_nil());
}

void lua_pushboolean(lua_State *state, bool value)
{
    stack_push(state, value_boolean(value));
}

void lua_pushnumber(lua_State *state, double value)
{
    stack_push(state, value_of_number(value));
}

void lua_pushlstring(lua_State *state, const char *data, size_t size)
{
    stack_push(state, value_of_string(string_new(state, data, size)));
}

void lua_pushstring(lua_State *state, const char *text)
{
    if (text == NULL) {
        lua_pushnil(state);
    } else {
        lua_pushlstring(state, text, strlen(text));
    }
}

const char *lua_pushfstring(lua_State *state, const char *format, ...)
{
    char text[PUSHED_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    lua_pushstring(state, text);
    return lua_tostring(state, -1);
}

void lua_pushlightuserdata(lua_State *state, void *value)
{
    stack_push(state, (struct value){.type = LUA_TLIGHTUSERDATA, .pointer = value});
}

void lua_pushcclosure(lua_State *state, lua_CFunction function, int upvalue_count)
{
    uint32_t count = (uint32_t)upvalue_count;
    struct closure *closure =
        object_new(state, KIND_CLOSURE, sizeof(*closure) + count * sizeof(struct value));
    closure->proto = NULL;
    closure->function = function;
    closure->slot_count = count;
    struct thread *thread = state->thread;
    thread->top -= count;
    if (count != 0) {
        memcpy(closure->slots, &thread->stack[thread->top], count * sizeof(struct value));
    }
    stack_push(state, value_of_closure(closure));
}

/* ---- Tables ---- */

void lua_createtable(lua_State *state, size_t array_size, size_t hash_size)
{
    stack_push(state, value_of_table(table_new(state, array_size, hash_size)));
}

static struct value string_of(lua_State *state, const char *text)
{
    return value_of_string(string_new(state, text, strlen(text)));
}

void lua_setfield(lua_State *state, int index, const char *name)
{
    struct table *table = table_at(state, index);
    struct value key = string_of(state, name);
    struct value value = value_at(state, -1);
    table_put(state, table, &key, &value);
    state->thread->top--;
}

void lua_rawget(lua_State *state, int index)
{
    struct table *table = table_at(state, index);
    struct value *key = &state->thread->stack[state->thread->top - 1];
    *key = table_get(state, table, key);
}

void lua_rawgeti(lua_State *state, int index, int64_t key)
{
    stack_push(state, table_get_integer(state, table_at(state, index), key));
}

static void put_checked(lua_State *state, struct table *table, struct value key, struct value value)
{
    if (table->read_only) {
        error_run(state, "Attempt to modify a readonly table");
    }
    if (key.type == LUA_TNIL) {
        error_run(state, "table index is nil");
    }
    if (key.type == LUA_TNUMBER && isnan(key.number)) {
        error_run(state, "table index is NaN");
    }
    table_put(state, table, &key, &value);
}

void lua_rawset(lua_State *state, int index)
{
    put_checked(state, table_at(state, index), value_at(state, -2), value_at(state, -1));
    state->thread->top -= 2;
}

void lua_rawseti(lua_State *state, int index, int64_t key)
{
    put_checked(state, table_at(state, index), value_of_number((double)key), value_at(state, -1));
    state->thread->top--;
}

bool lua_next(lua_State *state, int index)
{
    struct table *table = table_at(state, index);
    struct value key = value_at(state, -1);
    struct value value;
    bool found = table_next(state, table, &key, &value);
    state->thread->top--;
    if (found) {
        stack_push(state, key);
        stack_push(state, value);
    }
    return found;
}

bool lua_getmetatable(lua_State *state, int index)
{
    struct value value = value_at(state, index);
    struct table *metatable = value.type == LUA_TTABLE    ? value.table->metatable
                              : value.type == LUA_TSTRING ? state->string_metatable
                                                          : NULL;
    if (metatable != NULL) {
        stack_push(state, value_of_table(metatable));
    }
    return metatable != NULL;
}

void lua_setmetatable(lua_State *state, int index)
{
    struct value value = value_at(state, index);
    struct value metatable = value_at(state, -1);
    struct table *table = metatable.type == LUA_TTABLE ? metatable.table : NULL;
    if (value.type == LUA_TSTRING) {
        state->string_metatable = table;
    } else if (value.table->read_only) {
        error_run(state, "Attempt to modify a readonly table");
    } else {
        value.table->metatable = table;
    }
    state->thread->top--;
}

void lua_setreadonly(lua_State *state, int index, bool value)
{
    table_at(state, index)->read_only = value;
}

/* ---- Chunks ---- */

struct chunk {
    const char *text;
    size_t size;
    const char *name;
};

static int load_chunk(lua_State *state)
{
    const struct chunk *chunk = lua_touserdata(state, 1);
    struct proto *proto = compile(state, chunk->text, chunk->size, chunk->name);
    struct closure *closure = object_new(state, KIND_CLOSURE, sizeof(*closure));
    closure->proto = proto;
    closure->function = NULL;
    closure->slot_count = 0;
    stack_push(state, value_of_closure(closure));
    return 1;
}

int lua_load(lua_State *state, const char *text, size_t size, const char *name)
{
    struct chunk chunk = {text, size, name};
    lua_pushcfunction(state, load_chunk);
    lua_pushlightuserdata(state, &chunk);
    return lua_pcall(state, 1, 1, 0);
}
