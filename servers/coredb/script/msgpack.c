/* The table `cmsgpack`: MessagePack from and to values of Lua, bounded in depth and size. */
#include "coredb/script/engine_private.h"

#include <limits.h>
#include <math.h>
#include <string.h>

/* Deeper tables are packed as nil, as Redis's library does; deeper input is refused. */
enum { PACK_DEPTH_MAX = 16, UNPACK_DEPTH_MAX = 1000, VALUE_WORK = 5 };

/* ---- Packing ---- */

static void put(struct buffer *out, uint8_t type, uint64_t value, size_t size)
{
    buffer_append_byte(out, type);
    for (size_t i = size; i-- > 0;) {
        buffer_append_byte(out, (uint8_t)(value >> (8 * i)));
    }
}

static void pack_integer(struct buffer *out, int64_t value)
{
    uint64_t bits = (uint64_t)value;
    if (value >= 0) {
        if (value <= 127) {
            buffer_append_byte(out, (uint8_t)value);
        } else if (value <= UINT8_MAX) {
            put(out, 0xcc, bits, 1);
        } else if (value <= UINT16_MAX) {
            put(out, 0xcd, bits, 2);
        } else if (value <= UINT32_MAX) {
            put(out, 0xce, bits, 4);
        } else {
            put(out, 0xcf, bits, 8);
        }
    } else if (value >= -32) {
        buffer_append_byte(out, (uint8_t)value);
    } else if (value >= INT8_MIN) {
        put(out, 0xd0, bits, 1);
    } else if (value >= INT16_MIN) {
        put(out, 0xd1, bits, 2);
    } else if (value >= INT32_MIN) {
        put(out, 0xd2, bits, 4);
    } else {
        put(out, 0xd3, bits, 8);
    }
}

static void pack_number(struct buffer *out, double value)
{
    if (value == floor(value) && fabs(value) < 9223372036854775808.0) {
        pack_integer(out, (int64_t)value);
        return;
    }
    float narrow = fabs(value) > 3e38 && !isinf(value) ? 0 : (float)value;
    uint32_t narrow_bits;
    uint64_t bits;
    memcpy(&narrow_bits, &narrow, sizeof(narrow_bits));
    memcpy(&bits, &value, sizeof(bits));
    if ((double)narrow == value) {
        put(out, 0xca, narrow_bits, 4);
    } else {
        put(out, 0xcb, bits, 8);
    }
}

/* A header whose type depends on the count: `fix` with up to `fix_max`, then 8 (0: no such), 16 and
 * 32 bits. */
static void put_header(struct buffer *out, uint64_t count, uint8_t fix, uint64_t fix_max,
                       uint8_t type8, uint8_t type16)
{
    if (count <= fix_max) {
        buffer_append_byte(out, (uint8_t)(fix | count));
    } else if (type8 != 0 && count <= UINT8_MAX) {
        put(out, type8, count, 1);
    } else if (count <= UINT16_MAX) {
        put(out, type16, count, 2);
    } else {
        put(out, (uint8_t)(type16 + 1), count, 4);
    }
}

static void pack_value(lua_State *state, struct buffer *out, int depth);

static void pack_table(lua_State *state, struct buffer *out, int depth)
{
    double max = 0;
    uint64_t count = 0;
    bool is_array = true;
    for (lua_pushnil(state); lua_next(state, -2) != 0; lua_pop(state, 1)) {
        double key = lua_type(state, -2) == LUA_TNUMBER ? lua_tonumber(state, -2) : 0;
        is_array = is_array && key >= 1 && key == floor(key);
        max = key > max ? key : max;
        count++;
    }
    if (is_array && max == (double)count) {
        put_header(out, count, 0x90, 15, 0, 0xdc);
        for (uint64_t i = 1; i <= count; i++) {
            lua_rawgeti(state, -1, (int)i);
            pack_value(state, out, depth + 1);
        }
        return;
    }
    put_header(out, count, 0x80, 15, 0, 0xde);
    for (lua_pushnil(state); lua_next(state, -2) != 0;) {
        lua_pushvalue(state, -2);
        pack_value(state, out, depth + 1);
        pack_value(state, out, depth + 1);
    }
}

/* Packs the value on top, and pops it. */
static void pack_value(lua_State *state, struct buffer *out, int depth)
{
    lua_charge(state, VALUE_WORK);
    if (out->size > ARENA_BYTES_MAX / 2 || out->failed) {
        luaL_error(state, "packed value is too large");
    }
    switch (lua_type(state, -1)) {
    case LUA_TSTRING: {
        size_t size;
        const char *text = lua_tolstring(state, -1, &size);
        put_header(out, size, 0xa0, 31, 0xd9, 0xda);
        lua_charge(state, size / SCRIPT_BYTES_PER_WORK);
        buffer_append(out, text, size);
        break;
    }
    case LUA_TBOOLEAN:
        buffer_append_byte(out, lua_toboolean(state, -1) ? 0xc3 : 0xc2);
        break;
    case LUA_TNUMBER:
        pack_number(out, lua_tonumber(state, -1));
        break;
    case LUA_TTABLE:
        if (depth < PACK_DEPTH_MAX) {
            pack_table(state, out, depth);
            break;
        }
        buffer_append_byte(out, 0xc0);
        break;
    default:
        buffer_append_byte(out, 0xc0);
        break;
    }
    lua_pop(state, 1);
}

static int msgpack_pack(lua_State *state)
{
    int count = lua_gettop(state);
    luaL_argcheck(state, count != 0, 0, "MessagePack pack needs input.");
    struct buffer *out = &engine_of(state)->scratch;
    buffer_clear(out);
    for (int i = 1; i <= count; i++) {
        lua_pushvalue(state, i);
        pack_value(state, out, 0);
    }
    if (out->failed) {
        luaL_error(state, "not enough memory");
    }
    lua_pushlstring(state, (const char *)out->data, out->size);
    return 1;
}

/* ---- Unpacking ---- */

static void missing(lua_State *state)
{
    luaL_error(state, "Missing bytes in input.");
}

static uint64_t take_number(lua_State *state, struct reader *in, size_t size)
{
    uint64_t value = 0;
    rr_bytes bytes = reader_take(in, size);
    if (in->failed) {
        missing(state);
    }
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | ((const uint8_t *)bytes.data)[i];
    }
    return value;
}

static void unpack_string(lua_State *state, struct reader *in, uint64_t size)
{
    if (size > in->left) {
        missing(state);
    }
    rr_bytes bytes = reader_take(in, (size_t)size);
    lua_pushlstring(state, bytes.data, bytes.size);
}

static void unpack_value(lua_State *state, struct reader *in, int depth);

static void unpack_array(lua_State *state, struct reader *in, uint64_t count, int depth)
{
    if (count > in->left) {
        missing(state);
    }
    lua_newtable(state);
    for (uint64_t i = 1; i <= count; i++) {
        unpack_value(state, in, depth + 1);
        lua_rawseti(state, -2, (int)i);
    }
}

static void unpack_map(lua_State *state, struct reader *in, uint64_t count, int depth)
{
    if (count > in->left) {
        missing(state);
    }
    lua_newtable(state);
    for (uint64_t i = 0; i < count; i++) {
        unpack_value(state, in, depth + 1);
        unpack_value(state, in, depth + 1);
        bool usable = !lua_isnil(state, -2) &&
                      !(lua_type(state, -2) == LUA_TNUMBER && isnan(lua_tonumber(state, -2)));
        if (!usable) {
            luaL_error(state, "Bad data format in input.");
        }
        lua_rawset(state, -3);
    }
}

static void unpack_sized(lua_State *state, struct reader *in, uint8_t type, int depth)
{
    switch (type) {
    case 0xc4:
    case 0xd9:
        unpack_string(state, in, take_number(state, in, 1));
        break;
    case 0xc5:
    case 0xda:
        unpack_string(state, in, take_number(state, in, 2));
        break;
    case 0xc6:
    case 0xdb:
        unpack_string(state, in, take_number(state, in, 4));
        break;
    case 0xdc:
    case 0xdd:
        unpack_array(state, in, take_number(state, in, type == 0xdc ? 2 : 4), depth);
        break;
    case 0xde:
    case 0xdf:
        unpack_map(state, in, take_number(state, in, type == 0xde ? 2 : 4), depth);
        break;
    default:
        luaL_error(state, "Bad data format in input.");
    }
}

static void unpack_value(lua_State *state, struct reader *in, int depth)
{
    if (depth > UNPACK_DEPTH_MAX) {
        luaL_error(state, "Bad data format in input.");
    }
    lua_charge(state, VALUE_WORK);
    uint8_t type = (uint8_t)take_number(state, in, 1);
    if (type < 0x80) {
        lua_pushnumber(state, type);
    } else if (type < 0x90) {
        unpack_map(state, in, type & 15, depth);
    } else if (type < 0xa0) {
        unpack_array(state, in, type & 15, depth);
    } else if (type < 0xc0) {
        unpack_string(state, in, type & 31);
    } else if (type >= 0xe0) {
        lua_pushnumber(state, (int8_t)type);
    } else if (type == 0xc0) {
        lua_pushnil(state);
    } else if (type == 0xc2 || type == 0xc3) {
        lua_pushboolean(state, type == 0xc3);
    } else if (type == 0xca) {
        uint32_t bits = (uint32_t)take_number(state, in, 4);
        float value;
        memcpy(&value, &bits, sizeof(value));
        lua_pushnumber(state, (double)value);
    } else if (type == 0xcb) {
        uint64_t bits = take_number(state, in, 8);
        double value;
        memcpy(&value, &bits, sizeof(value));
        lua_pushnumber(state, value);
    } else if (type >= 0xcc && type <= 0xcf) {
        lua_pushnumber(state, (double)take_number(state, in, (size_t)1 << (type - 0xcc)));
    } else if (type >= 0xd0 && type <= 0xd3) {
        size_t size = (size_t)1 << (type - 0xd0);
        unsigned shift = 64 - 8 * (unsigned)size;
        lua_pushnumber(state, (double)((int64_t)(take_number(state, in, size) << shift) >> shift));
    } else {
        unpack_sized(state, in, type, depth);
    }
}

/* Unpacks up to `limit` values from `offset` on; with `tell`, the offset that follows comes first,
 * or -1 at the end. */
static int unpack_some(lua_State *state, double limit, double offset, bool tell)
{
    size_t size;
    const char *text = luaL_checklstring(state, 1, &size);
    if (!(offset >= 0) || !(limit >= 0)) {
        luaL_error(state, "Invalid request to unpack with offset of %d and limit of %d.",
                   (int)offset, (int)limit);
    }
    if (offset > (double)size) {
        luaL_error(state, "Start offset %d greater than input length %d.", (int)offset, (int)size);
    }
    lua_charge(state, size / SCRIPT_BYTES_PER_WORK);
    struct reader in = reader_of((rr_bytes){text + (size_t)offset, size - (size_t)offset});
    lua_settop(state, 1);
    if (tell) {
        lua_pushnil(state);
    }
    int count = 0;
    while (in.left != 0 && (limit == 0 || count < limit)) {
        lua_charge(state, 1);
        unpack_value(state, &in, 0);
        count++;
    }
    if (tell) {
        lua_pushnumber(state, in.left == 0 ? -1 : (double)(size - in.left));
        lua_replace(state, 2);
    }
    return count + (tell ? 1 : 0);
}

static int msgpack_unpack(lua_State *state)
{
    return unpack_some(state, 0, 0, false);
}

static int msgpack_unpack_one(lua_State *state)
{
    return unpack_some(state, 1, (double)luaL_optinteger(state, 2, 0), true);
}

static int msgpack_unpack_limit(lua_State *state)
{
    double limit = (double)luaL_checkinteger(state, 2);
    return unpack_some(state, limit, (double)luaL_optinteger(state, 3, 0), true);
}

void msgpack_open(lua_State *state)
{
    static const luaL_Reg functions[] = {{"pack", msgpack_pack},
                                         {"unpack", msgpack_unpack},
                                         {"unpack_one", msgpack_unpack_one},
                                         {"unpack_limit", msgpack_unpack_limit},
                                         {NULL, NULL}};
    lua_newtable(state);
    luaL_register(state, functions);
    lua_pushstring(state, "cmsgpack");
    lua_setfield(state, -2, "_NAME");
    lua_pushstring(state, "lua-cmsgpack 0.4.0");
    lua_setfield(state, -2, "_VERSION");
}
