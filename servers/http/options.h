/* The command line. */
#ifndef HTTP_OPTIONS_H
#define HTTP_OPTIONS_H

#include <stdbool.h>

enum options_action {
    OPTIONS_RUN,
    OPTIONS_HELP,
    OPTIONS_VERSION,
    OPTIONS_WRONG /* a line about it has been written to stderr */
};

/* What the arguments ask for; `*path` receives the configuration's path, NULL without one. */
enum options_action options_read(int argument_count, char **arguments, const char **path);

/* Writes the help to stdout. */
void options_print_help(const char *program);

#endif
