/* A damaged state comes back from what else the disk has, or says that it cannot. */
#include "storage/state_rebuild.h"

#include "storage/child.h"
#include "storage/file.h"
#include "storage/state_helpers.h"
#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SNAPSHOT_AT = 250, STATE_AT = 300 };

/* A state at STATE_AT with a snapshot at SNAPSHOT_AT; returns the digest of the snapshot. */
static uint64_t make_state(const char *directory)
{
    struct state *state = open_state(directory);
    struct snapshot_store *snapshots = open_snapshots(directory);
    commit_counters(state, 1, SNAPSHOT_AT, 100);
    uint64_t digest = digest_of(state);
    CHECK_OK(snapshot_create(snapshots, state, NULL, NULL));
    commit_counters(state, SNAPSHOT_AT + 1, STATE_AT, 100);
    snapshot_store_close(snapshots);
    state_close(state);
    return digest;
}

static rr_status rebuild(const char *directory, struct storage_error *error)
{
    struct snapshot_store *snapshots = open_snapshots(directory);
    struct snapshot *snapshot = snapshot_store_latest(snapshots);
    CHECK(snapshot != NULL);
    rr_status status = state_rebuild(directory, snapshot, error);
    snapshot_release(snapshot);
    snapshot_store_close(snapshots);
    return status;
}

static rr_status open_status(const char *directory)
{
    struct state_options options = {.path = directory};
    struct storage_error error = {0};
    struct state *state;
    rr_status status = state_open(&options, &error, &state);
    if (status == RR_OK) {
        state_close(state);
    }
    return status;
}

/* Checks that the state is the snapshot's and goes on from there. */
static void check_rebuilt(const char *directory, uint64_t digest)
{
    struct state *state = open_state(directory);
    CHECK_EQ(check_counters(state), SNAPSHOT_AT);
    CHECK_EQ(digest_of(state), digest);
    commit_counters(state, SNAPSHOT_AT + 1, SNAPSHOT_AT + 5, 10);
    state_close(state);
    state = open_state(directory);
    CHECK_EQ(check_counters(state), SNAPSHOT_AT + 5);
    state_close(state);
}

TEST(state_rebuild, writes_a_pointer_that_can_only_name_one)
{
    const char *directory = test_directory();
    make_state(directory);
    const char *pointer = path_in(directory, "STATE");
    bool written;
    CHECK_OK(state_rebuild_pointer(directory, &written, NULL));
    CHECK(!written);
    for (int missing = 0; missing < 2; missing++) {
        if (missing) {
            CHECK_EQ(unlink(pointer), 0);
        } else {
            CHECK_OK(file_replace(pointer, test_bytes_of("nonsense"), NULL));
        }
        CHECK_STATUS(open_status(directory), RR_CORRUPT);
        CHECK_OK(state_rebuild_pointer(directory, &written, NULL));
        CHECK(written);
        struct state *state = open_state(directory);
        CHECK_EQ(check_counters(state), STATE_AT);
        state_close(state);
    }
}

TEST(state_rebuild, does_not_guess_which_of_two_states_is_current)
{
    const char *directory = test_directory();
    make_state(directory);
    CHECK_OK(directory_create(path_in(directory, "state-7"), NULL));
    CHECK_EQ(unlink(path_in(directory, "STATE")), 0);
    bool written;
    struct storage_error error = {0};
    CHECK_STATUS(state_rebuild_pointer(directory, &written, &error), RR_CORRUPT);
    CHECK(strstr(error.text, "2 states") != NULL);
    CHECK(!file_exists(path_in(directory, "STATE")));
}

TEST(state_rebuild, makes_a_missing_and_a_damaged_state_anew)
{
    for (int missing = 0; missing < 2; missing++) {
        const char *directory = test_directory();
        uint64_t digest = make_state(directory);
        if (missing) {
            CHECK_OK(file_remove_tree(path_in(directory, "state-1"), NULL));
        } else {
            const char *current = path_in(directory, "state-1/CURRENT");
            CHECK_OK(file_replace(current, test_bytes_of("MANIFEST-999999\n"), NULL));
        }
        CHECK_NE(open_status(directory), RR_OK);
        CHECK_OK(rebuild(directory, NULL));
        CHECK(file_exists(path_in(directory, "state-2")));
        check_rebuilt(directory, digest);
        CHECK(!file_exists(path_in(directory, "state-1")));
    }
}

/* A table that the checkpoint shares with the state is the same file: one flipped bit is in both. */
TEST(state_rebuild, refuses_a_snapshot_that_is_damaged_itself)
{
    const char *directory = test_directory();
    make_state(directory);
    char command[1024];
    snprintf(command, sizeof(command),
             "for f in %s/snapshots/snapshot-1/*.sst; do printf X | dd of=$f bs=1 seek=60 "
             "conv=notrunc 2>/dev/null; break; done",
             directory);
    CHECK_EQ(system(command), 0);
    struct storage_error error = {0};
    CHECK_STATUS(rebuild(directory, &error), RR_CORRUPT);
    CHECK(strstr(error.text, "fails its checksum") != NULL);
    CHECK(!file_exists(path_in(directory, "state-2")));
    CHECK_OK(open_status(directory)); /* what there was is as it was */
}

CHILD(rebuilds)
{
    struct snapshot_store_options options = {.path = path_in(child->directory, "snapshots")};
    uint64_t fault = child->fault;
    file_fault_after(0, FILE_FAULT_NONE);
    struct snapshot_store *snapshots;
    CHECK_OK(snapshot_store_open(&options, NULL, &snapshots));
    struct snapshot *snapshot = snapshot_store_latest(snapshots);
    file_fault_after(fault, (enum file_fault)child->fault_kind);
    struct storage_error error = {0};
    rr_status status = state_rebuild(child->directory, snapshot, &error);
    if (status != RR_OK && (file_fault_pending() || error.text[0] == 0)) {
        _exit(5);
    }
}

TEST(state_rebuild, leaves_the_old_or_the_new_state_after_a_fault_at_any_step)
{
    for (int fault = FILE_FAULT_ERROR; fault <= FILE_FAULT_EXIT; fault++) {
        int old = 0;
        bool met = true;
        for (uint64_t nth = 1; met; nth++) {
            const char *directory = test_directory();
            uint64_t digest = make_state(directory);
            CHECK_OK(file_remove_tree(path_in(directory, "state-1"), NULL));
            met = child_meets_fault("rebuilds", directory, nth, fault);
            if (open_status(directory) == RR_CORRUPT) {
                old++;
                CHECK_OK(rebuild(directory, NULL));
            }
            check_rebuilt(directory, digest);
        }
        CHECK_GT(old, 5);
    }
}
