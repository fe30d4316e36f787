/* Form-encoded query strings. */
#include "http/query.h"

#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void query_decode(struct text *text, rr_bytes encoded, bool plus)
{
    const char *data = encoded.data;
    if (encoded.size == 0 || !text_reserve(text, text->size + encoded.size)) {
        return;
    }
    for (size_t i = 0; i < encoded.size; i++) {
        char c = data[i];
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%' && i + 2 < encoded.size && hex_value(data[i + 1]) >= 0 &&
                   hex_value(data[i + 2]) >= 0) {
            c = (char)(hex_value(data[i + 1]) << 4 | hex_value(data[i + 2]));
            i += 2;
        }
        text->data[text->size++] = c;
    }
}

bool query_find(rr_bytes query, const char *name, struct text *value)
{
    const char *at = query.data;
    const char *end = at + query.size;
    rr_bytes found = {NULL, 0};
    bool any = false;
    struct text decoded = {0};
    while (at < end) {
        const char *ampersand = memchr(at, '&', (size_t)(end - at));
        const char *stop = ampersand != NULL ? ampersand : end;
        const char *equals = memchr(at, '=', (size_t)(stop - at));
        const char *name_end = equals != NULL ? equals : stop;
        decoded.size = 0;
        query_decode(&decoded, (rr_bytes){at, (size_t)(name_end - at)}, /*plus=*/true);
        if (decoded.size > 0 && decoded.size == strlen(name) &&
            memcmp(decoded.data, name, decoded.size) == 0) {
            any = true;
            found.data = equals != NULL ? equals + 1 : stop;
            found.size = (size_t)(stop - (const char *)found.data);
        }
        at = ampersand != NULL ? ampersand + 1 : end;
    }
    text_deinit(&decoded);
    if (any) {
        query_decode(value, found, /*plus=*/true);
    }
    return any;
}
