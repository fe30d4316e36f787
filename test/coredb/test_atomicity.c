/*
 * A command that fails leaves nothing: whichever of its reads and writes is refused for its size,
 * the data, the counters, the events and the list of keys that are ready are as before it, and its
 * one reply is an error. Nor does a waiter that cannot be served refuse the command that would
 * have served it.
 *
 * ctest: timeout=180
 */
#include "command_maker.h"
#include "coredb/base/bytes.h"
#include "coredb/command/blocking.h"
#include "coredb/command/command.h"
#include "coredb/command/execute.h"
#include "coredb/value/waiter.h"
#include "dice.h"
#include "stage.h"
#include "store_check.h"
#include "support/test.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { MAKER_BYTES = 400, SETUP_COMMANDS = 60, COMMANDS = 150, EACH_CALL_UP_TO = 40 };

/* ---- In place of the library's functions: one call of many is refused ---- */

static uint64_t calls;   /* since it was set to 0 */
static uint64_t refused; /* the call that is refused; 0: none */
static rr_status refusal = RR_TOO_BIG;
static bool puts_only; /* count and refuse those alone, which only really are refused */

static bool refuse(bool is_put)
{
    return (is_put || !puts_only) && ++calls == refused;
}

static void *next_function(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL) {
        abort();
    }
    return function;
}

rr_status rr_view_get(rr_view *view, rr_bytes key, rr_bytes *value)
{
    static rr_status (*next)(rr_view *, rr_bytes, rr_bytes *);
    if (next == NULL) {
        *(void **)&next = next_function("rr_view_get");
    }
    return refuse(false) ? refusal : next(view, key, value);
}

rr_status rr_view_put(rr_view *view, rr_bytes key, rr_bytes value)
{
    static rr_status (*next)(rr_view *, rr_bytes, rr_bytes);
    if (next == NULL) {
        *(void **)&next = next_function("rr_view_put");
    }
    return refuse(true) ? refusal : next(view, key, value);
}

rr_status rr_view_delete(rr_view *view, rr_bytes key)
{
    static rr_status (*next)(rr_view *, rr_bytes);
    if (next == NULL) {
        *(void **)&next = next_function("rr_view_delete");
    }
    return refuse(false) ? refusal : next(view, key);
}

rr_status rr_view_range(rr_view *view, const rr_range *range, rr_visit_fn visit, void *arg)
{
    static rr_status (*next)(rr_view *, const rr_range *, rr_visit_fn, void *);
    if (next == NULL) {
        *(void **)&next = next_function("rr_view_range");
    }
    return refuse(false) ? refusal : next(view, range, visit, arg);
}

/* ---- What there is ---- */

static void digest_add(uint64_t *digest, const void *data, size_t size)
{
    *digest = (*digest ^ size) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < size; i++) {
        *digest = (*digest ^ ((const uint8_t *)data)[i]) * UINT64_C(0x100000001b3);
    }
}

static bool digest_pair(void *digest, rr_bytes key, rr_bytes value)
{
    digest_add(digest, key.data, key.size);
    digest_add(digest, value.data, value.size);
    return true;
}

/* A digest of all that a command may change. */
static uint64_t digest_of(struct store *store)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    store_range(store, (rr_bytes){0}, (rr_bytes){0}, false, digest_pair, &digest);
    for (uint32_t i = 0; i < STORE_DATABASES; i++) {
        const struct store_db *db = store_db(store, i);
        uint64_t fields[] = {db->generation, db->key_count, db->expiring_count, db->waiter_count};
        digest_add(&digest, fields, sizeof fields);
    }
    digest_add(&digest, store->events.bytes.data, store->events.bytes.size);
    digest_add(&digest, &store->events.count, sizeof store->events.count);
    digest_add(&digest, store->ready.data, store->ready.size);
    CHECK_OK(store->failure);
    return digest;
}

static void check_store(struct store *store)
{
    char problem[256] = "";
    if (!store_check(store, problem, sizeof problem)) {
        FAIL("%s", problem);
    }
}

/* ---- Commands ---- */

static struct waiter_id client = {1, 1, 0};

/* Runs a command; `reply` receives what it answers, nothing if it waits. */
static void run(struct store *store, const struct made_command *made, struct reply *reply)
{
    reply_truncate(reply, 0);
    client.number++;
    struct exec exec = {.store = store,
                        .argv = made->argv,
                        .argc = made->argc,
                        .reply = reply,
                        .may_block = true,
                        .waiter = &client};
    execute_command(&exec);
}

static void run_line(struct store *store, const char *line)
{
    struct made_command made = {.argc = 0};
    struct reply reply;
    reply_init(&reply, 2);
    for (const char *at = line; *at != '\0'; at += strspn(at, " ")) {
        made.argv[made.argc] = (rr_bytes){at, strcspn(at, " ")};
        at += made.argv[made.argc++].size;
    }
    run(store, &made, &reply);
    reply_deinit(&reply);
}

static void print_command(char *out, size_t size, const struct made_command *made)
{
    out[0] = '\0';
    for (size_t i = 0; i < made->argc; i++) {
        size_t used = strlen(out);
        snprintf(out + used, size - used, "%.*s ", (int)made->argv[i].size,
                 (const char *)made->argv[i].data);
    }
}

/* Refuses the command's calls one after another. Returns how many calls it makes. */
static uint64_t sweep(struct store *store, const struct made_command *made, struct dice *dice)
{
    char text[512];
    struct reply reply;
    struct store_savepoint savepoint;
    print_command(text, sizeof text, made);
    reply_init(&reply, 2);
    uint64_t before = digest_of(store);
    store_save(store, &savepoint);
    for (uint64_t at = 1;;) {
        calls = 0;
        refused = at;
        run(store, made, &reply);
        refused = 0;
        uint64_t made_calls = calls;
        if (made_calls < at) {
            CHECK_OK(store->failure);
            reply_deinit(&reply);
            return made_calls; /* it ran whole, and its effects stay */
        }
        if (store->failure != RR_OK || reply.out.size == 0 || reply.out.data[0] != '-') {
            FAIL("%s: with call %llu refused: failure %s, reply %.*s", text, (unsigned long long)at,
                 rr_status_name(store->failure), (int)reply.out.size, (const char *)reply.out.data);
        }
        if (digest_of(store) != before) {
            FAIL("%s: with call %llu refused something remains", text, (unsigned long long)at);
        }
        at += at < EACH_CALL_UP_TO ? 1U : 1U + (uint64_t)dice_below(dice, 200);
    }
}

/* ---- The tests ---- */

static void make(struct dice *dice, uint8_t bytes[MAKER_BYTES], struct made_command *out)
{
    for (size_t i = 0; i < MAKER_BYTES; i++) {
        bytes[i] = (uint8_t)dice_next(dice);
    }
    maker_command(&(struct maker){bytes, MAKER_BYTES}, out);
}

static void fill(struct store *store, struct dice *dice)
{
    struct filling filling;
    struct made_command made;
    struct reply reply;
    uint8_t bytes[3];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)dice_next(dice);
    }
    reply_init(&reply, 2);
    maker_filling(&(struct maker){bytes, sizeof bytes}, &filling);
    while (filling_next(&filling, &made)) {
        run(store, &made, &reply);
    }
    reply_deinit(&reply);
}

static void refuse_calls(struct store *store, void *arg)
{
    struct dice *dice = arg;
    uint8_t bytes[MAKER_BYTES];
    struct made_command made;
    struct reply reply;
    uint64_t refusals = 0;
    reply_init(&reply, 2);
    for (int i = 0; i < SETUP_COMMANDS; i++) {
        make(dice, bytes, &made);
        run(store, &made, &reply);
    }
    reply_deinit(&reply);
    for (int i = 0; i < COMMANDS; i++) {
        if (dice_below(dice, 8) == 0) {
            fill(store, dice);
        }
        make(dice, bytes, &made);
        refusals += sweep(store, &made, dice);
        waiters_serve(store);
        CHECK_OK(store->failure);
        check_store(store);
    }
    CHECK_GT(refusals, COMMANDS);
}

TEST(atomicity, a_command_that_fails_at_any_call_leaves_nothing)
{
    struct dice dice = {test_seed(1)};
    maker_init();
    struct stage *stage = stage_new();
    for (int round = 0; round < 8; round++) {
        stage_run(stage, /*keep=*/false, refuse_calls, &dice);
    }
    stage_free(stage);
}

/* What a waiter wants, what gives it to it, and how many elements there are then in all. */
struct service {
    const char *setup;
    const char *wait;
    const char *push;
    const char *left; /* how many are still there; NULL: not counted */
};

static const struct service services[] = {
    {"del k", "blpop k 0", "rpush k a b", "llen k"},
    {"del k", "blmove k other left right 0", "rpush k a b", "llen k"},
    {"del k", "blmpop 0 1 k left count 2", "rpush k a b", "llen k"},
    {"del k", "bzpopmin k 0", "zadd k 1 a 2 b", "zcard k"},
    {"del k", "bzmpop 0 1 k max count 5", "zadd k 1 a 2 b", "zcard k"},
    {"del k", "xread block 0 streams k $", "xadd k 5-0 f v", NULL},
    {"xgroup create k g $ mkstream", "xreadgroup group g c block 0 streams k >", "xadd k 5-0 f v",
     NULL},
};

static size_t service_refusals;

static int64_t count_left(struct store *store, const char *line)
{
    char name[8];
    char key_name[8];
    struct reply reply;
    reply_init(&reply, 2);
    CHECK_EQ(sscanf(line, "%7s %7s", name, key_name), 2);
    struct made_command made = {.argv = {bytes_of(name), bytes_of(key_name)}, .argc = 2};
    run(store, &made, &reply);
    buffer_append_byte(&reply.out, 0);
    int64_t count = strtoll((const char *)reply.out.data + 1, NULL, 10);
    reply_deinit(&reply);
    return count;
}

/* Refuses a put of serving, one after another. */
static void refuse_service(struct store *store, void *arg)
{
    const struct service *service = arg;
    run_line(store, service->setup);
    run_line(store, service->wait);
    struct store_savepoint savepoint;
    store_save(store, &savepoint);
    uint64_t made_calls;
    uint64_t at = 0;
    do {
        at++;
        run_line(store, service->push);
        int64_t pushed = service->left == NULL ? 0 : count_left(store, service->left);
        size_t events = store->events.count;
        calls = 0;
        refused = at;
        puts_only = true;
        waiters_serve(store);
        refused = 0;
        puts_only = false;
        made_calls = calls;
        CHECK_OK(store->failure);
        check_store(store);
        for (uint32_t i = 0; i < STORE_DATABASES; i++) {
            CHECK_EQ(store_db(store, i)->waiter_count, 0);
        }
        CHECK_GT(store->events.count, events); /* it was answered */
        if (service->left != NULL && made_calls >= at) {
            CHECK_EQ(count_left(store, service->left), pushed); /* with an error */
        }
        store_rollback(store, &savepoint);
        service_refusals += made_calls >= at ? 1U : 0U;
    } while (made_calls >= at);
}

TEST(atomicity, a_waiter_that_cannot_be_served_gets_an_error_and_takes_nothing)
{
    struct stage *stage = stage_new();
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        struct service service = services[i];
        stage_run(stage, /*keep=*/false, refuse_service, &service);
    }
    CHECK_GE(service_refusals, 10);
    stage_free(stage);
}

/* A reply that is too long undoes its command, but not what befell this node alone: the entry must
 * not be answered as if all was well. */
static void fail_calls(struct store *store, void *arg)
{
    (void)arg;
    struct made_command made = {.argv = {bytes_of("lmpop"), bytes_of("1"), bytes_of("k"),
                                         bytes_of("left"), bytes_of("count"), bytes_of("3")},
                                .argc = 6};
    struct store_savepoint savepoint;
    run_line(store, "rpush k element element element");
    store_save(store, &savepoint);
    refusal = RR_IO;
    uint64_t at = 0;
    do {
        struct reply reply;
        reply_init(&reply, 2);
        struct exec exec = {.store = store,
                            .argv = made.argv,
                            .argc = made.argc,
                            .reply = &reply,
                            .reply_bytes_max = 5};
        calls = 0;
        refused = ++at;
        execute_command(&exec);
        refused = 0;
        reply_deinit(&reply);
        CHECK_STATUS(store->failure, calls >= at ? RR_IO : RR_OK);
        store->failure = RR_OK;
        store_rollback(store, &savepoint);
    } while (calls >= at);
    CHECK_GT(at, 1);
    refusal = RR_TOO_BIG;
}

TEST(atomicity, a_failure_of_this_node_outlasts_a_command_that_is_undone)
{
    struct stage *stage = stage_new();
    stage_run(stage, /*keep=*/false, fail_calls, NULL);
    stage_free(stage);
}
