/* Which operations meet which faults, as the control file says. */
#include "shim_private.h"

#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t random_state;

uint64_t shim_draw(void)
{
    if (random_state == 0) {
        random_state = shim_control->seed * 0x9E3779B97F4A7C15ULL + 1;
    }
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void nap(int64_t microseconds)
{
    struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};
    nanosleep(&time, NULL);
}

static bool fires(struct shim_rule *rule, enum shim_operation operation, const char *path)
{
    uint32_t operations = __atomic_load_n(&rule->operations, __ATOMIC_ACQUIRE);
    if ((operations & operation) == 0 || fnmatch(rule->pattern, path, 0) != 0) {
        return false;
    }
    if (rule->matched++ < rule->skip || (rule->limit != 0 && rule->fired >= rule->limit) ||
        shim_draw() % 1000000 >= rule->probability) {
        return false;
    }
    rule->fired++;
    return true;
}

static void count(enum shim_operation operation)
{
    for (int bit = 0; bit < SHIM_OPERATION_COUNT; bit++) {
        shim_control->counts[bit] += operation >> bit & 1;
    }
}

/* What the operation has to meet. Waits are over when it returns; the caller does the rest. */
struct shim_rule meet(enum shim_operation operation, const char *path)
{
    struct shim_rule none = {.fault = SHIM_NONE};
    const char *relative = path + strlen(getenv("DISK_SHIM_ROOT"));
    relative += relative[0] == '/';
    pthread_mutex_lock(&shim_lock);
    count(operation);
    struct shim_rule *rule = shim_control->rules;
    while (rule < shim_control->rules + SHIM_RULES_MAX && !fires(rule, operation, relative)) {
        rule++;
    }
    if (rule == shim_control->rules + SHIM_RULES_MAX) {
        pthread_mutex_unlock(&shim_lock);
        return none;
    }
    struct shim_rule met = *rule;
    if (met.fault == SHIM_KILL && operation != SHIM_WRITE) {
        kill(getpid(), SIGKILL); /* under the lock: nothing is half done */
    }
    rule->waiting += met.fault == SHIM_STALL;
    pthread_mutex_unlock(&shim_lock);
    if (met.fault == SHIM_DELAY) {
        nap(met.argument);
        return none;
    }
    if (met.fault == SHIM_STALL) {
        while (__atomic_load_n(&rule->released, __ATOMIC_ACQUIRE) == 0) {
            nap(1000);
        }
        __atomic_fetch_sub(&rule->waiting, 1, __ATOMIC_RELEASE);
        return none;
    }
    return met;
}

/* For what succeeds or fails: whether it has to fail, with errno set. */
bool must_fail(enum shim_operation operation, const char *path)
{
    struct shim_rule met = meet(operation, path);
    if (met.fault != SHIM_ERROR) {
        return false;
    }
    errno = (int)met.argument;
    return true;
}
