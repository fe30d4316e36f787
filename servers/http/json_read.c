/* Reading JSON within a limit of memory. */
#include "http/json_read.h"

#include "http/base64.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jansson's allocator has no argument of its own, so that its account is per thread. */
static _Thread_local size_t memory_used;
static _Thread_local size_t memory_max = SIZE_MAX;
static _Thread_local bool memory_refused;

static void *limited_malloc(size_t size)
{
    if (size > memory_max || memory_used > memory_max - size) {
        memory_refused = true;
        return NULL;
    }
    void *memory = malloc(size);
    memory_used += memory != NULL ? malloc_usable_size(memory) : 0;
    return memory;
}

static void limited_free(void *memory)
{
    size_t size = malloc_usable_size(memory);
    memory_used -= size < memory_used ? size : memory_used;
    free(memory);
}

/* Parses once more with integers over 63 bits as reals: unknown members may hold any number. */
static json_t *parse(rr_bytes body, json_error_t *error)
{
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *root = json_loadb(body.data, body.size, flags, error);
    if (root == NULL && !memory_refused && json_error_code(error) == json_error_numeric_overflow) {
        root = json_loadb(body.data, body.size, flags | JSON_DECODE_INT_AS_REAL, error);
    }
    return root;
}

enum json_read_result json_read(rr_bytes body, size_t memory_bytes_max, json_t **out, char *error,
                                size_t error_size)
{
    json_set_alloc_funcs(limited_malloc, limited_free);
    memory_used = 0;
    memory_max = memory_bytes_max;
    memory_refused = false;
    json_error_t problem = {0};
    json_t *root = body.size > 0 ? parse(body, &problem) : NULL;
    memory_max = SIZE_MAX;
    if (root != NULL) {
        *out = root;
        return JSON_READ_OK;
    }
    if (memory_refused) {
        snprintf(error, error_size, "the JSON has too many parts to be handled");
        return JSON_READ_TOO_BIG;
    }
    if (body.size == 0) {
        snprintf(error, error_size, "the body is empty");
    } else {
        snprintf(error, error_size, "line %d, column %d: %s", problem.line, problem.column,
                 problem.text);
    }
    return JSON_READ_MALFORMED;
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
