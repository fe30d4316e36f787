/* The table `cjson`: JSON from and to values of Lua, bounded in depth and size. */
#include "coredb/script/engine_private.h"

#include "coredb/base/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { VALUE_WORK = 5, NUMBER_WORK = 30 };

enum { DEPTH_MAX = 1000, SPARSE_RATIO = 2, SPARSE_SAFE = 10, NUMBER_BYTES_MAX = 255 };

/* ---- Encoding ---- */

static void encode_value(lua_State *state, struct buffer *out, int depth);

static void encode_string(lua_State *state, struct buffer *out)
{
    size_t size;
    const char *text = lua_tolstring(state, -1, &size);
    if (out->size + size > ARENA_BYTES_MAX / 2) {
        luaL_error(state, "Cannot serialise: too large");
    }
    lua_charge(state, VALUE_WORK + size);
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        const char *found = c == 0 ? NULL : strchr("\"\"\\\\//\bb\ff\nn\rr\tt", c);
        if (c == '"' || c == '\\' || c == '/' || (c < 32 && found != NULL)) {
            buffer_append_byte(out, '\\');
            buffer_append_byte(out, (uint8_t)found[c < 32 ? 1 : 0]);
        } else if (c < 32 || c == 127) {
            char escaped[8];
            snprintf(escaped, sizeof(escaped), "\\u%04x", c);
            buffer_append_text(out, escaped);
        } else {
            buffer_append_byte(out, c);
        }
    }
    buffer_append_byte(out, '"');
}

static void encode_number(lua_State *state, struct buffer *out, int at)
{
    double value = lua_tonumber(state, at);
    lua_charge(state, NUMBER_WORK);
    if (isnan(value) || isinf(value)) {
        luaL_error(state, "Cannot serialise number: must not be NaN or Inf");
    }
    char text[NUMBER_TEXT_MAX];
    snprintf(text, sizeof(text), "%.14g", value);
    buffer_append_text(out, text);
}

/* The elements of the table on top if it is an array, else -1. */
static int64_t array_size(lua_State *state)
{
    double max = 0;
    double count = 0;
    for (lua_pushnil(state); lua_next(state, -2) != 0; lua_pop(state, 1)) {
        double key = lua_type(state, -2) == LUA_TNUMBER ? lua_tonumber(state, -2) : 0;
        if (!(key >= 1) || key != floor(key) || key > 1e9) {
            lua_pop(state, 2);
            return -1;
        }
        max = key > max ? key : max;
        count++;
    }
    if (max > SPARSE_SAFE && max > count * SPARSE_RATIO) {
        luaL_error(state, "Cannot serialise table: excessively sparse array");
    }
    return count == 0 ? -1 : (int64_t)max;
}

static void encode_object(lua_State *state, struct buffer *out, int depth)
{
    bool first = true;
    buffer_append_byte(out, '{');
    for (lua_pushnil(state); lua_next(state, -2) != 0; lua_pop(state, 1)) {
        if (!first) {
            buffer_append_byte(out, ',');
        }
        first = false;
        if (lua_type(state, -2) == LUA_TNUMBER) {
            buffer_append_byte(out, '"');
            encode_number(state, out, -2);
            buffer_append_byte(out, '"');
        } else if (lua_type(state, -2) == LUA_TSTRING) {
            lua_pushvalue(state, -2);
            encode_string(state, out);
            lua_pop(state, 1);
        } else {
            luaL_error(state, "Cannot serialise %s: table key must be a number or string",
                       luaL_typename(state, -2));
        }
        buffer_append_byte(out, ':');
        encode_value(state, out, depth);
    }
    buffer_append_byte(out, '}');
}

static void encode_table(lua_State *state, struct buffer *out, int depth)
{
    if (depth > DEPTH_MAX) {
        luaL_error(state, "Cannot serialise, excessive nesting (%d)", depth);
    }
    int64_t size = array_size(state);
    if (size < 0) {
        encode_object(state, out, depth);
        return;
    }
    buffer_append_byte(out, '[');
    for (int64_t i = 1; i <= size; i++) {
        if (i > 1) {
            buffer_append_byte(out, ',');
        }
        lua_rawgeti(state, -1, (int)i);
        encode_value(state, out, depth);
        lua_pop(state, 1);
    }
    buffer_append_byte(out, ']');
}

/* Of the value on top, which stays. */
static void encode_value(lua_State *state, struct buffer *out, int depth)
{
    lua_charge(state, VALUE_WORK);
    if (out->size > ARENA_BYTES_MAX / 2 || out->failed) {
        luaL_error(state, "Cannot serialise: too large");
    }
    switch (lua_type(state, -1)) {
    case LUA_TSTRING:
        encode_string(state, out);
        return;
    case LUA_TNUMBER:
        encode_number(state, out, -1);
        return;
    case LUA_TBOOLEAN:
        buffer_append_text(out, lua_toboolean(state, -1) ? "true" : "false");
        return;
    case LUA_TNIL:
        buffer_append_text(out, "null");
        return;
    case LUA_TTABLE:
        encode_table(state, out, depth + 1);
        return;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(state, -1) == NULL) {
            buffer_append_text(out, "null");
            return;
        }
        break;
    default:
        break;
    }
    luaL_error(state, "Cannot serialise %s: type not supported", luaL_typename(state, -1));
}

static int json_encode(lua_State *state)
{
    luaL_argcheck(state, lua_gettop(state) == 1, 1, "expected 1 argument");
    struct buffer *out = &engine_of(state)->scratch;
    buffer_clear(out);
    encode_value(state, out, 0);
    if (out->failed) {
        luaL_error(state, "not enough memory");
    }
    lua_pushlstring(state, (const char *)out->data, out->size);
    return 1;
}

/* ---- Decoding ---- */

struct json {
    const char *start;
    const char *at;
    const char *end;
    struct buffer *scratch;
};

static void decode_value(lua_State *state, struct json *json, int depth);

static void skip_space(struct json *json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r')) {
        json->at++;
    }
}

/* Whether a number begins here, with what strtod takes for one: signs, hexadecimal, inf and nan. */
static bool begins_number(const struct json *json)
{
    const char *at = json->at;
    if (at == json->end) {
        return false;
    }
    if (*at == '-' || *at == '+' || (*at >= '0' && *at <= '9')) {
        return true;
    }
    return json->end - at >= 3 &&
           (strncasecmp(at, "inf", 3) == 0 || strncasecmp(at, "nan", 3) == 0);
}

/* The number that begins here, and where it ends; false: there is none. */
static bool read_number(const struct json *json, double *out, const char **end)
{
    char text[NUMBER_BYTES_MAX + 1];
    size_t left = (size_t)(json->end - json->at);
    size_t size = left < NUMBER_BYTES_MAX ? left : NUMBER_BYTES_MAX;
    memcpy(text, json->at, size);
    text[size] = '\0';
    char *stop;
    *out = strtod(text, &stop);
    *end = json->at + (stop - text);
    return stop != text;
}

static bool stands(const struct json *json, const char *word)
{
    size_t size = strlen(word);
    return (size_t)(json->end - json->at) >= size && memcmp(json->at, word, size) == 0;
}

/* What stands here, in the words of errors. */
static const char *found_here(const struct json *json)
{
    static const struct {
        const char *text;
        const char *name;
    } tokens[] = {{"{", "T_OBJ_BEGIN"}, {"}", "T_OBJ_END"},    {"[", "T_ARR_BEGIN"},
                  {"]", "T_ARR_END"},   {",", "T_COMMA"},      {":", "T_COLON"},
                  {"\"", "T_STRING"},   {"true", "T_BOOLEAN"}, {"false", "T_BOOLEAN"},
                  {"null", "T_NULL"}};
    if (json->at >= json->end) {
        return "T_END";
    }
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        if (stands(json, tokens[i].text)) {
            return tokens[i].name;
        }
    }
    double number;
    const char *end;
    if (begins_number(json)) {
        return read_number(json, &number, &end) ? "T_NUMBER" : "invalid number";
    }
    return "invalid token";
}

static void fail(lua_State *state, const struct json *json, const char *expected)
{
    luaL_error(state, "Expected %s but found %s at character %d", expected, found_here(json),
               (int)(json->at - json->start) + 1);
}

static void append_utf8(struct buffer *out, uint32_t code)
{
    if (code < 0x80) {
        buffer_append_byte(out, (uint8_t)code);
    } else if (code < 0x800) {
        buffer_append_byte(out, (uint8_t)(0xc0 | code >> 6));
        buffer_append_byte(out, (uint8_t)(0x80 | (code & 63)));
    } else if (code < 0x10000) {
        buffer_append_byte(out, (uint8_t)(0xe0 | code >> 12));
        buffer_append_byte(out, (uint8_t)(0x80 | (code >> 6 & 63)));
        buffer_append_byte(out, (uint8_t)(0x80 | (code & 63)));
    } else {
        buffer_append_byte(out, (uint8_t)(0xf0 | code >> 18));
        buffer_append_byte(out, (uint8_t)(0x80 | (code >> 12 & 63)));
        buffer_append_byte(out, (uint8_t)(0x80 | (code >> 6 & 63)));
        buffer_append_byte(out, (uint8_t)(0x80 | (code & 63)));
    }
}

/* Four hexadecimal digits; at `json->at`. */
static bool read_hex(struct json *json, uint32_t *out)
{
    if (json->end - json->at < 4) {
        return false;
    }
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = *json->at++;
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16) {
            return false;
        }
        *out = *out << 4 | digit;
    }
    return true;
}

static bool decode_escape(struct json *json)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    if (json->at == json->end) {
        return false;
    }
    char c = *json->at++;
    if (c != 'u') {
        const char *found = c == '\0' ? NULL : strchr(from, c);
        if (found != NULL) {
            buffer_append_byte(json->scratch, (uint8_t)to[found - from]);
        }
        return found != NULL;
    }
    uint32_t code;
    if (!read_hex(json, &code) || (code >= 0xdc00 && code < 0xe000)) {
        return false;
    }
    if (code >= 0xd800 && code < 0xdc00) {
        uint32_t low;
        if (json->end - json->at < 2 || json->at[0] != '\\' || json->at[1] != 'u') {
            return false;
        }
        json->at += 2;
        if (!read_hex(json, &low) || low < 0xdc00 || low >= 0xe000) {
            return false;
        }
        code = 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
    }
    append_utf8(json->scratch, code);
    return true;
}

static void decode_string(lua_State *state, struct json *json)
{
    const char *quote = json->at++;
    buffer_clear(json->scratch);
    for (;;) {
        if (json->at == json->end) {
            luaL_error(state, "Expected value but found unexpected end of string at character %d",
                       (int)(json->at - json->start) + 1);
        }
        char c = *json->at++;
        if (c == '"') {
            break;
        }
        if (c != '\\') {
            buffer_append_byte(json->scratch, (uint8_t)c);
        } else if (!decode_escape(json)) {
            json->at = quote;
            luaL_error(state, "Expected value but found invalid escape code at character %d",
                       (int)(quote - json->start) + 1);
        }
    }
    if (json->scratch->failed) {
        luaL_error(state, "not enough memory");
    }
    lua_pushlstring(state, (const char *)json->scratch->data, json->scratch->size);
}

static void decode_number(lua_State *state, struct json *json)
{
    double value;
    const char *end;
    if (!read_number(json, &value, &end)) {
        fail(state, json, "value");
    }
    json->at = end;
    lua_pushnumber(state, value);
}

static bool take(struct json *json, const char *word)
{
    bool there = stands(json, word);
    json->at += there ? strlen(word) : 0;
    return there;
}

static void decode_array(lua_State *state, struct json *json, int depth)
{
    json->at++;
    lua_newtable(state);
    skip_space(json);
    if (take(json, "]")) {
        return;
    }
    for (int i = 1;; i++) {
        decode_value(state, json, depth);
        lua_rawseti(state, -2, i);
        skip_space(json);
        if (take(json, "]")) {
            return;
        }
        if (!take(json, ",")) {
            fail(state, json, "comma or array end");
        }
    }
}

static void decode_object(lua_State *state, struct json *json, int depth)
{
    json->at++;
    lua_newtable(state);
    skip_space(json);
    if (take(json, "}")) {
        return;
    }
    for (;;) {
        skip_space(json);
        if (json->at == json->end || *json->at != '"') {
            fail(state, json, "object key string");
        }
        decode_string(state, json);
        skip_space(json);
        if (!take(json, ":")) {
            fail(state, json, "colon");
        }
        decode_value(state, json, depth);
        lua_rawset(state, -3);
        skip_space(json);
        if (take(json, "}")) {
            return;
        }
        if (!take(json, ",")) {
            fail(state, json, "comma or object end");
        }
    }
}

static void decode_value(lua_State *state, struct json *json, int depth)
{
    skip_space(json);
    char c = json->at < json->end ? *json->at : '\0';
    if (c == '{' || c == '[') {
        if (depth >= DEPTH_MAX) {
            luaL_error(state, "Found too many nested data structures (%d) at character %d",
                       depth + 1, (int)(json->at - json->start) + 1);
        }
        if (c == '{') {
            decode_object(state, json, depth + 1);
        } else {
            decode_array(state, json, depth + 1);
        }
    } else if (c == '"') {
        decode_string(state, json);
    } else if (begins_number(json)) {
        decode_number(state, json);
    } else if (take(json, "true")) {
        lua_pushboolean(state, 1);
    } else if (take(json, "false")) {
        lua_pushboolean(state, 0);
    } else if (take(json, "null")) {
        lua_pushlightuserdata(state, NULL);
    } else {
        fail(state, json, "value");
    }
}

static int json_decode(lua_State *state)
{
    luaL_argcheck(state, lua_gettop(state) == 1, 1, "expected 1 argument");
    size_t size;
    const char *text = luaL_checklstring(state, 1, &size);
    lua_charge(state, 2 * size);
    if (size >= 2 && (text[0] == '\0' || text[1] == '\0')) {
        luaL_error(state, "JSON parser does not support UTF-16 or UTF-32");
    }
    /* A zero byte ends the text, as where texts are C strings. */
    const char *zero = memchr(text, '\0', size);
    struct json json = {text, text, zero != NULL ? zero : text + size, &engine_of(state)->scratch};
    decode_value(state, &json, 0);
    skip_space(&json);
    if (json.at != json.end) {
        fail(state, &json, "the end");
    }
    return 1;
}

/* The settings cannot be changed: they are answered with what they are. */
static int json_setting(lua_State *state)
{
    lua_pushvalue(state, lua_upvalueindex(1));
    return 1;
}

void json_open(lua_State *state)
{
    static const luaL_Reg functions[] = {
        {"encode", json_encode}, {"decode", json_decode}, {NULL, NULL}};
    static const struct {
        const char *name;
        int value;
    } settings[] = {{"encode_max_depth", DEPTH_MAX}, {"decode_max_depth", DEPTH_MAX},
                    {"encode_number_precision", 14}, {"encode_keep_buffer", 1},
                    {"encode_sparse_array", 0},      {"encode_invalid_numbers", 0},
                    {"decode_invalid_numbers", 0}};
    lua_newtable(state);
    luaL_register(state, functions);
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        lua_pushinteger(state, settings[i].value);
        lua_pushcclosure(state, json_setting, 1);
        lua_setfield(state, -2, settings[i].name);
    }
    lua_pushlightuserdata(state, NULL);
    lua_setfield(state, -2, "null");
    lua_pushstring(state, "cjson");
    lua_setfield(state, -2, "_NAME");
}
