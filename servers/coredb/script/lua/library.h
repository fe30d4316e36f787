/* What the libraries share. */
#ifndef COREDB_SCRIPT_LUA_LIBRARY_H
#define COREDB_SCRIPT_LUA_LIBRARY_H

#include "coredb/script/lua/object.h"

/* A string being built; its bytes are a value on the stack, so that nothing is lost by an error. */
struct builder {
    lua_State *state;
    uint32_t place; /* on the stack */
    size_t size;
};

/* Pushes the place where the bytes are. */
void builder_init(struct builder *builder, lua_State *state);
void builder_add(struct builder *builder, const char *data, size_t size);
void builder_add_byte(struct builder *builder, char byte);
/* Replaces the pushed place, which must be the top again, by the string. */
void builder_finish(struct builder *builder);

/* table.concat as a function. */
int library_concat(lua_State *state);

/* ---- pattern.c ---- */

enum { CAPTURES_MAX = 32 };

struct capture_span {
    const char *start;
    ptrdiff_t size; /* or a CAPTURE_ value */
};
enum { CAPTURE_UNFINISHED = -1, CAPTURE_POSITION = -2 };

/* A text and the pattern that is looked for in it. */
struct matcher {
    lua_State *state;
    const char *text;
    const char *text_end;
    const char *pattern;
    const char *pattern_end;
    int depth;
    int level; /* captures, finished or not */
    struct capture_span captures[CAPTURES_MAX];
};

/* Where the match of the pattern ends that begins at `at`; NULL: none does. Charges each step. */
const char *pattern_match(struct matcher *matcher, const char *at);

#endif
