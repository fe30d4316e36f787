/* The command line: a configuration file, and settings in the manner of redis.conf. */
#ifndef COREDB_SERVER_OPTIONS_H
#define COREDB_SERVER_OPTIONS_H

#include "coredb/server/settings.h"

#include <rockraft/config.h>

enum options_action {
    OPTIONS_RUN,
    OPTIONS_HELP,
    OPTIONS_VERSION,
    OPTIONS_COMMANDS, /* --commands: list them, for docs/compatibility.md */
    OPTIONS_WRONG     /* a line about it has been written to stderr */
};

enum { OPTIONS_JOIN_MAX = 64, OPTIONS_SETTINGS_MAX = 512 };

/* What the command line says; texts are borrowed from it. NULL and 0: nothing. */
struct options {
    const char *config_path;
    const char *port;
    const char *bind;
    const char *data_path;
    const char *raft_address;
    const char *log_level;
    const char *log_file;
    uint64_t node_id;
    const char *join[OPTIONS_JOIN_MAX];
    size_t join_count;
    bool waits;                       /* --found no */
    bool given[OPTIONS_SETTINGS_MAX]; /* by a setting's place: on the command line or in the file */
    char server_address[300];         /* made of the above */
};

/* Reads the arguments; settings of Redis's go to `settings`. */
enum options_action options_read(int argument_count, char **arguments, struct options *options,
                                 struct settings *settings);

/* Changes `config` as the options say, which must outlive it, and sets the settings of the file's
 * table that the command line did not. False: wrong, a line was written. */
bool options_apply(struct options *options, rr_config *config, struct settings *settings);

/* The file could not be read: says so on stderr if it seems to be a redis.conf. */
void options_explain(const char *config_path);

/* Writes the help to stdout. */
void options_print_help(const char *program);

#endif
