#include "campaign.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

enum {
    JOBS_MAX = 64,
    RUN_SECONDS_MAX = 300, /* of one seed; far more than any needs */
    TAIL_LINES = 60,
};

/* What a child tells its parent. */
struct job {
    uint64_t seed; /* the one it is at */
    uint64_t runs;
    uint64_t steps;
    uint64_t hash;
};

struct board {
    struct job jobs[JOBS_MAX];
    uint64_t failed_first; /* the smallest seed that failed; UINT64_MAX: none */
};

/* ---- The end of a run that does not return ---- */

static uint64_t current_seed;

static void on_signal(int signal)
{
    sim_trace_tail();
    fprintf(stderr, "seed %" PRIu64 ": %s\n", current_seed,
            signal == SIGALRM ? "takes for ever" : "an assertion or a fault of memory");
    fflush(NULL);
    _exit(1);
}

static void catch_signals(void)
{
    signal(SIGABRT, on_signal);
    signal(SIGALRM, on_signal);
#if !defined(__SANITIZE_ADDRESS__)
    signal(SIGSEGV, on_signal);
#endif
}

static struct sim_result run(const struct sim_options *options)
{
    current_seed = options->seed;
    alarm(RUN_SECONDS_MAX);
    struct sim_result result = sim_run(options);
    alarm(0);
    return result;
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

int campaign_run_one(const struct sim_options *options)
{
    catch_signals();
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    struct sim_result result = run(options);
    double seconds = seconds_since(&start);
    printf("seed %" PRIu64 ": ok, %" PRIu64 " steps, hash %016" PRIx64 ", %.0f steps/s\n",
           options->seed, result.steps, result.hash, (double)result.steps / seconds);
    return 0;
}

/* ---- Children ---- */

static _Noreturn void work(const struct campaign *campaign, struct board *board, uint32_t which,
                           uint64_t seed)
{
    struct job *job = &board->jobs[which];
    catch_signals();
    struct sim_options options = campaign->options;
    while (seed < campaign->first + campaign->count &&
           (campaign->keep_going || seed < board->failed_first)) {
        job->seed = seed;
        options.seed = seed;
        struct sim_result result = run(&options);
        job->runs++;
        job->steps += result.steps;
        job->hash += result.hash;
        seed += campaign->jobs;
    }
    fflush(NULL);
    _exit(0);
}

static pid_t start_job(const struct campaign *campaign, struct board *board, uint32_t which,
                       uint64_t seed)
{
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        exit(2);
    }
    if (child == 0) {
        work(campaign, board, which, seed);
    }
    return child;
}

/* Once more, for the events before the end. */
static void show_failure(const struct campaign *campaign, uint64_t seed)
{
    printf("\nrepeat: rockraft-sim --seed %" PRIu64 "%s\n", seed, campaign->repeat);
    if (campaign->quiet) {
        return;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        catch_signals();
        struct sim_options options = campaign->options;
        options.seed = seed;
        options.tail = TAIL_LINES;
        (void)run(&options);
        fprintf(stderr, "seed %" PRIu64 " did not fail again\n", seed);
        _exit(0);
    }
    (void)waitpid(child, NULL, 0);
}

/* ---- The parent ---- */

static void show_progress(const struct campaign *campaign, const struct board *board,
                          uint64_t failures, double seconds)
{
    struct job sum = {0};
    for (uint32_t i = 0; i < campaign->jobs; i++) {
        sum.runs += board->jobs[i].runs;
        sum.steps += board->jobs[i].steps;
        sum.hash += board->jobs[i].hash;
    }
    printf("%" PRIu64 " of %" PRIu64 " seeds, %" PRIu64 " failed, %.1f million steps, %.0f steps/s"
           ", hash %016" PRIx64 "\n",
           sum.runs + failures, campaign->count, failures, (double)sum.steps / 1e6,
           (double)sum.steps / seconds, sum.hash);
    fflush(stdout);
}

static bool any_running(const pid_t *children, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (children[i] > 0) {
            return true;
        }
    }
    return false;
}

/* A child has ended; 1 if it did so because its seed failed. */
static uint64_t reap(const struct campaign *campaign, struct board *board, uint32_t which,
                     pid_t *child, int status)
{
    *child = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    uint64_t seed = board->jobs[which].seed;
    if (seed < board->failed_first) {
        board->failed_first = seed;
    }
    if (campaign->keep_going) {
        printf("repeat: rockraft-sim --seed %" PRIu64 "%s\n", seed, campaign->repeat);
        if (seed + campaign->jobs < campaign->first + campaign->count) {
            *child = start_job(campaign, board, which, seed + campaign->jobs);
        }
    }
    return 1;
}

uint64_t campaign_run(const struct campaign *campaign)
{
    ASSERT(campaign->jobs >= 1);
    ASSERT(campaign->jobs <= JOBS_MAX);
    struct board *board =
        mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    board->failed_first = UINT64_MAX;
    pid_t children[JOBS_MAX];
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (uint32_t i = 0; i < campaign->jobs; i++) {
        children[i] = start_job(campaign, board, i, campaign->first + i);
    }
    uint64_t failures = 0;
    double shown = 0;
    while (any_running(children, campaign->jobs)) {
        for (uint32_t i = 0; i < campaign->jobs; i++) {
            int status;
            if (children[i] > 0 && waitpid(children[i], &status, WNOHANG) == children[i]) {
                failures += reap(campaign, board, i, &children[i], status);
            }
        }
        usleep(20000);
        double seconds = seconds_since(&start);
        if (!campaign->quiet && seconds - shown >= 10) {
            show_progress(campaign, board, failures, seconds);
            shown = seconds;
        }
    }
    show_progress(campaign, board, failures, seconds_since(&start));
    if (failures > 0 && !campaign->keep_going) {
        show_failure(campaign, board->failed_first);
    }
    munmap(board, sizeof(*board));
    return failures;
}
