/*
 * A node whose one procedure hands its view to the test, and waits while that works on it: so checks
 * run on the test's thread.
 */
#include "stage.h"

#include "coredb/base/bytes.h"
#include "coredb/command/blocking.h"
#include "coredb/command/execute.h"
#include "store_check.h"
#include "support/log_kind.h"
#include "support/test.h"

#include <pthread.h>
#include <stdio.h>

enum { ANSWERS_MAX = 200000, ARGUMENTS_MAX = 256, TEXTS_MAX = 200000 };

struct answer {
    struct waiter_id id;
    char *text;
};

/* Whose turn it is. */
enum turn { TURN_NODE, TURN_TEST, TURN_NODE_AGAIN };

struct stage {
    rr_node *node;
    uint64_t now_ms;
    struct waiter_id client;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum turn turn;
    bool done;         /* the call has ended */
    rr_view *view;     /* the test's during its turn */
    rr_status outcome; /* of the test's turn, then of the call */
    struct answer *answers;
    size_t answer_count;
    char **texts; /* to be freed */
    size_t text_count;
};

static char *remember(struct stage *stage, char *text)
{
    CHECK(stage->text_count < TEXTS_MAX);
    stage->texts[stage->text_count++] = text;
    return text;
}

/* RESP with spaces for the ends of lines. */
static char *readable(struct stage *stage, rr_bytes resp)
{
    char *text = malloc(resp.size + 1);
    CHECK(text != NULL);
    size_t size = 0;
    for (size_t i = 0; i < resp.size; i++) {
        char c = ((const char *)resp.data)[i];
        if (c != '\r') {
            text[size++] = (char)(c == '\n' ? ' ' : c);
        }
    }
    text[size] = '\0';
    return remember(stage, text);
}

static void take_events(struct stage *stage, const struct events *events)
{
    size_t offset = 0;
    struct event event;
    while (events_next(events, &offset, &event)) {
        if (event.kind == EVENT_SERVED) {
            CHECK(stage->answer_count < ANSWERS_MAX);
            stage->answers[stage->answer_count++] =
                (struct answer){event.waiter, readable(stage, event.key)};
        }
    }
}

/* Node's thread. */
static rr_status procedure(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    struct stage *stage = arg;
    (void)input;
    (void)output;
    pthread_mutex_lock(&stage->mutex);
    stage->view = view;
    stage->turn = TURN_TEST;
    pthread_cond_broadcast(&stage->changed);
    while (stage->turn != TURN_NODE_AGAIN) {
        pthread_cond_wait(&stage->changed, &stage->mutex);
    }
    rr_status outcome = stage->outcome;
    pthread_mutex_unlock(&stage->mutex);
    return outcome;
}

/* Node's thread. */
static void call_done(void *arg, rr_status status, const rr_result *result)
{
    struct stage *stage = arg;
    (void)result;
    pthread_mutex_lock(&stage->mutex);
    stage->done = true;
    stage->outcome = status;
    pthread_cond_broadcast(&stage->changed);
    pthread_mutex_unlock(&stage->mutex);
}

static rr_status work_on_view(struct stage *stage, bool keep, stage_fn fn, void *arg)
{
    struct store store;
    struct store_savepoint savepoint;
    store_init(&store, stage->view, /*is_query=*/false, 0);
    store.now_ms = stage->now_ms;
    store.clock_ms = stage->now_ms;
    store_save(&store, &savepoint);
    fn(&store, arg);
    if (!keep) {
        store_rollback(&store, &savepoint);
    }
    store_finish(&store);
    rr_status status = store.failure;
    if (status == RR_OK) {
        take_events(stage, &store.events);
    }
    store_deinit(&store);
    return status == RR_OK ? RR_OK : RR_REJECTED;
}

void stage_run(struct stage *stage, bool keep, stage_fn fn, void *arg)
{
    stage->done = false;
    stage->turn = TURN_NODE;
    CHECK_OK(rr_node_call(stage->node, "stage", bytes_of("go"), NULL, call_done, stage));
    pthread_mutex_lock(&stage->mutex);
    while (stage->turn != TURN_TEST && !stage->done) {
        pthread_cond_wait(&stage->changed, &stage->mutex);
    }
    bool called = stage->turn == TURN_TEST;
    pthread_mutex_unlock(&stage->mutex);
    if (called) {
        rr_status outcome = work_on_view(stage, keep, fn, arg);
        pthread_mutex_lock(&stage->mutex);
        stage->outcome = outcome;
        stage->turn = TURN_NODE_AGAIN;
        pthread_cond_broadcast(&stage->changed);
        while (!stage->done) {
            pthread_cond_wait(&stage->changed, &stage->mutex);
        }
        pthread_mutex_unlock(&stage->mutex);
    }
    CHECK_OK(stage->outcome);
}

static void check_store(struct store *store, void *arg)
{
    char problem[256] = "";
    (void)arg;
    if (!store_check(store, problem, sizeof(problem))) {
        FAIL("%s", problem);
    }
}

void stage_check(struct stage *stage)
{
    stage_run(stage, /*keep=*/true, check_store, NULL);
}

rr_node *stage_open_node(const rr_procedure *procedure)
{
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)test_port());
    rr_options options;
    rr_options_init(&options);
    test_set_log_kind(&options);
    options.node_id = 1;
    options.data_path = test_directory();
    options.raft_address = address;
    options.heartbeat_interval_ms = 10;
    options.election_timeout_min_ms = 30;
    options.election_timeout_max_ms = 60;
    options.timeout_ms = 60000;
    options.procedures = procedure;
    options.procedure_count = 1;
    char error[256] = "";
    rr_node *node = NULL;
    rr_status status = rr_node_open(&options, error, sizeof(error), &node);
    if (status != RR_OK) {
        FAIL("%s: %s", rr_status_name(status), error);
    }
    CHECK_OK(rr_node_await_member(node, 10000, NULL, 0));
    return node;
}

struct stage *stage_new(void)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    CHECK(stage != NULL);
    stage->answers = calloc(ANSWERS_MAX, sizeof(struct answer));
    stage->texts = calloc(TEXTS_MAX, sizeof(char *));
    CHECK(stage->answers != NULL && stage->texts != NULL);
    pthread_mutex_init(&stage->mutex, NULL);
    pthread_cond_init(&stage->changed, NULL);
    stage->now_ms = 1000000;
    stage->client = (struct waiter_id){1, 1, 0};
    command_table_init();
    rr_procedure own = {"stage", 1, procedure, stage};
    stage->node = stage_open_node(&own);
    return stage;
}

void stage_free(struct stage *stage)
{
    rr_node_close(stage->node);
    pthread_cond_destroy(&stage->changed);
    pthread_mutex_destroy(&stage->mutex);
    for (size_t i = 0; i < stage->text_count; i++) {
        free(stage->texts[i]);
    }
    free(stage->texts);
    free(stage->answers);
    free(stage);
}

void stage_set_time(struct stage *stage, uint64_t now_ms)
{
    stage->now_ms = now_ms;
}

void stage_set_node(struct stage *stage, uint64_t node, uint64_t boot)
{
    stage->client.node = node;
    stage->client.boot = boot;
}

uint64_t stage_number(const struct stage *stage)
{
    return stage->client.number;
}

/* ---- Commands ---- */

struct run_lines {
    struct stage *stage;
    const char *lines;
    bool may_block;
    bool waits;
    struct reply reply;
};

static void run_line(struct run_lines *run, struct store *store, const char *line, size_t size)
{
    rr_bytes argv[ARGUMENTS_MAX];
    size_t argc = 0;
    for (size_t start = 0; start <= size; argc++) {
        const char *space = memchr(line + start, ' ', size - start);
        size_t end = space == NULL ? size : (size_t)(space - line);
        CHECK(argc < ARGUMENTS_MAX);
        argv[argc] = (rr_bytes){line + start, end - start};
        start = end + 1;
    }
    struct exec exec = {
        .store = store,
        .argv = argv,
        .argc = argc,
        .reply = &run->reply,
        .may_block = run->may_block,
        .waiter = &run->stage->client,
    };
    execute_command(&exec);
    run->waits = exec.blocked;
}

static void run_lines(struct store *store, void *arg)
{
    struct run_lines *run = arg;
    const char *line = run->lines;
    for (;;) {
        const char *end = strchr(line, '\n');
        run_line(run, store, line, end == NULL ? strlen(line) : (size_t)(end - line));
        if (end == NULL || end[1] == '\0') {
            break;
        }
        line = end + 1;
    }
    waiters_serve(store);
}

static const char *run_text(struct stage *stage, const char *lines, bool may_block)
{
    struct run_lines run = {.stage = stage, .lines = lines, .may_block = may_block};
    reply_init(&run.reply, 2);
    stage_run(stage, /*keep=*/true, run_lines, &run);
    const char *text = run.waits ? "waits" : readable(stage, buffer_bytes(&run.reply.out));
    reply_deinit(&run.reply);
    return text;
}

const char *stage_command(struct stage *stage, const char *line)
{
    stage->client.number++;
    return run_text(stage, line, /*may_block=*/true);
}

const char *stage_exec(struct stage *stage, const char *lines)
{
    return run_text(stage, lines, /*may_block=*/false);
}

const char *stage_answer(const struct stage *stage, uint64_t number)
{
    const char *found = NULL;
    for (size_t i = 0; i < stage->answer_count; i++) {
        if (stage->answers[i].id.number == number) {
            CHECK(found == NULL);
            found = stage->answers[i].text;
        }
    }
    return found;
}

const char *stage_order(struct stage *stage)
{
    char *text = malloc(stage->answer_count * 21 + 1);
    CHECK(text != NULL);
    size_t size = 0;
    text[0] = '\0';
    for (size_t i = 0; i < stage->answer_count; i++) {
        size +=
            (size_t)sprintf(text + size, "%llu ", (unsigned long long)stage->answers[i].id.number);
    }
    return remember(stage, text);
}
