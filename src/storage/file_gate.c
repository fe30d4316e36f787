#include "storage/file_gate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { PREFIX_BYTES_MAX = 4096 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static atomic_bool in_use; /* either is set; all that production code ever looks at */
static bool closed;
static char gate_prefix[PREFIX_BYTES_MAX];
static size_t waiting;
static bool space_set;
static char space_prefix[PREFIX_BYTES_MAX];
static uint64_t space_bytes;

static bool begins_with(const char *path, const char *prefix)
{
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

void file_gate_close(const char *prefix)
{
    pthread_mutex_lock(&mutex);
    snprintf(gate_prefix, sizeof(gate_prefix), "%s", prefix);
    closed = true;
    atomic_store(&in_use, true);
    pthread_mutex_unlock(&mutex);
}

void file_gate_open(void)
{
    pthread_mutex_lock(&mutex);
    closed = false;
    atomic_store(&in_use, space_set);
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&mutex);
}

size_t file_gate_waiting(void)
{
    pthread_mutex_lock(&mutex);
    size_t count = waiting;
    pthread_mutex_unlock(&mutex);
    return count;
}

void file_gate_set_space(const char *prefix, uint64_t bytes)
{
    pthread_mutex_lock(&mutex);
    space_set = prefix != NULL;
    snprintf(space_prefix, sizeof(space_prefix), "%s", prefix != NULL ? prefix : "");
    space_bytes = bytes;
    atomic_store(&in_use, closed || space_set);
    pthread_mutex_unlock(&mutex);
}

void file_gate_pass(const char *path)
{
    if (!atomic_load_explicit(&in_use, memory_order_relaxed)) {
        return;
    }
    pthread_mutex_lock(&mutex);
    while (closed && begins_with(path, gate_prefix)) {
        waiting++;
        pthread_cond_wait(&opened, &mutex);
        waiting--;
    }
    pthread_mutex_unlock(&mutex);
}

bool file_gate_space(const char *path, uint64_t *out)
{
    if (!atomic_load_explicit(&in_use, memory_order_relaxed)) {
        return false;
    }
    pthread_mutex_lock(&mutex);
    bool found = space_set && begins_with(path, space_prefix);
    if (found) {
        *out = space_bytes;
    }
    pthread_mutex_unlock(&mutex);
    return found;
}
