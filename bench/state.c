/*
 * What the applied state costs on this machine: bench-state EMPTY_DIRECTORY [SECONDS], with the
 * seconds for each measurement. Batches of the state through our overlay, and the same through
 * RocksDB's own indexed batch for comparison.
 */
#include "measure.h"

#include "base/random.h"
#include "storage/rocks.h"
#include "storage/snapshot.h"
#include "storage/state.h"

enum { VALUE_BYTES = 100, KEYS = 100000, KEY_BYTES = 16 };

static double seconds = 2;

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
    if (argument_count < 2 || arguments[1][0] == '-') {
        fprintf(stderr, "usage: bench-state EMPTY_DIRECTORY [SECONDS]\n");
        return 2;
    }
    seconds = argument_count > 2 ? atof(arguments[2]) : 2;
    bench_states(arguments[1]);
    return 0;
}
