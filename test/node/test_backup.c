/* ctest: timeout=240
 * Backups: taken from nodes of a cluster in this process, damaged, restored into new clusters.
 */
#include "members_helpers.h"

#include "io/address.h"
#include "node/backup_client.h"
#include "node/backups.h"
#include "rockraft/backup.h"
#include "transport/listener.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { LONG_MS = CLUSTER_PATIENCE_MS, ERROR_BYTES = 1024 };

/* ---- Shorthands ---- */

/* A backup from the nodes `first` and, unless 0, `second`. */
static rr_status try_save(struct cluster *cluster, uint64_t first, uint64_t second,
                          rr_backup_options *options, const char *path, rr_backup_info *info,
                          char error[ERROR_BYTES])
{
    const char *from[] = {cluster->nodes[first - 1].address,
                          second == 0 ? NULL : cluster->nodes[second - 1].address};
    options->from = from;
    options->from_count = second == 0 ? 1 : 2;
    options->path = path;
    info->struct_size = sizeof(*info);
    error[0] = '\0';
    return rr_backup_save(options, info, error, ERROR_BYTES);
}

static void save(struct cluster *cluster, uint64_t id, const char *path, rr_backup_info *info)
{
    rr_backup_options options;
    char error[ERROR_BYTES];
    rr_backup_options_init(&options);
    options.timeout_ms = LONG_MS;
    rr_status status = try_save(cluster, id, 0, &options, path, info, error);
    if (status != RR_OK) {
        FAIL("no backup: %s: %s", rr_status_name(status), error);
    }
}

static rr_status try_restore(struct cluster *into, uint64_t id, const char *path, uint64_t *cluster,
                             char error[ERROR_BYTES])
{
    rr_restore_options options;
    rr_restore_options_init(&options);
    options.path = path;
    options.data_path = into->nodes[id - 1].path;
    options.node_id = id;
    options.address = into->nodes[id - 1].address;
    error[0] = '\0';
    return rr_backup_restore(&options, NULL, cluster, error, ERROR_BYTES);
}

/* Restores as node 1 of a prepared cluster, and opens it. */
static void restore(struct cluster *into, const char *path)
{
    char error[ERROR_BYTES];
    uint64_t cluster = 0;
    rr_status status = try_restore(into, 1, path, &cluster, error);
    if (status != RR_OK) {
        FAIL("not restored: %s: %s", rr_status_name(status), error);
    }
    cluster_open_node(into, 1);
    await_member(into, 1);
    rr_node_info info;
    cluster_info(into, 1, &info);
    CHECK_EQ(info.cluster_id, cluster);
}

/* How many of "busy-0", "busy-1" ... there are, which must be those without a gap. */
static int count_busy(struct cluster *cluster, uint64_t id)
{
    rr_scan scan;
    rr_result *result = NULL;
    rr_scan_init(&scan);
    scan.prefix = test_bytes_of("busy-");
    CHECK_OK(rr_node_scan_wait(cluster_node(cluster, id), &scan, &result));
    int count = (int)rr_result_count(result);
    rr_result_free(result);
    for (int i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof(key), "busy-%d", i);
        cluster_expect(cluster, id, key, "x", RR_READ_LOCAL);
    }
    return count;
}

struct writer {
    struct cluster *cluster;
    uint64_t id;
    pthread_t thread;
    atomic_bool stop;
    atomic_int begun;
    atomic_int acknowledged;
    rr_status failure;
};

static void *write_on(void *arg)
{
    struct writer *writer = arg;
    while (!atomic_load(&writer->stop)) {
        char key[64];
        snprintf(key, sizeof(key), "busy-%d", atomic_fetch_add(&writer->begun, 1));
        rr_status status = rr_node_set_wait(cluster_node(writer->cluster, writer->id),
                                            test_bytes_of(key), test_bytes_of("x"));
        if (status != RR_OK) {
            writer->failure = status;
            return NULL;
        }
        atomic_fetch_add(&writer->acknowledged, 1);
    }
    return NULL;
}

static void writer_start(struct writer *writer, struct cluster *cluster, uint64_t id)
{
    memset(writer, 0, sizeof(*writer));
    writer->cluster = cluster;
    writer->id = id;
    CHECK_EQ(pthread_create(&writer->thread, NULL, write_on, writer), 0);
}

static void writer_stop(struct writer *writer)
{
    atomic_store(&writer->stop, true);
    CHECK_EQ(pthread_join(writer->thread, NULL), 0);
    CHECK_OK(writer->failure);
}

/* ---- Taking and restoring ---- */

TEST(backup, holds_all_that_was_acknowledged_before_and_nothing_from_after)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    struct writer writer;
    writer_start(&writer, &cluster, cluster_leader(&cluster));
    const char *directory = test_directory();
    for (uint64_t id = 1; id <= 3; id++) {
        char name[32];
        snprintf(name, sizeof(name), "backup%d", (int)id);
        const char *path = test_path(directory, name);
        rr_backup_info info;
        while (atomic_load(&writer.acknowledged) < 100 * (int)id) {
            cluster_nap();
        }
        int before = atomic_load(&writer.acknowledged);
        save(&cluster, id, path, &info);
        int after = atomic_load(&writer.begun);
        CHECK_EQ(info.node, id);
        CHECK_EQ(info.member_count, 3);
        CHECK_EQ(info.members[2].id, 3);
        CHECK_TEXT(info.members[2].address, cluster.nodes[2].address);
        CHECK(info.index > (uint64_t)before);
        rr_backup_info verified = {.struct_size = sizeof(verified)};
        CHECK_OK(rr_backup_verify(path, &verified, NULL, 0));
        CHECK_EQ(memcmp(&verified, &info, sizeof(info)), 0);

        struct cluster restored;
        cluster_prepare(&restored, 1);
        restore(&restored, path);
        int there = count_busy(&restored, 1);
        CHECK_GE(there, before);
        CHECK_LE(there, after);
        rr_node_info node;
        cluster_info(&restored, 1, &node);
        CHECK(node.applied_index >= info.index);
        CHECK_EQ(rr_node_members(cluster_node(&restored, 1), NULL, 0), 1);
        CHECK_NE(node.cluster_id, info.cluster);
        cluster_close(&restored);
    }
    writer_stop(&writer);
    CHECK_EQ(metric(&cluster, 2, "backups_total"), 1);
    CHECK(metric(&cluster, 2, "backup_bytes_sent_total") > 0);
    cluster_close(&cluster);
}

TEST(backup, becomes_a_cluster_that_others_join_and_that_goes_on)
{
    struct cluster cluster;
    struct cluster restored;
    cluster_open(&cluster, 1);
    write_many(&cluster, 1, "many", 500, 1000);
    uint64_t session;
    rr_write_options options;
    rr_write_options_init(&options);
    CHECK_OK(rr_node_session_wait(cluster_node(&cluster, 1), LONG_MS, &session));
    options.session = session;
    options.sequence = 1;
    rr_txn *txn = rr_txn_new();
    rr_result *result = NULL;
    CHECK_OK(rr_txn_set(txn, test_bytes_of("once"), test_bytes_of("1")));
    CHECK_OK(rr_node_submit_wait(cluster_node(&cluster, 1), txn, &options, &result));
    uint64_t index = rr_result_index(result);
    rr_result_free(result);
    const char *path = test_path(test_directory(), "backup");
    rr_backup_info info;
    save(&cluster, 1, path, &info);
    cluster_close(&cluster);

    cluster_prepare(&restored, 3);
    restore(&restored, path);
    /* The retry is recognized, and gets the answer of then. */
    CHECK_OK(rr_node_submit_wait(cluster_node(&restored, 1), txn, &options, &result));
    CHECK_EQ(rr_result_index(result), index);
    rr_result_free(result);
    rr_txn_free(txn);
    for (uint64_t id = 2; id <= 3; id++) {
        cluster_open_node(&restored, id);
        await_member(&restored, id);
    }
    cluster_set(&restored, 2, "new", "2");
    cluster_expect(&restored, 3, "new", "2", RR_READ_LINEARIZABLE);
    CHECK_OK(rr_node_get_wait(cluster_node(&restored, 3), test_bytes_of("many-499"),
                              RR_READ_LINEARIZABLE, LONG_MS, NULL));
    expect_equal_states(&restored);
    cluster_close_node(&restored, 1);
    cluster_open_node(&restored, 1);
    expect_equal_states(&restored);
    cluster_close(&restored);
}

TEST(backup, of_a_cluster_that_was_just_founded_is_one_too)
{
    struct cluster cluster;
    struct cluster restored;
    cluster_open(&cluster, 1);
    const char *path = test_path(test_directory(), "backup");
    rr_backup_info info;
    save(&cluster, 1, path, &info);
    cluster_close(&cluster);
    cluster_prepare(&restored, 1);
    restore(&restored, path);
    cluster_set(&restored, 1, "a", "1");
    cluster_close(&restored);
}

/* ---- Clusters do not mix ---- */

static void expect_other_cluster(struct cluster *at, const char *address)
{
    char error[ERROR_BYTES] = "";
    CHECK_STATUS(
        rr_node_add_wait(cluster_node(at, 1), 9, address, RR_VOTER, LONG_MS, error, sizeof(error)),
        RR_MISMATCH);
}

TEST(backup, restored_twice_makes_two_clusters_and_neither_is_the_old_one)
{
    struct cluster cluster;
    struct cluster first;
    struct cluster second;
    cluster_open(&cluster, 1);
    cluster_set(&cluster, 1, "a", "1");
    const char *path = test_path(test_directory(), "backup");
    rr_backup_info info;
    save(&cluster, 1, path, &info);
    cluster_prepare(&first, 2);
    cluster_prepare(&second, 1);
    restore(&first, path);
    restore(&second, path);
    expect_other_cluster(&cluster, first.nodes[0].address);
    expect_other_cluster(&first, cluster.nodes[0].address);
    expect_other_cluster(&first, second.nodes[0].address);
    expect_other_cluster(&second, first.nodes[0].address);

    /* Nor does a backup go on with another cluster where one of several addresses leads there. */
    char error[ERROR_BYTES];
    rr_backup_options options;
    const char *from[] = {cluster.nodes[0].address, second.nodes[0].address};
    rr_backup_options_init(&options);
    options.from = from;
    options.from_count = 2;
    options.path = test_path(test_directory(), "mixed");
    info.struct_size = sizeof(info);
    CHECK_OK(rr_backup_save(&options, &info, error, sizeof(error)));
    rr_node_info node;
    cluster_info(&cluster, 1, &node);
    CHECK_EQ(info.cluster, node.cluster_id);
    cluster_close(&second);
    cluster_close(&first);
    cluster_close(&cluster);
}

TEST(backup, restored_in_the_place_of_a_member_of_the_running_old_cluster_halts)
{
    struct cluster cluster;
    cluster_open(&cluster, 2);
    const char *path = test_path(test_directory(), "backup");
    rr_backup_info info;
    save(&cluster, 1, path, &info);
    cluster_close_node(&cluster, 2);
    wipe(&cluster, 2);
    char error[ERROR_BYTES];
    CHECK_OK(try_restore(&cluster, 2, path, NULL, error));
    cluster_open_node(&cluster, 2); /* with the address that the old one is known at */
    rr_status status;
    const char *reason = await_halt(&cluster, 2, &status);
    CHECK_STATUS(status, RR_MISMATCH);
    CHECK(strstr(reason, "cluster") != NULL);
    cluster_close(&cluster);
}

/* ---- What is refused ---- */

TEST(backup, is_not_written_over_anything)
{
    struct cluster cluster;
    char error[ERROR_BYTES];
    cluster_open(&cluster, 1);
    const char *path = test_path(test_directory(), "backup");
    rr_backup_info info;
    save(&cluster, 1, path, &info);
    rr_backup_options options;
    rr_backup_options_init(&options);
    CHECK_STATUS(try_save(&cluster, 1, 0, &options, path, &info, error), RR_CONFLICT);
    CHECK(strstr(error, "not empty") != NULL);
    const char *empty = test_path(test_directory(), "empty");
    CHECK_EQ(mkdir(empty, 0700), 0);
    CHECK_OK(try_save(&cluster, 1, 0, &options, empty, &info, error));
    CHECK_OK(rr_backup_verify(empty, NULL, error, sizeof(error)));

    CHECK_STATUS(try_restore(&cluster, 1, path, NULL, error), RR_BUSY); /* it runs */
    cluster_close(&cluster);
    CHECK_STATUS(try_restore(&cluster, 1, path, NULL, error), RR_CONFLICT);
    CHECK(strstr(error, "node 1 already") != NULL);
}

TEST(backup, is_given_by_members_alone)
{
    struct cluster cluster;
    char error[ERROR_BYTES];
    rr_backup_options options;
    rr_backup_info info;
    cluster_prepare(&cluster, 2);
    open_waiting(&cluster, 1);
    const char *path = test_path(test_directory(), "backup");
    rr_backup_options_init(&options);
    CHECK_STATUS(try_save(&cluster, 1, 0, &options, path, &info, error), RR_NOT_FOUND);
    CHECK(strstr(error, "no member") != NULL);
    options.timeout_ms = 100;
    CHECK_STATUS(try_save(&cluster, 2, 0, &options, path, &info, error), RR_TIMEOUT);
    CHECK(strstr(error, cluster.nodes[1].address) != NULL);
    struct stat there;
    CHECK_NE(stat(path, &there), 0);
    cluster_close(&cluster);
}

/* A node of a version that answers what it does not know with RR_INVALID. */
struct old_node {
    struct loop *loop;
    struct transport *transport;
    struct listener *listener;
    char address[ADDRESS_BYTES_MAX];
};

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void open_old_node(struct old_node *node)
{
    static const struct listener_callbacks none = {0};
    struct transport_options options = {.self = {.node = 1, .cluster = 7, .incarnation = 9}};
    struct address any;
    struct address actual;
    CHECK_OK(loop_open(&node->loop));
    options.loop = node->loop;
    node->transport = transport_new(&options);
    CHECK_OK(address_parse("127.0.0.1:0", &any));
    CHECK_OK(listener_open(node->transport, &any, &none, NULL, &node->listener, NULL));
    listener_address(node->listener, &actual);
    address_format(&actual, node->address);
}

TEST(backup, is_not_to_be_had_of_a_node_that_does_not_know_them)
{
    struct old_node old;
    pthread_t thread;
    char error[ERROR_BYTES] = "";
    open_old_node(&old);
    CHECK_EQ(pthread_create(&thread, NULL, run_loop, old.loop), 0);
    rr_backup_options options;
    const char *from[] = {old.address};
    rr_backup_options_init(&options);
    options.from = from;
    options.from_count = 1;
    options.path = test_path(test_directory(), "backup");
    rr_status status = rr_backup_save(&options, NULL, error, sizeof(error));
    loop_stop(old.loop);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    listener_close(old.listener);
    transport_free(old.transport);
    loop_close(old.loop);
    CHECK_STATUS(status, RR_MISMATCH);
    CHECK(strstr(error, "older version") != NULL);
}

static bool count_events(void *arg, const rr_backup_progress *progress)
{
    unsigned *events = arg;
    *events += progress->event != NULL;
    return true;
}

TEST(backup, of_nodes_that_are_not_reached_says_so_once_for_each)
{
    unsigned events = 0;
    char error[ERROR_BYTES] = "";
    const char *from[] = {"127.0.0.1:1", "127.0.0.1:2"}; /* nobody listens there */
    rr_backup_options options;
    rr_backup_options_init(&options);
    options.from = from;
    options.from_count = 2;
    options.path = test_path(test_directory(), "backup");
    options.timeout_ms = 3000;
    options.progress = count_events;
    options.progress_arg = &events;
    CHECK_STATUS(rr_backup_save(&options, NULL, error, sizeof(error)), RR_TIMEOUT);
    CHECK_EQ(events, 2);
}

TEST(backup, options_without_sense_are_refused)
{
    rr_backup_options options;
    rr_restore_options restore_options;
    const char *from[] = {"127.0.0.1"};
    char error[ERROR_BYTES];
    CHECK_STATUS(rr_backup_save(NULL, NULL, NULL, 0), RR_INVALID);
    rr_backup_options_init(&options);
    CHECK_STATUS(rr_backup_save(&options, NULL, error, sizeof(error)), RR_INVALID);
    options.path = test_path(test_directory(), "backup");
    options.from = from;
    options.from_count = 1;
    CHECK_STATUS(rr_backup_save(&options, NULL, error, sizeof(error)), RR_INVALID);
    CHECK(strstr(error, "\"127.0.0.1\" is no address") != NULL);
    rr_restore_options_init(&restore_options);
    CHECK_STATUS(rr_backup_restore(&restore_options, NULL, NULL, NULL, 0), RR_INVALID);
    restore_options.path = options.path;
    restore_options.data_path = test_path(test_directory(), "data");
    restore_options.node_id = 1;
    restore_options.address = "127.0.0.1:0";
    CHECK_STATUS(rr_backup_restore(&restore_options, NULL, NULL, NULL, 0), RR_INVALID);
    restore_options.address = "127.0.0.1:7000";
    CHECK_STATUS(rr_backup_restore(&restore_options, NULL, NULL, error, sizeof(error)),
                 RR_NOT_FOUND);
    CHECK(strstr(error, "is no backup") != NULL);
    CHECK_STATUS(rr_backup_verify("/nonexistent", NULL, error, sizeof(error)), RR_NOT_FOUND);
}

/* ---- Damage ---- */

/* Changes one byte of the file, in the middle or at `at`. */
static void flip(const char *path, off_t at)
{
    struct stat size;
    unsigned char byte;
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    CHECK_EQ(fstat(fd, &size), 0);
    at = at < 0 ? size.st_size / 2 : at;
    CHECK_EQ(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    CHECK_EQ(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* Neither verified nor restored, and no node starts from what was tried. */
static void expect_refused(struct cluster *into, const char *path, rr_status wanted)
{
    char error[ERROR_BYTES];
    CHECK_STATUS(rr_backup_verify(path, NULL, error, sizeof(error)), wanted);
    CHECK(error[0] != '\0');
    CHECK_STATUS(try_restore(into, 1, path, NULL, error), wanted);
    CHECK(error[0] != '\0');
    struct stat there;
    rr_node *node;
    if (stat(into->nodes[0].path, &there) == 0) {
        CHECK_STATUS(rr_node_open(&into->nodes[0].options, error, sizeof(error), &node),
                     RR_CORRUPT);
        CHECK(strstr(error, "did not end") != NULL);
    }
}

TEST(backup, with_any_file_damaged_or_missing_is_refused)
{
    struct cluster cluster;
    struct cluster restored;
    rr_backup_info info;
    cluster_open(&cluster, 1);
    write_many(&cluster, 1, "many", 100, 100);
    const char *path = test_path(test_directory(), "backup");
    save(&cluster, 1, path, &info);
    cluster_close(&cluster);
    cluster_prepare(&restored, 1);

    const char *origin = test_path(path, "BACKUP");
    flip(origin, -1);
    expect_refused(&restored, path, RR_CORRUPT);
    flip(origin, -1);
    flip(origin, 8); /* the format: a newer one */
    expect_refused(&restored, path, RR_MISMATCH);
    flip(origin, 8);

    const char *files = test_path(path, "snapshot-1");
    const char *hidden = test_path(test_directory(), "hidden");
    DIR *directory = opendir(files);
    CHECK(directory != NULL);
    const struct dirent *entry;
    int count = 0;
    while ((entry = readdir(directory)) != NULL) {
        char file[512];
        snprintf(file, sizeof(file), "%s/%s", files, entry->d_name);
        if (entry->d_name[0] == '.') {
            continue;
        }
        flip(file, -1);
        expect_refused(&restored, path, RR_CORRUPT);
        flip(file, -1);
        CHECK_EQ(rename(file, hidden), 0);
        expect_refused(&restored, path, RR_CORRUPT);
        CHECK_EQ(rename(hidden, file), 0);
        count++;
    }
    closedir(directory);
    CHECK_EQ(count, (int)info.file_count + 1);
    restore(&restored, path); /* into what the refused ones have left */
    cluster_close(&restored);
}

/* Damages the largest table of the node's latest snapshot, which the state must not share. */
static void damage_latest(const struct cluster_node *node)
{
    char command[1024];
    char path[512] = "";
    snprintf(command, sizeof(command), "ls -S '%s'/snapshots/snapshot-*/*.sst | head -1",
             node->path);
    FILE *list = popen(command, "r");
    CHECK(list != NULL && fscanf(list, "%511s", path) == 1);
    CHECK_EQ(pclose(list), 0);
    struct stat file;
    CHECK_EQ(stat(path, &file), 0);
    CHECK_EQ(file.st_nlink, 1);
    flip(path, -1);
}

TEST(backup, of_a_snapshot_that_is_found_damaged_is_taken_of_another_one)
{
    struct cluster cluster;
    char error[ERROR_BYTES];
    cluster_open(&cluster, 1);
    rr_node *node = cluster_node(&cluster, 1);
    write_many(&cluster, 1, "many", 100, 100);
    CHECK_OK(rr_node_snapshot_wait(node, LONG_MS, NULL, NULL));
    /* Copies in the place of links: the damage is the snapshot's alone. */
    const char *copy = test_path(test_directory(), "copy");
    char command[1024];
    const char *data = cluster.nodes[0].path;
    snprintf(command, sizeof(command),
             "cp -r '%s/snapshots' '%s' && rm -r '%s'/snapshots/snapshot-* && "
             "cp -r '%s'/snapshot-* '%s/snapshots/'",
             data, copy, data, copy, data);
    CHECK_EQ(system(command), 0);
    damage_latest(&cluster.nodes[0]);
    const char *path = test_path(test_directory(), "backup");
    rr_backup_info info;
    save(&cluster, 1, path, &info);
    CHECK_EQ(metric(&cluster, 1, "snapshots_made_total"), 2);
    cluster_set(&cluster, 1, "a", "1"); /* it goes on */
    cluster_close(&cluster);
    CHECK_OK(rr_backup_verify(path, NULL, error, sizeof(error)));
}

/* ---- Breaks ---- */

struct breaker {
    struct cluster *cluster;
    uint64_t victim;
    uint64_t at_bytes;
    bool reopens;
    bool cancels;
    bool done;
    uint64_t low; /* the least that was there after the break */
};

/* Has the node end half way. */
static bool break_off(void *arg, const rr_backup_progress *progress)
{
    struct breaker *breaker = arg;
    if (breaker->done && progress->bytes_done < breaker->low) {
        breaker->low = progress->bytes_done;
    }
    if (breaker->done || progress->bytes_done < breaker->at_bytes) {
        return true;
    }
    breaker->done = true;
    breaker->low = UINT64_MAX;
    if (breaker->cancels) {
        return false;
    }
    cluster_close_node(breaker->cluster, breaker->victim);
    if (breaker->reopens) {
        cluster_open_node(breaker->cluster, breaker->victim);
    }
    return true;
}

static void prepare_large(struct cluster *cluster, size_t count)
{
    cluster_open(cluster, count);
    write_many(cluster, cluster_leader(cluster), "large", 400, 20 * 1000);
}

TEST(backup, goes_on_where_it_was_when_its_node_restarts)
{
    struct cluster cluster;
    char error[ERROR_BYTES];
    rr_backup_options options;
    rr_backup_info info;
    prepare_large(&cluster, 1);
    struct breaker breaker = {
        .cluster = &cluster, .victim = 1, .at_bytes = 4 << 20, .reopens = true};
    rr_backup_options_init(&options);
    options.progress = break_off;
    options.progress_arg = &breaker;
    const char *path = test_path(test_directory(), "backup");
    rr_status status = try_save(&cluster, 1, 0, &options, path, &info, error);
    if (status != RR_OK) {
        FAIL("no backup: %s: %s", rr_status_name(status), error);
    }
    CHECK(breaker.done);
    CHECK(breaker.low >= 4 << 20);
    CHECK(info.bytes > 6 << 20);
    /* The node that came back sent the rest alone. */
    CHECK_LE(metric(&cluster, 1, "backup_bytes_sent_total"), info.bytes - (4 << 20));
    cluster_close(&cluster);
    CHECK_OK(rr_backup_verify(path, NULL, error, sizeof(error)));
}

TEST(backup, is_taken_from_another_node_when_one_does_not_come_back)
{
    struct cluster cluster;
    char error[ERROR_BYTES];
    rr_backup_options options;
    rr_backup_info info;
    prepare_large(&cluster, 3);
    uint64_t victim = cluster_follower(&cluster);
    uint64_t other = victim % 3 + 1;
    struct breaker breaker = {.cluster = &cluster, .victim = victim, .at_bytes = 2 << 20};
    rr_backup_options_init(&options);
    options.progress = break_off;
    options.progress_arg = &breaker;
    const char *path = test_path(test_directory(), "backup");
    rr_status status = try_save(&cluster, victim, other, &options, path, &info, error);
    if (status != RR_OK) {
        FAIL("no backup: %s: %s", rr_status_name(status), error);
    }
    CHECK(breaker.done);
    CHECK_EQ(info.node, other);
    cluster_close(&cluster);
    CHECK_OK(rr_backup_verify(path, NULL, error, sizeof(error)));
}

TEST(backup, that_was_ended_goes_on_with_the_next_call)
{
    struct cluster cluster;
    char error[ERROR_BYTES];
    rr_backup_options options;
    rr_backup_info info;
    prepare_large(&cluster, 1);
    struct breaker breaker = {.cluster = &cluster, .at_bytes = 4 << 20, .cancels = true};
    rr_backup_options_init(&options);
    options.progress = break_off;
    options.progress_arg = &breaker;
    const char *path = test_path(test_directory(), "backup");
    CHECK_STATUS(try_save(&cluster, 1, 0, &options, path, &info, error), RR_CLOSED);
    struct stat there;
    CHECK_NE(stat(path, &there), 0);
    uint64_t sent = metric(&cluster, 1, "backup_bytes_sent_total");
    CHECK_OK(try_save(&cluster, 1, 0, &options, path, &info, error));
    CHECK_LE(metric(&cluster, 1, "backup_bytes_sent_total") - sent, info.bytes - (4 << 20));
    /* What was left of a backup that is older than the cluster's last write is of no use. */
    const char *second = test_path(test_directory(), "second");
    breaker.done = false;
    CHECK_STATUS(try_save(&cluster, 1, 0, &options, second, &info, error), RR_CLOSED);
    cluster_set(&cluster, 1, "last", "1");
    CHECK_OK(try_save(&cluster, 1, 0, &options, second, &info, error));
    cluster_close(&cluster);
    struct cluster restored;
    cluster_prepare(&restored, 1);
    restore(&restored, second);
    cluster_expect(&restored, 1, "last", "1", RR_READ_LOCAL);
    cluster_close(&restored);
}

/* ---- Limits ---- */

static bool go_on(void *arg)
{
    return arg == NULL;
}

/* Asks until the node has the snapshot, or says no. */
static rr_status ask_begin(struct backup_client *client, const char *address, uint64_t id)
{
    struct backup_question question = {0};
    struct backup_request request = {.kind = BACKUP_BEGIN, .id = id};
    struct backup_answer answer = {.preparing = true};
    struct storage_error error;
    while (answer.preparing) {
        backup_client_ask(client, &question, address, &request, LONG_MS);
        CHECK_OK(backup_client_await(client, &question, &answer, &error));
    }
    backup_question_deinit(&question);
    return answer.status;
}

static rr_status ask_chunk(struct backup_client *client, const char *address, uint64_t id,
                           uint64_t chunk)
{
    struct backup_question question = {0};
    struct backup_request request = {.kind = BACKUP_CHUNK, .id = id, .chunk = chunk};
    struct backup_answer answer;
    struct storage_error error;
    backup_client_ask(client, &question, address, &request, LONG_MS);
    CHECK_OK(backup_client_await(client, &question, &answer, &error));
    backup_question_deinit(&question);
    return answer.status;
}

TEST(backup, is_given_to_few_at_a_time_and_to_none_who_ask_no_further)
{
    struct cluster cluster;
    struct backup_client *client;
    struct storage_error error;
    cluster_prepare(&cluster, 1);
    struct log_lines *lines = log_lines_of(&cluster, 1);
    cluster_open_all(&cluster);
    const char *address = cluster.nodes[0].address;
    CHECK_OK(backup_client_open(go_on, NULL, &error, &client));
    for (uint64_t id = 1; id <= BACKUPS_MAX; id++) {
        CHECK_OK(ask_begin(client, address, id));
        CHECK_OK(ask_begin(client, address, id)); /* the same one */
    }
    CHECK_STATUS(ask_begin(client, address, 77), RR_BUSY);
    CHECK_STATUS(ask_chunk(client, address, 77, 0), RR_NOT_FOUND);
    CHECK_STATUS(ask_chunk(client, address, 1, 1000), RR_INVALID);
    CHECK_OK(ask_chunk(client, address, 1, 0));
    await_line(lines, "its client asks no further");
    CHECK_OK(ask_begin(client, address, 77));
    backup_client_close(client);
    cluster_close(&cluster); /* with backups that nobody has ended */
    log_lines_free(lines);
}
