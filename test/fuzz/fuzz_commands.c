/*
 * Commands of coredb over a store, as a fuzzer makes them up: whatever they are, they must not
 * crash, hang or leave the stored data in disorder.
 *
 * The input is a sequence of steps. Each makes a command: one of a list, with the input's keys and
 * numbers in it, or any of the table with as many arguments as it takes, of whatever kind. Or it
 * moves the clock on, collects garbage, expires keys, or begins a transaction. Everything runs in one entry of a node
 * of its own, which is undone at the end. After each batch of steps store_check looks at all there
 * is.
 *
 * FUZZ_SHOW=1 prints the commands of an input.
 *
 * ctest: timeout=300
 */
#include "coredb/base/bytes.h"
#include "coredb/command/blocking.h"
#include "coredb/command/command.h"
#include "coredb/command/execute.h"
#include "coredb/command_maker.c" /* NOLINT: helpers of test/coredb, which bring a main else */
#include "coredb/store_check.c"   /* NOLINT */
#include "coredb/value/waiter.h"
#include "fuzz/one_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BATCH_STEPS = 12, /* steps between two looks at the store */
    STEPS_MAX = 400,  /* of an input */
};

/* ---- Running ---- */

struct run {
    rr_view *view;
    struct maker maker;
    uint64_t now_ms;
    uint64_t steps;
    uint32_t ordinal; /* of objects: all batches belong to one entry */
    struct waiter_id client;
};

/* The reply is one value of the protocol, as far as its first byte tells. */
static void check_reply(const struct exec *exec)
{
    const struct buffer *out = &exec->reply->out;
    bool fine = exec->blocked ? true
                              : out->size >= 3 && strchr("+-:$*_#,%~=>(", out->data[0]) != NULL &&
                                    memcmp(out->data + out->size - 2, "\r\n", 2) == 0;
    if (!fine) {
        die("no reply to", exec->command != NULL ? exec->command->name : "an unknown command");
    }
}

/* What an input does: for whoever looks into one. */
static void show(const rr_bytes *argv, size_t argc, const struct reply *reply)
{
    for (size_t i = 0; i < argc; i++) {
        fprintf(stderr, "%.*s ", (int)argv[i].size, (const char *)argv[i].data);
    }
    rr_bytes text = buffer_bytes(&reply->out);
    const char *end = text.size > 0 ? memchr(text.data, '\r', text.size) : NULL;
    fprintf(stderr, "-> %.*s\n", end != NULL ? (int)(end - (const char *)text.data) : 0,
            (const char *)text.data);
}

static void run_words(struct run *run, struct store *store, const rr_bytes *argv, size_t argc,
                      bool may_block)
{
    struct reply reply;
    reply_init(&reply, run->steps % 2 == 0 ? 2 : 3);
    run->client.number++;
    struct exec exec = {.store = store,
                        .argv = argv,
                        .argc = argc,
                        .reply = &reply,
                        .may_block = may_block,
                        .waiter = &run->client};
    execute_command(&exec);
    if (getenv("FUZZ_SHOW") != NULL) {
        show(argv, argc, &reply);
    }
    check_reply(&exec);
    reply_deinit(&reply);
}

static void run_command(struct run *run, struct store *store, bool may_block)
{
    struct made_command made;
    maker_command(&run->maker, &made);
    run_words(run, store, made.argv, made.argc, may_block);
}

static void run_filling(struct run *run, struct store *store)
{
    struct filling filling;
    struct made_command made;
    maker_filling(&run->maker, &filling);
    while (filling_next(&filling, &made)) {
        run_words(run, store, made.argv, made.argc, /*may_block=*/false);
    }
}

/* One step; false: the batch ends. */
static bool run_step(struct run *run, struct store *store)
{
    uint8_t kind = maker_take(&run->maker);
    run->steps++;
    if (kind < 216) {
        run_command(run, store, /*may_block=*/true);
    } else if (kind < 220) {
        run_filling(run, store);
    } else if (kind < 230) {
        for (size_t left = 1 + maker_take(&run->maker) % 4; left > 0; left--) {
            run_command(run, store, /*may_block=*/false);
        }
    } else if (kind < 236) {
        run->now_ms += (uint64_t)maker_take(&run->maker) * maker_take(&run->maker);
        return false;
    } else if (kind < 242) {
        key_expire_due(store, maker_take(&run->maker));
    } else if (kind < 248) {
        key_collect_garbage(store, maker_take(&run->maker));
    } else if (kind < 251) {
        struct waiter_id id = run->client;
        id.number -= maker_take(&run->maker) % 8;
        waiter_cancel(store, &id);
    } else {
        store->db_index = maker_take(&run->maker) % 2;
    }
    waiters_serve(store);
    return true;
}

static void run_batch(struct run *run)
{
    struct store store;
    store_init(&store, run->view, /*is_query=*/false, 0);
    store.now_ms = run->now_ms;
    store.clock_ms = run->now_ms;
    store.ordinal = run->ordinal;
    for (int i = 0; i < BATCH_STEPS && run->maker.left > 0 && run->steps < STEPS_MAX; i++) {
        if (!run_step(run, &store)) {
            break;
        }
    }
    store_finish(&store);
    run->ordinal = store.ordinal;
    char problem[512] = "";
    if (store.failure != RR_OK) {
        die("the store failed", rr_status_name(store.failure));
    }
    store_deinit(&store);
    store_init(&store, run->view, /*is_query=*/false, 0);
    if (!store_check(&store, problem, sizeof problem)) {
        die("the stored data is in disorder", problem);
    }
    store_deinit(&store);
}

/* Refuses at the end, so that nothing of it remains. */
static rr_status procedure(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    (void)arg;
    (void)output;
    struct run run = {
        .view = view, .maker = {input.data, input.size}, .now_ms = 1000000, .client = {1, 1, 0}};
    while (run.maker.left > 0 && run.steps < STEPS_MAX) {
        run_batch(&run);
    }
    return RR_REJECTED;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (one_node == NULL) {
        maker_init();
    }
    one_node_run(NULL, procedure, data, size);
    return 0;
}
