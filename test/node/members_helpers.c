#include "members_helpers.h"

#include "base/random.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

void open_joining(struct cluster *cluster, uint64_t id, const char *const *join, size_t join_count)
{
    struct cluster_node *node = &cluster->nodes[id - 1];
    char error[512] = "";
    CHECK(node->node == NULL);
    node->options.join = join;
    node->options.join_count = join_count;
    rr_status status = rr_node_open(&node->options, error, sizeof(error), &node->node);
    node->options.join = NULL;
    node->options.join_count = 0;
    if (status != RR_OK) {
        FAIL("node %d cannot be opened: %s: %s", (int)id, rr_status_name(status), error);
    }
}

void open_waiting(struct cluster *cluster, uint64_t id)
{
    cluster->nodes[id - 1].options.found = false;
    open_joining(cluster, id, NULL, 0);
}

void await_member(struct cluster *cluster, uint64_t id)
{
    char error[512] = "";
    rr_status status =
        rr_node_await_member(cluster_node(cluster, id), CLUSTER_PATIENCE_MS, error, sizeof(error));
    if (status != RR_OK) {
        FAIL("node %d is no member: %s: %s", (int)id, rr_status_name(status), error);
    }
}

bool find_member(struct cluster *cluster, uint64_t at, uint64_t id, rr_member *out)
{
    rr_member members[32];
    size_t count = rr_node_members(cluster_node(cluster, at), members, 32);
    for (size_t i = 0; i < count && i < 32; i++) {
        if (members[i].id == id) {
            if (out != NULL) {
                *out = members[i];
            }
            return true;
        }
    }
    return false;
}

void await_role(struct cluster *cluster, uint64_t at, uint64_t id, rr_member_role role)
{
    for (int i = 0; i < CLUSTER_PATIENCE_MS; i++) {
        rr_member member;
        if (find_member(cluster, at, id, &member) && member.role == role) {
            return;
        }
        cluster_nap();
    }
    FAIL("node %d never saw node %d in role %d", (int)at, (int)id, (int)role);
}

void await_absent(struct cluster *cluster, uint64_t at, uint64_t id)
{
    for (int i = 0; i < CLUSTER_PATIENCE_MS; i++) {
        if (!find_member(cluster, at, id, NULL)) {
            return;
        }
        cluster_nap();
    }
    FAIL("node %d never saw node %d gone", (int)at, (int)id);
}

void wipe(struct cluster *cluster, uint64_t id)
{
    char command[512];
    CHECK(cluster->nodes[id - 1].node == NULL);
    snprintf(command, sizeof(command), "rm -rf '%s'", cluster->nodes[id - 1].path);
    CHECK_EQ(system(command), 0);
}

/* Waits until node `id` has applied `index`. */
static void await_applied(struct cluster *cluster, uint64_t id, uint64_t index)
{
    for (int i = 0; i < CLUSTER_PATIENCE_MS; i++) {
        rr_node_info info;
        cluster_info(cluster, id, &info);
        if (info.applied_index >= index) {
            return;
        }
        cluster_nap();
    }
    FAIL("node %d never applied entry %d", (int)id, (int)index);
}

void expect_equal_states(struct cluster *cluster)
{
    uint64_t leader = cluster_leader(cluster);
    for (uint64_t id = 1; id <= cluster->count; id++) {
        if (cluster->nodes[id - 1].node == NULL) {
            continue;
        }
        uint64_t index = 0;
        uint64_t digest = 0;
        uint64_t other_index = 1;
        uint64_t other_digest = 1;
        for (int i = 0; i < CLUSTER_PATIENCE_MS && index != other_index; i++) {
            CHECK_OK(rr_node_digest_wait(cluster_node(cluster, leader), &index, &digest));
            await_applied(cluster, id, index);
            CHECK_OK(rr_node_digest_wait(cluster_node(cluster, id), &other_index, &other_digest));
        }
        CHECK_EQ(other_index, index);
        CHECK_EQ(other_digest, digest);
    }
}

struct wanted_metric {
    const char *name;
    double value;
    bool found;
};

static void look_at_metric(void *arg, const char *name, const char *help, bool counter,
                           double value)
{
    struct wanted_metric *wanted = arg;
    CHECK(help[0] != 0);
    (void)counter;
    if (strcmp(name, wanted->name) == 0) {
        CHECK(!wanted->found);
        wanted->found = true;
        wanted->value = value;
    }
}

uint64_t metric(struct cluster *cluster, uint64_t id, const char *name)
{
    struct wanted_metric wanted = {.name = name};
    rr_node_metrics(cluster_node(cluster, id), look_at_metric, &wanted);
    CHECK(wanted.found);
    return (uint64_t)wanted.value;
}

/* ---- Lines of log ---- */

struct log_lines {
    pthread_mutex_t mutex;
    size_t size;
    char text[256 * 1024]; /* each line behind the one before, with a newline */
};

static void keep_line(void *arg, rr_log_level level, const char *target, const char *text)
{
    struct log_lines *lines = arg;
    pthread_mutex_lock(&lines->mutex);
    size_t size = strlen(text);
    if (lines->size + size + 2 < sizeof(lines->text)) {
        memcpy(lines->text + lines->size, text, size);
        lines->size += size;
        lines->text[lines->size++] = '\n';
        lines->text[lines->size] = 0;
    }
    pthread_mutex_unlock(&lines->mutex);
    if (getenv("TEST_LOG") != NULL) {
        fprintf(stderr, "[kept] %d %s: %s\n", (int)level, target, text);
    }
}

struct log_lines *log_lines_of(struct cluster *cluster, uint64_t id)
{
    struct log_lines *lines = calloc(1, sizeof(*lines));
    CHECK(lines != NULL);
    pthread_mutex_init(&lines->mutex, NULL);
    cluster->nodes[id - 1].options.log = keep_line;
    cluster->nodes[id - 1].options.log_arg = lines;
    cluster->nodes[id - 1].options.log_level = RR_LOG_INFO;
    return lines;
}

void await_line(struct log_lines *lines, const char *part)
{
    for (int i = 0; i < CLUSTER_PATIENCE_MS; i++) {
        pthread_mutex_lock(&lines->mutex);
        bool found = strstr(lines->text, part) != NULL;
        pthread_mutex_unlock(&lines->mutex);
        if (found) {
            return;
        }
        cluster_nap();
    }
    FAIL("no line says \"%s\"", part);
}

void log_lines_free(struct log_lines *lines)
{
    pthread_mutex_destroy(&lines->mutex);
    free(lines);
}

/* ---- Halting ---- */

struct halt {
    pthread_mutex_t mutex;
    pthread_cond_t told;
    bool halted;
    rr_status status;
    char reason[1024];
};

static struct halt halt = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, RR_OK, ""};

static void on_halt(void *arg, rr_status status, const char *reason)
{
    (void)arg;
    pthread_mutex_lock(&halt.mutex);
    halt.halted = true;
    halt.status = status;
    snprintf(halt.reason, sizeof(halt.reason), "%s", reason);
    pthread_cond_signal(&halt.told);
    pthread_mutex_unlock(&halt.mutex);
}

const char *await_halt(struct cluster *cluster, uint64_t id, rr_status *status)
{
    pthread_mutex_lock(&halt.mutex);
    halt.halted = false;
    pthread_mutex_unlock(&halt.mutex);
    rr_node_on_halt(cluster_node(cluster, id), on_halt, NULL);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLUSTER_PATIENCE_MS / 1000;
    pthread_mutex_lock(&halt.mutex);
    int error = 0;
    while (!halt.halted && error == 0) {
        error = pthread_cond_timedwait(&halt.told, &halt.mutex, &until);
    }
    bool halted = halt.halted;
    *status = halt.status;
    pthread_mutex_unlock(&halt.mutex);
    CHECK(halted);
    return halt.reason;
}

/* ---- Load ---- */

void write_many(struct cluster *cluster, uint64_t id, const char *prefix, int count, size_t size)
{
    struct random random;
    random_init(&random, (uint64_t)count);
    char *value = calloc(1, size + 1);
    CHECK(value != NULL);
    for (int i = 0; i < count; i += 50) {
        rr_txn *txn = rr_txn_new();
        for (int at = i; at < i + 50 && at < count; at++) {
            char key[128];
            snprintf(key, sizeof(key), "%s-%d", prefix, at);
            random_fill(&random, value, size); /* nothing that can be compressed */
            CHECK_OK(rr_txn_set(txn, test_bytes_of(key), (rr_bytes){value, size}));
        }
        CHECK_OK(rr_node_submit_wait(cluster_node(cluster, id), txn, NULL, NULL));
        rr_txn_free(txn);
    }
    free(value);
}
