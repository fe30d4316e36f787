/*
 * What snapshots cost clients: bench-snapshot EMPTY_DIRECTORY [MEGABYTES [WRITES_PER_S [SECONDS]]].
 *
 * Three nodes in this process hold a state of so many megabytes; writes begin at a fixed rate, whether
 * or not earlier ones have ended, and each counts from when it was due. Their latency: with nothing
 * else going on; while all nodes make snapshots, one after the other; while one is sent to a new
 * member. Then all of it again with a limit that spreads the sending over about ten seconds.
 */
#include "measure.h"

#include "base/random.h"
#include "rockraft/rockraft.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NODES_MAX = 5,
    VALUE_BYTES = 1000,
    PENDING_MAX = 2000, /* while the state is filled */
    PATIENCE_MS = 10 * 60 * 1000,
    MAKE_ROUNDS = 5,
    LIMITED_S = 10,
};

static uint64_t megabytes = 200;
static uint64_t writes_per_s = 500;
static double seconds = 10;
static rr_node *nodes[NODES_MAX + 1]; /* by id */
static char addresses[NODES_MAX + 1][64];

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench-snapshot: %s: %s\n", what, why);
    exit(1);
}

static void need(rr_status status, const char *what)
{
    if (status != RR_OK) {
        fail(what, rr_status_name(status));
    }
}

static void pause_shortly(void)
{
    struct timespec pause = {.tv_nsec = 500 * 1000};
    nanosleep(&pause, NULL);
}

/* --- Nodes --- */

static void log_to_stderr(void *arg, rr_log_level level, const char *target, const char *text)
{
    fprintf(stderr, "node %d: %s: %s\n", (int)(uintptr_t)arg, target, text);
    (void)level;
}

static void open_node(const char *directory, uint64_t id, uint64_t bytes_per_s)
{
    const char *join[] = {addresses[1]};
    char name[32];
    rr_options options;
    rr_options_init(&options);
    snprintf(name, sizeof(name), "node%d", (int)id);
    options.node_id = id;
    options.data_path = part(directory, name);
    options.raft_address = "127.0.0.1:0";
    options.join = join;
    options.join_count = id == 1 ? 0 : 1;
    options.snapshot_entries = 0;
    options.snapshot_bytes_per_s = bytes_per_s;
    options.timeout_ms = PATIENCE_MS;
    if (getenv("BENCH_LOG") != NULL) {
        options.log = log_to_stderr;
        options.log_arg = (void *)(uintptr_t)id;
    }
    char error[512] = "";
    if (rr_node_open(&options, error, sizeof(error), &nodes[id]) != RR_OK) {
        fail("opening a node", error);
    }
}

static void await_member(uint64_t id)
{
    char error[512] = "";
    if (rr_node_await_member(nodes[id], PATIENCE_MS, error, sizeof(error)) != RR_OK) {
        fail("joining", error);
    }
    rr_member members[NODES_MAX];
    size_t count = rr_node_members(nodes[id], members, NODES_MAX);
    for (size_t i = 0; i < count; i++) {
        snprintf(addresses[members[i].id], sizeof(addresses[0]), "%s", members[i].address);
    }
}

struct wanted {
    const char *name;
    double value;
};

static void find_metric(void *arg, const char *name, const char *help, bool counter, double value)
{
    struct wanted *wanted = arg;
    (void)help;
    (void)counter;
    if (strcmp(name, wanted->name) == 0) {
        wanted->value = value;
    }
}

static double metric(uint64_t id, const char *name)
{
    struct wanted wanted = {name, 0};
    rr_node_metrics(nodes[id], find_metric, &wanted);
    return wanted.value;
}

/* --- Filling --- */

static atomic_uint_fast64_t filled;

static void on_filled(void *arg, rr_status status, const rr_result *result)
{
    (void)arg;
    (void)result;
    need(status, "filling the state");
    atomic_fetch_add(&filled, 1);
}

static rr_txn *make_txn(struct random *random, uint64_t number)
{
    char key[32];
    uint64_t value[VALUE_BYTES / 8]; /* nothing that can be compressed */
    for (size_t i = 0; i < VALUE_BYTES / 8; i++) {
        value[i] = random_u64(random);
    }
    snprintf(key, sizeof(key), "key:%012" PRIu64, number);
    rr_txn *txn = rr_txn_new();
    need(rr_txn_set(txn, (rr_bytes){key, strlen(key)}, (rr_bytes){value, sizeof(value)}),
         "a transaction");
    return txn;
}

static uint64_t key_count(void)
{
    return megabytes * 1000 * 1000 / VALUE_BYTES;
}

static void fill(void)
{
    struct random random;
    random_init(&random, 1);
    for (uint64_t number = 0; number < key_count(); number++) {
        while (number - atomic_load(&filled) >= PENDING_MAX) {
            pause_shortly();
        }
        rr_txn *txn = make_txn(&random, number);
        need(rr_node_submit(nodes[1], txn, NULL, on_filled, NULL), "filling the state");
        rr_txn_free(txn);
    }
    while (atomic_load(&filled) < key_count()) {
        pause_shortly();
    }
}

/* --- Writes at a fixed rate --- */

static atomic_bool stop;
static atomic_uint_fast64_t begun;
static atomic_uint_fast64_t done;
static atomic_uint_fast64_t failures;
static pthread_mutex_t samples_mutex = PTHREAD_MUTEX_INITIALIZER;

static void on_written(void *arg, rr_status status, const rr_result *result)
{
    (void)result;
    uint64_t taken = now_ns() - (uint64_t)(uintptr_t)arg;
    pthread_mutex_lock(&samples_mutex);
    add_sample(taken);
    pthread_mutex_unlock(&samples_mutex);
    atomic_fetch_add(&failures, status != RR_OK);
    atomic_fetch_add(&done, 1);
}

static void *write_steadily(void *arg)
{
    (void)arg;
    struct random random;
    random_init(&random, 2);
    uint64_t due = now_ns();
    while (!atomic_load(&stop)) {
        due += 1000000000 / writes_per_s;
        uint64_t now = now_ns();
        if (due > now) {
            struct timespec pause = {.tv_nsec = (long)(due - now)};
            nanosleep(&pause, NULL);
        }
        rr_txn *txn = make_txn(&random, random_below(&random, key_count()));
        atomic_fetch_add(&begun, 1);
        need(rr_node_submit(nodes[1], txn, NULL, on_written, (void *)(uintptr_t)due), "a write");
        rr_txn_free(txn);
    }
    while (atomic_load(&done) < atomic_load(&begun)) {
        pause_shortly();
    }
    return NULL;
}

/* --- Phases --- */

static double leader_changes;

static void begin_phase(void)
{
    pthread_mutex_lock(&samples_mutex);
    sample_count = 0;
    pthread_mutex_unlock(&samples_mutex);
    leader_changes = metric(1, "leader_changes_total");
}

static void end_phase(const char *what, uint64_t started)
{
    pthread_mutex_lock(&samples_mutex);
    double elapsed = (double)(now_ns() - started) / 1e9;
    qsort(samples, sample_count, sizeof(samples[0]), compare_samples);
    if (sample_count == 0) {
        fail(what, "it was over before a write was");
    }
    printf(
        "%-36s %6.1f s  writes p50 %8.2f ms  p99 %8.2f ms  worst %8.2f ms  leaders changed %.0f\n",
        what, elapsed, (double)samples[sample_count / 2] / 1e6,
        (double)samples[sample_count * 99 / 100] / 1e6, (double)samples[sample_count - 1] / 1e6,
        metric(1, "leader_changes_total") - leader_changes);
    fflush(stdout);
    pthread_mutex_unlock(&samples_mutex);
}

static void phase_nothing(const char *what)
{
    begin_phase();
    uint64_t start = now_ns();
    while ((double)(now_ns() - start) < seconds * 1e9) {
        pause_shortly();
    }
    end_phase(what, start);
}

static void phase_made(void)
{
    begin_phase();
    uint64_t start = now_ns();
    for (int round = 0; round < MAKE_ROUNDS; round++) {
        for (uint64_t id = 1; id <= 3; id++) {
            need(rr_node_snapshot_wait(nodes[id], PATIENCE_MS, NULL, NULL), "a snapshot");
        }
    }
    end_phase("15 snapshots made", start);
}

static void phase_sent(const char *directory, uint64_t id, const char *what)
{
    for (uint64_t at = 1; at <= 3; at++) { /* so that a new member needs it */
        need(rr_node_snapshot_wait(nodes[at], PATIENCE_MS, NULL, NULL), "a snapshot");
        need(rr_node_purge_wait(nodes[at], UINT64_MAX, PATIENCE_MS), "shortening the log");
    }
    begin_phase();
    uint64_t start = now_ns();
    open_node(directory, id, 0);
    while (metric(id, "snapshots_installed_total") < 1) {
        pause_shortly();
    }
    end_phase(what, start);
    await_member(id);
}

static void run(const char *directory, uint64_t bytes_per_s)
{
    if (mkdir(directory, 0700) != 0) {
        fail("creating a directory", directory);
    }
    atomic_store(&filled, 0);
    for (uint64_t id = 1; id <= 3; id++) {
        open_node(directory, id, bytes_per_s);
        await_member(id);
    }
    fill();
    pthread_t writer;
    atomic_store(&stop, false);
    if (pthread_create(&writer, NULL, write_steadily, NULL) != 0) {
        fail("starting", "no thread");
    }
    phase_nothing("nothing else");
    phase_made();
    phase_sent(directory, 4,
               bytes_per_s == 0 ? "one is sent, without a limit" : "one is sent, with a limit");
    phase_nothing("nothing else");
    atomic_store(&stop, true);
    pthread_join(writer, NULL);
    for (uint64_t id = 1; id <= NODES_MAX; id++) {
        rr_node_close(nodes[id]);
        nodes[id] = NULL;
    }
}

int main(int argument_count, char **arguments)
{
    if (argument_count < 2 || arguments[1][0] == '-') {
        fprintf(stderr,
                "usage: bench-snapshot EMPTY_DIRECTORY [MEGABYTES [WRITES_PER_S [SECONDS]]]\n");
        return 2;
    }
    megabytes = argument_count > 2 ? strtoull(arguments[2], NULL, 10) : megabytes;
    writes_per_s = argument_count > 3 ? strtoull(arguments[3], NULL, 10) : writes_per_s;
    seconds = argument_count > 4 ? atof(arguments[4]) : seconds;
    run(part(arguments[1], "free"), 0);
    run(part(arguments[1], "limited"), megabytes * 1000 * 1000 / LIMITED_S);
    if (atomic_load(&failures) > 0) {
        fail("the writes", "some have failed");
    }
    return 0;
}
