/*
 * Scenario files as text: cases of a command, its input and its expected output. What commands mean
 * is the families' (interaction.c, conf_change.c, quorum_cases.c).
 */
#ifndef SCENARIO_SCRIPT_H
#define SCENARIO_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum { SCRIPT_ARGUMENTS_MAX = 64, SCRIPT_VALUES_MAX = 64 };

struct script_argument {
    char *key;
    bool has_value; /* "key=" has one, the empty string; "key" has none */
    uint32_t count;
    char *values[SCRIPT_VALUES_MAX];
};

struct script_case {
    const char *path;
    uint32_t line; /* of the command, from 1 */
    char *command;
    uint32_t count;
    struct script_argument arguments[SCRIPT_ARGUMENTS_MAX];
    char *input; /* trimmed, lines joined by newlines */
    char *expected;
    /* For a rewrite: the file's text from the end of the case before, to the "----" included and to
     * the end of this case. */
    const char *raw;
    size_t raw_size;
    size_t whole_size;
};

struct script {
    const char *path;
    char *text;
    const char *at; /* the next line */
    uint32_t line;
};

/* Reads the file; a file that cannot be read ends the program with 2. */
void script_open(struct script *script, const char *path);
void script_close(struct script *script);

/* The next case; false at the end. A file that cannot be parsed ends the program with 2. */
bool script_next(struct script *script, struct script_case *out);
void script_case_deinit(struct script_case *item);

/* What is left after the last case: comments, blank lines. */
const char *script_rest(const struct script *script);

/* Ends the program with 2: the case is not of the language. */
_Noreturn void script_fail(const struct script_case *item, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Arguments by name or place; what is missing or malformed ends the program with 2. */
const struct script_argument *script_find(const struct script_case *item, const char *key);
const char *script_value(const struct script_case *item, const struct script_argument *argument);
uint64_t script_number(const struct script_case *item, const char *text);
bool script_boolean(const struct script_case *item, const char *text);
uint64_t script_number_at(const struct script_case *item, uint32_t place); /* a bare key */

/* Appends formatted text. */
void print(struct buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
