/*
 * FORMER, the incarnations that a data directory had before it was damaged, and what is to be set
 * aside of the last one.
 *
 * A damaged disk is a new disk: it must not go on under the incarnation whose promises it may have
 * lost. The new one is named here first, then in IDENTITY, and only then are the damaged parts moved
 * away, so that at no time the old incarnation is found without them (data_dir_renew).
 */
#ifndef STORAGE_FORMER_H
#define STORAGE_FORMER_H

#include "storage/damage.h"

#include <stdbool.h>

enum {
    FORMER_COUNT_MAX = 16, /* of which the oldest are forgotten */
};

struct former {
    uint64_t incarnation; /* that follows them; 0: there is no such file */
    unsigned parts; /* of enum damage_part: to be set aside, once IDENTITY has `incarnation` */
    bool fresh;     /* that has promised nothing yet: its log is to be begun where the state is */
    uint32_t count; /* 0: the directory was restored from a backup */
    uint64_t incarnations[FORMER_COUNT_MAX]; /* oldest first */
};

/* Reads the file of `directory`; all zero without one. Blocking, as all here. RR_IO, RR_NO_MEMORY,
 * RR_CORRUPT, RR_MISMATCH (a newer version wrote it). */
RR_MUST_USE rr_status former_read(const char *directory, struct former *out,
                                  struct storage_error *error);

/* Replaces the file, durably. RR_IO, RR_NO_SPACE, RR_NO_MEMORY: it is the old or the new one. */
RR_MUST_USE rr_status former_write(const char *directory, const struct former *former,
                                   struct storage_error *error);

/* Moves what belongs to `parts` (the state's with the snapshots), and a mark of damage that names nothing else, to the folder
 * damaged-<incarnation>, durably. May be repeated. RR_IO, RR_NO_SPACE, RR_NO_MEMORY. */
RR_MUST_USE rr_status former_set_aside(const char *directory, unsigned parts, uint64_t incarnation,
                                       struct storage_error *error);

#endif
