/* string.format. */
#include "coredb/script/lua/library.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ITEM_MAX = 512, SPEC_MAX = 24, WHOLE_STRING = 100, FLOATING_UNITS = 200 };

int library_format(lua_State *state);

static void add_quoted(struct builder *builder, const char *text, size_t size)
{
    lua_charge(builder->state, size / 4);
    builder_add_byte(builder, '"');
    for (size_t i = 0; i < size; i++) {
        switch (text[i]) {
        case '"':
        case '\\':
        case '\n':
            builder_add_byte(builder, '\\');
            builder_add_byte(builder, text[i]);
            break;
        case '\r':
            builder_add(builder, "\\r", 2);
            break;
        case '\0':
            builder_add(builder, "\\000", 4);
            break;
        default:
            builder_add_byte(builder, text[i]);
            break;
        }
    }
    builder_add_byte(builder, '"');
}

/* Reads flags, width and precision at `at` to `spec`, which begins with '%'. Returns what
 * follows. */
static const char *read_spec(lua_State *state, const char *at, char spec[SPEC_MAX])
{
    size_t flags = strspn(at, "-+ #0");
    if (flags > 5) {
        luaL_error(state, "invalid format (repeated flags)");
    }
    const char *end = at + flags;
    for (int i = 0; i < 2 && isdigit((unsigned char)*end); i++) {
        end++;
    }
    if (*end == '.') {
        end++;
        for (int i = 0; i < 2 && isdigit((unsigned char)*end); i++) {
            end++;
        }
    }
    if (isdigit((unsigned char)*end)) {
        luaL_error(state, "invalid format (width or precision too long)");
    }
    spec[0] = '%';
    memcpy(spec + 1, at, (size_t)(end - at));
    spec[1 + (end - at)] = '\0';
    return end;
}

/* As a cast, but defined for all numbers. */
static long long to_integer(double number)
{
    if (isnan(number)) {
        return INT64_MIN;
    }
    return number >= 9223372036854775808.0 || number < -9223372036854775808.0 ? INT64_MIN
                                                                              : (int64_t)number;
}

static unsigned long long to_unsigned(double number)
{
    if (number >= 9223372036854775808.0 && number < 18446744073709551616.0) {
        return (uint64_t)number;
    }
    return (unsigned long long)to_integer(number);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static void add_number(struct builder *builder, char *spec, char kind, double number)
{
    char item[ITEM_MAX];
    size_t size = strlen(spec);
    int printed;
    if (strchr("eEfgG", kind) != NULL) {
        spec[size] = kind;
        spec[size + 1] = '\0';
        printed = snprintf(item, sizeof(item), spec, number);
        lua_charge(builder->state, FLOATING_UNITS + (uint64_t)(printed < 0 ? 0 : printed));
    } else if (kind == 'c') {
        memcpy(spec + size, "c", 2);
        printed = snprintf(item, sizeof(item), spec, (int)to_integer(number));
    } else {
        spec[size] = 'l';
        spec[size + 1] = 'l';
        spec[size + 2] = kind;
        spec[size + 3] = '\0';
        printed = kind == 'd' || kind == 'i'
                      ? snprintf(item, sizeof(item), spec, to_integer(number))
                      : snprintf(item, sizeof(item), spec, to_unsigned(number));
    }
    builder_add(builder, item, printed < 0 ? 0 : (size_t)printed);
}

static void add_string(struct builder *builder, char *spec, const char *text, size_t size)
{
    if (strchr(spec, '.') == NULL && size >= WHOLE_STRING) {
        builder_add(builder, text, size);
        return;
    }
    char item[ITEM_MAX];
    memcpy(spec + strlen(spec), "s", 2);
    int printed = snprintf(item, sizeof(item), spec, text);
    builder_add(builder, item, printed < 0 ? 0 : (size_t)printed);
}

#pragma GCC diagnostic pop

int library_format(lua_State *state)
{
    size_t size;
    const char *at = luaL_checklstring(state, 1, &size);
    const char *end = at + size;
    int argument = 1;
    struct builder builder;
    int count = lua_gettop(state);
    builder_init(&builder, state);
    lua_charge(state, size / 4);
    while (at < end) {
        if (*at != '%') {
            builder_add_byte(&builder, *at++);
            continue;
        }
        at++;
        if (*at == '%') {
            builder_add_byte(&builder, *at++);
            continue;
        }
        char spec[SPEC_MAX];
        at = read_spec(state, at, spec);
        char kind = *at++;
        lua_charge(state, 10);
        if (++argument > count) {
            luaL_argerror(state, argument, "no value");
        }
        if (kind != '\0' && strchr("cdiouxXeEfgG", kind) != NULL) {
            add_number(&builder, spec, kind, luaL_checknumber(state, argument));
        } else if (kind == 'q' || kind == 's') {
            size_t text_size;
            const char *text = luaL_checklstring(state, argument, &text_size);
            if (kind == 'q') {
                add_quoted(&builder, text, text_size);
            } else {
                add_string(&builder, spec, text, text_size);
            }
        } else {
            luaL_error(state, "invalid option '%%%c' to 'format'", kind);
        }
    }
    builder_finish(&builder);
    return 1;
}
