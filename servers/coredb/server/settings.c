/*
 * The table of settings. Rows after the last with an id are Redis's: their values are checked for
 * their kind and kept, and change nothing here, as what a command does must not depend on a
 * setting.
 */
#include "coredb/server/settings.h"

#include "coredb/base/buffer.h"
#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/server/notify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum kind {
    KIND_INTEGER,
    KIND_MEMORY, /* with kb, mb, gb */
    KIND_BOOLEAN,
    KIND_TEXT,
    KIND_OCTAL,
    KIND_WORD, /* one of `words` */
    KIND_NOTIFY,
    KIND_OUTPUT_LIMIT,
};

enum { VALUE_BYTES_MAX = 64 * 1024, OUTPUT_CLASSES = 3 };

struct row {
    const char *name;
    enum kind kind;
    int64_t minimum;
    int64_t maximum;
    const char *value;        /* the default */
    bool mutable;             /* by CONFIG SET */
    const char *same;         /* another name of this setting, whose value it shows; NULL: none */
    const char *const *words; /* KIND_WORD: those it may be; ended by NULL */
};

/* The words that settings take. */
static const char *const acl_channels[] = {"allchannels", "resetchannels", NULL};
static const char *const fsyncs[] = {"everysec", "always", "no", NULL};
static const char *const endpoints[] = {"ip", "hostname", "unknown-endpoint", NULL};
static const char *const policies[] = {"volatile-lru",   "volatile-lfu", "volatile-random",
                                       "volatile-ttl",   "allkeys-lru",  "allkeys-lfu",
                                       "allkeys-random", "noeviction",   NULL};
static const char *const oom_scores[] = {"no", "yes", "relative", "absolute", NULL};
static const char *const behaviors[] = {"ignore", "panic", "panic-on-replicas", NULL};
static const char *const loads[] = {"disabled", "on-empty-db", "swapdb", NULL};
static const char *const sanitizings[] = {"no", "yes", "clients", NULL};
static const char *const stops[] = {"default", "save", "nosave", "now", "force", NULL};
static const char *const tls_clients[] = {"no", "yes", "optional", NULL};
static const char *const read_levels[] = {"linearizable", "lease", "local", NULL};
static const char *const debugs[] = {"no", "yes", "local", NULL};

/* clang-format off */
static const struct row rows[] = {
    [SETTING_MAXCLIENTS] = {"maxclients", KIND_INTEGER, 1, 4294967295, "10000", true, NULL},
    [SETTING_TIMEOUT] = {"timeout", KIND_INTEGER, 0, INT32_MAX, "0", true, NULL},
    [SETTING_TCP_KEEPALIVE] = {"tcp-keepalive", KIND_INTEGER, 0, INT32_MAX, "300", true, NULL},
    [SETTING_TCP_BACKLOG] = {"tcp-backlog", KIND_INTEGER, 0, 2147483647, "511", false, NULL},
    [SETTING_REQUIREPASS] = {"requirepass", KIND_TEXT, 0, 0, "", true, NULL},
    [SETTING_READ_LEVEL] = {"read-level", KIND_WORD, 0, 0, "linearizable", true, NULL, read_levels},
    [SETTING_NOTIFY] = {"notify-keyspace-events", KIND_NOTIFY, 0, 0, "", true, NULL},
    [SETTING_SLOWLOG_SLOWER_THAN] = {"slowlog-log-slower-than", KIND_INTEGER, -1, INT64_MAX, "10000", true, NULL},
    [SETTING_SLOWLOG_MAX_LEN] = {"slowlog-max-len", KIND_INTEGER, 0, INT64_MAX, "128", true, NULL},
    [SETTING_LATENCY_THRESHOLD] = {"latency-monitor-threshold", KIND_INTEGER, 0, INT64_MAX, "0", true, NULL},
    [SETTING_OUTPUT_LIMIT] = {"client-output-buffer-limit", KIND_OUTPUT_LIMIT, 0, 0, "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", true, NULL},
    [SETTING_QUERY_LIMIT] = {"client-query-buffer-limit", KIND_MEMORY, 1048576, INT64_MAX, "1073741824", true, NULL},
    [SETTING_CLIENTS_MEMORY] = {"maxmemory-clients", KIND_MEMORY, 0, INT64_MAX, "1073741824", true, NULL},
    [SETTING_DEBUG] = {"enable-debug-command", KIND_WORD, 0, 0, "no", false, NULL, debugs},
    [SETTING_PORT] = {"port", KIND_INTEGER, 0, 65535, "6379", false, NULL},
    [SETTING_BIND] = {"bind", KIND_TEXT, 0, 0, "127.0.0.1", false, NULL},
    [SETTING_DIR] = {"dir", KIND_TEXT, 0, 0, "", false, NULL},
    [SETTING_UNIXSOCKET] = {"unixsocket", KIND_TEXT, 0, 0, "", false, NULL},
    [SETTING_UNIXSOCKETPERM] = {"unixsocketperm", KIND_OCTAL, 0, 511, "0", false, NULL},
    [SETTING_LOGLEVEL] = {"loglevel", KIND_TEXT, 0, 0, "notice", false, NULL},
    [SETTING_LOGFILE] = {"logfile", KIND_TEXT, 0, 0, "", false, NULL},
    [SETTING_PROTECTED] = {"protected-mode", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"acl-pubsub-default", KIND_WORD, 0, 0, "resetchannels", true, NULL, acl_channels},
    {"aclfile", KIND_TEXT, 0, INT64_MAX, "", false, NULL},
    {"acllog-max-len", KIND_INTEGER, 0, INT64_MAX, "128", true, NULL},
    {"active-defrag-cycle-max", KIND_INTEGER, 1, 99, "25", true, NULL},
    {"active-defrag-cycle-min", KIND_INTEGER, 1, 99, "1", true, NULL},
    {"active-defrag-ignore-bytes", KIND_MEMORY, 1, INT64_MAX, "104857600", true, NULL},
    {"active-defrag-max-scan-fields", KIND_INTEGER, 1, INT64_MAX, "1000", true, NULL},
    {"active-defrag-threshold-lower", KIND_INTEGER, 0, 1000, "10", true, NULL},
    {"active-defrag-threshold-upper", KIND_INTEGER, 0, 1000, "100", true, NULL},
    {"active-expire-effort", KIND_INTEGER, 1, 10, "1", true, NULL},
    {"activedefrag", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"activerehashing", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"always-show-logo", KIND_BOOLEAN, 0, INT64_MAX, "no", false, NULL},
    {"aof-disable-auto-gc", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"aof-load-truncated", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"aof-rewrite-incremental-fsync", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"aof-timestamp-enabled", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"aof-use-rdb-preamble", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"aof_rewrite_cpulist", KIND_TEXT, 0, INT64_MAX, "", false, NULL},
    {"appenddirname", KIND_TEXT, 0, INT64_MAX, "appendonlydir", false, NULL},
    {"appendfilename", KIND_TEXT, 0, INT64_MAX, "appendonly.aof", false, NULL},
    {"appendfsync", KIND_WORD, 0, 0, "everysec", true, NULL, fsyncs},
    {"appendonly", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"auto-aof-rewrite-min-size", KIND_MEMORY, 0, INT64_MAX, "67108864", true, NULL},
    {"auto-aof-rewrite-percentage", KIND_INTEGER, 0, INT32_MAX, "100", true, NULL},
    {"bgsave_cpulist", KIND_TEXT, 0, INT64_MAX, "", false, NULL},
    {"bind-source-addr", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"bio_cpulist", KIND_TEXT, 0, INT64_MAX, "", false, NULL},
    {"busy-reply-threshold", KIND_INTEGER, 0, INT64_MAX, "5000", true, NULL},
    {"cluster-allow-pubsubshard-when-down", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"cluster-allow-reads-when-down", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"cluster-allow-replica-migration", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"cluster-announce-bus-port", KIND_INTEGER, 0, 65535, "0", true, NULL},
    {"cluster-announce-hostname", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"cluster-announce-ip", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"cluster-announce-port", KIND_INTEGER, 0, 65535, "0", true, NULL},
    {"cluster-announce-tls-port", KIND_INTEGER, 0, 65535, "0", true, NULL},
    {"cluster-config-file", KIND_TEXT, 0, INT64_MAX, "nodes.conf", false, NULL},
    {"cluster-enabled", KIND_BOOLEAN, 0, INT64_MAX, "no", false, NULL},
    {"cluster-link-sendbuf-limit", KIND_MEMORY, 0, INT64_MAX, "0", true, NULL},
    {"cluster-migration-barrier", KIND_INTEGER, 0, INT32_MAX, "1", true, NULL},
    {"cluster-node-timeout", KIND_INTEGER, 0, INT64_MAX, "15000", true, NULL},
    {"cluster-port", KIND_INTEGER, 0, INT64_MAX, "0", false, NULL},
    {"cluster-preferred-endpoint-type", KIND_WORD, 0, 0, "ip", true, NULL, endpoints},
    {"cluster-replica-no-failover", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"cluster-replica-validity-factor", KIND_INTEGER, 0, INT32_MAX, "10", true, NULL},
    {"cluster-require-full-coverage", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"crash-log-enabled", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"crash-memcheck-enabled", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"daemonize", KIND_BOOLEAN, 0, INT64_MAX, "no", false, NULL},
    {"databases", KIND_INTEGER, 0, INT64_MAX, "16", false, NULL},
    {"dbfilename", KIND_TEXT, 0, INT64_MAX, "dump.rdb", false, NULL},
    {"disable-thp", KIND_BOOLEAN, 0, INT64_MAX, "yes", false, NULL},
    {"dynamic-hz", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"enable-module-command", KIND_BOOLEAN, 0, INT64_MAX, "no", false, NULL},
    {"enable-protected-configs", KIND_BOOLEAN, 0, INT64_MAX, "no", false, NULL},
    {"hash-max-listpack-entries", KIND_INTEGER, 0, INT64_MAX, "512", true, NULL},
    {"hash-max-listpack-value", KIND_MEMORY, 0, INT64_MAX, "64", true, NULL},
    {"hash-max-ziplist-entries", KIND_INTEGER, 0, INT64_MAX, "512", true, "hash-max-listpack-entries"},
    {"hash-max-ziplist-value", KIND_MEMORY, 0, INT64_MAX, "64", true, "hash-max-listpack-value"},
    {"hll-sparse-max-bytes", KIND_MEMORY, 0, INT64_MAX, "3000", true, NULL},
    {"hz", KIND_INTEGER, 0, INT32_MAX, "10", true, NULL},
    {"ignore-warnings", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"io-threads", KIND_INTEGER, 0, INT64_MAX, "1", false, NULL},
    {"io-threads-do-reads", KIND_BOOLEAN, 0, INT64_MAX, "no", false, NULL},
    {"jemalloc-bg-thread", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"latency-tracking", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"latency-tracking-info-percentiles", KIND_TEXT, 0, INT64_MAX, "50 99 99.9", true, NULL},
    {"lazyfree-lazy-eviction", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"lazyfree-lazy-expire", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"lazyfree-lazy-server-del", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"lazyfree-lazy-user-del", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"lazyfree-lazy-user-flush", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"lfu-decay-time", KIND_INTEGER, 0, INT32_MAX, "1", true, NULL},
    {"lfu-log-factor", KIND_INTEGER, 0, INT32_MAX, "10", true, NULL},
    {"list-compress-depth", KIND_INTEGER, 0, INT32_MAX, "0", true, NULL},
    {"list-max-listpack-size", KIND_INTEGER, INT32_MIN, INT32_MAX, "-2", true, NULL},
    {"list-max-ziplist-size", KIND_INTEGER, INT32_MIN, INT32_MAX, "-2", true, "list-max-listpack-size"},
    {"lua-time-limit", KIND_INTEGER, 0, INT64_MAX, "5000", true, NULL},
    {"masterauth", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"masteruser", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"maxmemory", KIND_MEMORY, 0, INT64_MAX, "0", true, NULL},
    {"maxmemory-eviction-tenacity", KIND_INTEGER, 0, 100, "10", true, NULL},
    {"maxmemory-policy", KIND_WORD, 0, 0, "noeviction", true, NULL, policies},
    {"maxmemory-samples", KIND_INTEGER, 1, INT32_MAX, "5", true, NULL},
    {"min-replicas-max-lag", KIND_INTEGER, 0, INT32_MAX, "10", true, NULL},
    {"min-replicas-to-write", KIND_INTEGER, 0, INT32_MAX, "0", true, NULL},
    {"no-appendfsync-on-rewrite", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"oom-score-adj", KIND_WORD, 0, 0, "no", true, NULL, oom_scores},
    {"oom-score-adj-values", KIND_TEXT, 0, INT64_MAX, "0 200 800", true, NULL},
    {"pidfile", KIND_TEXT, 0, INT64_MAX, "", false, NULL},
    {"proc-title-template", KIND_TEXT, 0, INT64_MAX, "{title} {listen-addr} {server-mode}", true, NULL},
    {"propagation-error-behavior", KIND_WORD, 0, 0, "ignore", true, NULL, behaviors},
    {"proto-max-bulk-len", KIND_MEMORY, 1048576, INT64_MAX, "536870912", true, NULL},
    {"rdb-del-sync-files", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"rdb-save-incremental-fsync", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"rdbchecksum", KIND_BOOLEAN, 0, INT64_MAX, "yes", false, NULL},
    {"rdbcompression", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"repl-backlog-size", KIND_MEMORY, 1, INT64_MAX, "1048576", true, NULL},
    {"repl-backlog-ttl", KIND_INTEGER, 0, INT64_MAX, "3600", true, NULL},
    {"repl-disable-tcp-nodelay", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"repl-diskless-load", KIND_WORD, 0, 0, "disabled", true, NULL, loads},
    {"repl-diskless-sync", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"repl-diskless-sync-delay", KIND_INTEGER, 0, INT32_MAX, "5", true, NULL},
    {"repl-diskless-sync-max-replicas", KIND_INTEGER, 0, INT32_MAX, "0", true, NULL},
    {"repl-ping-replica-period", KIND_INTEGER, 1, INT32_MAX, "10", true, NULL},
    {"repl-timeout", KIND_INTEGER, 1, INT32_MAX, "60", true, NULL},
    {"replica-announce-ip", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"replica-announce-port", KIND_INTEGER, 0, 65535, "0", true, NULL},
    {"replica-announced", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"replica-ignore-disk-write-errors", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"replica-ignore-maxmemory", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"replica-lazy-flush", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"replica-priority", KIND_INTEGER, 0, INT32_MAX, "100", true, NULL},
    {"replica-read-only", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"replica-serve-stale-data", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"replicaof", KIND_TEXT, 0, INT64_MAX, "", false, NULL},
    {"sanitize-dump-payload", KIND_WORD, 0, 0, "no", true, NULL, sanitizings},
    {"save", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"server_cpulist", KIND_TEXT, 0, INT64_MAX, "", false, NULL},
    {"set-max-intset-entries", KIND_INTEGER, 0, INT64_MAX, "512", true, NULL},
    {"set-proc-title", KIND_BOOLEAN, 0, INT64_MAX, "yes", false, NULL},
    {"shutdown-on-sigint", KIND_WORD, 0, 0, "default", true, NULL, stops},
    {"shutdown-on-sigterm", KIND_WORD, 0, 0, "default", true, NULL, stops},
    {"shutdown-timeout", KIND_INTEGER, 0, INT32_MAX, "10", true, NULL},
    {"socket-mark-id", KIND_INTEGER, 0, INT64_MAX, "0", false, NULL},
    {"stop-writes-on-bgsave-error", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"stream-node-max-bytes", KIND_MEMORY, 0, INT64_MAX, "4096", true, NULL},
    {"stream-node-max-entries", KIND_INTEGER, 0, INT64_MAX, "100", true, NULL},
    {"supervised", KIND_BOOLEAN, 0, INT64_MAX, "no", false, NULL},
    {"syslog-enabled", KIND_BOOLEAN, 0, INT64_MAX, "no", false, NULL},
    {"syslog-facility", KIND_TEXT, 0, INT64_MAX, "local0", false, NULL},
    {"syslog-ident", KIND_TEXT, 0, INT64_MAX, "redis", false, NULL},
    {"tls-auth-clients", KIND_WORD, 0, 0, "yes", true, NULL, tls_clients},
    {"tls-ca-cert-dir", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"tls-ca-cert-file", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"tls-cert-file", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"tls-ciphers", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"tls-ciphersuites", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"tls-client-cert-file", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"tls-client-key-file", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"tls-client-key-file-pass", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"tls-cluster", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"tls-dh-params-file", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"tls-key-file", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"tls-key-file-pass", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"tls-port", KIND_INTEGER, 0, INT64_MAX, "0", false, NULL},
    {"tls-prefer-server-ciphers", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"tls-protocols", KIND_TEXT, 0, INT64_MAX, "", true, NULL},
    {"tls-replication", KIND_BOOLEAN, 0, INT64_MAX, "no", true, NULL},
    {"tls-session-cache-size", KIND_INTEGER, 0, INT32_MAX, "20480", true, NULL},
    {"tls-session-cache-timeout", KIND_INTEGER, 0, INT32_MAX, "300", true, NULL},
    {"tls-session-caching", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, NULL},
    {"tracking-table-max-keys", KIND_INTEGER, 0, INT64_MAX, "1000000", true, NULL},
    {"cluster-slave-no-failover", KIND_BOOLEAN, 0, INT64_MAX, "no", true, "cluster-replica-no-failover"},
    {"cluster-slave-validity-factor", KIND_INTEGER, 0, INT32_MAX, "10", true, "cluster-replica-validity-factor"},
    {"min-slaves-max-lag", KIND_INTEGER, 0, INT32_MAX, "10", true, "min-replicas-max-lag"},
    {"min-slaves-to-write", KIND_INTEGER, 0, INT32_MAX, "0", true, "min-replicas-to-write"},
    {"repl-ping-slave-period", KIND_INTEGER, 1, INT32_MAX, "10", true, "repl-ping-replica-period"},
    {"slave-announce-ip", KIND_TEXT, 0, INT64_MAX, "", true, "replica-announce-ip"},
    {"slave-announce-port", KIND_INTEGER, 0, 65535, "0", true, "replica-announce-port"},
    {"slave-ignore-maxmemory", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, "replica-ignore-maxmemory"},
    {"slave-lazy-flush", KIND_BOOLEAN, 0, INT64_MAX, "no", true, "replica-lazy-flush"},
    {"slave-priority", KIND_INTEGER, 0, INT32_MAX, "100", true, "replica-priority"},
    {"slave-read-only", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, "replica-read-only"},
    {"slave-serve-stale-data", KIND_BOOLEAN, 0, INT64_MAX, "yes", true, "replica-serve-stale-data"},
    {"slaveof", KIND_TEXT, 0, INT64_MAX, "", false, "replicaof"},
    {"zset-max-listpack-entries", KIND_INTEGER, 0, INT64_MAX, "128", true, NULL},
    {"zset-max-listpack-value", KIND_MEMORY, 0, INT64_MAX, "64", true, NULL},
    {"zset-max-ziplist-entries", KIND_INTEGER, 0, INT64_MAX, "128", true, "zset-max-listpack-entries"},
    {"zset-max-ziplist-value", KIND_MEMORY, 0, INT64_MAX, "64", true, "zset-max-listpack-value"},
};
/* clang-format on */

enum { ROWS = sizeof(rows) / sizeof(*rows) };

struct settings {
    char *texts[ROWS];
    int64_t numbers[ROWS];
    struct settings_output_limit limits[OUTPUT_CLASSES];
    settings_changed_fn changed;
    void *changed_arg;
};

/* ---- Parsing ---- */

/* No digits are 0, as in Redis; what is too large for an int64_t reads as -1. */
static bool parse_memory(rr_bytes value, int64_t *out)
{
    static const struct {
        const char *suffix;
        int64_t factor;
    } units[] = {{"kb", 1024}, {"mb", 1024 * 1024}, {"gb", 1024 * 1024 * 1024},
                 {"k", 1000},  {"m", 1000 * 1000},  {"g", 1000 * 1000 * 1000},
                 {"b", 1}};
    int64_t factor = 1;
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        size_t size = strlen(units[i].suffix);
        if (value.size > size &&
            strncasecmp((const char *)value.data + value.size - size, units[i].suffix, size) == 0) {
            factor = units[i].factor;
            value.size -= size;
            break;
        }
    }
    uint64_t number = 0;
    bool digits = true;
    bool fits = true;
    for (size_t i = 0; i < value.size; i++) {
        unsigned digit = (unsigned)((const unsigned char *)value.data)[i] - '0';
        digits = digits && digit < 10;
        fits = fits && number <= (INT64_MAX - 9) / 10;
        number = number * 10 + digit;
    }
    fits = fits && number <= INT64_MAX / (uint64_t)factor;
    *out = fits ? (int64_t)number * factor : -1;
    return digits;
}

static bool parse_octal(rr_bytes value, int64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < value.size; i++) {
        char digit = ((const char *)value.data)[i];
        if (digit < '0' || digit > '7' || *out > 511) {
            return false;
        }
        *out = *out * 8 + (digit - '0');
    }
    return value.size > 0;
}

static bool parse_word(rr_bytes value, const char *const *words, int64_t *out)
{
    for (*out = 0; words[*out] != NULL; ++*out) {
        if (bytes_is(value, words[*out])) {
            return true;
        }
    }
    return false;
}

enum { LIMIT_WORDS = 4 }; /* class, hard, soft, seconds */

/* One class and its limits; NULL, or what is wrong. */
static const char *parse_output_limit(const rr_bytes words[LIMIT_WORDS],
                                      struct settings_output_limit *limits)
{
    static const char *const classes[] = {"normal", "slave", "pubsub", "replica", NULL};
    int64_t class = 0;
    int64_t numbers[3] = {0};
    if (!parse_word(words[0], classes, &class)) {
        return "Invalid client class specified in buffer limit configuration.";
    }
    if (!parse_memory(words[1], &numbers[0]) || !parse_memory(words[2], &numbers[1]) ||
        !number_parse_i64(words[3], &numbers[2]) || numbers[0] < 0 || numbers[1] < 0 ||
        numbers[2] < 0) {
        return "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    }
    limits[class == 3 ? 1 : class] = (struct settings_output_limit){
        (uint64_t)numbers[0], (uint64_t)numbers[1], (uint64_t)numbers[2]};
    return NULL;
}

/* The next word of `text` from *position on, empty at the end. */
static rr_bytes next_word(rr_bytes text, size_t *position)
{
    const char *data = text.data;
    while (*position < text.size && data[*position] == ' ') {
        ++*position;
    }
    size_t begin = *position;
    while (*position < text.size && data[*position] != ' ') {
        ++*position;
    }
    return (rr_bytes){data + begin, *position - begin};
}

/* NULL, or what is wrong. */
static const char *parse_output_limits(rr_bytes value, struct settings_output_limit *limits)
{
    size_t count = 0;
    for (size_t position = 0; next_word(value, &position).size > 0;) {
        count++;
    }
    if (count % LIMIT_WORDS != 0) {
        return "Wrong number of arguments in buffer limit configuration.";
    }
    const char *problem = NULL;
    size_t position = 0;
    for (size_t i = 0; i < count && problem == NULL; i += LIMIT_WORDS) {
        rr_bytes words[LIMIT_WORDS];
        for (size_t k = 0; k < LIMIT_WORDS; k++) {
            words[k] = next_word(value, &position);
        }
        problem = parse_output_limit(words, limits);
    }
    return problem;
}

/* ---- Storing ---- */

static bool keep(struct settings *settings, size_t i, const char *text, size_t size)
{
    char *copy = malloc(size + 1);
    if (copy == NULL) {
        return false;
    }
    if (size > 0) {
        memcpy(copy, text, size);
    }
    copy[size] = '\0';
    free(settings->texts[i]);
    settings->texts[i] = copy;
    return true;
}

static bool keep_number(struct settings *settings, size_t i, int64_t number)
{
    char text[NUMBER_TEXT_MAX];
    settings->numbers[i] = number;
    return keep(settings, i, text, number_print_i64(number, text));
}

static bool set_number(struct settings *settings, size_t i, int64_t number, char *error,
                       size_t error_size)
{
    const struct row *row = &rows[i];
    if (number < row->minimum || number > row->maximum) {
        snprintf(error, error_size,
                 "argument must be between %" PRId64 " and %" PRId64 " inclusive", row->minimum,
                 row->maximum);
        return false;
    }
    return keep_number(settings, i, number);
}

static bool set_boolean(struct settings *settings, size_t i, rr_bytes value, char *error,
                        size_t error_size)
{
    static const char *const booleans[] = {"no", "yes", NULL};
    int64_t number = 0;
    if (!parse_word(value, booleans, &number)) {
        snprintf(error, error_size, "argument must be 'yes' or 'no'");
        return false;
    }
    settings->numbers[i] = number;
    return keep(settings, i, booleans[number], strlen(booleans[number]));
}

static bool set_word(struct settings *settings, size_t i, rr_bytes value, char *error,
                     size_t error_size)
{
    const char *const *words = rows[i].words;
    int64_t number = 0;
    if (parse_word(value, words, &number)) {
        settings->numbers[i] = number;
        return keep(settings, i, words[number], strlen(words[number]));
    }
    size_t used = (size_t)snprintf(error, error_size, "argument(s) must be one of the following: ");
    for (size_t k = 0; words[k] != NULL && used < error_size; k++) {
        used +=
            (size_t)snprintf(error + used, error_size - used, "%s%s", k > 0 ? ", " : "", words[k]);
    }
    return false;
}

static bool set_output_limit(struct settings *settings, size_t i, rr_bytes value, char *error,
                             size_t error_size)
{
    struct settings_output_limit limits[OUTPUT_CLASSES];
    memcpy(limits, settings->limits, sizeof(limits));
    const char *problem = parse_output_limits(value, limits);
    if (problem != NULL) {
        snprintf(error, error_size, "%s", problem);
        return false;
    }
    memcpy(settings->limits, limits, sizeof(limits));
    char text[256];
    int size = snprintf(text, sizeof(text),
                        "normal %" PRIu64 " %" PRIu64 " %" PRIu64 " slave %" PRIu64 " %" PRIu64
                        " %" PRIu64 " pubsub %" PRIu64 " %" PRIu64 " %" PRIu64,
                        limits[0].hard_bytes, limits[0].soft_bytes, limits[0].soft_seconds,
                        limits[1].hard_bytes, limits[1].soft_bytes, limits[1].soft_seconds,
                        limits[2].hard_bytes, limits[2].soft_bytes, limits[2].soft_seconds);
    return keep(settings, i, text, (size_t)size);
}

static bool set_notify(struct settings *settings, size_t i, rr_bytes value, char *error,
                       size_t error_size)
{
    uint32_t classes = 0;
    char text[NOTIFY_TEXT_MAX];
    if (!notify_parse(value, &classes)) {
        snprintf(error, error_size, "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        return false;
    }
    settings->numbers[i] = classes;
    return keep(settings, i, text, notify_print(classes, text));
}

bool settings_set(struct settings *settings, size_t i, rr_bytes value, bool at_start, char *error,
                  size_t error_size)
{
    const struct row *row = &rows[i];
    int64_t number = 0;
    snprintf(error, error_size, "the value is too long");
    if (!row->mutable && !at_start) {
        snprintf(error, error_size, "can't set immutable config");
        return false;
    }
    if (value.size > VALUE_BYTES_MAX) {
        return false;
    }
    switch (row->kind) {
    case KIND_INTEGER:
        snprintf(error, error_size, "argument couldn't be parsed into an integer");
        return number_parse_i64(value, &number) &&
               set_number(settings, i, number, error, error_size);
    case KIND_MEMORY:
        snprintf(error, error_size, "argument must be a memory value");
        return parse_memory(value, &number) && set_number(settings, i, number, error, error_size);
    case KIND_BOOLEAN:
        return set_boolean(settings, i, value, error, error_size);
    case KIND_TEXT:
        return keep(settings, i, value.data, value.size);
    case KIND_OCTAL:
        snprintf(error, error_size, "argument couldn't be parsed as an octal number");
        if (!parse_octal(value, &number)) {
            return false;
        }
        settings->numbers[i] = number;
        return keep(settings, i, value.data, value.size);
    case KIND_WORD:
        return set_word(settings, i, value, error, error_size);
    case KIND_NOTIFY:
        return set_notify(settings, i, value, error, error_size);
    case KIND_OUTPUT_LIMIT:
        return set_output_limit(settings, i, value, error, error_size);
    }
    return false;
}

/* ---- Reading ---- */

struct settings *settings_new(void)
{
    struct settings *settings = calloc(1, sizeof(*settings));
    if (settings == NULL) {
        abort();
    }
    for (size_t i = 0; i < ROWS; i++) {
        char error[128];
        if (!settings_set(settings, i, bytes_of(rows[i].value), true, error, sizeof(error)) &&
            !keep(settings, i, rows[i].value, strlen(rows[i].value))) {
            abort();
        }
    }
    return settings;
}

void settings_free(struct settings *settings)
{
    if (settings == NULL) {
        return;
    }
    for (size_t i = 0; i < ROWS; i++) {
        free(settings->texts[i]);
    }
    free(settings);
}

const char *settings_text(const struct settings *settings, enum setting_id id)
{
    return settings->texts[id];
}

int64_t settings_number(const struct settings *settings, enum setting_id id)
{
    return settings->numbers[id];
}

size_t settings_count(const struct settings *settings)
{
    (void)settings;
    return ROWS;
}

const char *settings_name(const struct settings *settings, size_t i)
{
    (void)settings;
    return rows[i].name;
}

static size_t resolve(size_t i)
{
    for (size_t k = 0; rows[i].same != NULL && k < ROWS; k++) {
        if (strcmp(rows[k].name, rows[i].same) == 0) {
            return k;
        }
    }
    return i;
}

const char *settings_value(const struct settings *settings, size_t i)
{
    return settings->texts[resolve(i)];
}

int settings_find(const struct settings *settings, rr_bytes name)
{
    (void)settings;
    for (size_t i = 0; i < ROWS; i++) {
        if (bytes_is(name, rows[i].name)) {
            return (int)resolve(i);
        }
    }
    return -1;
}

void settings_on_change(struct settings *settings, settings_changed_fn fn, void *arg)
{
    settings->changed = fn;
    settings->changed_arg = arg;
}

void settings_tell(struct settings *settings, size_t i)
{
    if (settings->changed != NULL) {
        settings->changed(settings->changed_arg, i);
    }
}

struct settings_output_limit settings_output_limit(const struct settings *settings, int class)
{
    return settings->limits[class];
}
