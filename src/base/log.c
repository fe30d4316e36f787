/* Formatting of log lines, and the limiter that keeps them few. Where they go is the caller's. */
#include "base/log.h"

#include "base/limits.h"

#include <stdarg.h>
#include <stdio.h>

struct logger logger_silent(void)
{
    return (struct logger){.level = RR_LOG_OFF, .target = ""};
}

static void write_to_stderr(void *arg, rr_log_level level, const char *target, const char *text)
{
    (void)arg;
    static const char letters[] = "TDIWE-";
    fprintf(stderr, "%c %s: %s\n", letters[level], target, text);
}

struct logger logger_stderr(rr_log_level level)
{
    return (struct logger){.fn = write_to_stderr, .level = level, .target = "log"};
}

struct logger logger_named(const struct logger *logger, const char *target)
{
    struct logger named = *logger;
    named.target = target;
    return named;
}

void log_write(const struct logger *logger, rr_log_level level, const char *format, ...)
{
    char text[LOG_LINE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    logger->fn(logger->arg, level, logger->target, length < 0 ? format : text);
}

bool log_limiter_pass(struct log_limiter *limiter, uint64_t now_ms, uint64_t *suppressed)
{
    if (limiter->started && now_ms < limiter->next_ms) {
        limiter->suppressed++;
        return false;
    }
    if (suppressed != NULL) {
        *suppressed = limiter->suppressed;
    }
    limiter->started = true;
    limiter->suppressed = 0;
    if (__builtin_add_overflow(now_ms, limiter->interval_ms, &limiter->next_ms)) {
        limiter->next_ms = UINT64_MAX;
    }
    return true;
}
