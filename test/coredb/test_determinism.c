/*
 * Two replicas agree byte by byte on what is stored and on each reply, whatever happens to one of
 * them. The first leads and applies batches made up from a seed, under a clock that jumps. The
 * second, a learner in a process of its own, has other settings of caches and snapshots, another
 * locale, time zone and wall clock, answers queries meanwhile, is killed and restarted, and is
 * given snapshots instead of entries.
 *
 * ctest: timeout=180
 */
#include "command_maker.h"
#include "coredb/base/bytes.h"
#include "coredb/command/batch.h"
#include "coredb/command/command.h"
#include "coredb/command/execute.h"
#include "dice.h"
#include "store_check.h"
#include "support/log_kind.h"
#include "support/test.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>

enum {
    LEADER = 0,
    LEARNER = 1,
    INDEXES_MAX = 1 << 16,
    LIVES = 6,         /* of the learner */
    BATCHES = 200,     /* while it lives, and half as many while it is dead */
    COMMANDS_MAX = 12, /* of a batch */
    MAKER_BYTES = 400, /* for one command */
    WAIT_MS = 60000,
};

/* What both processes see: per replica and log index, a digest of what its procedure answered. */
struct answers {
    _Atomic uint64_t digests[2][INDEXES_MAX];
    _Atomic uint64_t differing; /* an index that one replica applied twice, differently */
    uint64_t digest;            /* of the learner's whole state, and the index it was taken at */
    uint64_t digest_index;
};

static struct answers *answers;
static int replica = LEADER;
static int64_t clock_offset_ms;
static _Thread_local uint64_t *recording; /* the digest of the answer being given */

/* ---- In place of the library's and the system's functions ---- */

static void digest_add(uint64_t *digest, rr_bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        *digest = (*digest ^ ((const uint8_t *)bytes.data)[i]) * UINT64_C(0x100000001b3);
    }
}

/* Takes down what is answered at apply. */
rr_status rr_output_append(rr_output *output, rr_bytes bytes)
{
    static rr_status (*append)(rr_output *, rr_bytes);
    if (append == NULL) {
        *(void **)&append = dlsym(RTLD_NEXT, "rr_output_append");
    }
    if (recording != NULL) {
        digest_add(recording, bytes);
    }
    return append(output, bytes);
}

/* The wall clock of this process, the library's too. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *out)
{
    int result = (int)syscall(SYS_clock_gettime, clock, out);
    if (result == 0 && clock == CLOCK_REALTIME) {
        int64_t offset_ms = __atomic_load_n(&clock_offset_ms, __ATOMIC_RELAXED);
        out->tv_sec += offset_ms / 1000;
    }
    return result;
}

/* ---- A node ---- */

static void on_events(void *arg, uint64_t index, const struct events *events)
{
    (void)arg;
    (void)index;
    digest_add(recording, buffer_bytes(&events->bytes));
}

/* Node's thread. */
static rr_status procedure(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    uint64_t index = rr_view_index(view);
    recording = &digest;
    rr_status status = execute_procedure(arg, view, input, output);
    recording = NULL;
    uint8_t byte = (uint8_t)status;
    digest_add(&digest, (rr_bytes){&byte, 1});
    if (index < INDEXES_MAX) {
        uint64_t before = atomic_exchange(&answers->digests[replica][index], digest);
        if (before != 0 && before != digest) {
            answers->differing = index;
        }
    }
    return status;
}

static struct execute execute = {.events = on_events};
static const rr_procedure procedures[] = {{"coredb", 1, procedure, &execute}};

static rr_node *open_node(const char *directory, const char *address, struct dice *dice)
{
    rr_options options;
    rr_node *node = NULL;
    char error[256] = "";
    rr_options_init(&options);
    test_set_log_kind(&options);
    options.node_id = (uint64_t)replica + 1;
    options.data_path = directory;
    options.raft_address = address;
    options.found = replica == LEADER;
    options.heartbeat_interval_ms = 10;
    options.election_timeout_min_ms = 300;
    options.election_timeout_max_ms = 600;
    options.timeout_ms = WAIT_MS;
    options.procedures = procedures;
    options.procedure_count = 1;
    options.snapshot_entries = 0;
    if (dice != NULL) {
        options.block_cache_bytes = (size_t)1 << (18 + dice_below(dice, 8));
        options.memtable_bytes = (size_t)1 << (18 + dice_below(dice, 8));
        options.snapshot_entries = (uint64_t)dice_below(dice, 3) * 40;
        options.snapshot_keep = (uint64_t)dice_below(dice, 40);
        options.lease_reads = dice_below(dice, 2) == 0;
        options.result_bytes_max = (size_t)1 << (24 + dice_below(dice, 3));
    }
    if (rr_node_open(&options, error, sizeof error, &node) != RR_OK) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
    return node;
}

/* ---- All that is stored ---- */

static bool print_pair(void *file, rr_bytes key, rr_bytes value)
{
    rr_bytes parts[2] = {key, value};
    for (size_t i = 0; i < 2; i++) {
        for (size_t at = 0; at < parts[i].size; at++) {
            uint8_t byte = ((const uint8_t *)parts[i].data)[at];
            fprintf(file, byte > ' ' && byte < 127 && byte != '%' ? "%c" : "%%%02x", byte);
        }
        fputc(i == 0 ? ' ' : '\n', file);
    }
    return true;
}

/* Prints all pairs, one a line, into the file of that name, after store_check. */
static rr_status print_store(void *path, rr_view *view, rr_bytes input, rr_output *output)
{
    (void)input;
    (void)output;
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return RR_IO;
    }
    rr_range everything = {0};
    rr_status status = rr_view_range(view, &everything, print_pair, file);
    fclose(file);
    char problem[256] = "";
    struct store store;
    store_init(&store, view, /*is_query=*/true, 0);
    if (status == RR_OK && !store_check(&store, problem, sizeof problem)) {
        status = store.failure != RR_OK ? store.failure : RR_CORRUPT;
        fprintf(stderr, "replica %d: %s\n", replica, problem);
    }
    store_deinit(&store);
    return status;
}

static rr_status query(rr_node *node, rr_query_fn fn, void *arg, rr_bytes input,
                       rr_read_level level, rr_result **result)
{
    rr_query query;
    rr_query_init(&query);
    query.fn = fn;
    query.fn_arg = arg;
    query.input = input;
    query.level = level;
    return rr_node_query_wait(node, &query, result);
}

static void store_path(char *out, size_t size, const char *directory, int number)
{
    snprintf(out, size, "%s/store-%d", directory, number);
}

/* ---- Making batches up ---- */

static const char *const scripts[] = {
    "return tostring({}) .. tostring(print) .. tostring(redis)",
    "local t = {} for i = 1, 50 do t[{}] = i t['k' .. i * i] = i end local r = {} "
    "for k, v in pairs(t) do r[#r + 1] = v end redis.call('del', 'l3') "
    "return redis.call('rpush', 'l3', unpack(r))",
    "redis.call('set', 's3', cjson.encode({b = 1, a = {c = 2.5, [1] = 3}, z = 1e100})) "
    "return cmsgpack.pack({x = 1, y = {2, 3}, zz = 'w'})",
    "return {math.random(1000000), math.random(), redis.call('time')[1]}",
    "local t = {} for i = 1, 200 do t[i] = (i * 7919) % 101 end table.sort(t, function(a, b) "
    "return a < b end) return table.concat(t, ',')",
    "return redis.call('incrbyfloat', 's1', 0.1)",
    "return {redis.call('smembers', 'e1'), redis.call('srandmember', 'e1', 3)}",
    "redis.call('set', 's2', tostring(3.14159265358979) .. string.format('%.3f %g', 1 / 3, 2 ^ "
    "70)) "
    "return redis.pcall('incr', 's2')",
};

static void add_script(struct buffer *batch, struct dice *dice)
{
    size_t number = (size_t)dice_below(dice, sizeof scripts / sizeof scripts[0]);
    rr_bytes argv[] = {bytes_of("eval"), bytes_of(scripts[number]), bytes_of("0")};
    batch_add_command(batch, (uint8_t)dice_below(dice, 2), argv, 3);
}

static void random_bytes(struct dice *dice, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)dice_next(dice);
    }
}

/* A command, for a transaction too. */
static void add_made(struct buffer *batch, struct dice *dice, bool in_exec)
{
    uint8_t bytes[MAKER_BYTES];
    struct made_command made;
    random_bytes(dice, bytes, sizeof bytes);
    maker_command(&(struct maker){bytes, sizeof bytes}, &made);
    uint8_t db = (uint8_t)(dice_below(dice, 8) == 0);
    if (in_exec) {
        batch_add_exec_command(batch, db, made.argv, made.argc);
    } else {
        batch_add_command(batch, db, made.argv, made.argc);
    }
}

static void add_filling(struct buffer *batch, struct dice *dice)
{
    uint8_t bytes[3];
    struct filling filling;
    struct made_command made;
    random_bytes(dice, bytes, sizeof bytes);
    maker_filling(&(struct maker){bytes, sizeof bytes}, &filling);
    while (filling_next(&filling, &made)) {
        batch_add_command(batch, 0, made.argv, made.argc);
    }
}

static void add_exec(struct buffer *batch, struct dice *dice, rr_node *node)
{
    static const char *const watched[] = {"s1", "l1", "h1", "e1", "z1", "t1", "none"};
    rr_bytes key = bytes_of(watched[dice_below(dice, sizeof watched / sizeof watched[0])]);
    struct batch_watch watch = {.db = 0, .key = key};
    size_t count = (size_t)dice_below(dice, 5);
    rr_result *result = NULL;
    rr_bytes output;
    struct buffer question;
    buffer_init(&question);
    batch_watch_query(&question, 0, key);
    CHECK_OK(query(node, execute_query, NULL, buffer_bytes(&question), RR_READ_LOCAL, &result));
    CHECK(rr_result_value(result, 0, &output));
    struct reader reader = reader_of(output);
    watch.modified = reader_u64(&reader) + (uint64_t)(dice_below(dice, 4) == 0);
    rr_result_free(result);
    buffer_deinit(&question);
    batch_add_exec(batch, &watch, (size_t)dice_below(dice, 2), count);
    for (size_t i = 0; i < count; i++) {
        add_made(batch, dice, /*in_exec=*/true);
    }
}

static void make_commands(struct buffer *batch, struct dice *dice, rr_node *node,
                          struct waiter_id *client)
{
    client->node = 1 + (uint64_t)dice_below(dice, 3);
    batch_begin_commands(batch, 2 + dice_below(dice, 2), client, dice_next(dice));
    for (int left = 1 + dice_below(dice, COMMANDS_MAX); left > 0; left--) {
        int kind = dice_below(dice, 40);
        if (kind == 0) {
            add_filling(batch, dice);
        } else if (kind < 4) {
            add_script(batch, dice);
        } else if (kind < 8 && node != NULL) {
            add_exec(batch, dice, node);
        } else {
            add_made(batch, dice, /*in_exec=*/false);
        }
    }
    client->number += COMMANDS_MAX;
}

static void make_batch(struct buffer *batch, struct dice *dice, rr_node *node,
                       struct waiter_id *client)
{
    buffer_clear(batch);
    int kind = dice_below(dice, 20);
    if (kind < 15) {
        make_commands(batch, dice, node, client);
    } else if (kind == 15) {
        batch_expire(batch, (uint32_t)dice_below(dice, 10));
    } else if (kind == 16) {
        batch_collect(batch, (uint32_t)dice_below(dice, 300));
    } else if (kind == 17) {
        struct waiter_id id = *client;
        id.number -= (uint64_t)dice_below(dice, 40);
        batch_cancel(batch, &id, 1);
    } else if (kind == 18) {
        batch_renew(batch, client->node, client->boot += (uint64_t)(dice_below(dice, 8) == 0));
    } else {
        make_commands(batch, dice, node, client);
        for (int damages = 1 + dice_below(dice, 3); damages > 0; damages--) {
            batch->data[dice_below(dice, (int)batch->size)] ^= (uint8_t)(1 << dice_below(dice, 8));
        }
    }
}

/* ---- The learner's process ---- */

struct learner {
    pid_t pid;
    int commands; /* to it: 'o' open, 's' print the store, 'c' close, 'k' die */
    int answers;  /* from it: one byte for each but 'k' */
    char directory[256];
    char address[32];
};

static void learner_print(rr_node *node, const struct learner *learner)
{
    char path[300];
    store_path(path, sizeof path, learner->directory, LEARNER);
    if (query(node, print_store, path, bytes_of(""), RR_READ_LINEARIZABLE, NULL) != RR_OK ||
        rr_node_digest_wait(node, &answers->digest_index, &answers->digest) != RR_OK) {
        abort();
    }
}

/* One life; queries while nobody wants anything. */
static void learner_live(const struct learner *learner, struct dice *dice)
{
    rr_node *node = open_node(learner->directory, learner->address, dice);
    struct pollfd readable = {learner->commands, POLLIN, 0};
    struct buffer batch;
    struct waiter_id client = {1, 1, 1};
    buffer_init(&batch);
    for (char command = 'o';;) {
        if (command != 0 && write(learner->answers, &command, 1) != 1) {
            _exit(1);
        }
        command = 0;
        if (poll(&readable, 1, 2) == 0) {
            buffer_clear(&batch);
            make_commands(&batch, dice, NULL, &client);
            (void)query(node, execute_query, NULL, buffer_bytes(&batch), RR_READ_LOCAL, NULL);
            continue;
        }
        if (read(learner->commands, &command, 1) != 1 || command == 'k') {
            _exit(0);
        }
        if (command == 's') {
            learner_print(node, learner);
        } else {
            rr_node_close(node);
            (void)!write(learner->answers, &command, 1);
            _exit(0);
        }
    }
}

static void set_surroundings(struct dice *dice)
{
    static const char *const zones[] = {"UTC", "Asia/Kathmandu", "America/St_Johns", "XXX-14"};
    static const char *const locales[] = {"C", "de_DE.UTF-8", "tr_TR", "POSIX"};
    static const int64_t offsets_s[] = {0, 3600, -86400, 1000000000};
    setenv("TZ", zones[dice_below(dice, 4)], 1);
    setenv("LC_ALL", locales[dice_below(dice, 4)], 1);
    clock_offset_ms = 1000 * offsets_s[dice_below(dice, 4)];
}

/* Gives a node life after life, each in a process that this one forks, which has no threads. */
static void learner_process(const struct learner *learner, struct dice *dice)
{
    char command;
    replica = LEARNER;
    while (read(learner->commands, &command, 1) == 1) {
        (void)dice_next(dice);
        pid_t pid = fork();
        if (pid == 0) {
            set_surroundings(dice);
            learner_live(learner, dice);
        }
        int status = 0;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
            _exit(1);
        }
    }
    _exit(0);
}

/* Begins it, before this process has threads. */
static struct learner learner_new(struct dice *dice)
{
    struct learner learner;
    int commands[2];
    int replies[2];
    snprintf(learner.directory, sizeof learner.directory, "%s", test_directory());
    snprintf(learner.address, sizeof learner.address, "127.0.0.1:%u", (unsigned)test_port());
    CHECK_EQ(pipe2(commands, O_CLOEXEC), 0);
    CHECK_EQ(pipe2(replies, O_CLOEXEC), 0);
    fflush(NULL);
    learner.pid = fork();
    CHECK_GE(learner.pid, 0);
    if (learner.pid == 0) {
        close(commands[1]);
        close(replies[0]);
        learner.commands = commands[0];
        learner.answers = replies[1];
        learner_process(&learner, dice);
    }
    close(commands[0]);
    close(replies[1]);
    learner.commands = commands[1];
    learner.answers = replies[0];
    return learner;
}

static void learner_send(const struct learner *learner, char command)
{
    CHECK_EQ(write(learner->commands, &command, 1), 1);
}

static void learner_await(const struct learner *learner, char command)
{
    char answer = 0;
    CHECK_EQ(read(learner->answers, &answer, 1), 1); /* fewer: it has died, and told why */
    CHECK_EQ(answer, command);
}

static void learner_do(const struct learner *learner, char command)
{
    learner_send(learner, command);
    learner_await(learner, command);
}

static void learner_free(const struct learner *learner)
{
    close(learner->commands);
    CHECK_EQ(test_wait(learner->pid), 0);
    close(learner->answers);
}

/* ---- The test ---- */

struct drive {
    rr_node *node;
    struct dice *dice;
    struct waiter_id client;
    uint64_t index; /* of the last entry */
    size_t rejected;
    size_t done;
};

static void run_batches(struct drive *drive, size_t count)
{
    struct buffer batch;
    buffer_init(&batch);
    for (size_t i = 0; i < count; i++) {
        rr_result *result = NULL;
        make_batch(&batch, drive->dice, drive->node, &drive->client);
        /* Mostly a little on; sometimes far ahead, or back. */
        int64_t step = dice_below(drive->dice, 12) == 0 ? dice_below(drive->dice, 40) - 18 : 0;
        __atomic_fetch_add(&clock_offset_ms, 1000 * step, __ATOMIC_RELAXED);
        rr_status status =
            rr_node_call_wait(drive->node, "coredb", buffer_bytes(&batch), NULL, &result);
        if (status != RR_OK) {
            CHECK_STATUS(status, RR_REJECTED);
            drive->rejected++;
        }
        drive->index = rr_result_index(result);
        drive->done++;
        rr_result_free(result);
    }
    CHECK_LT(drive->index, INDEXES_MAX);
    buffer_deinit(&batch);
}

static void compare_files(const char *left_path, const char *right_path)
{
    FILE *left = fopen(left_path, "r");
    FILE *right = fopen(right_path, "r");
    CHECK(left != NULL && right != NULL);
    char *lines[2] = {NULL, NULL};
    size_t sizes[2] = {0, 0};
    ssize_t read[2];
    size_t count = 0;
    do {
        read[0] = getline(&lines[0], &sizes[0], left);
        read[1] = getline(&lines[1], &sizes[1], right);
        if (read[0] != read[1] || (read[0] > 0 && memcmp(lines[0], lines[1], (size_t)read[0]))) {
            FAIL("the replicas differ:\n%.400s\n%.400s", read[0] > 0 ? lines[0] : "(end)",
                 read[1] > 0 ? lines[1] : "(end)");
        }
        count++;
    } while (read[0] > 0);
    CHECK_GT(count, 10);
    free(lines[0]);
    free(lines[1]);
    fclose(left);
    fclose(right);
}

/* Compares the replicas: all that is stored, and each answer that both gave. */
static size_t compare(struct drive *drive, const struct learner *learner)
{
    char paths[2][300];
    learner_do(learner, 's');
    for (int i = 0; i < 2; i++) {
        store_path(paths[i], sizeof paths[i], learner->directory, i);
    }
    CHECK_OK(query(drive->node, print_store, paths[0], bytes_of(""), RR_READ_LOCAL, NULL));
    compare_files(paths[0], paths[1]);
    uint64_t index;
    uint64_t digest;
    CHECK_OK(rr_node_digest_wait(drive->node, &index, &digest));
    CHECK_EQ(index, answers->digest_index);
    CHECK_EQ(digest, answers->digest);
    CHECK_EQ(answers->differing, 0);
    size_t compared = 0;
    for (size_t i = 0; i <= drive->index; i++) {
        uint64_t other = answers->digests[LEARNER][i];
        if (other != 0 && other != answers->digests[LEADER][i]) {
            FAIL("the replicas answered entry %zu differently", i);
        }
        compared += other != 0 ? 1U : 0U;
    }
    return compared;
}

/* The learner is dead. Entries that it will never see are in a snapshot then. */
static void run_unseen(struct drive *drive)
{
    uint64_t term;
    uint64_t index;
    run_batches(drive, BATCHES / 2);
    CHECK_OK(rr_node_snapshot_wait(drive->node, WAIT_MS, &term, &index));
    CHECK_OK(rr_node_purge_wait(drive->node, index, WAIT_MS));
}

TEST(determinism, replicas_agree_byte_by_byte_whatever_happens_to_one)
{
    char error[256] = "";
    struct dice dice = {test_seed(20261123)};
    struct drive drive = {.dice = &dice, .client = {1, 1, 1000}};
    answers =
        mmap(NULL, sizeof *answers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(answers != MAP_FAILED);
    maker_init();
    struct dice learner_dice = {dice_next(&dice)};
    struct learner learner = learner_new(&learner_dice);
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)test_port());
    drive.node = open_node(test_directory(), address, NULL);
    CHECK_OK(rr_node_await_member(drive.node, WAIT_MS, NULL, 0));
    learner_do(&learner, 'o');
    if (rr_node_add_wait(drive.node, 2, learner.address, RR_LEARNER, WAIT_MS, error,
                         sizeof error) != RR_OK) {
        FAIL("%s", error);
    }
    size_t compared = 0;
    size_t unseen = 0;
    for (int life = 0; life < LIVES; life++) {
        run_batches(&drive, BATCHES / 2);
        compared = compare(&drive, &learner);
        if (life % 2 == 0) {
            learner_send(&learner, 'k'); /* while entries come */
            run_batches(&drive, BATCHES / 2);
        } else {
            learner_do(&learner, 'c');
        }
        if (life % 3 != 2) {
            uint64_t before = drive.index;
            run_unseen(&drive);
            learner_do(&learner, 'o');
            compared = compare(&drive, &learner);
            for (uint64_t i = before + 1; i < drive.index; i++) {
                unseen += answers->digests[LEARNER][i] == 0 ? 1U : 0U;
            }
        } else {
            learner_do(&learner, 'o');
        }
    }
    run_batches(&drive, BATCHES / 2);
    compared = compare(&drive, &learner);
    printf("%zu batches, %zu refused; the other applied %zu of them\n", drive.done, drive.rejected,
           compared);
    CHECK_GT(compared, LIVES * BATCHES / 2);
    CHECK_GT(unseen, BATCHES); /* came by snapshots */
    CHECK_LT(drive.rejected, drive.done / 4);
    learner_send(&learner, 'k');
    learner_free(&learner);
    rr_node_close(drive.node);
    munmap(answers, sizeof *answers);
}
