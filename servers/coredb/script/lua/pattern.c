/* Patterns of Lua: a matcher that goes back where it must, each step paid for. */
#include "coredb/script/lua/library.h"

#include <ctype.h>
#include <string.h>

enum { DEPTH_MAX = 200, UNITS_PER_RESTART = 4 };

static const char *match(struct matcher *matcher, const char *at, const char *pattern);

/* ---- One character ---- */

static bool in_class(unsigned char c, char class)
{
    bool found;
    switch (tolower((unsigned char)class)) {
    case 'a':
        found = isalpha(c);
        break;
    case 'c':
        found = iscntrl(c);
        break;
    case 'd':
        found = isdigit(c);
        break;
    case 'l':
        found = islower(c);
        break;
    case 'p':
        found = ispunct(c);
        break;
    case 's':
        found = isspace(c);
        break;
    case 'u':
        found = isupper(c);
        break;
    case 'w':
        found = isalnum(c);
        break;
    case 'x':
        found = isxdigit(c);
        break;
    case 'z':
        found = c == 0;
        break;
    default:
        return class == (char)c;
    }
    return found != (isupper((unsigned char)class) != 0);
}

/* The end of the single character or set that begins at `pattern`. */
static const char *item_end(struct matcher *matcher, const char *pattern)
{
    const char *end = matcher->pattern_end;
    if (*pattern == '%') {
        if (pattern + 1 == end) {
            luaL_error(matcher->state, "malformed pattern (ends with '%%')");
        }
        return pattern + 2;
    }
    if (*pattern != '[') {
        return pattern + 1;
    }
    pattern++;
    pattern += pattern < end && *pattern == '^';
    do { /* a bracket in the first place stands for itself */
        if (pattern >= end) {
            luaL_error(matcher->state, "malformed pattern (missing ']')");
        }
        if (*pattern++ == '%' && pattern < end) {
            pattern++;
        }
    } while (pattern >= end || *pattern != ']');
    return pattern + 1;
}

/* Whether the set from '[' to `last`, its ']', has the character. */
static bool in_set(struct matcher *matcher, unsigned char c, const char *set, const char *last)
{
    bool wanted = true;
    lua_charge(matcher->state, (uint64_t)(last - set) / 4);
    set++;
    if (*set == '^') {
        wanted = false;
        set++;
    }
    for (; set < last; set++) {
        if (*set == '%') {
            set++;
            if (in_class(c, *set)) {
                return wanted;
            }
        } else if (set[1] == '-' && set + 2 < last) {
            if ((unsigned char)set[0] <= c && c <= (unsigned char)set[2]) {
                return wanted;
            }
            set += 2;
        } else if ((unsigned char)*set == c) {
            return wanted;
        }
    }
    return !wanted;
}

static bool fits(struct matcher *matcher, const char *at, const char *pattern, const char *end)
{
    lua_charge(matcher->state, 1);
    if (at >= matcher->text_end) {
        return false;
    }
    unsigned char c = (unsigned char)*at;
    switch (*pattern) {
    case '.':
        return true;
    case '%':
        return in_class(c, pattern[1]);
    case '[':
        return in_set(matcher, c, pattern, end - 1);
    default:
        return (unsigned char)*pattern == c;
    }
}

/* ---- Repetition ---- */

static const char *match_most(struct matcher *matcher, const char *at, const char *pattern,
                              const char *end)
{
    ptrdiff_t count = 0;
    while (fits(matcher, at + count, pattern, end)) {
        count++;
    }
    for (; count >= 0; count--) {
        const char *found = match(matcher, at + count, end + 1);
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

static const char *match_least(struct matcher *matcher, const char *at, const char *pattern,
                               const char *end)
{
    for (;; at++) {
        const char *found = match(matcher, at, end + 1);
        if (found != NULL) {
            return found;
        }
        if (!fits(matcher, at, pattern, end)) {
            return NULL;
        }
    }
}

/* ---- Captures ---- */

static const char *open_capture(struct matcher *matcher, const char *at, const char *pattern,
                                ptrdiff_t kind)
{
    if (matcher->level >= CAPTURES_MAX) {
        luaL_error(matcher->state, "too many captures");
    }
    matcher->captures[matcher->level++] = (struct capture_span){at, kind};
    const char *found = match(matcher, at, pattern);
    if (found == NULL) {
        matcher->level--;
    }
    return found;
}

static const char *close_capture(struct matcher *matcher, const char *at, const char *pattern)
{
    int number = matcher->level - 1;
    while (number >= 0 && matcher->captures[number].size != CAPTURE_UNFINISHED) {
        number--;
    }
    if (number < 0) {
        luaL_error(matcher->state, "invalid pattern capture");
    }
    struct capture_span *capture = &matcher->captures[number];
    capture->size = at - capture->start;
    const char *found = match(matcher, at, pattern);
    if (found == NULL) {
        capture->size = CAPTURE_UNFINISHED;
    }
    return found;
}

/* What was captured, again; the end of it, or NULL. */
static const char *match_again(struct matcher *matcher, const char *at, char digit)
{
    int number = digit - '1';
    if (number < 0 || number >= matcher->level ||
        matcher->captures[number].size == CAPTURE_UNFINISHED) {
        luaL_error(matcher->state, "invalid capture index");
    }
    const struct capture_span *capture = &matcher->captures[number];
    if (capture->size < 0 || matcher->text_end - at < capture->size) {
        return NULL;
    }
    size_t size = (size_t)capture->size;
    lua_charge(matcher->state, size / 64);
    return memcmp(capture->start, at, size) == 0 ? at + size : NULL;
}

/* %bxy: from an x to the y that closes it. */
static const char *match_balance(struct matcher *matcher, const char *at, const char *pattern)
{
    if (matcher->pattern_end - pattern < 2) {
        luaL_error(matcher->state, "unbalanced pattern");
    }
    if (at >= matcher->text_end || *at != pattern[0]) {
        return NULL;
    }
    int64_t open = 1;
    for (at++; at < matcher->text_end; at++) {
        lua_charge(matcher->state, 1);
        if (*at == pattern[1]) {
            if (--open == 0) {
                return at + 1;
            }
        } else if (*at == pattern[0]) {
            open++;
        }
    }
    return NULL;
}

/* %f[set]: the place where the set begins to hold. */
static bool at_frontier(struct matcher *matcher, const char *at, const char *set, const char *end)
{
    unsigned char before = at == matcher->text ? 0 : (unsigned char)at[-1];
    unsigned char after = at == matcher->text_end ? 0 : (unsigned char)*at;
    return !in_set(matcher, before, set, end - 1) && in_set(matcher, after, set, end - 1);
}

/* ---- All together ---- */

/* A character or set with what follows it. `*next` NULL: done with the result, else the pattern
 * goes on there at `*at`. */
static const char *match_item(struct matcher *matcher, const char **at, const char *pattern,
                              const char **next)
{
    const char *end = item_end(matcher, pattern);
    char suffix = end < matcher->pattern_end ? *end : '\0';
    *next = NULL;
    switch (suffix) {
    case '?':
        if (fits(matcher, *at, pattern, end)) {
            const char *found = match(matcher, *at + 1, end + 1);
            if (found != NULL) {
                return found;
            }
        }
        *next = end + 1;
        return NULL;
    case '*':
        return match_most(matcher, *at, pattern, end);
    case '+':
        return fits(matcher, *at, pattern, end) ? match_most(matcher, *at + 1, pattern, end) : NULL;
    case '-':
        return match_least(matcher, *at, pattern, end);
    default:
        if (fits(matcher, *at, pattern, end)) {
            (*at)++;
            *next = end;
        }
        return NULL;
    }
}

/* What begins with '%' and is no character. Same answer as match_item; false: it is one. */
static bool match_special(struct matcher *matcher, const char **at, const char *pattern,
                          const char **next)
{
    char kind = pattern + 1 < matcher->pattern_end ? pattern[1] : '\0';
    const char *found = NULL;
    *next = NULL;
    if (kind == 'b') {
        found = match_balance(matcher, *at, pattern + 2);
        *next = found == NULL ? NULL : pattern + 4;
    } else if (kind == 'f') {
        const char *set = pattern + 2;
        if (set >= matcher->pattern_end || *set != '[') {
            luaL_error(matcher->state, "missing '[' after '%%f' in pattern");
        }
        const char *end = item_end(matcher, set);
        found = at_frontier(matcher, *at, set, end) ? *at : NULL;
        *next = found == NULL ? NULL : end;
    } else if (isdigit((unsigned char)kind)) {
        found = match_again(matcher, *at, kind);
        *next = found == NULL ? NULL : pattern + 2;
    } else {
        return false;
    }
    *at = found == NULL ? *at : found;
    return true;
}

static const char *match_rest(struct matcher *matcher, const char *at, const char *pattern)
{
    const char *end = matcher->pattern_end;
    for (;;) {
        lua_charge(matcher->state, 1);
        if (pattern >= end) {
            return at;
        }
        if (*pattern == '(') {
            bool is_position = pattern + 1 < end && pattern[1] == ')';
            return open_capture(matcher, at, pattern + (is_position ? 2 : 1),
                                is_position ? CAPTURE_POSITION : CAPTURE_UNFINISHED);
        }
        if (*pattern == ')') {
            return close_capture(matcher, at, pattern + 1);
        }
        if (*pattern == '$' && pattern + 1 == end) {
            return at == matcher->text_end ? at : NULL;
        }
        const char *next;
        if (*pattern == '%' && match_special(matcher, &at, pattern, &next)) {
            if (next == NULL) {
                return NULL;
            }
            pattern = next;
            continue;
        }
        const char *found = match_item(matcher, &at, pattern, &next);
        if (next == NULL) {
            return found;
        }
        pattern = next;
    }
}

static const char *match(struct matcher *matcher, const char *at, const char *pattern)
{
    if (matcher->depth >= DEPTH_MAX) {
        luaL_error(matcher->state, "pattern too complex");
    }
    matcher->depth++;
    const char *found = match_rest(matcher, at, pattern);
    matcher->depth--;
    return found;
}

const char *pattern_match(struct matcher *matcher, const char *at)
{
    lua_charge(matcher->state, UNITS_PER_RESTART);
    matcher->level = 0;
    matcher->depth = 0;
    return match(matcher, at, matcher->pattern);
}
