/*
 * The server's log: one line for people, with time, level and target, to stdout or a file.
 *
 *     2031-05-01T12:00:00.123Z INFO  raft: became leader of term 3
 *
 * Lines of several threads do not mix. A log outlives all that write to it.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <rockraft/config.h>
#include <rockraft/types.h>

struct log;

/*
 * The log that `config` asks for, to a file whose folder is made if need be, or to stdout; its first
 * lines are the configuration's warnings. The variable RUST_LOG, if it is a filter, is used instead
 * of the configured one; `filter` is set to the one in use, which lasts as long as the log.
 * `target` is that of the server's own lines, a literal. NULL when the file cannot be opened, with
 * a line in `error`.
 */
struct log *log_open(const rr_config *config, const char *target, const char **filter, char *error,
                     size_t error_size);

/* NULL is fine. */
void log_close(struct log *log);

/* Opens the file again under its name, after someone moved the old one away. */
void log_reopen(struct log *log);

/* Writes one line; an rr_log_fn. `log` is a struct log. */
void log_line(void *log, rr_log_level level, const char *target, const char *text);

/* The same with a printf-like text and the server's own target. */
void log_write(struct log *log, rr_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether a line of the server's own of `level` would be written. */
bool log_enabled(const struct log *log, rr_log_level level);

#endif
