/*
 * Any bytes as an entry of the procedure "coredb", and as a query, over data of all types: a peer
 * that is hostile, damaged or newer must be refused, and never crash a replica. What is accepted
 * leaves the stored data in order and an output that can be read.
 *
 * The first byte tells whether a stored record is damaged before: then nothing is expected but that
 * the process survives.
 *
 * ctest: timeout=180
 */
#include "coredb/base/bytes.h"
#include "coredb/command/batch.h"
#include "coredb/command/command.h"
#include "coredb/command/execute.h"
#include "coredb/store_check.c" /* NOLINT: a helper of test/coredb, which brings a main else */
#include "fuzz/one_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DAMAGES = 128, ARGUMENTS_MAX = 16, RECORD_BYTES_MAX = 4096 };

static const char *const population[] = {
    "set s1 text",
    "set s2 100",
    "set s3 gone px 60000",
    "setbit b1 77 1",
    "pfadd p1 a b c d",
    "rpush l1 a b c d e",
    "hset h1 f1 v1 f2 2 f3 3.5",
    "sadd e1 a b c d",
    "sadd e2 1 2 3",
    "zadd z1 1 a 2 b 3 c inf d",
    "geoadd g1 13.361389 38.115556 palermo 15.087269 37.502669 catania",
    "xadd t1 1-1 f v",
    "xadd t1 2-1 f v g w",
    "xgroup create t1 g1 0",
    "xreadgroup group g1 alice count 1 streams t1 >",
    "blpop w1 0",
    "xread block 0 streams t1 $",
    "script load return(1)",
};

static size_t split(const char *line, rr_bytes argv[ARGUMENTS_MAX])
{
    size_t argc = 0;
    while (*line != '\0' && argc < ARGUMENTS_MAX) {
        size_t size = strcspn(line, " ");
        argv[argc++] = (rr_bytes){line, size};
        line += size + strspn(line + size, " ");
    }
    return argc;
}

/* Reads all events, as a server does. */
static void on_events(void *arg, uint64_t index, const struct events *events)
{
    size_t offset = 0;
    size_t count = 0;
    struct event event;
    (void)arg;
    (void)index;
    while (events_next(events, &offset, &event)) {
        count++;
    }
    if (count != events->count) {
        die("events", "there are not as many as they say");
    }
}

static struct execute execute = {.events = on_events};

static rr_status populate(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    (void)arg;
    (void)input;
    command_table_init();
    struct buffer batch;
    struct waiter_id waiter = {1, 1, 1};
    buffer_init(&batch);
    batch_begin_commands(&batch, 2, &waiter, 0);
    for (size_t i = 0; i < sizeof population / sizeof population[0]; i++) {
        rr_bytes argv[ARGUMENTS_MAX];
        batch_add_command(&batch, 0, argv, split(population[i], argv));
    }
    rr_status status = execute_procedure(&execute, view, buffer_bytes(&batch), output);
    buffer_deinit(&batch);
    return status;
}

/* ---- Damage ---- */

/* The record that is to be damaged. */
struct chosen {
    size_t left; /* to be passed before it */
    uint8_t key[RECORD_BYTES_MAX];
    uint8_t value[RECORD_BYTES_MAX];
    size_t key_size;
    size_t value_size;
};

static bool choose(void *arg, rr_bytes key, rr_bytes value)
{
    struct chosen *chosen = arg;
    if (key.size > RECORD_BYTES_MAX || value.size > RECORD_BYTES_MAX) {
        return true;
    }
    memcpy(chosen->key, key.data, key.size);
    chosen->key_size = key.size;
    if (value.size > 0) {
        memcpy(chosen->value, value.data, value.size);
    }
    chosen->value_size = value.size;
    return chosen->left-- > 0;
}

/* Takes two to four bytes of the input, which tell what is damaged, and how. */
static void damage(rr_view *view, struct reader *input)
{
    static struct chosen chosen;
    rr_range all = {{NULL, 0}, {NULL, 0}, false};
    chosen = (struct chosen){.left = reader_u8(input)};
    uint8_t how = reader_u8(input);
    if (rr_view_range(view, &all, choose, &chosen) != RR_OK) {
        die("range", "failed");
    }
    rr_bytes key = {chosen.key, chosen.key_size};
    rr_bytes value = {chosen.value, chosen.value_size};
    if (how % 4 == 0) {
        (void)!rr_view_delete(view, key);
        return;
    }
    if (how % 4 == 1) {
        value.size = how / 4 % (value.size + 1);
    } else if (how % 4 == 2) {
        chosen.value[chosen.value_size] = how;
        value.size += value.size < RECORD_BYTES_MAX ? 1 : 0;
    } else if (value.size > 0) {
        chosen.value[reader_u8(input) % value.size] = reader_u8(input);
    }
    (void)!rr_view_put(view, key, value);
}

/* ---- Running ---- */

static void check_store(rr_view *view)
{
    struct store store;
    char problem[512] = "";
    store_init(&store, view, /*is_query=*/false, 0);
    if (!store_check(&store, problem, sizeof problem)) {
        die("the stored data is in disorder", problem);
    }
    store_deinit(&store);
}

static rr_status procedure(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    (void)arg;
    struct reader reader = reader_of(input);
    bool damaged = reader_u8(&reader) >= DAMAGES;
    if (damaged) {
        damage(view, &reader);
    }
    rr_bytes batch = {reader.data, reader.left};
    rr_savepoint before = rr_view_savepoint(view);
    (void)execute_query(&execute, view, batch, output);
    rr_status status = execute_procedure(&execute, view, batch, output);
    if (status != RR_OK) {
        rr_view_rollback(view, before); /* as the library does */
    }
    if (!damaged) {
        check_store(view);
    }
    return RR_REJECTED;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    one_node_run(populate, procedure, data, size);
    return 0;
}
