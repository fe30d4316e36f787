/* The table `bit`: operations on 32 bits, as LuaJIT's BitOp defines them. */
#include "coredb/script/engine_private.h"

#include <math.h>

/* A number's lower 32 bits. */
static uint32_t argument(lua_State *state, int at)
{
    double value = fmod(nearbyint(luaL_checknumber(state, at)), 4294967296.0);
    if (!(value > -4294967296.0 && value < 4294967296.0)) {
        return 0;
    }
    return (uint32_t)(int64_t)value;
}

static int push(lua_State *state, uint32_t bits)
{
    lua_pushnumber(state, (double)(int32_t)bits);
    return 1;
}

static int bit_tobit(lua_State *state)
{
    return push(state, argument(state, 1));
}

static int bit_bnot(lua_State *state)
{
    return push(state, ~argument(state, 1));
}

static int bit_band(lua_State *state)
{
    uint32_t bits = argument(state, 1);
    for (int i = lua_gettop(state); i > 1; i--) {
        bits &= argument(state, i);
    }
    return push(state, bits);
}

static int bit_bor(lua_State *state)
{
    uint32_t bits = argument(state, 1);
    for (int i = lua_gettop(state); i > 1; i--) {
        bits |= argument(state, i);
    }
    return push(state, bits);
}

static int bit_bxor(lua_State *state)
{
    uint32_t bits = argument(state, 1);
    for (int i = lua_gettop(state); i > 1; i--) {
        bits ^= argument(state, i);
    }
    return push(state, bits);
}

static int bit_lshift(lua_State *state)
{
    return push(state, argument(state, 1) << (argument(state, 2) & 31));
}

static int bit_rshift(lua_State *state)
{
    return push(state, argument(state, 1) >> (argument(state, 2) & 31));
}

static int bit_arshift(lua_State *state)
{
    return push(state, (uint32_t)((int32_t)argument(state, 1) >> (argument(state, 2) & 31)));
}

static int bit_rol(lua_State *state)
{
    uint32_t bits = argument(state, 1);
    uint32_t count = argument(state, 2) & 31;
    return push(state, bits << count | bits >> (-count & 31));
}

static int bit_ror(lua_State *state)
{
    uint32_t bits = argument(state, 1);
    uint32_t count = argument(state, 2) & 31;
    return push(state, bits >> count | bits << (-count & 31));
}

static int bit_bswap(lua_State *state)
{
    return push(state, __builtin_bswap32(argument(state, 1)));
}

static int bit_tohex(lua_State *state)
{
    uint32_t bits = argument(state, 1);
    int32_t digits = lua_isnoneornil(state, 2) ? 8 : (int32_t)argument(state, 2);
    const char *alphabet = digits < 0 ? "0123456789ABCDEF" : "0123456789abcdef";
    digits = digits < -8 || digits > 8 ? 8 : digits < 0 ? -digits : digits;
    char text[8];
    for (int32_t i = digits; i-- > 0; bits >>= 4) {
        text[i] = alphabet[bits & 15];
    }
    lua_pushlstring(state, text, (size_t)digits);
    return 1;
}

void bit_open(lua_State *state)
{
    static const luaL_Reg functions[] = {
        {"tobit", bit_tobit},   {"bnot", bit_bnot},       {"band", bit_band},
        {"bor", bit_bor},       {"bxor", bit_bxor},       {"lshift", bit_lshift},
        {"rshift", bit_rshift}, {"arshift", bit_arshift}, {"rol", bit_rol},
        {"ror", bit_ror},       {"bswap", bit_bswap},     {"tohex", bit_tohex},
        {NULL, NULL},
    };
    lua_newtable(state);
    luaL_register(state, functions);
}
