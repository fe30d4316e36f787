/*
 * What storage costs on this machine: bench-storage EMPTY_DIRECTORY [SECONDS [log|state]], with the
 * seconds for each measurement.
 *
 * Frames with a sync each through the log stores, in turns of a moment each, so that what else
 * the machine does meets them alike. Batches of the state through our overlay, and the same through
 * RocksDB's own indexed batch for comparison.
 */
#include "base/memory.h"
#include "base/random.h"
#include "storage/rocks.h"
#include "storage/rocksdb_log_store.h"
#include "storage/segment_log_store.h"
#include "storage/snapshot.h"
#include "storage/state.h"

#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALUE_BYTES = 100, KEYS = 100000, SAMPLES_MAX = 1000000, KEY_BYTES = 16 };

static double seconds = 2;
static uint64_t samples[SAMPLES_MAX]; /* nanoseconds */
static size_t sample_count;

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int compare_samples(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void add_sample(uint64_t ns)
{
    if (sample_count < SAMPLES_MAX) {
        samples[sample_count++] = ns;
    }
}

struct figures {
    double p50; /* us */
    double p99;
    double cpu;     /* us per item */
    double written; /* bytes per byte of payload */
};

/* One line: per call, and per item of which `items` are in a call. */
static struct figures report(const char *what, unsigned items, uint64_t elapsed, uint64_t cpu)
{
    qsort(samples, sample_count, sizeof(samples[0]), compare_samples);
    double calls = (double)sample_count;
    struct figures figures = {
        .p50 = (double)samples[sample_count / 2] / 1000,
        .p99 = (double)samples[sample_count * 99 / 100] / 1000,
        .cpu = (double)cpu / calls / items / 1000,
    };
    printf("%-34s %5u  p50 %8.1f us  p99 %8.1f us  %9.0f items/s  cpu %6.2f us/item\n", what, items,
           figures.p50, figures.p99, calls * items * 1e9 / (double)elapsed, figures.cpu);
    fflush(stdout);
    sample_count = 0;
    return figures;
}

static void require(rr_status status, const struct storage_error *error)
{
    if (status != RR_OK) {
        fprintf(stderr, "bench-storage: %s\n", error->text);
        exit(1);
    }
}

/* --- The log --- */

enum { ENTRIES_MAX = 256, PURGE_EVERY = 20000, SLICE_NS = 50 * 1000 * 1000 };

/* A log store under measurement. */
struct log {
    const char *name;
    struct log_store *store;
    raft_index last;
    raft_index base;
    sem_t ended; /* by a thread of the store */
    bool done;
};

/* Bytes that this process has caused to be written, on all its threads. */
static uint64_t bytes_written(void)
{
    FILE *file = fopen("/proc/self/io", "r");
    char line[128];
    uint64_t bytes = 0;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, "write_bytes: %" SCNu64, &bytes);
    }
    if (file != NULL) {
        fclose(file);
    }
    return bytes;
}

static void note_end(void *arg, rr_status status)
{
    struct log *log = arg;
    if (status != RR_OK) {
        fprintf(stderr, "bench-storage: %s\n", log_store_failure(log->store));
        exit(1);
    }
    log->done = true;
}

static void wake(void *arg)
{
    sem_post(arg);
}

static void submit_and_wait(struct log *log, const struct log_record *record)
{
    struct log_frame frame = {.records = record, .record_count = 1, .sync = true};
    log->done = false;
    log_store_submit(log->store, &frame, note_end, log);
    while (!log->done) {
        sem_wait(&log->ended);
        log_store_poll(log->store);
    }
}

/* What one log store did in all slices of a line. */
struct tally {
    uint64_t *samples; /* nanoseconds */
    size_t sample_count;
    uint64_t elapsed;
    uint64_t cpu;
    uint64_t written;
};

/* Frames of `count` entries for a moment; what is older than two times PURGE_EVERY entries is
 * purged. */
static void bench_log_slice(struct log *log, uint32_t count, size_t size, struct tally *tally)
{
    struct raft_entry *entries[ENTRIES_MAX];
    uint64_t written = bytes_written();
    uint64_t start = now_ns();
    uint64_t cpu = cpu_ns();
    while (now_ns() - start < SLICE_NS && tally->sample_count < SAMPLES_MAX) {
        for (uint32_t i = 0; i < count; i++) {
            entries[i] = raft_entry_try_new(RAFT_ENTRY_NORMAL, size);
            memset(entries[i]->data, (int)i, size);
            entries[i]->index = ++log->last;
            entries[i]->term = 1;
        }
        struct raft_hard_state hard_state = {.term = 1, .vote = 1, .commit = log->last - count};
        struct log_record record = {
            .group = 1, .entries = entries, .entry_count = count, .hard_state = &hard_state};
        if (log->last > log->base + 2 * PURGE_EVERY) {
            log->base += PURGE_EVERY;
            record.purge_index = log->base;
        }
        uint64_t before = now_ns();
        submit_and_wait(log, &record);
        tally->samples[tally->sample_count++] = now_ns() - before;
        for (uint32_t i = 0; i < count; i++) {
            raft_entry_unref(entries[i]);
        }
    }
    tally->elapsed += now_ns() - start;
    tally->cpu += cpu_ns() - cpu;
    tally->written += bytes_written() - written;
}

static struct figures report_log(const struct log *log, uint32_t count, size_t size,
                                 const struct tally *tally)
{
    char name[64];
    snprintf(name, sizeof(name), "%s, %zu B", log->name, size);
    sample_count = tally->sample_count;
    memcpy(samples, tally->samples, sample_count * sizeof(samples[0]));
    struct figures figures = report(name, count, tally->elapsed, tally->cpu);
    figures.written = (double)tally->written / ((double)tally->sample_count * count * (double)size);
    return figures;
}

static void bench_log_read(struct log *log, uint32_t count)
{
    struct raft_entry *entries[ENTRIES_MAX];
    struct random random;
    random_init(&random, 1);
    uint64_t start = now_ns();
    uint64_t cpu = cpu_ns();
    while ((double)(now_ns() - start) < seconds * 1e9) {
        raft_index first = random_between(&random, log->base + 1, log->last - count);
        uint32_t got;
        struct storage_error error;
        uint64_t before = now_ns();
        require(
            log_store_read(log->store, 1, first, log->last, SIZE_MAX, count, entries, &got, &error),
            &error);
        add_sample(now_ns() - before);
        for (uint32_t i = 0; i < got; i++) {
            raft_entry_unref(entries[i]);
        }
    }
    char name[64];
    snprintf(name, sizeof(name), "%s: read", log->name);
    report(name, count, now_ns() - start, cpu_ns() - cpu);
}

static const char *part(const char *directory, const char *name)
{
    static char paths[8][4096];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

enum { LOGS = 3 };

static void open_logs(const char *directory, struct log logs[LOGS])
{
    struct storage_error error;
    struct rocksdb_log_store_options rocksdb = {.path = part(directory, "log-rocksdb")};
    struct segment_log_store_options segments = {.path = part(directory, "log-segments")};
    struct segment_log_store_options threads = {.path = part(directory, "log-threads"),
                                                .sync_on_thread = true};
    logs[0].name = "log: RocksDB";
    logs[1].name = "log: segments";
    logs[2].name = "log: segments, thread";
    require(rocksdb_log_store_open(&rocksdb, &error, &logs[0].store), &error);
    require(segment_log_store_open(&segments, &error, &logs[1].store), &error);
    require(segment_log_store_open(&threads, &error, &logs[2].store), &error);
    for (int i = 0; i < LOGS; i++) {
        sem_init(&logs[i].ended, 0, 0);
        log_store_set_wake(logs[i].store, wake, &logs[i].ended);
    }
}

/* One line for each store, and what RocksDB takes of what segments take. */
static void bench_frames(struct log logs[LOGS], uint32_t count, size_t size)
{
    struct tally tallies[LOGS] = {0};
    struct figures figures[LOGS];
    for (int i = 0; i < LOGS; i++) {
        tallies[i].samples = mem_new_array(uint64_t, SAMPLES_MAX);
    }
    while ((double)tallies[0].elapsed < seconds * 1e9) {
        for (int i = 0; i < LOGS; i++) {
            bench_log_slice(&logs[i], count, size, &tallies[i]);
        }
    }
    for (int i = 0; i < LOGS; i++) {
        figures[i] = report_log(&logs[i], count, size, &tallies[i]);
        mem_free(tallies[i].samples);
    }
    printf("%-34s %5u  p50 %.2f  p99 %.2f  cpu %.2f  written per byte %.2f, %.2f, %.2f\n",
           "  RocksDB : segments", count, figures[0].p50 / figures[1].p50,
           figures[0].p99 / figures[1].p99, figures[0].cpu / figures[1].cpu, figures[0].written,
           figures[1].written, figures[2].written);
}

static void bench_logs(const char *directory)
{
    static const uint32_t counts[] = {1, 16, 128};
    static const size_t sizes[] = {128, 1024};
    struct log logs[LOGS] = {0};
    open_logs(directory, logs);
    for (int i = 0; i < 6; i++) {
        bench_frames(logs, counts[i % 3], sizes[i / 3]);
    }
    for (int j = 0; j < LOGS; j++) {
        bench_log_read(&logs[j], 1);
        bench_log_read(&logs[j], 64);
        log_store_set_wake(logs[j].store, NULL, NULL);
        log_store_close(logs[j].store);
        sem_destroy(&logs[j].ended);
    }
}

/* --- The state --- */

static void make_key(uint64_t number, char out[KEY_BYTES])
{
    snprintf(out, KEY_BYTES, "key:%010" PRIu64, number);
}

/* `count` entries in one commit, each a read of a key and a write of it, with a savepoint. */
static void bench_batch(struct state *state, uint32_t count, uint64_t keys)
{
    struct state_batch *batch = state_batch_new(state);
    struct storage_error error;
    struct random random;
    random_init(&random, 2);
    char value[VALUE_BYTES] = {1};
    struct buffer old;
    buffer_init(&old);
    uint64_t start = now_ns();
    uint64_t cpu = cpu_ns();
    while ((double)(now_ns() - start) < seconds * 1e9) {
        uint64_t before = now_ns();
        for (uint32_t i = 0; i < count; i++) {
            char key[KEY_BYTES];
            make_key(random_below(&random, keys), key);
            rr_bytes name = {key, strlen(key)};
            state_batch_savepoint(batch);
            rr_status status = state_batch_get(batch, name, &old, &error);
            require(status == RR_NOT_FOUND ? RR_OK : status, &error);
            require(state_batch_put(batch, name, (rr_bytes){value, sizeof(value)}), &error);
        }
        state_batch_set_applied(batch, state_applied(state).index + count, 1);
        require(state_batch_commit(batch, &error), &error);
        add_sample(now_ns() - before);
    }
    report(keys == 1 ? "state: overlay, one hot key" : "state: overlay, get + put", count,
           now_ns() - start, cpu_ns() - cpu);
    buffer_deinit(&old);
    state_batch_free(batch);
}

/* The same on RocksDB's WriteBatchWithIndex, straight on a database of the same settings. */
static void bench_indexed_batch(const char *path, uint32_t count)
{
    static const char *const families[] = {"state"};
    struct storage_error error;
    struct rocks rocks;
    rocksdb_options_t *options = rocks_options_new();
    require(rocks_open(path, ROCKS_CREATE, options, families, 1, &error, &rocks), &error);
    rocksdb_options_destroy(options);
    rocksdb_writeoptions_t *write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(write_options, 1);
    rocksdb_readoptions_t *read_options = rocksdb_readoptions_create();
    rocksdb_writebatch_wi_t *batch = rocksdb_writebatch_wi_create(0, 1);
    struct random random;
    random_init(&random, 2);
    char value[VALUE_BYTES] = {1};
    char *message = NULL;
    uint64_t start = now_ns();
    uint64_t cpu = cpu_ns();
    while ((double)(now_ns() - start) < seconds * 1e9) {
        uint64_t before = now_ns();
        for (uint32_t i = 0; i < count; i++) {
            char key[KEY_BYTES];
            make_key(random_below(&random, KEYS), key);
            rocksdb_writebatch_wi_set_save_point(batch);
            size_t size;
            char *old = rocksdb_writebatch_wi_get_from_batch_and_db_cf(
                batch, rocks.db, read_options, rocks.families[1], key, strlen(key), &size,
                &message);
            rocksdb_free(old);
            rocksdb_writebatch_wi_put_cf(batch, rocks.families[1], key, strlen(key), value,
                                         sizeof(value));
        }
        rocksdb_writebatch_wi_put_cf(batch, rocks.families[1], "\0a", 2, value, 25);
        rocksdb_write_writebatch_wi(rocks.db, write_options, batch, &message);
        rocksdb_writebatch_wi_clear(batch);
        add_sample(now_ns() - before);
    }
    report("state: WriteBatchWithIndex, get + put", count, now_ns() - start, cpu_ns() - cpu);
    rocksdb_writebatch_wi_destroy(batch);
    rocksdb_readoptions_destroy(read_options);
    rocksdb_writeoptions_destroy(write_options);
    rocks_close(&rocks);
}

static void bench_get(struct state *state)
{
    struct storage_error error;
    struct random random;
    random_init(&random, 3);
    struct buffer value;
    buffer_init(&value);
    uint64_t start = now_ns();
    uint64_t cpu = cpu_ns();
    while ((double)(now_ns() - start) < seconds * 1e9) {
        char key[KEY_BYTES];
        make_key(random_below(&random, KEYS), key);
        uint64_t before = now_ns();
        rr_status status = state_get(state, (rr_bytes){key, strlen(key)}, &value, &error);
        require(status == RR_NOT_FOUND ? RR_OK : status, &error);
        add_sample(now_ns() - before);
    }
    report("state: get", 1, now_ns() - start, cpu_ns() - cpu);
    buffer_deinit(&value);
}

static void bench_snapshot(struct state *state, const char *path)
{
    struct snapshot_store_options options = {.path = path};
    struct snapshot_store *store;
    struct storage_error error;
    require(snapshot_store_open(&options, &error, &store), &error);
    for (int i = 0; i < 2; i++) {
        struct state_batch *batch = state_batch_new(state);
        state_batch_set_applied(batch, state_applied(state).index + 1, 1);
        require(state_batch_commit(batch, &error), &error);
        state_batch_free(batch);
        uint64_t before = now_ns();
        require(snapshot_create(store, state, &error, NULL), &error);
        struct snapshot_info info;
        snapshot_store_latest_info(store, &info);
        printf("snapshot: create %s, %.1f MB: %.1f ms\n", i == 0 ? "first" : "again",
               (double)info.size / 1e6, (double)(now_ns() - before) / 1e6);
    }
    snapshot_store_close(store);
}

static void bench_states(const char *directory)
{
    struct storage_error error;
    struct state_options state_options = {.path = directory};
    struct state *state;
    require(state_open(&state_options, &error, &state), &error);
    bench_batch(state, 1, KEYS);
    bench_batch(state, 16, KEYS);
    bench_batch(state, 256, KEYS);
    bench_batch(state, 256, 1);
    bench_indexed_batch(part(directory, "indexed"), 1);
    bench_indexed_batch(part(directory, "indexed"), 16);
    bench_indexed_batch(part(directory, "indexed"), 256);
    bench_get(state);
    bench_snapshot(state, part(directory, "snapshots"));
    state_close(state);
}

int main(int argument_count, char **arguments)
{
    if (argument_count < 2) {
        fprintf(stderr, "usage: bench-storage EMPTY_DIRECTORY [SECONDS [log|state]]\n");
        return 2;
    }
    const char *directory = arguments[1];
    seconds = argument_count > 2 ? atof(arguments[2]) : 2;
    const char *only = argument_count > 3 ? arguments[3] : "";
    if (strcmp(only, "state") != 0) {
        bench_logs(directory);
    }
    if (strcmp(only, "log") != 0) {
        bench_states(directory);
    }
    return 0;
}
