/* Reading JSON within a limit of memory. */
#include "http/json_read.h"

#include "http/base64.h"

#include <stdarg.h>
#include <stdio.h>

/* What jansson takes at most for a part, beside the bytes of its text. */
enum { OBJECT_BYTES = 320, ARRAY_BYTES = 160, SEPARATOR_BYTES = 128, TEXT_FACTOR = 4 };

/*
 * An upper bound of the memory that parsing `body` takes. It is estimated beforehand, as jansson
 * does not survive an allocator that refuses: its lexer asserts that it never does.
 */
static size_t parse_cost(rr_bytes body)
{
    const char *data = body.data;
    size_t cost = body.size * TEXT_FACTOR;
    bool quoted = false;
    for (size_t i = 0; i < body.size; i++) {
        char c = data[i];
        if (quoted) {
            i += c == '\\' ? 1 : 0;
            quoted = c != '"';
            continue;
        }
        quoted = c == '"';
        cost += c == '{' ? OBJECT_BYTES : 0;
        cost += c == '[' ? ARRAY_BYTES : 0;
        cost += c == ',' || c == ':' ? SEPARATOR_BYTES : 0;
    }
    return cost;
}

/* Parses once more with integers over 63 bits as reals: unknown members may hold any number. */
static json_t *parse(rr_bytes body, json_error_t *error)
{
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *root = json_loadb(body.data, body.size, flags, error);
    if (root == NULL && json_error_code(error) == json_error_numeric_overflow) {
        root = json_loadb(body.data, body.size, flags | JSON_DECODE_INT_AS_REAL, error);
    }
    return root;
}

enum json_read_result json_read(rr_bytes body, size_t memory_bytes_max, json_t **out, char *error,
                                size_t error_size)
{
    if (body.size == 0) {
        snprintf(error, error_size, "the body is empty");
        return JSON_READ_MALFORMED;
    }
    if (parse_cost(body) > memory_bytes_max) {
        snprintf(error, error_size, "the JSON has too many parts to be handled");
        return JSON_READ_TOO_BIG;
    }
    json_error_t problem = {0};
    json_t *root = parse(body, &problem);
    if (root == NULL) {
        snprintf(error, error_size, "line %d, column %d: %s", problem.line, problem.column,
                 problem.text);
        return JSON_READ_MALFORMED;
    }
    *out = root;
    return JSON_READ_OK;
}

static void wrong(struct json_bytes *field, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void wrong(struct json_bytes *field, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(field->problem, sizeof(field->problem), format, arguments);
    va_end(arguments);
    field->kind = JSON_BYTES_WRONG;
}

void json_bytes_read(struct json_bytes *field, const json_t *object, const char *name)
{
    *field = (struct json_bytes){.kind = JSON_BYTES_ABSENT};
    char base64_name[32];
    snprintf(base64_name, sizeof(base64_name), "%s_base64", name);
    const json_t *plain = json_object_get(object, name);
    const json_t *encoded = json_object_get(object, base64_name);
    field->null = json_is_null(plain);
    if (json_is_null(encoded)) {
        encoded = NULL;
    }
    if (plain != NULL && !field->null && encoded != NULL) {
        wrong(field, "'%s' or '%s', not both", name, base64_name);
        return;
    }
    const json_t *given = encoded != NULL ? encoded : plain;
    if (given == NULL || json_is_null(given)) {
        return;
    }
    if (!json_is_string(given)) {
        wrong(field, "'%s' to be a string", encoded != NULL ? base64_name : name);
        return;
    }
    rr_bytes bytes = {json_string_value(given), json_string_length(given)};
    if (encoded != NULL) {
        if (!base64_decode(&field->decoded, bytes)) {
            wrong(field, "'%s' to be base64", base64_name);
            return;
        }
        bytes = text_bytes(&field->decoded);
    }
    field->kind = JSON_BYTES_FOUND;
    field->bytes = bytes;
}

void json_bytes_deinit(struct json_bytes *field)
{
    text_deinit(&field->decoded);
}

bool json_read_id(const json_t *object, const char *name, uint64_t *out)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return false;
    }
    *out = (uint64_t)json_integer_value(value);
    return true;
}
