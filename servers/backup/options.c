/* save, verify, restore, and what belongs to each. */
#include "backup/options.h"

#include <rockraft/rockraft.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void options_print_version(void)
{
    printf("rockraft-backup %s\n", RR_VERSION);
}

void options_print_help(void)
{
    printf("Backups of a live Rockraft cluster, and new clusters made from them.\n"
           "\n"
           "usage: rockraft-backup save --from HOST:PORT[,HOST:PORT...] DIR\n"
           "       rockraft-backup verify DIR\n"
           "       rockraft-backup restore DIR --data PATH --node-id N --address HOST:PORT\n"
           "\n"
           "save takes a backup that holds every write acknowledged before, from the first of the\n"
           "nodes that gives one. DIR must not be there yet, or be empty; until the backup is\n"
           "complete, what has come is in DIR.partial, and the same command goes on from there.\n"
           "  --from LIST        raft addresses of members\n"
           "  --bytes-per-s N    at most so many bytes per second\n"
           "  --timeout SECONDS  give up after so long without a byte (600)\n"
           "\n"
           "verify reads all of a backup, compares checksums, and prints what it holds.\n"
           "\n"
           "restore makes the data directory of a new cluster of one node from a backup. Other\n"
           "nodes join it with empty directories.\n"
           "  --data PATH          the data directory: not there yet, or empty\n"
           "  --node-id N          the node's id, as in its configuration\n"
           "  --address HOST:PORT  where other nodes reach it: its raft or advertise address\n"
           "\n"
           "  --help, --version\n"
           "\n"
           "Exit status: 0 done, 1 failed, 2 a wrong command line. Progress goes to stderr.\n");
}

static enum options_action wrong(const char *problem, const char *argument)
{
    fprintf(stderr, "rockraft-backup: %s%s; see rockraft-backup --help\n", problem, argument);
    return OPTIONS_WRONG;
}

static bool read_number(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number > max ||
        number == 0) {
        return false;
    }
    *out = number;
    return true;
}

/* Cuts the list at its commas. */
static bool read_addresses(char *list, struct options *options)
{
    char *rest = list;
    char *address;
    options->from_count = 0;
    while ((address = strsep(&rest, ",")) != NULL) {
        if (address[0] == '\0' || options->from_count == OPTIONS_ADDRESSES_MAX) {
            return false;
        }
        options->from[options->from_count] = address;
        options->from_count++;
    }
    return true;
}

/* One option and its value, as far as `action` has it. */
static bool read_option(enum options_action action, const char *name, char *value,
                        struct options *options)
{
    uint64_t number;
    if (action == OPTIONS_SAVE && strcmp(name, "--from") == 0) {
        return read_addresses(value, options);
    }
    if (action == OPTIONS_SAVE && strcmp(name, "--bytes-per-s") == 0) {
        return read_number(value, UINT64_MAX, &options->bytes_per_s);
    }
    if (action == OPTIONS_SAVE && strcmp(name, "--timeout") == 0) {
        bool good = read_number(value, UINT32_MAX / 1000, &number);
        options->timeout_s = good ? (uint32_t)number : 0;
        return good;
    }
    if (action == OPTIONS_RESTORE && strcmp(name, "--data") == 0) {
        options->data_path = value;
        return value[0] != '\0';
    }
    if (action == OPTIONS_RESTORE && strcmp(name, "--node-id") == 0) {
        return read_number(value, UINT64_MAX, &options->node_id);
    }
    if (action == OPTIONS_RESTORE && strcmp(name, "--address") == 0) {
        options->address = value;
        return true;
    }
    return false;
}

static enum options_action check_complete(enum options_action action, const struct options *options)
{
    if (options->path == NULL) {
        return wrong("the backup's directory is missing", "");
    }
    if (action == OPTIONS_SAVE && options->from_count == 0) {
        return wrong("save needs --from", "");
    }
    if (action == OPTIONS_RESTORE &&
        (options->data_path == NULL || options->node_id == 0 || options->address == NULL)) {
        return wrong("restore needs --data, --node-id and --address", "");
    }
    return action;
}

/* What follows the command's name. */
static enum options_action read_rest(enum options_action action, int argument_count,
                                     char **arguments, struct options *options)
{
    for (int i = 2; i < argument_count; i++) {
        char *argument = arguments[i];
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            return OPTIONS_HELP;
        }
        if (strncmp(argument, "--", 2) != 0) {
            if (options->path != NULL) {
                return wrong("one directory is enough: ", argument);
            }
            options->path = argument;
            continue;
        }
        char *value = strchr(argument, '=');
        if (value != NULL) {
            *value = '\0';
            value++;
        } else if (i + 1 < argument_count) {
            value = arguments[++i];
        } else {
            return wrong("a value is missing after ", argument);
        }
        if (!read_option(action, argument, value, options)) {
            return wrong("unknown, or a wrong value: ", argument);
        }
    }
    return check_complete(action, options);
}

enum options_action options_read(int argument_count, char **arguments, struct options *options)
{
    *options = (struct options){0};
    if (argument_count < 2) {
        return wrong("save, verify or restore?", "");
    }
    const char *command = arguments[1];
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
        return OPTIONS_HELP;
    }
    if (strcmp(command, "--version") == 0) {
        return OPTIONS_VERSION;
    }
    enum options_action action = strcmp(command, "save") == 0      ? OPTIONS_SAVE
                                 : strcmp(command, "verify") == 0  ? OPTIONS_VERIFY
                                 : strcmp(command, "restore") == 0 ? OPTIONS_RESTORE
                                                                   : OPTIONS_WRONG;
    if (action == OPTIONS_WRONG) {
        return wrong("unknown command ", command);
    }
    return read_rest(action, argument_count, arguments, options);
}
