/*
 * What storage costs on this machine: bench-storage DIRECTORY [SECONDS per measurement].
 *
 * Frames of the log with a sync each; batches of the state through our overlay, and the same
 * through RocksDB's own indexed batch for comparison.
 */
#include "base/memory.h"
#include "base/random.h"
#include "storage/rocks.h"
#include "storage/rocksdb_log_store.h"
#include "storage/snapshot.h"
#include "storage/state.h"

#include <inttypes.h>
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

/* One line: per call, and per item of which `items` are in a call. */
static void report(const char *what, unsigned items, uint64_t elapsed, uint64_t cpu)
{
    qsort(samples, sample_count, sizeof(samples[0]), compare_samples);
    double calls = (double)sample_count;
    printf("%-34s %5u  p50 %8.1f us  p99 %8.1f us  %9.0f items/s  cpu %6.2f us/item\n", what, items,
           (double)samples[sample_count / 2] / 1000,
           (double)samples[sample_count * 99 / 100] / 1000, calls * items * 1e9 / (double)elapsed,
           (double)cpu / calls / items / 1000);
    fflush(stdout);
    sample_count = 0;
}

static void require(rr_status status, const struct storage_error *error)
{
    if (status != RR_OK) {
        fprintf(stderr, "bench-storage: %s\n", error->text);
        exit(1);
    }
}

/* --- The log --- */

static void ignore(void *arg, rr_status status)
{
    if (status != RR_OK) {
        fprintf(stderr, "bench-storage: the log failed\n");
        exit(1);
    }
}

static void bench_log(struct log_store *store, uint32_t count, raft_index *last)
{
    struct raft_entry *entries[256];
    uint64_t start = now_ns();
    uint64_t cpu = cpu_ns();
    while ((double)(now_ns() - start) < seconds * 1e9) {
        for (uint32_t i = 0; i < count; i++) {
            entries[i] = raft_entry_try_new(RAFT_ENTRY_NORMAL, VALUE_BYTES);
            memset(entries[i]->data, (int)i, VALUE_BYTES);
            entries[i]->index = ++*last;
            entries[i]->term = 1;
        }
        struct raft_hard_state hard_state = {.term = 1, .vote = 1, .commit = *last - count};
        struct log_record record = {
            .group = 1, .entries = entries, .entry_count = count, .hard_state = &hard_state};
        struct log_frame frame = {.records = &record, .record_count = 1, .sync = true};
        uint64_t before = now_ns();
        log_store_submit(store, &frame, ignore, NULL);
        add_sample(now_ns() - before);
        for (uint32_t i = 0; i < count; i++) {
            raft_entry_unref(entries[i]);
        }
    }
    report("log: frame with sync", count, now_ns() - start, cpu_ns() - cpu);
}

static void bench_log_read(struct log_store *store, uint32_t count, raft_index last)
{
    struct raft_entry *entries[256];
    struct random random;
    random_init(&random, 1);
    uint64_t start = now_ns();
    uint64_t cpu = cpu_ns();
    while ((double)(now_ns() - start) < seconds * 1e9) {
        raft_index first = random_between(&random, 1, last - count);
        uint32_t got;
        struct storage_error error;
        uint64_t before = now_ns();
        require(log_store_read(store, 1, first, last, SIZE_MAX, count, entries, &got, &error),
                &error);
        add_sample(now_ns() - before);
        for (uint32_t i = 0; i < got; i++) {
            raft_entry_unref(entries[i]);
        }
    }
    report("log: read", count, now_ns() - start, cpu_ns() - cpu);
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

static const char *part(const char *directory, const char *name)
{
    static char paths[4][4096];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

int main(int argument_count, char **arguments)
{
    if (argument_count < 2) {
        fprintf(stderr, "usage: bench-storage EMPTY_DIRECTORY [SECONDS]\n");
        return 2;
    }
    const char *directory = arguments[1];
    seconds = argument_count > 2 ? atof(arguments[2]) : 2;
    struct storage_error error;
    struct rocksdb_log_store_options log_options = {.path = part(directory, "log")};
    struct log_store *log;
    require(rocksdb_log_store_open(&log_options, &error, &log), &error);
    raft_index last = 0;
    bench_log(log, 1, &last);
    bench_log(log, 16, &last);
    bench_log(log, 256, &last);
    bench_log_read(log, 1, last);
    bench_log_read(log, 64, last);
    log_store_close(log);

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
    return 0;
}
