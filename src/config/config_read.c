/*
 * From a TOML document to a checked configuration. Every complaint is one line with file, line,
 * key and what was expected; the first one ends the reading.
 */
#include "config/config_private.h"

#include "base/assert.h"
#include "base/memory.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What is being read, and where complaints go. */
struct reader {
    const struct toml_document *document;
    const char *name;           /* of the file */
    const char *server_key;     /* "http_addr" */
    const char *settings_table; /* "coredb"; NULL: none */
    char server_table[32];      /* "http" */
    rr_config *config;
    char *error;
    size_t error_size;
};

/* A number or a switch that needs no more than its own check. */
struct setting {
    const char *table; /* SERVER: the server's own */
    const char *key;
    size_t offset; /* of its uint64_t or bool in rr_config */
    uint64_t min;  /* both 0 for a switch */
    uint64_t max;
    const char *unit; /* after "a number of", or NULL */
};

static const char SERVER[] = "(server)";

#define BYTES_MAX ((uint64_t)1 << 40)
#define COUNT_MAX ((uint64_t)1 << 53)

#define NUMBER(table, key, field, min, max, unit)                                                  \
    {                                                                                              \
        (table), (key), offsetof(rr_config, field), (min), (max), (unit)                           \
    }
#define SWITCH(table, key, field)                                                                  \
    {                                                                                              \
        (table), (key), offsetof(rr_config, field), 0, 0, NULL                                     \
    }

static const struct setting settings[] = {
    SWITCH("raft", "found", found),
    NUMBER("raft", "join_timeout_ms", join_timeout_ms, 0, 86400000, "milliseconds"),
    NUMBER("raft", "heartbeat_interval", heartbeat_interval_ms, 1, 60000, "milliseconds"),
    NUMBER("raft", "election_timeout_min", election_timeout_min_ms, 2, 600000, "milliseconds"),
    NUMBER("raft", "election_timeout_max", election_timeout_max_ms, 3, 1200000, "milliseconds"),
    SWITCH("raft", "lease_reads", lease_reads),
    NUMBER("raft", "lease_drift_permille", lease_drift_permille, 0, 500, "thousandths"),
    NUMBER("rocksdb", "max_open_files", max_open_files, 16, 1000000, "files"),
    NUMBER("rocksdb", "block_cache_bytes", block_cache_bytes, 1024 * 1024, BYTES_MAX, "bytes"),
    NUMBER("rocksdb", "memtable_bytes", memtable_bytes, 1024 * 1024, BYTES_MAX, "bytes"),
    NUMBER("rocksdb", "disk_low_bytes", disk_low_bytes, 0, BYTES_MAX, "bytes"),
    SWITCH("storage", "migrate_log", log_migrate),
    NUMBER("storage", "log_segment_bytes", log_segment_bytes, 16384, 1073741824, "bytes"),
    NUMBER("snapshot", "entries", snapshot_entries, 0, COUNT_MAX, "entries"),
    NUMBER("snapshot", "keep", snapshot_keep, 0, COUNT_MAX, "entries"),
    NUMBER("snapshot", "bytes_per_s", snapshot_bytes_per_s, 0, BYTES_MAX, "bytes"),
    NUMBER("limits", "key_bytes_max", key_bytes_max, 1, BYTES_MAX, "bytes"),
    NUMBER("limits", "value_bytes_max", value_bytes_max, 1, BYTES_MAX, "bytes"),
    NUMBER("limits", "entry_bytes_max", entry_bytes_max, 1024, BYTES_MAX, "bytes"),
    NUMBER("limits", "result_bytes_max", result_bytes_max, 1024, BYTES_MAX, "bytes"),
    NUMBER("limits", "pending_bytes_max", pending_bytes_max, 1024, BYTES_MAX, "bytes"),
    NUMBER("limits", "pending_max", pending_max, 1, 16777216, "requests"),
    NUMBER("limits", "body_bytes_max", body_bytes_max, 1, 1073741824, "bytes"),
    NUMBER("limits", "bodies_bytes_max", bodies_bytes_max, 1, BYTES_MAX, "bytes"),
    NUMBER("limits", "answers_bytes_max", answers_bytes_max, 1, BYTES_MAX, "bytes"),
    NUMBER("limits", "header_bytes_max", header_bytes_max, 4096, 1048576, "bytes"),
    NUMBER(SERVER, "timeout_ms", timeout_ms, 1, 600000, "milliseconds"),
    NUMBER(SERVER, "idle_timeout_ms", idle_timeout_ms, 0, 86400000, "milliseconds"),
    NUMBER(SERVER, "connections_max", connections_max, 1, 1000000, "connections"),
};

/* The other keys, read by functions of their own. A NULL table is the top. */
static const struct {
    const char *table;
    const char *key;
} other_keys[] = {
    {NULL, "node_id"},       {"raft", "address"},      {"raft", "advertise_host"},
    {"raft", "join"},        {"rocksdb", "data_path"}, {"log", "file"},
    {"log", "level"},        {SERVER, "cors_origins"}, {"storage", "log"},
    {"storage", "log_sync"}, {"storage", "repair"},
};

static const char *const tables[] = {"raft",   "rocksdb", "storage", "snapshot",
                                     "limits", "log",     SERVER};

enum {
    SETTING_COUNT = sizeof(settings) / sizeof(settings[0]),
    OTHER_KEY_COUNT = sizeof(other_keys) / sizeof(other_keys[0]),
    TABLE_COUNT = sizeof(tables) / sizeof(tables[0])
};

/* Writes the complaint about `table`.`key`, and returns RR_INVALID for the caller to pass on. */
static rr_status complain(const struct reader *reader, unsigned line, const char *table,
                          const char *key, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
static rr_status complain(const struct reader *reader, unsigned line, const char *table,
                          const char *key, const char *format, ...)
{
    char what[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    /* Texts of the file may contain line breaks. */
    for (char *c = what; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ') {
            *c = ' ';
        }
    }
    if (reader->error != NULL) {
        snprintf(reader->error, reader->error_size, "%s:%u: %s%s%s: expected %s", reader->name,
                 line, table != NULL ? table : "", table != NULL ? "." : "", key, what);
    }
    return RR_INVALID;
}

static const char *table_name(const struct reader *reader, const char *table)
{
    return table == SERVER ? reader->server_table : table;
}

/* The line to name for a key that is missing from `table`. */
static unsigned table_line(const struct reader *reader, const char *table)
{
    unsigned line = table != NULL ? toml_get(reader->document, NULL, table).line : 0;
    return line > 0 ? line : 1;
}

static const char *kind_name(enum toml_kind kind)
{
    switch (kind) {
    case TOML_ABSENT:
        return "nothing";
    case TOML_TABLE:
        return "a table";
    case TOML_ARRAY:
        return "an array";
    case TOML_TEXT:
        return "a string";
    case TOML_INTEGER:
        return "an integer";
    case TOML_BOOLEAN:
        return "a boolean";
    case TOML_OTHER:
        return "another type";
    }
    UNREACHABLE();
}

static rr_status check_tables(const struct reader *reader)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        const char *table = table_name(reader, tables[i]);
        struct toml_value value = toml_get(reader->document, NULL, table);
        if (value.kind != TOML_ABSENT && value.kind != TOML_TABLE) {
            return complain(reader, value.line, NULL, table, "a table, [%s], not %s", table,
                            kind_name(value.kind));
        }
    }
    return RR_OK;
}

static rr_status read_switch(const struct reader *reader, const char *table,
                             const struct setting *setting, struct toml_value value)
{
    if (value.kind != TOML_BOOLEAN) {
        return complain(reader, value.line, table, setting->key, "true or false, not %s",
                        kind_name(value.kind));
    }
    *(bool *)(void *)((char *)reader->config + setting->offset) = value.boolean;
    return RR_OK;
}

static rr_status read_number(const struct reader *reader, const char *table,
                             const struct setting *setting, struct toml_value value)
{
    if (value.kind != TOML_INTEGER) {
        return complain(reader, value.line, table, setting->key,
                        "a number of %s from %" PRIu64 " to %" PRIu64 ", not %s", setting->unit,
                        setting->min, setting->max, kind_name(value.kind));
    }
    if (value.integer < 0 || (uint64_t)value.integer < setting->min ||
        (uint64_t)value.integer > setting->max) {
        return complain(reader, value.line, table, setting->key,
                        "a number of %s from %" PRIu64 " to %" PRIu64 ", not %" PRId64,
                        setting->unit, setting->min, setting->max, value.integer);
    }
    *(uint64_t *)(void *)((char *)reader->config + setting->offset) = (uint64_t)value.integer;
    return RR_OK;
}

static rr_status read_settings(const struct reader *reader)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings[i];
        const char *table = table_name(reader, setting->table);
        struct toml_value value = toml_get(reader->document, table, setting->key);
        if (value.kind == TOML_ABSENT) {
            continue;
        }
        rr_status status = setting->max == 0 ? read_switch(reader, table, setting, value)
                                             : read_number(reader, table, setting, value);
        if (status != RR_OK) {
            return status;
        }
    }
    return RR_OK;
}

static rr_status read_node_id(const struct reader *reader)
{
    struct toml_value value = toml_get(reader->document, NULL, "node_id");
    const char *expected = "a positive integer, unique in the cluster and never reused";
    if (value.kind == TOML_ABSENT) {
        return complain(reader, 1, NULL, "node_id", "%s, but the key is missing", expected);
    }
    if (value.kind != TOML_INTEGER) {
        return complain(reader, value.line, NULL, "node_id", "%s, not %s", expected,
                        kind_name(value.kind));
    }
    if (value.integer <= 0) {
        return complain(reader, value.line, NULL, "node_id", "%s, not %" PRId64, expected,
                        value.integer);
    }
    reader->config->node_id = (uint64_t)value.integer;
    return RR_OK;
}

/* A text that must be there; `expected` tells what it should be. */
static rr_status read_text(const struct reader *reader, const char *table, const char *key,
                           const char *expected, struct toml_value *out)
{
    struct toml_value value = toml_get(reader->document, table, key);
    if (value.kind == TOML_ABSENT) {
        return complain(reader, table_line(reader, table), table, key, "%s, but the key is missing",
                        expected);
    }
    if (value.kind != TOML_TEXT) {
        return complain(reader, value.line, table, key, "%s, not %s", expected,
                        kind_name(value.kind));
    }
    *out = value;
    return RR_OK;
}

static const char ADDRESS_EXPECTED[] = "\"HOST:PORT\" with a port from 1 to 65535";

static rr_status check_address(const struct reader *reader, struct toml_value value,
                               const char *table, const char *key, bool any_port)
{
    char host[256];
    uint16_t port = 0;
    const char *problem = NULL;
    rr_status status = rr_address_split(value.text, host, sizeof(host), &port, &problem);
    if (status == RR_OK && port == 0 && !any_port) {
        problem = "the port is 0";
    }
    if (problem != NULL) {
        return complain(reader, value.line, table, key, "%s, not \"%s\": %s", ADDRESS_EXPECTED,
                        value.text, problem);
    }
    return RR_OK;
}

static rr_status read_address(const struct reader *reader, const char *table, const char *key,
                              bool any_port, const char **out)
{
    struct toml_value value;
    rr_status status = read_text(reader, table, key, ADDRESS_EXPECTED, &value);
    if (status != RR_OK) {
        return status;
    }
    status = check_address(reader, value, table, key, any_port);
    if (status != RR_OK) {
        return status;
    }
    *out = mem_copy_text(value.text);
    return RR_OK;
}

/* The address told to peers: the advertised host with the port that is listened on. */
static rr_status read_advertise_host(const struct reader *reader)
{
    struct toml_value value;
    const char *expected = "the host that peers reach this node by, or \"\" for raft.address's";
    rr_status status = read_text(reader, "raft", "advertise_host", expected, &value);
    if (status != RR_OK) {
        return status;
    }
    rr_config *config = reader->config;
    if (value.text[0] == '\0') {
        config->advertise_address = mem_copy_text(config->raft_address);
        return RR_OK;
    }
    bool bare_literal = value.text[0] != '[' && strchr(value.text, ':') != NULL;
    char *address = config_format(bare_literal ? "[%s]%s" : "%s%s", value.text,
                                  strrchr(config->raft_address, ':'));
    char host[256];
    uint16_t port = 0;
    const char *problem = NULL;
    if (rr_address_split(address, host, sizeof(host), &port, &problem) != RR_OK) {
        mem_free(address);
        return complain(reader, value.line, "raft", "advertise_host",
                        "%s, not \"%s\" (a host alone, without a port)", expected, value.text);
    }
    config->advertise_address = address;
    return RR_OK;
}

static rr_status read_join(const struct reader *reader)
{
    const char *expected = "an array of \"HOST:PORT\", the raft addresses of members";
    struct toml_value value = toml_get(reader->document, "raft", "join");
    if (value.kind == TOML_ABSENT) {
        return complain(reader, table_line(reader, "raft"), "raft", "join",
                        "%s ([] founds a cluster), but the key is missing", expected);
    }
    if (value.kind != TOML_ARRAY) {
        return complain(reader, value.line, "raft", "join", "%s, not %s", expected,
                        kind_name(value.kind));
    }
    rr_config *config = reader->config;
    for (size_t i = 0; i < value.count; i++) {
        struct toml_value item = toml_item(value, i);
        if (item.kind != TOML_TEXT) {
            return complain(reader, item.line, "raft", "join", "%s, not %s in it", expected,
                            kind_name(item.kind));
        }
        rr_status status = check_address(reader, item, "raft", "join", /*any_port=*/false);
        if (status != RR_OK) {
            return status;
        }
        config_append_text(&config->join, &config->join_count, mem_copy_text(item.text));
    }
    return RR_OK;
}

static rr_status read_raft(const struct reader *reader)
{
    rr_config *config = reader->config;
    if (toml_get(reader->document, NULL, "raft").kind == TOML_ABSENT) {
        config->raft_address = mem_copy_text("127.0.0.1:6682");
        config->advertise_address = mem_copy_text("localhost:6682");
        return RR_OK;
    }
    rr_status status =
        read_address(reader, "raft", "address", /*any_port=*/false, &config->raft_address);
    if (status != RR_OK) {
        return status;
    }
    status = read_advertise_host(reader);
    if (status != RR_OK) {
        return status;
    }
    return read_join(reader);
}

/* Complains about a relation between two times, at the first of the two that the file sets. */
static rr_status complain_times(const struct reader *reader, const char *key, const char *relation,
                                uint64_t bound, const char *other_key, const char *other_relation,
                                uint64_t other_bound)
{
    struct toml_value value = toml_get(reader->document, "raft", key);
    if (value.kind != TOML_ABSENT) {
        return complain(reader, value.line, "raft", key, "%s %" PRIu64 ", to fit raft.%s", relation,
                        bound, other_key);
    }
    value = toml_get(reader->document, "raft", other_key);
    return complain(reader, value.line, "raft", other_key, "%s %" PRIu64 ", to fit raft.%s",
                    other_relation, other_bound, key);
}

static rr_status check_times(const struct reader *reader)
{
    const rr_config *config = reader->config;
    uint64_t heartbeat = config->heartbeat_interval_ms;
    uint64_t min = config->election_timeout_min_ms;
    uint64_t max = config->election_timeout_max_ms;
    if (min < 2 * heartbeat) {
        return complain_times(reader, "election_timeout_min", "at least twice the heartbeat,",
                              2 * heartbeat, "heartbeat_interval", "at most", min / 2);
    }
    if (max <= min) {
        return complain_times(reader, "election_timeout_max", "more than", min,
                              "election_timeout_min", "less than", max);
    }
    return RR_OK;
}

static rr_status read_rocksdb(const struct reader *reader)
{
    if (toml_get(reader->document, NULL, "rocksdb").kind == TOML_ABSENT) {
        reader->config->data_path = mem_copy_text(".rockraft_data");
        return RR_OK;
    }
    struct toml_value value;
    const char *expected = "the path of the data directory";
    rr_status status = read_text(reader, "rocksdb", "data_path", expected, &value);
    if (status != RR_OK) {
        return status;
    }
    if (value.text[0] == '\0') {
        return complain(reader, value.line, "rocksdb", "data_path", "%s, not \"\"", expected);
    }
    if (toml_get(reader->document, "rocksdb", "max_open_files").kind == TOML_ABSENT) {
        return complain(reader, table_line(reader, "rocksdb"), "rocksdb", "max_open_files",
                        "a number of files, such as 10000, but the key is missing");
    }
    reader->config->data_path = mem_copy_text(value.text);
    return RR_OK;
}

/* Reads a text that is one of `count` words, and tells which; `out` stays as it is without the key. */
static rr_status read_word(const struct reader *reader, const char *table, const char *key,
                           const char *const *words, size_t count, const char *expected,
                           size_t *out)
{
    struct toml_value value;
    if (toml_get(reader->document, table, key).kind == TOML_ABSENT) {
        return RR_OK;
    }
    rr_status status = read_text(reader, table, key, expected, &value);
    if (status != RR_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(value.text, words[i]) == 0) {
            *out = i;
            return RR_OK;
        }
    }
    return complain(reader, value.line, table, key, "%s, not \"%s\"", expected, value.text);
}

static rr_status read_storage(const struct reader *reader)
{
    static const char *const kinds[] = {
        [RR_LOG_AUTO] = "auto",
        [RR_LOG_ROCKSDB] = "rocksdb",
        [RR_LOG_SEGMENTS] = "segments",
    };
    static const char *const syncs[] = {"inline", "thread"};
    static const char *const repairs[] = {
        [RR_REPAIR_AUTO] = "auto",
        [RR_REPAIR_NEVER] = "never",
    };
    size_t kind = RR_LOG_AUTO;
    size_t sync = 0;
    size_t repair = RR_REPAIR_AUTO;
    rr_status status = read_word(reader, "storage", "log", kinds, 3,
                                 "\"auto\", \"segments\" or \"rocksdb\"", &kind);
    if (status == RR_OK) {
        status =
            read_word(reader, "storage", "log_sync", syncs, 2, "\"inline\" or \"thread\"", &sync);
    }
    if (status == RR_OK) {
        status =
            read_word(reader, "storage", "repair", repairs, 2, "\"auto\" or \"never\"", &repair);
    }
    if (status != RR_OK) {
        return status;
    }
    reader->config->log_kind = (rr_log_kind)kind;
    reader->config->log_sync_thread = sync == 1;
    reader->config->repair = (rr_repair)repair;
    struct toml_value value = toml_get(reader->document, "storage", "log_segment_bytes");
    if (value.kind != TOML_ABSENT && value.integer % 4096 != 0) {
        return complain(reader, value.line, "storage", "log_segment_bytes",
                        "a multiple of 4096, not %" PRId64, value.integer);
    }
    return RR_OK;
}

static rr_status read_log(const struct reader *reader)
{
    rr_config *config = reader->config;
    struct toml_value value;
    if (toml_get(reader->document, "log", "file").kind != TOML_ABSENT) {
        rr_status status = read_text(reader, "log", "file", "the path of a file", &value);
        if (status != RR_OK) {
            return status;
        }
        if (value.text[0] == '\0') {
            return complain(reader, value.line, "log", "file", "the path of a file, not \"\"");
        }
        config->log_file = mem_copy_text(value.text);
    }
    const char *level = "info";
    if (toml_get(reader->document, "log", "level").kind != TOML_ABSENT) {
        const char *expected = "trace, debug, info, warn, error or a list such as "
                               "\"info,raft=debug\"";
        rr_status status = read_text(reader, "log", "level", expected, &value);
        if (status != RR_OK) {
            return status;
        }
        if (rr_log_filter_check(value.text) != RR_OK) {
            return complain(reader, value.line, "log", "level", "%s, not \"%s\"", expected,
                            value.text);
        }
        level = value.text;
    }
    config->log_level = mem_copy_text(level);
    return RR_OK;
}

static bool is_origin(const char *text)
{
    if (strcmp(text, "*") == 0) {
        return true;
    }
    const char *host = strstr(text, "://");
    return host != NULL && host != text && host[3] != '\0' && strchr(host + 3, '/') == NULL &&
           strpbrk(text, " \t\r\n,") == NULL;
}

static rr_status read_cors_origins(const struct reader *reader)
{
    const char *table = reader->server_table;
    const char *expected = "an array of origins such as \"https://example.org\", or [\"*\"]";
    struct toml_value value = toml_get(reader->document, table, "cors_origins");
    if (value.kind == TOML_ABSENT) {
        return RR_OK;
    }
    if (value.kind != TOML_ARRAY) {
        return complain(reader, value.line, table, "cors_origins", "%s, not %s", expected,
                        kind_name(value.kind));
    }
    rr_config *config = reader->config;
    for (size_t i = 0; i < value.count; i++) {
        struct toml_value item = toml_item(value, i);
        if (item.kind != TOML_TEXT || !is_origin(item.text)) {
            return complain(reader, item.line, table, "cors_origins", "%s", expected);
        }
        config_append_text(&config->cors_origins, &config->cors_origin_count,
                           mem_copy_text(item.text));
    }
    return RR_OK;
}

static rr_status check_bodies(const struct reader *reader)
{
    const rr_config *config = reader->config;
    if (config->bodies_bytes_max >= config->body_bytes_max) {
        return RR_OK;
    }
    struct toml_value value = toml_get(reader->document, "limits", "bodies_bytes_max");
    if (value.kind != TOML_ABSENT) {
        return complain(reader, value.line, "limits", "bodies_bytes_max",
                        "at least limits.body_bytes_max, %" PRIu64, config->body_bytes_max);
    }
    value = toml_get(reader->document, "limits", "body_bytes_max");
    return complain(reader, value.line, "limits", "body_bytes_max",
                    "at most limits.bodies_bytes_max, %" PRIu64, config->bodies_bytes_max);
}

/* The keys of the server's own table, as they are found. */
struct settings_search {
    const struct reader *reader;
    rr_status status;
};

static char *setting_text(struct toml_value value)
{
    if (value.kind == TOML_TEXT) {
        return mem_copy_text(value.text);
    }
    if (value.kind == TOML_INTEGER) {
        return config_format("%" PRId64, value.integer);
    }
    return mem_copy_text(value.boolean ? "true" : "false");
}

static void keep_setting(void *arg, const char *key, struct toml_value value)
{
    struct settings_search *search = arg;
    const struct reader *reader = search->reader;
    if (value.kind != TOML_TEXT && value.kind != TOML_INTEGER && value.kind != TOML_BOOLEAN) {
        if (search->status == RR_OK) {
            search->status =
                complain(reader, value.line, reader->settings_table, key,
                         "a string, an integer or a boolean, not %s", kind_name(value.kind));
        }
        return;
    }
    rr_config *config = reader->config;
    rr_config_setting *kept =
        mem_resize((void *)config->settings, (config->setting_count + 1) * sizeof(*kept));
    size_t at = config->setting_count;
    for (; at > 0 && kept[at - 1].line > value.line; at--) {
        kept[at] = kept[at - 1];
    }
    kept[at] = (rr_config_setting){mem_copy_text(key), setting_text(value), value.line};
    config->settings = kept;
    config->setting_count++;
}

static rr_status read_own_settings(const struct reader *reader)
{
    const char *table = reader->settings_table;
    if (table == NULL) {
        return RR_OK;
    }
    struct toml_value value = toml_get(reader->document, NULL, table);
    if (value.kind != TOML_ABSENT && value.kind != TOML_TABLE) {
        return complain(reader, value.line, NULL, table, "a table, [%s], not %s", table,
                        kind_name(value.kind));
    }
    struct settings_search search = {reader, RR_OK};
    toml_each(reader->document, table, keep_setting, &search);
    return search.status;
}

/* One table being searched for keys that nobody reads. */
struct key_search {
    const struct reader *reader;
    const char *table;
};

static bool is_known(const struct reader *reader, const char *table, const char *key)
{
    if (table == NULL) {
        for (size_t i = 0; i < TABLE_COUNT; i++) {
            if (strcmp(table_name(reader, tables[i]), key) == 0) {
                return true;
            }
        }
        return strcmp(key, "node_id") == 0 || strcmp(key, reader->server_key) == 0 ||
               (reader->settings_table != NULL && strcmp(key, reader->settings_table) == 0);
    }
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (strcmp(table_name(reader, settings[i].table), table) == 0 &&
            strcmp(settings[i].key, key) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < OTHER_KEY_COUNT; i++) {
        if (other_keys[i].table != NULL &&
            strcmp(table_name(reader, other_keys[i].table), table) == 0 &&
            strcmp(other_keys[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

static void warn_unless_known(void *arg, const char *key, struct toml_value value)
{
    const struct key_search *search = arg;
    const struct reader *reader = search->reader;
    if (is_known(reader, search->table, key)) {
        return;
    }
    char *text = config_format("%s:%u: %s%s%s: not a key of this server, ignored", reader->name,
                               value.line, search->table != NULL ? search->table : "",
                               search->table != NULL ? "." : "", key);
    config_append_text(&reader->config->warnings, &reader->config->warning_count, text);
}

static void warn_of_unknown_keys(const struct reader *reader)
{
    struct key_search search = {reader, NULL};
    toml_each(reader->document, NULL, warn_unless_known, &search);
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        search.table = table_name(reader, tables[i]);
        toml_each(reader->document, search.table, warn_unless_known, &search);
    }
}

rr_status config_read(const struct toml_document *document, const char *name,
                      const char *server_key, const char *settings_table, rr_config *config,
                      char *error, size_t error_size)
{
    struct reader reader = {document, name,   server_key, settings_table,
                            "",       config, error,      error_size};
    const char *suffix = strstr(server_key, "_addr");
    ASSERT(suffix != NULL);
    snprintf(reader.server_table, sizeof(reader.server_table), "%.*s", (int)(suffix - server_key),
             server_key);

    rr_status (*const steps[])(const struct reader *) = {
        check_tables, read_node_id,      read_settings,     read_raft,
        check_times,  read_rocksdb,      read_storage,      read_log,
        check_bodies, read_cors_origins, read_own_settings,
    };
    rr_status status = RR_OK;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && status == RR_OK; i++) {
        status = steps[i](&reader);
    }
    if (status == RR_OK) {
        status =
            read_address(&reader, NULL, server_key, /*any_port=*/true, &config->server_address);
    }
    if (status == RR_OK) {
        warn_of_unknown_keys(&reader);
    }
    return status;
}
