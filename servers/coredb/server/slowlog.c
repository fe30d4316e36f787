/* The slow log: a list with the newest first, as long as slowlog-max-len says. */
#include "coredb/server/slowlog.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/command/measure.h"
#include "coredb/server/latency.h"
#include "coredb/server/server.h"
#include "coredb/server/surface.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ON_THEIR_WAY_MAX = 4096, /* from the node's threads to the loop's; more are dropped */
    SHOWN = 10,              /* by SLOWLOG GET without a count */
};

struct entry {
    struct list_link link;
    uint64_t id;
    uint64_t time_s;
    uint64_t duration_us;
    struct buffer arguments; /* slices */
    size_t argument_count;
    char address[CONNECTION_ADDRESS_MAX];
    struct buffer name;
};

/* A slow command on its way to the loop's thread. */
struct delivery {
    struct loop_task task;
    struct slowlog *slowlog;
    uint64_t number; /* of the waiter or client */
    uint64_t duration_ns;
    const struct command *command;
    struct buffer arguments; /* slices, as in `entry` */
    size_t argument_count;
};

struct slowlog {
    struct server *server;
    struct list_link entries; /* newest last */
    uint64_t count;
    uint64_t last_id;
    int64_t slower_than_us; /* negative: nothing is */
    uint64_t longest;       /* entries kept */
    uint64_t latency_ms;    /* 0: LATENCY wants none */
    atomic_size_t on_their_way;
};

/* ---- Arguments ---- */

/* Passwords are not kept. */
static bool is_secret(const struct command *command, const rr_bytes *argv, size_t argc, size_t i)
{
    if (strcmp(command->name, "auth") == 0) {
        return i > 0;
    }
    if (strcmp(command->name, "hello") == 0) {
        return i > 2 && (bytes_is(argv[i - 1], "auth") || bytes_is(argv[i - 2], "auth"));
    }
    return strcmp(command->name, "set") == 0 && bytes_is(argv[0], "config") && i > 2 && i < argc &&
           (bytes_is(argv[i - 1], "requirepass") || bytes_is(argv[i - 1], "masterauth"));
}

static void put_argument(struct buffer *out, rr_bytes argument)
{
    char more[64];
    if (argument.size <= SLOWLOG_ARGUMENT_BYTES_MAX) {
        buffer_put_slice(out, argument);
        return;
    }
    int size = snprintf(more, sizeof(more), "... (%zu more bytes)",
                        argument.size - SLOWLOG_ARGUMENT_BYTES_MAX);
    buffer_put_u32(out, SLOWLOG_ARGUMENT_BYTES_MAX + (uint32_t)size);
    buffer_append(out, argument.data, SLOWLOG_ARGUMENT_BYTES_MAX);
    buffer_append(out, more, (size_t)size);
}

/* Appends what is kept of the arguments as slices; returns how many. Any thread. */
static size_t put_arguments(struct buffer *out, const struct command *command, const rr_bytes *argv,
                            size_t argc)
{
    size_t kept = argc <= SLOWLOG_ARGUMENTS_MAX ? argc : SLOWLOG_ARGUMENTS_MAX - 1;
    for (size_t i = 0; i < kept; i++) {
        put_argument(out, is_secret(command, argv, argc, i) ? bytes_of("(redacted)") : argv[i]);
    }
    if (kept < argc) {
        char more[64];
        snprintf(more, sizeof(more), "... (%zu more arguments)", argc - kept);
        buffer_put_slice(out, bytes_of(more));
        return kept + 1;
    }
    return kept;
}

/* ---- Entries ---- */

static void entry_free(struct entry *entry)
{
    buffer_deinit(&entry->arguments);
    buffer_deinit(&entry->name);
    free(entry);
}

static void trim(struct slowlog *slowlog, uint64_t longest)
{
    while (slowlog->count > longest) {
        struct entry *oldest = LIST_OWNER(slowlog->entries.next, struct entry, link);
        list_remove(&oldest->link);
        entry_free(oldest);
        slowlog->count--;
    }
}

/* `arguments` is taken. `client` may be gone: NULL. */
static void add(struct slowlog *slowlog, const struct client *client, struct buffer *arguments,
                size_t argument_count, uint64_t duration_ns)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL || arguments->failed) {
        free(entry);
        buffer_deinit(arguments);
        return;
    }
    entry->id = slowlog->last_id++;
    entry->time_s = server_wall_ms() / 1000;
    entry->duration_us = duration_ns / 1000;
    entry->arguments = *arguments;
    entry->argument_count = argument_count;
    buffer_init(&entry->name);
    if (client != NULL && client->connection != NULL) {
        connection_peer(client->connection, entry->address);
        buffer_append_bytes(&entry->name, buffer_bytes(&client->name));
    }
    list_append(&slowlog->entries, &entry->link);
    slowlog->count++;
    trim(slowlog, slowlog->longest);
}

static bool is_slow(const struct slowlog *slowlog, uint64_t duration_ns)
{
    return slowlog->slower_than_us >= 0 && duration_ns / 1000 >= (uint64_t)slowlog->slower_than_us;
}

static void note_latency(struct slowlog *slowlog, const struct command *command,
                         uint64_t duration_ns)
{
    uint64_t duration_ms = duration_ns / 1000000;
    if (slowlog->latency_ms > 0 && duration_ms >= slowlog->latency_ms) {
        bool fast = (command->flags & COMMAND_FAST) != 0;
        latency_add(slowlog->server->latency, fast ? "fast-command" : "command", duration_ms);
    }
}

/* ---- From where commands run ---- */

static const struct client *find_client(struct server *server, uint64_t number)
{
    if ((number & SLOWLOG_CLIENT_BIT) != 0) {
        return client_find(server, number & ~SLOWLOG_CLIENT_BIT);
    }
    for (struct list_link *link = server->clients.next; link != &server->clients;
         link = link->next) {
        const struct client *client = LIST_OWNER(link, struct client, link);
        if (client->waiter == number) {
            return client;
        }
    }
    return NULL;
}

static void deliver(void *arg)
{
    struct delivery *delivery = arg;
    struct slowlog *slowlog = delivery->slowlog;
    atomic_fetch_sub(&slowlog->on_their_way, 1);
    note_latency(slowlog, delivery->command, delivery->duration_ns);
    if (is_slow(slowlog, delivery->duration_ns)) {
        add(slowlog, find_client(slowlog->server, delivery->number), &delivery->arguments,
            delivery->argument_count, delivery->duration_ns);
    } else {
        buffer_deinit(&delivery->arguments);
    }
    free(delivery);
}

/* Any of the node's threads. */
static void on_slow(void *arg, const struct waiter_id *who, const struct measure_run *run,
                    const rr_bytes *argv, size_t argc)
{
    struct slowlog *slowlog = arg;
    if (atomic_fetch_add(&slowlog->on_their_way, 1) >= ON_THEIR_WAY_MAX) {
        atomic_fetch_sub(&slowlog->on_their_way, 1);
        return;
    }
    struct delivery *delivery = calloc(1, sizeof(*delivery));
    if (delivery == NULL) {
        atomic_fetch_sub(&slowlog->on_their_way, 1);
        return;
    }
    delivery->slowlog = slowlog;
    delivery->number = who->number;
    delivery->duration_ns = run->duration_ns;
    delivery->command = run->command;
    buffer_init(&delivery->arguments);
    delivery->argument_count = put_arguments(&delivery->arguments, run->command, argv, argc);
    delivery->task.run = deliver;
    delivery->task.arg = delivery;
    loop_post(slowlog->server->loop, &delivery->task);
}

void slowlog_local(struct slowlog *slowlog, const struct client *client,
                   const struct command *command, const rr_bytes *argv, size_t argc,
                   uint64_t duration_ns)
{
    note_latency(slowlog, command, duration_ns);
    if (is_slow(slowlog, duration_ns)) {
        struct buffer arguments;
        buffer_init(&arguments);
        size_t count = put_arguments(&arguments, command, argv, argc);
        add(slowlog, client, &arguments, count, duration_ns);
    }
}

/* ---- Life ---- */

void slowlog_configure(struct slowlog *slowlog)
{
    const struct settings *settings = slowlog->server->settings;
    slowlog->slower_than_us = settings_number(settings, SETTING_SLOWLOG_SLOWER_THAN);
    slowlog->longest = (uint64_t)settings_number(settings, SETTING_SLOWLOG_MAX_LEN);
    slowlog->latency_ms = (uint64_t)settings_number(settings, SETTING_LATENCY_THRESHOLD);
    uint64_t slow_ns = UINT64_MAX;
    if (slowlog->slower_than_us >= 0 && slowlog->slower_than_us < INT64_MAX / 1000) {
        slow_ns = (uint64_t)slowlog->slower_than_us * 1000;
    }
    if (slowlog->latency_ms > 0 && slowlog->latency_ms < slow_ns / 1000000) {
        slow_ns = slowlog->latency_ms * 1000000;
    }
    atomic_store(&slowlog->server->measure->slow_ns, slow_ns);
    trim(slowlog, slowlog->longest);
}

struct slowlog *slowlog_new(struct server *server)
{
    struct slowlog *slowlog = calloc(1, sizeof(*slowlog));
    if (slowlog == NULL) {
        abort();
    }
    slowlog->server = server;
    list_init(&slowlog->entries);
    server->measure->slow = on_slow;
    server->measure->slow_arg = slowlog;
    slowlog_configure(slowlog);
    return slowlog;
}

void slowlog_free(struct slowlog *slowlog)
{
    if (slowlog != NULL) {
        trim(slowlog, 0);
        free(slowlog);
    }
}

/* ---- SLOWLOG ---- */

static void put_entry(struct reply *reply, const struct entry *entry)
{
    reply_array(reply, 6);
    reply_integer(reply, (int64_t)entry->id);
    reply_integer(reply, (int64_t)entry->time_s);
    reply_integer(reply, (int64_t)entry->duration_us);
    reply_array(reply, entry->argument_count);
    struct reader reader = reader_of(buffer_bytes(&entry->arguments));
    for (size_t i = 0; i < entry->argument_count; i++) {
        reply_bulk(reply, reader_slice(&reader));
    }
    reply_bulk_text(reply, entry->address);
    reply_bulk(reply, buffer_bytes(&entry->name));
}

static void slowlog_get(struct client *client, const rr_bytes *argv, size_t argc)
{
    const struct slowlog *slowlog = client->server->slowlog;
    int64_t count = SHOWN;
    if (argc > 3) {
        surface_refuse_arguments(client, argv, "SLOWLOG");
        return;
    }
    if (argc == 3 && (!number_parse_i64(argv[2], &count) || count < -1)) {
        reply_error(&client->reply, "ERR count should be greater than or equal to -1");
        return;
    }
    uint64_t shown =
        count < 0 || (uint64_t)count > slowlog->count ? slowlog->count : (uint64_t)count;
    reply_array(&client->reply, (size_t)shown);
    const struct list_link *link = slowlog->entries.previous;
    for (uint64_t i = 0; i < shown; i++, link = link->previous) {
        put_entry(&client->reply, LIST_OWNER(link, struct entry, link));
    }
}

static void slowlog_len(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_integer(&client->reply, (int64_t)client->server->slowlog->count);
}

static void slowlog_reset(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    trim(client->server->slowlog, 0);
    reply_ok(&client->reply);
}

static void slowlog_help(struct client *client, const rr_bytes *argv, size_t argc)
{
    static const char *const lines[] = {
        "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET [<count>]",
        "    Show the newest <count> entries (default: 10, -1: all). Each is made of:",
        "    id, time in seconds, duration in microseconds, arguments, client's address,",
        "    client's name",
        "LEN",
        "    Tell how many entries there are.",
        "RESET",
        "    Forget all entries.",
        "HELP",
        "    Print this help.",
    };
    (void)argv;
    (void)argc;
    reply_lines(&client->reply, lines, sizeof(lines) / sizeof(*lines));
}

#define ADMIN (COMMAND_ADMIN | COMMAND_LOADING | COMMAND_STALE)
#define ROW(name_, arity_, flags_, since_, summary_, complexity_, local_)                          \
    {                                                                                              \
        .name = (name_), .arity = (arity_), .flags = (flags_), .group = "server",                  \
        .since = (since_), .summary = (summary_), .complexity = (complexity_), .local = (local_)   \
    }

static const struct command subcommands[] = {
    ROW("get", -2, ADMIN, "2.2.12", "Shows the newest slow commands.", "O(N) with N entries shown",
        slowlog_get),
    ROW("help", 2, COMMAND_LOADING | COMMAND_STALE, "6.2.0", "Tells about the subcommands.", "O(1)",
        slowlog_help),
    ROW("len", 2, ADMIN, "2.2.12", "Counts the slow commands that are kept.", "O(1)", slowlog_len),
    ROW("reset", 2, ADMIN, "2.2.12", "Forgets all slow commands.", "O(N) with N entries",
        slowlog_reset),
    {.name = NULL},
};

const struct command commands_slowlog[] = {
    {.name = "slowlog",
     .arity = -2,
     .group = "server",
     .since = "2.2.12",
     .summary = "Commands of this node's clients that took long to run.",
     .complexity = "Depends on subcommand.",
     .subcommands = subcommands,
     .note = "of this node and its clients; a write's duration is that of its run on this node, "
             "without its way through the log"},
    {.name = NULL},
};
