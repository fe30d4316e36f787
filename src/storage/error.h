/*
 * Why an operation on the disk failed and what to do about it, as text for people.
 *
 * A status tells a program how to go on; this tells its operator. The functions of this layer fill
 * it on failure and log nothing themselves, so that whoever handles the failure logs it once.
 */
#ifndef STORAGE_ERROR_H
#define STORAGE_ERROR_H

#include "rockraft/types.h"

enum { STORAGE_ERROR_BYTES_MAX = 768 };

/* A sentence such as "cannot open /d/LOCK: Permission denied; make the directory writable for this
 * user". Empty after success only if it was empty before. */
struct storage_error {
    char text[STORAGE_ERROR_BYTES_MAX];
};

/*
 * Writes the text, cut at its limit, into `error` (unless NULL) and returns `status`, so that a
 * failure is one line: `return storage_fail(error, RR_CORRUPT, "...", ...);` Any thread.
 */
rr_status storage_fail(struct storage_error *error, rr_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
