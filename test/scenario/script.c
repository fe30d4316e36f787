#include "scenario/script.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

void print(struct buffer *out, const char *format, ...)
{
    char small[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(small, sizeof(small), format, arguments);
    va_end(arguments);
    ASSERT(size >= 0);
    if ((size_t)size < sizeof(small)) {
        buffer_append(out, small, (size_t)size);
        return;
    }
    char *large = mem_alloc((size_t)size + 1);
    va_start(arguments, format);
    vsnprintf(large, (size_t)size + 1, format, arguments);
    va_end(arguments);
    buffer_append(out, large, (size_t)size);
    mem_free(large);
}

void script_fail(const struct script_case *item, const char *format, ...)
{
    fprintf(stderr, "%s:%u: ", item->path, item->line);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

/* ---- Reading ---- */

void script_open(struct script *script, const char *path)
{
    FILE *file = fopen(path, "rb");
    struct buffer text;
    buffer_init(&text);
    if (file != NULL) {
        char block[4096];
        size_t size;
        while ((size = fread(block, 1, sizeof(block), file)) > 0) {
            buffer_append(&text, block, size);
        }
    }
    if (file == NULL || ferror(file) != 0) {
        fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
        exit(2);
    }
    fclose(file);
    buffer_append_byte(&text, 0);
    ASSERT(!text.failed);
    if (strlen((char *)text.data) + 1 != text.size) {
        fprintf(stderr, "%s: is not text\n", path);
        exit(2);
    }
    script->path = path;
    script->text = (char *)text.data;
    script->at = script->text;
    script->line = 0;
}

void script_close(struct script *script)
{
    mem_free(script->text);
}

const char *script_rest(const struct script *script)
{
    return script->at;
}

/* The next line without its newline, in new memory; NULL at the end. */
static char *next_line(struct script *script)
{
    if (*script->at == '\0') {
        return NULL;
    }
    const char *end = strchr(script->at, '\n');
    size_t size = end == NULL ? strlen(script->at) : (size_t)(end - script->at);
    char *line = mem_alloc(size + 1);
    memcpy(line, script->at, size);
    script->at += size + (end != NULL);
    script->line++;
    return line;
}

/* Trims both ends in place. */
static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t size = strlen(text);
    while (size > 0 && isspace((unsigned char)text[size - 1])) {
        size--;
    }
    text[size] = '\0';
    return text;
}

/* The next command line, comments and blank lines skipped and continuations joined. */
static char *next_command(struct script *script, uint32_t *first_line)
{
    struct buffer joined;
    buffer_init(&joined);
    char *line;
    while ((line = next_line(script)) != NULL) {
        char *text = trim(line);
        if (joined.size == 0) {
            *first_line = script->line;
        }
        if (text[0] == '#' && joined.size == 0) {
            mem_free(line);
            continue;
        }
        size_t size = strlen(text);
        bool goes_on = size > 0 && text[size - 1] == '\\';
        if (goes_on) {
            text[size - 1] = '\0';
        }
        if (joined.size > 0 && text[0] != '\0') {
            buffer_append_byte(&joined, ' ');
        }
        buffer_append_text(&joined, text);
        mem_free(line);
        if (!goes_on && joined.size > 0) {
            break;
        }
    }
    if (joined.size == 0) {
        buffer_deinit(&joined);
        return NULL;
    }
    buffer_append_byte(&joined, 0);
    return (char *)joined.data;
}

static char *copy(const char *start, const char *end)
{
    char *text = mem_alloc((size_t)(end - start) + 1);
    memcpy(text, start, (size_t)(end - start));
    return text;
}

static void add_value(struct script_case *item, struct script_argument *argument, const char *start,
                      const char *end)
{
    if (argument->count == SCRIPT_VALUES_MAX) {
        script_fail(item, "more than %d values", SCRIPT_VALUES_MAX);
    }
    argument->values[argument->count] = copy(start, end);
    argument->count++;
}

/* "(a, b(c,d))": from after the opening parenthesis to after the closing one. */
static const char *parse_list(struct script_case *item, struct script_argument *argument,
                              const char *at)
{
    uint32_t depth = 1;
    const char *start = at;
    for (; *at != '\0'; at++) {
        if (*at == '(') {
            depth++;
        } else if (*at == ')') {
            depth--;
            if (depth == 0) {
                add_value(item, argument, start, at);
                return at + 1;
            }
        } else if (*at == ',' && depth == 1) {
            add_value(item, argument, start, at);
            while (at[1] == ' ') {
                at++;
            }
            start = at + 1;
        }
    }
    script_fail(item, "a list without its closing parenthesis");
}

static void parse_arguments(struct script_case *item, const char *at)
{
    while (true) {
        while (*at == ' ' || *at == '\t') {
            at++;
        }
        if (*at == '\0') {
            return;
        }
        if (item->count == SCRIPT_ARGUMENTS_MAX) {
            script_fail(item, "more than %d arguments", SCRIPT_ARGUMENTS_MAX);
        }
        struct script_argument *argument = &item->arguments[item->count];
        item->count++;
        const char *end = at + strcspn(at, " =");
        if (end == at) {
            script_fail(item, "an argument without a name at '%s'", at);
        }
        argument->key = copy(at, end);
        at = end;
        if (*at != '=') {
            continue;
        }
        argument->has_value = true;
        at++;
        if (*at == '(') {
            at = parse_list(item, argument, at + 1);
        } else {
            end = at + strcspn(at, " ");
            add_value(item, argument, at, end);
            at = end;
        }
    }
}

static void read_input(struct script *script, struct script_case *item)
{
    struct buffer input;
    buffer_init(&input);
    while (true) {
        char *line = next_line(script);
        if (line == NULL) {
            script_fail(item, "no '----' after the command");
        }
        bool end = strcmp(line, "----") == 0;
        if (!end) {
            buffer_append_text(&input, line);
            buffer_append_byte(&input, '\n');
        }
        mem_free(line);
        if (end) {
            break;
        }
    }
    buffer_append_byte(&input, 0);
    char *trimmed = trim((char *)input.data);
    item->input = mem_copy_text(trimmed);
    buffer_deinit(&input);
}

/* The output between two pairs of "----", blank lines included. */
static void read_fenced(struct script *script, struct script_case *item, struct buffer *expected)
{
    char *line;
    while ((line = next_line(script)) != NULL) {
        if (strcmp(line, "----") == 0) {
            const char *at = script->at;
            uint32_t number = script->line;
            char *second = next_line(script);
            bool end = second != NULL && strcmp(second, "----") == 0;
            mem_free(second);
            if (end) {
                mem_free(line);
                at = script->at;
                number = script->line;
                char *blank = next_line(script);
                if (blank != NULL && trim(blank)[0] != '\0') {
                    script->at = at;
                    script->line = number;
                }
                mem_free(blank);
                return;
            }
            script->at = at;
            script->line = number;
        }
        buffer_append_text(expected, line);
        buffer_append_byte(expected, '\n');
        mem_free(line);
    }
    script_fail(item, "the output begins with '----' twice but does not end so");
}

static void read_expected(struct script *script, struct script_case *item)
{
    struct buffer expected;
    buffer_init(&expected);
    char *line;
    bool first = true;
    while ((line = next_line(script)) != NULL) {
        if (first && strcmp(line, "----") == 0) {
            mem_free(line);
            read_fenced(script, item, &expected);
            break;
        }
        first = false;
        char *untouched = mem_copy_text(line);
        bool blank = trim(line)[0] == '\0';
        if (!blank) {
            buffer_append_text(&expected, untouched);
            buffer_append_byte(&expected, '\n');
        }
        mem_free(untouched);
        mem_free(line);
        if (blank) {
            break;
        }
    }
    buffer_append_byte(&expected, 0);
    item->expected = (char *)expected.data;
}

bool script_next(struct script *script, struct script_case *out)
{
    memset(out, 0, sizeof(*out));
    out->path = script->path;
    out->raw = script->at;
    const char *before = script->at;
    char *command = next_command(script, &out->line);
    if (command == NULL) {
        script->at = before; /* comments at the end: kept by a rewrite */
        return false;
    }
    char *end = command + strcspn(command, " ");
    parse_arguments(out, end);
    *end = '\0';
    out->command = command;
    read_input(script, out);
    out->raw_size = (size_t)(script->at - out->raw);
    read_expected(script, out);
    out->whole_size = (size_t)(script->at - out->raw);
    return true;
}

void script_case_deinit(struct script_case *item)
{
    for (uint32_t i = 0; i < item->count; i++) {
        mem_free(item->arguments[i].key);
        for (uint32_t j = 0; j < item->arguments[i].count; j++) {
            mem_free(item->arguments[i].values[j]);
        }
    }
    mem_free(item->command);
    mem_free(item->input);
    mem_free(item->expected);
}

/* ---- Arguments ---- */

const struct script_argument *script_find(const struct script_case *item, const char *key)
{
    for (uint32_t i = 0; i < item->count; i++) {
        if (strcmp(item->arguments[i].key, key) == 0) {
            return &item->arguments[i];
        }
    }
    return NULL;
}

const char *script_value(const struct script_case *item, const struct script_argument *argument)
{
    if (argument->count != 1) {
        script_fail(item, "'%s' takes one value", argument->key);
    }
    return argument->values[0];
}

uint64_t script_number(const struct script_case *item, const char *text)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0) {
        script_fail(item, "'%s' is not a number", text);
    }
    return value;
}

bool script_boolean(const struct script_case *item, const char *text)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (strcmp(text, yes[i]) == 0) {
            return true;
        }
        if (strcmp(text, no[i]) == 0) {
            return false;
        }
    }
    script_fail(item, "'%s' is neither true nor false", text);
}

uint64_t script_number_at(const struct script_case *item, uint32_t place)
{
    if (place >= item->count || item->arguments[place].has_value) {
        script_fail(item, "'%s' needs a number as argument %u", item->command, place + 1);
    }
    return script_number(item, item->arguments[place].key);
}
