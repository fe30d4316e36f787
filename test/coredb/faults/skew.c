/*
 * Preloaded into a node: its wall clock is CLOCK_SKEW_MS ahead, or behind where that is negative.
 * What it measures durations by stays true.
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

typedef int (*clock_gettime_fn)(clockid_t clock, struct timespec *out);

static long long skew_ns(void)
{
    const char *text = getenv("CLOCK_SKEW_MS");
    return text != NULL ? strtoll(text, NULL, 10) * 1000000 : 0;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    clock_gettime_fn real = (clock_gettime_fn)dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, out);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        long long now = out->tv_sec * 1000000000LL + out->tv_nsec + skew_ns();
        out->tv_sec = now / 1000000000;
        out->tv_nsec = now % 1000000000;
    }
    return status;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return -1;
    }
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
