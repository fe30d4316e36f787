/*
 * What a log in segments says of its groups: the records of its frames in their order, as
 * docs/disk-format.md tells to read them. Entries are known by their places alone.
 */
#ifndef INSPECT_GROUPS_H
#define INSPECT_GROUPS_H

#include "inspect/frame.h"

/* Entries of one term that stand one after the other in a frame. */
struct span {
    uint64_t first;
    uint64_t count;
    uint64_t term;
    uint64_t segment;
    uint64_t offset; /* in the segment's file, of the size of the entry `start` */
    uint64_t start;  /* at most `first`: those before it do not count any more */
};

struct group {
    uint64_t id;
    uint64_t term, vote, commit;
    uint64_t base_index, base_term;
    uint64_t last_index, last_term; /* of the base, without entries */
    struct span *spans;             /* ascending; between them are entries of unknown place */
    size_t spans_begin, spans_end, spans_capacity;
};

/* All groups, ids ascending. */
struct groups {
    struct group **list;
    size_t count, capacity;
    uint64_t *changed; /* groups that the present frame has records of */
    size_t changed_count, changed_capacity;
    bool no_memory; /* then what is known is not complete, and nothing may be concluded from it */
};

void groups_clear(struct groups *groups);

struct group *groups_find(const struct groups *groups, uint64_t id);

/* Where a body stands. */
struct body_place {
    uint64_t segment;
    uint64_t offset; /* of the body in the segment's file */
    struct slice body;
};

/* Makes the groups those of a checkpoint. `oldest` is the oldest segment that it names. NULL, or
 * what is wrong. */
const char *groups_begin(struct groups *groups, const struct body_place *place, uint64_t *oldest);

/* Verifies that a later checkpoint says of every group what is known. NULL, or what is wrong. */
const char *groups_compare(struct groups *groups, const struct body_place *place, uint64_t *oldest);

/* Follows the records of a frame; each entry is verified. NULL, or what is wrong; `wrong_at` is
 * then the offset in the file. */
const char *groups_follow(struct groups *groups, const struct body_place *place,
                          uint64_t *wrong_at);

/* The first entry between base and last whose place is not known; false if there is none. */
bool group_missing(const struct group *group, uint64_t *index);

#endif
