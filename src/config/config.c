/* Configurations as objects: made, loaded from files, freed, handed to the library. */
#include "rockraft/config.h"

#include "base/assert.h"
#include "base/memory.h"
#include "config/config_private.h"
#include "config/toml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A configuration is a page of text; what is larger is some other file. */
enum { CONFIG_BYTES_MAX = 1024 * 1024 };

static const uint64_t MEBIBYTE = 1024 * 1024;

char *config_format(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    ASSERT(size >= 0);
    text = mem_alloc((size_t)size + 1);
    va_start(arguments, format);
    vsnprintf(text, (size_t)size + 1, format, arguments);
    va_end(arguments);
    return text;
}

void config_append_text(const char *const **list, size_t *count, char *text)
{
    const char **texts = mem_resize((void *)*list, (*count + 1) * sizeof(*texts));
    texts[*count] = text;
    *list = texts;
    *count += 1;
}

rr_config *config_new_empty(void)
{
    rr_config *config = mem_new(rr_config);
    *config = (rr_config){
        .found = true,
        .join_timeout_ms = 60 * 1000,
        .heartbeat_interval_ms = 50,
        .election_timeout_min_ms = 150,
        .election_timeout_max_ms = 300,
        .lease_reads = true,
        .lease_drift_permille = RR_CONFIG_UNSET,
        .max_open_files = 10000,
        .block_cache_bytes = RR_CONFIG_UNSET,
        .memtable_bytes = RR_CONFIG_UNSET,
        .disk_low_bytes = RR_CONFIG_UNSET,
        .snapshot_entries = RR_CONFIG_UNSET,
        .snapshot_keep = RR_CONFIG_UNSET,
        .snapshot_bytes_per_s = RR_CONFIG_UNSET,
        .key_bytes_max = RR_CONFIG_UNSET,
        .value_bytes_max = RR_CONFIG_UNSET,
        .entry_bytes_max = RR_CONFIG_UNSET,
        .result_bytes_max = RR_CONFIG_UNSET,
        .pending_bytes_max = RR_CONFIG_UNSET,
        .pending_max = RR_CONFIG_UNSET,
        .timeout_ms = 10 * 1000,
        .body_bytes_max = 8 * MEBIBYTE,
        .bodies_bytes_max = 64 * MEBIBYTE,
        .answers_bytes_max = 128 * MEBIBYTE,
        .header_bytes_max = 32 * 1024,
        .connections_max = 10000,
        .idle_timeout_ms = 60 * 1000,
        .log_segment_bytes = RR_CONFIG_UNSET,
    };
    return config;
}

rr_config *rr_config_new(const char *server_address)
{
    rr_config *config = config_new_empty();
    config->node_id = 1;
    config->server_address = mem_copy_text(server_address);
    config->raft_address = mem_copy_text("127.0.0.1:6682");
    config->advertise_address = mem_copy_text("127.0.0.1:6682");
    config->data_path = mem_copy_text("data");
    config->log_level = mem_copy_text("info");
    return config;
}

static void free_texts(const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_free((void *)texts[i]);
    }
    mem_free((void *)texts);
}

void rr_config_free(rr_config *config)
{
    if (config == NULL) {
        return;
    }
    mem_free((void *)config->server_address);
    mem_free((void *)config->raft_address);
    mem_free((void *)config->advertise_address);
    mem_free((void *)config->data_path);
    mem_free((void *)config->log_file);
    mem_free((void *)config->log_level);
    free_texts(config->join, config->join_count);
    free_texts(config->cors_origins, config->cors_origin_count);
    free_texts(config->warnings, config->warning_count);
    for (size_t i = 0; i < config->setting_count; i++) {
        mem_free((void *)config->settings[i].name);
        mem_free((void *)config->settings[i].value);
    }
    mem_free((void *)config->settings);
    mem_free(config);
}

rr_status rr_config_parse_table(rr_bytes text, const char *name, const char *server_key,
                                const char *table, rr_config **out, char *error, size_t error_size)
{
    struct toml_document *document = NULL;
    unsigned line = 0;
    char problem[512];
    rr_status status = toml_parse(text, &document, &line, problem, sizeof(problem));
    if (status != RR_OK) {
        if (error != NULL) {
            snprintf(error, error_size, "%s:%u: expected a TOML document: %s", name, line, problem);
        }
        return status;
    }
    rr_config *config = config_new_empty();
    status = config_read(document, name, server_key, table, config, error, error_size);
    toml_free(document);
    if (status != RR_OK) {
        rr_config_free(config);
        return status;
    }
    *out = config;
    return RR_OK;
}

rr_status rr_config_parse(rr_bytes text, const char *name, const char *server_key, rr_config **out,
                          char *error, size_t error_size)
{
    return rr_config_parse_table(text, name, server_key, NULL, out, error, error_size);
}

/* The whole file in `out`, which is the caller's on success. */
static rr_status read_file(const char *path, char **out, size_t *size, char *error,
                           size_t error_size)
{
    FILE *file = fopen(path, "rb");
    char *text = mem_alloc(CONFIG_BYTES_MAX + 1);
    const char *problem = NULL;
    if (file == NULL) {
        problem = strerror(errno);
    } else {
        errno = 0;
        *size = fread(text, 1, CONFIG_BYTES_MAX + 1, file);
        if (ferror(file)) {
            problem = strerror(errno);
        } else if (*size > CONFIG_BYTES_MAX) {
            problem = "it is larger than 1 MiB";
        }
        fclose(file);
    }
    if (problem != NULL) {
        mem_free(text);
        if (error != NULL) {
            snprintf(error, error_size, "%s: cannot read the configuration: %s", path, problem);
        }
        return RR_IO;
    }
    *out = text;
    return RR_OK;
}

rr_status rr_config_load_table(const char *path, const char *server_key, const char *table,
                               rr_config **out, char *error, size_t error_size)
{
    char *text = NULL;
    size_t size = 0;
    rr_status status = read_file(path, &text, &size, error, error_size);
    if (status != RR_OK) {
        return status;
    }
    rr_bytes bytes = {text, size};
    status = rr_config_parse_table(bytes, path, server_key, table, out, error, error_size);
    mem_free(text);
    return status;
}

rr_status rr_config_load(const char *path, const char *server_key, rr_config **out, char *error,
                         size_t error_size)
{
    return rr_config_load_table(path, server_key, NULL, out, error, error_size);
}

/* Sets an option unless the file left it to the library. */
#define SET_OPTION(options, config, name)                                                          \
    do {                                                                                           \
        if ((config)->name != RR_CONFIG_UNSET) {                                                   \
            (options)->name = (__typeof__((options)->name))(config)->name;                         \
        }                                                                                          \
    } while (0)

void rr_config_to_options(const rr_config *config, rr_options *options)
{
    options->node_id = config->node_id;
    options->data_path = config->data_path;
    options->raft_address = config->raft_address;
    options->advertise_address = config->advertise_address;
    options->join = config->join;
    options->join_count = config->join_count;
    options->found = config->found;
    options->lease_reads = config->lease_reads;
    options->log_level = rr_log_filter_level(config->log_level, NULL);
    options->log_kind = config->log_kind;
    options->log_migrate = config->log_migrate;
    options->log_sync_thread = config->log_sync_thread;
    options->repair = config->repair;
    SET_OPTION(options, config, log_segment_bytes);
    SET_OPTION(options, config, heartbeat_interval_ms);
    SET_OPTION(options, config, election_timeout_min_ms);
    SET_OPTION(options, config, election_timeout_max_ms);
    SET_OPTION(options, config, lease_drift_permille);
    SET_OPTION(options, config, timeout_ms);
    SET_OPTION(options, config, snapshot_entries);
    SET_OPTION(options, config, snapshot_keep);
    SET_OPTION(options, config, snapshot_bytes_per_s);
    SET_OPTION(options, config, key_bytes_max);
    SET_OPTION(options, config, value_bytes_max);
    SET_OPTION(options, config, entry_bytes_max);
    SET_OPTION(options, config, result_bytes_max);
    SET_OPTION(options, config, pending_bytes_max);
    SET_OPTION(options, config, pending_max);
    SET_OPTION(options, config, max_open_files);
    SET_OPTION(options, config, block_cache_bytes);
    SET_OPTION(options, config, memtable_bytes);
    SET_OPTION(options, config, disk_low_bytes);
}
