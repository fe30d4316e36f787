/*
 * Sees whether the files of a snapshot are still what its manifest says, while their chunks are
 * read to be sent: so nothing is read twice, and the last chunk of a rotten file stays here.
 */
#ifndef STORAGE_SNAPSHOT_CHECK_H
#define STORAGE_SNAPSHOT_CHECK_H

#include "storage/snapshot.h"

/* One sender's way through a snapshot. One thread at a time. */
struct snapshot_check {
    const struct snapshot *snapshot; /* held by the caller */
    uint64_t next;                   /* byte of the run of all files */
    bool from_start;                 /* the file at `next` was seen from its first byte on */
    uint64_t sum;                    /* of its whole pieces */
    struct buffer piece;             /* what follows those */
};

void snapshot_check_init(struct snapshot_check *check, const struct snapshot *snapshot);
void snapshot_check_deinit(struct snapshot_check *check);

/*
 * Takes chunk `number` as it was read. A file of which chunks were left out (the receiver had them
 * already) is not checked; the receiver's end of all does that.
 *
 * RR_CORRUPT, with a text: a file that ends in the chunk is not what it was. `in_use` then tells
 * whether the state, too, has that file: the damage is then the state's. RR_NO_MEMORY.
 */
RR_MUST_USE rr_status snapshot_check_chunk(struct snapshot_check *check, uint64_t number,
                                           rr_bytes chunk, bool *in_use,
                                           struct storage_error *error);

#endif
