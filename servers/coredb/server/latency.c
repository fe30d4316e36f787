/* Rings of samples, and what LATENCY tells of them; its histograms are measure.h's. */
#include "coredb/server/latency.h"

#include "coredb/base/bytes.h"
#include "coredb/command/measure.h"
#include "coredb/server/client.h"
#include "coredb/server/server.h"
#include "coredb/server/surface.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EVENTS_MAX = 8,
    SAMPLES_MAX = 160,
    GRAPH_COLUMNS = 80,
    GRAPH_ROWS = 4,
    NAMES_MAX = 4096,        /* of LATENCY HISTOGRAM */
    HISTOGRAM_BITS_MAX = 31, /* the last line is some 2,000 seconds */
};

struct sample {
    uint64_t time_s;
    uint64_t duration_ms;
};

struct spikes {
    const char *name;
    struct sample samples[SAMPLES_MAX]; /* a ring */
    size_t next;
    size_t count;
    uint64_t worst_ms;
};

struct latency {
    struct spikes events[EVENTS_MAX];
    size_t count;
};

/* ---- Samples ---- */

struct latency *latency_new(void)
{
    struct latency *latency = calloc(1, sizeof(*latency));
    if (latency == NULL) {
        abort();
    }
    return latency;
}

void latency_free(struct latency *latency)
{
    free(latency);
}

static struct spikes *find_event(struct latency *latency, rr_bytes name)
{
    for (size_t i = 0; i < latency->count; i++) {
        if (bytes_is(name, latency->events[i].name)) {
            return &latency->events[i];
        }
    }
    return NULL;
}

/* The i-th sample, oldest first. */
static const struct sample *sample_at(const struct spikes *event, size_t i)
{
    return &event->samples[(event->next + SAMPLES_MAX - event->count + i) % SAMPLES_MAX];
}

void latency_add(struct latency *latency, const char *name, uint64_t duration_ms)
{
    struct spikes *event = find_event(latency, bytes_of(name));
    if (event == NULL && latency->count < EVENTS_MAX) {
        event = &latency->events[latency->count++];
        *event = (struct spikes){.name = name};
    }
    if (event == NULL) {
        return;
    }
    uint64_t now_s = server_wall_ms() / 1000;
    event->worst_ms = duration_ms > event->worst_ms ? duration_ms : event->worst_ms;
    struct sample *last = &event->samples[(event->next + SAMPLES_MAX - 1) % SAMPLES_MAX];
    if (event->count > 0 && last->time_s == now_s) {
        last->duration_ms = duration_ms > last->duration_ms ? duration_ms : last->duration_ms;
        return;
    }
    event->samples[event->next] = (struct sample){now_s, duration_ms};
    event->next = (event->next + 1) % SAMPLES_MAX;
    event->count += event->count < SAMPLES_MAX ? 1 : 0;
}

/* ---- LATEST, HISTORY, RESET ---- */

static void latency_latest(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    const struct latency *latency = client->server->latency;
    reply_array(&client->reply, latency->count);
    for (size_t i = 0; i < latency->count; i++) {
        const struct spikes *event = &latency->events[i];
        const struct sample *last = sample_at(event, event->count - 1);
        reply_array(&client->reply, 4);
        reply_bulk_text(&client->reply, event->name);
        reply_integer(&client->reply, (int64_t)last->time_s);
        reply_integer(&client->reply, (int64_t)last->duration_ms);
        reply_integer(&client->reply, (int64_t)event->worst_ms);
    }
}

static void latency_history(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    const struct spikes *event = find_event(client->server->latency, argv[2]);
    reply_array(&client->reply, event != NULL ? event->count : 0);
    for (size_t i = 0; event != NULL && i < event->count; i++) {
        reply_array(&client->reply, 2);
        reply_integer(&client->reply, (int64_t)sample_at(event, i)->time_s);
        reply_integer(&client->reply, (int64_t)sample_at(event, i)->duration_ms);
    }
}

static void latency_reset(struct client *client, const rr_bytes *argv, size_t argc)
{
    struct latency *latency = client->server->latency;
    size_t count = argc == 2 ? latency->count : 0;
    if (argc == 2) {
        latency->count = 0;
    }
    for (size_t i = 2; i < argc; i++) {
        struct spikes *event = find_event(latency, argv[i]);
        if (event != NULL) {
            *event = latency->events[--latency->count];
            count++;
        }
    }
    reply_integer(&client->reply, (int64_t)count);
}

/* ---- GRAPH and DOCTOR ---- */

static void print_column_times(struct buffer *out, const struct spikes *event, size_t first)
{
    uint64_t now_s = server_wall_ms() / 1000;
    /* Written downwards: how long ago each was. */
    char ages[GRAPH_COLUMNS][8];
    for (size_t i = first; i < event->count; i++) {
        uint64_t time_s = sample_at(event, i)->time_s;
        uint64_t age = now_s > time_s ? now_s - time_s : 0;
        const char *unit = age < 60 ? "s" : age < 3600 ? "m" : age < 86400 ? "h" : "d";
        uint64_t value = age < 60      ? age
                         : age < 3600  ? age / 60
                         : age < 86400 ? age / 3600
                                       : age / 86400;
        snprintf(ages[i - first], sizeof(ages[0]), "%" PRIu64 "%s", value % 10000, unit);
    }
    for (size_t row = 0; row < sizeof(ages[0]); row++) {
        bool any = false;
        for (size_t i = 0; i < event->count - first; i++) {
            bool has = row < strlen(ages[i]);
            any = any || has;
        }
        for (size_t i = 0; any && i < event->count - first; i++) {
            buffer_append_byte(out, row < strlen(ages[i]) ? (uint8_t)ages[i][row] : ' ');
        }
        buffer_append_text(out, any ? "\n" : "");
    }
}

static void latency_graph(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    const struct spikes *event = find_event(client->server->latency, argv[2]);
    if (event == NULL) {
        reply_error(&client->reply, "ERR No samples available for event '%.*s'",
                    (int)(argv[2].size < 128 ? argv[2].size : 128), (const char *)argv[2].data);
        return;
    }
    size_t first = event->count > GRAPH_COLUMNS ? event->count - GRAPH_COLUMNS : 0;
    uint64_t low = UINT64_MAX;
    uint64_t high = 0;
    for (size_t i = first; i < event->count; i++) {
        uint64_t value = sample_at(event, i)->duration_ms;
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    struct buffer out;
    buffer_init(&out);
    char line[200];
    snprintf(line, sizeof(line),
             "%s - high %" PRIu64 " ms, low %" PRIu64 " ms (all time high %" PRIu64 " ms)\n",
             event->name, high, low, event->worst_ms);
    buffer_append_text(&out, line);
    for (size_t i = 0; i < GRAPH_COLUMNS; i++) {
        buffer_append_byte(&out, '-');
    }
    buffer_append_byte(&out, '\n');
    for (uint64_t row = GRAPH_ROWS; row > 0; row--) {
        for (size_t i = first; i < event->count; i++) {
            uint64_t value = sample_at(event, i)->duration_ms;
            uint64_t height = high == low ? 1 : 1 + (value - low) * (GRAPH_ROWS - 1) / (high - low);
            buffer_append_byte(&out, height == row ? '_' : height > row ? '|' : ' ');
        }
        buffer_append_byte(&out, '\n');
    }
    print_column_times(&out, event, first);
    reply_verbatim(&client->reply, "txt", buffer_bytes(&out));
    buffer_deinit(&out);
}

static void describe_event(struct buffer *out, const struct spikes *event)
{
    double sum = 0;
    for (size_t i = 0; i < event->count; i++) {
        sum += (double)sample_at(event, i)->duration_ms;
    }
    double average = sum / (double)event->count;
    double deviation = 0;
    for (size_t i = 0; i < event->count; i++) {
        deviation += fabs((double)sample_at(event, i)->duration_ms - average);
    }
    uint64_t span_s = server_wall_ms() / 1000 - sample_at(event, 0)->time_s;
    char line[400];
    snprintf(line, sizeof(line),
             "%s: %zu spikes in %" PRIu64 " seconds; %.0f ms on average, mean deviation %.0f ms, "
             "the worst ever %" PRIu64 " ms.\n",
             event->name, event->count, span_s, average, deviation / (double)event->count,
             event->worst_ms);
    buffer_append_text(out, line);
}

static void latency_doctor(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    const struct latency *latency = client->server->latency;
    struct buffer out;
    buffer_init(&out);
    if (settings_number(client->server->settings, SETTING_LATENCY_THRESHOLD) == 0) {
        buffer_append_text(&out, "Spikes of latency are not recorded. \"CONFIG SET "
                                 "latency-monitor-threshold <milliseconds>\" switches that on.\n");
    } else if (latency->count == 0) {
        buffer_append_text(&out, "No spike of latency was observed.\n");
    }
    for (size_t i = 0; i < latency->count; i++) {
        describe_event(&out, &latency->events[i]);
    }
    if (latency->count > 0) {
        buffer_append_text(
            &out, "\nThese are durations of commands themselves, not of disks or the network. "
                  "SLOWLOG GET names the commands; those over much data (KEYS, SORT, SMEMBERS, "
                  "scripts) take their time in proportion. Writes hold up all others, on every "
                  "node.\n");
    }
    reply_verbatim(&client->reply, "txt", buffer_bytes(&out));
    buffer_deinit(&out);
}

/* ---- HISTOGRAM ---- */

static void put_histogram(struct reply *reply, const struct measure_counts *counts)
{
    char name[80];
    snprintf(name, sizeof(name), "%s%s%s", counts->container != NULL ? counts->container->name : "",
             counts->container != NULL ? "|" : "", counts->command->name);
    reply_bulk_text(reply, name);
    uint64_t calls = atomic_load(&counts->calls);
    reply_map(reply, 2);
    reply_bulk_text(reply, "calls");
    reply_integer(reply, (int64_t)calls);
    reply_bulk_text(reply, "histogram_usec");
    size_t mark = reply_later(reply);
    size_t lines = 0;
    uint64_t before = 0;
    /* Bounds are a power of two of 1,024 ns, which pass for microseconds in Redis, too. */
    for (unsigned bits = 0; bits <= HISTOGRAM_BITS_MAX && before < calls; bits++) {
        uint64_t bound_ns = (uint64_t)1024 << bits;
        uint64_t within = measure_within(counts, bound_ns);
        if (within != before) {
            reply_integer(reply, (int64_t)(bound_ns / 1000));
            reply_integer(reply, (int64_t)within);
            before = within;
            lines++;
        }
    }
    reply_map_end(reply, mark, lines);
}

static size_t put_if_called(struct client *client, const struct command *command)
{
    const struct measure_counts *counts = measure_find(client->server->measure, command);
    if (counts == NULL || atomic_load(&counts->calls) == 0) {
        return 0;
    }
    put_histogram(&client->reply, counts);
    return 1;
}

/* Those of "command", with its subcommands, or "container|subcommand"; returns how many. */
static size_t put_named(struct client *client, rr_bytes name)
{
    const char *bar = name.size == 0 ? NULL : memchr(name.data, '|', name.size);
    size_t size = bar != NULL ? (size_t)(bar - (const char *)name.data) : name.size;
    rr_bytes word = {bar != NULL ? bar + 1 : NULL, bar != NULL ? name.size - size - 1 : 0};
    const struct command *command = command_find((rr_bytes){name.data, size});
    if (command == NULL) {
        return 0;
    }
    size_t shown = bar == NULL ? put_if_called(client, command) : 0;
    const struct command *sub = command->subcommands;
    for (; sub != NULL && sub->name != NULL; sub++) {
        if (bar == NULL || bytes_is(word, sub->name)) {
            shown += put_if_called(client, sub);
        }
    }
    return shown;
}

static void latency_histogram(struct client *client, const rr_bytes *argv, size_t argc)
{
    const struct measure *measure = client->server->measure;
    if (argc - 2 > NAMES_MAX) {
        reply_error(&client->reply, "ERR LATENCY HISTOGRAM takes %d commands at most", NAMES_MAX);
        return;
    }
    size_t mark = reply_later(&client->reply);
    size_t shown = 0;
    size_t position = 0;
    struct measure_counts *counts;
    while (argc == 2 && (counts = measure_next(measure, &position)) != NULL) {
        shown += put_if_called(client, counts->command);
    }
    for (size_t i = 2; i < argc; i++) {
        shown += put_named(client, argv[i]);
    }
    reply_map_end(&client->reply, mark, shown);
}

/* ---- The rows ---- */

static void latency_help(struct client *client, const rr_bytes *argv, size_t argc)
{
    static const char *const lines[] = {
        "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Tell about spikes of latency in words.",
        "GRAPH <event>",
        "    Draw the samples of an event.",
        "HISTORY <event>",
        "    Show the samples of an event: time and milliseconds.",
        "LATEST",
        "    Show the last sample of each event, and the worst.",
        "RESET [<event> ...]",
        "    Forget the samples of these events, or of all.",
        "HISTOGRAM [COMMAND ...]",
        "    Show how long commands ran, as a cumulative distribution.",
        "HELP",
        "    Print this help.",
    };
    (void)argv;
    (void)argc;
    reply_lines(&client->reply, lines, sizeof(lines) / sizeof(*lines));
}

#define ADMIN (COMMAND_ADMIN | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE)
#define ROW(name_, arity_, flags_, since_, summary_, local_)                                       \
    {                                                                                              \
        .name = (name_), .arity = (arity_), .flags = (flags_), .group = "server",                  \
        .since = (since_), .summary = (summary_), .complexity = "O(1)", .local = (local_)          \
    }

static const struct command subcommands[] = {
    ROW("doctor", 2, ADMIN, "2.8.13", "Tells about spikes of latency in words.", latency_doctor),
    ROW("graph", 3, ADMIN, "2.8.13", "Draws the samples of an event.", latency_graph),
    ROW("help", 2, COMMAND_LOADING | COMMAND_STALE, "2.8.13", "Tells about the subcommands.",
        latency_help),
    ROW("histogram", -2, ADMIN, "7.0.0", "Shows how long commands ran.", latency_histogram),
    ROW("history", 3, ADMIN, "2.8.13", "Shows the samples of an event.", latency_history),
    ROW("latest", 2, ADMIN, "2.8.13", "Shows the last sample of each event.", latency_latest),
    ROW("reset", -2, ADMIN, "2.8.13", "Forgets samples.", latency_reset),
    {.name = NULL},
};

const struct command commands_latency[] = {
    {.name = "latency",
     .arity = -2,
     .group = "server",
     .since = "2.8.13",
     .summary = "Spikes of latency on this node.",
     .complexity = "Depends on subcommand.",
     .subcommands = subcommands,
     .note = "events are command and fast-command: how long commands of this node's clients ran on "
             "this node; histograms are exact to an eighth; DOCTOR and GRAPH have their own form"},
    {.name = NULL},
};
