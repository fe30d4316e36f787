/* ctest: timeout=180 */
/* The state over many small tables: what is in memory, on its way to disk, and there. */
#include "storage/state.h"

#include "base/memory.h"
#include "base/random.h"
#include "storage/child.h"
#include "storage/file.h"
#include "storage/snapshot.h"
#include "storage/state_helpers.h"
#include "support/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TABLE_BYTES = 16 * 1024, FILLER = 200 };

static struct state *open_small(const char *directory)
{
    struct state_options options = {.path = directory, .memtable_bytes = TABLE_BYTES};
    struct storage_error error;
    struct state *state;
    if (state_open(&options, &error, &state) != RR_OK) {
        FAIL("the state does not open: %s", error.text);
    }
    return state;
}

/* --- Against a model, with views --- */

enum { KEYS = 120, VIEWS = 4, ROUNDS = 1500 };

/* Values by key number; 0 for a key that is not there. */
struct model {
    uint32_t values[KEYS];
    raft_index index;
};

struct held_view {
    struct state_view *view; /* or NULL */
    struct model model;
};

struct run {
    struct random random;
    const char *directory;
    struct state *state;
    struct state_batch *batch;
    struct snapshot_store *snapshots;
    struct model model;
    struct held_view views[VIEWS];
};

static rr_bytes model_key(uint32_t number, char out[16])
{
    snprintf(out, 16, "%c%03u", (char)('a' + number % 3), (unsigned)number / 3);
    return test_bytes_of(out);
}

static uint32_t draw(struct run *run, uint32_t below)
{
    return (uint32_t)random_below(&run->random, below);
}

/* The number of a key in its prefix, which are as many. */
enum { PREFIX_KEYS = KEYS / 3 };

struct expectation {
    const struct model *model;
    uint32_t prefix;
    uint32_t next; /* in the prefix */
    uint32_t end;  /* excluded */
    bool reverse;
    bool wrong;
};

/* The next key that the model has, or `end`. */
static uint32_t expected(const struct expectation *expectation)
{
    uint32_t next = expectation->next;
    while (next != expectation->end &&
           expectation->model->values[next * 3 + expectation->prefix] == 0) {
        next += expectation->reverse ? UINT32_MAX : 1;
    }
    return next;
}

static bool visit_expected(void *arg, rr_bytes key, rr_bytes value)
{
    struct expectation *expectation = arg;
    uint32_t number = expected(expectation);
    char text[16];
    uint32_t found;
    memcpy(&found, value.data, sizeof(found));
    if (number == expectation->end) {
        expectation->wrong = true;
        return false;
    }
    rr_bytes name = model_key(number * 3 + expectation->prefix, text);
    if (key.size != name.size || memcmp(key.data, name.data, name.size) != 0 ||
        found != expectation->model->values[number * 3 + expectation->prefix]) {
        expectation->wrong = true;
    }
    expectation->next = number + (expectation->reverse ? UINT32_MAX : 1);
    return !expectation->wrong;
}

/* A random span of a view, or of the batch. */
static void check_span(struct run *run, struct state_view *view, const struct model *model)
{
    uint32_t prefix = draw(run, 3);
    uint32_t from = draw(run, PREFIX_KEYS);
    uint32_t to = from + draw(run, PREFIX_KEYS - from + 1);
    char texts[2][16];
    char name = (char)('a' + prefix);
    bool reverse = random_chance(&run->random, 1, 2);
    struct state_span span = {.prefix = {&name, 1}, .reverse = reverse};
    span.from = test_bytes_of(model_key(from * 3, texts[0]).size > 0 ? texts[0] + 1 : "");
    span.to = test_bytes_of(model_key(to * 3, texts[1]).size > 0 ? texts[1] + 1 : "");
    struct expectation expectation = {.model = model,
                                      .prefix = prefix,
                                      .next = reverse ? to - 1 : from,
                                      .end = reverse ? from - 1 : to,
                                      .reverse = reverse};
    if (view != NULL) {
        CHECK_OK(state_view_span(view, &span, visit_expected, &expectation, NULL));
    } else {
        CHECK_OK(state_batch_span(run->batch, &span, visit_expected, &expectation, NULL));
    }
    CHECK(!expectation.wrong);
    CHECK_EQ(expected(&expectation), expectation.end);
}

static void check_value(rr_status status, const struct buffer *value, uint32_t number)
{
    CHECK_STATUS(status, number == 0 ? RR_NOT_FOUND : RR_OK);
    if (number != 0) {
        CHECK_GE(value->size, sizeof(number));
        CHECK(memcmp(value->data, &number, sizeof(number)) == 0);
    }
}

static void check_get(struct run *run, struct state_view *view, const struct model *model)
{
    uint32_t number = draw(run, KEYS);
    char text[16];
    rr_bytes key = model_key(number, text);
    struct buffer value;
    buffer_init(&value);
    rr_status status = view != NULL ? state_view_get(view, key, &value, NULL)
                                    : state_batch_get(run->batch, key, &value, NULL);
    check_value(status, &value, model->values[number]);
    buffer_deinit(&value);
}

static void check_view(struct run *run, const struct held_view *held)
{
    struct state_position position;
    CHECK_OK(state_view_applied(held->view, &position, NULL));
    CHECK_EQ(position.index, held->model.index);
    check_get(run, held->view, &held->model);
    check_span(run, held->view, &held->model);
}

/* Opens a view, or checks and perhaps closes one. */
static void use_view(struct run *run)
{
    struct held_view *held = &run->views[draw(run, VIEWS)];
    if (held->view == NULL) {
        held->view = state_view_open(run->state);
        held->model = run->model;
    }
    check_view(run, held);
    if (random_chance(&run->random, 1, 5)) {
        state_view_close(held->view);
        held->view = NULL;
    }
}

static void close_views(struct run *run)
{
    for (int i = 0; i < VIEWS; i++) {
        state_view_close(run->views[i].view);
        run->views[i].view = NULL;
    }
}

static void change(struct run *run)
{
    uint8_t value[FILLER + 4] = {0};
    uint32_t number = draw(run, KEYS);
    /* A third of the keys is hot. */
    number = random_chance(&run->random, 1, 2) ? number % (KEYS / 3) : number;
    char text[16];
    rr_bytes key = model_key(number, text);
    if (random_chance(&run->random, 1, 3)) {
        run->model.values[number] = 0;
        CHECK_OK(state_batch_delete(run->batch, key));
        return;
    }
    uint32_t drawn = 1 + draw(run, 1000000);
    run->model.values[number] = drawn;
    memcpy(value, &drawn, sizeof(drawn));
    size_t size = sizeof(drawn) + draw(run, FILLER);
    CHECK_OK(state_batch_put(run->batch, key, (rr_bytes){value, size}));
}

static void commit_some(struct run *run)
{
    uint32_t count = draw(run, 12);
    for (uint32_t i = 0; i < count; i++) {
        change(run);
        if (random_chance(&run->random, 1, 4)) {
            check_get(run, NULL, &run->model);
            check_span(run, NULL, &run->model);
        }
    }
    run->model.index++;
    state_batch_set_applied(run->batch, run->model.index, 1);
    CHECK_OK(state_batch_commit(run->batch, NULL));
}

static void install(struct run *run)
{
    struct snapshot *snapshot;
    if (run->model.index == 0) {
        return;
    }
    state_batch_clear(run->batch);
    CHECK_OK(snapshot_create(run->snapshots, run->state, NULL, &snapshot));
    CHECK_OK(state_install(run->state, snapshot, NULL));
    snapshot_release(snapshot);
}

static void reopen(struct run *run)
{
    close_views(run);
    state_batch_free(run->batch);
    state_close(run->state);
    run->state = open_small(run->directory);
    run->batch = state_batch_new(run->state);
    CHECK_EQ(state_applied(run->state).index, run->model.index);
}

static void act(struct run *run)
{
    switch (draw(run, 40)) {
    case 0:
        CHECK_OK(state_flush(run->state, true, NULL));
        break;
    case 1:
        CHECK_OK(state_flush(run->state, false, NULL));
        break;
    case 2:
        if (random_chance(&run->random, 1, 4)) {
            install(run);
        }
        break;
    case 3:
        if (random_chance(&run->random, 1, 4)) {
            reopen(run);
        }
        break;
    case 4:
        state_batch_clear(run->batch);
        break;
    default:
        if (random_chance(&run->random, 1, 2)) {
            use_view(run);
        } else {
            commit_some(run);
        }
        break;
    }
}

TEST(state_layers, agree_with_a_model)
{
    struct run run = {.directory = test_directory()};
    random_init(&run.random, test_seed(20261123));
    run.state = open_small(run.directory);
    run.batch = state_batch_new(run.state);
    run.snapshots = open_snapshots(run.directory);
    for (int round = 0; round < ROUNDS; round++) {
        act(&run);
    }
    struct state_counters counters;
    state_counters(run.state, &counters);
    close_views(&run);
    state_batch_free(run.batch);
    snapshot_store_close(run.snapshots);
    state_close(run.state);
}

/* --- Readers on other threads --- */

enum { ACCOUNTS = 64, TOTAL = 64000, READERS = 2 };

/* Each commit moves something from one account to another, in a value with filler; and moves a
 * token, which is a key of its own, from one place to the next. */
struct bank {
    struct state *state;
    struct snapshot_store *snapshots;
    atomic_bool stop;
    atomic_bool wrong;
    atomic_uint_fast64_t rounds;
};

struct audit {
    uint64_t total;
    uint64_t accounts;
    uint64_t tokens;
};

static bool visit_account(void *arg, rr_bytes key, rr_bytes value)
{
    struct audit *audit = arg;
    uint64_t amount;
    memcpy(&amount, value.data, sizeof(amount));
    if (*(const char *)key.data == 'a') {
        audit->accounts++;
        audit->total += amount;
    } else if (*(const char *)key.data == 't') {
        audit->tokens++;
    }
    return true;
}

static bool adds_up(const struct audit *audit)
{
    return audit->total == TOTAL && audit->accounts == ACCOUNTS && audit->tokens == 1;
}

/* Everything forwards, and the accounts and tokens backwards. */
static bool audit_view(struct state_view *view)
{
    struct audit forward = {0};
    struct audit backward = {0};
    struct state_range all = {0};
    struct state_span accounts = {.prefix = {"a", 1}, .reverse = true};
    struct state_span tokens = {.prefix = {"t", 1}, .reverse = true};
    struct state_position position;
    return state_view_scan(view, &all, visit_account, &forward, NULL, NULL) == RR_OK &&
           state_view_span(view, &accounts, visit_account, &backward, NULL) == RR_OK &&
           state_view_span(view, &tokens, visit_account, &backward, NULL) == RR_OK &&
           state_view_applied(view, &position, NULL) == RR_OK && adds_up(&forward) &&
           adds_up(&backward) && counter_of(view) == position.index;
}

static void *read_views(void *arg)
{
    struct bank *bank = arg;
    struct state_view *old = state_view_open(bank->state);
    while (!atomic_load(&bank->stop)) {
        struct state_view *view = state_view_open(bank->state);
        if (!audit_view(view) || !audit_view(old)) {
            atomic_store(&bank->wrong, true);
        }
        state_view_close(old);
        old = view;
        atomic_fetch_add(&bank->rounds, 1);
    }
    state_view_close(old);
    return NULL;
}

/* Flushes and makes snapshots as fast as it can. */
static void *make_snapshots(void *arg)
{
    struct bank *bank = arg;
    while (!atomic_load(&bank->stop)) {
        struct state_position before;
        struct state_position after;
        struct snapshot *snapshot;
        if (state_persisted(bank->state, &before, NULL) != RR_OK ||
            state_flush(bank->state, true, NULL) != RR_OK ||
            state_persisted(bank->state, &after, NULL) != RR_OK || after.index < before.index ||
            snapshot_create(bank->snapshots, bank->state, NULL, &snapshot) != RR_OK) {
            atomic_store(&bank->wrong, true);
            break;
        }
        snapshot_release(snapshot);
    }
    return NULL;
}

static void put_amount(struct state_batch *batch, uint64_t account, uint64_t amount)
{
    char key[16];
    uint8_t value[FILLER] = {0};
    snprintf(key, sizeof(key), "a%03u", (unsigned)account);
    memcpy(value, &amount, sizeof(amount));
    CHECK_OK(state_batch_put(batch, test_bytes_of(key), (rr_bytes){value, sizeof(value)}));
}

static void move_token(struct state_batch *batch, uint64_t from, uint64_t to)
{
    char key[16];
    uint64_t value = to;
    snprintf(key, sizeof(key), "t%03u", (unsigned)from % 50);
    CHECK_OK(state_batch_delete(batch, test_bytes_of(key)));
    snprintf(key, sizeof(key), "t%03u", (unsigned)to % 50);
    CHECK_OK(state_batch_put(batch, test_bytes_of(key), (rr_bytes){&value, sizeof(value)}));
}

static void commit_at(struct state_batch *batch, raft_index index)
{
    char text[32];
    snprintf(text, sizeof(text), "%u", (unsigned)index);
    CHECK_OK(state_batch_put(batch, test_bytes_of("counter"), test_bytes_of(text)));
    state_batch_set_applied(batch, index, 1);
    CHECK_OK(state_batch_commit(batch, NULL));
}

static void found_bank(struct state_batch *batch, uint64_t amounts[ACCOUNTS])
{
    for (uint64_t i = 0; i < ACCOUNTS; i++) {
        amounts[i] = TOTAL / ACCOUNTS;
        put_amount(batch, i, amounts[i]);
    }
    move_token(batch, 1, 0);
    commit_at(batch, 1);
}

static void transfer(struct random *random, struct state_batch *batch, uint64_t amounts[ACCOUNTS])
{
    uint64_t from = random_below(random, ACCOUNTS);
    uint64_t to = random_below(random, ACCOUNTS);
    uint64_t amount = random_below(random, amounts[from] + 1);
    amounts[from] -= amount;
    amounts[to] += amount;
    put_amount(batch, from, amounts[from]);
    put_amount(batch, to, amounts[to]);
}

TEST(state_layers, show_other_threads_whole_commits)
{
    const char *directory = test_directory();
    struct bank bank = {.state = open_small(directory), .snapshots = open_snapshots(directory)};
    struct state_batch *batch = state_batch_new(bank.state);
    struct random random;
    random_init(&random, test_seed(4));
    uint64_t amounts[ACCOUNTS];
    found_bank(batch, amounts);
    pthread_t threads[READERS + 1];
    for (int i = 0; i <= READERS; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, i == 0 ? make_snapshots : read_views, &bank), 0);
    }
    raft_index index = 1;
    while (index < 4000 || (atomic_load(&bank.rounds) < 50 && index < 200000)) {
        transfer(&random, batch, amounts);
        move_token(batch, index - 1, index);
        commit_at(batch, ++index);
        struct snapshot *latest = index % 1000 == 0 ? snapshot_store_latest(bank.snapshots) : NULL;
        if (latest != NULL) {
            CHECK_STATUS(state_install(bank.state, latest, NULL), RR_CONFLICT);
            snapshot_release(latest);
        }
    }
    atomic_store(&bank.stop, true);
    for (int i = 0; i <= READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(!atomic_load(&bank.wrong));
    state_batch_free(batch);
    snapshot_store_close(bank.snapshots);
    state_close(bank.state);
}

/* --- Memory --- */

static uint64_t memory_of(struct state *state)
{
    struct state_counters counters;
    state_counters(state, &counters);
    return counters.memory_bytes;
}

TEST(state_layers, take_no_more_memory_than_three_tables)
{
    struct state *state = open_small(test_directory());
    uint64_t most = 0;
    for (raft_index index = 1; index <= 2000; index++) {
        commit_counters(state, index, index, 1000);
        uint64_t memory = memory_of(state);
        most = memory > most ? memory : most;
    }
    struct state_counters counters;
    state_counters(state, &counters);
    CHECK_GT(most, TABLE_BYTES);
    CHECK_LT(most, 4 * TABLE_BYTES);
    CHECK_GT(counters.tables_written, 50);
    CHECK_LT(counters.table_keys, counters.keys_written + 2 * counters.tables_written + 1);
    CHECK_OK(state_flush(state, true, NULL));
    CHECK_LT(memory_of(state), TABLE_BYTES);
    state_close(state);
}

/* A hot key is written to disk once for each table. */
TEST(state_layers, write_the_last_version_of_a_key_alone)
{
    struct state *state = open_small(test_directory());
    for (raft_index index = 1; index <= 20; index++) {
        commit_put(state, index, "hot", index % 2 == 0 ? "even" : NULL);
    }
    CHECK_OK(state_flush(state, true, NULL));
    struct state_counters counters;
    state_counters(state, &counters);
    CHECK_EQ(counters.keys_written, 20);
    CHECK_EQ(counters.tables_written, 1);
    CHECK_EQ(counters.table_keys, 2); /* and the position */
    CHECK_TEXT(text_of(state, "hot"), "even");
    commit_put(state, 21, "hot", NULL);
    CHECK_OK(state_flush(state, true, NULL));
    CHECK_TEXT(text_of(state, "hot"), NULL);
    state_close(state);
}

TEST(state_layers, change_nothing_without_memory_for_a_commit)
{
    struct state *state = open_small(test_directory());
    struct state_batch *batch = state_batch_new(state);
    struct buffer large;
    buffer_init(&large);
    for (int i = 0; i < TABLE_BYTES; i++) {
        buffer_append_byte(&large, 'x');
    }
    uint64_t refused = 0;
    for (raft_index index = 1; index <= 5; index++) {
        for (uint64_t nth = 1;; nth++) {
            CHECK_OK(state_batch_put(batch, test_bytes_of("large"), buffer_bytes(&large)));
            state_batch_set_applied(batch, index, 1);
            mem_fail_after(nth);
            rr_status status = state_batch_commit(batch, NULL);
            bool pending = mem_fail_pending();
            mem_fail_after(0);
            if (status == RR_OK) {
                CHECK(pending);
                break;
            }
            CHECK_STATUS(status, RR_NO_MEMORY);
            CHECK_EQ(state_applied(state).index, index - 1);
            refused++;
        }
        CHECK_EQ(state_applied(state).index, index);
        CHECK(state_failure(state) == NULL);
    }
    CHECK_GT(refused, 5);
    buffer_deinit(&large);
    state_batch_free(batch);
    state_close(state);
}

/* --- Crashes --- */

CHILD(writes_tables)
{
    struct state_options options = {.path = child->directory, .memtable_bytes = TABLE_BYTES};
    struct state *state;
    if (state_open(&options, NULL, &state) != RR_OK) {
        return;
    }
    raft_index index = state_applied(state).index;
    rr_status status = RR_OK;
    for (int i = 0; i < 3 && status == RR_OK; i++) {
        commit_counters(state, index + 1, index + 7, 200);
        index += 7;
        status = state_flush(state, true, NULL);
    }
    if (status == RR_OK && !file_fault_pending()) {
        _exit(5); /* it went on over a fault */
    }
    state_close(state);
}

/* The file that a crash leaves may be a second name of one that the database has: writing over it
 * would destroy that one. */
TEST(state_layers, are_some_commit_after_a_crash_at_any_step_of_writing_tables)
{
    const char *directory = test_directory();
    state_close(open_small(directory));
    raft_index last = 0;
    for (int fault = FILE_FAULT_ERROR; fault <= FILE_FAULT_EXIT; fault++) {
        for (uint64_t nth = 1;; nth++) {
            bool met = child_meets_fault("writes_tables", directory, nth, fault);
            struct state *state = open_small(directory);
            raft_index applied = check_counters(state);
            CHECK_GE(applied, last);
            CHECK_EQ(applied % 7, 0); /* whole tables */
            CHECK(met || applied == last + 21);
            last = applied;
            CHECK_EQ(digest_of(state) == 0, applied == 0);
            state_close(state);
            if (!met) {
                CHECK_GT(nth, 8);
                break;
            }
        }
    }
}

TEST(state_layers, leave_a_second_name_of_a_table_alone)
{
    const char *directory = test_directory();
    struct state *state = open_small(directory);
    commit_counters(state, 1, 10, 500);
    CHECK_OK(state_flush(state, true, NULL));
    uint64_t digest = digest_of(state);
    state_close(state);
    /* As after a crash between the two steps of moving the file. */
    char command[1024];
    snprintf(command, sizeof(command), "cd '%s/state-1' && ln $(ls *.sst | head -1) table.tmp",
             directory);
    CHECK_EQ(system(command), 0);
    state = open_small(directory);
    commit_put(state, 11, "key-001", NULL);
    CHECK_OK(state_flush(state, true, NULL));
    commit_put(state, 12, "key-001", NULL);
    state_close(state);
    state = open_small(directory);
    CHECK_EQ(state_applied(state).index, 12);
    CHECK_NE(digest_of(state), digest);
    CHECK_TEXT(text_of(state, "key-001"), NULL);
    CHECK(text_of(state, "counter") != NULL);
    state_close(state);
}

static rr_status count_file(void *arg, const char *name, struct storage_error *error)
{
    (void)name;
    (void)error;
    ++*(uint32_t *)arg;
    return RR_OK;
}

TEST(state_layers, leave_no_more_files_the_more_often_they_are_opened)
{
    const char *directory = test_directory();
    uint32_t first = 0;
    uint32_t last = 0;
    state_close(open_small(directory));
    state_close(open_small(directory));
    CHECK_OK(directory_list(path_in(directory, "state-1"), count_file, &first, NULL));
    for (int i = 0; i < 20; i++) {
        state_close(open_small(directory));
    }
    CHECK_OK(directory_list(path_in(directory, "state-1"), count_file, &last, NULL));
    CHECK_LE(last, first + 1);
}
