/* ctest: timeout=300
 * Taking and restoring a backup with a fault of the disk, or the process's end, at every step: what is
 * left is nothing, or the whole, and the same call then succeeds.
 */
#include "members_helpers.h"

#include "rockraft/backup.h"
#include "storage/data_dir.h"
#include "storage/file.h"

#include <stdio.h>
#include <string.h>

extern char **environ;

enum {
    CHILD_FAILED = 3,   /* and said why */
    CHILD_HARMLESS = 4, /* it met its fault where that does no harm: in what it tidies up */
    STRIDE = 7,         /* restoring has a hundred steps, each of which waits for the disk often */
    SAVE_STRIDE = 3,
    ERROR_BYTES = 1024,
};

/* ---- A process of its own for each step: this program executed anew ---- */

static rr_status save_from(const char *address, const char *path, char error[ERROR_BYTES])
{
    rr_backup_options options;
    const char *from[] = {address};
    rr_backup_options_init(&options);
    options.from = from;
    options.from_count = 1;
    options.path = path;
    options.timeout_ms = CLUSTER_PATIENCE_MS;
    return rr_backup_save(&options, NULL, error, ERROR_BYTES);
}

static rr_status restore_to(const char *path, const char *data, const char *address,
                            char error[ERROR_BYTES])
{
    rr_restore_options options;
    rr_restore_options_init(&options);
    options.path = path;
    options.data_path = data;
    options.node_id = 1;
    options.address = address;
    return rr_backup_restore(&options, NULL, NULL, error, ERROR_BYTES);
}

/* "KIND NTH FAULT ADDRESS BACKUP DATA", in the environment. */
__attribute__((constructor)) static void run_child(void)
{
    const char *told = getenv("BACKUP_CHILD");
    char kind[16];
    char address[64];
    char backup[512];
    char data[512];
    char error[ERROR_BYTES] = "";
    unsigned long nth;
    int fault;
    if (told == NULL) {
        return;
    }
    if (sscanf(told, "%15s %lu %d %63s %511s %511s", kind, &nth, &fault, address, backup, data) !=
        6) {
        _exit(1);
    }
    file_fault_after(nth, (enum file_fault)fault);
    rr_status status = strcmp(kind, "save") == 0 ? save_from(address, backup, error)
                                                 : restore_to(backup, data, address, error);
    if (status == RR_OK) {
        _exit(file_fault_pending() ? 0 : CHILD_HARMLESS);
    }
    bool said = error[0] != '\0' && (status == RR_IO || status == RR_NO_SPACE);
    _exit(said ? CHILD_FAILED : 2);
}

/* Whether the child met its fault, ended by it or said so. */
static bool child_meets_fault(const char *kind, unsigned long nth, enum file_fault fault,
                              const char *address, const char *backup, const char *data)
{
    char told[1200];
    snprintf(told, sizeof(told), "%s %lu %d %s %s %s", kind, nth, (int)fault, address, backup,
             data);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        setenv("BACKUP_CHILD", told, 1);
        char *const arguments[] = {(char *)"backup-child", NULL};
        execve("/proc/self/exe", arguments, environ);
        _exit(1);
    }
    int status = test_wait(pid);
    CHECK(WIFEXITED(status));
    if (WEXITSTATUS(status) == 0) {
        return false;
    }
    if (WEXITSTATUS(status) == CHILD_HARMLESS) {
        return true;
    }
    if (WEXITSTATUS(status) != (fault == FILE_FAULT_EXIT ? FILE_FAULT_EXIT_CODE : CHILD_FAILED)) {
        FAIL("the child ended with %d at step %lu", WEXITSTATUS(status), nth);
    }
    return true;
}

static void remove_all(const char *path)
{
    CHECK_OK(file_remove_tree(path, NULL));
}

/* ---- Restoring ---- */

static void open_restored(struct cluster *restored)
{
    cluster_open_node(restored, 1);
    cluster_expect(restored, 1, "many-99", "x", RR_READ_LINEARIZABLE);
    cluster_close_node(restored, 1);
}

/* What a fault left: nothing that anybody starts from, or all of it. */
static void check_left(struct cluster *restored)
{
    const char *path = restored->nodes[0].path;
    struct data_dir_options options = {.path = path, .node = 1};
    struct storage_error error = {{0}};
    struct data_dir *directory;
    char identity[512];
    char state[512];
    snprintf(identity, sizeof(identity), "%s/IDENTITY", path);
    snprintf(state, sizeof(state), "%s/STATE", path);
    if (file_exists(identity)) {
        open_restored(restored);
        return;
    }
    if (file_exists(state)) {
        CHECK_STATUS(data_dir_open(&options, &error, &directory), RR_CORRUPT);
        CHECK(strstr(error.text, "did not end") != NULL);
    }
}

/* A cluster with a hundred keys, which runs. */
static void open_with_keys(struct cluster *cluster)
{
    cluster_open(cluster, 1);
    for (int i = 0; i < 100; i++) {
        char key[32];
        snprintf(key, sizeof(key), "many-%d", i);
        cluster_set(cluster, 1, key, "x");
    }
}

static const char *make_backup(void)
{
    struct cluster cluster;
    char error[ERROR_BYTES];
    open_with_keys(&cluster);
    const char *path = test_path(test_directory(), "backup");
    CHECK_OK(save_from(cluster.nodes[0].address, path, error));
    cluster_close(&cluster);
    return path;
}

/* The kinds of faults take turns; the seed says who begins, and where, so that in time each kind meets
 * every step. */
static enum file_fault fault_at(unsigned long nth, uint64_t seed, enum file_fault failure)
{
    return (nth + seed) % 2 == 0 ? failure : FILE_FAULT_EXIT;
}

TEST(backup_crash, restoring_leaves_nothing_or_all)
{
    struct cluster restored;
    const char *backup = make_backup();
    uint64_t seed = test_seed((uint64_t)getpid());
    char error[ERROR_BYTES];
    cluster_prepare(&restored, 1);
    const char *data = restored.nodes[0].path;
    const char *address = restored.nodes[0].address;
    unsigned long nth = 1 + seed % STRIDE;
    for (;; nth += STRIDE) {
        remove_all(data);
        if (!child_meets_fault("restore", nth, fault_at(nth, seed, FILE_FAULT_ERROR), address,
                               backup, data)) {
            break;
        }
        check_left(&restored);
        if (nth % 2 == 0 && !file_exists(test_path(data, "IDENTITY"))) {
            rr_status status = restore_to(backup, data, address, error);
            if (status != RR_OK) {
                FAIL("not restored after step %lu: %s", nth, error);
            }
            open_restored(&restored);
        }
    }
    CHECK(nth > 20);
    open_restored(&restored);
    cluster_close(&restored);
}

/* ---- Taking ---- */

TEST(backup_crash, saving_leaves_nothing_or_all)
{
    uint64_t seed = test_seed((uint64_t)getpid());
    struct cluster cluster;
    char error[ERROR_BYTES];
    open_with_keys(&cluster);
    const char *address = cluster.nodes[0].address;
    const char *directory = test_directory();
    const char *path = test_path(directory, "backup");
    const char *partial = test_path(directory, "backup.partial");
    unsigned long nth = 1 + seed / 2 % SAVE_STRIDE;
    for (;; nth += SAVE_STRIDE) {
        remove_all(partial);
        if (!child_meets_fault("save", nth, fault_at(nth, seed, FILE_FAULT_FULL), address, path,
                               "-")) {
            break;
        }
        if (file_exists(path)) {
            CHECK_OK(rr_backup_verify(path, NULL, error, sizeof(error)));
            remove_all(path);
        }
        if (nth % 2 == 0) { /* from what was left */
            CHECK_OK(save_from(address, path, error));
            CHECK_OK(rr_backup_verify(path, NULL, error, sizeof(error)));
            remove_all(path);
        }
    }
    CHECK(nth > 5);
    CHECK_OK(rr_backup_verify(path, NULL, error, sizeof(error)));
    cluster_close(&cluster);
}
