/*
 * What a restart costs on this machine: bench-recovery EMPTY_DIRECTORY [MEBIBYTES], for a log of so much
 * payload, in entries of 1 KiB.
 *
 * First each log store by itself: opening it and reading all of it back, from memory and from the
 * disk. Then a whole node that was killed before anything of its state was on disk: until it is
 * open, and until it answers a read, for which it must have applied all of the log.
 */
#include "measure.h"

#include "base/memory.h"
#include "rockraft/rockraft.h"
#include "storage/file.h"
#include "storage/rocksdb_log_store.h"
#include "storage/segment_log_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENTRY_BYTES = 1024, FRAME_ENTRIES = 16, PENDING_MAX = 2000 };

static uint64_t mebibytes = 256;

static double per_gib(uint64_t ns)
{
    return (double)ns / 1e9 * 1024 / (double)mebibytes;
}

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench-recovery: %s: %s\n", what, why);
    exit(1);
}

/* --- The stores --- */

static rr_status open_log(rr_log_kind kind, const char *path, struct log_store **out)
{
    struct storage_error error = {0};
    struct rocksdb_log_store_options rocksdb = {.path = path};
    struct segment_log_store_options segments = {.path = path};
    rr_status status = kind == RR_LOG_ROCKSDB ? rocksdb_log_store_open(&rocksdb, &error, out)
                                              : segment_log_store_open(&segments, &error, out);
    require(status, &error);
    return status;
}

static void note(void *arg, rr_status status)
{
    *(rr_status *)arg = status;
}

static void fill_log(struct log_store *store)
{
    struct raft_entry *entries[FRAME_ENTRIES];
    uint64_t frames = mebibytes * 1024 * 1024 / ENTRY_BYTES / FRAME_ENTRIES;
    raft_index last = 0;
    for (uint64_t frame = 1; frame <= frames; frame++) {
        for (int i = 0; i < FRAME_ENTRIES; i++) {
            entries[i] = raft_entry_try_new(RAFT_ENTRY_NORMAL, ENTRY_BYTES);
            memset(entries[i]->data, (int)frame, ENTRY_BYTES);
            entries[i]->index = ++last;
            entries[i]->term = 1;
        }
        struct raft_hard_state hard_state = {.term = 1, .vote = 1, .commit = last};
        struct log_record record = {.group = 1,
                                    .entries = entries,
                                    .entry_count = FRAME_ENTRIES,
                                    .hard_state = &hard_state};
        struct log_frame out = {&record, 1, frame == frames};
        rr_status status = RR_IO;
        log_store_submit(store, &out, note, &status);
        if (status != RR_OK) {
            fail("writing the log", log_store_failure(store));
        }
        for (int i = 0; i < FRAME_ENTRIES; i++) {
            raft_entry_unref(entries[i]);
        }
    }
}

static rr_status drop_file(void *arg, const char *name, struct storage_error *error)
{
    (void)error;
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fdatasync(fd); /* only clean pages go */
        file_drop_cache(fd);
        close(fd);
    }
    return RR_OK;
}

static void bench_open(rr_log_kind kind, const char *path, const char *name)
{
    struct log_store *store;
    struct storage_error error = {0};
    struct log_recovery recovery;
    uint64_t start = now_ns();
    uint64_t cpu = cpu_ns();
    require(open_log(kind, path, &store), &error);
    uint64_t opened = now_ns();
    require(log_store_recover(store, 1, NULL, NULL, &error, &recovery), &error);
    uint64_t end = now_ns();
    printf("%-34s open %6.2f s  entries %6.2f s  per GiB %6.2f s  cpu %6.2f s\n", name,
           (double)(opened - start) / 1e9, (double)(end - opened) / 1e9, per_gib(end - start),
           per_gib(cpu_ns() - cpu));
    fflush(stdout);
    log_store_close(store);
}

/* `drop`: the kernel forgets the files before they are opened again. */
static void bench_store(rr_log_kind kind, const char *path, const char *name, bool drop)
{
    struct log_store *store;
    struct storage_error error = {0};
    require(open_log(kind, path, &store), &error);
    fill_log(store);
    log_store_close(store);
    if (drop) {
        require(directory_list(path, drop_file, (void *)(uintptr_t)path, &error), &error);
    }
    bench_open(kind, path, name);
    require(file_remove_tree(path, &error), &error);
}

/* --- A node --- */

static rr_node *open_node(rr_log_kind kind, const char *path)
{
    rr_options options;
    rr_options_init(&options);
    options.node_id = 1;
    options.data_path = path;
    options.raft_address = "127.0.0.1:0";
    options.log_kind = kind;
    options.snapshot_entries = 0;
    options.memtable_bytes = (size_t)(4 * mebibytes) * 1024 * 1024;
    options.timeout_ms = 10 * 60 * 1000;
    char error[512] = "";
    rr_node *node = NULL;
    if (rr_node_open(&options, error, sizeof(error), &node) != RR_OK) {
        fail("opening a node", error);
    }
    return node;
}

static atomic_uint_fast64_t ended;
static atomic_uint_fast64_t failed;

static void on_end(void *arg, rr_status status, const rr_result *result)
{
    (void)arg;
    (void)result;
    atomic_fetch_add(&failed, status != RR_OK);
    atomic_fetch_add(&ended, 1);
}

static void pause_shortly(void)
{
    struct timespec pause = {.tv_nsec = 200 * 1000};
    nanosleep(&pause, NULL);
}

static const char *key_of(uint64_t number, char key[32])
{
    snprintf(key, 32, "key:%012" PRIu64, number);
    return key;
}

/* In a process of its own, which ends without closing anything. */
static int fill_node(rr_log_kind kind, const char *path, uint64_t count)
{
    rr_node *node = open_node(kind, path);
    char error[256] = "";
    if (rr_node_await_member(node, 60000, error, sizeof(error)) != RR_OK) {
        fail("founding", error);
    }
    static char value[ENTRY_BYTES - 64];
    memset(value, 'x', sizeof(value));
    for (uint64_t number = 0; number < count;) {
        char key[32];
        if (number - atomic_load(&ended) >= PENDING_MAX) {
            pause_shortly();
            continue;
        }
        rr_bytes name = {key_of(number, key), strlen(key)};
        rr_txn *txn = rr_txn_new();
        rr_status status = rr_txn_set(txn, name, (rr_bytes){value, sizeof(value)});
        if (status == RR_OK) {
            status = rr_node_submit(node, txn, NULL, on_end, NULL);
        }
        rr_txn_free(txn);
        if (status != RR_OK && status != RR_BUSY) {
            fail("writing", rr_status_name(status));
        }
        number += status == RR_OK;
    }
    while (atomic_load(&ended) < count) {
        pause_shortly();
    }
    _exit(atomic_load(&failed) == 0 ? 0 : 1);
}

static void start_filling(rr_log_kind kind, const char *path)
{
    char numbers[2][24];
    snprintf(numbers[0], sizeof(numbers[0]), "%" PRIu64, mebibytes);
    snprintf(numbers[1], sizeof(numbers[1]), "%d", (int)kind);
    execl("/proc/self/exe", "bench-recovery", path, numbers[0], numbers[1], (char *)NULL);
    _exit(127);
}

static void bench_node(rr_log_kind kind, const char *path, const char *name)
{
    uint64_t count = mebibytes * 1024 * 1024 / ENTRY_BYTES;
    pid_t child = fork();
    if (child == 0) {
        start_filling(kind, path);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        fail("filling", "the process that writes has failed");
    }
    uint64_t start = now_ns();
    uint64_t cpu = cpu_ns();
    rr_node *node = open_node(kind, path);
    uint64_t opened = now_ns();
    char key[32];
    rr_bytes last = {key_of(count - 1, key), strlen(key)};
    rr_result *result = NULL;
    rr_status read = rr_node_get_wait(node, last, RR_READ_LINEARIZABLE, 0, &result);
    uint64_t end = now_ns();
    if (read != RR_OK) {
        fail("the last key", rr_status_name(read));
    }
    rr_result_free(result);
    printf("%-34s open %6.2f s  applied %6.2f s  per GiB %6.2f s  cpu %6.2f s  %.0f entries/s\n",
           name, (double)(opened - start) / 1e9, (double)(end - opened) / 1e9, per_gib(end - start),
           per_gib(cpu_ns() - cpu), (double)count * 1e9 / (double)(end - opened));
    fflush(stdout);
    rr_node_close(node);
}

int main(int argument_count, char **arguments)
{
    if (argument_count < 2 || arguments[1][0] == '-') {
        fprintf(stderr, "usage: bench-recovery EMPTY_DIRECTORY [MEBIBYTES]\n");
        return 2;
    }
    const char *directory = arguments[1];
    mebibytes = argument_count > 2 ? strtoull(arguments[2], NULL, 10) : mebibytes;
    if (mebibytes == 0) {
        fprintf(stderr, "bench-recovery: at least one mebibyte\n");
        return 2;
    }
    if (argument_count > 3) { /* the process that start_filling makes */
        return fill_node((rr_log_kind)atoi(arguments[3]), directory,
                         mebibytes * 1024 * 1024 / ENTRY_BYTES);
    }
    const char *path = part(directory, "log");
    bench_store(RR_LOG_ROCKSDB, path, "log: RocksDB, from memory", false);
    bench_store(RR_LOG_SEGMENTS, path, "log: segments, from memory", false);
    bench_store(RR_LOG_ROCKSDB, path, "log: RocksDB, from the disk", true);
    bench_store(RR_LOG_SEGMENTS, path, "log: segments, from the disk", true);
    bench_node(RR_LOG_ROCKSDB, part(directory, "node-rocksdb"), "node: RocksDB");
    bench_node(RR_LOG_SEGMENTS, part(directory, "node-segments"), "node: segments");
    return 0;
}
