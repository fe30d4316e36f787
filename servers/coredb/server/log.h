/*
 * The server's log: one line for people, with time, level and target, to stdout or a file.
 *
 *     2031-05-01T12:00:00.123Z INFO  raft: became leader of term 3
 *
 * Lines of several threads do not mix. A log outlives all that write to it.
 */
#ifndef COREDB_SERVER_LOG_H
#define COREDB_SERVER_LOG_H

#include <rockraft/types.h>

struct log;

/* A log to the file at `path`, whose folder is made if need be, or to stdout when NULL. `filter`
 * is a checked one and is copied. NULL when the file cannot be opened, with a line in `error`. */
struct log *log_open(const char *path, const char *filter, char *error, size_t error_size);

/* NULL is fine. */
void log_close(struct log *log);

/* Opens the file again under its name, after someone moved the old one away. */
void log_reopen(struct log *log);

/* Writes one line; an rr_log_fn. `log` is a struct log. */
void log_line(void *log, rr_log_level level, const char *target, const char *text);

/* The same with a printf-like text and the target "coredb". */
void log_write(struct log *log, rr_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether a line of `level` and the target "coredb" would be written. */
bool log_enabled(const struct log *log, rr_log_level level);

#endif
