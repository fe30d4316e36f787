/* The command line: one run, or a campaign of many seeds. */
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign.h"
#include "faults.h"

static void print_help(FILE *out)
{
    fputs("rockraft-sim: the consensus core under simulated networks, disks and clocks\n"
          "\n"
          "  rockraft-sim --seed N [--trace]          one run\n"
          "  rockraft-sim --seeds N [--from M]        a campaign of N seeds from M (default 1)\n"
          "\n"
          "  --nodes N       voters at the start, 1 to 7 (default: drawn from the seed)\n"
          "  --steps N       steps of cores before the last healing (default: drawn)\n"
          "  --trace         print everything that happens\n"
          "  --tail N        print the last N events of a run that fails\n"
          "  --jobs N        processes of a campaign (default 1)\n"
          "  --keep-going    do not stop at the first seed that fails\n"
          "  --quiet         no progress, no events of failed runs\n"
          "  --fault NAME    plant a fault in the core, which some seed must find\n"
          "  --list-faults   the faults and what they are\n"
          "  --help\n"
          "\n"
          "Equal seeds and options give equal runs. Exit status: 0 all is well, 1 a run failed,\n"
          "2 the command line is wrong.\n",
          out);
}

static _Noreturn void usage_error(const char *what, const char *value)
{
    fprintf(stderr, "rockraft-sim: %s: %s\n", what, value);
    exit(2);
}

static uint64_t number(const char *text, uint64_t min, uint64_t max)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text == '\0' || *text == '-' || *end != '\0' || value < min || value > max) {
        usage_error("not a number in range", text);
    }
    return value;
}

struct command_line {
    struct campaign campaign;
    bool one;
    char repeat[256];
};

static void add_repeat(struct command_line *line, const char *option, const char *value)
{
    size_t size = strlen(line->repeat);
    snprintf(line->repeat + size, sizeof(line->repeat) - size, " %s %s", option, value);
}

static void take_option(struct command_line *line, int option, const char *value)
{
    struct campaign *campaign = &line->campaign;
    switch (option) {
    case 's':
        line->one = true;
        campaign->options.seed = number(value, 0, UINT64_MAX);
        return;
    case 'c':
        campaign->count = number(value, 1, UINT64_MAX / 2);
        return;
    case 'm':
        campaign->first = number(value, 0, UINT64_MAX / 2);
        return;
    case 'n':
        campaign->options.nodes = (uint32_t)number(value, 1, 7);
        add_repeat(line, "--nodes", value);
        return;
    case 'p':
        campaign->options.steps = number(value, 1, UINT64_MAX / 2);
        add_repeat(line, "--steps", value);
        return;
    case 't':
        campaign->options.trace = true;
        return;
    case 'l':
        campaign->options.tail = (uint32_t)number(value, 1, 2000);
        return;
    case 'j':
        campaign->jobs = (uint32_t)number(value, 1, 64);
        return;
    case 'k':
        campaign->keep_going = true;
        return;
    case 'q':
        campaign->quiet = true;
        return;
    case 'f':
        if (!faults_plant(value)) {
            usage_error("no such fault", value);
        }
        add_repeat(line, "--fault", value);
        return;
    case 'L':
        faults_list();
        exit(0);
    case 'h':
        print_help(stdout);
        exit(0);
    default: /* getopt has said why */
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},  {"seeds", required_argument, NULL, 'c'},
        {"from", required_argument, NULL, 'm'},  {"nodes", required_argument, NULL, 'n'},
        {"steps", required_argument, NULL, 'p'}, {"trace", no_argument, NULL, 't'},
        {"tail", required_argument, NULL, 'l'},  {"jobs", required_argument, NULL, 'j'},
        {"keep-going", no_argument, NULL, 'k'},  {"quiet", no_argument, NULL, 'q'},
        {"fault", required_argument, NULL, 'f'}, {"list-faults", no_argument, NULL, 'L'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0},
    };
    static struct command_line line;
    /* A node's effects take some 200 KiB; giving them back at every crash costs more than all else. */
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    line.campaign.first = 1;
    line.campaign.jobs = 1;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        take_option(&line, option, optarg);
    }
    if (optind < argc) {
        usage_error("unexpected argument", argv[optind]);
    }
    line.campaign.repeat = line.repeat;
    if (line.one) {
        return campaign_run_one(&line.campaign.options);
    }
    if (line.campaign.count == 0) {
        print_help(stderr);
        return 2;
    }
    return campaign_run(&line.campaign) > 0 ? 1 : 0;
}
