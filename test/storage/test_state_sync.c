/* ctest: timeout=180 */
/* The state after a sync has failed, or while one takes long, be it RocksDB's own. */
#include "storage/state.h"

#include "storage/child.h"
#include "storage/state_helpers.h"
#include "support/test.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- In place of the C library's --- */

static atomic_int until_failure = INT_MAX;               /* syncs that work */
static atomic_int failures;                              /* then so many fail */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* held while a sync begins */

/* What was written stays in the system's cache, so whoever opens the file again finds it. */
static int sync_or_fail(int fd, long call)
{
    if (atomic_fetch_sub(&until_failure, 1) <= 0 && atomic_fetch_sub(&failures, 1) > 0) {
        errno = EIO;
        return -1;
    }
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return (int)syscall(call, fd);
}

__attribute__((visibility("default"))) int fsync(int fd)
{
    return sync_or_fail(fd, SYS_fsync);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
    return sync_or_fail(fd, SYS_fdatasync);
}

/* --- The state --- */

enum { SYNC_FAILED = 5 }; /* exit code of a child */

/* Writes a table with three more commits, in which `count` syncs fail after child->fault others, and
 * ends without closing anything. */
static void write_table(const struct child *child, int count)
{
    struct state *state = open_state(child->directory);
    raft_index index = state_applied(state).index;
    commit_counters(state, index + 1, index + 3, 0);
    atomic_store(&failures, count);
    atomic_store(&until_failure, (int)child->fault);
    rr_status status = state_flush(state, true, NULL);
    bool met = atomic_load(&until_failure) < 0;
    CHECK_STATUS(status, met ? RR_IO : RR_OK);
    CHECK_EQ(state_failure(state) != NULL, met);
    CHECK_EQ(check_counters(state), index + 3);
    _exit(met ? SYNC_FAILED : 0);
}

CHILD(meets_one_failed_sync)
{
    write_table(child, 1);
}

CHILD(meets_failing_syncs)
{
    write_table(child, INT_MAX);
}

/* Whether the child met a sync that fails. */
static bool run_child(const char *name, const char *directory, uint64_t working)
{
    struct child child = {.directory = directory, .fd = -1, .fault = working};
    int wait_status = test_wait(child_start(name, &child));
    CHECK(WIFEXITED(wait_status));
    if (WEXITSTATUS(wait_status) != SYNC_FAILED) {
        CHECK_EQ(WEXITSTATUS(wait_status), 0);
        return false;
    }
    return true;
}

/* Each sync of a table's way to disk fails in turn. */
static void check_syncs(const char *name)
{
    const char *directory = test_directory();
    state_close(open_state(directory));
    raft_index last = 0;
    uint64_t working = 0;
    for (bool met = true; met; working++) {
        met = run_child(name, directory, working);
        struct state *state = open_state(directory);
        raft_index applied = check_counters(state);
        CHECK(applied == last + 3 || (met && applied == last));
        last = applied;
        state_close(state);
    }
    CHECK_GT(working, 4); /* the table, under both names, the directory, and the manifest */
}

TEST(state_sync, is_some_commit_after_one_that_failed)
{
    check_syncs("meets_one_failed_sync");
}

TEST(state_sync, is_some_commit_after_all_failed_from_one_on)
{
    check_syncs("meets_failing_syncs");
}

/* --- A disk that takes its time --- */

static uint64_t memory_of(struct state *state)
{
    struct state_counters counters;
    state_counters(state, &counters);
    return counters.memory_bytes;
}

static raft_index persisted(struct state *state)
{
    struct state_position position;
    CHECK_OK(state_persisted(state, &position, NULL));
    return position.index;
}

TEST(state_sync, is_written_later_where_two_tables_wait_already)
{
    enum { TABLE_BYTES = 16 * 1024 };
    struct state_options options = {.path = test_directory(), .memtable_bytes = TABLE_BYTES};
    struct state *state;
    CHECK_OK(state_open(&options, NULL, &state));
    raft_index index = 0;
    pthread_mutex_lock(&gate);
    /* Neither waiting table is larger than a table and one of its chunks, of 4 KiB. */
    while (memory_of(state) <= 2 * TABLE_BYTES + TABLE_BYTES / 2) {
        index++;
        commit_counters(state, index, index, 100);
    }
    CHECK_OK(state_flush(state, false, NULL));
    CHECK_EQ(persisted(state), 0);
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < 20000 && persisted(state) != index; i++) {
        usleep(1000);
    }
    CHECK_EQ(persisted(state), index);
    state_close(state);
}
