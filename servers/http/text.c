/* Growable text and JSON output. */
#include "http/text.h"

#include "http/base64.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_deinit(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

bool text_reserve(struct text *text, size_t size)
{
    if (text->failed) {
        return false;
    }
    if (size <= text->capacity) {
        return true;
    }
    char *data = realloc(text->data, size);
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = size;
    return true;
}

/* Room for `size` more bytes, with some to spare so that appending stays cheap. */
static bool grow(struct text *text, size_t size)
{
    if (size > SIZE_MAX / 4 || text->size > SIZE_MAX / 4) {
        text->failed = true;
        return false;
    }
    size_t needed = text->size + size;
    if (needed <= text->capacity && !text->failed) {
        return true;
    }
    size_t wanted = text->capacity < 128 ? 128 : text->capacity * 2;
    return text_reserve(text, wanted > needed ? wanted : needed);
}

void text_append(struct text *text, const void *data, size_t size)
{
    if (size > 0 && grow(text, size)) {
        memcpy(text->data + text->size, data, size);
        text->size += size;
    }
}

void text_append_string(struct text *text, const char *string)
{
    text_append(text, string, strlen(string));
}

void text_append_number(struct text *text, uint64_t number)
{
    char digits[24];
    int size = snprintf(digits, sizeof(digits), "%" PRIu64, number);
    text_append(text, digits, (size_t)size);
}

void text_append_format(struct text *text, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (size > 0) {
        text_append(text, line, (size_t)size < sizeof(line) ? (size_t)size : sizeof(line) - 1);
    }
}

rr_bytes text_bytes(const struct text *text)
{
    return (rr_bytes){text->data, text->size};
}

/* The size of the character that `at` begins with, of `left` bytes; 0 if it is none. */
static size_t character_size(const unsigned char *at, size_t left)
{
    if (at[0] < 0x80) {
        return 1;
    }
    size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || left < size) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    /* Longer forms than needed, surrogates, and what is past U+10FFFF. */
    bool bad = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
               (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f);
    return bad ? 0 : size;
}

bool text_is_utf8(rr_bytes bytes)
{
    const unsigned char *data = bytes.data;
    for (size_t i = 0; i < bytes.size;) {
        size_t size = character_size(data + i, bytes.size - i);
        if (size == 0) {
            return false;
        }
        i += size;
    }
    return true;
}

static void write_escape(struct text *text, unsigned char byte)
{
    static const char shorts[] = "btn\0fr";
    if (byte == '"' || byte == '\\') {
        char escape[2] = {'\\', (char)byte};
        text_append(text, escape, 2);
    } else if (byte >= 8 && byte <= 13 && shorts[byte - 8] != '\0') {
        char escape[2] = {'\\', shorts[byte - 8]};
        text_append(text, escape, 2);
    } else {
        text_append_format(text, "\\u%04x", byte);
    }
}

void json_write_string(struct text *text, rr_bytes bytes)
{
    const unsigned char *data = bytes.data;
    text_append(text, "\"", 1);
    size_t start = 0; /* of the run that needs no change */
    for (size_t i = 0; i < bytes.size;) {
        size_t size = character_size(data + i, bytes.size - i);
        bool plain = size > 0 && data[i] >= ' ' && data[i] != '"' && data[i] != '\\';
        if (plain) {
            i += size;
            continue;
        }
        text_append(text, data + start, i - start);
        if (size == 0) {
            text_append_string(text, "\xef\xbf\xbd");
        } else {
            write_escape(text, data[i]);
        }
        i++;
        start = i;
    }
    if (bytes.size > start) {
        text_append(text, data + start, bytes.size - start);
    }
    text_append(text, "\"", 1);
}

void json_write_member(struct text *text, const char *name, rr_bytes bytes)
{
    text_append(text, "\"", 1);
    text_append_string(text, name);
    if (text_is_utf8(bytes)) {
        text_append_string(text, "\":");
        json_write_string(text, bytes);
    } else {
        text_append_string(text, "_base64\":\"");
        base64_encode(text, bytes);
        text_append(text, "\"", 1);
    }
}

void json_write_number_or_null(struct text *text, uint64_t number)
{
    if (number == 0) {
        text_append_string(text, "null");
    } else {
        text_append_number(text, number);
    }
}
