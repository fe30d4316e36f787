/* The table `string`, but for string.format. */
#include "coredb/script/lua/library.h"

#include <ctype.h>
#include <string.h>

enum { BUILT_FIRST = 64, COPIED_PER_UNIT = 32, BYTES_PER_UNIT = 4, BYTE_RESULTS_MAX = 7000 };

int library_format(lua_State *state);

/* ---- Building ---- */

void builder_init(struct builder *builder, lua_State *state)
{
    *builder = (struct builder){.state = state, .place = state->thread->top};
    stack_push(state, value_of_string(string_blank(state, BUILT_FIRST)));
}

/* Room for `size` more bytes. */
static char *builder_room(struct builder *builder, size_t size)
{
    struct value *place = &builder->state->thread->stack[builder->place];
    size_t capacity = place->string->size;
    if (size > capacity - builder->size) {
        while (size > capacity - builder->size) {
            capacity = capacity > ARENA_BYTES_MAX ? builder->size + size : capacity * 2;
        }
        struct string *larger = string_blank(builder->state, capacity);
        place = &builder->state->thread->stack[builder->place];
        memcpy(larger->data, place->string->data, builder->size);
        place->string = larger;
    }
    return place->string->data + builder->size;
}

void builder_add(struct builder *builder, const char *data, size_t size)
{
    if (size == 0) {
        return;
    }
    lua_charge(builder->state, size / COPIED_PER_UNIT);
    memcpy(builder_room(builder, size), data, size);
    builder->size += size;
}

void builder_add_byte(struct builder *builder, char byte)
{
    *builder_room(builder, 1) = byte;
    builder->size++;
}

void builder_finish(struct builder *builder)
{
    lua_State *state = builder->state;
    struct string *bytes = state->thread->stack[builder->place].string;
    struct string *made = string_new(state, bytes->data, builder->size);
    state->thread->stack[builder->place] = value_of_string(made);
}

/* ---- Parts ---- */

/* A position that may count from the end, in a string of `size` bytes. */
static int64_t position(int64_t given, size_t size)
{
    if (given >= 0) {
        return given;
    }
    return -given > (int64_t)size || given == INT64_MIN ? 0 : (int64_t)size + given + 1;
}

static int string_len(lua_State *state)
{
    size_t size;
    (void)luaL_checklstring(state, 1, &size);
    lua_pushinteger(state, (int64_t)size);
    return 1;
}

static int string_sub(lua_State *state)
{
    size_t size;
    const char *text = luaL_checklstring(state, 1, &size);
    int64_t first = position(luaL_checkinteger(state, 2), size);
    int64_t last = position(luaL_optinteger(state, 3, -1), size);
    first = first < 1 ? 1 : first;
    last = last > (int64_t)size ? (int64_t)size : last;
    if (first > last) {
        lua_pushstring(state, "");
        return 1;
    }
    lua_charge(state, (uint64_t)(last - first) / COPIED_PER_UNIT);
    lua_pushlstring(state, text + first - 1, (size_t)(last - first + 1));
    return 1;
}

static int string_byte(lua_State *state)
{
    size_t size;
    const char *text = luaL_checklstring(state, 1, &size);
    int64_t first = position(luaL_optinteger(state, 2, 1), size);
    int64_t last = position(luaL_optinteger(state, 3, first), size);
    first = first < 1 ? 1 : first;
    last = last > (int64_t)size ? (int64_t)size : last;
    if (first > last) {
        return 0;
    }
    if (last - first >= BYTE_RESULTS_MAX) {
        luaL_error(state, "string slice too long");
    }
    lua_charge(state, (uint64_t)(last - first));
    for (int64_t i = first; i <= last; i++) {
        lua_pushinteger(state, (unsigned char)text[i - 1]);
    }
    return (int)(last - first + 1);
}

static int string_char(lua_State *state)
{
    int count = lua_gettop(state);
    struct builder builder;
    builder_init(&builder, state);
    for (int i = 1; i <= count; i++) {
        int c = luaL_checkint(state, i);
        luaL_argcheck(state, c >= 0 && c <= 255, i, "invalid value");
        builder_add_byte(&builder, (char)c);
    }
    lua_charge(state, (uint64_t)count);
    builder_finish(&builder);
    return 1;
}

static int string_rep(lua_State *state)
{
    size_t size;
    const char *text = luaL_checklstring(state, 1, &size);
    int count = luaL_checkint(state, 2);
    size_t times = count < 0 || size == 0 ? 0 : (size_t)count;
    if (times != 0 && size > ARENA_BYTES_MAX / times) {
        luaL_error(state, "resulting string too large");
    }
    lua_charge(state, times + times * size / COPIED_PER_UNIT);
    struct string *made = string_blank(state, times * size);
    for (size_t i = 0; i < times; i++) {
        memcpy(made->data + i * size, text, size);
    }
    stack_push(state, value_of_string(made));
    return 1;
}

/* A copy of the argument to be changed. */
static struct string *copy_argument(lua_State *state)
{
    size_t size;
    const char *text = luaL_checklstring(state, 1, &size);
    lua_charge(state, size / BYTES_PER_UNIT);
    struct string *copy = string_new(state, text, size);
    stack_push(state, value_of_string(copy));
    return copy;
}

static int string_lower(lua_State *state)
{
    struct string *copy = copy_argument(state);
    for (size_t i = 0; i < copy->size; i++) {
        copy->data[i] = (char)tolower((unsigned char)copy->data[i]);
    }
    return 1;
}

static int string_upper(lua_State *state)
{
    struct string *copy = copy_argument(state);
    for (size_t i = 0; i < copy->size; i++) {
        copy->data[i] = (char)toupper((unsigned char)copy->data[i]);
    }
    return 1;
}

static int string_reverse(lua_State *state)
{
    struct string *copy = copy_argument(state);
    for (size_t i = 0; i < copy->size / 2; i++) {
        char c = copy->data[i];
        copy->data[i] = copy->data[copy->size - 1 - i];
        copy->data[copy->size - 1 - i] = c;
    }
    return 1;
}

/* ---- Patterns ---- */

/* A pattern ends at a zero, as in Lua 5.1. */
static struct matcher matcher_of(lua_State *state, const char *text, size_t size,
                                 const char *pattern)
{
    return (struct matcher){.state = state,
                            .text = text,
                            .text_end = text + size,
                            .pattern = pattern,
                            .pattern_end = pattern + strlen(pattern)};
}

/* Pushes capture `number`, or the whole match if there are no captures. */
static void push_capture(const struct matcher *matcher, int number, const char *start,
                         const char *end)
{
    lua_State *state = matcher->state;
    if (number >= matcher->level) {
        if (number != 0) {
            luaL_error(state, "invalid capture index");
        }
        lua_pushlstring(state, start, (size_t)(end - start));
        return;
    }
    const struct capture_span *capture = &matcher->captures[number];
    if (capture->size == CAPTURE_UNFINISHED) {
        luaL_error(state, "unfinished capture");
    }
    if (capture->size == CAPTURE_POSITION) {
        lua_pushinteger(state, capture->start - matcher->text + 1);
    } else {
        lua_charge(state, (uint64_t)capture->size / COPIED_PER_UNIT);
        lua_pushlstring(state, capture->start, (size_t)capture->size);
    }
}

static int push_captures(const struct matcher *matcher, const char *start, const char *end)
{
    int count = matcher->level == 0 && start != NULL ? 1 : matcher->level;
    for (int i = 0; i < count; i++) {
        push_capture(matcher, i, start, end);
    }
    return count;
}

/* Where `wanted` is in the text, by memory alone. */
static const char *find_plain(lua_State *state, const char *text, size_t size, const char *wanted,
                              size_t wanted_size)
{
    if (wanted_size == 0) {
        return text;
    }
    const char *end = text + size;
    while ((size_t)(end - text) >= wanted_size) {
        const char *found = memchr(text, wanted[0], (size_t)(end - text) - wanted_size + 1);
        if (found == NULL) {
            lua_charge(state, (uint64_t)(end - text) / COPIED_PER_UNIT);
            return NULL;
        }
        lua_charge(state,
                   2 + (uint64_t)(found - text) / COPIED_PER_UNIT + wanted_size / COPIED_PER_UNIT);
        if (memcmp(found, wanted, wanted_size) == 0) {
            return found;
        }
        text = found + 1;
    }
    return NULL;
}

static int find_or_match(lua_State *state, bool find)
{
    size_t size;
    size_t pattern_size;
    const char *text = luaL_checklstring(state, 1, &size);
    const char *pattern = luaL_checklstring(state, 2, &pattern_size);
    int64_t first = position(luaL_optinteger(state, 3, 1), size) - 1;
    first = first < 0 ? 0 : first > (int64_t)size ? (int64_t)size : first;
    const char *at = text + first;
    if (find && (lua_toboolean(state, 4) || strpbrk(pattern, "^$*+?.([%-") == NULL)) {
        lua_charge(state, pattern_size / COPIED_PER_UNIT);
        const char *found = find_plain(state, at, size - (size_t)first, pattern, pattern_size);
        if (found == NULL) {
            lua_pushnil(state);
            return 1;
        }
        lua_pushinteger(state, found - text + 1);
        lua_pushinteger(state, found - text + (int64_t)pattern_size);
        return 2;
    }
    struct matcher matcher = matcher_of(state, text, size, pattern);
    bool anchored = *pattern == '^';
    matcher.pattern += anchored;
    do {
        const char *end = pattern_match(&matcher, at);
        if (end != NULL && !find) {
            return push_captures(&matcher, at, end);
        }
        if (end != NULL) {
            lua_pushinteger(state, at - text + 1);
            lua_pushinteger(state, end - text);
            return 2 + push_captures(&matcher, NULL, NULL);
        }
    } while (at++ < matcher.text_end && !anchored);
    lua_pushnil(state);
    return 1;
}

static int string_find(lua_State *state)
{
    return find_or_match(state, true);
}

static int string_match(lua_State *state)
{
    return find_or_match(state, false);
}

/* Upvalues: the text, the pattern, where to go on. */
static int gmatch_step(lua_State *state)
{
    size_t size;
    const char *text = lua_tolstring(state, lua_upvalueindex(1), &size);
    const char *pattern = lua_tostring(state, lua_upvalueindex(2));
    struct matcher matcher = matcher_of(state, text, size, pattern);
    const char *at = text + (size_t)lua_tonumber(state, lua_upvalueindex(3));
    for (; at <= matcher.text_end; at++) {
        const char *end = pattern_match(&matcher, at);
        if (end != NULL) {
            lua_pushinteger(state, end - text + (end == at));
            lua_replace(state, lua_upvalueindex(3));
            return push_captures(&matcher, at, end);
        }
    }
    return 0;
}

static int string_gmatch(lua_State *state)
{
    (void)luaL_checklstring(state, 1, NULL);
    (void)luaL_checklstring(state, 2, NULL);
    lua_settop(state, 2);
    lua_pushinteger(state, 0);
    lua_pushcclosure(state, gmatch_step, 3);
    return 1;
}

/* ---- Substitution ---- */

/* Adds the text of argument 3, in which %1 and so on stand for captures. */
static void add_text(const struct matcher *matcher, struct builder *builder, const char *start,
                     const char *end)
{
    lua_State *state = matcher->state;
    size_t size;
    const char *text = lua_tolstring(state, 3, &size);
    lua_charge(state, size / BYTES_PER_UNIT);
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '%') {
            builder_add_byte(builder, text[i]);
            continue;
        }
        i++;
        if (!isdigit((unsigned char)text[i])) {
            builder_add_byte(builder, text[i]);
        } else if (text[i] == '0') {
            builder_add(builder, start, (size_t)(end - start));
        } else {
            push_capture(matcher, text[i] - '1', start, end);
            size_t part;
            const char *captured = lua_tolstring(state, -1, &part);
            builder_add(builder, captured, part);
            lua_pop(state, 1);
        }
    }
}

static void add_replacement(const struct matcher *matcher, struct builder *builder,
                            const char *start, const char *end)
{
    lua_State *state = matcher->state;
    switch (lua_type(state, 3)) {
    case LUA_TFUNCTION: {
        lua_pushvalue(state, 3);
        int count = push_captures(matcher, start, end);
        lua_call(state, count, 1);
        break;
    }
    case LUA_TTABLE: {
        push_capture(matcher, 0, start, end);
        struct value key = state->thread->stack[state->thread->top - 1];
        struct value table = state->thread->stack[frame_top(state)->base + 2];
        struct value found = vm_index(state, table, key);
        state->thread->stack[state->thread->top - 1] = found;
        break;
    }
    default:
        add_text(matcher, builder, start, end);
        return;
    }
    if (!lua_toboolean(state, -1)) {
        builder_add(builder, start, (size_t)(end - start));
    } else if (lua_isstring(state, -1)) {
        size_t size;
        const char *text = lua_tolstring(state, -1, &size);
        builder_add(builder, text, size);
    } else {
        luaL_error(state, "invalid replacement value (a %s)", luaL_typename(state, -1));
    }
    lua_pop(state, 1);
}

static int string_gsub(lua_State *state)
{
    size_t size;
    const char *text = luaL_checklstring(state, 1, &size);
    const char *pattern = luaL_checklstring(state, 2, NULL);
    int type = lua_type(state, 3);
    luaL_argcheck(state,
                  type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TTABLE ||
                      type == LUA_TFUNCTION,
                  3, "string/function/table expected");
    int64_t count_max = luaL_optint(state, 4, (int)(size < INT32_MAX ? size + 1 : INT32_MAX));
    (void)(type == LUA_TNUMBER ? lua_tostring(state, 3) : NULL);
    lua_settop(state, 4);
    struct matcher matcher = matcher_of(state, text, size, pattern);
    bool anchored = *pattern == '^';
    matcher.pattern += anchored;
    struct builder builder;
    builder_init(&builder, state);
    const char *at = text;
    int64_t count = 0;
    while (count < count_max) {
        const char *end = pattern_match(&matcher, at);
        if (end != NULL) {
            count++;
            add_replacement(&matcher, &builder, at, end);
        }
        if (end != NULL && end > at) {
            at = end;
        } else if (at < matcher.text_end) {
            builder_add_byte(&builder, *at++);
        } else {
            break;
        }
        if (anchored) {
            break;
        }
    }
    builder_add(&builder, at, (size_t)(matcher.text_end - at));
    builder_finish(&builder);
    lua_pushinteger(state, count);
    return 2;
}

void lua_open_string(lua_State *state)
{
    static const luaL_Reg functions[] = {
        {"byte", string_byte},      {"char", string_char},    {"find", string_find},
        {"format", library_format}, {"gfind", string_gmatch}, {"gmatch", string_gmatch},
        {"gsub", string_gsub},      {"len", string_len},      {"lower", string_lower},
        {"match", string_match},    {"rep", string_rep},      {"reverse", string_reverse},
        {"sub", string_sub},        {"upper", string_upper},  {NULL, NULL},
    };
    lua_newtable(state);
    luaL_register(state, functions);
    lua_newtable(state); /* the metatable of strings */
    lua_pushvalue(state, -2);
    lua_setfield(state, -2, "__index");
    lua_setreadonly(state, -1, true);
    lua_pushstring(state, "");
    lua_insert(state, -2);
    lua_setmetatable(state, -2);
    lua_pop(state, 1);
}
