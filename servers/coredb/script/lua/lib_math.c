/* The table `math`, but for random numbers. */
#include "coredb/script/lua/lua.h"

#include <math.h>

#define FUNCTION(name_, computed_)                                                                 \
    static int math_##name_(lua_State *state)                                                      \
    {                                                                                              \
        double x = luaL_checknumber(state, 1);                                                     \
        lua_charge(state, FUNCTION_UNITS);                                                         \
        lua_pushnumber(state, computed_);                                                          \
        return 1;                                                                                  \
    }

enum { FUNCTION_UNITS = 10, BITS_PER_UNIT = 4 };

static const double pi = 3.14159265358979323846;

FUNCTION(abs, fabs(x))
FUNCTION(acos, acos(x))
FUNCTION(asin, asin(x))
FUNCTION(atan, atan(x))
FUNCTION(atan2, atan2(x, luaL_checknumber(state, 2)))
FUNCTION(ceil, ceil(x))
FUNCTION(cos, cos(x))
FUNCTION(cosh, cosh(x))
FUNCTION(deg, x / (pi / 180.0))
FUNCTION(exp, exp(x))
FUNCTION(floor, floor(x))
FUNCTION(ldexp, ldexp(x, luaL_checkint(state, 2)))
FUNCTION(log, log(x))
FUNCTION(log10, log10(x))
FUNCTION(pow, pow(x, luaL_checknumber(state, 2)))
FUNCTION(rad, x *(pi / 180.0))
FUNCTION(sin, sin(x))
FUNCTION(sinh, sinh(x))
FUNCTION(sqrt, sqrt(x))
FUNCTION(tan, tan(x))
FUNCTION(tanh, tanh(x))

/* The remainder is found bit by bit. */
static int math_fmod(lua_State *state)
{
    double x = luaL_checknumber(state, 1);
    double y = luaL_checknumber(state, 2);
    int bits = x == 0 || y == 0 || !isfinite(x) || !isfinite(y) ? 0 : ilogb(x) - ilogb(y);
    lua_charge(state, bits > 0 ? (uint64_t)bits / BITS_PER_UNIT : 0);
    lua_pushnumber(state, fmod(x, y));
    return 1;
}

static int math_frexp(lua_State *state)
{
    int exponent;
    lua_pushnumber(state, frexp(luaL_checknumber(state, 1), &exponent));
    lua_pushinteger(state, exponent);
    return 2;
}

static int math_modf(lua_State *state)
{
    double whole;
    double fraction = modf(luaL_checknumber(state, 1), &whole);
    lua_pushnumber(state, whole);
    lua_pushnumber(state, fraction);
    return 2;
}

static int extreme(lua_State *state, bool largest)
{
    int count = lua_gettop(state);
    double found = luaL_checknumber(state, 1);
    for (int i = 2; i <= count; i++) {
        double number = luaL_checknumber(state, i);
        if (largest ? number > found : number < found) {
            found = number;
        }
    }
    lua_charge(state, (uint64_t)count / 2);
    lua_pushnumber(state, found);
    return 1;
}

static int math_max(lua_State *state)
{
    return extreme(state, true);
}

static int math_min(lua_State *state)
{
    return extreme(state, false);
}

void lua_open_math(lua_State *state)
{
    static const luaL_Reg functions[] = {
        {"abs", math_abs},     {"acos", math_acos},   {"asin", math_asin},   {"atan", math_atan},
        {"atan2", math_atan2}, {"ceil", math_ceil},   {"cos", math_cos},     {"cosh", math_cosh},
        {"deg", math_deg},     {"exp", math_exp},     {"floor", math_floor}, {"fmod", math_fmod},
        {"frexp", math_frexp}, {"ldexp", math_ldexp}, {"log", math_log},     {"log10", math_log10},
        {"max", math_max},     {"min", math_min},     {"mod", math_fmod},    {"modf", math_modf},
        {"pow", math_pow},     {"rad", math_rad},     {"sin", math_sin},     {"sinh", math_sinh},
        {"sqrt", math_sqrt},   {"tan", math_tan},     {"tanh", math_tanh},   {NULL, NULL},
    };
    lua_newtable(state);
    luaL_register(state, functions);
    lua_pushnumber(state, pi);
    lua_setfield(state, -2, "pi");
    lua_pushnumber(state, HUGE_VAL);
    lua_setfield(state, -2, "huge");
}
