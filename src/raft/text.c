#include "raft/text.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"

void text_init(struct text *text, char *data, size_t capacity)
{
    ASSERT(capacity > 0);
    text->data = data;
    text->size = 0;
    text->capacity = capacity;
    data[0] = '\0';
}

void text_append(struct text *text, const char *format, ...)
{
    size_t left = text->capacity - text->size;
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(text->data + text->size, left, format, arguments);
    va_end(arguments);
    ASSERT(count >= 0);
    text->size += (size_t)count < left ? (size_t)count : left - 1;
}
