/*
 * The configuration files of Rockraft's servers: TOML in, one checked struct out.
 *
 * docs/configuration.md describes every key. Nothing here prints, opens a port or creates a file;
 * reading the file and the environment is left to the functions whose comments say so.
 */
#ifndef ROCKRAFT_CONFIG_H
#define ROCKRAFT_CONFIG_H

#include <rockraft/rockraft.h>
#include <rockraft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A number that the file does not set and for which the library has the default. */
#define RR_CONFIG_UNSET UINT64_MAX

/* One key of a table that belongs to the server alone; the server checks it. */
typedef struct rr_config_setting {
    const char *name;
    const char *value; /* a string as it is, an integer in decimal, "true" or "false" */
    unsigned line;     /* where it stands, for complaints */
} rr_config_setting;

/*
 * A checked configuration. Made by rr_config_parse, rr_config_load or rr_config_new, which own all
 * that its pointers point to until rr_config_free. Fields are only ever added at the end.
 */
typedef struct rr_config {
    uint64_t node_id;
    const char *server_address; /* "host:port" for clients; port 0 lets the kernel choose */

    const char *raft_address;      /* "host:port" to listen on for peers */
    const char *advertise_address; /* "host:port" told to peers */
    const char *const *join;       /* raft addresses of members */
    size_t join_count;
    bool found;                     /* whether this node may found a cluster */
    uint64_t join_timeout_ms;       /* how long a start may wait for membership; 0: for ever */
    uint64_t heartbeat_interval_ms; /* these three have passed their checks together */
    uint64_t election_timeout_min_ms;
    uint64_t election_timeout_max_ms;
    bool lease_reads;
    uint64_t lease_drift_permille; /* or RR_CONFIG_UNSET, as each of the next three groups */

    const char *data_path;
    uint64_t max_open_files;
    uint64_t block_cache_bytes;
    uint64_t memtable_bytes;
    uint64_t disk_low_bytes;

    uint64_t snapshot_entries;
    uint64_t snapshot_keep;
    uint64_t snapshot_bytes_per_s;

    uint64_t key_bytes_max;
    uint64_t value_bytes_max;
    uint64_t entry_bytes_max;
    uint64_t result_bytes_max;
    uint64_t pending_bytes_max;
    uint64_t pending_max;

    uint64_t timeout_ms;        /* deadline of a request; always set, as is all below */
    uint64_t body_bytes_max;    /* one request's body */
    uint64_t bodies_bytes_max;  /* all bodies that are being received or handled */
    uint64_t answers_bytes_max; /* all answers that are being sent */
    uint64_t header_bytes_max;  /* a request line and its headers */
    uint64_t connections_max;
    uint64_t idle_timeout_ms; /* a silent connection is closed after it; 0: never */

    const char *const *cors_origins; /* origins of web pages that may call; "*" allows any */
    size_t cors_origin_count;        /* 0: no CORS */

    const char *log_file;  /* NULL: stdout */
    const char *log_level; /* a filter, see rr_log_filter_level */

    const char *const *warnings; /* "FILE:LINE: KEY: ..." for keys that mean nothing */
    size_t warning_count;

    const rr_config_setting *settings; /* of the table that rr_config_load_table names */
    size_t setting_count;

    rr_log_kind log_kind;       /* of the table [storage], as the next three */
    bool log_migrate;           /* a log of another kind is moved at start */
    bool log_sync_thread;       /* a thread of its own syncs the log */
    uint64_t log_segment_bytes; /* or RR_CONFIG_UNSET */
    rr_repair repair;
} rr_config;

/*
 * Reads the configuration `text`; `name` is what errors call it, `server_key` is the server's key
 * for its address ("http_addr"). `error`, if not NULL, receives one line on failure, such as
 * "node.toml:7: raft.heartbeat_interval: expected a number of milliseconds from 1 to 60000".
 *
 * Returns RR_OK or RR_INVALID. Any thread.
 */
RR_API RR_MUST_USE rr_status rr_config_parse(rr_bytes text, const char *name,
                                             const char *server_key, rr_config **out, char *error,
                                             size_t error_size);

/* As rr_config_parse for the file at `path`; RR_IO when it cannot be read. */
RR_API RR_MUST_USE rr_status rr_config_load(const char *path, const char *server_key,
                                            rr_config **out, char *error, size_t error_size);

/*
 * The same for a server with settings of its own: the keys of `table` ("coredb"), which are strings,
 * integers or booleans, are the configuration's `settings`, in the order of their lines, and none
 * of them is unknown. `table` NULL: none.
 */
RR_API RR_MUST_USE rr_status rr_config_parse_table(rr_bytes text, const char *name,
                                                   const char *server_key, const char *table,
                                                   rr_config **out, char *error, size_t error_size);
RR_API RR_MUST_USE rr_status rr_config_load_table(const char *path, const char *server_key,
                                                  const char *table, rr_config **out, char *error,
                                                  size_t error_size);

/* The configuration of a server that is given none: node 1, alone, under ./data, at
 * `server_address`, with raft at 127.0.0.1:6682. */
RR_API rr_config *rr_config_new(const char *server_address);

/* NULL is allowed. */
RR_API void rr_config_free(rr_config *config);

/* Sets the fields of `options`, which rr_options_init has filled, that `config` speaks about. They
 * point into `config`, which must outlive the opening of the node. */
RR_API void rr_config_to_options(const rr_config *config, rr_options *options);

/*
 * Splits "host:port" or "[IPv6]:port"; `host` receives the host without brackets, terminated. The
 * port may be 0, which callers that dial or advertise must refuse.
 *
 * Returns RR_OK, or RR_INVALID with `problem` (unless NULL) set to a static text that tells why.
 */
RR_API RR_MUST_USE rr_status rr_address_split(const char *address, char *host, size_t host_size,
                                              uint16_t *port, const char **problem);

/*
 * A log filter is a list of directives separated by commas: LEVEL for everything, TARGET=LEVEL for
 * one part; the target "rockraft" means every part. Levels are trace, debug, info, warn, error and
 * off. Where nothing is said about a target, only errors pass.
 *
 * rr_log_filter_check returns RR_OK, or RR_INVALID when `filter` is no such list.
 */
RR_API RR_MUST_USE rr_status rr_log_filter_check(const char *filter);

/* The lowest level that `filter`, a checked one, lets pass for `target`; for NULL, the lowest that
 * it lets pass for any. */
RR_API rr_log_level rr_log_filter_level(const char *filter, const char *target);

#ifdef __cplusplus
}
#endif

#endif
