/*
 * A damaged state made anew from what else is on this disk. Nothing is lost by it where the log
 * still has every entry after the new position: log_store_align sees to that.
 *
 * For the owner of the data directory, while the state is not open. Blocking.
 */
#ifndef STORAGE_STATE_REBUILD_H
#define STORAGE_STATE_REBUILD_H

#include "storage/snapshot.h"

/*
 * Writes STATE anew where it is damaged or missing and there is one state directory alone: as an
 * old one goes only when STATE durably names its successor, that one is current.
 *
 * RR_OK: STATE is whole, written just now or before (`written` tells). RR_CORRUPT: there is not
 * exactly one directory. RR_MISMATCH (a newer version's), RR_IO, RR_NO_SPACE.
 */
RR_MUST_USE rr_status state_rebuild_pointer(const char *directory, bool *written,
                                            struct storage_error *error);

/*
 * Makes a new current state of `snapshot`, whose files are all verified before. What was the state
 * is removed when it is opened next. After a crash at any point the old one is current, or the new
 * one, whole.
 *
 * RR_CORRUPT: the snapshot is damaged, too. RR_IO, RR_NO_SPACE, RR_NO_MEMORY.
 */
RR_MUST_USE rr_status state_rebuild(const char *directory, struct snapshot *snapshot,
                                    struct storage_error *error);

#endif
