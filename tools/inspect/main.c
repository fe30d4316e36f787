/* rockraft-inspect: prints and verifies a node's data directory. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/inspect.h"

enum { EXIT_CLEAN = 0, EXIT_DAMAGE = 1, EXIT_USAGE = 2 };

static const char help[] =
    "rockraft-inspect prints and verifies a node's data directory. It changes nothing in it.\n"
    "\n"
    "usage: rockraft-inspect [COMMAND] DIRECTORY [OPTION...]\n"
    "\n"
    "commands:\n"
    "  summary      (default) whose directory it is, its log, state and snapshots\n"
    "  verify       reads every byte: log, state, snapshots, and how they hold together\n"
    "  segments     the files of a log in segments\n"
    "  frames       the frames of a log in segments, with their records\n"
    "  entries      the log's entries, with what kind of command each is\n"
    "  hard-state   term, vote, commit index and bounds of each group\n"
    "  state        the applied state: position, members, keys\n"
    "  snapshots    the snapshots that are there, or being received\n"
    "\n"
    "options:\n"
    "  --json         one JSON object on a line for each line of text; \"kind\" says of what\n"
    "  --segment ID   frames: of this segment alone\n"
    "  --group N      entries: of this group alone\n"
    "  --from INDEX   entries: from here on\n"
    "  --to INDEX     entries: up to here\n"
    "  --prefix HEX   state: the keys that begin with these bytes\n"
    "  --limit N      entries, state: at most so many entries or keys\n"
    "  --data         entries, state: payloads and values as well, in hexadecimal\n"
    "  --live         although a process has the directory open. What it writes meanwhile can\n"
    "                 look like damage that is none\n"
    "  --help         this text\n"
    "\n"
    "A line of what is found begins with DAMAGE (what no crash explains, with what to do), note\n"
    "(worth a word, harmless) or UNREAD (it could not be looked at).\n"
    "\n"
    "exit status: 0 nothing is damaged; 1 something is; 2 wrong usage, or nothing damaged was\n"
    "found but not all could be read. Only verify looks at every byte.\n"
    "\n"
    "examples:\n"
    "  rockraft-inspect data\n"
    "  rockraft-inspect verify data && echo all is well\n"
    "  rockraft-inspect entries data --from 100 --to 120 --data\n"
    "  rockraft-inspect state data --prefix 1075736572 --limit 10 --json\n";

struct command {
    const char *name;
    struct request request;
};

static const struct command commands[] = {
    {"summary",
     {.identity = true,
      .log = true,
      .groups = true,
      .state = true,
      .members = true,
      .snapshots = true}},
    {"verify",
     {.identity = true,
      .log = true,
      .groups = true,
      .state = true,
      .members = true,
      .snapshots = true,
      .deep = true}},
    {"segments", {.log = true, .segments = true}},
    {"frames", {.frames = true}},
    {"entries", {.entries = true}},
    {"hard-state", {.groups = true}},
    {"state", {.state = true, .members = true, .keys = true}},
    {"snapshots", {.snapshots = true}},
};

static int usage(const char *what, const char *which)
{
    fprintf(stderr, "rockraft-inspect: %s%s; see rockraft-inspect --help\n", what, which);
    return EXIT_USAGE;
}

static bool parse_number(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    *out = value;
    return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == 0;
}

/* Turns hexadecimal digits into bytes, in place. */
static bool parse_hex(char *text, struct slice *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t size = strlen(text);
    uint8_t *bytes = (uint8_t *)text;
    for (size_t i = 0; i + 1 < size; i += 2) {
        const char *high = strchr(digits, text[i] | 0x20);
        const char *low = strchr(digits, text[i + 1] | 0x20);
        if (high == NULL || low == NULL) {
            return false;
        }
        bytes[i / 2] = (uint8_t)((high - digits) << 4 | (low - digits));
    }
    *out = (struct slice){bytes, size / 2};
    return size % 2 == 0;
}

enum option_id {
    OPTION_JSON = 1000,
    OPTION_SEGMENT,
    OPTION_GROUP,
    OPTION_FROM,
    OPTION_TO,
    OPTION_PREFIX,
    OPTION_LIMIT,
    OPTION_DATA,
    OPTION_LIVE,
    OPTION_HELP,
};

static const struct option options[] = {
    {"json", no_argument, NULL, OPTION_JSON},
    {"segment", required_argument, NULL, OPTION_SEGMENT},
    {"group", required_argument, NULL, OPTION_GROUP},
    {"from", required_argument, NULL, OPTION_FROM},
    {"to", required_argument, NULL, OPTION_TO},
    {"prefix", required_argument, NULL, OPTION_PREFIX},
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"data", no_argument, NULL, OPTION_DATA},
    {"live", no_argument, NULL, OPTION_LIVE},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* What the command line says. */
struct line {
    struct request given; /* by options */
    bool json;
    bool live;
    bool help;
};

static bool take_option(struct line *line, int option, char *value)
{
    struct request *given = &line->given;
    switch (option) {
    case OPTION_JSON:
        line->json = true;
        return true;
    case OPTION_SEGMENT:
        given->has_segment = true;
        return parse_number(value, &given->segment);
    case OPTION_GROUP:
        given->has_group = true;
        return parse_number(value, &given->group);
    case OPTION_FROM:
        return parse_number(value, &given->from);
    case OPTION_TO:
        return parse_number(value, &given->to);
    case OPTION_PREFIX:
        return parse_hex(value, &given->prefix);
    case OPTION_LIMIT:
        return parse_number(value, &given->limit);
    case OPTION_DATA:
        given->print_data = true;
        return true;
    case OPTION_LIVE:
        line->live = true;
        return true;
    case OPTION_HELP:
        line->help = true;
        return true;
    default:
        return false;
    }
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

/* The command's request with what the options say in it. */
static struct request merge(const struct command *command, const struct request *given)
{
    struct request request = command->request;
    request.print_data = given->print_data;
    request.has_segment = given->has_segment;
    request.segment = given->segment;
    request.has_group = given->has_group;
    request.group = given->group;
    request.from = given->from;
    request.to = given->to;
    request.prefix = given->prefix;
    request.limit = given->limit;
    return request;
}

static int inspect(const struct place *place, const struct request *request)
{
    struct output *output = place->output;
    struct identity identity = {.node = 0};
    bool is_fresh = false;
    struct position state = {.is_known = false};
    struct log_facts log = {.is_there = false};
    struct position snapshot = {.is_known = false};
    if (request->identity) {
        inspect_identity(place, &identity, &is_fresh);
    }
    if (request->state) {
        inspect_state(place, request, &identity, &state);
    }
    if (request->log || request->groups || request->frames || request->entries) {
        inspect_log(place, request, state.index, &log);
    }
    if (request->snapshots) {
        inspect_snapshots(place, request, &snapshot);
    }
    if (request->identity) {
        inspect_relations(place, is_fresh, &log, &state, &snapshot);
        output_begin(output, "verdict");
        output_flag(output, "every_byte", request->deep);
        output_number(output, "damages", output->damages);
        output_number(output, "unread", output->blind);
        output_number(output, "notes", output->notes);
        output_end(output);
    }
    if (output->damages > 0) {
        return EXIT_DAMAGE;
    }
    return output->blind > 0 ? EXIT_USAGE : EXIT_CLEAN;
}

static int open_and_inspect(const struct place *place, const struct request *request, bool live)
{
    uint64_t size;
    if (place_type(place, "", &size) != NAME_DIRECTORY) {
        return usage("no such directory: ", place->root);
    }
    uint64_t ignored;
    if (place_type(place, "BACKUP", &ignored) != NAME_MISSING) {
        return usage("a backup, which rockraft-backup verify reads: ", place->root);
    }
    if (place_type(place, "IDENTITY", &ignored) == NAME_MISSING &&
        place_type(place, "LOCK", &ignored) == NAME_MISSING &&
        place_type(place, "log", &ignored) == NAME_MISSING &&
        place_type(place, "STATE", &ignored) == NAME_MISSING) {
        return usage("not a node's data directory: ", place->root);
    }
    if (place_lock(place) == LOCK_HELD) {
        if (!live) {
            fprintf(stderr,
                    "rockraft-inspect: a process has %s open. End it first, or look at a copy of "
                    "the directory (one that was made at one instant); --live looks all the "
                    "same\n",
                    place->root);
            return EXIT_USAGE;
        }
        output_note(place->output, "LOCK", NO_OFFSET,
                    "a process has the directory open, and changes it while it is read");
    }
    int status = inspect(place, request);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        return usage("cannot write the output: ", strerror(errno));
    }
    return status;
}

int main(int argument_count, char **arguments)
{
    struct line line = {.given = {.to = UINT64_MAX, .limit = UINT64_MAX}};
    int option;
    while ((option = getopt_long(argument_count, arguments, "", options, NULL)) != -1) {
        if (option == '?') {
            return usage("wrong option", "");
        }
        if (!take_option(&line, option, optarg)) {
            return usage("not a value: ", optarg);
        }
    }
    if (line.help) {
        fputs(help, stdout);
        return EXIT_CLEAN;
    }
    int names = argument_count - optind;
    if (names < 1 || names > 2) {
        return usage(names < 1 ? "no directory is given" : "too many arguments", "");
    }
    const char *name = names == 2 ? arguments[optind] : "summary";
    const struct command *command = find_command(name);
    if (command == NULL) {
        return usage("no such command: ", name);
    }
    struct output output = {.file = stdout, .json = line.json};
    struct place place = {.root = arguments[argument_count - 1], .output = &output};
    struct request request = merge(command, &line.given);
    return open_and_inspect(&place, &request, line.live);
}
