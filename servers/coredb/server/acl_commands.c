/* ACL: there is one user, "default", who may do everything and has requirepass for a password. */
#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/server/categories.h"
#include "coredb/server/client.h"
#include "coredb/server/server.h"
#include "coredb/server/surface.h"

#include <stdio.h>
#include <sys/random.h>

enum { PASSWORD_BITS_MAX = 4096, PASSWORD_BITS = 256 };

static bool has_password(const struct client *client)
{
    return settings_text(client->server->settings, SETTING_REQUIREPASS)[0] != '\0';
}

/* ---- What there is ---- */

static void acl_whoami(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_bulk_text(&client->reply, "default");
}

static void acl_users(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_array(&client->reply, 1);
    reply_bulk_text(&client->reply, "default");
}

static void acl_list(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_array(&client->reply, 1);
    reply_bulk_text(&client->reply, has_password(client) ? "user default on ~* &* +@all"
                                                         : "user default on nopass ~* &* +@all");
}

static void acl_getuser(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    struct reply *reply = &client->reply;
    if (!bytes_equal(argv[2], bytes_of("default"))) {
        reply_null(reply);
        return;
    }
    bool password = has_password(client);
    reply_map(reply, 6);
    reply_bulk_text(reply, "flags");
    reply_set(reply, password ? 1 : 2);
    reply_bulk_text(reply, "on");
    if (!password) {
        reply_bulk_text(reply, "nopass");
    }
    reply_bulk_text(reply, "passwords");
    reply_array(reply, 0);
    reply_bulk_text(reply, "commands");
    reply_bulk_text(reply, "+@all");
    reply_bulk_text(reply, "keys");
    reply_bulk_text(reply, "~*");
    reply_bulk_text(reply, "channels");
    reply_bulk_text(reply, "&*");
    reply_bulk_text(reply, "selectors");
    reply_array(reply, 0);
}

/* ---- Categories ---- */

static size_t put_members(struct reply *reply, uint32_t category, const struct command *command)
{
    size_t count = 0;
    if ((categories_of(NULL, command) & category) != 0) {
        reply_bulk_text(reply, command->name);
        count++;
    }
    const struct command *sub = command->subcommands;
    for (; sub != NULL && sub->name != NULL; sub++) {
        char name[80];
        if ((categories_of(command, sub) & category) != 0) {
            snprintf(name, sizeof(name), "%s|%s", command->name, sub->name);
            reply_bulk_text(reply, name);
            count++;
        }
    }
    return count;
}

static void acl_cat(struct client *client, const rr_bytes *argv, size_t argc)
{
    struct reply *reply = &client->reply;
    uint32_t category = argc == 3 ? categories_find(argv[2]) : 0;
    if (argc > 3) {
        surface_refuse_arguments(client, argv, "ACL");
        return;
    }
    if (argc == 3 && category == 0) {
        reply_error(reply, "ERR Unknown category '%.*s'",
                    (int)(argv[2].size < 128 ? argv[2].size : 128), (const char *)argv[2].data);
        return;
    }
    size_t mark = reply_later(reply);
    size_t count = 0;
    if (argc == 2) {
        for (; categories_name(count) != NULL; count++) {
            reply_bulk_text(reply, categories_name(count));
        }
    } else {
        size_t position = 0;
        const struct command *command;
        while ((command = command_next(&position)) != NULL) {
            count += put_members(reply, category, command);
        }
    }
    reply_array_end(reply, mark, count);
}

/* ---- Passwords ---- */

static void acl_genpass(struct client *client, const rr_bytes *argv, size_t argc)
{
    static const char digits[] = "0123456789abcdef";
    int64_t bits = PASSWORD_BITS;
    unsigned char bytes[PASSWORD_BITS_MAX / 8];
    char text[PASSWORD_BITS_MAX / 4];
    if (argc == 3 && !number_parse_i64(argv[2], &bits)) {
        reply_error_not_integer(&client->reply);
        return;
    }
    if (bits <= 0 || bits > PASSWORD_BITS_MAX) {
        reply_error(&client->reply,
                    "ERR ACL GENPASS argument must be the number of bits for the output password, "
                    "a positive number up to %d",
                    PASSWORD_BITS_MAX);
        return;
    }
    if (argc > 3) {
        surface_refuse_arguments(client, argv, "ACL");
        return;
    }
    size_t size = (size_t)(bits + 3) / 4;
    /* More than 256 bytes may come in pieces. */
    for (size_t have = 0; have < sizeof(bytes);) {
        ssize_t got = getrandom(bytes + have, sizeof(bytes) - have, 0);
        have += got > 0 ? (size_t)got : 0;
    }
    for (size_t i = 0; i < size; i++) {
        text[i] = digits[(i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2]) & 15];
    }
    reply_bulk(&client->reply, (rr_bytes){text, size});
}

/* Nobody is denied anything, so the log is empty. */
static void acl_log(struct client *client, const rr_bytes *argv, size_t argc)
{
    int64_t count = 0;
    if (argc > 3) {
        surface_refuse_arguments(client, argv, "ACL");
    } else if (argc == 3 && bytes_is(argv[2], "reset")) {
        reply_ok(&client->reply);
    } else if (argc == 3 && !number_parse_i64(argv[2], &count)) {
        reply_error_not_integer(&client->reply);
    } else {
        reply_array(&client->reply, 0);
    }
}

static void acl_unsupported(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_error(&client->reply,
                "ERR there are no access lists: the one user is 'default', and CONFIG "
                "SET requirepass gives a password");
}

static void acl_help(struct client *client, const rr_bytes *argv, size_t argc)
{
    static const char *const lines[] = {
        "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CAT [<category>]",
        "    List the categories of commands, or the commands of one.",
        "GENPASS [<bits>]",
        "    Make a random password.",
        "GETUSER <username>",
        "    Tell about a user.",
        "LIST",
        "    List the users as lines of a configuration.",
        "LOG [<count> | RESET]",
        "    Nothing, as nobody is denied anything.",
        "USERS",
        "    List the names of the users.",
        "WHOAMI",
        "    Tell the name of this connection's user.",
        "HELP",
        "    Print this help.",
    };
    (void)argv;
    (void)argc;
    reply_lines(&client->reply, lines, sizeof(lines) / sizeof(*lines));
}

/* ---- The rows ---- */

#define OPEN (COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE)
#define ADMIN (OPEN | COMMAND_ADMIN)
#define ROW(name_, arity_, flags_, since_, summary_, local_)                                       \
    {                                                                                              \
        .name = (name_), .arity = (arity_), .flags = (flags_), .group = "server",                  \
        .since = (since_), .summary = (summary_), .complexity = "O(1)", .local = (local_)          \
    }
#define NONE "Not supported: there is one user."

static const struct command subcommands[] = {
    ROW("cat", -2, OPEN, "6.0.0", "Lists categories of commands.", acl_cat),
    ROW("deluser", -3, ADMIN, "6.0.0", NONE, acl_unsupported),
    ROW("genpass", -2, OPEN, "6.0.0", "Makes a random password.", acl_genpass),
    ROW("getuser", 3, ADMIN, "6.0.0", "Tells about a user.", acl_getuser),
    ROW("help", 2, COMMAND_LOADING | COMMAND_STALE, "6.0.0", "Tells about the subcommands.",
        acl_help),
    ROW("list", 2, ADMIN, "6.0.0", "Lists the users as lines of a configuration.", acl_list),
    ROW("load", 2, ADMIN, "6.0.0", NONE, acl_unsupported),
    ROW("log", -2, ADMIN, "6.0.0", "Nothing: nobody is denied anything.", acl_log),
    ROW("save", 2, ADMIN, "6.0.0", NONE, acl_unsupported),
    ROW("setuser", -3, ADMIN, "6.0.0", NONE, acl_unsupported),
    ROW("users", 2, ADMIN, "6.0.0", "Lists the names of the users.", acl_users),
    ROW("whoami", 2, OPEN, "6.0.0", "Tells the connection's user.", acl_whoami),
    {.name = NULL},
};

const struct command commands_acl[] = {
    {.name = "acl",
     .arity = -2,
     .group = "server",
     .since = "6.0.0",
     .summary = "Commands about users.",
     .complexity = "Depends on subcommand.",
     .subcommands = subcommands,
     .note = "there is one user, default, with requirepass as password; users cannot be made, "
             "and passwords are not shown"},
    {.name = NULL},
};
