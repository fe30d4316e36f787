/* Shared by the tests of the state and of snapshots. */
#include "storage/state_helpers.h"

#include "base/checksum.h"
#include "base/codec.h"
#include "support/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *path_in(const char *directory, const char *name)
{
    static char paths[16][512];
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

struct state *open_state(const char *directory)
{
    struct state_options options = {.path = directory, .memtable_bytes = 256 * 1024};
    struct storage_error error;
    struct state *state;
    if (state_open(&options, &error, &state) != RR_OK) {
        FAIL("the state does not open: %s", error.text);
    }
    return state;
}

struct snapshot_store *open_snapshots(const char *directory)
{
    struct snapshot_store_options options = {.path = path_in(directory, "snapshots"),
                                             .chunk_bytes = 4096};
    struct storage_error error;
    struct snapshot_store *store;
    if (snapshot_store_open(&options, &error, &store) != RR_OK) {
        FAIL("the snapshots do not open: %s", error.text);
    }
    return store;
}

void commit_put(struct state *state, raft_index index, const char *key, const char *value)
{
    struct state_batch *batch = state_batch_new(state);
    if (value == NULL) {
        CHECK_OK(state_batch_delete(batch, test_bytes_of(key)));
    } else {
        CHECK_OK(state_batch_put(batch, test_bytes_of(key), test_bytes_of(value)));
    }
    state_batch_set_applied(batch, index, 1);
    CHECK_OK(state_batch_commit(batch, NULL));
    state_batch_free(batch);
}

static void put_counters(struct state_batch *batch, raft_index index, size_t filler)
{
    char key[32];
    uint8_t value[2048];
    snprintf(key, sizeof(key), "key-%03d", (int)(index % 1000));
    int size = snprintf((char *)value, sizeof(value), "%" PRIu64, index);
    CHECK_OK(state_batch_put(batch, test_bytes_of("counter"), (rr_bytes){value, (size_t)size}));
    CHECK_LE(filler, sizeof(value) - 32);
    for (size_t i = 0; i < filler; i += 8) {
        store_u64(value + (size_t)size + i, checksum64_seeded(&i, sizeof(i), index));
    }
    CHECK_OK(state_batch_put(batch, test_bytes_of(key), (rr_bytes){value, (size_t)size + filler}));
    CHECK_OK(state_batch_set_meta(batch, (rr_bytes){value, (size_t)size}));
    state_batch_set_applied(batch, index, 1 + index / 100);
}

void commit_counters(struct state *state, raft_index first, raft_index last, size_t filler)
{
    struct state_batch *batch = state_batch_new(state);
    for (raft_index index = first; index <= last; index++) {
        put_counters(batch, index, filler);
        CHECK_OK(state_batch_commit(batch, NULL));
    }
    state_batch_free(batch);
}

uint64_t counter_of(struct state_view *view)
{
    struct buffer value;
    buffer_init(&value);
    rr_status status = state_view_get(view, test_bytes_of("counter"), &value, NULL);
    CHECK(status == RR_OK || status == RR_NOT_FOUND);
    buffer_append_byte(&value, 0);
    uint64_t counter = status == RR_OK ? strtoull((char *)value.data, NULL, 10) : 0;
    buffer_deinit(&value);
    return counter;
}

raft_index check_counters(struct state *state)
{
    struct state_position applied = state_applied(state);
    struct state_view *view = state_view_open(state);
    CHECK_EQ(counter_of(view), applied.index);
    struct state_position seen;
    CHECK_OK(state_view_applied(view, &seen, NULL));
    state_view_close(view);
    CHECK_EQ(seen.index, applied.index);
    CHECK_EQ(seen.term, applied.term);
    CHECK_EQ(applied.term, applied.index == 0 ? 0 : 1 + applied.index / 100);
    struct buffer meta;
    buffer_init(&meta);
    CHECK_OK(state_meta(state, &meta, NULL));
    buffer_append_byte(&meta, 0);
    CHECK_EQ(strtoull((char *)meta.data, NULL, 10), applied.index);
    buffer_deinit(&meta);
    return applied.index;
}

const char *text_of(struct state *state, const char *key)
{
    static char text[256];
    struct buffer value;
    buffer_init(&value);
    rr_status status = state_get(state, test_bytes_of(key), &value, NULL);
    if (status == RR_OK) {
        CHECK_LT(value.size, sizeof(text));
        memcpy(text, value.data, value.size);
        text[value.size] = 0;
    }
    buffer_deinit(&value);
    CHECK(status == RR_OK || status == RR_NOT_FOUND);
    return status == RR_OK ? text : NULL;
}

uint64_t digest_of(struct state *state)
{
    struct state_view *view = state_view_open(state);
    uint64_t digest;
    CHECK_OK(state_view_digest(view, &digest, NULL));
    state_view_close(view);
    return digest;
}

bool visit_text(void *arg, rr_bytes key, rr_bytes value)
{
    char *text = arg;
    size_t size = strlen(text);
    snprintf(text + size, 65536 - size, "%.*s=%.*s ", (int)key.size, (const char *)key.data,
             (int)value.size, (const char *)value.data);
    return true;
}
