/* The words of a chunk of Lua. Raises syntax errors. */
#ifndef COREDB_SCRIPT_LUA_LEXER_H
#define COREDB_SCRIPT_LUA_LEXER_H

#include "coredb/script/lua/object.h"

/* Single characters stand for themselves. */
enum token_kind {
    TOKEN_AND = 257,
    TOKEN_BREAK,
    TOKEN_DO,
    TOKEN_ELSE,
    TOKEN_ELSEIF,
    TOKEN_END,
    TOKEN_FALSE,
    TOKEN_FOR,
    TOKEN_FUNCTION,
    TOKEN_IF,
    TOKEN_IN,
    TOKEN_LOCAL,
    TOKEN_NIL,
    TOKEN_NOT,
    TOKEN_OR,
    TOKEN_REPEAT,
    TOKEN_RETURN,
    TOKEN_THEN,
    TOKEN_TRUE,
    TOKEN_UNTIL,
    TOKEN_WHILE,
    TOKEN_CONCAT,
    TOKEN_DOTS,
    TOKEN_EQUAL,
    TOKEN_GREATER_EQUAL,
    TOKEN_LESS_EQUAL,
    TOKEN_NOT_EQUAL,
    TOKEN_NUMBER,
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_END_OF_FILE,
};

struct token {
    int kind;
    double number;
    struct string *text; /* of names and strings */
    const char *start;
    const char *end;
};

struct lexer {
    lua_State *state;
    const char *at;
    const char *end;
    const char *name; /* of the chunk */
    const char *word; /* where the word being read begins; for errors */
    struct token token;
    struct token ahead;
    bool has_ahead;
    int line;
    int last_line; /* of the token before */
    char *bytes;   /* of the string being read */
    uint32_t byte_count;
    uint32_t byte_capacity;
};

void lexer_init(struct lexer *lexer, lua_State *state, const char *text, size_t size,
                const char *name);
void lexer_next(struct lexer *lexer);
/* The kind of the token after the next. */
int lexer_peek(struct lexer *lexer);
/* Raises "name:line: text near 'token'"; a null character is not shown, as in Lua. */
_Noreturn void lexer_error(struct lexer *lexer, const char *text);
/* The same without "near". */
_Noreturn void lexer_error_plain(struct lexer *lexer, const char *text);
/* How a kind of token is shown in errors. */
void token_show(int kind, char out[32]);

#endif
