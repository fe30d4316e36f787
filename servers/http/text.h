/*
 * Growable text, and the JSON that answers are written in.
 *
 * What cannot grow for want of memory sets `failed`, and the text then stays as it is: a writer
 * writes everything and checks once at its end. The memory comes from malloc, so that an answer can
 * be handed to the HTTP library. One thread at a time.
 */
#ifndef HTTP_TEXT_H
#define HTTP_TEXT_H

#include <rockraft/types.h>

struct text {
    char *data; /* from malloc; NULL while capacity is 0; not terminated */
    size_t size;
    size_t capacity;
    bool failed;
};

/* An empty text is a zeroed one. Frees the memory and leaves it so. */
void text_deinit(struct text *text);

/* Makes room for `size` bytes in all; false if there is none. */
bool text_reserve(struct text *text, size_t size);

void text_append(struct text *text, const void *data, size_t size);

/* Appends a C string. */
void text_append_string(struct text *text, const char *string);

void text_append_number(struct text *text, uint64_t number);

/* Appends a printf-like text of at most 1023 bytes; longer ones are cut. */
void text_append_format(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

rr_bytes text_bytes(const struct text *text);

/* Whether `bytes` are UTF-8 as RFC 3629 has it. */
bool text_is_utf8(rr_bytes bytes);

/* Appends `bytes` as a JSON string with its quotes. Where they are not UTF-8, each byte that does
 * not belong becomes U+FFFD; what must not change goes through json_write_member. */
void json_write_string(struct text *text, rr_bytes bytes);

/* Appends "NAME":"..." or, when `bytes` are not UTF-8, "NAME_base64":"...". */
void json_write_member(struct text *text, const char *name, rr_bytes bytes);

/* Appends a number, or null when it is 0: the library's "none". */
void json_write_number_or_null(struct text *text, uint64_t number);

#endif
