/*
 * Lines of log for people, through the embedder's callback.
 *
 * A logger is a small value that modules copy; a module derives its own with logger_named. Texts
 * are formatted only when their level is wanted. Each line reads "what happened: why" and names
 * ids with their kind. The callback is called on the thread that logs.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "rockraft/types.h"

/* Where lines go. Zeroed, it is silent. Borrowed by its users; owned by the node. */
struct logger {
    rr_log_fn fn;       /* NULL for silence */
    void *arg;          /* for `fn` */
    rr_log_level level; /* lines under it are dropped */
    const char *target; /* the part that speaks; a static string */
};

/* A logger whose lines go nowhere. */
struct logger logger_silent(void);

/* A logger of every line from `level` up to stderr; for tests and tools. */
struct logger logger_stderr(rr_log_level level);

/* `logger` under another `target`, which is static. */
struct logger logger_named(const struct logger *logger, const char *target);

/* Whether a line of `level` would be written. */
static inline bool log_enabled(const struct logger *logger, rr_log_level level)
{
    return logger->fn != NULL && level >= logger->level;
}

/* Formats and hands on one line, cut at LOG_LINE_BYTES_MAX; use the macros instead. */
void log_write(const struct logger *logger, rr_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The arguments are evaluated only when the line is wanted. */
#define LOG_AT(logger, level, ...)                                                                 \
    do {                                                                                           \
        if (log_enabled((logger), (level))) {                                                      \
            log_write((logger), (level), __VA_ARGS__);                                             \
        }                                                                                          \
    } while (0)

#define LOG_TRACE(logger, ...) LOG_AT((logger), RR_LOG_TRACE, __VA_ARGS__)
#define LOG_DEBUG(logger, ...) LOG_AT((logger), RR_LOG_DEBUG, __VA_ARGS__)
#define LOG_INFO(logger, ...) LOG_AT((logger), RR_LOG_INFO, __VA_ARGS__)
#define LOG_WARN(logger, ...) LOG_AT((logger), RR_LOG_WARN, __VA_ARGS__)
#define LOG_ERROR(logger, ...) LOG_AT((logger), RR_LOG_ERROR, __VA_ARGS__)

/*
 * Keeps a line that outsiders can cause from flooding the log: one now, then at most one in
 * `interval_ms`. Zeroed except for the interval, it is ready; an interval of UINT64_MAX lets only
 * the first line pass, ever.
 */
struct log_limiter {
    uint64_t interval_ms;
    uint64_t next_ms;    /* when the next line may pass */
    uint64_t suppressed; /* lines held back since the last that passed */
    bool started;        /* a line has passed */
};

/*
 * Whether a line may be written at `now_ms`, a time that never goes back. If so, `suppressed`
 * (unless NULL) receives how many were held back since the last one.
 *
 *     uint64_t suppressed;
 *     if (log_limiter_pass(&listener->bad_frames, now_ms, &suppressed)) {
 *         LOG_WARN(logger, "dropped a frame: bad checksum (%" PRIu64 " more not shown)", suppressed);
 *     }
 */
bool log_limiter_pass(struct log_limiter *limiter, uint64_t now_ms, uint64_t *suppressed);

#endif
