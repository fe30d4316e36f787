/*
 * INSTALLING, the mark that a snapshot is taking the place of state and log: the state comes first,
 * so a crash in between leaves it ahead of the log. Without the mark a state that is ahead of its
 * log means that the log has lost entries.
 */
#ifndef STORAGE_INSTALL_MARK_H
#define STORAGE_INSTALL_MARK_H

#include "storage/state.h"

/* Writes the mark in `directory`, durably, before the state is replaced. Blocking, as all here.
 * RR_IO, RR_NO_SPACE, RR_NO_MEMORY. */
RR_MUST_USE rr_status install_mark_set(const char *directory, struct state_position position,
                                       struct storage_error *error);

/* Whether there is a mark, and for which position. A damaged one is none. RR_IO, RR_NO_MEMORY. */
RR_MUST_USE rr_status install_mark_read(const char *directory, bool *marked,
                                        struct state_position *out, struct storage_error *error);

/* Removes the mark, durably, once the log begins where the state is; none there is fine. RR_IO. */
RR_MUST_USE rr_status install_mark_clear(const char *directory, struct storage_error *error);

#endif
