/*
 * STATE, the file that names the current state-<n> directory. It is replaced as a whole, so the
 * switch from one state to another is one step.
 */
#ifndef STORAGE_STATE_POINTER_H
#define STORAGE_STATE_POINTER_H

#include "rockraft/types.h"
#include "storage/error.h"
#include "storage/file.h"

/* Reads the number from STATE in `directory`. RR_NOT_FOUND without the file, RR_CORRUPT,
 * RR_MISMATCH (a newer version), RR_IO. */
RR_MUST_USE rr_status state_pointer_read(const char *directory, uint64_t *number,
                                         struct storage_error *error);

/* Replaces STATE durably. On failure the old or the new one is there, whole. */
RR_MUST_USE rr_status state_pointer_write(const char *directory, uint64_t number,
                                          struct storage_error *error);

/* "directory/state-<number>". */
RR_MUST_USE rr_status state_pointer_path(const char *directory, uint64_t number,
                                         char out[PATH_BYTES_MAX], struct storage_error *error);

/* Whether the name is that of a state directory; if so, sets its number. */
bool state_pointer_parse_name(const char *name, uint64_t *number);

#endif
