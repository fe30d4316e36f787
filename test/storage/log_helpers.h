/* What the tests of log stores share: writing frames in one line, and a model to compare with. */
#ifndef TEST_STORAGE_LOG_HELPERS_H
#define TEST_STORAGE_LOG_HELPERS_H

#include "storage/log_store.h"

/* Opens the implementation under test in `directory`; each program defines its own. */
rr_status suite_open(const char *directory, struct storage_error *error, struct log_store **out);

/* As suite_open, and it must succeed. */
struct log_store *open_log(const char *directory);

/* Submits a frame of one record and returns how it completed. */
rr_status submit(struct log_store *store, const struct log_record *record);
rr_status submit_frame(struct log_store *store, const struct log_frame *frame);

/* A new entry whose data depends on (index, term) alone. */
struct raft_entry *make_entry(raft_index index, raft_term term, size_t size);

/* Appends the entries from `first` to `last`, 100 bytes each, with `term`; it must succeed. */
void append_entries(struct log_store *store, raft_group group, raft_index first, raft_index last,
                    raft_term term);

/* Whether it is the entry that make_entry would have made. */
void check_entry(const struct raft_entry *entry, raft_index index, raft_term term);

/* Checks that the log of `group` has exactly these bounds, by reading all of it. */
void check_log(struct log_store *store, raft_group group, raft_index base_index,
               raft_term base_term, raft_index last_index);

/* Recovers a group, which must succeed. */
struct log_recovery recover(struct log_store *store, raft_group group);

/* The term of one entry, read from the store. */
raft_term term_at(struct log_store *store, raft_group group, raft_index index);

#endif
