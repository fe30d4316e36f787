/* Appending formatted text to a bounded array: what does not fit is cut, and the end stays zero. */
#ifndef RAFT_TEXT_H
#define RAFT_TEXT_H

#include <stddef.h>

struct text {
    char *data;
    size_t size;     /* without the terminating zero */
    size_t capacity; /* with it; at least 1 */
};

void text_init(struct text *text, char *data, size_t capacity);

void text_append(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
