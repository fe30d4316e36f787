/* Worker threads: one queue in, one list of finished jobs out, a bell to the loop. */
#include "io/worker.h"

#include "base/assert.h"
#include "base/memory.h"
#include "io/io_private.h"

struct worker {
    struct wakeup *bell; /* rung when `finished` has something */
    uv_thread_t threads[WORKER_THREADS_MAX];
    unsigned thread_count;
    size_t pending; /* the loop's thread alone uses it */

    uv_mutex_t mutex; /* over what follows */
    uv_cond_t work;   /* there is a job, or the end */
    struct list queued;
    struct list finished;
    bool ending;
};

static void thread_main(void *arg)
{
    struct worker *worker = arg;
    uv_mutex_lock(&worker->mutex);
    for (;;) {
        struct list_link *link = list_pop_front(&worker->queued);
        if (link == NULL && worker->ending) {
            break;
        }
        if (link == NULL) {
            uv_cond_wait(&worker->work, &worker->mutex);
            continue;
        }
        struct worker_job *job = CONTAINER_OF(link, struct worker_job, link);
        uv_mutex_unlock(&worker->mutex);
        job->run(job->arg);
        uv_mutex_lock(&worker->mutex);
        list_push_back(&worker->finished, &job->link);
        wakeup_send(worker->bell);
    }
    uv_mutex_unlock(&worker->mutex);
}

/* Reports the jobs that have finished. */
static void report_finished(void *arg)
{
    struct worker *worker = arg;
    struct list finished;
    list_init(&finished);
    uv_mutex_lock(&worker->mutex);
    list_append_all(&finished, &worker->finished);
    uv_mutex_unlock(&worker->mutex);
    struct list_link *link;
    while ((link = list_pop_front(&finished)) != NULL) {
        struct worker_job *job = CONTAINER_OF(link, struct worker_job, link);
        worker->pending--;
        job->done(job->arg);
    }
}

rr_status worker_open(struct loop *loop, unsigned thread_count, struct worker **out)
{
    ASSERT(thread_count >= 1);
    ASSERT(thread_count <= WORKER_THREADS_MAX);
    struct worker *worker = mem_new(struct worker);
    list_init(&worker->queued);
    list_init(&worker->finished);
    if (uv_mutex_init(&worker->mutex) != 0) {
        mem_free(worker);
        return RR_IO;
    }
    if (uv_cond_init(&worker->work) != 0) {
        uv_mutex_destroy(&worker->mutex);
        mem_free(worker);
        return RR_IO;
    }
    worker->bell = wakeup_open(loop, report_finished, worker);
    while (worker->thread_count < thread_count) {
        if (uv_thread_create(&worker->threads[worker->thread_count], thread_main, worker) != 0) {
            worker_close(worker);
            return RR_IO;
        }
        worker->thread_count++;
    }
    *out = worker;
    return RR_OK;
}

void worker_submit(struct worker *worker, struct worker_job *job)
{
    worker->pending++;
    uv_mutex_lock(&worker->mutex);
    ASSERT(!worker->ending);
    list_push_back(&worker->queued, &job->link);
    uv_cond_signal(&worker->work);
    uv_mutex_unlock(&worker->mutex);
}

size_t worker_pending(const struct worker *worker)
{
    return worker->pending;
}

void worker_close(struct worker *worker)
{
    if (worker == NULL) {
        return;
    }
    uv_mutex_lock(&worker->mutex);
    worker->ending = true;
    uv_cond_broadcast(&worker->work);
    uv_mutex_unlock(&worker->mutex);
    for (unsigned at = 0; at < worker->thread_count; at++) {
        uv_thread_join(&worker->threads[at]);
    }
    report_finished(worker);
    ASSERT(worker->pending == 0);
    wakeup_close(worker->bell);
    uv_cond_destroy(&worker->work);
    uv_mutex_destroy(&worker->mutex);
    mem_free(worker);
}
