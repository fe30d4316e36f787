/*
 * RESTORE of any bytes under a right checksum: it refuses them without a trace, or makes a value
 * that DUMP writes in a form that restores to one with the same dump. Either way the stored data is
 * in order. Everything runs in entries of one node, each undone at its end.
 *
 * ctest: timeout=180
 */
#include "coredb/base/bytes.h"
#include "coredb/command/command.h"
#include "coredb/command/execute.h"
#include "coredb/command/rdb_value.h"
#include "coredb/store_check.c" /* NOLINT: a helper of test/coredb, which brings a main else */
#include "fuzz/one_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RESTORE name 0 payload; whether it answered OK. */
static bool restore(struct store *store, const char *name, rr_bytes payload)
{
    rr_bytes argv[] = {bytes_of("restore"), bytes_of(name), bytes_of("0"), payload};
    struct reply reply;
    reply_init(&reply, 2);
    struct exec exec = {.store = store, .argv = argv, .argc = 4, .reply = &reply};
    execute_command(&exec);
    bool good = bytes_equal(buffer_bytes(&reply.out), bytes_of("+OK\r\n"));
    reply_deinit(&reply);
    return good;
}

static void dump(struct store *store, const char *name, struct buffer *out)
{
    struct key key;
    key_open(store, bytes_of(name), &key);
    buffer_clear(out);
    rdb_dump_value(store, &key, out);
    rdb_put_footer(out);
    key_close(&key);
}

/* What was restored dumps and restores again, to the same dump. */
static void check_round(struct store *store)
{
    struct buffer first;
    struct buffer second;
    buffer_init(&first);
    buffer_init(&second);
    dump(store, "first", &first);
    if (!restore(store, "second", buffer_bytes(&first))) {
        die("DUMP", "its bytes do not restore");
    }
    dump(store, "second", &second);
    if (!bytes_equal(buffer_bytes(&first), buffer_bytes(&second))) {
        die("DUMP", "a restored value dumps otherwise");
    }
    buffer_deinit(&first);
    buffer_deinit(&second);
}

static rr_status procedure(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    (void)arg;
    (void)output;
    struct buffer payload;
    struct store store;
    char problem[512] = "";
    command_table_init();
    buffer_init(&payload);
    buffer_append_bytes(&payload, input);
    rdb_put_footer(&payload);
    store_init(&store, view, /*is_query=*/false, 0);
    if (restore(&store, "first", buffer_bytes(&payload))) {
        check_round(&store);
    } else if (store_db(&store, 0)->key_count != 0) {
        die("RESTORE", "what it refused left a key");
    }
    store_finish(&store);
    if (store.failure != RR_OK || !store_check(&store, problem, sizeof problem)) {
        die("the stored data is in disorder", problem);
    }
    store_deinit(&store);
    buffer_deinit(&payload);
    return RR_REJECTED; /* nothing of it remains */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    one_node_run(NULL, procedure, data, size);
    return 0;
}
