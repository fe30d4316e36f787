/* What the tests of the state and of snapshots share. */
#ifndef TEST_STORAGE_STATE_HELPERS_H
#define TEST_STORAGE_STATE_HELPERS_H

#include "storage/snapshot.h"
#include "storage/state.h"

/* Opens the state of a data directory with small memory, or a store of snapshots with chunks of
 * 4 KiB in `directory`/snapshots; it must succeed. */
struct state *open_state(const char *directory);
struct snapshot_store *open_snapshots(const char *directory);

/* A batch with one put of text, or one delete (value NULL), committed at `index`, term 1. */
void commit_put(struct state *state, raft_index index, const char *key, const char *value);

/* Commits one batch for each index: the key "counter" becomes the index in decimal, and so does
 * the key "key-<index modulo 1000>"; `filler` random bytes follow in the value of the latter. */
void commit_counters(struct state *state, raft_index first, raft_index last, size_t filler);

/* The number in "counter" of what `view` shows; 0 without the key. */
uint64_t counter_of(struct state_view *view);

/* Checks that the state's counter, meta and position agree, and returns the position's index. */
raft_index check_counters(struct state *state);

/* "directory/name"; lasts for the next 15 calls, which test_path would run out of in loops. */
const char *path_in(const char *directory, const char *name);

/* The text value of a key, or NULL; lasts until the next call. */
const char *text_of(struct state *state, const char *key);

uint64_t digest_of(struct state *state);

/* Adds "key=value " to a text buffer of 64 KiB; a visitor. */
bool visit_text(void *arg, rr_bytes key, rr_bytes value);

#endif
