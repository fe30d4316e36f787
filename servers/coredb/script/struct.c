/* The table `struct`: binary formats to and from values, as Redis's library has it. */
#include "coredb/script/engine_private.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { INTEGER_BYTES_MAX = 32, PADDING_MAX = 16, ITEM_WORK = 5 };

/* A format being read. */
struct layout {
    lua_State *state;
    const char *at;
    bool little;
    size_t align;
};

static void layout_init(struct layout *layout, lua_State *state)
{
    *layout = (struct layout){state, luaL_checklstring(state, 1, NULL), true, 1};
}

/* A number in the format, or `other`. */
static size_t read_count(struct layout *layout, size_t other)
{
    if (!isdigit((unsigned char)*layout->at)) {
        return other;
    }
    size_t count = 0;
    while (isdigit((unsigned char)*layout->at)) {
        size_t digit = (size_t)(*layout->at++ - '0');
        if (count > (INT32_MAX - digit) / 10) {
            luaL_error(layout->state, "integral size overflow");
        }
        count = count * 10 + digit;
    }
    return count;
}

/* How many bytes the item takes; also checks what follows its letter. */
static size_t item_size(struct layout *layout, char kind)
{
    switch (kind) {
    case 'b':
    case 'B':
    case 'x':
        return 1;
    case 'h':
    case 'H':
        return sizeof(short);
    case 'l':
    case 'L':
        return sizeof(long);
    case 'T':
        return sizeof(size_t);
    case 'f':
        return sizeof(float);
    case 'd':
        return sizeof(double);
    case 'c':
        return read_count(layout, 1);
    case 'i':
    case 'I': {
        size_t size = read_count(layout, sizeof(int));
        if (size > INTEGER_BYTES_MAX) {
            luaL_error(layout->state, "integral size %d is larger than limit of %d", (int)size,
                       INTEGER_BYTES_MAX);
        }
        return size;
    }
    default:
        return 0;
    }
}

/* The bytes that bring `total` to where the item may stand. */
static size_t padding(const struct layout *layout, size_t size, char kind, size_t total)
{
    if (size == 0 || kind == 'c') {
        return 0;
    }
    size_t align = size > layout->align ? layout->align : size;
    return align <= 1 ? 0 : (align - (total & (align - 1))) & (align - 1);
}

/* What is no item: an order of bytes, an alignment, a space. */
static void control(struct layout *layout, char kind)
{
    switch (kind) {
    case ' ':
        return;
    case '>':
        layout->little = false;
        return;
    case '<':
        layout->little = true;
        return;
    case '!': {
        size_t align = read_count(layout, PADDING_MAX / 2);
        if (align == 0 || (align & (align - 1)) != 0) {
            luaL_error(layout->state, "alignment is not a power of 2");
        }
        layout->align = align;
        return;
    }
    default: {
        char text[32];
        snprintf(text, sizeof(text), "invalid format option '%c'", kind);
        luaL_argerror(layout->state, 1, text);
    }
    }
}

/* ---- Packing ---- */

static void pack_integer(struct layout *layout, int argument, size_t size, struct buffer *out)
{
    double number = luaL_checknumber(layout->state, argument);
    uint64_t value = number < 0 ? (uint64_t)(int64_t)(number < -9.2e18 ? -9.2e18 : number)
                                : (uint64_t)(number > 1.8e19 ? 1.8e19 : number);
    char bytes[INTEGER_BYTES_MAX];
    for (size_t i = 0; i < size; i++) {
        bytes[layout->little ? i : size - 1 - i] = (char)value;
        value >>= 8;
    }
    buffer_append(out, bytes, size);
}

/* A float or a double, the first `size` bytes of `data`. */
static void pack_floating(const struct layout *layout, const void *data, size_t size,
                          struct buffer *out)
{
    char bytes[sizeof(double)];
    memcpy(bytes, data, size);
    for (size_t i = 0; i < size; i++) {
        buffer_append_byte(out, (uint8_t)bytes[layout->little ? i : size - 1 - i]);
    }
}

/* Packs one item; returns how many arguments it took. */
static int pack_item(struct layout *layout, char kind, size_t size, int argument,
                     struct buffer *out)
{
    lua_State *state = layout->state;
    switch (kind) {
    case 'b':
    case 'B':
    case 'h':
    case 'H':
    case 'l':
    case 'L':
    case 'T':
    case 'i':
    case 'I':
        pack_integer(layout, argument, size, out);
        return 1;
    case 'x':
        buffer_append_byte(out, 0);
        return 0;
    case 'f': {
        float number = (float)luaL_checknumber(state, argument);
        pack_floating(layout, &number, sizeof(number), out);
        return 1;
    }
    case 'd': {
        double number = luaL_checknumber(state, argument);
        pack_floating(layout, &number, sizeof(number), out);
        return 1;
    }
    case 'c':
    case 's': {
        size_t length;
        const char *text = luaL_checklstring(state, argument, &length);
        size = size == 0 ? length : size;
        luaL_argcheck(state, length >= size, argument, "string too short");
        lua_charge(state, size / SCRIPT_BYTES_PER_WORK);
        buffer_append(out, text, size);
        if (kind == 's') {
            buffer_append_byte(out, 0);
        }
        return 1;
    }
    default:
        control(layout, kind);
        return 0;
    }
}

static int struct_pack(lua_State *state)
{
    struct layout layout;
    layout_init(&layout, state);
    struct buffer *out = &engine_of(state)->scratch;
    buffer_clear(out);
    int argument = 2;
    while (*layout.at != '\0') {
        char kind = *layout.at++;
        size_t size = item_size(&layout, kind);
        lua_charge(state, ITEM_WORK);
        for (size_t gap = padding(&layout, size, kind, out->size); gap > 0; gap--) {
            buffer_append_byte(out, 0);
        }
        argument += pack_item(&layout, kind, size, argument, out);
        if (out->size > ARENA_BYTES_MAX / 2 || out->failed) {
            luaL_error(state, "packed value is too large");
        }
    }
    lua_pushlstring(state, (const char *)out->data, out->size);
    return 1;
}

/* ---- Unpacking ---- */

static void unpack_integer(const struct layout *layout, const char *data, size_t size,
                           bool is_signed)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | (unsigned char)data[layout->little ? size - 1 - i : i];
    }
    if (!is_signed) {
        lua_pushnumber(layout->state, (double)value);
        return;
    }
    if (size < sizeof(value) && size != 0 && (value >> (size * 8 - 1)) != 0) {
        value |= UINT64_MAX << (size * 8);
    }
    lua_pushnumber(layout->state, (double)(int64_t)value);
}

static void unpack_floating(const struct layout *layout, const char *data, size_t size)
{
    char bytes[sizeof(double)] = {0};
    for (size_t i = 0; i < size; i++) {
        bytes[i] = data[layout->little ? i : size - 1 - i];
    }
    float narrow;
    double wide;
    memcpy(&narrow, bytes, sizeof(narrow));
    memcpy(&wide, bytes, size == sizeof(wide) ? sizeof(wide) : 0);
    lua_pushnumber(layout->state, size == sizeof(wide) ? wide : (double)narrow);
}

/* Unpacks one item of `size` bytes at `data`; returns how many bytes it had. `*count` is how many
 * values were pushed. */
static size_t unpack_item(struct layout *layout, char kind, size_t size, const char *data,
                          size_t left, int *count)
{
    lua_State *state = layout->state;
    (*count)++;
    switch (kind) {
    case 'b':
    case 'B':
    case 'h':
    case 'H':
    case 'l':
    case 'L':
    case 'T':
    case 'i':
    case 'I':
        unpack_integer(layout, data, size, islower((unsigned char)kind) != 0);
        return size;
    case 'f':
    case 'd':
        unpack_floating(layout, data, size);
        return size;
    case 'c':
        if (size == 0) {
            if (*count < 2 || lua_type(state, -1) != LUA_TNUMBER) {
                luaL_error(state, "format 'c0' needs a previous size");
            }
            double given = lua_tonumber(state, -1);
            luaL_argcheck(state, given >= 0 && given <= (double)left, 2, "data string too short");
            size = (size_t)given;
            lua_pop(state, 1);
            (*count)--;
        }
        lua_pushlstring(state, data, size);
        return size;
    case 's': {
        const char *end = memchr(data, '\0', left);
        if (end == NULL) {
            luaL_error(state, "unfinished string in data");
        }
        lua_charge(state, (uint64_t)(end - data) / SCRIPT_BYTES_PER_WORK);
        lua_pushlstring(state, data, (size_t)(end - data));
        return (size_t)(end - data) + 1;
    }
    default:
        (*count)--;
        if (kind != 'x') {
            control(layout, kind);
        }
        return size;
    }
}

static int struct_unpack(lua_State *state)
{
    struct layout layout;
    size_t size;
    layout_init(&layout, state);
    const char *data = luaL_checklstring(state, 2, &size);
    int64_t first = luaL_optinteger(state, 3, 1) - 1;
    luaL_argcheck(state, first >= 0, 3, "offset must be 1 or greater");
    size_t at = (uint64_t)first > size ? size + 1 : (size_t)first;
    lua_settop(state, 2);
    int count = 0;
    while (*layout.at != '\0') {
        char kind = *layout.at++;
        size_t item = item_size(&layout, kind);
        lua_charge(state, ITEM_WORK);
        at += padding(&layout, item, kind, at);
        luaL_argcheck(state, at <= size && item <= size - at, 2, "data string too short");
        at += unpack_item(&layout, kind, item, data + at, size - at, &count);
    }
    lua_pushnumber(state, (double)at + 1);
    return count + 1;
}

static int struct_size(lua_State *state)
{
    struct layout layout;
    layout_init(&layout, state);
    size_t total = 0;
    while (*layout.at != '\0') {
        char kind = *layout.at++;
        size_t size = item_size(&layout, kind);
        lua_charge(state, ITEM_WORK);
        if (kind == 's') {
            luaL_argerror(state, 1, "variable-size format in 'size'");
        }
        if (kind == 'c' && size == 0) {
            luaL_argerror(state, 1, "variable-length format in 'size'");
        }
        total += padding(&layout, size, kind, total) + size;
        if (!isalnum((unsigned char)kind)) {
            control(&layout, kind);
        }
    }
    lua_pushnumber(state, (double)total);
    return 1;
}

void struct_open(lua_State *state)
{
    static const luaL_Reg functions[] = {
        {"pack", struct_pack}, {"unpack", struct_unpack}, {"size", struct_size}, {NULL, NULL}};
    lua_newtable(state);
    luaL_register(state, functions);
}
