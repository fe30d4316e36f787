/* MEMORY: what the process has in use. USAGE of a key is the data commands' (generic.h). */
#include "coredb/base/bytes.h"
#include "coredb/command/generic.h"
#include "coredb/server/client.h"
#include "coredb/server/memory.h"
#include "coredb/server/server.h"
#include "coredb/server/surface.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jemalloc's, where the program was linked with it (RocksDB's library usually is). */
extern int mallctl(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size)
    __attribute__((weak));
extern void malloc_stats_print(void (*write)(void *arg, const char *text), void *arg,
                               const char *options) __attribute__((weak));

/* ---- What is known ---- */

static uint64_t process_bytes(const char *field)
{
    char text[256];
    uint64_t kib = 0;
    size_t size = strlen(field);
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(text, sizeof(text), file) != NULL) {
        if (strncmp(text, field, size) == 0 && text[size] == ':') {
            kib = strtoull(text + size + 1, NULL, 10);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return kib * 1024;
}

static uint64_t allocator_bytes(const char *name, uint64_t otherwise)
{
    size_t value = 0;
    size_t size = sizeof(value);
    return mallctl != NULL && mallctl(name, &value, &size, NULL, 0) == 0 ? value : otherwise;
}

void memory_look(struct memory *out)
{
    uint64_t epoch = 1;
    if (mallctl != NULL) {
        (void)mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)); /* older numbers do, too */
    }
    out->resident = process_bytes("VmRSS");
    out->peak = process_bytes("VmHWM");
    out->allocated = allocator_bytes("stats.allocated", out->resident);
    out->active = allocator_bytes("stats.active", out->resident);
    out->mapped = allocator_bytes("stats.resident", out->resident);
    out->allocator = mallctl != NULL ? "jemalloc" : "libc";
}

double memory_ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 1.0;
}

uint64_t memory_of_clients(const struct server *server)
{
    uint64_t sum = 0;
    for (const struct list_link *link = server->clients.next; link != &server->clients;
         link = link->next) {
        const struct client *client = LIST_OWNER(link, struct client, link);
        sum += sizeof(*client) + client->parser.input.capacity + client->call.input.capacity +
               client->call.output.capacity + connection_unsent(client->connection);
    }
    return sum;
}

/* ---- The subcommands ---- */

static void put_bytes(struct reply *reply, const char *name, uint64_t value)
{
    reply_bulk_text(reply, name);
    reply_integer(reply, (int64_t)value);
}

static void put_ratio(struct reply *reply, const char *name, double value)
{
    reply_bulk_text(reply, name);
    reply_double(reply, value);
}

static void memory_stats(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    struct memory memory;
    memory_look(&memory);
    struct reply *reply = &client->reply;
    reply_map(reply, 10);
    put_bytes(reply, "peak.allocated", memory.peak);
    put_bytes(reply, "total.allocated", memory.allocated);
    put_bytes(reply, "clients.normal", memory_of_clients(client->server));
    put_bytes(reply, "allocator.allocated", memory.allocated);
    put_bytes(reply, "allocator.active", memory.active);
    put_bytes(reply, "allocator.resident", memory.mapped);
    put_ratio(reply, "allocator-fragmentation.ratio",
              memory_ratio(memory.active, memory.allocated));
    put_bytes(reply, "allocator-fragmentation.bytes", memory.active - memory.allocated);
    put_ratio(reply, "fragmentation", memory_ratio(memory.resident, memory.allocated));
    reply_bulk_text(reply, "fragmentation.bytes");
    reply_integer(reply, (int64_t)memory.resident - (int64_t)memory.allocated);
}

static void memory_doctor(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    struct memory memory;
    memory_look(&memory);
    double ratio = memory_ratio(memory.resident, memory.allocated);
    uint64_t clients = memory_of_clients(client->server);
    char text[640];
    snprintf(text, sizeof(text),
             "In use: %" PRIu64 " MB, resident: %" PRIu64
             " MB (%.2f times that), clients' buffers: "
             "%" PRIu64 " MB.\nThe data is on disk; memory holds caches and what is under way. "
             "rocksdb.block_cache_bytes and rocksdb.memtable_bytes of the configuration bound the "
             "caches.\n%s",
             memory.allocated >> 20, memory.resident >> 20, ratio, clients >> 20,
             clients > memory.allocated / 2
                 ? "Most of it belongs to clients that read slowly or send much: CLIENT LIST shows "
                   "qbuf and omem of each.\n"
             : ratio > 2 && memory.resident > 256U << 20
                 ? "Much is free, but not given back: MEMORY PURGE does that.\n"
                 : "Nothing is out of the ordinary.\n");
    reply_verbatim(&client->reply, "txt", bytes_of(text));
}

static void memory_purge(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    /* 4096 is jemalloc's number for all arenas together. */
    if (mallctl != NULL && mallctl("arena.4096.purge", NULL, NULL, NULL, 0) != 0) {
        reply_error(&client->reply, "ERR Error purging dirty pages");
        return;
    }
    reply_ok(&client->reply);
}

static void append_text(void *out, const char *text)
{
    buffer_append_text(out, text);
}

static void memory_malloc_stats(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    struct buffer out;
    buffer_init(&out);
    if (malloc_stats_print != NULL) {
        malloc_stats_print(append_text, &out, "a"); /* without each arena */
    } else {
        buffer_append_text(&out, "Stats not supported for the current allocator");
    }
    reply_verbatim(&client->reply, "txt", buffer_bytes(&out));
    buffer_deinit(&out);
}

static void memory_help(struct client *client, const rr_bytes *argv, size_t argc)
{
    static const char *const lines[] = {
        "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "DOCTOR",
        "    Tell about the use of memory in words.",
        "MALLOC-STATS",
        "    Show the statistics of the allocator.",
        "PURGE",
        "    Give memory that is free back to the system.",
        "STATS",
        "    Show how much memory is in use.",
        "USAGE <key> [SAMPLES <count>]",
        "    Estimate the bytes that <key> and its value take. Of a collection, up to <count>",
        "    elements are measured (default: 5, 0 means all).",
        "HELP",
        "    Print this help.",
    };
    (void)argv;
    (void)argc;
    reply_lines(&client->reply, lines, sizeof(lines) / sizeof(*lines));
}

/* ---- The rows ---- */

#define ROW(name_, arity_, flags_, summary_, local_)                                               \
    {                                                                                              \
        .name = (name_), .arity = (arity_), .flags = (flags_), .group = "server",                  \
        .since = "4.0.0", .summary = (summary_), .complexity = "O(1)", .local = (local_)           \
    }

static const struct command subcommands[] = {
    ROW("doctor", 2, 0, "Tells about the use of memory in words.", memory_doctor),
    ROW("help", 2, COMMAND_LOADING | COMMAND_STALE, "Tells about the subcommands.", memory_help),
    ROW("malloc-stats", 2, 0, "Shows the statistics of the allocator.", memory_malloc_stats),
    ROW("purge", 2, 0, "Gives free memory back to the system.", memory_purge),
    ROW("stats", 2, 0, "Shows how much memory is in use.", memory_stats),
    GENERIC_MEMORY_USAGE,
    {.name = NULL},
};

const struct command commands_memory[] = {
    {.name = "memory",
     .arity = -2,
     .group = "server",
     .since = "4.0.0",
     .summary = "Tells about the memory that data takes, and of this process.",
     .complexity = "Depends on subcommand.",
     .subcommands = subcommands,
     .note = "of this node's process; STATS has what is known here, DOCTOR its own words"},
    {.name = NULL},
};
