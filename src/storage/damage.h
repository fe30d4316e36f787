/*
 * DAMAGED, the mark that a running node leaves in its data directory when it meets damage there and
 * halts: the next start repairs what it names, or refuses, rather than trusting it once more.
 *
 * RocksDB, for one, opens without reading its tables, so what was found while running would
 * otherwise be forgotten.
 */
#ifndef STORAGE_DAMAGE_H
#define STORAGE_DAMAGE_H

#include "storage/error.h"

/* What is damaged; values are on the disk. */
enum damage_part {
    DAMAGE_LOG = 1,   /* log and hard state: entries, a vote or a commit index may be lost */
    DAMAGE_STATE = 2, /* the applied state: the log and a snapshot may bring it back */
    DAMAGE_ALL = 3,
};

struct damage {
    unsigned parts;                     /* of enum damage_part; 0: none is known */
    char text[STORAGE_ERROR_BYTES_MAX]; /* what was found first, for people */
};

/*
 * Adds `part` to the mark in `directory`, durably; the text of an earlier mark stays. Blocking; any
 * thread, one at a time. RR_IO, RR_NO_SPACE, RR_NO_MEMORY: the mark is as it was, or names `part` already.
 */
RR_MUST_USE rr_status damage_mark(const char *directory, enum damage_part part, const char *text,
                                  struct storage_error *error);

/*
 * Reads the mark. Without one `parts` is 0; a mark that is itself damaged names all parts. RR_IO,
 * RR_NO_MEMORY, RR_MISMATCH (a newer version wrote it).
 */
RR_MUST_USE rr_status damage_read(const char *directory, struct damage *out,
                                  struct storage_error *error);

/* Removes the mark durably, once nothing it names is left; none there is fine. RR_IO. */
RR_MUST_USE rr_status damage_clear(const char *directory, struct storage_error *error);

#endif
