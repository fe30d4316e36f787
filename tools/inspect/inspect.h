/*
 * The parts of a data directory, each printed and verified. Every function reads alone, prints
 * items and findings to the place's output, and says what the others need to know.
 */
#ifndef INSPECT_INSPECT_H
#define INSPECT_INSPECT_H

#include "inspect/files.h"
#include "inspect/identity.h"
#include "inspect/segments.h"

/* What a run prints and how much it verifies. Only the parts of a directory that it prints
 * something of are read; all of them, if it prints the identity. */
struct request {
    bool identity, log, segments, groups, frames, entries, state, members, keys, snapshots;
    bool deep;       /* every byte is verified */
    bool print_data; /* entries and values with their bytes */
    bool has_segment;
    uint64_t segment; /* of frames: this one alone */
    bool has_group;
    uint64_t group; /* of entries: this one alone */
    uint64_t from, to;
    struct slice prefix;
    uint64_t limit; /* of keys and entries */
};

/* A group's log as a node would recover it. */
struct group_bounds {
    bool is_known; /* false: there is no such group, or it is damaged */
    uint64_t term, vote, commit;
    uint64_t base_index, base_term;
    uint64_t last_index, last_term;
};

/* What is known of the log. */
struct log_facts {
    bool is_there;              /* there is a log with groups */
    bool is_whole;              /* all of it was read, and nothing is wrong */
    struct group_bounds bounds; /* of the node's own group, 0 */
    uint64_t applied_term;      /* of the entry that `applied_index` asked for; 0: not known */
};

/* What is known of the applied state, and of a snapshot. */
struct position {
    bool is_known;
    uint64_t index;
    uint64_t term;
};

/* IDENTITY, FORMER and DAMAGED. `is_fresh`: nothing was promised under the incarnation yet, so that a
 * log may be missing. */
void inspect_identity(const struct place *place, struct identity *out, bool *is_fresh);

/* The log, of either kind, in the directory that the next start would take. */
void inspect_log(const struct place *place, const struct request *request, uint64_t applied_index,
                 struct log_facts *out);
void inspect_segments(const struct place *place, const struct request *request,
                      const char *directory, uint64_t applied_index, struct log_facts *out);
void inspect_rocksdb_log(const struct place *place, const struct request *request,
                         const char *directory, uint64_t applied_index, struct log_facts *out);

/* STATE and the current state. */
void inspect_state(const struct place *place, const struct request *request,
                   const struct identity *identity, struct position *out);

/* Complete snapshots and the one being received; `out` is the newest complete and whole one. */
void inspect_snapshots(const struct place *place, const struct request *request,
                       struct position *out);

/* Prints a group's bounds. */
void inspect_group(const struct place *place, uint64_t group, const struct group_bounds *bounds);

/* Prints an entry. */
void inspect_entry(const struct place *place, const struct request *request, uint64_t group,
                   uint64_t index, const struct entry *entry);

/* Whether `request` asks for this entry. */
bool request_wants(const struct request *request, uint64_t group, uint64_t index);

/* How the three hold together. */
void inspect_relations(const struct place *place, bool is_fresh, const struct log_facts *log,
                       const struct position *state, const struct position *snapshot);

#endif
