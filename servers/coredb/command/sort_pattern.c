/* Looks up values by SORT's patterns. */
#include "coredb/command/sort_pattern.h"

#include "coredb/base/bytes.h"
#include "coredb/value/hash.h"

bool sort_pattern_varies(rr_bytes pattern)
{
    return pattern.size > 0 && memchr(pattern.data, '*', pattern.size) != NULL;
}

/* A pattern taken apart: name = prefix, element, suffix. */
struct parts {
    rr_bytes prefix;
    rr_bytes suffix;
    rr_bytes field; /* of a hash; empty: a string is meant */
};

static rr_bytes slice(const char *from, const char *to)
{
    return (rr_bytes){from, (size_t)(to - from)};
}

static struct parts take_apart(rr_bytes pattern)
{
    const char *begin = pattern.data;
    const char *end = begin + pattern.size;
    const char *star = memchr(begin, '*', pattern.size);
    struct parts parts = {slice(begin, star), slice(star + 1, end), {NULL, 0}};
    for (const char *at = star + 1; at + 1 < end; at++) {
        if (at[0] == '-' && at[1] == '>') {
            if (at + 2 < end) {
                parts.suffix = slice(star + 1, at);
                parts.field = slice(at + 2, end);
            }
            break;
        }
    }
    return parts;
}

/* Reads the string, or the field of the hash, of that name. */
static bool read_value(struct store *store, rr_bytes name, rr_bytes field, struct buffer *out)
{
    struct key key;
    key_open(store, name, &key);
    bool found = false;
    if (field.size == 0 && key.type == VALUE_STRING) {
        buffer_append_bytes(out, buffer_bytes(&key.payload));
        found = true;
    } else if (field.size > 0 && field.size <= STORE_KEY_BYTES_MAX && key.type == VALUE_HASH) {
        rr_bytes value;
        found = hash_get(store, &key, field, &value);
        if (found) {
            buffer_append_bytes(out, value);
        }
    }
    key_close(&key);
    return found;
}

bool sort_pattern_find(struct store *store, rr_bytes pattern, rr_bytes element, struct buffer *out)
{
    buffer_clear(out);
    bool found = false;
    if (bytes_equal(pattern, bytes_of("#"))) {
        buffer_append_bytes(out, element);
        found = true;
    } else if (sort_pattern_varies(pattern)) {
        struct parts parts = take_apart(pattern);
        struct buffer name;
        buffer_init(&name);
        buffer_append_bytes(&name, parts.prefix);
        buffer_append_bytes(&name, element);
        buffer_append_bytes(&name, parts.suffix);
        if (name.failed) {
            store_fail(store, RR_NO_MEMORY);
        } else if (name.size <= STORE_KEY_BYTES_MAX) {
            found = read_value(store, buffer_bytes(&name), parts.field, out);
        }
        buffer_deinit(&name);
    }
    if (out->failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    return found && !out->failed;
}
