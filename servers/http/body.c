/* JSON bodies, and the refusals that all handlers share. */
#include "http/body.h"

#include "http/server.h"

#include <stdarg.h>
#include <stdio.h>

/* Beside four times the body: room for the parts of a batch with as many operations as the library
 * takes. */
static const size_t JSON_MEMORY_BYTES = 32 * 1024 * 1024;

json_t *body_parse(struct exchange *exchange)
{
    char error[256];
    json_t *root = NULL;
    size_t memory_max = JSON_MEMORY_BYTES + 4 * exchange->body.size;
    switch (json_read(text_bytes(&exchange->body), memory_max, &root, error, sizeof(error))) {
    case JSON_READ_OK:
        return root;
    case JSON_READ_MALFORMED:
        exchange_fail(exchange, MHD_HTTP_BAD_REQUEST, "The body is not JSON: %s", error);
        return NULL;
    case JSON_READ_TOO_BIG:
        exchange_fail(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "The body is too large: %s", error);
        return NULL;
    }
    return NULL;
}

json_t *body_parse_object(struct exchange *exchange)
{
    json_t *root = body_parse(exchange);
    if (root != NULL && !json_is_object(root)) {
        body_refuse(exchange, "expected an object");
        json_decref(root);
        return NULL;
    }
    return root;
}

void body_refuse(struct exchange *exchange, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    exchange_fail(exchange, MHD_HTTP_UNPROCESSABLE_CONTENT, "Invalid request: %s", message);
}

bool body_require_bytes(struct exchange *exchange, const json_t *object, const char *name,
                        struct json_bytes *out)
{
    json_bytes_read(out, object, name);
    switch (out->kind) {
    case JSON_BYTES_FOUND:
        return true;
    case JSON_BYTES_ABSENT:
        body_refuse(exchange, out->null ? "'%s' is null" : "missing member '%s'", name);
        return false;
    case JSON_BYTES_WRONG:
        body_refuse(exchange, "expected %s", out->problem);
        return false;
    }
    return false;
}
