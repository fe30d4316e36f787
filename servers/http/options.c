/* --conf FILE, --help, --version. */
#include "http/options.h"

#include <stdio.h>
#include <string.h>

void options_print_help(const char *program)
{
    printf("Rockraft over HTTP: a strongly consistent, replicated key-value store.\n"
           "\n"
           "usage: %s [--conf FILE]\n"
           "\n"
           "  --conf FILE   read the configuration from FILE (TOML)\n"
           "  --help        show this text\n"
           "  --version     show the version\n"
           "\n"
           "Without a configuration it is a single node that keeps its data in ./data and\n"
           "answers at http://127.0.0.1:8000.\n"
           "\n"
           "Exit status: 0 after SIGTERM or SIGINT, 1 on a failure, 2 on a wrong command line\n"
           "or configuration. The environment variable RUST_LOG overrides log.level.\n",
           program);
}

static enum options_action wrong(const char *program, const char *problem, const char *argument)
{
    fprintf(stderr, "%s: %s%s\nusage: %s [--conf FILE], or --help\n", program, problem, argument,
            program);
    return OPTIONS_WRONG;
}

enum options_action options_read(int argument_count, char **arguments, const char **path)
{
    const char *program = argument_count > 0 ? arguments[0] : "rockraft-http";
    *path = NULL;
    for (int i = 1; i < argument_count; i++) {
        const char *argument = arguments[i];
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            return OPTIONS_HELP;
        }
        if (strcmp(argument, "--version") == 0) {
            return OPTIONS_VERSION;
        }
        if (strncmp(argument, "--conf=", 7) == 0) {
            *path = argument + 7;
        } else if (strcmp(argument, "--conf") == 0) {
            if (i + 1 == argument_count) {
                return wrong(program, "--conf needs a file", "");
            }
            *path = arguments[++i];
        } else {
            return wrong(program, "unknown argument ", argument);
        }
    }
    return OPTIONS_RUN;
}
