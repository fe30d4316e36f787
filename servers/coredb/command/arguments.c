/* What commands share in reading their arguments. */
#include "coredb/command/command.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool exec_open(struct exec *exec, size_t i, enum value_type type, struct key *key)
{
    key_open(exec->store, exec->argv[i], key);
    if (key->type != VALUE_NONE && key->type != type) {
        reply_error_wrong_type(exec->reply);
        return false;
    }
    return true;
}

bool exec_integer(struct exec *exec, size_t i, int64_t *out)
{
    if (!number_parse_i64(exec->argv[i], out)) {
        reply_error_not_integer(exec->reply);
        return false;
    }
    return true;
}

bool exec_double(struct exec *exec, size_t i, double *out)
{
    if (!number_parse_double(exec->argv[i], out)) {
        reply_error_not_float(exec->reply);
        return false;
    }
    return true;
}

bool exec_integer_in(struct exec *exec, size_t i, int64_t minimum, int64_t maximum,
                     const char *text, int64_t *out)
{
    int64_t value;
    if (!number_parse_i64(exec->argv[i], &value) || value < minimum || value > maximum) {
        reply_error(exec->reply, "%s", text);
        return false;
    }
    *out = value;
    return true;
}

bool exec_is(const struct exec *exec, size_t i, const char *word)
{
    return i < exec->argc && bytes_is(exec->argv[i], word);
}

bool exec_cursor(struct exec *exec, size_t i, uint64_t *cursor)
{
    char text[64];
    rr_bytes bytes = exec->argv[i];
    if (bytes.size < sizeof(text)) {
        memcpy(text, bytes.data, bytes.size);
        text[bytes.size] = '\0';
        char *end;
        errno = 0;
        unsigned long long value = strtoull(text, &end, 10);
        char c = text[0];
        if (end == text + bytes.size && errno == 0 && !(c == ' ' || (c >= '\t' && c <= '\r'))) {
            *cursor = value;
            return true;
        }
    }
    reply_error(exec->reply, "ERR invalid cursor");
    return false;
}

bool exec_scan_options(struct exec *exec, size_t i, bool with_type, struct scan_options *out)
{
    *out = (struct scan_options){.count = 10};
    for (; i < exec->argc; i += 2) {
        if (i + 1 < exec->argc && exec_is(exec, i, "count")) {
            int64_t count;
            if (!exec_integer(exec, i + 1, &count)) {
                return false;
            }
            if (count < 1) {
                reply_error_syntax(exec->reply);
                return false;
            }
            out->count = (uint64_t)count;
        } else if (i + 1 < exec->argc && exec_is(exec, i, "match")) {
            out->pattern = exec->argv[i + 1];
            out->has_pattern = !bytes_equal(out->pattern, bytes_of("*"));
        } else if (i + 1 < exec->argc && with_type && exec_is(exec, i, "type")) {
            out->type = exec->argv[i + 1];
        } else {
            reply_error_syntax(exec->reply);
            return false;
        }
    }
    return true;
}

enum { QUOTED_BYTES_MAX = 128 };

/* As much of `bytes` as an error quotes. */
static int quoted_size(rr_bytes bytes)
{
    size_t size = bytes.size == 0 ? 0 : strnlen(bytes.data, bytes.size);
    return (int)(size > QUOTED_BYTES_MAX ? QUOTED_BYTES_MAX : size);
}

void exec_error_unknown(struct reply *reply, const rr_bytes *argv, size_t argc,
                        const struct command *container)
{
    if (container != NULL && argc > 1) {
        char name[64];
        size_t size = strnlen(container->name, sizeof(name) - 1);
        for (size_t i = 0; i < size; i++) {
            name[i] = (char)toupper((unsigned char)container->name[i]);
        }
        name[size] = '\0';
        reply_error(reply, "ERR unknown subcommand '%.*s'. Try %s HELP.", quoted_size(argv[1]),
                    (const char *)argv[1].data, name);
        return;
    }
    char arguments[QUOTED_BYTES_MAX + 8];
    size_t used = 0;
    for (size_t i = 1; i < argc && used < QUOTED_BYTES_MAX; i++) {
        int left = (int)(QUOTED_BYTES_MAX - used);
        int size = quoted_size(argv[i]);
        int printed = snprintf(arguments + used, sizeof(arguments) - used, "'%.*s' ",
                               size > left ? left : size, (const char *)argv[i].data);
        used += printed > 0 ? (size_t)printed : 0;
    }
    arguments[used < sizeof(arguments) ? used : sizeof(arguments) - 1] = '\0';
    reply_error(reply, "ERR unknown command '%.*s', with args beginning with: %s",
                quoted_size(argv[0]), (const char *)argv[0].data, used == 0 ? "" : arguments);
}

void exec_error_arity(struct reply *reply, const struct command *command,
                      const struct command *container)
{
    if (container == NULL || container == command) {
        reply_error(reply, "ERR wrong number of arguments for '%s' command", command->name);
    } else {
        reply_error(reply, "ERR wrong number of arguments for '%s|%s' command", container->name,
                    command->name);
    }
}
