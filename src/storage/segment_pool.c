/* Spares, their names and the thread that makes them. */
#include "storage/segment_pool.h"

#include "base/list.h"
#include "base/memory.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST_BYTES = 4 * 1024 * 1024, /* written while somebody waits for a file */
    SPARES_MAX = 2,                /* more are removed: a log that shrinks gives its space back */
    PIECE_BYTES = 1024 * 1024,
    RETRY_SECONDS = 1,
};

/* A file that was given and is not looked after yet. */
struct given {
    struct list_link link;
    char *path;
};

struct segment_pool {
    char path[PATH_BYTES_MAX];
    uint64_t segment_bytes;
    bool threaded;
    pthread_t thread;
    pthread_mutex_t mutex; /* of all below */
    pthread_cond_t changed;
    bool stop;
    bool wanted; /* the owner will need a spare */
    uint64_t next_number;
    uint64_t spares[SPARES_MAX];
    unsigned spare_count;
    struct list given;
    bool short_of; /* of space, or the disk is ill */
    struct storage_error shortage;
};

static rr_status spare_path(const struct segment_pool *pool, uint64_t number,
                            char out[PATH_BYTES_MAX], struct storage_error *error)
{
    char name[32];
    snprintf(name, sizeof(name), "spare-%016" PRIx64, number);
    return path_join(pool->path, name, out, error);
}

static uint64_t new_number(struct segment_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    uint64_t number = pool->next_number++;
    pthread_mutex_unlock(&pool->mutex);
    return number;
}

static bool stopping(struct segment_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    bool stop = pool->stop;
    pthread_mutex_unlock(&pool->mutex);
    return stop;
}

/* Adds a finished spare; false when there are enough. */
static bool add_spare(struct segment_pool *pool, uint64_t number)
{
    pthread_mutex_lock(&pool->mutex);
    bool fits = pool->spare_count < SPARES_MAX;
    if (fits) {
        pool->spares[pool->spare_count++] = number;
    }
    pthread_mutex_unlock(&pool->mutex);
    return fits;
}

static void note_outcome(struct segment_pool *pool, rr_status status,
                         const struct storage_error *error)
{
    pthread_mutex_lock(&pool->mutex);
    pool->short_of = status != RR_OK;
    if (status != RR_OK) {
        pool->shortage = *error;
    }
    pthread_mutex_unlock(&pool->mutex);
}

/*
 * Fills `bytes` of the new file with zeros, so that its blocks are there and written. RR_CLOSED:
 * stopped.
 *
 * Its pages are dropped: as they come from large writes they are large themselves, and a small
 * frame on a large page costs twice the CPU.
 */
static rr_status fill(struct segment_pool *pool, uint64_t bytes, int fd, const char *path,
                      struct storage_error *error)
{
    uint8_t *zeros = mem_alloc(PIECE_BYTES);
    rr_status status = RR_OK;
    for (uint64_t offset = 0; status == RR_OK && offset < bytes;) {
        uint64_t left = bytes - offset;
        size_t size = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        status = file_write_at(fd, path, offset, (rr_bytes){zeros, size}, error);
        offset += size;
        if (status == RR_OK && stopping(pool)) {
            status = storage_fail(error, RR_CLOSED, "the pool is closed");
        }
    }
    mem_free(zeros);
    if (status == RR_OK) {
        status = file_sync(fd, path, error);
    }
    file_drop_cache(fd);
    return status;
}

/* Creates a spare of `bytes` that is not in the list yet; nothing is left of it on failure. */
static rr_status make_file(struct segment_pool *pool, uint64_t bytes, uint64_t *number,
                           struct storage_error *error, char path[PATH_BYTES_MAX], int *fd)
{
    *number = new_number(pool);
    rr_status status = spare_path(pool, *number, path, error);
    if (status == RR_OK) {
        status = file_create(path, fd, error);
    }
    if (status != RR_OK || bytes == 0) {
        return status;
    }
    status = fill(pool, bytes, *fd, path, error);
    if (status != RR_OK) {
        close(*fd);
        unlink(path); /* or the next segment_pool_open removes it: it is too short */
    }
    return status;
}

/* Whether a file of zeros may be made: not of the last space, which others need for what counts. */
static rr_status check_space(struct segment_pool *pool, struct storage_error *error)
{
    uint64_t available;
    uint64_t wanted = pool->segment_bytes + pool->segment_bytes / 4;
    rr_status status = file_space_available(pool->path, &available, error);
    if (status == RR_OK && available < wanted) {
        return storage_fail(error, RR_NO_SPACE,
                            "%s has %" PRIu64 " MiB left, the next segment wants %" PRIu64
                            ": free space on the disk",
                            pool->path, available >> 20, wanted >> 20);
    }
    return status;
}

rr_status segment_pool_prepare(struct segment_pool *pool, struct storage_error *error)
{
    if (segment_pool_spares(pool) > 0) {
        return RR_OK;
    }
    uint64_t number;
    char path[PATH_BYTES_MAX];
    int fd;
    rr_status status = check_space(pool, error);
    if (status != RR_OK) {
        return status;
    }
    status = make_file(pool, pool->segment_bytes, &number, error, path, &fd);
    if (status == RR_OK) {
        close(fd);
        if (!add_spare(pool, number)) {
            status = file_remove_tree(path, error);
        }
    }
    return status;
}

rr_status segment_pool_take(struct segment_pool *pool, bool prewrite, struct storage_error *error,
                            char path[PATH_BYTES_MAX], int *fd)
{
    pthread_mutex_lock(&pool->mutex);
    bool found = pool->spare_count > 0;
    uint64_t number = found ? pool->spares[--pool->spare_count] : 0;
    pool->wanted = pool->short_of; /* a shortage ends when a file was made */
    pthread_mutex_unlock(&pool->mutex);
    if (!found) {
        uint64_t bytes = prewrite ? FIRST_BYTES : 0;
        if (!pool->threaded || bytes > pool->segment_bytes) {
            bytes = pool->segment_bytes;
        }
        return make_file(pool, bytes, &number, error, path, fd);
    }
    rr_status status = spare_path(pool, number, path, error);
    return status == RR_OK ? file_open(path, fd, error) : status;
}

/* Makes a spare of the file or removes it. */
static rr_status recycle(struct segment_pool *pool, const char *path, struct storage_error *error)
{
    uint64_t size;
    char spare[PATH_BYTES_MAX];
    uint64_t number = new_number(pool);
    rr_status status = file_size(path, &size, error);
    if (status == RR_OK) {
        status = spare_path(pool, number, spare, error);
    }
    if (status != RR_OK) {
        return status;
    }
    if (size != pool->segment_bytes || segment_pool_spares(pool) >= SPARES_MAX) {
        return file_remove_tree(path, error);
    }
    status = file_rename(path, spare, error);
    if (status == RR_OK && !add_spare(pool, number)) {
        return file_remove_tree(spare, error);
    }
    return status;
}

void segment_pool_give(struct segment_pool *pool, const char *path)
{
    if (!pool->threaded) {
        struct storage_error error;
        rr_status status = recycle(pool, path, &error);
        note_outcome(pool, status, &error);
        return;
    }
    struct given *given = mem_new(struct given);
    given->path = mem_copy_text(path);
    pthread_mutex_lock(&pool->mutex);
    list_push_back(&pool->given, &given->link);
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}

unsigned segment_pool_spares(struct segment_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    unsigned count = pool->spare_count;
    pthread_mutex_unlock(&pool->mutex);
    return count;
}

bool segment_pool_shortage(struct segment_pool *pool, struct storage_error *error)
{
    pthread_mutex_lock(&pool->mutex);
    bool short_of = pool->short_of && pool->spare_count == 0;
    if (short_of && error != NULL) {
        *error = pool->shortage;
    }
    pthread_mutex_unlock(&pool->mutex);
    return short_of;
}

/* --- The thread --- */

void segment_pool_want(struct segment_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->wanted = true;
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}

static bool has_to_make(const struct segment_pool *pool)
{
    return pool->wanted && pool->spare_count == 0;
}

/* Waits for something to do: a given file in `out`, or NULL for a spare to make. False: stop. */
static bool next_task(struct segment_pool *pool, struct given **out)
{
    pthread_mutex_lock(&pool->mutex);
    bool waited = false;
    while (!pool->stop && list_empty(&pool->given) &&
           (!has_to_make(pool) || (pool->short_of && !waited))) {
        if (!has_to_make(pool)) {
            pthread_cond_wait(&pool->changed, &pool->mutex);
        } else {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec += RETRY_SECONDS;
            waited = pthread_cond_timedwait(&pool->changed, &pool->mutex, &until) != 0;
        }
    }
    bool go_on = !pool->stop;
    struct list_link *link = go_on ? list_pop_front(&pool->given) : NULL;
    *out = link == NULL ? NULL : CONTAINER_OF(link, struct given, link);
    pthread_mutex_unlock(&pool->mutex);
    return go_on;
}

static void free_given(struct given *given)
{
    mem_free(given->path);
    mem_free(given);
}

static void *run(void *arg)
{
    struct segment_pool *pool = arg;
    struct given *given;
    while (next_task(pool, &given)) {
        struct storage_error error;
        rr_status status =
            given != NULL ? recycle(pool, given->path, &error) : segment_pool_prepare(pool, &error);
        note_outcome(pool, status, &error);
        if (given != NULL) {
            free_given(given);
        }
    }
    return NULL;
}

/* --- Opening and closing --- */

/* Looks at one name in the directory. */
static rr_status adopt(void *arg, const char *name, struct storage_error *error)
{
    struct segment_pool *pool = arg;
    uint64_t number;
    int length = 0;
    if (sscanf(name, "spare-%16" SCNx64 "%n", &number, &length) != 1 || length != 22 ||
        name[length] != 0) {
        return RR_OK;
    }
    if (number >= pool->next_number && number < UINT64_MAX) {
        pool->next_number = number + 1;
    }
    char path[PATH_BYTES_MAX];
    uint64_t size = 0;
    rr_status status = path_join(pool->path, name, path, error);
    if (status == RR_OK) {
        status = file_size(path, &size, error);
    }
    if (status != RR_OK) {
        return status;
    }
    if (size == pool->segment_bytes && add_spare(pool, number)) {
        return RR_OK;
    }
    return file_remove_tree(path, error);
}

rr_status segment_pool_open(const struct segment_pool_options *options, struct storage_error *error,
                            struct segment_pool **out)
{
    struct segment_pool *pool = mem_new(struct segment_pool);
    snprintf(pool->path, sizeof(pool->path), "%s", options->path);
    pool->segment_bytes = options->segment_bytes;
    pool->next_number = 1;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->changed, NULL);
    list_init(&pool->given);
    rr_status status = directory_list(pool->path, adopt, pool, error);
    if (status == RR_OK && options->threaded) {
        pool->threaded = pthread_create(&pool->thread, NULL, run, pool) == 0;
        if (!pool->threaded) {
            status = storage_fail(error, RR_IO, "cannot start a thread for the log");
        }
    }
    if (status != RR_OK) {
        segment_pool_close(pool);
        return status;
    }
    *out = pool;
    return RR_OK;
}

void segment_pool_close(struct segment_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    if (pool->threaded) {
        pthread_mutex_lock(&pool->mutex);
        pool->stop = true;
        pthread_cond_signal(&pool->changed);
        pthread_mutex_unlock(&pool->mutex);
        pthread_join(pool->thread, NULL);
    }
    for (struct list_link *link; (link = list_pop_front(&pool->given)) != NULL;) {
        free_given(CONTAINER_OF(link, struct given, link));
    }
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->mutex);
    mem_free(pool);
}
