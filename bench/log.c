/*
 * What the log costs on this machine: bench-log EMPTY_DIRECTORY [SECONDS], with the seconds for each
 * measurement. Frames with a sync each through the log stores, in turns of a moment each, so that
 * what else the machine does meets them alike.
 */
#include "measure.h"

#include "base/memory.h"
#include "base/random.h"
#include "storage/rocksdb_log_store.h"
#include "storage/segment_log_store.h"

#include <semaphore.h>

static double seconds = 2;

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

static void note_end(void *arg, rr_status status)
{
    struct log *log = arg;
    if (status != RR_OK) {
        fprintf(stderr, "bench-log: %s\n", log_store_failure(log->store));
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

int main(int argument_count, char **arguments)
{
    if (argument_count < 2 || arguments[1][0] == '-') {
        fprintf(stderr, "usage: bench-log EMPTY_DIRECTORY [SECONDS]\n");
        return 2;
    }
    seconds = argument_count > 2 ? atof(arguments[2]) : 2;
    bench_logs(arguments[1]);
    return 0;
}
