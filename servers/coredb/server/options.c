/* --name value, in any order; several values may follow --join and --bind. */
#include "coredb/server/options.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"

#include <stdio.h>
#include <string.h>

void options_print_help(const char *program)
{
    printf("coredb: Redis's protocol; acknowledged writes are on disk on a majority of nodes.\n"
           "\n"
           "usage: %s [--conf FILE] [--port PORT] [--dir DIR] [--NAME VALUE ...]\n"
           "\n"
           "  --conf FILE         read the configuration from FILE (TOML); others come on top\n"
           "  --port PORT         where clients connect, 6379; 0: the kernel chooses\n"
           "  --bind HOST         127.0.0.1; 0.0.0.0: every address of this machine\n"
           "  --dir DIR           where the data is, ./coredb-data\n"
           "  --unixsocket PATH   listen there, too\n"
           "  --requirepass TEXT  the password that clients have to give\n"
           "  --loglevel LEVEL    debug, verbose, notice or warning; --logfile FILE\n"
           "  --NAME VALUE        any setting of CONFIG SET, such as --maxclients 100\n"
           "\n"
           "A cluster has nodes with different numbers and addresses:\n"
           "\n"
           "  --node-id N         this node's number, 1\n"
           "  --raft-addr H:P     where other nodes reach this one, 127.0.0.1:6682\n"
           "  --join H:P ...      join the cluster of the nodes with these raft addresses\n"
           "  --found no          wait until a member adds this node: RAFT.ADD\n"
           "\n"
           "for example\n"
           "\n"
           "  coredb --port 6379 --dir a\n"
           "  coredb --port 6380 --dir b --node-id 2 --raft-addr 127.0.0.1:6683 \\\n"
           "         --join 127.0.0.1:6682\n"
           "  redis-cli -p 6380 raft.members\n"
           "\n"
           "  --help, --version, --commands (the table of commands)\n"
           "\n"
           "Exit status: 0 after SIGTERM, SIGINT or SHUTDOWN, 1 on a failure, 2 on a wrong\n"
           "command line or configuration. The environment variable RUST_LOG overrides the log\n"
           "level.\n",
           program);
}

void options_explain(const char *config_path)
{
    size_t size = config_path != NULL ? strlen(config_path) : 0;
    if (size > 5 && strcmp(config_path + size - 5, ".conf") == 0) {
        fprintf(stderr,
                "coredb: the file is TOML, not a redis.conf; the settings of one can be given "
                "as arguments, such as --port 6379 --requirepass TEXT\n");
    }
}

static enum options_action wrong(const char *problem, const char *argument)
{
    fprintf(stderr, "coredb: %s%s (try --help)\n", problem, argument);
    return OPTIONS_WRONG;
}

static const char *log_filter(const char *level)
{
    static const char *const names[][2] = {
        {"verbose", "info"}, {"notice", "info"}, {"warning", "warn"}, {"nothing", "off"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(level, names[i][0]) == 0) {
            return names[i][1];
        }
    }
    return level;
}

static bool set_number(const char *value, uint64_t *out)
{
    return number_parse_u64(bytes_of(value), out) && *out > 0;
}

/* What Redis can do and coredb cannot, where taking no notice would mislead. NULL: nothing. */
static const char *refusal(const char *name, const char *value)
{
    static const struct {
        const char *name;
        const char *harmless; /* the value that asks for nothing */
        const char *reason;
    } refused[] = {
        {"daemonize", "no", "coredb stays in the foreground, under a supervisor such as systemd"},
        {"cluster-enabled", "no", "there is no Redis Cluster: any node serves any key; see --join"},
        {"replicaof", "", "a node is a member of a cluster; see --join"},
        {"slaveof", "", "a node is a member of a cluster; see --join"},
        {"tls-port", "0", "clients cannot connect by TLS"},
        {"databases", "16", "there are 16 databases"},
        {"aclfile", "", "there are no access lists; see --requirepass"},
        {"loadmodule", "", "there are no modules"},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        if (strcmp(name, refused[i].name) == 0 && strcmp(value, refused[i].harmless) != 0) {
            return refused[i].reason;
        }
    }
    return NULL;
}

/* A setting of CONFIG's. `from` is what stands before its name in complaints. False: a line was
 * written. */
static bool set_setting(struct options *options, struct settings *settings, const char *from,
                        const char *name, const char *value)
{
    char error[256] = "";
    const char *reason = refusal(name, value);
    if (reason != NULL) {
        fprintf(stderr, "coredb: %s%s: %s\n", from, name, reason);
        return false;
    }
    int i = settings_find(settings, bytes_of(name));
    if (i < 0 || i >= OPTIONS_SETTINGS_MAX) {
        fprintf(stderr, "coredb: unknown setting %s%s (try --help, or CONFIG GET '*')\n", from,
                name);
        return false;
    }
    if (!settings_set(settings, (size_t)i, bytes_of(value), true, error, sizeof(error))) {
        fprintf(stderr, "coredb: %s%s: %s\n", from, name, error);
        return false;
    }
    options->given[i] = true;
    return true;
}

/* --found yes|no. False: a line was written. */
static bool set_found(struct options *options, const char *value)
{
    options->waits = strcmp(value, "no") == 0;
    if (!options->waits && strcmp(value, "yes") != 0) {
        (void)wrong("--found is yes or no, not ", value);
        return false;
    }
    return true;
}

/* One option and its value. False: a line was written. */
static bool take(struct options *options, struct settings *settings, const char *name,
                 const char *value)
{
    static const char *const own[] = {"conf",      "dir",  "raft-addr", "node-id",
                                      "data-path", "join", "found",     NULL};
    const struct {
        const char *name;
        const char **place;
    } texts[] = {{"conf", &options->config_path},    {"port", &options->port},
                 {"bind", &options->bind},           {"dir", &options->data_path},
                 {"data-path", &options->data_path}, {"raft-addr", &options->raft_address},
                 {"loglevel", &options->log_level},  {"logfile", &options->log_file}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].place = value;
        }
    }
    if (strcmp(name, "node-id") == 0 && !set_number(value, &options->node_id)) {
        (void)wrong("--node-id needs a number from 1, not ", value);
        return false;
    }
    if (strcmp(name, "found") == 0 && !set_found(options, value)) {
        return false;
    }
    if (strcmp(name, "join") == 0 && options->join_count < OPTIONS_JOIN_MAX) {
        options->join[options->join_count++] = value;
    }
    for (size_t i = 0; own[i] != NULL; i++) {
        if (strcmp(name, own[i]) == 0) {
            return true;
        }
    }
    return set_setting(options, settings, "--", name, value);
}

enum options_action options_read(int argument_count, char **arguments, struct options *options,
                                 struct settings *settings)
{
    *options = (struct options){0};
    for (int i = 1; i < argument_count; i++) {
        const char *argument = arguments[i];
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            return OPTIONS_HELP;
        }
        if (strcmp(argument, "--version") == 0 || strcmp(argument, "-v") == 0) {
            return OPTIONS_VERSION;
        }
        if (strcmp(argument, "--commands") == 0) {
            return OPTIONS_COMMANDS;
        }
        if (strncmp(argument, "--", 2) != 0) {
            if (i > 1 || argument[0] == '-') {
                return wrong("unknown argument ", argument);
            }
            options->config_path = argument;
            continue;
        }
        char name[64];
        const char *equals = strchr(argument, '=');
        size_t size = equals != NULL ? (size_t)(equals - argument) - 2 : strlen(argument + 2);
        if (size == 0 || size >= sizeof(name)) {
            return wrong("unknown argument ", argument);
        }
        memcpy(name, argument + 2, size);
        name[size] = '\0';
        if (equals == NULL && i + 1 == argument_count) {
            return wrong(argument, " needs a value");
        }
        if (!take(options, settings, name, equals != NULL ? equals + 1 : arguments[++i])) {
            return OPTIONS_WRONG;
        }
        while (strcmp(name, "join") == 0 && i + 1 < argument_count &&
               strncmp(arguments[i + 1], "--", 2) != 0) {
            if (!take(options, settings, name, arguments[++i])) {
                return OPTIONS_WRONG;
            }
        }
    }
    return OPTIONS_RUN;
}

/* The address of the clients, from that of the configuration and what the options change. */
static bool make_address(struct options *options, rr_config *config)
{
    char host[256] = "127.0.0.1";
    uint16_t port = 6379;
    const char *problem = "";
    if (rr_address_split(config->server_address, host, sizeof(host), &port, &problem) != RR_OK) {
        (void)wrong("the server's address is wrong: ", problem);
        return false;
    }
    if (options->bind != NULL && strpbrk(options->bind, " ,") != NULL) {
        (void)wrong("--bind takes one address, not ", options->bind);
        return false;
    }
    uint64_t number = port;
    if (options->port != NULL && !number_parse_u64(bytes_of(options->port), &number)) {
        return false; /* the setting has been checked */
    }
    snprintf(options->server_address, sizeof(options->server_address), "%s:%u",
             options->bind != NULL ? options->bind : host, (unsigned)number);
    if (strchr(options->bind != NULL ? options->bind : host, ':') != NULL) {
        snprintf(options->server_address, sizeof(options->server_address), "[%s]:%u",
                 options->bind != NULL ? options->bind : host, (unsigned)number);
    }
    config->server_address = options->server_address;
    return true;
}

static bool is_address(const char *address)
{
    char host[256];
    uint16_t port = 0;
    const char *problem = "";
    if (rr_address_split(address, host, sizeof(host), &port, &problem) == RR_OK) {
        return true;
    }
    fprintf(stderr, "coredb: %s is no address: %s\n", address, problem);
    return false;
}

/* The file's own table, as far as the command line leaves it. */
static bool apply_table(struct options *options, const rr_config *config, struct settings *settings)
{
    static const char *const elsewhere[] = {"port", "bind", "dir", "loglevel", "logfile"};
    for (size_t i = 0; i < config->setting_count; i++) {
        const rr_config_setting *setting = &config->settings[i];
        char from[400];
        snprintf(from, sizeof(from), "%s:%u: coredb.", options->config_path, setting->line);
        for (size_t k = 0; k < sizeof(elsewhere) / sizeof(*elsewhere); k++) {
            if (strcmp(setting->name, elsewhere[k]) == 0) {
                fprintf(stderr,
                        "coredb: %s%s: server_addr, rocksdb.data_path and log.* are for "
                        "that\n",
                        from, setting->name);
                return false;
            }
        }
        int place = settings_find(settings, bytes_of(setting->name));
        const char *value = strcmp(setting->value, "true") == 0    ? "yes"
                            : strcmp(setting->value, "false") == 0 ? "no"
                                                                   : setting->value;
        bool overridden = place >= 0 && place < OPTIONS_SETTINGS_MAX && options->given[place];
        if (!overridden && !set_setting(options, settings, from, setting->name, value)) {
            return false;
        }
    }
    return true;
}

bool options_apply(struct options *options, rr_config *config, struct settings *settings)
{
    if (!apply_table(options, config, settings)) {
        return false;
    }
    if (options->waits) {
        config->found = false;
    }
    if (options->config_path == NULL) {
        config->data_path = "./coredb-data";
    }
    if (options->data_path != NULL) {
        config->data_path = options->data_path;
    }
    if (options->node_id != 0) {
        config->node_id = options->node_id;
    }
    if (options->raft_address != NULL) {
        if (!is_address(options->raft_address)) {
            return false;
        }
        config->raft_address = options->raft_address;
        config->advertise_address = options->raft_address;
    }
    for (size_t i = 0; i < options->join_count; i++) {
        if (!is_address(options->join[i])) {
            return false;
        }
    }
    if (options->join_count > 0) {
        config->join = options->join;
        config->join_count = options->join_count;
    }
    if (options->log_level != NULL) {
        config->log_level = log_filter(options->log_level);
        if (rr_log_filter_check(config->log_level) != RR_OK) {
            (void)wrong("--loglevel is wrong: ", options->log_level);
            return false;
        }
    }
    if (options->log_file != NULL && options->log_file[0] != '\0') {
        config->log_file = options->log_file;
    }
    return make_address(options, config);
}
