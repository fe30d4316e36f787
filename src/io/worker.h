/*
 * Threads for what blocks: fsync, checkpoints, large files. The loop's thread hands in jobs and
 * hears of their end; only a job's `run` is on another thread.
 */
#ifndef IO_WORKER_H
#define IO_WORKER_H

#include "io/loop.h"

enum { WORKER_THREADS_MAX = 16 };

/* Some threads with one queue. */
struct worker;

/* One piece of work. Owned by the caller, who leaves it alone from worker_submit until `done`. */
struct worker_job {
    struct list_link link;   /* zeroed before the first use */
    void (*run)(void *arg);  /* on a worker's thread */
    void (*done)(void *arg); /* afterwards, on the loop's thread; may submit the job again */
    void *arg;               /* for both */
};

/* Starts `thread_count` threads, 1 to WORKER_THREADS_MAX. With one, jobs run, and are reported, in
 * the order of their submission. Returns RR_OK or RR_IO. */
RR_MUST_USE rr_status worker_open(struct loop *loop, unsigned thread_count, struct worker **out);

/* Queues `job`. The queue has no limit of its own: jobs are the caller's memory. */
void worker_submit(struct worker *worker, struct worker_job *job);

/* Jobs whose `done` has not been called yet. */
size_t worker_pending(const struct worker *worker);

/* Blocks until every job submitted has run, calls what `done` is still due, and ends the threads.
 * A `done` that runs here must not submit. NULL is fine. */
void worker_close(struct worker *worker);

#endif
