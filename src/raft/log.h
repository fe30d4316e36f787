/*
 * What the core knows of the log: positions, the term of every entry as runs, and where the
 * configuration entries are. The entries themselves are the host's.
 *
 * Invariants: base <= applied <= committed <= last; base <= persisted <= last, where persisted is
 * known durable here; runs ascend in index and term and cover base+1 to last without a gap.
 */
#ifndef RAFT_LOG_H
#define RAFT_LOG_H

#include "raft/types.h"

struct raft_log {
    raft_index base; /* before the first entry: what was compacted, or a snapshot's position */
    raft_term base_term;
    raft_index last;
    raft_index persisted;
    raft_index committed;
    raft_index applied;
    struct raft_term_run *runs;
    uint32_t run_count;
    uint32_t run_capacity;
    raft_index *configurations; /* of configuration entries above `applied`, ascending */
    uint32_t configuration_count;
    uint32_t configuration_capacity;
};

void raft_log_init(struct raft_log *log, raft_index base, raft_term base_term);
void raft_log_deinit(struct raft_log *log);

raft_term raft_log_last_term(const struct raft_log *log);

/* The term at `index`; false when it is compacted or beyond the end. */
bool raft_log_term(const struct raft_log *log, raft_index index, raft_term *out);

/* Whether the entry at `index` is known to have `term`. */
bool raft_log_matches(const struct raft_log *log, raft_index index, raft_term term);

/* Whether a log that ends in (term, index) is at least as up to date as this one (5.4.1). */
bool raft_log_up_to_date(const struct raft_log *log, raft_index index, raft_term term);

/* Adds one entry at the end. Terms never fall. */
void raft_log_append(struct raft_log *log, raft_term term, bool configuration);

/* Drops the entries after `index`, none of them committed. */
void raft_log_truncate(struct raft_log *log, raft_index index);

/* Forgets the entries up to `index`, all of them applied; below the base nothing happens. */
void raft_log_compact(struct raft_log *log, raft_index index);

/* Replaces the whole log by a snapshot's position, which is beyond `committed`. */
void raft_log_restore(struct raft_log *log, raft_index index, raft_term term);

/* The largest index up to `index` whose term here is at most `term`, and that term; the search
 * stops at an index whose term is not known, with term 0, and below 1 with 0 and 0. */
raft_index raft_log_find_term(const struct raft_log *log, raft_index index, raft_term term,
                              raft_term *found);

/* `index` never falls and never passes `committed`. */
void raft_log_applied(struct raft_log *log, raft_index index);

/* Configuration entries that are not applied: all of them, and those that are committed. */
uint32_t raft_log_configurations_pending(const struct raft_log *log);
uint32_t raft_log_configurations_committed(const struct raft_log *log);

#endif
