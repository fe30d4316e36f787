/*
 * A node whose files are damaged: it repairs what it can without losing anything, and otherwise
 * neither serves nor sends what it cannot vouch for.
 */
/* ctest: timeout=180 */
#include "members_helpers.h"

#include "storage/damage.h"
#include "storage/file.h"
#include "storage/file_gate.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEYS = 60, BLOCK = 4096 };

/* What nodes say, each on its thread. */
struct lines {
    pthread_mutex_t mutex;
    char text[64 * 1024];
    size_t size;
};

static void keep_line(void *arg, rr_log_level level, const char *target, const char *text)
{
    struct lines *lines = arg;
    (void)level;
    (void)target;
    pthread_mutex_lock(&lines->mutex);
    size_t left = sizeof(lines->text) - lines->size;
    int length = snprintf(lines->text + lines->size, left, "%s\n", text);
    lines->size += (size_t)length < left ? (size_t)length : left - 1;
    pthread_mutex_unlock(&lines->mutex);
}

static struct lines said = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void forget_said(void)
{
    pthread_mutex_lock(&said.mutex);
    said.size = 0;
    said.text[0] = 0;
    pthread_mutex_unlock(&said.mutex);
}

/* Checks that some node has said it; NULL: that none has said anything. */
static void expect_said(const char *text)
{
    pthread_mutex_lock(&said.mutex);
    if (text == NULL ? said.size > 0 : strstr(said.text, text) == NULL) {
        FAIL("the nodes say: %s", said.text);
    }
    pthread_mutex_unlock(&said.mutex);
}

static void prepare(struct cluster *cluster, size_t count)
{
    forget_said();
    cluster_prepare(cluster, count);
    for (size_t i = 0; i < count; i++) {
        rr_options *options = &cluster->nodes[i].options;
        options->log_kind = RR_LOG_SEGMENTS;
        options->snapshot_entries = 0; /* only when asked for */
        options->log = keep_line;
        options->log_arg = &said;
        options->log_level = RR_LOG_WARN;
    }
}

/* So long that each is in a block of the table by itself. */
static const char *value_of(int i)
{
    static char value[6000];
    memset(value, 'a' + i % 26, sizeof(value) - 1);
    return value;
}

static void set_keys(struct cluster *cluster, uint64_t id, int first, int last)
{
    for (int i = first; i <= last; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key%d", i);
        cluster_set(cluster, id, key, value_of(i));
    }
}

static void expect_keys(struct cluster *cluster, uint64_t id, int first, int last)
{
    for (int i = first; i <= last; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key%d", i);
        cluster_expect(cluster, id, key, value_of(i), RR_READ_LINEARIZABLE);
    }
}

/* --- Damage --- */

static const char *path_of(struct cluster *cluster, uint64_t id, const char *name)
{
    return test_path(cluster->nodes[id - 1].path, name);
}

static void overwrite(const char *path, uint64_t offset, size_t size)
{
    uint8_t bytes[BLOCK];
    memset(bytes, 0x5a, sizeof(bytes));
    int fd = open(path, O_WRONLY);
    CHECK_GE(fd, 0);
    CHECK_EQ(pwrite(fd, bytes, size, (off_t)offset), (ssize_t)size);
    close(fd);
}

/* Files of a directory whose names have an ending, and that have no second name if `single`. */
struct choice {
    const char *directory;
    const char *ending;
    bool single;
    uint32_t count;
    char paths[64][512];
};

static rr_status choose(void *arg, const char *name, struct storage_error *error)
{
    struct choice *choice = arg;
    (void)error;
    size_t size = strlen(name);
    size_t ending = strlen(choice->ending);
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", choice->directory, name);
    struct stat status;
    CHECK_EQ(stat(path, &status), 0);
    if (size >= ending && strcmp(name + size - ending, choice->ending) == 0 &&
        (!choice->single || (status.st_nlink == 1 && status.st_size > 2048)) &&
        choice->count < 64) {
        strcpy(choice->paths[choice->count++], path);
    }
    return RR_OK;
}

static void list(struct choice *choice)
{
    choice->count = 0;
    CHECK_OK(directory_list(choice->directory, choose, choice, NULL));
}

/* Damages data in the tables of the state, or in those with values that no snapshot shares. What is read
 * when the state is opened comes before it. */
static void damage_tables(struct cluster *cluster, uint64_t id, bool single)
{
    struct choice choice = {
        .directory = path_of(cluster, id, "state-1"), .ending = ".sst", .single = single};
    list(&choice);
    CHECK_GT(choice.count, 0);
    for (uint32_t i = 0; i < choice.count; i++) {
        uint64_t size;
        CHECK_OK(file_size(choice.paths[i], &size, NULL));
        overwrite(choice.paths[i], size / 3, 8);
    }
}

/* Damages a frame in the middle of those that the largest segment holds. */
static void damage_log(struct cluster *cluster, uint64_t id)
{
    struct choice choice = {.directory = path_of(cluster, id, "log"), .ending = ""};
    list(&choice);
    const char *chosen = NULL;
    uint64_t most = 0;
    for (uint32_t i = 0; i < choice.count; i++) {
        struct buffer bytes;
        buffer_init(&bytes);
        CHECK_OK(file_read(choice.paths[i], SIZE_MAX, &bytes, NULL));
        uint64_t blocks = bytes.size / BLOCK;
        while (blocks > 0 && memcmp(bytes.data + (blocks - 1) * BLOCK, "RRLF", 4) != 0) {
            blocks--;
        }
        buffer_deinit(&bytes);
        if (strstr(choice.paths[i], "segment-") != NULL && blocks > most) {
            most = blocks;
            chosen = choice.paths[i];
        }
    }
    CHECK_GT(most, 20);
    overwrite(chosen, most / 2 * BLOCK + 100, 20);
}

/* --- Halts --- */

struct halt {
    atomic_int count;
    rr_status status;
    char reason[1024];
};

static void note_halt(void *arg, rr_status status, const char *reason)
{
    struct halt *halt = arg;
    halt->status = status;
    snprintf(halt->reason, sizeof(halt->reason), "%s", reason);
    atomic_fetch_add(&halt->count, 1);
}

static void await_halt_of(struct halt *halt)
{
    while (atomic_load(&halt->count) == 0) {
        cluster_nap();
    }
}

static unsigned marked(struct cluster *cluster, uint64_t id)
{
    struct damage damage;
    CHECK_OK(damage_read(cluster->nodes[id - 1].path, &damage, NULL));
    return damage.parts;
}

/* --- The log --- */

TEST(damage, of_entries_that_the_state_has_is_repaired_at_start)
{
    struct cluster cluster;
    prepare(&cluster, 1);
    cluster_open_all(&cluster);
    set_keys(&cluster, 1, 1, KEYS);
    cluster_close(&cluster);
    damage_log(&cluster, 1);

    cluster_open_node(&cluster, 1);
    expect_said("the log was damaged");
    expect_keys(&cluster, 1, 1, KEYS);
    set_keys(&cluster, 1, KEYS + 1, KEYS + 5);
    cluster_close(&cluster);

    forget_said();
    cluster_open_node(&cluster, 1);
    expect_said(NULL); /* it is whole now */
    expect_keys(&cluster, 1, 1, KEYS + 5);
    cluster_close(&cluster);
}

/* What a leader has to send it reads from its log when memory does not have it any more. */
TEST(damage, of_an_entry_is_never_sent_and_halts_the_node_that_reads_it)
{
    struct cluster cluster;
    prepare(&cluster, 3);
    cluster_open_all(&cluster);
    set_keys(&cluster, 1, 1, 5);
    uint64_t late = cluster_follower(&cluster);
    uint64_t others[2];
    size_t count = 0;
    for (uint64_t id = 1; id <= 3; id++) {
        if (id != late) {
            others[count++] = id;
        }
    }
    cluster_close_node(&cluster, late);
    set_keys(&cluster, others[0], 6, KEYS);
    struct halt halts[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        cluster_close_node(&cluster, others[i]);
    }
    for (int i = 0; i < 2; i++) {
        cluster_open_node(&cluster, others[i]);
        rr_node_on_halt(cluster_node(&cluster, others[i]), note_halt, &halts[i]);
    }
    set_keys(&cluster, others[0], KEYS + 1, KEYS + 1);
    uint64_t leader = cluster_leader(&cluster);
    struct halt *halt = &halts[leader == others[0] ? 0 : 1];
    uint64_t other = leader == others[0] ? others[1] : others[0];
    damage_log(&cluster, leader);

    cluster_open_node(&cluster, late);
    await_halt_of(halt);
    CHECK_STATUS(halt->status, RR_CORRUPT);
    CHECK(strstr(halt->reason, "the log is damaged") != NULL);
    CHECK_EQ(marked(&cluster, leader), DAMAGE_LOG);
    set_keys(&cluster, other, KEYS + 2, KEYS + 2); /* the others go on */
    expect_keys(&cluster, late, 1, KEYS + 2);

    cluster_close_node(&cluster, leader);
    cluster_open_node(&cluster, leader);
    expect_said("the last run has found damage");
    expect_said("the log was damaged");
    CHECK_EQ(marked(&cluster, leader), 0);
    expect_keys(&cluster, leader, 1, KEYS + 2);
    cluster_close(&cluster);
}

/* --- The state --- */

/* A node with KEYS keys of which a snapshot has the first half, closed. */
static void make_state(struct cluster *cluster)
{
    prepare(cluster, 1);
    cluster_open_all(cluster);
    set_keys(cluster, 1, 1, KEYS / 2);
    uint64_t term;
    uint64_t index;
    CHECK_OK(rr_node_snapshot_wait(cluster_node(cluster, 1), 0, &term, &index));
    set_keys(cluster, 1, KEYS / 2 + 1, KEYS);
    cluster_close(cluster);
}

static void expect_repaired(struct cluster *cluster, const char *text)
{
    cluster_open_node(cluster, 1);
    expect_said(text);
    expect_keys(cluster, 1, 1, KEYS);
    cluster_close_node(cluster, 1);
    forget_said();
    cluster_open_node(cluster, 1);
    expect_said(NULL);
    expect_keys(cluster, 1, 1, KEYS);
    cluster_close(cluster);
}

TEST(damage, of_the_pointer_to_the_only_state_is_repaired)
{
    struct cluster cluster;
    make_state(&cluster);
    overwrite(path_of(&cluster, 1, "STATE"), 14, 4);
    expect_repaired(&cluster, "STATE names the only one");
}

TEST(damage, of_the_state_is_repaired_from_the_latest_snapshot)
{
    for (int whole = 0; whole < 2; whole++) {
        struct cluster cluster;
        make_state(&cluster);
        const char *state = path_of(&cluster, 1, "state-1");
        CHECK_OK(file_remove_tree(whole ? state : test_path(state, "CURRENT"), NULL));
        expect_repaired(&cluster, "rebuilt from the snapshot");
    }
}

TEST(damage, that_a_read_meets_halts_the_node_and_is_repaired_at_its_next_start)
{
    struct cluster cluster;
    make_state(&cluster);
    damage_tables(&cluster, 1, /*single=*/true);
    cluster_open_node(&cluster, 1); /* tables are not read when they are opened */
    rr_node *node = cluster_node(&cluster, 1);
    struct halt halt = {0};
    rr_node_on_halt(node, note_halt, &halt);
    bool met = false;
    for (int i = 1; i <= KEYS && !met; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key%d", i);
        rr_status status =
            rr_node_get_wait(node, test_bytes_of(key), RR_READ_LINEARIZABLE, 0, NULL);
        CHECK(status == RR_OK || status == RR_CORRUPT);
        met = status == RR_CORRUPT;
    }
    CHECK(met);
    await_halt_of(&halt);
    CHECK_STATUS(halt.status, RR_CORRUPT);
    CHECK(strstr(halt.reason, "the state is damaged") != NULL);
    cluster_close(&cluster);
    CHECK_EQ(marked(&cluster, 1), DAMAGE_STATE);
    expect_repaired(&cluster, "rebuilt from the snapshot");
    CHECK_EQ(marked(&cluster, 1), 0);
}

/* A repaired log begins where the state was, after the latest snapshot: another one is made. */
TEST(damage, of_the_log_and_then_of_the_state_is_repaired)
{
    struct cluster cluster;
    make_state(&cluster);
    damage_log(&cluster, 1);
    cluster_open_node(&cluster, 1);
    expect_said("the log was damaged");
    set_keys(&cluster, 1, KEYS, KEYS);
    while (metric(&cluster, 1, "snapshots_made_total") == 0) {
        cluster_nap();
    }
    cluster_close(&cluster);
    forget_said();
    CHECK_OK(file_remove_tree(path_of(&cluster, 1, "state-1"), NULL));
    expect_repaired(&cluster, "rebuilt from the snapshot");
}

/* The log is repaired by what the state has, so a state that proves whole stays. */
TEST(damage, of_the_log_beside_a_state_that_is_doubtful_costs_nothing)
{
    struct cluster cluster;
    prepare(&cluster, 1);
    cluster_open_all(&cluster);
    set_keys(&cluster, 1, 1, KEYS / 6);
    CHECK_OK(rr_node_snapshot_wait(cluster_node(&cluster, 1), 0, NULL, NULL));
    set_keys(&cluster, 1, KEYS / 6 + 1, KEYS);
    cluster_close(&cluster);
    damage_log(&cluster, 1);
    CHECK_OK(damage_mark(cluster.nodes[0].path, DAMAGE_STATE, "it seemed rotten", NULL));
    expect_repaired(&cluster, "all of the state can be read now");
    CHECK_EQ(marked(&cluster, 1), 0);
}

/* While the disk is full there is none. */
TEST(damage, of_the_state_that_is_doubtful_costs_nothing_that_only_the_state_has)
{
    struct cluster cluster;
    make_state(&cluster);
    damage_log(&cluster, 1);
    cluster.nodes[0].options.disk_low_bytes = 16 * 1024 * 1024;
    file_gate_set_space(cluster.nodes[0].path, 1024 * 1024);
    cluster_open_node(&cluster, 1);
    expect_said("the log was damaged");
    cluster_close(&cluster);
    file_gate_set_space(NULL, 0);
    forget_said();
    CHECK_OK(damage_mark(cluster.nodes[0].path, DAMAGE_STATE, "it seemed rotten", NULL));
    expect_repaired(&cluster, "all of the state can be read now");
    CHECK_EQ(marked(&cluster, 1), 0);
}

/* --- Snapshots --- */

/* Three nodes of which one is closed and needs a snapshot of the leader. */
static void make_leader(struct cluster *cluster, uint64_t *leader, uint64_t *late)
{
    prepare(cluster, 3);
    cluster_open_all(cluster);
    set_keys(cluster, 1, 1, 5);
    *late = cluster_follower(cluster);
    cluster_close_node(cluster, *late);
    *leader = cluster_leader(cluster);
    set_keys(cluster, *leader, 6, KEYS);
    for (uint64_t id = 1; id <= 3; id++) {
        uint64_t term;
        uint64_t index;
        if (id != *late) {
            CHECK_OK(rr_node_snapshot_wait(cluster_node(cluster, id), 0, &term, &index));
            CHECK_OK(rr_node_purge_wait(cluster_node(cluster, id), index, 0));
        }
    }
}

static void damage_snapshot(struct cluster *cluster, uint64_t id, const char *ending, bool shared)
{
    struct choice snapshots = {.directory = path_of(cluster, id, "snapshots"), .ending = ""};
    list(&snapshots);
    CHECK_EQ(snapshots.count, 1);
    struct choice choice = {.directory = snapshots.paths[0], .ending = ending};
    list(&choice);
    CHECK_GT(choice.count, 0);
    for (uint32_t i = 0; i < choice.count; i++) {
        uint64_t size;
        CHECK_OK(file_size(choice.paths[i], &size, NULL));
        overwrite(choice.paths[i], size / 2, 4);
        if (shared) { /* with the state, unless that has merged its tables since */
            char name[32];
            snprintf(name, sizeof(name), "second-name-%u", (unsigned)i);
            CHECK_OK(file_link(choice.paths[i], path_of(cluster, id, name), NULL));
        }
    }
}

TEST(damage, of_a_snapshot_is_noticed_before_it_is_sent_and_another_is_made)
{
    struct cluster cluster;
    uint64_t leader;
    uint64_t late;
    make_leader(&cluster, &leader, &late);
    damage_snapshot(&cluster, leader, "CURRENT", /*shared=*/false);
    cluster_open_node(&cluster, late);
    expect_keys(&cluster, late, 1, KEYS);
    expect_said("CURRENT fails its checksum");
    CHECK_EQ(marked(&cluster, leader), 0);
    cluster_close(&cluster);
}

/* A table that snapshot and state share: another snapshot would have the same damage. */
TEST(damage, of_a_file_of_snapshot_and_state_halts_the_node_that_would_send_it)
{
    struct cluster cluster;
    uint64_t leader;
    uint64_t late;
    make_leader(&cluster, &leader, &late);
    struct halt halt = {0};
    rr_node_on_halt(cluster_node(&cluster, leader), note_halt, &halt);
    damage_snapshot(&cluster, leader, ".sst", /*shared=*/true);
    cluster_open_node(&cluster, late);
    await_halt_of(&halt);
    CHECK_STATUS(halt.status, RR_CORRUPT);
    CHECK_EQ(marked(&cluster, leader), DAMAGE_STATE);
    expect_keys(&cluster, late, 1, KEYS); /* from the other one, which leads now */
    cluster_close(&cluster);
}

/* --- What cannot be repaired, and what need not be --- */

/* Alone and without a snapshot there is nothing to repair it from. */
TEST(damage, that_nothing_makes_up_for_is_refused)
{
    struct cluster cluster;
    prepare(&cluster, 1);
    cluster_open_all(&cluster);
    set_keys(&cluster, 1, 1, KEYS);
    cluster_close(&cluster);
    damage_tables(&cluster, 1, /*single=*/false);
    CHECK_OK(damage_mark(cluster.nodes[0].path, DAMAGE_STATE, "a table is rotten", NULL));
    char error[1024] = "";
    rr_node *node;
    CHECK_STATUS(rr_node_open(&cluster.nodes[0].options, error, sizeof(error), &node), RR_CORRUPT);
    CHECK(strstr(error, "a table is rotten") != NULL);
    CHECK(strstr(error, "no snapshot") != NULL);
    CHECK_EQ(marked(&cluster, 1), DAMAGE_STATE);
}

/* What an earlier run has seen may have been the memory's fault, or a cable's. */
TEST(damage, that_is_not_there_any_more_is_forgotten)
{
    struct cluster cluster;
    prepare(&cluster, 1);
    cluster_open_all(&cluster);
    set_keys(&cluster, 1, 1, KEYS);
    cluster_close(&cluster);
    CHECK_OK(damage_mark(cluster.nodes[0].path, DAMAGE_STATE, "it seemed rotten", NULL));
    CHECK_OK(damage_mark(cluster.nodes[0].path, DAMAGE_LOG, "and this, too", NULL));
    expect_repaired(&cluster, "all of the state can be read now");
    CHECK_EQ(marked(&cluster, 1), 0);
}
