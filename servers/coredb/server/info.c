/* INFO: the numbers of this node, in the sections and under the names that Redis's tools read. */
#include "coredb/server/blocked.h"
#include "coredb/server/client.h"
#include "coredb/server/memory.h"
#include "coredb/server/messaging.h"
#include "coredb/server/pubsub.h"
#include "coredb/server/server.h"
#include "coredb/server/steps.h"
#include "coredb/server/surface.h"

#include "coredb/base/bytes.h"
#include "coredb/command/batch.h"
#include "coredb/command/measure.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 600 }; /* longer ones are cut */

/* A line of INFO, printf-like, with its end. */
static void line(struct buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line(struct buffer *out, const char *format, ...)
{
    char text[LINE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    buffer_append_text(out, text);
    buffer_append_text(out, "\r\n");
}

static void human(struct buffer *out, const char *name, uint64_t bytes)
{
    static const char units[] = "BKMGTP";
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof(units) - 1) {
        value /= 1024;
        unit++;
    }
    line(out, unit == 0 ? "%s_human:%.0f%c" : "%s_human:%.2f%c", name, value, units[unit]);
}

static void put_server(struct server *server, struct buffer *out)
{
    struct utsname system;
    char config[PATH_MAX];
    char executable[512] = "";
    ssize_t size = readlink("/proc/self/exe", executable, sizeof(executable) - 1);
    executable[size > 0 ? size : 0] = '\0';
    uint64_t uptime_s = (server_wall_ms() - server->started_ms) / 1000;
    const char *port = strrchr(server->address, ':');
    memset(&system, 0, sizeof(system));
    (void)uname(&system);
    line(out, "redis_version:%s", SURFACE_REDIS_VERSION);
    line(out, "redis_git_sha1:00000000");
    line(out, "redis_git_dirty:0");
    line(out, "redis_build_id:0");
    line(out, "redis_mode:standalone");
    line(out, "coredb_version:%s", RR_VERSION);
    line(out, "os:%s %s %s", system.sysname, system.release, system.machine);
    line(out, "arch_bits:%zu", sizeof(void *) * 8);
    line(out, "monotonic_clock:POSIX clock_gettime");
    line(out, "multiplexing_api:epoll");
    line(out, "atomicvar_api:c11-builtin");
    line(out, "gcc_version:%d.%d.%d", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
    line(out, "process_id:%ld", (long)getpid());
    line(out, "process_supervised:no");
    line(out, "run_id:%s", server->run_id);
    line(out, "tcp_port:%s", port == NULL ? "0" : port + 1);
    line(out, "server_time_usec:%" PRIu64, server_wall_us());
    line(out, "uptime_in_seconds:%" PRIu64, uptime_s);
    line(out, "uptime_in_days:%" PRIu64, uptime_s / 86400);
    line(out, "hz:10");
    line(out, "configured_hz:10");
    line(out, "lru_clock:%" PRIu64, server_wall_ms() / 1000 & 0xFFFFFF);
    line(out, "executable:%s", executable);
    const char *path = server->config_path != NULL ? realpath(server->config_path, config) : NULL;
    line(out, "config_file:%s", path != NULL ? path : "");
    line(out, "io_threads_active:0");
}

static void put_clients(struct server *server, struct buffer *out)
{
    size_t input_max = 0;
    size_t output_max = 0;
    for (struct list_link *link = server->clients.next; link != &server->clients;
         link = link->next) {
        const struct client *client = LIST_OWNER(link, struct client, link);
        size_t input = client->parser.input.capacity;
        size_t output = connection_unsent(client->connection);
        input_max = input > input_max ? input : input_max;
        output_max = output > output_max ? output : output_max;
    }
    line(out, "connected_clients:%zu", server->client_count);
    line(out, "cluster_connections:0");
    line(out, "maxclients:%s", settings_text(server->settings, SETTING_MAXCLIENTS));
    line(out, "client_recent_max_input_buffer:%zu", input_max);
    line(out, "client_recent_max_output_buffer:%zu", output_max);
    line(out, "blocked_clients:%zu", server->blocked_count);
    line(out, "tracking_clients:0");
    line(out, "clients_in_timeout_table:0");
}

static void put_memory(struct server *server, struct buffer *out)
{
    struct memory memory;
    memory_look(&memory);
    uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    line(out, "used_memory:%" PRIu64, memory.allocated);
    human(out, "used_memory", memory.allocated);
    line(out, "used_memory_rss:%" PRIu64, memory.resident);
    human(out, "used_memory_rss", memory.resident);
    line(out, "used_memory_peak:%" PRIu64, memory.peak);
    human(out, "used_memory_peak", memory.peak);
    line(out, "used_memory_peak_perc:%.2f%%", memory_ratio(memory.allocated, memory.peak) * 100);
    line(out, "allocator_allocated:%" PRIu64, memory.allocated);
    line(out, "allocator_active:%" PRIu64, memory.active);
    line(out, "allocator_resident:%" PRIu64, memory.mapped);
    line(out, "used_memory_lua:0");
    line(out, "total_system_memory:%" PRIu64, total);
    human(out, "total_system_memory", total);
    line(out, "maxmemory:0");
    line(out, "maxmemory_human:0B");
    line(out, "maxmemory_policy:noeviction");
    line(out, "allocator_frag_ratio:%.2f", memory_ratio(memory.active, memory.allocated));
    line(out, "allocator_frag_bytes:%" PRIu64, memory.active - memory.allocated);
    line(out, "allocator_rss_ratio:%.2f", memory_ratio(memory.mapped, memory.active));
    line(out, "allocator_rss_bytes:%" PRIu64, memory.mapped - memory.active);
    line(out, "mem_fragmentation_ratio:%.2f", memory_ratio(memory.resident, memory.allocated));
    line(out, "mem_fragmentation_bytes:%" PRId64,
         (int64_t)memory.resident - (int64_t)memory.allocated);
    line(out, "mem_clients_normal:%" PRIu64, memory_of_clients(server));
    line(out, "mem_clients_slaves:0");
    line(out, "mem_allocator:%s", memory.allocator);
    line(out, "active_defrag_running:0");
    line(out, "lazyfree_pending_objects:0");
}

static void get_info(struct server *server, rr_node_info *info)
{
    memset(info, 0, sizeof(*info));
    info->struct_size = sizeof(*info);
    rr_node_get_info(server->node, info);
}

static void put_persistence(struct server *server, struct buffer *out)
{
    rr_node_info info;
    get_info(server, &info);
    const struct sampling *sampling = &server->sampling;
    uint64_t saved_ms = sampling->snapshot_ms > 0 ? sampling->snapshot_ms : server->started_ms;
    line(out, "loading:0");
    line(out, "async_loading:0");
    line(out, "rdb_changes_since_last_save:%" PRIu64, info.applied_index - info.snapshot_index);
    line(out, "rdb_bgsave_in_progress:0");
    line(out, "rdb_last_save_time:%" PRIu64, saved_ms / 1000);
    line(out, "rdb_last_bgsave_status:ok");
    line(out, "rdb_last_bgsave_time_sec:-1");
    line(out, "rdb_current_bgsave_time_sec:-1");
    line(out, "aof_enabled:1");
    line(out, "aof_rewrite_in_progress:0");
    line(out, "aof_rewrite_scheduled:0");
    line(out, "aof_last_rewrite_time_sec:-1");
    line(out, "aof_current_rewrite_time_sec:-1");
    line(out, "aof_last_bgrewrite_status:ok");
    line(out, "aof_last_write_status:ok");
}

static void put_stats(struct server *server, struct buffer *out)
{
    const struct server_statistics *statistics = &server->statistics;
    const struct sampling *sampling = &server->sampling;
    const struct measure *measure = server->measure;
    const struct connection_totals *totals = connection_totals();
    const struct pubsub *pubsub = messaging_of(server)->pubsub;
    line(out, "total_connections_received:%" PRIu64, statistics->connections);
    line(out, "total_commands_processed:%" PRIu64, statistics->commands);
    line(out, "instantaneous_ops_per_sec:%" PRIu64, sampling_rate(sampling, SAMPLED_COMMANDS));
    line(out, "total_net_input_bytes:%" PRIu64, totals->received - statistics->input_bytes_before);
    line(out, "total_net_output_bytes:%" PRIu64, totals->sent - statistics->output_bytes_before);
    line(out, "instantaneous_input_kbps:%.2f",
         (double)sampling_rate(sampling, SAMPLED_INPUT_BYTES) / 1024);
    line(out, "instantaneous_output_kbps:%.2f",
         (double)sampling_rate(sampling, SAMPLED_OUTPUT_BYTES) / 1024);
    line(out, "rejected_connections:%" PRIu64, statistics->rejected_connections);
    line(out, "sync_full:0");
    line(out, "sync_partial_ok:0");
    line(out, "sync_partial_err:0");
    line(out, "expired_keys:%" PRIu64, (uint64_t)atomic_load(&measure->expired));
    line(out, "evicted_keys:0");
    line(out, "evicted_clients:%" PRIu64, statistics->evicted_clients);
    line(out, "keyspace_hits:%" PRIu64, (uint64_t)atomic_load(&measure->hits));
    line(out, "keyspace_misses:%" PRIu64, (uint64_t)atomic_load(&measure->misses));
    line(out, "pubsub_channels:%zu", pubsub_count(pubsub, PUBSUB_CHANNEL));
    line(out, "pubsub_patterns:%zu", pubsub_count(pubsub, PUBSUB_PATTERN));
    line(out, "pubsubshard_channels:%zu", pubsub_count(pubsub, PUBSUB_SHARD));
    line(out, "latest_fork_usec:0");
    line(out, "total_forks:0");
    line(out, "migrate_cached_sockets:0");
    line(out, "tracking_total_keys:0");
    line(out, "tracking_total_items:0");
    line(out, "tracking_total_prefixes:0");
    line(out, "unexpected_error_replies:0");
    line(out, "total_error_replies:%" PRIu64, statistics->errors);
    line(out, "unknown_outcomes:%" PRIu64, statistics->unknown_outcomes);
}

/* Clients that ask for a master write to any node, so that every node says that it is one. */
static void put_replication(struct server *server, struct buffer *out)
{
    rr_node_info info;
    get_info(server, &info);
    size_t members = rr_node_members(server->node, NULL, 0);
    line(out, "role:master");
    line(out, "connected_slaves:%zu",
         info.role == RR_LEADER && members > 0 ? members - 1 : (size_t)0);
    line(out, "master_failover_state:no-failover");
    line(out, "master_replid:%s", server->run_id);
    line(out, "master_replid2:%040d", 0);
    line(out, "master_repl_offset:%" PRIu64, info.applied_index);
    line(out, "second_repl_offset:-1");
    line(out, "repl_backlog_active:0");
    line(out, "repl_backlog_size:0");
    line(out, "repl_backlog_first_byte_offset:0");
    line(out, "repl_backlog_histlen:0");
}

static void put_cpu(struct server *server, struct buffer *out)
{
    struct rusage usage;
    (void)server;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        line(out, "used_cpu_sys:%ld.%06ld", (long)usage.ru_stime.tv_sec,
             (long)usage.ru_stime.tv_usec);
        line(out, "used_cpu_user:%ld.%06ld", (long)usage.ru_utime.tv_sec,
             (long)usage.ru_utime.tv_usec);
    }
    if (getrusage(RUSAGE_THREAD, &usage) == 0) {
        line(out, "used_cpu_sys_main_thread:%ld.%06ld", (long)usage.ru_stime.tv_sec,
             (long)usage.ru_stime.tv_usec);
        line(out, "used_cpu_user_main_thread:%ld.%06ld", (long)usage.ru_utime.tv_sec,
             (long)usage.ru_utime.tv_usec);
    }
    line(out, "used_cpu_sys_children:0.000000");
    line(out, "used_cpu_user_children:0.000000");
}

static void put_modules(struct server *server, struct buffer *out)
{
    (void)server;
    (void)out;
}

static void put_errors(struct server *server, struct buffer *out)
{
    const struct sampling *sampling = &server->sampling;
    for (size_t i = 0; i < sampling->error_count; i++) {
        line(out, "errorstat_%s:count=%" PRIu64, sampling->errors[i].code,
             sampling->errors[i].count);
    }
}

static const char *full_name(const struct measure_counts *counts, char out[80])
{
    snprintf(out, 80, "%s%s%s", counts->container != NULL ? counts->container->name : "",
             counts->container != NULL ? "|" : "", counts->command->name);
    return out;
}

static void put_commands(struct server *server, struct buffer *out)
{
    size_t position = 0;
    struct measure_counts *counts;
    while ((counts = measure_next(server->measure, &position)) != NULL) {
        char name[80];
        uint64_t calls = atomic_load(&counts->calls);
        uint64_t rejected = atomic_load(&counts->rejected);
        double usec = (double)atomic_load(&counts->total_ns) / 1000;
        if (calls == 0 && rejected == 0) {
            continue;
        }
        line(out,
             "cmdstat_%s:calls=%" PRIu64 ",usec=%.0f,usec_per_call=%.2f,rejected_calls=%" PRIu64
             ",failed_calls=%" PRIu64,
             full_name(counts, name), calls, usec, calls > 0 ? usec / (double)calls : 0.0, rejected,
             (uint64_t)atomic_load(&counts->failed));
    }
}

static void put_latencies(struct server *server, struct buffer *out)
{
    static const double percents[] = {50, 99, 99.9};
    size_t position = 0;
    struct measure_counts *counts;
    while ((counts = measure_next(server->measure, &position)) != NULL) {
        char name[80];
        double usec[3];
        for (size_t i = 0; i < 3; i++) {
            usec[i] = (double)measure_percentile_ns(counts, percents[i]) / 1000;
        }
        if (atomic_load(&counts->calls) > 0) {
            line(out, "latency_percentiles_usec_%s:p50=%.3f,p99=%.3f,p99.9=%.3f",
                 full_name(counts, name), usec[0], usec[1], usec[2]);
        }
    }
}

static void put_cluster(struct server *server, struct buffer *out)
{
    (void)server;
    line(out, "cluster_enabled:0");
}

static void put_raft(struct server *server, struct buffer *out)
{
    rr_node_info info;
    get_info(server, &info);
    line(out, "raft_node_id:%" PRIu64, info.node_id);
    line(out, "raft_cluster_id:%016" PRIx64, info.cluster_id);
    line(out, "raft_role:%s", server_role_name(info.role));
    line(out, "raft_leader:%" PRIu64, info.leader);
    line(out, "raft_term:%" PRIu64, info.term);
    line(out, "raft_first_index:%" PRIu64, info.first_index);
    line(out, "raft_last_index:%" PRIu64, info.last_index);
    line(out, "raft_commit_index:%" PRIu64, info.commit_index);
    line(out, "raft_applied_index:%" PRIu64, info.applied_index);
    line(out, "raft_snapshot_index:%" PRIu64, info.snapshot_index);
    line(out, "raft_members:%zu", rr_node_members(server->node, NULL, 0));
}

static void put_metric(void *arg, const char *name, const char *help, bool counter, double value)
{
    (void)help;
    (void)counter;
    line(arg, "node_%s:%.17g", name, value);
}

static void put_node(struct server *server, struct buffer *out)
{
    rr_node_metrics(server->node, put_metric, out);
}

/* What BATCH_KEYSPACE has answered. */
static void put_keyspace(struct buffer *out, rr_bytes answer)
{
    struct reader reader = reader_of(answer);
    uint8_t count = reader_u8(&reader);
    for (unsigned i = 0; i < count && !reader.failed; i++) {
        uint64_t keys = reader_u64(&reader);
        uint64_t expiring = reader_u64(&reader);
        if (keys > 0 && !reader.failed) {
            line(out, "db%u:keys=%" PRIu64 ",expires=%" PRIu64 ",avg_ttl=0", i, keys, expiring);
        }
    }
}

struct section {
    const char *name;
    const char *title;
    void (*put)(struct server *server, struct buffer *out); /* NULL: the keyspace */
    bool on_demand;                                         /* not part of the default */
};

static const struct section sections[] = {
    {"server", "Server", put_server, false},
    {"clients", "Clients", put_clients, false},
    {"memory", "Memory", put_memory, false},
    {"persistence", "Persistence", put_persistence, false},
    {"stats", "Stats", put_stats, false},
    {"replication", "Replication", put_replication, false},
    {"cpu", "CPU", put_cpu, false},
    {"modules", "Modules", put_modules, false},
    {"commandstats", "Commandstats", put_commands, true},
    {"errorstats", "Errorstats", put_errors, false},
    {"latencystats", "Latencystats", put_latencies, true},
    {"cluster", "Cluster", put_cluster, false},
    {"raft", "Raft", put_raft, false},
    {"node", "Node", put_node, true},
    {"keyspace", "Keyspace", NULL, false},
};

static bool is_wanted(const struct section *section, const rr_bytes *argv, size_t argc)
{
    if (argc == 1) {
        return !section->on_demand;
    }
    for (size_t i = 1; i < argc; i++) {
        if (bytes_is(argv[i], section->name) || bytes_is(argv[i], "all") ||
            bytes_is(argv[i], "everything") ||
            (bytes_is(argv[i], "default") && !section->on_demand)) {
            return true;
        }
    }
    return false;
}

static void answer(struct client *client, const rr_bytes *argv, size_t argc, rr_bytes keyspace)
{
    struct buffer out;
    buffer_init(&out);
    for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
        const struct section *section = &sections[i];
        if (!is_wanted(section, argv, argc)) {
            continue;
        }
        if (out.size > 0) {
            buffer_append_text(&out, "\r\n");
        }
        line(&out, "# %s", section->title);
        if (section->put != NULL) {
            section->put(client->server, &out);
        } else {
            put_keyspace(&out, keyspace);
        }
    }
    reply_verbatim(&client->reply, "txt", buffer_bytes(&out));
    buffer_deinit(&out);
}

static void command_info(struct client *client, const rr_bytes *argv, size_t argc);

static void keyspace_done(struct call *call)
{
    struct client *client = call->arg;
    if (client->connection == NULL) {
        client_destroy(client);
        return;
    }
    client->state = CLIENT_READY;
    const rr_bytes *argv = parser_argv(&client->parser);
    if (call->status != RR_OK || argv == NULL) {
        steps_status_error(&client->reply, call->status != RR_OK ? call->status : RR_NO_MEMORY,
                           /*reads_only=*/true);
    } else {
        answer(client, argv, client->parser.count, buffer_bytes(&call->output));
    }
    buffer_clear(&call->input);
    steps_answer(client);
    client_advance(client);
}

bool info_wants_keyspace(const struct command *command, const rr_bytes *argv, size_t argc)
{
    return command->local == command_info &&
           is_wanted(&sections[sizeof(sections) / sizeof(*sections) - 1], argv, argc);
}

static void command_info(struct client *client, const rr_bytes *argv, size_t argc)
{
    if (client->in_exec || !info_wants_keyspace(client->last_command, argv, argc)) {
        answer(client, argv, argc, buffer_bytes(&client->keyspace));
        return;
    }
    buffer_clear(&client->call.input);
    batch_keyspace(&client->call.input);
    client->call.done = keyspace_done;
    client->state = CLIENT_CALLING;
    call_query(&client->call, RR_READ_LOCAL);
}

const struct command commands_info[] = {
    {.name = "info",
     .arity = -1,
     .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_SENTINEL,
     .group = "server",
     .since = "1.0.0",
     .summary = "Tells about this node.",
     .complexity = "O(1)",
     .local = command_info,
     .note =
         "sections raft and node are added; used_memory_peak is of the resident memory; every node "
         "calls "
         "itself "
         "a master, since any node takes writes; rdb_* are about snapshots of the log; hits and "
         "misses count lookups of reads by this node's clients; inside MULTI the section "
         "keyspace is empty"},
    {.name = NULL},
};
