/*
 * The settings of CONFIG GET and SET: what works here, and names of Redis that are accepted and
 * kept. Values are text as Redis shows it. Before the loop runs, or on its thread.
 */
#ifndef COREDB_SERVER_SETTINGS_H
#define COREDB_SERVER_SETTINGS_H

#include <rockraft/types.h>

/* Those that the server itself looks at. */
enum setting_id {
    SETTING_MAXCLIENTS,
    SETTING_TIMEOUT,
    SETTING_TCP_KEEPALIVE,
    SETTING_TCP_BACKLOG,
    SETTING_REQUIREPASS,
    SETTING_READ_LEVEL,
    SETTING_NOTIFY,
    SETTING_SLOWLOG_SLOWER_THAN,
    SETTING_SLOWLOG_MAX_LEN,
    SETTING_LATENCY_THRESHOLD,
    SETTING_OUTPUT_LIMIT,
    SETTING_QUERY_LIMIT,    /* of the input of one client that waits */
    SETTING_CLIENTS_MEMORY, /* of all clients' buffers; over it the largest are closed. 0: no limit */
    SETTING_DEBUG,
    SETTING_PORT,
    SETTING_BIND,
    SETTING_DIR,
    SETTING_UNIXSOCKET,
    SETTING_UNIXSOCKETPERM,
    SETTING_LOGLEVEL,
    SETTING_LOGFILE,
    SETTING_PROTECTED, /* protected-mode: without a password only this machine may connect */
    SETTING_COUNT
};

struct settings;

struct settings *settings_new(void);
void settings_free(struct settings *settings);

/* By id. The text lasts until the setting is set again. */
const char *settings_text(const struct settings *settings, enum setting_id id);
int64_t settings_number(const struct settings *settings, enum setting_id id);

/* How many there are, and the i-th's name and value. */
size_t settings_count(const struct settings *settings);
const char *settings_name(const struct settings *settings, size_t i);
const char *settings_value(const struct settings *settings, size_t i);

/* The index of a name in any case, or -1. */
int settings_find(const struct settings *settings, rr_bytes name);

/* Checks and stores. At the start what cannot change later may be set. False: `error` has Redis's
 * text, such as "argument must be between 0 and 10 inclusive". */
bool settings_set(struct settings *settings, size_t i, rr_bytes value, bool at_start, char *error,
                  size_t error_size);

/* Called after a setting was set by CONFIG SET. */
typedef void (*settings_changed_fn)(void *arg, size_t i);
void settings_on_change(struct settings *settings, settings_changed_fn fn, void *arg);
void settings_tell(struct settings *settings, size_t i);

/* Class 1 (replica), 2 (pubsub) or 0 (normal) of client-output-buffer-limit. */
struct settings_output_limit {
    uint64_t hard_bytes;
    uint64_t soft_bytes;
    uint64_t soft_seconds;
};
struct settings_output_limit settings_output_limit(const struct settings *settings, int class);

#endif
