/*
 * What each kind of log is worth to a cluster on this machine: bench-cluster EMPTY_DIRECTORY [SECONDS].
 *
 * Three nodes in this process for each kind, on one disk; writes of 128 bytes through the leader, as
 * many at a time as a line says. The kinds take turns of half a second, so that what else the
 * machine does meets all of them.
 */
#include "measure.h"

#include "rockraft/rockraft.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

enum {
    NODES = 3,
    KINDS = 3,
    VALUE_BYTES = 128,
    AT_ONCE_MAX = 64,
    TURN_MS = 500,
    FIRST_PORT = 27380
};

static const struct {
    const char *name;
    rr_log_kind kind;
    bool sync_thread;
} kinds[KINDS] = {
    {"RocksDB", RR_LOG_ROCKSDB, false},
    {"segments", RR_LOG_SEGMENTS, false},
    {"segments, synced by a thread", RR_LOG_SEGMENTS, true},
};

struct cluster {
    rr_node *nodes[NODES];
    char addresses[NODES][32];
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench-cluster: %s: %s\n", what, why);
    exit(1);
}

/* --- Clusters --- */

static void open_cluster(struct cluster *cluster, const char *directory, unsigned kind)
{
    for (unsigned i = 0; i < NODES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "node-%u-%u", kind, i);
        snprintf(cluster->addresses[i], sizeof(cluster->addresses[i]), "127.0.0.1:%u",
                 FIRST_PORT + kind * NODES + i);
        const char *join[] = {cluster->addresses[0]};
        rr_options options;
        rr_options_init(&options);
        options.node_id = i + 1;
        options.data_path = part(directory, name);
        options.raft_address = cluster->addresses[i];
        options.join = join;
        options.join_count = i > 0;
        options.heartbeat_interval_ms = 100;
        options.election_timeout_min_ms = 2000;
        options.election_timeout_max_ms = 4000;
        options.log_kind = kinds[kind].kind;
        options.log_sync_thread = kinds[kind].sync_thread;
        char error[512] = "";
        if (rr_node_open(&options, error, sizeof(error), &cluster->nodes[i]) != RR_OK ||
            rr_node_await_member(cluster->nodes[i], 60000, error, sizeof(error)) != RR_OK) {
            fail("opening", error);
        }
    }
}

/* --- Writing --- */

/* One of the writers that keep one write each under way. */
struct writer {
    rr_node *node;
    uint64_t start;
    sem_t stopped;
};

static pthread_mutex_t samples_mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool stopping;
static atomic_uint_fast64_t next_key;

static void write_one(struct writer *writer);

static void on_end(void *arg, rr_status status, const rr_result *result)
{
    (void)result;
    struct writer *writer = arg;
    if (status != RR_OK) {
        fail("writing", rr_status_name(status));
    }
    pthread_mutex_lock(&samples_mutex);
    add_sample(now_ns() - writer->start);
    pthread_mutex_unlock(&samples_mutex);
    if (atomic_load(&stopping)) {
        sem_post(&writer->stopped);
    } else {
        write_one(writer);
    }
}

static void write_one(struct writer *writer)
{
    static const char value[VALUE_BYTES];
    char key[32];
    int size = snprintf(key, sizeof(key), "key:%08u",
                        (unsigned)(atomic_fetch_add(&next_key, 1) * 2654435761u % 1000000));
    writer->start = now_ns();
    rr_txn *txn = rr_txn_new();
    rr_status status =
        rr_txn_set(txn, (rr_bytes){key, (size_t)size}, (rr_bytes){value, VALUE_BYTES});
    if (status == RR_OK) {
        status = rr_node_submit(writer->node, txn, NULL, on_end, writer);
    }
    rr_txn_free(txn);
    if (status != RR_OK) {
        fail("writing", rr_status_name(status));
    }
}

static void turn(rr_node *leader, unsigned at_once)
{
    static struct writer writers[AT_ONCE_MAX];
    atomic_store(&stopping, false);
    for (unsigned i = 0; i < at_once; i++) {
        writers[i].node = leader;
        sem_init(&writers[i].stopped, 0, 0);
        write_one(&writers[i]);
    }
    struct timespec time = {.tv_nsec = TURN_MS * 1000000L};
    nanosleep(&time, NULL);
    atomic_store(&stopping, true);
    for (unsigned i = 0; i < at_once; i++) {
        sem_wait(&writers[i].stopped);
        sem_destroy(&writers[i].stopped);
    }
}

/* What one kind has done so far. */
struct account {
    uint64_t *latencies;
    size_t count;
    uint64_t elapsed;
    uint64_t cpu;
};

/* Moves this turn's samples to the account. */
static void book(struct account *account, uint64_t start, uint64_t cpu)
{
    account->elapsed += now_ns() - start;
    account->cpu += cpu_ns() - cpu;
    account->latencies =
        realloc(account->latencies, (account->count + sample_count) * sizeof(samples[0]));
    if (account->latencies == NULL) {
        fail("memory", "none");
    }
    memcpy(account->latencies + account->count, samples, sample_count * sizeof(samples[0]));
    account->count += sample_count;
    sample_count = 0;
}

static void compare(const struct cluster *clusters, unsigned at_once, unsigned seconds)
{
    struct account accounts[KINDS] = {0};
    for (unsigned round = 0; round < seconds * 1000 / TURN_MS; round++) {
        for (unsigned kind = 0; kind < KINDS; kind++) {
            uint64_t start = now_ns();
            uint64_t cpu = cpu_ns();
            turn(clusters[kind].nodes[0], at_once);
            book(&accounts[kind], start, cpu);
        }
    }
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct account *account = &accounts[kind];
        for (size_t i = 0; i < account->count; i++) {
            add_sample(account->latencies[i]);
        }
        free(account->latencies);
        char what[64];
        snprintf(what, sizeof(what), "%u at once: %s", at_once, kinds[kind].name);
        (void)report(what, 1, account->elapsed, account->cpu);
    }
}

int main(int argument_count, char **arguments)
{
    unsigned seconds = argument_count > 2 ? (unsigned)atoi(arguments[2]) : 5;
    if (argument_count < 2 || arguments[1][0] == '-' || seconds == 0) {
        fprintf(stderr, "usage: bench-cluster EMPTY_DIRECTORY [SECONDS]\n");
        return 2;
    }
    static struct cluster clusters[KINDS];
    for (unsigned kind = 0; kind < KINDS; kind++) {
        open_cluster(&clusters[kind], arguments[1], kind);
    }
    compare(clusters, 1, seconds);
    compare(clusters, 16, seconds);
    compare(clusters, AT_ONCE_MAX, seconds);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (unsigned i = 0; i < NODES; i++) {
            rr_node_close(clusters[kind].nodes[i]);
        }
    }
    return 0;
}
