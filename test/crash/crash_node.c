/*
 * The program that the crash campaign kills: all nodes of a small cluster in one process, which checks
 * what its disks hold against what it was told before, and then writes until it dies.
 *
 *     crash-node ROOT REPORT SEED NODES ABSENT LOG SEGMENT_BYTES WRITES_MAX PORT...
 *
 * The data of node n is in ROOT/node<n>. Node ABSENT (0: none) is not opened this time. REPORT is
 * mapped and outlives the process: what was acknowledged, and what the state was found to be.
 *
 * Each write is a call of one procedure. It counts the calls and chains their ids into a digest, keeps
 * that as a history of the last calls, and writes or deletes one of a few slots. So what the state must
 * be follows from the ids in it, and every acknowledgement names its place in the history.
 */
#include <rockraft/rockraft.h>

#include <fcntl.h>
#include <inttypes.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    NODES_MAX = 3,
    SLOTS = 64,
    HISTORY = 4096, /* calls that the state remembers; more than a run makes */
    ACKS = 8192,
    TERMS = 65536,
    VALUE_BYTES_MAX = 24000,
    PATIENCE_MS = 60 * 1000,
    FAILED = 3, /* exit code: something is wrong */
};

/* One call of the procedure, as the state has it and as it is acknowledged. */
struct call {
    uint64_t number; /* from 1 */
    uint64_t id;
    uint64_t digest; /* of all ids up to this one */
};

/* What the state was when it was checked. */
struct model {
    struct call last;
    uint64_t slots[SLOTS]; /* the id of the write there; 0: deleted, or never written */
};

struct report {
    uint64_t next_id;
    struct call acknowledged[ACKS]; /* by number */
    uint64_t acknowledged_last;
    struct model models[2];
    uint64_t model;                 /* which of them counts */
    uint64_t leader_of[TERMS];      /* by term: the term << 8 and the node that led in it */
    uint64_t term_least[NODES_MAX]; /* it has voted for itself in it */
    uint64_t opened;                /* nodes, recovered */
    uint64_t checked;               /* states */
    uint64_t acknowledgements;
    uint64_t upkeep; /* snapshots made and logs purged on request */
    char failure[1024];
};

struct cluster {
    struct report *report;
    const char *root;
    unsigned node_count;
    unsigned absent;
    rr_log_kind log_kind;
    bool sync_thread;
    uint64_t segment_bytes;
    uint64_t writes_max;
    uint64_t random;
    char paths[NODES_MAX][4096];
    char addresses[NODES_MAX][64];
    rr_node *nodes[NODES_MAX];
    sem_t window;
};

static struct report *report;

__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(report->failure, sizeof(report->failure), format, list);
    va_end(list);
    fprintf(stderr, "crash-node: %s\n", report->failure);
    _exit(FAILED);
}

static uint64_t mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15ULL;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ x >> 27) * 0x94D049BB133111EBULL;
    return x ^ x >> 31;
}

static uint64_t draw(struct cluster *cluster, uint64_t limit)
{
    cluster->random = mix(cluster->random);
    return cluster->random % limit;
}

/* --- The procedure --- */

static rr_bytes bytes_of(const void *data, size_t size)
{
    return (rr_bytes){data, size};
}

struct key {
    char text[32];
};

static rr_bytes make_key(struct key *key, char kind, uint64_t number)
{
    int size = snprintf(key->text, sizeof(key->text), "%c%08" PRIx64, kind, number);
    return bytes_of(key->text, (size_t)size);
}

static uint64_t slot_of(uint64_t id)
{
    return mix(id) % SLOTS;
}

static bool deletes(uint64_t id)
{
    return mix(id ^ 1) % 8 == 0;
}

/* What a write puts into its slot: the id, and bytes that follow from it. */
static size_t make_value(uint64_t id, uint8_t out[VALUE_BYTES_MAX])
{
    uint64_t choice = mix(id ^ 2) % 100;
    uint64_t limit = choice == 0 ? VALUE_BYTES_MAX : choice < 10 ? 4000 : 200;
    size_t size = 8 + mix(id ^ 3) % (limit - 8);
    memset(out, (int)(mix(id) & 0xFF), size);
    for (size_t at = 0; at + 8 <= size; at += 64) {
        uint64_t word = id + at;
        memcpy(out + at, &word, 8);
    }
    return size;
}

static rr_status read_call(rr_view *view, rr_bytes key, struct call *out)
{
    rr_bytes value;
    rr_status status = rr_view_get(view, key, &value);
    if (status == RR_NOT_FOUND) {
        *out = (struct call){0};
        return RR_OK;
    }
    if (status == RR_OK && value.size != sizeof(*out)) {
        fail("a record of the history has %zu bytes", value.size);
    }
    if (status == RR_OK) {
        memcpy(out, value.data, sizeof(*out));
    }
    return status;
}

/* Input: the id. Output: the struct call. */
static rr_status note(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    struct key key;
    struct call call;
    uint64_t id;
    memcpy(&id, input.data, sizeof(id));
    rr_status status = read_call(view, make_key(&key, 'c', 0), &call);
    if (status != RR_OK) {
        return status;
    }
    call.number++;
    call.id = id;
    call.digest = mix(call.digest ^ id);
    status = rr_view_put(view, make_key(&key, 'c', 0), bytes_of(&call, sizeof(call)));
    if (status == RR_OK) {
        rr_bytes history = make_key(&key, 'h', call.number % HISTORY);
        status = rr_view_put(view, history, bytes_of(&call, sizeof(call)));
    }
    rr_bytes slot = make_key(&key, 'k', slot_of(id));
    if (status == RR_OK && deletes(id)) {
        status = rr_view_delete(view, slot);
    } else if (status == RR_OK) {
        uint8_t value[VALUE_BYTES_MAX];
        size_t size = make_value(id, value);
        status = rr_view_put(view, slot, bytes_of(value, size));
    }
    return status == RR_OK ? rr_output_append(output, bytes_of(&call, sizeof(call))) : status;
}

/* --- Checking --- */

static void check_acknowledged(const struct call *call)
{
    const struct call *told = &report->acknowledged[call->number % ACKS];
    if (told->number == call->number && (told->id != call->id || told->digest != call->digest)) {
        fail("call %" PRIu64 " was acknowledged as id %" PRIu64 ", and is id %" PRIu64 " now",
             call->number, told->id, call->id);
    }
}

/* Follows the history from the model to the last call, and brings the model there. */
static rr_status follow_history(rr_view *view, struct model *model)
{
    struct key key;
    struct call last;
    rr_status status = read_call(view, make_key(&key, 'c', 0), &last);
    if (status != RR_OK) {
        return status;
    }
    if (last.number < report->acknowledged_last || last.number < model->last.number) {
        fail("call %" PRIu64 " was acknowledged and %" PRIu64 " was seen, and only %" PRIu64
             " are there",
             report->acknowledged_last, model->last.number, last.number);
    }
    if (last.number - model->last.number >= HISTORY) {
        fail("the history is too short for the calls since the last check");
    }
    for (uint64_t number = model->last.number + 1; number <= last.number; number++) {
        struct call call;
        status = read_call(view, make_key(&key, 'h', number % HISTORY), &call);
        if (status != RR_OK) {
            return status;
        }
        if (call.number != number || call.digest != mix(model->last.digest ^ call.id)) {
            fail("the history breaks at call %" PRIu64, number);
        }
        check_acknowledged(&call);
        model->last = call;
        model->slots[slot_of(call.id)] = deletes(call.id) ? 0 : call.id;
    }
    if (memcmp(&last, &model->last, sizeof(last)) != 0) {
        fail("the last call is not the end of the history");
    }
    return RR_OK;
}

static rr_status check_slots(rr_view *view, const struct model *model)
{
    for (uint64_t slot = 0; slot < SLOTS; slot++) {
        struct key key;
        rr_bytes value;
        uint8_t expected[VALUE_BYTES_MAX];
        uint64_t id = model->slots[slot];
        rr_status status = rr_view_get(view, make_key(&key, 'k', slot), &value);
        if (status != RR_OK && status != RR_NOT_FOUND) {
            return status;
        }
        size_t size = id == 0 ? 0 : make_value(id, expected);
        bool right = id == 0 ? status == RR_NOT_FOUND
                             : status == RR_OK && value.size == size &&
                                   memcmp(value.data, expected, size) == 0;
        if (!right) {
            fail("slot %" PRIu64 " is not what id %" PRIu64 " has written", slot, id);
        }
    }
    return RR_OK;
}

/* A query; `arg` is a model, which is brought from the report's to the state's. */
static rr_status check_state(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    struct model *model = arg;
    *model = report->models[report->model];
    rr_status status = follow_history(view, model);
    return status == RR_OK ? check_slots(view, model) : status;
}

static void check_node(struct cluster *cluster, unsigned number, struct model *out)
{
    rr_query query;
    rr_query_init(&query);
    query.fn = check_state;
    query.fn_arg = out;
    query.timeout_ms = PATIENCE_MS;
    rr_status status = rr_node_query_wait(cluster->nodes[number], &query, NULL);
    if (status != RR_OK) {
        fail("node %u does not answer: %s", number + 1, rr_status_name(status));
    }
    report->checked++;
}

/* All that is applied is the same where it has the same index. */
static void compare_digests(struct cluster *cluster)
{
    uint64_t index = 0;
    uint64_t digest = 0;
    for (unsigned i = 0; i < cluster->node_count; i++) {
        uint64_t other_index;
        uint64_t other_digest;
        if (cluster->nodes[i] == NULL) {
            continue;
        }
        rr_status status = rr_node_digest_wait(cluster->nodes[i], &other_index, &other_digest);
        if (status != RR_OK) {
            fail("no digest of node %u: %s", i + 1, rr_status_name(status));
        }
        if (other_index == index && other_digest != digest) {
            fail("the states differ at index %" PRIu64, index);
        }
        index = other_index;
        digest = other_digest;
    }
}

static void check_all(struct cluster *cluster)
{
    struct model *next = &report->models[1 - report->model];
    struct model model = {0};
    for (unsigned i = 0; i < cluster->node_count; i++) {
        if (cluster->nodes[i] != NULL) {
            check_node(cluster, i, &model);
        }
    }
    compare_digests(cluster);
    *next = model;
    __atomic_store_n(&report->model, 1 - report->model, __ATOMIC_RELEASE);
}

/* Votes that were given are not given again: no two lead in a term, and no term comes back. */
static void check_roles(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->node_count; i++) {
        rr_node_info info = {.struct_size = sizeof(info)};
        if (cluster->nodes[i] == NULL) {
            continue;
        }
        rr_node_get_info(cluster->nodes[i], &info);
        if (info.term < report->term_least[i]) {
            fail("node %u led in term %" PRIu64 " and is in term %" PRIu64 " now", i + 1,
                 report->term_least[i], info.term);
        }
        if (info.role != RR_LEADER) {
            continue;
        }
        uint64_t *leader = &report->leader_of[info.term % TERMS];
        if (*leader >> 8 == info.term && (*leader & 0xFF) != i + 1) {
            fail("nodes %u and %u led in term %" PRIu64, (unsigned)(*leader & 0xFF), i + 1,
                 info.term);
        }
        *leader = info.term << 8 | (i + 1);
        report->term_least[i] = info.term;
    }
}

/* --- Nodes --- */

static void log_line(void *arg, rr_log_level level, const char *target, const char *text)
{
    fprintf(stderr, "node%u %d %s: %s\n", *(unsigned *)arg, (int)level, target, text);
}

static void on_halt(void *arg, rr_status status, const char *reason)
{
    fail("node %u halted: %s: %s", *(unsigned *)arg, rr_status_name(status), reason);
}

static void open_node(struct cluster *cluster, unsigned i)
{
    static unsigned numbers[NODES_MAX] = {1, 2, 3};
    static const rr_procedure procedure = {.name = "note", .version = 1, .fn = note};
    const char *join[] = {cluster->addresses[0]};
    char error[512] = "";
    rr_options options;
    rr_options_init(&options);
    options.node_id = i + 1;
    options.data_path = cluster->paths[i];
    options.raft_address = cluster->addresses[i];
    options.join = join;
    options.join_count = i > 0;
    options.heartbeat_interval_ms = 10;
    options.election_timeout_min_ms = 30;
    options.election_timeout_max_ms = 90;
    options.timeout_ms = PATIENCE_MS;
    options.snapshot_entries = 150;
    options.snapshot_keep = 40;
    options.block_cache_bytes = 1 << 20;
    options.memtable_bytes = 64 << 10;
    options.max_open_files = 100;
    options.disk_low_bytes = 0;
    options.log_kind = cluster->log_kind;
    options.log_migrate = true;
    options.log_segment_bytes = cluster->segment_bytes;
    options.log_sync_thread = cluster->sync_thread;
    options.repair = RR_REPAIR_NEVER; /* nothing is to be repaired through others */
    options.procedures = &procedure;
    options.procedure_count = 1;
    options.log = log_line;
    options.log_arg = &numbers[i];
    options.log_level = RR_LOG_WARN;
    rr_status status = rr_node_open(&options, error, sizeof(error), &cluster->nodes[i]);
    if (status != RR_OK) {
        fail("node %u cannot be opened: %s: %s", i + 1, rr_status_name(status), error);
    }
    rr_node_on_halt(cluster->nodes[i], on_halt, &numbers[i]);
    report->opened++;
}

static void await_members(struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->node_count; i++) {
        char error[512] = "";
        if (cluster->nodes[i] == NULL) {
            continue;
        }
        rr_status status =
            rr_node_await_member(cluster->nodes[i], PATIENCE_MS, error, sizeof(error));
        if (status != RR_OK) {
            fail("node %u is no member: %s: %s", i + 1, rr_status_name(status), error);
        }
    }
}

/* --- Load --- */

struct write {
    struct cluster *cluster;
    uint64_t id;
};

static void acknowledge(const struct write *write, const rr_result *result)
{
    struct call call;
    rr_bytes value;
    if (!rr_result_value(result, 0, &value) || value.size != sizeof(call)) {
        fail("a call was answered without its number");
    }
    memcpy(&call, value.data, sizeof(call));
    if (call.id != write->id) {
        fail("the call of id %" PRIu64 " was answered with id %" PRIu64, write->id, call.id);
    }
    struct call *told = &report->acknowledged[call.number % ACKS];
    __atomic_store_n(&told->number, 0, __ATOMIC_RELEASE);
    told->id = call.id;
    told->digest = call.digest;
    __atomic_store_n(&told->number, call.number, __ATOMIC_RELEASE);
    uint64_t last = __atomic_load_n(&report->acknowledged_last, __ATOMIC_ACQUIRE);
    while (last < call.number &&
           !__atomic_compare_exchange_n(&report->acknowledged_last, &last, call.number, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    }
    __atomic_fetch_add(&report->acknowledgements, 1, __ATOMIC_RELAXED);
}

static void on_written(void *arg, rr_status status, const rr_result *result)
{
    struct write *write = arg;
    if (status == RR_OK) {
        acknowledge(write, result);
    } else if (status == RR_CORRUPT || status == RR_IO || status == RR_REJECTED) {
        fail("a write ended with %s: %s", rr_status_name(status), rr_result_message(result));
    }
    sem_post(&write->cluster->window);
    free(write);
}

static void on_upkeep(void *arg, rr_status status, const rr_result *result)
{
    report->upkeep += status == RR_OK;
}

static void nap_ms(long milliseconds)
{
    struct timespec time = {.tv_nsec = milliseconds * 1000000};
    nanosleep(&time, NULL);
}

static rr_node *any_node(struct cluster *cluster)
{
    for (;;) {
        rr_node *node = cluster->nodes[draw(cluster, cluster->node_count)];
        if (node != NULL) {
            return node;
        }
    }
}

static void write_one(struct cluster *cluster)
{
    struct write *write = calloc(1, sizeof(*write));
    if (write == NULL) {
        fail("no memory");
    }
    write->cluster = cluster;
    write->id = __atomic_add_fetch(&report->next_id, 1, __ATOMIC_RELAXED);
    rr_write_options options;
    rr_write_options_init(&options);
    options.timeout_ms = 5000;
    sem_wait(&cluster->window);
    rr_status status = rr_node_call(any_node(cluster), "note", bytes_of(&write->id, 8), &options,
                                    on_written, write);
    if (status != RR_OK) {
        sem_post(&cluster->window);
        free(write);
        nap_ms(1);
    }
}

static void disturb(struct cluster *cluster)
{
    uint64_t choice = draw(cluster, 400);
    rr_status status = RR_OK;
    if (choice == 0) {
        status = rr_node_snapshot(any_node(cluster), 1000, on_upkeep, NULL);
    } else if (choice == 1) {
        status = rr_node_trigger_election(any_node(cluster));
    } else if (choice == 2) {
        status = rr_node_purge(any_node(cluster), UINT64_MAX >> 1, 1000, on_upkeep, NULL);
    }
    (void)status; /* a node may refuse */
}

/* Writes until something kills the process. Now and then one node is away for a while. */
static void run_load(struct cluster *cluster)
{
    uint64_t away_at = draw(cluster, 4) == 0 ? draw(cluster, cluster->writes_max) : UINT64_MAX;
    uint64_t back_at = away_at == UINT64_MAX ? away_at : away_at + draw(cluster, 500);
    unsigned away = (unsigned)draw(cluster, cluster->node_count);
    bool may_go = cluster->node_count > 1 && cluster->absent == 0;
    sem_init(&cluster->window, 0, 1 + (unsigned)draw(cluster, 24));
    for (uint64_t i = 0; i < cluster->writes_max; i++) {
        if (may_go && i == away_at) {
            rr_node *node = cluster->nodes[away];
            cluster->nodes[away] = NULL;
            rr_node_close(node);
        }
        if (may_go && i == back_at) {
            open_node(cluster, away);
        }
        write_one(cluster);
        disturb(cluster);
        check_roles(cluster);
    }
    kill(getpid(), SIGKILL);
}

/* --- The program --- */

static void read_arguments(struct cluster *cluster, char **arguments)
{
    int fd = open(arguments[2], O_RDWR);
    if (fd < 0 || ftruncate(fd, sizeof(*report)) != 0) {
        exit(2);
    }
    report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (report == MAP_FAILED) {
        exit(2);
    }
    close(fd);
    cluster->root = arguments[1];
    cluster->random = strtoull(arguments[3], NULL, 10);
    cluster->node_count = (unsigned)strtoul(arguments[4], NULL, 10);
    cluster->absent = (unsigned)strtoul(arguments[5], NULL, 10);
    cluster->log_kind = strcmp(arguments[6], "rocksdb") == 0 ? RR_LOG_ROCKSDB : RR_LOG_SEGMENTS;
    cluster->sync_thread = strcmp(arguments[6], "segments-thread") == 0;
    cluster->segment_bytes = strtoull(arguments[7], NULL, 10);
    cluster->writes_max = strtoull(arguments[8], NULL, 10);
    for (unsigned i = 0; i < cluster->node_count; i++) {
        snprintf(cluster->addresses[i], sizeof(cluster->addresses[i]), "127.0.0.1:%s",
                 arguments[9 + i]);
        snprintf(cluster->paths[i], sizeof(cluster->paths[i]), "%s/node%u", cluster->root, i + 1);
    }
}

int main(int count, char **arguments)
{
    static struct cluster cluster;
    if (count < 10 || strtoul(arguments[4], NULL, 10) > NODES_MAX ||
        count < 9 + (int)strtoul(arguments[4], NULL, 10)) {
        fprintf(stderr, "see the top of crash_node.c\n");
        return 2;
    }
    read_arguments(&cluster, arguments);
    for (unsigned i = 0; i < cluster.node_count; i++) {
        if (i + 1 != cluster.absent) {
            open_node(&cluster, i);
        }
    }
    await_members(&cluster);
    check_roles(&cluster);
    check_all(&cluster);
    run_load(&cluster);
    return 0;
}
