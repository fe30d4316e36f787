/* CONFIG: the settings of this node. */
#include "coredb/base/bytes.h"
#include "coredb/command/measure.h"
#include "coredb/net/connection.h"
#include "coredb/server/client.h"
#include "coredb/server/server.h"
#include "coredb/server/slowlog.h"
#include "coredb/server/surface.h"

#include <stdlib.h>
#include <string.h>

static bool is_wanted(const char *name, const rr_bytes *patterns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_match(patterns[i], bytes_of(name), /*ignore_case=*/true)) {
            return true;
        }
    }
    return false;
}

static void config_get(struct client *client, const rr_bytes *argv, size_t argc)
{
    enum { PATTERNS_MAX = 4096 };
    const struct settings *settings = client->server->settings;
    size_t count = 0;
    if (argc - 2 > PATTERNS_MAX) {
        reply_error(&client->reply, "ERR CONFIG GET takes %d patterns at most", PATTERNS_MAX);
        return;
    }
    size_t mark = reply_later(&client->reply);
    for (size_t i = 0; i < settings_count(settings); i++) {
        if (is_wanted(settings_name(settings, i), argv + 2, argc - 2)) {
            reply_bulk_text(&client->reply, settings_name(settings, i));
            reply_bulk_text(&client->reply, settings_value(settings, i));
            count++;
        }
    }
    reply_map_end(&client->reply, mark, count);
}

static void refuse_set(struct client *client, rr_bytes name, const char *problem)
{
    reply_error(&client->reply, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s",
                (int)(name.size < 128 ? name.size : 128), (const char *)name.data, problem);
}

/* Whether every name is known and none comes twice; else it has been answered. */
static bool names_are_right(struct client *client, const rr_bytes *argv, size_t argc)
{
    for (size_t i = 2; i < argc; i += 2) {
        int id = settings_find(client->server->settings, argv[i]);
        if (id < 0) {
            reply_error(&client->reply,
                        "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                        (int)(argv[i].size < 128 ? argv[i].size : 128), (const char *)argv[i].data);
            return false;
        }
        for (size_t k = 2; k < i; k += 2) {
            if (settings_find(client->server->settings, argv[k]) == id) {
                refuse_set(client, argv[i], "duplicate parameter");
                return false;
            }
        }
    }
    return true;
}

/* Sets one after another; what fails undoes those before it. */
static void config_set(struct client *client, const rr_bytes *argv, size_t argc)
{
    enum { PAIRS_MAX = 128 };
    struct settings *settings = client->server->settings;
    if (argc % 2 != 0) {
        reply_error_arity(&client->reply, bytes_of("config|set"));
        return;
    }
    size_t count = (argc - 2) / 2;
    if (count > PAIRS_MAX || !names_are_right(client, argv, argc)) {
        if (count > PAIRS_MAX) {
            reply_error_syntax(&client->reply);
        }
        return;
    }
    char *before[PAIRS_MAX];
    char error[256] = "";
    size_t done = 0;
    while (done < count) {
        size_t id = (size_t)settings_find(settings, argv[2 + 2 * done]);
        before[done] = strdup(settings_value(settings, id));
        if (before[done] == NULL ||
            !settings_set(settings, id, argv[3 + 2 * done], false, error, sizeof(error))) {
            free(before[done]);
            break;
        }
        done++;
    }
    bool all = done == count;
    slowlog_configure(client->server->slowlog);
    if (all) {
        reply_ok(&client->reply);
    } else {
        refuse_set(client, argv[2 + 2 * done], error);
    }
    for (size_t i = done; i-- > 0;) {
        size_t id = (size_t)settings_find(settings, argv[2 + 2 * i]);
        if (all) {
            settings_tell(settings, id);
        } else {
            (void)settings_set(settings, id, bytes_of(before[i]), false, error, sizeof(error));
        }
        free(before[i]);
    }
}

static void config_resetstat(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    client->server->statistics = (struct server_statistics){
        .input_bytes_before = connection_totals()->received,
        .output_bytes_before = connection_totals()->sent,
    };
    client->server->sampling.error_count = 0;
    measure_reset(client->server->measure);
    reply_ok(&client->reply);
}

static void config_rewrite(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    if (client->server->config_path == NULL) {
        reply_error(&client->reply, "ERR The server is running without a config file");
    } else {
        reply_error(&client->reply,
                    "ERR the configuration file is not the server's to write: change "
                    "[coredb] in it by hand");
    }
}

static void config_help(struct client *client, const rr_bytes *argv, size_t argc)
{
    static const char *const lines[] = {
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern> [<pattern> ...]: settings of this node.",
        "SET <name> <value> [<name> <value> ...]: change them until it ends.",
        "RESETSTAT: counters of INFO begin anew.",
        "HELP",
    };
    (void)argv;
    (void)argc;
    reply_lines(&client->reply, lines, sizeof(lines) / sizeof(*lines));
}

#define ROW(name_, arity_, flags_, since_, summary_, local_)                                       \
    {                                                                                              \
        .name = (name_), .arity = (arity_), .flags = (flags_), .group = "server",                  \
        .since = (since_), .summary = (summary_), .complexity = "O(N) in the number of settings",  \
        .local = (local_)                                                                          \
    }
#define ADMIN (COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE)

static const struct command subcommands[] = {
    ROW("get", -3, ADMIN, "2.0.0", "Answers settings of this node.", config_get),
    ROW("help", 2, COMMAND_LOADING | COMMAND_STALE, "5.0.0", "Tells about the subcommands.",
        config_help),
    ROW("resetstat", 2, ADMIN, "2.0.0", "Counters begin anew.", config_resetstat),
    ROW("rewrite", 2, ADMIN, "2.8.0", "Not supported: the file is not the server's to write.",
        config_rewrite),
    ROW("set", -4, ADMIN, "2.0.0", "Changes settings of this node until it ends.", config_set),
    {.name = NULL},
};

const struct command commands_config[] = {
    {.name = "config",
     .arity = -2,
     .group = "server",
     .since = "2.0.0",
     .summary = "Commands about the settings of this node.",
     .complexity = "Depends on subcommand.",
     .subcommands = subcommands,
     .note = "per node; names of Redis that mean nothing here are kept without effect"},
    {.name = NULL},
};
