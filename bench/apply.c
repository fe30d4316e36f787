/*
 * What applying a procedure costs on this machine: bench-apply DIRECTORY [SECONDS per measurement].
 *
 * Each call reads 4 keys and a range of 4 pairs, and writes 2 keys; then its parts alone. Entries go
 * straight to the applier, `count` of them to a commit; nothing is synced.
 */
#include "node/apply.h"
#include "base/random.h"
#include "command/call.h"
#include "command/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALUE_BYTES = 100, KEYS = 200000, KEY_BYTES = 16 };

static double seconds = 2;

static uint64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void require(rr_status status, const char *text)
{
    if (status != RR_OK) {
        fprintf(stderr, "bench-apply: %s: %s\n", rr_status_name(status), text);
        exit(1);
    }
}

/* ---- The procedure ---- */

/* What one call does, in this order. */
struct work {
    uint32_t gets;
    uint32_t own_gets; /* of the key that was written last */
    uint32_t ranges;
    uint32_t puts;
    uint32_t keys; /* from which they are drawn; 0: all */
};

static struct random random_keys;

static rr_bytes draw_key(const struct work *work, char out[KEY_BYTES + 1])
{
    uint64_t number = random_below(&random_keys, work->keys == 0 ? KEYS : work->keys);
    int size = snprintf(out, KEY_BYTES + 1, "key:%010" PRIu64, number);
    return (rr_bytes){out, (size_t)size};
}

static bool visit(void *arg, rr_bytes key, rr_bytes value)
{
    (void)key;
    (void)value;
    uint32_t *left = arg;
    *left -= 1;
    return *left > 0;
}

static rr_status read_range(const struct work *work, rr_view *view)
{
    char key[KEY_BYTES + 1];
    rr_range range = {.from = draw_key(work, key), .to = {"key:~", 5}};
    uint32_t left = 4;
    return rr_view_range(view, &range, visit, &left);
}

static rr_status run_work(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    (void)arg;
    struct work work;
    memcpy(&work, input.data, sizeof(work));
    static const char value[VALUE_BYTES] = {1};
    char key[KEY_BYTES + 1];
    rr_bytes last = draw_key(&work, key);
    rr_bytes old;
    rr_status status = RR_OK;
    for (uint32_t i = 0; i < work.gets && status == RR_OK; i++) {
        last = draw_key(&work, key);
        status = rr_view_get(view, last, &old);
    }
    for (uint32_t i = 0; i < work.ranges && status == RR_OK; i++) {
        status = read_range(&work, view);
    }
    for (uint32_t i = 0; i < work.puts && status == RR_OK; i++) {
        last = draw_key(&work, key);
        status = rr_view_put(view, last, (rr_bytes){value, sizeof(value)});
    }
    for (uint32_t i = 0; i < work.own_gets && status == RR_OK; i++) {
        status = rr_view_get(view, last, &old);
    }
    return status == RR_OK ? rr_output_append(output, (rr_bytes){"+OK\r\n", 5}) : status;
}

/* ---- The measurements ---- */

struct bench {
    struct state *state;
    struct state_batch *batch;
    struct applier *applier;
    raft_index index;
};

static void commit(struct bench *bench)
{
    struct storage_error error = {0};
    require(applier_finish(bench->applier, bench->batch), "finishing a batch");
    state_batch_set_applied(bench->batch, bench->index, 1);
    require(state_batch_commit(bench->batch, &error), error.text);
}

static void fill(struct bench *bench)
{
    static const char value[VALUE_BYTES] = {2};
    for (uint64_t i = 0; i < KEYS; i++) {
        char key[KEY_BYTES + 2];
        int size = snprintf(key, sizeof(key), "\x10key:%010" PRIu64, i); /* the users' kind */
        require(state_batch_put(bench->batch, (rr_bytes){key, (size_t)size},
                                (rr_bytes){value, sizeof(value)}),
                "filling");
        if (i % 1000 == 999) {
            bench->index++;
            commit(bench);
        }
    }
    struct storage_error error = {0};
    require(state_flush(bench->state, true, &error), error.text);
}

static void measure(struct bench *bench, const char *what, const struct work *work, uint32_t count)
{
    struct buffer payload;
    buffer_init(&payload);
    struct command command = {.kind = COMMAND_CALL, .time_ms = 1, .seed = 1};
    struct call call = {{"work", 4}, 1, {work, sizeof(*work)}};
    command_encode(&payload, &command);
    call_encode(&payload, &call);
    uint64_t applied = 0;
    uint64_t committing = 0;
    uint64_t start = cpu_ns();
    while ((double)(cpu_ns() - start) < seconds * 1e9) {
        for (uint32_t i = 0; i < count; i++) {
            struct applied out;
            require(applier_apply(bench->applier, bench->batch, ++bench->index,
                                  buffer_bytes(&payload), &out),
                    applier_reason(bench->applier));
            require(out.status, "the procedure");
        }
        applied += count;
        uint64_t before = cpu_ns();
        commit(bench);
        committing += cpu_ns() - before;
    }
    uint64_t total = cpu_ns() - start;
    printf("%-28s %5u to a commit  %7.2f us/call, %6.2f of it the commit\n", what, (unsigned)count,
           (double)total / (double)applied / 1000, (double)committing / (double)applied / 1000);
    fflush(stdout);
    buffer_deinit(&payload);
}

static void measure_all(struct bench *bench, uint32_t count)
{
    measure(bench, "nothing", &(struct work){0}, count);
    measure(bench, "4 gets", &(struct work){.gets = 4}, count);
    measure(bench, "4 gets of 10,000 keys", &(struct work){.gets = 4, .keys = 10000}, count);
    measure(bench, "1 put, 4 gets of it", &(struct work){.puts = 1, .own_gets = 4}, count);
    measure(bench, "2 puts", &(struct work){.puts = 2}, count);
    measure(bench, "1 range", &(struct work){.ranges = 1}, count);
    measure(bench, "4 ranges", &(struct work){.ranges = 4}, count);
    measure(bench, "4 gets, 2 puts, 1 range", &(struct work){.gets = 4, .puts = 2, .ranges = 1},
            count);
    measure(bench, "the same, of 10,000 keys",
            &(struct work){.gets = 4, .puts = 2, .ranges = 1, .keys = 10000}, count);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: bench-apply DIRECTORY [SECONDS]\n");
        return 2;
    }
    seconds = argc > 2 ? strtod(argv[2], NULL) : seconds;
    struct storage_error error = {0};
    struct bench bench = {0};
    struct state_options options = {.path = argv[1], .block_cache_bytes = 64u << 20};
    require(state_open(&options, &error, &bench.state), error.text);
    struct logger silent = logger_silent();
    const rr_procedure procedure = {"work", 1, run_work, NULL};
    require(applier_new(&procedure, 1, &silent, &bench.applier), "the applier");
    require(applier_load(bench.applier, bench.state, &error), error.text);
    bench.batch = state_batch_new(bench.state);
    bench.index = state_applied(bench.state).index;
    random_init(&random_keys, 1);
    fill(&bench);
    measure_all(&bench, 1);
    measure_all(&bench, 50);
    state_batch_free(bench.batch);
    applier_free(bench.applier);
    state_close(bench.state);
    return 0;
}
