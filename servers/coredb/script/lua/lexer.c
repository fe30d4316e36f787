/* The words of a chunk: names, numbers, strings, signs. */
#include "coredb/script/lua/lexer.h"

#include "coredb/script/lua/code.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { END = -1, SHOWN_MAX = 200, BYTES_PER_UNIT = 1 };

static const char *const names[] = {
    "and",      "break", "do",   "else",     "elseif", "end",      "false", "for",
    "function", "if",    "in",   "local",    "nil",    "not",      "or",    "repeat",
    "return",   "then",  "true", "until",    "while",  "..",       "...",   "==",
    ">=",       "<=",    "~=",   "<number>", "<name>", "<string>", "<eof>",
};

enum { FIRST_KIND = TOKEN_AND, RESERVED = TOKEN_WHILE - TOKEN_AND + 1 };

void token_show(int kind, char out[32])
{
    if (kind >= FIRST_KIND) {
        snprintf(out, 32, "%s", names[kind - FIRST_KIND]);
    } else if (iscntrl((unsigned char)kind)) {
        snprintf(out, 32, "char(%d)", kind);
    } else {
        snprintf(out, 32, "%c", kind);
    }
}

/* ---- Errors ---- */

static _Noreturn void raise(struct lexer *lexer, const char *text, const char *near)
{
    char name[64];
    char whole[SHOWN_MAX + 400];
    chunk_name_short(lexer->name, name);
    if (near == NULL) {
        snprintf(whole, sizeof(whole), "%s:%d: %s", name, lexer->line, text);
    } else {
        snprintf(whole, sizeof(whole), "%s:%d: %s near '%s'", name, lexer->line, text, near);
    }
    lua_State *state = lexer->state;
    state->error = value_of_string(string_new(state, whole, strlen(whole)));
    error_throw(state, LUA_ERRSYNTAX);
}

/* Of the text from `word` to where the lexer is. */
static _Noreturn void error_at_word(struct lexer *lexer, const char *text)
{
    char near[SHOWN_MAX];
    size_t size = (size_t)(lexer->at - lexer->word);
    size = size < sizeof(near) - 1 ? size : sizeof(near) - 1;
    memcpy(near, lexer->word, size);
    near[size] = '\0';
    raise(lexer, text, near);
}

void lexer_error(struct lexer *lexer, const char *text)
{
    int kind = lexer->token.kind;
    char near[SHOWN_MAX];
    if (kind == '\0') {
        lexer_error_plain(lexer, text);
    } else if (kind == TOKEN_NAME || kind == TOKEN_STRING || kind == TOKEN_NUMBER) {
        size_t size = (size_t)(lexer->token.end - lexer->token.start);
        size = size < sizeof(near) - 1 ? size : sizeof(near) - 1;
        memcpy(near, lexer->token.start, size);
        near[size] = '\0';
    } else {
        token_show(kind, near);
    }
    raise(lexer, text, near);
}

void lexer_error_plain(struct lexer *lexer, const char *text)
{
    raise(lexer, text, NULL);
}

/* ---- Characters ---- */

static int peek(const struct lexer *lexer)
{
    return lexer->at < lexer->end ? (unsigned char)*lexer->at : END;
}

static bool take(struct lexer *lexer, char wanted)
{
    if (peek(lexer) != (unsigned char)wanted) {
        return false;
    }
    lexer->at++;
    return true;
}

/* Takes a line end: one or two different characters. */
static void take_line_end(struct lexer *lexer)
{
    char first = *lexer->at++;
    int second = peek(lexer);
    if ((second == '\n' || second == '\r') && second != first) {
        lexer->at++;
    }
    lexer->line++;
}

static void keep(struct lexer *lexer, int byte)
{
    lexer->bytes = memory_grow(lexer->state, lexer->bytes, lexer->byte_count, &lexer->byte_capacity,
                               1, ARENA_BYTES_MAX);
    lexer->bytes[lexer->byte_count++] = (char)byte;
}

static struct string *kept(struct lexer *lexer)
{
    return string_new(lexer->state, lexer->bytes, lexer->byte_count);
}

/* ---- Words ---- */

/* At '[' or ']': how many '=' follow up to another such; -1: none; -2 - n: a broken bracket. */
static int bracket_level(const struct lexer *lexer)
{
    const char *at = lexer->at + 1;
    while (at < lexer->end && *at == '=') {
        at++;
    }
    int count = (int)(at - lexer->at) - 1;
    if (at < lexer->end && *at == *lexer->at) {
        return count;
    }
    return count == 0 ? -1 : -2;
}

static void read_long(struct lexer *lexer, int level, bool is_comment)
{
    lexer->at += level + 2;
    lexer->byte_count = 0;
    if (peek(lexer) == '\n' || peek(lexer) == '\r') {
        take_line_end(lexer);
    }
    for (;;) {
        int c = peek(lexer);
        if (c == END) {
            raise(lexer, is_comment ? "unfinished long comment" : "unfinished long string",
                  "<eof>");
        }
        if (c == ']' && bracket_level(lexer) == level) {
            lexer->at += level + 2;
            return;
        }
        if (c == '\n' || c == '\r') {
            take_line_end(lexer);
            c = '\n';
        } else {
            lexer->at++;
        }
        if (!is_comment) {
            keep(lexer, c);
        }
    }
}

static void read_escape(struct lexer *lexer)
{
    static const char from[] = "abfnrtv";
    static const char to[] = "\a\b\f\n\r\t\v";
    int c = peek(lexer);
    if (c == END) {
        return; /* the string is not finished, which is found out next */
    }
    if (c == '\n' || c == '\r') {
        take_line_end(lexer);
        keep(lexer, '\n');
        return;
    }
    const char *found = c == '\0' ? NULL : strchr(from, c);
    if (found != NULL) {
        lexer->at++;
        keep(lexer, to[found - from]);
        return;
    }
    if (!isdigit(c)) {
        lexer->at++;
        keep(lexer, c);
        return;
    }
    int code = 0;
    for (int i = 0; i < 3 && isdigit(peek(lexer)); i++) {
        code = code * 10 + (*lexer->at++ - '0');
    }
    if (code > 255) {
        error_at_word(lexer, "escape sequence too large");
    }
    keep(lexer, code);
}

static void read_string(struct lexer *lexer)
{
    char quote = *lexer->at++;
    lexer->byte_count = 0;
    while (!take(lexer, quote)) {
        int c = peek(lexer);
        if (c == END) {
            raise(lexer, "unfinished string", "<eof>");
        }
        if (c == '\n' || c == '\r') {
            error_at_word(lexer, "unfinished string");
        }
        lexer->at++;
        if (c == '\\') {
            read_escape(lexer);
        } else {
            keep(lexer, c);
        }
    }
}

static double read_number(struct lexer *lexer)
{
    while (isdigit(peek(lexer)) || peek(lexer) == '.') {
        lexer->at++;
    }
    if (take(lexer, 'e') || take(lexer, 'E')) {
        (void)(take(lexer, '+') || take(lexer, '-'));
    }
    while (isalnum(peek(lexer)) || peek(lexer) == '_') {
        lexer->at++;
    }
    struct string *text = string_new(lexer->state, lexer->word, (size_t)(lexer->at - lexer->word));
    double number;
    if (!number_of_text(lexer->state, text->data, text->size, &number)) {
        error_at_word(lexer, "malformed number");
    }
    return number;
}

static int read_name(struct lexer *lexer, struct token *token)
{
    while (isalnum(peek(lexer)) || peek(lexer) == '_') {
        lexer->at++;
    }
    size_t size = (size_t)(lexer->at - lexer->word);
    for (int i = 0; i < RESERVED; i++) {
        if (strlen(names[i]) == size && memcmp(names[i], lexer->word, size) == 0) {
            return FIRST_KIND + i;
        }
    }
    token->text = string_new(lexer->state, lexer->word, size);
    return TOKEN_NAME;
}

static void skip_comment(struct lexer *lexer)
{
    lexer->at += 2;
    int level = peek(lexer) == '[' ? bracket_level(lexer) : -1;
    if (level >= 0) {
        read_long(lexer, level, true);
        return;
    }
    while (peek(lexer) != END && peek(lexer) != '\n' && peek(lexer) != '\r') {
        lexer->at++;
    }
}

static void skip_space(struct lexer *lexer)
{
    for (;;) {
        int c = peek(lexer);
        if (c == '\n' || c == '\r') {
            take_line_end(lexer);
        } else if (c == '-' && lexer->end - lexer->at > 1 && lexer->at[1] == '-') {
            lexer->word = lexer->at;
            skip_comment(lexer);
        } else if (c != END && isspace(c)) {
            lexer->at++;
        } else {
            return;
        }
    }
}

static int read_sign(struct lexer *lexer)
{
    int c = *lexer->at++;
    switch (c) {
    case '=':
        return take(lexer, '=') ? TOKEN_EQUAL : c;
    case '<':
        return take(lexer, '=') ? TOKEN_LESS_EQUAL : c;
    case '>':
        return take(lexer, '=') ? TOKEN_GREATER_EQUAL : c;
    case '~':
        return take(lexer, '=') ? TOKEN_NOT_EQUAL : c;
    case '.':
        if (take(lexer, '.')) {
            return take(lexer, '.') ? TOKEN_DOTS : TOKEN_CONCAT;
        }
        return c;
    default:
        return (unsigned char)c;
    }
}

static void read_token(struct lexer *lexer, struct token *token)
{
    skip_space(lexer);
    lexer->word = lexer->at;
    int c = peek(lexer);
    bool dot_number =
        c == '.' && lexer->end - lexer->at > 1 && isdigit((unsigned char)lexer->at[1]);
    if (c == END) {
        token->kind = TOKEN_END_OF_FILE;
    } else if (isdigit(c) || dot_number) {
        token->number = read_number(lexer);
        token->kind = TOKEN_NUMBER;
    } else if (isalpha(c) || c == '_') {
        token->kind = read_name(lexer, token);
    } else if (c == '"' || c == '\'') {
        read_string(lexer);
        token->text = kept(lexer);
        token->kind = TOKEN_STRING;
    } else if (c == '[' && bracket_level(lexer) >= 0) {
        read_long(lexer, bracket_level(lexer), false);
        token->text = kept(lexer);
        token->kind = TOKEN_STRING;
    } else if (c == '[' && bracket_level(lexer) == -2) {
        lexer->at++;
        while (peek(lexer) == '=') {
            lexer->at++;
        }
        error_at_word(lexer, "invalid long string delimiter");
    } else {
        token->kind = read_sign(lexer);
    }
    token->start = lexer->word;
    token->end = lexer->at;
}

void lexer_init(struct lexer *lexer, lua_State *state, const char *text, size_t size,
                const char *name)
{
    *lexer = (struct lexer){.state = state,
                            .at = text,
                            .end = text + size,
                            .name = name,
                            .word = text,
                            .line = 1,
                            .last_line = 1};
    lua_charge(state, size / BYTES_PER_UNIT);
}

void lexer_next(struct lexer *lexer)
{
    lexer->last_line = lexer->line;
    if (lexer->has_ahead) {
        lexer->token = lexer->ahead;
        lexer->has_ahead = false;
        return;
    }
    read_token(lexer, &lexer->token);
}

int lexer_peek(struct lexer *lexer)
{
    read_token(lexer, &lexer->ahead);
    lexer->has_ahead = true;
    return lexer->ahead.kind;
}
