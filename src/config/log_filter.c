/* Log filters: "info", "info,raft=debug,storage=warn". Without state: a filter is its text. */
#include "rockraft/config.h"

#include <string.h>
#include <strings.h>

/* One directive of a filter. */
struct directive {
    const char *target; /* NULL: everything */
    size_t target_size;
    rr_log_level level;
};

static bool parse_level(const char *text, size_t size, rr_log_level *level)
{
    static const char *const names[] = {"trace", "debug", "info", "warn", "error", "off"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) == size && strncasecmp(names[i], text, size) == 0) {
            *level = (rr_log_level)i;
            return true;
        }
    }
    return false;
}

static bool is_target(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && strchr("_-:.", c) == NULL) {
            return false;
        }
    }
    return size > 0;
}

static bool parse_directive(const char *text, size_t size, struct directive *out)
{
    while (size > 0 && text[0] == ' ') {
        text++;
        size--;
    }
    while (size > 0 && text[size - 1] == ' ') {
        size--;
    }
    *out = (struct directive){0};
    const char *equals = memchr(text, '=', size);
    if (equals == NULL) {
        return parse_level(text, size, &out->level);
    }
    out->target = text;
    out->target_size = (size_t)(equals - text);
    return is_target(text, out->target_size) &&
           parse_level(equals + 1, size - out->target_size - 1, &out->level);
}

/* Takes the first directive off `rest`, which is then NULL at the end. */
static bool next_directive(const char **rest, struct directive *out)
{
    const char *comma = strchr(*rest, ',');
    size_t size = comma != NULL ? (size_t)(comma - *rest) : strlen(*rest);
    bool parsed = parse_directive(*rest, size, out);
    *rest = comma != NULL ? comma + 1 : NULL;
    return parsed;
}

rr_status rr_log_filter_check(const char *filter)
{
    for (const char *rest = filter; rest != NULL;) {
        struct directive directive;
        if (!next_directive(&rest, &directive)) {
            return RR_INVALID;
        }
    }
    return RR_OK;
}

/* How closely `directive` names `target`: 0 not at all, 1 by naming everything, 2 itself. */
static int closeness(const struct directive *directive, const char *target)
{
    if (directive->target == NULL || (directive->target_size == strlen("rockraft") &&
                                      memcmp(directive->target, "rockraft", 8) == 0)) {
        return 1;
    }
    bool same = strlen(target) == directive->target_size &&
                memcmp(target, directive->target, directive->target_size) == 0;
    return same ? 2 : 0;
}

rr_log_level rr_log_filter_level(const char *filter, const char *target)
{
    rr_log_level level = RR_LOG_ERROR;
    int best = 0;
    for (const char *rest = filter; rest != NULL;) {
        struct directive directive;
        if (!next_directive(&rest, &directive)) {
            continue;
        }
        if (target == NULL) {
            if (directive.level < level) {
                level = directive.level;
            }
            continue;
        }
        int close = closeness(&directive, target);
        if (close > 0 && close >= best) {
            best = close;
            level = directive.level;
        }
    }
    return level;
}
