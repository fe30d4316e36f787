#include "storage/state_table.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/random.h"
#include "support/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static bool put(struct state_table *table, const char *key, const char *value, uint64_t sequence)
{
    CHECK_OK(state_table_reserve(table, 1, strlen(key) + strlen(value)));
    return state_table_write(table, STATE_TABLE_PUT, test_bytes_of(key), test_bytes_of(value),
                             sequence);
}

static bool drop(struct state_table *table, const char *key, uint64_t sequence)
{
    CHECK_OK(state_table_reserve(table, 1, strlen(key)));
    return state_table_write(table, STATE_TABLE_DELETE, test_bytes_of(key), (rr_bytes){NULL, 0},
                             sequence);
}

/* The value, "-" for a deletion, or NULL. */
static const char *get(const struct state_table *table, const char *key, uint64_t sequence)
{
    static char text[64];
    rr_bytes value;
    switch (state_table_find(table, test_bytes_of(key), sequence, &value)) {
    case STATE_TABLE_NONE:
        return NULL;
    case STATE_TABLE_DELETE:
        return "-";
    case STATE_TABLE_PUT:
        snprintf(text, sizeof(text), "%.*s", (int)value.size, (const char *)value.data);
        return text;
    }
    return NULL;
}

static struct state_table *new_table(size_t bytes)
{
    struct state_table *table = state_table_new(bytes, /*seed=*/bytes);
    CHECK(table != NULL);
    return table;
}

TEST(state_table, shows_each_reader_the_versions_of_its_moment)
{
    struct state_table *table = new_table(1000);
    CHECK(put(table, "a", "1", 1));
    CHECK(!put(table, "a", "2", 2));
    CHECK(drop(table, "b", 2));
    CHECK(!drop(table, "a", 5));
    CHECK(!put(table, "a", "", 7));
    CHECK_TEXT(get(table, "a", 0), NULL);
    CHECK_TEXT(get(table, "a", 1), "1");
    CHECK_TEXT(get(table, "b", 1), NULL);
    CHECK_TEXT(get(table, "a", 4), "2");
    CHECK_TEXT(get(table, "b", 4), "-");
    CHECK_TEXT(get(table, "a", 6), "-");
    CHECK_TEXT(get(table, "a", UINT64_MAX), "");
    CHECK_TEXT(get(table, "c", 9), NULL);
    CHECK_EQ(state_table_count(table), 2);
    state_table_free(table);
}

TEST(state_table, keeps_keys_in_order)
{
    struct state_table *table = new_table(1000);
    for (uint64_t i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%04d", (int)(i * 7919 % 5000));
        CHECK(put(table, key, key, i + 1));
    }
    int count = 0;
    const struct state_table_node *before = NULL;
    for (const struct state_table_node *node = state_table_seek(table, (rr_bytes){"", 0});
         node != NULL; node = state_table_next(node)) {
        char key[16];
        snprintf(key, sizeof(key), "%04d", count++);
        CHECK_BYTES(state_table_key(node), test_bytes_of(key));
        CHECK(state_table_seek(table, test_bytes_of(key)) == node);
        CHECK(state_table_seek_before(table, test_bytes_of(key)) == before);
        before = node;
    }
    CHECK_EQ(count, 5000);
    CHECK(state_table_seek_before(table, test_bytes_of("9")) == before);
    CHECK_BYTES(state_table_key(state_table_seek(table, test_bytes_of("12345"))),
                test_bytes_of("1235"));
    CHECK(state_table_seek(table, test_bytes_of("5")) == NULL);
    state_table_free(table);
}

TEST(state_table, counts_the_memory_that_it_holds)
{
    struct state_table *table = new_table(64 * 1024);
    size_t empty = state_table_size(table);
    CHECK_LT(empty, 8 * 1024);
    CHECK_OK(state_table_reserve(table, 1, 1024 * 1024));
    CHECK_GT(state_table_size(table), 1024 * 1024);
    CHECK_LT(state_table_size(table), 1024 * 1024 + 16 * 1024);
    for (uint64_t i = 1; i <= 100; i++) {
        put(table, "key", "value", i); /* into what was reserved */
    }
    CHECK_LT(state_table_size(table), 1024 * 1024 + 16 * 1024);
    state_table_free(table);
}

TEST(state_table, is_as_it_was_without_memory)
{
    for (uint64_t nth = 1;; nth++) {
        mem_fail_after(nth);
        struct state_table *table = state_table_new(1000, /*seed=*/0);
        rr_status status = table == NULL ? RR_NO_MEMORY : state_table_reserve(table, 3, 100000);
        bool pending = mem_fail_pending();
        mem_fail_after(0);
        if (table != NULL) {
            CHECK(put(table, "a", "1", 1));
            CHECK_TEXT(get(table, "a", 1), "1");
        }
        state_table_free(table);
        if (pending) {
            CHECK_OK(status);
            CHECK_GT(nth, 3);
            break;
        }
        CHECK_STATUS(status, RR_NO_MEMORY);
    }
}

/* --- Readers beside the writer --- */

enum { KEYS = 400, COMMITS = 30000, PER_COMMIT = 4, READERS = 2 };

/* Commit n writes n to PER_COMMIT keys that follow from n, and to the key "last". */
struct shared {
    struct state_table *table;
    atomic_uint_fast64_t sequence; /* of the last whole commit */
    atomic_bool wrong;
};

static void key_of(uint64_t commit, uint64_t part, char out[16])
{
    uint64_t number = (commit * PER_COMMIT + part) * 2654435761u % KEYS;
    snprintf(out, 16, "k%03u", (unsigned)number);
}

static bool holds(const struct state_table_node *node, uint64_t sequence, uint64_t *number)
{
    rr_bytes value;
    if (state_table_value(node, sequence, &value) != STATE_TABLE_PUT) {
        return false;
    }
    memcpy(number, value.data, sizeof(*number));
    return true;
}

/* The whole table as of one commit: the right keys, in order, none from later. */
static bool looks_right(const struct state_table *table, uint64_t sequence)
{
    uint64_t newest = 0;
    rr_bytes before = {"", 0};
    for (const struct state_table_node *node = state_table_seek(table, before); node != NULL;
         node = state_table_next(node)) {
        rr_bytes key = state_table_key(node);
        uint64_t number = 0;
        rr_bytes value;
        if (bytes_compare(before, key) >= 0) {
            return false;
        }
        before = key;
        if (holds(node, sequence, &number)) {
            newest = number > newest ? number : newest;
            if (number > sequence ||
                state_table_find(table, key, sequence, &value) != STATE_TABLE_PUT ||
                memcmp(value.data, &number, sizeof(number)) != 0) {
                return false;
            }
        }
    }
    return newest == sequence;
}

static void *read_along(void *arg)
{
    struct shared *shared = arg;
    uint64_t sequence = 0;
    while (sequence < COMMITS) {
        sequence = atomic_load_explicit(&shared->sequence, memory_order_acquire);
        if (!looks_right(shared->table, sequence)) {
            atomic_store(&shared->wrong, true);
        }
    }
    return NULL;
}

TEST(state_table, shows_readers_whole_commits_while_it_is_written)
{
    struct shared shared = {.table = new_table(1024 * 1024)};
    pthread_t readers[READERS];
    for (int i = 0; i < READERS; i++) {
        CHECK_EQ(pthread_create(&readers[i], NULL, read_along, &shared), 0);
    }
    for (uint64_t commit = 1; commit <= COMMITS; commit++) {
        rr_bytes value = {&commit, sizeof(commit)};
        CHECK_OK(state_table_reserve(shared.table, PER_COMMIT, (size_t)PER_COMMIT * 32));
        for (uint64_t part = 0; part < PER_COMMIT; part++) {
            char key[16];
            key_of(commit, part, key);
            state_table_write(shared.table, STATE_TABLE_PUT, test_bytes_of(key), value, commit);
        }
        atomic_store_explicit(&shared.sequence, commit, memory_order_release);
    }
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i], NULL);
    }
    CHECK(!atomic_load(&shared.wrong));
    state_table_free(shared.table);
}
