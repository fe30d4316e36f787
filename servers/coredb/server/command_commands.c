/* COMMAND: what the table says of itself. */
#include "coredb/server/categories.h"
#include "coredb/server/client.h"
#include "coredb/server/surface.h"

#include "coredb/base/bytes.h"

#include <stdio.h>
#include <string.h>

enum { KEYS_SHOWN_MAX = 65536, NAME_MAX_BYTES = 80 };

struct named_flag {
    uint32_t flag;
    const char *name;
};

static const struct named_flag command_flag_names[] = {
    {COMMAND_WRITE, "write"},
    {COMMAND_READONLY, "readonly"},
    {COMMAND_DENYOOM, "denyoom"},
    {COMMAND_ADMIN, "admin"},
    {COMMAND_PUBSUB, "pubsub"},
    {COMMAND_NOSCRIPT, "noscript"},
    {COMMAND_BLOCKING, "blocking"},
    {COMMAND_LOADING, "loading"},
    {COMMAND_STALE, "stale"},
    {COMMAND_SKIP_MONITOR, "skip_monitor"},
    {COMMAND_FAST, "fast"},
    {COMMAND_NO_AUTH, "no_auth"},
    {COMMAND_NO_ASYNC_LOADING, "no_async_loading"},
    {COMMAND_NO_MULTI, "no_multi"},
    {COMMAND_MOVABLE_KEYS, "movablekeys"},
    {COMMAND_ALLOW_BUSY, "allow_busy"},
    {0, NULL},
};

static const struct named_flag key_flag_names[] = {
    {KEY_RO, "RO"},
    {KEY_RW, "RW"},
    {KEY_OW, "OW"},
    {KEY_RM, "RM"},
    {KEY_ACCESS, "access"},
    {KEY_UPDATE, "update"},
    {KEY_INSERT, "insert"},
    {KEY_DELETE, "delete"},
    {KEY_NOT_KEY, "not_key"},
    {KEY_INCOMPLETE, "incomplete"},
    {KEY_VARIABLE, "variable_flags"},
    {0, NULL},
};

static void put_flags(struct reply *reply, const struct named_flag *names, uint32_t flags)
{
    size_t mark = reply_later(reply);
    size_t count = 0;
    for (; names->name != NULL; names++) {
        if ((flags & names->flag) != 0) {
            reply_status(reply, names->name);
            count++;
        }
    }
    reply_set_end(reply, mark, count);
}

static void put_categories(struct reply *reply, uint32_t categories)
{
    size_t mark = reply_later(reply);
    size_t count = 0;
    for (size_t i = 0; categories_name(i) != NULL; i++) {
        char name[32];
        if ((categories & 1U << i) != 0) {
            snprintf(name, sizeof(name), "@%s", categories_name(i));
            reply_status(reply, name);
            count++;
        }
    }
    reply_set_end(reply, mark, count);
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    return size >= strlen(end) && strcmp(text + size - strlen(end), end) == 0;
}

/* The flags as Redis has them. What runs scripts is neither a read nor a write there, and decides at
 * run time; here the flags say which way it takes. */
static void put_command_flags(struct reply *reply, const struct command *container,
                              const struct command *command)
{
    uint32_t flags = command->flags;
    size_t mark = reply_later(reply);
    size_t count = 0;
    bool scripting = strcmp(command->group, "scripting") == 0;
    if (scripting && (container == NULL || strcmp(container->name, "script") == 0)) {
        flags &= ~(uint32_t)COMMAND_WRITE;
    }
    if (scripting && !ends_with(command->name, "_ro")) {
        flags &= ~(uint32_t)COMMAND_READONLY;
    }
    if (scripting && command->keys[0].find == KEYS_COUNTED) {
        reply_status(reply, "no_mandatory_keys");
        count++;
    }
    for (const struct named_flag *named = command_flag_names; named->name != NULL; named++) {
        if ((flags & named->flag) != 0) {
            reply_status(reply, named->name);
            count++;
        }
    }
    reply_set_end(reply, mark, count);
}

static void put_begin_search(struct reply *reply, const struct key_spec *spec)
{
    reply_bulk_text(reply, "begin_search");
    reply_map(reply, 2);
    reply_bulk_text(reply, "type");
    if (spec->find == KEYS_UNKNOWN) {
        reply_bulk_text(reply, "unknown");
        reply_bulk_text(reply, "spec");
        reply_map(reply, 0);
    } else if (spec->keyword != NULL) {
        reply_bulk_text(reply, "keyword");
        reply_bulk_text(reply, "spec");
        reply_map(reply, 2);
        reply_bulk_text(reply, "keyword");
        reply_bulk_text(reply, spec->keyword);
        reply_bulk_text(reply, "startfrom");
        reply_integer(reply, spec->begin);
    } else {
        reply_bulk_text(reply, "index");
        reply_bulk_text(reply, "spec");
        reply_map(reply, 1);
        reply_bulk_text(reply, "index");
        reply_integer(reply, spec->begin);
    }
}

static void put_number(struct reply *reply, const char *name, int value)
{
    reply_bulk_text(reply, name);
    reply_integer(reply, value);
}

static void put_find_keys(struct reply *reply, const struct key_spec *spec)
{
    reply_bulk_text(reply, "find_keys");
    reply_map(reply, 2);
    reply_bulk_text(reply, "type");
    if (spec->find == KEYS_COUNTED) {
        reply_bulk_text(reply, "keynum");
        reply_bulk_text(reply, "spec");
        reply_map(reply, 3);
        put_number(reply, "keynumidx", spec->last);
        put_number(reply, "firstkey", spec->first);
        put_number(reply, "keystep", spec->step);
    } else if (spec->find == KEYS_RANGE) {
        reply_bulk_text(reply, "range");
        reply_bulk_text(reply, "spec");
        reply_map(reply, 3);
        put_number(reply, "lastkey", spec->last);
        put_number(reply, "keystep", spec->step);
        put_number(reply, "limit", spec->limit);
    } else {
        reply_bulk_text(reply, "unknown");
        reply_bulk_text(reply, "spec");
        reply_map(reply, 0);
    }
}

static void put_key_specs(struct reply *reply, const struct command *command)
{
    size_t mark = reply_later(reply);
    size_t count = 0;
    for (; count < COMMAND_KEY_SPECS && command->keys[count].find != KEYS_NONE; count++) {
        const struct key_spec *spec = &command->keys[count];
        reply_map(reply, 3);
        reply_bulk_text(reply, "flags");
        put_flags(reply, key_flag_names, spec->flags);
        put_begin_search(reply, spec);
        put_find_keys(reply, spec);
    }
    reply_set_end(reply, mark, count);
}

static const char *full_name(const struct command *container, const struct command *command,
                             char out[NAME_MAX_BYTES])
{
    if (container == NULL) {
        return command->name;
    }
    snprintf(out, NAME_MAX_BYTES, "%s|%s", container->name, command->name);
    return out;
}

static void put_info(struct reply *reply, const struct command *container,
                     const struct command *command);

static void put_subcommands(struct reply *reply, const struct command *command)
{
    size_t mark = reply_later(reply);
    size_t count = 0;
    const struct command *sub = command->subcommands;
    for (; sub != NULL && sub->name != NULL; sub++) {
        put_info(reply, command, sub);
        count++;
    }
    reply_set_end(reply, mark, count);
}

static bool is_plain_range(const struct key_spec *spec)
{
    return spec->find == KEYS_RANGE && spec->keyword == NULL && spec->limit < 2;
}

/* The last key's position; negative: from the end. */
static int end_of_range(const struct key_spec *spec)
{
    return spec->last >= 0 ? spec->begin + spec->last : spec->last;
}

/* One element of COMMAND INFO. A subcommand has none of its own, so this ends. */
static void put_info(struct reply *reply, const struct command *container,
                     const struct command *command)
{
    char name[NAME_MAX_BYTES];
    const struct key_spec *first = &command->keys[0];
    bool simple = is_plain_range(first);
    int last = simple ? end_of_range(first) : 0;
    /* Ranges that go on where the one before ends make one for who knows nothing of specifications. */
    for (size_t i = 1; simple && i < COMMAND_KEY_SPECS && is_plain_range(&command->keys[i]) &&
                       last >= 0 && command->keys[i].begin == last + 1;
         i++) {
        last = end_of_range(&command->keys[i]);
    }
    reply_array(reply, 10);
    reply_bulk_text(reply, full_name(container, command, name));
    reply_integer(reply, command->arity);
    put_command_flags(reply, container, command);
    reply_integer(reply, simple ? first->begin : 0);
    reply_integer(reply, simple ? last : 0);
    reply_integer(reply, simple ? first->step : 0);
    put_categories(reply, categories_of(container, command));
    reply_set(reply, 0); /* tips */
    put_key_specs(reply, command);
    put_subcommands(reply, command);
}

static void put_docs(struct reply *reply, const struct command *container,
                     const struct command *command)
{
    char name[NAME_MAX_BYTES];
    reply_bulk_text(reply, full_name(container, command, name));
    bool has_subcommands = command->subcommands != NULL;
    reply_map(reply, 3 + (command->complexity != NULL) + has_subcommands);
    reply_bulk_text(reply, "summary");
    reply_bulk_text(reply, command->summary);
    reply_bulk_text(reply, "since");
    reply_bulk_text(reply, command->since);
    reply_bulk_text(reply, "group");
    reply_bulk_text(reply, command->group);
    if (command->complexity != NULL) {
        reply_bulk_text(reply, "complexity");
        reply_bulk_text(reply, command->complexity);
    }
    if (has_subcommands) {
        reply_bulk_text(reply, "subcommands");
        size_t mark = reply_later(reply);
        size_t count = 0;
        for (const struct command *sub = command->subcommands; sub->name != NULL; sub++) {
            put_docs(reply, command, sub);
            count++;
        }
        reply_map_end(reply, mark, count);
    }
}

/* A command by its name, or a subcommand by "container|name". */
static const struct command *find_named(rr_bytes name, const struct command **container)
{
    *container = NULL;
    const char *bar = name.size == 0 ? NULL : memchr(name.data, '|', name.size);
    if (bar == NULL) {
        return command_find(name);
    }
    size_t size = (size_t)(bar - (const char *)name.data);
    *container = command_find((rr_bytes){name.data, size});
    rr_bytes word = {bar + 1, name.size - size - 1};
    const struct command *sub = *container == NULL ? NULL : (*container)->subcommands;
    for (; sub != NULL && sub->name != NULL; sub++) {
        if (bytes_is(word, sub->name)) {
            return sub;
        }
    }
    return NULL;
}

static void command_all(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    size_t position = 0;
    const struct command *command;
    reply_array(&client->reply, command_count());
    while ((command = command_next(&position)) != NULL) {
        put_info(&client->reply, NULL, command);
    }
}

static void command_info(struct client *client, const rr_bytes *argv, size_t argc)
{
    if (argc == 2) {
        command_all(client, argv, argc);
        return;
    }
    reply_array(&client->reply, argc - 2);
    for (size_t i = 2; i < argc && !client->reply.out.failed; i++) {
        const struct command *container;
        const struct command *command = find_named(argv[i], &container);
        if (command == NULL) {
            reply_null(&client->reply);
        } else {
            put_info(&client->reply, container, command);
        }
    }
}

static void command_docs(struct client *client, const rr_bytes *argv, size_t argc)
{
    struct reply *reply = &client->reply;
    size_t mark = reply_later(reply);
    size_t count = 0;
    if (argc == 2) {
        size_t position = 0;
        const struct command *command;
        while ((command = command_next(&position)) != NULL) {
            put_docs(reply, NULL, command);
            count++;
        }
    }
    for (size_t i = 2; i < argc && !client->reply.out.failed; i++) {
        const struct command *container;
        const struct command *command = find_named(argv[i], &container);
        if (command != NULL) {
            put_docs(reply, container, command);
            count++;
        }
    }
    reply_map_end(reply, mark, count);
}

static void command_count_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_integer(&client->reply, (int64_t)command_count());
}

/* What COMMAND LIST shows. */
struct list_filter {
    bool by_pattern;
    bool by_category;
    rr_bytes pattern;
    uint32_t category;
};

static bool is_listed(const struct list_filter *filter, const struct command *container,
                      const struct command *command, const char *name)
{
    if (filter->by_category) {
        return (categories_of(container, command) & filter->category) != 0;
    }
    return !filter->by_pattern || bytes_match(filter->pattern, bytes_of(name), true);
}

static size_t put_names(struct reply *reply, const struct list_filter *filter,
                        const struct command *command)
{
    char name[NAME_MAX_BYTES];
    size_t count = 0;
    if (is_listed(filter, NULL, command, command->name)) {
        reply_bulk_text(reply, command->name);
        count++;
    }
    const struct command *sub = command->subcommands;
    for (; sub != NULL && sub->name != NULL; sub++) {
        if (is_listed(filter, command, sub, full_name(command, sub, name))) {
            reply_bulk_text(reply, name);
            count++;
        }
    }
    return count;
}

/* COMMAND LIST FILTERBY MODULE|ACLCAT|PATTERN: the names to show. */
static void command_list(struct client *client, const rr_bytes *argv, size_t argc)
{
    struct reply *reply = &client->reply;
    struct list_filter filter = {0};
    bool filtered = argc == 5 && bytes_is(argv[2], "filterby");
    if (filtered) {
        filter.pattern = argv[4];
        filter.by_pattern = bytes_is(argv[3], "pattern");
        filter.by_category = !filter.by_pattern;
        /* There are no modules: their commands are none, as those of an unknown category. */
        filter.category = bytes_is(argv[3], "aclcat") ? categories_find(argv[4]) : 0;
    }
    if (argc != 2 && !(filtered && (filter.by_pattern || bytes_is(argv[3], "aclcat") ||
                                    bytes_is(argv[3], "module")))) {
        reply_error_syntax(reply);
        return;
    }
    size_t mark = reply_later(reply);
    size_t count = 0;
    size_t position = 0;
    const struct command *command;
    while ((command = command_next(&position)) != NULL) {
        count += put_names(reply, &filter, command);
    }
    reply_array_end(reply, mark, count);
}

/* ---- The keys of a request ---- */

/* SORT: the last STORE names a key, which no specification can tell. Returns how many keys there
 * are now. */
static int add_sort_store(const rr_bytes *argv, size_t argc, size_t *positions, uint32_t *flags)
{
    int count = 1;
    for (size_t i = 2; i + 1 < argc; i++) {
        if (bytes_is(argv[i], "limit")) {
            i += 2;
        } else if (bytes_is(argv[i], "get") || bytes_is(argv[i], "by")) {
            i++;
        } else if (bytes_is(argv[i], "store")) {
            positions[1] = ++i;
            flags[1] = KEY_OW | KEY_UPDATE;
            count = 2;
        }
    }
    return count;
}

/* Whether the keys of a specification would begin after the last argument, as of PFMERGE without a
 * source: then Redis tells none at all. */
static bool begins_too_late(const struct command *command, size_t argc)
{
    for (size_t i = 0; i < COMMAND_KEY_SPECS; i++) {
        const struct key_spec *spec = &command->keys[i];
        if (spec->find == KEYS_RANGE && spec->keyword == NULL && (size_t)spec->begin >= argc) {
            return true;
        }
    }
    return false;
}

/* As command_keys, with what only the arguments tell. */
static int find_keys(const struct command *command, const rr_bytes *argv, size_t argc,
                     size_t *positions, uint32_t *flags)
{
    int count = begins_too_late(command, argc)
                    ? -1
                    : command_keys(command, argv, argc, positions, flags, KEYS_SHOWN_MAX);
    if (count == 1 && strcmp(command->name, "sort") == 0) {
        count = add_sort_store(argv, argc, positions, flags);
    }
    bool may_have_none = strcmp(command->group, "scripting") == 0;
    return count < 0 && may_have_none ? 0 : count;
}

static void put_keys(struct client *client, const rr_bytes *argv, size_t argc, bool with_flags)
{
    static size_t positions[KEYS_SHOWN_MAX];
    static uint32_t flags[KEYS_SHOWN_MAX];
    struct reply *reply = &client->reply;
    const struct command *command = command_resolve(argv + 2, argc - 2, NULL);
    if (command == NULL) {
        reply_error(reply, "ERR Invalid command specified");
        return;
    }
    if (command->keys[0].find == KEYS_NONE || (command->keys[0].flags & KEY_NOT_KEY) != 0) {
        reply_error(reply, "ERR The command has no key arguments");
        return;
    }
    if (!command_arity_fits(command, argc - 2)) {
        reply_error(reply, "ERR Invalid number of arguments specified for command");
        return;
    }
    int count = find_keys(command, argv + 2, argc - 2, positions, flags);
    bool may_have_none = strcmp(command->group, "scripting") == 0;
    if (count < 0 || count > KEYS_SHOWN_MAX || (count == 0 && !may_have_none)) {
        reply_error(reply, "ERR Invalid arguments specified for command");
        return;
    }
    reply_array(reply, (size_t)count);
    for (int i = 0; i < count; i++) {
        if (with_flags) {
            reply_array(reply, 2);
        }
        reply_bulk(reply, argv[2 + positions[i]]);
        if (with_flags) {
            put_flags(reply, key_flag_names, flags[i]);
        }
    }
}

static void command_getkeys(struct client *client, const rr_bytes *argv, size_t argc)
{
    put_keys(client, argv, argc, false);
}

static void command_getkeysandflags(struct client *client, const rr_bytes *argv, size_t argc)
{
    put_keys(client, argv, argc, true);
}

static void command_help(struct client *client, const rr_bytes *argv, size_t argc)
{
    static const char *const lines[] = {
        "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "(no subcommand)",
        "    Tell about all commands.",
        "COUNT",
        "    Tell how many commands there are.",
        "DOCS [<command-name> ...]",
        "    Tell what commands do.",
        "GETKEYS <full-command>",
        "    Show which arguments are keys.",
        "GETKEYSANDFLAGS <full-command>",
        "    Show which arguments are keys, and how they are used.",
        "INFO [<command-name> ...]",
        "    Tell about these commands, or all.",
        "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
        "    Show the names of commands.",
        "HELP",
        "    Print this help.",
    };
    (void)argv;
    (void)argc;
    reply_lines(&client->reply, lines, sizeof(lines) / sizeof(*lines));
}

#define SUB(name_, arity_, since_, summary_, fn_)                                                  \
    {                                                                                              \
        .name = (name_), .arity = (arity_), .flags = COMMAND_LOADING | COMMAND_STALE,              \
        .group = "server", .since = (since_), .summary = (summary_), .local = (fn_)                \
    }

static const struct command subcommands[] = {
    SUB("count", 2, "2.8.13", "Tells how many commands there are.", command_count_local),
    SUB("docs", -2, "7.0.0", "Tells what commands do.", command_docs),
    SUB("getkeys", -4, "2.8.13", "Shows the keys of a request.", command_getkeys),
    SUB("getkeysandflags", -4, "7.0.0", "Shows the keys of a request and their use.",
        command_getkeysandflags),
    SUB("help", 2, "5.0.0", "Shows what COMMAND can do.", command_help),
    SUB("info", -2, "2.8.13", "Tells about commands.", command_info),
    SUB("list", -2, "7.0.0", "Shows the names of commands.", command_list),
    {.name = NULL},
};

const struct command commands_command[] = {
    {.name = "command",
     .arity = -1,
     .flags = COMMAND_LOADING | COMMAND_STALE,
     .group = "server",
     .since = "2.8.13",
     .summary = "Tells about all commands.",
     .complexity = "O(N) where N is the number of commands",
     .local = command_all,
     .subcommands = subcommands,
     .note = "arguments are not described by COMMAND DOCS; tips are empty"},
    {.name = NULL},
};
