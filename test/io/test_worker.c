/* Workers: jobs run elsewhere, and are reported here. */
#include "io/worker.h"

#include "support/test.h"

#include <pthread.h>
#include <stdatomic.h>

enum { JOBS = 50 };

struct work {
    struct worker_job job;
    struct work_log *log;
    int number;
    pthread_t ran_on;
};

struct work_log {
    int done[JOBS];
    int count;
    pthread_t reported_on;
};

static void work_run(void *arg)
{
    struct work *work = arg;
    work->ran_on = pthread_self();
}

static void work_done(void *arg)
{
    struct work *work = arg;
    work->log->done[work->log->count++] = work->number;
    work->log->reported_on = pthread_self();
}

static void submit_all(struct worker *worker, struct work *works, struct work_log *log)
{
    for (int at = 0; at < JOBS; at++) {
        works[at] = (struct work){.log = log, .number = at};
        works[at].job.run = work_run;
        works[at].job.done = work_done;
        works[at].job.arg = &works[at];
        worker_submit(worker, &works[at].job);
    }
}

TEST(worker, reports_in_order_with_one_thread)
{
    struct loop *loop;
    CHECK_OK(loop_open(&loop));
    struct worker *worker;
    CHECK_OK(worker_open(loop, 1, &worker));
    struct work works[JOBS];
    struct work_log log = {0};
    submit_all(worker, works, &log);
    CHECK_EQ(worker_pending(worker), (size_t)JOBS);
    while (log.count < JOBS) {
        loop_run_once(loop, true);
    }
    for (int at = 0; at < JOBS; at++) {
        CHECK_EQ(log.done[at], at);
        CHECK(!pthread_equal(works[at].ran_on, pthread_self()));
    }
    CHECK(pthread_equal(log.reported_on, pthread_self()));
    CHECK_EQ(worker_pending(worker), (size_t)0);
    worker_close(worker);
    loop_close(loop);
}

TEST(worker, finishes_everything_when_it_is_closed)
{
    struct loop *loop;
    CHECK_OK(loop_open(&loop));
    struct worker *worker;
    CHECK_OK(worker_open(loop, 4, &worker));
    struct work works[JOBS];
    struct work_log log = {0};
    submit_all(worker, works, &log);
    worker_close(worker);
    CHECK_EQ(log.count, JOBS);
    loop_close(loop);
    worker_close(NULL);
}
