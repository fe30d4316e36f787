/* Log lines to stdout or a file, each with one write. */
#include "common/log.h"

#include "common/parents.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 2048 };

struct log {
    pthread_mutex_t lock; /* held while `fd` is written to or replaced */
    int fd;
    char *path; /* NULL: stdout */
    char *filter;
    const char *target;     /* of the server's own lines */
    rr_log_level own_level; /* theirs */
};

static int open_file(const char *path)
{
    (void)parents_make(path); /* what is wrong shows when the file is opened */
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

/* The log's filter: RUST_LOG, unless it is none. */
static const char *choose_filter(const rr_config *config, bool *ignored)
{
    const char *variable = getenv("RUST_LOG");
    *ignored = false;
    if (variable == NULL || variable[0] == '\0') {
        return config->log_level;
    }
    *ignored = rr_log_filter_check(variable) != RR_OK;
    return *ignored ? config->log_level : variable;
}

/* A log to the file at `path`, or to stdout when NULL; NULL with errno. */
static struct log *open_with(const char *path, const char *filter, const char *target)
{
    int fd = path != NULL ? open_file(path) : STDOUT_FILENO;
    if (fd < 0) {
        return NULL;
    }
    struct log *log = calloc(1, sizeof(*log));
    char *filter_copy = strdup(filter);
    char *path_copy = path != NULL ? strdup(path) : NULL;
    if (log == NULL || filter_copy == NULL || (path != NULL && path_copy == NULL)) {
        abort();
    }
    pthread_mutex_init(&log->lock, NULL);
    log->fd = fd;
    log->path = path_copy;
    log->filter = filter_copy;
    log->target = target;
    log->own_level = rr_log_filter_level(filter, target);
    return log;
}

struct log *log_open(const rr_config *config, const char *target, const char **filter, char *error,
                     size_t error_size)
{
    bool ignored = false;
    const char *chosen = choose_filter(config, &ignored);
    struct log *log = open_with(config->log_file, chosen, target);
    if (log == NULL) {
        snprintf(error, error_size, "%s: cannot open the log file: %s", config->log_file,
                 strerror(errno));
        return NULL;
    }
    *filter = log->filter;
    if (ignored) {
        log_write(log, RR_LOG_WARN, "RUST_LOG is no log filter, ignored");
    }
    for (size_t i = 0; i < config->warning_count; i++) {
        log_write(log, RR_LOG_WARN, "%s", config->warnings[i]);
    }
    return log;
}

void log_close(struct log *log)
{
    if (log == NULL) {
        return;
    }
    if (log->path != NULL) {
        close(log->fd);
    }
    pthread_mutex_destroy(&log->lock);
    free(log->path);
    free(log->filter);
    free(log);
}

void log_reopen(struct log *log)
{
    if (log->path == NULL) {
        return;
    }
    int fd = open_file(log->path);
    if (fd < 0) {
        log_write(log, RR_LOG_WARN, "cannot open the log file again: %s", strerror(errno));
        return;
    }
    pthread_mutex_lock(&log->lock);
    close(log->fd);
    log->fd = fd;
    pthread_mutex_unlock(&log->lock);
}

static const char *level_name(rr_log_level level)
{
    switch (level) {
    case RR_LOG_TRACE:
        return "TRACE";
    case RR_LOG_DEBUG:
        return "DEBUG";
    case RR_LOG_INFO:
        return "INFO ";
    case RR_LOG_WARN:
        return "WARN ";
    case RR_LOG_ERROR:
        return "ERROR";
    case RR_LOG_OFF:
        break;
    }
    return "?    ";
}

/* Writes all of it; a log that cannot be written must not stop a server. */
static void write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno != EINTR) {
            return;
        }
        data += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
}

void log_line(void *arg, rr_log_level level, const char *target, const char *text)
{
    struct log *log = arg;
    if (level < rr_log_filter_level(log->filter, target)) {
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm parts;
    gmtime_r(&now.tv_sec, &parts);
    char line[LINE_BYTES_MAX];
    size_t head = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &parts);
    int added = snprintf(line + head, sizeof(line) - head, ".%03ldZ %s %s: %s",
                         now.tv_nsec / 1000000, level_name(level), target, text);
    size_t size = head + (added > 0 ? (size_t)added : 0);
    if (size > sizeof(line) - 2) {
        size = sizeof(line) - 2;
    }
    /* One line is one line, whatever a client put into it. */
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f) {
            line[i] = ' ';
        }
    }
    line[size] = '\n';
    pthread_mutex_lock(&log->lock);
    write_all(log->fd, line, size + 1);
    pthread_mutex_unlock(&log->lock);
}

void log_write(struct log *log, rr_log_level level, const char *format, ...)
{
    if (!log_enabled(log, level)) {
        return;
    }
    char text[LINE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    log_line(log, level, log->target, text);
}

bool log_enabled(const struct log *log, rr_log_level level)
{
    return level >= log->own_level;
}
